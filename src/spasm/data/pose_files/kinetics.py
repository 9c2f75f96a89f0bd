"""ST-GCN's kinetics-skeleton JSON: one clip, OpenPose's 18 joints, fractions of the picture, 0: not found.

{"data": [{"frame_index": 1, "skeleton": [{"pose": [x, y, ...], "score": [...]}]}], "label": ...}; frames count from 1.
https://github.com/yysijie/st-gcn, "Kinetics-skeleton"
"""

from pathlib import Path

import numpy as np

from spasm.core.errors import DataError
from spasm.data.pose_files import frames as placing
from spasm.data.pose_files.base import PoseFile
from spasm.data.pose_files.columns import LOWEST
from spasm.data.pose_files.joints import joints_of, title_of
from spasm.data.pose_files.json_files import AGAIN, Row, arranged, entries, frame_number, numbers, outline, read_tree


def recognised(path: Path, head: bytes) -> bool:
    about = outline(head)
    return about.first == "{" and "data" in about.at(1) and "skeleton" in about.at(3)


def read(path: Path, joints: str | None) -> PoseFile:
    """Raises DataError."""
    tree = read_tree(path)
    if not isinstance(tree, dict):
        raise DataError(path, "is not one JSON object", AGAIN)
    rows = []
    for frame in entries(path, tree.get("data"), "data"):
        number = frame_number(path, frame.get("frame_index"), "frame_index")
        for person in entries(path, frame.get("skeleton", []), "skeleton"):
            places = numbers(path, person.get("pose"), "pose")
            score = numbers(path, person.get("score"), "score")
            if len(places) != 2 * len(score):
                raise DataError(path, f"pose has {len(places)} numbers, score {len(score)}", AGAIN)
            xy = places.reshape(-1, 2)
            rows.append(Row(number, np.column_stack([xy, np.full(len(score), np.nan), score]), None))
    first = min((row.frame for row in rows), default=0)
    poses, ids = arranged(path, rows, min(1, first), None)
    names = joints_of(path, poses.shape[2], joints, "coco_18")
    notes = placing.without_marks(poses)
    if placing.unit_of(path, poses) != "picture":
        raise DataError(path, "its places are no fractions of the picture", "divide x by the width and y by the height")
    tool = f"kinetics-skeleton, {title_of(names)}"
    return PoseFile(tool, names, poses, "picture", LOWEST["confidence"], ids=ids, notes=tuple(notes))
