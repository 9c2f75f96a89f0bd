"""The sensor: smooth noise, gaps, swaps, freezes and strays, sampled independently of the child's behaviour."""

import dataclasses
import inspect

import numpy as np
import pytest

from spasm.data.landmarks import INDEX, MIRROR
from spasm.simulation import pose_noise
from spasm.simulation.behaviours import COLUMNS
from spasm.simulation.body import POSTURES, of_joints, pose_body, sample_bones
from spasm.simulation.camera import CAMERA_SETUPS, Camera, photograph, trunk_size
from spasm.simulation.pose_noise import (
    GROUPS,
    Sensor,
    apply_pose_noise,
    native_times,
    resample,
    sample_missing,
    sample_sensor,
    wander,
)

CAMERA = Camera(1.0, False, "whole", 0, 0, 0, 1.2, 1.2, np.array([0, 0.05, 0]), np.zeros(2))
PLAIN = Sensor(30.0, missing=0.0, clarity=np.zeros(9), shaky=1.0, lock_on=0.0, lean=0.0, depth=1.0, swapped=False)
CLEAR = dataclasses.replace(PLAIN, clarity=np.full(9, 40.0), shaky=0.0)  # what is seen so well does not stray


def still_picture(frames: int, more: dict[str, float] | None = None) -> np.ndarray:
    """A child that lies still and wholly in the picture, (T, 33, 3)."""
    angles = np.deg2rad(of_joints(POSTURES["supine"].rest | (more or {})))
    body = pose_body(np.repeat(angles[None], frames, axis=0), sample_bones(np.random.default_rng(0), 6))
    return photograph(CAMERA, body, np.zeros((frames, len(COLUMNS))))


def sensed(seed: int, ways: Sensor, picture: np.ndarray) -> np.ndarray:
    return apply_pose_noise(
        np.random.default_rng(seed), ways, CAMERA, picture, np.arange(len(picture)) / 30, len(picture)
    )


@pytest.fixture
def nothing_happens(monkeypatch):
    for name in ("SWAPS", "FREEZES"):
        monkeypatch.setattr(pose_noise, name, 0.0)


# ---- depth and what is hidden


def test_the_guessed_lean_brings_what_is_above_the_hips_nearer(nothing_happens):
    picture = still_picture(10)
    plain, leaning = (sensed(0, dataclasses.replace(CLEAR, lean=lean), picture) for lean in (0.0, 0.45))
    np.testing.assert_array_equal(plain[..., :2], leaning[..., :2])
    above = np.maximum(picture[:, 23:25, 1].mean(axis=1, keepdims=True) - picture[..., 1], 0)
    np.testing.assert_allclose(plain[..., 2] - leaning[..., 2], 0.45 * above, atol=0.01)


def test_a_wrong_depth_stretches_depth_and_nothing_else(nothing_happens):
    picture = still_picture(10)
    plain, deep = (sensed(0, dataclasses.replace(CLEAR, depth=depth), picture) for depth in (1.0, 1.5))
    np.testing.assert_array_equal(plain[..., :2], deep[..., :2])
    np.testing.assert_allclose(deep[..., 2], 1.5 * plain[..., 2], atol=1e-6)


def test_an_arm_behind_the_trunk_is_less_visible_than_the_same_arm_before_it(nothing_happens):
    before, behind = still_picture(10), still_picture(10)
    size = trunk_size(before, CAMERA.aspect)
    before[:, 15, 2], behind[:, 15, 2] = -0.6 * size, 0.9 * size
    seen, hidden = (sensed(0, PLAIN, picture)[:, 15, 3] for picture in (before, behind))
    assert (hidden < seen).all()


# ---- frame rates


def test_fifteen_frames_per_second_become_thirty_in_straight_lines():
    rng = np.random.default_rng(0)
    t = -0.04 + np.arange(78) / 15
    native = rng.normal(size=(t.size, 33, 5))
    resampled = resample(native, t, 150)
    at = np.arange(150) / 30
    for landmark, channel in ((0, 0), (16, 2), (32, 4)):
        np.testing.assert_allclose(
            resampled[:, landmark, channel], np.interp(at, t, native[:, landmark, channel]), atol=1e-12
        )
    # Between two native frames nothing bends: two of three frames in a row on one line have the same slope.
    between = np.searchsorted(t, at, side="right")
    same = (between[2:] == between[1:-1]) & (between[1:-1] == between[:-2])
    np.testing.assert_allclose(np.diff(resampled, n=2, axis=0)[same], 0, atol=1e-12)


