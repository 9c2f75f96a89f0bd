"""robustness.py: every model and the blend on corrupted poses, and nothing else changed."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import robustness
from helpers.commands import Command, here, without_progress
from helpers.data import children, write
from robustness import Robustness
from spasm.cli import app
from spasm.evaluation.corruptions import TRIED

ROOT = Path(__file__).parents[2]
T = 90


def table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory) -> dict[str, object]:
    """A blended run of two models on children whose jerks can be learned, and what robustness.py made of it."""
    folder = tmp_path_factory.mktemp("robustness")
    poses, labels = children(8, 6, 32)
    poses[::7] = np.nan  # without a pose
    data, run = write(folder / "data", poses, labels, each=6), folder / "run"
    common = ["--run", run, "--cache", folder / "cache"]
    training = [*common, "--data", data, "--frames", 32, "--folds", 2, "--workers", 1]
    sizes = ["--lgbm.num-boost-round", 60, "--lgbm.learning-rate", 0.2, "--lgbm.min-data-in-leaf", 3]
    sizes += ["--rocket.biases-per-kernel", 1, "--rocket.augmented-copies", 0, "--no-report"]
    here("train_folds", *training, "--models", "lgbm", "rocket", *sizes, "--blend.child-context")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    command = Command(folder, "robustness", [*map(str, common), "--workers", "1", "--device", "cpu"])
    code, stdout, stderr = command.end()
    assert (code, without_progress(stderr)) == (0, "")
    return {
        "run": run, "stdout": stdout, "before": before, "imported": command.imported(), "command": command,
        "rows": table(run / "robustness.csv"), "common": common,
    }  # fmt: skip


def test_the_table_has_a_row_for_each_corruption_and_model_and_the_blend(evaluated):
    expected = [(kind, severity, name) for kind, tried in TRIED.items() for severity in tried for name in
                ("lgbm", "rocket", "blend")]  # fmt: skip
    assert [(row["corruption"], row["severity"], row["model"]) for row in evaluated["rows"]] == expected
    for row in evaluated["rows"]:
        assert 0 <= float(row["f1_low"]) <= float(row["f1"]) <= float(row["f1_high"]) <= 1
        assert all(0 <= float(row[name]) <= 1 for name in ("sensitivity", "specificity", "auc"))


def test_the_metrics_of_poses_as_they_are_are_those_of_the_run(evaluated):
    result = json.loads((evaluated["run"] / "metrics.json").read_text())
    own = {row["model"]: row for row in evaluated["rows"] if row["corruption"] == "as it is"}
    for name, expected in {**result["each_model"], "blend": result["cross_fitted"]}.items():
        for metric in ("f1", "sensitivity", "specificity", "auc", "within_child_auc"):
            assert float(own[name][metric]) == pytest.approx(expected[metric]["value"], abs=0.01)
    assert float(own["blend"]["auc"]) > 0.85, "the test is void unless something was learned"


def test_corruption_does_harm_somewhere_and_is_the_same_for_every_model(evaluated):
    auc = {(row["corruption"], row["severity"], row["model"]): float(row["auc"]) for row in evaluated["rows"]}
    for name in ("lgbm", "rocket", "blend"):
        assert min(value for key, value in auc.items() if key[2] == name) < auc["as it is", "", name] - 0.1
    few, many = ({key: auc[("frames missing", key, "blend")] for key in ("10%", "50%")}[key] for key in ("10%", "50%"))
    assert many <= few + 0.05


def test_the_plot_has_a_line_for_each_model_and_the_blend(evaluated):
    with Image.open(evaluated["run"] / "robustness.png") as picture:
        picture.load()
        assert picture.format == "PNG"
        assert picture.width > 900 and picture.height > 600
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    colours = {tuple(colour) for colour in np.unique(pixels, axis=0)}
    assert {(31, 119, 180), (255, 127, 14), (44, 160, 44)} <= colours, "one line for each model and the blend"


def test_the_text_shows_every_corruption_and_what_was_written(evaluated):
    lines = evaluated["stdout"].splitlines()
    assert lines[-1] == f"written: {evaluated['run']}/robustness.csv, robustness.png"
    for row in evaluated["rows"]:
        start = f"{row['corruption']} {row['severity']}"
        (line,) = [line for line in lines if line[:34].rstrip() == start.rstrip()]
        assert f"{float(row['f1']):.3f}" in line


def test_evaluating_a_run_changes_nothing_in_it_and_loads_torch_and_lightgbm_apart(evaluated):
    for path, content in evaluated["before"].items():
        assert path.read_bytes() == content
    imported = evaluated["imported"]
    assert evaluated["command"].process.pid not in imported
    assert sorted(map(sorted, imported.values())) == [["lightgbm"], ["torch"]]
    assert evaluated["command"].group() == []


def test_without_a_decision_or_with_changed_data_there_is_a_message(evaluated, tmp_path, capsys):
    flags = ["--run", str(tmp_path), "--cache", str(tmp_path)]
    assert app.run(robustness.main, Robustness, "", flags) == 1
    assert "holds no run" in capsys.readouterr().err
    other = write(tmp_path / "other", *children(8, 6, 32, seed=1), each=6)
    flags = list(map(str, [*evaluated["common"], "--data", other]))
    assert app.run(robustness.main, Robustness, "", flags) == 1
    assert "was made with other data" in capsys.readouterr().err
