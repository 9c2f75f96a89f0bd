"""Models of a run side by side: their metrics over seeds, how far the blend is ahead, and what they cost."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from spasm.config.ensemble import Blend
from spasm.data.annotations import LabelLevel
from spasm.ensemble.blending import OofScores, cross_fit
from spasm.ensemble.thresholds import best_threshold
from spasm.evaluation import bootstrap, metrics
from spasm.models import profiling
from spasm.models.registry import DEFAULT_MODELS
from spasm.report import console, plots
from spasm.runs.decide import seed_logits
from spasm.runs.folder import ModelFolder, Run

SHOWN = {
    "f1": "F1",
    "auc": "AUC",
    "within_child_auc": "AUC within a child",
    "average_precision": "average precision",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "brier": "Brier",
}
INTERVALS, ALONE = ("f1", "auc"), ("within_child_auc", "sensitivity", "brier")  # printed; table.csv has all
FEW = 10  # children with a positive segment, below which metrics mean nothing
Row = dict[str, Any]


class Scores(NamedTuple):
    """The cross-fitted metrics of one model with one seed."""

    point: dict[str, float]
    """By name; NaN where a metric does not exist."""
    replicates: dict[str, np.ndarray]
    """(R,) by name, over the same resamples of the children for every model."""
    best_f1: float
    """F1 at the one threshold that is best for it: optimistic."""
    children: int
    """How many children the resamples have."""


def evaluate_models(run: Run, names: Sequence[str], seeds: int) -> dict[str, list[Scores]]:
    """Each model and the blend of the default ones, one for each seed from 0; last the blend of all seeds."""
    logits = {name: [seed_logits(run, ModelFolder(run.path / name), seed) for seed in range(seeds)] for name in names}
    scores = {name: [evaluate(run, {name: one}) for one in logits[name]] for name in names}
    blended = [name for name in names if name in DEFAULT_MODELS]
    if len(blended) > 1:
        scores["blend"] = [evaluate(run, {name: logits[name][seed] for name in blended}) for seed in range(seeds)]
        if seeds > 1:
            mean = {name: np.mean(logits[name], axis=0) for name in blended}
            scores[f"blend of all {seeds} seeds"] = [evaluate(run, mean)]
    return scores


def evaluate(run: Run, logits: dict[str, np.ndarray]) -> Scores:
    """Cross-fitted metrics of models' logits (N,); of children where a label belongs to a child."""
    data, children, fold_of = run.data, np.array(run.data.children), run.fold_of
    labels, has_pose = data.labels, data.has_pose
    if data.label_level is LabelLevel.CHILD:
        children, first, child = np.unique(children, return_index=True, return_inverse=True)
        labels, fold_of = labels[first], fold_of[first]
        logits = {name: largest(values, child, has_pose) for name, values in logits.items()}
        has_pose = np.bincount(child, has_pose) > 0
    rows = OofScores(logits, children, has_pose)
    probabilities, positive, _ = cross_fit(rows, labels, fold_of, Blend())
    point, replicates = metrics.cluster_bootstrap(labels, probabilities, positive, list(children), fold_of)
    best = metrics.point_metrics(labels, probabilities, probabilities >= best_threshold(labels, probabilities))["f1"]
    return Scores(point, replicates, math.nan if best is None else best, len(set(children)))


def largest(values: np.ndarray, child: np.ndarray, has_pose: np.ndarray) -> np.ndarray:
    """The largest of values (N,) of each child, among segments with a pose where there is one.

    child: (N,), the number of each segment's child from 0.
    """
    most = np.full(child.max() + 1, -np.inf)
    np.maximum.at(most, child[has_pose], values[has_pose])
    return np.where(np.isfinite(most), most, values[np.unique(child, return_index=True)[1]])


