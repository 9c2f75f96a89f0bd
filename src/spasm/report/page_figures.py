"""Which figures the page has, and the numbers in them. Their captions are in the template, report.html."""

from collections.abc import Sequence

import numpy as np

from spasm.ensemble.calibration import probability
from spasm.evaluation import curves
from spasm.evaluation.metrics import cluster_bootstrap
from spasm.report import figures, model_figures
from spasm.report.figures import Plot
from spasm.report.predictions import SegmentPredictions
from spasm.report.run_report import RunReport
from spasm.runs.artefacts import Metric, Metrics
from spasm.runs.oof_table import OofTable


def prediction_figures(report: RunReport) -> dict[str, Plot]:
    """How probable new segments are of which enough was seen."""
    predictions = report.predictions
    shown = predictions.probability[~predictions.too_little_seen]
    return {"probabilities": figures.probabilities(shown, report.threshold)}


def curve_figures(report: RunReport) -> dict[str, Plot]:
    """How good labelled predictions are."""
    predictions = report.predictions
    assert predictions.labels is not None
    labels, probabilities, children = predictions.labels, predictions.probability, predictions.children
    estimates, thresholds = report.metrics.cross_fitted, report.metrics.cross_fitted_thresholds
    sensitivity, precision, prevalence, always_positive = (
        estimates[key].value or 0 for key in ("sensitivity", "precision", "prevalence", "always_positive_f1")
    )
    counts, oof = curves.count(labels, probabilities, children), report.oof
    alone = {
        name: curves.count(oof.labels, values, oof.children.tolist())
        for name, values in _model_probabilities(oof).items()
    }
    point, replicates = cluster_bootstrap(labels, probabilities, predictions.positive, children)
    sensitivities, specificities = (
        np.concatenate([[point[key]], replicates[key]]) for key in ("sensitivity", "specificity")
    )
    prevalences = np.linspace(0.01, 0.6, 60)
    place = np.unique(np.asarray(children), return_inverse=True)[1]
    means = [np.bincount(place, values) / np.bincount(place) for values in (probabilities, labels)]
    return {
        "roc": figures.roc(
            curves.roc(counts),
            (1 - specificities[0], sensitivities[0]),
            estimates["auc"],
            {name: curves.roc(each) for name, each in alone.items()},
        ),
        "precision-recall": figures.precision_recall(
            curves.precision_recall(counts),
            (sensitivity, precision),
            prevalence,
            estimates["average_precision"],
            {name: curves.precision_recall(each) for name, each in alone.items()},
        ),
        "reliability": figures.reliability(
            curves.reliability(labels, probabilities, children), np.stack(means, axis=1)
        ),
        "f1-threshold": figures.f1_by_threshold(curves.f1(counts), report.threshold, thresholds, always_positive),
        "decision-curve": figures.decision_curve(*curves.net_benefit(counts, np.linspace(0.01, 0.8, 80))),
        "f1-prevalence": figures.f1_by_prevalence(
            curves.f1_at_prevalence(sensitivities, specificities, prevalences, len(means[0])), prevalence
        ),
    }


def model_figures_of(report: RunReport) -> dict[str, Plot]:
    """Each model beside the blend; how the networks learned and what LightGBM used, where that is known."""
    plots = {"leaderboard": model_figures.leaderboard(_ranked_models(report.metrics), _always_positive(report.metrics))}
    if report.losses:
        plots["learning-curves"] = model_figures.learning_curves(report.losses)
    if report.gains:
        plots["importances"] = model_figures.importances(report.gains)
    return plots


def child_figure(report: RunReport) -> dict[str, Plot]:
    """Every segment above its child."""
    predictions = report.predictions
    assert predictions.labels is not None
    return {
        "scores-child": model_figures.scores_by_child(
            predictions.children, predictions.labels, predictions.probability, report.threshold
        )
    }


def fold_figures(predictions: SegmentPredictions, metrics: Metrics, f1: Sequence[Metric]) -> dict[str, Plot]:
    """F1 and prevalence of each fold, and every segment; f1: that of each fold."""
    assert predictions.labels is not None
    assert predictions.fold_of is not None
    return {
        "folds": model_figures.folds([fold["prevalence"] or 0 for fold in metrics.folds], f1),
        "scores-fold": model_figures.scores_by_fold(
            predictions.fold_of, predictions.labels, predictions.probability, metrics.cross_fitted_thresholds
        ),
    }


def drift_figure(report: RunReport) -> dict[str, Plot]:
    """The features that differ most between training and test segments."""
    if report.drift is None or report.drift.auc is None or not report.drift.differing:
        return {}
    return {"drift": model_figures.differences(report.drift.differing)}


def _model_probabilities(oof: OofTable) -> dict[str, np.ndarray]:
    """The probability (N,) of each model alone, not calibrated; none where there is one model, which is the blend."""
    known = {name: probability(values) for name, values in oof.logits.items() if np.isfinite(values).all()}
    return known if len(known) > 1 else {}


def _always_positive(metrics: Metrics) -> Metric:
    return metrics.cross_fitted["always_positive_f1"]


def _ranked_models(metrics: Metrics) -> list[tuple[str, Metric]]:
    """Each model and the blend with its F1, the best last; without those whose F1 is not defined."""
    f1 = {name: estimates["f1"] for name, estimates in metrics.each_model.items()}
    f1["blend"] = metrics.cross_fitted["f1"]
    return sorted(((name, f1[name]) for name in f1 if f1[name].value is not None), key=lambda pair: pair[1].value or 0)
