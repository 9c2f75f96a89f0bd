"""Whether the parts of the body start together, move alike, and move symmetrically."""

import numpy as np

from spasm.data.pose import FPS
from spasm.features.body_frame import LEFT, LIMBS, MOVERS, Motion
from spasm.features.catalogue import AROUND_BURST, BURST, Columns, feature, flatten
from spasm.features.nan_math import REACH, highest, lowest, mean, safe_divide

# ---- synchrony

SYNCHRONY = "synchrony"
# By percent of the way: spread, range, the head's delay, the legs' delay.
ONSETS = {
    percent: (
        feature(SYNCHRONY, "joint onset", f"spread_of_times_at_{percent}pct_of_path", "s",
                f"standard deviation of the times at which head and limbs went {percent} % of their way around "
                f"{BURST}"),
        feature(SYNCHRONY, "joint onset", f"range_of_times_at_{percent}pct_of_path", "s",
                f"time from the first to the last of head and limbs to have gone {percent} % of their way around "
                f"{BURST}"),
        *(feature(SYNCHRONY, "order of onset", f"{part}_after_arms_at_{percent}pct_of_path", "s",
                  f"delay of the {part} behind the arms at {percent} % of their way around {BURST} (negative is ahead)",
                  part)
          for part in ("head", "legs")),
    )
    for percent in (20, 50)
}  # fmt: skip
EFFECTIVE_COUNT = feature(
    SYNCHRONY, "common movement", "moving_points_effective_count", "",
    f"effective number of moving points around {BURST} (of 9 on head and limbs)",
)  # fmt: skip
CORRELATIONS = {
    name: feature(
        SYNCHRONY, "common movement", f"speed_correlation_of_{name}", "",
        f"mean correlation of the movements of {words} around {BURST}",
    )
    for name, words in (
        ("points", "head, elbows, hands, knees and feet"), ("arms", "both elbows and hands"),
        ("legs", "both knees and feet"), ("parts", "head, arms and legs"),
    )
}  # fmt: skip


def synchrony(near: Motion) -> Columns:
    """Onset times of the head and the limbs around the event, and the similarity of their speeds."""
    speed = np.ascontiguousarray(near.articulated[:, MOVERS, REACH - 24 : REACH + 25])  # (N, 9, 49)
    path = np.cumsum(np.where(np.isfinite(speed), speed, 0), axis=-1) / np.float32(FPS)
    total = path[..., -1]
    # A point that hardly moves has no onset.
    weight = np.where(total > 0.2 * total.max(axis=1, keepdims=True), total, 0)
    weight = safe_divide(weight, weight.sum(axis=1, keepdims=True))
    for percent, (spread, range_, head_delay, legs_delay) in ONSETS.items():
        time_s = (path < percent / 100 * total[..., None]).sum(axis=-1) / np.float32(FPS)
        middle = (weight * time_s).sum(axis=1, keepdims=True)
        yield spread, np.sqrt((weight * (time_s - middle) ** 2).sum(axis=1))
        time_s = np.where(weight > 0, time_s, np.nan)
        yield range_, highest(time_s) - lowest(time_s)
        head, arms, legs = time_s[:, 0], mean(time_s[:, 1:5], axis=1), mean(time_s[:, 5:], axis=1)
        yield head_delay, head - arms
        yield legs_delay, legs - arms
    yield EFFECTIVE_COUNT, 1 / (weight**2).sum(axis=1)
    parts = np.stack([speed[:, 0], mean(speed[:, 1:5], axis=1), mean(speed[:, 5:], axis=1)], axis=1)
    for name, series in (("points", speed), ("arms", speed[:, 1:5]), ("legs", speed[:, 5:]), ("parts", parts)):
        yield CORRELATIONS[name], mean_correlation(series)


def mean_correlation(series: np.ndarray) -> np.ndarray:
    """Mean correlation (N,) over all pairs of series (N, K, M); constant series are left out."""
    centred = series - mean(series)[..., None]
    centred = np.where(np.isfinite(centred), centred, 0)
    size = np.sqrt((centred**2).sum(axis=-1, keepdims=True))
    count = (size[..., 0] > 0.01).sum(axis=1)
    together = np.where(size > 0.01, centred / np.maximum(size, 0.01), 0).sum(axis=1)
    return safe_divide((together**2).sum(axis=-1) - count, count * (count - 1), 0)


# ---- symmetry

# By window and part: difference of the sides, mirrored and parallel velocities.
SIDES_COMPARED = {
    window: {
        part: (
            feature("symmetry", "symmetry", f"{part}_difference_over_sum_{window}", "",
                    f"imbalance of left and right movement of the {part} {words} (0 equal)", part),
            feature("symmetry", "symmetry", f"{part}_mirrored_correlation_{window}", "",
                    f"mirrored velocities of both {part} {words} (1 full, -1 opposite)", part),
            feature("symmetry", "symmetry", f"{part}_parallel_correlation_{window}", "",
                    f"parallel velocities of both {part} {words} (1 full, -1 opposite)", part),
        )
        for part in LIMBS
    }
    for window, words in (("segment", "over the whole segment"), ("best_2s", AROUND_BURST[2]))
}  # fmt: skip


def symmetry(window: str, velocity: np.ndarray, articulated: np.ndarray) -> Columns:
    """Left against right, velocity (N, 13, 3, M) and articulated speed (N, 13, M), in one window of time."""
    for part, (difference, mirrored, parallel) in SIDES_COMPARED[window].items():
        sides = slice(LEFT[part], LEFT[part] + 2)
        speed = mean(articulated[:, sides])
        yield difference, safe_divide(np.abs(speed[:, 0] - speed[:, 1]), speed.sum(1))
        pair = velocity[:, sides, :2] + 0 * velocity[:, sides, :2].sum(axis=(1, 2), keepdims=True)
        pair = np.where(np.isfinite(pair), pair, 0)
        size = np.sqrt((pair**2).sum(axis=(2, 3)).prod(axis=1))
        along, across = (pair[:, 0] * pair[:, 1]).sum(axis=-1).T
        yield mirrored, safe_divide(along - across, size)
        yield parallel, safe_divide(along + across, size)


SPECS = flatten(ONSETS, EFFECTIVE_COUNT, CORRELATIONS, SIDES_COMPARED)
