"""Windows of one length in a longer sequence: their first frames, and their values."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided


class SharedFrames(NamedTuple):
    """Windows that overlap, as the frames that they share: a fifth of the values at a stride of a second."""

    frames: np.ndarray
    """(F, ...): each frame once."""
    length: int
    """Frames of a window."""
    stride: int
    """Frames from the start of a window to the next one's."""

    def windows(self) -> np.ndarray:
        """The windows (N, T, ...), read-only; they share their memory."""
        return self.of_windows(self.frames)

    def of_windows(self, values: np.ndarray) -> np.ndarray:
        """Values (F, ...) of frames as those of the windows (N, T, ...), read-only."""
        shape = ((len(values) - self.length) // self.stride + 1, self.length, *values.shape[1:])
        step = values.strides[0]
        return as_strided(values, shape, (self.stride * step, step, *values.strides[1:]), writeable=False)


def window_starts(whole: int, length: int, stride: int) -> np.ndarray:
    """First frames (K,) int64 of the windows: one every `stride` frames, and a last one that ends with the sequence.

    A sequence shorter than a window has one window, which starts at frame 0 and reaches beyond the end.
    """
    last = max(0, whole - length)
    starts = np.arange(0, last + 1, stride)
    return starts if starts[-1] == last else np.append(starts, last)


def cut_windows(frames: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
    """Windows (N, T, ...) of frames (F, ...) from the given starts; read-only, and without a copy if evenly spaced."""
    strides = np.unique(np.diff(starts))
    if len(strides) != 1 or not 0 < strides[0] < length:
        return np.stack([frames[start : start + length] for start in starts])
    return SharedFrames(frames[starts[0] : starts[-1] + length], length, int(strides[0])).windows()


def shared_frames(windows: np.ndarray) -> SharedFrames | None:
    """The frames of windows (N, T, ...) that share them in memory, as those of `cut_windows`; None for others."""
    count, length = windows.shape[:2]
    step = windows.strides[1]
    stride, rest = divmod(windows.strides[0], step) if step > 0 else (0, 0)
    if count < 2 or rest or not 0 < stride < length:
        return None
    shape = ((count - 1) * stride + length, *windows.shape[2:])
    return SharedFrames(as_strided(windows, shape, windows.strides[1:], writeable=False), length, stride)


def for_each_frame(function: Callable[[np.ndarray], np.ndarray], windows: np.ndarray) -> np.ndarray:
    """function(windows) of windows (N, T, ...), for a function of single frames, which sees shared frames once."""
    shared = shared_frames(windows)
    return function(windows) if shared is None else shared.of_windows(function(shared.frames))
