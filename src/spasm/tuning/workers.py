"""Run searches in several parallel processes, or their trainings on a cluster."""

import functools
import os
from collections.abc import Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Any

from joblib import Parallel, delayed

from spasm.core import files
from spasm.core.errors import TrainingError
from spasm.training.folds import KILLED
from spasm.tuning import on_cluster
from spasm.tuning.nested import HeldOutPredictions, predict_held_out
from spasm.tuning.search import Report, Search, missing, open_study, result, states_of, work
from spasm.tuning.spaces import default_values
from spasm.tuning.storage import retry_while_unreachable

if TYPE_CHECKING:
    from spasm.cluster.tasks import Cluster


def run_searches(searches: Sequence[Search], workers: int, report: Report, cluster: "Cluster | None" = None) -> None:
    """Run trials until every study has enough finished ones. report: called in the workers after each trial.

    Raises TrainingError if a worker was killed, ClusterError if the cluster was lost; finished trials are kept.
    """
    wanted = 0
    for search in searches:
        files.check_writable(search.out.parent)
        files.remove_stale(search.out.parent, below=False)
        wanted += missing(states_of(open_study(search)), search)
    if cluster is not None:
        on_cluster.run_searches(searches, wanted, report, cluster)
        return
    parent = os.getpid()
    _in_workers([delayed(work)(searches, worker, parent, report) for worker in range(min(wanted, workers))], workers)


def write_result(search: Search) -> dict[str, Any]:
    """Write and return the result of a finished search."""
    found = retry_while_unreachable(search, functools.partial(_read_result, search))
    files.write_json(search.out, found)
    return found


def predict_all_held_out(
    searches: Sequence[Search], best: Sequence[Mapping[str, Any]], workers: int, cluster: "Cluster | None" = None
) -> tuple[list[HeldOutPredictions], list[HeldOutPredictions]]:
    """Predict the children of each fold by the values chosen without them, and by the defaults."""
    arguments = [
        (search, [values, default_values(search.model)], os.getpid())
        for search, values in zip(searches, best, strict=True)
    ]
    if cluster is not None:
        pairs = on_cluster.predict_all_held_out(arguments, cluster)
    else:
        pairs = _in_workers([delayed(predict_held_out)(*each) for each in arguments], workers)
    return [tuned for tuned, _ in pairs], [default for _, default in pairs]


def _read_result(search: Search) -> dict[str, Any]:
    return result(open_study(search), search)


def _in_workers(jobs: list[Any], workers: int) -> list[Any]:
    """The results of several delayed calls."""
    try:
        return Parallel(n_jobs=max(1, min(workers, len(jobs))))(jobs)
    except BrokenProcessPool as error:
        raise TrainingError(KILLED) from error
