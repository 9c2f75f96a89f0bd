"""Settings of worker processes: threads, memory, and their end."""

import atexit
import contextlib
import ctypes
import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, TypeVar

from spasm.core.errors import DataError, TrainingError

Result = TypeVar("Result")

# glibc's mallopt parameters (malloc.h)
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEEP_BYTES = 1 << 30
# What a process may use that reads one untrusted file: ten hours of poses need a third of it.
APART_BYTES, APART_CPU_S, APART_BYTES_A_S = 8 << 30, 10, 500_000


def set_threads(threads: int) -> None:
    """Set the number of torch's threads, and keep freed memory for the next batch.

    glibc returns large blocks to the system, and the next batch faults every page in again, which is slow on a virtual
    machine. Without glibc nothing changes.
    """
    import torch  # here, because a process that runs LightGBM must not load it

    torch.set_num_threads(threads)
    with contextlib.suppress(OSError, AttributeError, TypeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, KEEP_BYTES)
        libc.mallopt(M_TRIM_THRESHOLD, KEEP_BYTES)


def die_with_parent(parent: int) -> None:
    """Let this worker ignore Ctrl-C, which its parent handles, and end with its parent. The parent is not changed.

    Windows never reports a new parent to a process: there, a worker of a killed parent ends with its task.
    """
    if os.getpid() != parent:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent stops its workers
        if os.name != "nt":
            threading.Thread(target=_stop_with, args=[parent], daemon=True).start()


def _leave() -> None:
    """End this process without freeing what it has loaded, which takes torch a third of a second."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _stop_with(parent: int) -> None:
    """End this process soon after its parent, also after a killed one."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)


def cpu_count() -> int:
    """CPU cores that this process may use."""
    import joblib  # here, because it takes a while to load

    return int(joblib.cpu_count())


def isolated_pool(workers: int, initialize: Callable[..., None] | None = None, *arguments: Any) -> ProcessPoolExecutor:
    """Processes that share nothing with this one, end with it, and ignore Ctrl-C, which this one handles.

    A fork would inherit whatever was loaded here; torch and LightGBM crash together on some macOS builds. They start at
    once, and do not import the running script, so what they are given must be importable from a module.
    """
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, spawn, _begin, (os.getpid(), initialize, arguments))
    with _script_hidden(), contextlib.suppress(BrokenProcessPool):  # which the caller's first task reports
        for _ in range(workers):
            pool.submit(os.getpid)  # a pool starts one process for each task, up to their number
    return pool


@contextlib.contextmanager
def _script_hidden() -> Iterator[None]:
    """Hide the running script from processes that start here: they would import all that it imports, up to a second."""
    script = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script


def _begin(parent: int, initialize: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    die_with_parent(parent)
    atexit.register(_leave)
    gc.disable()  # what modules make while they load stays: to look for garbage among it takes a tenth of the time
    if initialize is not None:
        initialize(*arguments)
    gc.freeze()
    gc.enable()


def run_apart(path: Path, function: Callable[..., Result], *arguments: Any) -> Result:
    """The result of a function that lets a C library read an untrusted file, in a process of its own.

    A damaged file may crash such a library, fill the memory or keep it busy for ever: the process is limited, and its
    end ends nothing else. Raises DataError for `path`, and what the function raises.
    """
    hint = "export it again; if it is whole, cut the video into shorter ones"
    seconds = APART_CPU_S + path.stat().st_size // APART_BYTES_A_S if path.is_file() else APART_CPU_S
    with isolated_pool(1, _limit_resources, seconds) as pool:
        try:
            return pool.submit(function, *arguments).result()
        except BrokenProcessPool as error:
            raise DataError(path, "the program that reads it crashed or ran too long: it is damaged", hint) from error
        except MemoryError as error:
            raise DataError(path, f"needs more than {APART_BYTES >> 30} GB of memory", hint) from error


def _limit_resources(seconds: int) -> None:
    """Limit this process's memory and time, and let it write no file. Windows has no such limits."""
    if os.name == "nt":
        return
    import resource

    limits = {resource.RLIMIT_AS: APART_BYTES, resource.RLIMIT_CPU: seconds, resource.RLIMIT_FSIZE: 0}
    for limit, value in {**limits, resource.RLIMIT_CORE: 0}.items():
        _, hard = resource.getrlimit(limit)
        allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
        with contextlib.suppress(ValueError, OSError):  # macOS has no limit of address space
            resource.setrlimit(limit, (allowed, hard))


def stop(pool: ProcessPoolExecutor) -> None:
    """End a pool's processes at once; their work is no longer needed."""
    for process in multiprocessing.active_children():
        if process.pid in (pool._processes or {}):
            process.terminate()
    pool.shutdown(wait=False, cancel_futures=True)


@contextlib.contextmanager
def translate_killed_worker(message: str) -> Iterator[None]:
    """Raise TrainingError with the message if a process of a pool was killed."""
    try:
        yield
    except BrokenProcessPool as error:
        raise TrainingError(message) from error
