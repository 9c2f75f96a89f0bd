"""Evaluating a search on children that it never used."""

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
from spasm.tuning.search import Search, fold_scorer, log_losses, out_of_fold
from spasm.tuning.spaces import DEFAULTS, with_values


@dataclasses.dataclass(frozen=True, eq=False)
class Judged:
    """Held-out people answered by settings that were chosen without them."""

    rows: np.ndarray
    """(M,) the row numbers of their segments."""
    probabilities: np.ndarray
    """(M,) probabilities."""
    positive: np.ndarray
    """(M,) bool, the answers."""


def judge(search: Search, values: Sequence[Mapping[str, Any]], parent: int) -> list[Judged]:
    """Train each of several settings on all but the outer fold's people, and answer those.

    Calibration and threshold come from out-of-fold rows of the training people, so that nothing at all of the held-out
    people enters their answers.
    """
    processes.die_with_parent(parent)
    data, seen = search.data, search.fold_of != search.outer_fold
    held_out, children, score = np.flatnonzero(~seen), np.array(data.children), fold_scorer(search)
    judged = []
    for changed in values:
        settings = with_values(DEFAULTS[search.member], changed)
        *_, logits = out_of_fold(search, score, settings)
        assert search.outer_fold is not None
        scored = np.flatnonzero(~seen & data.has_pose)
        logits[scored] = score(settings, np.flatnonzero(seen & data.has_pose), scored, search.outer_fold)
        logits[~data.has_pose] = logit_without_pose(data.labels[seen], data.has_pose[seen])
        rows = OofScores({search.member: logits}, children, data.has_pose)
        choice = fit_blend(rows.at(seen), data.labels[seen], Blend())
        probabilities = choice.probability(rows.at(held_out))
        judged.append(Judged(held_out, probabilities, probabilities >= choice.threshold))
    return judged


def nested_figures(data: TrainingData, tuned: Sequence[Judged], default: Sequence[Judged]) -> dict[str, Any]:
    """Figures of tuned and default settings over all people, and their paired difference, with intervals over people.

    Log loss: of the probabilities, in nats; lower is better.
    """
    figures: dict[str, Any] = {}
    both = {}
    child = bootstrap.number_children(data.children)
    draws = bootstrap.draw_children(child.max() + 1, np.random.default_rng(0))  # those of `metrics.cluster_bootstrap`
    for name, judged in (("tuned", tuned), ("default", default)):
        probabilities, positive = np.empty(len(data.labels)), np.zeros(len(data.labels), dtype=bool)
        for part in judged:
            probabilities[part.rows], positive[part.rows] = part.probabilities, part.positive
        point, replicates = metrics.cluster_bootstrap(data.labels, probabilities, positive, data.children, seed=0)
        losses = log_losses(logit(probabilities), data.labels)
        point["log_loss"] = float(losses.mean())
        replicates["log_loss"] = bootstrap.mean_replicates(losses, child, draws)
        figures[name] = {key: bootstrap.interval(point[key], replicates[key]) for key in point}
        both[name] = point, replicates
    (tuned_point, tuned_replicates), (default_point, default_replicates) = both["tuned"], both["default"]
    figures["tuned_minus_default"] = {
        key: bootstrap.interval(tuned_point[key] - default_point[key], tuned_replicates[key] - default_replicates[key])
        for key in ("f1", "auc", "brier", "log_loss")
    }
    return figures
