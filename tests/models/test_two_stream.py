"""The two-stream network: published sizes, weights from a file, and the pictures it plots from poses."""

import math

import pytest
import torch

from helpers.networks import small_config, some_features, trained_like, trainer_of
from spasm.core.checkpoints import read_state_dict
from spasm.core.errors import DataError, TrainingError
from spasm.data.landmarks import INDEX, MIRROR
from spasm.features.channels import MASK
from spasm.models.networks.two_stream import (
    TORSO,
    Basic,
    Bottleneck,
    ResNet,
    TwoStreamPictures,
    clip_steps,
    upright,
)
from spasm.models.two_stream import TwoStreamConfig, TwoStreamModel

torch.set_num_threads(1)


def standing(frames=60):
    """Features (1, 14, 33, T) of a body upright in the picture: hips at 0, shoulders above, nothing moves."""
    features = torch.zeros(1, 14, 33, frames)
    places = {
        "nose": (0.0, -0.4), "left_shoulder": (0.1, -0.3), "right_shoulder": (-0.1, -0.3), "left_hip": (0.07, 0.0),
        "right_hip": (-0.07, 0.0), "left_wrist": (0.3, -0.1), "right_wrist": (-0.3, -0.1), "left_knee": (0.1, 0.3),
    }  # fmt: skip
    for name, (x, y) in places.items():
        features[:, 0, INDEX[name]], features[:, 1, INDEX[name]] = x, y
        features[:, MASK, INDEX[name]] = 1
    return features


def turned(features, degrees):
    angle = math.radians(degrees)
    x, y = features[:, 0].clone(), features[:, 1].clone()
    other = features.clone()
    other[:, 0], other[:, 1] = math.cos(angle) * x - math.sin(angle) * y, math.sin(angle) * x + math.cos(angle) * y
    return other


@pytest.mark.parametrize(("channels", "count"), [(12, 55_441_091), (60, 55_591_619)])
def test_with_pictures_it_has_the_published_number_of_parameters(channels, count):
    with torch.device("meta"):
        network = TwoStreamPictures(channels)
    assert sum(value.numel() for value in network.parameters()) == count


def test_pictures_and_flow_both_decide_among_the_classes_asked_for():
    torch.manual_seed(0)
    network = TwoStreamPictures(12, classes=4, backbone="small", width=8).eval()
    pictures, flow = torch.rand(2, 3, 64, 64), torch.randn(2, 12, 64, 64)
    with torch.no_grad():
        logits = network(pictures, flow)
        assert logits.shape == (2, 4)
        assert not torch.equal(logits, network(1 - pictures, flow))
        assert not torch.equal(logits, network(pictures, -flow))


def test_a_state_dict_of_a_residual_network_starts_both_streams(tmp_path):
    torch.manual_seed(0)
    given = ResNet(Basic, (1, 1, 1, 1), 3, 8)
    torch.save(given.state_dict() | {"fc.weight": torch.zeros(1000, 64)}, tmp_path / "weights.pt")
    network = TwoStreamPictures(12, backbone="small", width=8)
    network.load_imagenet(read_state_dict(tmp_path / "weights.pt"))
    assert torch.equal(network.spatial.conv1.weight, given.conv1.weight)
    assert torch.equal(network.temporal.layer4[0].conv2.weight, given.layer4[0].conv2.weight)
    for channel in range(12):
        torch.testing.assert_close(network.temporal.conv1.weight[:, channel], given.conv1.weight.mean(1))


def test_a_training_that_begins_with_weights_from_a_file_ends_elsewhere(tmp_path):
    torch.manual_seed(1)
    torch.save(ResNet(Basic, (1, 1, 1, 1), 3, 4).state_dict(), tmp_path / "weights.pt")
    weights_after = []
    for weights in ("", str(tmp_path / "weights.pt")):
        trainer = trainer_of("two_stream", small_config("two_stream", weights=weights))
        trainer.run_epoch()
        weights_after.append(trainer.final_weights()["network.spatial.conv1.weight"])
    assert not torch.equal(*weights_after)


