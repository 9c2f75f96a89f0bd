"""Predictions for segments as a report shows them, and which of them are worth playing."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from spasm.config.runtime import ABSTAIN
from spasm.core.errors import DataError
from spasm.core.tables import read_table
from spasm.data.annotations import LabelLevel
from spasm.data.dataset import SegmentFiles, TrainingData
from spasm.data.pictures import SegmentPictures
from spasm.data.pose import FRAMES, visible_mask
from spasm.data.seen import count_frames, describe_too_little, is_too_little
from spasm.ensemble.calibration import logit
from spasm.inference.trained_run import Prediction
from spasm.runs.artefacts import Decision, Metrics, rebuild_hint
from spasm.runs.folder import Run
from spasm.runs.oof_table import read_oof

FEW_GAPS, MOST_TRIED = 0.02, 40  # fraction of frames without a pose; segments of which gaps are counted
EVENT_COLUMNS = (  # of truth.csv
    ("event_start_frame", "event_end_frame", "event_type"),
    ("event2_start_frame", "event2_end_frame", "event2_type"),
)


@dataclasses.dataclass(frozen=True, eq=False)
class SegmentPredictions:
    """Predictions for N segments. Without labels they are new ones."""

    names: Sequence[str]
    children: Sequence[str]
    poses: np.ndarray | SegmentFiles
    """(N, T, 33, 5) float32; may lie on disk."""
    probability: np.ndarray
    """(N,)"""
    positive: np.ndarray
    """(N,) bool: the predicted label."""
    thresholds: np.ndarray
    """(N,) the threshold of each prediction."""
    logits: Mapping[str, np.ndarray]
    """(N,) of each model in the decision."""
    has_pose: np.ndarray
    """(N,) bool: a landmark is observed in some frame."""
    too_little_seen: np.ndarray
    """(N,) bool: the prediction means nothing; `spasm.data.seen` says why."""
    notes: Mapping[str, str]
    """A remark on a prediction, by segment name."""
    labels: np.ndarray | None = None
    """(N,) of 0 and 1."""
    fold_of: np.ndarray | None = None
    """(N,) the fold that predicted each; None: all of them together."""
    groups: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)
    """The row of groups.csv of each child."""
    pictures: SegmentPictures | None = None
    """Theirs, where they have some."""
    events: Mapping[str, list[tuple[float, float, str]]] = dataclasses.field(default_factory=dict)
    """First and last frame and kind of the true events of segments, where known."""
    warnings: Sequence[str] = ()
    findings: Sequence[str] = ()
    """What was noticed in the poses, one line for each kind."""
    label_level: LabelLevel = LabelLevel.SEGMENT


def read_out_of_fold_predictions(run: Run, decision: Decision, metrics: Metrics) -> SegmentPredictions:
    """The prediction for every training segment by the fold that never saw its child.

    Raises DataError for an oof.csv that is not of this run, or not what `metrics` was computed from.
    """
    data, oof = run.data, read_oof(run.path, metrics)
    thresholds = np.array(metrics.cross_fitted_thresholds)
    known = all(np.isfinite(oof.logits.get(name, np.array([np.nan]))).all() for name in decision.models)
    if list(oof.names) != list(data.names) or len(thresholds) != run.folds or not known:
        reason = "does not hold the segments, folds and logits of the run"
        raise DataError(run.path / "oof.csv", reason, rebuild_hint(run.path))
    counts = count_frames(data.poses)
    too_little = is_too_little(counts, data.poses.shape[1], ABSTAIN)
    return SegmentPredictions(
        names=data.names,
        children=data.children,
        poses=data.poses,
        pictures=data.pictures,
        probability=oof.probabilities,
        positive=oof.positive,
        thresholds=thresholds[run.fold_of],
        logits={name: oof.logits[name] for name in decision.models},
        labels=data.labels,
        fold_of=run.fold_of,
        groups=data.groups,
        events=read_true_events(data),
        label_level=data.label_level,
        has_pose=data.has_pose,
        too_little_seen=too_little,
        notes={
            data.names[row]: describe_too_little(data.poses.shape[1], *counts[row])
            for row in np.flatnonzero(too_little)
        },
        warnings=[str(warning) for warning in data.warnings],
        findings=data.findings,
    )


def new_segments(
    prediction: Prediction,
    names: Sequence[str],
    children: Sequence[str],
    poses: np.ndarray | SegmentFiles,
    findings: Sequence[str],
) -> SegmentPredictions:
    """Predictions for new segments, whose labels are not known; findings: a line for each kind in their poses."""
    return SegmentPredictions(
        names=names,
        children=children,
        poses=poses,
        pictures=SegmentPictures(tuple(poses.paths)) if isinstance(poses, SegmentFiles) else None,
        probability=prediction.probability,
        positive=prediction.label == 1,
        thresholds=np.full(len(names), prediction.threshold),
        logits=prediction.logits,
        has_pose=prediction.has_pose,
        too_little_seen=prediction.too_little_seen,
        notes=dict(zip(names, prediction.note, strict=True)),
        findings=findings,
    )


def read_true_events(data: TrainingData) -> dict[str, list[tuple[float, float, str]]]:
    """First and last frame and kind of the true events of segments, from truth.csv of simulated data."""
    path = data.folder / "truth.csv"
    if not (path.exists() and data.simulated):  # another program's file of that name means something else
        return {}
    events: dict[str, list[tuple[float, float, str]]] = {}
    for row in read_table(path, ("segment_name", "event_start_frame", "event_end_frame")):
        for first, last, kind in EVENT_COLUMNS:
            try:
                if row.get(first) and row.get(last):
                    event = (int(row[first]), int(row[last]), row.get(kind) or "")
                    events.setdefault(row["segment_name"], []).append(event)
            except ValueError as error:
                raise DataError(path, f"holds an event whose frames are no numbers ({error})", "fix the row") from error
    return events


def max_players(players: int, frames: int) -> int:
    """How many segments of T frames need as much room in a page as `players` segments of 150 frames."""
    return max(1, players * FRAMES // max(frames, FRAMES))


def select_players(predictions: SegmentPredictions, most: int) -> np.ndarray:
    """Rows that can be played in a page, in order: all, or the worst, the least certain and a random sample."""
    count = len(predictions.names)
    if count <= most:
        return np.arange(count)
    rows = dict.fromkeys([*worst(predictions)[: most // 2], *least_certain(predictions)[: most // 4]])
    rest = np.random.default_rng(0).permutation([row for row in range(count) if row not in rows])
    return np.sort([*rows, *rest[: most - len(rows)]])


def worst(predictions: SegmentPredictions) -> np.ndarray:
    """Rows of wrong predictions, the surest first; of new segments all, the most probable first.

    Without those of which too little was seen.
    """
    margin = margins(predictions)
    if predictions.labels is None:
        rows = np.flatnonzero(~predictions.too_little_seen)
        return rows[np.argsort(-margin[rows], kind="stable")]
    rows = np.flatnonzero((predictions.positive != (predictions.labels == 1)) & ~predictions.too_little_seen)
    return rows[np.argsort(-np.abs(margin[rows]), kind="stable")]


def least_certain(predictions: SegmentPredictions) -> np.ndarray:
    """Rows of which enough was seen by how close the probability is to its threshold."""
    rows = np.argsort(np.abs(margins(predictions)), kind="stable")
    return rows[~predictions.too_little_seen[rows]]


def opening_segment(predictions: SegmentPredictions, playable: np.ndarray) -> int | None:
    """The row that the page opens with: a found spasm with a known event, a high probability and few gaps.

    Where there is none: a found spasm; else the most probable segment that can be played; None if none can.
    """
    rows = playable[np.argsort(-predictions.probability[playable], kind="stable")]
    rows = rows[np.argsort(predictions.too_little_seen[rows], kind="stable")]
    rows = rows[predictions.has_pose[rows]]
    if not len(rows):
        return None
    if predictions.labels is None:
        return int(rows[0])
    found = [
        int(row)
        for row in rows
        if predictions.labels[row] == 1 and predictions.positive[row] and not predictions.too_little_seen[row]
    ]
    known = [row for row in found if predictions.events.get(predictions.names[row])] or found
    gaps = []
    for row in known[:MOST_TRIED]:
        gaps.append(float(1 - visible_mask(np.asarray(predictions.poses[row])).any(axis=1).mean()))
        if gaps[-1] <= FEW_GAPS:
            return row
    return known[int(np.argmin(gaps))] if known else int(rows[0])


def margins(predictions: SegmentPredictions) -> np.ndarray:
    """(N,) how far the log-odds of each prediction are above those of its threshold."""
    return logit(predictions.probability) - logit(predictions.thresholds)


def percent(fraction: float) -> str:
    """A fraction as text."""
    return f"{100 * fraction:.0f} %"
