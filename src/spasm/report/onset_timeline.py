"""The evaluation of seizure onsets as a table for a terminal, and a recording's probability over time as a plot."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spasm.evaluation.seizure_onsets import Trace
from spasm.report import plots
from spasm.report.console import SIMULATED

ROWS = (
    ("sensitivity", "sensitivity"),
    ("latency_to_eeg_onset_s", "median latency to the EEG onset, s"),
    ("latency_to_clinical_onset_s", "median latency to the clinical onset, s"),
    ("false_alarms_per_interictal_hour", "false alarms per interictal hour, as published"),
    ("false_alarms_per_hour", "false alarms per hour of all windows"),
    ("error", "error: 100 x RMSE against the target"),
    ("trivial_error", "the same of always predicting the mean target"),
)


def onset_table(found: Mapping[str, Any]) -> str:
    """The metrics with their intervals over children, as text."""
    lines = [SIMULATED] if found["simulated"] else []
    lines.append(f"{found['seizures']} seizures, {found['recordings']} recordings, {found['children']} children")
    lines.append(f"{found['interictal_hours']:.2f} h interictal of {found['hours']:.2f} h of windows")
    lines.append(f"{'':60}95 % interval over children")
    for key, name in ROWS:
        one = found["metrics"][key]
        line = f"{name:48}{_number(one['value']):>10}"
        if one["low"] is not None and one["high"] is not None:
            line += f"  {_number(one['low'])} to {_number(one['high'])}"
        if one.get("shortest") is not None:
            line += f"; each: {_number(one['shortest'])} to {_number(one['longest'])}"
        lines.append(line)
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.2f}"


def plot_trace(
    trace: Trace, accumulated: np.ndarray, threshold: float, alarms: Sequence[tuple[float, bool]], simulated: bool
) -> bytes:
    """PNG: P and A over time with both onsets of each seizure, the threshold, and true and false alarms."""
    from matplotlib.figure import Figure  # slow to import, and not needed for --help

    figure = Figure(figsize=(plots.WIDTH_IN, 4), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    above.plot(trace.ends_s, trace.probability, ".-", color="C0", linewidth=1, markersize=3)
    above.set_ylim(-0.02, 1.02)
    above.set_ylabel("probability P")
    below.plot(trace.ends_s, accumulated, color="C0", linewidth=1)
    below.axhline(threshold, color="0.4", linestyle=":", label="threshold")
    below.set_ylabel("accumulated, A")
    below.set_xlabel(f"end of the window in {trace.recording}, s")
    for number, (eeg, clinical) in enumerate(trace.seizures):
        for panel in (above, below):
            panel.axvline(eeg, color="C1", label=None if number else "EEG onset")
            panel.axvline(clinical, color="C3", label=None if number else "clinical onset")
    for false, colour, name in ((False, "C2", "alarm"), (True, "k", "false alarm")):
        times = [time_s for time_s, is_false in alarms if is_false == false]
        if times:
            at = [accumulated[trace.ends_s == time_s][0] for time_s in times]
            below.plot(times, at, "v" if not false else "x", color=colour, markersize=8, label=name)
    figure.legend(*below.get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
    plots.stamp_simulated(figure, simulated)
    return plots.to_png(figure)
