"""A run, or its predictions for new segments, as one page that stands by itself: figures, children, players, reasons.

Everything that comes from files goes through Jinja2's escaping or into JSON without `<`; the page's policy forbids all
scripts but its own and every request.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spasm.data.annotations import LabelLevel
from spasm.evaluation import curves
from spasm.evaluation.metrics import ROWS
from spasm.explain.descriptions import NOTES, describe_strengths
from spasm.report import sentences
from spasm.report.children import child_quality, children_table, group_columns, quality_figures
from spasm.report.console import data_name
from spasm.report.error_analysis import describe_errors
from spasm.report.figures import Plot, interval
from spasm.report.page_figures import curve_figures, fold_figure
from spasm.report.payload import build_payload, to_json
from spasm.report.predictions import percent
from spasm.report.run_report import RunReport
from spasm.report.sentences import three_digits
from spasm.report.templates import read_asset, render
from spasm.runs.artefacts import Metric, Metrics
from spasm.runs.oof_table import OofTable

HEADLINE = ("f1", "prevalence", "always_positive_f1")  # the metrics that come first
FOLD_METRICS = ("prevalence", "f1", "sensitivity", "specificity", "auc")
MOST_WARNINGS = 20
SCRIPTS = ("page_data.js", "body.js", "time_strip.js", "explanation.js", "player.js", "page.js")  # joined in order


def page(report: RunReport) -> tuple[str, dict[str, Plot]]:
    """The page as HTML, and its figures by name. Raises SettingsError where Jinja2 is not installed."""
    predictions, metrics = report.predictions, report.metrics
    quality = child_quality(predictions)
    plots, quality_plots = curve_figures(report), quality_figures(quality)
    fold_plots = {"folds": fold_figure(metrics)} if report.labelled else {}
    children = children_table(predictions, quality)
    shown = [_figure(name, plot) for name, plot in plots.items()]  # before the payload, which needs their layout
    payload = build_payload(report, plots, [row["number"] for row in children["rows"]])
    script = "".join(read_asset(name) for name in SCRIPTS)
    context = {
        "simulated": report.decision.data.simulated,
        "labelled": report.labelled,
        "data_name": data_name(report.decision.data),
        "new_segments": sentences.new_segments(report),
        "headline": sentences.headline(report),
        "cards": _cards(metrics.cross_fitted),
        "calibration": _calibration(report.oof),
        "protocol": metrics.protocol,
        "child_level_labels": predictions.label_level is LabelLevel.CHILD,
        "figures": shown,
        "leaderboard": _leaderboard(report) if report.labelled else None,
        "groups": group_columns(predictions),
        "children": children,
        "all_playable": len(report.playable) == len(predictions.names),
        "playable": sentences.playable(report),
        "feature_notes": NOTES,
        "strengths": describe_strengths(),
        "errors": describe_errors(predictions, report.playable, report.evidence) if report.labelled else [],
        "quality": sentences.about_quality(predictions, quality),
        "quality_figures": [_figure(name, plot) for name, plot in quality_plots.items()],
        "warnings": _shortened(predictions.warnings),
        "folds": _folds(metrics) if report.labelled else None,
        "fold_figures": [_figure(name, plot) for name, plot in fold_plots.items()],
        "provenance": report.provenance,
        "models": report.models,
        "payload": to_json(payload),
        "style": read_asset("report.css") + read_asset("player.css"),
        "script": script,
        "script_digest": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    }
    return render("report.html", context), plots | quality_plots | fold_plots


def _figure(name: str, plot: Plot) -> dict[str, Any]:
    axes = np.ravel(plot.axes)[0]
    return {
        "name": name,
        "svg": plot.svg(name),
        "title": axes.get_title("left"),
        "readable": bool(plot.lines),
        "wide": plot.figure.get_figwidth() > 6,
    }


def _cards(estimates: Mapping[str, Metric]) -> list[dict[str, str]]:
    """Every metric with its interval, those of HEADLINE first."""
    cards = []
    for key, name in sorted(ROWS, key=lambda row: row[0] not in HEADLINE):
        metric = estimates[key]
        cards.append(
            {
                "name": f"cross-fitted {name}" if key == "f1" else name,
                "value": three_digits(metric.value),
                "range": "" if metric.low is None else f"{metric.low:.3f} to {metric.high:.3f}",
            }
        )
    return cards


def _calibration(oof: OofTable) -> list[list[str]]:
    """For each band of probability: the fraction that is positive with its interval, segments, children."""
    rows = []
    for band in curves.reliability(oof.labels, oof.probabilities, oof.children.tolist(), np.array(curves.BANDS)):
        observed = f"{percent(band.observed)} ({percent(band.observed_low)} to {percent(band.observed_high)})"
        if band.children < 2:
            observed = "too few to judge"
        rows.append([f"{band.low:.1f} to {band.high:.1f}", observed, str(band.segments), str(band.children)])
    return rows


def _leaderboard(report: RunReport) -> dict[str, Any]:
    """Models and blend, with and without the child's other segments, the best first."""
    metrics, context = report.metrics, report.metrics.child_context
    rows: dict[str, Mapping[str, Metric]] = {**metrics.each_model, "blend, as decided": metrics.cross_fitted}
    if report.decision.blend_settings.child_context:
        rows["blend without child context (not chosen)"] = context.without_context
    else:
        rows["blend with child context (not chosen)"] = context.with_context
    ordered = sorted(rows.items(), key=lambda pair: -(pair[1]["f1"].value or 0))
    return {
        "columns": [name for _, name in ROWS[:7]],
        "rows": [
            {"name": name, "cells": [interval(estimates[key]).partition(" ")[::2] for key, _ in ROWS[:7]]}
            for name, estimates in ordered
        ],
    }


def _folds(metrics: Metrics) -> list[list[str]]:
    """Segments, children, metrics and threshold of each fold."""
    return [
        [
            *(str(fold[key]) for key in ("fold", "segments", "children")),
            *(three_digits(fold[key]) for key in FOLD_METRICS),
            f"{threshold:.3f}",
        ]
        for fold, threshold in zip(metrics.folds, metrics.cross_fitted_thresholds, strict=True)
    ]


def _shortened(lines: Sequence[str]) -> list[str]:
    if len(lines) <= MOST_WARNINGS:
        return list(lines)
    return [*lines[:MOST_WARNINGS], f"and {len(lines) - MOST_WARNINGS} more"]
