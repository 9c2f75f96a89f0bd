"""The figures of a report, each plotted once: as SVG for the page, whose colours they follow, and as PNG for papers.

Colours are Okabe and Ito's (2008), which colour-blind people tell apart; each also has its own dash or marker, so that
a grey print can be read.
"""

import functools
import io
import math
import re
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from spasm.evaluation.curves import Bin, Curve
from spasm.report.plots import to_png
from spasm.runs.artefacts import Metric

BLUE, ORANGE, GREEN, PINK = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
INK, FAINT = "#1b1b1f", "#8a8a93"
# What the page sets for light and for dark.
VARIABLES = {BLUE: "--blue", ORANGE: "--orange", GREEN: "--green", PINK: "--pink", INK: "--ink", FAINT: "--faint"}
SIZE, WIDE = (4.6, 3.5), 11.0  # inches
RC: dict[Any, Any] = {
    "font.size": 9, "axes.titlesize": 9, "axes.edgecolor": FAINT, "axes.labelcolor": INK, "text.color": INK,
    "xtick.color": INK, "ytick.color": INK, "axes.spines.top": False, "axes.spines.right": False,
    "axes.linewidth": 0.8, "axes.grid": True, "grid.color": FAINT, "grid.alpha": 0.25, "grid.linewidth": 0.6,
    "legend.frameon": False, "legend.fontsize": 8, "figure.constrained_layout.use": True, "svg.fonttype": "none",
    "text.parse_math": False, "lines.linewidth": 1.6, "figure.facecolor": "none", "axes.facecolor": "none",
}  # fmt: skip
MOST_VECTOR = 3000  # segments plotted as vectors; of more a raster image goes into the page
MOST_NAMED = 30  # children whose ids fit below an axis

P = ParamSpec("P")
Line = tuple[str, np.ndarray, np.ndarray]  # what can be read off a figure: its name, x and y


