"""Metrics against scikit-learn's, and intervals against a bootstrap that really repeats children."""

import warnings

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sklearn_metrics

from spasm.evaluation import bootstrap, metrics
from spasm.evaluation.metrics import cluster_bootstrap, evaluate, point_metrics

NAMES = {
    "f1", "sensitivity", "specificity", "precision", "auc", "average_precision", "brier", "prevalence",
    "always_positive_f1",
}  # fmt: skip


@st.composite
def predictions(draw):
    """Labels, probabilities with many ties, and labels at a threshold, of both classes."""
    rows = draw(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 12)), min_size=2, max_size=40))
    labels, grid = np.array(rows).T
    assume(0 < labels.sum() < len(labels))
    probabilities = grid / 12
    return labels, probabilities, probabilities >= draw(st.integers(0, 13)) / 12


def challenge_like(children=60, seed=0, signal=1.0):
    """Labels, probabilities and child of each segment; children differ in size and prevalence."""
    generator = np.random.default_rng(seed)
    child = np.repeat(np.arange(children), generator.integers(2, 20, children))
    labels = (generator.random(len(child)) < generator.beta(1, 2, children)[child]).astype(int)
    logits = signal * (2 * labels - 1) + generator.normal(0, 0.7, children)[child] + generator.normal(0, 1, len(child))
    return labels, 1 / (1 + np.exp(-logits)), [f"{number:03}" for number in child]


# ---- the metrics


@pytest.mark.slow
@settings(deadline=None, max_examples=200)
@given(predictions())
def test_every_metric_equals_scikit_learns(case):
    labels, probabilities, positive = case
    expected = {
        "f1": sklearn_metrics.f1_score(labels, positive),
        "sensitivity": sklearn_metrics.recall_score(labels, positive),
        "specificity": sklearn_metrics.recall_score(labels, positive, pos_label=0),
        "precision": sklearn_metrics.precision_score(labels, positive, zero_division=np.nan),
        "auc": sklearn_metrics.roc_auc_score(labels, probabilities),
        "average_precision": sklearn_metrics.average_precision_score(labels, probabilities),
        "brier": sklearn_metrics.brier_score_loss(labels, probabilities),
        "prevalence": labels.mean(),
        "always_positive_f1": sklearn_metrics.f1_score(labels, np.ones(len(labels))),
    }
    ours = point_metrics(labels, probabilities, positive)
    assert set(ours) == NAMES
    for name, value in expected.items():
        assert ours[name] == (None if np.isnan(value) else pytest.approx(value, abs=1e-12)), name


@settings(deadline=None, max_examples=100)
@given(predictions(), st.data())
def test_a_weight_counts_as_that_many_copies_of_the_segment(case, data):
    labels, probabilities, positive = case
    weights = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(labels), max_size=len(labels))))
    assume(weights.sum() > 0)
    weighted = metrics.weighted_metrics(weights[None].astype(float), labels, probabilities, positive)
    repeated = point_metrics(*(np.repeat(column, weights) for column in case))
    for name, value in repeated.items():
        assert (None if np.isnan(weighted[name][0]) else weighted[name][0]) == (
            None if value is None else pytest.approx(value, abs=1e-12)
        ), name


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("label", "called", "absent"),
    [
        (0, False, {"f1", "sensitivity", "precision", "auc", "average_precision"}),
        (0, True, {"sensitivity", "auc", "average_precision"}),
        (1, False, {"specificity", "precision", "auc"}),
        (1, True, {"specificity", "auc"}),
    ],
)
def test_one_class_gives_none_where_a_metric_is_undefined_and_never_nan_or_a_warning(label, called, absent):
    labels, probabilities = np.full(6, label), np.linspace(0.1, 0.9, 6)
    positive = np.full(6, called)
    point = point_metrics(labels, probabilities, positive)
    assert {name for name, value in point.items() if value is None} == absent
    estimates = evaluate(labels, probabilities, positive, list("aabbcc"))
    for name, estimate in estimates.items():
        assert (estimate["value"] is None) == (estimate["low"] is None) == (estimate["high"] is None), name
        assert estimate["value"] == point[name]


def test_the_metrics_do_not_depend_on_the_order_of_the_segments():
    labels, probabilities, children = challenge_like()
    probabilities = probabilities.round(1)
    order = np.random.default_rng(1).permutation(len(labels))
    positive = probabilities >= 0.5
    first = evaluate(labels, probabilities, positive, children)
    second = evaluate(labels[order], probabilities[order], positive[order], [children[i] for i in order])
    for name in NAMES:
        assert first[name] == pytest.approx(second[name], abs=1e-9), name


# ---- the intervals


def test_the_same_rows_give_the_same_intervals_and_the_seed_changes_them_a_little():
    labels, probabilities, children = challenge_like()
    first, second, other = (evaluate(labels, probabilities, probabilities > 0.5, children, seed) for seed in (0, 0, 1))
    assert first == second
    assert first["f1"]["low"] != other["f1"]["low"]
    assert first["f1"]["low"] == pytest.approx(other["f1"]["low"], abs=0.03)
    assert first["f1"]["value"] == other["f1"]["value"]


