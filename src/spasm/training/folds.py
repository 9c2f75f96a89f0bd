"""Train the folds of any model; a training can be stopped at any moment and resumed."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, as_completed
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from spasm.config.runtime import Hardware
from spasm.core import processes
from spasm.core.errors import DataError
from spasm.models.model import FoldJob, Model
from spasm.runs.folder import ModelFolder, Run
from spasm.training import tensorboard
from spasm.training.progress import Progress

KILLED = "a worker was killed, perhaps because memory ran out; to resume, run the same command with fewer --workers"
POLL_S = 1.0  # between two checks of the workers' progress

Watch = Callable[[Progress], None]
Scored = tuple[np.ndarray, dict[str, float]]
"""The logits of a fold's held-out segments, and the fraction of the gain by each group of features."""
Compute = Callable[[Model, Sequence[FoldJob], Sequence[np.ndarray], Sequence[Path]], Iterable[Scored]]


def fit_and_score(
    model: Model, jobs: Sequence[FoldJob], scored: Sequence[np.ndarray], paths: Sequence[Path]
) -> Iterator[Scored]:
    """Train folds, write each model to its path, and score the segments `scored` with that file, as new ones are."""
    for job, rows, path, fitted in zip(jobs, scored, paths, model.fit_together(jobs), strict=True):
        model.save(path, fitted)
        logits = model.predict_data(model.load([path], job.config, job.hardware), job.data, rows).logits[0]
        yield logits, model.gain_fractions(fitted)


def train_fold(
    run: Run,
    folder: ModelFolder,
    model: Model,
    config: Any,
    hardware: Hardware,
    seed: int,
    fold: int,
    with_tensorboard: bool = False,
) -> None:
    """Train one fold and score its held-out children, or resume where an earlier call stopped.

    A lock keeps other processes from training the fold. The result depends only on the arguments, in any process, with
    and without TensorBoard. Raises DataError for files of another run, TrainingError if the fold cannot be trained.
    """
    train_together(run, folder, model, config, hardware, seed, [fold], with_tensorboard)


def train_together(
    run: Run,
    folder: ModelFolder,
    model: Model,
    config: Any,
    hardware: Hardware,
    seed: int,
    folds: Sequence[int],
    with_tensorboard: bool = False,
    compute: Compute = fit_and_score,
) -> None:
    """Train some folds in this process, side by side if the model can; see `train_fold`. Trained ones are left out.

    compute: what trains and scores them, perhaps elsewhere; all files but the checkpoint are written in this process.
    """
    with contextlib.ExitStack() as opened:
        begun = []
        for fold in folds:
            trained = opened.enter_context(folder.begun_fold(seed, fold))
            if not trained or folder.last(seed, fold).exists():
                curves = folder.tensorboard(seed, fold) if with_tensorboard else None
                note = opened.enter_context(tensorboard.written(curves))
                begun.append(_begin(run, folder, model, config, hardware, seed, fold, note))
        if begun:
            jobs = [one.job for one in begun]
            scored = [np.flatnonzero((run.fold_of == job.fold) & run.data.has_pose) for job in jobs]
            results = compute(model, jobs, scored, [folder.weights(seed, job.fold) for job in jobs])
            for one, rows, (logits, fractions) in zip(begun, scored, results, strict=True):
                if model.epochs(config, len(one.job.rows)):
                    one.note(len(one.history), tensorboard.out_of_fold(run.data.labels[rows], logits))
                _finish(run, folder, one, logits, fractions)


class _Begun(NamedTuple):
    """A fold that is being trained."""

    job: FoldJob
    history: list[Mapping[str, float]]
    note: tensorboard.Note


def _begin(
    run: Run,
    folder: ModelFolder,
    model: Model,
    config: Any,
    hardware: Hardware,
    seed: int,
    fold: int,
    note: tensorboard.Note,
) -> _Begun:
    """What a fold is trained on; each epoch is noted in its history. Raises DataError for files of another run."""
    checkpoint, path = folder.last(seed, fold), folder.weights(seed, fold)
    rows = training_rows(run, fold)
    if model.epochs(config, len(rows)) and path.exists() and not checkpoint.exists():
        hint = "delete it to train the fold, or restore the manifest that names it"
        raise DataError(path, "is there, but this run did not write it", hint)
    history: list[Mapping[str, float]] = []

    def on_epoch(epoch: int, row: Mapping[str, float], noted: bool) -> None:
        history[epoch - 1 :] = [row]  # it begins again at its checkpoint if memory ran out, or a worker died
        if not noted:
            folder.note_history(seed, fold, history)
        note(epoch, row)

    return _Begun(FoldJob(run.data, rows, config, seed, fold, hardware, checkpoint, on_epoch), history, note)


