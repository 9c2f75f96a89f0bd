"""What one more child is worth: models trained on more and more children, evaluated on those of another data set.

The subsets are nested: each random order of the children gives its first 3, its first 6, and so on. Small subsets
differ much, so there are several orders. Each begins with two children who have segments of both classes, since nothing
can be trained without them; so the smallest subsets hold more positives than the data. All else is as in a real run:
folds of whole children, calibration and threshold out of fold, and the mean over the folds' models for new children.
Stopped at any moment, the same command continues.

Examples:
  python benchmarks/learning_curve.py --data input/demo --fresh input/infants --models lgbm,rocket
"""

import dataclasses
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from benchmarks.landmarks import each_model, train_run
from spasm.cli import app, progress, train
from spasm.config.data import Folds
from spasm.config.fields import FLAT, PER_CORE, Seed, SettingsError, Shown, settings, within
from spasm.config.runtime import Cache, Hardware
from spasm.core import files
from spasm.core.errors import printable
from spasm.core.outputs import check_folder
from spasm.data.dataset import TrainingData, load_training
from spasm.ensemble.calibration import probability
from spasm.evaluation import bootstrap, held_out, metrics
from spasm.inference.trained_run import TrainedRun
from spasm.models.model import Model
from spasm.models.registry import models_named
from spasm.report import console, plots
from spasm.runs.decide import complete_logits
from spasm.runs.folder import Run

MODELS = ("lgbm", "rocket")  # by default; a network takes far longer for every subset
SMALLEST = 3  # children
METRICS = {"auc": "AUC", "within_child_auc": "AUC within a child", "log_loss": "log loss", "f1": "F1"}
GAINS = ("auc", "log_loss")  # whose change with one more child is given
ENDS = ("", "_low", "_high")
COLUMNS = (
    "model", "children", "subsets", "segments", *(f"{metric}{end}" for metric in METRICS for end in ENDS),
    *(f"{metric}_per_child{end}" for metric in GAINS for end in ENDS),
)  # fmt: skip


@settings
class LearningCurve:
    """Flags of benchmarks/learning_curve.py, beside those of the models."""

    data: Path = Path("input")
    """Folder with the children to train on."""
    fresh: Path = Path("input/fresh")
    """Folder with the children to evaluate on, none of whom is in --data."""
    frames: Annotated[int | None, within(16, 100_000), Shown(default="150, or what the data's format gives")] = None
    """Frames in every segment (T)."""
    out: Path = Path("output/learning_curve")
    """Folder for the runs, the table and the plot."""
    models: train.Models = MODELS
    """Models to train, by spaces or commas."""
    children: Annotated[tuple[Annotated[int, within(SMALLEST, 100_000)], ...], Shown(value="NUMBERS")] = (
        3, 6, 12, 25, 45, 90, 140,
    )  # fmt: skip
    """Numbers of children to train on, by spaces; larger ones than there are children are left out."""
    subsets: Annotated[int, within(1, 100)] = 5
    """Most subsets of each size; of large sizes there are fewer, so that all sizes take about the same time."""
    seed: Seed = 0
    """Seed of the subsets and of the training."""
    workers: Annotated[int, within(0, 256), PER_CORE] = 0
    """Folds trained side by side, one thread each."""
    split: Annotated[Folds, FLAT] = Folds()
    cache: Cache = Path("output/cache")
    """Folder for the checked poses and features of each subset; it may be deleted at any time."""
    hardware: Annotated[Hardware, FLAT] = Hardware()


class Scores(NamedTuple):
    """The metrics of one model, trained on one subset or the mean over several, on the fresh children."""

    point: dict[str, float]
    replicates: dict[str, np.ndarray]
    """(R,) by name, over the same resamples of the fresh children for every model and subset."""


def flags(words: list[str]) -> type[LearningCurve]:
    """The flags of this script with the settings of the models that it names."""
    models = models_named(app.values_of("--models", words) or MODELS)
    made: type[LearningCurve] = train.with_models(LearningCurve, models)
    return made


