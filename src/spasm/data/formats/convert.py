"""Convert data sets in the layouts of other published systems into the challenge's layout, once, in the cache.

`opened` recognises a layout by its files. It writes a folder that `--data` may also name, with `converted.json` (the
mark that it is complete) and `groups.csv` (the original id of each child number).
"""

import hashlib
import os
import shutil
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from spasm.core import files
from spasm.core.errors import DataError
from spasm.core.text import text_of_path
from spasm.data.annotations import LabelLevel
from spasm.data.formats import sta_gunet, stam, two_stream
from spasm.data.formats.base import ForeignDataset, to_landmarks
from spasm.data.index import FileIndex
from spasm.data.pose import FRAMES

FORMATS = (stam, sta_gunet)
MARK = "converted.json"
VERSION = "formats 2"  # of the converted folder; after a change of version the data is converted again


class ResolvedData(NamedTuple):
    """A data folder in the challenge's layout, and facts that its files do not hold."""

    folder: Path
    frames: int
    label_level: LabelLevel
    converted: bool
    notice: str
    """One line about the conversion; empty without one."""
    warnings: tuple[DataError, ...]


def opened(data: Path, frames: int | None, cache: Path, rehash: bool = False) -> ResolvedData:
    """The folder itself if it has the challenge's layout or is not recognised; otherwise its converted copy.

    frames: T, if the user gives one. rehash: read every file, also those that seem unchanged. Raises DataError,
    DataProblems with everything that is wrong with a recognised data set, and OSError if the cache cannot be written.
    """
    if any(os.path.lexists(data / name) for name in ("train", "train_data.csv")):
        mark = _read_mark(data) if os.path.lexists(data / MARK) else None
        if mark is None:
            return ResolvedData(data, frames or FRAMES, LabelLevel.SEGMENT, False, "", ())
        return ResolvedData(data, frames or mark["frames"], LabelLevel(mark["label_level"]), True, "", ())
    if two_stream.recognised(data):
        hint = "spasm.data.formats.two_stream reads it: read_tree(folder), then chunk(subject, start)"
        raise DataError(data, "holds pictures in the layout of the two-stream network, not poses", hint)
    for layout in FORMATS:
        if layout.recognised(data):
            return _converted(layout, data, frames, cache, rehash)
    return ResolvedData(data, frames or FRAMES, LabelLevel.SEGMENT, False, "", ())


def _converted(layout: ModuleType, data: Path, frames: int | None, cache: Path, rehash: bool) -> ResolvedData:
    converted = cache / "formats"
    converted.mkdir(parents=True, exist_ok=True)  # a cache may be removed at any time
    with files.lock(converted / ".lock", "data is being converted", wait_s=3600):
        files.remove_stale(converted, below=False)
        index = FileIndex(data, cache, rehash)
        before = _digest(layout, data, index)
        # Reuse a conversion made with the default T when the user now gives that T.
        for asked in (None, frames):
            folder = converted / f"{before[:24]}_{asked or 'own'}"
            mark = _whole(folder)
            if mark and frames in (None, mark["frames"]):
                break
        else:
            source = layout.read(data, frames)
            if _digest(layout, data, index) != before:
                raise DataError(data, "changed while it was read", "run again when nothing writes to it")
            mark = _write(source, data, folder)
        index.save()
    warnings = tuple(DataError(data / name, reason, hint) for name, reason, hint in mark["warnings"])
    return ResolvedData(
        folder,
        mark["frames"],
        LabelLevel(mark["label_level"]),
        True,
        f"{mark['notice']}; see {folder}",
        warnings,
    )


def _digest(layout: ModuleType, data: Path, index: FileIndex) -> str:
    """sha256 in hex of the version and of the names and bytes of all files that a conversion reads."""
    whole = hashlib.sha256(f"{VERSION}\n{layout.__name__.rpartition('.')[2]}\n".encode())
    for path in layout.source_files(data):
        whole.update(f"{os.fspath(path.relative_to(data))!a} {index.sha256(path)}\n".encode())
    return whole.hexdigest()


def _whole(folder: Path) -> dict | None:
    """The content of a converted folder's mark; None if the mark or a segment is missing."""
    try:
        mark = _read_mark(folder)
        count = len(list((folder / "train").glob("*.npy")))
        tables = all((folder / name).is_file() for name in ("train_data.csv", "groups.csv"))
        return mark if tables and count == mark["segments"] else None
    except (DataError, OSError):
        return None


def _read_mark(folder: Path) -> dict:
    path = folder / MARK
    mark = files.read_json(path)
    kinds = {"format": str, "frames": int, "segments": int, "notice": str, "warnings": list}
    levels = [level.value for level in LabelLevel]
    good = all(type(mark.get(key)) is kind for key, kind in kinds.items()) and mark.get("label_level") in levels
    if not good or not all(isinstance(row, list) and list(map(type, row)) == [str] * 3 for row in mark["warnings"]):
        raise DataError(path, "is not a mark of this software", "delete it, or convert the data again")
    return mark


def _write(source: ForeignDataset, data: Path, target: Path) -> dict:
    """Write a converted folder that is whole or absent; returns the content of its mark."""
    labels, groups, folds = [], [], []
    with files.new_folder(target) as temporary:
        (temporary / "train").mkdir(parents=True)
        for place, child in enumerate(source.children, 1):
            groups.append((place, child.id))
            for number, (label, xy) in enumerate(child.segments, 1):
                name = f"child_{place}_{number}.npy"
                (temporary / "train" / name).write_bytes(files.npy(to_landmarks(xy, source.joints)))
                labels.append((name, label))
                if source.folds is not None:
                    folds.append((name, source.folds[child.id]))
        files.write_csv(temporary / "train_data.csv", ("segment_name", "label"), labels)
        files.write_csv(temporary / "groups.csv", ("child", "source"), groups)
        if source.folds is not None:
            files.write_csv(temporary / "folds.csv", ("segment_name", "fold"), folds)
        mark = {
            "format": source.format,
            "source": text_of_path(data),
            "frames": source.frames,
            "label_level": source.label_level.value,
            "segments": len(labels),
            "notice": source.notice,
            "warnings": [
                [os.path.relpath(warning.path, data), warning.reason, warning.hint] for warning in source.warnings
            ],
        }
        files.write_json(temporary / MARK, mark)
        shutil.rmtree(target, ignore_errors=True)  # an incomplete folder, which `os.replace` would refuse to replace
    return mark
