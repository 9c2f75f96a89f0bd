"""Simulated infants: an articulated body that moves, a camera that sees it, and a sensor that errs.

A child is drawn from its own random generator, so its segments depend on the seed and the child's number alone. What
the camera and the sensor add never looks at the label. Numbers marked "judgement" are ours and rest on no measurement.
Lengths of the body are in body lengths (crown to heel); its axes are x to the child's left, y headward, z ventral.
"""

import csv
import dataclasses
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from spasm.errors import DataError
from spasm.landmarks import INDEX

Row = dict[str, Any]
Progress = Callable[[Iterable[int]], Iterable[int]]

FPS = 30
POSITIVE_FRAMES = FPS // 2  # a segment is positive when at least 0.5 s of a spasm lies inside it
MARKER = "simulated.json"
TABLES = ("groups.csv", "train_data.csv", "truth.csv")
TRUTH_COLUMNS = ("segment_name", "label", "event_start_frame", "event_end_frame", "event_type", "cohort", "split")

# Infants' proportions (judgement): head a quarter of the length, short legs.
BONES = {
    "trunk": 0.30, "shoulder_width": 0.22, "hip_width": 0.12, "head": 1.0, "upper_arm": 0.15, "forearm": 0.13,
    "hand": 0.07, "thigh": 0.18, "shank": 0.17, "foot": 0.09,
}  # fmt: skip
# The face in the head's own axes, from the base of the neck; the left side, mirrored for the right.
FACE = {
    "nose": (0, 0.105, 0.11), "eye_inner": (0.014, 0.132, 0.09), "eye": (0.027, 0.134, 0.087),
    "eye_outer": (0.039, 0.132, 0.079), "ear": (0.065, 0.118, 0.015), "mouth": (0.022, 0.072, 0.092),
}  # fmt: skip

# Joint angles in degrees (judgement): rest, spread between children, slow movement, and the range of the joint.
TRUNK_ANGLES = {
    "trunk_flexion": (5, 5, 4, -35, 60), "trunk_side": (0, 4, 4, -25, 25), "neck_flexion": (5, 8, 6, -45, 60),
    "neck_turn": (0, 25, 12, -85, 85), "neck_tilt": (0, 6, 5, -35, 35),
}  # fmt: skip
LIMB_ANGLES = {
    "shoulder_out": (65, 20, 12, 0, 160), "shoulder_forward": (20, 15, 12, -30, 85), "arm_roll": (45, 20, 10, -60, 120),
    "elbow": (75, 20, 15, 2, 145), "hip_out": (35, 10, 7, 0, 75), "hip_forward": (50, 15, 10, -15, 130),
    "knee": (65, 20, 14, 0, 145),
}  # fmt: skip
SIDES = {"left": 1, "right": -1}
ANGLES = TRUNK_ANGLES | {f"{side}_{name}": row for side in SIDES for name, row in LIMB_ANGLES.items()}
REST, SPREAD, SLOW, LOW, HIGH = np.array(list(ANGLES.values()), dtype=float).T

# How far a spasm of full strength takes each joint, in degrees (judgement), and how often each type comes:
# flexor 34 %, extensor 23 %, mixed 42 % of 5042 spasms (Kellaway et al. 1979, Annals of Neurology 6:214-218).
SPASMS: dict[str, dict[str, float]] = {
    "flexor": {
        "neck_flexion": 30, "trunk_flexion": 24, "shoulder_out": -20, "shoulder_forward": 40, "elbow": 20,
        "hip_forward": 35, "knee": 15,
    },
    "extensor": {
        "neck_flexion": -25, "trunk_flexion": -16, "shoulder_out": 30, "shoulder_forward": -12, "elbow": -45,
        "hip_forward": -30, "knee": -40,
    },
    "mixed": {
        "neck_flexion": 28, "trunk_flexion": 20, "shoulder_out": 25, "shoulder_forward": 20, "elbow": -35,
        "hip_forward": -22, "knee": -45,
    },
}  # fmt: skip
SPASM_SHARES = (0.34, 0.23, 0.43)
# A startle: the arms fly out (judgement).
STARTLE: dict[str, float] = {
    "shoulder_out": 40, "shoulder_forward": 10, "elbow": -45, "neck_flexion": -8, "hip_forward": 10,
}  # fmt: skip

