"""Features of the recording: motion of the camera, gaps, visibility."""

import numpy as np

from spasm.data.interpolation import known_neighbours
from spasm.data.pose import FPS
from spasm.features.body_frame import ARMS, FACE, LEFT, LEGS, MOVERS
from spasm.features.catalogue import AROUND_BURST, LEVELS, Columns, feature, flatten
from spasm.features.nan_math import length, mean, quantiles, safe_divide, window_around

# ---- the camera, or the person who carries the child

WHOLE_BODY = (
    ("rigid_translation", "bl_s", "the common shift of all points (camera or carrying)"),
    ("rigid_rotation", "rad_s", "the common turn of all points (camera or carrying)"),
    ("rigid_zoom", "per_s", "the common zoom of all points (camera or distance)"),
    ("trunk_translation", "bl_s", "the trunk through the picture"),
)
COMMON_MOTION = {  # three levels, then the mean around the burst
    name: (
        *(feature("camera", "common motion", f"{name}_p{percent}", unit, f"speed of {words}, {level}", name)
          for percent, level in LEVELS.items()),
        feature("camera", "common motion", f"{name}_mean_best_1s", unit, f"mean speed of {words} {AROUND_BURST[1]}",
                name),
    )
    for name, unit, words in WHOLE_BODY
}  # fmt: skip
TRUNK_DOWN, TRUNK_UP = (
    feature(
        "camera", "common motion", f"trunk_{way}_speed_p99", "bl_s",
        f"speed of the trunk {way} the trunk's axis in the picture, {LEVELS[99]}",
    )
    for way in ("down", "up")
)  # fmt: skip
ARTICULATED_OVER_ALL = feature(
    "camera", "fraction of all motion", "articulated_over_all_motion", "",
    "ratio of movement to all motion of head and limbs, with the camera's",
)  # fmt: skip


def common_motion(
    translation: np.ndarray,
    rotation: np.ndarray,
    zoom: np.ndarray,
    velocity: np.ndarray,
    activity: np.ndarray,
    event: np.ndarray,
) -> Columns:
    """Rigid motion in each frame, (N, T) each, velocity (N, 13, 3, T) in the picture, and the frame (N,) of the
    event."""
    trunk = velocity[:, LEFT["shoulders"] : LEFT["hips"] + 2].mean(axis=1)[:, None]
    speeds = (translation, np.abs(rotation), np.abs(zoom), length(trunk)[:, 0])
    for speed, (*levels, around_burst) in zip(speeds, COMMON_MOTION.values(), strict=True):
        yield from zip(levels, quantiles(speed, 0.5, 0.9, 0.99), strict=True)
        yield around_burst, mean(window_around(speed, event, 15))
    slow, fast = quantiles(trunk[:, 0, 0], 0.01, 0.99)
    yield TRUNK_DOWN, -slow
    yield TRUNK_UP, fast
    all_motion = mean(length(velocity)[:, MOVERS], axis=1)
    yield ARTICULATED_OVER_ALL, safe_divide(mean(activity), mean(all_motion))


# ---- gaps and visibility

GAPS = "gaps and visibility"
MISSING_FRACTION = feature(GAPS, "gaps", "frames_missing_share", "", "fraction of frames without a pose")
GAP_RATE = feature(GAPS, "gaps", "gaps", "per_s", "gaps in the pose")
LONGEST_GAP = feature(GAPS, "gaps", "longest_gap", "s", "longest gap in the pose")
SCORED_PARTS = {"face": FACE, "trunk": (11, 12, 23, 24), "arms": ARMS, "legs": LEGS}
SCORES = {
    part: [
        feature(GAPS, "visibility", f"{part}_{score}_mean", "", f"mean {score} of the {part} (MediaPipe's score)", part)
        for score in ("visibility", "presence")
    ]
    for part in SCORED_PARTS
}
OUTSIDE_FRACTION = feature(
    GAPS, "visibility", "landmarks_outside_picture_share", "",
    "fraction of the visible landmarks that lie outside the picture",
)  # fmt: skip


def gaps_and_visibility(poses: np.ndarray, visible: np.ndarray) -> Columns:
    """From poses (N, T, 33, 5) and visible (N, T, 33)."""
    frames, has_pose = poses.shape[1], np.any(visible, axis=-1)
    yield MISSING_FRACTION, 1 - has_pose.mean(axis=-1)
    starts = (~has_pose & np.pad(has_pose, ((0, 0), (1, 0)), constant_values=True)[:, :-1]).sum(axis=-1)
    yield GAP_RATE, starts * FPS / frames
    longest = (np.arange(frames) - known_neighbours(has_pose)[0]).max(axis=-1)
    yield LONGEST_GAP, longest / FPS
    scores = np.nan_to_num(np.where(visible[..., None], poses[..., 3:5], 0), posinf=1, neginf=0)
    for part, landmarks in SCORED_PARTS.items():
        indices = list(landmarks)
        count = np.maximum(visible[:, :, indices].sum(axis=(1, 2)), 1)
        level = scores[:, :, indices].sum(axis=(1, 2)) / count[:, None]
        for i, spec in enumerate(SCORES[part]):
            yield spec, np.where(has_pose.any(axis=-1), level[:, i], np.nan)
    inside = visible & (np.abs(poses[..., 0] - 0.5) <= 0.5) & (np.abs(poses[..., 1] - 0.5) <= 0.5)
    yield OUTSIDE_FRACTION, 1 - safe_divide(inside.sum(axis=(1, 2)), visible.sum(axis=(1, 2)), 0)


SPECS = flatten(
    COMMON_MOTION, TRUNK_DOWN, TRUNK_UP, ARTICULATED_OVER_ALL, MISSING_FRACTION, GAP_RATE, LONGEST_GAP, SCORES,
    OUTSIDE_FRACTION,
)  # fmt: skip
