"""A run's ST-GCN as an ONNX file that any runtime can read, with what is known of it as one JSON object.

The file is compared with torch before it is written: one that predicts something else is never there.
"""

import importlib.util
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from spasm.config.fields import SettingsError, from_tree
from spasm.config.runtime import ABSTAIN, Hardware
from spasm.core import checkpoints, files
from spasm.core.errors import DataError, TrainingError
from spasm.data.findings import clean
from spasm.data.landmark_sets import keep_landmarks
from spasm.data.landmarks import LANDMARKS
from spasm.data.pose import CHANNELS, FPS, missing_frames, visible_mask
from spasm.ensemble.blending import OofScores, cross_fit
from spasm.ensemble.calibration import logit
from spasm.evaluation import bootstrap, metrics
from spasm.inference.ensemble_predictor import model_of, open_folds
from spasm.inference.trained_run import TrainedRun
from spasm.models.network import NetworkModel
from spasm.runs.artefacts import Decision, read_decision
from spasm.runs.chosen_models import choose, posed_rows, read_decided_oof
from spasm.runs.folder import ModelFolder
from spasm.simulation.infant import SimulationConfig, simulate_child

if TYPE_CHECKING:
    from spasm.export.onnx_graph import Calibrated

NETWORK = "stgcn_mil"
SCHEMA = 1
"""Version of the metadata."""
FLOAT32 = Hardware(device="cpu", precision="float32")
COMPARED = ("f1", "auc")
LARGEST = {"probability": 1e-4, "logit": 1e-3, "frame_probability": 1e-4, "attention": 1e-4}
"""The largest difference to torch that a written file may have, of each output."""
CHECKED = 12  # simulated segments that a file is compared on
LARGEST_LOGIT = 15.0
CERTAIN = float(logit(np.array(1.0)))  # log-odds of a probability of 1, as averages of probabilities give them
REFRACTORY_S = 5.0
WARNING = (
    "Research software, not a medical device. This is one network of the run alone, not its blend of models. "
    "A low probability does not mean that there was no spasm; see a doctor if in doubt."
)
SIMULATED = " Trained on SIMULATED data: its predictions and metrics say nothing about real children."


class Outputs(NamedTuple):
    """What a file gives for N segments of T frames."""

    probability: np.ndarray
    logit: np.ndarray
    frame_probability: np.ndarray
    attention: np.ndarray


class Export(NamedTuple):
    """A written file."""

    about: dict[str, Any]
    """Its metadata."""
    differences: dict[str, float]
    """The largest difference to torch of each output."""
    segments: int
    """How many segments it was compared on."""
    size: int
    """Bytes."""


def check_packages() -> None:
    """Raises SettingsError where a package is missing that writes or runs ONNX files."""
    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if importlib.util.find_spec(name) is None]
    if missing:
        reason = f"an ONNX file needs {', '.join(missing)}, which this Python does not have"
        raise SettingsError(f"{reason}: python -m pip install -r requirements-onnx.txt")


def export(run: Path, path: Path) -> dict[str, Any]:
    """Write the network of a run to `path`; returns the metadata. Raises DataError, SettingsError, TrainingError."""
    return write(run, path).about


def write(run: Path, path: Path) -> Export:
    """Write the network of a run to `path`, once it predicts what torch does."""
    check_packages()
    from spasm.export import onnx_graph  # torch and onnx are slow to load

    decision = read_decision(run)
    alone = choose(run, decision, [NETWORK], child_context=False)
    model, decided = model_of(run, NETWORK), alone.models[NETWORK]
    assert isinstance(model, NetworkModel)
    folder = ModelFolder(run / NETWORK)
    paths = [folder.weights(seed, fold) for fold in range(alone.folds) for seed in decided.seeds]
    weights = [checkpoints.read_tensors(one) for one in paths]
    config = from_tree(model.config, decided.settings)
    network = onnx_graph.build(model, weights, config, alone.data.landmarks, calibrated(run, alone))
    about = metadata(run, decision, alone)
    content = onnx_graph.onnx_bytes(network, json.dumps(about, ensure_ascii=False, allow_nan=False))
    poses = checked_poses(alone.frames)
    found = differences(run_onnx(content, poses), reference(run, alone, poses))
    check_differences(path, found)
    files.write_bytes(path, content)
    return Export(about, found, len(poses), len(content))


def calibrated(run: Path, alone: Decision) -> "Calibrated":
    """The calibration of a decision with one model, as one line. Raises DataError for percentile ranks."""
    from spasm.export.onnx_graph import Calibrated

    if alone.averaging == "percentile":
        hint = (
            f"decide again with log-odds: python src/train_folds.py --decide-only --run {run} --blend.averaging logit"
        )
        raise DataError(run / "decision.json", "averages percentile ranks, which an ONNX file does not hold", hint)
    slope, offset = alone.models[NETWORK].calibration
    second, last = alone.fold_average_calibration
    most = CERTAIN if alone.averaging == "probability" else 1e4  # probabilities are cut before they become log-odds
    return Calibrated(
        second * slope, second * offset + last, last - second * most, last + second * most, alone.no_pose_logit
    )


# ---- what is known of the network


