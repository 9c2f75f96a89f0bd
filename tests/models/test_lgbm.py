"""The LightGBM member: what it reads, what decides its bytes, and what it refuses."""

import csv
import dataclasses
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from helpers.data import T, children, open_both, write
from helpers.poses import moving
from helpers.repository import SOURCE
from spasm.config.models import Boosting, LgbmMember
from spasm.core.errors import DataError, TrainingError
from spasm.data.dataset import load_training
from spasm.features.kinematics import GROUPS, NAMES
from spasm.models import lgbm
from spasm.runs.run import MemberFolder, Run, open_member

SMALL = LgbmMember(Boosting(num_boost_round=20, min_data_in_leaf=3))
GAPS = GROUPS["gaps and visibility"]


def train(folder: Path, data: Path, fold: int = 0, seed: int = 0, settings: LgbmMember = SMALL) -> MemberFolder:
    run, member = open_both(folder, data, "lgbm", settings)
    lgbm.fit_fold(run, member, settings, seed, fold, lambda row: None)
    return member


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("boosting") / "data", *children())


@pytest.fixture(scope="module")
def member(data: Path) -> MemberFolder:
    """All three folds, trained; tests must not change it."""
    for fold in range(3):
        folder = train(data.parent, data, fold)
    return folder


def logits(path: Path) -> dict[str, float]:
    with open(path, newline="") as file:
        return {row["segment_name"]: float(row["logit"]) for row in csv.DictReader(file)}


# ---- what it learns


def test_it_tells_jerks_of_children_it_never_saw(member):
    scored = {name: logit for fold in range(3) for name, logit in logits(member.fold_oof(0, fold)).items()}
    assert len(scored) == 48
    labels = [int(name[-5]) % 2 for name in scored]
    assert roc_auc_score(labels, list(scored.values())) > 0.9


def test_the_out_of_fold_rows_are_what_the_files_answer(member, data):
    run, _ = open_both(data.parent, data, "lgbm", SMALL)
    for fold in range(3):
        rows = np.flatnonzero(run.fold_of == fold)
        answered = lgbm.open_scorer([member.weights(0, fold)], SMALL).score(run.data.poses, rows)[0][0]
        assert dict(zip(np.array(run.data.names)[rows], answered, strict=True)) == logits(member.fold_oof(0, fold))


def test_a_segment_is_answered_the_same_alone_and_among_others(member):
    poses, _ = children(seed=5)
    scorer = lgbm.open_scorer([member.weights(0, fold) for fold in range(3)], SMALL)
    together, frame_weights = scorer.score(poses, np.arange(len(poses)))
    assert together.shape == (3, len(poses))
    assert frame_weights is None
    assert np.array_equal(together[:, [7]], scorer.score(poses[7:8], np.arange(1))[0])
    assert np.array_equal(together[:, ::-1], scorer.score(poses, np.arange(len(poses))[::-1])[0])
    assert scorer.score(poses, np.arange(0))[0].shape == (3, 0)


def test_missing_landmarks_and_gaps_have_an_answer(member):
    poses, _ = children(count=1, seed=5)
    poses[0, :, 25:] = np.nan
    poses[1, 3:] = np.nan
    poses[2, ::2] = np.nan
    scored = lgbm.open_scorer([member.weights(0, 0)], SMALL).score(poses, np.arange(8))[0]
    assert np.isfinite(scored).all()


def test_the_shortest_segments_can_be_learned_and_answered(tmp_path):
    member = train(tmp_path, write(tmp_path / "data", *children(frames=16)))
    assert np.isfinite(list(logits(member.fold_oof(0, 0)).values())).all()


# ---- what decides its bytes


def test_the_model_is_text_and_the_same_bytes_every_time(member, data, tmp_path):
    content = member.weights(0, 0).read_bytes()
    assert member.weights(0, 0).name == "fold_0.txt"
    assert content.decode("ascii").startswith("tree\nversion=")
    again = train(tmp_path, data)
    assert again.weights(0, 0).read_bytes() == content
    assert again.fold_oof(0, 0).read_bytes() == member.fold_oof(0, 0).read_bytes()
    assert train(tmp_path, data, seed=1).weights(1, 0).read_bytes() != content


