"""The simulator: what it draws, what it writes, and what it refuses to overwrite."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from spasm import body as anatomy
from spasm import sensor, simulated_data, simulation
from spasm.errors import DataError
from spasm.landmarks import INDEX, MEDIAPIPE_EDGES, MIRROR

ROOT = Path(__file__).parent.parent
SMALL = {"children": 6, "segments_per_child": 3, "seed": 7, "frames": 90}


def table(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The default data set: 60 children, 10 segments each; its folder, truth rows and poses (600, 150, 33, 5)."""
    out = tmp_path_factory.mktemp("simulation") / "demo"
    rows = simulated_data.write_dataset(out, 60, 10, 7, 150)
    poses = np.stack([np.load(out / row["split"] / row["segment_name"]) for row in rows])
    return out, rows, poses


def labels_of(rows):
    return np.array([row["label"] for row in rows])


def children_of(rows):
    return np.array([int(row["segment_name"].split("_")[1]) for row in rows])


# ---- what is drawn


def test_the_same_seed_gives_the_same_bytes_and_another_seed_gives_others(tmp_path):
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        simulated_data.write_dataset(tmp_path / name, **SMALL | {"seed": seed})
    first, second, third = (contents(tmp_path / name) for name in "abc")
    assert first == second
    poses = [name for name in first.keys() & third.keys() if name.endswith(".npy")]
    assert poses
    # Two wholly missing segments, all NaN, may look alike.
    assert sum(first[name] != third[name] for name in poses) > len(poses) / 2
    assert first["truth.csv"] != third["truth.csv"]


def test_a_child_does_not_depend_on_how_many_children_there_are(tmp_path):
    simulated_data.write_dataset(tmp_path / "few", **SMALL)
    simulated_data.write_dataset(tmp_path / "many", **SMALL | {"children": 9})
    few, many = (
        {path.name: path.read_bytes() for path in (tmp_path / name).rglob("*.npy")} for name in ("few", "many")
    )
    assert len(few) == 18
    assert few.items() <= many.items()


def test_coordinates_are_finite_or_a_whole_frame_is_missing(demo):
    _, _, poses = demo
    missing = np.isnan(poses)
    frames = missing.all(axis=(2, 3))
    assert (missing == frames[:, :, None, None]).all()
    assert np.isfinite(poses[~frames]).all()
    assert (poses[~frames][..., 3:] >= 0).all() and (poses[~frames][..., 3:] <= 1).all()


def test_gaps_are_as_frequent_as_in_home_videos(demo):
    _, _, poses = demo
    gaps = np.isnan(poses).all(axis=(2, 3)).mean(axis=1)
    assert 0.2 < gaps.mean() < 0.36  # 0.28 in the recordings
    assert 0.5 < (gaps > 0).mean() < 0.8  # 0.65
    assert 0.01 < (gaps == 1).mean() < 0.1  # 0.043


def test_some_coordinates_lie_outside_the_picture(demo):
    _, _, poses = demo
    xy = poses[~np.isnan(poses).all(axis=(2, 3))][..., :2]
    assert 0.05 < ((xy < 0) | (xy > 1)).any(axis=-1).mean() < 0.35


def test_depth_is_zero_at_the_middle_of_the_hips_before_noise():
    rng = np.random.default_rng(0)
    child = simulation.draw_child(rng, "patient")
    body = anatomy.pose_body(simulation.draw_movement(rng, child, None, 60), child.bones)
    picture = sensor.photograph(rng, child, body)
    hips = picture[:, [INDEX["left_hip"], INDEX["right_hip"]], 2].mean(axis=1)
    np.testing.assert_allclose(hips, 0, atol=1e-12)


def test_bones_keep_their_length_while_the_body_moves():
    rng = np.random.default_rng(1)
    child = simulation.draw_child(rng, "patient")
    spasm = simulation.Spasm("flexor", 1.0, 0.2, 0.3, 1.0, 1.5)
    body = anatomy.pose_body(simulation.draw_movement(rng, child, spasm, 150), child.bones)
    moved = np.linalg.norm(np.ptp(body, axis=0), axis=-1)
    assert moved[INDEX["left_wrist"]] > 0.05
    # The trunk bends at the hips, so the two sides of the trunk change; every other edge is a bone.
    for a, b in MEDIAPIPE_EDGES:
        if (a, b) not in ((11, 23), (12, 24)):
            length = np.linalg.norm(body[:, a] - body[:, b], axis=-1)
            np.testing.assert_allclose(length, length[0], rtol=1e-9)


def test_a_body_in_a_symmetric_pose_is_its_own_mirror_image():
    body = anatomy.pose_body(np.deg2rad(anatomy.REST)[None], anatomy.BONES)[0]
    np.testing.assert_allclose(body[list(MIRROR)] * (-1, 1, 1), body, atol=1e-12)


