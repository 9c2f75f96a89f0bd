"""The two-stream network on the upright child and its optical flow, as published (see `networks/two_stream.py`)."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import tyro

from spasm.config.fields import settings, within
from spasm.config.network import Optimization, PictureNetworkConfig
from spasm.config.runtime import Hardware
from spasm.data.pictures import SIDE, STEP, Arrays
from spasm.models import two_stream
from spasm.models.picture_network import PictureNetworkModel

if TYPE_CHECKING:
    import torch
    from optuna.distributions import BaseDistribution

    from spasm.models.networks.layers import Network


@settings
class TwoStreamPicturesConfig(PictureNetworkConfig):
    """Settings of the two-stream network on pictures."""

    optimization: Annotated[Optimization, tyro.conf.arg(name="")] = Optimization(
        epochs=20, learning_rate=1.7e-3, loss="focal", ema=0.97
    )
    width: Annotated[int, within(4, 1024)] = 16
    """Channels of the first blocks; ImageNet's weights need 64."""
    dropout: Annotated[float, within(0, 0.9)] = 0.35
    """Fraction of channels dropped in training."""
    head: Literal["attn", "topk", "logsumexp"] = "attn"
    """Pooling of clips into one prediction."""
    backbone: Literal["small", "resnet18", "resnet50"] = "small"
    """Backbone of both streams; published: resnet50."""
    side: Literal[28, 56, 112, 224] = 56
    """Side of the pictures in pixels; published: 224."""
    weights: str = ""
    """File with a torchvision state dict, such as ImageNet's, that both streams start from; by default none."""


class TwoStreamPicturesModel(PictureNetworkModel):
    name = "two_stream_pictures"
    title = "two-stream network on pictures"
    about = "a convolutional network on pictures of the upright child and one on their optical flow"
    config = TwoStreamPicturesConfig
    seed_number = 7
    pictures = "two_stream"

    def build(self, config: Any) -> "Network":
        from spasm.models.networks.two_stream import TwoStreamSegments

        return TwoStreamSegments(config.width, config.dropout, config.head, config.backbone)

    def load_pretrained(self, network: Any, config: Any) -> None:
        two_stream.load_weights(network, config.weights)

    def files_read(self, config: Any, data: Any) -> list[Path]:
        return [*super().files_read(config, data), *two_stream.weight_files(config.weights)]

    def environment(self, config: Any, hardware: Hardware, data: Any) -> dict[str, Any]:
        return super().environment(config, hardware, data) | two_stream.weights_key(config.weights)

    def shape(self, config: Any, frames: int) -> tuple[int, ...]:
        return frames // STEP, 5, config.side, config.side

    def key(self, config: Any) -> str:
        return str(config.side)

    def shrink(self, arrays: Arrays, config: Any) -> tuple[np.ndarray, ...]:
        """Blue, green, red and the flow, (S, 5, side, side) uint8."""
        both = np.concatenate([arrays["pictures"][..., ::-1], arrays["flow"]], axis=3).transpose(0, 3, 1, 2)
        by = SIDE // config.side
        if by == 1:
            return (both,)
        mean = both.reshape(*both.shape[:2], config.side, by, config.side, by).mean(axis=(3, 5), dtype=np.float32)
        return (np.rint(mean).astype(np.uint8),)

    def features(
        self, kept: "Sequence[torch.Tensor]", config: Any, generator: "torch.Generator | None"
    ) -> "torch.Tensor":
        import torch

        from spasm.features.picture_augmentation import COLOURS, augment_upright

        values = kept[0].float()
        pictures, flow = values[:, :, :COLOURS], values[:, :, COLOURS:]
        pictures = pictures / pictures.amax((2, 3, 4), keepdim=True).clamp(min=1)  # as published
        features = torch.cat([pictures, flow / 127.5 - 1 + 1 / 255], 2)  # so that no movement, 127, is 0
        return features if generator is None else augment_upright(features, config.augmentation, generator)

    def search_space(self) -> "dict[str, BaseDistribution]":
        from optuna.distributions import CategoricalDistribution, IntDistribution

        return super().search_space() | {
            "head": CategoricalDistribution(("attn", "logsumexp")),
            "width": IntDistribution(16, 32, step=16),
        }
