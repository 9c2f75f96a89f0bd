"""The first frames of windows of one length in a longer sequence."""

import numpy as np


def window_starts(whole: int, length: int, stride: int) -> np.ndarray:
    """First frames (K,) int64 of the windows: one every `stride` frames, and a last one that ends with the sequence.

    A sequence shorter than a window has one window, which starts at frame 0 and reaches beyond the end.
    """
    last = max(0, whole - length)
    starts = np.arange(0, last + 1, stride)
    return starts if starts[-1] == last else np.append(starts, last)
