"""The model card of a run, in Markdown, without dates: what it is, how good, and what it is not for.

The text is in model_card.md.j2, the items of the reporting guidelines TRIPOD+AI (Collins et al., BMJ 2024;385:e078378)
and STARD-AI (Sounderajah et al., Nature Medicine 2025;31:3283-3289) in reporting_guidelines.csv; the numbers are
computed here.
"""

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spasm.config.ensemble import Blend
from spasm.config.fields import SettingsError, from_tree, to_tree
from spasm.core import files
from spasm.core.errors import DataError, printable
from spasm.data.pose import FPS
from spasm.ensemble.calibration import probability
from spasm.evaluation import curves
from spasm.evaluation.metrics import ROWS
from spasm.inference.ensemble_predictor import model_of
from spasm.models.model import Model
from spasm.report.console import SIMULATED, number
from spasm.report.summary import false_alarms
from spasm.report.templates import read_asset, render
from spasm.runs.artefacts import (
    DataInfo,
    Decision,
    Manifest,
    Metric,
    Metrics,
    read_decision,
    read_manifest,
    read_metrics,
    read_run_info,
    rebuild_hint,
)
from spasm.runs.folder import ModelFolder
from spasm.runs.oof_table import OofTable, read_oof

FEWEST_CHILDREN, FEWEST_POSITIVES = 10, 20  # with less of either, metrics of a subgroup mean next to nothing
PREVALENCES = (0.01, 0.05, 0.2)  # for which the card says how many alarms would be true
ALONE_METRICS = ("sensitivity", "specificity", "auc", "within_child_auc", "brier")
FOLD_METRICS = ("f1", *ALONE_METRICS, "prevalence")
# An underscore inside a word and a colon before a space are no markup, and stay readable.
UNSAFE = re.compile(r"[^\w ,.;:/()+=%-]|:(?! )|(?<=www)\.|(?<![^\W_])_|_(?![^\W_])", re.IGNORECASE)
Row = tuple[str, ...]


def model_card(run: Path) -> str:
    """The card of a finished run, from its folder alone; the same run gives the same text.

    Raises DataError where a file is missing, damaged, or of another decision than the others, SettingsError where
    Jinja2 is not installed.
    """
    decision, info = read_decision(run), read_run_info(run)
    if info.data != decision.data:
        raise DataError(run / "run.json", "is of other data than decision.json", "restore the run from a copy")
    metrics = read_metrics(run, decision)
    manifests = {name: read_manifest(ModelFolder(run / name).manifest) for name in decision.models}
    versions = {f"{key} {value}" for manifest in manifests.values() for key, value in manifest.versions.items()}
    no_pose_probability = float(probability(np.array(decision.no_pose_logit)))
    context = {
        "decision": decision,
        "data": info.data,
        "simulated_warning": SIMULATED,
        "seconds": f"{decision.frames / FPS:.2g}",
        "fps": f"{FPS:g}",
        "model_rows": _model_rows(run, decision),
        "blend_settings": ", ".join(_changed(decision.blend, to_tree(Blend()))) or "defaults",
        "data_rows": _data_rows(info.data),
        **_results(metrics, read_oof(run, metrics)),
        "threshold_prevalence": decision.blend_settings.prevalence or decision.prevalence,
        "no_pose_probability": no_pose_probability,
        "no_pose_label": int(no_pose_probability >= decision.threshold),
        "folds": ", ".join(f"{key} {value}" for key, value in info.folds.model_dump(exclude_none=True).items()),
        "versions": ", ".join(sorted(versions)),
        "digest": files.sha256(run / "decision.json"),
        "devices": ", ".join(f"{name} {_device(manifest)}" for name, manifest in manifests.items()),
        "guidelines": reporting_guidelines(),
        "table": table,
    }
    return render("model_card.md.j2", context, {"plain": plain, "number": _number, "interval": _interval})


def plain(text: str) -> str:
    """Text from a file as a reader sees it: it cannot become markup, a link or another table cell."""
    return UNSAFE.sub(lambda found: f"&#{ord(found[0])};", printable(text))


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows))


def reporting_guidelines() -> list[Row]:
    """What each item is about, its numbers in TRIPOD+AI and in STARD-AI, and the sections of the card about it."""
    return [tuple(row) for row in csv.reader(read_asset("reporting_guidelines.csv").splitlines())][1:]


def calibration(oof: OofTable) -> list[Row]:
    """Per band of probability: segments, children, mean probability, fraction of positives with its interval."""
    rows: list[Row] = []
    for band in curves.reliability(oof.labels, oof.probabilities, oof.children.tolist(), np.array(curves.BANDS)):
        interval = f"{band.observed_low:.3f} to {band.observed_high:.3f}"
        shown = (f"{band.mean:.3f}", f"{band.observed:.3f} ({interval})")
        if band.children < 2:  # resampling a single child gives no interval
            shown = ("", "too few children")
        rows.append((f"{band.low:.1f} to {band.high:.1f}", str(band.segments), str(band.children), *shown))
    return rows


def predictive_values(
    prevalence: float, sensitivity: float | None, specificity: float | None
) -> tuple[float | None, float | None]:
    """The fractions of alarms and of negative predictions that are true at another prevalence, by Bayes' rule."""
    if sensitivity is None or specificity is None:
        return None, None
    true, false = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    true_negatives, missed = specificity * (1 - prevalence), (1 - sensitivity) * prevalence
    return _fraction(true, true + false), _fraction(true_negatives, true_negatives + missed)


# ---- the rows of its tables


