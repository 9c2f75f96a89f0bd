"""The LightGBM model: its input, what its bytes depend on, and what it refuses."""

import csv
import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from helpers.data import FLOAT32, children, open_both, train_one, write
from helpers.repository import SOURCE
from spasm.core.errors import DataError, TrainingError
from spasm.features.kinematics import GROUPS, NAMES
from spasm.models import lgbm
from spasm.models.lgbm import LgbmConfig, LgbmModel, LgbmPredictor
from spasm.runs.decide import decide
from spasm.runs.folder import ModelFolder
from spasm.training.folds import train_fold

LGBM = LgbmModel()
SMALL = LgbmConfig(num_boost_round=20, learning_rate=0.05, min_data_in_leaf=3)
GAPS = GROUPS["gaps and visibility"]


def opened(paths: list[Path], config: LgbmConfig = SMALL) -> LgbmPredictor:
    return LGBM.load(paths, config, FLOAT32)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("boosting") / "data", *children())


@pytest.fixture(scope="module")
def folder(data: Path) -> ModelFolder:
    """All three folds, trained; tests must not change it."""
    for fold in range(3):
        folder = train_one(data.parent, data, "lgbm", SMALL, fold)
    return folder


def logits(path: Path) -> dict[str, float]:
    with open(path, newline="") as file:
        return {row["segment_name"]: float(row["logit"]) for row in csv.DictReader(file)}


# ---- what it learns


def test_it_recognises_jerks_of_held_out_children(folder):
    scored = {name: logit for fold in range(3) for name, logit in logits(folder.fold_oof(0, fold)).items()}
    assert len(scored) == 48
    labels = [int(name[-5]) % 2 for name in scored]
    assert roc_auc_score(labels, list(scored.values())) > 0.9


def test_a_segment_has_the_same_prediction_alone_and_among_others(folder):
    poses, _ = children(seed=5)
    predictor = opened([folder.weights(0, fold) for fold in range(3)])
    together, attention = predictor.predict(poses, np.arange(len(poses)))
    assert together.shape == (3, len(poses))
    assert attention is None
    assert np.array_equal(together[:, [7]], predictor.predict(poses[7:8], np.arange(1))[0])
    assert np.array_equal(together[:, ::-1], predictor.predict(poses, np.arange(len(poses))[::-1])[0])
    assert predictor.predict(poses, np.arange(0))[0].shape == (3, 0)


def test_missing_landmarks_and_gaps_have_a_prediction(folder):
    poses, _ = children(count=1, seed=5)
    poses[0, :, 25:] = np.nan
    poses[1, 3:] = np.nan
    poses[2, ::2] = np.nan
    scored = opened([folder.weights(0, 0)]).predict(poses, np.arange(8))[0]
    assert np.isfinite(scored).all()


def test_the_shortest_segments_can_be_learned_and_predicted(tmp_path):
    folder = train_one(tmp_path, write(tmp_path / "data", *children(frames=16)), "lgbm", SMALL)
    assert np.isfinite(list(logits(folder.fold_oof(0, 0)).values())).all()


# ---- what its bytes depend on


def test_the_model_is_text_and_the_same_bytes_every_time(folder, data, tmp_path):
    content = folder.weights(0, 0).read_bytes()
    assert folder.weights(0, 0).name == "fold_0.txt"
    assert content.decode("ascii").startswith("tree\nversion=")
    again = train_one(tmp_path, data, "lgbm", SMALL)
    assert again.weights(0, 0).read_bytes() == content
    assert again.fold_oof(0, 0).read_bytes() == folder.fold_oof(0, 0).read_bytes()
    assert train_one(tmp_path, data, "lgbm", SMALL, seed=1).weights(1, 0).read_bytes() != content


@pytest.mark.command
def test_training_it_loads_no_torch():
    code = (
        "import sys, numpy as np; from spasm.models.lgbm import *; "
        "train(np.zeros((8, len(LgbmModel().feature_names(LgbmConfig())))), np.arange(8) % 2, LgbmConfig(), 0); "
        "print('torch' in sys.modules, 'lightgbm' in sys.modules)"
    )
    finished = subprocess.run([sys.executable, "-c", code], cwd=SOURCE, capture_output=True, text=True, check=True)
    assert finished.stdout.split() == ["False", "True"]


