"""The training data and its cache."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from helpers.segments import SHAPE, SOURCE, T, make_data, pose, saved
from spasm.core.errors import DataError, DataProblems
from spasm.data.dataset import load_training

# ---- data for training, and its cache


def load(data: Path, cache: Path, progress=iter):
    return load_training(data, T, "challenge", cache, progress)


def test_training_data_is_in_order_of_names_with_labels_and_children(tmp_path):
    data = make_data(tmp_path / "data", children=2, per_child=2)
    saved(data / "train", np.full(SHAPE, np.nan), "child_1_0.npy")
    loaded = load(data, tmp_path / "cache")
    assert loaded.names == ("child_0_0.npy", "child_0_1.npy", "child_1_0.npy", "child_1_1.npy")
    assert loaded.children == ("0", "0", "1", "1")
    assert loaded.labels.dtype == np.int64
    assert loaded.labels.tolist() == [0, 0, 1, 1]
    assert loaded.has_pose.tolist() == [True, True, False, True]
    assert loaded.poses.shape == (4, *SHAPE)
    assert loaded.poses.dtype == np.float32
    assert np.array_equal(loaded.poses[3], pose(3))
    assert not loaded.poses.flags.writeable
    assert loaded.groups == {}
    assert not loaded.simulated


def test_segments_beyond_the_first_block_know_whether_they_have_a_pose(tmp_path):
    data = make_data(tmp_path / "data", children=2, per_child=35)
    saved(data / "train", np.full(SHAPE, np.nan), "child_1_9.npy")
    loaded = load(data, tmp_path / "cache")
    assert [name for name, has in zip(loaded.names, loaded.has_pose, strict=True) if not has] == ["child_1_9.npy"]


def test_a_folder_of_the_simulator_is_known_by_its_mark(tmp_path):
    data = make_data(tmp_path / "data")
    (data / "simulated.json").write_text("{}")
    assert load(data, tmp_path / "cache").simulated


def test_a_second_call_uses_the_cache(tmp_path):
    data, cache = make_data(tmp_path / "data"), tmp_path / "cache"
    load(data, cache)
    (path,) = cache.iterdir()
    before = path.stat()
    again = load(data, cache)
    assert [entry.name for entry in cache.iterdir()] == [path.name]
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert np.array_equal(again.poses[5], pose(5))


def test_the_cache_does_not_depend_on_where_the_folder_is_or_in_what_order_it_was_written(tmp_path):
    first = make_data(tmp_path / "first")
    second = tmp_path / "second"
    (second / "train").mkdir(parents=True)
    for path in sorted((first / "train").iterdir(), reverse=True):
        (second / "train" / path.name).write_bytes(path.read_bytes())
    rows = (first / "train_data.csv").read_text().splitlines()
    (second / "train_data.csv").write_text("\n".join([rows[0], *reversed(rows[1:])]))
    one_load, other_load = load(first, tmp_path / "cache"), load(second, tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 1
    assert one_load.fingerprint == other_load.fingerprint
    assert one_load.names == other_load.names
    assert np.array_equal(one_load.labels, other_load.labels)


def test_changed_content_gives_another_cache_and_fingerprint(tmp_path):
    data, cache = make_data(tmp_path / "data"), tmp_path / "cache"
    before = load(data, cache).fingerprint
    saved(data / "train", pose(77), "child_0_0.npy")
    after = load(data, cache)
    assert after.fingerprint != before
    assert len(list(cache.iterdir())) == 2
    assert np.array_equal(after.poses[0], pose(77))


def test_changed_labels_or_names_give_another_fingerprint(tmp_path):
    data, cache = make_data(tmp_path / "data"), tmp_path / "cache"
    path = data / "train_data.csv"
    prints = {load(data, cache).fingerprint}
    path.write_text(path.read_text().replace("child_0_0.npy,0", "child_0_0.npy,1"))
    prints.add(load(data, cache).fingerprint)
    assert len(list(cache.iterdir())) == 1, "labels are not part of the cached poses"
    path.write_text(path.read_text().replace("child_0_0", "child_00_0"))
    (data / "train/child_0_0.npy").rename(data / "train/child_00_0.npy")
    prints.add(load(data, cache).fingerprint)
    assert len(prints) == 3


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw[:-1],
        lambda raw: raw[: len(raw) // 2],
        lambda raw: raw + b"\0",
        lambda raw: b"",
        lambda raw: raw[:20] + b"?" + raw[21:],
        lambda raw: raw.replace(b"<f4", b"<i4"),
    ],
    ids=["cut-short", "half-written", "bytes-after", "empty", "corrupt-header", "other-type"],
)
def test_a_cache_file_that_is_not_whole_is_rebuilt(tmp_path, damage):
    data, cache = make_data(tmp_path / "data"), tmp_path / "cache"
    good = load(data, cache)
    (path,) = cache.iterdir()
    whole = path.read_bytes()
    path.unlink()
    path.write_bytes(damage(whole))
    again = load(data, cache)
    assert path.read_bytes() == whole
    assert np.array_equal(again.poses, good.poses)


def test_all_problems_of_the_training_data_are_raised_at_once_and_nothing_is_cached(tmp_path):
    data, cache = make_data(tmp_path / "data"), tmp_path / "cache"
    (data / "train/child_0_0.npy").write_bytes(b"")
    saved(data / "train", np.full(SHAPE, np.inf), "child_1_0.npy")
    saved(data / "train", pose(50), "child_9_9.npy")
    with pytest.raises(DataProblems) as caught:
        load(data, cache)
    reasons = sorted(problem.reason.split()[0] for problem in caught.value.problems)
    assert reasons == ["empty", "has", "x"]
    assert not cache.exists()


def test_bad_values_alone_are_raised_and_leave_no_file(tmp_path):
    data, cache = make_data(tmp_path / "data"), tmp_path / "cache"
    for name in ("child_1_0.npy", "child_2_0.npy"):
        saved(data / "train", np.full(SHAPE, np.inf), name)
    with pytest.raises(DataProblems) as caught:
        load(data, cache)
    assert len(caught.value.problems) == 2
    assert list(cache.iterdir()) == []


def test_a_file_that_changes_between_the_passes_is_named(tmp_path):
    data, cache = make_data(tmp_path / "data"), tmp_path / "cache"
    passes = []

    def progress(paths):
        passes.append(paths)
        if len(passes) == 2:
            saved(data / "train", pose(77), "child_1_1.npy")
        return iter(paths)

    with pytest.raises(DataError, match=r"child_1_1\.npy: changed while"):
        load(data, cache, progress)
    assert list(cache.iterdir()) == []


# Loads the data folder, and in the second pass, when the temporary file is open, does ACTION once.
WRITER = """
import sys, time
from pathlib import Path
from spasm.data.dataset import load_training
data, cache, mark, other = map(Path, sys.argv[1:])
passes = []
def progress(paths):
    passes.append(paths)
    for i, path in enumerate(paths):
        if len(passes) == 2 and i == 5:
            mark.touch()
            while not other.exists():
                time.sleep(0.01)
        yield path
