"""From videos to poses at 30 frames a second: a recording of each, and segments in the challenge's layout.

MediaPipe looks for people; the infant is the smallest of those who stay (--pick). Only landmarks are written, never a
picture, and the programs that open the video are cut off every network: MediaPipe would report its use to its maker.
Videos that are done are not done again, and a video that cannot be read does not stop the others.

Example: python src/extract_pose.py film.mp4 --out input/videos
then: python submission.py --test input/videos/test, python src/timeline.py input/videos/recordings/child_1_1.npy
"""

import contextlib
import io
import itertools
import multiprocessing
import os
import queue
import sys
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro
from joblib import cpu_count

from spasm.cli import app
from spasm.cli import progress as progress_module
from spasm.config.fields import SettingsError, settings, within
from spasm.core import files
from spasm.core.errors import DataError, DataProblems, collect_errors, shorten
from spasm.data import recordings
from spasm.data.pose import FPS, missing_frames
from spasm.video import decode, image_inputs, landmarker, resampling, sandbox


@settings
class ExtractPose:
    """Flags of extract_pose.py."""

    videos: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Videos: anything OpenCV reads."""
    out: Path = Path("input/videos")
    """Folder to write; videos that are extracted there are not extracted again."""
    model: Path = Path("input/models/pose_landmarker_full.task")
    """Pose model: lite, full or heavy, as `make pose-model` builds them, or Google's own."""
    child: Annotated[int | None, within(1, 1_000_000_000)] = None
    """Number of the child that all these videos show; otherwise each video is another child."""
    max_people: Annotated[int, within(1, 10)] = 2
    """People looked for in a picture, the infant among them; each costs time."""
    pick: Literal["smallest", "largest", "longest"] = "smallest"
    """Which of the people that stay in the picture is the infant: by size, or whoever is seen longest."""
    frames: Annotated[int, within(16, 100_000)] = 150
    """Frames in a segment (T)."""
    pictures: Literal["none", "vsvig", "two_stream", "both"] = "none"
    """Pictures to write of each segment: patches around joints, as VSViG reads them, or the infant upright and its
    optical flow, as the two-stream network does. Both show the child."""
    mask_model: Path | None = None
    """Model that tells the infant from the background for two_stream, an ONNX file such as U2-Net's; otherwise the pose
    model does."""
    workers: Annotated[int, within(0, 256)] = 0
    """Videos extracted side by side; 0 means one for every two CPU cores."""

    def __post_init__(self) -> None:
        if self.mask_model and self.pictures not in ("two_stream", "both"):
            raise SettingsError("--mask-model is for --pictures two_stream or both")


COLUMNS = ("video", "child", "recording", "seconds", "pose_fraction", "people", "note")
AT_ONCE = 100  # frames between two reports of progress
FEWEST_FRAMES = 0.98  # of those the file promises; fewer came out of a video that ends early


def main(settings: ExtractPose) -> int:
    if not settings.videos:
        raise SettingsError("name a video: python src/extract_pose.py film.mp4")
    landmarker.check_tools(settings.model)
    files.check_writable(settings.out)
    with files.lock(settings.out / ".lock", "videos are being extracted into this folder", wait_s=1.0):
        files.remove_stale(settings.out)
        problems: list[DataError] = []
        planned = plan(settings, problems)
        left = {video: name for video, name in planned.items() if name}
        if len(left) < len(planned):
            print(f"{len(planned) - len(left)} videos are extracted already")
        extract_all(settings, left, problems)
        kept = [files.read_json(path) for path in sorted((settings.out / "recordings").glob("*.json"))]
        files.write_csv(settings.out / "videos.csv", COLUMNS, ([one[column] for column in COLUMNS] for one in kept))
    for one in kept:
        if one["note"] and one["video"] in {video.name for video in left}:
            print(f"warning: {one['video']}: {one['note']}", file=sys.stderr)
    print(f"written: {settings.out / 'videos.csv'}, recordings/ and segments in test/ ({settings.frames} frames each)")
    print(f"next: python submission.py --test {settings.out / 'test'}")
    if problems:
        raise DataProblems(problems)
    return 0


