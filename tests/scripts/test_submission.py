"""submission.py: what it writes, what it refuses, and that nothing but the pose decides a prediction.

How several models predict together is in test_models_together.py.
"""

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.commands import CPU, T, code_of, without_progress
from helpers.repository import ROOT
from helpers.tables import table
from spasm.config.fields import from_tree
from spasm.core import files
from spasm.core.checkpoints import read_tensors, write_tensors
from spasm.core.files import sha256
from spasm.data.segments import read_pose
from spasm.ensemble.calibration import logit_without_pose
from spasm.features.channels import build_features
from spasm.inference import prediction_tasks, trained_run
from spasm.models.registry import MODELS
from spasm.models.stgcn_mil import StgcnMilConfig


@pytest.fixture
def test_folder(simulated, tmp_path):
    return Path(shutil.copytree(simulated / "test", tmp_path / "test"))


@pytest.fixture
def submit(trained, test_folder, tmp_path, capsys):
    """Runs submission.py here; gives exit code, stdout and stderr."""

    def call(*more: object, run: Path = trained, out: Path = tmp_path / "submission.csv") -> tuple[int, str, str]:
        code = code_of("submission", "--test", test_folder, "--run", run, "--out", out, *CPU, *more)
        stdout, stderr = capsys.readouterr()
        return code, stdout, without_progress(stderr)

    return call


@pytest.fixture
def predicted_rows(submit, tmp_path):
    """Rows of the probabilities file, by segment name, after a submission that must succeed."""

    def call(*more: object, **options: Path) -> dict[str, dict[str, str]]:
        code, _, stderr = submit(*more, **options)
        assert (code, stderr) == (0, "")
        return {row["segment_name"]: row for row in table(tmp_path / "submission_probabilities.csv")}

    return call


@pytest.fixture
def edit(copied):
    """Changes decision.json of the copied run; gives the run."""

    def change(**fields: object) -> Path:
        path = copied / "decision.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | fields))
        return copied

    return change


def probabilities(rows: dict[str, dict[str, str]]) -> np.ndarray:
    return np.array([float(rows[name]["probability"]) for name in sorted(rows)])


def labels(rows: dict[str, dict[str, str]]) -> list[str]:
    return [rows[name]["label"] for name in sorted(rows)]


# ---- the submission


def test_the_submission_has_one_row_per_file_sorted_as_the_challenge_wants_it(submit, test_folder, tmp_path, trained):
    shutil.copy(test_folder / "child_10_1.npy", test_folder / "child_9_1.npy")
    code, stdout, stderr = submit()
    assert (code, stderr) == (0, "")
    content = (tmp_path / "submission.csv").read_bytes()
    lines = content.decode("utf-8").split("\n")
    assert lines[0] == "segment_name,label"
    assert lines[-1] == "", "a newline at the end"
    names = [line.split(",")[0] for line in lines[1:-1]]
    assert names == sorted(path.name for path in test_folder.iterdir())
    assert len(names) == 11
    assert {line.split(",")[1] for line in lines[1:-1]} <= {"0", "1"}
    assert b"\r" not in content
    assert stdout.splitlines()[0].startswith("11 segments, ")
    assert (
        stdout.splitlines()[-1]
        == f"written: {tmp_path / 'submission.csv'}, {tmp_path / 'submission_probabilities.csv'}"
    )
    assert "SIMULATED" in stdout, "the output names the data it was trained on"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "submission.csv",
        "submission_probabilities.csv",
        "test",
    ]


def test_the_header_is_an_option_and_changes_nothing_else(submit, tmp_path):
    submit()
    plain = (tmp_path / "submission.csv").read_text()
    beside = (tmp_path / "submission_probabilities.csv").read_text()
    assert submit("--header", "file_name")[0] == 0
    assert (tmp_path / "submission.csv").read_text() == plain.replace("segment_name", "file_name")
    assert (tmp_path / "submission_probabilities.csv").read_text() == beside


@pytest.mark.parametrize("header", ["a,b", "=1", "", "a\nb"])
def test_a_header_that_would_break_the_table_is_wrong_usage(submit, tmp_path, header):
    assert submit("--header", header)[0] == 2
    assert not (tmp_path / "submission.csv").exists()


def test_probabilities_stand_beside_the_submission_and_agree_with_it(submit, tmp_path, trained):
    submit()
    path = tmp_path / "submission_probabilities.csv"
    assert path.read_text().splitlines()[0].startswith("segment_name,probability,label,")
    threshold = decision_of(trained)["threshold"]
    rows = table(path)
    for row, predicted_rows in zip(rows, table(tmp_path / "submission.csv"), strict=True):
        assert 0 <= float(row["probability"]) <= 1
        assert row["label"] == str(int(float(row["probability"]) >= threshold)) == predicted_rows["label"]
        assert row["segment_name"] == predicted_rows["segment_name"]
        posed, seen = float(row["pose_fraction"]), float(row["seen_fraction"])
        assert 0 <= posed <= 1 and 0 <= seen <= 1
        assert row["note"].startswith("too little was seen: ") is (seen < 0.2)
        if posed:
            assert 0 <= float(row["peak_time_s"]) < T / 30
        else:
            assert row["peak_time_s"] == ""
    assert any(float(row["pose_fraction"]) for row in rows)


