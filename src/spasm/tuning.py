"""A search for better settings by Optuna: what is tried, how a trial is scored, and studies that no kill can harm.

A trial is scored by the log loss of its out-of-fold logits, each fold calibrated by a line that was fitted on the other
folds. F1 and AUC are only noted: with few people they jump with the luck of single segments.

A study lives in Optuna's journal file, or in a database. Whoever works on it holds locks beside the journal, which end
with the process. So a trial whose worker was killed is known at once, is marked as failed, and its settings are queued
again. Workers on other machines, which share a database alone, are known by Optuna's heartbeat.
"""

import contextlib
import dataclasses
import datetime
import fcntl
import hashlib
import json
import math
import os
import re
import secrets
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from spasm import files, metrics, process
from spasm.blending import Rows, choose
from spasm.dataset import TrainingData
from spasm.decision import cross_fitted, fit_line, logit_without_pose, probability
from spasm.errors import DataError, TrainingError, brief
from spasm.settings import Blend, Boosting, Hardware, LgbmMember, Member, RocketMember

# What is searched: settings by their names, which are those of the flags. The defaults lie inside, and are tried first.
SPACES: dict[str, dict[str, BaseDistribution]] = {
    "lgbm": {
        "rounds": IntDistribution(50, 800, log=True),
        "shrinkage": FloatDistribution(0.01, 0.2, log=True),
        "leaves": IntDistribution(2, 31, log=True),
        "leaf_segments": IntDistribution(3, 60, log=True),
        "statistics_share": FloatDistribution(0.05, 1.0),
        "bag_share": FloatDistribution(0.4, 1.0),
        "shrink_leaves": FloatDistribution(0.01, 100.0, log=True),
        "gaps": CategoricalDistribution((False, True)),
    },
    "rocket": {
        "biases": IntDistribution(2, 8, step=2),
        "copies": IntDistribution(0, 4),
    },
    "stgcn_mil": {
        "learning_rate": FloatDistribution(3e-4, 1e-2, log=True),
        "epochs": IntDistribution(10, 40),
        "width": IntDistribution(32, 96, step=32),
        "dropout": FloatDistribution(0.0, 0.5),
        "weight_decay": FloatDistribution(1e-4, 0.3, log=True),
        "rotation_deg": FloatDistribution(0.0, 60.0),
        "stretch": FloatDistribution(0.0, 0.4),
    },
}
DEFAULTS: dict[str, Any] = {"lgbm": LgbmMember(), "rocket": RocketMember(), "stgcn_mil": Member()}
OBJECTIVE = "cross-fitted log loss 1"  # the number changes whenever scores of before cannot be compared any more

# Of 40 trials of LightGBM on Kinder-Gator, run to their end, this rule would have ended 7, none of them among the best
# 13, and saved 6 % of the time. From the second fold on it would have ended the best of all; so would a median.
PRUNE_AFTER_FOLDS = 3
PRUNE_AFTER_TRIALS = 8
PRUNE_ABOVE = 66  # percentile of the finished trials, after the same folds
TRIES = 5  # of a trial whose workers die; the defaults are tried without end
HEARTBEAT_S, GRACE_S = 10, 60
WAIT_S = 0.5

Report = Callable[[dict[str, Any]], None]
Score = Callable[[Any, np.ndarray, np.ndarray, int], np.ndarray]