def test_a_trained_fold_is_left_as_it_is(data, tmp_path):
    path = train(tmp_path, data).weights(0, 0)
    before = path.stat().st_mtime_ns
    train(tmp_path, data)
    assert path.stat().st_mtime_ns == before


def test_nothing_of_a_held_out_child_but_its_logits_depends_on_it(data, tmp_path):
    """Poses and labels of held-out children are changed: the model stays. Of one other child: it changes."""
    run, _ = open_both(data.parent, data, "lgbm", SMALL)
    poses, labels = np.array(run.data.poses), run.data.labels.copy()
    held_out = run.fold_of == 0
    first = held_out.copy()

    def trained(name: str, poses: np.ndarray, labels: np.ndarray) -> bytes:
        changed = write(tmp_path / name / "data", poses, labels)
        loaded = load_training(changed, T, "challenge", tmp_path / name / "cache")
        assert loaded.names == run.data.names
        copied = Run(tmp_path / name / "run", loaded, run.fold_of)
        shutil.copytree(run.path, copied.path)
        shutil.rmtree(copied.path / "lgbm")
        member = open_member(copied, "lgbm", dataclasses.asdict(SMALL), {})
        lgbm.fit_fold(copied, member, SMALL, 0, 0, lambda row: None)
        return member.weights(0, 0).read_bytes()

    before = train(data.parent, data).weights(0, 0).read_bytes()
    poses[held_out] = moving(9, T, held_out.sum())
    labels[held_out] = 1 - labels[held_out]
    assert trained("held out", poses, labels) == before
    labels[np.flatnonzero(~first)[:8]] = 1 - labels[np.flatnonzero(~first)[:8]]
    assert trained("trained on", poses, labels) != before


def test_importing_it_loads_no_torch():
    code = "import sys, spasm.models.lgbm; print('torch' in sys.modules, 'lightgbm' in sys.modules)"
    finished = subprocess.run([sys.executable, "-c", code], cwd=SOURCE, capture_output=True, text=True, check=True)
    assert finished.stdout.split() == ["False", "True"]


# ---- what it reads


def test_gaps_and_visibility_are_read_only_when_asked_for(member, tmp_path):
    assert len(GAPS) > 3
    names = [NAMES[number] for number in lgbm.used(LgbmMember())]
    assert names == [name for name in NAMES if name not in GAPS]
    assert re.search("^feature_names=(.*)$", member.weights(0, 0).read_text(), re.M)[1].split() == names
    assert [NAMES[number] for number in lgbm.used(LgbmMember(Boosting(gap_features=True)))] == list(NAMES)


def test_a_model_without_gaps_answers_the_same_whatever_is_visible(member):
    poses, _ = children(count=1, seed=5)
    scorer = lgbm.open_scorer([member.weights(0, 0)], SMALL)
    before = scorer.score(poses, np.arange(8))[0]
    poses[..., 3:] = np.random.default_rng(0).uniform(0, 1, poses[..., 3:].shape)
    assert np.array_equal(scorer.score(poses, np.arange(8))[0], before)


