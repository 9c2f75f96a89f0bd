"""Random changes to pictures in training: mirror, zoom and shift, brightness, and a shift in time."""

import torch
from torch.nn import functional as F

from spasm.config.features import PictureAugmentation
from spasm.data.landmarks import VSVIG_15

COLOURS = 3  # the first channels of an upright picture; the others are its flow, x before y


def _mirrored_joints() -> list[int]:
    sides = {"left": "right", "right": "left"}
    names = ["_".join(sides.get(part, part) for part in name.split("_")) for name in VSVIG_15]
    return [VSVIG_15.index(name) for name in names]


MIRROR_15 = _mirrored_joints()


class Changes:
    """The random changes of a batch of segments; all random numbers come from a generator.

    Its device is a part of the seed.
    """

    def __init__(
        self, count: int, settings: PictureAugmentation, generator: torch.Generator, device: torch.device
    ) -> None:
        def uniform(size: float, *shape: int) -> torch.Tensor:
            return ((2 * torch.rand(shape, generator=generator, device=generator.device) - 1) * size).to(device)

        self.mirrored = (uniform(0.5, count) + 0.5) < settings.mirror_prob  # (N,)
        self.zoom = torch.exp(uniform(settings.zoom, count))  # (N,); 2: twice as large
        self.shift = uniform(settings.shift, count, 2)  # (N, 2), in sides
        self.gain = torch.exp(uniform(settings.brightness, count, 1) + uniform(settings.tint, count, COLOURS))  # (N, 3)
        self.later = uniform(settings.shift_steps, count).round().long()  # (N,)

    def in_time(self, steps: torch.Tensor) -> torch.Tensor:
        """Steps (N, S, ...) shifted in time; those from outside the segment are 0."""
        count, size = steps.shape[:2]
        source = torch.arange(size, device=steps.device) + self.later[:, None]
        outside = (source < 0) | (source >= size)
        moved = steps[torch.arange(count, device=steps.device)[:, None], source.clamp(0, size - 1)]
        return moved.masked_fill(outside.view(count, size, *[1] * (steps.ndim - 2)), 0)

    def in_space(self, pictures: torch.Tensor) -> torch.Tensor:
        """Pictures (N, K, C, H, W) zoomed, shifted and mirrored alike for each segment; 0 where nothing is seen."""
        count = len(pictures)
        turned = torch.zeros(count, 2, 3, device=pictures.device)
        turned[:, 0, 0] = torch.where(self.mirrored, -1.0, 1.0) / self.zoom
        turned[:, 1, 1] = 1 / self.zoom
        turned[:, :, 2] = 2 * self.shift
        grid = F.affine_grid(turned, [count, 1, *pictures.shape[3:]], align_corners=False)
        # All steps of a segment share a grid, so they are its channels.
        return F.grid_sample(pictures.flatten(1, 2), grid, align_corners=False).view_as(pictures)


def augment_upright(pictures: torch.Tensor, settings: PictureAugmentation, generator: torch.Generator) -> torch.Tensor:
    """Changed upright pictures and their flow, (N, S, 5, H, W) float32.

    A movement grows with the picture, and its x changes sign in a mirror. Still is 0.
    """
    changes = Changes(len(pictures), settings, generator, pictures.device)
    changed = changes.in_space(changes.in_time(pictures))
    scale = torch.ones(len(pictures), pictures.shape[2], device=pictures.device)
    scale[:, :COLOURS] = changes.gain
    scale[:, COLOURS:] = changes.zoom[:, None]
    scale[:, COLOURS] *= torch.where(changes.mirrored, -1.0, 1.0)
    return changed * scale[:, None, :, None, None]


def augment_patches(
    patches: torch.Tensor, keypoints: torch.Tensor, settings: PictureAugmentation, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Changed patches (N, S, 15, 3, H, W) and keypoints (N, S, 15, 3), all float32.

    In a mirror left and right joints change places. Keypoints that were not found stay 0.
    """
    count = len(patches)
    changes = Changes(count, settings, generator, patches.device)
    patches, keypoints = changes.in_time(patches), changes.in_time(keypoints)
    patches = changes.in_space(patches.flatten(1, 2)).view_as(patches) * changes.gain[:, None, None, :, None, None]
    found = (keypoints != 0).any(3, keepdim=True)
    middle = keypoints.new_tensor([0.5, 0.5])
    xy = (keypoints[..., :2] - middle) * changes.zoom[:, None, None, None] + middle + changes.shift[:, None, None]
    mirrored = changes.mirrored[:, None, None, None]
    x = torch.where(mirrored, 1 - xy[..., :1], xy[..., :1])
    keypoints = torch.cat([x, xy[..., 1:], keypoints[..., 2:]], 3) * found
    keypoints = torch.where(mirrored, keypoints[:, :, MIRROR_15], keypoints)
    return torch.where(mirrored[..., None, None], patches[:, :, MIRROR_15], patches), keypoints
