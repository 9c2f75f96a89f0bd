"""Scenes of simulated children who do not move."""

import numpy as np

from spasm.data.pose import FPS
from spasm.simulation import infant


def still_scene(pose: np.ndarray) -> infant.Scene:
    """A scene with these poses (T, 33, 5), in which nothing happens."""
    rng, child = infant.sample_child_and_rng(7, 1, infant.SimulationConfig())
    video = infant.sample_video(rng, child, "home")
    body = np.zeros((len(pose), 33, 3), dtype=np.float32)
    moved = np.zeros((len(pose), 4), dtype=np.float32)
    return infant.Scene(child, video, "rest", pose, (), np.arange(len(pose)) / FPS, body, body, moved)
