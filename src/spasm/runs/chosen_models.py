"""Some of the models of a run, with the weights, calibration and threshold that belong to them.

They are fitted on the run's out-of-fold rows by the functions that decided the run, as if it had these models alone.
"""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from spasm.config.fields import to_tree
from spasm.core.errors import DataError
from spasm.ensemble import label_shift
from spasm.ensemble.blending import OofScores, fit_blend
from spasm.ensemble.calibration import probability
from spasm.runs.artefacts import DecidedModel, Decision, check_files, read_manifest, rebuild_hint
from spasm.runs.folder import ModelFolder
from spasm.runs.oof_table import OofTable, read_oof


def read_decided_oof(run: Path, decision: Decision) -> OofTable:
    """The out-of-fold rows that a decision was chosen on. Raises DataError if oof.csv holds others."""
    oof, blend = read_oof(run), decision.blend_settings
    before = blend.prevalence or decision.prevalence
    try:
        chosen = label_shift.threshold_at(oof.labels, oof.in_sample, before, blend.threshold_rule)
    except ValueError:  # labels of one class
        chosen = math.nan
    if not math.isclose(chosen, decision.threshold, abs_tol=1e-9):
        reason = "is not the table that decision.json was chosen on"
        raise DataError(run / "oof.csv", reason, rebuild_hint(run))
    return oof


def choose(run: Path, decision: Decision, models: Sequence[str], child_context: bool = True) -> Decision:
    """The decision of a run with some of its complete models alone, also such as the decision gave no weight.

    child_context: allow the decision to use each child's other segments, where it was made so. Raises DataError for a
    model that the run lacks, files of it that have changed, or out-of-fold rows of another decision.
    """
    settings = decision.blend_settings
    blend = dataclasses.replace(settings, child_context=settings.child_context and child_context)
    if set(models) == set(decision.models) and blend == settings:
        return decision
    oof = read_decided_oof(run, decision)
    if (missing := [str(name) for name in models if name not in oof.logits]) or not models:
        hint = f"name one or more of the models that are trained in every fold: {', '.join(oof.logits)}"
        raise DataError(run, f"has no complete model {', '.join(missing)}" if missing else "needs a model", hint)
    rows, names = posed_rows(run, decision, oof), sorted(set(models))
    chosen = OofScores({name: oof.logits[name] for name in names}, rows.children, rows.has_pose)
    parameters = fit_blend(chosen, oof.labels, blend, decision.folds)
    decided = {}
    for name, weight in parameters.weights.items():
        trained = decision.models.get(name) or _without_weight(run, decision, name)
        fitted = {"calibration": parameters.calibrations[name], "quantiles": parameters.quantiles.get(name, [])}
        decided[name] = trained.model_copy(update={"weight": weight, **fitted})
    return decision.model_copy(
        update={
            "models": decided,
            "calibration": parameters.calibration,
            "fold_average_calibration": parameters.fold_average_calibration,
            "child_context": parameters.context,
            "threshold": parameters.threshold,
            "considered_models": names,
            "blend": to_tree(blend),
        }
    )


def _without_weight(run: Path, decision: Decision, name: str) -> DecidedModel:
    """A complete model that a decision does not predict with. Raises DataError where a file of it has changed."""
    folder = ModelFolder(run / name)
    manifest, seeds = read_manifest(folder.manifest), folder.complete_seeds(decision.folds)
    used = {
        path: digest
        for path, digest in manifest.files.items()
        if path.startswith(tuple(f"seed_{seed}/" for seed in seeds))
    }
    check_files(folder.path, used)
    return DecidedModel(
        weight=1.0,
        seeds=seeds,
        settings=manifest.settings,
        mask=manifest.mask,
        calibration=(1.0, 0.0),
        quantiles=[],
    )


def posed_rows(run: Path, decision: Decision, oof: OofTable) -> OofScores:
    """The out-of-fold rows, with which of them have a pose. Raises DataError if that does not fit the run's data.

    The logits of a segment without a pose are the same in all models and are not calibrated, so that its probability
    follows from them.
    """
    logits = np.stack(list(oof.logits.values()))
    alike = np.ptp(logits, axis=0) < 1e-9
    has_pose = ~(alike & np.isclose(oof.in_sample, probability(logits.mean(axis=0)), rtol=0, atol=1e-12))
    if int((~has_pose).sum()) != decision.data.without_pose or len(has_pose) != decision.data.segments:
        reason = f"does not hold the {decision.data.segments} segments of the training data"
        raise DataError(run / "oof.csv", reason, rebuild_hint(run))
    return OofScores(oof.logits, oof.children, has_pose)
