"""Movement over a whole recording: the same speeds as of a segment, whatever the blocks, and unknown where unseen."""

import numpy as np
import pytest

from helpers.poses import moving, still
from spasm.features.body_frame import part_speeds
from spasm.features.recording_motion import BLOCK, EDGE, fastest_in_steps


def recording(folder, poses):
    path = folder / "child_1_1.npy"
    np.save(path, poses.astype(np.float32))
    return path


@pytest.mark.parametrize("frames", [1, 2, 100, BLOCK + 2 * EDGE])
def test_a_short_recording_has_the_highest_speed_of_each_step(tmp_path, frames):
    poses = moving(3, max(frames, 60))[0][:frames]
    fastest = fastest_in_steps(recording(tmp_path, poses), frames, 3)
    padded = np.concatenate([poses, np.full((BLOCK + 2 * EDGE - frames, 33, 5), np.nan, np.float32)])
    speeds = part_speeds(padded[None])[0]
    assert fastest.shape == (4, -(-frames // 3))
    for step in range(fastest.shape[1]):
        expected = np.fmax.reduce(speeds[:, 3 * step : min(frames, 3 * step + 3)], axis=1)
        assert np.array_equal(fastest[:, step], expected, equal_nan=True)


@pytest.mark.parametrize("frames", [2 * BLOCK, 3 * BLOCK - 77, 3 * BLOCK + 1])
def test_a_long_recording_has_the_same_speed_on_both_sides_of_a_seam(tmp_path, frames):
    poses = np.repeat(still(1)[0], frames, axis=0)
    poses[:, 13:23, 1] += 0.05 * np.sin(2 * np.pi * np.arange(frames) / 30)[:, None]  # both arms, once a second
    fastest = fastest_in_steps(recording(tmp_path, poses), frames, 3)
    assert fastest.shape == (4, -(-frames // 3))
    known = fastest[:, 1 : -1 - (frames % 3 > 0)]  # the last step may hold nothing but an edge
    assert np.isfinite(known).all()
    assert np.abs(known[:, 10:] - known[:, :-10]).max() < 0.02 * known.max()


def test_a_movement_is_found_in_its_part_and_at_its_time(tmp_path):
    poses = moving(5, 1200)[0]
    poses[:, :, :3] = poses[:1, :, :3]
    poses[700:704, 13:23, 1] += np.array([0.02, 0.05, 0.05, 0.02])[:, None]  # both arms
    head, arms, trunk, legs = fastest_in_steps(recording(tmp_path, poses), 1200, 3)
    assert abs(int(np.nanargmax(arms)) - 701 // 3) <= 1
    assert np.nanmax(arms) > 1.5 * max(np.nanmax(head), np.nanmax(trunk), np.nanmax(legs))


def test_time_without_a_pose_has_no_speed(tmp_path):
    poses = moving(6, 900)[0]
    poses[300:600] = np.nan
    fastest = fastest_in_steps(recording(tmp_path, poses), 900, 3)
    assert np.isnan(fastest[:, 101:199]).all()
    assert np.isfinite(fastest[:, 2:98]).all() and np.isfinite(fastest[:, 202:298]).all()
