"""What networks that see pictures cost, from videos to predictions, beside the network on poses in the same run.

Each stage is a command in processes of its own, on simulated videos: painting them, extracting the pictures, training
(an epoch of all folds), and predicting. Times are processor time of all processes, memory is the most that they had at
one moment (PSS). The ratio of the first two is seconds of video for each second of processor; that of the others is the
time of the first model over that of the model. Linux only: memory is read from /proc.

Examples:
  python benchmarks/pictures.py --children 20
  python benchmarks/pictures.py --device cuda --two-stream-side 224
"""

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
from spasm.data.pose import FPS

PICTURES = {"vsvig_patches": "vsvig", "two_stream_pictures": "two_stream"}


@settings
class BenchmarkPictures:
    """Flags of benchmarks/pictures.py."""

    children: Annotated[int, within(8, 100_000)] = 20
    """Simulated children; a quarter of them are predicted, the others are trained on."""
    segments_per_child: Annotated[int, within(2, 1000)] = 6
    """Segments of each child."""
    frames: Annotated[int, within(60, 100_000)] = 150
    """Frames in a segment (T), a multiple of 5."""
    folds: Annotated[int, within(2, 20)] = 3
    """Folds that are trained."""
    workers: Annotated[int, within(1, 256)] = 2
    """Videos and folds side by side."""
    models: tuple[Literal["stgcn_mil", "vsvig_patches", "two_stream_pictures"], ...] = (
        "stgcn_mil",
        "vsvig_patches",
        "two_stream_pictures",
    )
    """Models to train, and to predict with; the others are compared with the first."""
    two_stream_side: Literal[28, 56, 112, 224] = 56
    """Pixels of the pictures that two_stream_pictures reads."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where networks are trained and predict."""
    out: Path | None = None
    """JSON file for the results."""


def main(settings: BenchmarkPictures) -> int:
    if sys.platform != "linux":
        raise DataError(Path("/proc"), "is not on this system", "run this benchmark on Linux")
    rows: list[Row] = []
    first: dict[str, float] = {}
    length_s = settings.frames / FPS
    print(f"{'':46}{'a segment':>12}{'ratio':>9}{'wall':>9}{'memory':>10}")

    def add(stage: str, cost: Cost, segments: int, other: float | None) -> float:
        each = cost.processor_s / segments
        row = Row(f"{stage}, processor", each, "s a segment", other)
        rows.append(row)
        rows.append(Row(f"{stage}, memory", cost.peak_bytes / 2**20, "MB"))
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        print(f"{stage:46}{each:10.3f} s{ratio:>9}{cost.wall_s:7.1f} s{cost.peak_bytes / 2**20:7.0f} MB", flush=True)
        return each

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data, frames = folder / "data", ["--frames", settings.frames]
        size = ["--children", settings.children, "--segments-per-child", settings.segments_per_child]
        every = settings.children * settings.segments_per_child
        simulate = ["--out", data, *size, *frames, "--workers", settings.workers]
        add("painting videos", command("src/simulate.py", *simulate, "--videos"), every, length_s)
        for kind in PICTURES.values():
            flags = ["--data", data, "--pictures", kind, *frames, "--workers", settings.workers]
            add(f"extracting pictures for {kind}", command("src/extract_pictures.py", *flags), every, length_s)
        trained, new = (len(list((data / part).iterdir())) for part in ("train", "test"))
        for model in settings.models:
            flags = ["--data", data, "--run", folder / model, "--cache", folder / "cache", *frames, "--no-report"]
            flags += ["--folds", settings.folds, "--workers", settings.workers, "--device", settings.device]
            flags += ["--models", model, f"--{model.replace('_', '-')}.epochs", 1]
            if model == "two_stream_pictures":
                flags += ["--two-stream-pictures.side", settings.two_stream_side]
            stage = f"an epoch of {model}, {settings.folds} folds"
            cost = add(stage, command("src/train_folds.py", *flags), trained, first.get("training"))
            first.setdefault("training", cost)
            flags = ["--test", data / "test", "--run", folder / model, "--out", folder / "submission.csv"]
            predicted = command("submission.py", *flags, "--device", settings.device)
            cost = add(f"predicting by {model}", predicted, new, first.get("predicting"))
            first.setdefault("predicting", cost)
    if settings.out:
        measuring.write(settings.out, f"{settings.folds} folds, T = {settings.frames}, {settings.device}", rows)
    return 0


def command(script: str, *flags: object) -> Cost:
    """The cost of a command of the repository."""
    return measuring.cost_of([sys.executable, ROOT / script, *map(str, flags)])


if __name__ == "__main__":
    sys.exit(app.run(main, BenchmarkPictures, __doc__))
