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

import command_line
from spasm import simulated_data
from spasm.segments import FPS, FRAMES, child_of
from spasm.settings import Simulate
from spasm.simulation import World


def main(settings: Simulate) -> int:
    rows = simulated_data.write_dataset(
        settings.out,
        settings.children,
        settings.segments_per_child,
        settings.seed,
        World(settings.frames, settings.prevalence, settings.mimics, settings.filming, settings.confound),
        settings.recordings,
        settings.minutes,
        settings.preview,
        settings.workers,
        functools.partial(command_line.progress, "simulate"),
    )
    print(f"SIMULATED data, seed {settings.seed}: no child is real, and no result on it says anything about patients.")
    for split in ("train", "test"):
        labels = [row["label"] for row in rows if row["split"] == split]
        children = {child_of(str(row["segment_name"])) for row in rows if row["split"] == split}
        print(f"{split}: {len(labels)} segments, {len(children)} children, prevalence {sum(labels) / len(labels):.3f}")
    names = ["train/", "train_data.csv", "test/", "groups.csv", "truth.csv", simulated_data.MARKER]
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
    sys.exit(command_line.run(main, Simulate, __doc__, stopped="nothing was written, an earlier set is as it was"))
