"""Predict in tasks of a cluster: what runs at a worker. `cluster_predictor.py` is the command's side.

A task predicts some batches of segments, or of windows of a recording, with one core. Its process stays open with the
run's models for the next task. It reads poses and pictures by their path where its machine has the same files;
elsewhere it gets them from the command, but for the pictures of recordings. Batches are the same as without a cluster,
so predictions are, too.
"""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from spasm.cluster import task_process
from spasm.config.runtime import Hardware
from spasm.core.errors import DataError, DataProblems, collect_errors
from spasm.core.windows import cut_windows
from spasm.data import recordings
from spasm.data.findings import Findings
from spasm.data.pictures import RecordingPictures, SegmentPictures, Wanted, pictures_path, unusable
from spasm.data.pose import missing_frames
from spasm.data.segments import inspect_pose
from spasm.features.movement import movement
from spasm.inference.ensemble_predictor import BatchPrediction, EnsemblePredictor, picture_kinds
from spasm.models.network import NetworkModel
from spasm.models.registry import MODELS
from spasm.runs.artefacts import Decision
from spasm.runs.folder import ModelFolder

BATCH = 64  # segments read before they are scored


class Opening(NamedTuple):
    """What a task's process opens."""

    folder: Path
    """The command's working folder, in which its paths are valid."""
    run: Path
    """The run, as an absolute path of the command's machine."""
    decision: Decision
    hardware: Hardware

    def weights(self) -> list[Path]:
        """The files that are loaded for a prediction."""
        models, folds = self.decision.models.items(), range(self.decision.folds)
        return [
            ModelFolder(self.run / name).weights(seed, fold)
            for name, model in models
            for fold in folds
            for seed in model.seeds
        ]


class FileState(NamedTuple):
    """A file of the command's machine, by which a worker recognises that it sees the same one."""

    path: Path
    size: int
    changed_ns: int

    @classmethod
    def of(cls, path: Path) -> "FileState":
        """Of a file; of a missing one, what no file can have."""
        try:
            found = path.stat()
        except OSError:
            return cls(path, -1, 0)
        return cls(path, found.st_size, found.st_mtime_ns)

    def is_here(self) -> bool:
        """Whether this machine has the same file at the same path."""
        return self.size >= 0 and FileState.of(self.path) == self


def read_batches(
    paths: Sequence[Path], frames: int, root: Path, problems: list[DataError], kinds: Wanted = MappingProxyType({})
) -> Iterator[tuple[list[Findings], np.ndarray, SegmentPictures]]:
    """Findings, poses (N, T, 33, 5) and pictures of segment files in batches; after a problem others are only checked.

    kinds: of the pictures that each segment with a pose must have.
    """
    for start in range(0, len(paths), BATCH):
        read, some = [], tuple(paths[start : start + BATCH])
        for path in some:
            with collect_errors(problems):
                read.append(inspect_pose(path, frames, root))
                if read[-1].findings.posed:
                    problems += [one for kind, mask in kinds.items() for one in unusable([path], kind, mask)]
        if not problems:
            yield [one.findings for one in read], np.stack([one.pose for one in read]), SegmentPictures(some)


def check_pictures(paths: Sequence[Path], frames: int, root: Path, kinds: Wanted) -> None:
    """Read segment files, and raise DataProblems with all that is wrong with them and with their pictures."""
    problems: list[DataError] = []
    for _ in read_batches(paths, frames, root, problems, kinds):
        pass
    if problems:
        raise DataProblems(problems, paths)


def predict_windows(
    predictor: EnsemblePredictor, batches: Iterable[tuple[np.ndarray, np.ndarray]], recording: Path = Path()
) -> Iterator[BatchPrediction]:
    """Predict windows, given as first frames (N,) and poses (N, T, 33, 5). Keys: first frames, and movement (N, T).

    recording: what they are windows of; the pictures of a live stream are nowhere.
    """
    return predictor.predict(
        ((firsts, movement(poses)), poses, RecordingPictures(recording, tuple(map(int, firsts))))
        for firsts, poses in batches
    )


class Opened:
    """The models that this process has open."""

    opening: Opening | None = None
    predictor: EnsemblePredictor | None = None
    precision = ""
    """Precision and device of the networks."""

    @classmethod
    def predictor_for(cls, opening: Opening) -> EnsemblePredictor:
        """The models of a run; those of another run are closed."""
        if cls.predictor is None or cls.opening != opening:
            cls.close()
            run = _run_here(opening)
            cls.predictor = EnsemblePredictor(run, opening.decision, opening.hardware, cores=1)
            cls.opening, cls.precision = opening, ""
            for name, pool in cls.predictor.workers.items():
                if isinstance(MODELS[name], NetworkModel):
                    cls.precision = pool.submit(_precision, opening.hardware).result()
        return cls.predictor

    @classmethod
    def close(cls) -> None:
        """End their processes."""
        if cls.predictor is not None:
            cls.predictor.close()
        cls.predictor = cls.opening = None


