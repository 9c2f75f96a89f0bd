"""The errors a user can do something about."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path


class TrainingError(Exception):
    """Training or scoring cannot go on; the message says where and what to do."""


class DataError(Exception):
    """Something is wrong with the data: where, what, and what the user can do about it."""

    def __init__(self, path: Path | str, reason: str, hint: str) -> None:
        super().__init__(path, reason, hint)  # these become `args`, from which pickle makes it again
        self.path = path
        self.reason = reason
        self.hint = hint

    def __str__(self) -> str:
        return f"{printable(self.path)}: {self.reason} ({self.hint})"


class DataProblems(DataError):
    """Everything that is wrong, told at once."""

    def __init__(self, problems: Sequence[DataError]) -> None:
        super().__init__(problems[0].path, f"{len(problems)} problems", "mend all of them, then run again")
        self.args = (problems,)
        self.problems = list(problems)

    def __str__(self) -> str:
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        return "\n".join([f"{count} in the data:", *(f"  {problem}" for problem in self.problems)])


@contextlib.contextmanager
def collected(problems: list[DataError]) -> Iterator[None]:
    """Adds what is raised inside to `problems`, so that everything that is wrong can be told at once."""
    try:
        yield
    except DataProblems as error:
        problems += error.problems
    except DataError as error:
        problems.append(error)


def printable(path: Path | str) -> str:
    """A path as a terminal may show it: one with control characters or broken UTF-8 is escaped and quoted."""
    text = str(path)
    return text if text.isprintable() else ascii(text)


def brief(value: object) -> str:
    """A value found in a file, quoted, escaped, and cut to a length that fits a message."""
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
