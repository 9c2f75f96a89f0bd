"""The files of pictures: what is read of a segment and of a recording, and what is refused by name."""

import numpy as np
import pytest

from helpers.pictures import some_pictures, write_pictures
from spasm.core.errors import DataError
from spasm.data.pictures import RecordingPictures, SegmentPictures, read_pictures


def test_pictures_of_another_length_than_their_segment_are_refused_by_name(tmp_path):
    write_pictures(tmp_path, ["child_3_1.npy"], [1], 45)
    pictures = SegmentPictures((tmp_path / "test/child_3_1.npy",))
    assert len(pictures.read("vsvig", 0, 45)["patches"]) == 9
    with pytest.raises(DataError, match=r"child_3_1\.npz: holds 9 pictures, and its segment of 90 frames needs 18"):
        pictures.read("two_stream", 0, 90)


def test_a_file_without_any_step_is_refused(tmp_path):
    empty = {name: array[:0] for name, array in some_pictures("vsvig", 45, 1.0, 0).items()}
    np.savez(tmp_path / "empty.npz", **empty)
    with pytest.raises(DataError, match=r"empty\.npz: is no file of pictures"):
        read_pictures(tmp_path / "empty.npz", "vsvig")


def test_windows_are_read_again_where_the_pictures_of_a_recording_have_changed(tmp_path):
    for folder in ("recordings", "vsvig"):
        (tmp_path / folder).mkdir()
    recording = tmp_path / "recordings/child_3_2.npy"
    np.save(recording, np.zeros((60, 33, 5), np.float32))
    windows, read = RecordingPictures(recording, (0, 20)), []
    for seed in (1, 2):  # the same size, in the same process, which may be of a cluster
        for number in (1, 2):
            arrays = some_pictures("vsvig", 30, 1.0, 10 * seed + number)
            np.savez(tmp_path / f"vsvig/child_3_2{number:05}.npz", **arrays)
        read.append(windows.read("vsvig", 1, 30)["patches"])
    assert read[0].shape == read[1].shape == (6, 15, 3, 32, 32)
    assert not np.array_equal(*read)
