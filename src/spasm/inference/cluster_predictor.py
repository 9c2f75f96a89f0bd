"""Predict on a cluster: how a command hands out `prediction_tasks`, and collects their results in order."""

import itertools
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from spasm.cluster.task_progress import TaskProgress
from spasm.config.runtime import Hardware
from spasm.core.errors import DataError
from spasm.core.windows import window_starts
from spasm.data import recordings
from spasm.data.pictures import pictures_path, recording_pictures_path
from spasm.inference.ensemble_predictor import BatchPrediction, picture_kinds
from spasm.inference.prediction_tasks import (
    BATCH,
    FileState,
    Opening,
    Predicted,
    predict_files_here,
    predict_poses_here,
    predict_windows_here,
    read_batches,
    read_poses,
)
from spasm.runs.artefacts import Decision

if TYPE_CHECKING:
    from spasm.cluster.tasks import Cluster

BATCHES = {"segments": 2, "windows": 4}  # of a task, some seconds of work: several batches keep all its processes busy
DIFFERENT = (
    "warning: the workers predict with networks in {}: probabilities depend on the worker by about 0.001; for the same "
    "on all of them add --precision float32 --device cpu"
)
LOG = logging.getLogger("spasm")
MOST_THREADS = 200
KEEP = "prediction"  # names the processes that stay open with a run's models


class Part(Protocol):
    """A part of the work, which is a task."""

    def submit(self, send: bool) -> "Future[Any]":
        """Start its task; send: with the poses, for workers that do not see the files. Without, it may give None."""


class ClusterPredictor:
    """Predicts with a run on a cluster."""

    def __init__(self, cluster: "Cluster", run: Path, decision: Decision, hardware: Hardware) -> None:
        self.cluster, self.lock = cluster, threading.Lock()
        self.opening = Opening(Path.cwd(), run.absolute(), decision, hardware)
        self.weights, self.kinds = self.opening.weights(), picture_kinds(decision)
        self.precisions: list[str] = []
        self.send = False

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
            part.progress.reach(len(part.paths))
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
            part.progress.reach(len(part.firsts))
            for batch in found.batches:
                yield part.number, batch

    def submit(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        on_message: Callable[[int], None],
        reads: Sequence[Path] = (),
    ) -> "Future[Any]":
        """Start a task with the run's models. reads: files that it opens beside their weights."""
        return self.cluster.submit(
            function, self.opening, *arguments, reads=[*self.weights, *reads], on_message=on_message, keep=KEEP
        )

    def _compare(self, precision: str) -> None:
        """Warn, once, of workers of several kinds."""
        if precision and precision not in self.precisions:
            self.precisions.append(precision)
            if len(self.precisions) == 2:
                LOG.warning(DIFFERENT.format(" and ".join(self.precisions)))

    def _in_order(self, parts: Iterable[Any]) -> Iterator[tuple[Any, Predicted]]:
        """The parts with their results. More are submitted than can run at once, so that no worker waits.

        A thread waits for each, since reading, packing and sending the poses of a part takes a while, too.
        """
        iterator = iter(parts)
        waiting: deque[tuple[Part, Future[Predicted]]] = deque()
        with ThreadPoolExecutor(MOST_THREADS, "part") as threads:
            try:
                while True:
                    wanted = min(2 * self.cluster.slots + 1, MOST_THREADS)
                    for part in itertools.islice(iterator, wanted - len(waiting)):
                        waiting.append((part, threads.submit(self._predict, part)))
                    if not waiting:
                        return
                    part, future = waiting.popleft()
                    result = future.result()
                    self._compare(result.precision)
                    yield part, result
            except BaseException:
                self.cluster.close()  # the threads wait for its tasks
                raise

    def _predict(self, part: Part) -> Predicted:
        """The result of a part. What workers do not see is sent to them, and then that of all later parts, too."""
        result: Predicted | None = None
        if not self.send:
            result = part.submit(False).result()
        if result is None:
            self.send = True
            result = part.submit(True).result()
        return result


class _Files:
    """Some segment files."""

    def __init__(
        self, predictor: ClusterPredictor, paths: Sequence[Path], root: Path, passed: Callable[[int], Any], check: bool
    ) -> None:
        """check: other files have problems, so these are only checked."""
        self.predictor, self.paths, self.root, self.check = predictor, paths, root, check
        self.problems: list[DataError] = []
        self.progress = TaskProgress(passed, predictor.lock)

    def submit(self, send: bool) -> "Future[Predicted | None]":
        states, opening = [FileState.of(path) for path in self.paths], self.predictor.opening
        kinds, reach = self.predictor.kinds, self.progress.reach
        possible = [pictures_path(path, kind) for path in self.paths for kind in kinds]
        pictures = [path for path in possible if path.is_file()]  # a segment without a pose has none
        if not send and not self.check:
            return self.predictor.submit(
                predict_files_here, states, list(map(FileState.of, pictures)), self.root, on_message=reach
            )
        batches = list(read_batches(self.paths, opening.decision.frames, self.root, self.problems, kinds))
        if not self.problems and not self.check:
            return self.predictor.submit(predict_poses_here, batches, on_message=reach, reads=pictures)
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
        self.progress = TaskProgress(lambda count: advance(count * stride), predictor.lock)

    def submit(self, send: bool) -> "Future[Predicted | None]":
        begin, length = int(self.firsts[0]), self.predictor.opening.decision.frames
        path, kinds = self.recording.path, self.predictor.kinds
        if send and kinds:
            hint = "put the data on a disk that all workers see at the same path, or leave out --cluster"
            reason = f"has pictures ({', '.join(kinds)}) that the workers do not see"
            raise DataError(path, reason, hint)
        poses = read_poses(path, begin, self.firsts, length) if send else None
        pictures = [FileState.of(recording_pictures_path(path, kind, 1)) for kind in kinds]
        return self.predictor.submit(
            predict_windows_here, self.recording, pictures, poses, begin, self.firsts, on_message=self.progress.reach
        )
