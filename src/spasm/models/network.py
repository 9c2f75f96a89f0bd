"""The common part of all networks: how they are trained, saved and loaded. Each network's file has its settings."""

import abc
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from spasm.config.runtime import Hardware
from spasm.core import files
from spasm.data.pictures import Pictures
from spasm.models.model import FoldJob, Model, Predictor

if TYPE_CHECKING:
    import torch
    from optuna.distributions import BaseDistribution

    from spasm.data.dataset import TrainingData
    from spasm.models.networks.inputs import Inputs
    from spasm.models.networks.layers import Network


class NetworkModel(Model):
    """A network with attention over frames, trained by gradient descent."""

    seed_number: ClassVar[int]
    """Part of all its seeds, so that networks have different random numbers."""
    capturable: ClassVar[bool] = False
    """Whether a step of its training can be recorded as a CUDA graph: its `forward` copies nothing from the CPU."""
    is_prefixed: ClassVar[bool] = True
    on_gpu = True
    has_attention = True

    def epochs(self, config: Any, segments: int) -> int:
        epochs: int = config.optimization.epochs_of(segments)
        return epochs

    def children_needed(self, config: Any) -> int:
        if config.optimization.loss != "taught":
            return self.fewest_children
        from spasm.models.networks.teacher import PARTS

        return PARTS

    @abc.abstractmethod
    def build(self, config: Any) -> "Network":
        """The network, with new weights sampled from torch's random state."""

    def shape(self, config: Any, frames: int) -> tuple[int, ...]:
        """The shape of the features of a segment of so many frames."""
        from spasm.data.landmarks import LANDMARKS
        from spasm.features.channels import CHANNELS

        return len(CHANNELS), len(LANDMARKS), frames

    def load_pretrained(self, network: "Network", config: Any) -> None:
        """Before training, replace the random weights by the file that the settings name."""

    def inputs(self, data: Any, config: Any, device: "torch.device") -> "Inputs":
        """What the network is trained on."""
        from spasm.models.networks.inputs import PoseInputs

        return PoseInputs(data.poses, config, device)

    def features_of(
        self, poses: np.ndarray, pictures: Pictures | None, rows: np.ndarray, config: Any, device: "torch.device"
    ) -> "torch.Tensor":
        """What the network reads of some segments, on the device."""
        import torch

        from spasm.features.channels import build_features

        return build_features(torch.from_numpy(np.array(poses[rows])).to(device), config.features)

    def environment(self, config: Any, hardware: Hardware, data: "TrainingData") -> dict[str, Any]:
        from spasm.models.networks.predictor import pick_device, pick_precision

        device = pick_device(hardware.device)
        precision = str(pick_precision(hardware.precision, device)).removeprefix("torch.")
        environment: dict[str, Any] = {"device": device.type, "precision": precision, "threads": 1}
        onsets = data.folder / "onsets.csv"
        if config.optimization.loss == "squared" and onsets.exists():
            environment["onsets_sha256"] = files.sha256(onsets)
        return environment

    def search_space(self) -> "dict[str, BaseDistribution]":
        """The search space of published networks; their sizes stay as published."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution

        return {
            "learning_rate": FloatDistribution(1e-3, 1e-2, log=True),
            "dropout": FloatDistribution(0.0, 0.6),
            "loss": CategoricalDistribution(("plain", "weighted", "focal")),
            "body_scale": CategoricalDistribution((False, True)),
        }

    def fit(self, job: FoldJob) -> "dict[str, torch.Tensor]":
        from spasm.models.networks.side_by_side import fit

        return fit(self, job)

    def side_by_side(self, config: Any, hardware: Hardware) -> bool:
        from spasm.models.networks.predictor import pick_device

        # Without recorded steps, a process for each fold is faster; the teacher's work is done by the CPU.
        return self.capturable and config.optimization.loss != "taught" and pick_device(hardware.device).type == "cuda"

    def fit_together(self, jobs: Sequence[FoldJob]) -> "list[dict[str, torch.Tensor]]":
        from spasm.models.networks.side_by_side import fit_together

        return fit_together(self, jobs)

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
        precision = pick_precision(hardware.precision, device)
        return NetworkPredictor(lambda: self.build(config), weights, self, config, device, precision)

    def cost(self, config: Any, frames: int) -> dict[str, Any]:
        import torch
        from torch.utils.flop_counter import FlopCounterMode

        network = self.build(config).eval()
        counter = FlopCounterMode(display=False)
        with torch.inference_mode(), counter:
            network(torch.zeros(1, *self.shape(config, frames)))
        parameters = sum(value.numel() for value in network.parameters())
        return {"parameters": parameters, "gflop": counter.get_total_flops() / 1e9}
