"""A whole recording small enough for a page: curves with coarser and coarser extremes, and poses around its events.

A series has a byte for each step, 0 where it is not known. A page that shows hours cannot plot 36,000 steps an hour:
after the steps come, level by level, the lowest and the highest known byte of every FACTOR steps of the level before,
first all lowest and then all highest, until a level has at most FEWEST steps.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from spasm.data import recordings
from spasm.data.pose import FPS
from spasm.features.body_frame import PARTS
from spasm.inference.event_detection import STEP_S, Event, Windows
from spasm.report.player_data import deflate, pose_bytes

FACTOR, FEWEST = 8, 512
PROBABILITY_LEVELS = 254
SPEED_LEVELS = 62  # of the square root of a speed, which keeps the small ones apart
FASTEST = 20.0  # trunk lengths per second; a faster one is an error of the pose
SHOWN_FRACTION = 0.998  # of the speeds below the top of the page's axis
AROUND_S = 5.0  # of poses before an event and after it
LONGEST_EVENT_S = 20.0  # of whose poses are in the page; of a longer alarm the beginning is
MOST_CLIPS = 400  # events with poses in the page, the most probable ones; of others a chosen file gives the poses


class Packed(NamedTuple):
    """The data of a page, and what it is known by."""

    tree: dict[str, Any]
    fingerprint: str
    """Of the recording, its windows and its events: with another prediction no progress of a review is shared."""


def pack_recording(
    path: Path, windows: Windows, detected: Sequence[Event], speeds: np.ndarray, aspect: float
) -> Packed:
    """The curves, events and poses of a recording for its page.

    speeds: (4, B) of PARTS in each step of STEP_FRAMES, see `fastest_in_steps`; aspect: width of the picture by its
    height. Of the recording only the frames around events are read. Raises DataError.
    """
    known = speeds[np.isfinite(speeds)]
    top = float(np.quantile(known, SHOWN_FRACTION)) if len(known) else 1.0
    content = recordings.content_of(path)
    events = [[round(event.onset_s, 2), round(event.offset_s, 2), round(event.peak, 4)] for event in detected]
    return Packed(
        {
            "step_s": STEP_S,
            "factor": FACTOR,
            "fewest": FEWEST,
            "curve": deflate(pyramid(probability_bytes(windows.curve))),
            "windows": {
                "count": len(windows.probabilities),
                "stride_frames": _stride(windows),
                "frames": windows.length,
                "data": deflate(pyramid(probability_bytes(windows.probabilities))),
            },
            "speeds": [deflate(pyramid(speed_bytes(one))) for one in speeds],
            "speed_scale": [SPEED_LEVELS, FASTEST],
            "speed_top": max(0.5, round(2 * top) / 2),
            "parts": list(PARTS),
            "events": events,
            "clips": pack_clips(path, windows.frames, detected, aspect),
            "content": content._asdict(),
        },
        _digest_of(content, windows, events),
    )


def pyramid(steps: np.ndarray) -> bytes:
    """A series (S,) uint8, 0 where it is not known, followed by its coarser levels."""
    parts = [steps.tobytes()]
    low = high = steps
    while len(high) > FEWEST:
        lacking = -len(high) % FACTOR
        # 0 becomes 255 - 0 where the lowest is sought, so that what is not known is never the lowest.
        lowest = np.pad(np.where(low == 0, 255, low), (0, lacking), constant_values=255)
        low, high = (
            lowest.reshape(-1, FACTOR).min(1),
            np.pad(high, (0, lacking)).reshape(-1, FACTOR).max(1),
        )
        low = np.where(high == 0, 0, low).astype(np.uint8)
        parts += [low.tobytes(), high.tobytes()]
    return b"".join(parts)


def probability_bytes(values: np.ndarray) -> np.ndarray:
    """Probabilities as bytes from 1 to 255; 0 for NaN."""
    known = np.isfinite(values)
    return np.where(known, 1 + np.round(np.where(known, values, 0) * PROBABILITY_LEVELS), 0).astype(np.uint8)


def speed_bytes(values: np.ndarray) -> np.ndarray:
    """Speeds as bytes from 1 to 63; 0 for NaN."""
    known = np.isfinite(values)
    root = np.sqrt(np.clip(np.where(known, values, 0), 0, FASTEST) / FASTEST)
    return np.where(known, 1 + np.round(root * SPEED_LEVELS), 0).astype(np.uint8)


def pack_clips(path: Path, frames: int, detected: Sequence[Event], aspect: float) -> list[dict[str, Any]]:
    """The poses around events; clips that overlap are one. Raises DataError."""
    strongest = sorted(detected, key=lambda event: -event.peak)[:MOST_CLIPS]
    spans: list[tuple[int, int]] = []
    for event in sorted(strongest, key=lambda event: event.onset_s):
        offset_s = min(event.offset_s, event.onset_s + LONGEST_EVENT_S)
        begin = max(0, round((event.onset_s - AROUND_S) * FPS))
        end = min(frames, round((offset_s + AROUND_S) * FPS))
        if spans and begin <= spans[-1][1]:
            begin = spans.pop()[0]
        spans.append((begin, end))
    clips = []
    for (begin, _), poses in zip(spans, recordings.read_spans(path, spans), strict=True):
        content, measures = pose_bytes(poses, aspect)
        clips.append({"begin": begin, "frames": len(poses), **measures, "data": deflate(content)})
    return clips


def _stride(windows: Windows) -> int:
    """Frames between two windows; the last one ends with the recording, whatever the stride."""
    return round((windows.ends_s[1] - windows.ends_s[0]) * FPS) if len(windows.ends_s) > 2 else windows.frames


def _digest_of(content: recordings.Content, windows: Windows, events: Sequence[Sequence[float]]) -> str:
    digest = hashlib.sha256(json.dumps([*content, windows.length, events]).encode())
    digest.update(np.ascontiguousarray(windows.probabilities, dtype="<f8").tobytes())
    digest.update(np.ascontiguousarray(windows.curve, dtype="<f4").tobytes())
    return digest.hexdigest()[:16]
