"""Random convolutions and a ridge classifier: thousands of fixed kernels, pooled over time, and one linear fit."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from spasm.config.features import Augmentation, Features
from spasm.config.fields import settings, within
from spasm.config.runtime import Hardware
from spasm.models.model import FoldJob, Model, Predictor

if TYPE_CHECKING:
    import torch
    from optuna.distributions import BaseDistribution


NVIDIA_DRIVER = Path("/dev/nvidiactl")


def solved_on(hardware: Hardware) -> str:
    """The type of the device that solves the ridge, whose rounding differs; all else is computed by the CPU."""
    if hardware.device == "cpu" or (hardware.device == "auto" and not NVIDIA_DRIVER.exists()):
        return "cpu"  # without torch, which takes a second to load
    from spasm.models.networks.predictor import pick_device

    return pick_device(hardware.device).type


@settings
class RocketConfig:
    """Settings of the random convolutions."""

    biases_per_kernel: Annotated[int, within(1, 64)] = 4
    """Thresholds for each kernel, dilation and pooling."""
    augmented_copies: Annotated[int, within(0, 16)] = 2
    """Number of augmented copies of each training segment."""
    features: Annotated[Features, tyro.conf.arg(name="")] = Features(frame="body")
    # Without hidden limbs among the copies, the models failed on a child whose legs are never found.
    augmentation: Annotated[Augmentation, tyro.conf.arg(name="")] = Augmentation(drop_limb_prob=0.1)


class RocketModel(Model):
    name = "rocket"
    title = "random convolutions"
    about = "ridge regression on random convolutions of the landmarks' coordinates"
    config = RocketConfig
    fewest_children = 2  # the penalty is chosen on children left out in turn

    def environment(self, config: Any, hardware: Hardware, data: Any) -> dict[str, Any]:
        return {"device": solved_on(hardware), **super().environment(config, hardware, data)}

    def search_space(self) -> "dict[str, BaseDistribution]":
        from optuna.distributions import IntDistribution

        return {
            "biases_per_kernel": IntDistribution(2, 8, step=2),
            "augmented_copies": IntDistribution(0, 4),
        }

    def fit(self, job: FoldJob) -> "dict[str, torch.Tensor]":
        import torch

        from spasm.core.processes import set_threads
        from spasm.models.rocket_folds import fit

        set_threads(threads=1)
        config = job.config
        return fit(
            job.data,
            job.rows,
            config.features,
            config.augmentation,
            config.biases_per_kernel,
            config.augmented_copies,
            job.seed,
            job.fold,
            torch.device(solved_on(job.hardware)),
        )

    def save(self, path: Path, trained: Any) -> None:
        from spasm.core import checkpoints

        checkpoints.write_tensors(path, trained)

    def load(self, paths: Sequence[Path], config: RocketConfig, hardware: Hardware) -> Predictor:
        from spasm.models.rocket_folds import load

        return load(paths, config.features)

    def predictor(self, trained: Any, config: RocketConfig, hardware: Hardware) -> Predictor:
        from spasm.models.rocket_folds import RocketPredictor

        return RocketPredictor([trained], config.features)
