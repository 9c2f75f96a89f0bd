"""Which tool wrote a pose file, from its content, and its poses.

A reader is a module with `recognised(path, head) -> bool`, cheap, from the first 64 KiB (b"" for a folder), and
`read(path, joints) -> PoseFile`, which raises DataError for everything that is wrong.
"""

import dataclasses
import os
import re
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from spasm.core.errors import DataError, printable, shorten
from spasm.core.files import open_regular
from spasm.core.npy import parse_header
from spasm.data.landmarks import LANDMARKS
from spasm.data.pose import CHANNELS
from spasm.data.pose_files import (
    alphapose,
    arrays,
    coco,
    deeplabcut,
    hdf5,
    islr,
    kinetics,
    long_csv,
    mmpose,
    openpose,
    ultralytics,
    wide_csv,
)
from spasm.data.pose_files.base import PoseFile
from spasm.data.pose_files.json_files import outline

HEAD = 64 * 1024  # bytes
# Each reader in this package, and the format as messages call it.
READERS: dict[ModuleType, str] = {
    openpose: "OpenPose JSON",
    alphapose: "AlphaPose JSON",
    mmpose: "mmpose JSON",
    coco: "COCO keypoints JSON",
    deeplabcut: "DeepLabCut CSV",
    wide_csv: "CSV with a row per frame",
    long_csv: "CSV with a row per joint",
    hdf5: "SLEAP HDF5",
    islr: "ISLR parquet",
    kinetics: "kinetics-skeleton JSON",
    arrays: "arrays of MediaPipe, COCO or ST-GCN",
    ultralytics: "Ultralytics text",
}
# The first bytes of files that are no video, and what messages call them.
_MAGIC = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"PAR1", "a parquet table"),
    (b"\x93NUMPY", "a numpy array"),
    (b"PK\x03\x04", "a zip, such as .npz or .xlsx"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x80\x04", "a pickle, which can run any program and is never loaded"),
    (b"\x80\x05", "a pickle, which can run any program and is never loaded"),
    (b"\x80\x03", "a pickle, which can run any program and is never loaded"),
    (b"\x80\x02", "a pickle, which can run any program and is never loaded"),
    (b"MATLAB 5.0", "a MATLAB file"),
    (b"%PDF", "a PDF"),
)
NATIVE = re.compile(r"child_[0-9]+_[0-9]+")  # the names of recordings
JSON = "JSON"
TEXT = "a text file"
A_VIDEO = "extract a video first: python src/extract_pose.py VIDEO"
UTF_16 = "text in UTF-16 (save it as UTF-8)"


@dataclasses.dataclass(frozen=True)
class Source:
    """The poses of one recording: a file, a folder, or several files with a frame each."""

    path: Path
    """The file or folder; the first of several files."""
    name: str
    """What it is called, without the ending of a file."""
    frames: tuple[Path, ...] = ()
    """The files of frames; empty for anything else."""

    @property
    def files(self) -> list[Path]:
        """All its files, in order."""
        if self.frames:
            return list(self.frames)
        if not self.path.is_dir():
            return [self.path]
        return sorted(path for path in self.path.rglob("*") if path.is_file())


def head_of(path: Path) -> bytes:
    """The first bytes of a file; b"" of a folder. Raises DataError."""
    if path.is_dir():
        return b""
    if not path.exists():
        raise DataError(path, "there is no such file", "check the path")
    with open_regular(path) as (file, _):
        return file.read(HEAD)


def readers_of(path: Path) -> list[ModuleType]:
    """The readers that recognise a file or folder. Raises DataError if it cannot be read."""
    head = head_of(path)
    return [reader for reader in READERS if reader.recognised(path, head)]


def read_pose_file(path: Path, joints: str | None) -> PoseFile:
    """The poses in a file or folder of another tool; joints: the layout that the user names.

    Raises DataError, for a file of no known tool with what it looks like and what can be read.
    """
    fitting = readers_of(path)
    if len(fitting) > 1:
        names = " or ".join(READERS[reader] for reader in fitting)
        hint = "name the order of its joints, such as --joints coco_17, or save it in another format"
        if joints is None:
            raise DataError(path, f"may be {names}", hint)
    if not fitting:
        raise not_poses(path)
    found: PoseFile = fitting[0].read(path, joints)
    return found


def not_poses(path: Path) -> DataError:
    """The error for a file of no known tool: what it looks like, what is in it, and what to do with it."""
    looks, head = looks_like(path), head_of(path)
    hint = f"read are: {', '.join(READERS.values())}"
    if not looks:
        return DataError(path, "is no text and no pose file of a known tool", f"{A_VIDEO}; {hint}")
    inside = ""
    if looks == JSON and outline(head).first == "{":
        keys = sorted(outline(head).at(1))
        inside = f" with the keys {_first(keys)}" if keys else ""
        hint = f"the settings of a command belong to --settings; {hint}" if "rule" in keys else hint
    elif looks == TEXT:
        line = head.split(b"\n")[0].decode("utf-8", "replace").strip()
        inside = f" that begins with {shorten(line)}" if line else ""
        if "onset" in line:
            hint = f"a table of true events belongs to --events of timeline.py; {hint}"
        elif "label" in line:
            hint = f"labels belong to a data folder, as train_data.csv: train_folds.py --data FOLDER; {hint}"
    return DataError(path, f"is {looks}{inside}, but no pose file of a known tool", hint)