def by_hand(run: Path, seed: int, fold: int, poses: np.ndarray) -> np.ndarray:
    """Logits of poses (N, T, 33, 5) by one fold, from its file, without the code that scores; NaN without a pose."""
    config = from_tree(StgcnMilConfig, decision_of(run)["models"]["stgcn_mil"]["settings"])
    tensors = read_tensors(run / f"stgcn_mil/seed_{seed}/fold_{fold}.safetensors")
    offset = float(tensors.pop("offset"))
    network = MODELS["stgcn_mil"].build(config)
    network.load_state_dict(tensors)
    network.eval()
    with torch.no_grad():
        logits = network(build_features(torch.from_numpy(poses), config.features)).logit.double().numpy() + offset
    return np.where(np.isfinite(poses[..., 0]).any(axis=(1, 2)), logits, np.nan)


def calibrated(run: Path, logits: np.ndarray, last: str = "fold_average_calibration") -> np.ndarray:
    """Probabilities (N,) of the model's logits by the decision's two calibrations; NaN: without a pose."""
    decision = decision_of(run)
    for slope, offset in (decision["models"]["stgcn_mil"]["calibration"], decision[last]):
        logits = slope * logits + offset
    return 1 / (1 + np.exp(-np.where(np.isnan(logits), decision["no_pose_logit"], logits)))


def decision_of(run: Path) -> dict:
    return json.loads((run / "decision.json").read_text())


def read(paths: list[Path]) -> np.ndarray:
    return np.stack([read_pose(path, T) for path in paths])


def test_out_of_fold_rows_are_what_the_weights_of_their_fold_say(trained, simulated):
    for fold in range(3):
        rows = [row for row in table(trained / "oof.csv") if row["fold"] == str(fold)]
        logits = by_hand(trained, 0, fold, read([simulated / "train" / row["segment_name"] for row in rows]))
        posed = np.isfinite(logits)
        assert posed.any()
        found = np.array([float(row["stgcn_mil_logit"]) for row in rows])
        assert found[posed] == pytest.approx(logits[posed], abs=1e-4)
        probabilities = np.array([float(row["probability_in_sample"]) for row in rows])
        assert probabilities[posed] == pytest.approx(calibrated(trained, logits, "calibration")[posed], abs=1e-5)


def test_a_submission_is_the_calibrated_mean_of_the_logits_of_all_folds(predicted_rows, trained, edit, test_folder):
    poses = read(sorted(test_folder.iterdir()))
    mean = np.mean([by_hand(trained, 0, fold, poses) for fold in range(3)], axis=0)
    assert probabilities(predicted_rows()) == pytest.approx(calibrated(trained, mean), abs=1e-5)
    run = edit(fold_average_calibration=[2.0, 0.5])
    assert probabilities(predicted_rows(run=run)) == pytest.approx(calibrated(run, mean), abs=1e-5)


def test_seeds_and_folds_are_averaged_as_logits(predicted_rows, copied, test_folder):
    folder = copied / "stgcn_mil"
    (folder / "seed_4").mkdir()
    decision = decision_of(copied)
    for fold in range(3):
        tensors = read_tensors(folder / f"seed_0/fold_{fold}.safetensors")
        tensors["offset"] += 1 + fold
        write_tensors(folder / f"seed_4/fold_{fold}.safetensors", tensors)
        name = f"stgcn_mil/seed_4/fold_{fold}.safetensors"
        decision["files"][name] = sha256(copied / name)
    decision["models"]["stgcn_mil"]["seeds"] = [0, 4]
    (copied / "decision.json").write_text(json.dumps(decision))
    poses = read(sorted(test_folder.iterdir()))
    logits = [(by_hand(copied, 0, fold, poses) + by_hand(copied, 4, fold, poses)) / 2 for fold in range(3)]
    expected = calibrated(copied, np.mean(logits, axis=0))
    assert probabilities(predicted_rows(run=copied)) == pytest.approx(expected, abs=1e-5)


def test_batch_size_and_file_order_never_change_a_label(predicted_rows, monkeypatch, test_folder):
    expected = predicted_rows()
    for batch in (1, 7):
        monkeypatch.setattr(prediction_tasks, "BATCH", batch)
        rows = predicted_rows()
        assert labels(rows) == labels(expected)
        assert probabilities(rows) == pytest.approx(probabilities(expected), abs=1e-6)

    listdir = os.listdir
    monkeypatch.setattr(os, "listdir", lambda folder: listdir(folder)[::-1])
    assert predicted_rows() == rows
    monkeypatch.undo()
    names = sorted(path.name for path in test_folder.iterdir())
    for name in names[::2]:  # fewer files, other neighbours in the batch
        (test_folder / name).unlink()
    fewer = predicted_rows()
    assert list(fewer) == names[1::2]
    for name, row in fewer.items():
        assert row["label"] == expected[name]["label"]
        assert float(row["probability"]) == pytest.approx(float(expected[name]["probability"]), abs=1e-6)


