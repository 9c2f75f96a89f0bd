"""Write a video with the followed child's skeleton, the probability and the detected events on it."""

import dataclasses
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np

from spasm.core import files
from spasm.core.errors import DataError, shorten
from spasm.data.pose import FPS
from spasm.video import drawing, image_inputs, sandbox

WIDTH = 640  # pixels of the longer side; larger pictures are made smaller, because encoding takes time
EVERY = 2  # poses at FPS between two pictures: 15 a second
STRIP, SPAN_S = 110, 60.0  # pixels of the strip's height, and the most seconds it shows
# The first that the installed OpenCV can write; browsers play VP8, other programs MPEG-4.
FORMATS = (("VP80", ".webm"), ("mp4v", ".mp4"))
GROUND, UNSEEN, CURVE, EVENT, LEVEL, NOW = (
    (30, 30, 30), (110, 110, 110), (120, 190, 255), (190, 90, 40), (230, 120, 120), (255, 255, 255)
)  # fmt: skip
DISCLAIMER = "research software, not a medical device"


@dataclasses.dataclass(frozen=True, eq=False)
class Shown:
    """What is shown on a video."""

    poses: np.ndarray
    """(T, 33, 5) at FPS."""
    curve: np.ndarray
    """(N,) probability over time, NaN where the child was not seen."""
    step_s: float
    """Between two values of the curve."""
    spans: np.ndarray
    """(E, 2) onset and offset of the detected events in s."""
    threshold: float
    """Probability from which an event begins."""
    title: str


def read_poses(recording: Path) -> np.ndarray:
    """The poses (F, 33, 5) of a recording that was extracted before."""
    poses: np.ndarray = np.load(recording, allow_pickle=False)
    return poses


def write(video: Path, heads: Path, folder: Path, shown: Shown) -> Path:
    """Write preview.webm (or .mp4) into a folder, in a process without network access; returns its path.

    heads: the file of heads of the video's extraction. Raises DataError.
    """
    for _, suffix in FORMATS:
        (folder / f"preview{suffix}").unlink(missing_ok=True)
    spawn = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(1, spawn, sandbox.enter_sandbox, (os.getpid(),)) as pool:
            return pool.submit(_write, video, heads, folder, shown).result()
    except DataError:
        raise
    except BrokenProcessPool as error:
        raise DataError(video, "the process that makes its preview was killed", "leave out --preview-video") from error
    except Exception as error:
        raise DataError(video, f"no preview can be made: {shorten(str(error))}", "leave out --preview-video") from error


def _write(video: Path, heads_path: Path, folder: Path, shown: Shown) -> Path:
    import cv2

    heads = drawing.read_heads(heads_path)
    times_s = np.arange(0, len(shown.poses), EVERY) / FPS
    start_s = float(heads.times_s[0])
    writer: Any = None
    before: np.ndarray | None = None
    temporary = target = folder
    try:
        for number, pixels in enumerate(image_inputs.nearest_frames(video, start_s + times_s)):
            time_s = float(times_s[number])
            if pixels is not None:
                before = _frame(pixels, heads, start_s + time_s, shown.poses[number * EVERY])
            if before is None:
                continue
            picture = np.vstack([before, strip(shown, time_s, before.shape[1])])
            if writer is None:
                temporary, target, writer = _open(folder, (picture.shape[1], picture.shape[0]))
            writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    except BaseException:
        if writer is not None:
            writer.release()
            temporary.unlink(missing_ok=True)
        raise
    if writer is None:
        raise DataError(video, "holds no frame that can be decoded", "leave out --preview-video")
    writer.release()
    os.replace(temporary, target)
    return target


def _open(folder: Path, size: tuple[int, int]) -> tuple[Path, Path, Any]:
    """A temporary file, the file that it becomes, and the writer of the first format that OpenCV can write."""
    import cv2

    for code, suffix in FORMATS:
        temporary = files.temporary_in(folder).with_suffix(suffix)
        writer = cv2.VideoWriter(str(temporary), cv2.VideoWriter.fourcc(*code), FPS / EVERY, size)
        if writer.isOpened():
            return temporary, folder / f"preview{suffix}", writer
        temporary.unlink(missing_ok=True)
    raise DataError(folder, "OpenCV can write no video here", "leave out --preview-video")


def _frame(pixels: np.ndarray, heads: drawing.Heads, time_s: float, pose: np.ndarray) -> np.ndarray:
    """A frame with blurred heads and the child's skeleton, small enough and of even sides, as codecs need."""
    import cv2

    pixels = drawing.blur(pixels, heads.at(time_s))
    scale = min(1.0, WIDTH / max(pixels.shape[:2]))
    width, height = (max(2, 2 * round(side * scale / 2)) for side in (pixels.shape[1], pixels.shape[0]))
    pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    drawing.draw_skeleton(pixels, pose, drawing.CHILD)
    return pixels


def strip(shown: Shown, time_s: float, width: int) -> np.ndarray:
    """The probability around a time, (STRIP, width, 3): a minute of it, events, the threshold; grey where not seen."""
    import cv2

    duration_s = len(shown.poses) / FPS
    begin_s = min(max(0.0, time_s - SPAN_S / 2), max(0.0, duration_s - SPAN_S))
    end_s = begin_s + max(min(SPAN_S, duration_s), 1e-6)
    top, bottom = 26, STRIP - 22
    picture = np.full((STRIP, width, 3), GROUND, np.uint8)

    def column(at_s: float) -> int:
        return round(float(np.clip((at_s - begin_s) / (end_s - begin_s), 0, 1)) * (width - 1))

    def row(probability: float) -> int:
        return round(bottom - probability * (bottom - top))

    columns_s = begin_s + np.arange(width) / max(width - 1, 1) * (end_s - begin_s)
    index = np.clip((columns_s / shown.step_s).astype(int), 0, max(len(shown.curve) - 1, 0))
    values = shown.curve[index] if len(shown.curve) else np.full(width, np.nan)
    picture[top:bottom, np.isnan(values)] = UNSEEN
    for onset_s, offset_s in shown.spans:
        if onset_s < end_s and offset_s > begin_s:
            picture[top:bottom, column(onset_s) : column(offset_s) + 1] = EVENT
    for x in range(0, width, 12):
        cv2.line(picture, (x, row(shown.threshold)), (min(x + 5, width - 1), row(shown.threshold)), LEVEL, 1)
    for x in range(1, width):
        if np.isfinite(values[x - 1]) and np.isfinite(values[x]):
            cv2.line(picture, (x - 1, row(values[x - 1])), (x, row(values[x])), CURVE, 1, cv2.LINE_AA)
    now = column(time_s)
    cv2.line(picture, (now, top), (now, bottom), NOW, 1)
    value = values[now]
    seen = f"probability {value:.2f}" if np.isfinite(value) else "not seen: no probability"
    is_event = any(onset_s <= time_s <= offset_s for onset_s, offset_s in shown.spans)
    drawing.write(picture, f"{time_s:.1f} s  {seen}{'  EVENT' if is_event else ''}", (6, 17), 0.45)
    drawing.write(picture, f"{shown.title}  {DISCLAIMER}", (6, STRIP - 7), 0.4)
    return picture