@pytest.mark.command
def test_predicting_loads_neither_pandas_nor_scikit_learn_which_can_be_loaded_later(folder):
    paths = [str(folder.weights(0, fold)) for fold in range(3)]
    code = (
        "import sys; from pathlib import Path; import numpy as np; from spasm.models.lgbm import *\n"
        f"folds = LgbmModel().load([*map(Path, {paths})], LgbmConfig(), Hardware())\n"
        "found = folds.predict_features(np.zeros((2, len(LgbmModel().feature_names(LgbmConfig()))), np.float32))\n"
        "print(found.logits.shape, *sorted({'pandas', 'sklearn', 'dask'} & set(sys.modules)))\n"
        "import pandas, sklearn.base; print(pandas.DataFrame([1]).size, 'lightgbm' in sys.modules)"
    )
    finished = subprocess.run([sys.executable, "-c", code], cwd=SOURCE, capture_output=True, text=True, check=True)
    assert finished.stdout.splitlines() == ["(3, 2)", "1 True"]


def test_random_thresholds_give_other_trees_and_the_same_bytes_every_time():
    labels = np.arange(60) % 2
    values = np.random.default_rng(0).normal(size=(60, len(LGBM.feature_names(SMALL)))).astype(np.float32)
    values += labels[:, None]
    text = {
        extra: [
            lgbm.train(values, labels, dataclasses.replace(SMALL, extra_trees=extra), 0).model_to_string()
            for _ in range(2)
        ]
        for extra in (False, True)
    }
    assert all(one == again for one, again in text.values())
    assert re.findall("^threshold=.*$", text[True][0], re.M) != re.findall("^threshold=.*$", text[False][0], re.M)


# ---- what it reads


def test_gaps_and_visibility_are_read_only_when_asked_for(folder, tmp_path):
    assert len(GAPS) > 3
    names = LGBM.feature_names(LgbmConfig())
    assert names == [name for name in NAMES if name not in GAPS]
    assert re.search("^feature_names=(.*)$", folder.weights(0, 0).read_text(), re.M)[1].split() == names
    assert LGBM.feature_names(LgbmConfig(gap_features=True)) == list(NAMES)


def test_a_model_without_gaps_predicts_the_same_whatever_is_visible(folder):
    poses, _ = children(count=1, seed=5)
    predictor = opened([folder.weights(0, 0)])
    before = predictor.predict(poses, np.arange(8))[0]
    poses[..., 3:] = np.random.default_rng(0).uniform(0, 1, poses[..., 3:].shape)
    assert np.array_equal(predictor.predict(poses, np.arange(8))[0], before)