def test_a_frame_whose_native_neighbour_is_missing_is_missing_as_a_whole():
    t = -0.04 + np.arange(78) / 15
    native = np.zeros((t.size, 33, 5))
    native[40] = np.nan
    resampled = resample(native, t, 150)
    at = np.arange(150) / 30
    near = (at > t[39]) & (at < t[41])
    assert near.sum() == 4
    assert np.isnan(resampled[near]).all()
    assert np.isfinite(resampled[~near]).all()


def test_at_thirty_frames_per_second_native_frames_arrive_as_they_are():
    t = native_times(np.random.default_rng(0), PLAIN, 150)
    np.testing.assert_array_equal(t, np.arange(150) / 30)
    native = np.random.default_rng(1).normal(size=(150, 33, 5))
    np.testing.assert_array_equal(resample(native, t, 150), native)


@pytest.mark.parametrize("fps", sorted({fps for setup in CAMERA_SETUPS.values() for fps in setup.native_fps}))
def test_native_frames_reach_from_before_the_segment_to_after_it(fps):
    for seed in range(50):
        t = native_times(np.random.default_rng(seed), dataclasses.replace(PLAIN, native_fps=fps), 150)
        assert -1 / fps < t[0] <= 0
        assert t[-1] >= 149 / 30
        np.testing.assert_allclose(np.diff(t), 1 / fps)


# ---- noise


@pytest.mark.parametrize("scale_s", [0.05, 0.25, 0.6])
def test_wandering_has_deviation_one_at_any_time(scale_s):
    t = np.arange(600) / 30
    noise = wander(np.random.default_rng(0), t, 1500, scale_s)
    assert noise.shape == (600, 1500)
    assert np.abs(noise.std(axis=1) - 1).max() < 0.12  # five standard errors and more
    assert np.abs(noise.mean(axis=1)).max() < 0.15


def test_wandering_is_smooth_also_where_its_blocks_meet(monkeypatch):
    t = np.arange(4 * pose_noise.BLOCK) / 30
    noise = wander(np.random.default_rng(0), t, 200, 0.5)
    bend = np.abs(np.diff(noise, n=2, axis=0)).max(axis=1)
    borders = [block * pose_noise.BLOCK + shift for block in (1, 2, 3) for shift in (-2, -1)]
    assert bend.max() < 0.05
    assert bend[borders].max() <= 1.1 * np.delete(bend, borders).max()
    monkeypatch.setattr(pose_noise, "BLOCK", 10**6)
    whole = wander(np.random.default_rng(0), t, 200, 0.5)
    assert np.abs(noise - whole).max() < 0.005


def test_wandering_follows_a_clock_that_slows_down():
    clock = np.cumsum(np.where(np.arange(600) < 300, 1 / 30, 1 / 3000))
    noise = wander(np.random.default_rng(0), clock, 200, 0.5)
    step = np.abs(np.diff(noise, axis=0)).mean(axis=1)
    assert step[310:].max() < 0.05 * step[:290].mean()


def test_parts_stray_together_and_more_so_in_depth(nothing_happens):
    picture = still_picture(3000)
    error = sensed(0, dataclasses.replace(CLEAR, shaky=1.0), picture)[..., :3] - picture
    bend = np.diff(error, n=2, axis=0)
    nose, eye, foot = INDEX["nose"], INDEX["left_eye"], INDEX["left_foot_index"]
    for axis in (0, 2):
        together = np.corrcoef(bend[:, nose, axis], bend[:, eye, axis])[0, 1]
        apart = np.corrcoef(bend[:, nose, axis], bend[:, foot, axis])[0, 1]
        assert together > 0.4 > abs(apart)
    depth = np.corrcoef(bend[:, nose, 2], bend[:, eye, 2])[0, 1]
    assert depth > np.corrcoef(bend[:, nose, 0], bend[:, eye, 0])[0, 1]


