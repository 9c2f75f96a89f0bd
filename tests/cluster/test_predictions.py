"""Predictions and extracted videos by --cluster: the same bytes as without, also from machines that see no file."""

import csv
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from helpers.cluster import (
    Processes,
    certificates,
    listening,
    network,
    tls_environment,
    tls_flags,
)
from helpers.commands import CPU, Command, code_of, here, without_progress
from helpers.processes import is_gone, wait_until
from helpers.repository import ROOT, SOURCE
from helpers.tables import table
from helpers.video import MODEL, cv2, make_video

__all__ = ["cv2", "make_video"]  # the fixtures

pytest.importorskip("distributed", exc_type=ImportError)
pytestmark = pytest.mark.command

COPIES = 300  # segments: three tasks, the last of them smaller
SLOW = "50mbit"


@pytest.fixture(scope="module")
def shared(blended, simulated, train_flags, tmp_path_factory):
    """The command's disk: runs of all models and of LightGBM alone, segments and recordings of other children."""
    folder = tmp_path_factory.mktemp("shared")
    shutil.copytree(blended, folder / "run")
    here("train_folds", *train_flags(folder / "lgbm", "--workers", "1", models=["lgbm"]))
    rows = table(simulated / "train_data.csv")
    rng = np.random.default_rng(3)
    (folder / "data/train").mkdir(parents=True)
    labels, poses = [], []
    for copy in range(COPIES):
        row = rows[copy % len(rows)]
        pose = np.load(simulated / "train" / row["segment_name"])
        pose += rng.normal(0, 1e-3, pose.shape).astype(pose.dtype)
        name = f"child_{500 + copy // 20}_{copy % 20}.npy"
        np.save(folder / "data/train" / name, pose)
        labels.append((name, row["label"]))
        poses.append(pose)
    with open(folder / "data/train_data.csv", "w", newline="") as file:
        csv.writer(file).writerows([("segment_name", "label"), *labels])
    (folder / "recordings").mkdir()
    long = np.concatenate(poses)
    for number, frames in enumerate((40, len(long) // 2, 1210)):  # 40: shorter than a window
        np.save(folder / f"recordings/child_{500 + number}_1.npy", long[:frames])
    return folder


@pytest.fixture(scope="module")
def other_machines(shared, tmp_path_factory):
    """A scheduler's address, and the network to its two workers, which have neither this disk nor this code."""
    with network() as switch, Processes(tmp_path_factory.mktemp("dask")) as dask:
        address = dask.scheduler(switch.here)
        for _ in range(2):
            dask.worker(address, switch.machine(SLOW), [shared, SOURCE])
        yield address, switch


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """The address of a scheduler with two workers on this machine, which see its disk."""
    with Processes(tmp_path_factory.mktemp("local")) as dask:
        address = dask.scheduler()
        for _ in range(2):
            dask.worker(address)
        yield address


def run(script: str, *words: object, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, script, *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ | environment)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder by its path; locks are empty."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != ".lock")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def submission(
    shared: Path, out: Path, *words: object, model: str = "run", **environment: str
) -> "subprocess.CompletedProcess[str]":
    flags = ["--test", shared / "data/train", "--run", shared / model, "--out", out / "s.csv", *CPU]
    return run("submission.py", *flags, *words, **environment)


@pytest.fixture(scope="module")
def submitted(shared, tmp_path_factory):
    """The files of submissions of both runs without a cluster."""
    found = {}
    for name in ("run", "lgbm"):
        out = tmp_path_factory.mktemp("submitted")
        flags = ["--test", shared / "data/train", "--run", shared / name, "--out", out / "s.csv"]
        here("submission", *flags, *CPU)
        found[name] = contents(out)
    return found


def test_segments_are_predicted_the_same_on_machines_without_their_files_over_a_slow_link(
    shared, submitted, other_machines, tmp_path
):
    address, switch = other_machines
    before = switch.received()
    finished = submission(shared, tmp_path, "--cluster", address)
    assert finished.returncode == 0, finished.stderr
    assert contents(tmp_path) == submitted["run"]
    assert f"{address} has no TLS" in finished.stderr
    assert finished.stdout.startswith("dashboard: http://")
    poses = sum(path.stat().st_size for path in (shared / "data/train").iterdir())
    assert 0.5 * poses < switch.received() - before < 1.5 * poses + 10e6, "each segment travels once"


def test_recordings_in_parts_give_the_same_files_on_machines_without_them(shared, other_machines, tmp_path):
    address, _ = other_machines
    flags = [*sorted((shared / "recordings").iterdir()), "--run", shared / "run", *CPU]
    here("timeline", *flags, "--out", tmp_path / "alone")
    finished = run("src/timeline.py", *flags, "--out", tmp_path / "cluster", "--cluster", address)
    assert finished.returncode == 0, finished.stderr
    assert contents(tmp_path / "cluster") == contents(tmp_path / "alone")


def test_an_evaluation_reads_a_shared_disk_and_gives_the_same_result(shared, local, tmp_path):
    results = []
    for name, words in (("alone", []), ("cluster", ["--cluster", local])):
        flags = ["--data", shared / "data", "--run", shared / "lgbm", "--out", tmp_path / name, *CPU]
        finished = run("src/evaluate.py", *flags, "--cache", tmp_path / f"cache_{name}", *words)
        assert finished.returncode == 0, finished.stderr
        results.append((tmp_path / name / "evaluation.json").read_bytes())
    assert results[0] == results[1]


def test_files_with_problems_are_reported_together_in_their_order(shared, local, other_machines, tmp_path):
    test = shared / "bad"
    shutil.copytree(shared / "data/train", test)
    paths = sorted(test.iterdir())
    for number, content in ((3, b"no array"), (200, b""), (298, b"\x80\x04pickle")):
        paths[number].write_bytes(content)
    flags = ["--test", test, "--run", shared / "lgbm", "--out", tmp_path / "s.csv", *CPU]
    alone = run("submission.py", *flags)
    assert "3 problems" in alone.stderr
    for address in (local, other_machines[0]):
        finished = run("submission.py", *flags, "--cluster", address)
        assert (finished.returncode, alone.returncode) == (1, 1)
        assert alone.stderr in finished.stderr
        assert not (tmp_path / "s.csv").exists()


def test_a_worker_that_is_killed_in_the_middle_costs_its_task_only(shared, submitted, tmp_path):
    with Processes(tmp_path / "dask") as dask:
        address = dask.scheduler()
        workers = [dask.worker(address) for _ in range(3)]
        flags = ["--test", shared / "data/train", "--run", shared / "run", "--out", tmp_path / "out/s.csv", *CPU]
        command = subprocess.Popen(
            [sys.executable, "submission.py", *map(str, flags), "--cluster", address],
            cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        wait_until(lambda: all(map(children_of, [worker.pid for worker in workers])) or command.poll() is not None)
        assert command.poll() is None, command.communicate()
        tasks = [pid for worker in workers[:2] for pid in children_of(worker.pid)]
        for worker in workers[:2]:
            worker.kill()
        assert command.poll() is None, "the test is void unless the command still waits"
        stderr = command.communicate(timeout=300)[1]
        assert command.returncode == 0, stderr
        wait_until(lambda: all(map(is_gone, tasks)))  # they end with their workers
    assert contents(tmp_path / "out") == submitted["run"]


def children_of(process: int) -> list[int]:
    """The processes of tasks of a worker."""
    found = []
    for path in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            found += list(map(int, path.read_text().split()))
        except OSError:
            continue
    return found


def test_only_who_has_a_certificate_reaches_a_scheduler_with_tls(shared, submitted, tmp_path):
    ours, others = certificates(tmp_path / "ours"), certificates(tmp_path / "others")
    with Processes(tmp_path / "dask", tls_flags(ours)) as dask:
        address = dask.scheduler()
        dask.worker(address)
        words = "--cluster", address
        finished = submission(shared, tmp_path / "out", *words, model="lgbm", **tls_environment(ours))
        assert finished.returncode == 0, finished.stderr + dask.logs()
        assert contents(tmp_path / "out") == submitted["lgbm"]
        assert "no TLS" not in finished.stderr
        quick = {"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "2s"}
        plain = address.replace("tls", "tcp")
        for where, environment in ((plain, {}), (address, tls_environment(others))):
            refused = submission(shared, tmp_path / "refused", "--cluster", where, model="lgbm", **environment, **quick)
            assert refused.returncode in (1, 2), refused
            assert refused.stderr.startswith("error: ")
            assert "Traceback" not in refused.stderr
            assert not (tmp_path / "refused/s.csv").exists()


def test_what_is_started_for_local_n_listens_on_this_machine_only(shared, tmp_path):
    flags = ["--test", str(shared / "data/train"), "--run", str(shared / "lgbm"), "--out", str(tmp_path / "s.csv")]
    command = Command(tmp_path, "submission", [*flags, *CPU, "--cluster", "local:2"])
    found = set()
    while command.process.poll() is None:
        found |= listening(command.group())
        time.sleep(0.05)
    assert command.end()[0] == 0
    assert found == {"127.0.0.1"}


@pytest.mark.parametrize("where", ["here:2", "local:0", "tcp://host"])
def test_what_is_no_cluster_is_refused_before_anything_is_read(where, capsys):
    assert code_of("submission", "--test", "absent", "--run", "absent", "--cluster", where) == 2
    assert "is none of local:N" in capsys.readouterr().err


# ---- videos


@pytest.mark.video
def test_videos_are_extracted_the_same_whether_or_not_the_disk_is_shared(make_video, local, shared, tmp_path):
    good, bad = make_video("good.mp4", seconds=1), make_video("bad.mp4", seconds=0.1)
    bad.write_bytes(b"no video")
    flags = ["--model", MODEL, "--frames", "60", "--max-people", "1", "--pictures", "vsvig"]
    alone = run("src/extract_pose.py", good, bad, "--out", tmp_path / "alone", *flags)
    assert "good.mp4: child_1_1.npy" in alone.stdout, alone.stderr
    by_path = run("src/extract_pose.py", good, bad, "--out", tmp_path / "by_path", *flags, "--cluster", local)
    expected = contents(tmp_path / "alone")
    assert contents(tmp_path / "by_path") == expected
    with Processes(tmp_path / "dask") as dask:
        hidden = tmp_path / "sent"
        hidden.mkdir()
        address = dask.scheduler()
        dask.worker(address, hidden=[hidden, good.parent, MODEL.parent.resolve()])
        sent = run("src/extract_pose.py", good, bad, "--out", hidden, *flags, "--cluster", address)
        assert contents(hidden) == expected
    for finished in (by_path, sent):
        assert finished.returncode == alone.returncode == 1, finished.stderr
        assert without_progress(alone.stderr) in without_progress(finished.stderr)
        assert finished.stdout.split("\n", 1)[1].replace("by_path", "alone").replace("sent", "alone") == alone.stdout
