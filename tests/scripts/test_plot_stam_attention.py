"""plot_stam_attention.py on a trained STAM: what it prints, what it plots, and what it refuses."""

import subprocess
import sys

import pytest

from helpers.repository import ROOT


def run(script: str, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, f"src/{script}", *flags], cwd=ROOT, capture_output=True, text=True)


@pytest.fixture(scope="module")
def stam(simulated, tmp_path_factory) -> list[str]:
    """Flags that name a run with a STAM of one epoch."""
    folder = tmp_path_factory.mktemp("stam")
    flags = ["--run", str(folder / "run"), "--cache", str(folder / "cache")]
    tiny = ["--models", "stam", "--stam.width", "4", "--stam.epochs", "1", "--folds", "3", "--frames", "60"]
    finished = run("train_folds.py", *flags, "--data", str(simulated), *tiny, "--no-report")
    assert finished.returncode == 0, finished.stderr
    return flags


def test_it_plots_a_segment_and_prints_where_the_weight_lies(stam, tmp_path):
    finished = run("plot_stam_attention.py", *stam, "--out", str(tmp_path / "picture.png"))
    assert finished.returncode == 0, finished.stderr
    assert "SIMULATED" in finished.stdout
    assert "most weight on " in finished.stdout and " s (" in finished.stdout
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_a_segment_that_is_not_in_the_run_is_refused(stam, tmp_path):
    finished = run(
        "plot_stam_attention.py", *stam, "--segment", "child_999_1.npy", "--out", str(tmp_path / "picture.png")
    )
    assert finished.returncode == 1
    assert "child_999_1.npy: is not a segment of this run" in finished.stderr


def test_a_run_without_stam_says_how_to_train_one(trained, tmp_path):
    finished = run(
        "plot_stam_attention.py", "--run", str(trained), "--cache", str(tmp_path), "--out", str(tmp_path / "p.png")
    )
    assert finished.returncode == 1
    assert "--models stam" in finished.stderr
    assert not (tmp_path / "p.png").exists()
