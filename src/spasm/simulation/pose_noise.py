"""Errors of MediaPipe on pictures of a simulated child. They never depend on the label.

Everything happens at the video's own frame rate and is then resampled to 30 frames per second in straight lines, as
in the recordings it is calibrated on: the 184 child windows of InfantLab/babyjokes (home videos of four infants and
toddlers at a table, MediaPipe; MIT licence). `python src/check_simulation.py` prints how near it comes. Numbers without
a source, marked or not, are assumed and rest on no measurement.
"""

import dataclasses

import numpy as np

from spasm.data.landmarks import MIRROR
from spasm.data.pose import FPS
from spasm.simulation.body import POSTURES, of_joints, pose_body, sample_bones
from spasm.simulation.camera import Camera, CameraSetup, pick, trunk_size

GROUPS = {
    "face": range(0, 11), "shoulders": range(11, 13), "elbows": range(13, 15), "wrists": range(15, 17),
    "fingers": range(17, 23), "hips": range(23, 25), "knees": range(25, 27), "ankles": range(27, 29),
    "feet": range(29, 33),
}  # fmt: skip
# Log-odds of visibility and of presence by how far a landmark is outside the picture, in picture widths or heights:
# medians over the child windows, in the order of GROUPS.
OUTSIDE = (-0.30, -0.05, 0.05, 0.30, 0.80)
VISIBILITY = np.array([
    (7.5, 6.2, 5.9, 5.0, 3.0), (6.8, 3.4, 3.2, 1.5, 0.0), (1.6, 0.3, 0.1, -0.6, -1.0),
    (1.4, 0.6, -0.5, -1.7, -2.0), (1.0, 0.8, -0.4, -1.5, -1.6), (5.5, 3.7, 1.5, -2.8, -5.5),
    (0.3, 0.3, -0.1, -2.0, -5.0), (-1.1, -0.7, -1.7, -2.6, -6.5), (-1.0, -0.4, -1.4, -2.4, -6.0),
])  # fmt: skip
PRESENCE = np.array([
    (5.2, 3.6, 3.8, 3.0, 1.0), (5.0, 1.4, 1.3, 0.0, -1.0), (3.7, 0.2, -1.6, -3.0, -3.5),
    (2.9, 0.4, -1.9, -3.4, -4.7), (2.2, 0.9, -1.5, -2.8, -4.6), (5.6, 2.4, 0.0, -5.0, -7.5),
    (3.4, 0.2, -1.5, -3.7, -7.5), (3.2, 1.2, -1.5, -4.3, -9.0), (2.8, 1.0, -1.3, -4.2, -8.5),
])  # fmt: skip
# In these windows a table hides arms and legs. Without a table their visibility is higher by this much (assumed).
UNCOVERED = np.array([0, 0, 1.3, 1.3, 1.0, 0, 2.6, 3.0, 2.6])
BELOW_TRUNK = np.arange(len(GROUPS)) >= 5  # hips, knees, ankles and feet, which a blanket covers
# Landmarks behind the middle of the child's trunk are less visible, as if hidden by it: from this many trunk lengths
# on, and fully at twice that (assumed).
BEHIND, HIDDEN = 0.3, 2.0
# How visibility differs between videos and within one (the same windows: 1.2 to 1.4, and 0.9 to 1.6, slower than 0.5
# s).
BETWEEN_VIDEOS, WITHIN_VIDEO = 1.2, 1.2
# Errors of the estimate fade within this time: for the one child recorded at 30 frames per second,
# lag-1 correlations of steps are -0.1 and steps over 6 and 15 frames 1.8 and 2.2 times those over one.
STRAY_S = 0.15
# Size of the error of a well visible landmark (deviation in trunk lengths in the picture, of which small children
# are granted some), and how much further in z; fitted so that steps and second differences are those of the windows.
STRAY = np.array([0.0178, 0.0207, 0.0190, 0.0190, 0.0207, 0.0155, 0.0253, 0.0282, 0.0299])
GRANTED = (0.08, 0.8)
STRAY_Z = np.array([16.0, 12.0, 8.0, 11.0, 11.0, 1.7, 3.0, 3.6, 3.6])
# Hidden landmarks have larger errors (3 to 7 times for the same windows' wrists and elbows), and change from one guess
# to another, by this fraction of a trunk length (fitted to realism.SPEEDS). Errors come in bursts: spread of the
# logarithm (fitted to the spread of speeds).
UNSEEN_STRAYS = 4.0
UNSEEN_WANDERS, UNSEEN_WANDERS_S = 0.15, 0.35
BURSTS, BURSTS_S = 0.6, 0.35
# Spread of the logarithm of the size of errors between videos (fitted to the spread of realism.SPEEDS).
SHAKY_SPREAD = 0.55
# Errors are common to a part: this fraction of the variance, in x and y and in z (the same windows: correlations of
# second differences 0.9 in the face, 0.5 to 0.8 in limbs, in z 0.9 and more).
TOGETHER = (0.65, 0.92)
PART_OF = np.array([0] * 11 + [0, 0] + [1, 2] * 5 + [3, 3] + [4, 5] * 4)  # head and shoulders, arms, hips, legs
# Depth from one picture is a guess: MediaPipe lets the seated children of these windows lean to the camera by about
# half of the height above the hips; how much videos differ, and by how much depths are wrong in all, is assumed.
LEAN, DEPTH = (0.45, 0.35), (0.1, 0.25)
# Landmarks outside the picture are guessed: MediaPipe puts such legs hanging down from the hips, as of a standing
# adult.
GUESSED = 0.6
# Per take, the fraction of frames without a pose: beta(a, b), and the lengths of gaps: median in seconds and spread of
# the logarithm (the same windows, joined to 53 takes of 5 to 40 s: 0, 2, 8, 45 and 100 % at the 10th, 25th, 50th, 75th
# centile and the greatest; gaps 3 to 167 frames, median 24).
MISSING = (0.6, 1.7)
GAP_S = (0.6, 1.2)
SWAPS, FREEZES = 0.04, 0.03  # in five seconds (assumed; no infants' rate is published)
BLOCK = 256  # frames of smooth noise at a time
GROUP_OF = np.repeat(np.arange(len(GROUPS)), [len(group) for group in GROUPS.values()])
LIMBS = {"arms": range(11, 23), "legs": range(23, 33), "all": range(33)}


