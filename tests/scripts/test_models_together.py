"""Models and their decision as the user trains, kills and continues them; nothing leaks, hangs or changes by itself."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from helpers.commands import Command, T, code_of, here, without_progress
from helpers.data import children, write
from helpers.processes import is_gone, wait_until
from helpers.repository import ROOT
from helpers.tables import table
from spasm.config.runtime import Hardware
from spasm.core import files
from spasm.data.pose import visible_mask
from spasm.data.segments import read_pose
from spasm.ensemble.blending import OofScores
from spasm.ensemble.calibration import probability
from spasm.evaluation import bootstrap
from spasm.inference.ensemble_predictor import open_folds
from spasm.runs.artefacts import read_decision

THREE = ("lgbm", "rocket", "stgcn_mil")


def mapped(process: int) -> set[str]:
    """Which of the two are in the memory of a process, as the system sees it."""
    maps = Path(f"/proc/{process}/maps").read_text()
    return {name for name, file in (("torch", "libtorch"), ("lightgbm", "lib_lightgbm")) if file in maps}


@pytest.fixture(scope="module")
def flags(train_flags, tmp_path_factory):
    """The flags that train some models into a run folder, or with none decide again."""
    cache = tmp_path_factory.mktemp("cache")

    def make(run: Path, models: tuple[str, ...], *more: object) -> list[str]:
        if models:
            return [*train_flags(run, "--workers", "1", models=models), *map(str, more)]
        return ["--decide-only", "--no-report", "--run", str(run), "--cache", str(cache), *map(str, more)]

    return make


@pytest.fixture(scope="module")
def many(simulated, tmp_path_factory) -> Path:
    """A test folder of 70 segments, more than are predicted at a time."""
    folder = tmp_path_factory.mktemp("many")
    sources = sorted((simulated / "test").iterdir()) + sorted((simulated / "train").iterdir())
    for number in range(70):
        shutil.copy(sources[number % len(sources)], folder / f"child_{100 + number // 10}_{number % 10}.npy")
    return folder


@pytest.fixture(scope="module")
def undisturbed(flags, tmp_path_factory) -> Path:
    """The three default models and their decision; tests must not change it."""
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    here("train_folds", *flags(run, THREE))
    return run


@pytest.fixture(scope="module")
def predicted(undisturbed, many, tmp_path_factory) -> Path:
    """The submission of `undisturbed`, by the real command."""
    out = tmp_path_factory.mktemp("predicted") / "submission.csv"
    command = [sys.executable, "submission.py", "--run", undisturbed, "--test", many, "--out", out]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (finished.returncode, without_progress(finished.stderr)) == (0, "")
    return out


@pytest.fixture
def copied(undisturbed, tmp_path) -> Path:
    return Path(shutil.copytree(undisturbed, tmp_path / "copied"))


@pytest.fixture
def start(tmp_path):
    """Starts a command; kills what a failing test leaves."""
    commands = []

    def begin(script: str, flags: list[str], hold: str = "nothing never") -> Command:
        commands.append(Command(tmp_path, script, flags, hold))
        return commands[-1]

    yield begin
    for command in commands:
        if command.process.poll() is None:
            command.kill_group()


def temporary(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob(f"{files.TEMPORARY}*")]


def decision_of(run: Path) -> dict:
    return json.loads((run / "decision.json").read_text())


# ---- killed, and begun again


@pytest.mark.stress
def test_a_training_killed_at_bad_moments_ends_with_the_bytes_of_an_undisturbed_run(
    start, flags, undisturbed, contents, tmp_path
):
    run = tmp_path / "run"
    for number, (hold, library) in enumerate(
        [
            ("lgbm/seed_0/fold_1.txt before", "lightgbm"),
            ("lgbm/importance.csv before", "lightgbm"),
            ("rocket/seed_0/fold_0.safetensors before", "torch"),
            ("rocket/seed_0/fold_0_oof.csv after", "torch"),
        ]
    ):
        command = start("train_folds", flags(run, THREE, "--workers", 1 if number % 2 else 2), hold)
        holder = command.held()
        assert holder != command.process.pid, "the test is void unless a worker is held"
        if number % 2:
            command.kill_group()
        else:
            command.kill_parent()
            assert is_gone(holder)
        imported = command.imported()
        assert imported[holder] == {library}
        assert {"torch", "lightgbm"} not in imported.values(), "the two crash together on some systems"

    command = start("train_folds", flags(run, THREE), "decision.json before")
    command.held()
    command.kill_group()
    assert temporary(run), "the test is void unless the kill came inside a save"
    code, stdout, stderr = start("train_folds", flags(run, THREE)).end()
    assert (code, stderr) == (0, "")
    assert stdout.splitlines()[-1].startswith(f"next:    python submission.py --run {run} --test ")
    kept = contents(run)  # and nothing that a killed command left
    assert kept == contents(undisturbed)


@pytest.mark.stress
def test_a_decision_killed_inside_its_save_is_the_old_one_and_the_next_is_whole(start, flags, copied, contents):
    before = (copied / "decision.json").read_bytes()
    words = flags(copied, (), "--blend.averaging", "percentile")
    command = start("train_folds", words, "decision.json before")
    command.held()
    command.kill_group()
    assert (copied / "decision.json").read_bytes() == before
    assert temporary(copied), "the test is void unless the kill came inside a save"
    code, _, stderr = start("train_folds", words).end()
    assert (code, stderr) == (0, "")
    assert decision_of(copied)["averaging"] == "percentile"
    assert temporary(copied) == []


@pytest.mark.stress
def test_a_submission_killed_while_models_predict_leaves_no_process_and_ends_with_the_same_bytes(
    start, undisturbed, predicted, many, tmp_path
):
    out = tmp_path / "out/submission.csv"
    wanted = ["--run", str(undisturbed), "--test", str(many), "--out", str(out)]
    last = sorted(path.name for path in many.iterdir())[-1]
    command = start("submission", wanted, f"{last} open")  # when a first batch is with the models
    assert command.held() == command.process.pid
    libraries = {process: mapped(process) for process in command.group()}
    assert libraries.pop(command.process.pid) == set()
    assert {"torch"} in libraries.values() and {"lightgbm"} in libraries.values()
    assert {"torch", "lightgbm"} not in libraries.values()
    command.kill_parent()
    assert list(out.parent.iterdir()) == []

    command = start("submission", wanted)
    code, _, stderr = command.end()
    assert (code, stderr) == (0, "")
    imported = command.imported()
    assert command.process.pid not in imported
    assert sorted(map(sorted, imported.values()))[0] == ["lightgbm"]
    assert {len(names) for names in imported.values()} == {1}
    assert {path.name: path.read_bytes() for path in out.parent.iterdir()} == {
        path.name: path.read_bytes() for path in predicted.parent.iterdir()
    }


@pytest.mark.stress
def test_a_submission_killed_inside_a_save_leaves_no_half_submission_and_the_next_one_cleans_up(
    start, undisturbed, predicted, many, tmp_path
):
    wanted = ["--run", str(undisturbed), "--test", str(many), "--out", str(tmp_path / "out/submission.csv")]
    command = start("submission", wanted, "submission.csv before")
    command.held()
    command.kill_group()
    assert temporary(tmp_path / "out"), "the test is void unless the kill came inside a save"
    assert not (tmp_path / "out/submission.csv").exists()
    here("submission", *wanted)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == {
        path.name: path.read_bytes() for path in predicted.parent.iterdir()
    }


@pytest.mark.stress
def test_a_models_process_that_is_killed_ends_the_submission_with_a_message(start, undisturbed, many, tmp_path):
    out = tmp_path / "submission.csv"
    last = sorted(path.name for path in many.iterdir())[-1]
    wanted = ["--run", str(undisturbed), "--test", str(many), "--out", str(out)]
    command = start("submission", wanted, f"{last} open")
    command.held()
    victim = next(process for process in command.group() if mapped(process) == {"torch"})
    os.kill(victim, signal.SIGKILL)  # as the system does when memory runs out
    command.note.unlink()
    code, stdout, stderr = command.end()
    assert (code, stdout) == (1, "")
    assert stderr.startswith("error: a model's process was killed")
    wait_until(lambda: not command.group())
    assert not out.exists()


# ---- what decides


def test_the_cheapest_model_is_trained_first_and_each_is_decided_on_when_it_is_complete(
    flags, undisturbed, contents, tmp_path, capsys, in_this_process
):
    run = tmp_path / "run"
    here("train_folds", *flags(run, ("stgcn_mil", "lgbm")))
    lines = capsys.readouterr().out.splitlines()
    found = [line.split(",")[0].split(":")[0] for line in lines if line.startswith(("lgbm", "stgcn_mil"))]
    assert found[:4] == ["lgbm", "lgbm", "stgcn_mil", "stgcn_mil"]
    assert decision_of(run)["considered_models"] == ["lgbm", "stgcn_mil"]
    here("train_folds", *flags(run, ("rocket",)))
    assert decision_of(run)["considered_models"] == ["lgbm", "rocket", "stgcn_mil"]
    assert contents(run) == contents(undisturbed), "settings of the blend stay, and the order does not matter"
    assert [name for name in table(run / "oof.csv")[0] if name.endswith("_logit")] == [
        "lgbm_logit", "rocket_logit", "stgcn_mil_logit",
    ]  # fmt: skip


def test_one_more_model_that_is_no_default_changes_no_byte_of_the_decision_until_it_is_named(
    copied, flags, capsys, in_this_process
):
    before = (copied / "decision.json").read_bytes()
    predictions = {row["segment_name"]: row["probability"] for row in table(copied / "oof.csv")}
    vsvig = flags(copied, ("vsvig",), "--vsvig.epochs", 1, "--vsvig.width", 4, "--vsvig.batch", 8)
    here("train_folds", *vsvig)
    assert (copied / "decision.json").read_bytes() == before
    assert {row["segment_name"]: row["probability"] for row in table(copied / "oof.csv")} == predictions
    assert "vsvig_logit" in table(copied / "oof.csv")[0]
    metrics = json.loads((copied / "metrics.json").read_text())
    assert "vsvig" in metrics["each_model"] and "vsvig" not in metrics["models"]
    hint = "vsvig: evaluated, but not in the blend; to add: python src/train_folds.py --run "
    assert hint in capsys.readouterr().out

    here("train_folds", *flags(copied, (), "--blend.models", "vsvig"))
    assert decision_of(copied)["considered_models"] == ["lgbm", "rocket", "stgcn_mil", "vsvig"]
    assert hint not in capsys.readouterr().out
    named = (copied / "decision.json").read_bytes()
    here("train_folds", *vsvig)  # nothing is left to be trained, and what was named stays named
    assert (copied / "decision.json").read_bytes() == named
    here("train_folds", *flags(copied, ()))
    assert (copied / "decision.json").read_bytes() == before


def test_what_was_decided_once_is_decided_again_in_the_same_way(copied, flags, in_this_process):
    here("train_folds", *flags(copied, (), "--blend.averaging", "percentile"))
    chosen = (copied / "decision.json").read_bytes()
    assert decision_of(copied)["averaging"] == "percentile"
    here("train_folds", *flags(copied, ("lgbm",)))
    assert (copied / "decision.json").read_bytes() == chosen
    here("train_folds", *flags(copied, ("rocket",), "--seed", 1))
    decision = decision_of(copied)
    assert decision["models"]["rocket"]["seeds"] == [0, 1]
    assert decision["averaging"] == "percentile"


def test_deciding_again_with_the_same_settings_gives_the_same_bytes_and_trains_nothing(copied, flags, contents):
    before = contents(copied)
    stamps = {path: path.stat().st_mtime_ns for path in copied.rglob("seed_*/*") if path.is_file()}
    here("train_folds", *flags(copied, ()))
    assert contents(copied) == before
    here("train_folds", *flags(copied, (), "--blend.prevalence", 0.05))
    after = decision_of(copied)
    assert after["blend"]["prevalence"] == 0.05
    assert after["threshold"] != json.loads(before["decision.json"])["threshold"]
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps


def test_a_model_begun_but_not_complete_decides_nothing(copied, flags, capsys, in_this_process):
    before = (copied / "decision.json").read_bytes()
    here("train_folds", *flags(copied, ("rocket",), "--seed", 1, "--fold", 0))
    assert (copied / "decision.json").read_bytes() == before
    assert "rocket: folds 1, 2 of seed 1 are still to be trained" in capsys.readouterr().out


def test_models_that_are_not_trained_cannot_decide(copied, flags, tmp_path, capsys):
    assert code_of("train_folds", *flags(copied, (), "--blend.models", "stam")) == 1
    assert "stam: is not, or no longer, trained in every fold" in capsys.readouterr().err
    assert code_of("train_folds", *flags(copied, (), "--blend.models", "gru")) == 2
    assert "--blend.models gru is unknown" in capsys.readouterr().err
    assert code_of("train_folds", *flags(tmp_path / "absent", ())) == 1
    assert "there is no such run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "flag"), [("lgbm", "--lgbm.num-boost-round"), ("rocket", "--rocket.biases-per-kernel")]
)
def test_other_settings_of_a_model_are_refused_and_named(copied, flags, capsys, name, flag):
    assert code_of("train_folds", *flags(copied, (name,), flag, 3)) == 1
    assert f"was begun with other settings: --{flag.split('.')[1]}" in capsys.readouterr().err


def test_what_is_wrong_with_the_last_model_is_printed_before_the_first_is_trained(
    copied, flags, capsys, in_this_process
):
    words = flags(copied, THREE, "--seed", 1, "--stgcn-mil.epochs", 4)
    assert code_of("train_folds", *words) == 1
    assert "was begun with other settings: --epochs 3" in capsys.readouterr().err
    assert not list(copied.rglob("seed_1"))


def test_a_run_of_an_older_version_is_refused_in_one_sentence_by_every_command(copied, flags, many, tmp_path, capsys):
    out = tmp_path / "submission.csv"
    for script, words, name in (
        ("train_folds", flags(copied, ("lgbm",)), "run.json"),
        ("train_folds", flags(copied, ()), "run.json"),
        ("submission", ["--run", str(copied), "--test", str(many), "--out", str(out)], "decision.json"),
    ):
        path = copied / name
        whole = path.read_text()
        path.write_text(json.dumps({key: value for key, value in json.loads(whole).items() if key != "schema"}))
        assert code_of(script, *words) == 1
        reason = "is of another version of this software (schema 1; this one reads 2) (train into another --run)"
        assert capsys.readouterr().err == f"error: {path}: {reason}\n"
        path.write_text(whole)
    assert not out.exists()


# ---- what is predicted


@pytest.mark.parametrize("context", [False, True])
@pytest.mark.parametrize("averaging", ["probability", "logit", "percentile"])
def test_a_decision_read_from_its_file_predicts_the_out_of_fold_rows_as_they_stand_there(
    copied, flags, averaging, context
):
    switch = "--blend.child-context" if context else "--blend.no-child-context"
    here("train_folds", *flags(copied, (), "--blend.averaging", averaging, switch))
    decision = read_decision(copied)
    assert (decision.child_context is not None) == context
    rows = table(copied / "oof.csv")
    logits = {name: np.array([float(row[f"{name}_logit"]) for row in rows]) for name in THREE}
    has_pose = np.ptp(list(logits.values()), axis=0) > 0  # without one all models say the same
    assert 0 < (~has_pose).sum() < 5
    decided = OofScores(
        {name: logits[name] for name in decision.models}, np.array([row["child"] for row in rows]), has_pose
    )
    stand = [float(row["probability_in_sample"]) for row in rows]
    assert decision.parameters.probability(decided) == pytest.approx(np.array(stand), rel=1e-12)


def test_the_prediction_is_what_the_models_say_averaged_as_the_decision_says(undisturbed, predicted, many):
    decision = read_decision(undisturbed)
    poses = np.stack([read_pose(path, T, many) for path in sorted(many.iterdir())])
    has_pose = visible_mask(poses).any(axis=(1, 2))
    assert 0 < (~has_pose).sum() < len(poses) / 2
    total = np.zeros(has_pose.sum())
    for name, model in decision.models.items():
        opened = open_folds(undisturbed, name, model, "all", range(3), Hardware())
        by_fold = opened.predict(poses, np.flatnonzero(has_pose)).logits
        assert by_fold.shape == (3, len(total))
        slope, offset = model.calibration
        total += model.weight * (slope * by_fold.mean(axis=0) + offset)
    expected = np.full(len(poses), probability(decision.no_pose_logit))
    slope, offset = decision.fold_average_calibration
    expected[has_pose] = probability(slope * total + offset)
    rows = table(predicted.with_name("submission_probabilities.csv"))
    assert [row["segment_name"] for row in rows] == sorted(path.name for path in many.iterdir())
    assert [float(row["probability"]) for row in rows] == pytest.approx(expected.tolist(), abs=1e-5)
    assert [row["label"] for row in rows] == [str(int(float(row["probability"]) >= decision.threshold)) for row in rows]


# ---- damage


@pytest.mark.parametrize(
    "name", ["lgbm/seed_0/fold_1.txt", "rocket/seed_0/fold_2.safetensors", "rocket/seed_0/fold_0_oof.csv"]
)
def test_one_damaged_or_missing_file_stops_every_command_by_name(
    copied, flags, many, tmp_path, capsys, in_this_process, name
):
    path, out = copied / name, tmp_path / "submission.csv"
    whole = path.read_bytes()
    decision = (copied / "decision.json").read_bytes()
    commands = [
        ("submission", ["--run", str(copied), "--test", str(many), "--out", str(out)]),
        ("train_folds", flags(copied, ())),
        ("train_folds", flags(copied, (name.split("/")[0],))),
    ]
    for damaged in (whole[:500] + bytes([whole[500] ^ 1]) + whole[501:], whole[:-1], None):
        path.unlink()
        if damaged is not None:
            path.write_bytes(damaged)
        for script, words in commands:
            assert code_of(script, *words) == 1, script
            assert str(path) in capsys.readouterr().err
        path.write_bytes(whole)
    assert not out.exists()
    assert (copied / "decision.json").read_bytes() == decision


# ---- nothing leaks


@pytest.fixture
def fewer_resamples(monkeypatch):
    monkeypatch.setattr(bootstrap, "RESAMPLES", 50)


def auc_of_a_run(folder: Path, poses: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Cross-fitted AUC of each of two models and of their decision, by the command."""
    data, run = write(folder / "data", poses, labels, each=10), folder / "run"
    here("train_folds", "--run", run, "--cache", folder / "cache", "--data", data, "--frames", 16, "--folds", 2,
         "--no-report", "--models", "lgbm", "rocket", "--lgbm.num-boost-round", 20, "--rocket.biases-per-kernel", 1,
         "--rocket.augmented-copies", 0)  # fmt: skip
    result = json.loads((run / "metrics.json").read_text())
    alone = {name: metrics["auc"]["value"] for name, metrics in result["each_model"].items()}
    rows = table(run / "oof.csv")
    probabilities = [float(row["probability"]) for row in rows]
    return alone | {"blend": roc_auc_score([int(row["label"]) for row in rows], probabilities)}


