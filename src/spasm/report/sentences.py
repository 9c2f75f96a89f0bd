"""The sentences of the page that depend on numbers. Sentences that do not are in the template, report.html."""

import numpy as np

from spasm.core.errors import printable
from spasm.evaluation import metrics
from spasm.evaluation.metrics import ROWS
from spasm.report.children import Quality
from spasm.report.figures import interval
from spasm.report.predictions import SegmentPredictions, percent
from spasm.report.run_report import RunReport
from spasm.runs.artefacts import Metric


def headline(report: RunReport) -> list[str]:
    """How good the run is."""
    estimates = report.metrics.cross_fitted
    whole = {key: interval(estimates[key]) for key, _ in ROWS}
    parts = {key: percent_interval(estimates[key]) for key in ("sensitivity", "specificity", "precision")}
    lines = [
        f"On children it has never seen: F1 {whole['f1']}, where {percent(report.decision.prevalence)} of segments are "
        f"positive and always answering “positive” scores {whole['always_positive_f1'].split(' ')[0]}. New children "
        "elsewhere may be harder: expect less until it is measured on them.",
        f"It finds {parts['sensitivity']} of segments with a spasm, and leaves {parts['specificity']} of the "
        f"others alone; of its positive answers {parts['precision']} are right. (In brackets: 95 % interval over "
        "children.)",
        about_threshold(report),
    ]
    if report.labelled:
        lines += [worst_child(report.predictions), without_pose(report.predictions)]
    return [line for line in lines if line]


def about_threshold(report: RunReport) -> str:
    """What the threshold is; a warning where that of new segments is not the one the metrics belong to."""
    if report.threshold != report.decision.threshold:
        return (
            f"The new segments were held against {report.threshold:.3f}, chosen for another prevalence: the "
            f"figures of the run are of thresholds near {report.decision.threshold:.3f}, and do not say how good these "
            "answers are."
        )
    return (
        f"For new children a segment is positive from a probability of {report.decision.threshold:.3f} on. At one "
        f"threshold for all children here F1 would be {three_digits(report.metrics.pooled_threshold.f1)}, which is "
        "optimistic: it was chosen on the same rows."
    )


def worst_child(predictions: SegmentPredictions) -> str:
    """Which child has the largest fraction of wrong predictions, and how many have none."""
    assert predictions.labels is not None
    wrong = predictions.positive != (predictions.labels == 1)
    names, place = np.unique(np.asarray(predictions.children), return_inverse=True)
    count, errors = np.bincount(place), np.bincount(place, wrong)
    brier = np.bincount(place, (predictions.probability - predictions.labels) ** 2) / count
    first = np.lexsort((-brier, -errors / count))[0]
    ties = int(((errors / count) == errors[first] / count[first]).sum()) - 1
    others = f", as in {ties} other children; its probabilities were farthest off" if ties else ""
    return (
        f"The worst child is {printable(str(names[first]))}: {int(errors[first])} of {int(count[first])} segments "
        f"wrong{others}. {int((errors == 0).sum())} of {len(names)} children have no wrong answer."
    )


def without_pose(predictions: SegmentPredictions) -> str:
    """What segments without any pose do to the headline; nothing where all have one, or none."""
    assert predictions.labels is not None
    has_pose, positive = predictions.has_pose, predictions.positive
    if has_pose.all() or not has_pose.any():
        return ""
    rest = metrics.point_metrics(predictions.labels[has_pose], predictions.probability[has_pose], positive[has_pose])
    return (
        f"{(~has_pose).sum()} of {len(has_pose)} segments have no pose in any frame, and "
        f"{(positive & ~has_pose).sum()} of them count as called positive, as their like were labelled in training. "
        f"Without such segments F1 is {three_digits(rest['f1'])}."
    )


def new_segments(report: RunReport) -> str:
    """How many new segments there are, and how many are positive."""
    predictions = report.predictions
    return (
        f"{len(predictions.names)} segments of {len(set(predictions.children))} children, "
        f"{int(predictions.positive.sum())} called positive at the threshold {report.threshold:.3f}. Their truth is "
        "not known here: nothing on this page says how many of them are right."
    )


def playable(report: RunReport) -> str:
    """How many segments can be played, and which."""
    count, total = len(report.playable), len(report.predictions.names)
    if count == total:
        return f"All {count} segments are here; choose one above."
    return (
        f"{count} of {total} segments are here, so that the page stays small: the "
        f"{'most wrong' if report.labelled else 'most probable'}, the least certain, and a sample of the others. "
        "Figures and tables count all."
    )


def about_quality(predictions: SegmentPredictions, quality: Quality) -> list[str]:
    """What is missing in the recordings together."""
    median = percent(float(np.nanmedian(quality.missing)))
    return [
        f"{percent(quality.missing_of_all)} of frames have no pose, in the median child {median}; "
        f"{(~predictions.has_pose).sum()} of {len(predictions.names)} segments have none.",
        f"{quality.duplicates} segments repeat the very values of another one.",
    ]


def three_digits(value: float | None) -> str:
    """A number as text."""
    return "–" if value is None else f"{value:.3f}"


def percent_interval(metric: Metric) -> str:
    """A fraction and its interval as text."""
    if metric.value is None or metric.low is None or metric.high is None:
        return "an unknown share"
    return f"{percent(metric.value)} ({percent(metric.low)} to {percent(metric.high)})"
