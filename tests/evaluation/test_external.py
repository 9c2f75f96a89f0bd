"""An evaluation on segments of others equals an independent computation, and gives out no small group."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from sklearn import linear_model, metrics

from spasm.evaluation import bootstrap, external
from spasm.evaluation.external import Evaluated
from spasm.evaluation.shareable import shareable
from spasm.evaluation.suppression import COUNT

SEED = 2**255 - 19  # of the resamples, as long as that of an evaluation


def sample(children: int = 20, each: int = 12, seed: int = 0) -> Evaluated:
    generator = np.random.default_rng(seed)
    count = children * each
    labels = (generator.random(count) < 0.3).astype(int)
    probabilities = 1 / (1 + np.exp(-generator.normal(2.2 * labels - 1.2, 1.4)))
    names = np.repeat([f"id{number}" for number in range(children)], each)
    return Evaluated(labels, probabilities, probabilities >= 0.4, names, generator.random(count) < 0.15, SEED)


def values(tree: dict) -> dict[str, float]:
    return {name: cell["value"] for name, cell in tree.items()}


def test_every_metric_equals_scikit_learn():
    one = sample()
    found = values(external.evaluate(one, 5)["metrics"])
    truth, called, scores = one.labels, one.positive.astype(int), one.probabilities
    within = [
        (metrics.roc_auc_score(truth[rows], scores[rows]), truth[rows].sum() * (1 - truth[rows]).sum())
        for rows in (one.children == name for name in np.unique(one.children))
        if len(np.unique(truth[rows])) == 2
    ]
    expected = {
        "f1": metrics.f1_score(truth, called),
        "sensitivity": metrics.recall_score(truth, called),
        "specificity": metrics.recall_score(truth, called, pos_label=0),
        "precision": metrics.precision_score(truth, called),
        "auc": metrics.roc_auc_score(truth, scores),
        "within_child_auc": sum(auc * pairs for auc, pairs in within) / sum(pairs for _, pairs in within),
        "average_precision": metrics.average_precision_score(truth, scores),
        "brier": metrics.brier_score_loss(truth, scores),
        "prevalence": truth.mean(),
        "always_positive_f1": metrics.f1_score(truth, np.ones_like(truth)),
    }
    assert found == {name: pytest.approx(value, rel=1e-5) for name, value in expected.items()}


def test_slope_and_offset_equal_an_unpenalised_logistic_regression():
    one = sample()
    scores = np.log(one.probabilities / (1 - one.probabilities))[:, None]
    fitted = linear_model.LogisticRegression(C=1e10, tol=1e-10).fit(scores, one.labels)
    found = values(external.evaluate(one, 5)["calibration"])
    assert found == {
        "slope": pytest.approx(fitted.coef_[0, 0], rel=1e-3), "offset": pytest.approx(fitted.intercept_[0], rel=1e-3)
    }  # fmt: skip


def test_the_parts_of_a_table_equal_the_metrics_of_these_segments_alone():
    one = sample()
    groups = np.where(np.char.str_len(one.children) == 3, "small", "large")  # ids 0 to 9, and the rest
    found = external.partition(one, groups, 5)
    assert set(found["cells"]) == {"small", "large"} and found["hidden_cells"] == 0
    rows = groups == "small"
    assert found["cells"]["small"]["segments"] == rows.sum()
    assert values(found["cells"]["small"]["metrics"])["auc"] == pytest.approx(
        metrics.roc_auc_score(one.labels[rows], one.probabilities[rows]), rel=1e-5
    )
    seen = external.evaluate(one, 5)["abstention"]["cells"]
    assert {name: cell["segments"] for name, cell in seen.items()} == {
        "too little seen": one.too_little_seen.sum(), "enough seen": (~one.too_little_seen).sum()
    }  # fmt: skip


def test_the_name_of_a_small_group_is_not_given_out_nor_that_of_the_one_that_would_give_it_away():
    one = sample()
    numbers = np.char.replace(one.children, "id", "").astype(int)
    groups = np.select([numbers < 2, numbers < 9], ["Alexander", "ward"], "home")
    found = external.partition(one, groups, 5)
    assert set(found["cells"]) == {"home"} and found["hidden_cells"] == 2
    assert "Alexander" not in str(found)


def test_with_few_positive_children_whatever_counts_their_spasms_is_suppressed():
    one = sample()
    labels = np.where(np.isin(one.children, ["id0", "id1"]), one.labels, 0)
    few = Evaluated(labels, one.probabilities, one.positive, one.children, one.too_little_seen, SEED)
    tree = external.evaluate(few, 5)
    shown = {name for name, cell in tree["metrics"].items() if not cell["suppressed"]}
    assert shown == {"brier"}, "33/38 would give away that 38 of so many segments have no spasm"
    assert tree["roc"] is tree["precision_recall"] is None and tree["reliability"] == []
    assert all(cell["suppressed"] and cell["value"] is None for cell in tree["calibration"].values())


@pytest.mark.parametrize("children", [7, 20, 60])
def test_bands_have_fixed_limits_and_enough_children_with_either_label_and_hold_every_segment(children):
    one = sample(children=children, each=6)
    bands = external.reliability(one, 5)
    assert sum(band["segments"] for band in bands) == len(one.labels)
    assert {band[name] for band in bands for name in ("low", "high")} <= {0, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 1}
    assert len(bands) > 1 or children == 7
    for band in bands:
        inside = (one.probabilities >= band["low"]) & (one.probabilities < band["high"])
        assert band["observed"] == pytest.approx(one.labels[inside].mean(), rel=1e-5)
        for label in (0, 1):
            assert len(set(one.children[inside & (one.labels == label)])) not in (1, 2, 3, 4)


def test_curves_are_rounded_and_end_where_they_must():
    roc = external.evaluate(sample(), 5)["roc"]
    assert len(roc["x"]) == 21 and roc["y"][-1] == 1 and all(value == round(value, 2) for value in roc["y"])


def test_kinds_equal_the_fraction_predicted_positive_and_small_kinds_are_suppressed_in_pairs():
    one = sample()
    kinds = [("flexor",) if number % 2 else ("extensor",) for number in range(len(one.labels))]
    rare = np.flatnonzero((one.labels == 0) & (one.children == "id3"))
    for row in rare:
        kinds[row] = ("secret",)
    found = external.by_kind(one, kinds, 5)
    rows = (one.labels == 1) & (np.arange(len(kinds)) % 2 == 1)
    cell = found["with_a_spasm"]["cells"]["flexor"]
    assert cell["predicted_positive"]["value"] == pytest.approx(one.positive[rows].mean(), rel=1e-5)
    assert cell["segments"] == rows.sum()
    assert found["without_a_spasm"]["hidden_cells"] == 2 and "secret" not in str(found)


def test_a_comparison_is_the_difference_and_of_a_run_with_itself_zero():
    one = sample()
    other = dataclasses.replace(one, probabilities=np.flip(one.probabilities), positive=np.flip(one.positive))
    found = external.compare(one, other, 5)
    both = [values(external.evaluate(part, 5)["metrics"]) for part in (one, other)]
    for name, cell in found.items():
        assert cell["value"] == pytest.approx(both[0][name] - both[1][name], abs=1e-5)
        assert cell["low"] < cell["value"] < cell["high"]
    same = external.compare(one, one, 5)
    assert all((cell["value"], cell["low"], cell["high"]) == (0, 0, 0) for cell in same.values())


def test_controls_alone_have_a_specificity_and_nothing_that_needs_a_spasm():
    one = sample()
    controls = Evaluated(0 * one.labels, one.probabilities, one.positive, one.children, one.too_little_seen, SEED)
    tree = external.evaluate(controls, 5)
    found = values(tree["metrics"])
    assert found["specificity"] == pytest.approx(1 - one.positive.mean(), rel=1e-5)
    assert found["sensitivity"] is found["auc"] is None and found["prevalence"] == 0
    assert not any(cell["suppressed"] for cell in tree["metrics"].values())
    assert COUNT not in found and math.isfinite(found["brier"])


def fitting(given: dict, spasms: int, children: int, seed: int) -> list[tuple[int, ...]]:
    """The numbers of found spasms, by child, that give this sensitivity if the resamples have that seed."""
    resampled = bootstrap.sample_children(children, np.random.default_rng(seed))
    found = round(given["value"] * spasms * children)
    candidates = [one for one in itertools.product(range(spasms + 1), repeat=children) if sum(one) == found]
    fit = []
    for one in candidates:
        replicates = resampled @ np.array(one) / (spasms * children)
        tried = shareable(sum(one) / (spasms * children), replicates, children, "logit", children)
        if all(tried[name] == given[name] for name in ("low", "high", "se")):
            fit.append(one)
    return fit


def test_the_counts_of_each_child_cannot_be_computed_without_the_seed_of_the_resamples():
    true = (3, 1, 2, 0, 3)
    names, labels = np.repeat([f"id{number}" for number in range(5)], 6), np.tile([1, 1, 1, 0, 0, 0], 5)
    positive = np.concatenate([[*(number < found for number in range(3)), True, False, False] for found in true])
    one = Evaluated(labels, np.where(positive, 0.8, 0.2), positive, names, np.zeros(30, dtype=bool), SEED)
    given = external.evaluate(one, 5)["metrics"]["sensitivity"]
    assert true in fitting(given, 3, 5, SEED), "the test is void unless the seed gives them away"
    assert true not in fitting(given, 3, 5, 0)
    assert all(float(f"{given[name]:.3g}") == given[name] for name in ("low", "high", "se"))


def with_alarms_of(children: int) -> Evaluated:
    """Twenty children, of whom so many have alarms: two for spasms and four for other segments."""
    one = sample()
    labels = np.tile([1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0], 20)
    positive = np.tile([1, 1, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0], 20).astype(bool)
    positive &= np.isin(one.children, [f"id{number}" for number in range(children)])
    return dataclasses.replace(one, labels=labels, positive=positive, probabilities=np.where(positive, 0.9, 0.2))


def test_with_few_children_with_an_alarm_the_precision_cannot_be_computed_from_what_is_given():
    tree = external.evaluate(with_alarms_of(4), 5)["metrics"]
    assert {name for name, cell in tree.items() if cell["suppressed"]} == {
        "f1", "precision", "sensitivity", "specificity",
    }  # fmt: skip
    tree = external.evaluate(with_alarms_of(5), 5)["metrics"]
    assert not any(cell["suppressed"] for cell in tree.values())
    assert tree["specificity"]["transformed"] == pytest.approx(math.log(160 / 20), abs=1e-5), (
        "few alarms do not move it"
    )
    tree = external.evaluate(with_alarms_of(0), 5)["metrics"]
    assert (tree["sensitivity"]["value"], tree["specificity"]["value"]) == (0, 1)


def test_a_kind_with_alarms_of_few_children_has_no_fraction_nor_has_the_one_that_would_give_it_away():
    one = with_alarms_of(9)
    kinds = [(("kick", "cry", "sleep")[row % 3],) for row in range(240)]
    one.positive[(np.arange(240) % 3 == 0) & ~np.isin(one.children, ["id0", "id1"])] = False
    cells = external.by_kind(one, kinds, 5)["without_a_spasm"]["cells"]
    suppressed = {kind for kind, cell in cells.items() if cell["predicted_positive"]["suppressed"]}
    assert len(cells) == 3 and "kick" in suppressed and len(suppressed) == 2


def test_segments_without_a_kind_are_a_cell_so_that_the_total_does_not_give_them_away():
    one = with_alarms_of(20)
    kinds = [("flexor",) if label else ("kick",) for label in one.labels]
    for row in np.flatnonzero(one.children == "id7")[:3]:
        kinds[row] = ()
    found = external.by_kind(one, kinds, 5)
    assert found["with_a_spasm"] == {"cells": {}, "hidden_cells": 2}
    kinds = [() if row % 2 else ("flexor",) for row in range(240)]
    cells = external.by_kind(one, kinds, 5)["with_a_spasm"]["cells"]
    assert {kind: cell["segments"] for kind, cell in cells.items()} == {"flexor": 40, "not given": 20}
