"""Training on a cluster ends with the same bytes as on one machine, whatever is killed meanwhile."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("distributed")

from helpers.cluster import Processes, without
from helpers.commands import without_progress
from helpers.processes import wait_until
from helpers.repository import ROOT
from spasm.cluster.connection import connected
from spasm.config.runtime import Hardware
from spasm.core.errors import ClusterError
from spasm.core.tables import read_table
from spasm.models.registry import MODELS as MODELS_BY_NAME
from spasm.training.on_cluster import check_hardware

pytestmark = pytest.mark.command
MODELS = ("lgbm", "stgcn_mil")
EPOCHS = 10


class Run:
    """A command in the background."""

    def __init__(self, script: str, *flags: object) -> None:
        words = [sys.executable, f"src/{script}.py", *map(str, flags)]
        self.process = subprocess.Popen(
            words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )

    def end(self, code: int = 0) -> tuple[str, str]:
        """What it printed, once it has ended."""
        stdout, stderr = self.process.communicate(timeout=300)
        assert self.process.returncode == code, stderr
        return stdout, without_progress(stderr)


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with Processes(tmp_path / "cluster") as processes:
        yield processes


@pytest.fixture(scope="module")
def alone(train_flags: Callable[..., list[str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was trained on one machine."""
    run = tmp_path_factory.mktemp("alone") / "run"
    Run("train_folds", *flags_of(train_flags, run)).end()
    return run


def flags_of(train_flags: Callable[..., list[str]], run: Path, *more: object) -> list[str]:
    flags = train_flags(run, models=MODELS)
    at = flags.index("--stgcn-mil.epochs")
    return [*flags[:at], "--stgcn-mil.epochs", str(EPOCHS), *flags[at + 2 :], *map(str, more)]


def test_kills_of_workers_of_the_scheduler_and_of_the_command_change_no_byte(
    alone, train_flags, processes, tmp_path, contents
):
    run = tmp_path / "run"
    address = processes.scheduler()
    workers = [processes.worker(address) for _ in range(4)]
    flags = flags_of(train_flags, run, "--cluster", address)
    history = run / "stgcn_mil/history.csv"
    first = Run("train_folds", *flags)
    wait_until(lambda: history.exists() or first.process.poll() is not None)
    for worker in workers[:2]:
        worker.kill()
    wait_until(lambda: len(epochs(history)) > 5 or first.process.poll() is not None)
    processes.started[0].kill()  # the scheduler
    first.process.send_signal(signal.SIGINT)
    _, stderr = first.end(130)
    assert stderr.splitlines()[-1] == "interrupted: what was finished is kept"
    assert len(epochs(history)) < 3 * EPOCHS, "the test is void: all was trained"
    assert processes.scheduler(port=int(address.rpartition(":")[2])) == address
    for _ in range(2):
        processes.worker(address)
    stdout, stderr = Run("train_folds", *flags).end()
    assert contents(run) == contents(alone)
    assert stderr.startswith(f"warning: the scheduler at {address} has no TLS")
    begun = [line.split(",")[0] for line in stdout.splitlines() if ", seed 0, 3 folds" in line]
    assert begun == list(MODELS)


def epochs(history: Path) -> list[dict[str, str]]:
    return list(read_table(history, ("seed", "fold", "epoch"))) if history.exists() else []


def test_a_worker_without_a_shared_disk_trains_to_the_same_bytes(alone, train_flags, processes, tmp_path, contents):
    run = tmp_path / "hidden/run"
    run.parent.mkdir()
    flags = flags_of(train_flags, run, "--cluster", processes.folder / "scheduler.json")
    hidden = [Path(flags[flags.index("--cache") + 1]), run.parent]
    if os.geteuid() or subprocess.run([*without(hidden), "true"], capture_output=True).returncode:
        pytest.skip("needs root and namespaces")
    processes.worker(processes.scheduler(), hidden=hidden, threads=2)
    Run("train_folds", *flags).end()
    assert contents(run) == contents(alone)


