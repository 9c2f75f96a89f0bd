"""STAM: attention over joints and over time (see `networks/stam.py`), at its published size."""

from typing import TYPE_CHECKING, Annotated, Any

import tyro

from spasm.config.fields import Odd, settings, within
from spasm.config.network import NetworkConfig, Optimization
from spasm.models.network import NetworkModel

if TYPE_CHECKING:
    from spasm.models.networks.layers import Network


@settings
class StamConfig(NetworkConfig):
    """Settings of STAM."""

    optimization: Annotated[Optimization, tyro.conf.arg(name="")] = Optimization(
        epochs=8, batch=16, learning_rate=2e-3, ema=0.97
    )
    width: Annotated[int, within(4, 1024)] = 64
    """Channels of the first blocks."""
    kernel: Annotated[int, within(1, 51), Odd] = 9
    """Frames that a temporal convolution spans (odd)."""
    dropout: Annotated[float, within(0, 0.9)] = 0.15
    """Fraction of channels dropped in training."""


class StamModel(NetworkModel):
    name = "stam"
    title = "STAM"
    about = "a graph convolutional network with attention over joints and over time"
    config = StamConfig
    seed_number = 1

    def build(self, config: Any) -> "Network":
        from spasm.models.networks.stam import Stam

        return Stam(config.width, config.kernel, config.dropout)
