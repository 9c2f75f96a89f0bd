"""Labelled data of others, read to evaluate finished runs on it: segments, recordings, or both.

Digests of the poses show what a run was trained on, and whether the same data was evaluated before.
"""

import dataclasses
import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spasm.config.data import LandmarkSet
from spasm.core.errors import DataError, DataProblems, collect_errors, first_few, group_alike, printable
from spasm.core.nearby import nearest_name
from spasm.core.tables import numbered_rows, read_table
from spasm.data import recordings as recording_files
from spasm.data.annotations import read_tables
from spasm.data.dataset import SegmentFiles
from spasm.data.findings import Findings
from spasm.data.formats.convert import opened
from spasm.data.landmark_sets import keep_landmarks
from spasm.data.missing import no_training_data
from spasm.data.naming import child_of
from spasm.data.pictures import pictures_path, unusable
from spasm.data.quality import PoseQuality, measure_quality
from spasm.data.recordings import Checked, check_recordings, is_simulated
from spasm.data.segments import Progress, inspect_pose
from spasm.data.true_events import read_true_events
from spasm.evaluation.external import NOT_GIVEN
from spasm.features import kinematics
from spasm.inference.ensemble_predictor import picture_kinds
from spasm.inference.sliding_window import picture_keys
from spasm.runs.artefacts import Decision
from spasm.runs.training_segments import TrainingSegments, frame_digests, plain_bytes, pose_digest

BATCH = 64  # segments whose features are computed at a time
BLOCK = 1024  # frames of a recording that are hashed at a time
KIND = "kind"  # column of train_data.csv


@dataclasses.dataclass(frozen=True, eq=False)
class LabelledSegments:
    """N segments with labels, in the order of their names."""

    folder: Path
    frames: int
    """T"""
    paths: list[Path]
    children: np.ndarray
    """(N,) text."""
    labels: np.ndarray
    """(N,) int64 of 0 and 1."""
    groups: Mapping[str, Mapping[str, str]]
    """Row of groups.csv by child."""
    kinds: list[tuple[str, ...]] | None
    """The kinds of each segment; None where no table names them."""
    simulated: bool
    digests: Mapping[LandmarkSet, list[str]]
    """The digest of each segment's poses, by the set of landmarks that a run reads."""
    features: Mapping[LandmarkSet, np.ndarray]
    """(N, F) float32 kinematic features, in the order of `kinematics.NAMES`."""
    quality: PoseQuality
    findings: list[Findings]
    warnings: list[str]

    @property
    def names(self) -> list[str]:
        """The files' names."""
        return [path.name for path in self.paths]


@dataclasses.dataclass(frozen=True, eq=False)
class LabelledRecordings:
    """R recordings with their true events."""

    checked: Mapping[Path, Checked]
    true: Mapping[str, np.ndarray]
    """(E, 2) onset and offset in s, by the name of the recording's file."""
    groups: Mapping[str, Mapping[str, str]]
    simulated: bool
    digests: list[str]
    """The digest of each recording's poses."""
    warnings: list[str]

    @property
    def children(self) -> np.ndarray:
        """(R,) the child of each recording."""
        return np.array([child_of(path.name) for path in self.checked])


def has_segments(data: Path) -> bool:
    """Whether a folder seems to hold labelled segments, in the usual or in another system's layout."""
    return any(os.path.lexists(data / name) for name in ("train", "train_data.csv")) or not has_recordings(data)


def has_recordings(data: Path) -> bool:
    """Whether a folder seems to hold recordings with events."""
    return any(os.path.lexists(data / name) for name in ("recordings", "events.csv"))


def read_segments(
    data: Path,
    frames: int,
    names: str,
    cache: Path,
    landmark_sets: Collection[LandmarkSet],
    kind_column: str,
    progress: Progress = iter,
) -> LabelledSegments:
    """Read and check train/ and train_data.csv; labels of one class are accepted, as of controls.

    frames: T of the runs; landmark_sets: those that they read; kind_column: of train_data.csv, where it has one.
    Raises DataProblems with everything that is wrong.
    """
    source = opened(data, frames, cache)
    if not any(os.path.lexists(source.folder / name) for name in ("train", "train_data.csv")):
        raise no_training_data(data)
    if source.frames != frames:
        hint = "train a run on segments of this length, or cut the data again"
        raise DataError(data, f"has segments of {source.frames} frames (T), and the run reads {frames}", hint)
    tables = read_tables(source.folder, names, frames)
    problems, findings = list(tables.problems), []
    digests: dict[LandmarkSet, list[str]] = {one: [] for one in {"all", *landmark_sets}}
    features: dict[LandmarkSet, list[np.ndarray]] = {one: [] for one in landmark_sets}
    quality: list[PoseQuality] = []
    waiting: list[np.ndarray] = []

    def compute() -> None:
        poses = np.stack(waiting)
        quality.append(measure_quality(poses))
        for one, parts in features.items():
            parts.append(kinematics.compute_features(keep_landmarks(poses, one)))
        waiting.clear()

    for path in progress(tables.train):
        with collect_errors(problems):
            pose, _, found = inspect_pose(path, frames, source.folder)
            findings.append(found)
            for one, of_set in digests.items():
                of_set.append(pose_digest(keep_landmarks(pose, one)))
            waiting.append(pose)
            if len(waiting) == BATCH and not problems:
                compute()
    if problems:
        raise DataProblems(problems, tables.train)
    if waiting:
        compute()
    simulated = (source.folder / "simulated.json").is_file()
    return LabelledSegments(
        folder=source.folder,
        frames=frames,
        paths=tables.train,
        children=np.array([child_of(path.name) for path in tables.train]),
        labels=np.array([tables.labels[path.name] for path in tables.train], dtype=np.int64),
        groups={} if source.converted else tables.groups,
        kinds=_kinds(source.folder, [path.name for path in tables.train], simulated, kind_column),
        simulated=simulated,
        digests=digests,
        features={one: np.concatenate(parts) for one, parts in features.items()},
        quality=PoseQuality(*map(np.concatenate, zip(*quality, strict=True))),
        findings=findings,
        warnings=[
            *([source.notice] if source.notice else []),
            *group_alike([*source.warnings, *(one for one in tables.warnings if "one class" not in one.hint)]),
        ],
    )


