"""Tasks on a cluster: functions that run in processes of its workers, with the files that they read.

Each task runs the code of this command, in a process of its own, as on one machine. Files are read by their path where
the worker sees the same file there (a shared disk); otherwise this command sends them once to each worker. A task whose
worker dies runs again on another one, and so does one whose scheduler was started again.
"""

import contextlib
import dataclasses
import functools
import hashlib
import io
import logging
import os
import pickle
import platform
import queue
import threading
import time
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import cloudpickle
import distributed

import spasm
from spasm.cluster import on_worker
from spasm.core import files
from spasm.core.errors import ClusterError, DataError, describe_os_error

PART_BYTES = 8_000_000  # of a file, in one message
SENDERS = 8  # threads that send files and fetch results
EPOCH = (1980, 1, 1, 0, 0, 0)  # the date in a zip, so that equal code gives equal bytes
TRIES = 3  # of a task whose process is killed
WATCH_S = 1.0  # between two checks of the connection
WAIT_S = 60  # for a scheduler that does not respond
FETCH_S = 600  # for a result
NO_WORKER_S = 10.0  # without a worker, until there is a message
CONTINUE = "what is finished is kept; to continue, run the same command again"
KILLED = "a task's process was killed {} times ({}), perhaps because memory ran out: use workers with more memory, or "
KILLED += "fewer threads for each; " + CONTINUE
DEATHS = "several workers died while they ran the same task, perhaps because memory ran out: use workers with more "
DEATHS += "memory, or fewer threads for each; " + CONTINUE
LOG = logging.getLogger("spasm")

cloudpickle.register_pickle_by_value(on_worker)


