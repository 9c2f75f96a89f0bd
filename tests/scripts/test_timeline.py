"""timeline.py: recordings become windows, windows events, and events metrics; nothing is predicted twice."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import timeline
from helpers.repository import ROOT
from helpers.tables import table
from spasm.cli import app
from spasm.inference import sliding_window
from spasm.inference.event_detection import EVENT_COLUMNS
from spasm.simulation import dataset_writer
from spasm.simulation.infant import SimulationConfig
from timeline import Timeline

T = 60


def probabilities(path):
    return np.array([float(row["probability"]) for row in table(path)])


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Four recordings of four children, two minutes each, and events.csv."""
    out = tmp_path_factory.mktemp("recorded") / "demo"
    dataset_writer.write_dataset(out, 5, 1, 17, SimulationConfig(frames=T), recordings=4, minutes=2.0, workers=1)
    return out


@pytest.fixture
def call(trained, recorded, tmp_path, capsys):
    """Runs timeline.py here on the first recordings; gives exit code, stdout and stderr."""

    def run(*more, recordings=4, paths=None, out=tmp_path / "out"):
        paths = sorted((recorded / "recordings").iterdir())[:recordings] if paths is None else paths
        flags = ["--run", trained, "--out", out, "--device", "cpu", "--precision", "float32", *more]
        try:
            code = app.run(timeline.main, Timeline, "", list(map(str, [*paths, *flags])))
        except SystemExit as stop:  # tyro ends the process itself
            code = stop.code
        return code, *capsys.readouterr()

    return run


def test_a_recording_becomes_events_probabilities_a_figure_and_a_paragraph(call, tmp_path):
    code, detected, errors = call("--rule", "hysteresis", "--event-on", "0.15", "--event-off", "0.1", recordings=2)
    assert code == 0, errors
    rows = table(tmp_path / "out/events.csv")
    assert tuple(rows[0]) == EVENT_COLUMNS
    for row in rows:
        assert 0 <= float(row["onset_s"]) < float(row["offset_s"]) <= 120
        assert float(row["detectable_at_s"]) > float(row["onset_s"])
        assert float(row["peak_probability"]) >= 0.15
    for name in ("child_1_1", "child_2_1"):
        assert (tmp_path / "out" / name / "timeline.png").read_bytes().startswith(b"\x89PNG")
        assert len(table(tmp_path / "out" / name / "probability_over_time.csv")) == 1200
        assert f"{name}.npy: " in detected
        windows = table(tmp_path / "out" / name / "windows.csv")
        assert all((row["probability"] == "nan") is (float(row["seen_s"]) < 0.2 * T / 30 - 0.01) for row in windows)
    assert "SIMULATED" in detected and "Not a medical device" in detected
    assert "events begin at 0.15; submission.py gives the label 1 from" in detected
    of_recordings = table(tmp_path / "out/recordings.csv")
    assert [row["recording"] for row in of_recordings] == ["child_1_1.npy", "child_2_1.npy"]
    assert sum(int(row["events"]) for row in of_recordings) == len(rows)
    assert all(float(row["seen_s"]) <= float(row["seconds"]) == 120 for row in of_recordings)


