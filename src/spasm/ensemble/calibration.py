"""Calibration: from out-of-fold scores to one probability per segment."""

import math

import numpy as np

PRIOR_WEIGHT = 2.0  # weight of the prevalence, in segments, in the log-odds of segments without a pose
LINE_PRIOR = 1.0  # inverse variance of a calibration's slope: half a nat for a slope of 0 or 2
# Fraction of the variance of logits within a class by which the models of five folds differ on the same new segments.
# Measured on simulated infants and on halves of Kinder-Gator: LightGBM 0.06 to 0.19, random convolutions 0.17 to 0.34.
FOLD_VARIANCE = 0.2


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
    smoothed = (poseless.sum() + PRIOR_WEIGHT * prevalence) / (len(poseless) + PRIOR_WEIGHT)
    return math.log(smoothed / (1 - smoothed))


def fit_calibration(scores: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Slope and offset that calibrate log-odds (N,), after Platt 1999; the slope has prior mean 1 and minimum 0."""
    slope, offset = fit_logistic(np.asarray(scores)[:, None], labels, np.ones(1), LINE_PRIOR)
    if slope < 0:  # worse than chance on these rows; a negative slope would not hold on others
        return 0.0, float(logit(labels.mean()))
    return float(slope), float(offset)


def calibration_of_averages(calibration: tuple[float, float], folds: int, labels: np.ndarray) -> tuple[float, float]:
    """Slope and offset for means over folds, from those for single folds; labels: (N,) that they were fitted on.

    Averaging removes most of what the folds differ by. For normal scores the slope is inverse to the variance within
    the classes, so it becomes steeper around the log-odds of the prevalence.
    """
    steeper = 1 / (1 - (1 - 1 / folds) * FOLD_VARIANCE)
    slope, offset = calibration
    prior = float(logit(labels.mean()))
    return steeper * slope, steeper * (offset - prior) + prior


def fit_logistic(values: np.ndarray, labels: np.ndarray, expected: np.ndarray, prior: float) -> np.ndarray:
    """Coefficients (D + 1,) of a logistic regression on values (N, D), the intercept last, by Newton's method.

    The coefficients have a normal prior with mean `expected` (D,) and variance 1 / prior, so they stay near it with few
    segments or with values that hardly differ. The targets are Platt's, slightly inside 0 and 1, so that few segments
    do not give a probability of 0 or 1.
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
        fitted -= step / max(1.0, np.abs(step).max())  # a full step can overshoot where the curve is flat
        if np.abs(step).max() < 1e-9:
            break
    return np.append(fitted[:-1], fitted[-1] - fitted[:-1] @ centre)
