"""The noise of real poses, measured for the augmentation of training poses.

For each group of landmarks: second differences from frame to frame, in the picture and in trunk lengths, with their
spread between windows; how much further z goes than x; how much noisier hidden landmarks are; and how a step correlates
with the next one. Then how the noise of the landmarks of a part correlates, and the gaps.

All windows of the training folder count, whatever their label; with
--by-child also those of each child alone, because recordings of few frames per second that were resampled to 30 hold
straight lines between them.

Examples:
  python benchmarks/real_noise.py --data input/babyjokes --by-child
"""

import sys
from pathlib import Path
from typing import Annotated

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from spasm.cli import app
from spasm.config.fields import settings, within
from spasm.data.pose import visible_mask
from spasm.simulation.difficulty import read_windows
from spasm.simulation.pose_noise import GROUPS, PART_OF
from spasm.simulation.realism import SMALLEST_TRUNK, gap_lengths


@settings
class RealNoise:
    """Flags of benchmarks/real_noise.py."""

    data: Path = Path("input/babyjokes")
    """Folder of real windows in the challenge's layout."""
    aspect: Annotated[float, within(0.1, 10)] = 4 / 3
    """Width of the pictures divided by their height."""
    by_child: bool = False
    """Also print each child alone."""


STILL = 1e-6  # smaller second differences are those of a straight line between two frames of the recording
FEWEST = 20  # values in a window
CENTILES = (10, 50, 90)  # between windows
LAGS = (6, 15)  # frames
PARTS = {"head and shoulders": 0, "left arm": 13, "right arm": 14, "hips": 23, "left leg": 25, "right leg": 26}
OUTLIERS = 3.0  # steps beyond so many times the median step are set to that, before correlations


def main(settings: RealNoise) -> int:
    poses, children = read_windows(settings.data)
    parts = {"all": np.ones(len(poses), dtype=bool)}
    if settings.by_child:
        parts |= {
            f"child {child}": children == child
            for child in sorted(set(children.tolist()), key=lambda name: (len(name), name))
        }
    for name, here in parts.items():
        print(f"{name}: {here.sum()} windows")
        print(noise_table(poses[here], settings.aspect))
        print(part_line(poses[here]))
        print(gap_line(poses[here]) + "\n")
    return 0


def noise_table(poses: np.ndarray, aspect: float) -> str:
    """One line a group of landmarks for poses (N, T, 33, 5); centiles are between windows of medians within one."""
    head = (
        f"{'second differences, x 1000':14}  {'of x and y, picture':>20} {'x and y, trunks':>20} {'z, trunks':>20}"
        f" {'z to x':>7} {'hidden':>7} {'lag 1':>6} {'lag 1 z':>8} {'6 and 15 frames':>16}"
    )
    lines = [head]
    for group, landmarks in GROUPS.items():
        rows = [window_noise(pose, list(landmarks), aspect) for pose in poses]
        known = np.array([row for row in rows if row is not None])
        if not len(known):
            lines.append(f"{group:26}  no window has {FEWEST} values")
            continue
        spread = [
            " ".join(f"{1000 * value:6.2f}" for value in np.nanpercentile(known[:, column], CENTILES))
            for column in range(3)
        ]
        middle = [float(np.nanmedian(column)) if np.isfinite(column).any() else np.nan for column in known.T]
        ratio, hidden, lag, lag_z, six, fifteen = middle[3:]
        lines.append(
            f"{group:26}  {spread[0]} {spread[1]} {spread[2]} {ratio:7.1f} {hidden:7.1f} {lag:6.2f} {lag_z:8.2f}"
            f" {six:8.1f} {fifteen:7.1f}"
        )
    return "\n".join(lines)


