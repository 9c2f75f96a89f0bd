"""The random convolutions: thousands of fixed kernels on streams of channels, pooled over time.

The kernels follow MiniRocket (Dempster et al. 2021, arXiv 2012.08791), the four poolings and the use of first
differences follow MultiRocket (Tan et al. 2022, arXiv 2102.00457). Written from the papers. Unlike there, a kernel adds
its channels with random signs, so that what moves in opposite directions does not cancel.
"""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch.nn import functional as F

from spasm.config.features import Features
from spasm.core.errors import TrainingError
from spasm.data.landmarks import LANDMARKS, MIRROR
from spasm.features.body_channels import squash
from spasm.features.channels import root_relative

TAPS = 9
# MiniRocket's 84 kernels: three of nine weights are 2 and the others -1, so that each sums to 0.
HIGH_TAPS = np.array(list(itertools.combinations(range(TAPS), 3)))
USES = 2  # of every kernel in every dilation, shared out among the streams
MOST_DILATIONS = 6  # from 1 frame to the widest kernel that fits into the segment
MOST_CHANNELS = 9  # added by one kernel, as in MiniRocket
POOLINGS = 4
GOLDEN_RATIO = (5**0.5 + 1) / 2
BIAS_VALUES = 10_000  # of a kernel's outputs, whose quantiles are its biases
# Kernels sum to 0, so landmarks that do not move give rounding errors, which must not pass a bias.
SMALLEST_BIAS = 1e-3
CACHED_FRAMES = 16  # whose outputs stay in the CPU cache
PACKED_FRAMES = 255  # their number, and 256 times the sum of their places, are below 2 ** 24
PARTS = ("kernels", "mix", "biases")
Tensors = dict[str, torch.Tensor]
Streams = Mapping[str, torch.Tensor]


def series(poses: torch.Tensor, features: Features) -> dict[str, torch.Tensor]:
    """The streams (N, C, T) float32 that the kernels read of poses (N, T, 33, 5) float32, named after their frame.

    Coordinates from the hips in the frame of reference of the settings, and their first differences (N, C, T - 1), in
    the body's frame squashed; C = 99: x of all landmarks, then y, then z. Of every stream, the first 33 channels are
    the coordinate whose sign a mirror turns, see `with_mirror_image`.
    """
    positions, _ = root_relative(poses, features)
    position = positions.permute(1, 3, 2, 0).flatten(1, 2).permute(2, 1, 0)  # in memory as `time_first` needs it
    velocity = position.diff(dim=2)
    if features.frame == "body":
        velocity = squash(velocity)
    return {f"{features.frame}.position": position, f"{features.frame}.velocity": velocity}


def moving(streams: Streams) -> dict[str, np.ndarray]:
    """Whether each channel of a stream ever changes, (C,) bool by stream; a landmark that is never found does not."""
    return {name: (values.amax((0, 2)) > values.amin((0, 2))).numpy() for name, values in streams.items()}


def kernels() -> torch.Tensor:
    """The 84 kernels (84, 9) float32."""
    return torch.full((len(HIGH_TAPS), TAPS), -1.0).scatter_(1, torch.from_numpy(HIGH_TAPS), 2.0)


