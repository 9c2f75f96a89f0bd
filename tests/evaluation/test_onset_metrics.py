"""Metrics of alarms at seizures, on cases made by hand, and the table that shows them."""

import numpy as np
import pytest

from spasm.evaluation.onset_metrics import evaluate_traces
from spasm.evaluation.seizure_onsets import Trace, score_alarms
from spasm.report.onset_timeline import onset_table, plot_trace


def trace(child: int, seizures=((50.0, 60.0),), count: int = 20) -> Trace:
    """Windows of 5 s, one after the other."""
    ends_s = np.arange(1, count + 1) * 5.0
    interictal = ends_s < (seizures[0][0] if seizures else np.inf)
    values = np.linspace(0, 1, count)
    return Trace(f"child_{child}_1.npy", str(child), child % 2, ends_s, values, interictal, 5.0, seizures)


def evaluated(alarms: dict[int, list[float]], seizures=((50.0, 60.0),)) -> dict:
    traces = [trace(child, seizures) for child in alarms]
    outcomes = [score_alarms(one, times) for one, times in zip(traces, alarms.values(), strict=True)]
    probability = np.concatenate([one.probability for one in traces])
    target = np.concatenate([one.ends_s >= 60 for one in traces]).astype(float)
    children = np.repeat([str(child) for child in alarms], 20)
    found = evaluate_traces(traces, outcomes, probability, target, children)
    return {"simulated": False, **found}


def test_sensitivity_latencies_and_false_alarms_of_three_children():
    found = evaluated({1: [55.0], 2: [20.0, 65.0], 3: []})
    metrics = found["metrics"]
    assert (found["seizures"], found["recordings"], found["children"]) == (3, 3, 3)
    assert metrics["sensitivity"]["value"] == pytest.approx(2 / 3)
    assert metrics["latency_to_eeg_onset_s"]["value"] == 10
    assert (metrics["latency_to_eeg_onset_s"]["shortest"], metrics["latency_to_eeg_onset_s"]["longest"]) == (5, 15)
    assert metrics["latency_to_clinical_onset_s"]["value"] == 0, "-5 s and 5 s"
    assert metrics["false_alarms_per_interictal_hour"]["value"] == pytest.approx(1 / (3 * 45 / 3600))
    assert metrics["false_alarms_per_hour"]["value"] == pytest.approx(1 / (3 * 100 / 3600))


def test_the_error_is_that_of_the_paper_beside_that_of_the_mean_target():
    metrics = evaluated({1: [], 2: []})["metrics"]
    values, target = np.linspace(0, 1, 20), np.arange(1, 21) * 5 >= 60
    assert metrics["error"]["value"] == pytest.approx(100 * np.sqrt(np.mean((values - target) ** 2)))
    assert metrics["trivial_error"]["value"] == pytest.approx(100 * target.std())


def test_an_interval_counts_children_and_not_windows():
    same = evaluated({child: [55.0] for child in range(1, 6)})["metrics"]
    assert same["sensitivity"]["low"] == same["sensitivity"]["high"] == 1
    different = evaluated({1: [55.0], 2: [55.0], 3: [55.0], 4: [], 5: []})["metrics"]["sensitivity"]
    assert different["low"] < 0.6 < different["high"]


def test_without_a_seizure_or_a_detected_one_latency_and_sensitivity_are_undefined_and_not_0():
    quiet = evaluated({1: [], 2: []})
    assert quiet["metrics"]["sensitivity"]["value"] == 0
    assert quiet["metrics"]["latency_to_eeg_onset_s"]["value"] is None
    controls = evaluated({1: [30.0], 2: []}, seizures=())
    assert controls["metrics"]["sensitivity"]["value"] is None
    assert controls["metrics"]["false_alarms_per_interictal_hour"]["value"] == pytest.approx(18)
    assert "undefined" in onset_table(controls)


def test_the_table_shows_intervals_and_the_range_of_latencies_and_marks_simulated_data():
    found = evaluated({1: [55.0], 2: [65.0], 3: []})
    printed = onset_table(found)
    assert "SIMULATED" not in printed
    [line] = [line for line in printed.splitlines() if "latency to the EEG onset" in line]
    assert "10.00" in line and line.endswith("each: 5.00 to 15.00")
    assert onset_table({**found, "simulated": True}).startswith("SIMULATED")


def test_a_timeline_is_plotted_of_a_recording_with_and_without_windows():
    one = trace(1)
    none = one._replace(ends_s=np.zeros(0), probability=np.zeros(0), interictal=np.zeros(0, bool))
    assert plot_trace(one, np.cumsum(one.probability), 3.0, [(20.0, True), (55.0, False)], True)[:4] == b"\x89PNG"
    assert plot_trace(none, np.zeros(0), 3.0, [], False)[:4] == b"\x89PNG"
