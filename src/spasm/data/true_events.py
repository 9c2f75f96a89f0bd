"""The table of true events of recordings, such as events.csv, compared with the recordings. It is untrusted input."""

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spasm.core.errors import DataError, DataProblems, shorten
from spasm.core.nearby import nearest_name
from spasm.core.tables import numbered_rows
from spasm.data.pose import FPS

COLUMNS = ("recording", "onset_s", "offset_s")
LATE_S = 1.0  # by which an event may end after its recording
LONG_S = 10.0  # a spasm lasts 0.5 to 3 s; events that usually last longer than this may be in frames


class TrueEvents(NamedTuple):
    """The true events of some recordings."""

    spans: dict[str, np.ndarray]
    """(E, 2) onset and offset in s, sorted, by the name of the recording's file; (0, 2) of one without events."""
    warnings: list[DataError]


def read_true_events(
    path: Path, lengths: Mapping[Path, int], video_of: Mapping[str, str], given: Sequence[Path] = ()
) -> TrueEvents:
    """Read a table of true events. A recording without a row has none, which is a warning.

    lengths: frames in each recording; video_of: the name of a recording's video, which the table may use instead.
    given: the paths that the user named; rows for other files in their folders are not used.
    Raises DataProblems with every row that names no recording or is no event of it.
    """
    problems: list[DataError] = []
    ends_s = {recording.name: frames / FPS for recording, frames in lengths.items()}
    rows: dict[str, list[tuple[float, float]]] = {name: [] for name in ends_s}
    of_video = {video: name for name, video in video_of.items()}
    folders = {recording.parent for recording in (*lengths, *given)}
    late: list[tuple[int, str, float, float]] = []
    others: set[str] = set()
    for line, row in numbered_rows(path, COLUMNS):
        name = of_video.get(row["recording"], row["recording"])
        if name not in rows:
            if name and any((folder / Path(name).name).is_file() for folder in folders):
                others.add(name)
            else:
                hint = f"{nearest_name(name, (*rows, *of_video)) or 'correct it.'} Names are whole, with .npy"
                problems.append(DataError(path, f"line {line}: there is no recording {shorten(name)}", hint))
            continue
        onset_s, offset_s = _seconds(row["onset_s"]), _seconds(row["offset_s"])
        reason = f"line {line}: {shorten(row['onset_s'])} to {shorten(row['offset_s'])} is no event"
        if not 0 <= onset_s < offset_s < math.inf:
            problems.append(DataError(path, reason, "give onset_s from 0 on and a later offset_s, in seconds"))
        elif (onset_s, offset_s) in rows[name]:
            problems.append(DataError(path, f"line {line}: this event of {name} is there twice", "delete one of them"))
        else:
            rows[name].append((onset_s, offset_s))
            if offset_s > ends_s[name] + LATE_S:
                late.append((line, name, onset_s, offset_s))
    are_frames = all(offset / FPS <= ends_s[name] + LATE_S for name, spans in rows.items() for _, offset in spans)
    for line, name, onset_s, offset_s in late:
        reason = f"line {line}: the event at {onset_s:g} to {offset_s:g} s is beyond the end of its recording"
        hint = "these look like frames: divide by 30" if are_frames else "give seconds from the recording's start"
        problems.append(DataError(path, reason, f"{hint}; {name} lasts {ends_s[name]:.1f} s"))
    if problems:
        raise DataProblems(problems)
    spans = {name: np.array(sorted(of_one)).reshape(-1, 2) for name, of_one in rows.items()}
    return TrueEvents(spans, _warnings(path, spans, others))


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _warnings(path: Path, spans: Mapping[str, np.ndarray], others: Collection[str]) -> list[DataError]:
    warnings = []
    if others:
        reason = f"lists events of {len(others)} recordings that were not named, such as {min(others)}"
        warnings.append(DataError(path, reason, "they are not used; name these recordings too to count them"))
    without = [name for name, of_one in spans.items() if not len(of_one)]
    if len(without) == len(spans):
        hint = "accepted, as for controls: every detected event is a false alarm, and no rule is tuned"
        return [*warnings, DataError(path, "lists no event of these recordings", hint)]
    warnings += [DataError(path, f"lists no event of {name}", "accepted: it counts as having none") for name in without]
    median_s = float(np.median(np.concatenate([of_one[:, 1] - of_one[:, 0] for of_one in spans.values()])))
    if median_s > LONG_S:
        reason = f"half of its events last {median_s:.1f} s or longer, and a spasm lasts 0.5 to 3 s"
        warnings.append(DataError(path, reason, "seconds are expected; divide frames by 30"))
    return warnings
