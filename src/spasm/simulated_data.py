"""Simulated infants as a data folder, in the layout of the challenge."""

import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from spasm import files
from spasm.errors import DataError
from spasm.simulation import cohort, held_out_children, simulate_child

Row = dict[str, Any]
Progress = Callable[[Iterable[int]], Iterable[int]]

MARKER = "simulated.json"
TABLES = ("groups.csv", "train_data.csv", "truth.csv")
TRUTH_COLUMNS = ("segment_name", "label", "event_start_frame", "event_end_frame", "event_type", "cohort", "split")


def write_dataset(
    out: Path,
    children: int,
    segments_per_child: int,
    seed: int,
    frames: int,
    progress: Progress = iter,
) -> list[Row]:
    """Simulate a data set into the folder `out`, and return the rows of its truth.csv.

    An earlier set of the simulator at the same place is replaced as a whole, at the end. Raises DataError, and changes
    nothing, when `out` is or holds something else.
    """
    out = Path(os.path.abspath(out))
    check_replaceable(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    building = out.parent / f".tmp-{out.name}-{secrets.token_hex(4)}"
    building.mkdir()
    try:
        rows = _write_files(building, children, segments_per_child, seed, frames, progress)
        check_replaceable(out)  # again: somebody may have put a file there in the meantime
        _swap(building, out)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    return rows


def check_replaceable(out: Path) -> None:
    """Raise DataError unless `out` is absent, an empty folder, or a set of the simulator and nothing besides."""
    hint = "choose another --out, or move it away yourself"
    if out.is_symlink():
        raise DataError(out, "is a symbolic link", hint)
    if not out.exists():
        return
    if not out.is_dir():
        raise DataError(out, "is not a folder", hint)
    found = sorted(str(path.relative_to(out).as_posix()) for path in out.rglob("*"))
    if not found:
        return
    try:
        marker = json.loads((out / MARKER).read_text(encoding="utf-8"))
        ours = set(marker["files"]) if marker["simulated"] is True else None
    except (OSError, ValueError, KeyError, TypeError):
        ours = None
    if ours is None:
        raise DataError(out, f"holds files that the simulator did not make, {found[0]!r} among them", hint)
    foreign = [name for name in found if name not in ours | {MARKER, "train", "test"}]
    if foreign:
        raise DataError(out / foreign[0], "is in a simulated data set, but the simulator did not write it", hint)


def _write_files(
    folder: Path, children: int, segments_per_child: int, seed: int, frames: int, progress: Progress
) -> list[Row]:
    for split in ("train", "test"):
        (folder / split).mkdir()
    tested = held_out_children(seed, children)
    rows = []
    for child in progress(range(1, children + 1)):
        split = "test" if child in tested else "train"
        for k, segment in enumerate(simulate_child(seed, child, segments_per_child, frames), start=1):
            name = f"child_{child}_{k}.npy"
            np.save(folder / split / name, segment.pose)
            event = (segment.start, segment.end, segment.kind) if segment.kind else ("", "", "")
            row = (name, segment.label, *event, cohort(seed, child), split)
            rows.append(dict(zip(TRUTH_COLUMNS, row, strict=True)))
    rows.sort(key=lambda row: row["segment_name"])
    training = ((row["segment_name"], row["label"]) for row in rows if row["split"] == "train")
    files.write_csv(folder / "truth.csv", TRUTH_COLUMNS, (list(row.values()) for row in rows))
    files.write_csv(folder / "train_data.csv", TRUTH_COLUMNS[:2], training)
    cohorts = ((child, cohort(seed, child)) for child in range(1, children + 1))
    files.write_csv(folder / "groups.csv", ("child", "cohort"), cohorts)
    written = sorted([*TABLES, *(f"{row['split']}/{row['segment_name']}" for row in rows)])
    marker = {
        "simulated": True, "seed": seed, "children": children, "segments_per_child": segments_per_child,
        "frames": frames, "file_count": len(written), "files": written,
    }  # fmt: skip
    files.write_json(folder / MARKER, marker)
    return rows


def _swap(building: Path, out: Path) -> None:
    """Put a finished folder in its place; its bytes reach the disk before its name does.

    No portable call exchanges two folders, so for an instant the old one has only its other name, and is whole there.
    """
    for path in [*building.rglob("*"), building]:
        files.sync(path)
    if not out.exists():
        os.rename(building, out)
        files.sync(out.parent)
        return
    old = out.parent / building.name.replace(".tmp-", ".tmp-old-", 1)
    os.rename(out, old)
    try:
        os.rename(building, out)
    except BaseException:
        os.rename(old, out)
        raise
    files.sync(out.parent)
    shutil.rmtree(old)
