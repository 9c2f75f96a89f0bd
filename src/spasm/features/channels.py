"""Poses (N, T, 33, 5) to the 14 channels (N, 14, 33, T) that every network reads.

Training, out-of-fold scoring and submission all call `build_features`; no other code makes channels.
"""

import torch

from spasm.config.features import Features
from spasm.data.landmarks import LEFT_HIP, LEFT_SHOULDER, RIGHT_HIP, RIGHT_SHOULDER
from spasm.data.pose import FARTHEST
from spasm.features.body_channels import squashed, upright
from spasm.features.body_frame import SMALLEST_TRUNK
from spasm.features.exportable import first_frames, last_true, nanmedian

CHANNELS = (
    "x", "y", "z", "vx", "vy", "vz", "ax", "ay", "az", "speed", "visibility", "presence", "mask", "valid_fraction",
)  # fmt: skip
MASK = CHANNELS.index("mask")


def build_features(poses: torch.Tensor, settings: Features) -> torch.Tensor:
    """The 14 channels of a batch.

    poses: (N, T, 33, 5) float32, [x, y, z, visibility, presence]; x, y in picture widths and heights; NaN:
        landmark not found.
    Returns (N, 14, 33, T) float32 without NaN, in the order of `CHANNELS`; velocity and acceleration are per frame.
        In memory the channels are the innermost axis, which is fastest for the convolutions.
    """
    positions, found = root_relative(poses, settings)
    mask = found.to(positions.dtype)[..., None]
    observed = torch.nan_to_num(poses[..., 3:5], nan=0.0).clamp(0, 1), mask, mask.mean(2, keepdim=True).expand_as(mask)
    differences = in_time(positions, found)
    if settings.frame == "body":
        motion = squashed(positions, *differences)
    else:
        velocity, acceleration = differences
        motion = torch.cat([positions, velocity, acceleration, velocity.norm(dim=-1, keepdim=True)], -1)
    return torch.cat([motion, *observed], dim=-1).permute(0, 3, 2, 1)


