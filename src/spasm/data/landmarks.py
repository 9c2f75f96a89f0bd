"""The 33 landmarks of MediaPipe Pose: names, mirror pairs, their graph, and the skeletons of other systems.

Names and indices: MediaPipe Pose Landmarker guide (landmarks 0-32).
"""

from collections.abc import Sequence

import numpy as np

LANDMARKS = (
    "nose",
    "left_eye_inner", "left_eye", "left_eye_outer",
    "right_eye_inner", "right_eye", "right_eye_outer",
    "left_ear", "right_ear",
    "mouth_left", "mouth_right",
    "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow",
    "left_wrist", "right_wrist",
    "left_pinky", "right_pinky",
    "left_index", "right_index",
    "left_thumb", "right_thumb",
    "left_hip", "right_hip",
    "left_knee", "right_knee",
    "left_ankle", "right_ankle",
    "left_heel", "right_heel",
    "left_foot_index", "right_foot_index",
)  # fmt: skip
INDEX = {name: i for i, name in enumerate(LANDMARKS)}
LEFT_SHOULDER, RIGHT_SHOULDER = INDEX["left_shoulder"], INDEX["right_shoulder"]
LEFT_HIP, RIGHT_HIP = INDEX["left_hip"], INDEX["right_hip"]


def _other_side(name: str) -> str:
    if "left" in name:
        return name.replace("left", "right")
    return name.replace("right", "left")


# MIRROR[i] is the landmark on the other side of the body; midline landmarks are their own.
MIRROR = tuple(INDEX[_other_side(name)] for name in LANDMARKS)
# MediaPipe's own list of connections (POSE_CONNECTIONS). It has three unconnected parts: face, mouth and body.
MEDIAPIPE_EDGES = (
    (0, 1), (1, 2), (2, 3), (3, 7), (0, 4), (4, 5), (5, 6), (6, 8),  # face
    (9, 10),  # mouth
    (11, 12), (11, 13), (13, 15), (15, 17), (15, 19), (15, 21), (17, 19),  # left arm and hand
    (12, 14), (14, 16), (16, 18), (16, 20), (16, 22), (18, 20),  # right arm and hand
    (11, 23), (12, 24), (23, 24),  # trunk
    (23, 25), (25, 27), (27, 29), (29, 31), (27, 31),  # left leg
    (24, 26), (26, 28), (28, 30), (30, 32), (28, 32),  # right leg
)  # fmt: skip
# Our graph also joins the nose to the shoulders and the mouth; else a nod of the head could not reach the trunk.
EDGES = (*MEDIAPIPE_EDGES, (0, 11), (0, 12), (0, 9), (0, 10))


def adjacency() -> np.ndarray:
    """The graph as a matrix (33, 33) float32: self-loops added, each row divided by its sum."""
    matrix = np.eye(len(LANDMARKS), dtype=np.float32)
    for a, b in EDGES:
        matrix[a, b] = matrix[b, a] = 1
    return matrix / matrix.sum(axis=1, keepdims=True)


# ---- the skeletons of published systems, each joint by the name of its landmark


# OpenPose's 18 keypoints (COCO model), which STAM reads.
OPENPOSE_18 = (
    "nose", "neck",
    "right_shoulder", "right_elbow", "right_wrist",
    "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle",
    "left_hip", "left_knee", "left_ankle",
    "right_eye", "left_eye", "right_ear", "left_ear",
)  # fmt: skip
# The 17 keypoints of COCO, which most 2-D tools give.
COCO_17 = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
    "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
COCO_17_NECK = (*COCO_17, "neck")  # which STA-GUNet reads
# VSViG's five partitions of three joints.
VSVIG_15 = (
    "nose", "left_eye", "right_eye",
    "right_shoulder", "right_elbow", "right_wrist",
    "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle",
    "left_hip", "left_knee", "left_ankle",
)  # fmt: skip
MIDDLES = {"neck": ("left_shoulder", "right_shoulder")}  # joints that lie between two landmarks


def joint_weights(joints: Sequence[str]) -> np.ndarray:
    """Weights (J, 33) float32 that turn landmarks (33, ...) into joints (J, ...) by a product; rows sum to 1."""
    weights = np.zeros((len(joints), len(LANDMARKS)), dtype=np.float32)
    for row, joint in enumerate(joints):
        parts = MIDDLES.get(joint, (joint,))
        weights[row, [INDEX[part] for part in parts]] = 1 / len(parts)
    return weights
