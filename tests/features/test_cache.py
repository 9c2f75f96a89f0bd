"""The cached kinematic features of a data set."""

import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from helpers.segments import SHAPE, T, make_data, saved
from spasm.data.dataset import TrainingData, load_training
from spasm.features import cache as feature_cache
from spasm.features import kinematics
from spasm.features.cache import kinematic_features
from spasm.models import lgbm


@pytest.fixture
def data(tmp_path: Path) -> TrainingData:
    folder = make_data(tmp_path / "data", children=3, per_child=4)
    saved(folder / "train", np.full(SHAPE, np.nan), "child_1_1.npy")
    return load_training(folder, T, "challenge", tmp_path / "cache")


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many segments each call of the extractor gets."""
    counts: list[int] = []
    extract = kinematics.compute_features

    def spy(poses: np.ndarray) -> np.ndarray:
        counts.append(len(poses))
        return extract(poses)

    monkeypatch.setattr(kinematics, "compute_features", spy)
    return counts


def kept(data: TrainingData) -> Path:
    (path,) = data.cache.glob("kinematic_features_*")
    return path


def test_each_row_has_the_bytes_that_it_has_when_computed_alone(data, monkeypatch):
    monkeypatch.setattr(feature_cache, "BATCH", 5)
    table = kinematic_features(data)
    assert (table.shape, table.dtype) == ((12, len(kinematics.NAMES)), np.float32)
    for row in range(12):
        assert table[row].tobytes() == kinematics.compute_features(np.array(data.poses[row : row + 1])).tobytes()
    assert kinematic_features(data).tobytes() == table.tobytes(), "also read back"


@pytest.mark.parametrize("gap_features", [False, True])
def test_lightgbm_is_trained_on_what_a_submission_computes(data, gap_features):
    config, rows = lgbm.LgbmConfig(gap_features=gap_features), np.array([7, 0, 3])
    cached = lgbm.cached_features(data, rows, config)
    assert cached.tobytes() == lgbm.features(data.poses, rows, config).tobytes()


def test_features_are_computed_once_for_a_data_set(data, computed):
    kinematic_features(data)
    assert sum(computed) == 12
    kinematic_features(data)
    assert sum(computed) == 12


def test_processes_that_ask_at_the_same_time_wait_for_the_first(data, computed):
    threads = [threading.Thread(target=kinematic_features, args=(data,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(computed) == 12
    assert not list(data.cache.glob(".tmp-*"))


@pytest.mark.parametrize(
    "damage",
    [lambda raw: raw[:-1], lambda raw: b"", lambda raw: raw[:-9] + bytes([raw[-9] ^ 1]) + raw[-8:]],
    ids=["cut-short", "empty", "changed"],
)
def test_damaged_features_are_computed_again(data, computed, damage):
    first = kinematic_features(data).tobytes()
    whole = kept(data).read_bytes()
    kept(data).write_bytes(damage(whole))
    assert kinematic_features(data).tobytes() == first
    assert kept(data).read_bytes() == whole
    assert sum(computed) == 24


def test_features_of_another_version_of_the_code_are_not_used(data, computed, monkeypatch):
    kinematic_features(data)
    monkeypatch.setattr(feature_cache, "version", lambda: "another")
    kinematic_features(data)
    assert sum(computed) == 24


def test_the_version_follows_the_code_and_numpys_version(monkeypatch):
    before = feature_cache.version()
    fresh = feature_cache.version.__wrapped__
    assert fresh() == before
    monkeypatch.setattr(np, "__version__", "0.1")
    assert fresh() != before
    monkeypatch.undo()
    really_read = Path.read_bytes
    edited = "kinematics.py"
    monkeypatch.setattr(Path, "read_bytes", lambda path: really_read(path) + b"#" * (path.name == edited))
    assert fresh() != before


def test_other_labels_of_the_same_segments_share_the_features(data, computed):
    kinematic_features(data)
    table = data.folder / "train_data.csv"
    table.write_text(table.read_text().replace("child_0_0.npy,0", "child_0_0.npy,1"))
    other = load_training(data.folder, T, "challenge", data.cache.parent)
    assert other.fingerprint != data.fingerprint
    kinematic_features(other)
    assert sum(computed) == 12


def test_a_cache_that_was_deleted_is_made_again(data, computed):
    first = kinematic_features(data).tobytes()
    shutil.rmtree(data.cache)
    assert kinematic_features(data).tobytes() == first


def test_the_progress_callback_gets_the_batches(data, monkeypatch):
    monkeypatch.setattr(feature_cache, "BATCH", 5)
    starts = []

    def progress(batches):
        for start in batches:
            starts.append(start)
            yield start

    kinematic_features(data, progress)
    assert starts == [0, 5, 10]
