"""CSV files of other tools, of any width and length: read by lines; the wanted columns become numbers."""

import contextlib
import csv
import datetime
import re
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from spasm.core.errors import DataError, shorten
from spasm.core.files import open_regular
from spasm.data.pose_files.frames import MOST_VALUES

LONGEST_LINE = 1_000_000  # bytes; 543 landmarks with four channels need 50,000
HEADING = 50  # lines in which the header must begin
MOST_LINES = 100  # of one row, whose quoted cells may hold line ends
SEPARATORS = (",", ";", "\t")
MISSING = {"", "nan", "na", "n/a", "<na>", "#n/a", "none", "null", "nil", "-", "--"}
AGAIN = "save it again as plain CSV in UTF-8"
UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def head_rows(head: bytes, count: int) -> list[list[str]]:
    """The first rows of a file that begins with `head`, as far as it is a table; [] if it is none."""
    lines = [line for line in head.decode("utf-8-sig", "replace").splitlines()[:HEADING] if not _is_idle(line)][:count]
    if not lines or lines[0][0] in "{[" or any("\0" in line for line in lines):
        return []
    try:
        return [_stripped(row) for row in csv.reader(lines, delimiter=separator_of(lines[0]))]
    except csv.Error:
        return []


def rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Each row that is not blank, with the number of its last line; spaces around cells are stripped.

    Comma, semicolon or tab, whichever the first row has most. Raises DataError while it is read.
    """
    with open_regular(path) as (file, _):
        lines = _lines(path, file.readline)
        first = next((line for line in lines if not _is_idle(line)), "")
        counted = _Counted(path, first, lines)
        reader = csv.reader(counted, delimiter=separator_of(first), strict=True)
        try:
            for row in reader:
                counted.lines_of_row = 0
                cells = _stripped(row)
                if len(cells) > 1 or any(cells):  # a row of empty cells is a frame without a pose
                    yield reader.line_num, cells
        except csv.Error as error:
            raise DataError(path, f"line {reader.line_num}: {error}", AGAIN) from error


def _is_idle(line: str) -> bool:
    """Whether a line before the header is blank or a comment."""
    return not line.strip() or line.startswith("#")


class _Counted:
    """Lines for a csv reader, which may not collect too many of them for one row."""

    def __init__(self, path: Path, first: str, rest: Iterator[str]) -> None:
        self.path, self.first, self.rest = path, first, rest
        self.lines_of_row = 0

    def __iter__(self) -> Iterator[str]:
        if self.first:
            yield self.first
        for line in self.rest:
            self.lines_of_row += 1
            if self.lines_of_row > MOST_LINES:
                raise DataError(self.path, f"one of its rows has over {MOST_LINES} lines: a quote is not closed", AGAIN)
            yield line


def _lines(path: Path, readline: Callable[[int], bytes]) -> Iterator[str]:
    number = 0
    while raw := readline(LONGEST_LINE + 1):
        number += 1
        if number == 1:
            if raw.startswith(UTF_16):
                raise DataError(path, 'is UTF-16, as Excel\'s "Unicode text"', 'save it as "CSV UTF-8"')
            raw = raw.removeprefix(b"\xef\xbb\xbf")
        if len(raw) > LONGEST_LINE:
            hint = "a table has one row a frame or one a joint, and a column each for x, y, z and visibility"
            raise DataError(path, f"line {number} is longer than {LONGEST_LINE} bytes", hint)
        if b"\0" in raw:
            raise DataError(path, f"line {number}: a NUL byte", AGAIN)
        try:
            yield raw.decode()
        except UnicodeDecodeError as error:
            raise DataError(path, f"line {number}: not UTF-8", AGAIN) from error


def _stripped(row: Sequence[str]) -> list[str]:
    return [cell.strip() for cell in row]


def separator_of(line: str) -> str:
    """Comma, semicolon or tab, whichever is most frequent."""
    return max(SEPARATORS, key=line.count)


def read_numbers(
    path: Path,
    table: Iterator[tuple[int, list[str]]],
    names: Sequence[str],
    columns: Sequence[int],
    convert: Mapping[int, Callable[[str], float]],
    bare: int = 0,
) -> np.ndarray:
    """The wanted columns of the rest of a table, (R, C) float64; an empty cell or a word for nothing is NaN.

    names: of all columns. convert: how to read a column that holds text; ValueError where it cannot. bare: a line of at
    most so many cells ends before the first joint: all its joints are missing.

    Raises DataError naming the line and the column.
    """
    values = array("d")
    pick = itemgetter(*columns) if len(columns) > 1 else (lambda cells: (cells[columns[0]],))
    width = len(names)
    cells: list[Any]
    for line, texts in table:
        cells = list(texts)
        while len(cells) > width and not cells[-1]:  # a comma at the end of every line but the first
            cells.pop()
        if len(cells) <= bare:
            cells += [""] * (width - len(cells))
        if len(cells) != width:
            reason = f"line {line}: {len(cells)} cells where the first line has {width}"
            raise DataError(path, reason, "give every line as many cells as the first; is the file cut short?")
        for column, number_of in convert.items():
            try:
                cells[column] = number_of(cells[column])
            except ValueError as error:
                reason = f"line {line}: {shorten(cells[column])} in column {shorten(names[column])}"
                raise DataError(path, reason, str(error)) from error
        try:
            values.extend(list(map(float, pick(cells))))
        except ValueError:
            values.extend([_number(path, line, names[column], cells[column]) for column in columns])
        if len(values) > MOST_VALUES:
            raise DataError(path, f"more than {MOST_VALUES} values", "cut it into files of an hour each")
    return np.frombuffer(values, dtype=np.float64).reshape(-1, len(columns))


def _number(path: Path, line: int, name: str, text: Any) -> float:
    try:
        return float(text)
    except ValueError:
        if text.lower() in MISSING:
            return float("nan")
    if re.fullmatch(r"[-+]?\d*,\d+([eE][-+]?\d+)?", text):  # a decimal comma
        return float(text.replace(",", "."))
    reason = f"line {line}: {shorten(text)} in column {shorten(name)} is not a number"
    raise DataError(path, reason, "leave the cell empty where a joint was not found")


def time_of(text: str) -> float:
    """A time as a number: the number itself, 0:01:02.5 or a date in seconds; NaN for anything else."""
    with contextlib.suppress(ValueError):
        return float(text)
    parts = re.fullmatch(r"(?:([0-9]{1,4}):)?([0-9]{1,2}):([0-9]{1,2}(?:[.,][0-9]{1,9})?)", text)
    if parts:
        return 3600 * float(parts[1] or 0) + 60 * float(parts[2]) + float(parts[3].replace(",", "."))
    with contextlib.suppress(ValueError, OverflowError):
        return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC).timestamp()
    return float(text.replace(",", ".")) if re.fullmatch(r"[0-9]{1,15},[0-9]{1,15}", text) else float("nan")


class Codes:
    """Numbers for the different texts of a column, in the order in which they appear; -1 for an empty cell."""

    def __init__(self, most: int, reason: str) -> None:
        self.of_text: dict[str, int] = {}
        self._most, self._reason = most, reason

    def __call__(self, text: str) -> float:
        if text.lower() in MISSING:
            return -1.0
        code = self.of_text.setdefault(text, len(self.of_text))
        if code >= self._most:
            raise ValueError(self._reason)
        return float(code)


def number_in(name: str) -> int:
    """The last whole number in a file's name: 12 of labeled-data/video2/img0012.png. ValueError if there is none."""
    stem = re.split(r"[\\/]", name)[-1]
    stem = stem.rpartition(".")[0] or stem
    found = re.findall(r"\d+", stem)
    if not found or len(found[-1]) > 12:
        raise ValueError("the names of pictures end in the number of the frame: img0012.png")
    return int(found[-1])
