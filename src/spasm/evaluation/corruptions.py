"""Poses made worse in one way at a time, to see what an answer withstands. NaN is what was not found."""

from collections.abc import Callable

import numpy as np

from spasm.data.landmarks import INDEX
from spasm.data.pose import FPS

Damage = Callable[[np.ndarray, np.random.Generator], np.ndarray]
GAP_FRAMES = 26  # the median gap of the BabyJokes children
LIMBS = {
    "left arm": ("left", ("elbow", "wrist", "pinky", "index", "thumb")),
    "both legs": ("", ("knee", "ankle", "heel", "foot_index")),
    "both arms": ("", ("elbow", "wrist", "pinky", "index", "thumb")),
}


def lose_frames(share: float) -> Damage:
    """A share of the frames lost, in gaps of GAP_FRAMES or what is left of them."""

    def damage(poses: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        poses = poses.copy()
        count, frames = poses.shape[:2]
        for row in range(count):
            lost = np.zeros(frames, dtype=bool)
            while lost.sum() < round(share * frames):
                length = min(GAP_FRAMES, round(share * frames) - lost.sum())
                start = generator.integers(0, frames - length + 1)
                lost[start : start + length] = True
            poses[row, lost] = np.nan
        return poses

    return damage


def jitter(deviation: float) -> Damage:
    """Noise on x, y and z with this standard deviation, in picture units, new in every frame."""

    def damage(poses: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        poses = poses.copy()
        poses[..., :3] += generator.normal(0, deviation, poses[..., :3].shape).astype(poses.dtype)
        return poses

    return damage


def roll(angle_deg: float) -> Damage:
    """The camera rolled by this angle about the middle of the picture, which is taken to be square."""

    def damage(poses: np.ndarray, _: np.random.Generator) -> np.ndarray:
        poses = poses.copy()
        cos, sin = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
        x, y = poses[..., 0] - 0.5, poses[..., 1] - 0.5
        poses[..., 0], poses[..., 1] = cos * x - sin * y + 0.5, sin * x + cos * y + 0.5
        return poses

    return damage


def resample(fps: float) -> Damage:
    """Filmed at another frame rate and brought back to 30 by straight lines; frames near a gap are lost with it."""

    def damage(poses: np.ndarray, _: np.random.Generator) -> np.ndarray:
        frames = poses.shape[1]
        # Half a frame late, as a camera that knows nothing of our clock: at 60 fps that is all that happens.
        taken = np.arange(0.25, frames - 1, FPS / fps)
        return _at(_at(poses, taken), (np.arange(frames) - taken[0]) * fps / FPS)

    return damage


def _at(poses: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Poses at fractional frames, on a line between the two frames around each."""
    times = np.clip(times, 0, poses.shape[1] - 1)
    before = np.floor(times).astype(int)
    after = np.minimum(before + 1, poses.shape[1] - 1)
    weight = (times - before)[None, :, None, None].astype(poses.dtype)
    late = np.where(weight > 0, poses[:, after], poses[:, before])  # NaN beside a frame that is taken whole harms not
    return poses[:, before] * (1 - weight) + late * weight


def remove(limb: str) -> Damage:
    """Landmarks of a limb never found."""
    side, parts = LIMBS[limb]
    names = [f"{which}_{part}" for which in ([side] if side else ["left", "right"]) for part in parts]

    def damage(poses: np.ndarray, _: np.random.Generator) -> np.ndarray:
        poses = poses.copy()
        rows = [INDEX[name] for name in names]
        poses[:, :, rows, :3] = np.nan
        poses[:, :, rows, 3:] = 0
        return poses

    return damage


# What is tried, from none to much, in the order of the table.
TRIED: dict[str, dict[str, Damage]] = {
    "as it is": {"": jitter(0.0)},
    "frames missing": {f"{share:.0%}": lose_frames(share) for share in (0.1, 0.2, 0.3, 0.5)},
    "jitter, picture units": {f"{size}": jitter(size) for size in (0.002, 0.005, 0.01, 0.02)},
    "camera roll, degrees": {f"{angle}": roll(angle) for angle in (15, 30, 60, 90)},
    "frames per second": {f"{fps}": resample(fps) for fps in (60, 25, 15)},
    "limbs never found": {limb: remove(limb) for limb in LIMBS},
}