@dataclasses.dataclass(frozen=True)
class Sensor:
    """Quality of the pose estimates in one video."""

    native_fps: float
    missing: float  # fraction of frames without a pose
    clarity: np.ndarray  # (9,) log-odds of visibility added, by group
    shaky: float  # jitter, 1 is usual
    lock_on: float  # in five seconds
    lean: float  # how far depth lets the upper body lean to the camera, as a fraction of its height above the hips
    depth: float  # how large depths are, 1 is right
    swapped: bool  # a child seen from behind may be taken for its mirror image throughout
    covered: bool = False  # a blanket or a table hides the legs


def sample_sensor(rng: np.random.Generator, setup: CameraSetup, posture: str) -> Sensor:
    """Sample the quality of one video."""
    clarity = BETWEEN_VIDEOS * (0.7 * rng.normal() + 0.7 * rng.normal(size=len(GROUPS)))
    covered = bool(rng.random() < setup.covered)
    if setup.covered < 1:  # no table in front of every child
        clarity += UNCOVERED * ~(BELOW_TRUNK & covered)
    return Sensor(
        native_fps=pick(rng, setup.native_fps),
        missing=sample_missing_fraction(rng),
        clarity=clarity,
        shaky=setup.blurred * rng.lognormal(0, SHAKY_SPREAD) * (1.4 if posture == "prone" else 1),
        lock_on=setup.caregiver * rng.gamma(1, 1),
        lean=rng.normal(*LEAN),
        depth=rng.lognormal(*DEPTH),
        swapped=posture == "prone" and rng.random() < 0.4,
        covered=covered,
    )


