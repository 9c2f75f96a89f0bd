"""Prevalence of new segments: against the truth on data shifted on purpose, and against brute force."""

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from spasm.ensemble import calibration, label_shift
from spasm.ensemble.label_shift import adapted_probability, estimate, threshold_at, weights_at
from spasm.ensemble.thresholds import best_threshold, expected_threshold


@st.composite
def rows(draw):
    """Labels of both classes and probabilities with ties, zeros, ones and close neighbours."""
    value = st.one_of(st.integers(0, 8).map(lambda n: n / 8), st.floats(0, 1))
    sampled = draw(st.lists(st.tuples(st.integers(0, 1), value), min_size=2, max_size=25))
    labels, probabilities = (np.array(column) for column in zip(*sampled, strict=True))
    assume(0 < labels.sum() < len(labels))
    return labels, probabilities


def weighted_f1(labels, probabilities, threshold, weights):
    positive = probabilities >= threshold
    both = weights[positive].sum() + weights[labels == 1].sum()
    return 2 * weights[positive & (labels == 1)].sum() / both if both else 0.0


def segments(share, seed, children=40, each=15, separation=1.2, spread=0.3, training=0.25):
    """Labels, probabilities calibrated for the training prevalence, and children, with this share of positives."""
    generator = np.random.default_rng(seed)
    child = np.repeat(np.arange(children), each)
    labels = (np.arange(len(child)) < round(share * len(child))).astype(int)
    generator.shuffle(labels)
    score = (2 * labels - 1) * separation + generator.normal(0, spread, children)[child]
    score += generator.normal(0, np.sqrt(1 - spread**2), len(child))
    return labels, calibration.probability(2 * separation * score + np.log(training / (1 - training))), child


def estimated(share, seed=0, change=lambda logits, labels: logits, **new):
    """The estimate for segments with this share of positives, their log-odds changed on the way."""
    labels, probabilities, child = segments(share, seed + 1000, **new)
    changed = calibration.probability(change(np.log(probabilities / (1 - probabilities)), labels))
    return estimate(*segments(0.25, seed), changed, child, seed)


def finite(found):
    shares = [found.training, found.likelihood, *found.likelihood_interval, found.matrix, *found.matrix_interval]
    distances = [found.distance, found.distance_limit]
    return np.isfinite([*shares, *distances]).all() and min(shares + distances) >= 0 and max(shares) <= 1


@pytest.fixture
def fewer_resamples(monkeypatch):
    monkeypatch.setattr(label_shift, "RESAMPLES", 100)


# ---- weights


@given(st.lists(st.integers(0, 1), min_size=2, max_size=30), st.floats(0, 1))
def test_weights_sum_to_the_number_of_rows_and_give_the_prevalence(sampled, share):
    labels = np.array(sampled)
    assume(0 < labels.sum() < len(labels))
    weights = weights_at(labels, share)
    assert weights.sum() == pytest.approx(len(labels), rel=1e-12)
    assert weights[labels == 1].sum() / weights.sum() == pytest.approx(share, rel=1e-12, abs=1e-15)
    assert all(len(set(weights[labels == label])) == 1 for label in (0, 1))


def test_at_their_own_prevalence_rows_count_once():
    assert weights_at(np.array([0, 1, 0, 1, 0]), 0.4) == pytest.approx(np.ones(5))


@pytest.mark.parametrize(("sampled", "share"), [([0, 0], 0.1), ([1, 1], 0.9), ([0, 1], -0.1), ([0, 1], 1.1)])
def test_a_prevalence_that_no_weights_can_give_is_refused(sampled, share):
    with pytest.raises(ValueError, match="cannot be weighted"):
        weights_at(np.array(sampled), share)


def test_rows_of_one_class_can_keep_their_prevalence():
    assert weights_at(np.array([0, 0]), 0).tolist() == [1, 1]
    assert weights_at(np.array([1, 1]), 1).tolist() == [1, 1]


# ---- threshold


