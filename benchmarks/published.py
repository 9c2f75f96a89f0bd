"""Speed of STAM and VSViG as published, against plain transcriptions of their descriptions, measured in turn.

Milliseconds from STAM's sequences (7, 150, 18) and VSViG's patches (30, 15, 3, 32, 32) to the logit, in float32, of
one segment and of 16. "Listed" is what STAM's published code took on two cores of a server, and for VSViG a trial with
the published layers made to depend on their input (39.4 is the fastest of noisy runs, the others are medians). Both
sides have the same weights and the same threads.

Example: python benchmarks/published.py --threads 2
"""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import torch
from torch import nn
from torch.nn import functional as F
from tqdm import tqdm

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from benchmarks import measuring
from spasm.cli import app
from spasm.config.fields import settings, within
from spasm.models.networks.layers import Folded
from spasm.models.networks.stam import StamNetwork, adjacency, clip_starts
from spasm.models.networks.vsvig import BASE, DEPTHS, LIGHT, ORDERS, VsvigPatches


@settings
class BenchmarkPublished:
    """Flags of benchmarks/published.py."""

    threads: Annotated[int, within(1, 256)] = 2
    """Threads of both sides."""
    repeats: Annotated[int, within(1, 1000)] = 15
    """Times each is measured, in turn; the median counts."""
    out: Path | None = None
    """JSON file for the results."""


Weights = dict[str, torch.Tensor]
LISTED = {"STAM": ("8.5", "68 to 126"), "VSViG light": ("23.3", "163"), "VSViG base": ("39.4", "338")}
BATCHES = (1, 16)


def main(settings: BenchmarkPublished) -> int:
    torch.set_num_threads(settings.threads)
    torch.manual_seed(0)
    rows: list[measuring.Row] = []
    print(f"{settings.threads} threads, {torch.backends.cpu.get_cpu_capability()}, float32")
    print(f"{'':14}{'segments':>9}{'ours, ms':>10}{'plain, ms':>11}{'plain / ours':>14}{'listed, ms':>12}")
    for name, (network, plain, shapes) in published().items():
        weights, folded = network.state_dict(), Folded(network, torch.float32)
        for batch, listed in zip(BATCHES, LISTED[name], strict=True):
            inputs = [torch.randn(batch, *shape) for shape in shapes]
            ours, theirs = [], []
            for repeat in tqdm(range(settings.repeats + 1), f"{name} {batch}", disable=None, leave=False):
                fast, slow = seconds(folded, *inputs), seconds(plain, weights, *inputs)
                if repeat > 0:  # the first time warms up
                    ours.append(1000 * fast)
                    theirs.append(1000 * slow)
            fast, slow = statistics.median(ours), statistics.median(theirs)
            rows.append(measuring.Row(f"{name}, {batch} segments", fast, "ms", slow))
            print(f"{name:14}{batch:9}{fast:10.1f}{slow:11.1f}{slow / fast:14.2f}{listed:>12}")
    if settings.out:
        measuring.write(settings.out, f"{settings.threads} threads, float32", rows)
    return 0


def published() -> dict[str, tuple[nn.Module, Callable[..., torch.Tensor], list[tuple[int, ...]]]]:
    """Each network with its published sizes, its transcription, and the shapes of its inputs."""
    patches = [(30, 15, 3 * 32 * 32 + 3)]  # a patch and a keypoint of each joint
    return {
        "STAM": (StamNetwork().eval(), plain_stam, [(7, 150, 18)]),
        "VSViG light": (VsvigPatches(LIGHT).eval(), plain_vsvig, patches),
        "VSViG base": (VsvigPatches(BASE).eval(), plain_vsvig, patches),
    }


@torch.inference_mode()
def seconds(work: Callable[..., object], *inputs: object) -> float:
    start = time.perf_counter()
    work(*inputs)
    return time.perf_counter() - start


def norm(weights: Weights, name: str, x: torch.Tensor) -> torch.Tensor:
    """A batch norm in evaluation."""
    mean, variance = weights[f"{name}.running_mean"], weights[f"{name}.running_var"]
    return F.batch_norm(x, mean, variance, weights[f"{name}.weight"], weights[f"{name}.bias"])


# ---- STAM, layer by layer


