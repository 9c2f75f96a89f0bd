"""STA-GUNet: a graph U-Net with attention over time (see `networks/sta_gunet.py`), at its published size."""

from typing import TYPE_CHECKING, Annotated, Any

import tyro

from spasm.config.fields import Odd, settings, within
from spasm.config.network import NetworkConfig, Optimization
from spasm.models.network import NetworkModel

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

    from spasm.models.networks.layers import Network


@settings
class StaGunetConfig(NetworkConfig):
    """Settings of STA-GUNet."""

    optimization: Annotated[Optimization, tyro.conf.arg(name="")] = Optimization(
        epochs=6, batch=16, learning_rate=2e-3, loss="focal", ema=0.97
    )
    width: Annotated[int, within(4, 1024)] = 64
    """Channels of the first blocks."""
    kernel: Annotated[int, within(1, 51), Odd] = 9
    """Frames that a temporal convolution spans (odd)."""
    dropout: Annotated[float, within(0, 0.9)] = 0.15
    """Fraction of channels dropped in training."""
    triplet: Annotated[float, within(0, 100)] = 0.1
    """Weight of the triplet-centre loss; its margin starts at 1 and decreases by a tenth per epoch."""


class StaGunetModel(NetworkModel):
    name = "sta_gunet"
    title = "STA-GUNet"
    about = "a graph U-Net over the joints of each frame, then graph attention over time"
    config = StaGunetConfig
    seed_number = 2

    def build(self, config: Any) -> "Network":
        from spasm.models.networks.sta_gunet import StaGunet

        return StaGunet(config.width, config.kernel, config.dropout, config.triplet)

    def search_space(self) -> "dict[str, BaseDistribution]":
        from optuna.distributions import FloatDistribution

        return super().search_space() | {"triplet": FloatDistribution(0.0, 0.5)}
