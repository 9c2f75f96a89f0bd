"""OpenPose's JSON, one file a frame: NAME_000000000012_keypoints.json (--write_json), or AlphaPose's in the same form.

{"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": [x, y, c, ...]}]}; x = y = c = 0: not found.
AlphaPose's sep-json folder has NAME.json with "bodies" and "joints", or "people".
Format: https://github.com/CMU-Perceptual-Computing-Lab/openpose/blob/master/doc/02_output.md
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spasm.core.errors import DataError
from spasm.core.files import open_regular
from spasm.data.pose_files.base import PoseFile
from spasm.data.pose_files.joints import joints_of, title_of
from spasm.data.pose_files.json_files import (
    AGAIN,
    Row,
    arranged,
    entries,
    id_of,
    kind_of,
    numbers,
    outline,
    read_tree,
)
from spasm.data.pose_files.pictures import without_file

NAME = re.compile(r"(?P<video>.*?)[_.-]?(?P<frame>[0-9]{1,15})(?P<ending>_keypoints)?\.json", re.IGNORECASE)
PEOPLE, KEYPOINTS = ("people", "bodies"), ("pose_keypoints_2d", "pose_keypoints", "joints")
HEAD = 4096
DEFAULT = {25: "body_25", 18: "coco_18"}  # OpenPose's own models by the number of joints


def recognised(path: Path, head: bytes) -> bool:
    """Whether it is a frame of OpenPose, a list of frames, or a folder of them."""
    if path.is_dir():
        return any(_is_frame(file) for file in frame_files(path)[:3])
    found = outline(head)
    return any(name in found.at(1 if found.first == "{" else 2) for name in PEOPLE)


def _is_frame(path: Path) -> bool:
    try:
        with open_regular(path) as (file, _):
            return recognised(path, file.read(HEAD))
    except DataError:
        return False


def frame_files(folder: Path) -> list[Path]:
    """The files of a folder that are named as frames, in the order of their numbers."""
    return in_order(path for path in folder.iterdir() if NAME.fullmatch(path.name)) if folder.is_dir() else []


def in_order(frames: Iterable[Path]) -> list[Path]:
    """Files named as frames by video and number, each once."""
    found = {path: match for path in frames if (match := NAME.fullmatch(path.name))}
    return sorted(found, key=lambda path: (found[path]["video"], int(found[path]["frame"])))


def video_of(path: Path) -> str:
    """The name of the video in a frame's file name; empty if it has none."""
    match = NAME.fullmatch(path.name)
    return match["video"] if match else ""


def numbered(frames: Iterable[Path]) -> dict[int, Path]:
    """Files of frames by the numbers in their names. Raises DataError if two have the same."""
    found: dict[int, Path] = {}
    for frame in frames:
        match = NAME.fullmatch(frame.name)
        number = int(match["frame"]) if match else 0
        if number in found:
            reason = f"is frame {number}, and so is {found[number].name}"
            raise DataError(frame, reason, "keep the frames of each video in a folder of their own")
        found[number] = frame
    return found


def read(path: Path, joints: str | None) -> PoseFile:
    """The poses of a folder of frames, or of a single one. Raises DataError."""
    return read_frames(path, frame_files(path) if path.is_dir() else [path], joints)


def read_frames(path: Path, frames: Sequence[Path], joints: str | None) -> PoseFile:
    """The poses of the frames of one video; `path` stands for all of them in messages. Raises DataError."""
    if len(frames) == 1:
        tree = read_tree(frames[0])
        if isinstance(tree, list):  # frames that a script has put together
            listed = [people_of(path, one, number) for number, one in enumerate(tree)]
            return _pose_file(path, [row for people in listed for row in people], 0, len(tree) - 1, joints)
    of_number = numbered(frames)
    rows: list[Row] = []
    tool = "OpenPose"
    for number, frame in of_number.items():
        tree = read_tree(frame)
        if isinstance(tree, dict) and str(tree.get("version", "")).startswith("AlphaPose"):
            tool = "AlphaPose"
        rows += people_of(frame, tree, number)
    return _pose_file(path, rows, min(of_number), max(of_number), joints, tool, without_file(of_number))


def _pose_file(
    path: Path,
    rows: Sequence[Row],
    first: int,
    last: int,
    joints: str | None,
    tool: str = "OpenPose",
    notes: tuple[str, ...] = (),
) -> PoseFile:
    poses, ids = arranged(path, rows, first, last)
    names = joints_of(path, poses.shape[2], joints, DEFAULT.get(poses.shape[2]))
    return PoseFile(f"{tool}, {title_of(names)}", names, poses, "pixels", 0.0, ids=ids, notes=notes)


def people_of(path: Path, tree: Any, frame: int) -> Iterator[Row]:
    """The people of a frame's file, NaN where a joint was not found. Raises DataError."""
    people = next((tree[name] for name in PEOPLE if name in tree), None) if isinstance(tree, dict) else None
    if people is None:
        raise DataError(path, f"is {kind_of(tree)} without people, not a frame of OpenPose", AGAIN)
    for person in entries(path, people, "people"):
        values = next((person[name] for name in KEYPOINTS if name in person), None)
        if values is None:
            raise DataError(path, "has a person without pose_keypoints_2d", "write the body's keypoints too")
        found = numbers(path, values, "pose_keypoints_2d")
        if not len(found):  # only hands or the face were found
            continue
        yield Row(frame, triples(path, found, "pose_keypoints_2d"), id_of(person.get("person_id")))


def triples(path: Path, values: np.ndarray, where: str) -> np.ndarray:
    """Numbers x, y, c, x, y, c, ... as joints (J, 4): x, y, z, confidence. Raises DataError."""
    if not len(values) or len(values) % 3:
        raise DataError(path, f"{where} has {len(values)} numbers", "they are x, y and confidence of each joint")
    found = np.full((len(values) // 3, 4), np.nan)
    found[:, [0, 1, 3]] = values.reshape(-1, 3)
    return found
