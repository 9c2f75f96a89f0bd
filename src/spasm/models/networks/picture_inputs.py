"""The pictures of all training segments in memory-mapped files, which every fold shares: memory stays flat."""

import contextlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from spasm.core.files import atomic_write, lock

if TYPE_CHECKING:
    from spasm.data.dataset import TrainingData
    from spasm.models.picture_network import PictureNetworkModel

BUILDING_S = 24 * 3600.0  # to wait for another process that reads the pictures


class PictureInputs:
    """What a network that reads pictures is trained on: the pictures of segments, at the size that it reads."""

    steps_on_gpu: ClassVar[int] = 1

    def __init__(self, model: "PictureNetworkModel", data: "TrainingData", config: Any, device: torch.device) -> None:
        """Reads each segment's pictures once, if no earlier training did. Raises DataError."""
        self.model, self.config, self.device = model, config, device
        self.held = None if data.cache else tempfile.TemporaryDirectory()  # where nothing is kept
        folder = data.cache or Path(self.held.name)  # type: ignore[union-attr]
        self.place = np.cumsum(data.has_pose) - 1  # of each segment among those with a pose
        key = f"{model.pictures}_{model.key(config)}_{model.pictures_sha256(data)[:24]}"
        self.kept = open_kept(folder, key, model, data, config)

    def __getitem__(self, rows: np.ndarray) -> list[torch.Tensor]:
        places = self.place[rows]
        return [torch.from_numpy(array[places]).to(self.device) for array in self.kept]

    def features(self, raw: Sequence[torch.Tensor], generator: torch.Generator | None) -> torch.Tensor:
        return self.model.features(raw, self.config, generator)


def open_kept(
    folder: Path, key: str, model: "PictureNetworkModel", data: "TrainingData", config: Any
) -> list[np.ndarray]:
    """What `model.shrink` keeps of all segments with a pose, (M, S, ...) each, read-only on disk."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = np.flatnonzero(data.has_pose)
    assert model.pictures is not None
    kind, frames = model.pictures, data.poses.shape[1]
    first = model.shrink(data.pictures.read(kind, int(rows[0]), frames), config)
    paths = [folder / f"{key}_{number}.npy" for number in range(len(first))]
    with lock(folder / f"{key}.lock", "pictures are being read", wait_s=BUILDING_S):
        if not all(path.exists() for path in paths):
            with contextlib.ExitStack() as stack:
                files = [stack.enter_context(atomic_write(path)) for path in paths]
                for file, array in zip(files, first, strict=True):
                    header = {"descr": array.dtype.str, "fortran_order": False, "shape": (len(rows), *array.shape)}
                    np.lib.format.write_array_header_1_0(file, header)
                for row in rows:
                    kept = model.shrink(data.pictures.read(kind, int(row), frames), config)
                    for file, array in zip(files, kept, strict=True):
                        file.write(np.ascontiguousarray(array).data)
    return [np.load(os.fspath(path), mmap_mode="r", allow_pickle=False) for path in paths]
