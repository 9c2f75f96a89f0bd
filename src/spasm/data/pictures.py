"""The pictures of a segment, for the networks that read pictures: files beside its poses, six steps a second.

DIR/vsvig/NAME.npz and DIR/two_stream/NAME.npz belong to DIR/train/NAME.npy or DIR/test/NAME.npy.
`video/image_inputs.py` makes them.
"""

import functools
import hashlib
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from spasm.cluster.task_process import place_of
from spasm.core import files
from spasm.core.errors import DataError, DataProblems, collect_errors, shorten
from spasm.core.files import open_regular
from spasm.core.windows import window_starts
from spasm.data.recordings import frames_of

Kind = Literal["vsvig", "two_stream"]
Arrays = dict[str, np.ndarray]
STEP = 5  # frames at 30 frames per second between two pictures: six per second, 30 in five seconds
JOINTS, PATCH = 15, 32  # VSViG's joints, and the side of a patch in pixels
SIDE = 224  # pixels of an upright person's picture
STILL = 127  # value of no movement in `flow`; 255 steps go from -20 to 20 pixels
MOST_BYTES_OF_MASK = 4096
MOST_BYTES = 1 << 28  # of a segment's pictures, unpacked; those of five seconds are 8 million
HELD = 4  # files of a recording that are kept in memory: its windows overlap
AGAIN = "delete it and extract it again: docs/pictures.md"
MASK = "mask"
"""A string beside the arrays of "two_stream": what cut out the child, one of MASKS, the SHA-256 of a model's file, or
UNKNOWN_MASK."""
MASK_KEY = "pictures_mask"  # of the same in the environment of a trained model
MASKS = ("pose", "mediapipe")
UNKNOWN_MASK = "unknown"  # of pictures that another tool made
Wanted = Mapping[Kind, str | None]
"""The kinds of pictures that are read, each with what must have cut out the child; None: nothing did."""


class Layout(NamedTuple):
    """The shape of one step of an array, and its type."""

    shape: tuple[int, ...]
    dtype: type[np.generic]


LAYOUTS: dict[Kind, dict[str, Layout]] = {
    "vsvig": {
        "patches": Layout((JOINTS, 3, PATCH, PATCH), np.uint8),  # red, green and blue; black: joint not found
        "keypoints": Layout((JOINTS, 3), np.float32),  # x and y in fractions of the picture, visibility; 0: not found
    },
    "two_stream": {
        "pictures": Layout((SIDE, SIDE, 3), np.uint8),  # red, green and blue; black: child not found, or background
        "flow": Layout((SIDE, SIDE, 2), np.uint8),  # x and y to the next step, see STILL
    },
}


class SegmentPictures(NamedTuple):
    """The pictures of some segments, by the files of their poses."""

    paths: tuple[Path, ...]

    def of(self, rows: np.ndarray) -> "SegmentPictures":
        """Those of some of the segments."""
        return SegmentPictures(tuple(self.paths[row] for row in rows))

    def read(self, kind: Kind, row: int, frames: int) -> Arrays:
        """The arrays of a segment of so many frames (T), see LAYOUTS. Raises DataError."""
        path = pictures_path(self.paths[row], kind)
        if not place_of(path).is_file():
            raise no_pictures(path, kind)
        arrays = read_pictures(place_of(path), kind)
        steps = len(next(iter(arrays.values())))
        if steps != frames // STEP:
            reason = f"holds {steps} pictures, and its segment of {frames} frames needs {frames // STEP}"
            raise DataError(path, reason, AGAIN)
        return arrays


