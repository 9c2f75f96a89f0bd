"""The process of a task: it runs a function that was sent to a worker, and sends back its messages and its result.

It ends with its worker. What it unpickles comes from that worker, never from a file.
"""

import contextlib
import os
import platform
import sys
import traceback
import zlib
from collections.abc import Mapping
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

# As in a command: OpenMP reads this when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from spasm.cluster import on_worker
from spasm.core import processes
from spasm.core.errors import ClusterError, DataError, TrainingError, describe_os_error

IDLE_S = 30.0  # a process without a next task ends


class Here:
    """The task that this process runs: its folder, its files, and its connection; None in a process without one."""

    current: "Here | None" = None

    def __init__(self, connection: Connection, places: Mapping[str, str], scratch: str, worker: str) -> None:
        self.connection, self.places, self.scratch, self.worker = connection, places, Path(scratch), worker

    def send(self, kind: str, content: Any) -> None:
        """Send that the task begins (b), a message (m), the result (d) or an error (r)."""
        packed = ForkingPickler.dumps(content)
        self.connection.send_bytes(kind.encode())
        self.connection.send_bytes(packed)


def notify(content: Any) -> None:
    """Send a small message to the task's `on_message`; outside of a task, do nothing.

    The scheduler keeps the last thousand of them: what is large belongs in the result.
    """
    if Here.current is not None:
        Here.current.send("m", content)


def scratch_folder() -> Path:
    """A folder for the files of this task, removed with it."""
    assert Here.current is not None, "only in a task"
    return Here.current.scratch


def place_of(path: Path | str) -> Path:
    """Where a file of the command's machine is on this one; the path itself outside of a task."""
    return Path(path) if Here.current is None else Path(Here.current.places.get(str(path), path))


def this_worker() -> str:
    """Name of this worker for messages."""
    assert Here.current is not None, "only in a task"
    if Here.current.worker.startswith("inproc"):
        return "this machine"
    return f"worker {Here.current.worker} on {platform.node()}"


def main(descriptor: int, parent: int) -> None:
    """Run the tasks that come through a connection, one after the other."""
    processes.die_with_parent(parent)
    connection = Connection(descriptor)
    with contextlib.suppress(EOFError, ConnectionError):  # the worker no longer needs this process
        while connection.poll(IDLE_S):
            places, scratch, needed, worker = connection.recv()
            payload = connection.recv_bytes()
            here = Here.current = Here(connection, places, scratch, worker)
            here.send("b", None)
            _run(here, needed, payload)


def _run(here: Here, needed: Mapping[str, str], payload: bytes) -> None:
    """Send the result of a task, or its error."""
    try:
        if differing := on_worker.differences(needed):
            raise ClusterError(unlike(this_worker(), differing))
        function, arguments = ForkingPickler.loads(zlib.decompress(payload))
        result = function(*arguments)
    except OSError as error:
        here.send("r", ClusterError(f"{this_worker()}: {describe_os_error(error)}"))
    except MemoryError:
        hint = "use workers with more memory, or fewer threads for each"
        here.send("r", ClusterError(f"{this_worker()}: its memory ran out ({hint})"))
    except (ClusterError, DataError, TrainingError) as error:
        here.send("r", error)
    except Exception as error:
        whole = "".join(traceback.format_exception(error))
        error.add_note(f"at {this_worker()}:\n{whole}")
        try:
            here.send("r", error)
        except Exception:  # an error that cannot be pickled
            here.send("r", RuntimeError(whole))
    else:
        here.send("d", result)


def unlike(where: str, differing: list[str]) -> str:
    """The message for a worker whose versions differ."""
    return f"{where} cannot take part: {', '.join(differing)}; install the same versions there (requirements.txt)"


if __name__ == "__main__":
    from spasm.cluster import task_process  # not __main__, whose `Here` others do not see

    task_process.main(int(sys.argv[1]), int(sys.argv[2]))
