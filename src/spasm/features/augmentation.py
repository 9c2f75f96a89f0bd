"""Random changes to raw poses in training, applied before gaps are filled and derivatives are computed."""

import torch

from spasm.config.features import Augmentation
from spasm.data.landmarks import MIRROR


def augment(
    poses: torch.Tensor, settings: Augmentation, generator: torch.Generator, aspect: float = 1.0
) -> torch.Tensor:
    """A changed copy of a batch (N, T, 33, 5) float32; NaN stays NaN, and more values may become NaN.

    `aspect` is the picture's width divided by its height: without it a rotation would be a shear.
    All random numbers come from `generator` (on the CPU), so that the same seed gives the same batch on any device.
    """
    count, frames, landmarks, _ = poses.shape
    device = poses.device

    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        return (torch.rand(shape, generator=generator) * (high - low) + low).to(device)

    mirrored = uniform(0, 1, count, 1, 1, 1) < settings.mirror_prob
    poses = torch.where(mirrored, mirror(poses), poses)

    shift = uniform(-settings.shift_frames, settings.shift_frames, count, 1).round().long()
    source = torch.arange(frames, device=device) + shift  # (N, T)
    outside = (source < 0) | (source >= frames)
    rows = torch.arange(count, device=device)[:, None]
    poses = poses[rows, source.clamp(0, frames - 1)]

    gap_length = uniform(1, settings.gap_frames + 1, count, 1).floor()
    gap_start = (uniform(0, 1, count, 1) * (frames - gap_length + 1)).floor()
    has_gap = uniform(0, 1, count, 1) < settings.gap_prob
    time = torch.arange(frames, device=device)
    in_gap = has_gap & (time >= gap_start) & (time < gap_start + gap_length)
    dropped = uniform(0, 1, count, landmarks) < settings.drop_landmark_prob
    lost = (outside | in_gap)[:, :, None] | dropped[:, None]  # (N, T, 33)

    square = poses.new_tensor([aspect, 1, aspect])
    xyz = poses[..., :3] * square
    angle = torch.deg2rad(uniform(-settings.rotation_deg, settings.rotation_deg, count))
    zoom = torch.exp(uniform(-1, 1, count) * settings.zoom)
    stretch = torch.exp(uniform(-1, 1, count) * settings.aspect_jitter / 2)
    cos, sin, zero = torch.cos(angle), torch.sin(angle), torch.zeros_like(angle)
    wide, tall = zoom * stretch, zoom / stretch
    turn = torch.stack(  # the last axis is z, which MediaPipe scales like x
        [
            torch.stack([cos * wide, sin * tall, zero], -1),
            torch.stack([-sin * wide, cos * tall, zero], -1),
            torch.stack([zero, zero, wide], -1),
        ],
        1,
    )  # (N, 3, 3)
    centre = torch.nanmean(xyz, dim=(1, 2), keepdim=True)
    xyz = (torch.matmul(xyz - centre, turn[:, None]) + centre) / square
    if settings.jitter > 0:
        xyz = xyz + settings.jitter * torch.randn(xyz.shape, generator=generator).to(device)
    return torch.cat([xyz, poses[..., 3:]], -1).masked_fill(lost[..., None], torch.nan)


def mirror(poses: torch.Tensor) -> torch.Tensor:
    """Poses (..., 33, 5) seen in a mirror: x becomes 1 - x, left and right change places, z stays."""
    poses = poses[..., list(MIRROR), :]
    return torch.cat([1 - poses[..., :1], poses[..., 1:]], -1)
