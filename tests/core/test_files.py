"""Files that are whole or absent, whatever happens while they are written."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from helpers.repository import SOURCE
from spasm.core import files
from spasm.core.errors import DataError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def child(code: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(SOURCE)!r})\n{code}", *map(str, arguments)]


# ---- writing


def test_what_is_written_replaces_the_old_file_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "below" / "a.bin"
    files.write_bytes(path, b"old")
    files.write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert names(path.parent) == ["a.bin"]


def test_the_old_file_stands_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with files.atomic_write(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_error_in_the_middle_leaves_the_old_file_whole_and_no_temporary_file(tmp_path, error):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(error), files.atomic_write(path) as file:
        file.write(b"new")
        raise error
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]


def test_an_error_in_the_middle_leaves_no_file_where_there_was_none(tmp_path):
    with pytest.raises(ValueError), files.atomic_write(tmp_path / "a.bin"):
        raise ValueError
    assert names(tmp_path) == []


FAULTS = [(call, code) for call in ("fsync", "replace") for code in (errno.ENOSPC, errno.EIO, errno.EDQUOT)]


@pytest.mark.parametrize(("call", "code"), FAULTS)
def test_a_full_or_failing_disk_leaves_the_old_file_whole_and_names_the_users_path(tmp_path, monkeypatch, call, code):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def fail(*arguments):
        # The operating system names both files of a rename, and none of an fsync.
        with_path = [str(arguments[0]), None, str(arguments[1])] if call == "replace" else []
        raise OSError(code, os.strerror(code), *with_path)

    monkeypatch.setattr(files.os, call, fail)
    with pytest.raises(OSError) as caught:
        files.write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]
    assert str(caught.value) == f"[Errno {code}] {os.strerror(code)}: {str(path)!r}"


def test_a_rename_that_the_system_refuses_names_the_users_path_alone(tmp_path):
    (tmp_path / "a.bin").mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        files.write_bytes(tmp_path / "a.bin", b"new")
    assert str(caught.value) == f"[Errno 21] Is a directory: {str(tmp_path / 'a.bin')!r}"
    assert names(tmp_path) == ["a.bin"]


def test_a_rename_that_cannot_be_made_durable_is_an_error_that_names_the_path(tmp_path, monkeypatch):
    path = tmp_path / "a.bin"
    fsync, calls = os.fsync, []

    def fail_for_the_folder(handle):
        calls.append(handle)
        if len(calls) == 2:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(handle)

    monkeypatch.setattr(files.os, "fsync", fail_for_the_folder)
    with pytest.raises(OSError) as caught:
        files.write_bytes(path, b"new")
    assert str(path) in str(caught.value)
    assert names(tmp_path) == ["a.bin"]


def test_a_file_is_flushed_to_disk_before_it_takes_its_name_and_the_folder_after(tmp_path, monkeypatch):
    steps = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(files.os, "fsync", lambda handle: (steps.append(os.readlink(f"/proc/self/fd/{handle}")),
                                                           fsync(handle)))  # fmt: skip
    monkeypatch.setattr(files.os, "replace", lambda old, new: (steps.append("replace"), replace(old, new)))
    files.write_bytes(tmp_path / "a.bin", b"new")
    assert len(steps) == 3
    assert Path(steps[0]).name.startswith(files.TEMPORARY)
    assert steps[1:] == ["replace", str(tmp_path)]


@pytest.mark.command
@pytest.mark.parametrize("size", [1_000, 100_000], ids=["buffered", "straight"])
def test_a_disk_that_fills_up_in_a_real_process_leaves_the_old_file_whole(tmp_path, size):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    code = """
import resource
from pathlib import Path
from spasm.core import files
resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
try:
    files.write_bytes(Path(sys.argv[1]), bytes(int(sys.argv[2])))
except OSError as error:
    sys.exit(f"caught {error}")
