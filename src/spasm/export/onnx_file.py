"""A run's ST-GCN as an ONNX file that any runtime can read.

The file is compared with torch before it is written: one that predicts something else never exists.
"""

import importlib.util
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from spasm.config.data import LandmarkSet
from spasm.config.fields import SettingsError, from_tree
from spasm.config.runtime import ExportedNetwork, Hardware
from spasm.core import checkpoints, files
from spasm.core.errors import DataError, TrainingError, printable
from spasm.core.text import shell_words
from spasm.data.findings import clean
from spasm.data.landmark_sets import keep_landmarks
from spasm.data.landmarks import LANDMARKS
from spasm.data.pose import missing_frames, visible_mask
from spasm.ensemble.blending import OofScores, cross_fit
from spasm.ensemble.calibration import logit
from spasm.export.network_description import Labelled, Tree, describe, measured
from spasm.export.unseen_segments import Unseen, read_unseen
from spasm.inference.ensemble_predictor import model_of, open_folds
from spasm.inference.trained_run import TrainedRun
from spasm.models.network import NetworkModel
from spasm.runs.artefacts import Decision, read_decision
from spasm.runs.chosen_models import choose, posed_rows, read_decided_oof
from spasm.runs.folder import ModelFolder
from spasm.runs.oof_table import OofTable
from spasm.simulation.infant import SimulationConfig, simulate_child

if TYPE_CHECKING:
    import torch

    from spasm.export.onnx_graph import Calibrated

NETWORK = "stgcn_mil"
START = b"\x08\x08\x12\x05spasm"  # how a file begins: IR version and producer
FLOAT32 = Hardware(device="cpu", precision="float32")
LARGEST = {"probability": 1e-4, "logit": 1e-3, "frame_probability": 1e-4, "attention": 1e-4}
"""The largest difference to torch that a written file may have, of each output."""
CHECKED = 12  # simulated segments that a file is compared on
# Log-odds are compared up to here: those of a probability nearer to 0 or 1 cannot be computed from it.
LARGEST_LOGIT = 15.0
# Log-odds of a probability that is cut before an average of probabilities becomes log-odds, see `calibration.logit`.
CERTAIN = float(logit(np.array(1.0)))
BATCH = 16  # segments at a time
Watch = Callable[[], Any]


class Outputs(NamedTuple):
    """What a file gives for N segments of T frames, float32 or float64."""

    probability: np.ndarray
    """(N,)"""
    logit: np.ndarray
    """(N,) the calibrated log-odds."""
    frame_probability: np.ndarray
    """(N, T), NaN in a frame without a pose."""
    attention: np.ndarray
    """(N, T), 0 in a frame without a pose."""


class Portable(NamedTuple):
    """A trained network with everything that its file needs, wherever its weights come from."""

    model: NetworkModel
    weights: "Sequence[Mapping[str, torch.Tensor]]"
    """Of each fold."""
    config: Any
    landmarks: LandmarkSet
    calibrated: "Calibrated"
    frames: int
    """T of the segments that it was trained on."""
    about: Tree
    """What the file says of itself, see `network_description`."""
    reference: Callable[[np.ndarray], Outputs]
    """What it predicts in torch, for cleaned poses (N, T, 33, 5)."""


class Export(NamedTuple):
    """A written file."""

    about: Tree
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


def export_run(exported: ExportedNetwork, path: Path, watch: Watch = lambda: None) -> Export:
    """Write the network of a run to `path`.

    watch: called after each of three steps, of four with `evaluate_on`. A script that calls it needs
    `if __name__ == "__main__":`, since the run predicts in new processes. Raises DataError, SettingsError for a missing
    package, and TrainingError for a file that differs from torch.
    """
    run, evaluate_on, other = exported.run, exported.evaluate_on, exported.compare_with
    check_packages()
    decision = read_decision(run)
    unseen = None if evaluate_on is None else read_unseen(evaluate_on, [run] if other is None else [run, other])
    network = of_run(run, decision, other)
    if unseen is None:
        return write(network, path, watch)

    def on_unseen(content: bytes) -> Tree:
        probabilities = predict_unseen(content, unseen, network.frames)
        blend = TrainedRun(other or run, FLOAT32).predict_files(unseen.paths, unseen.folder, unseen.children.tolist())
        of_network = Labelled(probabilities, probabilities >= network.about["threshold"])
        of_blend = Labelled(blend.probability, blend.label == 1)
        watch()
        return measured(unseen.labels, unseen.children, of_network, of_blend, network.frames, unseen.where)

    return write(network, path, watch, on_unseen)


