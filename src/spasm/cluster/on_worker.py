"""What runs within a Dask worker: it keeps files, and runs each task in a process of its own.

Workers need not have this package: Dask gets these functions by value, and the package travels as a file. So this module
imports nothing of it, and a task's process always runs the code of the command that sent it.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

# Dask sets these for its own threads. The first makes torch half as fast.
NOT_PASSED_ON = ("MALLOC_TRIM_THRESHOLD_", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
POLL_S = 0.5  # between two checks whether a task is still wanted
KEPT = "spasm"  # folder of a worker that holds files, removed with the worker

File = tuple[str, int, int, str]
"""Path where the command runs, bytes, time of the last change in ns, and a name that is unique to the content."""


def itself(value: Any) -> Any:
    """Keeps a value at the workers."""
    return value


def run_task(
    payload: bytes,
    package: tuple[str, bytes],
    files: Sequence[File],
    blobs: Mapping[str, Sequence[bytes]],
    topic: str,
    task: str,
) -> tuple[str, Any]:
    """Run a task, a pickled (function, arguments), in a process of its own.

    package: digest and zip of the package. files: those that the task reads; a file that is not at its path on this
    machine is made of its blobs. Gives ("done", pickled result), ("raised", pickled error), ("killed", exit code),
    ("lacks", names of files) or ("dropped", None).
    """
    from distributed import get_worker

    worker = get_worker()
    folder = Path(worker.local_directory) / KEPT
    places, lacking = {}, []
    for path, size, changed_ns, name in files:
        if (place := _place(folder, path, size, changed_ns, name, blobs)) is None:
            lacking.append(name)
        else:
            places[path] = str(place)
    if lacking:
        return "lacks", lacking
    code = _unpacked(folder, *package)
    environment = {name: value for name, value in os.environ.items() if name not in NOT_PASSED_ON}
    # The task's process finds the package here, whatever is installed.
    environment |= {"PYTHONPATH": str(code), "OMP_WAIT_POLICY": "PASSIVE"}
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        ours, theirs = Pipe()
        command = [sys.executable, "-m", "spasm.cluster.task_process", str(theirs.fileno()), scratch]
        with subprocess.Popen(
            command, env=environment, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
        ) as process:
            theirs.close()
            try:
                return _talk(ours, process, worker, payload, places, topic, task)
            finally:
                process.kill()


def _talk(
    ours: Connection,
    process: "subprocess.Popen[bytes]",
    worker: Any,
    payload: bytes,
    places: Mapping[str, str],
    topic: str,
    task: str,
) -> tuple[str, Any]:
    """Send the task to its process, pass its messages on, and wait for its result as long as it is wanted."""
    key = worker.get_current_task()
    try:
        ours.send(places)
        ours.send_bytes(payload)
        while True:
            if ours.poll(POLL_S):
                kind, content = ours.recv_bytes(1).decode(), ours.recv_bytes()
                if kind == "m":
                    worker.log_event(topic, (task, content))
                else:
                    return {"d": "done", "r": "raised"}[kind], content
            state = worker.state.tasks.get(key)
            if state is None or state.state not in ("executing", "long-running"):
                return "dropped", None  # by a command that was stopped
    except (EOFError, ConnectionError):
        return "killed", process.wait()


def _place(
    folder: Path, path: str, size: int, changed_ns: int, name: str, blobs: Mapping[str, Sequence[bytes]]
) -> Path | None:
    """Where a file is on this machine: at its path, on a shared disk, or among those that were made of blobs."""
    with contextlib.suppress(OSError):
        found = os.stat(path)
        if (found.st_size, found.st_mtime_ns) == (size, changed_ns):
            return Path(path)
    place = folder / "files" / name / Path(path).name
    if not place.exists():
        if name not in blobs:
            return None
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=place.parent, delete=False) as file:
            file.writelines(blobs[name])
        os.replace(file.name, place)
    return place


def _unpacked(folder: Path, digest: str, content: bytes) -> Path:
    """The folder that holds the package."""
    place = folder / f"code_{digest}"
    if not place.exists():
        folder.mkdir(parents=True, exist_ok=True)
        whole = Path(tempfile.mkdtemp(dir=folder))
        archive = whole / "package.zip"
        archive.write_bytes(content)
        assert hashlib.sha256(content).hexdigest() == digest
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(whole)
        try:
            os.rename(whole, place)
        except OSError:  # another task of this worker was first
            shutil.rmtree(whole)
    return place
