"""A search for better settings by Optuna: what is tried, how a trial is scored, and what came out.

A trial is scored by the log loss of its out-of-fold logits, each fold calibrated on the other folds. F1 and AUC are
only noted: with few children they jump with the luck of single segments.
"""

import contextlib
import dataclasses
import functools
import hashlib
import json
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import distribution_to_json
from optuna.trial import FrozenTrial, TrialState

from spasm.config.fields import to_tree
from spasm.config.runtime import Hardware
from spasm.core import files, processes
from spasm.core.errors import DivergenceError, TrainingError
from spasm.data.dataset import TrainingData
from spasm.ensemble.calibration import fit_calibration, probability
from spasm.ensemble.thresholds import cross_fitted
from spasm.evaluation import metrics
from spasm.models.model import FoldJob, Model
from spasm.tuning import storage
from spasm.tuning.spaces import default_values, every_setting, propose, with_values

OBJECTIVE = "cross-fitted log loss 1"  # the number changes when older scores are no longer comparable
# Measured on 40 complete trials of LightGBM on Kinder-Gator: this rule would have ended 7 of them, none among the best
# 13, and saved 6 % of the time. If it began at the second fold, or were a median, it would have ended the best trial.
PRUNE_AFTER_FOLDS = 3
PRUNE_AFTER_TRIALS = 8
PRUNE_ABOVE = 66  # percentile of the finished trials, after the same folds
WAIT_S = 0.5
Report = Callable[[dict[str, Any]], None]
Scorer = Callable[[Any, np.ndarray, np.ndarray, int], np.ndarray]


class TrialFailed(Exception):
    """A trial failed with an error that does not depend on its settings."""


@dataclasses.dataclass(frozen=True, eq=False)
class Search(storage.StudyStorage):
    """One study: the model to tune, its children, and the storage of its trials."""

    data: TrainingData
    fold_of: np.ndarray
    """(N,) int64: the fold of each segment."""
    outer_fold: int | None
    """A fold whose children this search never uses; None: it uses all."""
    model: Model
    seed: int
    """Seed of all trainings and of the sampler."""
    hardware: Hardware
    out: Path
    """JSON file of the result."""
    trials: int
    """Number of finished trials at which the search ends."""

    @property
    def folds(self) -> list[int]:
        """The folds that a trial is scored on, in order."""
        return [int(fold) for fold in np.unique(self.fold_of) if fold != self.outer_fold]

    def about(self) -> dict[str, Any]:
        """The facts that must be equal for the scores of two trials to be comparable, as a storage returns them."""
        visible = [int(fold) if fold != self.outer_fold else -1 for fold in self.fold_of]
        space = self.model.search_space()
        identity = {
            "model": self.model.name,
            "objective": OBJECTIVE,
            "search space": {name: json.loads(distribution_to_json(of)) for name, of in space.items()},
            "default settings": to_tree(self.model.config()),
            "data": self.data.fingerprint,
            "folds": hashlib.sha256(json.dumps(visible).encode()).hexdigest(),
            "outer fold": self.outer_fold,
            "seed": self.seed,
        }
        if self.model.on_gpu:
            identity["hardware"] = to_tree(self.hardware)
        return identity


def first_settings(search: Search) -> list[dict[str, Any]]:
    """The default settings; then all others, if the search space is small enough to test every one."""
    default, every = default_values(search.model), every_setting(search.model)
    if len(every) > search.trials:
        return [default]
    order = np.random.default_rng(search.seed).permutation(len(every))
    return [default, *(every[place] for place in order if every[place] != default)]


def trials_wanted(search: Search) -> int:
    """Finished trials at which a search ends: the requested number, or all settings of a small space."""
    return min(search.trials, len(every_setting(search.model)) or search.trials)


# How a trial is scored


def fold_scorer(search: Search) -> Scorer:
    """A function (settings, rows, scored, fold) that trains on the segments `rows` and returns the logits of `scored`.

    Both are row numbers of segments with a pose. It trains in the same way as `train_folds.py` for that fold and seed.
    """

    def score(config: Any, rows: np.ndarray, scored: np.ndarray, fold: int) -> np.ndarray:
        return fit_and_score(
            search.model, FoldJob(search.data, rows, config, search.seed, fold, search.hardware), scored
        )

    return score


def fit_and_score(model: Model, job: FoldJob, scored: np.ndarray) -> np.ndarray:
    """Train a fold, and return the logits of the segments `scored`."""
    predictor = model.predictor(model.fit(job), job.config, job.hardware)
    return model.predict_data(predictor, job.data, scored).logits[0]


