"""What the models of a run noted while they were trained: losses of networks, importances of features."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import numpy as np

from spasm.core.errors import DataError
from spasm.core.tables import read_table
from spasm.runs.folder import ModelFolder

T = TypeVar("T")


def training_losses(run: Path, models: Iterable[str]) -> dict[str, dict[tuple[int, int], np.ndarray]]:
    """Of each model that has a history.csv the loss after every epoch, by seed and fold."""
    losses = {}
    for name in models:
        path = ModelFolder(run / name).history
        if path.exists():
            folds: dict[tuple[int, int], list[float]] = {}
            for row in read_table(path, ("seed", "fold", "loss")):
                key = (_number(path, row, "seed", int), _number(path, row, "fold", int))
                folds.setdefault(key, []).append(_number(path, row, "loss", float))
            if folds:
                losses[name] = {key: np.array(values) for key, values in folds.items()}
    return losses


def feature_gains(run: Path, models: Iterable[str]) -> dict[str, np.ndarray]:
    """Of each group of features its fractions of the gain, one for each seed and fold of the first model with any."""
    for name in models:
        path = ModelFolder(run / name).importance
        if path.exists():
            gains: dict[str, list[float]] = {}
            for row in read_table(path, ("group", "gain_fraction")):
                gains.setdefault(row["group"], []).append(_number(path, row, "gain_fraction", float))
            return {group: np.array(values) for group, values in gains.items()}
    return {}


def _number(path: Path, row: dict[str, str], column: str, kind: Callable[[str], T]) -> T:
    try:
        return kind(row[column])
    except ValueError as error:
        reason = f"holds {row[column]!r} in the column {column}, which is not a number"
        raise DataError(path, reason, "train the model again, or remove the file") from error
