"""How far two reviewers agree, compared with scikit-learn and with counts by hand."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from spasm.data.reviews import ReviewedEvent
from spasm.evaluation.reviewer_agreement import agreement, differences, disagreement, in_both, match


def event(onset_s, decision, kind="", recording="child_1_1.npy", added=False, shift_s=0.0, length_s=1.0):
    """An event detected at onset_s, moved by the reviewer; or an added one."""
    kind = kind or {"accepted": "spasm", "rejected": "other", "unreviewed": ""}[decision]
    detected = None if added else (onset_s, onset_s + length_s)
    times = onset_s + shift_s, onset_s + shift_s + length_s
    return ReviewedEvent(2, recording, *times, kind, decision, "added" if added else "detected", detected, "", "")


def sample(seed, count=300):
    """Decisions and types of two reviewers who often agree, in recordings of 12 children."""
    rng = np.random.default_rng(seed)
    a, b = [], []
    for k in range(count):
        kinds = rng.choice(["spasm", "startle", "moro", "crying"], p=[0.4, 0.3, 0.2, 0.1])
        other = kinds if rng.random() < 0.7 else rng.choice(["spasm", "startle", "crying"])
        recording = f"child_{k % 12}_{k % 2}.npy"
        for events, kind in ((a, kinds), (b, other)):
            decision = "accepted" if kind == "spasm" else "rejected"
            events.append(event(10.0 * k, decision, str(kind), recording))
    return a, b


def test_kappa_and_specific_agreement_are_those_of_scikit_learn_and_of_counts():
    a, b = sample(0)
    found = agreement(match(a, b))
    decisions = [[one.decision for one in events] for events in (a, b)]
    decision = found["decision"]
    assert decision["kappa"]["value"] == pytest.approx(cohen_kappa_score(*decisions))
    both = sum(x == y == "accepted" for x, y in zip(*decisions, strict=True))
    apart = sum(x != y for x, y in zip(*decisions, strict=True))
    neither = len(a) - both - apart
    assert (decision["both_accepted"], decision["both_rejected"]) == (both, neither)
    assert decision["agreement"]["value"] == pytest.approx(1 - apart / len(a))
    assert decision["positive_agreement"]["value"] == pytest.approx(2 * both / (2 * both + apart))
    assert decision["negative_agreement"]["value"] == pytest.approx(2 * neither / (2 * neither + apart))
    rejected = [(x.type, y.type) for x, y in zip(a, b, strict=True) if x.decision == y.decision == "rejected"]
    kinds = found["type_of_rejected"]
    assert kinds["kappa"]["value"] == pytest.approx(cohen_kappa_score(*zip(*rejected, strict=True)))
    assert kinds["counts"]["moro"].get("moro") == rejected.count(("moro", "moro"))


def test_intervals_are_over_children_and_hold_the_value_about_as_often_as_they_promise():
    hits, true = 0, agreement(match(*sample(99, 5000)))["decision"]["kappa"]["value"]
    for seed in range(60):
        found = agreement(match(*sample(seed, 120)))["decision"]["kappa"]
        hits += found["low"] <= true <= found["high"]
    assert hits >= 51, "0.95 expected; 51 of 60 has a probability below 0.01"
    one_child = [event(10.0 * k, "accepted", recording=f"child_1_{k % 3}.npy") for k in range(9)]
    assert agreement(match(one_child, one_child))["intervals_over"] == "recordings"


def test_one_category_has_an_agreement_and_no_kappa():
    events = [event(10.0 * k, "accepted") for k in range(5)]
    decision = agreement(match(events, events))["decision"]
    assert decision["agreement"]["value"] == 1 and decision["kappa"]["value"] is None
    nothing = agreement(match([], []))
    assert nothing["decision"]["agreement"]["value"] is None and nothing["times_of_accepted"]["onset_s"]["events"] == 0


def test_a_detected_event_is_matched_by_its_detected_times_however_far_it_was_moved():
    a = [event(10, "accepted"), event(11.5, "rejected"), event(40, "unreviewed")]
    b = [event(10, "accepted", shift_s=3.0), event(11.5, "accepted"), event(40, "accepted"), event(90, "rejected")]
    pairs = match(a, b)
    assert [(pair.a is None, pair.b is None) for pair in pairs] == [(False, False)] * 3 + [(True, False)]
    assert [disagreement(pair) for pair in pairs] == ["times", "decision", "", "only in b"]
    found = agreement(pairs)
    assert found["detected_events"] == {
        "in_both": 3, "decided_by_both": 2, "unreviewed_in_a": 1, "unreviewed_in_b": 0, "only_in_a": 0, "only_in_b": 1,
    }  # fmt: skip


def test_added_events_are_matched_one_to_one_by_what_they_share():
    a = [event(10, "accepted", added=True), event(10.6, "accepted", added=True), event(50, "accepted", added=True)]
    b = [event(10.5, "accepted", added=True), event(51.9, "accepted", added=True), event(80, "accepted", added=True)]
    b.append(event(10, "accepted", added=True, recording="child_2_1.npy"))
    pairs = match(a, b)
    together = [(pair.a.onset_s, pair.b.onset_s) for pair in in_both(pairs)]
    assert together == [(10.6, 10.5), (50, 51.9)], "0.9 s apart still counts; 10 is left over"
    assert agreement(pairs)["added_events"] == {"in_both": 2, "only_in_a": 1, "only_in_b": 2}
    apart = match([event(10, "accepted", added=True)], [event(12.1, "accepted", added=True)])
    assert len(apart) == 2


def test_differences_of_times_are_second_minus_first_with_limits_of_agreement():
    values = np.array([0.1, 0.3, -0.2, 0.6, 0.0])
    a = [event(10.0 * k, "accepted") for k in range(5)]
    b = [event(10.0 * k, "accepted", shift_s=shift) for k, shift in enumerate(values)]
    found = agreement(match(a, b))["times_of_accepted"]["onset_s"]
    assert found["median"] == pytest.approx(0.1) and found["mean"] == pytest.approx(values.mean())
    assert found["limit_high"] == pytest.approx(values.mean() + 1.96 * values.std(ddof=1))
    assert differences([0.5])["limit_low"] is None
