"""What 01_eda computes of a data set: gaps, leaks of the label, duplicates, drift, and a map of the segments."""

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np

from spasm.data.dataset import SegmentFiles, TrainingData
from spasm.data.naming import child_of, list_segments
from spasm.data.pose import FPS, visible_mask
from spasm.evaluation.bootstrap import Estimate
from spasm.evaluation.drift import separation
from spasm.features import camera_and_gaps, kinematics
from spasm.features.cache import kinematic_features

FARTHEST = 3.0  # interquartile ranges from the median: a wild value must not outweigh all others
GAPS = [kinematics.NAMES.index(name) for name in kinematics.GROUPS[camera_and_gaps.GAPS]]
MOTION = kinematics.column_indices(gap_features=False)
NEAR = 0.25  # of the median distance to the nearest segment of any other child: a near duplicate


@dataclasses.dataclass(frozen=True, eq=False)
class Segments:
    """Segments of one folder with their features."""

    poses: np.ndarray
    """(N, T, 33, 5), NaN: not found."""
    children: np.ndarray
    """(N,) str."""
    features: np.ndarray
    """(N, F) in the order of `kinematics.NAMES`, NaN where a feature does not exist."""

    @property
    def is_comparable(self) -> np.ndarray:
        """(N,) bool: a pose in at least half of the frames; the features of others are mostly missing."""
        return np.array([visible_mask(pose).any(axis=1).mean() >= 0.5 for pose in self.poses], dtype=bool)


def training_segments(data: TrainingData) -> Segments:
    return Segments(data.poses, np.array(data.children), np.array(kinematic_features(data)))


def test_segments(data: TrainingData) -> Segments:
    """The segments of test/ beside the training data; none where there is no such folder."""
    folder = data.folder / "test"
    paths = list_segments(folder, "safe") if folder.is_dir() else []
    poses = SegmentFiles(paths, data.poses.shape[1], folder, data.landmarks)[:]
    return Segments(poses, np.array([child_of(path.name) for path in paths]), kinematics.compute_features(poses))


def gap_lengths_s(has_pose: np.ndarray) -> np.ndarray:
    """How long each gap is, (G,) seconds; has_pose: (N, T) bool."""
    edges = np.diff(np.pad(~has_pose, ((0, 0), (1, 1))).astype(int), axis=1)
    return (np.nonzero(edges == -1)[1] - np.nonzero(edges == 1)[1]) / FPS


# ---- leaks


def label_leaks(segments: Segments, labels: np.ndarray, notes: Mapping[str, list[str]]) -> dict[str, Estimate]:
    """AUC of predicting the label from what is no movement, of children that were not seen; movement for comparison.

    labels: (N,) of 0 and 1; notes: text of each segment by its name, such as the camera setup or the cohort.
    """
    sources = {name: one_hot(texts) for name, texts in notes.items()} | {
        "gaps and visibility": segments.features[:, GAPS],
        "place and size in the picture": framing(segments.poses),
        "movement, for comparison": segments.features[:, MOTION],
    }
    return {name: separation(values, labels == 1, segments.children) for name, values in sources.items()}


def one_hot(texts: Iterable[str]) -> np.ndarray:
    """Which words each text has, (N, W) of 0 and 1."""
    words = [set(text.split()) for text in texts]
    return np.array([[word in each for word in sorted(set().union(*words))] for each in words], dtype=float)


def framing(poses: np.ndarray) -> np.ndarray:
    """Where the child lies in the picture: median x and y, and the range of each, (N, 4); NaN without a pose."""
    table = np.full((len(poses), 4), np.nan)
    for row, pose in enumerate(poses):
        points = pose[visible_mask(pose)][:, :2]
        if len(points):
            low, middle, high = np.quantile(points, (0.05, 0.5, 0.95), axis=0)
            table[row] = [*middle, *(high - low)]
    return table


# ---- duplicates and a map


def exact_duplicates(train: Segments, test: Segments) -> int:
    """Number of segments with a pose whose values are those of another one before."""
    values = [pose.tobytes() for part in (train, test) for pose in part.poses if visible_mask(pose).any()]
    return len(values) - len(set(values))


def standardize(train: Segments, test: Segments) -> tuple[np.ndarray, np.ndarray]:
    """The motion features of comparable segments in interquartile ranges from the training median, held at FARTHEST.

    Missing values become 0, the median.
    """
    columns = train.features[train.is_comparable][:, MOTION]
    low, middle, high = np.nan_to_num(np.nanquantile(columns, (0.25, 0.5, 0.75), axis=0))
    scale = np.where(high > low, high - low, 1)
    both = [part.features[part.is_comparable][:, MOTION] for part in (train, test)]
    first, second = [np.nan_to_num(np.clip((values - middle) / scale, -FARTHEST, FARTHEST)) for values in both]
    return first, second


def nearest_distances(train: Segments, test: Segments) -> dict[str, np.ndarray]:
    """The distance from each comparable segment to the nearest other one, by what that is.

    A distance is the root mean square over the standardized features. "another child" is the nearest segment of a
    typical one (median), since all others together have many more segments than the same child.
    """
    values, test_values = standardize(train, test)
    names, child = np.unique(train.children[train.is_comparable], return_inverse=True)
    distance, from_test = _distances(values, values), _distances(test_values, values)
    np.fill_diagonal(distance, np.inf)
    by_child = np.stack([distance[:, child == number].min(axis=1) for number in range(len(names))], axis=1)
    rows = np.arange(len(child))
    same = by_child[rows, child]
    by_child[rows, child] = np.nan  # what remains are other children
    alone = len(names) < 2
    nearest = {
        "a segment of the same child": same,
        "a segment of another child": np.empty(0) if alone else np.nanmedian(by_child, axis=1),
        "any training segment of another child": np.empty(0) if alone else np.nanmin(by_child, axis=1),
        "any training segment, from test": from_test.min(axis=1, initial=np.inf),
    }
    return {name: found[np.isfinite(found)] for name, found in nearest.items()}


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    return np.sqrt(np.maximum(squares, 0) / a.shape[1])


def principal_components(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first two principal components (N, 2) of standardized features (N, F), and their fraction of the variance."""
    centred = values - values.mean(axis=0)
    left, size, _ = np.linalg.svd(centred, full_matrices=False)
    return left[:, :2] * size[:2], (size**2 / (size**2).sum())[:2]


def explained_by(groups: np.ndarray, values: np.ndarray) -> float:
    """Fraction of the variance of values (N, F) that lies between groups (N,), adjusted: 0 for groups at random."""
    _, group, count = np.unique(groups, return_inverse=True, return_counts=True)
    means = np.stack([np.bincount(group, column) for column in values.T], axis=1) / count[:, None]
    within, total = ((values - means[group]) ** 2).sum(), ((values - values.mean(axis=0)) ** 2).sum()
    return float(1 - within / total * (len(values) - 1) / (len(values) - len(count)))


# ---- channels


def channels(poses: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """What stands in the files and what networks read of it: values (N, 33, T) by channel, before and after."""
    import torch  # only here: LightGBM must not be loaded into the same process

    from spasm.config.features import Features
    from spasm.data.pose import CHANNELS
    from spasm.features.channels import CHANNELS as NETWORK_CHANNELS
    from spasm.features.channels import build_features

    before = {name: poses[..., number].transpose(0, 2, 1) for number, name in enumerate(CHANNELS)}
    after = build_features(torch.from_numpy(poses), Features()).numpy()
    return before, {name: after[:, number] for number, name in enumerate(NETWORK_CHANNELS)}
