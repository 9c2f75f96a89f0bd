"""How far a run's predictions and metrics change when it reads poses in the joints of another tool.

The labelled test segments of the run's data are given as such a tool has them: its joints alone, without depth, one
confidence instead of visibility and presence. Segments without a label are left out.

Example: python benchmarks/pose_files.py --run output/demo --data input/demo
"""

import csv
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

import spasm
from spasm.cli import app
from spasm.config.fields import settings
from spasm.data.pose_files.base import PoseFile
from spasm.data.pose_files.joints import LAYOUTS, TITLES, to_landmarks
from spasm.data.segments import read_pose
from spasm.evaluation.metrics import point_metrics
from spasm.video.pose_units import landmarks_of


@settings
class BenchmarkPoseFiles:
    """Flags of benchmarks/pose_files.py."""

    run: Path = Path("output/demo")
    """Trained run."""
    data: Path = Path("input/demo")
    """Data folder with test/ and truth.csv."""


def as_tool(poses: np.ndarray, layout: str, depth: bool = False) -> np.ndarray:
    """Landmarks (T, 33, 5) as they come back from a file with the joints of a layout, by default without depth."""
    joints = [name for name in LAYOUTS[layout] if name_of(name)]
    places = np.stack([poses[:, to_index(name)] for name in joints], axis=1)[:, None].astype(np.float64)
    places[..., 4] = places[..., 3]
    if not depth:
        places[..., 2] = np.nan
    file = PoseFile(layout, tuple(joints), places, "picture", 0.0)
    if not np.isfinite(places).any():
        return np.full_like(poses, np.nan)
    return landmarks_of(layout, file, None, None, 1).poses[:, 0].astype(np.float32)


def name_of(joint: str) -> bool:
    return len(to_landmarks(np.zeros((1, 1, 1, 5)), [joint])[1]) == 0


def to_index(joint: str) -> int:
    found, _, _ = to_landmarks(np.zeros((1, 1, 1, 5)), [joint])
    return int(np.flatnonzero(np.isfinite(found[0, 0, :, 0]))[0])


def main(settings: BenchmarkPoseFiles) -> int:
    run = spasm.load(settings.run)
    with open(settings.data / "truth.csv", newline="") as table:
        labels = {row["segment_name"]: int(row["label"]) for row in csv.DictReader(table) if row["split"] == "test"}
    names = [name for name in sorted(labels) if (settings.data / "test" / name).is_file()]
    poses = np.stack([read_pose(settings.data / "test" / name, run.frames) for name in names])
    truth = np.array([labels[name] for name in names])
    original = run.predict(poses).probability
    variants = {"33 landmarks as they are": poses}
    for layout in ("mediapipe_33", "coco_wholebody", "body_25", "halpe_26", "coco_18", "coco_17"):
        variants[f"{TITLES[layout]}, without depth"] = np.stack([as_tool(one, layout) for one in poses])
    variants["COCO-17, with depth"] = np.stack([as_tool(one, "coco_17", depth=True) for one in poses])
    print(f"{len(names)} segments, {truth.mean():.0%} positive, run {settings.run}")
    print(f"{'':42}{'F1':>7}{'AUC':>7}   mean and largest change of probability, same label")
    for name, changed in variants.items():
        probability = run.predict(changed).probability
        metrics = point_metrics(truth, probability, probability >= run.decision.threshold)
        moved = np.abs(probability - original)
        same = np.mean((probability >= run.decision.threshold) == (original >= run.decision.threshold))
        print(f"{name:42}{metrics['f1']:7.3f}{metrics['auc']:7.3f}   {moved.mean():.3f} {moved.max():.3f} {same:.0%}")
    return 0


if __name__ == "__main__":
    sys.exit(app.run(main, BenchmarkPoseFiles, __doc__))
