"""The evaluation of a run on recordings of others with true events, as aggregates that name no child."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spasm.config.events import Hysteresis
from spasm.data.naming import child_of
from spasm.evaluation import bootstrap
from spasm.evaluation.event_metrics import SZCORE, EventCounts, event_replicates
from spasm.evaluation.shareable import DIGITS, FEW_DIGITS, SUPPRESSED, Scale, rounded, shareable
from spasm.evaluation.suppression import COUNT, Support, is_too_few, suppressed_cells
from spasm.inference.event_detection import Rule, Windows, clusters, clusters_detected, detect_events, spans
from spasm.inference.event_evaluation import count_missed, overlap_rule
from spasm.inference.event_rule_selection import count

LEVELS = (0.3, 0.5, 0.7, 0.9, 0.95, 0.98, 0.99)  # of the trade-off; none is chosen on these recordings
SCALES: dict[str, Scale] = {
    "event_sensitivity": "logit", "event_precision": "logit", "event_f1": "logit", "false_alarms_per_hour": "log",
}  # fmt: skip
EVENTS, DETECTED = "events", "detected"  # what counts true events, what counts detected ones
Tree = dict[str, Any]


@dataclasses.dataclass(frozen=True, eq=False)
class EvaluatedRecordings:
    """R recordings with true events, and what one run detected in them at a rule that was given."""

    children: np.ndarray
    """(R,) text."""
    counts: list[EventCounts]
    szcore: list[EventCounts]
    """By the margins of SzCORE."""
    seen_hours: np.ndarray
    """(R,) hours with a probability."""
    clusters: np.ndarray
    """(R, 3): true clusters, detected clusters, true clusters with a detected event."""
    missed: np.ndarray
    """(R, 2): missed events, and those of them in time in which nothing was seen."""
    by_level: dict[float, list[EventCounts]]
    """The same as `counts` with the rule at other levels."""
    seed: int
    """Of every resample of children. It must stay inside, see `external.Evaluated`."""

    @property
    def child(self) -> np.ndarray:
        """(R,) the number of each recording's child."""
        return bootstrap.number_children(self.children)

    def only(self, rows: np.ndarray) -> "EvaluatedRecordings":
        """Those of the rows (R,) bool."""
        kept = np.flatnonzero(rows).tolist()

        def of(values: list[EventCounts]) -> list[EventCounts]:
            return [values[row] for row in kept]

        return EvaluatedRecordings(
            self.children[rows], of(self.counts), of(self.szcore), self.seen_hours[rows], self.clusters[rows],
            self.missed[rows], {level: of(values) for level, values in self.by_level.items()}, self.seed,
        )  # fmt: skip


def evaluated(
    predicted: Mapping[Path, Windows], rule: Rule, true: Mapping[str, np.ndarray], tolerance_s: float, seed: int
) -> EvaluatedRecordings:
    """Detect events by a rule and match them with the true ones, (E, 2) of each recording by its file's name."""
    detected = {path: detect_events(windows, rule) for path, windows in predicted.items()}
    overlap = overlap_rule(tolerance_s)
    grouped, missed = [], []
    for path, windows in predicted.items():
        of_one, events = true[path.name], detected[path]
        met = clusters_detected(of_one, events, tolerance_s)
        grouped.append((len(set(clusters(of_one))), len(set(clusters(spans(events)))), int(met.sum())))
        missed.append(count_missed(windows, events, of_one, tolerance_s))
    return EvaluatedRecordings(
        children=np.array([child_of(path.name) for path in predicted]),
        counts=[count(windows, detected[path], true[path.name], overlap) for path, windows in predicted.items()],
        szcore=[count(windows, detected[path], true[path.name], SZCORE) for path, windows in predicted.items()],
        seen_hours=np.array([windows.total_seen_s / 3600 for windows in predicted.values()]),
        clusters=np.array(grouped).reshape(-1, 3),
        missed=np.array(missed).reshape(-1, 2),
        by_level={
            level: [
                count(windows, detect_events(windows, at_level(rule, level)), true[path.name], overlap)
                for path, windows in predicted.items()
            ]
            for level in LEVELS
        },
        seed=seed,
    )


def at_level(rule: Rule, level: float) -> Rule:
    """The same rule, but for the probability at which events begin."""
    if isinstance(rule, Hysteresis):
        return dataclasses.replace(rule, event_on=level, event_off=min(rule.event_off, level))
    return dataclasses.replace(rule, sum_threshold=level * rule.sum_windows)


