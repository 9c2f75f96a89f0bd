"""From videos to poses at 30 frames a second: a recording of each, and segments in the challenge's layout.

MediaPipe looks for people; the infant is the smallest of those who stay (--pick). Only landmarks are written, never a
picture, and the programs that open the video are cut off every network: MediaPipe would report its use to its maker.
Videos that are done are not done again, and a video that cannot be read does not stop the others.

Example: python src/extract_pose.py film.mp4 --out input/videos
then: python submission.py --test input/videos/test, python src/timeline.py input/videos/recordings/child_1_1.npy
"""

import io
import multiprocessing
import os
import queue
import sys
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any

import numpy as np
from joblib import cpu_count
from tqdm import tqdm

import command_line
from spasm import files, offline, process, streams, videos
from spasm.answer import killed_in_words
from spasm.errors import DataError, DataProblems, collected
from spasm.segments import FPS
from spasm.settings import ExtractPose, SettingsError

COLUMNS = ("video", "child", "recording", "seconds", "frames_with_pose", "people", "note")
AT_ONCE = 100  # frames between two reports of progress
FEWEST_FRAMES = 0.98  # of those the file promises; fewer came out of a video that ends early


def main(settings: ExtractPose) -> int:
    if not settings.videos:
        raise SettingsError("name a video: python src/extract_pose.py film.mp4")
    if not settings.model.is_file():
        raise DataError(settings.model, "is not there", "make pose-model builds it; --model names another")
    files.check_writable(settings.out)
    files.remove_stale(settings.out)
    problems: list[DataError] = []
    planned = plan(settings, problems)
    left = {video: name for video, name in planned.items() if name}
    if len(left) < len(planned):
        print(f"{len(planned) - len(left)} videos are extracted already")
    extract_all(settings, left, problems)
    rows, odd = [], []
    for path in sorted((settings.out / "recordings").glob("*.json")):
        kept = files.read_json(path)
        rows.append([kept[column] for column in COLUMNS])
        if kept["video"] in {video.name for video in left} and kept["note"]:
            odd.append(f"{kept['video']}: {kept['note']}")
    files.write_csv(settings.out / "videos.csv", COLUMNS, rows)
    for line in odd:
        print(f"warning: {line}", file=sys.stderr)
    print(f"written: {settings.out / 'videos.csv'}, recordings/ and segments in test/ ({settings.frames} frames each)")
    print(f"next: python submission.py --test {settings.out / 'test'}")
    if problems:
        raise DataProblems(problems)
    return 0


def plan(settings: ExtractPose, problems: list[DataError]) -> dict[Path, str | None]:
    """The name of each video's recording, child_{id}_{n}; None where it is done. Unreadable ones join the problems."""
    kept = {path.stem: files.read_json(path) for path in sorted((settings.out / "recordings").glob("*.json"))}
    names: dict[Path, str | None] = {}
    taken = set(kept)
    for video in dict.fromkeys(settings.videos):
        with collected(problems):
            if not video.is_file():
                raise DataError(video, "is no file", "name a video")
            rests_on = key(settings, video)
            former = next((name for name, one in kept.items() if one["video_sha256"] == rests_on["video_sha256"]), None)
            if former is None:
                child, number = settings.child or 1, 1
                while f"child_{child}_{number}" in taken:
                    child, number = (child, number + 1) if settings.child else (child + 1, 1)
                former = f"child_{child}_{number}"
                taken.add(former)
                names[video] = former
            else:
                same = {field: kept[former].get(field) for field in rests_on} == rests_on
                names[video] = None if same else former
    return names


def key(settings: ExtractPose, video: Path) -> dict[str, Any]:
    """What a video's poses rest on."""
    return {
        "video_sha256": files.sha256(video),
        "model": settings.model.name,
        "model_sha256": files.sha256(settings.model),
        "people_looked_for": settings.people,
        "pick": settings.pick,
        "segment_frames": settings.frames,
    }


def extract_all(settings: ExtractPose, left: dict[Path, str], problems: list[DataError]) -> None:
    """Extract videos side by side; those that cannot be read join the problems."""
    if not left:
        return
    workers = min(settings.workers or max(1, cpu_count() // 2), len(left))
    spawn = multiprocessing.get_context("spawn")
    progress = spawn.Queue()
    with (
        ProcessPoolExecutor(workers, spawn, _begin, (os.getpid(), progress)) as pool,
        # disable=None: a bar only where stderr is a terminal.
        tqdm(desc="extracting", unit="frame", disable=None) as bar,
    ):
        waiting = {pool.submit(extract, settings, video, name) for video, name in left.items()}
        try:
            while waiting:
                finished, waiting = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
                while True:
                    try:
                        bar.update(progress.get_nowait())
                    except queue.Empty:
                        break
                for future in finished:
                    with collected(problems), killed_in_words():
                        future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in multiprocessing.active_children():
                worker.terminate()
            raise


# What a worker's own process holds, from `_begin` on.
_progress: Any = None


def _begin(parent: int, progress: Any) -> None:
    global _progress
    process.follow(parent)
    offline.cut()  # before anything of MediaPipe is loaded
    with open(os.devnull, "w") as nowhere:  # its remarks on itself; what goes wrong comes back as an exception
        os.dup2(nowhere.fileno(), 2)
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

    found = videos.read(video, settings.model, settings.people, settings.pick, seen)
    _progress.put(count % AT_ONCE)
    notes = []
    if count < FEWEST_FRAMES * found.promised:
        notes.append(f"it ends early: {count} of {found.promised} frames could be read")
    poses = videos.resampled(found.times_s, found.people[0]) if found.people else None
    if poses is None:
        notes.append("nobody is seen in it, so that there is nothing to answer")
        poses = np.empty((0, 33, 5), dtype=np.float32)
    posed = np.isfinite(poses[:, :, 0]).any(axis=1)
    for old in (settings.out / "test").glob(f"{name}{5 * '[0-9]'}.npy"):
        old.unlink()
    if len(poses):
        write_array(settings.out / "recordings" / f"{name}.npy", poses)
        for number, first in enumerate(streams.first_frames(len(poses), settings.frames, settings.frames), start=1):
            segment = np.full((settings.frames, *poses.shape[1:]), np.nan, dtype=np.float32)
            part = poses[first : first + settings.frames]
            segment[: len(part)] = part
            write_array(settings.out / "test" / segment_name(name, number), segment)
    import mediapipe

    manifest = {
        **rests_on,
        "video": video.name,
        "child": name.split("_")[1],
        "recording": f"{name}.npy" if len(poses) else "",
        "seconds": round(len(poses) / FPS, 3),
        "frames_with_pose": round(float(posed.mean()), 4) if len(poses) else 0.0,
        "people": len(found.people),
        "note": "; ".join(notes),
        "width": found.width,
        "height": found.height,
        "video_frames": count,
        "mode": "VIDEO",
        "mediapipe": mediapipe.__version__,
    }
    files.write_json(settings.out / "recordings" / f"{name}.json", manifest)


def segment_name(recording: str, number: int) -> str:
    """child_3_2 and 7 to child_3_200007.npy: the challenge's names end in one number."""
    return f"{recording}{number:05}.npy"


def write_array(path: Path, array: np.ndarray) -> None:
    with io.BytesIO() as content:
        np.save(content, array)
        files.write_bytes(path, content.getvalue())


if __name__ == "__main__":
    sys.exit(command_line.run(main, ExtractPose, __doc__, stopped="videos that were finished are kept; run it again"))
