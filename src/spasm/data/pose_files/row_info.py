"""Which frame and person each row of a table is, and the video's rate and size: the columns beside the joints."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spasm.core.errors import DataError, printable, shorten
from spasm.data.pose_files import columns as names_of
from spasm.data.pose_files import frames as placing
from spasm.data.pose_files.csv_tables import Codes, number_in, time_of

PICTURES = {"png", "jpg", "jpeg", "bmp", "tif", "tiff", "webp"}
VIDEOS = {"mp4", "avi", "mov", "mkv", "webm", "mts", "mpg", "mpeg", "wmv", "m4v", "3gp"}
MOST_TEXTS = 2_000_000  # different texts in a column
SMALLEST_PICTURE, LARGEST_PICTURE = 16, 100_000  # pixels


class Columns(NamedTuple):
    """The places of columns that are no joints; None for one that the table does not have."""

    frame: int | None
    picture: int | None
    person: int | None
    time: int | None
    fps: int | None
    width: int | None
    height: int | None


class RowInfo(NamedTuple):
    """What the columns beside the joints say."""

    frames: np.ndarray
    """(R,) int64 from 0; -1 for a row to leave out."""
    people: np.ndarray | None
    """(R,) int64 a number for each person; -1 for none; None without such a column."""
    tracked: bool
    """Whether the numbers of people are those of a tracker; otherwise they only count the people of one frame."""
    fps: float | None
    size: tuple[float, float] | None
    notes: list[str]


class Reader:
    """The columns beside the joints: how to read them, and what they say once they are read."""

    def __init__(self, path: Path, header: Sequence[str], joints: set[int]) -> None:
        """joints: places of the columns that belong to joints."""
        self.path, self.header = path, header
        free = ["" if place in joints else name for place, name in enumerate(header)]
        track = names_of.first_of(free, names_of.TRACK)
        time = next((place for place, name in enumerate(free) if names_of.time_unit(name)[0]), None)
        self.columns = Columns(
            frame=names_of.first_of(free, names_of.FRAME),
            picture=names_of.first_of(free, names_of.PICTURE),
            person=names_of.first_of(free, names_of.PERSON) if track is None else track,
            time=time,
            fps=names_of.first_of(free, names_of.RATE),
            width=names_of.first_of(free, names_of.WIDTH),
            height=names_of.first_of(free, names_of.HEIGHT),
        )
        self.tracked = track is not None
        self.pictures = Codes(MOST_TEXTS, "save one video per file")
        self.people = Codes(MOST_TEXTS, "a column of persons names a few of them")
        found: dict[int | None, Callable[[str], float]] = {
            self.columns.picture: self.pictures,
            self.columns.person: self.people,
            self.columns.time: time_of,
        }
        self.convert = {place: number_of for place, number_of in found.items() if place is not None}

    def wanted(self) -> list[int]:
        """The places of the columns to read."""
        return [place for place in self.columns if place is not None]

    def info(self, values: dict[int, np.ndarray], count: int) -> RowInfo:
        """values: each column of `wanted` (R,), by its place. count: R. Raises DataError."""

        def column(name: str) -> np.ndarray | None:
            place = getattr(self.columns, name)
            return None if place is None else values[place]

        notes: list[str] = []
        people = column("person")
        if people is not None and not self.tracked and count > placing.MOST_PEOPLE and len(np.unique(people)) == count:
            people = None  # a number of the row
        frames, fps = self._frames(column("frame"), column("picture"), column("time"), count, notes)
        if fps is None:
            fps = self._constant(column("fps"), placing.ANY_SPEED)
        pixels = SMALLEST_PICTURE, LARGEST_PICTURE
        width, height = (self._constant(column(name), pixels) for name in ("width", "height"))
        return RowInfo(
            frames,
            None if people is None else people.astype(np.int64),
            self.tracked,
            fps,
            (width, height) if width and height else None,
            notes,
        )

    def _frames(
        self,
        numbers: np.ndarray | None,
        pictures: np.ndarray | None,
        times: np.ndarray | None,
        count: int,
        notes: list[str],
    ) -> tuple[np.ndarray, float | None]:
        numbers = self._check_pictures(numbers, pictures)
        place = self.columns.time
        clock, name = None, ""
        if times is not None and place is not None:
            name = printable(self.header[place])
            clock = placing.clock_of(self.path, times, name, names_of.time_unit(self.header[place])[1])
            if clock is None:
                notes.append(f"the column {name} fits no video, so no frame rate is taken from it")
        if numbers is None:
            if clock is not None:
                notes.append(clock.note)
                return clock.frames, round(clock.fps, 3)
            return np.arange(count), None
        frames = placing.from_zero(self.path, placing.whole_numbers(self.path, numbers, "frame"), count)
        if count and frames.min() > 0:
            notes.append(f"its first frame has the number {frames.min()}: the frames before it are missing")
        if clock is None or times is None:
            return frames, None
        ahead, passed = np.diff(frames), np.diff(times)
        moved = (ahead > 0) & (passed > 0)
        if not moved.any():
            return frames, None
        # The clock has steps of one row, which need not be steps of one frame.
        rows_ahead = np.diff(clock.frames)
        rate = clock.fps * float(np.median(ahead[moved] / np.maximum(rows_ahead[moved], 1)))
        notes.append(f"{name} and the frame numbers give {rate:.3f} frames per second")
        return frames, round(rate, 3)

    def _check_pictures(self, numbers: np.ndarray | None, pictures: np.ndarray | None) -> np.ndarray | None:
        """The frame numbers, from the names of pictures if there are no others. Raises DataError for several videos."""
        names, place = list(self.pictures.of_text), self.columns.picture
        if pictures is None or place is None or len(names) < 2:
            return numbers
        endings = {name.rpartition(".")[2].lower() for name in names}
        if not (endings <= PICTURES or (names_of.plain(self.header[place])[:2] == "im" and not endings & VIDEOS)):
            reason = f"holds the poses of {len(names)} videos: {shorten(', '.join(names))}"
            raise DataError(self.path, reason, "save each video's poses in a file of its own")
        if numbers is not None:
            return numbers
        if (pictures < 0).any():
            raise DataError(self.path, "has a row without a picture", "name the picture in every row")
        return picture_numbers(self.path, names)[pictures.astype(np.int64)].astype(np.float64)

    def _constant(self, values: np.ndarray | None, limits: tuple[float, float]) -> float | None:
        """The value that a whole column has, if it lies within limits."""
        if values is None or not len(values):
            return None
        value = float(values[0])
        return value if (values == value).all() and limits[0] <= value <= limits[1] else None


def picture_numbers(path: Path, names: Sequence[str]) -> np.ndarray:
    """The frame (N,) int64 in each picture's name. Raises DataError, also for pictures of several videos."""
    try:
        numbers = np.array([number_in(name) for name in names], dtype=np.int64)
    except ValueError as error:
        raise DataError(path, f"its pictures have no numbers: {shorten(names[0])}", str(error)) from error
    videos = sorted({video_of(name) for name in names})
    if len(videos) > 1:
        reason = f"holds pictures of {len(videos)} videos: {shorten(', '.join(videos))}"
        raise DataError(path, reason, "save each video's poses in a file of its own")
    return numbers


def video_of(name: str) -> str:
    """A picture's name without its number and ending: what the pictures of one video share."""
    whole = name.replace("\\", "/")
    return re.sub(r"[0-9]+(?=[^0-9/]*$)", "", whole.rpartition(".")[0] or whole)
