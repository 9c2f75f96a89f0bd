"""CSV with one row for a joint, by its name or number: `frame, landmark, x, y, z, visibility`, also with a person.

Kaggle's sign language data as CSV has such rows, too: `frame, type, landmark_index, x, y, z`; type `pose` is read.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from spasm.core.errors import DataError, shorten
from spasm.data.pose import CHANNELS
from spasm.data.pose_files import frames as placing
from spasm.data.pose_files.base import PoseFile
from spasm.data.pose_files.columns import (
    CHANNEL_WORDS,
    FRAME,
    PICTURE,
    first_of,
    joint_of,
    lowest_confidence,
    plain,
    time_unit,
    words_of,
)
from spasm.data.pose_files.csv_tables import Codes, head_rows, read_numbers, rows
from spasm.data.pose_files.joints import joints_of, landmark_of, title_of
from spasm.data.pose_files.row_info import Reader
from spasm.data.pose_files.wide_csv import drop_flat_z

# Columns that name the joint, the more particular first.
JOINT = (
    "landmarkname", "jointname", "keypointname", "bodypart", "bodypartname", "nodename",
    "landmark", "joint", "keypoint", "node", "part",
    "landmarkindex", "landmarkid", "landmarkidx", "landmarknumber", "jointid", "jointindex", "jointidx",
    "keypointid", "keypointindex", "keypointidx", "kpid", "kptid", "nodeid", "point", "pointid",
    "name", "index", "idx", "id",
)  # fmt: skip
TYPE = {"type", "landmarktype"}
MOST_JOINTS = 2000


def _joint_column(header: Sequence[str]) -> int | None:
    return next((place for name in JOINT if (place := first_of(header, {name})) is not None), None)


def recognised(path: Path, head: bytes) -> bool:
    found = head_rows(head, 1)
    if not found:
        return False
    names = {plain(name) for name in found[0]}
    timed = bool(names & (FRAME | PICTURE)) or any(time_unit(name)[0] for name in found[0])
    return {"x", "y"} <= names and timed and _joint_column(found[0]) is not None


def read(path: Path, joints: str | None) -> PoseFile:
    """Raises DataError."""
    table = rows(path)
    _, header = next(table, (0, []))
    joint_at = _joint_column(header)
    if joint_at is None or not {"x", "y"} <= {plain(name) for name in header}:
        raise DataError(path, "has no column of joints, x and y", "name them frame, landmark, x, y, z, visibility")
    channels: dict[str, int] = {}
    for place, name in enumerate(header):
        if plain(name) in CHANNEL_WORDS:
            channels.setdefault(CHANNEL_WORDS[plain(name)], place)
    type_at = first_of(header, TYPE)
    of_joints = {joint_at, *channels.values(), *([type_at] if type_at is not None else [])}
    beside = Reader(path, header, of_joints)
    codes, types = Codes(MOST_JOINTS, "name the joints"), Codes(MOST_JOINTS, "types are few")
    convert = beside.convert | {joint_at: codes} | ({type_at: types} if type_at is not None else {})
    wanted = list(dict.fromkeys([*sorted(of_joints), *beside.wanted()]))
    values = read_numbers(path, table, header, wanted, convert)
    if "pose" in types.of_text and type_at is not None:
        values = values[values[:, wanted.index(type_at)] == types.of_text["pose"]]
    if not len(values):
        raise DataError(path, "has a header and no row of a pose", "export the poses again")
    by_place = {place: values[:, number] for number, place in enumerate(wanted)}

    info = beside.info(by_place, len(values))
    kept = info.frames >= 0
    of_row = by_place[joint_at][kept].astype(np.int64)
    used = sorted(set(of_row.tolist()) - {-1})
    if not used:
        raise DataError(path, "has no row that names a joint", "name the joint in every row")
    texts = list(codes.of_text)
    names, order = _names(path, [texts[code] for code in used], joints)
    columns = np.full(len(texts) + 1, -1)  # the last one is for code -1
    columns[used] = order
    people = info.people[kept] if info.people is not None else np.zeros(kept.sum(), dtype=np.int64)
    # One row of the result for each person in each frame.
    keys, row = np.unique(np.stack([info.frames[kept], people], axis=1), axis=0, return_inverse=True)
    row = row.reshape(-1)
    placing.check_size(path, len(keys), 1, len(names))
    column = columns[of_row]
    if (column < 0).any():
        raise DataError(path, "has a row without a joint", "name the joint in every row")
    cell = row * len(names) + column
    if len(np.unique(cell)) < len(cell):
        again = int(np.argmax(np.bincount(cell) > 1))
        frame, name = keys[again // len(names)][0], names[again % len(names)]
        reason = f"frame {frame} has {shorten(name)} twice"
        raise DataError(path, reason, "add a column person, or save one person per file")
    poses = np.full((len(keys), len(names), len(CHANNELS)), np.nan)
    for channel, place in channels.items():
        poses[row, column, CHANNELS.index(channel if channel in CHANNELS else "visibility")] = by_place[place][kept]
    notes = [*placing.without_marks(poses), *info.notes]
    placing.refuse_world_landmarks(path, poses, names)
    unit = placing.unit_of(path, poses)
    notes += [*drop_flat_z(poses, unit), placing.unit_note(unit, named=False)]
    placed = placing.place(path, poses, keys[:, 0], keys[:, 1] if info.tracked else None)
    placing.fill_confidence(placed.poses)
    lowest = lowest_confidence(header, channels)
    tool = f"CSV with a row per joint, {title_of(names)}"
    return PoseFile(tool, names, placed.poses, unit, lowest, info.fps, info.size, placed.ids, tuple(notes))


def _names(path: Path, texts: list[str], joints: str | None) -> tuple[tuple[str, ...], np.ndarray]:
    """The joints of the result, and the place of each text among them. Numbers become the names of a layout."""
    texts = [joint_of(words_of(text.removesuffix(".0"))) or text for text in texts]
    if len(set(texts)) < len(texts):
        twice = next(text for text in texts if texts.count(text) > 1)
        raise DataError(path, f"names {shorten(twice)} in two ways", "name each joint in one way")
    if not all(text.isdecimal() for text in texts):
        names = tuple(texts)
        if not any(landmark_of(name) for name in names):
            reason = f"no known joint among {shorten(', '.join(names))}"
            raise DataError(path, reason, "name the joints as nose, left_shoulder")
        return names, np.arange(len(names))
    numbers = np.array([int(text[:9]) for text in texts])
    lowest = 1 if numbers.min() == 1 and numbers.max() in (17, 18, 25, 33) else 0
    named = joints_of(path, int(numbers.max()) + 1 - lowest, joints, "mediapipe_33")
    return named, numbers - lowest