"""
    finished = subprocess.run(child(code, path, size), capture_output=True, text=True)
    assert (finished.returncode, finished.stderr) == (1, f"caught [Errno 27] File too large: {str(path)!r}\n")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]


def test_a_folder_that_can_be_written_is_found_so_without_a_trace(tmp_path):
    files.check_writable(tmp_path / "made")
    assert names(tmp_path / "made") == []


def test_a_folder_that_cannot_be_written_is_found_so(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        files.check_writable(tmp_path / "file" / "below")
    with pytest.raises(OSError, match="/proc"):
        files.check_writable(Path("/proc"))


def test_a_disk_where_removing_also_fails_is_reported_with_the_users_path(tmp_path, monkeypatch):
    def refuse(*arguments, **with_path):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(arguments[0]))

    for name in ("replace", "unlink"):
        monkeypatch.setattr(files.os, name, refuse)
    for write in (lambda: files.write_bytes(tmp_path / "a.bin", b"new"), lambda: files.check_writable(tmp_path)):
        with pytest.raises(OSError) as caught:
            write()
        assert caught.value.filename in (str(tmp_path / "a.bin"), str(tmp_path))


@pytest.mark.parametrize("again", [files.write_bytes, lambda path, _: files.lock(path, "held").__enter__()])
def test_a_vanished_folder_is_an_error_once_and_not_made_again_with_the_later_files_only(tmp_path, again):
    files.write_bytes(tmp_path / "run/seed/a.bin", b"first")
    shutil.rmtree(tmp_path / "run")
    with pytest.raises(FileNotFoundError) as caught:
        again(tmp_path / "run/seed/b.bin", b"second")
    assert caught.value.filename == str(tmp_path / "run/seed")
    assert not (tmp_path / "run").exists()
    files.write_bytes(tmp_path / "run/seed/b.bin", b"begun again")
    assert names(tmp_path / "run/seed") == ["b.bin"]


# ---- what killed writers leave


@pytest.fixture(scope="module")
def dead() -> int:
    """The id of a process that is gone."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_temporary_files_of_dead_processes_are_removed_at_any_depth(tmp_path, dead):
    (tmp_path / "a/b").mkdir(parents=True)
    for folder in (tmp_path, tmp_path / "a/b"):
        (folder / f".tmp-{dead}-{files.HOST}-00ff").write_bytes(b"half")
        (folder / f".tmp-{10**30}-{files.HOST}-00ff").write_bytes(b"half")
    (tmp_path / "a/kept.csv").touch()
    files.remove_stale(tmp_path)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["kept.csv"]


def test_temporary_files_of_living_processes_and_other_files_are_kept(tmp_path, dead):
    host = files.HOST
    kept = {f".tmp-{os.getpid()}-{host}-00ff", f".tmp-1-{host}-00ff", f".tmp-x-{host}-00ff",
            f"tmp-{dead}-{host}-00ff", f".tmp-{dead}"}  # fmt: skip
    for name in kept:
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (0, 0))
    files.remove_stale(tmp_path)
    assert set(names(tmp_path)) == kept


def test_temporary_files_of_another_machine_are_kept_while_they_are_young(tmp_path, dead):
    other = "0" * 8
    young, old = tmp_path / f".tmp-{dead}-{other}-01", tmp_path / f".tmp-{dead}-{other}-02"
    young.touch()
    old.touch()
    os.utime(old, (0, 0))
    files.remove_stale(tmp_path)
    assert names(tmp_path) == [young.name]