def test_the_number_of_processes_never_changes_a_label(predicted_rows, monkeypatch):
    monkeypatch.setattr(prediction_tasks, "BATCH", 2)  # so that each process has something to do
    rows = []
    for cores in (1, 2):
        monkeypatch.setattr(trained_run, "cpu_count", lambda cores=cores: cores)
        rows.append(predicted_rows())
    assert labels(rows[0]) == labels(rows[1])
    assert probabilities(rows[0]) == pytest.approx(probabilities(rows[1]), abs=1e-6)


def test_a_process_of_its_own_gives_the_same_bytes(submit, trained, test_folder, tmp_path):
    submit()
    flags = ["--run", trained, "--test", test_folder, "--out", tmp_path / "other.csv", *CPU]
    command = [sys.executable, "submission.py", *flags]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (finished.returncode, without_progress(finished.stderr)) == (0, "")
    assert (tmp_path / "other.csv").read_bytes() == (tmp_path / "submission.csv").read_bytes()
    beside = [(tmp_path / f"{name}_probabilities.csv").read_bytes() for name in ("other", "submission")]
    assert beside[0] == beside[1]


def test_a_probability_equal_to_the_threshold_is_positive(predicted_rows, edit):
    name, row = next(iter(predicted_rows().items()))
    probability = float(row["probability"])
    assert predicted_rows(run=edit(threshold=probability))[name]["label"] == "1"
    assert predicted_rows(run=edit(threshold=math.nextafter(probability, 1)))[name]["label"] == "0"


def test_a_segment_without_any_pose_is_predicted_as_documented_counted_and_reported(
    submit, test_folder, tmp_path, simulated, trained
):
    np.save(test_folder / "child_10_99.npy", np.full((T, 33, 5), np.nan, dtype=np.float32))
    code, stdout, _ = submit()
    assert code == 0
    count = sum(not np.isfinite(np.load(path)[..., 0]).any() for path in test_folder.iterdir())
    assert f"since too little was seen (no pose in any frame: {count})" in stdout
    row = next(
        row for row in table(tmp_path / "submission_probabilities.csv") if row["segment_name"] == "child_10_99.npy"
    )

    folds = table(trained / "folds.csv")
    posed = [np.isfinite(np.load(simulated / "train" / other["segment_name"])[..., 0]).any() for other in folds]
    expected = logit_without_pose(np.array([int(other["label"]) for other in folds]), np.array(posed))
    assert decision_of(trained)["no_pose_logit"] == pytest.approx(expected, abs=1e-12)
    assert float(row["probability"]) == pytest.approx(1 / (1 + math.exp(-expected)), abs=1e-12)
    assert (row["peak_time_s"], row["pose_fraction"]) == ("", "0.000")
    assert "no pose in any frame" in row["note"]


def test_segments_without_any_pose_alone_are_predicted_too(predicted_rows, test_folder):
    for path in test_folder.iterdir():
        np.save(path, np.full((T, 33, 5), np.nan, dtype=np.float32))
    assert len({row["probability"] for row in predicted_rows().values()}) == 1


def test_the_moment_is_a_frame_with_a_pose(predicted_rows, test_folder):
    path = test_folder / "child_10_1.npy"
    poses = np.random.default_rng(0).uniform(0.2, 0.8, (T, 33, 5)).astype(np.float32)
    poses[:40] = np.nan
    np.save(path, poses)
    row = predicted_rows()[path.name]
    assert float(row["peak_time_s"]) >= round(40 / 30, 2)
    assert row["pose_fraction"] == f"{20 / 60:.3f}"


def test_an_input_that_is_read_only_is_left_as_it_is(submit, test_folder):
    stamps = {path: path.stat().st_mtime_ns for path in test_folder.iterdir()}
    for path in test_folder.iterdir():
        path.chmod(0o444)
    test_folder.chmod(0o555)
    try:
        assert submit()[0] == 0
    finally:
        test_folder.chmod(0o755)
    assert {path: path.stat().st_mtime_ns for path in test_folder.iterdir()} == stamps


# ---- another prevalence


def test_a_lower_prevalence_raises_the_threshold_and_changes_no_probability(submit, tmp_path, trained):
    submit()
    plain, beside = (table(tmp_path / name) for name in ("submission.csv", "submission_probabilities.csv"))
    own, thresholds, positives = decision_of(trained)["prevalence"], [], []
    for share in (0.9, own, 0.02):
        code, stdout, stderr = submit("--prevalence", share)
        assert (code, stderr) == (0, "")
        [line] = [line for line in stdout.splitlines() if " at threshold " in line]
        assert line.endswith(f", chosen for the prevalence {share}")
        thresholds.append(float(line.split(" at threshold ")[1].split(",")[0]))
        rows, labelled = table(tmp_path / "submission_probabilities.csv"), table(tmp_path / "submission.csv")
        assert [row["probability"] for row in rows] == [row["probability"] for row in beside]
        assert [row["label"] for row in labelled] == [row["label"] for row in rows]
        positives.append(sum(row["label"] == "1" for row in rows))
        if share == own:
            assert labelled == plain, "at the training data's own prevalence nothing changes"
    assert thresholds == sorted(thresholds)
    assert thresholds[0] < thresholds[1] < thresholds[2]
    assert positives == sorted(positives, reverse=True)


