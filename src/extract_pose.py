"""Extract poses from videos at 30 frames a second: a recording of each, and segments in the challenge's layout.

MediaPipe finds the people; the infant is the smallest of those who stay in view (--pick). Only landmarks are written,
unless --pictures asks for more. The programs that open a video have no network: MediaPipe would report its use to its
maker. A video that is extracted is not extracted again, and one that cannot be read does not stop the others.

Examples:
  python src/extract_pose.py "my video.mp4" --out input/videos
  python submission.py --test input/videos/test --run output/demo
  python src/timeline.py input/videos/recordings/child_1_1.npy --run output/demo
"""

import functools
import sys
from pathlib import Path
from typing import Annotated, Literal

from spasm.cli import app, progress
from spasm.config.fields import ADVANCED, POSITIONAL, SettingsError, Shown, settings, within
from spasm.core.errors import DataProblems
from spasm.core.outputs import check_folder
from spasm.core.text import shell_words
from spasm.video.extraction import Extraction, extract_videos


@settings
class ExtractPose:
    """Flags of extract_pose.py."""

    videos: Annotated[tuple[Path, ...], POSITIONAL] = ()
    """Videos in any format that OpenCV reads."""
    out: Path = Path("input/videos")
    """Folder to write; videos already extracted there are not extracted again."""
    model: Path = Path("input/models/pose_landmarker_full.task")
    """Pose model: lite, full or heavy, built by `make pose-model`, or Google's own."""
    child: Annotated[int | None, within(1, 1_000_000_000), Shown(default="another child in each video")] = None
    """Number of the child in all these videos."""
    max_people: Annotated[int, within(1, 10)] = 2
    """Most people to find in a frame, the infant included; more take more time."""
    pick: Literal["smallest", "largest", "longest"] = "smallest"
    """Which person in view is the infant: by size, or by the time in view."""
    frames: Annotated[int, within(16, 100_000)] = 150
    """Frames in a segment (T)."""
    pictures: Annotated[Literal["none", "vsvig", "two_stream", "both"], ADVANCED] = "none"
    """Pictures to write of each segment: patches around joints for VSViG, or the upright infant and its optical flow
    for the two-stream network. Both show the child."""
    mask_model: Annotated[Path | None, Shown(default="the pose model", advanced=True)] = None
    """ONNX file of a model, such as U2-Net, that separates the infant from the background for two_stream."""
    workers: Annotated[int, within(0, 256), Shown(default="one for every two CPU cores")] = 0
    """Videos extracted side by side."""

    def __post_init__(self) -> None:
        if self.mask_model and self.pictures not in ("two_stream", "both"):
            raise SettingsError("--mask-model is for --pictures two_stream or both")


def main(settings: ExtractPose) -> int:
    if not settings.videos:
        raise SettingsError(f"name a video: {app.command()} video.mp4")
    check_folder(settings.out, ("test/*.npy", "recordings/*.npy"), "recordings/*.json")
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
    print(f"next:    python submission.py --test {shell_words(settings.out / 'test')}")
    if extracted.problems:
        raise DataProblems(extracted.problems)
    return 0


if __name__ == "__main__":
    sys.exit(app.run(main, ExtractPose, __doc__, stopped="videos that were finished are kept; run it again"))
