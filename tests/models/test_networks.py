"""What all networks guarantee: one signature, outputs that depend on the segment alone, no untrained parameter."""

import dataclasses

import numpy as np
import pytest
import torch

from helpers.networks import NETWORKS, small_config, some_data, some_features, trained_like, trainer_of
from helpers.settings import NO_AUGMENTATION
from spasm.config.fields import SettingsError, from_tree, to_tree
from spasm.features.channels import MASK

torch.set_num_threads(1)
EVERY = pytest.mark.parametrize("model", list(NETWORKS))


def test_no_two_networks_have_the_same_random_numbers():
    assert len({network.seed_number for network in NETWORKS.values()}) == len(NETWORKS)


@EVERY
@pytest.mark.parametrize("frames", [16, 37, 100, 150, 200])
def test_every_length_gives_a_logit_and_weights_that_sum_to_one_where_there_is_a_pose(model, frames):
    features = some_features(3, frames)
    scores = trained_like(model, frames)(features)
    assert scores.logit.shape == (3,)
    assert scores.frame_logits.shape == scores.frame_weights.shape == (3, frames)
    torch.testing.assert_close(scores.frame_weights.sum(1), torch.ones(3))
    assert (scores.frame_weights[~features[:, MASK].any(1)] == 0).all()
    assert all(torch.isfinite(part).all() for part in scores[:3])


@EVERY
def test_two_evaluations_of_a_segment_are_identical(model):
    network, features = trained_like(model), some_features()
    first, second = network(features), network(features)
    assert torch.equal(first.logit, second.logit)
    assert torch.equal(first.frame_weights, second.frame_weights)


@EVERY
def test_the_output_for_a_segment_does_not_depend_on_its_batch(model):
    network, features = trained_like(model), some_features(8)
    together = network(features).logit
    alone = torch.cat([network(features[row : row + 1]).logit for row in range(8)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


@EVERY
def test_the_folded_copy_gives_the_output_of_the_network(model):
    network, features = trained_like(model), some_features()
    with torch.inference_mode():
        wanted, folded = network(features), network.folded()(features)
    torch.testing.assert_close(folded.logit, wanted.logit, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(folded.frame_weights, wanted.frame_weights, rtol=1e-2, atol=1e-4)


@EVERY
def test_a_copy_in_bfloat16_keeps_its_output_in_float32_and_weights_that_sum_to_one(model):
    with torch.inference_mode():
        scores = trained_like(model).folded(torch.bfloat16)(some_features())
    assert {part.dtype for part in scores[:3]} == {torch.float32}
    torch.testing.assert_close(scores.frame_weights.sum(1), torch.ones(4))


@EVERY
def test_a_movement_changes_the_output(model):
    network, features = trained_like(model), some_features(2)
    changed = features.clone()
    changed[:, :9, :, 20:25] += 0.3
    assert (network(features).logit - network(changed).logit).abs().min() > 1e-6


@EVERY
def test_a_segment_without_a_pose_has_an_output_too(model):
    scores = trained_like(model)(torch.zeros_like(some_features(2)))
    assert torch.isfinite(scores.logit).all()
    assert (scores.frame_weights == 0).all()


@EVERY
def test_the_optimiser_holds_every_parameter_and_the_loss_reaches_each(model):
    trainer = trainer_of(model, small_config(model, **({"triplet": 0.1} if model == "sta_gunet" else {})))
    held = {id(one) for group in trainer.optimiser.param_groups for one in group["params"]}
    trainer.run_epoch()
    for name, value in trainer.network.named_parameters():
        assert id(value) in held, f"{name} was made after the optimiser"
        assert value.grad is not None, name


@pytest.mark.parametrize(("model", "more"), [*((model, {}) for model in NETWORKS), ("sta_gunet", {"triplet": 0.5})])
def test_a_training_continued_after_an_epoch_ends_with_the_same_bytes(model, more):
    whole, first, second = (trainer_of(model, small_config(model, **more)) for _ in range(3))
    for _ in range(2):
        whole.run_epoch()
    first.run_epoch()
    second.load_state(first.state())
    second.run_epoch()
    for name, value in whole.final_weights().items():
        assert torch.equal(value, second.final_weights()[name]), name


@EVERY
def test_sixteen_segments_can_be_learned_by_heart(model):
    data = some_data(count=16, frames=40, signal=2.0)
    config = small_config(model, epochs=40, learning_rate=1e-2, ema=0.0, dropout=0.0)
    config = dataclasses.replace(config, augmentation=NO_AUGMENTATION)
    trainer = trainer_of(model, config, data)
    losses = [trainer.run_epoch()["loss"] for _ in range(40)]
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:2])


@pytest.mark.parametrize(
    ("model", "field", "value"),
    [
        ("stam", "head", "topk"),
        ("vsvig", "kernel", 5),
        ("sta_gunet", "blocks", 2),
        ("stgcn_mil", "backbone", "resnet18"),
        ("stam", "weights", "file.pt"),
        ("stam", "triplet", 0.5),
    ],
)
def test_a_setting_that_a_network_does_not_have_is_refused(model, field, value):
    config = NETWORKS[model].config
    with pytest.raises(SettingsError, match=f"--{field} is unknown"):
        config(**{field: value})
    with pytest.raises(SettingsError, match=f"--{field} is unknown"):
        from_tree(config, to_tree(config()) | {field: value})


def test_vsvig_has_an_even_width():
    with pytest.raises(SettingsError, match="--width 13 is odd; the nearest valid value is 12"):
        small_config("vsvig", width=13)
