"""Speed of each part of the body over a whole recording, read block by block, so that memory stays small."""

from pathlib import Path

import numpy as np

from spasm.data import recordings
from spasm.features.body_frame import PARTS, part_speeds

BLOCK = 300  # frames that share one trunk length and one body axis: 10 s, as long as two segments
EDGE = 2  # frames beside a gap or an end in which no speed is known, see `nan_math.FITS`


def fastest_in_steps(path: Path, frames: int, step: int) -> np.ndarray:
    """The highest speed of each of PARTS in every `step` frames of a recording of so many frames.

    (4, S) float32 in trunk lengths per second, S = ceil(frames / step); NaN where no speed is known: in gaps, next to
    them, and in a block of BLOCK frames without a trunk. Raises DataError.
    """
    fastest = np.full((len(PARTS), -(-frames // step)), np.nan, dtype=np.float32)
    for firsts, poses in recordings.windows(path, BLOCK + 2 * EDGE, BLOCK):  # blocks overlap by their edges
        for first, block in zip(firsts.tolist(), poses, strict=True):
            speeds = part_speeds(block[None])[0][:, : frames - first]
            before = first % step
            after = -(before + speeds.shape[1]) % step
            speeds = np.pad(speeds, ((0, 0), (before, after)), constant_values=np.nan)
            of_steps = np.fmax.reduce(speeds.reshape(len(PARTS), -1, step), axis=2)
            here = fastest[:, first // step :][:, : of_steps.shape[1]]
            np.fmax(here, of_steps, out=here)
    return fastest
