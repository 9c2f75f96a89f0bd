"""The training data and its cache."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from helpers.repository import SOURCE
from helpers.segments import SHAPE, T, make_data, pose, saved
from spasm.core.errors import DataError, DataProblems
from spasm.data.dataset import load_training

# ---- data for training, and its cache


def load(data: Path, cache: Path, progress=iter, rehash=False):
    return load_training(data, T, "challenge", cache, progress, rehash)


def cached_poses(cache: Path) -> list[Path]:
    """The files of poses in a cache, one for each data set."""
    return sorted(cache.glob("*/poses.npy"))


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
    (path,) = cached_poses(cache)
    before = path.stat()
    again = load(data, cache)
    assert cached_poses(cache) == [path]
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
    assert len(cached_poses(tmp_path / "cache")) == 1
    assert one_load.fingerprint == other_load.fingerprint
    assert one_load.names == other_load.names
    assert np.array_equal(one_load.labels, other_load.labels)


def test_changed_content_gives_another_cache_and_fingerprint(tmp_path):
    data, cache = make_data(tmp_path / "data"), tmp_path / "cache"
    before = load(data, cache).fingerprint
    saved(data / "train", pose(77), "child_0_0.npy")
    after = load(data, cache)
    assert after.fingerprint != before
    assert len(cached_poses(cache)) == 2
    assert np.array_equal(after.poses[0], pose(77))


def test_changed_labels_or_names_give_another_fingerprint(tmp_path):
    data, cache = make_data(tmp_path / "data"), tmp_path / "cache"
    path = data / "train_data.csv"
    prints = {load(data, cache).fingerprint}
    path.write_text(path.read_text().replace("child_0_0.npy,0", "child_0_0.npy,1"))
    prints.add(load(data, cache).fingerprint)
    assert len(cached_poses(cache)) == 1, "labels are not part of the cached poses"
    path.write_text(path.read_text().replace("child_0_0", "child_50_0"))
    (data / "train/child_0_0.npy").rename(data / "train/child_50_0.npy")
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
    (path,) = cached_poses(cache)
    whole = path.read_bytes()
    path.unlink()
    path.write_bytes(damage(whole))
    again = load(data, cache)
    assert path.read_bytes() == whole
    assert np.array_equal(again.poses, good.poses)


def test_all_problems_of_the_training_data_are_raised_at_once_and_nothing_is_cached(tmp_path):
    data, cache = make_data(tmp_path / "data"), tmp_path / "cache"
    (data / "train/child_0_0.npy").write_bytes(b"")
    saved(data / "train", pose() * 640, "child_1_0.npy")
    saved(data / "train", pose(50), "child_9_9.npy")
    with pytest.raises(DataProblems) as caught:
        load(data, cache)
    reasons = sorted(problem.reason.split()[0] for problem in caught.value.problems)
    assert reasons == ["empty", "has", "is"]
    assert not cache.exists()


def test_bad_values_alone_are_raised_and_leave_no_file(tmp_path):
    data, cache = make_data(tmp_path / "data"), tmp_path / "cache"
    for name in ("child_1_0.npy", "child_2_0.npy"):
        saved(data / "train", pose() * 640, name)
    with pytest.raises(DataProblems) as caught:
        load(data, cache)
    assert len(caught.value.problems) == 2
    assert list(cache.iterdir()) == []


def test_a_file_that_changes_before_its_turn_is_taken_as_it_then_is(tmp_path):
    data, cache = make_data(tmp_path / "data"), tmp_path / "cache"

    def progress(paths):
        for number, path in enumerate(paths):
            if number == 1:
                saved(data / "train", pose(77), "child_1_1.npy")
            yield path

    first = load(data, cache, progress)
    assert np.array_equal(first.poses[3], pose(77))
    assert load(data, tmp_path / "another cache").fingerprint == first.fingerprint


# Loads the data folder, and stops once among the segments, when the temporary file is open.
WRITER = """
import sys, time
from pathlib import Path
from spasm.data.dataset import load_training
data, cache, mark, other = map(Path, sys.argv[1:])
def progress(paths):
    for i, path in enumerate(paths):
        if i == 5:
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


@pytest.mark.command
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


@pytest.mark.command
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
    (path,) = cached_poses(cache)
    inode = path.stat().st_ino
    assert not list(cache.rglob(".tmp-*"))
    assert np.array_equal(load(data, cache).poses, np.stack([pose(i) for i in range(8)]))
    assert path.stat().st_ino == inode