# The sensor per group of landmarks, from the child windows of InfantLab/babyjokes (MediaPipe, home videos): the median
# absolute second difference of x and y in picture units, then mean and spread over segments of the log-odds of
# visibility and of presence (means 0.99 face ... 0.14 feet).
SENSOR = {
    "face": (range(0, 11), 0.0008, (5.0, 0.8), (4.0, 1.0)),
    "shoulders": (range(11, 13), 0.0010, (4.6, 1.2), (3.3, 1.6)),
    "elbows": (range(13, 15), 0.0020, (0.9, 1.8), (1.3, 2.6)),
    "hands": (range(15, 23), 0.0023, (0.8, 1.6), (1.2, 2.3)),
    "hips": (range(23, 25), 0.0014, (0.8, 3.2), (0.0, 4.0)),
    "knees": (range(25, 27), 0.0030, (-1.3, 2.2), (-2.2, 4.0)),
    "feet": (range(27, 33), 0.0040, (-2.8, 1.9), (-3.6, 4.0)),
}
# White noise of deviation s has a median absolute second difference of 0.674 * sqrt(6) s = 1.65 s.
JITTER = 1.65
Z_JITTER = 5  # the second difference of z is 1 to 13 times that of x and y, by group (the same recordings)
WHOLLY_MISSING = 0.043  # of the segments (the same recordings)
GAP_SHARE = (3.2, 1.8)  # beta over children: 64 % of the other segments have a gap (the same recordings)
GAP_FRAMES = (3, 143)  # lengths of gaps, median 26 (the same recordings)
CONTROLS_OF_FIVE = 2  # of every five children, so that both cohorts are there from four children on


@dataclasses.dataclass(frozen=True)
class Child:
    """One child's own style; `cohort` is the only part that the label depends on, through `spasm_share`."""

    cohort: str  # "patient" or "control"
    bones: dict[str, float]  # body lengths
    rest: np.ndarray  # (19,) degrees, in the order of ANGLES
    activity: float  # tempo and size of slow movement, 1 is usual
    kicks: float  # bouts of kicks and waves in five seconds
    vigour: float  # size of these bouts, 1 is usual
    startles: float  # in five seconds
    roll: float  # radians about the viewing axis
    zoom: float  # body length in picture heights
    aspect: float  # picture width / height
    hand_held: bool  # the camera drifts
    gap_share: float  # of segments with a gap
    spasm_share: float  # of segments with a spasm; 0 for controls
    spasm_strength: float  # 1 is usual


@dataclasses.dataclass(frozen=True)
class Spasm:
    """One spasm; times in seconds from the segment's first frame, so that `onset_s` may be negative."""

    kind: str
    onset_s: float
    rise_s: float
    hold_s: float
    release_s: float
    strength: float

    def frames(self, frames: int) -> tuple[int, int]:
        """First frame and end (exclusive) inside a segment of `frames`; equal when nothing lies inside."""
        end_s = self.onset_s + self.rise_s + self.hold_s + self.release_s
        start, end = (min(max(round(at_s * FPS), 0), frames) for at_s in (self.onset_s, end_s))
        return start, end


@dataclasses.dataclass(frozen=True)
class Segment:
    """One simulated segment and its truth; `start` equals `end`, and `kind` is empty, where no spasm lies inside."""

    pose: np.ndarray  # (T, 33, 5) float64: x, y, z, visibility, presence; NaN in all of a missing frame
    start: int
    end: int
    kind: str

    @property
    def label(self) -> int:
        return int(self.end - self.start >= POSITIVE_FRAMES)