load_training(data, 16, "challenge", cache, progress)
"""


def start_writer(data: Path, cache: Path, mark: Path, other: Path) -> subprocess.Popen:
    """A process that stops in the middle of writing, creates `mark`, and goes on once `other` exists."""
    command = [sys.executable, "-c", WRITER, *map(str, (data, cache, mark, other))]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(SOURCE)})


def wait_for(path: Path) -> None:
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end, f"{path} never came"
        time.sleep(0.01)


def test_nothing_of_a_killed_writer_is_used_and_its_file_is_removed(tmp_path):
    data, cache = make_data(tmp_path / "data"), tmp_path / "cache"
    writer = start_writer(data, cache, tmp_path / "mark", tmp_path / "never")
    try:
        wait_for(tmp_path / "mark")
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    (left,) = cache.iterdir()
    assert left.name.startswith(f".tmp-{writer.pid}-")

    loaded = load(data, cache)
    assert [np.array_equal(loaded.poses[i], pose(i)) for i in range(8)] == [True] * 8
    assert not left.exists()


def test_two_writers_at_once_both_end_with_a_good_cache(tmp_path):
    data, cache = make_data(tmp_path / "data"), tmp_path / "cache"
    marks = tmp_path / "a", tmp_path / "b"
    writers = [start_writer(data, cache, *marks), start_writer(data, cache, *reversed(marks))]
    try:
        codes = [writer.wait(timeout=60) for writer in writers]
    finally:
        for writer in writers:
            writer.kill()
    assert codes == [0, 0]
    (path,) = cache.iterdir()
    inode = path.stat().st_ino
    assert np.array_equal(load(data, cache).poses, np.stack([pose(i) for i in range(8)]))
    assert path.stat().st_ino == inode


def test_a_full_disk_is_an_error_and_leaves_no_file(tmp_path):
    data, cache = make_data(tmp_path / "data"), tmp_path / "cache"
    # No file may grow beyond 20,000 bytes: the cache would have 84,608.
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
    arguments = map(str, (data, cache, tmp_path / "mark", tmp_path))
    finished = subprocess.run(
        [sys.executable, "-c", limit + WRITER, *arguments],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 1
    assert "OSError: [Errno 27] File too large" in finished.stderr
    assert list(cache.iterdir()) == []


def test_the_same_file_under_two_children_is_a_warning_also_for_those_who_skip_verify(tmp_path):
    data = make_data(tmp_path / "data")
    assert load(data, tmp_path / "cache").warnings == ()
    saved(data / "train", pose(0), "child_2_1.npy")
    (warning,) = load(data, tmp_path / "cache").warnings
    assert "child_2_1.npy: the same file as child_0_0.npy, under another child" in str(warning)