def sample_missing_fraction(rng: np.random.Generator) -> float:
    """The fraction of frames without a pose in one take."""
    return min(0.97, rng.beta(*MISSING))


def native_times(rng: np.random.Generator, sensor: Sensor, frames: int) -> np.ndarray:
    """Times in seconds of the video's own frames, from just before the first of `frames` to just after the last."""
    step_s = 1 / sensor.native_fps
    if sensor.native_fps == FPS:
        return np.arange(frames) / FPS
    start_s = -rng.uniform(0, step_s)
    return start_s + step_s * np.arange(int(np.ceil((frames / FPS - start_s) / step_s)) + 1)


def apply_pose_noise(
    rng: np.random.Generator, sensor: Sensor, camera: Camera, picture: np.ndarray, t: np.ndarray, frames: int
) -> np.ndarray:
    """Estimated poses (frames, 33, 5) float64 at 30 per second from a picture (T, 33, 3) at the native times `t`."""
    missing = sample_missing(rng, sensor, t)
    if missing.all():
        return np.full((frames, 33, 5), np.nan)
    size = trunk_size(picture, camera.aspect)
    picture_unit = np.array([1 / camera.aspect, 1, 1 / camera.aspect])
    unit = size * picture_unit  # a trunk length in each coordinate
    seen = picture.copy()
    stray = _lock_on(rng, sensor, camera, seen, unit, t)
    _swap(rng, sensor, seen, t)
    outside = np.maximum(-seen[..., :2], seen[..., :2] - 1).max(axis=-1)
    wander_log_odds = 0.6 * wander(rng, t, 9, 0.5)[:, GROUP_OF] + 0.8 * wander(rng, t, 33, 0.25)
    log_odds = WITHIN_VIDEO * wander_log_odds + (sensor.clarity - 0.5 * stray)[..., GROUP_OF]
    hidden = np.clip(_behind(seen, unit) / BEHIND - 1, 0, 1) * HIDDEN
    visible, present = _by_distance(outside, VISIBILITY) + log_odds - hidden, _by_distance(outside, PRESENCE) + log_odds
    present += 0.8 * wander(rng, t, 33, 0.25)
    unseen = 1 / (1 + np.exp(visible))
    seen[..., 2] = sensor.depth * seen[..., 2] - sensor.lean * _height(seen, unit) * unit[2]
    _guess(seen, np.clip((outside + 0.05) / 0.3, 0, 1) * GUESSED)
    burst = np.exp(BURSTS * wander(rng, t, 6, BURSTS_S))[:, PART_OF]
    noise = _stray(rng, t) * (burst * sensor.shaky * STRAY[GROUP_OF] * (1 + UNSEEN_STRAYS * unseen))[..., None]
    noise[..., 2] *= STRAY_Z[GROUP_OF]
    guess = wander(rng, t, 18, UNSEEN_WANDERS_S).reshape(t.size, 6, 3)[:, PART_OF]
    seen += guess * unit * (UNSEEN_WANDERS * burst * unseen * unseen)[..., None]
    pose = np.empty((t.size, 33, 5))
    pose[..., :3] = seen + noise * picture_unit * (GRANTED[0] + GRANTED[1] * size)
    pose[..., 3] = 1 - unseen
    pose[..., 4] = 1 / (1 + np.exp(-present))
    hips = pose[:, 23:25, 2].mean(axis=1, keepdims=True)
    pose[..., 2] -= hips  # by definition, also with noise
    _freeze(rng, pose, t)
    pose[missing] = np.nan
    return resample(pose, t, frames).astype(np.float32).astype(np.float64)  # MediaPipe computes in single precision


def resample(pose: np.ndarray, t: np.ndarray, frames: int) -> np.ndarray:
    """Linear interpolation between native frames, (T, 33, 5) -> (frames, 33, 5); NaN if a neighbour is missing."""
    if t.size == frames and t[0] == 0:
        return pose
    at = np.arange(frames) / FPS
    after = np.clip(np.searchsorted(t, at, side="right"), 1, t.size - 1)
    fraction = ((at - t[after - 1]) / (t[after] - t[after - 1]))[:, None, None]
    return pose[after - 1] * (1 - fraction) + pose[after] * fraction


