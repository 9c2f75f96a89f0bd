"""Metrics of predictions for segments, with intervals from resampling children. For events see event_metrics.py."""

from collections.abc import Sequence

import numpy as np

from spasm.evaluation import bootstrap
from spasm.evaluation.bootstrap import Estimate

BLOCK = 50  # resamples computed at a time, so that memory stays small with many segments
STEPS = 30  # of Newton's method for the slope and offset; it needs about 8
PRECISION = 1e-6  # of slope and offset


def evaluate(
    labels: np.ndarray,
    probabilities: np.ndarray,
    positive: np.ndarray,
    children: Sequence[str],
    fold_of: np.ndarray | None = None,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Every metric of this project for N segments, each with a 95 % interval over children.

    labels: (N,) of 0 and 1; probabilities: (N,) in 0..1; positive: (N,) bool, the predicted labels; children: (N,).
    fold_of: (N,), the fold whose model gave each probability; None: one model or ensemble gave all of them.
    """
    point, replicates = cluster_bootstrap(labels, probabilities, positive, children, fold_of, seed)
    count = len(set(children))
    return {name: bootstrap.interval(point[name], replicates[name], count) for name in point}


def cluster_bootstrap(
    labels: np.ndarray,
    probabilities: np.ndarray,
    positive: np.ndarray,
    children: Sequence[str],
    fold_of: np.ndarray | None = None,
    seed: int = 0,
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Every metric, and its replicates (RESAMPLES,) over resamples of the children; NaN: undefined.

    The same children and seed give the same resamples, so that models can be compared resample by resample.
    """
    child = bootstrap.number_children(children)
    resampled = bootstrap.sample_children(child.max() + 1, np.random.default_rng(seed))
    counts = np.concatenate([np.ones((1, child.max() + 1)), resampled])
    values = weighted_metrics(counts, labels, probabilities, positive, child, fold_of)
    return {name: float(value[0]) for name, value in values.items()}, {
        name: value[1:] for name, value in values.items()
    }


def calibration(
    labels: np.ndarray, probabilities: np.ndarray, children: Sequence[str], seed: int = 0
) -> dict[str, Estimate]:
    """Slope and offset that the log-odds of N segments still need, each with an interval over children.

    1 and 0 if calibrated; a slope above 1 means that the probabilities are too cautious (Cox 1958, Biometrika 45:562).
    None where no finite slope is the best: one class, equal probabilities, or classes that a threshold separates.
    """
    point, replicates = calibration_replicates(labels, probabilities, children, seed)
    count = len(set(children))
    return {name: bootstrap.interval(point[name], replicates[name], count) for name in point}


def calibration_replicates(
    labels: np.ndarray, probabilities: np.ndarray, children: Sequence[str], seed: int = 0
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Slope and offset, see `calibration`, and their replicates (RESAMPLES,) over resamples of the children."""
    child = bootstrap.number_children(children)
    resampled = bootstrap.sample_children(child.max() + 1, np.random.default_rng(seed))
    counts = np.concatenate([np.ones((1, child.max() + 1)), resampled])
    clipped = np.clip(probabilities, 1e-10, 1 - 1e-10)
    scores = np.log(clipped) - np.log1p(-clipped)
    blocks = [
        _lines(bootstrap.weigh_rows(counts[start : start + BLOCK], child), labels, scores)
        for start in range(0, len(counts), BLOCK)
    ]
    fitted = dict(zip(("slope", "offset"), np.concatenate(blocks).T, strict=True))
    return {name: float(values[0]) for name, values in fitted.items()}, {
        name: values[1:] for name, values in fitted.items()
    }


def _lines(weights: np.ndarray, labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Slope and offset (R, 2) of logistic regressions on scores (N,), weights (R, N), by Newton's method; or NaN."""
    lines = np.tile([1.0, 0.0], (len(weights), 1))
    change = np.full(len(weights), np.inf)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        for _ in range(STEPS):
            expected = 0.5 * (1 + np.tanh(0.5 * (lines[:, :1] * scores + lines[:, 1:])))
            residual, spread = weights * (expected - labels), weights * expected * (1 - expected)
            first, second, both = spread @ scores**2, spread.sum(1), spread @ scores
            down, up = residual @ scores, residual.sum(1)
            step = np.stack([second * down - both * up, first * up - both * down], 1)
            step /= (first * second - both**2)[:, None]
            change = np.abs(step).max(1)
            lines -= step / np.maximum(1, change)[:, None]  # a full step can overshoot where the curve is flat
    return np.where((change < PRECISION)[:, None], lines, np.nan)


def point_metrics(
    labels: np.ndarray,
    probabilities: np.ndarray,
    positive: np.ndarray,
    children: Sequence[str] | None = None,
    fold_of: np.ndarray | None = None,
) -> dict[str, float | None]:
    """The same metrics without intervals; without children, the AUC within a child is None."""
    child = np.arange(len(labels)) if children is None else bootstrap.number_children(children)
    values = weighted_metrics(np.ones((1, child.max() + 1)), labels, probabilities, positive, child, fold_of)
    return {name: bootstrap.known(value[0]) for name, value in values.items()}


def weighted_metrics(
    counts: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
    positive: np.ndarray,
    child: np.ndarray,
    fold_of: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Each metric (R,) where child c counts as counts[:, c] children, counts (R, C); NaN: undefined.

    child: (N,), the number of each segment's child.
    """
    is_spasm, called = labels == 1, np.asarray(positive, dtype=bool)
    fold = np.zeros(len(labels), dtype=int) if fold_of is None else np.unique(fold_of, return_inverse=True)[1]
    per_segment = (np.ones(len(labels)), is_spasm, called, is_spasm & called, (probabilities - labels) ** 2)
    sums = [np.bincount(child, values, minlength=counts.shape[1]) for values in per_segment]
    pairs = _pairs_within_children(is_spasm, probabilities, child, fold, counts.shape[1])
    total, spasms, calls, hits, error, wins, compared = (counts @ np.stack([*sums, *pairs], axis=1)).T
    rest = total - spasms
    auc, average_precision = _ranking(counts, is_spasm, probabilities, child, fold)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "f1": 2 * hits / (calls + spasms),
            "sensitivity": hits / spasms,
            "specificity": (rest - calls + hits) / rest,
            "precision": hits / calls,
            "auc": auc,
            "within_child_auc": wins / compared,
            "average_precision": average_precision,
            "brier": error / total,
            "prevalence": spasms / total,
            "always_positive_f1": 2 * spasms / (total + spasms),
        }


def _tied(probabilities: np.ndarray, *groups: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sort N segments by group, then from the highest probability down.

    Returns their order (N,), where each run of equal probabilities in a group starts (G,), and where each group starts
    among these runs.
    """
    order = np.lexsort((-probabilities, *groups))
    changes = np.zeros(len(order), dtype=bool)
    changes[0] = True
    for group in groups:
        changes[1:] |= np.diff(group[order]) != 0
    group_starts = np.flatnonzero(changes)
    changes[1:] |= np.diff(probabilities[order]) != 0
    starts = np.flatnonzero(changes)
    return order, starts, np.searchsorted(starts, group_starts)


def _pairs_within_children(
    is_spasm: np.ndarray, probabilities: np.ndarray, child: np.ndarray, fold: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """For each of `count` children: pairs (C,) in which the spasm has the higher probability, and all pairs (C,).

    A pair is a positive and a negative segment of the same child, scored by the same fold. A tie counts as half.
    """
    order, starts, firsts = _tied(probabilities, child, fold)
    spasms = np.add.reduceat(is_spasm[order].astype(float), starts)
    rest = np.add.reduceat((~is_spasm[order]).astype(float), starts)
    sizes = np.diff(firsts, append=len(starts))
    below = np.repeat(np.add.reduceat(rest, firsts), sizes)  # other segments of the group, here and at lower values
    below -= rest.cumsum() - np.repeat(rest.cumsum()[firsts] - rest[firsts], sizes)
    child_of = child[order[starts]]
    wins = np.bincount(child_of, spasms * (below + rest / 2), minlength=count)
    pairs = np.add.reduceat(spasms, firsts) * np.add.reduceat(rest, firsts)
    return wins, np.bincount(child_of[firsts], pairs, minlength=count)


def _ranking(
    counts: np.ndarray, is_spasm: np.ndarray, probabilities: np.ndarray, child: np.ndarray, fold: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Area under the ROC curve and average precision, (R,) each, without comparing the scales of two folds.

    The models of two folds rank their own segments, but not each other's: models that predict their training
    prevalence give the highest probability to the fold with the fewest spasms, and AUC over all pairs falls below 0.5
    (Airola et al. 2011, Computational Statistics & Data Analysis 55:1828-1844). So AUC counts pairs within folds,
    a tie as half. Average precision is the mean, over spasms, of the precision at their probability in their own fold,
    whose other segments are weighted to the prevalence of all. A fold of one class counts in neither.
    """
    order, starts, firsts = _tied(probabilities, fold)
    spasm, folds = is_spasm[order], np.split(np.arange(len(starts)), firsts[1:])
    found = np.empty((2, len(counts)))
    for begin in range(0, len(counts), BLOCK):
        weights = counts[begin : begin + BLOCK, child[order]].astype(float)
        total = np.add.reduceat(weights, starts, axis=1)
        spasms = np.add.reduceat(weights * spasm, starts, axis=1)
        rest = total - spasms
        found[:, begin : begin + BLOCK] = _areas([(spasms[:, part], rest[:, part]) for part in folds])
    return found[0], found[1]


def _areas(folds: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """AUC and average precision (R,) of spasms and of other segments (R, G) at the G falling probabilities of folds."""
    all_spasms, all_rest = (sum(part[kind].sum(1) for part in folds) for kind in (0, 1))
    wins, pairs, precisions, ranked = np.zeros((4, len(folds[0][0])))
    with np.errstate(invalid="ignore", divide="ignore"):
        for spasms, rest in folds:
            hits, false_alarms = spasms.cumsum(1), rest.cumsum(1)
            fold_spasms, fold_rest = hits[:, -1], false_alarms[:, -1]
            wins += (spasms * (fold_rest[:, None] - false_alarms + rest / 2)).sum(1)
            pairs += fold_spasms * fold_rest
            usual = (fold_spasms / fold_rest) / (all_spasms / all_rest)
            precision = np.nan_to_num(hits / (hits + false_alarms * usual[:, None]))
            both = fold_spasms * fold_rest > 0
            precisions += np.where(both, (spasms * precision).sum(1), 0)
            ranked += np.where(both, fold_spasms, 0)
        return wins / pairs, precisions / ranked


ROWS = (
    ("f1", "F1"),
    ("sensitivity", "sensitivity"),
    ("specificity", "specificity"),
    ("precision", "precision"),
    ("auc", "AUC"),
    ("within_child_auc", "AUC within a child"),
    ("average_precision", "average precision"),
    ("brier", "Brier score"),
    ("prevalence", "prevalence"),
    ("always_positive_f1", "F1 of always predicting positive"),
)
