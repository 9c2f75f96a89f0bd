"""Plots of long recordings: probability over time with events, and the sensitivity left with fewer false alarms."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spasm.config.events import Hysteresis
from spasm.core import files
from spasm.data.recordings import is_simulated
from spasm.inference.event_detection import STEP_S, Event, Rule, Windows, event_level
from spasm.inference.recording_summary import length, seen_of
from spasm.report import plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

ROW_S, MOST_ROWS = 3600, 48  # an hour in each row, of a longer recording more
POINTS = 2000  # of the curve in a row
TICKS_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
MOST_TICKS = 12
CURVE, WINDOW, DETECTED, LEVEL, TRUE, UNSEEN = "#30506f", "#8fa8c0", "#c05020", "#902020", "#207040", "#c8c8c8"
RATES = (0, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000)  # ticks, false alarms per hour
NOT_A_DEVICE = "Not a medical device"
FEW_HOURS = 1.0  # with less, rates of false alarms are luck


def timeline(
    name: str,
    windows: Windows,
    detected: Sequence[Event],
    true: np.ndarray | None,
    rule: Rule,
    simulated: bool = False,
) -> bytes:
    """PNG: probability over time in rows, the rule's level, detected and true events (E, 2), unseen time in grey."""
    from matplotlib.figure import Figure  # here, so that a help text comes at once

    row_s = max(ROW_S, windows.duration_s / MOST_ROWS)
    count = max(1, math.ceil(windows.duration_s / row_s - 1e-9))
    width_s = row_s if count > 1 else windows.duration_s
    figure = Figure(figsize=(plots.WIDTH_IN, 3.1 + 1.3 * count), layout="constrained")
    rows: list[Axes] = figure.subplots(count, squeeze=False)[:, 0].tolist()
    for number, axes in enumerate(rows):
        begin_s = number * row_s
        _plot_windows(axes, windows, begin_s, begin_s + width_s, rule)
        for event in detected:
            if event.onset_s < begin_s + width_s and event.offset_s > begin_s:
                axes.axvspan(event.onset_s, event.offset_s, color=DETECTED, alpha=0.4, linewidth=0.8)
        if true is not None:
            axes.plot(true[:, 0], np.full(len(true), -0.06), "^", color=TRUE, markersize=5)
        axes.set_xlim(begin_s, begin_s + width_s)
        axes.set_ylim(-0.12, 1.02)
        set_time_ticks(axes, begin_s, begin_s + width_s)
    rows[-1].set_xlabel("time, " + ("s" if windows.duration_s < 120 else "min:s" if row_s == ROW_S else "h:min"))
    figure.supylabel("probability", fontsize=10)
    seen = f"{seen_of(windows.total_seen_s, windows.duration_s)} seen"
    short = f", shorter than the {windows.window_s:g} s window" if windows.frames < windows.length else ""
    rows[0].set_title(f"{name}: {seen}{short}. {NOT_A_DEVICE}", fontsize=10)
    if not windows.is_seen.any():
        reason = "too little was seen" if windows.pose_s.any() else "no person was seen"
        rows[0].text(
            0.5, 0.5, f"{reason}: nothing can be predicted", transform=rows[0].transAxes, ha="center", va="center"
        )
    figure.legend(
        handles=_legend(windows, detected, true, rule), loc="outside lower center", fontsize=10, frameon=False
    )
    plots.stamp_simulated(figure, simulated)
    return plots.to_png(figure)


