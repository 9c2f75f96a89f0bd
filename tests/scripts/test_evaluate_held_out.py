"""evaluate_held_out.py: held-out children are strangers to everything that predicts them."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import evaluate_held_out
import train_folds
from helpers.data import children, write
from helpers.poses import moving
from helpers.segments import make_data
from spasm.cli import app
from spasm.config.runtime import Hardware
from spasm.core.errors import DataError
from spasm.data.dataset import load_training
from spasm.evaluation import bootstrap, held_out
from spasm.inference.trained_run import TrainedRun

ROOT = Path(__file__).parents[2]
T = 16
# Data to transfer on: children 0 to 11 with 6 segments each, the odd ones recorded on a ward.
CHILDREN, EACH = 12, 6
LGBM = ["--models", "lgbm", "--lgbm.num-boost-round", 15, "--lgbm.min-data-in-leaf", 3, "--folds", 3]
ROCKET = ["--models", "rocket", "--rocket.biases-per-kernel", 1, "--rocket.augmented-copies", 0, "--folds", 3]


def table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_groups(data: Path) -> None:
    rows = [f"{child},{('home', 'ward')[child % 2]},{child}\n" for child in range(CHILDREN)]
    (data / "groups.csv").write_text("child,cohort,age_months\n" + "".join(rows))


@pytest.fixture
def data(tmp_path) -> Path:
    folder = write(tmp_path / "data", *children(CHILDREN, EACH, T), each=EACH)
    write_groups(folder)
    return folder


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """Runs evaluate_held_out.py here; gives its out folder and what it printed."""
    monkeypatch.setattr(bootstrap, "RESAMPLES", 50)

    def begin(data: Path, *more: object, out: str = "out", code: int = 0) -> tuple[Path, str]:
        words = ["--data", data, "--frames", T, "--out", tmp_path / out, "--cache", tmp_path / "cache", "--workers", 1]
        words += [*more]
        capsys.readouterr()
        assert app.run(evaluate_held_out.main, evaluate_held_out.flags, "", list(map(str, words))) == code
        captured = capsys.readouterr()
        return tmp_path / out, captured.out if code == 0 else captured.err

    return begin


# ---- who is held out


def test_every_segment_is_predicted_once_by_a_run_that_never_saw_its_child(run, data):
    out, text = run(data, *LGBM, "--group-column", "cohort")
    rows = table(out / "predictions.csv")
    assert [row["segment_name"] for row in rows] == sorted(path.name for path in (data / "train").iterdir())
    for row in rows:
        assert row["part"] == ("home", "ward")[int(row["child"]) % 2]
    for part in ("home", "ward"):
        mine = [row for row in rows if row["part"] == part]
        trained = TrainedRun(out / f"without_{part}/run", Hardware(device="cpu"), 1)
        paths = [data / "train" / row["segment_name"] for row in mine]
        prediction = trained.predict_files(paths, data, [row["child"] for row in mine])
        assert [float(row["probability"]) for row in mine] == prediction.probability.tolist()
        assert [int(row["label_predicted"]) for row in mine] == prediction.label.tolist()
        known = {row["child"] for row in table(out / f"without_{part}/run/folds.csv")}
        assert known == {str(child) for child in range(CHILDREN)} - {row["child"] for row in mine}
        for path in (out / f"without_{part}").rglob("*"):
            if path.is_file() and path.suffix != ".npy" and path.name != "groups.csv":
                assert not any(row["segment_name"].encode() in path.read_bytes() for row in mine), path
    labels, probabilities = ([float(row[name]) for row in rows] for name in ("label", "probability"))
    auc = json.loads((out / "metrics.json").read_text())["held_out"]["auc"]["value"]
    assert auc == pytest.approx(roc_auc_score(labels, probabilities))
    assert auc > 0.8
    line = json.loads((out / "metrics.json").read_text())["calibration"]
    assert set(line) == {"slope", "offset"}
    assert "calibration slope, 1 is ideal" in text
    assert "held out home: F1" in text and "held out ward: F1" in text
    assert text.splitlines()[-1] == f"written: {out}/predictions.csv, metrics.json and the runs"


@pytest.mark.parametrize("model", [LGBM, ROCKET], ids=["lgbm", "rocket"])
def test_the_labels_of_held_out_children_change_nothing_in_their_predictions(run, data, model):
    def predictions(out: str) -> dict[str, list[tuple[str, str]]]:
        rows = table(run(data, *model, "--group-column", "cohort", out=out)[0] / "predictions.csv")
        return {
            part: [(row["probability"], row["label_predicted"]) for row in rows if row["part"] == part]
            for part in ("home", "ward")
        }

    before = predictions("before")
    lines = (data / "train_data.csv").read_text().splitlines()
    for number, line in enumerate(lines[1:], 1):
        name, label = line.split(",")
        if int(name.split("_")[1]) % 4 == 1:  # half of the ward's
            lines[number] = f"{name},{1 - int(label)}"
    (data / "train_data.csv").write_text("\n".join(lines) + "\n")
    after = predictions("after")
    assert after["ward"] == before["ward"]
    assert after["home"] != before["home"], "the test is void unless labels that are trained on matter"


def test_other_children_that_are_held_out_change_nothing_in_a_prediction(run, data):
    def predictions(out: str) -> dict[str, dict[str, str]]:
        rows = table(run(data, *LGBM, "--group-column", "cohort", out=out)[0] / "predictions.csv")
        return {row["segment_name"]: row for row in rows}

    before = predictions("before")
    child = np.arange(CHILDREN * EACH) // EACH
    poses, labels = children(CHILDREN, EACH, T)
    changed = (child % 2 == 1) & (child > 2)
    poses[changed] = moving(9, T, changed.sum())
    shutil.rmtree(data)
    write(data, poses, labels, each=EACH)
    write_groups(data)
    after = predictions("after")
    assert [name for name in before if name.startswith("child_1_") and after[name] == before[name]] == [
        f"child_1_{number}.npy" for number in range(EACH)
    ]
    for other in ("child_3_", "child_0_"):  # changed itself; predicted by those that were trained on the changed
        assert any(after[name] != before[name] for name in before if name.startswith(other))


@pytest.mark.parametrize("count", [2, 3, 5])
def test_parts_hold_whole_children_and_everybody_once(data, tmp_path, count):
    loaded = load_training(data, T, "challenge", tmp_path / "cache")
    part_of = held_out.parts(loaded, "", count, 0)
    assert set(part_of) == set(map(str, range(count)))
    for child in set(loaded.children):
        assert len({part for part, owner in zip(part_of, loaded.children, strict=True) if owner == child}) == 1
    assert np.array_equal(part_of, held_out.parts(loaded, "", count, 0))
    assert not np.array_equal(part_of, held_out.parts(loaded, "", count, 1))


def test_dealt_by_segment_it_warns(run, data):
    out, text = run(data, *LGBM, "--group-column", "segment", "--outer-folds", 2)
    assert "WARNING: parts split children" in text
    rows = table(out / "predictions.csv")
    assert len(rows) == CHILDREN * EACH
    assert len({(row["child"], row["part"]) for row in rows}) > CHILDREN


# ---- what it trains


def test_the_flags_arrive_in_every_run(run, data):
    blend = ["--blend.averaging", "percentile", "--blend.child-context"]
    out, _ = run(data, *ROCKET, "--group-column", "cohort", "--seed", 3, *blend)
    for part in ("home", "ward"):
        decision = json.loads((out / f"without_{part}/run/decision.json").read_text())
        assert decision["models"]["rocket"]["seeds"] == [3]
        assert decision["models"]["rocket"]["settings"]["biases_per_kernel"] == 1
        made = decision["blend"]
        assert (made["averaging"], made["child_context"]) == ("percentile", True)


def test_a_part_trains_as_the_training_command_does_on_the_same_children(run, data, tmp_path):
    out, _ = run(data, *LGBM, "--group-column", "cohort")
    words = ["--data", out / "without_home/data", "--frames", T, "--run", tmp_path / "alone", "--cache", tmp_path / "c"]
    words += ["--workers", 1, "--no-report", *LGBM]
    assert app.run(train_folds.main, train_folds.flags, "", list(map(str, words))) == 0
    for path in ("oof.csv", "lgbm/seed_0/fold_0.txt", "lgbm/seed_0/fold_2_oof.csv"):
        assert (tmp_path / "alone" / path).read_bytes() == (out / "without_home/run" / path).read_bytes()


def test_the_real_command_predicts_a_part_and_says_what_fails_in_the_next(data, tmp_path):
    (data / "groups.csv").write_text("child,site\n11,a\n" + "".join(f"{child},b\n" for child in range(11)))
    command = [sys.executable, "src/evaluate_held_out.py", "--data", data, "--frames", T, "--out", tmp_path / "out",
               "--group-column", "site", "--cache", tmp_path / "cache", "--workers", 1, *LGBM]  # fmt: skip
    finished = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True)
    assert finished.returncode == 1
    assert "held out a: F1 " in finished.stdout
    assert finished.stdout.splitlines()[-1] == "part b: 66 segments held out, 6 to train on"
    assert (
        "without_b/data: cannot be trained on: it has positive segments with a pose of child 11 only" in finished.stderr
    )
    assert not (tmp_path / "out/predictions.csv").exists()


def test_the_same_command_continues_and_gives_the_same_predictions(run, data):
    flags = [*LGBM, "--group-column", "cohort"]
    out, _ = run(data, *flags)
    predictions = (out / "predictions.csv").read_bytes()
    weights = sorted(out.glob("without_*/run/lgbm/seed_0/*.txt"))
    before = [path.stat().st_mtime_ns for path in weights]
    assert len(weights) == 6
    (out / "predictions.csv").unlink()
    run(data, *flags)
    assert (out / "predictions.csv").read_bytes() == predictions
    assert [path.stat().st_mtime_ns for path in weights] == before


def test_a_model_left_there_by_an_earlier_command_is_not_blended_unless_named(run, data):
    out, _ = run(data, *LGBM, "--group-column", "cohort")
    predictions = (out / "predictions.csv").read_bytes()
    both = [*LGBM, *ROCKET[2:-2]]
    both[1] = "lgbm,rocket"
    run(data, *both, "--group-column", "cohort")
    assert (out / "without_home/run/rocket/seed_0/fold_2.safetensors").exists()
    run(data, *LGBM, "--group-column", "cohort")
    assert (out / "predictions.csv").read_bytes() == predictions


def test_the_data_folder_is_left_as_it_is_also_where_it_cannot_be_linked(run, data, monkeypatch):
    def other_disk(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    linked = run(data, *LGBM, "--group-column", "cohort", out="linked")[0]
    assert (linked / "without_home/data/train/child_1_0.npy").samefile(data / "train/child_1_0.npy")
    monkeypatch.setattr(os, "link", other_disk)
    copied = run(data, *LGBM, "--group-column", "cohort", out="copied")[0]
    assert not (copied / "without_home/data/train/child_1_0.npy").samefile(data / "train/child_1_0.npy")
    assert (copied / "predictions.csv").read_bytes() == (linked / "predictions.csv").read_bytes()
    assert {path: path.read_bytes() for path in data.rglob("*") if path.is_file()} == before


# ---- shuffled labels


def test_with_shuffled_labels_nothing_is_learned(run, data, tmp_path):
    shutil.rmtree(data)
    write(data, *children(70, 10, T), each=10)
    out, text = run(data, *LGBM, "--outer-folds", 2, "--shuffle-labels")
    assert "the labels were shuffled" in text
    rows = table(out / "predictions.csv")
    given = {row["segment_name"]: row["label"] for row in table(data / "train_data.csv")}
    assert sum(row["label"] == "1" for row in rows) == sum(label == "1" for label in given.values())
    assert 0.4 < np.mean([row["label"] == given[row["segment_name"]] for row in rows]) < 0.6
    assert 0.4 < json.loads((out / "metrics.json").read_text())["held_out"]["auc"]["value"] < 0.6
    trained = table(out / "without_0/data/train_data.csv")
    shuffled = {row["segment_name"]: row["label"] for row in rows}
    assert all(shuffled[row["segment_name"]] == row["label"] for row in trained)


# ---- what it refuses


def refused(data: Path, cache: Path, by: str) -> DataError:
    with pytest.raises(DataError) as caught:
        held_out.parts(load_training(data, T, "challenge", cache), by, 5, 0)
    return caught.value


def test_a_column_that_is_not_there_is_named(run, data, tmp_path):
    _, text = run(data, "--group-column", "hospital", code=1)
    assert text.startswith("error: groups.csv: has no column 'hospital'")
    assert not list((tmp_path / "out").rglob("*.csv"))


def test_a_child_without_a_value_and_a_folder_without_groups_are_named(data, tmp_path):
    text = (data / "groups.csv").read_text()
    (data / "groups.csv").write_text(text.replace("\n7,ward,7", "\n7,,7"))
    assert refused(data, tmp_path, "cohort").reason == "child 7 has no cohort"
    (data / "groups.csv").write_text(text.replace("\n7,ward,7", ""))
    assert refused(data, tmp_path, "cohort").reason == "child 7 has no cohort"
    (data / "groups.csv").unlink()
    assert refused(data, tmp_path, "cohort").reason == "is not in the data folder"


def test_a_misspelt_column_is_met_by_the_nearest(data, tmp_path):
    assert refused(data, tmp_path, "cohrt").hint.startswith("did you mean cohort? Its columns are ")


@pytest.mark.parametrize("value", ["../outside", "a b", "a/b", ".", "="])
def test_values_that_make_no_file_name_are_refused(data, tmp_path, value):
    text = (data / "groups.csv").read_text()
    (data / "groups.csv").write_text(text.replace("ward", value))
    assert "cannot be in a file name" in refused(data, tmp_path, "cohort").reason


def test_one_value_for_all_leaves_no_child_to_train_on(data, tmp_path):
    text = (data / "groups.csv").read_text()
    (data / "groups.csv").write_text(text.replace("ward", "home"))
    assert refused(data, tmp_path, "cohort").reason == "all children have the same cohort"


def test_a_model_that_is_unknown_is_wrong_usage(run, data):
    _, text = run(data, "--models", "gru", code=2)
    assert "--models gru is unknown; the nearest is " in text


def test_fewer_children_than_parts_is_a_message(run, tmp_path):
    _, text = run(make_data(tmp_path / "few"), "--outer-folds", 5, code=1)
    assert "has 4 children for 5 folds" in text
