"""The run folder: its layout, what it refuses, and its metrics."""

import csv
import dataclasses
import hashlib
import itertools
import json
import math
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from helpers.commands import code_of
from helpers.data import FLOAT32
from helpers.repository import ROOT
from helpers.segments import T, add_to_test, make_data, pose, saved
from helpers.settings import changed
from spasm.config.data import Folds
from spasm.config.ensemble import Blend
from spasm.config.fields import to_tree
from spasm.core import checkpoints, files
from spasm.core.errors import DataError, DataProblems
from spasm.data.dataset import load_training
from spasm.ensemble import calibration
from spasm.ensemble.thresholds import expected_threshold
from spasm.models.registry import MODELS
from spasm.runs import folder
from spasm.runs.decide import decide
from spasm.runs.folder import ModelFolder, open_model, open_run
from spasm.training.folds import train_fold

SMALL = changed(
    MODELS["stgcn_mil"].config(), width=4, blocks=1, kernel=3, epochs=2, batch=8, shift_frames=2, gap_frames=4
)
FLAGS = ["--models", "stgcn_mil", "--stgcn-mil.width", 4, "--stgcn-mil.blocks", 1, "--stgcn-mil.kernel", 3,
         "--stgcn-mil.epochs", 2, "--stgcn-mil.batch", 8, "--stgcn-mil.shift-frames", 2,
         "--stgcn-mil.gap-frames", 4, "--no-report"]  # fmt: skip
OOF = "segment_name,child,label,fold,stgcn_mil_logit,probability,label_predicted,probability_in_sample"
ENVIRONMENT = {"device": "cpu", "precision": "float32", "threads": 1}
pytestmark = pytest.mark.usefixtures("in_this_process")


class Training:
    """A small training into one folder, in this process, as train_folds.py does it."""

    def __init__(self, folder: Path, data: Path) -> None:
        self.folder, self.data = folder, data
        self.run_path = folder / "run"
        self.model_path = self.run_path / "stgcn_mil"

    def open(self, *, frames: int = T, split: Folds | None = None, config=SMALL, **environment: object):
        data = load_training(self.data, frames, "challenge", self.folder / "cache")
        run = open_run(self.run_path, data, self.data, frames, split or Folds(folds=3))
        return run, open_model(run, "stgcn_mil", to_tree(config), ENVIRONMENT | environment)

    def train(self, *, seed: int = 0, folds=range(3), config=SMALL, **options: object):
        run, model_folder = self.open(config=config, **options)
        for fold in folds:
            train_fold(run, model_folder, MODELS["stgcn_mil"], config, FLOAT32, seed, fold)
        return decide(run)

    def json(self, name: str):
        return strict_json(self.run_path / name)

    def table(self, name: str) -> list[dict[str, str]]:
        return table(self.run_path / name)


def strict_json(path: Path):
    return json.loads(path.read_text(encoding="utf-8"), parse_constant=lambda name: pytest.fail(f"{name} in {path}"))


def table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def header(path: Path) -> str:
    return path.read_text().splitlines()[0]


def column(rows: list[dict[str, str]], name: str) -> np.ndarray:
    return np.array([float(row[name]) for row in rows])


def make_training_data(folder: Path) -> Path:
    """12 segments of 6 children with labels 0 1 0 1 0 1, one segment without any pose, and two cohorts."""
    data = make_data(folder, children=6, per_child=2)
    saved(data / "train", np.full((T, 33, 5), np.nan), "child_5_1.npy")
    cohorts = (f"{child},{'home' if child < 4 else 'ward'}\n" for child in range(6))
    (data / "groups.csv").write_text("child,cohort\n" + "".join(cohorts))
    return data


