"""The sentences of the page agree with its numbers."""

import dataclasses

import numpy as np
import pytest

from spasm.report import sentences, summary
from spasm.report.predictions import SegmentPredictions
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


def test_segments_without_a_pose_are_mentioned_where_only_some_have_none() -> None:
    assert sentences.without_pose(PREDICTIONS) == ""
    some = dataclasses.replace(PREDICTIONS, has_pose=np.array([True, True, False, True, True, True]))
    text = sentences.without_pose(some)
    assert text.startswith("1 of 6 segments have no pose in any frame.")
    assert "0 of the missed spasms and 1 of the false alarms are such segments; without them F1 is 0.500." in text


def test_a_metric_that_is_not_defined_has_a_dash() -> None:
    nothing = Metric(value=None, low=None, high=None)
    known = Metric(value=0.5, low=0.25, high=0.75)
    metrics = {"f1": known, "sensitivity": known, "precision": nothing, "auc": known, "always_positive_f1": known}
    values = {card.name: (card.value, card.range) for card in summary.cards(metrics, Confusion(0, 5, 0, 9))}
    assert values["Precision"] == ("–", "")
    assert values["Sensitivity"] == ("50 %", "25 % to 75 %")
