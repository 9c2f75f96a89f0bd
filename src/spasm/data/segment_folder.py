"""Write segments that were cut from recordings as a data folder, alone or together with another one."""

import contextlib
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from spasm.core import files
from spasm.core.errors import DataError, DataProblems, first_few
from spasm.data import recordings
from spasm.data.annotations import Tables, read_tables
from spasm.data.naming import child_of, spelling
from spasm.data.pose import FPS
from spasm.data.segment_cutting import EVENT, Segment

MARKER = "segments.json"  # shows that a folder was written here, and lists its files
SIMULATED = "simulated.json"
ORIGIN_COLUMNS = (
    "segment_name", "recording", "start_s", "kind", "type", "event_onset_s", "event_offset_s",
)  # fmt: skip
ONSET_COLUMNS = ("segment_name", "eeg_onset_s", "clinical_onset_s")


class OtherData(NamedTuple):
    """A data folder whose training segments become part of the new one."""

    folder: Path
    tables: Tables


def read_other(folder: Path, frames: int) -> OtherData:
    """Read the tables of a data folder. Raises DataProblems for everything that is wrong with them."""
    tables = read_tables(folder, "safe", frames)
    if tables.problems:
        raise DataProblems(tables.problems)
    return OtherData(folder, tables)


def new_ids(children: Sequence[str], other: OtherData | None, same_ids: bool) -> dict[str, str]:
    """The id of each child of the recordings in the new folder.

    Beside other data, ids of two hospitals or two simulations can be equal by chance, and one child in two folds makes
    every result look better than it is. So numbers are moved beyond those of the other data: with 60 children there,
    7 becomes 107. Ids that are no numbers begin with `recorded-`. same_ids: an id in both is one child, and stays.
    """
    if other is None or same_ids:
        return {child: child for child in children}
    known = {child_of(path.name) for path in (*other.tables.train, *other.tables.test)}
    highest = max((int(child) for child in known if child.isdecimal()), default=0)
    step = 10 ** len(str(highest))
    renamed = {child: str(int(child) + step) if child.isdecimal() else f"recorded-{child}" for child in children}
    spelled = {spelling(child) for child in known}
    clash = next((child for child, new in renamed.items() if spelling(new) in spelled), None)
    if clash is not None:
        reason = f"child {clash} would be {renamed[clash]}, which is a child there already"
        raise DataError(other.folder, reason, "rename the recording to another child's id")
    return renamed


def check_replaceable(out: Path) -> None:
    """Raise DataError unless `out` is absent, an empty folder, or was written here and holds nothing else."""
    hint = "choose another --out, or move it away yourself"
    if out.is_symlink():
        raise DataError(out, "is a symbolic link", hint)
    if not out.exists():
        return
    if not out.is_dir():
        raise DataError(out, "is a file, not a folder to write", hint)
    found = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if not path.is_dir())
    if not found:
        return
    ours: set[str] = set()
    with contextlib.suppress(DataError, KeyError, TypeError):
        ours = {MARKER, *files.read_json(out / MARKER)["files"]}
    foreign = [name for name in found if name not in ours]
    if foreign:
        reason = f"holds files that this command did not write, such as {first_few(foreign, 1)}; nothing was written"
        raise DataError(out, reason, hint)


def write_segments(
    out: Path,
    segments: Mapping[str, Sequence[Segment]],
    frames: int,
    ids: Mapping[str, str],
    other: OtherData | None,
    about: Mapping[str, Any],
) -> None:
    """Write the segments of each child as a data folder; an older one of this kind is replaced as a whole.

    ids: the child's id in the new folder; about: for segments.json. Raises DataError, and changes nothing, when `out`
    holds something else. Segments of the other data are linked, or copied where that is not possible.
    """
    check_replaceable(out)
    with files.new_folder(out) as folder:
        (folder / "train").mkdir()
        labels: dict[str, int] = {}
        onsets: dict[str, tuple[float, float]] = {}
        simulated = False
        if other is not None:
            labels, onsets = dict(other.tables.labels), dict(other.tables.onsets)
            onsets = {name: span for name, span in onsets.items() if name in labels}
            simulated = (other.folder / SIMULATED).is_file()
            for path in other.tables.train:
                with files.open_regular(path, other.folder):  # a link that leaves the folder is refused
                    _link(path, folder / "train" / path.name)
            known = {child_of(name) for name in labels}
            rows = [row for child, row in other.tables.groups.items() if child in known]
            if rows:
                files.write_csv(folder / "groups.csv", list(rows[0]), (list(row.values()) for row in rows))
        origins = []
        for child, of_child in segments.items():
            for number, segment in enumerate(of_child, start=1 + _last_number(ids[child], labels)):
                span = (segment.start, segment.start + frames)
                name = f"child_{ids[child]}_{number}.npy"
                [pose] = recordings.read_spans(segment.recording, [span])
                (folder / "train" / name).write_bytes(files.npy(pose))
                simulated |= recordings.is_simulated(segment.recording)
                labels[name] = segment.label
                start_s = segment.start / FPS
                inside = [f"{time_s - start_s:.3f}" for time_s in segment.event_s or ()] or ["", ""]
                origins.append((name, segment.recording.name, f"{start_s:.3f}", segment.kind, segment.type, *inside))
                if segment.kind == EVENT and segment.event_s is not None:
                    onsets[name] = (segment.event_s[0] - start_s,) * 2  # seen in a video: that of an EEG is not known
        files.write_csv(folder / "train_data.csv", ("segment_name", "label"), labels.items())
        files.write_csv(folder / "origin.csv", ORIGIN_COLUMNS, origins)
        lines = ((name, f"{eeg:.3f}", f"{clinical:.3f}") for name, (eeg, clinical) in onsets.items())
        files.write_csv(folder / "onsets.csv", ONSET_COLUMNS, lines)
        if simulated:
            files.write_json(folder / SIMULATED, {"simulated": True})
        written = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())
        files.write_json(folder / MARKER, {**about, "file_count": len(written), "files": written})
        check_replaceable(out)  # again: a file may have been added in the meantime
        if out.exists():
            shutil.rmtree(out)


def _link(path: Path, link: Path) -> None:
    try:
        os.link(os.path.realpath(path), link)
    except OSError:  # another disk
        shutil.copy(path, link)


def _last_number(child: str, labels: Mapping[str, int]) -> int:
    """The highest number of a child's segments; only with --same-ids it has some already."""
    numbers = [name.removesuffix(".npy").rpartition("_")[2] for name in labels if child_of(name) == child]
    return max((int(number) for number in numbers if number.isdecimal()), default=0)
