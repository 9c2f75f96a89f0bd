"""Poses to the 14 channels: filling gaps, the root, scale, derivatives, and who calls it."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from helpers.networks import NETWORKS, small_config, trainer_of
from helpers.settings import NO_AUGMENTATION
from spasm.config.features import Features
from spasm.data.dataset import TrainingData
from spasm.features.body_channels import USUAL_SPEED, smooth_in_time, squashed
from spasm.features.channels import CHANNELS, build_features, interpolate
from spasm.features.exportable import nanmedian
from spasm.models.networks import inputs, predictor

torch.set_num_threads(1)

T = 20
HIPS, SHOULDERS = [23, 24], [11, 12]
POSITION = slice(0, 3)
MOTION = slice(0, 10)  # everything that depends on the root


def pose(seed=0, frames=T):
    """A moving body (frames, 33, 5) float32: shoulders at y = 0.3, hips at y = 0.6, everything found."""
    generator = np.random.default_rng(seed)
    body = generator.uniform(0.2, 0.8, (33, 5))
    body[SHOULDERS, 1], body[HIPS, 1] = 0.3, 0.6
    moves = generator.normal(0, 0.01, (frames, 33, 3)).cumsum(0)
    poses = np.repeat(body[None], frames, 0)
    poses[..., :3] += moves
    return poses.astype(np.float32)


def with_gaps(seed=0, share=0.3, frames=T):
    poses = pose(seed, frames)
    generator = np.random.default_rng(100 + seed)
    poses[generator.random((frames, 33)) < share] = np.nan
    poses[generator.random(frames) < share / 2] = np.nan
    return poses


def channels(poses, **options):
    """The channels of one segment (T, 33, 5) as (14, 33, T) float32."""
    return build_features(torch.from_numpy(np.array(poses)[None]), Features(**options))[0].numpy()


def channel(name):
    return CHANNELS.index(name)


def plain_interpolation(values, found):
    """values (T,) where found (T,) bool, by np.interp; zero where nothing was found."""
    time = np.arange(len(values))
    return np.interp(time, time[found], values[found]) if found.any() else np.zeros(len(values))


def plain_positions(poses):
    """Every landmark interpolated (T, 33, 3) float64, and where it was found (T, 33)."""
    found = np.isfinite(poses[..., :3]).all(-1)
    filled = np.zeros(poses[..., :3].shape)
    for landmark in range(33):
        for axis in range(3):
            filled[:, landmark, axis] = plain_interpolation(poses[:, landmark, axis], found[:, landmark])
    return filled, found


# ---- what comes out


def test_the_channels_are_the_fourteen_of_the_design_in_their_order():
    assert CHANNELS == (
        "x", "y", "z", "vx", "vy", "vz", "ax", "ay", "az", "speed", "visibility", "presence", "mask", "valid_fraction",
    )  # fmt: skip
    features = build_features(torch.from_numpy(np.stack([pose(0), pose(1), pose(2)])), Features())
    assert features.shape == (3, 14, 33, T)
    assert features.dtype == torch.float32


def test_every_channel_equals_a_plain_loop_over_landmarks_and_frames():
    poses = with_gaps()
    filled, found = plain_positions(poses)
    root = filled[:, HIPS].mean(1)
    expected = np.zeros((14, 33, T))
    for landmark in range(33):
        place = filled[:, landmark] - root
        velocity, acceleration = np.zeros((T, 3)), np.zeros((T, 3))
        for t in range(T):
            if t >= 1 and found[t, landmark] and found[t - 1, landmark]:
                velocity[t] = place[t] - place[t - 1]
            if t >= 2 and found[t - 2 : t + 1, landmark].all():
                acceleration[t] = velocity[t] - velocity[t - 1]
            if np.isfinite(poses[t, landmark, 3:]).all():
                expected[10:12, landmark, t] = poses[t, landmark, 3:]
            expected[12, landmark, t] = found[t, landmark]
            expected[13, landmark, t] = sum(found[t]) / 33
        expected[0:3, landmark], expected[3:6, landmark] = place.T, velocity.T
        expected[6:9, landmark] = acceleration.T
        expected[9, landmark] = np.sqrt((velocity**2).sum(1))
    assert found.any(0).all()
    assert not found.all()
    assert np.allclose(channels(poses), expected, atol=1e-6)


def test_velocity_and_acceleration_are_zero_wherever_a_frame_they_rest_on_is_missing():
    poses = pose()
    poses[8, 5] = np.nan
    features = channels(poses)
    velocity, acceleration = np.abs(features[3:6, 5]).sum(0), np.abs(features[6:9, 5]).sum(0)
    assert np.flatnonzero(velocity == 0).tolist() == [0, 8, 9]
    assert np.flatnonzero(features[channel("speed"), 5] == 0).tolist() == [0, 8, 9]
    assert np.flatnonzero(acceleration == 0).tolist() == [0, 1, 8, 9, 10]
    assert np.flatnonzero(np.abs(features[3:6, 6]).sum(0) == 0).tolist() == [0]


@pytest.mark.parametrize(
    "options", [{}, {"root": "hold"}, {"body_scale": True}, {"frame": "body"}, {"frame": "body", "root": "hold"}]
)
@settings(deadline=None, max_examples=15)
@given(share=st.floats(0, 1), seed=st.integers(0, 1000))
def test_no_channel_is_ever_nan_or_infinite_and_the_mask_is_what_was_found(options, share, seed):
    poses = with_gaps(seed, share)
    features = channels(poses, **options)
    assert np.isfinite(features).all()
    found = np.isfinite(poses[..., :3]).all(-1)
    assert np.array_equal(features[channel("mask")], found.T)
    assert np.allclose(features[channel("valid_fraction")], found.mean(1)[None].repeat(33, 0))


@pytest.mark.parametrize("options", [{}, {"root": "hold"}, {"body_scale": True}, {"aspect": 1.8}, {"frame": "body"}])
def test_a_segment_without_any_pose_gives_zeros(options):
    assert not channels(np.full((T, 33, 5), np.nan, np.float32), **options).any()


@pytest.mark.parametrize("frame", ["camera", "body"])
@pytest.mark.parametrize("frames", [1, 2, 3])
def test_segments_of_a_few_frames_give_channels(frames, frame):
    assert np.isfinite(channels(pose(frames=frames), frame=frame)).all()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_landmark_with_one_missing_coordinate_is_not_found(axis):
    poses = pose()
    poses[4, 7, axis] = np.nan
    features = channels(poses)
    assert features[channel("mask"), 7, 4] == 0
    poses[4, 7, :3] = np.nan
    assert np.array_equal(features, channels(poses))


def test_visibility_and_presence_are_zero_where_nan_and_kept_within_0_and_1():
    poses = pose()
    poses[0, 0, 3:] = np.nan
    poses[1, 0, 3:] = -0.5, 1.5
    poses[2, 0, 3:] = 0.25, 0.75
    features = channels(poses)
    assert features[channel("visibility"), 0, :3].tolist() == [0, 0, 0.25]
    assert features[channel("presence"), 0, :3].tolist() == [0, 1, 0.75]
    assert features[channel("mask"), 0, :3].tolist() == [1, 1, 1]


def test_the_poses_that_came_in_are_not_modified():
    poses = torch.from_numpy(with_gaps()[None])
    before = poses.clone()
    build_features(poses, Features(body_scale=True, aspect=2))
    assert np.array_equal(poses.numpy(), before.numpy(), equal_nan=True)


@pytest.mark.parametrize("options", [{}, {"root": "hold", "body_scale": True}, {"frame": "body"}])
def test_a_segment_gets_the_same_channels_alone_and_among_thirty_two(options):
    poses = torch.from_numpy(np.stack([with_gaps(seed, seed / 40) for seed in range(32)]))
    together = build_features(poses, Features(**options))
    for i in range(32):
        assert torch.allclose(build_features(poses[i : i + 1], Features(**options))[0], together[i], atol=1e-6)


# ---- filling gaps


@settings(deadline=None, max_examples=200)
@given(
    found=hnp.arrays(bool, st.tuples(st.integers(1, 3), st.integers(1, 12), st.just(4))),
    seed=st.integers(0, 2**32 - 1),
)
def test_interpolation_equals_numpys_for_each_landmark(found, seed):
    values = np.random.default_rng(seed).normal(size=(*found.shape, 3)).astype(np.float32)
    values[~found] = np.nan
    filled = interpolate(torch.from_numpy(values), torch.from_numpy(found)).numpy()
    for n, v, axis in np.ndindex(found.shape[0], found.shape[2], 3):
        expected = plain_interpolation(values[n, :, v, axis], found[n, :, v])
        assert np.allclose(filled[n, :, v, axis], expected, atol=1e-6)
    assert np.array_equal(filled[found], values[found])


def filled_line(values):
    """One landmark's x over time after interpolation; None is a missing frame."""
    found = np.array([value is not None for value in values])
    x = np.array([np.nan if value is None else value for value in values], np.float32)
    positions = torch.from_numpy(np.repeat(x[None, :, None, None], 3, -1))
    return interpolate(positions, torch.from_numpy(found[None, :, None]))[0, :, 0, 0].tolist()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([None, None, 3, 5], [3, 3, 3, 5]),
        ([1, 3, None, None], [1, 3, 3, 3]),
        ([1, None, None, 4], [1, 2, 3, 4]),
        ([None, 2, None, None], [2, 2, 2, 2]),
        ([None, None, None, None], [0, 0, 0, 0]),
        ([1, 2, 4, 8], [1, 2, 4, 8]),
    ],
    ids=["start", "end", "middle", "one frame", "never", "no gap"],
)
def test_gaps_are_filled_on_a_line_and_with_the_nearest_value_at_both_ends(values, expected):
    assert filled_line(values) == pytest.approx(expected, abs=1e-6)