def test_a_flexor_spasm_brings_the_head_forward_and_an_extensor_spasm_takes_it_back():
    child = simulation.draw_child(np.random.default_rng(2), "patient")
    nose = {}
    for kind in (None, "flexor", "extensor"):
        spasm = simulation.Spasm(kind, 1.0, 0.2, 0.8, 1.0, 1.0) if kind else None
        bodies = [
            anatomy.pose_body(simulation.draw_movement(np.random.default_rng(n), child, spasm, 90), child.bones)
            for n in range(20)
        ]
        nose[kind] = np.mean([body[45, INDEX["nose"], 2] for body in bodies])
    assert nose["flexor"] > nose[None] + 0.05
    assert nose["extensor"] < nose[None] - 0.05


# ---- how hard it is


def test_segments_with_a_spasm_move_more_but_peak_speed_alone_does_not_tell_them(demo):
    _, rows, poses = demo
    speed = np.linalg.norm(poses[:, 3:, :, :2] - poses[:, :-3, :, :2], axis=-1).mean(axis=2) / 3
    seen = ~np.isnan(speed).all(axis=1)
    peak, labels = np.nanmax(speed[seen], axis=1), labels_of(rows)[seen]
    assert peak[labels == 1].mean() > peak[labels == 0].mean()
    assert 0.5 < roc_auc_score(labels, peak) < 0.9


def test_gaps_visibility_number_and_order_do_not_tell_the_label(demo):
    _, rows, poses = demo
    gaps = np.isnan(poses[..., 0, 0])
    order = [int(row["segment_name"].removesuffix(".npy").split("_")[2]) for row in rows]
    channels = np.nan_to_num(poses[..., 3:]).mean(axis=1).reshape(len(rows), -1)
    runs = (np.diff(gaps.astype(int), axis=1) == 1).sum(axis=1)
    told = np.column_stack(
        [children_of(rows), order, gaps.mean(axis=1), runs, gaps[:, 0], gaps[:, -1], channels[:, ::4]]
    )
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1))
    folds = GroupKFold(5)
    labels = labels_of(rows)
    guess = cross_val_predict(model, told, labels, groups=children_of(rows), cv=folds, method="decision_function")
    assert 0.35 < roc_auc_score(labels, guess) < 0.65


def test_about_a_quarter_of_the_segments_are_positive(demo):
    _, rows, _ = demo
    assert 0.18 < labels_of(rows).mean() < 0.34


# ---- what is written


def test_the_tables_agree_with_the_files(demo):
    out, rows, poses = demo
    truth, train, groups = (table(out / name) for name in ("truth.csv", "train_data.csv", "groups.csv"))
    names = {split: sorted(path.name for path in (out / split).iterdir()) for split in ("train", "test")}
    assert [row["segment_name"] for row in train] == names["train"]
    assert [(r["segment_name"], r["label"]) for r in truth if r["split"] == "train"] == [
        (r["segment_name"], r["label"]) for r in train
    ]
    assert [row["segment_name"] for row in truth] == sorted(names["train"] + names["test"])
    assert len(truth) == len(rows) == 600
    assert poses.shape == (600, 150, 33, 5) and poses.dtype == np.float64
    assert {row["child"]: row["cohort"] for row in groups} == {
        row["segment_name"].split("_")[1]: row["cohort"] for row in truth
    }
    assert len(groups) == 60
    for name in ("truth.csv", "train_data.csv", "groups.csv", "simulated.json"):
        text = (out / name).read_bytes()
        assert text.endswith(b"\n") and b"\r" not in text
    marker = json.loads((out / "simulated.json").read_text(encoding="utf-8"))
    assert marker["simulated"] is True
    assert sorted(marker["files"]) == sorted(contents(out).keys() - {"simulated.json"})
    assert marker["file_count"] == len(marker["files"]) == 603


def test_a_segment_file_is_in_c_order(demo):
    out, rows, _ = demo
    assert np.load(out / rows[0]["split"] / rows[0]["segment_name"]).flags.c_contiguous


def test_the_label_is_one_exactly_when_half_a_second_of_a_spasm_lies_inside(demo):
    out, _, _ = demo
    shorter = 0
    for row in table(out / "truth.csv"):
        event = row["event_start_frame"], row["event_end_frame"], row["event_type"]
        if not any(event):
            assert row["label"] == "0"
            continue
        start, end = int(event[0]), int(event[1])
        assert 0 <= start < end <= 150 and event[2] in simulation.SPASMS
        assert row["label"] == str(int(end - start >= 15))
        shorter += end - start < 15
    assert shorter  # some spasms are cut so short that the label is 0


def test_controls_have_no_spasm_and_every_patient_can(demo):
    out, _, _ = demo
    truth = table(out / "truth.csv")
    assert all(row["event_type"] == "" and row["label"] == "0" for row in truth if row["cohort"] == "control")
    patients = {row["segment_name"].split("_")[1] for row in truth if row["cohort"] == "patient"}
    positive = {row["segment_name"].split("_")[1] for row in truth if row["label"] == "1"}
    assert len(patients) == 36
    assert len(positive) > 30


