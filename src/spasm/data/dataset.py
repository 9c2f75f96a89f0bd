"""The training data as arrays: labels, children, and all poses in one memory-mapped file that every fold shares."""

import contextlib
import dataclasses
import hashlib
import io
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spasm.cluster.task_process import place_of
from spasm.config.data import Data, LandmarkSet, MovementClass
from spasm.core.errors import DataError, DataProblems, collect_errors
from spasm.core.files import atomic_write, remove_stale, sync, temporary_in, with_path
from spasm.core.sealed import read_sealed_array, write_sealed_array
from spasm.data import annotations
from spasm.data.annotations import LabelLevel, read_tables
from spasm.data.findings import NEVER, NO_DEPTH, NO_POSE, ROW, RULES, Findings, fold, from_rows, to_rows
from spasm.data.formats.convert import opened
from spasm.data.index import FileIndex, FileState
from spasm.data.landmark_sets import KEPT, keep_landmarks
from spasm.data.landmarks import LANDMARKS
from spasm.data.naming import child_of
from spasm.data.pictures import SegmentPictures
from spasm.data.pose import CHANNELS, FPS, visible_mask
from spasm.data.segments import Progress, inspect_pose, read_pose

POSES, FINDINGS = "poses.npy", "findings"  # in the cache's folder of a data set


@dataclasses.dataclass(frozen=True, eq=False)
class TrainingData:
    """The training segments in the order of their names, N of them."""

    names: tuple[str, ...]
    children: tuple[str, ...]
    """The child of each segment."""
    labels: np.ndarray
    """(N,) int64, 0 or 1."""
    poses: np.memmap
    """(N, T, 33, 5) float32, read-only, on disk; NaN: not found, or not in the set of landmarks."""
    has_pose: np.ndarray
    """(N,) bool: a landmark was found in some frame."""
    fingerprint: str
    """sha256 in hex over T, the set of landmarks, the names, the files' bytes and the labels."""
    groups: dict[str, dict[str, str]]
    """Row of groups.csv by child; empty without that file."""
    simulated: bool
    """Whether the simulator wrote this folder; results on it must be marked."""
    warnings: tuple[DataError, ...] = ()
    """Oddities in the tables, and identical files under two children; `verify.py` finds more."""
    findings: tuple[str, ...] = ()
    """What was noticed in the poses, one line for each kind, without the segments that have no pose."""
    folder: Path = Path()
    """The folder of the segments: the data folder, or the one that a foreign layout was converted to."""
    targets: np.ndarray | None = None
    """(N,) float32: target probabilities from onsets.csv; None without that file."""
    label_level: LabelLevel = LabelLevel.SEGMENT
    notice: str = ""
    """One line about the conversion; empty without one."""
    landmarks: LandmarkSet = "all"
    """The set of landmarks that the poses hold."""
    positive: MovementClass | None = None
    """The class with label 1, where the data is a tree of general movements."""
    cache: Path | None = None
    """Cache folder for results computed from these poses; it may be deleted at any time. None: nothing is kept."""

    @property
    def pictures(self) -> SegmentPictures:
        """The pictures of all segments, where there are any."""
        return SegmentPictures(tuple(self.folder / "train" / name for name in self.names))

    def __getstate__(self) -> dict[str, Any]:
        """State for another process: the path of the poses, not their bytes."""
        state = dict(vars(self))
        if isinstance(self.poses, np.memmap):
            place = (str(self.poses.filename), self.poses.dtype, self.poses.mode, self.poses.offset, self.poses.shape)
            state["poses"] = place
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        if isinstance(state["poses"], tuple):
            path, *about = state["poses"]
            place = place_of(path)
            state["poses"] = np.memmap(place, *about)
            if str(place) != path:  # a copy on another machine, which is removed with what is computed from it
                state["cache"] = place.parent
        vars(self).update(state)


class SegmentFiles:
    """The poses (N, T, 33, 5) float32 of segment files, each read and checked when its row is accessed."""

    def __init__(self, paths: Sequence[Path], frames: int, root: Path, landmarks: LandmarkSet) -> None:
        self.paths, self.frames, self.root, self.landmarks = paths, frames, root, landmarks
        self.shape = (len(paths), frames, len(LANDMARKS), len(CHANNELS))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, rows: int | slice | np.ndarray) -> np.ndarray:
        if isinstance(rows, slice):
            rows = np.arange(len(self))[rows]
        if isinstance(rows, np.ndarray):
            read = [self[int(row)] for row in rows]
            return np.stack(read) if read else np.empty((0, *self.shape[1:]), np.float32)
        return keep_landmarks(read_pose(self.paths[rows], self.frames, self.root), self.landmarks)


