"""Blending: against bounded optimisation, and that no parameter is fitted on the children it is evaluated on."""

import dataclasses
import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from spasm.config.ensemble import Blend
from spasm.ensemble import blending
from spasm.ensemble.blending import (
    FEWEST_SEGMENTS,
    BlendParameters,
    OofScores,
    average,
    context_features,
    cross_fit,
    fit_blend,
    percentile,
)
from spasm.ensemble.calibration import (
    FOLD_VARIANCE,
    calibration_of_averages,
    fit_calibration,
    fit_logistic,
    logit,
    probability,
)

SPACES = ("probability", "logit", "percentile")


def scores_of(strengths, seed=0, count=240, each=8, shared=0.5):
    """Labels (N,) and the log-odds of models that see the label this strongly, and the same noise in part."""
    generator = np.random.default_rng(seed)
    labels = (generator.random(count) < 0.3).astype(int)
    noise = shared * generator.normal(size=count)
    logits = {
        f"model_{number}": strength * (2 * labels - 1) + noise + generator.normal(size=count) - 0.8
        for number, strength in enumerate(strengths)
    }
    children = np.array([f"child {row // each}" for row in range(count)])
    return labels, OofScores(logits, children, np.ones(count, dtype=bool))


def without_pose(rows, which):
    """The same rows, of which some have no pose and therefore equal logits by all models."""
    logits = {name: np.where(which, -2.0, values) for name, values in rows.logits.items()}
    return dataclasses.replace(rows, logits=logits, has_pose=~which)


def placed(rows, labels, averaging):
    """The values that are averaged for each model, as in `fit_blend`."""
    choice = fit_blend(rows, labels, Blend(averaging=averaging))
    calibrations = {name: fit_calibration(values, labels) for name, values in rows.logits.items()}
    quantiles = {name: list(np.quantile(values, np.linspace(0, 1, 201))) for name, values in rows.logits.items()}
    whole = dataclasses.replace(choice, calibrations=calibrations, quantiles=quantiles)
    return [whole._to_common_scale(name, values) for name, values in rows.logits.items()]


# ---- weights


def calibrated(rows, labels):
    """The log-odds of each model as `fit_blend` calibrates them."""
    lines = {name: fit_calibration(values, labels) for name, values in rows.logits.items()}
    return [slope * rows.logits[name] + offset for name, (slope, offset) in lines.items()]


def loss(labels, probabilities):
    """The mean log loss."""
    return -np.mean(np.log(np.where(labels == 1, probabilities, 1 - probabilities)))


def penalised_loss(coefficients, scores, expected, labels):
    """What the coefficients, the offset last, must make smallest if none may be negative."""
    positives, count = labels.sum(), len(labels)
    target = np.where(labels == 1, (positives + 1) / (positives + 2), 1 / (count - positives + 2))
    values = np.stack(scores, 1) @ coefficients[:-1] + coefficients[-1]
    pull = blending.WEIGHT_PRIOR / 2 * ((coefficients[:-1] - expected) ** 2).sum()
    return (np.logaddexp(0, values) - target * values).sum() + pull


@pytest.mark.parametrize("strengths", [(1, 0.5), (1, 0.8, 0.2), (2, 0.1, 0.1, 0.1), "random 2", "random 3", "random 4"])
def test_the_weights_are_those_that_bounded_optimisation_finds(strengths):
    if isinstance(strengths, str):
        strengths = np.random.default_rng(int(strengths[-1])).uniform(0, 2, int(strengths[-1]))
    labels, rows = scores_of(strengths, len(strengths), shared=1.5)
    scores = calibrated(rows, labels)
    expected = blending.expected_weights(scores, labels, rows.children)
    bounds = [(0, None)] * len(scores) + [(None, None)]
    start = np.append(expected, 0)
    best = minimize(penalised_loss, start, (scores, expected, labels), bounds=bounds, options={"ftol": 1e-14})
    weights = blending.fit_weights(scores, labels, rows.children)
    assert weights == pytest.approx(best.x[:-1] / best.x[:-1].sum(), abs=2e-3)
    assert weights.sum() == pytest.approx(1, abs=1e-12)
    assert weights.min() >= 0


