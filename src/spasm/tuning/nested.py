"""Evaluate a search on children that it never used."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spasm.config.ensemble import Blend
from spasm.core import processes
from spasm.data.dataset import TrainingData
from spasm.ensemble.blending import OofScores, fit_blend
from spasm.ensemble.calibration import logit, logit_without_pose
from spasm.evaluation import bootstrap, metrics
from spasm.tuning.search import Scorer, Search, fold_scorer, log_losses, out_of_fold
from spasm.tuning.spaces import with_values


@dataclasses.dataclass(frozen=True, eq=False)
class HeldOutPredictions:
    """Predictions for children who were held out when the settings were chosen."""

    rows: np.ndarray
    """(M,) the row numbers of their segments."""
    probabilities: np.ndarray
    """(M,) probabilities."""
    positive: np.ndarray
    """(M,) bool: the predicted labels."""


def predict_held_out(
    search: Search, values: Sequence[Mapping[str, Any]], parent: int, score: Scorer | None = None
) -> list[HeldOutPredictions]:
    """Train each of several settings on all but the outer fold's children, and predict those.

    Calibration and threshold come from out-of-fold rows of the training children, so that the predictions do not depend
    on any label of the held-out children. score: as in `work`.
    """
    processes.die_with_parent(parent)
    data, trained_on = search.data, search.fold_of != search.outer_fold
    score = score or fold_scorer(search)
    held_out, children = np.flatnonzero(~trained_on), np.array(data.children)
    predictions = []
    for changed in values:
        settings = with_values(search.model.config(), changed)
        *_, logits = out_of_fold(search, score, settings)
        assert search.outer_fold is not None
        scored = np.flatnonzero(~trained_on & data.has_pose)
        logits[scored] = score(settings, np.flatnonzero(trained_on & data.has_pose), scored, search.outer_fold)
        logits[~data.has_pose] = logit_without_pose(data.labels[trained_on], data.has_pose[trained_on])
        rows = OofScores({search.model.name: logits}, children, data.has_pose)
        parameters = fit_blend(rows.at(trained_on), data.labels[trained_on], Blend())
        probabilities = parameters.probability(rows.at(held_out))
        predictions.append(HeldOutPredictions(held_out, probabilities, probabilities >= parameters.threshold))
    return predictions


def nested_metrics(
    data: TrainingData, tuned: Sequence[HeldOutPredictions], default: Sequence[HeldOutPredictions]
) -> dict[str, Any]:
    """Metrics of tuned and default settings and their paired difference, with intervals over children.

    Log loss: of the probabilities, in nats; lower is better.
    """
    found: dict[str, Any] = {}
    both = {}
    child = bootstrap.number_children(data.children)
    count = int(child.max()) + 1
    # The same resamples as in `metrics.cluster_bootstrap`.
    resampled = bootstrap.sample_children(count, np.random.default_rng(0))
    for name, predictions in (("tuned", tuned), ("default", default)):
        probabilities, positive = np.empty(len(data.labels)), np.zeros(len(data.labels), dtype=bool)
        fold_of = np.zeros(len(data.labels), dtype=int)
        for fold, part in enumerate(predictions):
            probabilities[part.rows], positive[part.rows], fold_of[part.rows] = part.probabilities, part.positive, fold
        point, replicates = metrics.cluster_bootstrap(data.labels, probabilities, positive, data.children, fold_of)
        losses = log_losses(logit(probabilities), data.labels)
        point["log_loss"] = float(losses.mean())
        replicates["log_loss"] = bootstrap.mean_replicates(losses, child, resampled)
        found[name] = {key: bootstrap.interval(point[key], replicates[key], count) for key in point}
        both[name] = point, replicates
    (tuned_point, tuned_replicates), (default_point, default_replicates) = both["tuned"], both["default"]
    found["tuned_minus_default"] = {
        key: bootstrap.interval(
            tuned_point[key] - default_point[key], tuned_replicates[key] - default_replicates[key], count
        )
        for key in ("f1", "auc", "within_child_auc", "brier", "log_loss")
    }
    return found
