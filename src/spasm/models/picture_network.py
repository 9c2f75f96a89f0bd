"""The common part of the networks that read pictures: where their pictures are, and what identifies them."""

import abc
import contextlib
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spasm.config.runtime import Hardware
from spasm.core.errors import DataError, DataProblems, collect_errors
from spasm.data.pictures import (
    MASK_KEY,
    Arrays,
    Pictures,
    check_length,
    check_one_mask,
    content_key,
    mask_of,
    pictures_path,
    unusable,
)
from spasm.models.network import NetworkModel

if TYPE_CHECKING:
    import torch
    from optuna.distributions import BaseDistribution

    from spasm.data.dataset import TrainingData
    from spasm.models.networks.picture_inputs import PictureInputs


class PictureNetworkModel(NetworkModel):
    """A network that reads the pictures of a segment."""

    @abc.abstractmethod
    def shrink(self, arrays: Arrays, config: Any) -> tuple[np.ndarray, ...]:
        """What is kept of a segment's pictures for training, as arrays with a first axis of steps."""

    @abc.abstractmethod
    def features(
        self, kept: "Sequence[torch.Tensor]", config: Any, generator: "torch.Generator | None"
    ) -> "torch.Tensor":
        """The features (n, S, ...) float32 of what was kept of some segments, randomly changed with a generator."""

    @abc.abstractmethod
    def key(self, config: Any) -> str:
        """What `shrink` depends on, as a part of a file name."""

    def inputs(self, data: Any, config: Any, device: "torch.device") -> "PictureInputs":
        from spasm.models.networks.picture_inputs import PictureInputs

        return PictureInputs(self, data, config, device)

    def features_of(
        self, poses: np.ndarray, pictures: Pictures | None, rows: np.ndarray, config: Any, device: "torch.device"
    ) -> "torch.Tensor":
        import torch

        assert self.pictures is not None
        check_length(poses.shape[1], self.name)
        if pictures is None:
            hint = "use a run without it, or give segments with pictures: docs/pictures.md"
            raise DataError(self.name, "reads pictures of the child, and is given poses alone", hint)
        kind, frames = self.pictures, poses.shape[1]
        read = [self.shrink(pictures.read(kind, int(row), frames), config) for row in rows]
        return self.features(
            [torch.from_numpy(np.stack(one)).to(device) for one in zip(*read, strict=True)], config, None
        )

    def environment(self, config: Any, hardware: Hardware, data: "TrainingData") -> dict[str, Any]:
        environment = super().environment(config, hardware, data) | {"pictures_sha256": self.pictures_sha256(data)}
        if self.pictures == "two_stream" and (segments := self._segments(data)):
            environment[MASK_KEY] = mask_of(pictures_path(segments[0], self.pictures))
        return environment

    def pictures_sha256(self, data: "TrainingData") -> str:
        """What identifies the pictures of all segments with a pose. Raises DataProblems with everything missing.

        Raises DataError where several masks cut out the child.
        """
        assert self.pictures is not None
        check_length(data.poses.shape[1], self.name)
        segments = self._segments(data)
        problems = unusable(segments, self.pictures, None)
        keys = []
        for path in segments:
            with contextlib.ExitStack() as stack:
                if not problems:
                    stack.enter_context(collect_errors(problems))
                    keys.append(f"{path.name} {content_key(pictures_path(path, self.pictures))}")
        if problems:
            raise DataProblems(problems, [pictures_path(path, self.pictures) for path in segments])
        if self.pictures == "two_stream":
            check_one_mask({path.stem: mask_of(pictures_path(path, "two_stream")) for path in segments}, data.folder)
        return hashlib.sha256("\n".join(keys).encode()).hexdigest()

    def files_read(self, config: Any, data: "TrainingData") -> list[Path]:
        assert self.pictures is not None
        return [pictures_path(path, self.pictures) for path in self._segments(data)]

    def _segments(self, data: "TrainingData") -> list[Path]:
        return [data.pictures.paths[row] for row in np.flatnonzero(data.has_pose)]

    def search_space(self) -> "dict[str, BaseDistribution]":
        from optuna.distributions import CategoricalDistribution, FloatDistribution

        return {
            "learning_rate": FloatDistribution(1e-4, 1e-2, log=True),
            "dropout": FloatDistribution(0.0, 0.6),
            "loss": CategoricalDistribution(("plain", "weighted", "focal", "squared")),
        }
