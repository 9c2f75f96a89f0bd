"""Some of the models of a decision, with the weights, calibration and threshold that belong to them.

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
from spasm.runs.artefacts import DecidedModel, Decision, rebuild_hint
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
    """The decision of a run with some of its models alone.

    child_context: allow the decision to use each child's other segments, where it was made so. Raises DataError for a
    model that the decision does not have, or out-of-fold rows of another decision.
    """
    missing = [str(name) for name in models if name not in decision.models]
    if missing or not models:
        hint = f"name one or more of the models that it predicts with: {', '.join(decision.models)}"
        raise DataError(run, f"does not predict with {', '.join(missing) or 'no model at all'}", hint)
    blend = dataclasses.replace(
        decision.blend_settings, child_context=decision.blend_settings.child_context and child_context
    )
    if set(models) == set(decision.models) and blend == decision.blend_settings:
        return decision
    oof = read_decided_oof(run, decision)
    rows = posed_rows(run, decision, oof)
    chosen = OofScores({name: oof.logits[name] for name in sorted(set(models))}, rows.children, rows.has_pose)
    parameters = fit_blend(chosen, oof.labels, blend, decision.folds)
    decided = {
        name: DecidedModel(
            weight=weight,
            seeds=decision.models[name].seeds,
            settings=decision.models[name].settings,
            calibration=parameters.calibrations[name],
            quantiles=parameters.quantiles.get(name, []),
        )
        for name, weight in parameters.weights.items()
    }
    return decision.model_copy(
        update={
            "models": decided,
            "calibration": parameters.calibration,
            "fold_average_calibration": parameters.fold_average_calibration,
            "child_context": parameters.context,
            "threshold": parameters.threshold,
            "considered_models": sorted(set(models)),
            "blend": to_tree(blend),
        }
    )


def posed_rows(run: Path, decision: Decision, oof: OofTable) -> OofScores:
    """The out-of-fold rows, with which of them have a pose. Raises DataError if that does not fit the run's data.

    The logits of a segment without a pose are the same in all models and are not calibrated, so that its probability
    follows from them.
    """
    if lacking := sorted(set(decision.models) - set(oof.logits)):
        raise DataError(run / "oof.csv", f"has no logits of {', '.join(lacking)}", rebuild_hint(run))
    logits = np.stack(list(oof.logits.values()))
    alike = np.ptp(logits, axis=0) < 1e-9
    has_pose = ~(alike & np.isclose(oof.in_sample, probability(logits.mean(axis=0)), rtol=0, atol=1e-12))
    if int((~has_pose).sum()) != decision.data.without_pose or len(has_pose) != decision.data.segments:
        reason = f"does not hold the {decision.data.segments} segments of the training data"
        raise DataError(run / "oof.csv", reason, rebuild_hint(run))
    return OofScores(oof.logits, oof.children, has_pose)
