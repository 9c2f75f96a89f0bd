"""Confusion matrices as a picture, and metrics of several classes as text for a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spasm.evaluation.class_metrics import ROWS
from spasm.report.console import SIMULATED, number
from spasm.report.plots import WIDTH_IN, stamp_simulated, to_png

DARK = 0.55  # fraction of a row above which its number is white


def plot(matrices: Mapping[str, np.ndarray], names: Sequence[str], simulated: bool) -> bytes:
    """Confusion matrices (C, C) side by side, as a PNG: counts, and the fraction of each true class as the shade."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_IN, 0.55 * WIDTH_IN), layout="constrained")
    stamp_simulated(figure, simulated)
    places = range(len(names))
    for axes, (title, matrix) in zip(
        figure.subplots(1, len(matrices), squeeze=False)[0], matrices.items(), strict=True
    ):
        fraction = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
        axes.imshow(fraction, cmap="Blues", vmin=0, vmax=1)
        for row in places:
            for column in places:
                colour = "white" if fraction[row, column] > DARK else "black"
                text = f"{matrix[row, column]}\n{fraction[row, column]:.0%}"
                axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=11)
        axes.set_xticks(places, names)
        axes.set_yticks(places, names)
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        axes.set_title(f"{title} (n = {matrix.sum()})", fontsize=11)
    return to_png(figure)


def table(result: Mapping[str, Any]) -> str:
    """The metrics of a run on general movements, by infant and by chunk, and the confusion matrix by infant."""
    names, simulated = result["classes"], result["simulated"]
    rows = [*ROWS, *((f"f1_{name}", f"F1 of {name}") for name in names)]
    lines = [
        "",
        f"{result['infants']} infants, {result['chunks']} chunks, predicted by folds that were not trained on them",
        f"{'':30} {'by infant':>9}   95 % interval    {'by chunk':>9}   95 % interval     majority  chance",
    ]
    for key, title in rows:
        cells = [
            f"{number(one['value'])}   {number(one['low'])} to {number(one['high'])}"
            for one in (result["by_infant"][key], result["by_chunk"][key])
        ]
        by_chance = "  ".join(number(result["references"][what][key]) for what in ("majority", "chance"))
        lines.append(f"{title:30}   {cells[0]}      {cells[1]}    {by_chance}")
    lines += ["", f"infants: {'':12}" + "".join(f"{f'predicted {name}':>16}" for name in names)]
    for name, counts in zip(names, result["confusion_by_infant"], strict=True):
        lines.append(f"{f'  true {name}':21}" + "".join(f"{count:>16}" for count in counts))
    if simulated:
        lines.append(SIMULATED)
    return "\n".join([*lines, ""])
