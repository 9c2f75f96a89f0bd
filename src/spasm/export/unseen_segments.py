"""Labelled segments of children that a run was not trained on, to compare its network with its blend on them."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spasm.core.errors import DataError, DataProblems, collect_errors, first_few, printable
from spasm.data.annotations import read_labels
from spasm.data.landmark_sets import keep_landmarks
from spasm.data.naming import child_of, list_segments
from spasm.data.segments import read_pose
from spasm.runs.artefacts import Decision, read_decision
from spasm.runs.training_segments import pose_digest, read_training_segments

NAMES = "challenge"  # the pattern of the segments' names


class Unseen(NamedTuple):
    """N labelled segments."""

    folder: Path
    paths: list[Path]
    labels: np.ndarray
    """(N,) int64 of 0 and 1."""

    @property
    def children(self) -> np.ndarray:
        """(N,) text."""
        return np.array([child_of(path.name) for path in self.paths])

    def poses(self, rows: Sequence[int], frames: int) -> np.ndarray:
        """Cleaned poses (R, T, 33, 5) float32 of some of them. Raises DataError."""
        return np.stack([read_pose(self.paths[row], frames, self.folder) for row in rows])

    @property
    def where(self) -> str:
        """What they are, in words that name no place on this machine."""
        folder = printable("/".join(self.folder.absolute().parts[-2:]))
        return f"{len(self.paths)} segments of {len(set(self.children))} children in {folder}, none of them in training"


def read_unseen(data: Path, runs: Sequence[Path]) -> Unseen:
    """test/ of a simulated folder, whose labels are in truth.csv, or else train/ with train_data.csv.

    Raises DataError for segments that one of the runs was trained on, and for labels of one class.
    """
    simulated = (data / "truth.csv").is_file() and (data / "test").is_dir()
    folder, table = (data / name for name in (("test", "truth.csv") if simulated else ("train", "train_data.csv")))
    paths = list_segments(folder, NAMES, data)
    if not paths:
        raise DataError(folder, "holds no segment", "name another data folder: --evaluate-on DIR")
    read = read_labels(table, NAMES, data)
    if read.problems:
        raise DataProblems(read.problems)
    unlabelled = [path.name for path in paths if path.name not in read.labels]
    if unlabelled:
        reason = f"has no label for {len(unlabelled)} of {len(paths)} segments ({first_few(unlabelled, 3)})"
        raise DataError(table, reason, f"add them to the table, or take them out of {printable(folder)}")
    found = Unseen(folder, paths, np.array([read.labels[path.name] for path in paths], dtype=np.int64))
    if len(set(found.labels)) < 2:
        raise DataError(table, "has labels of one class, so that nothing can be compared", "add the other class")
    for run in runs:
        _check_unseen(found, run, read_decision(run))
    return found


def _check_unseen(found: Unseen, run: Path, decision: Decision) -> None:
    """Raises DataError for poses that the run was trained on. Ids are not compared: every hospital counts from 1."""
    known = read_training_segments(run)
    problems: list[DataError] = []
    inside = []
    for row, path in enumerate(found.paths):
        with collect_errors(problems):
            pose = found.poses([row], decision.frames)[0]
            if pose_digest(keep_landmarks(pose, decision.data.landmarks)) in known.poses:
                inside.append(path.name)
    if problems:
        raise DataProblems(problems, found.paths)
    if inside:
        name, listed = printable(run.absolute().name), first_few(inside, 3)
        reason = f"holds {len(inside)} segments whose poses the run {name} was trained on ({listed})"
        raise DataError(found.folder, reason, "take them out, or name another data folder: --evaluate-on DIR")
