"""Random-effects means equal values computed by hand, step by step."""

import math

import numpy as np
import pytest
from scipy import stats

from spasm.evaluation.pooling import pool
from spasm.evaluation.shareable import back, shareable, transform

ROUNDED = 5e-3  # standard errors are given out with three digits


def test_three_sites_equal_the_numbers_computed_by_hand():
    # y = 0, 1, 2 with variances 0.25, 0.25, 1: weights 4, 4, 1; fixed mean (4 + 2) / 9 = 2/3;
    # Q = 4 * 4/9 + 4 * 1/9 + 16/9 = 4; C = 9 - 33/9 = 16/3; tau2 = (4 - 2) / (16/3) = 3/8.
    found = pool([0, 1, 2], [0.5, 0.5, 1])
    assert found.q == pytest.approx(4)
    assert found.tau2 == pytest.approx(3 / 8)
    assert found.i2 == pytest.approx(0.5)
    # Weights 8/5, 8/5, 8/11: sum 216/55, mean (8/5 + 16/11) / (216/55) = 168/216 = 7/9.
    assert found.mean == pytest.approx(7 / 9)
    squares = 8 / 5 * (7 / 9) ** 2 + 8 / 5 * (2 / 9) ** 2 + 8 / 11 * (11 / 9) ** 2
    assert found.se == pytest.approx(math.sqrt(squares / 2 / (216 / 55)))
    assert found.high - found.mean == pytest.approx(4.302653 * found.se, rel=1e-6)  # t with 2 degrees of freedom
    assert found.prediction_high - found.mean == pytest.approx(12.7062 * math.sqrt(3 / 8 + found.se**2), rel=1e-5)


def test_equal_sites_have_no_variance_between_them_and_their_mean():
    found = pool([0.3, 0.3, 0.3], [0.1, 0.2, 0.3])
    assert (found.tau2, found.i2, found.q) == (0, 0, pytest.approx(0))
    assert [found.low, found.mean, found.high] == pytest.approx([0.3] * 3)


def test_two_sites_have_a_very_wide_interval_and_no_prediction():
    found = pool([0, 1], [1, 1])
    assert found.prediction_low is None
    assert found.high - found.mean == pytest.approx(12.7062 * 0.5, rel=1e-5)


def test_the_interval_covers_the_true_mean_as_often_as_it_says():
    generator, covered = np.random.default_rng(0), []
    for _ in range(1500):
        errors = generator.uniform(0.1, 0.5, 6)
        sites = generator.normal(1.0, 0.3, 6) + errors * generator.normal(size=6)
        found = pool(sites, errors)
        covered.append(found.low <= 1.0 <= found.high)
    assert 0.93 < np.mean(covered) < 0.97


def test_a_metric_is_given_out_with_its_standard_error_on_the_scale_of_pooling():
    generator = np.random.default_rng(0)
    replicates = generator.beta(40, 10, 4000)
    found = shareable(0.8, replicates, 20, "logit", 20)
    assert found["transformed"] == pytest.approx(math.log(4), rel=1e-5)
    assert found["se"] == pytest.approx(
        np.std(stats.logistic.ppf(replicates), ddof=1) * math.sqrt(20 / 19), rel=ROUNDED
    )
    rate = shareable(2.0, np.full(10, 2.0), 20, "log", 20, 0.05)
    assert (rate["transformed"], rate["se"]) == (pytest.approx(math.log(2), rel=1e-5), 0)


@pytest.mark.parametrize(("value", "scale"), [(0.2, "logit"), (3.5, "log"), (-1.0, "identity")])
def test_a_value_comes_back_from_its_scale(value, scale):
    assert back(float(transform(np.array([value]), scale, 1e-6)[0]), scale) == pytest.approx(value)


def test_a_fraction_of_one_and_a_rate_of_zero_are_moved_inside():
    assert transform(np.array([1.0]), "logit", 0.05)[0] == pytest.approx(math.log(19))
    assert transform(np.array([0.0]), "log", 0.25)[0] == pytest.approx(math.log(0.25))


def test_without_any_event_the_interval_follows_the_rule_of_three_and_the_site_can_be_pooled():
    none = shareable(0.0, np.zeros(100), 12, "log", 12, 0.5 / 10)  # no false alarm in 10 hours
    assert (none["low"], none["high"]) == (0, pytest.approx(3 / 10))
    assert none["se"] == pytest.approx(math.sqrt(2), rel=ROUNDED)
    found = shareable(1.0, np.ones(100), 20, "logit", 20)  # all found, in 20 children
    assert (found["low"], found["high"]) == (pytest.approx(1 - 3 / 20), 1)
    assert found["se"] == pytest.approx(math.sqrt(1 / 0.5 + 1 / 19.5), rel=ROUNDED)
    undefined = shareable(0.0, np.zeros(100), 20, "logit", 0)  # F1 of controls, whatever is predicted
    assert (undefined["low"], undefined["high"]) == (0, 0)
    same = shareable(0.0, np.zeros(100), 20, "identity", 20)
    assert (same["low"], same["high"], same["se"]) == (0, 0, 0)
