"""A figure of a report: as SVG for the page, whose colours it follows, and as PNG and SVG for papers; and the curves.

Colours are Okabe and Ito's (2008), which colour-blind people can distinguish; each also has its own dash or marker, so
that a grey print can be read.
"""

import functools
import io
import itertools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from spasm.evaluation.curves import Bin, Curve
from spasm.report.plots import to_png
from spasm.runs.artefacts import Metric

BLUE, ORANGE, GREEN, PINK = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
INK, FAINT = "#1b1b1f", "#8a8a93"
# What the page sets for light and for dark.
VARIABLES = {BLUE: "--blue", ORANGE: "--orange", GREEN: "--green", PINK: "--pink", INK: "--ink", FAINT: "--faint"}
SIZE, WIDE = (4.3, 3.4), 11.0  # inches
TEXT = 10.0  # points; with these sizes no text is below 11 pixels, neither on a phone nor at 1280 pixels
RC: dict[Any, Any] = {
    "font.size": TEXT, "axes.titlesize": TEXT, "axes.edgecolor": FAINT, "axes.labelcolor": INK, "text.color": INK,
    "xtick.color": INK, "ytick.color": INK, "xtick.labelsize": TEXT, "ytick.labelsize": TEXT,
    "axes.spines.top": False, "axes.spines.right": False,
    "axes.linewidth": 0.8, "axes.grid": True, "grid.color": FAINT, "grid.alpha": 0.25, "grid.linewidth": 0.6,
    "legend.frameon": False, "legend.fontsize": TEXT, "figure.constrained_layout.use": True, "svg.fonttype": "none",
    "text.parse_math": False, "lines.linewidth": 1.6, "figure.facecolor": "none", "axes.facecolor": "none",
}  # fmt: skip
MOST_VECTOR = 3000  # segments plotted as vectors; of more a raster image goes into the page
MOST_NAMED = 64  # children whose ids fit below the axis of a wide figure
STAMP = "SIMULATED"

MOST_LETTERS = 12  # of a child's id below an axis
TIGHT: dict[str, Any] = {"borderaxespad": 0.2, "handlelength": 1.6, "labelspacing": 0.25, "handletextpad": 0.5}
STYLES = ((ORANGE, "--"), (GREEN, "-."), (PINK, (0, (1, 1))), (INK, (0, (5, 1, 1, 1, 1, 1))), (FAINT, "--"))
"""Of lines that stand beside each other."""

P = ParamSpec("P")
Line = tuple[str, np.ndarray, np.ndarray]  # what can be read off a figure: its name, x and y


