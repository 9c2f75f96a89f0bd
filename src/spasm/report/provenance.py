"""How a run and its report came to be, as names and values to show."""

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spasm.core import files
from spasm.core.errors import printable
from spasm.core.text import path_of_text, shell_words
from spasm.data.pose import FPS
from spasm.report import console
from spasm.runs.artefacts import Decision, read_manifest, read_run_info


def describe_run(run: Path, argv: Sequence[str]) -> list[tuple[str, str]]:
    """Data, folds, dates, versions and digest of a run; argv: the command that shows it."""
    info = read_run_info(run)
    first, last = (_time((run / name).stat().st_mtime) for name in ("run.json", "metrics.json"))
    manifest = read_manifest(sorted(run.glob("*/manifest.json"))[0])
    pairs = {
        "data": console.data_name(info.data),
        "fingerprint of the data": info.data.fingerprint,
        "frames of a segment (T)": f"{info.frames}: {info.frames / FPS:g} s at {FPS:g} per second",
        "landmarks (--landmarks)": info.data.landmarks,
        "folds": listed(info.folds.model_dump(exclude_none=True)),
        "trained": f"{first} to {last}, by the dates of the run's files",
        "versions": listed(manifest.versions),
        "sha256 of decision.json": files.sha256(run / "decision.json"),
        "report made": _time(datetime.datetime.now(datetime.UTC).timestamp()),
        "by the command": shell_words("python", *argv),
    }
    return [(name, printable(str(value))) for name, value in pairs.items()]


def describe_models(run: Path, decision: Decision) -> list[dict[str, Any]]:
    """`name`, `command` and `settings`, as names and values, of each model in the decision."""
    shown = []
    for name, decided in decision.models.items():
        manifest = read_manifest(run / name / "manifest.json")
        script, *flags = manifest.command or ["(not noted)"]
        settings = [("weight in the blend", f"{decided.weight:.3f}"), ("seeds", ", ".join(map(str, decided.seeds)))]
        settings += [(flag, printable(str(value))) for flag, value in _flat(manifest.settings)]
        command = shell_words("python", f"src/{script}", *map(path_of_text, flags))
        shown.append({"name": name, "command": command, "settings": settings})
    return shown


def _flat(tree: Mapping[str, Any]) -> list[tuple[str, Any]]:
    pairs = []
    for name, value in tree.items():
        pairs += _flat(value) if isinstance(value, dict) else [(f"--{name.replace('_', '-')}", value)]
    return pairs


def listed(tree: Mapping[str, Any]) -> str:
    """Names and values in one line."""
    return ", ".join(f"{name} {value}" for name, value in sorted(tree.items()))


def _time(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
