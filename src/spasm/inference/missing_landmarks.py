"""Landmarks that a run had in training and new poses never have, as when another pose tool made them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from spasm.config.data import LandmarkSet
from spasm.core.errors import printable
from spasm.data import recordings
from spasm.data.landmark_sets import KEPT, keep_landmarks
from spasm.data.landmarks import LANDMARKS
from spasm.data.pose import visible_mask
from spasm.runs.artefacts import Decision

USUAL = 0.9  # a landmark found in this fraction of the training frames with a pose is missed where it is never found
NAMED = 3  # landmarks named in a message; the others are counted


def usual_landmarks(decision: Decision) -> np.ndarray:
    """Which landmarks the training almost always had, (33,) bool."""
    return np.array([decision.landmark_fractions[name] >= USUAL for name in LANDMARKS])


def missing_landmarks(found: np.ndarray, decision: Decision) -> np.ndarray:
    """Which landmarks of each segment are missing although the training had them, (N, 33) bool.

    found: (N, 33) bool, the landmark was found in some frame. Nothing is missing in a segment without any pose.
    """
    return np.asarray(usual_landmarks(decision) & ~found & found.any(axis=1, keepdims=True))


def segment_note(missing: np.ndarray) -> str:
    """A note on one segment, for missing landmarks (33,) bool; empty if there are none."""
    if not missing.any():
        return ""
    are = "landmark that the training had is" if missing.sum() == 1 else "landmarks that the training had are"
    return f"{missing.sum()} {are} missing: {_names(missing)}"


def describe_missing(missing: np.ndarray, what: str, run: Path, decision: Decision) -> str:
    """What is missing in a batch of segments or recordings, and what to do, in one line; empty if nothing is.

    missing: (N, 33) bool; what: segments or recordings.
    """
    affected = missing.any(axis=1)
    if not affected.any():
        return ""
    lacking = np.asarray(missing[affected].mean(axis=0) > 0.5)  # in most of these
    if not lacking.any():
        lacking = np.asarray(missing[affected].any(axis=0))
    count, whole = int(affected.sum()), len(missing)
    some = f"all {whole} {what}" if count == whole > 1 else f"{count} of {whole} {what}"
    usual = int(usual_landmarks(decision).sum())
    return (
        f"{some} lack {lacking.sum()} of the {usual} landmarks that {printable(run)} was trained with "
        f"({_names(lacking)}); {_remedy(lacking)}"
    )


def missing_in_recordings(lengths: Mapping[Path, int], decision: Decision) -> np.ndarray:
    """Which landmarks of each recording are missing although the training had them, (R, 33) bool.

    Reads a recording only until each of them was found. Raises DataError.
    """
    usual = usual_landmarks(decision)
    found = np.zeros((len(lengths), len(LANDMARKS)), dtype=bool)
    for row, path in zip(found, lengths, strict=True):
        for _, poses in recordings.windows(path, decision.frames, decision.frames):
            row |= visible_mask(keep_landmarks(poses, decision.data.landmarks)).any(axis=(0, 1))
            if row[usual].all():
                break
    return missing_landmarks(found, decision)


def _remedy(lacking: np.ndarray) -> str:
    """What to do where these landmarks (33,) bool are missing."""
    names = {name for name, is_lacking in zip(LANDMARKS, lacking, strict=True) if is_lacking}
    fitting = [landmarks for landmarks in KEPT if names.isdisjoint(KEPT[landmarks])]
    if not fitting:
        return "the predictions rest on the others: use poses that have them"
    largest: LandmarkSet = max(fitting, key=lambda landmarks: len(KEPT[landmarks]))
    return f"this costs accuracy (docs/data.md): use a run that was trained with --landmarks {largest}"


def _names(chosen: np.ndarray) -> str:
    names = [name for name, is_chosen in zip(LANDMARKS, chosen, strict=True) if is_chosen]
    return ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")
