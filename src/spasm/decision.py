"""From out-of-fold scores to a decision: one probability per segment, and the threshold that makes it a label."""

import math

import numpy as np

PRIOR_WEIGHT = 2.0  # segments' worth of prevalence mixed into the log-odds of segments without a pose
LINE_PRIOR = 1.0  # inverse variance of a calibration's slope: half a nat for a slope of 0 or 2
TIE = 1e-11  # relative; F1 values of 100,000 segments differ by more, rounding of the weights' sums by less


def probability(logits: np.ndarray) -> np.ndarray:
    """Log-odds to probability, without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * np.asarray(logits, dtype=np.float64)))


def logit(probabilities: np.ndarray) -> np.ndarray:
    """Probability to log-odds; 0 and 1 become about -23 and 23."""
    clipped = np.clip(np.asarray(probabilities, dtype=np.float64), 1e-10, 1 - 1e-10)
    return np.log(clipped) - np.log1p(-clipped)


def logit_without_pose(labels: np.ndarray, has_pose: np.ndarray) -> float:
    """Log-odds of a positive among training segments without any pose, smoothed towards the prevalence of all."""
    prevalence = (labels.sum() + 0.5) / (len(labels) + 1)
    poseless = labels[~has_pose]
    share = (poseless.sum() + PRIOR_WEIGHT * prevalence) / (len(poseless) + PRIOR_WEIGHT)
    return math.log(share / (1 - share))


def fit_line(scores: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Slope and offset that calibrate log-odds (N,), after Platt 1999; the slope is expected at 1 and never below 0."""
    slope, offset = fit_logistic(np.asarray(scores)[:, None], labels, np.ones(1), LINE_PRIOR)
    if slope < 0:  # worse than chance on these rows; turned round it would be worse on others
        return 0.0, float(logit(labels.mean()))
    return float(slope), float(offset)


def fit_logistic(values: np.ndarray, labels: np.ndarray, expected: np.ndarray, prior: float) -> np.ndarray:
    """Coefficients (D + 1,) of a logistic regression on values (N, D), the intercept last, by Newton's method.

    Coefficients are drawn towards `expected` (D,) as by a normal prior with variance 1 / prior: few segments, or
    values that hardly differ, leave them there. The targets are Platt's, a little inside 0 and 1, so that few segments
    do not make an answer certain.
    """
    positives, count = labels.sum(), len(labels)
    target = np.where(labels == 1, (positives + 1) / (positives + 2), 1 / (count - positives + 2))
    centre = values.mean(0)
    design = np.column_stack([values - centre, np.ones(count)])
    start = np.append(expected, math.log((positives + 1) / (count - positives + 1)))
    pull = np.append(np.full(len(expected), prior), 1e-9)
    fitted = start.copy()
    for _ in range(100):
        current = probability(design @ fitted)
        gradient = design.T @ (current - target) + pull * (fitted - start)
        curvature = (design * (current * (1 - current))[:, None]).T @ design + np.diag(pull)
        step = np.linalg.solve(curvature, gradient)
        fitted -= step / max(1.0, np.abs(step).max())  # a full step can leap past flat ends of the curve
        if np.abs(step).max() < 1e-9:
            break
    return np.append(fitted[:-1], fitted[-1] - fitted[:-1] @ centre)


def best_threshold(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray | None = None) -> float:
    """The threshold with the highest F1 on weighted rows; a probability equal to it is positive. labels: (N,) in 0..1.

    It lies midway between two neighbouring probabilities, so that it stands for the gap and not for one segment.
    Of several equally good ones it is the middle one.
    """
    weights = np.ones(len(labels)) if weights is None else weights
    order = np.argsort(-probabilities, kind="stable")
    ranked = probabilities[order]
    hits = np.cumsum((weights * labels)[order])
    called = np.cumsum(weights[order])
    f1 = 2 * hits / np.maximum(called + hits[-1], np.finfo(float).tiny)  # rows without weight are 0 / 0
    lower = np.append(ranked[1:], 0.0)
    f1[:-1][lower[:-1] == ranked[:-1]] = -1  # a threshold cannot part equal probabilities
    best = np.flatnonzero(f1 >= f1.max() * (1 - TIE))
    chosen = best[len(best) // 2]
    middle = (ranked[chosen] + lower[chosen]) / 2
    return float(middle if middle > lower[chosen] else ranked[chosen])  # neighbouring floats have no middle


def expected_threshold(probabilities: np.ndarray, weights: np.ndarray | None = None) -> float:
    """The threshold with the highest F1 to be expected where the probabilities are true, as calibrated ones nearly are.

    It asks no label, so that the luck of a few segments near the threshold does not move it. The expectation is of hits
    and calls apart, which for many segments is that of their ratio (Lipton et al. 2014, arXiv 1402.1892).
    """
    return best_threshold(probabilities, probabilities, weights)


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
