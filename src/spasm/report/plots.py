"""What all plots share: how a figure of matplotlib becomes a PNG.

Figures are made as `matplotlib.figure.Figure`, not by pyplot: they need no screen, no choice of a backend, and are
gone when nobody refers to them any more.
"""

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def to_png(figure: "Figure", dpi: int = 120, **options: Any) -> bytes:
    """The figure as PNG, without matplotlib's version in it; options: further ones of `Figure.savefig`."""
    with io.BytesIO() as content:
        figure.savefig(content, format="png", dpi=dpi, metadata={"Software": None}, **options)
        return content.getvalue()