class Plot:
    """A figure, and the lines that can be read off it."""

    def __init__(self, width: float = SIZE[0], height: float = SIZE[1], **options: Any) -> None:
        self.figure = Figure(figsize=(width, height))
        self.axes = self.figure.subplots(**options)
        self.lines: list[Line] = []

    def banded(self, curve: Curve, name: str, colour: str = BLUE) -> None:
        """A line and its band, both of which can be read off."""
        self.axes.fill_between(curve.x, curve.low, curve.high, color=colour, alpha=0.18, linewidth=0)
        self.axes.plot(curve.x, curve.y, color=colour, label=name)
        self.lines += [(name, curve.x, curve.y), ("from", curve.x, curve.low), ("to", curve.x, curve.high)]

    def png(self) -> bytes:
        """For print: on white."""
        with matplotlib.rc_context(RC):
            return to_png(self.figure, dpi=200, facecolor="white")

    def svg(self, name: str) -> str:
        """For the page: without a background, text as text, colours as variables; ids begin with `name`."""
        with matplotlib.rc_context({**RC, "svg.hashsalt": name}), io.StringIO() as text:
            self.figure.savefig(text, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
            svg = text.getvalue()
        svg = svg[svg.index("<svg") :]
        svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
        svg = re.sub(r' (?:width|height)="[\d.]+pt"', "", svg, count=2)
        svg = re.sub(r'\bid="', f'id="{name}-', svg)
        svg = re.sub(r'(xlink:href="#|url\(#)', rf"\1{name}-", svg)
        for colour, variable in VARIABLES.items():
            svg = svg.replace(colour, f"var({variable})")
        return svg

    def readings(self) -> dict[str, Any]:
        """Where the axes lie in the SVG, and the lines, for a pointer that reads them off; to be called after `svg`."""
        axes = self.axes
        box = axes.get_position()
        (low, high), (left, right) = axes.get_ylim(), axes.get_xlim()
        return {
            "box": [round(value, 5) for value in (box.x0, 1 - box.y1, box.width, box.height)],
            "x": [left, right],
            "y": [low, high],
            "name": axes.get_xlabel(),
            "lines": [
                {"name": name, "x": [_short(v) for v in x], "y": [_short(v) for v in y]} for name, x, y in self.lines
            ],
        }


def styled(function: Callable[P, Plot]) -> Callable[P, Plot]:
    """Plot with this module's style, whatever matplotlib is set to elsewhere."""

    @functools.wraps(function)
    def within(*args: P.args, **kwargs: P.kwargs) -> Plot:
        with matplotlib.rc_context(RC):
            return function(*args, **kwargs)

    return within


def _short(value: float) -> float | None:
    return None if not math.isfinite(value) else float(f"{value:.4g}")


@styled
def roc(curve: Curve, point: tuple[float, float], area: Metric) -> Plot:
    """point: share of false alarms and sensitivity at the cross-fitted thresholds."""
    plot = Plot()
    axes = plot.axes
    axes.plot([0, 1], [0, 1], color=FAINT, linestyle=":", label="chance")
    plot.banded(curve, "sensitivity")
    axes.plot(*point, "D", color=ORANGE, markersize=7, label="as answered")
    _unit(axes, "share of other segments called positive", "sensitivity")
    axes.set_title(f"ROC, area {interval(area)}", loc="left")
    axes.legend(loc="lower right")
    return plot


@styled
def precision_recall(curve: Curve, point: tuple[float, float], prevalence: float, area: Metric) -> Plot:
    """point: sensitivity and precision at the cross-fitted thresholds."""
    plot = Plot()
    axes = plot.axes
    axes.axhline(prevalence, color=FAINT, linestyle=":", label="chance: the prevalence")
    plot.banded(curve, "precision")
    axes.plot(*point, "D", color=ORANGE, markersize=7, label="as answered")
    _unit(axes, "sensitivity", "precision (share of calls that are right)")
    axes.set_title(f"Average precision {interval(area)}", loc="left")
    axes.legend(loc="lower left")
    return plot


@styled
def reliability(bins: Sequence[Bin], children: np.ndarray) -> Plot:
    """children: (C, 2), mean probability of each child and its share of positives."""
    plot = Plot()
    axes = plot.axes
    axes.plot([0, 1], [0, 1], color=FAINT, linestyle=":", label="perfectly calibrated")
    axes.plot(children[:, 0], children[:, 1], "o", color=PINK, alpha=0.55, markersize=3.5, label="a child", zorder=1)
    bins = [part for part in bins if part.children > 1]  # resampling a single child gives no interval
    x, y = np.array([part.mean for part in bins]), np.array([part.observed for part in bins])
    low, high = np.array([part.observed_low for part in bins]), np.array([part.observed_high for part in bins])
    axes.vlines(x, low, high, color=BLUE, linewidth=1.6)
    axes.plot(x, y, "s-", color=BLUE, markersize=5, linewidth=1, label="bin of segments, 95 % over children")
    plot.lines = [("positive", x, y), ("from", x, low), ("to", x, high)]
    _unit(axes, "probability told", "share that is positive")
    axes.set_title("Reliability", loc="left")
    axes.legend(loc="upper left")
    return plot


@styled
def f1_by_threshold(curve: Curve, chosen: float, of_folds: Sequence[float], always: float) -> Plot:
    """chosen: the threshold for new children; of_folds: those of each fold."""
    plot = Plot()
    axes = plot.axes
    axes.axhline(always, color=FAINT, linestyle=":", label="always answering positive")
    plot.banded(curve, "F1")
    axes.axvline(chosen, color=ORANGE, linestyle="--", label=f"for new children, {chosen:.2f}")
    axes.plot(of_folds, np.full(len(of_folds), 0.02), "^", color=GREEN, markersize=5, label="chosen for each fold")
    _unit(axes, "threshold of the probability", "F1")
    axes.set_title("F1 against the threshold", loc="left")
    axes.legend(loc="lower left", bbox_to_anchor=(0.42, 0.06))
    return plot


@styled
def decision_curve(curve: Curve, everything: np.ndarray) -> Plot:
    """everything: (G,) the net benefit of calling all segments positive."""
    plot = Plot()
    axes = plot.axes
    axes.plot(curve.x, everything, color=PINK, linestyle="--", label="call everything")
    axes.axhline(0, color=FAINT, linestyle=":", label="call nothing")
    plot.banded(curve, "call what reaches the threshold")
    axes.set_xlim(curve.x[0], curve.x[-1])
    top = max(curve.high.max(), everything[0], 1)
    axes.set_ylim(-0.25 * top, 1.1 * top)
    axes.set_xlabel("threshold: the probability from which one would act")
    axes.set_ylabel("net benefit, hits per 100 segments")
    axes.set_title("Decision curve", loc="left")
    axes.legend(loc="upper right")
    return plot


@styled
def f1_by_prevalence(curve: Curve, here: float) -> Plot:
    """here: the prevalence in this data."""
    plot = Plot()
    axes = plot.axes
    plot.banded(curve, "F1 at the same threshold")
    always = 2 * curve.x / (1 + curve.x)
    axes.plot(curve.x, always, color=FAINT, linestyle=":", label="always answering positive")
    plot.lines.append(("always positive", curve.x, always))
    axes.axvline(here, color=ORANGE, linestyle="--", label=f"in this data, {here:.2f}")
    _unit(axes, "prevalence (share of segments that are positive)", "F1")
    axes.set_xlim(0, curve.x[-1])
    axes.set_title("F1 against the prevalence", loc="left")
    axes.legend(loc="lower right")
    return plot


@styled
def leaderboard(rows: Sequence[tuple[str, Metric]], always: float) -> Plot:
    """rows: each model's name and its F1 with an interval, the best last."""
    plot = Plot(height=1.4 + 0.38 * len(rows))
    axes = plot.axes
    for place, (name, f1) in enumerate(rows):
        colour, marker = (ORANGE, "D") if name.startswith("blend") else (BLUE, "o")
        axes.plot([f1.low, f1.high], [place, place], color=colour)
        axes.plot(f1.value, place, marker, color=colour, markersize=6)
        axes.annotate(f"{f1.value:.3f}", (f1.value, place), (0, 6), textcoords="offset points",
                      ha="center", fontsize=8)  # fmt: skip
    axes.axvline(always, color=FAINT, linestyle=":")
    axes.annotate("always\npositive", (always, -0.55), (3, 0), textcoords="offset points", fontsize=8, color=INK)
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.set_ylim(-0.6, len(rows) - 0.3)
    axes.set_xlim(0, 1)
    axes.set_xlabel("cross-fitted F1, 95 % interval over children")
    axes.set_title("Models and blend", loc="left")
    return plot


@styled
def scores_by_fold(
    fold_of: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, thresholds: Sequence[float]
) -> Plot:
    """Every segment as a point, beside the threshold of its fold."""
    folds = len(thresholds)
    plot = Plot()
    axes = plot.axes
    aside = np.random.default_rng(0).uniform(-0.14, 0.14, len(labels))
    for label, shift, marker, colour, name in KINDS:
        rows = labels == label
        axes.plot(fold_of[rows] + shift + aside[rows], probabilities[rows], marker, color=colour, markersize=2.5,
                  alpha=0.5, label=name, linestyle="none", rasterized=len(labels) > MOST_VECTOR)  # fmt: skip
    for fold, threshold in enumerate(thresholds):
        axes.hlines(threshold, fold - 0.42, fold + 0.42, color=INK, linewidth=1.4, label="" if fold else "threshold")
    axes.set_xticks(range(folds), [str(fold) for fold in range(folds)])
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("fold")
    axes.set_ylabel("probability")
    axes.set_title("Scores by fold", loc="left", pad=20)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 0.98), ncols=3, markerscale=2, borderaxespad=0.2)
    return plot


