"""The sentences of the page that depend on numbers. Sentences that do not are in the template, report.html."""

import numpy as np

from spasm.core.errors import printable
from spasm.data.annotations import LabelLevel
from spasm.data.pose import visible_mask
from spasm.evaluation import metrics
from spasm.report import console
from spasm.report.children import Quality
from spasm.report.predictions import SegmentPredictions, percent
from spasm.report.run_report import RunReport
from spasm.report.summary import three_digits

LIKELY = 0.5  # probability from which a spasm is more likely than none


def about_threshold(report: RunReport) -> str:
    """What the threshold is; for new segments only a warning where the metrics belong to another."""
    if report.threshold != report.decision.threshold:
        return (
            f"The threshold of these segments is {report.threshold:.3f}, chosen for another prevalence. The metrics of "
            f"the run belong to thresholds near {report.decision.threshold:.3f} and are not valid for them."
        )
    if not report.labelled:
        return ""
    line = f"A segment of a new child is predicted positive from a probability of {report.threshold:.3f} on."
    if report.threshold < LIKELY:
        line += " This threshold gives the highest F1; a segment just above it is more likely to hold no spasm."
    return line


def limits(report: RunReport) -> list[str]:
    """What the numbers do not show."""
    data = report.decision.data
    lines = [
        "New children from another hospital or camera are often harder. Expect lower values until they are measured.",
        f"F1 and precision depend on the prevalence, which is {percent(report.decision.prevalence)} here. Where spasms "
        "are rarer, more alarms are false.",
        f"Intervals are 95 % intervals over {data.children} children. Folds hold whole children: no child is in "
        "training and evaluation at once.",
    ]
    lines[:0] = [f"{line}." for line in console.constant_lines(report.metrics, {})]
    if data.simulated:
        lines.insert(0, "The children are simulated. Nothing here says how good the run is for real children.")
    if report.predictions.label_level is LabelLevel.CHILD:
        lines.append(
            "In this layout a label belongs to the child: every segment of a child with spasms counts as a spasm, "
            "though most hold none. The sensitivity shown is therefore too low; compare.py evaluates whole children."
        )
    return lines


def worst_child(predictions: SegmentPredictions) -> str:
    """Which child has the largest fraction of wrong predictions, and how many have none."""
    assert predictions.labels is not None
    wrong = predictions.positive != (predictions.labels == 1)
    false_alarm = wrong & predictions.positive
    names, place = np.unique(np.asarray(predictions.children), return_inverse=True)
    count, errors = np.bincount(place), np.bincount(place, wrong)
    brier = np.bincount(place, (predictions.probability - predictions.labels) ** 2) / count
    first = np.lexsort((-brier, -errors / count))[0]
    ties = int(((errors / count) == errors[first] / count[first]).sum()) - 1
    others = f", as for {ties} other children, but its probabilities are farthest off" if ties else ""
    of_child = place == first
    false_alarms, missed = int(false_alarm[of_child].sum()), int((wrong & ~false_alarm)[of_child].sum())
    hidden = int((wrong & of_child & _hardly_visible(predictions)).sum())
    gaps = f"; in {hidden} of them at least half of the frames have no pose" if hidden else ""
    return (
        f"The worst child is {printable(str(names[first]))}: {int(errors[first])} of {int(count[first])} segments are "
        f"wrong{others}. Missed spasms: {missed}, false alarms: {false_alarms}{gaps}. "
        f"{int((errors == 0).sum())} of {len(names)} children have no wrong prediction."
    )


def _hardly_visible(predictions: SegmentPredictions) -> np.ndarray:
    """(N,) which segments have no pose in at least half of their frames."""
    rows = range(len(predictions.names))
    return np.array([visible_mask(np.array(predictions.poses[row])).any(axis=1).mean() <= 0.5 for row in rows])


def too_little_seen(predictions: SegmentPredictions) -> str:
    """What segments of which too little was seen do to the metrics; nothing where there is none, or no other."""
    assert predictions.labels is not None
    poor, positive, truth = predictions.too_little_seen, predictions.positive, predictions.labels == 1
    if poor.all() or not poor.any():
        return ""
    rest = metrics.point_metrics(predictions.labels[~poor], predictions.probability[~poor], positive[~poor])
    return (
        f"Of {poor.sum()} of {len(poor)} segments too little was seen for a prediction; "
        f"{(~predictions.has_pose).sum()} of them have no pose in any frame. They count in all metrics with the label "
        f"that they got: {(poor & truth & ~positive).sum()} of the missed spasms and "
        f"{(poor & ~truth & positive).sum()} of the false alarms are such segments. Without them F1 is "
        f"{three_digits(rest['f1'])}."
    )


def new_segments(report: RunReport) -> str:
    """Where the labels of new segments come from, and what is not known of them."""
    return (
        f"A segment is positive from a probability of {report.threshold:.3f} on. The true labels are not known here: "
        "nothing on this page shows how many predictions are right." + _not_predicted(report.predictions)
    )


def _not_predicted(predictions: SegmentPredictions) -> str:
    count = int(predictions.too_little_seen.sum())
    if not count:
        return ""
    return (
        f" Of {count} segments too little was seen for a prediction. They are neither positive nor negative here, and "
        "show no probability. The CSV needs a label for each segment; theirs mean nothing."
    )


def playable(report: RunReport) -> str:
    """How many segments can be played, and which."""
    count, total = len(report.playable), len(report.predictions.names)
    if count == total:
        return f"All {count} segments can be played."
    return (
        f"{count} of {total} segments can be played, so that the page stays small: the "
        f"{'most wrong' if report.labelled else 'most probable'}, the least certain, and a sample of the others. "
        "Figures and tables count all."
    )


def about_quality(predictions: SegmentPredictions, quality: Quality) -> list[str]:
    """What is missing in the recordings together, and what was noticed in their poses."""
    median = percent(float(np.nanmedian(quality.missing)))
    lines = [
        f"{percent(quality.missing_of_all)} of frames have no pose, in the median child {median}; "
        f"{(~predictions.has_pose).sum()} of {len(predictions.names)} segments have none at all."
    ]
    if quality.duplicates:
        lines.append(f"{quality.duplicates} segments are exact copies of another one.")
    return [*lines, *(f"Noticed in {line}." for line in predictions.findings)]