def evaluate(one: EvaluatedRecordings, fewest: int) -> Tree:
    """Event metrics, also as means over children, timing, clusters, unseen time, and the trade-off of the rule."""
    supports = _supports(one)
    return {
        "recordings": len(one.counts),
        "children": len(supports[COUNT]),
        "hours": rounded(sum(count.hours for count in one.counts)),
        "seen_hours": rounded(float(one.seen_hours.sum())),
        "metrics": _metrics(one, one.counts, fewest) | _ratios(one, fewest),
        "szcore": _metrics(one, one.szcore, fewest),
        "timing": _timing(one, fewest),
        "trade_off": [{"level": level, **_metrics(one, counts, fewest)} for level, counts in one.by_level.items()],
    }


def partition(one: EvaluatedRecordings, cell_of: np.ndarray, fewest: int) -> Tree:
    """The event metrics within each cell of a table; cell_of: (R,) text. See `external.partition`."""
    names = [str(name) for name in np.unique(cell_of)]
    parts = {name: one.only(cell_of == name) for name in names}
    table = {name: _supports(one, rows=cell_of == name) for name in names}
    hidden = suppressed_cells(table, fewest)
    cells = {}
    for name, part in parts.items():
        if COUNT in hidden[name]:
            continue
        counts = {"recordings": len(part.counts), "children": len(table[name][COUNT])}
        counts["hours"] = rounded(sum(count.hours for count in part.counts))  # type: ignore[assignment]
        cells[name] = {**counts, "metrics": _metrics(part, part.counts, fewest, hidden[name])}
    return {"cells": cells, "hidden_cells": len(names) - len(cells)}


def compare(one: EvaluatedRecordings, other: EvaluatedRecordings, fewest: int) -> Tree:
    """The event metrics of `one` minus those of `other` in the same recordings, paired over children."""
    (point, replicates), (point_of_other, replicates_of_other) = (
        event_replicates(part.counts, list(part.children), one.seed) for part in (one, other)
    )
    both = [_supports(part) for part in (one, other)]
    found = {}
    for metric in SCALES:
        supports = [part[metric] for part in both]
        if any(is_too_few(support, fewest) for support in supports):
            found[metric] = dict(SUPPRESSED)
            continue
        difference = replicates[metric] - replicates_of_other[metric]
        value = point[metric] - point_of_other[metric]
        found[metric] = shareable(value, difference, len(both[0][COUNT]), "identity", min(map(len, supports)))
    return found


def _supports(
    one: EvaluatedRecordings, counts: Sequence[EventCounts] | None = None, rows: np.ndarray | None = None
) -> dict[str, Support]:
    """The children that each metric rests on; rows: (R,) bool, those of a cell."""
    numbered = list(zip(one.child.tolist(), counts or one.counts, strict=True))
    if rows is not None:
        numbered = [pair for pair, inside in zip(numbered, rows, strict=True) if inside]
    everyone = frozenset(child for child, _ in numbered)
    with_events = frozenset(child for child, count in numbered if count.true)
    with_detected = frozenset(child for child, count in numbered if count.detected)
    # Sensitivity and false alarms give away the precision and F1: they rest on the children with detected events, too.
    # No event, or no detected event, is a fact about all children.
    detected = with_detected or everyone
    both = min(with_events or everyone, detected, key=len)
    return {
        COUNT: everyone,
        EVENTS: with_events,
        DETECTED: both,
        "event_sensitivity": both if with_events else with_events,
        # With the number of false alarms it gives away how many events were found.
        "event_precision": both if with_detected else with_detected,
        "event_f1": both if with_events else with_events,
        "false_alarms_per_hour": detected,
    }


def _size(supports: Mapping[str, Support], metric: str) -> int:
    """The children over whom a metric is a fraction: few detected events do not enter that number."""
    return len(supports[EVENTS if metric == "event_sensitivity" else metric])


def _metrics(
    one: EvaluatedRecordings, counts: Sequence[EventCounts], fewest: int, hidden: Collection[str] = ()
) -> Tree:
    """The metrics of counts (R,); hidden: those that are suppressed anyway."""
    hours, supports = sum(count.hours for count in counts), _supports(one, counts)
    hidden = {*hidden, *(metric for metric, support in supports.items() if is_too_few(support, fewest))}
    point, replicates = event_replicates(counts, list(one.children), one.seed)
    return {
        name: dict(SUPPRESSED)
        if name in hidden
        else shareable(
            point[name], replicates[name], len(supports[COUNT]), scale, _size(supports, name),
            0.5 / hours if scale == "log" else None,
        )
        for name, scale in SCALES.items()
    }  # fmt: skip