@pytest.mark.command
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


# ---- the index, which spares what has not changed


def age(data: Path, seconds: float = 60.0) -> None:
    """Let all files of a folder have been written a while ago, as they are when another command follows."""
    for path in data.rglob("*.*"):
        then = path.stat().st_mtime_ns - int(seconds * 1e9)
        os.utime(path, ns=(then, then))


def rewritten(path: Path, content: bytes, mtime_ns: int) -> None:
    """Change a file in place, so that its inode stays, and set its modification time."""
    with open(path, "r+b") as file:
        file.write(content)
    os.utime(path, ns=(mtime_ns, mtime_ns))


@pytest.fixture
def read_files(monkeypatch) -> list[str]:
    """The names of the segment files that are opened, as they are opened."""
    names: list[str] = []
    really_open = os.open

    def spy(path, *arguments, **options):
        if str(path).endswith(".npy") and "train" in str(path):
            names.append(os.path.basename(path))
        return really_open(path, *arguments, **options)

    monkeypatch.setattr(os, "open", spy)
    return names


def test_new_data_is_read_once_and_a_second_command_reads_no_segment(tmp_path, read_files):
    data, cache = make_data(tmp_path / "data"), tmp_path / "cache"
    age(data)
    first = load(data, cache)
    assert sorted(read_files) == list(first.names)
    read_files.clear()
    again = load(data, cache)
    assert read_files == []
    assert again.fingerprint == first.fingerprint
    assert again.has_pose.tolist() == first.has_pose.tolist()


def test_other_labels_read_no_segment_again(tmp_path, read_files):
    data, cache = make_data(tmp_path / "data"), tmp_path / "cache"
    age(data)
    first = load(data, cache)
    read_files.clear()
    table = data / "train_data.csv"
    table.write_text(table.read_text().replace("child_0_0.npy,0", "child_0_0.npy,1"))
    assert load(data, cache).fingerprint != first.fingerprint
    assert read_files == []


def test_files_that_were_only_touched_are_hashed_and_not_copied_again(tmp_path, read_files):
    data, cache = make_data(tmp_path / "data"), tmp_path / "cache"
    age(data)
    first = load(data, cache)
    (path,) = cached_poses(cache)
    inode = path.stat().st_ino
    read_files.clear()
    touched = data / "train/child_1_0.npy"
    os.utime(touched, ns=(touched.stat().st_mtime_ns - 1, touched.stat().st_mtime_ns - 1))
    assert load(data, cache).fingerprint == first.fingerprint
    assert read_files == ["child_1_0.npy"]
    assert path.stat().st_ino == inode
    read_files.clear()
    load(data, cache)
    assert read_files == []


def test_a_changed_file_of_the_same_size_and_another_time_is_noticed(tmp_path):
    data, cache = make_data(tmp_path / "data"), tmp_path / "cache"
    age(data)
    first = load(data, cache)
    path = data / "train/child_0_1.npy"
    content = saved(tmp_path, pose(77)).read_bytes()
    rewritten(path, content, path.stat().st_mtime_ns + 1)
    again = load(data, cache)
    assert again.fingerprint != first.fingerprint
    assert np.array_equal(again.poses[1], pose(77))


def test_a_file_that_another_took_the_place_of_is_noticed_by_its_inode(tmp_path):
    data, cache = make_data(tmp_path / "data"), tmp_path / "cache"
    age(data)
    first = load(data, cache)
    path, other = data / "train/child_0_1.npy", saved(tmp_path, pose(77))
    os.utime(other, ns=(path.stat().st_mtime_ns, path.stat().st_mtime_ns))
    os.replace(other, path)
    assert load(data, cache).fingerprint != first.fingerprint


def test_a_changed_file_with_its_old_time_is_noticed_by_rehash_alone(tmp_path, read_files):
    data, cache = make_data(tmp_path / "data"), tmp_path / "cache"
    age(data)
    first = load(data, cache)
    path = data / "train/child_0_1.npy"
    rewritten(path, saved(tmp_path, pose(77)).read_bytes(), path.stat().st_mtime_ns)
    assert load(data, cache).fingerprint == first.fingerprint
    read_files.clear()
    again = load(data, cache, rehash=True)
    assert sorted(read_files) == list(first.names), "everything is read, once"
    assert again.fingerprint != first.fingerprint
    assert np.array_equal(again.poses[1], pose(77))
    assert load(data, cache).fingerprint == again.fingerprint, "the index has learned it"