def test_a_checkpoint_of_this_machine_is_resumed_by_a_worker_and_then_removed(
    alone, train_flags, processes, tmp_path, contents
):
    run = tmp_path / "run"
    local = Run("train_folds", *flags_of(train_flags, run, "--workers", 1))
    wait_until(lambda: len(epochs(run / "stgcn_mil/history.csv")) > 3 or local.process.poll() is not None)
    local.process.send_signal(signal.SIGINT)
    local.end(130)
    [checkpoint] = run.glob("stgcn_mil/seed_0/*_last.safetensors")
    Run("train_folds", *flags_of(train_flags, run, "--cluster", "local:1")).end()
    assert contents(run) == contents(alone)
    assert not checkpoint.exists()


def test_a_search_tries_the_same_settings_as_on_one_machine(simulated, tmp_path):
    found = {}
    for name, where in (("one", ["--workers", "1"]), ("other", ["--cluster", "local:1"])):
        flags = f"--data {simulated} --frames 60 --folds 3 --model lgbm --trials 3 --cache {tmp_path / 'cache'}".split()
        journal, out = tmp_path / f"{name}.journal", tmp_path / f"{name}.json"
        Run("tune", *flags, "--study", "same", "--storage", journal, "--out", out, *where).end()
        found[name] = json.loads(out.read_text()) | {"storage": ""}
    assert found["one"] == found["other"]


def test_a_search_that_loses_its_scheduler_gives_up_no_settings(simulated, processes, tmp_path):
    address = processes.scheduler()
    worker = processes.worker(address, threads=2)
    journal, out = tmp_path / "study.journal", tmp_path / "study.json"
    flags = f"--data {simulated} --frames 60 --folds 3 --model lgbm --trials 6 --cache {tmp_path / 'cache'}".split()
    flags += ["--study", "lost", "--storage", str(journal), "--out", str(out), "--cluster", address]
    first = Run("tune", *flags)
    wait_until(lambda: out.exists() or first.process.poll() is not None)
    worker.kill()
    first.process.send_signal(signal.SIGINT)
    first.end(130)
    processes.worker(address, threads=2)
    stdout, _ = Run("tune", *flags).end()
    trials = json.loads(out.read_text())["trials"]
    assert trials["complete"] + trials.get("pruned", 0) == 6
    assert "study lost: " in stdout


def test_workers_and_a_wrong_cluster_are_refused_before_anything_is_read(train_flags, tmp_path):
    for flags, message in (
        (["--cluster", "local:2", "--workers", "2"], "--workers 2 has no effect with --cluster"),
        (["--cluster", "local:0"], "--cluster 'local:0' is none of local:N"),
        (["--cluster", "8786"], "--cluster '8786' is none of local:N"),
    ):
        _, stderr = Run("train_folds", *train_flags(tmp_path / "run"), *flags).end(2)
        assert stderr.startswith(f"error: {message}")
    assert not (tmp_path / "run").exists()


def test_without_the_flag_nothing_of_dask_is_imported(train_flags, tmp_path):
    code = "import sys, runpy; sys.argv = ['train_folds.py', *sys.argv[1:]]; sys.path.insert(0, 'src')\n"
    code += "try: runpy.run_path('src/train_folds.py', run_name='__main__')\n"
    code += "except SystemExit as stop: assert not stop.code; "
    code += "assert not {'dask', 'distributed'} & set(sys.modules)"
    finished = subprocess.run(
        [sys.executable, "-c", code, *train_flags(tmp_path / "run", models=["lgbm"])], cwd=ROOT, capture_output=True
    )
    assert finished.returncode == 0, finished.stderr


def test_a_worker_without_the_hardware_of_the_command_is_refused():
    import torch

    if torch.cuda.is_available():
        pytest.skip("needs a machine without a GPU")
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    model = MODELS_BY_NAME["stgcn_mil"]
    with connected("local:1") as (cluster, _):
        gpu = cluster.submit(check_hardware, model, Hardware(device="cuda"), keep="network").exception(300)
        half = cluster.submit(check_hardware, model, Hardware("cpu", "bfloat16"), keep="network").exception(300)
        assert cluster.submit(check_hardware, model, Hardware("cpu", "float32"), keep="network").result(300) is None
    assert isinstance(gpu, ClusterError) and "has no GPU, which this training uses (use workers with a GPU" in str(gpu)
    assert native if half is None else "has no bfloat16, which this training uses" in str(half)
