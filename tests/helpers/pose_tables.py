"""Poses (T, 33, 5) in fractions of the picture, or (P, T, 33, 5) of people, as other tools write tables and arrays."""

import csv
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from helpers.poses import moving
from spasm.data.landmarks import INDEX, LANDMARKS, joint_weights
from spasm.data.pose_files.base import PoseFile
from spasm.data.pose_files.joints import COCO_17, landmark_of, to_landmarks

SIZE = (640, 480)  # of the picture, in pixels
FRAMES = 40
DLC = ("nose", "lshoulder", "rshoulder", "lelbow", "relbow", "lhand", "rhand", "lhip", "rhip", "lknee", "rknee",
       "lfoot", "rfoot")  # fmt: skip


def child(seed: int = 0, frames: int = FRAMES) -> np.ndarray:
    """A child (T, 33, 5) float64 whose landmarks have different confidences, and no pose in frames 5 to 7."""
    poses = moving(seed, frames)[0].astype(np.float64)
    poses[..., 3:] = np.random.default_rng(seed).uniform(0.61, 1, (frames, 33, 1))
    poses[5:8] = np.nan
    return poses


def two_people() -> np.ndarray:
    """The child and an adult (2, T, 33, 5); the adult is there from frame 10 on."""
    people = np.stack([child(), child(1)])
    people[1, :, :, 0] += 0.2
    people[1, :10] = np.nan
    return people


def check_landmarks(found: PoseFile, poses: np.ndarray, person: int = 0, tolerance: float = 1e-9) -> None:
    """The landmarks of a person are those of `poses` (T, 33, 5); z may be missing."""
    unit = np.array(SIZE if found.unit == "pixels" else (1, 1))
    landmarks, _, absent = to_landmarks(found.poses, found.joints)
    there = [INDEX[name] for name in LANDMARKS if name not in absent]
    assert len(there) >= 13
    got = landmarks[: len(poses), person, there]
    np.testing.assert_allclose(got[..., :2] / unit, poses[: len(got), there, :2], atol=tolerance)
    np.testing.assert_allclose(got[..., 3], poses[: len(got), there, 3], atol=tolerance)


def write_rows(path: Path, rows: Iterable[Sequence[object]], separator: str = ",") -> Path:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=separator).writerows(rows)
    return path


def cells(values: Iterable[float]) -> list[object]:
    """Numbers with NaN as empty cells, as pandas writes them."""
    return ["" if np.isnan(value) else repr(float(value)) for value in values]