def write(
    network: Portable, path: Path, watch: Watch = lambda: None, on_unseen: Callable[[bytes], Tree] | None = None
) -> Export:
    """Write a network to `path`, once its file predicts what torch does. Raises TrainingError where it does not.

    on_unseen: gives what was measured by the content of the file, instead of that in `network.about`.
    """
    check_packages()
    from spasm.export import onnx_graph  # torch is slow to load

    graph = onnx_graph.build(network.model, network.weights, network.config, network.landmarks, network.calibrated)
    content = onnx_graph.onnx_bytes(graph)
    watch()
    poses = checked_poses(network.frames)
    found = differences(run_onnx(content, poses), network.reference(poses))
    check_differences(path, found)
    watch()
    about = network.about if on_unseen is None else {**network.about, **on_unseen(content)}
    content = onnx_graph.with_metadata(content, json.dumps(about, ensure_ascii=False, allow_nan=False))
    files.write_bytes(path, content)
    watch()
    return Export(about, found, len(poses), len(content))


def of_run(run: Path, decision: Decision, other: Path | None = None) -> Portable:
    """The network of a run alone, with its own calibration and threshold. Raises DataError.

    other: the run whose blend it is compared with, instead of its own.
    """
    alone = choose(run, decision, [NETWORK], child_context=False)
    model, decided, folder = model_of(run, NETWORK), alone.models[NETWORK], ModelFolder(run / NETWORK)
    assert isinstance(model, NetworkModel)
    oof = read_decided_oof(run, decision)
    rows = posed_rows(run, decision, oof)
    network = OofScores({NETWORK: oof.logits[NETWORK]}, rows.children, rows.has_pose)
    probabilities, positive, _ = cross_fit(network, oof.labels, oof.folds, alone.blend_settings)
    paths = [folder.weights(seed, fold) for fold in range(alone.folds) for seed in decided.seeds]
    return Portable(
        model=model,
        weights=[checkpoints.read_tensors(path) for path in paths],
        config=from_tree(model.config, decided.settings),
        landmarks=alone.data.landmarks,
        calibrated=calibrated(run, alone),
        frames=alone.frames,
        about=describe(
            run,
            decision,
            oof if other is None else rows_of_other(other, oof),
            Labelled(probabilities, positive),
            alone.threshold,
            other,
        ),
        reference=lambda poses: predicted_by_run(run, alone, poses),
    )


def rows_of_other(other: Path, oof: OofTable) -> OofTable:
    """The out-of-fold rows of another run. Raises DataError where they are not of the same segments."""
    rows = read_decided_oof(other, read_decision(other))
    if not all(np.array_equal(getattr(rows, name), getattr(oof, name)) for name in ("names", "labels", "folds")):
        reason = "holds other segments, labels or folds than the run to export"
        raise DataError(other / "oof.csv", reason, "name a run of the same data and folds: --compare-with RUN")
    return rows


def calibrated(run: Path, alone: Decision) -> "Calibrated":
    """The calibration of a decision with the network alone, as one line. Raises DataError for percentile ranks."""
    from spasm.export.onnx_graph import Calibrated

    if alone.averaging == "percentile":
        command = f"python src/train_folds.py --decide-only --run {shell_words(run)} --blend.averaging logit"
        reason = "averages percentile ranks of models, which an ONNX file cannot hold"
        raise DataError(run / "decision.json", reason, f"decide again with log-odds: {command}")
    slope, offset = alone.models[NETWORK].calibration
    second, last = alone.fold_average_calibration
    most = CERTAIN if alone.averaging == "probability" else math.inf
    # 0 * inf is no number: without a slope the log-odds are the offset anyway.
    reach = second * most if second > 0 else 0.0
    return Calibrated(second * slope, second * offset + last, last - reach, last + reach, alone.no_pose_logit)


# ---- predictions, by onnxruntime and by the run