def test_few_segments_leave_the_threshold_where_it_is_and_say_so(submit, predicted_rows, tmp_path):
    submit()
    plain = (tmp_path / "submission.csv").read_bytes()
    code, stdout, stderr = submit("--adapt-prevalence")
    assert (code, stderr) == (0, "")
    [line] = [line for line in stdout.splitlines() if " at threshold " in line]
    assert "; the threshold is kept: estimated prevalence" in line
    assert "10 new segments are too few" in line
    assert (tmp_path / "submission.csv").read_bytes() == plain


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--prevalence", "0.2", "--adapt-prevalence"], "use one of them"),
        (["--prevalence", "0"], "--prevalence 0.0 is below 0.001; the nearest valid value is 0.001"),
        (["--prevalence", "20"], "--prevalence 20.0 is above 0.999; the nearest valid value is 0.999"),
        (["--abstain", "1.5"], "--abstain 1.5 is above 1.0; the nearest valid value is 1.0"),
    ],
)
def test_wrong_combinations_and_values_are_wrong_usage(submit, tmp_path, flags, words):
    code, stdout, stderr = submit(*flags)
    assert (code, stdout) == (2, "")
    assert words in stderr
    assert not (tmp_path / "submission.csv").exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(",1,0,", ",0,0,"),
        lambda text: "".join(text.splitlines(keepends=True)[:20]),
        lambda text: text.splitlines()[0] + "\n",
        lambda text: text.replace(",1,0,", ",x,0,"),
        lambda text: text.replace("probability", "chance"),
        lambda text: text.replace("0.", "nan", 1000),
        lambda text: "",
    ],
    ids=["labels", "rows", "header", "words", "columns", "nan", "empty"],
)
def test_out_of_fold_rows_that_are_not_those_of_the_decision_choose_no_threshold(submit, copied, tmp_path, change):
    path = copied / "oof.csv"
    path.write_text(change(path.read_text()))
    for flags in (["--prevalence", "0.2"], ["--adapt-prevalence"]):
        code, stdout, stderr = submit(*flags, run=copied)
        assert (code, stdout) == (1, "")
        assert "oof.csv: " in stderr
        assert not (tmp_path / "submission.csv").exists()
    assert submit(run=copied)[0] == 0, "the decision alone needs none of them"


# ---- segments of which too little was seen


