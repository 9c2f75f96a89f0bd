"""Segment names, and the child that each belongs to."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from spasm.core.errors import DataError, DataProblems, printable
from spasm.core.nearby import where_missing

NAME_PATTERNS = {
    "challenge": re.compile(r"child_[0-9]+_[0-9]+\.npy"),
    # Refuses paths, control characters, and a first character that a spreadsheet takes for a formula.
    "safe": re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*(_[A-Za-z0-9-]+)+\.npy"),
}
NAME_HINTS = {
    "challenge": "segments are named child_{number}_{number}.npy; --name-pattern safe allows other plain names",
    "safe": "segments are named {child}_{segment}.npy, of ASCII letters, digits, - and _",
}


# ---- names, labels, groups


def name_hint(name: str, names: str, verb: str = "write") -> str:
    """What to do about a name that is not a segment's; `names` is a key of NAME_PATTERNS."""
    plain = name.strip()
    for meant in (plain, f"{plain}.npy", plain.lower(), f"{plain.lower()}.npy"):
        if NAME_PATTERNS[names].fullmatch(meant):
            return f"{verb} {meant}: names are whole, with .npy, in lower case and without blanks"
    return NAME_HINTS[names]


def spelling(child: str) -> str:
    """The same text for ids that differ in zeros before a number, or in upper and lower case, alone."""
    return re.sub(r"(?<![0-9])0+(?=[0-9])", "", child.lower())


def same_child_twice(folder: Path, children: Iterable[str]) -> list[DataError]:
    """A problem for each group of ids that seem to be one child's: if they are, the child would be split over folds."""
    by_spelling: dict[str, list[str]] = {}
    for child in sorted(set(children)):
        by_spelling.setdefault(spelling(child), []).append(child)
    return [
        DataError(
            folder,
            f"children {' and '.join(alike)} differ in zeros or upper case only: is it one child?",
            f"rename the files of one child to one id, such as {alike[-1]}, in the tables too; "
            "give two children ids that differ in more",
        )
        for alike in by_spelling.values()
        if len(alike) > 1
    ]


def child_of(name: str) -> str:
    """The child's id, as text: child_007_1.npy -> 007, child_NA_3.npy -> NA, site-2_ann_4.npy -> site-2_ann."""
    return name.removesuffix(".npy").rpartition("_")[0].removeprefix("child_")


def list_segments(folder: Path, names: str, root: Path | None = None) -> list[Path]:
    """The segments of a folder, sorted by name as plain text; `names` is a key of NAME_PATTERNS.

    Entries that are hidden or do not end in .npy are ignored. Raises DataProblems naming every offending entry,
    DataError if the folder does not exist or, with `root`, is a link that leaves `root`.
    """
    paths, problems = _list(folder, names, root)
    if problems:
        raise DataProblems(problems)
    return paths


def _list(folder: Path, names: str, root: Path | None) -> tuple[list[Path], list[DataError]]:
    if root is not None and not Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(root)):
        raise DataError(folder, f"is a link that leaves the folder {printable(root)}", "put the folder itself there")
    try:
        entries = sorted(os.listdir(folder))
    except OSError as error:
        hint = "check its permissions" if os.path.isdir(folder) else where_missing(folder)
        raise DataError(folder, f"cannot be listed: {error.strerror}", hint) from error
    paths, problems = [], []
    for entry in entries:
        if entry.startswith(".") or not entry.strip().lower().endswith(".npy"):
            continue
        path = folder / entry
        if os.path.isdir(path):
            problems.append(DataError(path, "is a folder, not a segment", "move it away or rename it"))
        elif not NAME_PATTERNS[names].fullmatch(entry):
            problems.append(DataError(path, "is not a segment's name", name_hint(entry, names, "rename it to")))
        else:
            paths.append(path)
    return paths, problems
