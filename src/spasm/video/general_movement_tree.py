"""Extract all infants of a tree of general movements side by side, each in its own process without network access."""

import contextlib
import importlib.util
import multiprocessing
import os
import queue
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, NamedTuple

from spasm.core import files, processes
from spasm.core.errors import DataError, TrainingError, collect_errors, shorten
from spasm.data.formats.two_stream import Place, places
from spasm.video import general_movements, landmarker, sandbox
from spasm.video.general_movements import MovementExtraction

REPORT_EVERY = 100  # frames between two reports of progress
LOCK = ".general_movements.lock"


class ExtractedTree(NamedTuple):
    """Result of `extract_tree`."""

    done_before: int
    """Infants whose pictures had been made before."""
    made: list[Place]
    problems: list[DataError]
    """Errors of the infants whose video could not be used."""


def extract_tree(
    data: Path, extraction: MovementExtraction, workers: int, progress: Callable[[], Any]
) -> ExtractedTree:
    """Extract the infants of a tree that are not extracted yet. Raises DataError, TrainingError.

    workers: 0 means one for every two CPU cores. progress: makes a progress bar of frames, as a context manager.
    """
    found = places(data)
    if not found:
        raise DataError(data, "holds no infant", "an infant's video is CLASS/SUBJECT/video.mp4")
    with files.lock(data / LOCK, "the infants of this tree are being extracted", wait_s=1.0):
        left: list[Place] = []
        problems: list[DataError] = []
        for place in found:
            with collect_errors(problems):
                if not (place.folder / general_movements.VIDEO).is_file():
                    hint = "each infant's folder has its video under this name"
                    raise DataError(place.folder / general_movements.VIDEO, "is not there", hint)
                left.append(place)
        if left:
            _check_tools(extraction, left)
        whole = len(left)
        left = [place for place in left if not general_movements.is_whole(place, extraction)]
        done_before = whole - len(left)
        made: list[Place] = []
        if left:
            with progress() as bar:
                _extract_in_processes(left, extraction, workers, bar.update, made, problems)
    return ExtractedTree(done_before, [place for place in left if place in made], problems)


def _check_tools(extraction: MovementExtraction, left: Sequence[Place]) -> None:
    """Raise TrainingError or DataError if what is needed to read the videos is missing."""
    if extraction.mask == "mediapipe" or not all(map(general_movements.has_given_poses, left)):
        landmarker.check_tools(extraction.model)
        return
    if importlib.util.find_spec("cv2") is None:
        raise TrainingError("OpenCV is not installed: python -m pip install -r requirements-video.txt")
    sandbox.check()


def _extract_in_processes(
    left: Sequence[Place],
    extraction: MovementExtraction,
    workers: int,
    advance: Callable[[int], Any],
    made: list[Place],
    problems: list[DataError],
) -> None:
    """Extract infants in parallel; finished ones are added to `made`, errors to the problems."""
    workers = min(workers or max(1, processes.cpu_count() // 2), len(left))
    counts = multiprocessing.get_context("spawn").Queue()
    with ThreadPoolExecutor(workers) as pool:
        jobs = {pool.submit(_extract_apart, place, extraction, counts): place for place in left}
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
                        made.append(jobs[future])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in multiprocessing.active_children():
                worker.terminate()
            raise


def _extract_apart(place: Place, extraction: MovementExtraction, counts: Any) -> None:
    """Extract an infant in its own process, so that a crash stops no other infant. Raises DataError."""
    video = place.folder / general_movements.VIDEO
    try:
        with processes.isolated_pool(1, _begin, os.getpid(), counts) as pool:
            pool.submit(_extract, place, extraction).result()
    except DataError:
        raise
    except BrokenProcessPool as error:
        hint = "run it again with --workers 1; if it stops again, leave this infant out"
        raise DataError(video, "its process was killed, perhaps because memory ran out", hint) from error
    except OSError:
        raise  # such as a full disk, which stops all of them
    except Exception as error:
        hint = "convert it: ffmpeg -i FILE -c:v libx264 NEW.mp4"
        raise DataError(video, f"cannot be extracted: {shorten(str(error))}", hint) from error


# State of a worker process, set by `_begin`: the queue for its progress in frames.
_counts: Any = None


def _begin(parent: int, counts: Any) -> None:
    global _counts
    sandbox.enter_sandbox(parent)
    _counts = counts


def _extract(place: Place, extraction: MovementExtraction) -> None:
    """Extract an infant, and report the progress. Raises DataError."""
    count = 0

    def advance() -> None:
        nonlocal count
        count += 1
        if count % REPORT_EVERY == 0:
            _counts.put(REPORT_EVERY)

    general_movements.extract(place, extraction, advance)
    _counts.put(count % REPORT_EVERY)
