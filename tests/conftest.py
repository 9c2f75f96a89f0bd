"""What is made once for all tests: a small simulated data set and a run trained on it, each by the real command."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.browser import CHROMIUM, FLAGS
from helpers.commands import CPU, here, small_flags
from helpers.markers import pytest_collection_modifyitems, pytest_runtest_protocol  # noqa: F401
from helpers.repository import ROOT
from helpers.site import Site, build, served
from spasm.ensemble import blending
from spasm.training.folds import train_fold

if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):  # begun in the background of a script, which Ctrl-C must not reach
    signal.signal(signal.SIGINT, signal.default_int_handler)
for name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS"):  # of the `make test` that runs this; a test's make is not part of it
    os.environ.pop(name, None)
if "PYTEST_XDIST_WORKER" in os.environ:  # tests run side by side, so that a command by itself takes one core
    for name in ("LOKY_MAX_CPU_COUNT", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium, one for all tests of a process: a second `sync_playwright` beside it is refused by Playwright."""
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder: 40 segments of 8 children in train/, 10 of 2 children in test/, T = 60."""
    data = tmp_path_factory.mktemp("simulated") / "data"
    flags = f"--out {data} --frames 60 --children 10 --segments-per-child 5 --seed 1".split()
    subprocess.run([sys.executable, "src/simulate.py", *flags], cwd=ROOT, check=True, capture_output=True)
    return data


@pytest.fixture(scope="session")
def train_flags(simulated: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[str]]:
    """The flags of train_folds.py for a small training into a run folder, of the network alone or of `models`."""
    cache = tmp_path_factory.mktemp("cache")

    def flags(run: Path, *more: str, models: Sequence[str] = ("stgcn_mil",)) -> list[str]:
        shared = ["--data", str(simulated), "--frames", "60", "--folds", "3", "--cache", str(cache), "--no-report"]
        return [*shared, *CPU, *small_flags(*models), "--run", str(run), *more]

    return flags


@pytest.fixture(scope="session")
def trained(train_flags: Callable[..., list[str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the network, trained without interruption by one worker; tests must not change it."""
    run = tmp_path_factory.mktemp("trained") / "run"
    (run.parent / "stdout").write_text(train(train_flags(run, "--workers", "1")))
    return run


@pytest.fixture(scope="session")
def blended(trained: Path, train_flags: Callable[..., list[str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run with LightGBM and random convolutions beside the network, all of the same weight."""
    run = Path(shutil.copytree(trained, tmp_path_factory.mktemp("blended") / "run"))
    train(train_flags(run, "--workers", "1", models=("lgbm", "rocket", "stgcn_mil")))
    with pytest.MonkeyPatch.context() as patch:  # on so few segments, stacking would leave one or the other out
        patch.setattr(blending, "fit_weights", lambda scores, *_: np.full(len(scores), 1 / len(scores)))
        here("train_folds", *train_flags(run, "--decide-only"))
    return run


@pytest.fixture(scope="session")
def site(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The page of the trained run, served on this machine; tests must not change its folder."""
    with served(build(trained, tmp_path_factory.mktemp("site") / "web")) as site:
        yield site


def train(flags: list[str]) -> str:
    """Run train_folds.py; what it printed."""
    finished = subprocess.run([sys.executable, "src/train_folds.py", *flags], cwd=ROOT, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Folds are trained here, one after the other: faster, and what a test patches is in force."""

    def train_folds(run, folder, model, config, hardware, seed, folds, workers, watch, with_tensorboard, begun):
        for fold in folds:
            train_fold(run, folder, model, config, hardware, seed, fold, with_tensorboard)

    monkeypatch.setattr("spasm.cli.train.train_folds", train_folds)


@pytest.fixture
def copied(trained: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, to be changed."""
    return Path(shutil.copytree(trained, tmp_path / "copied"))


@pytest.fixture(scope="session")
def contents() -> Callable[[Path], dict[str, bytes]]:
    """Gives the bytes of every file of a run folder, but for its empty locks and the command line in the manifest."""

    def read(folder: Path) -> dict[str, bytes]:
        files = {}
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.name.endswith(".lock"):
                files[os.fspath(path.relative_to(folder))] = path.read_bytes()
        for name in [name for name in files if name.endswith("manifest.json")]:
            files[name] = json.dumps(json.loads(files[name]) | {"command": []}).encode()
        return files

    return read