def _ratios(one: EvaluatedRecordings, fewest: int) -> Tree:
    """Metrics that are ratios of sums over children, or means over them, with intervals."""
    supports = _supports(one)
    child, count = one.child, len(supports[COUNT])

    def by_child(values: Sequence[float] | np.ndarray) -> np.ndarray:
        return np.bincount(child, np.asarray(values, dtype=float), minlength=count)

    true, found, false, hours = (
        by_child([getattr(of_one, name) for of_one in one.counts]) for name in ("true", "found", "false", "hours")
    )
    seen_hours, unseen = by_child(one.seen_hours), by_child(one.missed[:, 1])
    grouped, met = by_child(one.clusters[:, 0]), by_child(one.clusters[:, 2])
    ones, has_events = np.ones(count), (true > 0).astype(float)
    sensitivity = np.divide(found, true, out=np.zeros(count), where=true > 0)
    seen = max(float(seen_hours.sum()), 1e-9)
    ratios: dict[str, tuple[np.ndarray, np.ndarray, Scale, str]] = {
        "sensitivity_mean_over_children": (sensitivity, has_events, "logit", "event_sensitivity"),
        "false_alarms_per_hour_mean_over_children": (false / hours, ones, "log", "false_alarms_per_hour"),
        "false_alarms_per_seen_hour": (false, seen_hours, "log", "false_alarms_per_hour"),
        "clusters_with_a_detected_event": (met, grouped, "logit", "event_sensitivity"),
        "events_missed_while_nothing_was_seen": (unseen, true, "logit", "event_sensitivity"),
        "true_clusters_per_hour": (grouped, hours, "log", EVENTS),
        "detected_clusters_per_hour": (by_child(one.clusters[:, 1]), hours, "log", DETECTED),
    }
    resampled = bootstrap.sample_children(count, np.random.default_rng(one.seed))
    tree: Tree = {}
    for name, (part, whole, scale, rests_on) in ratios.items():
        if is_too_few(supports[rests_on], fewest):
            tree[name] = dict(SUPPRESSED)
            continue
        with np.errstate(invalid="ignore", divide="ignore"):
            point, replicates = float(part.sum() / whole.sum()), (resampled @ part) / (resampled @ whole)
        smallest = 0.5 / seen if scale == "log" else None
        # The mean of fractions such as 3/7 and 2/5 would give away what they are.
        digits = FEW_DIGITS if "mean_over_children" in name else DIGITS
        tree[name] = shareable(point, replicates, count, scale, _size(supports, rests_on), smallest, digits)
    return tree


def _timing(one: EvaluatedRecordings, fewest: int) -> Tree:
    """Medians over the events that were found, in seconds, with intervals over children."""
    child, count = one.child, len(set(one.children))
    values = {
        "latency_s": [of_one.latencies_s for of_one in one.counts],
        "onset_error_s": [of_one.onset_errors_s for of_one in one.counts],
        "absolute_onset_error_s": [np.abs(of_one.onset_errors_s) for of_one in one.counts],
    }
    resampled = bootstrap.sample_children(count, np.random.default_rng(one.seed))
    tree: Tree = {}
    for name, of_recordings in values.items():
        joined = np.concatenate(of_recordings) if of_recordings else np.zeros(0)
        owner = np.repeat(child, [len(part) for part in of_recordings])
        support = len(np.unique(owner))
        if support < fewest:
            tree[name] = dict(SUPPRESSED) | ({} if support else {"suppressed": False, "scale": "identity"})
            continue
        replicates = weighted_medians(joined, resampled[:, owner])
        tree[name] = shareable(float(np.median(joined)), replicates, count, "identity", support)
    return tree


def weighted_medians(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The median (R,) of values (N,) that count weights (R, N) times each; NaN where none counts."""
    order = np.argsort(values, kind="stable")
    ranked, total = weights[:, order].cumsum(axis=1), weights.sum(axis=1)
    ends = [np.argmax(ranked >= np.maximum(place, 1)[:, None], axis=1) for place in (total // 2, total // 2 + 1)]
    low, high = values[order][ends[0]], values[order][ends[1]]
    median = np.where(total % 2 == 1, high, (low + high) / 2)
    return np.where(total > 0, median, np.nan)
