"""Why a run predicts what it does: its networks' attention, their log-odds in each frame, the features that weigh most.

Models work in processes of their own, because torch and LightGBM crash together on some macOS builds.
"""

import dataclasses
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from spasm.config.fields import from_tree
from spasm.config.runtime import Hardware
from spasm.core import processes
from spasm.data.pictures import SegmentPictures
from spasm.data.pose import visible_mask
from spasm.explain.descriptions import Reason, top_reasons
from spasm.inference.ensemble_predictor import KILLED, model_of, open_folds
from spasm.models.model import Explanation, Model, Predictor
from spasm.runs.artefacts import Decision, read_manifest
from spasm.runs.folder import ModelFolder

BATCH = 32  # segments explained at a time
AHEAD = 2  # batches that wait for a model
REASONS = 9  # of each segment
FEWEST = 20  # segments that a value is compared with


@dataclasses.dataclass(frozen=True, eq=False)
class Evidence:
    """What lies behind the predictions for N segments."""

    attention: np.ndarray
    """(N, T) float64: attention of the networks, by their weights in the decision; sums to 1, or 0 without any."""
    frame_logits: np.ndarray
    """(N, T) float64: log-odds of the networks in each frame; NaN without a network, or without a pose."""
    reasons: list[list[Reason]]
    """LightGBM's strongest reasons for each segment; empty where it is not in the decision, or without a pose."""
    networks: dict[str, float]
    """The models whose attention it is, with their weights in the decision: 0 for one that only explains."""


class Explainer(NamedTuple):
    """A trained model that explains predictions."""

    model: Model
    weight: float
    """In the decision."""
    seeds: list[int]
    settings: dict[str, Any]


def gather(
    run: Path,
    decision: Decision,
    poses: np.ndarray,
    fold_of: np.ndarray | None,
    hardware: Hardware,
    progress: Callable[[int], Any] = lambda count: None,
    pictures: SegmentPictures | None = None,
) -> Evidence:
    """The evidence of segments, poses (N, T, 33, 5) and their pictures, if there are any.

    fold_of: (N,) the fold that never saw each segment, and so explains it alone; None: new segments, by all folds.
    `progress` is called with how many segments were done, once by each model that explains. Raises TrainingError if a
    model's process was killed, DataError for a file of the run that does not fit.
    """
    rows = np.flatnonzero(visible_mask(poses).any(axis=(1, 2)))
    folds = range(decision.folds)
    parts = [(list(folds), rows)] if fold_of is None else [([fold], rows[fold_of[rows] == fold]) for fold in folds]
    batches = [(those, part[start : start + BATCH]) for those, part in parts for start in range(0, len(part), BATCH)]
    models = explaining(run, decision)
    networks = {name: one.weight for name, one in models.items() if one.model.has_attention}
    attending = sum(networks.values())
    attention, logits = np.zeros(poses.shape[:2]), np.full(poses.shape[:2], np.nan)
    values, shap_values, names = np.full((len(poses), 0), np.nan), np.full((len(poses), 0), np.nan), list[str]()
    pools = {name: processes.isolated_pool(1) for name in models}
    waiting: deque[tuple[str, np.ndarray, Future[Explanation]]] = deque()
    try:
        with processes.translate_killed_worker(KILLED):
            for those, some in [*batches, ([], rows[:0])]:  # the last, without rows, waits for all
                for name in models if len(some) else ():
                    work = (run, name, models[name], decision.data.landmarks, those, hardware)
                    waiting.append(
                        (name, some, pools[name].submit(_explain, work, poses[some], pictures and pictures.of(some)))
                    )
                while len(waiting) > (AHEAD * len(models) if len(some) else 0):
                    name, done, future = waiting.popleft()
                    explanation = future.result()
                    if explanation.attention is not None and explanation.frame_logits is not None:
                        fraction = networks[name] / attending if attending else 1 / len(networks)
                        attention[done] += fraction * explanation.attention
                        logits[done] = np.nan_to_num(logits[done]) + fraction * explanation.frame_logits
                    if explanation.shap_values is not None and explanation.feature_values is not None:
                        if not names:
                            model = models[name].model
                            names = model.feature_names(from_tree(model.config, models[name].settings))
                            values, shap_values = np.full((2, len(poses), len(names)), np.nan)
                        values[done], shap_values[done] = explanation.feature_values, explanation.shap_values
                    progress(len(done))
    except BaseException:
        for pool in pools.values():
            processes.stop(pool)
        raise
    finally:
        for pool in pools.values():
            pool.shutdown(cancel_futures=True)
    logits[~visible_mask(poses).any(axis=2)] = np.nan
    reasons: list[list[Reason]] = [[] for _ in range(len(poses))]
    for row in rows if names else ():
        others = values[rows[rows != row]] if len(rows) > FEWEST else None
        reasons[row] = top_reasons(shap_values[row], values[row], names, others, REASONS)
    return Evidence(attention, logits, reasons, networks)


def explaining(run: Path, decision: Decision) -> dict[str, Explainer]:
    """The models of a decision that explain themselves: by attention, or by features.

    Where none of them has attention, the networks that were considered and got no weight show theirs.
    """
    decided = {
        name: Explainer(model_of(run, name), one.weight, one.seeds, one.settings)
        for name, one in decision.models.items()
    }
    found = {name: one for name, one in decided.items() if one.model.has_attention or one.model.has_shap_values}
    if any(one.model.has_attention for one in found.values()):
        return found
    for name in decision.considered_models:
        model, folder = model_of(run, name), ModelFolder(run / name)
        seeds = folder.complete_seeds(decision.folds) if model.has_attention else []
        if seeds:
            found[name] = Explainer(model, 0.0, seeds, read_manifest(folder.manifest).settings)
    return found


class Opened:
    """What a model's own process holds: the folds it opened last."""

    folds: list[int] = []  # noqa: RUF012 - replaced, never changed
    predictor: Predictor


def _explain(work: tuple[Any, ...], poses: np.ndarray, pictures: SegmentPictures | None = None) -> Explanation:
    run, name, explainer, landmarks, folds, hardware = work
    if Opened.folds != folds:
        if explainer.model.library == "torch":
            processes.set_threads(1)
        Opened.folds, Opened.predictor = folds, open_folds(run, name, explainer, landmarks, folds, hardware)
    return Opened.predictor.explain(poses, np.arange(len(poses)), pictures)
