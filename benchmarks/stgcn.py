"""Speed on this machine, per core or of its GPU, against a plain reference measured in the same run.

The reference is the same work as first written down: features landmark by landmark, the network in NCHW and float32
with einsum, strided convolutions, elementwise dropout and unfolded batch norms. The two take turns; medians count.
Five networks are measured alone, and as inference: from poses to the predictions of five folds, features built once.
On a GPU the reference's features are still made by the CPU, and five folds are also trained side by side.

Example: python benchmarks/stgcn.py --frames 150
         python benchmarks/stgcn.py --device cuda
"""

import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from tqdm import tqdm

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from benchmarks import measuring
from spasm.cli import app
from spasm.config.fields import settings, within
from spasm.config.network import Optimization
from spasm.core.processes import set_threads
from spasm.data.dataset import TrainingData
from spasm.data.landmarks import LEFT_HIP, LEFT_SHOULDER, RIGHT_HIP, RIGHT_SHOULDER, adjacency
from spasm.features.body_channels import FINEST, SMOOTHING, TAPS, TRUSTED_DEPTH, USUAL_ACCELERATION, USUAL_SPEED
from spasm.features.body_frame import SMALLEST_TRUNK
from spasm.features.channels import CHANNELS, MASK, build_features
from spasm.models.networks.output import Scores
from spasm.models.networks.predictor import SCORING_BATCH_ON_GPU, NetworkPredictor, pick_device, pick_precision
from spasm.models.networks.stgcn_mil import STRIDES, MilHead, StgcnMil
from spasm.models.networks.trainer import FoldTrainer
from spasm.models.stgcn_mil import StgcnMilConfig, StgcnMilModel


@settings
class Benchmark:
    """Flags of benchmarks/stgcn.py."""

    frames: Annotated[int, within(16, 100_000)] = 150
    """Frames in a segment (T)."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of our convolutions; the reference's are always float32."""
    device: Literal["cpu", "cuda"] = "cpu"
    """One core of the CPU, or the GPU, with larger batches for inference."""
    repeats: Annotated[int, within(1, 1000)] = 7
    """Times each is measured, in turn; the median counts."""
    out: Path | None = None
    """JSON file for the results."""


BATCH = 32  # segments in a training step
FOLDS = 5
READ = StgcnMilConfig().features  # how its poses become channels
CPU, GPU = torch.device("cpu"), torch.device("cuda")
Work = Callable[[], object]
REFERENCE: dict[str, tuple[int, Work]] = {}  # in the reference's process


def main(settings: Benchmark) -> int:
    set_threads(threads=1)
    device = pick_device(settings.device)
    precision = pick_precision(settings.precision, device)
    rows: list[measuring.Row] = []
    ours = our_work(settings.frames, precision, device)
    place = f"one core, {torch.backends.cpu.get_cpu_capability()}"
    if device == GPU:
        place = f"{torch.cuda.get_device_name()}, torch {torch.__version__}"
    # The reference has a process of its own: `prepare` would speed it up as well.
    with multiprocessing.get_context("spawn").Pool(1, start_reference, [settings.frames, device]) as reference:
        counts = reference.apply(reference_counts)
        print(f"T = {settings.frames}, {place}, ours in {precision}")
        print(f"{'':20}{'ours':>12}{'reference':>12}{'ratio':>8}   segments per second, median of {settings.repeats}")
        for name, (count, work) in ours.items():
            fast, slow = [], []
            for repeat in tqdm(range(settings.repeats + 1), name, disable=None, leave=False):
                fast_s, slow_s = seconds(work), reference.apply(reference_seconds, [name])
                if repeat > 0:  # the first time warms up
                    fast.append(fast_s)
                    slow.append(slow_s)
            ours_a_s, reference_a_s = count / statistics.median(fast), counts[name] / statistics.median(slow)
            rows.append(measuring.Row(name, ours_a_s, "segments/s", reference_a_s))
            print(f"{name:20}{ours_a_s:12.0f}{reference_a_s:12.0f}{ours_a_s / reference_a_s:8.1f}", flush=True)
    if settings.out:
        measuring.write(settings.out, f"T = {settings.frames}, {place}, ours in {precision}", rows)
    return 0


