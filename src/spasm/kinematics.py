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

import math

import numpy as np

from spasm.landmarks import INDEX
from spasm.segments import FARTHEST, FPS, found

BLOCK = 32  # segments at once; fewer cost more time each, many more cost memory in long segments
LONGEST_BRIDGE = 6  # frames; gaps of the BabyJokes children have a median of 26 and are left open
SMALLEST_TRUNK = 0.02  # of the picture, as in features.py
# Savitzky-Golay fits for position, velocity, acceleration and jerk: frames and order of the polynomial. Jitter of 0.002
# pictures on a trunk of 0.2 becomes 0.06 bl/s and 1 bl/s^2.
FITS = tuple(  # as scipy.signal.savgol_coeffs gives them, whose import takes most of a second
    (
        np.linalg.pinv(np.vander(np.arange(frames) - frames // 2, order + 1, increasing=True))[derivative]
        * (math.factorial(derivative) * FPS**derivative)
    ).astype(np.float32)
    for derivative, (frames, order) in enumerate(((5, 2), (7, 2), (9, 2), (13, 3)))
)

FACE, ARMS, LEGS = range(11), range(13, 23), range(25, 33)
HANDS, FEET = ("wrist", "pinky", "index", "thumb"), ("ankle", "heel", "foot_index")
# The 13 points, each the mean of its landmarks: the head, then left and right of each pair.
PAIRS = {
    "shoulders": ("shoulder",), "hips": ("hip",), "elbows": ("elbow",), "hands": HANDS, "knees": ("knee",),
    "feet": FEET,
}  # fmt: skip
POINTS = (
    tuple(FACE),
    *(tuple(INDEX[f"{side}_{name}"] for name in names) for names in PAIRS.values() for side in ("left", "right")),
)
HEAD, LEFT = 0, {part: 1 + 2 * i for i, part in enumerate(PAIRS)}  # the right one follows
LIMBS = ("elbows", "hands", "knees", "feet")
MOVERS = [HEAD, *range(LEFT["elbows"], len(POINTS))]  # all but the trunk
SIDES = np.array([1] + [1, -1] * len(PAIRS), dtype=np.float32)[:, None]  # what turns "to the left" into "outward"

REACH = 45  # frames to each side of the event in the longest window
BANDS_HZ = ((0.3, 1), (1, 2), (2, 4), (4, 8))
SERIES = ("body", "head", "arms", "legs")
PARTS = {"head": [HEAD], "arms": MOVERS[1:5], "trunk": list(range(1, 5)), "legs": MOVERS[5:]}  # which points each has


class Columns(dict[str, np.ndarray]):
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


def columns(poses: np.ndarray) -> Columns:
    """The statistics of a block of poses by name."""
    table = Columns()
    seen = found(poses)
    points = body_points(poses, seen)
    placed, moving = fitted(points, 0), fitted(points, 1)
    shift, turn, zoom, articulated = rigid_motion(placed, moving)
    hips = slice(LEFT["hips"], LEFT["hips"] + 2)
    position, velocity = (values - values[:, hips].mean(axis=1, keepdims=True) for values in (placed, moving))
    activity = mean(articulated[:, MOVERS], axis=1)  # (N, T), bl/s
    event = event_frame(activity)
    near = {
        "position": around(position, event), "velocity": around(velocity, event),
        "articulated": around(articulated, event), "activity": around(activity, event),
    }  # fmt: skip

    put_amplitudes(table, position)
    put_speeds(table, velocity, articulated)
    from_hips = points - points[:, hips].mean(axis=1, keepdims=True)
    put_accelerations(table, length(fitted(from_hips[:, :, :2], 2)), length(fitted(from_hips[:, :, :2], 3)))
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


def part_speeds(poses: np.ndarray) -> np.ndarray:
    """Speed of each of PARTS against the rest of the body, (N, 4, T) float32 in body lengths per second.

    poses: (N, T, 33, 5). What moves the body as a whole, such as the camera, is taken out. NaN in gaps and beside them.
    """
    points = body_points(poses, found(poses))
    articulated = rigid_motion(fitted(points, 0), fitted(points, 1))[3]
    return np.stack([mean(articulated[:, members], axis=1) for members in PARTS.values()], axis=1)


# ---- from poses to points in body lengths


def body_points(poses: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """The 13 points in the body's axes: along, to the child's left, depth; (N, 13, 3, T) float32 in body lengths.

    poses (N, T, 33, 5) and where a landmark was found (N, T, 33). The axes and the origin are fixed in the picture for
    the whole segment, and so is the scale: one per frame would erase flexion. NaN where a point is not known, and
    everywhere if the trunk never is.
    """
    points = _points(np.ascontiguousarray(np.moveaxis(poses[..., :3], 1, -1), np.float32), np.moveaxis(seen, 1, -1))
    left_shoulder, right_shoulder, left_hip, right_hip = (points[:, i] for i in range(1, 5))
    shoulders, hips = (left_shoulder + right_shoulder) / 2, (left_hip + right_hip) / 2  # (N, 3, T)
    upward, leftward = shoulders - hips, left_shoulder - right_shoulder + left_hip - right_hip
    size = np.hypot(upward[:, 0], upward[:, 1])
    trunk = quantiles(size, 0.5)[0]
    trunk = np.where(trunk >= SMALLEST_TRUNK, trunk, np.nan)
    centre = quantiles(shoulders + hips, 0.5)[0] / 2
    # Mean directions turn with the camera; medians of x and of y would not.
    upward = mean(over(upward[:, :2], size[:, None], 1e-6))
    upward = over(upward, np.hypot(upward[:, :1], upward[:, 1:]), 1e-6)
    across = np.stack([-upward[:, 1], upward[:, 0]], axis=1)
    across[(across * mean(leftward[:, :2])).sum(axis=1) < 0] *= -1
    x, y, z = np.moveaxis(points - centre[:, None, :, None], 2, 0)
    turned = [x * axis[:, 0, None, None] + y * axis[:, 1, None, None] for axis in (upward, across)]
    return np.stack([*turned, z], axis=2) / trunk[:, None, None, None]


def _points(landmarks: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """The 13 points (N, 13, 3, T) of landmarks (N, 33, 3, T), where seen (N, 33, T); short gaps bridged."""
    landmarks = np.where(seen[:, :, None], np.clip(landmarks, -FARTHEST, FARTHEST), np.nan)
    gappy = seen.any(axis=-1) & ~seen.all(axis=-1)
    landmarks[gappy] = bridged(landmarks[gappy], seen[gappy])
    often = seen.sum(axis=-1)
    points = []
    for members in POINTS:
        # A landmark that is hardly ever found must not take the others with it.
        used = often[:, members] * 2 > often[:, members].max(axis=1, keepdims=True)
        total = np.where(used[..., None, None], landmarks[:, members], 0).sum(axis=1)
        points.append(total / np.where(used.any(axis=1), used.sum(axis=1), np.nan)[:, None, None])
    return np.stack(points, axis=1, dtype=np.float32)


def bridged(values: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """values (S, 3, T), where seen (S, T), with gaps of at most LONGEST_BRIDGE frames filled by straight lines."""
    frames = seen.shape[-1]
    time = np.arange(frames)
    before = np.maximum.accumulate(np.where(seen, time, -1), axis=-1)
    after = np.minimum.accumulate(np.where(seen, time, frames)[:, ::-1], axis=-1)[:, ::-1]
    row, at = np.nonzero(~seen & (before >= 0) & (after < frames) & (after - before <= LONGEST_BRIDGE + 1))
    first, last = before[row, at], after[row, at]
    share = ((at - first) / (last - first)).astype(np.float32)[:, None]
    values[row, :, at] = values[row, :, first] * (1 - share) + values[row, :, last] * share
    return values


def rigid_motion(points: np.ndarray, velocity: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Speed of translation (bl/s), rotation (rad/s) and zoom (1/s), (N, T) each, and what remains, (N, 13, T) bl/s.

    points and velocity (N, 13, 3, T). In each frame, least squares over the known points of
    v = translation + (zoom + i rotation) (p - centre), with the picture as the complex plane.
    """
    vx, vy = velocity[:, :, 0], velocity[:, :, 1]
    x, y = points[:, :, 0] + 0 * vx, points[:, :, 1] + 0 * vx  # known where the velocity is
    mx, my = mean(vx, axis=1), mean(vy, axis=1)
    x, y, vx, vy = x - mean(x, axis=1)[:, None], y - mean(y, axis=1)[:, None], vx - mx[:, None], vy - my[:, None]
    size = np.maximum(mean(x * x + y * y, axis=1), 1e-6)
    zoom, turn = mean(x * vx + y * vy, axis=1) / size, mean(x * vy - y * vx, axis=1) / size
    rest_x = vx - zoom[:, None] * x + turn[:, None] * y
    rest_y = vy - zoom[:, None] * y - turn[:, None] * x
    return np.sqrt(mx * mx + my * my), turn, zoom, np.sqrt(rest_x * rest_x + rest_y * rest_y)


def event_frame(activity: np.ndarray) -> np.ndarray:
    """The frame (N,) in the middle of the 0.3 s with the highest mean activity (N, T), most of it known; else 0."""
    width = 9
    known = np.isfinite(activity)
    total, count = (
        np.cumsum(np.pad(values, ((0, 0), (width // 2 + 1, width // 2))), axis=-1, dtype=np.float64)
        for values in (np.where(known, activity, 0), known)
    )
    total, count = total[:, width:] - total[:, :-width], count[:, width:] - count[:, :-width]
    return np.where(count > width / 2, total / np.maximum(count, 1), -1).argmax(axis=-1)


def around(values: np.ndarray, event: np.ndarray, reach: int = REACH) -> np.ndarray:
    """The frames (N, ..., 2 reach + 1) around the event; NaN outside the segment."""
    at = (event[:, None] + np.arange(-reach, reach + 1)).reshape(len(event), *[1] * (values.ndim - 2), -1)
    inside = (at >= 0) & (at < values.shape[-1])
    return np.where(inside, np.take_along_axis(values, np.where(inside, at, 0), axis=-1), np.float32(np.nan))


# ---- arithmetic that knows gaps: NaN is what was not seen


def fitted(values: np.ndarray, derivative: int) -> np.ndarray:
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


def quantiles(values: np.ndarray, *shares: float) -> np.ndarray:
    """Quantiles (Q, ...) over what is known of values (..., T); NaN where nothing is."""
    ordered = np.sort(values, axis=-1)  # NaN comes last
    last = np.maximum(np.isfinite(ordered).sum(axis=-1, keepdims=True) - 1, 0)
    result = []
    for share in shares:
        low = (last * share).astype(np.intp)
        at_low, at_high = (np.take_along_axis(ordered, at, axis=-1) for at in (low, np.minimum(low + 1, last)))
        result.append((at_low + (at_high - at_low) * (last * share - low).astype(np.float32))[..., 0])
    return np.stack(result)


def mean(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """Mean over what is known along an axis; NaN where nothing is."""
    values = np.ascontiguousarray(values)  # else the order of summation, and the last bit, would follow the block
    known = np.isfinite(values)
    return over(np.where(known, values, 0).sum(axis=axis), known.sum(axis=axis, dtype=np.float32), 0)


def over(a: np.ndarray, b: np.ndarray, smallest: float = 0.01) -> np.ndarray:
    """a / b; NaN unless b is more than `smallest`, so that a ratio of two jitters says nothing."""
    return a / np.where(b > smallest, b, np.float32(np.nan))


def highest(values: np.ndarray) -> np.ndarray:
    return np.fmax.reduce(values, axis=-1)


def lowest(values: np.ndarray) -> np.ndarray:
    return np.fmin.reduce(values, axis=-1)


def share_of(condition: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The share of the known values (..., T) that meet a condition (..., T)."""
    known = np.isfinite(values)
    return over((condition & known).sum(axis=-1), known.sum(axis=-1, dtype=np.float32), 0)


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
    """Time (N,) from the first sample of profile (N, M) until it is below a level (N,); NaN if a gap or the end of the
    window comes first."""
    below = profile < level[:, None]
    first = (below | ~np.isfinite(profile)).argmax(axis=-1)[:, None]
    earlier = np.take_along_axis(profile, np.maximum(first - 1, 0), axis=-1)[:, 0]
    here = np.take_along_axis(profile, first, axis=-1)[:, 0]
    crossed = np.take_along_axis(below, first, axis=-1)[:, 0] & (first[:, 0] > 0)
    return np.where(crossed, (first[:, 0] - over(level - here, earlier - here, 0)) / FPS, np.nan)


# ---- the statistics, group by group


def put_amplitudes(table: Columns, position: np.ndarray) -> None:
    low, high = quantiles(position, 0.05, 0.95)
    for i, axis in enumerate(("along", "outward", "depth")):
        table.parts("amplitude", f"amplitude_{axis}_bl", (high - low)[:, :, i], least=i < 2)
    for lag_s in (0.2, 0.5, 1.0):
        lag = round(lag_s * FPS)
        apart = np.full_like(position, np.nan)
        apart[..., lag:] = position[..., lag:] - position[..., :-lag]
        farthest = highest(length(apart))
        table.parts("amplitude", f"farthest_in_{lag_s}s_bl", farthest)


def put_speeds(table: Columns, velocity: np.ndarray, articulated: np.ndarray) -> None:
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


def put_accelerations(table: Columns, acceleration: np.ndarray, jerk: np.ndarray) -> None:
    for name, unit, values in (("acceleration", "bl_s2", acceleration), ("jerk", "bl_s3", jerk)):
        for percent, level in zip((50, 90, 99), quantiles(values, 0.5, 0.9, 0.99), strict=True):
            if name == "acceleration" or percent == 99:
                table.parts("acceleration and jerk", f"{name}_p{percent}_{unit}", level)


def put_best_window(table: Columns, near: dict[str, np.ndarray]) -> None:
    for seconds in (1, 2):
        inside = slice(REACH - 15 * seconds, REACH + 15 * seconds + 1)
        speed = mean(near["articulated"][..., inside])
        table.parts("best window", f"articulated_speed_mean_best_{seconds}s_bl_s", speed, least=True)
        total = mean(speed[:, MOVERS], axis=1)
        for name, at in (("head", [HEAD]), ("arms", MOVERS[1:5]), ("legs", MOVERS[5:])):
            table.put("best window", f"{name}_over_all_speed_best_{seconds}s", over(mean(speed[:, at], axis=1), total))
    inside = slice(REACH - 15, REACH + 16)
    position, speed = near["position"][..., inside], length(near["velocity"][..., inside])
    for i, axis in enumerate(("along", "outward")):
        table.parts("best window", f"range_{axis}_best_1s_bl", (highest(position) - lowest(position))[:, :, i])
    table.parts("best window", "speed_max_best_1s_bl_s", highest(speed))
    net = length((mean(position[..., -7:]) - mean(position[..., :7]))[..., None])[..., 0]
    table.parts("best window", "net_over_path_best_1s", over(net, mean(speed) * np.float32(24 / FPS)))


def put_event(table: Columns, near: dict[str, np.ndarray], activity: np.ndarray) -> None:
    group, profile = "event shape", near["activity"]
    peak = highest(profile[:, REACH - 5 : REACH + 6])
    base, typical = quantiles(activity, 0.1, 0.5)
    table.put(group, "event_peak_speed_bl_s", peak)
    table.put(group, "event_peak_over_median_speed", over(peak, typical))
    table.put(group, "event_1s_mean_over_mean_speed", over(mean(profile[:, REACH - 15 : REACH + 16]), mean(activity)))
    for percent in (20, 50):
        level = base + percent / 100 * (peak - base)
        rise, fall = seconds_until(profile[:, REACH::-1], level), seconds_until(profile[:, REACH:], level)
        table.put(group, f"event_rise_from_{percent}pct_of_peak_s", rise)
        table.put(group, f"event_fall_to_{percent}pct_of_peak_s", fall)
        table.put(group, f"event_width_at_{percent}pct_of_peak_s", rise + fall)
        table.put(group, f"event_fall_minus_rise_over_width_at_{percent}pct", over(fall - rise, rise + fall))
        table.put(group, f"share_of_time_above_{percent}pct_of_peak", share_of(activity > level[:, None], activity))

    # How far the pose goes from where it was before the event, and whether it stays there.
    position = near["position"]
    start, finish = mean(position[..., REACH - 18 : REACH - 8]), mean(position[..., REACH + 8 : REACH + 19])
    distance = mean(length(position - start[..., None]), axis=1)
    farthest = highest(distance[:, REACH - 8 :])
    table.put(group, "event_pose_change_bl", farthest)
    for kept_s in (0.5, 1.0):
        at = REACH + round(kept_s * FPS)
        kept = over(mean(distance[:, at - 3 : at + 4]), farthest)
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
        table.put(group, f"speed_{name}_event_over_peak", over(mean(part), peak))
    table.put(group, "speed_after_over_before_event", over(mean(after), mean(before)))
    table.put(group, "share_of_time_below_0_1_bl_s", share_of(activity < 0.1, activity))


def put_synchrony(table: Columns, speed: np.ndarray) -> None:
    """When the head and the limbs set off, and how alike their speeds run; speed (N, 9, M) around the event."""
    speed = np.ascontiguousarray(speed)
    path = np.cumsum(np.where(np.isfinite(speed), speed, 0), axis=-1) / np.float32(FPS)
    total = path[..., -1]
    weight = np.where(total > 0.2 * total.max(axis=1, keepdims=True), total, 0)  # who hardly moves has no onset
    weight = over(weight, weight.sum(axis=1, keepdims=True))
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
    return over((together**2).sum(axis=-1) - count, count * (count - 1), 0)


def put_symmetry(table: Columns, where: str, velocity: np.ndarray, articulated: np.ndarray) -> None:
    for part in LIMBS:
        sides = slice(LEFT[part], LEFT[part] + 2)
        speed = mean(articulated[:, sides])
        table.put(
            "symmetry", f"{part}_difference_over_sum_{where}", over(np.abs(speed[:, 0] - speed[:, 1]), speed.sum(1))
        )
        pair = velocity[:, sides, :2] + 0 * velocity[:, sides, :2].sum(axis=(1, 2), keepdims=True)
        pair = np.where(np.isfinite(pair), pair, 0)
        size = np.sqrt((pair**2).sum(axis=(2, 3)).prod(axis=1))
        along, across = (pair[:, 0] * pair[:, 1]).sum(axis=-1).T
        table.put("symmetry", f"{part}_mirrored_correlation_{where}", over(along - across, size))
        table.put("symmetry", f"{part}_parallel_correlation_{where}", over(along + across, size))


def put_angles_and_distances(table: Columns, position: np.ndarray, event: np.ndarray) -> None:
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
    falls, rises = quantiles(fitted(series, 1), 0.01, 0.99)
    close = around(series, event, 18)
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


def put_rhythm(table: Columns, articulated: np.ndarray, activity: np.ndarray) -> None:
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
        band = over(spectrum[..., (hertz >= low) & (hertz < high)].sum(axis=-1), total)
        for i, name in enumerate(SERIES):
            table.put("band power", f"{name}_speed_power_{low}_to_{high}_hz_share", band[:, i])
    centre = over((spectrum[..., inside] * hertz[inside]).sum(axis=-1), total)
    for i, name in enumerate(SERIES):
        table.put("band power", f"{name}_speed_mean_frequency_hz", centre[:, i])

    shifted = np.stack([np.fft.irfft(np.abs(np.fft.rfft(one, padded)) ** 2)[:, :frames] for one in series])
    correlation = over(shifted, shifted[..., :1]) * (frames / np.arange(frames, 0, -1))
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
        table.put("repetition", f"peaks_above_{percent}pct_of_highest_per_s", over(count, observed_s, 0.5))


def put_camera(
    table: Columns, rigid: dict[str, np.ndarray], moving: np.ndarray, activity: np.ndarray, event: np.ndarray
) -> None:
    trunk = moving[:, LEFT["shoulders"] : LEFT["hips"] + 2].mean(axis=1)[:, None]
    speeds = [(f"rigid_{name}", values) for name, values in rigid.items()] + [
        ("trunk_translation", length(trunk)[:, 0])
    ]
    for (name, values), unit in zip(speeds, ("bl_s", "rad_s", "per_s", "bl_s"), strict=True):
        for percent, level in zip((50, 90, 99), quantiles(values, 0.5, 0.9, 0.99), strict=True):
            table.put("camera", f"{name}_p{percent}_{unit}", level)
        table.put("camera", f"{name}_mean_best_1s_{unit}", mean(around(values, event, 15)))
    slow, fast = quantiles(trunk[:, 0, 0], 0.01, 0.99)
    table.put("camera", "trunk_down_speed_p99_bl_s", -slow)
    table.put("camera", "trunk_up_speed_p99_bl_s", fast)
    every = mean(length(moving)[:, MOVERS], axis=1)
    table.put("camera", "articulated_over_all_motion", over(mean(activity), mean(every)))


def put_gaps(table: Columns, poses: np.ndarray, seen: np.ndarray) -> None:
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
    table.put(group, "landmarks_outside_picture_share", 1 - over(inside.sum(axis=(1, 2)), seen.sum(axis=(1, 2)), 0))


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
