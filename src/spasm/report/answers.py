"""Answered segments as a report shows them, and which of them are worth a look."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from spasm.dataset import SegmentFiles
from spasm.decision import logit
from spasm.segments import FRAMES


@dataclasses.dataclass(frozen=True, eq=False)
class Answers:
    """N answered segments. Without labels they are new ones."""

    names: Sequence[str]
    children: Sequence[str]
    poses: np.ndarray | SegmentFiles
    """(N, T, 33, 5) float32; may lie on disk."""
    probability: np.ndarray
    """(N,)"""
    positive: np.ndarray
    """(N,) bool: the answer."""
    thresholds: np.ndarray
    """(N,) that each was held against."""
    logits: Mapping[str, np.ndarray]
    """(N,) of each member that decides."""
    notes: Mapping[str, str]
    """What stands beside an answer."""
    labels: np.ndarray | None = None
    """(N,) of 0 and 1."""
    fold_of: np.ndarray | None = None
    """(N,) the fold that answered each; None: all of them together."""
    groups: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)
    """What groups.csv says of each child."""
    events: Mapping[str, list[tuple[float, float, str]]] = dataclasses.field(default_factory=dict)
    """First and last frame and kind of the true events of segments, where known."""
    warnings: Sequence[str] = ()


def most_films(films: int, frames: int) -> int:
    """How many segments of T frames take the room of so many of 150."""
    return max(1, films * FRAMES // max(frames, FRAMES))


def kept(answers: Answers, most: int) -> np.ndarray:
    """Rows whose films go into a page: all, or of many the most wrong, the least certain and a sample, in order."""
    count = len(answers.names)
    if count <= most:
        return np.arange(count)
    wrong, unsure = worst(answers), least_certain(answers)
    rows = dict.fromkeys([*wrong[: most // 2], *unsure[: most // 4]])
    rest = np.random.default_rng(0).permutation([row for row in range(count) if row not in rows])
    return np.sort([*rows, *rest[: most - len(rows)]])


def worst(answers: Answers) -> np.ndarray:
    """Rows of wrong answers, the surest first; of new segments the positive ones, the most probable first."""
    above = distance(answers)
    there = answers.positive if answers.labels is None else answers.positive != (answers.labels == 1)
    rows = np.flatnonzero(there)
    return rows[np.argsort(-np.abs(above[rows]), kind="stable")]


def least_certain(answers: Answers) -> np.ndarray:
    """Rows by how close the probability is to its threshold."""
    return np.argsort(np.abs(distance(answers)), kind="stable")


def distance(answers: Answers) -> np.ndarray:
    """How far each answer's log-odds are above its threshold's."""
    return logit(answers.probability) - logit(answers.thresholds)
