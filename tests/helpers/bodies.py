"""People as the pose model finds them: bodies of usual proportions at a place of a picture."""

import numpy as np

from spasm.data.landmarks import MIRROR

SQUARE = (1000, 1000)
# Half a body: middle line and left side, in body heights; the right side is its mirror image.
HALF = {
    0: (0, -0.41), 1: (0.01, -0.43), 2: (0.02, -0.43), 3: (0.03, -0.43), 7: (0.05, -0.41), 9: (0.02, -0.38),
    11: (0.12, -0.3), 13: (0.17, -0.14), 15: (0.19, 0), 17: (0.2, 0.04), 19: (0.2, 0.05), 21: (0.18, 0.03),
    23: (0.07, 0), 25: (0.08, 0.25), 27: (0.08, 0.47), 29: (0.08, 0.5), 31: (0.1, 0.52),
}  # fmt: skip
BODY = np.array([HALF[n] if n in HALF else (-HALF[MIRROR[n]][0], HALF[MIRROR[n]][1]) for n in range(33)])


def body_at(x, y, height, seed=0, noise=0.002):
    """A pose (33, 5) of a standing person with the middle of the hips at x, y, in a square picture."""
    pose = np.full((33, 5), 0.9, np.float32)
    pose[:, :2] = (x, y) + (BODY + np.random.default_rng(seed).normal(0, noise, (33, 2))) * height
    return pose


def frames_of(*people):
    return np.array(people, dtype=np.float32).reshape(-1, 33, 5)