def test_a_page_for_the_review_is_written_and_named(call, tmp_path):
    code, printed, errors = call("--review", "--rule", "hysteresis", "--event-on", "0.15", "--event-off", "0.1",
                                 recordings=1)  # fmt: skip
    assert code == 0, errors
    page = tmp_path / "out/child_1_1/review.html"
    assert f"next:    open {page} in a browser, review its events (? lists the keys), and save review.csv" in printed
    _, printed, _ = call("--review", "--rule", "hysteresis", "--event-on", "1", recordings=1)
    assert f"next:    open {page} in a browser, add events that were missed (? lists" in printed
    call("--review", "--rule", "hysteresis", "--event-on", "0.15", "--event-off", "0.1", recordings=1)
    data = json.loads(re.search(r'id="data">(.*?)</script>', page.read_text(encoding="utf-8"))[1])
    keys = ("onset_s", "offset_s", "peak_probability")
    events = [[float(row[key]) for key in keys] for row in table(tmp_path / "out/events.csv")]
    assert (data["recording"], data["frames"]) == ("child_1_1.npy", 3600)
    assert data["events"] == [pytest.approx(event) for event in events]


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        (lambda poses: np.full_like(poses, np.nan), "no person was seen in 2.0 min: nothing can be predicted"),
        (lambda poses: poses[:1], "too little was seen in 0.03 s: nothing can be predicted"),
        (lambda poses: np.where(np.arange(len(poses))[:, None, None] % 30, np.nan, poses), "too little was seen in"),
        (lambda poses: poses + np.array([0, 0.9, 0, 0, 0]), "too little was seen in"),
        (lambda poses: poses[:50], "shorter than the 2 s window of the run"),
    ],
    ids=["no pose", "photograph", "1 frame a second", "beneath the picture", "shorter than a window"],
)
def test_what_was_not_seen_is_reported_and_never_called_free_of_events(call, tmp_path, frames, words):
    rng = np.random.default_rng(0)
    still = rng.uniform(0.3, 0.7, (1, 33, 5))
    poses = still + rng.normal(0, 0.002, (3600, 33, 5)).cumsum(axis=0).clip(-0.1, 0.1) * (1, 1, 1, 0, 0)
    np.save(tmp_path / "child_1_1.npy", frames(poses).astype(np.float32))
    code, detected, errors = call(paths=[tmp_path / "child_1_1.npy"])
    assert code == 0, errors
    assert words in " ".join(detected.split())
    [row] = table(tmp_path / "out/recordings.csv")
    if "nothing" in words or "too little" in words:
        [of_recording] = [line for line in detected.splitlines() if line.startswith("child_1_1.npy: ")]
        assert "no event" not in of_recording and "highest" not in of_recording
        assert (row["seen_s"], row["highest_probability"], row["events"]) == ("0.00", "", "0")
        assert {one["probability"] for one in table(tmp_path / "out/child_1_1/windows.csv")} == {"nan"}
        assert {one["probability"] for one in table(tmp_path / "out/child_1_1/probability_over_time.csv")} == {"nan"}
    else:
        assert row["highest_probability"] and words in row["note"]


def test_what_is_noticed_in_a_recording_is_printed_once_and_kept_and_pixels_are_refused(call, recorded, tmp_path):
    poses = np.load(recorded / "recordings/child_1_1.npy")
    path = tmp_path / "child_1_1.npy"
    missing, marked = poses.copy(), poses.copy()
    missing[900:1200], marked[900:1200] = np.nan, 0
    np.save(path, missing)
    assert call(paths=[path], out=tmp_path / "missing")[0] == 0
    np.save(path, marked)
    code, _, errors = call(paths=[path])
    assert code == 0
    noticed = [line for line in errors.splitlines() if line.startswith("warning: ")]
    assert len(noticed) == 1 and "child_1_1.npy: 9,900 marks for missing in 8 % of frames" in noticed[0]
    assert "9,900 marks" in json.loads((tmp_path / "out/child_1_1/manifest.json").read_text())["findings"][0]
    for name in ("windows.csv", "probability_over_time.csv"):
        assert (tmp_path / "out/child_1_1" / name).read_bytes() == (tmp_path / "missing/child_1_1" / name).read_bytes()
    np.save(path, poses * 500)
    code, _, errors = call(paths=[path])
    assert code == 1 and "child_1_1.npy: is in pixels" in errors and "import_poses.py" in errors