def _kinds(folder: Path, names: Sequence[str], simulated: bool, column: str) -> list[tuple[str, ...]] | None:
    """The kinds of each segment: a column of train_data.csv or, of simulated data, what truth.csv has."""
    rows = {row["segment_name"]: row for _, row in numbered_rows(folder / "train_data.csv", ("segment_name", "label"))}
    columns = next(iter(rows.values()), {}).keys()
    if column in columns:
        return [(printable(rows[name][column]),) if rows[name][column] else () for name in names]
    if column != KIND:
        others = ", ".join(sorted(columns - {"segment_name", "label"})) or "none"
        hint = f"{nearest_name(column, sorted(columns))} Its other columns: {others}".strip()
        raise DataError(folder / "train_data.csv", f"has no column {column}", hint)
    if not (simulated and (folder / "truth.csv").exists()):  # another program's file of that name means something else
        return None
    kinds = {}
    for row in read_table(folder / "truth.csv", ("segment_name", "label", "event_type", "behaviours")):
        found = [row["event_type"], row.get("event2_type", "")] if row["label"] == "1" else row["behaviours"].split(";")
        kinds[row["segment_name"]] = tuple(sorted({printable(kind) for kind in found if kind}))
    return [kinds.get(name, ()) for name in names]


def read_recordings(data: Path) -> LabelledRecordings:
    """Read and check recordings/ and events.csv, or where that is missing review.csv or the folder reviews/.

    Raises DataError, DataProblems with everything that is wrong.
    """
    folder = data / "recordings"
    tables = [data / name for name in ("events.csv", "review.csv", "reviews") if (data / name).exists()]
    if not tables:
        hint = "write the true events into events.csv (recording, onset_s, offset_s); of controls only that header"
        reason = "has recordings but no events.csv, review.csv or reviews/, so that nothing can be evaluated"
        raise DataError(data, reason, hint)
    if tables == [data / "review.csv", data / "reviews"]:
        raise DataError(data, "has review.csv and the folder reviews/", "move review.csv into it, or one of them away")
    paths = sorted(folder.glob("*.npy")) if folder.is_dir() else []
    if not paths:
        raise DataError(folder, "holds no recording", "put the recordings there, as {child}_{number}.npy")
    checked = check_recordings(paths)
    true = read_true_events(tables[0], {path: one.frames for path, one in checked.items()}, {}, paths)
    groups: dict[str, dict[str, str]] = {}
    if (data / "groups.csv").exists():
        groups = {row["child"]: row for row in read_table(data / "groups.csv", ("child",))}
    return LabelledRecordings(
        checked=checked,
        true=true.spans,
        groups=groups,
        simulated=any(map(is_simulated, paths)),
        digests=[_recording_digest(path, one.frames) for path, one in checked.items()],
        warnings=group_alike(true.warnings),
    )


def _blocks(path: Path, frames: int) -> Iterable[np.ndarray]:
    """The poses (F, 33, 5) of a recording, in blocks; the last block may begin within the one before it."""
    length = min(BLOCK, frames)
    for _, poses in recording_files.windows(path, length, length):
        yield from poses


def _recording_digest(path: Path, frames: int) -> str:
    digest = hashlib.sha256()
    for poses in _blocks(path, frames):
        digest.update(plain_bytes(poses))
    return digest.hexdigest()


# ---- what a run was trained on


