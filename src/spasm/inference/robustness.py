"""Robustness of a run's models and their blend to corrupted poses: each child is predicted by its held-out fold."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from spasm.config.ensemble import Blend
from spasm.config.runtime import Hardware
from spasm.core import processes
from spasm.core.errors import DataError
from spasm.core.processes import cpu_count
from spasm.ensemble.blending import BlendParameters, OofScores, cross_fit
from spasm.evaluation import metrics
from spasm.evaluation.corruptions import TRIED
from spasm.inference.ensemble_predictor import KILLED, model_of, open_folds, picture_kinds
from spasm.runs.artefacts import Decision
from spasm.runs.decide import complete_logits, require_complete
from spasm.runs.folder import Run

BATCH = 64  # segments
COLUMNS = (
    "corruption", "severity", "model", "f1", "f1_low", "f1_high", "sensitivity", "specificity", "auc",
    "within_child_auc",
)  # fmt: skip
CORRUPTIONS = [(kind, severity) for kind, severities in TRIED.items() for severity in severities]


def evaluate_robustness(
    run: Run, decision: Decision, workers: int, hardware: Hardware, progress: Callable[..., Any]
) -> list[tuple[Any, ...]]:
    """One row of COLUMNS for each corruption and model, the blend last. Raises DataError for an incomplete run.

    workers: folds scored side by side, 0 means one for each CPU core; progress: makes a progress bar for a `total` of
    folds, as a context manager.
    """
    if kinds := picture_kinds(decision):
        reason = f"reads pictures ({', '.join(kinds)}), which this does not corrupt beside the poses"
        raise DataError(run.path, reason, "blend models that read poses: train_folds.py --decide-only --blend.models")
    logits = complete_logits(run)
    require_complete(run, logits, decision.models)
    with progress(total=len(decision.models) * run.folds) as bar:
        corrupted = {
            name: _score_model(run, name, decision, logits[name], workers or cpu_count(), hardware, bar.update)
            for name in decision.models
        }
    return _evaluate(run, decision.blend_settings, logits, corrupted)


def _score_model(
    run: Run,
    name: str,
    decision: Decision,
    logits: np.ndarray,
    workers: int,
    hardware: Hardware,
    advance: Callable[[], Any],
) -> dict[tuple[str, str], np.ndarray]:
    """A model's logits (N,) for every corruption; segments without a pose keep `logits` (N,)."""
    corrupted = {key: logits.copy() for key in CORRUPTIONS}
    with processes.isolated_pool(workers) as pool:  # a new pool, because torch and LightGBM must not share a process
        waiting = {fold: pool.submit(_score_fold, run, name, decision, fold, hardware) for fold in range(run.folds)}
        for fold, future in waiting.items():
            rows = np.flatnonzero((run.fold_of == fold) & run.data.has_pose)
            with processes.translate_killed_worker(KILLED):
                scored = future.result()
            for key, values in scored.items():
                corrupted[key][rows] = values
            advance()
    return corrupted


def _score_fold(
    run: Run, name: str, decision: Decision, fold: int, hardware: Hardware
) -> dict[tuple[str, str], np.ndarray]:
    """Logits of a fold's held-out segments with a pose by that fold's model, for every corruption."""
    if model_of(run.path, name).library == "torch":
        processes.set_threads(threads=1)
    predictor = open_folds(run.path, name, decision.models[name], decision.data.landmarks, [fold], hardware)
    rows = np.flatnonzero((run.fold_of == fold) & run.data.has_pose)
    scored = {}
    for number, (kind, severity) in enumerate(CORRUPTIONS):
        generator = np.random.default_rng([fold, number])  # the same for every model
        parts = []
        for start in range(0, len(rows), BATCH):
            poses = TRIED[kind][severity](np.array(run.data.poses[rows[start : start + BATCH]]), generator)
            parts.append(predictor.predict(poses, np.arange(len(poses))).logits.mean(axis=0))
        scored[kind, severity] = np.concatenate(parts)
    return scored


def _evaluate(
    run: Run, blend: Blend, logits: dict[str, np.ndarray], corrupted: dict[str, dict[tuple[str, str], np.ndarray]]
) -> list[tuple[Any, ...]]:
    """The rows of COLUMNS; weights, calibration and threshold are those of the original poses."""
    labels, data = run.data.labels, run.data
    rows = OofScores({name: logits[name] for name in corrupted}, np.array(data.children), data.has_pose)
    evaluated = {name: dataclasses.replace(rows, logits={name: logits[name]}) for name in corrupted} | {"blend": rows}
    alone = dataclasses.replace(blend, child_context=False)
    parameters = {
        name: cross_fit(clean, labels, run.fold_of, blend if name == "blend" else alone)[2]
        for name, clean in evaluated.items()
    }
    table = []
    for key in CORRUPTIONS:
        for name, clean in evaluated.items():
            worse = dataclasses.replace(clean, logits={model: corrupted[model][key] for model in clean.logits})
            probabilities, positive = _cross_fitted(run.fold_of, worse, parameters[name])
            values = metrics.evaluate(labels, probabilities, positive, data.children, run.fold_of)
            f1 = values["f1"]
            more = [values[metric]["value"] for metric in ("sensitivity", "specificity", "auc", "within_child_auc")]
            table.append((*key, name, f1["value"], f1["low"], f1["high"], *more))
    return table


def _cross_fitted(
    fold_of: np.ndarray, rows: OofScores, parameters: list[BlendParameters]
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (N,) and labels (N,) bool of every segment, with parameters fitted without its fold."""
    probabilities, positive = np.zeros(len(fold_of)), np.zeros(len(fold_of), dtype=bool)
    for fold, chosen in enumerate(parameters):
        scored = fold_of == fold
        probabilities[scored] = chosen.probability(rows.at(scored))
        positive[scored] = probabilities[scored] >= chosen.threshold
    return probabilities, positive
