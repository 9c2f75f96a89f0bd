"""A metric as it leaves a hospital: with its interval, and with what is needed to pool it with those of others.

Pooling needs an estimate that is about normal and its standard error: log-odds of fractions, logarithms of rates.
"""

import math
from typing import Any, Literal

import numpy as np

from spasm.evaluation import bootstrap

Scale = Literal["logit", "log", "identity"]
DIGITS = 6  # significant digits of a value that is given out
FEW_DIGITS = 3  # of its interval and standard error: more would single out one combination of the children's counts
SUPPRESSED: dict[str, Any] = {
    "value": None, "low": None, "high": None, "scale": None, "transformed": None, "se": None, "suppressed": True,
}  # fmt: skip


def shareable(
    point: float,
    replicates: np.ndarray,
    children: int,
    scale: Scale,
    support: int,
    smallest: float | None = None,
    digits: int = DIGITS,
) -> dict[str, Any]:
    """A metric with its interval over so many resampled children, and the same on `scale` with its standard error.

    replicates: (R,); support: how many children it rests on; digits: of the value. A fraction of 0 or 1 has no log-
    odds, and a rate of 0 no logarithm: both are first moved inside by half a child, or by `smallest`, such as half
    an event. The standard error is that of the replicates, times sqrt(G / (G - 1)) for G children, because a
    resample varies too little. Where all replicates are 0, or all 1, these say nothing: the interval then follows
    the rule of three (Hanley and Lippman-Hand 1983, JAMA 249:1743), and the standard error is that of half an
    event, so that pooling does not lose such a site.
    """
    found = bootstrap.interval(point, replicates, children)
    least = smallest if smallest is not None else 0.5 / max(support, 1)
    value, transformed = transform(np.array([point]), scale, least)[0], transform(replicates, scale, least)
    transformed = transformed[np.isfinite(transformed)]
    error = float(np.std(transformed, ddof=1)) if len(transformed) > 1 and children > 1 else math.nan
    error *= math.sqrt(children / (children - 1)) if children > 1 else 1
    at_an_end = (point == 0 and scale != "identity") or (point == 1 and scale == "logit")
    if support and at_an_end and found["low"] == found["high"] == point:
        if point:
            found["low"] = max(0.0, 1 - 6 * least)
        else:
            found["high"] = 6 * least if scale == "log" else min(1.0, 6 * least)
        error = math.sqrt(1 / 0.5 + (1 / max(0.5 / least - 0.5, 0.5) if scale == "logit" else 0))
    return {
        **rounded_ends(found),
        "value": rounded(found["value"], digits),
        "scale": scale,
        "transformed": rounded(value, digits),
        "se": rounded(error, FEW_DIGITS),
        "suppressed": False,
    }


def transform(values: np.ndarray, scale: Scale, smallest: float) -> np.ndarray:
    """Values (R,) on a scale; NaN stays NaN."""
    if scale == "identity":
        return np.asarray(values, dtype=float)
    if scale == "log":
        return np.asarray(np.log(np.maximum(values, smallest)))
    inside = np.clip(values, smallest, 1 - smallest)
    return np.asarray(np.log(inside) - np.log1p(-inside))


def back(value: float, scale: Scale) -> float:
    """A value on a scale as the metric itself."""
    if scale == "logit":
        return 0.5 * (1 + math.tanh(0.5 * value))
    return math.exp(min(value, 700)) if scale == "log" else value


def rounded_ends(found: bootstrap.Estimate) -> dict[str, float | None]:
    """A value with its interval as they are given out."""
    digits = {"value": DIGITS, "low": FEW_DIGITS, "high": FEW_DIGITS}
    return {name: rounded(end, digits[name]) for name, end in found.items()}  # type: ignore[arg-type]


def rounded(value: float | None, digits: int = DIGITS) -> float | None:
    """A number as it is given out; None if it is undefined."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.{digits}g}")