def _first(names: Sequence[str]) -> str:
    """A few names for a message."""
    return ", ".join(shorten(name) for name in names[:4]) + (", ..." if len(names) > 4 else "")


def read_source(source: Source, joints: str | None) -> PoseFile:
    """The poses of a recording; see `read_pose_file`. Raises DataError."""
    if source.frames and mmpose.is_picture(head_of(source.path)):
        return mmpose.read_pictures(source.path.parent, openpose.numbered(source.frames), joints)
    if source.frames:
        return openpose.read_frames(source.path.parent, source.frames, joints)
    return read_pose_file(source.path, joints)


def looks_like(path: Path) -> str:
    """What a file seems to be, for a message; empty for one that may be a video."""
    head = head_of(path)
    if path.is_dir():
        return "a folder"
    if not head:
        return "an empty file"
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if outline(head).first:
        return JSON
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return UTF_16
    return TEXT if _is_text(head) else ""


def _is_text(head: bytes) -> bool:
    return not any(byte < 9 or 13 < byte < 32 for byte in head)


def may_be_poses(path: Path) -> bool:
    """Whether a file or folder is one for `read_pose_file`, which may refuse it, and no video or native recording."""
    if not path.is_dir() and not path.is_file():  # nothing, or a camera
        return False
    if path.suffix == ".npy":  # a damaged one is refused as a recording
        return array_shape(path) is not None and not is_native(path)
    return bool(looks_like(path))


def is_native(path: Path) -> bool:
    """Whether a file is an array of landmarks as this software writes it, (frames, 33, 5)."""
    return (array_shape(path) or ())[1:] == (len(LANDMARKS), len(CHANNELS))


def array_shape(path: Path) -> tuple[int, ...] | None:
    """The shape of a numpy array; None for any other file, or a damaged one."""
    try:
        with open_regular(path) as (file, size):
            return parse_header(path, file.read(4200), size, "recording", 1 << 60).shape
    except DataError:
        return None


def sources(paths: Sequence[Path]) -> list[Source]:
    """The recordings in files and folders: the frames of one video together, each other pose file by itself.

    A folder that no reader recognises stands for the pose files in it. Raises DataError for one without any.
    """
    found: dict[Path, Source] = {}
    groups: dict[tuple[Path, str], list[Path]] = {}
    for path in paths:
        if not path.exists():
            raise DataError(path, "there is no such file", "check the path")
        if not path.is_dir() or readers_of(path):
            _add(path, found, groups)
        else:
            inside = pose_files_in(path)
            if not inside:
                known = ", ".join(READERS.values())
                reason = "there is no pose file of a known tool in this folder"
                raise DataError(path, reason, f"name videos themselves, not their folder; read are: {known}")
            for one in inside:
                _add(one, found, groups)
    for (folder, video), frames in groups.items():
        in_order = tuple(openpose.in_order(frames))
        folder_name = folder.resolve().name
        alone = [other for other, _ in groups].count(folder) == 1
        name = folder_name if not video or (alone and NATIVE.fullmatch(folder_name)) else video
        found[in_order[0]] = Source(in_order[0], name, in_order)
    return list(found.values())


def _add(path: Path, found: dict[Path, Source], groups: dict[tuple[Path, str], list[Path]]) -> None:
    if path.is_dir() and openpose.recognised(path, b""):
        for frame in openpose.frame_files(path):
            groups.setdefault((path, openpose.video_of(frame)), []).append(frame)
    elif path.is_dir():
        found[path] = Source(path, path.resolve().name)
    elif openpose.NAME.fullmatch(path.name) and _is_frame(path, head_of(path)):
        groups.setdefault((path.parent, openpose.video_of(path)), []).append(path)
    else:
        found[path] = Source(path, path.name.removesuffix(path.suffix))


def _is_frame(path: Path, head: bytes) -> bool:
    """Whether a file holds the people of one frame."""
    return mmpose.is_picture(head) or (outline(head).first == "{" and openpose.recognised(path, head))


def pose_files_in(folder: Path) -> list[Path]:
    """The pose files of known tools in a folder, hidden ones left out, in the order of their names."""
    entries = sorted(entry for entry in os.listdir(folder) if not entry.startswith("."))
    found = []
    for entry in entries:
        try:
            if readers_of(folder / entry):
                found.append(folder / entry)
        except DataError:
            continue
    return found


def describe_poses(folder: Path) -> str:
    """The pose files of other tools in a folder, for a message; empty if there are none."""
    inside = [folder] if readers_of(folder) else pose_files_in(folder)
    inside = [path for path in inside if not is_native(path)]  # which are recordings or segments
    if not inside:
        return ""
    names = sorted({READERS[reader] for path in inside for reader in readers_of(path)[:1]})
    first = printable(inside[0].name)
    return f"{', '.join(names)} ({first}{f' and {len(inside) - 1} more' if len(inside) > 1 else ''})"
