"""Messages of many problems at once, and of a full disk that the system does not name."""

import errno
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.repository import ROOT
from spasm.core.errors import DataError, DataProblems, describe_os_error, group_alike

FOLDER = Path("data/train")


def files_with(reason: str, count: int, hint: str = "do this") -> list[DataError]:
    """The same problem of so many files; {} in the reason is the file's number."""
    return [DataError(FOLDER / f"child_{n}_1.npy", reason.format(n), hint) for n in range(count)]


def test_a_problem_of_every_file_is_one_line_that_says_so():
    problems = files_with("has 90 frames (T), not 150", 1440, "add --frames 90")
    (line,) = group_alike(problems, [Path(problem.path) for problem in problems])
    assert line.startswith(
        f"{FOLDER}: all 1,440 files, each has 90 frames (T), not 150 (add --frames 90): child_0_1.npy"
    )


def test_a_problem_of_some_files_counts_them_and_does_not_say_all():
    problems = files_with("has 90 frames (T), not 150", 1000)
    (line,) = group_alike(problems, [FOLDER / f"child_{n}_1.npy" for n in range(1001)])
    assert "1,000 files, each has 90 frames" in line
    assert "all" not in line


def test_each_of_a_few_lengths_has_its_count():
    problems = [*files_with("has 90 frames", 20), *files_with("has 60 frames", 30), *files_with("has 75 frames", 7)]
    lines = group_alike(problems)
    assert [line.split(": ")[1].split(" (")[0] for line in lines] == [
        "20 files, each has 90 frames", "30 files, each has 60 frames", "7 files, each has 75 frames",
    ]  # fmt: skip


def test_problems_that_differ_in_numbers_or_names_alone_are_one_line():
    (line,) = group_alike(files_with("z of left_wrist in frame {0} is 3e+{0}, infinite", 500))
    assert line.startswith(f"{FOLDER}: 500 files, such as child_0_1.npy z of left_wrist in frame 0")
    (line,) = group_alike(
        [DataError("t.csv", f"line {n}: label 'x{n}' of child_{n}_1.npy", "0 or 1") for n in range(99)]
    )
    assert line.startswith("t.csv: 99 times: line 0: label 'x0' of child_0_1.npy, line 1: ")
    assert line.endswith("... (0 or 1)")


def test_problems_of_other_kinds_and_folders_stay_apart():
    other = [DataError(Path("data/test") / f"child_{n}_1.npy", "is empty", "export it again") for n in range(5)]
    lines = group_alike([*files_with("is empty", 5, "export it again"), *other, *files_with("has no label", 5)])
    assert len(lines) == 3
    assert len(group_alike(files_with("is empty", 3))) == 3, "a few have a line each"


def test_grouped_problems_survive_the_way_to_another_process():
    error = DataProblems(files_with("is empty", 5), [FOLDER / f"child_{n}_1.npy" for n in range(5)])
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert "all 5 files" in str(error)


# ---- a full disk that is not named


def free_space(monkeypatch, free: dict[str, int]) -> None:
    def usage(place: object) -> object:
        if str(place) not in free:
            raise FileNotFoundError
        return shutil._ntuple_diskusage(1, 1, free[str(place)])

    monkeypatch.setattr(shutil, "disk_usage", usage)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_without_a_path_names_the_fullest_place_and_what_helps_there(monkeypatch, number):
    monkeypatch.setenv("TMPDIR", "/scratch/me")
    error = OSError(number, os.strerror(number))
    free_space(monkeypatch, {"/dev/shm": 0, "/scratch/me": 5_000_000_000})
    text = describe_os_error(error)
    assert "0.0 MB in /dev/shm, 5,000.0 MB in /scratch/me" in text
    assert "--shm-size" in text
    assert "TMPDIR" not in text
    free_space(monkeypatch, {"/dev/shm": 9_000_000_000, "/scratch/me": 2_000_000})
    assert "set TMPDIR to another folder" in describe_os_error(error)
    free_space(monkeypatch, {})
    assert "free some disk space" in describe_os_error(error), "also where neither place is there"


def test_a_full_disk_with_a_path_names_that_alone(monkeypatch):
    free_space(monkeypatch, {"/dev/shm": 0})
    assert describe_os_error(OSError(errno.ENOSPC, "No space left on device", "out/x.csv")).startswith("out/x.csv: No")


def test_no_place_for_temporary_files_says_to_set_tmpdir():
    error = FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/a', '/b']")
    assert "set TMPDIR to a folder with free space" in describe_os_error(error)


@pytest.mark.command
@pytest.mark.skipif(not sys.platform.startswith("linux") or os.geteuid() != 0, reason="needs a mount of its own")
def test_a_full_shared_memory_is_named_by_a_real_command(tmp_path):
    code = "import sys; sys.path.insert(0, 'src'); from spasm.core.errors import describe_os_error\n" + (
        "import multiprocessing\n"
        "try:\n    multiprocessing.get_context('spawn').Queue()\n"
        "except OSError as error:\n    print(describe_os_error(error))\n"
    )
    fill = "mount -t tmpfs -o size=16k tmpfs /dev/shm && head -c 16384 /dev/zero > /dev/shm/full"
    command = ["unshare", "-m", "bash", "-c", f'{fill} && "$0" -c "$1"', sys.executable, code]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if "unshare" in finished.stderr or "mount" in finished.stderr:
        pytest.skip("this system allows no mount of its own")
    assert "0.0 MB in /dev/shm" in finished.stdout, finished
    assert "--shm-size" in finished.stdout
