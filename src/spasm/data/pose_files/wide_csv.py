"""CSV with one row for a person in a frame, and columns for each joint.

MediaPipe: `frame, time, nose_x, nose_y, nose_z, nose_visibility, ...` or `x1, y1, z1, v1, ...`, in many spellings.
YOLO: `frame, nose.x, nose.y, nose.c, ..., person`.
SLEAP's analysis CSV: `track, frame_idx, instance.score, nose.x, nose.y, nose.score, ...`.
"""

from pathlib import Path

import numpy as np

from spasm.core.errors import DataError, shorten
from spasm.data.pose import CHANNELS
from spasm.data.pose_files import frames as placing
from spasm.data.pose_files.base import PoseFile, Unit
from spasm.data.pose_files.columns import Joints, joints_of_columns, lowest_confidence
from spasm.data.pose_files.csv_tables import head_rows, read_numbers, rows
from spasm.data.pose_files.joints import joints_of, title_of
from spasm.data.pose_files.row_info import Reader

FLAT_Z = 3.0  # z of MediaPipe is in picture widths; beside pixels a larger one would be in pixels, too


def recognised(path: Path, head: bytes) -> bool:
    found = head_rows(head, 1)
    return bool(found) and joints_of_columns(found[0]) is not None


def read(path: Path, joints: str | None) -> PoseFile:
    """Raises DataError."""
    table = rows(path)
    _, header = next(table, (0, []))
    columns = joints_of_columns(header)
    if columns is None:
        raise DataError(path, f"no joint among {shorten(', '.join(header))}", "a joint has columns as nose_x, nose_y")
    names = _names(path, columns, joints)
    of_joints = [place for joint in columns.columns for place in joint.values()]
    beside = Reader(path, header, set(of_joints))
    wanted = list(dict.fromkeys([*of_joints, *beside.wanted()]))
    values = read_numbers(path, table, header, wanted, beside.convert, min(of_joints))
    if not len(values):
        raise DataError(path, "has a header and no row", "export the poses again")
    by_place = {place: values[:, number] for number, place in enumerate(wanted)}

    info = beside.info(by_place, len(values))
    poses = np.full((len(values), len(names), len(CHANNELS)), np.nan)
    for joint, of_joint in enumerate(columns.columns):
        for channel, place in of_joint.items():
            poses[:, joint, CHANNELS.index(channel if channel in CHANNELS else "visibility")] = by_place[place]
    notes = [*placing.without_marks(poses), *info.notes]
    placing.refuse_world_landmarks(path, poses, names)
    unit = columns.unit or placing.unit_of(path, poses)
    notes += drop_flat_z(poses, unit)
    if info.people is None:
        placing.refuse_second_start(path, info.frames)
    kept = info.frames >= 0
    ids = info.people[kept] if info.tracked and info.people is not None else None
    placed = placing.place(path, poses[kept], info.frames[kept], ids)
    if placed.poses.shape[1] > 1 and info.people is None:
        notes.append("several rows have the same frame, and no column names the person: each row is taken as a person")
    placing.fill_confidence(placed.poses)
    notes.append(placing.unit_note(unit, named=columns.unit is not None))
    return PoseFile(
        f"CSV with a row per frame, {title_of(names)}",
        names,
        placed.poses,
        unit,
        lowest_confidence(header, columns.channels),
        info.fps,
        info.size,
        placed.ids,
        tuple(notes),
    )


def drop_flat_z(poses: np.ndarray, unit: Unit) -> list[str]:
    """Set z of (..., J, 5) to NaN where it is not in the unit of x, in place; gives what to note."""
    z = poses[..., 2]
    if unit != "pixels" or not np.isfinite(z).any() or np.nanmedian(np.abs(z)) > FLAT_Z:
        return []
    z[...] = np.nan
    return ["x and y are in pixels and z is not, so z is left out"]


def _names(path: Path, columns: Joints, joints: str | None) -> tuple[str, ...]:
    """The joints of the columns; numbers become the names of a layout."""
    if not columns.numbered:
        return columns.names
    numbers = [int(name) for name in columns.names]
    count = len(numbers)
    if numbers != list(range(numbers[0], numbers[0] + count)) or numbers[0] > 1:
        reason = f"its joints have the numbers {shorten(', '.join(columns.names))}, with gaps"
        raise DataError(path, reason, "name the columns after the joints: left_shoulder_x")
    return joints_of(path, count, joints, "mediapipe_33")
