"""Every model is one object in one dictionary: a new one needs a file with a class, and to be put there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.commands import CPU, code_of, without_progress
from helpers.repository import ROOT, SOURCE
from helpers.tables import table
from spasm.config.fields import SettingsError
from spasm.models.registry import DEFAULT_MODELS, MODELS, model_named, models_named

# A whole new model: how far the landmarks are apart from top to bottom, against the mean of both classes.
TOY = '''
from typing import Annotated

import numpy as np

from spasm.config.fields import settings, within
from spasm.core import files
from spasm.models.model import Explanation, FoldScores, Model
from spasm.models.registry import MODELS


@settings
class ToyConfig:
    """Settings of the toy."""

    steepness: Annotated[float, within(0, 100)] = 1.0
    """Log-odds for a standard deviation."""


def spread(poses, rows):
    return np.nanstd(poses[rows][..., 1].astype(np.float64), axis=(1, 2))


class ToyModel(Model):
    name = "toy"
    title = "toy model"
    about = "how far the landmarks are apart"
    config = ToyConfig
    suffix = ".json"
    library = "none"

    def search_space(self):
        return {}

    def fit(self, job):
        values, labels = spread(job.data.poses, job.rows), job.data.labels[job.rows]
        middle = (values[labels == 0].mean() + values[labels == 1].mean()) / 2
        return {"middle": float(middle), "spread": float(values.std()) + 1e-9}

    def save(self, path, trained):
        files.write_json(path, trained)

    def load(self, paths, config, hardware):
        return ToyPredictor([files.read_json(path) for path in paths], config)


class ToyPredictor:
    def __init__(self, folds, config):
        self.folds, self.config = folds, config

    def predict(self, poses, rows, pictures=None):
        values = spread(poses, rows)
        scores = [self.config.steepness * (values - fold["middle"]) / fold["spread"] for fold in self.folds]
        return FoldScores(np.stack(scores), None)

    def explain(self, poses, rows, pictures=None):
        return Explanation()


MODELS["toy"] = ToyModel()
'''
# Processes get the model as an object; they import its file, which puts it into the registry there too.
DRIVER = """
import importlib, sys
sys.path[:0] = {paths}
import toy
from spasm.cli import app

if __name__ == "__main__":
    name, flags, *words = sys.argv[1:]
    script = importlib.import_module(name)
    sys.argv = [name, *words]
    sys.exit(app.run(script.main, getattr(script, flags), script.__doc__))
"""


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that runs a script with the toy model in the registry."""
    folder = tmp_path_factory.mktemp("driver")
    (folder / "toy.py").write_text(TOY)
    (folder / "main.py").write_text(DRIVER.format(paths=[str(folder), str(SOURCE), str(ROOT)]))
    return folder / "main.py"


def call(driver: Path, script: str, flags: str, *words: object) -> tuple[int, str, str]:
    command = [sys.executable, driver, script, flags, *words]
    finished = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True)
    return finished.returncode, finished.stdout, without_progress(finished.stderr)


WEAK = ["--lgbm.num-boost-round", 1, "--lgbm.min-data-in-leaf", 3]  # so that the toy has weight


