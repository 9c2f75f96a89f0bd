"""Compare the simulation with real recordings, and measure its difficulty: metrics of poses, small classifiers."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from spasm.data.interpolation import known_neighbours
from spasm.data.pose import FPS, visible_mask
from spasm.simulation.pose_noise import GROUPS

PARTS = {
    "face": ("face",), "shoulders": ("shoulders",), "arms": ("elbows", "wrists", "fingers"), "hips": ("hips",),
    "knees": ("knees",), "feet": ("ankles", "feet"),
}  # fmt: skip
LANDMARKS_OF = {part: [i for group in groups for i in GROUPS[group]] for part, groups in PARTS.items()}
FIFTH = 6  # frames in a fifth of a second
SMALLEST_TRUNK = 0.02  # of the picture


@dataclasses.dataclass(frozen=True)
class Reference:
    """A metric of real recordings, and the accepted range for simulated ones."""

    real: float
    low: float
    high: float


# The 184 child windows of InfantLab/babyjokes, and bounds for segments of the same setup (`--camera-setup table`): the
# four children differ much more between themselves (frames missing 4 to 37 %).
BABYJOKES = {
    "frames missing": Reference(0.277, 0.20, 0.36),
    "windows wholly missing": Reference(0.043, 0.02, 0.10),
    "other windows with a gap": Reference(0.636, 0.50, 0.75),
    "gap frames, 5th centile": Reference(3, 2, 8),
    "gap frames, median": Reference(25, 16, 38),
    "gap frames, 95th centile": Reference(102, 80, 140),
    "single landmarks missing": Reference(0, 0, 0),
    "coordinates outside": Reference(0.139, 0.09, 0.21),
    "visibility, face": Reference(0.99, 0.97, 1.0),
    "visibility, shoulders": Reference(0.98, 0.94, 1.0),
    "visibility, arms": Reference(0.63, 0.50, 0.76),
    "visibility, hips": Reference(0.60, 0.44, 0.76),
    "visibility, knees": Reference(0.33, 0.20, 0.46),
    "visibility, feet": Reference(0.14, 0.06, 0.26),
    "presence, face": Reference(0.96, 0.92, 1.0),
    "presence, shoulders": Reference(0.92, 0.84, 1.0),
    "presence, arms": Reference(0.66, 0.52, 0.80),
    "presence, hips": Reference(0.50, 0.35, 0.66),
    "presence, knees": Reference(0.31, 0.17, 0.46),
    "presence, feet": Reference(0.19, 0.08, 0.32),
    "step of x and y, face": Reference(0.00203, 0.0010, 0.0041),
    "step of x and y, arms": Reference(0.0054, 0.0027, 0.0108),
    "step of x and y, feet": Reference(0.0097, 0.0049, 0.0195),
    "second difference of x and y, face": Reference(0.00078, 0.00040, 0.0016),
    "second difference of x and y, shoulders": Reference(0.00099, 0.00050, 0.0020),
    "second difference of x and y, arms": Reference(0.0021, 0.0011, 0.0042),
    "second difference of x and y, knees": Reference(0.0032, 0.0016, 0.0064),
    "second difference of x and y, feet": Reference(0.0041, 0.0020, 0.0082),
    "second difference of z, face": Reference(0.0090, 0.0045, 0.018),
    "second difference of z, feet": Reference(0.0134, 0.0067, 0.027),
}
# Speeds in trunk lengths per second, measured robustly (`movement_speeds`): the median over time within a window, and
# the 90th centile over time ("bursts"); then centiles between windows. Real: the same child windows, children of eight
# months to two years who play at a table, so with hands and head in motion and legs hidden (feet are visible in six
# windows). Bounds are for resting and active simulated negatives at a table (factor 2.5; 3 in the tails and for feet).
# No published centiles of infants' speeds were found. Trujillo-Priego and Smith 2017 (12 infants of 1 to 12 months,
# whole days) report leg movements of 0.23 to 0.33 s with a mean acceleration of 1.6 to 3.9 m/s2: a peak of 0.18 to 0.64
# m/s, which is 0.9 to 3.2 trunk lengths (0.2 m) per second, during a movement.
SPEEDS = {
    "speed of hands, 10th centile": Reference(0.089, 0.030, 0.267),
    "speed of hands, median": Reference(0.346, 0.138, 0.865),
    "speed of hands, 90th centile": Reference(0.748, 0.299, 1.87),
    "speed of hands, 99th centile": Reference(1.469, 0.490, 4.41),
    "speed of head, 10th centile": Reference(0.058, 0.019, 0.174),
    "speed of head, median": Reference(0.175, 0.070, 0.438),
    "speed of head, 90th centile": Reference(0.353, 0.141, 0.883),
    "speed of head, 99th centile": Reference(0.601, 0.200, 1.80),
    "speed of trunk, 10th centile": Reference(0.056, 0.019, 0.168),
    "speed of trunk, median": Reference(0.191, 0.076, 0.478),
    "speed of trunk, 90th centile": Reference(0.517, 0.207, 1.29),
    "speed of trunk, 99th centile": Reference(1.095, 0.365, 3.29),
    "speed of feet, median": Reference(0.563, 0.188, 1.69),
    "bursts of hands, median": Reference(0.904, 0.362, 2.26),
    "bursts of hands, 90th centile": Reference(2.345, 0.938, 5.86),
    "bursts of head, median": Reference(0.421, 0.168, 1.05),
    "bursts of head, 90th centile": Reference(1.079, 0.432, 2.70),
    "bursts of feet, median": Reference(1.341, 0.447, 4.02),
    "bursts of feet, 90th centile": Reference(1.585, 0.528, 4.76),
}
TABLE_ASPECT = 4 / 3  # picture width / height of these windows, and of simulated ones at a table
# Landmarks of a part, and to what its movement is relative; left and right hands and feet count one by one.
MOVING = {
    "hands": (((15,), (16,)), (11, 12)), "head": (((0, 7, 8),), (11, 12)), "trunk": (((11, 12),), ()),
    "feet": (((27,), (28,)), (23, 24)),
}  # fmt: skip
SMOOTH, VISIBLE, SEEN_STEPS = 7, 0.5, 20  # frames of the running mean; visibility; fewest speeds in a window


def noise_metrics(poses: np.ndarray) -> dict[str, float]:
    """The metrics of BABYJOKES for poses (N, T, 33, 5); medians are over absolute values at 30 frames per second."""
    landmarks = visible_mask(poses)
    whole = np.all(landmarks, axis=-1)
    lost = ~np.any(whole, axis=1)
    gaps = gap_lengths(whole[~lost])
    seen = poses[whole]
    values = {
        "frames missing": 1 - whole.mean(),
        "windows wholly missing": lost.mean(),
        "other windows with a gap": (~whole[~lost]).any(axis=1).mean(),
        "gap frames, 5th centile": np.percentile(gaps, 5) if gaps.size else 0,
        "gap frames, median": np.median(gaps) if gaps.size else 0,
        "gap frames, 95th centile": np.percentile(gaps, 95) if gaps.size else 0,
        "single landmarks missing": (landmarks.any(axis=-1) & ~whole).mean(),
        "coordinates outside": ((seen[..., :2] < 0) | (seen[..., :2] > 1)).mean(),
    }
    one, two = whole[:, 1:] & whole[:, :-1], whole[:, 2:] & whole[:, 1:-1] & whole[:, :-2]
    step, bend = np.diff(poses[..., :3], axis=1), np.diff(poses[..., :3], n=2, axis=1)
    for part, landmark in LANDMARKS_OF.items():
        values[f"visibility, {part}"] = seen[:, landmark, 3].mean()
        values[f"presence, {part}"] = seen[:, landmark, 4].mean()
        values[f"step of x and y, {part}"] = np.median(np.abs(step[:, :, landmark, :2][one]))
        values[f"second difference of x and y, {part}"] = np.median(np.abs(bend[:, :, landmark, :2][two]))
        values[f"second difference of z, {part}"] = np.median(np.abs(bend[:, :, landmark, 2][two]))
    return {name: float(values[name]) for name in BABYJOKES}


def gap_lengths(whole: np.ndarray) -> np.ndarray:
    """Lengths in frames of all gaps, from (N, T) bool: frames with a pose."""
    edges = np.diff(np.pad(~whole, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    return np.flatnonzero(edges == -1) - np.flatnonzero(edges == 1)


def movement_speeds(poses: np.ndarray, aspects: np.ndarray) -> dict[str, np.ndarray]:
    """Speeds (N, 2) of each part in MOVING, in trunk lengths per second: median and 90th centile over time.

    poses: (N, T, 33, 5) at 30 frames per second; aspects: (N,) picture width / height. Positions in the picture, which
    no roll of the camera changes, relative to the shoulders (feet: to the hips; the trunk: to the picture), after a
    running mean over SMOOTH frames, over a fifth of a second; frames count in which the part is visible. NaN: too few.
    """
    speeds = {part: np.full((len(poses), 2), np.nan) for part in MOVING}
    for n, (pose, aspect) in enumerate(zip(poses, aspects, strict=True)):
        flat = pose[..., :2] * (aspect, 1.0)
        trunk = np.linalg.norm(flat[:, 11:13].mean(axis=1) - flat[:, 23:25].mean(axis=1), axis=-1)
        if np.isfinite(trunk).sum() < SEEN_STEPS:
            continue
        size = max(float(np.nanmedian(trunk)), SMALLEST_TRUNK)
        for part, (places, origin) in MOVING.items():
            steps = []
            for place in places:
                at = flat[:, place].mean(axis=1) - (flat[:, origin].mean(axis=1) if origin else 0)
                at[~(pose[:, place, 3].mean(axis=1) >= VISIBLE)] = np.nan
                smooth = np.lib.stride_tricks.sliding_window_view(at, SMOOTH, axis=0).mean(axis=-1)
                steps.append(np.linalg.norm(smooth[FIFTH:] - smooth[:-FIFTH], axis=-1))
            known = np.concatenate(steps)
            known = known[np.isfinite(known)] * (FPS / FIFTH / size)
            if known.size >= SEEN_STEPS:
                speeds[part][n] = np.median(known), np.quantile(known, 0.9)
    return speeds


def speed_metrics(poses: np.ndarray, aspects: Sequence[float] | np.ndarray) -> dict[str, float]:
    """The metrics of SPEEDS for poses (N, T, 33, 5) with the aspects (N,); NaN where a part is never visible."""
    speeds = movement_speeds(poses, np.asarray(aspects))
    values = {}
    for part, (middle, burst) in ((part, rows.T) for part, rows in speeds.items()):
        for kind, row in (("speed", middle), ("bursts", burst)):
            known = row[np.isfinite(row)]
            for name, centile in (("10th centile", 10), ("median", 50), ("90th centile", 90), ("99th centile", 99)):
                value = np.percentile(known, centile) if known.size else np.nan
                values[f"{kind} of {part}, {name}"] = float(value)
    return {name: values[name] for name in SPEEDS}


def noise_statistics(poses: np.ndarray) -> np.ndarray:
    """Statistics (N, 41) of camera and sensor noise of poses (N, T, 33, 5); NaN without a pose."""
    rows = []
    for pose in poses:
        whole = np.all(visible_mask(pose), axis=-1)
        gaps = gap_lengths(whole[None])
        row = [1 - whole.mean(), gaps.size, gaps.mean() if gaps.size else 0, gaps.max() if gaps.size else 0]
        seen = pose[whole]
        two = whole[2:] & whole[1:-1] & whole[:-2]
        bend = np.abs(np.diff(pose[..., :3], n=2, axis=0))[two]
        if len(seen) < 5 or not len(bend):
            rows.append(row + [np.nan] * 37)
            continue
        row.append(((seen[..., :2] < 0) | (seen[..., :2] > 1)).mean())
        for landmark in LANDMARKS_OF.values():
            row += [seen[:, landmark, 3].mean(), seen[:, landmark, 3].std(axis=0).mean(), seen[:, landmark, 4].mean()]
            row += [np.median(bend[:, landmark, :2]), np.median(bend[:, landmark, 2])]
            row.append(np.percentile(bend[:, landmark, :2], 95))
        rows.append(row)
    return np.array(rows, dtype=float)


def motion_statistics(poses: np.ndarray, window: int = 7) -> np.ndarray:
    """Statistics (N, 30) of a child's motion, smoothed, of poses (N, T, 33, 5); NaN without a pose.

    Per part: speed relative to the trunk in trunk lengths per frame, its spread and maximum, the range of the part and
    the duration of one speed, after a running mean over `window` frames.
    """
    total = np.cumsum(_positions(poses)[:, :2], axis=-1, dtype=float)
    smooth = (total[..., window:] - total[..., :-window]) / window
    speed = np.linalg.norm(np.diff(smooth, axis=-1), axis=1)  # (N, 33, T - window)
    columns = []
    for landmark in LANDMARKS_OF.values():
        part = speed[:, landmark].mean(axis=1)
        spread = part.std(axis=1)
        lagged = (
            (part[:, window:] - part.mean(1, keepdims=True)) * (part[:, :-window] - part.mean(1, keepdims=True))
        ).mean(1)
        reach = np.ptp(smooth[:, :, landmark], axis=-1).mean(axis=(1, 2))
        columns += [part.mean(axis=1), spread, part.max(axis=1), reach, lagged / (spread * spread + 1e-12)]
    table = np.stack(columns, axis=1).astype(float)
    table[~visible_mask(poses).any(axis=(1, 2))] = np.nan
    return table


def plain_statistics(poses: np.ndarray) -> np.ndarray:
    """Plain kinematic statistics (N, 135) in trunk lengths, relative to the hips.

    Per group of landmarks: mean, deviation, 90th centile and greatest of the speed from frame to frame, and over a
    fifth of a second; 90th centile and greatest of the acceleration over a fifth of a second; time of the maximum;
    and range in x, y and z.
    """
    position = _positions(poses)
    columns = []
    for landmark in GROUPS.values():
        part = position[:, :, list(landmark)]
        for lag in (1, FIFTH):
            speed = np.linalg.norm(part[:, :2, :, lag:] - part[:, :2, :, :-lag], axis=1).mean(axis=1)  # (N, T - lag)
            columns += [speed.mean(1), speed.std(1), np.quantile(speed, 0.9, axis=1), speed.max(1)]
        turn = part[:, :2, :, 2 * FIFTH :] - 2 * part[:, :2, :, FIFTH:-FIFTH] + part[:, :2, :, : -2 * FIFTH]
        acceleration = np.linalg.norm(turn, axis=1).mean(axis=1)
        columns += [np.quantile(acceleration, 0.9, axis=1), acceleration.max(1), speed.argmax(1)]
        columns += list(np.ptp(part, axis=-1).mean(axis=2).T)
    return np.stack(columns, axis=1).astype(float)


def peak_speed(poses: np.ndarray) -> np.ndarray:
    """The greatest speed of all landmarks together, in trunk lengths per frame, (N,)."""
    steps = np.diff(_positions(poses)[:, :2], axis=-1)
    return np.linalg.norm(steps, axis=1).mean(axis=1).max(axis=1)


def leak_statistics(names: Sequence[str], poses: np.ndarray) -> np.ndarray:
    """Statistics (N, 14) that must not predict the label: number of child and segment, length, missing frames."""
    numbers = np.array([[int(part) for part in name.removesuffix(".npy").split("_")[1:]] for name in names])
    lost = ~visible_mask(poses).all(axis=-1)
    starts = (np.diff(lost.astype(int), axis=1, prepend=0) == 1).sum(axis=1)
    parts = np.array_split(lost, 8, axis=1)
    shares = np.stack([part.mean(axis=1) for part in parts], axis=1)
    length = np.full(len(names), poses.shape[1])
    return np.column_stack([numbers, np.arange(len(names)), length, lost.mean(axis=1), starts, shares])


def grouped_auc(statistics: np.ndarray, labels: np.ndarray, children: np.ndarray, folds: int = 5) -> float:
    """Mean over folds of the AUC of a small LightGBM on held-out children."""
    fold_of = child_folds(children, folds)
    return roc_auc(labels, out_of_fold(statistics, labels, fold_of), fold_of)


def child_folds(children: np.ndarray, folds: int) -> np.ndarray:
    """A fold (N,) for each segment, whole children together."""
    from sklearn.model_selection import GroupKFold  # here, because it is slow to load

    fold_of = np.zeros(len(children), dtype=int)
    split = GroupKFold(folds, shuffle=True, random_state=0).split(children, groups=children)
    for fold, (_, scored) in enumerate(split):
        fold_of[scored] = fold
    return fold_of


def out_of_fold(statistics: np.ndarray, labels: np.ndarray, fold_of: np.ndarray) -> np.ndarray:
    """Scores (N,) of a small LightGBM, each fold by a model trained without it."""
    import lightgbm  # here, because it is slow to load

    settings = {
        "objective": "binary", "learning_rate": 0.05, "num_leaves": 15, "min_data_in_leaf": 10, "feature_fraction": 0.5,
        "bagging_fraction": 0.8, "bagging_freq": 1, "verbose": -1, "num_threads": 1, "seed": 0, "deterministic": True,
        "force_row_wise": True,
    }  # fmt: skip
    scores = np.zeros(len(labels))
    for fold in np.unique(fold_of):
        learned = fold_of != fold
        data = lightgbm.Dataset(statistics[learned], labels[learned])
        scores[~learned] = lightgbm.train(settings, data, 120).predict(statistics[~learned])
    return scores


def real_or_simulated_auc(
    real: np.ndarray, real_children: np.ndarray, simulated: np.ndarray, children: np.ndarray
) -> float:
    """AUC of a small LightGBM that separates real from simulated windows by statistics (N, S).

    Each fold leaves out one real child and the same fraction of the simulated ones; the mean over folds.
    """
    folds = len(np.unique(real_children))
    fold_of = np.concatenate([np.unique(real_children, return_inverse=True)[1], child_folds(children, folds)])
    labels = np.repeat([1, 0], [len(real), len(simulated)])
    return roc_auc(labels, out_of_fold(np.concatenate([real, simulated]), labels, fold_of), fold_of)


def roc_auc(labels: np.ndarray, scores: np.ndarray, fold_of: np.ndarray) -> float:
    """Mean AUC over the folds with both classes."""
    from sklearn.metrics import roc_auc_score  # here, because it is slow to load

    both = [fold for fold in np.unique(fold_of) if 0 < labels[fold_of == fold].mean() < 1]
    return float(np.mean([roc_auc_score(labels[fold_of == fold], scores[fold_of == fold]) for fold in both]))


def _positions(poses: np.ndarray) -> np.ndarray:
    """Landmarks (N, 3, 33, T) float32 relative to the hips, in the segment's median trunk length, gaps interpolated.

    Uses numpy, because torch and LightGBM in one process crash on some machines.
    """
    positions = np.zeros((len(poses), 3, 33, poses.shape[1]), dtype=np.float32)
    time = np.arange(poses.shape[1])
    for pose, row in zip(poses, positions, strict=True):
        valid = np.all(visible_mask(pose), axis=-1)
        if not valid.any():
            continue
        before, after = known_neighbours(valid)
        left, right = np.where(before < 0, after, before), np.where(after >= len(pose), before, after)
        weight = ((time - left) / np.maximum(right - left, 1))[:, None, None]
        at = pose[left, :, :3] * (1 - weight) + pose[right, :, :3] * weight
        hips, shoulders = at[:, 23:25].mean(axis=1, keepdims=True), at[:, 11:13].mean(axis=1, keepdims=True)
        trunk = np.median(np.linalg.norm((shoulders - hips)[:, 0, :2], axis=-1))
        row[:] = ((at - hips) / max(trunk, SMALLEST_TRUNK)).transpose(2, 1, 0)
    return positions