def out_of_fold(search: Search, score: Scorer, settings: Any) -> Iterator[np.ndarray]:
    """The logits (N,) so far, after each fold; NaN: not scored yet, of other children, or without a pose."""
    posed, visible = search.data.has_pose, search.fold_of != search.outer_fold
    logits = np.full(len(posed), np.nan)
    for fold in search.folds:
        scored = search.fold_of == fold
        rows = np.flatnonzero(visible & ~scored & posed)
        logits[scored & posed] = score(settings, rows, np.flatnonzero(scored & posed), fold)
        yield logits


def calibrated(logits: np.ndarray, labels: np.ndarray, fold_of: np.ndarray) -> np.ndarray:
    """Log-odds (N,), each fold calibrated on the other folds; at least two folds."""
    values = np.empty(len(logits))
    for fold in np.unique(fold_of):
        scored = fold_of == fold
        slope, offset = fit_calibration(logits[~scored], labels[~scored])
        values[scored] = slope * logits[scored] + offset
    return values


def log_losses(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Negative log-likelihood (N,), in nats, of log-odds (N,)."""
    return np.logaddexp(0, np.where(labels == 1, -values, values))


def run_trial(trial: optuna.Trial, search: Search, score: Scorer, settings: Any) -> float:
    """The log loss of one trial, reported after each fold from the second on, so that a bad trial ends early."""
    labels = search.data.labels
    for done, logits in enumerate(out_of_fold(search, score, settings), 1):
        rows = np.flatnonzero(np.isfinite(logits))
        if done > 1:
            values = calibrated(logits[rows], labels[rows], search.fold_of[rows])
            loss = float(log_losses(values, labels[rows]).mean())
            trial.report(loss, done)
            if done < len(search.folds) and trial.should_prune():
                raise optuna.TrialPruned
    probabilities = probability(values)
    positive, _ = cross_fitted(labels[rows], probabilities, search.fold_of[rows])
    scores = metrics.point_metrics(labels[rows], probabilities, positive, fold_of=search.fold_of[rows])
    trial.set_user_attr("f1", scores["f1"])
    trial.set_user_attr("auc", scores["auc"])
    return loss


class StepwisePercentilePruner(optuna.pruners.BasePruner):
    """Ends a trial that is worse than most finished ones on the same folds.

    Optuna's MedianPruner takes a trial's best value so far, which is that of its easiest fold. Folds differ more than
    settings, so here only values after the same folds are compared.
    """

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        step = trial.last_step
        if step is None or step < PRUNE_AFTER_FOLDS:
            return False
        finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        others = [other.intermediate_values[step] for other in finished if step in other.intermediate_values]
        if len(others) < PRUNE_AFTER_TRIALS:
            return False
        return bool(trial.intermediate_values[step] > np.percentile(others, PRUNE_ABOVE))


# The search


def open_study(search: Search) -> optuna.Study:
    """Open the study of a search, new or old; see `storage.open_study`."""
    return storage.open_study(search, search.about(), first_settings(search))


def missing(states: Sequence[TrialState], search: Search) -> int:
    """Number of trials still to finish, given the states of a study's trials."""
    return max(0, trials_wanted(search) - states.count(TrialState.COMPLETE) - states.count(TrialState.PRUNED))


def states_of(study: optuna.Study) -> list[TrialState]:
    """The states of all trials, read once: between two reads a trial could end."""
    return [trial.state for trial in study.get_trials(deepcopy=False)]


def work(searches: Sequence[Search], worker: int, parent: int, report: Report, score: Scorer | None = None) -> None:
    """Run trials until every study has enough finished ones; several workers may do so at once.

    score: scores a fold of any of the searches, which differ only in their children; by default in this process.
    """
    processes.die_with_parent(parent)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    score = score or fold_scorer(searches[0])
    with storage.holding(searches[0]) as token:
        waiting = [
            (storage.retry_while_unreachable(search, functools.partial(load_study, search)), search)
            for search in searches
        ]
        while waiting:
            for study, search in list(waiting):
                run = functools.partial(step, study, search, score, worker, token, report)
                while (state := storage.retry_while_unreachable(search, run)) == "ran":
                    pass
                if state == "reached":
                    waiting.remove((study, search))
            if waiting:
                time.sleep(WAIT_S)  # other workers run the last trials and might be killed


def load_study(search: Search) -> optuna.Study:
    """Load an existing study."""
    return optuna.load_study(
        study_name=search.study, storage=storage.open_storage(search), pruner=StepwisePercentilePruner()
    )


def step(study: optuna.Study, search: Search, score: Scorer, worker: int, token: str, report: Report) -> str:
    """Run the next trial of a study. Returns "ran", "busy" (others run the last trials) or "reached" (it is complete).

    Raises TrainingError if the default settings cannot be trained.
    """
    default = default_values(search.model)
    number, taken = -1, False
    with contextlib.ExitStack() as claim:
        claim.enter_context(search.claiming())
        storage.requeue_abandoned(study, search, default, idle=token)
        states = states_of(study)
        left = missing(states, search)
        if left == 0:
            return "reached"
        if left <= states.count(TrialState.RUNNING):
            return "busy"
        study.sampler = sampler(search, worker, storage.count_begun(study, default))

        def objective(trial: optuna.Trial) -> float:
            nonlocal number, taken
            number = trial.number
            trial.set_user_attr("worker", token)
            values = propose(trial, search.model)
            claim.close()
            try:
                return run_trial(trial, search, score, with_values(search.model.config(), values))
            except TrainingError as error:
                if values == default:
                    raise TrainingError(f"the default settings cannot be trained: {error}") from error
                trial.set_user_attr("error", str(error))
                if isinstance(error, DivergenceError):
                    raise optuna.TrialPruned from error
                raise TrialFailed(str(error)) from error
            finally:
                taken = study.get_trials(deepcopy=False)[number].state != TrialState.RUNNING

        try:
            study.optimize(objective, n_trials=1, catch=(TrialFailed,))
        except Exception as error:
            if not taken:
                raise storage.root_cause(search, error) from None
            # This process stopped for so long that another took over its trial; Optuna has several errors for that.
    report_trial(study, search, number, report)
    return "ran"


def report_trial(study: optuna.Study, search: Search, number: int, report: Report) -> None:
    """Write the current result, and report one trial."""
    trial, best = study.get_trials(deepcopy=False)[number], best_trial(study)
    row: dict[str, Any] = {"study": search.study, "trial": number, "state": trial.state.name.lower()}
    if trial.value is not None:
        row["log_loss"] = trial.value
    if best is not None:
        files.write_json(search.out, result(study, search))
        row |= {"best": best.value, "of_trial": best.number}
    report(row | trial.params)


def sampler(search: Search, worker: int, begun: int) -> optuna.samplers.BaseSampler:
    """The sampler of the next settings.

    Its seed depends on the worker and on the number of trials. With one seed, all workers would sample the same
    settings, and a resumed search would repeat old ones.
    """
    seed = int(np.random.SeedSequence([search.seed, worker, begun]).generate_state(1)[0] >> 1)
    with warnings.catch_warnings(action="ignore", category=optuna.exceptions.ExperimentalWarning):
        return optuna.samplers.TPESampler(multivariate=True, constant_liar=True, seed=seed)


# The result


def best_trial(study: optuna.Study) -> FrozenTrial | None:
    """The finished trial with the lowest log loss, the first of equals; None if no trial is finished."""
    finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return min(finished, key=lambda trial: (trial.value, trial.number), default=None)


def result(study: optuna.Study, search: Search) -> dict[str, Any]:
    """The result of a study so far. --settings of train_folds.py reads its "model" and "settings".

    Raises TrainingError if no trial is finished.
    """
    best, trials = best_trial(study), study.get_trials(deepcopy=False)
    if best is None:
        raise TrainingError(f"the study {search.study} has no finished trial; the default settings stay")
    values, states = default_values(search.model), [trial.state.name.lower() for trial in trials]
    default = next((one for one in trials if one.state == TrialState.COMPLETE and one.params == values), None)
    visible = search.fold_of != search.outer_fold
    return {
        "model": search.model.name,
        "settings": to_tree(with_values(search.model.config(), best.params)),
        "study": search.study,
        "storage": search.shown_storage,
        "note": "The best score is optimistic: it was chosen by that score. tune.py --nested evaluates the search.",
        "simulated": search.data.simulated,
        "data": search.data.fingerprint,
        "children": len(set(np.array(search.data.children)[visible])),
        "outer_fold": search.outer_fold,
        "folds": search.folds,
        "seed": search.seed,
        "trials": {state: states.count(state) for state in sorted(set(states))},
        "best": _summary(best),
        "default": None if default is None else _summary(default),
    }


def _summary(trial: FrozenTrial) -> dict[str, Any]:
    scores = {"f1": trial.user_attrs.get("f1"), "auc": trial.user_attrs.get("auc")}
    return {"trial": trial.number, "log_loss": trial.value, **scores, "values": trial.params}
