"""What a camera and a pose estimator make of a simulated body. Neither ever looks at the label."""

import numpy as np

from spasm.body import Child, turn
from spasm.landmarks import INDEX
from spasm.segments import FPS

# The sensor per group of landmarks, from the child windows of InfantLab/babyjokes (MediaPipe, home videos): the median
# absolute second difference of x and y in picture units, then mean and spread over segments of the log-odds of
# visibility and of presence (means 0.99 face ... 0.14 feet).
SENSOR = {
    "face": (range(0, 11), 0.0008, (5.0, 0.8), (4.0, 1.0)),
    "shoulders": (range(11, 13), 0.0010, (4.6, 1.2), (3.3, 1.6)),
    "elbows": (range(13, 15), 0.0020, (0.9, 1.8), (1.3, 2.6)),
    "hands": (range(15, 23), 0.0023, (0.8, 1.6), (1.2, 2.3)),
    "hips": (range(23, 25), 0.0014, (0.8, 3.2), (0.0, 4.0)),
    "knees": (range(25, 27), 0.0030, (-1.3, 2.2), (-2.2, 4.0)),
    "feet": (range(27, 33), 0.0040, (-2.8, 1.9), (-3.6, 4.0)),
}
# White noise of deviation s has a median absolute second difference of 0.674 * sqrt(6) s = 1.65 s.
JITTER = 1.65
Z_JITTER = 5  # the second difference of z is 1 to 13 times that of x and y, by group (the same recordings)
WHOLLY_MISSING = 0.043  # of the segments (the same recordings)
GAP_SHARE = (3.2, 1.8)  # beta over children: 64 % of the other segments have a gap (the same recordings)
GAP_FRAMES = (3, 143)  # lengths of gaps, median 26 (the same recordings)


def photograph(rng: np.random.Generator, child: Child, body: np.ndarray) -> np.ndarray:
    """Picture coordinates (T, 33, 3) of a body (T, 33, 3), as MediaPipe gives them, without noise.

    x and y are divided by the picture's width and height, y points down, z points away from the camera, is 0 at the
    middle of the hips and scaled like x (MediaPipe Pose Landmarker guide). The camera looks at the child's front.
    """
    t = np.arange(len(body)) / FPS
    drift = wander(rng, t, 3, 0.05, 0.4) * (0.008, 0.008, 0.02) * (1.0 if child.hand_held else 0.1)
    roll = child.roll + rng.normal(0, 0.25) + drift[:, 2]
    tilt, side = np.full((2, len(t)), rng.normal(0, 0.2, (2, 1)))
    seen = body @ (turn(roll, 2) @ turn(tilt, 0) @ turn(side, 1)).transpose(0, 2, 1)
    zoom = child.zoom * rng.lognormal(0, 0.1) * min(child.aspect, 1.0) ** 0.5  # upright pictures are taken from farther
    distance = 3.0  # body lengths (judgement): near enough for some perspective
    middle = np.array([0.5 * child.aspect, 0.5]) + rng.normal(0, 0.1, 2) + drift[:, None, :2]
    scale = zoom * distance / (distance - seen[..., 2:])
    # The picture's middle is near the middle of the trunk's upper half, as parents frame the face.
    chest = seen[:, [INDEX["left_shoulder"], INDEX["right_shoulder"]], :2].mean((0, 1)) * 0.6 * zoom
    picture = np.empty_like(body)
    picture[..., :2] = middle + (seen[..., :2] * scale - chest) * (1, -1)
    picture[..., 0] /= child.aspect
    picture[..., 2] = -seen[..., 2] * zoom / child.aspect
    return picture


def sense(rng: np.random.Generator, child: Child, picture: np.ndarray) -> np.ndarray:
    """What the sensor delivers, (T, 33, 5) float64: the picture with jitter, visibility, presence, and NaN frames."""
    frames = len(picture)
    t = np.arange(frames) / FPS
    pose = np.empty((frames, len(INDEX), 5))
    shaky = rng.lognormal(0, 0.4)
    for group, step, visibility, presence in SENSOR.values():
        n, deviation = len(group), shaky * step / JITTER * np.array([1, 1, Z_JITTER])
        # Besides jitter from frame to frame, the estimate wanders slowly (judgement: five times as far).
        noise = rng.normal(size=(frames, n, 3)) + 5 * wander(rng, t, 3 * n, 0.1, 1.0).reshape(frames, n, 3)
        pose[:, group, :3] = picture[:, group] + noise * deviation
        seen = rng.normal() * 0.8 + rng.normal(0, 0.5, n) + 0.3 * wander(rng, t, n, 0.1, 2.0)
        pose[:, group, 3] = visibility[0] + visibility[1] * seen
        pose[:, group, 4] = presence[0] + presence[1] * (0.8 * seen + 0.5 * rng.normal())
    pose[..., 3:] = 1 / (1 + np.exp(-pose[..., 3:]))
    pose[draw_missing(rng, child, frames)] = np.nan
    return pose.astype(np.float32).astype(np.float64)  # MediaPipe computes in single precision


def draw_missing(rng: np.random.Generator, child: Child, frames: int) -> np.ndarray:
    """Which frames have no pose (T,) bool: all of them, none, or some gaps."""
    missing = np.zeros(frames, dtype=bool)
    if rng.random() < WHOLLY_MISSING:
        missing[:] = True
    elif rng.random() < child.gap_share:
        # 1.6 gaps in such a segment of five seconds (the same recordings); 1.9 drawn, because some overlap.
        for _ in range(1 + rng.poisson(max(0.0, 1.9 * frames / 150 - 1))):
            length = int(np.clip(round(rng.lognormal(np.log(26), 0.85)), GAP_FRAMES[0], min(GAP_FRAMES[1], frames - 1)))
            start = rng.integers(0, frames - length + 1)
            missing[start : start + length] = True
    return missing


def wander(rng: np.random.Generator, t: np.ndarray, columns: int, low_hz: float, high_hz: float) -> np.ndarray:
    """Smooth noise (T, columns) of deviation about 1: five sines of random frequency and phase per column."""
    frequency, phase = rng.uniform(low_hz, high_hz, (5, columns)), rng.uniform(0, 2 * np.pi, (5, columns))
    total = np.zeros((t.size, columns))
    for f, p in zip(frequency, phase, strict=True):
        total += np.sin(2 * np.pi * t[:, None] * f + p)
    return total * np.sqrt(2 / 5)
