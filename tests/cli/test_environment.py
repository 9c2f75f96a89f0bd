"""What a user without the packages, or with an old Python, or who types `make` alone, is shown."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.repository import ROOT
from spasm import cli

SCRIPTS = [
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "src").glob("*.py")),
    "submission.py",
    "container.py",
]


@pytest.mark.command
@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("words", [[], ["--help"]])
def test_without_the_packages_a_script_says_in_one_line_how_to_install_them(script, words):
    # -S leaves out site-packages, as an interpreter does into which nothing was installed.
    finished = subprocess.run([sys.executable, "-S", script, *words], cwd=ROOT, capture_output=True, text=True)
    assert (finished.returncode, finished.stdout) == (1, "")
    assert finished.stderr.count("\n") == 1, finished.stderr
    assert finished.stderr.startswith(f"error: packages of this project are not installed in {sys.executable}: torch, ")
    for words in ("make demo", "python3 -m venv .venv", "pip install -r requirements.txt"):
        assert words in finished.stderr


@pytest.mark.command
def test_a_single_package_that_is_missing_is_named(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as util\nfind = util.find_spec\n"
        "util.find_spec = lambda name, *rest: None if name == 'lightgbm' else find(name, *rest)\n"
    )
    command = [sys.executable, "src/verify.py"]
    environment = {"PYTHONPATH": str(tmp_path)}
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert finished.returncode == 1
    assert f"not installed in {sys.executable}: lightgbm. Run" in finished.stderr


def test_every_requirement_is_searched_for():
    imported = {"scikit-learn": "sklearn", "pillow": "PIL"}
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    names = [re.match(r"[\w-]+", line)[0] for line in lines if line and not line.startswith("#")]
    assert sorted(cli.NEEDED) == sorted(imported.get(name, name) for name in names)


@pytest.mark.parametrize("version", ["3.9", "3.10"])
def test_an_older_python_is_refused_in_one_line(version, monkeypatch):
    monkeypatch.setattr(sys, "version_info", (*map(int, version.split(".")), 1, "final", 0))
    with pytest.raises(SystemExit) as stopped:
        exec(Path(cli.__file__).read_text(), {"__name__": "spasm.cli"})
    message = str(stopped.value)
    assert message.startswith(f"error: this needs Python 3.11 or newer, and {sys.executable} is Python {version}. ")
    assert "make demo PYTHON=python3.12" in message and "\n" not in message


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_imports_no_package_before_the_check(script):
    lines = (ROOT / script).read_text().splitlines()
    names = [match[1] for line in lines if (match := re.match(r"(?:import|from) ([\w.]+)", line))]
    first = next(name for name in names if name.split(".")[0] not in sys.stdlib_module_names)
    assert first in ("spasm.cli", "spasm.cli.train", "submission")


@pytest.mark.command
def test_make_alone_lists_every_target_and_runs_none(tmp_path):
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())
    finished = subprocess.run(["make"], cwd=tmp_path, capture_output=True, text=True)
    assert (finished.returncode, finished.stderr) == (0, "")
    targets = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()
    lines = finished.stdout.splitlines()
    assert lines[0] == "usage: make TARGET"
    assert sorted(line.split()[0] for line in lines[1:]) == sorted(targets)
    assert all(len(line.split()) > 3 and len(line) <= 110 for line in lines[1:])
    assert [path.name for path in tmp_path.iterdir()] == ["Makefile"]
