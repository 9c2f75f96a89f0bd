"""Training one fold: the same bytes every time, resumed or not, and weights that learn what is there and no more."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

import helpers.networks
import spasm.models.networks.inputs
from helpers.networks import CPU, NETWORKS, some_data
from helpers.settings import NO_AUGMENTATION, changed
from spasm.config.features import Augmentation
from spasm.core.errors import TrainingError
from spasm.data.folds import make_folds
from spasm.ensemble.calibration import probability
from spasm.features.channels import build_features
from spasm.models.networks.output import Scores
from spasm.models.networks.predictor import NetworkPredictor, pick_device, pick_precision
from spasm.models.networks.trainer import HISTORY, learning_rate
from spasm.models.stgcn_mil import StgcnMilConfig

torch.set_num_threads(1)
STGCN = NETWORKS["stgcn_mil"]
TINY = changed(StgcnMilConfig(), width=4, blocks=2, epochs=3, batch=8)
SMALL = changed(
    StgcnMilConfig(), frame="camera", mixup=0.0, rotation_deg=0.0, gap_prob=0.0, shift_frames=0,
    width=8, blocks=2, kernel=5, dropout=0.0, epochs=4, batch=16, learning_rate=0.02, ema=0.9,
)  # fmt: skip


def trainer_of(data, config=TINY, **options):
    return helpers.networks.trainer_of("stgcn_mil", config, data, **options)


def trained(data, config=TINY, **options):
    trainer = trainer_of(data, config, **options)
    while trainer.epoch < config.optimization.epochs:
        trainer.run_epoch()
    return trainer


def scores(weights, data, config, rows=None, device=CPU, precision=torch.float32):
    """Logits (N,) of one fold's weights."""
    rows = np.arange(len(data.names)) if rows is None else rows
    return (
        NetworkPredictor(lambda: STGCN.build(config), [weights], STGCN, config, device, precision)
        .predict(data.poses, rows)
        .logits[0]
    )


def raw(tensors):
    return {name: (value.dtype, value.shape, value.numpy().tobytes()) for name, value in tensors.items()}


# ---- the same bytes


def test_the_same_seed_twice_gives_the_same_bytes_whatever_the_global_seed():
    data = some_data()
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002 - the global state must not matter
    first = trained(data)
    torch.manual_seed(2)
    np.random.seed(2)  # noqa: NPY002
    second = trained(data)
    assert raw(first.final_weights()) == raw(second.final_weights())
    assert raw(first.state()) == raw(second.state())


@pytest.mark.parametrize("options", [{"seed": 1}, {"fold": 1}])
def test_another_seed_or_fold_trains_another_network(options):
    data = some_data()
    first, other = trained(data).final_weights(), trained(data, **options).final_weights()
    assert raw(first)["stem.weight"] != raw(other)["stem.weight"]
    start, other_start = trainer_of(data).state(), trainer_of(data, **options).state()
    assert raw(start)["network.stem.weight"] != raw(other_start)["network.stem.weight"]


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("epoch", [0, 1, 2, 3])
def test_a_training_continued_after_any_epoch_ends_with_the_bytes_of_an_uninterrupted_one(epoch, precision):
    data = some_data()
    whole = trained(data, precision=precision)
    stopped = trainer_of(data, precision=precision)
    for _ in range(epoch):
        stopped.run_epoch()
    state = stopped.state()
    torch.manual_seed(123)
    continued = trainer_of(data, precision=precision)
    continued.load_state({name: value.clone() for name, value in state.items()})
    assert raw(continued.state()) == raw(state)
    while continued.epoch < TINY.optimization.epochs:
        continued.run_epoch()
    assert raw(continued.final_weights()) == raw(whole.final_weights())
    assert raw(continued.state()) == raw(whole.state())
    assert continued.history == whole.history


def test_the_state_holds_weights_average_optimiser_epoch_and_history():
    trainer = trained(some_data())
    state = trainer.state()
    for name, value in trainer.network.state_dict().items():
        assert torch.equal(state[f"network.{name}"], value)
        assert torch.equal(state[f"average.{name}"], trainer.average[name])
    for number, _ in enumerate(trainer.network.parameters()):
        assert {f"optimiser.{number}.{slot}" for slot in ("step", "exp_avg", "exp_avg_sq")} <= set(state)
    assert state["epoch"] == 3
    assert state["history"].tolist() == trainer.history
    assert len(trainer.history) == 3
    assert all(len(row) == len(HISTORY) for row in trainer.history)


