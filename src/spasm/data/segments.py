"""Finding, reading and checking segment files and labels.

A segment is one .npy file, `(T, 33, 5)`: frames, landmarks, [x, y, z, visibility, presence]; NaN: landmark not found.
The files are untrusted. `np.load` raises TokenError, OverflowError, RuntimeError and others on bad files, ignores
bytes after the array, and can run a pickle. So the header is checked here instead.
Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spasm.core.errors import DataError, shorten
from spasm.core.files import open_regular
from spasm.core.npy import LONGEST_HEADER, NpyFile, parse_header, read_npy
from spasm.data.findings import Findings, clean
from spasm.data.landmarks import LANDMARKS
from spasm.data.pose import CHANNELS

Progress = Callable[[list[Path]], Iterable[Path]]


class Inspected(NamedTuple):
    """A segment that was read, checked and cleaned, with the digest of its file and what was noticed."""

    pose: np.ndarray
    """(T, 33, 5) float32 in C order; NaN: not found."""
    sha256: str
    """sha256 of the file's bytes, in hex."""
    findings: Findings


def read_pose(path: Path, frames: int, root: Path | None = None) -> np.ndarray:
    """Read, check and clean one segment, see `findings.clean`: its pose (T, 33, 5) float32 in C order; NaN: not found.

    With `root`, a link that leaves that folder is refused. Raises DataError.
    """
    pose, findings = clean(_read_file(path, frames, root).array())
    findings.check_units(path)
    return pose


def inspect_pose(path: Path, frames: int, root: Path | None = None) -> Inspected:
    """Read, check and clean one segment, as `read_pose` does, and describe its file. Raises DataError."""
    file = _read_file(path, frames, root)
    pose, findings = clean(file.array())
    findings.check_units(path)
    return Inspected(pose, hashlib.sha256(file.raw).hexdigest(), findings)


def _read_file(path: Path, frames: int, root: Path | None) -> NpyFile:
    """Read a segment's file and check its header, size and shape, but not yet its values."""
    return read_npy(path, root, "segment", _most_bytes(frames), lambda shape: _check_shape(path, shape, frames))


def check_header(path: Path, frames: int, root: Path | None = None) -> None:
    """Check size and shape of a segment, whose values are not read. Raises DataError."""
    with open_regular(path, root) as (file, size):
        header = parse_header(path, file.read(12 + LONGEST_HEADER), size, "segment", _most_bytes(frames))
    _check_shape(path, header.shape, frames)


def _most_bytes(frames: int) -> int:
    return frames * len(LANDMARKS) * len(CHANNELS) * 8


def _check_shape(path: Path, shape: tuple[int, ...], frames: int) -> None:
    wanted = (frames, len(LANDMARKS), len(CHANNELS))
    if shape[1:] == wanted[1:] and shape != wanted:
        hint = f"to train on such files add --frames {shape[0]}; a trained run predicts segments of its own T"
        raise DataError(path, f"has {shape[0]} frames (T), not {frames}", hint)
    if shape != wanted:
        raise DataError(path, f"has shape {shorten(shape)}, not {wanted}", "axes are frames, landmarks, channels")
