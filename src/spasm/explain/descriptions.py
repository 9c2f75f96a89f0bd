"""What boosting weighed in a segment, in words: from contributions to log-odds to a few sentences.

The words follow `kinematics.py`; its body length is a trunk length here, lest it be read as crown to heel.
"""

import dataclasses
import functools
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

NOTES = (  # what a reader of the phrases has to be told once
    "A trunk length is the segment's median distance from mid-hips to mid-shoulders. Lengths and angles are as seen in "
    "the picture, and the trunk's axis is its mean direction there.",
    "Ranges, displacements, speeds and accelerations are relative to the hips unless the words say otherwise.",
    "Movement is the mean speed, of head, elbows, hands, knees and feet or of those named, apart from whole-body and "
    "camera motion, which is the shift, turn and zoom common to all points.",
    "The largest burst is where movement is highest; its height counts from the segment's 10th percentile.",
)
# ---- the words, by what stands in a statistic's name

PARTS = {
    "head": ("head", "head"), "shoulders": ("shoulder", "shoulders"), "elbows": ("elbow", "elbows"),
    "hands": ("hand", "hands"), "knees": ("knee", "knees"), "feet": ("foot", "feet"),
}  # fmt: skip
OWNERS = {  # the side with the larger value of a statistic, and the one with the smaller
    "faster": ("faster", "slower"),
    "wider": ("more mobile", "less mobile"),
    "jerkier": ("more abrupt", "less abrupt"),
}
# What falls and rises, what its fall is called, and what its rise.
PAIRS = {
    "head_to_neck": "head and mid-shoulders", "head_to_hips": "head and mid-hips", "hand_to_hand": "the hands",
    "knee_to_knee": "the knees", "foot_to_foot": "the feet", "hand_to_head": "hand and head",
    "hand_to_shoulder": "hand and same-side shoulder", "hand_to_hips": "hand and mid-hips",
    "foot_to_hip": "foot and same-side hip", "knee_to_shoulder": "knee and same-side shoulder",
}  # fmt: skip
SIGNALS = {
    "neck_flexion": ("angle between head and trunk (0 in line)", "return of the head into line with the trunk",
                     "bending of the head out of line with the trunk"),
    "trunk_tilt": ("tilt of the trunk from its mean direction", "return of the trunk to its mean direction",
                   "tilting of the trunk from its mean direction"),
    "trunk_length": ("length of the trunk in the picture", "shortening of the trunk in the picture",
                     "lengthening of the trunk in the picture"),
    "shoulder": ("angle between trunk and upper arm", "closing of the angle between trunk and upper arm",
                 "opening of the angle between trunk and upper arm"),
    **{joint: (f"{joint} angle (180 straight)", f"bending of the {joint}", f"straightening of the {joint}")
       for joint in ("hip", "knee", "elbow")},
    **{name: (f"distance between {pair}", f"approach of {pair}", f"separation of {pair}")
       for name, pair in PAIRS.items()},
}  # fmt: skip
SIDED = ("shoulder", "hip", "knee", "elbow", *tuple(PAIRS)[5:])  # of left and right
UNITS = {
    "bl": "trunk lengths", "bl_s": "trunk lengths/s", "bl_s2": "trunk lengths/s^2", "bl_s3": "trunk lengths/s^3",
    "deg": "degrees", "deg_s": "degrees/s", "rad_s": "radians/s", "per_s": "per s", "s": "s", "hz": "Hz",
}  # fmt: skip
FIELDS: dict[str, dict[str, str]] = {
    "axis": {"along": "along the trunk's axis", "outward": "across the trunk's axis",
             "depth": "in MediaPipe's depth"},
    "direction": {"down": "down the trunk's axis", "up": "up the trunk's axis", "inward": "inwards, to the other side",
                  "outward": "outwards, to its own side", "sideways": "to either side"},
    "level": {"p50": "typically (median)", "p90": "at busy moments (90th percentile)",
              "p99": "near its peak (99th percentile)"},
    "limbs": {"head": "the head", "arms": "the arms", "legs": "the legs", "body": "head and limbs"},
    "when": {"before": "0.4 to 1.5 s before", "after": "0.4 to 1.5 s after"},
    "where": {"segment": "over the whole segment", "best_2s": "in the 2 s around the largest burst"},
    "points": {"points": "head, elbows, hands, knees and feet", "arms": "both elbows and hands",
               "legs": "both knees and feet", "parts": "head, arms and legs"},
    "rigid": {"rigid_translation": "the common shift of all points (camera or carrying)",
              "rigid_rotation": "the common turn of all points (camera or carrying)",
              "rigid_zoom": "the common zoom of all points (camera or distance)",
              "trunk_translation": "the trunk through the picture"},
    "seen": {"face": "face", "trunk": "trunk", "arms": "arms", "legs": "legs"},
}  # fmt: skip
# What a family is kept apart by, besides the kind of its measure.
OF_WHAT = ("part", "signal", "limbs", "rigid", "seen", "when")
# Kind of measure: its statistics as name and phrase. Fields stand for what the tables above hold, and for numbers.
BURST, AROUND = "the largest burst", "in the {seconds} s around the largest burst"
APART = "apart from whole-body and camera motion"
SHIFT = "from before to after the largest burst"
RULES: dict[str, dict[str, str]] = {
    "range": {
        "{part}_amplitude_{axis}_{unit}{side}": "range of {wider} {axis} (5th to 95th percentile)",
        "{part}_farthest_in_{seconds}s_{unit}{side}": "largest displacement of {wider} over {seconds} s",
        "{part}_range_{axis}_best_{seconds}s_{unit}{side}": f"range of {{wider}} {{axis}} {AROUND}",
    },
    "speed": {
        "{part}_speed_{level}_{unit}{side}": "speed of {faster} relative to the hips, {level}",
        "{part}_articulated_speed_{level}_{unit}{side}": f"speed of {{faster}} {APART}, {{level}}",
        "{part}_{direction}_speed_{level}_{unit}": "speed of {faster} {direction}, {level}",
        "{part}_articulated_speed_mean_best_{seconds}s_{unit}{side}": f"mean speed of {{faster}} {APART} {AROUND}",
        "{part}_speed_max_best_{seconds}s_{unit}{side}": f"highest speed of {{faster}} relative to the hips {AROUND}",
    },
    "abruptness": {
        "{part}_acceleration_{level}_{unit}{side}": "acceleration of {jerkier}, {level}",
        "{part}_jerk_{level}_{unit}{side}": "jerk (change of acceleration) of {jerkier}, {level}",
    },
    "directness": {
        "{part}_net_over_path_best_{seconds}s{side}":
            f"net shift over distance travelled of the {{parts}} {AROUND}{{larger}}",
    },
    "share of all movement": {
        "{limbs}_over_all_speed_best_{seconds}s": f"ratio of movement of {{limbs}} to that of head and limbs {AROUND}",
    },
    "size of the burst": {
        "event_peak_speed_{unit}": f"movement at the peak of {BURST}",
        "event_peak_over_median_speed": f"ratio of the peak of {BURST} to the median movement",
        "event_1s_mean_over_mean_speed": f"ratio of movement in the 1 s around {BURST} to that in the whole segment",
        "share_of_time_above_{percent}pct_of_peak": f"share of time above {{percent}} % of the height of {BURST}",
    },
    "rise of the burst": {
        "event_rise_from_{percent}pct_of_peak_{unit}": f"rise time of {BURST}, from {{percent}} % of its height",
    },
    "length of the burst": {
        "event_fall_to_{percent}pct_of_peak_{unit}": f"fall time of {BURST}, to {{percent}} % of its height",
        "event_width_at_{percent}pct_of_peak_{unit}": f"duration of {BURST} above {{percent}} % of its height",
    },
    "asymmetry of the burst": {
        "event_fall_minus_rise_over_width_at_{percent}pct":
            f"asymmetry of {BURST} at {{percent}} % of its height (1 all fall, -1 all rise)",
    },
    "change of pose": {
        "event_pose_change_{unit}": f"largest change of the whole pose in {BURST} (mean over the body's points)",
    },
    "change of pose kept": {
        "event_pose_change_kept_after_{seconds}s": f"share of the change of pose kept {{seconds}} s after {BURST}",
    },
    "shift": {
        "{part}_event_change_along_{unit}{side}": f"shift of the {{parts}} up the trunk's axis {SHIFT}{{larger}}",
        "{limbs}_event_change_outward_{unit}": f"shift of {{limbs}} to either side {SHIFT}",
        "{part}_event_change_outward_{unit}{side}": f"shift of the {{parts}} outwards {SHIFT}{{larger}}",
    },
    "stillness": {
        "speed_{when}_event_p20_{unit}": f"movement {{when}} {BURST}, when calm (20th percentile)",
        "speed_{when}_event_p80_{unit}": f"movement {{when}} {BURST}, when lively (80th percentile)",
        "speed_{when}_event_over_peak": f"ratio of mean movement {{when}} {BURST} to its peak",
        "speed_after_over_before_event": f"ratio of movement after {BURST} to that before it (0.4 to 1.5 s off each)",
        "share_of_time_below_0_1_bl_s": "share of time nearly still (movement below 0.1 trunk lengths/s)",
    },
    "joint onset": {
        "spread_of_times_at_{percent}pct_of_path_{unit}":
            f"standard deviation of the times at which head and limbs went {{percent}} % of their way around {BURST}",
        "range_of_times_at_{percent}pct_of_path_{unit}":
            f"time from the first to the last of head and limbs to have gone {{percent}} % of their way around {BURST}",
    },
    "order of onset": {
        "{limbs}_after_arms_at_{percent}pct_of_path_{unit}":
            f"delay of {{limbs}} behind the arms at {{percent}} % of their way around {BURST} (negative is ahead)",
    },
    "common movement": {
        "moving_points_effective_count": f"effective number of moving points around {BURST} (of 9 on head and limbs)",
        "speed_correlation_of_{points}": f"mean correlation of the movements of {{points}} around {BURST}",
    },
    "symmetry": {
        "{part}_difference_over_sum_{where}": "imbalance of left and right movement of the {parts} {where} (0 equal)",
        "{part}_mirrored_correlation_{where}": "mirrored velocities of both {parts} {where} (1 full, -1 opposite)",
        "{part}_parallel_correlation_{where}": "parallel velocities of both {parts} {where} (1 full, -1 opposite)",
    },
    "posture": {
        "{signal}_p5_{unit}": "{signal} at its smallest (5th percentile){smaller}",
        "{signal}_median_{unit}": "{signal}, typically (median){larger}",
        "{signal}_p95_{unit}": "{signal} at its largest (95th percentile){larger}",
    },
    "change of posture": {
        "{signal}_range_{unit}": "range of the {signal}, 5th to 95th percentile{larger}",
        "{signal}_fall_fastest_{unit}": "fastest {falling} (99th percentile){larger}",
        "{signal}_rise_fastest_{unit}": "fastest {rising} (99th percentile){larger}",
        "{signal}_event_change_{unit}": f"change of the {{signal}} {SHIFT}{{larger}}",
    },
    "frequencies": {
        "{limbs}_speed_power_{low}_to_{high}_hz_share":
            "share of the ups and downs in movement of {limbs} at {low} to {high} Hz (of the power at 0.3 to 8 Hz)",
        "{limbs}_speed_mean_frequency_{unit}": "mean frequency of the ups and downs in movement of {limbs}",
    },
    "repetition": {
        "{limbs}_speed_autocorrelation_peak":
            "how alike the movement of {limbs} repeats itself (highest autocorrelation)",
        "{limbs}_speed_period_{unit}": "time after which the movement of {limbs} repeats itself",
        "peaks_above_{percent}pct_of_highest_{unit}":
            "peaks of movement above {percent} % of the way from its median to its highest",
    },
    "common motion": {
        "{rigid}_{level}_{unit}": "speed of {rigid}, {level}",
        "{rigid}_mean_best_{seconds}s_{unit}": f"mean speed of {{rigid}} {AROUND}",
        "trunk_{direction}_speed_{level}_{unit}": "speed of the trunk {direction} in the picture, {level}",
    },
    "share of all motion": {
        "articulated_over_all_motion": "ratio of movement to all motion of head and limbs, with the camera's",
    },
    "gaps": {
        "frames_missing_share": "share of frames without a pose",
        "gaps_{unit}": "gaps in the pose",
        "longest_gap_{unit}": "longest gap in the pose",
    },
    "visibility": {
        "{seen}_visibility_mean": "mean visibility of the {seen} (MediaPipe's score)",
        "{seen}_presence_mean": "mean presence of the {seen} (MediaPipe's score)",
        "landmarks_outside_picture_share": "share of the found landmarks that lie outside the picture",
    },
}  # fmt: skip


