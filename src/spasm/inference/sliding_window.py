"""What a run answers to a long recording: made window by window, kept in a folder, and read again."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas

from spasm.core import files
from spasm.core.errors import DataError
from spasm.data import recordings
from spasm.data.pose import missing_frames, visible_mask
from spasm.inference import event_detection
from spasm.inference.ensemble_predictor import EnsemblePredictor
from spasm.inference.event_detection import Curve, Windows


class Answers:
    """The answers to a recording's windows, in order, as they come."""

    def __init__(self, predictor: EnsemblePredictor) -> None:
        # A child's windows overlap and are mostly of nothing: what segments of a child say of each other does not hold.
        predictor.choice = dataclasses.replace(predictor.choice, context=None)
        self.predictor, self.length = predictor, predictor.decision["frames"]
        self.curve = Curve(self.length)
        self.steps: list[np.ndarray] = []
        self.probabilities: list[np.ndarray] = []

    def add(self, firsts: np.ndarray, posed: np.ndarray, logits: dict[str, np.ndarray], looked: np.ndarray) -> None:
        """Count windows that begin at `firsts` (N,), with a pose where `posed` (N, T), and what members say of them."""
        probabilities = self.predictor.probability(logits, [""] * len(firsts), np.any(posed, axis=1))
        self.probabilities.append(probabilities)
        for first, chance, weights, seen in zip(firsts, probabilities, looked, posed, strict=True):
            looking = weights if weights.any() else seen.astype(float)
            self.steps.append(self.curve.add(int(first), float(chance), looking))

    def windows(self, whole: int, stride: int) -> Windows:
        """The windows so far, of so many frames; the curve ends where the next window could begin."""
        self.probabilities, self.steps = [np.concatenate(self.probabilities)], [np.concatenate(self.steps)]
        return event_detection.make_windows(whole, self.length, stride, self.probabilities[0], self.steps[0])

    def finish(self, whole: int, stride: int) -> Windows:
        """The windows of the whole recording."""
        self.steps.append(self.curve.finish())
        return self.windows(whole, stride)


def answer(path: Path, whole: int, stride: int, predictor: EnsemblePredictor, passed: Callable[[int], Any]) -> Windows:
    """The windows of a recording of so many frames, each answered as a segment of its own.

    `passed` is told how many frames are done.
    """
    answers = Answers(predictor)
    waiting: list[tuple[np.ndarray, np.ndarray]] = []

    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for firsts, poses in recordings.windows(path, answers.length, stride):
            waiting.append((firsts, np.any(visible_mask(poses), axis=2)))
            yield poses, np.any(waiting[-1][1], axis=1)

    for logits, looked in predictor.member_logits(batches()):
        answers.add(*waiting.pop(0), logits, looked)
        passed(len(looked) * stride)
    return answers.finish(whole, stride)


class OnlineDetector:
    """Windows of poses that come as they are filmed, each answered as soon as it is whole."""

    def __init__(self, predictor: EnsemblePredictor, stride: int) -> None:
        self.answers, self.stride = Answers(predictor), stride
        self.held = missing_frames(0)  # the frames that came last
        self.frames = self.next = 0  # frames that came, and the first frame of the next window

    def add(self, poses: np.ndarray) -> Windows | None:
        """Take the next poses (F, 33, 5); the windows so far, if there are more now."""
        length = self.answers.length
        self.held = np.concatenate([self.held, poses])
        self.frames += len(poses)
        firsts = np.arange(self.next, self.frames - length + 1, self.stride)
        if not len(firsts):
            return None
        self._answer(firsts)
        self.next = int(firsts[-1]) + self.stride
        self.held = self.held[-max(length, self.frames - self.next) :]
        return self.answers.windows(int(firsts[-1]) + length, self.stride)

    def so_far(self) -> Windows | None:
        """The windows that were answered, if there are any; of what came since, nothing is known."""
        if not self.next:
            return None
        return self.answers.finish(self.next - self.stride + self.answers.length, self.stride)

    def finish(self) -> Windows:
        """The windows of all that came, as of a recording: the last one ends with it."""
        last = max(0, self.frames - self.answers.length)
        if last != self.next - self.stride:
            lacking = max(0, self.answers.length - len(self.held))
            self.held = np.concatenate([self.held, missing_frames(lacking)])[-self.answers.length :]
            self._answer(np.array([last]))
        return self.answers.finish(self.frames, self.stride)

    def _answer(self, firsts: np.ndarray) -> None:
        begin = max(0, self.frames - len(self.held))
        poses = np.stack([self.held[first - begin :][: self.answers.length] for first in firsts])
        posed = np.any(visible_mask(poses), axis=2)
        for logits, looked in self.answers.predictor.member_logits([(poses, np.any(posed, axis=1))]):
            self.answers.add(firsts, posed, logits, looked)


def files_of(folder: Path) -> tuple[Path, Path, Path]:
    """Where a recording's windows, its probability over time, and what both rest on are kept."""
    return folder / "windows.csv", folder / "probability_over_time.csv", folder / "manifest.json"


def write(folder: Path, key: dict[str, Any], windows: Windows) -> None:
    """Keep a recording's windows; what they rest on is written last."""
    of_windows, of_curve, rests_on = files_of(folder)
    ends = zip((f"{end_s:.2f}" for end_s in windows.ends_s), windows.probabilities, strict=True)
    files.write_csv(of_windows, ("end_s", "probability"), ends)
    steps = ((f"{step * event_detection.STEP_S:.1f}", f"{value:.6g}") for step, value in enumerate(windows.curve))
    files.write_csv(of_curve, ("time_s", "probability"), steps)
    frames = {"frames": windows.frames, "window_frames": windows.length}
    files.write_json(rests_on, {**key, **frames, "files": [files.sha256(of_windows), files.sha256(of_curve)]})


def read(folder: Path, stride: int, key: dict[str, Any]) -> Windows | None:
    """What `write` kept; None where there is nothing, or what it rests on has changed."""
    *tables, rests_on = files_of(folder)
    if not all(file.is_file() for file in (*tables, rests_on)):
        return None
    with contextlib.suppress(DataError, KeyError):
        kept = files.read_json(rests_on)
        same = {name: kept[name] for name in key} == key
        if same and kept["files"] == [files.sha256(table) for table in tables]:
            values = [pandas.read_csv(table)["probability"].to_numpy() for table in tables]
            return event_detection.make_windows(kept["frames"], kept["window_frames"], stride, *values)
    return None
