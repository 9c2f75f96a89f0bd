"""Networks that read pictures: sizes, what they learn, what they never see, and how their training resumes."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.data import FLOAT32, children, write
from helpers.models import smallest
from helpers.pictures import some_pictures, write_pictures
from helpers.settings import changed
from spasm.core.errors import DataError, DataProblems
from spasm.data.dataset import TrainingData, load_training
from spasm.data.landmarks import VSVIG_15
from spasm.data.pictures import LAYOUTS, RecordingPictures, SegmentPictures, read_pictures
from spasm.features.picture_augmentation import MIRROR_15
from spasm.models.model import FoldJob
from spasm.models.networks.trainer import FoldTrainer
from spasm.models.registry import MODELS

FRAMES, EACH = 30, 4
NAMES = [name for name, model in MODELS.items() if model.pictures is not None]
EVERY = pytest.mark.parametrize("name", NAMES)
CPU = torch.device("cpu")
pytestmark = pytest.mark.slow
torch.set_num_threads(1)


def small(name, **changes):
    extra = {"side": 28} if name == "two_stream_pictures" else {}
    return changed(smallest(name), **extra, **changes)


def folder_of(folder: Path, count: int = 4, seed: int = 0, signal: float = 1.0, flip: str = "") -> Path:
    """A data folder with pictures; flip: changes the labels, or the labels and pictures, of child 0."""
    poses, labels = children(count, EACH, FRAMES)
    names = [f"child_{row // EACH}_{row % EACH}.npy" for row in range(len(poses))]
    shown = labels.copy()
    if "labels" in flip:
        labels[:EACH] = 1 - labels[:EACH]
    write(folder, poses, labels, each=EACH)
    write_pictures(folder, names, shown, FRAMES, signal=signal, seed=seed)
    if "pictures" in flip:
        write_pictures(folder, names[:EACH], 1 - shown[:EACH], FRAMES, seed=seed + 1)
    return folder


def load(folder: Path) -> TrainingData:
    return load_training(folder, FRAMES, "challenge", folder / "cache")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> TrainingData:
    return load(folder_of(tmp_path_factory.mktemp("pictures") / "data"))


@EVERY
def test_eight_segments_are_learned_by_heart_from_noise(name, tmp_path):
    data = load(folder_of(tmp_path / "data", 2, signal=0.0))
    config = changed(
        small(name, width=8), epochs=40 if name == "vsvig_patches" else 150, batch=8, dropout=0.0, ema=0.0,
        learning_rate=3e-3, loss="plain",
        mirror_prob=0.0, zoom=0.0, shift=0.0, brightness=0.0, tint=0.0, shift_steps=0,
    )  # fmt: skip
    rows = np.arange(8)
    fitted = MODELS[name].fit(FoldJob(data, rows, config, 0, 0, FLOAT32))
    logits = MODELS[name].predictor(fitted, config, FLOAT32).predict(data.poses, rows, data.pictures).logits[0]
    assert ((logits > 0) == (data.labels == 1)).all()


@EVERY
def test_no_fold_learns_from_the_children_it_is_scored_on(name, tmp_path):
    weights = {}
    for flip in ("", "labels", "labels and pictures"):
        data = load(folder_of(tmp_path / (flip or "as it is"), flip=flip))
        rows = np.flatnonzero(np.array(data.children) != "0")
        weights[flip] = MODELS[name].fit(FoldJob(data, rows, small(name), 0, 0, FLOAT32))
    other = load(folder_of(tmp_path / "other", seed=3))
    weights["other pictures"] = MODELS[name].fit(FoldJob(other, rows, small(name), 0, 0, FLOAT32))

    def same(flip):
        return all(torch.equal(value, weights[flip][key]) for key, value in weights[""].items())

    assert same("labels") and same("labels and pictures")
    assert not same("other pictures"), "the test is void unless pictures matter"


@EVERY
def test_a_training_resumed_after_any_epoch_ends_with_the_same_bytes(name, data):
    config = small(name, epochs=3)
    whole = FoldTrainer(MODELS[name], data, np.arange(16), config, 0, 0, CPU, torch.float32)
    states = []
    for _ in range(3):
        whole.run_epoch()
        states.append(whole.state())
    resumed = FoldTrainer(MODELS[name], data, np.arange(16), config, 0, 0, CPU, torch.float32)
    resumed.load_state(states[0])
    while resumed.epoch < resumed.epochs:
        resumed.run_epoch()
    assert all(torch.equal(value, states[2][key]) for key, value in resumed.state().items())


@EVERY
def test_attention_covers_the_frames_of_the_steps_that_show_the_child(name, tmp_path):
    data = load(folder_of(tmp_path / "data", 2))
    path = data.pictures.paths[0].parent.parent / str(MODELS[name].pictures) / "child_0_0.npz"
    arrays = read_pictures(path, MODELS[name].pictures)
    for array in arrays.values():
        array[:2] = 127 if array.shape[-1] == 2 else 0
    np.savez_compressed(path, **arrays, mask=np.array("pose"))
    config = small(name)
    predictor = MODELS[name].predictor(
        MODELS[name].fit(FoldJob(data, np.arange(8), config, 0, 0, FLOAT32)), config, FLOAT32
    )
    for scores in (predictor.predict(data.poses, np.arange(8), data.pictures), predictor.explain(
        data.poses, np.arange(8), data.pictures
    )):  # fmt: skip
        assert scores.attention.shape == (8, FRAMES)
        assert scores.attention.sum(axis=1) == pytest.approx(np.ones(8), abs=1e-5)
        assert not scores.attention[0, :10].any()


@EVERY
def test_each_random_change_has_an_effect_and_the_same_generator_the_same_one(name, data):
    model = MODELS[name]
    off = {"mirror_prob": 0.0, "zoom": 0.0, "shift": 0.0, "brightness": 0.0, "tint": 0.0, "shift_steps": 0}
    config = small(name, **off)
    inputs = model.inputs(data, config, CPU)
    raw = inputs[np.arange(8)]

    def features(**on):
        return model.features(raw, changed(config, **on), torch.Generator().manual_seed(1))

    plain = model.features(raw, config, None)
    torch.testing.assert_close(features(), plain, atol=1e-5, rtol=0)
    for field, value in (("mirror_prob", 1.0), ("zoom", 0.5), ("shift", 0.3), ("brightness", 0.5), ("tint", 0.5),
                         ("shift_steps", 3)):  # fmt: skip
        assert not torch.allclose(features(**{field: value}), plain, atol=1e-3), field
        assert torch.equal(features(**{field: value}), features(**{field: value}))


@pytest.mark.parametrize("way", ["mirror", "zoom"])
def test_flow_follows_the_picture_in_a_mirror_and_under_a_zoom(way, data):
    model, off = MODELS["two_stream_pictures"], {"shift": 0.0, "brightness": 0.0, "tint": 0.0, "shift_steps": 0}
    config = small("two_stream_pictures", mirror_prob=float(way == "mirror"), zoom=0.5 if way == "zoom" else 0.0, **off)
    raw = model.inputs(data, config, CPU)[np.arange(8)]
    before, after = model.features(raw, config, None), model.features(raw, config, torch.Generator().manual_seed(2))
    if way == "mirror":
        torch.testing.assert_close(after[:, :, [0, 1, 2, 4]], before[:, :, [0, 1, 2, 4]].flip(4), atol=1e-5, rtol=0)
        torch.testing.assert_close(after[:, :, 3], -before[:, :, 3].flip(3), atol=1e-5, rtol=0)
        return
    for row in np.flatnonzero(data.labels[:8] == 1):
        grown = (after[row, :, 3] > 0.1).sum() / (before[row, :, 3] > 0.1).sum()
        faster = after[row, :, 3].max() / before[row, :, 3].max()
        assert faster == pytest.approx(float(grown) ** 0.5, rel=0.15)
        assert abs(float(faster) - 1) > 0.01


def test_a_mirror_swaps_left_and_right_joints():
    for joint, other in enumerate(MIRROR_15):
        assert MIRROR_15[other] == joint
        names = VSVIG_15[joint], VSVIG_15[other]
        assert names[0] == names[1] == "nose" or {name.split("_")[0] for name in names} == {"left", "right"}


@EVERY
def test_missing_pictures_are_all_named_before_anything_is_trained(name, tmp_path):
    data, model = load(folder_of(tmp_path / "data", 2)), MODELS[name]
    lost = [tmp_path / "data" / str(model.pictures) / f"child_{child}_1.npz" for child in (0, 1)]
    for path in lost:
        path.unlink()
    with pytest.raises(DataProblems) as raised:
        model.environment(small(name), FLOAT32, data)
    assert [str(problem.path) for problem in raised.value.problems] == [str(path) for path in lost]
    assert f"extract_pose.py --pictures {model.pictures}" in str(raised.value)
    with pytest.raises(DataError, match="reads pictures of the child, and is given poses alone"):
        model.features_of(data.poses, None, np.arange(2), small(name), CPU)


@EVERY
def test_pictures_that_changed_are_other_data(name, tmp_path):
    data, model = load(folder_of(tmp_path / "data", 2)), MODELS[name]
    before = model.environment(small(name), FLOAT32, data)
    assert model.environment(small(name), FLOAT32, data) == before
    names = [f"child_0_{number}.npy" for number in range(EACH)]
    write_pictures(tmp_path / "data", names, [1, 1, 0, 0], FRAMES, seed=8)
    assert model.environment(small(name), FLOAT32, data)["pictures_sha256"] != before["pictures_sha256"]


@EVERY
def test_a_length_that_is_no_whole_number_of_steps_is_refused(name, tmp_path):
    poses, labels = children(2, 4, 32)
    data = load_training(write(tmp_path / "data", poses, labels, each=4), 32, "challenge", tmp_path / "cache")
    with pytest.raises(DataError, match=f"segments of 32 frames: cannot be read by {name}.*cut segments of 30 frames"):
        MODELS[name].environment(small(name), FLOAT32, data)


@pytest.mark.parametrize("kind", ["vsvig", "two_stream"])
@pytest.mark.parametrize("whole", [30, 75, 89, 90, 124])
def test_windows_of_a_recording_are_cut_from_the_files_of_its_segments(tmp_path, kind, whole):
    for folder in ("recordings", kind):
        (tmp_path / folder).mkdir()
    np.save(tmp_path / "recordings/child_1_2.npy", np.zeros((whole, 33, 5), np.float32))
    steps = -(-whole // 5)
    every = {
        name: (np.arange(steps + 9) + 1).reshape(-1, *[1] * len(shape)) * np.ones(shape, dtype)
        for name, (shape, dtype) in LAYOUTS[kind].items()
    }
    every = {name: array.astype(LAYOUTS[kind][name].dtype) for name, array in every.items()}
    for array in every.values():
        array[steps:] = 0
    starts = sorted({*range(0, max(0, whole - 30) + 1, 30), max(0, whole - 30)})
    for number, start in enumerate(starts, 1):
        first = round(start / 5)
        np.savez(
            tmp_path / kind / f"child_1_2{number:05}.npz",
            **{name: array[first : first + 6] for name, array in every.items()},
        )
    firsts = tuple(range(0, max(1, whole - 29), 10))
    windows = RecordingPictures(tmp_path / "recordings/child_1_2.npy", firsts)
    for row, first in enumerate(firsts):
        for name, array in windows.read(kind, row, 30).items():
            assert np.array_equal(array, every[name][first // 5 : first // 5 + 6]), (name, first)


def test_damaged_and_foreign_files_of_pictures_are_refused_by_name(tmp_path):
    whole = some_pictures("vsvig", FRAMES, 1.0, 0)
    for number, arrays in enumerate([
        {}, {"patches": whole["patches"]}, whole | {"keypoints": whole["keypoints"][:3]},
        whole | {"patches": whole["patches"].astype(np.float32)}, whole | {"patches": whole["patches"][:, :14]},
    ]):  # fmt: skip
        path = tmp_path / f"other{number}.npz"
        np.savez(path, **arrays)
        with pytest.raises(DataError, match=rf"other{number}\.npz: is no file of pictures"):
            read_pictures(path, "vsvig")


def test_what_is_trained_on_is_described_also_where_no_segment_has_a_pose(tmp_path):
    folder = folder_of(tmp_path / "data", 2)
    for path in (folder / "train").iterdir():
        np.save(path, np.full((FRAMES, 33, 5), np.nan, np.float32))
    environment = MODELS["two_stream_pictures"].environment(small("two_stream_pictures"), FLOAT32, load(folder))
    assert "pictures_mask" not in environment


def test_segments_without_a_pose_need_no_pictures(tmp_path):
    folder = folder_of(tmp_path / "data", 3)
    np.save(folder / "train/child_1_2.npy", np.full((FRAMES, 33, 5), np.nan, np.float32))
    for kind in ("vsvig", "two_stream"):
        (folder / kind / "child_1_2.npz").unlink()
    data = load(folder)
    for name in NAMES:
        rows = np.flatnonzero(data.has_pose)
        fitted = MODELS[name].fit(FoldJob(data, rows, small(name), 0, 0, FLOAT32))
        predictor = MODELS[name].predictor(fitted, small(name), FLOAT32)
        assert np.isfinite(MODELS[name].predict_data(predictor, data, rows).logits).all()


def test_a_predictor_does_not_depend_on_the_order_of_the_rows(data):
    for name in NAMES:
        fitted = MODELS[name].fit(FoldJob(data, np.arange(16), small(name), 0, 0, FLOAT32))
        predictor = MODELS[name].predictor(fitted, small(name), FLOAT32)
        some = np.array([7, 2, 11])
        alone = [predictor.predict(data.poses, some[[place]], data.pictures).logits[0, 0] for place in range(3)]
        assert predictor.predict(data.poses, some, data.pictures).logits[0] == pytest.approx(alone, abs=1e-3)
        pictures = SegmentPictures(tuple(data.pictures.paths[row] for row in some))
        assert predictor.predict(data.poses[some], np.arange(3), pictures).logits[0] == pytest.approx(alone, abs=1e-3)
    assert len(set(itertools.chain(alone))) == 3
