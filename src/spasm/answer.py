"""Answering new segments with a decided run."""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

from spasm import checkpoints, files
from spasm.decision import probability
from spasm.errors import DataError, TrainingError
from spasm.runs import MemberFolder, check_files
from spasm.scoring import Scorer
from spasm.settings import Member, SettingsError, from_tree


def open_decision(run: Path) -> dict[str, Any]:
    """A run's decision.json, once every file it rests on is known to be there and unchanged. Raises DataError."""
    path = run / "decision.json"
    if not path.exists():
        hint = f"train all folds first: python src/train_folds.py --run {run}"
        raise DataError(path, "is not there: the run has no threshold yet", hint)
    decision = files.read_json(path)
    rebuild = "run src/train_folds.py again, which rebuilds it"
    if not _is_well_formed(decision):
        raise DataError(path, "is not a decision of this software", rebuild)
    needed = {
        str(MemberFolder(Path(name)).weights(seed, fold))
        for name, member in decision["members"].items()
        for seed in member["seeds"]
        for fold in range(decision["folds"])
    }
    if not needed <= set(decision["files"]):
        raise DataError(path, "names no file for some fold", rebuild)
    check_files(run, decision["files"])
    return decision


def _is_well_formed(decision: dict[str, Any]) -> bool:
    """Whether everything a decision is used for has its type and range; type() because True is an int to Python."""
    try:
        names, most = decision["files"], len(decision["files"])
        data = decision["data"]
        return (
            type(decision["threshold"]) is float
            and 0 <= decision["threshold"] <= 1
            and type(decision["frames"]) is int
            and 1 <= decision["frames"] <= 100_000
            and type(decision["folds"]) is int
            and 1 <= decision["folds"] <= most  # a count beyond the files would be listed for ever
            and type(data["simulated"]) is bool
            and all(type(data[key]) is kind for key, kind in (("path", str), ("segments", int), ("children", int)))
            and all(re.fullmatch(r"[a-z0-9_]+/seed_[0-9]+/[a-z0-9_]+\.(pt|csv)", name) for name in names)
            and all(re.fullmatch(r"[0-9a-f]{64}", digest) for digest in names.values())
            and all(
                re.fullmatch(r"[a-z0-9_]+", name)
                and type(member["weight"]) is float
                and 0 < member["weight"] <= 1
                and 1 <= len(member["seeds"]) <= most
                and len(set(member["seeds"])) == len(member["seeds"])
                and all(type(seed) is int and seed >= 0 for seed in member["seeds"])
                for name, member in decision["members"].items()
            )
            and math.isclose(sum(member["weight"] for member in decision["members"].values()), 1, abs_tol=1e-6)
        )
    except (KeyError, TypeError, AttributeError):
        return False


class Answerer:
    """Every trained fold of a decision, held in memory."""

    def __init__(self, run: Path, decision: dict[str, Any], device: torch.device, precision: torch.dtype) -> None:
        self.members = []
        for name, chosen in decision["members"].items():
            folder = MemberFolder(run / name)
            try:
                settings = from_tree(Member, chosen["settings"])
            except SettingsError as error:
                raise DataError(run / "decision.json", str(error), "run src/train_folds.py again") from error
            # weights[fold][seed]
            weights = [
                [checkpoints.read_tensors(folder.weights(seed, fold)) for seed in chosen["seeds"]]
                for fold in range(decision["folds"])
            ]
            try:
                scorer = Scorer([tensors for fold in weights for tensors in fold], settings, device, precision)
                without_pose = np.array([[float(tensors["without_pose"]) for tensors in fold] for fold in weights])
            except (KeyError, TrainingError) as error:
                hint = "restore the run from a copy, or train again"
                raise DataError(folder.path, "holds weights that do not fit decision.json", hint) from error
            self.members.append((float(chosen["weight"]), scorer, without_pose))

    def answer(self, poses: np.ndarray, has_pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities (N,) and frame weights (N, T) of poses (N, T, 33, 5) float32.

        Logits are averaged over seeds, probabilities over folds and then, weighted, over members. A segment without
        any pose gets what such segments were labelled in training, and weights of 0.
        """
        probabilities = np.zeros(len(poses))
        frame_weights = np.zeros(poses.shape[:2])
        rows = np.flatnonzero(has_pose)
        for weight, scorer, without_pose in self.members:
            logits = np.repeat(without_pose[..., None], len(poses), axis=2)  # (folds, seeds, N)
            scored, looked = scorer.score(poses, rows)
            logits[:, :, rows] = scored.reshape(*without_pose.shape, len(rows))
            probabilities += weight * probability(logits.mean(axis=1)).mean(axis=0)
            frame_weights[rows] += weight * looked
        return probabilities, frame_weights
