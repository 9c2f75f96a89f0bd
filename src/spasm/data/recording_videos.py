"""Which video a recording was made from: the frames of its segments are there."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from spasm.core import files
from spasm.core.errors import DataError

TABLE = "segment_videos.csv"
COLUMNS = ("segment_name", "video", "start_s")
FOLDERS = ("recording_videos", "videos")  # beside recordings/: simulate.py writes the first


class RecordingVideo(NamedTuple):
    """The video of a recording."""

    video: str
    """Its whole path, or its name alone where its folder is not known."""
    offset_s: float
    """Second of the video at which the recording begins."""


def video_of(recording: Path) -> RecordingVideo | None:
    """The video of recordings/NAME.npy, by NAME.json beside it or by a video of that name; None if it is not known."""
    for folder in FOLDERS:
        video = recording.parent.parent / folder / f"{recording.stem}.mp4"
        if video.is_file():
            return RecordingVideo(str(video.resolve()), 0.0)
    try:
        manifest = files.read_json(recording.with_suffix(".json"))
        return RecordingVideo(str(manifest["video"]), float(manifest.get("video_start_s", 0.0)))
    except (DataError, OSError, KeyError, TypeError, ValueError, AttributeError):
        return None  # it was not extracted from a video, or the file is of another program


def rows_of(segments: Iterable[tuple[str, Path, float]]) -> list[tuple[str, str, str]]:
    """Rows of segment_videos.csv for segments whose recording has a video: name, recording, its second there."""
    found: dict[Path, RecordingVideo | None] = {}
    rows = []
    for name, recording, start_s in segments:
        if recording not in found:
            found[recording] = video_of(recording)
        video = found[recording]
        if video is not None:
            rows.append((name, video.video, f"{video.offset_s + start_s:.3f}"))
    return rows
