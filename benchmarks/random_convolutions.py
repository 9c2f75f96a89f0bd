"""Speed of the random convolutions of five folds on this machine, per core, against one transform for each fold.

Ours computes one transform for all folds, and mirrors the kernels in place of the poses. The reference, in the same
run and in turn, transforms poses and mirrored poses for each fold, with the same kernels. Medians count.

Example: python benchmarks/random_convolutions.py --frames 150
"""

import statistics
import sys
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from tqdm import tqdm

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from benchmarks import measuring
from benchmarks.stgcn import sample_poses
from spasm.cli import app
from spasm.config.fields import settings, within
from spasm.core.processes import set_threads
from spasm.features.augmentation import mirror
from spasm.models.ridge import of_raw_features
from spasm.models.rocket import RocketConfig
from spasm.models.rocket_folds import (
    BATCH,
    RocketPredictor,
    batches,
    generator_of,
    simulated_poses,
)
from spasm.models.rocket_transform import POOLINGS, Tensors, moving, sample_kernels, series, transform


@settings
class Benchmark:
    """Flags of benchmarks/random_convolutions.py."""

    frames: Annotated[int, within(16, 100_000)] = 150
    """Frames in a segment (T)."""
    folds: Annotated[int, within(1, 100)] = 5
    """Number of folds."""
    segments: Annotated[int, within(1, 100_000)] = 128
    """Number of segments to predict."""
    repeats: Annotated[int, within(1, 1000)] = 7
    """Times each is measured, in turn; the median counts."""
    out: Path | None = None
    """JSON file for the results."""


def main(settings: Benchmark) -> int:
    set_threads(threads=1)
    poses, weights = sample_poses(settings.segments, settings.frames), sample_folds(settings.frames, settings.folds)
    predictor, rows = RocketPredictor(weights, RocketConfig().features), np.arange(settings.segments)
    ours_s, plain_s = [], []
    for repeat in tqdm(range(settings.repeats + 1), disable=None, leave=False):
        for seconds, work in ((ours_s, predictor.predict), (plain_s, PerFold(weights).predict)):
            start_s = time.perf_counter()
            work(poses, rows)
            if repeat > 0:  # the first time warms up
                seconds.append(time.perf_counter() - start_s)
    ours, plain = (1000 * statistics.median(seconds) / settings.segments for seconds in (ours_s, plain_s))
    print(f"T = {settings.frames}, {settings.folds} folds, one core, {torch.backends.cpu.get_cpu_capability()}")
    print(f"one transform for all folds {ours:8.2f} ms a segment, median of {settings.repeats}")
    print(f"one transform for each fold {plain:8.2f}")
    print(f"ratio                       {plain / ours:8.1f}")
    if settings.out:
        row = measuring.Row("one transform for all folds", ours, "ms a segment", plain)
        measuring.write(settings.out, f"T = {settings.frames}, {settings.folds} folds, one core", [row])
    return 0


def sample_folds(frames: int, folds: int) -> list[Tensors]:
    """Weights of folds with the kernels of one run; the ridges are random."""
    config = RocketConfig()
    examples = series(torch.from_numpy(simulated_poses(frames, "all")), config.features)
    sampled = sample_kernels(examples, moving(examples), config.biases_per_kernel, generator_of(0))
    features = POOLINGS * sum(value.numel() for name, value in sampled.items() if name.endswith(".biases"))
    generator = torch.Generator().manual_seed(0)
    return [
        sampled
        | {
            "mean": torch.rand(features, generator=generator),
            "scale": torch.rand(features, generator=generator) + 0.1,
            "coefficients": torch.randn(features, generator=generator, dtype=torch.float64) / features,
            "intercept": torch.tensor(0.0, dtype=torch.float64),
        }
        for _ in range(folds)
    ]


class PerFold:
    """The same predictions with one transform for each fold, of poses and of mirrored poses."""

    def __init__(self, weights: list[Tensors]) -> None:
        self.weights, self.features = weights, RocketConfig().features

    @torch.inference_mode()
    def predict(self, poses: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Logits (folds, N) of the segments `rows` of poses (M, T, 33, 5)."""
        logits = []
        for batch in batches(poses, rows, BATCH):
            both = [series(image, self.features) for image in (batch, mirror(batch))]
            of_batch = []
            for fitted in self.weights:
                coefficients, intercept = of_raw_features(fitted)
                scores = [transform(image, fitted).double() @ coefficients + intercept for image in both]
                of_batch.append(torch.stack(scores).mean(0))
            logits.append(torch.stack(of_batch))
        return torch.cat(logits, 1).numpy()


if __name__ == "__main__":
    sys.exit(app.run(main, Benchmark, __doc__))
