"""A simulated infant's body: bones, joints, postures, and where the 33 landmarks are.

Lengths are in metres; the axes are x to the child's left, y headward, z ventral, with the middle of the hips at 0.
Numbers with a source name it. All others, marked or not, are assumed and rest on no measurement.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from spasm.data.landmarks import INDEX

# Length in metres at 3, 6, 9 and 12 months, the mean of girls and boys, and its spread (WHO Multicentre Growth
# Reference Study 2006, Acta Paediatrica Supplement 450:76-85: 61.4/59.8, 67.6/65.7, 72.0/70.1, 75.7/74.0 cm).
LENGTH_M = ((3, 6, 9, 12), (0.606, 0.667, 0.711, 0.749))
LENGTH_SPREAD = 0.035
# Bones as fractions of the length. Limbs and feet: the range of Snyder et al. 1977, UM-HSRI-77-17 (recalled, tables not
# read); the trunk from sitting height (0.655 of the length in the CRABI six-month dummy, SAE J2854) less head, neck and
# seat; the distances of the joints in shoulders and hips, and the clavicle, are assumed.
BONES = {
    "pelvis": 0.12, "chest": 0.18, "neck": 0.02, "clavicle": 0.095, "hip_half": 0.052, "head": 1.0,
    "upper_arm": 0.172, "forearm": 0.135, "hand": 0.09, "thigh": 0.19, "shank": 0.172, "foot": 0.145,
}  # fmt: skip
BONE_SPREAD = 0.055  # coefficient of variation of a limb segment, 5 to 6 % (the same recollection)
# The face in the head's axes, from the base of the neck, as fractions of the length at six months (head height 0.23,
# breadth 0.17 and depth 0.21 of the length, recalled as above); the left side, mirrored for the right.
FACE = {
    "nose": (0, 0.105, 0.11), "eye_inner": (0.015, 0.132, 0.09), "eye": (0.029, 0.134, 0.087),
    "eye_outer": (0.043, 0.132, 0.079), "ear": (0.084, 0.116, 0.010), "mouth": (0.022, 0.072, 0.092),
}  # fmt: skip
# Every joint and its range in degrees. Neck turn and tilt: Ohman and Beckung 2008, Pediatric Physical Therapy 20:53-58
# (110 and 70 degrees passively; less is used actively). Hip extension ends at flexion 7: Coon et al. 1975, Clinical
# Orthopaedics 110:256-260; the knee at 11 at
# three months and 3 at six, 5 here: Broughton et al. 1993, Journal of Pediatric Orthopaedics 13:263-264. The
# ankle bends up freely: Waugh et al. 1983, Physical Therapy 63:1616-1621. The rest is assumed from adults' ranges.
TRUNK_RANGE = {
    "trunk_flexion": (-30, 50), "trunk_side": (-25, 25), "trunk_twist": (-30, 30),
    "neck_flexion": (-55, 55), "neck_turn": (-90, 90), "neck_tilt": (-40, 40),
}  # fmt: skip
LIMB_RANGE = {
    "shrug": (-10, 30), "shoulder_out": (-5, 170), "shoulder_forward": (-50, 120), "arm_roll": (-60, 120),
    "elbow": (0, 145), "wrist": (-60, 70), "hip_out": (-10, 75), "hip_forward": (7, 135), "hip_roll": (-30, 80),
    "knee": (5, 145), "ankle": (-45, 50),
}  # fmt: skip
SIDES = {"left": 1, "right": -1}
RANGE = TRUNK_RANGE | {f"{side}_{name}": row for side in SIDES for name, row in LIMB_RANGE.items()}
JOINTS = tuple(RANGE)
LOW, HIGH = np.array(list(RANGE.values()), dtype=float).T
# The whole body also turns (degrees about x, y and z) and shifts (metres) when it twists, is lifted or is held.
ROOT = ("root_pitch", "root_turn", "root_roll", "root_x", "root_y", "root_z")


@dataclasses.dataclass(frozen=True)
class Posture:
    """A way to lie or sit: joint angles in degrees, the same on both sides; joints without an entry are 0 (assumed)."""

    rest: dict[str, float]
    spread: float  # of the angles between videos, 1 is usual
    arms_free: float  # how far arms and legs move, 1 is usual
    legs_free: float
    sway: float  # how far the whole body sways, 1 is usual for a child who sits


POSTURES = {
    "supine": Posture(
        {"trunk_flexion": 4, "neck_flexion": 4, "shoulder_out": 62, "shoulder_forward": 18, "arm_roll": 45, "elbow": 72,
         "hip_out": 44, "hip_forward": 66, "hip_roll": 52, "knee": 84, "ankle": 15}, 1.0, 1.0, 1.0, 0.1,
    ),
    "bouncer": Posture(
        {"trunk_flexion": 16, "neck_flexion": 10, "shoulder_out": 45, "shoulder_forward": 25, "arm_roll": 35,
         "elbow": 70, "hip_out": 28, "hip_forward": 72, "hip_roll": 25, "knee": 58, "ankle": 5}, 0.9, 0.95, 0.9, 0.25,
    ),
    "chair": Posture(
        {"trunk_flexion": 8, "neck_flexion": 4, "shoulder_out": 28, "shoulder_forward": 34, "arm_roll": 15, "elbow": 68,
         "hip_out": 18, "hip_forward": 86, "hip_roll": 8, "knee": 80, "ankle": 0}, 0.8, 1.0, 0.5, 1.0,
    ),
    "prone": Posture(
        {"trunk_flexion": -14, "neck_flexion": -30, "shoulder_out": 45, "shoulder_forward": 62, "arm_roll": 60,
         "elbow": 85, "hip_out": 35, "hip_forward": 18, "hip_roll": 30, "knee": 40, "ankle": -25}, 0.8, 0.6, 0.8, 0.25,
    ),
    "held": Posture(
        {"trunk_flexion": 12, "neck_flexion": 6, "shoulder_out": 35, "shoulder_forward": 32, "arm_roll": 30,
         "elbow": 62, "hip_out": 32, "hip_forward": 55, "hip_roll": 20, "knee": 55, "ankle": -5}, 1.0, 0.7, 0.7, 1.0,
    ),
}  # fmt: skip
# How a joint's rest differs between videos of one posture, in degrees (assumed).
SPREAD = {
    "trunk_flexion": 5, "trunk_side": 4, "trunk_twist": 4, "neck_flexion": 8, "neck_turn": 28, "neck_tilt": 6,
    "shrug": 3, "shoulder_out": 18, "shoulder_forward": 14, "arm_roll": 20, "elbow": 18, "wrist": 10,
    "hip_out": 9, "hip_forward": 14, "hip_roll": 14, "knee": 18, "ankle": 8,
}  # fmt: skip


def of_joints(table: Mapping[str, float]) -> np.ndarray:
    """A table by joint as an array (28,); a limb's joint without its side stands for both sides."""
    both = {f"{side}_{name}": value for side in SIDES for name, value in table.items()}
    return np.array([table.get(name, both.get(name, 0)) for name in JOINTS], dtype=float)


