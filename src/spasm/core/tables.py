"""Reading CSV files; every problem is reported with its line."""

import csv
import io
from pathlib import Path

from spasm.core.errors import DataError, DataProblems, shorten
from spasm.core.files import open_regular


def read_table(path: Path, required: tuple[str, ...], root: Path | None = None) -> list[dict[str, str]]:
    """The rows of a CSV file, every cell as text: `007`, `NA` and `None` stay unchanged.

    UTF-8 with or without BOM, any line ends, comma or semicolon; surrounding spaces are stripped, blank lines
    ignored, columns beyond the `required` ones kept. Raises DataError naming the line (DataProblems for several).
    """
    return [row for _, row in numbered_rows(path, required, root)]


def numbered_rows(path: Path, required: tuple[str, ...], root: Path | None = None) -> list[tuple[int, dict[str, str]]]:
    """The rows of `read_table`, each with its line number in the file."""
    text = _text(path, root)
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = ";" if first.count(";") > first.count(",") else ","
    # With newline="" the csv module handles the line ends: CR, LF and CRLF, also inside quotes.
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
            raise DataError(path, f"line {line}: two columns are named {shorten(name)}", "rename or delete one of them")
    missing = [name for name in required if name not in header]
    if missing:
        reason = f"line {line}: no column {', '.join(missing)} among {shorten(', '.join(header))}"
        raise DataError(path, reason, f"the first line must name the columns {','.join(required)}")
