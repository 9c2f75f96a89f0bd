"""Metrics against scikit-learn's, and intervals against a bootstrap that really repeats children."""

import warnings

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sklearn_metrics
from sklearn.linear_model import LogisticRegression

from spasm.evaluation import bootstrap, metrics
from spasm.evaluation.metrics import cluster_bootstrap, evaluate, point_metrics

NAMES = {
    "f1", "sensitivity", "specificity", "precision", "auc", "within_child_auc", "average_precision", "brier",
    "prevalence", "always_positive_f1",
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
    assert ours["within_child_auc"] is None, "without children there are no pairs of one child"
    for name, value in expected.items():
        assert ours[name] == (None if np.isnan(value) else pytest.approx(value, abs=1e-12)), name


@settings(deadline=None, max_examples=100)
@given(predictions(), st.data())
def test_a_count_makes_as_many_children_of_one(case, data):
    labels, probabilities, positive = case
    child, fold = np.arange(len(labels)) // 4, np.arange(len(labels)) // 8
    size = int(child.max()) + 1
    counts = np.array(data.draw(st.lists(st.integers(0, 3), min_size=size, max_size=size)))
    assume(counts.sum() > 0)
    weighted = metrics.weighted_metrics(counts[None], labels, probabilities, positive, child, fold)
    rows = [(row, f"{child[row]}-{copy}") for row in range(len(labels)) for copy in range(counts[child[row]])]
    kept, children = map(list, zip(*rows, strict=True))
    repeated = point_metrics(labels[kept], probabilities[kept], positive[kept], children, fold[kept])
    for name, value in repeated.items():
        assert (None if np.isnan(weighted[name][0]) else weighted[name][0]) == (
            None if value is None else pytest.approx(value, abs=1e-12)
        ), name


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("label", "called", "absent"),
    [
        (0, False, {"f1", "sensitivity", "precision", "auc", "average_precision", "within_child_auc"}),
        (0, True, {"sensitivity", "auc", "average_precision", "within_child_auc"}),
        (1, False, {"specificity", "precision", "auc", "average_precision", "within_child_auc"}),
        (1, True, {"specificity", "auc", "average_precision", "within_child_auc"}),
    ],
)
def test_one_class_gives_none_where_a_metric_is_undefined_and_never_nan_or_a_warning(label, called, absent):
    labels, probabilities = np.full(6, label), np.linspace(0.1, 0.9, 6)
    positive = np.full(6, called)
    point = point_metrics(labels, probabilities, positive, list("aabbcc"))
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


def test_auc_counts_every_pair_within_a_fold_and_within_a_child_once():
    labels, probabilities, children = challenge_like(12)
    probabilities = probabilities.round(1)
    child = np.array(children)
    fold_of = child.astype(int) % 3
    first, second = np.nonzero((labels[:, None] == 1) & (labels[None] == 0))
    wins = (probabilities[first] > probabilities[second]) + (probabilities[first] == probabilities[second]) / 2
    found = point_metrics(labels, probabilities, probabilities > 0.5, children, fold_of)
    assert found["auc"] == pytest.approx(wins[fold_of[first] == fold_of[second]].mean())
    assert found["within_child_auc"] == pytest.approx(wins[child[first] == child[second]].mean())


def test_average_precision_over_folds_is_that_of_each_fold_at_the_prevalence_of_all():
    labels, probabilities, children = challenge_like(12)
    fold_of = np.array(children).astype(int) % 3
    odds = labels.mean() / (1 - labels.mean())
    expected, spasms = 0.0, 0
    for fold in range(3):
        rows = fold_of == fold
        weights = np.where(labels[rows] == 1, 1, labels[rows].mean() / (1 - labels[rows].mean()) / odds)
        average = sklearn_metrics.average_precision_score(labels[rows], probabilities[rows], sample_weight=weights)
        expected, spasms = expected + labels[rows].sum() * average, spasms + labels[rows].sum()
    found = point_metrics(labels, probabilities, probabilities > 0.5, children, fold_of)
    assert found["average_precision"] == pytest.approx(expected / spasms)


def test_models_that_learned_nothing_are_at_chance_level():
    """Each fold predicts the prevalence of its training children; over all pairs that is worse than a coin."""
    labels, _, children = challenge_like(9)
    fold_of = np.array(children).astype(int) % 5
    probabilities = np.array([labels[fold_of != fold].mean() for fold in fold_of])
    found = evaluate(labels, probabilities, probabilities > 0.5, children, fold_of)
    for name in ("auc", "within_child_auc"):
        assert found[name] == {"value": 0.5, "low": 0.5, "high": 0.5}, name
    assert found["average_precision"]["value"] == pytest.approx(labels.mean())
    all_pairs = point_metrics(labels, probabilities, probabilities > 0.5, children)
    assert all_pairs["auc"] < 0.4 and all_pairs["average_precision"] < 0.9 * labels.mean()


