"""The errors a user can do something about."""

import contextlib
import errno
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path


class TrainingError(Exception):
    """Training or scoring cannot continue; the message names the place and what to do."""


class DivergenceError(TrainingError):
    """The loss or its gradient is no longer finite: the settings are bad, no file is damaged."""


class ClusterError(Exception):
    """A cluster lost a task or cannot run it, whatever the settings are; the message says where and what to do."""


class DataError(Exception):
    """Something is wrong with the data: where, what, and what the user can do about it."""

    def __init__(self, path: Path | str, reason: str, hint: str, example: str = "") -> None:
        """example: what this file holds, where the reason is the same for many files."""
        super().__init__(path, reason, hint, example)  # pickle rebuilds the error from `args`, which this sets
        self.path = path
        self.reason = reason
        self.hint = hint
        self.example = example

    def __str__(self) -> str:
        example = f", {self.example}" if self.example else ""
        return f"{printable(self.path)}: {self.reason}{example} ({self.hint})"


class DataProblems(DataError):
    """Everything that is wrong, reported at once."""

    def __init__(self, problems: Sequence[DataError], checked: Sequence[Path] = ()) -> None:
        """checked: every file that was checked, so that a problem of all of them can be described as such."""
        super().__init__(problems[0].path, f"{len(problems):,} problems", "fix all of them, then run again")
        self.args = (problems, checked)
        self.problems, self.checked = list(problems), checked

    def __str__(self) -> str:
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems):,} problems"
        return "\n".join([f"{count} in the data:", *(f"  {line}" for line in group_alike(self.problems, self.checked))])


def group_alike(problems: Sequence[DataError], checked: Sequence[Path] = ()) -> list[str]:
    """A line for each problem; more than three of one kind share a line.

    Problems are of one kind where they are of one folder or table, and their texts differ in numbers, quoted text and
    file names alone. checked: every file that was checked.
    """
    kinds: dict[tuple[str, ...], dict[tuple[str, str], list[DataError]]] = {}
    for problem in problems:
        path, exact = Path(problem.path), (problem.reason, problem.hint)
        kind = (str(path.parent), *(re.sub(VARYING, "*", text) for text in exact))
        kinds.setdefault(kind, {}).setdefault(exact, []).append(problem)
    files = Counter(str(path.parent) for path in checked)
    lines: list[str] = []
    for of_kind in kinds.values():
        few = len(of_kind) <= MANY  # such as three lengths of segments, each with a line of its own
        for alike in of_kind.values() if few else [[one for same in of_kind.values() for one in same]]:
            lines += _lines(alike, files)
    return lines


MANY = 3  # problems of one kind have a line each, more of them share one
VARYING = (
    r"'[^']*'|[^ ]*\.npy\b|[-+]?\b\d[\d.e+-]*|\w+ of \w+(?= in frame)"  # what differs between problems of one kind
)


def _lines(alike: Sequence[DataError], files: Mapping[str, int]) -> list[str]:
    """A line for each problem of one kind, or one line for many; files: how many were checked in each folder."""
    if len(alike) <= MANY:
        return list(map(str, alike))
    first, paths = alike[0], list(dict.fromkeys(str(problem.path) for problem in alike))
    if len(paths) == 1:
        reasons = ", ".join(problem.reason for problem in alike[:MANY])
        return [f"{printable(paths[0])}: {len(alike):,} times: {reasons}, ... ({first.hint})"]
    names = [printable(Path(path).name) for path in paths[:MANY]]
    folder = str(Path(first.path).parent)
    every = "all " if len(paths) == files.get(folder) else ""
    count = f"{printable(folder)}: {every}{len(paths):,} files"
    if all(problem.reason == first.reason for problem in alike):
        example = f", {first.example}" if first.example else ""
        return [f"{count}, each {first.reason}{example} ({first.hint}): {', '.join(names)}, ..."]
    shown = ", ".join(f"{printable(Path(problem.path).name)} {problem.reason}" for problem in alike[:MANY])
    return [f"{count}, such as {shown}, ... ({first.hint})"]


@contextlib.contextmanager
def collect_errors(problems: list[DataError]) -> Iterator[None]:
    """Add a DataError raised inside to `problems`, so that all problems can be reported at once."""
    try:
        yield
    except DataProblems as error:
        problems += error.problems
    except DataError as error:
        problems.append(error)


ROOM = "free some disk space and run the same command again; it resumes"
RIGHTS = "name another place, or change its rights"
WHAT_TO_DO = {
    errno.ENOSPC: ROOM,
    errno.EDQUOT: ROOM,
    errno.EFBIG: ROOM,
    errno.EIO: "the disk or the network drive fails; once it works, run the same command again; it resumes",
    errno.EROFS: RIGHTS,
    errno.EACCES: RIGHTS,
    errno.EPERM: RIGHTS,
    errno.ENOENT: "it is missing; put it back, or name another place",
    errno.ENOTDIR: "a part of this path is a file; name another folder",
}


SHARED = Path("/dev/shm")  # where Linux keeps what processes share, such as their queues


def describe_os_error(error: OSError) -> str:
    """Which file, the system's message about it, and what the user can do."""
    path = error.filename2 or error.filename  # of two paths, the one to be written
    reason = error.strerror or str(error)
    if path is None and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _full_somewhere(reason)
    if path is None and "temporary directory" in reason:  # of Python's tempfile
        return f"{reason} (set TMPDIR to a folder with free space that you may write)"
    message = reason if path is None else f"{printable(path)}: {reason}"
    return f"{message} ({WHAT_TO_DO[error.errno]})" if error.errno in WHAT_TO_DO else message


def _full_somewhere(reason: str) -> str:
    """The message for a full disk that the system does not name: the places for temporary files, the fullest first."""
    temporary = Path(os.environ.get("TMPDIR") or "/tmp")
    what_to_do = {
        temporary: f"free some space in {printable(temporary)}, or set TMPDIR to another folder",
        SHARED: f"free some space in {SHARED}, which processes share, or make it larger: docker run --shm-size 1g, or "
        f"mount -o remount,size=1G {SHARED}",
    }
    free: dict[Path, float] = {}
    for place in what_to_do:
        with contextlib.suppress(OSError):
            free[place] = shutil.disk_usage(place).free / 1e6
    fullest = sorted(free, key=lambda place: free[place])
    if not fullest:
        return f"{reason} ({ROOM})"
    room = ", ".join(f"{free[place]:,.1f} MB in {printable(place)}" for place in fullest)
    return f"{reason}; the system does not name the place. Free: {room} ({what_to_do[fullest[0]]}; then run it again)"


def printable(path: Path | str) -> str:
    """A path that is safe to print: control characters and broken UTF-8 are escaped and quoted."""
    text = str(path)
    return text if text.isprintable() else ascii(text)


def first_few(names: Sequence[str], most: int = 5) -> str:
    """The first few of many names, for a message that counts all of them."""
    return ", ".join(map(printable, names[:most])) + (", ..." if len(names) > most else "")


def shorten(value: object) -> str:
    """A value found in a file, quoted, escaped, and cut to a length that fits a message."""
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
