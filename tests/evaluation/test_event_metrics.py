"""Event metrics against timescoring, the scorer of SzCORE, and the effect of its margins on short events."""

import dataclasses

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from timescoring.annotations import Annotation
from timescoring.scoring import EventScoring

from spasm.evaluation.event_metrics import SZCORE, EventCounts, Overlap, _prepared, compare_events, evaluate_events

DURATION_S = 600
PLAIN = Overlap()


@st.composite
def events(draw):
    """Events in order and apart, on the tenths of a second that timescoring works in."""
    steps = draw(st.lists(st.tuples(st.integers(1, 900), st.integers(1, 3500)), max_size=12))
    ends = np.cumsum([length for step in steps for length in step])
    return np.array([pair for pair in ends.reshape(-1, 2) / 10 if pair[1] <= DURATION_S]).reshape(-1, 2)


def count(true, detected, overlap=PLAIN):
    true, detected = np.reshape(true, (-1, 2)).astype(float), np.reshape(detected, (-1, 2)).astype(float)
    return compare_events(true, detected, detected[:, 1], DURATION_S, overlap)


@pytest.mark.parametrize("overlap", [PLAIN, Overlap(1, 1), Overlap(5, 5), Overlap(0, 3, 2, 60), SZCORE])
@settings(derandomize=True)  # a new rounding case must not stop an unrelated change
@given(true=events(), detected=events())
def test_counts_are_those_of_timescoring(overlap, true, detected):
    longest = min(overlap.longest_s, 2 * DURATION_S)
    for one in (true, detected):
        whole = _prepared(one, dataclasses.replace(overlap, longest_s=np.inf))
        parts = (whole[:, 1] - whole[:, 0]) / longest
        # At whole numbers timescoring depends on rounding: it merges events that it should not, and counts an empty
        # last piece as a false alarm.
        assume((np.abs(parts - np.round(parts)) > 1e-6).all())
        assume((np.abs(one[1:, 0] - one[:-1, 1] - overlap.join_s) > 1e-6).all())
    parameters = EventScoring.Parameters(overlap.before_s, overlap.after_s, 0, longest, overlap.join_s)
    annotations = [Annotation([tuple(event) for event in one], 10, 10 * DURATION_S) for one in (true, detected)]
    theirs = EventScoring(*annotations, parameters)
    mine = count(true, detected, overlap)
    assert (mine.true, mine.found, mine.false) == (theirs.refTrue, theirs.tp, theirs.fp)
    metrics = evaluate_events([mine], ["a"])
    wanted = {"event_sensitivity": theirs.sensitivity, "event_f1": theirs.f1}
    for name, value in wanted.items():
        assert metrics[name]["value"] == (None if np.isnan(value) else pytest.approx(value))
    assert metrics["false_alarms_per_hour"]["value"] == pytest.approx(theirs.fpRate / 24)


def test_a_detected_event_may_match_two_spasms_and_is_false_only_if_it_matches_none():
    counts = count([(10, 11), (16, 17), (40, 41)], [(9, 18), (100, 101)])
    assert (counts.true, counts.found, counts.detected, counts.false) == (3, 2, 2, 1)
    assert count([(10, 11)], [(11, 12)]).found == 0, "they touch and share nothing"
    assert count([(10, 11)], [(12.5, 13)], Overlap(2, 2)).found == 1


def test_latency_and_onset_error_are_those_of_the_first_event_that_meets_a_spasm():
    counts = count([(10, 12), (50, 51)], [(9.5, 10.5), (11, 12), (200, 201)])
    assert counts.latencies_s.tolist() == [0.5]
    assert counts.onset_errors_s.tolist() == [-0.5]
    assert len(count([(10, 12)], []).latencies_s) == 0


def test_an_event_that_lasts_for_ever_is_not_early():
    counts = count([(50, 51)], [(0, 100)], Overlap(longest_s=10))
    assert (counts.found, counts.false) == (1, 9)
    assert counts.onset_errors_s.tolist() == [0.0]
    detected = np.array([[0.0, 100.0]])
    early = compare_events(np.array([[55.0, 56.0]]), detected, np.array([5.0]), DURATION_S, Overlap(longest_s=10))
    assert early.latencies_s.tolist() == [-5.0], "known when its piece begins, not 50 s before"


def test_a_true_event_within_another_takes_nothing_from_it():
    assert count([(10, 40), (12, 13)], [(30, 31)]).false == 0


def test_margins_made_for_long_seizures_flatter_calls_made_at_random():
    generator = np.random.default_rng(0)
    true = np.arange(200, 36_000, 200)[:, None] + [0.0, 1.0]
    detected = np.sort(generator.uniform(0, 36_000, 600))[:, None] + [0.0, 0.05]  # one a minute
    found = [
        compare_events(true, detected, detected[:, 1], 36_000, overlap).found / len(true)
        for overlap in (PLAIN, Overlap(30, 60))
    ]
    assert found[0] < 0.05
    assert found[1] > 0.7


def test_metrics_are_of_all_recordings_together_with_intervals_over_children():
    nothing = np.zeros(0)
    counts = [EventCounts(10, 9, 10, 1, 0.5, nothing, nothing), EventCounts(10, 1, 3, 2, 1.5, nothing, nothing)]
    metrics = evaluate_events(counts, ["a", "b"])
    assert metrics["event_sensitivity"] == {"value": 0.5, "low": pytest.approx(0.1), "high": pytest.approx(0.9)}
    assert metrics["false_alarms_per_hour"]["value"] == pytest.approx(1.5)
    assert metrics["event_f1"]["value"] == pytest.approx(20 / (20 + 3 + 10))
    assert metrics["event_precision"]["value"] == pytest.approx(10 / (10 + 3))
    assert evaluate_events(counts[:1], ["a"])["event_sensitivity"]["low"] == pytest.approx(0.9)