@pytest.mark.parametrize("seed", range(3))
def test_an_interval_contains_its_value_and_widens_with_fewer_children(seed):
    widths = []
    for count in (15, 60, 240):
        labels, probabilities, children = challenge_like(count, seed)
        estimates = evaluate(labels, probabilities, probabilities > 0.5, children)
        for name, estimate in estimates.items():
            assert estimate["low"] < estimate["value"] < estimate["high"], name
        widths.append({name: estimate["high"] - estimate["low"] for name, estimate in estimates.items()})
    for name in NAMES:
        assert widths[0][name] > widths[1][name] > widths[2][name], name


def test_the_intervals_are_those_of_a_bootstrap_that_repeats_children():
    labels, probabilities, children = challenge_like(25)
    positive, children = probabilities > 0.5, np.array(children)
    generator, names = np.random.default_rng(5), np.unique(children)
    replicates = []
    for _ in range(1000):
        rows = np.concatenate([np.flatnonzero(children == name) for name in generator.choice(names, len(names))])
        replicates.append(point_metrics(labels[rows], probabilities[rows], positive[rows]))
    estimates = evaluate(labels, probabilities, positive, children.tolist())
    for name in NAMES:
        low, high = np.percentile([row[name] for row in replicates], bootstrap.tails(25))
        assert estimates[name]["low"] == pytest.approx(low, abs=0.1 * (high - low)), name
        assert estimates[name]["high"] == pytest.approx(high, abs=0.1 * (high - low)), name


def test_an_interval_of_few_children_is_as_wide_as_students():
    """For the mean of independent children Student's interval is exact, and plain percentiles are too narrow."""
    values = np.random.default_rng(0).normal(0, 1, 8)
    resampled = bootstrap.sample_children(8, np.random.default_rng(1), 20_000)
    replicates = bootstrap.mean_replicates(values, np.arange(8), resampled)
    exact = 2 * stats.t.ppf(0.975, 7) * values.std(ddof=1) / np.sqrt(8)
    estimate = bootstrap.interval(values.mean(), replicates, 8)
    assert estimate["high"] - estimate["low"] == pytest.approx(exact, rel=0.05)
    assert np.diff(np.percentile(replicates, [2.5, 97.5]))[0] < 0.85 * exact


@pytest.mark.parametrize(("children", "tail"), [(1, 0), (14, 1.25), (45, 2.08), (10_000, 2.5)])
def test_the_tails_left_out_grow_with_the_children(children, tail):
    assert bootstrap.tails(children) == pytest.approx((tail, 100 - tail), abs=0.005)


def test_children_are_resampled_and_not_segments():
    """Ten equal segments of each child carry no more information than one."""
    labels, probabilities, _ = challenge_like(30, signal=0.5)
    labels, probabilities = labels[:60], probabilities[:60]
    point = evaluate(labels, probabilities, probabilities > 0.5, [str(i) for i in range(60)])
    tenfold = (np.repeat(column, 10) for column in (labels, probabilities, probabilities > 0.5))
    repeated = evaluate(*tenfold, [str(i) for i in np.repeat(np.arange(60), 10)])
    for name in NAMES:
        assert repeated[name] == pytest.approx(point[name], abs=1e-9), name


def test_resamples_without_a_metric_are_left_out_of_its_interval():
    """Two children of one class each: half of the resamples have no AUC, and the others give the interval."""
    labels = np.array([0, 0, 1, 1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        estimate = evaluate(labels, np.array([0.1, 0.2, 0.8, 0.9]), labels == 1, list("aabb"))
    assert estimate["auc"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert estimate["prevalence"] == {"value": 0.5, "low": 0.0, "high": 1.0}


def test_differences_between_models_can_be_taken_resample_by_resample():
    """Both use the same resamples of children, so common variation does not widen the interval of the difference."""
    labels, probabilities, children = challenge_like(40)
    better, worse = (cluster_bootstrap(labels, probabilities, probabilities > cut, children) for cut in (0.5, 0.6))
    for values, replicates in (better, worse):
        assert values.keys() == replicates.keys() == set(NAMES)
        assert all(len(column) == 1000 for column in replicates.values())
    assert np.array_equal(better[1]["auc"], worse[1]["auc"]), "the same resamples"
    assert np.array_equal(better[1]["prevalence"], worse[1]["prevalence"])
    apart = bootstrap.interval(0.0, better[1]["sensitivity"] - worse[1]["sensitivity"], 40)
    alone = bootstrap.interval(0.0, better[1]["sensitivity"], 40)
    assert apart["high"] - apart["low"] < alone["high"] - alone["low"]
    assert evaluate(labels, probabilities, probabilities > 0.5, children) == {
        name: bootstrap.interval(better[0][name], better[1][name], 40) for name in NAMES
    }