def sample_missing(rng: np.random.Generator, sensor: Sensor, t: np.ndarray) -> np.ndarray:
    """Which frames have no pose, (T,) bool: gaps and runs in turn, both random, starting before the first frame."""
    missing = np.zeros(t.size, dtype=bool)
    gap_s = GAP_S[0] * np.exp(GAP_S[1] ** 2 / 2)  # the mean
    run_s = gap_s * (1 - sensor.missing) / max(sensor.missing, 1e-3)
    at_s, lost = t[0] - 20.0, rng.random() < sensor.missing
    while at_s < t[-1]:
        length_s = rng.lognormal(np.log(GAP_S[0]), GAP_S[1]) if lost else rng.exponential(run_s)
        if lost:
            first, last = np.searchsorted(t, (at_s, at_s + length_s))
            missing[first:last] = True
        at_s, lost = at_s + length_s, not lost
    return missing


def wander(rng: np.random.Generator, t: np.ndarray, columns: int, scale_s: float) -> np.ndarray:
    """Smooth noise (T, columns) of deviation 1 at ascending `t`: Gaussian bumps, `scale_s` wide, random in height."""
    start = t[0] - 4 * scale_s
    knots = start + scale_s * np.arange(9 + int((t[-1] - t[0]) / scale_s))
    heights = rng.standard_normal((knots.size, columns))
    total = np.empty((t.size, columns))
    for first in range(0, t.size, BLOCK):  # a bump is at most four widths long on each side
        at = t[first : first + BLOCK]
        low, high = max(0, int((at[0] - start) / scale_s) - 4), int((at[-1] - start) / scale_s) + 6
        bumps = np.exp(-0.5 * ((at[:, None] - knots[low:high]) / scale_s) ** 2)
        bumps /= np.sqrt((bumps * bumps).sum(axis=1, keepdims=True))
        total[first : first + BLOCK] = bumps @ heights[low:high]
    return total


def tremble(rng: np.random.Generator, t: np.ndarray, columns: int) -> np.ndarray:
    """A tremor (T, columns) of deviation 1, between 4 and 12 Hz: four sines in each column."""
    total = np.zeros((t.size, columns))
    for hertz, phase in zip(rng.uniform(4, 12, (4, columns)), rng.uniform(0, 2 * np.pi, (4, columns)), strict=True):
        total += np.sin(2 * np.pi * t[:, None] * hertz + phase)
    return total / np.sqrt(2)


def _stray(rng: np.random.Generator, t: np.ndarray) -> np.ndarray:
    """Errors (T, 33, 3) of deviation 1 that fade within STRAY_S and are mostly common to a part."""
    from scipy.signal import lfilter  # here, because it is slow to load

    kept = np.exp(-(t[1] - t[0]) / STRAY_S)
    fresh = rng.standard_normal((t.size, 33 + 6, 3), dtype=np.float32)
    fresh[1:] *= np.sqrt(1 - kept * kept)
    noise = lfilter([1.0], [1.0, -kept], fresh, axis=0)
    together = np.array([TOGETHER[0], TOGETHER[0], TOGETHER[1]])
    return np.sqrt(1 - together) * noise[:, :33] + np.sqrt(together) * noise[:, 33 + PART_OF]


