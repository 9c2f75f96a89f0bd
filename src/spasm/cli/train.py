"""What the training scripts share: read the data, train every fold in workers, rebuild the run, say what is next."""

import dataclasses
import os
import shlex
import sys
from collections.abc import Callable, Mapping
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Annotated, Any, Protocol

from joblib import Parallel, cpu_count, delayed

from spasm.cli import progress
from spasm.config.data import Data, Folds
from spasm.config.fields import Between, Checked, Seed, SettingsError
from spasm.core import processes
from spasm.core.errors import DataError, TrainingError
from spasm.data.dataset import load_training
from spasm.data.folds import one_class_folds
from spasm.report import console
from spasm.runs.run import MemberFolder, Run, open_member, open_run
from spasm.runs.summarize import rebuild


@dataclasses.dataclass(frozen=True)
class Train(Checked):
    """Flags that every training script has."""

    read: Data = Data()
    run: Path = Path("output/main")
    """Run folder to write or to continue."""
    cache: Path = Path("output/cache")
    """Folder for the checked poses, one file per data set; may be deleted at any time."""
    fold: Annotated[int | None, Between(0, 99)] = None
    """Train this fold only, counted from 0."""
    workers: Annotated[int, Between(0, 256)] = 0
    """Folds trained side by side, one thread each; 0 means one per CPU core."""
    seed: Seed = 0
    """Seed of the training; each seed adds to the same run."""
    split: Folds = Folds()


Report = Callable[[dict[str, float]], None]


class FitFold(Protocol):
    """Trains one fold and scores its held-out children; depends on its arguments alone."""

    def __call__(self, run: Run, member: MemberFolder, settings: Any, seed: int, fold: int, report: Report) -> None: ...


def train(settings: Train, name: str, member_settings: Any, environment: Mapping[str, Any], fit_fold: FitFold) -> int:
    """Train the member `name`. `environment` is what must not change within a member, beside its settings."""
    if settings.fold is not None and settings.split.folds_file is None and settings.fold >= settings.split.folds:
        last = settings.split.folds - 1
        raise SettingsError(f"--fold {settings.fold} is outside 0 to {last}; the nearest valid value is {last}")
    read = settings.read
    data = load_training(read.data, read.frames, read.name_pattern, settings.cache, progress.reading)
    run = open_run(settings.run, data, read.data, data.poses.shape[1], settings.split)
    member = open_member(run, name, dataclasses.asdict(member_settings), environment)
    folds = range(run.folds) if settings.fold is None else [settings.fold]
    if settings.fold is not None and settings.fold >= run.folds:
        raise DataError(run.path, f"has {run.folds} folds, counted from 0", f"use --fold {run.folds - 1} or lower")
    print(console.data_summary(data))
    for warning in data.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if data.targets is not None and "onsets_sha256" not in environment:
        print("warning: onsets.csv is not used; networks trained with --loss squared follow it", file=sys.stderr)
    computed = (f"{key} {value}" for key, value in environment.items())
    print(", ".join([name, f"seed {settings.seed}", f"{run.folds} folds", *computed]))
    for fold in one_class_folds(data.labels, run.fold_of):
        print(f"warning: fold {fold} has one class only; it has no AUC of its own", file=sys.stderr)

    workers = min(len(folds), settings.workers or cpu_count())
    try:
        Parallel(n_jobs=workers)(
            delayed(_train_one)(fit_fold, run, member, member_settings, settings.seed, fold, os.getpid())
            for fold in folds
        )
    except BrokenProcessPool as error:
        raise TrainingError(
            "a worker was killed, perhaps because memory ran out; the same command continues, also with fewer --workers"
        ) from error

    result = rebuild(run)
    waiting = [fold for fold in range(run.folds) if not member.is_trained(settings.seed, fold)]
    if waiting:
        print(f"folds {', '.join(map(str, waiting))} of seed {settings.seed} are still to be trained")
    if result is None:
        return 0
    print(console.metrics_table(result))
    print("written:", ", ".join(str(path) for path in _written(run, member)))
    if waiting or name in result["members"]:
        flags = ["--run", str(run.path), "--test", str(read.data / "test")]
        if read.name_pattern != "challenge":
            flags += ["--name-pattern", read.name_pattern]
        if (read.data / "test").exists():
            print(f"next:    python submission.py {shlex.join(flags)}")
    else:
        print(f"{name} does not enter the answers before the members are blended")
        print(f"next:    python src/blend.py {shlex.join(['--run', str(run.path)])}")
    return 0


def _written(run: Run, member: MemberFolder) -> list[Any]:
    paths = [run.path / name for name in ("metrics.json", "decision.json", "oof.csv")]
    return paths + [path for path in (member.history, member.importance) if path.exists()]


def _train_one(
    fit_fold: FitFold, run: Run, member: MemberFolder, settings: Any, seed: int, fold: int, parent: int
) -> None:
    processes.die_with_parent(parent)
    fit_fold(run, member, settings, seed, fold, print_row)


def print_row(row: dict[str, float]) -> None:
    cells = (f"{name} {value:.5g}" if isinstance(value, float) else f"{name} {value}" for name, value in row.items())
    print("  ".join(cells), flush=True)
