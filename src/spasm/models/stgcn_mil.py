"""ST-GCN with an attention head, the main network: based on the 5th place of the 2026 challenge."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from spasm.config.features import Features
from spasm.config.fields import FLAT, Odd, settings, within
from spasm.config.network import NetworkConfig, Optimization
from spasm.models.network import NetworkModel

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

    from spasm.models.networks.layers import Network


@settings
class StgcnMilConfig(NetworkConfig):
    """Settings of the ST-GCN."""

    optimization: Annotated[Optimization, FLAT] = Optimization(mixup=0.5)
    features: Annotated[Features, FLAT] = Features(frame="body")
    width: Annotated[int, within(4, 1024)] = 32
    """Channels of the first blocks."""
    blocks: Annotated[int, within(1, 16)] = 4
    """Blocks, with temporal strides 2, 2, 1, 1."""
    kernel: Annotated[int, within(1, 51), Odd] = 9
    """Frames that a temporal convolution spans (odd)."""
    dropout: Annotated[float, within(0, 0.9)] = 0.15
    """Fraction of channels dropped in training."""
    head: Literal["attn", "topk", "logsumexp"] = "attn"
    """Pooling of frames into one prediction."""


class StgcnMilModel(NetworkModel):
    name = "stgcn_mil"
    title = "ST-GCN with attention"
    about = "a graph convolutional network over the skeleton, with an attention head over the frames"
    config = StgcnMilConfig
    seed_number = 0
    capturable = True

    def build(self, config: Any) -> "Network":
        from spasm.models.networks.stgcn_mil import StgcnMil

        return StgcnMil(config.width, config.blocks, config.kernel, config.dropout, config.head)

    def search_space(self) -> "dict[str, BaseDistribution]":
        from optuna.distributions import FloatDistribution, IntDistribution

        return {
            "learning_rate": FloatDistribution(3e-4, 1e-2, log=True),
            "steps": IntDistribution(250, 1000, step=250),
            "mixup": FloatDistribution(0.0, 1.0),
            "width": IntDistribution(32, 96, step=32),
            "dropout": FloatDistribution(0.0, 0.5),
            "weight_decay": FloatDistribution(1e-4, 0.3, log=True),
            "rotation_deg": FloatDistribution(0.0, 60.0),
            "aspect_jitter": FloatDistribution(0.0, 0.4),
        }
