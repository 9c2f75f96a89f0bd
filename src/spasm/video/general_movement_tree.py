"""Extract all infants of a tree of general movements side by side, each in its own process without network access."""

import functools
import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from spasm.core import files
from spasm.core.errors import DataError, TrainingError, collect_errors
from spasm.data.formats.two_stream import Place, places
from spasm.video import general_movements, landmarker, sandbox
from spasm.video.general_movements import MovementExtraction
from spasm.video.parallel_extraction import Work, read_videos

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
                if not video_of(place).is_file():
                    hint = "each infant's folder has its video under this name"
                    raise DataError(video_of(place), "is not there", hint)
                left.append(place)
        if left:
            _check_tools(extraction, left)
        whole = len(left)
        left = [place for place in left if not general_movements.is_whole(place, extraction)]
        done_before = whole - len(left)
        done: set[Path] = set()
        works: dict[Path, Work] = {
            video_of(place): functools.partial(general_movements.extract, place, extraction) for place in left
        }
        if works:
            with progress() as bar:
                done = read_videos(works, workers, bar.update, problems)
    return ExtractedTree(done_before, [place for place in left if video_of(place) in done], problems)


def video_of(place: Place) -> Path:
    """The video of an infant."""
    return place.folder / general_movements.VIDEO


def _check_tools(extraction: MovementExtraction, left: Sequence[Place]) -> None:
    """Raise TrainingError or DataError if what is needed to read the videos is missing."""
    if extraction.mask == "mediapipe" or not all(map(general_movements.has_given_poses, left)):
        landmarker.check_tools(extraction.model)
        return
    if importlib.util.find_spec("cv2") is None:
        raise TrainingError("OpenCV is not installed: python -m pip install -r requirements-video.txt")
    sandbox.check()
