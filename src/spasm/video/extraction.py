"""Extract recordings of poses and segments from videos, each in its own process without network access.

Finished videos are not extracted again, and an unreadable video does not stop the others.
"""

import contextlib
import dataclasses
import io
import multiprocessing
import os
import queue
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from spasm.core import files
from spasm.core.errors import DataError, DataProblems, collect_errors, shorten
from spasm.core.processes import cpu_count
from spasm.core.windows import window_starts
from spasm.data.pose import FRAMES, missing_frames
from spasm.video import decode, image_inputs, landmarker, resampling, sandbox
from spasm.video.recording_files import free_name, manifest_path, manifests, remove, segments_of, write_recording
from spasm.video.tracking import Pick

KEY = "video_sha256"  # the field of a manifest that only videos have
COLUMNS = ("video", "child", "recording", "seconds", "pose_fraction", "people", "note")
REPORT_EVERY = 100  # frames between two reports of progress
FEWEST_FRAMES = 0.98  # of the number in the file; with fewer the video ends early
Pictures = Literal["none", "vsvig", "two_stream", "both"]


@dataclasses.dataclass(frozen=True)
class Extraction:
    """Settings of the extraction, and the folder to write."""

    out: Path
    """Folder to write: recordings/, test/ and videos.csv."""
    model: Path
    """Pose model."""
    max_people: int = 2
    """Maximum number of people in a frame."""
    pick: Pick = "smallest"
    """How the child is chosen among them."""
    frames: int = FRAMES
    """Frames in a segment (T)."""
    pictures: Pictures = "none"
    """Pictures to write of each segment."""
    mask_model: Path | None = None
    """Model that separates the child from the background for two_stream; by default the pose model."""


class ExtractedVideos(NamedTuple):
    """Result of `extract_videos`."""

    done_before: int
    """Videos that had been extracted before."""
    made: list[dict[str, Any]]
    """The manifest of each video that was extracted now."""
    manifests: dict[str, dict[str, Any]]
    """The manifest of each video in the folder, by the digest of its content."""
    problems: list[DataError]
    """Errors of the videos that could not be extracted."""


def extract_videos(
    videos: Iterable[Path],
    extraction: Extraction,
    child: int | None,
    workers: int,
    progress: Callable[[], Any],
) -> ExtractedVideos:
    """Extract the poses of new videos in parallel. Raises DataError, TrainingError.

    child: number of the child in all videos; by default each video is of another child. workers: 0 means one for every
    two CPU cores. progress: makes a progress bar of frames, as a context manager.
    """
    landmarker.check_tools(extraction.model)
    files.check_writable(extraction.out)
    with files.lock(extraction.out / ".lock", "videos are being extracted into this folder", wait_s=1.0):
        files.remove_stale(extraction.out)
        problems: list[DataError] = []
        planned = _plan(videos, extraction, child, problems)
        left = {video: name for video, name in planned.items() if name}
        if left:
            with progress() as bar:
                _extract_all(left, extraction, workers, bar.update, problems)
        kept = manifests(extraction.out, KEY)
        rows = ([one[column] for column in COLUMNS] for one in kept.values())
        files.write_csv(extraction.out / "videos.csv", COLUMNS, rows)
    return ExtractedVideos(
        done_before=len(planned) - len(left),
        made=[kept[name] for name in left.values() if name in kept],
        manifests={one[KEY]: one for one in kept.values()},
        problems=problems,
    )


