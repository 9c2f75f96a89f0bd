"""From out-of-fold scores to a decision: one probability per segment, and the threshold that makes it a label."""

import numpy as np


def probability(logits: np.ndarray) -> np.ndarray:
    """Log-odds to probability, without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * np.asarray(logits, dtype=np.float64)))


def best_threshold(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The threshold with the highest F1; a probability equal to it is positive.

    It lies midway between two neighbouring probabilities, so that it stands for the gap and not for one segment.
    Of several equally good ones it is the middle one.
    """
    order = np.argsort(-probabilities, kind="stable")
    ranked = probabilities[order]
    hits = np.cumsum(labels[order])
    f1 = 2 * hits / (np.arange(1, len(ranked) + 1) + labels.sum())
    lower = np.append(ranked[1:], 0.0)
    f1[:-1][lower[:-1] == ranked[:-1]] = -1  # a threshold cannot part equal probabilities
    best = np.flatnonzero(f1 == f1.max())
    chosen = best[len(best) // 2]
    middle = (ranked[chosen] + lower[chosen]) / 2
    return float(middle if middle > lower[chosen] else ranked[chosen])  # neighbouring floats have no middle


def cross_fitted(labels: np.ndarray, probabilities: np.ndarray, fold_of: np.ndarray) -> tuple[np.ndarray, list[float]]:
    """Answers (N,) bool in which each fold is judged at the threshold chosen on the other folds; those thresholds."""
    positive = np.zeros(len(labels), dtype=bool)
    thresholds = []
    for fold in np.unique(fold_of):
        scored = fold_of == fold
        threshold = best_threshold(labels[~scored], probabilities[~scored])
        positive[scored] = probabilities[scored] >= threshold
        thresholds.append(threshold)
    return positive, thresholds