@pytest.fixture
def poor(test_folder):
    """Segments by what is wrong with them, added to the test folder."""
    whole = np.random.default_rng(0).uniform(0.2, 0.8, (T, 33, 5)).astype(np.float32)
    found = {name: whole.copy() for name in ("good", "gap", "photograph", "slow", "outside", "nothing")}
    found["gap"][: T // 2] = np.nan
    found["photograph"][np.arange(T) != 20] = np.nan
    found["slow"][np.arange(T) % 6 != 0] = np.nan
    found["outside"][:, 11:, 0] += 1.5  # only the head is in the picture
    found["nothing"][:] = np.nan
    for number, poses in enumerate(found.values()):
        np.save(test_folder / f"child_10_{70 + number}.npy", poses)
    return {name: f"child_10_{70 + number}.npy" for number, name in enumerate(found)}


def test_a_segment_of_which_too_little_was_seen_is_named_counted_apart_and_labelled_all_the_same(
    submit, poor, tmp_path
):
    code, stdout, stderr = submit()
    assert (code, stderr) == (0, "")
    rows = {row["segment_name"]: row for row in table(tmp_path / "submission_probabilities.csv")}
    notes = {name: rows[segment]["note"] for name, segment in poor.items()}
    assert notes["good"] == notes["gap"] == ""
    assert notes["photograph"] == f"too little was seen: a pose in 1 of {T} frames, movement of the trunk in 0"
    assert notes["slow"] == f"too little was seen: a pose in {T // 6} of {T} frames, movement of the trunk in 0"
    assert notes["outside"] == f"too little was seen: a pose in {T} of {T} frames, movement of the trunk in 0"
    assert notes["nothing"].startswith("too little was seen: no pose in any frame")
    noted = [row for row in rows.values() if row["note"].startswith("too little was seen")]
    positive = [row for row in rows.values() if row["label"] == "1" and row not in noted]
    assert stdout.startswith(f"{len(rows)} segments, {len(positive)} positive at threshold ")
    assert f"{len(noted)} of them could not be predicted, since too little was seen (no pose in any frame: " in stdout
    assert f"theirs mean nothing ({sum(row['label'] == '1' for row in noted)} are 1)" in stdout
    assert "submission_probabilities.csv names them" in stdout
    assert len(table(tmp_path / "submission.csv")) == len(rows), "the challenge wants a label for each"


def test_another_limit_changes_notes_and_nothing_else(submit, poor, tmp_path):
    submit()
    plain = {row["segment_name"]: row for row in table(tmp_path / "submission_probabilities.csv")}
    labelled = (tmp_path / "submission.csv").read_bytes()
    submit("--abstain", 0.501)
    rows = {row["segment_name"]: row for row in table(tmp_path / "submission_probabilities.csv")}
    assert rows[poor["gap"]]["note"] == f"too little was seen: a pose in {T // 2} of {T} frames"
    assert rows[poor["good"]]["note"] == ""
    assert (tmp_path / "submission.csv").read_bytes() == labelled
    for name, row in rows.items():
        assert row | {"note": ""} == plain[name] | {"note": ""}


def test_a_segment_with_just_the_fraction_asked_for_is_enough_and_0_leaves_only_those_without_a_pose(
    predicted_rows, poor
):
    assert predicted_rows("--abstain", 0.5)[poor["gap"]]["note"] == ""
    noted = {name for name, row in predicted_rows("--abstain", 0).items() if row["note"]}
    assert poor["nothing"] in noted
    assert not noted & {segment for name, segment in poor.items() if name != "nothing"}


def test_the_threshold_of_the_other_command_is_named(submit):
    assert "timeline.py has another threshold: events begin at 0.98, for few false alarms per hour" in submit()[1]


# ---- what is refused


@pytest.mark.parametrize("flags", [[], ["--prevalence", "0.1"], ["--adapt-prevalence", "--abstain", "0.5"]])
def test_an_empty_folder_is_refused_and_nothing_is_written(submit, test_folder, tmp_path, flags):
    (tmp_path / "submission.csv").write_text("an earlier one")
    (tmp_path / "submission_probabilities.csv").write_text("segment_name,probability,label\n")
    for path in test_folder.iterdir():
        path.unlink()
    code, stdout, stderr = submit(*flags)
    assert (code, stdout) == (1, "")
    assert f"{test_folder}: holds no segment (" in stderr and "; nothing was written (" in stderr
    assert (tmp_path / "submission.csv").read_text() == "an earlier one"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "submission.csv",
        "submission_probabilities.csv",
        "test",
    ]


def test_a_folder_without_segments_is_met_by_those_that_have_some(submit, test_folder, tmp_path):
    for wrong in (tmp_path, tmp_path / "nowhere"):
        code, _, stderr = submit("--test", wrong)
        assert code == 1
        assert f"error: {wrong}: " in stderr and "nothing was written" in stderr
    # A demo that was made in this clone is named beside it.
    message = submit("--test", tmp_path)[2]
    assert f"segments to predict are in {test_folder}" in message and f": add --test {test_folder})" in message
    assert not (tmp_path / "submission.csv").exists()


def test_what_is_noticed_in_poses_is_printed_once_for_each_kind_and_noted_for_each_segment(
    submit, test_folder, tmp_path
):
    paths = sorted(test_folder.iterdir())
    for path in paths:
        pose = np.load(path)
        pose[..., 2] = np.nan
        if path in paths[:4]:
            pose[5:8, :, :3] = 0
            pose[9, 3, 1] = np.inf
        np.save(path, pose)
    code, _, stderr = submit()
    assert code == 0
    lines = stderr.splitlines()
    assert len(lines) == 3 and all(line.startswith(f"warning: {test_folder}: ") for line in lines)
    named = ", ".join(path.name for path in paths[:3])
    for line, words in zip(
        lines, ("marks for missing in ", "4 implausible values, first y of ", "frames without depth"), strict=True
    ):
        assert words in line
        if "without depth" not in line:
            assert f"4 of 10 segments ({named}, ...): " in line
    rows = {row["segment_name"]: row for row in table(tmp_path / "submission_probabilities.csv")}
    for path in paths[:4]:
        note = rows[path.name]["note"]
        assert "marks for missing in 5 % of frames" in note and "1 implausible value" in note and "no depth" in note


