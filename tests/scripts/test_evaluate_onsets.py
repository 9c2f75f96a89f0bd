"""From simulated recordings with the onsets of seizures to a table of latencies, by the real commands."""

import json
import shutil

import numpy as np
import pytest

from helpers.commands import CPU, code_of, here
from helpers.pictures import write_pictures
from helpers.tables import table
from spasm.data.annotations import ramp, read_onsets
from spasm.data.segments import read_pose
from spasm.simulation import dataset_writer
from spasm.simulation.infant import SimulationConfig

T = 60
FRAMES = ("--frames", T)
SPARSE = ("--before-s", 60, "--after-s", 15, "--seizure-stride-s", 2)  # few windows, so that training is short


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Recordings of eight children, three minutes each, and the onsets of their seizures."""
    out = tmp_path_factory.mktemp("recorded") / "demo"
    dataset_writer.write_dataset(out, 8, 1, 5, SimulationConfig(frames=T), recordings=8, minutes=3.0, workers=1)
    return out


def cut(recorded, out, *more):
    flags = ("--recordings", recorded / "recordings", "--seizures", recorded / "seizures.csv", "--out", out)
    return code_of("segments_from_onsets", *flags, *FRAMES, *SPARSE, *more)


@pytest.fixture(scope="module")
def trained(recorded, tmp_path_factory):
    """Windows of the recordings, and a run of lgbm on them."""
    folder = tmp_path_factory.mktemp("trained")
    assert cut(recorded, folder / "cut") == 0
    here("train_folds", "--data", folder / "cut", "--run", folder / "run", "--cache", folder / "cache", *FRAMES, *CPU,
         "--folds", 2, "--workers", 1, "--models", "lgbm", "--lgbm.num-boost-round", 10,
         "--lgbm.min-data-in-leaf", 3, "--no-report")  # fmt: skip
    return folder


def evaluate(trained, out, *more):
    flags = ("--run", trained / "run", "--out", out, "--cache", trained / "cache")
    return code_of("evaluate_onsets", *flags, *more)


def test_each_window_is_a_part_of_its_recording_with_onsets_from_its_own_start(recorded, trained):
    data = trained / "cut"
    onsets, problems = read_onsets(data / "onsets.csv")
    assert problems == []
    labels = {row["segment_name"]: int(row["label"]) for row in table(data / "train_data.csv")}
    seizures = {(row["recording"], float(row["eeg_onset_s"])) for row in table(recorded / "seizures.csv")}
    seen = set()
    for row in table(data / "origin.csv"):
        name, start_s = row["segment_name"], float(row["start_s"])
        whole = np.load(recorded / "recordings" / row["recording"], mmap_mode="r")
        first = round(start_s * 30)
        np.testing.assert_array_equal(read_pose(data / "train" / name, T, data), whole[first : first + T])
        target = ramp(T / 30, *onsets[name]) if name in onsets else 0.0
        assert labels[name] == (target >= 0.5)
        assert (row["kind"] == "interictal") == (name not in onsets or onsets[name][0] > T / 30)
        if name in onsets:
            [eeg_s] = [eeg_s for recording, eeg_s in seizures
                       if recording == row["recording"] and abs(eeg_s - start_s - onsets[name][0]) < 0.01]  # fmt: skip
            seen.add((row["recording"], eeg_s))
    assert {name for name, _ in seen} == {name for name, _ in seizures}
    assert json.loads((data / "simulated.json").read_text()) == {"simulated": True}
    assert (data / "seizures.csv").read_bytes() == (recorded / "seizures.csv").read_bytes()


def test_a_run_is_evaluated_with_latencies_false_alarms_and_a_timeline_of_each_recording(trained, tmp_path, capsys):
    assert evaluate(trained, tmp_path / "out") == 0
    printed = capsys.readouterr().out
    assert printed.startswith("SIMULATED")
    found = json.loads((tmp_path / "out/onset_metrics.json").read_text())
    seizures, alarms = table(tmp_path / "out/detected_seizures.csv"), table(tmp_path / "out/alarms.csv")
    assert found["simulated"] and found["seizures"] == len(seizures) == len(table(trained / "cut/seizures.csv"))
    recordings = {row["recording"] for row in table(trained / "cut/origin.csv")}
    assert {f"{path.stem}.npy" for path in (tmp_path / "out/timelines").iterdir()} == recordings
    hit = [row for row in seizures if row["alarm_s"]]
    assert found["metrics"]["sensitivity"]["value"] == pytest.approx(len(hit) / len(seizures))
    for row in hit:
        late_s = float(row["alarm_s"]) - float(row["eeg_onset_s"])
        assert 0 <= late_s == pytest.approx(float(row["latency_to_eeg_onset_s"]), abs=0.002)
    false = sum(row["false_alarm"] == "1" for row in alarms)
    assert found["metrics"]["false_alarms_per_hour"]["value"] == pytest.approx(false / found["hours"])


def test_the_rule_and_the_threshold_change_what_is_raised(trained, tmp_path, monkeypatch):
    monkeypatch.setattr("evaluate_onsets.plot_trace", lambda *_: b"")  # plots take most of the time

    def alarms(*flags):
        assert evaluate(trained, tmp_path / "out", *flags) == 0
        return len(table(tmp_path / "out/alarms.csv"))

    assert alarms("--threshold", 1e5) == 0
    many = alarms("--threshold", 0, "--refractory-s", 0)
    assert many == len(table(trained / "cut/origin.csv")) - missing(trained)
    assert 0 < alarms("--threshold", 0, "--refractory-s", 30) < many
    lowest = ("--threshold", 0.01, "--refractory-s", 0)
    assert alarms(*lowest, "--floor", 1) < alarms(*lowest)
    one = alarms("--threshold", 0.5, "--refractory-s", 0, "--span", 1)
    assert one <= alarms("--threshold", 0.5, "--refractory-s", 0, "--span", 20)
    assert one != alarms("--threshold", 0.5, "--refractory-s", 0, "--span", 20, "--over", "seconds")
    assert alarms("--false-per-hour", 3600) >= alarms()


def missing(trained) -> int:
    """Windows without any pose, which are not predicted."""
    data = trained / "cut"
    return sum(bool(np.isnan(np.load(path)).all()) for path in (data / "train").iterdir())


def test_a_model_that_the_run_lacks_is_refused_with_those_that_it_has(trained, tmp_path, capsys):
    assert evaluate(trained, tmp_path / "out", "--model", "rocket") == 1
    assert "it has lgbm" in capsys.readouterr().err
    assert evaluate(trained, tmp_path / "out", "--model", "lgbm") == 0


def test_a_run_on_other_data_is_refused(trained, recorded, tmp_path, capsys):
    other = tmp_path / "cut"
    assert cut(recorded, other, "--before-s", 0) == 0
    assert evaluate(trained, tmp_path / "out", "--data", other) == 1
    assert "made with other data" in capsys.readouterr().err


def test_windows_that_were_cut_again_differently_are_refused(trained, recorded, tmp_path, capsys):
    shutil.copytree(trained, tmp_path / "trained")
    assert cut(recorded, tmp_path / "trained/cut", "--interictal-stride-s", 4, "--seizure-stride-s", 1) == 0
    names = {row["segment_name"] for row in table(trained / "cut/origin.csv")}
    assert names < {row["segment_name"] for row in table(tmp_path / "trained/cut/origin.csv")}
    assert evaluate(trained, tmp_path / "out", "--data", tmp_path / "trained/cut") == 1
    assert "made with other data" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_blend_that_knows_later_windows_is_refused(trained, tmp_path, capsys):
    shutil.copytree(trained / "run", tmp_path / "run")
    flags = ("--run", tmp_path / "run", "--cache", trained / "cache")
    here("train_folds", *flags, "--decide-only", "--blend.child-context", "--no-report")
    assert code_of("evaluate_onsets", *flags, "--out", tmp_path / "out") == 1
    assert "by later ones" in capsys.readouterr().err
    assert code_of("evaluate_onsets", *flags, "--out", tmp_path / "out", "--model", "lgbm") == 0


def test_a_table_of_onsets_that_is_missing_or_wrong_writes_nothing(recorded, tmp_path, capsys):
    assert code_of("segments_from_onsets", "--recordings", recorded / "recordings", "--out", tmp_path / "out") == 2
    assert "--seizures is missing" in capsys.readouterr().err
    wrong = tmp_path / "seizures.csv"
    wrong.write_text("recording,eeg_onset_s,clinical_onset_s\nchild_1_1.npy,9,3\nchild_99_1.npy,1,2\n")
    assert cut(recorded, tmp_path / "out", "--seizures", wrong) == 1
    printed = capsys.readouterr().err
    assert "line 2" in printed and "line 3" in printed
    assert not (tmp_path / "out").exists()


# ---- pictures


@pytest.fixture
def with_videos(recorded, tmp_path):
    """The recordings, each with a video beside it; no test decodes them."""
    folder = tmp_path / "demo"
    shutil.copytree(recorded, folder)
    (folder / "recording_videos").mkdir(exist_ok=True)
    for path in (folder / "recordings").glob("*.npy"):
        (folder / "recording_videos" / f"{path.stem}.mp4").write_bytes(b"")
    return folder


def test_windows_of_recordings_with_videos_say_where_their_frames_are_and_how_to_go_on(with_videos, tmp_path, capsys):
    assert cut(with_videos, tmp_path / "cut") == 0
    printed = capsys.readouterr().out
    order = ["extract_pictures.py", "--models vsvig_patches --vsvig-patches.loss squared", "evaluate_onsets.py"]
    assert sorted(order, key=printed.index) == order
    assert "--videos" not in printed
    places = {row["segment_name"]: row for row in table(tmp_path / "cut/segment_videos.csv")}
    for row in table(tmp_path / "cut/origin.csv"):
        place = places.pop(row["segment_name"])
        assert place["start_s"] == row["start_s"]
        assert place["video"].endswith(f"/recording_videos/{row['recording'][:-4]}.mp4")
    assert places == {}


def test_a_video_that_is_known_by_name_alone_needs_its_folder(recorded, tmp_path, capsys):
    folder = tmp_path / "demo"
    shutil.copytree(recorded, folder)
    for path in (folder / "recordings").glob("*.npy"):
        path.with_suffix(".json").write_text(json.dumps({"video": f"{path.stem}_night.mp4"}))
    assert cut(folder, tmp_path / "cut") == 0
    assert "--videos FOLDER" in capsys.readouterr().out
    assert table(tmp_path / "cut/segment_videos.csv")[0]["video"].endswith("_night.mp4")


def test_without_a_video_of_every_recording_the_network_on_poses_is_suggested(with_videos, tmp_path, capsys):
    next((with_videos / "recording_videos").iterdir()).unlink()
    assert cut(with_videos, tmp_path / "cut") == 0
    printed = capsys.readouterr().out
    assert "videos:  of 7 of 8 recordings" in printed
    assert "--models vsvig --vsvig.loss squared" in printed and "extract_pictures" not in printed


@pytest.mark.slow
def test_vsvig_on_patches_learns_the_ramp_and_is_evaluated(with_videos, tmp_path, capsys):
    data = tmp_path / "cut"
    assert cut(with_videos, data, "--before-s", 20) == 0
    labels = {row["segment_name"]: int(row["label"]) for row in table(data / "train_data.csv")}
    write_pictures(data, list(labels), list(labels.values()), T, ["vsvig"])
    here("train_folds", "--data", data, "--run", tmp_path / "run", "--cache", tmp_path / "cache", *FRAMES, *CPU,
         "--folds", 2, "--workers", 1, "--models", "vsvig_patches", "--vsvig-patches.loss", "squared",
         "--vsvig-patches.epochs", 1, "--vsvig-patches.width", 4, "--no-report")  # fmt: skip
    capsys.readouterr()
    cache = ("--cache", tmp_path / "cache")
    here("evaluate_onsets", "--run", tmp_path / "run", "--data", data, "--model", "vsvig_patches", *cache)
    assert capsys.readouterr().out.startswith("SIMULATED")
    assert (tmp_path / "run/onsets/onset_metrics.json").is_file()
