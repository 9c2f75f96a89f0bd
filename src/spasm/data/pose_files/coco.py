"""Keypoints in COCO's form: results (also Detectron2's coco_instances_results.json), and annotated data sets.

Results: [{"image_id": 12, "category_id": 1, "keypoints": [x, y, score, ...], "score": 0.9}]; data sets: {"images": [{
"id", "file_name", "width", "height"}], "annotations": [{"image_id", "category_id", "keypoints": [x, y, v, ...]}],
"categories": [{"id", "keypoints": [names]}]}, v 0: not labelled, 1: hidden, 2: visible.
Format: https://cocodataset.org/#format-data and #format-results
"""

from pathlib import Path
from typing import Any

import numpy as np

from spasm.core.errors import DataError, shorten
from spasm.data.pose_files.base import PoseFile
from spasm.data.pose_files.joints import joints_of, title_of
from spasm.data.pose_files.json_files import AGAIN, Row, arranged, entries, id_of, numbers, outline, read_tree
from spasm.data.pose_files.openpose import triples
from spasm.data.pose_files.pictures import PictureOrder

DEFAULT = {17: "coco_17", 133: "coco_wholebody"}
LOWEST = 0.3
LOWEST_DETECTRON2 = 0.05  # its scores are heights of a softmax; it draws what is above (_KEYPOINT_THRESHOLD)
PARTS = {"info", "licenses", "categories"}


def recognised(path: Path, head: bytes) -> bool:
    """Whether it is a file of results or a data set."""
    found = outline(head)
    if found.first == "[":
        return {"image_id", "keypoints"} <= found.at(2) and not {"idx", "box"} & found.at(2)
    top = found.at(1)
    inside = {"id", "file_name"} <= found.at(3) or {"image_id", "keypoints"} <= found.at(3)
    return bool({"images", "annotations"} & top) and (len((PARTS | {"images", "annotations"}) & top) > 1 or inside)


def read(path: Path, joints: str | None) -> PoseFile:
    """The poses of a file. Raises DataError."""
    tree = read_tree(path)
    return _dataset(path, tree, joints) if isinstance(tree, dict) else _results(path, tree, joints)


def _results(path: Path, tree: Any, joints: str | None) -> PoseFile:
    people = entries(path, tree, "the file")
    pictures = PictureOrder(path)
    for one in people:
        pictures.add(one.get("image_id"))
    frame_of, first, last = pictures.frames(from_zero=False)
    rows = [
        Row(frame_of[one["image_id"]], _keypoints(path, one), id_of(one.get("track_id", one.get("tracking_id"))))
        for one in people
    ]
    notes = list(pictures.notes)
    if rows and not any(np.nan_to_num(row.joints[:, 3]).any() for row in rows):
        for row in rows:
            row.joints[:, 3] = np.nan
        notes.append("all its scores of joints are 0: read as without scores")
    poses, ids = arranged(path, rows, first, last)
    names = joints_of(path, poses.shape[2], joints, DEFAULT.get(poses.shape[2]))
    detectron = bool(people) and "bbox" in people[0]
    tool = "Detectron2's COCO results" if detectron else "COCO results"
    lowest = LOWEST_DETECTRON2 if detectron else LOWEST
    return PoseFile(f"{tool}, {title_of(names)}", names, poses, "pixels", lowest, ids=ids, notes=tuple(notes))


def _keypoints(path: Path, one: dict[str, Any]) -> np.ndarray:
    if "keypoints" not in one:
        raise DataError(path, "has a person without keypoints", AGAIN)
    return triples(path, numbers(path, one["keypoints"], "keypoints"), "keypoints")


def _dataset(path: Path, tree: dict[str, Any], joints: str | None) -> PoseFile:
    images = entries(path, tree.get("images"), "images")
    pictures = PictureOrder(path)
    names_of: dict[Any, Any] = {}
    named = all(isinstance(image.get("file_name"), str) for image in images)
    for image in images:
        number, name = image.get("id"), image["file_name"] if named else image.get("id")
        if type(number) not in (int, str) or number in names_of:
            raise DataError(path, f"has a picture with the id {shorten(number)}, missing or used twice", AGAIN)
        names_of[number] = name
        pictures.add(name)
    frame_of, first, last = pictures.frames(from_zero=False)
    if len(frame_of) < len(images):
        raise DataError(path, "has two pictures with the same file name", "save the pictures of one video per file")
    rows: list[Row] = []
    categories: set[Any] = set()
    for one in entries(path, tree.get("annotations"), "annotations"):
        if "keypoints" not in one:
            continue  # an object's box
        of = one.get("image_id")
        if type(of) not in (int, str) or of not in names_of:
            raise DataError(path, f"has an annotation of picture {shorten(of)}, which is not in images", AGAIN)
        found = _keypoints(path, one)
        if not (found[:, 3] > 0).any():
            continue
        categories.add(one.get("category_id") if type(one.get("category_id")) is int else None)
        rows.append(Row(frame_of[names_of[of]], found, id_of(one.get("track_id"))))
    grades = np.concatenate([row.joints[:, 3] for row in rows]) if rows else np.zeros(0)
    for row in rows:
        row.joints[~(row.joints[:, 3] > 0)] = np.nan
        if grades.max(initial=0) == 2:
            row.joints[:, 3] /= 2
    poses, ids = arranged(path, rows, first, last)
    names = None if joints else _names(path, tree.get("categories"), categories, poses.shape[2])
    names = names or joints_of(path, poses.shape[2], joints, DEFAULT.get(poses.shape[2]))
    title = f"COCO annotations, {title_of(names)}"
    return PoseFile(title, names, poses, "pixels", 0.0, size=_size(path, images), ids=ids, notes=pictures.notes)


def _names(path: Path, categories: Any, used: set[Any], count: int) -> tuple[str, ...] | None:
    """The names of the joints in the categories of the annotations; None if they have none. Raises DataError."""
    if categories is None:
        return None
    found = {
        tuple(one["keypoints"])
        for one in entries(path, categories, "categories")
        if isinstance(one.get("keypoints"), list)
        and all(isinstance(name, str) for name in one["keypoints"])
        and (one.get("id") in used if type(one.get("id")) is int else True)
    }
    if len(found) > 1:
        raise DataError(path, "has people of different kinds of skeletons", "save one kind per file")
    names: tuple[str, ...] | None = next(iter(found), None)
    if names is not None and len(names) != count:
        raise DataError(path, f"names {len(names)} joints; its people have {count}", "name them with --joints")
    return names


def _size(path: Path, images: list[dict[str, Any]]) -> tuple[float, float] | None:
    """Width and height of the pictures; None if the file does not have them. Raises DataError for several sizes."""
    sizes: set[tuple[float, float]] = set()
    for image in images:
        if {"width", "height"} <= set(image):
            width, height = image["width"], image["height"]
            if {type(width), type(height)} - {int, float} or not (0 < width < 1e6 and 0 < height < 1e6):
                raise DataError(path, f"has a picture of {shorten(width)} x {shorten(height)} pixels", AGAIN)
            sizes.add((float(width), float(height)))
    if len(sizes) > 1:
        raise DataError(path, "has pictures of different sizes", "save the pictures of one video per file")
    return next(iter(sizes), None)