def our_work(frames: int, precision: torch.dtype, device: torch.device) -> dict[str, tuple[int, Work]]:
    """What training and submission do with a number of segments."""
    count = scored_at_once(device)
    poses, networks = sample_poses(count, frames), sample_networks()
    weights = [{**network.state_dict(), "offset": torch.tensor(0.0)} for network in networks]
    model, config = StgcnMilModel(), StgcnMilConfig()
    predictor = NetworkPredictor(lambda: model.build(config), weights, model, config, device, precision)
    on_device = torch.from_numpy(poses).to(device)
    parts = [build_features(part, READ) for part in on_device.split(predictor.batch)]

    def networks_alone() -> None:
        with torch.inference_mode():
            for part in parts:
                predictor.networks(part)

    work: dict[str, tuple[int, Work]] = {
        "features": (count, lambda: build_features(on_device, READ)),
        "training step": (BATCH, training_step(networks[0].to(device), poses[:BATCH], precision)),
        "5 networks": (count, networks_alone),
        "5-fold inference": (count, lambda: predictor.predict(poses, np.arange(count))),
    }
    if device == GPU:
        work["training step"] = (count, steps_side_by_side(1, poses, precision, device))
        work["5 training steps"] = (FOLDS * count, steps_side_by_side(FOLDS, poses, precision, device))
    return work


def plain_work(frames: int, device: torch.device) -> dict[str, tuple[int, Work]]:
    """The same, as first written down; its features are built once for all folds, as ours are."""
    count = scored_at_once(device)
    poses = sample_poses(count, frames)
    networks = [
        same_weights(PlainStgcnMil(StgcnMilConfig()), network).eval().to(device) for network in sample_networks()
    ]

    def networks_alone(features: torch.Tensor) -> None:
        with torch.inference_mode():
            for network in networks:
                network(features)

    def features() -> torch.Tensor:
        return torch.from_numpy(np.stack([plain_features(pose, READ.frame) for pose in poses[:BATCH]])).to(device)

    built = build_features(torch.from_numpy(poses).to(device), READ).contiguous()
    steps = [
        training_step(PlainStgcnMil(StgcnMilConfig()).to(device), poses[:BATCH], torch.float32) for _ in range(FOLDS)
    ]
    return {
        "features": (BATCH, features),
        "training step": (BATCH, steps[0]),
        "5 training steps": (FOLDS * BATCH, lambda: [step() for step in steps]),
        "5 networks": (count, lambda: networks_alone(built)),
        "5-fold inference": (BATCH, lambda: networks_alone(features())),
    }


def scored_at_once(device: torch.device) -> int:
    """Segments in a measurement of features and of inference."""
    return BATCH if device == CPU else SCORING_BATCH_ON_GPU


def start_reference(frames: int, device: torch.device) -> None:
    torch.set_num_threads(1)
    REFERENCE.update(plain_work(frames, device))


def reference_counts() -> dict[str, int]:
    """How many segments each of the reference's measurements has."""
    return {name: count for name, (count, _) in REFERENCE.items()}


def reference_seconds(name: str) -> float:
    return seconds(REFERENCE[name][1])


def seconds(work: Work) -> float:
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def sample_networks() -> list[StgcnMil]:
    torch.manual_seed(0)
    return [StgcnMilModel().build(StgcnMilConfig()) for _ in range(FOLDS)]


