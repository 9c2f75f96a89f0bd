"""Plots of the notebooks: skeletons as a strip, speeds of parts of the body, histograms by label, rows of intervals."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from spasm.data.landmarks import EDGES, INDEX, LANDMARKS
from spasm.data.pose import FPS, visible_mask
from spasm.evaluation.bootstrap import Estimate
from spasm.features.body_frame import PARTS
from spasm.report import figures
from spasm.report.figures import BLUE, FAINT, GREEN, INK, ORANGE, PINK

WIDE = 10  # inches of a figure: 960 pixels at 96 dpi, as wide as a notebook shows without reducing it
# On white, and with type of 11 points or more at the displayed size.
RC = figures.RC | {
    "figure.dpi": 96, "font.size": 12, "axes.titlesize": 12, "axes.labelsize": 12, "xtick.labelsize": 11,
    "ytick.labelsize": 11, "legend.fontsize": 11, "figure.titlesize": 13, "figure.facecolor": "white",
    "axes.facecolor": "white", "hatch.linewidth": 0.8, "figure.constrained_layout.w_pad": 0.1,
}  # fmt: skip
SPASM_BARS = {"color": ORANGE, "hatch": "////", "edgecolor": "white", "linewidth": 0}  # hatched: readable in grey
STEP_S = 0.625  # between two skeletons
HIGH_S = 0.7  # of a strip, whose skeletons are plotted in the unit of its time axis
NOSE, HIPS = INDEX["nose"], [INDEX["left_hip"], INDEX["right_hip"]]
PART_STYLES = dict(zip(PARTS, ((PINK, "-."), (BLUE, "-"), (GREEN, ":"), (ORANGE, "--")), strict=True))


# ---- one segment over time


def plot_strip(axes: Axes, pose: np.ndarray) -> None:
    """Eight skeletons in five seconds, hips in the middle; left thick and blue, right thin and orange; x: no pose.

    pose: (T, 33, 5).
    """
    visible = visible_mask(pose)
    seconds = len(pose) / FPS
    places = np.where(visible[..., None], pose[..., :2], np.nan)
    places = places - places[:, HIPS].mean(axis=1, keepdims=True)
    reach = np.nanquantile(np.abs(places), 0.98, axis=(0, 1)) if np.isfinite(places).any() else np.ones(2)
    places = places * min(STEP_S / 2 / reach[0], HIGH_S / 2 / reach[1])
    for time_s in np.arange(STEP_S / 2, seconds, STEP_S):
        x, y = places[int(time_s * FPS)].T
        if not np.isfinite(x).any():
            axes.plot(time_s, 0, "x", color=FAINT, markersize=6)
        for a, b in EDGES:
            side = {LANDMARKS[a].split("_")[0], LANDMARKS[b].split("_")[0]}
            colour, width = (BLUE, 2.2) if side == {"left"} else (ORANGE, 1.2) if side == {"right"} else (INK, 1.0)
            if a > 10 or b > 10:  # without the lines of the face
                axes.plot(time_s + x[[a, b]], y[[a, b]], color=colour, linewidth=width)
        axes.plot(time_s + x[NOSE], y[NOSE], "o", color=INK, markersize=4)
    axes.set_xlim(0, seconds)
    axes.set_ylim(HIGH_S / 2, -HIGH_S / 2, auto=True)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.tick_params(labelbottom=False)


def plot_speeds(axes: Axes, speed: np.ndarray) -> None:
    """speed: (4, T) of the parts of the body in trunk lengths per second."""
    for (name, (colour, line)), values in zip(PART_STYLES.items(), speed, strict=True):
        axes.plot(np.arange(len(values)) / FPS, values, line, color=colour, linewidth=1.5, label=name)
    axes.set_ylim(bottom=0)


def shade_events(axes: Axes, events: Sequence[tuple[float, float, str]]) -> None:
    """Grey where a true event lies; events: first and last frame and kind."""
    for first, last, _ in events:
        axes.axvspan(first / FPS, last / FPS, color=FAINT, alpha=0.25, linewidth=0)


# ---- many segments


def plot_histograms(axes: Axes, filled: np.ndarray, outlined: np.ndarray, bins: int = 26) -> None:
    """Two groups of values as fractions of each: one filled and blue, one outlined and orange.

    The axis ends at the 0.5th and 99.5th percentile; what lies beyond is counted in the last bin. NaN is left out.
    """
    groups = [values[np.isfinite(values)] for values in (filled, outlined)]
    both = np.concatenate(groups)
    low, high = np.quantile(both, (0.005, 0.995)) if len(both) else (0, 1)
    edges = np.linspace(low, high, bins) if high > low else np.linspace(low - 0.5, low + 0.5, bins)
    styles = ({"color": BLUE, "alpha": 0.55}, {"edgecolor": ORANGE, "fill": False, "linewidth": 2})
    for values, style in zip(groups, styles, strict=True):
        weights = np.full(len(values), 1 / max(len(values), 1))
        axes.hist(np.clip(values, edges[0], edges[-1]), edges, weights=weights, histtype="stepfilled", **style)


def plot_outline(axes: Axes, values: np.ndarray, edges: np.ndarray, **style: Any) -> None:
    """The outline of a histogram, as fractions; what lies beyond the edges is counted in the outermost bins."""
    weights = np.full(len(values), 1 / len(values))
    axes.hist(np.clip(values, edges[0], edges[-1]), edges, weights=weights, histtype="step", linewidth=2, **style)


def plot_intervals(
    axes: Axes, rows: Mapping[str, Estimate], colours: Sequence[str] | None = None, digits: int | None = None
) -> None:
    """Estimates with their intervals, the first at the top; with `digits` each value stands above its point."""
    styled = zip(reversed(rows.values()), reversed(colours or [BLUE] * len(rows)), strict=True)
    for height, (row, colour) in enumerate(styled):
        value, low, high = row["value"], row["low"], row["high"]
        if value is None or low is None or high is None:
            continue
        axes.plot([low, high], [height, height], color=colour, linewidth=2)
        axes.plot(value, height, "o", color=colour, markersize=7)
        if digits is not None:
            text = f"{value:.{digits}f}"
            axes.annotate(text, (value, height), (0, 7), textcoords="offset points", ha="center", fontsize=11)
    axes.set_yticks(range(len(rows)), list(reversed(rows)))
    axes.set_ylim(-0.6, len(rows) - 0.3)