def test_the_importance_of_the_groups_sums_to_one_in_every_fold(folder):
    with open(folder.importance, newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * len(GROUPS)
    for fold in range(3):
        shares = {row["group"]: float(row["gain_fraction"]) for row in rows if row["fold"] == str(fold)}
        assert list(shares) == list(GROUPS)
        assert sum(shares.values()) == pytest.approx(1, abs=1e-5)  # the table has six digits
        assert shares["gaps and visibility"] == 0
        assert max(shares.values()) > 0.05


def test_features_that_alone_separate_the_classes_have_the_importance():
    labels = np.arange(60) % 2
    values = np.random.default_rng(0).normal(size=(60, len(NAMES))).astype(np.float32)
    values[:, [NAMES.index(name) for name in GAPS]] += 5 * labels[:, None]
    shares = LGBM.gain_fractions(lgbm.train(values, labels, LgbmConfig(num_boost_round=5, gap_features=True), 0))
    assert shares["gaps and visibility"] > 0.9
    assert sum(shares.values()) == pytest.approx(1)


def test_a_model_that_found_nothing_to_split_has_no_importance_and_one_prediction():
    labels, values = np.arange(8) % 2, np.zeros((8, len(LGBM.feature_names(SMALL))), dtype=np.float32)
    model = lgbm.train(values, labels, SMALL, 0)
    assert set(LGBM.gain_fractions(model).values()) == {0}
    assert len(set(model.predict(values, raw_score=True))) == 1


# ---- why it predicts so


def test_shapley_values_and_what_is_expected_sum_to_the_mean_logit_of_the_folds(folder):
    poses, _ = children(count=2, seed=5)
    poses[1, 3:] = np.nan
    poses[2, :, 25:] = np.nan
    rows = np.arange(len(poses))[::-1]
    predictor = opened([folder.weights(0, fold) for fold in range(3)])
    explanation = predictor.explain(poses, rows)
    values, shap_values = explanation.feature_values, explanation.shap_values
    assert values.dtype == np.float32
    assert np.array_equal(values, lgbm.features(poses, rows, SMALL), equal_nan=True)
    assert shap_values.dtype == np.float64
    assert shap_values.shape == values.shape == (len(poses), len(LGBM.feature_names(SMALL)))
    expected = predictor.predict(poses, rows).logits.mean(axis=0) - shap_values.sum(axis=1)
    assert np.ptp(expected) < 1e-6  # what is expected of a segment not yet seen
    assert np.ptp(shap_values, axis=0).max() > 0.1
    assert explanation.attention is None and explanation.frame_logits is None


def test_no_segments_have_no_shapley_values(folder):
    poses, _ = children(count=1)
    explanation = opened([folder.weights(0, 0)]).explain(poses, np.arange(0))
    assert explanation.feature_values.shape == (0, len(LGBM.feature_names(SMALL)))
    assert explanation.shap_values.shape == (0, len(LGBM.feature_names(SMALL)))


def test_in_a_model_that_found_nothing_to_split_no_feature_adds_anything():
    poses, _ = children(count=1)
    model = lgbm.train(np.zeros((8, len(LGBM.feature_names(SMALL))), np.float32), np.arange(8) < 2, SMALL, 0)
    predictor = LGBM.predictor(model, SMALL, FLOAT32)
    assert not predictor.explain(poses, np.arange(8)).shap_values.any()
    assert predictor.predict(poses, np.arange(8)).logits == pytest.approx(np.log(2 / 6))


# ---- what it refuses


def test_a_model_of_other_features_is_refused_by_name(folder, tmp_path):
    with pytest.raises(DataError, match="other features") as caught:
        opened([folder.weights(0, 0)], LgbmConfig(gap_features=True))
    assert caught.value.path == folder.weights(0, 0)
    text = folder.weights(0, 0).read_text()
    name = LGBM.feature_names(SMALL)[0]
    (tmp_path / "renamed.txt").write_text(text.replace(name, "x" * len(name)))
    with pytest.raises(DataError, match="other features"):
        opened([tmp_path / "renamed.txt"])


@pytest.mark.parametrize("content", [b"", b"not a model\n", b"\x80\x04K\x01.", b"tree\n", bytes(100)])
def test_a_file_that_is_no_model_is_refused_by_name(content, tmp_path):
    (tmp_path / "fold_0.txt").write_bytes(content)
    with pytest.raises(DataError, match="is not a LightGBM model") as caught:
        opened([tmp_path / "fold_0.txt"])
    assert caught.value.path == tmp_path / "fold_0.txt"


def test_training_children_of_one_class_are_refused_with_what_to_do(data, tmp_path):
    run, folder = open_both(tmp_path, data, "lgbm", SMALL)
    run.data.labels[run.fold_of != 1] = 0
    with pytest.raises(TrainingError, match=r"fold 1: .* one class only; use another --fold-seed"):
        train_fold(run, folder, LGBM, SMALL, FLOAT32, 0, 1)
    assert not folder.is_trained(0, 1)
    assert not folder.weights(0, 1).exists()


# ---- too few segments to split


def test_a_fold_with_too_few_segments_to_split_is_named_with_a_flag_that_helps(tmp_path):
    poses, labels = children(count=6, each=4)
    few = write(tmp_path / "few", poses, labels, each=4)
    config = LgbmConfig(num_boost_round=10)
    run, folder = open_both(tmp_path, few, "lgbm", config)
    for fold in range(3):
        train_fold(run, folder, LGBM, config, FLOAT32, 0, fold)
    assert decide(run).constant_folds == {"lgbm": [0, 1, 2]}
    hint = LGBM.constant_hint(config, 16)
    assert "a tree uses 12 training segments" in hint
    flag, value = hint.split()[-2:]
    assert flag == "--lgbm.min-data-in-leaf"
    better = dataclasses.replace(config, min_data_in_leaf=int(value))
    run, folder = open_both(tmp_path / "better", few, "lgbm", better)
    for fold in range(3):
        train_fold(run, folder, LGBM, better, FLOAT32, 0, fold)
    assert decide(run).constant_folds == {}


def test_with_enough_segments_another_cause_is_named():
    assert "min-data-in-leaf" not in LGBM.constant_hint(LgbmConfig(), 400)
    assert "check the labels" in LGBM.constant_hint(LgbmConfig(), 400)
