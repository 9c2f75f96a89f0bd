"""The training data as arrays: labels, children, and all poses in one memory-mapped file that every fold shares."""

import dataclasses
import hashlib
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spasm.core.errors import DataError, DataProblems, collect_errors
from spasm.core.files import atomic_write, remove_stale
from spasm.data import annotations
from spasm.data.annotations import read_tables
from spasm.data.formats.convert import opened
from spasm.data.landmarks import LANDMARKS
from spasm.data.naming import child_of
from spasm.data.pose import CHANNELS, FPS, found
from spasm.data.segments import Progress, _read_file, inspect_pose, read_pose


@dataclasses.dataclass(frozen=True, eq=False)
class TrainingData:
    """The training segments in the order of their names, N of them."""

    names: tuple[str, ...]
    children: tuple[str, ...]
    """The child of each segment."""
    labels: np.ndarray
    """(N,) int64, 0 or 1."""
    poses: np.memmap
    """(N, T, 33, 5) float32, read-only, on disk; NaN: not found."""
    has_pose: np.ndarray
    """(N,) bool: a landmark was found in some frame."""
    fingerprint: str
    """sha256 in hex over T, the names, the files' bytes and the labels."""
    groups: dict[str, dict[str, str]]
    """Row of groups.csv of each child there; empty without that file."""
    simulated: bool
    """The simulator wrote this folder, and results on it must say so."""
    warnings: tuple[DataError, ...] = ()
    """What is odd in the tables, and files that are the same under two children; `verify.py` knows more."""
    folder: Path = Path()
    """Where the segments are: the data folder, or what a foreign layout was converted to."""
    targets: np.ndarray | None = None
    """(N,) float32: probabilities to be taught, from onsets.csv; None without that file."""
    label_level: str | None = None
    """"child": a label belongs to the child, and the largest of its segments counts; None: each segment by itself."""
    notice: str = ""
    """One line on what was converted; empty where nothing was."""

    def __getstate__(self) -> dict[str, Any]:
        """For other processes: where the poses lie on disk, and not their bytes."""
        state = dict(vars(self))
        if isinstance(self.poses, np.memmap):
            place = (str(self.poses.filename), self.poses.dtype, self.poses.mode, self.poses.offset, self.poses.shape)
            state["poses"] = place
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        if isinstance(state["poses"], tuple):
            state["poses"] = np.memmap(*state["poses"])
        vars(self).update(state)


class SegmentFiles:
    """The poses (N, T, 33, 5) float32 of segment files, read and checked when rows are asked for."""

    def __init__(self, paths: Sequence[Path], frames: int, root: Path) -> None:
        self.paths, self.frames, self.root = paths, frames, root
        self.shape = (len(paths), frames, len(LANDMARKS), len(CHANNELS))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, rows: int | slice | np.ndarray) -> np.ndarray:
        if isinstance(rows, slice):
            rows = np.arange(len(self))[rows]
        if isinstance(rows, np.ndarray):
            read = [self[int(row)] for row in rows]
            return np.stack(read) if read else np.empty((0, *self.shape[1:]), np.float32)
        return read_pose(self.paths[rows], self.frames, self.root)


def load_training(data: Path, frames: int | None, names: str, cache: Path, progress: Progress = iter) -> TrainingData:
    """Check train/ and train_data.csv, and open the poses as one array in the folder `cache`, built when needed.

    A folder in another layout that `formats` knows is converted first, beneath `cache` too. frames: T; None for 150, or
    what the layout says.
    Raises DataProblems with everything that is wrong, DataError for one class alone, and OSError (disk full, say)
    when the cache cannot be written; a cache that is not whole is never used.
    """
    source = opened(data, frames, cache)
    data, frames = source.folder, source.frames
    tables = read_tables(data, names)
    problems = list(tables.problems)
    digests: dict[str, str] = {}
    for path in progress(tables.train):
        with collect_errors(problems):
            digests[path.name] = hashlib.sha256(_read_file(path, frames, data).raw).hexdigest()
    if problems:  # the values are not checked yet, and the user wants to hear of those as well
        for path in progress([path for path in tables.train if path.name in digests]):
            with collect_errors(problems):
                read_pose(path, frames, data)
        raise DataProblems(problems)
    labels = np.array([tables.labels[path.name] for path in tables.train], dtype=np.int64)
    if len(np.unique(labels)) < 2:
        raise DataError(
            data / "train_data.csv", f"every label is {labels[0]}", "training needs segments of both classes"
        )

    # "poses 1" is the version of this file's checks: cached poses are not checked again.
    key = _sha256(["poses 1", str(frames), *(f"{name} {digest}" for name, digest in digests.items())])[:32]
    shape = (len(tables.train), frames, len(LANDMARKS), len(CHANNELS))
    target = cache / f"{key}.npy"
    header = _cache_header(shape)
    remove_stale(cache, below=False)
    if not _is_whole(target, header, shape):
        _build_cache(target, header, tables.train, digests, frames, data, progress)
    poses = np.memmap(target, dtype=np.float32, mode="r", offset=len(header), shape=shape)
    # In blocks, so that memory stays flat however many segments there are.
    blocks = (poses[i : i + 64] for i in range(0, len(poses), 64))
    has_pose = np.concatenate([found(block).any(axis=(1, 2)) for block in blocks])
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
        folder=data,
        targets=targets,
        label_level=source.label_level,
        notice=source.notice,
    )


def _reported(groups: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """Without the ids of a converted data set: figures are reported by every column, and each id is one child."""
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


def _cache_header(shape: tuple[int, ...]) -> bytes:
    header = io.BytesIO()
    fields = {"descr": np.dtype(np.float32).str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, fields)
    return header.getvalue()


def _is_whole(path: Path, header: bytes, shape: tuple[int, ...]) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(len(header)) == header and path.stat().st_size == len(header) + 4 * math.prod(shape)
    except OSError:
        return False


def _build_cache(
    target: Path,
    header: bytes,
    paths: list[Path],
    digests: dict[str, str],
    frames: int,
    root: Path,
    progress: Progress,
) -> None:
    problems: list[DataError] = []
    target.parent.mkdir(parents=True, exist_ok=True)  # a cache may be removed at any time
    with atomic_write(target) as file:
        file.write(header)
        for path in progress(paths):
            with collect_errors(problems):
                poses, digest, _ = inspect_pose(path, frames, root)
                if digest != digests[path.name]:
                    raise DataError(path, "changed while the data was read", "run again when nothing writes to it")
                file.write(poses.data)
        if problems:
            raise DataProblems(problems)