@settings(deadline=None, max_examples=100)
@given(rows())
@example((np.array([1, 0, 0, 0, 1, 0, 0, 0, 1]), np.linspace(0.9, 0.1, 9)))  # three equally good thresholds
@example((np.array([0, 0, 1, 0, 1, 0, 0, 0, 1]), np.linspace(0.95, 0.05, 9)))  # two, were it not for rounding
@example((np.array([1, 0]), np.array([0.0, 0.5])))
def test_at_the_training_prevalence_the_threshold_is_the_usual_one(case):
    labels, probabilities = case
    usual = best_threshold(labels, probabilities)
    assert threshold_at(labels, probabilities, labels.mean(), "observed") == usual
    expected = threshold_at(labels, probabilities, labels.mean(), "expected")
    assert expected == pytest.approx(expected_threshold(probabilities), rel=1e-12)


@pytest.mark.parametrize("count", [300, 3001])
def test_equally_good_thresholds_stay_so_whatever_the_weights_round_to(count):
    generator = np.random.default_rng(count)
    for _ in range(50):
        labels, probabilities = generator.integers(0, 2, count), generator.integers(0, 30, count) / 29
        usual = best_threshold(labels, probabilities)
        assert threshold_at(labels, probabilities, labels.sum() / count, "observed") == usual


@settings(deadline=None, max_examples=100)
@given(rows(), st.floats(0, 1))
@example((np.array([0, 0, 1]), np.array([0.9, 0.8, 0.1])), 1.0)
@example((np.array([1, 0, 1]), np.array([1.0, 0.5, 0.0])), 0.0)
def test_no_threshold_has_a_higher_weighted_f1_than_the_observed_one(case, share):
    labels, probabilities = case
    weights = weights_at(labels, share)
    brute = max(weighted_f1(labels, probabilities, threshold, weights) for threshold in probabilities)
    threshold = threshold_at(labels, probabilities, share, "observed")
    assert 0 <= threshold <= 1
    assert weighted_f1(labels, probabilities, threshold, weights) == pytest.approx(brute, rel=1e-9, abs=1e-300)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(1, 7)), min_size=2, max_size=25), st.floats(0.01, 0.99))
def test_no_threshold_has_a_higher_expected_f1_at_the_prevalence_than_the_expected_one(case, share):
    labels, probabilities = (np.array(column) for column in zip(*case, strict=True))
    assume(0 < labels.sum() < len(labels))
    probabilities, weights = probabilities / 8, weights_at(labels, share)
    there = adapted_probability(probabilities, labels.mean(), share)  # what they are at that prevalence

    def expected_f1(threshold):
        positive = probabilities >= threshold
        hits = (weights * there)[positive].sum()
        return 2 * hits / (weights[positive].sum() + (weights * there).sum())

    threshold = threshold_at(labels, probabilities, share, "expected")
    assert 0 <= threshold <= 1
    assert expected_f1(threshold) == pytest.approx(max(map(expected_f1, probabilities)), rel=1e-9)


@pytest.mark.parametrize("kind", ["expected", "observed"])
def test_a_rarer_class_needs_a_higher_threshold(kind):
    labels, probabilities, _ = segments(0.25, 3)
    thresholds = [threshold_at(labels, probabilities, share, kind) for share in (0.05, 0.25, 0.6)]
    assert thresholds[0] > thresholds[1] + 0.1 > thresholds[2] + 0.2


@pytest.mark.parametrize("share", [0.05, 0.25, 0.6])
def test_of_calibrated_probabilities_both_thresholds_reach_the_same_f1_where_the_prevalence_is_that(share):
    labels, probabilities, _ = segments(0.25, 3, children=400)
    new_labels, new, _ = segments(share, 4, children=400)
    reached = [
        weighted_f1(new_labels, new, threshold_at(labels, probabilities, share, kind), np.ones(len(new)))
        for kind in ("expected", "observed")
    ]
    best = weighted_f1(new_labels, new, best_threshold(new_labels, new), np.ones(len(new)))
    assert reached == pytest.approx([best, best], abs=0.03)


@pytest.mark.filterwarnings("error")
def test_at_prevalence_zero_and_one_there_is_an_observed_threshold_without_a_warning():
    labels, probabilities = np.array([1, 0, 1, 0]), np.array([0.9, 0.8, 0.3, 0.1])
    assert 0 <= threshold_at(labels, probabilities, 0.0, "observed") <= 1
    assert threshold_at(labels, probabilities, 1.0, "observed") <= 0.3


