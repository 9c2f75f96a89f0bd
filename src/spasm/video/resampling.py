"""Poses of a video at an even frame rate."""

import numpy as np

from spasm.data.pose import FPS

LONGEST_GAP_S = 0.15  # between two frames; across it landmarks are interpolated
SLACK = 1e-3  # of a step at FPS: tolerance for rounded times in a file


# ---- even time


def resampled(times_s: np.ndarray, poses: np.ndarray) -> np.ndarray:
    """Poses (F, 33, 5) at rising times (F,) as (T, 33, 5) at FPS, from the first frame to the last.

    A landmark found in two neighbouring frames is interpolated linearly. Across a gap longer than LONGEST_GAP_S, or
    next to a frame without the landmark, only a frame less than half a step away is used.
    """
    wanted = times_s[0] + np.arange(_steps_until(times_s[-1] - times_s[0])) / FPS
    after = np.clip(np.searchsorted(times_s, wanted - SLACK / FPS), 1, max(1, len(times_s) - 1))
    before = after - 1
    after = np.minimum(after, len(times_s) - 1)
    return _between(wanted, times_s[before], times_s[after], poses[before], poses[after])


class OnlineResampler:
    """The same as `resampled`, frame by frame."""

    def __init__(self) -> None:
        self.start_s = self.before_s = 0.0
        self.before: np.ndarray | None = None
        self.given = 0

    def add(self, time_s: float, pose: np.ndarray) -> np.ndarray:
        """Add a frame with this pose (33, 5); returns the new poses (T, 33, 5) at FPS."""
        if self.before is None:
            self.start_s, self.before_s, self.before = time_s, time_s, pose
        count = _steps_until(time_s - self.start_s)
        wanted = self.start_s + np.arange(self.given, count) / FPS
        even = _between(wanted, self.before_s, time_s, self.before, pose)
        self.before_s, self.before, self.given = time_s, pose, count
        return even


def _steps_until(duration_s: float) -> int:
    """Number of steps of 1 / FPS from 0 to a duration, including both ends."""
    return int(np.floor(duration_s * FPS + SLACK)) + 1


def _between(
    wanted: np.ndarray, before_s: np.ndarray | float, after_s: np.ndarray | float, before: np.ndarray, after: np.ndarray
) -> np.ndarray:
    """Poses at the times `wanted` (T,) from the frame before and the frame after each."""
    gap = np.maximum(after_s - before_s, 1e-9)
    share = np.clip((wanted - before_s) / gap, 0, 1).astype(np.float32)[:, None, None]
    even = (1 - share) * before + share * after
    even[np.broadcast_to(gap > LONGEST_GAP_S, len(wanted))] = np.nan
    earlier = share < 0.5
    close = np.abs(np.where(earlier[:, 0, 0], before_s, after_s) - wanted) < 0.5 / FPS
    alone = ~np.isfinite(even) & close[:, None, None]
    return np.where(alone, np.where(earlier, before, after), even)
