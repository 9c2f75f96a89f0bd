"""The observed frames on both sides of a gap."""

import numpy as np


def known_neighbours(known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each frame of known (..., T): the last known frame up to it and the first from it on, (..., T) each.

    A known frame is its own neighbour on both sides; -1 and T where there is none.
    """
    frames = known.shape[-1]
    time = np.arange(frames)
    before = np.maximum.accumulate(np.where(known, time, -1), axis=-1)
    after = np.minimum.accumulate(np.where(known, time, frames)[..., ::-1], axis=-1)[..., ::-1]
    return before, after
