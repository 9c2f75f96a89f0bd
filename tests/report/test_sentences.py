"""The sentences of the page say what the numbers say."""

import dataclasses

import numpy as np

from spasm.report import sentences
from spasm.report.predictions import SegmentPredictions
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


def test_the_worst_child_is_the_one_with_the_largest_fraction_of_wrong_predictions() -> None:
    text = sentences.worst_child(PREDICTIONS)
    assert text == "The worst child is b: 2 of 2 segments wrong. 1 of 3 children have no wrong answer."


def test_of_children_with_as_many_errors_the_one_farthest_off_is_named() -> None:
    tied = dataclasses.replace(PREDICTIONS, labels=np.array([0, 0, 0, 1, 0, 0]))
    text = sentences.worst_child(tied)
    assert text.startswith("The worst child is a: 2 of 2 segments wrong, as in 1 other children;")


def test_segments_without_a_pose_are_mentioned_where_only_some_have_none() -> None:
    assert sentences.without_pose(PREDICTIONS) == ""
    some = dataclasses.replace(PREDICTIONS, has_pose=np.array([True, True, False, True, True, True]))
    text = sentences.without_pose(some)
    assert text.startswith("1 of 6 segments have no pose in any frame, and 1 of them count as called positive")
    assert text.endswith("Without such segments F1 is 0.500.")


def test_a_metric_that_is_not_defined_has_no_percentage() -> None:
    assert sentences.percent_interval(Metric(value=0.5, low=0.25, high=0.75)) == "50 % (25 % to 75 %)"
    assert sentences.percent_interval(Metric(value=None, low=None, high=None)) == "an unknown share"
    assert sentences.three_digits(None) == "–"
