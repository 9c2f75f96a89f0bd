"""Pictures of segments whose poses are there already: simulated, of another tool, or cut from recordings.

DIR/segment_videos.csv says in which video a segment is, and where. Each video is decoded once, however many segments it
holds, in a process without network access; finished segments are not made again.
"""

import contextlib
import dataclasses
import hashlib
import heapq
import math
import multiprocessing
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spasm.core import files
from spasm.core.errors import DataError, DataProblems, collect_errors, shorten
from spasm.core.processes import cpu_count
from spasm.core.tables import numbered_rows
from spasm.data.pictures import MASKS, STEP, Arrays, Kind, check_length, mask_name, pictures_path
from spasm.data.pose import FPS
from spasm.data.recording_videos import COLUMNS, TABLE
from spasm.data.segments import check_header, read_pose
from spasm.video import image_inputs, sandbox

MANIFEST = "segment_pictures.json"
MANY = 16  # videos of a process, which takes a second to start
MOST_PEOPLE = 3  # whose masks are compared with the pose
EARLIEST_S, LATEST_S = -3600.0, 1e7  # of a segment in its video


class Place(NamedTuple):
    """Where a segment's frames are."""

    segment: Path
    video: Path
    start_s: float
    """Second of the video at which the segment's first frame is."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """How pictures are made."""

    data: Path
    kinds: tuple[Kind, ...]
    mask: str
    """"pose", "mediapipe", or the path of an ONNX model; see `image_inputs.open_mask`."""
    model: Path
    """Pose model of MediaPipe's mask."""
    frames: int
    """Frames of a segment (T)."""

    def mask_key(self) -> str:
        """What identifies the mask."""
        name = mask_name(self.mask)
        return f"{name} {files.sha256(self.model)}" if self.mask == "mediapipe" else name


def key_of(place: Place, video_sha256: str, mask_key: str) -> str:
    """What the pictures of a segment depend on."""
    parts = [files.sha256(place.segment), video_sha256, repr(place.start_s), mask_key]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()


class MadePictures(NamedTuple):
    """Result of `make_pictures`."""

    done_before: int
    made: int
    """Segments whose pictures were made now."""
    problems: list[DataError]
    """Errors of videos and poses that could not be read."""


def read_places(data: Path, videos: Path) -> list[Place]:
    """The rows of DIR/segment_videos.csv; videos: folder of the videos that are not named by whole paths.

    Raises DataProblems with everything that is wrong with the table.
    """
    table = data / TABLE
    if not table.is_file():
        hint = f"write one with the columns {', '.join(COLUMNS)}, or extract poses and pictures with extract_pose.py"
        raise DataError(table, "is not there", hint)
    places: list[Place] = []
    problems: list[DataError] = []
    seen: set[str] = set()
    for line, row in numbered_rows(table, COLUMNS, data):
        with collect_errors(problems):
            name = row["segment_name"]
            found = [path for split in ("train", "test") if (path := data / split / name).is_file()]
            if not found or Path(name).name != name:
                raise DataError(table, f"line {line}: {shorten(name)} is in neither train/ nor test/", "correct it")
            if name in seen:
                raise DataError(table, f"line {line}: {shorten(name)} has a row already", "leave one")
            seen.add(name)
            places.append(Place(found[0], videos / row["video"], _seconds(table, line, row["start_s"])))
    if problems:
        raise DataProblems(problems)
    if not places:
        raise DataError(table, "has no row", "write a row for each segment")
    return places


def _seconds(table: Path, line: int, text: str) -> float:
    with contextlib.suppress(ValueError):
        value = float(text)
        if EARLIEST_S <= value <= LATEST_S:
            return value
    raise DataError(table, f"line {line}: start_s {shorten(text)}", "give seconds from the start of the video")


def make_pictures(
    places: Sequence[Place], settings: Settings, workers: int, advance: Callable[[int], object]
) -> MadePictures:
    """Make the pictures of segments, in parallel by video. Raises DataError for a mask model that cannot be read.

    Raises it also for a length of segments that has no whole number of steps.

    workers: 0 means one per CPU core. advance: called with the number of segments that are finished.
    """
    check_length(settings.frames, "a network on pictures")
    with image_inputs.open_mask(settings.mask, settings.model, 1) as mask:  # fails now, not after the work
        if settings.mask not in MASKS:
            mask(np.zeros((480, 640, 3), dtype=np.uint8), np.zeros((33, 5), dtype=np.float32))
    with files.lock(settings.data / f".{MANIFEST}.lock", "pictures are being made of these segments", wait_s=1.0):
        path = settings.data / MANIFEST
        manifest: dict[str, dict[str, str]] = files.read_json(path) if path.exists() else {}
        problems: list[DataError] = []
        digests: dict[Path, str] = {}
        for video in dict.fromkeys(place.video for place in places):
            with collect_errors(problems):
                if not video.is_file():
                    hint = f"correct it in {TABLE}, or name the folder of the videos with --videos"
                    raise DataError(video, "is no file", hint)
                digests[video] = files.sha256(video)
        mask_key = settings.mask_key()
        keys = {place: key_of(place, digests[place.video], mask_key) for place in places if place.video in digests}
        of_video: dict[Path, list[Place]] = {}
        for place, key in keys.items():
            if not all(
                manifest.get(kind, {}).get(place.segment.name) == key and pictures_path(place.segment, kind).is_file()
                for kind in settings.kinds
            ):
                of_video.setdefault(place.video, []).append(place)
        waiting = sum(map(len, of_video.values()))
        done_before = len(keys) - waiting
        advance(len(places) - waiting)
        made = 0
        for finished, errors in _in_processes(list(of_video.values()), settings, workers):
            problems += errors
            for place in finished:
                for kind in settings.kinds:
                    manifest.setdefault(kind, {})[place.segment.name] = keys[place]
            if finished:
                files.write_json(path, manifest)
            made += len(finished)
            advance(len(finished))
    return MadePictures(done_before, made, problems)