class RecordingPictures(NamedTuple):
    """The pictures of windows of a recording, DIR/recordings/NAME.npy, read from those of its segments."""

    recording: Path
    firsts: tuple[int, ...]
    """First frame of each window."""

    def read(self, kind: Kind, row: int, frames: int) -> Arrays:
        """The arrays of a window of so many frames, see LAYOUTS; it begins at the nearest step. Raises DataError."""
        return _steps(self.recording, kind, round(self.firsts[row] / STEP), frames // STEP)

    def key(self, kind: Kind, mask: str | None) -> str:
        """What identifies the pictures of the whole recording. Raises DataProblems with all that are missing or wrong.

        mask: what must have cut out the child, see `unusable`.
        """
        length = _length_of_files(self.recording, kind) * STEP
        count = len(window_starts(frames_of(self.recording), length, length))
        paths = [recording_pictures_path(self.recording, kind, number) for number in range(1, count + 1)]
        problems = [no_pictures_of_recording(one, kind) for one in paths if not one.is_file()]
        problems = problems or _of_other_masks(paths, mask)
        if problems:
            raise DataProblems(problems, paths)
        return hashlib.sha256("\n".join(map(content_key, paths)).encode()).hexdigest()


Pictures = SegmentPictures | RecordingPictures
"""What a predictor is given beside poses, in the same order."""


def pictures_path(segment: Path, kind: Kind) -> Path:
    """The file of a segment's pictures."""
    return segment.parent.parent / kind / f"{segment.stem}.npz"


def recording_pictures_path(recording: Path, kind: Kind, number: int) -> Path:
    """The file of the pictures of a recording's segment, numbered from 1."""
    return recording.parent.parent / kind / f"{recording.stem}{number:05}.npz"


def read_pictures(path: Path, kind: Kind) -> Arrays:
    """The arrays of a file, see LAYOUTS, with the same number of steps each. Raises DataError."""
    with open_regular(path) as (file, _):
        try:
            with zipfile.ZipFile(file) as archive:
                unpacked = sum(entry.file_size for entry in archive.infolist())
            if unpacked > MOST_BYTES:
                raise ValueError(f"it would unpack to {unpacked} bytes")
            file.seek(0)
            with np.load(file, allow_pickle=False) as kept:
                arrays: Arrays = {name: kept[name] for name in LAYOUTS[kind]}
            steps = {len(array) for array in arrays.values()}
            for name, (shape, dtype) in LAYOUTS[kind].items():
                if len(steps) != 1 or 0 in steps or arrays[name].shape[1:] != shape or arrays[name].dtype != dtype:
                    raise ValueError(f"{name} is {arrays[name].dtype} {arrays[name].shape}")
        except Exception as error:  # a damaged archive raises nearly anything
            reason = f"is no file of pictures ({type(error).__name__}: {error})"
            raise DataError(path, reason, AGAIN) from error
    return arrays


def content_key(path: Path) -> str:
    """What identifies the content of a file of pictures: the checksums that the archive holds of its arrays.

    It reads a few kilobytes at the end of the file. Raises DataError.
    """
    with open_regular(path) as (file, _):
        try:
            with zipfile.ZipFile(file) as archive:
                return " ".join(f"{entry.filename} {entry.file_size} {entry.CRC}" for entry in archive.infolist())
        except Exception as error:
            reason = f"is no file of pictures ({type(error).__name__}: {error})"
            raise DataError(path, reason, AGAIN) from error


def _steps(recording: Path, kind: Kind, first: int, size: int) -> Arrays:
    """`size` steps of a recording from step `first`; black beyond its end."""
    whole = frames_of(recording)
    length = _length_of_files(recording, kind)
    begins = np.rint(window_starts(whole, length * STEP, length * STEP) / STEP).astype(int)
    found: dict[str, list[np.ndarray]] = {name: [] for name in LAYOUTS[kind]}
    step = first
    while step < first + size:
        number = int(np.searchsorted(begins, step, side="right")) - 1
        arrays = _of_file(recording_pictures_path(recording, kind, number + 1), kind)
        part = slice(step - begins[number], min(length, first + size - begins[number]))
        if part.start >= length:  # after the end of the recording
            for name, (shape, dtype) in LAYOUTS[kind].items():
                found[name].append(np.zeros((first + size - step, *shape), dtype))
            break
        if number + 1 < len(begins):
            part = slice(part.start, min(part.stop, begins[number + 1] - begins[number]))
        for name in found:
            found[name].append(arrays[name][part])
        step += part.stop - part.start
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _length_of_files(recording: Path, kind: Kind) -> int:
    """Steps in each file of a recording. Raises DataError if there is none."""
    return len(next(iter(_of_file(recording_pictures_path(recording, kind, 1), kind).values())))


def _of_file(path: Path, kind: Kind) -> Arrays:
    """The pictures of a file, kept in memory until it changes. Raises DataError."""
    if not path.is_file():
        raise no_pictures_of_recording(path, kind)
    found = path.stat()
    return _held(path, kind, (found.st_size, found.st_mtime_ns))


@functools.lru_cache(maxsize=HELD)
def _held(path: Path, kind: Kind, state: tuple[int, int]) -> Arrays:
    """state: size and time of the last change, since a process of a cluster stays open for later commands."""
    return read_pictures(path, kind)


def no_pictures(path: Path, kind: Kind) -> DataError:
    """The error for a segment without a file of pictures."""
    hint = f"extract them: extract_pose.py --pictures {kind}, or extract_pictures.py; see docs/pictures.md"
    return DataError(path, "is not there", hint)


def no_pictures_of_recording(path: Path, kind: Kind) -> DataError:
    """The error for a recording without a file of pictures."""
    hint = f"extract the recording again, from its video: extract_pose.py --pictures {kind}; see docs/pictures.md"
    return DataError(path, "is not there", hint)


def unusable(segments: Iterable[Path], kind: Kind, mask: str | None) -> list[DataError]:
    """An error for each segment without a file of pictures, or with one in which something else cut out the child.

    mask: what must have done it, see MASK; None: anything.
    """
    paths = [pictures_path(one, kind) for one in segments]
    there = [path for path in paths if path.is_file()]
    return [no_pictures(path, kind) for path in paths if not path.is_file()] + _of_other_masks(there, mask)


def _of_other_masks(paths: Iterable[Path], mask: str | None) -> list[DataError]:
    problems: list[DataError] = []
    for path in () if mask is None else paths:
        with collect_errors(problems):
            if (found := mask_of(path)) != mask:
                reason = f"was cut out with the mask {shorten(found)}, and those of training with {mask}"
                raise DataError(path, reason, f"extract it with {_flag_of(str(mask))}: docs/pictures.md")
    return problems


def _flag_of(mask: str) -> str:
    if mask == UNKNOWN_MASK:
        return "the tool that made those of training"
    return f"--mask {mask}" if mask in MASKS else "--mask FILE.onnx, the model of training"


def mask_of(path: Path) -> str:
    """What cut out the child in a file of pictures, see MASK. Raises DataError."""
    with open_regular(path) as (file, _):
        try:
            with zipfile.ZipFile(file) as archive:
                if archive.getinfo(f"{MASK}.npy").file_size > MOST_BYTES_OF_MASK:
                    raise ValueError("it is too long")
            file.seek(0)
            with np.load(file, allow_pickle=False) as kept:
                return str(kept[MASK])
        except KeyError as error:
            raise DataError(path, "does not say what cut out the child", AGAIN) from error
        except Exception as error:  # a damaged archive raises nearly anything
            reason = f"is no file of pictures ({type(error).__name__}: {error})"
            raise DataError(path, reason, AGAIN) from error


def check_one_mask(masks: Mapping[str, str], folder: Path) -> None:
    """Raise DataError for several masks, given by segment or infant: which it was can give the label away."""
    counts = Counter(masks.values())
    if len(counts) > 1:
        example = {mask: name for name, mask in masks.items()}
        found = ", ".join(f"{shorten(mask)} ({count}, such as {example[mask]})" for mask, count in counts.most_common())
        raise DataError(folder, f"has pictures of different masks: {found}", "extract them all with the same --mask")


def mask_name(mask: str) -> str:
    """What stands under MASK for a flag --mask, which may name a model's file."""
    return mask if mask in MASKS else files.sha256(Path(mask))


def check_length(frames: int, model: str) -> None:
    """Raise DataError if segments of this many frames have no whole number of steps."""
    if frames % STEP:
        reason = f"cannot be read by {model}, which reads every {STEP}th frame"
        raise DataError(f"segments of {frames} frames", reason, f"cut segments of {frames // STEP * STEP} frames")
