"""Ridge regression on labels, its penalty and its calibration chosen by inner folds of children.

It is solved in the space of the rows, or in that of the features where there are more rows than features: then memory
does not grow with the rows.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from spasm.ensemble.calibration import fit_logistic

PENALTIES = np.geomspace(1e-3, 10, 9)  # relative to the mean squared norm of a row's features
INNER_FOLDS = 5  # among the training children, to choose the penalty and to calibrate
BATCH = 512  # rows that are in memory at a time
SMALLEST_SCALE = 1e-6  # a feature that varies less is constant


def fit_ridge(
    features: torch.Tensor | np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    originals: int | None = None,
    by_features: bool | None = None,
) -> dict[str, torch.Tensor]:
    """Mean, scale, coefficients and intercept of a ridge regression on labels -1 and 1, and a calibration of its score.

    features (M, F) float32, also memory-mapped; labels (M,) of 0 and 1; groups (M,): the child of each row. The
    penalty, and the calibration of scores to log-odds, come from inner folds of whole children. originals: how many of
    the first rows are segments as they were recorded, not augmented copies; None: all. The calibration is theirs, since
    copies are harder. by_features: solve in the space of features; None: if there are more rows than features.
    """
    rows = StandardRows(features)
    if by_features is None:
        by_features = rows.count > rows.features
    solver = FeatureSpace(rows) if by_features else RowSpace(rows)
    target = torch.from_numpy(2.0 * labels - 1)
    inner = inner_folds(labels, groups)
    scores = np.zeros((len(PENALTIES), len(labels)))
    for fold in np.unique(inner):
        scored = np.flatnonzero(inner == fold)
        scores[:, scored] = solver.left_out(target, scored)
    best = int(((scores - target.numpy()) ** 2).mean(1).argmin())
    coefficients, intercept = solver.fitted(target, float(PENALTIES[best]))
    # A ridge score is not in log-odds, so its slope has no prior.
    slope, offset = fit_logistic(scores[best, :originals, None], labels[:originals], np.zeros(1), 1e-3)
    return {
        "mean": rows.mean,
        "scale": rows.scale,
        "coefficients": coefficients * slope,
        "intercept": torch.tensor(intercept * slope + offset, dtype=torch.float64),
    }


def of_raw_features(fitted: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Coefficients (F,) float64 of features as they are, before standardising, and the intercept."""
    coefficients = fitted["coefficients"] / fitted["scale"].double()
    return coefficients, fitted["intercept"] - fitted["mean"].double() @ coefficients


