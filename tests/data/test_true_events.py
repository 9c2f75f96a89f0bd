"""The table of true events: whose they are, what is no event, and recordings that have none."""

import re
from pathlib import Path

import numpy as np
import pytest

from spasm.core.errors import DataError, DataProblems
from spasm.data.true_events import TrueEvents, read_true_events

MINUTE = 30 * 60  # frames


def read(folder: Path, *rows: str, lengths: dict[str, int] | None = None, videos: dict[str, str] | None = None):
    """Read a table of these rows; lengths: frames by the recording's name."""
    named = lengths or {"child_4_1.npy": MINUTE, "child_5_1.npy": MINUTE}
    table = folder / "marked by hand.csv"
    table.write_text("\n".join(["recording,onset_s,offset_s", *rows]) + "\n")
    return read_true_events(table, {folder / name: count for name, count in named.items()}, videos or {})


def refusals(folder: Path, *rows: str, **more: object) -> list[str]:
    with pytest.raises(DataProblems) as caught:
        read(folder, *rows, **more)
    return list(map(str, caught.value.problems))


def warned(events: TrueEvents) -> str:
    return "\n".join(map(str, events.warnings))


def test_events_are_sorted_and_belong_to_their_recording(tmp_path):
    events = read(tmp_path, "child_5_1.npy,30,31.5", "child_4_1.npy,2,3", "child_5_1.npy,4,6")
    assert events.spans["child_5_1.npy"].tolist() == [[4, 6], [30, 31.5]]
    assert events.spans["child_4_1.npy"].tolist() == [[2, 3]]
    assert events.warnings == []


@pytest.mark.parametrize("name", ["child_5_1", "Child_5_1.npy", "child_5_1.NPY", "child_51.npy", "child_05_1.npy"])
def test_a_row_that_names_no_recording_is_refused_with_the_nearest_name(tmp_path, name):
    (line,) = refusals(tmp_path, "child_4_1.npy,2,3", f"{name},4,5")
    assert f"line 3: there is no recording '{name}'" in line
    assert "did you mean child_5_1.npy?" in line


def test_a_row_without_a_name_or_with_a_strange_one_is_refused(tmp_path):
    for name in ("", "..", "another"):
        (line,) = refusals(tmp_path, f"{name},4,5")
        assert "there is no recording" in line


def test_a_recording_beside_the_named_ones_is_not_used_and_that_is_a_warning(tmp_path):
    (tmp_path / "child_6_1.npy").touch()
    events = read(tmp_path, "child_4_1.npy,2,3", "child_5_1.npy,2,3", "child_6_1.npy,7,8", "child_6_1.npy,9,10")
    assert "events of 1 recordings that were not named, such as child_6_1.npy" in warned(events)
    assert set(events.spans) == {"child_4_1.npy", "child_5_1.npy"}


def test_a_table_may_name_the_video_of_a_recording(tmp_path):
    videos = {"child_4_1.npy": "Lea morning.mp4"}
    events = read(tmp_path, "Lea morning.mp4,2,3", "child_5_1.npy,1,2", videos=videos)
    assert events.spans["child_4_1.npy"].tolist() == [[2, 3]]
    (line,) = refusals(tmp_path, "Lea mornings.mp4,2,3", videos=videos)
    assert "did you mean Lea morning.mp4?" in line


@pytest.mark.parametrize("times", ["5,4", "5,5", "-1,2", "x,2", ",", "nan,3", "1,inf"])
def test_what_is_no_event_is_refused_with_its_line(tmp_path, times):
    (line,) = refusals(tmp_path, "child_4_1.npy,1,2", f"child_4_1.npy,{times}")
    assert "line 3" in line
    assert "a later offset_s, in seconds" in line


def test_the_same_event_twice_is_refused(tmp_path):
    (line,) = refusals(tmp_path, "child_4_1.npy,1,2", "child_4_1.npy,3,4", "child_4_1.npy,1.0,2.00")
    assert "line 4: this event of child_4_1.npy is there twice" in line


def test_events_in_frames_are_refused_as_such(tmp_path):
    lines = refusals(tmp_path, "child_4_1.npy,900,930", "child_5_1.npy,1500,1545", "child_5_1.npy,20,55")
    assert len(lines) == 2, "the third lies inside of the recording"
    assert all("these look like frames: divide by 30" in line for line in lines)


def test_an_event_beyond_the_end_in_seconds_is_not_called_frames(tmp_path):
    (line,) = refusals(tmp_path, "child_4_1.npy,4000,4002")
    assert "seconds from the recording's start; child_4_1.npy lasts 60.0 s" in line
    assert "frames" not in line


