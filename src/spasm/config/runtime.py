"""Settings of what computes, and of where a run's data lies."""

from pathlib import Path
from typing import Annotated, Literal

from spasm.config.fields import ADVANCED, Probability, Shown, settings, within

MaxPlayers = Annotated[int, within(1, 100_000), ADVANCED]
Cache = Annotated[Path, ADVANCED]
Abstain = Annotated[Probability, ADVANCED]
Cluster = Annotated[str, Shown(value="WHERE", default="none", advanced=True)]
"""Where tasks run: local:N, tcp://HOST:PORT or tls://HOST:PORT of a scheduler of Dask, or FILE.json that it wrote."""
ABSTAIN: Probability = 0.2
"""Default of --abstain: with less, predictions are no better than the prevalence (docs/experiments.md)."""


@settings
class Hardware:
    """What computes."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device of the networks and of rocket's ridge; auto uses a GPU where there is one."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of the convolutions; auto uses bfloat16 where the hardware supports it."""


@settings
class ExportedNetwork:
    """Flags of scripts that export a run's network."""

    run: Path = Path("output/main")
    """Trained run, with stgcn_mil among its models."""
    evaluate_on: Annotated[Path | None, Shown(default="the run's out-of-fold predictions")] = None
    """Data folder with labelled segments that the run was not trained on, or simulated ones with test/ and truth.csv:
    the network is evaluated and compared with the blend on these."""
    compare_with: Annotated[Path | None, Shown(default="the run itself")] = None
    """Run of the same data whose blend of models the network is compared with, if its own run holds the network
    alone."""


@settings
class RunData:
    """Flags of scripts that open a run with the data it was trained on."""

    data: Annotated[Path | None, Shown(default="where it was when the run was made")] = None
    """Folder of the training data, if it has moved."""
    cache: Cache = Path("output/cache")
    """Folder for the checked poses and features; it may be deleted at any time."""
