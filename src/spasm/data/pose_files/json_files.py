"""JSON of other tools: read within limits, recognised from its beginning, and its numbers checked."""

import functools
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from spasm.core.errors import DataError, shorten
from spasm.core.files import open_regular
from spasm.data.pose import CHANNELS
from spasm.data.pose_files import frames as placing

LARGEST_FILE = 1 << 30  # bytes
MOST_VALUES = 60_000_000  # in the text of a file; Python needs about 40 bytes for each
MOST_DIGITS = 18  # of a whole number; a longer one is read as a float
AGAIN = "write the file again with the tool that made it"
_PICTURE = re.compile(r"[.](jpe?g|png|bmp|tiff?|webp|gif|json)$", re.IGNORECASE)
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"(\s*:)?|[\[\]{}]')


class Outline(NamedTuple):
    """The beginning of a JSON text."""

    first: str
    """{ for an object, [ for a list, empty for anything else."""
    keys: dict[int, frozenset[str]]
    """The keys of objects by their depth: 1 for the outermost object, 2 for objects in a list."""

    def at(self, depth: int) -> frozenset[str]:
        """The keys at a depth."""
        return self.keys.get(depth, frozenset())


@functools.lru_cache(maxsize=4)
def outline(head: bytes) -> Outline:
    """The outline of a JSON text from its first bytes, which may end anywhere."""
    text = _decoded(head, "replace").lstrip()
    keys: dict[int, set[str]] = {}
    depth = 0
    if text[:1] in ("{", "["):
        for token in _TOKEN.finditer(text):
            mark = token[0][0]
            if mark in "{[":
                depth += 1
            elif mark in "}]":
                depth -= 1
            elif token[1] is not None:
                keys.setdefault(depth, set()).add(token[0][: -len(token[1])][1:-1])
    first = text[:1] if text[:1] in ("{", "[") else ""
    return Outline(first, {at: frozenset(names) for at, names in keys.items()})


def _decoded(content: bytes, errors: str) -> str:
    return content.decode(json.detect_encoding(content), errors).removeprefix("\ufeff")


def read_tree(path: Path) -> Any:
    """The content of a JSON file: objects, lists, text, numbers. Raises DataError, also for one that is too large."""
    with open_regular(path) as (file, size):
        if size > LARGEST_FILE:
            raise DataError(path, f"has {size / 1e9:.1f} GB of JSON", "cut it into files of ten minutes each")
        content = file.read(size + 1)
    if len(content) != size:
        raise DataError(path, "changed while it was read", "run again when nothing writes to it")
    values = content.count(b",") + content.count(b"[") + content.count(b"{")
    if values > MOST_VALUES:
        raise DataError(path, f"holds {values:,} values, too many to read", "cut it into files of ten minutes each")
    try:
        return json.loads(_decoded(content, "strict"), parse_int=_whole, object_pairs_hook=_object)
    except RecursionError as error:
        raise DataError(path, "is JSON with too many brackets within brackets", AGAIN) from error
    except (ValueError, MemoryError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise DataError(path, f"is not readable JSON: {str(error)[:200]}", f"it may be cut short: {AGAIN}") from error


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) <= MOST_DIGITS else float(digits)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {shorten(twice)} occurs twice in one object")
    return found


# ---- parts of a tree


def entries(path: Path, value: Any, where: str) -> list[dict[str, Any]]:
    """A list of objects. Raises DataError for anything else."""
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise DataError(path, f"{where} is {kind_of(value)}, not a list of objects", AGAIN)
    return value


def numbers(path: Path, value: Any, where: str) -> np.ndarray:
    """A list of numbers (N,) float64, NaN where one is null or infinite. Raises DataError for anything else."""
    if not isinstance(value, list) or not set(map(type, value)) <= {int, float, type(None)}:
        what = kind_of(value)
        if isinstance(value, list):
            what = next(kind_of(one) for one in value if type(one) not in (int, float, type(None)))
        raise DataError(path, f"{where} holds {what} where numbers belong", AGAIN)
    found = np.array(value, dtype=np.float64)
    found[~np.isfinite(found)] = np.nan
    return found


