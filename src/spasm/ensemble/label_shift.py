"""The share of positives among new segments, and the threshold that follows it.

The best threshold depends on the prevalence. Under label shift (the share of positives changes, positives and negatives
themselves do not) the new prevalence can be read from the new segments' probabilities alone, and the threshold be
chosen again on the out-of-fold rows, re-weighted to it. Where the evidence is thin the fixed threshold stands.
"""

import dataclasses
from typing import Literal

import numpy as np

from spasm.ensemble import thresholds
from spasm.evaluation import bootstrap
from spasm.evaluation.bootstrap import LEVEL

RESAMPLES = 400  # 2.5 % of them are ten: enough for the ends of an interval
BLOCK = 50  # resamples worked out at a time, so that memory stays flat with many segments
HALVINGS = 30  # of the interval in which the prevalence is sought: 1e-9
FEWEST_SEGMENTS = 50  # a share of 0.2 among fewer is uncertain by more than 0.11 even if every label were known
FEWEST_CHILDREN = 5  # resampling fewer gives intervals that are far too short
WIDEST = 0.6  # of an interval. Wider ones come from scores that hardly part the classes
FIT_LEVEL = 0.9  # of the limit for the fit: strange scores followed cost more than good ones not followed
ROUNDING = 1e-9  # of sums of shares and probabilities, generously


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What the new segments say about their prevalence. Every figure is finite; intervals are (low, high)."""

    training: float  # share of positives among the out-of-fold rows
    likelihood: float  # most likely share of positives among the new segments
    likelihood_interval: tuple[float, float]
    matrix: float  # the share that explains their mean probability
    matrix_interval: tuple[float, float]
    distance: float  # largest gap (Kolmogorov-Smirnov) between their probabilities and the mixture that fits best
    distance_limit: float  # what such a gap stays below, FIT_LEVEL of the time, for children like the training's
    reason: str  # why the fixed threshold stands; empty where it does not

    @property
    def thin(self) -> bool:
        """Whether the evidence does not suffice, so that the fixed threshold stands."""
        return bool(self.reason)

    @property
    def prevalence(self) -> float:
        """The prevalence to choose the threshold for: of all that both intervals allow the nearest to the training's.

        The point estimates gain as much on average and lose far more where they are wrong.
        """
        ends = (*self.likelihood_interval, *self.matrix_interval)
        return self.training if self.thin else min(ends, key=lambda end: abs(end - self.training))


def weights_at(labels: np.ndarray, prevalence: float) -> np.ndarray:
    """Weights (N,) that make the share of positives among rows labelled 0 or 1 equal to prevalence; their sum is N.

    Raises ValueError where the prevalence is outside 0..1 or needs a class that no row has.
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

    Where it is the rows' own nothing is re-weighted and no probability changes.
    """
    weights = weights_at(labels, prevalence)
    if kind == "observed":
        return thresholds.best_threshold(labels, probabilities, weights)
    # A threshold on the probabilities as they are, though F1 is expected from those of the other prevalence.
    there = adapted_probability(probabilities, float(labels.mean()), prevalence)
    chosen = thresholds.expected_threshold(there, weights)
    return float(adapted_probability(np.array([chosen]), prevalence, float(labels.mean()))[0])


def adapted_probability(probabilities: np.ndarray, training_prevalence: float, prevalence: float) -> np.ndarray:
    """Probabilities as they are at another prevalence: the odds grow by the ratio of the two prevalences' odds.

    Saerens, Latinne & Decaestecker (2002), Neural Computation 14. Certainties stay certain.
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

    labels (N,) of 0 and 1, probabilities (N,) and children (N,): the out-of-fold rows, the probabilities calibrated.
    new_probabilities (M,), new_children (M,): the new segments. Without their children each counts as a child of its
    own, and the intervals are too short where segments of a child resemble each other.
    """
    labels, probabilities = np.asarray(labels, dtype=np.float64), np.asarray(probabilities, dtype=np.float64)
    fresh = np.sort(np.asarray(new_probabilities, dtype=np.float64))  # so that their order changes not even a rounding
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
    share = float(np.clip(np.nan_to_num(matrix, nan=training), 0, 1))
    distance = float(_distance(rows, labels, probabilities, np.array([share]), new_rows, fresh)[0])
    generator = np.random.default_rng(seed)
    blocks: list[tuple[np.ndarray, ...]] = []
    for _ in range(0, RESAMPLES, BLOCK):
        rows, new_rows = _resample(child, generator), _resample(fresh_child, generator)
        like = _resample(child, generator, fresh_child.max() + 1) * weights_at(labels, share)
        like = generator.multinomial(len(fresh), _shares(like)).astype(float)  # as many segments, from as many children
        mixed = np.clip(np.nan_to_num(_moment_estimate(rows, labels, probabilities, like, probabilities)), 0, 1)
        blocks.append(
            (
                _mle_prevalence(rows, labels, new_rows, fresh),
                np.clip(_moment_estimate(rows, labels, probabilities, new_rows, fresh), 0, 1),
                _distance(rows, labels, probabilities, mixed, like, probabilities),
            )
        )
    shares, explaining, distances = (np.concatenate(column) for column in zip(*blocks, strict=True))
    limit = float(np.quantile(distances, FIT_LEVEL))
    intervals = _interval(shares), _interval(explaining)
    reason = _reason_to_keep_threshold(training, matrix, intervals, distance, limit)
    return Estimate(training, likelihood, intervals[0], share, intervals[1], distance, limit, reason)


def _too_few(labels: np.ndarray, child: np.ndarray, fresh_child: np.ndarray) -> str:
    """Why nothing can be estimated at all, in words; empty where something can."""
    if len(fresh_child) < FEWEST_SEGMENTS:
        return f"{len(fresh_child)} new segments are too few; {FEWEST_SEGMENTS} are needed"
    if labels.min() == labels.max():
        return "the out-of-fold rows are not of both classes"
    fewest = min(child.max(), fresh_child.max()) + 1
    return f"{fewest} children are too few; {FEWEST_CHILDREN} are needed" if fewest < FEWEST_CHILDREN else ""


def _reason_to_keep_threshold(
    training: float, matrix: float, intervals: tuple[tuple[float, float], ...], distance: float, limit: float
) -> str:
    """Why the fixed threshold stands, in words; empty where the evidence suffices to leave it."""
    (low, high), (other_low, other_high) = intervals
    if not 0 < matrix < 1:
        return "no share of positives explains the mean probability of the new segments"
    if distance > limit + ROUNDING:
        return f"the new probabilities are not a mixture of the known classes' (distance {distance:.2f} > {limit:.2f})"
    if max(high - low, other_high - other_low) > WIDEST:
        return f"the interval is wider than {WIDEST}"
    if max(low, other_low) > min(high, other_high):
        return "the two methods disagree"
    if low <= training <= high or other_low <= training <= other_high:
        return f"the training prevalence of {training:.3f} is possible"
    return ""


def _resample(child: np.ndarray, generator: np.random.Generator, drawn: int | None = None) -> np.ndarray:
    """How often each row counts (BLOCK, N) when so many children are drawn; as many as there are if not given."""
    return bootstrap.weigh_rows(bootstrap.draw_children(child.max() + 1, generator, BLOCK, drawn), child)


def _shares(weights: np.ndarray) -> np.ndarray:
    """Weights (R, N) divided by their sums; equal ones where a resample has no weight at all."""
    total = weights.sum(1, keepdims=True)
    return np.where(total > 0, weights / np.where(total > 0, total, 1), 1 / weights.shape[1])


def _interval(replicates: np.ndarray) -> tuple[float, float]:
    """Ends of the middle LEVEL of the replicates; one that says nothing (NaN) could be anything from 0 to 1."""
    low, high = np.nan_to_num(replicates), np.nan_to_num(replicates, nan=1.0)
    return float(np.quantile(low, (1 - LEVEL) / 2)), float(np.quantile(high, (1 + LEVEL) / 2))


def _mle_prevalence(weights: np.ndarray, labels: np.ndarray, new_weights: np.ndarray, fresh: np.ndarray) -> np.ndarray:
    """Share of positives (R,) at which the new probabilities (M,) are most likely, NaN with rows of one class only.

    It is where the EM of Saerens et al. (2002) ends. The likelihood is concave in the share (Alexandari et al. 2020,
    ICML), so its slope is halved in on, which takes the same few steps always.
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
    """Share of positives (R,) that explains the mean new probability, not clipped; NaN where the classes do not differ.

    The confusion matrix of Lipton, Wang & Smola (2018, ICML), soft: mean probabilities for its rates, so that neither
    a threshold nor calibrated probabilities are needed.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        spasm = weights @ (labels * probabilities) / (weights @ labels)
        rest = weights @ ((1 - labels) * probabilities) / (weights @ (1 - labels))
        share = (new_weights @ fresh / new_weights.sum(1) - rest) / (spasm - rest)
    return np.where(spasm - rest > ROUNDING, share, np.nan)


def _distance(
    weights: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
    shares: np.ndarray,
    new_weights: np.ndarray,
    fresh: np.ndarray,
) -> np.ndarray:
    """Largest gap (R,) between the distributions of the new probabilities and of the rows mixed at shares (R,)."""
    spasm, rest = _shares(weights * labels), _shares(weights * (1 - labels))
    mixture = shares[:, None] * spasm + (1 - shares[:, None]) * rest
    both = np.concatenate([probabilities, fresh])
    order = np.argsort(both, kind="stable")
    last = np.diff(both[order], append=np.inf) > 0  # of equal probabilities
    gaps = np.concatenate([mixture, -_shares(new_weights)], axis=1)[:, order].cumsum(1)[:, last]
    return np.abs(gaps).max(1)
