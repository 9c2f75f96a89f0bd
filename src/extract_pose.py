"""Extract poses from videos at 30 frames a second: a recording of each, and segments in the challenge's layout.

MediaPipe finds the people, and one of them is followed: the likeliest child, who is small and has the head low in the
picture. Check the contact sheet of each video in previews/; --at names the child by a place. Landmarks are written, and
six frames with blurred faces as the sheet. The programs that open a video have no network: MediaPipe would report its
use to its maker. A video that is extracted is not extracted again, and an unreadable one does not stop the others.

Examples:
  python src/extract_pose.py "my video.mp4" --out input/videos
  python src/extract_pose.py "my video.mp4" --at 0.3,0.6 --out input/videos
  python src/extract_pose.py videos/*.mp4 --labels labels.csv --pictures both --out input/labelled
  python submission.py --test input/videos/test --run output/demo
  python src/timeline.py input/videos/recordings/child_1_1.npy --run output/demo
"""

import functools
import sys
from pathlib import Path
from typing import Annotated, Literal

from spasm.cli import app, cluster, progress
from spasm.config.fields import ADVANCED, POSITIONAL, SettingsError, Shown, settings, within
from spasm.config.pose_files import Place, place_of
from spasm.config.runtime import Cluster
from spasm.core.errors import DataProblems
from spasm.core.outputs import check_folder
from spasm.core.text import shell_words
from spasm.data.pictures import check_length
from spasm.data.pose import FRAMES
from spasm.video import one_video
from spasm.video.extraction import PACKAGES, extract_videos
from spasm.video.image_inputs import check_mask
from spasm.video.one_video import Extraction
from spasm.video.tracking import Pick
from spasm.video.video_labels import read_labels


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
    labels: Annotated[Path | None, Shown(default="none")] = None
    """Table of labels of whole videos, video,label and, if wanted, child: their segments become training segments, in
    train/ with train_data.csv, in place of segments in test/."""
    max_people: Annotated[int, within(1, 10)] = 3
    """Most people to find in a frame, the child included; more take more time."""
    pick: Pick = "child"
    """Which person is the child: the likeliest by size and height of the head, or by size or time in view alone."""
    at: Place | None = None
    """A place of the child at any time, x,y in fractions of the picture from its top left corner, such as 0.3,0.6. It
    overrides --pick."""
    preview: bool = True
    """Write a contact sheet of each video, with blurred faces; --no-preview writes none."""
    frames: Annotated[int, within(16, 100_000)] = 150
    """Frames in a segment (T)."""
    pictures: Annotated[Literal["none", "vsvig", "two_stream", "both"], ADVANCED] = "none"
    """Pictures to write of each segment: patches around joints for VSViG, or the upright child and its optical flow
    for the two-stream network. Both show the child."""
    mask: Annotated[str, ADVANCED] = "pose"
    """What separates the child from the background for two_stream: pose, painted from the pose; mediapipe, the pose
    model's own mask; or the ONNX file of a model, such as U2-Net."""
    workers: Annotated[int, within(0, 256), Shown(default="one for every two CPU cores")] = 0
    """Videos extracted side by side."""
    cluster: Cluster = ""
    """Extract on a cluster of Dask, each video in a task: local:N (N videos at once on this machine), a scheduler's
    address, or the file that it wrote, see docs/cluster.md."""

    def __post_init__(self) -> None:
        if self.mask != "pose" and self.pictures not in ("two_stream", "both"):
            raise SettingsError("--mask is for --pictures two_stream or both")
        check_mask(self.mask)


def main(settings: ExtractPose) -> int:
    if not settings.videos:
        raise SettingsError(f"name a video: {app.command()} video.mp4")
    if settings.pictures != "none":
        check_length(settings.frames, "a network on pictures")
    cluster.check(settings.cluster, settings.workers)
    check_folder(settings.out, ("test/*.npy", "train/*.npy", "recordings/*.npy"), "recordings/*.json")
    how = Extraction(
        settings.out,
        settings.model,
        settings.max_people,
        settings.pick,
        place_of(settings.at),
        settings.frames,
        settings.pictures,
        settings.preview,
        settings.mask,
    )
    bar = functools.partial(progress.progress, "extracting", unit="frame")
    labels = None if settings.labels is None else read_labels(settings.labels, settings.videos)
    with cluster.opened(settings.cluster, PACKAGES) as on_cluster:
        extracted = extract_videos(settings.videos, how, settings.child, settings.workers, bar, on_cluster, labels)
    if extracted.done_before:
        print(f"{extracted.done_before} videos are extracted already")
    for one in extracted.made:
        print(one_video.summary(one, settings.out))
    app.warn([*extracted.same, *(f"{one['video']}: {one['note']}" for one in extracted.made if one["note"])])
    where = f"segments in {'test/' if labels is None else 'train/, train_data.csv'} ({settings.frames} frames each)"
    print(f"written: {settings.out / 'videos.csv'}, recordings/ and {where}")
    print(f"next:    python {next_command(settings)}")
    if extracted.problems:
        raise DataProblems(extracted.problems)
    return 0


def next_command(settings: ExtractPose) -> str:
    """What to do with the segments: predict them, or train on them if they have labels."""
    if settings.labels is None:
        return f"submission.py --test {shell_words(settings.out / 'test')}"
    models = {"vsvig": "vsvig_patches", "two_stream": "two_stream_pictures"}
    names = ",".join(["rocket", *(models[kind] for kind in one_video.kinds(settings.pictures))])
    words = ["--data", settings.out, "--models", names] + ["--frames", settings.frames] * (settings.frames != FRAMES)
    return f"src/train_folds.py {shell_words(*words)}"


if __name__ == "__main__":
    sys.exit(app.run(main, ExtractPose, __doc__, stopped="videos that were finished are kept; run it again"))