def main(settings: LearningCurve) -> int:
    models = models_named(settings.models)
    check_folder(settings.out, ("table.csv", "learning_curve.png"), "*/run/run.json")
    known, fresh = (
        load_training(folder, settings.frames, "safe", settings.cache, progress.reading)
        for folder in (settings.data, settings.fresh)
    )
    if known.fingerprint == fresh.fingerprint:
        raise SettingsError("--fresh holds the same segments as --data: it needs children that no model was trained on")
    count = len(set(known.children))
    sizes = sorted({size for size in settings.children if size <= count})
    if not sizes:
        raise SettingsError(f"--children: {printable(settings.data)} has {count} children only; name smaller numbers")
    scores: dict[tuple[str, int], list[Scores]] = {}
    for size in sizes:
        for subset in range(min(settings.subsets, max(1, sizes[-1] // size))):
            chosen = child_order(known, [settings.seed, subset])[:size]
            print(f"{size} children, subset {subset}: {', '.join(chosen[:8])}{', ...' * (size > 8)}", flush=True)
            run = train_subset(settings, models, known, chosen, settings.out / f"{size}_{subset}")
            for name, one in evaluate(settings, run, fresh):
                scores.setdefault((name, size), []).append(one)
    rows = table(scores, known, len(set(fresh.children)))
    files.write_csv(settings.out / "table.csv", COLUMNS, rows, files.TABLE_DIGITS)
    simulated = known.simulated or fresh.simulated
    files.write_bytes(settings.out / "learning_curve.png", plot(rows, simulated))
    print(text(rows, fresh, simulated))
    print(f"written: {settings.out}/table.csv, learning_curve.png and the runs")
    return 0


def child_order(data: TrainingData, seed: Sequence[int]) -> list[str]:
    """The children in random order, after two who have segments with a pose of both classes. Raises SettingsError."""
    child, order = np.array(data.children), np.random.default_rng(seed).permutation(sorted(set(data.children)))
    mixed = [name for name in order if len(np.unique(data.labels[data.has_pose & (child == name)])) == 2][:2]
    if len(mixed) < 2:
        raise SettingsError("--data needs two children who have positive and negative segments, both with a pose")
    return [*map(str, mixed), *(str(name) for name in order if name not in mixed)]


def train_subset(
    settings: Any, models: Sequence[Model], data: TrainingData, children: Sequence[str], folder: Path
) -> Run:
    """A run of the models on these children of the data."""
    held_out.write_training_data(data, data.labels, np.isin(data.children, children), folder / "data")
    known = load_training(folder / "data", data.poses.shape[1], "safe", settings.cache, progress.reading)
    split = dataclasses.replace(settings.split, folds=min(settings.split.folds, len(children)))
    return train_run(dataclasses.replace(settings, split=split), models, known, folder / "run", settings.seed)


def evaluate(settings: LearningCurve, run: Run, fresh: TrainingData) -> list[tuple[str, Scores]]:
    """The metrics of each model, and of their blend where there are several, on the fresh children.

    AUC of a model is that of its own scores: of a few children calibration can make all probabilities equal.
    """
    children = list(fresh.children)
    prediction = TrainedRun(run.path, settings.hardware, settings.workers).predict(np.array(fresh.poses), children)
    found = [
        (name, probability(prediction.logits[name]), probabilities, threshold)
        for name, probabilities, threshold in each_model(run, complete_logits(run), prediction, children)
    ]
    if len(found) > 1:
        found.append(("blend", prediction.probability, prediction.probability, prediction.threshold))
    child = bootstrap.number_children(children)
    # The same resamples as in `metrics.cluster_bootstrap`.
    resampled = bootstrap.sample_children(child.max() + 1, np.random.default_rng(0))
    scores = []
    for name, ranked, probabilities, threshold in found:
        point, replicates = metrics.cluster_bootstrap(fresh.labels, ranked, probabilities >= threshold, children)
        right = np.where(fresh.labels == 1, probabilities, 1 - probabilities)
        losses = -np.log(np.clip(right, 1e-12, 1))
        point["log_loss"] = float(losses.mean())
        replicates["log_loss"] = bootstrap.mean_replicates(losses, child, resampled)
        scores.append((name, Scores(point, replicates)))
    return scores


def table(scores: dict[tuple[str, int], list[Scores]], known: TrainingData, fresh: int) -> list[tuple[Any, ...]]:
    """Rows of COLUMNS: means over subsets, and their change with one more child since the size before, paired.

    fresh: the number of fresh children, over whom the intervals are.
    """
    mean = {key: mean_scores(of_subsets) for key, of_subsets in scores.items()}
    segments = len(known.labels) / len(set(known.children))
    rows: list[tuple[Any, ...]] = []
    for name in dict.fromkeys(name for name, _ in mean):
        sizes = [size for model, size in mean if model == name]
        for before, size in itertools.pairwise([0, *sizes]):
            one, row = mean[name, size], [name, size, len(scores[name, size]), round(segments * size)]
            for metric in METRICS:
                row += bootstrap.interval(one.point[metric], one.replicates[metric], fresh).values()
            for metric in GAINS:
                if not before:
                    row += [None] * len(ENDS)
                    continue
                less = mean[name, before]
                gain = (one.point[metric] - less.point[metric]) / (size - before)
                replicates = (one.replicates[metric] - less.replicates[metric]) / (size - before)
                row += bootstrap.interval(gain, replicates, fresh).values()
            rows.append(tuple(row))
    return rows


def mean_scores(of_subsets: Sequence[Scores]) -> Scores:
    """The mean over subsets, also in each resample."""
    return Scores(
        {metric: float(np.mean([one.point[metric] for one in of_subsets])) for metric in METRICS},
        {metric: np.mean([one.replicates[metric] for one in of_subsets], axis=0) for metric in METRICS},
    )


def text(rows: Sequence[tuple[Any, ...]], fresh: TrainingData, simulated: bool) -> str:
    """The table for a terminal."""
    lines = ["", *[console.SIMULATED] * simulated]
    lines.append(
        f"{len(fresh.labels)} segments of {len(set(fresh.children))} fresh children, prevalence "
        f"{fresh.labels.mean():.3f}; means over subsets, 95 % intervals over the fresh children"
    )
    header = f"{'model':12}{'children':>9}{'AUC':>8} {'':18}{'in child':>9}{'log loss':>9}{'F1':>7}"
    lines.append(f"{header}   AUC with one more child")
    for values in rows:
        row = dict(zip(COLUMNS, values, strict=True))
        auc, within_child, loss, f1 = (console.number(row[metric]).strip() for metric in METRICS)
        limits = f"({console.number(row['auc_low']).strip()} to {console.number(row['auc_high']).strip()})"
        line = f"{row['model']:12}{row['children']:9}{auc:>8} {limits:18}{within_child:>9}{loss:>9}{f1:>7}"
        if row["auc_per_child"] is not None:
            low, high = row["auc_per_child_low"], row["auc_per_child_high"]
            line += f"   {row['auc_per_child']:+.4f} ({low:+.4f} to {high:+.4f})"
        lines.append(line)
    return "\n".join(lines)


def plot(rows: Sequence[tuple[Any, ...]], simulated: bool) -> bytes:
    """A PNG with a panel for each metric but F1: the mean over subsets by the number of children, with its interval."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator

    records = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    figure = Figure(figsize=(1.5 * plots.WIDTH_IN, 4.2), layout="constrained")
    shown = [metric for metric in METRICS if metric != "f1"]
    for axes, metric in zip(figure.subplots(1, len(shown)), shown, strict=True):
        for number, name in enumerate(dict.fromkeys(row["model"] for row in records)):
            of_model = [row for row in records if row["model"] == name and row[metric] is not None]
            sizes = [row["children"] for row in of_model]
            axes.plot(sizes, [row[metric] for row in of_model], "o-", color=f"C{number}", label=name)
            ends = ([row[f"{metric}{end}"] for row in of_model] for end in ("_low", "_high"))
            axes.fill_between(sizes, *ends, color=f"C{number}", alpha=0.12, linewidth=0)
        axes.set_xscale("log")
        ticks = sorted({row["children"] for row in records})
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel("children to train on")
        axes.set_title(f"{METRICS[metric]}, fresh children", fontsize=10)
        axes.grid(alpha=0.3)
    figure.axes[0].legend()
    plots.stamp_simulated(figure, simulated)
    return plots.to_png(figure)


if __name__ == "__main__":
    sys.exit(app.run(main, flags, __doc__))
