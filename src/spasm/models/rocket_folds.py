"""Fit and apply the random convolutions of a fold; all folds of a run share their kernels and so one transform."""

import functools
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
import torch

from spasm.config.data import LandmarkSet
from spasm.config.features import Augmentation, Features
from spasm.core import checkpoints, files
from spasm.core.errors import DataError, TrainingError
from spasm.data.landmark_sets import keep_landmarks
from spasm.data.pictures import Pictures
from spasm.features.augmentation import augment
from spasm.models.model import Explanation, FoldScores
from spasm.models.networks.gpu import free_memory, is_out_of_memory
from spasm.models.ridge import CPU, fit_ridge, of_raw_features
from spasm.models.rocket_transform import (
    HIGH_TAPS,
    PARTS,
    POOLINGS,
    Tensors,
    moving,
    sample_kernels,
    series,
    transform,
    transform_both,
    with_mirror_image,
)

if TYPE_CHECKING:
    from spasm.data.dataset import TrainingData

BATCH = 64  # segments; with fewer, the calls of torch dominate the time
EXAMINED = 256  # training segments, to see which channels move
# The biases are quantiles of what simulated infants give, never of the run's own children, who are to be scored.
SIMULATED_SEED, SIMULATED_CHILDREN, SIMULATED_SEGMENTS = 84, 32, 2
FITTED = ("mean", "scale", "coefficients", "intercept")


def fit(
    data: "TrainingData",
    rows: np.ndarray,
    features: Features,
    augmentation: Augmentation,
    biases_per_kernel: int,
    augmented_copies: int,
    seed: int,
    fold: int,
    device: torch.device = CPU,
) -> Tensors:
    """Kernels, biases and the ridge, fitted on the segments `rows` of the data, each with a pose.

    device: where the ridge is solved; the CPU if it does not fit into the memory there.

    Kernels and biases depend on the seed, the settings and which channels move, so that folds of a run share them.
    """
    labels, children = data.labels[rows], np.array(data.children)[rows]
    if len(np.unique(labels)) < 2:
        raise TrainingError("the training children of a fold have one class only; use another --fold-seed")
    if len(np.unique(children)) < 2:
        reason = "random convolutions need two children with a pose to train on, and a fold has one"
        raise TrainingError(f"{reason}; add children, or train other models: --models lgbm")
    examined = rows[np.unique(np.linspace(0, len(rows) - 1, EXAMINED).round().astype(int))]
    alive = moving(series(torch.from_numpy(np.array(data.poses[examined])), features))
    examples = series(torch.from_numpy(simulated_poses(data.poses.shape[1], data.landmarks)), features)
    sampled = sample_kernels(examples, alive, biases_per_kernel, generator_of(seed))
    shaken = torch.Generator().manual_seed(int(generator_of(seed, fold).integers(2**62)))
    copies = augmented_copies + 1
    folder = data.cache or Path(tempfile.gettempdir())
    # In a file without a name, so that memory does not grow with the segments, and no kill leaves it behind.
    with files.with_path(folder):
        folder.mkdir(parents=True, exist_ok=True)  # a cache may be removed at any time
        with tempfile.TemporaryFile(dir=folder) as file:
            for copy in range(copies):
                for batch in batches(data.poses, rows, BATCH):
                    if copy:
                        batch = augment(batch, augmentation, shaken, features.aspect)
                    file.write(transform(series(batch, features), sampled).numpy().data)
            file.flush()
            pooled = RowsOfFile(file, copies * len(rows))
            ridge = pooled, np.tile(labels, copies), np.tile(children, copies), len(rows)
            try:
                return sampled | fit_ridge(*ridge, device=device)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
            free_memory()
            return sampled | fit_ridge(*ridge)


