"""RUN/oof.csv: the out-of-fold rows, from which decision and metrics are computed."""

import math
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from spasm.core import files
from spasm.core.errors import DataError
from spasm.core.tables import read_table
from spasm.evaluation import metrics
from spasm.evaluation.metrics import ROWS
from spasm.runs.artefacts import OOF_COLUMNS, Metrics, rebuild_hint


class OofTable(NamedTuple):
    """oof.csv: every segment with the prediction by parameters fitted without its fold."""

    names: np.ndarray
    """(N,) text."""
    children: np.ndarray
    """(N,) text."""
    labels: np.ndarray
    """(N,) int64 of 0 and 1."""
    folds: np.ndarray
    """(N,) int64."""
    logits: dict[str, np.ndarray]
    """Logits (N,) of each complete model, the mean over its seeds."""
    probabilities: np.ndarray
    """(N,): cross-fitted, with weights and calibration of the other folds."""
    positive: np.ndarray
    """(N,) bool: the cross-fitted label."""
    in_sample: np.ndarray
    """(N,): the probability by the decision itself, fitted on these rows; used to choose a threshold again."""

    def write(self, path: Path) -> None:
        """Write the table."""
        header = (
            *OOF_COLUMNS,
            *(f"{name}_logit" for name in self.logits),
            *("probability", "label_predicted", "probability_in_sample"),
        )
        rows = zip(
            self.names, self.children, self.labels, self.folds, *self.logits.values(), self.probabilities,
            self.positive.astype(int), self.in_sample, strict=True,
        )  # fmt: skip
        files.write_csv(path, header, rows)

    @classmethod
    def read(cls, path: Path, hint: str) -> Self:
        """Read and check the table. Raises DataError."""
        rows = read_table(path, (*OOF_COLUMNS, "probability", "label_predicted", "probability_in_sample"))
        models = [name.removesuffix("_logit") for name in (rows[0] if rows else {}) if name.endswith("_logit")]

        def numbers(column: str) -> np.ndarray:
            return np.array([float(row[column]) for row in rows])

        try:
            table = cls(
                names=np.array([row["segment_name"] for row in rows], dtype=str),
                children=np.array([row["child"] for row in rows], dtype=str),
                labels=np.array([int(row["label"]) for row in rows], dtype=np.int64),
                folds=np.array([int(row["fold"]) for row in rows], dtype=np.int64),
                logits={name: numbers(f"{name}_logit") for name in models},
                probabilities=numbers("probability"),
                positive=np.array([int(row["label_predicted"]) for row in rows]) == 1,
                in_sample=numbers("probability_in_sample"),
            )
        except ValueError as error:
            raise DataError(path, f"holds values that are no numbers ({error})", hint) from error
        whole = np.isfinite(table.probabilities).all() and np.isfinite(table.in_sample).all()
        if not rows or not whole or not set(table.labels) <= {0, 1}:
            raise DataError(path, "is not a table of out-of-fold rows", hint)
        return table


def read_oof(run: Path, result: Metrics | None = None) -> OofTable:
    """A run's out-of-fold rows. Raises DataError if `result`, its metrics, were computed from other rows."""
    path = run / "oof.csv"
    table = OofTable.read(path, rebuild_hint(run))
    if result is not None:
        found = metrics.point_metrics(
            table.labels, table.probabilities, table.positive, table.children.tolist(), table.folds
        )
        if not all(_same(found[key], result.cross_fitted[key].value) for key, _ in ROWS):
            raise DataError(path, "is not the table that metrics.json was computed from", rebuild_hint(run))
    return table


def _same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other)
