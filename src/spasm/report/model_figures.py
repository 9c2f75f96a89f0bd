"""The figures of a report about models, folds and children."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from spasm.evaluation.drift import DifferingFeature
from spasm.report.figures import (
    BLUE,
    FAINT,
    INK,
    MOST_VECTOR,
    ORANGE,
    STYLES,
    TEXT,
    TIGHT,
    WIDE,
    Plot,
    name_children,
    styled,
)
from spasm.runs.artefacts import Metric

KINDS = ((0, -0.2, "o", BLUE, "no spasm"), (1, 0.2, "^", ORANGE, "spasm"))
ABOVE: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0, 0.99), "borderaxespad": 0.2}
"""A legend between the title and the axes."""


@styled
def leaderboard(rows: Sequence[tuple[str, Metric]], always_positive: Metric) -> Plot:
    """rows: each model's name and its F1 with an interval, the best last."""
    plot = Plot()
    axes = plot.axes
    every = [("always positive", always_positive), *rows]
    for place, (name, f1) in enumerate(every):
        colour, marker = {"blend": (ORANGE, "D"), "always positive": (FAINT, "s")}.get(name, (BLUE, "o"))
        if f1.low is not None:
            axes.plot([f1.low, f1.high], [place, place], color=colour)
        axes.plot(f1.value, place, marker, color=colour, markersize=6)
        axes.annotate(f"{f1.value:.3f}", (1, place), (-2, 0), xycoords=("axes fraction", "data"),
                      textcoords="offset points", ha="right", va="center")  # fmt: skip
    axes.set_yticks(range(len(every)), [name for name, _ in every])
    axes.set_ylim(-0.6, len(every) - 0.4)
    axes.set_xlim(0, 1.22)
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.set_xlabel("cross-fitted F1, 95 % interval")
    axes.set_title("Models and blend", loc="left")
    return plot


@styled
def learning_curves(losses: Mapping[str, Mapping[tuple[int, int], np.ndarray]]) -> Plot:
    """losses: of each network the training loss after every epoch, by seed and fold."""
    plot = Plot()
    axes = plot.axes
    for (name, folds), (colour, dash) in zip(losses.items(), itertools.cycle([(BLUE, "-"), *STYLES]), strict=False):
        for values in folds.values():
            axes.plot(np.arange(1, len(values) + 1), values, color=colour, linewidth=0.7, alpha=0.5)
        epochs = max(map(len, folds.values()))
        mean = np.nanmean([np.pad(v, (0, epochs - len(v)), constant_values=np.nan) for v in folds.values()], axis=0)
        x = np.arange(1, epochs + 1)
        axes.plot(x, mean, color=colour, linestyle=dash, label=name)
        plot.lines.append((name, x, mean))
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch")
    axes.set_ylabel("training loss")
    axes.set_title("Learning curves", loc="left")
    axes.legend(loc="upper right", **TIGHT)
    return plot


@styled
def importances(gains: Mapping[str, np.ndarray]) -> Plot:
    """gains: of each group of features its fractions of the gain, one for each seed and fold."""
    plot = Plot()
    axes = plot.axes
    ranked = sorted(gains.items(), key=lambda pair: pair[1].mean())
    for place, (_, values) in enumerate(ranked):
        axes.barh(place, 100 * values.mean(), 0.7, color=BLUE, alpha=0.8)
        axes.plot(100 * values, np.full(len(values), place), "|", color=INK, markersize=6)
    axes.set_yticks(range(len(ranked)), [name for name, _ in ranked])
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("% of the gain; strokes: folds")
    axes.set_title("Feature importances of LightGBM", loc="left", x=0, ha="left")
    return plot


@styled
def differences(features: Sequence[DifferingFeature]) -> Plot:
    """How well each feature alone separates test from training segments; features: the best first."""
    plot = Plot(WIDE, 0.9 + 0.26 * len(features))
    axes = plot.axes
    place = np.arange(len(features))[::-1]
    areas = np.array([feature.auc for feature in features])
    axes.hlines(place, 0.5, areas, color=BLUE)
    axes.plot(areas, place, "o", color=BLUE, markersize=6)
    axes.axvline(0.5, color=FAINT, linestyle=":")
    axes.set_yticks(place, [feature.name for feature in features])
    axes.set_ylim(-0.6, len(features) - 0.4)
    axes.set_xlim(0, 1)
    axes.set_xlabel("AUC of the feature alone: below 0.5 lower in test segments, above 0.5 higher")
    axes.set_title("Features that differ most between training and test", loc="left")
    return plot


