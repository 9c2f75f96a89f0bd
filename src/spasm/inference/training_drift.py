"""How labelled data of others differs from a run's training data, as far as that is still at its place."""

from pathlib import Path
from typing import Any

import numpy as np

from spasm.core.errors import DataError
from spasm.data.dataset import SegmentFiles, TrainingData, load_training
from spasm.data.landmark_sets import depth_fraction, landmark_fractions
from spasm.data.quality import PoseQuality, measure_quality
from spasm.evaluation import bootstrap
from spasm.evaluation.drift import adversarial_validation
from spasm.evaluation.shareable import rounded, rounded_ends
from spasm.features import cache as feature_cache
from spasm.features import kinematics
from spasm.inference.labelled_data import LabelledSegments
from spasm.runs.artefacts import Decision

MOST = 1500  # segments of each side that are compared, a random sample of more, so that no evaluation takes minutes
LANDMARKS_SHOWN = 5
MEASURES = {
    "missing": "frames without a pose",
    "outside": "landmarks outside the picture",
    "jitter": "jitter, % of the picture",
    "size": "size of the child, fraction of the picture",
}
BLOCK = 256
Tree = dict[str, Any]


def drift(
    decision: Decision, segments: LabelledSegments, here: float | None, fewest: int, cache: Path, seed: int
) -> Tree:
    """Prevalence, gaps, jitter, framing and features, compared with the training data.

    here: the prevalence of the segments, None where it is suppressed; seed: of the resamples of children. Where the
    training data has gone or changed, what the run folder knows is compared, and `not_compared` says what could not
    be.
    """
    poses = SegmentFiles(segments.paths, decision.frames, segments.folder, decision.data.landmarks)
    posed = segments.quality.missing < 1
    children = len(set(segments.children[~posed]))
    without = None if 0 < children < fewest else rounded(float((~posed).mean()))
    tree: Tree = {
        "prevalence": {"training": rounded(decision.prevalence), "here": here},
        "segments_without_pose": {
            "training": rounded(decision.data.without_pose / decision.data.segments), "here": without,
        },
        "landmarks": _landmarks(decision, poses),
        "depth": {"training": decision.depth_fraction, "here": rounded(_mean_depth(poses))},
        "quality": None,
        "classifier": None,
        "differing_features": None,
        "not_compared": "",
    }  # fmt: skip
    try:
        training = _training_data(decision, cache)
    except (DataError, OSError):
        tree["not_compared"] = (
            "gaps, jitter, framing and features: the training data is not, or no longer, where it was when the run was "
            "made"
        )
        return tree
    tree["quality"] = _quality(training, segments, fewest, seed)
    return tree | _features(training, segments, seed)


def _training_data(decision: Decision, cache: Path) -> TrainingData:
    """The data that a run was trained on. Raises DataError where it has gone or changed."""
    info = decision.data
    data = load_training(info.folder, decision.frames, "safe", cache, landmarks=info.landmarks, positive=info.positive)
    if data.fingerprint != info.fingerprint:
        raise DataError(info.folder, "has changed since the run was made", "put it back to compare with it")
    return data


def _landmarks(decision: Decision, poses: SegmentFiles) -> list[Tree]:
    """The landmarks that are found most differently often, in frames with a pose."""
    blocks = [poses[start : start + BLOCK] for start in range(0, len(poses), BLOCK)]
    weights = [float(np.isfinite(block[..., 0]).any(axis=2).sum()) for block in blocks]
    found = np.average([landmark_fractions(block) for block in blocks], axis=0, weights=np.maximum(weights, 1e-9))
    pairs = list(zip(decision.landmark_fractions.items(), found.tolist(), strict=True))
    pairs.sort(key=lambda pair: -abs(pair[1] - pair[0][1]))
    return [
        {"landmark": name, "training": rounded(before), "here": rounded(now)}
        for (name, before), now in pairs[:LANDMARKS_SHOWN]
    ]


def _mean_depth(poses: SegmentFiles) -> float:
    blocks = [poses[start : start + BLOCK] for start in range(0, len(poses), BLOCK)]
    return float(np.average([depth_fraction(block) for block in blocks], weights=list(map(len, blocks))))


def _quality(training: TrainingData, segments: LabelledSegments, fewest: int, seed: int) -> list[Tree]:
    """Means over segments of both sides with intervals over children."""
    parts = [measure_quality(np.array(training.poses[i : i + BLOCK])) for i in range(0, len(training.names), BLOCK)]
    before = PoseQuality(*map(np.concatenate, zip(*parts, strict=True)))
    rows = []
    for name, title in MEASURES.items():
        sides: dict[str, Tree] = {}
        for side, measured, children in (
            ("training", before, np.array(training.children)), ("here", segments.quality, segments.children),
        ):  # fmt: skip
            values = getattr(measured, name)
            known = np.isfinite(values)
            child = bootstrap.number_children(children[known]) if known.any() else np.zeros(0, dtype=int)
            count = int(child.max()) + 1 if len(child) else 0
            if count < max(fewest, 1):
                sides[side] = {"value": None, "low": None, "high": None}
                continue
            resampled = bootstrap.sample_children(count, np.random.default_rng(seed))
            replicates = bootstrap.mean_replicates(values[known], child, resampled)
            found = bootstrap.interval(float(values[known].mean()), replicates, count)
            sides[side] = rounded_ends(found)
        rows.append({"measure": title, **sides})
    return rows


def _features(training: TrainingData, segments: LabelledSegments, seed: int) -> Tree:
    """How well a classifier separates the two sides, and the features that differ most."""
    generator = np.random.default_rng(0)
    first, second = (np.sort(generator.permutation(len(names))[:MOST]) for names in (training.names, segments.paths))
    found = adversarial_validation(
        feature_cache.kinematic_features(training)[first],
        [f"training {training.children[row]}" for row in first],  # an id on both sides is of two children
        segments.features[training.landmarks][second],
        [f"here {segments.children[row]}" for row in second],
        kinematics.NAMES,
        resample_seed=seed,
    )
    ends = rounded_ends({"value": found.auc, "low": found.low, "high": found.high})
    differing = [{"feature": one.name, "auc": rounded(one.auc)} for one in found.differing]
    return {"classifier": ends, "differing_features": differing}