def simulate_child(seed: int, child: int, segments: int, frames: int) -> Iterator[Segment]:
    """The segments of child number `child`, counted from 1, in an order that tells nothing: each is drawn alike."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, child])))
    style = draw_child(rng, cohort(seed, child))
    for _ in range(segments):
        spasm = draw_spasm(rng, style, frames) if rng.random() < style.spasm_share else None
        body = pose_body(draw_movement(rng, style, spasm, frames), style.bones)
        pose = sense(rng, style, photograph(rng, style, body))
        start, end = spasm.frames(frames) if spasm else (0, 0)
        yield Segment(pose, start, end, spasm.kind if spasm and end > start else "")


def cohort(seed: int, child: int) -> str:
    """Patient or control: dealt anew to every five children, so the number of a child tells nothing."""
    block, place = divmod(child - 1, 5)
    deal = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, block, 1]))).permutation(5)
    return "control" if deal[place] < CONTROLS_OF_FIVE else "patient"


def held_out_children(seed: int, children: int) -> set[int]:
    """About a quarter of the children; from both cohorts as soon as that is two."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, children, 2])))
    order = rng.permutation(np.arange(1, children + 1)).tolist()
    controls = [child for child in order if cohort(seed, child) == "control"]
    patients = [child for child in order if cohort(seed, child) == "patient"]
    wanted = max(1, round(children / 4))
    from_controls = min(round(wanted * len(controls) / children), len(controls) - 1)
    return {*controls[:from_controls], *patients[: wanted - from_controls]}


def draw_child(rng: np.random.Generator, cohort: str) -> Child:
    """A child's style (all judgement unless SENSOR's comment says otherwise)."""
    return Child(
        cohort=cohort,
        bones={name: length * rng.normal(1, 0.06) for name, length in BONES.items()},
        rest=REST + SPREAD * rng.normal(0, 0.8, REST.size),
        activity=rng.lognormal(0, 0.4),
        kicks=rng.gamma(1.5, 0.5),
        vigour=rng.lognormal(0, 0.3),
        startles=rng.gamma(1, 0.15),
        roll=rng.uniform(0, 2 * np.pi),
        zoom=rng.uniform(0.85, 1.45),
        aspect=rng.choice([9 / 16, 3 / 4, 4 / 3, 16 / 9]),
        hand_held=rng.random() < 0.4,
        gap_share=rng.beta(*GAP_SHARE),
        spasm_strength=rng.lognormal(0.2, 0.25),
        spasm_share=rng.uniform(0.25, 0.7) * (cohort == "patient"),
    )


def draw_spasm(rng: np.random.Generator, child: Child, frames: int) -> Spasm:
    """A spasm that touches the segment, three in ten cut by its border (rise 0.1-0.4 s, release 0.5-1.5 s)."""
    kind = str(rng.choice(list(SPASMS), p=SPASM_SHARES))
    rise_s, hold_s, release_s = rng.uniform(0.1, 0.4), rng.uniform(0.1, 0.8), rng.uniform(0.5, 1.5)
    length_s, segment_s = rise_s + hold_s + release_s, frames / FPS
    if rng.random() < 0.3:
        onset_s = rng.choice([rng.uniform(-length_s, 0), rng.uniform(segment_s - length_s, segment_s)])
    else:
        onset_s = rng.uniform(0, max(segment_s - length_s, 0))
    strength = child.spasm_strength * rng.lognormal(0, 0.45)
    return Spasm(kind, onset_s, rise_s, hold_s, release_s, min(strength, 1.8))


