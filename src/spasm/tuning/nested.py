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
    resampled = {}
    for name, judged in (("tuned", tuned), ("default", default)):
        probabilities, positive = np.empty(len(data.labels)), np.zeros(len(data.labels), dtype=bool)
        for part in judged:
            probabilities[part.rows], positive[part.rows] = part.probabilities, part.positive
        once, drawn = metrics.cluster_bootstrap(data.labels, probabilities, positive, data.children)
        losses = log_losses(logit(probabilities), data.labels)
        once["log_loss"], drawn["log_loss"] = float(losses.mean()), resampled_mean(losses, data.children)
        figures[name] = {key: bootstrap.estimate(once[key], drawn[key]) for key in once}
        resampled[name] = once, drawn
    (tuned_once, tuned_drawn), (default_once, default_drawn) = resampled["tuned"], resampled["default"]
    figures["tuned_minus_default"] = {
        key: bootstrap.estimate(tuned_once[key] - default_once[key], tuned_drawn[key] - default_drawn[key])
        for key in ("f1", "auc", "brier", "log_loss")
    }
    return figures


def resampled_mean(values: np.ndarray, children: Sequence[str], seed: int = 0) -> np.ndarray:
    """The mean of values (N,) when children are drawn anew, (R,), by the same draws as `metrics.resampled`."""
    child = np.unique(np.asarray(children), return_inverse=True)[1]
    count = child.max() + 1
    draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), bootstrap.RESAMPLES)
    sums, sizes = np.bincount(child, values), np.bincount(child)
    return draws @ sums / (draws @ sizes)
