"""Answered segments as a report shows them, and which of them are worth a look."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from spasm.data.annotations import LabelLevel
from spasm.data.dataset import SegmentFiles
from spasm.data.pose import FRAMES
from spasm.ensemble.calibration import logit


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
    has_pose: np.ndarray
    """(N,) bool: a landmark was found in some frame."""
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
    label_level: LabelLevel = LabelLevel.SEGMENT


def max_players(films: int, frames: int) -> int:
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
    """Rows of wrong answers, the surest first; of new segments all, the most probable first. Only with a pose."""
    above = distance(answers)
    if answers.labels is None:
        rows = np.flatnonzero(answers.has_pose)
        return rows[np.argsort(-above[rows], kind="stable")]
    rows = np.flatnonzero((answers.positive != (answers.labels == 1)) & answers.has_pose)
    return rows[np.argsort(-np.abs(above[rows]), kind="stable")]


def least_certain(answers: Answers) -> np.ndarray:
    """Rows with a pose by how close the probability is to its threshold."""
    rows = np.argsort(np.abs(distance(answers)), kind="stable")
    return rows[answers.has_pose[rows]]


def distance(answers: Answers) -> np.ndarray:
    """How far each answer's log-odds are above its threshold's."""
    return logit(answers.probability) - logit(answers.thresholds)


def percent(share: float) -> str:
    """A share as text."""
    return f"{100 * share:.0f} %"