def table_rows(scores: Mapping[str, Sequence[Scores]], costs: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """One row for each model: means over seeds with intervals over children, how far the blend is ahead, and costs."""
    mean = {name: float(np.mean([one.point["f1"] for one in of_seeds])) for name, of_seeds in scores.items()}
    replicates = {name: _mean_replicates(of_seeds, "f1") for name, of_seeds in scores.items()}
    rows = []
    for name, of_seeds in scores.items():
        row: Row = {"model": name, "seeds": len(of_seeds)}
        for metric in SHOWN:
            value = float(np.mean([one.point[metric] for one in of_seeds]))
            interval = bootstrap.interval(value, _mean_replicates(of_seeds, metric), of_seeds[0].children)
            row |= {metric: interval["value"], f"{metric}_low": interval["low"], f"{metric}_high": interval["high"]}
        f1 = [one.point["f1"] for one in of_seeds]
        row |= {"f1_lowest_seed": min(f1), "f1_highest_seed": max(f1)}
        row["f1_optimistic"] = float(np.mean([one.best_f1 for one in of_seeds]))
        row |= dict.fromkeys(("blend_minus_model_f1", "blend_minus_model_f1_low", "blend_minus_model_f1_high"))
        if "blend" in scores:
            ahead = bootstrap.interval(
                mean["blend"] - mean[name], replicates["blend"] - replicates[name], of_seeds[0].children
            )
            row |= {
                "blend_minus_model_f1": ahead["value"],
                "blend_minus_model_f1_low": ahead["low"],
                "blend_minus_model_f1_high": ahead["high"],
            }
        cost = costs.get(name, {})
        row |= {key: cost.get(key) for key in ("parameters", "gflop", "processor_seconds")}
        milliseconds = cost.get("milliseconds", {})
        row["latency_ms_batch1"] = milliseconds.get("alone")
        row[f"latency_ms_batch{profiling.BATCH}"] = milliseconds.get("in_batch")
        rows.append(row)
    return rows


def _mean_replicates(of_seeds: Sequence[Scores], metric: str) -> np.ndarray:
    mean: np.ndarray = np.mean([one.replicates[metric] for one in of_seeds], axis=0)
    return mean


def markdown(rows: Sequence[Row], run: Run, seeds: int) -> str:
    """The tables as Markdown, after what a reader must know."""
    tables = [*_metrics_table(rows), "", *_seeds_table(rows), "", *_costs_table(rows)]
    return "\n".join([*_introduction(run, seeds), *tables]) + "\n"


def _introduction(run: Run, seeds: int) -> list[str]:
    data, children = run.data, len(set(run.data.children))
    by_child = data.label_level is LabelLevel.CHILD
    label_of = dict(zip(data.children, data.labels, strict=True))
    labels = np.array(list(label_of.values())) if by_child else data.labels
    always = metrics.point_metrics(labels, labels * 0.0 + 0.5, labels >= 0)["f1"]
    what = f"{len(data.labels)} segments of {children} children"
    if by_child:
        what += ", each child predicted by the largest of its segments"
    lines = [
        f"{what}, T = {data.poses.shape[1]}, {run.folds} folds of whole children, prevalence {labels.mean():.3f}; "
        f'always "positive": F1 {always:.3f}. Means over {seeds} seeds; in brackets 95 % intervals from resampling '
        "children. Weights, calibration and threshold of each fold were chosen on the other folds.",
        "",
    ]
    if data.simulated:
        lines.insert(0, console.SIMULATED + "\n")
    positives = {child for child, label in zip(data.children, data.labels, strict=True) if label}
    if len(positives) < FEW:
        lines.insert(0, f"Only {len(positives)} children have a positive segment: these metrics mean nothing.\n")
    return lines


def _metrics_table(rows: Sequence[Row]) -> list[str]:
    lines = [
        [
            row["model"],
            *(_with_interval(row, name) for name in INTERVALS),
            *(console.number(row[name]).strip() for name in ALONE),
        ]
        for row in rows
    ]
    return _aligned(["model", *(SHOWN[name] for name in (*INTERVALS, *ALONE))], lines)


def _seeds_table(rows: Sequence[Row]) -> list[str]:
    lines = []
    for row in rows:
        single = f"{row['f1_lowest_seed']:.3f} to {row['f1_highest_seed']:.3f}" if row["seeds"] > 1 else ""
        ahead = ""
        if row["blend_minus_model_f1"] is not None and row["model"] != "blend":
            ahead = _with_interval(row, "blend_minus_model_f1", sign="+")
        lines.append([row["model"], single, ahead, f"{row['f1_optimistic']:.3f}"])
    return _aligned(["F1", "of single seeds", "of the blend minus this", "at one threshold (optimistic)"], lines)


def _with_interval(row: Row, name: str, sign: str = "") -> str:
    ends = [row[key] for key in (name, f"{name}_low", f"{name}_high")]
    value, low, high = ("n/a" if end is None else f"{end:{sign}.3f}" for end in ends)
    return f"{value} ({low} to {high})"


def _aligned(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table with columns of equal width, which can also be read in a terminal."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    cells = [header, ["-" * width for width in widths], *rows]
    return [f"| {' | '.join(map(str.ljust, row, widths))} |" for row in cells]


def _costs_table(rows: Sequence[Row]) -> list[str]:
    lines = []
    for row in rows:
        if row["latency_ms_batch1"] is None:  # a blend
            continue
        cells = [
            row["model"],
            "" if row["parameters"] is None else f"{row['parameters']:,}",
            "" if row["gflop"] is None else f"{row['gflop']:.2f}",
            "" if row["processor_seconds"] is None else f"{row['processor_seconds']:.0f}",
            f"{row['latency_ms_batch1']:.1f}",
            f"{row[f'latency_ms_batch{profiling.BATCH}']:.1f}",
        ]
        lines.append(cells)
    return [
        "Costs. Training: seconds of processor time for all folds of a seed. Prediction: milliseconds of one core from "
        f"pose to logit by one fold, of a segment alone and of one among {profiling.BATCH}. GFLOP: thousand million "
        "operations of a network for a segment; a multiplication with its addition counts as two.",
        "",
        *_aligned(["model", "parameters", "GFLOP", "training, s", "alone, ms", "in a batch, ms"], lines),
    ]


def plot(rows: Sequence[Row], simulated: bool) -> bytes:
    """A PNG of F1 with its interval, and of single seeds' range, for each model."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(plots.WIDTH_IN, 0.5 * len(rows) + 1.8), layout="constrained")
    axes = figure.subplots()
    for place, row in enumerate(reversed(rows)):
        axes.plot([row["f1_low"], row["f1_high"]], [place, place], color="#7a8ca0", linewidth=2, zorder=1)
        axes.plot(
            [row["f1_lowest_seed"], row["f1_highest_seed"]], [place, place], color="#1f4e79", linewidth=6, zorder=2
        )
        axes.plot(row["f1"], place, "o", color="white", markeredgecolor="#1f4e79", zorder=3)
    axes.set_yticks(range(len(rows)), [row["model"] for row in reversed(rows)])
    axes.set_xlabel("cross-fitted F1: mean over seeds, range of seeds (thick),\n95 % interval over people (thin)")
    axes.grid(axis="x", alpha=0.3)
    plots.stamp_simulated(figure, simulated)
    return plots.to_png(figure)