def metadata(run: Path, decision: Decision, alone: Decision) -> dict[str, Any]:
    """What the file says of itself, see docs/onnx.md; alone: the decision with the network alone."""
    oof = read_decided_oof(run, decision)
    rows = posed_rows(run, decision, oof)
    network = OofScores({NETWORK: oof.logits[NETWORK]}, rows.children, rows.has_pose)
    probabilities, positive, _ = cross_fit(network, oof.labels, oof.folds, alone.blend_settings)
    children = oof.children.tolist()
    point, replicates = metrics.cluster_bootstrap(oof.labels, probabilities, positive, children, oof.folds)
    of_blend, replicates_of_blend = metrics.cluster_bootstrap(
        oof.labels, oof.probabilities, oof.positive, children, oof.folds
    )
    count = len(set(children))
    found = {
        name: bootstrap.interval(point[name], replicates[name], count)
        for name in ("sensitivity", "specificity", "f1", "auc")
    }
    compared: dict[str, Any] = {
        name: bootstrap.interval(point[name] - of_blend[name], replicates[name] - replicates_of_blend[name], count)
        for name in COMPARED
    }
    specificity = found["specificity"]["value"]
    return {
        "schema": SCHEMA,
        "run": os.path.basename(os.path.abspath(run)),
        "simulated": decision.data.simulated,
        "trained_on": {
            "segments": decision.data.segments,
            "children": decision.data.children,
            "positives": decision.data.positives,
        },
        "prevalence": decision.prevalence,
        "frames": decision.frames,
        "fps": int(FPS),
        "channels": list(CHANNELS),
        "landmarks": list(LANDMARKS),
        "landmark_set": decision.data.landmarks,
        "folds": decision.folds,
        "threshold": alone.threshold,
        "abstain": ABSTAIN,
        "metrics": found,
        "false_alarms_per_hour": None if specificity is None else (1 - specificity) * 3600 * FPS / decision.frames,
        "compared_with_blend": {**compared, "where": "out-of-fold predictions of the run's own children"},
        "no_pose_probability": 1 / (1 + math.exp(-decision.no_pose_logit)),
        "warning": WARNING + (SIMULATED if decision.data.simulated else ""),
        "rule": {
            "sum_windows": 1,
            "sum_threshold": alone.threshold,
            "sum_floor": 0.0,
            "refractory_s": REFRACTORY_S,
        },
    }


# ---- the comparison with torch


def checked_poses(frames: int) -> np.ndarray:
    """Poses (CHECKED, T, 33, 5) of simulated children, with gaps and missing landmarks; the last has no pose."""
    world = SimulationConfig(frames=frames)
    poses = np.stack([clean(one.pose)[0] for one in simulate_child(0, 1, CHECKED, world)])
    generator = np.random.default_rng(0)
    for number, pose in enumerate(poses):
        begin, length = generator.integers(0, frames), generator.integers(1, frames // 2 + 2)
        if number % 2:
            pose[begin : begin + length] = np.nan
        if number % 3:
            pose[:, generator.choice(len(LANDMARKS), number)] = np.nan
        pose[generator.random(pose.shape[:2]) < 0.02 * number] = np.nan
    poses[-1] = missing_frames(frames)
    return poses


def run_onnx(content: bytes | Path, poses: np.ndarray) -> Outputs:
    """The outputs of a file, or of its bytes, for cleaned poses (N, T, 33, 5), by onnxruntime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return Outputs(*session.run(list(Outputs._fields), {"poses": poses}))


def reference(run: Path, alone: Decision, poses: np.ndarray) -> Outputs:
    """The same by the run itself, in float32. alone: the decision with the network alone."""
    prediction = TrainedRun(run, FLOAT32).predict(poses, models=[NETWORK])
    posed = visible_mask(keep_landmarks(poses, alone.data.landmarks)).any(axis=2)
    rows = np.flatnonzero(posed.any(axis=1))
    folds = open_folds(run, NETWORK, alone.models[NETWORK], alone.data.landmarks, range(alone.folds), FLOAT32)
    logits = folds.explain(poses, rows).frame_logits
    assert logits is not None
    scores = OofScores({NETWORK: logits.ravel()}, np.full(logits.size, ""), np.ones(logits.size, dtype=bool))
    frames = np.full(posed.shape, np.nan)
    frames[rows] = alone.parameters.of_fold_averages().without_context().probability(scores).reshape(logits.shape)
    frames[~posed] = np.nan
    return Outputs(prediction.probability, logit(prediction.probability), frames, prediction.attention)


def differences(one: Outputs, other: Outputs) -> dict[str, float]:
    """The largest difference of each output; infinite where only one of the two is NaN."""
    found = {}
    for name, values, others in zip(Outputs._fields, one, other, strict=True):
        if name == "logit":  # beyond it, a float64 probability has too few digits for its log-odds
            values, others = (
                np.clip(values, -LARGEST_LOGIT, LARGEST_LOGIT),
                np.clip(others, -LARGEST_LOGIT, LARGEST_LOGIT),
            )
        known = ~np.isnan(values)
        alike = values.shape == others.shape and np.array_equal(known, ~np.isnan(others))
        found[name] = float(np.abs(values[known] - others[known]).max(initial=0)) if alike else math.inf
    return found


def check_differences(path: Path, found: Mapping[str, float]) -> None:
    """Raises TrainingError where an output differs too much from torch."""
    wrong = {name: value for name, value in found.items() if not value <= LARGEST[name]}
    if wrong:
        listed = ", ".join(f"{name} by {value:.2g} (at most {LARGEST[name]:g})" for name, value in wrong.items())
        reason = f"{path} was not written, because the network in it predicts something else than torch: {listed}"
        raise TrainingError(f"{reason}; install the versions of requirements-onnx.txt and export again")
