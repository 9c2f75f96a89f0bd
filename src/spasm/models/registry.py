"""Opening the trained folds of any model."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from spasm.config.fields import SettingsError, from_tree
from spasm.config.models import LgbmMember, Member, RocketMember
from spasm.config.runtime import Hardware
from spasm.core.errors import DataError, TrainingError
from spasm.runs.run import MemberFolder


class Scorer(Protocol):
    """Trained folds of one member."""

    def score(self, poses: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Logits (folds, N) of some rows of poses, each with a pose, and frame weights (N, T) where there are any."""


def open_scorer(run: Path, name: str, chosen: dict[str, Any], folds: Iterable[int], hardware: Hardware) -> Scorer:
    """Some folds of a member of a decision, and all its seeds, which change fastest. Loads no more than it needs."""
    folder = MemberFolder(run / name)
    paths = [folder.weights(seed, fold) for fold in folds for seed in chosen["seeds"]]
    try:
        if name == "lgbm":
            from spasm.models import lgbm

            return lgbm.open_scorer(paths, from_tree(LgbmMember, chosen["settings"]))
        if name == "rocket":
            from spasm.models import rocket

            return rocket.open_scorer(paths, from_tree(RocketMember, chosen["settings"]))
        from spasm.models import scorer

        return scorer.open_scorer(paths, from_tree(Member, chosen["settings"]), hardware)
    except SettingsError as error:
        hint = "run src/train_folds.py or src/blend.py again"
        raise DataError(run / "decision.json", str(error), hint) from error
    except TrainingError as error:
        hint = "restore the run from a copy, or train again"
        raise DataError(folder.path, f"holds weights that do not fit decision.json ({error})", hint) from error
