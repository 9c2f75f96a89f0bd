"""Whether the segments of a data folder's test/ differ from the training segments, for the page of a run."""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from spasm.core.errors import DataError, DataProblems
from spasm.core.sealed import read_sealed, write_sealed
from spasm.data.dataset import SegmentFiles, TrainingData
from spasm.data.naming import child_of, list_segments
from spasm.evaluation import drift
from spasm.evaluation.drift import DifferingFeature, Drift, adversarial_validation
from spasm.features import cache, kinematics

MOST = 1500  # segments of each kind that are compared, a random sample of more, so that no page takes minutes


def drift_of(data: TrainingData) -> Drift | None:
    """How well test segments can be separated from training segments; computed once and kept in the data's cache.

    None without a test folder, or with one that cannot be read or has fewer than two children: verify.py names what is
    wrong with it.
    """
    folder = data.folder / "test"
    if not folder.is_dir():
        return None
    try:
        paths = list_segments(folder, "safe")
        if len({child_of(path.name) for path in paths}) < drift.MIN_CHILDREN:
            return None
        kept = None if data.cache is None else data.cache / f"drift_{_key(paths)}"
        content = None if kept is None else read_sealed(kept)
        if content is not None:
            return _from_json(content)
        found = _compute(data, paths, folder)
    except (DataError, DataProblems, OSError):
        return None
    if kept is not None:
        write_sealed(kept, json.dumps(dataclasses.asdict(found)).encode())
    return found


def describe_drift(found: Drift) -> str:
    """The result in one sentence."""
    assert found.auc is not None
    assert found.low is not None
    assert found.high is not None
    between = f"AUC {found.auc:.2f} (95 % interval {found.low:.2f} to {found.high:.2f}; 0.50 is chance level)"
    text = f"A classifier separates test from training segments with {between}: "
    if found.low <= 0.5:
        return f"{text}no drift is seen."
    return f"{text}the test segments differ, so expect other results than in training. Most in the features below."


def _compute(data: TrainingData, paths: Sequence[Path], folder: Path) -> Drift:
    generator = np.random.default_rng(0)
    train, test = (np.sort(generator.permutation(count)[:MOST]) for count in (len(data.names), len(paths)))
    poses = SegmentFiles(paths, data.poses.shape[1], folder, data.landmarks)
    batches = np.split(test, range(cache.BATCH, len(test), cache.BATCH))
    return adversarial_validation(
        cache.kinematic_features(data)[train],
        [data.children[row] for row in train],
        np.concatenate([kinematics.compute_features(poses[rows]) for rows in batches]),
        [child_of(paths[row].name) for row in test],
        kinematics.NAMES,
    )


def _key(paths: Sequence[Path]) -> str:
    """What the result depends on beside the training data: the code, and the test files by name, size and time."""
    digest = hashlib.sha256(cache.version().encode())
    for source in (drift.__file__, __file__):
        digest.update(Path(source).read_bytes())
    for path in paths:
        state = path.stat()
        digest.update(f"{path.name} {state.st_size} {state.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _from_json(content: bytes) -> Drift:
    tree = json.loads(content)
    differing = tuple(DifferingFeature(**feature) for feature in tree.pop("differing"))
    return Drift(**tree, differing=differing)
