"""For every model: no child influences the predictor that scores it.

These tests look from outside: at data in and files out. How a model is trained is known to `train_fold` alone.
"""

import csv
import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from helpers.data import children, train_one, write
from helpers.models import smallest
from helpers.settings import changed
from spasm.config.data import Folds
from spasm.models.registry import POSE_MODELS
from spasm.models.rocket import RocketModel

FRAMES, EACH = 16, 4
pytestmark = pytest.mark.slow


@dataclasses.dataclass(frozen=True)
class Fold:
    """What the training of fold 0 left."""

    weights: bytes
    logits: dict[str, float]
    """Of the held-out segments, by name."""


def train_fold(model: str, config: object, data: Path, folds: Path, out: Path) -> Fold:
    """Train fold 0 of a model on a data folder and a file of folds, into a new folder."""
    folder = train_one(out, data, model, config, split=Folds(folds_file=folds))
    with open(folder.fold_oof(0, 0), newline="") as file:
        logits = {row["segment_name"]: float(row["logit"]) for row in csv.DictReader(file)}
    return Fold(folder.weights(0, 0).read_bytes(), logits)


# ---- no model sees the children it is scored on

HELD_OUT = np.arange(6 * EACH) // EACH % 3 == 0  # children 0 and 3
KEPT, WITHOUT_POSE = 0, 1  # two held-out segments: the pose of the first never changes, the second has none


def name_of(row: int) -> str:
    return f"child_{row // EACH}_{row % EACH}.npy"


def variant(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Poses and labels of six children, two of them held out, which differ from `before` in what the name states."""
    poses, labels = children(6, EACH, FRAMES)
    # Not half of them, or the prevalence would stay when they are turned.
    labels[HELD_OUT] = np.arange(HELD_OUT.sum()) % EACH != EACH - 1
    labels[EACH + WITHOUT_POSE] = 0
    if name in ("held-out labels", "held-out labels and poses"):
        labels[HELD_OUT] = 1 - labels[HELD_OUT]
    if name == "held-out labels and poses":
        kept = poses[KEPT].copy()
        poses[HELD_OUT] = children(2, EACH, FRAMES, seed=9)[0]
        poses[KEPT] = kept
    if name == "trained-on labels":
        trained_on = np.flatnonzero(~HELD_OUT)[:EACH]
        labels[trained_on] = 1 - labels[trained_on]
    poses[[WITHOUT_POSE, EACH + WITHOUT_POSE]] = np.nan
    return poses, labels


@pytest.fixture(scope="module")
def folds_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folds by child alone, so that no label decides them."""
    path = tmp_path_factory.mktemp("folds") / "folds.csv"
    rows = [f"{name_of(row)},{row // EACH % 3}\n" for row in range(len(HELD_OUT))]
    path.write_text("segment_name,fold\n" + "".join(rows))
    return path


@pytest.fixture(scope="module")
def fold_of_variant(folds_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Fold]:
    """Gives fold 0 of a model (first) trained on a variant of the data (second), trained once for all tests."""

    @functools.cache
    def folder(name: str) -> Path:
        return write(tmp_path_factory.mktemp("data") / "data", *variant(name), each=EACH)

    @functools.cache
    def fold(model: str, name: str) -> Fold:
        return train_fold(model, smallest(model), folder(name), folds_file, tmp_path_factory.mktemp(model))

    return fold


@pytest.mark.parametrize("model", POSE_MODELS)
def test_no_model_learns_from_the_children_it_is_scored_on(fold_of_variant, model):
    """Not from their poses, not from their labels, and not where the best epoch is chosen."""
    weights = fold_of_variant(model, "before").weights
    assert fold_of_variant(model, "held-out labels").weights == weights
    assert fold_of_variant(model, "held-out labels and poses").weights == weights
    assert fold_of_variant(model, "trained-on labels").weights != weights, "the test is void unless labels matter"


@pytest.mark.parametrize("model", POSE_MODELS)
def test_the_score_of_a_segment_follows_from_its_own_pose_and_no_held_out_label(fold_of_variant, model):
    before = fold_of_variant(model, "before").logits
    assert sorted(before) == [name_of(row) for row in np.flatnonzero(HELD_OUT)]
    assert fold_of_variant(model, "held-out labels").logits == before
    changed = fold_of_variant(model, "held-out labels and poses").logits
    assert changed[name_of(KEPT)] == pytest.approx(before[name_of(KEPT)], abs=1e-6)
    assert changed != before, "the test is void unless poses matter"


@pytest.mark.parametrize("model", POSE_MODELS)
def test_a_segment_without_a_pose_is_scored_by_the_labels_of_the_other_folds(fold_of_variant, model):
    name = name_of(WITHOUT_POSE)
    before = fold_of_variant(model, "before").logits[name]
    assert fold_of_variant(model, "held-out labels").logits[name] == before
    assert fold_of_variant(model, "held-out labels and poses").logits[name] == before
    assert fold_of_variant(model, "trained-on labels").logits[name] != before


def test_onsets_of_held_out_children_are_not_learned_from(folds_file, tmp_path):
    """The squared error follows onsets.csv, a second way for a label to come in."""
    squared, found = changed(smallest("stgcn_mil"), loss="squared"), {}
    for name, row in (("none", None), ("held out", KEPT), ("trained on", EACH)):
        data = write(tmp_path / name / "data", *variant("before"), each=EACH)
        if row is not None:
            onsets = f"segment_name,eeg_onset_s,clinical_onset_s\n{name_of(row)},0.1,0.6\n"
            (data / "onsets.csv").write_text(onsets)
        found[name] = train_fold("stgcn_mil", squared, data, folds_file, tmp_path / name).weights
    assert found["held out"] == found["none"]
    assert found["trained on"] != found["none"]


def test_the_teacher_of_a_network_never_sees_the_children_that_the_network_is_scored_on(
    folds_file, tmp_path, monkeypatch
):
    """It is a second model, and its predictions are a second way for labels to come in."""
    of_teacher, taught = smallest("rocket"), changed(smallest("stgcn_mil"), loss="taught")
    monkeypatch.setattr(RocketModel, "config", staticmethod(lambda: of_teacher))
    found = {}
    for name in ("before", "held-out labels and poses", "trained-on labels"):
        data = write(tmp_path / name / "data", *variant(name), each=EACH)
        found[name] = train_fold("stgcn_mil", taught, data, folds_file, tmp_path / name)
    assert found["held-out labels and poses"].weights == found["before"].weights
    assert found["trained-on labels"].weights != found["before"].weights
