"""Answering new segments with a decided run; its members work in processes of their own.

The process that answers loads neither torch nor LightGBM: the two crash together on some macOS builds.
"""

import contextlib
import itertools
import multiprocessing
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np

from spasm.config.runtime import Hardware
from spasm.core import processes
from spasm.core.errors import TrainingError
from spasm.ensemble.blending import OofScores
from spasm.ensemble.calibration import logit, probability
from spasm.models.registry import Scorer, open_scorer
from spasm.runs.decision_json import choice_of

MOST_PROCESSES = 4  # of a member; each holds all its folds
# What a member's own process holds: what it is to open, from `_begin` on, and once it is opened the scorer.
_work: tuple[int, Path, str, dict[str, Any], int, Hardware]
_scorer: Scorer | None = None


def _begin(parent: int, *work: Any) -> None:
    global _work
    processes.die_with_parent(parent)
    _work = work


def _open() -> Scorer:
    """Here and not in `_begin`, from which no error comes back."""
    global _scorer
    if _scorer is None:
        threads, run, name, chosen, folds, hardware = _work
        if name != "lgbm":
            processes.set_threads(threads)
        _scorer = open_scorer(run, name, chosen, range(folds), hardware)
    return _scorer


def _ready() -> None:
    _open()


def _score(poses: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    return _open().score(poses, rows)


class EnsemblePredictor:
    """Every trained fold of a decision, held by processes of each member. To be used in a `with`.

    Batches are dealt to a member's processes, which is faster than threads: one for each of its cores, up to four, or a
    single one where a GPU works.
    """

    def __init__(
        self, run: Path, decision: dict[str, Any], hardware: Hardware, cores: int, batches: int = MOST_PROCESSES
    ) -> None:
        """batches: how many there will be at most; a process without one would only be loaded."""
        self.decision = decision
        self.choice = choice_of(decision)
        self.workers: dict[str, Executor] = {}
        share = max(1, cores // max(1, len(set(decision["members"]) - {"lgbm"})))  # of the cores; lgbm needs few
        self.ahead = min(cores, MOST_PROCESSES) + 1
        spawn = multiprocessing.get_context("spawn")  # a fork would inherit whatever was loaded here
        begun = []
        on_gpu = hardware.device != "cpu" and Path("/dev/nvidiactl").exists()  # torch would say, but is not loaded here
        for name, chosen in decision["members"].items():
            alone = name == "lgbm" or (on_gpu and name != "rocket")
            own = cores if name == "rocket" else share  # it takes as long as two networks
            count = 1 if alone else min(own, MOST_PROCESSES)
            threads = max(1, share // count)
            work = (os.getpid(), threads, run, name, chosen, decision["folds"], hardware)
            self.workers[name] = ProcessPoolExecutor(max(1, min(count, batches)), spawn, _begin, work)
            begun.append(self.workers[name].submit(_ready))
        try:
            for future in begun:
                result(future)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "EnsemblePredictor":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the members' processes."""
        for worker in self.workers.values():
            worker.shutdown(cancel_futures=True)

    def member_logits(
        self, batches: Iterable[tuple[np.ndarray, np.ndarray]]
    ) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
        """Each member's logits (N,) and the frame weights (N, T) of each batch: poses (N, T, 33, 5), has_pose (N,).

        Logits are averaged over seeds, and probabilities over folds unless the decision says logits. A segment without
        any pose gets what such segments were labelled in training, and weights of 0, as every segment does where no
        member looks at frames.
        """
        waiting: list[tuple[np.ndarray, np.ndarray, dict[str, Future[Any]]]] = []
        iterator = iter(batches)
        while True:
            for poses, has_pose in itertools.islice(iterator, self.ahead - len(waiting)):
                rows = np.flatnonzero(has_pose)
                with translate_killed_worker():  # a process that died before is noticed here
                    scores = {name: worker.submit(_score, poses, rows) for name, worker in self.workers.items()}
                waiting.append((poses, has_pose, scores))
            if not waiting:
                return
            yield self._gather(*waiting.pop(0))

    def _gather(
        self, poses: np.ndarray, has_pose: np.ndarray, scores: dict[str, "Future[Any]"]
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        logits, frame_weights, looking = {}, np.zeros(poses.shape[:2]), 0.0
        for name, future in scores.items():
            scored, looked = result(future)
            seeds = len(self.decision["members"][name]["seeds"])
            by_fold = scored.reshape(self.decision["folds"], seeds, -1).mean(axis=1)
            logits[name] = np.full(len(poses), self.decision["without_pose"])
            if self.decision["blend"]["fold_averaging"] == "logit":
                logits[name][has_pose] = by_fold.mean(axis=0)
            else:
                logits[name][has_pose] = logit(probability(by_fold).mean(axis=0))
            if looked is not None:
                frame_weights[has_pose] += self.choice.weights[name] * looked
                looking += self.choice.weights[name]
        return logits, frame_weights / (looking or 1.0)

    def probability(self, logits: dict[str, np.ndarray], children: Sequence[str], has_pose: np.ndarray) -> np.ndarray:
        """Probabilities (N,) of segments from what the members say; all of a child together, if context counts."""
        return self.choice.probability(OofScores(logits, np.array(children, dtype=str), has_pose))


def result(future: "Future[Any]") -> Any:
    """What a member's process gave. Raises TrainingError if it was killed."""
    with translate_killed_worker():
        return future.result()


@contextlib.contextmanager
def translate_killed_worker() -> Iterator[None]:
    """Raises TrainingError where a member's process was killed."""
    try:
        yield
    except BrokenProcessPool as error:
        raise TrainingError("a member's process was killed, perhaps because memory ran out") from error
