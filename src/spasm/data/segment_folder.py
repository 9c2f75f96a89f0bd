"""Write segments that were cut from recordings as a data folder, alone or together with another one."""

import contextlib
import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from spasm.core import files
from spasm.core.errors import DataError, DataProblems, collect_errors, first_few, printable
from spasm.core.text import text_of_path
from spasm.data import recording_videos, recordings
from spasm.data.annotations import Tables, read_tables
from spasm.data.naming import NAME_PATTERNS, child_of, spelling
from spasm.data.pose import FPS
from spasm.data.segment_cutting import Segment
from spasm.data.segments import check_header
from spasm.data.seizures import SeizureWindow

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
    children: dict[str, str]
    """The ids there of the children of recordings that were cut into it earlier, by their ids in those recordings."""
    recordings: list[dict[str, str]]
    """Those recordings: file and sha256."""
    events: list[dict[str, str]]
    """Their tables of events: file and sha256."""


def read_other(folder: Path, frames: int) -> OtherData:
    """Read the tables of a data folder. Raises DataProblems for what is wrong with them, and for segments of another T.

    frames: T.
    """
    tables = read_tables(folder, "safe", frames)
    problems = list(tables.problems)
    for path in tables.train:
        with collect_errors(problems):
            check_header(path, frames, folder)
    if problems:
        raise DataProblems(problems, tables.train)
    return OtherData(folder, tables, *_cut_earlier(folder))


def _cut_earlier(folder: Path) -> tuple[dict[str, str], list[dict[str, str]], list[dict[str, str]]]:
    """Children, recordings and events of segments.json; empty where nothing was cut into the folder."""
    if not os.path.lexists(folder / MARKER):
        return {}, [], []
    with contextlib.suppress(DataError, AttributeError, KeyError, TypeError):
        found = files.read_json(folder / MARKER)
        children = {str(child): str(new) for child, new in found.get("children", {}).items()}
        recordings, events = (
            [{"file": str(one["file"]), "sha256": str(one["sha256"])} for one in found.get(name, [])]
            for name in ("recordings", "events")
        )
        if all(NAME_PATTERNS["safe"].fullmatch(f"child_{new}_1.npy") for new in children.values()):
            return children, recordings, events
    reason = "does not list the children and recordings that were cut"
    raise DataError(folder / MARKER, reason, "cut the recordings again into a new folder")


def check_new(digests: Mapping[Path, str], other: OtherData) -> None:
    """Raise DataProblems for the recordings that were cut into the other folder earlier; digests: their sha256."""
    cut = {one["sha256"]: one["file"] for one in other.recordings}
    hint = (
        "leave it out; to cut it again, give the data from before as --with-data, and all the recordings that were cut"
    )
    problems = [
        DataError(path, f"was cut into {printable(other.folder)} already, as {printable(cut[digest])}", hint)
        for path, digest in digests.items()
        if digest in cut
    ]
    if problems:
        raise DataProblems(problems)


def new_ids(children: Sequence[str], other: OtherData | None, same_ids: bool) -> dict[str, str]:
    """The id of each child of the recordings in the new folder.

    Beside other data, ids of two hospitals or two simulations can be equal by chance, and one child in two folds makes
    every result look better than it is. So numbers are moved beyond those of the other data: with 60 children there,
    7 becomes 107. Ids that are no numbers begin with `recorded-`. same_ids: an id in both is one child, and stays.
    A child whose recordings were cut into the other data earlier keeps the id that it has there; it is taken for the
    same child by its id in the recordings. Raises DataError where a child would have two ids, or two children one.
    """
    if other is None:
        return {child: child for child in children}
    earlier = {spelling(child): new for child, new in other.children.items()}
    known = {child_of(path.name) for path in (*other.tables.train, *other.tables.test)} | set(earlier.values())
    highest = max((int(child) for child in known if child.isdecimal()), default=0)
    step = 10 ** len(str(highest))
    ids: dict[str, str] = {}
    for child in children:
        kept = earlier.get(spelling(child))
        if kept is not None:
            ids[child] = kept
        elif same_ids:
            ids[child] = child
        else:
            ids[child] = str(int(child) + step) if child.isdecimal() else f"recorded-{child}"
        if kept is None and not same_ids and spelling(ids[child]) in set(map(spelling, known)):
            reason = f"child {child} would be {ids[child]}, which is a child there already"
            raise DataError(other.folder, reason, "rename the recording to another child's id")
    if same_ids:
        _check_same(ids, known, other)
    return ids


