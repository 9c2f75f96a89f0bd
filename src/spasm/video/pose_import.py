"""Recordings of poses and segments from the pose files of other tools, as from videos.

Read, as landmarks, in picture units, one person followed, at 30 frames per second. A file that is imported is not
imported again, and one that cannot be used does not stop the others.
"""

import dataclasses
import hashlib
import importlib.util
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from spasm.config.fields import SettingsError
from spasm.config.pose_files import PoseFileSettings
from spasm.core import files
from spasm.core.errors import DataError, DataProblems, TrainingError, collect_errors, printable
from spasm.data.naming import child_of
from spasm.data.pose import FRAMES
from spasm.data.pose_files.base import PoseFile
from spasm.data.pose_files.recognise import (
    A_VIDEO,
    NATIVE,
    Source,
    array_shape,
    describe_poses,
    is_native,
    may_be_poses,
    pose_files_in,
    read_source,
    sources,
)
from spasm.data.recordings import frames_of
from spasm.video import decode, following, resampling, sandbox
from spasm.video.pose_units import followed, landmarks_of
from spasm.video.recording_files import free_name, manifest_path, manifests, remove, segments_of, write_recording
from spasm.video.tracking import Pick, chosen

KEY = "pose_file_sha256"  # the field of a manifest that only pose files have
VERSION = "pose import 1"  # of the poses; after a change of version files are imported again
COLUMNS = ("file", "tool", "child", "recording", "seconds", "pose_fraction", *following.COLUMNS, "note")
MOST_PEOPLE, USUAL_PEOPLE = 10, 5  # in a frame; following more takes more time
LONGEST_S = 24 * 3600
SHORT_S = 1.0


@dataclasses.dataclass(frozen=True)
class PoseImport:
    """Settings of the import, and the folder to write."""

    out: Path
    """Folder to write: recordings/, test/ and poses.csv."""
    settings: PoseFileSettings = PoseFileSettings()
    """What the files do not say of themselves."""
    max_people: int = USUAL_PEOPLE
    """Maximum number of people in a frame, the most confident ones."""
    pick: Pick = "child"
    """How the child is chosen among them."""
    at: tuple[float, float] | None = None
    """A place of the child, in fractions of the picture's width and height; it overrides `pick`."""
    frames: int = FRAMES
    """Frames in a segment (T)."""


class Imported(NamedTuple):
    """Result of `import_pose_files`."""

    done_before: int
    """Recordings that had been imported before."""
    made: list[dict[str, Any]]
    """The manifest of each recording that was imported now."""
    recordings: dict[Path, str]
    """The file name of the recording of each source, by the path of its first file."""
    manifests: list[dict[str, Any]]
    """The manifest of each source, in order."""
    problems: list[DataError]
    """Errors of the files that could not be imported."""

    def check(self) -> None:
        """Raises DataError if a file could not be imported."""
        if self.problems:
            raise DataProblems(self.problems) if len(self.problems) > 1 else self.problems[0]


class Clock(NamedTuple):
    """When the frames of a video are, and how large its picture is."""

    times_s: np.ndarray
    width: int
    height: int


