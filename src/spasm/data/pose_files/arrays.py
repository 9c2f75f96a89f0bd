"""Arrays of poses, .npy or one in a .npz: MediaPipe's 33 landmarks, whole-body vectors, COCO joints, ST-GCN's arrays.

(T, 33, c) and (T, people, 33, c), c = 2 to 5: x, y[, z[, visibility[, presence]]]; flat (T, 33 c).
(T, 543, c): MediaPipe Holistic in the order of Kaggle's sign language data: face, left hand, pose, right hand.
(T, 1662) and (T, 258): pose 33 x 4 first, then face and hands or hands alone, as a well-known course of sign language.
(T, J, 2 or 3) of other tools: x, y[, confidence]; the order of joints is that of --joints.
(1, 3, T, 18, M) and (3, T, 18, M): ST-GCN's kinetics arrays, M people of OpenPose's 18 joints, about the middle of the
picture; frames of zeros at the end are no frames. https://github.com/yysijie/st-gcn, feeder/feeder_kinetics.py
A joint at exactly 0, 0 is missing. Files are untrusted: only core/npy.py reads their headers, and no pickle is loaded.
"""

import math
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spasm.core.errors import DataError, printable, shorten
from spasm.core.files import open_regular
from spasm.core.npy import LONGEST_HEADER, MAGIC, parse_header, read_npy
from spasm.data.landmarks import LANDMARKS
from spasm.data.pose import CHANNELS
from spasm.data.pose_files import frames as placing
from spasm.data.pose_files.base import PoseFile, Unit
from spasm.data.pose_files.columns import LOWEST
from spasm.data.pose_files.joints import LAYOUTS, joints_of, layout, title_of
from spasm.data.pose_files.wide_csv import drop_flat_z

ZIP = b"PK\x03\x04"
WHAT = "file of poses"
MOST_BYTES = 2 << 30
SMALL_BYTES, HIGHEST_COMPRESSION = 64 << 20, 300  # of poses with gaps; deflate reaches 1000 on one repeated value
MEDIAPIPE = len(LANDMARKS)
HOLISTIC, POSE_IN_HOLISTIC = 543, slice(489, 522)
FLAT = {MEDIAPIPE * channels: channels for channels in (2, 3, 4, 5)}
VECTORS = (1662, 258)  # pose 33 x 4, [face 468 x 3,] two hands 21 x 3
FEW = 10  # people; more on the axis of people are frames
AXES = "axes are frames, joints, channels (x, y, ...), or frames, people, joints, channels: turn it with numpy.moveaxis"


class Array(NamedTuple):
    """The poses of an array."""

    values: np.ndarray
    """(T, P, J, c)."""
    centred: bool


def recognised(path: Path, head: bytes) -> bool:
    return head.startswith(MAGIC) or (head.startswith(ZIP) and b".npy" in head[:300])


def read(path: Path, joints: str | None) -> PoseFile:
    """Raises DataError."""
    with open_regular(path) as (file, _):
        zipped = file.read(4) == ZIP
    if zipped:
        values = _from_zip(path)
    else:
        values = read_npy(path, None, WHAT, MOST_BYTES, lambda shape: _check_size(path, shape)).array()
    if not values.size:
        raise DataError(path, f"has shape {shorten(values.shape)}: it holds nothing", "export the poses again")
    named_count = None if joints is None else len(layout(joints))
    array = _stgcn(path, values, named_count) or _plain(path, values, named_count)
    frames, people, count, channels = array.values.shape
    names = joints_of(path, count, joints, "coco_18" if array.centred else "mediapipe_33")
    placing.check_size(path, frames, people, count)
    poses = np.full((frames, people, count, len(CHANNELS)), np.nan)
    mediapipe = len(names) == MEDIAPIPE
    of_channels = list(range(channels))
    notes = []
    if channels == 3 and not (mediapipe and _is_depth(array.values)):
        of_channels = [0, 1, CHANNELS.index("visibility")]
        if _is_negative(array.values):
            reason = "has negative values in its third channel, which is no confidence then"
            raise DataError(path, reason, "save x, y and confidence, or x and y alone")
        notes = ["the third channel is taken as the confidence, not as z: it lies between 0 and 1"] if mediapipe else []
    with np.errstate(invalid="ignore"):
        poses[..., of_channels] = array.values
    notes += placing.without_marks(poses, array.centred and channels == 3)
    unit: Unit = _centred_or_picture(path, poses) if array.centred else placing.unit_of(path, poses)
    if not array.centred:
        placing.refuse_world_landmarks(path, poses, names)
    notes += [*drop_flat_z(poses, unit), placing.unit_note(unit, named=False)]
    placing.fill_confidence(poses)
    lowest = LOWEST["confidence"] if channels == 3 and not mediapipe else 0.0
    tool = "ST-GCN array" if array.centred else "array"
    return PoseFile(f"{tool}, {title_of(names)}", names, poses, unit, lowest, notes=tuple(notes))