def test_every_bad_file_is_named_at_once_and_the_old_submission_stays(submit, test_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(prediction_tasks, "BATCH", 2)
    assert submit()[0] == 0
    before = {name: (tmp_path / name).read_bytes() for name in ("submission.csv", "submission_probabilities.csv")}
    paths = sorted(test_folder.iterdir())
    paths[0].write_bytes(b"")
    np.save(paths[4], np.zeros((T + 1, 33, 5), dtype=np.float32))
    np.save(paths[9], 640 * np.random.default_rng(0).uniform(0, 1, (T, 33, 5)).astype(np.float32))
    code, stdout, stderr = submit()
    assert (code, stdout) == (1, "")
    assert "3 problems" in stderr
    for path in (paths[0], paths[4], paths[9]):
        assert path.name in stderr
    assert {name: (tmp_path / name).read_bytes() for name in before} == before


def test_bad_names_are_all_refused(submit, test_folder, tmp_path):
    for name in ("child_x_1.npy", "=1+1.npy", "other.npy"):
        (test_folder / name).touch()
    code, _, stderr = submit()
    assert code == 1
    assert "3 problems" in stderr
    assert not (tmp_path / "submission.csv").exists()


def test_a_link_that_leaves_the_test_folder_is_refused(submit, test_folder, simulated):
    (test_folder / "child_10_98.npy").symlink_to(next((simulated / "train").iterdir()))
    code, _, stderr = submit()
    assert code == 1
    assert "child_10_98.npy: is a link that leaves" in stderr


def test_segments_of_another_length_are_refused_by_name(submit, test_folder):
    path = test_folder / "child_10_1.npy"
    np.save(path, np.zeros((150, 33, 5), dtype=np.float32))
    code, _, stderr = submit()
    assert code == 1
    assert f"{path}: has 150 frames" in stderr
    assert str(T) in stderr.replace("150", "")


def test_a_test_folder_that_is_not_there_is_named(submit, tmp_path):
    code, _, stderr = submit("--test", tmp_path / "nowhere")
    assert code == 1
    assert "nowhere: there is no such folder" in stderr


def test_a_submission_that_is_no_csv_is_refused(submit, tmp_path):
    code, _, stderr = submit(out=tmp_path / "submission.txt")
    assert code == 2
    assert "must end in .csv" in stderr


@pytest.mark.parametrize("name", ["submission.csv", "submission_probabilities.csv"])
def test_a_folder_in_the_place_of_a_submission_is_refused_before_anything_is_written(submit, tmp_path, name):
    (tmp_path / name).mkdir()
    code, _, stderr = submit()
    assert code == 1
    assert f"{name}: is a folder" in stderr
    assert not any(path.is_file() for path in tmp_path.glob("submission*"))


def test_a_submission_that_cannot_be_written_is_a_message(submit, tmp_path):
    (tmp_path / "file").touch()
    code, _, stderr = submit(out=tmp_path / "file/submission.csv")
    assert code == 1
    assert stderr.startswith("error: ")
    assert str(tmp_path / "file") in stderr


@pytest.mark.parametrize("at", [0, 2, 4])
def test_a_full_disk_is_an_error_and_leaves_the_old_submission_whole(submit, tmp_path, monkeypatch, at):
    old = tmp_path / "submission.csv"
    old.write_text("segment_name,label\n")
    (tmp_path / "submission_probabilities.csv").write_text("segment_name,probability,label\n")
    fsync, calls = os.fsync, []

    def full(handle):
        calls.append(handle)
        if len(calls) == at + 1:
            raise OSError(28, "No space left on device")
        fsync(handle)

    monkeypatch.setattr(files.os, "fsync", full)
    code, stdout, stderr = submit()
    assert (code, stdout) == (1, "")
    assert stderr.startswith(f"error: {tmp_path}")
    assert stderr.endswith(
        ": No space left on device (free some disk space and run the same command again; it resumes)\n"
    )
    assert old.read_text() == "segment_name,label\n"
    assert not list(tmp_path.glob(f"{files.TEMPORARY}*"))


def test_a_run_without_a_threshold_is_refused_with_the_command_to_run(submit, copied, tmp_path):
    (copied / "decision.json").unlink()
    code, _, stderr = submit(run=copied)
    assert code == 1
    assert "the run has no threshold yet" in stderr
    assert f"python src/train_folds.py --run {copied}" in stderr
    assert not (tmp_path / "submission.csv").exists()


@pytest.mark.parametrize("name", ["fold_1.safetensors", "fold_2_oof.csv"])
def test_a_missing_file_of_a_fold_is_refused_by_name(submit, copied, tmp_path, name):
    (copied / "stgcn_mil/seed_0" / name).unlink()
    code, _, stderr = submit(run=copied)
    assert code == 1
    assert f"{name}: is missing" in stderr
    assert not (tmp_path / "submission.csv").exists()


@pytest.mark.parametrize("name", ["fold_1.safetensors", "fold_2_oof.csv"])
def test_a_fold_of_which_one_bit_was_changed_is_refused_by_name(submit, copied, tmp_path, name):
    path = copied / "stgcn_mil/seed_0" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 4
    path.write_bytes(content)
    code, _, stderr = submit(run=copied)
    assert code == 1
    assert f"{name}: has changed since it was written" in stderr
    assert not (tmp_path / "submission.csv").exists()


def test_a_fold_that_is_exchanged_for_another_is_refused(submit, copied):
    folder = copied / "stgcn_mil/seed_0"
    shutil.copy(folder / "fold_0.safetensors", folder / "fold_1.safetensors")
    code, _, stderr = submit(run=copied)
    assert code == 1
    assert "fold_1.safetensors: has changed" in stderr


def test_weights_that_do_not_fit_the_decision_are_refused(submit, edit, copied):
    decision = decision_of(copied)
    decision["models"]["stgcn_mil"]["settings"]["width"] = 16
    code, _, stderr = submit(run=edit(models=decision["models"]))
    assert code == 1
    assert "stgcn_mil: holds weights that do not fit" in stderr


@pytest.mark.parametrize("missing", ["offset", "stem.weight"])
def test_weights_that_lack_a_part_are_refused(submit, edit, copied, missing):
    path = copied / "stgcn_mil/seed_0/fold_0.safetensors"
    tensors = read_tensors(path)
    del tensors[missing]
    write_tensors(path, tensors)
    decision = decision_of(copied)
    code, _, stderr = submit(run=edit(files=decision["files"] | {"stgcn_mil/seed_0/fold_0.safetensors": sha256(path)}))
    assert code == 1
    assert "stgcn_mil: holds weights that do not fit" in stderr


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"{}", b"\xff\xfe", b"[" * 200_000, b'{"models":' * 100_000,
     b'{"threshold": ' + b"9" * 10_000 + b"}"],
    ids=["empty", "cut", "list", "null", "nothing", "bytes", "deep", "deep-object", "long-number"],
)  # fmt: skip
def test_a_decision_that_is_no_decision_is_refused(submit, copied, tmp_path, content):
    (copied / "decision.json").write_bytes(content)
    code, _, stderr = submit(run=copied)
    assert code == 1
    assert "decision.json" in stderr
    assert not (tmp_path / "submission.csv").exists()


