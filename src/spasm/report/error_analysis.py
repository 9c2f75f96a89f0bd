"""Where wrong predictions come from, as far as the truth is known: gaps, attention, kinds of spasm, children."""

from collections import Counter

import numpy as np

from spasm.data.pose import visible_mask
from spasm.explain.attributions import Evidence
from spasm.report.predictions import SegmentPredictions, percent

HIDDEN = 0.5  # fraction of a true event without a pose, above which it could hardly be seen


def missing_event_fraction(predictions: SegmentPredictions, row: int) -> float | None:
    """The fraction of a segment's true events in which no landmark was found; None where no event is known."""
    inside = _event_mask(predictions, row)
    if inside is None:
        return None
    has_pose = np.asarray(visible_mask(predictions.poses[row]).any(axis=1))
    return float(1 - has_pose[inside].mean())


def describe_errors(predictions: SegmentPredictions, rows: np.ndarray, evidence: Evidence) -> list[str]:
    """Sentences about the errors, why spasms were missed first; rows: the segments that `evidence` is about."""
    assert predictions.labels is not None
    truth, positive, children = predictions.labels == 1, predictions.positive, np.asarray(predictions.children)
    lines = [
        _misses(predictions, rows, evidence),
        _by_gaps(predictions),
        _by_kind(predictions),
        _by_child(truth, positive, children),
    ]
    return [line for line in lines if line]


def _by_child(truth: np.ndarray, positive: np.ndarray, children: np.ndarray) -> str:
    place = np.unique(children, return_inverse=True)[1]
    has_spasm, detected = np.bincount(place, truth) > 0, np.bincount(place, truth & positive) > 0
    false_alarm = np.bincount(place, ~truth & positive) > 0
    line = f"In {(has_spasm & detected).sum()} of {has_spasm.sum()} children with spasms at least one is found."
    if not has_spasm.all():
        line += (
            f" {(~has_spasm & false_alarm).sum()} of {(~has_spasm).sum()} children without spasms have a false alarm."
        )
    return line


def _by_gaps(predictions: SegmentPredictions) -> str:
    """How many of the spasms that could hardly be seen were found, and how many of the others; where both exist."""
    assert predictions.labels is not None
    total, found = Counter[bool](), Counter[bool]()
    for row in np.flatnonzero(predictions.labels == 1):
        missing = missing_event_fraction(predictions, int(row))
        if missing is not None:
            total[missing > HIDDEN] += 1
            found[missing > HIDDEN] += bool(predictions.positive[row])
    if not total[True] or not total[False]:
        return ""
    return (
        f"Of the spasms that lie mostly in gaps {found[True]} of {total[True]} are found; of the others "
        f"{found[False]} of {total[False]} ({percent(found[False] / total[False])})."
    )


def _by_kind(predictions: SegmentPredictions) -> str:
    """How many spasms of each kind were found, where kinds are known."""
    assert predictions.labels is not None
    total, detected = Counter[str](), Counter[str]()
    for row, name in enumerate(predictions.names):
        if predictions.labels[row] != 1:
            continue
        for kind in {kind for _, _, kind in predictions.events.get(name, []) if kind}:
            total[kind] += 1
            detected[kind] += bool(predictions.positive[row])
    kinds = sorted(total, key=lambda kind: (detected[kind] / total[kind], kind))
    parts = [f"{kind} {detected[kind]} of {total[kind]} ({percent(detected[kind] / total[kind])})" for kind in kinds]
    twice = " A segment with two kinds counts for both." if sum(total.values()) > predictions.labels.sum() else ""
    return f"Found, by kind of spasm, the worst first: {', '.join(parts)}.{twice}" if parts else ""


def _misses(predictions: SegmentPredictions, rows: np.ndarray, evidence: Evidence) -> str:
    """Why spasms were missed, where events are known."""
    assert predictions.labels is not None
    hidden = attended = elsewhere = unattended = 0
    has_network = any(evidence.networks.values())  # the attention of a network without weight explains no error
    for number, row in enumerate(rows):
        inside = _event_mask(predictions, int(row))
        if inside is None or predictions.labels[row] != 1 or predictions.positive[row]:
            continue
        attention = evidence.attention[number]
        if (missing_event_fraction(predictions, int(row)) or 0) > HIDDEN:
            hidden += 1
        elif not has_network or not attention.any():
            unattended += 1
        elif inside[attention.argmax()]:
            attended += 1
        else:
            elsewhere += 1
    total = hidden + attended + elsewhere + unattended
    if not total:
        return ""
    reasons = (
        (hidden, "lie mostly in gaps without a pose and could hardly be seen"),
        (elsewhere, "have the highest attention outside the spasm"),
        (attended, "have the highest attention on the spasm, but a probability below the threshold"),
        (unattended, "were seen, but have a probability below the threshold"),
    )
    parts = [f"{count} {text}" for count, text in reasons if count]
    missed = int(((predictions.labels == 1) & ~predictions.positive).sum())
    which = f"Of the {total} missed spasms" if total == missed else f"Of {total} missed spasms whose time is known"
    return f"{which}: {'; '.join(parts)}."


def _event_mask(predictions: SegmentPredictions, row: int) -> np.ndarray | None:
    """Which frames (T,) lie in a true event; None where none is known."""
    inside = np.zeros(predictions.poses.shape[1], dtype=bool)
    for first, last, _ in predictions.events.get(predictions.names[row], []):
        inside[max(0, int(first)) : int(last) + 1] = True
    return inside if inside.any() else None
