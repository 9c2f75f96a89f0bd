"""The two-stream network for general movements (see `networks/two_stream.py`), on pictures plotted from poses."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from spasm.cluster.task_process import place_of
from spasm.config.fields import settings, within
from spasm.config.network import NetworkConfig, Optimization
from spasm.config.runtime import Hardware
from spasm.core import files
from spasm.models.network import NetworkModel

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

    from spasm.models.networks.layers import Network


@settings
class TwoStreamConfig(NetworkConfig):
    """Settings of the two-stream network."""

    optimization: Annotated[Optimization, tyro.conf.arg(name="")] = Optimization(
        epochs=20, learning_rate=1.7e-3, loss="focal", ema=0.97
    )
    width: Annotated[int, within(4, 1024)] = 16
    """Channels of the first blocks."""
    dropout: Annotated[float, within(0, 0.9)] = 0.35
    """Fraction of channels dropped in training."""
    head: Literal["attn", "topk", "logsumexp"] = "attn"
    """Pooling of clips into one prediction."""
    backbone: Literal["small", "resnet18", "resnet50"] = "small"
    """Backbone of both streams."""
    weights: str = ""
    """File with a torchvision state dict, such as ImageNet's, that both streams start from; by default none."""


def load_weights(network: Any, weights: str) -> None:
    """Start both streams from the file that a setting names, if it names one."""
    if weights:
        from spasm.core import checkpoints

        network.load_imagenet(checkpoints.read_state_dict(place_of(Path(weights))))


def weight_files(weights: str) -> list[Path]:
    """The file that a setting names, if it names one."""
    return [Path(weights)] if weights else []


def weights_key(weights: str) -> dict[str, str]:
    """What identifies this file in the environment of a model."""
    return {"weights_sha256": files.sha256(Path(weights))} if weights else {}


class TwoStreamModel(NetworkModel):
    name = "two_stream"
    title = "two-stream network"
    about = "a convolutional network on plotted poses and one on their motion, for clips of a second"
    config = TwoStreamConfig
    seed_number = 4

    def build(self, config: Any) -> "Network":
        from spasm.models.networks.two_stream import TwoStream

        return TwoStream(config.width, config.dropout, config.head, config.backbone)

    def load_pretrained(self, network: Any, config: Any) -> None:
        load_weights(network, config.weights)

    def files_read(self, config: Any, data: Any) -> list[Path]:
        return weight_files(config.weights)

    def environment(self, config: Any, hardware: Hardware, data: Any) -> dict[str, Any]:
        return super().environment(config, hardware, data) | weights_key(config.weights)

    def search_space(self) -> "dict[str, BaseDistribution]":
        from optuna.distributions import CategoricalDistribution, IntDistribution

        return super().search_space() | {
            "head": CategoricalDistribution(("attn", "logsumexp")),
            "width": IntDistribution(16, 32, step=16),
        }