def test_frames_that_fit_into_a_long_recording_are_a_warning(tmp_path):
    hour = {"child_4_1.npy": 60 * MINUTE}
    events = read(tmp_path, "child_4_1.npy,900,931", "child_4_1.npy,1500,1545", lengths=hour)
    assert "half of its events last 38.0 s or longer" in warned(events)
    assert "last" not in warned(read(tmp_path, "child_4_1.npy,900,902", lengths=hour))


def test_a_recording_without_a_row_has_no_events_and_that_is_one_warning(tmp_path):
    events = read(tmp_path, "child_4_1.npy,2,3")
    assert events.spans["child_5_1.npy"].shape == (0, 2)
    assert warned(events).count("lists no event of child_5_1.npy") == 1


def test_a_table_without_rows_is_of_controls(tmp_path):
    events = read(tmp_path)
    assert [len(spans) for spans in events.spans.values()] == [0, 0]
    assert "every detected event is a false alarm" in warned(events)
    with pytest.raises(DataError, match="no header"):
        (tmp_path / "empty.csv").write_text("")
        read_true_events(tmp_path / "empty.csv", {}, {})


def test_times_keep_their_precision(tmp_path):
    assert read(tmp_path, "child_4_1.npy,1.234,2.5").spans["child_4_1.npy"].dtype == np.float64


REVIEW = "recording,onset_s,offset_s,type,decision,origin,detected_onset_s,detected_offset_s,peak_probability"


def read_review_as_events(folder: Path, *rows: str, header: str = REVIEW):
    table = folder / "review.csv"
    table.write_text("\n".join([header, *rows]) + "\n")
    return read_true_events(table, {folder / name: MINUTE for name in ("child_4_1.npy", "child_5_1.npy")}, {})


def test_accepted_events_of_a_review_are_the_true_ones_with_the_times_of_the_reviewer(tmp_path):
    events = read_review_as_events(
        tmp_path,
        "child_4_1.npy,20.5,21.5,spasm,accepted,detected,20,23,0.93",
        "child_4_1.npy,2,3,startle,rejected,detected,2,3,0.91",
        "child_4_1.npy,8,9,spasm,accepted,added,,,",
        "child_4_1.npy,30,31,,unreviewed,detected,30,31,0.9",
        "child_5_1.npy,4,5,crying,rejected,detected,4,5,0.9",
    )
    assert events.spans["child_4_1.npy"].tolist() == [[8, 9], [20.5, 21.5]]
    assert events.rejected == {"child_4_1.npy": [(2, 3, "startle")], "child_5_1.npy": [(4, 5, "crying")]}
    assert events.unreviewed["child_4_1.npy"].tolist() == [[30, 31]]
    assert "1 of its 5 events are unreviewed (they count as no event" in warned(events)


def test_a_recording_of_which_all_events_are_rejected_has_none_and_needs_no_warning(tmp_path):
    events = read_review_as_events(
        tmp_path,
        "child_4_1.npy,8,9,spasm,accepted,added,,,",
        "child_5_1.npy,4,5,crying,rejected,detected,4,5,0.9",
    )
    assert events.spans["child_5_1.npy"].shape == (0, 2)
    assert warned(events) == ""


def test_a_review_of_detected_events_alone_warns_of_what_the_run_missed(tmp_path):
    rows = ["child_4_1.npy,20,21,spasm,accepted,detected,20,21,0.9", "child_5_1.npy,4,5,moro,rejected,detected,4,5,0.9"]
    assert "no event was added by a reviewer (spasms that the run missed count as no event" in warned(
        read_review_as_events(tmp_path, *rows)
    )


def test_a_review_may_lack_all_columns_but_the_decision(tmp_path):
    header = "recording,onset_s,offset_s,decision"
    events = read_review_as_events(tmp_path, "child_4_1.npy,8,9,accepted", "child_5_1.npy,2,4,rejected", header=header)
    assert events.spans["child_4_1.npy"].tolist() == [[8, 9]]
    assert events.rejected["child_5_1.npy"] == [(2, 4, "")]