def check_strangers(
    run: Path,
    landmarks: LandmarkSet,
    known: TrainingSegments,
    segments: LabelledSegments | None,
    recordings: LabelledRecordings | None,
    same_ids: bool,
    shown: Callable[[Path], Any] = str,
) -> list[str]:
    """Warnings about ids in common. Raises DataError for poses that the run was trained on.

    With `same_ids` it raises for ids, too, which then are the same children.

    A training segment is recognised by its exact poses, and by its first frame with a pose inside a recording or inside
    a segment that was cut elsewhere. A changed copy is not, nor a piece that begins after that frame.
    """
    hint = "take them out: metrics on training data are no evaluation; use another run if all are its training data"
    if segments is not None:
        of_set = segments.digests[landmarks]
        poses_of = SegmentFiles(segments.paths, segments.frames, segments.folder, landmarks)
        inside = [
            name
            for row, (name, digest) in enumerate(zip(segments.names, of_set, strict=True))
            if digest in known.poses or _holds(poses_of[row], landmarks, known)
        ]
        if inside:
            reason = f"{len(inside)} of {len(of_set)} segments hold poses that {shown(run)} was trained on"
            raise DataError(segments.folder / "train", f"{reason} ({first_few(inside, 3)})", hint)
    if recordings is not None:
        inside = [
            path.name
            for path, one in recordings.checked.items()
            if any(_holds(poses, landmarks, known) for poses in _blocks(path, one.frames))
        ]
        if inside:
            reason = f"{len(inside)} of {len(recordings.checked)} recordings hold segments that {shown(run)}"
            folder = next(iter(recordings.checked)).parent
            raise DataError(folder, f"{reason} was trained on ({first_few(inside, 3)})", hint)
    children: set[str] = set()
    for part in (segments, recordings):
        children |= set(part.children.tolist()) if part is not None else set()
    common = sorted(children & known.children)
    if not common:
        return []
    reason = f"{len(common)} of {len(children)} children have an id that {shown(run)} was trained on"
    if same_ids:
        where = segments.folder if segments is not None else next(iter(recordings.checked)).parent  # type: ignore[union-attr]
        raise DataError(
            where, f"{reason} ({first_few(common, 3)})", f"with --same-ids these are the same children: {hint}"
        )
    return [f"{reason}: taken for other children, since every hospital counts from 1. Give --same-ids if they are not"]


def _holds(poses: np.ndarray, landmarks: LandmarkSet, known: TrainingSegments) -> bool:
    return not known.frames.isdisjoint(frame_digests(keep_landmarks(poses, landmarks)))


# ---- what was evaluated before


def check_pictures(
    segments: LabelledSegments | None, recordings: LabelledRecordings | None, decisions: Iterable[Decision]
) -> None:
    """Raise DataProblems with all pictures that the models of some decisions read, and that are missing or wrong."""
    problems: list[DataError] = []
    checked: list[Path] = []
    wanted = dict.fromkeys(pair for decision in decisions for pair in picture_kinds(decision).items())
    if segments is not None:
        rows = zip(segments.paths, segments.findings, strict=True)
        posed = [path for path, findings in rows if findings.posed]
        for kind, mask in wanted:
            problems += unusable(posed, kind, mask)
            checked += [pictures_path(path, kind) for path in posed]
    if recordings is not None:
        for kind, mask in wanted:
            with collect_errors(problems):
                picture_keys(list(recordings.checked), {kind: mask})
    if problems:
        raise DataProblems(problems, checked)


def data_digest(segments: LabelledSegments | None, recordings: LabelledRecordings | None) -> str:
    """The sha256 of labels and poses, whatever the files are named and in whatever order they are."""
    lines = []
    if segments is not None:
        pairs = zip(segments.digests["all"], segments.labels.tolist(), strict=True)
        lines += [f"segment {digest} {label}" for digest, label in pairs]
    if recordings is not None:
        for path, digest in zip(recordings.checked, recordings.digests, strict=True):
            lines.append(f"recording {digest} {recordings.true[path.name].round(3).tolist()}")
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def pose_digests(segments: LabelledSegments | None, recordings: LabelledRecordings | None) -> list[str]:
    """A short digest of each segment's and each recording's poses, sorted, for the lock-box."""
    found = set(segments.digests["all"] if segments is not None else ())
    found |= set(recordings.digests if recordings is not None else ())
    return sorted(digest[:16] for digest in found if digest)


def resampling_seed(segments: LabelledSegments | None, recordings: LabelledRecordings | None) -> int:
    """The seed of all resamples of children in an evaluation: the same for the same poses, and known only inside.

    Who knew the resamples could try the counts of each child until value, interval and standard error fit. So the seed
    is a digest of the whole digests of the poses. Neither `data_digest`, which is given out, nor the short digests of
    the lock-box give it away.
    """
    digests = [*(segments.digests["all"] if segments else ()), *(recordings.digests if recordings else ())]
    return int(hashlib.sha256("\n".join(["resamples of children", *sorted(digests)]).encode()).hexdigest(), 16)


def columns_of(groups: Mapping[str, Mapping[str, str]]) -> list[str]:
    """The columns of groups.csv by which metrics are reported."""
    return sorted({column for row in groups.values() for column in row} - {"child", "source", "clip"})


def cell_of(groups: Mapping[str, Mapping[str, str]], children: Iterable[str], column: str) -> np.ndarray:
    """The value of a column of groups.csv for each of some children, as it may be shown; NOT_GIVEN without one."""
    return np.array([printable(groups.get(child, {}).get(column, "") or NOT_GIVEN) for child in children])
