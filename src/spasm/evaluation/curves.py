"""Curves over thresholds, with bands from resampling children: ROC, precision, F1, net benefit, reliability."""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

from spasm.evaluation import bootstrap
from spasm.evaluation.bootstrap import tails

RESAMPLES = 400  # of the bands; metrics have more, see bootstrap.py
MOST_POINTS = 300  # thresholds of a curve
FRACTIONS = np.linspace(0, 1, 101)  # x values of ROC and precision-recall curves
BINS = 8  # of a reliability diagram
BANDS = (0.0, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0)  # of probability, for tables of calibration


@dataclasses.dataclass(frozen=True, eq=False)
class Curve:
    """A curve of G points, and its 95 % band."""

    x: np.ndarray
    y: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Counts:
    """Numbers of segments at or above each of G thresholds. Row 0: all children; other rows: resamples."""

    thresholds: np.ndarray
    """(G,), falling from above 1 (no segment is called positive) to 0 (all are)."""
    hits: np.ndarray
    """(1 + R, G): positive segments among those called."""
    calls: np.ndarray
    """(1 + R, G)"""
    spasms: np.ndarray
    """(1 + R, 1)"""
    total: np.ndarray
    """(1 + R, 1)"""
    children: int
    """How many children were resampled."""


def count(labels: np.ndarray, probabilities: np.ndarray, children: Sequence[str], seed: int = 0) -> Counts:
    """The counts that all curves need; labels (N,) of 0 and 1, probabilities (N,) in 0..1."""
    child = bootstrap.number_children(children)
    known = np.unique(probabilities)
    if len(known) > MOST_POINTS:
        known = np.unique(np.quantile(probabilities, np.linspace(0, 1, MOST_POINTS)))
    thresholds = np.concatenate([[np.nextafter(1, 2)], known[::-1], [0.0]])
    # Number of thresholds above a segment's probability; the segment is called positive at all later ones.
    first = np.searchsorted(-thresholds, -probabilities)
    shape = (child.max() + 1, len(thresholds))
    calls, hits = np.zeros(shape), np.zeros(shape)
    np.add.at(calls, (child, first), 1)
    np.add.at(hits, (child, first), labels)
    calls, hits = calls.cumsum(1), hits.cumsum(1)
    resampled = bootstrap.sample_children(len(calls), np.random.default_rng(seed), RESAMPLES)
    weights = np.concatenate([np.ones((1, len(calls))), resampled])
    calls, hits = weights @ calls, weights @ hits
    return Counts(thresholds, hits, calls, hits[:, -1:], calls[:, -1:], shape[0])


def roc(counts: Counts) -> Curve:
    """Sensitivity (y) against the fraction of other segments that raise an alarm (x)."""
    with np.errstate(invalid="ignore"):
        sensitivity = counts.hits / counts.spasms
        alarms = (counts.calls - counts.hits) / (counts.total - counts.spasms)
    # Both only rise along the thresholds. Of several sensitivities at one fraction, take the last and highest one.
    pairs = [(x, y) for x, y in zip(alarms, sensitivity, strict=True) if np.isfinite(x + y).all()]
    read = [y[np.searchsorted(x, FRACTIONS + 1e-9, side="right") - 1] for x, y in pairs]
    return _banded(FRACTIONS, np.array(read), counts.children)