@pytest.mark.parametrize(
    ("cells", "reason", "hint"),
    [
        ("spasm,accept,added", "line 2: decision 'accept'", "did you mean accepted?"),
        ("spasm,,added", "line 2: decision ''", "It is one of accepted, rejected, unreviewed"),
        ("mora,rejected,added", "line 2: type 'mora'", "did you mean moro?"),
        ("spasm,accepted,detect", "line 2: origin 'detect'", "did you mean detected?"),
        ("startle,accepted,added", "the decision is accepted and the type 'startle'", "write spasm, or reject it"),
        (",accepted,added", "the decision is accepted and the type ''", "write spasm, or reject it"),
        ("spasm,rejected,added", "the decision is rejected and the type 'spasm'", "or accept it"),
        ("crying,unreviewed,added", "the decision is unreviewed and the type 'crying'", "leave the type empty"),
    ],
)
def test_a_decision_type_or_origin_that_is_none_is_refused_with_the_nearest(tmp_path, cells, reason, hint):
    with pytest.raises(DataProblems) as caught:
        read_review_as_events(tmp_path, f"child_4_1.npy,8,9,{cells},,,", "child_5_1.npy,2,1,spasm,accepted,added,,,")
    first, second = map(str, caught.value.problems)
    assert reason in first and hint in first
    assert "line 3" in second and "is no event" in second


def test_several_reviews_are_read_as_one(tmp_path):
    lengths = {tmp_path / name: MINUTE for name in ("child_4_1.npy", "child_5_1.npy")}
    for child, second in ((4, 8), (5, 30)):
        row = f"child_{child}_1.npy,{second},{second + 1},spasm,accepted,added,,,"
        (tmp_path / f"review_{child}.csv").write_text(f"{REVIEW}\n{row}\n")
    paths = [tmp_path / "review_4.csv", tmp_path / "review_5.csv"]
    events = read_true_events(paths, lengths, {})
    assert events.spans["child_4_1.npy"].tolist() == [[8, 9]] and events.spans["child_5_1.npy"].tolist() == [[30, 31]]
    assert warned(events) == ""
    paths[1].write_text(paths[1].read_text() + "child_4_1.npy,8,9,spasm,accepted,added,,,\n")
    again = read_true_events(paths, lengths, {})
    assert again.spans["child_4_1.npy"].tolist() == [[8, 9]]
    assert "review_5.csv: line 3: an event of child_4_1.npy has the times of line 2 of review_4.csv" in warned(again)


def test_rows_of_a_review_with_the_same_times_are_one_event_and_a_warning(tmp_path):
    rows = [
        "child_4_1.npy,20,21,spasm,accepted,detected,19,21,0.9",
        "child_4_1.npy,20.0,21.00,spasm,accepted,detected,21,22,0.8",  # another event, moved to the same times
        "child_4_1.npy,8,9,spasm,accepted,added,,,",
        "child_4_1.npy,8,9,spasm,accepted,added,,,",
        "child_5_1.npy,4,5,crying,rejected,detected,4,5,0.9",
        "child_5_1.npy,4,5,moro,rejected,added,,,",
        "child_5_1.npy,20,21,spasm,accepted,added,,,",  # of another recording
    ]
    events = read_review_as_events(tmp_path, *rows)
    assert events.spans["child_4_1.npy"].tolist() == [[8, 9], [20, 21]]
    assert events.spans["child_5_1.npy"].tolist() == [[20, 21]]
    assert events.rejected["child_5_1.npy"] == [(4, 5, "crying")]
    for line, first in ((3, 2), (5, 4), (7, 6)):
        assert re.search(
            rf"line {line}: an event of child_\d_1.npy has the times of line {first} \(they count as one",
            warned(events),
        )


@pytest.mark.parametrize("decided", ["spasm,accepted", "crying,rejected"])
@pytest.mark.parametrize("order", [1, -1])
def test_an_unreviewed_event_with_the_times_of_a_decided_one_is_decided(tmp_path, decided, order):
    rows = [f"child_4_1.npy,20,21,{decided},detected,19,21,0.9", "child_4_1.npy,20,21,,unreviewed,detected,20,21,0.8"]
    events = read_review_as_events(tmp_path, *rows[::order], "child_5_1.npy,4,5,moro,rejected,added,,,")
    assert len(events.spans["child_4_1.npy"]) == ("accepted" in decided)
    assert len(events.rejected["child_4_1.npy"]) == ("rejected" in decided)
    assert len(events.unreviewed["child_4_1.npy"]) == 0
    assert "same times" not in warned(events) and "has the times" not in warned(events)


def test_an_event_that_is_accepted_and_rejected_at_the_same_times_is_refused(tmp_path):
    rows = ["child_4_1.npy,20,21,spasm,accepted,added,,,", "child_4_1.npy,20,21,moro,rejected,detected,20,21,0.9"]
    with pytest.raises(DataProblems) as caught:
        read_review_as_events(tmp_path, *rows)
    (line,) = map(str, caught.value.problems)
    assert "line 3: an event of child_4_1.npy has the times of line 2, where the decision is accepted and not" in line
    assert "delete the row that is wrong, or correct its times" in line
