"""review.csv: what a reviewer decided about the events of recordings. It is untrusted input.

A table with a column `decision` is a review. A row is accepted (it is a spasm), rejected (its type says what it is) or
unreviewed. Its event was detected by a run, or added by the reviewer.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from spasm.core.errors import DataError, DataProblems, printable, shorten
from spasm.core.nearby import nearest_name
from spasm.core.tables import numbered_rows

COLUMNS = (
    "recording", "onset_s", "offset_s", "type", "decision", "origin", "detected_onset_s", "detected_offset_s",
    "peak_probability", "reviewer", "note",
)  # fmt: skip
NEEDED = COLUMNS[:8]  # to compare two reviews; the others may be missing
DECISIONS = ("accepted", "rejected", "unreviewed")
SPASM = "spasm"
OTHER_TYPES = ("startle", "moro", "crying", "artefact", "caregiver", "other")
ORIGINS = ("detected", "added")
FORMULA = tuple("=+-@\t\r'")  # how a cell begins that a spreadsheet would compute


class ReviewedEvent(NamedTuple):
    """A row of a review; times in seconds from the recording's start."""

    line: int
    recording: str
    onset_s: float
    offset_s: float
    type: str  # what a reviewer says it is; empty where nothing is decided
    decision: str
    origin: str
    detected_s: tuple[float, float] | None  # onset and offset as detected; None of an added event
    reviewer: str
    note: str


class Twice(NamedTuple):
    """What becomes of two rows with the same times."""

    second_counts: bool  # instead of the first
    problem: DataError | None
    warning: DataError | None


def seconds(text: str) -> float:
    """The number that a cell holds; NaN where it holds none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def guarded(text: str) -> str:
    """Free text as it stands in a table: an apostrophe keeps a spreadsheet from computing it."""
    return f"'{text}" if text.startswith(FORMULA) else text


def unguarded(text: str) -> str:
    """The free text of a cell, without the apostrophe of `guarded`."""
    return text[1:] if text[:1] == "'" and text[1:].startswith(FORMULA) else text


def is_event(onset_s: float, offset_s: float) -> bool:
    """Whether two times can be an event's."""
    return 0 <= onset_s < offset_s < math.inf


def check_decision(path: Path, line: int, row: Mapping[str, str]) -> list[DataError]:
    """The problems of the columns decision, type and origin of a row; the last two may be missing."""
    problems = []
    for column, valid in (("decision", DECISIONS), ("type", ("", SPASM, *OTHER_TYPES)), ("origin", ORIGINS)):
        if column in row and row[column] not in valid:
            hint = f"{nearest_name(row[column], filter(None, valid))} It is one of {', '.join(filter(None, valid))}"
            problems.append(DataError(path, f"line {line}: {column} {shorten(row[column])}", hint.strip()))
    if problems:
        return problems
    decision, kind = row["decision"], row.get("type", "")
    reason = f"line {line}: the decision is {decision} and the type {shorten(kind)}"
    if decision == "accepted" and "type" in row and kind != SPASM:
        problems.append(DataError(path, reason, "an accepted event is a spasm: write spasm, or reject it"))
    if decision == "rejected" and kind == SPASM:
        others = ", ".join(OTHER_TYPES)
        problems.append(DataError(path, reason, f"write what it is instead ({others}), or accept it"))
    if decision == "unreviewed" and kind:
        problems.append(DataError(path, reason, "decide it: accepted or rejected; or leave the type empty"))
    return problems


def review_files(paths: Iterable[Path]) -> list[Path]:
    """The tables that are named, and those in folders, such as a review of each recording. Raises DataError."""
    tables: list[Path] = []
    for path in paths:
        found = sorted(path.glob("*.csv")) if path.is_dir() else [path]
        if not found:
            hint = "save the review of each recording there, with a name that ends in .csv"
            raise DataError(path, "holds no review", hint)
        tables += found
    return tables


