"""A pose array: its channels, its frame rate, and which landmarks are visible."""

import numpy as np

from spasm.data.landmarks import LANDMARKS

FPS = 30.0
FRAMES = 150  # T of the challenge
CHANNELS = ("x", "y", "z", "visibility", "presence")
POSITIVE_S = 0.5  # a segment is positive when at least this much of a spasm lies inside it
FARTHEST = 10.0  # pictures; a landmark farther away is an error of the estimator, and counts as not found
LARGEST = 1e6  # coordinates are picture units, a few at most; 1e30 would overflow once squared in float32


# ---- one segment


def missing_frames(frames: int) -> np.ndarray:
    """Poses (F, 33, 5) float32 of frames without a pose."""
    return np.full((frames, len(LANDMARKS), len(CHANNELS)), np.nan, dtype=np.float32)


def visible_mask(poses: np.ndarray) -> np.ndarray:
    """Where a landmark was found: x, y and z are all finite. (..., 33, 5) float -> (..., 33) bool."""
    x, y, z = (np.isfinite(poses[..., axis]) for axis in range(3))  # several times as fast as all(axis=-1)
    return np.asarray(x & y & z)


def inside_picture(poses: np.ndarray) -> np.ndarray:
    """Where a landmark was found inside the picture. (..., 33, 5) float -> (..., 33) bool."""
    return visible_mask(poses) & (poses[..., :2] >= 0).all(axis=-1) & (poses[..., :2] <= 1).all(axis=-1)
