"""A run, or the answers to new segments, as one page that stands by itself: figures, children, films, reasons.

Everything that comes from files goes through Jinja2's escaping or into JSON without `<`; the page's policy forbids all
scripts but its own and every request.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from spasm import curves
from spasm.answer import choice_of
from spasm.decision import probability
from spasm.errors import printable
from spasm.evidence import Evidence, explaining
from spasm.kinematics import PARTS, part_speeds
from spasm.landmarks import EDGES, LANDMARKS, LEFT_HIP, RIGHT_HIP
from spasm.metrics import resampled
from spasm.reasons import NOTES, sentence
from spasm.report import figures as draw
from spasm.report.answers import Answers, distance, least_certain, worst
from spasm.report.children import (
    QUALITY_CAPTION,
    child_quality,
    children_table,
    group_columns,
    quality_figure,
    quality_lines,
)
from spasm.report.figures import Drawing, interval
from spasm.report.packed import pack
from spasm.report_text import ROWS, data_name
from spasm.segments import FPS, found

HERE = Path(__file__).parent
LISTED = 20  # errors to go through, and warnings


def page(
    answers: Answers,
    rows: np.ndarray,
    evidence: Evidence,
    decision: Mapping[str, Any],
    figures: Mapping[str, Any],
    made: Sequence[tuple[str, str]],
    members: Sequence[Mapping[str, Any]],
) -> tuple[str, dict[str, Drawing]]:
    """The page as HTML, and its figures by name.

    rows: whose films are in it, as `kept` says; evidence: of these; figures: the run's metrics.json; made: how the page
    came to be, as names and values; members: `name`, `command` and `settings` of each.
    """
    labelled, simulated = answers.labels is not None, bool(decision["data"]["simulated"])
    quality = child_quality(answers)
    drawings = _run_figures(answers, decision, figures) if labelled else _answer_figures(answers, decision)
    others = {"quality": (quality_figure(quality), QUALITY_CAPTION)}
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
        "trust": _trust(answers),
        "answered_line": _answered(answers, decision),
        "protocol": figures["protocol"],
        "figures": [_shown(name, *drawing) for name, drawing in drawings.items()],
        "leaderboard": _leaderboard(figures, decision) if labelled else None,
        "groups": group_columns(answers),
        **table,
        "films_missing": len(rows) < len(answers.names),
        "films_line": _films(answers, rows),
        "quality_lines": quality_lines(answers, quality),
        "quality_figure": _shown("quality", *others["quality"]),
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


def _in_words(answers: Answers, decision: Mapping[str, Any], figures: Mapping[str, Any]) -> list[str]:
    """The headline as sentences."""
    whole = {key: interval(figures["cross_fitted"][key]) for key, _ in ROWS}
    percent = {key: _percent(figures["cross_fitted"][key]) for key in ("sensitivity", "specificity", "precision")}
    plain = figures["plain_out_of_fold_optimistic"]["f1"]
    words = [
        f"On children it has never seen: F1 {whole['f1']}, where {decision['prevalence']:.0%} of segments are positive "
        f"and always answering “positive” scores {whole['always_positive_f1'].split(' ')[0]}. New children elsewhere "
        "may be harder: expect less until it is measured on them.",
        f"It finds {percent['sensitivity']} of segments with a spasm, and leaves {percent['specificity']} of the "
        f"others alone; of its positive answers {percent['precision']} are right. (In brackets: 95 % interval over "
        "children.)",
        f"For new children a segment is positive from a probability of {decision['threshold']:.3f} on. At one "
        f"threshold for all children here F1 would be {_number(plain['value'])}, which is optimistic: it was chosen on "
        "the same rows.",
    ]
    if answers.labels is not None:
        words.append(_worst_child(answers))
    return words


def _trust(answers: Answers) -> list[list[str]]:
    """What a probability was worth here, band by band."""
    if answers.labels is None:
        return []
    bins = curves.reliability(answers.labels, answers.probability, answers.children, np.array(curves.BANDS))
    rows = []
    for part in bins:
        observed = f"{part.observed:.0%} ({part.observed_low:.0%} to {part.observed_high:.0%})"
        if part.children < 2:
            observed = "too few to judge"
        rows.append([f"{part.low:.1f} to {part.high:.1f}", observed, str(part.segments), str(part.children)])
    return rows


def _worst_child(answers: Answers) -> str:
    assert answers.labels is not None
    wrong = answers.positive != (answers.labels == 1)
    names, place = np.unique(np.asarray(answers.children), return_inverse=True)
    count, errors = np.bincount(place), np.bincount(place, wrong)
    losses = np.bincount(place, (answers.probability - answers.labels) ** 2) / count
    order = np.lexsort((-losses, -errors / count))
    without = int((errors == 0).sum())
    first = order[0]
    return (
        f"The worst child is {printable(str(names[first]))}, with {int(errors[first])} of {int(count[first])} segments "
        f"wrong; {without} of {len(names)} children have no wrong answer."
    )


def _answered(answers: Answers, decision: Mapping[str, Any]) -> str:
    count, positive = len(answers.names), int(answers.positive.sum())
    threshold = float(answers.thresholds[0]) if count else decision["threshold"]
    return (
        f"{count} segments of {len(set(answers.children))} children, {positive} called positive at the threshold "
        f"{threshold:.3f}. Their truth is not known here: nothing on this page says how many of them are right."
    )


# ---- figures


def _shown(name: str, drawing: Drawing, caption: str) -> dict[str, Any]:
    axes = np.ravel(drawing.axes)[0]
    return {
        "name": name, "svg": drawing.svg(name), "title": axes.get_title("left"), "caption": caption,
        "readable": bool(drawing.lines), "wide": drawing.figure.get_figwidth() > 6,
    }  # fmt: skip


def _run_figures(
    answers: Answers, decision: Mapping[str, Any], figures: Mapping[str, Any]
) -> dict[str, tuple[Drawing, str]]:
    assert answers.labels is not None and answers.fold_of is not None
    labels, chances, children = answers.labels, answers.probability, answers.children
    whole = figures["cross_fitted"]
    value = {key: whole[key]["value"] for key, _ in ROWS}
    counts = curves.count(labels, chances, children)
    once, drawn = resampled(labels, chances, answers.positive, children)
    both = [np.concatenate([[once[key]], drawn[key]]) for key in ("sensitivity", "specificity")]
    benefit, everything = curves.net_benefit(counts, np.linspace(0.01, 0.8, 80))
    shares = np.linspace(0.01, 0.6, 60)
    always, threshold = value["always_positive_f1"], decision["threshold"]
    thresholds = figures["cross_fitted_thresholds"]
    place = np.unique(np.asarray(children), return_inverse=True)[1]
    each = np.stack([np.bincount(place, values) / np.bincount(place) for values in (chances, labels)], axis=1)
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
            draw.reliability(curves.reliability(labels, chances, children), each),
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
            draw.f1_by_prevalence(curves.f1_at_prevalence(*both, shares), value["prevalence"]),
            f"What F1 becomes where spasms are rarer, sensitivity and specificity as here. {band}",
        ),
        "scores-fold": (
            draw.scores_by_fold(answers.fold_of, labels, chances, thresholds),
            "Each segment by the fold that never saw it. Folds should look alike.",
        ),
        "leaderboard": (
            draw.leaderboard(board, always),
            "Every member by itself, and the blend, judged alike.",
        ),
        "scores-child": (
            draw.scores_by_child(children, labels, chances, threshold),
            "Each segment above its child, children by mean probability. Triangles below the line are missed spasms, "
            "circles above it false alarms.",
        ),
    }  # fmt: skip


def _answer_figures(answers: Answers, decision: Mapping[str, Any]) -> dict[str, tuple[Drawing, str]]:
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
        "rows": [{"name": name, "cells": [interval(each[key]) for key, _ in ROWS[:7]]} for name, each in ordered],
    }


# ---- folds


def _folds_figure(figures: Mapping[str, Any]) -> Drawing:
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


# ---- what the page's script reads


def _payload(
    answers: Answers,
    rows: np.ndarray,
    evidence: Evidence,
    decision: Mapping[str, Any],
    drawings: Mapping[str, Any],
    top: list[int],
) -> dict[str, Any]:
    names, place = np.unique(np.asarray(answers.children, dtype=str), return_inverse=True)
    choice = choice_of(dict(decision))
    said = {name: probability(line[0] * answers.logits[name] + line[1]) for name, line in choice.lines.items()}
    film_of = {int(row): number for number, row in enumerate(rows)}
    apart = np.abs(distance(answers))
    segments = []
    for row, name in enumerate(answers.names):
        number = film_of.get(row)
        pose = np.array(answers.poses[row]) if number is not None else None
        segment: dict[str, Any] = {
            "name": printable(name),
            "child": int(place[row]),
            "fold": None if answers.fold_of is None else int(answers.fold_of[row]),
            "label": None if answers.labels is None else int(answers.labels[row]),
            "answer": int(answers.positive[row]),
            "p": round(float(answers.probability[row]), 5),
            "threshold": round(float(answers.thresholds[row]), 5),
            "wrongness": round(_wrongness(answers, row, apart), 4),
            "film": None,
        }
        if pose is not None and number is not None:
            looked = evidence.attention[number]
            posed = bool(found(pose).any())
            segment |= {
                "film": pack(pose, looked, evidence.frame_logits[number], part_speeds(pose[None])[0]),
                "moment": round(int(looked.argmax()) / FPS, 3) if looked.any() else None,
                "events": [[start, end, printable(kind)] for start, end, kind in answers.events.get(name, [])],
                "reasons": [[sentence(reason), round(reason.push, 3)] for reason in evidence.reasons[number]],
                "members": [round(float(values[row]), 4) for values in said.values()] if posed else [],
                "note": answers.notes.get(name, ""),
            }
        segments.append(segment)
    playable = set(film_of)
    wrong = [int(row) for row in worst(answers) if int(row) in playable][:LISTED]
    unsure = [int(row) for row in least_certain(answers) if int(row) in playable][:LISTED]
    # The page opens with the worst segment of the child at the top of the table that can be played.
    order = sorted(playable, key=lambda row: (top.index(int(place[row])), -segments[row]["wrongness"]))
    first = order[0] if order else None
    sides = ["l" if "left" in name else "r" if "right" in name else "m" for name in LANDMARKS]
    return {
        "frames": answers.poses.shape[1],
        "fps": FPS,
        "aspect": _aspect(decision),
        "landmarks": list(LANDMARKS),
        "edges": [list(edge) for edge in EDGES],
        "sides": sides,
        "hips": [LEFT_HIP, RIGHT_HIP],
        "parts": list(PARTS),
        "labelled": answers.labels is not None,
        "notes": list(NOTES),
        "explains": "lgbm" in explaining(dict(decision)),
        "groups": len(group_columns(answers)),
        "children": [printable(str(name)) for name in names],
        "members": [[name, round(weight, 3)] for name, weight in choice.weights.items()],
        "segments": segments,
        "wrong": wrong,
        "unsure": unsure,
        "first": first,
        "figures": {name: drawing.readings() for name, (drawing, _) in drawings.items() if drawing.lines},
    }


def _wrongness(answers: Answers, row: int, apart: np.ndarray) -> float:
    """What a child's segments are ordered by: wrong ones first, the surest first, then the least sure right ones."""
    if answers.labels is None:
        return float(answers.probability[row])
    wrong = bool(answers.positive[row]) != (answers.labels[row] == 1)
    return float(apart[row]) if wrong else -float(apart[row])


def _aspect(decision: Mapping[str, Any]) -> float:
    """Width of the pictures by height, if a member was told."""
    told = [member["settings"].get("features", {}).get("aspect", 1.0) for member in decision["members"].values()]
    return next((float(value) for value in told if value != 1.0), 1.0)


def _films(answers: Answers, rows: np.ndarray) -> str:
    if len(rows) == len(answers.names):
        return f"All {len(rows)} segments are here; choose one above."
    return (
        f"{len(rows)} of {len(answers.names)} segments are here, so that the page stays small: the most wrong, the "
        "least certain, and a sample of the others. Figures and tables count all."
    )


def _json(tree: Mapping[str, Any]) -> str:
    """JSON that cannot end the element it stands in."""
    return json.dumps(tree, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c").replace(">", "\\u003e")


def _some(lines: Sequence[str]) -> list[str]:
    return [*lines[:LISTED], f"and {len(lines) - LISTED} more"] if len(lines) > LISTED else list(lines)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _percent(figure: Mapping[str, float | None]) -> str:
    value, low, high = figure["value"], figure["low"], figure["high"]
    if value is None or low is None or high is None:
        return "an unknown share"
    return f"{value:.0%} ({low:.0%} to {high:.0%})"
