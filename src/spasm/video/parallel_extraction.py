"""Read videos side by side: each in its own process without network access, here or in a task of a cluster."""

import contextlib
import dataclasses
import functools
import multiprocessing
import os
import queue
import secrets
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, as_completed, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spasm.cluster import task_process
from spasm.cluster.task_progress import TaskProgress
from spasm.core import files
from spasm.core.errors import DataError, collect_errors, shorten
from spasm.core.processes import cpu_count, isolated_pool
from spasm.video import one_video, sandbox
from spasm.video.one_video import Extraction

if TYPE_CHECKING:
    from spasm.cluster.tasks import Cluster

REPORT_EVERY = 100  # frames between two reports of progress
Work = Callable[[Callable[[], None]], Any]  # is given what to call for each frame
MOST_BYTES = 1 << 30  # that a task sends back; pictures of an hour can take more


def extract_in_processes(
    left: dict[Path, str],
    extraction: Extraction,
    workers: int,
    advance: Callable[[int], Any],
    problems: list[DataError],
) -> None:
    """Extract videos in parallel; errors are added to the problems."""
    works: dict[Path, Work] = {
        video: functools.partial(one_video.extract, video, name, extraction) for video, name in left.items()
    }
    read_videos(works, workers, advance, problems)


def read_videos(
    works: Mapping[Path, Work], workers: int, advance: Callable[[int], Any], problems: list[DataError]
) -> set[Path]:
    """Do the work of each video in a process of its own, so that a crash stops no other; gives those that are done.

    works: importable functions, which call what they are given once for each frame. workers: side by side; 0 means one
    for every two CPU cores. advance: called with numbers of frames. Errors of a video are added to the problems; an
    OSError, such as a full disk, stops all of them.
    """
    workers = min(workers or max(1, cpu_count() // 2), len(works))
    counts = multiprocessing.get_context("spawn").Queue()
    done: set[Path] = set()
    with ThreadPoolExecutor(workers) as pool:
        jobs = {pool.submit(_read_apart, video, work, counts): video for video, work in works.items()}
        waiting = set(jobs)
        try:
            while waiting:
                finished, waiting = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
                with contextlib.suppress(queue.Empty):
                    while True:
                        advance(counts.get_nowait())
                for future in finished:
                    with collect_errors(problems):
                        future.result()
                        done.add(jobs[future])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in multiprocessing.active_children():
                worker.terminate()
            raise
    return done


def _read_apart(video: Path, work: Work, counts: Any) -> None:
    """Do the work of a video in a process of its own. Raises DataError and OSError."""
    try:
        with isolated_pool(1, _begin, os.getpid(), counts) as pool:
            pool.submit(_read, work).result()
    except (DataError, OSError):
        raise
    except BrokenProcessPool as error:
        hint = "run it again with nothing beside it; if it stops again, leave this video out"
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


def _read(work: Work) -> None:
    """Do the work, and report its progress. Raises DataError."""
    count = 0

    def advance() -> None:
        nonlocal count
        count += 1
        if count % REPORT_EVERY == 0:
            _counts.put(REPORT_EVERY)

    work(advance)
    _counts.put(count % REPORT_EVERY)


# ---- on a cluster


def extract_on_cluster(
    left: dict[Path, str],
    extraction: Extraction,
    cluster: "Cluster",
    advance: Callable[[int], Any],
    problems: list[DataError],
) -> None:
    """Extract videos, each in a task; errors are added to the problems.

    A worker that sees the folder to write, on a shared disk, writes there; of others this process writes the files.
    """
    marker = files.temporary_in(extraction.out.absolute())
    marker.write_bytes(secrets.token_bytes(16))
    reads = [path.absolute() for path in (extraction.model, extraction.mask_model) if path is not None]
    lock = threading.Lock()
    try:
        tasks = {}
        for video, name in left.items():
            arguments = Path.cwd(), video, name, extraction, marker
            frames = TaskProgress(advance, lock)
            future = cluster.submit(
                _extract_here, *arguments, reads=[video.absolute(), marker, *reads], on_message=frames.reach
            )
            tasks[future] = name
        for future in as_completed(list(tasks)):
            with collect_errors(problems):
                _write(extraction, tasks.pop(future), future.result())
    finally:
        marker.unlink(missing_ok=True)


def _write(extraction: Extraction, name: str, made: dict[str, bytes] | None) -> None:
    """Write the files of a video that a task has sent, its manifest last; None: it has written them itself."""
    if made is None:
        return
    one_video.remove_all(extraction.out, name)
    for path, content in made.items():
        files.write_bytes(extraction.out / path, content)


def _extract_here(
    folder: Path, video: Path, name: str, extraction: Extraction, marker: Path
) -> dict[str, bytes] | None:
    """In a task: extract a video, as in a process of the command's machine.

    folder: in which the command's paths are valid. marker: a file in the folder to write. Gives the content of the
    files by their paths in that folder, the manifest last; None if they were written there. Raises DataError.
    """
    with contextlib.suppress(OSError):
        os.chdir(folder)

    def place_of(path: Path) -> Path:
        whole = folder / path
        place = task_process.place_of(whole)
        return path if place == whole else place

    is_shared = task_process.place_of(marker) == marker
    out = extraction.out if is_shared else task_process.scratch_folder() / name
    mask = str(place_of(extraction.mask_model)) if extraction.mask_model else extraction.mask
    here = dataclasses.replace(extraction, out=out, model=place_of(extraction.model), mask=mask)
    place, frames = place_of(video), 0

    def advance(count: int) -> None:
        nonlocal frames
        frames += count
        task_process.notify(frames)

    problems: list[DataError] = []
    extract_in_processes({place: name}, here, 1, advance, problems)
    for problem in problems:
        path = video if problem.path == place else problem.path
        raise DataError(path, problem.reason, problem.hint, problem.example)
    made = None if is_shared else _made(video, out)
    if place != video:
        place.unlink(missing_ok=True)  # a copy, which no other task reads
    return made


def _made(video: Path, out: Path) -> dict[str, bytes]:
    """The files of a video by their paths in its folder, its manifest last."""
    paths = [path for path in sorted(out.rglob("*")) if path.is_file()]
    size = sum(path.stat().st_size for path in paths)
    if size > MOST_BYTES:
        reason = f"has {size / 1e9:.1f} GB of pictures, more than a worker sends back"
        hint = "name an --out on a disk that the workers share, or leave out --cluster for this video"
        raise DataError(video, reason, hint)
    paths.sort(key=lambda path: path.suffix == ".json")
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in paths}
