"""Pose files as other tools write them, from people (F, P, 33, 5) in picture units; who has no pose is left out."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from spasm.data.landmarks import INDEX
from spasm.data.pose_files.joints import LAYOUTS, landmark_of

WIDTH, HEIGHT = 640, 480
MIDDLES = {"neck": ("left_shoulder", "right_shoulder"), "midhip": ("left_hip", "right_hip"),
           "hip": ("left_hip", "right_hip"), "head": ("left_ear", "right_ear")}  # fmt: skip


def joints_of(people: np.ndarray, layout: str, missing: float = np.nan) -> np.ndarray:
    """Joints (F, P, J, 3) in pixels of a layout: x, y, confidence; `missing` where there is none."""
    joints = []
    for name in LAYOUTS[layout]:
        landmark = landmark_of(name)
        parts = (landmark,) if landmark else MIDDLES.get(name.lower(), ("nose",))
        joints.append(people[:, :, [INDEX[part] for part in parts]].mean(axis=2))
    found = np.stack(joints, axis=2)[..., [0, 1, 3]] * [WIDTH, HEIGHT, 1]
    found[~np.isfinite(found).all(axis=-1)] = missing
    return found


def in_frame(joints: np.ndarray, frame: int) -> list[np.ndarray]:
    """The people (J, 3) of a frame who have a joint."""
    return [person for person in joints[frame] if np.nan_to_num(person).any()]


def flat(person: np.ndarray) -> list[float]:
    return [round(float(value), 3) for value in person.reshape(-1)]


def openpose(folder: Path, people: np.ndarray, layout: str = "body_25", name: str = "walk", skip: Any = ()) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    joints = joints_of(people, layout, 0)
    for frame in range(len(people)):
        if frame in skip:
            continue
        bodies = [
            {"person_id": [-1], "pose_keypoints_2d": flat(person), "face_keypoints_2d": [],
             "hand_left_keypoints_2d": [],
             "hand_right_keypoints_2d": [], "pose_keypoints_3d": [], "face_keypoints_3d": []}
            for person in in_frame(joints, frame)
        ]  # fmt: skip
        text = json.dumps({"version": 1.3, "people": bodies})
        (folder / f"{name}_{frame:012}_keypoints.json").write_text(text)
    return folder


def alphapose(path: Path, people: np.ndarray, layout: str = "coco_17", ids: bool = False) -> Path:
    joints = joints_of(people, layout, 0)
    results = []
    for frame in range(len(people)):
        for number, person in enumerate(in_frame(joints, frame)):
            one = {"image_id": f"{frame}.jpg", "category_id": 1, "keypoints": flat(person), "score": 2.9,
                   "box": [1.5, 2.5, 30.0, 40.0]}  # fmt: skip
            results.append(one | ({"idx": number + 1} if ids else {"idx": [0.0]}))
    path.write_text(json.dumps(results))
    return path


def alphapose_by_picture(path: Path, people: np.ndarray, form: str = "open") -> Path:
    joints = joints_of(people, "coco_18", 0)
    group, key = {"open": ("people", "pose_keypoints_2d"), "cmu": ("bodies", "joints")}[form]
    pictures = {
        f"{frame}.jpg": {
            "version": "AlphaPose v0.3",
            group: [{key: flat(person)} for person in in_frame(joints, frame)],
        }
        for frame in range(len(people))
    }
    path.write_text(json.dumps({name: value for name, value in pictures.items() if value[group]}))
    return path


def mmpose(
    path: Path, people: np.ndarray, layout: str = "coco_17", names: bool = True, score: float = 1.1, first: int = 1
) -> Path:
    joints = joints_of(people, layout)
    frames = [
        {"frame_id": frame + first, "instances": [
            {"keypoints": np.nan_to_num(person[:, :2]).round(3).tolist(),
             "keypoint_scores": np.nan_to_num(person[:, 2] * score).tolist(),
             "bbox": [[1.0, 2.0, 30.0, 40.0]], "bbox_score": 0.9}
            for person in in_frame(joints, frame)]}
        for frame in range(len(people))
    ]  # fmt: skip
    if names:
        meta = {"dataset_name": layout, "num_keypoints": len(LAYOUTS[layout]),
                "keypoint_id2name": dict(enumerate(LAYOUTS[layout]))}  # fmt: skip
        path.write_text(json.dumps({"meta_info": meta, "instance_info": frames}, indent="\t"))
    else:
        path.write_text(json.dumps(frames, indent="  "))
    return path


def coco_results(path: Path, people: np.ndarray, bbox: bool = False, picture: str | None = None) -> Path:
    joints = joints_of(people, "coco_17", 0)
    results = [
        {"image_id": picture.format(frame) if picture else frame, "category_id": 1, "keypoints": flat(person),
         "score": 0.98} | ({"bbox": [1.5, 2.5, 30.0, 40.0]} if bbox else {})
        for frame in range(len(people)) for person in in_frame(joints, frame)
    ]  # fmt: skip
    path.write_text(json.dumps(results))
    return path


def coco_dataset(path: Path, people: np.ndarray, layout: str = "coco_17") -> Path:
    joints = joints_of(people, layout, 0)
    joints[..., 2] = np.where(joints[..., 2] > 0.5, 2, np.where(joints[..., 2] > 0, 1, 0))
    images, annotations = [], []
    for frame in range(len(people)):
        images.append({"id": frame + 100, "file_name": f"frame_{frame}.jpg", "width": WIDTH, "height": HEIGHT})
        for person in in_frame(joints, frame):
            annotations.append({"id": len(annotations), "image_id": frame + 100, "category_id": 1, "iscrowd": 0,
                                "keypoints": flat(person), "num_keypoints": int((person[:, 2] > 0).sum())})  # fmt: skip
    category = {"id": 1, "name": "person", "keypoints": list(LAYOUTS[layout]), "skeleton": [[1, 2]]}
    images.reverse()  # in any order
    tree = {"info": {"year": 2024}, "licenses": [], "images": images, "annotations": annotations}
    path.write_text(json.dumps(tree | {"categories": [category]}))
    return path