def _model_rows(run: Path, decision: Decision) -> list[Row]:
    rows: list[Row] = []
    for name, decided in decision.models.items():
        model = model_of(run, name)
        seeds = ", ".join(map(str, decided.seeds))
        settings = plain(", ".join(_changed_settings(run, model, decided.settings))) or "defaults"
        rows.append((f"`{name}`", model.about, f"{decided.weight:.3f}", seeds, settings))
    return rows


def _device(manifest: Manifest) -> str:
    environment = manifest.environment
    return " ".join(str(environment[key]) for key in ("device", "precision") if key in environment) or "cpu"


def _data_rows(data: DataInfo) -> list[Row]:
    return [
        ("folder", plain(_last(data.path))),
        ("segments", str(data.segments)),
        ("children", str(data.children)),
        ("positive segments", f"{data.positives} (prevalence {data.positives / data.segments:.3f})"),
        ("segments without any pose", f"{data.without_pose} ({data.without_pose / data.segments:.3f})"),
        ("landmarks", plain(data.landmarks)),
        ("fingerprint", plain(data.fingerprint)),
    ]


def _results(metrics: Metrics, oof: OofTable) -> dict[str, Any]:
    """What sections 4 to 7 show."""
    names, headline = dict(ROWS), metrics.cross_fitted
    prevalence = oof.labels.mean()
    counts = metrics.confusion
    sensitivity, specificity = headline["sensitivity"].value, headline["specificity"].value
    return {
        "protocol": metrics.protocol,
        "too_little_seen": metrics.too_little_seen,
        "headline": headline,
        "headline_rows": [(name, _number(headline[key].value), _interval(headline[key])) for key, name in ROWS],
        "pooled_f1": metrics.pooled_threshold.f1,
        "confusion": counts,
        "false_alarms": false_alarms(counts.false_positives, counts.true_positives + counts.false_positives),
        "confusion_rows": [
            ("predicted spasm", str(counts.true_positives), str(counts.false_positives)),
            ("predicted no spasm", str(counts.false_negatives), str(counts.true_negatives)),
        ],
        "alone_metrics": [names[key] for key in ALONE_METRICS],
        "alone_rows": _alone_rows(metrics),
        "fold_rows": _fold_rows(metrics),
        "subgroups": _subgroups(metrics),
        "mean_probability": oof.probabilities.mean(),
        "positive_fraction": prevalence,
        "prevalence_brier": prevalence * (1 - prevalence),
        "calibration": calibration(oof),
        "thresholds": metrics.cross_fitted_thresholds,
        "predictive_values": [
            (f"{each:.2f}", *map(_number, predictive_values(each, sensitivity, specificity))) for each in PREVALENCES
        ],
    }


def _alone_rows(metrics: Metrics) -> list[Row]:
    estimates: dict[str, Mapping[str, Metric]] = {plain(name): model for name, model in metrics.each_model.items()}
    estimates["blend, each segment alone"] = metrics.child_context.without_context
    estimates["blend, with the child's other segments"] = metrics.child_context.with_context
    rows: list[Row] = []
    for name, model in estimates.items():
        f1 = f"{_number(model['f1'].value)} ({_interval(model['f1'])})"
        rows.append((name, f1, *(_number(model[key].value) for key in ALONE_METRICS)))
    return rows


def _fold_rows(metrics: Metrics) -> list[Row]:
    rows: list[Row] = []
    for key in FOLD_METRICS:
        known = [value for fold in metrics.folds if (value := fold[key]) is not None]
        span = (_number(min(known)), _number(max(known))) if known else ("n/a", "n/a")
        missing = f" (in {len(known)} of the folds)" if len(known) < len(metrics.folds) else ""
        rows.append((f"{dict(ROWS)[key]}{missing}", *span))
    return rows


def _subgroups(metrics: Metrics) -> list[Row]:
    rows: list[Row] = []
    for column, values in metrics.groups.items():
        for value, row in values.items():
            children, segments = int(row["children"] or 0), int(row["segments"] or 0)
            positives = round((row["prevalence"] or 0) * segments)
            few = children < FEWEST_CHILDREN or positives < FEWEST_POSITIVES
            note = f"**too few**: {children} children, {positives} positives" if few else ""
            numbers = (_number(row[key]) for key in ("prevalence", "sensitivity", "specificity"))
            name = f"{plain(column)}: {plain(value) or '(none given)'}"
            rows.append((name, f"{segments} ({children})", *numbers, note))
    return rows


def _fraction(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _number(value: float | None) -> str:
    return number(value).strip()


def _interval(metric: Metric) -> str:
    return f"{_number(metric.low)} to {_number(metric.high)}"


def _last(path: str) -> str:
    """The last name of a path: the folders above it do not belong in a card to share."""
    return re.split(r"[/\\]", path.rstrip("/\\"))[-1]


def _changed(settings: Mapping[str, Any], defaults: Mapping[str, Any]) -> list[str]:
    """The settings that differ from the defaults, as flags."""
    flags: list[str] = []
    for key, value in settings.items():
        if isinstance(value, dict):
            flags += _changed(value, defaults[key])
        elif value != defaults[key]:
            name = key.replace("_", "-")
            switch = f"--{name}" if value else f"--no-{name}"
            flags.append(switch if isinstance(value, bool) else f"--{name} {_last(str(value))}")
    return flags


def _changed_settings(run: Path, model: Model, settings: Mapping[str, Any]) -> list[str]:
    """A model's settings that differ from the defaults, as flags. Raises DataError for those of another version."""
    try:
        return _changed(to_tree(from_tree(model.config, settings)), to_tree(model.config()))
    except SettingsError as error:
        reason = f"has settings of another version ({printable(str(error))})"
        raise DataError(run / "decision.json", reason, rebuild_hint(run)) from error
