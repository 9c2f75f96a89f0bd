"""`FeatureSpec` describes a kinematic feature: the name of its column, its group, its unit and its description.

A module that computes features declares their specs next to the code and yields each spec with its values, so that
description and computation agree. In names a length is in body lengths (`bl`); descriptions call it a trunk length,
because a reader could take a body length for crown to heel.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from spasm.features.body_frame import HEAD, LEFT

UNITS = {  # end of the name, and the unit in words
    "": "", "bl": "trunk lengths", "bl_s": "trunk lengths/s", "bl_s2": "trunk lengths/s^2",
    "bl_s3": "trunk lengths/s^3", "deg": "degrees", "deg_s": "degrees/s", "rad_s": "radians/s", "per_s": "per s",
    "s": "s", "hz": "Hz",
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class FeatureSpec:
    """One kinematic feature: a column of the table that LightGBM reads."""

    name: str
    group: str
    """The group of features that the same code computes; importance is summed by group."""
    measure: str
    """The kind of measure, such as "speed"; features of one measure and one subject are explained together."""
    subject: str
    """The part of the body, such as "hands"; empty for the whole body."""
    unit: str
    """The unit in words; empty for fractions, ratios and correlations."""
    phrase: str
    """The description, in plain English and ASCII."""

    @property
    def family(self) -> tuple[str, str]:
        """Measure and subject; features of one family differ only in percentile, window or direction."""
        return self.measure, self.subject


Columns = Iterator[tuple[FeatureSpec, np.ndarray]]  # specs and their values (N,)
BodyPartSpecs = dict[tuple[str, str], FeatureSpec]  # by part and side: "most", "least", or "" for the head
Declared = FeatureSpec | Mapping[Any, "Declared"] | Sequence["Declared"]


def feature(group: str, measure: str, stem: str, unit: str, phrase: str, subject: str = "") -> FeatureSpec:
    """The spec of one feature; its name is the stem and the unit, a key of `UNITS`."""
    name = f"{stem}_{unit}" if unit else stem
    return FeatureSpec(name.replace(".", "_"), group, measure, subject, UNITS[unit], phrase)


def flatten(*declared: Declared) -> tuple[FeatureSpec, ...]:
    """All specs of nested dictionaries and sequences, in the order in which they are written."""
    specs: list[FeatureSpec] = []
    for one in declared:
        if isinstance(one, FeatureSpec):
            specs.append(one)
        else:
            specs += flatten(*(one.values() if isinstance(one, Mapping) else one))
    return tuple(specs)


# ---- one feature for each part of the body

BODY_PARTS = {  # singular and plural
    "head": ("head", "head"), "shoulders": ("shoulder", "shoulders"), "elbows": ("elbow", "elbows"),
    "hands": ("hand", "hands"), "knees": ("knee", "knees"), "feet": ("foot", "feet"),
}  # fmt: skip
PAIRED_PARTS = tuple(BODY_PARTS)[1:]
# Words for the side with the larger value of a feature, and for the side with the smaller.
FASTER, MORE_MOBILE, MORE_ABRUPT = ("faster", "slower"), ("more mobile", "less mobile"), ("more abrupt", "less abrupt")
LARGER = ("", "")  # {larger} names the sides


def per_part(
    group: str,
    measure: str,
    stem: str,
    unit: str,
    phrase: str,
    sides: tuple[str, str],
    least: bool = False,
) -> BodyPartSpecs:
    """Specs of a feature for the head and for the larger side of each pair; with `least` also for the smaller side.

    Placeholders in the phrase: {part} is "the faster hand", {parts} "hands", {larger} ", the larger of two sides".
    """
    specs = {}
    for part in BODY_PARTS:
        paired = part != "head"
        for side in ("most", "least")[: 1 + (least and paired)] if paired else ("",):
            filled = phrase.format(
                part=one_of(part, sides[side == "least"]),
                parts=BODY_PARTS[part][1],
                larger=", the larger of two sides" if paired else "",
            )
            spec = feature(group, measure, f"{part}_{stem}", unit, filled, part)
            specs[part, side] = dataclasses.replace(spec, name=f"{spec.name}_{side}" if side else spec.name)
    return specs


def one_of(part: str, side: str) -> str:
    """Words for the head, or for one side of a pair: "the faster hand"."""
    return f"the {side} {BODY_PARTS[part][0]}" if part != "head" else "the head"


def by_part(specs: BodyPartSpecs, values: np.ndarray) -> Columns:
    """The columns of `per_part` from values (N, 13), one for each point of the body."""
    for (part, side), spec in specs.items():
        if part == "head":
            yield spec, values[:, HEAD]
        else:
            left, right = values[:, LEFT[part]], values[:, LEFT[part] + 1]
            yield spec, np.minimum(left, right) if side == "least" else np.fmax(left, right)


# ---- words that several groups share

LEVELS = {  # by percentile
    50: "typically (median)", 90: "at busy moments (90th percentile)", 99: "near its peak (99th percentile)",
}  # fmt: skip
LIMB_GROUPS = {"head": "the head", "arms": "the arms", "legs": "the legs"}
BURST = "the largest burst"
AROUND_BURST = {seconds: f"in the {seconds} s around {BURST}" for seconds in (1, 2)}
ACROSS_BURST = f"from before to after {BURST}"
APART = "apart from whole-body and camera motion"
