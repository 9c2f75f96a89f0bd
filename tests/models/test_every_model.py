"""What every model of the registry guarantees, as documented in `Model`."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.data import FLOAT32, children, open_both, train_one, write
from helpers.models import smallest
from helpers.settings import changed
from spasm.config.fields import from_tree, to_tree
from spasm.core.tables import read_table
from spasm.data.dataset import load_training
from spasm.inference.model_process import KeepLandmarks
from spasm.models.model import FoldJob
from spasm.models.registry import MODELS, POSE_MODELS
from spasm.runs.folder import ModelFolder

FRAMES = 16
pytestmark = pytest.mark.slow
EVERY = pytest.mark.parametrize("model", POSE_MODELS)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("data") / "data", *children(6, 4, FRAMES), each=4)


@pytest.fixture(scope="module")
def trained_folds(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], ModelFolder]:
    """Gives a model with folds 0 and 1 trained, trained once for all tests, which must not change it."""

    @functools.cache
    def train(model: str) -> ModelFolder:
        folder = tmp_path_factory.mktemp(model)
        for fold in (0, 1):
            trained = train_one(folder, data, model, smallest(model), fold)
        return trained

    return train


def opened(folder: ModelFolder, model: str) -> Any:
    return MODELS[model].load([folder.weights(0, fold) for fold in (0, 1)], smallest(model), FLOAT32)


@EVERY
def test_a_name_a_title_and_what_it_is_stand_in_its_class(model):
    about = MODELS[model]
    assert about.name == model
    assert about.title and about.about and not about.about.endswith(".")


@EVERY
def test_the_default_settings_survive_a_manifest(model):
    config = MODELS[model].config()
    assert from_tree(MODELS[model].config, to_tree(config)) == config


@EVERY
def test_it_can_read_17_landmarks_alone(model, data, tmp_path):
    every, coco = (load_training(data, FRAMES, "challenge", tmp_path, landmarks=name) for name in ("all", "coco_17"))
    config, rows = smallest(model), np.arange(len(coco.names))
    fitted = MODELS[model].fit(FoldJob(coco, rows, config, seed=0, fold=0, hardware=FLOAT32))
    predictor = KeepLandmarks(MODELS[model].predictor(fitted, config, FLOAT32), "coco_17")
    of_33, of_17 = (predictor.predict(np.array(one.poses), rows).logits for one in (every, coco))
    assert np.array_equal(of_33, of_17) and np.isfinite(of_17).all()
    assert np.ptp(of_17) > 0, "segments differ"


@EVERY
def test_tuning_searches_fields_of_the_settings_around_their_defaults(model):
    leaves: dict[str, Any] = {}

    def gather(settings: object) -> None:
        for field in dataclasses.fields(settings):
            value = getattr(settings, field.name)
            leaves[field.name] = value
            if dataclasses.is_dataclass(value):
                gather(value)

    gather(MODELS[model].config())
    space = MODELS[model].search_space()
    assert space
    for name, distribution in space.items():
        assert distribution._contains(distribution.to_internal_repr(leaves[name])), name
        for value in getattr(distribution, "choices", None) or (distribution.low, distribution.high):
            changed(MODELS[model].config(), **{name: value})  # raises for a value that is out of range


@EVERY
def test_the_out_of_fold_rows_are_what_the_files_predict(model, data, trained_folds):
    folder = trained_folds(model)
    run, _ = open_both(folder.path.parent.parent, data, model, smallest(model))
    for fold in (0, 1):
        rows = np.flatnonzero(run.fold_of == fold)
        predictor = MODELS[model].load([folder.weights(0, fold)], smallest(model), FLOAT32)
        logits = predictor.predict(run.data.poses, rows).logits[0]
        noted = {row["segment_name"]: row["logit"] for row in read_table(folder.fold_oof(0, fold), ("logit",))}
        assert noted == dict(zip(np.array(run.data.names)[rows], map(str, logits), strict=True))


@EVERY
def test_a_trained_fold_is_left_as_it_is(model, data, trained_folds):
    folder = trained_folds(model)
    before = {path: path.stat().st_mtime_ns for path in folder.path.rglob("*") if path.is_file()}
    train_one(folder.path.parent.parent, data, model, smallest(model))
    assert {path: path.stat().st_mtime_ns for path in before} == before


@EVERY
def test_folds_predict_the_same_together_and_alone(model, trained_folds):
    folder, poses = trained_folds(model), children(2, 4, FRAMES, seed=5)[0]
    rows = np.array([6, 0, 3])
    together = opened(folder, model).predict(poses, rows)
    assert together.logits.shape == (2, 3)
    assert together.logits.dtype == np.float64
    for fold in (0, 1):
        alone = MODELS[model].load([folder.weights(0, fold)], smallest(model), FLOAT32).predict(poses, rows)
        assert alone.logits[0] == pytest.approx(together.logits[fold], abs=1e-6)
    assert np.abs(np.diff(together.logits, axis=0)).max() > 0


@EVERY
def test_attention_and_shapley_values_are_there_where_the_model_declares_them(model, trained_folds):
    poses = children(2, 4, FRAMES, seed=5)[0]
    predictor, about = opened(trained_folds(model), model), MODELS[model]
    scores, why = predictor.predict(poses, np.arange(8)), predictor.explain(poses, np.arange(8))
    assert (scores.attention is not None) == (why.attention is not None) == about.has_attention
    assert (why.frame_logits is not None) == about.has_attention
    assert (why.feature_values is not None) == (why.shap_values is not None) == about.has_shap_values
    assert bool(about.feature_names(smallest(model))) == about.has_shap_values
    if about.has_attention:
        assert why.frame_logits.shape == (8, FRAMES)
        assert scores.attention.sum(axis=1) == pytest.approx(np.ones(8), abs=1e-5)
        assert np.array_equal(scores.attention, why.attention)
    if about.has_shap_values:
        shape = (8, len(about.feature_names(smallest(model))))
        assert why.feature_values.shape == why.shap_values.shape == shape


@EVERY
def test_a_trained_fold_predicts_before_it_is_written_what_its_file_predicts(model, data, trained_folds, tmp_path):
    run, _ = open_both(trained_folds(model).path.parent.parent, data, model, smallest(model))
    rows = np.flatnonzero(run.fold_of != 0)
    fitted = MODELS[model].fit(FoldJob(run.data, rows, smallest(model), seed=0, fold=0, hardware=FLOAT32))
    path = tmp_path / f"fold{MODELS[model].suffix}"
    MODELS[model].save(path, fitted)
    assert path.read_bytes() == trained_folds(model).weights(0, 0).read_bytes()
    direct = MODELS[model].predictor(fitted, smallest(model), FLOAT32).predict(run.data.poses, rows)
    assert np.array_equal(
        direct.logits, MODELS[model].load([path], smallest(model), FLOAT32).predict(run.data.poses, rows).logits
    )


@EVERY
def test_the_cost_is_reported_where_it_is_known(model):
    cost = MODELS[model].cost(smallest(model), FRAMES)
    assert set(cost) == {"parameters", "gflop"}
    assert all(value is None or value > 0 for value in cost.values())
    assert (cost["parameters"] is None) == (not MODELS[model].has_attention)
