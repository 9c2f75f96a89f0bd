"""Which figures the page has, and the numbers in them. Their captions are in the template, report.html."""

import numpy as np

from spasm.evaluation import curves
from spasm.evaluation.metrics import cluster_bootstrap
from spasm.report import figures
from spasm.report.figures import Plot
from spasm.report.run_report import RunReport
from spasm.runs.artefacts import Metric, Metrics


def curve_figures(report: RunReport) -> dict[str, Plot]:
    """How good labelled predictions are; of new segments, how probable they are."""
    predictions = report.predictions
    if predictions.labels is None or predictions.fold_of is None:
        return {"probabilities": figures.probabilities(predictions.probability, report.threshold)}
    labels, probabilities, children = predictions.labels, predictions.probability, predictions.children
    estimates, thresholds = report.metrics.cross_fitted, report.metrics.cross_fitted_thresholds
    sensitivity, precision, prevalence, always_positive = (
        estimates[key].value or 0 for key in ("sensitivity", "precision", "prevalence", "always_positive_f1")
    )
    counts = curves.count(labels, probabilities, children)
    point, replicates = cluster_bootstrap(labels, probabilities, predictions.positive, children)
    sensitivities, specificities = (
        np.concatenate([[point[key]], replicates[key]]) for key in ("sensitivity", "specificity")
    )
    prevalences = np.linspace(0.01, 0.6, 60)
    place = np.unique(np.asarray(children), return_inverse=True)[1]
    means = [np.bincount(place, values) / np.bincount(place) for values in (probabilities, labels)]
    return {
        "roc": figures.roc(curves.roc(counts), (1 - specificities[0], sensitivities[0]), estimates["auc"]),
        "precision-recall": figures.precision_recall(
            curves.precision_recall(counts), (sensitivity, precision), prevalence, estimates["average_precision"]
        ),
        "reliability": figures.reliability(
            curves.reliability(labels, probabilities, children), np.stack(means, axis=1)
        ),
        "f1-threshold": figures.f1_by_threshold(curves.f1(counts), report.threshold, thresholds, always_positive),
        "decision-curve": figures.decision_curve(*curves.net_benefit(counts, np.linspace(0.01, 0.8, 80))),
        "f1-prevalence": figures.f1_by_prevalence(
            curves.f1_at_prevalence(sensitivities, specificities, prevalences), prevalence
        ),
        "scores-fold": figures.scores_by_fold(predictions.fold_of, labels, probabilities, thresholds),
        "leaderboard": figures.leaderboard(_ranked_models(report.metrics), always_positive),
        "scores-child": figures.scores_by_child(children, labels, probabilities, report.threshold),
    }


def fold_figure(metrics: Metrics) -> Plot:
    """Prevalence and F1 of each fold."""
    return figures.folds([fold["prevalence"] or 0 for fold in metrics.folds], [fold["f1"] for fold in metrics.folds])


def _ranked_models(metrics: Metrics) -> list[tuple[str, Metric]]:
    """Each model and the blend with its F1, the best last; without those whose F1 has no interval."""
    f1 = {name: estimates["f1"] for name, estimates in metrics.each_model.items()}
    f1["blend"] = metrics.cross_fitted["f1"]
    ranked = sorted(f1.items(), key=lambda pair: pair[1].value or 0)
    return [(name, metric) for name, metric in ranked if metric.low is not None]
