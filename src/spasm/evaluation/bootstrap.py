"""Intervals from resampling children."""

from typing import TypedDict

import numpy as np

RESAMPLES = 1000
LEVEL = 0.95  # of the intervals


class Estimate(TypedDict):
    """A figure with its interval; None where it does not exist, such as the AUC of one class."""

    value: float | None
    low: float | None
    high: float | None


def estimate(value: float, drawn: np.ndarray) -> Estimate:
    """A figure with the interval of its resampled values (R,)."""
    drawn = drawn[np.isfinite(drawn)]
    tails = [50 * (1 - LEVEL), 50 * (1 + LEVEL)]
    low, high = np.percentile(drawn, tails) if len(drawn) else (np.nan, np.nan)
    return {"value": _known(value), "low": _known(low), "high": _known(high)}


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
