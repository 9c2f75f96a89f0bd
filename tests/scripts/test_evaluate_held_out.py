"""evaluate_held_out.py: held-out people are strangers to everything that answers them."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import train_rocket
from sklearn.metrics import roc_auc_score
from train_rocket import TrainRocket

import evaluate_held_out
from evaluate_held_out import Transfer
from helpers.commands import SCRIPTS
from helpers.data import children, write
from helpers.poses import moving
from helpers.segments import make_data
from spasm.cli import app
from spasm.core.errors import DataError
from spasm.data.dataset import load_training
from spasm.evaluation import bootstrap

ROOT = Path(__file__).parents[2]
T = 16
# Data to transfer on: children 0 to 11 with 6 segments each, the odd ones filmed on a ward.
CHILDREN, EACH = 12, 6
FASTER = {"train_lgbm.py": ["--num-boost-round", "15", "--min-data-in-leaf", "3", "--folds", "3"],
          "train_rocket.py": ["--biases-per-kernel", "1", "--augmented-copies", "0", "--folds", "3"],
          "blend.py": ["--blend-trials", "15"]}  # fmt: skip


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
def calls(monkeypatch) -> list[list[str]]:
    """Lets the commands that evaluate_held_out.py calls run in this process, smaller; gives what was called."""
    called = []

    def here(words: list[str]) -> None:
        called.append(words)
        (main, settings) = next(both[:2] for both in SCRIPTS.values() if both[2].endswith(Path(words[0]).name))
        assert app.run(main, settings, "", [*words[1:], *FASTER.get(words[0], [])]) == 0

    monkeypatch.setattr(app, "call", here)
    monkeypatch.setattr(bootstrap, "RESAMPLES", 50)
    return called


@pytest.fixture
def run(calls, tmp_path, capsys):
    """Runs evaluate_held_out.py here; gives its out folder and what it printed."""

    def begin(data: Path, *more: object, out: str = "out", code: int = 0) -> tuple[Path, str]:
        flags = ["--data", data, "--frames", T, "--out", tmp_path / out, "--cache", tmp_path / "cache", "--workers", 1]
        capsys.readouterr()
        assert app.run(evaluate_held_out.main, Transfer, "", list(map(str, [*flags, *more]))) == code
        captured = capsys.readouterr()
        return tmp_path / out, captured.out if code == 0 else captured.err

    return begin


# ---- who is held out


def test_every_segment_is_answered_once_by_a_run_that_never_saw_its_child(run, data):
    out, text = run(data, "--members", "lgbm", "--group-column", "cohort")
    rows = table(out / "answers.csv")
    assert [row["segment_name"] for row in rows] == sorted(path.name for path in (data / "train").iterdir())
    for row in rows:
        assert row["part"] == ("home", "ward")[int(row["child"]) % 2]
    for part in ("home", "ward"):
        mine = [row for row in rows if row["part"] == part]
        answered = table(out / f"without_{part}/answer_probabilities.csv")
        assert {row["segment_name"]: (row["probability"], row["answer"]) for row in mine} == {
            row["segment_name"]: (row["probability"], row["label"]) for row in answered
        }
        known = {row["child"] for row in table(out / f"without_{part}/run/folds.csv")}
        assert known == {str(child) for child in range(CHILDREN)} - {row["child"] for row in mine}
        for path in (out / f"without_{part}").rglob("*"):
            if path.is_file() and "answer" not in path.name and path.suffix != ".npy" and path.name != "groups.csv":
                assert not any(row["segment_name"].encode() in path.read_bytes() for row in mine), path
    labels, probabilities = ([float(row[name]) for row in rows] for name in ("label", "probability"))
    figures = json.loads((out / "metrics.json").read_text())
    assert figures["held_out"]["auc"]["value"] == pytest.approx(roc_auc_score(labels, probabilities))
    assert figures["held_out"]["auc"]["value"] > 0.8
    assert "held out home: F1" in text and "held out ward: F1" in text
    assert text.splitlines()[-1] == f"written: {out}/answers.csv, metrics.json and the runs"


@pytest.mark.parametrize("member", ["lgbm", "rocket"])
def test_the_labels_of_held_out_people_change_nothing_in_their_answers(run, data, member):
    def answers(out: str) -> dict[str, list[tuple[str, str]]]:
        rows = table(run(data, "--members", member, "--group-column", "cohort", out=out)[0] / "answers.csv")
        return {
            part: [(row["probability"], row["answer"]) for row in rows if row["part"] == part]
            for part in ("home", "ward")
        }

    before = answers("before")
    lines = (data / "train_data.csv").read_text().splitlines()
    for number, line in enumerate(lines[1:], 1):
        name, label = line.split(",")
        if int(name.split("_")[1]) % 4 == 1:  # half of the ward's
            lines[number] = f"{name},{1 - int(label)}"
    (data / "train_data.csv").write_text("\n".join(lines) + "\n")
    after = answers("after")
    assert after["ward"] == before["ward"]
    assert after["home"] != before["home"], "the test is void unless labels that are trained on matter"


def test_other_people_who_are_held_out_change_nothing_in_an_answer(run, data):
    def answers(out: str) -> dict[str, dict[str, str]]:
        rows = table(run(data, "--members", "lgbm", "--group-column", "cohort", out=out)[0] / "answers.csv")
        return {row["segment_name"]: row for row in rows}

    before = answers("before")
    child = np.arange(CHILDREN * EACH) // EACH
    poses, labels = children(CHILDREN, EACH, T)
    changed = (child % 2 == 1) & (child > 2)
    poses[changed] = moving(9, T, changed.sum())
    shutil.rmtree(data)
    write(data, poses, labels, each=EACH)
    write_groups(data)
    after = answers("after")
    assert [name for name in before if name.startswith("child_1_") and after[name] == before[name]] == [
        f"child_1_{number}.npy" for number in range(EACH)
    ]
    for other in ("child_3_", "child_0_"):  # changed itself; answered by those who were trained on the changed
        assert any(after[name] != before[name] for name in before if name.startswith(other))


@pytest.mark.parametrize("count", [2, 3, 5])
def test_parts_hold_whole_children_and_everybody_once(data, tmp_path, count):
    loaded = load_training(data, T, "challenge", tmp_path / "cache")
    part_of = evaluate_held_out.parts(loaded, Transfer(outer_folds=count))
    assert set(part_of) == set(map(str, range(count)))
    for child in set(loaded.children):
        assert len({part for part, owner in zip(part_of, loaded.children, strict=True) if owner == child}) == 1
    assert np.array_equal(part_of, evaluate_held_out.parts(loaded, Transfer(outer_folds=count)))
    assert not np.array_equal(part_of, evaluate_held_out.parts(loaded, Transfer(outer_folds=count, outer_fold_seed=1)))


def test_dealt_by_segment_it_warns(run, data):
    out, text = run(data, "--members", "lgbm", "--group-column", "segment", "--outer-folds", 2)
    assert "WARNING: parts split children" in text
    rows = table(out / "answers.csv")
    assert len(rows) == CHILDREN * EACH
    assert len({(row["child"], row["part"]) for row in rows}) > CHILDREN


# ---- what it calls


def test_the_flags_arrive_in_every_run(run, data):
    flags = [
        "--group-column",
        "cohort",
        "--seed",
        3,
        "--averaging",
        "percentile",
        "--child-context",
        True,
        "--fold-averaging",
        "logit",
    ]
    out, _ = run(data, "--members", "rocket", *flags)
    for part in ("home", "ward"):
        decision = json.loads((out / f"without_{part}/run/decision.json").read_text())
        assert decision["members"]["rocket"]["seeds"] == [3]
        blend = decision["blend"]
        assert (blend["averaging"], blend["fold_averaging"], blend["context"]) == ("percentile", "logit", True)


def test_it_calls_what_a_user_would_type_for_each_part(run, data, monkeypatch):
    called = []

    def note(words: list[str]) -> None:
        called.append(words)
        if "--out" in words:
            out, test = (Path(words[words.index(flag) + 1]) for flag in ("--out", "--test"))
            rows = [f"{path.name},0.25,0\n" for path in sorted(test.iterdir())]
            out.with_name("answer_probabilities.csv").write_text("segment_name,probability,label\n" + "".join(rows))

    monkeypatch.setattr(app, "call", note)
    out, _ = run(data, "--members", "rocket", "stgcn_mil", "lgbm", "--group-column", "cohort")
    scripts = ["train_rocket.py", "train_folds.py", "train_lgbm.py", "blend.py", "../submission.py"]
    assert [words[0] for words in called] == scripts * 2
    assert all((Path(evaluate_held_out.__file__).parent / script).exists() for script in scripts)
    for number, words in enumerate(called):
        assert words[words.index("--run") + 1] == str(out / f"without_{('home', 'ward')[number // 5]}/run")
    assert called[3][-4:] == ["--members", "rocket", "stgcn_mil", "lgbm"]


def test_the_real_commands_answer_a_part_and_what_one_says_when_it_fails_is_repeated(data, tmp_path):
    (data / "groups.csv").write_text("child,site\n11,a\n" + "".join(f"{child},b\n" for child in range(11)))
    command = [sys.executable, "src/evaluate_held_out.py", "--data", data, "--frames", T, "--out", tmp_path / "out",
               "--group-column", "site", "--cache", tmp_path / "cache", "--workers", 1,
               "--members", "lgbm"]  # fmt: skip
    finished = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True)
    assert finished.returncode == 1
    assert "held out a: F1 " in finished.stdout
    names = [row["segment_name"] for row in table(tmp_path / "out/without_a/answer.csv")]
    assert names == [f"child_11_{number}.npy" for number in range(EACH)]
    assert finished.stderr.startswith("error: train_lgbm.py ended with 1: error: the training data: has 1 children")
    assert not (tmp_path / "out/answers.csv").exists()


def test_the_same_command_continues_and_gives_the_same_answers(run, data):
    flags = ["--members", "lgbm", "--group-column", "cohort"]
    out, _ = run(data, *flags)
    answers = (out / "answers.csv").read_bytes()
    weights = sorted(out.glob("without_*/run/lgbm/seed_0/*.txt"))
    before = [path.stat().st_mtime_ns for path in weights]
    assert len(weights) == 6
    (out / "answers.csv").unlink()
    run(data, *flags)
    assert (out / "answers.csv").read_bytes() == answers
    assert [path.stat().st_mtime_ns for path in weights] == before


def test_a_member_left_there_by_an_earlier_call_is_not_blended_unless_named(run, data, tmp_path):
    out, _ = run(data, "--members", "lgbm", "--group-column", "cohort")
    answers = (out / "answers.csv").read_bytes()
    for part in ("home", "ward"):
        run_flags = ["--run", out / f"without_{part}/run", "--data", out / f"without_{part}/data", "--frames", T]
        flags = [*run_flags, "--cache", tmp_path / "cache", "--workers", 1, *FASTER["train_rocket.py"]]
        assert app.run(train_rocket.main, TrainRocket, "", list(map(str, flags))) == 0
    run(data, "--members", "lgbm", "--group-column", "cohort")
    assert (out / "answers.csv").read_bytes() == answers


def test_the_data_folder_is_left_as_it_is_also_where_it_cannot_be_linked(run, data, monkeypatch):
    def other_disk(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    linked = run(data, "--members", "lgbm", "--group-column", "cohort", out="linked")[0]
    assert (linked / "without_home/test/child_0_0.npy").samefile(data / "train/child_0_0.npy")
    monkeypatch.setattr(os, "link", other_disk)
    copied = run(data, "--members", "lgbm", "--group-column", "cohort", out="copied")[0]
    assert not (copied / "without_home/test/child_0_0.npy").samefile(data / "train/child_0_0.npy")
    assert (copied / "answers.csv").read_bytes() == (linked / "answers.csv").read_bytes()
    assert {path: path.read_bytes() for path in data.rglob("*") if path.is_file()} == before


# ---- shuffled labels


def test_with_shuffled_labels_nothing_is_learned(run, data, tmp_path):
    shutil.rmtree(data)
    write(data, *children(70, 10, T), each=10)
    out, text = run(data, "--members", "lgbm", "--outer-folds", 2, "--shuffle-labels", True)
    assert "the labels were shuffled" in text
    rows = table(out / "answers.csv")
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
        evaluate_held_out.parts(load_training(data, T, "challenge", cache), Transfer(group_column=by))
    return caught.value


def test_a_column_that_is_not_there_is_named(run, data, calls, tmp_path):
    _, text = run(data, "--group-column", "hospital", code=1)
    assert text.startswith("error: groups.csv: child 0 has no hospital")
    assert calls == []
    assert not list((tmp_path / "out").rglob("*.csv"))


def test_a_child_without_a_value_and_a_folder_without_groups_are_named(data, tmp_path):
    text = (data / "groups.csv").read_text()
    (data / "groups.csv").write_text(text.replace("\n7,ward,7", "\n7,,7"))
    assert refused(data, tmp_path, "cohort").reason == "child 7 has no cohort"
    (data / "groups.csv").write_text(text.replace("\n7,ward,7", ""))
    assert refused(data, tmp_path, "cohort").reason == "child 7 has no cohort"
    (data / "groups.csv").unlink()
    assert refused(data, tmp_path, "cohort").reason == "child 0 has no cohort"


@pytest.mark.parametrize("value", ["../outside", "a b", "a/b", ".", "="])
def test_values_that_make_no_file_name_are_refused(data, tmp_path, value):
    text = (data / "groups.csv").read_text()
    (data / "groups.csv").write_text(text.replace("ward", value))
    assert "no file name" in refused(data, tmp_path, "cohort").reason


def test_one_value_for_all_leaves_nobody_to_train_on(data, tmp_path):
    text = (data / "groups.csv").read_text()
    (data / "groups.csv").write_text(text.replace("ward", "home"))
    assert refused(data, tmp_path, "cohort").reason == "all children have the same cohort"


def test_a_member_that_is_unknown_is_wrong_usage(run, data, calls):
    _, text = run(data, "--members", "gru", code=2)
    assert "--members gru is unknown; there are " in text
    assert calls == []


def test_fewer_children_than_parts_is_a_message(run, tmp_path):
    _, text = run(make_data(tmp_path / "few"), "--outer-folds", 5, code=1)
    assert "has 4 children for 5 folds" in text
