"""Rows of a table to the people of each frame; marks of missing joints, impossible values and units."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from spasm.core.errors import DataError
from spasm.data.findings import is_mark
from spasm.data.pose import CHANNELS, LARGEST
from spasm.data.pose_files.base import Unit

MOST_VALUES = 200_000_000  # of all channels; as float64 1.6 GB, ten hours of one person with 33 joints
MOST_PEOPLE = 100  # in one frame
# A wrong number in a small file may not fill the memory: frames without a row are at most this many times the rows.
GAPS, SHORT = 200, 20_000  # frames; a short recording may be as sparse as it likes
SPEEDS = (3.0, 250.0)  # frames per second of a video whose unit of time is unknown; in two units never both
ANY_SPEED = (0.1, 2000.0)
UNITS_OF_A_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
PIXELS_FROM = 10.0  # the median place of a joint: no joint is ten pictures away, and no picture is ten pixels wide


class Placed(NamedTuple):
    """Rows as the people of each frame."""

    poses: np.ndarray
    """(F, P, J, 5) float64, NaN where a frame has fewer people."""
    ids: np.ndarray | None
    """(F, P) int64, -1 for none; None if the rows have no numbers of people."""


def whole_numbers(path: Path, values: np.ndarray, what: str) -> np.ndarray:
    """Values (R,) float as int64. Raises DataError for one that is missing, broken, negative or huge."""
    bad = ~((values >= 0) & (values < 2**53) & (values == np.floor(values)))
    if bad.any():
        row = int(np.argmax(bad))
        reason = f"{what} in row {row + 1} is {values[row]:g}"
        raise DataError(path, reason, f"every {what} is a whole number from 0 on: correct the table")
    return values.astype(np.int64)


def from_zero(path: Path, numbers: np.ndarray, rows: int) -> np.ndarray:
    """Numbers of frames (R,) int64 counted from 0; a file without frame 0 but with frame 1 counts from 1.

    Raises DataError if the numbers claim far more frames than the file has rows.
    """
    numbers = numbers - 1 if len(numbers) and numbers.min() == 1 else numbers
    last = int(numbers.max(initial=-1))
    if last >= max(SHORT, GAPS * rows):
        reason = f"its frame numbers go up to {last}, but it has only {rows} rows"
        raise DataError(path, reason, "number the frames of one video from 0; a clip's first frame is 0")
    return numbers


def refuse_second_start(path: Path, frames: np.ndarray) -> None:
    """Raise DataError for frames (R,) of rows that begin again: those of another video, not of another person."""
    back = np.diff(frames) < 0
    if back.any() and len(np.unique(frames)) < len(frames):
        reason = f"its frames begin again in row {int(np.argmax(back)) + 2}, and no column names a video or a person"
        raise DataError(path, reason, "save one video per file, or add a column person")


def check_size(path: Path, frames: int, people: int, joints: int) -> None:
    """Raise DataError if poses of such a size are too many for the memory."""
    if people > MOST_PEOPLE:
        raise DataError(path, f"{people} people in one frame", "write only the most confident persons, at most 100")
    if frames * people * joints * len(CHANNELS) > MOST_VALUES:
        size = f"{frames} frames of {people} people with {joints} joints"
        raise DataError(path, f"claims {size}, too many for one file", "cut it into files of an hour each")


def place(path: Path, rows: np.ndarray, frames: np.ndarray, ids: np.ndarray | None) -> Placed:
    """Rows (R, J, 5) by their frames (R,), in the order of the file within a frame. Raises DataError.

    ids: (R,) int64 the tool's numbers of the people.
    """
    order = np.argsort(frames, kind="stable")
    ordered = frames[order]
    slots = np.arange(len(ordered)) - np.searchsorted(ordered, ordered)
    shape = int(ordered[-1]) + 1 if len(ordered) else 0, int(slots.max(initial=0)) + 1
    check_size(path, *shape, rows.shape[1])
    poses = np.full((*shape, rows.shape[1], len(CHANNELS)), np.nan)
    poses[ordered, slots] = rows[order]
    if ids is None:
        return Placed(poses, None)
    of_people = np.full(shape, -1, dtype=np.int64)
    of_people[ordered, slots] = ids[order]
    return Placed(poses, of_people)


# ---- time


class Clock(NamedTuple):
    """The frames of rows that have times."""

    frames: np.ndarray
    """(R,) int64, counted from the first time; -1 for a row to leave out, less than half a frame after another."""
    fps: float
    note: str


def clock_of(path: Path, times: np.ndarray, column: str, unit: str | None) -> Clock | None:
    """The frame of each row by its time (R,); rows with the same time share one. None if the times fit no video.

    unit: that of the column's name; without it, the one in which the steps are those of a video. Raises DataError if
    the times go backwards.
    """
    if len(times) < 2 or not np.isfinite(times).all():
        return None
    steps = np.diff(times)
    if (steps < 0).any():
        row = int(np.argmax(steps < 0)) + 2
        reason = f"{column} in row {row} is earlier than in the row before"
        raise DataError(path, reason, "save one video per file, its rows in the order of time")
    there, of_row = np.unique(times, return_inverse=True)
    if len(there) < 2:
        return None
    steps = np.diff(there)
    step = float(np.median(steps))
    # Milliseconds without decimals make steps of 33 and 34: the mean over steps of one frame is closer.
    step = float(steps[(steps > 0.5 * step) & (steps < 1.5 * step)].mean())
    slowest, fastest = ANY_SPEED if unit else SPEEDS
    rates = {name: UNITS_OF_A_SECOND[name] / step for name in ([unit] if unit else UNITS_OF_A_SECOND)}
    fitting = [(name, rate) for name, rate in rates.items() if slowest <= rate <= fastest]
    if not fitting:
        return None
    numbers = np.rint((there - there[0]) / step)
    if numbers[-1] >= max(SHORT, GAPS * len(there)):
        reason = f"{column} spans {numbers[-1]:.0f} frames, but there are only {len(there)}"
        raise DataError(path, reason, "save one video per file, its times from its beginning")
    again = np.diff(numbers, prepend=-1.0) == 0
    numbers[again] = -1
    name, rate = fitting[0]
    note = f"the column {column} has times in {name}: {rate:.3f} frames per second"
    if again.any():
        note += f"; {int(again.sum())} frames that follow another in less than half that time are left out"
    return Clock(numbers.astype(np.int64)[of_row], rate, note)


# ---- values


def without_marks(poses: np.ndarray, centred: bool = False) -> list[str]:
    """Set joints to NaN in (..., J, 5), in place, where they are not found or impossible; gives what to note.

    Not found: x or y missing, both exactly 0, or both exactly -1; in centred poses, where 0 is the middle of the
    picture, a confidence of 0.
    """
    x, y = poses[..., 0], poses[..., 1]
    with np.errstate(invalid="ignore"):
        marked = (poses[..., 3] == 0) if centred else is_mark(x, y)
        impossible = (np.abs(poses[..., :3]) > LARGEST).any(axis=-1)
        poses[np.isnan(x) | np.isnan(y) | marked | impossible] = np.nan
    count = int(impossible.sum())
    if not count:
        return []
    return [f"{count} places of joints are infinite or beyond {LARGEST:g}, which is impossible: read as missing"]


def fill_confidence(poses: np.ndarray) -> None:
    """In (..., J, 5), in place: visibility and presence stand for each other; 1 where only some joints have neither."""
    found = np.isfinite(poses[..., :2]).all(axis=-1)
    for channel, other in ((3, 4), (4, 3)):
        missing = found & np.isnan(poses[..., channel])
        poses[..., channel][missing] = poses[..., other][missing]
    if np.isfinite(poses[..., 3]).any():
        poses[..., 3:][found[..., None] & np.isnan(poses[..., 3:])] = 1.0


def unit_of(path: Path, poses: np.ndarray) -> Unit:
    """Whether places (..., J, 5) are pixels or fractions of the picture, by their size; picture where there is no pose.

    Raises DataError where they are neither or could be both.
    """
    found = poses[np.isfinite(poses[..., :2]).all(axis=-1)][:, :2]
    if not len(found):
        return "picture"
    far = float(np.median(np.abs(found).max(axis=1)))
    outside = (found < 0).any(axis=1).mean()
    if outside > 0.4:
        reason = f"{outside:.0%} of its places have a negative x or y: they are not in a picture"
        hint = "save places in the picture (MediaPipe's pose_landmarks), not metres or places about a centre"
        raise DataError(path, reason, hint)
    if far >= PIXELS_FROM:
        return "pixels"
    if far > 2:
        reason = f"half of its joints lie beyond {far:.3g}: too far for fractions of a picture, too near for pixels"
        raise DataError(path, reason, "save x and y in pixels, or x / width and y / height")
    return "picture"


def refuse_world_landmarks(path: Path, poses: np.ndarray, joints: tuple[str, ...]) -> None:
    """Raise DataError for MediaPipe's world landmarks (..., J, 5): metres about the middle of the hips."""
    if not {"left_hip", "right_hip"} <= set(joints):
        return
    hips = poses[..., [joints.index("left_hip"), joints.index("right_hip")], :2]
    middle = hips.mean(axis=-2)
    middle = middle[np.isfinite(middle).all(axis=-1)]
    if len(middle) and (np.abs(middle) < 0.05).all(axis=-1).mean() > 0.9:
        reason = "the middle of its hips is always at 0, 0: these are world landmarks in metres"
        raise DataError(path, reason, "save MediaPipe's pose_landmarks, not pose_world_landmarks")


def unit_note(unit: Unit, named: bool) -> str:
    """What was taken, for the user to check; named: whether the file itself says it."""
    source = "by the names of its columns" if named else "by their size"
    meaning = {"pixels": "pixels", "picture": "fractions of the picture", "centred": "fractions about its middle"}
    return f"x and y are taken as {meaning[unit]}, {source}"
