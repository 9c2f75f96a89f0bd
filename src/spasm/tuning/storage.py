"""Storage of Optuna studies that survives kills: their trials, their workers, and the recovery of lost trials.

A study is in Optuna's journal file or in a database. Each worker holds a lock next to it, which ends with the process.
So a trial of a killed worker is found at once, marked as failed, and its settings are queued again. Workers on other
machines, which share only a database, are found by Optuna's heartbeat. If the server of a database is restarted,
workers wait for it.
"""

import contextlib
import dataclasses
import datetime
import json
import logging
import os
import re
import secrets
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from spasm.core import files
from spasm.core.errors import DataError, shorten

if TYPE_CHECKING:
    from optuna.storages.journal._file import BaseJournalFileLock  # not public, but an annotation

TRIES = 5  # of settings whose workers die; the default settings have no limit
HEARTBEAT_S, GRACE_S = 10, 60
OUTAGE_S = 300  # how long workers wait for the server of a database
LOG = logging.getLogger("spasm")
T = TypeVar("T")


@dataclasses.dataclass(frozen=True, eq=False)
class StudyStorage:
    """The storage of one study."""

    study: str
    storage: str
    """A journal file, or the URL of a database."""
    locks: Path
    """Folder of the locks: next to the journal, so that all its workers share them."""

    @property
    def in_database(self) -> bool:
        return "://" in self.storage

    @property
    def shown_storage(self) -> str:
        """The storage as a message may show it: without a password."""
        shown = re.sub(r"(://[^:/@]*:).*@", r"\1***@", self.storage)
        return re.sub(r"(password=)[^&]*", r"\1***", shown)

    @contextlib.contextmanager
    def claiming(self) -> Iterator[None]:
        """A lock: one worker at a time chooses the next trial."""
        with files.lock(self.locks / "claim", "the next trial is being chosen", wait_s=600):
            yield


# Opening