def _compiled(name: str) -> re.Pattern[str]:
    """The rule's name as a pattern; tables give the alternatives, numbers are written 0_5 for 0.5."""
    sides = ("_most", "_least", "")
    choices: dict[str, Iterable[str]] = {**FIELDS, "part": PARTS, "signal": SIGNALS, "unit": UNITS, "side": sides}
    number = r"\d+(?:_\d+)?"

    def alternatives(at: re.Match[str]) -> str:
        return f"(?P<{at[1]}>{'|'.join(choices.get(at[1], [number]))})"

    return re.compile(re.sub(r"{(\w+)}", alternatives, name))


_RULES = [(kind, _compiled(name), phrase) for kind, rules in RULES.items() for name, phrase in rules.items()]


@functools.cache
def _found(name: str) -> tuple[str, str, dict[str, str]]:
    """The kind of a statistic's measure, its phrase to be filled, and what the fields of its name hold."""
    for kind, pattern, phrase in _RULES:
        if match := pattern.fullmatch(name):
            return kind, phrase, match.groupdict()
    raise ValueError(f"no words for a statistic called {name!r}")


def words(name: str) -> tuple[str, str]:
    """What a statistic of `kinematics.NAMES` measures, and its unit, empty for shares, ratios and correlations.

    Raises ValueError for any other name.
    """
    _, phrase, held = _found(name)
    filled = {field: FIELDS[field][key] if field in FIELDS else key.replace("_", ".") for field, key in held.items()}
    sided = held.get("part", "head") != "head" or held.get("signal") in SIDED
    filled["smaller"], filled["larger"] = (f", the {which} of two sides" * sided for which in ("smaller", "larger"))
    if "part" in held:
        one, filled["parts"] = PARTS[held["part"]]
        for owner, sides in OWNERS.items():
            filled[owner] = f"the {sides[held.get('side') == '_least']} {one}" if sided else f"the {one}"
    if "signal" in held:
        filled["signal"], filled["falling"], filled["rising"] = SIGNALS[held["signal"]]
    return phrase.format_map(filled), UNITS.get(held.get("unit", ""), "")


