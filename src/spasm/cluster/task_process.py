"""The process of one task: it runs a function that was sent to a worker, and sends back its messages and its result.

It ends with its worker. What it unpickles comes from that worker, never from a file.
"""

import os
import sys
import traceback
from collections.abc import Mapping
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

# As in a command: OpenMP reads this when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


class Here:
    """This process: its folder, its files, and its connection; None in a process that runs no task."""

    current: "Here | None" = None

    def __init__(self, connection: Connection, scratch: Path, places: Mapping[str, str]) -> None:
        self.connection, self.scratch, self.places = connection, scratch, places

    def send(self, kind: str, content: Any) -> None:
        """Send a message (m), the result (d) or an error (r)."""
        self.connection.send_bytes(kind.encode())
        self.connection.send_bytes(ForkingPickler.dumps(content))


def notify(content: Any) -> None:
    """Send a message to whatever was given as `on_message` to the task; outside of a task, do nothing."""
    if Here.current is not None:
        Here.current.send("m", content)


def scratch_folder() -> Path:
    """A folder for the files of this task, removed with it."""
    assert Here.current is not None, "only in a task"
    return Here.current.scratch


def place_of(path: Path) -> Path:
    """Where a file of the command's machine is on this one; the path itself outside of a task."""
    return path if Here.current is None else Path(Here.current.places.get(str(path), path))


def main(descriptor: int, scratch: Path) -> None:
    """Run the task that comes through a connection."""
    from spasm.core import processes

    processes.die_with_parent(os.getppid())
    connection = Connection(descriptor)
    here = Here.current = Here(connection, scratch, connection.recv())
    payload = connection.recv_bytes()
    try:
        function, arguments = ForkingPickler.loads(payload)
        result = function(*arguments)
        here.send("d", result)
    except Exception as error:
        try:
            here.send("r", error)
        except Exception:  # an error that cannot be pickled
            here.send("r", RuntimeError("".join(traceback.format_exception(error))))


if __name__ == "__main__":
    from spasm.cluster import task_process  # not __main__, whose `Here` others do not see

    task_process.main(int(sys.argv[1]), Path(sys.argv[2]))
