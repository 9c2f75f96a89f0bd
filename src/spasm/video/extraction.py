"""Extract recordings of poses and segments from videos, each in its own process without network access.

Finished videos are not extracted again, and an unreadable video does not stop the others.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from spasm.core import files
from spasm.core.errors import DataError, DataProblems, collect_errors
from spasm.data.naming import child_of
from spasm.video import landmarker, one_video
from spasm.video.one_video import COLUMNS, Extraction
from spasm.video.parallel_extraction import extract_in_processes, extract_on_cluster
from spasm.video.recording_files import free_name, manifests, segments_of
from spasm.video.video_labels import TABLE, VideoLabel, write_training_segments

if TYPE_CHECKING:
    from spasm.cluster.tasks import Cluster

PACKAGES = ("mediapipe",)  # that a worker of a cluster needs beside those of every run
KEY = "video_sha256"  # the field of a manifest that only videos have


class ExtractedVideos(NamedTuple):
    """Result of `extract_videos`."""

    done_before: int
    """Videos that had been extracted before."""
    made: list[dict[str, Any]]
    """The manifest of each video that was extracted now."""
    manifests: dict[str, dict[str, Any]]
    """The manifest of each video in the folder, by the digest of its content."""
    same: list[str]
    """Videos that are given twice, or were extracted under another name, in words."""
    problems: list[DataError]
    """Errors of the videos that could not be extracted."""


def extract_videos(
    videos: Iterable[Path],
    extraction: Extraction,
    child: int | None,
    workers: int,
    progress: Callable[[], Any],
    cluster: "Cluster | None" = None,
    labels: Mapping[Path, VideoLabel] | None = None,
) -> ExtractedVideos:
    """Extract the poses of new videos in parallel. Raises DataError, TrainingError.

    child: number of the child in all videos; by default each video is of another child. labels: of all videos, whose
    segments become training segments. workers: 0 means one for every
    two CPU cores. progress: makes a progress bar of frames, as a context manager. cluster: extract there, one video for
    each thread of its workers.
    """
    landmarker.check_tools(extraction.model)
    files.check_writable(extraction.out)
    with files.lock(extraction.out / ".lock", "videos are being extracted into this folder", wait_s=1.0):
        files.remove_stale(extraction.out)
        problems: list[DataError] = []
        same: list[str] = []
        children = {video: one.child for video, one in (labels or {}).items()}
        planned = _plan(videos, extraction, lambda video: children.get(video) or child, problems, same)
        left = {video: name for video, name in planned.items() if name}
        if left:
            with progress() as bar:
                if cluster is None:
                    extract_in_processes(left, extraction, workers, bar.update, problems)
                else:
                    extract_on_cluster(left, extraction, cluster, bar.update, problems)
        kept = manifests(extraction.out, KEY)
        rows = ([one.get(column, "") for column in COLUMNS] for one in kept.values())
        files.write_csv(extraction.out / "videos.csv", COLUMNS, rows)
        if labels:
            named = {one[KEY]: name for name, one in kept.items()}
            label_of: dict[str, int] = {}
            for video, label in labels.items():
                name = named.get(files.sha256(video)) if video.is_file() else None
                if name and label_of.setdefault(name, label.label) != label.label:
                    hint = "correct the table and run it again"
                    problems.append(DataError(video, "has another label than a video with the same content", hint))
            same += write_training_segments(extraction.out, label_of)
        elif (extraction.out / TABLE).exists():  # segments of a video that was extracted again have no label now
            write_training_segments(extraction.out, {})
    return ExtractedVideos(
        done_before=len(planned) - len(left),
        made=[kept[name] for name in left.values() if name in kept],
        manifests={one[KEY]: one for one in kept.values()},
        same=same,
        problems=problems,
    )


def _plan(
    videos: Iterable[Path],
    extraction: Extraction,
    child_in: Callable[[Path], int | None],
    problems: list[DataError],
    same: list[str],
) -> dict[Path, str | None]:
    """The name of each video's recording, child_{id}_{n}; None if it is finished.

    child_in: the number of the child in a video; None for another child in each. Adds to the problems, and to `same`
    the videos that are given twice.
    """
    kept = manifests(extraction.out, KEY)
    named = {one[KEY]: name for name, one in kept.items()}
    names: dict[Path, str | None] = {}
    first_of: dict[str, Path] = {}
    for video in videos:
        if video in names:
            same.append(f"{video} is given twice")
            continue
        with collect_errors(problems):
            if not video.is_file():
                raise DataError(video, "is no file", "name a video")
            if not video.name.isprintable() or video.name[0] in "=+-@":
                raise DataError(video, "has a name that a table cannot hold", "rename it")
            key, child = one_video.key_of(video, extraction), child_in(video)
            digest = key[KEY]
            former = named.get(digest)
            first = first_of.setdefault(digest, video)
            if former is None:
                former = named[digest] = free_name(extraction.out, child, set(named.values()))
                names[video] = former
            elif former not in kept:
                names[video] = None
                same.append(f"{first} and {video} are the same video, extracted once, as {former}")
            elif child and child_of(former) != str(child):
                raise DataError(
                    video, f"was extracted as {former}", f"delete recordings/{former}.json for another child"
                )
            else:
                if kept[former].get("video") != video.name:
                    same.append(f"{video} is the same video as {kept[former].get('video')}, extracted as {former}")
                names[video] = None if _is_whole(extraction, former, kept[former], key) else former
                kept = {name: one for name, one in kept.items() if name != former}
    return names


def _is_whole(extraction: Extraction, name: str, kept: dict[str, Any], key: dict[str, Any]) -> bool:
    """Whether all files of a video exist and depend on the same key."""
    if key["pictures"] == "none":  # pictures of an earlier command are kept
        key = key | {"pictures": kept.get("pictures"), "mask": kept.get("mask")}
    if {field: kept.get(field) for field in key} != key:
        return False
    out = extraction.out
    if extraction.preview and not all(path.is_file() for path in one_video.sheet_of(out, name)):
        return False
    recording = out / "recordings" / f"{name}.npy"
    digest = files.sha256(recording) if recording.is_file() else ""
    count = len(segments_of(out, name)) + len(segments_of(out, name, "train"))
    pictures = {kind: len(segments_of(out, name, kind)) for kind in one_video.kinds(key["pictures"])}
    return kept["recording_sha256"] == digest and kept["segments"] == count and set(pictures.values()) <= {count}


class Recordings(NamedTuple):
    """Recordings, some of them extracted from videos."""

    paths: tuple[Path, ...]
    video_of: dict[str, str]
    """The name of the video by the name of the recording that was extracted from it."""
    path_of: dict[str, Path]
    """Likewise, the path of the video."""
    manifests: list[dict[str, Any]]
    """The manifest of each video."""
    same: list[str]
    """Videos that are given twice, in words."""


def with_recordings_of_videos(
    paths: Sequence[Path],
    extraction: Extraction,
    child: int | None,
    progress: Callable[[], Any],
    cluster: "Cluster | None" = None,
) -> Recordings:
    """Paths in which each video is replaced by its extracted recording; see `extract_videos`.

    Raises DataProblems, and DataError for a video without a visible person.
    """
    videos = [path for path in paths if path.suffix != ".npy"]
    if not videos:
        return Recordings(tuple(paths), {}, {}, [], [])
    extracted = extract_videos(videos, extraction, child, 0, progress, cluster)
    if extracted.problems:
        raise DataProblems(extracted.problems)
    manifests = {video: extracted.manifests[files.sha256(video)] for video in videos}
    for video, one in manifests.items():
        if not one["recording"]:
            raise DataError(video, one["note"], "name another video")
    made = {video: extraction.out / "recordings" / one["recording"] for video, one in manifests.items()}
    return Recordings(
        tuple(dict.fromkeys(made.get(path, path) for path in paths)),
        {one["recording"]: video.name for video, one in manifests.items()},
        {one["recording"]: video for video, one in manifests.items()},
        [{**one, "video": video.name} for video, one in manifests.items()],
        extracted.same,
    )
