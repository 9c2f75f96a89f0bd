"""What the README tells a stranger to type works as it stands there."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest

from helpers.repository import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^(?: {4}.*\n)+", re.sub(r"```.*?```", "", README, flags=re.DOTALL), re.MULTILINE)
COMMANDS = [line.split("#")[0].strip() for block in BLOCKS for line in block.replace("\\\n", "").splitlines()]
# What makes a command short. Not fewer folds: models that share a run must share those.
TINY_MODELS = (
    "--lgbm.num-boost-round 5 --rocket.biases-per-kernel 1 --rocket.augmented-copies 0 "
    "--stgcn-mil.epochs 1 --stgcn-mil.width 4 --stgcn-mil.blocks 1"
)
TINY = {
    "src/train_folds.py": TINY_MODELS,
    "src/train_folds.py --models stam": "--stam.epochs 1 --stam.width 4",
    "src/train_folds.py --decide-only": "--blend.trials 5",
    "src/compare.py": "--seeds 1 --models lgbm,rocket",
    "src/evaluate_held_out.py": "--outer-folds 2 --models lgbm",
    "src/tune.py": "--trials 2",
}


def tiny(command):
    """The flags that make a command short: those of the longest beginning that is known."""
    known = [words for words in TINY if f"{command} ".startswith(f"python {words} ")]
    return TINY[max(known, key=len)].split() if known else []


def test_the_readme_names_the_commands_that_are_run_here():
    python = [command for command in COMMANDS if command.startswith("python ")]
    assert len(python) >= 7
    others = {command.split()[0] for command in COMMANDS if not command.startswith("python ")}
    # Docker needs an engine; test_container.py runs its entry command without one.
    assert others == {"make", ".", "docker"}
    assert [command for command in COMMANDS if command.startswith("make")] == [
        "make demo",
        "make test",
        "make pose-model",
    ]


@pytest.fixture
def checkout(tmp_path):
    """A copy of what git tracks, with this interpreter's environment as .venv."""
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in tracked.stdout.split("\0"):
        if name and (ROOT / name).exists():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tmp_path / name)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    return tmp_path


def film_and_model(checkout):
    """Put film.mp4 and what `make pose-model` builds into a checkout; gives whether that can be done here."""
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
    writer = cv2.VideoWriter(str(checkout / "film.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 30, (512, 512))
    for _ in range(30):
        writer.write(data.astronaut()[:, :, ::-1])
    writer.release()
    return True


@pytest.mark.command
def test_the_commands_for_own_data_work_one_after_the_other(checkout):
    simulate = "src/simulate.py --out input/own --children 12 --segments-per-child 5"
    subprocess.run([sys.executable, *simulate.split()], cwd=checkout, check=True, capture_output=True)
    for part in ("train", "test", "train_data.csv", "groups.csv"):
        (checkout / "input/own" / part).rename(checkout / "input" / part)
    (checkout / "my.json").write_text(json.dumps({"stgcn_mil": {"epochs": 1, "width": 4}}))
    with_videos = film_and_model(checkout)
    for command in COMMANDS:
        command = command.replace("--camera 0", "--camera film.mp4")
        if not command.startswith("python ") or ("film.mp4" in command and not with_videos):
            continue
        words = shlex.split(command)[1:]
        words += tiny(command)
        if "--settings" in words:  # other settings than those of output/main, so another run
            words += ["--run", "output/my"]
        finished = subprocess.run([sys.executable, *words], cwd=checkout, capture_output=True, text=True)
        assert finished.returncode == 0, f"{command}\n{finished.stdout}\n{finished.stderr}"
    assert (checkout / "output/submission.csv").read_text().startswith("segment_name,label\n")
    assert len((checkout / "output/submission.csv").read_text().splitlines()) == 16


@pytest.mark.command
def test_make_demo_goes_from_nothing_to_metrics_and_a_csv_and_touches_nothing_else(checkout):
    before = {path for path in checkout.rglob("*") if ".venv" not in path.parts}
    demo = ["make", "demo", "DEMO_CHILDREN=12", "DEMO_SEGMENTS=5",
            f"DEMO_FLAGS=--folds 3 {TINY_MODELS}"]  # fmt: skip
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    finished = subprocess.run(demo, cwd=checkout, capture_output=True, text=True, env=environment)
    assert finished.returncode == 0, finished.stderr
    for words in ("SIMULATED", "95 % interval over children", "AUC", "output/demo/submission.csv", "next:"):
        assert words in finished.stdout
    made = {path.relative_to(checkout) for path in checkout.rglob("*") if ".venv" not in path.parts} - {
        path.relative_to(checkout) for path in before
    }
    assert all(path.is_relative_to("input/demo") or path.is_relative_to("output/demo") for path in made)
    assert len((checkout / "output/demo/submission.csv").read_text().splitlines()) == 16


def test_the_readme_does_not_promise_files_that_are_not_there():
    table = [line.split("|")[1] for line in README.splitlines() if line.startswith("| `")]
    for name in re.findall(r"`([\w./]+)`", " ".join(table)):
        assert any((ROOT / folder / name).exists() for folder in ("", "src", "src/spasm")), name
    for name in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / name).exists(), name
