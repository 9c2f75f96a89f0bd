"""Poses (N, T, 33, 5) to the named statistics (N, F) that gradient boosting reads. In numpy alone, without torch.

Lengths are in body lengths (bl: the segment's median distance from mid-hips to mid-shoulders in the picture), times in
seconds. Axes are the body's: *along* the trunk towards the head, *outward* from the midline to the landmark's own side,
*depth* MediaPipe's z. So no statistic depends on where the camera stands, on its roll or zoom, or on a mirror, and only
a little on the picture's lost aspect ratio. Of paired parts there is the side with more (`_most`) and with less
(`_least`), never the left and the right. Nothing tells when in the segment something happened: that depends on how a
recording was cut.

Two motions are told apart. *Rigid* is what a moving camera, or whoever carries the child, does to all points at once:
the least-squares translation, rotation and zoom of the velocities in each frame. *Articulated* is what remains. The
*event* is the moment of highest articulated speed; windows are centred on it.

A gap is bridged where it is short; elsewhere it is NaN, and so is every local fit that would reach into it.
Figures without a source are judgement.
"""

import numpy as np

from spasm.data.pose import FPS, found
from spasm.features.body_frame import (
    ARMS,
    BLOCK,
    FACE,
    HEAD,
    LEFT,
    LEGS,
    LIMBS,
    MOVERS,
    SIDES,
    body_points,
    event_frame,
    rigid_motion,
)
from spasm.features.nan_math import (
    REACH,
    angle_deg,
    highest,
    length,
    lowest,
    mean,
    quantiles,
    safe_divide,
    savgol,
    seconds_until,
    share_of,
    window_around,
)

BANDS_HZ = ((0.3, 1), (1, 2), (2, 4), (4, 8))
SERIES = ("body", "head", "arms", "legs")


class FeatureTable(dict[str, np.ndarray]):
    """Statistics (N,) by name, and the group of each."""

    def __init__(self) -> None:
        super().__init__()
        self.group_of: dict[str, str] = {}

    def put(self, group: str, name: str, values: np.ndarray) -> None:
        name = name.replace(".", "_")
        self[name], self.group_of[name] = values, group

    def parts(self, group: str, name: str, values: np.ndarray, least: bool = False) -> None:
        """values (N, 13), one per point: the larger of two sides, with `least` also the smaller where both exist."""
        self.put(group, f"head_{name}", values[:, HEAD])
        for part in ("shoulders", *LIMBS):
            left, right = values[:, LEFT[part]], values[:, LEFT[part] + 1]
            self.put(group, f"{part}_{name}_most", np.fmax(left, right))
            if least:
                self.put(group, f"{part}_{name}_least", np.minimum(left, right))


def statistics(poses: np.ndarray) -> np.ndarray:
    """One row of statistics per segment, the same bytes alone or among others.

    poses: (N, T, 33, 5) float, [x, y, z, visibility, presence]; a landmark that was not found is NaN. T at least 16.
    Returns (N, F) float32 in the order of `NAMES`, never infinite; NaN where a statistic does not exist.
    """
    table = np.empty((len(poses), len(NAMES)), dtype=np.float32)
    for start in range(0, len(poses), BLOCK):
        block = columns(poses[start : start + BLOCK])
        for i, values in enumerate(block.values()):
            table[start : start + BLOCK, i] = values
    table[np.isnan(table)] = np.nan  # NaN has a sign, too, which would follow the block
    return table


