"""Settings of what computes, and of where a run's data lies."""

from pathlib import Path
from typing import Annotated, Literal

from spasm.config.fields import settings, within

MaxPlayers = Annotated[int, within(1, 100_000)]


@settings
class Hardware:
    """What computes."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the networks run; auto takes a GPU when there is one."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the convolutions; auto takes bfloat16 where the hardware multiplies it."""


@settings
class RunData:
    """Flags of scripts that open a run with the data it was trained on."""

    data: Path | None = None
    """Folder of the training data, if it has moved since the run was made."""
    cache: Path = Path("output/cache")
    """Folder for the checked poses and features; may be deleted at any time."""