def test_a_model_that_adds_nothing_gets_no_weight_and_one_that_does_gets_more_with_more_segments():
    labels, rows = scores_of((1, 0.4), count=480, shared=0)
    noisy = rows.logits["model_0"] + np.random.default_rng(9).normal(0, 3, 480)  # the same and noise
    both = dataclasses.replace(rows, logits={"model_0": rows.logits["model_0"], "noisy": noisy})
    assert fit_blend(both, labels, Blend()).weights == {"model_0": 1.0}
    weight = [
        fit_blend(rows.at(np.arange(count)), labels[:count], Blend()).weights.get("model_1", 0) for count in (64, 480)
    ]
    assert weight[1] > max(weight[0], 0.1)


def test_the_expected_weight_falls_with_the_evidence_over_children():
    labels = np.tile([0, 1], 60)
    sign = 2 * labels - 1
    best, children = 2.0 * sign, np.arange(120) // 10

    def expected(other, children=children):
        return blending.expected_weights([best, other], labels, children)

    assert expected(best) == pytest.approx([0.5, 0.5])
    behind_everywhere, behind_for_one_child = 1.9 * sign, np.where(children == 3, -2.0, 2.0) * sign
    z = math.sqrt(12)  # equally behind for each of twelve children
    assert expected(behind_everywhere)[1] == pytest.approx(math.exp(-(z**2) / 2) / (1 + math.exp(-(z**2) / 2)))
    assert expected(behind_for_one_child)[1] == pytest.approx(math.exp(-0.5) / (1 + math.exp(-0.5)))
    two_children = np.arange(120) // 60
    assert expected(behind_everywhere, two_children)[1] > 0.2, "two children are no strong evidence"


@pytest.mark.parametrize("strengths", [(1.1, 0.0, 0.0), (1.1, 0.6, 0.4), (1.1, 1.0, 1.0), (0.8, 0.8, 0.8)])
@pytest.mark.parametrize("shared", [0.2, 1.0])
def test_the_blend_is_not_behind_its_best_model_on_new_children(strengths, shared):
    behind = []
    for seed in range(6):
        labels, rows = scores_of(strengths, seed, 450, 10, shared)
        truth, new = scores_of(strengths, seed + 100, 2000, 10, shared)
        blend = loss(truth, fit_blend(rows, labels, Blend()).probability(new))
        alone = []
        for name in rows.logits:
            of_one, new_of_one = (dataclasses.replace(of, logits={name: of.logits[name]}) for of in (rows, new))
            alone.append(loss(truth, fit_blend(of_one, labels, Blend()).probability(new_of_one)))
        behind.append(blend - min(alone))  # the best on the new children
    assert np.mean(behind) < 0.002


@pytest.mark.parametrize("averaging", SPACES)
@pytest.mark.parametrize("count", [2, 3, 4])
def test_models_with_equal_predictions_get_equal_weights(count, averaging):
    labels, rows = scores_of((1,))
    same = {f"model_{number}": rows.logits["model_0"] for number in range(count)}
    choice = fit_blend(dataclasses.replace(rows, logits=same), labels, Blend(averaging=averaging))
    assert choice.weights == pytest.approx(dict.fromkeys(same, 1 / count), abs=1e-9)
    alone = fit_blend(rows, labels, Blend(averaging=averaging))
    probabilities = choice.probability(dataclasses.replace(rows, logits=same))
    assert probabilities == pytest.approx(alone.probability(rows), abs=1e-9)
    assert choice.threshold == pytest.approx(alone.threshold, abs=1e-9)


@pytest.mark.parametrize("averaging", SPACES)
def test_a_model_of_noise_hardly_changes_a_probability(averaging):
    """Its calibration is nearly flat, so that even an equal weight carries little; percentiles have no such slope."""
    labels, rows = scores_of((1.5, 0), seed=3, shared=0)
    choice = fit_blend(rows, labels, Blend(averaging=averaging))
    scores = placed(rows, labels, averaging)
    good, noise = (choice.weights.get(name, 0) * values.std() for name, values in zip(rows.logits, scores, strict=True))
    assert noise < 0.15 * good
    alone = dataclasses.replace(rows, logits={"model_0": rows.logits["model_0"]})
    folds = np.arange(len(labels)) // 80
    losses = []
    for case in (rows, alone):
        probabilities = cross_fit(case, labels, folds, Blend(averaging=averaging))[0]
        losses.append(loss(labels, probabilities))
    assert losses[0] < losses[1] + 0.02
    assert losses[1] < 0.45, "the test is void unless the other model knows something"


def test_a_model_that_is_worse_than_chance_is_not_turned_round():
    labels, rows = scores_of((1, -1), shared=0)
    choice = fit_blend(rows, labels, Blend())
    if "model_1" in choice.weights:
        assert choice.calibrations["model_1"][0] == 0
    changed = dataclasses.replace(rows, logits=rows.logits | {"model_1": -rows.logits["model_1"]})
    assert np.array_equal(choice.probability(rows), choice.probability(changed))


