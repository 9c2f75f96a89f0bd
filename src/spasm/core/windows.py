"""Where windows of one length begin in something longer."""

import numpy as np


def window_starts(whole: int, length: int, stride: int) -> np.ndarray:
    """The first frame (K,) int64 of each window: every `stride` frames, and one that ends with the whole.

    Of a whole that is shorter than a window, the only window begins with it and has frames beyond its end.
    """
    last = max(0, whole - length)
    starts = np.arange(0, last + 1, stride)
    return starts if starts[-1] == last else np.append(starts, last)