@pytest.fixture(scope="module")
def toy_run(driver: Path, simulated: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A run of LightGBM and the toy, decided over both; and the decision as it was before the toy was named."""
    folder = tmp_path_factory.mktemp("toy")
    run, cache = folder / "run", folder / "cache"
    shared = ["--run", run, "--cache", cache, "--no-report"]
    words = ["--data", simulated, "--frames", 60, "--folds", 3, "--models", "lgbm", "toy", *WEAK,
             "--toy.steepness", 2, *CPU]  # fmt: skip
    code, stdout, stderr = call(driver, "train_folds", "flags", *shared, *words)
    assert (code, stderr) == (0, "")
    assert "toy: cross-fitted F1" in stdout
    before = (run / "decision.json").read_bytes()
    code, _, stderr = call(driver, "train_folds", "flags", *shared, "--decide-only", "--blend.models", "toy")
    assert (code, stderr) == (0, "")
    return run, before


@pytest.mark.command
def test_a_new_model_has_flags_and_help(driver):
    code, stdout, _ = call(driver, "train_folds", "flags", "--help", "--models", "toy")
    assert code == 0
    assert "--toy.steepness" in stdout and "Log-odds for a standard deviation." in stdout
    code, _, stderr = call(driver, "train_folds", "flags", "--models", "toy", "--toy.steepness", 101)
    assert (code, stderr) == (2, "error: --toy.steepness 101.0 is above 100.0; the nearest valid value is 100.0\n")


def test_a_new_model_is_trained_and_decides_once_it_is_named(toy_run):
    run, before = toy_run
    assert json.loads(before)["considered_models"] == ["lgbm"]
    decision = json.loads((run / "decision.json").read_text())
    assert decision["considered_models"] == ["lgbm", "toy"]
    assert decision["models"]["toy"]["settings"] == {"steepness": 2.0}
    assert sorted(path.name for path in (run / "toy/seed_0").glob("*.json")) == [f"fold_{k}.json" for k in range(3)]
    assert json.loads((run / "toy/manifest.json").read_text())["settings"] == {"steepness": 2.0}
    assert "toy_logit" in table(run / "oof.csv")[0]


def test_a_new_model_predicts_in_a_process_of_its_own(toy_run, driver, simulated, tmp_path):
    run, _ = toy_run
    out = tmp_path / "submission.csv"
    words = ["--run", run, "--test", simulated / "test", "--out", out, *CPU]
    code, _, stderr = call(driver, "submission", "Submission", *words)
    assert (code, stderr) == (0, "")
    assert len(table(out)) == 10
    assert len({row["probability"] for row in table(tmp_path / "submission_probabilities.csv")}) > 2


@pytest.mark.slow
def test_a_new_model_has_its_place_in_the_report(toy_run, driver, tmp_path):
    run, _ = toy_run
    words = ["--run", run, "--cache", tmp_path / "cache", *CPU]
    code, _, stderr = call(driver, "report", "Report", *words)
    assert (code, stderr) == (0, "")
    assert "toy" in (run / "model_card.md").read_text()
    assert (run / "report.html").exists()


def test_a_run_of_a_model_that_is_not_there_is_refused_in_one_sentence(toy_run, simulated, tmp_path, capsys):
    run, _ = toy_run
    words = ["--run", run, "--test", simulated / "test", "--out", tmp_path / "submission.csv"]
    assert code_of("submission", *words) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {run / 'decision.json'}: ") and error.count("\n") == 1
    assert "toy" in error
    assert not (tmp_path / "submission.csv").exists()


@pytest.mark.command
def test_the_files_of_the_models_import_neither_torch_nor_lightgbm_nor_optuna():
    code = "import sys, spasm.models.registry; print(*{'torch', 'lightgbm', 'optuna'} & {*sys.modules})"
    command = [sys.executable, "-c", code]
    finished = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": str(SOURCE)}, capture_output=True, text=True, check=True
    )
    assert finished.stdout.split() == []


def test_names_are_parted_by_spaces_or_commas_and_come_cheapest_first():
    assert [model.name for model in models_named(["stam,lgbm", "rocket", "lgbm"])] == ["lgbm", "rocket", "stam"]
    assert [model.name for model in models_named(DEFAULT_MODELS)] == list(DEFAULT_MODELS)
    assert list(MODELS)[:3] == list(DEFAULT_MODELS)


def test_an_unknown_name_is_refused_with_the_nearest_and_none_with_all():
    with pytest.raises(SettingsError, match=r"--models rockets is unknown; the nearest is rocket, of lgbm, rocket"):
        model_named("rockets")
    with pytest.raises(SettingsError, match=r"--blend\.models x is unknown"):
        models_named(["lgbm", "x"], "--blend.models")
    for names in ([], [""], [","]):
        with pytest.raises(SettingsError, match="--models names no model; there are lgbm, rocket, stgcn_mil"):
            models_named(names)