@dataclasses.dataclass(frozen=True, eq=False)
class Search:
    """One study: which member is tuned, on which people, and where its trials are kept."""

    data: TrainingData
    fold_of: np.ndarray
    """(N,) int64: the fold of each segment."""
    outer_fold: int | None
    """A fold whose people this search never looks at; None: it looks at all."""
    member: str
    seed: int
    """Seed of every training and of the proposals."""
    hardware: Hardware
    study: str
    storage: str
    """A journal file, or the URL of a database."""
    locks: Path
    """Folder of the locks: beside the journal, so that all who work on it share them."""
    out: Path
    """JSON file of the result."""
    trials: int
    """Finished trials wanted."""

    @property
    def folds(self) -> list[int]:
        """The folds a trial is scored on, in their order."""
        return [int(fold) for fold in np.unique(self.fold_of) if fold != self.outer_fold]

    @property
    def in_database(self) -> bool:
        return "://" in self.storage

    @property
    def shown_storage(self) -> str:
        """The storage as a message may show it: without a password."""
        shown = re.sub(r"(://[^:/@]*:).*@", r"\1***@", self.storage)
        return re.sub(r"(password=)[^&]*", r"\1***", shown)

    def about(self) -> dict[str, Any]:
        """What scores of two trials must share to be compared."""
        seen = [int(fold) if fold != self.outer_fold else -1 for fold in self.fold_of]
        space = {name: json.loads(distribution_to_json(of)) for name, of in SPACES[self.member].items()}
        told = {
            "member": self.member,
            "objective": OBJECTIVE,
            "search space": space,
            "default settings": dataclasses.asdict(DEFAULTS[self.member]),
            "data": self.data.fingerprint,
            "folds": hashlib.sha256(json.dumps(seen).encode()).hexdigest(),
            "outer fold": self.outer_fold,
            "seed": self.seed,
        }
        if self.member == "stgcn_mil":
            told["hardware"] = dataclasses.asdict(self.hardware)
        return json.loads(json.dumps(told))  # as it comes back from the storage

    @contextlib.contextmanager
    def claiming(self) -> Iterator[None]:
        """Held while the next trial is chosen, by one worker at a time."""
        with files.lock(self.locks / "claim", "the next trial is being chosen", wait_s=600):
            yield


def with_values(settings: Any, values: Mapping[str, Any]) -> Any:
    """Settings in which the fields named in `values`, at any depth, are replaced; the names of leaves are unique."""
    changes = {}
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            changes[field.name] = with_values(value, values)
        elif field.name in values:
            changes[field.name] = values[field.name]
    return dataclasses.replace(settings, **changes)


def values_of(settings: Any, names: Sequence[str]) -> dict[str, Any]:
    """The fields `names`, at any depth of the settings."""
    found = {}
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            found |= values_of(value, names)
        elif field.name in names:
            found[field.name] = value
    return {name: found[name] for name in names if name in found}


def default_values(member: str) -> dict[str, Any]:
    """What the defaults say of everything that is searched."""
    return values_of(DEFAULTS[member], list(SPACES[member]))


# How a trial is scored


def fold_scorer(search: Search) -> Score:
    """A function (settings, rows, scored, fold) that trains on the segments `rows` and gives the logits of `scored`.

    Both are row numbers of segments with a pose. It trains just as the member's own script does for that fold and seed.
    """
    data, seed = search.data, search.seed
    # LightGBM and torch stay apart: each is only imported where it is used.
    if search.member == "lgbm":
        from spasm import boosting

        posed = np.flatnonzero(data.has_pose)
        whole = boosting.statistics(data.poses, posed, LgbmMember(Boosting(gaps=True)))
        statistics = np.zeros((len(data.labels), whole.shape[1]), whole.dtype)  # once for all trials and folds
        statistics[posed] = whole

        def score(settings: Any, rows: np.ndarray, scored: np.ndarray, fold: int) -> np.ndarray:
            used = boosting.used(settings)
            random = int(np.random.SeedSequence([seed, fold, *b"lgbm"]).generate_state(1)[0] >> 1)
            model = boosting.fit(statistics[rows][:, used], data.labels[rows], settings, random)
            return model.predict(statistics[scored][:, used], raw_score=True, num_threads=1)

    elif search.member == "rocket":
        from spasm import rocket

        process.prepare(threads=1)

        def score(settings: Any, rows: np.ndarray, scored: np.ndarray, fold: int) -> np.ndarray:
            weights = rocket.fit(data, rows, settings, [seed, fold])
            return rocket.Scorer([weights], settings).score(data.poses, scored)[0][0]

    else:
        from spasm.scoring import Scorer, pick_device, pick_precision
        from spasm.training import FoldTrainer

        process.prepare(threads=1)
        device = pick_device(search.hardware.device)
        precision = pick_precision(search.hardware.precision, device)

        def score(settings: Any, rows: np.ndarray, scored: np.ndarray, fold: int) -> np.ndarray:
            trainer = FoldTrainer(data, rows, settings, seed, fold, device, precision)
            while trainer.epoch < settings.fit.epochs:
                trainer.run_epoch()
            return Scorer([trainer.final_weights()], settings, device, precision).score(data.poses, scored)[0][0]

    return score