JOINT_SPREAD = of_joints(SPREAD)


def sample_bones(rng: np.random.Generator, age_months: float) -> dict[str, float]:
    """The lengths of a child's bones in metres."""
    length = np.interp(age_months, *LENGTH_M) * rng.normal(1, LENGTH_SPREAD)
    # Heads grow less than legs: 43 cm around at six months of 67 cm, 45.5 at twelve of 75 (WHO 2007, the same study).
    older = (age_months - 6) / 6
    share = BONES | {"head": 1 - 0.05 * older} | {name: BONES[name] * (1 + 0.03 * older) for name in ("thigh", "shank")}
    return {name: length * value * rng.normal(1, BONE_SPREAD) for name, value in share.items()}


def pose_body(angles: np.ndarray, bones: dict[str, float]) -> np.ndarray:
    """Landmarks (T, 33, 3) in metres, middle of the hips at 0, from joint angles (T, 28) in radians."""
    angle = dict(zip(JOINTS, angles.T, strict=True))
    body = np.empty((len(angles), len(INDEX), 3))
    # The spine bends in two places, so a flexed trunk is a round one.
    lower = turn(0.4 * angle["trunk_side"], 2) @ turn(0.4 * angle["trunk_flexion"], 0)
    chest = lower @ turn(0.6 * angle["trunk_side"], 2) @ turn(0.6 * angle["trunk_flexion"], 0)
    chest = chest @ turn(angle["trunk_twist"], 1)
    head = chest @ turn(angle["neck_flexion"], 0) @ turn(angle["neck_turn"], 1) @ turn(angle["neck_tilt"], 2)
    breast = lower @ (0, bones["pelvis"], 0) + chest @ (0, bones["chest"], 0)
    neck = breast + chest @ (0, bones["neck"], 0)
    for side, sign in SIDES.items():
        for part, (x, y, z) in FACE.items():
            name = {"nose": "nose", "mouth": f"mouth_{side}"}.get(part, f"{side}_{part}")
            body[:, INDEX[name]] = neck + bones["head"] * (head @ (sign * x, y, z))
        joint = {name: angle[f"{side}_{name}"] for name in LIMB_RANGE}
        shoulder = bones["clavicle"] * _vectors(
            sign * np.cos(joint["shrug"]), np.sin(joint["shrug"]), np.zeros(len(angles))
        )
        for name, point in pose_arm(joint, sign, bones).items():
            body[:, INDEX[f"{side}_{name}"]] = breast + (chest @ (shoulder + point)[:, :, None])[:, :, 0]
        hip = np.array([sign * bones["hip_half"], 0, 0])
        for name, point in pose_leg(joint, sign, bones).items():
            body[:, INDEX[f"{side}_{name}"]] = hip + point
    return body


