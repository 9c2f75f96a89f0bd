"""Speed of our network and our random convolutions against plain transcriptions of what others use, on one core.

ST-GCN++ (Duan et al. 2022, arXiv 2205.09443; 1.4 million parameters, ours has 0.1) scores and learns the same number
of segments in turn with ours, each in float32 and in bfloat16. MultiRocket (Tan et al. 2022, arXiv 2102.00457; 49,728
features, ours 16,128) transforms the same coordinates as ours. Both are written from the papers, as plainly as torch
allows: what their authors publish may be faster. Medians count; a ratio is their time by ours.

Example: python benchmarks/peers.py --repeats 7
"""

import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from benchmarks import measuring
from benchmarks.measuring import Row
from benchmarks.stgcn import READ, sample_networks, sample_poses
from spasm.cli import app
from spasm.config.fields import settings, within
from spasm.core.processes import set_threads
from spasm.data.landmarks import INDEX, LANDMARKS, MEDIAPIPE_EDGES
from spasm.features.channels import build_features
from spasm.models.networks.predictor import pick_precision
from spasm.models.rocket import RocketConfig
from spasm.models.rocket_folds import generator_of, simulated_poses
from spasm.models.rocket_transform import moving, sample_kernels, series, transform


@settings
class Peers:
    """Flags of benchmarks/peers.py."""

    frames: Annotated[int, within(16, 100_000)] = 150
    """Frames in a segment (T)."""
    segments: Annotated[int, within(1, 1000)] = 16
    """Segments in a batch."""
    repeats: Annotated[int, within(1, 1000)] = 7
    """Times each is measured, in turn; the median counts."""
    out: Path | None = None
    """JSON file for the results."""


PRECISIONS = {"float32": torch.float32, "bf16": torch.bfloat16}
CPU = torch.device("cpu")


def main(settings: Peers) -> int:
    set_threads(threads=1)
    poses = sample_poses(settings.segments, settings.frames)
    rows = [*network_rows(poses, settings.repeats), transform_row(poses, settings.repeats)]
    measuring.finish(f"one core, T = {settings.frames}, {settings.segments} segments", rows, settings.out)
    return 0


def network_rows(poses: np.ndarray, repeats: int) -> list[Row]:
    """Scoring and a training step of our network and of ST-GCN++; without bfloat16 where the processor has none."""
    ours, theirs = sample_networks()[0], StgcnPlusPlus()
    features = build_features(torch.from_numpy(poses), READ)
    coordinates = features[:, :3].permute(0, 3, 2, 1).contiguous()  # (N, T, V, 3)
    precisions = dict(PRECISIONS)
    if pick_precision("auto", CPU) == torch.float32:
        del precisions["bf16"]
    works: dict[str, Callable[[], object]] = {}
    for name, precision in precisions.items():
        works[f"ours, scoring, {name}"] = scoring(ours.eval().folded(precision), features)
        works[f"theirs, scoring, {name}"] = scoring(theirs, coordinates, precision)
        works[f"ours, training, {name}"] = training(ours, features, precision)
        works[f"theirs, training, {name}"] = training(theirs, coordinates, precision)
    took = measuring.medians(works, repeats)
    rows = []
    for what, title in (("scoring", "scoring"), ("training", "a training step")):
        for name in precisions:
            pair = [1000 * took[f"{side}, {what}, {name}"] / len(poses) for side in ("ours", "theirs")]
            rows.append(Row(f"{title}, {name}: ST-GCN++ by ours", pair[0], "ms a segment", pair[1]))
        if len(precisions) > 1:
            pair = [
                1000 * took[f"{side}, {what}, {name}"] / len(poses)
                for side, name in (("ours", "bf16"), ("theirs", "float32"))
            ]
            rows.append(Row(f"{title}: ST-GCN++ in float32 by ours in bf16", pair[0], "ms a segment", pair[1]))
    return rows