def family(name: str) -> tuple[str, str]:
    """What a statistic is told together with: the kind of its measure, and of what ("" where that is the whole)."""
    kind, _, held = _found(name)
    return kind, next((held[field] for field in OF_WHAT if field in held), "")


# ---- the reasons of one segment


@dataclasses.dataclass(frozen=True)
class Reason:
    """A family of statistics, told by one of them."""

    name: str
    text: str
    value: float
    """In `unit`; NaN: could not be measured."""
    unit: str
    share_below: float | None
    """Share of the segments compared with whose known value is lower; None where there is no value on either side."""
    push: float
    """What the family adds to the log-odds of a spasm."""
    others: int = 0
    """Further statistics of the family that have a part in `push`."""


def top_reasons(
    contributions: np.ndarray,
    values: np.ndarray,
    names: Sequence[str],
    compared_with: np.ndarray | None,
    count: int = 6,
) -> list[Reason]:
    """The families of statistics that weigh most in one segment, the heaviest first; fewer where fewer weigh at all.

    contributions (F,) to the log-odds and values (F,) of the statistics `names`; compared_with: (M, F) other segments'
    values, NaN where unknown. Trees share out what near duplicates have in common by chance, so what a family adds is
    summed: over percentiles, windows, sides and directions of one measure of one part. All families together add what
    all statistics add. A family is told by the statistic that weighs most among those that pull where the family
    pulls. Raises ValueError if the lengths differ.
    """
    if not len(contributions) == len(values) == len(names):
        raise ValueError(f"{len(contributions)} contributions and {len(values)} values of {len(names)} statistics")
    families = defaultdict(list)
    for at, name in enumerate(names):
        if contributions[at] != 0:
            families[family(name)].append(at)
    reasons = []
    for members in families.values():
        push = float(contributions[members].sum())
        told = max(members, key=lambda at: contributions[at] * np.sign(push))
        text, unit = words(names[told])
        below = None if compared_with is None else _share_below(values[told], compared_with[:, told])
        reasons.append(Reason(names[told], text, float(values[told]), unit, below, push, len(members) - 1))
    return sorted((reason for reason in reasons if reason.push), key=lambda reason: -abs(reason.push))[:count]


