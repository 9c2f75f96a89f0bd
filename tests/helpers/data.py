"""Data sets that several tests train on."""

from pathlib import Path

import numpy as np

from helpers.poses import moving
from spasm.config.data import Folds
from spasm.config.fields import to_tree
from spasm.config.runtime import Hardware
from spasm.data.dataset import load_training
from spasm.models.registry import MODELS
from spasm.runs.folder import ModelFolder, Run, open_model, open_run
from spasm.training.folds import train_fold

T = 32
THREE = Folds(folds=3)
FLOAT32 = Hardware(device="cpu", precision="float32")


def children(count: int = 6, each: int = 8, frames: int = T, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Poses (N, T, 33, 5) and labels (N,) of children who wander; in every second segment all limbs jerk once."""
    poses = moving(seed, frames, count * each)
    labels = np.arange(len(poses)) % 2
    generator = np.random.default_rng(seed)
    for row in np.flatnonzero(labels):
        start = generator.integers(4, frames - 10)
        poses[row, start : start + 6, 13:23, 1] -= 0.15
        poses[row, start : start + 6, 25:33, 1] -= 0.1
    return poses, labels


def write(folder: Path, poses: np.ndarray, labels: np.ndarray, each: int = 8) -> Path:
    """A data folder in which every `each` segments belong to one child."""
    (folder / "train").mkdir(parents=True)
    names = [f"child_{row // each}_{row % each}.npy" for row in range(len(poses))]
    for name, pose in zip(names, poses, strict=True):
        np.save(folder / "train" / name, pose)
    rows = [f"{name},{label}\n" for name, label in zip(names, labels, strict=True)]
    (folder / "train_data.csv").write_text("segment_name,label\n" + "".join(rows))
    return folder


def open_both(folder: Path, data: Path, name: str, config: object, split: Folds = THREE) -> tuple[Run, ModelFolder]:
    """A run on a data folder, and a model of it."""
    frames = np.load(next((data / "train").iterdir())).shape[0]
    loaded = load_training(data, frames, "challenge", folder / "cache")
    run = open_run(folder / "run", loaded, data, frames, split)
    return run, open_model(run, name, to_tree(config), {"threads": 1})


def train_one(
    folder: Path,
    data: Path,
    name: str,
    config: object,
    fold: int = 0,
    seed: int = 0,
    split: Folds = THREE,
) -> ModelFolder:
    """Train one fold of a model in this process, in a run on a data folder."""
    run, model_folder = open_both(folder, data, name, config, split)
    train_fold(run, model_folder, MODELS[name], config, FLOAT32, seed, fold)
    return model_folder
