"""What a task on a cluster costs beside its work: processor time, time to begin, and bytes that travel.

Starts a scheduler and workers as processes of this machine, with one task at a time each. Processor time is that of the
command, the scheduler, the workers and their tasks together, so that other programs on the machine change it little.

Examples:
  python benchmarks/cluster.py --data input/demo
  python benchmarks/cluster.py --data input/demo --workers 1 2 4 8 --tasks 400
"""

import os
import pickle
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from spasm.cli import app
from spasm.config.fields import settings, within
from spasm.config.runtime import Cache, Hardware
from spasm.data.dataset import TrainingData, load_training
from spasm.data.folds import make_folds
from spasm.models.model import FoldJob
from spasm.models.registry import MODELS
from spasm.training.on_cluster import files_of, lean
from spasm.tuning.on_cluster import score_fold

TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@settings
class BenchmarkCluster:
    """Flags of benchmarks/cluster.py."""

    data: Path = Path("input")
    """Folder with train/ and train_data.csv, whose folds are trained."""
    frames: Annotated[int, within(16, 100_000)] = 150
    """Frames in every segment (T)."""
    workers: tuple[int, ...] = (1, 2, 4)
    """Numbers of workers, by spaces."""
    tasks: Annotated[int, within(8, 100_000)] = 200
    """Empty tasks, to measure what each costs."""
    folds: Annotated[int, within(2, 1000)] = 20
    """Trainings of LightGBM, as in a search."""
    cache: Cache = Path("output/cache")
    """Folder for the checked poses and features; it may be deleted at any time."""


def main(settings: BenchmarkCluster) -> int:
    data = load_training(settings.data, settings.frames, "safe", settings.cache)
    jobs, scored = fold_jobs(data)
    model = MODELS["lgbm"]
    score_fold(model, jobs[0], scored[0])  # computes the features
    before_s = time.process_time()
    expected = [score_fold(model, jobs[number], scored[number]) for number in range(len(jobs))]
    alone_s = (time.process_time() - before_s) / len(jobs)
    print(f"LightGBM on {len(data.names)} segments, in one process: {alone_s:.2f} s of processor time for a fold")
    print(f"poses {data.poses.nbytes / 1e6:.1f} MB, a task {task_bytes(jobs[0]) / 1e3:.0f} kB")
    print(f"{'':10}{'empty tasks, process kept':>28}{'new process':>16}{'LightGBM, a fold':>28}")
    print(f"{'workers':10}{'ms each':>14}{'CPU ms each':>14}{'CPU s each':>16}{'s each':>14}{'CPU s each':>14}")
    for count in settings.workers:
        with cluster_of(count) as (cluster, processor_s):
            cells = []
            for keep, number in (("empty", settings.tasks), ("", 2 * count)):
                [one.result() for one in [cluster.submit(os.getpid, keep=keep) for _ in range(2 * count)]]
                wall_s, used_s = time.monotonic(), processor_s()
                [one.result() for one in [cluster.submit(os.getpid, keep=keep) for _ in range(number)]]
                cells += [(time.monotonic() - wall_s) / number, (processor_s() - used_s) / number]
            reads = files_of(model, jobs[0].config, data)
            wall_s, used_s = time.monotonic(), processor_s()
            turns = [number % len(jobs) for number in range(settings.folds)]
            begun = [
                cluster.submit(score_fold, model, jobs[turn], scored[turn], reads=reads, keep=model.name)
                for turn in turns
            ]
            for turn, one in zip(turns, begun, strict=True):
                assert np.array_equal(one.result(), expected[turn]), "the same logits as in one process"
            wall_s, used_s = time.monotonic() - wall_s, processor_s() - used_s
        print(
            f"{count:<10}{1e3 * cells[0]:>14.1f}{1e3 * cells[1]:>14.1f}{cells[3]:>16.2f}"
            f"{wall_s / settings.folds:>14.2f}{used_s / settings.folds:>14.2f}",
            flush=True,
        )
    return 0


def fold_jobs(data: TrainingData) -> tuple[list[FoldJob], list[np.ndarray]]:
    """The trainings of five folds, and the segments that each scores."""
    fold_of = make_folds(data.labels, data.children, 5, "stratified", 0)
    config = MODELS["lgbm"].config()
    jobs = [
        FoldJob(lean(data), np.flatnonzero((fold_of != fold) & data.has_pose), config, 0, fold, Hardware())
        for fold in range(5)
    ]
    return jobs, [np.flatnonzero((fold_of == fold) & data.has_pose) for fold in range(5)]


def task_bytes(job: FoldJob) -> int:
    """Bytes that travel for a task, beside files that it reads."""
    return len(zlib.compress(pickle.dumps(job), 1))


@contextmanager
def cluster_of(workers: int) -> Iterator[tuple[Any, Any]]:
    """A cluster of this many workers, and a function that gives the processor time of all its processes, in s."""
    from spasm.cluster.connection import connected

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        file = folder / "scheduler.json"
        started: list[subprocess.Popen[bytes]] = []

        def start(*words: str) -> None:
            command = [sys.executable, "-m", "dask", *words]
            silent = subprocess.DEVNULL
            started.append(subprocess.Popen(command, cwd=folder, stdout=silent, stderr=silent))
            stack.callback(started[-1].kill)

        start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file))
        while not file.exists():
            time.sleep(0.1)
        for _ in range(workers):
            start("worker", "--scheduler-file", str(file), "--nthreads", "1", "--no-nanny", "--no-dashboard")
        cluster, _ = stack.enter_context(connected(str(file)))
        while cluster.slots < workers:
            time.sleep(0.1)
        yield cluster, lambda: time.process_time() + used_s([one.pid for one in started])


def used_s(processes: Sequence[int]) -> float:
    """Processor time in s of processes with their children, those that run and those that have ended."""
    used = 0.0
    for process in processes:
        used += sum(map(int, Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:15])) * TICK_S
        for children in Path(f"/proc/{process}/task").glob("*/children"):
            used += used_s([int(child) for child in children.read_text().split()])
    return used


if __name__ == "__main__":
    sys.exit(app.run(main, BenchmarkCluster, __doc__))
