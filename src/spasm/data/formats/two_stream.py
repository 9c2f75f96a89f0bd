"""The two-stream general-movements network's layout: pictures and optical flow of each infant, by class.

Hashimoto et al. 2022, https://arxiv.org/abs/2207.03344, and its published code. Its files:
{WMs,FMs,PR}/SUBJECT/224x224/NNNNNN.png             frames at 30 per second, from 000000
{WMs,FMs,PR}/SUBJECT/224x224_flow/{X,Y}/NNNNNN.png  flow from five frames before, at every fifth frame
fold/{train,test}/foldK.csv                         label,sub_path,start_frame
"""

import io
import os
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spasm.core.errors import DataError, DataProblems, collect_errors, shorten
from spasm.core.files import open_regular
from spasm.core.tables import numbered_rows
from spasm.data.formats.base import check_id, entries

CLASSES = ("WMs", "FMs", "PR")  # writhing, fidgety, poor repertoire: labels 0, 1, 2
PARTS = ("224x224", "224x224_flow/X", "224x224_flow/Y")
SIDE = 224  # pixels
FLOW_STEP = 5  # frames between flow pictures: 6 per second
NUMBERED = re.compile(r"[0-9]{6}\.png")
MODES = ("1", "L", "LA", "P", "RGB", "RGBA")  # pictures of 8 bits or fewer


class Subject(NamedTuple):
    """One infant's pictures by frame number."""

    root: Path
    """The folder of the whole tree, which no link may leave."""
    class_name: str
    name: str
    frames: dict[int, Path]
    flow_x: dict[int, Path]
    flow_y: dict[int, Path]

    @property
    def label(self) -> int:
        return CLASSES.index(self.class_name)


class Start(NamedTuple):
    """A chunk of a fold."""

    class_name: str
    name: str
    frame: int


def recognised(data: Path) -> bool:
    return any(os.path.isdir(_tree(data) / name) for name in CLASSES)


def read_tree(folder: Path) -> list[Subject]:
    """The subjects of a tree, in the order of classes and names; no picture is opened.

    Raises DataProblems where a class, or a subject's pictures, are missing.
    """
    tree = _tree(folder)
    subjects: list[Subject] = []
    problems: list[DataError] = []
    for class_name in CLASSES:
        with collect_errors(problems):
            for name in entries(tree / class_name, folder):
                place = tree / class_name / name
                if not os.path.isdir(place):
                    continue
                with collect_errors(problems):
                    parts = [_pictures(place / part, folder) for part in PARTS]
                    subjects.append(Subject(folder, class_name, check_id(place, name), *parts))
    if problems:
        raise DataProblems(problems)
    for class_name in CLASSES:
        if class_name not in {subject.class_name for subject in subjects}:
            problems.append(DataError(tree / class_name, "holds no subject", f"there are {', '.join(CLASSES)}"))
    if problems:
        raise DataProblems(problems)
    return subjects


def read_folds(path: Path, subjects: list[Subject]) -> list[Start]:
    """The chunks of one fold's table. Raises DataProblems, also for a subject that is not in the tree."""
    known = {(subject.class_name, subject.name): subject.label for subject in subjects}
    starts: list[Start] = []
    problems: list[DataError] = []
    for line, row in numbered_rows(path, ("label", "sub_path", "start_frame")):
        subject = tuple(row["sub_path"].replace("\\", "/").rstrip("/").split("/")[-2:])
        frame = row["start_frame"]
        with collect_errors(problems):
            if subject not in known:
                reason = f"line {line}: {shorten(row['sub_path'])} is not in the tree"
                raise DataError(path, reason, "sub_path ends in CLASS/SUBJECT")
            if row["label"] != str(known[subject]):
                reason = f"line {line}: label {shorten(row['label'])} of {'/'.join(subject)}"
                raise DataError(path, reason, f"labels are 0, 1, 2 for {', '.join(CLASSES)}")
            if not (frame.isascii() and frame.isdigit() and len(frame) <= 6):
                raise DataError(path, f"line {line}: start_frame {shorten(frame)}", "frames are whole numbers from 0")
            starts.append(Start(*subject, int(frame)))
    if problems:
        raise DataProblems(problems)
    return starts


def chunk(subject: Subject, start: int, length: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """The picture (3, 224, 224) float32 and the flow (2 * (length // 5), 224, 224) float32 of `length` frames.

    The picture is the middle frame, blue, green and red, divided by its largest value. Flow is X, Y, X, Y, ..., at the
    frames start + 4, start + 9, ...: -1 to 1 is 20 pixels either way within five frames. Raises DataError.
    """
    colours = _picture(_there(subject, subject.frames, PARTS[0], start + length // 2), subject.root, "RGB")
    picture = colours[..., ::-1].transpose(2, 0, 1).astype(np.float32) / max(int(colours.max()), 1)
    flow = []
    for frame in range(start + FLOW_STEP - 1, start + length // FLOW_STEP * FLOW_STEP, FLOW_STEP):
        for part, paths in zip(PARTS[1:], (subject.flow_x, subject.flow_y), strict=True):
            values = _picture(_there(subject, paths, part, frame), subject.root, "L")
            flow.append(values / 127.5 - 1 + 1 / 255)
    return picture, np.array(flow, dtype=np.float32).reshape(-1, SIDE, SIDE)


def _tree(folder: Path) -> Path:
    below = folder / "data"
    return below if any(os.path.isdir(below / name) for name in CLASSES) else folder


def _pictures(folder: Path, root: Path) -> dict[int, Path]:
    found = {int(name[:6]): folder / name for name in entries(folder, root) if NUMBERED.fullmatch(name)}
    if not found:
        raise DataError(folder, "holds no picture", "they are named 000000.png and so on")
    return found


def _there(subject: Subject, paths: dict[int, Path], part: str, frame: int) -> Path:
    if frame not in paths:
        folder = _tree(subject.root) / subject.class_name / subject.name / part
        hint = "flow stands at every fifth frame, so chunks start at 1, 6, 11, ...; the end of a video has none"
        raise DataError(folder / f"{frame:06}.png", "is not there", hint)
    return paths[frame]


def _picture(path: Path, root: Path, mode: str) -> np.ndarray:
    """A picture (224, 224) or (224, 224, 3) uint8."""
    from PIL import Image  # here, because it takes a while to load

    with open_regular(path, root) as (file, _):
        content = file.read()
    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            size, kind = image.size, image.mode  # known before the picture is unpacked
            pixels = np.asarray(image.convert(mode)) if size == (SIDE, SIDE) and kind in MODES else None
    except Exception as error:  # a damaged picture raises OSError, SyntaxError, ValueError, zlib.error, ...
        raise DataError(path, f"is not a readable PNG ({type(error).__name__})", "copy or export it again") from error
    if pixels is None:
        reason = f"has {size[0]} x {size[1]} pixels in mode {kind}"
        raise DataError(path, reason, f"{SIDE} x {SIDE} pixels of 8 bits are read")
    return pixels