def plan(settings: ExtractPose, problems: list[DataError]) -> dict[Path, str | None]:
    """The name of each video's recording, child_{id}_{n}; None where it is done. Unreadable ones join the problems."""
    kept = {path.stem: files.read_json(path) for path in sorted((settings.out / "recordings").glob("*.json"))}
    named = {one["video_sha256"]: name for name, one in kept.items()}
    names: dict[Path, str | None] = {}
    for video in dict.fromkeys(settings.videos):
        with collect_errors(problems):
            if not video.is_file():
                raise DataError(video, "is no file", "name a video")
            if not video.name.isprintable() or video.name[0] in "=+-@":
                raise DataError(video, "has a name that a table cannot hold", "rename it")
            rests_on = key(settings, video)
            digest = rests_on["video_sha256"]
            former = named.get(digest)
            if former is None:
                former = named[digest] = free_name(settings.child, set(named.values()))
                names[video] = former
            elif former not in kept:
                names[video] = None  # the same film twice
            elif settings.child and former.split("_")[1] != str(settings.child):
                raise DataError(
                    video, f"was extracted as {former}", f"delete recordings/{former}.json for another child"
                )
            else:
                names[video] = None if is_whole(settings.out, former, kept[former], rests_on) else former
                kept = {name: one for name, one in kept.items() if name != former}
    return names


def free_name(child: int | None, taken: set[str]) -> str:
    """The next recording of a child; the first of the next child where none is named."""
    names = (f"child_{child}_{n}" if child else f"child_{n}_1" for n in itertools.count(1))
    return next(name for name in names if name not in taken)


def is_whole(out: Path, name: str, kept: dict[str, Any], rests_on: dict[str, Any]) -> bool:
    """Whether everything that was written of a video is there, and rests on the same."""
    kept = {"pictures": "none", "mask_model_sha256": ""} | kept  # as when there were none
    if rests_on["pictures"] == "none":  # those that were asked for before stay
        rests_on = rests_on | {"pictures": kept["pictures"], "mask_model_sha256": kept["mask_model_sha256"]}
    if {field: kept.get(field) for field in rests_on} != rests_on:
        return False
    recording = out / "recordings" / f"{name}.npy"
    digest = files.sha256(recording) if recording.is_file() else ""
    count = len(segments_of(out, name))
    pictures = {kind: len(segments_of(out, name, kind)) for kind in kinds(rests_on["pictures"])}
    return kept["recording_sha256"] == digest and kept["segments"] == count and set(pictures.values()) <= {count}


def segments_of(out: Path, name: str, kind: str = "test") -> list[Path]:
    """The segments of a recording, child_3_200007.npy of child_3_2: the challenge's names end in one number.

    Or, of a kind of pictures, their files.
    """
    return sorted((out / kind).glob(f"{name}{5 * '[0-9]'}.np[yz]"))


def kinds(pictures: str) -> tuple[str, ...]:
    """The kinds of pictures that --pictures asks for."""
    return {"none": (), "both": ("vsvig", "two_stream")}.get(pictures, (pictures,))


def key(settings: ExtractPose, video: Path) -> dict[str, Any]:
    """What a video's poses rest on."""
    return {
        "video_sha256": files.sha256(video),
        "model": settings.model.name,
        "model_sha256": files.sha256(settings.model),
        "people_looked_for": settings.max_people,
        "pick": settings.pick,
        "segment_frames": settings.frames,
        "pictures": settings.pictures,
        "mask_model_sha256": files.sha256(settings.mask_model) if settings.mask_model else "",
    }


