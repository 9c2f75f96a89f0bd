"""From a video to poses at 30 frames a second: decoding, MediaPipe, which of the people is the infant, even time.

Needs requirements-video.txt. What is opened here never leaves the machine: the caller cuts the network off first.
"""

import bisect
import dataclasses
import importlib.util
import os
import statistics
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np

from spasm import offline
from spasm.errors import DataError, TrainingError
from spasm.landmarks import LANDMARKS, LEFT_HIP, LEFT_SHOULDER, RIGHT_HIP, RIGHT_SHOULDER
from spasm.segments import CHANNELS, FPS, nobody

LONGEST_GAP_S = 0.15  # between two frames across which a landmark is taken to move evenly
SLACK = 1e-3  # of a step at FPS, by which a file's rounded times may come late
LONGEST_PAUSE_S = 60.0  # between two frames; after that the camera's clock is not believed
LONGEST_STEP_BACK_S = 1.0  # of a camera's clock that goes on as before; beyond that it has begun anew
SAME_PERSON = 1.0  # sizes: how far a person's trunk moves between two frames at most
SAME_SIZE = 1.5  # ratio: who comes back is as large as who was lost
STABLE = 0.5  # of the frames of the person seen most: who is seen in fewer is passing by
TRUNK = (LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_HIP, RIGHT_HIP)

Pick = Literal["smallest", "largest", "longest"]


@dataclasses.dataclass(frozen=True, eq=False)
class Video:
    """What a video holds."""

    times_s: np.ndarray
    """(F,) when each frame is shown, rising."""
    people: "list[Person]"
    """The infant first."""
    width: int
    height: int
    promised: int
    """Frames that the file says it has; 0 where it does not say."""


def check_tools(model: Path) -> None:
    """Raises TrainingError or DataError where something is lacking that every video needs."""
    if not all(importlib.util.find_spec(name) for name in ("mediapipe", "cv2")):
        raise TrainingError("MediaPipe is not installed: python -m pip install -r requirements-video.txt")
    offline.check()
    if not model.is_file():
        raise DataError(model, "is not there", "make pose-model builds it; --model names another")
    if not zipfile.is_zipfile(model):
        raise DataError(model, "is no pose model", "make pose-model builds it again")


def read(path: Path, model: Path, most: int, pick: Pick, seen: Callable[[], None]) -> Video:
    """Decode a video and find up to `most` people in it; `seen` is called after each frame.

    Frames are turned as the file says. Raises DataError for a file that is no video.
    """
    times_s: list[float] = []
    detections: list[np.ndarray] = []
    size, promised = (0, 0), 0
    with landmarker(model, most) as find:
        for time_s, picture, in_file in frames(path):
            promised = in_file
            times_s.append(time_s)
            size = picture.shape[1], picture.shape[0]
            detections.append(find(picture, round(time_s * 1000)))
            seen()
    if not times_s:
        raise DataError(path, "holds no frame that can be decoded", "convert it: ffmpeg -i FILE -c:v libx264 NEW.mp4")
    return Video(np.array(times_s), chosen(tracks(detections), pick), *size, promised)


def frames(path: Path) -> Iterator[tuple[float, np.ndarray, int]]:
    """Time in seconds, picture (H, W, 3) uint8 RGB, and how many frames the file promises. Raises DataError.

    Of a camera such as /dev/video0 the time is when the frame was read.
    """
    import cv2

    if not path.exists() or path.is_dir():
        raise DataError(path, "is no file", "name a video")
    capture = cv2.VideoCapture(os.path.abspath(path))  # a colon in a short name would be a protocol
    try:
        if not capture.isOpened():
            raise DataError(path, "is no video that OpenCV can open", "convert it: ffmpeg -i FILE -c:v libx264 NEW.mp4")
        capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # of a camera: the newest frame, not one that waited
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
            # A file without times, with times that go back, or with a clock that jumps or does not begin at 0.
            if not before_s + 1e-4 < time_s < before_s + LONGEST_PAUSE_S:
                time_s = before_s + step_s
                if abs(time_s - clock_s - shift_s) > LONGEST_STEP_BACK_S:
                    shift_s = time_s - clock_s
            yield time_s, cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), promised
            before_s = time_s
    finally:
        capture.release()