def _plot_windows(axes: "Axes", windows: Windows, begin_s: float, end_s: float, rule: Rule) -> None:
    time_s = np.arange(len(windows.curve)) * STEP_S
    inside = (time_s >= begin_s) & (time_s < end_s)
    x, y = time_s[inside], windows.curve[inside]
    unseen = np.concatenate([[False], np.isnan(y), [False]])
    for first, last in np.flatnonzero(np.diff(unseen)).reshape(-1, 2):
        axes.axvspan(x[0] + first * STEP_S, x[0] + last * STEP_S, color=UNSEEN, alpha=0.6, linewidth=0)
    every = max(1, len(x) // POINTS)
    parts = [y[k : k + every] for k in range(0, len(y), every)]
    tops = [np.nan if np.isnan(part).all() else np.nanmax(part) for part in parts]
    axes.plot(x[::every], tops, color=CURVE, linewidth=1)
    if not isinstance(rule, Hysteresis):
        middles_s = (np.maximum(windows.ends_s - windows.window_s, 0) + windows.ends_s) / 2
        shown = (middles_s >= begin_s) & (middles_s < end_s)  # a NaN is not plotted
        axes.plot(middles_s[shown], windows.probabilities[shown], ".", color=WINDOW, markersize=3, zorder=1)
    axes.axhline(event_level(rule), color=LEVEL, linewidth=1, linestyle="--")


def describe_rule(rule: Rule, window_s: float) -> str:
    """What makes an event, and how short one can be."""
    shortest = f"an event lasts {STEP_S:g} s or longer"
    if isinstance(rule, Hysteresis):
        return f"event: the line reaches {rule.event_on:g}, and ends below {rule.event_off:g}; {shortest}"
    apart = f"at most once in {max(rule.refractory_s, window_s):g} s"
    if rule.sum_windows == 1:
        return f"event: a window reaches {rule.sum_threshold:g}, {apart}; {shortest}"
    return f"event: {rule.sum_windows} windows in a row sum to {rule.sum_threshold:g}, {apart}; {shortest}"


def _legend(windows: Windows, detected: Sequence[Event], true: np.ndarray | None, rule: Rule) -> "list[Line2D | Patch]":
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    window_s = windows.window_s
    handles: list[Line2D | Patch] = []
    if windows.is_seen.any():
        handles.append(Line2D([], [], color=CURVE, label="probability over time"))
    if windows.is_seen.any() and not isinstance(rule, Hysteresis):
        label = f"probability of each window of {window_s:g} s, at its middle"
        handles.append(Line2D([], [], color=WINDOW, marker=".", linestyle="", label=label))
    handles.append(Line2D([], [], color=LEVEL, linestyle="--", label=describe_rule(rule, window_s)))
    handles.append(Patch(color=DETECTED, alpha=0.4, label=f"detected events: {len(detected)}"))
    if true is not None:
        handles.append(Line2D([], [], color=TRUE, marker="^", linestyle="", label=f"true events: {len(true)}"))
    if not windows.is_seen.all():
        unseen = length(windows.duration_s - windows.total_seen_s)
        handles.append(Patch(color=UNSEEN, alpha=0.6, label=f"not seen, or too little for a prediction: {unseen}"))
    return handles


def set_time_ticks(axes: "Axes", begin_s: float, end_s: float) -> None:
    """Ticks at round times: seconds in less than two minutes, else min:s, of many hours h:min."""
    step_s = next((step for step in TICKS_S if (end_s - begin_s) / step <= MOST_TICKS), TICKS_S[-1])
    ticks = np.arange(math.ceil(begin_s / step_s), math.floor(end_s / step_s) + 1) * step_s
    if end_s - begin_s < 120 and begin_s == 0:
        labels = [f"{tick:g}" for tick in ticks]
    elif end_s - begin_s <= ROW_S:
        labels = [f"{tick // 60:g}:{tick % 60:02g}" for tick in ticks]
    else:
        labels = [f"{tick // 3600:g}:{tick // 60 % 60:02g}" for tick in ticks]
    axes.set_xticks(ticks, labels)


def write_timelines(
    out: Path,
    predicted: Mapping[Path, Windows],
    detected: Mapping[Path, Sequence[Event]],
    true: Mapping[str, np.ndarray] | None,
    rules: Mapping[Path, Rule],
    names: Mapping[Path, str],
) -> None:
    """Write the plot of each recording into its folder, with its name; true: (E, 2) events by the file name."""
    for path, windows in predicted.items():
        of_recording = true[path.name] if true else None
        plot = timeline(names[path], windows, detected[path], of_recording, rules[path], is_simulated(path))
        files.write_bytes(out / path.stem / "timeline.png", plot)


def write_trade_off(
    path: Path, rows: Sequence[tuple[float, float, float]], rule: str, hours: float, simulated: bool
) -> None:
    """Write the plot of `trade_off`."""
    title = f"{rule}, limits chosen on the other children, {hours:.2f} hours"
    files.write_bytes(path, trade_off(rows, title, hours, simulated))


def trade_off(rows: Sequence[tuple[float, float, float]], title: str, hours: float, simulated: bool = False) -> bytes:
    """PNG of rows of limits, false alarms per hour, and sensitivities; it warns where few hours are behind it."""
    from matplotlib.figure import Figure  # here, so that a help text comes at once

    figure = Figure(figsize=(plots.WIDTH_IN, 4.5), layout="constrained")
    axes = figure.subplots()
    few = hours < FEW_HOURS
    axes.plot([row[1] for row in rows], [row[2] for row in rows], "o" if few else "o-", color=DETECTED)
    axes.set_xscale("symlog", linthresh=0.1)
    axes.set_xticks(RATES, [f"{rate:g}" for rate in RATES], minor=False)
    axes.set_xticks([], minor=True)
    axes.set_xlim(-0.01, max(1.0, *(2 * row[1] for row in rows)))
    axes.set_ylim(0, 1)
    axes.set_xlabel("false alarms per hour")
    axes.set_ylabel("sensitivity")
    warning = f"\nonly {60 * hours:.0f} minutes of recordings: these rates are mostly luck" if few else ""
    axes.set_title(f"{title}{warning}", fontsize=10)
    axes.grid(alpha=0.3)
    plots.stamp_simulated(figure, simulated)
    return plots.to_png(figure)