def precision_recall(counts: Counts) -> Curve:
    """Precision (y) against sensitivity (x)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        sensitivity, precision = counts.hits / counts.spasms, counts.hits / counts.calls
    read = []
    for x, y in zip(sensitivity, precision, strict=True):
        if np.isfinite(x).all():
            there = np.isfinite(y)
            # At the highest threshold that reaches this sensitivity.
            first = np.searchsorted(x[there], np.maximum(FRACTIONS, 1e-9) - 1e-10, side="left")
            read.append(y[there][np.minimum(first, there.sum() - 1)])
    return _banded(FRACTIONS, np.array(read), counts.children)


def f1(counts: Counts) -> Curve:
    """F1 (y) against the threshold (x)."""
    order = slice(None, 0, -1)  # without the threshold above 1
    with np.errstate(invalid="ignore"):  # a resample can have no spasms and no calls
        values = 2 * counts.hits / (counts.calls + counts.spasms)
    return _banded(counts.thresholds[order], values[:, order], counts.children)


def net_benefit(counts: Counts, p: np.ndarray) -> tuple[Curve, np.ndarray]:
    """Net benefit per 100 segments (y) at threshold probabilities p (x) in 0..1, and that of calling everything.

    Hits minus false alarms, where a false alarm costs p / (1 - p) of a hit: the cost accepted by a user who
    acts on a probability of p (Vickers and Elkin 2006).
    """
    at = np.searchsorted(-counts.thresholds, -p, side="right") - 1  # the last threshold at or above p
    cost = p / (1 - p)
    hits, calls = counts.hits[:, at], counts.calls[:, at]
    benefit = 100 * (hits - cost * (calls - hits)) / counts.total
    prevalence = counts.spasms[0, 0] / counts.total[0, 0]
    return _banded(p, benefit, counts.children), 100 * (prevalence - cost * (1 - prevalence))


def f1_at_prevalence(sensitivity: np.ndarray, specificity: np.ndarray, prevalence: np.ndarray, children: int) -> Curve:
    """F1 (y) at another prevalence (x), if sensitivity and specificity stay the same.

    sensitivity, specificity: (1 + R,), first as observed, then for each resample of so many children.
    """
    hits = prevalence * sensitivity[:, None]
    alarms = (1 - prevalence) * (1 - specificity[:, None])
    return _banded(prevalence, 2 * hits / (hits + alarms + prevalence), children)


@dataclasses.dataclass(frozen=True)
class Bin:
    """Segments of similar probability, and the fraction of them that is positive."""

    low: float
    high: float
    mean: float
    """The mean probability."""
    observed: float
    """The fraction that is positive, with its interval over children."""
    observed_low: float
    observed_high: float
    segments: int
    children: int


def reliability(
    labels: np.ndarray,
    probabilities: np.ndarray,
    children: Sequence[str],
    edges: np.ndarray | None = None,
    seed: int = 0,
) -> list[Bin]:
    """Bins with equal numbers of segments, or between the given edges; intervals are over the children in a bin."""
    if edges is None:
        edges = np.unique(np.quantile(probabilities, np.linspace(0, 1, BINS + 1)))
        edges = edges if len(edges) > 1 else np.repeat(edges, 2)  # all probabilities are equal
    child = np.asarray(children)
    generator = np.random.default_rng(seed)
    bins = []
    for number, (low, high) in enumerate(itertools.pairwise(edges)):
        last = number == len(edges) - 2
        rows = (probabilities >= low) & ((probabilities <= high) if last else (probabilities < high))
        if not rows.any():
            continue
        inside = bootstrap.number_children(child[rows])
        count = int(inside.max()) + 1
        resampled = bootstrap.sample_children(count, generator, RESAMPLES)
        least, most = np.percentile(bootstrap.mean_replicates(labels[rows], inside, resampled), tails(count))
        if least == most:  # all labels are equal; the rule of three (Hanley and Lippman-Hand 1983), with children
            least, most = max(0.0, least - 3 / count), min(1.0, most + 3 / count)
        bins.append(
            Bin(float(low), float(high), float(probabilities[rows].mean()), float(labels[rows].mean()), float(least),
                float(most), int(rows.sum()), count)
        )  # fmt: skip
    return bins


def _banded(x: np.ndarray, lines: np.ndarray, children: int) -> Curve:
    """lines: (1 + R, G), first as observed, then the replicates over so many children."""
    if not len(lines):
        nothing = np.full(len(x), np.nan)
        return Curve(x, nothing, nothing, nothing)
    low, high = np.nanpercentile(lines[1:] if len(lines) > 1 else lines, tails(children), axis=0)
    return Curve(x, lines[0], low, high)
