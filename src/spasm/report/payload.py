"""The data that the page's script reads."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spasm.core.errors import printable
from spasm.data.landmarks import EDGES, LANDMARKS, LEFT_HIP, RIGHT_HIP
from spasm.data.pose import FPS, visible_mask
from spasm.ensemble.calibration import probability
from spasm.explain.attributions import Evidence, explaining
from spasm.explain.descriptions import measurement
from spasm.features.body_frame import PARTS, part_speeds
from spasm.report.error_analysis import unseen
from spasm.report.player_data import pack
from spasm.report.predictions import Answers, distance, least_certain, worst
from spasm.runs.decision_json import choice_of

KINDS = {"lgbm": "LightGBM", "rocket": "random convolutions", "stgcn_mil": "network (ST-GCN)"}
LISTED = 20  # errors to go through, and warnings


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
            posed = bool(visible_mask(pose).any())
            segment |= {
                "film": pack(pose, looked, evidence.frame_logits[number], part_speeds(pose[None])[0]),
                "moment": round(int(looked.argmax()) / FPS, 3) if looked.any() else None,
                "events": [[*frames, printable(kind)] for *frames, kind in answers.events.get(name, [])],
                "reasons": [
                    [measurement(reason), round(reason.contribution, 3), reason.similar]
                    for reason in evidence.reasons[number]
                ],
                "members": [round(float(values[row]), 4) for values in said.values()] if posed else [],
                "note": answers.notes.get(name, ""),
                "posed": round(float(visible_mask(pose).any(axis=1).mean()), 3),
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


def _json(tree: Mapping[str, Any]) -> str:
    """JSON that cannot end the element it stands in."""
    return json.dumps(tree, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c").replace(">", "\\u003e")
