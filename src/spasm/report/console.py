"""The results of a run, as text for a terminal."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from spasm.core.errors import printable
from spasm.data.dataset import TrainingData
from spasm.ensemble.thresholds import best_threshold
from spasm.evaluation import metrics
from spasm.evaluation.metrics import ROWS
from spasm.runs.artefacts import DataInfo, Metric, Metrics

SIMULATED = "SIMULATED DATA: these metrics say nothing about real children."


def data_summary(data: TrainingData) -> str:
    """The data in a line, see `data_line`, and a warning where it is simulated."""
    return "\n".join([data_line(data), *[SIMULATED] * data.simulated])


def data_line(data: TrainingData) -> str:
    """The data in one line, after one on what was converted."""
    kind = "simulated segments" if data.simulated else "segments"
    line = (
        f"{len(data.names)} {kind} of {len(set(data.children))} children, {data.labels.mean():.1%} positive, "
        f"{(~data.has_pose).sum()} without any pose, T = {data.poses.shape[1]}"
    )
    return "\n".join([data.notice, line] if data.notice else [line])


def data_name(data: DataInfo) -> str:
    """What a run was trained on, from its run.json."""
    name = f"{data.segments} segments of {data.children} children, {printable(data.path)}"
    return f"{name} (SIMULATED: no prediction is about a real child)" if data.simulated else name


def models_table(result: Metrics) -> str:
    """Each model alone beside the decision, and the decision with and without the child's other segments."""
    rows: dict[str, Mapping[str, Metric]] = dict(result.each_model)
    rows["decision, each segment alone"] = result.child_context.without_context
    rows["decision, with child context"] = result.child_context.with_context
    lines = ["", f"{'cross-fitted':33} {'F1':>7}   95 % interval    {'AUC':>8} {'in child':>8} {'Brier':>7}"]
    for name, values in rows.items():
        f1 = values["f1"]
        lines.append(
            f"{name:33} {number(f1.value)}   {number(f1.low)} to {number(f1.high)} "
            f"{number(values['auc'].value)}  {number(values['within_child_auc'].value)} {number(values['brier'].value)}"
        )
    lines.append("AUC: pairs of segments in the same fold; in child: AUC of pairs of the same child")
    return "\n".join(lines)


def model_line(name: str, result: Metrics) -> str:
    """A model's own score, when it is complete."""
    f1, auc, within = (result.each_model[name][key] for key in ("f1", "auc", "within_child_auc"))
    interval = f"{number(f1.low).strip()} to {number(f1.high).strip()}"
    return (
        f"{name}: cross-fitted F1 {number(f1.value).strip()} ({interval}), AUC {number(auc.value).strip()}, "
        f"within a child {number(within.value).strip()}"
    )


def metrics_table(result: Metrics) -> str:
    """The headline metrics with their intervals."""
    models = ", ".join(f"{name} (seed {', '.join(map(str, seeds))})" for name, seeds in result.models.items())
    title = f"{models}: every child is predicted by a fold that was not trained on it, all choices are cross-fitted"
    lines = [intervals_table(result.cross_fitted, title)]
    lines.append(
        f"{'F1 at one threshold for all':33} {number(result.pooled_threshold.f1)}   optimistic: chosen on the same rows"
    )
    lines.append(f"threshold for new children: {result.threshold:.4f}")
    return "\n".join([*lines, ""])


def intervals_table(values: Mapping[str, Metric], title: str) -> str:
    """Every metric with its interval."""
    lines = ["", title, f"{'':33} {'value':>7}   95 % interval over children"]
    for key, name in ROWS:
        metric = values[key]
        lines.append(f"{name:33} {number(metric.value)}   {number(metric.low)} to {number(metric.high)}")
    return "\n".join(lines)


def calibration_lines(line: Mapping[str, Metric]) -> str:
    """Slope and offset that the log-odds of new children still need, with their intervals."""
    return "\n".join(
        f"{f'calibration {key}, {ideal} is ideal':33} {number(line[key].value)}   "
        f"{number(line[key].low)} to {number(line[key].high)}"
        for key, ideal in (("slope", 1), ("offset", 0))
    )


def part_line(
    part: str, labels: np.ndarray, probabilities: np.ndarray, positive: np.ndarray, children: Sequence[str]
) -> str:
    """Metrics of held-out segments, and the F1 at the best threshold for them, which is known only afterwards."""
    values = metrics.point_metrics(labels, probabilities, positive, children)
    best = metrics.point_metrics(labels, probabilities, probabilities >= best_threshold(labels, probabilities))
    shown = {
        "F1": values["f1"],
        "AUC": values["auc"],
        "AUC within a child": values["within_child_auc"],
        "F1 at its own best threshold": best["f1"],
    }
    return f"held out {part}: " + ", ".join(f"{name} {number(value).strip()}" for name, value in shown.items())


def one_class_line(folds: Sequence[int], count: int, data: TrainingData) -> str:
    """The folds with one class only, of so many, and what to do about it."""
    children = np.array(data.children)
    with_label = {label: len(set(children[data.labels == label])) for label in (0, 1)}
    rare = min((1, 0), key=lambda label: with_label[label])
    few = with_label[rare] < count
    hint = f"use --folds {with_label[rare]} or fewer, or add such children" if few else "try another --fold-seed"
    return (
        f"one class only, and no AUC of its own: {', '.join(f'fold {fold}' for fold in folds)}; {with_label[rare]} of "
        f"{len(set(data.children))} children have {'positive' if rare else 'negative'} segments ({hint})"
    )


def constant_lines(result: Metrics, hints: Mapping[str, str]) -> list[str]:
    """A line for each model that predicts the same for all segments of a fold; hints: what to do, by model."""
    lines = []
    for name, folds in result.constant_folds.items():
        where = "every fold" if len(folds) == len(result.folds) else f"fold {', '.join(map(str, folds))}"
        hint = f" ({hints[name]})" if name in hints else ""
        lines.append(
            f"{name} predicts the same probability for all segments of {where}: it learned nothing there{hint}"
        )
    return lines


def closing_box(result: Metrics, run: Path, report: Path | None, seconds: float) -> str:
    """The result in a frame: cross-fitted F1 with its interval, where the report is, and how long it took."""
    f1 = result.cross_fitted["f1"]
    low, high = number(f1.low).strip(), number(f1.high).strip()
    lines = [
        f"cross-fitted F1 {number(f1.value).strip()}, "
        f"95 % interval over {result.data.children} children {low} to {high}"
    ]
    if result.data.simulated:
        lines.append(SIMULATED)
    lines.append(f"run:    {printable(run)}")
    if report is not None:
        lines.append(f"report: {report.absolute().as_uri()} (open it in a browser)")
    lines.append(f"time:   {seconds / 60:.1f} min" if seconds >= 90 else f"time:   {seconds:.0f} s")
    width = max(map(len, lines))
    return "\n".join([f"+-{'-' * width}-+", *(f"| {line:{width}} |" for line in lines), f"+-{'-' * width}-+"])


def number(value: float | None) -> str:
    """A number in seven columns; put a space before it, since a large one fills them."""
    return "    n/a" if value is None else f"{value:7.3f}"