def _plan(
    videos: Iterable[Path], extraction: Extraction, child: int | None, problems: list[DataError]
) -> dict[Path, str | None]:
    """The name of each video's recording, child_{id}_{n}; None if it is finished. Adds to the problems."""
    kept = manifests(extraction.out, KEY)
    named = {one[KEY]: name for name, one in kept.items()}
    names: dict[Path, str | None] = {}
    for video in dict.fromkeys(videos):
        with collect_errors(problems):
            if not video.is_file():
                raise DataError(video, "is no file", "name a video")
            if not video.name.isprintable() or video.name[0] in "=+-@":
                raise DataError(video, "has a name that a table cannot hold", "rename it")
            key = _key(video, extraction)
            digest = key[KEY]
            former = named.get(digest)
            if former is None:
                former = named[digest] = free_name(extraction.out, child, set(named.values()))
                names[video] = former
            elif former not in kept:
                names[video] = None  # the same video twice
            elif child and former.split("_")[1] != str(child):
                raise DataError(
                    video, f"was extracted as {former}", f"delete recordings/{former}.json for another child"
                )
            else:
                names[video] = None if _is_whole(extraction.out, former, kept[former], key) else former
                kept = {name: one for name, one in kept.items() if name != former}
    return names


def _is_whole(out: Path, name: str, kept: dict[str, Any], key: dict[str, Any]) -> bool:
    """Whether all files of a video exist and depend on the same key."""
    if key["pictures"] == "none":  # pictures of an earlier command are kept
        key = key | {"pictures": kept["pictures"], "mask_model_sha256": kept["mask_model_sha256"]}
    if {field: kept.get(field) for field in key} != key:
        return False
    recording = out / "recordings" / f"{name}.npy"
    digest = files.sha256(recording) if recording.is_file() else ""
    count = len(segments_of(out, name))
    pictures = {kind: len(segments_of(out, name, kind)) for kind in _kinds(key["pictures"])}
    return kept["recording_sha256"] == digest and kept["segments"] == count and set(pictures.values()) <= {count}


def _kinds(pictures: str) -> tuple[str, ...]:
    """The requested kinds of pictures."""
    return {"none": (), "both": ("vsvig", "two_stream")}.get(pictures, (pictures,))


def _key(video: Path, extraction: Extraction) -> dict[str, Any]:
    """The key that a video's poses depend on."""
    return {
        "video_sha256": files.sha256(video),
        "model": extraction.model.name,
        "model_sha256": files.sha256(extraction.model),
        "max_people": extraction.max_people,
        "pick": extraction.pick,
        "segment_frames": extraction.frames,
        "pictures": extraction.pictures,
        "mask_model_sha256": files.sha256(extraction.mask_model) if extraction.mask_model else "",
    }


# ---- each video in its own process