class RowsOfFile:
    """Features (M, F) float32 in a file, mapped for each reading, so that they never count as this process's memory."""

    def __init__(self, file: IO[bytes], count: int) -> None:
        self.file = file
        self.shape = (count, os.fstat(file.fileno()).st_size // (4 * count))

    def __getitem__(self, rows: np.ndarray, /) -> np.ndarray:
        return np.memmap(self.file, np.float32, "r", shape=self.shape)[rows]


def generator_of(*seed: int) -> np.random.Generator:
    """A random generator seeded with these numbers, unlike that of another model."""
    return np.random.default_rng(np.random.SeedSequence([*seed, *b"rocket"]))


@functools.cache
def simulated_poses(frames: int, landmarks: LandmarkSet) -> np.ndarray:
    """Poses (N, T, 33, 5) float32 of simulated infants, the same in every run, with these landmarks."""
    from spasm.simulation.infant import SimulationConfig, simulate_child  # here, because predictions need none of it

    world = SimulationConfig(frames=frames)
    numbers = range(1, SIMULATED_CHILDREN + 1)
    made = [one.pose for child in numbers for one in simulate_child(SIMULATED_SEED, child, SIMULATED_SEGMENTS, world)]
    poses = np.stack(made).astype(np.float32)
    return keep_landmarks(poses[np.isfinite(poses).any((1, 2, 3))], landmarks)


def batches(poses: np.ndarray, rows: np.ndarray, size: int) -> Iterator[torch.Tensor]:
    for start in range(0, len(rows), size):
        yield torch.from_numpy(np.array(poses[rows[start : start + size]]))


class RocketPredictor:
    """Trained folds, ready to score poses; each logit is the mean over a pose and its mirror image.

    Folds with equal kernels, such as all folds of a run with one seed, share one transform.
    """

    def __init__(self, weights: list[Tensors], features: Features) -> None:
        self.features = features
        self.folds = len(weights)
        self.groups: list[tuple[Tensors, list[int]]] = []
        """Kernels with their mirror images, and the numbers of the folds that have them."""
        first: list[Tensors] = []
        self.ridges = [of_raw_features(fitted) for fitted in weights]
        for number, fitted in enumerate(weights):
            sampled = {name: value for name, value in fitted.items() if name not in FITTED}
            same = (place for place, other in enumerate(first) if equal(sampled, other))
            if (place := next(same, None)) is not None:
                self.groups[place][1].append(number)
            else:
                first.append(sampled)
                self.groups.append((with_mirror_image(sampled), [number]))

    @torch.inference_mode()
    def predict(self, poses: np.ndarray, rows: np.ndarray, pictures: Pictures | None = None) -> FoldScores:
        """Scores of the segments `rows` of poses (M, T, 33, 5), each with a pose; no attention."""
        logits = np.empty((self.folds, len(rows)))
        widest = max(len(value) for kernels, _ in self.groups for name, value in kernels.items() if "biases" in name)
        size = max(1, BATCH * len(HIGH_TAPS) // widest)  # as many values as in training, which fit the CPU cache
        for start in range(0, len(rows), size):
            batch = rows[start : start + size]
            streams = series(torch.from_numpy(np.array(poses[batch])), self.features)
            for kernels, folds in self.groups:
                pooled = transform_both(streams, kernels).double()
                for fold in folds:
                    coefficients, intercept = self.ridges[fold]
                    logits[fold, start : start + len(batch)] = (pooled @ coefficients + intercept).numpy()
        return FoldScores(logits, None)

    def explain(self, poses: np.ndarray, rows: np.ndarray, pictures: Pictures | None = None) -> Explanation:
        """Empty: thousands of random kernels give no readable explanation."""
        return Explanation()


def equal(one: Tensors, other: Tensors) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def load(paths: Sequence[Path], features: Features) -> RocketPredictor:
    """Folds from their files. Raises DataError if one does not fit."""
    weights = [checkpoints.read_tensors(path) for path in paths]
    for path, fitted in zip(paths, weights, strict=True):
        if not is_whole(fitted, features):
            raise DataError(path, "lacks a part of the model", "restore the run from a copy, or train again")
    return RocketPredictor(weights, features)


def is_whole(fitted: Tensors, features: Features) -> bool:
    """Whether these tensors are those of a fold trained in this frame of reference, with sizes that fit together."""
    names = {name.rpartition(".")[0] for name in fitted if name not in FITTED}
    if fitted.keys() != {*FITTED, *(f"{name}.{part}" for name in names for part in PARTS)}:
        return False
    if not all(name.startswith(f"{features.frame}.") for name in names):
        return False
    count = 0
    for name in names:
        numbers, mix, biases = (fitted[f"{name}.{part}"] for part in PARTS)
        if not len(numbers) == len(mix) == len(biases) or not ((numbers >= 0) & (numbers < len(HIGH_TAPS))).all():
            return False
        count += biases.numel() * POOLINGS
    return all(fitted[name].numel() == count for name in FITTED[:3])
