"""Make a folder of SIMULATED segments in the challenge's layout, to try everything without data of your own.

Infants move, some have spasms, and a camera sees them with the gaps and the noise of real home videos. Besides train/,
train_data.csv and test/ it writes groups.csv (who is a patient, who a control) and truth.csv (where each spasm lies,
what else the child does, how it lies and is filmed). --recordings adds long recordings with events.csv, --preview
pictures of what every behaviour looks like.

Example: python src/simulate.py --out input/demo --children 60 --segments-per-child 10 --seed 7
"""

import functools
import shlex
import sys
from pathlib import Path
from typing import Annotated, Literal

from spasm.cli import app, progress
from spasm.config.fields import Count, Probability, Seed, settings, within
from spasm.data.naming import child_of
from spasm.data.pose import FPS, FRAMES
from spasm.simulation import dataset_writer
from spasm.simulation.infant import SimulationConfig


@settings
class Simulate:
    """Flags of simulate.py."""

    out: Path = Path("input/demo")
    """Folder to write; refused when it holds anything this script did not make."""
    children: Annotated[int, within(4, 100_000)] = 60
    """Children in train/ and test/ together."""
    segments_per_child: Count = 10
    """Segments of each child."""
    frames: Annotated[int, within(60, 100_000)] = 150
    """Frames in every segment (T), at 30 frames per second."""
    prevalence: Annotated[float, within(0, 0.55)] = 0.25
    """Share of positive segments among all; two fifths of the children are controls and have none."""
    mimic_fraction: Probability = 0.0
    """Share of the negative segments with a benign movement just like a spasm, which nobody could tell apart."""
    camera_setup: Literal["home", "table", "ward"] = "home"
    """Phones at home, webcams at a table (what the sensor is calibrated on), or a ward's tripod."""
    confound: bool = False
    """Film the controls on a ward, so that a model can cheat by telling cohorts apart."""
    recordings: Annotated[int, within(0, 100_000)] = 0
    """Long recordings to write into recordings/ beside the segments, with events.csv."""
    minutes: Annotated[float, within(1, 1440)] = 10.0
    """Length of each recording."""
    preview: bool = False
    """Draw contact sheets and short films of each behaviour into preview/."""
    workers: Annotated[int, within(0, 256)] = 0
    """Children simulated side by side; 0 means one per CPU core. The files do not depend on it."""
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
    )
    print(f"SIMULATED data, seed {settings.seed}: no child is real, and no result on it says anything about patients.")
    for split in ("train", "test"):
        labels = [row["label"] for row in rows if row["split"] == split]
        children = {child_of(str(row["segment_name"])) for row in rows if row["split"] == split}
        print(f"{split}: {len(labels)} segments, {len(children)} children, prevalence {sum(labels) / len(labels):.3f}")
    names = ["train/", "train_data.csv", "test/", "groups.csv", "truth.csv", dataset_writer.MARKER]
    if settings.recordings:
        minutes = f"{settings.recordings * settings.minutes:g} minutes"
        print(f"recordings: {settings.recordings}, {minutes}, float32 at {FPS:g} frames per second")
        names += ["recordings/", "events.csv"]
    if settings.preview:
        names.append("preview/")
    print(f"wrote {settings.out}: {', '.join(names)}")
    frames = f" --frames {settings.frames}" if settings.frames != FRAMES else ""
    print(f"next: python src/verify.py --data {shlex.quote(str(settings.out))}{frames}")
    return 0


if __name__ == "__main__":
    sys.exit(app.run(main, Simulate, __doc__, stopped="nothing was written, an earlier set is as it was"))
