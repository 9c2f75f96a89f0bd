"""Where wrong predictions come from, as far as the truth is known: gaps, attention, kinds of spasm, children."""

from collections import Counter

import numpy as np

from spasm.data.pose import visible_mask
from spasm.explain.attributions import Evidence
from spasm.report.predictions import SegmentPredictions, percent

HIDDEN = 0.5  # fraction of a true event without a pose, above which nobody could have seen it


def missing_event_fraction(predictions: SegmentPredictions, row: int) -> float | None:
    """The fraction of a segment's true events in which no landmark was found; None where no event is known."""
    inside = _event_mask(predictions, row)
    if inside is None:
        return None
    has_pose = np.asarray(visible_mask(predictions.poses[row]).any(axis=1))
    return float(1 - has_pose[inside].mean())


def describe_errors(predictions: SegmentPredictions, rows: np.ndarray, evidence: Evidence) -> list[str]:
    """Sentences about the errors; rows: the segments that `evidence` is about."""
    assert predictions.labels is not None
    truth, positive, children = predictions.labels == 1, predictions.positive, np.asarray(predictions.children)
    lines = [_by_child(truth, positive, children), _by_kind(predictions), _misses(predictions, rows, evidence)]
    empty = ~predictions.has_pose
    if empty.any():
        lines.append(
            f"Of {empty.sum()} segments without any pose {(empty & positive).sum()} were called positive, which is "
            f"{(empty & positive & ~truth).sum()} of {(positive & ~truth).sum()} false alarms; "
            f"{(empty & ~positive & truth).sum()} of {(truth & ~positive).sum()} missed spasms are such segments. They "
            "are answered as their like were labelled in training, and are not listed below."
        )
    return [line for line in lines if line]


def _by_child(truth: np.ndarray, positive: np.ndarray, children: np.ndarray) -> str:
    place = np.unique(children, return_inverse=True)[1]
    has_spasm, detected = np.bincount(place, truth) > 0, np.bincount(place, truth & positive) > 0
    false_alarm = np.bincount(place, ~truth & positive) > 0
    line = f"Of {has_spasm.sum()} children with a spasm {(has_spasm & detected).sum()} have one that was found"
    if not has_spasm.all():
        line += f"; of {(~has_spasm).sum()} children without {(~has_spasm & false_alarm).sum()} have a false alarm"
    return f"{line}."


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
    parts = [f"{kind} {detected[kind]} of {count} ({percent(detected[kind] / count)})" for kind, count in total.items()]
    return f"Segments with a spasm that were found, by its kind: {', '.join(parts)}." if parts else ""


def _misses(predictions: SegmentPredictions, rows: np.ndarray, evidence: Evidence) -> str:
    """Why spasms were missed, where events are known."""
    assert predictions.labels is not None
    hidden = attended = elsewhere = 0
    for number, row in enumerate(rows):
        inside = _event_mask(predictions, int(row))
        if inside is None or predictions.labels[row] != 1 or predictions.positive[row]:
            continue
        attention = evidence.attention[number]
        if (missing_event_fraction(predictions, int(row)) or 0) > HIDDEN:
            hidden += 1
        elif attention.any() and not inside[attention.argmax()]:
            elsewhere += 1
        else:
            attended += 1
    if not hidden + attended + elsewhere:
        return ""
    return (
        f"Of {hidden + attended + elsewhere} missed spasms whose time is known {hidden} lie mostly in gaps, "
        f"where nobody could see them; in {elsewhere} others the network looked elsewhere, in {attended} it looked "
        "there, or there is none, and was not convinced."
    )


def _event_mask(predictions: SegmentPredictions, row: int) -> np.ndarray | None:
    """Which frames (T,) lie in a true event; None where none is known."""
    inside = np.zeros(predictions.poses.shape[1], dtype=bool)
    for first, last, _ in predictions.events.get(predictions.names[row], []):
        inside[max(0, int(first)) : int(last) + 1] = True
    return inside if inside.any() else None
