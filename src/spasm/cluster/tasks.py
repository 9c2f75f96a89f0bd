"""Tasks on a cluster: functions that run in processes of its workers, with the files that they read.

Each task runs the code of this command, in a process of its own, as on one machine. Files are read by their path where
the worker sees the same file there (a shared disk); otherwise they travel once to each worker. A task whose worker dies
runs again on another one.
"""

import functools
import hashlib
import io
import os
import pickle
import threading
import uuid
import zipfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import cloudpickle
import distributed

import spasm
from spasm.cluster import on_worker
from spasm.core import files
from spasm.core.errors import TrainingError

BLOB_BYTES = 8_000_000  # of a file, in one message
EPOCH = (1980, 1, 1, 0, 0, 0)  # the date in a zip, so that equal code gives equal bytes
KILLED = "a worker's process was killed, perhaps because memory ran out; to resume, run the same command again"

cloudpickle.register_pickle_by_value(on_worker)


class ByValue:
    """A function of `on_worker` that is sent whole: neither the scheduler nor a worker need have this package.

    Dask would send the names of the module and of the function, although cloudpickle knows better.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments)

    def __reduce__(self) -> tuple[Callable[[bytes], Any], tuple[bytes]]:
        return pickle.loads, (cloudpickle.dumps(self.function),)


RUN_TASK, ITSELF = ByValue(on_worker.run_task), ByValue(on_worker.itself)


class Cluster:
    """A connection to a scheduler and its workers. Thread-safe."""

    def __init__(self, client: distributed.Client) -> None:
        self.client = client
        self.topic = f"spasm-{uuid.uuid4()}"
        self.waiting: dict[str, Callable[[Any], None]] = {}
        self.package: distributed.Future | None = None
        self.blobs: dict[str, list[distributed.Future]] = {}
        self.files: dict[tuple[str, int, int], on_worker.File] = {}
        self.lock = threading.RLock()
        client.subscribe_topic(self.topic, self._receive)

    @property
    def slots(self) -> int:
        """How many tasks the workers run at the same time."""
        workers = self.client.scheduler_info(n_workers=-1)["workers"]
        return max(1, sum(worker["nthreads"] for worker in workers.values()))

    def submit(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        reads: Iterable[Path] = (),
        on_message: Callable[[Any], None] = lambda content: None,
    ) -> "Future[Any]":
        """Run a function of this package with these arguments on a worker.

        reads: files that the function opens, at `task_process.place_of(path)`. on_message: called, in another thread,
        with what the function gives `task_process.notify`. The future raises what the function raises, or TrainingError
        if its process was killed or the scheduler was lost.
        """
        task = str(uuid.uuid4())
        result: Future[Any] = Future()
        result.set_running_or_notify_cancel()
        payload = bytes(ForkingPickler.dumps((function, arguments)))
        self.waiting[task] = on_message
        self._send(task, payload, [self._file(path) for path in reads], result)
        return result

    def _send(self, task: str, payload: bytes, read: Sequence[on_worker.File], result: "Future[Any]") -> None:
        with self.lock:
            blobs = {name: self.blobs[name] for *_, name in read if name in self.blobs}
            future = self.client.submit(
                RUN_TASK,
                payload,
                self._package(),
                list(read),
                blobs,
                self.topic,
                task,
                key=f"spasm-{task}-{uuid.uuid4()}",
                pure=False,
            )
        future.add_done_callback(functools.partial(self._resolve, task, payload, read, result))

    def _resolve(
        self,
        task: str,
        payload: bytes,
        read: Sequence[on_worker.File],
        result: "Future[Any]",
        future: distributed.Future,
    ) -> None:
        """Called by Dask in a thread when a task has ended."""
        try:
            if future.status != "finished":
                error = future.exception() if future.status == "error" else None
                raise TrainingError(KILLED if isinstance(error, distributed.KilledWorker) else self._lost(error))
            kind, content = future.result()
            if kind == "lacks":
                self._publish([file for file in read if file[-1] in content])
                self._send(task, payload, read, result)
                return
            if kind == "killed":
                raise TrainingError(KILLED)
            if kind == "dropped":
                raise TrainingError(self._lost(None))
            value = ForkingPickler.loads(content)
            self.waiting.pop(task, None)
            if kind == "raised":
                result.set_exception(value)
            else:
                result.set_result(value)
        except BaseException as error:
            self.waiting.pop(task, None)
            result.set_exception(error)

    def _lost(self, error: BaseException | None) -> str:
        about = f" ({error})" if error is not None else ""
        return f"the cluster lost a task{about}; what was finished is kept: once it runs again, run the same command"

    def _receive(self, event: tuple[Any, Any]) -> None:
        _, (task, content) = event
        if (on_message := self.waiting.get(task)) is not None:
            on_message(ForkingPickler.loads(content))

    def _package(self) -> distributed.Future:
        if self.package is None:
            content = packed_package()
            self.package = self.client.submit(
                ITSELF, (hashlib.sha256(content).hexdigest(), content), key=f"{self.topic}-package"
            )
        return self.package

    def _file(self, path: Path) -> on_worker.File:
        found = os.stat(path)
        state = (str(path.absolute()), found.st_size, found.st_mtime_ns)
        with self.lock:
            if state not in self.files:
                self.files[state] = (*state, hashlib.sha256(repr(state).encode()).hexdigest())
            return self.files[state]

    def _publish(self, lacking: Sequence[on_worker.File]) -> None:
        """Send the content of files to the workers, which do not see them at their paths."""
        with self.lock:
            for path, _, _, name in lacking:
                if name not in self.blobs:
                    with files.open_regular(Path(path)) as (file, _):
                        parts = iter(functools.partial(file.read, BLOB_BYTES), b"")
                        self.blobs[name] = [
                            self.client.submit(ITSELF, part, key=f"{self.topic}-{name}-{number}")
                            for number, part in enumerate(parts)
                        ]


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
