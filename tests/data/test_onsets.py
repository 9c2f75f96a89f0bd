"""onsets.csv: how it is read, how it changes targets, and which loss uses it."""

import math
from pathlib import Path

import numpy as np
import pytest

from helpers.networks import small_config, some_data, trainer_of
from helpers.segments import add_to_test, make_data, one, pose, problems, warnings
from spasm.core.errors import DataProblems
from spasm.data.annotations import check_targets, ramp, targets
from spasm.data.dataset import load_training

HEADER = "segment_name,eeg_onset_s,clinical_onset_s\n"


def test_the_probability_ramps_from_the_onset_in_the_eeg_to_the_clinical_one():
    assert ramp(9.9, 10, 20) == 0
    assert ramp(20, 10, 20) == ramp(50, 10, 20) == 1
    assert ramp(15, 10, 20) == pytest.approx((math.exp(2.5) - 1) / (math.exp(5) - 1))
    assert ramp(10, 10, 10) == 1, "both at once"
    rising = [ramp(time, 10, 20) for time in np.linspace(9, 21, 50)]
    assert rising == sorted(rising)


def test_segments_without_onsets_keep_their_label():
    taught = targets(["a", "b", "c"], np.array([0, 1, 1]), {"b": (2.0, 9.0)}, 5.0)
    assert taught.tolist() == pytest.approx([0, ramp(5, 2, 9), 1])


def test_onsets_are_read_and_leave_the_data_what_it_is(tmp_path):
    data = make_data(tmp_path / "data")
    before = load_training(data, 16, "challenge", tmp_path / "cache")
    assert before.targets is None
    (data / "onsets.csv").write_text(f"{HEADER}{before.names[0]},-3,2.5\n{before.names[1]},0.1,30\n")
    after = load_training(data, 16, "challenge", tmp_path / "cache")
    assert after.targets.tolist()[:2] == pytest.approx([ramp(16 / 30, -3, 2.5), ramp(16 / 30, 0.1, 30)])
    assert after.targets.tolist()[2:] == before.labels.tolist()[2:]
    assert after.fingerprint == before.fingerprint, "models that do not use onsets can resume"


@pytest.mark.parametrize("row", ["one,2", ",2", "nan,2", "5,2", "1,inf"])
def test_a_row_without_two_onsets_in_their_order_is_named(tmp_path, row):
    data = make_data(tmp_path / "data")
    (data / "onsets.csv").write_text(f"{HEADER}child_1_1.npy,{row}\n")
    one(problems(data), "onsets.csv", "line 2", "that of the EEG first")


def test_a_segment_that_is_there_twice_is_refused(tmp_path):
    data = make_data(tmp_path / "data")
    (data / "onsets.csv").write_text(f"{HEADER}child_1_1.npy,1,2\nchild_1_1.npy,1,2\n")
    one(problems(data), "onsets.csv", "line 3", "twice")


@pytest.mark.parametrize(
    ("loss", "follows"), [("squared", True), ("taught", True), ("plain", False), ("weighted", False)]
)
def test_the_squared_error_and_the_taught_loss_alone_have_probabilities_as_targets(loss, follows):
    data = some_data()
    object.__setattr__(data, "targets", np.full(len(data.labels), 0.25, np.float32))
    rows = np.arange(len(data.labels))
    trainer = trainer_of("vsvig", small_config("vsvig", loss=loss), data, rows)
    assert (trainer.targets.tolist() == data.targets.tolist()) == follows


# ---- onsets that contradict the labels


POSITIVES = {f"child_{n}_1.npy": 1 for n in range(10)}
NEGATIVES = {f"child_{n}_2.npy": 0 for n in range(10)}


def checked(onset: tuple[float, float], wrong: int, right: tuple[float, float] = (0.5, 2.0)):
    """The check of ten positive segments of which so many have one onset and the others another."""
    onsets = {name: onset if n < wrong else right for n, name in enumerate(POSITIVES)}
    return check_targets(Path("onsets.csv"), POSITIVES | NEGATIVES, onsets, 150)


@pytest.mark.parametrize(
    ("onset", "hint"),
    [
        ((20, 70), "frames: divide by 30"),
        ((149, 150), "frames: divide by 30"),
        ((800, 2300), "milliseconds: divide by 1000"),
        ((91_000, 93_000), "not of the recording"),
        ((5.0, 5.5), "give seconds from the start of the segment"),
    ],
)
def test_onsets_that_teach_most_positives_to_be_negative_are_refused_with_the_likely_unit(onset, hint):
    found = checked(onset, wrong=6)
    one([str(problem) for problem in found.problems], "6 of its 10 positive segments get a target near 0", hint)
    assert found.warnings == []


def test_onsets_of_a_few_positives_after_their_end_are_a_warning():
    found = checked((30.0, 31.0), wrong=4)
    assert found.problems == []
    one([str(warning) for warning in found.warnings], "4 of its 10 positive segments")


def test_onsets_inside_or_before_the_segments_are_right():
    for onset in ((0.0, 0.0), (-3.0, 2.5), (4.0, 4.5), (1.0, 9.0)):
        assert checked(onset, wrong=10) == ([], []), onset


def test_a_negative_segment_with_an_onset_inside_is_a_warning():
    onsets = {"child_3_2.npy": (1.0, 2.0), "child_4_2.npy": (4.9, 30.0), "child_1_1.npy": (1.0, 2.0)}
    found = check_targets(Path("onsets.csv"), POSITIVES | NEGATIVES, onsets, 150)
    assert found.problems == []
    one([str(warning) for warning in found.warnings], "1 segments with the label 0", "child_3_2.npy")


def test_training_and_verifying_refuse_onsets_in_frames_alike(tmp_path):
    data = make_data(tmp_path / "data")
    (data / "onsets.csv").write_text(f"{HEADER}child_1_0.npy,7,11\nchild_3_1.npy,5,9\n")
    one(problems(data), "onsets.csv", "look like frames")
    with pytest.raises(DataProblems, match="look like frames"):
        load_training(data, 16, "challenge", tmp_path / "cache")


@pytest.mark.parametrize("name", ["child_1_1", "child_1_11.npy", "CHILD_1_1.npy"])
def test_a_segment_that_has_no_file_is_refused_with_the_nearest_name(tmp_path, name):
    data = make_data(tmp_path / "data")
    (data / "onsets.csv").write_text(f"{HEADER}{name},0.1,0.2\n")
    one(problems(data), "onsets.csv", f"such as '{name}'", "did you mean child_1_1.npy?")


def test_onsets_of_test_segments_are_accepted(tmp_path):
    data = make_data(tmp_path / "data")
    add_to_test(data, pose(500), "child_50_1.npy")
    (data / "onsets.csv").write_text(f"{HEADER}child_50_1.npy,0.1,0.2\n")
    assert problems(data) == warnings(data) == []
