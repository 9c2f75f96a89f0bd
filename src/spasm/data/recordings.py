"""Long pose recordings, read window by window, so that memory does not grow with their length."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from spasm.core.errors import DataError, DataProblems, collect_errors
from spasm.core.files import open_regular
from spasm.core.npy import parse_header
from spasm.core.windows import window_starts
from spasm.data.landmarks import LANDMARKS
from spasm.data.naming import NAME_PATTERNS
from spasm.data.pose import CHANNELS, LARGEST, missing_frames

BATCH = 64  # windows per batch
LONGEST = 30 * 24 * 3600 * 30  # frames: a month at 30 a second


def frames_of(path: Path) -> int:
    """Frames in a recording. Raises DataError for a file that is no recording."""
    with open_regular(path) as (file, size):
        return _header(path, file.read(4200), size)[3]


def check_recordings(paths: Sequence[Path]) -> dict[Path, int]:
    """Frames in each recording. Raises DataProblems for files that are none, and for equal names."""
    problems: list[DataError] = []
    lengths: dict[Path, int] = {}
    for path in paths:
        with collect_errors(problems):
            if not NAME_PATTERNS["safe"].fullmatch(path.name):
                hint = "name it {child}_{number}.npy, of letters, digits, - and _"
                raise DataError(path, "is not a recording's name", hint)
            if path.name in {other.name for other in lengths}:
                raise DataError(path, "has the name of another recording", "give each a name of its own")
            lengths[path] = frames_of(path)
    if problems:
        raise DataProblems(problems)
    return lengths


def is_simulated(path: Path) -> bool:
    """Whether simulate.py wrote a recording."""
    return any((folder / "simulated.json").is_file() for folder in path.absolute().parents[:2])


def windows(path: Path, frames: int, stride: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """First frames (N,) and poses (N, T, 33, 5) float32 of the windows of a recording, in batches.

    The last window ends with the recording, whatever the stride. A recording shorter than T frames has one window,
    which ends in missing frames. Raises DataError.
    """
    with open_regular(path) as (file, size):
        start, dtype, bytes_of_frame, whole = _header(path, file.read(4200), size)
        firsts = window_starts(whole, frames, stride)
        held = missing_frames(0)
        begin = 0  # first frame of the values in memory
        for number in range(0, len(firsts), BATCH):
            batch = firsts[number : number + BATCH]
            end = min(int(batch[-1]) + frames, whole)
            file.seek(start + (begin + len(held)) * bytes_of_frame)  # a long stride skips frames
            raw = file.read((end - begin - len(held)) * bytes_of_frame)
            if len(raw) != (end - begin - len(held)) * bytes_of_frame:
                raise DataError(path, "changed while it was read", "run again when nothing writes to it")
            held = np.concatenate([held, _checked(path, np.frombuffer(raw, dtype), begin + len(held))])
            lacking = max(0, frames - len(held))
            held = np.concatenate([held, missing_frames(lacking)])
            yield batch, np.stack([held[first - begin : first - begin + frames] for first in batch])
            following = int(firsts[number + BATCH]) if number + BATCH < len(firsts) else end
            held, begin = held[following - begin :], following


def _header(path: Path, head: bytes, size: int) -> tuple[int, np.dtype, int, int]:
    """Offset of the values in bytes, their type, the bytes of a frame, and the number of frames."""
    frame = (len(LANDMARKS), len(CHANNELS))
    start, dtype, order, shape = parse_header(path, head, size, "recording", LONGEST * math.prod(frame) * 8)
    if shape[1:] != frame:
        raise DataError(path, f"has shape {shape}, not (frames, 33, 5)", "axes are frames, landmarks, channels")
    if not shape[0]:
        raise DataError(path, "holds no frame", "export it again")
    if order != "C" and shape[0] > 1:
        raise DataError(path, "is in Fortran order, which cannot be read frame by frame", "save it in C order")
    return start, dtype, math.prod(frame) * dtype.itemsize, shape[0]


@np.errstate(invalid="ignore")
def _checked(path: Path, values: np.ndarray, begin: int) -> np.ndarray:
    """Poses (F, 33, 5) float32 of raw values, the first of them frame `begin`."""
    # float64 holds the range of every accepted type, so nothing overflows before the check.
    poses = values.astype(np.float64).reshape(-1, len(LANDMARKS), len(CHANNELS))
    too_large = np.abs(poses) > LARGEST
    if too_large.any():
        frame = begin + int(np.argwhere(too_large)[0, 0])
        hint = "write NaN where a landmark was not found, picture units elsewhere"
        raise DataError(path, f"a value in frame {frame} is infinite or beyond {LARGEST:g}", hint)
    return poses.astype(np.float32)
