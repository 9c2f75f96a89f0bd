"""What whole commands cost on this machine: simulating, training each model, predicting, and starting up.

Processor time and wall time of all processes together, and the most memory that they had at one moment (PSS: pages
that several share count once). Linux only: memory is read from /proc.

Example: python benchmarks/commands.py --children 60
"""

import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Literal

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from benchmarks import measuring
from benchmarks.measuring import Cost, Row
from spasm.cli import app
from spasm.config.fields import settings, within
from spasm.core.errors import DataError

STARTED = ("train_folds.py", "timeline.py", "evaluate.py", "simulate.py")  # whose --help is timed
TIMES = 3  # a start is timed


@settings
class Commands:
    """Flags of benchmarks/commands.py."""

    children: Annotated[int, within(12, 100_000)] = 60
    """Simulated children; a quarter of them are predicted, the others are trained on."""
    segments_per_child: Annotated[int, within(2, 1000)] = 10
    """Segments of each child."""
    frames: Annotated[int, within(60, 100_000)] = 150
    """Frames in a segment (T)."""
    epochs: Annotated[int, within(0, 1000)] = 0
    """Epochs of the network; 0: as in training by default."""
    predicted: Annotated[int, within(1, 100_000)] = 1000
    """Segments of one prediction, of as many children as are needed."""
    models: tuple[Literal["lgbm", "rocket", "stgcn_mil"], ...] = ("lgbm", "rocket", "stgcn_mil")
    """Models to train, and to predict with."""
    skip: tuple[Literal["report", "help"], ...] = ()
    """Commands to leave out."""
    workers: Annotated[int, within(1, 256)] = 2
    """Folds that are trained side by side."""
    out: Path | None = None
    """JSON file for the results."""


def main(settings: Commands) -> int:
    if sys.platform != "linux":
        raise DataError(Path("/proc"), "is not on this system", "run this benchmark on Linux")
    rows: list[Row] = []

    def add(name: str, cost: Cost) -> None:
        rows.append(Row(f"{name}, processor", cost.processor_s, "s"))
        rows.append(Row(f"{name}, wall", cost.wall_s, "s"))
        rows.append(Row(f"{name}, memory", cost.peak_bytes / 2**20, "MB"))
        print(f"{name:50}{cost.processor_s:10.1f} s{cost.wall_s:10.1f} s{cost.peak_bytes / 2**20:8.0f} MB", flush=True)

    print(f"{'':50}{'processor':>12}{'wall':>12}{'memory':>11}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data, run, frames = folder / "data", folder / "run", ["--frames", str(settings.frames)]
        per_child = ["--segments-per-child", str(settings.segments_per_child)]
        simulate = ["--out", str(data), "--children", str(settings.children), *per_child, *frames]
        add(
            f"simulating {settings.children * settings.segments_per_child:,} segments", script("simulate.py", *simulate)
        )
        trained = len(list((data / "train").iterdir()))
        common = ["--data", data, "--run", run, "--cache", folder / "cache", "--workers", settings.workers, *frames]
        common += ["--no-report"]
        for model in settings.models:
            more = ["--stgcn-mil.epochs", settings.epochs] if model == "stgcn_mil" and settings.epochs else []
            cost = script("train_folds.py", *map(str, [*common, "--models", model, *more]))
            add(f"training {model}, {trained:,} segments", cost)
        if "report" not in settings.skip:
            add("the report", script("report.py", "--run", str(run), "--cache", str(folder / "cache")))
        for count in (settings.predicted, 1):
            new = copies(data / "test", folder / f"new_{count}", count)
            submission = [
                sys.executable,
                ROOT / "submission.py",
                "--test",
                new,
                "--run",
                run,
                "--out",
                folder / "o.csv",
            ]
            add(f"predicting {count:,} segments", measuring.cost_of(submission))
    for one in () if "help" in settings.skip else STARTED:
        rows.append(Row(f"{one} --help", statistics.median(script(one, "--help").wall_s for _ in range(TIMES)), "s"))
        print(f"{one + ' --help':50}{'':12}{rows[-1].ours:10.2f} s")
    if settings.out:
        measuring.write(settings.out, f"{settings.workers} workers, T = {settings.frames}", rows)
    return 0


def script(name: str, *flags: str) -> Cost:
    return measuring.cost_of([sys.executable, ROOT / "src" / name, *flags])


def copies(source: Path, folder: Path, count: int) -> Path:
    """A folder with `count` segments: those of another, again and again under other children's names."""
    folder.mkdir()
    segments = sorted(source.iterdir())
    for number in range(count):
        shutil.copy(segments[number % len(segments)], folder / f"child_{1 + number // 100}_{1 + number % 100}.npy")
    return folder


if __name__ == "__main__":
    sys.exit(app.run(main, Commands, __doc__))
