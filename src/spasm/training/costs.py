"""The cost of training models and of predicting with them, saved in JSON files."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from spasm.core import files
from spasm.models import profiling
from spasm.runs.artefacts import read_manifest
from spasm.runs.folder import ModelFolder, Run


def processor_seconds() -> float:
    """CPU time of finished child processes in s; 0 on Windows, which does not count it."""
    used = os.times()
    return used.children_user + used.children_system


def note_training(folder: Path, model: ModelFolder, seed: int, train: Callable[[], None]) -> dict[str, float] | None:
    """Train, and save the cost in a folder: "seconds", and "processor_seconds" of the workers.

    For a resumed training only the cost of the last part is known, so nothing is saved, and None is returned.
    """
    begun_before = seed in model.seeds()
    start_s, before_s = time.monotonic(), processor_seconds()
    train()
    if begun_before:
        return None
    cost = {"seconds": time.monotonic() - start_s, "processor_seconds": processor_seconds() - before_s}
    note_cost(folder, model, seed, cost)
    return cost


def note_cost(folder: Path, model: ModelFolder, seed: int, cost: dict[str, float]) -> None:
    """Save the cost of a training that was measured elsewhere, see `note_training`."""
    files.write_json(_training_file(folder, model, seed), cost)


def model_costs(folder: Path, run: Run, name: str, seeds: int) -> dict[str, Any]:
    """The result of `profiling.measure` for a model of a run, measured once and saved in a folder.

    It also has "processor_seconds" of the training, the mean over seeds from 0; None if unknown.
    """
    model, measured = ModelFolder(run.path / name), folder / f"{name}.json"
    if not measured.exists():
        some = np.flatnonzero(run.data.has_pose)[: profiling.BATCH]
        poses, pictures = run.data.poses[some], run.data.pictures.of(some)
        settings = read_manifest(model.manifest).settings
        files.write_json(measured, profiling.measure(name, settings, model.weights(0, 0), poses, pictures))
    noted = [path for seed in range(seeds) if (path := _training_file(folder, model, seed)).exists()]
    seconds = [files.read_json(path)["processor_seconds"] for path in noted]
    return files.read_json(measured) | {"processor_seconds": float(np.mean(seconds)) if seconds else None}


def _training_file(folder: Path, model: ModelFolder, seed: int) -> Path:
    return folder / f"{model.path.name}_seed_{seed}.json"
