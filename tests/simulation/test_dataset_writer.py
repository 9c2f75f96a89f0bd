"""A simulated data folder: what is written, what is replaced, what is refused, and the script that does it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from helpers.commands import without_progress
from helpers.repository import ROOT
from helpers.scenes import still_scene
from helpers.tables import table
from spasm.core import files
from spasm.core.errors import DataError
from spasm.data.validation import check_folder
from spasm.simulation import dataset_writer
from spasm.simulation.infant import Event, Segment, SimulationConfig, cohort, simulate_child
from spasm.simulation.spasms import KIND_FRACTIONS

SMALL = {"children": 6, "segments_per_child": 3, "seed": 7, "world": SimulationConfig(frames=60), "workers": 1}
RECORDED = SMALL | {"recordings": 2, "minutes": 1.0}


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def segments_in(folder):
    return {name: content for name, content in contents(folder).items() if name.startswith(("train/", "test/"))}


def child_of(row):
    return row["segment_name"].split("_")[1]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """40 children, 5 segments each, and two recordings; its folder and the rows that are returned."""
    out = tmp_path_factory.mktemp("simulation") / "demo"
    rows = dataset_writer.write_dataset(out, 40, 5, 7, SimulationConfig(), recordings=2, minutes=1.0, workers=1)
    return out, rows


# ---- what the bytes depend on


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_and_another_seed_gives_others(tmp_path):
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        dataset_writer.write_dataset(tmp_path / name, **RECORDED | {"seed": seed})
    first, second, third = (contents(tmp_path / name) for name in "abc")
    assert first == second
    poses = [name for name in first.keys() & third.keys() if name.endswith(".npy")]
    assert poses
    # Two wholly missing segments, all NaN, may look alike.
    assert sum(first[name] != third[name] for name in poses) > len(poses) / 2
    assert first["truth.csv"] != third["truth.csv"]


@pytest.mark.slow
def test_one_worker_or_two_write_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(dataset_writer, "CHILDREN_WORTH_A_WORKER", 0.5)  # so that few segments are shared out too
    used = []
    parallel = dataset_writer.Parallel
    monkeypatch.setattr(
        dataset_writer, "Parallel", lambda n_jobs, **more: used.append(n_jobs) or parallel(n_jobs, **more)
    )
    for workers in (1, 2):
        dataset_writer.write_dataset(tmp_path / str(workers), **RECORDED | {"workers": workers})
    assert used == [1, 1, 2, 2]  # segments, recordings
    assert contents(tmp_path / "1") == contents(tmp_path / "2")
    assert "events.csv" in contents(tmp_path / "1")


@pytest.mark.parametrize(("children", "segments", "used"), [(10, 10, 1), (60, 10, 3), (400, 10, 8)])
def test_a_worker_is_started_where_there_is_enough_to_do_for_it(tmp_path, monkeypatch, children, segments, used):
    asked = []

    def stand_in(n_jobs, return_as):
        asked.append(n_jobs)
        return lambda jobs: [([], []) for _ in jobs]

    monkeypatch.setattr(dataset_writer, "Parallel", stand_in)
    dataset_writer.write_dataset(tmp_path / "demo", **SMALL | {
        "children": children, "segments_per_child": segments, "workers": 8,
    })  # fmt: skip
    assert asked == [used]


def test_a_child_does_not_depend_on_how_many_children_there_are(tmp_path):
    dataset_writer.write_dataset(tmp_path / "few", **SMALL)
    dataset_writer.write_dataset(tmp_path / "many", **SMALL | {"children": 9})
    few, many = (
        {path.name: path.read_bytes() for path in (tmp_path / name).rglob("*.npy")} for name in ("few", "many")
    )
    assert len(few) == 18
    assert few.items() <= many.items()


def test_recordings_do_not_change_the_segments(tmp_path):
    dataset_writer.write_dataset(tmp_path / "with", **RECORDED)
    dataset_writer.write_dataset(tmp_path / "without", **SMALL)
    plain, recorded = contents(tmp_path / "without"), contents(tmp_path / "with")
    more = {"events.csv", "seizures.csv", "recordings/child_1_1.npy", "recordings/child_2_1.npy"}
    assert recorded.keys() - plain.keys() == more
    assert all(recorded[name] == plain[name] for name in plain if name != "simulated.json")


def test_controls_recorded_on_a_ward_change_no_file_of_a_patient(tmp_path):
    for name, confound in (("plain", False), ("ward", True)):
        world = SimulationConfig(frames=60, confound=confound)
        dataset_writer.write_dataset(tmp_path / name, **SMALL | {"world": world})
    plain, ward = (segments_in(tmp_path / name) for name in ("plain", "ward"))
    changed = {int(name.split("_")[1]) for name in plain if plain[name] != ward[name]}
    assert changed == {child for child in range(1, 7) if cohort(7, child) == "control"}
    for row in table(tmp_path / "ward" / "truth.csv"):
        assert row["cohort"] == "patient" or row["camera"].startswith("fixed landscape ")


# ---- what is written


def test_the_tables_agree_with_the_files(demo):
    out, rows = demo
    truth, train, groups = (table(out / name) for name in ("truth.csv", "train_data.csv", "groups.csv"))
    names = {split: sorted(path.name for path in (out / split).iterdir()) for split in ("train", "test")}
    assert [row["segment_name"] for row in train] == names["train"]
    assert [(r["segment_name"], r["label"]) for r in truth if r["split"] == "train"] == [
        (r["segment_name"], r["label"]) for r in train
    ]
    assert [row["segment_name"] for row in truth] == sorted(names["train"] + names["test"])
    assert [{name: str(value) for name, value in row.items()} for row in rows] == truth
    assert len(truth) == 200
    assert {row["child"]: row["cohort"] for row in groups} == {child_of(row): row["cohort"] for row in truth}
    assert len(groups) == 40
    for name in ("truth.csv", "train_data.csv", "groups.csv", "events.csv", "simulated.json"):
        text = (out / name).read_bytes()
        assert text.endswith(b"\n") and b"\r" not in text


def test_the_marker_holds_the_settings_and_lists_every_file(demo):
    out, _ = demo
    marker = json.loads((out / "simulated.json").read_text(encoding="utf-8"))
    assert marker["simulated"] is True
    assert (marker["seed"], marker["children"], marker["segments_per_child"]) == (7, 40, 5)
    assert (marker["frames"], marker["prevalence"], marker["mimic_fraction"]) == (150, 0.25, 0.0)
    assert (marker["camera_setup"], marker["confound"], marker["recordings"], marker["minutes"]) == (
        "home",
        False,
        2,
        1.0,
    )
    assert sorted(marker["files"]) == sorted(contents(out).keys() - {"simulated.json"})
    assert marker["file_count"] == len(marker["files"]) == 200 + 3 + 4


def test_the_truth_begins_with_its_documented_columns(demo):
    out, _ = demo
    header = (out / "truth.csv").read_text(encoding="utf-8").splitlines()[0].split(",")
    assert header[:9] == [
        "segment_name", "label", "event_start_frame", "event_end_frame", "event_type", "behaviours", "posture",
        "camera", "cohort",
    ]  # fmt: skip
    assert {"split", "video", "event2_start_frame", "event2_end_frame", "event2_type"} < set(header)


def test_the_label_is_one_exactly_when_half_a_second_of_an_event_lies_inside(demo):
    out, _ = demo
    labels = []
    for row in table(out / "truth.csv"):
        lengths = []
        for event in ("event", "event2"):
            start, end, kind = (row[f"{event}_{part}"] for part in ("start_frame", "end_frame", "type"))
            assert bool(start) == bool(end) == bool(kind)
            if kind:
                assert 0 <= int(start) < int(end) <= 150
                assert kind in KIND_FRACTIONS
                assert kind in row["behaviours"].split(";")
                lengths.append(int(end) - int(start))
        assert lengths == sorted(lengths, reverse=True)
        assert row["label"] == str(int(any(length >= 15 for length in lengths)))
        assert row["behaviours"]
        labels.append(row["label"])
    assert set(labels) == {"0", "1"}


def test_controls_have_no_event(demo):
    out, _ = demo
    controls = [row for row in table(out / "truth.csv") if row["cohort"] == "control"]
    assert controls
    assert all(row["event_type"] == row["event2_type"] == "" and row["label"] == "0" for row in controls)


def test_a_second_event_is_written_too(tmp_path, monkeypatch):
    events = Event(20, 50, "flexor"), Event(0, 10, "mixed"), Event(55, 60, "flexor")
    pose = np.zeros((60, 33, 5))
    behaviours = ("rest", "mixed", "flexor")
    segment = Segment(pose, events, behaviours, "supine", "fixed landscape whole", 1.0, 2, still_scene(pose))
    monkeypatch.setattr(dataset_writer, "simulate_child", lambda *_: iter([segment]))
    rows = dataset_writer.write_dataset(tmp_path / "demo", **SMALL)
    assert table(tmp_path / "demo" / "truth.csv")[0] == {
        "segment_name": "child_1_1.npy", "label": "1", "event_start_frame": "20", "event_end_frame": "50",
        "event_type": "flexor", "behaviours": "rest;mixed;flexor", "posture": "supine",
        "camera": "fixed landscape whole", "cohort": cohort(7, 1), "split": rows[0]["split"], "video": "2",
        "event2_start_frame": "0", "event2_end_frame": "10", "event2_type": "mixed",
    }  # fmt: skip


def test_segment_files_hold_what_was_simulated_in_c_order(demo):
    out, rows = demo
    split = {row["segment_name"]: row["split"] for row in rows}
    for number, segment in enumerate(simulate_child(7, 3, 5, SimulationConfig()), start=1):
        name = f"child_3_{number}.npy"
        pose = np.load(out / split[name] / name)
        assert pose.shape == (150, 33, 5) and pose.dtype == np.float64
        assert pose.flags.c_contiguous
        np.testing.assert_array_equal(pose, segment.pose)


def test_the_folder_is_good_data(demo):
    assert [str(problem) for problem in check_folder(demo[0], 150, "challenge").problems] == []


def test_no_child_is_in_train_and_in_test(demo):
    _, rows = demo
    sides = {split: {child_of(row) for row in rows if row["split"] == split} for split in ("train", "test")}
    assert not sides["train"] & sides["test"]
    assert len(sides["test"]) == 10


# ---- what is replaced, and what is refused


def test_its_own_folder_is_replaced_as_a_whole(tmp_path):
    out = tmp_path / "demo"
    dataset_writer.write_dataset(out, **RECORDED | {"children": 8})
    dataset_writer.write_dataset(out, **SMALL)
    assert len(list(out.rglob("*.npy"))) == 18
    assert {path.name for path in out.iterdir()} == {
        "train", "test", "train_data.csv", "groups.csv", "truth.csv", "simulated.json",
    }  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


def test_an_empty_folder_is_filled(tmp_path):
    dataset_writer.write_dataset(tmp_path / "new" / "demo", **SMALL)
    (tmp_path / "empty").mkdir()
    dataset_writer.write_dataset(tmp_path / "empty", **SMALL)
    assert contents(tmp_path / "empty") == contents(tmp_path / "new" / "demo")


def refused(out, match):
    before = contents(out.parent)
    with pytest.raises(DataError, match=match):
        dataset_writer.write_dataset(out, **SMALL)
    assert contents(out.parent) == before


def test_a_folder_that_it_did_not_make_is_refused_and_left_alone(tmp_path):
    out = tmp_path / "mine"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    refused(out, "thesis.txt")
    for marker in ('{"simulated": true}', "not json", "[]", '{"simulated": false, "files": ["thesis.txt"]}'):
        (out / "simulated.json").write_text(marker)
        refused(out, "did not make")


@pytest.mark.parametrize("extra", [
    "notes.txt", "train/child_99_1.npy", "train/.hidden", "more/notes.txt", "recordings/notes.txt", "events.csv",
    "preview/flexor.gif", "recordings",
])  # fmt: skip
def test_a_file_that_a_user_put_into_its_folder_is_named_and_kept(tmp_path, extra):
    out = tmp_path / "demo"
    dataset_writer.write_dataset(out, **SMALL)
    (out / extra).parent.mkdir(exist_ok=True)
    (out / extra).write_text("mine")
    refused(out, "more" if extra.startswith("more") else re.escape(extra))


def test_a_file_put_there_while_it_simulates_is_kept(tmp_path):
    out = tmp_path / "demo"
    dataset_writer.write_dataset(out, **SMALL)

    def meddle(items, count):
        (out / "late.txt").write_text("mine")
        return items

    with pytest.raises(DataError, match=r"late\.txt"):
        dataset_writer.write_dataset(out, **SMALL, progress=meddle)
    assert (out / "late.txt").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


def test_a_folder_inside_a_simulated_set_is_refused(tmp_path):
    dataset_writer.write_dataset(tmp_path / "demo", **SMALL)
    refused(tmp_path / "demo" / "more", "is inside the simulated data set")


def test_a_set_that_a_kill_left_under_its_other_name_is_put_back(tmp_path):
    out = tmp_path / "demo"
    dataset_writer.write_dataset(out, **SMALL)
    before = contents(out)
    former = tmp_path / ".demo-former"
    out.rename(former)  # killed between the two renames
    with pytest.raises(KeyboardInterrupt):
        dataset_writer.write_dataset(out, **SMALL | {"seed": 8}, progress=interrupt)
    assert contents(out) == before and not former.exists()
    out.rename(former)
    dataset_writer.write_dataset(out, **SMALL | {"seed": 8})
    assert contents(out) != before and not former.exists()


def test_a_users_file_in_a_set_left_under_its_other_name_is_kept(tmp_path):
    dataset_writer.write_dataset(tmp_path / "demo", **SMALL)
    shutil.copytree(tmp_path / "demo", tmp_path / ".demo-former")  # killed before the former set was removed
    (tmp_path / ".demo-former" / "thesis.txt").write_text("mine")
    refused(tmp_path / "demo", "thesis.txt")


def test_a_users_folder_under_that_name_is_kept(tmp_path):
    out, theirs = tmp_path / "demo", tmp_path / ".demo-former"
    dataset_writer.write_dataset(out, **SMALL)
    theirs.mkdir()
    (theirs / "thesis.txt").write_text("mine")
    before = contents(tmp_path)
    with pytest.raises(OSError):
        dataset_writer.write_dataset(out, **SMALL | {"seed": 8})
    assert contents(tmp_path) == before


def interrupt(items, count):
    raise KeyboardInterrupt


def test_a_symbolic_link_is_refused(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    refused(tmp_path / "link", "symbolic link")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    refused(tmp_path / "dangling", "symbolic link")


def test_a_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    refused(tmp_path / "file", "not a folder")


def test_progress_gets_the_number_of_children_and_recordings(tmp_path):
    counts = []

    def note(items, count):
        items = list(items)
        counts.append((len(items), count))
        return items

    dataset_writer.write_dataset(tmp_path / "demo", **RECORDED, progress=note)
    assert counts == [(6, 6), (2, 2)]


# ---- what goes wrong half way


@pytest.mark.filterwarnings("ignore:.*tasks which were still being processed")
@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupted_simulation_leaves_the_old_folder_and_no_other(tmp_path, monkeypatch, workers):
    monkeypatch.setattr(dataset_writer, "CHILDREN_WORTH_A_WORKER", 0.5)
    out = tmp_path / "demo"
    dataset_writer.write_dataset(out, **SMALL)
    before = contents(out)

    def interrupt(items, count):
        items = iter(items)
        for _ in range(3):
            yield next(items)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dataset_writer.write_dataset(out, **SMALL | {"seed": 8, "children": 30, "workers": workers}, progress=interrupt)
    assert contents(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


# No file may grow beyond 20,000 bytes: a segment would have 39,728.
FULL = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
sys.path.insert(0, "src")
sys.argv[0] = "src/simulate.py"
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.command
def test_a_full_disk_is_a_message_and_leaves_the_old_folder_and_no_other(tmp_path):
    out = tmp_path / "demo"
    dataset_writer.write_dataset(out, **SMALL)
    before = contents(out)
    flags = ["--out", str(out), "--children", "4", "--frames", "60", "--workers", "1"]
    finished = subprocess.run([sys.executable, "-c", FULL, *flags], cwd=ROOT, capture_output=True, text=True)
    assert finished.returncode == 1
    assert finished.stderr.startswith("error: ")
    assert contents(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


def test_a_folder_that_cannot_take_its_place_leaves_the_old_one(tmp_path, monkeypatch):
    out = tmp_path / "demo"
    dataset_writer.write_dataset(out, **SMALL)
    before = contents(out)
    rename, calls = os.rename, []

    def fail_once(source, target):
        calls.append(source)
        if len(calls) == 2:
            raise OSError("no")
        rename(source, target)

    monkeypatch.setattr(os, "rename", fail_once)
    with pytest.raises(OSError, match="no"):
        dataset_writer.write_dataset(out, **SMALL | {"seed": 8})
    assert contents(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


@pytest.mark.command
def test_killed_half_way_it_leaves_the_old_folder_whole_and_the_next_one_tidies_up(tmp_path):
    out = tmp_path / "demo"
    dataset_writer.write_dataset(out, **SMALL)
    before = contents(out)
    command = [sys.executable, "src/simulate.py", "--out", str(out), "--children", "500", "--workers", "1"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        give_up = time.monotonic() + 60
        while not list(tmp_path.glob(".tmp-*/train/*.npy")) and time.monotonic() < give_up:
            assert process.poll() is None
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert list(tmp_path.glob(".tmp-*/train/*.npy"))
    assert contents(out) == before
    dataset_writer.write_dataset(out, **SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]
    assert contents(out) == before


def test_hidden_folders_of_others_and_of_running_simulations_are_left_alone(tmp_path):
    running = f".tmp-{os.getppid()}-{files.HOST}-0123abcd"
    elsewhere = f".tmp-{os.getpid()}-ffffffff-0123abcd"  # of another machine that shares the disk
    deeper = f"mine/.tmp-99999999-{files.HOST}-0123abcd"
    kept = [".tmp-something", ".tmp-2024-thesis", "mine", deeper, running, elsewhere]
    for name in kept:
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text("mine")
    dataset_writer.write_dataset(tmp_path / "demo", **SMALL)
    for name in kept:
        assert (tmp_path / name / "a.txt").read_text() == "mine"


# ---- the script


def run(*flags):
    return subprocess.run([sys.executable, "src/simulate.py", *flags], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.command
def test_the_script_prints_that_the_data_is_simulated_and_what_to_run_next(tmp_path):
    out = tmp_path / "a demo"
    done = run(
        "--out", str(out), "--children", "4", "--segments-per-child", "2", "--frames", "90",
        "--recordings", "2", "--minutes", "1", "--workers", "1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert without_progress(done.stderr) == ""  # no progress bar without a terminal
    assert "SIMULATED" in done.stdout
    assert "train: 6 segments, 3 children, prevalence" in done.stdout
    assert "test: 2 segments, 1 children, prevalence" in done.stdout
    assert "recordings: 2, 2 minutes, float32 at 30 frames per second" in done.stdout
    assert "recordings/, events.csv" in done.stdout
    assert done.stdout.endswith(f"next:    python src/verify.py --data '{out}' --frames 90\n")
    assert np.load(out / "recordings" / "child_2_1.npy").shape == (1800, 33, 5)


@pytest.mark.command
def test_the_script_refuses_with_exit_code_one_and_names_the_file(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    done = run("--out", str(tmp_path))
    assert done.returncode == 1
    assert "mine.txt" in done.stderr
    assert (tmp_path / "mine.txt").exists()


@pytest.mark.command
def test_a_prevalence_that_two_fifths_of_controls_rule_out_is_wrong_usage(tmp_path):
    done = run("--out", str(tmp_path / "demo"), "--prevalence", "0.9")
    assert done.returncode == 2
    assert "0.55" in done.stderr + done.stdout
    assert not (tmp_path / "demo").exists()
