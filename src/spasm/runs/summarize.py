"""What a run's complete members say together: its out-of-fold table, decision and figures."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from spasm.config.ensemble import Blend
from spasm.config.fields import SettingsError, from_tree
from spasm.core import files
from spasm.core.errors import DataError
from spasm.core.tables import read_table
from spasm.data.folds import one_class_folds
from spasm.ensemble.blending import BlendParameters, OofScores, cross_fit, fit_blend
from spasm.ensemble.calibration import logit_without_pose
from spasm.ensemble.thresholds import best_threshold
from spasm.evaluation import bootstrap, metrics
from spasm.runs.run import OOF, MemberFolder, Run, check_files, read_manifest, read_run

PROTOCOL = (
    "Folds hold whole children. Weights, calibration and threshold that judge a fold were chosen on the other folds; "
    "the members were not trained again for that, and this small dependence remains. Intervals: 95 %, resampling "
    "children."
)


def rebuild(run: Run, blend: Blend | None = None, members: tuple[str, ...] = ()) -> dict[str, Any] | None:
    """Write oof.csv, decision.json and metrics.json from the members that are complete; None while none is.

    Called whenever a member completes, and then the members that decided before decide again, so that a new one never
    changes a decision by itself; and by blend.py, which names the settings and members of a blend.
    Returns the content of metrics.json.
    """
    with files.lock(run.lock, "the run is being written"):
        logits = complete_logits(run)
        if not logits:
            return None
        if blend is None:
            blend, members = _as_before(run, list(logits))
        require_complete(run, logits, members)
        rows = OofScores({name: logits[name] for name in members}, np.array(run.data.children), run.data.has_pose)
        labels = run.data.labels
        choice = fit_blend(rows, labels, blend)
        probabilities = choice.probability(rows)
        honest, positive, choices = cross_fit(rows, labels, run.fold_of, blend)

        names = tuple(logits)
        header = (*OOF[:4], *(f"{name}_logit" for name in names), "probability", "cross_fitted", "answer")
        table = zip(
            run.data.names, run.data.children, labels, run.fold_of, *logits.values(), probabilities, honest,
            positive.astype(int), strict=True,
        )  # fmt: skip
        files.write_csv(run.path / "oof.csv", header, table)
        result = _figures(run, rows, logits, blend, probabilities, choice, honest, positive, choices)
        files.write_json(run.path / "metrics.json", result)
        files.write_json(run.path / "decision.json", _decision(run, blend, members, choice))
    return result


def complete_logits(run: Run) -> dict[str, np.ndarray]:
    """Out-of-fold logits (N,) of every complete member, the mean over its seeds."""
    names = sorted(path.parent.name for path in run.path.glob("*/manifest.json"))
    found = {name: _member_logits(run, MemberFolder(run.path / name)) for name in names}
    return {name: values for name, values in found.items() if values is not None}


def require_complete(run: Run, logits: Mapping[str, np.ndarray], members: Iterable[str]) -> None:
    """Raise DataError for a member that is not among the complete ones."""
    for name in members:
        if name not in logits:
            reason = "is not, or no longer, trained in every fold"
            raise DataError(run.path / name, reason, "put it back, or train it, then run this again")


def _as_before(run: Run, complete: list[str]) -> tuple[Blend, tuple[str, ...]]:
    """The blend and members that decided before, as far as they are complete; else the first member alone."""
    path = run.path / "decision.json"
    if path.exists():
        before = files.read_json(path)
        try:
            kept = tuple(name for name in before["blended"] if name in complete)
            if kept:
                return from_tree(Blend, before["blend"]), kept
        except (KeyError, TypeError, SettingsError) as error:
            raise DataError(path, "is not a decision of this software", "delete it; it is made again") from error
    return Blend(), (complete[0],)


def _decision(run: Run, blend: Blend, considered: tuple[str, ...], choice: BlendParameters) -> dict[str, Any]:
    made = read_run(run.path)
    members: dict[str, Any] = {}
    digests: dict[str, str] = {}
    for name, weight in choice.weights.items():
        member = MemberFolder(run.path / name)
        manifest, seeds = read_manifest(member.manifest), member.complete_seeds(run.folds)
        members[name] = {
            "weight": weight,
            "seeds": seeds,
            "settings": manifest["settings"],
            "line": list(choice.lines[name]),
            "quantiles": choice.quantiles.get(name, []),
        }
        used = tuple(f"seed_{seed}/" for seed in seeds)
        digests |= {f"{name}/{path}": digest for path, digest in manifest["files"].items() if path.startswith(used)}
    counted = "" if blend.prevalence is None else f", re-weighted to a prevalence of {blend.prevalence}"
    return {
        "members": members,
        "averaging": choice.averaging,
        "line": list(choice.line),
        "context": None if choice.context is None else list(choice.context),
        "threshold": choice.threshold,
        "without_pose": logit_without_pose(run.data.labels, run.data.has_pose),
        "how": {
            "averaging": f"logits over seeds, each {blend.fold_averaging} over folds, over members as averaging says",
            "weights": "lowest log loss over all out-of-fold rows with a pose, pulled towards equal weights",
            "line": "slope and offset of the log-odds (Platt), of each member and of their average, on the same rows",
            "threshold": f"highest {blend.threshold_rule} F1 over all out-of-fold rows{counted}",
            "without_pose": "log-odds of such segments in training, smoothed towards the prevalence of all",
        },
        "prevalence": float(run.data.labels.mean()),
        "blended": list(considered),
        "blend": dataclasses.asdict(blend),
        "folds": run.folds,
        "frames": made["frames"],
        "data": made["data"],
        "files": digests,
    }


def _figures(
    run: Run,
    rows: OofScores,
    logits: dict[str, np.ndarray],
    blend: Blend,
    probabilities: np.ndarray,
    choice: BlendParameters,
    honest: np.ndarray,
    positive: np.ndarray,
    choices: list[BlendParameters],
) -> dict[str, Any]:
    labels, children = run.data.labels, run.data.children
    best = best_threshold(labels, probabilities)
    optimistic = metrics.evaluate(labels, probabilities, probabilities >= best, children)
    other = dataclasses.replace(blend, child_context=not blend.child_context)
    other_honest, other_positive, _ = cross_fit(rows, labels, run.fold_of, other)
    with_context, without = ((honest, positive), (other_honest, other_positive))[:: 1 if blend.child_context else -1]
    return {
        "data": read_run(run.path)["data"],
        "note": "SIMULATED DATA: says nothing about children" if run.data.simulated else "",
        "protocol": PROTOCOL,
        "members": {name: MemberFolder(run.path / name).complete_seeds(run.folds) for name in rows.logits},
        "cross_fitted": metrics.evaluate(labels, honest, positive, children),
        "cross_fitted_thresholds": [chosen.threshold for chosen in choices],
        "cross_fitted_weights": [chosen.weights for chosen in choices],
        "threshold": choice.threshold,
        "pooled_threshold": {"f1": optimistic["f1"], "threshold": best},
        "each_member": {name: _alone(run, rows, name, values, blend) for name, values in logits.items()},
        "child_context": {
            "with": metrics.evaluate(labels, *with_context, children),
            "without": metrics.evaluate(labels, *without, children),
        },
        "folds": [_fold_figures(run, fold, honest, positive) for fold in range(run.folds)],
        "groups": _group_figures(run, honest, positive),
        "one_class_folds": one_class_folds(labels, run.fold_of),
    }


def _alone(run: Run, rows: OofScores, name: str, logits: np.ndarray, blend: Blend) -> dict[str, bootstrap.Estimate]:
    """The figures of one member by itself, with calibration and threshold chosen as the blend's are."""
    alone = dataclasses.replace(rows, logits={name: logits})
    probabilities, positive, _ = cross_fit(
        alone, run.data.labels, run.fold_of, dataclasses.replace(blend, child_context=False)
    )
    return metrics.evaluate(run.data.labels, probabilities, positive, run.data.children)


