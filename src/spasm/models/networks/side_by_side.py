"""Train folds of a network, one alone or several side by side in this process; each can be stopped and resumed."""

import time
from collections.abc import Sequence

import torch

from spasm.config.fields import flag_of
from spasm.core import checkpoints
from spasm.core.errors import DataError, TrainingError
from spasm.core.processes import set_threads
from spasm.models.model import FoldJob
from spasm.models.networks import teacher
from spasm.models.networks.gpu import free_memory, is_out_of_memory, make_repeatable
from spasm.models.networks.predictor import pick_device, pick_precision
from spasm.models.networks.trainer import HISTORY, EndOfEpoch, FoldTrainer, Trainable

SAVED_ON_GPU_S = 2.0  # between two checkpoints of a fold, where an epoch may take less time than writing one


def fit(model: Trainable, job: FoldJob) -> dict[str, torch.Tensor]:
    """Train one fold, or resume where an earlier call stopped; returns `final_weights`. See `fit_together`."""
    return fit_together(model, [job])[0]


def fit_together(model: Trainable, jobs: Sequence[FoldJob]) -> list[dict[str, torch.Tensor]]:
    """Train folds of one data set side by side, or resume where an earlier call stopped; the `final_weights` of each.

    Every fold ends with the bytes that it has when it is trained alone. Its state is on disk after every epoch, on a
    GPU every few seconds. Where the memory of a GPU is full, fewer folds are trained at once. Raises DataError for a
    checkpoint of another fold, TrainingError if the memory is full with one fold.
    """
    set_threads(threads=1)
    try:
        return _fit_together(model, jobs)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
    free_memory()  # here, where the error no longer holds what was computed
    if len(jobs) > 1:
        half = len(jobs) // 2
        return fit_together(model, jobs[:half]) + fit_together(model, jobs[half:])
    batch = jobs[0].config.optimization.batch
    flag = f"{flag_of(model.name)}.batch" if model.is_prefixed else "--batch"
    hint = f"free some of it, use {flag} {batch // 2} in another --run" if batch > 2 else "free some of it"
    raise TrainingError(
        f"fold {jobs[0].fold}: the memory of the GPU is full with {batch} segments in a step; {hint}, or use "
        "--device cpu"
    )


def _fit_together(model: Trainable, jobs: Sequence[FoldJob]) -> list[dict[str, torch.Tensor]]:
    device = pick_device(jobs[0].hardware.device)
    precision = pick_precision(jobs[0].hardware.precision, device)
    if device.type == "cuda":
        make_repeatable()
    inputs = model.inputs(jobs[0].data, jobs[0].config, device)
    trainers = []
    for job in jobs:
        if job.config.optimization.loss == "taught":
            job = teacher.with_targets(job)
        options = job.config, job.seed, job.fold, device, precision, inputs
        trainers.append(FoldTrainer(model, job.data, job.rows, *options))
        resume(trainers[-1], job)
    jobs_left = [pair for pair in zip(trainers, jobs, strict=True) if pair[0].epoch < pair[0].epochs]
    train_side_by_side(jobs_left)
    return [trainer.final_weights() for trainer in trainers]


def resume(trainer: FoldTrainer, job: FoldJob) -> None:
    """Load the state that an earlier call left, if there is one. Raises DataError for that of another fold."""
    if job.checkpoint is not None and job.checkpoint.exists():
        try:
            trainer.load_state(checkpoints.read_tensors(job.checkpoint))
        except (KeyError, ValueError, RuntimeError) as error:
            reason = f"is not a checkpoint of fold {job.fold}, seed {job.seed} of this run"
            raise DataError(job.checkpoint, reason, "delete it to train the fold from the start") from error
    for number, values in enumerate(trainer.history, 1):
        job.on_epoch(number, dict(zip(HISTORY, values, strict=True)), True)


def train_side_by_side(jobs: Sequence[tuple[FoldTrainer, FoldJob]]) -> None:
    """Train some folds to their last epochs, a few steps of each in turn.

    A GPU computes the steps of all folds at the same time, while this process makes the next batches and writes the
    checkpoints.
    """
    running = [(trainer, job, trainer.begin_epoch()) for trainer, job in jobs]
    batches = [trainer.prepare(epoch) for trainer, _, epoch in running]
    ended: list[tuple[FoldTrainer, FoldJob, EndOfEpoch]] = []
    saved_s = dict.fromkeys((job.fold for _, job in jobs), time.monotonic())
    while running or ended:
        for (trainer, _, epoch), ready in zip(running, batches, strict=True):
            trainer.take(epoch, ready)
        for trainer, job, end in ended:
            row, state = trainer.finish(end)
            if state is not None and job.checkpoint is not None:
                checkpoints.write_tensors(job.checkpoint, state)
            job.on_epoch(end.number, row, state is None)
        ended, going, batches = [], [], []
        for trainer, job, epoch in running:
            ready = trainer.prepare(epoch)
            if not ready:
                last = trainer.epoch + 1 == trainer.epochs
                due = trainer.device.type == "cpu" or time.monotonic() - saved_s[job.fold] > SAVED_ON_GPU_S
                if due or last:
                    saved_s[job.fold] = time.monotonic()
                ended.append((trainer, job, trainer.end_epoch(epoch, copy=due or last)))
                if last:
                    continue
                epoch = trainer.begin_epoch()
                ready = trainer.prepare(epoch)
            going.append((trainer, job, epoch))
            batches.append(ready)
        running = going