def import_pose_files(paths: Sequence[Path], how: PoseImport, child: int | None) -> Imported:
    """Import new pose files, or folders of them. Raises DataError and TrainingError where nothing can begin.

    child: number of the child in all recordings; by default each is of another child, or the one of a file named
    child_{id}_{n}.
    """
    problems: list[DataError] = []
    found = sources(paths)
    video = how.settings.video
    if video is not None and len(found) != 1:
        raise DataError(video, f"is one video, but there are {len(found)} recordings", "import each with its own video")
    files.check_writable(how.out)
    with files.lock(how.out / ".lock", "pose files are being imported into this folder", wait_s=1.0):
        files.remove_stale(how.out)
        clock = read_clock(video) if video is not None else None
        kept = manifests(how.out, KEY)
        named = {one[KEY]: name for name, one in kept.items()}
        names: dict[Path, str] = {}
        made: list[str] = []
        for source in found:
            with collect_errors(problems):
                key = key_of(source, how)
                name = _name(source, how.out, child, named, key[KEY])
                if name in names.values() and named.get(key[KEY]) != name:
                    raise DataError(source.path, f"is another recording named {name}", "rename one of them")
                if not (name in kept and _is_whole(how.out, name, kept[name], key)) and name not in made:
                    _import(source, name, key, how, clock)
                    made.append(name)
                named[key[KEY]] = name
                names[source.path] = name
        kept = manifests(how.out, KEY)
        rows = ([one[column] for column in COLUMNS] for one in kept.values())
        files.write_csv(how.out / "poses.csv", COLUMNS, rows)
    return Imported(
        done_before=len(set(names.values()) - set(made)),
        made=[kept[name] for name in made],
        recordings={path: kept[name]["recording"] for path, name in names.items()},
        manifests=[kept[name] for name in dict.fromkeys(names.values())],
        problems=problems,
    )


def key_of(source: Source, how: PoseImport) -> dict[str, Any]:
    """The key that a recording depends on. Raises DataError."""
    whole = hashlib.sha256()
    for path in source.files:
        name = path.name if source.frames else os.path.relpath(path, source.path)
        whole.update(f"{name!a} {files.sha256(path)}\n".encode())
    settings = how.settings
    return {
        KEY: whole.hexdigest() if source.frames or source.path.is_dir() else files.sha256(source.path),
        "version": VERSION,
        "fps": settings.fps,
        "size": None if settings.width is None else [settings.width, settings.height],
        "video_sha256_of_clock": files.sha256(settings.video) if settings.video else None,
        "joints": settings.joints,
        "min_confidence": settings.min_confidence,
        "max_people": how.max_people,
        "pick": how.pick,
        "at": None if how.at is None else list(how.at),
        "segment_frames": how.frames,
    }


def _name(source: Source, out: Path, child: int | None, named: dict[str, str], digest: str) -> str:
    """The name of a recording, child_{id}_{n}: that of the file, if it has such a name. Raises DataError."""
    former = named.get(digest)
    if NATIVE.fullmatch(source.name):
        if child is not None and child_of(source.name) != str(child):
            raise DataError(source.path, f"is named as another child than --child {child}", "leave --child out")
        taken = manifest_path(out, source.name).exists() and source.name not in named.values()
        if taken:
            raise DataError(source.path, f"{source.name} is the recording of a video in {out}", "give another --out")
        return source.name
    if former is None:
        return free_name(out, child, set(named.values()))
    if child is not None and child_of(former) != str(child):
        hint = f"delete recordings/{former}.json for another child"
        raise DataError(source.path, f"was imported as {former}", hint)
    return former


def _is_whole(out: Path, name: str, kept: dict[str, Any], key: dict[str, Any]) -> bool:
    """Whether all files of a recording exist and depend on the same key."""
    if {field: kept.get(field) for field in key} != key:
        return False
    recording = manifest_path(out, name).with_suffix(".npy")
    digest = files.sha256(recording) if recording.is_file() else ""
    return kept["recording_sha256"] == digest and kept["segments"] == len(segments_of(out, name))