def load_by_settings(read: Data, cache: Path, progress: Progress = iter) -> TrainingData:
    """The training data that flags name, see `load_training`, which says what it raises."""
    return load_training(
        read.data, read.frames, read.name_pattern, cache, progress, read.rehash, read.landmarks, read.positive
    )


def load_training(
    data: Path,
    frames: int | None,
    names: str,
    cache: Path,
    progress: Progress = iter,
    rehash: bool = False,
    landmarks: LandmarkSet = "all",
    positive: MovementClass | None = None,
) -> TrainingData:
    """Check train/ and train_data.csv, and open the poses as one array in the folder `cache`, built when needed.

    A folder in another layout that `formats` supports is first converted, also in `cache`. frames: T; None for 150, or
    for the layout's own T. Files that have not changed since the last call are not read again, see `index`; with
    `rehash` every file is read. landmarks: those that the poses keep. positive: the class with label 1, of a tree of
    general movements. An incomplete cache is never used.
    Raises DataProblems with everything that is wrong, DataError if all labels are of one class, and OSError if the
    cache cannot be written (full disk).
    """
    source = opened(data, frames, cache, rehash, positive)
    data, frames = source.folder, source.frames
    tables = read_tables(data, names, frames)
    if tables.problems:  # also check the values, so that all problems are reported at once
        _raise_problems(tables.train, frames, data, tables.problems, progress)
    labels = np.array([tables.labels[path.name] for path in tables.train], dtype=np.int64)
    if len(np.unique(labels)) < 2:
        _raise_problems(tables.train, frames, data, [], progress)
        raise DataError(
            data / "train_data.csv", f"every label is {labels[0]}", "training needs segments of both classes"
        )

    remove_stale(cache, below=False)
    index = FileIndex(data, cache, rehash)
    shape = (len(tables.train), frames, len(LANDMARKS), len(CHANNELS))
    digests = _known_digests(index, tables.train, progress)
    findings = None if digests is None else _kept_findings(cache / _key(digests, frames, landmarks), shape)
    if digests is None or findings is None:
        digests, findings = _build_cache(cache, index, tables.train, shape, data, landmarks, progress)
    index.save()
    key = _key(digests, frames, landmarks)
    poses = np.memmap(cache / key / POSES, np.float32, "r", len(_cache_header(shape)), shape)
    has_pose = np.array([one.posed > 0 for one in findings])
    names_in_order = tuple(path.name for path in tables.train)
    targets = annotations.targets(names_in_order, labels, tables.onsets, frames / FPS) if tables.onsets else None
    return TrainingData(
        names=names_in_order,
        children=tuple(child_of(path.name) for path in tables.train),
        labels=labels,
        poses=poses,
        has_pose=has_pose,
        fingerprint=_sha256([key, *map(str, labels)]),
        groups=_reported(tables.groups) if source.converted else tables.groups,
        simulated=(data / "simulated.json").is_file(),
        warnings=(
            *source.warnings,
            *tables.warnings,
            *_same_under_two_children(tables.train, digests, has_pose),
        ),
        findings=tuple(fold(names_in_order, findings, without=(NO_POSE, *_unread(findings, landmarks)))),
        folder=data,
        targets=targets,
        label_level=source.label_level,
        notice=source.notice,
        landmarks=landmarks,
        positive=positive,
        cache=cache / key,
    )


def _unread(findings: Sequence[Findings], landmarks: LandmarkSet) -> tuple[str, ...]:
    """The kinds of findings that are only about landmarks, or about depth, that a run does not read."""
    if landmarks == "all":
        return ()
    kept = set(KEPT[landmarks])
    return (NO_DEPTH,) if any(kept & set(one.never_found) for one in findings if one.posed) else (NEVER, NO_DEPTH)