def pose_arm(angle: dict[str, np.ndarray], sign: int, bones: dict[str, float]) -> dict[str, np.ndarray]:
    """The arm in the chest's axes, from the shoulder, (T, 3) each; the angles are (T,) in radians.

    `shoulder_out` turns the hanging arm sideways, `shoulder_forward` lifts it from there; the elbow bends towards
    `shoulder_forward` (roll 0) or towards `shoulder_out` (roll 90 degrees), the wrist towards the palm.
    """
    out, forward, roll, elbow = (angle[name] for name in ("shoulder_out", "shoulder_forward", "arm_roll", "elbow"))
    upper = _vectors(sign * np.cos(forward) * np.sin(out), -np.cos(forward) * np.cos(out), np.sin(forward))
    lifted = _vectors(-sign * np.sin(forward) * np.sin(out), np.sin(forward) * np.cos(out), np.cos(forward))
    spread = _vectors(sign * np.cos(out), np.sin(out), np.zeros_like(out))
    bend = _along(np.cos(roll), lifted) + _along(np.sin(roll), spread)
    fore = _along(np.cos(elbow), upper) + _along(np.sin(elbow), bend)
    palm = _along(np.cos(elbow), bend) - _along(np.sin(elbow), upper)
    across = sign * np.cross(fore, palm)
    fingers = _along(np.cos(angle["wrist"]), fore) + _along(np.sin(angle["wrist"]), palm)
    elbow_at = bones["upper_arm"] * upper
    wrist = elbow_at + bones["forearm"] * fore
    hand = {"pinky": (0.80, -0.28), "index": (0.95, 0.18), "thumb": (0.5, 0.4)}
    points = {name: wrist + bones["hand"] * (a * fingers + b * across) for name, (a, b) in hand.items()}
    return {"shoulder": np.zeros_like(wrist), "elbow": elbow_at, "wrist": wrist} | points


def pose_leg(angle: dict[str, np.ndarray], sign: int, bones: dict[str, float]) -> dict[str, np.ndarray]:
    """The leg in the pelvis' axes, from the hip, (T, 3) each; the angles are (T,) in radians.

    `hip_roll` turns the knee outwards: with the hip bent, the foot then points to the other side, as a frog's does.
    """
    out, forward, roll, knee = (angle[name] for name in ("hip_out", "hip_forward", "hip_roll", "knee"))
    thigh = _vectors(sign * np.sin(out), -np.cos(out) * np.cos(forward), np.cos(out) * np.sin(forward))
    front = _vectors(np.zeros_like(out), np.sin(forward), np.cos(forward))
    inward = _vectors(-sign * np.cos(out), -np.sin(out) * np.cos(forward), np.sin(out) * np.sin(forward))
    toward = _along(np.sin(roll), inward) - _along(np.cos(roll), front)
    shank = _along(np.cos(knee), thigh) + _along(np.sin(knee), toward)
    back = _along(np.cos(knee), toward) - _along(np.sin(knee), thigh)
    toes = _along(np.sin(angle["ankle"]), -shank) - _along(np.cos(angle["ankle"]), back)
    sole = _along(np.cos(angle["ankle"]), shank) - _along(np.sin(angle["ankle"]), back)
    knee_at = bones["thigh"] * thigh
    ankle = knee_at + bones["shank"] * shank
    return {
        "hip": np.zeros_like(ankle),
        "knee": knee_at,
        "ankle": ankle,
        "heel": ankle + bones["foot"] * (0.28 * sole - 0.22 * toes),
        "foot_index": ankle + bones["foot"] * (0.30 * sole + 0.72 * toes),
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


def _along(size: np.ndarray, direction: np.ndarray) -> np.ndarray:
    return size[:, None] * direction
