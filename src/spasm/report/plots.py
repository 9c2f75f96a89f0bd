"""What all plots share: their width, the mark of simulated data, and how a figure of matplotlib becomes a PNG.

Figures are made as `matplotlib.figure.Figure`, not by pyplot: they need no screen and no choice of a backend, and they
are freed when no reference to them is left.
"""

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH_IN = 8.0
"""Of a figure: matplotlib's text of 10 points is then 11 pixels high where the figure is 640 pixels wide."""


def stamp_simulated(figure: "Figure", simulated: bool) -> None:
    """Write SIMULATED DATA above a figure of simulated children."""
    if simulated:
        figure.suptitle("SIMULATED DATA", color="#a02010", fontweight="bold", fontsize=11)


def to_png(figure: "Figure", dpi: int = 120, **options: Any) -> bytes:
    """The figure as PNG, without matplotlib's version in it; options: further ones of `Figure.savefig`."""
    with io.BytesIO() as content:
        figure.savefig(content, format="png", dpi=dpi, metadata={"Software": None}, **options)
        return content.getvalue()
