"""Finding, reading and checking segment files and labels.

A segment is one .npy file, `(T, 33, 5)`: frames, landmarks, [x, y, z, visibility, presence]; NaN: landmark not found.
The files are untrusted. `np.load` raises TokenError, OverflowError, RuntimeError and others on bad files, ignores
bytes after the array, and can run a pickle. So the header is checked here instead.
Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

import hashlib
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spasm.core.errors import DataError, shorten
from spasm.core.npy import NpyFile, read_npy
from spasm.data.landmarks import LANDMARKS
from spasm.data.pose import CHANNELS, FARTHEST, LARGEST, visible_mask

Progress = Callable[[list[Path]], Iterable[Path]]
ACCEPTED = "accepted; look at the recording if this surprises you"


class Inspected(NamedTuple):
    """A segment that was read and checked, with the digest and the warnings of its file."""

    pose: np.ndarray
    """(T, 33, 5) float32 in C order; NaN: not found."""
    sha256: str
    """sha256 of the file's bytes, in hex."""
    warnings: list[DataError]
    """Oddities that do not make it unusable."""


def read_pose(path: Path, frames: int, root: Path | None = None) -> np.ndarray:
    """Read and check one segment: its pose (T, 33, 5) float32 in C order; NaN: not found.

    With `root`, a link that leaves that folder is refused. Raises DataError.
    """
    return _checked_pose(path, _read_file(path, frames, root))


def inspect_pose(path: Path, frames: int, root: Path | None = None) -> Inspected:
    """Read and check one segment, as `read_pose` does, and describe its file. Raises DataError."""
    file = _read_file(path, frames, root)
    pose = _checked_pose(path, file)
    warnings = [DataError(path, oddity, ACCEPTED) for oddity in _oddities(pose)]
    return Inspected(pose, hashlib.sha256(file.raw).hexdigest(), warnings)


@np.errstate(invalid="ignore")  # a signalling NaN in the file is a NaN like any other
def _checked_pose(path: Path, file: NpyFile) -> np.ndarray:
    """The values (T, 33, 5) as float32 in C order. Raises DataError if a value is infinite or huge."""
    exact = file.array().astype(np.float64)  # holds the range of every accepted type, so nothing overflows
    too_large = np.abs(exact) > LARGEST
    if too_large.any():
        frame, landmark, channel = (int(i) for i in np.argwhere(too_large)[0])
        reason = (
            f"{CHANNELS[channel]} of {LANDMARKS[landmark]} in frame {frame} is {exact[frame, landmark, channel]:g}, "
            f"infinite or beyond {LARGEST:g}"
        )
        raise DataError(path, reason, "write NaN where a landmark was not found, picture units elsewhere")
    return np.ascontiguousarray(exact, dtype=np.float32)


def _read_file(path: Path, frames: int, root: Path | None) -> NpyFile:
    """Read a segment's file and check its header, size and shape, but not yet its values."""
    wanted = (frames, len(LANDMARKS), len(CHANNELS))

    def check(shape: tuple[int, ...]) -> None:
        if shape[1:] == wanted[1:] and shape != wanted:
            hint = f"to train on such files add --frames {shape[0]}; a trained run predicts segments of its own T"
            raise DataError(path, f"has {shape[0]} frames (T), not {frames}", hint)
        if shape != wanted:
            raise DataError(path, f"has shape {shorten(shape)}, not {wanted}", "axes are frames, landmarks, channels")

    return read_npy(path, root, "segment", math.prod(wanted) * 8, check)


def _oddities(poses: np.ndarray) -> list[str]:
    """Oddities of poses (T, 33, 5) float32 that do not make them unusable."""
    odd = []
    for channel, name in ((3, "visibility"), (4, "presence")):
        if ((poses[..., channel] < 0) | (poses[..., channel] > 1)).any():
            odd.append(f"{name} outside 0..1")
    there = visible_mask(poses)
    if not there.any():
        return [*odd, "no pose in any frame"]
    far = (np.abs(poses[there][:, :2]) > FARTHEST).any(axis=1).mean()
    if far > 0.01:
        far_off = f"{far:.0%} of its landmarks are over {FARTHEST:.0f} pictures away"
        odd.append(f"{far_off}: if these are pixels, divide x by the width and y by the height")
    missing = [LANDMARKS[i] for i in np.flatnonzero(~there.any(axis=0))]
    if missing:
        some = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        odd.append(f"{len(missing)} of {len(LANDMARKS)} landmarks never found: {some}")
    seen = there[..., None]
    highest = np.where(seen, poses[..., :3], -np.inf).max(axis=0)
    lowest = np.where(seen, poses[..., :3], np.inf).min(axis=0)
    if there.sum(axis=0).max() > 1 and (highest <= lowest).all():
        odd.append("the pose never moves")
    return odd