def columns(poses: np.ndarray) -> FeatureTable:
    """The statistics of a block of poses by name."""
    table = FeatureTable()
    seen = found(poses)
    points = body_points(poses, seen)
    placed, moving = savgol(points, 0), savgol(points, 1)
    shift, turn, zoom, articulated = rigid_motion(placed, moving)
    hips = slice(LEFT["hips"], LEFT["hips"] + 2)
    position, velocity = (values - values[:, hips].mean(axis=1, keepdims=True) for values in (placed, moving))
    activity = mean(articulated[:, MOVERS], axis=1)  # (N, T), bl/s
    event = event_frame(activity)
    near = {
        "position": window_around(position, event), "velocity": window_around(velocity, event),
        "articulated": window_around(articulated, event), "activity": window_around(activity, event),
    }  # fmt: skip

    put_amplitudes(table, position)
    put_speeds(table, velocity, articulated)
    from_hips = points - points[:, hips].mean(axis=1, keepdims=True)
    put_accelerations(table, length(savgol(from_hips[:, :, :2], 2)), length(savgol(from_hips[:, :, :2], 3)))
    put_best_window(table, near)
    put_event(table, near, activity)
    put_synchrony(table, near["articulated"][:, MOVERS, REACH - 24 : REACH + 25])
    put_symmetry(table, "segment", velocity, articulated)
    put_symmetry(table, "best_2s", near["velocity"][..., 15:-15], near["articulated"][..., 15:-15])
    put_angles_and_distances(table, position, event)
    put_rhythm(table, articulated, activity)
    put_camera(table, {"translation": shift, "rotation": np.abs(turn), "zoom": np.abs(zoom)}, moving, activity, event)
    put_gaps(table, poses, seen)
    return table


# ---- the statistics, group by group


def put_amplitudes(table: FeatureTable, position: np.ndarray) -> None:
    low, high = quantiles(position, 0.05, 0.95)
    for i, axis in enumerate(("along", "outward", "depth")):
        table.parts("amplitude", f"amplitude_{axis}_bl", (high - low)[:, :, i], least=i < 2)
    for lag_s in (0.2, 0.5, 1.0):
        lag = round(lag_s * FPS)
        apart = np.full_like(position, np.nan)
        apart[..., lag:] = position[..., lag:] - position[..., :-lag]
        farthest = highest(length(apart))
        table.parts("amplitude", f"farthest_in_{lag_s}s_bl", farthest)


def put_speeds(table: FeatureTable, velocity: np.ndarray, articulated: np.ndarray) -> None:
    for name, speed in (("speed", length(velocity)), ("articulated_speed", articulated)):
        for percent, level in zip((50, 90, 99), quantiles(speed, 0.5, 0.9, 0.99), strict=True):
            table.parts("speed", f"{name}_p{percent}_bl_s", level, least=percent == 99)
    velocity = velocity[:, :, :2].copy()
    velocity[:, :, 1] *= SIDES
    slow, fast = quantiles(velocity, 0.01, 0.99)
    for i, directions in enumerate((("down", "up"), ("inward", "outward"))):
        for direction, fastest in zip(directions, (-slow[:, :, i], fast[:, :, i]), strict=True):
            for part in ("shoulders", *LIMBS):
                side = fastest[:, LEFT[part] : LEFT[part] + 2]
                table.put("speed", f"{part}_{direction}_speed_p99_bl_s", highest(side))
            if i == 0:
                table.put("speed", f"head_{direction}_speed_p99_bl_s", fastest[:, HEAD])
    table.put("speed", "head_sideways_speed_p99_bl_s", np.fmax(-slow[:, HEAD, 1], fast[:, HEAD, 1]))


def put_accelerations(table: FeatureTable, acceleration: np.ndarray, jerk: np.ndarray) -> None:
    for name, unit, values in (("acceleration", "bl_s2", acceleration), ("jerk", "bl_s3", jerk)):
        for percent, level in zip((50, 90, 99), quantiles(values, 0.5, 0.9, 0.99), strict=True):
            if name == "acceleration" or percent == 99:
                table.parts("acceleration and jerk", f"{name}_p{percent}_{unit}", level)


def put_best_window(table: FeatureTable, near: dict[str, np.ndarray]) -> None:
    for seconds in (1, 2):
        inside = slice(REACH - 15 * seconds, REACH + 15 * seconds + 1)
        speed = mean(near["articulated"][..., inside])
        table.parts("best window", f"articulated_speed_mean_best_{seconds}s_bl_s", speed, least=True)
        total = mean(speed[:, MOVERS], axis=1)
        for name, at in (("head", [HEAD]), ("arms", MOVERS[1:5]), ("legs", MOVERS[5:])):
            table.put(
                "best window", f"{name}_over_all_speed_best_{seconds}s", safe_divide(mean(speed[:, at], axis=1), total)
            )
    inside = slice(REACH - 15, REACH + 16)
    position, speed = near["position"][..., inside], length(near["velocity"][..., inside])
    for i, axis in enumerate(("along", "outward")):
        table.parts("best window", f"range_{axis}_best_1s_bl", (highest(position) - lowest(position))[:, :, i])
    table.parts("best window", "speed_max_best_1s_bl_s", highest(speed))
    net = length((mean(position[..., -7:]) - mean(position[..., :7]))[..., None])[..., 0]
    table.parts("best window", "net_over_path_best_1s", safe_divide(net, mean(speed) * np.float32(24 / FPS)))