def _reported(groups: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """The groups without the ids of a converted data set: metrics are reported by column, and an id is one child."""
    return {child: {name: cell for name, cell in row.items() if name != "source"} for child, row in groups.items()}


def _same_under_two_children(paths: list[Path], digests: dict[str, str], has_pose: np.ndarray) -> list[DataError]:
    first_with: dict[str, Path] = {}
    warnings = []
    for path, posed in zip(paths, has_pose, strict=True):
        first = first_with.setdefault(digests[path.name], path)
        if posed and child_of(first.name) != child_of(path.name):
            reason = f"the same file as {first.name}, under another child"
            warnings.append(DataError(path, reason, "a leak when one is trained on and the other scored: delete one"))
    return warnings


def _sha256(lines: list[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _key(digests: dict[str, str], frames: int, landmarks: LandmarkSet) -> str:
    """Name of a data set's folder in the cache, another one for other rules of cleaning and other landmarks."""
    kept = [] if landmarks == "all" else [f"landmarks {landmarks}"]
    return _sha256([RULES, str(frames), *kept, *(f"{name} {digest}" for name, digest in digests.items())])[:32]


def _cache_header(shape: tuple[int, ...]) -> bytes:
    header = io.BytesIO()
    fields = {"descr": np.dtype(np.float32).str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, fields)
    return header.getvalue()


def _is_whole(path: Path, shape: tuple[int, ...]) -> bool:
    """Whether cached poses of this shape exist, by their header and size."""
    header = _cache_header(shape)
    try:
        with open(path, "rb") as file:
            return file.read(len(header)) == header and path.stat().st_size == len(header) + 4 * math.prod(shape)
    except OSError:
        return False


def _known_digests(index: FileIndex, paths: list[Path], progress: Progress) -> dict[str, str] | None:
    """The sha256 of each file by its name; only files that may have changed are read.

    None if the index is empty or a file cannot be read: then every file is read and checked anyway.
    """
    if not any(map(index.has_seen, paths)):
        return None
    digests = {path.name: index.known(path) for path in paths}
    changed = [path for path in paths if digests[path.name] is None]
    try:
        for path in progress(changed) if changed else ():
            digests[path.name] = index.sha256(path)
    except DataError:
        return None
    return {name: digest for name, digest in digests.items() if digest is not None}  # all of them


def _build_cache(
    cache: Path,
    index: FileIndex,
    paths: list[Path],
    shape: tuple[int, ...],
    root: Path,
    landmarks: LandmarkSet,
    progress: Progress,
) -> tuple[dict[str, str], list[Findings]]:
    """Read, check and hash each segment once, and write the poses to the cache.

    Gives the sha256 of each by its name, and what was noticed in each.
    shape: (N, T, 33, 5) of all poses. Raises DataProblems with everything that is wrong.
    """
    problems: list[DataError] = []
    digests: dict[str, str] = {}
    findings: list[Findings] = []
    cache.mkdir(parents=True, exist_ok=True)  # a cache may be removed at any time
    written = temporary_in(cache)  # the folder's name depends on the content of all files
    try:
        with with_path(cache):
            with atomic_write(written) as file:
                file.write(_cache_header(shape))
                for path in progress(paths):
                    with collect_errors(problems):
                        before = FileState.of(path)
                        pose, digest, noticed = inspect_pose(path, shape[1], root)
                        index.add(path, before, digest)
                        digests[path.name] = digest
                        pose = keep_landmarks(pose, landmarks)
                        posed = int(visible_mask(pose).any(axis=1).sum())  # without the landmarks that are dropped
                        findings.append(dataclasses.replace(noticed, posed=posed))
                        file.write(pose.data)
                if problems:
                    raise DataProblems(problems, paths)
            folder = cache / _key(digests, shape[1], landmarks)
            write_sealed_array(folder / FINDINGS, to_rows(findings))
            os.replace(written, folder / POSES)
            sync(folder)
    finally:
        with contextlib.suppress(OSError):
            written.unlink()
    return digests, findings


def _kept_findings(folder: Path, shape: tuple[int, ...]) -> list[Findings] | None:
    """What was noticed in cached poses of this shape; None if they or this are not whole."""
    if not _is_whole(folder / POSES, shape):
        return None
    rows = read_sealed_array(folder / FINDINGS, ROW, shape[:1])
    return None if rows is None else list(from_rows(rows))


def _raise_problems(
    paths: list[Path], frames: int, root: Path, problems: Sequence[DataError], progress: Progress
) -> None:
    """Check every segment. Raises DataProblems with all problems, including the given ones, if there are any."""
    every = list(problems)
    for path in progress(paths):
        with collect_errors(every):
            read_pose(path, frames, root)
    if every:
        raise DataProblems(every, paths)
