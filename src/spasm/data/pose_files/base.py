"""What a pose file of another tool holds, and its joints as landmarks."""

import dataclasses
from typing import Literal

import numpy as np

Unit = Literal["pixels", "picture", "centred"]


@dataclasses.dataclass(frozen=True, eq=False)
class PoseFile:
    """The people in each frame of a pose file: F frames, at most P people in one, J joints."""

    tool: str
    """The recognised format, for messages: "OpenPose, BODY_25"."""
    joints: tuple[str, ...]
    """(J,) name of each joint as the format or the file has it."""
    poses: np.ndarray
    """(F, P, J, 5) float64: x, y, z, visibility, presence; NaN: not found, or no such person. z is NaN in 2-D files;
    visibility and presence both are the tool's confidence, of any scale."""
    unit: Unit
    """pixels; picture: x / width, y / height; centred: picture units minus 0.5."""
    lowest_confidence: float
    """Below it a joint is missing; 0: the tool itself leaves out what it did not find."""
    fps: float | None = None
    """Frames per second, if the file has it."""
    size: tuple[float, float] | None = None
    """Width and height of the picture in pixels, if the file has it."""
    ids: np.ndarray | None = None
    """(F, P) int64 the tool's own number of each person, -1 for none; None if it does not track people."""
    notes: tuple[str, ...] = ()
    """What the reader noticed, a sentence each."""
