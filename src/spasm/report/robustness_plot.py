"""F1 by corruption: the rows of `evaluate_robustness` as text for a terminal, and as a plot."""

from collections.abc import Sequence
from typing import Any

from spasm.evaluation.corruptions import TRIED
from spasm.report import plots

Rows = Sequence[tuple[Any, ...]]
COLUMNS = 2
"""Panels side by side."""


def robustness_table(rows: Rows) -> str:
    """F1 of each model by corruption, as a table for a terminal."""
    models = list(dict.fromkeys(row[2] for row in rows))
    f1 = {(row[0], row[1], row[2]): row[3] for row in rows}
    lines = ["", f"{'F1':34}" + "".join(f"{name:>11}" for name in models)]
    for kind, severity in dict.fromkeys((row[0], row[1]) for row in rows):
        values = "".join(f"{f1[kind, severity, name]:11.3f}" for name in models)
        lines.append(f"{f'{kind} {severity}':34}{values}")
    return "\n".join(lines)


def plot_robustness(rows: Rows, title: str, simulated: bool) -> bytes:
    """PNG of the same: one panel for each kind of corruption, one line for each model."""
    from matplotlib.figure import Figure  # slow to import, and not needed for --help

    kinds = [kind for kind in TRIED if kind != "as it is"]
    models = list(dict.fromkeys(row[2] for row in rows))
    count = -(-(len(kinds) + 1) // COLUMNS)  # the last panel holds the legend
    figure = Figure(figsize=(plots.WIDTH_IN, 2.6 * count), layout="constrained")
    panels = figure.subplots(count, COLUMNS, sharey=True).ravel()
    for panel, kind in zip(panels, kinds, strict=False):
        severities = ["none", *TRIED[kind]]
        for number, name in enumerate(models):
            f1 = [row[3] for row in rows if row[2] == name and row[0] in ("as it is", kind)]
            style = {"color": f"C{number}", "marker": "osD^v"[number % 5], "linewidth": 2.5 if name == "blend" else 1}
            panel.plot(severities, f1, label=name, **style)
        panel.set_xlabel(kind)
        panel.set_ylim(0, 1)
        panel.grid(alpha=0.3)
    for panel in panels[len(kinds) :]:
        panel.axis("off")
    panels[len(kinds)].legend(*panels[0].get_legend_handles_labels(), loc="center", title=title, frameon=False)
    figure.supylabel("F1, cross-fitted", fontsize=10)
    plots.stamp_simulated(figure, simulated)
    return plots.to_png(figure)