@pytest.mark.parametrize("children", [4, 5, 6, 9, 60])
@pytest.mark.parametrize("seed", range(5))
def test_a_quarter_of_the_children_is_held_out_and_training_keeps_both_cohorts(children, seed):
    tested = simulation.held_out_children(seed, children)
    assert len(tested) == max(1, round(children / 4))
    training = set(range(1, children + 1)) - tested
    assert {simulation.cohort(seed, child) for child in training} == {"patient", "control"}
    if len(tested) > 1:
        assert {simulation.cohort(seed, child) for child in tested} == {"patient", "control"}


def test_no_child_is_in_train_and_in_test(demo):
    _, rows, _ = demo
    sides = {split: {n for n, row in zip(children_of(rows), rows, strict=True) if row["split"] == split}
             for split in ("train", "test")}  # fmt: skip
    assert not sides["train"] & sides["test"]
    assert len(sides["test"]) == 15


# ---- what is replaced, and what is refused


def test_its_own_folder_is_replaced_as_a_whole(tmp_path):
    out = tmp_path / "demo"
    simulated_data.write_dataset(out, **SMALL | {"children": 8})
    simulated_data.write_dataset(out, **SMALL)
    assert len(list(out.rglob("*.npy"))) == 18
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


def test_an_empty_folder_is_filled(tmp_path):
    simulated_data.write_dataset(tmp_path / "new" / "demo", **SMALL)
    (tmp_path / "empty").mkdir()
    simulated_data.write_dataset(tmp_path / "empty", **SMALL)
    assert contents(tmp_path / "empty") == contents(tmp_path / "new" / "demo")


def refused(out, match):
    before = contents(out.parent)
    with pytest.raises(DataError, match=match):
        simulated_data.write_dataset(out, **SMALL)
    assert contents(out.parent) == before


def test_a_folder_that_it_did_not_make_is_refused_and_left_alone(tmp_path):
    out = tmp_path / "mine"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    refused(out, "thesis.txt")
    (out / "simulated.json").write_text('{"simulated": true}')
    refused(out, "did not make")
    (out / "simulated.json").write_text("not json")
    refused(out, "did not make")


@pytest.mark.parametrize("extra", ["notes.txt", "train/child_99_1.npy", "train/.hidden", "more/notes.txt"])
def test_a_file_that_somebody_put_into_its_folder_is_named_and_kept(tmp_path, extra):
    out = tmp_path / "demo"
    simulated_data.write_dataset(out, **SMALL)
    (out / extra).parent.mkdir(exist_ok=True)
    (out / extra).write_text("mine")
    refused(out, extra.split("/")[0] if extra.startswith("more") else extra.replace(".", r"\."))


def test_a_file_put_there_while_it_simulates_is_kept(tmp_path):
    out = tmp_path / "demo"
    simulated_data.write_dataset(out, **SMALL)

    def meddle(children):
        (out / "late.txt").write_text("mine")
        return children

    with pytest.raises(DataError, match=r"late\.txt"):
        simulated_data.write_dataset(out, **SMALL, progress=meddle)
    assert (out / "late.txt").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


def test_a_symbolic_link_is_refused(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    refused(tmp_path / "link", "symbolic link")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    refused(tmp_path / "dangling", "symbolic link")


def test_a_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    refused(tmp_path / "file", "not a folder")


def test_an_interrupted_simulation_leaves_the_old_folder_and_no_other(tmp_path):
    out = tmp_path / "demo"
    simulated_data.write_dataset(out, **SMALL)
    before = contents(out)

    def interrupt(children):
        yield from list(children)[:3]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulated_data.write_dataset(out, **SMALL | {"seed": 8}, progress=interrupt)
    assert contents(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


def test_killed_half_way_it_leaves_the_old_folder_whole(tmp_path):
    out = tmp_path / "demo"
    simulated_data.write_dataset(out, **SMALL)
    before = contents(out)
    command = [sys.executable, "src/simulate.py", "--out", str(out), "--children", "500", "--seed", "8"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        give_up = time.monotonic() + 60
        while not list(tmp_path.glob(".tmp-*/train/*.npy")) and time.monotonic() < give_up:
            assert process.poll() is None
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert list(tmp_path.glob(".tmp-*/train/*.npy"))
    assert contents(out) == before
    simulated_data.write_dataset(out, **SMALL)


# ---- the script


def test_the_script_says_that_the_data_is_simulated_and_what_to_run_next(tmp_path):
    out = tmp_path / "a demo"
    command = [sys.executable, "src/simulate.py", "--out", str(out), "--children", "4", "--segments-per-child", "2"]
    done = subprocess.run([*command, "--frames", "90"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # no progress bar where nobody watches
    assert "SIMULATED" in done.stdout
    assert "train: 6 segments, 3 children, prevalence" in done.stdout
    assert "test: 2 segments, 1 children, prevalence" in done.stdout
    assert done.stdout.endswith(f"next: python src/verify.py --data '{out}' --frames 90\n")


def test_the_script_refuses_with_exit_code_one_and_names_the_file(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    command = [sys.executable, "src/simulate.py", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "mine.txt" in done.stderr
    assert (tmp_path / "mine.txt").exists()