def _share_below(value: float, others: np.ndarray) -> float | None:
    known = others[np.isfinite(others)]
    return float((known < value).mean()) if len(known) and np.isfinite(value) else None


def told(reason: Reason) -> str:
    """What was measured, and how it compares, in ASCII."""
    compared = ""
    if reason.share_below is not None:
        percent = min(max(round(100 * reason.share_below), 1), 99)
        than = {0.0: "none of the", 1.0: "all other"}.get(reason.share_below, f"{percent} % of")
        compared = f", higher than {than} segments"
    return f"{_measured(reason)}{compared}"


def sentence(reason: Reason) -> str:
    """A reason for a reader, in ASCII."""
    verdict = "weighs little"
    if abs(reason.push) >= 0.005:
        like = f" with {reason.others} like it" if reason.others else ""
        verdict = f"speaks {'for' if reason.push > 0 else 'against'} a spasm ({reason.push:+.2f}{like})"
    return f"{told(reason)}; {verdict}"


def _measured(reason: Reason) -> str:
    if np.isnan(reason.value):
        return f"{reason.text}: could not be measured"
    # Three digits that count, none beyond the fourth decimal, and no exponent.
    number = np.format_float_positional(round(reason.value, 4) + 0.0, precision=3, fractional=False, trim="-")
    return f"{reason.text}: {number} {reason.unit}".rstrip()
