"""What a run answers to a long recording: made window by window, kept in a folder, and read again."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas

from spasm import events, files, streams
from spasm.answer import Answerer
from spasm.errors import DataError
from spasm.events import Curve, Windows
from spasm.segments import found


def answer(path: Path, whole: int, stride: int, answerer: Answerer, passed: Callable[[int], Any]) -> Windows:
    """The windows of a recording of so many frames, each answered as a segment of its own.

    `passed` is told how many frames are done.
    """
    frames = answerer.decision["frames"]
    # A child's windows overlap and are mostly of nothing: what segments of a child say of each other does not hold.
    answerer.choice = dataclasses.replace(answerer.choice, context=None)
    firsts: list[np.ndarray] = []
    posed: list[np.ndarray] = []

    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for first, poses in streams.windows(path, frames, stride):
            firsts.append(first)
            posed.append(found(poses).any(axis=2))
            yield poses, posed[-1].any(axis=1)

    curve, steps, probabilities = Curve(frames), [], []
    for number, (logits, looked) in enumerate(answerer.member_logits(batches())):
        chances = answerer.probability(logits, [""] * len(looked), posed[number].any(axis=1))
        for first, chance, weights, seen in zip(firsts[number], chances, looked, posed[number], strict=True):
            steps.append(curve.add(int(first), float(chance), weights if weights.any() else seen.astype(float)))
        probabilities.append(chances)
        posed[number] = np.empty((0, 0), dtype=bool)  # memory does not grow
        passed(len(looked) * stride)
    steps.append(curve.finish())
    return events.assembled(whole, frames, stride, np.concatenate(probabilities), np.concatenate(steps))


def files_of(folder: Path) -> tuple[Path, Path, Path]:
    """Where a recording's windows, its probability over time, and what both rest on are kept."""
    return folder / "windows.csv", folder / "curve.csv", folder / "answered.json"


def write(folder: Path, key: dict[str, Any], windows: Windows) -> None:
    """Keep a recording's windows; what they rest on is written last."""
    of_windows, of_curve, rests_on = files_of(folder)
    rows = zip((f"{end_s:.2f}" for end_s in windows.ends_s), windows.probabilities, strict=True)
    files.write_csv(of_windows, ("end_s", "probability"), rows)
    rows = ((f"{step * events.STEP_S:.1f}", f"{value:.6g}") for step, value in enumerate(windows.curve))
    files.write_csv(of_curve, ("time_s", "probability"), rows)
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
            return events.assembled(kept["frames"], kept["window_frames"], stride, *values)
    return None