def test_a_state_is_a_copy_that_later_epochs_leave_alone():
    trainer = trained(some_data(), changed(TINY, epochs=4))
    state = trainer.state()
    before = raw(state)
    trainer.run_epoch()
    assert raw(state) == before
    assert raw(trainer.state()) != before


def test_the_rows_alone_decide_what_is_learned():
    """What stands in the data beside the rows, such as the scored children, never enters."""
    data, rows = some_data(), np.arange(16)
    poses = data.poses.copy()
    poses[16:] += 0.3
    labels = data.labels.copy()
    labels[16:] = 1 - labels[16:]
    other = dataclasses.replace(data, poses=poses, labels=labels)
    assert raw(trained(data, rows=rows).final_weights()) == raw(trained(other, rows=rows).final_weights())


# ---- learning


@pytest.mark.slow
def test_eight_segments_can_be_overfitted():
    data = dataclasses.replace(some_data(8), labels=np.array([0, 1, 1, 0, 1, 0, 0, 1]))
    config = changed(StgcnMilConfig(), width=8, dropout=0.0, epochs=120, batch=8, learning_rate=0.01, ema=0.0, mixup=0)
    config = dataclasses.replace(config, augmentation=NO_AUGMENTATION)
    trainer = trained(data, config)
    assert trainer.history[-1][1] < 0.05
    probabilities = probability(scores(trainer.final_weights(), data, config))
    assert np.abs(probabilities - data.labels).max() < 0.2


def out_of_fold_auc(data, config, labels, fold_of):
    """AUC of all segments, each scored by the network of the fold that left it out."""
    data = dataclasses.replace(data, labels=labels)
    logits = np.empty(len(labels))
    for fold in range(2):
        weights = trained(data, config, rows=np.flatnonzero(fold_of != fold), fold=fold).final_weights()
        scored = np.flatnonzero(fold_of == fold)
        logits[scored] = scores(weights, data, config, scored)
    return roc_auc_score(labels, logits)


@pytest.mark.slow
def test_true_labels_are_learned_and_shuffled_ones_are_not():
    """The second half would not mean anything without the first."""
    data = some_data(700, frames=16, children=70, signal=0.2)
    aucs = []
    for labels in (data.labels, *(np.random.default_rng(seed).permutation(data.labels) for seed in range(3))):
        fold_of = make_folds(labels, data.children, 2, "stratified", 0)
        aucs.append(out_of_fold_auc(data, SMALL, labels, fold_of))
    assert aucs[0] > 0.9
    assert 0.4 < np.mean(aucs[1:]) < 0.6


@pytest.mark.slow
def test_labels_shuffled_over_children_could_be_learned_only_if_a_child_were_in_both_folds():
    data = some_data(400, frames=16, children=40)
    config = changed(SMALL, mirror_prob=0.0, zoom=0.0, aspect_jitter=0.0, epochs=8)  # children are easy to recognise
    whole, split = [], []
    for seed in range(2):
        generator = np.random.default_rng(seed)
        labels = generator.permutation(np.arange(40) % 2)[[int(child) for child in data.children]]
        fold_of = make_folds(labels, data.children, 2, "stratified", 0)
        whole.append(out_of_fold_auc(data, config, labels, fold_of))
        split.append(out_of_fold_auc(data, config, labels, generator.permutation(fold_of)))
    assert np.mean(split) > 0.75
    assert np.mean(whole) < 0.7


@pytest.mark.parametrize("loss", ["weighted", "plain"])
def test_without_anything_to_learn_the_mean_probability_is_the_prevalence(loss):
    """The weighted loss alone would pull it to one half; the offset takes that out again."""
    data = some_data(400, frames=16, children=40, share=0.15, seed=1)
    config = changed(SMALL, loss=loss)
    weights = trained(data, config).final_weights()
    logits = scores(weights, data, config)
    assert probability(logits).mean() == pytest.approx(data.labels.mean(), abs=0.04)
    without_offset = probability(logits - float(weights["offset"])).mean()
    assert (without_offset > 0.35) == (loss == "weighted")


def test_the_offset_is_the_log_of_the_weight_that_the_loss_gives_a_positive():
    data = some_data()
    negatives, positives = (data.labels == 0).sum(), (data.labels == 1).sum()
    assert negatives > positives
    for loss, expected in (("weighted", math.log(positives / negatives)), ("plain", 0.0)):
        weights = trainer_of(data, changed(TINY, loss=loss)).final_weights()
        assert weights["offset"].item() == pytest.approx(expected)


