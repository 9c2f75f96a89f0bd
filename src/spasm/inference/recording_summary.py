"""What is known of each recording: how much of it was seen, its highest probability, its events; recordings.csv."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from spasm.core import files
from spasm.data.findings import NO_POSE
from spasm.inference.event_detection import STEP_S, Event, Rule, Windows, event_level

COLUMNS = (
    "recording", "video", "seconds", "seen_s", "highest_probability", "highest_at_s", "events", "threshold", "note",
)  # fmt: skip


class RecordingSummary(NamedTuple):
    """A row of recordings.csv."""

    recording: str
    seconds: float
    seen_s: float
    """Seconds with a probability."""
    highest_probability: float
    """Of a window; NaN where nothing can be predicted."""
    highest_at_s: float
    """Middle of that window."""
    events: int
    threshold: float
    """The probability from which events begin."""
    note: str
    """Why little or nothing can be predicted; mostly empty."""
    noticed: list[str]
    """What was noticed in its poses and its video."""
    video: str = ""
    """The video or pose file that it was made from; empty for a recording that was given."""

    @property
    def name(self) -> str:
        """The recording by the name that the user knows."""
        return f"{self.video} ({self.recording})" if self.video else self.recording


def summarize(
    name: str,
    windows: Windows,
    detected: Sequence[Event],
    rule: Rule,
    abstain: float,
    noticed: Mapping[str, str] | None = None,
    video: str = "",
    video_note: str = "",
) -> RecordingSummary:
    """The summary of a recording.

    abstain: the fraction of a window's frames that must show movement; noticed: a sentence for each
    kind of finding in its poses; video, video_note: the video or pose file that it was made from, and what to check.
    """
    highest, at_s = windows.highest
    notes = []
    if not windows.pose_s.any():
        notes.append(f"no person was seen in {length(windows.duration_s)}: nothing can be predicted")
    elif math.isnan(highest):
        notes.append(
            f"too little was seen in {length(windows.duration_s)}: nothing can be predicted (a window of "
            f"{windows.window_s:g} s must show {abstain * windows.window_s:.2g} s of movement, none shows more than "
            f"{windows.seen_s.max():.2g} s)"
        )
    if windows.frames < windows.length:
        notes.append(f"shorter than the {windows.window_s:g} s window of the run")
    return RecordingSummary(
        name,
        windows.duration_s,
        windows.total_seen_s,
        highest,
        at_s,
        len(detected),
        event_level(rule),
        "; ".join(notes),
        [sentence for kind, sentence in (noticed or {}).items() if kind != NO_POSE] + [video_note] * bool(video_note),
        video,
    )


def length(seconds: float) -> str:
    """A duration in words: seconds below two minutes, then minutes, then hours."""
    return f"{_amount(seconds, seconds)} {_unit(seconds)}"


def seen_of(seen_s: float, duration_s: float) -> str:
    """How much of a recording was seen, in one unit: 13 of 73 s."""
    whole = length(duration_s)
    return whole if seen_s >= duration_s - STEP_S / 2 else f"{_amount(seen_s, duration_s)} of {whole}"


def _unit(seconds: float) -> str:
    return "s" if seconds < 120 else "min" if seconds < 5400 else "h"


def _amount(seconds: float, of_seconds: float) -> str:
    """So many seconds, as a number in the unit of a longer duration."""
    if of_seconds >= 120:
        return f"{seconds / (60 if of_seconds < 5400 else 3600):.1f}"
    return f"{round(seconds, 2 if seconds < 0.95 else 1 if seconds < 9.95 else 0):g}"


def write_summaries(path: Path, summaries: Sequence[RecordingSummary]) -> None:
    """Write recordings.csv; a value that is not known is empty."""
    rows = (
        (
            one.recording,
            one.video,
            f"{one.seconds:.2f}",
            f"{one.seen_s:.2f}",
            *("" if math.isnan(value) else f"{value:.{digits}f}" for value, digits in _highest(one)),
            one.events,
            f"{one.threshold:g}",
            "; ".join(filter(None, (one.note, *one.noticed))),
        )
        for one in summaries
    )
    files.write_csv(path, COLUMNS, rows)


def _highest(one: RecordingSummary) -> tuple[tuple[float, int], tuple[float, int]]:
    """Highest probability and its time, each with its digits."""
    return (one.highest_probability, 4), (one.highest_at_s, 2)
