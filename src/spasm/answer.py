"""Answering new segments with a decided run."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

from spasm import checkpoints, files
from spasm.decision import probability
from spasm.errors import DataError
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
    try:
        names = [
            str(MemberFolder(Path(name)).weights(seed, fold))
            for name, member in decision["members"].items()
            for seed in member["seeds"]
            for fold in range(decision["folds"])
            if isinstance(member["weight"], float) and isinstance(member["settings"], dict)
        ]
        complete = bool(names) and set(names) <= set(decision["files"])
        inside = all(re.fullmatch(r"[a-z0-9_]+/seed_[0-9]+/[a-z0-9_]+\.(pt|csv)", name) for name in decision["files"])
        well_formed = 0 <= decision["threshold"] <= 1 and isinstance(decision["frames"], int) and inside
        _ = decision["data"]["simulated"], decision["data"]["path"], decision["data"]["segments"]
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(path, "is not a decision of this software", rebuild) from error
    if not well_formed:
        raise DataError(path, "is not a decision of this software", rebuild)
    if not complete:
        raise DataError(path, "names no file for some fold", rebuild)
    check_files(run, decision["files"])
    return decision


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
            scorer = Scorer([tensors for fold in weights for tensors in fold], settings, device, precision)
            without_pose = np.array([[float(tensors["without_pose"]) for tensors in fold] for fold in weights])
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
