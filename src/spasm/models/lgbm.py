"""LightGBM on named kinematic features: gradient boosting, as in many of the challenge's best entries."""

import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from spasm.config.fields import settings, within
from spasm.config.runtime import Hardware
from spasm.core import files
from spasm.core.errors import DataError, TrainingError
from spasm.data.pictures import Pictures
from spasm.models.model import Explanation, FoldJob, FoldScores, Model

if TYPE_CHECKING:
    import lightgbm
    from optuna.distributions import BaseDistribution

    from spasm.data.dataset import TrainingData

BATCH = 256  # segments whose features are computed at a time
# LightGBM imports these where they are installed, for a second, and only its own interfaces to them need them.
OPTIONAL_IMPORTS = ("sklearn", "pandas", "pyarrow", "dask", "distributed", "matplotlib", "graphviz")


@settings
class LgbmConfig:
    """Settings of LightGBM, under its own names."""

    num_boost_round: Annotated[int, within(1, 10_000)] = 400
    """Trees."""
    learning_rate: Annotated[float, within(1e-4, 1)] = 0.03
    """Weight of each tree."""
    num_leaves: Annotated[int, within(2, 1024)] = 7
    """Leaves of a tree."""
    min_data_in_leaf: Annotated[int, within(1, 10_000)] = 10
    """Fewest training segments in a leaf."""
    feature_fraction: Annotated[float, within(0.01, 1)] = 0.5
    """Fraction of the features that a tree may use."""
    extra_trees: bool = True
    """Try one random threshold for each feature in a split, in place of all."""
    bagging_fraction: Annotated[float, within(0.1, 1)] = 0.8
    """Fraction of the training segments that a tree uses."""
    lambda_l2: Annotated[float, within(0, 1000)] = 1.0
    """L2 penalty on the leaves' values."""
    gap_features: bool = False
    """Also use the features of gaps and visibility, which depend more on the camera than on the child."""


class LgbmModel(Model):
    name = "lgbm"
    title = "LightGBM"
    about = "LightGBM on named kinematic features"
    config = LgbmConfig
    suffix = ".txt"
    library = "lightgbm"
    has_shap_values = True

    def search_space(self) -> "dict[str, BaseDistribution]":
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        return {
            "num_boost_round": IntDistribution(50, 800, log=True),
            "learning_rate": FloatDistribution(0.01, 0.2, log=True),
            "num_leaves": IntDistribution(2, 31, log=True),
            "min_data_in_leaf": IntDistribution(3, 60, log=True),
            "feature_fraction": FloatDistribution(0.05, 1.0),
            "extra_trees": CategoricalDistribution((False, True)),
            "bagging_fraction": FloatDistribution(0.4, 1.0),
            "lambda_l2": FloatDistribution(0.01, 100.0, log=True),
            "gap_features": CategoricalDistribution((False, True)),
        }

    def fit(self, job: FoldJob) -> "lightgbm.Booster":
        labels = job.data.labels[job.rows]
        if len(np.unique(labels)) < 2:
            raise TrainingError(f"fold {job.fold}: its training children have one class only; use another --fold-seed")
        values = cached_features(job.data, job.rows, job.config)
        return train(values, labels, job.config, fold_seed(job.seed, job.fold))

    def save(self, path: Path, trained: "lightgbm.Booster") -> None:
        files.write_bytes(path, trained.model_to_string().encode())

    def load(self, paths: Sequence[Path], config: LgbmConfig, hardware: Hardware) -> "LgbmPredictor":
        lightgbm = import_lightgbm()
        hint = "restore the run from a copy, or train again"
        boosters = []
        for path in paths:
            try:
                # LightGBM opens paths in an encoding of its own, so the text is read and written here.
                booster = lightgbm.Booster(model_str=files.read_text(path, "a LightGBM model", hint))
            except lightgbm.basic.LightGBMError as error:
                raise DataError(path, f"is not a LightGBM model ({error})", hint) from error
            if booster.feature_name() != self.feature_names(config):
                raise DataError(path, "was trained on other features than this version computes", hint)
            boosters.append(booster)
        return LgbmPredictor(boosters, config)

    def predictor(self, trained: Any, config: LgbmConfig, hardware: Hardware) -> "LgbmPredictor":
        return LgbmPredictor([trained], config)

    def predict_data(self, predictor: Any, data: "TrainingData", rows: np.ndarray) -> FoldScores:
        scores: FoldScores = predictor.predict_features(cached_features(data, rows, predictor.config))
        return scores

    def constant_hint(self, config: LgbmConfig, segments: int) -> str:
        bag = int(config.bagging_fraction * segments)
        if bag >= 2 * config.min_data_in_leaf:
            return super().constant_hint(config, segments)
        return (
            f"LightGBM can make no split: a tree uses {bag} training segments (--lgbm.bagging-fraction "
            f"{config.bagging_fraction:g} of {segments}), fewer than twice --lgbm.min-data-in-leaf "
            f"{config.min_data_in_leaf}. Train into another --run with --lgbm.min-data-in-leaf {max(1, bag // 4)}"
        )

    def gain_fractions(self, trained: "lightgbm.Booster") -> dict[str, float]:
        from spasm.features import kinematics

        gains = dict(zip(trained.feature_name(), trained.feature_importance("gain"), strict=True))
        total = max(sum(gains.values()), 1e-12)
        return {
            group: float(sum(gains.get(name, 0) for name in names) / total)
            for group, names in kinematics.GROUPS.items()
        }

    def feature_names(self, config: LgbmConfig) -> list[str]:
        from spasm.features import kinematics

        return [kinematics.NAMES[number] for number in kinematics.column_indices(config.gap_features)]


