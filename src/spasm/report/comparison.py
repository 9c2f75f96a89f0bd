"""Models side by side on one or several data sets: metrics over seeds, differences to the best, and costs."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from spasm.config.ensemble import Blend
from spasm.core.errors import printable
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
DIFFERENCES = ("f1", "auc")  # metrics whose paired difference to the best model is given
ALL_SEEDS = "blend of all"  # how the name of the blend of several seeds begins; single seeds cannot compete with it
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


class DataSet(NamedTuple):
    """The models of one run, trained on one data set."""

    name: str
    run: Run
    rows: list[Row]
    """Of `table_rows`."""


def evaluate_models(run: Run, names: Sequence[str], seeds: int) -> dict[str, list[Scores]]:
    """Each model and the blend of the default ones, one for each seed from 0; last the blend of all seeds."""
    logits = {name: [seed_logits(run, ModelFolder(run.path / name), seed) for seed in range(seeds)] for name in names}
    scores = {name: [evaluate(run, {name: one}) for one in logits[name]] for name in names}
    blended = [name for name in names if name in DEFAULT_MODELS]
    if len(blended) > 1:
        scores["blend"] = [evaluate(run, {name: logits[name][seed] for name in blended}) for seed in range(seeds)]
        if seeds > 1:
            mean = {name: np.mean(logits[name], axis=0) for name in blended}
            scores[f"{ALL_SEEDS} {seeds} seeds"] = [evaluate(run, mean)]
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
    """One row for each model: means over seeds with intervals over children, differences to the best model, costs.

    Differences are paired: of the means over seeds in the same resample of the children.
    """
    best = {metric: _best_model(scores, metric) for metric in DIFFERENCES}
    rows = []
    for name, of_seeds in scores.items():
        row: Row = {"model": name, "seeds": len(of_seeds)}
        for metric in SHOWN:
            row |= _interval(metric, _mean(of_seeds, metric), _mean_replicates(of_seeds, metric), of_seeds[0].children)
        f1 = [one.point["f1"] for one in of_seeds]
        row |= {"f1_lowest_seed": min(f1), "f1_highest_seed": max(f1)}
        row["f1_optimistic"] = float(np.mean([one.best_f1 for one in of_seeds]))
        for metric, name_of_best in best.items():
            column = f"{metric}_minus_best"
            row |= dict.fromkeys((column, f"{column}_low", f"{column}_high"))
            if name_of_best is not None:
                others = scores[name_of_best]
                behind = _mean(of_seeds, metric) - _mean(others, metric)
                replicates = _mean_replicates(of_seeds, metric) - _mean_replicates(others, metric)
                row |= _interval(column, behind, replicates, of_seeds[0].children)
        cost = costs.get(name, {})
        row |= {key: cost.get(key) for key in ("parameters", "gflop", "processor_seconds")}
        milliseconds = cost.get("milliseconds", {})
        row["latency_ms_batch1"] = milliseconds.get("alone")
        row[f"latency_ms_batch{profiling.BATCH}"] = milliseconds.get("in_batch")
        rows.append(row)
    return rows


def _best_model(scores: Mapping[str, Sequence[Scores]], metric: str) -> str | None:
    """The model, or the blend of single seeds, with the highest mean over seeds; None where the metric is undefined."""
    means = {name: _mean(of_seeds, metric) for name, of_seeds in scores.items() if not name.startswith(ALL_SEEDS)}
    known = {name: value for name, value in means.items() if math.isfinite(value)}
    return max(known, key=lambda name: known[name]) if known else None


def _interval(column: str, value: float, replicates: np.ndarray, children: int) -> Row:
    found = bootstrap.interval(value, replicates, children)
    return {column: found["value"], f"{column}_low": found["low"], f"{column}_high": found["high"]}


def _mean(of_seeds: Sequence[Scores], metric: str) -> float:
    return float(np.mean([one.point[metric] for one in of_seeds]))


def _mean_replicates(of_seeds: Sequence[Scores], metric: str) -> np.ndarray:
    mean: np.ndarray = np.mean([one.replicates[metric] for one in of_seeds], axis=0)
    return mean


def markdown(data_sets: Sequence[DataSet], seeds: int) -> str:
    """The tables as Markdown, after what a reader must know; of several data sets, first those over all."""
    if len(data_sets) == 1:
        return "\n".join(_data_set_tables(data_sets[0], seeds)) + "\n"
    lines = ["# All data sets", "", *_overview(data_sets)]
    for one in data_sets:
        lines += ["", f"# {_safe(one.name)}", "", *_data_set_tables(one, seeds)]
    return "\n".join(lines) + "\n"


def _data_set_tables(data_set: DataSet, seeds: int) -> list[str]:
    rows = data_set.rows
    tables = [*_metrics_table(rows), "", *_seeds_table(rows), "", *_costs_table(rows)]
    return [*_introduction(data_set.run, seeds), *tables]


def _overview(data_sets: Sequence[DataSet]) -> list[str]:
    """For each metric a table with a group of columns for each data set, and how far each model is behind at worst."""
    lines = []
    if any(one.run.data.simulated for one in data_sets):
        names = ", ".join(_safe(one.name) for one in data_sets if one.run.data.simulated)
        lines += [f"{console.SIMULATED} Simulated: {names}.", ""]
    for metric in DIFFERENCES:
        header = ["model"]
        for one in data_sets:
            header += [f"{_safe(one.name)}: {SHOWN[metric]}", "minus the best"]
        header.append("worst")
        cells: list[list[str]] = []
        worst: dict[str, tuple[float, str]] = {}
        for name, rows in _rows_by_model(data_sets).items():
            cells.append([name])
            for row in rows:
                cells[-1] += [console.number(row[metric]).strip(), _with_interval(row, f"{metric}_minus_best", "+")]
            behind = worst_difference(data_sets, rows, metric)
            cells[-1].append("n/a" if behind is None else f"{behind[0]:+.3f}")
            if behind is not None and not name.startswith(ALL_SEEDS):
                worst[name] = behind
        lines += [*_aligned(header, cells), ""]
        ranked = sorted(worst.items(), key=lambda pair: -pair[1][0])
        shown = ", ".join(f"{name} {value:+.3f} ({_safe(where)})" for name, (value, where) in ranked)
        lines += [f"Worst over data sets, {SHOWN[metric]} minus that of the best model: {shown}.", ""]
    within = [
        [model, *(console.number(row["within_child_auc"]).strip() for row in rows)]
        for model, rows in _rows_by_model(data_sets).items()
    ]
    lines += _aligned(["AUC within a child", *(_safe(one.name) for one in data_sets)], within)
    explained = "In brackets: 95 % intervals of paired differences, resampling children. "
    return [*lines, "", f"{explained}Choose the model whose worst difference is nearest to 0."]


def worst_difference(data_sets: Sequence[DataSet], rows: Sequence[Row], metric: str) -> tuple[float, str] | None:
    """How far one model is behind the best where that is most, and the data set; rows: the model's, in their order.

    None where the metric is undefined in a data set.
    """
    behind = [row[f"{metric}_minus_best"] for row in rows]
    if None in behind:
        return None
    at = min(range(len(behind)), key=behind.__getitem__)
    return behind[at], data_sets[at].name


def _rows_by_model(data_sets: Sequence[DataSet]) -> dict[str, list[Row]]:
    """The rows of each model, in the order of the data sets, which have the same models."""
    return {rows[0]["model"]: list(rows) for rows in zip(*(one.rows for one in data_sets), strict=True)}


def _safe(name: str) -> str:
    """A folder's name that breaks neither a table nor a terminal."""
    return printable(name).replace("|", "/")


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
        behind = "" if row["f1_minus_best"] is None else _with_interval(row, "f1_minus_best", sign="+")
        lines.append([row["model"], single, behind, f"{row['f1_optimistic']:.3f}"])
    return _aligned(["F1", "of single seeds", "minus the best", "at one threshold (optimistic)"], lines)