def out_of_fold(search: Search, score: Score, settings: Any) -> Iterator[tuple[int, np.ndarray]]:
    """After each fold: its number, and the logits (N,) so far; NaN: not scored, of other people, or without a pose."""
    posed, seen = search.data.has_pose, search.fold_of != search.outer_fold
    logits = np.full(len(posed), np.nan)
    for fold in search.folds:
        scored = search.fold_of == fold
        rows = np.flatnonzero(seen & ~scored & posed)
        logits[scored & posed] = score(settings, rows, np.flatnonzero(scored & posed), fold)
        yield fold, logits


def calibrated(logits: np.ndarray, labels: np.ndarray, fold_of: np.ndarray) -> np.ndarray:
    """Log-odds (N,) in which each fold is calibrated by the line of the other folds; two folds at least."""
    values = np.empty(len(logits))
    for fold in np.unique(fold_of):
        scored = fold_of == fold
        slope, offset = fit_line(logits[~scored], labels[~scored])
        values[scored] = slope * logits[scored] + offset
    return values


def log_losses(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Negative log-likelihood (N,), in nats, of log-odds (N,)."""
    return np.logaddexp(0, np.where(labels == 1, -values, values))


def run_trial(trial: optuna.Trial, search: Search, score: Score, settings: Any) -> float:
    """The log loss of one trial, reported after each fold from the second on, so that a hopeless one ends early."""
    labels = search.data.labels
    for done, (_, logits) in enumerate(out_of_fold(search, score, settings), 1):
        rows = np.flatnonzero(np.isfinite(logits))
        if done > 1:
            values = calibrated(logits[rows], labels[rows], search.fold_of[rows])
            loss = float(log_losses(values, labels[rows]).mean())
            trial.report(loss, done)
            if done < len(search.folds) and trial.should_prune():
                raise optuna.TrialPruned
    chances = probability(values)
    positive, _ = cross_fitted(labels[rows], chances, search.fold_of[rows])
    figures = metrics.figures(labels[rows], chances, positive)
    trial.set_user_attr("f1", figures["f1"])
    trial.set_user_attr("auc", figures["auc"])
    return loss


class Behind(optuna.pruners.BasePruner):
    """Ends a trial that is worse than most finished ones were on the same folds.

    Optuna's MedianPruner takes a trial's best value so far, which is that of its easiest fold; folds differ more than
    settings do, so here only values after the same folds are compared.
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


# The study and its storage


def open_study(search: Search) -> optuna.Study:
    """Make a study with its default settings queued, or open one made for the same search.

    Raises DataError where it was made for another search, and where the storage cannot be used.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with search.claiming(), storage_errors(search):  # also so that tables are made by one process alone
        storage = open_storage(search)
        if search.study in optuna.get_all_study_names(storage):
            study = optuna.load_study(study_name=search.study, storage=storage)
        else:
            study = optuna.create_study(study_name=search.study, storage=storage, direction="minimize")
        made, wanted = study.user_attrs.get("search"), search.about()
        if made is None and not study.get_trials(deepcopy=False):
            study.set_user_attr("search", wanted)
        elif made != wanted:
            made = made if isinstance(made, dict) else {}
            keys = [key for key in wanted | made if made.get(key) != wanted.get(key)]
            reason = f"the study {search.study} was begun with another {' and another '.join(keys)}"
            raise DataError(search.shown_storage, reason, "give another --study name")
        queue_first(study, search)
    return study


def queue_first(study: optuna.Study, search: Search) -> None:
    """Queue the default settings, and after them all others where they are so few that every one is tried."""
    wanted = [default_values(search.member)]
    if count_settings(search.member) <= search.trials:
        space = SPACES[search.member]
        grid = np.stack(np.meshgrid(*(_choices(of) for of in space.values()), indexing="ij"), -1)
        every = [dict(zip(space, map(int, point), strict=True)) for point in grid.reshape(-1, len(space))]
        order = np.random.default_rng(search.seed).permutation(len(every))
        wanted += [every[place] for place in order if every[place] != wanted[0]]
    for values in wanted:
        study.enqueue_trial(values, user_attrs={"wanted": values}, skip_if_exists=True)


def _choices(distribution: BaseDistribution) -> list[int]:
    assert isinstance(distribution, IntDistribution)
    return list(range(distribution.low, distribution.high + 1, distribution.step))


def count_settings(member: str) -> float:
    """How many different settings the search space holds; infinite where one of them is no whole number."""
    space = SPACES[member].values()
    if not all(isinstance(of, IntDistribution) and not of.log for of in space):
        return math.inf
    return math.prod(len(_choices(of)) for of in space)


def trials_wanted(search: Search) -> int:
    """Finished trials at which a search ends: those asked for, or all there are."""
    return int(min(search.trials, count_settings(search.member)))


def open_storage(search: Search) -> optuna.storages.BaseStorage:
    """The storage of a study; a journal whose last line a power cut has torn is repaired first."""
    if not search.in_database:
        path = Path(search.storage)
        path.parent.mkdir(parents=True, exist_ok=True)
        search.locks.mkdir(parents=True, exist_ok=True)
        lock = JournalLock(path, search.locks)
        if path.exists():
            lock.acquire()
            try:
                check_journal(path)
            finally:
                lock.release()
        return optuna.storages.JournalStorage(JournalFileBackend(str(path), lock_obj=lock))
    options = {"connect_args": {"timeout": 60}} if search.storage.startswith("sqlite") else {"pool_pre_ping": True}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # the heartbeat
        return optuna.storages.RDBStorage(search.storage, options, heartbeat_interval=HEARTBEAT_S, grace_period=GRACE_S)


@contextlib.contextmanager
def storage_errors(search: Search) -> Iterator[None]:
    """Turns what databases raise into a DataError that shows no password."""
    if not search.in_database:
        yield
        return
    try:
        from sqlalchemy.exc import SQLAlchemyError

        yield
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError, ImportError) as error:
        cause = error.__cause__ or error
        reason = f"cannot be used: {str(cause).strip().splitlines()[0]}"
        hint = "is the server running? PostgreSQL needs requirements-tune.txt; what was finished is kept"
        raise DataError(search.shown_storage, reason, hint) from None


class JournalLock:
    """Held while something is appended to a journal.

    Optuna's own lock is a file that stays behind when its holder is killed, and holds everyone up for 30 s. This one
    ends with its process. And before anything is appended, a line that a killed writer did not finish is cut off:
    whatever followed it would make the whole journal unreadable.
    """

    def __init__(self, journal: Path, folder: Path) -> None:
        self.journal, self.path = journal, folder / "append"

    def acquire(self) -> bool:
        self.file = open(self.path, "ab")  # noqa: SIM115, held until release
        fcntl.flock(self.file, fcntl.LOCK_EX)
        cut_torn_line(self.journal)
        return True

    def release(self) -> None:
        self.file.close()


def cut_torn_line(journal: Path) -> None:
    """Cut a journal back to its last whole line; what is cut off is kept in JOURNAL.torn. The lock must be held."""
    if not journal.exists():
        return
    with open(journal, "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        if size == 0:
            return
        file.seek(size - 1)
        if file.read(1) == b"\n":
            return
        file.seek(0)
        _cut(journal, file, file.read().rfind(b"\n") + 1)


def check_journal(journal: Path) -> None:
    """Cut off a last line that is not JSON. Raises DataError where an earlier one is not. The lock must be held."""
    cut_torn_line(journal)
    with open(journal, "r+b") as file:
        start = 0
        lines = file.readlines()
        for number, line in enumerate(lines, 1):
            try:
                whole = isinstance(json.loads(line).get("op_code"), int)
            except (ValueError, AttributeError, RecursionError):
                whole = False
            if not whole and number < len(lines):
                reason = f"line {number} is damaged, or this is no journal of Optuna: {brief(line[:60])}"
                raise DataError(journal, reason, "restore it from a copy, or give another --study name")
            if not whole:
                _cut(journal, file, start)
            start += len(line)


def _cut(journal: Path, file: Any, start: int) -> None:
    file.seek(start)
    with open(f"{journal}.torn", "ab") as copy:
        copy.write(file.read() + b"\n")
        copy.flush()
        os.fsync(copy.fileno())
    file.truncate(start)
    file.flush()
    os.fsync(file.fileno())


# Workers


def work(searches: Sequence[Search], worker: int, parent: int, report: Report) -> None:
    """Run trials until every study has the finished trials it wants; several workers may do so at once."""
    process.follow(parent)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    score = fold_scorer(searches[0])  # the same for all: they differ in the people they look at
    with holding(searches[0]) as token, contextlib.ExitStack() as stack:
        waiting = []
        for search in searches:
            stack.enter_context(storage_errors(search))
            study = optuna.load_study(study_name=search.study, storage=open_storage(search), pruner=Behind())
            waiting.append((study, search))
        while waiting:
            states = []
            for study, search in list(waiting):
                while (state := step(study, search, score, worker, token, report)) == "ran":
                    states.append(state)
                states.append(state)
                if state == "reached":
                    waiting.remove((study, search))
            if set(states) == {"busy"}:
                time.sleep(WAIT_S)  # others are still at the last trials, and might be killed


def missing(study: optuna.Study, search: Search) -> int:
    """Finished trials that a study still lacks."""
    finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    return max(0, trials_wanted(search) - len(finished))


def step(study: optuna.Study, search: Search, score: Score, worker: int, token: str, report: Report) -> str:
    """Run the next trial of a study: "ran"; or say that others run the last ones, "busy", or that it has "reached"."""
    claim = contextlib.ExitStack()
    with claim:
        claim.enter_context(search.claiming())
        requeue_abandoned(study, search)
        running = len(study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))
        lacking = missing(study, search)
        if lacking == 0:
            return "reached"
        if lacking <= running:
            return "busy"
        study.sampler = sampler(search, worker, trials_wanted(search) - lacking + running)

        taken = False

        def objective(trial: optuna.Trial) -> float:
            nonlocal taken
            trial.set_user_attr("worker", token)
            values = {name: suggest(trial, name, of) for name, of in SPACES[search.member].items()}
            claim.close()
            try:
                return run_trial(trial, search, score, with_values(DEFAULTS[search.member], values))
            except TrainingError as error:  # a loss that is NaN, say
                if values == default_values(search.member):
                    raise
                trial.set_user_attr("error", str(error))
                raise optuna.TrialPruned from error
            finally:
                taken = study.get_trials(deepcopy=False)[trial.number].state != TrialState.RUNNING

        try:
            study.optimize(objective, n_trials=1)
        except Exception:
            if not taken:
                raise
            # This process stood still for so long that another took its trial over; Optuna has several errors for that.
    report_trial(study, search, token, report)
    return "ran"


def report_trial(study: optuna.Study, search: Search, token: str, report: Report) -> None:
    """Write the result as it is now, and report this worker's latest trial."""
    trials = study.get_trials(deepcopy=False)
    mine = max((t for t in trials if t.user_attrs.get("worker") == token), key=lambda t: t.number, default=None)
    best = best_trial(study)
    if best is not None:
        files.write_json(search.out, result(study, search))
    if mine is not None:
        row: dict[str, Any] = {"study": search.study, "trial": mine.number, "state": mine.state.name.lower()}
        row |= {"log_loss": mine.value} if mine.value is not None else {}
        row |= {} if best is None else {"best": best.value, "of_trial": best.number}
        shown = {
            key: float(f"{value:.4g}") if isinstance(value, float) else value for key, value in mine.params.items()
        }
        report(row | shown)


def sampler(search: Search, worker: int, trials: int) -> optuna.samplers.BaseSampler:
    """Proposes the next settings. Its seed says who asks and when: with one seed, workers would propose the same, and a
    continued search what it has tried already."""
    seed = int(np.random.SeedSequence([search.seed, worker, trials]).generate_state(1)[0] >> 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(multivariate=True, constant_liar=True, seed=seed)


def suggest(trial: optuna.Trial, name: str, distribution: BaseDistribution) -> Any:
    """The value of one setting in a trial."""
    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(name, distribution.choices)
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    draw = trial.suggest_int if isinstance(distribution, IntDistribution) else trial.suggest_float
    return draw(name, distribution.low, distribution.high, step=distribution.step, log=distribution.log)


@contextlib.contextmanager
def holding(search: Search) -> Iterator[str]:
    """Hold a lock that tells others that this worker is alive; gives its name."""
    token = f"worker-{secrets.token_hex(8)}"
    path = search.locks / token
    with contextlib.ExitStack() as stack:
        with search.claiming():
            for old in search.locks.glob("worker-*"):
                if not is_held(old):
                    old.unlink(missing_ok=True)
            stack.enter_context(files.lock(path, "a worker is alive"))
        try:
            yield token
        finally:
            path.unlink(missing_ok=True)


def is_held(path: Path) -> bool:
    """Whether a living process holds this lock."""
    try:
        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def requeue_abandoned(study: optuna.Study, search: Search) -> None:
    """Mark trials of dead workers as failed, and queue the settings of failed trials again. `claiming` must be held."""
    if search.in_database:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            optuna.storages.fail_stale_trials(study)  # no sign of life for GRACE_S
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if is_abandoned(trial, search):
            study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
    trials = study.get_trials(deepcopy=False)
    queued = {trial.user_attrs.get("again") for trial in trials}
    for trial in trials:
        values = trial.user_attrs.get("wanted", {}) | trial.params
        tries = trial.user_attrs.get("tries", 1)
        if trial.state != TrialState.FAIL or trial.number in queued or not values:
            continue
        if tries < TRIES or values == default_values(search.member):
            study.enqueue_trial(values, user_attrs={"wanted": values, "again": trial.number, "tries": tries + 1})


def is_abandoned(trial: FrozenTrial, search: Search) -> bool:
    """Whether the worker of a running trial is dead, as far as locks can tell. `claiming` must be held."""
    token = trial.user_attrs.get("worker")
    if not search.in_database:  # trials are begun, and their worker noted, under the lock that is held here
        return token is None or not is_held(search.locks / token)
    if token is not None:  # perhaps on another machine
        return False
    # Killed between its first line in the database and its first heartbeat, and so without an end to be seen.
    begun = trial.datetime_start
    return begun is not None and datetime.datetime.now(begun.tzinfo) - begun > datetime.timedelta(seconds=GRACE_S)


# The result


def best_trial(study: optuna.Study) -> FrozenTrial | None:
    """The finished trial with the lowest log loss, the first of equals; None while none is finished."""
    finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return min(finished, key=lambda trial: (trial.value, trial.number), default=None)


def default_trial(study: optuna.Study, member: str) -> FrozenTrial | None:
    """The finished trial of the default settings."""
    finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return next((trial for trial in finished if trial.params == default_values(member)), None)


def result(study: optuna.Study, search: Search) -> dict[str, Any]:
    """What a study has found so far. Its "member" and "settings" are what --settings of the training scripts reads.

    Raises TrainingError while no trial is finished.
    """
    best, default = best_trial(study), default_trial(study, search.member)
    if best is None:
        raise TrainingError(f"the study {search.study} has no finished trial; the default settings stay")
    states = [trial.state.name.lower() for trial in study.get_trials(deepcopy=False)]
    seen = search.fold_of != search.outer_fold
    return {
        "member": search.member,
        "settings": dataclasses.asdict(with_values(DEFAULTS[search.member], best.params)),
        "study": search.study,
        "storage": search.shown_storage,
        "note": "The best score is optimistic: it was chosen by that score. tune.py --nested True judges the search.",
        "simulated": search.data.simulated,
        "data": search.data.fingerprint,
        "children": len(set(np.array(search.data.children)[seen])),
        "outer_fold": search.outer_fold,
        "folds": search.folds,
        "seed": search.seed,
        "trials": {state: states.count(state) for state in sorted(set(states))},
        "best": _summary(best),
        "default": None if default is None else _summary(default),
    }


def _summary(trial: FrozenTrial) -> dict[str, Any]:
    figures = {"f1": trial.user_attrs.get("f1"), "auc": trial.user_attrs.get("auc")}
    return {"trial": trial.number, "log_loss": trial.value, **figures, "values": trial.params}


@dataclasses.dataclass(frozen=True, eq=False)
class Judged:
    """Held-out people answered by settings that were chosen without them."""

    rows: np.ndarray
    """(M,) the row numbers of their segments."""
    chances: np.ndarray
    """(M,) probabilities."""
    positive: np.ndarray
    """(M,) bool, the answers."""


def judge(search: Search, values: Sequence[Mapping[str, Any]], parent: int) -> list[Judged]:
    """Train each of several settings on all but the outer fold's people, and answer those.

    Calibration and threshold come from out-of-fold rows of the training people, so that nothing at all of the held-out
    people enters their answers.
    """
    process.follow(parent)
    data, seen = search.data, search.fold_of != search.outer_fold
    held_out, children, score = np.flatnonzero(~seen), np.array(data.children), fold_scorer(search)
    judged = []
    for changed in values:
        settings = with_values(DEFAULTS[search.member], changed)
        *_, (_, logits) = out_of_fold(search, score, settings)
        assert search.outer_fold is not None
        scored = np.flatnonzero(~seen & data.has_pose)
        logits[scored] = score(settings, np.flatnonzero(seen & data.has_pose), scored, search.outer_fold)
        logits[~data.has_pose] = logit_without_pose(data.labels[seen], data.has_pose[seen])
        rows = Rows({search.member: logits}, children, data.has_pose)
        choice = choose(rows.at(seen), data.labels[seen], Blend())
        chances = choice.probability(rows.at(held_out))
        judged.append(Judged(held_out, chances, chances >= choice.threshold))
    return judged


def nested_figures(data: TrainingData, tuned: Sequence[Judged], default: Sequence[Judged]) -> dict[str, Any]:
    """Figures of tuned and default settings over all people, and their paired difference, with intervals over people.

    Log loss: of the probabilities, in nats; lower is better.
    """
    figures: dict[str, Any] = {}
    resampled = {}
    for name, judged in (("tuned", tuned), ("default", default)):
        chances, positive = np.empty(len(data.labels)), np.zeros(len(data.labels), dtype=bool)
        for part in judged:
            chances[part.rows], positive[part.rows] = part.chances, part.positive
        once, drawn = metrics.resampled(data.labels, chances, positive, data.children)
        losses = -np.log(np.clip(np.where(data.labels == 1, chances, 1 - chances), 1e-12, None))
        once["log_loss"], drawn["log_loss"] = float(losses.mean()), resampled_mean(losses, data.children)
        figures[name] = {key: metrics.estimate(once[key], drawn[key]) for key in once}
        resampled[name] = once, drawn
    (tuned_once, tuned_drawn), (default_once, default_drawn) = resampled["tuned"], resampled["default"]
    figures["tuned_minus_default"] = {
        key: metrics.estimate(tuned_once[key] - default_once[key], tuned_drawn[key] - default_drawn[key])
        for key in ("f1", "auc", "brier", "log_loss")
    }
    return figures


def resampled_mean(values: np.ndarray, children: Sequence[str], seed: int = 0) -> np.ndarray:
    """The mean of values (N,) when children are drawn anew, (R,), by the same draws as `metrics.resampled`."""
    child = np.unique(np.asarray(children), return_inverse=True)[1]
    count = child.max() + 1
    draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), metrics.RESAMPLES)
    sums, sizes = np.bincount(child, values), np.bincount(child)
    return draws @ sums / (draws @ sizes)
