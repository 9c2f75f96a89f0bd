"""Angles and distances of the body: their extremes, their fastest changes, and their change across the burst."""

import dataclasses
from collections.abc import Callable

import numpy as np

from spasm.features.body_frame import HEAD, LEFT
from spasm.features.catalogue import ACROSS_BURST, Columns, FeatureSpec, feature, flatten
from spasm.features.nan_math import angle_deg, highest, length, lowest, mean, quantiles, savgol, window_around


@dataclasses.dataclass(frozen=True, eq=False)
class Body:
    """Points of the body about mid-hips: head and neck (N, 1, 3, T), the others (N, 2, 3, T), left and right."""

    head: np.ndarray
    neck: np.ndarray
    """The middle of the shoulders, which is also the vector of the trunk, because mid-hips is the origin."""
    upward: np.ndarray
    """The trunk's mean direction, of length 1."""
    shoulder: np.ndarray
    hip: np.ndarray
    elbow: np.ndarray
    hand: np.ndarray
    knee: np.ndarray
    foot: np.ndarray

    @classmethod
    def of(cls, position: np.ndarray) -> "Body":
        """From the 13 points, position (N, 13, 3, T) about mid-hips."""
        shoulder, hip, elbow, hand, knee, foot = (position[:, left : left + 2] for left in LEFT.values())
        neck = shoulder.mean(axis=1, keepdims=True)
        upward = np.zeros_like(neck)
        upward[:, :, 0] = 1
        return cls(position[:, [HEAD]], neck, upward, shoulder, hip, elbow, hand, knee, foot)


@dataclasses.dataclass(frozen=True)
class Signal:
    """An angle or a distance in each frame, with the words for it and for its fall and its rise."""

    group: str
    name: str
    unit: str
    sides: int
    """2 if left and right are measured separately."""
    words: str
    falling: str
    rising: str
    measure: Callable[[Body], np.ndarray]
    """Computes its values (N, sides, T)."""

    def specs(self) -> dict[str, FeatureSpec]:
        smaller, larger = (f", the {which} of two sides" if self.sides == 2 else "" for which in ("smaller", "larger"))
        posture, change, per_s = "posture", "change of posture", f"{self.unit}_s"

        def spec(measure: str, stem: str, unit: str, phrase: str) -> FeatureSpec:
            return feature(self.group, measure, f"{self.name}_{stem}", unit, phrase, self.name)

        return {
            "p5": spec(posture, "p5", self.unit, f"{self.words} at its smallest (5th percentile){smaller}"),
            "median": spec(posture, "median", self.unit, f"{self.words}, typically (median){larger}"),
            "p95": spec(posture, "p95", self.unit, f"{self.words} at its largest (95th percentile){larger}"),
            "range": spec(change, "range", self.unit, f"range of the {self.words}, 5th to 95th percentile{larger}"),
            "fall": spec(change, "fall_fastest", per_s, f"fastest {self.falling} (99th percentile){larger}"),
            "rise": spec(change, "rise_fastest", per_s, f"fastest {self.rising} (99th percentile){larger}"),
            "change": spec(change, "event_change", self.unit, f"change of the {self.words} {ACROSS_BURST}{larger}"),
        }  # fmt: skip


def _distance(name: str, pair: str, sides: int, measure: Callable[[Body], np.ndarray], group: str = "") -> Signal:
    words = f"distance between {pair}", f"approach of {pair}", f"separation of {pair}"
    return Signal(group or "distances", name, "bl", sides, *words, measure)


def _joint(name: str, measure: Callable[[Body], np.ndarray]) -> Signal:
    words = f"{name} angle (180 straight)", f"bending of the {name}", f"straightening of the {name}"
    return Signal("joint angles", name, "deg", 2, *words, measure)


TRUNK = "trunk and neck"
SIGNALS = (
    Signal(TRUNK, "neck_flexion", "deg", 1, "angle between head and trunk (0 in line)",
           "return of the head into line with the trunk", "bending of the head out of line with the trunk",
           lambda body: angle_deg(body.head - body.neck, body.neck)),
    Signal(TRUNK, "trunk_tilt", "deg", 1, "tilt of the trunk from its mean direction",
           "return of the trunk to its mean direction", "tilting of the trunk from its mean direction",
           lambda body: angle_deg(body.neck, body.upward)),
    Signal(TRUNK, "trunk_length", "bl", 1, "length of the trunk in the picture",
           "shortening of the trunk in the picture", "lengthening of the trunk in the picture",
           lambda body: length(body.neck)),
    _distance("head_to_neck", "head and mid-shoulders", 1, lambda body: length(body.head - body.neck), TRUNK),
    _distance("head_to_hips", "head and mid-hips", 1, lambda body: length(body.head), TRUNK),
    _distance("hand_to_hand", "the hands", 1, lambda body: length(body.hand[:, :1] - body.hand[:, 1:])),
    _distance("knee_to_knee", "the knees", 1, lambda body: length(body.knee[:, :1] - body.knee[:, 1:])),
    _distance("foot_to_foot", "the feet", 1, lambda body: length(body.foot[:, :1] - body.foot[:, 1:])),
    _joint("hip", lambda body: angle_deg(body.shoulder - body.hip, body.knee - body.hip)),
    _joint("knee", lambda body: angle_deg(body.hip - body.knee, body.foot - body.knee)),
    Signal("joint angles", "shoulder", "deg", 2, "angle between trunk and upper arm",
           "closing of the angle between trunk and upper arm", "opening of the angle between trunk and upper arm",
           lambda body: angle_deg(body.hip - body.shoulder, body.elbow - body.shoulder)),
    _joint("elbow", lambda body: angle_deg(body.shoulder - body.elbow, body.hand - body.elbow)),
    _distance("hand_to_head", "hand and head", 2, lambda body: length(body.hand - body.head)),
    _distance("hand_to_shoulder", "hand and same-side shoulder", 2, lambda body: length(body.hand - body.shoulder)),
    _distance("hand_to_hips", "hand and mid-hips", 2, lambda body: length(body.hand)),
    _distance("foot_to_hip", "foot and same-side hip", 2, lambda body: length(body.foot - body.hip)),
    _distance("knee_to_shoulder", "knee and same-side shoulder", 2, lambda body: length(body.knee - body.shoulder)),
)  # fmt: skip
POSTURE = {signal.name: signal.specs() for signal in SIGNALS}


def angles_and_distances(position: np.ndarray, event: np.ndarray) -> Columns:
    """From position (N, 13, 3, T) about mid-hips and the frame (N,) of the event."""
    body = Body.of(position)
    series = np.concatenate([signal.measure(body) for signal in SIGNALS], axis=1)
    low, middle, high = quantiles(series, 0.05, 0.5, 0.95)
    falls, rises = quantiles(savgol(series, 1), 0.01, 0.99)
    near = window_around(series, event, 18)
    values = {
        "p5": low, "median": middle, "p95": high, "range": high - low, "fall": -falls, "rise": rises,
        "change": mean(near[..., -10:]) - mean(near[..., :10]),
    }  # fmt: skip
    first = 0
    for signal in SIGNALS:
        for kind, spec in POSTURE[signal.name].items():
            sides = values[kind][:, first : first + signal.sides]
            yield spec, lowest(sides) if kind == "p5" else highest(sides)
        first += signal.sides


SPECS = flatten(POSTURE)