def draw_movement(rng: np.random.Generator, child: Child, spasm: Spasm | None, frames: int) -> np.ndarray:
    """Joint angles (T, 19) in radians: slow movement, bouts of kicks and waves, startles, head turns, and the spasm."""
    t = np.arange(frames) / FPS
    fives = frames / FPS / 5
    activity = child.activity * rng.lognormal(0, 0.35)

    # Stillness slows the clock of the slow movement, so a limb stays where it is instead of returning to rest.
    tempo = np.ones(frames)
    if rng.random() < 0.35:
        tempo -= 0.9 * pulse(t, rng.uniform(-1, t[-1]), 0.3, rng.uniform(0.5, 3), 0.6)
    quiet_from_s = quiet_until_s = np.inf
    if spasm:
        still_s = rng.uniform(0.5, 3)
        active_s = spasm.rise_s + spasm.hold_s + spasm.release_s
        tempo *= 1 - 0.8 * pulse(t, spasm.onset_s, 0.2, active_s + still_s, 1.0)
        quiet_from_s, quiet_until_s = spasm.onset_s - 0.2, spasm.onset_s + active_s + still_s
    clock = np.cumsum(tempo) / FPS * activity
    posture = child.rest + 0.4 * SPREAD * rng.normal(size=REST.size)
    angles = posture + SLOW * np.sqrt(activity) * wander(rng, clock, REST.size, 0.08, 0.9)

    for _ in range(rng.poisson(child.kicks * np.sqrt(activity) * fives)):
        angles += bout(rng, child, t, quiet_from_s, quiet_until_s)
    for _ in range(rng.poisson(child.startles * fives)):
        onset_s, vigour = rng.uniform(-0.5, t[-1]), child.vigour * rng.lognormal(0, 0.3)
        shape = pulse(t, onset_s, rng.uniform(0.12, 0.25), rng.uniform(0.05, 0.2), rng.uniform(0.3, 0.7))
        angles += shape[:, None] * synchronous(rng, STARTLE) * vigour
    for _ in range(rng.poisson(0.6 * fives)):
        shape = pulse(t, rng.uniform(-2, t[-1]), rng.uniform(0.3, 0.8), rng.uniform(0.4, 3), rng.uniform(0.4, 1))
        angles += shape[:, None] * only({"neck_turn": rng.normal(0, 40), "neck_flexion": rng.normal(0, 10)})
    if spasm:
        reach = synchronous(rng, SPASMS[spasm.kind]) * spasm.strength
        late_s = rng.uniform(0, 0.04, REST.size)  # joints start within a frame or so of each other (judgement)
        shape = pulse(t[:, None], spasm.onset_s + late_s, spasm.rise_s, spasm.hold_s, spasm.release_s - late_s)
        angles += shape * reach
    return np.deg2rad(np.clip(angles, LOW, HIGH))


def bout(
    rng: np.random.Generator, child: Child, t: np.ndarray, quiet_from_s: float, quiet_until_s: float
) -> np.ndarray:
    """Kicks, arm waves or both, once or repeated: degrees (T, 19) to add; nothing starts in the quiet time.

    Often several limbs move at once: these are what a spasm is easily mistaken for.
    """
    legs, arms = [(True, False), (False, True), (True, True)][rng.choice(3, p=[0.45, 0.25, 0.30])]
    sides = list(SIDES) if rng.random() < 0.55 else [str(rng.choice(list(SIDES)))]
    pull = rng.choice([-1, 1])
    kick = {"hip_forward": pull * rng.uniform(15, 40), "knee": pull * rng.uniform(15, 50), "hip_out": rng.normal(0, 6)}
    wave = {
        "shoulder_out": rng.normal(0, 28), "shoulder_forward": rng.normal(0, 22), "elbow": rng.normal(0, 32),
        "arm_roll": rng.normal(0, 15),
    }  # fmt: skip
    moved = (kick if legs else {}) | (wave if arms else {})
    # The trunk and the head give way to the limbs.
    reach = {"trunk_flexion": rng.normal(0, 7), "trunk_side": rng.normal(0, 4), "neck_flexion": rng.normal(0, 8)}
    reach |= {f"{side}_{name}": by * rng.uniform(0.7, 1.2) for side in sides for name, by in moved.items()}
    vigour = child.vigour * rng.lognormal(0, 0.35)
    onset_s, period_s = rng.uniform(-0.5, t[-1]), rng.uniform(0.45, 0.9)
    rise_s, hold_s, release_s = rng.uniform(0.1, 0.35), rng.uniform(0, 0.3), rng.uniform(0.25, 0.8)
    shape = np.zeros(t.size)
    for repeat in range(rng.geometric(0.5)):
        start_s = onset_s + repeat * period_s
        size = rng.uniform(0.6, 1.1)
        if not quiet_from_s < start_s < quiet_until_s:
            shape += size * pulse(t, start_s, rise_s, hold_s, release_s)
    return shape[:, None] * only(reach) * vigour


