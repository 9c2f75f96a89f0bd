"""How fast head and limbs move in each frame, whatever the camera does: a simple measure for long recordings."""

import numpy as np

from spasm.data.landmarks import INDEX
from spasm.data.pose import FPS
from spasm.features.nan_math import length, mean, running_mean

SIDES = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
POINTS = [INDEX["nose"], *(INDEX[f"{side}_{joint}"] for joint in SIDES for side in ("left", "right"))]
WIDTH = 5  # frames that a place is averaged over


def movement(poses: np.ndarray) -> np.ndarray:
    """Mean speed of nose and 12 joints in each frame: poses (N, T, 33, 5) -> (N, T) float32, picture widths a second.

    The mean shift of the points is removed, so that a moving camera does not count. NaN: not found.
    """
    place = np.moveaxis(poses[:, :, POINTS, :2], 1, -1).astype(np.float32)  # (N, 13, 2, T)
    place = running_mean(place, WIDTH)
    shift = np.full_like(place, np.nan)
    shift[..., 1:-1] = (place[..., 2:] - place[..., :-2]) * np.float32(FPS / 2)
    shift -= mean(shift, axis=1)[:, None]
    return mean(length(shift), axis=1)