@pytest.mark.parametrize("loss", ["weighted", "focal", "plain"])
def test_the_loss_equals_a_plain_computation(loss):
    data = some_data()
    trainer = trainer_of(data, changed(TINY, loss=loss, focal_gamma=1.5))
    logits, labels = [-2.0, 0.3, 4.0, 0.0], [0, 1, 1, 0]
    ratio = (data.labels == 0).sum() / (data.labels == 1).sum()
    expected = []
    for logit, label in zip(logits, labels, strict=True):
        right = 1 / (1 + math.exp(-logit if label else logit))  # probability of the true label
        weight = ratio if label and loss != "plain" else 1
        expected.append(-weight * math.log(right) * ((1 - right) ** 1.5 if loss == "focal" else 1))
    scores, labels = Scores(torch.tensor(logits), None, None), torch.tensor(labels, dtype=torch.float32)
    assert trainer._losses(scores, labels, labels).mean().item() == pytest.approx(np.mean(expected), rel=1e-5)


@pytest.mark.parametrize(
    ("segments", "epochs", "steps", "passes"),
    [(360, 0, 500, 42), (1120, 0, 500, 20), (40, 0, 500, 250), (360, 0, 10, 20), (360, 7, 500, 7), (31, 0, 33, 33)],
)
def test_few_segments_get_more_passes_unless_their_number_is_given(segments, epochs, steps, passes):
    config = changed(StgcnMilConfig(), epochs=epochs, steps=steps, batch=32)
    assert config.optimization.epochs_of(segments) == STGCN.epochs(config, segments) == passes


def test_a_training_ends_after_its_number_of_steps():
    data = some_data()
    config = changed(TINY, epochs=0, steps=200, batch=8)
    trainer = trainer_of(data, config)
    assert trainer.epochs == math.ceil(200 / math.ceil(len(data.names) / 8))


def test_a_mixed_pair_has_the_loss_of_both_labels_in_the_parts_of_the_mixture(monkeypatch):
    data, seen = some_data(), []
    config = changed(TINY, mixup=0.5, loss="plain")
    monkeypatch.setattr(spasm.models.networks.inputs, "augment", lambda poses, *_: poses)
    trainer = trainer_of(data, config)
    epoch = trainer.begin_epoch()
    epoch.mixing = np.random.default_rng(3)
    batch, places = trainer.prepare(epoch)[0], epoch.batches[0]
    labels = torch.from_numpy(data.labels[places])
    features = build_features(torch.from_numpy(data.poses[places]), config.features)

    def forward(mixed):
        seen.append(mixed)
        return Scores(torch.linspace(-1, 1, 8), None, None)

    monkeypatch.setattr(trainer, "_forward", forward)
    loss = trainer._loss(batch).item()
    generator = np.random.default_rng(3)
    part = generator.beta(0.5, 0.5, 8)
    part, other = np.maximum(part, 1 - part), generator.permutation(8)
    wanted = part[:, None, None, None] * features.numpy() + (1 - part)[:, None, None, None] * features.numpy()[other]
    assert np.allclose(seen[0].numpy(), wanted, atol=1e-5)
    mixed_labels = part * labels.numpy() + (1 - part) * labels.numpy()[other]
    probabilities = 1 / (1 + np.exp(-np.linspace(-1, 1, 8)))
    expected = -(mixed_labels * np.log(probabilities) + (1 - mixed_labels) * np.log(1 - probabilities)).mean()
    assert loss == pytest.approx(expected, rel=1e-5)


def test_the_squared_error_is_of_the_probability():
    trainer = trainer_of(some_data(), changed(TINY, loss="squared"))
    scores, targets = Scores(torch.tensor([0.0, 2.0]), None, None), torch.tensor([0.25, 1.0])
    wanted = np.mean([0.25**2, (1 - 1 / (1 + math.exp(-2))) ** 2])
    assert trainer._losses(scores, targets.round(), targets).mean().item() == pytest.approx(wanted, rel=1e-5)


def test_the_taught_loss_is_the_cross_entropy_with_probabilities_as_targets():
    trainer = trainer_of(some_data(), changed(TINY, loss="taught"))
    logits, targets = torch.tensor([0.5, -2.0]), torch.tensor([0.25, 0.9])
    probability = torch.sigmoid(logits)
    wanted = -(targets * probability.log() + (1 - targets) * (1 - probability).log())
    found = trainer._losses(Scores(logits, None, None), targets.round(), targets)
    assert found.tolist() == pytest.approx(wanted.tolist(), rel=1e-5)


def test_without_averaging_the_last_weights_are_scored_and_with_it_they_are_not():
    data = some_data()
    for ema, same in ((0.0, True), (0.99, False)):
        trainer = trained(data, changed(TINY, ema=ema))
        weights = trainer.final_weights()
        equal = [torch.equal(weights[name], value) for name, value in trainer.network.state_dict().items()]
        assert all(equal) == same


