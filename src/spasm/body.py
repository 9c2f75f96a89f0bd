"""A simulated infant's body: bones, joints, and where the 33 landmarks are.

Lengths are in body lengths (crown to heel); the axes are x to the child's left, y headward, z ventral. Numbers marked
"judgement" are ours and rest on no measurement.
"""

import dataclasses

import numpy as np

from spasm.landmarks import INDEX

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