def _import(source: Source, name: str, key: dict[str, Any], how: PoseImport, clock: Clock | None) -> None:
    """Write a recording, its segments and, last, their manifest. Raises DataError."""
    path = source.path.parent if source.frames and len(source.frames) > 1 else source.path
    read = read_source(source, how.settings.joints)
    size = _size(read, how.settings, clock)
    times_s, fps, notes = _times(path, read, how.settings, clock)
    landmarks = landmarks_of(path, read, size, how.settings.min_confidence, how.max_people)
    picture = (round(size[0]), round(size[1])) if size else (1, 1)
    people = chosen(followed(landmarks.poses, landmarks.ids, picture), how.pick, how.at)
    if not people:
        raise DataError(path, "no person was found in any frame", "check what the tool found")
    if times_s[-1] - times_s[0] > LONGEST_S:
        raise DataError(path, f"is {(times_s[-1] - times_s[0]) / 3600:.0f} hours long", "cut it into parts of a day")
    poses = resampling.resampled(times_s, people[0].over(len(times_s)))
    seen = following.describe(people, len(times_s), picture, how.at is not None)
    notes += [*landmarks.notes, *seen.notes]
    if size is None and len(people) > 1:
        notes.append("the size of the picture is unknown and taken as square to compare people: add --width, --height")
    remove(how.out, name)
    manifest = {
        **key,
        "file": source.path.name if not source.frames else source.name,
        "tool": read.tool,
        "child": child_of(name),
        **write_recording(how.out, name, poses, how.frames),
        **seen.columns(),
        "followed": seen.sentence(),
        "note": "; ".join(notes),
        "file_frames": len(read.poses),
        "file_fps": None if fps is None else round(fps, 4),
        "width": None if size is None else size[0],
        "height": None if size is None else size[1],
    }
    files.write_json(manifest_path(how.out, name), manifest)


def _size(read: PoseFile, settings: PoseFileSettings, clock: Clock | None) -> tuple[float, float] | None:
    """Width and height of the picture in pixels; None if they are unknown."""
    if clock is not None:
        return clock.width, clock.height
    if settings.width is not None and settings.height is not None:
        return settings.width, settings.height
    return read.size


def _times(
    path: Path, read: PoseFile, settings: PoseFileSettings, clock: Clock | None
) -> tuple[np.ndarray, float | None, list[str]]:
    """The time of each frame in s, their rate, and notes on it. Raises DataError."""
    count = len(read.poses)
    notes = []
    if clock is not None:
        there = len(clock.times_s)
        if count > there:
            raise DataError(path, f"has {count} frames, the video only {there}", "name the video of these poses")
        if count < 0.98 * there:
            notes.append(f"it has {count} of the video's {there} frames: those after the last are without a pose")
        times_s = clock.times_s[:count]
        fps = (there - 1) / max(clock.times_s[-1] - clock.times_s[0], 1e-6) if there > 1 else None
    else:
        fps = settings.fps if settings.fps is not None else read.fps
        if fps is None:
            raise DataError(path, "its frames per second are unknown", "add --fps, such as --fps 25, or --video")
        if not 0.01 <= fps <= 10_000:
            raise DataError(path, f"has {fps:g} frames per second", "add the right ones: --fps 25")
        times_s = np.arange(count) / fps
    if fps is not None:
        notes += following.rate_notes(fps)
    if count < 2 or times_s[-1] - times_s[0] < SHORT_S:
        notes.append("it is too short to show a movement")
    return times_s, fps, notes


def import_summary(manifest: dict[str, Any]) -> str:
    """What was imported, in a line, and its notes below."""
    fps = "an uneven rate" if manifest["file_fps"] is None else f"{manifest['file_fps']:g} fps"
    people = "1 person" if manifest["people"] == 1 else f"{manifest['people']} people at once"
    line = (
        f"{printable(manifest['file'])}: {manifest['tool']}, {manifest['seconds']:.1f} s at {fps}, {people}; "
        f"{manifest['recording']} has a pose in {manifest['pose_fraction']:.0%} of its frames; {manifest['followed']}"
    )
    return "\n".join([line, *(f"  {note}" for note in manifest["note"].split("; ") if note)])


# ---- the video of the poses


def read_clock(video: Path) -> Clock:
    """Frame times and picture size of a video, read in its own process without network. Raises DataError."""
    if importlib.util.find_spec("cv2") is None:
        raise TrainingError(
            "OpenCV is not installed: python -m pip install -r requirements-video.txt, or give --fps, --width, --height"
        )
    sandbox.check()
    spawn = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(1, spawn, sandbox.enter_sandbox, (os.getpid(),)) as pool:
            return pool.submit(_clock, video).result()
    except BrokenProcessPool as error:
        raise DataError(video, "cannot be read as a video", "give --fps, --width and --height instead") from error


