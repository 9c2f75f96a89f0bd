"""What boosting weighed in a segment, in words: from contributions to log-odds to a few sentences.

The words for each feature stand in its spec, beside the code that computes it.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from spasm.features.kinematics import CATALOGUE

NOTES = (  # what a reader of the phrases has to know once
    "A trunk length is the segment's median distance from mid-hips to mid-shoulders. Lengths and angles are as seen in "
    "the picture, and the trunk's axis is its mean direction there.",
    "Ranges, displacements, speeds and accelerations are relative to the hips unless the words say otherwise.",
    "Movement is the mean speed, of head, elbows, hands, knees and feet or of those named, apart from whole-body and "
    "camera motion, which is the shift, turn and zoom common to all points.",
    "The largest burst is where movement is highest; its height counts from the segment's 10th percentile.",
)

# ---- the reasons of one segment


@dataclasses.dataclass(frozen=True)
class Reason:
    """A family of features, represented by one of them."""

    name: str
    text: str
    value: float
    """In `unit`; NaN: could not be measured."""
    unit: str
    fraction_below: float | None
    """Fraction of the other segments with a known value that have a lower one; None if there is no value to compare."""
    contribution: float
    """What the family adds to the log-odds of a spasm."""
    similar: int = 0
    """Number of the family's other features that have a part in `contribution`."""


def top_reasons(
    contributions: np.ndarray,
    values: np.ndarray,
    names: Sequence[str],
    other_values: np.ndarray | None,
    count: int = 6,
) -> list[Reason]:
    """The families of features that weigh most in one segment, the heaviest first; fewer where fewer weigh at all.

    contributions (F,) to the log-odds and values (F,) of the features `names`; other_values: (M, F) of other segments,
    NaN where unknown. Trees divide by chance what near duplicates have in common, so the contributions of a family are
    summed: over percentiles, windows, sides and directions of one measure of one part. All families together add what
    all features add. A family is represented by the feature that weighs most among those with the sign of its sum.
    Raises ValueError if the lengths differ, KeyError for a name that is not in the catalogue.
    """
    if not len(contributions) == len(values) == len(names):
        raise ValueError(f"{len(contributions)} contributions and {len(values)} values of {len(names)} features")
    families = defaultdict(list)
    for column, name in enumerate(names):
        if contributions[column] != 0:
            families[CATALOGUE[name].family].append(column)
    reasons = []
    for members in families.values():
        total = float(contributions[members].sum())
        chosen = max(members, key=lambda column: contributions[column] * np.sign(total))
        spec, value = CATALOGUE[names[chosen]], float(values[chosen])
        below = None if other_values is None else _fraction_below(value, other_values[:, chosen])
        reasons.append(Reason(spec.name, spec.phrase, value, spec.unit, below, total, len(members) - 1))
    weighing = [reason for reason in reasons if reason.contribution]
    return sorted(weighing, key=lambda reason: -abs(reason.contribution))[:count]


def _fraction_below(value: float, others: np.ndarray) -> float | None:
    known = others[np.isfinite(others)]
    return float((known < value).mean()) if len(known) and np.isfinite(value) else None


def measurement(reason: Reason) -> str:
    """What was measured, and how it compares, in ASCII."""
    compared = ""
    if reason.fraction_below is not None:
        percent = min(max(round(100 * reason.fraction_below), 1), 99)
        than = {0.0: "none of the", 1.0: "all other"}.get(reason.fraction_below, f"{percent} % of")
        compared = f", higher than {than} segments"
    return f"{_measured(reason)}{compared}"


def sentence(reason: Reason) -> str:
    """A reason for a reader, in ASCII."""
    verdict = "weighs little"
    if abs(reason.contribution) >= 0.005:
        like = f" with {reason.similar} like it" if reason.similar else ""
        verdict = f"speaks {'for' if reason.contribution > 0 else 'against'} a spasm ({reason.contribution:+.2f}{like})"
    return f"{measurement(reason)}; {verdict}"


def _measured(reason: Reason) -> str:
    if np.isnan(reason.value):
        return f"{reason.text}: could not be measured"
    # Three digits that count, none beyond the fourth decimal, and no exponent.
    number = np.format_float_positional(round(reason.value, 4) + 0.0, precision=3, fractional=False, trim="-")
    return f"{reason.text}: {number} {reason.unit}".rstrip()
