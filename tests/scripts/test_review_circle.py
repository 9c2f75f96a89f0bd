"""The circle of detection, review and the next training runs through, and its numbers are consistent."""

import json
import subprocess
import sys

import numpy as np
import pytest

from benchmarks.review_circle import (
    ReviewCircle,
    describe_segments,
    review,
    sensitivities,
    spasm_inside,
    true_events,
    write_random,
)
from helpers.repository import ROOT
from helpers.tables import table
from spasm.data.segment_cutting import Cutting
from spasm.inference.event_detection import Event, make_windows

pytestmark = pytest.mark.command
FLAGS = """
    --models lgbm --lgbm.num-boost-round 10 --lgbm.learning-rate 0.3 --lgbm.min-data-in-leaf 3 --folds 2 --frames 60
    --children 12 --segments-per-child 8 --recordings 4 --minutes 3 --new-recordings 4 --new-minutes 2 --new-segments 4
    --queue-threshold 0.25 --cluster-s 5 --seeds 1 --workers 1 --device cpu --precision float32
"""


def test_the_whole_circle_runs_and_its_numbers_are_consistent(tmp_path):
    out = tmp_path / "out"
    words = ["--out", str(out), "--cache", str(tmp_path / "cache"), *FLAGS.split()]
    command = [sys.executable, "benchmarks/review_circle.py", *words]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    assert "SIMULATED DATA" in finished.stdout
    rows = table(out / "table.csv")
    assert {row["arm"] for row in rows} == {"review"}
    for row in rows:
        if row["difference"]:
            assert float(row["difference"]) == pytest.approx(float(row["second"]) - float(row["first"]), abs=1e-5)
            assert 0 <= float(row["first"]) <= 1
            assert float(row["difference_low"]) <= float(row["difference_high"])
    reviewed = table(out / "seed_0/review.csv")
    [queue] = json.loads((out / "queue.json").read_text()).values()
    decisions = [row["decision"] for row in reviewed]
    assert len(reviewed) == queue["reviewed"] > 0
    rejected = decisions.count("rejected")
    assert rejected == pytest.approx(queue["false_alarms_per_hour"] * queue["hours"], abs=0.02)
    origins = table(out / "seed_0/review/origin.csv")
    trained = {row["segment_name"] for row in table(out / "seed_0/run_review/oof.csv")}
    assert {row["segment_name"] for row in origins} < trained, "the second run was trained on what was reviewed"
    first = {row["segment_name"] for row in table(out / "seed_0/run_first/oof.csv")}
    assert first < trained and len(trained) == len(first) + len(origins)
    folder, truth = out / "seed_0", true_events(out / "seed_0/queue")
    write_random(ReviewCircle(cutting=Cutting(frames=60)), folder, out / "random", truth, 0)
    assert len(table(out / "random/origin.csv")) == len(origins), "the control has as many segments"
    described = describe_segments(out / "random", truth.spans, 60)
    assert described["label_0_with_a_spasm"] == described["label_1_without_a_spasm"] == 0


def test_a_simulated_reviewer_accepts_what_meets_a_spasm_and_adds_what_was_missed():
    truth = {"child_1_1.npy": np.array([[10.0, 11.0], [50.0, 51.0], [80.0, 81.0]])}
    detected = {
        "child_1_1.npy": [Event(9.0, 12.0, 0.99, 15.0), Event(30.0, 31.0, 0.98, 36.0), Event(51.5, 53, 0.9, 58)]
    }
    rows = review(ReviewCircle(onset_noise_s=0.0, adding=1.0), detected, truth, 0)
    assert [row[3:6] for row in rows] == [
        ("spasm", "accepted", "detected"),
        ("other", "rejected", "detected"),
        ("spasm", "accepted", "detected"),
        ("spasm", "accepted", "added"),
    ]
    assert rows[0][1:3] == ("10.00", "11.00") and rows[0][6:8] == ("9.00", "12.00")
    assert rows[1][1:3] == rows[1][6:8] and rows[3][1:3] == ("80.00", "81.00")
    wrong = review(ReviewCircle(error_rate=1.0), detected, truth, 0)
    assert [row[4] for row in wrong] == ["rejected", "accepted", "rejected"]


def test_the_sensitivity_at_a_limit_is_that_of_the_best_threshold_within_it(tmp_path):
    """Six spasms of known probability and four false alarms in half an hour, and half an hour without any."""
    frames, probabilities = 1800 * 30, np.zeros(1796)
    for at, probability in ((100, 0.9), (300, 0.8), (500, 0.7), (700, 0.6), (900, 0.5), (1100, 0.4)):
        probabilities[at] = probability
    for at, probability in ((1200, 0.85), (1300, 0.65), (1400, 0.55), (1500, 0.45)):
        probabilities[at] = probability
    curve = np.zeros((2, frames // 3))  # probability and movement
    windows = make_windows(frames, 150, 30, probabilities, np.full(1796, 5.0), np.full(1796, 5.0), curve)
    quiet = make_windows(frames, 150, 30, np.zeros(1796), np.full(1796, 5.0), np.full(1796, 5.0), curve)
    paths = [tmp_path / "child_1_1.npy", tmp_path / "child_2_1.npy"]
    true = np.array([[at + 2.0, at + 3.0] for at in (100, 300, 500, 700, 900, 1100)])
    truth = {"child_1_1.npy": true, "child_2_1.npy": np.empty((0, 2))}
    point = sensitivities(dict(zip(paths, (windows, quiet), strict=True)), truth, 0).point
    assert point["sensitivity at 1/h"] == pytest.approx(3 / 6), "one false alarm in an hour: down to 0.7"
    assert point["sensitivity at 3/h"] == pytest.approx(5 / 6)
    assert point["sensitivity at 10/h"] == 1


def test_a_window_has_the_spasm_of_which_half_a_second_is_inside():
    truth = np.array([[10.0, 11.0], [20.0, 20.3]])
    assert spasm_inside(round(30 * 10.5), 60, truth) == (10.0, 11.0)
    assert spasm_inside(round(30 * 10.6), 60, truth) is None
    assert spasm_inside(600, 60, truth) is None and spasm_inside(0, 60, np.empty((0, 2))) is None
