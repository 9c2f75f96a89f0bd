"""Predict with the models of a run's decision, in processes that load either torch or LightGBM.

The calling process loads neither torch nor LightGBM: the two crash together on some macOS builds.
"""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from spasm.config.data import LandmarkSet
from spasm.config.runtime import Hardware
from spasm.core import processes
from spasm.core.errors import DataError
from spasm.core.windows import for_each_frame, shared_frames
from spasm.data.landmark_sets import keep_landmarks
from spasm.data.pictures import LAYOUTS, Pictures, Wanted
from spasm.data.pose import visible_mask
from spasm.data.seen import seen_of_trunk, trunk_visible
from spasm.ensemble.blending import OofScores
from spasm.inference import model_process
from spasm.inference.model_process import FoldFiles
from spasm.models.model import FoldScores, Model, Predictor
from spasm.models.registry import MODELS
from spasm.runs.artefacts import Decision, rebuild_hint
from spasm.runs.folder import ModelFolder

MOST_PROCESSES = 4  # each holds all folds of its models
FEWEST_BATCHES = 2  # that a process is loaded for: to load torch takes as long as to predict them
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


def picture_kinds(decision: Decision) -> Wanted:
    """The kinds of pictures that the models of a decision read beside poses, each with its mask."""
    masks = {MODELS[name].pictures: trained.mask for name, trained in decision.models.items() if name in MODELS}
    return {kind: masks[kind] for kind in LAYOUTS if kind in masks}


class TrainedModel(Protocol):
    """What must be known of a model to open its folds, such as a `DecidedModel`."""

    @property
    def seeds(self) -> Sequence[int]:
        """Those that are trained."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """Of its config class, as JSON holds them."""


def fold_files(
    run: Path, name: str, trained: TrainedModel, landmarks: LandmarkSet, folds: Iterable[int], hardware: Hardware
) -> FoldFiles:
    """Some folds of a model with all its seeds; seeds are the inner loop.

    landmarks: those that the run was trained with. Every prediction of a run is made by what these open.
    """
    model, folder = model_of(run, name), ModelFolder(run / name)
    paths = tuple(folder.weights(seed, fold) for fold in folds for seed in trained.seeds)
    return FoldFiles(run, name, model, trained.settings, paths, landmarks, hardware)


def open_folds(
    run: Path, name: str, trained: TrainedModel, landmarks: LandmarkSet, folds: Iterable[int], hardware: Hardware
) -> Predictor:
    """Open some folds of a model, see `fold_files`. Loads only these files."""
    return fold_files(run, name, trained, landmarks, folds, hardware).open()


def _has_pose(poses: np.ndarray) -> np.ndarray:
    """Whether any landmark was found in a frame: poses (..., T, 33, 5) -> (..., T) bool."""
    return np.asarray(visible_mask(poses).any(axis=-1))


class EnsemblePredictor:
    """All trained folds of a decision, loaded in processes that share the work; a context manager.

    Processes are faster than threads. All models of torch share theirs, so that no core waits for the slowest model:
    one process for each core, at most MOST_PROCESSES. LightGBM has one of its own, and so have networks on a GPU.
    """

    def __init__(
        self, run: Path, decision: Decision, hardware: Hardware, cores: int, batches: int | None = None
    ) -> None:
        """batches: how many to expect, since a process with few is not worth loading; None: many."""
        self.decision, self.parameters = decision, decision.parameters.of_fold_averages()
        self.landmarks = decision.data.landmarks
        self.workers: dict[str, Executor] = {}
        """The processes of each model."""
        self.pools: list[Executor] = []
        # torch could detect a GPU, but is not loaded here
        has_gpu = hardware.device != "cpu" and Path("/dev/nvidiactl").exists()
        sharing: dict[tuple[str, bool], list[FoldFiles]] = {}
        for name, trained in decision.models.items():
            one = fold_files(run, name, trained, self.landmarks, range(decision.folds), hardware)
            sharing.setdefault((one.model.library, has_gpu and one.model.on_gpu), []).append(one)
        most = min(cores, MOST_PROCESSES)
        self.ahead = most + 1
        begun = []
        for (library, on_gpu), models in sharing.items():
            alone = library == "lightgbm" or on_gpu
            worth = most if batches is None else min(most, math.ceil(batches / FEWEST_BATCHES))
            count = 1 if alone else max(1, worth)
            pool = processes.isolated_pool(count, model_process.begin, library, cores // most, models)
            self.pools.append(pool)
            self.workers |= {one.name: pool for one in models}
            begun.append(pool.submit(model_process.open_all))
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
        for pool in self.pools:
            pool.shutdown(cancel_futures=True)

    def predict(
        self, batches: Iterable[tuple[Any, np.ndarray] | tuple[Any, np.ndarray, Pictures]]
    ) -> Iterator[BatchPrediction]:
        """Predict batches, each a key, poses (N, T, 33, 5) and, for models that read them, pictures, in order.

        Logits are averaged over seeds and folds. A segment without a pose gets the log-odds of such segments in
        training, and attention of 0.
        """
        waiting: list[tuple[Any, np.ndarray, np.ndarray, dict[str, Future[Any]]]] = []
        iterator = iter(batches)
        while True:
            for key, poses, *pictures in itertools.islice(iterator, self.ahead - len(waiting)):
                kept = keep_landmarks(poses, self.landmarks)
                posed = for_each_frame(_has_pose, kept)
                seen = seen_of_trunk(for_each_frame(trunk_visible, kept))
                sent = shared_frames(kept) or kept
                rows = np.flatnonzero(posed.any(axis=1))
                with processes.translate_killed_worker(KILLED):  # notices a process that died before
                    scores = {
                        name: pool.submit(
                            model_process.predict, name, sent, rows, *(pictures if MODELS[name].pictures else ())
                        )
                        for name, pool in self.workers.items()
                    }
                waiting.append((key, posed, seen, scores))
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
        self, logits: dict[str, np.ndarray], children: Sequence[str], has_pose: np.ndarray, child_context: bool = True
    ) -> np.ndarray:
        """As the function `probability` with this decision."""
        return probability(self.decision, logits, children, has_pose, child_context)


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