def test_rehash_repairs_cached_poses_that_rotted(tmp_path):
    data, cache = make_data(tmp_path / "data"), tmp_path / "cache"
    load(data, cache)
    (path,) = cached_poses(cache)
    whole = path.read_bytes()
    rewritten(path, whole[:-4] + b"\0\0\0\0", path.stat().st_mtime_ns)
    load(data, cache, rehash=True)
    assert path.read_bytes() == whole


@pytest.mark.parametrize("seconds", [-5, 0, 1, 1.9], ids=["in-the-future", "now", "one-second", "nearly-two"])
def test_a_file_swapped_within_two_seconds_of_its_last_change_is_noticed(tmp_path, seconds):
    data, cache = make_data(tmp_path / "data"), tmp_path / "cache"
    age(data)
    path = data / "train/child_0_1.npy"
    then = time.time_ns() - int(seconds * 1e9)
    os.utime(path, ns=(then, then))
    first = load(data, cache)
    rewritten(path, saved(tmp_path, pose(77)).read_bytes(), then)  # as a clock that ticks slowly would have it
    again = load(data, cache)
    assert again.fingerprint != first.fingerprint
    assert np.array_equal(again.poses[1], pose(77))


def test_files_that_vanish_or_appear_are_noticed(tmp_path):
    data, cache = make_data(tmp_path / "data"), tmp_path / "cache"
    age(data)
    prints = [load(data, cache).fingerprint]
    table, path = data / "train_data.csv", data / "train/child_0_1.npy"
    rows, content = table.read_text(), path.read_bytes()
    path.unlink()
    with pytest.raises(DataError, match=r"child_0_1\.npy: has a label but no file"):
        load(data, cache)
    table.write_text(rows.replace("child_0_1.npy,0\n", ""))
    prints.append(load(data, cache).fingerprint)
    path.write_bytes(content)
    table.write_text(rows)
    prints.append(load(data, cache).fingerprint)
    assert prints[0] == prints[2] != prints[1]


@pytest.mark.parametrize("damage", [lambda raw: raw[:-1], lambda raw: b"", lambda raw: raw.replace(b"1", b"2", 1)],
                         ids=["cut-short", "empty", "changed"])  # fmt: skip
@pytest.mark.parametrize("what", ["index", "findings"])
def test_a_damaged_index_or_list_of_poses_is_noticed_and_written_again(tmp_path, what, damage):
    data, cache = make_data(tmp_path / "data"), tmp_path / "cache"
    age(data)
    first = load(data, cache)
    (path,) = [path for path in cache.rglob("*") if what in str(path.relative_to(cache)) and path.is_file()]
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    again = load(data, cache)
    assert path.read_bytes() == whole
    assert (again.fingerprint, again.has_pose.tolist()) == (first.fingerprint, first.has_pose.tolist())
    assert again.findings == first.findings


def test_a_cache_may_be_deleted_between_two_commands_of_one_process(tmp_path):
    data, cache = make_data(tmp_path / "data"), tmp_path / "cache"
    age(data)
    first = load(data, cache)
    shutil.rmtree(cache)
    assert np.array_equal(load(data, cache).poses, np.stack([pose(i) for i in range(8)]))
    shutil.rmtree(cache / "index")
    assert load(data, cache).fingerprint == first.fingerprint


def test_two_folders_of_the_same_names_have_an_index_each(tmp_path):
    one, other, cache = make_data(tmp_path / "one"), make_data(tmp_path / "other"), tmp_path / "cache"
    saved(other / "train", pose(77), "child_0_1.npy")
    for data in (one, other):
        age(data)
    assert load(one, cache).fingerprint != load(other, cache).fingerprint
    assert load(one, cache).fingerprint != load(other, cache).fingerprint
    assert len(list((cache / "index").iterdir())) == 2


def test_a_link_that_is_turned_outwards_later_is_still_refused(tmp_path):
    data, cache = make_data(tmp_path / "data"), tmp_path / "cache"
    age(data)
    load(data, cache)
    path, outside = data / "train/child_0_1.npy", saved(tmp_path, pose(1))
    path.unlink()
    path.symlink_to(outside)
    with pytest.raises(DataError, match="link that leaves the folder"):
        load(data, cache)
