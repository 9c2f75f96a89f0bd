"""Systems that are not Unix: the library is imported there, and what cannot work there raises a clear error."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from helpers.repository import SOURCE
from spasm.core import files, processes
from spasm.core.errors import TrainingError
from spasm.video import sandbox

# Modules of Python's standard library that only Unix has.
WITHOUT = """
import sys, warnings
for name in ("fcntl", "resource", "termios", "pwd", "grp"):
    sys.modules[name] = None
warnings.filterwarnings("ignore", "only soft file lock")  # filelock, which knows Windows by its name
sys.path.insert(0, sys.argv.pop(1))
"""
# Dask is not imported there either: it takes this system for Linux, and --cluster is refused on Windows.
IMPORT_ALL = """
import importlib, pkgutil, spasm
sys.modules["distributed"] = None
names = [module.name for module in pkgutil.walk_packages(spasm.__path__, "spasm.")]
for name in names:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        optional = {"mediapipe", "cv2", "flatbuffers", "jinja2", "tensorboard", "psycopg", "distributed"}
        assert error.name.split(".")[0] in optional, error
print(len(names))
"""
HELP = """
import runpy
sys.argv = ["verify.py", "--help"]
runpy.run_path(sys.path[0] + "/verify.py", run_name="__main__")
"""


def without_unix(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", WITHOUT + code, str(SOURCE)], capture_output=True, text=True)


@pytest.mark.command
def test_every_module_of_the_library_is_imported_where_there_is_no_unix():
    finished = without_unix(IMPORT_ALL)
    assert finished.returncode == 0, finished.stderr
    assert int(finished.stdout) > 80


@pytest.mark.command
def test_verify_shows_its_help_where_there_is_no_unix():
    finished = without_unix(HELP)
    assert finished.returncode == 0, finished.stderr
    assert "--data" in finished.stdout


def test_reading_videos_asks_for_linux_where_the_network_cannot_be_cut_off(monkeypatch):
    monkeypatch.setattr(sandbox.sys, "platform", "win32")
    with pytest.raises(TrainingError, match=r"the network cannot be cut off on win32, \w+: use Linux or Docker"):
        sandbox.check()


@pytest.fixture
def windows(monkeypatch):
    """Behave as on Windows, where signal 0 would be Ctrl-C."""
    monkeypatch.setattr(files, "WINDOWS", True)
    monkeypatch.setattr(files.os, "kill", lambda *_: pytest.fail("a signal was sent"))
    monkeypatch.delattr(files.os, "O_NONBLOCK")


def test_files_are_written_and_read_on_windows_which_cannot_open_folders(tmp_path, windows, monkeypatch):
    opened = os.open

    def refuse_folders(path, *arguments, **options):
        if os.path.isdir(path):
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments, **options)

    monkeypatch.setattr(files.os, "open", refuse_folders)
    files.write_bytes(tmp_path / "a.bin", b"content")
    with files.new_folder(tmp_path / "folder") as building:
        (building / "b.bin").write_bytes(b"content")
    for path in (tmp_path / "a.bin", tmp_path / "folder/b.bin"):
        with files.open_regular(path) as (file, size):
            assert (file.read(), size) == (b"content", 7)


def test_temporary_files_on_windows_are_removed_by_their_age_alone(tmp_path, windows):
    young, old = (tmp_path / f".tmp-{10**9}-{files.HOST}-0{number}" for number in (1, 2))
    young.touch()
    old.touch()
    os.utime(old, (time.time() - 2 * files.STALE_S,) * 2)
    files.remove_stale(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [young.name]


def test_a_worker_on_windows_which_knows_no_new_parent_does_not_watch_it(monkeypatch):
    monkeypatch.setattr(processes.os, "name", "nt")
    monkeypatch.setattr(processes.signal, "signal", lambda *_: None)
    monkeypatch.setattr(processes.threading, "Thread", lambda **_: pytest.fail("watched"))
    processes.die_with_parent(parent=1)


def test_the_library_prints_nothing_by_itself():
    library = [path for path in (Path(SOURCE) / "spasm").rglob("*.py") if path.parent.name != "cli"]
    assert not [path for path in library if re.search(r"\bprint\(", path.read_text(encoding="utf-8"))]


WARN = """
import logging
from spasm.cli import app
app.parse = lambda *_: None
sys.exit(app.run(lambda _: logging.getLogger("spasm").warning("warning: %s", "something") or 0, object, "", []))
"""


@pytest.mark.command
def test_what_the_library_warns_of_is_a_plain_line_on_stderr():
    code = f"import sys; sys.path.insert(0, {str(SOURCE)!r})\n{WARN}"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (finished.returncode, finished.stderr) == (0, "warning: something\n")
