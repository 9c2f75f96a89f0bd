"""Ultralytics' text files (save_txt=True): a folder with one file a frame, labels/VIDEO_12.txt, and a line a person.

A line holds class, box (x, y, width, height), the joints (x, y, with most models also confidence), then, if they were
asked for, the confidence of the box and the number of the track; places are fractions of the picture. A frame without a
person has no file; videos count frames from 1. A joint below confidence 0.5 is written at 0, 0.
https://docs.ultralytics.com/reference/engine/results/, `Results.save_txt`.
"""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spasm.core.errors import DataError, printable, shorten
from spasm.core.files import open_regular
from spasm.data.pose import CHANNELS
from spasm.data.pose_files import frames as placing
from spasm.data.pose_files.base import PoseFile
from spasm.data.pose_files.columns import LOWEST
from spasm.data.pose_files.joints import LAYOUTS, joints_of, layout, title_of
from spasm.data.pose_files.row_info import picture_numbers

BOX = 5  # class, x, y, width, height
COCO = len(LAYOUTS["coco_17"])
FEWEST, MOST = BOX + 2 * 11, BOX + 3 * 200 + 2  # numbers in a line
MOST_FILES = 2_000_000
LARGEST_FILE = 1_000_000  # bytes: a hundred people need 50,000
AGAIN = "write it again: yolo pose predict source=VIDEO save_txt=True"


class Layout(NamedTuple):
    """What a line holds after the box."""

    joints: int
    channels: int
    """2: x, y; 3: x, y, confidence."""
    tracked: bool


def recognised(path: Path, head: bytes) -> bool:
    if not path.is_dir():
        return _fits(head)
    folder, names = _folder(path)
    for name in sorted(names)[:5]:
        try:
            with open_regular(folder / name) as (file, _):
                content = file.read(64 * 1024)
        except DataError:
            return False
        if content.strip():
            return _fits(content)
    return False


def _fits(head: bytes) -> bool:
    """Whether a file that begins so has a line of a box and joints."""
    words = head.partition(b"\n")[0].split()
    if not FEWEST <= len(words) <= MOST or not words[0].isdigit():
        return False
    try:
        box = [float(word) for word in words[1:BOX]]
    except ValueError:
        return False
    return all(0 <= value <= 2 for value in box)


def read(path: Path, joints: str | None) -> PoseFile:
    """Raises DataError."""
    if not path.is_dir():
        hint = f"name the folder of all frames: {printable(path.parent)}"
        raise DataError(path, "holds one frame of Ultralytics' text files", hint)
    folder, names = _folder(path)
    if len(names) > MOST_FILES:
        raise DataError(path, f"holds over {MOST_FILES} files", "put the files of one video into a folder of its own")
    numbers = picture_numbers(path, sorted(names))
    if len(np.unique(numbers)) < len(numbers):
        raise DataError(path, "two of its files have the same number", "put each video's files into its own folder")
    lines: list[list[float]] = []
    frames: list[int] = []
    for name, number in zip(sorted(names), numbers.tolist(), strict=True):
        for line in _lines(folder / name):
            if lines and len(line) != len(lines[0]):
                reason = f"has {len(line)} numbers in a line, and the files before it {len(lines[0])}"
                raise DataError(folder / name, reason, "save the poses of one model and one video per folder")
            lines.append(line)
            frames.append(number)
        placing.check_size(path, len(lines), 1, max(1, len(lines[0]) // 3) if lines else 1)
    if not lines:
        raise DataError(path, "no person in any of its files", AGAIN)
    values = np.array(lines)
    of_line = _layout(path, values, joints)
    end = BOX + of_line.joints * of_line.channels
    poses = np.full((len(values), of_line.joints, len(CHANNELS)), np.nan)
    points = values[:, BOX:end].reshape(len(values), of_line.joints, of_line.channels)
    poses[..., :2] = points[..., :2]
    if of_line.channels == 3:
        poses[..., 3] = points[..., 2]
    named = joints_of(path, of_line.joints, joints, "coco_17")
    notes = placing.without_marks(poses)
    if placing.unit_of(path, poses) != "picture":
        raise DataError(path, "its places are no fractions of the picture", AGAIN)
    ids = placing.whole_numbers(path, values[:, -1], "track") if of_line.tracked else None
    rows = placing.from_zero(path, np.array(frames), len(names))
    placed = placing.place(path, poses, rows, ids)
    placing.fill_confidence(placed.poses)
    return PoseFile(
        f"Ultralytics, {title_of(named)}",
        named,
        placed.poses,
        "picture",
        LOWEST["confidence"] if of_line.channels == 3 else 0.0,
        ids=placed.ids,
        notes=tuple(notes),
    )


def _folder(path: Path) -> tuple[Path, list[str]]:
    """The folder with the text files, `path` or its `labels`, and their names."""
    for folder in (path, path / "labels"):
        try:
            names = [name for name in os.listdir(folder) if name.lower().endswith(".txt") and name[0] != "."]
        except OSError:
            continue
        names = [name for name in names if name not in ("classes.txt", "notes.txt")]  # of programs for labels
        if names:
            return folder, names
    return path, []


def _lines(path: Path) -> list[list[float]]:
    """The numbers of each line. Raises DataError."""
    with open_regular(path) as (file, size):
        if size > LARGEST_FILE:
            raise DataError(path, f"has {size} bytes, too many for one frame", AGAIN)
        content = file.read(LARGEST_FILE)
    found = []
    for number, line in enumerate(content.splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        if not FEWEST <= len(words) <= MOST:
            reason = f"line {number} has {len(words)} numbers, too few or too many for a box and joints"
            raise DataError(path, reason, f"{AGAIN}, with a pose model")
        try:
            found.append(list(map(float, words)))
        except ValueError as error:
            raise DataError(path, f"line {number}: {shorten(str(error))}", AGAIN) from error
    return found


def _layout(path: Path, values: np.ndarray, joints: str | None) -> Layout:
    """What a line of (R, L) numbers holds. Raises DataError if its length fits no layout of the named joints."""
    count = COCO if joints is None else len(layout(joints))
    length = values.shape[1]
    for channels in (3, 2):
        extra = length - BOX - count * channels
        if extra in (0, 1, 2):
            # One number more is the number of the track or the confidence of the box, which is hardly ever exactly 1.
            whole = (values[:, -1] == np.floor(values[:, -1])) & (values[:, -1] >= 1)
            return Layout(count, channels, extra == 2 or (extra == 1 and bool(whole.all())))
    reason = f"a line holds {length} numbers: box and {count} joints would be {BOX + 2 * count} or {BOX + 3 * count}"
    raise DataError(path, reason, f"name the joints: --joints with one of {', '.join(LAYOUTS)}")
