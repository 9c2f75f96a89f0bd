"""Probabilities, calibration and thresholds."""

import math

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from spasm.ensemble.calibration import fit_calibration, fit_logistic, logit, logit_without_pose, probability
from spasm.ensemble.thresholds import best_threshold, cross_fitted, expected_threshold


@st.composite
def rows(draw):
    """Labels and probabilities with ties, zeros, ones and close neighbours."""
    value = st.one_of(st.integers(0, 8).map(lambda n: n / 8), st.floats(0, 1))
    pairs = draw(st.lists(st.tuples(st.integers(0, 1), value), min_size=1, max_size=25))
    labels, probabilities = (np.array(column) for column in zip(*pairs, strict=True))
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


def test_log_odds_and_probabilities_are_each_others_inverse():
    logits = np.linspace(-20, 20, 401)
    assert np.allclose(logit(probability(logits)), logits, atol=1e-6)
    assert logit(np.array([0.2])) == pytest.approx(math.log(0.25))


@pytest.mark.filterwarnings("error")
def test_certainties_have_finite_log_odds():
    assert logit(np.array([0, 1])) == pytest.approx([-23.03, 23.03], abs=0.01)


# ---- segments without a pose


def test_the_logit_without_a_pose_is_the_smoothed_log_odds_of_such_segments():
    labels, has_pose = np.array([1, 1, 0, 1, 0, 0, 0, 0]), np.array([0, 0, 0, 1, 1, 1, 1, 1], bool)
    prevalence = 3.5 / 9
    expected = (2 + 2 * prevalence) / (3 + 2)
    assert probability(logit_without_pose(labels, has_pose)) == pytest.approx(expected)


def test_the_logit_without_a_pose_is_the_prevalence_where_no_such_segment_was_seen():
    assert probability(logit_without_pose(np.array([1, 0, 0]), np.ones(3, bool))) == pytest.approx(1.5 / 4)


@pytest.mark.parametrize("label", [0, 1])
def test_the_logit_without_a_pose_is_finite_where_all_such_segments_agree(label):
    logit = logit_without_pose(np.full(50, label), np.zeros(50, bool))
    assert math.isfinite(logit)
    assert (logit > 2) == (label == 1)


# ---- calibration


def sampled_scores(slope, offset, count=20_000, seed=0):
    """Scores, and labels whose log-odds are slope * score + offset."""
    generator = np.random.default_rng(seed)
    scores = generator.normal(0, 2, count)
    return scores, (generator.random(count) < probability(slope * scores + offset)).astype(int)


@pytest.mark.parametrize(("slope", "offset"), [(1.0, 0.0), (0.4, -1.0), (2.5, 1.0)])
def test_the_calibration_that_made_the_labels_is_found(slope, offset):
    assert fit_calibration(*sampled_scores(slope, offset)) == pytest.approx((slope, offset), abs=0.1)


def test_calibrated_log_odds_hardly_change_and_the_mean_probability_is_the_prevalence():
    scores, labels = sampled_scores(0.5, -1, 200)
    slope, offset = fit_calibration(scores, labels)
    calibrated = slope * scores + offset
    assert probability(calibrated).mean() == pytest.approx(labels.mean(), abs=0.01)
    assert fit_calibration(calibrated, labels) == pytest.approx((1, 0), abs=0.05)


def test_uninformative_scores_leave_the_slope_at_one():
    labels = np.tile([0, 0, 0, 1], 5)
    assert fit_calibration(np.full(20, 3.0), labels)[0] == pytest.approx(1)
    nearly = np.full(20, 3.0) + 0.01 * np.random.default_rng(0).normal(size=20)
    assert fit_calibration(nearly, labels)[0] == pytest.approx(1, abs=0.02)


def test_scores_worse_than_chance_are_not_turned_round():
    labels = np.tile([0, 0, 0, 1], 20)
    slope, offset = fit_calibration(np.where(labels == 1, -3.0, 3.0), labels)
    assert (slope, probability(offset)) == (0, pytest.approx(0.25))


@pytest.mark.filterwarnings("error")
@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 1), st.floats(-1000, 1000)), min_size=1, max_size=20))
@example([(0, -1000.0)] * 5 + [(1, 1000.0)] * 5)
@example([(0, 50.0), (0, 50.5)])
def test_every_calibration_is_finite_and_never_falls(rows):
    labels, scores = (np.array(column) for column in zip(*rows, strict=True))
    slope, offset = fit_calibration(scores, labels)
    assert math.isfinite(offset)
    assert 0 <= slope < math.inf


