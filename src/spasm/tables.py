"""What can be told about a data folder without opening a segment: its names, labels and groups.

Files are opened without surprises; every CSV is read by one function. All of it is untrusted input: whatever is
wrong with a file becomes a `DataError`, never another exception.
"""

import contextlib
import csv
import io
import math
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from spasm.errors import DataError, DataProblems, brief, collected, printable

NAME_PATTERNS = {
    "challenge": re.compile(r"child_[0-9]+_[0-9]+\.npy"),
    # Never a path, a control character, or a first character that a spreadsheet takes for a formula.
    "safe": re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*(_[A-Za-z0-9-]+)+\.npy"),
}
NAME_HINTS = {
    "challenge": "segments are named child_{number}_{number}.npy; --names safe allows other plain names",
    "safe": "segments are named {child}_{segment}.npy, of ASCII letters, digits, - and _",
}


@contextlib.contextmanager
def open_regular(path: Path, root: Path | None = None) -> Iterator[tuple[io.BufferedReader, int]]:
    """Open a regular file for reading; gives the file and its size in bytes.

    With `root`, a link may point anywhere inside that folder and nowhere else. Raises DataError, also for an
    operating system error while the file is being read.
    """
    real = Path(os.path.realpath(path))
    if root is not None and not real.is_relative_to(os.path.realpath(root)):
        raise DataError(path, f"is a link that leaves the folder {printable(root)}", "put the file itself there")
    try:
        # Opening a FIFO waits for a writer, perhaps for ever, unless O_NONBLOCK is set; regular files ignore it.
        with open(real, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise DataError(path, "is a device, a pipe or a socket, not a regular file", "delete it")
            yield file, status.st_size
    except OSError as error:
        raise DataError(
            path, f"cannot be read: {error.strerror}", "check that it is there and its permissions"
        ) from error


def read_table(path: Path, required: tuple[str, ...], root: Path | None = None) -> list[dict[str, str]]:
    """The rows of a CSV file, everything as text: `007`, `NA` and `None` stay what they are.

    UTF-8 with or without BOM, any line ends, comma or semicolon; surrounding spaces are stripped, blank lines
    ignored, columns beyond the `required` ones kept. Raises DataError naming the line (DataProblems for several).
    """
    return [row for _, row in numbered_rows(path, required, root)]


def numbered_rows(path: Path, required: tuple[str, ...], root: Path | None = None) -> list[tuple[int, dict[str, str]]]:
    """What `read_table` gives, each row after the number of its line in the file."""
    text = _text(path, root)
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = ";" if first.count(";") > first.count(",") else ","
    # newline="" leaves line ends to csv, which knows CR, LF and CRLF, also inside quotes.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    header: list[str] = []
    rows: list[tuple[int, dict[str, str]]] = []
    ragged: list[DataError] = []
    try:
        for raw in reader:
            cells = [cell.strip() for cell in raw]
            if not any(cells):
                continue
            if not header:
                header = cells
                _check_header(path, reader.line_num, header, required)
            elif len(cells) != len(header):
                reason = f"line {reader.line_num}: {len(cells)} cells where the header has {len(header)}"
                ragged.append(DataError(path, reason, "give every line as many cells as the header"))
            else:
                rows.append((reader.line_num, dict(zip(header, cells, strict=True))))
    except csv.Error as error:
        raise DataError(path, f"line {reader.line_num}: {error}", "save it again as plain CSV") from error
    if not header:
        raise DataError(path, "line 1: no header, the table is empty", f"begin it with {','.join(required)}")
    if ragged:
        raise DataProblems(ragged)
    return rows


def _text(path: Path, root: Path | None) -> str:
    with open_regular(path, root) as (file, _):
        raw = file.read()
    if b"\0" in raw:
        line = raw.count(b"\n", 0, raw.index(b"\0")) + 1
        raise DataError(path, f"line {line}: a NUL byte", "save it again as plain CSV in UTF-8")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(path, f"line {line}: not UTF-8", "save it again as CSV in UTF-8") from error


def _check_header(path: Path, line: int, header: list[str], required: tuple[str, ...]) -> None:
    for name in header:
        if header.count(name) > 1:
            raise DataError(path, f"line {line}: two columns are named {brief(name)}", "rename or delete one of them")
    missing = [name for name in required if name not in header]
    if missing:
        reason = f"line {line}: no column {', '.join(missing)} among {brief(', '.join(header))}"
        raise DataError(path, reason, f"the first line must name the columns {','.join(required)}")


# ---- names, labels, groups


def child_of(name: str) -> str:
    """The child's id, as text: child_007_1.npy -> 007, child_NA_3.npy -> NA, site-2_ann_4.npy -> site-2_ann."""
    return name.removesuffix(".npy").rpartition("_")[0].removeprefix("child_")


def list_segments(folder: Path, names: str, root: Path | None = None) -> list[Path]:
    """The segments of a folder, sorted by name as plain text; `names` is a key of NAME_PATTERNS.

    Entries that are hidden or do not end in .npy are ignored. Raises DataProblems naming every offending entry,
    DataError where there is no such folder or, with `root`, where it is a link that leaves that folder.
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
        hint = "check the path"
        raise DataError(folder, f"cannot be listed: {error.strerror}", hint) from error
    paths, problems = [], []
    for entry in entries:
        if entry.startswith(".") or not entry.lower().endswith(".npy"):
            continue
        path = folder / entry
        if os.path.isdir(path):
            problems.append(DataError(path, "is a folder, not a segment", "move it away or rename it"))
        elif not NAME_PATTERNS[names].fullmatch(entry):
            problems.append(DataError(path, "is not a segment's name", NAME_HINTS[names]))
        else:
            paths.append(path)
    return paths, problems


class Labels(NamedTuple):
    """What train_data.csv says."""

    labels: dict[str, int]
    """Label 0 or 1 of each segment name."""
    problems: list[DataError]
    warnings: list[DataError]
    named: set[str]
    """Every valid segment name in the table, also where its label is refused."""


def read_labels(path: Path, names: str, root: Path | None = None) -> Labels:
    """Read segment_name and label, and name every bad line. Raises DataError if the table itself is unreadable."""
    labels: dict[str, int] = {}
    problems: list[DataError] = []
    decimal_lines: list[int] = []
    first_line: dict[str, int] = {}
    for line, row in numbered_rows(path, ("segment_name", "label"), root):
        name, text = row["segment_name"], row["label"]
        if not NAME_PATTERNS[names].fullmatch(name):
            lacks_end = NAME_PATTERNS[names].fullmatch(f"{name}.npy")
            hint = "write the whole file name, with .npy" if lacks_end else NAME_HINTS[names]
            problems.append(DataError(path, f"line {line}: {brief(name)} is not a segment's name", hint))
            continue
        if name in first_line:
            reason = f"line {line}: {name} is already in line {first_line[name]}"
            problems.append(DataError(path, reason, "delete one of the two"))
            continue
        first_line[name] = line
        if text not in ("0", "1", "0.0", "1.0"):
            problems.append(DataError(path, f"line {line}: label {brief(text)} of {name}", "a label is 0 or 1"))
            continue
        labels[name] = int(text[0])
        if "." in text:  # pandas writes it so when the column once had a blank
            decimal_lines.append(line)
    warnings = []
    if decimal_lines:
        reason = f"line {decimal_lines[0]}: {len(decimal_lines)} labels are written as 0.0 or 1.0"
        warnings.append(DataError(path, reason, "accepted as 0 and 1"))
    return Labels(labels, problems, warnings, set(first_line))


def read_onsets(path: Path, root: Path | None = None) -> tuple[dict[str, tuple[float, float]], list[DataError]]:
    """The onsets in the EEG and to the eye of each segment in onsets.csv, in seconds from its start, and bad lines."""
    onsets: dict[str, tuple[float, float]] = {}
    problems: list[DataError] = []
    for line, row in numbered_rows(path, ("segment_name", "eeg_onset_s", "clinical_onset_s"), root):
        name, texts = row["segment_name"], (row["eeg_onset_s"], row["clinical_onset_s"])
        try:
            eeg, clinical = map(float, texts)
        except ValueError:
            eeg = clinical = math.nan
        if not (math.isfinite(eeg) and math.isfinite(clinical) and eeg <= clinical):
            reason = f"line {line}: onsets {brief(', '.join(texts))} of {brief(name)}"
            hint = "give seconds from the segment's start, that of the EEG first; they may lie outside of it"
            problems.append(DataError(path, reason, hint))
        elif name in onsets:
            problems.append(DataError(path, f"line {line}: {brief(name)} is there twice", "delete one of the two"))
        onsets[name] = (eeg, clinical)
    return onsets, problems


class Tables(NamedTuple):
    """What can be told about a data folder without opening a segment."""

    train: list[Path]
    test: list[Path]
    labels: dict[str, int]
    groups: dict[str, dict[str, str]]
    onsets: dict[str, tuple[float, float]]
    problems: list[DataError]
    warnings: list[DataError]


def read_tables(data: Path, names: str) -> Tables:
    """List train/ and test/, read train_data.csv, groups.csv and onsets.csv, and compare them with each other."""
    if not os.path.isdir(data):
        raise DataError(data, "no such folder", "--data names the folder that holds train/ and train_data.csv")
    problems: list[DataError] = []
    warnings: list[DataError] = []
    train: list[Path] = []
    test: list[Path] = []
    groups: dict[str, dict[str, str]] = {}
    onsets: dict[str, tuple[float, float]] = {}
    labels = Labels({}, [], [], set())
    train_folder, test_folder, table, group_table, onset_table = (
        data / name for name in ("train", "test", "train_data.csv", "groups.csv", "onsets.csv")
    )

    with collected(problems):
        train, wrong = _list(train_folder, names, data)
        problems += wrong
        if not train and not wrong:
            problems.append(DataError(train_folder, "holds no segment", NAME_HINTS[names]))
    if os.path.lexists(test_folder):
        with collected(problems):
            test, wrong = _list(test_folder, names, data)
            problems += wrong
    with collected(problems):
        labels = read_labels(table, names, data)
        problems += labels.problems
        warnings += labels.warnings
        # Without any file the one problem above is told, not one more per row.
        entries = {entry.name for entry in train_folder.glob("*.npy")} if train else labels.named
        for path in train:
            if path.name not in labels.named:
                problems.append(DataError(path, "has no label", "add it to train_data.csv or delete it"))
        for name in sorted(labels.named - entries):
            problems.append(DataError(table, f"{name} has a label but no file", "add it to train/ or delete the row"))
        if labels.labels and len(set(labels.labels.values())) == 1:
            reason = f"every label is {next(iter(labels.labels.values()))}"
            warnings.append(DataError(table, reason, "training refuses one class: it needs 0 and 1"))

    children = {child_of(path.name) for path in train}
    for child in sorted(children & {child_of(path.name) for path in test}):
        hint = "a child on both sides makes every result look better than it is: move it to one side"
        problems.append(DataError(test_folder, f"child {child} is in train and in test", hint))
    if os.path.lexists(group_table):
        with collected(problems):
            for line, row in numbered_rows(group_table, ("child",), data):
                if row["child"] in groups:
                    reason = f"line {line}: child {brief(row['child'])} is there twice"
                    problems.append(DataError(group_table, reason, "delete one of the two"))
                groups[row["child"]] = row
            absent = sorted(children - set(groups))
            if absent:
                reason = f"{len(absent)} of {len(children)} children are not in it, such as {', '.join(absent[:5])}"
                warnings.append(DataError(group_table, reason, "ids are text: 007 is not 7"))
    if os.path.lexists(onset_table):
        with collected(problems):
            onsets, wrong = read_onsets(onset_table, data)
            problems += wrong
            strange = sorted(set(onsets) - {path.name for path in train})
            if strange:
                reason = f"{len(strange)} of its segments are not in train/, such as {brief(strange[0])}"
                warnings.append(DataError(onset_table, reason, "accepted; check the names if this surprises you"))
    return Tables(train, test, labels.labels, groups, onsets, problems, warnings)
