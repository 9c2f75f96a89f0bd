"""How good the poses of segments are: gaps, jitter, and how the child lies in the picture."""

from typing import NamedTuple

import numpy as np

from spasm.data.pose import inside_picture, visible_mask


class PoseQuality(NamedTuple):
    """Measures of N segments; NaN where a segment has no pose to measure."""

    missing: np.ndarray
    """(N,) fraction of frames without any landmark."""
    outside: np.ndarray
    """(N,) fraction of observed landmarks outside the picture."""
    jitter: np.ndarray
    """(N,) median absolute second difference of x and y, in hundredths of the picture."""
    size: np.ndarray
    """(N,) how much of the picture the landmarks span: the larger of width and height, median over frames."""


def measure_quality(poses: np.ndarray) -> PoseQuality:
    """Measure poses (N, T, 33, 5)."""
    visible = visible_mask(poses)
    missing = 1 - visible.any(axis=2).mean(axis=1)
    jitter, size = np.full((2, len(poses)), np.nan)
    with np.errstate(invalid="ignore"):
        outside = (visible & ~inside_picture(poses)).sum(axis=(1, 2)) / visible.sum(axis=(1, 2))
    places = np.where(visible[..., None], poses[..., :2], np.nan)
    second_differences = np.abs(np.diff(places, n=2, axis=1))
    for row in np.flatnonzero(missing < 1):
        if np.isfinite(second_differences[row]).any():
            jitter[row] = 100 * np.nanmedian(second_differences[row])
        posed = places[row][visible[row].any(axis=1)]
        size[row] = np.median((np.nanmax(posed, axis=1) - np.nanmin(posed, axis=1)).max(axis=1))
    return PoseQuality(missing, outside, jitter, size)