def same_twice(place: str, first: tuple[Path, int], first_decision: str, decision: str, table: Path) -> Twice:
    """What becomes of two rows of a review with the same times, of one recording.

    A reviewer may move two detected events to the same times, or add an event twice. They are one event. place: the
    second row in words; first: table and line of the first one.
    """
    other = f"line {first[1]}{'' if first[0] == table else f' of {printable(first[0].name)}'}"
    if "unreviewed" in (first_decision, decision):
        return Twice(first_decision == "unreviewed" != decision, None, None)
    reason = f"{place} has the times of {other}"
    if first_decision != decision:
        reason = f"{reason}, where the decision is {first_decision} and not {decision}"
        return Twice(False, DataError(table, reason, "delete the row that is wrong, or correct its times"), None)
    return Twice(False, None, DataError(table, reason, "they count as one event; correct the times if they are two"))


def read_review(path: Path) -> tuple[list[ReviewedEvent], list[DataError]]:
    """The rows of a review, see `review_files`, whatever its recordings are, and warnings.

    An event that was added twice is there once. Raises DataProblems with every wrong row.
    """
    problems: list[DataError] = []
    warnings: list[DataError] = []
    first: dict[tuple[object, ...], tuple[Path, ReviewedEvent]] = {}
    tables = review_files([path])
    for table, line, row in [(one, *numbered) for one in tables for numbered in numbered_rows(one, NEEDED)]:
        onset_s, offset_s = seconds(row["onset_s"]), seconds(row["offset_s"])
        wrong = check_decision(table, line, row)
        if not row["recording"]:
            wrong.append(DataError(table, f"line {line}: no recording", "write its file's name, with .npy"))
        if not is_event(onset_s, offset_s):
            reason = f"line {line}: {shorten(row['onset_s'])} to {shorten(row['offset_s'])} is no event"
            wrong.append(DataError(table, reason, "give onset_s from 0 on and a later offset_s, in seconds"))
        detected_s = None
        if row["origin"] == "detected":
            detected_s = seconds(row["detected_onset_s"]), seconds(row["detected_offset_s"])
            if not is_event(*detected_s):
                hint = "keep detected_onset_s and detected_offset_s as they were exported, or write origin added"
                wrong.append(DataError(table, f"line {line}: a detected event without detected times", hint))
        if wrong:
            problems += wrong
            continue
        texts = (row["type"], row["decision"], row["origin"])
        more = (unguarded(row.get("reviewer", "")), unguarded(row.get("note", "")))
        event = ReviewedEvent(line, row["recording"], onset_s, offset_s, *texts, detected_s, *more)
        key = (event.recording, event.origin, detected_s or (onset_s, offset_s))
        other_table, other = first.setdefault(key, (table, event))
        if other is event:
            continue
        if detected_s:
            place = "" if other_table == table else f" of {printable(other_table.name)}"
            reason = f"line {line}: the event of line {other.line}{place} again"
            problems.append(DataError(table, reason, "delete one of them"))
            continue
        twice = same_twice(f"line {line}", (other_table, other.line), other.decision, event.decision, table)
        problems += [twice.problem] if twice.problem else []
        warnings += [twice.warning] if twice.warning else []
        if twice.second_counts:
            first[key] = table, event
    if problems:
        raise DataProblems(problems)
    return [event for _, event in first.values()], warnings


def review_warnings(path: Path, rows: Sequence[Mapping[str, str]]) -> list[DataError]:
    """What to know of a review that is used as the table of true events; rows: those of the given recordings."""
    warnings = []
    unreviewed = sum(row["decision"] == "unreviewed" for row in rows)
    if unreviewed:
        reason = f"{unreviewed:,} of its {len(rows):,} events are unreviewed"
        warnings.append(DataError(path, reason, "they count as no event; review them first to count them"))
    if rows and "origin" in rows[0] and not any(row["origin"] == "added" for row in rows):
        reason = "no event was added by a reviewer"
        hint = "spasms that the run missed count as no event, so that a sensitivity is too high, unless all was watched"
        warnings.append(DataError(path, reason, hint))
    return warnings
