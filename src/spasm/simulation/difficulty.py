"""Difficulty of simulated spasms: samples of segments, metrics of plain classifiers, and hits of the attention."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from spasm.core.errors import DataError, printable
from spasm.core.tables import read_table
from spasm.data.naming import child_of, list_segments
from spasm.data.pose import FPS, visible_mask
from spasm.data.recordings import frames_of
from spasm.data.segments import read_pose
from spasm.simulation import infant, realism
from spasm.simulation.infant import SimulationConfig, simulate_child

COHORT_FOLDS = 5


class SimulatedSample:
    """Simulated segments in memory: poses (N, T, 33, 5); labels, aspects, children, controls and names, all (N,)."""

    def __init__(self, world: SimulationConfig, children: int, segments: int, seed: int) -> None:
        sampled = [
            (child, k, segment)
            for child in range(1, children + 1)
            for k, segment in enumerate(simulate_child(seed, child, segments, world), start=1)
        ]
        self.poses = np.stack([segment.pose.astype(np.float32) for _, _, segment in sampled])
        self.labels = np.array([segment.label for _, _, segment in sampled])
        self.aspects = np.array([segment.aspect for _, _, segment in sampled])
        self.resting = np.array([not segment.label and segment.behaviours[0] != "fussing" for _, _, segment in sampled])
        """Negative segments of children who rest, sleep or are active, but do not fuss."""
        self.children = np.array([child for child, _, _ in sampled])
        self.controls = np.array([infant.cohort(seed, child) == "control" for child, _, _ in sampled])
        self.names = [f"child_{child}_{k}.npy" for child, k, _ in sampled]
        positive = [segment for _, _, segment in sampled if segment.label]
        self.hidden_fraction = np.mean(
            [
                not any(visible_mask(segment.pose[event.start : event.end]).any() for event in segment.events)
                for segment in positive
            ]
        )
        """Positive segments whose spasms are completely in gaps."""

    def auc(self, statistics: np.ndarray) -> float:
        """AUC of a small LightGBM on statistics (N, S) for held-out children."""
        return realism.grouped_auc(statistics, self.labels, self.children)

    def peak_speed_auc(self) -> float:
        """AUC of the greatest speed alone."""
        once = np.zeros(len(self.labels), dtype=int)
        return realism.roc_auc(self.labels, realism.peak_speed(self.poses), once)

    def camera_scores(self) -> tuple[np.ndarray, np.ndarray]:
        """Scores (N,) of a small LightGBM that also uses features of the recording, and the fold (N,) of each."""
        noise = realism.noise_statistics(self.poses)
        statistics = np.concatenate([realism.plain_statistics(self.poses), noise], axis=1)
        fold_of = realism.child_folds(self.children, COHORT_FOLDS)
        return realism.out_of_fold(statistics, self.labels, fold_of), fold_of


class CohortMetrics(NamedTuple):
    """Gain by features of the recording, over all children and within a patient."""

    f1: float
    """Over all children, at the patients' prevalence."""
    f1_patients: float
    auc: float
    """Over all children, mean over folds."""
    auc_within: float
    """Within a patient, mean over patients."""


def cohort_metrics(
    sample: SimulatedSample, scores: np.ndarray, fold_of: np.ndarray, positive: np.ndarray
) -> CohortMetrics:
    """Metrics of scores (N,) of the folds (N,) and of the predicted labels (N,) bool."""
    from sklearn.metrics import roc_auc_score  # here, because it is slow to load

    patients = ~sample.controls
    prevalence = sample.labels[patients].mean()
    within = [
        roc_auc_score(sample.labels[here], scores[here])
        for here in (sample.children == child for child in np.unique(sample.children))
        if 0 < sample.labels[here].mean() < 1
    ]
    return CohortMetrics(
        f1_at_prevalence(sample.labels, positive, prevalence),
        f1_at_prevalence(sample.labels[patients], positive[patients], prevalence),
        realism.roc_auc(sample.labels, scores, fold_of),
        float(np.mean(within)),
    )


def f1_at_prevalence(labels: np.ndarray, positive: np.ndarray, prevalence: float) -> float:
    """F1 at this prevalence, so that all children and patients alone can be compared."""
    hits, false_alarms = positive[labels == 1].mean(), positive[labels == 0].mean()
    return float(2 * prevalence * hits / (prevalence * (1 + hits) + (1 - prevalence) * false_alarms))


def read_windows(data: Path) -> tuple[np.ndarray, np.ndarray]:
    """Poses (N, 150, 33, 5) and children (N,) of the segments in `data`/train."""
    paths = list_segments(data / "train", "challenge", data)
    poses = np.stack([read_pose(path, SimulationConfig().frames, data) for path in paths])
    return poses, np.array([child_of(path.name) for path in paths])


class AttentionHits(NamedTuple):
    """How often the time of the highest attention is inside a true event."""

    segments: int
    inside: float
    by_chance: float
    """How often a random frame with a pose is inside one."""


def attention_hits(data: Path, predictions: Path) -> AttentionHits:
    """Attention hits of the segments of `data`/test, simulated, that are predicted positive. Raises DataError."""
    truth = {row["segment_name"]: row for row in read_table(data / "truth.csv", ("segment_name", "label"))}
    hits, fractions = [], []
    for row in read_table(predictions, ("segment_name", "peak_time_s")):
        true = truth.get(row["segment_name"])
        if true is None:
            hint = f"--predictions wants the predictions for the test/ of {printable(data)}"
            raise DataError(predictions, f"{row['segment_name']} is not in {printable(data / 'truth.csv')}", hint)
        if true["label"] != "1" or not row["peak_time_s"]:
            continue
        path = data / true.get("split", "") / row["segment_name"]
        pose = read_pose(path, frames_of(path), data)
        inside = np.zeros(len(pose), dtype=bool)
        for event in ("event", "event2"):
            if true[f"{event}_start_frame"]:
                inside[int(true[f"{event}_start_frame"]) : int(true[f"{event}_end_frame"])] = True
        hits.append(inside[min(round(float(row["peak_time_s"]) * FPS), len(inside) - 1)])
        fractions.append(inside[visible_mask(pose).any(axis=-1)].mean())
    if not hits:
        raise DataError(predictions, "has no positive segment with a peak_time_s", "simulate more children")
    return AttentionHits(len(hits), float(np.mean(hits)), float(np.mean(fractions)))