# ---- the running average of a network's weights


@pytest.mark.parametrize("ema", [0.99, 0.2])
def test_the_running_average_follows_the_first_steps_quickly(ema):
    """With 0.99 from the first step on, the random start would still be most of the average after fifty steps."""
    trainer = trainer_of(some_data(24), changed(StgcnMilConfig(), width=4, blocks=1, epochs=4, batch=24, ema=ema))
    before = trainer.state()
    for step in range(4):  # one step per epoch
        trainer.run_epoch()
        after = trainer.state()
        decay = min(ema, (1 + step) / (10 + step))
        names = [name for name in after if name.startswith("average.") and after[name].is_floating_point()]
        assert len(names) > 5
        for name in names:
            followed = after[name.replace("average.", "network.")]
            expected = decay * before[name] + (1 - decay) * followed
            torch.testing.assert_close(after[name], expected, rtol=1e-5, atol=1e-6)
        before = after


# ---- when it cannot continue


@pytest.mark.parametrize("difference", ["rows", "data"])
def test_a_network_is_not_continued_that_had_begun_on_other_segments(difference):
    """Where the folds or the data have changed, what was learned before may hold the children now held out."""
    data, rows = some_data(), np.arange(16)
    state = trained(data, rows=rows).state()
    trainer_of(data, rows=rows).load_state(state)
    other = data if difference == "rows" else dataclasses.replace(data, fingerprint="other")
    with pytest.raises(ValueError, match="another fold, seed, data set or settings"):
        trainer_of(other, rows=rows + 8 if difference == "rows" else rows).load_state(state)


def test_a_loss_that_is_nan_stops_and_names_the_segments_of_the_step():
    data = some_data()
    trainer = trainer_of(data)
    torch.nn.init.constant_(trainer.network.head.score.bias, math.nan)  # as after a step that went too far
    with pytest.raises(TrainingError, match=r"epoch 1, step 1: the loss is nan") as caught:
        trainer.run_epoch()
    message = str(caught.value)
    assert sum(name in message for name in data.names) == TINY.optimization.batch
    assert "--learning-rate" in message
    assert trainer.epoch == 0
    assert trainer.history == []


def test_training_children_of_one_class_are_refused_with_the_fold():
    data = some_data()
    with pytest.raises(TrainingError, match="fold 3: its training children have only one class"):
        trainer_of(data, rows=np.flatnonzero(data.labels == 0), fold=3)


# ---- the learning rate


@pytest.mark.parametrize("steps", [10, 97, 1000])
def test_one_cycle_rises_for_three_tenths_and_then_falls_to_nearly_nothing(steps):
    rates = [learning_rate(step, steps, 0.01, "one-cycle") for step in range(steps)]
    top = int(np.argmax(rates))
    assert abs(top - 0.3 * steps) < 1
    assert max(rates) == pytest.approx(0.01, rel=0.01)
    assert rates[0] == pytest.approx(0.0004)
    assert (np.diff(rates[: top + 1]) > 0).all()
    assert (np.diff(rates[top:]) < 0).all()
    assert 0 < rates[-1] < 0.1 * max(rates)


