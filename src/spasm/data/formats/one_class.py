"""A tree of general movements as segments with labels: one class against the two others.

The tree needs the pictures and poses.npy of each infant, see `two_stream.py`. Each infant becomes a child, whose
segments lie back to back; their pictures are those of every fifth frame, which two_stream_pictures reads.
"""

import functools
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np

from spasm.config.data import MovementClass
from spasm.core.errors import DataError, DataProblems, collect_errors
from spasm.data.annotations import LabelLevel
from spasm.data.formats import two_stream
from spasm.data.formats.base import Child, ForeignDataset
from spasm.data.formats.two_stream import Place, Subject
from spasm.data.landmarks import LANDMARKS
from spasm.data.pictures import STEP, STILL
from spasm.data.pose import FRAMES
from spasm.data.recordings import frames_of, inspect_recording, read_spans

POSES = "poses.npy"
EXTRACT = "python src/extract_general_movements.py --data TREE makes them"


class OneClass:
    """The layout of a tree of which one class has label 1."""

    def __init__(self, positive: MovementClass) -> None:
        self.positive = positive
        self.__name__ = f"{__name__}_{positive}"

    def source_files(self, data: Path) -> list[Path]:
        """The poses and pictures of all infants. Raises DataProblems with everything that is missing."""
        _check_poses(data)
        paths: list[Path] = []
        for place, subject in zip(two_stream.places(data), two_stream.read_tree(data), strict=True):
            paths.append(place.folder / POSES)
            paths += [about for about in (place.folder / two_stream.EXTRACTION,) if about.is_file()]
            paths += [subject.frames[frame] for frame in sorted(subject.frames) if frame % STEP == 0]
            for flow in (subject.flow_x, subject.flow_y):
                paths += [flow[frame] for frame in sorted(flow)]
        return [*paths, *(path for path in two_stream.marks(data) if path.is_file())]

    def read(self, data: Path, frames: int | None) -> ForeignDataset:
        """The infants as children. Raises DataProblems, also for poses and pictures of different lengths."""
        _check_poses(data)
        length = frames or FRAMES
        children: list[Child] = []
        problems: list[DataError] = []
        for place, subject in zip(two_stream.places(data), two_stream.read_tree(data), strict=True):
            with collect_errors(problems):
                children.append(self._child(place, subject, length))
        if problems:
            raise DataProblems(problems)
        notice = (
            f"general movements: {len(children)} infants in segments of {length} frames, label 1 for {self.positive}"
        )
        return ForeignDataset(
            format="general movements",
            frames=length,
            joints=LANDMARKS,
            children=children,
            label_level=LabelLevel.CHILD,
            notice=notice,
            warnings=[],
            simulated=two_stream.is_simulated(data),
        )

    def _child(self, place: Place, subject: Subject, length: int) -> Child:
        path = place.folder / POSES
        inspect_recording(path)
        whole = frames_of(path)
        if whole != len(subject.frames):
            reason = f"has {whole} frames, and 224x224/ has {len(subject.frames)} pictures"
            raise DataError(path, reason, "make them of one video: delete general_movements.json and extract it again")
        if whole < length:
            hint = f"use --frames {whole // STEP * STEP}, or take the infant out of the tree"
            raise DataError(path, f"has {whole} frames, fewer than a segment of {length}", hint)
        spans = [(start, start + length) for start in range(0, whole - length + 1, length)]
        label = int(place.class_name == self.positive)
        segments = [(label, poses) for poses in read_spans(path, spans)]
        pictures: Callable[[int], bytes] | None = None
        if length % STEP == 0:  # otherwise no network reads them
            starts = [start for start, _ in spans]
            pictures = functools.partial(_pictures, subject, starts, length, two_stream.mask_of(place.folder))
        return Child(place.subject.replace("/", " "), segments, {"class": place.class_name}, pictures)


def _pictures(subject: Subject, starts: list[int], length: int, mask: str, number: int) -> bytes:
    """The file of a segment's pictures: those of each step, and the flow from each to the next."""
    frames = range(starts[number], starts[number] + length, STEP)
    flow = []
    for frame in frames:
        following = two_stream.flow_at(subject, frame + STEP)
        still = np.full((two_stream.SIDE, two_stream.SIDE, 2), STILL, dtype=np.uint8)
        flow.append(still if following is None else following)  # the last step of a video
    pictures = np.stack([two_stream.picture_at(subject, frame) for frame in frames])
    with io.BytesIO() as content:
        np.savez_compressed(content, pictures=pictures, flow=np.stack(flow), mask=np.array(mask))
        return content.getvalue()


def _check_poses(data: Path) -> None:
    """Raises DataProblems for infants without poses."""
    paths = [place.folder / POSES for place in two_stream.places(data)]
    problems = [DataError(path, "is not there", EXTRACT) for path in paths if not path.is_file()]
    if problems:
        raise DataProblems(problems, paths)
