"""The largest step of the pose: the fastest change of place of head and limbs, whenever it is, and whether it lasts.

A spasm moves the body to another pose and holds it there, a kick or a startle returns. The largest burst is the moment
of the highest speed, which in a restless child is often another one.
"""

import numpy as np

from spasm.data.pose import FPS
from spasm.features.body_frame import HEAD, MOVERS
from spasm.features.catalogue import LIMB_GROUPS, Columns, feature, flatten
from spasm.features.nan_math import frames_at, length, mean, quantiles, running_mean, safe_divide

WIDTH = 9  # frames that a place is averaged over
BODY = {"body": "head and limbs", **LIMB_GROUPS}
POINTS = dict(zip(BODY, (MOVERS, [HEAD], MOVERS[1:5], MOVERS[5:]), strict=True))
STEP, MEASURE = "pose steps", "pose step"
HELD_S, HELD_STEP_S = 0.8, 0.4  # how long before and after a step the pose is compared, and the step's own duration
SIZES = {  # by duration and part: largest step, and its ratio to the median one
    (lag_s, name): (
        feature(STEP, MEASURE, f"{name}_step_in_{lag_s}s", "bl",
                f"largest step of {words} to another place within {lag_s} s", name),
        feature(STEP, MEASURE, f"{name}_step_over_median_in_{lag_s}s", "",
                f"ratio of the largest step of {words} within {lag_s} s to the median one", name),
    )
    for lag_s in (0.4, 0.6)
    for name, words in BODY.items()
}  # fmt: skip
HELD = {
    name: (
        feature(STEP, "pose step kept", f"{name}_step_kept_after_{HELD_S}s", "",
                f"fraction of the largest step of {words} within {HELD_STEP_S} s kept {HELD_S} s after it", name),
        feature(STEP, "pose step kept", f"{name}_shift_before_over_step_in_{HELD_STEP_S}s", "",
                f"ratio of the shift of {words} in the {HELD_S} s before their largest step within {HELD_STEP_S} s "
                "to that step", name),
    )
    for name, words in BODY.items()
}  # fmt: skip


def pose_steps(position: np.ndarray) -> Columns:
    """From position (N, 13, 3, T) bl about mid-hips, in the picture."""
    place = running_mean(position[:, :, :2], WIDTH)
    for (lag_s, name), (largest, ratio) in SIZES.items():
        step = _steps(place, lag_s, POINTS[name])
        top = quantiles(step, 1)[0]
        yield largest, top
        yield ratio, safe_divide(top, quantiles(step, 0.5)[0], 0.005)
    lag, held = round(HELD_STEP_S * FPS), round(HELD_S * FPS)
    for name, (kept, before) in HELD.items():
        step = _steps(place, HELD_STEP_S, POINTS[name])
        start = np.where(np.isfinite(step), step, -1).argmax(axis=-1)
        points = place[:, POINTS[name]]
        earlier, first, last, later = (frames_at(points, start + by) for by in (-held, 0, lag, lag + held))
        moved = last - first
        size = mean((moved**2).sum(axis=2), axis=1)
        yield kept, safe_divide(mean(((later - first) * moved).sum(axis=2), axis=1), size, 1e-4)
        yield before, safe_divide(mean(length((first - earlier)[..., None])[..., 0], axis=1), quantiles(step, 1)[0])


def _steps(place: np.ndarray, lag_s: float, points: list[int]) -> np.ndarray:
    """Mean distance (N, T) of some points in each frame to where they are lag_s later; place: (N, 13, 2, T)."""
    lag = round(lag_s * FPS)
    step = np.full_like(place[:, points], np.nan)
    step[..., :-lag] = place[:, points, :, lag:] - place[:, points, :, :-lag]
    return mean(length(step), axis=1)


SPECS = flatten(SIZES, HELD)