def only(reach: dict[str, float]) -> np.ndarray:
    """Degrees per joint (19,) from a table that names some of them."""
    return np.array([reach.get(name, 0.0) for name in ANGLES])


def synchronous(rng: np.random.Generator, reach: dict[str, float]) -> np.ndarray:
    """The same on both sides, each joint a little more or less: degrees (19,)."""
    both = reach | {f"{side}_{name}": by for side in SIDES for name, by in reach.items()}
    return only(both) * rng.uniform(0.6, 1.3, REST.size)


def pulse(
    t: np.ndarray, onset_s: float | np.ndarray, rise_s: float, hold_s: float, release_s: float | np.ndarray
) -> np.ndarray:
    """A movement out and back, 0 to 1 to 0, with smooth borders (3 x^2 - 2 x^3)."""
    out = np.clip((t - onset_s) / rise_s, 0, 1)
    back = np.clip((t - onset_s - rise_s - hold_s) / release_s, 0, 1)
    return out * out * (3 - 2 * out) - back * back * (3 - 2 * back)


def wander(rng: np.random.Generator, t: np.ndarray, columns: int, low_hz: float, high_hz: float) -> np.ndarray:
    """Smooth noise (T, columns) of deviation about 1: five sines of random frequency and phase per column."""
    frequency, phase = rng.uniform(low_hz, high_hz, (5, columns)), rng.uniform(0, 2 * np.pi, (5, columns))
    total = np.zeros((t.size, columns))
    for f, p in zip(frequency, phase, strict=True):
        total += np.sin(2 * np.pi * t[:, None] * f + p)
    return total * np.sqrt(2 / 5)


def pose_body(angles: np.ndarray, bones: dict[str, float]) -> np.ndarray:
    """Landmarks (T, 33, 3) in body lengths, middle of the hips at 0, from joint angles (T, 19) in radians."""
    angle = dict(zip(ANGLES, angles.T, strict=True))
    body = np.empty((len(angles), len(INDEX), 3))
    chest = turn(angle["trunk_side"], 2) @ turn(angle["trunk_flexion"], 0)
    head = chest @ turn(angle["neck_flexion"], 0) @ turn(angle["neck_turn"], 1) @ turn(angle["neck_tilt"], 2)
    neck = chest @ (0, bones["trunk"] + 0.02, 0)
    for side, sign in SIDES.items():
        for part, (x, y, z) in FACE.items():
            name = {"nose": "nose", "mouth": f"mouth_{side}"}.get(part, f"{side}_{part}")
            body[:, INDEX[name]] = neck + bones["head"] * (head @ (sign * x, y, z))
        out, forward, roll, elbow, hip_out, hip_forward, knee = (angle[f"{side}_{joint}"] for joint in LIMB_ANGLES)
        shoulder = chest @ (sign * bones["shoulder_width"] / 2, bones["trunk"], 0)
        for name, point in pose_arm(out, forward, roll, elbow, sign, bones).items():
            body[:, INDEX[f"{side}_{name}"]] = shoulder + (chest @ point[:, :, None])[:, :, 0]
        for name, point in pose_leg(hip_out, hip_forward, knee, sign, bones).items():
            body[:, INDEX[f"{side}_{name}"]] = point + np.array([sign * bones["hip_width"] / 2, 0, 0])
    return body


