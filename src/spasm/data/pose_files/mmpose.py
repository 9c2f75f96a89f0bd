"""The predictions of mmpose 1.x: of a video, of one picture, or of a list of pictures; also RTMPose and ViTPose in it.

{"meta_info": {"keypoint_id2name": {...}}, "instance_info": FRAMES}, FRAMES alone, or the instances of one picture;
FRAMES: [{"frame_id": 1, "instances": [{"keypoints": [[x, y], ...], "keypoint_scores": [...], "bbox": ...}]}]
Format: mmpose demo/topdown_demo_with_mmdet.py and mmpose/apis/inferencers (pred_out_dir).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from spasm.core.errors import DataError
from spasm.data.pose_files.base import PoseFile
from spasm.data.pose_files.joints import joints_of, layout, title_of
from spasm.data.pose_files.json_files import (
    AGAIN,
    Row,
    arranged,
    entries,
    frame_number,
    id_of,
    kind_of,
    numbers,
    outline,
    points,
    read_tree,
)
from spasm.data.pose_files.pictures import without_file

DEFAULT = {17: "coco_17", 23: "coco_23", 26: "halpe_26", 133: "coco_wholebody"}
LOWEST = 0.3
METRES = 20.0  # places in the picture are pixels; 3-D poses have metres about the hips


def recognised(path: Path, head: bytes) -> bool:
    """Whether it is a file of predictions."""
    found = outline(head)
    has_people = any({"keypoints", "keypoint_scores"} <= keys for keys in found.keys.values())
    if found.first == "{":
        return bool({"meta_info", "instance_info"} & found.at(1)) or has_people
    return found.first == "[" and ("instances" in found.at(2) or has_people)


def is_picture(head: bytes) -> bool:
    """Whether a file that begins so holds the people of one picture, as those of a folder of pictures do."""
    found = outline(head)
    return found.first == "[" and {"keypoints", "keypoint_scores"} <= found.at(2)


def read_pictures(path: Path, frames: dict[int, Path], joints: str | None) -> PoseFile:
    """The poses of pictures by the numbers in their names; `path` stands for all in messages. Raises DataError."""
    rows: list[Row] = []
    for number, frame in frames.items():
        for one in entries(frame, read_tree(frame), "the file"):
            rows.append(_person(frame, one, number)[0])
    poses, ids = arranged(path, rows, min(frames), max(frames))
    names = _names(path, None, poses.shape[2], joints)
    return PoseFile(f"mmpose, {title_of(names)}", names, poses, "pixels", LOWEST, ids=ids, notes=without_file(frames))


def read(path: Path, joints: str | None) -> PoseFile:
    """The poses of a file. Raises DataError."""
    tree = read_tree(path)
    meta: Any = None
    if isinstance(tree, dict):
        meta = tree.get("meta_info")
        tree = next((tree[name] for name in ("instance_info", "predictions") if name in tree), None)
    rows: list[Row] = []
    frames: list[int] = []
    is_3d = False
    for frame, instances in _frames(path, tree):
        frames.append(frame)
        for one in entries(path, instances, "the instances of a frame"):
            row, has_depth = _person(path, one, frame)
            is_3d |= has_depth
            rows.append(row)
    if len(set(frames)) < len(frames):
        raise DataError(path, "holds a frame twice", "save one video per file")
    poses, ids = arranged(path, rows, min(frames, default=0), max(frames, default=0))
    xy = poses[..., :2][np.isfinite(poses[..., :2])]
    if is_3d and len(xy) and np.abs(xy).max() < METRES:
        hint = "save the 2-D poses, from which these are made"
        raise DataError(path, "holds 3-D poses in metres, which have no place in the picture", hint)
    names = _names(path, meta, poses.shape[2], joints)
    return PoseFile(f"mmpose, {title_of(names)}", names, poses, "pixels", LOWEST, ids=ids)


def _frames(path: Path, tree: Any) -> Iterator[tuple[int, Any]]:
    """Number and instances of each frame."""
    if not isinstance(tree, list):
        raise DataError(path, f"has {kind_of(tree)} where the frames belong", AGAIN)
    if tree and all(isinstance(one, list) for one in tree):  # the predictions of pictures, one after the other
        for number, one in enumerate(tree):
            wrapped = len(one) == 1 and isinstance(one[0], list)
            yield number, one[0] if wrapped else one
    elif tree and isinstance(tree[0], dict) and "instances" not in tree[0]:  # the people of one picture
        yield 0, tree
    else:
        for number, one in enumerate(entries(path, tree, "the list of frames")):
            if "instances" not in one:
                raise DataError(path, "has a frame without instances", AGAIN)
            yield frame_number(path, one.get("frame_id", number), "frame_id"), one["instances"]


def _person(path: Path, one: dict[str, Any], frame: int) -> tuple[Row, bool]:
    if "keypoints" not in one:
        raise DataError(path, "has a person without keypoints", AGAIN)
    places = points(path, one["keypoints"], "keypoints")
    found = np.full((len(places), 4), np.nan)
    found[:, : places.shape[1]] = places
    if "keypoint_scores" in one:
        scores = numbers(path, one["keypoint_scores"], "keypoint_scores")
        if len(scores) != len(places):
            raise DataError(path, f"has {len(places)} keypoints with {len(scores)} scores", AGAIN)
        found[:, 3] = scores
    ids = (one.get(name) for name in ("track_id", "instance_id"))
    return Row(frame, found, id_of(next((value for value in ids if value is not None), None))), places.shape[1] == 3


def _names(path: Path, meta: Any, count: int, joints: str | None) -> tuple[str, ...]:
    """The names of the joints: of --joints, of meta_info, or of the usual layout of so many joints."""
    by_number = meta.get("keypoint_id2name") if isinstance(meta, dict) else None
    if joints is None and isinstance(by_number, dict):
        found = [by_number.get(str(number)) for number in range(count)]
        if len(by_number) == count and all(isinstance(name, str) for name in found):
            return tuple(map(str, found))
        raise DataError(path, "its meta_info names other joints than those of its people", "name them with --joints")
    if joints is not None:
        layout(joints)
    return joints_of(path, count, joints, DEFAULT.get(count))
