"""What all networks share: how they are trained, stored and opened. Each network's own file has its settings."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import tyro

from spasm.config.features import Augmentation, Features
from spasm.config.fields import settings, within
from spasm.config.runtime import Hardware
from spasm.core import files
from spasm.models.model import FoldJob, Model, Predictor

if TYPE_CHECKING:
    import torch
    from optuna.distributions import BaseDistribution

    from spasm.models.networks.layers import Network

HISTORY = ("learning_rate", "loss", "gradient_norm")


@settings
class Optimization:
    """How one fold of a network is trained."""

    epochs: Annotated[int, within(1, 10_000)] = 20
    """Passes over the training segments."""
    batch: Annotated[int, within(2, 4096)] = 32
    """Segments in a step."""
    learning_rate: Annotated[float, within(1e-6, 1)] = 3e-3
    """Highest learning rate (AdamW)."""
    schedule: Literal["one-cycle", "cosine"] = "one-cycle"
    """Course of the learning rate: up and down, or down only."""
    weight_decay: Annotated[float, within(0, 1)] = 0.01
    """Weight decay (AdamW)."""
    loss: Literal["weighted", "focal", "plain", "squared"] = "weighted"
    """Cross-entropy with the rarer class weighted up, focal loss likewise, plain cross-entropy, or the squared error of
    the probability, which follows onsets.csv where there is one."""
    focal_gamma: Annotated[float, within(0, 10)] = 2.0
    """How strongly the focal loss discounts easy segments."""
    ema: Annotated[float, within(0, 0.99999)] = 0.99
    """Decay per step of the running average of the weights, which is what is scored; 0 scores the last weights."""
    clip_norm: Annotated[float, within(0.001, 1_000_000)] = 1.0
    """Largest norm of a step's gradient."""


@settings
class NetworkConfig:
    """Everything that decides what a network learns, beside what its own class adds."""

    # The groups order the manifest; on the command line their fields stand beside the network's own.
    optimization: Annotated[Optimization, tyro.conf.arg(name="")] = Optimization()
    features: Annotated[Features, tyro.conf.arg(name="")] = Features()
    augmentation: Annotated[Augmentation, tyro.conf.arg(name="")] = Augmentation()


class NetworkModel(Model):
    """A network with attention over frames, trained by gradient descent."""

    seed_number: ClassVar[int]
    """Part of all its seeds, so that no two networks draw the same numbers."""
    on_gpu = True
    has_attention = True

    def epochs(self, config: Any) -> int:
        epochs: int = config.optimization.epochs
        return epochs

    def build(self, config: Any) -> "Network":
        """The network, with new weights drawn from torch's random state."""
        raise NotImplementedError

    def load_pretrained(self, network: "Network", config: Any) -> None:
        """Put weights that the settings name in place of the drawn ones, before training."""

    def environment(self, config: Any, hardware: Hardware, folder: Path) -> dict[str, Any]:
        from spasm.models.networks.predictor import pick_device, pick_precision

        device = pick_device(hardware.device)
        precision = str(pick_precision(hardware.precision, device)).removeprefix("torch.")
        environment: dict[str, Any] = {"device": device.type, "precision": precision, "threads": 1}
        onsets = folder / "onsets.csv"
        if config.optimization.loss == "squared" and onsets.exists():
            environment["onsets_sha256"] = files.sha256(onsets)
        return environment

    def search_space(self) -> "dict[str, BaseDistribution]":
        """What is searched of every published network, whose sizes stay the published ones."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution

        return {
            "learning_rate": FloatDistribution(1e-3, 1e-2, log=True),
            "dropout": FloatDistribution(0.0, 0.6),
            "loss": CategoricalDistribution(("plain", "weighted", "focal")),
            "body_scale": CategoricalDistribution((False, True)),
        }

    def fit(self, job: FoldJob) -> "dict[str, torch.Tensor]":
        from spasm.models.networks.trainer import fit

        return fit(self, job)

    def save(self, path: Path, trained: Any) -> None:
        from spasm.core import checkpoints

        checkpoints.write_tensors(path, trained)

    def load(self, paths: Sequence[Path], config: Any, hardware: Hardware) -> Predictor:
        from spasm.core import checkpoints

        return self._open([checkpoints.read_tensors(path) for path in paths], config, hardware)

    def predictor(self, trained: Any, config: Any, hardware: Hardware) -> Predictor:
        return self._open([trained], config, hardware)

    def _open(self, weights: "Sequence[dict[str, torch.Tensor]]", config: Any, hardware: Hardware) -> Predictor:
        from spasm.models.networks.predictor import NetworkPredictor, pick_device, pick_precision

        device = pick_device(hardware.device)
        return NetworkPredictor(self, weights, config, device, pick_precision(hardware.precision, device))

    def cost(self, config: Any, frames: int) -> dict[str, Any]:
        import torch
        from torch.utils.flop_counter import FlopCounterMode

        from spasm.data.landmarks import LANDMARKS
        from spasm.features.channels import CHANNELS

        network = self.build(config).eval()
        counter = FlopCounterMode(display=False)
        with torch.inference_mode(), counter:
            network(torch.zeros(1, len(CHANNELS), len(LANDMARKS), frames))
        parameters = sum(value.numel() for value in network.parameters())
        return {"parameters": parameters, "gflop": counter.get_total_flops() / 1e9}