def _check_same(ids: Mapping[str, str], known: Collection[str], other: OtherData) -> None:
    """Raise DataError where --same-ids contradicts the ids of recordings that were cut earlier without it."""
    changed = {spelling(new): old for old, new in other.children.items() if spelling(old) != spelling(new)}
    spelled = set(map(spelling, known))
    hint = "leave out --same-ids, or cut all recordings again from the data from before, with --same-ids"
    for child, new in ids.items():
        if spelling(child) != spelling(new) and spelling(child) in spelled:
            reason = f"child {child} of recordings cut earlier is {new} there, and another child is {child}"
            raise DataError(other.folder, reason, hint)
        if spelling(child) == spelling(new) and spelling(child) in changed:
            reason = f"child {child} there is child {changed[spelling(child)]} of recordings cut earlier"
            raise DataError(other.folder, reason, hint)


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


def listed(digests: Mapping[Path, str]) -> list[dict[str, str]]:
    """Files for segments.json; digests: their sha256."""
    return [{"file": text_of_path(path.name), "sha256": digest} for path, digest in digests.items()]


def write_segments(
    out: Path,
    segments: Mapping[str, Sequence[Segment | SeizureWindow]],
    frames: int,
    ids: Mapping[str, str],
    other: OtherData | None,
    about: Mapping[str, Any],
    tables: Mapping[str, Path] | None = None,
) -> None:
    """Write the segments of each child as a data folder; an older one of this kind is replaced as a whole.

    ids: the child's id in the new folder; about: for segments.json; tables: files to copy, by their names there.
    Raises DataError, and changes nothing, when `out` holds something else. Segments of the other data are
    linked, or copied where that is not possible.
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
        for name, table in (tables or {}).items():
            shutil.copyfile(table, folder / name)
        origins = []
        of_videos: list[tuple[str, Path, float]] = []
        for child, of_child in segments.items():
            for number, segment in enumerate(of_child, start=1 + _last_number(ids[child], labels)):
                span = (segment.start, segment.start + frames)
                name = f"child_{ids[child]}_{number}.npy"
                [pose] = recordings.read_spans(segment.recording, [span])
                (folder / "train" / name).write_bytes(files.npy(pose))
                simulated |= recordings.is_simulated(segment.recording)
                labels[name] = segment.label
                start_s = segment.start / FPS
                of_videos.append((name, segment.recording, start_s))
                inside = [f"{time_s - start_s:.3f}" for time_s in segment.event_s or ()] or ["", ""]
                origins.append((name, segment.recording.name, f"{start_s:.3f}", segment.kind, segment.type, *inside))
                if segment.onsets_s is not None:
                    onsets[name] = (segment.onsets_s[0] - start_s, segment.onsets_s[1] - start_s)
        files.write_csv(folder / "train_data.csv", ("segment_name", "label"), labels.items())
        files.write_csv(folder / "origin.csv", ORIGIN_COLUMNS, origins)
        if video_rows := recording_videos.rows_of(of_videos):
            files.write_csv(folder / recording_videos.TABLE, recording_videos.COLUMNS, video_rows)
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
    """The highest number of the segments that a child has in the other data."""
    numbers = [name.removesuffix(".npy").rpartition("_")[2] for name in labels if child_of(name) == child]
    return max((int(number) for number in numbers if number.isdecimal()), default=0)
