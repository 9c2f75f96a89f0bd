"""verify.py as the user runs it: a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from helpers.commands import without_progress
from helpers.repository import ROOT

SHARED = ROOT.parent / "shared"


def verify(*flags: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "src/verify.py", *map(str, flags)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def make_data(folder: Path, frames: int = 20, children: int = 6) -> Path:
    (folder / "train").mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = ["segment_name,label"]
    for child in range(children):
        np.save(folder / f"train/child_{child}_1.npy", rng.uniform(0.1, 0.9, (frames, 33, 5)))
        rows.append(f"child_{child}_1.npy,{child % 2}")
    (folder / "train_data.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_good_data_exits_0_and_the_last_line_is_what_to_run_next(tmp_path):
    data = make_data(tmp_path)
    finished = verify("--data", data, "--frames", 20)
    assert finished.returncode == 0
    assert without_progress(finished.stderr) == "", "no progress bar where stderr is no terminal"
    assert "train: 6 segments of 6 children, 3 of 6 labels positive (50.0%)" in finished.stdout
    assert "0 warnings, 0 problems" in finished.stdout
    assert finished.stdout.splitlines()[-1] == f"next:    python src/train_folds.py --data {data} --frames 20"


def test_the_command_to_run_next_is_quoted_and_names_only_what_is_not_the_default(tmp_path):
    data = make_data(tmp_path / "my data", frames=150)
    finished = verify("--data", data, "--name-pattern", "safe")
    last = finished.stdout.splitlines()[-1]
    assert last == f"next:    python src/train_folds.py --data '{data}' --name-pattern safe"


def test_every_problem_is_listed_at_once_with_exit_code_1(tmp_path):
    data = make_data(tmp_path)
    (data / "train/child_0_1.npy").write_bytes(b"")
    np.save(data / "train/child_1_1.npy", np.zeros((7, 33, 5)))
    (data / "train/other.npy").touch()
    os.mkfifo(data / "train/child_2_2.npy")
    with open(data / "train_data.csv", "a") as file:
        file.write("child_9_9.npy,1\nchild_2_2.npy,2\n")
    finished = verify("--data", data, "--frames", 20)
    assert finished.returncode == 1
    problems = [line for line in finished.stdout.splitlines() if line.startswith("problem: ")]
    for words in (
        "child_0_1.npy: empty file",
        "child_1_1.npy: has 7 frames (T), not 20",
        "other.npy: is not a segment's name",
        "child_2_2.npy: is a device, a pipe",
        "child_9_9.npy: has a label but no file",
        "label '2' of child_2_2.npy",
    ):
        assert sum(words in line for line in problems) == 1, (words, finished.stdout)
    assert len(problems) == 6
    assert "0 warnings, 6 problems" in finished.stdout
    assert "train_folds" not in finished.stdout


def test_warnings_alone_exit_0(tmp_path):
    data = make_data(tmp_path)
    np.save(data / "train/child_0_1.npy", np.full((20, 33, 5), np.nan))
    finished = verify("--data", data, "--frames", 20)
    assert finished.returncode == 0
    assert f"warning: {data}/train: 1 of 6 segments (child_0_1.npy): no pose in any frame" in finished.stdout


def test_files_that_share_a_warning_share_a_line(tmp_path):
    data = make_data(tmp_path)
    for child in range(6):
        np.save(data / f"train/child_{child}_1.npy", np.full((20, 33, 5), np.nan))
    lines = verify("--data", data, "--frames", 20).stdout.splitlines()
    (warning,) = [line for line in lines if line.startswith("warning: ")]
    assert warning.startswith(f"warning: {data}/train: all 6 segments: no pose in any frame (")
    assert any(line.startswith("1 warning, 1 problem") for line in lines), "training needs poses"


def test_one_mistake_in_all_files_is_one_line_with_what_to_do(tmp_path):
    data = make_data(tmp_path, frames=100, children=4)
    finished = verify("--data", data)
    (problem,) = [line for line in finished.stdout.splitlines() if line.startswith("problem: ")]
    hint = "to train on such files add --frames 100;"
    assert f"{data}/train: all 4 files, each has 100 frames (T), not 150 ({hint}" in problem
    finished = verify("--data", data, "--frames", 100)
    assert finished.returncode == 0, "the flag in the message works"
    assert "train_folds.py --data" in finished.stdout and "--frames 100 --folds 4" in finished.stdout
    for path in (data / "train").iterdir():
        path.unlink()
    np.save(data / "train/child_0_1.npy", np.zeros((100, 33, 5)))
    finished = verify("--data", data, "--frames", 100)
    assert "3 files" not in finished.stdout and finished.stdout.count("has a label but no file") == 3
    with open(data / "train_data.csv", "a") as file:
        file.writelines(f"child_7_{number}.npy,1\n" for number in range(120))
    finished = verify("--data", data, "--frames", 100)
    assert f"problem: {data}/train: 123 files, each has a label but no file (" in finished.stdout
    assert len(finished.stdout.splitlines()) < 10


def test_data_that_training_would_refuse_exits_1_with_the_cause(tmp_path):
    data = make_data(tmp_path)
    table = data / "train_data.csv"
    rows = [line.split(",")[0] for line in table.read_text().splitlines()[1:]]
    labels = [f"{name},{int(name.startswith('child_1_'))}" for name in rows]
    table.write_text("\n".join(["segment_name,label", *labels]) + "\n")
    finished = verify("--data", data, "--frames", 20)
    assert finished.returncode == 1
    assert "problem: " in finished.stdout
    assert "add positive segments of another child" in finished.stdout


def test_control_characters_in_a_file_name_do_not_reach_the_terminal(tmp_path):
    data = make_data(tmp_path)
    (data / "train/\x1b[2J\udcff.npy").touch()
    finished = verify("--data", data, "--frames", 20)
    assert finished.returncode == 1
    assert "\x1b" not in finished.stdout
    assert r"\x1b[2J\udcff.npy" in finished.stdout


def test_a_folder_without_data_exits_1_with_its_name_and_the_data_there_is(tmp_path):
    finished = verify("--data", tmp_path / "nowhere")
    assert finished.returncode == 1
    assert f"error: {tmp_path}/nowhere: no such folder (" in finished.stderr
    data = make_data(tmp_path / "mine")
    for wrong, words in (
        (tmp_path / "mime", f"did you mean {data}? add --data {data}"),
        (data / "train", f"one level too deep (add --data {data})"),
        (tmp_path, f"there is no training data in it (training data is in {data}: add --data {data})"),
        (tmp_path / "other", f"add --data {data}"),
    ):
        finished = verify("--data", wrong)
        assert (finished.returncode, finished.stdout) == (1, "")
        assert finished.stderr.startswith(f"error: {wrong}: ") and words in finished.stderr, finished.stderr
        assert finished.stderr.count("\n") == 1


def test_data_without_both_classes_is_not_sent_to_training(tmp_path):
    data = make_data(tmp_path)
    (data / "train_data.csv").write_text("segment_name,label\n" + "".join(f"child_{n}_1.npy,0\n" for n in range(6)))
    finished = verify("--data", data, "--frames", 20)
    assert finished.returncode == 0
    assert "train_folds" not in finished.stdout
    assert finished.stdout.splitlines()[-1].startswith("next:    add labels of both classes")


def test_a_wrong_flag_exits_2():
    assert verify("--frames", "many").returncode == 2


def test_the_help_shows_defaults_and_an_example():
    finished = verify("--help")
    assert finished.returncode == 0
    assert "python src/verify.py --data input" in finished.stdout
    assert "(default: input)" in " ".join(finished.stdout.split())


@pytest.mark.skipif(not SHARED.exists(), reason="the shared recordings are not here")
def test_real_recordings_of_infants_pass_with_warnings(tmp_path):
    unpack = [sys.executable, SHARED / "data/unpack.py", "babyjokes", tmp_path]
    subprocess.run(unpack, check=True, capture_output=True)
    finished = verify("--data", tmp_path)
    assert finished.returncode == 0, finished.stdout
    assert "no pose in any frame" in finished.stdout
    assert "every label is 0 (training refuses one class" in finished.stdout
    assert "train: 184 segments of 4 children" in finished.stdout
