"""Frames from the names or numbers of pictures."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from spasm.core.errors import DataError, shorten
from spasm.core.text import natural
from spasm.data.pose_files.json_files import AGAIN, last_number


def without_file(numbers: Collection[int]) -> tuple[str, ...]:
    """A note on the frames between the first and the last number that have no file."""
    skipped = max(numbers) - min(numbers) + 1 - len(numbers)
    return (f"{skipped} frames have no file: they are without a pose",) if skipped else ()


class PictureOrder:
    """The pictures of a file in order: whole numbers, or names such as frame_12.jpg."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.pictures: dict[Any, None] = {}
        self.notes: tuple[str, ...] = ()

    def add(self, picture: Any) -> None:
        """Add a picture by its name or number. Raises DataError for anything else."""
        if type(picture) is not str and (type(picture) is not int or picture < 0):
            raise DataError(self.path, f"image_id is {shorten(picture)}, not a picture's name or number", AGAIN)
        if len({*map(type, self.pictures), type(picture)}) > 1:
            raise DataError(self.path, "has names and numbers of pictures", "save one video per file")
        self.pictures[picture] = None

    def frames(self, from_zero: bool) -> tuple[dict[Any, int], int, int]:
        """The frame of each picture, and the first and the last frame.

        The number in a picture's name is its frame. If two pictures have the same number, or one has none, they are
        frames one after the other, in the natural order of their names. from_zero: frames named by their number alone,
        such as 12.jpg, count from 0, also if no one is in the first; otherwise the first frame is that of the first
        picture.
        """
        if not self.pictures:
            return {}, 0, 0
        found: dict[Any, int | None] = {
            picture: picture if type(picture) is int else last_number(picture) for picture in self.pictures
        }
        known = [number for number in found.values() if number is not None]
        if len(set(known)) < len(found):
            ordered = sorted(self.pictures, key=lambda picture: natural(str(picture)))
            self.notes = (
                f"{len(ordered)} pictures are taken as frames one after the other, in the order of their names",
            )
            return {picture: frame for frame, picture in enumerate(ordered)}, 0, len(ordered) - 1
        plain = all(type(picture) is str and picture.partition(".")[0].isdecimal() for picture in self.pictures)
        first = 0 if from_zero and plain else min(known)
        if first:
            self.notes = (f"its first frame is {first}: times count from there",)
        return {picture: number for picture, number in found.items() if number is not None}, first, max(known)
