"""Thirteen points of the body in trunk lengths, in a frame of reference that moves with the body."""

import dataclasses

import numpy as np

from spasm.data.interpolation import known_neighbours
from spasm.data.landmarks import INDEX
from spasm.data.pose import FARTHEST, visible_mask
from spasm.features.nan_math import mean, quantiles, running_mean, safe_divide, savgol, window_around

BLOCK = 32  # segments at once; a smaller block is slower, a much larger one needs much memory for long segments
LONGEST_BRIDGE = 6  # frames; the gaps of the BabyJokes children are longer (median 26) and stay open
STILL = 0.05  # bl/s; slower is noise
ALIGNED = 9  # frames
SMALLEST_TRUNK = 0.02  # of the picture; a smaller length is noise, and dividing by it would make the pose huge
FACE, ARMS, LEGS = range(11), range(13, 23), range(25, 33)
HANDS, FEET = ("wrist", "pinky", "index", "thumb"), ("ankle", "heel", "foot_index")
# The 13 points, each the mean of its landmarks: the head, then left and right of each pair.
PAIRS = {
    "shoulders": ("shoulder",), "hips": ("hip",), "elbows": ("elbow",), "hands": HANDS, "knees": ("knee",),
    "feet": FEET,
}  # fmt: skip
POINTS = (
    tuple(FACE),
    *(tuple(INDEX[f"{side}_{name}"] for name in names) for names in PAIRS.values() for side in ("left", "right")),
)
HEAD, LEFT = 0, {part: 1 + 2 * i for i, part in enumerate(PAIRS)}  # the right one follows
LIMBS = ("elbows", "hands", "knees", "feet")
MOVERS = [HEAD, *range(LEFT["elbows"], len(POINTS))]  # all points except the trunk
SIDES = np.array([1] + [1, -1] * len(PAIRS), dtype=np.float32)[:, None]  # turns "left" into "outward"
PARTS = {"head": [HEAD], "arms": MOVERS[1:5], "trunk": list(range(1, 5)), "legs": MOVERS[5:]}  # their points


@dataclasses.dataclass(frozen=True, eq=False)
class Motion:
    """Motion of the 13 points in N segments of T frames; NaN in gaps and next to them."""

    position: np.ndarray
    """(N, 13, 3, T) bl about mid-hips."""
    velocity: np.ndarray
    """(N, 13, 3, T) bl/s about mid-hips."""
    articulated: np.ndarray
    """(N, 13, T) bl/s: speed after whole-body and camera motion are removed."""
    activity: np.ndarray
    """(N, T) bl/s: mean articulated speed of head, elbows, hands, knees and feet."""

    def around(self, event: np.ndarray) -> "Motion":
        """The same in the 91 frames around an event, frames (N,)."""
        return Motion(
            position=window_around(self.position, event),
            velocity=window_around(self.velocity, event),
            articulated=window_around(self.articulated, event),
            activity=window_around(self.activity, event),
        )


def part_speeds(poses: np.ndarray) -> np.ndarray:
    """Speed of each of PARTS against the rest of the body, (N, 4, T) float32 in body lengths per second.

    poses: (N, T, 33, 5). Motion of the whole body, such as by the camera, is removed. NaN in gaps and next to them.
    """
    points = body_points(poses, visible_mask(poses))
    articulated = rigid_motion(savgol(points, 0), savgol(points, 1))[3]
    return np.stack([mean(articulated[:, indices], axis=1) for indices in PARTS.values()], axis=1)


# ---- from poses to points in body lengths