def test_classes_that_scores_part_completely_do_not_become_certain():
    labels = np.repeat([0, 1], 10)
    slope, offset = fit_calibration(np.where(labels == 1, 30.0, -30.0), labels)
    probabilities = probability(slope * np.array([-30.0, 30.0]) + offset)
    assert probabilities == pytest.approx([1 / 12, 11 / 12], abs=0.01)  # Platt's targets


def test_the_logistic_fit_is_the_best_that_a_general_optimiser_finds():
    generator = np.random.default_rng(0)
    values, expected, prior = generator.normal(0, 2, (60, 3)), np.array([1.0, 0.0, 0.5]), 0.7
    labels = (generator.random(60) < probability(values @ [1.5, -0.5, 0.0] - 1)).astype(int)
    target = np.where(labels == 1, (labels.sum() + 1) / (labels.sum() + 2), 1 / (60 - labels.sum() + 2))

    def penalised(coefficients):
        logits = values @ coefficients[:-1] + coefficients[-1]
        return (np.logaddexp(0, logits) - target * logits).sum() + prior / 2 * (
            (coefficients[:-1] - expected) ** 2
        ).sum()

    found = minimize(penalised, np.zeros(4), tol=1e-10).x
    assert fit_logistic(values, labels, expected, prior) == pytest.approx(found, abs=1e-4)


# ---- one threshold


@settings(deadline=None, max_examples=150)
@given(rows())
@example((np.array([1, 0]), np.array([0.0, 0.5])))  # only the label "positive" for all finds the spasm
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


@settings(deadline=None, max_examples=100)
@given(rows(), st.data())
def test_a_row_with_the_weight_n_counts_as_n_rows(case, data):
    labels, probabilities = case
    counts = np.array(data.draw(st.lists(st.integers(1, 4), min_size=len(labels), max_size=len(labels))))
    repeated = best_threshold(labels.repeat(counts), probabilities.repeat(counts))
    assert best_threshold(labels, probabilities, counts) == repeated
    assert best_threshold(labels, probabilities, 0.5 * counts) == repeated, "only the weights' ratios count"


# ---- the expected F1


@settings(deadline=None, max_examples=150)
@given(st.lists(st.integers(0, 8).map(lambda n: n / 8), min_size=1, max_size=25))
def test_no_threshold_has_a_higher_expected_f1_than_the_expected_threshold(probability_list):
    probabilities = np.array(probability_list)
    assume(probabilities.sum() > 0)

    def expected_f1(threshold):
        positive = probabilities >= threshold
        return 2 * probabilities[positive].sum() / (positive.sum() + probabilities.sum())

    threshold = expected_threshold(probabilities)
    assert 0 <= threshold <= 1
    assert expected_f1(threshold) == pytest.approx(max(map(expected_f1, probabilities)), rel=1e-9)


def test_where_probabilities_are_true_the_expected_threshold_is_half_the_f1_that_is_reached():
    generator = np.random.default_rng(0)  # Lipton et al. 2014, arXiv 1402.1892, theorem 1
    probabilities = generator.beta(0.4, 1.2, 50_000)
    labels = (generator.random(50_000) < probabilities).astype(int)
    threshold = expected_threshold(probabilities)
    reached = f1_at(labels, probabilities, threshold)
    assert threshold == pytest.approx(reached / 2, abs=0.01)
    assert reached == pytest.approx(f1_at(labels, probabilities, best_threshold(labels, probabilities)), abs=0.005)


def test_uninformative_segments_are_all_called_positive():
    for chance in (0.01, 0.3, 1.0):
        assert chance >= expected_threshold(np.full(7, chance))


# ---- cross-fitting


def scored_folds(seed=0, count=120):
    generator = np.random.default_rng(seed)
    labels = (generator.random(count) < 0.4).astype(int)
    probabilities = np.clip(0.3 * labels + generator.random(count) * 0.7, 0, 1)
    return labels, probabilities, generator.integers(0, 4, count)


def test_each_fold_is_evaluated_at_the_threshold_of_the_others():
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
