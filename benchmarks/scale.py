"""What a segment costs from 100 to 100,000 of them, on this machine, and what a million would cost, computed.

Each step is a command in processes of its own: checking the files, training LightGBM with and without the files read
before, training each other model, and predicting. The segments are simulated; those of a smaller set are hard links
to the first of the largest. No two segments have the same content, and each set has a cache of its own, so that no
command can use what another has read. Predicted are the same files as those that were trained on: the submission
does not know them, and reads each of them.

Networks are trained for one epoch, since the time of an epoch does not depend on the others. The blend that predicts
is trained on the smallest set that has five folds: its time does not depend on what it was trained on.
Every result is written at once to scale.json, and the same command continues; last it plots scale.png. Linux only:
memory is read from /proc.

Example: python benchmarks/scale.py --segments 100 1000 10000 --out output/scale
"""

import csv
import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from benchmarks import measuring
from spasm.cli import app
from spasm.config.fields import settings, within
from spasm.core import files
from spasm.core.errors import DataError
from spasm.data.naming import child_of
from spasm.report import plots

Step = Literal["check", "lgbm", "nothing", "report", "submission", "rocket", "stgcn_mil", "blend"]
STEPS: tuple[Step, ...] = get_args(Step)
TITLES = {
    "check": "checking the files",
    "lgbm": "training LightGBM, five folds",
    "nothing": "the same command again",
    "report": "the report",
    "submission": "prediction, LightGBM",
    "rocket": "training the random convolutions, five folds",
    "stgcn_mil": "an epoch of the network, five folds",
    "blend": "prediction, three models",
}
FOLDS = 5
TRAINED = ("lgbm", "rocket", "stgcn_mil")  # whose tasks are the folds: no more machines than folds can help
SPREAD = ("submission", "blend")  # whose tasks are parts of the segments; other steps are one process
MILLION = 1_000_000
COLOURS = ("#4c566a", "#1f77b4", "#9ecae1", "#7f7f7f", "#08519c", "#2ca02c", "#d95f02", "#7b3294")  # of the steps
COLUMNS = ("step", "segments", "processor_s", "wall_s", "peak_mb")
Row = dict[str, Any]


@settings
class Scale:
    """Flags of benchmarks/scale.py."""

    out: Path = Path("output/scale")
    """Folder for the results, and for data, caches and runs until they are measured."""
    segments: tuple[Annotated[int, within(100, 1_000_000)], ...] = (100, 1_000, 10_000, 100_000)
    """Numbers of segments."""
    steps: tuple[Step, ...] = STEPS
    """Steps to measure."""
    most_slow: Annotated[int, within(100, 1_000_000)] = 20_000
    """Most segments on which the network and the random convolutions are trained, and which the blend predicts."""
    data: Path | None = None
    """Simulated data with as many segments in train/; None: they are simulated in --out."""
    frames: Annotated[int, within(60, 100_000)] = 150
    """Frames in a segment (T)."""
    workers: Annotated[int, within(1, 256)] = 2
    """Folds that are trained side by side."""
    machines: Annotated[int, within(1, 100_000)] = 50
    """Machines like this one, for which a million segments are computed."""
    link_mbit: Annotated[float, within(0.1, 1e6)] = 1000.0
    """Megabits per second at which the machine that has the data sends them to the others."""
    start_s: Annotated[float, within(0, 1000)] = 3.0
    """Seconds until a worker has opened the models, once."""
    task_overhead_s: Annotated[float, within(0, 1000)] = 0.1
    """Seconds that a task costs beyond its work."""
    task_segments: Annotated[int, within(1, 1_000_000)] = 128
    """Segments of a task of the prediction."""
    keep: bool = False
    """Keep the sets, caches and runs."""


def main(settings: Scale) -> int:
    if sys.platform != "linux":
        raise DataError(Path("/proc"), "is not on this system", "run this benchmark on Linux")
    settings.out.mkdir(parents=True, exist_ok=True)
    kept = settings.out / "scale.json"
    stored = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
    rows: list[Row] = stored.get("rows", [])
    machine = measuring.machine()
    print(measuring.in_words(machine))
    data = settings.data or simulated(settings)
    names = segment_names(data)
    print(f"{'step':46}{'segments':>10}{'processor':>12}{'wall':>10}{'memory':>10}{'a segment':>12}")
    for count in sorted(settings.segments):
        folder = settings.out / f"set_{count}"
        shutil.rmtree(folder, ignore_errors=True)
        for step in settings.steps:
            if step in ("rocket", "stgcn_mil", "blend") and count > settings.most_slow:
                continue
            found = next((row for row in rows if (row["step"], row["segments"]) == (step, count)), None)
            if found is None:
                if not folder.is_dir():
                    write_set(data, names, count, folder / "data")
                cost = measuring.cost_of(prepared(step, folder, settings), folder / f"{step}.log")
                found = dict(
                    zip(COLUMNS, (step, count, cost.processor_s, cost.wall_s, cost.peak_bytes / 2**20), strict=True)
                )
                rows.append(found)
                content = {
                    "machine": stored.get("machine", machine),
                    "workers": settings.workers,
                    "segment_bytes": segment_bytes(data),
                    "rows": rows,
                }
                files.write_json(kept, content)
            print(line(found), flush=True)
        if not settings.keep:
            shutil.rmtree(folder, ignore_errors=True)
    print(*million(rows, settings, segment_bytes(data)), sep="\n")
    if settings.data is None and not settings.keep:
        shutil.rmtree(settings.out / "data", ignore_errors=True)
    (settings.out / "scale.png").write_bytes(plot(rows))
    print(f"written: {kept}, {settings.out / 'scale.png'}")
    return 0