def test_a_shaky_picture_jitters_more_and_a_clear_one_without_shake_not_at_all(nothing_happens):
    picture = still_picture(300)
    steps = [
        np.abs(np.diff(sensed(0, dataclasses.replace(CLEAR, shaky=shaky), picture)[..., :2], axis=0)).mean()
        for shaky in (0, 0.3, 1.0)
    ]
    assert steps[0] < 1e-6
    assert steps[2] == pytest.approx(steps[1] / 0.3, rel=0.01)


def test_what_is_badly_seen_strays_further(nothing_happens):
    picture = still_picture(600)
    steps = [
        np.abs(np.diff(sensed(0, dataclasses.replace(PLAIN, clarity=np.full(9, clarity)), picture)[..., :2], axis=0))
        for clarity in (4.0, -6.0)
    ]
    assert steps[1].mean() > 2 * steps[0].mean()


def test_landmarks_outside_the_picture_are_seen_worse_than_inside(nothing_happens):
    inside = still_picture(300)
    outside = np.add(inside, (1.5, 0, 0))
    seen, unseen = (sensed(1, PLAIN, picture) for picture in (inside, outside))
    for landmarks in GROUPS.values():
        for channel in (3, 4):
            assert unseen[:, list(landmarks), channel].mean() < seen[:, list(landmarks), channel].mean()
    for pose in (seen, unseen):
        assert pose[..., 3:].min() >= 0
        assert pose[..., 3:].max() <= 1


def test_legs_below_the_picture_are_guessed_to_hang_down_from_the_hips(nothing_happens):
    picture = still_picture(60)
    legs = [INDEX[f"{side}_ankle"] for side in ("left", "right")]
    picture[:, legs] += (0.8, 0.9, 0)
    guessed = sensed(0, CLEAR, picture)[..., :3]
    hips, shoulders = picture[:, 23:25].mean(axis=1), picture[:, 11:13].mean(axis=1)
    hanging = hips + 1.65 * (hips - shoulders)
    middle = guessed[:, legs].mean(axis=1)
    assert (np.abs(middle - hanging)[:, :2] < np.abs(picture[:, legs].mean(axis=1) - hanging)[:, :2]).all()


# ---- what happens for a moment


def test_a_swap_exchanges_left_and_right_and_nothing_else(monkeypatch, nothing_happens):
    monkeypatch.setattr(pose_noise, "SWAPS", 1.0)
    picture = still_picture(1500)
    pose = sensed(2, CLEAR, picture)[..., :3]
    kept = np.isclose(pose, picture, atol=1e-6).all(axis=-1)
    swapped = np.isclose(pose, picture[:, list(MIRROR)], atol=1e-6).all(axis=-1)
    assert (kept | swapped).all()
    assert 0.01 < (~kept[:, INDEX["left_wrist"]]).mean() < 0.5
    assert (kept[:, INDEX["left_wrist"]] == kept[:, INDEX["right_wrist"]]).all()
    runs = np.diff(np.flatnonzero(np.diff(np.pad(~kept[:, INDEX["left_wrist"]], 1).astype(int))))[::2]
    assert runs.max() <= 45  # half a second, and some follow one another


def test_a_child_taken_for_its_mirror_image_is_swapped_throughout(nothing_happens):
    picture = still_picture(150, {"left_elbow": 20, "right_elbow": 110})
    ways = dataclasses.replace(PLAIN, swapped=True)
    np.testing.assert_array_equal(sensed(3, ways, picture), sensed(3, PLAIN, picture[:, list(MIRROR)]))


def test_only_children_seen_from_behind_are_taken_for_their_mirror_image():
    rng = np.random.default_rng(0)
    shares = {
        posture: np.mean([sample_sensor(rng, CAMERA_SETUPS["home"], posture).swapped for _ in range(400)])
        for posture in POSTURES
    }
    assert 0.3 < shares.pop("prone") < 0.5
    assert set(shares.values()) == {0}


def test_a_freeze_repeats_a_whole_frame(monkeypatch, nothing_happens):
    picture = still_picture(1500)
    assert not (np.diff(sensed(4, PLAIN, picture), axis=0) == 0).all(axis=(1, 2)).any()
    monkeypatch.setattr(pose_noise, "FREEZES", 1.0)
    repeated = (np.diff(sensed(4, PLAIN, picture), axis=0) == 0).all(axis=(1, 2))
    runs = np.diff(np.flatnonzero(np.diff(np.pad(repeated, 1).astype(int))))[::2]
    assert len(runs) > 5
    assert 2 <= np.median(runs) <= 15
    partly = (np.diff(sensed(4, PLAIN, picture), axis=0) == 0).any(axis=(1, 2))
    assert (partly == repeated).mean() > 0.99


