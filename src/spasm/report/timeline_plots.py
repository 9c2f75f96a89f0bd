"""Pictures of long recordings: probability over time with events, and what fewer false alarms cost."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from spasm.core import files
from spasm.data.recordings import is_simulated
from spasm.inference.event_detection import STEP_S, Event, Windows
from spasm.report.plots import to_png

ROW_S, MOST_ROWS = 3600, 48  # an hour in each row, of a longer recording more
POINTS = 2000  # of the curve in a row


def timeline(name: str, windows: Windows, detected: Sequence[Event], true: np.ndarray | None) -> bytes:
    """A picture: probability over time in rows, detected events shaded, true ones (E, 2) as triangles below."""
    from matplotlib.figure import Figure  # here, so that a help text comes at once

    row_s = max(ROW_S, windows.duration_s / MOST_ROWS)
    count = max(1, math.ceil(windows.duration_s / row_s - 1e-9))
    width_s = row_s if count > 1 else windows.duration_s
    figure = Figure(figsize=(11, 1.2 + 1.3 * count), layout="constrained")
    rows = figure.subplots(count, squeeze=False)
    time_s = np.arange(len(windows.curve)) * STEP_S
    for number, axes in enumerate(rows[:, 0]):
        begin_s = number * row_s
        inside = (time_s >= begin_s) & (time_s < begin_s + width_s)
        x, y = time_s[inside], windows.curve[inside]
        every = max(1, len(x) // POINTS)
        tops = [y[k : k + every].max() for k in range(0, len(y), every)]
        axes.plot(x[::every] / 60, tops, color="#30506f", linewidth=0.8)
        for event in detected:
            if event.onset_s < begin_s + width_s and event.offset_s > begin_s:
                axes.axvspan(event.onset_s / 60, event.offset_s / 60, color="#c05020", alpha=0.35, linewidth=0.8)
        if true is not None:
            axes.plot(true[:, 0] / 60, np.full(len(true), -0.06), "^", color="#207040", markersize=4)
        axes.set_xlim(begin_s / 60, (begin_s + width_s) / 60)
        axes.set_ylim(-0.12, 1)
    rows[-1, 0].set_xlabel("minutes")
    figure.supylabel("probability", fontsize=10)
    note = "; triangles: true events" if true is not None else ""
    figure.suptitle(f"{name}: shaded where an event is detected{note}", fontsize=10)
    return to_png(figure)


def write_timelines(
    out: Path,
    predicted: Mapping[Path, Windows],
    detected: Mapping[Path, Sequence[Event]],
    true: Mapping[str, np.ndarray] | None,
) -> None:
    """Write the picture of each recording into its folder; true: (E, 2) events by the recording's file name."""
    for path, windows in predicted.items():
        name = f"{'SIMULATED DATA, ' if is_simulated(path) else ''}{path.name}"
        picture = timeline(name, windows, detected[path], true[path.name] if true else None)
        files.write_bytes(out / path.stem / "timeline.png", picture)


def write_trade_off(path: Path, rows: Sequence[tuple[float, float, float]], rule: str, simulated: bool) -> None:
    """Write the picture of `trade_off`."""
    title = f"{'SIMULATED DATA, ' if simulated else ''}{rule}, limits set on the other children"
    files.write_bytes(path, trade_off(rows, title))


def trade_off(rows: Sequence[tuple[float, float, float]], title: str) -> bytes:
    """A picture of limits, false alarms per hour, and sensitivities."""
    from matplotlib.figure import Figure  # here, so that a help text comes at once

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot([row[1] for row in rows], [row[2] for row in rows], marker="o", color="#c05020")
    axes.set_xscale("symlog", linthresh=0.1)
    axes.set_ylim(0, 1)
    axes.set_xlabel("false alarms per hour")
    axes.set_ylabel("sensitivity")
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.3)
    return to_png(figure)
