"""DeepLabCut's CSV: header rows scorer, [individuals,] bodyparts, coords; then a row a frame: x, y, likelihood; pixels.

The first column holds numbers of frames, or paths of pictures (labeled-data/video/img0012.png, sometimes in three
columns). Lightning Pose and SLEAP write the same layout. The HDF5 file beside it holds pickles: see hdf5.py.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spasm.core.errors import DataError, shorten
from spasm.data.pose import CHANNELS
from spasm.data.pose_files import frames as placing
from spasm.data.pose_files.base import PoseFile
from spasm.data.pose_files.columns import LOWEST
from spasm.data.pose_files.csv_tables import Codes, head_rows, number_in, read_numbers, rows
from spasm.data.pose_files.joints import title_of
from spasm.data.pose_files.row_info import MOST_TEXTS, video_of

COORDS = ("x", "y", "likelihood")
UNIQUE = "single"  # what DeepLabCut calls body parts that belong to none of several individuals


class Header(NamedTuple):
    """The columns of a file."""

    first: int
    """Number of columns before the first joint."""
    coords: list[str]
    joints: tuple[str, ...]
    individuals: tuple[str, ...]
    """Empty in a file for one individual."""
    places: dict[tuple[int, int, str], int]
    """The column of each individual, joint and coordinate."""


def recognised(path: Path, head: bytes) -> bool:
    return {"bodyparts", "coords"} <= {row[0].lower() for row in head_rows(head, 4)}


def read(path: Path, joints: str | None) -> PoseFile:
    """Raises DataError."""
    table = rows(path)
    levels: dict[str, list[str]] = {}
    for _, cells in table:
        levels[cells[0].lower()] = cells
        if cells[0].lower() == "coords":
            break
        if len(levels) > 4:
            raise DataError(path, "no row coords among its first rows", "save it again with save_as_csv=True")
    header = _header(path, levels)
    videos = Codes(MOST_TEXTS, "save one video per file")
    index = [0] if header.first == 1 else [1, 2]  # of labeled-data, video, picture
    convert: dict[int, Callable[[str], float]]
    convert = {0: _Index(videos)} if header.first == 1 else {1: videos, 2: lambda text: float(number_in(text))}
    wanted = [*index, *header.places.values()]
    values = read_numbers(path, table, header.coords, wanted, convert, header.first)
    if not len(values):
        raise DataError(path, "has a header and no frame", "analyse the video again")
    if len(videos.of_text) > 1:
        reason = f"holds {len(videos.of_text)} videos: {shorten(', '.join(videos.of_text))}"
        raise DataError(path, reason, "save each video's poses in a file of its own")
    numbers = placing.whole_numbers(path, values[:, len(index) - 1], "frame")
    frames = placing.from_zero(path, numbers, len(values))
    if len(np.unique(frames)) < len(frames):
        raise DataError(path, "has a frame twice", "save each video's poses in a file of its own")

    people = max(1, len(header.individuals))
    placing.check_size(path, int(frames.max()) + 1, people, len(header.joints))
    poses = np.full((int(frames.max()) + 1, people, len(header.joints), len(CHANNELS)), np.nan)
    for number, (person, joint, coord) in enumerate(header.places, start=len(index)):
        channel = CHANNELS.index("visibility" if coord == "likelihood" else coord)
        poses[frames, person, joint, channel] = values[:, number]
    notes = placing.without_marks(poses)
    ids = None
    if header.individuals:
        there = np.isfinite(poses[..., 0]).any(axis=2)
        ids = np.where(there, np.arange(people), -1)
    likely = any(coord == "likelihood" for _, _, coord in header.places)
    if not likely:
        notes.append("it has no likelihood, as labels set by hand: every joint in it counts as found")
    placing.fill_confidence(poses)
    lowest = LOWEST["likelihood"] if likely else 0.0
    tool = f"DeepLabCut, {title_of(header.joints)}"
    return PoseFile(tool, header.joints, poses, "pixels", lowest, ids=ids, notes=tuple(notes))


def _header(path: Path, levels: dict[str, list[str]]) -> Header:
    """Raises DataError."""
    hint = "save it again: deeplabcut.analyze_videos(..., save_as_csv=True)"
    coords, parts = levels.get("coords"), levels.get("bodyparts")
    if coords is None or parts is None:
        raise DataError(path, "its header has no rows bodyparts and coords", hint)
    coords = [coord.lower() for coord in coords]
    first = next((place for place, coord in enumerate(coords) if coord in (*COORDS, "z")), 0)
    if "z" in coords:
        raise DataError(path, "holds 3-D poses in a world's units", "save the 2-D poses of one camera")
    unknown = set(coords[first:]) - {*COORDS, ""}
    if first not in (1, 3) or unknown:
        raise DataError(path, f"its row coords has {shorten(', '.join(sorted(unknown)) or 'no x')}", hint)
    of_individual = levels.get("individuals", [""] * len(coords))
    if not len(coords) == len(parts) == len(of_individual):
        raise DataError(path, "its header rows have different lengths", hint)
    present = [name for name in dict.fromkeys(of_individual[first:]) if name]
    individuals = tuple(name for name in present if name != UNIQUE) or tuple(present)
    places: dict[tuple[int, int, str], int] = {}
    joints: dict[str, int] = {}
    for place in range(first, len(coords)):
        if not coords[place] or (individuals and of_individual[place] not in individuals):
            continue
        person = individuals.index(of_individual[place]) if individuals else 0
        key = person, joints.setdefault(parts[place], len(joints)), coords[place]
        if key in places:
            reason = f"has {coords[place]} of {shorten(parts[place])} twice, as files of two scorers"
            raise DataError(path, reason, "save each scorer's poses in a file of its own")
        places[key] = place
    if not places:
        raise DataError(path, "its header names no joint", hint)
    placing.check_size(path, 1, max(1, len(individuals)), len(joints))
    return Header(first, coords, tuple(joints), individuals, places)


class _Index:
    """The frame of a row, from a number or the path of a picture; adds the picture's video to `videos`."""

    def __init__(self, videos: Codes) -> None:
        self._videos = videos

    def __call__(self, text: str) -> float:
        with contextlib.suppress(ValueError):
            return float(text)
        number = number_in(text)
        self._videos(video_of(text))
        return float(number)