def joints(poses: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """The named joints (..., J, 5) of landmarks (..., 33, 5); a name may be in another tool's spelling."""
    known = [landmark_of(name) for name in names]
    return np.stack([poses[..., INDEX[name], :] if name else poses.mean(axis=-2) for name in known], axis=-2)


def pixels(poses: np.ndarray) -> np.ndarray:
    scaled = np.array(poses, dtype=np.float64)
    scaled[..., :2] *= SIZE
    return scaled


# ---- CSV


def mediapipe_csv(
    path: Path,
    poses: np.ndarray,
    name: str = "{joint}_{channel}",
    channels: Sequence[str] = ("x", "y", "z", "visibility"),
    before: dict[str, Sequence[object]] | None = None,
    numbered_from: int | None = None,
    separator: str = ",",
) -> Path:
    """One row a frame. before: columns before the joints. numbered_from: number of the first joint instead of names."""
    before = before or {}
    spelt = LANDMARKS if numbered_from is None else [str(numbered_from + i) for i in range(len(LANDMARKS))]
    header = [*before, *(name.format(joint=joint, channel=channel) for joint in spelt for channel in channels)]
    rows = [
        [*(column[frame] for column in before.values()), *cells(pose[:, : len(channels)].ravel())]
        for frame, pose in enumerate(poses)
    ]
    return write_rows(path, [header, *rows], separator)


def long_csv(path: Path, poses: np.ndarray, spell: Callable[[int], object] = LANDMARKS.__getitem__) -> Path:
    """One row a joint; spell: how the landmark of a number is written."""
    rows: list[list[object]] = [["frame", "landmark", "x", "y", "z", "visibility"]]
    for frame, pose in enumerate(poses):
        for number in range(len(LANDMARKS)):
            if np.isfinite(pose[number, 0]):
                rows.append([frame, spell(number), *cells(pose[number, :4])])
    return write_rows(path, rows)


def yolo_csv(path: Path, people: np.ndarray) -> Path:
    """`frame, nose.x, nose.y, nose.c, ..., person` in pixels: 0 for a missing joint, no row for a missing person."""
    rows: list[list[object]] = [
        ["frame", *(f"{name}.{channel}" for name in COCO_17 for channel in ("x", "y", "c")), "person"]
    ]
    for frame in range(people.shape[1]):
        for person in range(len(people)):
            found = np.nan_to_num(pixels(joints(people[person, frame], COCO_17)))
            if found.any():
                rows.append([frame, *found[:, [0, 1, 3]].ravel().tolist(), person])
    return write_rows(path, rows)


def sleap_csv(path: Path, people: np.ndarray, names: Sequence[str]) -> Path:
    """SLEAP's "Export Analysis CSV"."""
    rows: list[list[object]] = [
        ["track", "frame_idx", "instance.score", *(f"{name}.{end}" for name in names for end in ("x", "y", "score"))]
    ]
    for frame in range(people.shape[1]):
        for person in range(len(people)):
            found = pixels(joints(people[person, frame], names))
            if np.isfinite(found[:, 0]).any():
                rows.append([f"track_{person}", frame, 0.9, *cells(found[:, [0, 1, 3]].ravel())])
    return write_rows(path, rows)


def deeplabcut_csv(
    path: Path,
    people: np.ndarray,
    names: Sequence[str],
    individuals: Sequence[str] = (),
    index: str = "{frame}",
    likelihood: bool = True,
) -> Path:
    """DeepLabCut's header of three rows, or of four with individuals; `index` formats the first column."""
    coords = ("x", "y", "likelihood") if likelihood else ("x", "y")
    of_people = individuals or ("",)
    columns = [(person, name, coord) for person in of_people for name in names for coord in coords]
    header = [["scorer", *["DLC_resnet50_infantsJul1shuffle1_50000"] * len(columns)]]
    header += [["individuals", *(person for person, _, _ in columns)]] if individuals else []
    header += [["bodyparts", *(name for _, name, _ in columns)], ["coords", *(coord for _, _, coord in columns)]]
    rows = []
    for frame in range(people.shape[1]):
        found = pixels(joints(people[:, frame], names))[..., [0, 1, 3][: len(coords)]]
        rows.append([index.format(frame=frame), *cells(found.ravel())])
    return write_rows(path, [*header, *rows])


# ---- binary files


def sleap_h5(path: Path, people: np.ndarray, names: Sequence[str], preset: str | None = None) -> Path:
    """SLEAP's analysis file; preset: "standard" or "matlab" as sleap-io writes them, with `dims`."""
    import h5py

    found = pixels(joints(people, names))
    tracks, scores = found[..., :2], found[..., 3]  # (tracks, frames, nodes, 2)
    if preset == "standard":
        tracks, scores, dims = tracks.transpose(1, 0, 2, 3), scores.transpose(1, 0, 2), ["frame", "track", "node", "xy"]
    else:
        tracks, scores, dims = tracks.transpose(0, 3, 2, 1), scores.transpose(0, 2, 1), ["track", "xy", "node", "frame"]
    with h5py.File(path, "w") as file:
        made = file.create_dataset("tracks", data=tracks, compression="gzip", compression_opts=9)
        if preset:
            made.attrs["dims"] = json.dumps(dims)
        file.create_dataset("point_scores", data=scores, compression="gzip")
        there = np.isfinite(found[..., 0]).any(axis=2)
        file.create_dataset("track_occupancy", data=there.T.astype(np.uint8))
        file.create_dataset("node_names", data=np.array(names, dtype="S"))
        file.create_dataset("track_names", data=np.array([f"track_{i}" for i in range(len(people))], dtype="S"))
        file.create_dataset("edge_inds", data=np.array([[0, 1]]))
        file.attrs["format"] = "analysis"
    return path


def islr_parquet(path: Path, poses: np.ndarray, first: int = 20) -> Path:
    """Rows of all 543 landmarks a frame, as Kaggle's sign language data has them."""
    import pandas as pd

    parts = [("face", 468), ("left_hand", 21), ("pose", 33), ("right_hand", 21)]
    kinds = [(kind, number) for kind, count in parts for number in range(count)]
    values = np.full((len(poses), len(kinds), 3), np.nan)
    values[:, 489:522] = poses[..., :3]
    table = pd.DataFrame(
        {
            "frame": np.repeat(np.arange(first, first + len(poses)), len(kinds)).astype(np.int16),
            "row_id": [f"{frame + first}-{kind}-{n}" for frame in range(len(poses)) for kind, n in kinds],
            "type": [kind for kind, _ in kinds] * len(poses),
            "landmark_index": np.array([number for _, number in kinds] * len(poses), dtype=np.int16),
            **{axis: values[..., at].ravel() for at, axis in enumerate("xyz")},
        }
    )
    table.to_parquet(path, engine="pyarrow")
    return path


def stgcn_array(poses: np.ndarray, names: Sequence[str], frames: int = 300, people: int = 2) -> np.ndarray:
    """ST-GCN's kinetics array (1, 3, frames, J, people): about the middle of the picture, zeros where nothing is."""
    found = np.einsum("jl,tlc->tjc", joint_weights(names), np.nan_to_num(poses.astype(np.float64)))
    there = np.isfinite(poses[:, :, 0]).all(axis=1)
    array = np.zeros((1, 3, frames, len(names), people), dtype=np.float32)
    centred = np.concatenate([found[..., :2] - 0.5, found[..., 3:4]], axis=-1)
    centred[~there] = 0
    array[0, :, : len(poses), :, 0] = centred.transpose(2, 0, 1)
    return array


# ---- text


def kinetics_json(path: Path, people: np.ndarray, names: Sequence[str]) -> Path:
    """Kinetics-skeleton: fractions of the picture to three digits, 0 where a joint or a person is missing."""
    data = []
    for frame in range(people.shape[1]):
        found = np.round(
            np.nan_to_num(np.einsum("jl,plc->pjc", joint_weights(names), np.nan_to_num(people[:, frame]))), 3
        )
        skeleton = [
            {"pose": person[:, :2].ravel().tolist(), "score": person[:, 3].tolist()} for person in found if person.any()
        ]
        data.append({"frame_index": frame + 1, "skeleton": skeleton})
    path.write_text(json.dumps({"data": data, "label": "crawling baby", "label_index": 77}), encoding="utf-8")
    return path


def ultralytics_txt(folder: Path, people: np.ndarray, extra: str = "", confidence: bool = True, first: int = 1) -> Path:
    """`yolo pose predict save_txt=True`: one file a frame with a person. extra: "conf", "id", "conf id" or nothing."""
    folder.mkdir(parents=True)
    for frame in range(people.shape[1]):
        lines = []
        for person in range(len(people)):
            found = np.nan_to_num(joints(people[person, frame], COCO_17).astype(np.float64))
            if not found.any():
                continue
            keypoints = found[:, [0, 1, 3] if confidence else [0, 1]].ravel()
            line = [0, 0.5, 0.5, 0.4, 0.6, *keypoints]
            line += [0.8765] * ("conf" in extra) + [person + 1] * ("id" in extra)
            lines.append(" ".join(f"{value:g}" for value in line))
        if lines:
            (folder / f"ward_7_{frame + first}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder
