"""Windows: the last one ends with the signal, and windows that overlap share their frames."""

import pickle

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spasm.core.windows import cut_windows, for_each_frame, shared_frames, window_starts


@given(whole=st.integers(1, 3000), length=st.integers(1, 1200), stride=st.integers(1, 1200))
def test_windows_begin_every_stride_and_the_last_ends_with_the_whole(whole, length, stride):
    starts = window_starts(whole, length, stride)
    assert (starts[0], starts[-1]) == (0, max(0, whole - length))
    steps = np.diff(starts)
    assert (steps[:-1] == stride).all()
    assert ((steps > 0) & (steps <= stride)).all()


def test_sequences_are_cut_as_stam_published_it_where_they_are_long_enough():
    assert window_starts(1000, 1000, 800).tolist() == [0]
    assert window_starts(1800, 1000, 800).tolist() == [0, 800]
    assert window_starts(2000, 1000, 800).tolist() == [0, 800, 1000]


@given(
    whole=st.integers(12, 60),
    length=st.integers(2, 12),
    stride=st.integers(1, 15),
    first=st.integers(0, 3),
    data=st.data(),
)
def test_windows_hold_the_frames_from_their_starts_however_they_are_spaced(whole, length, stride, first, data):
    frames = np.random.default_rng(0).normal(size=(whole, 3, 2)).astype(np.float32)
    starts = window_starts(whole, length, stride)[first:] if data.draw(st.booleans()) else np.array([0])
    starts = starts if len(starts) else np.array([0])
    windows = cut_windows(frames, starts, length)
    assert np.array_equal(windows, np.stack([frames[start : start + length] for start in starts]))
    shared = shared_frames(windows)
    if shared is not None:
        assert np.array_equal(shared.windows(), windows)
        assert len(shared.frames) < windows[..., 0, 0].size
        assert not windows.flags.writeable
    total = for_each_frame(lambda part: part.sum((-2, -1)), windows)
    assert np.array_equal(total, windows.sum((-2, -1)))


def test_windows_that_overlap_are_pickled_as_the_frames_that_they_share():
    frames = np.random.default_rng(0).random((150 + 63 * 30, 33, 5), dtype=np.float32)
    windows = cut_windows(frames, np.arange(64) * 30, 150)
    shared = shared_frames(windows)
    assert shared is not None and (shared.length, shared.stride) == (150, 30)
    assert len(pickle.dumps(shared)) < frames.nbytes + 1000 < windows.nbytes / 4
    assert np.array_equal(pickle.loads(pickle.dumps(shared)).windows(), windows)
    assert shared_frames(windows.copy()) is None, "a copy shares nothing"
    assert shared_frames(windows[:1]) is None, "one window alone is sent as it is"
