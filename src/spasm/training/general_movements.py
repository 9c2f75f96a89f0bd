"""Train the folds of the two-stream network on general movements; a training can be stopped at any moment and resumed.

RUN/general_movements.json    settings, data and folds, made by the first command; another one is refused
RUN/seed_S/fold_K.safetensors weights, fold_K_history.csv epochs, and, last, fold_K_chunks.csv: logits out of fold
RUN/seed_S/fold_K_last.safetensors    while the fold can be resumed
"""

import contextlib
import dataclasses
import functools
import multiprocessing
import queue
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from pathlib import Path
from typing import Any

import numpy as np

from spasm.config.fields import to_tree
from spasm.config.general_movements import GeneralMovements
from spasm.config.runtime import Hardware
from spasm.core import files, processes
from spasm.core.errors import DataError
from spasm.core.outputs import check_folder
from spasm.core.tables import read_table
from spasm.core.versions import version_of
from spasm.data.formats.two_stream import CLASSES
from spasm.data.general_movements import Chunks, Fold, folds_sha256

MARK = "general_movements.json"
SCHEMA = 1
HISTORY = ("learning_rate", "loss", "gradient_norm")
KILLED = "a worker was killed, perhaps because memory ran out; to resume, run the same command with fewer --workers"


@dataclasses.dataclass(frozen=True)
class MovementRun:
    """A run: what is trained on what, and where it is written."""

    path: Path
    data: Chunks
    folds: list[Fold]
    config: GeneralMovements
    seed: int
    hardware: Hardware

    def place(self, fold: int, what: str) -> Path:
        """A file of a fold."""
        return self.path / f"seed_{self.seed}" / f"fold_{fold}{what}"


def train(run: MovementRun, workers: int, progress: Callable[[int], Any]) -> np.ndarray:
    """Train all folds that are not trained yet, side by side; returns the logits (N, 3), NaN for chunks of no test.

    workers: 0 means one per CPU core, and one on a GPU, whose memory they would share. progress: makes a progress bar
    of so many epochs, as a context manager. The result does not depend on the workers. Raises DataError for a run of
    other data or settings, and TrainingError.
    """
    check_folder(run.path, ("metrics.json", "chunks.csv", "subjects.csv"), MARK, "--run")
    with files.lock(run.path / ".lock", "this run is being trained", wait_s=1.0):
        files.remove_stale(run.path)
        _open(run)
        waiting = [fold for fold in range(len(run.folds)) if not run.place(fold, "_chunks.csv").exists()]
        if waiting:
            _train_in_processes(run, waiting, workers or _most_workers(run), progress)
        for fold in range(len(run.folds)):
            run.place(fold, "_last.safetensors").unlink(missing_ok=True)
        _write_history(run)
        logits = np.full((len(run.data.labels), len(CLASSES)), np.nan)
        for number, parts in enumerate(run.folds):
            logits[parts.test] = _read_logits(run, number, parts)
    return logits


def _most_workers(run: MovementRun) -> int:
    from spasm.models.networks.predictor import pick_device

    return 1 if pick_device(run.hardware.device).type == "cuda" else processes.cpu_count()


def _open(run: MovementRun) -> None:
    """Note what the run is of. Raises DataError if it is there and of something else."""
    from spasm.models.networks.predictor import pick_device, pick_precision

    device = pick_device(run.hardware.device)
    about: dict[str, Any] = {
        "schema": SCHEMA,
        "settings": to_tree(run.config),
        "weights_sha256": files.sha256(Path(run.config.weights)) if run.config.weights else "",
        "seed": run.seed,
        "fingerprint": run.data.fingerprint,
        "folds": len(run.folds),
        "folds_sha256": folds_sha256(run.folds),
        "simulated": run.data.simulated,
        "device": device.type,
        "precision": str(pick_precision(run.hardware.precision, device)).removeprefix("torch."),
    }
    path = run.path / MARK
    if not path.exists():
        files.check_writable(run.path)
        files.write_json(path, about | {"torch": version_of("torch")})
        return
    made = files.read_json(path)
    for what, value in about.items():
        if made.get(what) != value:
            if what == "settings" and isinstance(made.get(what), dict):
                changed = [name for name in value if made[what].get(name) != value[name]]
                what = f"settings: {', '.join(changed)}"
            raise DataError(
                path, f"the run was made with other {what}", "use the same flags and data, or another --run"
            )


