"""Extract the pictures of segments whose poses are there already: simulated ones, or poses of another tool.

DIR/segment_videos.csv says for each segment in which video it is and at which second it begins; simulate.py --videos
and segments_from_onsets.py write it. The models vsvig_patches and two_stream_pictures read the pictures. Videos without
poses: extract_pose.py --pictures both.

Examples:
  python src/simulate.py --out input/seen --children 40 --segments-per-child 8 --videos
  python src/extract_pictures.py --data input/seen
  python src/train_folds.py --data input/seen --run output/seen --models rocket,two_stream_pictures
"""

import sys
from pathlib import Path
from typing import Annotated, Literal

from spasm.cli import app, progress
from spasm.config.fields import PER_CORE, Shown, settings, within
from spasm.core.errors import DataProblems
from spasm.core.text import shell_words
from spasm.data.pictures import Kind
from spasm.data.pose import FRAMES
from spasm.video import landmarker
from spasm.video.image_inputs import check_mask
from spasm.video.segment_pictures import Settings, make_pictures, read_places


@settings
class ExtractPictures:
    """Flags of extract_pictures.py."""

    data: Path = Path("input")
    """Folder with train/ or test/, and segment_videos.csv: segment_name, video, start_s."""
    frames: Annotated[int, within(16, 100_000)] = 150
    """Frames in a segment (T), a multiple of 5."""
    videos: Annotated[Path | None, Shown(default="the data folder")] = None
    """Folder of the videos that the table does not name by a whole path."""
    pictures: Literal["vsvig", "two_stream", "both"] = "both"
    """Pictures to write: patches around joints for VSViG, the upright child and its optical flow for the two-stream
    network, or both. Both show the child."""
    mask: str = "pose"
    """What separates the child from the background for two_stream: pose, painted from the pose, since the pose model
    may not find whom another tool found; mediapipe; or the ONNX file of a model, such as U2-Net."""
    model: Path = Path("input/models/pose_landmarker_full.task")
    """Pose model of --mask mediapipe; `make pose-model` builds it."""
    workers: Annotated[int, within(0, 256), PER_CORE] = 0
    """Videos read side by side."""

    def __post_init__(self) -> None:
        check_mask(self.mask)


def main(settings: ExtractPictures) -> int:
    kinds: tuple[Kind, ...] = ("vsvig", "two_stream") if settings.pictures == "both" else (settings.pictures,)
    if settings.mask == "mediapipe":
        landmarker.check_tools(settings.model)
    how = Settings(settings.data, kinds, settings.mask, settings.model, settings.frames)
    places = read_places(settings.data, settings.videos or settings.data)
    with progress.progress("extracting", total=len(places), unit="segment") as bar:
        result = make_pictures(places, how, settings.workers, bar.update)
    if result.done_before:
        print(f"{result.done_before} segments had their pictures")
    print(f"written: pictures of {result.made} segments in {', '.join(f'{settings.data / kind}/' for kind in kinds)}")
    models = {"vsvig": "vsvig_patches", "two_stream": "two_stream_pictures"}
    names = ",".join(models[kind] for kind in kinds)
    words = ["--data", settings.data, "--models", names] + ["--frames", settings.frames] * (settings.frames != FRAMES)
    print(f"next:    python src/train_folds.py {shell_words(*words)}")
    if result.problems:
        raise DataProblems(result.problems)
    return 0


if __name__ == "__main__":
    sys.exit(app.run(main, ExtractPictures, __doc__, stopped="finished segments are kept; run it again"))
