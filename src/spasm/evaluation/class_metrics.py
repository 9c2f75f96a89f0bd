"""Metrics of predictions in several classes, by confusion matrices, with intervals from resampling infants.

As in the publication of the two-stream network (Hashimoto et al. 2022, arXiv 2207.03344): accuracy, precision, recall
and F1 as means over classes, MCC (Gorodkin 2004, Computational Biology and Chemistry 28:367) and Cohen's kappa.
"""

from collections.abc import Sequence

import numpy as np

from spasm.evaluation import bootstrap
from spasm.evaluation.bootstrap import Estimate

ROWS = (
    ("accuracy", "accuracy"),
    ("macro_precision", "precision, mean over classes"),
    ("macro_recall", "recall, mean over classes"),
    ("macro_f1", "F1, mean over classes"),
    ("mcc", "MCC"),
    ("kappa", "kappa"),
)


def confusion(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts (C, C) int64: true classes are rows, predicted ones columns."""
    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def evaluate(
    labels: np.ndarray, predicted: np.ndarray, children: Sequence[str], names: Sequence[str], seed: int = 0
) -> dict[str, Estimate]:
    """Every metric of N predictions, each with a 95 % interval over infants.

    labels and predicted: (N,) numbers of classes; children: (N,), the infant of each; names: of the classes.
    """
    child = bootstrap.number_children(children)
    count, classes = child.max() + 1, len(names)
    of_child = np.zeros((count, classes, classes))
    np.add.at(of_child, (child, labels, predicted), 1)
    resampled = bootstrap.sample_children(count, np.random.default_rng(seed))
    every = np.concatenate([np.ones((1, count)), resampled])
    values = matrix_metrics(np.tensordot(every, of_child, axes=1), names)
    return {name: bootstrap.interval(value[0], value[1:], count) for name, value in values.items()}


def references(labels: np.ndarray, names: Sequence[str]) -> dict[str, dict[str, float | None]]:
    """What needs no picture: the commonest class for all, and classes by chance, as often as they are.

    By chance: the metrics of the confusion matrix that is expected.
    """
    counts = np.bincount(labels, minlength=len(names)).astype(float)
    majority = np.zeros((len(names), len(names)))
    majority[:, int(counts.argmax())] = counts
    by_chance = np.outer(counts, counts) / counts.sum()
    return {
        what: {name: bootstrap.known(value[0]) for name, value in matrix_metrics(matrix[None], names).items()}
        for what, matrix in (("majority", majority), ("chance", by_chance))
    }


def matrix_metrics(matrices: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Each metric (R,) of confusion matrices (R, C, C).

    A class that is never predicted has a precision of 0, as in scikit-learn. A class without any true or predicted one
    is left out of the means; its own F1 is NaN. MCC is 0 and kappa NaN where one class alone is true or predicted.
    """
    total = matrices.sum((1, 2))
    hits = np.diagonal(matrices, axis1=1, axis2=2)
    true, called = matrices.sum(2), matrices.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        f1 = 2 * hits / (true + called)
        there = true + called > 0
        recall = np.where(there, np.where(true > 0, hits / true, 0), np.nan)
        precision = np.where(there, np.where(called > 0, hits / called, 0), np.nan)
        agreed, expected = hits.sum(1) * total, (true * called).sum(1)
        spread = np.sqrt((total**2 - (called**2).sum(1)) * (total**2 - (true**2).sum(1)))
        mcc = np.where(spread > 0, (agreed - expected) / spread, 0)
        kappa = (agreed - expected) / (total**2 - expected)
        values = {
            "accuracy": hits.sum(1) / total,
            "macro_precision": _mean_over_classes(precision),
            "macro_recall": _mean_over_classes(recall),
            "macro_f1": _mean_over_classes(f1),
            "mcc": mcc,
            "kappa": kappa,
        }
    return values | {f"f1_{name}": f1[:, number] for number, name in enumerate(names)}


def _mean_over_classes(values: np.ndarray) -> np.ndarray:
    """The mean (R,) of values (R, C) without NaN."""
    there = np.isfinite(values)
    return np.where(there, values, 0).sum(1) / np.maximum(there.sum(1), 1)