@pytest.fixture
def fresh(tmp_path):
    """Data to train on; nothing is trained yet."""
    return Training(tmp_path, make_training_data(tmp_path / "data"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A small training that was never interrupted; tests must not change it."""
    folder = tmp_path_factory.mktemp("whole")
    small = Training(folder, make_training_data(folder / "data"))
    small.train()
    return small


@pytest.fixture
def done(whole, tmp_path):
    """A copy of that training, to be changed."""
    shutil.copytree(whole.run_path, tmp_path / "run")
    return Training(tmp_path, whole.data)


# ---- layout and columns


def test_a_run_folder_holds_exactly_the_documented_files(whole, contents):
    below_model = {"manifest.json", "history.csv", "oof.csv"} | {
        f"seed_0/fold_{fold}{end}" for fold in range(3) for end in (".safetensors", "_oof.csv")
    }
    expected = {"run.json", "folds.csv", "segments.csv", "oof.csv", "decision.json", "metrics.json"}
    assert set(contents(whole.run_path)) == expected | {f"stgcn_mil/{name}" for name in below_model}


def test_the_columns_of_every_table_are_those_promised(whole):
    headers = {
        "folds.csv": "segment_name,child,label,fold",
        "oof.csv": OOF,
        "stgcn_mil/oof.csv": "segment_name,child,label,fold,logit",
        "stgcn_mil/history.csv": "seed,fold,epoch,learning_rate,loss,gradient_norm",
        "stgcn_mil/seed_0/fold_1_oof.csv": "segment_name,logit",
    }
    assert {name: header(whole.run_path / name) for name in headers} == headers


def test_the_real_command_writes_the_same_tables_and_strict_json(trained):
    assert header(trained / "oof.csv") == OOF
    assert len(table(trained / "oof.csv")) == 40
    for path in trained.rglob("*.json"):
        strict_json(path)


def test_every_segment_is_scored_once_by_the_one_fold_of_its_child(whole):
    folds = whole.table("folds.csv")
    assert [row["segment_name"] for row in folds] == sorted(path.name for path in (whole.data / "train").iterdir())
    assert {row["segment_name"]: row["label"] for row in folds} == {
        row["segment_name"]: row["label"] for row in table(whole.data / "train_data.csv")
    }
    fold_of_child = {row["child"]: row["fold"] for row in folds}
    assert all(fold_of_child[row["child"]] == row["fold"] for row in folds)
    assert set(fold_of_child.values()) == {"0", "1", "2"}
    for name in ("oof.csv", "stgcn_mil/oof.csv"):
        assert [{key: row[key] for key in folds[0]} for row in whole.table(name)] == folds
    for fold in "012":
        scored = [row["segment_name"] for row in whole.table(f"stgcn_mil/seed_0/fold_{fold}_oof.csv")]
        assert scored == [row["segment_name"] for row in folds if row["fold"] == fold]


def calibrated(small: Training, logits: np.ndarray, rows: list[dict[str, str]]) -> np.ndarray:
    """Probabilities of a single model's logits by the calibrations of the decision; rows without a pose skip them."""
    chosen = small.json("decision.json")
    slope, offset = chosen["models"]["stgcn_mil"]["calibration"]
    last_slope, last_offset = chosen["calibration"]
    values = last_slope * (slope * logits + offset) + last_offset
    values = np.where([row["segment_name"] == "child_5_1.npy" for row in rows], logits, values)
    return 1 / (1 + np.exp(-values))


def test_the_probability_of_a_row_is_that_of_its_calibrated_logit(whole):
    rows = whole.table("oof.csv")
    logits = column(rows, "stgcn_mil_logit")
    assert column(rows, "probability_in_sample") == pytest.approx(calibrated(whole, logits, rows), abs=1e-12)
    assert np.array_equal(column(whole.table("stgcn_mil/oof.csv"), "logit"), logits)


def test_calibrations_and_threshold_of_the_decision_are_fitted_on_all_rows_with_a_pose(whole):
    rows, chosen = whole.table("oof.csv"), whole.json("decision.json")
    labels, logits = column(rows, "label").astype(int), column(rows, "stgcn_mil_logit")
    posed = np.array([row["segment_name"] != "child_5_1.npy" for row in rows])
    slope, offset = chosen["models"]["stgcn_mil"]["calibration"]
    assert (slope, offset) == calibration.fit_calibration(logits[posed], labels[posed])
    last = calibration.fit_calibration(slope * logits[posed] + offset, labels[posed])
    assert tuple(chosen["calibration"]) == last
    assert tuple(chosen["fold_average_calibration"]) == calibration.calibration_of_averages(last, 3, labels[posed])
    probabilities = column(rows, "probability_in_sample")
    assert chosen["threshold"] == pytest.approx(expected_threshold(probabilities), rel=1e-12)


def test_a_segment_without_a_pose_has_the_smoothed_log_odds_of_the_other_folds(whole):
    row = next(row for row in whole.table("stgcn_mil/oof.csv") if row["segment_name"] == "child_5_1.npy")
    others = [other for other in whole.table("folds.csv") if other["fold"] != row["fold"]]
    prevalence = (sum(other["label"] == "1" for other in others) + 0.5) / (len(others) + 1)  # none of them is poseless
    assert float(row["logit"]) == pytest.approx(math.log(prevalence / (1 - prevalence)), abs=1e-12)


def test_the_history_has_one_row_per_seed_fold_and_epoch(done):
    done.train(seed=3, folds=[1, 0])
    rows = done.table("stgcn_mil/history.csv")
    keys = [(int(row["seed"]), int(row["fold"]), int(row["epoch"])) for row in rows]
    expected = [(0, fold, epoch) for fold in range(3) for epoch in (1, 2)]
    assert keys == expected + [(3, fold, epoch) for fold in (0, 1) for epoch in (1, 2)]
    assert (column(rows, "loss") > 0).all()


# ---- decision and metrics


def test_the_decision_names_all_that_a_prediction_rests_on(whole):
    chosen = whole.json("decision.json")
    assert list(chosen["models"]) == ["stgcn_mil"]
    model = chosen["models"]["stgcn_mil"]
    assert (model["weight"], model["seeds"], model["settings"]) == (1.0, [0], to_tree(SMALL))
    assert len(model["calibration"]) == len(chosen["calibration"]) == 2
    assert (model["quantiles"], chosen["averaging"], chosen["child_context"]) == ([], "logit", None)
    assert (chosen["considered_models"], chosen["blend"]) == (["stgcn_mil"], to_tree(Blend()))
    assert (chosen["folds"], chosen["frames"], chosen["prevalence"]) == (3, T, 0.5)
    prevalence = 6.5 / 13  # the one segment without a pose is positive
    share = (1 + calibration.PRIOR_WEIGHT * prevalence) / (1 + calibration.PRIOR_WEIGHT)
    assert chosen["no_pose_logit"] == pytest.approx(math.log(share / (1 - share)))
    assert chosen["data"] == whole.json("run.json")["data"]
    assert chosen["data"]["path"] == str(whole.data)
    assert set(chosen["files"]) == {
        f"stgcn_mil/seed_0/fold_{fold}{end}" for fold in range(3) for end in (".safetensors", "_oof.csv")
    }
    for name, digest in chosen["files"].items():
        assert hashlib.sha256((whole.run_path / name).read_bytes()).hexdigest() == digest
    assert all(
        chosen["provenance"][name] for name in ("averaging", "weights", "calibration", "threshold", "no_pose_logit")
    )


def best_f1(labels: np.ndarray, probabilities: np.ndarray) -> float:
    return max(f1_score(labels, probabilities >= threshold, zero_division=0) for threshold in probabilities)


def test_the_threshold_of_the_decision_has_the_highest_expected_f1_and_the_best_observed_one_is_marked_optimistic(
    whole,
):
    rows = whole.table("oof.csv")
    labels, probabilities = column(rows, "label").astype(int), column(rows, "probability_in_sample")

    def expected_f1(threshold):
        positive = probabilities >= threshold
        return 2 * probabilities[positive].sum() / (positive.sum() + probabilities.sum())

    result, threshold = whole.json("metrics.json"), whole.json("decision.json")["threshold"]
    assert result["threshold"] == threshold
    assert expected_f1(threshold) == pytest.approx(max(map(expected_f1, probabilities)))
    plain = result["pooled_threshold"]
    assert f1_score(labels, probabilities >= plain["threshold"]) == pytest.approx(best_f1(labels, probabilities))
    assert plain["f1"] == pytest.approx(best_f1(labels, probabilities))


def auc_within_folds(rows: list[dict[str, str]]) -> float:
    """AUC of the pairs of rows with a probability by the same fold."""
    areas, pairs = [], []
    for fold in sorted({row["fold"] for row in rows}):
        of_fold = [row for row in rows if row["fold"] == fold]
        labels = column(of_fold, "label")
        if 0 < labels.mean() < 1:
            areas.append(roc_auc_score(labels, column(of_fold, "probability")))
            pairs.append(labels.sum() * (1 - labels).sum())
    return float(np.average(areas, weights=pairs))


def test_the_headline_metrics_are_those_of_the_cross_fitted_columns(whole):
    rows = whole.table("oof.csv")
    labels, probabilities = column(rows, "label").astype(int), column(rows, "probability")
    fold_of, predicted = column(rows, "fold").astype(int), column(rows, "label_predicted").astype(int)
    result = whole.json("metrics.json")
    thresholds = np.array(result["cross_fitted_thresholds"])
    assert np.array_equal(predicted, probabilities >= thresholds[fold_of])
    figures = result["cross_fitted"]
    assert figures["f1"]["value"] == pytest.approx(f1_score(labels, predicted))
    assert figures["auc"]["value"] == pytest.approx(auc_within_folds(rows))
    absent = {"value": None, "low": None, "high": None}
    assert figures.pop("within_child_auc") == absent, "every child here has segments of one class only"
    assert figures["brier"]["value"] == pytest.approx(((probabilities - labels) ** 2).mean())
    assert figures["sensitivity"]["value"] == pytest.approx(predicted[labels == 1].mean())
    assert figures["specificity"]["value"] == pytest.approx(1 - predicted[labels == 0].mean())
    assert figures["prevalence"]["value"] == pytest.approx(0.5)
    assert figures["always_positive_f1"]["value"] == pytest.approx(2 / 3)
    assert {"precision", "average_precision"} < set(figures)
    for estimate in figures.values():
        assert set(estimate) == {"value", "low", "high"}
        assert estimate["low"] <= estimate["value"] <= estimate["high"]
    assert result["cross_fitted_weights"] == [{"stgcn_mil": 1.0}] * 3


def test_calibration_and_threshold_for_a_fold_come_from_the_other_folds(whole):
    rows = whole.table("oof.csv")
    labels, logits = column(rows, "label").astype(int), column(rows, "stgcn_mil_logit")
    fold_of = column(rows, "fold").astype(int)
    posed = np.array([row["segment_name"] != "child_5_1.npy" for row in rows])
    thresholds = whole.json("metrics.json")["cross_fitted_thresholds"]
    for fold in range(3):
        fitted = (fold_of != fold) & posed
        slope, offset = calibration.fit_calibration(logits[fitted], labels[fitted])
        last_slope, last_offset = calibration.fit_calibration(slope * logits[fitted] + offset, labels[fitted])
        values = np.where(posed, last_slope * (slope * logits + offset) + last_offset, logits)
        probabilities = calibration.probability(values)
        assert thresholds[fold] == pytest.approx(expected_threshold(probabilities[fold_of != fold]), rel=1e-12)
        assert column(rows, "probability")[fold_of == fold] == pytest.approx(probabilities[fold_of == fold], abs=1e-12)


def test_the_content_of_a_fold_never_changes_its_own_parameters(done):
    """Calibration and threshold of a fold stay the same when its labels are turned; those of the others change."""
    run, _ = done.open()
    before = done.json("metrics.json")["cross_fitted_thresholds"]
    turned = np.where(run.fold_of == 1, 1 - run.data.labels, run.data.labels)
    decide(dataclasses.replace(run, data=dataclasses.replace(run.data, labels=turned)))
    after = done.json("metrics.json")["cross_fitted_thresholds"]
    assert after[1] == before[1]
    assert after[0] != before[0]
    assert after[2] != before[2]


def test_a_model_alone_is_evaluated_like_the_blend_and_child_context_both_ways(whole):
    result = whole.json("metrics.json")
    assert result["each_model"] == {"stgcn_mil": result["cross_fitted"]}
    assert set(result["child_context"]) == {"with_context", "without_context"}
    assert result["child_context"]["without_context"] == result["cross_fitted"]


def test_metrics_name_data_protocol_and_model_and_mark_simulated_data(whole, trained):
    result = whole.json("metrics.json")
    assert result["data"] == whole.json("run.json")["data"]
    assert (result["models"], result["note"], result["one_class_folds"]) == ({"stgcn_mil": [0]}, "", [])
    assert "resampling children" in result["protocol"]
    assert "SIMULATED" in strict_json(trained / "metrics.json")["note"]
    assert strict_json(trained / "run.json")["data"]["simulated"] is True


def test_folds_and_cohorts_have_metrics_of_their_own(whole):
    result = whole.json("metrics.json")
    assert [(row["fold"], row["segments"], row["children"]) for row in result["folds"]] == [
        (fold, 4, 2) for fold in range(3)
    ]
    cohorts = result["groups"]["cohort"]
    counts = {name: (figures["segments"], figures["children"]) for name, figures in cohorts.items()}
    assert counts == {"home": (8, 4), "ward": (4, 2)}
    rows = [row for row in whole.table("oof.csv") if row["child"] in ("4", "5")]
    assert len({(row["fold"], row["label"]) for row in rows}) == len({row["fold"] for row in rows}) == 2
    assert cohorts["ward"]["auc"] is None, "its two classes are in different folds"
    home = [row for row in whole.table("oof.csv") if row["child"] not in ("4", "5")]
    assert cohorts["home"]["auc"] == pytest.approx(auc_within_folds(home))
    right = [row["label_predicted"] == row["label"] for row in rows]
    for label, name in (("1", "sensitivity"), ("0", "specificity")):
        of_label = [hit for hit, row in zip(right, rows, strict=True) if row["label"] == label]
        assert cohorts["ward"][name] == pytest.approx(np.mean(of_label))
    for fold, figures in enumerate(result["folds"]):
        spasms = [row for row in whole.table("oof.csv") if (row["fold"], row["label"]) == (str(fold), "1")]
        found = [row["label_predicted"] == "1" for row in spasms]
        assert figures["sensitivity"] == pytest.approx(np.mean(found))


def test_the_manifest_holds_settings_versions_command_and_digests(whole):
    manifest = whole.json("stgcn_mil/manifest.json")
    assert (manifest["schema"], manifest["settings"]) == (2, to_tree(SMALL))
    assert manifest["versions"]["torch"] == version("torch")
    assert manifest["environment"] == ENVIRONMENT
    assert set(manifest["files"]) == {
        f"seed_0/fold_{fold}{end}" for fold in range(3) for end in (".safetensors", "_oof.csv")
    }


def test_nothing_is_decided_before_every_fold_is_trained(fresh):
    assert fresh.train(folds=[2, 0]) is None
    assert not (fresh.run_path / "decision.json").exists()
    assert fresh.train(folds=[1]) is not None
    assert fresh.json("decision.json")["models"]["stgcn_mil"]["seeds"] == [0]


def fold_with_one_class(folder: Path) -> Path:
    """A folds file for six children in which fold 0 scores children 0 and 2, whose labels are all 0."""
    folds = {0: 0, 2: 0, 1: 1, 4: 1, 3: 2, 5: 2}
    rows = [f"child_{child}_{number}.npy,{folds[child]}" for child in range(6) for number in range(2)]
    (folder / "folds_file.csv").write_text("segment_name,fold\n" + "\n".join(rows) + "\n")
    return folder / "folds_file.csv"


def test_a_fold_with_one_class_is_warned_about_and_its_auc_is_null(fresh, capsys):
    code = train(fresh, "--folds-file", fold_with_one_class(fresh.folder))
    output = capsys.readouterr()
    assert (code, output.err) == (0, "warning: one class only, and no AUC of its own: fold 0, fold 2; "
                                     "3 of 6 children have positive segments (try another --fold-seed)\n")  # fmt: skip
    result = fresh.json("metrics.json")
    assert result["one_class_folds"] == [0, 2]
    assert [row["auc"] is None for row in result["folds"]] == [True, False, True]
    assert result["folds"][0]["sensitivity"] is None
    assert result["cross_fitted"]["auc"]["value"] is not None


def train(training: Training, *more: object) -> int:
    """train_folds.py in this process; its exit code."""
    flags = ["--data", training.data, "--run", training.run_path, "--cache", training.folder / "cache", "--frames", T,
             "--device", "cpu", "--precision", "float32", "--workers", 1, *FLAGS, *more]  # fmt: skip
    return code_of("train_folds", *flags)


def test_the_command_and_the_library_end_with_the_same_bytes(whole, tmp_path, contents):
    assert train(Training(tmp_path, whole.data), "--folds", 3) == 0
    assert contents(tmp_path / "run") == contents(whole.run_path)


# ---- what is refused


@pytest.mark.parametrize(
    ("name", "value", "flag"),
    [("epochs", 3, "--epochs 2"), ("width", 8, "--width 4"), ("body_scale", True, "--body-scale False"),
     ("mirror_prob", 0.0, "--mirror-prob 0.5"), ("head", "topk", "--head attn"),
     ("learning_rate", 1e-4, "--learning-rate 0.003")],
)  # fmt: skip
def test_continuing_with_another_setting_is_refused_and_names_the_flag(done, contents, name, value, flag):
    before = contents(done.run_path)
    with pytest.raises(DataError, match=f"was begun with other settings: {flag} \\(give the same"):
        done.open(config=changed(SMALL, **{name: value}))
    assert contents(done.run_path) == before


@pytest.mark.parametrize(("name", "value", "flag"), [("device", "cuda", "--device cpu"),
                                                     ("precision", "bfloat16", "--precision float32")])  # fmt: skip
def test_continuing_on_other_hardware_is_refused_and_names_the_flag(done, name, value, flag):
    with pytest.raises(DataError, match=flag):
        done.open(**{name: value})


@pytest.mark.parametrize(
    ("before", "now", "change"),
    [("a" * 64, "b" * 64, "has changed"), ("a" * 64, None, "has gone from the data"),
     (None, "a" * 64, "was added to the data")],
)  # fmt: skip
def test_onsets_that_changed_went_or_came_between_two_folds_are_named(fresh, before, now, change):
    def environment(digest: str | None) -> dict[str, str]:
        return {} if digest is None else {"onsets_sha256": digest}

    fresh.open(**environment(before))
    with pytest.raises(DataError, match=f"onsets.csv {change} since these folds were begun"):
        fresh.open(**environment(now))
    fresh.open(**environment(before))


@pytest.mark.parametrize("held", ["train_data.csv", "report.html", "oof.csv"])
def test_a_run_is_not_written_over_a_data_folder_or_files_of_others(fresh, held):
    fresh.run_path.mkdir()
    (fresh.run_path / held).write_text("mine")
    with pytest.raises(DataError, match="nothing was written"):
        fresh.open()
    assert [path.name for path in fresh.run_path.iterdir()] == [held]


def test_a_run_is_not_written_into_the_folder_that_holds_the_runs(fresh, tmp_path):
    fresh.open()
    fresh.run_path = tmp_path
    with pytest.raises(DataError, match=r"holds runs and is none itself: .*/run \("):
        fresh.open()
    assert not (tmp_path / "run.json").exists()


def test_a_folds_file_that_is_refused_leaves_no_run_behind(fresh, tmp_path):
    (tmp_path / "folds_file.csv").write_text("segment_name,fold\nchild_0_0.npy,0\n")
    with pytest.raises(DataError, match="have no fold"):
        fresh.open(split=Folds(folds_file=tmp_path / "folds_file.csv"))
    assert not fresh.run_path.exists()


def test_another_fold_count_kind_or_seed_is_refused(done):
    for split in (Folds(folds=2), Folds(folds=3, fold_seed=1), Folds(folds=3, splitter="grouped"),
                  Folds(folds_file=fold_with_one_class(done.folder))):  # fmt: skip
        with pytest.raises(
            DataError, match=r"run\.json: the run was made with other folds: .*--fold-seed 0, not .*another --run"
        ):
            done.open(split=split)


def test_other_data_is_refused(fresh):
    fresh.open()
    path = fresh.data / "train_data.csv"
    original = path.read_text()
    path.write_text(original.replace("child_0_0.npy,0", "child_0_0.npy,1"))
    with pytest.raises(DataError, match=r"run\.json: the run was made with other data"):
        fresh.open()
    path.write_text(original)
    fresh.open()
    saved(fresh.data / "train", pose(99), "child_0_0.npy")
    with pytest.raises(DataError, match=r"run\.json: the run was made with other data"):
        fresh.open()


def test_another_length_of_segments_is_refused(fresh, tmp_path):
    fresh.open()
    longer = make_data(tmp_path / "longer", children=6)
    for path in (longer / "train").iterdir():
        np.save(path, np.concatenate([np.load(path)] * 2))
    fresh.data = longer
    with pytest.raises(DataError, match=rf"run was made with other frames \(T\): {T}, not {2 * T}"):
        fresh.open(frames=2 * T)


def test_the_same_data_in_another_place_is_the_same_data(done, tmp_path):
    done.data = Path(shutil.copytree(done.data, tmp_path / "moved"))
    done.train()
    assert done.json("run.json")["data"]["path"] != str(done.data), "the run names the folder it was trained on"


def test_changed_folds_are_noticed(done):
    path = done.run_path / "folds.csv"
    path.write_text(path.read_text().replace(",0\n", ",1\n", 1))
    with pytest.raises(DataError, match=r"folds\.csv: has changed since the run was made"):
        done.open()


def test_folds_are_read_from_the_run_and_not_made_again(fresh, monkeypatch):
    first, _ = fresh.open()
    # As after an upgrade of the library that makes them.
    monkeypatch.setattr(folder, "make_folds", lambda labels, *others: (np.arange(len(labels)) // 2 + 1) % 3)
    second, _ = fresh.open()
    assert np.array_equal(first.fold_of, second.fold_of)


@pytest.mark.parametrize("name", ["seed_0/fold_1.safetensors", "seed_0/fold_1_oof.csv"])
def test_a_changed_or_missing_file_of_a_finished_fold_is_noticed(done, name):
    path = done.model_path / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"{Path(name).name}: has changed since it was written"):
        done.open()
    path.unlink()
    with pytest.raises(DataError, match=rf"{Path(name).name}: is missing"):
        done.open()


def test_folds_without_their_manifest_are_refused_and_not_adopted(done):
    (done.model_path / "manifest.json").unlink()
    with pytest.raises(DataError, match=r"manifest\.json: is missing"):
        done.open(config=changed(SMALL, epochs=3))
    assert not (done.model_path / "manifest.json").exists()


def test_scores_of_other_segments_than_the_folds_are_refused(done):
    run, model_folder = done.open()
    path = model_folder.fold_oof(0, 1)
    path.write_text(path.read_text().replace("child_", "child_9"))
    model_folder.note_files(path)
    with pytest.raises(DataError, match="does not hold the segments of its fold"):
        decide(run)


def test_a_child_in_train_and_test_is_refused_before_a_run_is_made(fresh, capsys):
    add_to_test(fresh.data, pose(77), "child_1_9.npy")
    with pytest.raises(DataProblems):
        fresh.open()
    assert train(fresh) == 1
    assert "child 1 is in train and in test" in capsys.readouterr().err
    assert not fresh.run_path.exists()


def test_a_corrupt_last_checkpoint_is_named_and_never_replaced(fresh, capsys, monkeypatch):
    with monkeypatch.context() as patch:
        stop_after_one_epoch(patch, *fresh.open(), fold=0)
    last = fresh.model_path / "seed_0/fold_0_last.safetensors"
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 1
    last.write_bytes(content)
    assert train(fresh, "--folds", 3) == 1
    error = capsys.readouterr().err
    assert str(last) in error
    assert "delete it to train this fold again" in error
    assert last.read_bytes() == content
    last.write_bytes(b"")
    assert train(fresh, "--folds", 3) == 1
    assert last.read_bytes() == b""
    last.unlink()
    assert train(fresh, "--folds", 3) == 0, "what the message advises helps"


# ---- stopping anywhere


class InterruptedHere(BaseException):
    pass


def interrupt(monkeypatch: pytest.MonkeyPatch, at: int, after: bool) -> list[Path]:
    """Stop as a kill would just before or just after the save number `at`, counted from 0; lists the saves."""
    replace, saves = os.replace, []

    def stop(temporary, path):
        saves.append(Path(path))
        if len(saves) == at + 1 and not after:
            shutil.copy(
                temporary, Path(temporary).with_name(f"{files.TEMPORARY}{2**22 + 1}-{files.HOST}-00")
            )  # left by the kill
            raise InterruptedHere
        replace(temporary, path)
        if len(saves) == at + 1:
            raise InterruptedHere

    monkeypatch.setattr(files.os, "replace", stop)
    return saves


@pytest.mark.stress
def test_stopped_before_or_after_any_save_and_continued_it_ends_with_the_same_bytes(
    whole, tmp_path, monkeypatch, contents
):
    with monkeypatch.context() as patch:
        saves = interrupt(patch, -1, after=False)
        small = Training(tmp_path / "counted", whole.data)
        small.train()
        count = len(saves)
    expected = contents(whole.run_path)
    assert contents(small.run_path) == expected
    assert count > 30
    for at in range(count):
        small = Training(tmp_path / str(at), whole.data)
        with monkeypatch.context() as patch, pytest.raises(InterruptedHere):
            interrupt(patch, at, after=at % 2 == 0)
            small.train()
        with monkeypatch.context() as patch, pytest.raises(InterruptedHere):
            saves = interrupt(patch, 1, after=at % 2 == 1)  # and once more, soon after it was continued
            small.train()
        small.train()
        assert contents(small.run_path) == expected, f"stopped at save {at}"
        assert not list(small.run_path.rglob("*_last.safetensors"))


@pytest.mark.stress
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_killed_twenty_times_at_random_moments_it_ends_with_the_same_bytes(whole, tmp_path, contents):
    expected, kills = contents(whole.run_path), 0
    for attempt in itertools.count():
        small = Training(tmp_path / str(attempt), whole.data)
        ended = False
        while not ended:
            child = os.fork()
            if not child:
                try:
                    small.train()
                finally:
                    os._exit(0)
            time.sleep(random.uniform(0, 0.3))
            os.kill(child, signal.SIGKILL)
            ended = os.WIFEXITED(os.waitpid(child, 0)[1])  # it was faster
            kills += not ended
        small.train()
        assert contents(small.run_path) == expected
        if kills >= 20:
            break


@pytest.mark.stress
def test_a_full_disk_at_any_save_is_an_error_and_the_same_command_continues_after(
    whole, tmp_path, monkeypatch, contents, capsys
):
    expected = contents(whole.run_path)
    fsync = os.fsync
    for at in range(0, 60, 7):
        calls = []

        def full(handle, at=at, calls=calls):
            calls.append(handle)
            if len(calls) == at + 1:
                raise OSError(28, "No space left on device")
            fsync(handle)

        small = Training(tmp_path / str(at), whole.data)
        with monkeypatch.context() as patch:
            patch.setattr(files.os, "fsync", full)
            assert train(small, "--folds", 3) == 1, f"write {at}"
        error = capsys.readouterr().err
        assert error.startswith(f"error: {tmp_path}")
        assert error.endswith(
            ": No space left on device (free some disk space and run the same command again; it resumes)\n"
        )
        assert files.TEMPORARY not in error
        assert train(small, "--folds", 3) == 0
        assert contents(small.run_path) == expected


def test_a_finished_training_run_again_changes_nothing(done, contents):
    before = contents(done.run_path)
    stamps = {path: path.stat().st_mtime_ns for path in done.model_path.rglob("*.safetensors")}
    done.train()
    assert contents(done.run_path) == before
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps


# ---- seeds and models


def test_a_second_seed_averages_the_logits_and_leaves_the_files_of_the_first_alone(done):
    first = {path: (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino)
             for path in (done.model_path / "seed_0").iterdir()}  # fmt: skip
    done.train(seed=5, folds=[0, 1])
    assert done.json("decision.json")["models"]["stgcn_mil"]["seeds"] == [0], "a seed half trained does not count"
    done.train(seed=5, folds=[2])
    for path, (content, stamp, inode) in first.items():
        assert (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino) == (content, stamp, inode)

    chosen = done.json("decision.json")
    assert chosen["models"]["stgcn_mil"]["seeds"] == [0, 5]
    assert len(chosen["files"]) == 12
    by_seed = [
        {row["segment_name"]: float(row["logit"])
         for fold in range(3) for row in done.table(f"stgcn_mil/seed_{seed}/fold_{fold}_oof.csv")}
        for seed in (0, 5)
    ]  # fmt: skip
    assert by_seed[0] != by_seed[1]
    rows = done.table("oof.csv")
    mean = np.array([(by_seed[0][row["segment_name"]] + by_seed[1][row["segment_name"]]) / 2 for row in rows])
    assert column(rows, "stgcn_mil_logit") == pytest.approx(mean, abs=1e-12)
    assert column(rows, "probability_in_sample") == pytest.approx(calibrated(done, mean, rows), abs=1e-12)


def test_the_order_in_which_seeds_and_folds_are_trained_does_not_matter(whole, done, tmp_path, contents):
    done.train(seed=5)
    other = Training(tmp_path / "other", whole.data)
    other.train(seed=5, folds=[2, 0, 1])
    other.train(seed=0, folds=[1, 2, 0])
    assert contents(other.run_path) == contents(done.run_path)


def test_a_new_model_does_not_change_a_decision_by_itself(done):
    run, _ = done.open()
    before = (done.run_path / "decision.json").read_bytes()
    shutil.copytree(done.model_path, done.run_path / "another")
    result = decide(run)
    assert (done.run_path / "decision.json").read_bytes() == before
    assert header(done.run_path / "oof.csv") == OOF.replace("stgcn_mil", "another_logit,stgcn_mil", 1)
    assert list(result.each_model) == ["another", "stgcn_mil"], "it is evaluated together with the others"
    assert list(result.models) == ["stgcn_mil"]


def test_settings_of_the_blend_stay_when_a_model_gets_another_seed(done):
    run, _ = done.open()
    shutil.copytree(done.model_path, done.run_path / "another")
    blend = Blend(models=("another",), averaging="probability", threshold_rule="observed", prevalence=0.3)
    decide(run, blend)
    before = done.json("decision.json")
    assert (before["considered_models"], before["blend"]) == (["another", "stgcn_mil"], to_tree(blend))
    assert {name: model["weight"] for name, model in before["models"].items()} == pytest.approx(
        {"another": 0.5, "stgcn_mil": 0.5}, abs=0.05
    )
    done.train(seed=5)
    after = done.json("decision.json")
    assert (after["considered_models"], after["blend"]) == (before["considered_models"], before["blend"])
    assert after["models"]["stgcn_mil"]["seeds"] == [0, 5]
    assert after["models"]["another"]["seeds"] == [0]


def test_a_model_that_the_settings_name_and_that_is_gone_is_named(done):
    run, _ = done.open()
    shutil.copytree(done.model_path, done.run_path / "another")
    decide(run, Blend(models=("another",)))
    before = (done.run_path / "decision.json").read_bytes()
    shutil.rmtree(done.run_path / "another")
    with pytest.raises(
        DataError, match=r"another: is not, or no longer, trained in every fold \(put it back, or train"
    ):
        decide(run)
    assert (done.run_path / "decision.json").read_bytes() == before


def test_a_decision_whose_models_are_gone_is_made_again_from_those_that_are_there(done):
    run, _ = done.open()
    done.model_path.rename(done.run_path / "another")
    decide(run)
    assert list(done.json("decision.json")["models"]) == ["another"]


def test_without_named_models_the_first_decides_alone_until_a_default_one_is_complete(done):
    run, _ = done.open()
    done.model_path.rename(done.run_path / "another")
    decide(run)
    shutil.copytree(done.run_path / "another", done.run_path / "aaa")
    decide(run)
    assert done.json("decision.json")["considered_models"] == ["another"], "the models of the decision stay the same"
    shutil.copytree(done.run_path / "another", done.model_path)
    decide(run)
    assert done.json("decision.json")["considered_models"] == ["stgcn_mil"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ('{"models": {}}', "is of another version of this software"),
        ('{"schema": 1}', "is of another version of this software"),
        ('{"schema": 2, "considered_models": 5}', "is not a decision of this software: models: field required"),
    ],
)
def test_a_decision_of_another_version_is_named_and_made_again_once_it_is_deleted(done, contents, content, why):
    before, (run, _) = contents(done.run_path), done.open()
    path = done.run_path / "decision.json"
    path.write_text(content)
    with pytest.raises(DataError, match=rf"decision\.json: {why}"):
        decide(run)
    assert path.read_text() == content
    path.unlink()
    decide(run)
    assert contents(done.run_path) == before


def test_weights_without_a_trained_fold_hold_no_optimiser(whole):
    tensors = checkpoints.read_tensors(whole.model_path / "seed_0/fold_0.safetensors")
    assert "offset" in tensors
    assert not any(name.startswith("optimiser") for name in tensors)
    assert "no_pose_logit" not in tensors, "that belongs to the decision"


# ---- several processes


def test_folds_trained_by_several_processes_at_once_end_like_one_command(trained, train_flags, tmp_path, contents):
    run = tmp_path / "run"
    commands = [[sys.executable, "src/train_folds.py", *train_flags(run, "--fold", str(fold))] for fold in range(3)]
    pipe = subprocess.PIPE
    processes = [subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True) for command in commands]
    finished = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], finished
    assert contents(run) == contents(trained)
    assert any("next:    python submission.py" in stdout for stdout, _ in finished)


