"""Corruptions of poses, one kind at a time, to measure how robust predictions are. NaN: landmark not found."""

from collections.abc import Callable

import numpy as np

from spasm.data.landmarks import INDEX
from spasm.data.pose import FPS

Corruption = Callable[[np.ndarray, np.random.Generator], np.ndarray]
GAP_FRAMES = 26  # the median gap of the BabyJokes children
LIMBS = {
    "left arm": ("left", ("elbow", "wrist", "pinky", "index", "thumb")),
    "both legs": ("", ("knee", "ankle", "heel", "foot_index")),
    "both arms": ("", ("elbow", "wrist", "pinky", "index", "thumb")),
}


def lose_frames(fraction: float) -> Corruption:
    """Remove a fraction of the frames, in gaps of GAP_FRAMES; the last gap may be shorter."""

    def corrupt(poses: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        poses = poses.copy()
        count, frames = poses.shape[:2]
        for row in range(count):
            lost = np.zeros(frames, dtype=bool)
            while lost.sum() < round(fraction * frames):
                length = min(GAP_FRAMES, round(fraction * frames) - lost.sum())
                start = generator.integers(0, frames - length + 1)
                lost[start : start + length] = True
            poses[row, lost] = np.nan
        return poses

    return corrupt


def jitter(deviation: float) -> Corruption:
    """Add noise to x, y and z with this standard deviation, in picture units, sampled for every frame."""

    def corrupt(poses: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        poses = poses.copy()
        poses[..., :3] += generator.normal(0, deviation, poses[..., :3].shape).astype(poses.dtype)
        return poses

    return corrupt


def roll(angle_deg: float) -> Corruption:
    """Roll the camera by this angle about the middle of the picture, which is assumed to be square."""

    def corrupt(poses: np.ndarray, _: np.random.Generator) -> np.ndarray:
        poses = poses.copy()
        cos, sin = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
        x, y = poses[..., 0] - 0.5, poses[..., 1] - 0.5
        poses[..., 0], poses[..., 1] = cos * x - sin * y + 0.5, sin * x + cos * y + 0.5
        return poses

    return corrupt


def resample(fps: float) -> Corruption:
    """Record at another frame rate and interpolate linearly back to 30; frames near a gap are lost too."""

    def corrupt(poses: np.ndarray, _: np.random.Generator) -> np.ndarray:
        frames = poses.shape[1]
        # Half a frame late, because a camera has its own clock; at 60 fps this is the only change.
        taken = np.arange(0.25, frames - 1, FPS / fps)
        return _at(_at(poses, taken), (np.arange(frames) - taken[0]) * fps / FPS)

    return corrupt


def _at(poses: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Poses at fractional frames, by linear interpolation."""
    times = np.clip(times, 0, poses.shape[1] - 1)
    before = np.floor(times).astype(int)
    after = np.minimum(before + 1, poses.shape[1] - 1)
    weight = (times - before)[None, :, None, None].astype(poses.dtype)
    # A missing neighbour is ignored when the sample falls exactly on a frame.
    late = np.where(weight > 0, poses[:, after], poses[:, before])
    return poses[:, before] * (1 - weight) + late * weight


def remove(limb: str) -> Corruption:
    """Remove the landmarks of a limb in all frames."""
    side, parts = LIMBS[limb]
    names = [f"{which}_{part}" for which in ([side] if side else ["left", "right"]) for part in parts]

    def corrupt(poses: np.ndarray, _: np.random.Generator) -> np.ndarray:
        poses = poses.copy()
        rows = [INDEX[name] for name in names]
        poses[:, :, rows, :3] = np.nan
        poses[:, :, rows, 3:] = 0
        return poses

    return corrupt


# The corruptions to test, by rising severity, in the order of the table.
TRIED: dict[str, dict[str, Corruption]] = {
    "as it is": {"": jitter(0.0)},
    "frames missing": {f"{fraction:.0%}": lose_frames(fraction) for fraction in (0.1, 0.2, 0.3, 0.5)},
    "jitter, picture units": {f"{size}": jitter(size) for size in (0.002, 0.005, 0.01, 0.02)},
    "camera roll, degrees": {f"{angle}": roll(angle) for angle in (15, 30, 60, 90)},
    "frames per second": {f"{fps}": resample(fps) for fps in (60, 25, 15)},
    "limbs never found": {limb: remove(limb) for limb in LIMBS},
}