def _by_distance(outside: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Log-odds (T, 33) from the distance outside the picture (T, 33), by group."""
    return np.stack([np.interp(outside[:, i], OUTSIDE, table[group]) for i, group in enumerate(GROUP_OF)], axis=1)


def _behind(seen: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Distance of landmarks behind the middle of the trunk, (T, 33) in trunk lengths."""
    return (seen[..., 2] - seen[:, [11, 12, 23, 24], 2].mean(axis=1, keepdims=True)) / unit[2]


def _height(seen: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Height of landmarks above the hips along the trunk in the picture, (T, 33) in trunk lengths; 0 below."""
    flat = seen[..., :2] / unit[:2]
    hips, shoulders = flat[:, 23:25].mean(axis=1), flat[:, 11:13].mean(axis=1)
    up = shoulders - hips
    up /= np.maximum(np.linalg.norm(up, axis=-1, keepdims=True), 1e-6)
    return np.maximum(((flat - hips[:, None]) * up[:, None]).sum(axis=-1), 0)


def _episodes(rng: np.random.Generator, t: np.ndarray, rate: float, shortest_s: float, longest_s: float) -> list[slice]:
    """Random stretches of frames, `rate` of them in five seconds."""
    whole_s = t[-1] - t[0] + longest_s
    starts_s = t[0] - longest_s + whole_s * rng.random(rng.poisson(rate * whole_s / 5))
    stretches = []
    for start_s in starts_s:
        first, last = np.searchsorted(t, (start_s, start_s + rng.uniform(shortest_s, longest_s)))
        if first < last:
            stretches.append(slice(int(first), int(last)))
    return stretches


def _lock_on(
    rng: np.random.Generator, sensor: Sensor, camera: Camera, seen: np.ndarray, unit: np.ndarray, t: np.ndarray
) -> np.ndarray:
    """Replace `seen` for a while by a caregiver's pose (a large infant's) or by no person's; returns where (T, 1)."""
    stray = np.zeros((t.size, 1), dtype=bool)
    for stretch in _episodes(rng, t, sensor.lock_on, 0.1, 1.5):
        n = stretch.stop - stretch.start
        adult = pose_body(
            np.deg2rad(of_joints(POSTURES["held"].rest) * rng.uniform(0.2, 1.2, 28))[None], sample_bones(rng, 12)
        )
        size = rng.uniform(0.5, 2.5) * 5 * unit  # trunks are 0.2 m here
        place = np.array([rng.uniform(0, 1), rng.uniform(-0.1, 0.9), 0])
        turned = rng.normal(0, 0.5)
        x, y = adult[0, :, 0], -adult[0, :, 1]
        flat = np.stack(
            [x * np.cos(turned) - y * np.sin(turned), x * np.sin(turned) + y * np.cos(turned), -adult[0, :, 2]], 1
        )
        drift = 0.3 * unit * wander(rng, t[stretch], 3, 0.4)
        seen[stretch] = place + flat * size + drift[:, None]
        stray[stretch] = True
        if n > 2 and rng.random() < 0.5:  # a pose of no person jumps
            seen[stretch] += (1.2 * unit * rng.standard_normal((n, 1, 3))) * (1, 1, 0.3)
    return stray


def _swap(rng: np.random.Generator, sensor: Sensor, seen: np.ndarray, t: np.ndarray) -> None:
    """Left and right change places for some frames, in arms, legs or all."""
    mirror = np.array(MIRROR)
    if sensor.swapped:
        seen[:] = seen[:, mirror]
    for stretch in _episodes(rng, t, SWAPS, 0.03, 0.5):
        limbs = list(LIMBS[str(rng.choice(list(LIMBS)))])
        seen[stretch, limbs] = seen[stretch, mirror[limbs]]


def _guess(seen: np.ndarray, fraction: np.ndarray) -> None:
    """Pull legs that lie outside the picture towards hanging straight down the trunk's line; changes `seen`."""
    shoulders, hips = seen[:, 11:13].mean(axis=1), seen[:, 23:25].mean(axis=1)
    down = hips - shoulders
    for place, landmarks in ((0.85, (25, 26)), (1.65, (27, 28)), (1.75, (29, 30)), (1.85, (31, 32))):
        for landmark in landmarks:
            hanging = seen[:, 23 if landmark % 2 else 24] + place * down
            weight = fraction[:, landmark, None]
            seen[:, landmark] = (1 - weight) * seen[:, landmark] + weight * hanging


def _freeze(rng: np.random.Generator, pose: np.ndarray, t: np.ndarray) -> None:
    """The same frame arrives several times; changes `pose`."""
    for stretch in _episodes(rng, t, FREEZES, 0.1, 0.5):
        pose[stretch] = pose[stretch.start]
