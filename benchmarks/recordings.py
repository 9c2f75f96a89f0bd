"""How many times faster than real time each stage from a video to events is on this machine.

The recording moves at random, a third of it lost; the video is a photograph, panned. Poses need scikit-image, MediaPipe
and the models that `make pose-model` builds, and are left out without them. The network is compared with the naive
way, in turn: one window after another through one fold after another, features landmark by landmark, the network in
float32 as first written down.

Example: python benchmarks/recordings.py --run output/main
"""

import dataclasses
import functools
import importlib.util
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from joblib import cpu_count

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from benchmarks import measuring
from spasm.cli import app
from spasm.config.features import Features
from spasm.config.fields import from_tree, settings, within
from spasm.config.runtime import ABSTAIN, Hardware
from spasm.core import processes
from spasm.core.windows import window_starts
from spasm.data import recordings
from spasm.data.pose import FPS, visible_mask
from spasm.ensemble.calibration import probability
from spasm.features import kinematics
from spasm.inference import sliding_window
from spasm.inference.ensemble_predictor import EnsemblePredictor
from spasm.models.stgcn_mil import StgcnMilConfig, StgcnMilModel
from spasm.runs.artefacts import Decision, read_decision
from spasm.runs.folder import ModelFolder
from spasm.video import landmarker, sandbox


@settings
class BenchmarkTimeline:
    """Flags of benchmarks/recordings.py."""

    run: Path = Path("output/main")
    """Trained run."""
    models: Path = Path("input/models")
    """Folder of the pose models."""
    stride_s: Annotated[float, within(0.1, 60)] = 1.0
    """Seconds between windows."""
    minutes: Annotated[float, within(0.2, 60)] = 5.0
    """Length of the recording that is predicted."""
    hardware: Hardware = Hardware()
    repeats: Annotated[int, within(1, 1000)] = 3
    """Times each is measured; the median counts."""
    out: Path | None = None
    """JSON file for the results."""


# torch is imported where it is used: LightGBM must not be loaded beside it.

MODELS = ("lite", "full", "heavy")
VIDEO_FRAMES = 120
PIXELS = (640, 480)
NETWORK = "stgcn_mil"  # which has a reference
NAIVE_WINDOWS = 20
ROWS: list[measuring.Row] = []  # what was printed


def main(settings: BenchmarkTimeline) -> int:
    decision = read_decision(settings.run)
    print(f"{cpu_count()} cores, windows of {decision.frames} frames every {settings.stride_s:g} s")
    print(f"{'':34}{'times real time':>16}{'ms':>9}")
    for name in MODELS:
        model = settings.models / f"pose_landmarker_{name}.task"
        if model.is_file() and all(map(importlib.util.find_spec, ("mediapipe", "cv2", "skimage"))):
            row(f"poses, model {name}", 1 / FPS, apart(pose_seconds, model), "a frame of one person")
    with tempfile.TemporaryDirectory() as folder:
        recording = Path(folder) / "child_1_1.npy"
        np.save(recording, moving(round(settings.minutes * 60 * FPS)))
        for name, seconds_of in (("features of the networks", feature_seconds), ("statistics", statistic_seconds)):
            row(name, settings.stride_s, apart(seconds_of, settings, decision.frames, recording), "a window")
        for name in decision.models:
            seconds = predict_seconds(settings, alone_of(decision, name), recording)
            row(f"{name}, {decision.folds} folds", settings.stride_s, seconds, "a window")
        if len(decision.models) > 1:
            row("the blend of all", settings.stride_s, predict_seconds(settings, decision, recording), "a window")
        if NETWORK in decision.models:
            alone = alone_of(decision, NETWORK)
            ours_s, naive_s = [], []
            for _ in range(settings.repeats):
                ours_s.append(predict_seconds(dataclasses.replace(settings, repeats=1), alone, recording))
                seconds, difference = apart(naive_seconds, settings, decision, recording)
                naive_s.append(seconds)
            ratio = statistics.median(naive_s) / statistics.median(ours_s)
            row(f"{NETWORK}, the naive way", settings.stride_s, statistics.median(naive_s), "a window")
            rates = [settings.stride_s / statistics.median(seconds) for seconds in (ours_s, naive_s)]
            ROWS.append(measuring.Row(f"{NETWORK} against the naive way", rates[0], "times real time", rates[1]))
            print(f"{NETWORK}: {ratio:.1f} times as fast as the naive way, in turn; largest difference of")
            print(f"a probability {difference:.1g} with --precision {settings.hardware.precision}")
    if settings.out:
        measuring.write(settings.out, f"windows of {decision.frames} frames every {settings.stride_s:g} s", ROWS)
    return 0


def alone_of(decision: Decision, name: str) -> Decision:
    """A decision by one of its models."""
    only = decision.models[name].model_copy(update={"weight": 1.0})
    return decision.model_copy(update={"models": {name: only}})


