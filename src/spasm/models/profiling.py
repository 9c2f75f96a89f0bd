"""What a trained member costs: parameters, operations and time for each segment."""

import multiprocessing
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from spasm.config.fields import from_tree
from spasm.config.models import Member
from spasm.config.runtime import Hardware
from spasm.core import processes
from spasm.models import registry
from spasm.runs.run import MemberFolder, read_manifest, read_run

BATCH = 16  # segments
REPEATS = 7  # times each is measured; the median counts


def measure(run: Path, name: str, poses: np.ndarray) -> dict[str, Any]:
    """The cost of one fold of a member in a process of its own, on one thread of the processor.

    poses: (M, T, 33, 5), M at least 1, each with a pose. Gives "parameters" and "gflop" (of a network; a multiplication
    with its addition counts two), and "milliseconds" from poses to logit, of a segment alone and of one among BATCH.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measure, run, name, np.array(poses)).result()


def _measure(run: Path, name: str, poses: np.ndarray) -> dict[str, Any]:
    settings = read_manifest(MemberFolder(run / name).manifest)["settings"]
    seed = MemberFolder(run / name).complete_seeds(read_run(run)["folds"]["folds"])[0]
    if name != "lgbm":
        processes.set_threads(threads=1)
    chosen = {"settings": settings, "seeds": [seed]}
    scorer = registry.open_scorer(run, name, chosen, [0], Hardware(device="cpu"))
    cost: dict[str, Any] = {"parameters": None, "gflop": None}
    if "model" in settings:
        cost |= of_network(from_tree(Member, settings), poses.shape[1])
    batch = poses[np.arange(BATCH) % len(poses)]
    alone = [_seconds(scorer, batch[place : place + 1]) for place in range(REPEATS + 1)]
    together = [_seconds(scorer, batch) / BATCH for _ in range(REPEATS + 1)]
    # The first time is warming up.
    milliseconds = {"alone": statistics.median(alone[1:]), "in_batch": statistics.median(together[1:])}
    return cost | {"milliseconds": {name: 1000 * value for name, value in milliseconds.items()}}


def of_network(settings: Member, frames: int) -> dict[str, Any]:
    """Parameters of a network, and the operations for one segment, in thousand millions."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from spasm.data.landmarks import LANDMARKS
    from spasm.features.channels import CHANNELS
    from spasm.models.networks import NETWORKS

    network = NETWORKS[settings.model](settings.network).eval()
    counter = FlopCounterMode(display=False)
    with torch.inference_mode(), counter:
        network(torch.zeros(1, len(CHANNELS), len(LANDMARKS), frames))
    parameters = sum(value.numel() for value in network.parameters())
    return {"parameters": parameters, "gflop": counter.get_total_flops() / 1e9}


def _seconds(scorer: registry.Scorer, poses: np.ndarray) -> float:
    begun = time.perf_counter()
    scorer.score(poses, np.arange(len(poses)))
    return time.perf_counter() - begun