def window_noise(pose: np.ndarray, landmarks: list[int], aspect: float) -> list[float] | None:
    """The noise of one group in a pose (T, 33, 5); None with too few frames.

    Median absolute second differences of x and y in the picture, of x and y in trunk lengths, of z in trunk lengths; z
    to x; landmarks of visibility below 0.5 to others; correlation of a step with the next, x and y, z; steps over LAGS
    frames to those over one.
    """
    square = pose[..., :3] * (aspect, 1.0, aspect)
    trunk = np.linalg.norm(square[:, 11:13, :2].mean(axis=1) - square[:, 23:25, :2].mean(axis=1), axis=-1)
    if np.isfinite(trunk).sum() < FEWEST:
        return None
    at = square[:, landmarks] / max(float(np.nanmedian(trunk)), SMALLEST_TRUNK)  # (T, L, 3)
    bend, step = np.abs(np.diff(at, n=2, axis=0)), np.diff(at, axis=0)
    moving = bend[..., :2].max(axis=(1, 2)) > STILL  # False for NaN
    if moving.sum() < FEWEST:
        return None
    bend = bend[moving]
    hidden = pose[1:-1, landmarks, 3][moving] < 0.5
    flat = bend[..., :2].mean(axis=-1)
    compared = (
        np.median(flat[hidden]) / np.median(flat[~hidden])
        if hidden.sum() > FEWEST and (~hidden).sum() > FEWEST
        else np.nan
    )
    picture = np.abs(np.diff(pose[:, landmarks, :2], n=2, axis=0))[moving]
    one = np.nanmedian(np.abs(step[..., :2]))
    far = [np.nanmedian(np.abs(at[lag:, :, :2] - at[:-lag, :, :2])) / max(one, STILL) for lag in LAGS]
    step = clipped(step)
    in_time = [correlation(step[1:, :, axis].ravel(), step[:-1, :, axis].ravel()) for axis in range(3)]
    return [
        float(np.median(picture)), float(np.median(bend[..., :2])), float(np.median(bend[..., 2])),
        float(np.median(bend[..., 2]) / max(np.median(bend[..., 0]), STILL)), float(compared),
        float(np.mean(in_time[:2])), in_time[2], *map(float, far),
    ]  # fmt: skip


def part_line(poses: np.ndarray) -> str:
    """Median correlation of second differences of two landmarks of a part, poses (N, T, 33, 5), in x and y and in z.

    Second differences instead of steps, so that a part that moves as one does not count as noise common to it. The two
    hips are opposite in z by definition, and are left out there.
    """
    curves = [clipped(np.diff(pose[..., :3], n=2, axis=0)) for pose in poses if np.isfinite(pose).any()]
    words = []
    for name, first in PARTS.items():
        landmarks = np.flatnonzero(PART_OF[first] == PART_OF)
        rows = [
            [correlation(curve[:, a, axis], curve[:, b, axis]) for axis in range(3)]
            for curve in curves
            for a in landmarks
            for b in landmarks[landmarks < a]
        ]
        x, y, z = (float(np.nanmedian(column)) if np.isfinite(column).any() else np.nan for column in np.array(rows).T)
        words.append(f"{name} {(x + y) / 2:.2f}" + ("" if name == "hips" else f" (z {z:.2f})"))
    return "noise common to a part, correlation in x and y: " + "; ".join(words)


def clipped(steps: np.ndarray) -> np.ndarray:
    """Steps (T, L, 3) of which those beyond OUTLIERS times the median are set to that."""
    limit = OUTLIERS * np.nanmedian(np.abs(steps), axis=0)
    return np.clip(steps, -limit, limit)


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation of two series without their NaN; NaN where one of them does not vary."""
    known = np.isfinite(one) & np.isfinite(other)
    if known.sum() < FEWEST or not (one[known].std() and other[known].std()):
        return np.nan
    return float(np.corrcoef(one[known], other[known])[0, 1])


def gap_line(poses: np.ndarray) -> str:
    """The gaps of poses (N, T, 33, 5), those at the borders included."""
    whole = np.all(visible_mask(poses), axis=-1)
    seen = whole[np.any(whole, axis=1)]
    lengths = gap_lengths(seen)
    spread = " ".join(f"{value:.0f}" for value in np.percentile(lengths, CENTILES)) if lengths.size else "none"
    return (
        f"gaps: {1 - whole.mean():.3f} of frames missing; {1 - len(seen) / len(whole):.3f} of windows wholly; of the"
        f" others {(~seen).any(axis=1).mean():.3f} have a gap, {lengths.size / max((~seen).any(axis=1).sum(), 1):.1f}"
        f" each; frames at centiles {CENTILES}: {spread}"
    )


if __name__ == "__main__":
    sys.exit(app.run(main, RealNoise, __doc__))
