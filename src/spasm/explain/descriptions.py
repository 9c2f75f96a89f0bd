"""Why LightGBM predicts what it does for a segment, in words: from contributions to log-odds to a few sentences.

The words for each feature stand in its spec, beside the code that computes it.
"""

import dataclasses
import re
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

# Strength words: from which contribution to the log-odds on. 1 multiplies the odds by 2.7, 0.5 by 1.6, 0.25 by 1.3.
STRENGTHS = ((1.0, "very strongly"), (0.5, "strongly"), (0.25, "moderately"), (0.1, "slightly"), (0.0, "hardly"))
# Level words: up to which rank among the other segments, from 0, the lowest, to 1.
LEVELS = ((0.05, "very low"), (0.25, "low"), (0.75, "average"), (0.95, "high"), (1.0, "very high"))

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
    fraction_above: float | None
    """The same of those that have a higher one."""
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
    for columns in families.values():
        total = float(contributions[columns].sum())
        chosen = max(columns, key=lambda column: contributions[column] * np.sign(total))
        spec, value = CATALOGUE[names[chosen]], float(values[chosen])
        below, above = _fractions(value, np.zeros(0) if other_values is None else other_values[:, chosen])
        reasons.append(Reason(spec.name, spec.phrase, value, spec.unit, below, above, total, len(columns) - 1))
    weighing = [reason for reason in reasons if reason.contribution]
    return sorted(weighing, key=lambda reason: -abs(reason.contribution))[:count]


def _fractions(value: float, others: np.ndarray) -> tuple[float | None, float | None]:
    known = others[np.isfinite(others)]
    if not (len(known) and np.isfinite(value)):
        return None, None
    return float((known < value).mean()), float((known > value).mean())


# ---- words, in ASCII


def sentence(reason: Reason) -> str:
    """A reason for a reader: what was measured, how it compares, and how strongly it speaks for or against."""
    phrase = short_phrase(reason.text)
    side = "for" if reason.contribution > 0 else "against"
    return f"{phrase[0].upper()}{phrase[1:]}: {compare(reason)}, {strength(reason.contribution)} {side} a spasm"


def short_phrase(phrase: str) -> str:
    """What a feature measures, without percentiles, sides and remarks in brackets."""
    return re.sub(r" \([^()]*\)|, the \w+ of two sides|, \d+th to \d+th percentile", "", phrase)


def compare(reason: Reason) -> str:
    """How a value compares with those of the other segments; the value itself where nothing can be compared."""
    below, above = reason.fraction_below, reason.fraction_above
    if below is None or above is None:
        return measured(reason)
    rank = (below + 1 - above) / 2  # of many equal values the middle
    level = next(word for highest, word in LEVELS if rank <= highest)
    if level == "average":
        return "average (middle half of segments)"
    end, fraction = ("lowest", 1 - above) if rank < 0.5 else ("highest", 1 - below)
    return f"{level} ({end} {_percent(fraction)} of segments)" if fraction else f"{level} ({end} of all segments)"


def strength(contribution: float) -> str:
    """The word for a contribution to the log-odds."""
    return next(word for least, word in STRENGTHS if abs(contribution) >= least)


def describe_strengths() -> str:
    """What the strength words mean, in one sentence."""
    words = [f"{word} from {least:g}" for least, word in STRENGTHS[:-1]]
    return f"Words for them: {', '.join(words)} log-odds on, {STRENGTHS[-1][1]} below; 0.7 doubles the odds."


def measured(reason: Reason) -> str:
    """The value and its unit: three digits that count, none beyond the fourth decimal, and no exponent."""
    if np.isnan(reason.value):
        return "could not be measured"
    number = np.format_float_positional(round(reason.value, 4) + 0.0, precision=3, fractional=False, trim="-")
    return f"{number} {reason.unit}".rstrip()


def _percent(fraction: float) -> str:
    return f"{min(max(round(100 * fraction), 1), 99)} %"
