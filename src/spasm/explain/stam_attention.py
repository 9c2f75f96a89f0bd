"""The attention of a trained STAM to a training segment, by the fold that never saw its child."""

import numpy as np
import torch

from spasm.config.fields import from_tree
from spasm.core import checkpoints
from spasm.core.errors import DataError
from spasm.core.nearby import nearest_name
from spasm.data.dataset import TrainingData
from spasm.features.channels import build_features
from spasm.models.networks.stam import Attention, Stam
from spasm.models.stam import StamConfig, StamModel
from spasm.runs.artefacts import check_files, read_manifest
from spasm.runs.folder import ModelFolder, Run


def select_segment(data: TrainingData, name: str) -> int:
    """The row of a segment; of the first positive one with a pose where none is named. Raises DataError."""
    if not name:
        return int(np.flatnonzero((data.labels == 1) & data.has_pose)[0])
    if name not in data.names:
        hint = nearest_name(name, data.names) or "name one of its training data"
        raise DataError(data.folder / "train" / name, "is not a segment of this run", hint)
    row = data.names.index(name)
    if not data.has_pose[row]:
        raise DataError(data.folder / "train" / name, "has no pose in any frame", "name another segment")
    return row


def stam_attention(run: Run, row: int) -> tuple[Attention, np.ndarray]:
    """The attention (1, K), (1, K, 18) to clips and joints of a segment, and its joints (T, 18, 2).

    Raises DataError where the run has no trained STAM.
    """
    folder = ModelFolder(run.path / "stam")
    fold, seeds = int(run.fold_of[row]), folder.complete_seeds(run.folds)
    if not seeds:
        hint = f"python src/train_folds.py --models stam --run {run.path}"
        raise DataError(folder.path, "holds no trained STAM", hint)
    manifest = read_manifest(folder.manifest)
    config = from_tree(StamConfig, manifest.settings)
    check_files(folder.path, manifest.files)
    network = StamModel().build(config).eval()
    assert isinstance(network, Stam)
    weights = checkpoints.read_tensors(folder.weights(seeds[0], fold))
    network.load_state_dict({name: value for name, value in weights.items() if name != "offset"})
    features = build_features(torch.from_numpy(np.array(run.data.poses[row : row + 1])), config.features)
    return network.attention(features), network.sequences(features)[0, :2].permute(1, 2, 0).numpy()
