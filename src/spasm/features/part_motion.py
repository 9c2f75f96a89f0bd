"""Range, speed and abruptness of each part of the body, in the whole segment and around the largest burst."""

import numpy as np

from spasm.data.pose import FPS
from spasm.features.body_frame import HEAD, LEFT, MOVERS, SIDES, Motion
from spasm.features.catalogue import (
    APART,
    AROUND_BURST,
    FASTER,
    LARGER,
    LEVELS,
    LIMB_GROUPS,
    MORE_ABRUPT,
    MORE_MOBILE,
    PAIRED_PARTS,
    Columns,
    FeatureSpec,
    by_part,
    feature,
    flatten,
    one_of,
    per_part,
)
from spasm.features.nan_math import REACH, highest, length, lowest, mean, quantiles, safe_divide

AXES = {"along": "along the trunk's axis", "outward": "across the trunk's axis", "depth": "in MediaPipe's depth"}

# ---- amplitude

AMPLITUDES = {
    axis: per_part(
        "amplitude", "range", f"amplitude_{axis}", "bl", f"range of {{part}} {words} (5th to 95th percentile)",
        MORE_MOBILE, least=axis != "depth",
    )
    for axis, words in AXES.items()
}  # fmt: skip
DISPLACEMENTS = {
    lag_s: per_part(
        "amplitude", "range", f"farthest_in_{lag_s}s", "bl", f"largest displacement of {{part}} over {lag_s} s",
        MORE_MOBILE,
    )
    for lag_s in (0.2, 0.5, 1.0)
}  # fmt: skip


def amplitudes(position: np.ndarray) -> Columns:
    """How far the points move; position: (N, 13, 3, T) about mid-hips."""
    low, high = quantiles(position, 0.05, 0.95)
    for i, specs in enumerate(AMPLITUDES.values()):
        yield from by_part(specs, (high - low)[:, :, i])
    for lag_s, specs in DISPLACEMENTS.items():
        lag = round(lag_s * FPS)
        moved = np.full_like(position, np.nan)
        moved[..., lag:] = position[..., lag:] - position[..., :-lag]
        yield from by_part(specs, highest(length(moved)))


# ---- speed

SPEEDS = {
    (speed, percent): per_part(
        "speed", "speed", f"{speed}_p{percent}", "bl_s", f"speed of {{part}} {relative}, {level}", FASTER,
        least=percent == 99,
    )
    for speed, relative in (("speed", "relative to the hips"), ("articulated_speed", APART))
    for percent, level in LEVELS.items()
}  # fmt: skip
DOWN_UP = {"down": "down the trunk's axis", "up": "up the trunk's axis"}
IN_OUT = {"inward": "inwards, to the other side", "outward": "outwards, to its own side"}


def _directed(part: str, direction: str, words: str) -> FeatureSpec:
    phrase = f"speed of {one_of(part, 'faster')} {words}, {LEVELS[99]}"
    return feature("speed", "speed", f"{part}_{direction}_speed_p99", "bl_s", phrase, part)


DIRECTED = {
    (direction, part): _directed(part, direction, words)
    for directions, parts in ((DOWN_UP, (*PAIRED_PARTS, "head")), (IN_OUT, PAIRED_PARTS))
    for direction, words in directions.items()
    for part in parts
}
HEAD_SIDEWAYS = _directed("head", "sideways", "to either side")


def speeds(velocity: np.ndarray, articulated: np.ndarray) -> Columns:
    """Velocity (N, 13, 3, T) about mid-hips and articulated speed (N, 13, T), in bl/s."""
    for name, speed in (("speed", length(velocity)), ("articulated_speed", articulated)):
        for percent, level in zip(LEVELS, quantiles(speed, 0.5, 0.9, 0.99), strict=True):
            yield from by_part(SPEEDS[name, percent], level)
    velocity = velocity[:, :, :2].copy()
    velocity[:, :, 1] *= SIDES
    slow, fast = quantiles(velocity, 0.01, 0.99)
    fastest = {
        "down": -slow[:, :, 0], "up": fast[:, :, 0], "inward": -slow[:, :, 1], "outward": fast[:, :, 1],
    }  # fmt: skip
    for (direction, part), spec in DIRECTED.items():
        speed = fastest[direction]
        yield spec, speed[:, HEAD] if part == "head" else highest(speed[:, LEFT[part] : LEFT[part] + 2])
    yield HEAD_SIDEWAYS, np.fmax(fastest["inward"][:, HEAD], fastest["outward"][:, HEAD])


