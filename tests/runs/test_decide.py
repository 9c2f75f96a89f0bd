"""Every reported metric of a fold uses parameters fitted on the other folds."""

import csv
import dataclasses

import numpy as np
import pytest

from spasm.config.data import Folds
from spasm.config.ensemble import Blend
from spasm.data.dataset import TrainingData
from spasm.ensemble.blending import OofScores, cross_fit
from spasm.evaluation import bootstrap, metrics
from spasm.runs.artefacts import ChildContext, Metric, metrics_of
from spasm.runs.decide import complete_logits, decide
from spasm.runs.folder import Run, open_model, open_run

BOTH = ("one", "two")


@pytest.fixture
def blended_run(tmp_path, monkeypatch) -> Run:
    """A run of three folds with two models, whose scores are made up: fifteen children with six segments each.

    What is usual differs between children, so that child context has something to add.
    """
    monkeypatch.setattr(bootstrap, "RESAMPLES", 20)
    generator = np.random.default_rng(0)
    child = 10 + np.arange(90) // 6
    data = TrainingData(
        names=tuple(f"child_{number}_{row % 6}.npy" for row, number in enumerate(child)),
        children=tuple(map(str, child)),
        labels=(generator.random(90) < 0.4).astype(np.int64),
        poses=generator.random((90, 16, 33, 5), dtype=np.float32),
        has_pose=np.arange(90) % 17 != 0,
        fingerprint="",
        groups={str(number): {"cohort": "home" if number % 2 else "ward"} for number in child},
        simulated=False,
    )
    folds = tmp_path / "folds.csv"
    rows = [f"{name},{number % 3}\n" for name, number in zip(data.names, child, strict=True)]
    folds.write_text("segment_name,fold\n" + "".join(rows))
    run = open_run(tmp_path / "run", data, tmp_path, 16, Folds(folds_file=folds))
    usual = generator.normal(0, 1.5, 15)[child - 10]
    for model in BOTH:
        folder = open_model(run, model, {}, {})
        logits = usual + 1.5 * data.labels + generator.normal(size=90) - 1
        for fold in range(3):
            weights = folder.weights(0, fold)
            weights.parent.mkdir(exist_ok=True)
            weights.write_bytes(b"weights")
            folder.finish_fold(run, 0, fold, logits[(run.fold_of == fold) & data.has_pose], weights)
    return run


def out_of_fold(run: Run) -> list[dict[str, str]]:
    with open(run.path / "oof.csv", newline="") as file:
        return list(csv.DictReader(file))


BLENDS = [
    Blend(models=BOTH, averaging=averaging, child_context=context, threshold_rule=rule)
    for averaging, context, rule in (("logit", False, "expected"), ("percentile", True, "observed"))
]


@pytest.mark.parametrize("blend", BLENDS, ids=["plain", "context"])
def test_turned_labels_of_a_fold_do_not_change_its_predictions_in_the_run(blended_run, blend):
    run = blended_run
    decide(run, blend)
    before = out_of_fold(run)
    for fold in range(3):
        turned = np.where(run.fold_of == fold, 1 - run.data.labels, run.data.labels)
        other = dataclasses.replace(run, data=dataclasses.replace(run.data, labels=turned))
        decide(other, blend)
        rows = list(zip(before, out_of_fold(run), strict=True))
        for column in ("probability", "label_predicted"):
            assert all(new[column] == old[column] for old, new in rows if old["fold"] == str(fold)), column
        assert any(new["probability"] != old["probability"] for old, new in rows)


@pytest.mark.parametrize("blend", BLENDS, ids=["plain", "context"])
def test_every_reported_metric_except_the_optimistic_one_is_cross_fitted(blended_run, blend):
    """The blend, each model alone, child context on and off, and every fold and group."""
    run, data = blended_run, blended_run.data
    result = decide(run, blend)
    logits = complete_logits(run)

    def cross_fitted(names: tuple[str, ...], context: bool) -> tuple[np.ndarray, np.ndarray]:
        rows = OofScores({name: logits[name] for name in names}, np.array(data.children), data.has_pose)
        return cross_fit(rows, data.labels, run.fold_of, dataclasses.replace(blend, child_context=context))[:2]

    def expected_metrics(names: tuple[str, ...], context: bool) -> dict[str, Metric]:
        return metrics_of(metrics.evaluate(data.labels, *cross_fitted(names, context), data.children, run.fold_of))

    assert result.cross_fitted == expected_metrics(BOTH, blend.child_context)
    assert result.child_context == ChildContext(
        with_context=expected_metrics(BOTH, True), without_context=expected_metrics(BOTH, False)
    )
    assert result.child_context.with_context != result.child_context.without_context, "the test is void"
    assert result.each_model == {name: expected_metrics((name,), False) for name in BOTH}
    probabilities, positive = cross_fitted(BOTH, blend.child_context)
    parts = [(result.folds[fold], run.fold_of == fold) for fold in range(3)]
    cohorts = np.array([data.groups[child]["cohort"] for child in data.children])
    parts += [(result.groups["cohort"][name], cohorts == name) for name in ("home", "ward")]
    for found, rows in parts:
        children = np.array(data.children)[rows].tolist()
        values = (data.labels[rows], probabilities[rows], positive[rows], children, run.fold_of[rows])
        expected = metrics.point_metrics(*values)
        assert {name: found[name] for name in expected} == expected