def test_every_window_is_predicted_as_the_segment_it_is(call, trained, recorded, tmp_path):
    """What batches and shared work change stays below 1e-4 of probability."""
    assert call("--stride-s", "0.7", recordings=1)[0] == 0
    poses = np.load(recorded / "recordings/child_1_1.npy")
    folder = tmp_path / "segments"
    folder.mkdir()
    firsts = [*range(0, len(poses) - T, 21), len(poses) - T]
    for number, first in enumerate(firsts, start=1):
        np.save(folder / f"child_1_{number:04}.npy", poses[first : first + T])
    flags = ["--test", folder, "--run", trained, "--out", tmp_path / "a.csv", "--device", "cpu"]
    command = [sys.executable, "submission.py", *map(str, flags), "--precision", "float32", "--name-pattern", "safe"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    alone = probabilities(tmp_path / "a_probabilities.csv")
    windows = table(tmp_path / "out/child_1_1/windows.csv")
    noted = [row["note"].startswith("too little was seen") for row in table(tmp_path / "a_probabilities.csv")]
    assert any(noted) and not all(noted)
    expected = np.where(noted, np.nan, alone)  # the same windows and segments are not predicted
    np.testing.assert_allclose([float(row["probability"]) for row in windows], expected, atol=1e-4)
    assert [float(row["end_s"]) for row in windows] == [pytest.approx((first + T) / 30, abs=0.01) for first in firsts]


def test_what_is_predicted_is_not_predicted_again_unless_the_recording_has_changed(
    call, recorded, tmp_path, monkeypatch
):
    paths = [tmp_path / f"child_{number}_1.npy" for number in (1, 2)]
    for path in paths:
        path.write_bytes((recorded / "recordings" / path.name).read_bytes())
    assert call(paths=paths)[0] == 0
    events = (tmp_path / "out/events.csv").read_bytes()
    predicted = []
    original = sliding_window.predict_recording
    counted = lambda path, *more: predicted.append(path) or original(path, *more)  # noqa: E731
    monkeypatch.setattr(sliding_window, "predict_recording", counted)
    assert call(paths=paths)[0] == 0
    assert predicted == []
    assert (tmp_path / "out/events.csv").read_bytes() == events
    np.save(paths[1], np.load(paths[1])[:900])
    assert call(paths=paths)[0] == 0
    assert predicted == [paths[1]]
    (tmp_path / "out/child_1_1/probability_over_time.csv").write_text("time_s,probability\n")
    assert call(paths=paths)[0] == 0
    assert predicted == [paths[1], paths[0]], "a file that a_user changed is made again"
    monkeypatch.setattr(sliding_window, "CURVE_COLUMNS", ("time_s", "probability", "speed"))
    assert call(paths=paths)[0] == 0
    assert predicted[2:] == paths, "so is one whose columns another version wrote"


def test_killed_it_goes_on_with_the_recording_it_was_at_and_ends_with_the_same_bytes(trained, recorded, tmp_path):
    paths = sorted(map(str, (recorded / "recordings").iterdir()))
    flags = ["--run", str(trained), "--device", "cpu", "--precision", "float32", "--stride-s", "0.1"]

    def command(out):
        return [sys.executable, "src/timeline.py", *paths, *flags, "--out", str(tmp_path / out)]

    subprocess.run(command("whole"), cwd=ROOT, check=True, capture_output=True)
    process = subprocess.Popen(command("killed"), cwd=ROOT, stdout=subprocess.DEVNULL)
    while not (tmp_path / "killed/child_1_1/manifest.json").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed/events.csv").exists()
    first = (tmp_path / "killed/child_1_1/manifest.json").stat().st_mtime_ns
    subprocess.run(command("killed"), cwd=ROOT, check=True, capture_output=True)
    assert (tmp_path / "killed/child_1_1/manifest.json").stat().st_mtime_ns == first
    whole, killed = (
        {os.fspath(path.relative_to(tmp_path / out)): path.read_bytes() for path in (tmp_path / out).rglob("*.*")}
        for out in ("whole", "killed")
    )
    assert whole == killed


@pytest.mark.parametrize("rule", ["hysteresis", "accumulation"])
def test_with_true_events_it_chooses_on_other_children_evaluates_and_keeps_the_rule(call, recorded, tmp_path, rule):
    code, detected, errors = call("--events", recorded / "events.csv", "--rule", rule)
    assert code == 0, errors
    for words in ("event sensitivity, 1 s tolerance", "false alarms per hour", "SzCORE", "of the true ones", "flatter"):
        assert words in detected
    evaluated = json.loads((tmp_path / "out/event_metrics.json").read_text())
    assert evaluated["settings"] == "settings chosen on the other children, not those given"
    assert 0 <= evaluated["1 s tolerance"]["event_sensitivity"]["value"] <= 1
    assert len(table(tmp_path / "out/tradeoff.csv")) >= 5
    assert (tmp_path / "out/tradeoff.png").read_bytes().startswith(b"\x89PNG")
    kept = json.loads((tmp_path / "out/rule.json").read_text())
    assert kept["rule"] == rule and kept["stride_s"] == 1.0
    flags = ("--settings", tmp_path / "out/rule.json", "--events", recorded / "events.csv", "--no-tune-rule")
    code, detected, errors = call(*flags, out=tmp_path / "new")
    assert code == 0, errors
    assert json.loads((tmp_path / "new/event_metrics.json").read_text())["rule"] == rule
    by_hand = [f"--{name.replace('_', '-')}={value}" for name, value in kept.items()]
    assert call(*by_hand, out=tmp_path / "by_hand")[0] == 0
    assert (tmp_path / "by_hand/events.csv").read_bytes() == (tmp_path / "new/events.csv").read_bytes()


def test_what_is_chosen_for_a_child_does_not_depend_on_its_own_events(call, recorded, tmp_path):
    events = table(recorded / "events.csv")
    assert call("--events", recorded / "events.csv")[0] == 0
    before = [row for row in table(tmp_path / "out/events.csv") if row["recording"] == "child_1_1.npy"]
    assert before
    names = {row["recording"] for row in events}
    rows = [row for row in events if row["recording"] != "child_1_1.npy"]
    assert len(names) > 1
    with open(tmp_path / "others.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(events[0]))
        writer.writeheader()
        writer.writerows(rows)
    assert call("--events", tmp_path / "others.csv")[0] == 0
    assert [row for row in table(tmp_path / "out/events.csv") if row["recording"] == "child_1_1.npy"] == before


def test_bad_recordings_and_bad_events_are_all_named(call, recorded, tmp_path):
    bad = [tmp_path / "child_8_1.npy", tmp_path / "child_9_1.npy"]
    bad[0].write_bytes(b"")
    code, _, errors = call(paths=bad)
    assert code == 1
    assert "child_8_1.npy" in errors and "child_9_1.npy" in errors
    wrong = "recording,onset_s,offset_s\nchild_1_1.npy,5,4\nchild_1_1.npy,a,4\n"
    (tmp_path / "events.csv").write_text(wrong)
    code, _, errors = call("--events", tmp_path / "events.csv", recordings=1)
    assert code == 1
    assert "line 2" in errors and "line 3" in errors
    (tmp_path / "events.csv").write_text("recording,onset_s,offset_s\nother.npy,1,2\n")
    assert "there is no recording 'other.npy'" in call("--events", tmp_path / "events.csv", recordings=1)[2]


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (
            ["--event-on", "0.2", "--event-off", "0.1"],
            "--event-on, --event-off need --rule hysteresis; the rule is accumulation",
        ),
        (
            ["--rule", "hysteresis", "--sum-windows", "4"],
            "--refractory-s need --rule accumulation; the rule is hysteresis",
        ),
        (["--camera", "0"], "--camera cannot be used with recordings, --events, --review, --cluster or --mask"),
        (["--event-on", "0.2", "--event-off", "0.3"], "nearest valid value is 0.2"),
        (["--stride-s", "0.25"], "nearest valid value is 0.2"),
    ],
)
def test_settings_that_do_not_fit_are_refused_with_what_does(call, flags, word):
    code, _, errors = call(*flags, recordings=1)
    assert code == 2
    assert word in " ".join(errors.split())