def test_a_decision_that_is_a_pipe_or_a_folder_is_refused(submit, copied):
    (copied / "decision.json").unlink()
    os.mkfifo(copied / "decision.json")
    assert submit(run=copied)[0] == 1
    (copied / "decision.json").unlink()
    (copied / "decision.json").mkdir()
    assert submit(run=copied)[0] == 1


HOSTILE = {
    "schema": [None, 1, "2", 3, [2], {}],
    "averaging": [None, "mean", ["logit"], "percentile"],
    "calibration": [None, [], [1.0], [1.0, 0.0, 0.0], [math.nan, 0.0], [1.0, "0"], "ab", {"a": 1.0, "b": 0.0}],
    "fold_average_calibration": [None, [1.0], [math.nan, 0.0], [1.0, "0"]],
    "child_context": [[], [1.0, 0.0, 0.0], [math.inf, 0.0, 0.0, 0.0], "abcd", 5, {}],
    "no_pose_logit": [None, "0", [0.0], math.nan, math.inf, 10**400],
    "prevalence": [None, "0.2", 1, 0.0, 1.0, math.nan, [0.2]],
    "blend": [None, [], {}, "x", {"averaging": "logit"}],
    "threshold": [None, "0.5", [], math.nan, math.inf, -0.1, 1.1, 10**400],
    "frames": [None, "60", 60.5, -60, 0, 10**12, [60]],
    "folds": [None, "3", 0, -1, 2.5, 4, 10**15, [3]],
    "files": [None, [], {}, "x", 7, {"stgcn_mil/seed_0/fold_0.safetensors": 7}],
    "data": [None, [], "x", {}, {"simulated": True}],
    "considered_models": [None, "stgcn_mil", ["../x"], [1]],
    "provenance": [None, [], {"threshold": 1}],
    "models": [None, [], {}, "x", {"stgcn_mil": None}, {"stgcn_mil": {}}, {"../run/stgcn_mil": {}}],
    "unknown": [None, 1],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in HOSTILE.items() for value in values])
def test_a_decision_with_a_wrong_value_is_refused_and_nothing_is_written(submit, edit, tmp_path, field, value):
    code, stdout, stderr = submit(run=edit(**{field: value}))
    assert (code, stdout) == (1, "")
    assert stderr.startswith("error: ")
    assert not (tmp_path / "submission.csv").exists()


@pytest.mark.parametrize("field", ["models", "threshold", "folds", "frames", "data", "files", "averaging",
                                   "calibration", "fold_average_calibration", "child_context", "no_pose_logit",
                                   "prevalence", "blend", "considered_models", "provenance"])  # fmt: skip
def test_a_decision_that_lacks_a_field_is_refused(submit, edit, field):
    path = edit() / "decision.json"
    decision = json.loads(path.read_text())
    del decision[field]
    path.write_text(json.dumps(decision))
    code, _, stderr = submit(run=path.parent)
    assert code == 1
    assert "decision.json: is not a decision of this software" in stderr


