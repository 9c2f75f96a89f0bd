"""MediaPipe's pose landmarker."""

import importlib.util
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np

from spasm.core.errors import DataError, TrainingError, printable
from spasm.core.nearby import nearest
from spasm.data.landmarks import LANDMARKS
from spasm.data.pose import CHANNELS
from spasm.video import sandbox


def check_tools(model: Path) -> None:
    """Raise TrainingError or DataError if MediaPipe or the pose model is missing."""
    if not all(importlib.util.find_spec(name) for name in ("mediapipe", "cv2")):
        raise TrainingError("MediaPipe is not installed: python -m pip install -r requirements-video.txt")
    sandbox.check()
    if not model.is_file():
        near = nearest(model, model.parent.glob("*.task"))
        meant = f"did you mean {printable(near)}? " if near is not None and near != model else ""
        raise DataError(model, "is not there", f"{meant}make pose-model builds it; --model names another")
    if not zipfile.is_zipfile(model):
        raise DataError(model, "is no pose model", "make pose-model builds it again")


class PoseLandmarker:
    """MediaPipe's landmarker for one video: `with PoseLandmarker(model, 2) as find`, then find(picture, time_ms)."""

    def __init__(self, model: Path, max_people: int) -> None:
        self.task, self.image = open_task(model, max_people, "VIDEO")
        self.before_ms = -1

    def __enter__(self) -> Callable[[np.ndarray, int], np.ndarray]:
        return self.find

    def __exit__(self, *_: object) -> None:
        self.task.close()

    def find(self, picture: np.ndarray, time_ms: int) -> np.ndarray:
        """The people in a picture, (P, 33, 5) float32."""
        self.before_ms = max(time_ms, self.before_ms + 1)  # it needs rising times
        return people_of(self.task.detect_for_video(self.image(picture), self.before_ms))


def open_task(
    model: Path, max_people: int, mode: Literal["VIDEO", "IMAGE"], **options: Any
) -> tuple[Any, Callable[..., Any]]:
    """A PoseLandmarker for up to `max_people` people, and the function that converts arrays to its pictures."""
    os.environ.setdefault("GLOG_minloglevel", "3")  # before mediapipe is loaded
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import mediapipe
    from mediapipe.tasks.python import BaseOptions, vision

    task = vision.PoseLandmarker.create_from_options(
        vision.PoseLandmarkerOptions(
            base_options=BaseOptions(model_asset_path=os.fspath(model)),
            running_mode=vision.RunningMode[mode],
            num_poses=max_people,
            **options,
        )
    )
    srgb = mediapipe.ImageFormat.SRGB
    return task, lambda picture: mediapipe.Image(image_format=srgb, data=np.ascontiguousarray(picture))


def people_of(result: Any) -> np.ndarray:
    """The people of a PoseLandmarker's result, (P, 33, 5) float32."""
    people = [[_channels(landmark) for landmark in person] for person in result.pose_landmarks]
    return np.array(people, dtype=np.float32).reshape(-1, len(LANDMARKS), len(CHANNELS))


def _channels(landmark: Any) -> tuple[float, ...]:
    return landmark.x, landmark.y, landmark.z, landmark.visibility, landmark.presence
