"""Where wrong answers come from, as far as the truth is known: gaps, attention, kinds of spasm, children."""

from collections import Counter

import numpy as np

from spasm.data.pose import visible_mask
from spasm.explain.attributions import Evidence
from spasm.report.predictions import Answers, percent

HIDDEN = 0.5  # share of a true event without a pose from which nobody could have seen it


def unseen(answers: Answers, row: int) -> float | None:
    """The share of a segment's true events in which no landmark was found; None where no event is known."""
    inside = _inside(answers, row)
    if inside is None:
        return None
    there = np.asarray(visible_mask(answers.poses[row]).any(axis=1))
    return float(1 - there[inside].mean())


def mistakes(answers: Answers, rows: np.ndarray, evidence: Evidence) -> list[str]:
    """Sentences on the answers; rows: the segments whose evidence is there."""
    assert answers.labels is not None
    truth, called, children = answers.labels == 1, answers.positive, np.asarray(answers.children)
    lines = [_by_child(truth, called, children), _by_kind(answers), _misses(answers, rows, evidence)]
    empty = ~answers.has_pose
    if empty.any():
        lines.append(
            f"Of {empty.sum()} segments without any pose {(empty & called).sum()} were called positive, which is "
            f"{(empty & called & ~truth).sum()} of {(called & ~truth).sum()} false alarms; "
            f"{(empty & ~called & truth).sum()} of {(truth & ~called).sum()} missed spasms are such segments. They are "
            "answered as their like were labelled in training, and are not listed below."
        )
    return [line for line in lines if line]


def _by_child(truth: np.ndarray, called: np.ndarray, children: np.ndarray) -> str:
    place = np.unique(children, return_inverse=True)[1]
    has, told = np.bincount(place, truth) > 0, np.bincount(place, truth & called) > 0
    alarmed = np.bincount(place, ~truth & called) > 0
    line = f"Of {has.sum()} children with a spasm {(has & told).sum()} have one that was found"
    if not has.all():
        line += f"; of {(~has).sum()} children without {(~has & alarmed).sum()} have a false alarm"
    return f"{line}."


def _by_kind(answers: Answers) -> str:
    """How many spasms of each kind were found, where kinds are known."""
    assert answers.labels is not None
    all_of, found_of = Counter[str](), Counter[str]()
    for row, name in enumerate(answers.names):
        kinds = {kind for _, _, kind in answers.events.get(name, []) if kind} if answers.labels[row] == 1 else set()
        for kind in kinds:
            all_of[kind] += 1
            found_of[kind] += bool(answers.positive[row])
    told = [f"{kind} {found_of[kind]} of {count} ({percent(found_of[kind] / count)})" for kind, count in all_of.items()]
    return f"Segments with a spasm that were found, by its kind: {', '.join(told)}." if told else ""


def _misses(answers: Answers, rows: np.ndarray, evidence: Evidence) -> str:
    """Why spasms were missed, where events are known."""
    assert answers.labels is not None
    hidden = there = elsewhere = 0
    for number, row in enumerate(rows):
        inside = _inside(answers, int(row))
        if inside is None or answers.labels[row] != 1 or answers.positive[row]:
            continue
        looked = evidence.attention[number]
        if (unseen(answers, int(row)) or 0) > HIDDEN:
            hidden += 1
        elif looked.any() and not inside[looked.argmax()]:
            elsewhere += 1
        else:
            there += 1
    if not hidden + there + elsewhere:
        return ""
    return (
        f"Of {hidden + there + elsewhere} missed spasms whose time is known {hidden} lie mostly in gaps, "
        f"where nobody could see them; in {elsewhere} others the network looked elsewhere, in {there} it looked there, "
        "or there is none, and was not convinced."
    )


def _inside(answers: Answers, row: int) -> np.ndarray | None:
    """Which frames (T,) lie in a true event; None where none is known."""
    inside = np.zeros(answers.poses.shape[1], dtype=bool)
    for first, last, _ in answers.events.get(answers.names[row], []):
        inside[max(0, int(first)) : int(last) + 1] = True
    return inside if inside.any() else None