def dilations(frames: int) -> np.ndarray:
    """Frames between two taps: evenly spaced in logarithm, up to nine taps spanning the series."""
    widest = max(1, (frames - 1) // (TAPS - 1))
    return np.unique(np.geomspace(1, widest, MOST_DILATIONS).round().astype(int))


def share_out(streams: Sequence[str], turn: int) -> dict[str, np.ndarray]:
    """Numbers of the kernels that each stream uses in a dilation: all streams together use every kernel twice.

    So the number of features does not grow with the streams. turn: the number of the dilation; the next one gives a
    stream other kernels.
    """
    uses = np.arange(USES * len(HIGH_TAPS)) // USES
    return {name: uses[(place + turn) % len(streams) :: len(streams)] for place, name in enumerate(streams)}


def sample_mix(generator: np.random.Generator, alive: np.ndarray, count: int) -> torch.Tensor:
    """Sample the channels that each of `count` kernels adds, and their signs: (count, C) of -1, 0 and 1.

    One to nine of those `alive` (C,) bool, as in MiniRocket.
    """
    mix = torch.zeros(count, len(alive))
    usable = np.flatnonzero(alive)
    for kernel in range(count):
        most = min(len(usable), MOST_CHANNELS)
        size = int(2 ** generator.uniform(0, np.log2(most + 1)))
        signs = torch.from_numpy(generator.choice([-1.0, 1.0], size)).float()
        mix[kernel, generator.choice(usable, size, replace=False)] = signs
    return mix


def sample_kernels(
    examples: Streams, alive: Mapping[str, np.ndarray], biases: int, generator: np.random.Generator
) -> Tensors:
    """For each stream and dilation: numbers of kernels (K,), channels and signs (K, C), and biases (K, B).

    Biases are quantiles of the outputs for `examples`, which must not be segments to be scored; each has a level of its
    own, as in MiniRocket. alive: the channels to use, (C,) bool by stream. Raises TrainingError if a stream has none.
    """
    if not all(alive[name].any() for name in examples):
        raise TrainingError("nothing moves in the training segments: check them with src/verify.py")
    sampled: Tensors = {}
    sampled_before = 0
    for name, values in examples.items():
        values = time_first(values)
        for turn, dilation in enumerate(dilations(len(values))):
            numbers = torch.from_numpy(share_out(list(examples), turn)[name])
            mix = sample_mix(generator, alive[name], len(numbers))
            outputs = convolve(values, kernels()[numbers], mix, int(dilation)).permute(1, 2, 0).flatten(1)
            outputs = outputs[:, :: max(1, outputs.shape[1] // BIAS_VALUES)].sort(1).values
            levels = spread_levels(sampled_before, len(numbers) * biases).reshape(-1, biases)
            quantiles = outputs.gather(1, (levels * outputs.shape[1]).long())
            sampled_before += levels.numel()
            key = f"{name}.{dilation}"
            sampled[f"{key}.kernels"], sampled[f"{key}.mix"] = numbers, mix
            sampled[f"{key}.biases"] = away_from_zero(quantiles)
    return sampled


def spread_levels(first: int, count: int) -> torch.Tensor:
    """Numbers first .. first + count of MiniRocket's sequence of levels in 0..1: any few in a row are far apart."""
    return torch.arange(first + 1, first + count + 1, dtype=torch.float64) * GOLDEN_RATIO % 1


def away_from_zero(biases: torch.Tensor) -> torch.Tensor:
    """Biases at least SMALLEST_BIAS above or below 0, on the side where they are."""
    return torch.where(biases < 0, biases.clamp(max=-SMALLEST_BIAS), biases.clamp(min=SMALLEST_BIAS))


def with_mirror_image(sampled: Tensors) -> Tensors:
    """Every kernel twice in its stream and dilation: as it is, and as it would read the mirror image of a pose.

    The mirror image exchanges left and right landmarks and turns the sign of their first coordinate. So the kernel is
    mirrored and not the pose, and both read the same streams.
    """
    doubled: Tensors = {}
    for name, value in sampled.items():
        mirrored = value
        if name.endswith(".mix"):
            mirrored = value.reshape(len(value), -1, len(LANDMARKS))[..., list(MIRROR)].clone()
            mirrored[:, 0] *= -1
        doubled[name] = torch.cat([value, mirrored.reshape(value.shape)])
    return doubled


def time_first(values: torch.Tensor) -> torch.Tensor:
    """A stream (N, C, T) as (T, C, N): segments last, so that all that is computed is in long contiguous rows."""
    return values.permute(2, 1, 0).contiguous()


def convolve(values: torch.Tensor, weights: torch.Tensor, mix: torch.Tensor, dilation: int) -> torch.Tensor:
    """values (T, C, N) to (T, K, N): each kernel over its sum of channels.

    Beyond both ends the first and the last value are repeated: zeros, as in MiniRocket, would be a jump as large as a
    limb is long. weights (K, 9): the kernels; mix (K, C): the channels that each adds, and their signs.
    """
    frames, _, count = values.shape
    summed = add_channels(values, mix, dilation * (TAPS // 2))
    # Every tap is one contiguous block, and a few frames with all their taps stay in the CPU cache: several times as
    # fast as a grouped convolution.
    taps = weights.T[:, :, None].expand(-1, -1, count).contiguous()
    outputs = torch.empty(frames, len(mix), count)
    for start in range(0, frames, CACHED_FRAMES):
        part = outputs[start : start + CACHED_FRAMES]
        for tap, weight in enumerate(taps):
            first = start + tap * dilation
            shifted = summed[first : first + len(part)]
            if tap:
                part.addcmul_(shifted, weight)
            else:
                torch.mul(shifted, weight, out=part)
    return outputs


def add_channels(values: torch.Tensor, mix: torch.Tensor, margin: int) -> torch.Tensor:
    """values (T, C, N) to (T + 2 margin, K, N): sums of channels by mix (K, C), with repeated ends.

    A kernel adds few channels. As a sum of rows, which torch calls a bag of embeddings, this is ten times as fast as a
    product of matrices that are mostly zeros.
    """
    frames, channels, _ = values.shape
    kernel, channel = mix.nonzero(as_tuple=True)
    in_kernel = mix.count_nonzero(1)
    time = torch.arange(-margin, frames + margin)
    rows = time.clamp(0, frames - 1)[:, None] * channels + channel
    firsts = (time + margin)[:, None] * len(channel) + in_kernel.cumsum(0) - in_kernel
    signs = mix[kernel, channel].expand(len(time), -1).flatten()
    table = values.flatten(0, 1)
    summed = F.embedding_bag(rows.flatten(), table, firsts.flatten(), mode="sum", per_sample_weights=signs)
    return summed.unflatten(0, (len(time), len(mix)))


def pool(outputs: torch.Tensor, biases: torch.Tensor) -> torch.Tensor:
    """outputs (T, K, N), biases (K, B) to (N, K, B, 4): MultiRocket's poolings over the frames above each bias.

    The fraction of such frames; their mean excess over the bias; their mean position, from 0 to 1, or -1 / T if there
    are none; and the longest run of them, as a fraction of T.
    """
    frames, _, count = outputs.shape
    biases = biases.T[:, :, None].expand(-1, -1, count).contiguous()
    # Frame by frame, so that all values stay in the CPU cache.
    above = torch.empty_like(biases)
    frames_above, total, places, stretch, longest = (torch.zeros_like(biases) for _ in range(5))
    for start in range(0, frames, PACKED_FRAMES):
        # The number of frames above and the sum of their places, as one number that float32 holds exactly.
        packed = torch.zeros_like(biases)
        for place, output in enumerate(outputs[start : start + PACKED_FRAMES]):
            torch.gt(output, biases, out=above)  # 0 or 1
            total.addcmul_(above, output)
            packed.add_(above, alpha=1 + place * (PACKED_FRAMES + 1))
            torch.addcmul(above, stretch, above, out=stretch)
            torch.maximum(longest, stretch, out=longest)
        above_here = packed.remainder(PACKED_FRAMES + 1)
        frames_above += above_here
        places += (packed - above_here) / (PACKED_FRAMES + 1) + start * above_here
    at_least_one, is_above = frames_above.clamp(min=1), frames_above > 0
    excess = torch.where(is_above, total / at_least_one - biases, 0)
    mean_place = torch.where(is_above, places / at_least_one, -1)
    pooled = torch.stack([frames_above / frames, excess, mean_place / frames, longest / frames])
    return pooled.permute(3, 2, 1, 0)


def transform(streams: Streams, sampled: Tensors) -> torch.Tensor:
    """The pooled features (N, F) float32 of segments, by stream, dilation, kernel, bias and pooling."""
    return torch.cat([pooled.flatten(1) for pooled in pooled_outputs(streams, sampled)], 1)


def transform_both(streams: Streams, doubled: Tensors) -> torch.Tensor:
    """The mean of the features (N, F) of segments and of their mirror images, by kernels of `with_mirror_image`."""
    halves = (pooled.tensor_split(2, 1) for pooled in pooled_outputs(streams, doubled))
    return torch.cat([((kernels + mirrored) / 2).flatten(1) for kernels, mirrored in halves], 1)


def pooled_outputs(streams: Streams, sampled: Tensors) -> list[torch.Tensor]:
    """The pooled outputs (N, K, B, 4) of each stream and dilation."""
    pooled = []
    for name, values in streams.items():
        values = time_first(values)
        for dilation in dilations(len(values)):
            numbers, mix, biases = (sampled[f"{name}.{dilation}.{part}"] for part in PARTS)
            pooled.append(pool(convolve(values, kernels()[numbers], mix, int(dilation)), biases))
    return pooled
