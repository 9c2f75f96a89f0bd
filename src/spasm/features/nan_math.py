"""Arithmetic on arrays with NaN, where NaN means not found."""

import math

import numpy as np

from spasm.data.pose import FPS

# Savitzky-Golay fits for position, velocity, acceleration and jerk: frames and order of the polynomial. Jitter of 0.002
# pictures on a trunk of 0.2 becomes 0.06 bl/s and 1 bl/s^2.
FITS = tuple(  # the same as scipy.signal.savgol_coeffs, which is slow to import
    (
        np.linalg.pinv(np.vander(np.arange(frames) - frames // 2, order + 1, increasing=True))[derivative]
        * (math.factorial(derivative) * FPS**derivative)
    ).astype(np.float32)
    for derivative, (frames, order) in enumerate(((5, 2), (5, 2), (9, 2), (13, 3)))
)
REACH = 45  # frames to each side of the event in the longest window


def window_around(values: np.ndarray, event: np.ndarray, reach: int = REACH) -> np.ndarray:
    """The frames (N, ..., 2 reach + 1) around the event; NaN outside the segment."""
    at = (event[:, None] + np.arange(-reach, reach + 1)).reshape(len(event), *[1] * (values.ndim - 2), -1)
    inside = (at >= 0) & (at < values.shape[-1])
    return np.where(inside, np.take_along_axis(values, np.where(inside, at, 0), axis=-1), np.float32(np.nan))


def frames_at(values: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """The values (N, ..., T) in one frame of each segment, frames (N,): (N, ...); NaN outside the segment."""
    return window_around(values, frames, 0)[..., 0]


# ---- arithmetic over known values


def savgol(values: np.ndarray, derivative: int) -> np.ndarray:
    """Derivative per second^n of a local polynomial fit to values (..., T); NaN where it would reach into a gap."""
    weights = FITS[derivative]
    result = np.full_like(values, np.nan)
    inside = values.shape[-1] - len(weights) + 1
    if inside > 0:
        middle = len(weights) // 2
        total = result[..., middle : middle + inside]
        total[:] = 0
        for i, weight in enumerate(weights):
            total += weight * values[..., i : i + inside]
    return result


def quantiles(values: np.ndarray, *levels: float) -> np.ndarray:
    """Quantiles (Q, ...) over the known values (..., T); NaN without any."""
    ordered = np.sort(values, axis=-1)  # NaN comes last
    last = np.maximum(np.isfinite(ordered).sum(axis=-1, keepdims=True) - 1, 0)
    result = []
    for level in levels:
        low = (last * level).astype(np.intp)
        at_low, at_high = (np.take_along_axis(ordered, at, axis=-1) for at in (low, np.minimum(low + 1, last)))
        result.append((at_low + (at_high - at_low) * (last * level - low).astype(np.float32))[..., 0])
    return np.stack(result)


def mean(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """Mean over the known values along an axis; NaN without any."""
    values = np.ascontiguousarray(values)  # else the order of summation, and so the last bit, could depend on the block
    known = np.isfinite(values)
    return safe_divide(np.where(known, values, 0).sum(axis=axis), known.sum(axis=axis, dtype=np.float32), 0)


def running_mean(values: np.ndarray, width: int) -> np.ndarray:
    """Mean (..., T) over the known values of a window of `width` frames around each; NaN unless most are known."""
    known = np.isfinite(values)
    margins = [(0, 0)] * (values.ndim - 1) + [(width // 2 + 1, width // 2)]
    total, count = (
        np.cumsum(np.pad(part, margins), axis=-1, dtype=np.float64) for part in (np.where(known, values, 0), known)
    )
    total, count = total[..., width:] - total[..., :-width], count[..., width:] - count[..., :-width]
    return np.where(count > width / 2, total / np.maximum(count, 1), np.nan).astype(values.dtype)


def safe_divide(a: np.ndarray, b: np.ndarray, smallest: float = 0.01) -> np.ndarray:
    """a / b; NaN unless b is more than `smallest`, because a ratio of two jitters is meaningless."""
    return a / np.where(b > smallest, b, np.float32(np.nan))


def highest(values: np.ndarray) -> np.ndarray:
    return np.fmax.reduce(values, axis=-1)


def lowest(values: np.ndarray) -> np.ndarray:
    return np.fmin.reduce(values, axis=-1)


def fraction_of(condition: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The fraction of the known values (..., T) that meet a condition (..., T)."""
    known = np.isfinite(values)
    return safe_divide((condition & known).sum(axis=-1), known.sum(axis=-1, dtype=np.float32), 0)


def length(vectors: np.ndarray) -> np.ndarray:
    """Length in the picture (N, P, T) of vectors (N, P, 2 or 3, T)."""
    x, y = vectors[:, :, 0], vectors[:, :, 1]
    return np.sqrt(x * x + y * y)


def angle_deg(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Angle in the picture (N, P, T), 0 to 180 degrees, between vectors (N, P, 2 or 3, T)."""
    dot = a[:, :, 0] * b[:, :, 0] + a[:, :, 1] * b[:, :, 1]
    cross = a[:, :, 0] * b[:, :, 1] - a[:, :, 1] * b[:, :, 0]
    return np.where(dot * dot + cross * cross > 1e-8, np.degrees(np.arctan2(np.abs(cross), dot)), np.float32(np.nan))


def seconds_until(profile: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Time (N,) from the start of profile (N, M) until it is below a level (N,); NaN if a gap or its end
    comes first."""
    below = profile < level[:, None]
    first = (below | ~np.isfinite(profile)).argmax(axis=-1)[:, None]
    earlier = np.take_along_axis(profile, np.maximum(first - 1, 0), axis=-1)[:, 0]
    here = np.take_along_axis(profile, first, axis=-1)[:, 0]
    crossed = np.take_along_axis(below, first, axis=-1)[:, 0] & (first[:, 0] > 0)
    return np.where(crossed, (first[:, 0] - safe_divide(level - here, earlier - here, 0)) / FPS, np.nan)
