"""Settings of the data set and of the folds."""

from pathlib import Path
from typing import Annotated, Literal

from spasm.config.fields import ADVANCED, Seed, Shown, settings, within

LandmarkSet = Literal["all", "body_25", "coco_17"]
MovementClass = Literal["WMs", "FMs", "PR"]
"""Writhing and fidgety movements, and a poor repertoire: the folders of the two-stream network's tree."""


@settings
class Data:
    """What is read."""

    data: Path = Path("input")
    """Folder with train/ and train_data.csv; test/ and groups.csv if there are any."""
    frames: Annotated[int | None, within(16, 100_000), Shown(default="150, or what the data's format gives")] = None
    """Frames in every segment (T). Files of another length are refused."""
    name_pattern: Annotated[Literal["challenge", "safe"], ADVANCED] = "challenge"
    """Segment names: child_{number}_{number}.npy only, or any safe {child}_{segment}.npy."""
    landmarks: Annotated[LandmarkSet, ADVANCED] = "all"
    """Landmarks that a run reads: all 33, or those of 2-D tools, without z."""
    positive: Annotated[MovementClass | None, Shown(default="none", advanced=True)] = None
    """Class of general movements with label 1."""
    rehash: Annotated[bool, ADVANCED] = False
    """Read unchanged files again, too."""


@settings
class Folds:
    """How children are split into folds."""

    folds: Annotated[int, within(2, 100)] = 5
    """Number of folds; each child is in one."""
    splitter: Annotated[Literal["stratified", "grouped"], ADVANCED] = "stratified"
    """How children are divided; stratified balances the fraction of positives."""
    fold_seed: Annotated[Seed, ADVANCED] = 0
    """Seed of the folds; --seed never changes them."""
    folds_file: Annotated[Path | None, ADVANCED] = None
    """CSV with segment_name and fold; it replaces --folds, --splitter and --fold-seed."""