def _precision(hardware: Hardware) -> str:
    """In the process of a network: the precision and device that `hardware` means here."""
    from spasm.models.networks.predictor import pick_device, pick_precision

    device = pick_device(hardware.device)
    return f"{pick_precision(hardware.precision, device)} on {device.type}".removeprefix("torch.")


def _run_here(opening: Opening) -> Path:
    """The run's folder on this machine: the same one on a shared disk, else links to the files that were sent."""
    files = {path: task_process.place_of(path) for path in opening.weights()}
    if all(path == place for path, place in files.items()):
        return opening.run
    folder = Path(tempfile.mkdtemp(dir=task_process.scratch_folder()))
    for path, place in files.items():
        link = folder / path.relative_to(opening.run)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(place)
    return folder


class Predicted(NamedTuple):
    """The result of a task."""

    batches: list[BatchPrediction]
    precision: str
    """Precision and device of the networks, such as bfloat16 on cpu; empty without a network."""
    problems: Sequence[DataError] = ()
    """With the files that were read."""


def _predict(opening: Opening, predict: Callable[[EnsemblePredictor], Iterator[BatchPrediction]]) -> Predicted:
    """Predict batches; the command is notified of how many segments or windows are done."""
    batches, done = [], 0
    try:
        for batch in predict(Opened.predictor_for(opening)):
            batches.append(batch)
            done += len(batch.posed)
            task_process.notify(done)
    except BaseException:
        Opened.close()  # perhaps one of its processes was killed
        raise
    return Predicted(batches, Opened.precision)


def predict_files_here(
    opening: Opening, states: Sequence[FileState], pictures: Sequence[FileState], root: Path
) -> Predicted | None:
    """Read, check and predict segment files, as without a cluster; None if this machine has others, or none.

    pictures: the files of their pictures that the models read.
    """
    with contextlib.suppress(OSError):
        os.chdir(opening.folder)
    if not all(state.is_here() for state in (*states, *pictures)):
        return None
    problems: list[DataError] = []
    paths, kinds = [state.path for state in states], picture_kinds(opening.decision)
    read = read_batches(paths, opening.decision.frames, root, problems, kinds)
    return _predict(opening, lambda predictor: predictor.predict(read))._replace(problems=problems)


def predict_poses_here(opening: Opening, batches: Sequence[tuple[Any, np.ndarray, SegmentPictures]]) -> Predicted:
    """Predict the poses (N, T, 33, 5) of segments, in batches with keys, and with pictures that were sent."""
    kinds = picture_kinds(opening.decision)
    if kinds:
        batches = [(key, poses, _pictures_here(pictures, kinds)) for key, poses, pictures in batches]
    return _predict(opening, lambda predictor: predictor.predict(batches))


def _pictures_here(pictures: SegmentPictures, kinds: Wanted) -> SegmentPictures:
    """The pictures of segments on this machine: links to the files that were sent."""
    folder = Path(tempfile.mkdtemp(dir=task_process.scratch_folder()))
    for kind in kinds:
        (folder / kind).mkdir()
        for path in pictures.paths:
            place = task_process.place_of(pictures_path(path, kind))
            if place.exists():  # a segment without a pose has none
                (folder / kind / f"{path.stem}.npz").symlink_to(place.absolute())
    return SegmentPictures(tuple(folder / "test" / path.name for path in pictures.paths))


def predict_windows_here(
    opening: Opening,
    recording: FileState,
    pictures: Sequence[FileState],
    poses: np.ndarray | None,
    begin: int,
    firsts: np.ndarray,
) -> Predicted | None:
    """Predict windows of a recording.

    pictures: the first file of its pictures of each kind that the models read, since all are made at once. poses:
    (F, 33, 5) from frame `begin` on, or None: they are read. firsts: (N,) first frames of the windows in the
    recording. Gives None where poses must be read and this machine has other files, or none.
    """
    length = opening.decision.frames
    if poses is None:
        with contextlib.suppress(OSError):
            os.chdir(opening.folder)
        if not all(state.is_here() for state in (recording, *pictures)):
            return None
        poses = read_poses(recording.path, begin, firsts, length)
    lacking = max(0, length - len(poses))  # of a recording that is shorter than a window
    whole = np.concatenate([poses, missing_frames(lacking)])

    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start in range(0, len(firsts), recordings.BATCH):
            batch = firsts[start : start + recordings.BATCH]
            yield batch, cut_windows(whole, batch - begin, length)

    return _predict(opening, lambda predictor: predict_windows(predictor, batches(), recording.path))


def read_poses(path: Path, begin: int, firsts: np.ndarray, length: int) -> np.ndarray:
    """The poses (F, 33, 5) of a recording that some windows cover."""
    end = min(int(firsts[-1]) + length, recordings.frames_of(path))
    return next(recordings.read_spans(path, [(begin, end)]))
