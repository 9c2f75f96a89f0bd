"""What a model is: one object that knows its name, its settings, and how it is trained, stored, opened and explained.

A model's file imports neither torch nor LightGBM: what needs them is imported where it is called, so that help texts
come at once and no process ever loads both.
"""

import abc
import dataclasses
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol

import numpy as np

from spasm.config.runtime import Hardware
from spasm.data.dataset import TrainingData

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


class FoldScores(NamedTuple):
    """What some trained folds predict for N segments, each with a pose."""

    logits: np.ndarray
    """(folds, N) float64: log-odds by each fold."""
    attention: np.ndarray | None
    """(N, T) float64: the weight of each frame, the mean over folds, summing to 1; None where a model has none."""


class Explanation(NamedTuple):
    """Why some trained folds predict what they do, the mean over folds; what a model cannot say is None."""

    attention: np.ndarray | None = None
    """(N, T) float64: the weight of each frame."""
    frame_logits: np.ndarray | None = None
    """(N, T) float64: the log-odds of a spasm that the model sees in each frame."""
    feature_values: np.ndarray | None = None
    """(N, F) float32: the features that `Model.feature_names` names."""
    shap_values: np.ndarray | None = None
    """(N, F) float64: what each feature adds to the log-odds."""


class Predictor(Protocol):
    """Trained folds of one model, ready for poses."""

    def predict(self, poses: np.ndarray, rows: np.ndarray) -> FoldScores:
        """Scores of the segments `rows` of poses (M, T, 33, 5), each with a pose."""

    def explain(self, poses: np.ndarray, rows: np.ndarray) -> Explanation:
        """Why, for the same segments."""


@dataclasses.dataclass(frozen=True)
class FoldJob:
    """One fold to train: everything that the result may depend on, and where progress goes."""

    data: TrainingData
    rows: np.ndarray
    """(M,) int64: the training segments, each with a pose. Nothing else of the data may be looked at."""
    config: Any
    seed: int
    fold: int
    hardware: Hardware = Hardware()
    checkpoint: Path | None = None
    """Where a model that takes long keeps what it needs to continue; the file goes when the fold is finished."""
    on_epoch: Callable[[int, Mapping[str, float], bool], None] = lambda epoch, row, restored: None
    """Called after each epoch with its number from 1 and its row of the history, first for those restored."""


class Model(abc.ABC):
    """One learner. Adding one is one file with a subclass, and one line in `registry.py`."""

    name: ClassVar[str]
    """Its folder in a run, its column in tables, the prefix of its flags."""
    title: ClassVar[str]
    """Its name in texts."""
    about: ClassVar[str]
    """One sentence for the model card."""
    config: ClassVar[Any]
    """The class of its settings; the defaults are what we would submit."""
    suffix: ClassVar[str] = ".safetensors"
    """Of the file that holds one trained fold."""
    library: ClassVar[Literal["torch", "lightgbm", "none"]] = "torch"
    """What its processes load."""
    on_gpu: ClassVar[bool] = False
    """Whether it computes on a GPU where there is one."""
    processes: ClassVar[Literal["one", "some", "all"]] = "some"
    """How many processes predict with it: one, as many as its share of the cores, or as many as there are cores."""
    has_attention: ClassVar[bool] = False
    """Whether `explain` gives attention and frame logits."""
    has_shap_values: ClassVar[bool] = False
    """Whether `explain` gives features and what each adds."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def epochs(self, config: Any) -> int:
        """Epochs of a fold; 0 where a fold is trained in one go."""
        return 0

    def environment(self, config: Any, hardware: Hardware, folder: Path) -> dict[str, Any]:
        """What must stay the same between the folds of one model, beside its settings. folder: the user's data."""
        return {"threads": 1}

    @abc.abstractmethod
    def search_space(self) -> "dict[str, BaseDistribution]":
        """What tuning tries: fields of the settings, at any depth, and their ranges. The defaults lie inside."""

    @abc.abstractmethod
    def fit(self, job: FoldJob) -> Any:
        """Train one fold. Depends on the job alone, whichever process calls it; raises TrainingError."""

    @abc.abstractmethod
    def save(self, path: Path, trained: Any) -> None:
        """Write a trained fold; equal folds give equal bytes."""

    @abc.abstractmethod
    def load(self, paths: Sequence[Path], config: Any, hardware: Hardware) -> Predictor:
        """Open trained folds. Raises DataError or TrainingError where a file does not fit the settings."""

    def predictor(self, trained: Any, config: Any, hardware: Hardware) -> Predictor:
        """A trained fold, ready for poses; a model that needs no file for that says how."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"fold{self.suffix}"
            self.save(path, trained)
            return self.load([path], config, hardware)

    def predict_data(self, predictor: Predictor, data: TrainingData, rows: np.ndarray) -> FoldScores:
        """Scores of segments `rows` of the training data, as `predictor.predict` gives them, from what is cached."""
        return predictor.predict(data.poses, rows)

    def gain_fractions(self, trained: Any) -> dict[str, float]:
        """The fraction of the gain by each group of features; empty where a model has none."""
        return {}

    def feature_names(self, config: Any) -> list[str]:
        """The features that `explain` speaks of."""
        return []

    def cost(self, config: Any, frames: int) -> dict[str, Any]:
        """Parameters, and GFLOP for one segment (a multiplication with its addition counts two); None: unknown."""
        return {"parameters": None, "gflop": None}