def inner_folds(labels: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Inner fold (M,) of each row: children are assigned in turn, those with the most positives first."""
    names, child = np.unique(groups, return_inverse=True)
    positives = np.bincount(child, labels, minlength=len(names))
    order = np.lexsort((names, -positives))
    fold_of_child = np.empty(len(names), dtype=np.int64)
    fold_of_child[order] = np.arange(len(names)) % min(INNER_FOLDS, len(names))
    return fold_of_child[child]


class StandardRows:
    """Rows of features less their mean and divided by their standard deviation, a batch at a time."""

    def __init__(self, features: torch.Tensor | np.ndarray) -> None:
        self.raw = features
        self.count, self.features = len(features), int(features.shape[1])
        self.dtype = torch.as_tensor(features[[0]]).dtype
        total = torch.zeros(self.features, dtype=torch.float64)
        for values in self._batches(np.arange(self.count)):
            total += values.double().sum(0)
        mean = total / self.count
        squares = torch.zeros_like(total)
        for values in self._batches(np.arange(self.count)):
            squares += (values.double() - mean).square().sum(0)
        scale = (squares / (self.count - 1)).sqrt()
        self.mean = mean.to(self.dtype)
        self.scale = torch.where(scale > SMALLEST_SCALE, scale, 1.0).to(self.dtype)

    def batches(self, rows: np.ndarray) -> Iterator[torch.Tensor]:
        """Standardised features (n, F) float32 of these rows, in their order, divided by the root of F.

        So the mean squared norm of a row is about 1, whatever the number of features.
        """
        for values in self._batches(rows):
            yield ((values - self.mean) / self.scale).div_(self.features**0.5)

    def _batches(self, rows: np.ndarray) -> Iterator[torch.Tensor]:
        for start in range(0, len(rows), BATCH):
            yield torch.as_tensor(self.raw[rows[start : start + BATCH]])


class RowSpace:
    """The ridge by products of rows with rows: a matrix of M x M."""

    def __init__(self, rows: StandardRows) -> None:
        self.rows = rows
        standard = torch.cat(list(rows.batches(np.arange(rows.count))))
        self.gram = (standard @ standard.T).double()

    def left_out(self, target: torch.Tensor, scored: np.ndarray) -> np.ndarray:
        """Scores (penalties, n) of the rows `scored` by fits of the other rows."""
        fitted = np.setdiff1d(np.arange(self.rows.count), scored)
        gram, across = self.gram[fitted][:, fitted], self.gram[scored][:, fitted]
        scores = []
        for penalty in PENALTIES:
            dual, intercept = self._solve(gram, target[fitted], float(penalty))
            scores.append((across @ dual + intercept).numpy())
        return np.stack(scores)

    def fitted(self, target: torch.Tensor, penalty: float) -> tuple[torch.Tensor, float]:
        """Coefficients (F,) float64 of standardised features, and the intercept."""
        dual, intercept = self._solve(self.gram, target, penalty)
        coefficients = torch.zeros(self.rows.features, dtype=torch.float64)
        for values, part in zip(self.rows.batches(np.arange(self.rows.count)), dual.split(BATCH), strict=True):
            coefficients += values.double().T @ part
        return coefficients / self.rows.features**0.5, intercept

    def _solve(self, gram: torch.Tensor, target: torch.Tensor, penalty: float) -> tuple[torch.Tensor, float]:
        intercept = float(target.mean())
        factor = torch.linalg.cholesky(gram + penalty * torch.eye(len(gram), dtype=gram.dtype))
        return torch.cholesky_solve((target - intercept)[:, None], factor)[:, 0], intercept


class FeatureSpace:
    """The same ridge by products of features with features, summed over batches of rows: a matrix of F x F.

    With 16,128 features about 6 GB and, on one core, half an hour for each fold (computed from half the features).
    """

    def __init__(self, rows: StandardRows) -> None:
        self.rows = rows
        self.gram = torch.zeros(rows.features, rows.features, dtype=rows.dtype)
        for values in rows.batches(np.arange(rows.count)):
            self.gram.addmm_(values.T, values)

    def left_out(self, target: torch.Tensor, scored: np.ndarray) -> np.ndarray:
        """Scores (penalties, n) of the rows `scored` by fits of the other rows."""
        gram = self.gram.clone()
        for values in self.rows.batches(scored):
            gram.addmm_(values.T, values, alpha=-1)
        fitted = np.setdiff1d(np.arange(self.rows.count), scored)
        gram = gram.double()
        weights, intercept = self._solve(gram, target, fitted, [float(penalty) for penalty in PENALTIES])
        scores = [(values.double() @ weights + intercept).T for values in self.rows.batches(scored)]
        return torch.cat(scores, 1).numpy()

    def fitted(self, target: torch.Tensor, penalty: float) -> tuple[torch.Tensor, float]:
        """Coefficients (F,) float64 of standardised features, and the intercept."""
        weights, intercept = self._solve(self.gram.double(), target, np.arange(self.rows.count), [penalty])
        return weights[:, 0] / self.rows.features**0.5, intercept

    def _solve(
        self, gram: torch.Tensor, target: torch.Tensor, fitted: np.ndarray, penalties: Sequence[float]
    ) -> tuple[torch.Tensor, float]:
        """Weights (F, penalties) float64, and the intercept; `gram` is overwritten."""
        intercept = float(target[fitted].mean())
        products = torch.zeros(self.rows.features, dtype=torch.float64)
        for values, part in zip(self.rows.batches(fitted), target[fitted].split(BATCH), strict=True):
            products += values.double().T @ (part - intercept)
        weights, before = [], 0.0
        for penalty in penalties:
            gram.diagonal().add_(penalty - before)
            before = penalty
            weights.append(torch.cholesky_solve(products[:, None], torch.linalg.cholesky(gram))[:, 0])
        return torch.stack(weights, 1), intercept
