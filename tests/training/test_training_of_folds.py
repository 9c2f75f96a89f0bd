"""Training folds in parallel: progress is reported, and trained folds are not trained again."""

import shutil
from pathlib import Path

import pytest

from helpers.data import FLOAT32, children, open_both, write
from helpers.models import smallest
from spasm.core.errors import DataError, TrainingError
from spasm.models.registry import MODELS
from spasm.runs.folder import ModelFolder, Run
from spasm.training import folds
from spasm.training.progress import Progress


def opened(folder: Path, name: str) -> tuple[Run, ModelFolder]:
    data = folder / "data"
    if not data.exists():
        write(data, *children(6, 4, 16), each=4)
    return open_both(folder, data, name, smallest(name))


def train(run: Run, folder: ModelFolder, name: str, numbers: list[int], workers: int = 2) -> list[Progress]:
    reports: list[Progress] = []
    folds.train_folds(run, folder, MODELS[name], smallest(name), FLOAT32, 0, numbers, workers, reports.append)
    return reports


@pytest.mark.command
@pytest.mark.parametrize(("name", "epochs"), [("stgcn_mil", 2), ("lgbm", 0)])
def test_the_progress_of_the_folds_only_grows_and_ends_with_all_of_them(tmp_path, monkeypatch, name, epochs):
    monkeypatch.setattr(folds, "POLL_S", 0.05)
    reports = train(*opened(tmp_path, name), name, [0, 1, 2])
    assert [(one.folds_done, one.epochs_done) for one in reports] == sorted(
        (one.folds_done, one.epochs_done) for one in reports
    )
    assert {(one.folds, one.epochs) for one in reports} == {(3, 3 * epochs)}
    assert (reports[-1].folds_done, reports[-1].epochs_done, reports[-1].seconds_left) == (3, 3 * epochs, 0)


@pytest.mark.command
def test_one_worker_and_two_end_with_the_same_bytes(tmp_path, contents):
    for workers in (1, 2):
        train(*opened(tmp_path / str(workers), "stgcn_mil"), "stgcn_mil", [0, 1, 2], workers)
    one, two = (contents(tmp_path / str(workers) / "run/stgcn_mil") for workers in (1, 2))
    assert {name: content for name, content in one.items() if name != "manifest.json"} == {
        name: content for name, content in two.items() if name != "manifest.json"
    }


def test_folds_that_are_trained_start_no_process(tmp_path, monkeypatch):
    run, folder = opened(tmp_path, "lgbm")
    folds.train_fold(run, folder, MODELS["lgbm"], smallest("lgbm"), FLOAT32, 0, 1)
    monkeypatch.setattr(folds.processes, "isolated_pool", None)
    reports = train(run, folder, "lgbm", [1])
    assert (reports[-1].folds_done, reports[-1].folds) == (1, 1)


@pytest.mark.command
def test_an_error_in_a_worker_is_raised_unchanged(tmp_path):
    run, folder = opened(tmp_path, "lgbm")
    run.data.labels[:] = 0
    with pytest.raises(
        TrainingError, match=r"fold \d: its training children have one class only; use another --fold-seed"
    ):
        train(run, folder, "lgbm", [0, 1])


def test_a_run_that_vanished_is_not_made_again(tmp_path):
    run, folder = opened(tmp_path, "lgbm")
    shutil.rmtree(run.path)
    with pytest.raises(DataError, match=r"manifest\.json: is missing"):
        folds.train_fold(run, folder, MODELS["lgbm"], smallest("lgbm"), FLOAT32, 0, 0)
    assert not run.path.exists()
