"""The largest burst of movement (the event): its size, rise and fall, the change of pose, the stillness around it."""

import numpy as np

from spasm.data.pose import FPS
from spasm.features.body_frame import HEAD, SIDES, Motion
from spasm.features.catalogue import (
    ACROSS_BURST,
    AROUND_BURST,
    BURST,
    LARGER,
    Columns,
    by_part,
    feature,
    flatten,
    per_part,
)
from spasm.features.nan_math import REACH, fraction_of, highest, length, mean, quantiles, safe_divide, seconds_until

# ---- its shape

SHAPE = "event shape"
PEAK = feature(SHAPE, "size of the burst", "event_peak_speed", "bl_s", f"movement at the peak of {BURST}")
PEAK_OVER_MEDIAN = feature(
    SHAPE, "size of the burst", "event_peak_over_median_speed", "",
    f"ratio of the peak of {BURST} to the median movement",
)  # fmt: skip
MEAN_OVER_MEAN = feature(
    SHAPE, "size of the burst", "event_1s_mean_over_mean_speed", "",
    f"ratio of movement {AROUND_BURST[1]} to that in the whole segment",
)  # fmt: skip
# By percent of the peak: rise, fall, width, asymmetry, and the fraction of the segment above that height.
TIMES = {
    percent: (
        feature(SHAPE, "rise of the burst", f"event_rise_from_{percent}pct_of_peak", "s",
                f"rise time of {BURST}, from {percent} % of its height"),
        feature(SHAPE, "length of the burst", f"event_fall_to_{percent}pct_of_peak", "s",
                f"fall time of {BURST}, to {percent} % of its height"),
        feature(SHAPE, "length of the burst", f"event_width_at_{percent}pct_of_peak", "s",
                f"duration of {BURST} above {percent} % of its height"),
        feature(SHAPE, "asymmetry of the burst", f"event_fall_minus_rise_over_width_at_{percent}pct", "",
                f"asymmetry of {BURST} at {percent} % of its height (1 all fall, -1 all rise)"),
        feature(SHAPE, "size of the burst", f"share_of_time_above_{percent}pct_of_peak", "",
                f"fraction of time above {percent} % of the height of {BURST}"),
    )
    for percent in (20, 50)
}  # fmt: skip


def shape(near: Motion, activity: np.ndarray) -> Columns:
    """Speeds and times of the burst; near: the motion around it, activity (N, T): that of the whole segment."""
    profile = near.activity
    peak = peak_speed(near)
    base, typical = quantiles(activity, 0.1, 0.5)
    yield PEAK, peak
    yield PEAK_OVER_MEDIAN, safe_divide(peak, typical)
    yield MEAN_OVER_MEAN, safe_divide(mean(profile[:, REACH - 15 : REACH + 16]), mean(activity))
    for percent, (rise, fall, width, asymmetry, time_above) in TIMES.items():
        level = base + percent / 100 * (peak - base)
        rise_s, fall_s = seconds_until(profile[:, REACH::-1], level), seconds_until(profile[:, REACH:], level)
        yield rise, rise_s
        yield fall, fall_s
        yield width, rise_s + fall_s
        yield asymmetry, safe_divide(fall_s - rise_s, rise_s + fall_s)
        yield time_above, fraction_of(activity > level[:, None], activity)


def peak_speed(near: Motion) -> np.ndarray:
    """The highest activity (N,) within a sixth of a second of the event, bl/s."""
    return highest(near.activity[:, REACH - 5 : REACH + 6])


# ---- change of the pose in the event, and whether it lasts

