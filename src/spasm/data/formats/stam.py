"""STAM's layout: `labels.txt` and one pose sequence per infant, cut into blocks that are evaluated together.

Nguyen-Thai et al. 2021, https://arxiv.org/abs/2105.09783, and the toy data of its repository. Its files:
labels.txt                      infant_id,label (0 or 1)
pose_sequences/INFANT/          raw_skel.npy or pose_sequence.npy, (7, T, 18); `INFANT_sub_K` is a part of INFANT
preprocessed_poses/INFANT/      the same files, if there is no pose_sequences/
estimated_poses/                tables of OpenPose's keypoints, if there is neither; see openpose.py
folds/random_split/, or split/  {train,val,test}_0K.txt: infant_id,label
"""

import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from spasm.core.errors import DataError, DataProblems, collect_errors, first_few, shorten
from spasm.core.npy import read_npy
from spasm.core.tables import numbered_rows
from spasm.core.windows import window_starts
from spasm.data.annotations import LabelLevel
from spasm.data.formats import openpose
from spasm.data.formats.base import SHORTEST, Child, ForeignDataset, check_id, entries, merge_warnings
from spasm.data.landmarks import OPENPOSE_18
from spasm.data.pose import LARGEST

CHANNELS = ("x", "y", "vx", "vy", "ax", "ay", "displacement")
# Where the published toy data, which has 19 channels, keeps these; its channel 7, the smoothed vy, is a copy of vx.
OF_19 = (0, 1, 4, 5, 10, 11, 16)
LONGEST = 10_000_000  # frames: four days
ARRAYS = ("raw_skel.npy", "pose_sequence.npy")
POSE_FOLDERS = ("pose_sequences", "preprocessed_poses", "estimated_poses")
SPLIT_FOLDERS = ("folds/random_split", "split")
BLOCK = 1000  # frames
TRUNK = 0.2  # of the picture: length given to every trunk, so that coordinates have the usual size


def recognised(data: Path) -> bool:
    return os.path.lexists(data / "labels.txt") and _pose_folder(data) is not None


def source_files(data: Path) -> list[Path]:
    """Everything that `read` reads, sorted. Raises DataError."""
    found = [data / "labels.txt", *(path for parts in _sequence_files(data).values() for path in parts)]
    if _pose_folder(data) == data / "estimated_poses":
        found += openpose.video_tables(data)
    return sorted([*found, *_split_files(data)])


