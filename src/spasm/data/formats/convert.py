"""Convert data sets in the layouts of other published systems into the challenge's layout, once, in the cache.

`opened` recognises a layout by its files. It writes a folder that `--data` may also name, with `converted.json` (the
mark that it is complete) and `groups.csv` (the original id of each child number).
"""

import hashlib
import os
import shutil
from pathlib import Path
from typing import NamedTuple, Protocol

from spasm.config.data import MovementClass
from spasm.core import files
from spasm.core.errors import DataError
from spasm.core.text import shell_words, text_of_path
from spasm.data.annotations import LabelLevel
from spasm.data.formats import sta_gunet, stam, two_stream
from spasm.data.formats.base import ForeignDataset, to_landmarks
from spasm.data.formats.one_class import OneClass
from spasm.data.index import FileIndex
from spasm.data.pictures import pictures_path
from spasm.data.pose import FRAMES

FORMATS = (stam, sta_gunet)
MARK = "converted.json"
VERSION = "formats 3"  # of the converted folder; after a change of version the data is converted again


class Layout(Protocol):
    """What reads the data sets of a layout: a module of FORMATS, or `OneClass`."""

    __name__: str

    def source_files(self, data: Path) -> list[Path]:
        """All files that `read` reads."""

    def read(self, data: Path, frames: int | None) -> ForeignDataset:
        """The data set, checked."""


class ResolvedData(NamedTuple):
    """A data folder in the challenge's layout, and facts that its files do not hold."""

    folder: Path
    frames: int
    label_level: LabelLevel
    converted: bool
    notice: str
    """One line about the conversion; empty without one."""
    warnings: tuple[DataError, ...]


def opened(
    data: Path, frames: int | None, cache: Path, rehash: bool = False, positive: MovementClass | None = None
) -> ResolvedData:
    """The folder itself if it has the challenge's layout or is not recognised; otherwise its converted copy.

    frames: T, if the user gives one. rehash: read every file, also those that seem unchanged. positive: the class with
    label 1, of a tree of general movements, which has labels only with it. Raises DataError, DataProblems with
    everything that is wrong with a recognised data set, and OSError if the cache cannot be written.
    """
    is_tree = two_stream.recognised(data) and not _is_ours(data)
    if positive is not None and not is_tree and os.path.isdir(data):
        hint = f"--positive is for folders that hold {', '.join(two_stream.CLASSES)}; leave it out"
        raise DataError(data, "is no tree of general movements", hint)
    if _is_ours(data):
        mark = _read_mark(data) if os.path.lexists(data / MARK) else None
        if mark is None:
            return ResolvedData(data, frames or FRAMES, LabelLevel.SEGMENT, False, "", ())
        return ResolvedData(data, frames or mark["frames"], LabelLevel(mark["label_level"]), True, "", ())
    if is_tree:
        if positive is None:
            shown = shell_words(data)
            hint = (
                f"for its three classes: python src/train_general_movements.py --data {shown}; for one class against "
            )
            hint += "the others, where a command has the flag: --positive PR"
            raise DataError(data, "is a tree of general movements by class, without labels of 0 and 1", hint)
        return _converted(OneClass(positive), data, frames, cache, rehash)
    for layout in FORMATS:
        if layout.recognised(data):
            return _converted(layout, data, frames, cache, rehash)
    return ResolvedData(data, frames or FRAMES, LabelLevel.SEGMENT, False, "", ())


def _is_ours(data: Path) -> bool:
    """Whether a folder has the challenge's layout."""
    return any(os.path.lexists(data / name) for name in ("train", "train_data.csv"))


def _converted(layout: Layout, data: Path, frames: int | None, cache: Path, rehash: bool) -> ResolvedData:
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


def _digest(layout: Layout, data: Path, index: FileIndex) -> str:
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
            groups.append((place, child.id, *child.group.values()))
            for number, (label, xy) in enumerate(child.segments, 1):
                name = f"child_{place}_{number}.npy"
                (temporary / "train" / name).write_bytes(files.npy(to_landmarks(xy, source.joints)))
                labels.append((name, label))
                if child.pictures is not None:
                    path = pictures_path(temporary / "train" / name, "two_stream")
                    path.parent.mkdir(exist_ok=True)
                    path.write_bytes(child.pictures(number - 1))
                if source.folds is not None:
                    folds.append((name, source.folds[child.id]))
        files.write_csv(temporary / "train_data.csv", ("segment_name", "label"), labels)
        columns = next((tuple(child.group) for child in source.children), ())
        files.write_csv(temporary / "groups.csv", ("child", "source", *columns), groups)
        if source.simulated:
            files.write_json(temporary / "simulated.json", {"simulated": True})
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
