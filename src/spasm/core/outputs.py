"""Checks before anything is written: an output never replaces an input, a part of a run, or a file of the user's."""

from collections.abc import Sequence
from pathlib import Path

from spasm.core.errors import DataError

# Tables that commands read by name from a data folder or a run. A result under such a name would be read as one.
READ_BY_NAME = (
    "train_data.csv", "groups.csv", "onsets.csv", "folds.csv", "events.csv", "truth.csv", "videos.csv",
    "oof.csv", "history.csv", "importance.csv",
)  # fmt: skip
PNG = b"\x89PNG\r\n\x1a\n"


def check_name(out: Path, flag: str = "--out") -> None:
    """Raises DataError for a result with the name of a table that commands read."""
    if out.name.lower() in READ_BY_NAME:
        reason = "has the name of a table that this software reads; nothing was written"
        raise DataError(out, reason, f"choose another name for {flag}, such as output/submission.csv")


def begins_with(path: Path, start: bytes) -> bool:
    """Whether a file begins with these bytes."""
    try:
        with open(path, "rb") as file:
            return file.read(len(start)) == start
    except OSError:
        return False


def check_replaceable(path: Path, start: bytes, what: str, flag: str = "--out") -> None:
    """Raises DataError for a file that exists and does not begin as those that the command writes; what: its kind."""
    if path.is_dir():
        raise DataError(path, "is a folder, not a file to write", f"choose another {flag}")
    if path.exists() and not begins_with(path, start):
        reason = f"is there and is not {what} of this software; nothing was written"
        raise DataError(path, reason, f"choose another {flag}, or move that file away")


def is_data_folder(folder: Path) -> bool:
    """Whether a folder holds training data."""
    return (folder / "train_data.csv").exists() or (folder / "train").is_dir()


def check_folder(out: Path, written: Sequence[str] = (), mark: str = "", flag: str = "--out") -> None:
    """Raises DataError for a folder to write that is no place for results.

    Such are a file, a data folder, a run, and a folder with a file that the command would replace and did not write.
    written: names of these files. mark: pattern of what the command also writes, which shows that they are its own.
    """
    other = f"choose another folder for {flag}"
    if out.exists() and not out.is_dir():
        raise DataError(out, "is a file, not a folder to write", other)
    if mark and next(out.glob(mark), None) is not None:
        return
    if is_data_folder(out):
        raise DataError(out, "is a data folder; nothing was written", other)
    if (out / "run.json").exists():
        raise DataError(out, "is a run; nothing was written", other)
    for name in written:
        there = next(out.glob(name), None)
        if there is not None:
            raise DataError(there, "is there, and this command did not write it; nothing was written", other)
