"""Labels of whole videos: a table of them, and the training segments that they make of the extracted ones."""

import contextlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from spasm.core import files
from spasm.core.errors import DataError, DataProblems, collect_errors, shorten
from spasm.core.tables import numbered_rows, read_table
from spasm.data.pose import FPS
from spasm.video.recording_files import manifest_path, segments_of

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
    if any(row.child for row in rows.values()):
        # A number that is chosen for one video could be the number of another child in the table.
        without = [name for name, row in rows.items() if not row.child]
        problems += [
            DataError(table, f"{shorten(name)} has no child, others have", "give each one") for name in without
        ]
    found: dict[Path, VideoLabel] = {}
    first_of: dict[str, Path] = {}
    for video in videos:
        if first_of.setdefault(video.name, video) != video:
            reason = f"{shorten(video.name)} is the name of two videos"
            problems.append(DataError(table, reason, "rename one, and give it a row"))
        elif video.name in rows:
            found[video] = rows[video.name]
        else:
            problems.append(DataError(table, f"has no row for {shorten(video.name)}", "add one: video, label"))
    if problems:
        raise DataProblems(problems)
    return found


def write_training_segments(out: Path, labels: Mapping[str, int]) -> list[str]:
    """Move the segments of labelled recordings from test/ to train/, and write train_data.csv.

    labels: by the name of the recording. Rows of recordings that were labelled earlier stay. A recording shorter than
    half a segment stays in test/: its label would be learned from frames that are missing. Returns those, in words.
    """
    (out / "train").mkdir(exist_ok=True)
    rows: dict[str, int] = {}
    if (out / TABLE).exists():
        for row in read_table(out / TABLE, ("segment_name", "label")):
            if (out / "train" / row["segment_name"]).is_file():
                rows[row["segment_name"]] = int(row["label"])
    short: list[str] = []
    kept: list[str] = []
    for name, label in labels.items():
        manifest = files.read_json(manifest_path(out, name))
        if manifest["seconds"] * FPS < manifest["segment_frames"] / 2:
            short.append(f"{manifest['video']} is shorter than half a segment: it is not among the training segments")
            continue
        kept.append(name)
        for segment in [*segments_of(out, name, "test"), *segments_of(out, name, "train")]:
            rows[segment.name] = label
    # The table first: after a kill, the next command moves the others before anyone reads it.
    files.write_csv(out / TABLE, ("segment_name", "label"), sorted(rows.items()))
    for name in kept:
        for segment in segments_of(out, name, "test"):
            os.replace(segment, out / "train" / segment.name)
    files.sync(out / "train")
    with contextlib.suppress(OSError):  # others are there
        (out / "test").rmdir()  # an empty one would be named as what to predict next
    return short
