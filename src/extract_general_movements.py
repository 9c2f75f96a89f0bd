"""Make the pictures of the two-stream network for general movements, from a tree of videos by class.

DATA/{WMs,FMs,PR}/SUBJECT/video.mp4 (writhing, fidgety, poor repertoire), as published by Hashimoto et al. 2022, becomes
224x224/ (each frame at 30 per second: background removed, the infant upright and in the middle), 224x224_flow/{X,Y}/
(its optical flow, six per second) and poses.npy in the same folder. A poses.npy that is there is used instead of
MediaPipe. The programs that open a video have no network. What is extracted is not extracted again, and a video that
cannot be read does not stop the others.

Examples:
  python src/extract_general_movements.py --data input/movements
  python src/extract_general_movements.py --data input/movements --mask u2net.onnx
  python src/train_general_movements.py --data input/movements --run output/movements
"""

import functools
import sys
from pathlib import Path
from typing import Annotated

from spasm.cli import app, progress
from spasm.config.fields import Shown, settings, within
from spasm.core.errors import DataProblems
from spasm.core.text import shell_words
from spasm.video.general_movement_tree import extract_tree
from spasm.video.general_movements import MovementExtraction
from spasm.video.tracking import Pick


@settings
class ExtractGeneralMovements:
    """Flags of extract_general_movements.py."""

    data: Path = Path("input/movements")
    """Folder with WMs/, FMs/ and PR/, or with data/ that holds them; the pictures are written beside the videos."""
    mask: Annotated[str, Shown(value="pose|mediapipe|FILE.onnx")] = "mediapipe"
    """What removes the background: painted from the pose, MediaPipe's mask, or a saliency model such as U2-Net's
    (published)."""
    model: Path = Path("input/models/pose_landmarker_full.task")
    """Pose model: lite, full or heavy, built by `make pose-model`, or Google's own."""
    max_people: Annotated[int, within(1, 10)] = 3
    """Most people to find in a frame, the infant included; more take more time."""
    pick: Pick = "child"
    """Which person is the infant: the likeliest by size and height of the head, or by size or time in view alone."""
    workers: Annotated[int, within(0, 256), Shown(default="one for every two CPU cores")] = 0
    """Infants extracted side by side."""


def main(settings: ExtractGeneralMovements) -> int:
    how = MovementExtraction(settings.model, settings.max_people, settings.pick, settings.mask)
    bar = functools.partial(progress.progress, "extracting", unit="frame")
    extracted = extract_tree(settings.data, how, settings.workers, bar)
    if extracted.done_before:
        print(f"{extracted.done_before} infants are extracted already")
    print(f"written: 224x224/, 224x224_flow/ and poses.npy of {len(extracted.made)} infants in {settings.data}")
    if extracted.problems:
        raise DataProblems(extracted.problems)
    words = shell_words("--data", settings.data, "--run", Path("output") / settings.data.resolve().name)
    print(f"next:    python src/train_general_movements.py {words}")
    return 0


if __name__ == "__main__":
    sys.exit(app.run(main, ExtractGeneralMovements, __doc__, stopped="finished infants are kept; run it again"))
