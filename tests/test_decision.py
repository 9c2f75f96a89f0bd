"""Probabilities and thresholds."""

import math

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from spasm.decision import best_threshold, cross_fitted, probability


@st.composite
def rows(draw):
    """Labels and probabilities with ties, zeros, ones and close neighbours."""
    value = st.one_of(st.integers(0, 8).map(lambda n: n / 8), st.floats(0, 1))
    drawn = draw(st.lists(st.tuples(st.integers(0, 1), value), min_size=1, max_size=25))
    labels, probabilities = (np.array(column) for column in zip(*drawn, strict=True))
    assume(labels.sum() > 0)
    return labels, probabilities


def f1_at(labels, probabilities, threshold):
    positive = probabilities >= threshold
    return 2 * (positive & (labels == 1)).sum() / (positive.sum() + labels.sum())


# ---- probability


def test_a_probability_is_the_logistic_function_of_the_logit():
    logits = np.linspace(-20, 20, 401)
    assert np.allclose(probability(logits), [1 / (1 + math.exp(-x)) for x in logits], atol=1e-15)
    assert probability(np.log([0.25])) == pytest.approx(0.2)


@pytest.mark.filterwarnings("error")
def test_extreme_logits_do_not_overflow():
    assert probability(np.array([-1000, -1e308, 0, 1000, 1e308])).tolist() == [0, 0, 0.5, 1, 1]
    assert probability(np.array([-1000, 1000], np.float32)).tolist() == [0, 1]


# ---- one threshold


@settings(deadline=None, max_examples=150)
@given(rows())
@example((np.array([1, 0]), np.array([0.0, 0.5])))  # only the answer "all positive" finds the spasm
@example((np.array([1, 0, 1]), np.array([1.0, np.nextafter(1, 0), np.nextafter(1, 0)])))
@example((np.array([1, 0]), np.array([1 - 1.1102230246251565e-16, 1 - 2.220446049250313e-16])))
def test_no_threshold_has_a_higher_f1_than_the_best(case):
    labels, probabilities = case
    brute = max(f1_at(labels, probabilities, threshold) for threshold in probabilities)
    threshold = best_threshold(labels, probabilities)
    assert 0 <= threshold <= 1
    assert f1_at(labels, probabilities, threshold) == pytest.approx(brute, abs=1e-12)


def test_the_threshold_lies_midway_between_two_neighbours():
    labels, probabilities = np.array([0, 0, 1, 1]), np.array([0.1, 0.3, 0.6, 0.9])
    assert best_threshold(labels, probabilities) == pytest.approx(0.45)


def test_of_equally_good_thresholds_the_middle_one_is_taken():
    labels, probabilities = np.array([1, 0, 0, 0, 1, 0, 0, 0, 1]), np.linspace(0.9, 0.1, 9)  # F1 0.5 after 1, 5 and 9
    assert best_threshold(labels, probabilities) == pytest.approx(0.45)
    none = np.zeros(5, int)  # without a spasm every threshold has the F1 0
    assert best_threshold(none, np.array([0.1, 0.2, 0.3, 0.4, 0.5])) == pytest.approx(0.25)


def test_a_threshold_never_parts_equal_probabilities():
    labels, probabilities = np.array([1, 0, 1, 0, 0]), np.array([0.7, 0.7, 0.7, 0.7, 0.2])
    assert best_threshold(labels, probabilities) == pytest.approx(0.45)


def test_with_one_probability_for_all_everything_is_positive():
    for value in (0.0, 0.3, 1.0):
        assert value >= best_threshold(np.array([1, 0, 0]), np.full(3, value))


@settings(deadline=None, max_examples=50)
@given(rows(), st.randoms())
def test_the_order_of_the_rows_does_not_change_the_threshold(case, random):
    labels, probabilities = case
    order = list(range(len(labels)))
    random.shuffle(order)
    assert best_threshold(labels[order], probabilities[order]) == best_threshold(labels, probabilities)


# ---- cross-fitting


def scored_folds(seed=0, count=120):
    generator = np.random.default_rng(seed)
    labels = (generator.random(count) < 0.4).astype(int)
    probabilities = np.clip(0.3 * labels + generator.random(count) * 0.7, 0, 1)
    return labels, probabilities, generator.integers(0, 4, count)


def test_each_fold_is_judged_at_the_threshold_of_the_others():
    labels, probabilities, fold_of = scored_folds()
    positive, thresholds = cross_fitted(labels, probabilities, fold_of)
    assert len(thresholds) == 4
    for fold in range(4):
        rest = fold_of != fold
        assert thresholds[fold] == best_threshold(labels[rest], probabilities[rest])
        assert np.array_equal(positive[~rest], probabilities[~rest] >= thresholds[fold])


@pytest.mark.parametrize("fold", range(4))
def test_what_a_fold_holds_never_changes_its_own_threshold_and_does_change_the_others(fold):
    labels, probabilities, fold_of = scored_folds()
    before = cross_fitted(labels, probabilities, fold_of)[1]
    own = fold_of == fold
    turned, moved = np.where(own, 1 - labels, labels), np.where(own, probabilities**2, probabilities)
    for after in (cross_fitted(turned, probabilities, fold_of)[1], cross_fitted(labels, moved, fold_of)[1]):
        assert after[fold] == before[fold]
        assert after != before


def test_a_probability_equal_to_the_threshold_is_positive():
    # The others of fold 0 part at (0.25 + 0.75) / 2, where fold 0 has a segment.
    labels, probabilities = np.array([0, 0, 0, 0, 1, 1]), np.array([0.5, 0.49, 0.25, 0.0, 0.75, 1.0])
    positive, thresholds = cross_fitted(labels, probabilities, np.array([0, 0, 1, 1, 1, 1]))
    assert thresholds[0] == 0.5
    assert positive[:2].tolist() == [True, False]
