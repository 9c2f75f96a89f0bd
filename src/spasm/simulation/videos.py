"""Videos of simulated children: one of each segment at its camera's own frame rate, one of each recording.

Drawing uses random generators of its own (appearance.py), so that poses, labels and truth are the same with and without
videos. Needs requirements-video.txt for OpenCV; its wheel has no H.264, so videos are MPEG-4 Part 2 in .mp4.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from spasm.core import files
from spasm.core.errors import DataError, TrainingError
from spasm.data.pose import FPS
from spasm.simulation.appearance import sample_look, sample_take
from spasm.simulation.infant import Scene, Segment, SimulationConfig, camera_setup_of
from spasm.simulation.recordings import RecordedScene

CODEC = "mp4v"
VIDEOS, RECORDING_VIDEOS = "videos", "recording_videos"  # folders: segments and recordings may have the same names
OF_RECORDING = 8  # in the keys of a recording's random generators


def check_opencv() -> None:
    """Raise TrainingError unless OpenCV is installed."""
    try:
        import cv2  # noqa: F401
    except ImportError:
        raise TrainingError(
            "OpenCV, which --videos needs, is not installed: python -m pip install -r requirements-video.txt"
        ) from None


def write_segment_video(
    path: Path, segment: Segment, seed: int, child: int, number: int, world: SimulationConfig
) -> float:
    """Write the video of a child's segment `number`, and return the second of it at which the first pose is."""
    scene, times_s = segment.scene, segment.scene.times_s
    look = sample_look(seed, child, (segment.video,), camera_setup_of(scene.child, world))
    take = sample_take(seed, child, (segment.video, number), float(times_s[-1]))
    with opened_video(path, scene.video.sensor.native_fps) as video:
        from spasm.simulation.rendering import render  # here, because it needs OpenCV

        for image in render(scene, look, take):
            video.add(image)
    return abs(float(times_s[0]))  # the first native frame is never after the first pose


class RecordingVideo:
    """Adds the scenes of a recording to its video, at 30 frames per second; memory does not grow with its length.

    A scene whose camera has another aspect than the first one's is stretched to the first one's pictures, so that the
    poses of the recording stay true fractions of its pictures.
    """

    def __init__(self, video: "VideoFile", seed: int, child: int, number: int, world: SimulationConfig) -> None:
        self.video, self.seed, self.child, self.number, self.world = video, seed, child, number, world
        self.scenes = 0

    def add(self, part: RecordedScene) -> None:
        """Draw the next scene."""
        from spasm.simulation.rendering import render

        scene = part.scene
        look = sample_look(
            self.seed,
            self.child,
            (self.number, part.camera + 1, OF_RECORDING),
            camera_setup_of(scene.child, self.world),
        )
        self.scenes += 1
        take = sample_take(self.seed, self.child, (self.number, self.scenes, OF_RECORDING), len(scene.pose) / FPS)
        for image, count in zip(render(scene, look, take), shown_frames(scene), strict=True):
            for _ in range(count):
                self.video.add(image)


def shown_frames(scene: Scene) -> list[int]:
    """How many frames at 30 per second show each native frame (F,) of a scene: each shows the last before it."""
    shown = np.searchsorted(scene.times_s, np.arange(len(scene.pose)) / FPS + 1e-9, side="right") - 1
    return np.bincount(np.maximum(shown, 0), minlength=len(scene.times_s)).tolist()


class VideoFile:
    """A video that is being written; its size is that of the first picture, to which others are stretched."""

    def __init__(self, path: Path, fps: float) -> None:
        self.path, self.fps, self.frames = path, fps, 0
        self.size = (0, 0)
        self.writer: Any = None

    def add(self, image: np.ndarray) -> None:
        """Append a picture (H, W, 3) uint8, (blue, green, red)."""
        import cv2

        size = (image.shape[1], image.shape[0])
        if self.writer is None:
            self.size = size
            self.writer = cv2.VideoWriter(str(self.path), cv2.VideoWriter.fourcc(*CODEC), self.fps, size)
            if not self.writer.isOpened():
                raise DataError(self.path, "OpenCV can write no MPEG-4 here", "leave out --videos")
        if size != self.size:
            image = cv2.resize(image, self.size, interpolation=cv2.INTER_AREA)
        self.writer.write(image)
        self.frames += 1


@contextlib.contextmanager
def opened_video(path: Path, fps: float) -> Iterator[VideoFile]:
    """A video that replaces `path` when the block ends, if every frame of it can be read again."""
    import cv2

    threads = cv2.getNumThreads()
    temporary = files.temporary_in(path.parent).with_suffix(".mp4")
    video = VideoFile(temporary, fps)
    cv2.setNumThreads(1)  # children are rendered side by side
    try:
        yield video
        if video.writer is not None:
            video.writer.release()
        written = cv2.VideoCapture(str(temporary))
        counted = int(written.get(cv2.CAP_PROP_FRAME_COUNT))
        written.release()
        if counted != video.frames:  # OpenCV reports no error of the disk
            raise DataError(path, f"{counted} of {video.frames} frames were written", "is the disk full?")
        os.replace(temporary, path)
    finally:
        cv2.setNumThreads(threads)
        temporary.unlink(missing_ok=True)
