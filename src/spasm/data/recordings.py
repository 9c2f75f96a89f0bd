"""Long pose recordings, read window by window, so that memory does not grow with their length."""

import math
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from spasm.config.fields import SettingsError
from spasm.core.errors import DataError, DataProblems, collect_errors
from spasm.core.files import open_regular
from spasm.core.npy import parse_header
from spasm.core.windows import cut_windows, window_starts
from spasm.data.findings import Findings, clean
from spasm.data.landmarks import LANDMARKS
from spasm.data.naming import NAME_PATTERNS, list_segments
from spasm.data.pose import CHANNELS, missing_frames

BATCH = 64  # windows per batch
BLOCK = 1024  # frames that are checked at once
SAMPLES, SAMPLE_BYTES = 64, 4096  # of the values, in `Content`
LONGEST = 30 * 24 * 3600 * 30  # frames: a month at 30 a second


class Checked(NamedTuple):
    """A recording that was read once from its first frame to its last."""

    frames: int
    findings: Findings


class Content(NamedTuple):
    """What shows, without reading a file whole, that it is a certain recording: also where its name has changed."""

    frames: int
    checksum: int
    """CRC-32 of SAMPLES pieces of SAMPLE_BYTES of its values, evenly spaced from the first to the last."""


def recording_paths(given: Sequence[Path]) -> list[Path]:
    """The recordings, also those in folders. Raises DataError, and SettingsError where none is given."""
    if not given:
        raise SettingsError("--recordings is missing; name recordings or folders of them: --recordings night_1.npy")
    paths: list[Path] = []
    for path in given:
        found = list_segments(path, "safe") if path.is_dir() else [path]
        if not found:
            raise DataError(path, "holds no recording", "recordings are named {child}_{number}.npy")
        paths += found
    return paths


def frames_of(path: Path) -> int:
    """Frames in a recording. Raises DataError for a file that is no recording."""
    with open_regular(path) as (file, size):
        return _header(path, file.read(4200), size)[3]


def inspect_recording(path: Path) -> Checked:
    """The frames of a recording, and what was noticed in them. Raises DataError, also for poses in pixels.

    Only the whole recording can show that, so all of it is read, in blocks: 24 h take 6 s of one core.
    """
    findings = Findings()
    with open_regular(path) as (file, size):
        start, dtype, bytes_of_frame, whole = _header(path, file.read(4200), size)
        file.seek(start)
        for begin in range(0, whole, BLOCK):
            raw = _read(path, file, min(BLOCK, whole - begin) * bytes_of_frame)
            findings += _cleaned(raw, dtype, begin)[1]
    findings.check_units(path)
    return Checked(whole, findings)


def check_recordings(paths: Sequence[Path]) -> dict[Path, Checked]:
    """Read each recording once, see `inspect_recording`.

    Raises DataProblems with everything that is wrong, also for equal names.
    """
    problems: list[DataError] = []
    checked: dict[Path, Checked] = {}
    for path in paths:
        with collect_errors(problems):
            if not NAME_PATTERNS["safe"].fullmatch(path.name):
                frames_of(path)  # a new name does not help a file that is no recording
                hint = "name it {child}_{number}.npy, of letters, digits, - and _"
                raise DataError(path, "is not a recording's name", hint)
            if path.name in {other.name for other in checked}:
                raise DataError(path, "has the name of another recording", "give each a name of its own")
            checked[path] = inspect_recording(path)
    if problems:
        raise DataProblems(problems)
    return checked


def is_simulated(path: Path) -> bool:
    """Whether simulate.py wrote a recording."""
    return any((folder / "simulated.json").is_file() for folder in path.absolute().parents[:2])


def windows(path: Path, frames: int, stride: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """First frames (N,) and poses (N, T, 33, 5) float32, read-only, of the windows of a recording, in batches.

    The last window ends with the recording, whatever the stride. A recording shorter than T frames has one window,
    which ends in missing frames. Poses are cleaned, see `findings.clean`; whether they are in pixels, only
    `check_recordings` can see. Raises DataError.
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
            raw = _read(path, file, (end - begin - len(held)) * bytes_of_frame)
            held = np.concatenate([held, _cleaned(raw, dtype, begin + len(held))[0]])
            lacking = max(0, frames - len(held))
            held = np.concatenate([held, missing_frames(lacking)])
            yield batch, cut_windows(held, batch - begin, frames)
            following = int(firsts[number + BATCH]) if number + BATCH < len(firsts) else end
            held, begin = held[following - begin :], following


def read_spans(path: Path, spans: Sequence[tuple[int, int]]) -> Iterator[np.ndarray]:
    """The cleaned poses (F, 33, 5) float32 of some spans of a recording, each from a frame to before another.

    Raises DataError.
    """
    with open_regular(path) as (file, size):
        start, dtype, bytes_of_frame, _ = _header(path, file.read(4200), size)
        for begin, end in spans:
            file.seek(start + begin * bytes_of_frame)
            yield _cleaned(_read(path, file, (end - begin) * bytes_of_frame), dtype, begin)[0]


def content_of(path: Path) -> Content:
    """The `Content` of a recording. Raises DataError."""
    with open_regular(path) as (file, size):
        start, _, bytes_of_frame, frames = _header(path, file.read(4200), size)
        last = max(0, frames * bytes_of_frame - SAMPLE_BYTES)
        checksum = 0
        for sample in range(SAMPLES):
            file.seek(start + last * sample // (SAMPLES - 1))
            checksum = zlib.crc32(_read(path, file, min(SAMPLE_BYTES, frames * bytes_of_frame)), checksum)
    return Content(frames, checksum)


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


def _read(path: Path, file: BinaryIO, count: int) -> bytes:
    raw = file.read(count)
    if len(raw) != count:
        raise DataError(path, "changed while it was read", "run again when nothing writes to it")
    return raw


def _cleaned(raw: bytes, dtype: np.dtype, begin: int) -> tuple[np.ndarray, Findings]:
    """Poses (F, 33, 5) float32 of raw values, the first of them frame `begin`, and what was noticed in them."""
    return clean(np.frombuffer(raw, dtype).reshape(-1, len(LANDMARKS), len(CHANNELS)), begin)
