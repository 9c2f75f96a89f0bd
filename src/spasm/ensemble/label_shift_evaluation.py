"""Evaluate thresholds when new children have another prevalence than the children that they were chosen on.

Thresholds are chosen on the out-of-fold probabilities of known children and evaluated on those of other children, which
are subsampled to a prevalence.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from spasm.core.errors import DataError
from spasm.data.annotations import group_values
from spasm.ensemble import label_shift
from spasm.evaluation import metrics

PREVALENCES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)  # of the new children
KIND: Final = "expected"  # the rule by which every threshold here is chosen


class Split(NamedTuple):
    """Which of N segments are of known children and which of new ones; no child is in both."""

    name: str
    known: np.ndarray
    """(N,) bool"""
    new: np.ndarray
    """(N,) bool"""


class ShiftResult(NamedTuple):
    """One split at one prevalence; the fields are the columns of prevalence.csv."""

    prevalence: float
    """Prevalence of the new children."""
    split: str
    f1_fixed: float
    """F1 at the threshold chosen on the known children."""
    f1_adapted: float
    """F1 at the threshold for the prevalence estimated from the new children's probabilities."""
    f1_oracle: float
    """F1 at the threshold for the true prevalence."""
    followed: int
    """1 if the evidence was strong enough to follow the estimate, 0 if the fixed threshold was kept."""
    prevalence_estimated: float
    prevalence_low: float
    prevalence_high: float


def evaluate_label_shift(
    labels: np.ndarray, probabilities: np.ndarray, children: Sequence[str], splits: Iterable[Split], seed: int
) -> list[ShiftResult]:
    """Evaluate each split at each prevalence. Raises DataError if no split has both labels on both sides.

    labels (N,) of 0 and 1, cross-fitted probabilities (N,), children (N,); seed: for the subsampling.
    """
    child = np.array(children)
    results = []
    for number, split in enumerate(splits):
        if any(len(np.unique(labels[rows])) < 2 for rows in (split.known, split.new)):
            continue  # no threshold to choose, or none to evaluate
        generator = np.random.default_rng([seed, number])
        for prevalence in PREVALENCES:
            new = subsample_to_prevalence(labels, split.new, prevalence, generator)
            results.append(_evaluate(labels, probabilities, child, split, new, prevalence))
    if not results:
        raise DataError(
            "the data", "have no two groups of children with both labels each", "try another --group-column, or none"
        )
    return results


def random_halves(labels: np.ndarray, children: Sequence[str], splits: int, seed: int) -> Iterator[Split]:
    """Random halves of the children; both halves get children with many and with few positives."""
    child = np.array(children)
    names = np.unique(child)
    positives = np.array([labels[child == name].sum() for name in names])
    for number in range(splits):
        order = np.random.default_rng([seed, number]).random(len(names))
        ranked = names[np.lexsort((order, -positives))]
        pairs = [ranked[start : start + 2] for start in range(0, len(ranked), 2)]
        chosen = np.random.default_rng([seed, number, 1]).integers(0, 2, len(pairs))
        known = np.isin(child, [pair[at % len(pair)] for pair, at in zip(pairs, chosen, strict=True)])
        yield Split(str(number), known, ~known)


def group_splits(children: Sequence[str], groups: Mapping[str, Mapping[str, str]], column: str) -> Iterator[Split]:
    """The children of each value of a column of groups.csv as the known ones, the others as new.

    groups: the row of groups.csv of each child. Raises DataError if a child has no value.
    """
    value = group_values(groups, children, column)
    for known in np.unique(value):
        yield Split(f"{known} to others", value == known, value != known)


def subsample_to_prevalence(
    labels: np.ndarray, rows: np.ndarray, prevalence: float, generator: np.random.Generator
) -> np.ndarray:
    """The largest random subset of `rows` (N,) bool with this prevalence, as row numbers; one class stays complete."""
    spasms, rest = np.flatnonzero(rows & (labels == 1)), np.flatnonzero(rows & (labels == 0))
    kept = min(len(spasms), round(len(rest) * prevalence / (1 - prevalence)))
    others = min(len(rest), round(kept * (1 - prevalence) / prevalence))
    sampled = [generator.choice(spasms, kept, replace=False), generator.choice(rest, others, replace=False)]
    return np.sort(np.concatenate(sampled))


def _evaluate(
    labels: np.ndarray, probabilities: np.ndarray, child: np.ndarray, split: Split, new: np.ndarray, prevalence: float
) -> ShiftResult:
    """Evaluate one split on the new segments `new` (M,), row numbers subsampled to this prevalence."""
    known_labels, known_probabilities = labels[split.known], probabilities[split.known]
    estimate = label_shift.estimate(
        known_labels, known_probabilities, child[split.known], probabilities[new], child[new]
    )

    def f1(prevalence: float) -> float:
        threshold = label_shift.threshold_at(known_labels, known_probabilities, prevalence, KIND)
        value = metrics.point_metrics(labels[new], probabilities[new], probabilities[new] >= threshold)["f1"]
        return float("nan") if value is None else value

    fixed = f1(float(known_labels.mean()))
    adapted = fixed if estimate.thin else f1(estimate.prevalence)
    low, high = estimate.likelihood_interval
    return ShiftResult(
        prevalence, split.name, fixed, adapted, f1(prevalence), int(not estimate.thin), estimate.likelihood, low, high
    )


def summary_table(results: Sequence[ShiftResult]) -> str:
    """Means over splits, and the range of the gain by following the estimate, as a table for a terminal."""
    lines = [
        "",
        f"{'prevalence':>10}{'F1 fixed':>10}{'adapted':>10}{'known':>10}   adapted - fixed      followed  in interval",
    ]
    for prevalence in PREVALENCES:
        at_prevalence = [result for result in results if result.prevalence == prevalence]
        fixed, adapted, oracle, followed, _, low, high = (
            np.array(column, dtype=float) for column in list(zip(*at_prevalence, strict=True))[2:]
        )
        gain = adapted - fixed
        inside = np.mean((low <= prevalence) & (prevalence <= high))
        lines.append(
            f"{prevalence:10.2f}{np.nanmean(fixed):10.3f}{np.nanmean(adapted):10.3f}{np.nanmean(oracle):10.3f}   "
            f"{np.nanmean(gain):+.3f} ({np.nanmin(gain):+.3f} to {np.nanmax(gain):+.3f})"
            f"{np.mean(followed):9.2f}{inside:12.2f}"
        )
    return "\n".join([*lines, ""])
