"""AlphaPose's results: a list of people, or an object with the people of each picture (--format open or cmu, PoseFlow).

[{"image_id": "12.jpg", "category_id": 1, "keypoints": [x, y, score, ...], "score": 2.9, "box": [...], "idx": 1}]
Format: https://github.com/MVIG-SJTU/AlphaPose/blob/master/docs/output.md
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spasm.core.errors import DataError
from spasm.data.pose_files.base import PoseFile
from spasm.data.pose_files.joints import joints_of, title_of
from spasm.data.pose_files.json_files import Row, arranged, entries, id_of, numbers, outline, read_tree
from spasm.data.pose_files.openpose import people_of, triples
from spasm.data.pose_files.pictures import PictureOrder

DEFAULT = {17: "coco_17", 26: "halpe_26", 133: "coco_wholebody", 136: "halpe_136"}
LOWEST = 0.3
OF_PICTURE = {"people", "bodies"}


def recognised(path: Path, head: bytes) -> bool:
    """Whether it is a result of AlphaPose."""
    found = outline(head)
    if found.first == "[":
        return {"image_id", "keypoints"} <= found.at(2) and bool({"idx", "box"} & found.at(2))
    by_picture = bool(OF_PICTURE & found.at(2)) or {"keypoints", "scores"} <= found.at(3)
    return found.first == "{" and by_picture and not OF_PICTURE & found.at(1)


def read(path: Path, joints: str | None) -> PoseFile:
    """The poses of a file. Raises DataError."""
    tree = read_tree(path)
    pictures = PictureOrder(path)
    people: list[tuple[Any, Row]] = []
    if isinstance(tree, dict):
        for name, value in tree.items():
            pictures.add(name)
            people += [(name, row) for row in _of_picture(path, value)]
        pictured = any(isinstance(value, dict) for value in tree.values())
    else:
        pictured = False
        for entry in entries(path, tree, "the file"):
            pictures.add(entry.get("image_id"))
            people.append((entry.get("image_id"), _person(path, entry)))
    frame_of, first, last = pictures.frames(from_zero=True)
    rows = [row._replace(frame=frame_of[name]) for name, row in people]
    poses, ids = arranged(path, rows, first, last)
    default = "coco_18" if pictured and poses.shape[2] == 18 else DEFAULT.get(poses.shape[2])
    names = joints_of(path, poses.shape[2], joints, default)
    return PoseFile(f"AlphaPose, {title_of(names)}", names, poses, "pixels", LOWEST, ids=ids, notes=pictures.notes)


def _of_picture(path: Path, value: Any) -> Iterator[Row]:
    if isinstance(value, dict):  # the forms of OpenPose and CMU-Pose
        yield from people_of(path, value, 0)
    else:
        for entry in entries(path, value, "the people of a picture"):
            yield _person(path, entry)


def _person(path: Path, entry: dict[str, Any]) -> Row:
    if "keypoints" not in entry:
        raise DataError(path, "has a person without keypoints", "write the file again with the tool that made it")
    values = numbers(path, entry["keypoints"], "keypoints")
    return Row(0, triples(path, values, "keypoints"), id_of(entry.get("idx")))