def read(data: Path, frames: int | None) -> ForeignDataset:
    """Read and check everything, and cut each sequence into blocks of `frames`.

    frames: None for the length of the shortest sequence, at most 1000.

    Blocks overlap by a fifth. Raises DataProblems with everything that is wrong.
    """
    problems: list[DataError] = []
    warnings: list[DataError] = []
    labels: dict[str, int] = {}
    paths: dict[str, list[Path]] = {}
    sequences: dict[str, list[np.ndarray]] = {}
    with collect_errors(problems):
        labels = _read_labels(data / "labels.txt", data)
    with collect_errors(problems):
        paths = _sequence_files(data)
    pictures: dict[str, openpose.Picture] = {}
    with collect_errors(problems):
        if _pose_folder(data) == data / "estimated_poses":
            pictures = openpose.video_sizes(data)
    for infant, parts in paths.items():
        if infant not in labels:
            problems.append(DataError(parts[0], "has no label", f"add {infant} to labels.txt or move it away"))
        for path in parts:
            with collect_errors(problems):
                if path.suffix == ".npy":
                    sequence, odd = read_sequence(path, data)
                    warnings += odd
                else:
                    sequence = openpose.read_estimated(path, data, pictures.get(infant))
                if sequence.shape[1] < SHORTEST:
                    reason = f"has {sequence.shape[1]} frames; {SHORTEST} at least are needed"
                    raise DataError(path, reason, "leave it out")
                xy = 0.5 + TRUNK * sequence[:2].transpose(1, 2, 0)
                sequences.setdefault(infant, []).append(xy.astype(np.float32))
    splits: list[dict[str, list[str]]] = []
    with collect_errors(problems):
        splits, odd = read_splits(data, labels or None)
        warnings += odd
    if problems:
        raise DataProblems(problems)
    if not sequences:
        raise DataError(_pose_folder(data) or data, "holds no pose sequence", f"of each infant {' or '.join(ARRAYS)}")
    if absent := sorted(set(labels) - set(sequences)):
        reason = f"{len(absent)} infants have a label but no pose sequence: {first_few(absent)}"
        warnings.append(DataError(data / "labels.txt", reason, "they are left out"))

    shortest, infant = min((len(xy), infant) for infant, parts in sequences.items() for xy in parts)
    if frames is not None and frames > shortest:
        reason = f"the shortest sequence, of {infant}, has {shortest} frames and makes no block of --frames {frames}"
        raise DataError(_pose_folder(data) or data, reason, f"use {shortest} or fewer, or leave --frames out")
    block = frames or min(BLOCK, shortest)
    children = [
        Child(
            infant,
            [
                (labels[infant], xy[start : start + block])
                for xy in parts
                for start in window_starts(len(xy), block, block - block // 5)
            ],
        )
        for infant, parts in sorted(sequences.items())
    ]
    folds = folds_of(splits, set(sequences))
    if folds is not None:
        split = "; its test parts are folds, which --folds-file takes from folds.csv there"
    elif splits:
        split = f"; its {len(splits)} test parts overlap or leave infants out, so our own folds are used"
    else:
        split = ""
    notice = (
        f"STAM's layout: {len(children)} infants in {sum(len(child.segments) for child in children)} blocks of {block} "
        f"frames; compare.py evaluates an infant by its largest block, other scripts evaluate blocks{split}"
    )
    return ForeignDataset(
        "STAM", block, OPENPOSE_18, children, LabelLevel.CHILD, notice, merge_warnings(warnings), folds
    )


def read_sequence(path: Path, root: Path | None = None) -> tuple[np.ndarray, list[DataError]]:
    """One pose sequence (7, T, 18) float64, its channels as CHANNELS and joints as OPENPOSE_18, and warnings.

    Coordinates are in trunk lengths: the upper body about the middle of the shoulders, the lower about that of the hips
    and moved down by one. A file of 19 channels, as the published toy data has, loses those that STAM does not name.
    Raises DataError, also where a value is not finite.
    """
    values = read_npy(path, root, "pose sequence", 19 * LONGEST * 18 * 8, _check_shape(path)).array()
    warnings = []
    if len(values) == 19:
        values = values[list(OF_19)]
        reason = "has 19 channels; x, y, raw velocity and acceleration, and displacement are taken"
        hint = "accepted; a smoothed vy is not in it: its channel 7 repeats vx"
        warnings.append(DataError(path, reason, hint))
    with np.errstate(invalid="ignore"):
        exact = values.astype(np.float64)
    bad = ~(np.abs(exact) <= LARGEST)
    if bad.any():
        channel, frame, joint = (int(i) for i in np.argwhere(bad)[0])
        value = exact[channel, frame, joint]
        reason = f"{CHANNELS[channel]} of {OPENPOSE_18[joint]} in frame {frame} is {value:g}"
        raise DataError(path, reason, f"values are finite and at most {LARGEST:g}: interpolate gaps, or cut them off")
    return exact, warnings


def _check_shape(path: Path) -> Callable[[tuple[int, ...]], None]:
    def check(shape: tuple[int, ...]) -> None:
        if len(shape) != 3 or shape[0] not in (7, 19) or shape[2] != 18 or not shape[1]:
            hint = "axes are channels (7, or the toy data's 19), frames, joints (18)"
            raise DataError(path, f"has shape {shorten(shape)}, not (7, T, 18)", hint)

    return check


# ---- tables and files


def read_splits(
    data: Path, infants: set[str] | dict[str, int] | None = None
) -> tuple[list[dict[str, list[str]]], list[DataError]]:
    """The infants of "train", "val" and "test" in each of STAM's splits, and warnings; no split without its files.

    `INFANT_sub_K` counts for its infant. Raises DataProblems, also for one that is not among `infants`.
    """
    problems: list[DataError] = []
    warnings: list[DataError] = []
    splits: dict[int, dict[str, list[str]]] = {}
    for path in _split_files(data):
        part, number = path.stem.split("_")
        with collect_errors(problems):
            named = [_infant(row["infant_id"]) for _, row in numbered_rows(path, ("infant_id",), data)]
            splits.setdefault(int(number), {})[part] = list(dict.fromkeys(named))
            unknown = sorted(set(named) - set(infants)) if infants is not None else []
            if unknown:
                reason = f"{len(unknown)} infants are not in labels.txt: {first_few(unknown)}"
                raise DataError(path, reason, "correct them")
    for split, parts in sorted(splits.items()):
        seen: set[str] = set()
        for infant in [infant for part in parts.values() for infant in part]:
            if infant in seen:
                reason = f"split {split}: {infant} is in two of its parts"
                hint = "a leak; our own folds keep infants whole"
                warnings.append(DataError(_split_files(data)[0].parent, reason, hint))
            seen.add(infant)
    if problems:
        raise DataProblems(problems)
    return [parts for _, parts in sorted(splits.items())], warnings


def folds_of(splits: list[dict[str, list[str]]], infants: set[str]) -> dict[str, int] | None:
    """Fold of each infant, where the test parts hold each of `infants` once; otherwise None."""
    tests = [split.get("test", []) for split in splits]
    dealt = [infant for part in tests for infant in part]
    if len(tests) < 2 or len(dealt) != len(set(dealt)) or set(dealt) != infants or not all(tests):
        return None
    return {infant: fold for fold, part in enumerate(tests) for infant in part}


def _read_labels(path: Path, root: Path) -> dict[str, int]:
    labels: dict[str, int] = {}
    problems: list[DataError] = []
    for line, row in numbered_rows(path, ("infant_id", "label"), root):
        infant, label = row["infant_id"], row["label"]
        with collect_errors(problems):
            check_id(path, infant)
            if infant in labels:
                raise DataError(path, f"line {line}: {infant} is there twice", "delete one of the two")
            if label not in ("0", "1"):
                raise DataError(path, f"line {line}: label {shorten(label)} of {infant}", "a label is 0 or 1")
            labels[infant] = int(label)
    if problems:
        raise DataProblems(problems)
    return labels


def _infant(name: str) -> str:
    return re.sub(r"_sub_[0-9]+$", "", name)


def _pose_folder(data: Path) -> Path | None:
    return next((data / name for name in POSE_FOLDERS if os.path.isdir(data / name)), None)


def _sequence_files(data: Path) -> dict[str, list[Path]]:
    """The files of each infant's pose sequences, in the order of the infants' ids."""
    folder = _pose_folder(data)
    if folder is None:
        raise DataError(data, "has no folder of poses", f"one of {', '.join(POSE_FOLDERS)}")
    if folder.name == "estimated_poses":
        return openpose.pose_tables(data)
    found: dict[str, list[Path]] = {}
    for name in entries(folder, data):
        if not os.path.isdir(folder / name):
            continue
        inside = entries(folder / name, data)
        arrays = [array for array in ARRAYS if array in inside]
        if arrays:
            found.setdefault(check_id(folder, _infant(name)), []).append(folder / name / arrays[0])
        elif pickles := [entry for entry in inside if entry.endswith((".pkl", ".pickle"))]:
            raise openpose.refused_pickle(folder / name / pickles[0], "preprocessed_poses")
        else:
            raise DataError(folder / name, "holds no pose sequence", f"put {' or '.join(ARRAYS)} there")
    return dict(sorted(found.items()))


def _split_files(data: Path) -> list[Path]:
    for name in SPLIT_FOLDERS:
        if os.path.isdir(data / name):
            pattern = re.compile(r"(train|val|test)_[0-9]{1,4}\.txt")
            return [data / name / entry for entry in entries(data / name, data) if pattern.fullmatch(entry)]
    return []