def in_time(positions: torch.Tensor, found: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Velocity and acceleration per frame of positions (N, T, 33, 3), 0 where a frame that they rest on is missing."""
    moves = found[:, 1:] & found[:, :-1]
    still = torch.zeros_like(positions[:, :1])
    velocity = torch.cat([still, (positions[:, 1:] - positions[:, :-1]) * moves[..., None]], 1)
    accelerates = moves[:, 1:] & moves[:, :-1]
    steps = (velocity[:, 2:] - velocity[:, 1:-1]) * accelerates[..., None]
    acceleration = torch.cat([torch.zeros_like(positions[:, :2]), steps], 1)
    return velocity, first_frames(acceleration, positions.shape[1])


def root_relative(poses: torch.Tensor, settings: Features) -> tuple[torch.Tensor, torch.Tensor]:
    """Coordinates from the root (N, T, 33, 3) float32 of poses (N, T, 33, 5), and what was found (N, T, 33) bool.

    They are in the frame of reference of the settings. Gaps are filled; a landmark that is never found is zero.
    """
    # Poses that were read lie within FARTHEST; augmented ones need not, and one such value would spoil a batch norm.
    positions = poses[..., :3].clamp(-FARTHEST, FARTHEST)
    found = torch.isfinite(poses[..., :3]).all(-1)  # (N, T, 33)
    ever_found = found.any(1)  # (N, 33)
    positions = interpolate(positions, found)
    if settings.aspect != 1:
        positions = positions * positions.new_tensor([settings.aspect, 1, settings.aspect])
    root = _root(positions, found, ever_found, hold=settings.root == "hold")
    positions = (positions - root) * ever_found[:, None, :, None]
    if settings.frame == "body":
        return upright(positions, found, *_trunk(positions, found)), found
    if settings.body_scale:
        positions = positions / _trunk(positions, found)[1][:, None, None, None]
    return positions, found


def interpolate(positions: torch.Tensor, found: torch.Tensor) -> torch.Tensor:
    """Fill each landmark's missing frames on a line between its neighbours in time, as `np.interp` does.

    positions: (N, T, 33, 3), found: (N, T, 33) bool. Before the first and after the last found frame the
    nearest value is used; a landmark that is never found becomes zero.
    """
    filled = torch.where(found[..., None], positions, 0).transpose(1, 2).contiguous()  # (N, 33, T, 3)
    found = found.transpose(1, 2)
    if torch.compiler.is_exporting():  # a graph has no selection of rows by their values
        return between_neighbours(filled.flatten(0, 1), found.flatten(0, 1)).reshape(filled.shape).transpose(1, 2)
    gappy = found.any(2) & ~found.all(2)  # only these need interpolation
    if gappy.any():
        filled[gappy] = between_neighbours(filled[gappy], found[gappy])
    return filled.transpose(1, 2)


def between_neighbours(values: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Values (S, T, 3) with those that are not valid on a line between their valid neighbours; valid: (S, T) bool.

    A series without a valid value stays as it is.
    """
    frames = valid.shape[1]
    time = torch.arange(frames, device=values.device).expand_as(valid)
    before, after = last_true(valid), frames - 1 - last_true(valid.flip(1)).flip(1)
    left = torch.where(before < 0, after, before)  # before the first found frame
    left = torch.where(left >= frames, time, left)  # no frame at all
    right = torch.where(after >= frames, left, after)  # after the last one
    weight = ((time - left) / (right - left).clamp(min=1))[..., None]
    at_left, at_right = (values.gather(1, at[..., None].expand_as(values)) for at in (left, right))
    return at_left + weight * (at_right - at_left)


def _root(positions: torch.Tensor, found: torch.Tensor, ever_found: torch.Tensor, hold: bool) -> torch.Tensor:
    """Position of the body (N, T, 1, 3): mid-hips, else mid-shoulders, else the centre of all landmarks ever found."""
    count = ever_found.sum(1).clamp(min=1)[:, None, None, None]
    root = (positions * ever_found[:, None, :, None]).sum(2, keepdim=True) / count
    for pair in ([LEFT_SHOULDER, RIGHT_SHOULDER], [LEFT_HIP, RIGHT_HIP]):
        middle = positions[:, :, pair].mean(2, keepdim=True)
        if hold:  # the published rule: a gap keeps the last valid root, so that all landmarks jump at its end
            both = found[:, :, pair].all(2)
            last, first = last_true(both), both.float().argmax(1, keepdim=True)
            last = torch.where(last < 0, first, last)
            middle = middle.gather(1, last[:, :, None, None].expand_as(middle))
        root = torch.where(ever_found[:, pair].all(1)[:, None, None, None], middle, root)
    return root


def _trunk(positions: torch.Tensor, found: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Direction (N, 2) from hips to shoulders in the picture, and length (N,), one of each per segment.

    The direction is the mean over time, (0, -1) where unknown; the length is the median, 1 where unknown. One scale per
    segment: one per frame would erase flexion.
    """
    trunk = [LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_HIP, RIGHT_HIP]
    visible = found[:, :, trunk].all(2)
    upward = positions[:, :, trunk[:2], :2].mean(2) - positions[:, :, trunk[2:], :2].mean(2)  # (N, T, 2)
    length = upward.norm(dim=-1)
    median = nanmedian(torch.where(visible, length, torch.nan))
    known = median >= SMALLEST_TRUNK
    direction = (upward / length.clamp(min=1e-6)[..., None] * visible[..., None]).sum(1)
    direction = direction / direction.norm(dim=-1, keepdim=True).clamp(min=1e-6)
    turned = known & (direction.norm(dim=-1) > 0.5)  # not where opposite directions cancel out
    return torch.where(turned[:, None], direction, direction.new_tensor([0.0, -1.0])), torch.where(known, median, 1.0)
