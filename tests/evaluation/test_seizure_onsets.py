"""Alarms by accumulated probability: against a plain loop, and cases made by hand."""

import numpy as np
import pytest

from spasm.evaluation.seizure_onsets import (
    Rule,
    Trace,
    accumulate,
    choose_threshold,
    covered_s,
    find_alarms,
    score_alarms,
    thresholds_by_fold,
)


def rule(span=3, over="clips", floor=0.0, refractory_s=60.0, stride_s=5.0):
    return Rule(span, over, floor, refractory_s, stride_s)


def trace(probability, seizures=((50.0, 60.0),), fold=0, ends_s=None, interictal=None):
    ends_s = np.arange(5.0, 5.0 + 5 * len(probability), 5.0) if ends_s is None else np.asarray(ends_s, float)
    if interictal is None:
        interictal = ends_s < (seizures[0][0] if seizures else np.inf)
    return Trace("child_1_1.npy", str(fold), fold, ends_s, np.asarray(probability, float), interictal, 5.0, seizures)


@pytest.mark.parametrize("over", ["clips", "seconds"])
def test_accumulated_probability_is_that_of_a_plain_loop(over):
    rng = np.random.default_rng(3)
    ends_s = np.cumsum(rng.choice([1.0, 5.0, 47.0], 200, p=[0.6, 0.35, 0.05]))
    values = rng.uniform(size=200)
    span, reach_s = 7, 7 * (5.0 if over == "clips" else 1.0)
    expected = []
    for now in range(200):
        first = max(0, now + 1 - span) if over == "clips" else 0
        total = 0.0
        for other in range(first, now + 1):
            if ends_s[other] > ends_s[now] - reach_s + 1e-6 and values[other] >= 0.2:
                step = 5.0 if other == 0 else min(5.0, ends_s[other] - ends_s[other - 1])
                total += values[other] * (step if over == "seconds" else 1.0)
        expected.append(total)
    np.testing.assert_allclose(accumulate(ends_s, values, rule(span, over, 0.2)), expected, atol=1e-9)


def test_a_gap_without_a_pose_joins_nothing():
    assert accumulate(np.array([5.0, 10.0, 500.0]), np.ones(3), rule()).tolist() == [1, 2, 1]


def test_windows_with_another_stride_are_summed_by_their_number_and_not_by_the_published_time():
    ends_s = np.arange(10.0, 110.0, 10.0)
    assert accumulate(ends_s, np.ones(10), rule(span=4, stride_s=10.0)).tolist() == [1, 2, 3] + [4] * 7
    assert accumulate(ends_s, np.ones(10), rule(span=30, over="seconds", stride_s=10.0))[5:].tolist() == [30] * 5


def test_a_second_alarm_in_the_refractory_time_is_not_raised():
    assert find_alarms(np.arange(0.0, 100, 10), np.ones(10), 1.0, 35.0) == [0, 40, 80]


def test_an_alarm_before_the_eeg_onset_is_false_and_the_next_one_finds_the_seizure():
    found = score_alarms(trace(np.zeros(20)), [40.0, 55.0])
    assert found.alarms == [(40.0, True), (55.0, False)]
    assert found.seizures[0].alarm_s == 55.0


def test_a_seizure_without_an_alarm_has_no_latency():
    assert score_alarms(trace(np.zeros(20)), []).seizures[0].alarm_s is None


def test_each_of_two_seizures_has_its_own_alarm():
    seizures = ((20.0, 25.0), (60.0, 70.0))
    ends_s = np.arange(5.0, 100, 5)
    interictal = (ends_s < 20) | ((ends_s > 40) & (ends_s < 60))
    found = score_alarms(trace(np.zeros(19), seizures, ends_s=ends_s, interictal=interictal), [30.0, 50.0, 65.0])
    assert [one.alarm_s for one in found.seizures] == [30.0, 65.0]
    assert found.alarms[1] == (50.0, True)


def test_every_alarm_in_a_recording_without_a_seizure_is_false():
    assert score_alarms(trace(np.zeros(4), ()), [5.0]).alarms == [(5.0, True)]


def test_time_in_two_windows_counts_once_and_a_gap_not_at_all():
    assert covered_s(np.array([5.0, 6.0, 100.0]), 5.0) == 11.0


def test_the_threshold_of_a_fold_does_not_depend_on_its_own_recordings():
    quiet = [0.1] * 10 + [0.9] * 4
    others = [trace(quiet, fold=1), trace(quiet, fold=2)]
    chosen = [thresholds_by_fold([trace(mine, fold=0), *others], rule(), 0.0)[0] for mine in (quiet, [1.0] * 14)]
    assert chosen[0] == chosen[1]


def test_the_chosen_threshold_raises_no_false_alarm_where_none_is_allowed():
    noisy = trace([0.1, 0.8, 0.8, 0.1] + [0.1] * 6 + [0.9] * 4)
    threshold = choose_threshold([noisy], rule(), 0.0)
    found = score_alarms(
        noisy, find_alarms(noisy.ends_s, accumulate(noisy.ends_s, noisy.probability, rule()), threshold, 60.0)
    )
    assert not any(false for _, false in found.alarms)
    assert found.seizures[0].alarm_s is not None
