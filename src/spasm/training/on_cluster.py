"""Train folds as tasks on a cluster. This command keeps their locks and writes their files, as on one machine."""

import contextlib
import dataclasses
import functools
import os
import queue
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spasm.cluster import task_process
from spasm.config.runtime import Hardware
from spasm.core import files
from spasm.core.errors import ClusterError, TrainingError
from spasm.data.dataset import TrainingData
from spasm.models.model import FoldJob, Model
from spasm.runs.folder import ModelFolder, Run
from spasm.training.folds import Scored, fit_and_score, train_together, waiting_folds

if TYPE_CHECKING:
    from spasm.cluster.tasks import Cluster

AT_ONCE = 200  # folds that wait for the cluster, each with a thread and a lock


@dataclasses.dataclass
class BegunFolds:
    """Folds of a model and seed that are being trained."""

    resumed: bool
    """Whether an earlier command has begun with this seed."""
    jobs: "list[Future[None]]" = dataclasses.field(default_factory=list)
    spent: list[tuple[float, float, float]] = dataclasses.field(default_factory=list)
    """Of each trained fold: when it ended, and the seconds and processor seconds of its task."""

    def cost(self) -> dict[str, float] | None:
        """The cost as in `costs.note_training`, once all are trained."""
        if self.resumed or not self.spent:
            return None
        begin = min(ended - seconds for ended, seconds, _ in self.spent)
        seconds = max(ended for ended, *_ in self.spent) - begin
        return {"seconds": seconds, "processor_seconds": sum(processor for *_, processor in self.spent)}


class ClusterTrainer:
    """Trains folds on a cluster; all that have begun wait there for free workers."""

    def __init__(self, cluster: "Cluster", threads: ThreadPoolExecutor) -> None:
        self.cluster, self.threads = cluster, threads

    def begin(
        self,
        run: Run,
        folder: ModelFolder,
        model: Model,
        config: Any,
        hardware: Hardware,
        seed: int,
        folds: Sequence[int],
        with_tensorboard: bool = False,
        priority: int = 0,
    ) -> BegunFolds:
        """Begin to train those of the folds that wait, see `train_together`; those with a higher priority come first.

        hardware: the one that all workers must have, see `resolved`.
        """
        begun = BegunFolds(resumed=seed in folder.seeds())
        compute = functools.partial(self._compute, begun, priority, run.path.absolute() / "run.json")
        for fold in waiting_folds(folder, seed, folds):
            arguments = (run, folder, model, config, hardware, seed, [fold], with_tensorboard, compute)
            begun.jobs.append(self.threads.submit(train_together, *arguments))
        return begun

    def _compute(
        self,
        begun: BegunFolds,
        priority: int,
        beside: Path,
        model: Model,
        jobs: Sequence[FoldJob],
        scored: Sequence[np.ndarray],
        paths: Sequence[Path],
    ) -> list[Scored]:
        """As `fit_and_score` of one fold, on the cluster.

        beside: a file of the run; its place shows whether the disk is shared.
        """
        [job], [rows], [path] = jobs, scored, paths
        assert job.checkpoint is not None
        checkpoint = job.checkpoint.absolute()
        earlier = checkpoint.read_bytes() if checkpoint.exists() else None
        epochs: queue.SimpleQueue[Any] = queue.SimpleQueue()
        result = self.cluster.submit(
            fit_fold,
            model,
            dataclasses.replace(job, data=lean(job.data), checkpoint=checkpoint, on_epoch=_send_epoch),
            rows,
            beside,
            earlier,
            reads=[beside, *files_of(model, job.config, job.data)],
            on_message=epochs.put,
            keep=model.name,
            priority=priority,
        )
        result.add_done_callback(lambda _: epochs.put(None))
        while (message := epochs.get()) is not None:
            job.on_epoch(*message)
        weights, last, logits, fractions, seconds, processor_seconds = result.result()
        if last is not None:  # or weights without a checkpoint would be refused, if this is killed now
            files.write_bytes(checkpoint, last)
        files.write_bytes(path, weights)
        begun.spent.append((time.monotonic(), seconds, processor_seconds))
        return [(logits, fractions)]


@contextlib.contextmanager
def training_on(cluster: "Cluster") -> Iterator[ClusterTrainer]:
    """Trains on a cluster; at the end, or after an error, no fold is being trained."""
    threads = ThreadPoolExecutor(AT_ONCE, "fold")
    try:
        yield ClusterTrainer(cluster, threads)
    except BaseException:
        cluster.close()
        raise
    finally:
        threads.shutdown(cancel_futures=True)


def resolved(hardware: Hardware, environment: Mapping[str, Any]) -> Hardware:
    """The device and precision in the environment of a model's manifest, which this command chose for all workers."""
    named = {name: environment[name] for name in ("device", "precision") if name in environment}
    return dataclasses.replace(hardware, **named)


def lean(data: TrainingData) -> TrainingData:
    """The data without what no training reads."""
    return dataclasses.replace(data, warnings=(), findings=(), groups={}, notice="")


def files_of(model: Model, config: Any, data: TrainingData) -> list[Path]:
    """The files that a task needs to train a model on these data."""
    return [Path(str(data.poses.filename)), *model.files_read(config, data)]


# At a worker


def fit_fold(
    model: Model, job: FoldJob, scored: np.ndarray, beside: Path, earlier: bytes | None
) -> tuple[bytes, bytes | None, np.ndarray, dict[str, float], float, float]:
    """Train a fold; gives its model and checkpoint, logits and gain fractions, seconds, and seconds of the processor.

    Where the run's disk is shared, the checkpoint is there, so that another worker can resume; elsewhere it is a file
    of the task, and a part of the result. earlier: the checkpoint of an earlier training.
    """
    begun_s, before_s = time.monotonic(), sum(os.times()[:4])
    check_hardware(model, job.hardware)
    scratch, checkpoint = task_process.scratch_folder(), job.checkpoint
    assert checkpoint is not None
    shared = task_process.place_of(beside) == beside and os.access(checkpoint.parent, os.W_OK)
    if not shared:
        checkpoint = scratch / "last.safetensors"
        if earlier is not None:
            checkpoint.write_bytes(earlier)

    path = scratch / f"fold{model.suffix}"
    job = dataclasses.replace(job, checkpoint=checkpoint)
    [(logits, fractions)] = fit_and_score(model, [job], [scored], [path])
    last = checkpoint.read_bytes() if not shared and checkpoint.exists() else None
    return path.read_bytes(), last, logits, fractions, time.monotonic() - begun_s, sum(os.times()[:4]) - before_s


def _send_epoch(epoch: int, row: Mapping[str, float], noted: bool) -> None:
    task_process.notify((epoch, dict(row), noted))


def check_hardware(model: Model, hardware: Hardware) -> None:
    """Raises ClusterError if this worker has no such device, or would compute the precision far more slowly."""
    if not model.on_gpu:
        return
    import torch

    from spasm.models.networks.predictor import pick_device, pick_precision

    worker = task_process.this_worker()
    try:
        device = pick_device(hardware.device)
    except TrainingError as error:
        hint = "use workers with a GPU, or --device cpu and another --run"
        raise ClusterError(f"{worker} has no GPU, which this training uses ({hint})") from error
    if hardware.precision == "bfloat16" and pick_precision("auto", device) != torch.bfloat16:
        hint = "use workers with bfloat16, or --precision float32 and another --run"
        raise ClusterError(f"the processor of {worker} has no bfloat16, which this training uses ({hint})")
