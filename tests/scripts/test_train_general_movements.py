"""train_general_movements.py: from pictures by class to a table, also after a kill."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from helpers.movements import write_pictures, write_poses
from helpers.repository import ROOT

FLAGS = ("--chunk-frames", 10, "--chunk-every", 10, "--side", 28, "--folds", 3, "--batch", 6, "--device", "cpu")
COMPARED = ("metrics.json", "chunks.csv", "subjects.csv", "history.csv", "confusion.png", "seed_0/fold_*")


def words_of(script, *words):
    return [sys.executable, f"src/{script}", *map(str, words)]


def run(script, *words):
    return subprocess.run(words_of(script, *words), cwd=ROOT, capture_output=True, text=True)


def train(tree, folder, *words):
    place = ("--data", tree, "--run", folder, "--cache", folder.parent / "cache")
    return run("train_general_movements.py", *place, *FLAGS, *words)


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for name in COMPARED for path in folder.glob(name)}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    tree = write_poses(write_pictures(tmp_path_factory.mktemp("tree") / "movements"))
    (tree / "simulated.json").write_text("{}")
    return tree


@pytest.fixture(scope="module")
def trained(tree, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    return folder, train(tree, folder, "--epochs", 10, "--workers", 1)


def test_a_tree_becomes_tables_metrics_and_a_picture(trained, tree):
    folder, finished = trained
    assert finished.returncode == 0, finished.stderr
    assert "SIMULATED 9 infants (3 WMs, 3 FMs, 3 PR), 27 chunks; 3 stratified folds" in finished.stdout
    assert "SIMULATED DATA" in finished.stdout
    result = json.loads((folder / "metrics.json").read_text())
    assert result["simulated"] is True
    assert (result["infants"], result["chunks"]) == (9, 27)
    assert np.sum(result["confusion_by_infant"]) == 9
    assert re.search(r"F1, mean over classes +\d\.\d{3}", finished.stdout)
    assert (folder / "confusion.png").read_bytes().startswith(b"\x89PNG")
    with (folder / "subjects.csv").open(newline="") as file:
        infants = list(csv.DictReader(file))
    with (folder / "chunks.csv").open(newline="") as file:
        chunks = list(csv.DictReader(file))
    columns = ["WMs_logit", "FMs_logit", "PR_logit"]
    for infant in infants:
        own = [[float(row[name]) for name in columns] for row in chunks if row["subject"] == infant["subject"]]
        assert np.allclose(np.mean(own, axis=0), [float(infant[name]) for name in columns])
        assert infant["class_predicted"] == ("WMs", "FMs", "PR")[int(np.argmax(np.mean(own, axis=0)))]
        assert {row["fold"] for row in chunks if row["subject"] == infant["subject"]} == {infant["fold"]}
    assert not list(folder.rglob("*_last.safetensors"))


def test_a_training_that_is_killed_ends_with_the_same_bytes_whatever_the_workers(trained, tree):
    whole, _ = trained
    folder = whole.parent / "killed"
    words = ("--data", tree, "--run", folder, "--cache", folder.parent / "cache", *FLAGS, "--epochs", 10)
    kills = 0
    for wait_for in ("seed_0/fold_0_last.safetensors", "seed_0/fold_0_chunks.csv"):
        process = subprocess.Popen(
            words_of("train_general_movements.py", *words, "--workers", 2),
            cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        deadline = time.monotonic() + 120
        while process.poll() is None and not (folder / wait_for).exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
        process.wait()
    assert kills
    assert not (folder / "metrics.json").exists()
    finished = train(tree, folder, "--epochs", 10, "--workers", 2)
    assert finished.returncode == 0, finished.stderr
    assert content(folder) == content(whole)


def test_a_finished_run_is_not_trained_again_and_other_settings_are_refused(trained, tree):
    folder, _ = trained
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("fold_*.safetensors")}
    assert train(tree, folder, "--epochs", 10).returncode == 0
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("fold_*.safetensors")} == before
    refused = train(tree, folder, "--epochs", 11)
    assert refused.returncode == 1
    assert "the run was made with other settings: epochs" in refused.stderr


def test_wrong_flags_are_refused_with_the_nearest_that_works(tree):
    refused = run("train_general_movements.py", "--data", tree, "--chunk-every", 12)
    assert refused.returncode == 2
    assert "--chunk-every 12 is no multiple of 5; use 10" in refused.stderr


def test_one_class_against_the_others_goes_through_the_ordinary_door(tree, tmp_path):
    data = ("--data", tree, "--positive", "FMs", "--frames", 30, "--cache", tmp_path / "cache")
    checked = run("verify.py", *data)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "--positive FMs" in checked.stdout.splitlines()[-1]
    folder = tmp_path / "run"
    words = ("--run", folder, "--models", "rocket", "--folds", 3, "--no-report", "--device", "cpu")
    finished = run("train_folds.py", *data, *words)
    assert finished.returncode == 0, finished.stderr
    assert "SIMULATED" in finished.stdout
    made = json.loads((folder / "run.json").read_text())["data"]
    assert (made["positive"], made["positives"], made["children"]) == ("FMs", 3, 9)
    again = run("train_folds.py", "--run", folder, "--decide-only", "--no-report", "--cache", tmp_path / "cache")
    assert again.returncode == 0, again.stderr
    other = run("train_folds.py", *data[:3], "PR", *data[4:], *words)
    assert other.returncode == 1, "labels of another class are another data set"
