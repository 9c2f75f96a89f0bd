"""Combine a run's complete models: write its out-of-fold table, decision and metrics."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from spasm.config.ensemble import Blend
from spasm.config.fields import to_tree
from spasm.config.runtime import ABSTAIN
from spasm.core import files
from spasm.core.errors import DataError
from spasm.core.tables import read_table
from spasm.data.folds import one_class_folds
from spasm.data.landmark_sets import depth_fraction, landmark_fractions
from spasm.data.landmarks import LANDMARKS
from spasm.data.seen import count_frames, is_too_little
from spasm.ensemble.blending import BlendParameters, OofScores, cross_fit, fit_blend
from spasm.ensemble.calibration import logit_without_pose, probability
from spasm.ensemble.thresholds import best_threshold
from spasm.evaluation import metrics
from spasm.models.registry import DEFAULT_MODELS, MODELS
from spasm.runs.artefacts import (
    OOF_COLUMNS,
    ChildContext,
    Confusion,
    DecidedModel,
    Decision,
    Metric,
    Metrics,
    PooledThreshold,
    Row,
    TooLittleSeen,
    check_files,
    metrics_of,
    read_manifest,
    read_run_info,
)
from spasm.runs.folder import ModelFolder, Run
from spasm.runs.oof_table import OofTable
from spasm.runs.training_segments import write_training_segments

CONSTANT = 1e-4  # probabilities that differ by less do not distinguish segments
PROTOCOL = (
    "Folds hold whole children. Weights, calibration and threshold for a fold were chosen on the other folds; "
    "the models were not trained again for that, and this small dependence remains. AUC and average precision compare "
    "segments of the same fold only. Intervals: 95 %, resampling children, expanded percentiles."
)


def decide(run: Run, blend: Blend | None = None, with_defaults: bool = True) -> Metrics | None:
    """Write oof.csv, decision.json and metrics.json from the complete models; None if there is none.

    blend: the settings; None: those of the previous decision, so that a newly completed model changes no setting. The
    decision uses the default models and those named in the settings, if they are complete. So training one more model
    never changes a prediction by itself.
    with_defaults: whether the default models are used in addition to those named in the settings.
    """
    with files.lock(run.lock, "the run is being written"):
        logits = complete_logits(run)
        if not logits:
            return None
        before = _decided_before(run)
        if blend is None:
            blend = before.blend_settings if before else Blend()
        considered = _considered(run, blend, logits, before, with_defaults)
        rows = OofScores({name: logits[name] for name in considered}, np.array(run.data.children), run.data.has_pose)
        labels = run.data.labels
        parameters = fit_blend(rows, labels, blend, run.folds)
        in_sample = parameters.probability(rows)
        probabilities, positive, choices = cross_fit(rows, labels, run.fold_of, blend)
        table = OofTable(
            np.array(run.data.names), rows.children, labels, run.fold_of, logits, probabilities, positive, in_sample
        )
        table.write(run.path / "oof.csv")
        write_training_segments(run.path, run.data)
        result = _metrics(run, rows, blend, table, parameters, choices)
        result.write(run.path / "metrics.json")
        _decision(run, blend, considered, parameters).write(run.path / "decision.json")
    return result


def complete_logits(run: Run) -> dict[str, np.ndarray]:
    """Out-of-fold logits (N,) of every complete model, the mean over its seeds."""
    names = sorted(path.parent.name for path in run.path.glob("*/manifest.json"))
    found = {name: _model_logits(run, ModelFolder(run.path / name)) for name in names}
    return {name: values for name, values in found.items() if values is not None}


def require_complete(run: Run, logits: Mapping[str, np.ndarray], models: Iterable[str]) -> None:
    """Raise DataError for a model that is not complete."""
    for name in models:
        if name not in logits:
            reason = "is not, or no longer, trained in every fold"
            raise DataError(run.path / name, reason, f"put it back, or train it: --models {name}, then run this again")


def _decided_before(run: Run) -> Decision | None:
    path = run.path / "decision.json"
    return Decision.read(path, "delete it; it is written again") if path.exists() else None


def _considered(
    run: Run, blend: Blend, logits: Mapping[str, np.ndarray], before: Decision | None, with_defaults: bool
) -> tuple[str, ...]:
    """The models that the decision uses, sorted by name."""
    require_complete(run, logits, blend.models)
    chosen = set(blend.models)
    if with_defaults:
        chosen |= {name for name in DEFAULT_MODELS if name in logits}
    if not chosen and before:
        chosen = {name for name in before.considered_models if name in logits}
    if not chosen:  # no model is named and no default one complete: use the cheapest
        chosen = {next((name for name in MODELS if name in logits), next(iter(logits)))}
    return tuple(name for name in logits if name in chosen)


def _decision(run: Run, blend: Blend, considered: tuple[str, ...], parameters: BlendParameters) -> Decision:
    info = read_run_info(run.path)
    models: dict[str, DecidedModel] = {}
    digests: dict[str, str] = {}
    for name, weight in parameters.weights.items():
        folder = ModelFolder(run.path / name)
        manifest, seeds = read_manifest(folder.manifest), folder.complete_seeds(run.folds)
        models[name] = DecidedModel(
            weight=weight,
            seeds=seeds,
            settings=manifest.settings,
            mask=manifest.mask,
            calibration=parameters.calibrations[name],
            quantiles=parameters.quantiles.get(name, []),
        )
        used = tuple(f"seed_{seed}/" for seed in seeds)
        digests |= {f"{name}/{path}": digest for path, digest in manifest.files.items() if path.startswith(used)}
    found = np.round(landmark_fractions(run.data.poses), files.TABLE_DIGITS)
    weighted = "" if blend.prevalence is None else f", re-weighted to a prevalence of {blend.prevalence}"
    return Decision(
        models=models,
        averaging=blend.averaging,
        calibration=parameters.calibration,
        fold_average_calibration=parameters.fold_average_calibration,
        child_context=parameters.context,
        threshold=parameters.threshold,
        no_pose_logit=logit_without_pose(run.data.labels, run.data.has_pose),
        provenance={
            "averaging": "logits over seeds and folds, over models as set by averaging",
            "weights": "logistic regression of the calibrated logits on all out-of-fold rows with a pose, none "
            "negative, with a prior towards the models that are not clearly behind the best one over children",
            "calibration": "slope and offset of the log-odds (Platt), of each model and of their average, on the same "
            "rows",
            "fold_average_calibration": "calibration of the average, steeper by a fixed factor, because means over "
            "folds vary less",
            "threshold": f"highest {blend.threshold_rule} F1 over all out-of-fold rows{weighted}",
            "no_pose_logit": "log-odds of segments without a pose in training, smoothed towards the prevalence of all",
        },
        prevalence=float(run.data.labels.mean()),
        landmark_fractions=dict(zip(LANDMARKS, found.tolist(), strict=True)),
        depth_fraction=round(depth_fraction(run.data.poses), files.TABLE_DIGITS),
        considered_models=list(considered),
        blend=to_tree(blend),
        folds=run.folds,
        frames=info.frames,
        data=info.data,
        files=digests,
    )


def _metrics(
    run: Run,
    rows: OofScores,
    blend: Blend,
    table: OofTable,
    parameters: BlendParameters,
    choices: list[BlendParameters],
) -> Metrics:
    labels = run.data.labels
    best = best_threshold(labels, table.in_sample)
    optimistic = metrics.point_metrics(labels, table.in_sample, table.in_sample >= best)
    other = dataclasses.replace(blend, child_context=not blend.child_context)
    other_probabilities, other_positive, _ = cross_fit(rows, labels, run.fold_of, other)
    both = ((table.probabilities, table.positive), (other_probabilities, other_positive))
    with_context, without = both if blend.child_context else both[::-1]
    return Metrics(
        data=read_run_info(run.path).data,
        note="SIMULATED DATA: no evidence about real children" if run.data.simulated else "",
        protocol=PROTOCOL,
        models={name: ModelFolder(run.path / name).complete_seeds(run.folds) for name in rows.logits},
        cross_fitted=_with_intervals(run, table.probabilities, table.positive),
        confusion=_confusion(labels == 1, table.positive),
        cross_fitted_thresholds=[chosen.threshold for chosen in choices],
        cross_fitted_weights=[chosen.weights for chosen in choices],
        threshold=parameters.threshold,
        pooled_threshold=PooledThreshold(f1=optimistic["f1"], threshold=best),
        each_model={name: _alone(run, rows, name, values, blend) for name, values in table.logits.items()},
        child_context=ChildContext(
            with_context=_with_intervals(run, *with_context),
            without_context=_with_intervals(run, *without),
        ),
        too_little_seen=_too_little_seen(run, table),
        folds=[{"fold": fold, **_metrics_of(run, run.fold_of == fold, table)} for fold in range(run.folds)],
        groups=_group_metrics(run, table),
        one_class_folds=one_class_folds(labels, run.fold_of),
        constant_folds={name: folds for name, values in table.logits.items() if (folds := constant_folds(run, values))},
    )


def constant_folds(run: Run, logits: np.ndarray) -> list[int]:
    """The folds in which the probabilities of logits (N,) are the same, or almost, for all segments with a pose."""
    values = probability(logits)
    posed = (run.data.has_pose & (run.fold_of == fold) for fold in range(run.folds))
    return [fold for fold, rows in enumerate(posed) if rows.sum() > 1 and np.ptp(values[rows]) < CONSTANT]


def _too_little_seen(run: Run, table: OofTable) -> TooLittleSeen:
    labels, poses = run.data.labels, run.data.poses
    too_little = is_too_little(count_frames(poses), poses.shape[1], ABSTAIN)
    rest = ~too_little
    others = metrics.point_metrics(labels[rest], table.probabilities[rest], table.positive[rest]) if rest.any() else {}
    return TooLittleSeen(
        segments=int(too_little.sum()), positives=int(labels[too_little].sum()), f1_of_the_others=others.get("f1")
    )


def _confusion(labels: np.ndarray, predicted: np.ndarray) -> Confusion:
    """Counts of true and predicted labels, (N,) bool each."""
    return Confusion(
        true_positives=int((labels & predicted).sum()),
        false_positives=int((~labels & predicted).sum()),
        false_negatives=int((labels & ~predicted).sum()),
        true_negatives=int((~labels & ~predicted).sum()),
    )


def _alone(run: Run, rows: OofScores, name: str, logits: np.ndarray, blend: Blend) -> dict[str, Metric]:
    """The metrics of one model alone, with calibration and threshold chosen in the same way as for the blend."""
    alone = dataclasses.replace(rows, logits={name: logits})
    settings = dataclasses.replace(blend, child_context=False)
    probabilities, positive, _ = cross_fit(alone, run.data.labels, run.fold_of, settings)
    return _with_intervals(run, probabilities, positive)


def _with_intervals(run: Run, probabilities: np.ndarray, positive: np.ndarray) -> dict[str, Metric]:
    """The metrics of out-of-fold probabilities (N,) and predicted labels (N,)."""
    return metrics_of(metrics.evaluate(run.data.labels, probabilities, positive, run.data.children, run.fold_of))


def _model_logits(run: Run, folder: ModelFolder) -> np.ndarray | None:
    """Out-of-fold logits (N,), the mean over complete seeds, also written to the model's oof.csv."""
    seeds = folder.complete_seeds(run.folds)
    if not seeds:
        return None
    check_files(folder.path, read_manifest(folder.manifest).files)
    mean: np.ndarray = np.mean([seed_logits(run, folder, seed) for seed in seeds], axis=0)
    rows = zip(run.data.names, run.data.children, run.data.labels, run.fold_of, mean, strict=True)
    files.write_csv(folder.oof, (*OOF_COLUMNS, "logit"), rows)
    return mean


