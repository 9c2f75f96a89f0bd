"""Blend several models into one probability: weights, averaging, calibration, child context, threshold."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from spasm.config.ensemble import Blend
from spasm.core.quiet import quiet_optuna
from spasm.ensemble.calibration import fit_calibration, fit_logistic, logit, probability
from spasm.ensemble.label_shift import threshold_at

if TYPE_CHECKING:
    import optuna

# Penalty on the squared distance from equal weights, in nats: models with equal predictions get equal weights, and few
# segments cannot remove a model.
PULL = 0.02
SMALLEST_WEIGHT = 0.02  # a model with less weight costs time and changes nothing
QUANTILES = 201  # of a model's out-of-fold logits; percentiles are interpolated between them
ALONE = np.array([1.0, 0.0, 0.0])  # prior mean of the second stage: each segment alone
CONTEXT_PRIOR = 1.0  # inverse variance around that mean
FEWEST_SEGMENTS = 5  # with a pose, that a child needs for its context to count


@dataclasses.dataclass(frozen=True, eq=False)
class OofScores:
    """Segments and the models' out-of-fold logits."""

    logits: dict[str, np.ndarray]
    """(N,) by model; for a segment without a pose the logits of all models are equal."""
    children: np.ndarray
    """(N,) text."""
    has_pose: np.ndarray
    """(N,) bool."""

    def at(self, rows: np.ndarray) -> "OofScores":
        """Some of the rows."""
        logits = {name: values[rows] for name, values in self.logits.items()}
        return OofScores(logits, self.children[rows], self.has_pose[rows])


@dataclasses.dataclass(frozen=True)
class BlendParameters:
    """The fitted parameters, sufficient to predict new segments; all are written to decision.json."""

    averaging: str
    """The space in which models are averaged: probability, logit or percentile."""
    weights: dict[str, float]
    calibrations: dict[str, tuple[float, float]]
    """Slope and offset that calibrate each model's logit, before averaging."""
    quantiles: dict[str, list[float]]
    """Quantiles of each model's out-of-fold logits; empty unless percentiles are averaged."""
    calibration: tuple[float, float]
    """Slope and offset that calibrate the average."""
    context: tuple[float, float, float, float] | None
    """Coefficients of the second stage, which also uses the child's other segments; None: each segment alone."""
    threshold: float

    def probability(self, rows: OofScores) -> np.ndarray:
        """Probabilities (N,) of segments; the logits of those without a pose are not calibrated."""
        probabilities = probability(np.mean(list(rows.logits.values()), axis=0))
        posed = rows.has_pose
        scores = [self._to_common_scale(name, rows.logits[name][posed]) for name in self.weights]
        blended = (
            self.calibration[0] * average(scores, list(self.weights.values()), self.averaging) + self.calibration[1]
        )
        if self.context is not None:
            blended = _second_stage(blended, rows.children[posed], np.array(self.context))
        probabilities[posed] = probability(blended)
        return probabilities

    def without_context(self) -> "BlendParameters":
        """The same parameters without child context."""
        return dataclasses.replace(self, context=None)

    def _to_common_scale(self, name: str, logits: np.ndarray) -> np.ndarray:
        if self.averaging == "percentile":
            return percentile(logits, self.quantiles[name])
        slope, offset = self.calibrations[name]
        return slope * logits + offset


def fit_blend(rows: OofScores, labels: np.ndarray, settings: Blend) -> BlendParameters:
    """Fit the blend and its threshold on out-of-fold rows; labels: (N,) of 0 and 1."""
    averaging, posed = settings.averaging, rows.has_pose
    seen, truth = {name: values[posed] for name, values in rows.logits.items()}, labels[posed]
    calibrations = {name: fit_calibration(values, truth) for name, values in seen.items()}
    quantiles = {}
    if averaging == "percentile":
        levels = np.linspace(0, 1, QUANTILES)
        quantiles = {name: [float(value) for value in np.quantile(values, levels)] for name, values in seen.items()}
    draft = BlendParameters(averaging, dict.fromkeys(seen, 1.0), calibrations, quantiles, (1.0, 0.0), None, 0.5)
    best = search_weights([draft._to_common_scale(name, values) for name, values in seen.items()], truth, settings)
    kept = {name: float(weight) for name, weight in zip(seen, best, strict=True) if weight >= SMALLEST_WEIGHT}
    kept = {name: weight / sum(kept.values()) for name, weight in kept.items()}
    blended = average([draft._to_common_scale(name, seen[name]) for name in kept], list(kept.values()), averaging)
    calibration = fit_calibration(blended, truth)
    choice = dataclasses.replace(
        draft,
        weights=kept,
        calibrations={name: calibrations[name] for name in kept},
        quantiles={name: quantiles[name] for name in kept if quantiles},
        calibration=calibration,
    )
    if settings.child_context:
        context = fit_context(calibration[0] * blended + calibration[1], truth, rows.children[posed])
        choice = dataclasses.replace(choice, context=context)
    probabilities = choice.probability(rows)
    prevalence = float(labels.mean()) if settings.prevalence is None else settings.prevalence
    return dataclasses.replace(
        choice, threshold=threshold_at(labels, probabilities, prevalence, settings.threshold_rule)
    )


