"""How the simulation compares with real recordings: the figures, their bounds, and the script that prints them."""

import csv
import subprocess
import sys

import numpy as np
import pytest
from sklearn.metrics import f1_score

from helpers.repository import ROOT
from spasm.core.errors import DataError
from spasm.ensemble.thresholds import cross_fitted
from spasm.simulation import difficulty, infant, realism
from spasm.simulation.infant import SimulationConfig, simulate_child
from spasm.simulation.pose_noise import resample
from spasm.simulation.realism import BABYJOKES, SPEEDS

RECORDINGS = ROOT.parent / "shared" / "data" / "babyjokes"


def sampled(world, children, segments, seed=7):
    """Poses (N, 150, 33, 5), labels (N,) and children (N,)."""
    rows = [(child, each) for child in range(1, children + 1) for each in simulate_child(seed, child, segments, world)]
    return np.stack([r.pose for _, r in rows]), np.array([r.label for _, r in rows]), np.array([c for c, _ in rows])


@pytest.fixture(scope="module")
def at_a_table():
    return sampled(SimulationConfig(camera_setup="table"), 120, 4)


@pytest.fixture(scope="module")
def usual():
    return sampled(SimulationConfig(), 60, 10)


@pytest.fixture(scope="module")
def real():
    """The child windows of InfantLab/babyjokes (184, 150, 33, 5), and whose they are."""
    if not RECORDINGS.is_dir():
        pytest.skip("the real recordings are not here")
    with open(RECORDINGS / "segments.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    child = np.array([row["person"] == "child" for row in rows])
    with np.load(RECORDINGS / "segments.npz") as archive:
        return archive["x"][child], np.array([row["child_id"] for row in rows])[child]


@pytest.mark.slow
def test_the_noise_of_simulated_windows_stays_within_its_bounds(at_a_table):
    figures = realism.noise_metrics(at_a_table[0])
    assert figures.keys() == BABYJOKES.keys()
    assert [name for name, row in BABYJOKES.items() if not row.low <= figures[name] <= row.high] == []


@pytest.mark.slow
def test_the_bounds_lie_around_what_the_real_recordings_show(real):
    figures = realism.noise_metrics(real[0])
    for name, row in BABYJOKES.items():
        assert figures[name] == pytest.approx(row.real, rel=0.03, abs=0.006), name
        assert row.low <= row.real <= row.high


@pytest.mark.slow
def test_resting_children_at_a_table_are_as_fast_as_real_ones():
    table = difficulty.SimulatedSample(SimulationConfig(camera_setup="table"), 120, 4, 7)
    speeds = realism.speed_metrics(table.poses[table.resting], table.aspects[table.resting])
    assert [name for name, row in SPEEDS.items() if not row.low <= speeds[name] <= row.high] == []


@pytest.mark.slow
def test_the_slowest_and_fastest_resting_children_at_home_cover_the_speeds_of_real_ones():
    home = difficulty.SimulatedSample(SimulationConfig(), 60, 10, 7)
    speeds = realism.speed_metrics(home.poses[home.resting], home.aspects[home.resting])
    for part in ("hands", "head", "trunk"):
        assert speeds[f"speed of {part}, 10th centile"] <= SPEEDS[f"speed of {part}, 10th centile"].real
        assert speeds[f"speed of {part}, 99th centile"] >= SPEEDS[f"speed of {part}, 90th centile"].real


@pytest.mark.slow
def test_the_reference_speeds_are_those_of_the_real_recordings(real):
    speeds = realism.speed_metrics(real[0], np.full(len(real[0]), realism.TABLE_ASPECT))
    for name, row in SPEEDS.items():
        assert speeds[name] == pytest.approx(row.real, rel=0.03, abs=0.003), name
        assert row.low <= row.real <= row.high


def test_speed_is_that_of_a_moving_hand_whatever_the_camera_does_and_however_noisy():
    """A hand goes 0.3 trunk lengths per second; the picture is wide, shifted and rolled, and landmarks tremble."""
    rng = np.random.default_rng(3)
    pose = np.ones((150, 33, 5))
    pose[..., :2] = 0.0
    pose[:, 23:29, 1] = 1.0  # hips and feet a trunk length below the shoulders
    pose[:, 15:17, 0] = 0.3 * np.arange(150)[:, None] / 30
    for degrees, aspect, noise, wanted in ((0, 1.0, 0.0, 1e-6), (50, 16 / 9, 0.0, 1e-6), (50, 16 / 9, 0.01, 0.03)):
        turn = np.deg2rad(degrees)
        seen = pose.copy()
        flat = pose[..., :2] @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        seen[..., :2] = (0.2 * (flat + noise * rng.normal(size=flat.shape)) + 0.5) / (aspect, 1)
        speeds = realism.movement_speeds(seen[None], np.array([aspect]))
        assert speeds["hands"][0, 0] == pytest.approx(0.3, abs=wanted)
        assert speeds["head"][0, 0] < 0.06
    pose[:, 15:17, 3] = 0.1
    assert np.isnan(realism.movement_speeds(pose[None], np.ones(1))["hands"]).all()
    assert all(np.isnan(rows).all() for rows in realism.movement_speeds(pose[None] * np.nan, np.ones(1)).values())


@pytest.mark.slow
def test_real_and_simulated_windows_are_harder_to_separate_than_without_the_sensor(real, at_a_table, monkeypatch):
    def perfect(rng, sensor, camera, picture, t, frames):
        return resample(np.concatenate([picture, np.ones((t.size, 33, 2))], axis=-1), t, frames)

    figures = realism.noise_statistics(real[0])
    poses, _, children = at_a_table
    sensed = realism.real_or_simulated_auc(figures, real[1], realism.noise_statistics(poses), children)
    monkeypatch.setattr(infant, "apply_pose_noise", perfect)
    poses, _, children = sampled(SimulationConfig(camera_setup="table"), 120, 4)
    clean = realism.real_or_simulated_auc(figures, real[1], realism.noise_statistics(poses), children)
    assert 0.5 < sensed < 0.92 < clean


@pytest.mark.slow
def test_plain_statistics_find_spasms_as_well_as_was_meant_and_peak_speed_alone_does_not(usual):
    poses, labels, children = usual
    assert 0.70 < realism.grouped_auc(realism.plain_statistics(poses), labels, children) < 0.86
    peak = realism.peak_speed(poses)
    assert np.median(peak[labels == 1]) > np.median(peak[labels == 0])
    assert 0.5 < realism.roc_auc(labels, peak, np.zeros(len(labels), dtype=int)) < 0.75


@pytest.mark.slow
def test_different_setups_for_the_cohorts_inflate_the_f1_of_all_over_that_of_patients():
    inflated = {}
    controls = np.array([infant.cohort(7, child) == "control" for child in range(1, 151)])
    for confound in (False, True):
        poses, labels, children = sampled(SimulationConfig(confound=confound), 150, 6)
        statistics = np.concatenate([realism.plain_statistics(poses), realism.noise_statistics(poses)], axis=1)
        fold_of = realism.child_folds(children, 5)
        positive, _ = cross_fitted(labels, realism.out_of_fold(statistics, labels, fold_of), fold_of)
        patients = ~controls[children - 1]
        prevalence = labels[patients].mean()
        of_all = difficulty.f1_at_prevalence(labels, positive, prevalence)
        inflated[confound] = of_all - difficulty.f1_at_prevalence(labels[patients], positive[patients], prevalence)
    assert inflated[True] > inflated[False] + 0.01


def test_f1_at_the_prevalence_that_is_there_is_the_usual_one():
    rng = np.random.default_rng(0)
    labels, positive = rng.integers(0, 2, 500), rng.random(500) < 0.4
    assert difficulty.f1_at_prevalence(labels, positive, labels.mean()) == pytest.approx(f1_score(labels, positive))


def test_gap_lengths_are_those_of_each_run_also_at_the_borders():
    whole = np.array([[0, 0, 1, 1, 0, 1], [1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 1, 0]], dtype=bool)
    assert realism.gap_lengths(whole).tolist() == [2, 1, 6, 3, 1]


@pytest.mark.slow
def test_plain_statistics_do_not_see_where_the_child_is_or_how_large(usual):
    poses = usual[0][:20]
    moved = poses.copy()
    moved[..., :3] = 0.7 * moved[..., :3] + np.array([0.2, -0.1, 0.0])
    # When it was fastest is a frame number, which a rounding error can move; all else is a length or a speed.
    lengths = [i for i in range(realism.plain_statistics(poses).shape[1]) if i % 14 != 10]
    before, after = (realism.plain_statistics(each)[:, lengths] for each in (poses, moved))
    np.testing.assert_allclose(after, before, rtol=1e-3, atol=1e-5)


def test_segments_without_any_pose_have_statistics_too():
    nothing = np.full((3, 150, 33, 5), np.nan)
    assert np.isfinite(realism.plain_statistics(nothing)).all()
    assert (realism.peak_speed(nothing) == 0).all()
    assert np.isnan(realism.motion_statistics(nothing)).all()
    assert realism.noise_statistics(nothing)[:, 0].tolist() == [1, 1, 1]


def test_an_interpolated_gap_is_a_straight_line():
    poses = np.zeros((1, 10, 33, 5))
    poses[:, :, 11:13, 1] = -0.5  # shoulders half a picture above the hips
    poses[:, :, 15, 0] = np.arange(10) / 10
    poses[:, 3:7] = np.nan
    wrist = realism._positions(poses)[0, 0, 15]
    np.testing.assert_allclose(wrist, np.arange(10) / 5, atol=1e-6)


def test_folds_hold_whole_children():
    children = np.repeat(np.arange(12), 3)
    fold_of = realism.child_folds(children, 4)
    assert len({(c, f) for c, f in zip(children, fold_of, strict=True)}) == 12
    assert set(fold_of) == {0, 1, 2, 3}


def test_the_script_prints_every_figure(simulated, tmp_path):
    with open(simulated / "truth.csv", encoding="utf-8", newline="") as file:
        truth = {row["segment_name"]: row for row in csv.DictReader(file)}
    positive = [name for name, row in truth.items() if row["label"] == "1"]
    assert positive
    lines = ["segment_name,probability,label,peak_time_s"]
    for name, row in truth.items():
        peak_time_s = (int(row["event_start_frame"]) + 1) / 30 if row["label"] == "1" else 0.0
        lines.append(f"{name},0.5,1,{peak_time_s}")
    (tmp_path / "predictions.csv").write_text("\n".join(lines) + "\n")
    real = tmp_path / "real"
    (real / "train").mkdir(parents=True)
    for child in range(1, 4):
        for k, segment in enumerate(simulate_child(1, child, 6, SimulationConfig())):
            np.save(real / "train" / f"child_{child}_{k}.npy", segment.pose)
    flags = ["--children", "20", "--segments-per-child", "3", "--real-data", real, "--data", simulated]
    command = [sys.executable, "src/check_simulation.py", *flags, "--predictions", tmp_path / "predictions.csv"]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    for words in (
        *BABYJOKES,
        *SPEEDS,
        "by noise: AUC",
        "by motion: AUC",
        "plain kinematic statistics: AUC",
        "peak speed alone",
    ):
        assert words in finished.stdout
    for words in ("length, gaps, order and names, 1200 segments: AUC", "recorded alike", "recorded differently"):
        assert words in finished.stdout
    assert f"attention, {len(positive)} positive segments" in finished.stdout
    assert "inside a true event 1.000" in finished.stdout


def test_predictions_for_other_segments_are_refused_by_name(simulated, tmp_path):
    (tmp_path / "predictions.csv").write_text("segment_name,peak_time_s\nchild_999_1.npy,1.0\n")
    with pytest.raises(DataError, match=r"child_999_1\.npy is not in"):
        difficulty.attention_hits(simulated, tmp_path / "predictions.csv")
    (tmp_path / "predictions.csv").write_text("segment_name,peak_time_s\n")
    with pytest.raises(DataError, match="no positive segment"):
        difficulty.attention_hits(simulated, tmp_path / "predictions.csv")


@pytest.mark.command
def test_a_folder_that_is_not_there_is_named(tmp_path):
    command = [sys.executable, "src/check_simulation.py", "--real-data", tmp_path / "nowhere"]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert finished.returncode == 1
    assert "nowhere" in finished.stderr and "Traceback" not in finished.stderr
