"""Random convolutions: against a reference written from the papers, and what must not change a prediction."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from helpers.data import FLOAT32, T, children
from helpers.poses import camera, moving
from helpers.settings import NO_AUGMENTATION, changed
from spasm.core import checkpoints
from spasm.core.errors import DataError, TrainingError
from spasm.data.dataset import TrainingData
from spasm.ensemble.calibration import fit_logistic
from spasm.features.augmentation import mirror
from spasm.models import rocket_transform as rocket
from spasm.models.rocket import RocketConfig, RocketModel

ROCKET = RocketModel()
SMALL = changed(RocketConfig(), biases_per_kernel=1, augmented_copies=1, shift_frames=2, gap_frames=4)


def loaded(poses: np.ndarray, labels: np.ndarray, each: int = 8) -> TrainingData:
    """Training data in memory; every `each` segments belong to one child."""
    names = tuple(f"child_{row // each}_{row % each}.npy" for row in range(len(poses)))
    owners = tuple(str(row // each) for row in range(len(poses)))
    return TrainingData(names, owners, labels, poses, np.isfinite(poses).any((1, 2, 3)), "", {}, False)


def fit(data: TrainingData, rows: np.ndarray, config: RocketConfig = SMALL, seed: int = 0) -> rocket.Tensors:
    changes = config.biases_per_kernel, config.augmented_copies
    return rocket.fit(data, rows, config.features, config.augmentation, *changes, [seed, 0])


@pytest.fixture(scope="module")
def fitted() -> rocket.Tensors:
    """Fitted on six children whose jerks can be learned; tests must not change it."""
    return fit(loaded(*children()), np.arange(48))


@pytest.fixture(scope="module")
def predictor(fitted: rocket.Tensors) -> rocket.RocketPredictor:
    return rocket.RocketPredictor([fitted], SMALL.features)


@pytest.fixture(scope="module")
def others() -> tuple[np.ndarray, np.ndarray]:
    """Poses and labels of two other children."""
    return children(count=2, seed=5)


def score(predictor: rocket.RocketPredictor, poses: np.ndarray) -> np.ndarray:
    return predictor.predict(poses, np.arange(len(poses)))[0][0]


# ---- against the papers


def reference(values: np.ndarray, sampled: dict[str, np.ndarray]) -> list[float]:
    """The features of one stream (C, T) from the text of Dempster et al. 2021 (section 3.1) and Tan et al. 2022 (3.3).

    Kernels of length nine with weights -1 and 2 that sum to zero, so three weights are 2: 84 of them, each dilated and
    applied to the sum of some channels, padded with zeros. Over Z, the output less a bias: the share of positive
    values, their mean, the mean of their indices (-1 where there are none), and the longest run of them.
    """
    frames, features = values.shape[1], []
    for dilation in sorted({int(name.split(".")[0]) for name in sampled}):
        channels, biases = sampled[f"{dilation}.channels"], sampled[f"{dilation}.biases"]
        for number, high in enumerate(itertools.combinations(range(9), 3)):
            series = [sum(values[c][t] for c in np.flatnonzero(channels[number])) for t in range(frames)]
            output = []
            for t in range(frames):
                places = [t + (tap - 4) * dilation for tap in range(9)]
                weights = [2 if tap in high else -1 for tap in range(9)]
                output.append(
                    sum(w * series[place] for w, place in zip(weights, places, strict=True) if 0 <= place < frames)
                )
            for bias in biases[number]:
                above = [z - bias for z in output]
                positive = [t for t, z in enumerate(above) if z > 0]
                runs_of = [len(list(run)) for is_above, run in itertools.groupby(above, lambda z: z > 0) if is_above]
                features += [
                    len(positive) / frames,
                    sum(above[t] for t in positive) / max(1, len(positive)),
                    (sum(positive) / len(positive) if positive else -1) / frames,
                    max(runs_of, default=0) / frames,
                ]
    return features


@pytest.mark.parametrize("frames", [16, 27])
def test_features_are_those_of_the_papers(frames):
    generator = np.random.default_rng(frames)

    def streams(count: int) -> dict[str, torch.Tensor]:
        position = torch.from_numpy(generator.normal(size=(count, 5, frames)).cumsum(2).astype(np.float32))
        return {"position": position, "velocity": position.diff(dim=2)}

    sampled, segments = rocket.sample_kernels(streams(20), 2, generator), streams(2)
    found = rocket.transform(segments, sampled).numpy()
    for row in range(2):
        expected = []
        for stream in ("position", "velocity"):
            own = {name.removeprefix(f"{stream}."): value.numpy() for name, value in sampled.items() if stream in name}
            expected += reference(segments[stream][row].double().numpy(), own)
        assert len(expected) == found.shape[1] == 84 * 2 * 4 * len(sampled) // 2
        assert found[row] == pytest.approx(np.array(expected), abs=2e-5)


def test_poolings_of_outputs_worked_out_by_hand():
    outputs = torch.tensor([[-1.0, 1, 2, -1, 3], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0], [3, -1, -1, 2, 2]]).T[:, None]
    pooled = rocket.pool(outputs, torch.zeros(4, 1))[0, :, 0]
    assert pooled[0].tolist() == pytest.approx([3 / 5, 2, (1 + 2 + 4) / 3 / 5, 2 / 5])
    assert pooled[1].tolist() == pytest.approx([1, 1, 2 / 5, 1])
    assert pooled[2].tolist() == pytest.approx([0, 0, -1 / 5, 0])  # equal to the bias is not above it
    assert pooled[3].tolist() == pytest.approx([3 / 5, 7 / 3, (0 + 3 + 4) / 3 / 5, 2 / 5])
    assert rocket.pool(outputs, torch.full((4, 1), 1.5))[0, 0, 0].tolist() == pytest.approx([2 / 5, 1, 3 / 5, 1 / 5])


def test_there_are_84_different_kernels_of_nine_taps_that_sum_to_zero():
    kernels = rocket.kernels()[:, 0].numpy()
    assert kernels.shape == (84, 9)
    assert len(np.unique(kernels, axis=0)) == 84
    assert np.isin(kernels, [-1, 2]).all()
    assert (kernels.sum(1) == 0).all()


@pytest.mark.parametrize("frames", [15, 16, 60, 150, 3000])
def test_dilations_go_from_one_frame_to_the_widest_kernel_that_fits(frames):
    dilations = rocket.dilations(frames)
    assert dilations[0] == 1
    assert 8 * dilations[-1] <= frames - 1 < 8 * (dilations[-1] + 1)
    assert (np.diff(dilations) > 0).all()
    assert len(dilations) == 6 or frames < 100


def test_a_kernel_adds_up_one_to_nine_channels_that_move():
    alive = np.ones(99, dtype=bool)
    alive[::3] = False
    channels = rocket.sample_channels(np.random.default_rng(0), alive, 2000).numpy()
    sizes = channels.sum(1)
    assert set(np.unique(channels)) == {0, 1}
    assert not channels[:, ~alive].any()
    assert channels[:, alive].any(0).all()
    assert set(sizes) == set(range(1, 10))
    assert np.mean(sizes == 1) == pytest.approx(math.log(2) / math.log(10), abs=0.05)  # 2^U(0, log2 10), rounded down
    alone = rocket.sample_channels(np.random.default_rng(0), np.arange(99) == 7, 84).numpy()
    assert (alone.sum(1) == alone[:, 7]).all() and alone[:, 7].all()


def test_biases_are_quantiles_of_what_the_training_segments_give():
    examples = rocket.series(torch.from_numpy(children()[0]), SMALL.features)
    sampled = rocket.sample_kernels(examples, 3, np.random.default_rng(0))
    fractions = rocket.transform(examples, sampled).reshape(48, -1, 3, 4)[..., 0].mean(0)
    assert fractions.shape[0] == 84 * len(sampled) // 2
    assert fractions.mean(0).tolist() == pytest.approx([0.75, 0.5, 0.25], abs=0.02)
    assert fractions.std(0).max() < 0.05


def test_the_series_are_coordinates_from_the_hips_and_their_first_differences():
    poses = torch.from_numpy(moving(0, T, 2))
    streams = rocket.series(poses, SMALL.features)
    assert streams["position"].shape == (2, 99, T)
    hips = streams["position"].reshape(2, 3, 33, T)[:, :, 23:25].mean(2)
    assert hips.abs().max() < 1e-5
    assert torch.equal(streams["velocity"], streams["position"][..., 1:] - streams["position"][..., :-1])


# ---- the ridge


def ridge_by_hand(features: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> tuple[float, np.ndarray]:
    """The penalty that inner folds choose, and calibrated log-odds of the rows themselves, both from the primal."""
    scale = features.std(0, ddof=1)
    values = (features - features.mean(0)) / np.where(scale > 1e-6, scale, 1) / np.sqrt(features.shape[1])
    target, inner = 2.0 * labels - 1, rocket.inner_folds(labels, groups)

    def solve(rows: np.ndarray, penalty: float) -> np.ndarray:
        left = values[rows].T @ values[rows] + penalty * np.eye(values.shape[1])
        middle = target[rows].mean()
        return values @ np.linalg.solve(left, values[rows].T @ (target[rows] - middle)) + middle

    scores = np.empty((len(rocket.PENALTIES), len(labels)))
    for number, penalty in enumerate(rocket.PENALTIES):
        for fold in range(inner.max() + 1):
            scores[number, inner == fold] = solve(inner != fold, penalty)[inner == fold]
    best = np.mean((scores - target) ** 2, axis=1).argmin()
    slope, offset = fit_logistic(scores[best][:, None], labels, np.zeros(1), 1e-3)
    return rocket.PENALTIES[best], slope * solve(np.full(len(labels), True), rocket.PENALTIES[best]) + offset


def test_the_ridge_is_the_textbooks_with_the_penalty_that_inner_folds_of_children_choose():
    generator = np.random.default_rng(0)
    labels, groups = np.arange(60) % 2, np.repeat(np.arange(12), 5)
    chosen = []
    for strength in (0.0, 0.3, 5.0):
        features = generator.normal(size=(60, 40))
        features[:, :3] += strength * (2 * labels[:, None] - 1)
        features[:, -1] = 7  # never varies
        fitted = rocket.fit_ridge(torch.from_numpy(features), labels, groups)
        penalty, logits = ridge_by_hand(features, labels, groups)
        assert rocket.logits_of(torch.from_numpy(features), fitted) == pytest.approx(logits, abs=1e-6)
        chosen.append(penalty)
    assert chosen[0] > 10 * chosen[2], "the test is void unless the penalty differs"


def test_what_marks_a_child_and_not_the_label_is_not_trusted():
    """Each child has a label and a mark of its own. Folds that split children would find the marks perfect."""
    generator = np.random.default_rng(0)
    groups = np.repeat(np.arange(30), 6)
    labels = generator.permutation(np.arange(30) % 2)[groups]
    marks = generator.normal(size=(30, 50))[groups] + 0.01 * generator.normal(size=(180, 50))
    honest = rocket.logits_of(torch.from_numpy(marks), rocket.fit_ridge(torch.from_numpy(marks), labels, groups))
    alone = np.arange(180)
    fooled = rocket.logits_of(torch.from_numpy(marks), rocket.fit_ridge(torch.from_numpy(marks), labels, alone))
    assert np.abs(honest).max() < 1.5
    assert np.abs(fooled).min() > 2


def test_inner_folds_hold_whole_children_and_share_out_the_positives():
    generator = np.random.default_rng(0)
    groups = generator.permutation(np.repeat([f"child {number}" for number in range(23)], 4))
    labels = (np.char.endswith(groups, ("3"))).astype(int)  # those of 3 and 13
    labels |= np.isin(groups, ["child 0", "child 5", "child 8"])
    inner = rocket.inner_folds(labels, groups)
    assert set(inner) == set(range(5))
    for child in np.unique(groups):
        assert len(set(inner[groups == child])) == 1
    assert [labels[inner == fold].sum() for fold in range(5)] == [4] * 5
    assert len(set(rocket.inner_folds(np.array([0, 1, 1]), np.array(["a", "b", "b"])))) == 2


def marked_children(count: int = 40, each: int = 2) -> TrainingData:
    """Children who each move in a way of their own and have one label, which is no information about other children."""
    generator = np.random.default_rng(0)
    poses = moving(0, 16, count).repeat(each, axis=0)
    poses[..., :3] += generator.normal(0, 3e-3, poses[..., :3].shape)
    labels = generator.permutation(np.arange(count) % 2).repeat(each)
    return loaded(poses.astype(np.float32), labels, each)


def test_changed_copies_of_a_child_stay_in_its_inner_fold_of_the_ridge():
    """A copy in another inner fold would make its child known there: too low a penalty, and far too certain scores."""
    data = marked_children()
    little = dataclasses.replace(NO_AUGMENTATION, rotation_deg=1.0)
    config = dataclasses.replace(changed(RocketConfig(), biases_per_kernel=1, augmented_copies=2), augmentation=little)
    rows = np.arange(len(data.labels))

    def certainty(data: TrainingData) -> float:
        """How far the scores of the training segments are from 0 on average."""
        fitted = fit(data, rows, config)
        return float(np.abs(rocket.RocketPredictor([fitted], config.features).predict(data.poses, rows).logits).mean())

    assert certainty(data) < 1  # 0.5; with copies in other inner folds 3
    each_its_own = dataclasses.replace(data, children=data.names)
    assert certainty(each_its_own) > 2, "the test is void unless segments of a child give it away"


# ---- what must not change a prediction


def test_it_recognises_jerks_of_held_out_children(predictor, others):
    poses, labels = others
    assert roc_auc_score(labels, score(predictor, poses)) > 0.9


def test_a_mirror_changes_nothing(predictor, others):
    poses = others[0]
    mirrored = mirror(torch.from_numpy(poses)).numpy()
    expected = score(predictor, poses)
    assert score(predictor, mirrored) == pytest.approx(expected, abs=1e-3)
    assert np.ptp(expected) > 0.5, "the test is void unless poses differ"
    one_way = [
        rocket.logits_of(
            rocket.transform(rocket.series(torch.from_numpy(image), SMALL.features), predictor.weights[0]),
            predictor.weights[0],
        )
        for image in (poses, mirrored)
    ]
    assert np.abs(one_way[0] - one_way[1]).max() > 0.02, "and unless one way alone would"


def test_where_the_camera_stands_and_its_zoom_change_nothing(predictor, others):
    poses = others[0]
    seen = camera(poses, roll=0, zoom=1.6, x=0.2, y=-0.3)
    assert score(predictor, seen) == pytest.approx(score(predictor, poses), abs=1e-3)
    unscaled = rocket.RocketPredictor(predictor.weights, changed(SMALL, body_scale=False).features)
    assert np.abs(score(unscaled, seen) - score(unscaled, poses)).max() > 0.1


def test_a_segment_has_the_same_prediction_alone_and_among_others(predictor, others):
    poses = np.concatenate([others[0], moving(8, T, 40)])  # more than a batch
    together = score(predictor, poses)
    for row in (0, 15, 40, 55):
        assert score(predictor, poses[row : row + 1])[0] == pytest.approx(together[row], abs=1e-6)
    order = np.random.default_rng(0).permutation(len(poses))
    assert predictor.predict(poses, order)[0][0] == pytest.approx(together[order], abs=1e-6)
    assert predictor.predict(poses, np.arange(0))[0].shape == (1, 0)


def test_several_folds_predict_the_same_together_and_alone(fitted, others):
    data = loaded(*children(seed=3))
    other = fit(data, np.arange(48), seed=1)
    both, attention = rocket.RocketPredictor([fitted, other], SMALL.features).predict(others[0], np.arange(16))
    assert attention is None
    for number, weights in enumerate((fitted, other)):
        assert np.array_equal(both[number], score(rocket.RocketPredictor([weights], SMALL.features), others[0]))
    assert not np.allclose(both[0], both[1])


def test_the_input_is_not_changed(predictor, others):
    before = others[0].copy()
    score(predictor, others[0])
    assert np.array_equal(others[0], before)


def test_missing_landmarks_gaps_and_single_frames_have_a_prediction(predictor, others):
    poses = others[0].copy()
    poses[0, :, 25:] = np.nan
    poses[1, 3:] = np.nan
    poses[2, 1:] = np.nan
    poses[3, ::2] = np.nan
    poses[4, :, 23:25] = np.nan
    poses[5, :, 1:] = np.nan
    assert np.isfinite(score(predictor, poses)).all()


def test_a_landmark_that_training_never_found_is_ignored(others):
    poses, labels = children()
    poses[:, :, 15] = np.nan
    fitted = fit(
        loaded(poses, labels),
        np.arange(48),
        changed(RocketConfig(), biases_per_kernel=1, augmented_copies=1, mirror_prob=0),
    )
    for name, channels in fitted.items():
        if name.endswith(".channels"):
            assert not channels.reshape(84, 3, 33)[:, :, 15].any()
            assert channels.reshape(84, 3, 33)[:, :, 16].any()
    streams, wild = (
        rocket.series(torch.from_numpy(values), SMALL.features) for values in (others[0], others[0].copy())
    )
    for stream in wild.values():
        stream.view(16, 3, 33, -1)[:, :, 15] = 100
    assert torch.equal(rocket.transform(streams, fitted), rocket.transform(wild, fitted))


def test_the_shortest_segments_can_be_learned_and_predicted():
    fitted = fit(loaded(*children(frames=16)), np.arange(48))
    assert {name.split(".")[1] for name in fitted if name.endswith("biases")} == {"1"}
    poses, labels = children(count=2, frames=16, seed=5)
    assert roc_auc_score(labels, score(rocket.RocketPredictor([fitted], SMALL.features), poses)) > 0.8


# ---- what its bytes depend on


def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_ones(fitted, tmp_path):
    data = loaded(*children())
    for name, weights in {
        "first": fitted,
        "again": fit(data, np.arange(48)),
        "other": fit(data, np.arange(48), seed=1),
        "plain": fit(data, np.arange(48), changed(SMALL, augmented_copies=0)),
    }.items():
        checkpoints.write_tensors(tmp_path / name, weights)
    first = (tmp_path / "first").read_bytes()
    assert (tmp_path / "again").read_bytes() == first
    assert (tmp_path / "other").read_bytes() != first
    assert (tmp_path / "plain").read_bytes() != first


# ---- what it refuses


def test_a_file_of_something_else_is_refused_by_name(fitted, tmp_path):
    path = tmp_path / "fold_0.safetensors"
    for content in (b"", b"not weights", bytes(1000)):
        path.write_bytes(content)
        with pytest.raises(DataError) as caught:
            ROCKET.load([path], SMALL, FLOAT32)
        assert caught.value.path == path
    for tensors in (
        {"stem.weight": torch.zeros(3)},  # a network's
        *({name: value for name, value in fitted.items() if name != gone} for gone in fitted),
        fitted | {"mean": fitted["mean"][:-1]},
    ):
        checkpoints.write_tensors(path, tensors)
        with pytest.raises(DataError, match="lacks a part of the model") as caught:
            ROCKET.load([path], SMALL, FLOAT32)
        assert caught.value.path == path


def test_one_class_one_child_or_nothing_that_moves_cannot_be_trained_on():
    poses, labels = children()
    with pytest.raises(TrainingError, match="one class"):
        fit(loaded(poses, np.zeros_like(labels)), np.arange(48))
    with pytest.raises(TrainingError, match="need two children with a pose"):
        fit(loaded(poses, labels), np.arange(8))
    with pytest.raises(TrainingError, match="nothing moves"):
        fit(loaded(np.repeat(poses[:1, :1], T, 1).repeat(48, 0), labels), np.arange(48))
