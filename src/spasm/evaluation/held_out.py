"""Split children into parts that are held out in turn, and write the data without one part."""

import os
import shutil
from pathlib import Path

import numpy as np

from spasm.core import files
from spasm.core.errors import DataError
from spasm.data.annotations import group_values
from spasm.data.dataset import TrainingData
from spasm.data.folds import make_folds
from spasm.data.formats.convert import MARK
from spasm.data.pictures import LAYOUTS

BY_SEGMENT = "segment"  # instead of a column of groups.csv: split by segment, ignoring children


def parts(data: TrainingData, group_column: str, outer_folds: int, seed: int) -> np.ndarray:
    """The part (N,) text of each segment: the value of a column of groups.csv, or a fold if no column is given.

    A child is in one part only, unless the column is BY_SEGMENT. Raises DataError for a column without two values.
    """
    if group_column == BY_SEGMENT:
        part = np.random.default_rng(seed).permutation(len(data.labels)) % outer_folds
        return part.astype(str)
    if not group_column:
        return make_folds(data.labels, data.children, outer_folds, "stratified", seed).astype(str)
    part_of = group_values(data.groups, data.children, group_column)
    if not all(value.replace("-", "").replace("_", "").isalnum() for value in np.unique(part_of)):
        reason = f"{group_column} has values that cannot be in a file name"
        raise DataError("groups.csv", reason, "use letters, digits, - and _")
    if len(np.unique(part_of)) < 2:
        reason = f"all children have the same {group_column}"
        raise DataError("groups.csv", reason, "two values at least are needed")
    return part_of


def write_training_data(data: TrainingData, labels: np.ndarray, kept: np.ndarray, folder: Path) -> None:
    """Make a data folder of the segments `kept` (N,) bool with labels (N,); an older folder is replaced.

    Segments and their pictures are linked, or copied if links are not possible; the data itself stays unchanged.
    """
    names = np.array(data.names)[kept]
    pictures = [f"{Path(name).stem}.npz" for name in names]
    for part, files_of_part in [("train", list(names)), *((kind, pictures) for kind in LAYOUTS)]:
        shutil.rmtree(folder / part, ignore_errors=True)
        if part != "train" and not (data.folder / part).is_dir():
            continue
        (folder / part).mkdir(parents=True)
        for name in files_of_part:
            if part != "train" and not (data.folder / part / name).exists():  # a segment without a pose has none
                continue
            try:
                os.link(data.folder / part / name, folder / part / name)
            except OSError:  # another disk
                shutil.copy(data.folder / part / name, folder / part / name)
    rows = zip(names, labels[kept], strict=True)
    files.write_csv(folder / "train_data.csv", ("segment_name", "label"), rows)
    for name in ("groups.csv", "onsets.csv", "simulated.json", MARK):
        if (data.folder / name).exists():
            files.write_bytes(folder / name, (data.folder / name).read_bytes())
        else:  # gone since an earlier command
            (folder / name).unlink(missing_ok=True)