KINDS = ((0, -0.2, "o", BLUE, "no spasm"), (1, 0.2, "^", ORANGE, "spasm"))


@styled
def scores_by_child(children: Sequence[str], labels: np.ndarray, probabilities: np.ndarray, threshold: float) -> Plot:
    """Every segment as a point above its child; children by their mean probability."""
    names, place = np.unique(np.asarray(children), return_inverse=True)
    means = np.bincount(place, probabilities) / np.bincount(place)
    rank = np.empty(len(names), dtype=int)
    rank[np.argsort(means, kind="stable")] = np.arange(len(names))
    plot = Plot(width=WIDE)
    axes = plot.axes
    size = 4 if len(names) <= 60 else 2.5
    for label, _, marker, colour, name in KINDS:
        rows = labels == label
        axes.plot(rank[place[rows]], probabilities[rows], marker, color=colour, markersize=size, alpha=0.6, label=name,
                  rasterized=len(labels) > MOST_VECTOR)  # fmt: skip
    axes.axhline(threshold, color=INK, linestyle="--", linewidth=1.2, label="threshold for new children")
    _children_axis(axes, names[np.argsort(rank)].tolist())
    axes.set_ylim(-0.02, 1.02)
    axes.set_ylabel("probability")
    axes.set_title("Scores by child", loc="left", pad=20)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 0.98), ncols=3, markerscale=1.5, borderaxespad=0.2)
    return plot


