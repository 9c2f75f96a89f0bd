"""Learning curves for TensorBoard: the values of history.csv, each epoch once, and no byte of the run changes."""

import csv
import subprocess
import sys

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from helpers.commands import code_of, without_progress
from helpers.repository import ROOT
from spasm.data.pose import visible_mask
from spasm.ensemble.calibration import probability
from spasm.runs.folder import ModelFolder
from spasm.training.tensorboard import out_of_fold

WITHOUT_PACKAGE = """
import runpy, sys
sys.modules["tensorboard"] = None  # an import of it fails
sys.argv[0] = "src/train_folds.py"
sys.path.insert(0, "src")
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def curves(run, fold):
    """The curves of one fold by name, as (epoch, value) in the order of the events."""
    events = EventAccumulator(str(run / f"stgcn_mil/tensorboard/seed_0_fold_{fold}"))
    events.Reload()
    return {name: [(event.step, event.value) for event in events.Scalars(name)] for name in events.Tags()["scalars"]}


def history(run, fold):
    """The same from history.csv."""
    table = [row for row in rows(run / "stgcn_mil/history.csv") if row["fold"] == str(fold)]
    return {
        name: [(int(row["epoch"]), pytest.approx(float(row[name]), rel=1e-6)) for row in table]
        for name in ("learning_rate", "loss", "gradient_norm")
    }


@pytest.fixture
def same_bytes(trained, contents):
    """A function: whether a run without its curves has the same bytes as one trained without them."""
    return lambda run: (
        {name: text for name, text in contents(run).items() if "/tensorboard/" not in name} == contents(trained)
    )


def test_curves_are_those_of_the_history_and_end_with_the_metrics_of_the_held_out_children(
    train_flags, simulated, tmp_path, same_bytes
):
    run = tmp_path / "run"
    command = [sys.executable, "src/train_folds.py", *train_flags(run, "--workers", "2", "--tensorboard")]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (finished.returncode, without_progress(finished.stderr)) == (0, "")
    assert same_bytes(run)
    label_of = {row["segment_name"]: int(row["label"]) for row in rows(run / "folds.csv")}
    for fold in range(3):
        rows_of_fold = [
            row
            for row in rows(run / f"stgcn_mil/seed_0/fold_{fold}_oof.csv")
            if visible_mask(np.load(simulated / "train" / row["segment_name"])).any()
        ]
        labels = [label_of[row["segment_name"]] for row in rows_of_fold]
        probabilities = probability([float(row["logit"]) for row in rows_of_fold])
        figures = {
            "out_of_fold/log_loss": [(3, pytest.approx(log_loss(labels, probabilities), rel=1e-6))],
            "out_of_fold/auc": [(3, pytest.approx(roc_auc_score(labels, probabilities), rel=1e-6))],
        }
        assert curves(run, fold) == history(run, fold) | figures
    assert len(list((run / "stgcn_mil/tensorboard").iterdir())) == 3


@pytest.mark.parametrize(("first", "then"), [(True, True), (False, True), (True, False)])
def test_a_training_continued_with_or_without_curves_has_each_epoch_once_and_the_same_bytes(
    train_flags, tmp_path, monkeypatch, in_this_process, same_bytes, first, then
):
    run = tmp_path / "run"

    def main(with_curves):
        switch = "--tensorboard" if with_curves else "--no-tensorboard"
        return code_of("train_folds", *train_flags(run, switch))

    def interrupt(folder, seed, fold, rows, note_history=ModelFolder.note_history):
        if len(rows) == 3:
            raise KeyboardInterrupt
        note_history(folder, seed, fold, rows)

    with monkeypatch.context() as patch:
        patch.setattr(ModelFolder, "note_history", interrupt)
        assert main(first) == 130
    assert (run / "stgcn_mil/tensorboard").exists() == first
    assert main(then) == 0
    assert same_bytes(run)
    plotted = curves(run, 0)
    if then:
        assert plotted | history(run, 0) == plotted
        assert len(plotted["out_of_fold/auc"]) == 1
    else:
        assert plotted == {name: values[:2] for name, values in history(run, 0).items()}, "left as they were"
    assert (run / "stgcn_mil/tensorboard/seed_0_fold_1").exists() == then
    assert main(True) == 0  # nothing is left to be trained
    assert curves(run, 0) == plotted


def test_without_the_package_the_error_names_the_install_command_and_only_with_the_flag(train_flags, tmp_path):
    flags = train_flags(tmp_path / "run", "--fold", "0")
    command = [sys.executable, "-c", WITHOUT_PACKAGE, *flags]
    refused = subprocess.run([*command, "--tensorboard"], cwd=ROOT, capture_output=True, text=True)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == "error: --tensorboard needs TensorBoard: pip install -r requirements-report.txt\n"
    assert not (tmp_path / "run").exists()
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (finished.returncode, without_progress(finished.stderr)) == (0, "")


def test_held_out_children_of_one_class_or_none_have_no_metrics():
    assert out_of_fold(np.array([1, 1]), np.array([0.5, -1.0])) == {}
    assert out_of_fold(np.array([]), np.array([])) == {}