def test_weights_of_another_network_or_no_weights_are_refused_in_words(tmp_path):
    network = TwoStreamPictures(12, backbone="small", width=8)
    with pytest.raises(TrainingError, match="not those of this backbone"):
        network.load_imagenet({"other.weight": torch.zeros(3)})
    (tmp_path / "text.pt").write_text("no weights")
    with pytest.raises(DataError, match="cannot be read as weights"):
        read_state_dict(tmp_path / "text.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(DataError, match="something else than named tensors"):
        read_state_dict(tmp_path / "list.pt")


def test_the_names_of_its_backbone_are_those_of_torchvision():
    with torch.device("meta"):
        names = set(ResNet(Bottleneck, (3, 4, 6, 3), 3, 64).state_dict())
    assert len(names) == 318, "a ResNet-50 of torchvision has 320 with its classifier"
    assert {"conv1.weight", "bn1.running_var", "layer1.0.downsample.0.weight", "layer3.5.conv3.weight"} <= names
    assert "layer4.2.bn3.num_batches_tracked" in names


@pytest.mark.parametrize("degrees", [0, 30, 90, 180, -120])
def test_the_body_is_plotted_upright_and_in_one_size_however_it_lies(degrees):
    wanted = upright(standing())
    torch.testing.assert_close(upright(turned(standing(), degrees)), wanted, atol=1e-5, rtol=0)
    larger = standing()
    larger[:, :3] *= 3
    torch.testing.assert_close(upright(larger), wanted, atol=1e-5, rtol=0)
    nose, hips = wanted[0, 0, 0], wanted[0, 0, [23, 24]].mean(0)
    assert hips.tolist() == pytest.approx([0.5, 0.5 + TORSO / 2, 0], abs=1e-5)
    assert nose.tolist() == pytest.approx([0.5, 0.5 + TORSO / 2 - TORSO * 4 / 3, 0], abs=1e-5)


def test_left_right_and_middle_are_plotted_where_they_are_in_their_colours():
    network = TwoStreamModel().build(TwoStreamConfig(width=8))
    picture = network.plotted(standing())[0][0, 0]  # (3, 56, 56)
    left, right, middle = picture
    assert left[:, 28:].sum() > 5 * left[:, :28].sum(), "left landmarks lie at larger x here"
    assert right[:, :28].sum() > 5 * right[:, 28:].sum()
    assert middle[:22].max() > 0.5, "the nose is above"
    assert picture.min() >= 0 and picture.max() <= 1


def test_what_was_never_found_is_not_plotted():
    features = standing()
    hidden = features.clone()
    hidden[:, MASK, INDEX["left_wrist"]] = 0
    network = TwoStreamModel().build(TwoStreamConfig(width=8))
    before, after = network.plotted(features)[0], network.plotted(hidden)[0]
    assert before[0, 0, 0].sum() > after[0, 0, 0].sum() + 1
    assert network.plotted(torch.zeros_like(features))[0].abs().max() == 0


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_moving_wrist_is_flow_at_the_wrist_in_its_direction_and_nothing_elsewhere(axis):
    features, wrist = standing(), INDEX["left_wrist"]
    features[:, axis, wrist, 20:31] += torch.linspace(0, 0.1, 11)
    features[:, axis, wrist, 31:] += 0.1
    flow = TwoStreamModel().build(TwoStreamConfig(width=8)).plotted(features)[1][0]  # (K, 18, 56, 56)
    steps = clip_steps(12)
    clip = next(number for number, of in enumerate(steps.tolist()) if 4 in of)
    channel = 3 * steps[clip].tolist().index(4)
    moved, others = flow[clip, channel + axis], [flow[clip, channel + other] for other in range(3) if other != axis]
    peak = moved.abs().argmax().item()
    place = upright(features)[0, 20, wrist]
    assert abs(peak % 56 / 56 - place[0]) < 0.05 and abs(peak // 56 / 56 - place[1]) < 0.05
    assert moved.max() == pytest.approx(10 * 0.05 * TORSO / 0.3, rel=0.1)
    assert all(other.abs().max() < 1e-4 for other in others)
    assert flow[0, :6].abs().max() < 1e-4, "before it moves"


@pytest.mark.parametrize(("frames", "clips"), [(150, 9), (100, 6), (30, 1), (16, 1)])
def test_clips_of_a_second_begin_every_half_second_and_the_last_ends_with_the_segment(frames, clips):
    steps = clip_steps(-(-frames // 5))
    assert steps.shape == (clips, 6)
    assert steps[-1, -1] == -(-frames // 5) - 1


def test_a_mirrored_body_is_plotted_mirrored_with_left_and_right_exchanged():
    features = some_features(1, 40)
    other = features[:, :, list(MIRROR)].clone()
    other[:, 0] *= -1
    network = TwoStreamModel().build(TwoStreamConfig(width=8))
    (picture, flow), (seen, moved) = network.plotted(features), network.plotted(other)
    torch.testing.assert_close(seen[:, :, [1, 0, 2]].flip(4), picture, atol=1e-4, rtol=0)
    for axis, sign in enumerate([-1, 1, 1]):
        torch.testing.assert_close(sign * moved[:, :, axis::3].flip(4), flow[:, :, axis::3], atol=1e-3, rtol=0)


def test_the_head_weighs_the_clips():
    features = some_features(2, 150)
    weights = trained_like("two_stream", 150, small_config("two_stream"))(features).frame_weights
    assert len(weights[0][weights[0] > 0].unique()) > 2
