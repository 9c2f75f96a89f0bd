"""The kinematic features of a whole data set, computed once and stored next to its cached poses."""

import functools
import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from spasm.core import files
from spasm.core.sealed import read_sealed_array, write_sealed_array
from spasm.data import dataset
from spasm.data.dataset import TrainingData
from spasm.features import kinematics

BATCH = 256  # segments whose features are computed at a time
WAIT_S = 3600.0  # how long to wait while another process computes them
Progress = Callable[[range], Iterable[int]]


def kinematic_features(data: TrainingData, progress: Progress = iter) -> np.ndarray:
    """The kinematic features (N, F) float32 of all segments, read-only, in the order of `kinematics.NAMES`.

    Each row has the same bytes as when computed alone. The first process that needs them computes them; others wait.
    progress wraps the first rows of the batches. Raises DataError if another process computes for an hour, OSError if
    they cannot be written.
    """
    if data.cache is None:
        return _compute(data.poses, progress)
    shape = (len(data.poses), len(kinematics.NAMES))
    path = data.cache / f"kinematic_features_{version()}"
    table = read_sealed_array(path, np.float32, shape)
    if table is None:
        data.cache.mkdir(parents=True, exist_ok=True)  # a cache may be removed at any time
        files.remove_stale(data.cache, below=False)
        with files.lock(data.cache / ".lock", "kinematic features are being computed", WAIT_S):
            table = read_sealed_array(path, np.float32, shape)  # another process may have written them meanwhile
            if table is None:
                table = _compute(data.poses, progress)
                write_sealed_array(path, table)
    return table


@functools.cache
def version() -> str:
    """Version of the code and of numpy, whose sums may differ in the last digit; the values depend on both."""
    digest = hashlib.sha256(np.__version__.encode())
    for room in (Path(__file__).parent, Path(dataset.__file__).parent):
        for source in sorted(room.glob("*.py")):
            digest.update(hashlib.sha256(source.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _compute(poses: np.ndarray, progress: Progress) -> np.ndarray:
    """The features (N, F) float32 of poses (N, T, 33, 5), a batch at a time, so that memory stays flat."""
    table = np.empty((len(poses), len(kinematics.NAMES)), np.float32)
    for start in progress(range(0, len(poses), BATCH)):
        table[start : start + BATCH] = kinematics.compute_features(np.array(poses[start : start + BATCH]))
    table.flags.writeable = False
    return table
