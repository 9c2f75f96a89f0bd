"""STAM: its published size, its clips, and the two attentions it shows."""

import itertools

import pytest
import torch

from helpers.networks import some_features, trained_like
from spasm.data.landmarks import OPENPOSE_18
from spasm.features.channels import CHANNELS
from spasm.models.networks import stam
from spasm.models.networks.stam import StamNetwork, adjacency, clip_covers, clip_starts
from spasm.models.stam import StamConfig, StamModel

torch.set_num_threads(1)


def parameters(network):
    return sum(value.numel() for value in network.parameters())


def test_it_has_the_published_number_of_parameters_without_the_norm_that_is_never_used():
    assert parameters(StamNetwork()) == 435_264 - 256
    # Depth adds three channels to the first norm, convolution and shortcut.
    assert parameters(StamModel().build(StamConfig())) == 435_264 - 256 + 3 * (2 * 18 + 64 + 64)


@pytest.mark.parametrize(("frames", "clips"), [(30, 1), (150, 7), (200, 10), (100, 5), (20, 1)])
def test_clips_of_thirty_frames_begin_every_twenty_and_the_last_ends_with_the_segment(frames, clips):
    starts = clip_starts(frames)
    assert len(starts) == clips
    assert starts[-1] == max(0, frames - 30)
    assert all(later - earlier <= 20 for earlier, later in itertools.pairwise(starts))
    assert (clip_covers(frames).sum(0) >= 1).all(), "every frame lies in a clip"


def test_the_graph_joins_joints_up_to_three_bones_apart_and_each_gives_a_whole():
    matrix = adjacency(18)
    assert matrix.sum(0) == pytest.approx([1.0] * 18)
    wrist, elbow, neck, hip = (OPENPOSE_18.index(name) for name in ("right_wrist", "right_elbow", "neck", "right_hip"))
    assert matrix[wrist, elbow] > 0
    assert matrix[wrist, neck] > 0, "wrist, elbow, shoulder, neck: three bones"
    assert matrix[wrist, hip] > 0
    assert matrix[wrist, OPENPOSE_18.index("left_shoulder")] == 0, "four bones apart"


def test_it_reads_positions_velocities_accelerations_and_speed_of_openpose_joints():
    features = some_features(2, 40)
    sequences = StamModel().build(StamConfig()).sequences(features)
    assert sequences.shape == (2, 10, 40, 18)
    left, right = 11, 12
    shoulders = features[:, CHANNELS.index("vx"), [left, right]].mean(1)
    torch.testing.assert_close(sequences[:, 3, :, 1], shoulders)  # the neck lies between the shoulders
    torch.testing.assert_close(sequences[:, 0, :, 0], features[:, 0, 0])  # the nose is the nose
    torch.testing.assert_close(sequences[:, 9, :, 0], features[:, CHANNELS.index("speed"), 0])


def test_both_attentions_are_shares_of_clips_and_of_joints_within_a_clip():
    features = some_features(3, 150)
    attention = trained_like("stam", 150).attention(features)
    assert attention.clips.shape == (3, 7)
    assert attention.joints.shape == (3, 7, 18)
    torch.testing.assert_close(attention.clips.sum(1), torch.ones(3))
    torch.testing.assert_close(attention.joints.sum(2), torch.ones(3, 7))


def test_a_clip_without_any_pose_gets_no_weight():
    features = some_features(2, 150)
    features[:, CHANNELS.index("mask")] = 1
    features[:, :, :, 55:115] = 0
    network = trained_like("stam", 150)
    clips = network.attention(features).clips
    assert (clips[:, 3:5] < 1e-6).all()  # frames 60 to 89 and 80 to 109
    torch.testing.assert_close(clips.sum(1), torch.ones(2))
    # The clip of frames 40 to 69 has a pose in its first fifteen, which share its weight.
    weights = network(features).frame_weights
    torch.testing.assert_close(weights[:, 52], clips[:, 2] / 15)


def test_the_frame_weights_are_those_of_the_clips_that_cover_a_frame():
    features = some_features(2, 150)
    features[:, CHANNELS.index("mask")] = 1
    network = trained_like("stam", 150)
    weights, clips = network(features).frame_weights, network.attention(features).clips
    torch.testing.assert_close(weights[:, 0], clips[:, 0] / 30)
    torch.testing.assert_close(weights[:, 25], (clips[:, 0] + clips[:, 1]) / 30)


def test_joints_more_than_three_bones_apart_do_not_meet_in_a_single_block():
    torch.manual_seed(0)
    block, x = stam.Block(4, 4, 1, 9, 0.0, 18).eval(), torch.randn(1, 4, 30, 18)
    for joint in range(18):
        other = x.clone()
        other[..., joint] += 1
        with torch.no_grad():
            changed = (block(x) - block(other)).abs().amax((0, 1, 2)) > 1e-6
        assert not (changed & torch.from_numpy(adjacency(18)[joint] == 0)).any()
        assert changed.sum() > 1
