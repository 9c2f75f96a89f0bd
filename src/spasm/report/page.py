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

from spasm import curves, metrics
from spasm.answer import choice_of
from spasm.decision import probability
from spasm.errors import printable
from spasm.evidence import Evidence, explaining
from spasm.kinematics import PARTS, part_speeds
from spasm.landmarks import EDGES, LANDMARKS, LEFT_HIP, RIGHT_HIP
from spasm.reasons import NOTES, told
from spasm.report import figures as draw
from spasm.report.answers import Answers, distance, least_certain, percent, worst
from spasm.report.children import (
    QUALITY_CAPTIONS,
    child_quality,
    children_table,
    group_columns,
    quality_figures,
    quality_lines,
)
from spasm.report.figures import Drawing, interval
from spasm.report.mistakes import mistakes, unseen
from spasm.report.packed import pack
from spasm.report_text import ROWS, data_name
from spasm.results import OutOfFold
from spasm.segments import FPS, found

HERE = Path(__file__).parent
KINDS = {"lgbm": "LightGBM", "rocket": "random convolutions", "stgcn_mil": "network (ST-GCN)"}
WORDS = (
    "Segment: a few seconds of film, as 33 landmarks of the body in each frame. Positive: said to hold a spasm.",
    "F1: one number for how many spasms are found and how many calls are right, from 0 to 1; it depends on how many "
    "segments are positive. Sensitivity: share of spasms found. Specificity: share of the other segments left alone. "
    "Precision: share of positive answers that are right.",
    "AUC: how often a segment with a spasm gets a higher probability than one without; 0.5 is chance. Brier score: "
    "mean squared error of the probability; 0 is perfect.",
    "Fold: a fifth, or so, of the children, answered by models that learned from the others. Cross-fitted: the "
    "threshold and weights that judge a fold were chosen on the other folds too.",
    "Attention: where in the segment the network looked; all frames together are 100 %. Frame log-odds: what it saw "
    "in a frame, above 0 speaks for a spasm, below against; 2 is about 9 in 10, -2 about 1 in 10.",
    "Jitter: how much positions shake from frame to frame, in hundredths of the picture.",
    "What LightGBM weighed: Shapley values, in log-odds, of like measurements together; “like it” counts these.",
)
OF_CHILDREN = (
    " In this layout a label belongs to the child: every segment of a positive child counts as a spasm here, though "
    "most hold none, so that sensitivity is told too low. compare.py judges children by their largest segment."
)
LISTED = 20  # errors to go through, and warnings


def page(
    answers: Answers,
    rows: np.ndarray,
    evidence: Evidence,
    decision: Mapping[str, Any],
    figures: Mapping[str, Any],
    held_out: OutOfFold,
    made: Sequence[tuple[str, str]],
    members: Sequence[Mapping[str, Any]],
) -> tuple[str, dict[str, Drawing]]:
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
        "protocol": figures["protocol"] + (OF_CHILDREN if answers.judged_by else ""),
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


def _in_words(answers: Answers, decision: Mapping[str, Any], figures: Mapping[str, Any]) -> list[str]:
    """The headline as sentences."""
    whole = {key: interval(figures["cross_fitted"][key]) for key, _ in ROWS}
    shares = {key: _percent(figures["cross_fitted"][key]) for key in ("sensitivity", "specificity", "precision")}
    prevalence = percent(decision["prevalence"])
    words = [
        f"On children it has never seen: F1 {whole['f1']}, where {prevalence} of segments are "
        f"positive and always answering “positive” scores {whole['always_positive_f1'].split(' ')[0]}. New children "
        "elsewhere may be harder: expect less until it is measured on them.",
        f"It finds {shares['sensitivity']} of segments with a spasm, and leaves {shares['specificity']} of the "
        f"others alone; of its positive answers {shares['precision']} are right. (In brackets: 95 % interval over "
        "children.)",
        *_of_threshold(answers, decision, figures),
    ]
    if answers.labels is not None:
        words += [_worst_child(answers), *_without_pose(answers)]
    return words


def _trust(held_out: OutOfFold) -> list[list[str]]:
    """What a probability was worth on the run's own children, band by band."""
    labels, chances, _, children = held_out
    rows = []
    for part in curves.reliability(labels, chances, children.tolist(), np.array(curves.BANDS)):
        observed = f"{percent(part.observed)} ({percent(part.observed_low)} to {percent(part.observed_high)})"
        if part.children < 2:
            observed = "too few to judge"
        rows.append([f"{part.low:.1f} to {part.high:.1f}", observed, str(part.segments), str(part.children)])
    return rows


def _without_pose(answers: Answers) -> list[str]:
    """What segments without any pose do to the headline."""
    assert answers.labels is not None
    posed = answers.has_pose
    if posed.all() or not posed.any():
        return []
    without = metrics.figures(answers.labels[posed], answers.probability[posed], answers.positive[posed])["f1"]
    return [
        f"{(~posed).sum()} of {len(posed)} segments have no pose in any frame, and {(answers.positive & ~posed).sum()} "
        "of them count as called positive, as their like were labelled in training. Without such segments F1 is "
        f"{_number(without)}."
    ]