def test_events_past_the_end_and_names_that_are_none_are_refused(call, recorded, tmp_path):
    (tmp_path / "events.csv").write_text("recording,onset_s,offset_s\nchild_1_1.npy,500,502\n")
    code, _, errors = call("--events", tmp_path / "events.csv", recordings=1)
    assert code == 1
    assert "child_1_1.npy lasts 120.0 s" in errors
    odd = tmp_path / "a$b.npy"
    odd.write_bytes((recorded / "recordings/child_1_1.npy").read_bytes())
    code, _, errors = call(paths=[odd])
    assert code == 1
    assert "is not a recording's name" in errors


def test_settings_are_not_chosen_on_the_child_that_is_evaluated(call, recorded):
    code, _, errors = call("--events", recorded / "events.csv", recordings=1)
    assert code == 2
    assert "--no-tune-rule" in errors
    code, detected, _ = call("--events", recorded / "events.csv", "--no-tune-rule", recordings=1)
    assert code == 0
    assert "settings as given" in detected


def test_settings_are_not_chosen_where_one_child_has_all_the_events(call, tmp_path):
    (tmp_path / "events.csv").write_text("recording,onset_s,offset_s\nchild_1_1.npy,5,7\n")
    code, _, errors = call("--events", tmp_path / "events.csv", recordings=2)
    assert code == 2
    assert "no event of another child than 1" in errors


