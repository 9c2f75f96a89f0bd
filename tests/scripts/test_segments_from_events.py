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


def children_of(out):
    return {path.name.split("_")[1] for path in (out / "train").iterdir()}


@pytest.fixture
def second_night(recorded, tmp_path):
    """Another night of child 2, and one of child 6, of whom there is no other; both with an event in one table."""
    (tmp_path / "night_2").mkdir()
    poses = np.load(recorded / "recordings/child_2_1.npy")
    np.save(tmp_path / "night_2/child_2_2.npy", poses[900:])
    np.save(tmp_path / "night_2/child_6_1.npy", np.load(recorded / "recordings/child_3_1.npy"))
    rows = ["child_2_2.npy,40,41", "child_6_1.npy,50,51"]
    (tmp_path / "night_2.csv").write_text("\n".join(["recording,onset_s,offset_s", *rows]) + "\n")

    def words(*more, out):
        flags = ("--recordings", tmp_path / "night_2", "--events", tmp_path / "night_2.csv", "--out", tmp_path / out)
        return (*flags, "--frames", T, "--abstain", 0, "--cluster-s", 4, *more)

    return words


def test_the_next_night_of_a_child_that_was_cut_earlier_keeps_the_id_that_it_has_there(
    cut, recorded, second_night, tmp_path, capsys
):
    assert cut("--with-data", recorded, out=tmp_path / "second")[0] == 0
    first_ids = children_of(tmp_path / "second")
    assert first_ids == {*children_of(recorded), "11", "12"} and "2" in first_ids
    assert code_of("segments_from_events", *second_night("--with-data", tmp_path / "second", out="third")) == 0
    shown = capsys.readouterr().out
    assert "children: 6 is now 106\n" in shown
    assert "children of recordings cut earlier, by their ids: 2 is 12\n" in shown
    assert children_of(tmp_path / "third") == {*first_ids, "106"}
    night_2 = {row["segment_name"] for row in table(tmp_path / "third/origin.csv")}
    assert {child_of(name) for name in night_2} == {"12", "106"}
    before = {path.name for path in (tmp_path / "second/train").iterdir()}
    after = {path.name for path in (tmp_path / "third/train").iterdir()}
    assert before < after and not before & night_2
    assert check_folder(tmp_path / "third", T, "challenge").problems == []
    # A third round knows the children of both earlier ones.
    marker = json.loads((tmp_path / "third/segments.json").read_text())
    assert marker["children"] == {"1": "11", "2": "12", "6": "106"}
    files = ["child_1_1.npy", "child_2_1.npy", "child_2_2.npy", "child_6_1.npy"]
    assert [one["file"] for one in marker["recordings"]] == files
    code, _, errors = cut("--with-data", tmp_path / "third", out=tmp_path / "fourth")
    assert code == 1
    assert "child_1_1.npy: was cut into" in errors and "child_2_1.npy: was cut into" in errors
    assert "already, as child_2_1.npy (leave it out; to cut it again" in errors
    assert not (tmp_path / "fourth").exists()


def test_recordings_alone_are_a_first_round_too(cut, second_night, tmp_path):
    assert cut(out=tmp_path / "second")[0] == 0
    assert code_of("segments_from_events", *second_night("--with-data", tmp_path / "second", out="third")) == 0
    assert children_of(tmp_path / "third") == {"1", "2", "16"}