class ByValue:
    """A function of `on_worker` that is sent whole: neither the scheduler nor a worker need have this package.

    Dask would send the names of the module and of the function, although cloudpickle knows better.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.content: bytes = cloudpickle.dumps(function)

    def __reduce__(self) -> tuple[Callable[[bytes], Any], tuple[bytes]]:
        return pickle.loads, (self.content,)

    def __call__(self, *arguments: Any) -> Any:
        """Dask takes this for a function."""
        raise NotImplementedError("only where it was sent to")


RUN_TASK, RECEIVE = ByValue(on_worker.run_task), ByValue(on_worker.receive)


@dataclasses.dataclass(eq=False)
class Task:
    """A task that was submitted and has not ended."""

    title: str
    """For the dashboard."""
    payload: bytes
    reads: Sequence[on_worker.File]
    keep: str
    priority: int
    on_message: Callable[[Any], None]
    result: "Future[Any]" = dataclasses.field(default_factory=Future)
    name: str = dataclasses.field(default_factory=lambda: str(uuid.uuid4()))
    deaths: int = 0
    future: distributed.Future | None = None
    """Of the latest try; None while the scheduler is lost."""


class Cluster:
    """A connection to a scheduler and its workers. Thread-safe."""

    def __init__(self, client: distributed.Client, needed: Mapping[str, str], check: Callable[[], None]) -> None:
        """needed: versions of packages that every worker must have. check: raises ClusterError if one has others."""
        self.client, self.needed, self.check = client, needed, check
        self.address: str = client.scheduler.address  # type: ignore[union-attr, assignment]
        self.topic = f"spasm-{uuid.uuid4()}"
        self.tasks: dict[str, Task] = {}
        self.sent: dict[tuple[str, str], Future[None]] = {}
        self.lock = threading.RLock()
        self.comm: Any = None
        self.known: Mapping[str, Any] = {"": {"nthreads": 1}}
        """The workers, when they were last asked for."""
        self.closed = ""
        """Why there are no more tasks."""
        self.package_content = packed_package()
        digest = hashlib.sha256(self.package_content).hexdigest()
        self.package: on_worker.File = ("package.zip", "package.zip", len(self.package_content), -1, digest)
        self.events: queue.SimpleQueue[tuple[Task, Callable[[], None]]] = queue.SimpleQueue()
        self.pool = ThreadPoolExecutor(SENDERS, "cluster")
        threading.Thread(target=self._read_events, daemon=True).start()

    @property
    def slots(self) -> int:
        """How many tasks the workers run at the same time, now; at least 1."""
        return max(1, sum(worker["nthreads"] for worker in self._workers().values()))

    def submit(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        reads: Iterable[Path] = (),
        on_message: Callable[[Any], None] = lambda content: None,
        keep: str = "",
        priority: int = 0,
    ) -> "Future[Any]":
        """Run a function of this package with these arguments on a worker.

        reads: files that the function opens, at `task_process.place_of(path)`. on_message: called, in one thread for
        all tasks, with what the function gives `task_process.notify`; a task that runs again sends its messages again.
        keep: a name; the process waits a while for the next task of the same name, such as one that needs the same
        libraries. priority: tasks with a higher one run first.

        The future raises what the function raises, and ClusterError if its process was killed or the scheduler lost.
        """
        payload = zlib.compress(ForkingPickler.dumps((function, arguments)), 1)
        task = Task(function.__name__, payload, [file_at(path) for path in reads], keep, priority, on_message)
        task.result.set_running_or_notify_cancel()
        with self.lock:
            if self.closed:
                raise ClusterError(self.closed)
            self.tasks[task.name] = task
            if self.client.status == "running":
                self._send(task)
        return task.result

    def close(self) -> None:
        """End all tasks; their futures raise ClusterError."""
        tasks = self._end(f"the command was stopped; {CONTINUE}")
        with contextlib.suppress(Exception):  # the scheduler may be gone
            if self.client.status == "running":
                self.client.unsubscribe_topic(self.topic)
                self.client.cancel([task.future for task in tasks if task.future is not None], force=True)
        self.pool.shutdown(wait=False, cancel_futures=True)

    def _end(self, reason: str) -> list[Task]:
        with self.lock:
            self.closed = self.closed or reason
            tasks = list(self.tasks.values())
        for task in tasks:
            self._finish(task, error=ClusterError(self.closed))
        return tasks

    def _send(self, task: Task) -> None:
        """Submit a task; the lock must be held."""
        if self.comm is not self.client.scheduler_comm:  # a new connection, perhaps to a new scheduler
            self.comm = self.client.scheduler_comm
            self.sent.clear()
            self.client.subscribe_topic(self.topic, self._receive)
        task.future = self.client.submit(
            RUN_TASK,
            task.payload,
            self.package,
            task.reads,
            self.needed,
            self.topic,
            task.name,
            task.keep,
            key=f"{task.title}-{uuid.uuid4()}",
            pure=False,
            priority=task.priority,
        )
        task.future.add_done_callback(functools.partial(self._ended, task))

    def _ended(self, task: Task, future: distributed.Future) -> None:
        """Called by Dask in a thread when a try of a task has ended."""
        with contextlib.suppress(RuntimeError):  # closed
            self.pool.submit(self._fetch, task, future)

    def _fetch(self, task: Task, future: distributed.Future) -> None:
        """Get the result of a try, and let it be handled after the messages that came before it."""
        try:
            if future.status == "finished":
                kind, content = future.result(timeout=FETCH_S)
                if kind in ("done", "raised"):
                    content = ForkingPickler.loads(content)
            elif future.status == "error":
                kind, content = "failed", future.exception(timeout=FETCH_S)
            else:
                kind, content = "lost", None
        except Exception as error:
            kind, content = ("failed", error) if self.client.status == "running" else ("lost", None)
        self.events.put((task, functools.partial(self._handle, task, future, kind, content)))

    def _handle(self, task: Task, future: distributed.Future, kind: str, content: Any) -> None:
        """Finish a task, or run it again; what this raises, the task's future raises."""
        if task.future is not future:
            return  # it was sent again
        if kind == "done":
            self._finish(task, content)
        elif kind == "raised":
            self._finish(task, error=content)
        elif kind == "failed" and isinstance(content, distributed.KilledWorker):
            self._finish(task, error=ClusterError(DEATHS))
        elif kind == "failed":
            self.check()  # another Python cannot even begin a task
            about = f"{type(content).__name__}: {content}"
            raise ClusterError(f"a worker of {self.address} cannot run a task ({about}); {CONTINUE}")
        elif kind == "killed" and task.deaths + 1 == TRIES:
            self._finish(task, error=ClusterError(KILLED.format(TRIES, content)))
        else:  # killed, or lost with its scheduler: the next look at the connection sends it again
            task.deaths += kind == "killed"
            task.future = None

    def _finish(self, task: Task, result: Any = None, error: BaseException | None = None) -> None:
        with self.lock:
            if self.tasks.pop(task.name, None) is None:
                return
            task.future = None  # so that the workers forget the result
        if error is None:
            task.result.set_result(result)
        else:
            task.result.set_exception(error)

    def _workers(self) -> Mapping[str, Any]:
        """The workers that are connected; those of before where the scheduler cannot be asked."""
        with contextlib.suppress(Exception):
            self.known = self.client.scheduler_info(n_workers=-1)["workers"]
        return self.known

    # What comes from the workers

    def _receive(self, event: tuple[Any, Any]) -> None:
        """Called by Dask for each message of a task; here nothing may wait."""
        _, (name, kind, content) = event
        if (task := self.tasks.get(name)) is None:
            return
        if kind == "message":
            self.events.put((task, lambda: task.on_message(ForkingPickler.loads(content))))
        else:
            address, *lacking = content
            for file in (self.package, *task.reads):
                if file[-1] in lacking:
                    self.events.put((task, functools.partial(self._send_file, task, address, file)))

    def _read_events(self) -> None:
        """Handle what comes from the workers, in the order in which it comes, and watch the connection."""
        watched_s = quiet_s = time.monotonic()
        while not self.closed:
            with contextlib.suppress(queue.Empty):
                task, handle = self.events.get(timeout=WATCH_S)
                quiet_s = time.monotonic()
                try:
                    handle()
                except Exception as error:
                    self._finish(task, error=error)
            if (now := time.monotonic()) > watched_s + WATCH_S:
                watched_s = now
                if now > quiet_s + NO_WORKER_S:
                    quiet_s = now + 60 * self._warn_without_workers()
                try:
                    self._watch()
                except Exception as error:  # of Dask, while the connection breaks: once more
                    LOG.debug("the connection to the cluster: %s", error)

    def _watch(self) -> None:
        """Submit the tasks again that were lost; end all once the scheduler has been away for long."""
        if self.client.status == "closed":
            self._end(f"the scheduler at {self.address} has not been reached for {WAIT_S} s; {CONTINUE}")
        elif self.client.status == "running":
            with self.lock:
                for task in [task for task in self.tasks.values() if task.future is None]:
                    self._send(task)

    def _warn_without_workers(self) -> bool:
        """Whether tasks wait for workers that are not there, which is then printed."""
        alone = bool(self.tasks) and self.client.status == "running" and not self._workers()
        if alone:
            LOG.warning("warning: %s has no worker; this waits for one (dask worker %s)", *[self.address] * 2)
        return alone

    # Files

    def _send_file(self, task: Task, address: str, file: on_worker.File) -> None:
        """Send a file to a worker, unless that was done or is being done."""
        with self.lock:
            sending = self.sent.get((address, file[-1]))
            if sending is None or (sending.done() and sending.exception() is not None):
                sending = self.sent[address, file[-1]] = self.pool.submit(self._send_parts, address, file)
        sending.add_done_callback(functools.partial(self._file_sent, task))

    def _send_parts(self, address: str, file: on_worker.File) -> None:
        for start, part in self._parts(file):
            try:
                self.client.run(RECEIVE, file, self.topic, start, part, workers=[address])
            except OSError as error:
                if error.errno is None or isinstance(error, ConnectionError):
                    raise  # the worker is gone, and its task runs elsewhere; or it asks again
                raise ClusterError(f"worker {address}: {describe_os_error(error)}") from error
            except Exception as error:
                raise ClusterError(f"worker {address} cannot take a file ({error})") from error

    def _parts(self, file: on_worker.File) -> Iterator[tuple[int, bytes]]:
        """The parts of a file that a worker lacks, and where each begins. Raises DataError if it has changed."""
        if file == self.package:
            yield 0, self.package_content
            return
        name, path, size, changed_ns, _ = file
        with files.open_regular(Path(path)) as (content, _):
            for start in range(0, max(size, 1), PART_BYTES):
                part = content.read(min(PART_BYTES, size - start))
                state = os.fstat(content.fileno())
                if (state.st_size, state.st_mtime_ns) != (size, changed_ns):
                    raise DataError(name, "has changed while a task needed it", "run the same command again")
                yield start, part

    def _file_sent(self, task: Task, sending: "Future[None]") -> None:
        """End a task whose file cannot be sent."""
        error = None if sending.cancelled() else sending.exception()
        if isinstance(error, DataError | ClusterError):
            future = task.future
            self._finish(task, error=error)
            if future is not None:
                future.cancel(force=True)


def file_at(path: Path) -> on_worker.File:
    """A file of this machine, as a worker finds it. Raises OSError if it is not there."""
    found = os.stat(path)
    identity = (platform.node(), os.path.abspath(path), found.st_size, found.st_mtime_ns, found.st_ino)
    name = hashlib.sha256(repr(identity).encode()).hexdigest()
    return str(path), os.path.abspath(path), found.st_size, found.st_mtime_ns, name


def packed_package() -> bytes:
    """The package as a zip; equal code gives equal bytes."""
    root = Path(spasm.__file__).parent
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(root.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                name = path.relative_to(root.parent).as_posix()
                archive.writestr(zipfile.ZipInfo(name, EPOCH), path.read_bytes(), zipfile.ZIP_DEFLATED)
    return packed.getvalue()
