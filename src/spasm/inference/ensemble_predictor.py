"""Predict with the models of a run's decision, each in its own processes.

The calling process loads neither torch nor LightGBM: the two crash together on some macOS builds.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from spasm.config.data import LandmarkSet
from spasm.config.fields import SettingsError, from_tree
from spasm.config.runtime import Hardware
from spasm.core import processes
from spasm.core.errors import DataError, TrainingError
from spasm.data.landmark_sets import keep_landmarks
from spasm.data.pose import visible_mask
from spasm.data.seen import seen_frames
from spasm.ensemble.blending import OofScores
from spasm.models.model import Explanation, FoldScores, Model, Predictor
from spasm.models.registry import MODELS
from spasm.runs.artefacts import Decision, rebuild_hint
from spasm.runs.folder import ModelFolder

MOST_PROCESSES = 4  # of a model; each holds all its folds
KILLED = "a model's process was killed, perhaps because memory ran out"


class BatchPrediction(NamedTuple):
    """Predictions of a decision's models for a batch of N segments."""

    key: Any
    """The key that was given with the batch."""
    posed: np.ndarray
    """(N, T) bool: the frame has a pose."""
    seen: np.ndarray
    """(N, T) bool: the frame shows movement, see `seen_frames`."""
    logits: dict[str, np.ndarray]
    """(N,) float64 by model, averaged over its seeds and folds."""
    attention: np.ndarray
    """(N, T) float64: the weight of each frame; 0 without a pose, or if no model has attention."""

    @property
    def has_pose(self) -> np.ndarray:
        """(N,) bool."""
        return np.asarray(self.posed.any(axis=1))


def model_of(run: Path, name: str) -> Model:
    """A model that a decision names. Raises DataError if this version has no such model."""
    if name not in MODELS:
        reason = f"names the model {name}, which this version does not have"
        raise DataError(run / "decision.json", reason, rebuild_hint(run))
    return MODELS[name]


class TrainedModel(Protocol):
    """What must be known of a model to open its folds, such as a `DecidedModel`."""

    @property
    def seeds(self) -> Sequence[int]:
        """Those that are trained."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """Of its config class, as JSON holds them."""


class KeepLandmarks:
    """Trained folds that read only the landmarks that their run was trained with."""

    def __init__(self, folds: Predictor, landmarks: LandmarkSet) -> None:
        self.folds, self.landmarks = folds, landmarks

    def predict(self, poses: np.ndarray, rows: np.ndarray) -> FoldScores:
        """Scores of the segments `rows` of poses (M, T, 33, 5), each with one of these landmarks."""
        return self.folds.predict(keep_landmarks(poses, self.landmarks), rows)

    def explain(self, poses: np.ndarray, rows: np.ndarray) -> Explanation:
        """The explanation of the predictions for these segments."""
        return self.folds.explain(keep_landmarks(poses, self.landmarks), rows)


def open_folds(
    run: Path, name: str, trained: TrainedModel, landmarks: LandmarkSet, folds: Iterable[int], hardware: Hardware
) -> Predictor:
    """Open some folds of a model with all its seeds; seeds are the inner loop. Loads only these files.

    landmarks: those that the run was trained with. Every prediction of a run is made by what this opens.
    """
    model, folder = model_of(run, name), ModelFolder(run / name)
    paths = [folder.weights(seed, fold) for fold in folds for seed in trained.seeds]
    try:
        opened = model.load(paths, from_tree(model.config, trained.settings), hardware)
    except SettingsError as error:
        raise DataError(run / "decision.json", str(error), rebuild_hint(run)) from error
    except TrainingError as error:
        hint = "restore the run from a copy, or train again"
        raise DataError(folder.path, f"holds weights that do not fit decision.json ({error})", hint) from error
    return KeepLandmarks(opened, landmarks)


class Worker:
    """State of a model's process: what to open, and the opened predictor."""

    current: "Worker"

    def __init__(self, threads: int, run: Path, name: str, decision: Decision, hardware: Hardware):
        self.threads = threads
        self.opening = run, name, decision.models[name], decision.data.landmarks, range(decision.folds), hardware
        self.predictor: Predictor | None = None

    def open(self) -> Predictor:
        """Open it here and not at the start of the process, where an error could not be reported."""
        if self.predictor is None:
            run, name, *_ = self.opening
            if model_of(run, name).library == "torch":
                processes.set_threads(self.threads)
            self.predictor = open_folds(*self.opening)
        return self.predictor


