"""Targets for a student: a network that learns from another run's predictions as well as from the labels.

Distillation: Hinton et al. 2015 (arXiv 1503.02531). A blend of three models is better than its network alone; a student
of the blend takes some of that over, and is small enough to be exported.
"""

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from spasm.config.network import NetworkConfig
from spasm.core.errors import DataError
from spasm.runs.folder import Run
from spasm.runs.oof_table import read_oof

LABEL_WEIGHT = 0.5  # of the label in a target; the rest is the teacher's. See docs/experiments.md


def taught(run: Run, teacher: Path) -> Run:
    """The run with targets halfway between its labels and the teacher's cross-fitted probabilities.

    The teacher never saw the child whose segment it predicts, but it saw the children that a student's fold scores. So
    the student's out-of-fold predictions are not quite those of new children. Raises DataError for a teacher that was
    trained on other segments, labels or folds.
    """
    table = read_oof(teacher)
    same = (
        table.names.tolist() == list(run.data.names)
        and np.array_equal(table.labels, run.data.labels)
        and np.array_equal(table.folds, run.fold_of)
    )
    if not same:
        reason = "holds other segments, labels or folds than the data of this run"
        raise DataError(teacher / "oof.csv", reason, "name a run of the same --data as --teacher")
    targets = LABEL_WEIGHT * table.labels + (1 - LABEL_WEIGHT) * table.probabilities
    return dataclasses.replace(run, data=dataclasses.replace(run.data, targets=targets.astype(np.float32)))


def student_config(config: NetworkConfig) -> Any:
    """The settings of a network with the loss that follows the targets."""
    return dataclasses.replace(config, optimization=dataclasses.replace(config.optimization, loss="soft"))


def digest(run: Run) -> str:
    """sha256 in hex of a taught run's targets."""
    return hashlib.sha256(np.asarray(run.data.targets, dtype="<f4").tobytes()).hexdigest()