# ---- shapes


def _check_size(path: Path, shape: tuple[int, ...]) -> None:
    if math.prod(shape) > placing.MOST_VALUES // 2:
        raise DataError(path, f"has shape {shorten(shape)}, too large", "cut it into recordings of an hour each")


def _plain(path: Path, values: np.ndarray, named: int | None) -> Array:
    """Frames, people, joints, channels from the shape. named: the number of joints of --joints. Raises DataError."""
    shape = values.shape
    if len(shape) == 2 and shape[1] in VECTORS:
        values = values[:, : 4 * MEDIAPIPE].reshape(shape[0], MEDIAPIPE, 4)
    elif len(shape) == 2 and named and shape[1] in (2 * named, 3 * named):
        values = values.reshape(shape[0], named, -1)
    elif len(shape) == 2 and shape[1] in FLAT:
        values = values.reshape(shape[0], MEDIAPIPE, -1)
    elif len(shape) == 2 and shape[1] % HOLISTIC == 0 and shape[1] // HOLISTIC in (2, 3, 4):
        values = values.reshape(shape[0], HOLISTIC, -1)
    shape = values.shape
    if len(shape) in (3, 4) and shape[-2] == HOLISTIC and shape[-1] in (2, 3, 4):
        values = values[..., POSE_IN_HOLISTIC, :]
    shape = values.shape
    if len(shape) == 2:
        raise DataError(path, f"has shape {shorten(shape)}, flat rows of unknown joints", f"{AXES}; or name --joints")
    if len(shape) == 4 and shape[0] == 1 and shape[1] > FEW:  # a batch of one recording
        values = values[0]
    if values.ndim == 3:
        values = values[:, None]
    if values.ndim != 4:
        raise DataError(path, f"has shape {shorten(shape)}", AXES)
    frames, people, count, channels = values.shape
    if channels not in (2, 3, 4, 5) or (channels > 3 and MEDIAPIPE not in (count, named)):
        raise DataError(path, f"has shape {shorten(shape)}: {channels} channels of {count} joints", AXES)
    if people > FEW or people > frames > 1:
        reason = f"has shape {shorten(shape)}: {people} people in {frames} frames"
        raise DataError(path, reason, f"{AXES}; save each of several recordings in a file of its own")
    return Array(values, centred=False)


def _stgcn(path: Path, values: np.ndarray, named: int | None) -> Array | None:
    """ST-GCN's axes samples, channels, frames, joints, people; None for another shape. Raises DataError."""
    shape = values.shape
    counts = (named or len(LAYOUTS["coco_18"]),)
    if len(shape) == 5 and shape[1] in (2, 3) and shape[3] in counts and shape[4] <= FEW:
        if shape[0] != 1:
            name = printable(path.name)
            hint = f"save one in a file: numpy.save('one.npy', numpy.load('{name}', mmap_mode='r')[0:1])"
            raise DataError(path, f"holds {shape[0]} recordings of {shape[2]} frames", hint)
        values = values[0]
    elif len(shape) == 5:
        raise DataError(path, f"has shape {shorten(shape)}", f"{AXES}; ST-GCN's are (1, 3, T, 18, people)")
    elif len(shape) != 4 or shape[0] != 3 or shape[2] not in counts or shape[3] > FEW or shape[3] in (3, 4, 5):
        return None
    frames = values.transpose(1, 3, 2, 0)
    there = np.flatnonzero((frames != 0).any(axis=(1, 2, 3)))
    if not len(there):
        raise DataError(path, "holds nothing but zeros", "export the poses again")
    return Array(frames[: there[-1] + 1], centred=True)


