"""segments_from_events.py: which windows are cut, with which label, and what they can be trained with."""

import json
import re

import numpy as np
import pytest

from helpers.commands import code_of
from helpers.repository import ROOT
from helpers.tables import table
from spasm.data.naming import child_of
from spasm.data.pose import FPS, POSITIVE_S
from spasm.data.seen import count_frames, is_too_little
from spasm.data.validation import check_folder
from spasm.simulation import dataset_writer
from spasm.simulation.infant import SimulationConfig

T = 60
REVIEW = "recording,onset_s,offset_s,type,decision,origin,detected_onset_s,detected_offset_s,peak_probability"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Recordings of four children, two minutes each, and five segments of each; children 1 and 2 have a review."""
    out = tmp_path_factory.mktemp("recorded") / "demo"
    dataset_writer.write_dataset(out, 5, 5, 17, SimulationConfig(frames=T), recordings=4, minutes=2.0, workers=1)
    rows = [
        "child_1_1.npy,20,21.2,spasm,accepted,detected,19,22,0.99",
        "child_1_1.npy,25,25.3,spasm,accepted,added,,,",
        "child_1_1.npy,60,61,startle,rejected,detected,60,61,0.98",
        "child_1_1.npy,80,82,,unreviewed,detected,80,82,0.97",
        "child_2_1.npy,33,34,crying,rejected,detected,33,34,0.97",
        "child_2_1.npy,90,91,moro,rejected,detected,90,91,0.97",
    ]
    (out.parent / "review.csv").write_text("\n".join([REVIEW, *rows]) + "\n")
    return out


@pytest.fixture
def cut(recorded, tmp_path, capsys):
    """Cuts segments from the recordings of some children; gives exit code, stdout and stderr."""

    def run(*more, children=(1, 2), events=None, out=tmp_path / "out"):
        paths = [recorded / f"recordings/child_{child}_1.npy" for child in children]
        events = events or recorded.parent / "review.csv"
        flags = ("--frames", T, "--abstain", 0, "--cluster-s", 4, *more)
        code = code_of("segments_from_events", "--recordings", *paths, "--events", events, "--out", out, *flags)
        return code, *capsys.readouterr()

    return run


def origins(out):
    labels = {row["segment_name"]: int(row["label"]) for row in table(out / "train_data.csv")}
    return [{**row, "label": labels[row["segment_name"]]} for row in table(out / "origin.csv")]


def spans(recorded, decision, recording):
    rows = table(recorded.parent / "review.csv")
    return [
        (float(row["onset_s"]), float(row["offset_s"]))
        for row in rows
        if row["decision"] == decision and row["recording"] == recording
    ]


def test_a_segment_holds_its_event_and_those_labelled_0_are_far_from_accepted_and_unreviewed_ones(
    cut, recorded, tmp_path
):
    code, shown, errors = cut("--per-event", 4, "--fewest-negatives", 8)
    assert code == 0, errors
    rows = origins(tmp_path / "out")
    assert {row["kind"] for row in rows} == {"event", "rejected", "elsewhere"}
    assert "1 of its 6 events are unreviewed" in errors
    for row in rows:
        start_s = float(row["start_s"])
        recording = np.load(recorded / "recordings" / row["recording"])
        first = round(start_s * FPS)
        segment = np.load(tmp_path / "out/train" / row["segment_name"])
        assert np.array_equal(segment, recording[first : first + T], equal_nan=True)
        assert row["label"] == (row["kind"] == "event")
        if row["kind"] != "elsewhere":
            onset_s, offset_s = float(row["event_onset_s"]), float(row["event_offset_s"])
            inside_s = min(offset_s, T / FPS) - max(onset_s, 0)
            assert inside_s >= min(POSITIVE_S, offset_s - onset_s) - 2e-3
        distances = {
            "event": {},
            "rejected": {"accepted": 2, "unreviewed": 2},
            "elsewhere": {"accepted": 4, "unreviewed": 4, "rejected": 2},
        }
        for decision, distance_s in distances[row["kind"]].items():
            for onset_s, offset_s in spans(recorded, decision, row["recording"]):
                before, after = onset_s - (start_s + T / FPS), start_s - offset_s
                assert max(before, after) >= distance_s - 1e-3
    places = [
        float(row["event_onset_s"]) for row in rows if row["kind"] == "event" and row["recording"] == "child_1_1.npy"
    ]
    assert len(places) == 8 and max(places) - min(places) > 1, "the event is not always in the same place"
    assert "label 1: 8, from 2 of 2 events" in shown and "from 3 of 3 rejected events" in shown
    explained = set(re.findall(r"`(\w+)`", (ROOT / "docs/output.md").read_text(encoding="utf-8")))
    assert set(table(tmp_path / "out/origin.csv")[0]) <= explained


def test_segments_can_be_trained_on_are_marked_as_simulated_and_have_onsets(cut, recorded, tmp_path):
    assert cut(children=(1, 2, 3, 4), events=recorded / "events.csv")[0] == 0
    report = check_folder(tmp_path / "out", T, "challenge")
    assert report.problems == [] and report.untrainable is None
    assert (tmp_path / "out/simulated.json").exists()
    onsets = {row["segment_name"]: row for row in table(tmp_path / "out/onsets.csv")}
    positives = [row for row in origins(tmp_path / "out") if row["label"]]
    assert set(onsets) == {row["segment_name"] for row in positives}
    for row in positives:
        assert onsets[row["segment_name"]]["clinical_onset_s"] == row["event_onset_s"]


def test_segments_of_a_child_depend_on_its_recordings_and_the_seed_alone(cut, tmp_path):
    for out, children, seed in (("one", (1,), 0), ("two", (2, 1), 0), ("again", (1, 2), 0), ("other", (1, 2), 1)):
        assert cut("--seed", seed, children=children, out=tmp_path / out)[0] == 0
    chosen = {
        out: {tuple(row.values()) for row in table(tmp_path / out / "origin.csv") if child_of(row["recording"]) == "1"}
        for out in ("one", "two", "again", "other")
    }
    assert chosen["one"] == chosen["two"] == chosen["again"] != chosen["other"]
    assert (tmp_path / "two/train_data.csv").read_bytes() == (tmp_path / "again/train_data.csv").read_bytes()


def test_counts_follow_the_settings_and_a_child_without_events_gives_negatives_too(cut, tmp_path):
    flags = ("--per-event", 2, "--hard-negatives", 3, "--negatives-per-positive", 3, "--fewest-negatives", 5)
    assert cut(*flags, children=(1, 2))[0] == 0
    counts = {}
    for row in origins(tmp_path / "out"):
        key = child_of(row["recording"]), row["kind"]
        counts[key] = counts.get(key, 0) + 1
    assert counts["1", "event"] == 4 and counts["1", "elsewhere"] == 12 and counts["1", "rejected"] == 2
    assert counts["2", "rejected"] == 3 and counts["2", "elsewhere"] == 5 and ("2", "event") not in counts


def test_windows_of_which_too_little_was_seen_are_left_out(cut, recorded, tmp_path):
    assert cut("--abstain", 0.9, "--fewest-negatives", 100, children=(1, 2))[0] == 0
    poses = np.stack([np.load(path) for path in sorted((tmp_path / "out/train").iterdir())])
    assert not is_too_little(count_frames(poses), T, 0.9).any()
    hidden = np.load(recorded / "recordings/child_1_1.npy")
    hidden[:] = np.nan
    np.save(tmp_path / "child_1_1.npy", hidden)
    (tmp_path / "events.csv").write_text("recording,onset_s,offset_s\nchild_1_1.npy,20,21\n")
    words = ("--recordings", tmp_path / "child_1_1.npy", "--events", tmp_path / "events.csv", "--out", tmp_path / "no")
    assert code_of("segments_from_events", *words, "--frames", T) == 1
    assert not (tmp_path / "no").exists()


def test_segments_of_another_data_folder_join_and_no_child_is_taken_for_another(cut, recorded, tmp_path):
    code, shown, _ = cut("--with-data", recorded)
    assert code == 0
    names = {path.name for path in (tmp_path / "out/train").iterdir()}
    given = {path.name for path in (recorded / "train").iterdir()}
    assert given < names
    assert {child_of(name) for name in names - given} == {"11", "12"}, "five children there, 1 to 5"
    assert "children: 1 is now 11, 2 is now 12" in shown
    labels = {row["segment_name"]: row["label"] for row in table(tmp_path / "out/train_data.csv")}
    assert all(labels[row["segment_name"]] == row["label"] for row in table(recorded / "train_data.csv"))
    assert check_folder(tmp_path / "out", T, "challenge").problems == []
    assert cut("--with-data", recorded, "--same-ids", out=tmp_path / "same")[0] == 0
    names = {path.name for path in (tmp_path / "same/train").iterdir()}
    assert {child_of(name) for name in names} <= {"1", "2", "3", "4", "5"} and given < names
    assert check_folder(tmp_path / "same", T, "challenge").problems == []


def test_a_segment_of_the_other_folder_that_is_a_link_out_of_it_is_refused(cut, recorded, tmp_path):
    other = tmp_path / "other"
    (other / "train").mkdir(parents=True)
    (other / "train/child_1_1.npy").symlink_to(recorded / "recordings/child_1_1.npy")
    (other / "train_data.csv").write_text("segment_name,label\nchild_1_1.npy,1\n")
    code, _, errors = cut("--with-data", other)
    assert code == 1
    assert "is a link that leaves the folder" in errors
    assert not (tmp_path / "out").exists()


def test_a_folder_of_this_command_is_replaced_as_a_whole_and_no_other(cut, tmp_path):
    assert cut("--fewest-negatives", 20)[0] == 0
    before = {path.name for path in (tmp_path / "out/train").iterdir()}
    assert cut("--fewest-negatives", 3)[0] == 0
    after = {path.name for path in (tmp_path / "out/train").iterdir()}
    assert len(after) < len(before)
    listed = json.loads((tmp_path / "out/segments.json").read_text())["files"]
    assert sum(name.startswith("train/") for name in listed) == len(after)
    (tmp_path / "out/notes.txt").write_text("mine")
    code, _, errors = cut()
    assert code == 1
    assert "holds files that this command did not write, such as notes.txt; nothing was written" in errors
    assert {path.name for path in (tmp_path / "out/train").iterdir()} == after


def test_recordings_of_a_folder_and_other_plain_names_are_taken(recorded, tmp_path, capsys):
    (tmp_path / "nights").mkdir()
    (tmp_path / "nights/site-a_1.npy").write_bytes((recorded / "recordings/child_1_1.npy").read_bytes())
    (tmp_path / "events.csv").write_text("recording,onset_s,offset_s\nsite-a_1.npy,20,21\n")
    words = ("--recordings", tmp_path / "nights", "--events", tmp_path / "events.csv", "--out", tmp_path / "out")
    assert code_of("segments_from_events", *words, "--frames", T, "--abstain", 0) == 0
    shown = capsys.readouterr().out
    assert f"next:    python src/verify.py --data {tmp_path}/out --frames 60 --name-pattern safe" in shown
    assert {child_of(path.name) for path in (tmp_path / "out/train").iterdir()} == {"site-a"}
    assert not (tmp_path / "out/simulated.json").exists()


def test_no_recording_is_a_wrong_usage_and_a_wrong_row_is_named(cut, tmp_path, capsys):
    assert code_of("segments_from_events", "--out", tmp_path / "out") == 2
    assert "--events is missing" in capsys.readouterr().err
    assert code_of("segments_from_events", "--out", tmp_path / "out", "--events", tmp_path / "review.csv") == 2
    assert "--recordings is missing" in capsys.readouterr().err
    (tmp_path / "wrong.csv").write_text(f"{REVIEW}\nchild_1_1.npy,20,21,spasm,accept,added,,,\n")
    code, _, errors = cut(events=tmp_path / "wrong.csv")
    assert code == 1
    assert "line 2: decision 'accept' (did you mean accepted?" in errors


def test_every_table_counts_whether_the_flag_is_repeated_has_several_values_or_names_a_folder(cut, recorded, tmp_path):
    header, *rows = (recorded.parent / "review.csv").read_text().splitlines()
    (tmp_path / "anna").mkdir()
    parts = []
    for name, of_one in (("night_1", rows[:2]), ("night_2", rows[2:4]), ("night_3", rows[4:])):
        parts.append(tmp_path / f"anna/{name}.csv")
        parts[-1].write_text("\n".join([header, *of_one]) + "\n")
    recordings = [recorded / f"recordings/child_{child}_1.npy" for child in (1, 2)]
    forms = {
        "repeated": [word for path in parts for word in ("--events", path)],
        "several": ["--events", *parts],
        "both": ["--events", *parts[:2], f"--events={parts[2]}"],
        "folder": ["--events", tmp_path / "anna"],
    }
    assert cut(out=tmp_path / "one")[0] == 0
    for form, words in forms.items():
        for given in (["--recordings", *recordings], ["--recordings", recordings[0], "--recordings", recordings[1]]):
            flags = (*given, *words, "--out", tmp_path / form, "--frames", T, "--abstain", 0, "--cluster-s", 4)
            assert code_of("segments_from_events", *flags) == 0
            for name in ("origin.csv", "train_data.csv"):
                assert (tmp_path / form / name).read_bytes() == (tmp_path / "one" / name).read_bytes(), form
        listed = json.loads((tmp_path / form / "segments.json").read_text())["events"]
        assert [one["file"] for one in listed] == [path.name for path in parts]
