"""What a run's metrics.json says, once it is known to be whole and of the run's own decision."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spasm import files
from spasm.errors import DataError, printable
from spasm.report_text import ROWS


def again(run: Path) -> str:
    """What to do where a run's figures are not as they should be."""
    return f"make it again: python src/blend.py --run {printable(run)}"


def read_figures(run: Path, decision: Mapping[str, Any]) -> dict[str, Any]:
    """The content of metrics.json. Raises DataError."""
    path, hint = run / "metrics.json", again(run)
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
        figures = [tree[key] for tree in estimates for key in keys] + [result["plain_out_of_fold_optimistic"]["f1"]]
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