def _train_in_processes(run: MovementRun, waiting: Sequence[int], workers: int, progress: Callable[[int], Any]) -> None:
    counts = multiprocessing.get_context("spawn").Queue()
    epochs = sum(run.config.optimization.epochs_of(len(run.folds[fold].train)) for fold in waiting)
    with (
        processes.isolated_pool(min(workers, len(waiting)), _begin, counts) as pool,
        progress(epochs) as bar,
        processes.translate_killed_worker(KILLED),
    ):
        jobs = {pool.submit(train_fold, run, fold) for fold in waiting}
        try:
            while jobs:
                finished, jobs = wait(jobs, timeout=0.2, return_when=FIRST_COMPLETED)
                with contextlib.suppress(queue.Empty):
                    while True:
                        bar.update(counts.get_nowait())
                for job in finished:
                    job.result()
        except BaseException:
            processes.stop(pool)
            raise


# State of a worker process, set by `_begin`: the queue for its progress in epochs.
_counts: Any = None


def _begin(counts: Any) -> None:
    global _counts
    _counts = counts


def train_fold(run: MovementRun, fold: int) -> None:
    """Train a fold and score its test chunks, or resume where an earlier call stopped."""
    from spasm.core import checkpoints
    from spasm.models.model import FoldJob
    from spasm.models.networks import general_movements, side_by_side
    from spasm.models.networks.predictor import pick_device, pick_precision

    history: list[Mapping[str, float]] = []

    def on_epoch(epoch: int, row: Mapping[str, float], noted: bool) -> None:
        history[epoch - 1 :] = [row]
        if _counts is not None:
            _counts.put(1)

    rows, scored = run.folds[fold]
    data: Any = run.data
    job = FoldJob(data, rows, run.config, run.seed, fold, run.hardware, run.place(fold, "_last.safetensors"), on_epoch)
    weights = side_by_side.fit(general_movements.MODEL, job)
    checkpoints.write_tensors(run.place(fold, ".safetensors"), weights)
    device = pick_device(run.hardware.device)
    precision = pick_precision(run.hardware.precision, device)
    logits = general_movements.scores_of(weights, run.data, scored, run.config, device, precision)
    epochs = ([fold, epoch, *(row[name] for name in HISTORY)] for epoch, row in enumerate(history, start=1))
    files.write_csv(run.place(fold, "_history.csv"), ("fold", "epoch", *HISTORY), epochs)
    names = [run.data.names[row] for row in scored]
    table = ([name, *map(float, line)] for name, line in zip(names, logits, strict=True))
    files.write_csv(run.place(fold, "_chunks.csv"), ("chunk", *logit_columns()), table)


def logit_columns() -> tuple[str, ...]:
    """The columns of the logits, one for each class."""
    return tuple(f"{name}_logit" for name in CLASSES)


def _read_logits(run: MovementRun, number: int, fold: Fold) -> np.ndarray:
    """The logits (K, 3) of a trained fold's test chunks. Raises DataError if they are of other chunks."""
    path = run.place(number, "_chunks.csv")
    rows = read_table(path, ("chunk", *logit_columns()))
    if [row["chunk"] for row in rows] != [run.data.names[row] for row in fold.test]:
        raise DataError(path, "is of other chunks", "delete it; the same command trains the fold again")
    try:
        return np.array([[float(row[column]) for column in logit_columns()] for row in rows])
    except ValueError as error:
        hint = "delete it; the same command trains the fold again"
        raise DataError(path, f"holds something else than numbers: {error}", hint) from error


def _write_history(run: MovementRun) -> None:
    """One table of all folds' epochs."""
    columns = ("fold", "epoch", *HISTORY)
    read = functools.partial(read_table, required=columns)
    paths = [run.place(fold, "_history.csv") for fold in range(len(run.folds))]
    rows = [[row[column] for column in columns] for path in paths for row in read(path)]
    files.write_csv(run.path / "history.csv", columns, rows)
