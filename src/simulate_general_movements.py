"""Write a tree of SIMULATED general movements in three classes: videos, to try the two-stream network's own task.

Examples:
  python src/simulate_general_movements.py --out input/movements --infants-per-class 10 --seconds 20
  python src/extract_general_movements.py --data input/movements --mask pose
  python src/train_general_movements.py --data input/movements --run output/movements
"""

import functools
import sys
from pathlib import Path
from typing import Annotated

from spasm.cli import app, progress
from spasm.config.fields import Seed, Shown, settings, within
from spasm.core.text import shell_words
from spasm.data.formats.export import check_new_folder
from spasm.simulation.general_movements import write_tree


@settings
class SimulateGeneralMovements:
    """Flags of simulate_general_movements.py."""

    out: Path = Path("input/movements")
    """Folder to write; it must be new or empty."""
    infants_per_class: Annotated[int, within(2, 10_000)] = 10
    """Infants with writhing movements, with fidgety movements, and with a poor repertoire, each."""
    seconds: Annotated[float, within(5, 3600)] = 60.0
    """Length of each video."""
    workers: Annotated[int, within(0, 256), Shown(default="one per CPU core", advanced=True)] = 0
    """Infants simulated side by side. The files do not depend on it."""
    seed: Seed = 7
    """Seed: the same seed gives the same movements."""


def main(settings: SimulateGeneralMovements) -> int:
    check_new_folder(settings.out)
    watch = functools.partial(progress.progress, "simulate")
    write_tree(settings.out, settings.infants_per_class, settings.seconds, settings.seed, settings.workers, watch)
    print(f"SIMULATED data, seed {settings.seed}: no infant is real, and no result on it is about patients.")
    print(f"written: {settings.out}: WMs/, FMs/ and PR/ with {settings.infants_per_class} infants each")
    print(f"next:    python src/extract_general_movements.py {shell_words('--data', settings.out, '--mask', 'pose')}")
    return 0


if __name__ == "__main__":
    sys.exit(app.run(main, SimulateGeneralMovements, __doc__, stopped="nothing was written"))
