"""Random changes to raw poses in training, applied before gaps are filled and derivatives are computed."""

import torch

from spasm.config.features import Augmentation
from spasm.data.landmarks import LANDMARKS, MIRROR

# The noise of real infants' poses, as `python benchmarks/real_noise.py` measures it on 184 windows of BabyJokes: sizes
# in x and y of the face, shoulders, elbows, wrists, fingers, hips, knees, ankles and feet over that of the face, and
# how much larger they are in z; the fraction of the variance that landmarks of a part have in common; the part of an
# error that is left after a frame; and the logarithm of the largest size over the smallest.
COUNTS = (11, 2, 2, 2, 6, 2, 2, 2, 4)  # landmarks of these groups, in MediaPipe's order
IN_PICTURE = (1.0, 1.4, 2.8, 2.8, 3.2, 1.8, 4.2, 4.9, 5.7)
IN_DEPTH = (13.0, 7.9, 5.7, 6.0, 5.7, 1.7, 4.2, 4.9, 4.6)
TOGETHER = torch.tensor([0.65, 0.65, 0.92])
FADES = 0.8
LOG_SPREAD = 2.1
NOISY = 0.5  # of the segments; clean poses are to be recognised too
PARTS = 6  # head and shoulders, arms, hips, legs
PART_OF = torch.tensor([0] * 13 + [1, 2] * 5 + [3, 3] + [4, 5] * 4)
LIMBS = ((1,), (2,), (1, 2), (4,), (5,), (4, 5))  # parts that are missing together
_SIZE, _DEPTH = (torch.tensor(values).repeat_interleave(torch.tensor(COUNTS)) for values in (IN_PICTURE, IN_DEPTH))
NOISE = torch.stack([_SIZE, _SIZE, _SIZE * _DEPTH], -1)  # (33, 3)


def augment(
    poses: torch.Tensor, settings: Augmentation, generator: torch.Generator, aspect: float = 1.0
) -> torch.Tensor:
    """A changed copy of a batch (N, T, 33, 5) float32; NaN stays NaN, and more values may become NaN.

    `aspect` is the picture's width divided by its height: without it a rotation would be a shear.
    All random numbers come from `generator`, on the CPU or on the device of the poses; its device is a part of the
    seed.
    """
    count, frames, landmarks, _ = poses.shape
    device = poses.device

    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        return (torch.rand(shape, generator=generator, device=generator.device) * (high - low) + low).to(device)

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
    if settings.drop_limb_prob > 0:
        hidden = torch.stack([torch.isin(PART_OF, torch.tensor(parts)) for parts in LIMBS]).to(device)  # (6, 33)
        limb = uniform(0, len(LIMBS), count).long().clamp(max=len(LIMBS) - 1)
        dropped = dropped | hidden[limb] & (uniform(0, 1, count, 1) < settings.drop_limb_prob)
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
        size = settings.jitter * torch.exp(uniform(-LOG_SPREAD, 0, count, 1, 1, 1))
        noisy = uniform(0, 1, count, 1, 1, 1) < NOISY
        xyz = xyz + size * noisy * noise(count, frames, generator).to(device)
    return torch.cat([xyz, poses[..., 3:]], -1).masked_fill(lost[..., None], torch.nan)


def noise(count: int, frames: int, generator: torch.Generator) -> torch.Tensor:
    """Errors of landmarks (N, T, 33, 3) as MediaPipe makes them in real infants; in the face their deviation is 1."""
    device = generator.device
    white = torch.randn((frames, count, len(LANDMARKS) + PARTS, 3), generator=generator, device=device)
    white[1:] *= (1 - FADES**2) ** 0.5
    for frame in range(1, frames):
        white[frame] += FADES * white[frame - 1]
    own, common = white[:, :, : len(LANDMARKS)], white[:, :, (len(LANDMARKS) + PART_OF).to(device)]
    together = TOGETHER.to(device)
    return ((1 - together).sqrt() * own + together.sqrt() * common).transpose(0, 1) * NOISE.to(device)


def mirror(poses: torch.Tensor) -> torch.Tensor:
    """Poses (..., 33, 5) seen in a mirror: x becomes 1 - x, left and right change places, z stays."""
    poses = poses[..., list(MIRROR), :]
    return torch.cat([1 - poses[..., :1], poses[..., 1:]], -1)
