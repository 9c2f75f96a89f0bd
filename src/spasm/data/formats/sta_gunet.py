"""STA-GUNet's layout: one JSON per clip, of 18 joints with their coordinates, speed and acceleration.

https://ieeexplore.ieee.org/document/11180141 and its published code. Its files, the same for `train` and `val`:
kinetics_train/CLIP.json         [{"features": [18 x {"coordinate": [x, y], "speed": [vx, vy],
                                 "acceleration": [ax, ay]}]}, ...], one object per frame
kinetics_train_label.json        {"CLIP": {"label_index": 0 or 1}, ...}
groups.csv                       clip,child: our optional addition; the format itself names no child
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spasm.core import files
from spasm.core.errors import DataError, DataProblems, collect_errors, first_few, shorten
from spasm.core.files import open_regular
from spasm.core.tables import numbered_rows
from spasm.data.annotations import LabelLevel
from spasm.data.findings import is_mark
from spasm.data.formats.base import SHORTEST, Child, ForeignDataset, check_id, entries
from spasm.data.landmarks import COCO_17_NECK, joint_weights
from spasm.data.naming import child_of
from spasm.data.pose import LARGEST

PARTS = ("train", "val")
LONGEST = 205  # frames; later frames are not read, as in the published code
QUANTITIES = ("coordinate", "speed", "acceleration")
JOINTS = len(COCO_17_NECK)
PIXELS = 10.0  # a larger median coordinate means pixels
MOST_BYTES = 100_000_000  # of a JSON file: two hundred times the size of a clip


def recognised(data: Path) -> bool:
    names = [f"kinetics_{part}{end}" for part in PARTS for end in ("", "_label.json")]
    return any(os.path.lexists(data / name) for name in names)


def source_files(data: Path) -> list[Path]:
    """Everything that `read` reads, sorted. Raises DataError."""
    tables = [data / f"kinetics_{part}_label.json" for part in PARTS] + [data / "groups.csv"]
    clips = [path for part in PARTS for path in _clips(data, part)]
    return sorted([*(path for path in tables if os.path.lexists(path)), *clips])


def read(data: Path, frames: int | None) -> ForeignDataset:
    """Read and check every clip of both parts. T is the longest clip's, at most 205; others end in missing frames.

    Raises DataProblems with everything that is wrong, also if `frames` differs from T.
    """
    problems: list[DataError] = []
    warnings: list[DataError] = []
    clips: dict[str, np.ndarray] = {}
    labels: dict[str, int] = {}
    for part in PARTS:
        paths: list[Path] = []
        labelled: dict[str, int] = {}
        with collect_errors(problems):
            paths = _clips(data, part)
        if os.path.lexists(table := data / f"kinetics_{part}_label.json") or paths:
            with collect_errors(problems):
                labelled = read_labels(table, data)
        for path in paths:
            with collect_errors(problems):
                if check_id(path, path.stem) in clips:
                    raise DataError(path, "a clip of this id is in kinetics_train too", "a leak: delete one of the two")
                if path.stem not in labelled:
                    raise DataError(path, "has no label", f"add it to {table.name}: no label is not a label of 0")
                clips[path.stem] = read_clip(path, data)[..., :2]
                labels[path.stem] = labelled[path.stem]
        if absent := sorted(set(labelled) - {path.stem for path in paths}):
            reason = f"{len(absent)} clips have a label but no file: {first_few(absent)}"
            warnings.append(DataError(table, reason, "they are left out"))
    child_of_clip: dict[str, str] = {}
    with collect_errors(problems):
        child_of_clip = _children(data, sorted(clips))
    if problems:
        raise DataProblems(problems)
    if not clips:
        raise DataError(data, "holds no clip", "put CLIP.json files into kinetics_train/")
    longest = max(map(len, clips.values()))
    if longest < SHORTEST:
        raise DataError(data, f"the longest clip has {longest} frames", f"{SHORTEST} at least are needed")
    if frames not in (None, longest):
        raise DataError(data, f"its clips have {longest} frames (T), not {frames}", "leave --frames out")
    if not os.path.lexists(data / "groups.csv"):
        reason = "the format names no child, so that each clip counts as a child of its own"
        hint = "folds then leak where a child has several clips: add groups.csv with clip,child"
        warnings.append(DataError(data, reason, hint))

    unit = _unit(list(clips.values()))
    children: dict[str, Child] = {}
    for clip, xy in sorted(clips.items()):
        id = child_of_clip.get(clip, clip)
        segment = np.full((longest, JOINTS, 2), np.nan, dtype=np.float32)
        segment[: len(xy)] = xy / unit
        children.setdefault(id, Child(id, [])).segments.append((labels[clip], segment))
    notice = f"STA-GUNet's layout: {len(clips)} clips of {len(children)} children, T = {longest}"
    if unit != 1:
        notice += f"; coordinates were divided by {unit:g}, the largest there is, as the format names no unit"
    return ForeignDataset(
        "STA-GUNet",
        longest,
        COCO_17_NECK,
        [children[id] for id in sorted(children)],
        LabelLevel.SEGMENT,
        notice,
        warnings,
    )


def read_clip(path: Path, root: Path | None = None) -> np.ndarray:
    """A clip (T, 18, 6) float64: x, y, vx, vy, ax, ay of each joint of COCO_17_NECK; at most 205 frames.

    NaN: a frame that does not have 18 joints, a joint that is NaN in the file, and a joint at (0, 0) or (-1, -1), which
    is how pose estimators mark a joint they did not find. A missing acceleration counts as 0. Raises DataError.
    """
    tree = _json(path, root)
    if not isinstance(tree, list) or not tree:
        raise DataError(path, "does not hold a list of frames", 'a clip is [{"features": [...]}, ...]')
    clip = np.full((min(len(tree), LONGEST), JOINTS, 2 * len(QUANTITIES)), np.nan)
    for number, frame in enumerate(tree[:LONGEST]):
        joints = frame.get("features", []) if isinstance(frame, dict) else None
        if not isinstance(joints, list):
            raise DataError(path, f"frame {number} is not an object with features", "export the clip again")
        if len(joints) == JOINTS:
            clip[number] = [_joint(path, number, joint) for joint in joints]
    clip[is_mark(clip[..., 0], clip[..., 1])] = np.nan
    return clip


def read_labels(path: Path, root: Path | None = None) -> dict[str, int]:
    """Label 0 or 1 of each clip. Raises DataError."""
    tree = _json(path, root)
    if not isinstance(tree, dict):
        raise DataError(path, "does not hold one JSON object", '{"CLIP": {"label_index": 0}, ...}')
    labels = {}
    for clip, entry in tree.items():
        label = entry.get("label_index") if isinstance(entry, dict) else None
        if type(label) is not int or label not in (0, 1):
            raise DataError(path, f"label_index {shorten(label)} of {shorten(clip)}", "a label is 0 or 1")
        labels[clip] = label
    return labels


def write_clips(folder: Path, names: Sequence[str], segments: np.ndarray, labels: Sequence[int] | np.ndarray) -> None:
    """Write segments (N, T, 33, 5) as kinetics_train/, its labels, and groups.csv with the children.

    names: of the segment files. Speed and acceleration are differences between frames, 0 where undefined. A frame
    without a pose is written without joints; a single missing joint is written as (0, 0). Raises DataError for
    segments longer than the format allows.
    """
    if segments.shape[1] > LONGEST:
        reason = f"have {segments.shape[1]} frames; STA-GUNet's layout holds {LONGEST}"
        raise DataError("the segments", reason, "use shorter segments")
    weights = joint_weights(COCO_17_NECK)
    parts = [np.flatnonzero(row) for row in weights]  # not a product with `weights`: 0 times NaN would be NaN
    for name, poses in zip(names, segments, strict=True):
        xy = np.stack([poses[:, part, :2].astype(np.float64).mean(axis=1) for part in parts], axis=1)
        speed = np.nan_to_num(np.diff(xy, axis=0, prepend=xy[:1]))
        acceleration = np.diff(speed, axis=0, prepend=speed[:1])
        frames = []
        for seen, values in zip(
            np.isfinite(xy).any(axis=(1, 2)), np.stack([np.nan_to_num(xy), speed, acceleration], axis=2), strict=True
        ):
            joints = [dict(zip(QUANTITIES, joint.tolist(), strict=True)) for joint in values] if seen else []
            frames.append({"features": joints})
        content = json.dumps(frames, allow_nan=False).encode()
        files.write_bytes(folder / "kinetics_train" / f"{name.removesuffix('.npy')}.json", content)
    clips = [name.removesuffix(".npy") for name in names]
    table = {clip: {"label_index": int(label)} for clip, label in zip(clips, labels, strict=True)}
    files.write_json(folder / "kinetics_train_label.json", table)
    files.write_csv(folder / "groups.csv", ("clip", "child"), [(clip, child_of(clip)) for clip in clips])


def _clips(data: Path, part: str) -> list[Path]:
    folder = data / f"kinetics_{part}"
    if not os.path.lexists(folder):
        return []
    return [folder / name for name in entries(folder, data) if name.endswith(".json")]


def _children(data: Path, clips: list[str]) -> dict[str, str]:
    """The child of each clip, from groups.csv if it is there. Raises DataProblems."""
    path = data / "groups.csv"
    if not os.path.lexists(path):
        return {}
    problems: list[DataError] = []
    children: dict[str, str] = {}
    for line, row in numbered_rows(path, ("clip", "child"), data):
        with collect_errors(problems):
            if row["clip"] in children:
                raise DataError(
                    path, f"line {line}: clip {shorten(row['clip'])} is there twice", "delete one of the two"
                )
            children[row["clip"]] = check_id(path, row["child"])
    if absent := [clip for clip in clips if clip not in children]:
        reason = f"{len(absent)} clips have no child: {first_few(absent)}"
        problems.append(DataError(path, reason, "add a row for each"))
    if problems:
        raise DataProblems(problems)
    return children


def _unit(clips: list[np.ndarray]) -> float:
    """The divisor that turns coordinates into fractions of the picture: 1, or the largest one if they are pixels."""
    sizes = np.abs(np.concatenate([xy[np.isfinite(xy)] for xy in clips]))
    return float(sizes.max()) if len(sizes) and np.median(sizes) > PIXELS else 1.0


def _json(path: Path, root: Path | None) -> Any:
    with open_regular(path, root) as (file, size):
        if size > MOST_BYTES:
            raise DataError(path, f"{size} bytes, more than any clip has", "export it again")
        try:
            return json.loads(file.read())
        except (ValueError, RecursionError) as error:
            raise DataError(path, f"is not readable JSON: {error}", "export it again") from error


def _joint(path: Path, frame: int, joint: Any) -> list[float]:
    values: list[float] = []
    for quantity in QUANTITIES:
        pair = joint.get(quantity, (0, 0) if quantity == "acceleration" else None) if isinstance(joint, dict) else None
        # type() and not isinstance(): True is an int to Python, but not a coordinate.
        if (
            not isinstance(pair, (list, tuple))
            or len(pair) != 2
            or not all(type(value) in (int, float) for value in pair)
            or any(abs(value) > LARGEST for value in pair)
        ):
            reason = f"frame {frame} has a joint whose {quantity} is {shorten(pair)}"
            raise DataError(path, reason, f"it is two numbers, at most {LARGEST:g}")
        values += pair
    return values
