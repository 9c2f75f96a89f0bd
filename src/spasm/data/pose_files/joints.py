"""The joints of other tools by name, and where each belongs among the 33 landmarks.

Layouts: OpenPose doc/02_output.md (BODY_25, COCO); COCO keypoints; COCO-WholeBody and Halpe as in mmpose's
configs/_base_/datasets; MediaPipe Pose Landmarker guide. Names of single joints are matched without regard to case and
separators.
"""

import difflib
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from spasm.core.errors import DataError, shorten
from spasm.data.landmarks import COCO_17, COCO_17_NECK, LANDMARKS, OPENPOSE_18
from spasm.data.pose import CHANNELS

BODY_25 = (
    "Nose", "Neck",
    "RShoulder", "RElbow", "RWrist",
    "LShoulder", "LElbow", "LWrist",
    "MidHip",
    "RHip", "RKnee", "RAnkle",
    "LHip", "LKnee", "LAnkle",
    "REye", "LEye", "REar", "LEar",
    "LBigToe", "LSmallToe", "LHeel",
    "RBigToe", "RSmallToe", "RHeel",
)  # fmt: skip
FEET_6 = ("left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel")
# The face is that of iBUG-300W, numbered from the child's right cheek.
FACE_68 = tuple(f"face-{number}" for number in range(68))
HANDS_42 = tuple(
    f"{side}_{part}"
    for side in ("left", "right")
    for part in (
        "hand_root",
        *(f"{finger}{number}" for finger in ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger")
          for number in (1, 2, 3, 4)),
    )
)  # fmt: skip
HALPE_26 = (
    *COCO_17,
    "head", "neck", "hip",
    "left_big_toe", "right_big_toe", "left_small_toe", "right_small_toe", "left_heel", "right_heel",
)  # fmt: skip
# What --joints may name, and the joints in the order of the file.
LAYOUTS: dict[str, tuple[str, ...]] = {
    "body_25": BODY_25,
    "coco_18": OPENPOSE_18,
    "coco_17": COCO_17,
    "coco_17_neck": COCO_17_NECK,
    "coco_23": (*COCO_17, *FEET_6),
    "coco_wholebody": (*COCO_17, *FEET_6, *FACE_68, *HANDS_42),
    "halpe_26": HALPE_26,
    "halpe_136": (*HALPE_26, *FACE_68, *HANDS_42),
    "mediapipe_33": LANDMARKS,
}
# How messages call them.
TITLES = {
    "body_25": "BODY_25",
    "coco_18": "COCO-18",
    "coco_17": "COCO-17",
    "coco_17_neck": "COCO-17 with a neck",
    "coco_23": "COCO-17 with feet",
    "coco_wholebody": "COCO-WholeBody",
    "halpe_26": "Halpe-26",
    "halpe_136": "Halpe-136",
    "mediapipe_33": "MediaPipe, 33 landmarks",
}
# Parts of the body that have a left and a right one: the landmark, and other names of it. Where a file has two of
# them, the earlier name is used.
_SIDED: dict[str, tuple[str, ...]] = {
    "eye_inner": ("eye inner", "inner eye", "eye inner corner", "inner eye corner"),
    "eye": ("eye",),
    "eye_outer": ("eye outer", "outer eye", "eye outer corner", "outer eye corner"),
    "ear": ("ear",),
    "mouth": ("mouth", "mouth corner", "lip corner"),
    "shoulder": ("shoulder", "sho", "shldr"),
    "elbow": ("elbow", "elb"),
    "wrist": ("wrist", "wri", "hand"),
    "pinky": ("pinky", "pinky finger", "little finger", "pinky finger 1", "pinky 1", "pinky mcp"),
    "index": ("index", "index finger", "forefinger", "forefinger 1", "index 1", "index mcp"),
    "thumb": ("thumb", "thumb 3", "thumb ip"),
    "hip": ("hip",),
    "knee": ("knee", "kne"),
    "ankle": ("ankle", "ank", "foot"),
    "heel": ("heel", "hee"),
    "foot_index": ("foot index", "big toe", "toe", "toes", "toe tip", "foot tip"),
}
# Numbers of the iBUG-300W face: the corners of eyes and mouth.
_FACE = {
    36: "right_eye_outer", 39: "right_eye_inner", 42: "left_eye_inner", 45: "left_eye_outer",
    48: "mouth_right", 54: "mouth_left",
}  # fmt: skip


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _known_names() -> dict[str, tuple[int, str]]:
    """Each known name of a joint, plain: its rank among the names of its landmark, and the landmark."""
    known = {"nose": (0, "nose"), "nosetip": (1, "nose")}
    for part, names in _SIDED.items():
        for side, letter in (("left", "l"), ("right", "r")):
            landmark = f"mouth_{side}" if part == "mouth" else f"{side}_{part}"
            for rank, name in enumerate(map(_plain, names)):
                for form in (side + name, name + side, letter + name, name + letter):
                    known.setdefault(form, (rank, landmark))
            known.setdefault(_plain(landmark), (0, landmark))
    for number, landmark in _FACE.items():
        known[f"face{number}"] = (9, landmark)
    return known