def extract_all(settings: ExtractPose, left: dict[Path, str], problems: list[DataError]) -> None:
    """Extract videos side by side; those that cannot be read join the problems."""
    if not left:
        return
    workers = min(settings.workers or max(1, cpu_count() // 2), len(left))
    progress = multiprocessing.get_context("spawn").Queue()
    with (
        ThreadPoolExecutor(workers) as pool,
        progress_module.progress("extracting", unit="frame") as bar,
    ):
        waiting = {pool.submit(extract_apart, settings, video, name, progress) for video, name in left.items()}
        try:
            while waiting:
                finished, waiting = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
                with contextlib.suppress(queue.Empty):
                    while True:
                        bar.update(progress.get_nowait())
                for future in finished:
                    with collect_errors(problems):
                        future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in multiprocessing.active_children():
                worker.terminate()
            raise


def extract_apart(settings: ExtractPose, video: Path, name: str, progress: Any) -> None:
    """Extract a video in a process of its own, so that whatever happens there stops no other. Raises DataError."""
    spawn = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(1, spawn, _begin, (os.getpid(), progress)) as pool:
            pool.submit(extract, settings, video, name).result()
    except DataError:
        raise
    except BrokenProcessPool as error:
        hint = "try it alone, with --workers 1"
        raise DataError(video, "its process was killed, perhaps because memory ran out", hint) from error
    except Exception as error:
        hint = "convert it: ffmpeg -i FILE -c:v libx264 NEW.mp4"
        raise DataError(video, f"cannot be extracted: {shorten(str(error))}", hint) from error


# What a worker's own process holds, from `_begin` on.
_progress: Any = None


def _begin(parent: int, progress: Any) -> None:
    global _progress
    sandbox.begin(parent)
    _progress = progress


def extract(settings: ExtractPose, video: Path, name: str) -> None:
    """Write a video's recording, its segments and, last, what they rest on. Raises DataError."""
    rests_on = key(settings, video)
    count = 0

    def seen() -> None:
        nonlocal count
        count += 1
        if count % AT_ONCE == 0:
            _progress.put(AT_ONCE)

    if settings.mask_model:  # seen to work before the long part begins
        with image_inputs.opened(settings.mask_model, settings.model, 1) as mask:
            mask(np.zeros((480, 640, 3), dtype=np.uint8), missing_frames(1)[0])
    found = decode.read(video, settings.model, settings.max_people, settings.pick, seen)
    _progress.put(count % AT_ONCE)
    notes = []
    if count < FEWEST_FRAMES * found.promised:
        notes.append(f"it ends early: {count} of {found.promised} frames could be read")
    poses = resampling.resampled(found.times_s, found.people[0].over(count)) if found.people else None
    if poses is None:
        notes.append("nobody is seen in it, so that there is nothing to answer")
        poses = missing_frames(0)
    posed = np.isfinite(poses[:, :, 0]).any(axis=1)
    recording = settings.out / "recordings" / f"{name}.npy"
    # First what vouches for the others, so that a kill in between leaves nothing that seems whole.
    old_segments = (path for kind in ("test", *kinds("both")) for path in segments_of(settings.out, name, kind))
    for old in (recording.with_suffix(".json"), recording, *old_segments):
        old.unlink(missing_ok=True)
    if len(poses):
        firsts = recordings.window_starts(len(poses), settings.frames, settings.frames)
        files.write_bytes(recording, files.npy(poses))
        for kind in kinds(settings.pictures):
            write_pictures(settings, video, name, kind, found.times_s[0], poses, firsts)
        for number, first in enumerate(firsts, start=1):
            segment = missing_frames(settings.frames)
            part = poses[first : first + settings.frames]
            segment[: len(part)] = part
            files.write_bytes(settings.out / "test" / f"{name}{number:05}.npy", files.npy(segment))
    import mediapipe

    manifest = {
        **rests_on,
        "video": video.name,
        "child": name.split("_")[1],
        "recording": recording.name if len(poses) else "",
        "recording_sha256": files.sha256(recording) if len(poses) else "",
        "segments": len(segments_of(settings.out, name)),
        "seconds": round(len(poses) / FPS, 3),
        "pose_fraction": round(float(posed.mean()), 4) if len(poses) else 0.0,
        "people": len(found.people),
        "note": "; ".join(notes),
        "width": found.width,
        "height": found.height,
        "video_frames": count,
        "mode": "VIDEO",
        "mediapipe": mediapipe.__version__,
    }
    files.write_json(recording.with_suffix(".json"), manifest)


def write_pictures(
    settings: ExtractPose, video: Path, name: str, kind: str, start_s: float, poses: np.ndarray, firsts: np.ndarray
) -> None:
    """Write what a network that sees pictures reads of each segment, from the video decoded once more."""
    mask: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()
    if kind == "two_stream":
        mask = image_inputs.opened(settings.mask_model, settings.model, settings.max_people)
    save: Callable[..., None] = np.savez_compressed  # by its own annotation any name might be its `allow_pickle`
    with mask as masked:
        of_steps = image_inputs.steps(video, start_s, poses, masked)
        for number, segment in enumerate(image_inputs.in_segments(of_steps, firsts, settings.frames), start=1):
            with io.BytesIO() as content:
                save(content, **segment)
                files.write_bytes(settings.out / kind / f"{name}{number:05}.npz", content.getvalue())


if __name__ == "__main__":
    sys.exit(app.run(main, ExtractPose, __doc__, stopped="videos that were finished are kept; run it again"))
