"""Reading decision.json."""

import math
import re
from pathlib import Path
from typing import Any

from spasm.config.ensemble import Blend
from spasm.config.fields import SettingsError, from_tree
from spasm.core import files
from spasm.core.errors import DataError
from spasm.ensemble.blending import BlendParameters
from spasm.runs.run import MemberFolder, check_files


def open_decision(run: Path) -> dict[str, Any]:
    """A run's decision.json, once every file it rests on is known to be there and unchanged. Raises DataError."""
    path = run / "decision.json"
    if not path.exists():
        hint = f"train all folds first: python src/train_folds.py --run {run}"
        raise DataError(path, "is not there: the run has no threshold yet", hint)
    decision = files.read_json(path)
    rebuild = "run src/train_folds.py or src/blend.py again, which rebuild it"
    if not _is_well_formed(decision):
        raise DataError(path, "is not a decision of this software", rebuild)
    needed = {
        str(MemberFolder(Path(name)).weights(seed, fold))
        for name, member in decision["members"].items()
        for seed in member["seeds"]
        for fold in range(decision["folds"])
    }
    if not needed <= set(decision["files"]):
        raise DataError(path, "names no file for some fold", rebuild)
    check_files(run, decision["files"])
    return decision


def _is_well_formed(decision: dict[str, Any]) -> bool:
    """Whether everything a decision is used for has its type and range; type() because True is an int to Python."""
    try:
        names, most = decision["files"], len(decision["files"])
        data, context = decision["data"], decision["context"]
        from_tree(Blend, decision["blend"])
        return (
            type(decision["threshold"]) is float
            and 0 <= decision["threshold"] <= 1
            and type(decision["frames"]) is int
            and 1 <= decision["frames"] <= 100_000
            and type(decision["folds"]) is int
            and 1 <= decision["folds"] <= most  # a count beyond the files would be listed for ever
            and decision["averaging"] in ("probability", "logit", "percentile")
            and _are_numbers([decision["without_pose"], decision["prevalence"], *decision["line"]], 4)
            and 0 < decision["prevalence"] < 1
            and (context is None or _are_numbers(context, 4))
            and type(data["simulated"]) is bool
            and all(type(data[key]) is kind for key, kind in (("path", str), ("segments", int), ("children", int)))
            and all(re.fullmatch(r"[a-z0-9_]+/seed_[0-9]+/[a-z0-9_]+\.(pt|txt|csv)", name) for name in names)
            and all(re.fullmatch(r"[0-9a-f]{64}", digest) for digest in names.values())
            and all(
                re.fullmatch(r"[a-z0-9_]+", name)
                and type(member["weight"]) is float
                and 0 < member["weight"] <= 1
                and 1 <= len(member["seeds"]) <= most
                and len(set(member["seeds"])) == len(member["seeds"])
                and all(type(seed) is int and seed >= 0 for seed in member["seeds"])
                and _are_numbers(member["line"], 2)
                and _are_numbers(member["quantiles"], len(member["quantiles"]))
                and (len(member["quantiles"]) > 1 if decision["averaging"] == "percentile" else not member["quantiles"])
                for name, member in decision["members"].items()
            )
            and math.isclose(sum(member["weight"] for member in decision["members"].values()), 1, abs_tol=1e-6)
        )
    except (KeyError, TypeError, AttributeError, SettingsError):
        return False


def _are_numbers(values: Any, count: int) -> bool:
    return len(values) == count and all(type(value) is float and math.isfinite(value) for value in values)


def choice_of(decision: dict[str, Any]) -> BlendParameters:
    """What a decision says of blending."""
    members = decision["members"]
    return BlendParameters(
        averaging=decision["averaging"],
        weights={name: member["weight"] for name, member in members.items()},
        lines={name: tuple(member["line"]) for name, member in members.items()},
        quantiles={name: member["quantiles"] for name, member in members.items() if member["quantiles"]},
        line=tuple(decision["line"]),
        context=None if decision["context"] is None else tuple(decision["context"]),
        threshold=decision["threshold"],
    )
