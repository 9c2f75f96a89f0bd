"""The sentences of the page agree with its numbers."""

import dataclasses
import types

import numpy as np
import pytest

from spasm.report import sentences, summary
from spasm.report.predictions import SegmentPredictions, least_certain, worst
from spasm.report.summary import Confusion, how_good, small_fraction
from spasm.runs.artefacts import Metric

PREDICTIONS = SegmentPredictions(
    names=[f"child_{row}.npy" for row in range(6)],
    children=["a", "a", "b", "b", "c", "c"],
    poses=np.zeros((6, 60, 33, 5), dtype=np.float32),
    probability=np.array([0.9, 0.8, 0.7, 0.4, 0.1, 0.2]),
    positive=np.array([True, True, True, False, False, False]),
    thresholds=np.full(6, 0.5),
    logits={},
    has_pose=np.ones(6, dtype=bool),
    too_little_seen=np.zeros(6, dtype=bool),
    notes={},
    labels=np.array([1, 0, 0, 1, 0, 0]),
    fold_of=np.zeros(6, dtype=int),
)


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        (Confusion(86, 43, 43, 278), "Finds 2 of 3 spasms; 1 in 3 alarms is false."),
        (Confusion(69, 31, 27, 100), "Finds about 2 of 3 spasms; 2 in 7 alarms are false."),
        (Confusion(98, 2, 98, 0), "Finds 49 of 50 spasms; 1 in 2 alarms is false."),
        (Confusion(5, 0, 0, 9), "Finds every spasm; no alarm is false."),
        (Confusion(0, 5, 3, 9), "Finds no spasm; every alarm is false."),
        (Confusion(94, 14, 16, 500), "Finds about 6 of 7 spasms; about 1 in 6 alarms is false."),
        (Confusion(0, 5, 0, 9), "Finds no spasm; raises no alarm."),
    ],
)
def test_the_verdict_is_in_small_numbers(counts: Confusion, text: str) -> None:
    assert how_good(counts) == text


def test_a_fraction_in_small_numbers_is_never_far_off() -> None:
    for part in range(1, 1000):
        words = small_fraction(part, 1000, "of").removeprefix("about ").split(" of ")
        assert abs(int(words[0]) / int(words[1]) - part / 1000) <= 0.03


def test_the_worst_child_is_the_one_with_the_largest_fraction_of_wrong_predictions() -> None:
    text = sentences.worst_child(PREDICTIONS)
    assert (
        text == "The worst child is b: 2 of 2 segments are wrong. Missed spasms: 1, false alarms: 1. "
        "1 of 3 children have no wrong prediction."
    )


def test_of_children_with_as_many_errors_the_one_farthest_off_is_named() -> None:
    tied = dataclasses.replace(PREDICTIONS, labels=np.array([0, 0, 0, 1, 0, 0]))
    text = sentences.worst_child(tied)
    assert text.startswith("The worst child is a: 2 of 2 segments are wrong, as for 1 other children,")


def test_segments_of_which_too_little_was_seen_are_mentioned_where_there_are_others() -> None:
    assert sentences.too_little_seen(PREDICTIONS) == ""
    poor = np.array([False, False, True, False, False, False])
    assert sentences.too_little_seen(dataclasses.replace(PREDICTIONS, too_little_seen=np.ones(6, dtype=bool))) == ""
    text = sentences.too_little_seen(dataclasses.replace(PREDICTIONS, too_little_seen=poor, has_pose=~poor))
    assert text.startswith("Of 1 of 6 segments too little was seen for a prediction; 1 of them have no pose")
    assert "0 of the missed spasms and 1 of the false alarms are such segments. Without them F1 is 0.500." in text


def test_new_segments_of_which_too_little_was_seen_are_not_counted_as_positive() -> None:
    poor = np.array([True, False, False, True, False, False])
    new = dataclasses.replace(PREDICTIONS, labels=None, too_little_seen=poor)
    report = types.SimpleNamespace(predictions=new, threshold=0.5)
    assert summary.verdict(report) == (
        "2 of 6 segments are predicted positive, in 2 of 3 children. "
        "2 could not be predicted, since too little was seen."
    )
    assert "Of 2 segments too little was seen for a prediction." in sentences.new_segments(report)
    assert worst(new).tolist() == [1, 2, 5, 4]
    assert sorted(least_certain(new).tolist()) == [1, 2, 4, 5]


def test_a_metric_that_is_not_defined_has_a_dash() -> None:
    nothing = Metric(value=None, low=None, high=None)
    known = Metric(value=0.5, low=0.25, high=0.75)
    metrics = {"f1": known, "sensitivity": known, "precision": nothing, "auc": known, "always_positive_f1": known}
    values = {card.name: (card.value, card.range) for card in summary.cards(metrics, Confusion(0, 5, 0, 9))}
    assert values["Precision"] == ("–", "")
    assert values["Sensitivity"] == ("50 %", "25 % to 75 %")