def row(name: str, every_s: float, seconds: float, of: str) -> None:
    """Print how much faster than real time something is that is needed every so often."""
    ROWS.append(measuring.Row(name, every_s / seconds, "times real time"))
    print(f"{name:34}{every_s / seconds:16.1f}{1000 * seconds:9.2f} {of}", flush=True)


def apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call it in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def moving(frames: int) -> np.ndarray:
    """Poses (F, 33, 5) float32 that move at random around a place, with gaps."""
    generator = np.random.default_rng(0)
    poses = 0.5 + generator.normal(0, 0.01, (frames, 33, 5)).cumsum(axis=0)
    poses = (poses % 1).astype(np.float32)
    poses[np.arange(frames) // 60 % 3 == 0] = np.nan
    return poses


def timed(work: Callable[[], object], repeats: int) -> float:
    """Seconds, the median of several times after one that warms up."""
    times = []
    for _ in range(repeats + 1):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return statistics.median(times[1:])


def batches(settings: BenchmarkTimeline, frames: int, recording: Path) -> list[np.ndarray]:
    return [poses for _, poses in recordings.windows(recording, frames, round(settings.stride_s * FPS))]


# ---- each in a process of its own


def pose_seconds(model: Path) -> float:
    """Of a frame."""
    sandbox.enter_sandbox(os.getppid())
    import cv2
    from skimage import data

    photograph, video = data.astronaut(), []
    for frame in range(VIDEO_FRAMES):
        view = np.array([[0.9, 0, 60 + 20 * np.sin(frame / 10)], [0, 0.9, 10]])
        video.append(cv2.warpAffine(photograph, view, PIXELS))
    with landmarker.PoseLandmarker(model, 1) as find:
        times = []
        for number, picture in enumerate(video):
            begin = time.perf_counter()
            find(picture, round(number / FPS * 1000))
            times.append(time.perf_counter() - begin)
    return statistics.mean(times[10:])


def feature_seconds(settings: BenchmarkTimeline, frames: int, recording: Path) -> float:
    """Of a window."""
    processes.set_threads(cpu_count())
    import torch

    from spasm.features.channels import build_features

    parts = [torch.from_numpy(part) for part in batches(settings, frames, recording)]
    work = lambda: [build_features(part, Features()) for part in parts]  # noqa: E731
    return timed(work, settings.repeats) / sum(map(len, parts))


def statistic_seconds(settings: BenchmarkTimeline, frames: int, recording: Path) -> float:
    """Of a window."""
    parts = batches(settings, frames, recording)
    return timed(lambda: list(map(kinematics.compute_features, parts)), settings.repeats) / sum(map(len, parts))


def predict_seconds(settings: BenchmarkTimeline, decision: Decision, recording: Path) -> float:
    """Of a window, from the file to its probability."""
    whole, stride = recordings.frames_of(recording), round(settings.stride_s * FPS)
    with EnsemblePredictor(settings.run, decision, settings.hardware, cpu_count()) as predictor:
        work = functools.partial(
            sliding_window.predict_recording, recording, whole, stride, predictor, ABSTAIN, lambda done: None
        )
        return timed(work, settings.repeats) / len(window_starts(whole, decision.frames, stride))


def naive_seconds(settings: BenchmarkTimeline, decision: Decision, recording: Path) -> tuple[float, float]:
    """Of a window, the naive way, and how far its probability is from ours at most."""
    import torch

    from benchmarks.stgcn import PlainStgcnMil, plain_features
    from spasm.core import checkpoints

    config = from_tree(StgcnMilConfig, decision.models[NETWORK].settings)
    folder, seeds = ModelFolder(settings.run / NETWORK), decision.models[NETWORK].seeds
    paths = [folder.weights(seed, fold) for fold in range(decision.folds) for seed in seeds]
    networks, offsets = [], []
    for weights in map(checkpoints.read_tensors, paths):
        offsets.append(float(weights.pop("offset")))
        networks.append(PlainStgcnMil(config).eval())
        networks[-1].load_state_dict(weights)
    windows = np.concatenate(batches(settings, decision.frames, recording))
    windows = windows[visible_mask(windows).any((1, 2))][:NAIVE_WINDOWS]

    def naive() -> np.ndarray:
        logits = []
        with torch.inference_mode():
            for window in windows:
                built = [torch.from_numpy(plain_features(window, config.features.frame))[None] for _ in networks]
                logits.append([float(network(one).logit) for network, one in zip(networks, built, strict=True)])
        return np.array(logits).T + np.array(offsets)[:, None]

    predictor = StgcnMilModel().load(paths, config, settings.hardware)
    ours = predictor.predict(windows, np.arange(len(windows))).logits
    difference = np.abs(probability(ours).mean(0) - probability(naive()).mean(0)).max()
    return timed(naive, 1) / len(windows), float(difference)


if __name__ == "__main__":
    sys.exit(app.run(main, BenchmarkTimeline, __doc__))
