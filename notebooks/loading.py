"""What the notebooks load: the training data, or a finished run.

Environment variables replace the defaults: SPASM_DATA names the data, SPASM_RUN the run, SPASM_OUTPUT the folder for
the cache and all that is written; SPASM_FRAMES gives another T than 150. On Kaggle the data are searched in
/kaggle/input, and results are written to /kaggle/working. Neither torch nor LightGBM is loaded here: the two may crash
together.
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

ROOT, KAGGLE = Path(__file__).parents[1], Path("/kaggle")
DEMO_FLAGS = ("--children", "60", "--segments-per-child", "10", "--seed", "7")


def training_data() -> TrainingData:
    """The user's data, see `data_folder`, else the simulated infants of `make demo`, made if they are missing."""
    return _print_summary(load_training(data_folder(), _frames(), "safe", _cache()))


def finished_run() -> tuple[Run, Decision, Metrics]:
    """A run with its decision and metrics: output/main, else output/demo; without either, LightGBM is trained."""
    path = _run_folder()
    run_info = read_run_info(path)
    folder = ROOT / os.environ.get("SPASM_DATA", run_info.data.path)
    landmarks = run_info.data.landmarks
    data = load_training(folder, run_info.frames, "safe", _cache(), landmarks=landmarks)
    run = reopen_run(path, _print_summary(data))
    decision = read_decision(path)
    return run, decision, read_metrics(path, decision)


def truth(data: TrainingData) -> list[dict[str, str]]:
    """The simulator's truth about each segment, its row of truth.csv; an empty row for a real one."""
    path = data.folder / "truth.csv"
    known = {row["segment_name"]: row for row in read_table(path, ("segment_name",))} if path.exists() else {}
    return [known.get(name, {}) for name in data.names]


def title(data: TrainingData, text: str) -> str:
    """The title of a figure, marked where the data is simulated."""
    return f"SIMULATED DATA: {text}" if data.simulated else text


def train_lgbm(data: Path, run: Path) -> None:
    """Train LightGBM into a run folder; a finished run is left as it is. Raises RuntimeError with what went wrong."""
    flags = ["--models", "lgbm", "--data", _relative(data), "--run", _relative(run), "--cache", str(_cache())]
    frames = _frames()
    _run("src/train_folds.py", *flags, *(["--frames", str(frames)] if frames else []), "--no-report")


# ---- where things are


def data_folder() -> Path:
    """SPASM_DATA, else the first folder in /kaggle/input with a train_data.csv, else input/, else input/demo."""
    if "SPASM_DATA" in os.environ:
        return ROOT / os.environ["SPASM_DATA"]
    on_kaggle = sorted(path.parent for path in (KAGGLE / "input").glob("**/train_data.csv"))
    demo = _demo_folder()
    for folder in (*on_kaggle, ROOT / "input", demo):
        if (folder / "train_data.csv").exists():
            return folder
    print(f"SIMULATED DATA are made in {_relative(demo)}, as `make demo` makes them.")
    _run("src/simulate.py", "--out", _relative(demo), *DEMO_FLAGS)
    return demo


def output_folder() -> Path:
    """Where the cache and everything else is written: SPASM_OUTPUT, else /kaggle/working, else output/."""
    if "SPASM_OUTPUT" in os.environ:
        return ROOT / os.environ["SPASM_OUTPUT"]
    return KAGGLE / "working" if (KAGGLE / "working").is_dir() else ROOT / "output"


def _demo_folder() -> Path:
    return KAGGLE / "working/demo" if (KAGGLE / "working").is_dir() else ROOT / "input/demo"


def _run_folder() -> Path:
    if "SPASM_RUN" in os.environ:
        return ROOT / os.environ["SPASM_RUN"]
    main, demo = output_folder() / "main", output_folder() / "demo"
    for path in (main, demo):
        if (path / "decision.json").exists():
            return path
    data = data_folder()
    note = "there is no run yet, so LightGBM alone is trained; `make demo` trains three models and blends them"
    print(f"SIMULATED DATA: {note}" if data == _demo_folder() else note)
    run = demo if data == _demo_folder() else main
    train_lgbm(data, run)
    return run


def _cache() -> Path:
    return output_folder() / "cache"


def _frames() -> int | None:
    return int(os.environ["SPASM_FRAMES"]) if "SPASM_FRAMES" in os.environ else None


def _relative(path: Path) -> str:
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


def _print_summary(data: TrainingData) -> TrainingData:
    lines = console.data_summary(data).splitlines()
    print("\n".join(sorted(lines, key=lambda line: line != console.SIMULATED)))
    return data


def _run(script: str, *flags: str) -> None:
    finished = subprocess.run([sys.executable, script, *flags], cwd=ROOT, capture_output=True, text=True)
    if finished.returncode:
        raise RuntimeError(f"{script} failed:\n{finished.stderr}")