def test_the_pose_locks_on_to_another_person_as_often_as_set(nothing_happens):
    picture = still_picture(6000)
    trunk = np.linalg.norm(picture[0, 11, :2] - picture[0, 23, :2])
    away = []
    for lock_on in (0.0, 0.3, 3.0):
        pose = sensed(5, dataclasses.replace(CLEAR, lock_on=lock_on), picture)
        distance = np.linalg.norm(pose[..., :2] - picture[..., :2], axis=-1).max(axis=1)
        away.append((distance > 0.5 * trunk).mean())
    assert away[0] == 0
    assert 0 < away[1] < away[2]
    assert away[1] == pytest.approx(0.3 * 0.8 / 5, abs=0.03)  # episodes last 0.8 s on average


# ---- gaps


@pytest.mark.parametrize("missing", [0.1, 0.5, 0.9])
def test_the_fraction_of_missing_frames_is_that_of_the_sensor(missing):
    ways, t = dataclasses.replace(PLAIN, missing=missing), np.arange(150) / 30
    rng = np.random.default_rng(0)
    shares = np.array([sample_missing(rng, ways, t) for _ in range(2000)])
    assert shares.mean() == pytest.approx(missing, abs=0.04)
    assert shares[:, 0].mean() == pytest.approx(shares[:, -1].mean(), abs=0.04)  # at the start as at the end


def test_without_a_single_pose_all_is_missing():
    ways = dataclasses.replace(PLAIN, missing=1.0)
    assert np.isnan(sensed(0, ways, still_picture(150))).all()


@pytest.mark.parametrize("fps", [30.0, 25.0, 14.5])
def test_what_arrives_is_single_precision_and_zero_deep_at_the_hips_or_missing_as_a_whole_frame(fps):
    ways = dataclasses.replace(PLAIN, native_fps=fps, missing=0.4, lock_on=0.3)
    gaps = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        t = native_times(rng, ways, 150)
        pose = apply_pose_noise(rng, ways, CAMERA, still_picture(t.size), t, 150)
        assert pose.shape == (150, 33, 5)
        assert pose.dtype == np.float64
        np.testing.assert_array_equal(pose, pose.astype(np.float32))
        missing = np.isnan(pose)
        frames = missing.all(axis=(1, 2))
        assert (missing == frames[:, None, None]).all()
        assert np.isfinite(pose[~frames]).all()
        np.testing.assert_allclose(pose[~frames][:, 23:25, 2].mean(axis=1), 0, atol=1e-6)
        gaps += frames.sum()
    assert 0.2 < gaps / (20 * 150) < 0.7


# ---- the label


def test_no_function_that_samples_noise_gets_the_label():
    for draw in (sample_sensor, native_times, apply_pose_noise, sample_missing, wander):
        assert set(inspect.signature(draw).parameters) <= {
            "rng", "setup", "posture", "sensor", "frames", "camera", "picture", "t", "columns", "scale_s",
        }  # fmt: skip


def test_the_same_generator_gives_the_same_noise_whatever_the_child_does():
    one, other = still_picture(300), still_picture(300, {"elbow": 110, "knee": 120})
    ways = dataclasses.replace(CLEAR, shaky=1.0, missing=0.3)
    ends, errors, gaps = [], [], []
    for picture in (one, other):
        rng = np.random.default_rng(6)
        pose = apply_pose_noise(rng, ways, CAMERA, picture, np.arange(300) / 30, 300)
        ends.append(rng.bit_generator.state)
        gaps.append(np.isnan(pose[:, 0, 0]))
        errors.append((pose[..., :2] - picture[..., :2])[~gaps[-1]])
    assert ends[0] == ends[1]
    np.testing.assert_array_equal(gaps[0], gaps[1])
    trunk = [*range(11), 11, 12, 23, 24]  # the same place in both pictures
    np.testing.assert_allclose(errors[0][:, trunk], errors[1][:, trunk], atol=1e-6)
