"""A trained run as an object gives exactly what the submission of the same segments holds."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import spasm
from helpers.commands import CPU, T, here
from helpers.data import FLOAT32
from helpers.tables import table
from spasm.core.errors import DataError
from spasm.data.naming import child_of
from spasm.data.segments import read_pose
from spasm.inference.trained_run import Prediction, TrainedRun


@pytest.fixture(scope="module")
def paths(simulated) -> list[Path]:
    """More segments than are predicted at a time, of ten children; some have no pose."""
    return sorted([*(simulated / "train").iterdir(), *(simulated / "test").iterdir()], key=lambda path: path.name)


@pytest.fixture(scope="module")
def poses(paths) -> np.ndarray:
    return np.stack([read_pose(path, T) for path in paths])


@pytest.fixture(scope="module")
def with_context(blended, train_flags, tmp_path_factory) -> Path:
    """The same run, decided so that each segment is seen beside the child's others."""
    folder = tmp_path_factory.mktemp("context")
    run = Path(shutil.copytree(blended, folder / "run"))
    here("train_folds", "--run", run, "--cache", folder / "cache", "--decide-only", "--no-report",
         "--blend.child-context", "--blend.trials", 1)  # fmt: skip
    assert json.loads((run / "decision.json").read_text())["child_context"] is not None
    return run


def submitted(run: Path, paths: list[Path], folder: Path) -> list[dict[str, str]]:
    """The probabilities that submission.py writes for some segments."""
    (folder / "test").mkdir()
    for path in paths:
        shutil.copy(path, folder / "test" / path.name)
    here("submission", "--run", run, "--test", folder / "test", "--out", folder / "answer.csv", *CPU)
    return table(folder / "answer_probabilities.csv")


def same(prediction: Prediction, rows: list[dict[str, str]]) -> None:
    assert [float(row["probability"]) for row in rows] == prediction.probability.tolist()
    assert [int(row["label"]) for row in rows] == prediction.label.tolist()
    assert [row["pose_fraction"] for row in rows] == [f"{value:.3f}" for value in prediction.pose_fraction]
    peaks = ["" if np.isnan(peak) else f"{peak:.2f}" for peak in prediction.peak_time_s]
    assert [row["peak_time_s"] for row in rows] == peaks
    assert [row["note"] for row in rows] == prediction.note


def test_a_run_predicts_what_its_submission_holds_with_children_and_without(blended, paths, poses, tmp_path):
    rows = submitted(blended, paths, tmp_path)
    run = TrainedRun(blended, FLOAT32)
    alone = run.predict(poses)
    same(alone, rows)
    same(run.predict(poses, [child_of(path.name) for path in paths]), rows)
    assert len(alone) == len(paths) == 50
    assert 0 < (~alone.has_pose).sum() < 10 and not alone.attention[~alone.has_pose].any()
    assert alone.attention[alone.has_pose].sum(axis=1) == pytest.approx(np.ones(alone.has_pose.sum()), abs=1e-5)
    assert sorted(alone.logits) == ["lgbm", "rocket", "stgcn_mil"]
    assert all(len(logits) == 50 for logits in alone.logits.values())


def test_children_count_where_the_run_was_decided_with_child_context(with_context, paths, poses, tmp_path):
    children = [child_of(path.name) for path in paths]
    run = TrainedRun(with_context, FLOAT32)
    together = run.predict(poses, children)
    same(together, submitted(with_context, paths, tmp_path))
    alone = run.predict(poses)
    assert not np.allclose(alone.probability, together.probability)
    each_its_own = run.predict(poses, [str(row) for row in range(len(poses))])
    assert np.array_equal(alone.probability, each_its_own.probability)


def test_it_is_opened_by_one_call_that_takes_text_and_paths(blended, poses):
    first, second = spasm.load(str(blended)), spasm.load(blended)
    assert first.frames == second.frames == T
    assert np.array_equal(first.predict(poses[:2]).label, second.predict(poses[:2]).label)
    assert len(first.predict(poses[:0])) == 0


def test_poses_of_another_shape_and_children_of_another_number_are_refused(trained, poses):
    run = spasm.load(trained)
    with pytest.raises(DataError, match=r"poses: have the shape \(60, 33, 5\), not \(N, 60, 33, 5\)"):
        run.predict(poses[0])
    with pytest.raises(DataError, match=r"poses: have the shape \(2, 30, 33, 5\)"):
        run.predict(poses[:2, :30])
    with pytest.raises(DataError, match="children: are 3, for 2 segments"):
        run.predict(poses[:2], ["a", "b", "c"])


def test_a_folder_that_holds_no_decided_run_is_refused_when_it_is_opened(trained, tmp_path):
    with pytest.raises(DataError, match=r"decision\.json: is not there: the run has no threshold yet"):
        spasm.load(tmp_path)
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    (run / "stgcn_mil/seed_0/fold_1.safetensors").unlink()
    with pytest.raises(DataError, match=r"fold_1\.safetensors: is missing"):
        spasm.load(run)