def test_a_model_with_hardly_any_weight_is_left_out():
    labels, rows = scores_of((2, 0), shared=0)
    choice = fit_blend(rows, labels, Blend(averaging="percentile"))
    assert choice.weights == {"model_0": 1.0}
    assert list(choice.calibrations) == list(choice.quantiles) == ["model_0"]
    fewer = dataclasses.replace(rows, logits={"model_0": rows.logits["model_0"]})
    assert np.array_equal(choice.probability(rows), choice.probability(fewer))


def test_the_same_rows_give_the_same_choice():
    labels, rows = scores_of((1, 0.7, 0.3))
    assert fit_blend(rows, labels, Blend()) == fit_blend(rows, labels, Blend())


@pytest.mark.parametrize("averaging", SPACES)
def test_the_blend_is_better_than_each_of_two_models_that_know_different_things(averaging):
    labels, rows = scores_of((1, 1), count=600, shared=0)
    folds = np.arange(600) // 200
    settings = Blend(averaging=averaging)
    losses = []
    for names in (("model_0",), ("model_1",), ("model_0", "model_1")):
        part = dataclasses.replace(rows, logits={name: rows.logits[name] for name in names})
        probabilities = cross_fit(part, labels, folds, settings)[0]
        losses.append(loss(labels, probabilities))
    assert losses[2] < min(losses[:2]) - 0.05


# ---- averaging

values = st.lists(st.floats(-15, 15), min_size=2, max_size=4)


@settings(deadline=None, max_examples=100)
@given(st.sampled_from(SPACES), values, st.data())
def test_a_higher_logit_never_lowers_the_average(averaging, logits, data):
    weights = data.draw(st.lists(st.floats(0.01, 1), min_size=len(logits), max_size=len(logits)))
    weights = [weight / sum(weights) for weight in weights]
    quantiles = np.linspace(-10, 10, 201)
    which, more = data.draw(st.integers(0, len(logits) - 1)), data.draw(st.floats(0, 20))

    def averaged(logits):
        each = np.array(logits)
        scores = percentile(each, quantiles) if averaging == "percentile" else each
        return average([np.array([score]) for score in scores], weights, averaging)[0]

    raised = [value + more * (number == which) for number, value in enumerate(logits)]
    assert averaged(raised) >= averaged(logits) - 1e-12
    if more > 0.5 and abs(logits[which]) < 5:
        assert averaged(raised) > averaged(logits)


@given(st.sampled_from(SPACES), st.floats(-15, 15), st.integers(2, 4))
def test_the_average_of_equal_probabilities_is_that_probability(averaging, value, count):
    score = probability(value) if averaging == "percentile" else value
    found = average([np.array([score])] * count, [1 / count] * count, averaging)
    assert found[0] == pytest.approx(value, rel=1e-6, abs=1e-6)


def test_probabilities_and_log_odds_are_averaged_as_documented():
    scores, weights = [np.array([math.log(9)]), np.array([0.0])], [0.75, 0.25]
    assert probability(average(scores, weights, "probability")) == pytest.approx([0.75 * 0.9 + 0.25 * 0.5])
    assert average(scores, weights, "logit") == pytest.approx([0.75 * math.log(9)])
    places = [np.array([0.9]), np.array([0.5])]
    assert probability(average(places, weights, "percentile")) == pytest.approx([0.75 * 0.9 + 0.25 * 0.5])


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(-8, 8), min_size=3, max_size=40), st.lists(st.floats(-20, 20), min_size=2, max_size=12))
@example([0.0, 0.0, 0.0, 1.0], [-1.0, 0.0, 0.5, 1.0, 2.0])
def test_a_percentile_depends_on_training_alone_and_never_falls(seen, new):
    quantiles = np.quantile(seen, np.linspace(0, 1, 201))
    together = percentile(np.array(new), quantiles)
    assert [percentile(np.array([value]), quantiles)[0] for value in new] == together.tolist()
    assert together.min() > 0 and together.max() < 1
    order = np.argsort(new)
    assert (np.diff(together[order]) >= 0).all()
    assert percentile(np.array([min(seen) - 1, max(seen) + 1]), quantiles) == pytest.approx([1 / 402, 401 / 402])


