"""Blend several models into one probability: weights, averaging, calibration, child context, threshold."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from spasm.config.ensemble import Blend
from spasm.ensemble.calibration import calibration_of_averages, fit_calibration, fit_logistic, logit, probability
from spasm.ensemble.label_shift import threshold_at

WEIGHT_PRIOR = 10.0  # inverse variance of a weight around its expected value: five nats for a distance of 1
SMALLEST_WEIGHT = 0.05  # a model with less weight costs time and changes nothing
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
    """Slope and offset that calibrate the average over models, where one fold predicts each segment."""
    fold_average_calibration: tuple[float, float]
    """The same where the logits are means over all folds, as for new segments."""
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

    def of_fold_averages(self) -> "BlendParameters":
        """The same parameters for logits that are means over all folds."""
        return dataclasses.replace(self, calibration=self.fold_average_calibration)

    def _to_common_scale(self, name: str, logits: np.ndarray) -> np.ndarray:
        if self.averaging == "percentile":
            return percentile(logits, self.quantiles[name])
        slope, offset = self.calibrations[name]
        return slope * logits + offset


def fit_blend(rows: OofScores, labels: np.ndarray, settings: Blend, folds: int = 1) -> BlendParameters:
    """Fit the blend and its threshold on out-of-fold rows; labels: (N,) of 0 and 1.

    folds: how many folds predict a new segment together.
    """
    averaging, posed = settings.averaging, rows.has_pose
    seen, truth = {name: values[posed] for name, values in rows.logits.items()}, labels[posed]
    calibrations = {name: fit_calibration(values, truth) for name, values in seen.items()}
    quantiles = {}
    if averaging == "percentile":
        levels = np.linspace(0, 1, QUANTILES)
        quantiles = {name: [float(value) for value in np.quantile(values, levels)] for name, values in seen.items()}
    calibrated = [slope * seen[name] + offset for name, (slope, offset) in calibrations.items()]
    weights = fit_weights(calibrated, truth, rows.children[posed])
    kept = {name: float(weight) for name, weight in zip(seen, weights, strict=True) if weight >= SMALLEST_WEIGHT}
    kept = {name: weight / sum(kept.values()) for name, weight in kept.items()}
    same = (1.0, 0.0)
    draft = BlendParameters(averaging, kept, calibrations, quantiles, same, same, None, 0.5)
    blended = average([draft._to_common_scale(name, seen[name]) for name in kept], list(kept.values()), averaging)
    calibration = fit_calibration(blended, truth)
    choice = dataclasses.replace(
        draft,
        calibrations={name: calibrations[name] for name in kept},
        quantiles={name: quantiles[name] for name in kept if quantiles},
        calibration=calibration,
        fold_average_calibration=calibration_of_averages(calibration, folds, truth),
    )
    if settings.child_context:
        context = fit_context(calibration[0] * blended + calibration[1], truth, rows.children[posed])
        choice = dataclasses.replace(choice, context=context)
    probabilities = choice.probability(rows)
    prevalence = float(labels.mean()) if settings.prevalence is None else settings.prevalence
    return dataclasses.replace(
        choice, threshold=threshold_at(labels, probabilities, prevalence, settings.threshold_rule)
    )


def fit_weights(calibrated: Sequence[np.ndarray], labels: np.ndarray, children: np.ndarray) -> np.ndarray:
    """Weights (M,) of the models' calibrated log-odds, each (N,); none is negative, and they sum to 1.

    Stacking (Breiman 1996): the coefficients of a logistic regression, without negative ones. They are expected near
    `expected_weights`, so a model moves the blend away from the best model only as far as the segments show.
    """
    expected = expected_weights(calibrated, labels, children)
    used = list(range(len(calibrated)))
    while True:
        scores = np.stack([calibrated[model] for model in used], axis=1)
        coefficients = fit_logistic(scores, labels, expected[used], WEIGHT_PRIOR)[:-1]
        if len(used) == 1 or coefficients.min() >= 0:
            break
        del used[int(coefficients.argmin())]
    weights = np.zeros(len(calibrated))
    weights[used] = np.maximum(coefficients, 0)
    return weights / weights.sum() if weights.sum() > 0 else expected


def expected_weights(calibrated: Sequence[np.ndarray], labels: np.ndarray, children: np.ndarray) -> np.ndarray:
    """Weights (M,) before stacking: 1 for the model with the lowest log loss, less for a model clearly behind it.

    The evidence is the difference in log loss, summed over each child's segments. With the sum z times its standard
    error over children, a model has exp(-z^2 / 2) times the best model's weight. They sum to 1.
    """
    sign = np.where(labels == 1, -1, 1)
    losses = np.stack([np.logaddexp(0, sign * scores) for scores in calibrated])
    behind = losses - losses[losses.sum(axis=1).argmin()]
    of_child = np.stack([behind[:, children == child].sum(axis=1) for child in np.unique(children)])
    # Squares are not taken around their mean, so few children never give strong evidence: z is at most their root.
    variance = (of_child**2).sum(axis=0)
    z_squared = of_child.sum(axis=0) ** 2 / np.where(variance > 0, variance, 1)
    weights = np.exp(-z_squared / 2)
    return np.asarray(weights / weights.sum())


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
    """The median of all values (N,) but each one, (N,); two or more values."""
    order = np.argsort(values, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(values))

    def without(place: int) -> np.ndarray:
        """The value at a place in the order of the others, for each value that is left out."""
        return values[order[place + (rank <= place)]]

    others = len(values) - 1
    return (without((others - 1) // 2) + without(others // 2)) / 2


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
