"""Pictures of segments, small to make, in which positive segments can be recognised."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from spasm.data.pictures import LAYOUTS, MASK, SIDE, STEP, STILL, Kind

BOTH: tuple[Kind, ...] = ("vsvig", "two_stream")


def some_pictures(kind: Kind, frames: int, signal: float, seed: int, mask: str = "pose") -> dict[str, np.ndarray]:
    """The arrays of one segment: noise in the middle of the picture, brighter and faster for a while by `signal`."""
    generator = np.random.default_rng(seed)
    steps = frames // STEP
    event = np.zeros(steps)
    event[steps // 3 : 2 * steps // 3] = signal
    made = {name: np.zeros((steps, *shape), dtype) for name, (shape, dtype) in LAYOUTS[kind].items()}
    if kind == "vsvig":
        small = generator.uniform(40, 120, (steps, 15, 3, 4, 4)) * (1 + event[:, None, None, None, None])
        made["patches"][:] = small.repeat(8, 3).repeat(8, 4).clip(0, 255)
        made["keypoints"][:] = generator.uniform(0.3, 0.7, (1, 15, 3))
        return made
    small = generator.uniform(40, 120, (steps, 7, 7, 3)) * (1 + event[:, None, None, None])
    inside = slice(SIDE // 4, 3 * SIDE // 4)
    made["pictures"][:, inside, inside] = small.repeat(16, 1).repeat(16, 2).clip(0, 255)
    made["flow"][:] = STILL
    moved = generator.uniform(-10, 10, (steps, 7, 7, 2)).repeat(16, 1).repeat(16, 2)
    made["flow"][:, inside, inside] = STILL + moved + 60 * event[:, None, None, None]
    made[MASK] = np.array(mask)
    return made


def write_pictures(
    folder: Path,
    names: Sequence[str],
    labels: Sequence[int] | np.ndarray,
    frames: int,
    kinds: Sequence[Kind] = BOTH,
    signal: float = 1.0,
    seed: int = 0,
    mask: str = "pose",
) -> None:
    """Write DIR/KIND/NAME.npz for segments; those with label 1 have the signal. mask: see `data.pictures.MASK`."""
    for kind in kinds:
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for number, (name, label) in enumerate(zip(names, labels, strict=True)):
            made = some_pictures(kind, frames, signal * int(label), seed * 10_000 + number, mask)
            np.savez_compressed(folder / kind / f"{Path(name).stem}.npz", allow_pickle=False, **made)
