"""Poses small enough for a page: landmarks in steps a screen can show, curves in bytes, deflated, as base64.

A page reads poses, in this order, all little-endian, T frames, each array frame by frame:
    bits of (T, 33): found, padded to whole bytes
    four planes of (T, 33) bytes: low and high bytes of the zigzag differences over time of x, then of y
    (T, 33) bytes: differences over time of the depth behind the trunk, in DEPTH_STEPs
Of a segment, the curves follow:
    (T,) bytes: attention, 255 for the largest
    (T,) bytes: frame log-odds from -8 (1) to 8 (255), 0 where there are none
    (4, T) bytes: speeds of kinematics.PARTS, 255 for `speed`, 0 where unknown, so 1 for standing still
"""

import base64
import zlib
from typing import Any

import numpy as np

from spasm.data.landmarks import LEFT_HIP, LEFT_SHOULDER, RIGHT_HIP, RIGHT_SHOULDER
from spasm.data.pose import visible_mask
from spasm.report.body_drawing import body_size

STEPS = 800  # across the larger side of the box around the pose: finer than a screen shows it
MOST_LOG_ODDS = 8.0  # beyond which more means nothing
DEPTH_STEP = 0.1  # body sizes: depth only decides which part hides another one, and its tint
DEEPEST = 1.0  # body sizes before or behind the trunk
SMOOTHED = 5  # frames over which depth, which trembles, is averaged
WIDEST = 3.0  # pictures; a landmark that strays farther does not shrink the rest


def pack(
    pose: np.ndarray, attention: np.ndarray, logits: np.ndarray, speeds: np.ndarray, aspect: float = 1.0
) -> dict[str, Any]:
    """One segment: pose (T, 33, 5), attention (T,), logits (T,), speeds (4, T), NaN where not known.

    aspect: width of the picture by its height. Gives `box` (left, top, size of a step, in pictures), `size` of the body
    in picture heights, `speed` and `data`.
    """
    content, measures = pose_bytes(pose, aspect)
    fastest = float(np.nanmax(speeds)) if np.isfinite(speeds).any() else 1.0
    fastest = max(fastest, 1e-3)
    content = b"".join(
        [
            content,
            _to_bytes(attention / max(float(attention.max()), 1e-9) * 255, 0),
            _to_bytes(128 + np.clip(logits, -MOST_LOG_ODDS, MOST_LOG_ODDS) / MOST_LOG_ODDS * 127, 1),
            _to_bytes(1 + speeds / fastest * 254, 1),
        ]
    )
    return {**measures, "speed": round(fastest, 4), "data": deflate(content)}


def pose_bytes(pose: np.ndarray, aspect: float = 1.0) -> tuple[bytes, dict[str, Any]]:
    """Poses (T, 33, 5) as bytes, and their `box` and `size`, see `pack`."""
    visible = visible_mask(pose)
    positions = np.clip(np.where(visible[..., None], pose[..., :2], np.nan), 0.5 - WIDEST, 0.5 + WIDEST)
    low, high = (
        (np.zeros(2), np.ones(2)) if not visible.any() else (np.nanmin(positions, (0, 1)), np.nanmax(positions, (0, 1)))
    )
    step = max(float((high - low).max()), 1e-3) / STEPS
    steps = np.zeros(positions.shape, dtype=np.int64)
    steps[visible] = np.round((positions[visible] - low) / step)
    # What is not found stays where it was, so that a gap costs no bytes.
    last = np.maximum.accumulate(np.where(visible, np.arange(len(pose))[:, None], 0), axis=0)
    steps = np.take_along_axis(steps, last[..., None].repeat(2, -1), axis=0)
    change = np.diff(steps, axis=0, prepend=0)
    zigzag = np.where(change < 0, -2 * change - 1, 2 * change).astype("<u2")
    planes = [(zigzag[..., axis] >> shift).astype(np.uint8).tobytes() for axis in (0, 1) for shift in (0, 8)]
    size = body_size(np.where(visible[..., None], pose[..., :2] * (aspect, 1), np.nan))
    depth = _depth_steps(pose[..., 2] * aspect / size, visible)
    content = [
        np.packbits(visible).tobytes(),
        *planes,
        np.diff(depth, axis=0, prepend=np.int8(0)).astype(np.uint8).tobytes(),
    ]
    return b"".join(content), {
        "box": [round(float(low[0]), 6), round(float(low[1]), 6), round(step, 9)],
        "size": round(size, 5) if np.isfinite(size) else 0.0,
    }


def deflate(content: bytes) -> str:
    """Bytes for a page: deflated, as base64."""
    return base64.b64encode(zlib.compress(content, 9)).decode()


def _depth_steps(z: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """How far each landmark is behind the trunk: z (T, 33) in body sizes -> (T, 33) int8 in DEPTH_STEPs.

    Constant where a landmark is missing, so that a gap costs no bytes; 0 where the trunk is.
    """
    trunk = [LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_HIP, RIGHT_HIP]
    behind = np.where(visible & visible[:, trunk].all(axis=1, keepdims=True), z - z[:, trunk].mean(1, keepdims=True), 0)
    known = np.lib.stride_tricks.sliding_window_view(
        np.pad(behind, ((SMOOTHED // 2,) * 2, (0, 0)), "edge"), SMOOTHED, 0
    )
    steps = np.round(np.clip(np.median(known, axis=-1), -DEEPEST, DEEPEST) / DEPTH_STEP).astype(np.int8)
    last = np.maximum.accumulate(np.where(visible, np.arange(len(z))[:, None], 0), axis=0)
    return np.take_along_axis(steps, last, axis=0)


def _to_bytes(values: np.ndarray, least: int) -> bytes:
    """Rounded to bytes from `least` on; 0 where a value is not known."""
    known = np.isfinite(values)
    return np.where(known, np.clip(np.round(np.where(known, values, 0)), least, 255), 0).astype(np.uint8).tobytes()