def test_recognising_the_child_alone_is_worth_nothing_within_a_child():
    labels, _, children = challenge_like()
    child = np.array(children).astype(int)
    probabilities = (np.bincount(child, labels) / np.bincount(child))[child]
    found = point_metrics(labels, probabilities, probabilities > 0.5, children)
    assert found["auc"] > 0.7 and found["within_child_auc"] == 0.5


def test_scales_of_folds_do_not_matter_and_order_within_them_does():
    labels, probabilities, children = challenge_like()
    fold_of = np.array(children).astype(int) % 5
    squeezed = (probabilities + fold_of) / 5
    first, second = (point_metrics(labels, each, labels == 1, children, fold_of) for each in (probabilities, squeezed))
    for name in ("auc", "within_child_auc", "average_precision"):
        assert second[name] == pytest.approx(first[name], abs=1e-12), name
    assert point_metrics(labels, squeezed, labels == 1, children)["auc"] < first["auc"] - 0.1


# ---- the intervals


def test_the_same_rows_give_the_same_intervals_and_the_seed_changes_them_a_little():
    labels, probabilities, children = challenge_like()
    first, second, other = (
        evaluate(labels, probabilities, probabilities > 0.5, children, seed=seed) for seed in (0, 0, 1)
    )
    assert first == second
    assert first["f1"]["low"] != other["f1"]["low"]
    assert first["f1"]["low"] == pytest.approx(other["f1"]["low"], abs=0.03)
    assert first["f1"]["value"] == other["f1"]["value"]


@pytest.mark.parametrize("seed", range(3))
def test_an_interval_contains_its_value_and_widens_with_fewer_children(seed):
    widths = []
    for count in (15, 60, 240):
        labels, probabilities, children = challenge_like(count, seed, signal=0.5)
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
        sampled = generator.choice(names, len(names))
        rows = np.concatenate([np.flatnonzero(children == name) for name in sampled])
        copies = np.repeat(np.arange(len(names)), [np.sum(children == name) for name in sampled]).astype(str)
        replicates.append(point_metrics(labels[rows], probabilities[rows], positive[rows], copies.tolist()))
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
    for name in NAMES - {"within_child_auc"}:  # a child with one segment has no pairs
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


def calibrated_rows(seed, slope=1.0, offset=0.0, children=60, each=10):
    """Labels and probabilities whose log-odds need this slope and offset, and children."""
    generator = np.random.default_rng(seed)
    scores = generator.normal(-1, 2, children * each)
    labels = (generator.random(len(scores)) < 1 / (1 + np.exp(-(slope * scores + offset)))).astype(int)
    return labels, 1 / (1 + np.exp(-scores)), [str(row // each) for row in range(len(scores))]


@pytest.mark.parametrize(("slope", "offset"), [(1.0, 0.0), (0.5, 0.3), (1.8, -0.6)])
def test_slope_and_offset_are_those_of_a_logistic_regression_and_intervals_cover_the_truth(slope, offset):
    covered = []
    for seed in range(10):
        labels, probabilities, children = calibrated_rows(seed, slope, offset)
        found = metrics.calibration(labels, probabilities, children)
        scores = np.log(probabilities / (1 - probabilities))[:, None]
        fitted = LogisticRegression(C=1e9, tol=1e-8).fit(scores, labels)
        assert found["slope"]["value"] == pytest.approx(fitted.coef_[0, 0], rel=1e-3)
        assert found["offset"]["value"] == pytest.approx(fitted.intercept_[0], abs=2e-3)
        covered.append(found["slope"]["low"] < slope < found["slope"]["high"])
    assert sum(covered) >= 8


@pytest.mark.parametrize("case", ["one class", "equal", "separated"])
def test_a_calibration_without_a_finite_line_is_undefined(case):
    labels, probabilities, children = calibrated_rows(0, children=6)
    labels = {"one class": labels * 0, "equal": labels, "separated": (probabilities > 0.5).astype(int)}[case]
    probabilities = np.full(len(labels), 0.3) if case == "equal" else probabilities
    assert metrics.calibration(labels, probabilities, children)["slope"]["value"] is None