def import_lightgbm() -> ModuleType:
    """LightGBM, imported as if the packages that it only optionally uses were not installed; later they can be."""
    if "lightgbm" not in sys.modules:
        hidden: dict[str, Any] = {name: None for name in OPTIONAL_IMPORTS if name not in sys.modules}
        sys.modules.update(hidden)  # None: an import raises ModuleNotFoundError
        try:
            import lightgbm
        finally:
            for name in hidden:
                del sys.modules[name]
    import lightgbm

    return lightgbm


def features(poses: np.ndarray, rows: np.ndarray, config: LgbmConfig) -> np.ndarray:
    """The features (N, F) float32 of the segments `rows` of poses (M, T, 33, 5) that the settings select."""
    from spasm.features import kinematics

    starts = range(0, len(rows), BATCH)
    parts = [kinematics.compute_features(np.array(poses[rows[start : start + BATCH]])) for start in starts]
    whole = np.concatenate([np.empty((0, len(kinematics.NAMES)), np.float32), *parts])
    return np.asarray(whole[:, kinematics.column_indices(config.gap_features)])


def cached_features(data: "TrainingData", rows: np.ndarray, config: LgbmConfig) -> np.ndarray:
    """The same features for segments of the training data, computed once for all folds, seeds and settings."""
    from spasm.features import kinematics
    from spasm.features.cache import kinematic_features

    return np.asarray(kinematic_features(data)[rows][:, kinematics.column_indices(config.gap_features)])


def parameters(config: LgbmConfig, seed: int) -> dict[str, Any]:
    """LightGBM's parameters: one thread and column-wise, so that equal data gives equal bytes."""
    return {
        "objective": "binary",
        "learning_rate": config.learning_rate,
        "num_leaves": config.num_leaves,
        "min_data_in_leaf": config.min_data_in_leaf,
        "feature_fraction": config.feature_fraction,
        "extra_trees": config.extra_trees,
        "bagging_fraction": config.bagging_fraction,
        "bagging_freq": 1,
        "max_bin": 63,
        "lambda_l2": config.lambda_l2,
        "seed": seed,
        "num_threads": 1,
        "deterministic": True,
        "force_col_wise": True,
        "verbosity": -1,
    }


def train(values: np.ndarray, labels: np.ndarray, config: LgbmConfig, seed: int) -> "lightgbm.Booster":
    """Boosted trees on features (N, F) and labels (N,). Raises TrainingError if LightGBM refuses them."""
    lightgbm = import_lightgbm()
    names = LgbmModel().feature_names(config)
    data = lightgbm.Dataset(values, labels, feature_name=names, params={"verbosity": -1})
    try:
        return lightgbm.train(parameters(config, seed), data, num_boost_round=config.num_boost_round)
    except lightgbm.basic.LightGBMError as error:
        raise TrainingError(f"LightGBM: {error}") from error


def fold_seed(seed: int, fold: int) -> int:
    """Seed of LightGBM, which takes 31 bits, for one fold."""
    return int(np.random.SeedSequence([seed, fold, *b"lgbm"]).generate_state(1)[0] >> 1)


class LgbmPredictor:
    """Trained folds, ready for poses."""

    def __init__(self, boosters: "Sequence[lightgbm.Booster]", config: LgbmConfig) -> None:
        self.boosters, self.config = boosters, config

    def predict(self, poses: np.ndarray, rows: np.ndarray, pictures: Pictures | None = None) -> FoldScores:
        """Scores of the segments `rows` of poses (M, T, 33, 5), each with a pose; no attention."""
        return self.predict_features(features(poses, rows, self.config))

    def predict_features(self, values: np.ndarray) -> FoldScores:
        """Scores of segments from their features (N, F)."""
        if not len(values):
            return FoldScores(np.empty((len(self.boosters), 0)), None)
        logits = [booster.predict(values, raw_score=True, num_threads=1) for booster in self.boosters]
        return FoldScores(np.stack(logits), None)

    def explain(self, poses: np.ndarray, rows: np.ndarray, pictures: Pictures | None = None) -> Explanation:
        """The features of the segments `rows`, and the contribution of each to the log-odds.

        A row plus the expected value sums to the mean of the folds' logits. Shapley values of trees: Lundberg et al.
        2020, https://doi.org/10.1038/s42256-019-0138-9.
        """
        values = features(poses, rows, self.config)
        total = np.zeros((len(values), values.shape[1] + 1))  # the last column is the expected value
        if len(values):
            for booster in self.boosters:
                total += booster.predict(values, pred_contrib=True, num_threads=1)
        return Explanation(feature_values=values, shap_values=(total / len(self.boosters))[:, :-1])
