"""Live events from a camera: each window is predicted when it is complete, and events are written at once."""

import contextlib
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from spasm.core.errors import DataError, TrainingError
from spasm.data.pose import FPS, visible_mask
from spasm.inference import event_detection, recording_summary, sliding_window
from spasm.inference.ensemble_predictor import EnsemblePredictor
from spasm.inference.event_detection import Event, Rule, Windows
from spasm.inference.recording_summary import RecordingSummary
from spasm.video.camera import CameraFrames

LATE_S = 3.0  # after the last frame; later predictions give a warning
FEWEST_A_SECOND = 10  # frames that must be processed to follow a movement


class LiveUpdate(NamedTuple):
    """Result of new windows."""

    ends_s: np.ndarray
    """(N,) ends of the new windows."""
    probabilities: np.ndarray
    """(N,) NaN where too little was seen of the window."""
    pose_s: np.ndarray
    """(N,) seconds of each with a pose."""
    is_visible: bool
    """Whether the last second has a pose."""
    time_s: float
    """From the start of the recording to the end of the last window."""
    events: list[Event]
    """Newly detected events."""
    late_s: float
    """Time since the last frame was taken."""
    is_late: bool
    """Whether this update is later than LATE_S and the one before was not."""


class LiveRecording(NamedTuple):
    """Result of a live recording."""

    folder: Path
    windows: Windows
    events: list[Event]
    summary: RecordingSummary
    latencies_s: list[float]
    """Delay of each update after its last frame was taken."""
    processed: int
    """Processed frames."""
    skipped: int
    """Frames skipped while another one was processed."""
    error: Exception | None
    """The error that ended the recording, if any."""

    @property
    def has_too_few_frames(self) -> bool:
        """Whether too few frames were processed to follow a movement."""
        return self.windows.duration_s > 2 and self.processed < FEWEST_A_SECOND * self.windows.duration_s


def watch(
    camera_frames: Iterable[CameraFrames],
    predictor: EnsemblePredictor,
    stride_s: float,
    abstain: float,
    rule: Rule,
    out: Path,
    key: dict[str, Any],
    notify: Callable[[LiveUpdate], Any],
) -> LiveRecording | None:
    """Predict a camera's frames and detect events until no more come; everything is kept in a new folder of `out`.

    abstain: see `sliding_window.WindowPredictions`; key: what the predictions depend on. Returns None without a frame.
    An error during the recording is raised only if there is nothing to keep.
    """
    detector = sliding_window.OnlineDetector(predictor, round(stride_s * FPS), abstain)
    folder: Path | None = None
    error: Exception | None = None
    events: list[Event] = []
    latencies_s: list[float] = []
    processed = skipped = windows_before = 0
    try:
        for frames in camera_frames:
            folder = folder or fresh_folder(out)
            processed, skipped = processed + frames.processed, skipped + frames.skipped
            windows = detector.add(frames.poses)
            if not windows:
                continue
            latencies_s.append(time.monotonic() - frames.taken_s)
            before, events = events, event_detection.detect_events(windows, rule)
            notify(
                LiveUpdate(
                    ends_s=windows.ends_s[windows_before:],
                    probabilities=windows.probabilities[windows_before:],
                    pose_s=windows.pose_s[windows_before:],
                    is_visible=bool(visible_mask(detector.held[-round(FPS) :]).any()),
                    time_s=windows.duration_s,
                    events=events[len(before) :],
                    late_s=latencies_s[-1],
                    is_late=latencies_s[-1] > LATE_S and not any(late_s > LATE_S for late_s in latencies_s[-2:-1]),
                )
            )
            if events != before:
                event_detection.write_events(folder / "events.csv", {folder.name: events}, {folder.name: windows})
            windows_before = len(windows.probabilities)
    except (DataError, TrainingError, OSError) as stopped_by:
        error = stopped_by  # the predictions until then are kept
    windows = None
    if error:
        windows = detector.so_far()
    elif detector.frames:
        windows = detector.finish()
    if not windows or not folder:
        if error:
            raise error
        return None
    events = event_detection.detect_events(windows, rule)
    event_detection.write_events(folder / "events.csv", {folder.name: events}, {folder.name: windows})
    sliding_window.write(folder, key, windows)
    summary = recording_summary.summarize(folder.name, windows, events, rule, abstain)
    recording_summary.write_summaries(folder / "recordings.csv", [summary])
    return LiveRecording(folder, windows, events, summary, latencies_s, processed, skipped, error)


def fresh_folder(out: Path) -> Path:
    """A new folder for a live recording, also if two begin in the same second."""
    name = time.strftime("live_%Y-%m-%d_%H-%M-%S")
    for suffix in ("", *(f"_{number}" for number in range(2, 100))):
        with contextlib.suppress(FileExistsError):
            (out / f"{name}{suffix}").mkdir(parents=True)
            return out / f"{name}{suffix}"
    raise TrainingError(f"{out} holds too many folders of this second")
