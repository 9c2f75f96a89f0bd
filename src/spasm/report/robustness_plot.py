"""F1 by corruption: the rows of `evaluate_robustness` as text for a terminal, and as a picture."""

from collections.abc import Sequence
from typing import Any

from spasm.evaluation.corruptions import TRIED
from spasm.report.plots import to_png

Rows = Sequence[tuple[Any, ...]]


def robustness_table(rows: Rows) -> str:
    """F1 of each model by corruption, as a table for a terminal."""
    models = list(dict.fromkeys(row[2] for row in rows))
    f1 = {(row[0], row[1], row[2]): row[3] for row in rows}
    lines = ["", f"{'F1':34}" + "".join(f"{name:>11}" for name in models)]
    for kind, severity in dict.fromkeys((row[0], row[1]) for row in rows):
        values = "".join(f"{f1[kind, severity, name]:11.3f}" for name in models)
        lines.append(f"{f'{kind} {severity}':34}{values}")
    return "\n".join(lines)


def plot_robustness(rows: Rows, title: str) -> bytes:
    """The same as a picture (PNG): one panel for each kind of corruption, one line for each model."""
    from matplotlib.figure import Figure  # takes a while, and the help needs it not

    kinds = [kind for kind in TRIED if kind != "as it is"]
    models = list(dict.fromkeys(row[2] for row in rows))
    figure = Figure(figsize=(3 * len(kinds), 3.2), layout="constrained")
    panels = figure.subplots(1, len(kinds), sharey=True)
    for panel, kind in zip(panels, kinds, strict=True):
        severities = ["none", *TRIED[kind]]
        for number, name in enumerate(models):
            f1 = [row[3] for row in rows if row[2] == name and row[0] in ("as it is", kind)]
            style = {"color": f"C{number}", "marker": "osD^v"[number % 5], "linewidth": 2.5 if name == "blend" else 1}
            panel.plot(severities, f1, label=name, **style)
        panel.set_xlabel(kind)
        panel.set_ylim(0, 1)
        panel.grid(alpha=0.3)
        panel.tick_params(axis="x", rotation=30)
    panels[0].set_ylabel("F1, cross-fitted")
    panels[0].legend(loc="lower left", fontsize=8)
    figure.suptitle(title)
    return to_png(figure)
