"""The cluster bootstrap: intervals from resampling children, whose segments resemble each other.

A resample holds as many children as the data, sampled with replacement; a child sampled twice counts twice, with all
its segments. So a resample is a count per child, and a sum over it is a weighted sum over the children.
"""

import functools
import math
from collections.abc import Sequence
from typing import TypedDict

import numpy as np

RESAMPLES = 1000
LEVEL = 0.95  # of the intervals


class Estimate(TypedDict):
    """A metric with its interval; None if undefined, such as the AUC of one class."""

    value: float | None
    low: float | None
    high: float | None


def number_children(children: Sequence[str] | np.ndarray) -> np.ndarray:
    """The number (N,) of each segment's child, from 0, in the order of their names."""
    return np.unique(np.asarray(children), return_inverse=True)[1]


def sample_children(
    count: int, generator: np.random.Generator, resamples: int | None = None, size: int | None = None
) -> np.ndarray:
    """How often each of `count` children is in each resample, (R, count) int64.

    resamples: R, default RESAMPLES. size: children per resample, default `count`.
    """
    rows = RESAMPLES if resamples is None else resamples
    return generator.multinomial(count if size is None else size, np.full(count, 1 / count), rows)


def weigh_rows(resampled: np.ndarray, child: np.ndarray) -> np.ndarray:
    """How often each row counts in each resample, (R, N) float64; child: (N,), the number of each row's child."""
    return resampled[:, child].astype(float)


def mean_replicates(values: np.ndarray, child: np.ndarray, resampled: np.ndarray) -> np.ndarray:
    """The mean (R,) of values (N,) in each resample; child: (N,), the number of each row's child."""
    sums, sizes = np.bincount(child, values), np.bincount(child)
    return resampled @ sums / (resampled @ sizes)


@functools.cache
def tails(children: int) -> tuple[float, float]:
    """The percentiles of the replicates at the ends of an interval over so many resampled children.

    With few children the replicates vary too little: by a factor sqrt((G - 1) / G), and as if the variance were known.
    Expanded percentiles make up for both, with tails of Phi(sqrt(G / (G - 1)) t) where t is the quantile of Student's
    distribution with G - 1 degrees of freedom (Hesterberg 2015, The American Statistician 69:371-386). For 14 children
    these are 1.25 and 98.75, for many 2.5 and 97.5. One child has no interval: both ends are its value.
    """
    if children < 2:
        return 0.0, 100.0
    from scipy import special  # here, because it is slow to load

    quantile = special.stdtrit(children - 1, (1 - LEVEL) / 2)
    tail = 100 * float(special.ndtr(math.sqrt(children / (children - 1)) * quantile))
    return tail, 100 - tail


def interval(point: float, replicates: np.ndarray, children: int) -> Estimate:
    """A metric with the interval of its replicates (R,) over so many children; undefined ones (NaN) are left out."""
    replicates = replicates[np.isfinite(replicates)]
    low, high = np.percentile(replicates, tails(children)) if len(replicates) else (np.nan, np.nan)
    return {"value": known(point), "low": known(low), "high": known(high)}


def known(value: float) -> float | None:
    """A metric as written to files: None if undefined."""
    return float(value) if np.isfinite(value) else None