def test_a_run_that_lost_its_run_json_is_not_made_again_beside_its_models(done):
    (done.run_path / "run.json").unlink()
    with pytest.raises(DataError, match=r"run\.json: is missing beside trained models"):
        done.train()
    assert not (done.run_path / "run.json").exists()


# ---- files that do not belong here


def test_a_checkpoint_of_another_fold_is_named_and_never_continued(fresh, monkeypatch):
    run, model_folder = fresh.open()
    stop_after_one_epoch(monkeypatch, run, model_folder, fold=0)
    shutil.copy(model_folder.last(0, 0), model_folder.last(0, 1))
    with pytest.raises(DataError, match=r"fold_1_last\.safetensors: is not a checkpoint of fold 1, seed 0"):
        train_fold(run, model_folder, MODELS["stgcn_mil"], SMALL, FLOAT32, 0, 1)


def stop_after_one_epoch(monkeypatch, run, model_folder, fold):
    def stop(*_row):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ModelFolder, "note_history", stop)
        train_fold(run, model_folder, MODELS["stgcn_mil"], SMALL, FLOAT32, 0, fold)


def test_folds_that_the_manifest_does_not_name_are_not_counted_and_not_overwritten(done):
    shutil.copytree(done.model_path / "seed_0", done.model_path / "seed_5")
    run, model_folder = done.open()
    assert model_folder.complete_seeds(run.folds) == [0]
    with pytest.raises(DataError, match=r"seed_5/fold_0\.safetensors: is there, but this run did not write it"):
        train_fold(run, model_folder, MODELS["stgcn_mil"], SMALL, FLOAT32, 5, 0)


