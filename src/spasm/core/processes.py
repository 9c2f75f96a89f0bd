"""What a process that computes sets once for itself."""

import contextlib
import ctypes
import os
import signal
import threading
import time

# glibc's mallopt parameters (malloc.h)
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEEP_BYTES = 1 << 30


def set_threads(threads: int) -> None:
    """Let torch use so many threads, and keep freed memory for the next batch.

    glibc hands large blocks back to the system, and the next batch faults every page in again, which costs a virtual
    machine dearly. Elsewhere than on glibc nothing changes.
    """
    import torch  # here, because a process that runs LightGBM must not load it

    torch.set_num_threads(threads)
    with contextlib.suppress(OSError, AttributeError, TypeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, KEEP_BYTES)
        libc.mallopt(M_TRIM_THRESHOLD, KEEP_BYTES)


def die_with_parent(parent: int) -> None:
    """Make this worker leave Ctrl-C to its parent, and never outlive it; nothing changes in the parent itself."""
    if os.getpid() != parent:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent stops its workers
        threading.Thread(target=_stop_with, args=[parent], daemon=True).start()


def _stop_with(parent: int) -> None:
    """End this process soon after its parent, also when that was killed and could not say so."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)