def _clock(video: Path) -> Clock:
    times_s = []
    size = (0, 0)
    for time_s, picture, _ in decode.frames(video):
        times_s.append(time_s)
        size = picture.shape[1], picture.shape[0]
    if not times_s:
        raise DataError(video, "holds no frame that can be decoded", "give --fps, --width and --height instead")
    return Clock(np.array(times_s), *size)


# ---- pose files among recordings


class WithPoseFiles(NamedTuple):
    """Recordings and videos, and what was imported for them."""

    paths: tuple[Path, ...]
    file_of: dict[str, str]
    """The name of the pose file by the file name of its recording."""
    manifests: list[dict[str, Any]]
    """The manifest of each imported recording."""


def with_recordings_of_pose_files(paths: Sequence[Path], how: PoseImport, child: int | None) -> WithPoseFiles:
    """Paths in which pose files of other tools are replaced by their imported recordings. Raises DataError."""
    paths = _expanded(paths)
    given = [path for path in paths if may_be_poses(path)]
    if not given:
        return WithPoseFiles(tuple(paths), {}, [])
    imported = import_pose_files(given, how, child)
    imported.check()
    recordings = [how.out / "recordings" / name for name in dict.fromkeys(imported.recordings.values())]
    others = [path for path in paths if path not in given]
    file_of = {one["recording"]: one["file"] for one in imported.manifests}
    return WithPoseFiles((*recordings, *others), file_of, imported.manifests)


def _expanded(paths: Sequence[Path]) -> list[Path]:
    """Paths in which a folder with recordings stands for them and for the pose files beside them."""
    found = []
    for path in paths:
        inside = pose_files_in(path) if path.is_dir() else []
        found += inside if any(map(is_native, inside)) else [path]
    return found


def check_flags(paths: Sequence[Path], given: PoseFileSettings) -> None:
    """Raise SettingsError for flags of pose files where there is no pose file."""
    if given == PoseFileSettings() or any(map(may_be_poses, _expanded(paths))):
        return
    if given.video is not None:
        hint = "name the video itself without a flag" if paths else "extract_pose.py makes segments of a video"
        raise SettingsError(f"--video names the video of pose files of other tools; there is no pose file: {hint}")
    flag = next(f"--{field.replace('_', '-')}" for field, value in vars(given).items() if value is not None)
    raise SettingsError(
        f"{flag} is for pose files of other tools; recordings and segments (.npy) have 30 fps: leave it out"
    )


class ImportedSegments(NamedTuple):
    """Segments of imported recordings."""

    folder: Path
    paths: list[Path]
    manifests: list[dict[str, Any]]


def segments_of_pose_files(test: Path, how: PoseImport) -> ImportedSegments | None:
    """Segments of the pose files at a path, or in a folder; None for a folder of segments, or one without poses.

    Raises DataError, also for a file that holds no poses.
    """
    if not test.exists() or (test.is_dir() and (_has_segments(test) or not describe_poses(test))):
        return None
    if test.is_file() and not may_be_poses(test):
        if test.suffix == ".npy":
            frames = frames_of(test)  # refuses a damaged file
            hint = "segments: name their folder; a recording: python src/timeline.py FILE"
            raise DataError(test, f"is one array of landmarks, of {frames} frames, not a folder of segments", hint)
        raise DataError(test, "is no pose file of a known tool", f"{A_VIDEO}; or name a folder with .npy segments")
    imported = import_pose_files([test], how, None)
    imported.check()
    names = [Path(one["recording"]).stem for one in imported.manifests]
    paths = sorted(path for name in names for path in segments_of(how.out, name))
    return ImportedSegments(how.out / "test", paths, imported.manifests)


def _has_segments(folder: Path) -> bool:
    """Whether a folder has .npy files of landmarks, or only damaged ones."""
    arrays = sorted(folder.glob("*.npy"))
    return any(map(is_native, arrays)) or (bool(arrays) and all(array_shape(path) is None for path in arrays))