def test_a_percentile_is_the_fraction_of_training_rows_below():
    seen = np.random.default_rng(0).normal(size=2000)
    quantiles = np.quantile(seen, np.linspace(0, 1, 201))
    new = np.array([-1.5, 0.0, 0.3, 2.0])
    assert percentile(new, quantiles) == pytest.approx([(seen < value).mean() for value in new], abs=0.006)


# ---- what the parameters are fitted on


@pytest.mark.parametrize(("averaging", "context"), list(itertools.product(SPACES, [False, True])))
def test_nothing_of_a_fold_changes_the_parameters_it_is_evaluated_with(averaging, context):
    labels, rows = scores_of((1, 0.6), each=10)
    rows = without_pose(rows, np.arange(len(labels)) % 17 == 0)
    folds = np.arange(len(labels)) // 10 % 4
    settings = Blend(averaging=averaging, child_context=context)
    probabilities, positive, choices = cross_fit(rows, labels, folds, settings)
    assert (context, None in [choice.context for choice in choices]) in ((True, False), (False, True))
    generator = np.random.default_rng(1)
    for fold in range(4):
        scored = folds == fold
        turned = np.where(scored, 1 - labels, labels)
        other, other_positive, other_choices = cross_fit(rows, turned, folds, settings)
        assert other_choices[fold] == choices[fold]
        assert np.array_equal(other[scored], probabilities[scored])
        assert np.array_equal(other_positive[scored], positive[scored])
        assert all(other_choices[k] != choices[k] for k in range(4) if k != fold)

        noisy = {name: logits + 3 * scored * generator.normal(size=len(scored)) for name, logits in rows.logits.items()}
        assert cross_fit(dataclasses.replace(rows, logits=noisy), labels, folds, settings)[2][fold] == choices[fold]


@settings(deadline=None, max_examples=15)
@given(st.lists(st.integers(0, 1), min_size=20, max_size=20), st.integers(0, 3))
def test_the_labels_of_a_fold_never_change_its_predictions(sampled, fold):
    labels, rows = scores_of((1,), count=80, each=5)
    folds = np.arange(80) // 5 % 4
    turned = labels.copy()
    turned[folds == fold] = sampled
    first, second = (cross_fit(rows, each, folds, Blend()) for each in (labels, turned))
    assert np.array_equal(first[0][folds == fold], second[0][folds == fold])
    assert np.array_equal(first[1][folds == fold], second[1][folds == fold])


def test_each_fold_is_predicted_at_its_own_threshold():
    labels, rows = scores_of((1, 0.5))
    folds = np.arange(len(labels)) // 8 % 3
    probabilities, positive, choices = cross_fit(rows, labels, folds, Blend())
    for fold, choice in enumerate(choices):
        scored = folds == fold
        assert choice == fit_blend(rows.at(~scored), labels[~scored], Blend())
        assert np.array_equal(probabilities[scored], choice.probability(rows.at(scored)))
        assert np.array_equal(positive[scored], probabilities[scored] >= choice.threshold)
    assert 0 < positive.sum() < len(labels)


