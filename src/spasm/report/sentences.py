"""The sentences of the report page."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from spasm.core.errors import printable
from spasm.evaluation import curves, metrics
from spasm.evaluation.metrics import ROWS
from spasm.report.figures import interval
from spasm.report.predictions import Answers, percent
from spasm.runs.metrics_json import OutOfFold

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
    labels, probabilities, _, children = held_out
    rows = []
    for part in curves.reliability(labels, probabilities, children.tolist(), np.array(curves.BANDS)):
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
    plain = figures["pooled_threshold"]["f1"]
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


def _films(answers: Answers, rows: np.ndarray) -> str:
    if len(rows) == len(answers.names):
        return f"All {len(rows)} segments are here; choose one above."
    return (
        f"{len(rows)} of {len(answers.names)} segments are here, so that the page stays small: the "
        f"{'most wrong' if answers.labels is not None else 'most probable'}, the least certain, and a sample of the "
        "others. Figures and tables count all."
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _percent(figure: Mapping[str, float | None]) -> str:
    value, low, high = figure["value"], figure["low"], figure["high"]
    if value is None or low is None or high is None:
        return "an unknown share"
    return f"{percent(value)} ({percent(low)} to {percent(high)})"
