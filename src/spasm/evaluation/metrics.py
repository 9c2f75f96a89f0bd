"""Metrics of predictions for segments, with intervals from resampling children. For events see event_metrics.py."""

from collections.abc import Sequence

import numpy as np

from spasm.evaluation import bootstrap
from spasm.evaluation.bootstrap import Estimate

BLOCK = 50  # resamples computed at a time, so that memory stays small with many segments


def evaluate(
    labels: np.ndarray, probabilities: np.ndarray, positive: np.ndarray, children: Sequence[str], seed: int = 0
) -> dict[str, Estimate]:
    """Every metric of this project for N segments, each with a 95 % interval over children.

    labels: (N,) of 0 and 1; probabilities: (N,) in 0..1; positive: (N,) bool, the predicted labels.
    """
    point, replicates = cluster_bootstrap(labels, probabilities, positive, children, seed)
    return {name: bootstrap.interval(point[name], replicates[name], len(set(children))) for name in point}


def cluster_bootstrap(
    labels: np.ndarray, probabilities: np.ndarray, positive: np.ndarray, children: Sequence[str], seed: int = 0
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Every metric, and its replicates (RESAMPLES,) over resamples of the children; NaN: undefined.

    The same children and seed give the same resamples, so that models can be compared resample by resample.
    """
    child = bootstrap.number_children(children)
    resampled = bootstrap.sample_children(child.max() + 1, np.random.default_rng(seed))
    point = weighted_metrics(np.ones((1, len(labels))), labels, probabilities, positive)
    blocks = [
        weighted_metrics(bootstrap.weigh_rows(resampled[start : start + BLOCK], child), labels, probabilities, positive)
        for start in range(0, len(resampled), BLOCK)
    ]
    replicates = {name: np.concatenate([block[name] for block in blocks]) for name in point}
    return {name: float(value[0]) for name, value in point.items()}, replicates


def point_metrics(labels: np.ndarray, probabilities: np.ndarray, positive: np.ndarray) -> dict[str, float | None]:
    """The same metrics without intervals."""
    point = weighted_metrics(np.ones((1, len(labels))), labels, probabilities, positive)
    return {name: bootstrap.known(value[0]) for name, value in point.items()}


def weighted_metrics(
    weights: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, positive: np.ndarray
) -> dict[str, np.ndarray]:
    """Each metric (R,) under R weightings of the segments, weights (R, N); NaN: undefined."""
    is_spasm, called = labels == 1, np.asarray(positive, dtype=bool)
    total, spasms = weights.sum(1), weights[:, is_spasm].sum(1)
    hits, calls = weights[:, is_spasm & called].sum(1), weights[:, called].sum(1)
    rest = total - spasms
    auc, average_precision = _ranking(weights, is_spasm, probabilities)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "f1": 2 * hits / (calls + spasms),
            "sensitivity": hits / spasms,
            "specificity": (rest - calls + hits) / rest,
            "precision": hits / calls,
            "auc": auc,
            "average_precision": average_precision,
            "brier": weights @ (probabilities - labels) ** 2 / total,
            "prevalence": spasms / total,
            "always_positive_f1": 2 * spasms / (total + spasms),
        }


def _ranking(weights: np.ndarray, is_spasm: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Area under the ROC curve and average precision, (R,) each, of weighted segments. AUC counts a tie as half."""
    order = np.argsort(-probabilities, kind="stable")
    tie_starts = np.flatnonzero(np.diff(probabilities[order], prepend=np.inf))
    spasms = np.add.reduceat(weights[:, order] * is_spasm[order], tie_starts, axis=1)
    rest = np.add.reduceat(weights[:, order] * ~is_spasm[order], tie_starts, axis=1)
    hits, false_alarms = spasms.cumsum(1), rest.cumsum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        beaten = rest.sum(1, keepdims=True) - false_alarms + rest / 2
        auc = (spasms * beaten).sum(1) / (spasms.sum(1) * rest.sum(1))
        precision = np.nan_to_num(hits / (hits + false_alarms))
        average_precision = (spasms * precision).sum(1) / spasms.sum(1)
    return auc, average_precision


ROWS = (
    ("f1", "F1"),
    ("sensitivity", "sensitivity"),
    ("specificity", "specificity"),
    ("precision", "precision"),
    ("auc", "AUC"),
    ("average_precision", "average precision"),
    ("brier", "Brier score"),
    ("prevalence", "prevalence"),
    ("always_positive_f1", "F1 of always predicting positive"),
)