_KNOWN = _known_names()


def layout(name: str) -> tuple[str, ...]:
    """The joints of a layout that the user names with --joints. Raises DataError for an unknown one."""
    found = LAYOUTS.get(name.lower().replace("-", "_"))
    if found is None:
        nearest = difflib.get_close_matches(name.lower(), LAYOUTS, 1)
        hint = f"the nearest is {nearest[0]}; " if nearest else ""
        raise DataError("--joints", f"no layout of joints is named {shorten(name)}", f"{hint}use {', '.join(LAYOUTS)}")
    return found


def joints_of(path: Path, count: int, named: str | None, default: str | None) -> tuple[str, ...]:
    """The names of `count` joints without names in the file: those of --joints, or of the format's default layout.

    Raises DataError if the numbers of joints differ, or if neither is given.
    """
    if named is not None:
        found = layout(named)
        if len(found) != count:
            fitting = [key for key, joints in LAYOUTS.items() if len(joints) == count]
            hint = f"for {count} joints use {' or '.join(fitting)}" if fitting else "check which layout the tool wrote"
            raise DataError(path, f"has {count} joints a person; --joints {named} has {len(found)}", hint)
        return found
    if default is not None and len(LAYOUTS[default]) == count:
        return LAYOUTS[default]
    raise unnamed_joints(path, count)


def unnamed_joints(path: Path, count: int) -> DataError:
    """What to do about a file with joints of unknown order."""
    fitting = [name for name, joints in LAYOUTS.items() if len(joints) == count]
    if fitting:
        return DataError(
            path,
            f"has {count} joints a person and no names of them",
            "name their order: " + " or ".join(f"--joints {name}" for name in fitting),
        )
    known = ", ".join(f"{name} ({len(joints)})" for name, joints in LAYOUTS.items())
    return DataError(path, f"has {count} joints a person, as many as no known layout", f"known are {known}")


def title_of(joints: Sequence[str]) -> str:
    """How a message calls the joints: the layout's name, or their number."""
    plain = tuple(map(_plain, joints))
    for name, known in LAYOUTS.items():
        if tuple(map(_plain, known)) == plain:
            return TITLES[name]
    return f"{len(joints)} named joints"


def landmark_of(joint: str) -> str | None:
    """The landmark that a joint is, by its name; None if there is none."""
    found = _KNOWN.get(_plain(joint))
    return found[1] if found else None


def to_landmarks(poses: np.ndarray, joints: Sequence[str]) -> tuple[np.ndarray, list[str], list[str]]:
    """Joints (F, P, J, 5) as landmarks (F, P, 33, 5), NaN where there is no joint.

    Gives also the names of the joints that are no landmark, or a second name of one, and the landmarks without a joint.
    """
    best: dict[str, tuple[int, int]] = {}  # landmark: rank of the name, number of the joint
    for number, joint in enumerate(joints):
        known = _KNOWN.get(_plain(joint))
        if known and (known[1] not in best or known[0] < best[known[1]][0]):
            best[known[1]] = (known[0], number)
    landmarks = np.full((*poses.shape[:2], len(LANDMARKS), len(CHANNELS)), np.nan)
    for place, landmark in enumerate(LANDMARKS):
        if landmark in best:
            landmarks[:, :, place] = poses[:, :, best[landmark][1]]
    used = {number for _, number in best.values()}
    dropped = [joint for number, joint in enumerate(joints) if number not in used]
    return landmarks, dropped, [name for name in LANDMARKS if name not in best]
