"""Ridge regression on labels, its penalty and its calibration chosen by inner folds of children.

It is solved in the space of the rows, or in that of the features where there are more rows than features: then memory
does not grow with the rows. Either way one matrix and one factor of it are in memory.
"""

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch

from spasm.ensemble.calibration import fit_logistic

PENALTIES = np.geomspace(1e-3, 10, 9)  # relative to the mean squared norm of a row's features
CPU = torch.device("cpu")
INNER_FOLDS = 5  # among the training children, to choose the penalty and to calibrate
BATCH = 1024  # rows that are in memory at a time
BLOCK = 1024  # columns of a symmetric matrix that are computed at a time, from the diagonal on
SLICE = 64  # rows of a matrix that are in float64 at a time, which fit the CPU cache
CLOSE = 1e-14  # squared error of a solution, relative to that of zero, at which it is exact: logits to 1e-6
MOST_STEPS = 300  # of conjugate gradients; a hundred are usual
SMALLEST_SCALE = 1e-6  # a feature that varies less is constant


class Features(Protocol):
    """Features (M, F), of which some rows are read at a time: a tensor, an array, or rows of a file."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, rows: np.ndarray, /) -> torch.Tensor | np.ndarray: ...


def fit_ridge(
    features: Features,
    labels: np.ndarray,
    groups: np.ndarray,
    originals: int | None = None,
    by_features: bool | None = None,
    device: torch.device = CPU,
) -> dict[str, torch.Tensor]:
    """Mean, scale, coefficients and intercept of a ridge regression on labels -1 and 1, and a calibration of its score.

    features (M, F) float32; labels (M,) of 0 and 1; groups (M,): the child of each row. The
    penalty, and the calibration of scores to log-odds, come from inner folds of whole children. originals: how many of
    the first rows are segments as they were recorded, not augmented copies; None: all. The calibration is theirs, since
    copies are harder. by_features: solve in the space of features; None: if there are more rows than features. device:
    where it is solved; the result is on the CPU.
    """
    rows = StandardRows(features, device)
    if by_features is None:
        by_features = rows.count > rows.features
    target = torch.from_numpy(2.0 * labels - 1).to(device)
    solver = FeatureSpace(rows, target) if by_features else RowSpace(rows, target)
    inner = inner_folds(labels, groups)
    scores = np.zeros((len(PENALTIES), len(labels)))
    for fold in np.unique(inner):
        scored = np.flatnonzero(inner == fold)
        scores[:, scored] = solver.left_out(scored)
    best = int(((scores - target.cpu().numpy()) ** 2).mean(1).argmin())
    coefficients, intercept = solver.fitted(PENALTIES[[best]])
    # A ridge score is not in log-odds, so its slope has no prior.
    slope, offset = fit_logistic(scores[best, :originals, None], labels[:originals], np.zeros(1), 1e-3)
    return {
        "mean": rows.mean.cpu(),
        "scale": rows.scale.cpu(),
        "coefficients": coefficients.cpu() * slope,
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

    def __init__(self, features: Features, device: torch.device = CPU) -> None:
        self.raw, self.device = features, device
        self.count, self.features = (int(size) for size in features.shape)
        self.dtype = torch.as_tensor(features[np.arange(1)]).dtype
        total = torch.zeros(self.features, dtype=torch.float64, device=device)
        for values in self._batches(np.arange(self.count)):
            total += values.sum(0, dtype=torch.float64)
        mean = total / self.count
        squares = torch.zeros_like(total)
        for values in self._batches(np.arange(self.count)):
            squares += values.double().sub_(mean).square_().sum(0)
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
            yield torch.as_tensor(self.raw[rows[start : start + BATCH]]).to(self.device)


class RowSpace:
    """The ridge by products of rows with rows: a matrix of M x M."""

    def __init__(self, rows: StandardRows, target: torch.Tensor) -> None:
        self.rows, self.target = rows, target
        standard = torch.cat(list(rows.batches(np.arange(rows.count))))
        self.gram = standard @ standard.T

    def left_out(self, scored: np.ndarray) -> np.ndarray:
        """Scores (penalties, n) of the rows `scored` by fits of the other rows."""
        fitted = np.setdiff1d(np.arange(self.rows.count), scored)
        intercept = self.target[fitted].mean()
        dual = solve(self.gram[fitted[:, None], fitted], self.target[fitted] - intercept, PENALTIES)
        return (self.gram[scored[:, None], fitted].double() @ dual + intercept).T.cpu().numpy()

    def fitted(self, penalty: np.ndarray) -> tuple[torch.Tensor, float]:
        """Coefficients (F,) float64 of standardised features, and the intercept; penalty (1,)."""
        intercept = self.target.mean()
        dual = solve(self.gram, self.target - intercept, penalty)[:, 0]
        coefficients = torch.zeros(self.rows.features, dtype=torch.float64, device=self.rows.device)
        for values, part in zip(self.rows.batches(np.arange(self.rows.count)), dual.split(BATCH), strict=True):
            coefficients += values.double().T @ part
        return coefficients / self.rows.features**0.5, float(intercept)


class FeatureSpace:
    """The same ridge by products of features with features, summed over batches of rows: a matrix of F x F.

    `gram` is symmetric. Its lower half is changed for an inner fold, and copied back from its upper half.
    """

    def __init__(self, rows: StandardRows, target: torch.Tensor) -> None:
        self.rows, self.target = rows, target
        self.gram = torch.zeros(rows.features, rows.features, dtype=rows.dtype, device=rows.device)
        self.products = self._add(np.arange(rows.count), sign=1)
        for below, right in self._off_diagonal():
            right.copy_(below.T)
        self.blocks = [block.clone() for block in self._diagonal()]

    def left_out(self, scored: np.ndarray) -> np.ndarray:
        """Scores (penalties, n) of the rows `scored` by fits of the other rows."""
        products = self.products + self._add(scored, sign=-1)
        weights, intercept = self._solve(products, np.setdiff1d(np.arange(self.rows.count), scored), PENALTIES)
        for below, right in self._off_diagonal():
            below.copy_(right.T)
        for block, kept in zip(self._diagonal(), self.blocks, strict=True):
            block.copy_(kept)
        scores = [(values.double() @ weights + intercept).T for values in self.rows.batches(scored)]
        return torch.cat(scores, 1).cpu().numpy()

    def fitted(self, penalty: np.ndarray) -> tuple[torch.Tensor, float]:
        """Coefficients (F,) float64 of standardised features, and the intercept; penalty (1,)."""
        weights, intercept = self._solve(self.products, np.arange(self.rows.count), penalty)
        return weights[:, 0] / self.rows.features**0.5, intercept

    def _solve(self, products: torch.Tensor, fitted: np.ndarray, penalties: np.ndarray) -> tuple[torch.Tensor, float]:
        intercept = float(self.target[fitted].mean())
        return solve(self.gram, products[:, 0] - intercept * products[:, 1], penalties), intercept

    def _add(self, rows: np.ndarray, sign: int) -> torch.Tensor:
        """Add these rows to the lower half; the same of their products with the target and with 1: (F, 2) float64."""
        products = torch.zeros(self.rows.features, 2, dtype=torch.float64, device=self.rows.device)
        for values, target in zip(self.rows.batches(rows), self.target[rows].split(BATCH), strict=True):
            for start in range(0, self.rows.features, BLOCK):
                columns = slice(start, start + BLOCK)
                self.gram[start:, columns].addmm_(values[:, start:].T, values[:, columns], alpha=sign)
            products += sign * (values.double().T @ torch.stack([target, torch.ones_like(target)], 1))
        return products

    def _diagonal(self) -> Iterator[torch.Tensor]:
        for start in range(0, self.rows.features, BLOCK):
            yield self.gram[start : start + BLOCK, start : start + BLOCK]

    def _off_diagonal(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """What is below each block of the diagonal, and what is to its right."""
        for start in range(0, self.rows.features, BLOCK):
            end = start + BLOCK
            yield self.gram[end:, start:end], self.gram[start:end, end:]


def solve(matrix: torch.Tensor, right: torch.Tensor, penalties: np.ndarray) -> torch.Tensor:
    """Solutions x (n, penalties) float64 of (matrix + penalty I) x = right for each penalty.

    matrix (n, n): symmetric, no eigenvalue below 0; its lower half is read, and blocks on the diagonal whole. right
    (n,) float64. Conjugate gradients on all penalties side by side, preconditioned by the Cholesky factor of one
    penalty in their middle: it costs one factor, in the precision of the matrix, while the solutions have float64's.
    Preconditioned, the condition is at most the root of the ratio of the largest penalty to the smallest: 100. Golub
    and Van Loan, Matrix Computations, 4th edition, 11.5.
    """
    shifts = torch.from_numpy(penalties).to(right.device)
    factor = matrix.clone()
    # Rounding of a large matrix may hide a small penalty; another factor changes the number of steps alone.
    rounding = torch.finfo(matrix.dtype).eps * float(matrix.diagonal().sum())
    factor.diagonal().add_(max(float(np.exp(np.log(penalties).mean())), rounding))
    # In place: LAPACK's order is that of the transpose, and any other would be copied.
    torch.linalg.cholesky(factor.T, upper=True, out=factor.T)

    def precondition(values: torch.Tensor) -> torch.Tensor:
        half = torch.linalg.solve_triangular(factor, values.to(factor.dtype), upper=False)
        return torch.linalg.solve_triangular(factor.T, half, upper=True).double()

    residual = right[:, None].repeat(1, len(penalties))
    solution = torch.zeros_like(residual)
    direction = precondition(residual)
    error = first = (residual * direction).sum(0)
    for _ in range(MOST_STEPS):
        if bool((error <= CLOSE * first).all()):
            break
        product = symmetric_product(matrix, direction) + shifts * direction
        curvature = (direction * product).sum(0)
        step = torch.where(curvature > 0, error / curvature, 0.0)
        solution += step * direction
        residual -= step * product
        preconditioned = precondition(residual)
        before, error = error, (residual * preconditioned).sum(0)
        direction = preconditioned + torch.where(before > 0, error / before, 0.0) * direction
    return solution


def symmetric_product(matrix: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """matrix @ values in float64, of the matrix's lower half; rounding to float32 would limit the solutions."""
    product, size = torch.zeros_like(values), SLICE if matrix.device == CPU else BLOCK
    for start in range(0, len(matrix), size):
        end = start + size
        rows = matrix[start:end, :end].double()
        product[start:end] += rows @ values[:end]
        product[:start] += rows[:, :start].T @ values[start:end]
    return product
