"""Metrics of alarms at seizures, with intervals over children."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from spasm.evaluation import bootstrap
from spasm.evaluation.seizure_onsets import Outcome, Trace, covered_s

SEED = 0  # of the resampled children


def evaluate_traces(
    traces: Sequence[Trace],
    outcomes: Sequence[Outcome],
    probability: np.ndarray,
    target: np.ndarray,
    children: np.ndarray,
) -> dict[str, Any]:
    """Sensitivity, latencies, false alarms per hour and the error, each with its interval over children.

    probability, target: (N,) of all windows, and children: (N,) text. An interval is None where it is undefined. Both
    counts of false alarms have the same alarms: those outside of [EEG onset, end of the seizure's windows].
    """
    names = sorted({one.child for one in traces})
    number = {child: place for place, child in enumerate(names)}
    sums = np.zeros((5, len(names)))  # seizures, detected ones, false alarms, interictal hours, hours of all windows
    for trace, outcome in zip(traces, outcomes, strict=True):
        column = sums[:, number[trace.child]]
        column[0] += len(outcome.seizures)
        column[1] += sum(one.alarm_s is not None for one in outcome.seizures)
        column[2] += sum(is_false for _, is_false in outcome.alarms)
        column[3] += covered_s(trace.ends_s[trace.interictal], trace.length_s) / 3600
        column[4] += covered_s(trace.ends_s, trace.length_s) / 3600
    found = [one for outcome in outcomes for one in outcome.seizures if one.alarm_s is not None]
    owner = np.array([number[one.child] for one in found], dtype=int)
    rows = np.array([number[child] for child in children.tolist()], dtype=int)
    resampled = bootstrap.sample_children(len(names), np.random.default_rng(SEED))

    def ratio(top: int, bottom: int) -> bootstrap.Estimate:
        with np.errstate(divide="ignore", invalid="ignore"):
            replicates = (resampled @ sums[top]) / (resampled @ sums[bottom])
            point = sums[top].sum() / sums[bottom].sum()
        return bootstrap.interval(float(point), replicates, len(names))

    def median(values: Sequence[float]) -> dict[str, Any]:
        if not values:
            return {"value": None, "low": None, "high": None, "shortest": None, "longest": None}
        repeated = [np.repeat(values, counts[owner]) for counts in resampled]
        replicates = np.array([np.median(one) if len(one) else math.nan for one in repeated])
        estimate = bootstrap.interval(float(np.median(values)), replicates, len(names))
        return {**estimate, "shortest": min(values), "longest": max(values)}

    def error(predicted: np.ndarray) -> bootstrap.Estimate:
        squared = (predicted - target) ** 2
        replicates = 100 * np.sqrt(
            resampled @ np.bincount(rows, squared, len(names)) / (resampled @ np.bincount(rows, minlength=len(names)))
        )
        return bootstrap.interval(100 * math.sqrt(float(squared.mean())), replicates, len(names))

    return {
        "children": len(names),
        "recordings": len(traces),
        "seizures": int(sums[0].sum()),
        "interictal_hours": float(sums[3].sum()),
        "hours": float(sums[4].sum()),
        "metrics": {
            "sensitivity": ratio(1, 0),
            "latency_to_eeg_onset_s": median(
                [one.alarm_s - one.eeg_onset_s for one in found if one.alarm_s is not None]
            ),
            "latency_to_clinical_onset_s": median(
                [one.alarm_s - one.clinical_onset_s for one in found if one.alarm_s is not None]
            ),
            "false_alarms_per_interictal_hour": ratio(2, 3),
            "false_alarms_per_hour": ratio(2, 4),
            "error": error(probability),
            "trivial_error": error(np.full(len(target), target.mean())),
        },
    }