@pytest.mark.parametrize("key", ["frames", "data", "folds", "folds_sha256"])
def test_a_run_json_that_lacks_something_is_refused(done, key):
    path = done.run_path / "run.json"
    path.write_text(json.dumps({name: value for name, value in json.loads(path.read_text()).items() if name != key}))
    with pytest.raises(DataError, match=rf"run\.json: is not a run of this software: {key}: field required"):
        done.open()


@pytest.mark.parametrize("key", ["files", "settings"])
def test_a_manifest_that_lacks_something_is_refused(done, key):
    path = done.model_path / "manifest.json"
    path.write_text(json.dumps({name: value for name, value in json.loads(path.read_text()).items() if name != key}))
    with pytest.raises(DataError, match=rf"manifest\.json: is not a manifest of this software: {key}: field required"):
        done.open()


def test_folds_that_leave_one_class_to_train_on_are_refused_before_a_run_is_made(fresh, tmp_path):
    table = fresh.data / "train_data.csv"
    table.write_text(re.sub(r"(child_[1-5]_\d.npy),1", r"\1,0", table.read_text()))
    table.write_text(table.read_text().replace("child_0_0.npy,0", "child_0_0.npy,1"))
    with pytest.raises(DataError, match=r"positive segments with a pose of child 0 only.*whatever the folds"):
        fresh.open()
    assert not (fresh.run_path / "run.json").exists()
