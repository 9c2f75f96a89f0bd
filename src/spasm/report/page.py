"""A run, or its predictions for new segments, as one page that stands by itself: metrics, player, children, figures.

Everything that comes from files goes through Jinja2's escaping or into JSON without `<`; the page's policy forbids all
scripts but its own and every request.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spasm.core.errors import printable
from spasm.evaluation import metrics
from spasm.evaluation.metrics import ROWS
from spasm.explain.descriptions import NOTES, describe_strengths
from spasm.report import page_figures, sentences, summary
from spasm.report.children import child_quality, children_table, group_columns, quality_figures
from spasm.report.error_analysis import describe_errors
from spasm.report.figures import Plot, interval
from spasm.report.payload import build_payload, to_json
from spasm.report.predictions import percent
from spasm.report.run_report import RunReport
from spasm.report.summary import three_digits
from spasm.report.templates import read_asset, render
from spasm.report.train_and_test import describe_drift
from spasm.runs.artefacts import Metric, metrics_of
from spasm.runs.oof_table import OofTable

FOLD_METRICS = ("f1", "sensitivity", "specificity", "auc", "within_child_auc")
MOST_WARNINGS = 20
MOST_PRINTED = {True: 12, False: 20}  # children with errors, or positive segments, on the printed page, by `labelled`
MOST_POSITIVE = 200  # positive segments in the table of the page
SCRIPTS = (
    "page_data.js",
    "body.js",
    "poses.js",
    "time_strip.js",
    "explanation.js",
    "player.js",
    "page.js",
)  # joined in order
STYLES = ("report.css", "player.css", "print.css")


def page(report: RunReport) -> tuple[str, dict[str, Plot]]:
    """The page as HTML, and its figures by name. Raises SettingsError where Jinja2 is not installed."""
    predictions = report.predictions
    quality = child_quality(predictions)
    of_folds = _fold_metrics(report.oof) if report.labelled else []
    groups = _figures(report, [estimates["f1"] for estimates in of_folds])
    groups |= {"quality": quality_figures(quality), "drift": page_figures.drift_figure(report)}
    plots = {name: plot for group in groups.values() for name, plot in group.items()}
    if report.decision.data.simulated:
        for plot in plots.values():
            plot.stamp()
    shown = {  # before the payload, which needs their layout
        group: [_figure(name, plot) for name, plot in of_group.items()] for group, of_group in groups.items()
    }
    script = "".join(map(read_asset, SCRIPTS))
    children = children_table(predictions, quality)
    context = {
        **_head(report),
        "figures": shown,
        "leaderboard": _leaderboard(report) if report.labelled else None,
        "groups": group_columns(predictions),
        "children": children,
        "printed": _printed(report, children),
        "all_playable": len(report.playable) == len(predictions.names),
        "playable": sentences.playable(report),
        "feature_notes": NOTES,
        "strengths": describe_strengths(),
        "errors": _errors(report),
        "quality": sentences.about_quality(predictions, quality),
        "drift": describe_drift(report.drift) if groups["drift"] and report.drift else "",
        "warnings": _shortened(predictions.warnings),
        "folds": _folds(report, of_folds),
        "provenance": report.provenance,
        "models": report.models,
        "payload": to_json(build_payload(report, plots)),
        "style": "".join(map(read_asset, STYLES)),
        "script": script,
        "script_digest": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    }
    return render("report.html", context), plots


def _head(report: RunReport) -> dict[str, Any]:
    """What stands in the header and in the summary."""
    data, counts = report.decision.data, summary.confusion(report.oof)
    bands = summary.probability_bands(report.oof)
    return {
        "simulated": data.simulated,
        "labelled": report.labelled,
        "run_name": printable(report.run_name),
        "date": report.date,
        "data": data,
        "data_path": printable(data.path),
        "verdict": summary.verdict(report),
        "run_verdict": summary.how_good(counts),
        "about_threshold": sentences.about_threshold(report),
        "new_segments": sentences.new_segments(report),
        "positive": _positive(report),
        "cards": summary.cards(report.metrics.cross_fitted, counts),
        "other_metrics": summary.other_metrics(report.metrics),
        "confusion": counts,
        "calibration": summary.calibration(bands),
        "worth": summary.worth(bands),
        "protocol": report.metrics.protocol,
        "limits": sentences.limits(report),
    }


def _figures(report: RunReport, f1_of_folds: Sequence[Metric]) -> dict[str, dict[str, Plot]]:
    """The figures of each part of the page."""
    if not report.labelled:
        return {"predictions": page_figures.prediction_figures(report)}
    return {
        "children": page_figures.child_figure(report),
        "curves": page_figures.curve_figures(report),
        "models": page_figures.model_figures_of(report),
        "folds": page_figures.fold_figures(report.predictions, report.metrics, f1_of_folds),
    }


def _figure(name: str, plot: Plot) -> dict[str, Any]:
    axes = np.ravel(plot.axes)[0]
    return {
        "name": name,
        "svg": plot.svg(name),
        "title": axes.get_title("left"),
        "readable": bool(plot.lines or plot.points),
        "wide": plot.figure.get_figwidth() > 6,
    }


def _errors(report: RunReport) -> list[str]:
    """Why predictions are wrong."""
    if not report.labelled:
        return []
    predictions = report.predictions
    lines = describe_errors(predictions, report.playable, report.evidence)
    lines += [sentences.too_little_seen(predictions), sentences.worst_child(predictions)]
    return [line for line in lines if line]


def _positive(report: RunReport) -> dict[str, Any]:
    """The segments predicted positive, the most probable first: the rows of a table, and how many there are.

    Without those of which too little was seen, which the page counts apart.
    """
    predictions = report.predictions
    rows = np.flatnonzero(predictions.positive & ~predictions.too_little_seen)
    rows = rows[np.argsort(-predictions.probability[rows], kind="stable")]
    cells = [
        (
            printable(predictions.names[row]),
            printable(str(predictions.children[row])),
            f"{predictions.probability[row]:.3f}",
            int(row),
        )
        for row in rows[:MOST_POSITIVE]
    ]
    return {"rows": cells, "count": len(rows)}


def _printed(report: RunReport, children: Mapping[str, Any]) -> dict[str, Any]:
    """Tables of the printed page: children with the most errors, or the positive segments; and how many more."""
    most = MOST_PRINTED[report.labelled]
    if not report.labelled:
        positive = _positive(report)
        rows = [row[:3] for row in positive["rows"][:most]]
        half = -(-len(rows) // 2)
        tables = [part for part in (rows[:half], rows[half:]) if part]
        return {"columns": ("segment", "child", "probability"), "tables": tables, "more": positive["count"] - len(rows)}
    wrong = sorted((row for row in children["rows"] if row["errors"]), key=lambda row: -row["errors"])
    columns = [column["name"] for column in children["columns"]][:6]
    rows = [[cell["text"] for cell in row["cells"]][:6] for row in wrong[:most]]
    return {"columns": columns, "tables": [rows] if rows else [], "more": len(wrong) - len(rows)}


def _leaderboard(report: RunReport) -> dict[str, Any]:
    """Models and blend, with and without the child's other segments, the best first."""
    found, context = report.metrics, report.metrics.child_context
    rows: dict[str, Mapping[str, Metric]] = {**found.each_model, "blend (decides)": found.cross_fitted}
    if report.decision.blend_settings.child_context:
        rows["blend without child context"] = context.without_context
    else:
        rows["blend with child context"] = context.with_context
    ordered = sorted(rows.items(), key=lambda pair: -(pair[1]["f1"].value or 0))
    return {
        "columns": [name for _, name in ROWS[:8]],
        "rows": [
            {"name": name, "cells": [_cell(estimates[key]) for key, _ in ROWS[:8]]} for name, estimates in ordered
        ],
    }


