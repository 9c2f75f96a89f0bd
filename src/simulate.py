"""Write a folder of SIMULATED segments in the challenge's layout, to try everything without your own data.

Infants move, some have spasms, and the poses have the gaps and the noise of real home videos. Besides train/,
train_data.csv and test/ it writes groups.csv (patients and controls) and truth.csv (when each spasm is, what else the
child does, how it lies and how it is recorded). --recordings adds long recordings with events.csv and seizures.csv,
--videos adds videos, --preview pictures of every behaviour.

Examples:
  python src/simulate.py --out input/demo --children 60 --segments-per-child 10 --seed 7
  python src/simulate.py --out input/infants --recordings 4 --minutes 10
  python src/simulate.py --out input/videos_demo --children 40 --segments-per-child 6 --videos
"""

import functools
import sys
from pathlib import Path
from typing import Annotated, Literal

from spasm.cli import app, progress
from spasm.config.fields import ADVANCED, Count, Probability, Seed, Shown, settings, within
from spasm.core.text import shell_words
from spasm.data.naming import child_of
from spasm.data.pose import FPS, FRAMES
from spasm.simulation import dataset_writer
from spasm.simulation.infant import SimulationConfig


@settings
class Simulate:
    """Flags of simulate.py."""

    out: Path = Path("input/demo")
    """Folder to write; it must be new, or made by this script."""
    children: Annotated[int, within(4, 100_000)] = 60
    """Children in train/ and test/ together."""
    segments_per_child: Count = 10
    """Segments of each child."""
    frames: Annotated[int, within(60, 100_000)] = 150
    """Frames in every segment (T), at 30 frames per second."""
    prevalence: Annotated[float, within(0, 0.55)] = 0.25
    """Fraction of positive segments; two fifths of the children are controls and have none."""
    mimic_fraction: Annotated[Probability, ADVANCED] = 0.0
    """Fraction of the negative segments with a benign movement that cannot be distinguished from a spasm."""
    camera_setup: Annotated[Literal["home", "table", "ward"], ADVANCED] = "home"
    """Phones at home, webcams at a table (the sensor is calibrated on these), or a tripod on a ward."""
    confound: Annotated[bool, ADVANCED] = False
    """Record the controls on a ward, so that a model can use the camera setup instead of the movement."""
    recordings: Annotated[int, within(0, 100_000)] = 0
    """Long recordings to write into recordings/ beside the segments, with events.csv."""
    minutes: Annotated[float, within(1, 1440)] = 10.0
    """Length of each recording."""
    videos: bool = False
    """Write a video of each segment into videos/, with segment_videos.csv, and of each recording into
    recording_videos/. Needs requirements-video.txt; other files are the same without it."""
    preview: bool = False
    """Write contact sheets and short animations of each behaviour into preview/."""
    workers: Annotated[int, within(0, 256), Shown(default="one per CPU core", advanced=True)] = 0
    """Children simulated side by side. The files do not depend on it."""
    seed: Seed = 7
    """Seed: the same seed gives the same files, byte for byte."""


def main(settings: Simulate) -> int:
    rows = dataset_writer.write_dataset(
        settings.out,
        settings.children,
        settings.segments_per_child,
        settings.seed,
        SimulationConfig(
            settings.frames, settings.prevalence, settings.mimic_fraction, settings.camera_setup, settings.confound
        ),
        settings.recordings,
        settings.minutes,
        settings.preview,
        settings.workers,
        functools.partial(progress.progress, "simulate"),
        settings.videos,
    )
    print(f"SIMULATED data, seed {settings.seed}: no child is real, and no result on it is about patients.")
    for split in ("train", "test"):
        labels = [row["label"] for row in rows if row["split"] == split]
        children = {child_of(str(row["segment_name"])) for row in rows if row["split"] == split}
        print(f"{split}: {len(labels)} segments, {len(children)} children, prevalence {sum(labels) / len(labels):.3f}")
    names = ["train/", "train_data.csv", "test/", "groups.csv", "truth.csv", dataset_writer.MARKER]
    if settings.recordings:
        minutes = f"{settings.recordings * settings.minutes:g} minutes"
        print(f"recordings: {settings.recordings}, {minutes}, float32 at {FPS:g} frames per second")
        names += ["recordings/", "events.csv", "seizures.csv"]
    if settings.videos:
        names += ["videos/", "segment_videos.csv"] + ["recording_videos/"] * bool(settings.recordings)
    if settings.preview:
        names.append("preview/")
    print(f"written: {settings.out}: {', '.join(names)}")
    frames = f" --frames {settings.frames}" if settings.frames != FRAMES else ""
    print(f"next:    python src/verify.py --data {shell_words(settings.out)}{frames}")
    return 0


if __name__ == "__main__":
    sys.exit(app.run(main, Simulate, __doc__, stopped="nothing was written, an earlier set is as it was"))
