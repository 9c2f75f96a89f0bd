"""Evaluate the ways to choose a threshold where new children have another fraction of positives.

Thresholds are chosen on the out-of-fold probabilities of one half of the children. The other half, thinned to a given
fraction of positives, stands for new children. With --group-column COLUMN the two halves have different values in that
column of groups.csv, such as two cohorts. Then the positives and the negatives differ too, and no method that estimates
the fraction from the probabilities can be right.

Examples:
  python src/evaluate_label_shift.py --run output/demo
  python src/evaluate_label_shift.py --run output/main --group-column cohort
"""

import sys
from pathlib import Path
from typing import Annotated

from spasm.cli import app
from spasm.config.fields import ADVANCED, Seed, Shown, settings, within
from spasm.config.runtime import RunData
from spasm.core import files
from spasm.core.errors import DataError
from spasm.ensemble import label_shift_evaluation
from spasm.report import console
from spasm.runs.artefacts import rebuild_hint
from spasm.runs.folder import load_data
from spasm.runs.oof_table import read_oof


@settings
class EvaluateLabelShift(RunData):
    """Flags of evaluate_label_shift.py."""

    run: Path = Path("output/main")
    """Run folder to evaluate; prevalence.csv is written there."""
    group_column: Annotated[str, Shown(value="NAME", default="none; the halves are random")] = ""
    """Column of groups.csv in whose value known and new children differ."""
    splits: Annotated[int, within(1, 10_000)] = 40
    """Number of random halves."""
    split_seed: Annotated[Seed, ADVANCED] = 0
    """Seed of the halves and of the thinning."""


def main(settings: EvaluateLabelShift) -> int:
    oof = read_oof(settings.run)
    files.check_writable(settings.run)
    data = load_data(settings.run, settings.data, settings.cache)
    if list(oof.names) != list(data.names):
        raise DataError(settings.run / "oof.csv", "is not of these segments", rebuild_hint(settings.run))
    seed, column = settings.split_seed, settings.group_column
    splits = label_shift_evaluation.random_halves(data.labels, data.children, settings.splits, seed)
    if column:
        splits = label_shift_evaluation.group_splits(data.children, data.groups, column)
    results = label_shift_evaluation.evaluate_label_shift(data.labels, oof.probabilities, data.children, splits, seed)
    columns = label_shift_evaluation.ShiftResult._fields
    files.write_csv(settings.run / "prevalence.csv", columns, results, files.TABLE_DIGITS)
    print(console.data_summary(data))
    app.warn(data.findings)
    print(label_shift_evaluation.summary_table(results))
    print(f"written: {settings.run}/prevalence.csv")
    return 0


if __name__ == "__main__":
    sys.exit(app.run(main, EvaluateLabelShift, __doc__))