def _of_threshold(answers: Answers, decision: Mapping[str, Any], figures: Mapping[str, Any]) -> list[str]:
    """What the threshold is; a warning where new segments were held against another than the figures were."""
    if answers.labels is None and len(answers.names) and answers.thresholds[0] != decision["threshold"]:
        return [
            f"The new segments were held against {answers.thresholds[0]:.3f}, chosen for another prevalence: the "
            f"figures of the run are of thresholds near {decision['threshold']:.3f}, and do not say how good these "
            "answers are."
        ]
    plain = figures["plain_out_of_fold_optimistic"]["f1"]
    return [
        f"For new children a segment is positive from a probability of {decision['threshold']:.3f} on. At one "
        f"threshold for all children here F1 would be {_number(plain['value'])}, which is optimistic: it was chosen on "
        "the same rows."
    ]


def _worst_child(answers: Answers) -> str:
    assert answers.labels is not None
    wrong = answers.positive != (answers.labels == 1)
    names, place = np.unique(np.asarray(answers.children), return_inverse=True)
    count, errors = np.bincount(place), np.bincount(place, wrong)
    losses = np.bincount(place, (answers.probability - answers.labels) ** 2) / count
    order = np.lexsort((-losses, -errors / count))
    without = int((errors == 0).sum())
    first = order[0]
    level = int(((errors / count) == errors[first] / count[first]).sum())
    alone = "" if level == 1 else f", as in {level - 1} other children; its probabilities were farthest off"
    name = printable(str(names[first]))
    return (
        f"The worst child is {name}: {int(errors[first])} of {int(count[first])} segments wrong{alone}. "
        f"{without} of {len(names)} children have no wrong answer."
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
    once, drawn = metrics.resampled(labels, chances, answers.positive, children)
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
            draw.f1_by_prevalence(curves.f1_at_prevalence(both[0], both[1], shares), value["prevalence"]),
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
        "rows": [{"name": name, "cells": [_two(interval(each[key])) for key, _ in ROWS[:7]]} for name, each in ordered],
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
            "empty": not answers.has_pose[row],
        }
        if pose is not None and number is not None:
            looked = evidence.attention[number]
            posed = bool(found(pose).any())
            segment |= {
                "film": pack(pose, looked, evidence.frame_logits[number], part_speeds(pose[None])[0]),
                "moment": round(int(looked.argmax()) / FPS, 3) if looked.any() else None,
                "events": [[*frames, printable(kind)] for *frames, kind in answers.events.get(name, [])],
                "reasons": [
                    [told(reason), round(reason.push, 3), reason.others] for reason in evidence.reasons[number]
                ],
                "members": [round(float(values[row]), 4) for values in said.values()] if posed else [],
                "note": answers.notes.get(name, ""),
                "posed": round(float(found(pose).any(axis=1).mean()), 3),
                "unseen": unseen(answers, row),
            }
        segments.append(segment)
    playable = set(film_of)
    wrong = [int(row) for row in worst(answers) if int(row) in playable][:LISTED]
    unsure = [int(row) for row in least_certain(answers) if int(row) in playable][:LISTED]
    # The page opens with the first child of the table that can be played.
    first = next((child for child in top if any(place[row] == child for row in playable)), None)
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
        "explains": "lgbm" in explaining(dict(decision)),
        "children": [printable(str(name)) for name in names],
        "members": [[KINDS.get(name, name), round(weight, 3)] for name, weight in choice.weights.items()],
        "speed": _speed_scale(segments),
        "segments": segments,
        "wrong": wrong,
        "unsure": unsure,
        "first": first,
        "figures": {name: drawing.readings() for name, (drawing, _) in drawings.items() if drawing.lines},
    }


def _speed_scale(segments: Sequence[Mapping[str, Any]]) -> float:
    """Trunk lengths per second at the top of every player, so that calm segments look calm; some go beyond."""
    fastest = [segment["film"]["speed"] for segment in segments if segment["film"]]
    return round(float(np.percentile(fastest, 75)), 1) if fastest else 1.0


def _wrongness(answers: Answers, row: int, apart: np.ndarray) -> float:
    """What a child's segments are ordered by: surely wrong ones first, then the least sure right ones."""
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
        f"{len(rows)} of {len(answers.names)} segments are here, so that the page stays small: the "
        f"{'most wrong' if answers.labels is not None else 'most probable'}, the least certain, and a sample of the "
        "others. Figures and tables count all."
    )


def _json(tree: Mapping[str, Any]) -> str:
    """JSON that cannot end the element it stands in."""
    return json.dumps(tree, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c").replace(">", "\\u003e")


def _two(text: str) -> tuple[str, str]:
    """A figure and its interval, to stand below each other."""
    value, _, range_ = text.partition(" ")
    return value, range_


def _some(lines: Sequence[str]) -> list[str]:
    return [*lines[:LISTED], f"and {len(lines) - LISTED} more"] if len(lines) > LISTED else list(lines)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _percent(figure: Mapping[str, float | None]) -> str:
    value, low, high = figure["value"], figure["low"], figure["high"]
    if value is None or low is None or high is None:
        return "an unknown share"
    return f"{percent(value)} ({percent(low)} to {percent(high)})"