def run_onnx(content: bytes | Path, poses: np.ndarray) -> Outputs:
    """The outputs of a file, or of its bytes, for cleaned poses (N, T, 33, 5), by onnxruntime with one thread."""
    session = open_onnx(content)
    return Outputs(*session.run(list(Outputs._fields), {"poses": poses}))


def open_onnx(content: bytes | Path, threads: int = 1) -> Any:
    """An onnxruntime.InferenceSession of a file, or of its bytes."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    whole = content if isinstance(content, bytes) else str(content)
    return onnxruntime.InferenceSession(whole, options, providers=["CPUExecutionProvider"])


def predict_unseen(content: bytes, unseen: Unseen, frames: int) -> np.ndarray:
    """Probabilities (N,) float64 of segments by the content of a file, read a few at a time."""
    session = open_onnx(content)
    batches = [range(start, min(start + BATCH, len(unseen.paths))) for start in range(0, len(unseen.paths), BATCH)]
    parts = [session.run(["probability"], {"poses": unseen.poses(rows, frames)})[0] for rows in batches]
    return np.concatenate(parts).astype(np.float64)


def predicted_by_run(run: Path, alone: Decision, poses: np.ndarray) -> Outputs:
    """The same outputs by the run itself, in float32; alone: the decision with the network alone."""
    prediction = TrainedRun(run, FLOAT32).predict(poses, models=[NETWORK])
    posed = np.asarray(visible_mask(keep_landmarks(poses, alone.data.landmarks)).any(axis=2))
    rows = np.flatnonzero(posed.any(axis=1))
    folds = open_folds(run, NETWORK, alone.models[NETWORK], alone.data.landmarks, range(alone.folds), FLOAT32)
    logits = folds.explain(poses, rows).frame_logits
    assert logits is not None
    scores = OofScores({NETWORK: logits.ravel()}, np.full(logits.size, ""), np.ones(logits.size, dtype=bool))
    frame_probability = np.full(posed.shape, np.nan)
    frame_probability[rows] = alone.parameters.of_fold_averages().probability(scores).reshape(logits.shape)
    frame_probability[~posed] = np.nan
    return Outputs(prediction.probability, logit(prediction.probability), frame_probability, prediction.attention)


# ---- the comparison


def checked_poses(frames: int) -> np.ndarray:
    """Poses (CHECKED, T, 33, 5) of a simulated child, with gaps and missing landmarks; the last has no pose."""
    world = SimulationConfig(frames=max(frames, 2))  # it simulates movement, which one frame does not have
    poses = np.stack([clean(one.pose)[0][:frames] for one in simulate_child(0, 1, CHECKED, world)])
    generator = np.random.default_rng(0)
    for number, pose in enumerate(poses):
        if number % 2:
            begin, length = generator.integers(0, frames), generator.integers(1, frames // 2 + 2)
            pose[begin : begin + length] = np.nan
        if number % 3:
            pose[:, generator.choice(len(LANDMARKS), number)] = np.nan
        pose[generator.random(pose.shape[:2]) < 0.02 * number] = np.nan
    poses[-1] = missing_frames(frames)
    return poses


def differences(one: Outputs, other: Outputs) -> dict[str, float]:
    """The largest difference of each output; infinite where only one of the two is a number."""
    found = {}
    for name, values, others in zip(Outputs._fields, one, other, strict=True):
        if name == "logit":
            values, others = (np.clip(part, -LARGEST_LOGIT, LARGEST_LOGIT) for part in (values, others))
        known = np.isfinite(values)
        alike = values.shape == others.shape and np.array_equal(known, np.isfinite(others))
        found[name] = float(np.abs(values[known] - others[known]).max(initial=0)) if alike else math.inf
    return found


def check_differences(path: Path, found: Mapping[str, float]) -> None:
    """Raises TrainingError where an output differs too much from torch."""
    wrong = {name: value for name, value in found.items() if not value <= LARGEST[name]}
    if wrong:
        listed = ", ".join(f"{name} by {value:.2g} (at most {LARGEST[name]:g})" for name, value in wrong.items())
        reason = f"{printable(path)} was not written: the network in it differs from torch in {listed}"
        raise TrainingError(f"{reason}; install the versions of requirements-onnx.txt, then export again")