def test_a_landmark_that_is_never_found_is_zero_in_every_position_channel():
    poses = pose()
    poses[:, 9] = np.nan
    assert not channels(poses)[MOTION, 9].any()
    assert not channels(poses, body_scale=True, aspect=3)[MOTION, 9].any()


# ---- the root


@pytest.mark.parametrize(
    ("missing", "root_of"),
    [
        ([], HIPS),
        ([23], SHOULDERS),
        (HIPS, SHOULDERS),
        ([*HIPS, 11], [i for i in range(33) if i not in (11, *HIPS)]),
        ([*HIPS, *SHOULDERS, 0], [i for i in range(33) if i not in (0, *HIPS, *SHOULDERS)]),
    ],
    ids=["hips", "one hip never", "hips never", "one shoulder never", "trunk never"],
)
@pytest.mark.parametrize("rule", ["interpolate", "hold"])
def test_the_root_is_mid_hips_then_mid_shoulders_then_the_centre_of_the_rest(missing, root_of, rule):
    poses = pose()
    poses[:, missing] = np.nan
    expected = poses[:, 7, :3] - poses[:, root_of, :3].mean(1)
    assert np.allclose(channels(poses, root=rule)[POSITION, 7].T, expected, atol=1e-6)


@pytest.mark.parametrize("gap", [slice(0, 5), slice(6, 12), slice(15, T), slice(0, None, 2)])
def test_hips_that_are_missing_for_a_while_are_interpolated_and_stay_the_root(gap):
    poses = pose()
    poses[gap, 23:25] = np.nan
    filled, _ = plain_positions(poses)
    expected = filled[:, 7] - filled[:, HIPS].mean(1)
    assert np.allclose(channels(poses)[POSITION, 7].T, expected, atol=1e-6)


