"""Time and memory of the random convolutions' ridge in the space of features, on one core.

One fold: the penalty by five inner folds, then the fit. It is compared with a Cholesky factor for each of the nine
penalties in each inner fold, computed from the time of one factor in float64 and of one fold's products.

Example: python benchmarks/ridge.py --rows 20000
"""

import sys
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import torch

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from benchmarks import measuring
from benchmarks.measuring import Row
from spasm.cli import app
from spasm.config.fields import settings, within
from spasm.core.processes import set_threads
from spasm.models.ridge import INNER_FOLDS, PENALTIES, FeatureSpace, StandardRows, fit_ridge


@settings
class RidgeBenchmark:
    """Flags of benchmarks/ridge.py."""

    rows: Annotated[int, within(100, 1_000_000)] = 20_000
    """Segments times copies."""
    features: Annotated[int, within(10, 100_000)] = 16_128
    """Features of a row."""
    out: Path | None = None
    """JSON file for the results."""


def main(settings: RidgeBenchmark) -> int:
    set_threads(threads=1)
    labels = np.arange(settings.rows) % 2
    made = RandomRows((settings.rows, settings.features))
    before = memory()
    start = time.process_time()
    fit_ridge(made, labels, np.arange(settings.rows) // 10, by_features=True)
    took, peak = time.process_time() - start, memory(peak=True) - before
    start = time.process_time()
    space = FeatureSpace(StandardRows(made), torch.from_numpy(2.0 * labels - 1))
    products = time.process_time() - start
    matrix = space.gram.double()
    matrix.diagonal().add_(1)
    start = time.process_time()
    torch.linalg.cholesky(matrix.T, out=matrix.T)
    factor = time.process_time() - start
    direct = 2 * products + (INNER_FOLDS * len(PENALTIES) + 1) * factor
    rows = [
        Row("one fold's ridge (other: a factor for each penalty, computed)", took, "s", direct),
        Row("products of all rows", products, "s"),
        Row("memory beyond the rows", peak, "MB"),
    ]
    measuring.finish(f"one core, {settings.rows:,} rows, {settings.features:,} features", rows, settings.out)
    return 0


class RandomRows:
    """Correlated random features (M, F) float32, computed when read."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.shape = shape
        self.common = np.random.default_rng(0).normal(size=(64, shape[1])).astype(np.float32)

    def __getitem__(self, rows: np.ndarray, /) -> np.ndarray:
        read = np.empty((len(rows), self.shape[1]), np.float32)
        for values, row in zip(read, rows, strict=True):
            generator = np.random.default_rng(int(row))
            values[:] = generator.standard_normal(self.shape[1], dtype=np.float32)
            values += generator.standard_normal(64, dtype=np.float32) @ self.common
        return read


def memory(peak: bool = False) -> float:
    """Megabytes of this process, or the most that it had; 0 where the system does not say."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM" if peak else "VmRSS"))


if __name__ == "__main__":
    sys.exit(app.run(main, RidgeBenchmark, __doc__))
