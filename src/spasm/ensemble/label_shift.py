"""Estimate the prevalence among new segments, and adapt the threshold to it.

The best threshold depends on the prevalence. Under label shift (the prevalence changes, but positives and negatives
themselves do not) the new prevalence can be estimated from the new segments' probabilities alone. The threshold is then
chosen again on the out-of-fold rows, re-weighted to that prevalence. If the evidence is too weak, the fixed threshold
is kept.
"""

import dataclasses
from typing import Literal

import numpy as np

from spasm.ensemble import thresholds
from spasm.evaluation import bootstrap
from spasm.evaluation.bootstrap import LEVEL

RESAMPLES = 400  # ten of them (2.5 %) lie beyond each end of an interval
BLOCK = 50  # resamples computed at a time, so that memory stays small with many segments
HALVINGS = 30  # bisection steps for the prevalence: precision 1e-9
FEWEST_SEGMENTS = 50  # with fewer, a prevalence of 0.2 is uncertain by more than 0.11 even with known labels
FEWEST_CHILDREN = 5  # resampling fewer gives intervals that are much too short
WIDEST = 0.6  # widest usable interval; wider ones come from scores that hardly separate the classes
FIT_LEVEL = 0.9  # level of the limit for the fit; following bad scores costs more than not following good ones
ROUNDING = 1e-9  # generous bound for the rounding of sums of probabilities


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Estimates of the new segments' prevalence. Every number is finite; intervals are (low, high)."""

    training: float  # prevalence of the out-of-fold rows
    likelihood: float  # maximum-likelihood prevalence of the new segments
    likelihood_interval: tuple[float, float]
    matrix: float  # the prevalence that explains their mean probability
    matrix_interval: tuple[float, float]
    distance: float  # Kolmogorov-Smirnov distance between their probabilities and the best mixture
    distance_limit: float  # its FIT_LEVEL quantile for children like those in training
    reason: str  # why the fixed threshold is kept; empty if it is not

    @property
    def thin(self) -> bool:
        """Whether the evidence is too weak, so that the fixed threshold is kept."""
        return bool(self.reason)

    @property
    def prevalence(self) -> float:
        """The prevalence to choose the threshold for: within both intervals, the nearest to the training prevalence.

        The point estimates gain as much on average, but lose much more when they are wrong.
        """
        ends = (*self.likelihood_interval, *self.matrix_interval)
        return self.training if self.thin else min(ends, key=lambda end: abs(end - self.training))


def weights_at(labels: np.ndarray, prevalence: float) -> np.ndarray:
    """Weights (N,) with sum N that give rows labelled 0 or 1 this prevalence.

    Raises ValueError if the prevalence is outside 0..1 or needs a class that no row has.
    """
    labels = np.asarray(labels)
    spasms, rest = int(np.count_nonzero(labels == 1)), int(np.count_nonzero(labels != 1))
    if not 0 <= prevalence <= 1 or (prevalence > 0 and not spasms) or (prevalence < 1 and not rest):
        raise ValueError(f"{spasms} positives and {rest} negatives cannot be weighted to a prevalence of {prevalence}")
    each = prevalence * len(labels) / max(spasms, 1), (1 - prevalence) * len(labels) / max(rest, 1)
    return np.where(labels == 1, *each)


def threshold_at(
    labels: np.ndarray, probabilities: np.ndarray, prevalence: float, kind: Literal["expected", "observed"]
) -> float:
    """The threshold with the highest F1, expected or observed, on rows re-weighted to the prevalence.

    At the rows' own prevalence nothing is re-weighted and no probability changes.
    """
    weights = weights_at(labels, prevalence)
    if kind == "observed":
        return thresholds.best_threshold(labels, probabilities, weights)
    # The expected F1 uses the adapted probabilities; the threshold is for the original ones.
    there = adapted_probability(probabilities, float(labels.mean()), prevalence)
    chosen = thresholds.expected_threshold(there, weights)
    return float(adapted_probability(np.array([chosen]), prevalence, float(labels.mean()))[0])


