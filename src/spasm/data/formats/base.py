"""A foreign data set in memory: children and their segments, as joints in the picture."""

import dataclasses
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from spasm.core.errors import DataError, printable, shorten
from spasm.data.annotations import LabelLevel
from spasm.data.landmarks import INDEX, LANDMARKS
from spasm.data.pose import CHANNELS

SHORTEST = 16  # frames; --frames has the same limit
# An id becomes a cell of a table, so its first character must not start a formula in a spreadsheet.
CHILD_ID = re.compile(r"\w[\w .()-]*")


@dataclasses.dataclass
class Child:
    """A child of a foreign data set."""

    id: str
    segments: list[tuple[int, np.ndarray]]
    """Label 0 or 1, and (T, J, 2) float32: x, y of each joint in fractions of the picture; NaN: not found. Or
    (T, 33, 5) float32: poses as they are."""
    group: dict[str, str] = dataclasses.field(default_factory=dict)
    """Further columns of its row in groups.csv, the same for all children."""
    pictures: Callable[[int], bytes] | None = None
    """Gives the file of pictures of a segment, by its place in `segments`, for the two-stream network."""


@dataclasses.dataclass
class ForeignDataset:
    """A foreign data set, read and checked."""

    format: str
    frames: int
    """T of every segment."""
    joints: Sequence[str]
    """The J joints by their names in `landmarks.py`; a joint that is no landmark is dropped."""
    children: list[Child]
    """Sorted by id."""
    label_level: LabelLevel
    notice: str
    warnings: list[DataError]
    folds: dict[str, int] | None = None
    """Fold of each child by its id, if the format's own split gives folds."""
    simulated: bool = False
    """Whether its children are simulated: results on it must be marked."""


def to_landmarks(xy: np.ndarray, joints: Sequence[str]) -> np.ndarray:
    """Joints (T, J, 2) as poses (T, 33, 5) float32; the 33 landmarks that are no joint are NaN.

    For a found joint z is 0, and visibility and presence are 1, because these formats do not have them. The neck is
    dropped, because it is the middle of the shoulders. Poses (T, 33, 5) stay as they are.
    """
    if xy.shape[1:] == (len(LANDMARKS), len(CHANNELS)):
        return xy
    poses = np.full((len(xy), len(LANDMARKS), len(CHANNELS)), np.nan, dtype=np.float32)
    columns = [column for column, joint in enumerate(joints) if joint in INDEX]
    places = [INDEX[joints[column]] for column in columns]
    poses[:, places, :2] = xy[:, columns]
    there = np.isfinite(xy[:, columns]).all(axis=-1, keepdims=True)
    poses[:, places, 2:] = np.where(there, np.array([0, 1, 1], dtype=np.float32), np.nan)
    return poses


def entries(folder: Path, root: Path) -> list[str]:
    """Sorted names in a folder below `root`, hidden ones left out. Raises DataError, also for a link out of `root`."""
    if not Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(root)):
        raise DataError(folder, f"is a link that leaves the folder {printable(root)}", "put the folder itself there")
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError as error:
        raise DataError(folder, f"cannot be listed: {error.strerror}", "check the path") from error


def check_id(path: Path, name: str) -> str:
    """The id, checked: it must be safe in a table. Raises DataError."""
    if not CHILD_ID.fullmatch(name):
        raise DataError(
            path, f"the id {shorten(name)} is not a plain name", "use letters, digits, spaces and . _ - ( )"
        )
    return name


def merge_warnings(warnings: Sequence[DataError]) -> list[DataError]:
    """Merge warnings that differ only in their file into one, which counts the other files."""
    alike: dict[tuple[str, str], list[DataError]] = {}
    for warning in warnings:
        alike.setdefault((warning.reason, warning.hint), []).append(warning)
    return [
        DataError(
            first.path, f"{first.reason} (so do {len(others)} other files)" if others else first.reason, first.hint
        )
        for first, *others in alike.values()
    ]
