"""In which frames a child's movement can be seen, and whether that is enough for a prediction."""

import numpy as np

from spasm.data.landmarks import LEFT_HIP, LEFT_SHOULDER, RIGHT_HIP, RIGHT_SHOULDER
from spasm.data.pose import inside_picture, visible_mask

TRUNK = (LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_HIP, RIGHT_HIP)
"""Every pose model finds these, also those with 17 landmarks."""
MOST_APART = 4
"""Frames between two poses that show one movement: 7.5 poses a second. A spasm begins within half a second."""
BLOCK = 256  # segments read at once
TOO_LITTLE_SEEN = "too little was seen"
"""How the note on such a segment begins."""


def seen_frames(poses: np.ndarray) -> np.ndarray:
    """In which frames movement can be seen: poses (..., T, 33, 5) -> (..., T) bool.

    A frame counts if it lies in a sequence of poses at most MOST_APART frames apart, each with a shoulder or a hip
    found inside the picture. A single pose shows no movement, so that a photograph and a video of 5 frames a second
    have no such frame; the gaps of a video of 10 frames a second count as seen.
    """
    return seen_of_trunk(trunk_visible(poses))


def trunk_visible(poses: np.ndarray) -> np.ndarray:
    """In which frames a shoulder or a hip is inside the picture: poses (..., T, 33, 5) -> (..., T) bool."""
    return np.asarray(inside_picture(poses[..., TRUNK, :]).any(axis=-1))


def seen_of_trunk(trunk: np.ndarray) -> np.ndarray:
    """`seen_frames` of what `trunk_visible` gives, (..., T) bool."""
    frames, never = np.arange(trunk.shape[-1]), 10 * (trunk.shape[-1] + MOST_APART)
    before = np.maximum.accumulate(np.where(trunk, frames, -never), axis=-1)
    after = np.minimum.accumulate(np.where(trunk, frames, never)[..., ::-1], axis=-1)[..., ::-1]
    bridged = after - before <= MOST_APART
    neighbours = np.zeros_like(bridged)
    neighbours[..., 1:] |= bridged[..., :-1]
    neighbours[..., :-1] |= bridged[..., 1:]
    return np.asarray(bridged & neighbours)


def count_frames(poses: np.ndarray) -> np.ndarray:
    """(N, 2) int: frames with a pose and frames that show movement of segments (N, T, 33, 5), which may lie on disk."""
    counts = np.zeros((len(poses), 2), dtype=int)
    for start in range(0, len(poses), BLOCK):
        block = np.asarray(poses[start : start + BLOCK])
        counts[start : start + BLOCK, 0] = visible_mask(block).any(axis=2).sum(axis=1)
        counts[start : start + BLOCK, 1] = seen_frames(block).sum(axis=1)
    return counts


def is_too_little(counts: np.ndarray, frames: int, abstain: float) -> np.ndarray:
    """(N,) bool: whether too little was seen of segments of so many frames for a prediction.

    counts: (N, 2), as `count_frames` gives them; abstain: the fraction of frames that must show movement.
    """
    return np.asarray((counts[:, 1] < abstain * frames - 1e-9) | (counts[:, 0] == 0))


def describe_too_little(frames: int, posed: int, seen: int) -> str:
    """Why a segment of so many frames has no reliable prediction; posed: frames with a pose, seen: with movement."""
    if not posed:
        return f"{TOO_LITTLE_SEEN}: no pose in any frame; the probability is that of such segments in training"
    why = f"{TOO_LITTLE_SEEN}: a pose in {posed} of {frames} frames"
    return why if seen == posed else f"{why}, movement of the trunk in {seen}"
