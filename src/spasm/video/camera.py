"""Live poses from a camera at 30 frames per second, found by a process without network access."""

import contextlib
import logging
import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from spasm.core.errors import DataError, TrainingError, shorten
from spasm.data.pose import FPS, missing_frames
from spasm.video import decode, landmarker, resampling, sandbox, tracking

LOG = logging.getLogger("spasm")
SILENT_S = 15.0  # time without a frame before a warning; models take some seconds to load
REMEMBERED = round(60 * FPS)  # frames used to choose the child among the people
CATCH_UP = 1.25  # factor on the frame rate for a stream that is behind, as at the start


class CameraFrames(NamedTuple):
    """New poses by one processed frame."""

    poses: np.ndarray
    """(F, 33, 5) at FPS, up to this frame."""
    taken_s: float
    """Time of the frame by `time.monotonic`, which is the same in all processes of a machine."""
    skipped: int
    """Frames skipped before it, because another one was processed."""
    processed: int = 1
    """Number of processed frames in this update."""


def run_camera(
    camera: str,
    model: Path,
    max_people: int,
    pick: tracking.Pick,
    at: tuple[float, float] | None,
    is_stopped: Callable[[], bool],
) -> Iterator[CameraFrames]:
    """Yield every processed frame until the stream ends or is stopped. Raises DataError if it is no video.

    camera: its number, its device, a file or, as -, this process's standard input. Frames that arrive while
    another is processed are skipped, so that the output is always current.
    """
    name, source = camera, Path(camera)
    if camera == "-":
        name, source = "standard input", Path(f"/proc/{os.getpid()}/fd/0")
    elif camera.isdecimal():
        name, source = f"camera {camera}", Path(f"/dev/video{camera}")
        if not source.exists():
            raise DataError(name, "is not there", "ls /dev/video* lists the cameras")
    spawn = multiprocessing.get_context("spawn")
    messages = spawn.Queue()
    arguments = (os.getpid(), messages, source, model, max_people, pick, at)
    process = spawn.Process(target=_watch, args=arguments, daemon=True)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # a starting process must not receive Ctrl-C
    process.start()
    signal.signal(signal.SIGINT, before)
    waiting: list[Any] = []
    last_s = time.monotonic()
    try:
        while not is_stopped():
            with contextlib.suppress(queue.Empty):
                waiting.append(messages.get(timeout=0.2))
                while True:
                    waiting.append(messages.get_nowait())
            frames = [one for one in waiting if isinstance(one, CameraFrames)]
            if frames:
                last_s = time.monotonic()
                poses = np.concatenate([one.poses for one in frames])
                yield CameraFrames(poses, frames[-1].taken_s, sum(one.skipped for one in frames), len(frames))
            ended = waiting[len(frames) :]
            waiting.clear()
            if ended and ended[0] is None:
                if source.is_char_device():
                    raise DataError(name, "gives no more frames", "check that it is still connected")
                return
            if ended and isinstance(ended[0], DataError):
                raise DataError(name, ended[0].reason, ended[0].hint)
            if ended:
                raise TrainingError(f"{name}: poses cannot be found: {shorten(str(ended[0]))}") from ended[0]
            if not frames and not process.is_alive():
                raise TrainingError("the process that finds poses was killed")
            if time.monotonic() - last_s > SILENT_S:
                last_s = time.monotonic()
                LOG.warning("warning: %s has given no frame for %g s", name, SILENT_S)
    finally:
        process.terminate()
        process.join()


@contextlib.contextmanager
def catch_stop_signals() -> Iterator[Callable[[], bool]]:
    """Yield a function: whether Ctrl-C or SIGTERM was received. Both only end the loop, and nothing is lost."""
    came: list[int] = []
    before = {number: signal.signal(number, lambda n, _: came.append(n)) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _watch(
    parent: int,
    messages: Any,
    source: Path,
    model: Path,
    max_people: int,
    pick: tracking.Pick,
    at: tuple[float, float] | None,
) -> None:
    """Run in its own process: send every frame, and at the end None or the error."""
    try:
        sandbox.enter_sandbox(parent)
        even, tracks = resampling.OnlineResampler(), None
        with landmarker.PoseLandmarker(model, max_people) as find:
            for number, (time_s, picture, taken_s, skipped) in enumerate(_Newest(source)):
                tracks = tracks or tracking.PersonTracker((picture.shape[1], picture.shape[0]))
                before = len(tracks.people)
                tracks.add(number, find(picture, round(time_s * 1000)))
                tracks.forget(number + 1 - REMEMBERED)
                if len(tracks.people) > before:
                    tracks.people = tracking.joined(tracks.people)
                child = tracking.chosen(tracks.people, pick, at)[:1]
                there = [person.poses[-1] for person in child if person.frames[-1] == number]
                poses = even.add(time_s, there[0] if there else missing_frames(1)[0])
                messages.put(CameraFrames(poses, taken_s, skipped))
        messages.put(None)
    except Exception as error:
        messages.put(error)


class _Newest:
    """The newest frame of a stream: time, picture, when it was taken, and how many before it were skipped.

    A thread keeps reading while a frame is processed. A file is played at its own frame rate.
    """

    def __init__(self, source: Path) -> None:
        self.source, self.changed = source, threading.Condition()
        self.frame: tuple[float, np.ndarray, float, int] | None = None
        self.ended: Exception | bool = False
        threading.Thread(target=self._read, daemon=True).start()

    def __iter__(self) -> Iterator[tuple[float, np.ndarray, float, int]]:
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.frame is not None or self.ended)
                frame, self.frame = self.frame, None
            if frame is not None:
                yield frame
            elif isinstance(self.ended, Exception):
                raise self.ended
            else:
                return

    def _read(self) -> None:
        ended: Exception | bool = True
        try:
            pace = 1.0 if self.source.is_file() else CATCH_UP
            due_s = before_s = 0.0
            for time_s, picture, _ in decode.frames(self.source):
                if not self.source.is_char_device():  # a camera has its own frame rate
                    due_s = max(due_s + (time_s - before_s) / pace, time.monotonic())
                    before_s = time_s
                    time.sleep(max(0.0, due_s - time.monotonic()))
                with self.changed:
                    skipped = self.frame[3] + 1 if self.frame is not None else 0
                    self.frame = time_s, picture, time.monotonic(), skipped
                    self.changed.notify()
        except Exception as error:
            ended = error
        with self.changed:
            self.ended = ended
            self.changed.notify()
