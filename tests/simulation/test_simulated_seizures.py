"""The seizures of simulated recordings: which spasms are one, and when each begins."""

import numpy as np
import pytest

from helpers.tables import table
from spasm.simulation import dataset_writer
from spasm.simulation.infant import SimulationConfig, generator
from spasm.simulation.seizures import EEG_AHEAD_S, PAUSE_S, seizure_onsets


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Three recordings of twelve minutes; some hold several clusters."""
    out = tmp_path_factory.mktemp("seizures") / "demo"
    dataset_writer.write_dataset(out, 4, 1, 5, SimulationConfig(frames=60), recordings=3, minutes=12.0, workers=1)
    return out


def test_a_cluster_is_one_seizure_and_so_is_a_spasm_by_itself():
    spasms_s = [(30.0, 31.0), (42.0, 43.5), (80.0, 81.0), (81.0 + PAUSE_S + 1, 145.0), (400.0, 401.0), (409.0, 411.0)]
    clinical_s = [clinical for _, clinical in seizure_onsets(generator(1), spasms_s)]
    assert clinical_s == [30.0, 81.0 + PAUSE_S + 1, 400.0]
    assert seizure_onsets(generator(1), []) == []


def test_a_pause_is_counted_from_the_end_of_a_spasm():
    assert len(seizure_onsets(generator(1), [(10.0, 16.0), (16.0 + PAUSE_S, 80.0)])) == 1
    assert len(seizure_onsets(generator(1), [(10.0, 16.0), (16.1 + PAUSE_S, 80.0)])) == 2


def test_the_eeg_starts_seconds_before_the_first_spasm_but_not_before_the_recording():
    ahead_s = [c - e for n in range(200) for e, c in seizure_onsets(generator(n), [(100.0, 101.0)])]
    assert EEG_AHEAD_S[0] - 1e-3 <= min(ahead_s) < EEG_AHEAD_S[0] + 1
    assert EEG_AHEAD_S[1] - 1 < max(ahead_s) <= EEG_AHEAD_S[1] + 1e-3
    assert {eeg_s for n in range(20) for eeg_s, _ in seizure_onsets(generator(n), [(1.5, 2.0)])} == {0.0}


def test_every_spasm_of_a_recording_belongs_to_a_seizure_that_has_begun(recorded):
    events, seizures = table(recorded / "events.csv"), table(recorded / "seizures.csv")
    assert events and {row["recording"] for row in seizures} == {row["recording"] for row in events}
    for row in events:
        begun_s = [
            float(seizure["clinical_onset_s"])
            for seizure in seizures
            if seizure["recording"] == row["recording"] and float(seizure["eeg_onset_s"]) <= float(row["onset_s"])
        ]
        assert begun_s and max(begun_s) <= float(row["onset_s"])
    assert {float(row["clinical_onset_s"]) for row in seizures} <= {float(row["onset_s"]) for row in events}
    assert len(seizures) < len(events)


def test_the_onsets_are_in_order_and_the_same_each_time(recorded, tmp_path):
    for name in {row["recording"] for row in table(recorded / "seizures.csv")}:
        onsets_s = [float(r["clinical_onset_s"]) for r in table(recorded / "seizures.csv") if r["recording"] == name]
        assert (np.diff(onsets_s) > PAUSE_S).all()
    dataset_writer.write_dataset(
        tmp_path / "again", 4, 1, 5, SimulationConfig(frames=90), recordings=3, minutes=12.0, workers=1
    )
    assert (tmp_path / "again/seizures.csv").read_bytes() == (recorded / "seizures.csv").read_bytes()