@styled
def probabilities(values: np.ndarray, threshold: float) -> Plot:
    """How many new segments, whose labels are not known, have which probability."""
    plot = Plot()
    axes = plot.axes
    axes.hist(values, np.linspace(0, 1, 26), color=BLUE, alpha=0.8)
    axes.axvline(threshold, color=ORANGE, linestyle="--", label=f"threshold, {threshold:.2f}")
    axes.set_xlim(0, 1)
    axes.set_xlabel("probability")
    axes.set_ylabel("segments")
    axes.set_title("Probabilities told", loc="left")
    axes.legend(loc="upper right")
    return plot


@styled
def quality(names: Sequence[str], title: str, unit: str, values: np.ndarray) -> Plot:
    """A measure of the recordings, values (C,) by child, the worst child first."""
    plot = Plot(height=2.8)
    axes = plot.axes
    order = np.argsort(-np.nan_to_num(values, nan=-1), kind="stable")
    axes.bar(np.arange(len(values)), values[order], color=BLUE, width=0.9)
    axes.set_xlim(-0.7, len(values) - 0.3)
    _children_axis(axes, [names[row] for row in order], most=16)
    axes.set_ylim(bottom=0)
    axes.set_ylabel(unit)
    axes.set_title(title, loc="left")
    return plot


@styled
def folds(prevalence: Sequence[float], f1: Sequence[float | None]) -> Plot:
    """The share of positives in each fold beside the F1 there."""
    plot = Plot(height=2.9)
    axes = plot.axes
    place = np.arange(len(prevalence))
    axes.bar(place - 0.2, prevalence, 0.38, color=BLUE, label="prevalence")
    axes.bar(place + 0.2, [value or 0 for value in f1], 0.38, color=ORANGE, hatch="//", edgecolor="white",
             linewidth=0, label="F1")  # fmt: skip
    axes.set_xticks(place, [str(fold) for fold in place])
    axes.set_ylim(0, 1)
    axes.set_xlabel("fold")
    axes.set_ylabel("share, or F1")
    axes.set_title("Folds", loc="left", pad=18)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 0.97), ncols=2, borderaxespad=0.2)
    return plot


def interval(metric: Metric) -> str:
    """A metric with its interval, as text."""
    if metric.value is None:
        return "not defined"
    if metric.low is None or metric.high is None:
        return f"{metric.value:.2f}"
    return f"{metric.value:.2f} ({metric.low:.2f}\N{EN DASH}{metric.high:.2f})"


def _unit(axes: Any, x: str, y: str) -> None:
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.03)
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def _children_axis(axes: Any, names: Sequence[str], most: int = MOST_NAMED) -> None:
    if len(names) <= most:
        axes.set_xticks(range(len(names)), names, rotation=90 if len(names) > 8 else 0, fontsize=7)
        axes.set_xlabel("child")
    else:
        axes.set_xticks([])
        axes.set_xlabel(f"{len(names)} children, in order")
    axes.grid(axis="x", visible=False)