def test_recordings_of_controls_have_false_alarms_and_no_sensitivity(call, tmp_path):
    (tmp_path / "controls.csv").write_text("recording,onset_s,offset_s\n")
    code, shown, errors = call("--events", tmp_path / "controls.csv", recordings=2)
    assert code == 0, errors
    assert "every detected event is a false alarm, and no rule is tuned" in errors
    assert re.search(r"event sensitivity, 1 s tolerance +n/a", shown)
    assert re.search(r"false alarms per hour, 1 s tolerance +[0-9.]+ ", shown)
    metrics = json.loads((tmp_path / "out/event_metrics.json").read_text())
    assert metrics["1 s tolerance"]["event_sensitivity"]["value"] is None
    assert metrics["clusters"]["fraction_with_a_detected_event"] is None
    assert not (tmp_path / "out/rule.json").exists()


def test_a_review_is_read_as_true_events_of_which_the_accepted_ones_count(call, recorded, tmp_path):
    rows = table(recorded / "events.csv")
    cells = ("spasm,accepted,added", "startle,rejected,added", ",unreviewed,added")
    lines = [f"{row['recording']},{row['onset_s']},{row['offset_s']},{cells[k % 3]}" for k, row in enumerate(rows)]
    lines = ["recording,onset_s,offset_s,type,decision,origin", *lines]
    (tmp_path / "review.csv").write_text("\n".join(lines) + "\n")
    accepted = [row for k, row in enumerate(rows) if k % 3 == 0]
    text = "\n".join(f"{row['recording']},{row['onset_s']},{row['offset_s']}" for row in accepted)
    (tmp_path / "accepted.csv").write_text(f"recording,onset_s,offset_s\n{text}\n")
    code, _, errors = call("--events", tmp_path / "review.csv", "--no-tune-rule", out=tmp_path / "review")
    assert code == 0, errors
    assert f"{len(range(2, len(rows), 3))} of its {len(rows)} events are unreviewed" in errors
    assert call("--events", tmp_path / "accepted.csv", "--no-tune-rule", out=tmp_path / "accepted")[0] == 0
    reviewed, plain = (
        json.loads((tmp_path / name / "event_metrics.json").read_text()) for name in ("review", "accepted")
    )
    assert reviewed == plain and plain["1 s tolerance"]["event_sensitivity"]["value"] is not None


