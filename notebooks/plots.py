"""Plots of segments over time: the skeleton as a strip, and how fast parts of the body are."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from spasm.data.landmarks import EDGES, INDEX, LANDMARKS
from spasm.data.pose import FPS, visible_mask
from spasm.features.body_frame import PARTS
from spasm.report import figures
from spasm.report.figures import BLUE, FAINT, GREEN, INK, ORANGE, PINK

# Small pictures, on white, so that a notebook can be stored with them.
RC = figures.RC | {"figure.dpi": 72, "figure.facecolor": "white", "axes.facecolor": "white", "figure.titlesize": 11}
STEP_S = 0.625  # between two skeletons
HIGH_S = 0.7  # of a strip, whose skeletons are plotted in the unit of its time axis
NOSE, HIPS = INDEX["nose"], [INDEX["left_hip"], INDEX["right_hip"]]
OF_PARTS = dict(zip(PARTS, ((PINK, "-."), (BLUE, "-"), (GREEN, ":"), (ORANGE, "--")), strict=True))


def strip(axes: Axes, pose: np.ndarray) -> None:
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
            axes.plot(time_s, 0, "x", color=FAINT, markersize=5)
        for a, b in EDGES:
            side = {LANDMARKS[a].split("_")[0], LANDMARKS[b].split("_")[0]}
            colour, width = (BLUE, 1.8) if side == {"left"} else (ORANGE, 1.0) if side == {"right"} else (INK, 0.8)
            if a > 10 or b > 10:  # without the lines of the face
                axes.plot(time_s + x[[a, b]], y[[a, b]], color=colour, linewidth=width)
        axes.plot(time_s + x[NOSE], y[NOSE], "o", color=INK, markersize=3)
    axes.set_xlim(0, seconds)
    axes.set_ylim(HIGH_S / 2, -HIGH_S / 2, auto=True)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.tick_params(labelbottom=False)


def speeds(axes: Axes, speed: np.ndarray) -> None:
    """speed: (4, T) of the parts of the body in trunk lengths per second."""
    for (name, (colour, line)), values in zip(OF_PARTS.items(), speed, strict=True):
        axes.plot(np.arange(len(values)) / FPS, values, line, color=colour, linewidth=1.2, label=name)
    axes.set_ylim(bottom=0)


def shade(axes: Axes, events: Sequence[tuple[float, float, str]]) -> None:
    """Grey where a true event lies; events: first and last frame and kind."""
    for first, last, _ in events:
        axes.axvspan(first / FPS, last / FPS, color=FAINT, alpha=0.25, linewidth=0)
