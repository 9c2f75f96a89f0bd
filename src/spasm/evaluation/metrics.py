"""How good the answers are, with intervals from resampling children.

Segments of a child resemble each other, so the child is what is drawn (the cluster bootstrap). Events in recordings are
judged by any overlap, see `compare_events`.
"""

from collections.abc import Sequence

import numpy as np

from spasm.evaluation.bootstrap import RESAMPLES, Estimate, _known, estimate

BLOCK = 50  # resamples worked out at a time, so that memory stays flat with many segments


def evaluate(
    labels: np.ndarray, probabilities: np.ndarray, positive: np.ndarray, children: Sequence[str], seed: int = 0
) -> dict[str, Estimate]:
    """Every figure of this project for N segments, each with a 95 % interval over children.

    labels: (N,) of 0 and 1; probabilities: (N,) in 0..1; positive: (N,) bool, the answer.
    """
    once, drawn = cluster_bootstrap(labels, probabilities, positive, children, seed)
    return {name: estimate(once[name], drawn[name]) for name in once}


def cluster_bootstrap(
    labels: np.ndarray, probabilities: np.ndarray, positive: np.ndarray, children: Sequence[str], seed: int = 0
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Every figure, and its values (RESAMPLES,) when children are drawn anew; NaN where it does not exist.

    The same children and seed give the same draws, so that differences between answers can be taken draw by draw.
    """
    child = np.unique(np.asarray(children), return_inverse=True)[1]
    generator = np.random.default_rng(seed)
    count = child.max() + 1
    draws = generator.multinomial(count, np.full(count, 1 / count), RESAMPLES)  # how often each child is drawn
    once = _figures(np.ones((1, len(labels))), labels, probabilities, positive)
    blocks = [
        _figures(draws[start : start + BLOCK][:, child].astype(float), labels, probabilities, positive)
        for start in range(0, RESAMPLES, BLOCK)
    ]
    drawn = {name: np.concatenate([block[name] for block in blocks]) for name in once}
    return {name: float(value[0]) for name, value in once.items()}, drawn


def figures(labels: np.ndarray, probabilities: np.ndarray, positive: np.ndarray) -> dict[str, float | None]:
    """The same figures without intervals."""
    once = _figures(np.ones((1, len(labels))), labels, probabilities, positive)
    return {name: _known(value[0]) for name, value in once.items()}


def _figures(
    weights: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, positive: np.ndarray
) -> dict[str, np.ndarray]:
    """Each figure (R,) under R weightings of the segments, weights (R, N); NaN where it does not exist."""
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
    """Area under the ROC curve and average precision, (R,) each, of weighted segments; ties count half or at once."""
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
    ("always_positive_f1", "F1 of always answering positive"),
)
