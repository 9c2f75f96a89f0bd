"""Random-effects means over sites: what a metric is at a typical site, and what to expect at a new one.

DerSimonian and Laird 1986 (Controlled Clinical Trials 7:177-188) for the variance between sites, the interval of
Hartung and Knapp 2001 (Statistics in Medicine 20:3875-3889), the prediction interval of Higgins, Thompson and
Spiegelhalter 2009 (J. R. Statist. Soc. A 172:137-159), and I2 of Higgins and Thompson 2002 (Stat. Med. 21:1539-1558).
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from spasm.evaluation.bootstrap import LEVEL


@dataclasses.dataclass(frozen=True)
class Pooled:
    """A mean over k sites, on the scale of the estimates."""

    sites: int
    mean: float
    se: float
    """By Hartung and Knapp."""
    low: float
    """Of the 95 % interval of the mean."""
    high: float
    prediction_low: float | None
    """Of the 95 % interval for a new site; None with fewer than three."""
    prediction_high: float | None
    tau2: float
    """Variance between sites."""
    i2: float
    """Fraction of the variation between estimates that is due to differences between sites."""
    q: float
    """Cochran's Q."""


def pool(estimates: Sequence[float], errors: Sequence[float]) -> Pooled:
    """The random-effects mean of estimates (k,) with their standard errors (k,), all above 0; k of 2 or more.

    With few sites the interval is wide, as it must be: with two its quantile is 12.7. Where sites differ less than
    their standard errors suggest, it can be narrower than that of a fixed effect.
    """
    y, variances = np.asarray(estimates, dtype=float), np.asarray(errors, dtype=float) ** 2
    count = len(y)
    assert count > 1 and (variances > 0).all()
    weights = 1 / variances
    fixed = (weights * y).sum() / weights.sum()
    q = float((weights * (y - fixed) ** 2).sum())
    between = weights.sum() - (weights**2).sum() / weights.sum()
    tau2 = max(0.0, (q - (count - 1)) / float(between))
    weights = 1 / (variances + tau2)
    mean = float((weights * y).sum() / weights.sum())
    se = math.sqrt(float((weights * (y - mean) ** 2).sum()) / ((count - 1) * float(weights.sum())))
    half = _t(count - 1) * se
    prediction = _t(count - 2) * math.sqrt(tau2 + se**2) if count > 2 else None
    return Pooled(
        sites=count,
        mean=mean,
        se=se,
        low=mean - half,
        high=mean + half,
        prediction_low=None if prediction is None else mean - prediction,
        prediction_high=None if prediction is None else mean + prediction,
        tau2=tau2,
        i2=max(0.0, (q - (count - 1)) / q) if q > 0 else 0.0,
        q=q,
    )


def _t(freedom: int) -> float:
    from scipy import special  # here, because it is slow to load

    return float(special.stdtrit(freedom, (1 + LEVEL) / 2))
