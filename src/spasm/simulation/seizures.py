"""The seizures of a simulated recording: clusters of spasms, with the onset of each in the EEG and on the video."""

import numpy as np

# Spasms of a cluster come every 5 to 30 s (spasms.py); a longer pause than this ends a seizure (assumed).
PAUSE_S = 60.0
# By how much the EEG of a seizure starts before its first spasm (assumed; no measurement was found).
EEG_AHEAD_S = (2.0, 10.0)
STREAM = 9  # last key of the random generators


def seizure_onsets(rng: np.random.Generator, spasms_s: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """EEG onset and clinical onset of each seizure in seconds, from the onsets and ends of all spasms in order.

    A cluster of spasms is one seizure, a spasm by itself too; the clinical onset is that of the first spasm.
    """
    onsets_s = [
        onset_s
        for place, (onset_s, _) in enumerate(spasms_s)
        if place == 0 or onset_s - spasms_s[place - 1][1] > PAUSE_S
    ]
    return [(round(max(0.0, onset_s - rng.uniform(*EEG_AHEAD_S)), 3), onset_s) for onset_s in onsets_s]