def put_event(table: FeatureTable, near: dict[str, np.ndarray], activity: np.ndarray) -> None:
    group, profile = "event shape", near["activity"]
    peak = highest(profile[:, REACH - 5 : REACH + 6])
    base, typical = quantiles(activity, 0.1, 0.5)
    table.put(group, "event_peak_speed_bl_s", peak)
    table.put(group, "event_peak_over_median_speed", safe_divide(peak, typical))
    table.put(
        group, "event_1s_mean_over_mean_speed", safe_divide(mean(profile[:, REACH - 15 : REACH + 16]), mean(activity))
    )
    for percent in (20, 50):
        level = base + percent / 100 * (peak - base)
        rise, fall = seconds_until(profile[:, REACH::-1], level), seconds_until(profile[:, REACH:], level)
        table.put(group, f"event_rise_from_{percent}pct_of_peak_s", rise)
        table.put(group, f"event_fall_to_{percent}pct_of_peak_s", fall)
        table.put(group, f"event_width_at_{percent}pct_of_peak_s", rise + fall)
        table.put(group, f"event_fall_minus_rise_over_width_at_{percent}pct", safe_divide(fall - rise, rise + fall))
        table.put(group, f"share_of_time_above_{percent}pct_of_peak", share_of(activity > level[:, None], activity))

    # How far the pose goes from where it was before the event, and whether it stays there.
    position = near["position"]
    start, finish = mean(position[..., REACH - 18 : REACH - 8]), mean(position[..., REACH + 8 : REACH + 19])
    distance = mean(length(position - start[..., None]), axis=1)
    farthest = highest(distance[:, REACH - 8 :])
    table.put(group, "event_pose_change_bl", farthest)
    for kept_s in (0.5, 1.0):
        at = REACH + round(kept_s * FPS)
        kept = safe_divide(mean(distance[:, at - 3 : at + 4]), farthest)
        table.put(group, f"event_pose_change_kept_after_{kept_s}s", kept)
    table.parts(group, "event_change_along_bl", (finish - start)[:, :, 0])
    outward = (finish - start)[:, :, 1] * SIDES[:, 0]
    outward[:, HEAD] = np.abs(outward[:, HEAD])
    table.parts(group, "event_change_outward_bl", outward)

    group, before, after = "stillness", profile[:, : REACH - 12], profile[:, REACH + 13 :]
    for name, part in (("before", before), ("after", after)):
        low, high = quantiles(part, 0.2, 0.8)
        table.put(group, f"speed_{name}_event_p20_bl_s", low)
        table.put(group, f"speed_{name}_event_p80_bl_s", high)
        table.put(group, f"speed_{name}_event_over_peak", safe_divide(mean(part), peak))
    table.put(group, "speed_after_over_before_event", safe_divide(mean(after), mean(before)))
    table.put(group, "share_of_time_below_0_1_bl_s", share_of(activity < 0.1, activity))


def put_synchrony(table: FeatureTable, speed: np.ndarray) -> None:
    """When the head and the limbs set off, and how alike their speeds run; speed (N, 9, M) around the event."""
    speed = np.ascontiguousarray(speed)
    path = np.cumsum(np.where(np.isfinite(speed), speed, 0), axis=-1) / np.float32(FPS)
    total = path[..., -1]
    weight = np.where(total > 0.2 * total.max(axis=1, keepdims=True), total, 0)  # who hardly moves has no onset
    weight = safe_divide(weight, weight.sum(axis=1, keepdims=True))
    for percent in (20, 50):
        when = (path < percent / 100 * total[..., None]).sum(axis=-1) / np.float32(FPS)
        middle = (weight * when).sum(axis=1, keepdims=True)
        spread = np.sqrt((weight * (when - middle) ** 2).sum(axis=1))
        table.put("synchrony", f"spread_of_times_at_{percent}pct_of_path_s", spread)
        when = np.where(weight > 0, when, np.nan)
        table.put("synchrony", f"range_of_times_at_{percent}pct_of_path_s", highest(when) - lowest(when))
        head, arms, legs = when[:, 0], mean(when[:, 1:5], axis=1), mean(when[:, 5:], axis=1)
        table.put("synchrony", f"head_after_arms_at_{percent}pct_of_path_s", head - arms)
        table.put("synchrony", f"legs_after_arms_at_{percent}pct_of_path_s", legs - arms)
    table.put("synchrony", "moving_points_effective_count", 1 / (weight**2).sum(axis=1))
    parts = np.stack([speed[:, 0], mean(speed[:, 1:5], axis=1), mean(speed[:, 5:], axis=1)], axis=1)
    for name, series in (("points", speed), ("arms", speed[:, 1:5]), ("legs", speed[:, 5:]), ("parts", parts)):
        table.put("synchrony", f"speed_correlation_of_{name}", mean_correlation(series))


