"""Train the folds of any model; a training can be stopped at any moment and resumed."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, as_completed
from pathlib import Path
from typing import Any

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
Compute = Callable[[Model, FoldJob, np.ndarray, Path], tuple[np.ndarray, dict[str, float]]]


def fit_and_score(model: Model, job: FoldJob, scored: np.ndarray, path: Path) -> tuple[np.ndarray, dict[str, float]]:
    """Train a fold, write its model to `path`, and score the segments `scored` with that file, as new ones are scored.

    Returns their logits, and the fraction of the gain by each group of features.
    """
    fitted = model.fit(job)
    model.save(path, fitted)
    logits = model.predict_data(model.load([path], job.config, job.hardware), job.data, scored).logits[0]
    return logits, model.gain_fractions(fitted)


def train_fold(
    run: Run,
    folder: ModelFolder,
    model: Model,
    config: Any,
    hardware: Hardware,
    seed: int,
    fold: int,
    with_tensorboard: bool = False,
    compute: Compute = fit_and_score,
) -> None:
    """Train one fold and score its held-out children, or resume where an earlier call stopped.

    A lock keeps other processes from training the fold. The result depends only on the arguments, in any process, with
    and without TensorBoard. compute: trains it and writes its model; all other files are written here. Raises DataError
    for files of another run, TrainingError if the fold cannot be trained.
    """
    checkpoint, path = folder.last(seed, fold), folder.weights(seed, fold)
    with folder.begun_fold(seed, fold) as trained:
        if trained and not checkpoint.exists():
            return
        rows = training_rows(run, fold)
        epochs = model.epochs(config, len(rows))
        if epochs and path.exists() and not checkpoint.exists():
            hint = "delete it to train the fold, or restore the manifest that names it"
            raise DataError(path, "is there, but this run did not write it", hint)
        data, scored = run.data, run.fold_of == fold
        history: list[Mapping[str, float]] = []

        with tensorboard.written(folder.tensorboard(seed, fold) if with_tensorboard else None) as note:

            def on_epoch(epoch: int, row: Mapping[str, float], restored: bool) -> None:
                history[epoch - 1 :] = [row]  # a task whose worker died begins again
                if not restored:
                    folder.note_history(seed, fold, history)
                note(epoch, row)

            job = FoldJob(data, rows, config, seed, fold, hardware, checkpoint, on_epoch)
            posed = np.flatnonzero(scored & data.has_pose)
            logits, fractions = compute(model, job, posed, path)
            if epochs:
                note(len(history), tensorboard.out_of_fold(data.labels[posed], logits))
        # Save this before the fold counts as trained, or a kill would lose it.
        if fractions:
            folder.note_importance(seed, fold, fractions)
        folder.finish_fold(run, seed, fold, logits, path)
        if history:
            folder.note_history(seed, fold, history)
        checkpoint.unlink(missing_ok=True)


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
    """Train some folds of a model side by side, each in its own process on one thread; see `train_fold`.

    begun: what is waited for, if all of them are already being trained elsewhere.
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
        with processes.isolated_pool(min(len(waiting), workers)) as pool:
            jobs = [
                pool.submit(train_fold, run, folder, model, config, hardware, seed, fold, with_tensorboard)
                for fold in waiting
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
