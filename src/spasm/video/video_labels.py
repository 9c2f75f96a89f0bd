"""Labels of whole videos: a table of them, and the training segments that they make of the extracted ones."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from spasm.core import files
from spasm.core.errors import DataError, DataProblems, collect_errors, shorten
from spasm.core.tables import numbered_rows, read_table
from spasm.video.recording_files import segments_of

COLUMNS = ("video", "label")
TABLE = "train_data.csv"
LARGEST_CHILD = 1_000_000_000


class VideoLabel(NamedTuple):
    """A row of the table."""

    label: int
    """0 or 1; of all segments of the video."""
    child: int | None
    """Number of the child; None where the table has none."""


def read_labels(table: Path, videos: Iterable[Path]) -> dict[Path, VideoLabel]:
    """The label of each video; rows of other videos are left out. Raises DataProblems with all that is wrong."""
    rows: dict[str, VideoLabel] = {}
    problems: list[DataError] = []
    for line, row in numbered_rows(table, COLUMNS):
        with collect_errors(problems):
            name, label, child = row["video"], row["label"], row.get("child", "")
            if name in rows:
                raise DataError(table, f"line {line}: {shorten(name)} has a row already", "leave one")
            if label not in ("0", "1"):
                raise DataError(table, f"line {line}: label {shorten(label)}", "a label is 0 or 1")
            if child and not (child.isascii() and child.isdigit() and 1 <= int(child) <= LARGEST_CHILD):
                raise DataError(table, f"line {line}: child {shorten(child)}", "a child is a whole number from 1")
            rows[name] = VideoLabel(int(label), int(child) if child else None)
    found: dict[Path, VideoLabel] = {}
    for video in videos:
        if video.name in rows:
            found[video] = rows[video.name]
        else:
            problems.append(DataError(table, f"has no row for {shorten(video.name)}", "add one: video, label"))
    if problems:
        raise DataProblems(problems)
    return found


def write_training_segments(out: Path, labels: Mapping[str, int]) -> int:
    """Move the segments of labelled recordings from test/ to train/, and write train_data.csv; returns their number.

    labels: by the name of the recording. Rows of recordings that were labelled earlier stay.
    """
    (out / "train").mkdir(exist_ok=True)
    rows: dict[str, int] = {}
    if (out / TABLE).exists():
        for row in read_table(out / TABLE, ("segment_name", "label")):
            if (out / "train" / row["segment_name"]).is_file():
                rows[row["segment_name"]] = int(row["label"])
    count = 0
    for name, label in labels.items():
        for segment in [*segments_of(out, name, "test"), *segments_of(out, name, "train")]:
            rows[segment.name] = label
            count += 1
    # The table first: after a kill, the next command moves the others before anyone reads it.
    files.write_csv(out / TABLE, ("segment_name", "label"), sorted(rows.items()))
    for name in labels:
        for segment in segments_of(out, name, "test"):
            os.replace(segment, out / "train" / segment.name)
    files.sync(out / "train")
    return count
