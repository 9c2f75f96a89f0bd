"""VSViG: published sizes, graph convolutions that depend on what they read, and its two stems."""

import itertools

import pytest
import torch

from helpers.networks import some_features, trained_like
from spasm.data.landmarks import INDEX, LANDMARKS, VSVIG_15
from spasm.models.networks.vsvig import (
    BASE,
    LIGHT,
    ORDERS,
    Grapher,
    PartitionConv,
    VsvigPatches,
    largest_elsewhere,
    largest_within,
)

torch.set_num_threads(1)


@pytest.mark.parametrize(("width", "count"), [(BASE, 5_477_801), (LIGHT, 1_430_021)])
def test_with_picture_patches_it_has_the_published_number_of_parameters(width, count):
    assert sum(value.numel() for value in VsvigPatches(width).parameters()) == count


def moved_by(module, joint, seed=0):
    """Which joints of a module's output change when one joint of its input does."""
    torch.manual_seed(seed)
    x = torch.randn(2, 8, 6, 15)
    other = x.clone()
    other[..., joint] += 3
    with torch.no_grad():
        return (module(x) - module(other)).abs().amax((0, 1, 2)) > 1e-6


@pytest.mark.parametrize("joint", range(15))
def test_moving_one_joint_changes_its_own_and_other_partitions(joint):
    torch.manual_seed(0)
    changed = moved_by(Grapher(8, 8).eval(), joint)
    own = joint // 3
    assert changed[joint]
    assert changed[3 * own : 3 * own + 3].sum() > 1, "a joint beside it in its partition"
    assert any(changed[3 * part : 3 * part + 3].any() for part in range(5) if part != own), "another partition"


def test_the_graph_convolutions_depend_on_their_input():
    torch.manual_seed(0)
    grapher = Grapher(8, 8).eval()
    x = torch.randn(2, 8, 6, 15)
    with torch.no_grad():
        inner = grapher.inter(x, largest_elsewhere(x)), grapher.intra(x, largest_within(x))
    assert (inner[0][0] - inner[0][1]).abs().max() > 1e-3
    assert (inner[1][0] - inner[1][1]).abs().max() > 1e-3


def test_the_largest_neighbours_are_those_of_a_plain_loop():
    torch.manual_seed(1)
    x = torch.randn(2, 3, 4, 15)
    within, elsewhere = largest_within(x), largest_elsewhere(x)
    for joint in range(15):
        own = [other for other in range(15) if other // 3 == joint // 3]
        rest = [other for other in range(15) if other // 3 != joint // 3]
        torch.testing.assert_close(within[..., joint], x[..., own].amax(3))
        torch.testing.assert_close(elsewhere[..., joint], x[..., rest].amax(3))


def test_the_orders_move_whole_partitions_and_bring_each_beside_every_other():
    assert len(ORDERS) == len(set(ORDERS)) == 15
    assert all(sorted(order) == list(range(5)) for order in ORDERS)
    beside = {frozenset(pair) for order in ORDERS for pair in itertools.pairwise(order)}
    assert len(beside) == 10


def test_a_part_convolution_reaches_the_joints_beside_in_its_order_and_the_frames_before_and_after():
    part = PartitionConv(8, 8, 1, ORDERS[0]).eval()
    assert moved_by(part, 3).nonzero().flatten().tolist() == [2, 3, 4]
    x = torch.zeros(1, 8, 7, 15)
    other = x.clone()
    other[:, :, 3] += torch.randn(8, 15)
    with torch.no_grad():
        changed = (part(x) - part(other)).abs().amax((0, 1, 3)) > 1e-6
    assert changed.tolist() == [False, False, True, True, True, False, False]


def packed(patches, keypoints):
    return torch.cat([patches.flatten(3), keypoints], 3)


def test_patches_and_keypoints_both_change_the_output_and_steps_shrink_by_eight():
    torch.manual_seed(0)
    network = VsvigPatches(LIGHT).eval()
    patches, keypoints = torch.rand(2, 30, 15, 3, 32, 32), torch.rand(2, 30, 15, 3)
    with torch.no_grad():
        logit = network(packed(patches, keypoints)).logit
        assert logit.shape == (2,)
        assert not torch.equal(logit, network(packed(1 - patches, keypoints)).logit)
        assert not torch.equal(logit, network(packed(patches, 1 - keypoints)).logit)
        steps = network.network(torch.randn(2, LIGHT, 30, 15))[1]
    assert steps.shape == (2, 4)


@pytest.mark.parametrize("joint", VSVIG_15)
def test_without_pictures_every_joint_is_read(joint):
    network, features = trained_like("vsvig", 60), some_features(1, 60)
    other = features.clone()
    other[:, 0, INDEX[joint]] += 0.5
    assert not torch.equal(network(features).logit, network(other).logit)


def test_landmarks_that_are_none_of_its_joints_are_not_read():
    network, features = trained_like("vsvig", 60), some_features(1, 60)
    other = features.clone()
    unread = [place for place, name in enumerate(LANDMARKS) if name not in VSVIG_15]
    other[:, :9, unread] += 0.5
    assert torch.equal(network(features).logit, network(other).logit)
