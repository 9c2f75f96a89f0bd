"""What an exported network says of itself: one JSON object, in the ONNX file and beside the page that reads it."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from spasm.config.runtime import ABSTAIN
from spasm.core.errors import printable
from spasm.data.landmarks import LANDMARKS
from spasm.data.pose import CHANNELS, FPS
from spasm.evaluation import bootstrap, metrics
from spasm.report import console
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


def describe(
    run: Path, decision: Decision, oof: OofTable, network: Labelled, threshold: float, other: Path | None = None
) -> Tree:
    """The object for a network of a run.

    oof: the out-of-fold rows with the predictions of the blend that the network is compared with, that of `other` if
    there is one; network: its own predictions for these rows, cross-fitted as those of the blend are; threshold: for
    new segments.
    """
    blend = Labelled(oof.probabilities, oof.positive)
    return {
        "schema": SCHEMA,
        "run": printable(run.absolute().name),
        "compared_with": printable((other or run).absolute().name),
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
        **measured(oof.labels, oof.children, network, blend, decision.frames, OUT_OF_FOLD, oof.folds),
        "no_pose_probability": 1 / (1 + math.exp(-decision.no_pose_logit)),
        "warning": WARNING + (SIMULATED if decision.data.simulated else ""),
        "rule": {**RULE, "sum_threshold": threshold},
    }


def measured(
    labels: np.ndarray,
    children: np.ndarray,
    network: Labelled,
    blend: Labelled,
    frames: int,
    where: str,
    folds: np.ndarray | None = None,
) -> Tree:
    """The part of the object that was measured on labelled segments, which `where` describes.

    frames: T; folds: (N,) the fold whose models gave each prediction; None: all folds gave each.
    """
    names = children.tolist()
    found = metrics.evaluate(labels, network.probabilities, network.positive, names, folds)
    specificity = found["specificity"]["value"]
    return {
        "metrics": {name: found[name] for name in SHOWN},
        # Windows of T frames one after the other, each without a spasm.
        "false_alarms_per_hour": None if specificity is None else (1 - specificity) * 3600 * FPS / frames,
        "measured_on": {"segments": len(labels), "children": len(set(names)), "where": where},
        "compared_with_blend": compare(labels, children, network, blend, folds),
    }


def compare(
    labels: np.ndarray,
    children: np.ndarray,
    network: Labelled,
    blend: Labelled,
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
    return {
        name: bootstrap.interval(point[name] - of_blend[name], replicates[name] - replicates_of_blend[name], count)
        for name in COMPARED
    }


# ---- in words


def lines(about: Tree) -> list[str]:
    """What was measured of an exported network, for the terminal."""
    return [
        f"the network alone, at its own threshold of {about['threshold']:.3f}, on {about['measured_on']['where']}:",
        *(f"  {name:12}{_with_interval(about['metrics'][name])}" for name in SHOWN),
        f"the network alone minus the blend of {about['compared_with']}, on the same segments:",
        *(f"  {name:12}{_with_interval(about['compared_with_blend'][name])}" for name in COMPARED),
    ]


def _with_interval(metric: Mapping[str, float | None]) -> str:
    """A metric with its 95 % interval."""
    value, low, high = (console.number(metric[key]) for key in ("value", "low", "high"))
    return f"{value}   95 % interval {low.strip()} to {high.strip()}"
