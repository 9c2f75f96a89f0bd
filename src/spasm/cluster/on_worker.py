"""What runs within a Dask worker: it keeps files, and runs each task in a process of its own.

Workers need not have this package: Dask gets these functions by value, and the package travels as a file. So this
module imports nothing of it, and a task's process always runs the code of the command that sent it.
"""

import contextlib
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

# Dask sets these for its own threads. The first makes torch half as fast.
NOT_PASSED_ON = ("MALLOC_TRIM_THRESHOLD_", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
POLL_S = 0.3  # between two checks whether a task is still wanted
FILE_POLL_S = 0.02  # between two checks whether a file has arrived
ASK_S = 20.0  # between two requests for a file: one whose connection broke is sent again
FORGET_S = 24 * 3600  # files that no task has read for so long are removed
KEPT = "spasm"  # folder of a worker that holds files, removed with the worker

File = tuple[str, str, int, int, str]
"""A file as the command names it, its absolute path there, bytes, time of the last change in ns (-1: not on a disk),
and a name that is unique to the content."""
Kept = tuple[str, "subprocess.Popen[bytes]", Connection]
"""A process that waits for its next task: which tasks it takes, and how to reach it."""


def run_task(
    payload: bytes, package: File, reads: Sequence[File], needed: Mapping[str, str], topic: str, task: str, keep: str
) -> tuple[str, Any]:
    """Run a task, a pickled (function, arguments), in a process of its own.

    package: the zip of the package. reads: files that the task reads; one that is not at its path on this machine is
    asked of the command, which sends it (`receive`) while this waits. needed: versions of packages. keep: a name; the
    process then waits for the next task of this command with the same name.

    Gives ("done", pickled result), ("raised", pickled error), ("killed", exit code) or ("dropped", None).
    """
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()
    folder = Path(worker.local_directory) / KEPT
    folder.mkdir(parents=True, exist_ok=True)

    def wanted() -> bool:
        """Whether the command still waits for this task."""
        state = worker.state.tasks.get(key)
        return state is not None and state.state in ("executing", "long-running")

    places = {file: _place(folder, file) for file in (package, *reads)}
    if lacking := [file for file, place in places.items() if not place.exists()]:
        asked_s = -ASK_S
        while not all(places[file].exists() for file in lacking):
            if not wanted():
                return "dropped", None
            if time.monotonic() > asked_s + ASK_S:
                asked_s = time.monotonic()
                worker.log_event(topic, (task, "lacks", [worker.address, *(file[-1] for file in lacking)]))
            time.sleep(FILE_POLL_S)
    code = _unpacked(places.pop(package))
    found = {name: str(place) for (name, *_), place in places.items()}

    def notify(content: bytes) -> None:
        worker.log_event(topic, (task, "message", content))

    kept_as = f"{topic} {keep}" if keep else ""
    with tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as scratch:
        sent = [(found, scratch, dict(needed), worker.address), payload]
        while (process := _take(worker, kept_as)) is not None:
            if (outcome := _talk(worker, process, sent, notify, wanted)) is not None:
                return outcome
        outcome = _talk(worker, _started(worker, code, folder, kept_as), sent, notify, wanted)
        return outcome or ("killed", "before it began")


def _talk(
    worker: Any, kept: Kept, sent: Sequence[Any], notify: Callable[[bytes], None], wanted: Callable[[], bool]
) -> tuple[str, Any] | None:
    """Send a task to a process, pass its messages on, and wait for its result as long as it is wanted.

    None: the process had ended before the task began.
    """
    kept_as, process, connection = kept
    begun = False
    outcome: tuple[str, Any] | None = None
    try:
        about, payload = sent
        connection.send(about)
        connection.send_bytes(payload)
        while outcome is None:
            if connection.poll(POLL_S):
                kind, content = connection.recv_bytes(1).decode(), connection.recv_bytes()
                begun = True
                if kind == "m":
                    notify(content)
                elif kind in "dr":
                    outcome = {"d": "done", "r": "raised"}[kind], content
            elif not wanted():
                outcome = "dropped", None  # by a command that was stopped
    except (EOFError, OSError):
        outcome = ("killed", process.wait()) if begun else None
    finally:
        if outcome is not None and outcome[0] == "done" and kept_as:
            vars(worker).setdefault(KEPT, []).append(kept)
        else:
            _end(kept)
    return outcome


def _take(worker: Any, kept_as: str) -> Kept | None:
    """A waiting process for such tasks."""
    waiting: list[Kept] = vars(worker).setdefault(KEPT, [])
    for kept in list(waiting):
        if kept[0] == kept_as or kept[1].poll() is not None:
            try:
                waiting.remove(kept)
            except ValueError:
                continue  # another thread was first
            if kept[1].poll() is None:
                return kept
            _end(kept)
    return None


def _started(worker: Any, code: Path, folder: Path, kept_as: str) -> Kept:
    """A new process; one that waits for other tasks makes room for it."""
    waiting: list[Kept] = vars(worker)[KEPT]
    if len(waiting) >= worker.state.nthreads:
        with contextlib.suppress(IndexError):  # another thread was first
            _end(waiting.pop(0))
    environment = {name: value for name, value in os.environ.items() if name not in NOT_PASSED_ON}
    # The process finds the package here, whatever is installed. -P: and not in its working folder.
    paths = [str(code), *filter(None, [environment.get("PYTHONPATH")])]
    environment |= {"PYTHONPATH": os.pathsep.join(paths), "OMP_WAIT_POLICY": "PASSIVE"}
    # A process that is ended leaves semaphores of its pools; who removes them would report them on the user's terminal.
    environment["PYTHONWARNINGS"] = "ignore:resource_tracker"
    ours, theirs = Pipe()
    words = ["-P", "-m", "spasm.cluster.task_process", str(theirs.fileno()), str(os.getpid())]
    process = subprocess.Popen(
        [sys.executable, *words], env=environment, cwd=folder, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
    )
    theirs.close()
    return kept_as, process, ours


def _end(kept: Kept) -> None:
    _, process, connection = kept
    connection.close()
    process.kill()
    process.wait()


def _place(folder: Path, file: File) -> Path:
    """Where a file is on this machine: at its path, on a shared disk, or among those that the command sends."""
    _, path, size, changed_ns, name = file
    with contextlib.suppress(OSError, ValueError):
        found = os.stat(path)
        if (found.st_size, found.st_mtime_ns) == (size, changed_ns):
            return Path(path)
    place = folder / "files" / name / Path(path).name
    with contextlib.suppress(OSError):
        os.utime(place.parent)
    return place


def receive(file: File, sender: str, start: int, content: bytes, dask_worker: Any) -> None:
    """Add a part of a file, which begins with the byte `start`, to those that this worker keeps.

    dask_worker: Dask gives the worker itself to an argument of this name.
    """
    _, path, size, _, name = file
    files = Path(dask_worker.local_directory) / KEPT / "files"
    place = files / name / Path(path).name
    if place.exists():
        return
    part = files / f"{name}.{sender}"
    if start == 0:
        files.mkdir(parents=True, exist_ok=True)
        for old in files.iterdir():
            with contextlib.suppress(OSError):
                if time.time() - old.stat().st_mtime > FORGET_S:
                    shutil.rmtree(old) if old.is_dir() else old.unlink()
    with open(part, "r+b" if start else "wb") as written:
        written.seek(start)
        written.write(content)
    if start + len(content) == size:
        place.parent.mkdir(exist_ok=True)
        os.replace(part, place)


def _unpacked(archive: Path) -> Path:
    """The folder that holds the package."""
    place = archive.parent / "unpacked"
    if not place.exists():
        whole = Path(tempfile.mkdtemp(dir=archive.parent))
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(whole)
        try:
            os.rename(whole, place)
        except OSError:  # another task of this worker was first
            shutil.rmtree(whole)
    return place


def differences(needed: Mapping[str, str]) -> list[str]:
    """How the versions here differ from those of the command, one text for each package."""
    found = []
    for name, version in needed.items():
        try:
            here = python_version() if name == "python" else importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            here = "missing"
        if here != version:
            found.append(f"{name} is {here} there and {version} here")
    return found


def python_version() -> str:
    """Such as 3.11."""
    return ".".join(platform.python_version_tuple()[:2])
