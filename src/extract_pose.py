"""From videos to poses at 30 frames a second: a recording of each, and segments in the challenge's layout.

MediaPipe looks for people; the infant is the smallest of those who stay (--pick). Only landmarks are written, never a
picture, and the programs that open the video are cut off every network: MediaPipe would report its use to its maker.
Videos that are done are not done again, and a video that cannot be read does not stop the others.

Example: python src/extract_pose.py video.mp4 --out input/videos
then: python submission.py --test input/videos/test, python src/timeline.py input/videos/recordings/child_1_1.npy
"""

import functools
import sys
from pathlib import Path
from typing import Annotated, Literal

import tyro

from spasm.cli import app, progress
from spasm.config.fields import SettingsError, settings, within
from spasm.core.errors import DataProblems
from spasm.video.extraction import Extraction, extract_videos


@settings
class ExtractPose:
    """Flags of extract_pose.py."""

    videos: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Videos: anything OpenCV reads."""
    out: Path = Path("input/videos")
    """Folder to write; videos that are extracted there are not extracted again."""
    model: Path = Path("input/models/pose_landmarker_full.task")
    """Pose model: lite, full or heavy, as `make pose-model` builds them, or Google's own."""
    child: Annotated[int | None, within(1, 1_000_000_000)] = None
    """Number of the child that all these videos show; otherwise each video is another child."""
    max_people: Annotated[int, within(1, 10)] = 2
    """People looked for in a picture, the infant among them; each costs time."""
    pick: Literal["smallest", "largest", "longest"] = "smallest"
    """Which of the people that stay in the picture is the infant: by size, or whoever is seen longest."""
    frames: Annotated[int, within(16, 100_000)] = 150
    """Frames in a segment (T)."""
    pictures: Literal["none", "vsvig", "two_stream", "both"] = "none"
    """Pictures to write of each segment: patches around joints, as VSViG reads them, or the infant upright and its
    optical flow, as the two-stream network does. Both show the child."""
    mask_model: Path | None = None
    """Model that tells the infant from the background for two_stream, an ONNX file such as U2-Net's; otherwise the pose
    model does."""
    workers: Annotated[int, within(0, 256)] = 0
    """Videos extracted side by side; 0 means one for every two CPU cores."""

    def __post_init__(self) -> None:
        if self.mask_model and self.pictures not in ("two_stream", "both"):
            raise SettingsError("--mask-model is for --pictures two_stream or both")


def main(settings: ExtractPose) -> int:
    if not settings.videos:
        raise SettingsError("name a video: python src/extract_pose.py video.mp4")
    how = Extraction(
        settings.out,
        settings.model,
        settings.max_people,
        settings.pick,
        settings.frames,
        settings.pictures,
        settings.mask_model,
    )
    bar = functools.partial(progress.progress, "extracting", unit="frame")
    extracted = extract_videos(settings.videos, how, settings.child, settings.workers, bar)
    if extracted.done_before:
        print(f"{extracted.done_before} videos are extracted already")
    for one in extracted.made:
        if one["note"]:
            print(f"warning: {one['video']}: {one['note']}", file=sys.stderr)
    print(f"written: {settings.out / 'videos.csv'}, recordings/ and segments in test/ ({settings.frames} frames each)")
    print(f"next: python submission.py --test {settings.out / 'test'}")
    if extracted.problems:
        raise DataProblems(extracted.problems)
    return 0


if __name__ == "__main__":
    sys.exit(app.run(main, ExtractPose, __doc__, stopped="videos that were finished are kept; run it again"))
