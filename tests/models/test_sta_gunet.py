"""STA-GUNet: a U-Net that uses its graph, no layer initialised again, and the triplet-centre loss."""

import numpy as np
import pytest
import torch

from helpers.networks import small_config, some_features, trainer_of
from spasm.data.landmarks import COCO_17_NECK
from spasm.models.networks import sta_gunet
from spasm.models.networks.sta_gunet import (
    CENTRE,
    GraphAttention,
    GraphUnet,
    StaGunetNetwork,
    graph,
    partitions,
    triplet_centre_loss,
)
from spasm.models.sta_gunet import StaGunetConfig, StaGunetModel

torch.set_num_threads(1)


def test_its_number_of_parameters_is_the_documented_one():
    count = sum(value.numel() for value in StaGunetModel().build(StaGunetConfig()).parameters())
    assert f"{count:,}" in sta_gunet.__doc__


def test_permuting_the_adjacency_changes_the_unet():
    torch.manual_seed(0)
    unet, poses = GraphUnet(6, 16), torch.randn(2, 3, 18, 6)
    before = unet(poses)
    order = torch.randperm(18)
    unet.graph = unet.graph[order][:, order]
    assert (unet(poses) - before).abs().max() > 1e-3


def test_permuting_joints_and_adjacency_together_permutes_the_output_of_the_unet():
    torch.manual_seed(0)
    unet, poses = GraphUnet(6, 16), torch.randn(2, 3, 18, 6)
    before = unet(poses)
    order = torch.randperm(18)
    unet.graph = unet.graph[order][:, order]
    torch.testing.assert_close(unet(poses[:, :, order]), before[:, :, order])


def test_joints_stay_apart_behind_the_unet():
    torch.manual_seed(0)
    output = GraphUnet(6, 16)(torch.randn(1, 1, 18, 6))
    assert output.shape == (1, 1, 18, 16)
    assert (output[0, 0] - output[0, 0, :1]).abs().amax(1)[1:].min() > 1e-3


def test_a_joint_reaches_joints_that_are_many_bones_away():
    torch.manual_seed(0)
    unet, poses = GraphUnet(6, 16), torch.randn(1, 40, 18, 6)
    other = poses.clone()
    ankle, wrist = COCO_17_NECK.index("left_ankle"), COCO_17_NECK.index("right_wrist")
    other[:, :, ankle] += 1
    assert (unet(poses) - unet(other)).abs()[:, :, wrist].max() > 1e-6


def test_the_partitions_share_out_the_graph_by_the_distance_to_the_neck():
    same, nearer, farther = partitions()
    assert ((same + nearer + farther > 0) == (graph() > 0)).all()
    np.testing.assert_allclose((same + nearer + farther).sum(1), 1, rtol=1e-6)
    neck, shoulder, elbow = (COCO_17_NECK.index(name) for name in ("neck", "left_shoulder", "left_elbow"))
    assert nearer[shoulder, neck] > 0 and nearer[elbow, shoulder] > 0
    assert farther[neck, shoulder] > 0 and farther[shoulder, elbow] > 0
    assert (np.diag(same) > 0).all()


def test_attention_sees_neighbours_only():
    torch.manual_seed(0)
    attention, x = GraphAttention(8), torch.randn(1, 1, 18, 8)
    for joint in range(18):
        other = x.clone()
        other[:, :, joint] += 1
        changed = (attention(x) - attention(other)).abs().amax((0, 1, 3)) > 1e-7
        assert changed.tolist() == (graph()[:, joint] > 0).tolist()


def test_the_time_of_a_movement_shows_in_the_logits_of_the_frames():
    torch.manual_seed(0)
    network = StaGunetNetwork(width=8).eval()
    x = torch.zeros(1, 6, 100, 18)
    other = x.clone()
    other[:, :, 50] += 1
    with torch.no_grad():
        change = (network(x)[1] - network(other)[1]).abs().amax((0, 2))
    assert change[50] > 0
    assert change[:30].max() == change[70:].max() == 0