def test_shuffled_labels_are_predicted_no_better_than_by_chance():
    found = []
    for seed in range(5):
        labels, rows = scores_of((0, 0, 0), seed, count=700)
        probabilities = cross_fit(rows, labels, np.arange(700) // 8 % 5, Blend())[0]
        found.append(np.mean(probabilities[labels == 1][:, None] > probabilities[labels == 0]))
    assert 0.4 < np.mean(found) < 0.6


# ---- averages over folds


def fold_scores(seed, count, spread, folds=5):
    """Labels (N,) and log-odds (folds, N) of models that differ by normal noise, beside what they share."""
    generator = np.random.default_rng(seed)
    labels = (generator.random(count) < 0.3).astype(int)
    common = 1.2 * (2 * labels - 1) + math.sqrt(1 - spread**2) * generator.normal(size=count)
    return labels, common + spread * generator.normal(size=(folds, count))


def slope_needed(logits, labels):
    """The slope that would calibrate log-odds, without a prior."""
    return fit_logistic(logits[:, None], labels, np.ones(1), 1e-9)[0]


def test_means_over_folds_are_calibrated_on_new_children():
    labels, logits = fold_scores(0, 20000, math.sqrt(FOLD_VARIANCE))
    children = np.arange(20000) // 10
    rows = OofScores({"model": logits[children % 5, np.arange(20000)]}, children, np.ones(20000, dtype=bool))
    parameters = fit_blend(rows, labels, Blend(), folds=5)
    truth, new = fold_scores(1, 20000, math.sqrt(FOLD_VARIANCE))
    mean = dataclasses.replace(rows, logits={"model": new.mean(axis=0)})
    needed = [slope_needed(logit(of.probability(mean)), truth) for of in (parameters, parameters.of_fold_averages())]
    assert needed[0] > 1.12, "the test is void unless single folds need another slope"
    assert needed[1] == pytest.approx(1, abs=0.06)
    assert parameters.of_fold_averages().probability(mean).mean() == pytest.approx(truth.mean(), abs=0.01)


def test_a_single_fold_has_one_calibration_and_the_threshold_never_depends_on_folds():
    labels, rows = scores_of((1, 0.5))
    alone, of_five = fit_blend(rows, labels, Blend()), fit_blend(rows, labels, Blend(), folds=5)
    assert alone.of_fold_averages() == alone
    assert of_five.of_fold_averages() != of_five
    assert dataclasses.replace(of_five, fold_average_calibration=alone.calibration) == alone


@given(st.floats(0, 3), st.floats(-3, 3), st.integers(1, 20))
def test_averages_keep_the_point_where_a_prediction_is_the_prevalence(slope, offset, folds):
    labels = np.array([1, 0, 0, 0])
    steeper, moved = calibration_of_averages((slope, offset), folds, labels)
    assert slope <= steeper <= slope / (1 - FOLD_VARIANCE) + 1e-12
    prior = math.log(1 / 3)
    if slope > 0.01:
        unchanged = (prior - offset) / slope
        assert steeper * unchanged + moved == pytest.approx(prior, abs=1e-6)


# ---- predictions


@pytest.mark.parametrize("averaging", SPACES)
def test_a_segment_has_the_same_prediction_alone_and_among_others(averaging):
    labels, rows = scores_of((1, 0.7))
    rows = without_pose(rows, np.arange(len(labels)) % 9 == 0)
    choice = fit_blend(rows, labels, Blend(averaging=averaging))
    together = choice.probability(rows)
    for row in range(20):
        assert choice.probability(rows.at(np.array([row]))) == pytest.approx(together[[row]], rel=1e-12)
    order = np.random.default_rng(0).permutation(len(labels))
    assert choice.probability(rows.at(order)) == pytest.approx(together[order], rel=1e-12)
    assert len(choice.probability(rows.at(order[:0]))) == 0
    assert np.ptp(together[rows.has_pose]) > 0.3


@pytest.mark.parametrize("averaging", SPACES)
def test_a_segment_without_a_pose_keeps_the_log_odds_of_such_segments(averaging):
    labels, rows = scores_of((1, 0.7))
    which = np.arange(len(labels)) % 9 == 0
    rows = without_pose(rows, which)
    for context in (False, True):
        choice = fit_blend(rows, labels, Blend(averaging=averaging, child_context=context))
        assert choice.probability(rows)[which] == pytest.approx(np.full(which.sum(), probability(-2.0)))


def test_what_segments_without_a_pose_were_labelled_changes_the_threshold_alone():
    labels, rows = scores_of((1, 0.7))
    which = np.arange(len(labels)) % 9 == 0
    rows = without_pose(rows, which)
    first, second = (fit_blend(rows, np.where(which, label, labels), Blend()) for label in (0, 1))
    assert dataclasses.replace(first, threshold=0) == dataclasses.replace(second, threshold=0)


# ---- the child's other segments


def contextual(each=8):
    """A choice with context, on children who differ in what is usual for them."""
    labels, rows = scores_of((1,), each=each)
    usual = np.random.default_rng(5).normal(0, 1.5, len(labels) // each)[np.arange(len(labels)) // each]
    rows = dataclasses.replace(rows, logits={"model_0": rows.logits["model_0"] + usual})
    choice = fit_blend(rows, labels, Blend(child_context=True))
    assert choice.context is not None
    return choice, labels, rows


def test_context_counts_only_for_children_with_enough_segments_with_a_pose():
    choice, _, rows = contextual()
    alone = dataclasses.replace(choice, context=None)
    for count in range(1, 9):
        some = rows.at(np.arange(count))
        same = np.allclose(choice.probability(some), alone.probability(some), rtol=1e-9)
        assert same == (count < FEWEST_SEGMENTS)
    five_of_eight = without_pose(rows.at(np.arange(8)), np.arange(8) >= 5)
    four_of_eight = without_pose(rows.at(np.arange(8)), np.arange(8) >= 4)
    assert not np.allclose(choice.probability(five_of_eight), alone.probability(five_of_eight))
    assert choice.probability(four_of_eight) == pytest.approx(alone.probability(four_of_eight))


def test_the_context_of_a_child_does_not_depend_on_the_order_or_on_other_children():
    choice, _, rows = contextual()
    together = choice.probability(rows)
    for child in np.unique(rows.children):
        own = rows.children == child
        assert choice.probability(rows.at(own)) == pytest.approx(together[own], rel=1e-9)
    order = np.random.default_rng(0).permutation(len(together))
    assert choice.probability(rows.at(order)) == pytest.approx(together[order], rel=1e-9)


def test_the_median_of_the_other_segments_is_that_of_numpy():
    generator = np.random.default_rng(0)
    for count in range(blending.FEWEST_SEGMENTS, 40):
        values = generator.normal(size=count).round(1)  # some are equal
        expected = [np.median(np.delete(values, row)) for row in range(count)]
        features, enough = context_features(values, ["1"] * count)
        assert enough.all()
        assert np.array_equal(features[:, 2], values - expected)


def test_the_inputs_of_the_second_stage_are_those_documented():
    blended = np.array([2.0, -1.0, 0.5, 9.0, 0.0, 1.0, -3.0])
    children = ["a", "a", "b", "a", "a", "a", "a"]
    features, enough = context_features(blended, children)
    assert enough.tolist() == [True, True, False, True, True, True, True]
    own = blended[[0, 1, 3, 4, 5, 6]]
    for row, at in enumerate([0, 1, 3, 4, 5, 6]):
        others = np.delete(own, row)
        mean = probability(others).mean()
        expected = [blended[at], math.log(mean / (1 - mean)), blended[at] - np.median(others)]
        assert features[at] == pytest.approx(expected, rel=1e-6)


def test_context_helps_where_children_differ_in_what_is_usual_for_them():
    _, labels, rows = contextual()
    folds = np.arange(len(labels)) // 8 % 3
    losses = []
    for context in (True, False):
        probabilities = cross_fit(rows, labels, folds, Blend(child_context=context))[0]
        losses.append(loss(labels, probabilities))
    assert losses[0] < losses[1] - 0.02


def test_too_few_children_or_one_class_leave_each_segment_alone():
    labels, rows = scores_of((1,))
    few = np.arange(len(labels)) < 8 * (FEWEST_SEGMENTS - 1)
    assert fit_blend(rows.at(few), labels[few], Blend(child_context=True)).context is None
    enough = np.arange(len(labels)) < 8 * FEWEST_SEGMENTS
    assert fit_blend(rows.at(enough), labels[enough], Blend(child_context=True)).context is not None
    short = rows.at(np.arange(len(labels)) % 8 < FEWEST_SEGMENTS - 1)
    assert (
        fit_blend(short, labels[np.arange(len(labels)) % 8 < FEWEST_SEGMENTS - 1], Blend(child_context=True)).context
        is None
    )


# ---- extremes


@pytest.mark.filterwarnings("error")
@settings(deadline=None, max_examples=40)
@given(st.data(), st.sampled_from(SPACES), st.booleans())
def test_rows_of_any_kind_give_probabilities(data, averaging, context):
    count = data.draw(st.integers(4, 24))
    column = st.lists(st.sampled_from([-40.0, -1.0, 0.0, 0.5, 40.0]), min_size=count, max_size=count)
    logits = {name: np.array(data.draw(column)) for name in ("one", "two")}
    labels = np.array(data.draw(st.lists(st.integers(0, 1), min_size=count, max_size=count)))
    has_pose = np.array(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)))
    assume(len(np.unique(labels[has_pose])) == 2)
    rows = without_pose(OofScores(logits, np.arange(count) // 6, has_pose), ~has_pose)
    choice = fit_blend(rows, labels, Blend(averaging=averaging, child_context=context))
    probabilities = choice.probability(rows)
    assert np.isfinite(probabilities).all()
    assert probabilities.min() >= 0 and probabilities.max() <= 1
    assert 0 <= choice.threshold <= 1
    json.dumps(dataclasses.asdict(choice), allow_nan=False)


def test_a_choice_survives_json():
    labels, rows = scores_of((1, 0.6))
    for averaging, context in itertools.product(SPACES, [False, True]):
        choice = fit_blend(rows, labels, Blend(averaging=averaging, child_context=context))
        read = BlendParameters(**json.loads(json.dumps(dataclasses.asdict(choice))))
        assert np.array_equal(read.probability(rows), choice.probability(rows))
