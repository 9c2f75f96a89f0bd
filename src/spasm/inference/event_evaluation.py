"""Evaluate the detected events of recordings with known true events."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from spasm.core import files
from spasm.data.naming import child_of
from spasm.evaluation.bootstrap import Estimate
from spasm.evaluation.event_metrics import SZCORE, Overlap, evaluate_events
from spasm.inference.event_detection import STEP_S, Event, Windows, clusters, clusters_detected, spans
from spasm.inference.event_rule_selection import count

LONGEST_S = 10.0  # of a spasm; a longer detected event counts as several
TRADE_OFF_COLUMNS = ("max_false_alarms_per_hour", "false_alarms_per_hour", "sensitivity")


class EventEvaluation(NamedTuple):
    """Metrics of the events of R recordings against the true ones."""

    recordings: int
    children: int
    hours: float
    metrics: dict[str, dict[str, Estimate]]
    """By matching rule: `... s tolerance`, and SzCORE's."""
    timing: dict[str, float]
    """Medians over the detected true events, in seconds; empty without any."""
    clusters: dict[str, float | None]
    """Their numbers; the fraction with a detected event is None without a true one."""
    missed: int
    """True events that no detected one matches."""
    missed_unseen: int
    """Those of them in which nothing was seen."""
    seen_hours: float
    """Hours with a probability."""
    false_alarms_per_seen_hour: float | None

    def as_json(self) -> dict[str, Any]:
        """The content of event_metrics.json."""
        unseen = {
            "missed": self.missed,
            "missed_while_nothing_was_seen": self.missed_unseen,
            "seen_hours": round(self.seen_hours, 4),
            "false_alarms_per_seen_hour": self.false_alarms_per_seen_hour,
        }
        return {**self.metrics, **self.timing, "clusters": self.clusters, **unseen}


def overlap_rule(tolerance_s: float) -> Overlap:
    """The rule by which a detected event matches a spasm."""
    return Overlap(tolerance_s, tolerance_s, longest_s=LONGEST_S)


def evaluate_recordings(
    predicted: Mapping[Path, Windows],
    detected: Mapping[Path, list[Event]],
    true: Mapping[str, np.ndarray],
    tolerance_s: float,
) -> EventEvaluation:
    """Metrics of the events of recordings; true: (E, 2) of each recording, by its file's name."""
    children = [child_of(path.name) for path in predicted]
    within_tolerance = f"{tolerance_s:g} s tolerance"
    counts = {
        name: [count(windows, detected[path], true[path.name], overlap) for path, windows in predicted.items()]
        for name, overlap in ((within_tolerance, overlap_rule(tolerance_s)), ("SzCORE", SZCORE))
    }
    missed = np.array(
        [count_missed(windows, detected[path], true[path.name], tolerance_s) for path, windows in predicted.items()]
    )
    seen_hours = sum(windows.total_seen_s for windows in predicted.values()) / 3600
    false = sum(one.false for one in counts[within_tolerance])
    latencies_s = np.concatenate([one.latencies_s for one in counts[within_tolerance]])
    errors_s = np.concatenate([one.onset_errors_s for one in counts[within_tolerance]])
    timing = {}
    if len(latencies_s):
        timing = {
            "median_latency_s": float(np.median(latencies_s)),
            "median_onset_error_s": float(np.median(errors_s)),
            "median_absolute_onset_error_s": float(np.median(np.abs(errors_s))),
        }
    return EventEvaluation(
        recordings=len(predicted),
        children=len(set(children)),
        hours=sum(windows.duration_s for windows in predicted.values()) / 3600,
        metrics={name: evaluate_events(of_all, children) for name, of_all in counts.items()},
        timing=timing,
        clusters=_evaluate_clusters(detected, true, tolerance_s),
        missed=int(missed[:, 0].sum()),
        missed_unseen=int(missed[:, 1].sum()),
        seen_hours=seen_hours,
        false_alarms_per_seen_hour=false / seen_hours if seen_hours else None,
    )


def count_missed(windows: Windows, detected: Sequence[Event], true: np.ndarray, tolerance_s: float) -> tuple[int, int]:
    """How many true events (E, 2) no detected one matches, and in how many of those nothing was seen."""
    onsets_s, offsets_s = spans(detected).T[:, None]
    matches = (onsets_s < true[:, 1:] + tolerance_s) & (offsets_s > true[:, :1] - tolerance_s)  # (E, detected)
    missed = ~matches.any(axis=1)
    steps = np.column_stack([np.floor(true[:, 0] / STEP_S + 1e-6), np.ceil(true[:, 1] / STEP_S - 1e-6)]).astype(int)
    unseen = np.array([not windows.is_seen[first:last].any() for first, last in steps], dtype=bool)
    return int(missed.sum()), int((missed & unseen).sum())


def _evaluate_clusters(
    detected: Mapping[Path, list[Event]], true: Mapping[str, np.ndarray], tolerance_s: float
) -> dict[str, float | None]:
    """Numbers of true and detected clusters, and the fraction of true clusters with a detected event."""
    met = [clusters_detected(true[path.name], events, tolerance_s) for path, events in detected.items()]
    pairs = [
        (len(set(clusters(true[path.name]))), len(set(clusters(spans(events))))) for path, events in detected.items()
    ]
    return {
        "true": sum(a for a, _ in pairs),
        "detected": sum(b for _, b in pairs),
        "mean_absolute_error_per_recording": float(np.mean([abs(a - b) for a, b in pairs])),
        "fraction_with_a_detected_event": float(all_met.mean()) if len(all_met := np.concatenate(met)) else None,
    }


def write_trade_off(path: Path, rows: list[tuple[float, float, float]]) -> None:
    """Write the rows of `sensitivity_at_fa_limits`: the sensitivity under limits on false alarms."""
    files.write_csv(path, TRADE_OFF_COLUMNS, rows, files.TABLE_DIGITS)