def test_held_hips_make_every_landmark_jump_when_they_return_and_interpolated_ones_do_not():
    poses = np.repeat(pose()[:1], T, 0)
    poses[..., 0] += 0.02 * np.arange(T, dtype=np.float32)[:, None]  # the whole body slides through the picture
    poses[5:12, 23:25] = np.nan
    held, smooth = (channels(poses, root=rule)[0, 0] for rule in ("hold", "interpolate"))
    assert np.abs(np.diff(smooth)).max() < 1e-5
    assert np.diff(held)[5:11] == pytest.approx([0.02] * 6, abs=1e-5)
    assert np.diff(held)[11] == pytest.approx(-0.02 * 7, abs=1e-5)


def test_held_hips_are_the_first_ones_until_they_are_seen():
    poses = pose()
    poses[:4, 23] = np.nan
    poses[:2, 24] = np.nan  # seen alone at first, and still not held
    held = channels(poses, root="hold")[POSITION, 0, :4].T
    assert np.allclose(held, poses[:4, 0, :3] - poses[4, HIPS, :3].mean(0), atol=1e-6)


def test_held_hips_are_held_where_only_one_of_them_is_missing():
    poses = pose()
    poses[9, 23] = np.nan
    held = channels(poses, root="hold")[POSITION, 0, 9]
    assert np.allclose(held, poses[9, 0, :3] - poses[8, HIPS, :3].mean(0), atol=1e-6)


