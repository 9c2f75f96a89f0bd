"""Our pose models find what MediaPipe 0.10.21, which brings its own, found in the same pictures.

tests/video/mediapipe_0.10.21_full.npy is what `mp.solutions.pose.Pose(static_image_mode=True, model_complexity=1)` gave
for the pictures below: (24, 33, 4) float32, x, y, z and visibility.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from helpers.repository import ROOT
from helpers.video import cv2

__all__ = ["cv2"]  # the fixture
MODEL = ROOT / "input/models/pose_landmarker_full.task"
SCRIPT = f"""
import os, sys
sys.path.insert(0, "src")
from pathlib import Path
from spasm.video import sandbox
sandbox.block_network()
import numpy as np
from skimage import data
from spasm.video import landmarker
views = [(0, 0, 512, 512), (0, 20, 480, 400), (10, 0, 400, 440), (0, 60, 360, 380), (20, 40, 420, 420),
         (0, 10, 500, 460), (5, 80, 340, 320), (0, 0, 300, 400), (30, 30, 450, 450), (0, 50, 512, 350),
         (15, 15, 380, 480), (0, 90, 420, 330)]
pictures = [data.astronaut()[top : top + high, left : left + wide] for top, left, high, wide in views]
task, image = landmarker.open_task(Path({str(MODEL)!r}), 1, "IMAGE")
found = [landmarker.people_of(task.detect(image(one)))[0] for one in [*pictures, *(one[:, ::-1] for one in pictures)]]
np.save(sys.argv[1], np.array(found))
"""


def test_landmarks_that_are_seen_lie_where_the_former_mediapipe_found_them(cv2, tmp_path):
    if not MODEL.exists():
        pytest.skip("make pose-model builds the models")
    words = [sys.executable, "-c", SCRIPT, str(tmp_path / "found.npy")]
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True)
    former = np.load(Path(__file__).parent / "mediapipe_0.10.21_full.npy")
    found = np.load(tmp_path / "found.npy")
    apart = np.abs(found[..., :2] - former[..., :2]).max(2)
    inside = ((former[..., :2] > 0) & (former[..., :2] < 1)).all(2)
    visible = np.minimum(found[..., 3], former[..., 3])
    assert (inside & (visible > 0.8)).sum() > 300
    assert apart[inside & (visible > 0.8)].max() < 0.01
    assert np.median(apart[inside & (visible > 0.5)]) < 0.001
    assert (apart[inside & (visible > 0.5)] < 0.01).mean() > 0.95, "an arm half hidden is a guess in both"