def _member_logits(run: Run, member: MemberFolder) -> np.ndarray | None:
    """Out-of-fold logits (N,), the mean over complete seeds, also written to the member's oof.csv."""
    seeds = member.complete_seeds(run.folds)
    if not seeds:
        return None
    check_files(member.path, read_manifest(member.manifest)["files"])
    mean = np.mean([seed_logits(run, member, seed) for seed in seeds], axis=0)
    files.write_csv(
        member.oof, OOF, zip(run.data.names, run.data.children, run.data.labels, run.fold_of, mean, strict=True)
    )
    return mean


def seed_logits(run: Run, member: MemberFolder, seed: int) -> np.ndarray:
    """Out-of-fold logits (N,) of one complete seed."""
    logits = np.zeros(len(run.data.names))
    row_of = {name: row for row, name in enumerate(run.data.names)}
    for fold in range(run.folds):
        path = member.fold_oof(seed, fold)
        table = read_table(path, ("segment_name", "logit"))
        scored = [run.data.names[row] for row in np.flatnonzero(run.fold_of == fold)]
        if sorted(row["segment_name"] for row in table) != scored:
            hint = "delete the member's folder, train again"
            raise DataError(path, "does not hold the segments of its fold", hint)
        for row in table:
            logits[row_of[row["segment_name"]]] = float(row["logit"])
    return logits


def _fold_figures(run: Run, fold: int, probability: np.ndarray, positive: np.ndarray) -> dict[str, Any]:
    rows = run.fold_of == fold
    return {"fold": fold, **_figures_of(run, rows, probability, positive)}


def _group_figures(run: Run, probability: np.ndarray, positive: np.ndarray) -> dict[str, Any]:
    """The same figures within each value of each column of groups.csv, such as each cohort."""
    columns = sorted({column for row in run.data.groups.values() for column in row} - {"child"})
    figures: dict[str, Any] = {}
    for column in columns:
        values = np.array([run.data.groups.get(child, {}).get(column, "") for child in run.data.children])
        figures[column] = {
            value: _figures_of(run, values == value, probability, positive) for value in map(str, np.unique(values))
        }
    return figures


def _figures_of(run: Run, rows: np.ndarray, probability: np.ndarray, positive: np.ndarray) -> dict[str, Any]:
    children = [child for child, row in zip(run.data.children, rows, strict=True) if row]
    values = metrics.figures(run.data.labels[rows], probability[rows], positive[rows])
    return {"segments": int(rows.sum()), "children": len(set(children)), **values}
