"""`pip install .` gives the library whole, and nothing but the library."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

from helpers.repository import ROOT, SOURCE

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
IMPORT_ALL = """
import importlib, pkgutil, spasm
for module in pkgutil.walk_packages(spasm.__path__, "spasm."):
    importlib.import_module(module.name)
    print(module.name)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that pip would install, built without a network from a copy of what it is built of."""
    folder = tmp_path_factory.mktemp("package")
    for name in ("pyproject.toml", "README.md", "LICENSE", "requirements.txt"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(SOURCE, folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    build = "from setuptools import build_meta; build_meta.build_wheel('dist')"
    subprocess.run([sys.executable, "-c", build], cwd=folder, check=True, capture_output=True)
    [built] = (folder / "dist").iterdir()
    return built


@pytest.mark.command
def test_every_file_of_the_library_is_installed_and_no_script(wheel):
    expected = {
        path.relative_to(SOURCE).as_posix()
        for path in (SOURCE / "spasm").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with ZipFile(wheel) as opened:
        installed = {name for name in opened.namelist() if ".dist-info/" not in name}
    assert installed == expected


@pytest.mark.command
def test_every_module_can_be_imported_from_an_empty_folder(wheel, tmp_path):
    site = tmp_path / "site"
    with ZipFile(wheel) as opened:
        opened.extractall(site)
    empty = tmp_path / "empty"
    empty.mkdir()
    finished = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL], cwd=empty, env={"PYTHONPATH": str(site)}, capture_output=True, text=True
    )
    assert finished.returncode == 0, finished.stderr
    assert {"spasm.data.formats.stam", "spasm.report.page"} <= set(finished.stdout.split())


def requirements(name: str) -> tuple[set[Requirement], set[str]]:
    """What a requirements file asks for, and the other files that it includes."""
    lines = [line.split("#")[0].strip() for line in (ROOT / name).read_text(encoding="utf-8").splitlines()]
    included = {line.removeprefix("-r").strip() for line in lines if line.startswith("-r")}
    return {Requirement(line) for line in lines if line and not line.startswith("-r")}, included


@pytest.mark.parametrize("extra", ["video", "report", "tune", "poses", "cluster", "dev"])
def test_an_extra_asks_for_the_same_as_its_requirements_file(extra):
    wanted, included = requirements(f"requirements-{extra}.txt")
    of_others = ",".join(name for name in EXTRAS if f"requirements-{name}.txt" in included)
    if of_others:
        wanted.add(Requirement(f"{PROJECT['name']}[{of_others}]"))
    assert "requirements.txt" in included  # as an extra always comes with the package's own dependencies
    assert {Requirement(line) for line in EXTRAS[extra]} == wanted


def test_every_requirements_file_has_its_extra():
    assert {f"requirements-{extra}.txt" for extra in EXTRAS} == {path.name for path in ROOT.glob("requirements-*.txt")}
