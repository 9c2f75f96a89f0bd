"""What a process that computes sets once for itself."""

import contextlib
import ctypes

import torch

# glibc's mallopt parameters (malloc.h)
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEEP_BYTES = 1 << 30


def prepare(threads: int) -> None:
    """Use so many threads, and keep freed memory for the next batch.

    glibc hands large blocks back to the system, and the next batch faults every page in again, which costs a virtual
    machine dearly. Elsewhere than on glibc nothing changes.
    """
    torch.set_num_threads(threads)
    with contextlib.suppress(OSError, AttributeError, TypeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, KEEP_BYTES)
        libc.mallopt(M_TRIM_THRESHOLD, KEEP_BYTES)