def test_no_prevalence_of_rows_of_one_class_is_followed():
    for kind in ("expected", "observed"):
        with pytest.raises(ValueError, match="cannot be weighted"):
            threshold_at(np.zeros(3, int), np.array([0.1, 0.2, 0.3]), 0.5, kind)


# ---- probabilities at another prevalence


@given(st.floats(0, 1), st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_odds_change_by_the_ratio_of_the_prevalences_odds_and_back(probability, before, after):
    there = adapted_probability(np.array([probability]), before, after)
    ratio = (after / (1 - after)) / (before / (1 - before))
    assert there[0] * (1 - probability) == pytest.approx(probability * ratio * (1 - there[0]), rel=1e-9, abs=1e-12)
    assert adapted_probability(there, after, before)[0] == pytest.approx(probability, rel=1e-6, abs=1e-9)


@pytest.mark.filterwarnings("error")
def test_certainties_stay_certain_and_nothing_becomes_nan():
    extremes = np.array([0.0, 0.5, 1.0])
    assert adapted_probability(extremes, 0.2, 0.6)[[0, 2]].tolist() == [0, 1]
    assert adapted_probability(extremes, 0.2, 0.0).tolist() == [0, 0, 1]
    assert adapted_probability(extremes, 0.2, 1.0).tolist() == [0, 1, 1]
    with pytest.raises(ValueError, match="odds"):
        adapted_probability(extremes, 0.0, 0.5)


# ---- estimates


@pytest.mark.parametrize("share", [0.05, 0.1, 0.4, 0.7])
def test_both_methods_find_the_prevalence_of_calibrated_shifted_segments(share, fewer_resamples):
    found = estimated(share, children=200)
    assert found.likelihood == pytest.approx(share, abs=0.03)
    assert found.matrix == pytest.approx(share, abs=0.04)


def test_the_likelihood_ends_where_em_ends(fewer_resamples):
    old, (_, fresh, child) = segments(0.25, 5), segments(0.45, 6)
    share = 0.25
    for _ in range(2000):
        share = adapted_probability(fresh, 0.25, share).mean()
    assert estimate(*old, fresh, child).likelihood == pytest.approx(share, abs=1e-6)


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_the_matrix_finds_the_prevalence_without_calibrated_probabilities_and_the_likelihood_does_not(
    share, fewer_resamples
):
    labels, probabilities, child = segments(0.25, 7, children=400)
    _, fresh, fresh_child = segments(share, 8, children=400)
    found = estimate(labels, probabilities**0.3, child, fresh**0.3, fresh_child)
    assert found.matrix == pytest.approx(share, abs=0.04)
    assert abs(found.likelihood - share) > 0.1


@pytest.mark.parametrize(("old_children", "new_children", "spread"), [(40, 40, 0.3), (10, 100, 0.8)])
def test_the_intervals_cover_the_prevalence(old_children, new_children, spread, fewer_resamples):
    shares, found = np.tile([0.08, 0.25, 0.5], 10), []
    for seed, share in enumerate(shares):
        _, fresh, child = segments(share, seed + 1000, new_children, spread=spread)
        found.append(estimate(*segments(0.25, seed, old_children, spread=spread), fresh, child))
    low, high = np.array([one.matrix_interval for one in found]).T
    assert np.mean((low <= shares) & (shares <= high)) >= 0.8
    if old_children == 40:  # the likelihood trusts the probabilities, whose error with few children it cannot see
        assert (high - low).max() < 0.35
        low, high = np.array([one.likelihood_interval for one in found]).T
        assert np.mean((low <= shares) & (shares <= high)) >= 0.8
        assert (high - low).max() < 0.35


def test_intervals_are_wider_where_segments_of_a_child_resemble_each_other_and_the_child_is_known():
    old, (_, fresh, child) = segments(0.25, 1, spread=0.9), segments(0.25, 2, spread=0.9)
    known, unknown = (estimate(*old, fresh, each).matrix_interval for each in (child, None))
    assert np.ptp(known) > 1.2 * np.ptp(unknown)


# ---- when the threshold follows


@pytest.mark.parametrize("share", [0.05, 0.6])
def test_a_clear_shift_is_followed_but_no_further_than_the_evidence_goes(share):
    found = estimated(share)
    assert found.reason == ""
    assert not found.thin
    ends = (*found.likelihood_interval, *found.matrix_interval)
    assert found.prevalence == (max(ends) if share < 0.25 else min(ends))
    assert abs(found.prevalence - share) < abs(0.25 - share)


def stays(found, reason):
    assert found.thin
    assert reason in found.reason
    assert found.prevalence == found.training
    return True


def test_few_segments_change_nothing():
    assert stays(estimated(0.6, children=10, each=1), "10 new segments are too few")
    assert stays(estimated(0.6, children=7, each=7), "49 new segments are too few")
    assert "too few" not in estimated(0.6, children=10, each=5).reason


def test_few_children_change_nothing_on_either_side():
    assert stays(estimated(0.6, children=4, each=100), "4 children are too few")
    old, new = segments(0.25, 0, children=1, each=400), segments(0.6, 1)
    assert stays(estimate(*old, *new[1:]), "1 children are too few")


def test_a_possible_training_prevalence_changes_nothing():
    for seed in range(5):
        assert stays(estimated(0.25, seed), "the training prevalence of 0.250 is possible")


@pytest.mark.parametrize(
    "change",
    [
        lambda logits, labels: 0.1 * logits,  # all in the gap between the classes
        lambda logits, labels: 3 * logits,
        lambda logits, labels: logits + np.where(labels == 0, 2.0, 0.0),
    ],
)
def test_scores_from_another_distribution_change_nothing(change):
    assert stays(estimated(0.1, change=change), "not a mixture")


def test_scores_below_those_of_all_negatives_change_nothing():
    assert stays(estimated(0.1, change=lambda logits, labels: logits - 4), "no prevalence explains")
    assert stays(estimated(0.6, change=lambda logits, labels: logits + 6), "no prevalence explains")


@pytest.mark.parametrize(("children", "each", "spread"), [(40, 15, 0.3), (100, 1, 0.3), (6, 60, 0.8)])
def test_scores_of_the_same_kind_are_rarely_called_strange(children, each, spread, fewer_resamples):
    strange = 0
    for seed in range(25):
        old, (_, fresh, child) = (
            segments(0.25, seed, spread=spread),
            segments(0.4, seed + 50, children, each, 1.2, spread),
        )
        found = estimate(*old, fresh, child)
        strange += found.distance > found.distance_limit
    assert strange <= 7  # one in ten is the aim


def test_fewer_new_children_may_differ_more(fewer_resamples):
    old, (_, fresh, _) = segments(0.25, 0, spread=0.8), segments(0.25, 1, 60, 6, spread=0.8)
    few, many = (estimate(*old, fresh, np.repeat(np.arange(count), 360 // count)) for count in (6, 60))
    assert few.distance_limit > 1.3 * many.distance_limit


def test_what_counts_as_strange_follows_the_share_of_positives(fewer_resamples):
    def draw(share, seed):  # positives differ from child to child, negatives do not
        labels, probabilities, child = segments(share, seed, spread=0.9)
        return labels, np.where(labels == 1, 0.5 + probabilities / 2, 0.1), child

    found = [estimate(*draw(0.25, seed), *draw(0.95, seed + 50)[1:]) for seed in range(15)]
    assert sum(one.distance > one.distance_limit for one in found) <= 5


def test_scores_that_hardly_part_the_classes_change_nothing():
    old, (_, fresh, child) = segments(0.25, 0, separation=0.05), segments(0.9, 1, separation=0.05)
    found = estimate(*old, fresh, child)
    assert found.thin
    assert np.ptp(found.matrix_interval) > label_shift.WIDEST


def test_each_doubt_alone_keeps_the_fixed_threshold():
    narrow, other = (0.4, 0.5), (0.45, 0.6)
    doubt = label_shift._reason_to_keep_threshold
    assert doubt(0.2, 0.5, (narrow, other), 0.1, 0.2) == ""
    assert "explains" in doubt(0.2, 0.0, (narrow, other), 0.1, 0.2)
    assert "explains" in doubt(0.2, np.nan, (narrow, other), 0.1, 0.2)
    assert "mixture" in doubt(0.2, 0.5, (narrow, other), 0.21, 0.2)
    assert "wider" in doubt(0.2, 0.5, (narrow, (0.3, 0.91)), 0.1, 0.2)
    assert "wider" in doubt(0.2, 0.5, ((0.3, 0.91), narrow), 0.1, 0.2)
    assert "disagree" in doubt(0.2, 0.5, (narrow, (0.51, 0.6)), 0.1, 0.2)
    assert "possible" in doubt(0.2, 0.5, (narrow, (0.1, 0.6)), 0.1, 0.2)
    assert "possible" in doubt(0.2, 0.5, ((0.1, 0.6), narrow), 0.1, 0.2)


def test_equal_distributions_with_ties_have_no_distance_and_parted_ones_have_one():
    labels, one = np.array([0.0, 1.0, 0.0, 1.0]), np.ones((1, 4))
    for fresh, distance in ((np.full(4, 0.5), 0.0), (np.full(4, 0.6), 1.0), (np.array([0.5, 0.5, 0.5, 0.4]), 0.25)):
        found = label_shift._distance(one, labels, np.full(4, 0.5), np.array([0.3]), one, fresh)
        assert found == pytest.approx(distance, abs=1e-12)


def test_an_undefined_replicate_widens_the_interval_on_both_sides():
    assert label_shift._interval(np.array([np.nan] * 10 + [0.2] * 90)) == (0, 1)
    assert label_shift._interval(np.full(100, 0.2)) == pytest.approx((0.2, 0.2))


# ---- extremes


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [0.0, 0.25, 1.0])
def test_equal_probabilities_for_all_new_segments_give_finite_numbers_and_change_nothing(value, fewer_resamples):
    old = segments(0.25, 0)
    found = estimate(*old, np.full(100, value), np.repeat(np.arange(10), 10))
    assert finite(found)
    assert found.thin


@pytest.mark.filterwarnings("error")
def test_probabilities_of_exactly_zero_and_one_give_finite_numbers(fewer_resamples):
    (labels, probabilities, child), (_, fresh, fresh_child) = segments(0.25, 0), segments(0.6, 1)
    found = estimate(labels, probabilities.round(), child, fresh.round(), fresh_child)
    assert finite(found)
    assert found.likelihood == pytest.approx(fresh.round().mean(), abs=1e-8)  # certainties can only be counted
    assert "mixture" not in found.reason  # two values mixed are two values; what is left is rounding
    assert finite(estimate(labels, labels, child, fresh.round(), fresh_child))
    assert finite(estimate(labels, np.full(len(labels), 0.25), child, fresh, fresh_child))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("label", [0, 1])
def test_rows_of_one_class_or_of_one_positive_child_give_finite_numbers(label, fewer_resamples):
    _, probabilities, child = segments(0.25, 0)
    new = segments(0.6, 1)[1:]
    found = estimate(np.full(len(child), label), probabilities, child, *new)
    assert finite(found)
    assert stays(found, "only one class")
    assert finite(estimate(np.where(child == 0, label, 1 - label), probabilities, child, *new))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_new_segments_of_one_class_give_finite_numbers(share, fewer_resamples):
    found = estimated(share)
    assert finite(found)
    assert found.likelihood == pytest.approx(share, abs=0.03)


# ---- the same result


def test_the_same_seed_gives_the_same_estimate_and_another_seed_other_intervals(fewer_resamples):
    old, new = segments(0.25, 0), segments(0.4, 1)[1:]
    assert estimate(*old, *new, seed=1) == estimate(*old, *new, seed=1)
    assert estimate(*old, *new, seed=1).matrix_interval != estimate(*old, *new, seed=2).matrix_interval


@pytest.mark.parametrize("named", [True, False])
def test_the_order_of_the_new_segments_does_not_matter(named, fewer_resamples):
    old, (_, fresh, child) = segments(0.25, 0), segments(0.4, 1)
    fresh, child = fresh.round(2), np.array([f"child {number}" for number in child])  # with ties between children
    order = np.random.default_rng(0).permutation(len(fresh))
    first = estimate(*old, fresh, child if named else None)
    assert estimate(*old, fresh[order], child[order] if named else None) == first
