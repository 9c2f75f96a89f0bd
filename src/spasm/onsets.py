"""Between the onset in the EEG and the one that can be seen: how much of a seizure a segment is taught to be."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

STEEPNESS = 5.0  # not published by VSViG; what a re-implementation took


def ramp(time_s: float, eeg_onset_s: float, clinical_onset_s: float) -> float:
    """The probability that VSViG is taught for a clip that ends at `time_s`.

    0 before the onset in the EEG, 1 from the clinical onset on, between them (exp(k u) - 1) / (exp(k) - 1), where u
    runs from 0 to 1 and k is STEEPNESS (Xu et al. 2024, arXiv 2311.14775).
    """
    if time_s >= clinical_onset_s:
        return 1.0
    if time_s <= eeg_onset_s:
        return 0.0
    passed = (time_s - eeg_onset_s) / (clinical_onset_s - eeg_onset_s)
    return math.expm1(STEEPNESS * passed) / math.expm1(STEEPNESS)


def targets(
    names: Sequence[str], labels: np.ndarray, onsets: Mapping[str, tuple[float, float]], length_s: float
) -> np.ndarray:
    """(N,) float32: the ramp at the end of segments whose onsets are known, else labels; onsets in s from the start."""
    values = labels.astype(np.float32)
    for row, name in enumerate(names):
        if name in onsets:
            values[row] = ramp(length_s, *onsets[name])
    return values
