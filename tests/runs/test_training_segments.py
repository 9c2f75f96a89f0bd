"""A run recognises the poses that it was trained on, whatever their files are called."""

import numpy as np
import pytest

from helpers.poses import moving
from helpers.tables import table
from spasm.core.errors import DataError
from spasm.runs.training_segments import frame_digests, pose_digest, read_training_segments


def test_a_finished_run_has_a_digest_of_the_poses_of_each_segment(trained, simulated):
    rows = table(trained / "segments.csv")
    assert [row["segment_name"] for row in rows] == [row["segment_name"] for row in table(trained / "folds.csv")]
    for row in rows[::9]:
        pose = np.load(simulated / "train" / row["segment_name"]).astype(np.float32)
        assert row["pose_sha256"] == pose_digest(pose)
        assert (row["pose_sha256"] == "") == bool(np.isnan(pose[..., 0]).all())
    known = read_training_segments(trained)
    assert known.children == {row["child"] for row in table(trained / "folds.csv")}
    assert "" not in known.poses | known.frames


def test_a_digest_does_not_depend_on_how_a_missing_landmark_or_a_zero_is_written():
    pose = moving(0, 20)[0]
    pose[3, 5], pose[7, 2, 2] = np.nan, 0
    other = pose.copy()
    other[3, 5], other[7, 2, 2] = -np.frombuffer(b"\x01\x00\xc0\x7f", np.float32)[0], -0.0
    assert pose.tobytes() != other.tobytes()
    assert pose_digest(pose) == pose_digest(other)
    assert pose_digest(pose) != pose_digest(np.where(pose == 0, np.float32(1e-6), pose))


def test_a_frame_is_recognised_inside_a_recording_and_one_without_pose_is_not():
    recording = moving(0, 60)[0]
    recording[10:20] = np.nan
    segment = recording[15:45]
    first = next(frame_digests(segment))
    assert first == next(frame_digests(recording[20:]))
    assert first in set(frame_digests(recording))
    assert len(list(frame_digests(recording))) == 50
    assert list(frame_digests(np.full((5, 33, 5), np.nan, np.float32))) == []
    assert pose_digest(np.full((5, 33, 5), np.nan, np.float32)) == ""


def test_a_run_without_the_table_or_with_a_damaged_one_is_refused_with_what_to_do(copied):
    path = copied / "segments.csv"
    whole = path.read_text()
    for content in (
        whole.replace("\nchild", "\nchild_0", 1),
        "\n".join(whole.splitlines()[:-1]),
        whole[:-3] + "zz\n",
    ):
        path.write_text(content)
        with pytest.raises(DataError) as caught:
            read_training_segments(copied)
        assert "--decide-only" in caught.value.hint
    path.unlink()
    with pytest.raises(DataError, match="does not recognise its training segments"):
        read_training_segments(copied)
