"""onsets.csv: how it is read, how it changes targets, and which loss uses it."""

import math

import numpy as np
import pytest

from helpers.networks import small_config, some_data, trainer_of
from helpers.segments import make_data, one, problems, warnings
from spasm.data.annotations import ramp, targets
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


def test_a_segment_twice_is_refused_and_one_without_a_file_is_reported(tmp_path):
    data = make_data(tmp_path / "data")
    (data / "onsets.csv").write_text(f"{HEADER}child_1_1.npy,1,2\nchild_1_1.npy,1,2\n")
    one(problems(data), "onsets.csv", "line 3", "twice")
    (data / "onsets.csv").write_text(f"{HEADER}child_99_1.npy,1,2\n")
    one(warnings(data), "onsets.csv", "child_99_1.npy")


@pytest.mark.parametrize(("loss", "follows"), [("squared", True), ("weighted", False)])
def test_the_squared_error_alone_follows_the_onsets(loss, follows):
    data = some_data()
    object.__setattr__(data, "targets", np.full(len(data.labels), 0.25, np.float32))
    rows = np.arange(len(data.labels))
    trainer = trainer_of("vsvig", small_config("vsvig", loss=loss), data, rows)
    assert (trainer.targets.tolist() == data.targets.tolist()) == follows