def _with_interval(row: Row, name: str, sign: str = "") -> str:
    if sign and row[name] == row[f"{name}_low"] == row[f"{name}_high"] == 0:
        return "best"
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


class Panel(NamedTuple):
    """What a plot shows of one data set."""

    name: str
    rows: Sequence[Row]
    simulated: bool


def plot(data_sets: Sequence[Panel]) -> bytes:
    """A PNG of F1 with its interval, and of single seeds' range, for each model: a panel for each data set."""
    from matplotlib.figure import Figure

    names = [row["model"] for row in reversed(data_sets[0].rows)]
    width = plots.WIDTH_IN if len(data_sets) == 1 else 2.0 + 4.0 * len(data_sets)
    figure = Figure(figsize=(width, 0.5 * len(names) + 1.8), layout="constrained")
    panels = figure.subplots(1, len(data_sets), sharey=True, squeeze=False)[0]
    for axes, one in zip(panels, data_sets, strict=True):
        for place, row in enumerate(reversed(one.rows)):
            axes.plot([row["f1_low"], row["f1_high"]], [place, place], color="#7a8ca0", linewidth=2, zorder=1)
            single = [row["f1_lowest_seed"], row["f1_highest_seed"]]
            axes.plot(single, [place, place], color="#1f4e79", linewidth=6, zorder=2)
            axes.plot(row["f1"], place, "o", color="white", markeredgecolor="#1f4e79", zorder=3)
        axes.set_yticks(range(len(names)), names)
        axes.grid(axis="x", alpha=0.3)
        if len(data_sets) > 1:
            simulated = " (SIMULATED)" if one.simulated else ""
            axes.set_title(_safe(one.name).replace("$", r"\$") + simulated, fontsize=10)
    figure.supxlabel(
        "cross-fitted F1: mean over seeds, range of seeds (thick),\n95 % interval over children (thin)", fontsize=10
    )
    plots.stamp_simulated(figure, all(one.simulated for one in data_sets))
    return plots.to_png(figure)
