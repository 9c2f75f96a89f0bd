"""The threshold that turns probabilities into labels."""

import numpy as np

TIE = 1e-11  # relative; F1 values of 100,000 segments differ by more, rounding errors of the sums are smaller


def best_threshold(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray | None = None) -> float:
    """The threshold with the highest F1 on weighted rows; a probability equal to it is positive. labels: (N,) in 0..1.

    It lies midway between two neighbouring probabilities, so that it does not depend on one segment alone.
    Of several equally good thresholds the middle one is taken.
    """
    weights = np.ones(len(labels)) if weights is None else weights
    order = np.argsort(-probabilities, kind="stable")
    ranked = probabilities[order]
    hits = np.cumsum((weights * labels)[order])
    called = np.cumsum(weights[order])
    f1 = 2 * hits / np.maximum(called + hits[-1], np.finfo(float).tiny)  # rows without weight are 0 / 0
    lower = np.append(ranked[1:], 0.0)
    f1[:-1][lower[:-1] == ranked[:-1]] = -1  # a threshold cannot separate equal probabilities
    best = np.flatnonzero(f1 >= f1.max() * (1 - TIE))
    chosen = best[len(best) // 2]
    middle = (ranked[chosen] + lower[chosen]) / 2
    return float(middle if middle > lower[chosen] else ranked[chosen])  # there is no float between neighbours


def expected_threshold(probabilities: np.ndarray, weights: np.ndarray | None = None) -> float:
    """The threshold with the highest expected F1, if the probabilities are true, as calibrated ones nearly are.

    It uses probabilities only, not labels, so a few segments near the threshold cannot shift it. The expectations of
    hits and calls are taken separately; for many segments their ratio is the expected F1 (Lipton et al. 2014, arXiv
    1402.1892).
    """
    return best_threshold(probabilities, probabilities, weights)


def cross_fitted(labels: np.ndarray, probabilities: np.ndarray, fold_of: np.ndarray) -> tuple[np.ndarray, list[float]]:
    """Labels (N,) bool, each fold at the threshold chosen on the other folds; and those thresholds."""
    positive = np.zeros(len(labels), dtype=bool)
    thresholds = []
    for fold in np.unique(fold_of):
        scored = fold_of == fold
        threshold = best_threshold(labels[~scored], probabilities[~scored])
        positive[scored] = probabilities[scored] >= threshold
        thresholds.append(threshold)
    return positive, thresholds