# ---- camera, body size and aspect ratio


def seen_from(poses, zoom=1.0, move=(0.0, 0.0, 0.0)):
    """The same segment through a camera that zooms or stands elsewhere."""
    poses = poses.copy()
    poses[..., :3] = poses[..., :3] * zoom + np.asarray(move, np.float32)
    return poses


@pytest.mark.parametrize("body_scale", [False, True])
def test_moving_the_camera_does_not_change_root_relative_channels(body_scale):
    poses = with_gaps()
    moved = channels(seen_from(poses, move=(0.3, -0.2, 0.5)), body_scale=body_scale)
    assert np.allclose(moved, channels(poses, body_scale=body_scale), atol=5e-6)


def test_scaling_by_body_size_makes_the_zoom_of_the_camera_disappear():
    poses = with_gaps()
    for zoom in (0.3, 2.5):
        seen = seen_from(poses, zoom, (0.1, 0.2, 0.3))
        assert np.allclose(channels(seen, body_scale=True), channels(poses, body_scale=True), atol=5e-5)
        assert np.allclose(channels(seen)[MOTION], zoom * channels(poses)[MOTION], atol=5e-6)


def test_the_body_size_is_the_median_torso_of_the_frames_in_which_it_was_seen():
    poses = pose(frames=T - 1)  # an odd number, of which the median is one
    poses[:3, 12] = np.nan
    poses[3:5, 23] = np.nan
    torso = poses[5:, SHOULDERS, :2].mean(1) - poses[5:, HIPS, :2].mean(1)
    scale = np.sort(np.linalg.norm(torso, axis=1))[(len(torso) - 1) // 2]
    assert np.allclose(channels(poses, body_scale=True)[MOTION], channels(poses)[MOTION] / scale, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("never", [[11], [24], [11, 24]])
def test_a_body_whose_torso_was_never_seen_is_not_scaled(never):
    poses = pose()
    poses[:, never] = np.nan
    assert np.array_equal(channels(poses, body_scale=True), channels(poses))


def test_a_torso_too_short_to_measure_does_not_blow_the_pose_up():
    poses = pose()
    poses[:, SHOULDERS, :2] = poses[:, HIPS, :2] + np.float32(0.001)
    assert np.array_equal(channels(poses, body_scale=True), channels(poses))


def test_the_aspect_ratio_scales_x_and_z_and_leaves_y():
    poses = with_gaps()
    square, wide = channels(poses), channels(poses, aspect=1.5)
    for name in ("x", "z", "vx", "vz", "ax", "az"):
        assert np.allclose(wide[channel(name)], 1.5 * square[channel(name)], atol=1e-6)
        assert np.abs(square[channel(name)]).max() > 0
    for name in ("y", "vy", "ay", "visibility", "presence", "mask", "valid_fraction"):
        assert np.allclose(wide[channel(name)], square[channel(name)], atol=1e-6)
    velocity = wide[3:6]
    assert np.allclose(wide[channel("speed")], np.sqrt((velocity**2).sum(0)), atol=1e-6)


# ---- the body's frame of reference


def body(poses, **options):
    return channels(poses, frame="body", **options)


def turned(poses, degrees):
    """The same segment recorded with the camera rolled."""
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]], np.float32)
    poses = poses.copy()
    poses[..., :2] = (poses[..., :2] - 0.5) @ turn.T + 0.5
    return poses