def mean_correlation(series: np.ndarray) -> np.ndarray:
    """Mean correlation (N,) over all pairs of those of K series (N, K, M) that vary."""
    centred = series - mean(series)[..., None]
    centred = np.where(np.isfinite(centred), centred, 0)
    size = np.sqrt((centred**2).sum(axis=-1, keepdims=True))
    count = (size[..., 0] > 0.01).sum(axis=1)
    together = np.where(size > 0.01, centred / np.maximum(size, 0.01), 0).sum(axis=1)
    return safe_divide((together**2).sum(axis=-1) - count, count * (count - 1), 0)


def put_symmetry(table: FeatureTable, where: str, velocity: np.ndarray, articulated: np.ndarray) -> None:
    for part in LIMBS:
        sides = slice(LEFT[part], LEFT[part] + 2)
        speed = mean(articulated[:, sides])
        table.put(
            "symmetry",
            f"{part}_difference_over_sum_{where}",
            safe_divide(np.abs(speed[:, 0] - speed[:, 1]), speed.sum(1)),
        )
        pair = velocity[:, sides, :2] + 0 * velocity[:, sides, :2].sum(axis=(1, 2), keepdims=True)
        pair = np.where(np.isfinite(pair), pair, 0)
        size = np.sqrt((pair**2).sum(axis=(2, 3)).prod(axis=1))
        along, across = (pair[:, 0] * pair[:, 1]).sum(axis=-1).T
        table.put("symmetry", f"{part}_mirrored_correlation_{where}", safe_divide(along - across, size))
        table.put("symmetry", f"{part}_parallel_correlation_{where}", safe_divide(along + across, size))


def put_angles_and_distances(table: FeatureTable, position: np.ndarray, event: np.ndarray) -> None:
    head = position[:, [HEAD]]
    shoulder, hip, elbow, hand, knee, foot = (position[:, at : at + 2] for at in LEFT.values())  # (N, 2, 3, T) each
    neck = shoulder.mean(axis=1, keepdims=True)  # the hips' middle is the origin
    upright = np.zeros_like(neck)
    upright[:, :, 0] = 1
    signals = {
        ("trunk and neck", "neck_flexion", "deg"): angle_deg(head - neck, neck),
        ("trunk and neck", "trunk_tilt", "deg"): angle_deg(neck, upright),
        ("trunk and neck", "trunk_length", "bl"): length(neck),
        ("trunk and neck", "head_to_neck", "bl"): length(head - neck),
        ("trunk and neck", "head_to_hips", "bl"): length(head),
        ("distances", "hand_to_hand", "bl"): length(hand[:, :1] - hand[:, 1:]),
        ("distances", "knee_to_knee", "bl"): length(knee[:, :1] - knee[:, 1:]),
        ("distances", "foot_to_foot", "bl"): length(foot[:, :1] - foot[:, 1:]),
        ("joint angles", "hip", "deg"): angle_deg(shoulder - hip, knee - hip),
        ("joint angles", "knee", "deg"): angle_deg(hip - knee, foot - knee),
        ("joint angles", "shoulder", "deg"): angle_deg(hip - shoulder, elbow - shoulder),
        ("joint angles", "elbow", "deg"): angle_deg(shoulder - elbow, hand - elbow),
        ("distances", "hand_to_head", "bl"): length(hand - head),
        ("distances", "hand_to_shoulder", "bl"): length(hand - shoulder),
        ("distances", "hand_to_hips", "bl"): length(hand),
        ("distances", "foot_to_hip", "bl"): length(foot - hip),
        ("distances", "knee_to_shoulder", "bl"): length(knee - shoulder),
    }
    series = np.concatenate(list(signals.values()), axis=1)
    low, middle, high = quantiles(series, 0.05, 0.5, 0.95)
    falls, rises = quantiles(savgol(series, 1), 0.01, 0.99)
    close = window_around(series, event, 18)
    change = mean(close[..., -10:]) - mean(close[..., :10])
    at = 0
    for (group, name, unit), signal in signals.items():
        for kind, values in (
            (f"p5_{unit}", low), (f"median_{unit}", middle), (f"p95_{unit}", high), (f"range_{unit}", high - low),
            (f"fall_fastest_{unit}_s", -falls), (f"rise_fastest_{unit}_s", rises), (f"event_change_{unit}", change),
        ):  # fmt: skip
            side = values[:, at : at + signal.shape[1]]
            table.put(group, f"{name}_{kind}", lowest(side) if kind.startswith("p5") else highest(side))
        at += signal.shape[1]