def body_points(poses: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """The 13 points in the body's axes: along, to the child's left, depth; (N, 13, 3, T) float32 in body lengths.

    poses (N, T, 33, 5), visible (N, T, 33). The axes and the origin are fixed in the picture for
    the whole segment, and so is the scale: one per frame would erase flexion. NaN where a point is not known, and
    everywhere if the trunk is never known.
    """
    points = _points(np.ascontiguousarray(np.moveaxis(poses[..., :3], 1, -1), np.float32), np.moveaxis(visible, 1, -1))
    left_shoulder, right_shoulder, left_hip, right_hip = (points[:, i] for i in range(1, 5))
    shoulders, hips = (left_shoulder + right_shoulder) / 2, (left_hip + right_hip) / 2  # (N, 3, T)
    upward, leftward = shoulders - hips, left_shoulder - right_shoulder + left_hip - right_hip
    size = np.hypot(upward[:, 0], upward[:, 1])
    trunk = quantiles(size, 0.5)[0]
    trunk = np.where(trunk >= SMALLEST_TRUNK, trunk, np.nan)
    centre = quantiles(shoulders + hips, 0.5)[0] / 2
    # Mean directions turn with the camera; medians of x and of y would not.
    upward = mean(safe_divide(upward[:, :2], size[:, None], 1e-6))
    upward = safe_divide(upward, np.hypot(upward[:, :1], upward[:, 1:]), 1e-6)
    across = np.stack([-upward[:, 1], upward[:, 0]], axis=1)
    across[(across * mean(leftward[:, :2])).sum(axis=1) < 0] *= -1
    x, y, z = np.moveaxis(points - centre[:, None, :, None], 2, 0)
    turned = [x * axis[:, 0, None, None] + y * axis[:, 1, None, None] for axis in (upward, across)]
    return np.stack([*turned, z], axis=2) / trunk[:, None, None, None]


def _points(landmarks: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """The 13 points (N, 13, 3, T) of landmarks (N, 33, 3, T), where visible (N, 33, T); short gaps are filled."""
    landmarks = np.where(visible[:, :, None], np.clip(landmarks, -FARTHEST, FARTHEST), np.nan)
    gappy = visible.any(axis=-1) & ~visible.all(axis=-1)
    landmarks[gappy] = fill_short_gaps(landmarks[gappy], visible[gappy])
    count = visible.sum(axis=-1)
    points = []
    for indices in POINTS:
        # Leave out a landmark that is rarely found; its gaps would become gaps of the point.
        used = count[:, indices] * 2 > count[:, indices].max(axis=1, keepdims=True)
        total = np.where(used[..., None, None], landmarks[:, indices], 0).sum(axis=1)
        points.append(total / np.where(used.any(axis=1), used.sum(axis=1), np.nan)[:, None, None])
    return np.stack(points, axis=1, dtype=np.float32)


def fill_short_gaps(values: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """values (S, 3, T), where visible (S, T), with gaps of at most LONGEST_BRIDGE frames filled by straight lines."""
    before, after = known_neighbours(visible)
    short = ~visible & (before >= 0) & (after < visible.shape[-1]) & (after - before <= LONGEST_BRIDGE + 1)
    row, frame = np.nonzero(short)
    first, last = before[row, frame], after[row, frame]
    weight = ((frame - first) / (last - first)).astype(np.float32)[:, None]
    values[row, :, frame] = values[row, :, first] * (1 - weight) + values[row, :, last] * weight
    return values


def rigid_motion(points: np.ndarray, velocity: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Speed of translation (bl/s), rotation (rad/s) and zoom (1/s), (N, T) each, and what remains, (N, 13, T) bl/s.

    points and velocity (N, 13, 3, T). In each frame, least squares over the known points of
    v = translation + (zoom + i rotation) (p - centre), with the picture as the complex plane.
    """
    vx, vy = velocity[:, :, 0], velocity[:, :, 1]
    x, y = points[:, :, 0] + 0 * vx, points[:, :, 1] + 0 * vx  # NaN where the velocity is
    mx, my = mean(vx, axis=1), mean(vy, axis=1)
    x, y, vx, vy = x - mean(x, axis=1)[:, None], y - mean(y, axis=1)[:, None], vx - mx[:, None], vy - my[:, None]
    size = np.maximum(mean(x * x + y * y, axis=1), 1e-6)
    zoom, turn = mean(x * vx + y * vy, axis=1) / size, mean(x * vy - y * vx, axis=1) / size
    rest_x = vx - zoom[:, None] * x + turn[:, None] * y
    rest_y = vy - zoom[:, None] * y - turn[:, None] * x
    return np.sqrt(mx * mx + my * my), turn, zoom, np.sqrt(rest_x * rest_x + rest_y * rest_y)


def event_frame(articulated: np.ndarray, activity: np.ndarray) -> np.ndarray:
    """The frame (N,) of the largest burst, in which head, arms and legs move most at once; 0 if none is known.

    articulated: (N, 13, T) bl/s; activity: (N, T) bl/s. At once: the geometric mean of the parts' speeds, each STILL
    faster than it is, so that an arm that waves alone counts less than a smaller movement of all. A part that is not
    known counts like the others. Within ALIGNED frames of that, the event is where the activity is highest.
    """
    parts = np.stack([mean(articulated[:, PARTS[name]], axis=1) for name in ("head", "arms", "legs")], axis=1)
    parts = np.where(np.isfinite(parts), parts, mean(parts, axis=1)[:, None]) + np.float32(STILL)
    together, activity = running_mean(np.cbrt(parts.prod(axis=1)), 9), running_mean(activity, 9)
    burst = np.where(np.isfinite(together), together, -1).argmax(axis=-1)[:, None]
    near = (np.abs(np.arange(activity.shape[1]) - burst) <= ALIGNED) & np.isfinite(activity)
    return np.where(near, activity, -1).argmax(axis=-1)
