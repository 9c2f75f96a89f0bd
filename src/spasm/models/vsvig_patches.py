"""VSViG on patches of the picture around joints, as published (see `networks/vsvig.py`), at its light size."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import tyro
from pydantic import AfterValidator

from spasm.config.fields import settings, within
from spasm.config.network import Optimization, PictureNetworkConfig
from spasm.data.pictures import JOINTS, PATCH, STEP, Arrays
from spasm.models.picture_network import PictureNetworkModel
from spasm.models.vsvig import even

if TYPE_CHECKING:
    import torch

    from spasm.models.networks.layers import Network


@settings
class VsvigPatchesConfig(PictureNetworkConfig):
    """Settings of VSViG on patches of the picture."""

    optimization: Annotated[Optimization, tyro.conf.arg(name="")] = Optimization(
        epochs=12, batch=8, learning_rate=1e-3, ema=0.97
    )
    width: Annotated[int, within(4, 1024), AfterValidator(even)] = 12
    """Channels of the first blocks, an even number: 24 is the base size, 12 the light one."""
    dropout: Annotated[float, within(0, 0.9)] = 0.15
    """Fraction of channels dropped in training."""


class VsvigPatchesModel(PictureNetworkModel):
    name = "vsvig_patches"
    title = "VSViG on patches"
    about = "vision graph convolutions over patches of the picture around joints"
    config = VsvigPatchesConfig
    seed_number = 6
    pictures = "vsvig"

    def build(self, config: Any) -> "Network":
        from spasm.models.networks.vsvig import VsvigPatches

        return VsvigPatches(config.width, config.dropout)

    def shape(self, config: Any, frames: int) -> tuple[int, ...]:
        return frames // STEP, JOINTS, 3 * PATCH * PATCH + 3

    def key(self, config: Any) -> str:
        return "patches"

    def shrink(self, arrays: Arrays, config: Any) -> tuple[np.ndarray, ...]:
        return arrays["patches"], arrays["keypoints"]

    def features(
        self, kept: "Sequence[torch.Tensor]", config: Any, generator: "torch.Generator | None"
    ) -> "torch.Tensor":
        import torch

        from spasm.features.picture_augmentation import augment_patches

        patches, keypoints = kept[0].float() / 255, kept[1]
        if generator is not None:
            patches, keypoints = augment_patches(patches, keypoints, config.augmentation, generator)
        return torch.cat([patches.flatten(3), keypoints], 3)