POSE_CHANGE = feature(
    SHAPE, "change of pose", "event_pose_change", "bl",
    f"largest change of the whole pose in {BURST} (mean over the body's points)",
)  # fmt: skip
POSE_KEPT = {
    seconds: feature(
        SHAPE, "change of pose kept", f"event_pose_change_kept_after_{seconds}s", "",
        f"fraction of the change of pose kept {seconds} s after {BURST}",
    )
    for seconds in (0.5, 1.0)
}  # fmt: skip
SHIFT_ALONG = per_part(
    SHAPE, "shift", "event_change_along", "bl", f"shift of the {{parts}} up the trunk's axis {ACROSS_BURST}{{larger}}",
    LARGER,
)  # fmt: skip
SHIFT_OUTWARD = per_part(
    SHAPE, "shift", "event_change_outward", "bl", f"shift of the {{parts}} outwards {ACROSS_BURST}{{larger}}", LARGER
) | {
    ("head", ""): feature(
        SHAPE, "shift", "head_event_change_outward", "bl", f"shift of the head to either side {ACROSS_BURST}", "head"
    )
}


def pose_change(near: Motion) -> Columns:
    """Positions of the points after the burst, compared with those before it."""
    position = near.position
    start, finish = mean(position[..., REACH - 18 : REACH - 8]), mean(position[..., REACH + 8 : REACH + 19])
    distance = mean(length(position - start[..., None]), axis=1)
    farthest = highest(distance[:, REACH - 8 :])
    yield POSE_CHANGE, farthest
    for seconds, spec in POSE_KEPT.items():
        frame = REACH + round(seconds * FPS)
        yield spec, safe_divide(mean(distance[:, frame - 3 : frame + 4]), farthest)
    yield from by_part(SHIFT_ALONG, (finish - start)[:, :, 0])
    outward = (finish - start)[:, :, 1] * SIDES[:, 0]
    outward[:, HEAD] = np.abs(outward[:, HEAD])
    yield from by_part(SHIFT_OUTWARD, outward)


# ---- stillness

STILLNESS = "stillness"
# Calm level, lively level and mean, by when.
CALM = {
    when: (
        feature(STILLNESS, "stillness", f"speed_{when}_event_p20", "bl_s",
                f"movement 0.4 to 1.5 s {when} {BURST}, when calm (20th percentile)", when),
        feature(STILLNESS, "stillness", f"speed_{when}_event_p80", "bl_s",
                f"movement 0.4 to 1.5 s {when} {BURST}, when lively (80th percentile)", when),
        feature(STILLNESS, "stillness", f"speed_{when}_event_over_peak", "",
                f"ratio of mean movement 0.4 to 1.5 s {when} {BURST} to its peak", when),
    )
    for when in ("before", "after")
}  # fmt: skip
AFTER_OVER_BEFORE = feature(
    STILLNESS, "stillness", "speed_after_over_before_event", "",
    f"ratio of movement after {BURST} to that before it (0.4 to 1.5 s off each)",
)  # fmt: skip
TIME_STILL = feature(
    STILLNESS, "stillness", "share_of_time_below_0_1_bl_s", "",
    "fraction of time nearly still (movement below 0.1 trunk lengths/s)",
)  # fmt: skip


def stillness(near: Motion, activity: np.ndarray) -> Columns:
    """Stillness before and after the burst, and in the whole segment."""
    peak = peak_speed(near)
    before, after = near.activity[:, : REACH - 12], near.activity[:, REACH + 13 :]
    for (calm, lively, over_peak), profile in zip(CALM.values(), (before, after), strict=True):
        low, high = quantiles(profile, 0.2, 0.8)
        yield calm, low
        yield lively, high
        yield over_peak, safe_divide(mean(profile), peak)
    yield AFTER_OVER_BEFORE, safe_divide(mean(after), mean(before))
    yield TIME_STILL, fraction_of(activity < 0.1, activity)


SPECS = flatten(
    PEAK, PEAK_OVER_MEDIAN, MEAN_OVER_MEAN, TIMES, POSE_CHANGE, POSE_KEPT, SHIFT_ALONG, SHIFT_OUTWARD, CALM,
    AFTER_OVER_BEFORE, TIME_STILL,
)  # fmt: skip
