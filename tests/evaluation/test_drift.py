"""Adversarial validation finds a difference between training and test segments where there is one, and only there."""

import numpy as np
import pytest

from spasm.evaluation import drift
from spasm.evaluation.drift import DifferingFeature, adversarial_validation

NAMES = [f"feature_{number}" for number in range(30)]


def segments(train_children=20, test_children=10, shift=0.0, seed=0):
    """Training and test segments with their children, 8 per child, 5 % of the values missing; feature 7 is shifted."""
    generator = np.random.default_rng(seed)
    child = np.repeat(np.arange(train_children + test_children), 8)
    values = generator.normal(0, 0.5, (train_children + test_children, len(NAMES)))[child]
    values += generator.normal(size=values.shape)
    count = 8 * train_children
    values[count:, 7] += shift
    values[generator.random(values.shape) < 0.05] = np.nan
    names = [f"child_{number}" for number in child]
    return values[:count], names[:count], values[count:], names[count:]


@pytest.mark.parametrize("seed", range(3))
def test_of_the_same_distribution_the_interval_holds_one_half(seed):
    found = adversarial_validation(*segments(seed=seed), NAMES)
    assert found.low < 0.5 < found.high
    assert found.low < found.auc < found.high


@pytest.mark.parametrize("shift", [4.0, -4.0])
def test_one_shifted_feature_is_found_and_named_first(shift):
    found = adversarial_validation(*segments(shift=shift), NAMES)
    assert found.low > 0.8
    first, second = found.differing[:2]
    assert first.name == "feature_7"
    assert first.auc > 0.95 if shift > 0 else first.auc < 0.05  # above one half: higher in the test segments
    assert abs(second.auc - 0.5) < 0.25


def test_the_same_input_and_seed_give_the_same_result():
    assert adversarial_validation(*segments(), NAMES, seed=3) == adversarial_validation(*segments(), NAMES, seed=3)


def test_features_that_only_show_the_child_are_not_taken_for_drift():
    train, train_children, test, test_children = segments(30, 30)
    of_child = dict(
        zip(sorted({*train_children, *test_children}), np.random.default_rng(0).normal(size=60), strict=True)
    )
    for values, children in ((train, train_children), (test, test_children)):
        values[:] += (
            20 * np.array([of_child[child] for child in children])[:, None]
        )  # plain to folds that split a child
    found = adversarial_validation(train, train_children, test, test_children, NAMES)
    assert found.low < 0.5 < found.high


@pytest.mark.parametrize("train_children, test_children", [(20, 1), (1, 20), (1, 1), (20, 0)])
def test_with_fewer_than_two_children_on_a_side_there_is_no_auc(train_children, test_children):
    found = adversarial_validation(*segments(train_children, test_children, shift=4), NAMES)
    assert (found.auc, found.low, found.high) == (None, None, None)
    assert [feature.name for feature in found.differing[:1]] == ["feature_7"] * (test_children > 0)


def test_few_children_give_a_wide_interval():
    found = adversarial_validation(*segments(20, 2), NAMES)
    many = adversarial_validation(*segments(40, 40), NAMES)
    assert found.high - found.low > many.high - many.low


def test_segments_without_any_value_are_allowed():
    train, train_children, test, test_children = segments()
    train[:5], test[:5], test[:, 2] = np.nan, np.nan, np.nan
    found = adversarial_validation(train, train_children, test, test_children, NAMES)
    assert 0 <= found.low <= found.high <= 1
    assert "feature_2" not in [feature.name for feature in found.differing]


def test_the_auc_of_one_feature_counts_ties_half_and_leaves_out_missing_values():
    values = np.array([1, 2, 2, np.nan, 2, 3, np.nan], np.float32)
    is_test = np.array([0, 0, 0, 0, 1, 1, 1], bool)
    assert drift._auc(values, is_test) == pytest.approx((1 + 0.5 + 0.5 + 3) / 6)
    assert drift._differing(np.ones((7, 1), np.float32), is_test, ["constant"]) == ()
    assert drift._differing(values[:, None], is_test, ["one"]) == (DifferingFeature("one", pytest.approx(5 / 6)),)


def test_two_kinds_of_segments_within_the_same_children_are_separated_too():
    values, _, _, _ = segments(20)
    children, kind = np.repeat(np.arange(20), 8).astype(str), np.arange(160) % 2 == 1
    nothing = drift.separation(values, kind, children)
    assert nothing["low"] < 0.5 < nothing["high"]
    values[kind, 0] += 4
    assert drift.separation(values, kind, children)["low"] > 0.8
    assert drift.separation(values, children == "3", children)["value"] is None