def test_same_ids_never_gives_a_child_two_ids_nor_two_children_one(cut, recorded, second_night, tmp_path, capsys):
    assert cut("--with-data", recorded, "--same-ids", out=tmp_path / "same")[0] == 0
    for number, more in enumerate([(), ("--same-ids",)]):
        words = second_night("--with-data", tmp_path / "same", *more, out=f"third_{number}")
        assert code_of("segments_from_events", *words) == 0
        assert children_of(tmp_path / f"third_{number}") == {"1", "2", "3", "4", "5", ("16", "6")[number]}
    assert cut("--with-data", recorded, out=tmp_path / "second")[0] == 0
    words = second_night("--with-data", tmp_path / "second", "--same-ids", out="no")
    capsys.readouterr()
    assert code_of("segments_from_events", *words) == 1
    assert "child 2 of recordings cut earlier is 12 there, and another child is 2 (leave out" in capsys.readouterr().err
    (tmp_path / "night_2/child_2_2.npy").unlink()
    (tmp_path / "night_2/child_6_1.npy").rename(tmp_path / "night_2/child_11_1.npy")
    (tmp_path / "night_2.csv").write_text("recording,onset_s,offset_s\nchild_11_1.npy,50,51\n")
    assert code_of("segments_from_events", *words) == 1
    assert "child 11 there is child 1 of recordings cut earlier (leave out" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    "text", ["[]", "{", '{"children": 3}', '{"children": {"1": "../x"}}', '{"recordings": {"a": 1}}']
)
def test_a_list_of_cut_recordings_that_is_none_is_refused(cut, recorded, tmp_path, text):
    assert cut("--with-data", recorded, out=tmp_path / "second")[0] == 0
    (tmp_path / "second/segments.json").write_text(text)
    code, _, errors = cut("--with-data", tmp_path / "second", out=tmp_path / "third")
    assert code == 1
    assert "segments.json: does not list the children and recordings that were cut" in errors


def test_an_event_of_which_the_recordings_end_leaves_too_little_is_in_no_segment_and_counted(
    recorded, tmp_path, capsys
):
    poses = np.load(recorded / "recordings/child_4_1.npy")
    rows = {
        1: ("10.2,10.9,spasm,accepted", False),  # after the end
        2: ("9.95,10.9,spasm,accepted", False),
        3: ("9.4,10.6,spasm,accepted", True),
        4: ("9.8,10.1,spasm,accepted", False),  # short, and not all of it
        5: ("9.8,10.0,spasm,accepted", True),  # short, and all of it
        6: ("9.7,10.001,spasm,accepted", True),  # a rounded time is no cut
        7: ("9.9,10.8,crying,rejected", False),
    }
    for number in rows:
        np.save(tmp_path / f"child_{number}_1.npy", poses[number * 30 : number * 30 + 300])
    lines = [f"child_{number}_1.npy,{cells}" for number, (cells, _) in rows.items()]
    (tmp_path / "review.csv").write_text("\n".join(["recording,onset_s,offset_s,type,decision", *lines]) + "\n")
    paths = [tmp_path / f"child_{number}_1.npy" for number in rows]
    words = ("--recordings", *paths, "--events", tmp_path / "review.csv", "--out", tmp_path / "new round")
    assert code_of("segments_from_events", *words, "--frames", T, "--abstain", 0, "--cluster-s", 1) == 0
    shown = capsys.readouterr().out
    assert "from 3 of 6 events" in shown and "from 0 of 1 rejected events" in shown
    assert "left out: 4 events, of which less than half a second (or not all) is before the recording's end" in shown
    found = [row for row in origins(tmp_path / "new round") if row["kind"] != "elsewhere"]
    assert {int(child_of(row["recording"])) for row in found} == {
        number for number, (_, is_in) in rows.items() if is_in
    }
    for row in found:
        onset_s, offset_s = float(row["event_onset_s"]), float(row["event_offset_s"])
        assert min(offset_s, T / FPS) - max(onset_s, 0) >= min(POSITIVE_S, offset_s - onset_s) - 0.02
    assert check_folder(tmp_path / "new round", T, "challenge").problems == []
    assert f"--data '{tmp_path}/new round' --frames 60 --run 'output/new round'" in shown


def test_segments_of_another_length_in_the_other_folder_are_refused(cut, recorded, tmp_path):
    code, _, errors = cut("--with-data", recorded, "--frames", 90)
    assert code == 1
    count = len(list((recorded / "train").iterdir()))
    assert f"all {count} files" in errors and "has 60 frames (T), not 90" in errors and "add --frames 60" in errors
    assert not (tmp_path / "out").exists()