def test_visibility_presence_and_mask_are_the_same_in_both_frames():
    poses = with_gaps()
    assert np.array_equal(body(poses)[10:], channels(poses)[10:])


@pytest.mark.parametrize("degrees", [-150, -90, 37, 90, 180])
def test_in_the_bodys_frame_it_makes_no_difference_how_the_child_lies_before_the_camera(degrees):
    poses = with_gaps(share=0.1)
    seen = seen_from(turned(poses, degrees), zoom=1.7, move=(0.2, -0.1, 0.3))
    assert np.allclose(body(seen), body(poses), atol=2e-3)
    assert not np.allclose(channels(seen), channels(poses), atol=0.1)


def test_in_the_bodys_frame_the_trunk_points_up_and_is_one_long():
    poses = np.repeat(turned(pose(), 120)[:1], T, 0)
    x, y = body(poses)[:2]
    upward = np.stack([x[SHOULDERS].mean(0) - x[HIPS].mean(0), y[SHOULDERS].mean(0) - y[HIPS].mean(0)])
    assert np.allclose(upward, np.array([[0], [-1]]), atol=1e-4)


def test_a_child_that_turns_over_within_a_segment_is_seen_to_turn():
    still = np.repeat(pose()[:1], 60, 0)
    turning = np.stack([turned(still[:1], degrees)[0] for degrees in np.linspace(0, 170, 60)])
    assert body(turning)[channel("speed")].max() > 1
    assert np.abs(body(still)[3:10]).max() < 1e-3


def test_a_jump_is_squashed_and_usual_movement_is_not():
    poses = np.repeat(pose()[:1], 40, 0)
    poses[20:, 15, 0] += np.float32(30)
    assert 3 < np.abs(body(poses)[channel("vx"), 15]).max() < 12
    slow = np.repeat(pose()[:1], 40, 0)
    slow[:, 15, 0] += (0.001 * np.arange(40)).astype(np.float32)
    trunk = np.linalg.norm(slow[0, SHOULDERS, :2].mean(0) - slow[0, HIPS, :2].mean(0))
    assert np.allclose(body(slow)[channel("speed"), 15, 8:32], 0.001 / trunk / 0.02, rtol=0.02)


def test_depth_counts_less_the_noisier_it_is_beside_the_picture():
    generator = np.random.default_rng(0)
    still = np.repeat(pose()[:1], 150, 0)
    depth = []
    for ratio in (1, 8):
        poses = still + generator.normal(0, [0.002, 0.002, 0.002 * ratio, 0, 0], (150, 33, 5)).astype(np.float32)
        poses[75:, :, 2] += np.linspace(0, 1, 33, dtype=np.float32)  # a true change of depth
        z = body(poses)[channel("z")]
        depth.append(np.abs(z[:, 100:].mean(1) - z[:, :50].mean(1)).max())
    assert depth[0] > 4 * depth[1] > 0


def test_without_hips_or_shoulders_the_bodys_frame_keeps_the_pictures_direction_and_scale():
    poses = pose()
    poses[:, HIPS] = np.nan
    x, y = body(poses)[:2]
    smooth = smooth_in_time(torch.from_numpy(channels(poses)[:2].transpose(2, 0, 1)[None].copy()))[0].numpy()
    assert np.allclose(np.stack([x, y]), smooth.transpose(1, 2, 0), atol=1e-5)


