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

import pytest

import train_folds
from helpers.processes import is_gone, wait_until
from spasm.cli import app
from spasm.core import files
from train_folds import TrainFolds

ROOT = Path(__file__).parents[2]
# Read by every Python process that the command starts. A process about to put the file that HOLD_SAVE names in place,
# or one that has just done so, leaves its id and waits, so that a test can kill it there.
SITE = """
import os, time
wanted, moment, note = os.environ["HOLD_SAVE"].split()
replace = os.replace
def held():
    with open(note + ".part", "w") as file:
        file.write(str(os.getpid()))
    replace(note + ".part", note)
    time.sleep(300)
def slow(old, new):
    found = str(new).endswith(wanted)
    if found and moment == "before":
        held()
    replace(old, new)
    if found and moment == "after":
        held()
os.replace = slow
"""


class Command:
    """A running train_folds.py, in a process group of its own; with `hold`, one that stops at a save."""

    def __init__(self, flags: list[str], folder: Path, hold: str | None = None) -> None:
        self.note = folder / "note"
        self.note.unlink(missing_ok=True)
        environment = dict(os.environ)
        if hold is not None:
            (folder / "site").mkdir(exist_ok=True)
            (folder / "site/sitecustomize.py").write_text(SITE)
            environment |= {"PYTHONPATH": str(folder / "site"), "HOLD_SAVE": f"{hold} {self.note}"}
        self.process = subprocess.Popen(
            [sys.executable, "src/train_folds.py", *flags],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def held(self) -> int:
        """Wait until a process is held at its save; the id of that process."""
        wait_until(lambda: self.note.exists() or self.process.poll() is not None)
        assert self.note.exists(), self.process.communicate()
        return int(self.note.read_text())

    def trained_epochs(self, count: int) -> None:
        """Wait until so many epochs were printed."""
        for line in self.process.stdout:
            count -= "epoch" in line
            if count <= 0:
                return
        pytest.fail(self.process.stderr.read())

    def kill_group(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()

    def end(self) -> tuple[int, str, str]:
        """Exit code, stdout and stderr, once the process and all that share its pipes are gone."""
        stdout, stderr = self.process.communicate(timeout=120)
        return self.process.returncode, stdout, stderr


def leftovers(run: Path) -> list[str]:
    return [path.name for path in run.rglob("*") if path.name.startswith(files.TEMPORARY) or "last" in path.name]


@pytest.fixture
def start(train_flags, tmp_path):
    """Starts the small training with two workers; kills what a failing test leaves."""
    commands = []

    def begin(hold: str | None = None) -> Command:
        commands.append(Command(train_flags(tmp_path / "run", "--workers", "2"), tmp_path, hold))
        return commands[-1]

    yield begin
    for command in commands:
        if command.process.poll() is None:
            command.kill_group()


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
        command.process.kill()  # it cannot tell its workers
        command.process.wait()
        wait_until(lambda: is_gone(worker))
        command.end()  # the other worker, which shares the pipes, is gone too

    kill_the_parent_alone("_last.safetensors after")

    command = start("fold_2_last.safetensors before")  # so that there is something left to be killed below
    command.trained_epochs(1)
    time.sleep(random.uniform(0, 0.1))  # wherever that is
    command.kill_group()

    kill_the_parent_alone("fold_2.safetensors before")

    command = start("decision.json before")
    command.held()
    command.kill_group()
    assert not (run / "decision.json").exists()

    code, stdout, stderr = start().end()
    assert (code, stderr) == (0, "")
    assert "epoch" not in stdout, "nothing was left to be trained"
    assert contents(run) == contents(trained)
    assert leftovers(run) == []


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


def test_a_worker_that_is_killed_ends_the_command_with_a_message(start, tmp_path):
    command = start("fold_1_last.safetensors before")
    os.kill(command.held(), signal.SIGKILL)  # as the system does when memory runs out
    code, _, stderr = command.end()
    assert code == 1
    assert stderr.startswith("error: a worker was killed")
    assert "Traceback" not in stderr


def test_the_last_lines_name_what_was_written_and_what_to_run_next(trained, simulated):
    *_, written, following = (trained.parent / "stdout").read_text().splitlines()
    paths = written.removeprefix("written: ").split(", ")
    expected = [str(trained / name) for name in ("metrics.json", "decision.json", "oof.csv", "stgcn_mil/history.csv")]
    assert paths == expected
    assert all(Path(path).is_file() for path in paths)
    assert following == f"next:    python submission.py --run {trained} --test {simulated / 'test'}"


def test_every_epoch_has_one_line_with_the_columns_of_the_history(trained):
    lines = [line for line in (trained.parent / "stdout").read_text().splitlines() if "epoch" in line]
    rows = (trained / "stgcn_mil/history.csv").read_text().splitlines()
    assert len(lines) == 9
    assert [cell.split()[0] for cell in lines[0].split("  ")] == rows[0].split(",")
    for line, row in zip(lines, rows[1:], strict=True):
        shown = [float(cell.split()[1]) for cell in line.split("  ")]
        assert shown == pytest.approx([float(cell) for cell in row.split(",")], rel=1e-3)


def test_figures_on_simulated_data_are_marked_as_such(trained):
    text = (trained.parent / "stdout").read_text()
    assert text.count("SIMULATED DATA: these figures say nothing about children.") == 2


# ---- in this process, which saves the seconds that importing torch takes


@pytest.fixture
def main(train_flags, tmp_path, capsys):
    """Runs the command here; gives exit code, stdout and stderr."""

    def call(*more: object, run: Path | None = None) -> tuple[int, str, str]:
        flags = train_flags(run or tmp_path / "run", "--workers", "1", *map(str, more))
        try:
            code = app.run(train_folds.main, TrainFolds, train_folds.__doc__, flags)
        except SystemExit as stop:  # tyro ends the process itself
            code = stop.code
        return code, *capsys.readouterr()

    return call


@pytest.mark.parametrize("flags", [["--no-such-flag", "1"], ["--epochs", "many"], ["--epochs", "0"], ["--width", "3"],
                                   ["--settings", "absent.json"], ["--model", "resnet"], ["--fold", "-1"]])  # fmt: skip
def test_wrong_usage_exits_2_and_writes_nothing(main, tmp_path, flags):
    code, stdout, stderr = main(*flags)
    assert (code, stdout) == (2, "")
    assert flags[0] in stderr or flags[1] in stderr
    assert not (tmp_path / "run").exists()


def test_a_fold_beyond_the_last_is_wrong_usage_and_makes_no_run(main, tmp_path):
    code, _, stderr = main("--fold", 3)
    assert code == 2
    assert "--fold 3 is outside 0 to 2; the nearest valid value is 2" in stderr
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


def test_an_output_that_cannot_be_written_is_told_before_training(main, tmp_path):
    (tmp_path / "file").touch()
    for run in (tmp_path / "file" / "run", Path("/proc/run")):
        code, stdout, stderr = main(run=run)
        assert code == 1
        assert stderr.startswith("error: ")
        assert str(run) in stderr or str(run.parent) in stderr
        assert "epoch" not in stdout


def test_a_full_disk_is_told_before_training(main, monkeypatch, tmp_path):
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
    assert stdout.splitlines()[-1] == "folds 0, 2 of seed 0 are still to be trained"
    assert "next:" not in stdout


def test_other_settings_in_the_same_run_are_refused_and_named(main, tmp_path):
    assert main("--fold", 0)[0] == 0
    code, _, stderr = main("--fold", 1, "--epochs", 4)
    assert code == 1
    assert "was begun with other settings: --epochs 3" in stderr
    code, _, stderr = main("--fold", 1, "--fold-seed", 2)
    assert code == 1
    assert "was made with other folds" in stderr
    manifest = json.loads((tmp_path / "run/stgcn_mil/manifest.json").read_text())
    assert sorted(manifest["files"]) == ["seed_0/fold_0.safetensors", "seed_0/fold_0_oof.csv"]


def test_a_settings_file_stands_for_its_flags(main, tmp_path, trained, contents):
    (tmp_path / "settings.json").write_text(json.dumps({"member": {"network": {"dropout": 0.15}}, "seed": 0}))
    assert main("--settings", tmp_path / "settings.json", "--fold", 2)[0] == 0
    name = "stgcn_mil/seed_0/fold_2.safetensors"
    assert contents(tmp_path / "run")[name] == contents(trained)[name]