def scoring(network: nn.Module, inputs: torch.Tensor, precision: torch.dtype = torch.float32) -> Callable[[], object]:
    """Evaluate a network; `precision` by autocast, for one that has none of its own."""

    def score() -> None:
        network.eval()
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision != torch.float32):
            network(inputs)

    return score


def training(network: nn.Module, inputs: torch.Tensor, precision: torch.dtype) -> Callable[[], object]:
    """One step of AdamW; features are not built."""
    optimiser = torch.optim.AdamW(network.parameters())
    labels = (torch.arange(len(inputs)) % 4 == 0).float()

    def step() -> None:
        network.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision != torch.float32):
            output = network(inputs)
        logits = output if isinstance(output, torch.Tensor) else output.logit
        loss = F.binary_cross_entropy_with_logits(logits.float(), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return step


def transform_row(poses: np.ndarray, repeats: int) -> Row:
    """The features of random convolutions, from coordinates that are filled and centred."""
    config = RocketConfig()
    examples = series(torch.from_numpy(simulated_poses(poses.shape[1], "all")), config.features)
    sampled = sample_kernels(examples, moving(examples), config.biases_per_kernel, generator_of(0))
    streams = series(torch.from_numpy(poses), config.features)
    position = next(value for name, value in streams.items() if name.endswith("position"))
    theirs = MultiRocket(next(value for name, value in examples.items() if name.endswith("position")))
    with torch.inference_mode():
        took = measuring.medians(
            {"ours": lambda: transform(streams, sampled), "theirs": lambda: theirs.transform(position)}, repeats
        )
        widths = transform(streams, sampled).shape[1], theirs.transform(position).shape[1]
    name = f"random convolutions: MultiRocket ({widths[1]:,} features) by ours ({widths[0]:,})"
    return Row(name, 1000 * took["ours"] / len(poses), "ms a segment", 1000 * took["theirs"] / len(poses))


# ---- ST-GCN++


def subsets() -> np.ndarray:
    """The graph in three matrices (3, 33, 33) float32: itself, towards the hips and away from them, columns of sum 1.

    The spatial partition of Yan et al. 2018 (arXiv 1801.07455), with MediaPipe's own edges.
    """
    count = len(LANDMARKS)
    near = np.zeros((count, count), bool)
    for a, b in MEDIAPIPE_EDGES:
        near[a, b] = near[b, a] = True
    steps = np.full(count, count)
    steps[[INDEX["left_hip"], INDEX["right_hip"]]] = 0
    for _ in range(count):
        for a, b in itertools.product(range(count), repeat=2):
            if near[a, b]:
                steps[a] = min(steps[a], steps[b] + 1)
    closer = near & (steps[:, None] < steps[None])
    same = near & (steps[:, None] == steps[None])
    parts = np.stack([np.eye(count, dtype=bool) | same, closer, near & ~closer & ~same]).astype(np.float32)
    return parts / np.maximum(parts.sum(1, keepdims=True), 1)


class StgcnPlusPlus(nn.Module):
    """Coordinates (N, T, 33, 3) of one person to a logit (N,): ten blocks of 64, 128 and 256 channels."""

    WIDTHS = (64,) * 4 + (128,) * 3 + (256,) * 3
    STRIDES = (1, 1, 1, 1, 2, 1, 1, 2, 1, 1)

    def __init__(self) -> None:
        super().__init__()
        count = len(LANDMARKS)
        self.norm = nn.BatchNorm1d(3 * count)
        before = (3, *self.WIDTHS[:-1])
        self.blocks = nn.ModuleList(
            StgcnBlock(c_in, c_out, stride, residual=number > 0)
            for number, (c_in, c_out, stride) in enumerate(zip(before, self.WIDTHS, self.STRIDES, strict=True))
        )
        self.classes = nn.Linear(self.WIDTHS[-1], 1)

    def forward(self, coordinates: torch.Tensor) -> torch.Tensor:
        count, frames, joints, channels = coordinates.shape
        x = self.norm(coordinates.permute(0, 2, 3, 1).reshape(count, joints * channels, frames))
        x = x.reshape(count, joints, channels, frames).permute(0, 2, 3, 1).contiguous()  # (N, C, T, V)
        for block in self.blocks:
            x = block(x)
        return self.classes(x.mean((2, 3)))[:, 0]


class StgcnBlock(nn.Module):
    """Graph convolution, then temporal convolutions of several widths, and a residual about both."""

    def __init__(self, c_in: int, c_out: int, stride: int, residual: bool) -> None:
        super().__init__()
        self.graph = AdaptiveGraphConvolution(c_in, c_out)
        self.temporal = MultiScaleConvolution(c_out, stride)
        self.residual: nn.Module | None = None
        if residual:
            self.residual = nn.Identity()
            if c_in != c_out or stride != 1:
                self.residual = nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride=(stride, 1)), nn.BatchNorm2d(c_out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.temporal(self.graph(x))
        return F.relu(y if self.residual is None else y + self.residual(x))


class AdaptiveGraphConvolution(nn.Module):
    """One convolution for each of three graphs, whose matrices are learned, and a residual."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.graphs = nn.Parameter(torch.from_numpy(subsets()))
        self.convolution = nn.Conv2d(c_in, c_out * len(self.graphs), 1)
        self.norm = nn.BatchNorm2d(c_out)
        self.residual: nn.Module = nn.Identity()
        if c_in != c_out:
            self.residual = nn.Sequential(nn.Conv2d(c_in, c_out, 1), nn.BatchNorm2d(c_out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.convolution(x)
        y = y.reshape(len(x), len(self.graphs), -1, *y.shape[2:])
        y = torch.einsum("nkctv,kvw->nctw", y, self.graphs.to(y.dtype)).contiguous()
        return F.relu(self.norm(y) + self.residual(x))


class MultiScaleConvolution(nn.Module):
    """Six branches over time: taps 1, 2, 3 and 4 frames apart, the largest of three frames, and none."""

    DILATIONS = (1, 2, 3, 4)

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        part = channels // (len(self.DILATIONS) + 2)
        first = channels - part * (len(self.DILATIONS) + 1)
        self.branches = nn.ModuleList()
        for dilation in self.DILATIONS:
            width = first if dilation == 1 else part
            over_time = nn.Conv2d(
                width, width, (3, 1), stride=(stride, 1), padding=(dilation, 0), dilation=(dilation, 1)
            )
            self.branches.append(nn.Sequential(*self._reduced(channels, width), over_time))
        pooling = nn.MaxPool2d((3, 1), stride=(stride, 1), padding=(1, 0))
        self.branches.append(nn.Sequential(*self._reduced(channels, part), pooling))
        self.branches.append(nn.Conv2d(channels, part, 1, stride=(stride, 1)))
        self.mix = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, channels, 1))
        self.norm = nn.BatchNorm2d(channels)

    def _reduced(self, channels: int, width: int) -> tuple[nn.Module, ...]:
        return nn.Conv2d(channels, width, 1), nn.BatchNorm2d(width), nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.mix(torch.cat([branch(x) for branch in self.branches], 1)))


# ---- MultiRocket


class MultiRocket:
    """Series (N, C, T) and their first differences to 49,728 features.

    84 kernels of nine taps (three of them 2, the others -1), dilated, each of some channels, with thresholds that are
    quantiles of the outputs for an example. The outputs less the threshold are pooled in four ways: the fraction that
    is positive, the mean of those, their mean place, and the longest stretch of them.
    """

    TAPS, MOST_DILATIONS, MOST_CHANNELS = 9, 32, 9
    KERNELS = np.array(list(itertools.combinations(range(TAPS), 3)))
    THRESHOLDS = 6250 // len(KERNELS)  # of each kernel, over all dilations: the published 6,250, rounded down

    def __init__(self, examples: torch.Tensor, seed: int = 0) -> None:
        generator = np.random.default_rng(seed)
        self.parts = [self._sampled(values, generator) for values in (examples, examples.diff(dim=2))]

    def transform(self, values: torch.Tensor) -> torch.Tensor:
        """Features (N, 49,728) float32 of series (N, C, T) float32."""
        pooled = []
        for part, stream in zip(self.parts, (values, values.diff(dim=2)), strict=True):
            for dilation, channels, thresholds in part:
                outputs = self._outputs(stream, dilation, channels)
                pooled += [self._pooled(outputs[..., None, :] - thresholds[..., None])]
        return torch.cat(pooled, 1)

    def _sampled(
        self, examples: torch.Tensor, generator: np.random.Generator
    ) -> list[tuple[int, torch.Tensor, torch.Tensor]]:
        """Of each dilation: channels of the kernels (84, C) of 0 and 1, and thresholds (84, B)."""
        _, channels, frames = examples.shape
        most = np.log2((frames - 1) / (self.TAPS - 1))
        wanted = min(self.THRESHOLDS, self.MOST_DILATIONS)
        dilations, times = np.unique((2 ** np.linspace(0, most, wanted)).astype(int), return_counts=True)
        counts = times * self.THRESHOLDS // wanted
        counts[: self.THRESHOLDS - counts.sum()] += 1
        sampled, taken = [], 0
        for dilation, count in zip(dilations.tolist(), counts.tolist(), strict=True):
            of_kernels = torch.zeros(len(self.KERNELS), channels)
            for kernel in range(len(self.KERNELS)):
                size = int(2 ** generator.uniform(0, np.log2(min(channels, self.MOST_CHANNELS) + 1)))
                of_kernels[kernel, generator.choice(channels, size, replace=False)] = 1
            example = examples[[int(generator.integers(len(examples)))]]
            golden = (5**0.5 + 1) / 2
            levels = np.arange(taken + 1, taken + count * len(self.KERNELS) + 1) * golden % 1
            taken += levels.size
            outputs = self._outputs(example, dilation, of_kernels)[0]  # (84, T)
            levels = torch.from_numpy(levels.reshape(len(self.KERNELS), count)).float()
            ordered = outputs.sort(1).values
            sampled.append((dilation, of_kernels, ordered.gather(1, (levels * outputs.shape[1]).long())))
        return sampled

    def _outputs(self, values: torch.Tensor, dilation: int, channels: torch.Tensor) -> torch.Tensor:
        """Convolutions (N, 84, T) of series (N, C, T), with zeros about them."""
        frames, reach = values.shape[2], dilation * (self.TAPS // 2)
        padded = F.pad(torch.matmul(channels, values), (reach, reach))
        taps = [padded[..., dilation * tap : dilation * tap + frames] for tap in range(self.TAPS)]
        outputs = -torch.stack(taps).sum(0)
        for tap in range(self.TAPS):
            has = torch.from_numpy(np.flatnonzero((tap == self.KERNELS).any(1)))
            outputs[:, has] += 3 * taps[tap][:, has]
        return outputs

    def _pooled(self, outputs: torch.Tensor) -> torch.Tensor:
        """Four features (N, 4 x 84 x B) of outputs less thresholds (N, 84, B, T); no positive value: a place of -1."""
        frames = outputs.shape[3]
        positive = outputs > 0
        count = positive.sum(3)
        at_least = count.clamp(min=1)
        mean = outputs.clamp(min=0).sum(3) / at_least
        place = (positive * torch.arange(frames, dtype=torch.float32)).sum(3) / at_least
        place = torch.where(count > 0, place, -1.0)
        last_other = torch.where(positive, -1, torch.arange(frames)).cummax(3).values
        longest = (torch.arange(frames) - last_other).amax(3)
        return torch.stack([count / frames, mean, place, longest.float()], 1).flatten(1)


if __name__ == "__main__":
    sys.exit(app.run(main, Peers, __doc__))
