"""Windows whose last one ends with the signal."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spasm.core.windows import window_starts


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