def test_the_importance_of_the_groups_sums_to_one_in_every_fold(member):
    with open(member.importance, newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * len(GROUPS)
    for fold in range(3):
        shares = {row["group"]: float(row["gain_fraction"]) for row in rows if row["fold"] == str(fold)}
        assert list(shares) == list(GROUPS)
        assert sum(shares.values()) == pytest.approx(1)
        assert shares["gaps and visibility"] == 0
        assert max(shares.values()) > 0.05


def test_statistics_that_alone_part_the_classes_have_the_importance():
    labels = np.arange(60) % 2
    values = np.random.default_rng(0).normal(size=(60, len(NAMES))).astype(np.float32)
    values[:, [NAMES.index(name) for name in GAPS]] += 5 * labels[:, None]
    shares = lgbm.importance(lgbm.fit(values, labels, LgbmMember(Boosting(num_boost_round=5, gap_features=True)), 0))
    assert shares["gaps and visibility"] > 0.9
    assert sum(shares.values()) == pytest.approx(1)


def test_a_model_that_found_nothing_to_split_has_no_importance_and_one_answer():
    labels, values = np.arange(8) % 2, np.zeros((8, len(lgbm.used(SMALL))), dtype=np.float32)
    model = lgbm.fit(values, labels, SMALL, 0)
    assert set(lgbm.importance(model).values()) == {0}
    assert len(set(model.predict(values, raw_score=True))) == 1


# ---- why it answers so


def test_contributions_of_the_statistics_sum_to_the_mean_logit_of_the_folds(member):
    poses, _ = children(count=2, seed=5)
    poses[1, 3:] = np.nan
    poses[2, :, 25:] = np.nan
    rows = np.arange(len(poses))[::-1]
    scorer = lgbm.open_scorer([member.weights(0, fold) for fold in range(3)], SMALL)
    values, contributions = scorer.contributions(poses, rows)
    assert values.dtype == np.float32
    assert np.array_equal(values, lgbm.statistics(poses, rows, SMALL), equal_nan=True)
    assert contributions.dtype == np.float64
    assert contributions.shape == (len(poses), values.shape[1] + 1)
    np.testing.assert_allclose(contributions.sum(axis=1), scorer.score(poses, rows)[0].mean(axis=0), rtol=0, atol=1e-6)
    assert np.ptp(contributions[:, -1]) == 0  # what is expected of a segment not yet seen
    assert np.ptp(contributions[:, :-1], axis=0).max() > 0.1


def test_no_segments_have_no_contributions(member):
    poses, _ = children(count=1)
    values, contributions = lgbm.open_scorer([member.weights(0, 0)], SMALL).contributions(poses, np.arange(0))
    assert values.shape == (0, len(lgbm.used(SMALL)))
    assert contributions.shape == (0, len(lgbm.used(SMALL)) + 1)


def test_a_model_that_found_nothing_to_split_has_its_one_answer_for_expected_value():
    poses, _ = children(count=1)
    model = lgbm.fit(np.zeros((8, len(lgbm.used(SMALL))), np.float32), np.arange(8) < 2, SMALL, 0)
    contributions = lgbm.Scorer([model], SMALL).contributions(poses, np.arange(8))[1]
    assert not contributions[:, :-1].any()
    assert contributions[:, -1] == pytest.approx(np.log(2 / 6))


# ---- what it refuses


def test_a_model_of_other_statistics_is_refused_by_name(member, tmp_path):
    with pytest.raises(DataError, match="other statistics") as caught:
        lgbm.open_scorer([member.weights(0, 0)], LgbmMember(Boosting(gap_features=True)))
    assert caught.value.path == member.weights(0, 0)
    text = member.weights(0, 0).read_text()
    name = NAMES[lgbm.used(SMALL)[0]]
    (tmp_path / "renamed.txt").write_text(text.replace(name, "x" * len(name)))
    with pytest.raises(DataError, match="other statistics"):
        lgbm.open_scorer([tmp_path / "renamed.txt"], SMALL)


@pytest.mark.parametrize("content", [b"", b"not a model\n", b"\x80\x04K\x01.", b"tree\n", bytes(100)])
def test_a_file_that_is_no_model_is_refused_by_name(content, tmp_path):
    (tmp_path / "fold_0.txt").write_bytes(content)
    with pytest.raises(DataError, match="is not a LightGBM model") as caught:
        lgbm.open_scorer([tmp_path / "fold_0.txt"], SMALL)
    assert caught.value.path == tmp_path / "fold_0.txt"


def test_training_children_of_one_class_are_refused_with_what_to_do(data, tmp_path):
    run, member = open_both(tmp_path, data, "lgbm", SMALL)
    run.data.labels[run.fold_of != 1] = 0
    with pytest.raises(TrainingError, match=r"fold 1: .* one class only; use fewer folds"):
        lgbm.fit_fold(run, member, SMALL, 0, 1, lambda row: None)
    assert not member.is_trained(0, 1)
    assert not member.weights(0, 1).exists()
