"""Measure how gaps, jitter, roll, other frame rates and missing limbs change a run's metrics.

Every child is predicted by the fold that was not trained on it, from poses degraded in one way at a time. Weights,
calibration and threshold are those that the other folds chose on the original poses.

Examples:
  python src/robustness.py --run output/demo
  python src/robustness.py --run output/main --workers 4
"""

import functools
import sys
from pathlib import Path
from typing import Annotated

from spasm.cli import app, progress
from spasm.config.fields import ADVANCED, PER_CORE, settings, within
from spasm.config.runtime import Hardware, RunData
from spasm.core import files
from spasm.inference.robustness import COLUMNS, evaluate_robustness
from spasm.report import console
from spasm.report.robustness_plot import plot_robustness, robustness_table
from spasm.runs.artefacts import read_decision
from spasm.runs.folder import load_data, reopen_run


@settings
class Robustness(RunData):
    """Flags of robustness.py."""

    run: Path = Path("output/main")
    """Run folder to evaluate; robustness.csv and robustness.png are written there."""
    workers: Annotated[int, within(0, 256), PER_CORE] = 0
    """Folds scored side by side, one thread each."""
    hardware: Annotated[Hardware, ADVANCED] = Hardware()


def main(settings: Robustness) -> int:
    decision = read_decision(settings.run)
    files.check_writable(settings.run)
    data = load_data(settings.run, settings.data, settings.cache)
    bar = functools.partial(progress.progress, "scoring", unit="fold")
    rows = evaluate_robustness(reopen_run(settings.run, data), decision, settings.workers, settings.hardware, bar)
    files.write_csv(settings.run / "robustness.csv", COLUMNS, rows, files.TABLE_DIGITS)
    title = f"{len(data.names)} segments of {len(set(data.children))} children"
    files.write_bytes(settings.run / "robustness.png", plot_robustness(rows, title, data.simulated))
    print(console.data_summary(data))
    app.warn(data.findings)
    print(robustness_table(rows))
    print(f"written: {settings.run}/robustness.csv, robustness.png")
    return 0


if __name__ == "__main__":
    sys.exit(app.run(main, Robustness, __doc__))