def test_every_table_of_events_counts_whether_the_flag_is_repeated_has_several_values_or_names_a_folder(
    call, recorded, tmp_path
):
    header, *rows = (recorded / "events.csv").read_text().splitlines()
    (tmp_path / "tables").mkdir()
    parts = [tmp_path / f"tables/{name}.csv" for name in ("a", "b", "c")]
    for number, path in enumerate(parts):
        path.write_text("\n".join([header, *rows[number::3]]) + "\n")
    forms = (
        ["--events", recorded / "events.csv"],
        ["--events", parts[0], "--events", parts[1], "--events", parts[2]],
        ["--events", *parts],
        ["--events", parts[0], f"--events={parts[1]}", parts[2]],
        ["--events", tmp_path / "tables"],
    )
    found = []
    for form in forms:
        code, _, errors = call(*form, "--no-tune-rule")
        assert code == 0, errors
        found.append((tmp_path / "out/event_metrics.json").read_bytes())
    first, *others = sorted((recorded / "recordings").iterdir())
    assert call("--no-tune-rule", "--events", *parts, *others, paths=[first])[0] == 0, "recordings in two places"
    found.append((tmp_path / "out/event_metrics.json").read_bytes())
    assert len(set(found)) == 1
    code, _, errors = call("--events", parts[0], "--no-tune-rule", recordings=2)
    assert code == 0, errors
    assert (tmp_path / "out/event_metrics.json").read_bytes() != found[0]
    (tmp_path / "odd.csv").write_text("recording,begin\nchild_1_1.npy,3\n")
    assert call("--events", parts[0], tmp_path / "odd.csv")[0] == 1, "it is no table of events, and no recording"


def test_a_table_of_true_events_in_the_folder_to_write_is_not_replaced(call, recorded, tmp_path):
    (tmp_path / "out").mkdir()
    table = (recorded / "events.csv").read_bytes()
    (tmp_path / "out/events.csv").write_bytes(table)
    code, _, errors = call("--events", tmp_path / "out/events.csv", recordings=1)
    assert code == 1
    assert "is not a table of detected events of this software; nothing was written" in errors
    assert (tmp_path / "out/events.csv").read_bytes() == table


@pytest.mark.parametrize("place", ["trained", "data"])
def test_a_run_and_a_data_folder_are_not_written_into(call, trained, recorded, place):
    out = trained if place == "trained" else recorded
    before = sorted(path.name for path in out.iterdir())
    code, _, errors = call(recordings=1, out=out)
    assert code == 1
    assert "nothing was written (choose another folder for --out)" in errors
    assert sorted(path.name for path in out.iterdir()) == before


PLOTS = """
import sys, numpy as np
sys.path.insert(0, "src")
from spasm.report import model_figures, timeline_plots
timeline_plots.trade_off([(1.0, 2.0, 0.5)], "title", 2.0)
model_figures.scores_by_child(["1", "2"], np.array([0, 1]), np.array([0.1, 0.7]), 0.5).png()
"""


def test_plots_need_no_screen_whatever_backend_matplotlib_is_set_to():
    environment = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    environment |= {"MPLBACKEND": "module://needs_a_screen"}
    assert subprocess.run([sys.executable, "-c", PLOTS], cwd=ROOT, env=environment).returncode == 0
    code = "from matplotlib import pyplot; pyplot.subplots()"
    with_pyplot = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert with_pyplot.returncode == 1, "with pyplot it must fail, or the test shows nothing"
    assert [path for path in (ROOT / "src").rglob("*.py") if "import pyplot" in path.read_text()] == []


def test_a_mask_for_a_run_that_reads_no_pictures_is_refused(call, tmp_path):
    code, _, error = call("--mask", "mediapipe")
    assert code == 2
    assert "--mask is for runs with two_stream_pictures" in error and not (tmp_path / "out").exists()
