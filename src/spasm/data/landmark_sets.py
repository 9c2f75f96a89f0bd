"""The landmarks that a run reads: all 33, or only those that other pose tools have too.

A run that was trained on 33 landmarks and is given 17 predicts something else, see docs/data.md. A run trained with a
smaller set never reads the others, so poses of either tool give it the same input.
"""

import numpy as np

from spasm.config.data import LandmarkSet
from spasm.data.landmarks import COCO_17, INDEX, LANDMARKS
from spasm.data.pose import visible_mask

BLOCK = 64  # segments whose masks are computed at a time

KEPT: dict[LandmarkSet, tuple[str, ...]] = {
    "all": LANDMARKS,
    # Of OpenPose's 25 keypoints those that are landmarks: COCO's, heels and big toes.
    "body_25": (*COCO_17, "left_heel", "right_heel", "left_foot_index", "right_foot_index"),
    "coco_17": COCO_17,
}
"""The landmarks of each set. The sets of other tools have no depth: z is 0 in them."""


def landmark_indices(landmarks: LandmarkSet) -> list[int]:
    """The indices of the landmarks of a set, ascending."""
    return sorted(INDEX[name] for name in KEPT[landmarks])


def keep_landmarks(poses: np.ndarray, landmarks: LandmarkSet) -> np.ndarray:
    """Poses (..., 33, 5) as the tools of a set give them: other landmarks are NaN, and z is 0 where x and y are found.

    The poses themselves stay unchanged; with all landmarks they are returned as they are.
    """
    if landmarks == "all":
        return poses
    kept = landmark_indices(landmarks)
    result = np.full_like(poses, np.nan)
    result[..., kept, :] = poses[..., kept, :]
    flat = np.isfinite(result[..., :2]).all(axis=-1)
    result[..., 2] = np.where(flat, 0, np.nan)
    return result


def depth_fraction(poses: np.ndarray) -> float:
    """The fraction of the frames with a pose in which some z is not 0; poses: (N, T, 33, 5). 0 without any pose."""
    deep = posed = 0
    for start in range(0, len(poses), BLOCK):
        visible = visible_mask(poses[start : start + BLOCK])
        deep += int((visible & (poses[start : start + BLOCK, ..., 2] != 0)).any(axis=2).sum())
        posed += int(visible.any(axis=2).sum())
    return deep / max(posed, 1)


def landmark_fractions(poses: np.ndarray) -> np.ndarray:
    """In which fraction of the frames with a pose each landmark is found, (33,) float64; poses: (N, T, 33, 5).

    0 for each where no frame has a pose.
    """
    found, posed = np.zeros(len(LANDMARKS)), 0
    for start in range(0, len(poses), BLOCK):  # so that memory stays flat however many segments there are
        visible = visible_mask(poses[start : start + BLOCK])
        found += visible.sum(axis=(0, 1))
        posed += int(visible.any(axis=2).sum())
    return found / max(posed, 1)