def adapted_probability(probabilities: np.ndarray, training_prevalence: float, prevalence: float) -> np.ndarray:
    """Probabilities at another prevalence: odds are multiplied by the ratio of the two prevalences' odds.

    Saerens, Latinne & Decaestecker (2002), Neural Computation 14. 0 and 1 stay unchanged.
    """
    if not 0 < training_prevalence < 1 or not 0 <= prevalence <= 1:
        raise ValueError(f"no odds ratio between prevalences of {training_prevalence} and {prevalence}")
    probabilities = np.asarray(probabilities, dtype=np.float64)
    spasm = probabilities * prevalence / training_prevalence
    rest = (1 - probabilities) * (1 - prevalence) / (1 - training_prevalence)
    possible = spasm + rest > 0
    return np.where(possible, spasm / np.where(possible, spasm + rest, 1), probabilities)


def estimate(
    labels: np.ndarray,
    probabilities: np.ndarray,
    children: np.ndarray,
    new_probabilities: np.ndarray,
    new_children: np.ndarray | None = None,
    seed: int = 0,
) -> Estimate:
    """The prevalence of M new segments by two methods, with intervals from resampling children on both sides.

    labels (N,) of 0 and 1, probabilities (N,) calibrated, and children (N,): the out-of-fold rows.
    new_probabilities (M,), new_children (M,): the new segments. Without new_children each segment counts as one child,
    and the intervals are too short if segments of a child resemble each other.
    """
    labels, probabilities = np.asarray(labels, dtype=np.float64), np.asarray(probabilities, dtype=np.float64)
    fresh = np.sort(np.asarray(new_probabilities, dtype=np.float64))  # so that their order cannot change the rounding
    fresh_child = np.arange(len(fresh))
    if new_children is not None:
        number = bootstrap.number_children(new_children)
        fresh_child = number[np.lexsort((number, new_probabilities))]
    child = bootstrap.number_children(children)
    training = float(labels.mean())
    few = _too_few(labels, child, fresh_child)
    if few:
        return Estimate(training, training, (0.0, 1.0), training, (0.0, 1.0), 0.0, 0.0, few)

    rows, new_rows = np.ones((1, len(labels))), np.ones((1, len(fresh)))
    likelihood = float(_mle_prevalence(rows, labels, new_rows, fresh)[0])
    matrix = float(_moment_estimate(rows, labels, probabilities, new_rows, fresh)[0])
    explained = float(np.clip(np.nan_to_num(matrix, nan=training), 0, 1))
    distance = float(_distance(rows, labels, probabilities, np.array([explained]), new_rows, fresh)[0])
    generator = np.random.default_rng(seed)
    blocks: list[tuple[np.ndarray, ...]] = []
    for _ in range(0, RESAMPLES, BLOCK):
        rows, new_rows = _resample(child, generator), _resample(fresh_child, generator)
        like = _resample(child, generator, fresh_child.max() + 1) * weights_at(labels, explained)
        # The same numbers of segments and children as the new ones.
        like = generator.multinomial(len(fresh), _normalized(like)).astype(float)
        mixed = np.clip(np.nan_to_num(_moment_estimate(rows, labels, probabilities, like, probabilities)), 0, 1)
        blocks.append(
            (
                _mle_prevalence(rows, labels, new_rows, fresh),
                np.clip(_moment_estimate(rows, labels, probabilities, new_rows, fresh), 0, 1),
                _distance(rows, labels, probabilities, mixed, like, probabilities),
            )
        )
    prevalences, explaining, distances = (np.concatenate(column) for column in zip(*blocks, strict=True))
    limit = float(np.quantile(distances, FIT_LEVEL))
    intervals = _interval(prevalences), _interval(explaining)
    reason = _reason_to_keep_threshold(training, matrix, intervals, distance, limit)
    return Estimate(training, likelihood, intervals[0], explained, intervals[1], distance, limit, reason)


def _too_few(labels: np.ndarray, child: np.ndarray, fresh_child: np.ndarray) -> str:
    """Why no estimate is possible, in words; empty if one is."""
    if len(fresh_child) < FEWEST_SEGMENTS:
        return f"{len(fresh_child)} new segments are too few; {FEWEST_SEGMENTS} are needed"
    if labels.min() == labels.max():
        return "the out-of-fold rows have only one class"
    fewest = min(child.max(), fresh_child.max()) + 1
    return f"{fewest} children are too few; {FEWEST_CHILDREN} are needed" if fewest < FEWEST_CHILDREN else ""


