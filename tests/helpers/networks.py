"""Small networks, their trainers and what they read."""

import numpy as np
import torch

from helpers.settings import changed
from spasm.config.features import Features
from spasm.data.dataset import TrainingData
from spasm.features.channels import build_features
from spasm.models.network import NetworkModel
from spasm.models.networks.trainer import FoldTrainer
from spasm.models.registry import MODELS

NETWORKS = {name: model for name, model in MODELS.items() if isinstance(model, NetworkModel) and model.pictures is None}
WIDTHS = {"vsvig": 4, "two_stream": 4}
CPU = torch.device("cpu")


def small_config(model, **changes):
    """Settings of a network that trains in a second."""
    return changed(NETWORKS[model].config(), **({"epochs": 2, "batch": 8, "width": WIDTHS.get(model, 8)} | changes))


def trained_like(model, frames=40, config=None):
    """A network whose norms know the features and no branch of which is still at zero, in evaluation."""
    torch.manual_seed(0)
    made = NETWORKS[model].build(config or small_config(model))
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm2d) and module.affine and module.weight.abs().max() == 0:
            torch.nn.init.uniform_(module.weight, 0.1, 0.4)
    made.train()
    with torch.no_grad():
        for batch in range(20):
            made(some_features(8, frames, seed=batch))
    return made.eval()


def trainer_of(model, config=None, data=None, rows=None, seed=0, fold=0, device=CPU, precision=torch.float32):
    """A network about to be trained, by default with small settings on all of `some_data`."""
    data = some_data() if data is None else data
    rows = np.arange(len(data.labels)) if rows is None else rows
    return FoldTrainer(NETWORKS[model], data, rows, config or small_config(model), seed, fold, device, precision)


def some_poses(count=4, frames=40, seed=0):
    """Moving poses (count, frames, 33, 5) with missing landmarks and a gap in each segment."""
    generator = torch.Generator().manual_seed(seed)
    poses = torch.rand((count, 1, 33, 5), generator=generator).repeat(1, frames, 1, 1)
    poses[..., :3] += 0.01 * torch.randn((count, frames, 33, 3), generator=generator).cumsum(1)
    poses[torch.rand((count, frames, 33), generator=generator) < 0.05] = torch.nan
    for segment in range(count):
        start = 3 * segment % frames
        poses[segment, start : start + frames // 3] = torch.nan
    return poses


def some_features(count=4, frames=40, seed=0):
    return build_features(some_poses(count, frames, seed), Features())


def some_data(count=24, frames=24, children=8, share=0.4, signal=0.0, seed=0):
    """Moving bodies with gaps; in positive segments the wrists jerk by `signal` picture units in the middle."""
    generator = np.random.default_rng(seed)
    child = np.arange(count) % children
    labels = (generator.random(count) < share).astype(np.int64)
    bodies = generator.uniform(0.2, 0.8, (children, 1, 33, 5))
    bodies[:, :, 11:13, 1], bodies[:, :, 23:25, 1] = 0.3, 0.6
    poses = bodies[child].repeat(frames, 1)
    poses[..., :3] += generator.normal(0, 0.003, (count, frames, 33, 3)).cumsum(1)
    middle = frames // 2
    poses[:, middle : middle + 4, 15:17, :2] += signal * labels[:, None, None, None]
    poses[generator.random((count, frames, 33)) < 0.05] = np.nan
    names = tuple(f"child_{c}_{i}.npy" for i, c in enumerate(child))
    return TrainingData(
        names=names,
        children=tuple(str(c) for c in child),
        labels=labels,
        poses=poses.astype(np.float32),
        has_pose=np.ones(count, bool),
        fingerprint="",
        groups={},
        simulated=False,
    )