def _begin(*work: Any) -> None:
    Worker.current = Worker(*work)


def _ready() -> None:
    Worker.current.open()


def _predict(poses: np.ndarray, rows: np.ndarray) -> FoldScores:
    return Worker.current.open().predict(poses, rows)


class EnsemblePredictor:
    """All trained folds of a decision, loaded in processes of each model; a context manager.

    Batches are distributed to a model's processes, which is faster than threads: one for each of its cores, at most
    four, or one process on a GPU.
    """

    def __init__(
        self, run: Path, decision: Decision, hardware: Hardware, cores: int, batches: int = MOST_PROCESSES
    ) -> None:
        """batches: the most batches to expect, because a process without one is not worth loading."""
        self.decision, self.parameters = decision, decision.parameters.of_fold_averages()
        self.landmarks = decision.data.landmarks
        self.workers: dict[str, Executor] = {}
        models = {name: model_of(run, name) for name in decision.models}
        hungry = sum(model.processes != "one" for model in models.values())
        cores_each = max(1, cores // max(1, hungry))
        self.ahead = min(cores, MOST_PROCESSES) + 1
        begun = []
        # torch could detect a GPU, but is not loaded here
        has_gpu = hardware.device != "cpu" and Path("/dev/nvidiactl").exists()
        for name, model in models.items():
            alone = model.processes == "one" or (has_gpu and model.on_gpu)
            count = 1 if alone else min(cores if model.processes == "all" else cores_each, MOST_PROCESSES)
            work = (max(1, cores_each // count), run, name, decision, hardware)
            self.workers[name] = processes.isolated_pool(max(1, min(count, batches)), _begin, *work)
            begun.append(self.workers[name].submit(_ready))
        try:
            for future in begun:
                with processes.translate_killed_worker(KILLED):
                    future.result()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "EnsemblePredictor":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the models' processes."""
        for worker in self.workers.values():
            worker.shutdown(cancel_futures=True)

    def predict(self, batches: Iterable[tuple[Any, np.ndarray]]) -> Iterator[BatchPrediction]:
        """Predict batches, each a key and poses (N, T, 33, 5), in order.

        Logits are averaged over seeds and folds. A segment without a pose gets the log-odds of such segments in
        training, and attention of 0.
        """
        waiting: list[tuple[Any, np.ndarray, np.ndarray, dict[str, Future[Any]]]] = []
        iterator = iter(batches)
        while True:
            for key, poses in itertools.islice(iterator, self.ahead - len(waiting)):
                kept = keep_landmarks(poses, self.landmarks)
                posed = np.asarray(visible_mask(kept).any(axis=2))
                rows = np.flatnonzero(posed.any(axis=1))
                with processes.translate_killed_worker(KILLED):  # notices a process that died before
                    scores = {name: worker.submit(_predict, kept, rows) for name, worker in self.workers.items()}
                waiting.append((key, posed, seen_frames(kept), scores))
            if not waiting:
                return
            yield self._gather(*waiting.pop(0))

    def _gather(
        self, key: Any, posed: np.ndarray, seen: np.ndarray, scores: dict[str, "Future[Any]"]
    ) -> BatchPrediction:
        logits, attention, attending = {}, np.zeros(posed.shape), 0.0
        has_pose = posed.any(axis=1)
        for name, future in scores.items():
            with processes.translate_killed_worker(KILLED):
                scored: FoldScores = future.result()
            logits[name] = np.full(len(posed), self.decision.no_pose_logit)
            logits[name][has_pose] = scored.logits.mean(axis=0)
            if scored.attention is not None:
                attention[has_pose] += self.parameters.weights[name] * scored.attention
                attending += self.parameters.weights[name]
        return BatchPrediction(key, posed, seen, logits, attention / (attending or 1.0))


def probability(
    decision: Decision,
    logits: dict[str, np.ndarray],
    children: Sequence[str],
    has_pose: np.ndarray,
    child_context: bool = True,
) -> np.ndarray:
    """Probabilities (N,) of segments from the logits (N,) of the decision's models.

    child_context: allow the decision to use each child's other segments; then all segments of a child must be given.
    """
    parameters = decision.parameters.of_fold_averages()
    if not child_context:
        parameters = parameters.without_context()
    return parameters.probability(OofScores(logits, np.array(children, dtype=str), has_pose))
