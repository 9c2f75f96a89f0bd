"""Run searches whose trainings are tasks on a cluster.

Trials run in threads of this command, one for each task that the workers run at the same time. So the storage of a
study is used by this command alone, and no worker needs a database.
"""

import os
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.exceptions import ExperimentalWarning

from spasm.models.model import FoldJob, Model
from spasm.training.on_cluster import check_hardware, files_of, lean, resolved
from spasm.tuning.nested import HeldOutPredictions, predict_held_out
from spasm.tuning.search import Report, Scorer, Search, fit_and_score, work

if TYPE_CHECKING:
    from spasm.cluster.tasks import Cluster

MOST = 200  # trials at the same time
WAIT_S = 2.0  # between two checks whether there are more workers


def run_searches(searches: Sequence[Search], wanted: int, report: Report, cluster: "Cluster") -> None:
    """As `workers.run_searches`, for `wanted` trials that are still to be finished."""
    # Here for all threads: they share the filters of warnings, which each of them changes for a moment.
    warnings.filterwarnings("ignore", category=ExperimentalWarning)
    score, parent = fold_scorer(searches[0], cluster), os.getpid()
    with ThreadPoolExecutor(MOST, "trial") as threads:
        working: list[Future[None]] = []
        try:
            while wanted:
                for number in range(len(working), min(wanted, cluster.slots, MOST)):
                    working.append(threads.submit(work, searches, number, parent, report, score))
                ended, others = wait(working, WAIT_S, FIRST_EXCEPTION)
                for one in ended:
                    one.result()
                if not others:
                    return
        except BaseException:
            cluster.close()  # the threads wait for its tasks
            raise


def predict_all_held_out(
    arguments: Sequence[tuple[Search, list[Mapping[str, Any]], int]], cluster: "Cluster"
) -> list[list[HeldOutPredictions]]:
    """The results of `predict_held_out` with several arguments."""
    score = fold_scorer(arguments[0][0], cluster)
    with ThreadPoolExecutor(len(arguments), "held-out") as threads:
        try:
            return [job.result() for job in [threads.submit(predict_held_out, *each, score) for each in arguments]]
        except BaseException:
            cluster.close()
            raise


def fold_scorer(search: Search, cluster: "Cluster") -> Scorer:
    """As `search.fold_scorer`, on workers with hardware like that of this command."""
    model, data = search.model, lean(search.data)
    hardware = resolved(search.hardware, model.environment(model.config(), search.hardware, data))

    def score(config: Any, rows: np.ndarray, scored: np.ndarray, fold: int) -> np.ndarray:
        job = FoldJob(data, rows, config, search.seed, fold, hardware)
        reads = files_of(model, config, data)
        result: np.ndarray = cluster.submit(score_fold, model, job, scored, reads=reads, keep=model.name).result()
        return result

    return score


def score_fold(model: Model, job: FoldJob, scored: np.ndarray) -> np.ndarray:
    """At a worker: train a fold, and return the logits of the segments `scored`."""
    check_hardware(model, job.hardware)
    return fit_and_score(model, job, scored)
