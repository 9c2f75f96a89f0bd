"""A mask of the child painted from its pose: limbs, trunk and head as thick lines, for poses without a mask model."""

import numpy as np

from spasm.data.landmarks import EDGES, INDEX, LEFT_HIP, LEFT_SHOULDER, RIGHT_HIP, RIGHT_SHOULDER

LIMB = 0.35  # thickness of a limb in trunk lengths
HEAD = 0.42  # radius of the head
EDGE = 0.05  # standard deviation of the soft edge: a hard one would be an outline that networks learn
LIMBS = [(a, b) for a, b in EDGES if min(a, b) >= INDEX["left_shoulder"]]


def pose_mask(picture: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """The mask (H, W) float32 from 0 to 1 of the child with this pose (33, 5) in a picture (H, W, 3)."""
    import cv2

    height, width = picture.shape[:2]
    mask = np.zeros((height, width), dtype=np.uint8)
    there = np.isfinite(pose[:, :2]).all(1) & (np.abs(pose[:, :2]) < 3).all(1)
    xy = np.rint(np.where(there[:, None], pose[:, :2], 0) * (width, height)).astype(int)
    trunk = [LEFT_SHOULDER, RIGHT_SHOULDER, RIGHT_HIP, LEFT_HIP]
    if there[trunk].all():
        length = float(np.linalg.norm(xy[trunk[:2]].mean(0) - xy[trunk[2:]].mean(0)))
    else:
        found = xy[there]
        length = 0.35 * float(np.linalg.norm(np.ptp(found, axis=0))) if len(found) else 0.0
    thick = max(1, round(LIMB * length))
    for a, b in LIMBS:
        if there[a] and there[b]:
            cv2.line(mask, xy[a].tolist(), xy[b].tolist(), 1, thick)
    if there[trunk].all():
        cv2.fillConvexPoly(mask, xy[trunk].astype(np.int32), 1)
    face = there[: INDEX["left_shoulder"]]
    if face.any():
        middle = xy[: INDEX["left_shoulder"]][face].mean(0)
        cv2.circle(mask, np.rint(middle).astype(int).tolist(), max(1, round(HEAD * length)), 1, -1)
    return cv2.GaussianBlur(mask.astype(np.float32), (0, 0), max(1.0, EDGE * length))