def points(path: Path, value: Any, where: str) -> np.ndarray:
    """A list of points (J, 2 or 3) float64. Raises DataError for anything else."""
    if not isinstance(value, list) or not value:
        raise DataError(path, f"{where} is {kind_of(value)}, not a list of points", AGAIN)
    rows = [numbers(path, one, where) for one in value]
    lengths = {len(row) for row in rows}
    if len(lengths) != 1 or not lengths <= {2, 3}:
        raise DataError(path, f"{where} has points of {some(lengths)} numbers", "each has x and y, or x, y and z")
    return np.array(rows)


def kind_of(value: Any) -> str:
    """What a value is, for a message."""
    names = {list: "a list", dict: "an object", str: "text", bool: "true or false", type(None): "null"}
    if isinstance(value, list) and not value:
        return "an empty list"
    return names.get(type(value), "a number")


def some(values: Sequence[Any] | set[Any]) -> str:
    """A few of many values, for a message."""
    first = sorted(map(str, values))[:3]
    return " or ".join(first) + (" or more" if len(values) > 3 else "")


# ---- people of frames


class Row(NamedTuple):
    """A person in a frame."""

    frame: int
    joints: np.ndarray
    """(J, 4) float64: x, y, z, confidence."""
    id: int | None


def frame_number(path: Path, value: Any, where: str) -> int:
    """A frame's number in a file. Raises DataError for anything else than a whole number from -1 on."""
    if type(value) is not int or value < -1:
        raise DataError(path, f"{where} is {shorten(value)}, not a frame's number", AGAIN)
    return value


def id_of(value: Any) -> int | None:
    """The number of a person, which some tools put into a list; None for anything else."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value < 2**62 else None


def arranged(
    path: Path, rows: Sequence[Row], first: int | None = None, last: int | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Poses (F, P, J, 5) of people in frames, and ids (F, P) int64 where the tool tracked them, or None.

    first, last: the numbers of the first and the last frame; without them, those of the people. Raises DataError if
    the numbers of joints differ, if there is no person, or if they are too many.
    """
    if not rows:
        raise DataError(path, "holds no person in any frame", "nothing can be predicted; check what the tool found")
    counts = {len(row.joints) for row in rows}
    if len(counts) > 1:
        raise DataError(path, f"holds people of {some(counts)} joints", "save one model's poses per file")
    first = min(row.frame for row in rows) if first is None else first
    last = max(row.frame for row in rows) if last is None else last
    frames, joints = last - first + 1, counts.pop()
    if frames > max(placing.SHORT, placing.GAPS * len(rows)):
        reason = f"its frame numbers go from {first} to {last}, but it holds only {len(rows)} people"
        raise DataError(path, reason, "save the frames of one video per file, numbered one after the other")
    of_frame: dict[int, list[Row]] = {}
    for row in rows:
        of_frame.setdefault(row.frame, []).append(row)
    people = max(map(len, of_frame.values()))
    if people > placing.MOST_PEOPLE or frames * people * joints * len(CHANNELS) > placing.MOST_VALUES:
        size = f"{frames:,} frames of up to {people:,} people with {joints} joints"
        raise DataError(path, f"holds {size}, more than can be read", "cut it, or save only the most confident people")
    poses = np.full((frames, people, joints, len(CHANNELS)), np.nan)
    ids = np.full((frames, people), -1, dtype=np.int64)
    tracked = True
    for frame, present in of_frame.items():
        of_people = [row.id for row in present]
        tracked &= None not in of_people and len(set(of_people)) == len(of_people)
        for place, row in enumerate(present):
            poses[frame - first, place, :, :4] = row.joints
            poses[frame - first, place, :, 4] = row.joints[:, 3]
            ids[frame - first, place] = -1 if row.id is None else row.id
    return poses, ids if tracked else None


def last_number(name: str) -> int | None:
    """The last number in a picture's name: 12 of frame_12.jpg; None if it has none."""
    found = re.findall(r"[0-9]{1,18}", _PICTURE.sub("", name))
    return int(found[-1]) if found else None
