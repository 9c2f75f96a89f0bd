"""Neighbours of a gap, against a plain search."""

import numpy as np

from spasm.data.interpolation import known_neighbours


def test_neighbours_are_the_nearest_known_frames_on_both_sides() -> None:
    known = np.random.default_rng(0).random((4, 5, 20)) < 0.3
    known[0, 0], known[0, 1] = False, True
    before, after = known_neighbours(known)
    for row in np.ndindex(4, 5):
        frames = np.flatnonzero(known[row])
        for frame in range(20):
            assert before[row][frame] == max(frames[frames <= frame], default=-1)
            assert after[row][frame] == min(frames[frames >= frame], default=20)
