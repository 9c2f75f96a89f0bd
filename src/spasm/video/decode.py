"""From a video to poses at 30 frames per second: decoding, MediaPipe, choice of the child, resampling.

Needs requirements-video.txt. Videos never leave the machine: the caller blocks the network first.
"""

import dataclasses
import itertools
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from spasm.core.errors import DataError
from spasm.data.pose import FPS
from spasm.video import second_look
from spasm.video.landmarker import PoseLandmarker
from spasm.video.tracking import Person, Pick, Picture, chosen, tracks

STILL = 3.0  # grey levels of a thumbnail: a picture that changes less is a photograph
LONGEST_PAUSE_S = 60.0  # between two frames; a longer one means a wrong clock
LONGEST_STEP_BACK_S = 1.0  # of a camera's clock; after a larger step the clock has started again


@dataclasses.dataclass(frozen=True, eq=False)
class Video:
    """The poses of a video."""

    times_s: np.ndarray
    """(F,) time of each frame in s, rising."""
    people: "list[Person]"
    """The people, the child first."""
    picture: Picture
    promised: int
    """Frames according to the file; 0 if unknown."""
    is_still: bool
    """Whether the picture never changes."""


def read(
    path: Path,
    model: Path,
    max_people: int,
    pick: Pick,
    at: tuple[float, float] | None,
    advance: Callable[[], None],
) -> Video:
    """Decode a video and find up to `max_people` people in it; `advance` is called after each frame.

    Frames are rotated as the file specifies. Raises DataError for a file that is no video.
    """
    times_s: list[float] = []
    detections: list[np.ndarray] = []
    picture, promised = (0, 0), 0
    first, is_still = np.zeros(0), True
    with PoseLandmarker(model, max_people) as find:
        for time_s, pixels, in_file in frames(path):
            promised = in_file
            times_s.append(time_s)
            picture = pixels.shape[1], pixels.shape[0]
            detections.append(find(pixels, round(time_s * 1000)))
            if is_still:
                small = _thumbnail(pixels)
                first = first if len(first) else small
                is_still = small.shape == first.shape and bool(np.abs(small - first).max() <= STILL)
            advance()
    if not times_s:
        raise DataError(path, "holds no frame that can be decoded", "convert it: ffmpeg -i FILE -c:v libx264 NEW.mp4")
    times = np.array(times_s)
    people = chosen(tracks(detections, picture), pick, at)
    if max_people > 1 and not is_still and second_look.is_needed(people, detections):

        def again() -> Iterator[tuple[float, np.ndarray]]:
            return ((time_s, pixels) for time_s, pixels, _ in itertools.islice(frames(path), len(times_s)))

        detections = second_look.look_again(again, times, detections, picture, model)
        people = chosen(tracks(detections, picture), pick, at)
    return Video(times, people, picture, promised, is_still)


def _thumbnail(pixels: np.ndarray) -> np.ndarray:
    """A picture (H, W, 3) in 64 x 48 grey levels, in which the noise of a camera disappears."""
    import cv2

    return cv2.resize(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), (64, 48), interpolation=cv2.INTER_AREA).astype(float)


def frames(path: Path) -> Iterator[tuple[float, np.ndarray, int]]:
    """Time in seconds, picture (H, W, 3) uint8 RGB, and the number of frames according to the file. Raises DataError.

    For a camera such as /dev/video0 the time is when the frame was read.
    """
    import cv2

    if not path.exists() or path.is_dir():
        raise DataError(path, "is no file", "name a video")
    capture = cv2.VideoCapture(os.path.abspath(path))  # a colon in a short name would be a protocol
    try:
        if not capture.isOpened():
            raise DataError(path, "is no video that OpenCV can open", "convert it: ffmpeg -i FILE -c:v libx264 NEW.mp4")
        capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # for a camera: the newest frame, not a buffered one
        promised = max(0, round(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        fps = capture.get(cv2.CAP_PROP_FPS)
        step_s = 1 / fps if 1 <= fps <= 1000 else 1 / FPS
        before_s, shift_s = -step_s, 0.0
        while True:
            there, picture = capture.read()
            if not there:
                return
            clock_s = time.monotonic() if path.is_char_device() else capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            time_s = clock_s + shift_s
            # The file has no times, times that go back, or a clock that jumps or does not begin at 0.
            if not before_s + 1e-4 < time_s < before_s + LONGEST_PAUSE_S:
                time_s = before_s + step_s
                if abs(time_s - clock_s - shift_s) > LONGEST_STEP_BACK_S:
                    shift_s = time_s - clock_s
            yield time_s, cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), promised
            before_s = time_s
    finally:
        capture.release()
