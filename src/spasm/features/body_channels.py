"""Positions and velocities in the body's frame of reference: upright, in trunk lengths, smoothed, and squashed.

Where the child lies, which way and how large says nothing of a spasm, yet it is most of the variance of positions in
the picture. Velocities have heavy tails: their logarithm-like squashing lets usual movement be seen beside jumps. Depth
is a guess from one picture; it is scaled by its own noise.
"""

import torch
from torch.nn import functional as F

from spasm.features.exportable import first_frames, nanmedian

SMOOTHING = 1.5  # frames, deviation of the Gaussian
TAPS = 4  # frames on either side
USUAL_SPEED = 0.02  # trunk lengths per frame; velocities are squashed from here on
USUAL_ACCELERATION = 0.01  # trunk lengths per frame and frame
FINEST = 1e-3  # trunk lengths; less noise than this may be rounding, as in a frozen pose
TRUSTED_DEPTH = 3.0  # noise of depth over noise in the picture at which depth counts half


def upright(positions: torch.Tensor, found: torch.Tensor, upward: torch.Tensor, trunk: torch.Tensor) -> torch.Tensor:
    """Positions (N, T, 33, 3) about the root in the body's frame, in trunk lengths.

    positions: (N, T, 33, 3) in the picture, without gaps; found: (N, T, 33) bool; upward: (N, 2), the unit vector from
    hips to shoulders in the picture; trunk: (N,), its length.
    """
    ux, uy = upward[:, 0, None, None], upward[:, 1, None, None]
    x, y, z = positions.unbind(-1)
    # The child is turned so that the trunk points up, which is -y in a picture; left and right are kept.
    turned = torch.stack([y * ux - x * uy, -x * ux - y * uy, z], -1) / trunk[:, None, None, None]
    return smooth_in_time(torch.cat([turned[..., :2], tame_depth(turned, found)], -1))


def squashed(positions: torch.Tensor, velocity: torch.Tensor, acceleration: torch.Tensor) -> torch.Tensor:
    """The ten channels of motion (N, T, 33, 10) in the body's frame; speed is that in the picture, without depth."""
    speed = velocity[..., :2].norm(dim=-1, keepdim=True)
    derivatives = squash(velocity), torch.asinh(acceleration / USUAL_ACCELERATION), squash(speed)
    return torch.cat([positions, *derivatives], -1)


def squash(velocity: torch.Tensor) -> torch.Tensor:
    """Velocities in trunk lengths per frame, in proportion where they are usual, as their logarithm where large."""
    return torch.asinh(velocity / USUAL_SPEED)


def tame_depth(positions: torch.Tensor, found: torch.Tensor) -> torch.Tensor:
    """Depth (N, T, 33, 1) about each landmark's median, smaller where it is noisier than the picture's coordinates."""
    depth = positions[..., 2:]
    centred = depth - nanmedian(depth)[:, None]
    steady = found[:, 2:] & found[:, 1:-1] & found[:, :-2]
    bend = (positions[:, 2:] - 2 * positions[:, 1:-1] + positions[:, :-2]).abs()
    # NaN in the first two frames, so that there is something to take the median of in a segment of one or two frames.
    bend = torch.cat([torch.full_like(positions[:, :2], torch.nan), torch.where(steady[..., None], bend, torch.nan)], 1)
    x, y, z = nanmedian(first_frames(bend, positions.shape[1]).flatten(1, 2)).unbind(-1)
    ratio = torch.nan_to_num(2 * z / (x + y).clamp(min=FINEST), nan=0.0)
    return centred / (1 + (ratio / TRUSTED_DEPTH).square())[:, None, None, None]


def smooth_in_time(values: torch.Tensor) -> torch.Tensor:
    """Values (N, T, ...) smoothed by a Gaussian; the first and the last are repeated beyond the ends."""
    offsets = torch.arange(-TAPS, TAPS + 1, dtype=values.dtype, device=values.device)
    weights = torch.exp(-0.5 * (offsets / SMOOTHING).square())
    weights = weights / weights.sum()
    frames = values.shape[1]
    flat = values.flatten(2).transpose(1, 2)  # (N, V, T)
    padded = F.pad(flat, (TAPS, TAPS), mode="replicate")
    smooth = sum(weight * padded[..., tap : tap + frames] for tap, weight in enumerate(weights.tolist()))
    return smooth.transpose(1, 2).reshape(values.shape)
