"""The cost of a trained model: parameters, operations and time per segment."""

import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from spasm.config.fields import from_tree
from spasm.config.runtime import Hardware
from spasm.core import processes
from spasm.data.pictures import Pictures
from spasm.models.model import Predictor
from spasm.models.registry import MODELS

BATCH = 16  # segments
REPEATS = 7  # measurements; the median is taken


def measure(
    name: str, settings: dict[str, Any], weights: Path, poses: np.ndarray, pictures: Pictures
) -> dict[str, Any]:
    """The cost of one trained fold in its own process, on one CPU thread.

    settings: of the model's manifest; weights: the fold's file; poses: (M, T, 33, 5), M at least 1, each with a pose;
    pictures: theirs, if there are any.
    Returns "parameters" and "gflop" of `Model.cost`, and "milliseconds" from poses to logit, for a segment alone and
    for one in a batch of BATCH.
    """
    with processes.isolated_pool(1) as pool:
        return pool.submit(_measure, name, settings, weights, np.array(poses), pictures).result()


def _measure(
    name: str, settings: dict[str, Any], weights: Path, poses: np.ndarray, pictures: Pictures
) -> dict[str, Any]:
    model = MODELS[name]
    config = from_tree(model.config, settings)
    if model.library == "torch":
        processes.set_threads(threads=1)
    predictor = model.load([weights], config, Hardware(device="cpu"))
    cost = model.cost(config, poses.shape[1])
    batch = np.arange(BATCH) % len(poses)
    alone = [_seconds(predictor, poses, batch[place : place + 1], pictures) for place in range(REPEATS + 1)]
    together = [_seconds(predictor, poses, batch, pictures) / BATCH for _ in range(REPEATS + 1)]
    # The first call warms up.
    milliseconds = {"alone": statistics.median(alone[1:]), "in_batch": statistics.median(together[1:])}
    return cost | {"milliseconds": {way: 1000 * value for way, value in milliseconds.items()}}


def _seconds(predictor: Predictor, poses: np.ndarray, rows: np.ndarray, pictures: Pictures) -> float:
    begun = time.perf_counter()
    predictor.predict(poses, rows, pictures)
    return time.perf_counter() - begun
