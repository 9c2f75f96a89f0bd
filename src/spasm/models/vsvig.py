"""VSViG: vision graph convolutions over joints (see `networks/vsvig.py`), at its published light size."""

from typing import TYPE_CHECKING, Annotated, Any

import tyro
from pydantic import AfterValidator

from spasm.config.fields import settings, within
from spasm.config.network import NetworkConfig, Optimization
from spasm.models.network import NetworkModel

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

    from spasm.models.networks.layers import Network


def even(value: int) -> int:
    if value % 2:
        raise ValueError(f"{value} is odd; the nearest valid value is {value - 1}")
    return value


@settings
class VsvigConfig(NetworkConfig):
    """Settings of VSViG."""

    optimization: Annotated[Optimization, tyro.conf.arg(name="")] = Optimization(
        epochs=12, batch=16, learning_rate=3e-3, ema=0.97
    )
    width: Annotated[int, within(4, 1024), AfterValidator(even)] = 12
    """Channels of the first blocks, an even number: 24 is the base size, 12 the light one."""
    dropout: Annotated[float, within(0, 0.9)] = 0.15
    """Fraction of channels dropped in training."""


class VsvigModel(NetworkModel):
    name = "vsvig"
    title = "VSViG"
    about = "vision graph convolutions over joints, here on poses instead of picture patches"
    config = VsvigConfig
    seed_number = 3

    def build(self, config: Any) -> "Network":
        from spasm.models.networks.vsvig import Vsvig

        return Vsvig(config.width, config.dropout)

    def search_space(self) -> "dict[str, BaseDistribution]":
        from optuna.distributions import CategoricalDistribution

        return super().search_space() | {"loss": CategoricalDistribution(("plain", "weighted", "focal", "squared"))}