def seed_logits(run: Run, folder: ModelFolder, seed: int) -> np.ndarray:
    """Out-of-fold logits (N,) of one complete seed."""
    logits = np.zeros(len(run.data.names))
    row_of = {name: row for row, name in enumerate(run.data.names)}
    for fold in range(run.folds):
        path = folder.fold_oof(seed, fold)
        table = read_table(path, ("segment_name", "logit"))
        scored = [run.data.names[row] for row in np.flatnonzero(run.fold_of == fold)]
        if sorted(row["segment_name"] for row in table) != scored:
            hint = "delete the model's folder, train again"
            raise DataError(path, "does not hold the segments of its fold", hint)
        for row in table:
            logits[row_of[row["segment_name"]]] = float(row["logit"])
    return logits


def _group_metrics(run: Run, table: OofTable) -> dict[str, dict[str, Row]]:
    """The same metrics within each value of each column of groups.csv, such as each cohort."""
    columns = sorted({column for row in run.data.groups.values() for column in row} - {"child"})
    found: dict[str, dict[str, Row]] = {}
    for column in columns:
        values = np.array([run.data.groups.get(child, {}).get(column, "") for child in run.data.children])
        found[column] = {value: _metrics_of(run, values == value, table) for value in map(str, np.unique(values))}
    return found


def _metrics_of(run: Run, rows: np.ndarray, table: OofTable) -> Row:
    labels, probabilities, positive = run.data.labels[rows], table.probabilities[rows], table.positive[rows]
    children = table.children[rows].tolist()
    values: dict[str, Any] = metrics.point_metrics(labels, probabilities, positive, children, run.fold_of[rows])
    return {"segments": int(rows.sum()), "children": len(set(children)), **values}