def _centred_or_picture(path: Path, poses: np.ndarray) -> Unit:
    """Whether places (..., J, 5) are about the middle of the picture or fractions of it. Raises DataError."""
    found = poses[np.isfinite(poses[..., :2]).all(axis=-1)][:, :2]
    if len(found) and np.median(np.abs(found).max(axis=1)) > 1.5:
        hint = "divide them by width and height, then subtract 0.5"
        raise DataError(path, "its x and y are no fractions of the picture", hint)
    if (found < 0).any(axis=1).mean() > 0.02 if len(found) else True:
        return "centred"
    if (found > 0.6).any(axis=1).mean() > 0.02:
        return "picture"
    reason = "its x and y lie between 0 and 0.6: about the middle of the picture, or fractions of it"
    raise DataError(path, reason, "save it as an array (T, people, 18, 3) of fractions, with --joints coco_18")


def _is_depth(values: np.ndarray) -> bool:
    """Whether the third channel of MediaPipe's landmarks (..., 3) is z, of both signs, not visibility from 0 to 1."""
    third = _third(values)
    return bool(((third < 0) | (third > 1)).any() or not (third > 0).any())


def _is_negative(values: np.ndarray) -> bool:
    """Whether the third channel of joints (..., 3) has a negative value."""
    return bool((_third(values) < 0).any())


def _third(values: np.ndarray) -> np.ndarray:
    """The third channel of joints (..., 3) that are not marked as missing by -1, -1."""
    with np.errstate(invalid="ignore"):
        third = values[..., 2][~((values[..., 0] == -1) & (values[..., 1] == -1))]
        return third[np.isfinite(third)]


# ---- zip


def _from_zip(path: Path) -> np.ndarray:
    """The only array of a .npz. Raises DataError; nothing is unpacked to the disk."""
    try:
        with open_regular(path) as (file, _), zipfile.ZipFile(file) as opened:
            arrays = opened.infolist()
            if len(arrays) != 1:
                names = ", ".join(info.filename for info in arrays[:20])
                hint = "save the one of the poses: numpy.save('poses.npy', numpy.load(FILE)['NAME'])"
                raise DataError(path, f"holds {len(arrays)} arrays: {shorten(names)}", hint)
            [info] = arrays
            if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise DataError(path, "is encrypted, or compressed as numpy never does", "save it with numpy.savez")
            if info.file_size > max(SMALL_BYTES, HIGHEST_COMPRESSION * info.compress_size):
                reason = f"claims {info.file_size} bytes once unpacked, of {info.compress_size}"
                raise DataError(path, reason, "it holds next to nothing: save it with numpy.save")
            with opened.open(info) as content:
                head = content.read(12 + LONGEST_HEADER)
                header = parse_header(path, head, info.file_size, WHAT, MOST_BYTES)
                _check_size(path, header.shape)
                raw = bytearray(info.file_size)
                raw[: len(head)] = head
                held = len(head)
                while part := content.read(1 << 20):
                    raw[held : held + len(part)] = part
                    held += len(part)
            if held != info.file_size:
                raise DataError(path, "cut short inside its array", "copy or export it again")
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
        raise DataError(path, f"is a damaged .npz: {shorten(str(error))}", "copy or export it again") from error
    return np.frombuffer(raw, header.dtype, offset=header.start).reshape(header.shape, order=header.order)
