"""Parquet of MediaPipe landmarks as in Kaggle's sign language data (ISLR): frame, type, landmark_index, x, y, z.

Rows of type `pose` are read: fractions of the picture, NaN: not found. The columns are checked before any is read; the
rest runs in a process of its own, since a damaged file may crash the library or claim any size.
https://www.kaggle.com/competitions/asl-signs/data
"""

from pathlib import Path
from typing import Any

import numpy as np

from spasm.core.errors import DataError, shorten
from spasm.core.processes import run_apart
from spasm.data.landmarks import LANDMARKS
from spasm.data.pose import CHANNELS
from spasm.data.pose_files import frames as placing
from spasm.data.pose_files.base import PoseFile
from spasm.data.pose_files.joints import TITLES

MAGIC = b"PAR1"
WHOLE, REAL, TEXT = {"INT32", "INT64"}, {"FLOAT", "DOUBLE"}, {"BYTE_ARRAY"}
COLUMNS = {"frame": WHOLE, "type": TEXT, "landmark_index": WHOLE, "x": REAL, "y": REAL, "z": REAL}
MOST_ROWS = 200_000_000  # 543 in a frame: three hours
MOST_COLUMNS = 100
LARGEST_GROUP = 4 << 30  # bytes of a row group before compression
BATCH = 65_536
HINT = f"the columns are {', '.join(COLUMNS)}"


def recognised(path: Path, head: bytes) -> bool:
    return head.startswith(MAGIC)


def read(path: Path, joints: str | None) -> PoseFile:
    """Raises DataError."""
    return run_apart(path, read_here, path)


def read_here(path: Path) -> PoseFile:
    """As `read`, in this process, which a damaged file may crash."""
    try:
        import pyarrow.parquet as pq
    except ModuleNotFoundError as error:
        raise DataError(path, "is Parquet", "to read it: pip install -r requirements-poses.txt") from error
    try:
        with pq.ParquetFile(
            path,
            memory_map=False,
            pre_buffer=False,
            read_dictionary=["type"],  # texts are kept once, however often a row repeats them
            thrift_string_size_limit=10_000_000,
            thrift_container_size_limit=1_000_000,
        ) as file:
            _check_columns(path, file)
            return _read(path, file)
    except (DataError, MemoryError):
        raise
    except Exception as error:  # the library raises almost any for a damaged file
        raise DataError(path, f"is damaged Parquet: {shorten(str(error))}", "export it again") from error


def _check_columns(path: Path, file: Any) -> None:
    import pyarrow as pa

    schema, about = file.schema, file.metadata
    if len(schema) > MOST_COLUMNS:
        raise DataError(path, f"has {len(schema)} columns", HINT)
    columns = {schema.column(number).path: schema.column(number) for number in range(len(schema))}
    missing = [name for name in COLUMNS if name not in columns]
    if missing:
        raise DataError(path, f"has no column {', '.join(missing)} among {shorten(', '.join(columns))}", HINT)
    for name, kinds in COLUMNS.items():
        kind = columns[name].physical_type
        if kind not in kinds or columns[name].max_repetition_level or columns[name].max_definition_level > 1:
            raise DataError(path, f"its column {name} is of type {kind}, or nested", HINT)
    arrow = file.schema_arrow  # a file may call whole numbers times or decimals
    fits = {"frame": pa.types.is_integer, "type": pa.types.is_dictionary, "landmark_index": pa.types.is_integer}
    for name in COLUMNS:
        if not fits.get(name, pa.types.is_floating)(arrow.field(name).type):
            raise DataError(path, f"its column {name} is of type {shorten(str(arrow.field(name).type))}", HINT)
    groups = [about.row_group(number).total_byte_size for number in range(about.num_row_groups)]
    if about.num_rows > MOST_ROWS or max(groups, default=0) > LARGEST_GROUP:
        raise DataError(path, f"claims {about.num_rows} rows", "save one video per file")


def _read(path: Path, file: Any) -> PoseFile:
    import pyarrow.compute as pc

    parts = [np.empty((0, 5))]
    count = 0
    for batch in file.iter_batches(batch_size=BATCH, columns=list(COLUMNS), use_threads=False):
        kinds = batch.column("type")
        is_pose = pc.equal(kinds.dictionary, "pose").take(kinds.indices)
        poses = batch.filter(pc.fill_null(is_pose, False))
        values = [poses.column(name).to_numpy(zero_copy_only=False) for name in COLUMNS if name != "type"]
        parts.append(np.stack([np.asarray(column, dtype=np.float64) for column in values], axis=1))
        count += len(parts[-1])
        placing.check_size(path, count, 1, 1)
    rows = np.concatenate(parts)
    if not len(rows):
        raise DataError(path, "has no row of type pose", "export the landmarks of the pose, too")
    # A clip of a longer video keeps its numbers: its first frame is the first one here.
    numbers = placing.whole_numbers(path, rows[:, 0], "frame")
    first = int(numbers.min())
    numbers = placing.from_zero(path, numbers - first, len(numbers))
    landmark = placing.whole_numbers(path, rows[:, 1], "landmark_index")
    if landmark.max() >= len(LANDMARKS):
        raise DataError(path, f"has landmark_index {landmark.max()} of type pose", "MediaPipe's pose has 0 to 32")
    placing.check_size(path, int(numbers.max()) + 1, 1, len(LANDMARKS))
    cell = numbers * len(LANDMARKS) + landmark
    if len(np.unique(cell)) < len(cell):
        raise DataError(path, "has a landmark twice in one frame", "save one video and one person per file")
    poses = np.full((int(numbers.max()) + 1, 1, len(LANDMARKS), len(CHANNELS)), np.nan)
    poses[numbers, 0, landmark, :3] = rows[:, 2:]
    notes = placing.without_marks(poses)
    if first:
        notes.append(f"its first frame has the number {first}: times count from there")
    placing.refuse_world_landmarks(path, poses, LANDMARKS)
    if placing.unit_of(path, poses) != "picture":
        raise DataError(path, "its x and y are no fractions of the picture", "divide them by its width and height")
    placing.fill_confidence(poses)
    tool = f"ISLR, {TITLES['mediapipe_33']}"
    return PoseFile(tool, LANDMARKS, poses, "picture", 0.0, notes=tuple(notes))
