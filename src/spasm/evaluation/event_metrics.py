"""Metrics of detected events against true ones."""

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from spasm.evaluation import bootstrap
from spasm.evaluation.bootstrap import Estimate

# ---- events in recordings


@dataclasses.dataclass(frozen=True)
class Overlap:
    """Matching rule: a detected and a true event match if they overlap after this padding, merging and splitting."""

    before_s: float = 0.0
    """Added before a true event."""
    after_s: float = 0.0
    """Added after a true event."""
    join_s: float = 0.0
    """Gap below which two true events, or two detected ones, are merged."""
    longest_s: float = math.inf
    """A longer event is split into events of this length; else an endless alarm would match everything."""


# The defaults of SzCORE (Dan et al. 2024, Epilepsia), made for seizures of minutes. They are too lenient for short
# events: with 90 s of margins, random calls once a minute find four of five spasms. And events less than 90 s apart
# are merged, so that a cluster of twenty spasms is one event, found by a single hit.
SZCORE = Overlap(before_s=30, after_s=60, join_s=90, longest_s=300)


class EventCounts(NamedTuple):
    """Counts of one recording, to be summed for the metrics."""

    true: int
    found: int
    detected: int
    false: int
    hours: float
    latencies_s: np.ndarray  # of each true event that was found, from its onset to when it was detectable
    onset_errors_s: np.ndarray  # of each true event that was found: detected minus true onset


def compare_events(
    true: np.ndarray, detected: np.ndarray, detectable_at_s: np.ndarray, duration_s: float, overlap: Overlap
) -> EventCounts:
    """Count matches by any overlap. A match can be many to many; a false detected event matches no true one.

    true: (E, 2), detected: (D, 2), onset and offset in seconds, each in order of onset; detectable_at_s: (D,), when
    each detected event was known. Latency and onset error are those of the first detected event that matches.
    """
    margins = np.array([-overlap.before_s, overlap.after_s])
    all_true, all_detected = _prepared(true, overlap), _prepared(detected, overlap)
    matches = _overlaps((all_true + margins).clip(0, duration_s), all_detected)
    # A piece of a very long event was not known before the piece began.
    pieces = _prepared(detected, Overlap(longest_s=overlap.longest_s))
    detectable_at_s = np.maximum(
        detectable_at_s[np.searchsorted(detected[:, 0], pieces[:, 0], side="right") - 1], pieces[:, 0]
    )
    each = _overlaps((true + margins).clip(0, duration_s), pieces)
    hit = each.any(axis=1)
    first = each[hit].argmax(axis=1) if len(pieces) else np.zeros(0, dtype=int)
    return EventCounts(
        true=len(all_true),
        found=int(matches.any(axis=1).sum()),
        detected=len(all_detected),
        false=int((~matches.any(axis=0)).sum()),
        hours=duration_s / 3600,
        latencies_s=detectable_at_s[first] - true[hit, 0],
        onset_errors_s=pieces[first, 0] - true[hit, 0],
    )


def _overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(A, B) bool: which events overlap by more than rounding."""
    shared = np.minimum(a[:, None, 1], b[None, :, 1]) - np.maximum(a[:, None, 0], b[None, :, 0])
    return shared > 1e-6


def _prepared(events: np.ndarray, overlap: Overlap) -> np.ndarray:
    """Events (E, 2), merged and split."""
    if not len(events):
        return np.empty((0, 2))
    offsets_s = np.maximum.accumulate(events[:, 1])  # an event may lie within another
    apart = events[1:, 0] - offsets_s[:-1] >= overlap.join_s - 1e-9
    joined = np.column_stack([events[np.append(True, apart), 0], offsets_s[np.append(apart, True)]])
    pieces = []
    for onset, offset in joined:
        cuts = np.arange(onset, offset - 1e-9, overlap.longest_s) if math.isfinite(overlap.longest_s) else [onset]
        pieces += list(zip(cuts, [*cuts[1:], offset], strict=True))
    return np.array(pieces)


def evaluate_events(counts: Sequence[EventCounts], children: Sequence[str], seed: int = 0) -> dict[str, Estimate]:
    """Metrics of all recordings together, each with a 95 % interval over children.

    Without any true event, as of controls, the sensitivity is None.
    """
    point, replicates = event_replicates(counts, children, seed)
    return {name: bootstrap.interval(point[name], replicates[name], len(set(children))) for name in point}


def event_replicates(
    counts: Sequence[EventCounts], children: Sequence[str], seed: int = 0
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """The same metrics, and their replicates (RESAMPLES,) over resamples of the children; NaN: undefined.

    The same children and seed give the same resamples, so that runs can be compared resample by resample.
    """
    child = bootstrap.number_children(children)
    totals = np.zeros((child.max() + 1, 5))
    np.add.at(totals, child, np.array([count[:5] for count in counts], dtype=float))
    resampled = bootstrap.sample_children(len(totals), np.random.default_rng(seed))
    point = {name: float(value[0]) for name, value in _event_metrics(totals.sum(0, keepdims=True)).items()}
    return point, _event_metrics(resampled @ totals)


def _event_metrics(totals: np.ndarray) -> dict[str, np.ndarray]:
    """Each metric (R,) of summed counts (R, 5); as in SzCORE, hits are counted among the true events."""
    true, found, _, false, hours = totals.T
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "event_sensitivity": found / true,
            "event_precision": found / (found + false),
            "event_f1": 2 * found / (found + false + true),
            "false_alarms_per_hour": false / hours,
        }
