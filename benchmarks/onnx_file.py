"""Milliseconds for a segment by a run's ONNX file, against the same network in torch, measured in the same run.

Each predicts the same simulated segments with one thread, from cleaned poses to probabilities of all folds; they take
turns, and medians count. The sizes of the file are printed too, as it is and compressed as a web server would.

Example: python benchmarks/onnx_file.py --run output/main
"""

import gzip
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from spasm.cli import app, progress
from spasm.config.fields import Shown, settings, within
from spasm.config.runtime import Hardware
from spasm.core.errors import DataError
from spasm.core.processes import set_threads
from spasm.core.text import shell_words
from spasm.export import onnx_file
from spasm.inference.ensemble_predictor import open_folds
from spasm.models.networks.predictor import pick_precision
from spasm.runs.artefacts import read_decision
from spasm.runs.chosen_models import choose

CPU = torch.device("cpu")


@settings
class Benchmark:
    """Flags of benchmarks/onnx_file.py."""

    run: Path = Path("output/main")
    """Trained run, with stgcn_mil among its models."""
    file: Annotated[Path | None, Shown(default="RUN/network.onnx")] = None
    """Its ONNX file, written by export_onnx.py."""
    segments: Annotated[int, within(1, 1000)] = 16
    """Segments that are predicted together."""
    repeats: Annotated[int, within(1, 1000)] = 7
    """Times each is measured, in turn; the median counts."""


def main(settings: Benchmark) -> int:
    onnx_file.check_packages()
    decision, path = read_decision(settings.run), settings.file or settings.run / "network.onnx"
    if not path.exists():
        raise DataError(path, "is not there", f"write it: python src/export_onnx.py --run {shell_words(settings.run)}")
    network = choose(settings.run, decision, [onnx_file.NETWORK]).models[onnx_file.NETWORK]
    set_threads(threads=1)
    poses = onnx_file.checked_poses(decision.frames)[:-1]  # each with a pose
    poses = np.concatenate([poses] * (settings.segments // len(poses) + 1))[: settings.segments]
    rows = np.arange(len(poses))

    def in_torch(precision: str) -> Callable[[], object]:
        hardware = Hardware(device="cpu", precision=precision)
        folds = range(decision.folds)
        opened = open_folds(settings.run, onnx_file.NETWORK, network, decision.data.landmarks, folds, hardware)
        return lambda: opened.predict(poses, rows)

    begun_s = time.perf_counter()
    session = onnx_file.open_onnx(path)
    opened_s = time.perf_counter() - begun_s
    ways = {
        "torch, float32": in_torch("float32"),
        "torch, bfloat16": in_torch("bfloat16"),
        "onnxruntime, float32": lambda: session.run(None, {"poses": poses}),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in progress.progress("measuring", range(settings.repeats + 1), settings.repeats + 1):
        for name, work in ways.items():
            begun_s = time.perf_counter()
            work()
            if repeat > 0:  # the first time warms up
                taken[name].append(time.perf_counter() - begun_s)
    seconds = {name: statistics.median(values) for name, values in taken.items()}
    native = "hardware" if pick_precision("auto", CPU) is torch.bfloat16 else "emulated"
    print(f"{len(poses)} segments of {decision.frames} frames, {decision.folds} folds, one thread, bfloat16: {native}")
    print(
        f"{'':22}{'ms a segment':>14}{'ratio':>8}   median of {settings.repeats}; ratio: torch, float32 divided by it"
    )
    for name, value in seconds.items():
        print(f"{name:22}{1000 * value / len(poses):14.1f}{seconds['torch, float32'] / value:8.2f}")
    content = path.read_bytes()
    print(
        f"file: {len(content):,} bytes, {len(gzip.compress(content, 9, mtime=0)):,} as gzip; opened in {opened_s:.2f} s"
    )
    about = json.loads(session.get_modelmeta().custom_metadata_map["spasm"])
    print(f"run of the file: {about['run']}, {'SIMULATED' if about['simulated'] else 'real'} training data")
    return 0


if __name__ == "__main__":
    sys.exit(app.run(main, Benchmark, __doc__))
