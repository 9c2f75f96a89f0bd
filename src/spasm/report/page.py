"""A run, or the answers to new segments, as one page that stands by itself: figures, children, films, reasons.

Everything that comes from files goes through Jinja2's escaping or into JSON without `<`; the page's policy forbids all
scripts but its own and every request.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from spasm.data.annotations import LabelLevel
from spasm.evaluation import curves, metrics
from spasm.evaluation.metrics import ROWS
from spasm.explain.attributions import Evidence
from spasm.explain.descriptions import NOTES
from spasm.report import figures as draw
from spasm.report.children import (
    QUALITY_CAPTIONS,
    child_quality,
    children_table,
    group_columns,
    quality_figures,
    quality_lines,
)
from spasm.report.console import data_name
from spasm.report.error_analysis import mistakes
from spasm.report.figures import Plot, interval
from spasm.report.payload import LISTED, _json, _payload
from spasm.report.predictions import Answers
from spasm.report.sentences import OF_CHILDREN, WORDS, _answered, _films, _in_words, _number, _trust
from spasm.runs.metrics_json import OutOfFold

HERE = Path(__file__).parent


def page(
    answers: Answers,
    rows: np.ndarray,
    evidence: Evidence,
    decision: Mapping[str, Any],
    figures: Mapping[str, Any],
    held_out: OutOfFold,
    made: Sequence[tuple[str, str]],
    members: Sequence[Mapping[str, Any]],
) -> tuple[str, dict[str, Plot]]:
    """The page as HTML, and its figures by name.

    rows: whose films are in it, as `kept` says; evidence: of these; figures, held_out: the run's metrics.json
    and oof.csv; made: how the page came to be, as names and values; members: `name`, `command` and `settings` of each.
    """
    labelled, simulated = answers.labels is not None, bool(decision["data"]["simulated"])
    quality = child_quality(answers)
    drawings = _run_figures(answers, decision, figures) if labelled else _answer_figures(answers, decision)
    others = {name: (drawing, QUALITY_CAPTIONS[name]) for name, drawing in quality_figures(quality).items()}
    if labelled:
        others["folds"] = (_folds_figure(figures), "Prevalence and cross-fitted F1 of each fold.")
    table = children_table(answers, quality)
    top = [row["number"] for row in table["children"]]
    context = {
        "title": "Infantile spasms from pose: " + ("report of a run" if labelled else "answers to new segments"),
        "simulated": simulated,
        "labelled": labelled,
        "data_line": f"Trained on {data_name(dict(decision['data']))}.",
        "sections": _sections(labelled),
        "cards": _cards(figures),
        "in_words": _in_words(answers, decision, figures),
        "trust": _trust(held_out),
        "mistakes": mistakes(answers, rows, evidence) if labelled else [],
        "words": [*WORDS, *NOTES],
        "answered_line": _answered(answers, decision),
        "protocol": figures["protocol"] + (OF_CHILDREN if answers.label_level is LabelLevel.CHILD else ""),
        "figures": [_shown(name, *drawing) for name, drawing in drawings.items()],
        "leaderboard": _leaderboard(figures, decision) if labelled else None,
        "groups": group_columns(answers),
        **table,
        "films_missing": len(rows) < len(answers.names),
        "films_line": _films(answers, rows),
        "quality_lines": quality_lines(answers, quality),
        "quality_figures": [_shown(name, *others[name]) for name in QUALITY_CAPTIONS],
        "warnings": _some(answers.warnings),
        "folds": _folds(figures) if labelled else None,
        "folds_line": "Folds hold whole children: no child is in two. Each is judged by a threshold of the others.",
        "folds_figure": _shown("folds", *others["folds"]) if labelled else None,
        "made": made,
        "members": members,
        "payload": _json(_payload(answers, rows, evidence, decision, drawings, top)),
    }
    script = (HERE / "report.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    template = environment.from_string((HERE / "report.html").read_text(encoding="utf-8"))
    style = (HERE / "report.css").read_text(encoding="utf-8")
    text = template.render(**context, script=script, script_digest=digest, style=style)
    return text, {name: drawing for name, (drawing, _) in (drawings | others).items()}


def _sections(labelled: bool) -> list[tuple[str, str]]:
    names = {
        "headline": "How good" if labelled else "Answers", "curves": "Curves" if labelled else "Probabilities",
        "children": "Children", "player": "Player", "errors": "Errors" if labelled else "Worth a look",
        "quality": "Recordings", "folds": "Folds", "made": "How made",
    }  # fmt: skip
    return [(id, name) for id, name in names.items() if labelled or id != "folds"]


# ---- the headline


def _cards(figures: Mapping[str, Any]) -> list[dict[str, str]]:
    cards = []
    for key, name in sorted(ROWS, key=lambda row: row[0] not in ("f1", "prevalence", "always_positive_f1")):
        figure = figures["cross_fitted"][key]
        low, high = figure["low"], figure["high"]
        cards.append(
            {
                "name": f"cross-fitted {name}" if key == "f1" else name,
                "value": "–" if figure["value"] is None else f"{figure['value']:.3f}",
                "range": "" if low is None else f"{low:.3f} to {high:.3f}",
            }
        )
    return cards


# ---- figures


def _shown(name: str, drawing: Plot, caption: str) -> dict[str, Any]:
    axes = np.ravel(drawing.axes)[0]
    return {
        "name": name, "svg": drawing.svg(name), "title": axes.get_title("left"), "caption": caption,
        "readable": bool(drawing.lines), "wide": drawing.figure.get_figwidth() > 6,
    }  # fmt: skip


def _run_figures(
    answers: Answers, decision: Mapping[str, Any], figures: Mapping[str, Any]
) -> dict[str, tuple[Plot, str]]:
    assert answers.labels is not None and answers.fold_of is not None
    labels, probabilities, children = answers.labels, answers.probability, answers.children
    whole = figures["cross_fitted"]
    value = {key: whole[key]["value"] for key, _ in ROWS}
    counts = curves.count(labels, probabilities, children)
    once, drawn = metrics.cluster_bootstrap(labels, probabilities, answers.positive, children)
    both = [np.concatenate([[once[key]], drawn[key]]) for key in ("sensitivity", "specificity")]
    benefit, everything = curves.net_benefit(counts, np.linspace(0.01, 0.8, 80))
    shares = np.linspace(0.01, 0.6, 60)
    always, threshold = value["always_positive_f1"], decision["threshold"]
    thresholds = figures["cross_fitted_thresholds"]
    place = np.unique(np.asarray(children), return_inverse=True)[1]
    each = np.stack([np.bincount(place, values) / np.bincount(place) for values in (probabilities, labels)], axis=1)
    members = sorted([*figures["each_member"].items(), ("blend", whole)], key=lambda pair: pair[1]["f1"]["value"] or 0)
    board = [(name, member["f1"]) for name, member in members if member["f1"]["low"] is not None]
    band = "Shaded: 95 % over children."
    return {
        "roc": (
            draw.roc(curves.roc(counts), (1 - both[1][0], both[0][0]), whole["auc"]),
            f"How many spasms are found for how many false alarms, as the threshold falls. {band}",
        ),
        "precision-recall": (
            draw.precision_recall(
                curves.precision_recall(counts), (value["sensitivity"] or 0, value["precision"] or 0),
                value["prevalence"], whole["average_precision"],
            ),
            f"How many calls are right for how many spasms found. It depends on the prevalence. {band}",
        ),
        "reliability": (
            draw.reliability(curves.reliability(labels, probabilities, children), each),
            "Whether a probability can be believed: on the dotted line it is true. Squares: bins of equally many "
            "segments; small dots: children, all their segments together.",
        ),
        "f1-threshold": (
            draw.f1_by_threshold(curves.f1(counts), threshold, thresholds, always),
            f"What another threshold would have given. Its top is optimistic, and not the headline. {band}",
        ),
        "decision-curve": (
            draw.decision_curve(benefit, everything),
            "Whether answering is worth it for somebody who acts from a probability on: above both other lines it is. "
            f"A hit counts 1, a false alarm the odds of the threshold. {band}",
        ),
        "f1-prevalence": (
            draw.f1_by_prevalence(curves.f1_at_prevalence(both[0], both[1], shares), value["prevalence"]),
            f"What F1 becomes where spasms are rarer, sensitivity and specificity as here. {band}",
        ),
        "scores-fold": (
            draw.scores_by_fold(answers.fold_of, labels, probabilities, thresholds),
            "Each segment by the fold that never saw it. Folds should look alike.",
        ),
        "leaderboard": (
            draw.leaderboard(board, always),
            "Every member by itself, and the blend, judged alike.",
        ),
        "scores-child": (
            draw.scores_by_child(children, labels, probabilities, threshold),
            "Each segment above its child, children by mean probability. Triangles below the line are missed spasms, "
            "circles above it false alarms.",
        ),
    }  # fmt: skip


def _answer_figures(answers: Answers, decision: Mapping[str, Any]) -> dict[str, tuple[Plot, str]]:
    threshold = float(answers.thresholds[0]) if len(answers.names) else decision["threshold"]
    return {
        "answers": (
            draw.answers(answers.probability, threshold),
            "How many segments got which probability; right of the dashed line they are called positive.",
        )
    }


def _leaderboard(figures: Mapping[str, Any], decision: Mapping[str, Any]) -> dict[str, Any]:
    with_context = bool(decision["blend"]["context"])
    other = ("without", "with")[not with_context]
    names = {"with": "blend with child context", "without": "blend without child context"}
    rows = {**figures["each_member"], "blend, as decided": figures["cross_fitted"]}
    rows[f"{names[other]} (not chosen)"] = figures["child_context"][other]
    ordered = sorted(rows.items(), key=lambda pair: -(pair[1]["f1"]["value"] or 0))
    return {
        "columns": [name for _, name in ROWS[:7]],
        "rows": [{"name": name, "cells": [_two(interval(each[key])) for key, _ in ROWS[:7]]} for name, each in ordered],
    }


# ---- folds


def _folds_figure(figures: Mapping[str, Any]) -> Plot:
    return draw.folds([fold["prevalence"] for fold in figures["folds"]], [fold["f1"] for fold in figures["folds"]])


def _folds(figures: Mapping[str, Any]) -> dict[str, Any]:
    rows = [
        [str(fold["fold"]), str(fold["segments"]), str(fold["children"]),
         *(_number(fold[key]) for key in ("prevalence", "f1", "sensitivity", "specificity", "auc")), f"{threshold:.3f}"]
        for fold, threshold in zip(figures["folds"], figures["cross_fitted_thresholds"], strict=True)
    ]  # fmt: skip
    return {
        "columns": [
            "fold",
            "segments",
            "children",
            "prevalence",
            "F1",
            "sensitivity",
            "specificity",
            "AUC",
            "threshold",
        ],
        "rows": rows,
    }


def _two(text: str) -> tuple[str, str]:
    """A figure and its interval, to stand below each other."""
    value, _, range_ = text.partition(" ")
    return value, range_


def _some(lines: Sequence[str]) -> list[str]:
    return [*lines[:LISTED], f"and {len(lines) - LISTED} more"] if len(lines) > LISTED else list(lines)
