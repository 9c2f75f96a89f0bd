"""The interface of a model: its name and settings, and how it is trained, saved, loaded and explained.

A model's file imports neither torch nor LightGBM: functions import them when they are called, so that help texts are
fast and no process loads both.
"""

import abc
import dataclasses
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol

import numpy as np

from spasm.config.runtime import Hardware
from spasm.data.pictures import Kind, Pictures

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

    from spasm.data.dataset import TrainingData


class FoldScores(NamedTuple):
    """Predictions of some trained folds for N segments, each with a pose."""

    logits: np.ndarray
    """(folds, N) float64: log-odds by each fold."""
    attention: np.ndarray | None
    """(N, T) float64: the weight of each frame, the mean over folds, summing to 1; None without attention."""


class Explanation(NamedTuple):
    """Explanation of the predictions of some trained folds, the mean over folds; None for what a model cannot give."""

    attention: np.ndarray | None = None
    """(N, T) float64: the weight of each frame."""
    frame_logits: np.ndarray | None = None
    """(N, T) float64: the log-odds of a spasm in each frame."""
    feature_values: np.ndarray | None = None
    """(N, F) float32: the features, in the order of `Model.feature_names`."""
    shap_values: np.ndarray | None = None
    """(N, F) float64: the contribution of each feature to the log-odds."""


class Predictor(Protocol):
    """Trained folds of one model, ready for poses."""

    def predict(self, poses: np.ndarray, rows: np.ndarray, pictures: Pictures | None = None) -> FoldScores:
        """Scores of the segments `rows` of poses (M, T, 33, 5), each with a pose, and of their pictures.

        A model that reads pictures raises DataError where there are none.
        """

    def explain(self, poses: np.ndarray, rows: np.ndarray, pictures: Pictures | None = None) -> Explanation:
        """The explanation of the predictions for these segments."""


def ignore_epoch(epoch: int, row: Mapping[str, float], noted: bool) -> None:
    """Do nothing after an epoch."""


@dataclasses.dataclass(frozen=True)
class FoldJob:
    """One fold to train: everything that the result may depend on, and where progress is reported."""

    data: "TrainingData"
    rows: np.ndarray
    """(M,) int64: the training segments, each with a pose. No other row of the data may be used."""
    config: Any
    seed: int
    fold: int
    hardware: Hardware = Hardware()
    checkpoint: Path | None = None
    """File with the state of a long training, to resume it; it is deleted when the fold is finished."""
    on_epoch: Callable[[int, Mapping[str, float], bool], None] = ignore_epoch
    """Called after each epoch with its number from 1 and its row of the history, first for those of an earlier call.
    noted: the history need not be written now, because it was, or because no checkpoint of this epoch is."""


class Model(abc.ABC):
    """One learner. Adding one is one file with a subclass, and one line in `registry.py`."""

    name: ClassVar[str]
    """Identifier: its folder in a run, its column in tables, the prefix of its flags."""
    title: ClassVar[str]
    """Its name in texts."""
    about: ClassVar[str]
    """One sentence for the model card."""
    config: ClassVar[Any]
    """The class of its settings; the defaults are the recommended ones."""
    suffix: ClassVar[str] = ".safetensors"
    """Suffix of the file that holds one trained fold."""
    library: ClassVar[Literal["torch", "lightgbm", "none"]] = "torch"
    """The library that its processes load."""
    fewest_children: ClassVar[int] = 1
    """Fewest children with a pose that it can be trained on with any settings."""
    on_gpu: ClassVar[bool] = False
    """Whether it uses a GPU if there is one."""
    pictures: ClassVar[Kind | None] = None
    """The kind of pictures that it reads beside the poses; None: poses alone."""
    has_attention: ClassVar[bool] = False
    """Whether `explain` gives attention and frame logits."""
    has_shap_values: ClassVar[bool] = False
    """Whether `explain` gives features and their contributions."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def epochs(self, config: Any, segments: int) -> int:
        """Epochs of a fold with this many training segments; 0 if a fold is trained in one step."""
        return 0

    def children_needed(self, config: Any) -> int:
        """Fewest children with a pose that it can be trained on with these settings."""
        return self.fewest_children

    def environment(self, config: Any, hardware: Hardware, data: "TrainingData") -> dict[str, Any]:
        """Facts that must be the same for all folds of a model, besides its settings.

        Raises DataError, also for pictures that are missing.
        """
        return {"threads": 1}

    def files_read(self, config: Any, data: "TrainingData") -> list[Path]:
        """The files that training reads beside the poses."""
        return []

    @abc.abstractmethod
    def search_space(self) -> "dict[str, BaseDistribution]":
        """Search space of tuning: fields of the settings, at any depth, and ranges that contain the defaults."""

    @abc.abstractmethod
    def fit(self, job: FoldJob) -> Any:
        """Train one fold. The result depends only on the job, in any process. Raises TrainingError."""

    def side_by_side(self, config: Any, hardware: Hardware) -> bool:
        """Whether one process that trains all folds is faster than one process for each fold."""
        return False

    def fit_together(self, jobs: Sequence[FoldJob]) -> list[Any]:
        """Train folds of one data set and settings in this process; each ends as `fit` would end it."""
        return [self.fit(job) for job in jobs]

    @abc.abstractmethod
    def save(self, path: Path, trained: Any) -> None:
        """Write a trained fold; equal folds give equal bytes."""

    @abc.abstractmethod
    def load(self, paths: Sequence[Path], config: Any, hardware: Hardware) -> Predictor:
        """Open trained folds. Raises DataError or TrainingError if a file does not fit the settings."""

    def predictor(self, trained: Any, config: Any, hardware: Hardware) -> Predictor:
        """A trained fold, ready for poses; a model that can predict without saving overrides this."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"fold{self.suffix}"
            self.save(path, trained)
            return self.load([path], config, hardware)

    def predict_data(self, predictor: Predictor, data: "TrainingData", rows: np.ndarray) -> FoldScores:
        """Scores of segments `rows` of the training data, the same as by `predictor.predict`, using cached values."""
        return predictor.predict(data.poses, rows, data.pictures)

    def gain_fractions(self, trained: Any) -> dict[str, float]:
        """The fraction of the gain by each group of features; empty for a model without features."""
        return {}

    def feature_names(self, config: Any) -> list[str]:
        """The names of the features in `explain`."""
        return []

    def constant_hint(self, config: Any, segments: int) -> str:
        """Why the model may predict the same for all segments of a fold, and what to do; segments: to train on."""
        return (
            "training found nothing that separates the labels: check the labels, train on more children, or change "
            f"this model's settings: python src/train_folds.py --help --models {self.name}"
        )

    def cost(self, config: Any, frames: int) -> dict[str, Any]:
        """Parameters, and GFLOP for one segment (a multiplication and an addition count as two); None: unknown."""
        return {"parameters": None, "gflop": None}
