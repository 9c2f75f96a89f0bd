"""Train one network per fold, score every child by the fold that never saw it, and choose the threshold.

Stopped at any moment, the same command continues and ends with the same bytes.

Example: python src/train_folds.py --data input --run output/main --seed 0
"""

import dataclasses
import os
import shlex
import signal
import sys
import threading
import time
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from joblib import Parallel, cpu_count, delayed
from tqdm import tqdm

import command_line
from spasm import report_text, runs
from spasm.dataset import load_training
from spasm.errors import DataError, TrainingError
from spasm.folds import one_class_folds
from spasm.runs import MemberFolder, Run
from spasm.scoring import pick_device, pick_precision
from spasm.settings import Member, SettingsError, TrainFolds
from spasm.training import fit_fold


def main(settings: TrainFolds) -> int:
    if settings.fold is not None and settings.split.folds_file is None and settings.fold >= settings.split.folds:
        last = settings.split.folds - 1
        raise SettingsError(f"--fold {settings.fold} is outside 0 to {last}; the nearest valid value is {last}")
    device = pick_device(settings.hardware.device)
    precision = pick_precision(settings.hardware.precision, device)
    read = settings.read
    data = load_training(
        read.data, read.frames, read.names, settings.cache, lambda paths: tqdm(paths, "reading", disable=None)
    )
    run = runs.open_run(settings.run, data, read.data, read.frames, settings.split)
    member = runs.open_member(
        run,
        settings.member.model,
        dataclasses.asdict(settings.member),
        {"device": device.type, "precision": str(precision).removeprefix("torch."), "threads": 1},
    )
    folds = range(run.folds) if settings.fold is None else [settings.fold]
    if settings.fold is not None and settings.fold >= run.folds:
        raise DataError(run.path, f"has {run.folds} folds, counted from 0", f"use --fold {run.folds - 1} or lower")
    print(report_text.data_summary(data))
    for warning in data.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(f"{settings.member.model}, seed {settings.seed}, {run.folds} folds, {device}, {precision}")
    for fold in one_class_folds(data.labels, run.fold_of):
        print(f"warning: fold {fold} has one class only; it has no AUC of its own", file=sys.stderr)

    workers = min(len(folds), settings.workers or cpu_count())
    try:
        Parallel(n_jobs=workers)(
            delayed(train_one)(run, member, settings.member, settings.seed, fold, device, precision, os.getpid())
            for fold in folds
        )
    except BrokenProcessPool as error:
        raise TrainingError(
            "a worker was killed, perhaps because memory ran out; the same command continues, also with fewer --workers"
        ) from error

    result = runs.rebuild(run)
    waiting = [fold for fold in range(run.folds) if not member.is_trained(settings.seed, fold)]
    if waiting:
        print(f"folds {', '.join(map(str, waiting))} of seed {settings.seed} are still to be trained")
    if result is None:
        return 0
    print(report_text.metrics_table(result))
    written = ("metrics.json", "decision.json", "oof.csv", f"{member.path.name}/history.csv")
    print("written:", ", ".join(str(run.path / name) for name in written))
    flags = ["--run", str(run.path), "--test", str(read.data / "test")]
    if read.names != "challenge":
        flags += ["--names", read.names]
    if (read.data / "test").exists():
        print(f"next:    python submission.py {shlex.join(flags)}")
    return 0


def train_one(
    run: Run, member: MemberFolder, settings: Member, seed: int, fold: int, device: Any, precision: Any, parent: int
) -> None:
    """Train a fold in whichever process this is; a worker never outlives the command that started it."""
    if os.getpid() != parent:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent stops its workers
        threading.Thread(target=stop_with, args=[parent], daemon=True).start()
    fit_fold(run, member, settings, seed, fold, device, precision, print_epoch)


def stop_with(parent: int) -> None:
    """End this process soon after its parent, also when that was killed and could not say so."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)


def print_epoch(row: dict[str, float]) -> None:
    cells = (f"{name} {value:.5g}" if isinstance(value, float) else f"{name} {value}" for name, value in row.items())
    print("  ".join(cells), flush=True)


if __name__ == "__main__":
    sys.exit(command_line.run(main, TrainFolds, __doc__))
