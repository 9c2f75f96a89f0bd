"""The table of true events of recordings, such as events.csv, compared with the recordings. It is untrusted input.

A review (see `reviews`) is read as such a table: its accepted events are the true ones.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spasm.core.errors import DataError, DataProblems, shorten
from spasm.core.nearby import nearest_name
from spasm.core.tables import numbered_rows
from spasm.data.pose import FPS
from spasm.data.reviews import check_decision, is_event, review_files, review_warnings, same_twice, seconds

COLUMNS = ("recording", "onset_s", "offset_s")
LATE_S = 1.0  # by which an event may end after its recording
LONG_S = 10.0  # a spasm lasts 0.5 to 3 s; events that usually last longer than this may be in frames


class TrueEvents(NamedTuple):
    """The true events of some recordings."""

    spans: dict[str, np.ndarray]
    """(E, 2) onset and offset in s, sorted, by the name of the recording's file; (0, 2) of one without events."""
    warnings: list[DataError]
    rejected: dict[str, list[tuple[float, float, str]]]
    """Onset and offset in s and type of the events that a reviewer rejected, sorted, by recording."""
    unreviewed: dict[str, np.ndarray]
    """(E, 2) onset and offset in s of the events of a review that are not decided, sorted, by recording."""


def read_true_events(
    path: Path | Sequence[Path], lengths: Mapping[Path, int], video_of: Mapping[str, str], given: Sequence[Path] = ()
) -> TrueEvents:
    """Read a table of true events, or a review. A recording without a row has none, which is a warning.

    path: the table, or several tables or folders of them, such as a review of each recording.
    lengths: frames in each recording; video_of: the name of a recording's video, which the table may use instead.
    Rows of a review with the same times count as one event, which is a warning.
    given: the paths that the user named; rows for other files in their folders are not used.
    Raises DataProblems with every row that names no recording or is no event of it.
    """
    problems: list[DataError] = []
    paths = review_files([path] if isinstance(path, Path) else path)
    ends_s = {recording.name: frames / FPS for recording, frames in lengths.items()}
    rows: dict[str, dict[tuple[float, float], dict[str, str]]] = {name: {} for name in ends_s}
    of_video = {video: name for name, video in video_of.items()}
    folders = {recording.parent for recording in (*lengths, *given)}
    first: dict[tuple[str, tuple[float, float]], tuple[Path, int]] = {}
    again: list[DataError] = []
    late: list[tuple[Path, int, str, float, float]] = []
    others: set[str] = set()
    for table, line, row in [(one, *numbered) for one in paths for numbered in numbered_rows(one, COLUMNS)]:
        name = of_video.get(row["recording"], row["recording"])
        if name not in rows:
            if name and any((folder / Path(name).name).is_file() for folder in folders):
                others.add(name)
            else:
                hint = f"{nearest_name(name, (*rows, *of_video)) or 'correct it.'} Names are whole, with .npy"
                problems.append(DataError(table, f"line {line}: there is no recording {shorten(name)}", hint))
            continue
        if "decision" in row and (wrong := check_decision(table, line, row)):
            problems += wrong
            continue
        onset_s, offset_s = seconds(row["onset_s"]), seconds(row["offset_s"])
        reason = f"line {line}: {shorten(row['onset_s'])} to {shorten(row['offset_s'])} is no event"
        if not is_event(onset_s, offset_s):
            problems.append(DataError(table, reason, "give onset_s from 0 on and a later offset_s, in seconds"))
            continue
        span = onset_s, offset_s
        other = rows[name].get(span)
        if other is None:
            rows[name][span], first[name, span] = row, (table, line)
        elif "decision" in row and "decision" in other:
            second = f"line {line}: an event of {name}"
            twice = same_twice(second, first[name, span], other["decision"], row["decision"], table)
            problems += [twice.problem] if twice.problem else []
            again += [twice.warning] if twice.warning else []
            if twice.second_counts:
                rows[name][span], first[name, span] = row, (table, line)
        else:
            problems.append(DataError(table, f"line {line}: this event of {name} is there twice", "delete one of them"))
        if other is None and offset_s > ends_s[name] + LATE_S:
            late.append((table, line, name, onset_s, offset_s))
    are_frames = all(offset / FPS <= ends_s[name] + LATE_S for name, spans in rows.items() for _, offset in spans)
    for table, line, name, onset_s, offset_s in late:
        reason = f"line {line}: the event at {onset_s:g} to {offset_s:g} s is beyond the end of its recording"
        hint = "these look like frames: divide by 30" if are_frames else "give seconds from the recording's start"
        problems.append(DataError(table, reason, f"{hint}; {name} lasts {ends_s[name]:.1f} s"))
    if problems:
        raise DataProblems(problems)

    def decided(decision: str) -> dict[str, list[tuple[float, float]]]:
        """The events with a decision; all of a table without this column are accepted."""
        return {
            name: sorted(span for span, row in of_one.items() if row.get("decision", "accepted") == decision)
            for name, of_one in rows.items()
        }

    spans, unreviewed = (
        {name: np.array(of_one, dtype=float).reshape(-1, 2) for name, of_one in decided(decision).items()}
        for decision in ("accepted", "unreviewed")
    )
    rejected = {
        name: [(*span, rows[name][span].get("type", "")) for span in of_one]
        for name, of_one in decided("rejected").items()
    }
    reviewed = [row for of_one in rows.values() for row in of_one.values() if "decision" in row]
    place = paths[0] if len(paths) == 1 else paths[0].parent
    warnings = _warnings(place, spans, others, {name for name in rejected if rejected[name]})
    return TrueEvents(spans, [*again, *warnings, *review_warnings(place, reviewed)], rejected, unreviewed)


def is_table_of_events(path: Path) -> bool:
    """Whether a file, or every file of a folder, is a table of events or a review: its columns are."""
    tables = sorted(path.iterdir()) if path.is_dir() else [path]
    try:
        for table in tables:
            if table.suffix.lower() != ".csv":
                return False
            numbered_rows(table, COLUMNS)
    except DataError:
        return False
    return bool(tables)


def _warnings(
    path: Path, spans: Mapping[str, np.ndarray], others: Collection[str], reviewed: Collection[str]
) -> list[DataError]:
    """reviewed: recordings of which a reviewer rejected an event, so that the lack of others is a decision."""
    warnings = []
    if others:
        reason = f"lists events of {len(others)} recordings that were not named, such as {min(others)}"
        warnings.append(DataError(path, reason, "they are not used; name these recordings too to count them"))
    without = [name for name, of_one in spans.items() if not len(of_one)]
    if len(without) == len(spans):
        hint = "accepted, as for controls: every detected event is a false alarm, and no rule is tuned"
        return [*warnings, DataError(path, "lists no event of these recordings", hint)]
    warnings += [
        DataError(path, f"lists no event of {name}", "accepted: it counts as having none")
        for name in without
        if name not in reviewed
    ]
    median_s = float(np.median(np.concatenate([of_one[:, 1] - of_one[:, 0] for of_one in spans.values()])))
    if median_s > LONG_S:
        reason = f"half of its events last {median_s:.1f} s or longer, and a spasm lasts 0.5 to 3 s"
        warnings.append(DataError(path, reason, "seconds are expected; divide frames by 30"))
    return warnings
