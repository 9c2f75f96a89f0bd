"""The two-stream general-movements network's layout: videos, pictures and optical flow of each infant, by class.

Hashimoto et al. 2022, https://arxiv.org/abs/2207.03344, and its published code. Its files:
{WMs,FMs,PR}/SUBJECT/video.mp4                      what the pictures are made of
{WMs,FMs,PR}/SUBJECT/224x224/NNNNNN.png             frames at 30 per second, from 000000
{WMs,FMs,PR}/SUBJECT/224x224_flow/{X,Y}/NNNNNN.png  flow from five frames before, at every fifth frame from 000005
fold/{train,test}/foldK.csv                         label,sub_path,start_frame
Ours beside them: SUBJECT/poses.npy (frames, 33, 5), and simulated.json in the tree of simulated infants.
"""

import io
import itertools
import os
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spasm.core import files
from spasm.core.errors import DataError, DataProblems, collect_errors, shorten
from spasm.core.files import open_regular
from spasm.core.tables import numbered_rows
from spasm.data.formats.base import check_id, entries
from spasm.data.pictures import UNKNOWN_MASK

CLASSES = ("WMs", "FMs", "PR")  # writhing, fidgety, poor repertoire: labels 0, 1, 2
EXTRACTION = "general_movements.json"  # in an infant's folder, where this program made the pictures
PARTS = ("224x224", "224x224_flow/X", "224x224_flow/Y")
SIDE = 224  # pixels
FLOW_STEP = 5  # frames between flow pictures: 6 per second
NUMBERED = re.compile(r"[0-9]{6}\.png")
MODES = ("1", "L", "LA", "P", "RGB", "RGBA")  # pictures of 8 bits or fewer


class Place(NamedTuple):
    """The folder of one infant."""

    root: Path
    """The folder of the whole tree, which no link may leave."""
    class_name: str
    name: str
    folder: Path

    @property
    def subject(self) -> str:
        """CLASS/SUBJECT, which is unique."""
        return f"{self.class_name}/{self.name}"


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

    @property
    def subject(self) -> str:
        """CLASS/SUBJECT, which is unique."""
        return f"{self.class_name}/{self.name}"


def mask_of(infant: Path) -> str:
    """What cut out an infant in its pictures, see `data.pictures.MASK`, as its extraction noted it."""
    about = infant / EXTRACTION
    noted = files.read_json(about) if about.is_file() else {}
    return str(noted.get("mask", UNKNOWN_MASK)) if noted.get("complete") else UNKNOWN_MASK


class Start(NamedTuple):
    """A chunk of a fold."""

    class_name: str
    name: str
    frame: int


def recognised(data: Path) -> bool:
    return any(os.path.isdir(_tree(data) / name) for name in CLASSES)


def is_simulated(data: Path) -> bool:
    """Whether a tree is of simulated infants: results on it must be marked."""
    return any(path.is_file() for path in marks(data))


def marks(data: Path) -> list[Path]:
    """Where a tree of simulated infants has its mark."""
    return list(dict.fromkeys(folder / "simulated.json" for folder in (data, _tree(data))))


def places(data: Path) -> list[Place]:
    """The infants' folders of a tree, in the order of classes and names. Raises DataProblems, DataError for none."""
    if not recognised(data):
        hint = f"an infant's video is {CLASSES[0]}/SUBJECT/video.mp4, and likewise in {' and '.join(CLASSES[1:])}"
        raise DataError(data, f"holds none of the folders {', '.join(CLASSES)}", hint)
    tree = _tree(data)
    found: list[Place] = []
    problems: list[DataError] = []
    for class_name in CLASSES:
        if not os.path.isdir(tree / class_name):
            continue
        with collect_errors(problems):
            for name in entries(tree / class_name, data):
                place = tree / class_name / name
                with collect_errors(problems):
                    if os.path.isdir(place):
                        found.append(Place(data, class_name, check_id(place, name), place))
    if problems:
        raise DataProblems(problems)
    return found


