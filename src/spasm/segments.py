"""Finding, reading and checking segment files and labels.

A segment is one .npy file, `(T, 33, 5)`: frames, landmarks, [x, y, z, visibility, presence], NaN where a landmark
was not found. The files are untrusted: `np.load` raises TokenError, OverflowError, RuntimeError and others on bad
ones, accepts bytes after the array in silence and can run a pickle, so the header is checked here instead.
Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

import ast
import dataclasses
import hashlib
import math
import re
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from spasm.errors import DataError, brief, collected
from spasm.landmarks import LANDMARKS
from spasm.tables import child_of, open_regular, read_tables

Progress = Callable[[list[Path]], Iterable[Path]]
Order: TypeAlias = Literal["C", "F"]

FPS = 30.0
FRAMES = 150  # T of the challenge
CHANNELS = ("x", "y", "z", "visibility", "presence")
FARTHEST = 10.0  # pictures; features hold a landmark beyond it there, see features.py
LARGEST = 1e6  # coordinates are picture units, a few at most; 1e30 would overflow once squared in float32

MAGIC = b"\x93NUMPY"
LONGEST_HEADER = 4096  # bytes; a plain array needs 118, and short text keeps ast.literal_eval harmless
DTYPE = re.compile(r"[<>](f[248]|[iu][1248])|\|[iu]1")
OTHER_DTYPES = {
    "b": "booleans",
    "c": "complex numbers",
    "f": "long doubles",
    "S": "text",
    "a": "text",
    "U": "text",
    "O": "Python objects (a pickle, which is never loaded)",
    "V": "raw bytes",
    "M": "dates",
    "m": "times",
}

ACCEPTED = "accepted; look at the recording if this surprises you"


# ---- one segment


def nobody(frames: int) -> np.ndarray:
    """Poses (F, 33, 5) float32 of frames in which no landmark was found."""
    return np.full((frames, len(LANDMARKS), len(CHANNELS)), np.nan, dtype=np.float32)


def found(poses: np.ndarray) -> np.ndarray:
    """Where a landmark was found: x, y and z are all finite. (..., 33, 5) float -> (..., 33) bool."""
    return np.isfinite(poses[..., :3]).all(axis=-1)


def inside_picture(poses: np.ndarray) -> np.ndarray:
    """Where a landmark was found inside the picture. (..., 33, 5) float -> (..., 33) bool."""
    return found(poses) & (poses[..., :2] >= 0).all(axis=-1) & (poses[..., :2] <= 1).all(axis=-1)


@np.errstate(invalid="ignore")  # a signalling NaN in the file is a NaN like any other
def read_segment(path: Path, frames: int, root: Path | None = None) -> tuple[np.ndarray, str, list[DataError]]:
    """Read and check one segment; the only place where segment files are read.

    Gives the poses `(T, 33, 5) float32` in C order (NaN: not found), the sha256 of the file's bytes in hex, and
    warnings about what is odd but usable. With `root`, a link that leaves that folder is refused. Raises DataError.
    """
    raw, start, dtype, order = raw_segment(path, frames, root)
    values = np.frombuffer(raw, dtype, offset=start).reshape((frames, len(LANDMARKS), len(CHANNELS)), order=order)
    exact = values.astype(np.float64)  # holds the range of every accepted type, so nothing overflows before the check
    too_large = np.abs(exact) > LARGEST
    if too_large.any():
        frame, landmark, channel = (int(i) for i in np.argwhere(too_large)[0])
        reason = (
            f"{CHANNELS[channel]} of {LANDMARKS[landmark]} in frame {frame} is {exact[frame, landmark, channel]:g}, "
            f"infinite or beyond {LARGEST:g}"
        )
        raise DataError(path, reason, "write NaN where a landmark was not found, picture units elsewhere")
    poses = np.ascontiguousarray(exact, dtype=np.float32)
    return poses, hashlib.sha256(raw).hexdigest(), [DataError(path, odd, ACCEPTED) for odd in _oddities(poses)]


def raw_segment(path: Path, frames: int, root: Path | None) -> tuple[bytes, int, np.dtype, Order]:
    """The bytes of a file whose header and size are right; where its values begin, their type and their order."""
    wanted = (frames, len(LANDMARKS), len(CHANNELS))

    def check(shape: tuple[int, ...]) -> None:
        if shape[1:] == wanted[1:] and shape != wanted:
            hint = "all segments of a run have one T, which --frames sets in training"
            raise DataError(path, f"has {shape[0]} frames (T), not {frames}", hint)
        if shape != wanted:
            raise DataError(path, f"has shape {brief(shape)}, not {wanted}", "axes are frames, landmarks, channels")

    raw, start, dtype, order, _ = raw_array(path, root, "segment", math.prod(wanted) * 8, check)
    return raw, start, dtype, order


def raw_array(
    path: Path, root: Path | None, what: str, most: int, check: Callable[[tuple[int, ...]], None]
) -> tuple[bytes, int, np.dtype, Order, tuple[int, ...]]:
    """The bytes of a .npy file whose header and size are right; where its values begin, their type, order and shape.

    what: a word for such a file, whose values never take more than `most` bytes. `check` raises DataError for a shape
    that is not wanted, as this does for everything else.
    """
    with open_regular(path, root) as (file, size):
        head = file.read(12 + LONGEST_HEADER)
        start, dtype, order, shape = open_array(path, head, size, what, most)
        check(shape)
        raw = head + file.read(size - len(head))
        if len(raw) != size:
            raise DataError(path, "changed while it was read", "run again when nothing writes to it")
    return raw, start, dtype, order, shape


def open_array(
    path: Path, head: bytes, size: int, what: str, most: int
) -> tuple[int, np.dtype, Order, tuple[int, ...]]:
    """Where the values begin, their type, order (C or F) and shape; raises DataError before anything is allocated."""
    copy_again = "copy or export it again"
    if not head:
        raise DataError(path, "empty file, 0 bytes", copy_again)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        raise DataError(path, "a zip (such as .npz) under the name .npy", "save the array alone with numpy.save")
    if not head.startswith(MAGIC):
        raise DataError(path, "not a .npy file: it does not begin as one", "save the array with numpy.save")
    version = tuple(head[6:8])
    if len(version) == 2 and version not in ((1, 0), (2, 0), (3, 0)):
        raise DataError(path, f"unknown .npy version {version[0]}.{version[1]}", "save the array with numpy.save")
    prefix = 10 if version == (1, 0) else 12
    length = int.from_bytes(head[8:prefix], "little")
    if length > LONGEST_HEADER:
        raise DataError(path, f"its header claims {length} bytes; a plain array needs 118", "save it with numpy.save")
    start = prefix + length
    if len(head) < start:
        raise DataError(path, "cut short inside its header", copy_again)
    descr, fortran, shape = _parse_header(path, head[prefix:start], "utf-8" if version == (3, 0) else "latin-1")
    dtype = _check_dtype(path, descr)

    claimed, held = math.prod(shape) * dtype.itemsize, size - start
    if claimed > held and claimed > most:
        reason = f"its header claims {brief(claimed)} bytes of values, more than any {what} has; the file holds {held}"
        raise DataError(path, reason, "the header is damaged: export it again")
    if claimed > held:
        raise DataError(path, f"cut short: {held} of {claimed} bytes of values are there", copy_again)
    if claimed < held:
        raise DataError(path, f"{held - claimed} bytes follow the array", "nothing may follow: export it again")
    return start, dtype, "F" if fortran else "C", shape


def _parse_header(path: Path, text: bytes, encoding: str) -> tuple[Any, bool, tuple[int, ...]]:
    hint = "save the array with numpy.save"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd escapes in a text that is refused anyway
            fields = ast.literal_eval(text.decode(encoding).strip())
    except Exception as error:  # by chance or intent also MemoryError, RecursionError, TypeError, ...
        raise DataError(path, f"its header cannot be parsed ({type(error).__name__})", hint) from error
    if not isinstance(fields, dict) or set(fields) != {"descr", "fortran_order", "shape"}:
        raise DataError(path, "its header is not exactly descr, fortran_order and shape", hint)
    shape, fortran = fields["shape"], fields["fortran_order"]
    # type() and not isinstance(): True is an int to Python, but not a length.
    if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
        raise DataError(path, f"its header has the impossible shape {brief(shape)}", hint)
    if type(fortran) is not bool:
        raise DataError(path, f"its header has fortran_order {brief(fortran)}", hint)
    return fields["descr"], fortran, shape


def _check_dtype(path: Path, descr: Any) -> np.dtype:
    if isinstance(descr, str) and DTYPE.fullmatch(descr):
        return np.dtype(descr)
    if isinstance(descr, str):
        what = f"{OTHER_DTYPES.get(descr.lstrip('<>|=')[:1], 'an unknown type')}, {brief(descr)}"
    else:
        what = "structured records" if isinstance(descr, list) else f"an unknown type, {brief(descr)}"
    raise DataError(path, f"holds {what}", "save floats of 16, 32 or 64 bits, or integers")


def _oddities(poses: np.ndarray) -> list[str]:
    """What is odd but usable about poses (T, 33, 5) float32."""
    odd = []
    for channel, name in ((3, "visibility"), (4, "presence")):
        if ((poses[..., channel] < 0) | (poses[..., channel] > 1)).any():
            odd.append(f"{name} outside 0..1")
    there = found(poses)
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


# ---- the whole folder


@dataclasses.dataclass(frozen=True)
class Report:
    """What `check_folder` found. Figures are of the readable training segments unless they say test."""

    problems: list[DataError]
    warnings: list[DataError]
    segments: int
    """Files in train/."""
    children: int
    labelled: int
    """Rows of train_data.csv with a valid label, `positives` of them 1."""
    positives: int
    missing_frames: float
    """Fraction of frames in which no landmark was found; NaN without any readable segment."""
    without_pose: int
    """Segments without a landmark in any frame."""
    test_segments: int
    test_children: int

    @property
    def prevalence(self) -> float:
        """Positive fraction of the labels; NaN without any."""
        return self.positives / self.labelled if self.labelled else math.nan


def check_folder(data: Path, frames: int, names: str, progress: Progress = iter) -> Report:
    """Read everything in a data folder, one segment at a time, and tell all that is wrong or odd.

    `progress` wraps the list of segment paths. Raises DataError only where there is no such folder.
    """
    tables = read_tables(data, names)
    problems, warnings = list(tables.problems), list(tables.warnings)
    train = set(tables.train)
    first_with: dict[str, Path] = {}
    read = without_pose = missing = 0
    for path in progress(tables.train + tables.test):
        with collected(problems):
            poses, _, odd = read_segment(path, frames, data)
            warnings += odd
            seen = found(poses).any(axis=1)
            if path in train:
                read += 1
                missing += int((~seen).sum())
                without_pose += not seen.any()
            if seen.any():  # segments without any pose are all the same array, which is no leak
                first = first_with.setdefault(hashlib.sha256(poses.data).hexdigest(), path)
                if first != path:
                    warnings.append(_same_array(path, first))
    return Report(
        problems=problems,
        warnings=warnings,
        segments=len(tables.train),
        children=len({child_of(path.name) for path in tables.train}),
        labelled=len(tables.labels),
        positives=sum(tables.labels.values()),
        missing_frames=missing / (read * frames) if read else math.nan,
        without_pose=without_pose,
        test_segments=len(tables.test),
        test_children=len({child_of(path.name) for path in tables.test}),
    )


def _same_array(path: Path, first: Path) -> DataError:
    if child_of(path.name) == child_of(first.name):
        return DataError(path, f"the same array as {first.name}", "accepted; delete one unless both are wanted")
    reason = f"the same array as {first.name}, under another child"
    return DataError(
        path, reason, "a leak when one is trained on and the other scored: delete one, or use one child id"
    )
