"""A process that predicts with some models: what it is given, and what it holds.

It imports little, because one segment waits for all that it imports.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from spasm.config.data import LandmarkSet
from spasm.config.fields import SettingsError, from_tree
from spasm.config.runtime import Hardware
from spasm.core import processes
from spasm.core.errors import DataError, TrainingError
from spasm.core.windows import SharedFrames
from spasm.data.landmark_sets import keep_landmarks
from spasm.data.pictures import Pictures
from spasm.models.model import Explanation, FoldScores, Model, Predictor


class KeepLandmarks:
    """Trained folds that read only the landmarks that their run was trained with."""

    def __init__(self, folds: Predictor, landmarks: LandmarkSet) -> None:
        self.folds, self.landmarks = folds, landmarks

    def predict(self, poses: np.ndarray, rows: np.ndarray, pictures: Pictures | None = None) -> FoldScores:
        """Scores of the segments `rows` of poses (M, T, 33, 5), each with one of these landmarks."""
        return self.folds.predict(keep_landmarks(poses, self.landmarks), rows, pictures)

    def explain(self, poses: np.ndarray, rows: np.ndarray, pictures: Pictures | None = None) -> Explanation:
        """The explanation of the predictions for these segments."""
        return self.folds.explain(keep_landmarks(poses, self.landmarks), rows, pictures)


class FoldFiles(NamedTuple):
    """Trained folds of a model in their files, and how to open them."""

    run: Path
    name: str
    model: Model
    settings: Mapping[str, Any]
    """Of the model's config class, as JSON holds them."""
    paths: tuple[Path, ...]
    landmarks: LandmarkSet
    hardware: Hardware

    def open(self) -> Predictor:
        """The folds, ready for poses. Raises DataError for settings and files that do not fit."""
        try:
            opened = self.model.load(self.paths, from_tree(self.model.config, self.settings), self.hardware)
        except SettingsError as error:
            from spasm.runs.artefacts import rebuild_hint  # here, because it imports much

            raise DataError(self.run / "decision.json", str(error), rebuild_hint(self.run)) from error
        except TrainingError as error:
            reason = f"holds weights that do not fit decision.json ({error})"
            raise DataError(self.run / self.name, reason, "restore the run from a copy, or train again") from error
        return KeepLandmarks(opened, self.landmarks)


class Held:
    """What this process holds: the files of its models, and those that it has opened."""

    files: dict[str, FoldFiles]
    opened: dict[str, Predictor]


def begin(library: str, threads: int, models: Sequence[FoldFiles]) -> None:
    """Begin a process for models of one library. They are opened later, where an error can be reported."""
    Held.files, Held.opened = {one.name: one for one in models}, {}
    if library == "torch":
        processes.set_threads(threads)


def open_all() -> None:
    """Open all models of this process. Raises DataError for files that do not fit."""
    for name in Held.files:
        opened(name)


def opened(name: str) -> Predictor:
    """A model of this process, opened once."""
    if name not in Held.opened:
        Held.opened[name] = Held.files[name].open()
    return Held.opened[name]


def predict(
    name: str, poses: np.ndarray | SharedFrames, rows: np.ndarray, pictures: Pictures | None = None
) -> FoldScores:
    """Scores of the segments `rows`, each with a pose, by a model of this process."""
    return opened(name).predict(poses.windows() if isinstance(poses, SharedFrames) else poses, rows, pictures)