def plain_stam(weights: Weights, x: torch.Tensor) -> torch.Tensor:
    """Sequences (N, 7, T, 18) to class logits (N, 2)."""
    count, channels, frames, joints = x.shape
    starts = clip_starts(frames)
    x = torch.stack([x[:, :, start : start + 30] for start in starts], 1).reshape(-1, channels, 30, joints)
    x = x.permute(0, 1, 3, 2).reshape(len(x), channels * joints, 30)
    x = norm(weights, "norm", x).reshape(len(x), channels, joints, 30).permute(0, 1, 3, 2).contiguous()
    graph = torch.from_numpy(adjacency(joints))
    for block, stride in enumerate((1, 2, 2)):
        name = f"blocks.{block}"
        y = F.conv2d(x, weights[f"{name}.spatial.weight"], weights[f"{name}.spatial.bias"])
        y = F.relu(norm(weights, f"{name}.spatial_norm", torch.einsum("nctv,vw->nctw", y, graph)))
        y = F.conv2d(y, weights[f"{name}.temporal.weight"], weights[f"{name}.temporal.bias"], (stride, 1), (4, 0))
        y = norm(weights, f"{name}.norm", y)
        shortcut = f"{name}.residual"
        x = F.conv2d(x, weights[f"{shortcut}.0.weight"], weights[f"{shortcut}.0.bias"], (stride, 1))
        x = F.relu(y + norm(weights, f"{shortcut}.1", x))
    x = x.mean(2).permute(0, 2, 1)  # (N K, V, Z)
    x = (x * plain_attention(weights, "over_joints", x)).sum(1)
    x = F.linear(x, weights["clip.weight"], weights["clip.bias"]).reshape(count, len(starts), -1)
    x = (x * plain_attention(weights, "over_clips", x)).sum(1)
    return F.linear(x, weights["classes.weight"], weights["classes.bias"])


def plain_attention(weights: Weights, name: str, x: torch.Tensor) -> torch.Tensor:
    hidden = torch.tanh(F.linear(x, weights[f"{name}.hidden.weight"], weights[f"{name}.hidden.bias"]))
    return torch.softmax(F.linear(hidden, weights[f"{name}.score.weight"], weights[f"{name}.score.bias"]), 1)


# ---- VSViG, layer by layer


def plain_vsvig(weights: Weights, features: torch.Tensor) -> torch.Tensor:
    """Patches and keypoints (B, T, 15, 3 * 32 * 32 + 3) to logits (B,)."""
    patches, keypoints = features[..., :-3], features[..., -3:]
    batch, steps, joints = patches.shape[:3]
    x = F.conv2d(patches.reshape(-1, 3, 32, 32), weights["patch.weight"], weights["patch.bias"], 32)
    x = norm(weights, "patch_norm", x).reshape(batch, steps, joints, -1).permute(0, 3, 1, 2)
    x = x + conv_norm(weights, "place", keypoints.permute(0, 3, 1, 2))
    strides = [
        2 if stage and not block else 1 for stage, depth in enumerate(DEPTHS) for block in range(depth + (stage > 0))
    ]
    for pair, stride in enumerate(strides):
        x = plain_grapher(weights, f"network.blocks.{2 * pair}", x)
        x = plain_part(weights, f"network.blocks.{2 * pair + 1}", x, stride, ORDERS[pair])
    x = x.mean((2, 3))[..., None]
    x = F.conv1d(x, weights["network.hidden.weight"], weights["network.hidden.bias"])
    x = F.relu(norm(weights, "network.hidden_norm", x))
    return F.conv1d(x, weights["network.out.weight"], weights["network.out.bias"])[:, 0, 0]


def plain_grapher(weights: Weights, name: str, x: torch.Tensor) -> torch.Tensor:
    y = plain_relative(weights, f"{name}.inter", conv_norm(weights, f"{name}.into_inter", x), within=False)
    h = F.relu(conv_norm(weights, f"{name}.from_inter", y) + x)
    y = plain_relative(weights, f"{name}.intra", conv_norm(weights, f"{name}.into_intra", h), within=True)
    return F.relu(conv_norm(weights, f"{name}.from_intra", y) + x)


def plain_relative(weights: Weights, name: str, x: torch.Tensor, within: bool) -> torch.Tensor:
    """The largest difference to the neighbours, joint by joint."""
    largest = torch.empty_like(x)
    for joint in range(15):
        near = [other for other in range(15) if (other // 3 == joint // 3) == within]
        largest[..., joint] = (x[..., near] - x[..., joint : joint + 1]).amax(3)
    y = F.conv2d(torch.cat([x, largest], 1), weights[f"{name}.mix.weight"], weights[f"{name}.mix.bias"], groups=4)
    return F.relu(norm(weights, f"{name}.norm", y))


def plain_part(weights: Weights, name: str, x: torch.Tensor, stride: int, order: tuple[int, ...]) -> torch.Tensor:
    x = x[..., [3 * part + joint for part in order for joint in range(3)]]
    y = F.relu(conv_norm(weights, f"{name}.first", x))
    y = F.pad(y[..., None], (0, 0, 1, 1, 1, 1), mode="replicate")  # three axes, as published: time, joints, one
    y = F.conv3d(y, weights[f"{name}.second.0.weight"][..., None], weights[f"{name}.second.0.bias"], (stride, 1, 1))
    y = F.relu(norm(weights, f"{name}.second.1", y[..., 0]))
    y = F.relu(conv_norm(weights, f"{name}.third", y))
    return F.relu(y + conv_norm(weights, f"{name}.down", x, stride))


def conv_norm(weights: Weights, name: str, x: torch.Tensor, stride: int = 1) -> torch.Tensor:
    """A 1x1 convolution and its batch norm."""
    y = F.conv2d(x, weights[f"{name}.0.weight"], weights[f"{name}.0.bias"], (stride, 1))
    return norm(weights, f"{name}.1", y)


if __name__ == "__main__":
    sys.exit(app.run(main, BenchmarkPublished, __doc__))