def open_study(place: StudyStorage, about: dict[str, Any], first: Sequence[dict[str, Any]]) -> optuna.Study:
    """Make a study, or open one that was made with the same `about`; the settings `first` are queued once.

    Raises DataError if it was made with another `about`, or if the storage cannot be used.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with place.claiming(), storage_errors(place):  # so that only one process makes the tables
        storage = open_storage(place)
        if place.study in optuna.get_all_study_names(storage):
            study = optuna.load_study(study_name=place.study, storage=storage)
        else:
            study = optuna.create_study(study_name=place.study, storage=storage)
        made = study.user_attrs.get("search")
        if made is None and not study.get_trials(deepcopy=False):
            study.set_user_attr("search", about)
        elif made != about:
            made = made if isinstance(made, dict) else {}
            keys = [key for key in about | made if made.get(key) != about.get(key)]
            reason = f"the study {place.study} was begun with another {' and another '.join(keys)}"
            raise DataError(place.shown_storage, reason, "give another --study name")
        for values in first:
            study.enqueue_trial(values, user_attrs={"wanted": values}, skip_if_exists=True)
    return study


def open_storage(place: StudyStorage) -> optuna.storages.BaseStorage:
    """The storage of a study; if a power cut has torn the last line of a journal, it is repaired first."""
    if not place.in_database:
        path = Path(place.storage)
        path.parent.mkdir(parents=True, exist_ok=True)
        place.locks.mkdir(parents=True, exist_ok=True)
        lock = JournalLock(path, place.locks)
        if path.exists():
            check_is_journal(path)
            lock.acquire()
            try:
                check_journal(path)
            finally:
                lock.release()
        return optuna.storages.JournalStorage(JournalFileBackend(str(path), lock_obj=cast("BaseJournalFileLock", lock)))
    options = {"connect_args": {"timeout": 60}} if place.storage.startswith("sqlite") else {"pool_pre_ping": True}
    with warnings.catch_warnings(action="ignore", category=ExperimentalWarning):  # the heartbeat
        return Database(place.storage, options, heartbeat_interval=HEARTBEAT_S, grace_period=GRACE_S)


class Database(optuna.storages.RDBStorage):
    """A database that ignores a lost heartbeat: several may be lost before a worker counts as dead."""

    def record_heartbeat(self, trial_id: int) -> None:
        from sqlalchemy.exc import SQLAlchemyError

        with contextlib.suppress(SQLAlchemyError, StorageInternalError):
            super().record_heartbeat(trial_id)


@contextlib.contextmanager
def storage_errors(place: StudyStorage) -> Iterator[None]:
    """Turn errors of databases into a DataError without a password."""
    if not place.in_database:
        yield
        return
    from sqlalchemy.exc import (  # here, because journals do not need it
        InterfaceError,
        OperationalError,
        PendingRollbackError,
        SQLAlchemyError,
    )

    try:
        yield
    except (SQLAlchemyError, StorageInternalError, ImportError) as error:
        cause = error.__cause__ if isinstance(error.__cause__, SQLAlchemyError) else error
        lines = str(cause).strip().splitlines() or [type(cause).__name__]
        reason = f"cannot be used: {lines[0]}"
        if isinstance(error, ImportError):
            raise DataError(place.shown_storage, reason, "pip install -r requirements-tune.txt") from None
        # The last one means that a connection was lost in the middle of a transaction.
        lost = isinstance(cause, OperationalError | InterfaceError | PendingRollbackError)
        if lost and not place.storage.startswith("sqlite"):
            raise Unreachable(place.shown_storage, reason, "is the server running? finished trials are kept") from None
        hint = "check that it is writable and has space, or give another --storage; finished trials are kept"
        raise DataError(place.shown_storage, reason, hint) from None


def root_cause(place: StudyStorage, error: BaseException) -> BaseException:
    """The underlying OSError or database error, if Optuna wrapped it; otherwise the error itself."""
    from sqlalchemy.exc import SQLAlchemyError

    found, cause = error, error.__cause__ or error.__context__
    while cause is not None:
        if isinstance(cause, OSError | StorageInternalError | SQLAlchemyError):
            found = cause  # the deepest one; those above it may be errors in Optuna's handling
        cause = cause.__cause__ or cause.__context__
    if isinstance(found, OSError) and found.filename is None:  # Optuna's journal does not name the file
        return OSError(found.errno, found.strerror, place.storage)
    return found


class Unreachable(DataError):
    """The server of a database cannot be reached now; it may be back later."""


def retry_while_unreachable(place: StudyStorage, call: Callable[[], T]) -> T:
    """Call a function; repeat it for up to OUTAGE_S while the server of a database cannot be reached."""
    give_up = None
    while True:
        begun = time.monotonic()
        try:
            with storage_errors(place):
                return call()
        except Unreachable as error:
            now = time.monotonic()
            if give_up is None or now - begun > OUTAGE_S:  # it worked in between: this is another outage
                give_up = now + OUTAGE_S
                LOG.warning("warning: %s; trying again for %d minutes", error, OUTAGE_S // 60)
            elif now > give_up:
                raise
            time.sleep(1)


# The journal


JOURNAL = b'{"op_code"'  # how a journal begins


class JournalLock:
    """The lock for appending to a journal.

    Optuna's own lock is a file that remains when its holder is killed, and then blocks everyone for 30 s; this one ends
    with its process. An unfinished line of a killed writer is cut off first: appending to it would make the whole
    journal unreadable.
    """

    def __init__(self, journal: Path, folder: Path) -> None:
        self.journal, self.lock = journal, files.file_lock(folder / "append", wait_s=-1)

    def acquire(self) -> bool:
        self.lock.acquire()
        try:
            cut_torn_line(self.journal)
        except BaseException:
            self.lock.release()
            raise
        return True

    def release(self) -> None:
        self.lock.release()


def cut_torn_line(journal: Path) -> None:
    """Cut a journal back to its last whole line; the removed part is kept in JOURNAL.torn. The lock must be held."""
    if not journal.exists():
        return
    with open(journal, "rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
        if file.read() in (b"", b"\n"):
            return
    _cut(journal, journal.read_bytes().rfind(b"\n") + 1)


def check_is_journal(path: Path) -> None:
    """Raises DataError for a file that does not begin as a journal does: it must be left as it is."""
    with files.open_regular(path) as (file, _):
        begin = file.read(len(JOURNAL))
    if not JOURNAL.startswith(begin):
        raise DataError(path, "is there and is no journal of a search", "name another file with --storage")


def check_journal(journal: Path) -> None:
    """Cut off a last line that is not JSON. Raises DataError if an earlier line is not. The lock must be held."""
    with open(journal, "rb") as file:
        lines = file.readlines()
    for number, line in enumerate(lines, 1):
        try:
            whole = isinstance(json.loads(line).get("op_code"), int)
        except (ValueError, AttributeError, RecursionError):
            whole = False
        if not whole and number < len(lines):
            reason = f"line {number} is damaged, or this is no journal of Optuna: {shorten(line[:60])}"
            raise DataError(journal, reason, "restore it from a copy, or give another --study name")
        if not whole:
            _cut(journal, journal.stat().st_size - len(line))


def _cut(journal: Path, start: int) -> None:
    torn = Path(f"{journal}.torn")
    with open(journal, "r+b") as file:
        file.seek(start)
        with open(torn, "ab") as copy:
            copy.write(file.read() + b"\n")
        files.sync(torn)
        file.truncate(start)
    files.sync(journal)


# Workers


@contextlib.contextmanager
def holding(place: StudyStorage) -> Iterator[str]:
    """Hold a lock that shows that this worker is alive; yields its name."""
    token = f"worker-{secrets.token_hex(8)}"
    path = place.locks / token
    try:
        with contextlib.ExitStack() as stack:
            with place.claiming():
                for old in place.locks.glob("worker-*"):
                    if not files.is_locked(old):
                        old.unlink(missing_ok=True)
                stack.enter_context(files.lock(path, "a worker is alive"))
            yield token
    finally:
        path.unlink(missing_ok=True)


def requeue_abandoned(
    study: optuna.Study, place: StudyStorage, default: Mapping[str, Any], idle: str | None = None
) -> None:
    """Mark trials of dead workers as failed, and queue their settings again. `claiming` must be held.

    The same for trials of the living worker `idle`, which runs none: it lost them when a database could not be reached.
    Settings are given up after TRIES, except the default ones, and at once if the trial has an "error". A trial that
    died while its settings were sampled is not queued: the next one samples the same.
    """
    if place.in_database:
        with warnings.catch_warnings(action="ignore", category=ExperimentalWarning):
            optuna.storages.fail_stale_trials(study)  # no heartbeat for GRACE_S
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if is_abandoned(trial, place) or (idle is not None and trial.user_attrs.get("worker") == idle):
            study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
    trials = study.get_trials(deepcopy=False)
    queued = {trial.user_attrs.get("again") for trial in trials}
    for trial in trials:
        values, tries = settings_of(trial), trial.user_attrs.get("tries", 1)
        if trial.state != TrialState.FAIL or trial.number in queued or "error" in trial.user_attrs:
            continue
        if not values.keys() >= default.keys():
            continue
        if tries < TRIES or values == default:
            study.enqueue_trial(values, user_attrs={"wanted": values, "again": trial.number, "tries": tries + 1})


def is_abandoned(trial: FrozenTrial, place: StudyStorage) -> bool:
    """Whether the worker of a running trial is dead, according to the locks. `claiming` must be held."""
    token = trial.user_attrs.get("worker")
    if not place.in_database:  # trials begin, and their worker is noted, under the lock that is held here
        return token is None or not files.is_locked(place.locks / token)
    if token is not None:  # perhaps on another machine
        return False
    # It was killed between its first line in the database and its first heartbeat, so its end does not show.
    begun = trial.datetime_start
    return begun is not None and datetime.datetime.now(begun.tzinfo) - begun > datetime.timedelta(seconds=GRACE_S)


def settings_of(trial: FrozenTrial) -> dict[str, Any]:
    """The settings that a trial was queued with, and those that it has sampled."""
    return trial.user_attrs.get("wanted", {}) | trial.params


def count_begun(study: optuna.Study, default: Mapping[str, Any]) -> int:
    """Number of settings that have begun and were not queued again: finished, running, or given up."""
    trials = study.get_trials(deepcopy=False)
    queued = {trial.user_attrs.get("again") for trial in trials}
    begun = [trial for trial in trials if trial.state != TrialState.WAITING and trial.number not in queued]
    return sum(trial.state != TrialState.FAIL or settings_of(trial).keys() >= default.keys() for trial in begun)