def _finish(run: Run, folder: ModelFolder, begun: _Begun, logits: np.ndarray, fractions: Mapping[str, float]) -> None:
    """Note what a trained fold gave, last in the manifest, so that it counts as trained."""
    seed, fold = begun.job.seed, begun.job.fold
    if fractions:  # before the fold counts as trained, or a kill would lose it
        folder.note_importance(seed, fold, fractions)
    folder.finish_fold(run, seed, fold, logits, folder.weights(seed, fold))
    if begun.history:
        folder.note_history(seed, fold, begun.history)
    folder.last(seed, fold).unlink(missing_ok=True)


def training_rows(run: Run, fold: int) -> np.ndarray:
    """The segments (M,) that a fold is trained on: those with a pose, of the children that it does not score."""
    return np.flatnonzero((run.fold_of != fold) & run.data.has_pose)


def train_folds(
    run: Run,
    folder: ModelFolder,
    model: Model,
    config: Any,
    hardware: Hardware,
    seed: int,
    folds: Sequence[int],
    workers: int,
    watch: Watch = lambda progress: None,
    with_tensorboard: bool = False,
    begun: "Sequence[Future[None]] | None" = None,
) -> None:
    """Train some folds of a model, each in its own process on one thread, or all in one if the model asks for that.

    See `train_fold`. begun: what is waited for, if all of them are already being trained elsewhere.
    """
    waiting = waiting_folds(folder, seed, folds)
    epochs = {fold: model.epochs(config, len(training_rows(run, fold))) for fold in folds}
    with watching(folder, seed, epochs, watch):
        if begun is not None:
            for job in as_completed(begun):
                job.result()
            return
        if not waiting:
            return
        together = [waiting] if model.side_by_side(config, hardware) else [[fold] for fold in waiting]
        with processes.isolated_pool(min(len(together), workers)) as pool:
            jobs = [
                pool.submit(train_together, run, folder, model, config, hardware, seed, some, with_tensorboard)
                for some in together
            ]
            try:
                with processes.translate_killed_worker(KILLED):
                    for job in as_completed(jobs):
                        job.result()
            except BaseException:
                processes.stop(pool)
                raise


def waiting_folds(folder: ModelFolder, seed: int, folds: Sequence[int]) -> list[int]:
    """The folds that are not trained, or whose training was stopped before its checkpoint was removed."""
    return [fold for fold in folds if not folder.is_trained(seed, fold) or folder.last(seed, fold).exists()]


@contextlib.contextmanager
def watching(folder: ModelFolder, seed: int, epochs: Mapping[int, int], watch: Watch) -> Iterator[None]:
    """Call `watch` every second and at the end with the progress, which is read from the run's files.

    epochs: those of each fold; 0 for a model that is trained in one step.
    """
    whole = sum(epochs.values())
    begun_s, before = time.monotonic(), _done(folder, seed, epochs)
    over = threading.Event()

    def read_progress() -> Progress:
        folds_done, epochs_done = _done(folder, seed, epochs)
        done, first, goal = (epochs_done, before[1], whole) if whole else (folds_done, before[0], len(epochs))
        gained, elapsed_s = done - first, time.monotonic() - begun_s
        left = elapsed_s / gained * (goal - done) if gained > 0 else None
        return Progress(folds_done, len(epochs), epochs_done, whole, left)

    def poll() -> None:
        while not over.wait(POLL_S):
            with contextlib.suppress(DataError, OSError, ValueError):  # a worker is writing, or the file vanished
                watch(read_progress())

    thread = threading.Thread(target=poll, daemon=True)
    thread.start()
    try:
        yield
        over.set()
        thread.join()
        watch(read_progress())
    finally:
        over.set()
        thread.join()


def _done(folder: ModelFolder, seed: int, epochs: Mapping[int, int]) -> tuple[int, int]:
    """Number of trained folds, and number of epochs in all folds."""
    trained = [fold for fold in epochs if folder.is_trained(seed, fold)]
    if not any(epochs.values()):
        return len(trained), 0
    noted = folder.epochs_noted(seed)
    done = (each if fold in trained else min(each, noted.get(fold, 0)) for fold, each in epochs.items())
    return len(trained), sum(done)