def test_the_triplet_centre_loss_is_that_of_its_formula():
    embedding = torch.tensor([[2.0, 0.0], [3.0, 4.0]])  # towards (1, 0) and (0.6, 0.8)
    centres = torch.tensor([[7.0, 0.0], [0.0, 0.1]])  # towards (1, 0) and (0, 1)
    loss = triplet_centre_loss(embedding, torch.tensor([0, 1]), centres, 1.0)
    assert loss.tolist() == pytest.approx([0 + 1 - 1, 0.2 + 1 - 0.4])
    assert triplet_centre_loss(embedding, torch.tensor([0, 1]), centres, 0.1).tolist() == [0, 0]
    assert triplet_centre_loss(embedding, torch.tensor([1, 0]), centres, 0.0).tolist() == pytest.approx([1.0, 0.2])


def test_the_triplet_centre_loss_pulls_segments_to_the_centre_of_their_class():
    torch.manual_seed(0)
    embedding = torch.randn(20, 8, requires_grad=True)
    centres, labels = torch.randn(2, 8, requires_grad=True), torch.arange(20) % 2
    optimiser = torch.optim.SGD([embedding, centres], lr=1.0)
    before = triplet_centre_loss(embedding, labels, centres, 1.0).mean().item()
    for _ in range(100):
        optimiser.zero_grad()
        triplet_centre_loss(embedding, labels, centres, 1.0).mean().backward()
        optimiser.step()
    assert triplet_centre_loss(embedding, labels, centres, 1.0).mean().item() < before / 2
    nearest = (
        torch.nn.functional.normalize(embedding, dim=1) @ torch.nn.functional.normalize(centres, dim=1).T
    ).argmax(1)
    assert (nearest == labels).float().mean() > 0.9


def test_the_centres_are_trained_where_the_loss_is_asked_for_and_only_there():
    plain, pulled = (trainer_of("sta_gunet", small_config("sta_gunet", triplet=weight)) for weight in (0.0, 1.0))
    for trainer in (plain, pulled):
        trainer.run_epoch()
    assert plain.network.centres.grad is None
    assert pulled.network.centres.grad.abs().max() > 0


def test_the_triplet_centre_loss_knows_classes_also_with_target_probabilities():
    trainer = trainer_of("sta_gunet", small_config("sta_gunet", triplet=1.0, loss="squared"))
    scores = trainer.network(some_features(8, 24))
    labels = (torch.arange(8) % 2).float()
    ramped = labels * 0.99
    difference = trainer._losses(scores, labels, ramped).mean() - trainer._losses(scores, labels, labels).mean()
    squared = [(torch.sigmoid(scores.logit) - of).square().mean() for of in (ramped, labels)]
    torch.testing.assert_close(difference, squared[0] - squared[1], atol=1e-5, rtol=0)


def test_the_partitions_mix_joints_as_the_published_ones_which_divide_columns():
    """ST-GCN's "spatial" strategy as it is published: A D^-1, split by distances, applied as nkctv,kvw->nctw."""
    near = graph()
    columns = near / near.sum(axis=0, keepdims=True)
    distance = shortest_paths(near)[CENTRE]
    giver, taker = distance[:, None], distance[None, :]
    published = np.stack([columns * (giver == taker), columns * (giver < taker), columns * (giver > taker)])
    values = np.random.default_rng(0).normal(size=(3, 5, 18))  # for each partition
    wanted = np.einsum("kcv,kvw->cw", values, published)
    np.testing.assert_allclose(np.einsum("kwv,kcv->cw", partitions(), values), wanted, atol=1e-6)


def shortest_paths(near):
    """Bones between each pair of joints, (18, 18), by Floyd and Warshall."""
    paths = np.where(near > 0, 1.0, np.inf)
    np.fill_diagonal(paths, 0)
    for through in range(len(paths)):
        paths = np.minimum(paths, paths[:, through, None] + paths[None, through])
    return paths
