"""How a run's models and their blend stand gaps, jitter, roll, other frame rates and missing limbs.

Every child is predicted by the fold that never saw it, from poses made worse in one way at a time; weights, calibration
and threshold are those the other folds chose on poses as they were.

Example: python src/robustness.py --run output/main
"""

import functools
import sys
from pathlib import Path
from typing import Annotated

from spasm.cli import app, progress
from spasm.config.fields import settings, within
from spasm.config.runtime import Hardware, RunData
from spasm.core import files
from spasm.data.dataset import load_training
from spasm.inference.robustness import COLUMNS, evaluate_robustness
from spasm.report import console
from spasm.report.robustness_plot import plot_robustness, robustness_table
from spasm.runs.artefacts import read_decision, read_run_info
from spasm.runs.folder import reopen_run


@settings
class Robustness(RunData):
    """Flags of robustness.py."""

    run: Path = Path("output/main")
    """Run folder to evaluate; robustness.csv and robustness.png are written there."""
    workers: Annotated[int, within(0, 256)] = 0
    """Folds scored side by side, one thread each; 0 means one per CPU core."""
    hardware: Hardware = Hardware()


def main(settings: Robustness) -> int:
    decision = read_decision(settings.run)
    info = read_run_info(settings.run)
    files.check_writable(settings.run)
    data = load_training(settings.data or Path(info.data.path), info.frames, "safe", settings.cache)
    bar = functools.partial(progress.progress, "scoring", unit="fold")
    rows = evaluate_robustness(reopen_run(settings.run, data), decision, settings.workers, settings.hardware, bar)
    files.write_csv(settings.run / "robustness.csv", COLUMNS, rows, files.TABLE_DIGITS)
    title = f"{len(data.names)} segments of {len(set(data.children))} children"
    files.write_bytes(settings.run / "robustness.png", plot_robustness(rows, title, data.simulated))
    print(console.data_summary(data))
    print(robustness_table(rows))
    print(f"written: {settings.run}/robustness.csv, robustness.png")
    return 0


if __name__ == "__main__":
    sys.exit(app.run(main, Robustness, __doc__))