def _extract_all(
    left: dict[Path, str],
    extraction: Extraction,
    workers: int,
    advance: Callable[[int], Any],
    problems: list[DataError],
) -> None:
    """Extract videos in parallel; errors are added to the problems."""
    workers = min(workers or max(1, cpu_count() // 2), len(left))
    counts = multiprocessing.get_context("spawn").Queue()
    with ThreadPoolExecutor(workers) as pool:
        waiting = {pool.submit(_extract_apart, video, name, extraction, counts) for video, name in left.items()}
        try:
            while waiting:
                finished, waiting = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
                with contextlib.suppress(queue.Empty):
                    while True:
                        advance(counts.get_nowait())
                for future in finished:
                    with collect_errors(problems):
                        future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in multiprocessing.active_children():
                worker.terminate()
            raise


def _extract_apart(video: Path, name: str, extraction: Extraction, counts: Any) -> None:
    """Extract a video in its own process, so that a crash stops no other video. Raises DataError."""
    spawn = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(1, spawn, _begin, (os.getpid(), counts)) as pool:
            pool.submit(_extract, video, name, extraction).result()
    except DataError:
        raise
    except BrokenProcessPool as error:
        hint = "try it alone, with --workers 1"
        raise DataError(video, "its process was killed, perhaps because memory ran out", hint) from error
    except Exception as error:
        hint = "convert it: ffmpeg -i FILE -c:v libx264 NEW.mp4"
        raise DataError(video, f"cannot be extracted: {shorten(str(error))}", hint) from error


# State of a worker process, set by `_begin`: the queue for its progress in frames.
_counts: Any = None


def _begin(parent: int, counts: Any) -> None:
    global _counts
    sandbox.enter_sandbox(parent)
    _counts = counts


def _extract(video: Path, name: str, extraction: Extraction) -> None:
    """Write a video's recording, its segments and, last, their manifest. Raises DataError."""
    key = _key(video, extraction)
    count = 0

    def advance() -> None:
        nonlocal count
        count += 1
        if count % REPORT_EVERY == 0:
            _counts.put(REPORT_EVERY)

    if extraction.mask_model:  # test the model before the long part begins
        with image_inputs.open_mask(extraction.mask_model, extraction.model, 1) as mask:
            mask(np.zeros((480, 640, 3), dtype=np.uint8), missing_frames(1)[0])
    content = decode.read(video, extraction.model, extraction.max_people, extraction.pick, advance)
    _counts.put(count % REPORT_EVERY)
    notes = []
    if count < FEWEST_FRAMES * content.promised:
        notes.append(f"it ends early: {count} of {content.promised} frames could be read")
    poses = missing_frames(0)
    if content.people:
        poses = resampling.resampled(content.times_s, content.people[0].over(count))
    else:
        notes.append("no person is visible in it, so there is nothing to predict")
    remove(extraction.out, name, ("test", *_kinds("both")))
    if len(poses):
        firsts = window_starts(len(poses), extraction.frames, extraction.frames)
        for kind in _kinds(extraction.pictures):
            _write_pictures(video, name, kind, extraction, content.times_s[0], poses, firsts)
    import mediapipe

    manifest = {
        **key,
        "video": video.name,
        "child": name.split("_")[1],
        **write_recording(extraction.out, name, poses, extraction.frames),
        "people": len(content.people),
        "note": "; ".join(notes),
        "width": content.width,
        "height": content.height,
        "video_frames": count,
        "mode": "VIDEO",
        "mediapipe": mediapipe.__version__,
    }
    files.write_json(manifest_path(extraction.out, name), manifest)


def _write_pictures(
    video: Path, name: str, kind: str, extraction: Extraction, start_s: float, poses: np.ndarray, firsts: np.ndarray
) -> None:
    """Write the pictures of each segment for a network that reads pictures; the video is decoded again."""
    mask: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()
    if kind == "two_stream":
        mask = image_inputs.open_mask(extraction.mask_model, extraction.model, extraction.max_people)
    save: Callable[..., None] = np.savez_compressed  # its annotation mistakes names for `allow_pickle`
    with mask as masked:
        of_steps = image_inputs.steps(video, start_s, poses, masked)
        for number, segment in enumerate(image_inputs.in_segments(of_steps, firsts, extraction.frames), start=1):
            with io.BytesIO() as content:
                save(content, **segment)
                files.write_bytes(extraction.out / kind / f"{name}{number:05}.npz", content.getvalue())


# ---- videos among recordings


class Recordings(NamedTuple):
    """Recordings, some of them extracted from videos."""

    paths: tuple[Path, ...]
    video_of: dict[str, str]
    """The name of the video by the name of the recording that was extracted from it."""
    manifests: list[dict[str, Any]]
    """The manifest of each video."""


def with_recordings_of_videos(
    paths: Sequence[Path], extraction: Extraction, child: int | None, progress: Callable[[], Any]
) -> Recordings:
    """Paths in which each video is replaced by its extracted recording; see `extract_videos`.

    Raises DataProblems, and DataError for a video without a visible person.
    """
    videos = [path for path in paths if path.suffix != ".npy"]
    if not videos:
        return Recordings(tuple(paths), {}, [])
    extracted = extract_videos(videos, extraction, child, 0, progress)
    if extracted.problems:
        raise DataProblems(extracted.problems)
    manifests = {video: extracted.manifests[files.sha256(video)] for video in videos}
    for video, one in manifests.items():
        if not one["recording"]:
            raise DataError(video, one["note"], "name another video")
    made = {video: extraction.out / "recordings" / one["recording"] for video, one in manifests.items()}
    return Recordings(
        tuple(dict.fromkeys(made.get(path, path) for path in paths)),
        {one["recording"]: video.name for video, one in manifests.items()},
        [{**one, "video": video.name} for video, one in manifests.items()],
    )
