"""The figures of an evaluation on data of others; they are made from what leaves, so that they show no child."""

from collections.abc import Sequence

import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter

from spasm.evaluation.curves import Curve
from spasm.report.figures import BLUE, FAINT, INK, ORANGE, TIGHT, WIDE, Plot, styled
from spasm.runs.evaluations import Band, CurveOf, Level, Value

Row = tuple[str, float | None, float | None, float | None]  # name, value, and its interval


@styled
def curve(of: CurveOf, x: str, y: str, title: str, chance: float | None, point: tuple[float, float] | None) -> Plot:
    """A ROC or precision-recall curve; chance: the level of chance, None for the diagonal."""
    plot = Plot()
    axes = plot.axes
    line = [0, 1] if chance is None else [chance, chance]
    axes.plot([0, 1], line, color=FAINT, linestyle=":", label="chance level")
    plot.banded(Curve(*(np.array(values) for values in (of.x, of.y, of.low, of.high))), y)
    if point is not None:
        axes.plot(*point, "D", color=ORANGE, markersize=7, label="at the run's threshold")
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.45)
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_title(title, loc="left")
    axes.legend(loc="upper left", ncols=2, columnspacing=1, **TIGHT)
    return plot


@styled
def reliability(bands: Sequence[Band]) -> Plot:
    """The fraction of spasms against the mean probability, in bands with enough children."""
    plot = Plot()
    axes = plot.axes
    axes.plot([0, 1], [0, 1], color=FAINT, linestyle=":", label="perfectly calibrated")
    x, y = np.array([band.mean for band in bands]), np.array([band.observed for band in bands])
    axes.vlines(x, [b.observed_low for b in bands], [b.observed_high for b in bands], color=BLUE, linewidth=1.6)
    axes.plot(x, y, "s-", color=BLUE, markersize=5, linewidth=1, label="segments, 95 % interval")
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.03, 1.45)
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.set_xlabel("predicted probability")
    axes.set_ylabel("fraction with a spasm")
    axes.set_title("Calibration", loc="left")
    axes.legend(loc="upper left", **TIGHT)
    return plot


@styled
def forest(
    rows: Sequence[Row], title: str, axis: str, first_of_all: int = 0, last_of_all: int | None = None, unit: bool = True
) -> Plot:
    """Values with intervals, one below the other; a diamond for the rows from `first_of_all` on: those of all.

    last_of_all: where those rows end; unit: the axis goes from 0 to 1.
    """
    plot = Plot(width=WIDE, height=0.9 + 0.34 * len(rows))
    axes = plot.axes
    low_end, high_end = 0.0, 0.0
    for place, (_, value, low, end) in enumerate(rows):
        colour, marker = (
            (ORANGE, "D")
            if first_of_all <= place < (len(rows) if last_of_all is None else last_of_all)
            else (BLUE, "s")
        )
        if value is None:
            axes.annotate("suppressed or not defined", (0.01, place), xycoords=("axes fraction", "data"), va="center")
            continue
        if low is not None and end is not None:
            axes.plot([low, end], [place, place], color=colour)
            low_end, high_end = min(low_end, low), max(high_end, end)
        axes.plot(value, place, marker, color=colour, markersize=6)
        between = "" if low is None or end is None else f" ({low:.2f}\N{EN DASH}{end:.2f})"
        axes.annotate(f"{value:.2f}{between}", (1, place), (4, 0), xycoords=("axes fraction", "data"),
                      textcoords="offset points", ha="left", va="center", annotation_clip=False)  # fmt: skip
    axes.set_yticks(range(len(rows)), [name for name, *_ in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    if unit:
        axes.set_xlim(-0.01, 1.01)
    else:
        axes.set_xlim(low_end * 1.05, high_end * 1.05 or 1)
    axes.set_xlabel(axis)
    axes.set_title(title, loc="left")
    axes.grid(axis="y", visible=False)
    return plot


@styled
def trade_off(levels: Sequence[Level], sensitivity: Value, false_alarms: Value) -> Plot:
    """Sensitivity against false alarms per hour, with events beginning at other probabilities than the rule's own."""
    plot = Plot(width=WIDE, height=3.6)
    axes = plot.axes
    shown = [
        (one.false_alarms_per_hour.value, one.event_sensitivity.value, one.level)
        for one in levels
        if one.false_alarms_per_hour.value is not None and one.event_sensitivity.value is not None
    ]
    x, y = np.array([row[0] for row in shown]), np.array([row[1] for row in shown])
    axes.plot(x, y, "o-", color=BLUE, label="the same rule at other probabilities")
    for rate, found, level in shown:
        axes.annotate(f"{level:g}", (rate, found), (0, 6), textcoords="offset points", ha="center", color=INK)
    if sensitivity.value is not None and false_alarms.value is not None:
        axes.plot(false_alarms.value, sensitivity.value, "D", color=ORANGE, markersize=8, label="the rule as given")
        if None not in (sensitivity.low, sensitivity.high, false_alarms.low, false_alarms.high):
            axes.vlines(false_alarms.value, sensitivity.low, sensitivity.high, color=ORANGE)
            axes.hlines(sensitivity.value, false_alarms.low, false_alarms.high, color=ORANGE)
    axes.set_xscale("symlog", linthresh=1)
    axes.xaxis.set_major_locator(FixedLocator([0, 1, 10, 100, 1000]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlim(left=0)
    axes.set_ylim(-0.02, 1.3)
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.set_xlabel("false alarms per hour")
    axes.set_ylabel("sensitivity for events")
    axes.set_title("Sensitivity and false alarms", loc="left")
    axes.legend(loc="upper left", ncols=2, **TIGHT)
    return plot
