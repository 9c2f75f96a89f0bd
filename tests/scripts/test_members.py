"""Members and their blend as the user runs, kills and continues them; nothing leaks, hangs or changes by itself."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import blend
import numpy as np
import pytest
from blend import BlendMembers
from sklearn.metrics import roc_auc_score

from helpers.commands import ROOT, SCRIPTS, Command, T, here
from helpers.data import children, write
from helpers.processes import is_gone, wait_until
from spasm.cli import app
from spasm.config.runtime import Hardware
from spasm.core import files
from spasm.data.pose import visible_mask
from spasm.data.segments import read_pose
from spasm.ensemble.blending import OofScores
from spasm.ensemble.calibration import logit, probability
from spasm.evaluation import bootstrap
from spasm.models.registry import open_scorer
from spasm.runs.decision_json import choice_of, open_decision

SMALL = {
    "lgbm": ["--num-boost-round", "20", "--min-data-in-leaf", "5"],
    "rocket": ["--biases-per-kernel", "1"],
    "stgcn_mil": ["--epochs", "1", "--width", "8", "--blocks", "2", "--kernel", "5", "--device", "cpu",
                  "--precision", "float32"],
}  # fmt: skip
DRAFT = ["--blend-trials", "20"]


def mapped(process: int) -> set[str]:
    """Which of the two are in the memory of a process, as the system sees it."""
    maps = Path(f"/proc/{process}/maps").read_text()
    return {name for name, file in (("torch", "libtorch"), ("lightgbm", "lib_lightgbm")) if file in maps}


@pytest.fixture(scope="module")
def flags(simulated, tmp_path_factory):
    """The flags of a script for a run folder."""
    cache = tmp_path_factory.mktemp("cache")

    def make(script: str, run: Path, *more: object) -> list[str]:
        common = ["--run", run, "--cache", cache, *more]
        if script in SMALL:
            common += [*SMALL[script], "--data", simulated, "--frames", T, "--folds", 3]
        return list(map(str, common))

    return make


@pytest.fixture(scope="module")
def many(simulated, tmp_path_factory) -> Path:
    """A test folder of 70 segments, more than are answered at a time."""
    folder = tmp_path_factory.mktemp("many")
    sources = sorted((simulated / "test").iterdir()) + sorted((simulated / "train").iterdir())
    for number in range(70):
        shutil.copy(sources[number % len(sources)], folder / f"child_{100 + number // 10}_{number % 10}.npy")
    return folder


@pytest.fixture(scope="module")
def decisions() -> dict[str, bytes]:
    """decision.json after each step of `undisturbed`."""
    return {}


@pytest.fixture(scope="module")
def undisturbed(flags, decisions, tmp_path_factory) -> Path:
    """Three members, trained in this process and blended, the network left out; tests must not change it."""
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    for name in ("lgbm", "rocket", "stgcn_mil"):
        here(name, *flags(name, run, "--workers", 1))
        decisions[name] = (run / "decision.json").read_bytes()
    here("blend", *flags("blend", run, "--members", "lgbm", "rocket", *DRAFT))
    decisions["blend"] = (run / "decision.json").read_bytes()
    return run


@pytest.fixture(scope="module")
def answered(undisturbed, many, tmp_path_factory) -> Path:
    """The answer of `undisturbed`, by the real command."""
    out = tmp_path_factory.mktemp("answered") / "answer.csv"
    command = [sys.executable, "submission.py", "--run", undisturbed, "--test", many, "--out", out]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (finished.returncode, finished.stderr) == (0, "")
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


def table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def temporary(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob(f"{files.TEMPORARY}*")]


# ---- killed, and begun again


def test_trainings_and_blending_killed_at_bad_moments_end_with_the_bytes_of_an_undisturbed_run(
    start, flags, undisturbed, contents, tmp_path
):
    run = tmp_path / "run"
    for name, library, bad_moments in (
        ("lgbm", "lightgbm", ["fold_1.txt before", "importance.csv before"]),
        ("rocket", "torch", ["fold_0.safetensors before", "fold_0_oof.csv after"]),
    ):
        for number, hold in enumerate(bad_moments):
            command = start(name, flags(name, run, "--workers", 1 if number else 2), hold)
            holder = command.held()
            if number:
                command.kill_group()
            else:
                assert holder != command.process.pid, "the test is void unless a worker is held"
                command.kill_parent()
                assert is_gone(holder)
            imported = command.imported()
            assert imported[holder] == {library}
            assert set().union(*imported.values()) == {library}, "the two crash together on some systems"
        code, stdout, stderr = start(name, flags(name, run, "--workers", 1)).end()
        assert (code, stderr) == (0, "")
        assert "next: " in stdout
    here("stgcn_mil", *flags("stgcn_mil", run, "--workers", 1))

    blending = flags("blend", run, "--members", "lgbm", "rocket", *DRAFT)
    command = start("blend", blending, "decision.json before")
    command.held()
    command.kill_group()
    assert "rocket" not in json.loads((run / "decision.json").read_text())["members"]
    assert temporary(run), "the test is void unless the kill came inside a save"
    code, stdout, stderr = start("blend", blending).end()
    assert (code, stderr) == (0, "")
    assert stdout.splitlines()[-1].startswith(f"next:    python submission.py --run {run} --test ")
    kept = contents(run)  # and nothing that a killed command left
    assert kept == contents(undisturbed)


def test_a_submission_killed_while_members_answer_leaves_no_process_and_ends_with_the_same_bytes(
    start, undisturbed, answered, many, tmp_path
):
    out = tmp_path / "out/answer.csv"
    wanted = ["--run", str(undisturbed), "--test", str(many), "--out", str(out)]
    last = sorted(path.name for path in many.iterdir())[-1]
    command = start("submission", wanted, f"{last} open")  # when a first batch is with the members
    assert command.held() == command.process.pid
    group = command.group()
    libraries = {process: mapped(process) for process in group}
    assert libraries.pop(command.process.pid) == set()
    assert sorted(libraries.values(), key=len)[-2:] in ([{"torch"}, {"lightgbm"}], [{"lightgbm"}, {"torch"}])
    assert {"torch", "lightgbm"} not in libraries.values()
    command.kill_parent()
    assert list(out.parent.iterdir()) == []

    command = start("submission", wanted)
    code, _, stderr = command.end()
    assert (code, stderr) == (0, "")
    assert sorted(map(sorted, command.imported().values())) == [["lightgbm"], ["torch"]]
    assert {path.name: path.read_bytes() for path in out.parent.iterdir()} == {
        path.name: path.read_bytes() for path in answered.parent.iterdir()
    }


def test_a_submission_killed_inside_a_save_leaves_no_half_answer_and_the_next_one_cleans_up(
    start, copied, flags, many, tmp_path
):
    here("blend", *flags("blend", copied, "--members", "lgbm"))
    wanted = ["--run", str(copied), "--test", str(many), "--out"]
    here("submission", *wanted, tmp_path / "undisturbed/answer.csv")
    command = start("submission", [*wanted, str(tmp_path / "out/answer.csv")], "answer.csv before")
    command.held()
    command.kill_group()
    assert temporary(tmp_path / "out"), "the test is void unless the kill came inside a save"
    assert not (tmp_path / "out/answer.csv").exists()
    here("submission", *wanted, tmp_path / "out/answer.csv")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == {
        path.name: path.read_bytes() for path in (tmp_path / "undisturbed").iterdir()
    }


def test_a_members_process_that_is_killed_ends_the_submission_with_a_message(start, undisturbed, many, tmp_path):
    out = tmp_path / "answer.csv"
    last = sorted(path.name for path in many.iterdir())[-1]
    wanted = ["--run", str(undisturbed), "--test", str(many), "--out", str(out)]
    command = start("submission", wanted, f"{last} open")
    command.held()
    (victim,) = [process for process in command.group() if mapped(process) == {"torch"}]
    os.kill(victim, signal.SIGKILL)  # as the system does when memory runs out
    command.note.unlink()
    code, stdout, stderr = command.end()
    assert (code, stdout) == (1, "")
    assert stderr.startswith("error: a member's process was killed")
    wait_until(lambda: not command.group())
    assert not out.exists()


# ---- what decides


def test_a_new_member_changes_no_decision_before_the_blend(undisturbed, decisions):
    assert decisions["lgbm"] == decisions["rocket"] == decisions["stgcn_mil"]
    assert list(json.loads(decisions["lgbm"])["members"]) == ["lgbm"]
    assert decisions["blend"] != decisions["lgbm"]
    decision = json.loads(decisions["blend"])
    assert decision["blended"] == ["lgbm", "rocket"]
    assert list(decision["members"]) == ["lgbm", "rocket"], "the tests here are void unless both have a weight"
    assert [name for name in table(undisturbed / "oof.csv")[0] if name.endswith("_logit")] == [
        "lgbm_logit", "rocket_logit", "stgcn_mil_logit",
    ]  # fmt: skip


def test_what_was_blended_once_decides_again_in_the_same_way(copied, flags, capsys):
    here("blend", *flags("blend", copied, "--members", "rocket", "stgcn_mil", "--averaging", "percentile", *DRAFT))
    chosen = (copied / "decision.json").read_bytes()
    assert b'"averaging": "percentile"' in chosen
    here("lgbm", *flags("lgbm", copied, "--workers", 1))
    assert (copied / "decision.json").read_bytes() == chosen
    assert capsys.readouterr().out.splitlines()[-1] == f"next:    python src/blend.py --run {copied}"
    here("rocket", *flags("rocket", copied, "--workers", 1, "--seed", 1))
    decision = json.loads((copied / "decision.json").read_text())
    assert decision["members"]["rocket"]["seeds"] == [0, 1]
    assert decision["blended"] == ["rocket", "stgcn_mil"]


def test_a_member_begun_but_not_complete_decides_nothing(copied, flags):
    before = (copied / "decision.json").read_bytes()
    here("rocket", *flags("rocket", copied, "--workers", 1, "--seed", 1, "--fold", 0))
    assert (copied / "decision.json").read_bytes() == before


def test_members_that_are_not_trained_cannot_be_blended(copied, flags, tmp_path, capsys):
    assert app.run(blend.main, BlendMembers, "", flags("blend", copied, "--members", "stam")) == 2
    assert "--members stam is not trained" in capsys.readouterr().err
    assert app.run(blend.main, BlendMembers, "", flags("blend", tmp_path / "absent")) == 1
    assert "holds no run" in capsys.readouterr().err


def test_other_settings_of_a_member_are_refused_and_named(copied, flags, capsys):
    for name, flag in (("lgbm", "--num-boost-round"), ("rocket", "--biases-per-kernel")):
        main, settings, _ = SCRIPTS[name]
        changed = [word if word != {"lgbm": "20", "rocket": "1"}[name] else "3" for word in flags(name, copied)]
        assert app.run(main, settings, "", changed) == 1
        assert f"was begun with other settings: {flag}" in capsys.readouterr().err


# ---- what is answered


@pytest.mark.parametrize("context", [False, True])
@pytest.mark.parametrize("averaging", ["probability", "logit", "percentile"])
def test_a_decision_read_from_its_file_answers_the_out_of_fold_rows_as_they_stand_there(
    copied, flags, averaging, context
):
    here("blend", *flags("blend", copied, "--averaging", averaging, "--child-context", context, *DRAFT))
    decision = open_decision(copied)
    assert (decision["context"] is not None) == context
    rows = table(copied / "oof.csv")
    logits = {name: np.array([float(row[f"{name}_logit"]) for row in rows]) for name in SMALL}
    has_pose = np.ptp(list(logits.values()), axis=0) > 0  # without one all members say the same
    assert 0 < (~has_pose).sum() < 5
    decided = OofScores(
        {name: logits[name] for name in decision["members"]}, np.array([row["child"] for row in rows]), has_pose
    )
    stand = [float(row["probability"]) for row in rows]
    assert choice_of(decision).probability(decided) == pytest.approx(np.array(stand), rel=1e-12)


def test_the_answer_is_what_the_members_say_averaged_as_the_decision_says(undisturbed, answered, many):
    decision = open_decision(undisturbed)
    poses = np.stack([read_pose(path, T, many) for path in sorted(many.iterdir())])
    has_pose = visible_mask(poses).any(axis=(1, 2))
    assert 0 < (~has_pose).sum() < len(poses) / 2
    total = np.zeros(has_pose.sum())
    for name, member in decision["members"].items():
        scorer = open_scorer(undisturbed, name, member, range(3), Hardware())
        by_fold = scorer.score(poses, np.flatnonzero(has_pose))[0]
        assert by_fold.shape == (3, len(total))
        total += member["weight"] * (member["line"][0] * logit(probability(by_fold).mean(axis=0)) + member["line"][1])
    expected = np.full(len(poses), probability(decision["without_pose"]))
    expected[has_pose] = probability(decision["line"][0] * total + decision["line"][1])
    rows = table(answered.with_name("answer_probabilities.csv"))
    assert [row["segment_name"] for row in rows] == sorted(path.name for path in many.iterdir())
    assert [float(row["probability"]) for row in rows] == pytest.approx(expected.tolist(), abs=1e-5)
    assert [row["label"] for row in rows] == [
        str(int(float(row["probability"]) >= decision["threshold"])) for row in rows
    ]
    assert {row["peak_time_s"] for row in rows} == {""}, "neither member looks at frames"


# ---- damage


@pytest.mark.parametrize(
    "name", ["lgbm/seed_0/fold_1.txt", "rocket/seed_0/fold_2.safetensors", "rocket/seed_0/fold_0_oof.csv"]
)
def test_one_damaged_or_missing_file_stops_every_command_by_name(copied, flags, many, tmp_path, capsys, name):
    path, out = copied / name, tmp_path / "answer.csv"
    whole = path.read_bytes()
    decision = (copied / "decision.json").read_bytes()
    commands = {
        "submission": ["--run", str(copied), "--test", str(many), "--out", str(out)],
        "blend": flags("blend", copied),
        name.split("/")[0]: flags(name.split("/")[0], copied, "--workers", 1),
    }
    for damaged in (whole[:500] + bytes([whole[500] ^ 1]) + whole[501:], whole[:-1], None):
        path.unlink()
        if damaged is not None:
            path.write_bytes(damaged)
        for script, words in commands.items():
            main, settings, _ = SCRIPTS[script]
            assert app.run(main, settings, "", words) == 1, script
            assert str(path) in capsys.readouterr().err
        path.write_bytes(whole)
    assert not out.exists()
    assert (copied / "decision.json").read_bytes() == decision


# ---- nothing leaks


@pytest.fixture
def fewer_resamples(monkeypatch):
    monkeypatch.setattr(bootstrap, "RESAMPLES", 50)


def auc_of_a_blend(folder: Path, poses: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Cross-fitted AUC of each member and of their blend, by the commands."""
    data, run = write(folder / "data", poses, labels, each=10), folder / "run"
    common = ["--run", run, "--cache", folder / "cache"]
    training = [*common, "--data", data, "--frames", 16, "--folds", 2, "--workers", 1]
    here("lgbm", *training, "--num-boost-round", 20)
    here("rocket", *training, "--biases-per-kernel", 1, "--augmented-copies", 0)
    here("blend", *common, *DRAFT)
    result = json.loads((run / "metrics.json").read_text())
    alone = {name: figures["auc"]["value"] for name, figures in result["each_member"].items()}
    rows = table(run / "oof.csv")
    probabilities = [float(row["cross_fitted"]) for row in rows]
    return alone | {"blend": roc_auc_score([int(row["label"]) for row in rows], probabilities)}


def test_shuffled_labels_are_not_learned_and_true_ones_are(tmp_path, fewer_resamples):
    poses, labels = children(70, 10, 16)
    found = [
        auc_of_a_blend(tmp_path / str(seed), poses, np.random.default_rng(seed).permutation(labels))
        for seed in range(3)
    ]
    for name in ("lgbm", "rocket", "blend"):
        assert 0.4 < np.mean([figures[name] for figures in found]) < 0.6, found
    true = auc_of_a_blend(tmp_path / "true", poses[:200], labels[:200])
    assert min(true["lgbm"], true["rocket"], true["blend"]) > 0.9, true


def test_what_is_known_of_a_child_is_no_use_on_others(tmp_path, fewer_resamples):
    """Each child has one label and moves in its own way: split by segment, the AUC would be 1."""
    poses, _ = children(40, 10, 16)
    generator = np.random.default_rng(0)
    poses = poses[::10].repeat(10, axis=0) + generator.normal(0, 1e-3, poses.shape)
    labels = generator.permutation(np.arange(40) % 2).repeat(10)
    found = auc_of_a_blend(tmp_path, poses.astype(np.float32), labels)
    for name in ("lgbm", "rocket", "blend"):
        assert 0.3 < found[name] < 0.7, found