# ---- acceleration and jerk

ACCELERATIONS = {
    percent: per_part(
        "acceleration and jerk", "abruptness", f"acceleration_p{percent}", "bl_s2",
        f"acceleration of {{part}}, {level}", MORE_ABRUPT,
    )
    for percent, level in LEVELS.items()
}  # fmt: skip
JERK = per_part(
    "acceleration and jerk", "abruptness", "jerk_p99", "bl_s3",
    f"jerk (change of acceleration) of {{part}}, {LEVELS[99]}", MORE_ABRUPT,
)  # fmt: skip


def accelerations(acceleration: np.ndarray, jerk: np.ndarray) -> Columns:
    """Sizes (N, 13, T) of the acceleration in bl/s^2 and of the jerk in bl/s^3, about mid-hips."""
    for specs, level in zip(ACCELERATIONS.values(), quantiles(acceleration, 0.5, 0.9, 0.99), strict=True):
        yield from by_part(specs, level)
    yield from by_part(JERK, quantiles(jerk, 0.99)[0])


# ---- the seconds around the largest burst

WINDOW = "best window"
MEAN_SPEEDS = {
    seconds: per_part(
        WINDOW, "speed", f"articulated_speed_mean_best_{seconds}s", "bl_s", f"mean speed of {{part}} {APART} {around}",
        FASTER, least=True,
    )
    for seconds, around in AROUND_BURST.items()
}  # fmt: skip
FRACTIONS = {
    seconds: {
        limbs: feature(
            WINDOW, "fraction of all movement", f"{limbs}_over_all_speed_best_{seconds}s", "",
            f"ratio of movement of {words} to that of head and limbs {around}", limbs,
        )
        for limbs, words in LIMB_GROUPS.items()
    }
    for seconds, around in AROUND_BURST.items()
}  # fmt: skip
RANGES = {
    axis: per_part(
        WINDOW, "range", f"range_{axis}_best_1s", "bl", f"range of {{part}} {AXES[axis]} {AROUND_BURST[1]}", MORE_MOBILE
    )
    for axis in ("along", "outward")
}
TOP_SPEED = per_part(
    WINDOW, "speed", "speed_max_best_1s", "bl_s", f"highest speed of {{part}} relative to the hips {AROUND_BURST[1]}",
    FASTER,
)  # fmt: skip
DIRECTNESS = per_part(
    WINDOW, "directness", "net_over_path_best_1s", "",
    f"net shift over distance travelled of the {{parts}} {AROUND_BURST[1]}{{larger}}", LARGER,
)  # fmt: skip


def best_window(near: Motion) -> Columns:
    """Motion of the parts in 1 s and in 2 s around the event; near: the motion in those frames."""
    for seconds in AROUND_BURST:
        inside = slice(REACH - 15 * seconds, REACH + 15 * seconds + 1)
        speed = mean(near.articulated[..., inside])
        yield from by_part(MEAN_SPEEDS[seconds], speed)
        total = mean(speed[:, MOVERS], axis=1)
        for name, points in (("head", [HEAD]), ("arms", MOVERS[1:5]), ("legs", MOVERS[5:])):
            yield FRACTIONS[seconds][name], safe_divide(mean(speed[:, points], axis=1), total)
    inside = slice(REACH - 15, REACH + 16)
    position, speed = near.position[..., inside], length(near.velocity[..., inside])
    for i, specs in enumerate(RANGES.values()):
        yield from by_part(specs, (highest(position) - lowest(position))[:, :, i])
    yield from by_part(TOP_SPEED, highest(speed))
    net = length((mean(position[..., -7:]) - mean(position[..., :7]))[..., None])[..., 0]
    yield from by_part(DIRECTNESS, safe_divide(net, mean(speed) * np.float32(24 / FPS)))


SPECS = flatten(
    AMPLITUDES, DISPLACEMENTS, SPEEDS, DIRECTED, HEAD_SIDEWAYS, ACCELERATIONS, JERK,
    [(MEAN_SPEEDS[seconds], FRACTIONS[seconds]) for seconds in AROUND_BURST], RANGES, TOP_SPEED, DIRECTNESS,
)  # fmt: skip
