"""The ST-GCN: against a plain transcription, its three heads, and the copy that scores."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from helpers.networks import some_features, some_poses
from spasm.config.features import Features
from spasm.data.landmarks import adjacency
from spasm.features.channels import CHANNELS, MASK, build_features
from spasm.models.networks import stgcn_mil
from spasm.models.networks.stgcn_mil import STRIDES
from spasm.models.stgcn_mil import StgcnMilConfig, StgcnMilModel

torch.set_num_threads(1)
HEADS = ("attn", "topk", "logsumexp")
LENGTHS = (100, 150, 37)


def trained_like(head="attn", seed=0, **options):
    """A network whose norms hold statistics and scales as after training, with dropout off."""
    torch.manual_seed(seed)
    network = StgcnMilModel().build(StgcnMilConfig(**{"width": 8, "dropout": 0.0, "head": head} | options))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d) and module.affine:
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.3)
    network.train()
    with torch.no_grad():
        for batch in range(20):
            network(some_features(8, seed=batch))
    return network.eval()


def posed(features):
    return features[:, MASK].any(1)


def plain_network(network, settings, features):
    """The network once more in plain torch: NCHW, einsum and strided convolutions; no line is shared with it."""
    weights = {name: value.detach().clone() for name, value in network.state_dict().items()}
    training = network.training

    def norm(x, name):
        affine = (weights.get(f"{name}.weight"), weights.get(f"{name}.bias"))
        return F.batch_norm(
            x, weights[f"{name}.running_mean"], weights[f"{name}.running_var"], *affine, training=training, eps=1e-5
        )

    x = features.permute(0, 1, 3, 2).contiguous()  # (N, C, T, V)
    x = F.relu(norm(F.conv2d(norm(x, "scale"), weights["stem.weight"]), "stem_norm"))
    for block in range(settings.blocks):
        name, stride = f"blocks.{block}", (2, 2, 1, 1)[block % 4]
        y = torch.einsum("vw,nctw->nctv", torch.from_numpy(adjacency()), x)
        y = F.relu(norm(F.conv2d(y, weights[f"{name}.spatial.weight"]), f"{name}.spatial_norm"))
        y = F.conv2d(
            y,
            weights[f"{name}.temporal.weight"],
            stride=(stride, 1),
            padding=(settings.kernel // 2, 0),
            groups=y.shape[1],
        )
        y = norm(F.conv2d(y, weights[f"{name}.pointwise.weight"]), f"{name}.norm")
        if f"{name}.residual.0.weight" in weights:
            x = norm(F.conv2d(x, weights[f"{name}.residual.0.weight"], stride=(stride, 1)), f"{name}.residual.1")
        x = F.relu(x + y)
    steps = x.mean(3).permute(0, 2, 1)  # (N, S, C)
    found = features[:, MASK].amax(1).bool()
    return [plain_head(weights, settings.head, segment, seen) for segment, seen in zip(steps, found, strict=True)]


def plain_head(weights, kind, steps, found):
    """Logit, frame logits and frame weights of one segment, step by step. steps: (S, C); found: (T,) bool."""

    def linear(x, name):
        return weights[f"head.{name}.weight"] @ x + weights[f"head.{name}.bias"]

    count, frames = len(steps), len(found)
    step_of = [t * count // frames for t in range(frames)]
    seen = sorted({step_of[t] for t in range(frames) if found[t]})
    logits = [linear(step, "score").item() for step in steps]
    if kind == "attn":
        gated = {s: torch.tanh(linear(steps[s], "value")) * torch.sigmoid(linear(steps[s], "gate")) for s in seen}
        power = {s: math.exp(linear(gated[s], "attention").item()) for s in seen}
    elif kind == "logsumexp":
        power = {s: math.exp(logits[s]) for s in seen}
    else:
        best = sorted(seen, key=lambda s: -logits[s])[: max(1, round(0.2 * count))]
        power = dict.fromkeys(best, 1.0)
    share = {s: value / sum(power.values()) for s, value in power.items()}
    if kind == "logsumexp":
        logit = math.log(sum(power.values()) / len(seen))
    else:
        logit = sum(share[s] * logits[s] for s in share)
    inside = [sum(1 for t in range(frames) if found[t] and step_of[t] == s) for s in range(count)]
    frame_weights = [share.get(step_of[t], 0.0) / inside[step_of[t]] if found[t] else 0.0 for t in range(frames)]
    return logit, [logits[s] for s in step_of], frame_weights


# ---- the whole network


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize(
    ("frames", "options"), [(40, {}), (37, {"blocks": 5, "kernel": 3}), (150, {"blocks": 1, "kernel": 1})]
)
def test_the_network_equals_a_plain_transcription(mode, head, frames, options):
    network = trained_like(head, **options).train(mode == "train")
    settings = StgcnMilConfig(**{"width": 8, "dropout": 0.0, "head": head} | options)
    features = some_features(frames=frames)
    with torch.no_grad():
        expected = plain_network(network, settings, features)
        scores = network(features)
    for i, (logit, frame_logits, frame_weights) in enumerate(expected):
        assert scores.logit[i].item() == pytest.approx(logit, abs=2e-5)
        assert np.allclose(scores.frame_logits[i], frame_logits, atol=2e-5)
        assert np.allclose(scores.frame_weights[i], frame_weights, atol=2e-5)


def test_four_blocks_double_their_width_once_and_stride_over_time_by_four():
    network = StgcnMilModel().build(StgcnMilConfig())
    assert [block.pointwise.out_channels for block in network.blocks] == [32, 32, 64, 64]
    assert [block.stride for block in network.blocks] == list(STRIDES) == [2, 2, 1, 1]
    assert network.stem.in_channels == len(CHANNELS) == 14


def test_every_parameter_receives_a_gradient():
    for head in HEADS:
        torch.manual_seed(0)
        network = StgcnMilModel().build(StgcnMilConfig(width=8, head=head)).train()
        scores = network(some_features(8))
        F.binary_cross_entropy_with_logits(scores.logit, torch.tensor([0.0, 1] * 4)).backward()
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            if name != "head.attention.bias":  # the same for every frame, which the softmax takes out again
                assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("head", HEADS)
def test_moving_one_landmark_changes_the_output(head):
    network, poses = trained_like(head), some_poses(1)
    for landmark in (0, 10, 15, 32):  # nose, mouth, wrist, foot
        moved = poses.clone()
        moved[:, :, landmark, 1] += 0.1 * torch.sin(torch.arange(40.0))
        with torch.no_grad():
            before, after = (network(build_features(value, Features())).logit for value in (poses, moved))
        assert (before - after).abs().item() > 1e-6


def test_the_face_reaches_the_hips_within_four_blocks():
    """A nod must be seen by the trunk, or a network of this depth could not compare the two."""
    mixed = np.linalg.matrix_power(adjacency(), 4)
    assert mixed[23, 0] > 0


# ---- the parts of the output


@pytest.mark.parametrize("frames", LENGTHS)
@pytest.mark.parametrize("head", HEADS)
def test_frame_weights_sum_to_one_over_frames_with_a_pose_and_are_zero_elsewhere(head, frames):
    features = some_features(6, frames)
    with torch.no_grad():
        scores = trained_like(head)(features)
    assert scores.logit.shape == (6,)
    assert scores.frame_logits.shape == scores.frame_weights.shape == (6, frames)
    assert all(value.dtype == torch.float32 for value in scores[:3])
    assert not posed(features).all()
    assert torch.allclose(scores.frame_weights.sum(1), torch.ones(6), atol=1e-5)
    assert (scores.frame_weights >= 0).all()
    assert (scores.frame_weights[~posed(features)] == 0).all()
    if head != "topk":
        assert (scores.frame_weights[posed(features)] > 0).all()


@pytest.mark.parametrize("head", HEADS)
def test_a_single_frame_with_a_pose_gets_all_the_weight(head):
    poses = some_poses(1)
    poses[:, :17] = poses[:, 18:] = torch.nan
    poses[:, 17] = torch.rand((33, 5), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        scores = trained_like(head)(build_features(poses, Features()))
    assert scores.frame_weights[0].nonzero().tolist() == [[17]]
    assert scores.frame_weights[0, 17].item() == pytest.approx(1)
    assert scores.logit.item() == pytest.approx(scores.frame_logits[0, 17].item(), abs=1e-5)


@pytest.mark.parametrize("head", HEADS)
def test_a_segment_without_pose_has_logit_and_weights_of_zero_and_changes_no_other(head):
    poses = some_poses(3)
    poses[1] = torch.nan
    network = trained_like(head)
    with torch.no_grad():
        scores = network(build_features(poses, Features()))
        others = network(build_features(poses[[0, 2]], Features()))
    assert scores.logit[1].item() == 0
    assert (scores.frame_weights[1] == 0).all()
    assert scores.frame_logits.isfinite().all()
    assert torch.allclose(scores.logit[[0, 2]], others.logit, atol=1e-6)


@pytest.mark.parametrize("head", HEADS)
def test_a_segment_without_pose_gives_finite_gradients(head):
    poses = some_poses(4)
    poses[1:3] = torch.nan
    network = trained_like(head).train()
    loss = F.binary_cross_entropy_with_logits(network(build_features(poses, Features())).logit, torch.ones(4))
    loss.backward()
    assert loss.item() < 100
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


@pytest.mark.parametrize("frames", LENGTHS)
@pytest.mark.parametrize("head", ["attn", "topk"])
def test_the_logit_is_the_mean_of_the_frame_logits_under_the_frame_weights(head, frames):
    with torch.no_grad():
        scores = trained_like(head)(some_features(4, frames))
    assert torch.allclose((scores.frame_weights * scores.frame_logits).sum(1), scores.logit, atol=1e-5)
    assert scores.frame_logits.std(1).min() > 1e-3


def test_topk_is_the_mean_of_the_best_fifth_of_the_steps_with_a_pose():
    features = some_features(4, 40)
    with torch.no_grad():
        scores = trained_like("topk")(features)
    for i in range(4):
        steps = scores.frame_logits[i].reshape(10, 4)[:, 0]  # 40 frames are 10 steps of 4
        seen = posed(features)[i].reshape(10, 4).any(1)
        assert scores.logit[i].item() == pytest.approx(steps[seen].sort(descending=True).values[:2].mean().item())


def test_logsumexp_is_the_log_of_the_mean_odds_of_the_steps_with_a_pose():
    features = some_features(4, 40)
    with torch.no_grad():
        scores = trained_like("logsumexp")(features)
    for i in range(4):
        steps = scores.frame_logits[i].reshape(10, 4)[:, 0]
        seen = posed(features)[i].reshape(10, 4).any(1)
        assert scores.logit[i].item() == pytest.approx(steps[seen].exp().mean().log().item(), abs=1e-5)


# ---- scoring


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("frames", LENGTHS)
@pytest.mark.parametrize("head", HEADS)
def test_the_folded_copy_gives_the_output_of_the_network(head, frames, fused, monkeypatch):
    assert stgcn_mil.FUSED, "this torch has lost the fused convolution; scoring is slower without"
    monkeypatch.setattr(stgcn_mil, "FUSED", fused)
    network, features = trained_like(head), some_features(4, frames)
    folded = network.folded()
    norms = [module for module in folded.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert norms == [folded.scale], "only the scale of the input stays"
    with torch.no_grad():
        for mine, theirs in zip(network(features)[:3], folded(features)[:3], strict=True):
            assert torch.allclose(mine, theirs, atol=1e-5)


@pytest.mark.parametrize(("head", "frames"), [*zip(HEADS, LENGTHS, strict=True)])
def test_all_folds_at_once_give_the_output_of_each(head, frames, monkeypatch):
    monkeypatch.setattr(stgcn_mil, "STACKED", 2)
    networks, features = [trained_like(head, seed) for seed in range(3)], some_features(7, frames)
    networks[1].scale.running_mean += 0.5 * networks[1].scale.running_var.sqrt()  # folds are scaled differently
    networks[2].scale.running_var *= 1.5
    with torch.inference_mode():
        together = networks[0].stacked(networks, torch.float32, torch.device("cpu"))(features)
        assert len(together) == 3
        for network, scores in zip(networks, together, strict=True):
            for mine, theirs in zip(network(features)[:3], scores[:3], strict=True):
                assert torch.allclose(mine, theirs, atol=2e-5)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_a_segment_has_the_same_output_alone_and_among_others_where_folds_are_scored_at_once(precision):
    networks, features = [trained_like(seed=seed, width=32) for seed in range(3)], some_features(5)
    stacked = networks[0].stacked(networks, precision, torch.device("cpu"))
    with torch.inference_mode():
        together = stacked(features)
        alone = [stacked(features[i : i + 1]) for i in range(5)]
    for i, of_folds in enumerate(alone):
        for mine, theirs in zip(of_folds, together, strict=True):
            assert torch.allclose(mine.logit[0], theirs.logit[i], rtol=0, atol=1e-6)


def test_stacking_leaves_the_networks_as_they_were():
    networks = [trained_like(seed=seed) for seed in range(2)]
    before = [{name: value.clone() for name, value in network.state_dict().items()} for network in networks]
    networks[0].stacked(networks, torch.float32, torch.device("cpu"))
    for network, state in zip(networks, before, strict=True):
        assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


def test_the_mean_of_neighbours_is_the_product_with_the_adjacency():
    graph = torch.from_numpy(adjacency())
    assert torch.allclose(graph, (graph > 0) / (graph > 0).sum(1, keepdim=True)), "its rows are means"
    for shape in ((2, 8, 5, 33), (3, 20, 1, 33)):
        x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(memory_format=torch.channels_last)
        averaged = stgcn_mil.average_neighbours(graph, x)
        assert averaged.is_contiguous(memory_format=torch.channels_last)
        assert torch.allclose(averaged, stgcn_mil.graph_conv(graph, x), atol=1e-6)


def test_folding_leaves_the_network_as_it_was():
    network = trained_like().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    folded = network.folded()
    assert network.training
    assert not folded.training
    assert network.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("head", HEADS)
def test_a_segment_has_the_same_output_alone_and_among_thirty_two(head, precision):
    network, features = trained_like(head).folded(precision), some_features(32)
    with torch.no_grad():
        together = network(features)
        alone = [network(features[i : i + 1]) for i in range(32)]
    assert all(value.dtype == torch.float32 for value in together[:3])
    for i, scores in enumerate(alone):
        for mine, theirs in zip(scores[:3], together[:3], strict=True):
            assert torch.allclose(mine[0], theirs[i], rtol=0, atol=1e-6)


def test_dropout_acts_while_training_and_never_while_scoring():
    network, features = trained_like(dropout=0.5), some_features()
    with torch.no_grad():
        assert torch.equal(network(features).logit, network(features).logit)
        network.train()
        assert not torch.equal(network(features).logit, network(features).logit)
