"""Block the network for a process that opens videos of children, so that no data can leave the machine.

Linux only: a seccomp filter refuses every new socket, of any family, in this process and its children, and it cannot be
removed. A network namespace would leave Unix sockets, through which names could still be resolved.
https://www.kernel.org/doc/html/latest/userspace-api/seccomp_filter.html
"""

import ctypes
import os
import platform
import socket
import struct
import sys

from spasm.core import processes
from spasm.core.errors import TrainingError

SECCOMP_SET_MODE_FILTER, FLAG_ALL_THREADS, NO_NEW_PRIVILEGES = 1, 1, 38
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | 13  # the system call fails with EACCES
LOAD, EQUAL, AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06  # instructions of the filter
NUMBER, ARCHITECTURE = 0, 4  # their offsets for the filter
# For each architecture: its number, seccomp, and the calls that can open a socket: socket, io_uring_setup.
SYSTEMS = {"x86_64": (0xC000003E, 317, (41, 425)), "aarch64": (0xC00000B7, 277, (198, 425))}
FOREIGN = 0x40000000  # system calls of another interface of the same processor begin here (x32)


def check() -> None:
    """Raise TrainingError on a system without this filter."""
    if sys.platform != "linux" or platform.machine() not in SYSTEMS:
        raise TrainingError(
            f"the network cannot be cut off on {sys.platform}, {platform.machine()}: use Linux or Docker"
        )


def enter_sandbox(parent: int) -> None:
    """Prepare a process that opens videos: no network, no output, and it ends with its parent.

    Call it before MediaPipe is loaded, whose log is not meant for users; errors are raised all the same.
    """
    processes.die_with_parent(parent)
    block_network()
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)


def block_network() -> None:
    """Refuse every new socket from now on, and test it. Raises TrainingError if that fails."""
    check()
    architecture, seccomp, refused = SYSTEMS[platform.machine()]
    last = len(refused) + 5  # the instruction that refuses
    lines = [
        (LOAD, 0, 0, ARCHITECTURE),
        (EQUAL, 0, last - 2, architecture),
        (LOAD, 0, 0, NUMBER),
        (AT_LEAST, last - 4, 0, FOREIGN),
        *((EQUAL, last - 5 - place, 0, call) for place, call in enumerate(refused)),
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, REFUSE),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in lines))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(lines), ctypes.addressof(code)))
    system = ctypes.CDLL(None, use_errno=True)
    if system.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) or system.syscall(
        seccomp, SECCOMP_SET_MODE_FILTER, FLAG_ALL_THREADS, program
    ):
        raise TrainingError(f"the network cannot be cut off: {os.strerror(ctypes.get_errno())}")
    for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX):
        try:
            socket.socket(family).close()
        except PermissionError:
            continue
        raise TrainingError("the network cannot be cut off: a socket could still be opened")