Finished = tuple[list[Place], list[DataError]]


def _in_processes(groups: list[list[Place]], settings: Settings, workers: int) -> Iterable[Finished]:
    """Make the pictures of each group, which shares a video, some videos in a process."""
    workers = min(workers or cpu_count(), len(groups)) or 1
    many = max(1, min(MANY, math.ceil(len(groups) / workers)))
    parts = [groups[first : first + many] for first in range(0, len(groups), many)]
    spawn = multiprocessing.get_context("spawn")
    lost: list[list[list[Place]]] = []
    while parts:
        pool = ProcessPoolExecutor(workers, spawn, sandbox.enter_sandbox, (os.getpid(),))
        jobs = {pool.submit(_make_all, part, settings): part for part in parts}
        try:
            for job in as_completed(jobs):
                try:
                    yield job.result()
                except BrokenProcessPool as error:  # all that wait break with it
                    part = jobs[job]
                    if len(part) == 1 and len(jobs) == 1:
                        hint = "its video may be damaged: convert it, ffmpeg -i FILE -c:v libx264 NEW.mp4"
                        reason = "the process that read it was killed, perhaps because memory ran out"
                        yield [], [DataError(part[0][0].video, f"{reason} ({error})", hint)]
                    else:
                        lost.append(part)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in multiprocessing.active_children():
                worker.terminate()
            raise
        pool.shutdown()
        # One by one, so that a video that kills its process is found.
        parts, lost, workers = [[group] for part in lost for group in part], [], 1
        if len(parts) > 1:
            for part in parts[:-1]:
                yield from _in_processes(part, settings, 1)
            parts = parts[-1:]


def _make_all(groups: Sequence[Sequence[Place]], settings: Settings) -> Finished:
    """In a process: make the pictures of the segments of some videos."""
    finished: list[Place] = []
    problems: list[DataError] = []
    with image_inputs.open_mask(settings.mask, settings.model, MOST_PEOPLE) as mask:
        for group in groups:
            with collect_errors(problems):
                _of_video(group, settings, mask, finished, problems)
    return finished, problems


def _of_video(
    group: Sequence[Place],
    settings: Settings,
    mask: image_inputs.Mask,
    finished: list[Place],
    problems: list[DataError],
) -> None:
    """Write the pictures of all segments of a video, and add them to `finished`. Raises DataError.

    A segment that cannot be made is added to the problems, and does not stop the others.
    """
    for kind in settings.kinds:
        (settings.data / kind).mkdir(exist_ok=True)
    open_segments: dict[Path, _Segment] = {}
    readable: list[Place] = []
    for place in group:
        with collect_errors(problems):
            check_header(place.segment, settings.frames, settings.data)
            readable.append(place)
    group = readable
    if not group:
        return
    wanted = list(heapq.merge(*(_times(place, settings.frames) for place in group)))
    of_path, name_of_mask = {place.segment: place for place in group}, mask_name(settings.mask)
    times_s = np.array([time_s for time_s, _ in wanted])
    try:
        for (_, path), picture in zip(wanted, image_inputs.nearest_frames(group[0].video, times_s), strict=True):
            segment = open_segments.get(path)
            if segment is None:
                segment = open_segments[path] = _Segment(of_path[path], settings, mask, name_of_mask)
            if segment.add(picture):
                del open_segments[path]
                with collect_errors(problems):
                    segment.write()
                    finished.append(of_path[path])
    except (DataError, OSError):  # the latter such as a full disk, which stops all of them
        raise
    except Exception as error:  # a damaged video raises nearly anything
        hint = "convert it: ffmpeg -i FILE -c:v libx264 NEW.mp4"
        raise DataError(group[0].video, f"cannot be read: {shorten(str(error))}", hint) from error


def _times(place: Place, frames: int) -> list[tuple[float, Path]]:
    """When the steps of a segment are in its video."""
    return [(place.start_s + frame / FPS, place.segment) for frame in range(0, frames, STEP)]


class _Segment:
    """A segment whose frames are being read."""

    def __init__(self, place: Place, settings: Settings, mask: image_inputs.Mask, name_of_mask: str) -> None:
        self.place, self.name_of_mask = place, name_of_mask
        self.poses = read_pose(place.segment, settings.frames, settings.data)
        masks: Mapping[Kind, image_inputs.Mask | None] = {"vsvig": None, "two_stream": mask}
        self.steps = {kind: image_inputs.PictureSteps(self.poses, masks[kind]) for kind in settings.kinds}
        self.made: dict[Kind, list[Arrays]] = {kind: [] for kind in settings.kinds}
        self.left, self.seen = len(range(0, len(self.poses), STEP)), 0

    def add(self, picture: np.ndarray | None) -> bool:
        """Take the next frame; whether it was the last one."""
        self.left -= 1
        self.seen += picture is not None
        for kind, steps in self.steps.items():
            self.made[kind] += steps.add(picture)
        return self.left == 0

    def write(self) -> None:
        """Write the files. Raises DataError where the video has no frame of the segment."""
        if not self.seen:
            reason = f"has no frame at {self.place.start_s:.1f} s, where {self.place.segment.name} begins"
            raise DataError(self.place.video, reason, f"correct start_s in {TABLE}, or name the video's whole file")
        for kind, steps in self.steps.items():
            self.made[kind] += steps.end()
            whole = {name: np.stack([one[name] for one in self.made[kind]]) for name in self.made[kind][0]}
            content = image_inputs.archive(whole, kind, self.name_of_mask)
            files.write_bytes(pictures_path(self.place.segment, kind), content)
