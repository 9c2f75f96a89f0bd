"""Alarms by accumulated probability, and their latency to the onsets of seizures (VSViG, arXiv 2311.14775).

The paper raises an alarm when the probability that was accumulated over time passes a threshold. It publishes neither
the span nor the threshold: here both are given, and the threshold can be chosen on other children.
"""

import bisect
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

CANDIDATES = 200  # thresholds that are compared


class Rule(NamedTuple):
    """How probabilities become alarms."""

    span: float
    """Windows, or seconds, over which probability is accumulated."""
    over: Literal["clips", "seconds"]
    """clips: the sum over the last `span` windows, as published; a window that ended `span` interictal strides ago or
    earlier does not count, so that a gap joins nothing. seconds: the integral over the last `span` seconds, in which
    each window counts for the time since the window before, at most one interictal stride."""
    floor: float
    """A probability below it counts as 0."""
    refractory_s: float
    """Seconds after an alarm in which no other one is raised."""
    stride_s: float
    """Interictal stride: seconds between windows far from a seizure; published: 5."""


class Trace(NamedTuple):
    """The predictions of one recording, in the order of time."""

    recording: str
    child: str
    fold: int
    ends_s: np.ndarray  # (W,) the ends of the windows, rising
    probability: np.ndarray  # (W,)
    interictal: np.ndarray  # (W,) bool
    length_s: float  # of a window
    seizures: tuple[tuple[float, float], ...]  # EEG and clinical onset of each, in s

    def until_s(self, number: int) -> float:
        """The end of what was cut for a seizure: its last window before the next seizure's EEG onset."""
        begin_s, end_s = self.seizures[number][0], np.inf
        if number + 1 < len(self.seizures):
            end_s = self.seizures[number + 1][0]
        inside = self.ends_s[(self.ends_s >= begin_s) & (self.ends_s < end_s) & ~self.interictal]
        return float(inside[-1]) if len(inside) else begin_s


def accumulate(ends_s: np.ndarray, probability: np.ndarray, rule: Rule) -> np.ndarray:
    """The accumulated probability A (W,) at the end of each window; arguments: (W,), in the order of time."""
    counted = np.where(probability >= rule.floor, probability, 0.0)
    steps = np.diff(ends_s, prepend=ends_s[:1] - rule.stride_s)
    if rule.over == "seconds":
        counted = counted * np.minimum(steps, rule.stride_s)
    reach_s = rule.span * (rule.stride_s if rule.over == "clips" else 1.0)
    first = np.searchsorted(ends_s, ends_s - reach_s + 1e-6)
    if rule.over == "clips":
        first = np.maximum(first, np.arange(len(ends_s)) + 1 - int(rule.span))
    total = np.concatenate([[0.0], np.cumsum(counted)])
    return total[1:] - total[first]


def find_alarms(ends_s: np.ndarray, accumulated: np.ndarray, threshold: float, refractory_s: float) -> list[float]:
    """The times in s at which A reaches the threshold, none within the refractory time after another."""
    alarms: list[float] = []
    for time_s in ends_s[accumulated >= threshold - 1e-9].tolist():
        if not alarms or time_s >= alarms[-1] + refractory_s:
            alarms.append(time_s)
    return alarms


class Detected(NamedTuple):
    """A seizure and the first alarm between its EEG onset and the end of its windows."""

    recording: str
    child: str
    eeg_onset_s: float
    clinical_onset_s: float
    alarm_s: float | None


class Outcome(NamedTuple):
    """The alarms of one recording."""

    seizures: list[Detected]
    alarms: list[tuple[float, bool]]  # time in s, and whether it is false


def score_alarms(trace: Trace, alarms: Sequence[float]) -> Outcome:
    """Assign alarms to seizures. An alarm before an EEG onset, or after the last window of a seizure, is false."""
    spans = [(eeg, trace.until_s(number)) for number, (eeg, _) in enumerate(trace.seizures)]
    found = []
    for (eeg, clinical), (begin_s, end_s) in zip(trace.seizures, spans, strict=True):
        first = bisect.bisect_left(alarms, begin_s)
        hit = alarms[first] if first < len(alarms) and alarms[first] <= end_s else None
        found.append(Detected(trace.recording, trace.child, eeg, clinical, hit))
    marked = [(time_s, not any(begin_s <= time_s <= end_s for begin_s, end_s in spans)) for time_s in alarms]
    return Outcome(found, marked)


def covered_s(ends_s: np.ndarray, length_s: float) -> float:
    """Seconds that windows with these ends cover; time in several windows counts once."""
    if not len(ends_s):
        return 0.0
    return float(length_s + np.minimum(np.diff(ends_s), length_s).sum())


def choose_threshold(traces: Sequence[Trace], rule: Rule, false_per_hour: float) -> float:
    """The threshold with the most detected seizures at no more than so many false alarms per interictal hour.

    Of equals, the one with the shortest mean latency, then the highest. Candidates are values that A has here.
    Without a seizure that is detected at this rate, it lies above every A: no alarm is better than false ones.
    """
    curves = [accumulate(one.ends_s, one.probability, rule) for one in traces]
    values = np.unique(np.concatenate(curves)) if curves else np.zeros(0)
    highest = float(values[-1]) if len(values) else 0.0
    values = values[values > 0]
    if len(values) > CANDIDATES:
        values = values[np.linspace(0, len(values) - 1, CANDIDATES).round().astype(int)]
    hours = sum(covered_s(one.ends_s[one.interictal], one.length_s) for one in traces) / 3600
    best, chosen = (0, 0.0), np.nextafter(highest, np.inf) + 1e-6
    for threshold in values[::-1].tolist():
        outcomes = [
            score_alarms(one, find_alarms(one.ends_s, curve, threshold, rule.refractory_s))
            for one, curve in zip(traces, curves, strict=True)
        ]
        false = sum(is_false for outcome in outcomes for _, is_false in outcome.alarms)
        if false > false_per_hour * hours:
            continue
        late = [
            one.alarm_s - one.eeg_onset_s for outcome in outcomes for one in outcome.seizures if one.alarm_s is not None
        ]
        quality = (len(late), -float(np.mean(late)) if late else 0.0)
        if late and quality > best:
            best, chosen = quality, threshold
    return float(chosen)


def thresholds_by_fold(traces: Sequence[Trace], rule: Rule, false_per_hour: float) -> Mapping[int, float]:
    """For each fold, the threshold that is chosen on the recordings of the other folds."""
    folds = sorted({one.fold for one in traces})
    return {fold: choose_threshold([one for one in traces if one.fold != fold], rule, false_per_hour) for fold in folds}