@styled
def folds(prevalence: Sequence[float], f1: Sequence[Metric]) -> Plot:
    """The F1 of each fold with its interval, beside the fraction of spasms there."""
    plot = Plot()
    axes = plot.axes
    place = np.arange(len(prevalence))
    axes.bar(place, prevalence, 0.6, color=BLUE, alpha=0.35, label="prevalence")
    known = [(fold, metric) for fold, metric in enumerate(f1) if metric.value is not None]
    for fold, metric in known:
        if metric.low is not None:
            axes.plot([fold, fold], [metric.low, metric.high], color=ORANGE)
    axes.plot([fold for fold, _ in known], [metric.value for _, metric in known], "D", color=ORANGE, markersize=6,
              label="F1, 95 % interval")  # fmt: skip
    axes.set_xticks(place, [str(fold) for fold in place])
    axes.set_ylim(0, 1)
    axes.set_xlabel("fold")
    axes.set_ylabel("fraction, or F1")
    axes.set_title("F1 by fold", loc="left", pad=20)
    axes.legend(ncols=2, **TIGHT | ABOVE)
    return plot


@styled
def scores_by_fold(
    fold_of: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, thresholds: Sequence[float]
) -> Plot:
    """Every segment as a point, beside the threshold of its fold."""
    count = len(thresholds)
    plot = Plot(width=WIDE)
    axes = plot.axes
    aside = np.random.default_rng(0).uniform(-0.17, 0.17, len(labels))
    for label, shift, marker, colour, name in KINDS:
        rows = labels == label
        axes.plot(fold_of[rows] + shift + aside[rows], probabilities[rows], marker, color=colour, markersize=4,
                  alpha=0.55, label=name, linestyle="none", rasterized=len(labels) > MOST_VECTOR)  # fmt: skip
    for fold, threshold in enumerate(thresholds):
        axes.hlines(threshold, fold - 0.42, fold + 0.42, color=INK, linewidth=1.4, label="" if fold else "threshold")
    axes.set_xticks(range(count), [str(fold) for fold in range(count)])
    axes.set_ylim(-0.02, 1.02)
    axes.grid(axis="x", visible=False)
    axes.set_xlabel("fold")
    axes.set_ylabel("probability")
    axes.set_title("Scores by fold", loc="left", pad=20)
    axes.legend(ncols=3, markerscale=1.5, **TIGHT | ABOVE)
    return plot


@styled
def scores_by_child(children: Sequence[str], labels: np.ndarray, probabilities: np.ndarray, threshold: float) -> Plot:
    """Every segment as a point above its child; children by their mean probability."""
    names, places = child_places(children, probabilities)
    plot = Plot(width=WIDE, height=3.8)
    axes = plot.axes
    size = 4.5 if len(names) <= 60 else 2.5
    for label, _, marker, colour, name in KINDS:
        rows = labels == label
        axes.plot(places[rows], probabilities[rows], marker, color=colour, markersize=size, alpha=0.6, label=name,
                  linestyle="none", rasterized=len(labels) > MOST_VECTOR)  # fmt: skip
    axes.axhline(threshold, color=INK, linestyle="--", linewidth=1.2, label="threshold for new children")
    name_children(axes, names)
    axes.set_xlim(-0.7, len(names) - 0.3)
    axes.set_ylim(-0.02, 1.02)
    axes.set_ylabel("probability")
    axes.set_title("Scores by child", loc="left", pad=20)
    axes.legend(ncols=3, markerscale=1.5, **TIGHT | ABOVE)
    plot.points = (places, probabilities)
    return plot


def child_places(children: Sequence[str], probabilities: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Children by their mean probability, and the place (N,) of each segment's child among them."""
    names, place = np.unique(np.asarray(children, dtype=str), return_inverse=True)
    order = np.argsort(np.bincount(place, probabilities) / np.bincount(place), kind="stable")
    return names[order].tolist(), np.argsort(order)[place]


@styled
def quality(names: Sequence[str], measures: Sequence[tuple[str, str, np.ndarray]]) -> Plot:
    """measures: title, unit and values (C,) by child, each in a panel; children by the first measure, worst first."""
    plot = Plot(WIDE, 1.6 * len(measures) + 0.8, nrows=len(measures), sharex=True)
    order = np.argsort(-np.nan_to_num(measures[0][2], nan=-1), kind="stable")
    for axes, (title, unit, values) in zip(plot.axes, measures, strict=True):
        axes.bar(np.arange(len(names)), values[order], color=BLUE, width=0.8)
        axes.set_xlim(-0.7, len(names) - 0.3)
        axes.grid(axis="x", visible=False)
        axes.set_ylim(bottom=0)
        axes.set_ylabel(unit, fontsize=TEXT)
        axes.set_title(title, loc="left")
    name_children(plot.axes[-1], [names[row] for row in order])
    return plot