def read_tree(folder: Path) -> list[Subject]:
    """The subjects of a tree, in the order of classes and names; no picture is opened.

    Raises DataProblems where a class, or a subject's pictures, are missing.
    """
    tree = _tree(folder)
    subjects: list[Subject] = []
    problems: list[DataError] = []
    for class_name in CLASSES:  # a class that is not there is listed, too
        with collect_errors(problems):
            entries(tree / class_name, folder)
    if problems:
        raise DataProblems(problems)
    for place in places(folder):
        with collect_errors(problems):
            parts = [_pictures(place.folder / part, folder) for part in PARTS]
            subjects.append(Subject(folder, place.class_name, place.name, *parts))
    if problems:
        raise DataProblems(problems)
    for class_name in CLASSES:
        if class_name not in {subject.class_name for subject in subjects}:
            problems.append(DataError(tree / class_name, "holds no subject", f"there are {', '.join(CLASSES)}"))
    if problems:
        raise DataProblems(problems)
    return subjects


def fold_tables(data: Path) -> list[tuple[Path, Path]]:
    """The tables of each fold, of its training and of its test chunks; empty where the tree has none.

    Raises DataError where a fold has only one of both.
    """
    for folder in dict.fromkeys((data / "fold", _tree(data) / "fold")):
        pairs = []
        for number in itertools.count(1):
            train, test = (folder / part / f"fold{number}.csv" for part in ("train", "test"))
            if not train.exists() and not test.exists():
                break
            for path in (train, test):
                if not path.exists():
                    raise DataError(path, "is not there", "each fold has a table in train/ and one in test/")
            pairs.append((train, test))
        if pairs:
            return pairs
    return []


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


def starts_of(subject: Subject, length: int, step: int) -> list[int]:
    """The first frames of an infant's chunks, 1, 1 + step, ..., of which all pictures are there."""
    return [start for start in range(1, max(subject.frames) + 1, step) if is_whole(subject, start, length)]


def is_whole(subject: Subject, start: int, length: int) -> bool:
    """Whether all pictures of a chunk are there."""
    flow = flow_frames(start, length)
    return (start + length // 2) in subject.frames and all(
        frame in paths for paths in (subject.flow_x, subject.flow_y) for frame in flow
    )


def flow_frames(start: int, length: int) -> range:
    """The frames of a chunk's flow: start + 4, start + 9, ..."""
    return range(start + FLOW_STEP - 1, start + length // FLOW_STEP * FLOW_STEP, FLOW_STEP)


def files_of(subject: Subject, start: int, length: int) -> list[Path]:
    """The pictures of a chunk: its middle frame, and its flow in X, Y, X, Y, ... Raises DataError for a missing one."""
    paths = [_there(subject, subject.frames, PARTS[0], start + length // 2)]
    for frame in flow_frames(start, length):
        for part, of_part in zip(PARTS[1:], (subject.flow_x, subject.flow_y), strict=True):
            paths.append(_there(subject, of_part, part, frame))
    return paths


def raw_chunk(subject: Subject, start: int, length: int = 30) -> np.ndarray:
    """The pictures of `length` frames, (3 + 2 * (length // 5), 224, 224) uint8: blue, green, red, X, Y, X, Y, ...

    The colours are those of the middle frame. Raises DataError.
    """
    middle, *flow = files_of(subject, start, length)
    colours = _picture(middle, subject.root, "RGB")[..., ::-1].transpose(2, 0, 1)
    return np.concatenate([colours, np.stack([_picture(path, subject.root, "L") for path in flow])])


def chunk(subject: Subject, start: int, length: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """The picture (3, 224, 224) float32 and the flow (2 * (length // 5), 224, 224) float32 of `length` frames.

    The picture is the middle frame, blue, green and red, divided by its largest value. Flow is X, Y, X, Y, ..., at the
    frames start + 4, start + 9, ...: -1 to 1 is 20 pixels either way within five frames. Raises DataError.
    """
    raw = raw_chunk(subject, start, length)
    picture = raw[:3].astype(np.float32) / max(int(raw[:3].max()), 1)
    return picture, (raw[3:] / 127.5 - 1 + 1 / 255).astype(np.float32)


def picture_at(subject: Subject, frame: int) -> np.ndarray:
    """A frame's picture (224, 224, 3) uint8, red, green and blue. Raises DataError."""
    return _picture(_there(subject, subject.frames, PARTS[0], frame), subject.root, "RGB")


def flow_at(subject: Subject, frame: int) -> np.ndarray | None:
    """The flow (224, 224, 2) uint8, x and y, from five frames before; None where there is none. Raises DataError."""
    if frame not in subject.flow_x or frame not in subject.flow_y:
        return None
    return np.stack([_picture(paths[frame], subject.root, "L") for paths in (subject.flow_x, subject.flow_y)], axis=2)


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