@pytest.mark.parametrize("steps", [10, 97, 1000])
def test_the_cosine_only_falls(steps):
    rates = [learning_rate(step, steps, 0.01, "cosine") for step in range(steps)]
    assert rates[0] == pytest.approx(0.01, rel=1e-3)
    assert (np.diff(rates) < 0).all()
    assert rates[steps // 2] == pytest.approx(0.005, rel=0.2)
    assert 0 < rates[-1] < 0.05 * rates[0]


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine"])
def test_a_training_of_a_single_step_has_a_learning_rate(schedule):
    assert 0 < learning_rate(0, 1, 0.01, schedule) <= 0.0101


def test_the_history_holds_the_learning_rate_of_the_last_step_of_each_epoch():
    trainer = trained(some_data())
    expected = [
        learning_rate(step, 9, TINY.optimization.learning_rate, TINY.optimization.schedule) for step in (2, 5, 8)
    ]
    assert [row[0] for row in trainer.history] == expected


# ---- scoring


def test_scores_do_not_depend_on_the_rows_beside_them():
    data, config = some_data(40), TINY
    weights = trained(data).final_weights()
    together = scores(weights, data, config)
    order = np.random.default_rng(0).permutation(40)
    assert np.allclose(scores(weights, data, config, order), together[order], atol=1e-6)
    alone = [scores(weights, data, config, np.array([row]))[0] for row in (0, 17, 39)]
    assert np.allclose(alone, together[[0, 17, 39]], atol=1e-6)


def test_scores_are_those_of_the_averaged_network_plus_the_offset():
    data, config = some_data(), changed(TINY, body_scale=True)
    trainer = trained(data, config)
    weights = trainer.final_weights()
    trainer.network.load_state_dict(trainer.average)
    trainer.network.eval()
    with torch.no_grad():
        output = trainer._forward(build_features(torch.from_numpy(data.poses), config.features))
    offset = float(weights["offset"])
    assert offset != 0
    logits, frames = NetworkPredictor(
        lambda: STGCN.build(config), [weights, weights], STGCN, config, CPU, torch.float32
    ).predict(data.poses, np.arange(24))
    assert logits.shape == (2, 24)
    assert np.allclose(logits, output.logit.numpy() + offset, atol=1e-5)
    assert np.allclose(frames, output.frame_weights.numpy(), atol=1e-5)


def test_attention_and_frame_logits_are_the_mean_over_folds():
    data, config = some_data(), TINY
    weights = [trained(data, seed=seed).final_weights() for seed in (0, 1)]
    both = NetworkPredictor(lambda: STGCN.build(config), weights, STGCN, config, CPU, torch.float32).explain(
        data.poses, np.arange(24)
    )
    alone = [
        NetworkPredictor(lambda: STGCN.build(config), [one], STGCN, config, CPU, torch.float32).explain(
            data.poses, np.arange(24)
        )
        for one in weights
    ]
    for name in ("attention", "frame_logits"):
        single = [getattr(one, name) for one in alone]
        assert np.abs(np.diff(single, axis=0)).max() > 1e-5
        assert np.allclose(getattr(both, name), np.mean(single, axis=0), rtol=0, atol=1e-6)
    assert both.feature_values is None and both.shap_values is None


# ---- devices and precision


def test_auto_takes_a_gpu_where_there_is_one_and_cuda_insists(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto") == pick_device("cpu") == CPU
    with pytest.raises(TrainingError, match="--device cuda: torch sees no GPU"):
        pick_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pick_device("auto") == pick_device("cuda") == torch.device("cuda")
    assert pick_device("cpu") == CPU


@pytest.mark.parametrize("avx512", [False, True])
@pytest.mark.parametrize("amx", [False, True])
def test_auto_takes_bfloat16_where_the_processor_multiplies_it(monkeypatch, avx512, amx):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert pick_precision("auto", CPU) == (torch.bfloat16 if avx512 or amx else torch.float32)
    assert pick_precision("float32", CPU) == torch.float32
    assert pick_precision("bfloat16", CPU) == torch.bfloat16


@pytest.mark.parametrize("supported", [False, True])
def test_auto_takes_bfloat16_where_the_gpu_multiplies_it(monkeypatch, supported):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: supported)
    assert pick_precision("auto", torch.device("cuda")) == (torch.bfloat16 if supported else torch.float32)
    assert pick_precision("float32", torch.device("cuda")) == torch.float32


def test_bfloat16_changes_a_trained_probability_by_less_than_a_hundredth():
    data = some_data(300, frames=16, children=40, signal=0.2)
    config = changed(SMALL, epochs=6)
    weights = trained(data, config).final_weights()
    exact, rough = (
        probability(scores(weights, data, config, precision=precision)) for precision in (torch.float32, torch.bfloat16)
    )
    assert roc_auc_score(data.labels, exact) > 0.9
    assert exact.std() > 0.2
    assert 0 < np.abs(exact - rough).max() < 0.01


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_trains_and_scores_what_the_processor_does():
    """Dropout samples other numbers on a GPU and sums run in another order, so: none, and a tolerance of 0.01."""
    data = some_data(64, signal=0.05)
    config = changed(dataclasses.replace(SMALL, augmentation=Augmentation()), epochs=2, learning_rate=0.003)
    gpu = torch.device("cuda")
    on_cpu, on_gpu = (trained(data, config, device=device).final_weights() for device in (CPU, gpu))
    assert all(value.device == CPU for value in on_gpu.values())
    same_weights = [probability(scores(on_cpu, data, config, device=device)) for device in (CPU, gpu)]
    assert np.abs(same_weights[0] - same_weights[1]).max() < 1e-4
    own_weights = [probability(scores(weights, data, config)) for weights in (on_cpu, on_gpu)]
    assert np.abs(own_weights[0] - own_weights[1]).max() < 0.01