def sample_poses(count: int, frames: int) -> np.ndarray:
    """Poses (count, frames, 33, 5) float32 that move, a third of them with a gap."""
    generator = np.random.default_rng(0)
    poses = generator.normal(0, 0.01, (count, frames, 33, 5)).cumsum(axis=1).astype(np.float32)
    poses[: count // 3, frames // 4 : frames // 2] = np.nan
    return poses


def training_step(network: nn.Module, poses: np.ndarray, precision: torch.dtype) -> Work:
    """Features to updated weights, on the network's device."""
    device = next(network.parameters()).device
    features = build_features(torch.from_numpy(poses).to(device), READ)
    network.train()
    optimiser = torch.optim.AdamW(network.parameters())
    labels = (torch.arange(len(features), device=device) % 4 == 0).float()

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision != torch.float32):
            logit = network(features).logit
        loss = F.binary_cross_entropy_with_logits(logit, labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return step


def steps_side_by_side(folds: int, poses: np.ndarray, precision: torch.dtype, device: torch.device) -> Work:
    """The same for an epoch of some folds, as `train_side_by_side` takes their steps on a GPU."""
    count = len(poses)
    names = tuple(f"child_{number}_0.npy" for number in range(count))
    labels = (np.arange(count) % 4 == 0).astype(np.int64)
    data = TrainingData(names, names, labels, poses, np.ones(count, bool), "", {}, simulated=True)  # type: ignore[arg-type]
    config = StgcnMilConfig(optimization=Optimization(batch=BATCH, epochs=1))
    options = config, 0, 0, device, precision
    trainers = [FoldTrainer(StgcnMilModel(), data, np.arange(count), *options) for _ in range(folds)]
    epochs = [trainer.begin_epoch() for trainer in trainers]
    batches = [trainer.prepare(epoch) for trainer, epoch in zip(trainers, epochs, strict=True)]

    def steps() -> None:
        for trainer, epoch, batch in zip(trainers, epochs, batches, strict=True):
            epoch.results.clear()
            trainer.take(epoch, batch)

    return steps


def plain_features(pose: np.ndarray, frame: str = "camera") -> np.ndarray:
    """The 14 channels (14, 33, T) of one pose (T, 33, 5), landmark by landmark; a plain oracle of `build_features`."""
    frames = len(pose)
    time_axis = np.arange(frames)
    found = np.isfinite(pose[..., :3]).all(axis=2)
    filled = np.zeros((frames, 33, 3))
    for landmark in range(33):
        seen = found[:, landmark]
        if seen.any():
            for axis in range(3):
                filled[:, landmark, axis] = np.interp(time_axis, time_axis[seen], pose[seen, landmark, axis])
    root = (filled[:, LEFT_HIP] + filled[:, RIGHT_HIP]) / 2
    body = plain_upright(filled - root[:, None], found) if frame == "body" else None
    channels = np.zeros((14, 33, frames), dtype=np.float32)
    for landmark in range(33):
        if not found[:, landmark].any():
            continue
        position = filled[:, landmark] - root if body is None else body[:, landmark]
        velocity, acceleration = np.zeros((frames, 3)), np.zeros((frames, 3))
        for t in range(1, frames):
            if found[t, landmark] and found[t - 1, landmark]:
                velocity[t] = position[t] - position[t - 1]
        for t in range(2, frames):
            if found[t - 2 : t + 1, landmark].all():
                acceleration[t] = velocity[t] - velocity[t - 1]
        channels[0:3, landmark] = position.T
        channels[3:6, landmark] = velocity.T
        channels[6:9, landmark] = acceleration.T
        channels[9, landmark] = np.linalg.norm(velocity if body is None else velocity[:, :2], axis=1)
    if frame == "body":
        channels[3:10] /= np.array([USUAL_SPEED] * 3 + [USUAL_ACCELERATION] * 3 + [USUAL_SPEED])[:, None, None]
        channels[3:10] = np.arcsinh(channels[3:10])
    channels[10:12] = np.clip(np.nan_to_num(pose[..., 3:5], nan=0.0), 0, 1).transpose(2, 1, 0)
    channels[12] = found.T
    channels[13] = found.mean(axis=1)
    return channels


def plain_upright(position: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Positions (T, 33, 3) about the hips, where found (T, 33), in the body's frame of reference."""
    position = np.where(found.any(axis=0)[:, None], position, 0)
    trunk = [LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_HIP, RIGHT_HIP]
    upward = (position[:, trunk[:2], :2].mean(axis=1) - position[:, trunk[2:], :2].mean(axis=1))[found[:, trunk].all(1)]
    length, up = 1.0, np.array([0.0, -1.0])
    if len(upward) and middle(np.linalg.norm(upward, axis=1)) >= SMALLEST_TRUNK:
        lengths = np.linalg.norm(upward, axis=1)
        length, up = middle(lengths), (upward / np.maximum(lengths, 1e-6)[:, None]).sum(axis=0)
        up = up / np.linalg.norm(up)
    turn = np.array([[-up[1], -up[0], 0], [up[0], -up[1], 0], [0, 0, 1]])
    position = position @ turn / length
    position[..., 2] -= np.array([middle(position[:, landmark, 2]) for landmark in range(33)])
    bend = np.abs(np.diff(position, n=2, axis=0))[found[2:] & found[1:-1] & found[:-2]]
    if len(bend):
        x, y, z = (middle(column) for column in bend.T)
        position[..., 2] /= 1 + (2 * z / max(x + y, FINEST) / TRUSTED_DEPTH) ** 2
    weights = np.exp(-0.5 * (np.arange(-TAPS, TAPS + 1) / SMOOTHING) ** 2)
    padded = np.pad(position, ((TAPS, TAPS), (0, 0), (0, 0)), mode="edge")
    return sum(w * padded[tap : tap + len(position)] for tap, w in enumerate(weights / weights.sum()))


def middle(values: np.ndarray) -> float:
    """The median as torch has it: the lower one of two."""
    return float(np.sort(values)[(len(values) - 1) // 2])


class PlainStgcnMil(nn.Module):
    """The network of `models/stgcn_mil.py` as first written down; it takes the same weights."""

    def __init__(self, settings: StgcnMilConfig) -> None:
        super().__init__()
        width = settings.width
        self.scale = nn.BatchNorm2d(len(CHANNELS), affine=False)
        self.stem = nn.Conv2d(len(CHANNELS), width, 1, bias=False)
        self.stem_norm = nn.BatchNorm2d(width)
        halves = [width if block < (settings.blocks + 1) // 2 else 2 * width for block in range(settings.blocks)]
        widths = [width, *halves]
        strides = [STRIDES[block % len(STRIDES)] for block in range(settings.blocks)]
        self.blocks = nn.ModuleList(
            PlainBlock(c_in, c_out, stride, settings.kernel, settings.dropout)
            for c_in, c_out, stride in zip(widths[:-1], widths[1:], strides, strict=True)
        )
        self.head = MilHead(widths[-1], settings.head)

    def forward(self, features: torch.Tensor) -> Scores:
        x = features.transpose(2, 3).contiguous()
        x = F.relu(self.stem_norm(self.stem(self.scale(x))))
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean(3).transpose(1, 2), features[:, MASK].amax(1), features.shape[3])


class PlainBlock(nn.Module):
    """The block of `models/stgcn_mil.py` as first written down."""

    def __init__(self, c_in: int, c_out: int, stride: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.register_buffer("adjacency", torch.from_numpy(adjacency()), persistent=False)
        self.spatial = nn.Conv2d(c_in, c_out, 1, bias=False)
        self.spatial_norm = nn.BatchNorm2d(c_out)
        self.temporal = nn.Conv2d(
            c_out, c_out, (kernel, 1), stride=(stride, 1), padding=(kernel // 2, 0), groups=c_out, bias=False
        )
        self.pointwise = nn.Conv2d(c_out, c_out, 1, bias=False)
        self.norm = nn.BatchNorm2d(c_out)
        self.dropout = nn.Dropout(dropout)
        self.residual: nn.Module = nn.Identity()
        if c_in != c_out or stride != 1:
            self.residual = nn.Sequential(
                nn.Conv2d(c_in, c_out, 1, stride=(stride, 1), bias=False), nn.BatchNorm2d(c_out)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.einsum("vw,nctw->nctv", self.adjacency, x)
        y = F.relu(self.spatial_norm(self.spatial(y)))
        y = self.dropout(self.norm(self.pointwise(self.temporal(y))))
        return F.relu(y + self.residual(x))


def same_weights(plain: PlainStgcnMil, network: StgcnMil) -> PlainStgcnMil:
    plain.load_state_dict(network.state_dict())
    return plain


if __name__ == "__main__":
    sys.exit(app.run(main, Benchmark, __doc__))
