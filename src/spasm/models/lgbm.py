"""Gradient boosting by LightGBM on kinematic statistics. No torch here: the two crash together on some macOS builds."""

from pathlib import Path
from typing import Any

import lightgbm
import numpy as np

from spasm.config.models import LgbmMember
from spasm.core import files
from spasm.core.errors import DataError, TrainingError
from spasm.features import kinematics
from spasm.runs.run import MemberFolder, Run

BATCH = 256  # segments whose statistics are made at a time


def statistics(poses: np.ndarray, rows: np.ndarray, settings: LgbmMember) -> np.ndarray:
    """The statistics (N, F) float32 of the segments `rows` of poses (M, T, 33, 5) that the settings admit."""
    parts = [
        kinematics.statistics(np.array(poses[rows[start : start + BATCH]])) for start in range(0, len(rows), BATCH)
    ]
    return np.concatenate([np.empty((0, len(kinematics.NAMES)), np.float32), *parts])[:, used(settings)]


def used(settings: LgbmMember) -> np.ndarray:
    """Which statistics are read, (F,) int64."""
    return kinematics.used(settings.boosting.gap_features)


def parameters(settings: LgbmMember, seed: int) -> dict[str, Any]:
    """What LightGBM is told; one thread and by columns, so that equal data gives equal bytes."""
    boosting = settings.boosting
    return {
        "objective": "binary",
        "learning_rate": boosting.learning_rate,
        "num_leaves": boosting.num_leaves,
        "min_data_in_leaf": boosting.min_data_in_leaf,
        "feature_fraction": boosting.feature_fraction,
        "bagging_fraction": boosting.bagging_fraction,
        "bagging_freq": 1,
        "max_bin": 63,
        "lambda_l2": boosting.lambda_l2,
        "seed": seed,
        "num_threads": 1,
        "deterministic": True,
        "force_col_wise": True,
        "verbosity": -1,
    }


def fit(values: np.ndarray, labels: np.ndarray, settings: LgbmMember, seed: int) -> lightgbm.Booster:
    """A model of statistics (N, F) and labels (N,)."""
    names = [kinematics.NAMES[number] for number in used(settings)]
    data = lightgbm.Dataset(values, labels, feature_name=names, params={"verbosity": -1})
    return lightgbm.train(parameters(settings, seed), data, num_boost_round=settings.boosting.num_boost_round)


def fold_seed(seed: int, fold: int) -> int:
    """Seed of LightGBM, which takes 31 bits, for one fold."""
    return int(np.random.SeedSequence([seed, fold, *b"lgbm"]).generate_state(1)[0] >> 1)


def fit_fold(run: Run, member: MemberFolder, settings: LgbmMember, seed: int, fold: int, report: Any) -> None:
    """Train one fold and score its held-out children; depends on its arguments alone."""
    with member.begun_fold(seed, fold) as trained:
        if trained:
            return
        data, scored = run.data, run.fold_of == fold
        rows, posed = np.flatnonzero(~scored & data.has_pose), np.flatnonzero(scored & data.has_pose)
        if len(np.unique(data.labels[rows])) < 2:
            raise TrainingError(f"fold {fold}: its training children have one class only; use fewer folds")
        model = fit(statistics(data.poses, rows, settings), data.labels[rows], settings, fold_seed(seed, fold))
        path = member.weights(seed, fold)
        files.write_bytes(path, model.model_to_string().encode())
        logits, _ = open_scorer([path], settings).score(data.poses, posed)  # from the file, as a submission will
        member.note_importance(seed, fold, importance(model))  # before the fold counts as trained, or a kill loses it
        member.finish_fold(run, seed, fold, logits[0], path)
        report({"seed": seed, "fold": fold, "segments": len(rows), "trees": model.num_trees()})


def importance(model: lightgbm.Booster) -> dict[str, float]:
    """Share of the loss that splits on each group of statistics took away."""
    gains = dict(zip(model.feature_name(), model.feature_importance("gain"), strict=True))
    total = max(sum(gains.values()), 1e-12)
    return {
        group: float(sum(gains.get(name, 0) for name in names) / total) for group, names in kinematics.GROUPS.items()
    }


class Scorer:
    """Trained folds, ready to score poses."""

    def __init__(self, models: list[lightgbm.Booster], settings: LgbmMember) -> None:
        self.models, self.settings = models, settings

    def score(self, poses: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, None]:
        """Logits (folds, N) of the segments `rows` of poses (M, T, 33, 5), each with a pose; no frame weights."""
        values = statistics(poses, rows, self.settings)
        if not len(values):
            return np.empty((len(self.models), 0)), None
        return np.stack([model.predict(values, raw_score=True, num_threads=1) for model in self.models]), None

    def contributions(self, poses: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The statistics (N, F) float32 of the segments `rows`, and what each adds to the log-odds (N, F + 1) float64.

        The last column is the expected value; a row sums to the mean of the folds' logits. Shapley values of trees:
        Lundberg et al. 2020, https://doi.org/10.1038/s42256-019-0138-9.
        """
        values = statistics(poses, rows, self.settings)
        total = np.zeros((len(values), values.shape[1] + 1))
        if len(values):
            for model in self.models:
                total += model.predict(values, pred_contrib=True, num_threads=1)
        return values, total / len(self.models)


def open_scorer(paths: list[Path], settings: LgbmMember) -> Scorer:
    """Folds from their text files. Raises DataError where one is not a model of these statistics."""
    hint = "restore the run from a copy, or train again"
    models = []
    for path in paths:
        try:
            model = lightgbm.Booster(model_file=str(path))
        except lightgbm.basic.LightGBMError as error:
            raise DataError(path, f"is not a LightGBM model ({error})", hint) from error
        if model.feature_name() != [kinematics.NAMES[number] for number in used(settings)]:
            raise DataError(path, "was trained on other statistics than this version makes", hint)
        models.append(model)
    return Scorer(models, settings)
