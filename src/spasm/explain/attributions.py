"""Why a run answers a segment as it does: where its networks looked, what they saw there, what boosting weighed.

Members work in processes of their own, because torch and LightGBM crash together on some macOS builds.
"""

import dataclasses
import multiprocessing
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from spasm.config.fields import from_tree
from spasm.config.models import LgbmMember
from spasm.config.runtime import Hardware
from spasm.core import processes
from spasm.data.pose import found
from spasm.explain.descriptions import Reason, top_reasons
from spasm.features import kinematics
from spasm.inference.ensemble_predictor import translate_killed_worker
from spasm.models.registry import open_scorer

BATCH = 32  # segments explained at a time
AHEAD = 2  # batches that wait for a member
REASONS = 6  # of each segment
FEWEST = 20  # segments that a value is compared with


@dataclasses.dataclass(frozen=True, eq=False)
class Evidence:
    """What lies behind the answers to N segments."""

    attention: np.ndarray
    """(N, T) float64: where the networks looked, by their weights in the decision; sums to 1, or 0 where none did."""
    frame_logits: np.ndarray
    """(N, T) float64: log-odds the networks saw in each frame; NaN without a network, or where no pose was found."""
    reasons: list[list[Reason]]
    """What LightGBM weighed most, for each segment; empty where it does not decide, or without a pose."""


def gather(
    run: Path,
    decision: dict[str, Any],
    poses: np.ndarray,
    fold_of: np.ndarray | None,
    hardware: Hardware,
    progress: Callable[[int], Any] = lambda count: None,
) -> Evidence:
    """The evidence of segments, poses (N, T, 33, 5).

    fold_of: (N,) the fold that never saw each segment, and so is asked alone; None: new segments, and all folds are.
    `progress` is told how many segments were done, once by each member that explains. Raises TrainingError if a
    member's process was killed, DataError for a file of the run that does not fit.
    """
    rows = np.flatnonzero(found(poses).any(axis=(1, 2)))
    folds = range(decision["folds"])
    asked = [(list(folds), rows)] if fold_of is None else [([fold], rows[fold_of[rows] == fold]) for fold in folds]
    batches = [(those, part[start : start + BATCH]) for those, part in asked for start in range(0, len(part), BATCH)]
    members = explaining(decision)
    looking = sum(chosen["weight"] for name, chosen in members.items() if name != "lgbm")
    attention, logits = np.zeros(poses.shape[:2]), np.full(poses.shape[:2], np.nan)
    values, shap_values = np.full((2, len(poses), 0), np.nan)
    spawn = multiprocessing.get_context("spawn")  # a fork would inherit whatever was loaded here
    pools = {name: ProcessPoolExecutor(1, spawn, processes.die_with_parent, (os.getpid(),)) for name in members}
    waiting: deque[tuple[str, np.ndarray, Future[Any]]] = deque()
    try:
        with translate_killed_worker():
            for those, some in [*batches, ([], rows[:0])]:  # the last, without rows, waits for all
                for name, chosen in members.items() if len(some) else ():
                    work = (run, name, chosen, those, hardware)
                    waiting.append((name, some, pools[name].submit(_explain, work, poses[some])))
                while len(waiting) > (AHEAD * len(members) if len(some) else 0):
                    name, done, future = waiting.popleft()
                    first, second = future.result()
                    if name == "lgbm":
                        if not values.shape[1]:
                            values, shap_values = np.full((2, len(poses), first.shape[1]), np.nan)
                        values[done], shap_values[done] = first, second[:, :-1]
                    else:
                        share = members[name]["weight"] / looking
                        attention[done] += share * first
                        logits[done] = np.nan_to_num(logits[done]) + share * second
                    progress(len(done))
    except BaseException:
        for pool in pools.values():  # what is being worked on is of no use any more
            for worker in list((pool._processes or {}).values()):
                worker.terminate()
        raise
    finally:
        for pool in pools.values():
            pool.shutdown(cancel_futures=True)
    logits[~found(poses).any(axis=2)] = np.nan
    reasons: list[list[Reason]] = [[] for _ in range(len(poses))]
    if "lgbm" in members:
        gaps = from_tree(LgbmMember, members["lgbm"]["settings"]).boosting.gap_features
        names = [kinematics.NAMES[number] for number in kinematics.used(gaps)]
        for row in rows:
            others = values[rows[rows != row]] if len(rows) > FEWEST else None
            reasons[row] = top_reasons(shap_values[row], values[row], names, others, REASONS)
    return Evidence(attention, logits, reasons)


def explaining(decision: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The members of a decision that can say why: networks and LightGBM; random convolutions cannot."""
    return {name: chosen for name, chosen in decision["members"].items() if name != "rocket"}


# What a member's own process holds: the folds it opened last.
_opened: tuple[list[int], Any] | None = None


def _explain(work: tuple[Any, ...], poses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frame weights and logits (N, T) of a network; statistics (N, F) and contributions (N, F + 1) of LightGBM."""
    global _opened
    run, name, chosen, folds, hardware = work
    if _opened is None or _opened[0] != folds:
        if name != "lgbm":
            processes.set_threads(1)
        _opened = folds, open_scorer(run, name, chosen, folds, hardware)
    scorer: Any = _opened[1]
    explained = scorer.contributions if name == "lgbm" else scorer.frames
    first, second = explained(poses, np.arange(len(poses)))
    return first, second
