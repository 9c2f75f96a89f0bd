"""Blending: against convex optimisation, and that no parameter is fitted on the children it is evaluated on."""

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
from spasm.ensemble.calibration import fit_calibration, probability

SPACES = ("probability", "logit", "percentile")
FAST = Blend(trials=30)


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
    choice = fit_blend(rows, labels, Blend(averaging=averaging, trials=1))
    calibrations = {name: fit_calibration(values, labels) for name, values in rows.logits.items()}
    quantiles = {name: list(np.quantile(values, np.linspace(0, 1, 201))) for name, values in rows.logits.items()}
    whole = dataclasses.replace(choice, calibrations=calibrations, quantiles=quantiles)
    return [whole._to_common_scale(name, values) for name, values in rows.logits.items()]


# ---- weights


def best_by_slsqp(scores, labels, averaging):
    """The lowest `log_loss` on the simplex from several starts by sequential least squares."""
    count, generator = len(scores), np.random.default_rng(0)
    starts = [np.full(count, 1 / count), *generator.dirichlet(np.ones(count), 3)]
    found = [
        minimize(
            lambda weights: blending.log_loss(scores, weights, labels, averaging), start, method="SLSQP",
            bounds=[(0, 1)] * count, constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1},
            options={"ftol": 1e-10},
        )
        for start in starts
    ]  # fmt: skip
    return min(found, key=lambda result: result.fun)


@pytest.mark.parametrize("averaging", SPACES)
@pytest.mark.parametrize("strengths", [(1, 0.5), (1, 0.8, 0.2), (2, 0.1, 0.1, 0.1), "random 2", "random 3", "random 4"])
def test_the_search_finds_the_weights_that_convex_optimisation_finds(strengths, averaging):
    if isinstance(strengths, str):
        generator = np.random.default_rng(SPACES.index(averaging))
        strengths = generator.uniform(0, 2, int(strengths[-1]))
    labels, rows = scores_of(strengths, len(strengths))
    scores = placed(rows, labels, averaging)
    weights = blending.search_weights(scores, labels, Blend(averaging=averaging))
    best = best_by_slsqp(scores, labels, averaging)
    assert best.success
    assert weights.sum() == pytest.approx(1, abs=1e-12)
    assert weights.min() >= 0
    assert blending.log_loss(scores, weights, labels, averaging) == pytest.approx(best.fun, abs=2e-3)
    assert blending.log_loss(scores, np.eye(len(scores))[-1], labels, averaging) > best.fun + 4e-3, "too easy"


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
    scores = placed(rows, labels, averaging)
    choice = fit_blend(rows, labels, Blend(averaging=averaging))
    good, noise = (choice.weights.get(name, 0) * values.std() for name, values in zip(rows.logits, scores, strict=True))
    assert noise < 0.15 * good
    alone = dataclasses.replace(rows, logits={"model_0": rows.logits["model_0"]})
    folds = np.arange(len(labels)) // 80
    losses = []
    for case in (rows, alone):
        probabilities = cross_fit(case, labels, folds, dataclasses.replace(FAST, averaging=averaging))[0]
        losses.append(-np.mean(np.log(np.where(labels == 1, probabilities, 1 - probabilities))))
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


def test_the_same_rows_give_the_same_choice_and_another_seed_nearly_the_same():
    labels, rows = scores_of((1, 0.7, 0.3))
    first = fit_blend(rows, labels, Blend())
    assert fit_blend(rows, labels, Blend()) == first
    other = fit_blend(rows, labels, Blend(seed=1))
    assert other != first
    assert other.probability(rows) == pytest.approx(first.probability(rows), abs=0.03)


@pytest.mark.parametrize("averaging", SPACES)
def test_the_blend_is_better_than_each_of_two_models_that_know_different_things(averaging):
    labels, rows = scores_of((1, 1), count=600, shared=0)
    folds = np.arange(600) // 200
    settings = dataclasses.replace(FAST, averaging=averaging)
    losses = []
    for names in (("model_0",), ("model_1",), ("model_0", "model_1")):
        part = dataclasses.replace(rows, logits={name: rows.logits[name] for name in names})
        probabilities = cross_fit(part, labels, folds, settings)[0]
        losses.append(-np.mean(np.log(np.where(labels == 1, probabilities, 1 - probabilities))))
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
    settings = dataclasses.replace(FAST, averaging=averaging, child_context=context, trials=15)
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
    probabilities, positive, choices = cross_fit(rows, labels, folds, FAST)
    for fold, choice in enumerate(choices):
        scored = folds == fold
        assert choice == fit_blend(rows.at(~scored), labels[~scored], FAST)
        assert np.array_equal(probabilities[scored], choice.probability(rows.at(scored)))
        assert np.array_equal(positive[scored], probabilities[scored] >= choice.threshold)
    assert 0 < positive.sum() < len(labels)


def test_shuffled_labels_are_predicted_no_better_than_by_chance():
    found = []
    for seed in range(5):
        labels, rows = scores_of((0, 0, 0), seed, count=700)
        probabilities = cross_fit(rows, labels, np.arange(700) // 8 % 5, FAST)[0]
        found.append(np.mean(probabilities[labels == 1][:, None] > probabilities[labels == 0]))
    assert 0.4 < np.mean(found) < 0.6


# ---- predictions


@pytest.mark.parametrize("averaging", SPACES)
def test_a_segment_has_the_same_prediction_alone_and_among_others(averaging):
    labels, rows = scores_of((1, 0.7))
    rows = without_pose(rows, np.arange(len(labels)) % 9 == 0)
    choice = fit_blend(rows, labels, dataclasses.replace(FAST, averaging=averaging))
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
        choice = fit_blend(rows, labels, dataclasses.replace(FAST, averaging=averaging, child_context=context))
        assert choice.probability(rows)[which] == pytest.approx(np.full(which.sum(), probability(-2.0)))


def test_what_segments_without_a_pose_were_labelled_changes_the_threshold_alone():
    labels, rows = scores_of((1, 0.7))
    which = np.arange(len(labels)) % 9 == 0
    rows = without_pose(rows, which)
    first, second = (fit_blend(rows, np.where(which, label, labels), FAST) for label in (0, 1))
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
        losses.append(-np.mean(np.log(np.where(labels == 1, probabilities, 1 - probabilities))))
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
    choice = fit_blend(rows, labels, Blend(averaging=averaging, child_context=context, trials=5))
    probabilities = choice.probability(rows)
    assert np.isfinite(probabilities).all()
    assert probabilities.min() >= 0 and probabilities.max() <= 1
    assert 0 <= choice.threshold <= 1
    json.dumps(dataclasses.asdict(choice), allow_nan=False)


def test_a_choice_survives_json():
    labels, rows = scores_of((1, 0.6))
    for averaging, context in itertools.product(SPACES, [False, True]):
        choice = fit_blend(rows, labels, dataclasses.replace(FAST, averaging=averaging, child_context=context))
        read = BlendParameters(**json.loads(json.dumps(dataclasses.asdict(choice))))
        assert np.array_equal(read.probability(rows), choice.probability(rows))
