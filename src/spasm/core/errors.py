"""The errors a user can do something about."""

import contextlib
import errno
from collections.abc import Iterator, Sequence
from pathlib import Path


class TrainingError(Exception):
    """Training or scoring cannot continue; the message names the place and what to do."""


class DivergenceError(TrainingError):
    """The loss or its gradient is no longer finite: the settings are bad, no file is damaged."""


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

    def __init__(self, problems: Sequence[DataError]) -> None:
        super().__init__(problems[0].path, f"{len(problems)} problems", "fix all of them, then run again")
        self.args = (problems,)
        self.problems = list(problems)

    def __str__(self) -> str:
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        return "\n".join([f"{count} in the data:", *(f"  {line}" for line in group_alike(self.problems))])


def group_alike(problems: Sequence[DataError]) -> list[str]:
    """A line for each problem; more than three files of a folder with the same problem share one line."""
    groups: dict[tuple[str, str, str], list[DataError]] = {}
    for problem in problems:
        groups.setdefault((str(Path(problem.path).parent), problem.reason, problem.hint), []).append(problem)
    lines: list[str] = []
    for (folder, reason, hint), alike in groups.items():
        if len(alike) <= 3:
            lines += map(str, alike)
            continue
        names = ", ".join(printable(Path(problem.path).name) for problem in alike[:3])
        example = f", {alike[0].example}" if alike[0].example else ""
        lines.append(f"{printable(folder)}: {len(alike)} files, each {reason}{example} ({hint}): {names}, ...")
    return lines


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


def describe_os_error(error: OSError) -> str:
    """Which file, the system's message about it, and what the user can do."""
    path = error.filename2 or error.filename  # of two paths, the one to be written
    reason = error.strerror or str(error)
    message = reason if path is None else f"{printable(path)}: {reason}"
    return f"{message} ({WHAT_TO_DO[error.errno]})" if error.errno in WHAT_TO_DO else message


def printable(path: Path | str) -> str:
    """A path that is safe to print: control characters and broken UTF-8 are escaped and quoted."""
    text = str(path)
    return text if text.isprintable() else ascii(text)


def shorten(value: object) -> str:
    """A value found in a file, quoted, escaped, and cut to a length that fits a message."""
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
