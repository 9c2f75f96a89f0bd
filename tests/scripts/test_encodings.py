"""Scripts with folders whose names are Latin-1 bytes, and in locales that are not UTF-8."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.commands import CPU, small_flags
from helpers.data import children, write
from helpers.repository import ROOT

# A locale without UTF-8, as on old systems and in bare containers; Python must not switch to UTF-8 by itself.
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
UTF8 = {"LC_ALL": "C.UTF-8"}


def run(script: str, *words: object, env: dict[str, str]) -> str:
    """Run a script to its end; stdout."""
    command = [sys.executable, script, *words]
    finished = subprocess.run(command, cwd=ROOT, env=os.environ | env, capture_output=True)
    assert finished.returncode == 0, finished.stderr.decode(errors="replace")[-2000:]
    assert b"Traceback" not in finished.stderr
    return finished.stdout.decode("utf-8", "replace")


@pytest.fixture(scope="module")
def odd(tmp_path_factory) -> Path:
    """A folder with an odd name, and data in it."""
    folder = Path(os.fsdecode(os.fsencode(tmp_path_factory.mktemp("text")) + b"/donn\xe9es \xe6\x96\x87"))
    write(folder / "data", *children())
    shutil.copytree(folder / "data/train", folder / "test")
    return folder


@pytest.fixture(scope="module")
def trained(odd) -> Path:
    """A run in the odd folder, trained in the locale without UTF-8."""
    flags = ["--data", odd / "data", "--run", odd / "run", "--cache", odd / "cache", "--frames", 32, "--folds", 2]
    run("src/train_folds.py", *map(str, flags), "--no-report", *small_flags("lgbm"), *CPU, env=ASCII)
    return odd / "run"


def test_verify_names_the_folder_as_a_word_for_the_shell(odd):
    shown = run("src/verify.py", "--data", str(odd / "data"), "--frames", "32", env=ASCII)
    assert "0 problems" in shown
    assert r"donn\xe9es" in shown


def test_a_run_trained_without_utf8_predicts_with_it(odd, trained):
    written = odd / "labels.csv"
    run("submission.py", "--test", str(odd / "test"), "--run", str(trained), "--out", str(written), env=UTF8)
    assert written.read_text().count("\n") == 49
    for name in ("run.json", "decision.json", "metrics.json", "lgbm/manifest.json"):
        (trained / name).read_bytes().decode("utf-8", "strict")


def test_a_report_finds_the_data_again_in_another_locale(odd, trained):
    run("src/report.py", "--run", str(trained), "--cache", str(odd / "cache"), env=UTF8)
    assert "donn" in (trained / "report.html").read_bytes().decode("utf-8", "strict")
