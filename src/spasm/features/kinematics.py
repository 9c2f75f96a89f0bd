"""Poses (N, T, 33, 5) to the named kinematic features (N, F) that gradient boosting reads. Uses numpy, not torch.

Lengths are in body lengths (bl: the segment's median distance from mid-hips to mid-shoulders in the picture), times in
seconds. Axes are the body's: *along* the trunk towards the head, *outward* from the midline to the landmark's own side,
*depth* MediaPipe's z. So features do not depend on the camera's position, roll or zoom, or on mirroring, and only a
little on the picture's unknown aspect ratio. Paired parts have a feature for the larger side (`_most`) and for the
smaller side (`_least`), not for left and right. Features do not depend on the time of a movement in the segment, since
that depends on how a recording was cut.

Two motions are separated. *Rigid* motion moves all points at once, by a moving camera or by the person who carries the
child: the least-squares translation, rotation and zoom of the velocities in each frame. *Articulated* motion is the
rest. The *event* (in descriptions: the largest burst) is the moment of highest articulated speed while head, arms
and legs move most at once; windows are centred on it.

Short gaps are filled. Longer ones stay NaN, and so does every local fit that would reach into one.
Numbers without a source were chosen by hand.
"""

import numpy as np

from spasm.data.pose import visible_mask
from spasm.features import camera_and_gaps, coordination, event_shape, part_motion, pose_steps, posture, rhythm
from spasm.features.body_frame import BLOCK, LEFT, MOVERS, Motion, body_points, event_frame, rigid_motion
from spasm.features.catalogue import Columns, FeatureSpec
from spasm.features.nan_math import length, mean, savgol

# LightGBM's models depend on the order of the columns.
CATALOGUE: dict[str, FeatureSpec] = {
    spec.name: spec
    for module in (part_motion, event_shape, pose_steps, coordination, posture, rhythm, camera_and_gaps)
    for spec in module.SPECS
}
NAMES: tuple[str, ...] = tuple(CATALOGUE)
GROUPS: dict[str, tuple[str, ...]] = {
    group: tuple(name for name in NAMES if CATALOGUE[name].group == group)
    for group in dict.fromkeys(spec.group for spec in CATALOGUE.values())
}
_COLUMN = {name: column for column, name in enumerate(NAMES)}


def compute_features(poses: np.ndarray) -> np.ndarray:
    """One row of features per segment, with the same bytes alone or in any batch.

    poses: (N, T, 33, 5) float, [x, y, z, visibility, presence]; NaN: landmark not found. T at least 16.
    Returns (N, F) float32 in the order of `NAMES`, never infinite; NaN: undefined.
    """
    table = np.empty((len(poses), len(NAMES)), dtype=np.float32)
    for start in range(0, len(poses), BLOCK):
        for spec, values in columns(poses[start : start + BLOCK]):
            table[start : start + BLOCK, _COLUMN[spec.name]] = values
    table[np.isnan(table)] = np.nan  # the sign of a NaN could depend on the block
    return table


def columns(poses: np.ndarray) -> Columns:
    """Each feature once, in the order of `NAMES`, with its values for a block of poses."""
    visible = visible_mask(poses)
    points = body_points(poses, visible)
    smooth, velocity = savgol(points, 0), savgol(points, 1)
    translation, rotation, zoom, articulated = rigid_motion(smooth, velocity)
    hips = slice(LEFT["hips"], LEFT["hips"] + 2)
    motion = Motion(
        position=smooth - smooth[:, hips].mean(axis=1, keepdims=True),
        velocity=velocity - velocity[:, hips].mean(axis=1, keepdims=True),
        articulated=articulated,
        activity=mean(articulated[:, MOVERS], axis=1),
    )
    event = event_frame(motion.articulated, motion.activity)
    near = motion.around(event)
    from_hips = points - points[:, hips].mean(axis=1, keepdims=True)

    yield from part_motion.amplitudes(motion.position)
    yield from part_motion.speeds(motion.velocity, motion.articulated)
    yield from part_motion.accelerations(length(savgol(from_hips[:, :, :2], 2)), length(savgol(from_hips[:, :, :2], 3)))
    yield from part_motion.best_window(near)
    yield from event_shape.shape(near, motion.activity)
    yield from event_shape.pose_change(near)
    yield from event_shape.stillness(near, motion.activity)
    yield from pose_steps.pose_steps(motion.position)
    yield from coordination.synchrony(near)
    yield from coordination.symmetry("segment", motion.velocity, motion.articulated)
    yield from coordination.symmetry("best_2s", near.velocity[..., 15:-15], near.articulated[..., 15:-15])
    yield from posture.angles_and_distances(motion.position, event)
    yield from rhythm.rhythm(motion.articulated, motion.activity)
    yield from camera_and_gaps.common_motion(translation, rotation, zoom, velocity, motion.activity, event)
    yield from camera_and_gaps.gaps_and_visibility(poses, visible)


def column_indices(gap_features: bool) -> np.ndarray:
    """The columns that a model reads, (F,) int64: all, or all except gaps and visibility."""
    left_out = () if gap_features else GROUPS[camera_and_gaps.GAPS]
    return np.array([number for number, name in enumerate(NAMES) if name not in left_out])
