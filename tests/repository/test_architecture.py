"""The library is a house of rooms, from low to high, and docs/architecture.md draws it as it is."""

import ast
import graphlib
import re
import sys
from collections import defaultdict
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from helpers.repository import ROOT, SOURCE

LIBRARY = SOURCE / "spasm"
# A room may import those before it.
ROOMS = (
    "core", "config", "cluster", "data", "features", "evaluation", "simulation", "ensemble", "models", "runs",
    "training", "tuning", "inference", "explain", "video", "report", "export", "cli",
)  # fmt: skip
# "module: room above", each with the reason why. This list may only become shorter.
UPWARDS: set[str] = set()
LONGEST = 400
# Files of more lines, each with the reason why it is not two. This list may only become shorter.
LONG: set[str] = set()
# What one library brings along for another to use.
BROUGHT_BY = {
    "cloudpickle": "distributed",
    "dask": "distributed",
    "cv2": "mediapipe",
    "pydantic_core": "pydantic",
    "sqlalchemy": "optuna",
}


def imported(path: Path) -> set[str]:
    """The full names of the modules that a file imports, at its top or within functions; `from a import b` is a.b."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports by full names are easier to find"
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts)


IMPORTS = {path: imported(path) for path in sorted(LIBRARY.rglob("*.py"))}
ARROWS = {  # which module imports from which other room
    (module_name(path), name.split(".")[1])
    for path, names in IMPORTS.items()
    if path.parent != LIBRARY  # spasm/__init__.py, which may import whatever it offers
    for name in names
    if name.startswith("spasm.") and name.split(".")[1] != path.relative_to(LIBRARY).parts[0]
}


def test_every_folder_of_the_library_is_a_room():
    assert {path.name for path in LIBRARY.iterdir() if (path / "__init__.py").exists()} == set(ROOMS)
    assert {path.name for path in LIBRARY.glob("*.py")} == {"__init__.py"}


def test_no_room_imports_a_higher_one():
    floor = {room: number for number, room in enumerate(ROOMS)}
    upwards = {f"{module}: {room}" for module, room in ARROWS if floor[room] > floor[module.split(".")[1]]}
    assert upwards - UPWARDS == set(), "move the definition down, or pass it as an argument"
    assert UPWARDS - upwards == set(), "no longer so: take it off the list"


def test_rooms_do_not_import_one_another_in_a_circle():
    below = defaultdict(set)
    for module, room in ARROWS:
        below[module.split(".")[1]].add(room)
    assert set(graphlib.TopologicalSorter(below).static_order()) <= set(ROOMS)  # raises CycleError, which names it


def test_the_library_imports_no_script():
    scripts = {path.stem for folder in (ROOT, SOURCE) for path in folder.glob("*.py")}
    others = {path.stem for folder in ("benchmarks", "notebooks", "stress") for path in (ROOT / folder).glob("*.py")}
    for path, names in IMPORTS.items():
        first_parts = {name.split(".")[0] for name in names}
        assert not first_parts & (scripts | others | {"tests", "helpers"}), path


def test_no_test_imports_another_test():
    for path in (ROOT / "tests").rglob("*.py"):
        parts = {part for name in imported(path) for part in name.split(".")[:-1] or [name]}
        assert not [part for part in parts if part.startswith("test_") or part in ("tests", "conftest")], path


def test_a_file_is_short_enough_to_be_read_at_once():
    lines = {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8").count("\n") for path in SOURCE.rglob("*.py")
    }
    long = {name for name, count in lines.items() if count > LONGEST}
    assert long - LONG == set(), f"has more than {LONGEST} lines: make two files of it, each with a name of its own"
    assert LONG - long == set(), "is short by now: take it off the list"


def test_the_page_on_the_architecture_has_every_room_in_order():
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    assert tuple(re.findall(r"^\| \d+ \| `(\w+)/` \|", page, flags=re.MULTILINE)) == ROOMS
    for name in re.findall(r"\]\(([^)#:]+)\)", page):
        assert (ROOT / "docs" / name).exists(), name
    for name in re.findall(r"`((?:src|tests|docs)/[\w./]+)`", page):
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "CHANGELOG.md"])
def test_what_contributors_are_sent_to_exists(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for name in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / name).exists(), name
    if page == "CONTRIBUTING.md":
        for name in re.findall(r"`((?:src|tests|docs|stress)/[\w./]+)`", text):
            assert (ROOT / name).exists(), name


def test_every_package_that_is_imported_is_asked_for():
    lines = [line for path in ROOT.glob("requirements*.txt") for line in path.read_text(encoding="utf-8").splitlines()]
    wanted = {canonicalize_name(Requirement(line).name) for line in lines if line and line[0] not in "#-"}
    scripts = {path: imported(path) for folder in (ROOT, SOURCE) for path in folder.glob("*.py")}
    own = {"spasm", *(path.stem for path in scripts)}
    distributions = packages_distributions()
    for path, names in (IMPORTS | scripts).items():
        for package in {name.split(".")[0] for name in names} - own - set(sys.stdlib_module_names):
            bringers = [BROUGHT_BY[package]] if package in BROUGHT_BY else distributions.get(package, [package])
            assert {canonicalize_name(name) for name in bringers} & wanted, f"{path}: {package}"
