"""The commands of README.md and docs/, run in a copy of the repository."""

import importlib
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from helpers import pose_files
from helpers.repository import ROOT
from spasm.cli import app
from spasm.data import reviews

DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
# What makes a command short. Not fewer folds: models that share a run must share those.
TINY = {
    "src/simulate.py": "--children 12 --segments-per-child 5",
    "src/compare.py": "--seeds 1",
    "src/evaluate_held_out.py": "--outer-folds 2 --folds 3",
    "src/tune.py": "--trials 2",
}
# The same for the models that a command trains.
TINY_MODELS = {
    "lgbm": "--lgbm.num-boost-round 5",
    "rocket": "--rocket.biases-per-kernel 1 --rocket.augmented-copies 0",
    "stgcn_mil": "--stgcn-mil.epochs 1 --stgcn-mil.width 4 --stgcn-mil.blocks 1",
    "stam": "--stam.epochs 1 --stam.width 4",
}
TRAINING = ("src/train_folds.py", "src/compare.py", "src/evaluate_held_out.py")


def commands_of(document: Path) -> list[str]:
    """The lines of the indented blocks of a page, without comments; lines that end in a backslash are joined."""
    text = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    blocks = re.findall(r"(?:^|\n\n)((?: {4}\S.*\n)(?: {4}.*\n)*)", text)
    lines = [line.split(" # ")[0].strip() for block in blocks for line in block.replace("\\\n", "").splitlines()]
    return [line for line in lines if line]


def python_commands(document: Path) -> list[list[str]]:
    """The words of the commands that start a script, without `python`."""
    return [shlex.split(line)[1:] for line in commands_of(document) if line.startswith("python ")]


def shortened(words: list[str], folder: Path) -> list[str]:
    """A command with flags that make it short; later flags win over earlier ones."""
    extra = TINY.get(words[0], "").split() if "--videos" not in words else []  # those are few already
    if words[0] in TRAINING and "--decide-only" not in words:
        settings = {}
        if "--settings" in words:
            settings = json.loads((folder / words[words.index("--settings") + 1]).read_text())
        default = [settings["model"]] if "model" in settings else ["lgbm", "rocket", "stgcn_mil"]
        names = words[words.index("--models") + 1].split(",") if "--models" in words else default
        extra += [word for name in names for word in TINY_MODELS[name].split()]
    return [*words, *extra]


def copy_checkout(folder: Path) -> Path:
    """A copy of what git tracks, with this interpreter's environment as .venv."""
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in tracked.stdout.split("\0"):
        if name and (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


def add_own_data(checkout: Path) -> None:
    """Put a small data set where a reader's own belongs: input/train, input/test and their tables."""
    simulate = "src/simulate.py --out input/own --children 12 --segments-per-child 5"
    subprocess.run([sys.executable, *simulate.split()], cwd=checkout, check=True, capture_output=True)
    for part in ("train", "test", "train_data.csv", "groups.csv"):
        (checkout / "input/own" / part).rename(checkout / "input" / part)
    poses = np.load(checkout / "input/train/child_1_1.npy")[:30, None]
    pose_files.mmpose(checkout / "poses.json", np.nan_to_num(poses, nan=0.5))
    for reviewer, onset_s in (("anna", "10.00"), ("ben", "10.20")):
        row = (
            "child_1_1.npy",
            onset_s,
            "11.00",
            "spasm",
            "accepted",
            "detected",
            "10.00",
            "11.00",
            "0.99",
            reviewer,
            "",
        )
        text = f"{','.join(reviews.COLUMNS)}\n{','.join(row)}\n"
        (checkout / f"review_{reviewer}.csv").write_text(text)


def add_video_and_pose_models(checkout: Path) -> bool:
    """Put video.mp4, and what `make pose-model` builds, into a checkout; gives whether that can be done here."""
    models = ROOT / "input/models"
    if not models.exists():
        return False
    try:
        import cv2
        import mediapipe  # noqa: F401
        from skimage import data
    except ImportError:
        return False
    (checkout / "input/models").symlink_to(models)
    writer = cv2.VideoWriter(str(checkout / "video.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 30, (512, 512))
    for _ in range(30):
        writer.write(data.astronaut()[:, :, ::-1])
    writer.release()
    return True


def run_in(checkout: Path, words: list[str]) -> str:
    """Run a script as typed, in its shortest form, and give what it printed. Fails the test where it fails."""
    words = shortened([word if word != "0" or "--camera" not in words else "video.mp4" for word in words], checkout)
    finished = subprocess.run([sys.executable, *words], cwd=checkout, capture_output=True, text=True)
    assert finished.returncode == 0, f"python {shlex.join(words)}\n{finished.stdout}\n{finished.stderr}"
    return finished.stdout


def parse(words: list[str]) -> object:
    """The settings that a script reads from a command, without running it. Raises SystemExit or SettingsError."""
    source = (ROOT / words[0]).read_text(encoding="utf-8")
    name = re.search(r"app\.run\(main, (\w+), __doc__", source)
    assert name, f"{words[0]} does not say what its flags are"
    module = importlib.import_module(Path(words[0]).stem)
    settings: object = app.parse(getattr(module, name[1]), words[1:])
    return settings
