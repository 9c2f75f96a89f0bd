"""RUN/segments.csv: a digest of the poses of every training segment, so that a run recognises what it was trained on.

A digest stands for what the run reads: the checked poses, with the run's landmarks. Names and ids do not enter it,
because every hospital counts from 1. A second digest, of the first frame with a pose, finds a training segment inside
a longer recording.
"""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spasm.core import files
from spasm.core.errors import DataError
from spasm.core.tables import read_table
from spasm.core.text import shell_words
from spasm.data.dataset import TrainingData
from spasm.data.pose import visible_mask

NAME = "segments.csv"
COLUMNS = ("segment_name", "pose_sha256", "frame_sha256")


class TrainingSegments(NamedTuple):
    """What a run knows of the segments that it was trained on."""

    poses: frozenset[str]
    """Digests of their poses; a segment without any pose has none."""
    frames: frozenset[str]
    """Digests of the first frame with a pose of each."""
    children: frozenset[str]
    """Their ids."""


def pose_digest(pose: np.ndarray) -> str:
    """The sha256, in hex, of a checked pose (T, 33, 5); empty without any pose, since all such segments are alike."""
    return hashlib.sha256(plain_bytes(pose)).hexdigest() if visible_mask(pose).any() else ""


def frame_digests(poses: np.ndarray) -> Iterator[str]:
    """The sha256, in hex, of each frame with a pose; poses: (F, 33, 5)."""
    posed = poses[visible_mask(poses).any(axis=1)]
    content, size = plain_bytes(posed), posed[:1].size * 4
    for start in range(0, len(content), size or 1):
        yield hashlib.sha256(content[start : start + size]).hexdigest()


def plain_bytes(poses: np.ndarray) -> bytes:
    """The bytes of poses with one NaN and one zero, since tools write several of each."""
    plain = np.where(np.isnan(poses), np.float32(np.nan), poses + np.float32(0))
    return np.ascontiguousarray(plain, np.float32).tobytes()


def write_training_segments(run: Path, data: TrainingData) -> None:
    """Write the table of a run, unless it is there."""
    if (run / NAME).exists():
        return
    rows = []
    for name, pose in zip(data.names, data.poses, strict=True):
        rows.append((name, pose_digest(pose), next(frame_digests(pose), "")))
    files.write_csv(run / NAME, COLUMNS, rows)


def read_training_segments(run: Path) -> TrainingSegments:
    """Read the table, which must name the segments of folds.csv. Raises DataError."""
    path = run / NAME
    hint = f"write it again, with the training data: python src/train_folds.py --decide-only --run {shell_words(run)}"
    if not path.exists():
        raise DataError(path, "is not there, so that the run does not recognise its training segments", hint)
    try:
        rows = read_table(path, COLUMNS)
    except DataError as error:
        raise DataError(path, f"is damaged: {error.reason}", f"delete it, then {hint}") from error
    folds = read_table(run / "folds.csv", ("segment_name", "child"))
    digests = [row[column] for row in rows for column in COLUMNS[1:] if row[column]]
    whole = [row["segment_name"] for row in rows] == [row["segment_name"] for row in folds]
    if not whole or not all(re.fullmatch("[0-9a-f]{64}", digest) for digest in digests):
        raise DataError(path, "does not hold a digest of each segment of folds.csv", f"delete it, then {hint}")
    return TrainingSegments(
        poses=frozenset(row["pose_sha256"] for row in rows) - {""},
        frames=frozenset(row["frame_sha256"] for row in rows) - {""},
        children=frozenset(row["child"] for row in folds),
    )
