"""Predict on a cluster: what its tasks do, and how a command hands them out and collects their results in order.

A task predicts some batches of segments, or of windows of a recording, with one core. Its process stays open with the
run's models for the next task. It reads poses by their path where its machine has the same files; elsewhere the command
reads them, and sends those of each task with it. Batches are the same as without a cluster, so predictions are, too.
"""

import contextlib
import itertools
import logging
import os
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from spasm.cluster import task_process
from spasm.cluster.done import Done
from spasm.config.runtime import Hardware
from spasm.core.errors import DataError, collect_errors
from spasm.core.windows import cut_windows, window_starts
from spasm.data import recordings
from spasm.data.findings import Findings
from spasm.data.segments import inspect_pose
from spasm.features.movement import movement
from spasm.inference.ensemble_predictor import BatchPrediction, EnsemblePredictor
from spasm.models.network import NetworkModel
from spasm.models.registry import MODELS
from spasm.runs.artefacts import Decision
from spasm.runs.folder import ModelFolder

if TYPE_CHECKING:
    from spasm.cluster.tasks import Cluster

BATCH = 64  # segments read before they are scored
BATCHES = {"segments": 2, "windows": 4}  # of a task, some seconds of work: several batches keep all its processes busy
DIFFERENT = (
    "warning: the workers predict with networks in {}: probabilities depend on the worker by about 0.001; for the same "
    "on all of them add --precision float32 --device cpu"
)
LOG = logging.getLogger("spasm")
KEEP = "prediction"  # names the processes that stay open with a run's models


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
    paths: Sequence[Path], frames: int, root: Path, problems: list[DataError]
) -> Iterator[tuple[list[Findings], np.ndarray]]:
    """Findings and poses (N, T, 33, 5) of segment files in batches; after a problem the others are only checked."""
    for start in range(0, len(paths), BATCH):
        read = []
        for path in paths[start : start + BATCH]:
            with collect_errors(problems):
                read.append(inspect_pose(path, frames, root))
        if not problems:
            yield [one.findings for one in read], np.stack([one.pose for one in read])


def predict_windows(
    predictor: EnsemblePredictor, batches: Iterable[tuple[np.ndarray, np.ndarray]]
) -> Iterator[BatchPrediction]:
    """Predict windows, given as first frames (N,) and poses (N, T, 33, 5). Keys: first frames, and movement (N, T)."""
    return predictor.predict(((firsts, movement(poses)), poses) for firsts, poses in batches)


# ---- in the process of a task


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


def predict_files_here(opening: Opening, states: Sequence[FileState], root: Path) -> Predicted | None:
    """Read, check and predict segment files, as without a cluster; None if this machine has others, or none."""
    with contextlib.suppress(OSError):
        os.chdir(opening.folder)
    if not all(state.is_here() for state in states):
        return None
    problems: list[DataError] = []
    read = read_batches([state.path for state in states], opening.decision.frames, root, problems)
    return _predict(opening, lambda predictor: predictor.predict(read))._replace(problems=problems)


def predict_poses_here(opening: Opening, batches: Sequence[tuple[Any, np.ndarray]]) -> Predicted:
    """Predict the poses (N, T, 33, 5) of segments, in batches with keys."""
    return _predict(opening, lambda predictor: predictor.predict(batches))


def predict_windows_here(
    opening: Opening, recording: FileState, poses: np.ndarray | None, begin: int, firsts: np.ndarray
) -> Predicted | None:
    """Predict windows of a recording.

    poses: (F, 33, 5) from frame `begin` on, or None: they are read. firsts: (N,) first frames of the windows in the
    recording. Gives None where poses must be read and this machine has another file, or none.
    """
    length = opening.decision.frames
    if poses is None:
        with contextlib.suppress(OSError):
            os.chdir(opening.folder)
        if not recording.is_here():
            return None
        poses = _read(recording.path, begin, firsts, length)
    lacking = max(0, length - len(poses))  # of a recording that is shorter than a window
    whole = np.concatenate([poses, recordings.missing_frames(lacking)])

    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start in range(0, len(firsts), recordings.BATCH):
            batch = firsts[start : start + recordings.BATCH]
            yield batch, cut_windows(whole, batch - begin, length)

    return _predict(opening, lambda predictor: predict_windows(predictor, batches()))


def _read(path: Path, begin: int, firsts: np.ndarray, length: int) -> np.ndarray:
    """The poses (F, 33, 5) of a recording that some windows cover."""
    end = min(int(firsts[-1]) + length, recordings.frames_of(path))
    return next(recordings.read_spans(path, [(begin, end)]))


# ---- in the command


class Part(Protocol):
    """A part of the work, which is a task."""

    def submit(self, send: bool) -> "Future[Any]":
        """Start its task; send: with the poses, for workers that do not see the files. Without, it may give None."""