class Plot:
    """A figure, and the lines that can be read off it."""

    def __init__(self, width: float = SIZE[0], height: float = SIZE[1], **options: Any) -> None:
        self.figure = Figure(figsize=(width, height))
        self.axes = self.figure.subplots(**options)
        self._rendered: dict[str, str] = {}
        self.lines: list[Line] = []
        self.points: tuple[np.ndarray, np.ndarray] | None = None
        """Where each segment is plotted, x (N,) and y (N,), if a click on it can open it."""

    def banded(self, curve: Curve, name: str, reading: str = "") -> None:
        """A line and its band; both can be read off, under the name `reading` if it is another."""
        self.axes.fill_between(curve.x, curve.low, curve.high, color=BLUE, alpha=0.18, linewidth=0)
        self.axes.plot(curve.x, curve.y, color=BLUE, label=name)
        self.lines += [(reading or name, curve.x, curve.y), ("from", curve.x, curve.low), ("to", curve.x, curve.high)]

    def stamp(self) -> None:
        """Write across the picture that its data are simulated."""
        for axes in np.ravel(self.axes):
            axes.text(0.5, 0.5, STAMP, transform=axes.transAxes, ha="center", va="center", rotation=15,
                      fontsize=2.6 * TEXT, fontweight="bold", color=ORANGE, alpha=0.18, zorder=5)  # fmt: skip

    def png(self) -> bytes:
        """For print: on white."""
        with matplotlib.rc_context(RC):
            return to_png(self.figure, dpi=200, facecolor="white")

    def vector(self, name: str) -> bytes:
        """For print: SVG on white, text as text."""
        white = '<rect width="100%" height="100%" fill="white"/>'
        return re.sub(r"(<svg[^>]*>)", rf"\1\n {white}", self._svg(name), count=1).encode()

    def svg(self, name: str) -> str:
        """For the page: without a background, text as text, colours as variables; ids begin with `name`."""
        svg = self._svg(name)
        svg = svg[svg.index("<svg") :]
        svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
        svg = re.sub(r' (?:width|height)="[\d.]+pt"', "", svg, count=2)
        svg = re.sub(r'\bid="', f'id="{name}-', svg)
        svg = re.sub(r'(xlink:href="#|url\(#)', rf"\1{name}-", svg)
        for colour, variable in VARIABLES.items():
            svg = svg.replace(colour, f"var({variable})")
        return svg

    def _svg(self, name: str) -> str:
        if name not in self._rendered:
            with matplotlib.rc_context({**RC, "svg.hashsalt": name}), io.StringIO() as text:
                self.figure.savefig(text, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
                self._rendered[name] = text.getvalue()
        return self._rendered[name]

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
            "points": None if self.points is None else [[_short(v) for v in values] for values in self.points],
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
def roc(curve: Curve, point: tuple[float, float], area: Metric, models: Mapping[str, Curve]) -> Plot:
    """point: fraction of false alarms and sensitivity at the cross-fitted thresholds; models: each by itself."""
    plot = Plot()
    axes = plot.axes
    axes.plot([0, 1], [0, 1], color=FAINT, linestyle=":", label="chance level")
    _thin(axes, models)
    plot.banded(curve, "blend", reading="sensitivity")
    axes.plot(*point, "D", color=ORANGE, markersize=7, label="at the threshold")
    _unit(axes, "fraction of other segments with an alarm", "sensitivity")
    axes.set_title(f"ROC: AUC {interval(area)}", loc="left")
    axes.legend(loc="lower right", **TIGHT)
    return plot


@styled
def precision_recall(
    curve: Curve, point: tuple[float, float], prevalence: float, area: Metric, models: Mapping[str, Curve]
) -> Plot:
    """point: sensitivity and precision at the cross-fitted thresholds; models: each by itself."""
    plot = Plot()
    axes = plot.axes
    axes.axhline(prevalence, color=FAINT, linestyle=":", label="chance level: the prevalence")
    _thin(axes, models)
    plot.banded(curve, "blend", reading="precision")
    axes.plot(*point, "D", color=ORANGE, markersize=7, label="at the threshold")
    _unit(axes, "sensitivity", "precision")
    axes.set_title(f"Average precision {interval(area)}", loc="left")
    axes.set_ylim(-0.45, 1.03)  # room for the legend below the curves
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.legend(loc="lower left", **TIGHT)
    return plot


@styled
def reliability(bins: Sequence[Bin], children: np.ndarray) -> Plot:
    """children: (C, 2), mean probability of each child and its fraction of spasms."""
    plot = Plot()
    axes = plot.axes
    axes.plot([0, 1], [0, 1], color=FAINT, linestyle=":", label="perfectly calibrated")
    axes.plot(children[:, 0], children[:, 1], "o", color=PINK, alpha=0.55, markersize=3.5, label="a child", zorder=1)
    bins = [part for part in bins if part.children > 1]  # resampling a single child gives no interval
    x, y = np.array([part.mean for part in bins]), np.array([part.observed for part in bins])
    low, high = np.array([part.observed_low for part in bins]), np.array([part.observed_high for part in bins])
    axes.vlines(x, low, high, color=BLUE, linewidth=1.6)
    axes.plot(x, y, "s-", color=BLUE, markersize=5, linewidth=1, label="segments, 95 % interval")
    plot.lines = [("spasms", x, y), ("from", x, low), ("to", x, high)]
    _unit(axes, "predicted probability", "fraction with a spasm")
    axes.set_ylim(-0.03, 1.45)  # room for the legend above the points
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.set_title("Calibration", loc="left")
    axes.legend(loc="upper left", **TIGHT)
    return plot


@styled
def f1_by_threshold(curve: Curve, chosen: float, of_folds: Sequence[float], always_positive: float) -> Plot:
    """chosen: the threshold for new children; of_folds: those of each fold."""
    plot = Plot()
    axes = plot.axes
    axes.axhline(always_positive, color=FAINT, linestyle=":", label="always positive")
    plot.banded(curve, "F1")
    axes.axvline(chosen, 0, 0.7, color=ORANGE, linestyle="--", label=f"for new children: {chosen:.2f}")
    axes.plot(of_folds, np.full(len(of_folds), 0.02), "^", color=GREEN, markersize=5, label="of each fold")
    _unit(axes, "threshold of the probability", "F1")
    axes.set_ylim(-0.01, 1.45)
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.set_title("F1 by threshold", loc="left")
    axes.legend(loc="upper left", ncols=2, columnspacing=1, **TIGHT)
    return plot


@styled
def decision_curve(curve: Curve, everything: np.ndarray) -> Plot:
    """everything: (G,) the net benefit of predicting a spasm in every segment."""
    plot = Plot()
    axes = plot.axes
    axes.plot(curve.x, everything, color=PINK, linestyle="--", label="act on every segment")
    axes.axhline(0, color=FAINT, linestyle=":", label="act on none")
    plot.banded(curve, "act on the predictions")
    axes.set_xlim(curve.x[0], curve.x[-1])
    top = max(curve.high.max(), everything[0], 1)
    axes.set_ylim(-0.25 * top, 1.35 * top)
    axes.set_xlabel("probability from which one would act")
    axes.set_ylabel("net benefit per 100 segments")
    axes.set_title("Decision curve", loc="left")
    axes.legend(loc="upper right", **TIGHT)
    return plot


@styled
def f1_by_prevalence(curve: Curve, here: float) -> Plot:
    """here: the prevalence in this data."""
    plot = Plot()
    axes = plot.axes
    plot.banded(curve, "F1")
    always_positive = 2 * curve.x / (1 + curve.x)
    axes.plot(curve.x, always_positive, color=FAINT, linestyle=":", label="always positive")
    plot.lines.append(("always positive", curve.x, always_positive))
    axes.axvline(here, color=ORANGE, linestyle="--", label=f"in this data: {here:.2f}")
    _unit(axes, "prevalence (fraction of segments with a spasm)", "F1")
    axes.set_xlim(0, curve.x[-1])
    axes.set_title("F1 by prevalence", loc="left")
    axes.legend(loc="lower right", **TIGHT)
    return plot


@styled
def probabilities(values: np.ndarray, threshold: float) -> Plot:
    """How many new segments, whose labels are not known, have which probability."""
    plot = Plot()
    axes = plot.axes
    axes.hist(values, np.linspace(0, 1, 26), color=BLUE, alpha=0.8)
    axes.axvline(threshold, color=ORANGE, linestyle="--", label=f"threshold: {threshold:.2f}")
    axes.set_xlim(0, 1)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("probability")
    axes.set_ylabel("segments")
    axes.set_title("Predicted probabilities", loc="left")
    axes.legend(loc="upper right", **TIGHT)
    return plot


def interval(metric: Metric) -> str:
    """A metric with its interval, as text."""
    if metric.value is None:
        return "not defined"
    if metric.low is None or metric.high is None:
        return f"{metric.value:.2f}"
    return f"{metric.value:.2f} ({metric.low:.2f}\N{EN DASH}{metric.high:.2f})"


def name_children(axes: Any, names: Sequence[str], most: int = MOST_NAMED) -> None:
    """Ids of children below an axis on which each has a place, where there is room for them."""
    if len(names) <= most:
        axes.set_xticks(range(len(names)), [_shorten(name) for name in names], rotation=90 if len(names) > 20 else 0)
        axes.set_xlabel("child")
    else:
        axes.set_xticks([])
        axes.set_xlabel(f"{len(names)} children, in order")
    axes.grid(axis="x", visible=False)


def _shorten(name: str) -> str:
    return name if len(name) <= MOST_LETTERS else f"{name[: MOST_LETTERS - 1]}\N{HORIZONTAL ELLIPSIS}"


def _thin(axes: Any, models: Mapping[str, Curve]) -> None:
    """The curve of each model by itself, below that of the blend."""
    for (name, curve), (colour, dash) in zip(models.items(), itertools.cycle(STYLES), strict=False):
        axes.plot(curve.x, curve.y, color=colour, linestyle=dash, linewidth=1.1, label=name, zorder=1.5)


def _unit(axes: Any, x: str, y: str) -> None:
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.03)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
