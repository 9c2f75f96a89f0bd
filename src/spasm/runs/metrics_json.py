"""What a run's metrics.json and oof.csv say, once they are known to be whole and of the run's own decision."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from spasm.core import files
from spasm.core.errors import DataError, printable
from spasm.core.tables import read_table
from spasm.evaluation import metrics
from spasm.evaluation.metrics import ROWS


class OutOfFold(NamedTuple):
    """Out-of-fold rows: every segment judged by choices that never saw its fold."""

    labels: np.ndarray
    """(N,) of 0 and 1."""
    probabilities: np.ndarray
    """(N,) in 0..1."""
    positive: np.ndarray
    """(N,) bool."""
    children: np.ndarray
    """(N,) text."""


def rebuild_hint(run: Path) -> str:
    """What to do where a run's figures are not as they should be."""
    return f"make it again: python src/blend.py --run {printable(run)}"


def read_figures(run: Path, decision: Mapping[str, Any]) -> dict[str, Any]:
    """The content of metrics.json. Raises DataError."""
    path, hint = run / "metrics.json", rebuild_hint(run)
    if not path.exists():
        raise DataError(path, "is not there: the run has no figures", hint)
    result = files.read_json(path)
    if not _is_well_formed(result):
        raise DataError(path, "does not hold the figures of this software", hint)
    if (result["data"], result["threshold"]) != (decision["data"], decision["threshold"]):
        raise DataError(path, "is of another decision than decision.json", hint)
    return result


def _is_well_formed(result: dict[str, Any]) -> bool:
    """Whether everything that reports tell of metrics.json is there and has its type."""
    keys = [key for key, _ in ROWS]
    try:
        context = result["child_context"]
        estimates = [result["cross_fitted"], context["with"], context["without"], *result["each_member"].values()]
        figures = [tree[key] for tree in estimates for key in keys] + [result["pooled_threshold"]["f1"]]
        rows = [*result["folds"], *(row for values in result["groups"].values() for row in values.values())]
        return (
            type(result["protocol"]) is str
            and all(_is_figure(figure[part]) for figure in figures for part in ("value", "low", "high"))
            and all(_is_figure(row[key]) for row in rows for key in keys)
            and all(type(row[key]) is int for row in rows for key in ("segments", "children"))
            and all(type(row["prevalence"]) is float for row in rows)
            and all(type(value) is float for value in result["cross_fitted_thresholds"])
            and len(result["cross_fitted_thresholds"]) == len(result["folds"]) > 0
            and {"data", "threshold"} <= set(result)
        )
    except (KeyError, TypeError, AttributeError):
        return False


def _is_figure(value: Any) -> bool:
    return value is None or (type(value) in (int, float) and math.isfinite(value))


def read_out_of_fold(run: Path, result: Mapping[str, Any]) -> OutOfFold:
    """The rows of oof.csv that metrics.json was made of. Raises DataError where it was made of others."""
    path = run / "oof.csv"
    rows = read_table(path, ("child", "label", "cross_fitted", "answer"))
    try:
        answers = OutOfFold(
            np.array([int(row["label"]) for row in rows]),
            np.array([float(row["cross_fitted"]) for row in rows]),
            np.array([int(row["answer"]) for row in rows]) == 1,
            np.array([row["child"] for row in rows], dtype=str),
        )
        told = {name: figure["value"] for name, figure in result["cross_fitted"].items()}
        found = metrics.figures(*answers[:3])
        same = set(answers.labels) <= {0, 1} and all(
            found[key] == told[key] or math.isclose(found[key] or math.nan, told[key]) for key, _ in ROWS
        )
    except (ValueError, TypeError, IndexError):  # no numbers, no rows, or figures that only one of the two has
        same = False
    if not same:
        raise DataError(path, "is not what metrics.json was made of", rebuild_hint(run))
    return answers