class ClusterPredictor:
    """Predicts with a run on a cluster."""

    def __init__(self, cluster: "Cluster", run: Path, decision: Decision, hardware: Hardware) -> None:
        self.cluster, self.lock = cluster, threading.Lock()
        self.opening = Opening(Path.cwd(), run.absolute(), decision, hardware)
        self.weights = self.opening.weights()
        self.precisions: list[str] = []

    def predict_files(
        self, paths: Sequence[Path], root: Path, passed: Callable[[int], Any]
    ) -> tuple[list[BatchPrediction], list[DataError]]:
        """Predictions of segment files, with their findings as keys, and everything that is wrong with the files.

        passed: called with the number of files done since the last call.
        """
        size = BATCHES["segments"] * BATCH
        problems: list[DataError] = []
        predicted: list[BatchPrediction] = []

        def parts() -> Iterator[_Files]:
            for start in range(0, len(paths), size):
                yield _Files(self, paths[start : start + size], root, passed, bool(problems))

        for part, found in self._in_order(parts()):
            problems += [*part.problems, *found.problems]
            predicted += found.batches
            part.done.reach(len(part.paths))
        return predicted, problems

    def predict_recordings(
        self, paths: Sequence[Path], lengths: Sequence[int], stride: int, advance: Callable[[int], Any]
    ) -> Iterator[tuple[int, BatchPrediction]]:
        """The predictions for the windows of recordings, each with the number of its recording, in order.

        Keys are as of `predict_windows`. lengths: frames of the recordings. advance: called with the number of frames
        that were done since the last call.
        """
        frames, size = self.opening.decision.frames, BATCHES["windows"] * recordings.BATCH

        def parts() -> Iterator[_Windows]:
            for number, (path, whole) in enumerate(zip(paths, lengths, strict=True)):
                firsts, state = window_starts(whole, frames, stride), FileState.of(path)
                for start in range(0, len(firsts), size):
                    yield _Windows(self, number, state, firsts[start : start + size], stride, advance)

        for part, found in self._in_order(parts()):
            part.done.reach(len(part.firsts))
            for batch in found.batches:
                yield part.number, batch

    def submit(self, function: Callable[..., Any], *arguments: Any, on_message: Callable[[int], None]) -> "Future[Any]":
        """Start a task with the run's models."""
        return self.cluster.submit(
            function, self.opening, *arguments, reads=self.weights, on_message=on_message, keep=KEEP
        )

    def _compare(self, precision: str) -> None:
        """Warn, once, of workers of several kinds."""
        if precision and precision not in self.precisions:
            self.precisions.append(precision)
            if len(self.precisions) == 2:
                LOG.warning(DIFFERENT.format(" and ".join(self.precisions)))

    def _in_order(self, parts: Iterable[Any]) -> Iterator[tuple[Any, Predicted]]:
        """The parts with their results. More are submitted than can run at once, so that no worker waits."""
        iterator, send = iter(parts), False
        waiting: deque[tuple[Part, Future[Any]]] = deque()
        while True:
            wanted = 2 * self.cluster.slots + 1
            for part in itertools.islice(iterator, wanted - len(waiting)):
                waiting.append((part, part.submit(send)))
            if not waiting:
                return
            part, future = waiting.popleft()
            if (result := future.result()) is not None:
                self._compare(result.precision)
                yield part, result
                continue
            send = True
            waiting.appendleft((part, part.submit(send)))
            for number, (other, future) in enumerate(waiting):
                if future.done() and not future.exception() and future.result() is None:
                    waiting[number] = other, other.submit(send)


class _Files:
    """Some segment files."""

    def __init__(
        self, predictor: ClusterPredictor, paths: Sequence[Path], root: Path, passed: Callable[[int], Any], check: bool
    ) -> None:
        """check: other files have problems, so these are only checked."""
        self.predictor, self.paths, self.root, self.check = predictor, paths, root, check
        self.problems: list[DataError] = []
        self.done = Done(passed, predictor.lock)

    def submit(self, send: bool) -> "Future[Predicted | None]":
        states, opening = [FileState.of(path) for path in self.paths], self.predictor.opening
        if not send and not self.check:
            return self.predictor.submit(predict_files_here, states, self.root, on_message=self.done.reach)
        batches = list(read_batches(self.paths, opening.decision.frames, self.root, self.problems))
        if not self.problems and not self.check:
            return self.predictor.submit(predict_poses_here, batches, on_message=self.done.reach)
        nothing: Future[Predicted | None] = Future()
        nothing.set_result(Predicted([], ""))
        return nothing


class _Windows:
    """Some windows of a recording."""

    def __init__(
        self,
        predictor: ClusterPredictor,
        number: int,
        recording: FileState,
        firsts: np.ndarray,
        stride: int,
        advance: Callable[[int], Any],
    ) -> None:
        """number: of the recording among the others."""
        self.predictor, self.number, self.recording, self.firsts = predictor, number, recording, firsts
        self.done = Done(lambda count: advance(count * stride), predictor.lock)

    def submit(self, send: bool) -> "Future[Predicted | None]":
        begin, length = int(self.firsts[0]), self.predictor.opening.decision.frames
        poses = _read(self.recording.path, begin, self.firsts, length) if send else None
        return self.predictor.submit(
            predict_windows_here, self.recording, poses, begin, self.firsts, on_message=self.done.reach
        )
