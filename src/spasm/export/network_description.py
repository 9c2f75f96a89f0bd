"""What an exported network says of itself: one JSON object, in the ONNX file and beside the page that reads it."""

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from spasm.config.runtime import ABSTAIN
from spasm.core.errors import printable
from spasm.data.landmarks import LANDMARKS
from spasm.data.pose import CHANNELS, FPS
from spasm.evaluation import bootstrap, metrics
from spasm.runs.artefacts import Decision
from spasm.runs.oof_table import OofTable

SCHEMA = 1
"""Version of the object."""
SHOWN, COMPARED = ("sensitivity", "specificity", "f1", "auc"), ("f1", "auc")
OUT_OF_FOLD = "out-of-fold predictions of the run's own children"
# The accumulation rule at the network's own threshold: an event for each window that the threshold calls positive.
RULE = {"sum_windows": 1, "sum_floor": 0.0, "refractory_s": 5.0}
WARNING = (
    "Research software, not a medical device. This is one network alone, not the run's blend of models. "
    "A low probability does not mean that there was no spasm; see a doctor if in doubt."
)
SIMULATED = " Trained on SIMULATED data: its predictions and metrics say nothing about real children."
Tree = dict[str, Any]


class Labelled(NamedTuple):
    """Predictions for N segments, of the network or of the blend."""

    probabilities: np.ndarray
    """(N,) in 0..1."""
    positive: np.ndarray
    """(N,) bool: the predicted label, at the threshold that belongs to them."""


def describe(run: Path, decision: Decision, oof: OofTable, network: Labelled, threshold: float) -> Tree:
    """The object for a network of a run.

    network: its predictions for the out-of-fold rows, cross-fitted as those of the blend are; threshold: for new
    segments.
    """
    children = oof.children.tolist()
    found = metrics.evaluate(oof.labels, network.probabilities, network.positive, children, oof.folds)
    specificity = found["specificity"]["value"]
    blend = Labelled(oof.probabilities, oof.positive)
    return {
        "schema": SCHEMA,
        "run": printable(run.absolute().name),
        "simulated": decision.data.simulated,
        "trained_on": {
            "segments": decision.data.segments,
            "children": decision.data.children,
            "positives": decision.data.positives,
        },
        "prevalence": decision.prevalence,
        "frames": decision.frames,
        "fps": int(FPS),
        "channels": list(CHANNELS),
        "landmarks": list(LANDMARKS),
        "landmark_set": decision.data.landmarks,
        "folds": decision.folds,
        "threshold": threshold,
        "abstain": ABSTAIN,
        "metrics": {name: found[name] for name in SHOWN},
        # Windows of T frames one after the other, each without a spasm.
        "false_alarms_per_hour": None if specificity is None else (1 - specificity) * 3600 * FPS / decision.frames,
        "compared_with_blend": compare(oof.labels, oof.children, network, blend, OUT_OF_FOLD, oof.folds),
        "no_pose_probability": 1 / (1 + math.exp(-decision.no_pose_logit)),
        "warning": WARNING + (SIMULATED if decision.data.simulated else ""),
        "rule": {**RULE, "sum_threshold": threshold},
    }


def compare(
    labels: np.ndarray,
    children: np.ndarray,
    network: Labelled,
    blend: Labelled,
    where: str,
    folds: np.ndarray | None = None,
) -> Tree:
    """F1 and AUC of the network minus those of the blend, paired: in the same resamples of the children.

    folds: (N,) the fold whose models gave each prediction; None: all folds gave each.
    """
    (point, replicates), (of_blend, replicates_of_blend) = (
        metrics.cluster_bootstrap(labels, one.probabilities, one.positive, children.tolist(), folds)
        for one in (network, blend)
    )
    count = len(set(children.tolist()))
    differences: Tree = {
        name: bootstrap.interval(point[name] - of_blend[name], replicates[name] - replicates_of_blend[name], count)
        for name in COMPARED
    }
    return {**differences, "where": where}
