"""Videos, and the pose models that read them."""

import subprocess
import sys

import numpy as np
import pytest

from helpers.repository import ROOT

MODEL = ROOT / "input/models/pose_landmarker_lite.task"


@pytest.fixture(scope="module")
def cv2():
    """OpenCV, where it and MediaPipe can be loaded and a model is there."""
    pytest.importorskip("mediapipe", exc_type=ImportError)
    if not MODEL.exists():
        pytest.skip("make pose-model builds the models")
    return pytest.importorskip("cv2", exc_type=ImportError)


@pytest.fixture(scope="module")
def make_video(cv2, tmp_path_factory):
    """A function that writes a video of a photographed person, panned and zoomed, and returns its path."""
    from skimage import data

    photograph = data.astronaut()[:, :, ::-1]
    folder = tmp_path_factory.mktemp("videos")

    def write(name, fps=30.0, seconds=2.5, size=(640, 480), turned=False, empty=False, still=False):
        path = folder / name
        codec = "VP80" if path.suffix == ".webm" else "mp4v"  # a browser decodes the first alone
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), fps, size[::-1] if turned else size)
        for frame in range(round(fps * seconds)):
            t = 0.0 if still else frame / fps
            zoom = 0.9 + 0.05 * np.sin(2 * t)
            view = np.float32([[zoom, 0, 60 + 20 * np.sin(3 * t)], [0, zoom, 10]])
            picture = cv2.warpAffine(photograph, view, size)
            if empty:
                picture = np.full_like(picture, 90)
            writer.write(cv2.rotate(picture, cv2.ROTATE_90_COUNTERCLOCKWISE) if turned else picture)
        writer.release()
        return path

    return write


def extract(*words, **options):
    command = [sys.executable, "src/extract_pose.py", *map(str, words), "--model", str(MODEL)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, **options)
