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
from spasm.config.runtime import Hardware
from spasm.core import checkpoints
from spasm.core.errors import DataError, TrainingError
from spasm.data.dataset import TrainingData
from spasm.data.landmark_sets import KEPT
from spasm.data.landmarks import LANDMARKS
from spasm.features.augmentation import mirror
from spasm.features.channels import build_features
from spasm.models import rocket_folds
from spasm.models import rocket_transform as rocket
from spasm.models.ridge import of_raw_features
from spasm.models.rocket import RocketConfig, RocketModel
from spasm.models.rocket_folds import RocketPredictor

ROCKET = RocketModel()
SMALL = changed(RocketConfig(), biases_per_kernel=1, augmented_copies=1, shift_frames=2, gap_frames=4)


def loaded(poses: np.ndarray, labels: np.ndarray, each: int = 8) -> TrainingData:
    """Training data in memory; every `each` segments belong to one child."""
    names = tuple(f"child_{row // each}_{row % each}.npy" for row in range(len(poses)))
    owners = tuple(str(row // each) for row in range(len(poses)))
    return TrainingData(names, owners, labels, poses, np.isfinite(poses).any((1, 2, 3)), "", {}, False)


def fit(
    data: TrainingData, rows: np.ndarray, config: RocketConfig = SMALL, seed: int = 0, fold: int = 0
) -> rocket.Tensors:
    changes = config.biases_per_kernel, config.augmented_copies
    return rocket_folds.fit(data, rows, config.features, config.augmentation, *changes, seed, fold)


def kernels_of(fitted: rocket.Tensors) -> rocket.Tensors:
    return {name: value for name, value in fitted.items() if name not in rocket_folds.FITTED}


@pytest.fixture(scope="module")
def fitted() -> rocket.Tensors:
    """Fitted on six children whose jerks can be learned; tests must not change it."""
    return fit(loaded(*children()), np.arange(48))


@pytest.fixture(scope="module")
def predictor(fitted: rocket.Tensors) -> RocketPredictor:
    return RocketPredictor([fitted], SMALL.features)


@pytest.fixture(scope="module")
def others() -> tuple[np.ndarray, np.ndarray]:
    """Poses and labels of two other children."""
    return children(count=2, seed=5)


def score(predictor: RocketPredictor, poses: np.ndarray) -> np.ndarray:
    return predictor.predict(poses, np.arange(len(poses)))[0][0]


# ---- where the ridge is solved


@pytest.mark.parametrize(
    ("device", "driver", "gpu", "solved"),
    [("cpu", True, True, "cpu"), ("auto", False, True, "cpu"), ("auto", True, False, "cpu"),
     ("auto", True, True, "cuda"), ("cuda", True, True, "cuda")],
)  # fmt: skip
def test_a_gpu_solves_the_ridge_where_there_is_one(monkeypatch, tmp_path, device, driver, gpu, solved):
    monkeypatch.setattr("spasm.models.rocket.NVIDIA_DRIVER", tmp_path if driver else tmp_path / "missing")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    environment = ROCKET.environment(SMALL, Hardware(device=device), data=None)
    assert environment == {"device": solved, "threads": 1}


def test_a_ridge_for_which_a_gpu_has_too_little_memory_is_solved_by_the_cpu(monkeypatch, fitted):
    devices, solve = [], rocket_folds.fit_ridge

    def limited(*ridge, device=rocket_folds.CPU):
        devices.append(device.type)
        if device.type == "cuda":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return solve(*ridge)

    monkeypatch.setattr(rocket_folds, "fit_ridge", limited)
    options = SMALL.features, SMALL.augmentation, SMALL.biases_per_kernel, SMALL.augmented_copies, 0, 0
    found = rocket_folds.fit(loaded(*children()), np.arange(48), *options, torch.device("cuda"))
    assert devices == ["cuda", "cpu"]
    assert all(torch.equal(found[name], value) for name, value in fitted.items())


# ---- against the papers


def reference(values: np.ndarray, sampled: dict[str, np.ndarray]) -> list[float]:
    """The features of one stream (C, T) from the text of Dempster et al. 2021 (section 3.1) and Tan et al. 2022 (3.3).

    Kernels of length nine with weights -1 and 2 that sum to zero, so three weights are 2: 84 of them, each dilated and
    applied to a sum of some channels, here with signs and with both ends repeated. Over Z, the output less a bias: the
    fraction of positive values, their mean, the mean of their indices (-1 where there are none), and the longest run.
    """
    frames, features = values.shape[1], []
    high = list(itertools.combinations(range(9), 3))
    for dilation in sorted({int(name.split(".")[0]) for name in sampled}):
        numbers, mix, biases = (sampled[f"{dilation}.{part}"] for part in ("kernels", "mix", "biases"))
        for row, number in enumerate(numbers):
            series = [sum(mix[row][c] * values[c][t] for c in np.flatnonzero(mix[row])) for t in range(frames)]
            output = []
            for t in range(frames):
                places = [t + (tap - 4) * dilation for tap in range(9)]
                weights = [2 if tap in high[number] else -1 for tap in range(9)]
                inside = [min(max(place, 0), frames - 1) for place in places]
                output.append(sum(w * series[place] for w, place in zip(weights, inside, strict=True)))
            for bias in biases[row]:
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


@pytest.mark.parametrize(("frames", "names"), [(16, "a"), (27, "ab"), (27, "abcd")])
def test_features_are_those_of_the_papers_and_as_many_with_any_number_of_streams(frames, names):
    generator = np.random.default_rng(frames)

    def streams(count: int) -> dict[str, torch.Tensor]:
        steps = (generator.normal(size=(count, 5, frames)).cumsum(2).astype(np.float32) for _ in names)
        return {name: torch.from_numpy(values) for name, values in zip(names, steps, strict=True)}

    examples, segments = streams(20), streams(2)
    sampled = rocket.sample_kernels(examples, rocket.moving(examples), 2, generator)
    found = rocket.transform(segments, sampled).numpy()
    assert found.shape[1] == 2 * 84 * 2 * 4 * len(rocket.dilations(frames))
    for row in range(2):
        expected = []
        for name, values in segments.items():
            own = {key[2:]: value.numpy() for key, value in sampled.items() if key.startswith(f"{name}.")}
            expected += reference(values[row].double().numpy(), own)
        assert found[row] == pytest.approx(np.array(expected), abs=2e-5)


def test_streams_share_out_two_uses_of_every_kernel_and_change_them_with_the_dilation():
    for streams in (["a"], ["a", "b"], ["a", "b", "c"], ["a", "b", "c", "d"]):
        for turn in range(3):
            shared = rocket.share_out(streams, turn)
            assert sorted(np.concatenate(list(shared.values()))) == sorted([*range(84)] * 2)
            assert max(map(len, shared.values())) - min(map(len, shared.values())) <= 1
    used = np.concatenate([rocket.share_out(["a", "b", "c", "d"], turn)["a"] for turn in range(6)])
    assert set(used) == set(range(84))


def test_where_a_limb_rests_changes_nothing_also_at_the_ends_of_a_segment():
    generator = np.random.default_rng(0)
    examples, steps = torch.from_numpy(generator.normal(size=(2, 4, 5, 40)).cumsum(3).astype(np.float32))
    sampled = rocket.sample_kernels({"a": examples}, rocket.moving({"a": examples}), 2, generator)
    moved = steps + torch.tensor([3.0, 0, -2, 0, 1])[:, None]
    features, elsewhere = (rocket.transform({"a": values}, sampled) for values in (steps, moved))
    assert torch.allclose(features, elsewhere, atol=1e-4)


def test_poolings_of_outputs_worked_out_by_hand():
    outputs = torch.tensor([[-1.0, 1, 2, -1, 3], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0], [3, -1, -1, 2, 2]]).T[:, :, None]
    pooled = rocket.pool(outputs, torch.zeros(4, 1))[0, :, 0]
    assert pooled[0].tolist() == pytest.approx([3 / 5, 2, (1 + 2 + 4) / 3 / 5, 2 / 5])
    assert pooled[1].tolist() == pytest.approx([1, 1, 2 / 5, 1])
    assert pooled[2].tolist() == pytest.approx([0, 0, -1 / 5, 0])  # equal to the bias is not above it
    assert pooled[3].tolist() == pytest.approx([3 / 5, 7 / 3, (0 + 3 + 4) / 3 / 5, 2 / 5])
    assert rocket.pool(outputs, torch.full((4, 1), 1.5))[0, 0, 0].tolist() == pytest.approx([2 / 5, 1, 3 / 5, 1 / 5])


def test_poolings_of_a_long_series_are_those_of_its_definition():
    """The numbers of frames and their places are counted in parts of a long series."""
    outputs = torch.from_numpy(np.random.default_rng(0).normal(size=(1000, 3, 2)).cumsum(0).astype(np.float32))
    biases = outputs.permute(1, 0, 2).flatten(1).quantile(torch.tensor([0.02, 0.5, 0.9, 1.0]), dim=1).T
    pooled = rocket.pool(outputs, biases)
    for segment, kernel, number in itertools.product(range(2), range(3), range(4)):
        above = outputs[:, kernel, segment].double() - biases[kernel, number].double()
        positive = above > 0
        places = np.flatnonzero(positive.numpy())
        longest = max((len([*run]) for is_above, run in itertools.groupby(positive.tolist()) if is_above), default=0)
        expected = [len(places) / 1000, float(above[positive].mean()) if len(places) else 0,
                    places.mean() / 1000 if len(places) else -1 / 1000, longest / 1000]  # fmt: skip
        assert pooled[segment, kernel, number].tolist() == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_sums_of_channels_are_the_product_with_their_signs_and_repeat_both_ends():
    values = torch.from_numpy(np.random.default_rng(0).normal(size=(6, 99, 4)).astype(np.float32))
    mix = rocket.sample_mix(np.random.default_rng(1), np.ones(99, dtype=bool), 84)
    summed = rocket.add_channels(values, mix, 2)
    assert summed.shape == (10, 84, 4)
    assert torch.allclose(summed[2:8], torch.einsum("kc,tcn->tkn", mix, values), atol=1e-5)
    assert torch.equal(summed[0], summed[2]) and torch.equal(summed[9], summed[7])


def test_there_are_84_different_kernels_of_nine_taps_that_sum_to_zero():
    kernels = rocket.kernels().numpy()
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


def test_a_kernel_adds_one_to_nine_channels_that_move_with_random_signs():
    alive = np.ones(99, dtype=bool)
    alive[::3] = False
    mix = rocket.sample_mix(np.random.default_rng(0), alive, 2000).numpy()
    sizes = np.abs(mix).sum(1)
    assert set(np.unique(mix)) == {-1, 0, 1}
    assert mix.sum() / sizes.sum() == pytest.approx(0, abs=0.05)
    assert not mix[:, ~alive].any()
    assert mix[:, alive].any(0).all()
    assert set(sizes) == set(range(1, 10))
    assert np.mean(sizes == 1) == pytest.approx(math.log(2) / math.log(10), abs=0.05)  # 2^U(0, log2 10), rounded down
    alone = np.abs(rocket.sample_mix(np.random.default_rng(0), np.arange(99) == 7, 84).numpy())
    assert (alone.sum(1) == alone[:, 7]).all() and alone[:, 7].all()


def test_biases_are_quantiles_of_what_the_examples_give():
    examples = rocket.series(torch.from_numpy(children()[0]), SMALL.features)
    sampled = rocket.sample_kernels(examples, rocket.moving(examples), 3, np.random.default_rng(0))
    fractions = rocket.transform(examples, sampled).reshape(48, -1, 4)[..., 0].mean(0)
    assert len(fractions) == 3 * 84 * len(sampled) // 3
    levels = rocket.spread_levels(0, len(fractions))
    assert fractions.tolist() == pytest.approx((1 - levels).tolist(), abs=0.03)


def test_the_levels_of_biases_are_spread_evenly_and_far_apart_within_a_kernel():
    levels = rocket.spread_levels(0, 1000)
    assert sorted(levels.tolist()) == pytest.approx(np.linspace(0, 1, 1000).tolist(), abs=0.01)
    assert (levels.reshape(-1, 4).sort(1).values.diff(dim=1) > 0.1).all()
    assert torch.equal(rocket.spread_levels(10, 5), levels[10:15])


def test_kernels_and_biases_know_no_child_of_the_run():
    """Other children, labels and folds give the same kernels, because biases come from simulated infants."""
    first = kernels_of(fit(loaded(*children()), np.arange(48)))
    other = kernels_of(fit(loaded(*children(seed=3)), np.arange(8, 48), fold=1))
    assert rocket_folds.equal(first, other)
    assert not rocket_folds.equal(first, kernels_of(fit(loaded(*children()), np.arange(48), seed=1)))
    simulated = rocket_folds.simulated_poses(T, "coco_17")
    assert len(simulated) > 50 and np.isfinite(simulated).any((1, 2, 3)).all()
    assert np.array_equal(np.isfinite(simulated).any((0, 1, 3)), np.isin(LANDMARKS, KEPT["coco_17"]))


def test_no_bias_is_as_near_to_zero_as_rounding_errors():
    """Landmarks that do not move give rounding errors around 0, which would be above such a bias or not by chance."""
    assert rocket.away_from_zero(torch.tensor([-1.0, -1e-9, 0.0, 1e-9, 1.0])).tolist() == pytest.approx(
        [-1, -1e-3, 1e-3, 1e-3, 1]
    )
    still = loaded(np.repeat(children()[0][:, :1], T, axis=1), children()[1])
    still.poses[:, ::8, 15, :2] += 0.3 * np.arange(48, dtype=np.float32)[:, None, None] / 48  # one hand moves
    fitted = fit(still, np.arange(48), changed(SMALL, augmented_copies=0))
    for name, biases in fitted.items():
        assert not name.endswith(".biases") or biases.abs().min() >= rocket.SMALLEST_BIAS
    noise = 1e-7 * np.random.default_rng(0).normal(size=(*still.poses.shape[:-1], 3))
    noisy = still.poses.copy()
    noisy[..., :3] += noise.astype(np.float32)
    streams = [rocket.series(torch.from_numpy(poses), SMALL.features) for poses in (still.poses, noisy)]
    kept = [rocket.transform(one, kernels_of(fitted)) for one in streams]
    near = {name: value * 0 if name.endswith(".biases") else value for name, value in kernels_of(fitted).items()}
    lost = [rocket.transform(one, near) for one in streams]
    assert (kept[0] - kept[1]).abs().mean() < 1e-4
    logits = [score(RocketPredictor([fitted], SMALL.features), poses) for poses in (still.poses, noisy)]
    assert logits[1] == pytest.approx(logits[0], abs=1e-3)
    assert (lost[0] - lost[1]).abs().mean() > 1e-2, "the test is void unless biases of 0 would notice the noise"


def test_mirrored_kernels_give_the_features_of_a_mirrored_pose(fitted, others):
    poses = torch.from_numpy(others[0])
    streams, mirrored = (rocket.series(image, SMALL.features) for image in (poses, mirror(poses)))
    sampled = kernels_of(fitted)
    both = rocket.transform_both(streams, rocket.with_mirror_image(sampled))
    one_way, other_way = (rocket.transform(image, sampled) for image in (streams, mirrored))
    # Another order of summation moves an output by 1e-7, and a feature where that passes a bias.
    assert (both - (one_way + other_way) / 2).abs().mean() < 1e-5
    assert (one_way - other_way).abs().mean() > 1e-2


@pytest.mark.parametrize("frame", ["camera", "body"])
def test_the_series_are_coordinates_from_the_hips_and_their_first_differences(frame):
    poses, features = torch.from_numpy(moving(0, T, 2)), changed(SMALL, frame=frame).features
    position, velocity = rocket.series(poses, features).values()
    channels = build_features(poses, features)
    assert torch.equal(position, channels[:, :3].flatten(1, 2))
    assert position.reshape(2, 3, 33, T)[:, :2, 23:25].mean(2).abs().max() < 1e-5
    assert torch.allclose(velocity, channels[:, 3:6, :, 1:].flatten(1, 2), atol=1e-6), "there is no gap"


# ---- the ridge


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
        return float(np.abs(RocketPredictor([fitted], config.features).predict(data.poses, rows).logits).mean())

    assert certainty(data) < 1  # 0.5; with copies in other inner folds 3
    each_its_own = dataclasses.replace(data, children=data.names)
    assert certainty(each_its_own) > 1.5, "the test is void unless segments of a child give it away"


# ---- what must not change a prediction


def test_it_recognises_jerks_of_held_out_children(predictor, others):
    poses, labels = others
    assert roc_auc_score(labels, score(predictor, poses)) > 0.9


def test_a_mirror_changes_nothing(fitted, predictor, others):
    poses = others[0]
    mirrored = mirror(torch.from_numpy(poses)).numpy()
    expected = score(predictor, poses)
    assert score(predictor, mirrored) == pytest.approx(expected, abs=5e-3)  # rounding passes a bias
    assert np.ptp(expected) > 0.5, "the test is void unless poses differ"
    coefficients, intercept = of_raw_features(fitted)
    one_way = [
        rocket.transform(rocket.series(torch.from_numpy(image), SMALL.features), fitted).double() @ coefficients
        + intercept
        for image in (poses, mirrored)
    ]
    assert (one_way[0] - one_way[1]).abs().max() > 0.02, "and unless one way alone would"


def test_where_the_camera_stands_and_its_zoom_change_nothing(predictor, others):
    poses = others[0]
    seen = camera(poses, roll=0, zoom=1.6, x=0.2, y=-0.3)
    assert score(predictor, seen) == pytest.approx(score(predictor, poses), abs=5e-3)  # rounding
    unscaled = changed(SMALL, frame="camera")
    fitted = RocketPredictor([fit(loaded(*children()), np.arange(48), unscaled)], unscaled.features)
    assert np.abs(score(fitted, seen) - score(fitted, poses)).max() > 0.1


def test_a_segment_has_the_same_prediction_alone_and_among_others(predictor, others):
    poses = np.concatenate([others[0], moving(8, T, 40)])  # more than a batch
    together = score(predictor, poses)
    for row in (0, 15, 40, 55):
        assert score(predictor, poses[row : row + 1])[0] == pytest.approx(together[row], abs=1e-6)
    order = np.random.default_rng(0).permutation(len(poses))
    assert predictor.predict(poses, order)[0][0] == pytest.approx(together[order], abs=1e-6)
    assert predictor.predict(poses, np.arange(0))[0].shape == (1, 0)


def test_several_folds_predict_the_same_together_and_alone_and_share_the_transform_of_equal_kernels(fitted, others):
    data = loaded(*children(seed=3))
    folds = [fitted, fit(data, np.arange(48), seed=1), fit(data, np.arange(8, 48), fold=1)]
    together = RocketPredictor(folds, SMALL.features)
    assert [numbers for _, numbers in together.groups] == [[0, 2], [1]]
    logits, attention = together.predict(others[0], np.arange(16))
    assert attention is None
    for number, weights in enumerate(folds):
        assert np.array_equal(logits[number], score(RocketPredictor([weights], SMALL.features), others[0]))
    assert not np.allclose(logits[0], logits[1]) and not np.allclose(logits[0], logits[2])


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
        if name.endswith(".mix"):
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
    assert {name.split(".")[2] for name in fitted if name.endswith("biases")} == {"1"}
    poses, labels = children(count=2, frames=16, seed=5)
    assert roc_auc_score(labels, score(RocketPredictor([fitted], SMALL.features), poses)) > 0.8


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
        {name.replace("body.", "camera."): value for name, value in fitted.items()},
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