def pose_arm(
    out: np.ndarray, forward: np.ndarray, roll: np.ndarray, elbow: np.ndarray, sign: int, bones: dict[str, float]
) -> dict[str, np.ndarray]:
    """The arm in the chest's axes, from the shoulder, (T, 3) each; the angles are (T,) in radians.

    `out` turns the hanging arm sideways, `forward` lifts it from there; the elbow bends towards `forward` (roll 0)
    or towards `out` (roll 90 degrees).
    """
    none = np.zeros_like(out)
    upper = _vectors(sign * np.cos(forward) * np.sin(out), -np.cos(forward) * np.cos(out), np.sin(forward))
    lifted = _vectors(-sign * np.sin(forward) * np.sin(out), np.sin(forward) * np.cos(out), np.cos(forward))
    spread = _vectors(sign * np.cos(out), np.sin(out), none)
    bend = np.cos(roll)[:, None] * lifted + np.sin(roll)[:, None] * spread
    fore = np.cos(elbow)[:, None] * upper + np.sin(elbow)[:, None] * bend
    across = np.cross(fore, np.cos(elbow)[:, None] * bend - np.sin(elbow)[:, None] * upper)
    elbow_at = bones["upper_arm"] * upper
    wrist = elbow_at + bones["forearm"] * fore
    hand = {"pinky": (0.85, -0.3), "index": (1.0, 0.2), "thumb": (0.5, 0.45)}
    points = {name: wrist + bones["hand"] * (a * fore + b * sign * across) for name, (a, b) in hand.items()}
    return {"shoulder": np.zeros_like(wrist), "elbow": elbow_at, "wrist": wrist} | points


def pose_leg(
    out: np.ndarray, forward: np.ndarray, knee: np.ndarray, sign: int, bones: dict[str, float]
) -> dict[str, np.ndarray]:
    """The leg in the pelvis' axes, from the hip, (T, 3) each; the angles are (T,) in radians."""
    none = np.zeros_like(out)
    thigh = _vectors(sign * np.sin(out), -np.cos(out) * np.cos(forward), np.cos(out) * np.sin(forward))
    front = _vectors(none, np.sin(forward), np.cos(forward))
    shank = np.cos(knee)[:, None] * thigh - np.sin(knee)[:, None] * front
    toes = np.sin(knee)[:, None] * thigh + np.cos(knee)[:, None] * front
    knee_at = bones["thigh"] * thigh
    ankle = knee_at + bones["shank"] * shank
    return {
        "hip": np.zeros_like(ankle),
        "knee": knee_at,
        "ankle": ankle,
        "heel": ankle + bones["foot"] * (0.35 * shank - 0.25 * toes),
        "foot_index": ankle + bones["foot"] * (0.60 * shank + 0.75 * toes),
    }


def turn(angle: np.ndarray, axis: int) -> np.ndarray:
    """Rotation matrices (T, 3, 3) about axis 0, 1 or 2, right-handed, from angles (T,) in radians."""
    a, b = [(1, 2), (2, 0), (0, 1)][axis]
    matrix = np.zeros((len(angle), 3, 3))
    matrix[:, axis, axis] = 1
    matrix[:, a, a] = matrix[:, b, b] = np.cos(angle)
    matrix[:, b, a] = np.sin(angle)
    matrix[:, a, b] = -matrix[:, b, a]
    return matrix