def simulated(settings: Scale) -> Path:
    """A folder with enough simulated segments in train/."""
    folder = settings.out / "data"
    if not (folder / "simulated.json").is_file():
        children = max(16, -(-max(settings.segments) // 15) + 2)  # a quarter of the children are in test/
        flags = ["--out", folder, "--children", children, "--segments-per-child", 20, "--frames", settings.frames]
        measuring.cost_of([sys.executable, ROOT / "src/simulate.py", *map(str, flags), "--seed", "12"])
    return folder


def segment_names(data: Path) -> dict[str, list[tuple[str, str]]]:
    """The names and labels of the segments of each child, in the order of their numbers."""
    if not (data / "simulated.json").is_file():
        raise DataError(data, "is not a simulated data set", "leave --data out, or name one of src/simulate.py")
    with open(data / "train_data.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    children: dict[str, list[tuple[str, str]]] = {}
    for name, label in rows:
        children.setdefault(child_of(name), []).append((name, label))
    return dict(sorted(children.items(), key=lambda item: int(item[0])))


def write_set(data: Path, names: dict[str, list[tuple[str, str]]], count: int, folder: Path) -> None:
    """The first `count` segments as a data folder of hard links, of at least ten children, and beside it new/."""
    per_child = max(1, min(count // 10, max(map(len, names.values()))))
    chosen = [one for rows in names.values() for one in rows[:per_child]][:count]
    if len(chosen) < count:
        raise DataError(data, f"has {len(chosen)} segments and not {count}", "simulate more children")
    for place in (folder / "train", folder.parent / "new"):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        for name, _ in chosen:
            os.link(data / "train" / name, place / name)
    files.write_csv(folder / "train_data.csv", ("segment_name", "label"), chosen)
    shutil.copy(data / "simulated.json", folder)


def prepared(step: str, folder: Path, settings: Scale) -> list[str | Path]:
    """The command of a step, after what it needs was made."""
    data, cache = folder / "data", folder / "cache"
    frames = ["--frames", str(settings.frames)]

    def train(models: str, run: str) -> list[str | Path]:
        flags: list[str | Path] = ["--data", data, "--run", folder / run, "--cache", cache, *frames]
        flags += ["--models", models, "--workers", str(settings.workers), "--no-report"]
        flags += ["--stgcn-mil.epochs", "1"] if "stgcn_mil" in models else []
        return [sys.executable, ROOT / "src/train_folds.py", *flags]

    def needs(run: str, models: str) -> None:
        if not (folder / run / "decision.json").is_file():
            measuring.cost_of(train(models, run), folder / f"{run}_needed.log")

    if step == "check":
        return [sys.executable, ROOT / "src/verify.py", "--data", data, "--cache", cache, *frames]
    if step in TRAINED:
        return train(step, step)
    if step == "nothing":
        needs("lgbm", "lgbm")
        return train("lgbm", "lgbm")
    if step == "report":
        needs("lgbm", "lgbm")
        return [sys.executable, ROOT / "src/report.py", "--run", folder / "lgbm", "--cache", cache]
    run = folder / "lgbm"
    if step == "submission":
        needs("lgbm", "lgbm")
    else:
        run = settings.out / "blend"
        if not (run / "decision.json").is_file():
            small = settings.out / "blend_set/data"
            shutil.rmtree(small, ignore_errors=True)
            source = settings.data or settings.out / "data"
            write_set(source, segment_names(source), min(1000, min(settings.segments)), small)
            words = train("lgbm,rocket,stgcn_mil", "blend")
            words[words.index(data)], words[words.index(folder / "blend")] = small, run
            measuring.cost_of(words, settings.out / "blend.log")
    return [sys.executable, ROOT / "submission.py", "--test", folder / "new", "--run", run, "--out", folder / "out.csv"]


def segment_bytes(data: Path) -> int:
    """Size of a segment's file."""
    return next((data / "train").iterdir()).stat().st_size


def line(row: Row) -> str:
    return (
        f"{TITLES[row['step']]:46}{row['segments']:10,}{row['processor_s']:10.1f} s{row['wall_s']:8.1f} s"
        f"{row['peak_mb']:7.0f} MB{per_segment_ms(row):9.2f} ms"
    )


def plot(rows: Sequence[Row]) -> bytes:
    """PNG of the processor time of a segment, and of the memory, by the number of segments."""
    from matplotlib.figure import Figure  # what plots takes a second to load

    figure = Figure(figsize=(plots.WIDTH_IN, 5.2), layout="constrained")
    plots.stamp_simulated(figure, simulated=True)
    panels = figure.subplots(1, 2)
    columns = (("processor time of a segment, ms", per_segment_ms), ("memory of all processes, GB", memory_gb))
    for axes, (title, value) in zip(panels, columns, strict=True):
        for step, colour, marker in zip(STEPS, COLOURS, "osD^vPX*", strict=True):
            measured = sorted((row for row in rows if row["step"] == step), key=lambda row: row["segments"])
            numbers = [row["segments"] for row in measured]
            axes.plot(numbers, [value(row) for row in measured], marker=marker, color=colour, label=TITLES[step])
        axes.set_xscale("log")
        axes.set_xlabel("segments")
        axes.set_title(title, loc="left", fontsize=10)
        axes.xaxis.set_major_formatter(lambda number, _: f"{number:,.0f}")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
    panels[0].set_yscale("log")
    panels[0].yaxis.set_major_formatter(lambda number, _: f"{number:g}")
    panels[1].set_ylim(bottom=0)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return plots.to_png(figure)


def per_segment_ms(row: Row) -> float:
    return float(1000 * row["processor_s"] / row["segments"])


def memory_gb(row: Row) -> float:
    return float(row["peak_mb"] / 1024)


def million(rows: Sequence[Row], settings: Scale, size: int) -> list[str]:
    """What a million segments would cost by these measurements, on one machine and on many, in lines."""
    gigabytes = MILLION * size / 1e9
    sending_s = 8000 * gigabytes / settings.link_mbit
    lines = [
        "",
        f"COMPUTED for {MILLION:,} segments ({gigabytes:.0f} GB) from the measured processor time, not measured:",
        f"a further segment costs what it does between the two largest sets; {settings.machines} machines of "
        f"{settings.workers} cores, a link of {settings.link_mbit:g} Mbit/s from the",
        f"data ({sending_s / 60:.0f} min for all segments), {settings.start_s:g} s to start a worker, "
        f"{settings.task_overhead_s:g} s for each task, {settings.task_segments} segments in one of a prediction.",
        f"{'step':46}{'processor':>12}{'one machine':>14}{f'{settings.machines} machines':>14}",
    ]
    for step in STEPS:
        measured = sorted((row for row in rows if row["step"] == step), key=lambda row: row["segments"])
        if measured:
            processor_s = extrapolated(measured)
            one_s = on_machines(step, processor_s, 0, 1, settings)
            many_s = on_machines(step, processor_s, sending_s, settings.machines, settings)
            cells = "".join(f"{seconds / 3600:>{width}.1f} h" for seconds, width in ((one_s, 12), (many_s, 12)))
            lines.append(f"{TITLES[step]:46}{processor_s / 3600:10.1f} h{cells}")
    return lines


def extrapolated(measured: Sequence[Row]) -> float:
    """Processor seconds for a million segments: the last set's, and the slope between the last two for the rest."""
    last = measured[-1]
    slope = last["processor_s"] / last["segments"]
    if len(measured) > 1:
        before = measured[-2]
        slope = max(0.0, (last["processor_s"] - before["processor_s"]) / (last["segments"] - before["segments"]))
    return float(last["processor_s"] + slope * (MILLION - last["segments"]))


def on_machines(step: str, processor_s: float, sending_s: float, machines: int, settings: Scale) -> float:
    """Seconds until the last of the machines has ended.

    A fold needs the segments of all children but its own, so each machine with folds is sent nearly all of them, one
    machine after another over the one link. Parts of a prediction are sent once. Other steps stay on one core.
    """
    cores = settings.workers * machines
    if step in TRAINED:
        rounds = -(-FOLDS // cores)
        sent_s = min(machines, FOLDS) * sending_s
        return settings.start_s + rounds * (processor_s / FOLDS + settings.task_overhead_s) + sent_s
    if step in SPREAD:
        tasks = -(-MILLION // settings.task_segments)
        rounds = -(-tasks // cores)
        return settings.start_s + max(sending_s, rounds * (processor_s / tasks + settings.task_overhead_s))
    return processor_s


if __name__ == "__main__":
    sys.exit(app.run(main, Scale, __doc__))