@pytest.mark.parametrize(
    ("field", "value"),
    [("weight", value) for value in (None, "1.0", [1.0], math.nan, math.inf, -1.0, 0.5, 2.0, 10**400)]
    + [("seeds", value) for value in (None, 0, [], "0", [7], ["0"], [None], [-1], [0.0], [[0]], [0] * 50, ["../seed_0"],
                                      [10**30])]
    + [("settings", value) for value in (None, [], {}, "x", {"width": 8})]
    + [("calibration", value) for value in (None, [], [1.0], [math.nan, 0.0], "ab")]
    + [("quantiles", value) for value in (None, [0.0], [0.0, 1.0], [math.nan], "ab", 7)],
)  # fmt: skip
def test_a_model_with_a_wrong_value_is_refused(submit, edit, copied, tmp_path, field, value):
    models = decision_of(copied)["models"]
    models["stgcn_mil"][field] = value
    code, _, stderr = submit(run=edit(models=models))
    assert code == 1
    assert stderr.startswith("error: ")
    assert not (tmp_path / "submission.csv").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [("root", {}), ("unknown", 1), ("features", None), ("width", 10**9), ("width", True), ("blocks", "4"),
     ("kernel", -3), ("dropout", math.nan), ("head", None), ("aspect", math.inf)],
)  # fmt: skip
def test_a_network_with_a_wrong_setting_is_refused(submit, edit, copied, name, value):
    models = decision_of(copied)["models"]
    tree = models["stgcn_mil"]["settings"]
    (tree["features"] if name in tree["features"] else tree)[name] = value
    code, _, stderr = submit(run=edit(models=models))
    assert code == 1
    assert stderr.startswith("error: ")
    assert "decision.json" in stderr


@pytest.mark.parametrize(
    "name",
    ["../secret.safetensors", "/etc/passwd", "stgcn_mil/../../secret.safetensors", "stgcn_mil/seed_0/x.safetensors\n",
     "a" * 5000, "\x00", ""],
)  # fmt: skip
def test_a_decision_that_points_out_of_the_run_is_refused_without_opening_that(submit, edit, copied, monkeypatch, name):
    (copied.parent / "secret.safetensors").write_bytes(b"secret")
    given = decision_of(copied)["files"]
    run = edit(files=given | {name: sha256(copied.parent / "secret.safetensors")})
    opened = []
    real = os.open
    monkeypatch.setattr(os, "open", lambda path, *rest, **more: opened.append(str(path)) or real(path, *rest, **more))
    code, _, stderr = submit(run=run)
    assert code == 1
    assert "decision.json: is not a decision of this software" in stderr
    assert all(Path(path).name == "decision.json" for path in opened)


def test_a_second_model_cannot_hide_behind_the_first(submit, edit, copied):
    half = decision_of(copied)["models"]["stgcn_mil"] | {"weight": 0.5}
    shutil.copytree(copied / "stgcn_mil", copied / "stgcn_mil2")
    given = decision_of(copied)["files"]
    given |= {name.replace("stgcn_mil", "stgcn_mil2"): digest for name, digest in given.items()}
    for name, change in (("../other", {}), ("stgcn_mil2", {"weight": None}), ("stgcn_mil2", {"weight": 0.6}),
                         ("stgcn_mil2", {"seeds": []}), ("stgcn_mil2", {"calibration": [1.0]}),
                         ("stgcn_mil3", {})):  # fmt: skip
        code, _, stderr = submit(run=edit(models={"stgcn_mil": half, name: half | change}, files=given))
        assert code == 1, name
        assert stderr.startswith("error: ")


# ---- outputs that would replace something else


@pytest.mark.parametrize("name", ["train_data.csv", "oof.csv", "Groups.csv"])
def test_an_out_with_the_name_of_a_table_is_refused_and_the_table_stays(submit, tmp_path, name):
    (tmp_path / name).write_text("segment_name,label\nchild_1_1.npy,1\n")
    code, stdout, stderr = submit(out=tmp_path / name)
    assert (code, stdout) == (1, "")
    assert "has the name of a table that this software reads" in stderr
    assert (tmp_path / name).read_text() == "segment_name,label\nchild_1_1.npy,1\n"


@pytest.mark.parametrize("name", ["mine.csv", "mine_probabilities.csv", "mine_report.html"])
def test_a_file_that_no_submission_wrote_is_never_replaced(submit, tmp_path, name):
    (tmp_path / name).write_text("segment_name,label\nmy,own\n")
    code, _, stderr = submit("--report", out=tmp_path / "mine.csv")
    assert code == 1
    assert "nothing was written" in stderr
    assert (tmp_path / name).read_text() == "segment_name,label\nmy,own\n"
    assert [path.name for path in tmp_path.glob("mine*")] == [name]


def test_an_earlier_submission_is_replaced_and_that_is_printed(submit, test_folder, tmp_path):
    submit()
    before = (tmp_path / "submission.csv").read_bytes()
    code, stdout, _ = submit()
    assert code == 0
    count = len(list(test_folder.glob("*.npy")))
    assert f"replaces {tmp_path / 'submission.csv'}: the labels of {count} segments, predicted 20" in stdout
    assert (tmp_path / "submission.csv").read_bytes() == before


@pytest.mark.parametrize("header", ["label", "probability"])
def test_two_columns_of_one_name_are_refused(submit, tmp_path, header):
    code, stdout, stderr = submit("--header", header)
    assert (code, stdout) == (2, "")
    assert f"--header {header} is another column's name; the nearest is segment_name" in stderr
    assert not (tmp_path / "submission.csv").exists()