@pytest.mark.command
def test_a_writer_killed_in_the_middle_leaves_the_old_file_whole_and_is_cleaned_up_after(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    code = """
import os, signal
from pathlib import Path
from spasm.core import files
with files.atomic_write(Path(sys.argv[1])) as file:
    file.write(b"new")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run(child(code, path)).returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"
    assert len(names(tmp_path)) == 2, "the test is void unless a temporary file was left"
    files.remove_stale(tmp_path)
    assert names(tmp_path) == ["a.bin"]


# ---- locks

HOLD = """
import time
from pathlib import Path
from spasm.core import files
with files.lock(Path(sys.argv[1]), "held"):
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock until its stdin is closed."""
    pipe = subprocess.PIPE
    with subprocess.Popen(child(HOLD, tmp_path / ".lock"), stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout.readline() == "locked\n"
        yield process
        process.kill()


@pytest.mark.command
def test_a_lock_keeps_another_process_out_and_describes_its_holder(tmp_path, holder):
    refused = pytest.raises(DataError, match=r"\.lock: the run is being written in another process \(wait for it")
    with refused, files.lock(tmp_path / ".lock", "the run is being written", wait_s=0):
        pytest.fail("two processes hold one lock")


@pytest.mark.command
def test_a_lock_ends_with_its_process_even_when_that_is_killed(tmp_path, holder):
    holder.kill()
    holder.wait()
    with files.lock(tmp_path / ".lock", "held", wait_s=0):
        pass


@pytest.mark.command
def test_a_lock_is_waited_for(tmp_path, holder):
    threading.Timer(0.3, holder.stdin.close).start()
    with files.lock(tmp_path / ".lock", "held", wait_s=60):
        assert holder.stdin.closed


def test_a_lock_keeps_another_thread_out_and_its_file_stays_for_those_who_wait(tmp_path):
    inside, most = [], []

    def work():
        for _ in range(20):
            with files.lock(tmp_path / ".lock", "held"):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    with files.lock(tmp_path / ".lock", "held"), ThreadPoolExecutor(1) as pool:
        other = pool.submit(files.lock(tmp_path / ".lock", "held", wait_s=0).__enter__)
        assert isinstance(other.exception(), DataError)
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work) for _ in range(4)]:
            done.result()
    assert set(most) == {1} and len(most) == 80
    assert names(tmp_path) == [".lock"]


@pytest.mark.command
def test_whether_a_lock_is_held_is_seen_without_making_or_keeping_it(tmp_path, holder):
    assert files.is_locked(tmp_path / ".lock")
    holder.kill()
    holder.wait()
    assert not files.is_locked(tmp_path / ".lock")
    with files.lock(tmp_path / ".lock", "held", wait_s=0):
        pass
    assert not files.is_locked(tmp_path / "absent") and not files.is_locked(tmp_path / "absent/below")
    assert names(tmp_path) == [".lock"]


def test_a_lock_on_a_disk_that_has_none_is_an_error_that_names_it(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(OSError, match=r"\.lock"), files.lock(tmp_path / ".lock", "held"):
        pytest.fail("a lock was held that a kill would leave behind")


def test_a_lock_is_free_again_after_an_error(tmp_path):
    with pytest.raises(ValueError), files.lock(tmp_path / ".lock", "held"):
        raise ValueError
    with files.lock(tmp_path / ".lock", "held", wait_s=0):
        pass


# ---- JSON and CSV


def test_json_comes_back_as_it_was_written(tmp_path):
    tree = {"text": "é\n", "number": 0.1 + 0.2, "list": [1, None, True], "below": {}}
    files.write_json(tmp_path / "a.json", tree)
    assert files.read_json(tmp_path / "a.json") == tree
    content = (tmp_path / "a.json").read_bytes()
    assert "é".encode() in content
    assert content.endswith(b"}\n")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), np.float64("nan")])
def test_json_without_meaning_elsewhere_is_never_written(tmp_path, value):
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(ValueError):
        files.write_json(tmp_path / "a.json", {"x": value})
    assert (tmp_path / "a.json").read_text() == "{}"


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[1]", b'"text"', b"null", b"\xff\xfe\x00", b'{"a": 1} x', b"[" * 100_000, b'{"a":' * 100_000,
     b'{"a": ' + b"9" * 5000 + b"}"],
    ids=["empty", "cut", "list", "text", "null", "bytes", "more", "deep", "deep-object", "long-number"],
)  # fmt: skip
def test_what_is_not_one_json_object_is_refused_by_name(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        files.read_json(path)
    assert caught.value.path == path


def test_a_json_file_that_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "fifo.json")
    (tmp_path / "folder.json").mkdir()
    for name in ("fifo.json", "folder.json", "absent.json"):
        with pytest.raises(DataError, match=name):
            files.read_json(tmp_path / name)


def test_a_csv_is_utf8_with_line_feeds_and_keeps_every_digit(tmp_path):
    third = 1 / 3
    rows = [("é,x", 1, third), ("b", np.int64(2), np.float64(third))]
    files.write_csv(tmp_path / "a.csv", ("name", "n", "x"), iter(rows))
    expected = f'name,n,x\n"é,x",1,{third!r}\nb,2,{third!r}\n'
    assert (tmp_path / "a.csv").read_bytes() == expected.encode()


def test_a_table_to_read_has_few_digits_and_one_to_compute_with_has_all(tmp_path):
    rows = [("a", 1234567, 2 / 3, np.float64(1e-7) / 3, None)]
    files.write_csv(tmp_path / "a.csv", ("name", "n", "x", "y", "z"), rows, digits=6)
    assert (tmp_path / "a.csv").read_text().splitlines()[1] == "a,1234567,0.666667,3.33333e-08,"
    files.write_csv(tmp_path / "a.csv", ("name", "n", "x", "y", "z"), rows)
    assert (tmp_path / "a.csv").read_text().splitlines()[1] == f"a,1234567,{2 / 3!r},{1e-7 / 3!r},"


def test_a_csv_without_rows_is_its_header(tmp_path):
    files.write_csv(tmp_path / "a.csv", ("segment_name", "label"), [])
    assert (tmp_path / "a.csv").read_bytes() == b"segment_name,label\n"


def test_a_digest_is_that_of_the_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert files.sha256(tmp_path / "a").startswith("ba7816bf8f01cfea")
    with pytest.raises(DataError, match="absent"):
        files.sha256(tmp_path / "absent")


def test_written_json_is_read_by_a_strict_reader(tmp_path):
    files.write_json(tmp_path / "a.json", {"x": 1e-300})
    assert json.loads((tmp_path / "a.json").read_text(), parse_constant=pytest.fail) == {"x": 1e-300}
