"""Draw a run's out-of-fold answers anew at other shares of positives, and judge the ways to choose a threshold.

Half of the children are known: thresholds are chosen on their answers. The other half, thinned to a share of positives,
stand for new children. With --group-column COLUMN the known ones are all of one value of that column of groups.csv,
such as a cohort, and the new ones all of another: then positives and negatives change themselves, and no method that
reads the share from the answers can be right.

Example: python src/evaluate_label_shift.py --run output/main
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import numpy as np

from spasm.cli import app
from spasm.config.fields import Seed, settings, within
from spasm.config.runtime import RunData
from spasm.core import files
from spasm.core.errors import DataError
from spasm.core.tables import read_table
from spasm.data.dataset import TrainingData, load_training
from spasm.ensemble import label_shift
from spasm.evaluation import metrics
from spasm.report import console
from spasm.runs.run import read_run


@settings
class ShiftPrevalence(RunData):
    """Flags of evaluate_label_shift.py."""

    run: Path = Path("output/main")
    """Run folder to judge; prevalence.csv is written there."""
    group_column: str = ""
    """Column of groups.csv: known and new children differ in its value; otherwise they are random halves."""
    splits: Annotated[int, within(1, 10_000)] = 40
    """Random halves to try."""
    split_seed: Seed = 0
    """Seed of the halves and of what is drawn from them."""


SHARES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
KIND: Final = "expected"  # the rule by which every threshold here is chosen
COLUMNS = (
    "prevalence", "split", "f1_fixed", "f1_adapted", "f1_oracle", "followed", "prevalence_estimated", "prevalence_low",
    "prevalence_high",
)  # fmt: skip


def main(settings: ShiftPrevalence) -> int:
    made = read_run(settings.run)
    data = load_training(settings.data or Path(made["data"]["path"]), made["frames"], "safe", settings.cache)
    table = read_table(settings.run / "oof.csv", ("segment_name", "cross_fitted"))
    if [row["segment_name"] for row in table] != list(data.names):
        raise DataError(settings.run / "oof.csv", "is not of these segments", "run src/blend.py again")
    probabilities = np.array([float(row["cross_fitted"]) for row in table])
    judged = []
    for number, (name, known, new) in enumerate(splits(data, settings)):
        if any(len(np.unique(data.labels[rows])) < 2 for rows in (known, new)):
            continue  # no threshold to choose, or none to judge
        generator = np.random.default_rng([settings.split_seed, number])
        judged += [
            (
                share,
                name,
                *judge(data, probabilities, known, subsample_to_prevalence(data.labels, new, share, generator), share),
            )
            for share in SHARES
        ]
    if not judged:
        raise DataError(
            "the data", "have no two groups of children with both labels each", "try another --group-column, or none"
        )
    files.write_csv(settings.run / "prevalence.csv", COLUMNS, judged)
    print(console.data_summary(data))
    print(text(judged))
    print(f"written: {settings.run}/prevalence.csv")
    return 0


def splits(data: TrainingData, settings: ShiftPrevalence) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """A name, and which segments (N,) bool are known and which are new; never any of the same child in both."""
    child = np.array(data.children)
    if settings.group_column:
        value = np.array([data.groups.get(name, {}).get(settings.group_column, "") for name in child])
        if "" in value:
            reason = f"child {child[value == ''][0]} has no {settings.group_column}"
            raise DataError("groups.csv", reason, "name a column that all children have")
        for known in np.unique(value):
            yield f"{known} to others", value == known, value != known
        return
    for number in range(settings.splits):
        names = np.unique(child)
        # Children with many and with few positives fall into both halves.
        order = np.random.default_rng([settings.split_seed, number]).random(len(names))
        positives = np.array([data.labels[child == name].sum() for name in names])
        ranked = names[np.lexsort((order, -positives))]
        pairs = [ranked[start : start + 2] for start in range(0, len(ranked), 2)]
        chosen = np.random.default_rng([settings.split_seed, number, 1]).integers(0, 2, len(pairs))
        known = np.isin(child, [pair[at % len(pair)] for pair, at in zip(pairs, chosen, strict=True)])
        yield str(number), known, ~known


def subsample_to_prevalence(
    labels: np.ndarray, rows: np.ndarray, share: float, generator: np.random.Generator
) -> np.ndarray:
    """Row numbers of as many of `rows` (N,) bool as leave this share of positives; only one class loses any."""
    spasms, rest = np.flatnonzero(rows & (labels == 1)), np.flatnonzero(rows & (labels == 0))
    kept = min(len(spasms), round(len(rest) * share / (1 - share)))
    others = min(len(rest), round(kept * (1 - share) / share))
    drawn = [generator.choice(spasms, kept, replace=False), generator.choice(rest, others, replace=False)]
    return np.sort(np.concatenate(drawn))


def judge(data: TrainingData, probabilities: np.ndarray, known: np.ndarray, new: np.ndarray, share: float) -> tuple:
    """F1 at the fixed threshold, the adapted one, and the one for the share if it were known; and the estimate."""
    child = np.array(data.children)
    labels, probabilities = data.labels[known], probabilities[known]
    estimate = label_shift.estimate(labels, probabilities, child[known], probabilities[new], child[new])

    def f1(wanted: float) -> float:
        threshold = label_shift.threshold_at(labels, probabilities, wanted, KIND)
        value = metrics.figures(data.labels[new], probabilities[new], probabilities[new] >= threshold)["f1"]
        return float("nan") if value is None else value

    fixed = f1(float(labels.mean()))
    adapted = fixed if estimate.thin else f1(estimate.prevalence)
    low, high = estimate.likelihood_interval
    return fixed, adapted, f1(share), int(not estimate.thin), estimate.likelihood, low, high


def text(judged: list[tuple]) -> str:
    """Means over splits, and the worst that following the estimate cost or gained."""
    lines = [
        "",
        f"{'share':>6}{'F1 fixed':>10}{'adapted':>10}{'known':>10}   adapted - fixed      followed  in interval",
    ]
    for share in SHARES:
        rows = [row for row in judged if row[0] == share]
        fixed, adapted, known, followed, _, low, high = (
            np.array(column, dtype=float) for column in list(zip(*rows, strict=True))[2:]
        )
        gain = adapted - fixed
        inside = np.mean((low <= share) & (share <= high))
        lines.append(
            f"{share:6.2f}{np.nanmean(fixed):10.3f}{np.nanmean(adapted):10.3f}{np.nanmean(known):10.3f}   "
            f"{np.nanmean(gain):+.3f} ({np.nanmin(gain):+.3f} to {np.nanmax(gain):+.3f})"
            f"{np.mean(followed):9.2f}{inside:12.2f}"
        )
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    sys.exit(app.run(main, ShiftPrevalence, __doc__))
