"""Whether training and test segments come from the same distribution: adversarial validation.

A forest of randomised trees (scikit-learn's ExtraTrees) learns to separate test segments from training segments, with
folds of whole children. Where it cannot, a model trained on the one can be expected to work as well on the other. The
forest loads neither torch nor LightGBM, which may crash in one process. It takes missing values as they are.
"""

import dataclasses
import warnings
from collections.abc import Sequence

import numpy as np

from spasm.evaluation import bootstrap
from spasm.evaluation.bootstrap import Estimate
from spasm.evaluation.metrics import cluster_bootstrap

FOLDS = 5
TREES = 80
FEATURE_FRACTION = 0.3  # that a split may choose from
MIN_CHILDREN = 2  # of each kind: one to learn from and one to score
DIFFERING = 10  # features that are named


@dataclasses.dataclass(frozen=True)
class DifferingFeature:
    """A feature whose values differ between training and test segments."""

    name: str
    auc: float
    """Probability that a random test segment has a higher value than a random training segment; ties count half.

    0.5: no difference. 1.0: every test segment is higher. 0.0: every test segment is lower. Missing values are left
    out. Among hundreds of features some differ by chance: these mean something where `Drift.low` exceeds 0.5.
    """


@dataclasses.dataclass(frozen=True)
class Drift:
    """How well training and test segments can be separated."""

    auc: float | None
    """AUC of separating test from training segments of children that the forest has not seen.

    0.5: they cannot be separated, so nothing speaks against the same distribution. 1.0: every segment shows which side
    it comes from. None: a side has fewer than two children, so that no child is left to score.
    """
    low: float | None
    """Lower end of the 95 % interval from resampling children; None where `auc` is."""
    high: float | None
    """Upper end."""
    differing: tuple[DifferingFeature, ...]
    """The features that separate best on their own, the best first, at most `DIFFERING`."""


def adversarial_validation(
    train: np.ndarray,
    train_children: Sequence[str],
    test: np.ndarray,
    test_children: Sequence[str],
    names: Sequence[str],
    seed: int = 0,
    resample_seed: int | None = None,
) -> Drift:
    """Try to separate training from test segments by their features.

    train: (N, F) and test: (M, F) float, NaN where a value is missing; train_children: N and test_children: M names
    of the segments' children, where a name on both sides is one child; names: F names of the features. The same
    input and seed give the same result; resample_seed: of the resamples of children, where it is another. With few
    children the interval is wide; with fewer than two on a side there is no AUC.
    """
    values = np.concatenate([train, test]).astype(np.float32)
    is_test = np.arange(len(values)) >= len(train)
    children = np.array([*train_children, *test_children], dtype=str)
    auc = separation(values, is_test, children, seed, resample_seed)
    return Drift(auc["value"], auc["low"], auc["high"], _differing(values, is_test, names))


def separation(
    values: np.ndarray, is_second: np.ndarray, children: np.ndarray, seed: int = 0, resample_seed: int | None = None
) -> Estimate:
    """How well a forest separates two kinds of segments by their features: AUC with a 95 % interval over children.

    values: (N, F) float, NaN where a value is missing; is_second: (N,) bool, the kind; children: (N,). The forest
    scores children that it has not seen. 0.5: it cannot separate them. None where one kind has fewer than two.
    """
    fewest = min(len(np.unique(children[is_second == kind])) for kind in (False, True))
    if fewest < MIN_CHILDREN:
        return {"value": None, "low": None, "high": None}
    scores, fold_of = _scores(values, is_second, children, min(FOLDS, fewest), seed)
    resampling = seed if resample_seed is None else resample_seed
    kind, called = is_second.astype(int), scores >= 0.5
    point, replicates = cluster_bootstrap(kind, scores, called, list(children), fold_of, resampling)
    return bootstrap.interval(point["auc"], replicates["auc"], len(np.unique(children)))


def _scores(
    values: np.ndarray, is_second: np.ndarray, children: np.ndarray, folds: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """The probability (N,) of each segment to be of the second kind, by a forest that has not seen its child.

    Second: the fold (N,) of that forest.
    """
    from sklearn.ensemble import ExtraTreesClassifier  # a second that only who asks for it need spend
    from sklearn.model_selection import StratifiedGroupKFold

    scores, fold_of = np.full(len(values), 0.5), np.zeros(len(values), dtype=int)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)  # few segments
        splits = list(StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(values, is_second, children))
    for fold, (learned, scored) in enumerate(splits):
        fold_of[scored] = fold
        if len(scored) == 0 or len(np.unique(is_second[learned])) < 2:  # unequal children may not fill every fold
            continue
        forest = ExtraTreesClassifier(
            TREES,
            max_features=FEATURE_FRACTION,
            min_samples_leaf=5,
            class_weight="balanced",  # else one kind, if rare, would never reach 0.5
            random_state=seed,
            n_jobs=1,
        )
        scores[scored] = forest.fit(values[learned], is_second[learned]).predict_proba(values[scored])[:, 1]
    return scores, fold_of


def _differing(values: np.ndarray, is_test: np.ndarray, names: Sequence[str]) -> tuple[DifferingFeature, ...]:
    """The features that separate best on their own, the best first; of equal ones, in the order of `names`."""
    aucs = np.array([_auc(column, is_test) for column in values.T])
    order = np.argsort(-np.abs(aucs - 0.5), kind="stable")[:DIFFERING]
    return tuple(DifferingFeature(names[number], float(aucs[number])) for number in order if aucs[number] != 0.5)


def _auc(values: np.ndarray, is_test: np.ndarray) -> float:
    """AUC of one feature (N,) among the segments that have a value; 0.5 where a side has none."""
    present = np.isfinite(values)
    values, is_test = values[present], is_test[present]
    tests = int(is_test.sum())
    pairs = tests * (len(values) - tests)
    if pairs == 0:
        return 0.5
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    rank = (count.cumsum() - (count - 1) / 2)[place]  # from 1; equal values share the mean of their ranks
    return float((rank[is_test].sum() - tests * (tests + 1) / 2) / pairs)