def average(scores: Sequence[np.ndarray], weights: Sequence[float], averaging: str) -> np.ndarray:
    """The weighted mean of the models' scores in the space `averaging`, as log-odds (N,)."""
    values = [probability(score) for score in scores] if averaging == "probability" else scores
    mean = np.sum([weight * value for weight, value in zip(weights, values, strict=True)], axis=0)
    return mean if averaging == "logit" else logit(mean)


def percentile(logits: np.ndarray, quantiles: Sequence[float]) -> np.ndarray:
    """Percentile rank of each logit (N,) among a model's out-of-fold logits, from 1 / 2Q to 1 - 1 / 2Q.

    The rank is never taken among the new segments: a prediction must not depend on other files of the folder.
    """
    margin = 0.5 / len(quantiles)
    apart = np.round(quantiles, 12)  # np.interp overflows between numbers less than 1e-308 apart
    return np.interp(logits, apart, np.linspace(margin, 1 - margin, len(quantiles)))


def log_loss(scores: Sequence[np.ndarray], weights: np.ndarray, labels: np.ndarray, averaging: str) -> float:
    """The objective for the weights: the mean negative log-likelihood of the calibrated blend, plus the penalty."""
    blended = average(scores, list(weights), averaging)
    slope, offset = fit_calibration(blended, labels)
    values = slope * blended + offset
    pull = PULL * ((weights - 1 / len(weights)) ** 2).sum()
    return float(np.logaddexp(0, np.where(labels == 1, -values, values)).mean() + pull)


def search_weights(scores: Sequence[np.ndarray], labels: np.ndarray, settings: Blend) -> np.ndarray:
    """Weights (M,) on the simplex with the lowest `log_loss`, found by Optuna; they sum to 1."""
    count = len(scores)
    if count == 1:
        return np.ones(1)
    places = [f"u{number}" for number in range(count)]

    def weights_of(values: Mapping[str, float]) -> np.ndarray:
        # The normalised logarithms of uniform numbers are uniform on the simplex.
        parts = -np.log([values[place] for place in places])
        return parts / parts.sum()

    def objective(trial: "optuna.Trial") -> float:
        values = {place: trial.suggest_float(place, 1e-6, 1 - 1e-6) for place in places}
        return log_loss(scores, weights_of(values), labels, settings.averaging)

    import optuna  # here, because predicting does not need it

    sampler = optuna.samplers.TPESampler(seed=settings.seed, multivariate=True, n_startup_trials=20)
    with quiet_optuna():
        study = optuna.create_study(sampler=sampler)
        study.enqueue_trial(dict.fromkeys(places, math.exp(-1)))  # equal weights
        for place in places:  # each model nearly alone
            study.enqueue_trial(dict.fromkeys(places, 1 - 1e-3) | {place: 1e-6})
        study.optimize(objective, n_trials=settings.trials)
    return weights_of(study.best_params)


def context_features(blended: np.ndarray, children: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Inputs of the second stage (N, 3), and which segments (N,) bool have enough other segments to use it.

    Inputs: a segment's log-odds; the mean probability of the child's other segments, as log-odds; and the difference
    between the segment and their median.
    """
    blended = np.asarray(blended, dtype=np.float64)
    features = np.zeros((len(blended), 3))
    enough = np.zeros(len(blended), dtype=bool)
    child = np.asarray(children)
    for name in np.unique(child):
        rows = np.flatnonzero(child == name)
        if len(rows) < FEWEST_SEGMENTS:
            continue
        enough[rows] = True
        values, probabilities = blended[rows], probability(blended[rows])
        others = (probabilities.sum() - probabilities) / (len(rows) - 1)
        features[rows] = np.stack([values, logit(others), values - _median_of_others(values)], 1)
    return features, enough


def _median_of_others(values: np.ndarray) -> np.ndarray:
    return np.array([np.median(np.delete(values, row)) for row in range(len(values))])


def fit_context(
    blended: np.ndarray, labels: np.ndarray, children: Sequence[str]
) -> tuple[float, float, float, float] | None:
    """Coefficients of the second stage; None if too few children have enough segments of both labels."""
    features, enough = context_features(blended, children)
    if len(np.unique(labels[enough])) < 2 or len(set(np.asarray(children)[enough])) < FEWEST_SEGMENTS:
        return None
    first, second, third, offset = map(float, fit_logistic(features[enough], labels[enough], ALONE, CONTEXT_PRIOR))
    return first, second, third, offset


def _second_stage(blended: np.ndarray, children: Sequence[str], coefficients: np.ndarray) -> np.ndarray:
    features, enough = context_features(blended, children)
    return np.where(enough, features @ coefficients[:-1] + coefficients[-1], blended)


def cross_fit(
    rows: OofScores, labels: np.ndarray, fold_of: np.ndarray, settings: Blend
) -> tuple[np.ndarray, np.ndarray, list[BlendParameters]]:
    """Probabilities (N,) and labels (N,) bool; each fold is predicted with parameters fitted on the other folds.

    The models are not trained again for that. The remaining small dependence is stated next to the metrics.
    """
    probabilities, positive, choices = np.zeros(len(labels)), np.zeros(len(labels), dtype=bool), []
    for fold in np.unique(fold_of):
        scored = fold_of == fold
        choice = fit_blend(rows.at(~scored), labels[~scored], settings)
        probabilities[scored] = choice.probability(rows.at(scored))
        positive[scored] = probabilities[scored] >= choice.threshold
        choices.append(choice)
    return probabilities, positive, choices