def test_shuffled_labels_are_not_learned_and_true_ones_are(tmp_path, fewer_resamples, in_this_process):
    poses, labels = children(70, 10, 16)
    found = [
        auc_of_a_run(tmp_path / str(seed), poses, np.random.default_rng(seed).permutation(labels)) for seed in range(3)
    ]
    for name in ("lgbm", "rocket", "blend"):
        assert 0.4 < np.mean([aucs[name] for aucs in found]) < 0.6, found
    true = auc_of_a_run(tmp_path / "true", poses[:200], labels[:200])
    assert min(true["lgbm"], true["rocket"], true["blend"]) > 0.9, true


def test_what_is_known_of_a_child_is_no_use_on_others(tmp_path, fewer_resamples, in_this_process):
    """Each child has one label and moves in its own way: split by segment, the AUC would be 1."""
    poses, _ = children(40, 10, 16)
    generator = np.random.default_rng(0)
    poses = poses[::10].repeat(10, axis=0) + generator.normal(0, 1e-3, poses.shape)
    labels = generator.permutation(np.arange(40) % 2).repeat(10)
    found = auc_of_a_run(tmp_path, poses.astype(np.float32), labels)
    for name in ("lgbm", "rocket", "blend"):
        assert 0.3 < found[name] < 0.7, found