def _vectors(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    return np.stack([x, y, z], axis=-1)


def photograph(rng: np.random.Generator, child: Child, body: np.ndarray) -> np.ndarray:
    """Picture coordinates (T, 33, 3) of a body (T, 33, 3), as MediaPipe gives them, without noise.

    x and y are divided by the picture's width and height, y points down, z points away from the camera, is 0 at the
    middle of the hips and scaled like x (MediaPipe Pose Landmarker guide). The camera looks at the child's front.
    """
    t = np.arange(len(body)) / FPS
    drift = wander(rng, t, 3, 0.05, 0.4) * (0.008, 0.008, 0.02) * (1.0 if child.hand_held else 0.1)
    roll = child.roll + rng.normal(0, 0.25) + drift[:, 2]
    tilt, side = np.full((2, len(t)), rng.normal(0, 0.2, (2, 1)))
    seen = body @ (turn(roll, 2) @ turn(tilt, 0) @ turn(side, 1)).transpose(0, 2, 1)
    zoom = child.zoom * rng.lognormal(0, 0.1) * min(child.aspect, 1.0) ** 0.5  # upright pictures are taken from farther
    distance = 3.0  # body lengths (judgement): near enough for some perspective
    middle = np.array([0.5 * child.aspect, 0.5]) + rng.normal(0, 0.1, 2) + drift[:, None, :2]
    scale = zoom * distance / (distance - seen[..., 2:])
    # The picture's middle is near the middle of the trunk's upper half, as parents frame the face.
    chest = seen[:, [INDEX["left_shoulder"], INDEX["right_shoulder"]], :2].mean((0, 1)) * 0.6 * zoom
    picture = np.empty_like(body)
    picture[..., :2] = middle + (seen[..., :2] * scale - chest) * (1, -1)
    picture[..., 0] /= child.aspect
    picture[..., 2] = -seen[..., 2] * zoom / child.aspect
    return picture


def sense(rng: np.random.Generator, child: Child, picture: np.ndarray) -> np.ndarray:
    """What the sensor delivers, (T, 33, 5) float64: the picture with jitter, visibility, presence, and NaN frames."""
    frames = len(picture)
    t = np.arange(frames) / FPS
    pose = np.empty((frames, len(INDEX), 5))
    shaky = rng.lognormal(0, 0.4)
    for group, step, visibility, presence in SENSOR.values():
        n, deviation = len(group), shaky * step / JITTER * np.array([1, 1, Z_JITTER])
        # Besides jitter from frame to frame, the estimate wanders slowly (judgement: five times as far).
        noise = rng.normal(size=(frames, n, 3)) + 5 * wander(rng, t, 3 * n, 0.1, 1.0).reshape(frames, n, 3)
        pose[:, group, :3] = picture[:, group] + noise * deviation
        seen = rng.normal() * 0.8 + rng.normal(0, 0.5, n) + 0.3 * wander(rng, t, n, 0.1, 2.0)
        pose[:, group, 3] = visibility[0] + visibility[1] * seen
        pose[:, group, 4] = presence[0] + presence[1] * (0.8 * seen + 0.5 * rng.normal())
    pose[..., 3:] = 1 / (1 + np.exp(-pose[..., 3:]))
    pose[draw_missing(rng, child, frames)] = np.nan
    return pose.astype(np.float32).astype(np.float64)  # MediaPipe computes in single precision


def draw_missing(rng: np.random.Generator, child: Child, frames: int) -> np.ndarray:
    """Which frames have no pose (T,) bool: all of them, none, or some gaps."""
    missing = np.zeros(frames, dtype=bool)
    if rng.random() < WHOLLY_MISSING:
        missing[:] = True
    elif rng.random() < child.gap_share:
        # 1.6 gaps in such a segment of five seconds (the same recordings); 1.9 drawn, because some overlap.
        for _ in range(1 + rng.poisson(max(0.0, 1.9 * frames / 150 - 1))):
            length = int(np.clip(round(rng.lognormal(np.log(26), 0.85)), GAP_FRAMES[0], min(GAP_FRAMES[1], frames - 1)))
            start = rng.integers(0, frames - length + 1)
            missing[start : start + length] = True
    return missing


def write_dataset(
    out: Path,
    children: int,
    segments_per_child: int,
    seed: int,
    frames: int,
    progress: Progress = iter,
) -> list[Row]:
    """Simulate a data set into the folder `out`, and return the rows of its truth.csv.

    An earlier set of the simulator at the same place is replaced as a whole, at the end. Raises DataError, and changes
    nothing, when `out` is or holds something else.
    """
    out = Path(os.path.abspath(out))
    check_replaceable(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    building = out.parent / f".tmp-{out.name}-{secrets.token_hex(4)}"
    building.mkdir()
    try:
        rows = _write_files(building, children, segments_per_child, seed, frames, progress)
        check_replaceable(out)  # again: somebody may have put a file there in the meantime
        _swap(building, out)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    return rows


def check_replaceable(out: Path) -> None:
    """Raise DataError unless `out` is absent, an empty folder, or a set of the simulator and nothing besides."""
    hint = "choose another --out, or move it away yourself"
    if out.is_symlink():
        raise DataError(out, "is a symbolic link", hint)
    if not out.exists():
        return
    if not out.is_dir():
        raise DataError(out, "is not a folder", hint)
    found = sorted(str(path.relative_to(out).as_posix()) for path in out.rglob("*"))
    if not found:
        return
    try:
        marker = json.loads((out / MARKER).read_text(encoding="utf-8"))
        ours = set(marker["files"]) if marker["simulated"] is True else None
    except (OSError, ValueError, KeyError, TypeError):
        ours = None
    if ours is None:
        raise DataError(out, f"holds files that the simulator did not make, {found[0]!r} among them", hint)
    foreign = [name for name in found if name not in ours | {MARKER, "train", "test"}]
    if foreign:
        raise DataError(out / foreign[0], "is in a simulated data set, but the simulator did not write it", hint)


def _write_files(
    folder: Path, children: int, segments_per_child: int, seed: int, frames: int, progress: Progress
) -> list[Row]:
    for split in ("train", "test"):
        (folder / split).mkdir()
    tested = held_out_children(seed, children)
    rows = []
    for child in progress(range(1, children + 1)):
        split = "test" if child in tested else "train"
        for k, segment in enumerate(simulate_child(seed, child, segments_per_child, frames), start=1):
            name = f"child_{child}_{k}.npy"
            np.save(folder / split / name, segment.pose)
            event = (segment.start, segment.end, segment.kind) if segment.kind else ("", "", "")
            row = (name, segment.label, *event, cohort(seed, child), split)
            rows.append(dict(zip(TRUTH_COLUMNS, row, strict=True)))
    rows.sort(key=lambda row: row["segment_name"])
    groups = [{"child": child, "cohort": cohort(seed, child)} for child in range(1, children + 1)]
    _write_csv(folder / "truth.csv", TRUTH_COLUMNS, rows)
    _write_csv(folder / "train_data.csv", TRUTH_COLUMNS[:2], [row for row in rows if row["split"] == "train"])
    _write_csv(folder / "groups.csv", ("child", "cohort"), groups)
    files = sorted([*TABLES, *(f"{row['split']}/{row['segment_name']}" for row in rows)])
    marker = {
        "simulated": True, "seed": seed, "children": children, "segments_per_child": segments_per_child,
        "frames": frames, "file_count": len(files), "files": files,
    }  # fmt: skip
    (folder / MARKER).write_text(json.dumps(marker, indent=1) + "\n", encoding="utf-8", newline="\n")
    return rows


def _write_csv(path: Path, columns: tuple[str, ...], rows: list[Row]) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _swap(building: Path, out: Path) -> None:
    """Put a finished folder in its place; its bytes reach the disk before its name does.

    No portable call exchanges two folders, so for an instant the old one has only its other name, and is whole there.
    """
    for path in [*building.rglob("*"), building]:
        _fsync(path)
    if not out.exists():
        os.rename(building, out)
        _fsync(out.parent)
        return
    old = out.parent / building.name.replace(".tmp-", ".tmp-old-", 1)
    os.rename(out, old)
    try:
        os.rename(building, out)
    except BaseException:
        os.rename(old, out)
        raise
    _fsync(out.parent)
    shutil.rmtree(old)


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