def _fold_metrics(oof: OofTable) -> list[dict[str, Metric]]:
    """The metrics of each fold with intervals over its children."""
    estimates = []
    for fold in np.unique(oof.folds):
        rows = oof.folds == fold
        children = oof.children[rows].tolist()
        found = metrics.evaluate(oof.labels[rows], oof.probabilities[rows], oof.positive[rows], children)
        estimates.append(metrics_of(found))
    return estimates


def _folds(report: RunReport, of_folds: Sequence[Mapping[str, Metric]]) -> list[dict[str, Any]]:
    """Segments, children, prevalence and threshold of each fold, and its metrics with intervals."""
    found = report.metrics
    return [
        {
            "counts": [str(fold[key]) for key in ("fold", "segments", "children")],
            "prevalence": "–" if fold["prevalence"] is None else percent(fold["prevalence"]),
            "cells": [_cell(estimates[key]) for key in FOLD_METRICS],
            "threshold": three_digits(threshold),
        }
        for fold, estimates, threshold in zip(found.folds, of_folds, found.cross_fitted_thresholds, strict=False)
    ]


def _cell(metric: Metric) -> tuple[str, str]:
    """A metric, and its interval."""
    value, _, limits = interval(metric).partition(" ")
    return value, limits.strip("()")


def _shortened(lines: Sequence[str]) -> list[str]:
    if len(lines) <= MOST_WARNINGS:
        return list(lines)
    return [*lines[:MOST_WARNINGS], f"and {len(lines) - MOST_WARNINGS} more"]
