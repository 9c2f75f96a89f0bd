"""Moving poses."""

import numpy as np

from spasm.data.landmarks import LANDMARKS

TRUNK = 0.25  # of the picture: one body length of the child below
# Where one side is, x from the midline and y from the hips downwards, in picture units.
PLACES = {
    "nose": (0, -0.37), "eye": (0.02, -0.39), "ear": (0.04, -0.38), "mouth": (0.01, -0.34), "shoulder": (0.09, -TRUNK),
    "elbow": (0.13, -0.12), "wrist": (0.15, 0.0), "pinky": (0.16, 0.03), "index": (0.15, 0.04), "thumb": (0.14, 0.02),
    "hip": (0.06, 0), "knee": (0.08, 0.17), "ankle": (0.07, 0.32), "heel": (0.07, 0.34), "foot": (0.09, 0.36),
}  # fmt: skip


def still(frames: int = 150) -> np.ndarray:
    """A child upright in the middle of a square picture that does not move, (1, frames, 33, 5) float32."""
    poses = np.ones((1, frames, 33, 5), dtype=np.float32)
    for i, name in enumerate(LANDMARKS):
        stem = name.replace("left", "").replace("right", "").strip("_").split("_")[0]
        x, y = PLACES[stem]
        poses[0, :, i, :3] = 0.5 + (-x if "right" in name else x), 0.55 + y, 0.1 * y
    return poses


def moving(seed: int = 0, frames: int = 150, segments: int = 1) -> np.ndarray:
    """Children whose landmarks all wander smoothly, each in its own way."""
    generator = np.random.default_rng(seed)
    steps = generator.normal(size=(segments, frames + 20, 33, 3)).cumsum(axis=1)
    smooth = np.stack([steps[:, i : i + frames] for i in range(20)]).mean(axis=0)
    poses = np.repeat(still(frames), segments, axis=0)
    poses[..., :3] += 0.012 * (smooth - smooth.mean(axis=1, keepdims=True))
    return poses


def camera(poses: np.ndarray, roll: np.ndarray, zoom: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The same poses through a camera that rolls (radians), zooms and shifts; each a number or (T,)."""
    seen = poses.copy()
    px, py = poses[..., 0] - 0.5, poses[..., 1] - 0.5
    roll, zoom, x, y = (np.broadcast_to(value, poses.shape[1])[None, :, None] for value in (roll, zoom, x, y))
    seen[..., 0] = 0.5 + x + zoom * (np.cos(roll) * px - np.sin(roll) * py)
    seen[..., 1] = 0.5 + y + zoom * (np.sin(roll) * px + np.cos(roll) * py)
    seen[..., 2] = zoom * poses[..., 2]
    return seen