def put_rhythm(table: FeatureTable, articulated: np.ndarray, activity: np.ndarray) -> None:
    """Band powers and repetition of the speeds; a gap holds the mean speed."""
    frames = activity.shape[-1]
    parts = (articulated[:, [HEAD]], articulated[:, MOVERS[1:5]], articulated[:, MOVERS[5:]])
    series = np.stack([activity, *(mean(part, axis=1) for part in parts)], axis=1)  # (N, 4, T)
    series = series - mean(series)[..., None]
    series = np.where(np.isfinite(series), series, 0)
    padded = 1 << (2 * frames - 1).bit_length()
    # One segment at a time, so that the bytes do not depend on the block.
    spectrum = np.stack([np.abs(np.fft.rfft(one * np.hanning(frames), padded)) ** 2 for one in series])
    hertz = np.fft.rfftfreq(padded, 1 / FPS)
    lowest_hz, highest_hz = BANDS_HZ[0][0], BANDS_HZ[-1][1]
    inside = (hertz >= lowest_hz) & (hertz < highest_hz)
    total = spectrum[..., inside].sum(axis=-1)
    for low, high in BANDS_HZ:
        band = safe_divide(spectrum[..., (hertz >= low) & (hertz < high)].sum(axis=-1), total)
        for i, name in enumerate(SERIES):
            table.put("band power", f"{name}_speed_power_{low}_to_{high}_hz_share", band[:, i])
    centre = safe_divide((spectrum[..., inside] * hertz[inside]).sum(axis=-1), total)
    for i, name in enumerate(SERIES):
        table.put("band power", f"{name}_speed_mean_frequency_hz", centre[:, i])

    shifted = np.stack([np.fft.irfft(np.abs(np.fft.rfft(one, padded)) ** 2)[:, :frames] for one in series])
    correlation = safe_divide(shifted, shifted[..., :1]) * (frames / np.arange(frames, 0, -1))
    first, last = round(0.25 * FPS), max(round(0.25 * FPS) + 3, min(round(2.5 * FPS), frames * 2 // 3))
    correlation = correlation[..., first:last]  # (N, 4, L)
    inner = correlation[..., 1:-1]
    peaks = np.where((inner > correlation[..., :-2]) & (inner >= correlation[..., 2:]), inner, 0)
    best = np.where(np.isfinite(correlation[..., 0]), highest(peaks), np.nan)
    earliest = (peaks >= 0.85 * best[..., None]).argmax(axis=-1)  # and not a multiple of the period
    period_s = np.where(best > 0.1, (earliest + first + 1) / FPS, np.nan)
    for i, name in enumerate(SERIES):
        table.put("repetition", f"{name}_speed_autocorrelation_peak", best[:, i])
        table.put("repetition", f"{name}_speed_period_s", period_s[:, i])
    typical, top = quantiles(activity, 0.5, 1)
    padded_activity = np.pad(np.where(np.isfinite(activity), activity, 0), ((0, 0), (4, 4)))
    crest = np.max([padded_activity[:, i : i + frames] for i in range(9)], axis=0)  # within 0.13 s to each side
    observed_s = np.isfinite(activity).sum(axis=-1) / np.float32(FPS)
    for percent in (30, 60):
        level = typical + percent / 100 * np.maximum(top - typical, 0.05)
        count = ((activity == crest) & (activity > level[:, None])).sum(axis=-1)
        table.put("repetition", f"peaks_above_{percent}pct_of_highest_per_s", safe_divide(count, observed_s, 0.5))


def put_camera(
    table: FeatureTable, rigid: dict[str, np.ndarray], moving: np.ndarray, activity: np.ndarray, event: np.ndarray
) -> None:
    trunk = moving[:, LEFT["shoulders"] : LEFT["hips"] + 2].mean(axis=1)[:, None]
    speeds = [(f"rigid_{name}", values) for name, values in rigid.items()] + [
        ("trunk_translation", length(trunk)[:, 0])
    ]
    for (name, values), unit in zip(speeds, ("bl_s", "rad_s", "per_s", "bl_s"), strict=True):
        for percent, level in zip((50, 90, 99), quantiles(values, 0.5, 0.9, 0.99), strict=True):
            table.put("camera", f"{name}_p{percent}_{unit}", level)
        table.put("camera", f"{name}_mean_best_1s_{unit}", mean(window_around(values, event, 15)))
    slow, fast = quantiles(trunk[:, 0, 0], 0.01, 0.99)
    table.put("camera", "trunk_down_speed_p99_bl_s", -slow)
    table.put("camera", "trunk_up_speed_p99_bl_s", fast)
    every = mean(length(moving)[:, MOVERS], axis=1)
    table.put("camera", "articulated_over_all_motion", safe_divide(mean(activity), mean(every)))


def put_gaps(table: FeatureTable, poses: np.ndarray, seen: np.ndarray) -> None:
    """What tells how a segment was filmed and seen, from poses (N, T, 33, 5) and where found (N, T, 33)."""
    group, frames, there = "gaps and visibility", poses.shape[1], seen.any(axis=-1)
    table.put(group, "frames_missing_share", 1 - there.mean(axis=-1))
    starts = (~there & np.pad(there, ((0, 0), (1, 0)), constant_values=True)[:, :-1]).sum(axis=-1)
    table.put(group, "gaps_per_s", starts * FPS / frames)
    time = np.arange(frames)
    longest = (time - np.maximum.accumulate(np.where(there, time, -1), axis=-1)).max(axis=-1)
    table.put(group, "longest_gap_s", longest / FPS)
    scores = np.nan_to_num(np.where(seen[..., None], poses[..., 3:5], 0), posinf=1, neginf=0)
    for name, at in (("face", FACE), ("trunk", (11, 12, 23, 24)), ("arms", ARMS), ("legs", LEGS)):
        level = scores[:, :, list(at)].sum(axis=(1, 2)) / np.maximum(seen[:, :, list(at)].sum(axis=(1, 2)), 1)[:, None]
        table.put(group, f"{name}_visibility_mean", np.where(there.any(axis=-1), level[:, 0], np.nan))
        table.put(group, f"{name}_presence_mean", np.where(there.any(axis=-1), level[:, 1], np.nan))
    inside = seen & (np.abs(poses[..., 0] - 0.5) <= 0.5) & (np.abs(poses[..., 1] - 0.5) <= 0.5)
    table.put(
        group, "landmarks_outside_picture_share", 1 - safe_divide(inside.sum(axis=(1, 2)), seen.sum(axis=(1, 2)), 0)
    )


_NOTHING = columns(np.full((1, 16, 33, 5), np.nan, dtype=np.float32))
NAMES: tuple[str, ...] = tuple(_NOTHING)
GROUP_OF: dict[str, str] = _NOTHING.group_of
GROUPS: dict[str, tuple[str, ...]] = {
    group: tuple(name for name in NAMES if GROUP_OF[name] == group) for group in dict.fromkeys(GROUP_OF.values())
}


def used(gaps: bool) -> np.ndarray:
    """Which statistics are read, (F,) int64: all, or all but those of gaps and visibility."""
    left_out = () if gaps else GROUPS["gaps and visibility"]
    return np.array([number for number, name in enumerate(NAMES) if name not in left_out])
