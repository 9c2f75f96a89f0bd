"""What the notebooks load: the training data, or a finished run.

The environment variables SPASM_DATA and SPASM_RUN name other folders than the default, SPASM_CACHE the one for checked
poses, SPASM_FRAMES another T than 150. Neither torch nor LightGBM is loaded here: the two may crash together.
"""

import os
import subprocess
import sys
import warnings
from pathlib import Path

warnings.filterwarnings("ignore", "IProgress not found")  # from Optuna, whose progress bar is not shown here

from spasm.core.tables import read_table
from spasm.data.dataset import TrainingData, load_training
from spasm.report import console
from spasm.runs.artefacts import Decision, Metrics, read_decision, read_metrics, read_run_info
from spasm.runs.folder import Run, reopen_run

ROOT = Path(__file__).parents[1]
DEMO_FLAGS = ("--out", "input/demo", "--children", "60", "--segments-per-child", "10", "--seed", "7")


def training_data() -> TrainingData:
    """The user's data in input/ where there is any, else the simulated infants of `make demo`, made if need be."""
    frames = os.environ.get("SPASM_FRAMES")
    return _print_summary(load_training(_data_folder(), int(frames) if frames else None, "safe", _cache()))


def finished_run() -> tuple[Run, Decision, Metrics]:
    """A run with its decision and metrics: output/main, else output/demo; without either, LightGBM is trained."""
    path = _run_folder()
    run_info = read_run_info(path)
    folder = ROOT / os.environ.get("SPASM_DATA", run_info.data.path)
    run = reopen_run(path, _print_summary(load_training(folder, run_info.frames, "safe", _cache())))
    decision = read_decision(path)
    return run, decision, read_metrics(path, decision)


def truth(data: TrainingData) -> list[dict[str, str]]:
    """What the simulator knows about each segment, the row of truth.csv; nothing about real ones."""
    path = data.folder / "truth.csv"
    known = {row["segment_name"]: row for row in read_table(path, ("segment_name",))} if path.exists() else {}
    return [known.get(name, {}) for name in data.names]


def title(data: TrainingData, text: str) -> str:
    """The title of a figure, which says so where the data is simulated."""
    return f"SIMULATED DATA: {text}" if data.simulated else text


def _print_summary(data: TrainingData) -> TrainingData:
    lines = console.data_summary(data).splitlines()
    print("\n".join(sorted(lines, key=lambda line: line != console.SIMULATED)))
    return data


def _data_folder() -> Path:
    if "SPASM_DATA" in os.environ:
        return ROOT / os.environ["SPASM_DATA"]
    own, demo = ROOT / "input", ROOT / "input/demo"
    if (own / "train_data.csv").exists():
        return own
    if not (demo / "train_data.csv").exists():
        print("SIMULATED DATA are made in input/demo, as `make demo` makes them.")
        _run("src/simulate.py", *DEMO_FLAGS)
    return demo


def _run_folder() -> Path:
    if "SPASM_RUN" in os.environ:
        return ROOT / os.environ["SPASM_RUN"]
    for path in (ROOT / "output/main", ROOT / "output/demo"):
        if (path / "decision.json").exists():
            return path
    data = _data_folder()
    demo = data == ROOT / "input/demo"
    run = "output/demo" if demo else "output/main"
    note = "no run is there, so LightGBM alone is trained; `make demo` trains three models and blends them"
    print(f"SIMULATED DATA: {note}" if demo else note)
    folder = data.relative_to(ROOT) if data.is_relative_to(ROOT) else data
    frames = ("--frames", os.environ["SPASM_FRAMES"]) if "SPASM_FRAMES" in os.environ else ()
    flags = ("--data", str(folder), "--run", run, "--cache", str(_cache()), "--models", "lgbm", *frames)
    _run("src/train_folds.py", *flags)
    return ROOT / run


def _cache() -> Path:
    return ROOT / os.environ.get("SPASM_CACHE", "output/cache")


def _run(script: str, *flags: str) -> None:
    finished = subprocess.run([sys.executable, script, *flags], cwd=ROOT, capture_output=True, text=True)
    if finished.returncode:
        raise RuntimeError(finished.stderr)