# ---- training and scoring


def test_training_and_scoring_build_features_with_the_same_function(monkeypatch):
    """Both call it, and a segment's channels are the same on both ways."""
    poses = np.stack([with_gaps(seed) for seed in range(6)])
    data = TrainingData(
        names=tuple(f"child_{i}_1.npy" for i in range(6)),
        children=tuple("012345"),
        labels=np.arange(6) % 2,
        poses=poses,
        has_pose=np.ones(6, bool),
        fingerprint="",
        groups={},
        simulated=False,
    )
    config = dataclasses.replace(
        small_config("stgcn_mil", width=4, frame="camera", body_scale=True, epochs=1), augmentation=NO_AUGMENTATION
    )
    seen = []

    def spy(batch, options):
        seen.append((build_features(batch, options), options))
        return seen[-1][0]

    assert inputs.build_features is build_features
    monkeypatch.setattr(inputs, "build_features", spy)
    training = trainer_of("stgcn_mil", config, data)
    training.run_epoch()
    assert len(seen) == 1
    monkeypatch.setattr("spasm.features.channels.build_features", spy)  # imported when it is called
    opened = predictor.NetworkPredictor(
        lambda: NETWORKS["stgcn_mil"].build(config),
        [training.final_weights()],
        NETWORKS["stgcn_mil"],
        config,
        torch.device("cpu"),
        torch.float32,
    )
    opened.predict(poses, np.arange(6))
    assert len(seen) == 2
    assert seen[0][1] == seen[1][1] == config.features
    assert torch.allclose(seen[0][0], seen[1][0], atol=1e-3)  # augmentation rounds, and derivatives enlarge that
    assert not torch.allclose(
        seen[1][0], build_features(torch.from_numpy(poses), dataclasses.replace(config.features, body_scale=False))
    )


def test_a_landmark_flung_far_away_is_held_at_the_edge_so_that_no_batch_norm_is_spoiled():
    poses = np.random.default_rng(0).uniform(0, 1, (2, 20, 33, 5)).astype(np.float32)
    poses[0, 7, 3, :3] = 1e6
    built = build_features(torch.from_numpy(poses), Features())
    assert built[0].abs().max() < 100
    assert built[0, 0, 3, 7] > 5, "it is still far from the body"


# ---- what is computed in another way than torch does, because that is slow


@given(hnp.arrays(np.float32, (2, 9, 3), elements=st.one_of(st.just(np.nan), st.floats(-5, 5, width=32))))
def test_a_median_without_missing_values_is_that_of_torch(values):
    found, wanted = nanmedian(torch.from_numpy(values)), torch.from_numpy(values).nanmedian(1).values
    assert torch.equal(found.nan_to_num(99), wanted.nan_to_num(99))


def test_squashed_motion_is_its_inverse_hyperbolic_sine_for_tiny_and_huge_values():
    velocity = torch.tensor([[0.0, 0, 0], [1e-9, -1e-6, 1e-3], [-0.02, 3, -400]])[None, None]
    motion = squashed(torch.zeros_like(velocity), velocity, velocity)[0, 0]
    wanted = np.arcsinh(velocity[0, 0].double().numpy() / USUAL_SPEED)
    assert motion[:, 3:6].numpy() == pytest.approx(wanted, abs=5e-7, rel=1e-6)
    assert motion[:, 6:9].numpy() == pytest.approx(np.arcsinh(np.sinh(wanted) * 2), abs=5e-7, rel=1e-6)
    speed = np.hypot(*velocity[0, 0, :, :2].double().numpy().T)
    assert motion[:, 9].numpy() == pytest.approx(np.arcsinh(speed / USUAL_SPEED), abs=5e-7, rel=1e-6)