def _reason_to_keep_threshold(
    training: float, matrix: float, intervals: tuple[tuple[float, float], ...], distance: float, limit: float
) -> str:
    """Why the fixed threshold is kept, in words; empty if the evidence is strong enough to change it."""
    (low, high), (other_low, other_high) = intervals
    if not 0 < matrix < 1:
        return "no prevalence explains the mean probability of the new segments"
    if distance > limit + ROUNDING:
        return f"the new probabilities are not a mixture of the known classes' (distance {distance:.2f} > {limit:.2f})"
    if max(high - low, other_high - other_low) > WIDEST:
        return f"the interval is wider than {WIDEST}"
    if max(low, other_low) > min(high, other_high):
        return "the two methods disagree"
    if low <= training <= high or other_low <= training <= other_high:
        return f"the training prevalence of {training:.3f} is possible"
    return ""


def _resample(child: np.ndarray, generator: np.random.Generator, size: int | None = None) -> np.ndarray:
    """How often each row counts (BLOCK, N) in resamples of `size` children, by default all."""
    return bootstrap.weigh_rows(bootstrap.sample_children(child.max() + 1, generator, BLOCK, size), child)


def _normalized(weights: np.ndarray) -> np.ndarray:
    """Weights (R, N) divided by their sums; equal weights for a resample whose sum is 0."""
    total = weights.sum(1, keepdims=True)
    return np.where(total > 0, weights / np.where(total > 0, total, 1), 1 / weights.shape[1])


def _interval(replicates: np.ndarray) -> tuple[float, float]:
    """Ends of the middle LEVEL of the replicates; an undefined one (NaN) counts as 0 below and as 1 above."""
    low, high = np.nan_to_num(replicates), np.nan_to_num(replicates, nan=1.0)
    return float(np.quantile(low, (1 - LEVEL) / 2)), float(np.quantile(high, (1 + LEVEL) / 2))


def _mle_prevalence(weights: np.ndarray, labels: np.ndarray, new_weights: np.ndarray, fresh: np.ndarray) -> np.ndarray:
    """Prevalence (R,) at which the new probabilities (M,) are most likely; NaN if all rows have one class.

    The EM of Saerens et al. (2002) has the same limit. The likelihood is concave in the prevalence (Alexandari et al.
    2020, ICML), so bisection of its slope finds it in a fixed number of steps.
    """
    training = (weights @ labels / weights.sum(1))[:, None]
    known = (training > 0) & (training < 1)
    training = np.where(known, training, 0.5)
    rest = (1 - fresh) / (1 - training)
    gain = fresh / training - rest
    low, high = np.zeros((len(weights), 1)), np.ones((len(weights), 1))
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        rising = (new_weights * gain / (rest + middle * gain)).sum(1, keepdims=True) > 0
        low, high = np.where(rising, middle, low), np.where(rising, high, middle)
    return np.where(known, (low + high) / 2, np.nan)[:, 0]


def _moment_estimate(
    weights: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, new_weights: np.ndarray, fresh: np.ndarray
) -> np.ndarray:
    """Prevalence (R,) that explains the mean new probability, not clipped; NaN if the classes do not differ.

    The soft confusion matrix of Lipton, Wang & Smola (2018, ICML): it uses mean probabilities instead of rates, so it
    needs no threshold and no calibration.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        spasm = weights @ (labels * probabilities) / (weights @ labels)
        rest = weights @ ((1 - labels) * probabilities) / (weights @ (1 - labels))
        explained = (new_weights @ fresh / new_weights.sum(1) - rest) / (spasm - rest)
    return np.where(spasm - rest > ROUNDING, explained, np.nan)


def _distance(
    weights: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
    prevalences: np.ndarray,
    new_weights: np.ndarray,
    fresh: np.ndarray,
) -> np.ndarray:
    """Largest distance (R,) between the distributions of the new probabilities and of the rows at these prevalences."""
    spasm, rest = _normalized(weights * labels), _normalized(weights * (1 - labels))
    mixture = prevalences[:, None] * spasm + (1 - prevalences[:, None]) * rest
    both = np.concatenate([probabilities, fresh])
    order = np.argsort(both, kind="stable")
    last = np.diff(both[order], append=np.inf) > 0  # of equal probabilities
    gaps = np.concatenate([mixture, -_normalized(new_weights)], axis=1)[:, order].cumsum(1)[:, last]
    return np.abs(gaps).max(1)
