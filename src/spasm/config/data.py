"""Settings of the data set and of the folds."""

from pathlib import Path
from typing import Annotated, Literal

from spasm.config.fields import Seed, settings, within


@settings
class Data:
    """What is read."""

    data: Path = Path("input")
    """Folder with train/, train_data.csv and, if wanted, test/ and groups.csv."""
    frames: Annotated[int | None, within(16, 100_000)] = None
    """Frames in every segment (T); 150, or what the data's own format says. Files of another length are refused."""
    name_pattern: Literal["challenge", "safe"] = "challenge"
    """Segment names: child_{number}_{number}.npy only, or any safe {child}_{segment}.npy."""
    rehash: bool = False
    """Read every file again, also those whose size and modification time have not changed."""


@settings
class Folds:
    """How children are dealt into folds."""

    folds: Annotated[int, within(2, 100)] = 5
    """Folds."""
    splitter: Literal["stratified", "grouped"] = "stratified"
    """Whole children either way; stratified also evens out the share of positives."""
    fold_seed: Seed = 0
    """Seed of the folds; --seed never changes them."""
    folds_file: Path | None = None
    """CSV with segment_name and fold, instead of the three settings above."""