class landmarker:
    """MediaPipe's PoseLandmarker for one video: `with landmarker(model, 2) as find`, then find(picture, time_ms)."""

    def __init__(self, model: Path, most: int) -> None:
        self.task, self.image = open_task(model, most, "VIDEO")
        self.before_ms = -1

    def __enter__(self) -> Callable[[np.ndarray, int], np.ndarray]:
        return self.find

    def __exit__(self, *_: object) -> None:
        self.task.close()

    def find(self, picture: np.ndarray, time_ms: int) -> np.ndarray:
        """The people in a picture, (P, 33, 5) float32."""
        self.before_ms = max(time_ms, self.before_ms + 1)  # it wants times that rise
        return people_of(self.task.detect_for_video(self.image(picture), self.before_ms))


def open_task(
    model: Path, most: int, mode: Literal["VIDEO", "IMAGE"], **options: Any
) -> tuple[Any, Callable[..., Any]]:
    """A PoseLandmarker for up to `most` people, and what makes its pictures of arrays."""
    os.environ.setdefault("GLOG_minloglevel", "3")  # before mediapipe is loaded
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import mediapipe
    from mediapipe.tasks.python import BaseOptions, vision

    task = vision.PoseLandmarker.create_from_options(
        vision.PoseLandmarkerOptions(
            base_options=BaseOptions(model_asset_path=os.fspath(model)),
            running_mode=vision.RunningMode[mode],
            num_poses=most,
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


# ---- who is who


@dataclasses.dataclass(eq=False)
class Person:
    """Somebody in a video: the frames in which they were seen, and in each the pose (33, 5) and its size."""

    frames: list[int] = dataclasses.field(default_factory=list)
    poses: list[np.ndarray] = dataclasses.field(default_factory=list)
    sizes: list[float] = dataclasses.field(default_factory=list)

    def seen(self, frame: int, pose: np.ndarray) -> None:
        """In this frame too."""
        self.frames.append(frame)
        self.poses.append(pose)
        self.sizes.append(size(pose))

    def over(self, frames: int) -> np.ndarray:
        """Poses (F, 33, 5) float32 of all frames, NaN where not seen."""
        whole = nobody(frames)
        whole[self.frames] = self.poses
        return whole


class Tracks:
    """People over time from the people of each frame, which come in any order.

    A detection goes on with the person whose trunk was last nearest, if it is near enough; nearest pairs first, so that
    two people who pass each other keep apart. Otherwise it is who was lost last, if they are of one size: a camera
    moves. Otherwise it is somebody new.
    """

    def __init__(self) -> None:
        self.people: list[Person] = []

    def add(self, frame: int, poses: np.ndarray) -> None:
        """The people of the next frame, (P, 33, 5)."""
        people = self.people
        pairs = sorted(
            (float(np.linalg.norm(_middle(pose) - _middle(person.poses[-1]))), number, who)
            for number, pose in enumerate(poses)
            for who, person in enumerate(people)
        )
        left, free = set(range(len(poses))), set(range(len(people)))
        goes_on: dict[int, int] = {}
        for distance, number, who in pairs:
            nearby = SAME_PERSON * max(size(poses[number]), people[who].sizes[-1])
            if number in left and who in free and distance <= nearby:
                goes_on[number] = who
                left.remove(number)
                free.remove(who)
        for number in sorted(left):
            ratios = {who: size(poses[number]) / max(people[who].sizes[-1], 1e-6) for who in free}
            alike = [who for who, ratio in ratios.items() if 1 / SAME_SIZE <= ratio <= SAME_SIZE]
            if alike:
                goes_on[number] = max(alike, key=lambda who: people[who].frames[-1])
                free.remove(goes_on[number])
            else:
                goes_on[number] = len(people)
                people.append(Person())
        for number, who in goes_on.items():
            people[who].seen(frame, poses[number])

    def forget(self, before: int) -> None:
        """Forget frames before this one, and whoever was seen in no other."""
        for person in self.people:
            gone = bisect.bisect_left(person.frames, before)
            for kept in (person.frames, person.poses, person.sizes):
                del kept[:gone]
        self.people = [person for person in self.people if person.frames]


def tracks(detections: Iterable[np.ndarray]) -> list[Person]:
    """People over time from the people of each frame (P, 33, 5), as `Tracks` finds them."""
    found = Tracks()
    for frame, poses in enumerate(detections):
        found.add(frame, poses)
    return found.people


def chosen(people: list[Person], pick: Pick) -> list[Person]:
    """The people with the infant first: the smallest, or as asked, of those who are there for long enough."""
    if not people:
        return []
    most = max(len(person.frames) for person in people)
    order = {
        "smallest": lambda person: statistics.median(person.sizes),
        "largest": lambda person: -statistics.median(person.sizes),
        "longest": lambda person: -len(person.frames),
    }[pick]
    stay = [person for person in people if len(person.frames) >= STABLE * most]
    infant = min(stay, key=order)
    return [infant, *(person for person in people if person is not infant)]


def size(pose: np.ndarray) -> float:
    """How large a person (33, 5) is in the picture: the longer side of the box around all landmarks."""
    return float(np.ptp(pose[:, :2], axis=0).max())


def _middle(pose: np.ndarray) -> np.ndarray:
    return pose[list(TRUNK), :2].mean(axis=0)


# ---- even time


def resampled(times_s: np.ndarray, poses: np.ndarray) -> np.ndarray:
    """Poses (F, 33, 5) at rising times (F,) as (T, 33, 5) at FPS, from the first frame to the last.

    Between two frames in which a landmark was found it moves evenly; across a longer gap than LONGEST_GAP_S, or beside
    a frame in which it was not found, only a frame less than half a step away counts.
    """
    wanted = times_s[0] + np.arange(_steps_until(times_s[-1] - times_s[0])) / FPS
    after = np.clip(np.searchsorted(times_s, wanted - SLACK / FPS), 1, max(1, len(times_s) - 1))
    before = after - 1
    after = np.minimum(after, len(times_s) - 1)
    return _between(wanted, times_s[before], times_s[after], poses[before], poses[after])


class Even:
    """The same, frame by frame as they come."""

    def __init__(self) -> None:
        self.start_s = self.before_s = 0.0
        self.before: np.ndarray | None = None
        self.given = 0

    def add(self, time_s: float, pose: np.ndarray) -> np.ndarray:
        """The poses (T, 33, 5) at FPS up to a frame with this pose (33, 5)."""
        if self.before is None:
            self.start_s, self.before_s, self.before = time_s, time_s, pose
        count = _steps_until(time_s - self.start_s)
        wanted = self.start_s + np.arange(self.given, count) / FPS
        even = _between(wanted, self.before_s, time_s, self.before, pose)
        self.before_s, self.before, self.given = time_s, pose, count
        return even


def _steps_until(duration_s: float) -> int:
    """Steps of 1 / FPS from 0 to a duration, both counted."""
    return int(np.floor(duration_s * FPS + SLACK)) + 1


def _between(
    wanted: np.ndarray, before_s: np.ndarray | float, after_s: np.ndarray | float, before: np.ndarray, after: np.ndarray
) -> np.ndarray:
    """Poses at the times `wanted` (T,) from the frame before and the frame after each."""
    gap = np.maximum(after_s - before_s, 1e-9)
    share = np.clip((wanted - before_s) / gap, 0, 1).astype(np.float32)[:, None, None]
    even = (1 - share) * before + share * after
    even[np.broadcast_to(gap > LONGEST_GAP_S, len(wanted))] = np.nan
    earlier = share < 0.5
    close = np.abs(np.where(earlier[:, 0, 0], before_s, after_s) - wanted) < 0.5 / FPS
    alone = ~np.isfinite(even) & close[:, None, None]
    return np.where(alone, np.where(earlier, before, after), even)
