"""The data that the page's script reads."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spasm.core.errors import printable
from spasm.data.landmarks import LANDMARKS, LEFT_HIP, RIGHT_HIP
from spasm.data.pose import FPS, visible_mask
from spasm.ensemble.calibration import probability
from spasm.explain.descriptions import compare, measured, short_phrase, strength
from spasm.features.body_frame import PARTS, part_speeds
from spasm.models.registry import MODELS
from spasm.report.body_drawing import for_page
from spasm.report.error_analysis import missing_event_fraction
from spasm.report.figures import Plot
from spasm.report.player_data import DEPTH_STEP, pack
from spasm.report.predictions import SegmentPredictions, least_certain, margins, opening_segment, worst
from spasm.report.run_report import RunReport
from spasm.runs.artefacts import Decision

MOST_LISTED = 20  # errors and close calls to go through


def build_payload(report: RunReport, plots: Mapping[str, Plot]) -> dict[str, Any]:
    """plots: those of the page, after `svg` was called."""
    predictions, playable = report.predictions, {int(row) for row in report.playable}
    names, place = np.unique(np.asarray(predictions.children, dtype=str), return_inverse=True)
    phrases = list(dict.fromkeys(reason.text for reasons in report.evidence.reasons for reason in reasons))
    segments = _segments(report, place, {phrase: number for number, phrase in enumerate(phrases)})
    return {
        "frames": predictions.poses.shape[1],
        "fps": FPS,
        "aspect": aspect_of(report.decision),
        "landmarks": list(LANDMARKS),
        "body": for_page(),
        "depth_step": DEPTH_STEP,
        "hips": [LEFT_HIP, RIGHT_HIP],
        "parts": list(PARTS),
        "labelled": report.labelled,
        "children": [printable(str(name)) for name in names],
        "models": [
            {
                "name": MODELS[name].title,
                "weight": round(model.weight, 4),
                "has_features": MODELS[name].has_shap_values,
            }
            for name, model in report.decision.models.items()
        ],
        "networks": [
            {"name": MODELS[name].title, "weight": round(weight, 4)}
            for name, weight in report.evidence.networks.items()
        ],
        "phrases": [[short_phrase(phrase), phrase] for phrase in phrases],
        "fastest": _fastest(segments),
        "segments": segments,
        "errors": [int(row) for row in worst(predictions) if int(row) in playable][:MOST_LISTED],
        "least_certain": [int(row) for row in least_certain(predictions) if int(row) in playable][:MOST_LISTED],
        "first": opening_segment(predictions, report.playable),
        "figures": {name: plot.readings() for name, plot in plots.items() if plot.lines or plot.points},
    }


def to_json(tree: Mapping[str, Any]) -> str:
    """JSON that cannot end the element it stands in."""
    return json.dumps(tree, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c").replace(">", "\\u003e")


def _segments(report: RunReport, child_of: np.ndarray, phrases: Mapping[str, int]) -> list[dict[str, Any]]:
    """Every segment; child_of: (N,) the number of each one's child; phrases: of the reasons, and their numbers."""
    predictions = report.predictions
    probabilities = {
        name: probability(slope * predictions.logits[name] + offset)
        for name, (slope, offset) in report.decision.parameters.calibrations.items()
    }
    ranks = _error_ranks(predictions)
    player_of = {int(row): number for number, row in enumerate(report.playable)}
    segments = []
    for row, name in enumerate(predictions.names):
        segment: dict[str, Any] = {
            "name": printable(name),
            "child": int(child_of[row]),
            "fold": None if predictions.fold_of is None else int(predictions.fold_of[row]),
            "label": None if predictions.labels is None else int(predictions.labels[row]),
            "predicted": int(predictions.positive[row]),
            "probability": round(float(predictions.probability[row]), 5),
            "threshold": round(float(predictions.thresholds[row]), 5),
            "error_rank": round(float(ranks[row]), 4),
            "has_pose": bool(predictions.has_pose[row]),
            "too_little_seen": bool(predictions.too_little_seen[row]),
            "player": None,
        }
        if row in player_of:
            segment |= _playable_segment(report, row, player_of[row], probabilities, phrases)
        segments.append(segment)
    return segments


def _playable_segment(
    report: RunReport, row: int, number: int, probabilities: Mapping[str, np.ndarray], phrases: Mapping[str, int]
) -> dict[str, Any]:
    """What a player shows; number: the segment's place in the evidence; probabilities: of each model alone."""
    predictions, evidence = report.predictions, report.evidence
    pose, attention = np.array(predictions.poses[row]), evidence.attention[number]
    has_pose = visible_mask(pose).any(axis=1)
    events = predictions.events.get(predictions.names[row], [])
    return {
        "player": pack(
            pose, attention, evidence.frame_logits[number], part_speeds(pose[None])[0], aspect_of(report.decision)
        ),
        "peak_s": round(int(attention.argmax()) / FPS, 3) if attention.any() else None,
        "events": [[*frames, printable(kind)] for *frames, kind in events],
        "reasons": [
            [
                phrases[reason.text],
                compare(reason),
                measured(reason),
                strength(reason.contribution),
                round(reason.contribution, 3),
                reason.similar,
            ]
            for reason in evidence.reasons[number]
        ],
        "models": [round(float(values[row]), 4) for values in probabilities.values()] if has_pose.any() else [],
        "note": predictions.notes.get(predictions.names[row], ""),
        "pose_fraction": round(float(has_pose.mean()), 3),
        "missing_event_fraction": missing_event_fraction(predictions, row),
    }


def _error_ranks(predictions: SegmentPredictions) -> np.ndarray:
    """(N,) what a child's segments are ordered by: surely wrong ones first, then the least sure right ones."""
    if predictions.labels is None:
        return predictions.probability
    wrong = predictions.positive != (predictions.labels == 1)
    return np.where(wrong, 1, -1) * np.abs(margins(predictions))


def aspect_of(decision: Decision) -> float:
    """Width of the images by height, from the settings of a model; 1 where none names it."""
    named = [model.settings.get("features", {}).get("aspect", 1.0) for model in decision.models.values()]
    return next((float(value) for value in named if value != 1.0), 1.0)


def _fastest(segments: Sequence[Mapping[str, Any]]) -> float:
    """Trunk lengths per second at the top of every player, so that calm segments look calm; some go beyond."""
    speeds = [segment["player"]["speed"] for segment in segments if segment["player"]]
    return round(float(np.percentile(speeds, 75)), 1) if speeds else 1.0
