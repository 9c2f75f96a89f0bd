"""train_folds.py as the user runs, stops, kills and continues it."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from helpers.commands import Command, code_of
from helpers.processes import is_gone, wait_until
from helpers.repository import ROOT
from spasm.core import files


def leftovers(run: Path) -> list[str]:
    return [path.name for path in run.rglob("*") if path.name.startswith(files.TEMPORARY) or "last" in path.name]


@pytest.fixture
def start(train_flags, tmp_path):
    """Starts the small training with two workers; kills what a failing test leaves."""
    commands = []

    def begin(hold: str = "nothing never") -> Command:
        commands.append(Command(tmp_path, "train_folds", train_flags(tmp_path / "run", "--workers", "2"), hold))
        return commands[-1]

    yield begin
    for command in commands:
        if command.process.poll() is None:
            command.kill_group()


@pytest.mark.stress
def test_killed_again_and_again_also_inside_saves_it_ends_with_the_bytes_of_one_worker_undisturbed(
    start, trained, tmp_path, contents
):
    run = tmp_path / "run"
    command = start("_last.safetensors before")
    worker = command.held()
    command.kill_group()
    assert worker != command.process.pid, "the test is void unless a worker was killed"
    assert leftovers(run), "the test is void unless the kill came inside a save"

    def kill_the_parent_alone(hold: str) -> None:
        command = start(hold)
        worker = command.held()
        command.kill_parent()  # it cannot show its workers
        assert is_gone(worker)

    kill_the_parent_alone("_last.safetensors after")

    command = start("fold_2_last.safetensors before")  # so that there is something left to be killed below
    wait_until(lambda: (run / "stgcn_mil/history.csv").exists() or command.process.poll() is not None)
    time.sleep(random.uniform(0, 0.1))  # wherever that is
    command.kill_group()

    kill_the_parent_alone("fold_2.safetensors before")

    command = start("decision.json before")
    command.held()
    command.kill_group()
    assert not (run / "decision.json").exists()

    weights = {path: path.stat().st_mtime_ns for path in run.rglob("fold_?.safetensors")}
    code, _, stderr = start().end()
    assert (code, stderr) == (0, "")
    assert {path: path.stat().st_mtime_ns for path in weights} == weights, "nothing was left to be trained"
    assert contents(run) == contents(trained)
    assert leftovers(run) == []


@pytest.mark.stress
def test_interrupted_and_terminated_it_exits_130_and_143_and_continues_to_the_same_bytes(
    start, trained, tmp_path, contents
):
    command = start("_last.safetensors after")
    worker = command.held()
    os.killpg(command.process.pid, signal.SIGINT)  # Ctrl-C in a terminal reaches every process of the group
    code, _, stderr = command.end()
    assert (code, stderr) == (130, "interrupted: what was finished is kept\n")
    assert is_gone(worker)

    command = start("fold_2_last.safetensors before")
    worker = command.held()
    command.process.terminate()
    code, _, stderr = command.end()
    assert (code, stderr) == (143, "terminated: what was finished is kept\n")
    assert is_gone(worker)

    code, _, stderr = start().end()
    assert (code, stderr) == (0, "")
    assert contents(tmp_path / "run") == contents(trained)
    assert leftovers(tmp_path / "run") == []


def test_threads_that_the_shell_asks_for_change_no_byte(train_flags, trained, tmp_path, contents):
    command = [sys.executable, "src/train_folds.py", *train_flags(tmp_path / "run", "--fold", "1")]
    threads = dict.fromkeys(["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"], "3")
    subprocess.run(command, cwd=ROOT, env=os.environ | threads, check=True, capture_output=True)
    name = "stgcn_mil/seed_0/fold_1.safetensors"
    assert contents(tmp_path / "run")[name] == contents(trained)[name]


@pytest.mark.stress
def test_a_worker_that_is_killed_ends_the_command_with_a_message(start, tmp_path):
    command = start("fold_1_last.safetensors before")
    os.kill(command.held(), signal.SIGKILL)  # as the system does when memory runs out
    code, _, stderr = command.end()
    assert code == 1
    assert stderr.startswith("error: a worker was killed")
    assert "Traceback" not in stderr


def test_the_last_lines_name_what_was_written_and_what_to_run_next(trained, simulated):
    *before, following = (trained.parent / "stdout").read_text().splitlines()
    (written,) = (line for line in before if line.startswith("written: "))
    paths = written.removeprefix("written: ").split(", ")
    expected = [str(trained / name) for name in ("metrics.json", "decision.json", "oof.csv", "stgcn_mil/history.csv")]
    assert paths == expected
    assert all(Path(path).is_file() for path in paths)
    assert following == f"next:    python submission.py --run {trained} --test {simulated / 'test'}"


def test_the_last_box_holds_the_cross_fitted_f1_and_the_run(trained):
    text = (trained.parent / "stdout").read_text()
    f1 = json.loads((trained / "metrics.json").read_text())["cross_fitted"]["f1"]
    interval = f"{f1['low']:.3f} to {f1['high']:.3f}"
    assert f"stgcn_mil: cross-fitted F1 {f1['value']:.3f} ({interval}), AUC" in text
    box = text[text.index("+--") :]
    assert f"| cross-fitted F1 {f1['value']:.3f}, 95 % interval over 8 children {interval} " in box
    assert f"| run:    {trained} " in box
    assert "report" not in box
    assert len({len(line) for line in box.splitlines()[:-1]}) == 1


def test_metrics_on_simulated_data_are_marked_as_such(trained):
    text = (trained.parent / "stdout").read_text()
    assert text.count("SIMULATED") == 1, "in the frame with the result"
    assert " simulated segments of " in text


# ---- in this process, which saves the seconds that importing torch takes


@pytest.fixture
def main(train_flags, tmp_path, capsys, in_this_process):
    """Runs the command here; gives exit code, stdout and stderr."""

    def call(*more: object, run: Path | None = None) -> tuple[int, str, str]:
        code = code_of("train_folds", *train_flags(run or tmp_path / "run"), *more)
        return code, *capsys.readouterr()

    return call


@pytest.mark.parametrize(
    "flags",
    [["--no-such-flag", "1"], ["--stgcn-mil.epochs", "many"], ["--stgcn-mil.steps", "0"], ["--stgcn-mil.width", "3"],
     ["--settings", "absent.json"], ["--models", "resnet"], ["--models"], ["--fold", "-1"], ["--blend.models", "gru"],
     ["--report", "False"]],
)  # fmt: skip
def test_wrong_usage_exits_2_and_writes_nothing(main, tmp_path, flags):
    code, stdout, stderr = main(*flags)
    assert (code, stdout) == (2, "")
    assert any(word in stderr for word in flags)
    assert not (tmp_path / "run").exists()


def test_a_fold_beyond_the_last_is_wrong_usage_and_makes_no_run(main, tmp_path):
    code, _, stderr = main("--fold", 3)
    assert code == 2
    assert "error: --fold 3 is above 2; the nearest valid value is 2" in stderr
    assert not (tmp_path / "run").exists()


def test_bad_data_exits_1_with_everything_that_is_wrong_and_makes_no_run(main, simulated, tmp_path):
    data = Path(shutil.copytree(simulated, tmp_path / "data"))
    first, second = sorted((data / "train").iterdir())[:2]
    first.write_bytes(b"")
    second.write_bytes(second.read_bytes()[:-1])
    code, stdout, stderr = main("--data", data)
    assert (code, stdout) == (1, "")
    assert "2 problems" in stderr
    assert first.name in stderr
    assert second.name in stderr
    assert not (tmp_path / "run").exists()


def test_fewer_children_than_folds_is_a_message(main):
    code, _, stderr = main("--folds", 9)
    assert (code, stderr) == (1, "error: the training data: has 8 children for 9 folds (use --folds 8 or fewer)\n")


def test_too_few_children_for_a_taught_network_are_found_before_any_model_is_trained(main, simulated, tmp_path):
    (tmp_path / "data/train").mkdir(parents=True)
    header, *rows = (simulated / "train_data.csv").read_text().splitlines()
    children = sorted({row.split("_")[1] for row in rows})[:4]
    kept = [row for row in rows if row.split("_")[1] in children]
    (tmp_path / "data/train_data.csv").write_text("\n".join([header, *kept]) + "\n")
    for row in kept:
        shutil.copy(simulated / "train" / row.split(",")[0], tmp_path / "data/train")
    flags = ["--data", tmp_path / "data", "--folds", 2, "--stgcn-mil.loss", "taught"]
    code, _, stderr = main(*flags)
    assert code == 1
    assert "fold 0: leaves 2 children with a pose to train stgcn_mil on, which needs 4" in stderr
    assert "use another --stgcn-mil.loss" in stderr
    assert not (tmp_path / "run/stgcn_mil").exists()


def test_an_output_that_cannot_be_written_is_found_before_training(main, tmp_path):
    (tmp_path / "file").touch()
    for run in (tmp_path / "file" / "run", Path("/proc/run")):
        code, stdout, stderr = main(run=run)
        assert code == 1
        assert stderr.startswith("error: ")
        assert str(run) in stderr or str(run.parent) in stderr
        assert "segments of" not in stdout, "it did not continue"


def test_a_full_disk_is_found_before_training(main, monkeypatch, tmp_path):
    def full(handle):
        raise OSError(28, "No space left on device")

    assert main("--folds", 9)[0] == 1  # fills the cache and goes no further
    monkeypatch.setattr(files.os, "fsync", full)
    code, stdout, stderr = main()
    assert (code, stdout) == (1, "")
    hint = "free some disk space and run the same command again; it resumes"
    assert stderr == f"error: {tmp_path / 'run'}: No space left on device ({hint})\n"


def test_one_fold_at_a_time_says_which_are_missing(main):
    code, stdout, _ = main("--fold", 1)
    assert code == 0
    assert stdout.splitlines()[-1] == "stgcn_mil: folds 0, 2 of seed 0 are still to be trained"
    assert "next:" not in stdout


def test_other_settings_in_the_same_run_are_refused_and_named(main, tmp_path):
    assert main("--fold", 0)[0] == 0
    code, _, stderr = main("--fold", 1, "--stgcn-mil.epochs", 4)
    assert code == 1
    assert "was begun with other settings: --epochs 3" in stderr
    code, _, stderr = main("--fold", 1, "--fold-seed", 2)
    assert code == 1
    assert "was made with other folds" in stderr
    manifest = json.loads((tmp_path / "run/stgcn_mil/manifest.json").read_text())
    assert sorted(manifest["files"]) == ["seed_0/fold_0.safetensors", "seed_0/fold_0_oof.csv"]


def test_a_settings_file_stands_for_its_flags(main, tmp_path, trained, contents):
    (tmp_path / "settings.json").write_text(json.dumps({"stgcn_mil": {"dropout": 0.15}, "seed": 0}))
    assert main("--settings", tmp_path / "settings.json", "--fold", 2)[0] == 0
    name = "stgcn_mil/seed_0/fold_2.safetensors"
    assert contents(tmp_path / "run")[name] == contents(trained)[name]


def test_what_is_noticed_in_the_poses_is_printed_by_every_training_and_kept_in_the_run_and_its_report(
    simulated, train_flags, in_this_process, tmp_path, capsys
):
    data, run = Path(shutil.copytree(simulated, tmp_path / "data")), tmp_path / "run"
    paths = sorted((data / "train").iterdir())
    for path in paths:
        pose = np.load(path)
        pose[..., 2] = np.nan
        if path == paths[7]:
            pose[12:15] = -1
        np.save(path, pose)
    flags = [*train_flags(run, "--workers", "1", "--report", models=("lgbm",)), "--data", data]
    noticed = []
    for _ in range(2):
        assert code_of("train_folds", *flags) == 0
        lines = capsys.readouterr().err.splitlines()
        noticed.append([line.removeprefix("warning: ") for line in lines if line.startswith("warning: ")])
    assert noticed[0] == noticed[1] == json.loads((run / "run.json").read_text())["findings"]
    marks, depth = noticed[0]
    assert f"1 of 40 segments ({paths[7].name}): 99 marks for missing in 5 % of frames, first x = -1, y = -1" in marks
    assert "segments" in depth and "no depth in all frames with a pose" in depth
    page = (run / "report.html").read_text()
    assert f"Noticed in {marks.partition(' (they')[0]}" in page and "no depth in all frames" in page
