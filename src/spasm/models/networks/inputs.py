"""What networks read: the raw values of some segments on a device, and the features that are made of them."""

from typing import Any, ClassVar, Protocol

import numpy as np
import torch

from spasm.config.network import NetworkConfig
from spasm.features.augmentation import augment
from spasm.features.channels import build_features
from spasm.models.networks.gpu import DevicePoses


class Inputs(Protocol):
    """What a network is trained on; rows are places in the data."""

    steps_on_gpu: ClassVar[int]
    """Steps whose features are made together on a GPU: with small ones torch's calls take longer than their work, and
    large ones would fill its memory."""

    def __getitem__(self, rows: np.ndarray) -> Any:
        """The raw values of some segments, on the device."""

    def features(self, raw: Any, generator: torch.Generator | None) -> torch.Tensor:
        """The features (n, ...) float32 of raw values, randomly changed if there is a generator."""


class PoseInputs:
    """Poses: features are their channels (n, 14, 33, T)."""

    steps_on_gpu: ClassVar[int] = 16

    def __init__(self, poses: np.ndarray, config: NetworkConfig, device: torch.device) -> None:
        """poses: (M, T, 33, 5) float32, also memory-mapped."""
        self.poses, self.config = DevicePoses(poses, device), config

    def __getitem__(self, rows: np.ndarray) -> torch.Tensor:
        return self.poses[rows]

    def features(self, raw: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
        if generator is not None:
            raw = augment(raw, self.config.augmentation, generator, self.config.features.aspect)
        return build_features(raw, self.config.features)
