"""The page of a review in a real browser: its keys, dragging, progress, review.csv, and the poses of a chosen file."""

import csv
import io
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.browser import PageInBrowser, needs_browser
from helpers.poses import moving
from spasm.config.events import Hysteresis
from spasm.core.tables import read_table
from spasm.data.pose import visible_mask
from spasm.data.recordings import content_of
from spasm.data.reviews import read_review
from spasm.data.true_events import read_true_events
from spasm.features.recording_motion import fastest_in_steps
from spasm.inference.event_detection import STEP_FRAMES, STEP_S, Windows, detect_events, make_windows
from spasm.report.review_data import FACTOR, FEWEST, pack_recording, probability_bytes, pyramid, speed_bytes
from spasm.report.review_page import review_page
from spasm.runs.artefacts import DataInfo
from spasm.simulation import dataset_writer
from spasm.simulation.infant import SimulationConfig

T, STRIDE, MINUTES, COUNT = 60, 30, 5, 30
READY = "html[data-ready]"
RULE = Hysteresis(0.5, 0.3)
COLUMNS = (
    "recording", "onset_s", "offset_s", "type", "decision", "origin", "detected_onset_s", "detected_offset_s",
    "peak_probability", "reviewer", "note",
)  # fmt: skip
KINDS = ("startle", "moro", "crying", "artefact", "caregiver", "other")


def data_info(simulated: bool = True) -> DataInfo:
    return DataInfo(
        path="d", simulated=simulated, segments=40, children=8, positives=9, without_pose=0, fingerprint="0" * 64
    )


def windows_of(frames: int, onsets_s: Sequence[float], peaks: Sequence[float], unseen_s: Sequence[Any] = ()) -> Windows:
    """Windows of a recording whose curve has an event of 0.8 s at each onset."""
    curve = np.full(-(-frames // STEP_FRAMES), 0.1, dtype=np.float32)
    for onset_s, peak in zip(onsets_s, peaks, strict=True):
        curve[round(onset_s / STEP_S) : round(onset_s / STEP_S) + 8] = peak
    for begin_s, end_s in unseen_s:
        curve[round(begin_s / STEP_S) : round(end_s / STEP_S)] = np.nan
    middles = (np.arange(0, frames - T + 1, STRIDE) + T // 2) // STEP_FRAMES
    if (frames - T) % STRIDE:
        middles = np.append(middles, (frames - T // 2) // STEP_FRAMES)
    seen_s = np.full(len(middles), T / 30)
    steps = np.stack([curve, np.zeros(len(curve))])  # no movement: the events begin with the curve
    return make_windows(frames, T, STRIDE, curve[middles].astype(float), seen_s, seen_s, steps)


def write_page(target: Path, recording: Path, windows: Windows, name: str = "", simulated: bool = True) -> Path:
    speeds = fastest_in_steps(recording, windows.frames, STEP_FRAMES)
    packed = pack_recording(recording, windows, detect_events(windows, RULE), speeds, 1.0)
    html = review_page(recording, name or recording.name, windows, packed, RULE, data_info(simulated))
    target.parent.mkdir(exist_ok=True, parents=True)
    target.write_text(html, encoding="utf-8")
    return target


ONSETS_S = 5.0 + 9.7 * np.arange(COUNT)
PEAKS = 0.55 + 0.4 * np.random.default_rng(0).permutation(COUNT) / COUNT


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated recording of 5 minutes."""
    out = tmp_path_factory.mktemp("recorded") / "demo"
    config = SimulationConfig(frames=T)
    dataset_writer.write_dataset(out, 1, 1, 17, config, recordings=1, minutes=MINUTES, workers=1)
    return out / "recordings/child_1_1.npy"


@pytest.fixture(scope="module")
def written(recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of that recording with 30 events."""
    windows = windows_of(MINUTES * 1800, ONSETS_S, PEAKS, [(103.0, 109.0)])
    return write_page(tmp_path_factory.mktemp("page") / "review.html", recorded, windows)


@pytest.fixture
def open_page(browser: Any, written: Path) -> Iterator[Callable[..., PageInBrowser]]:
    pages = []

    def open_one(path: Path = written, **options: Any) -> PageInBrowser:
        options = {"viewport": {"width": 1280, "height": 900}, "accept_downloads": True, **options}
        pages.append(PageInBrowser(browser, path, READY, **options))
        return pages[-1]

    yield open_one
    for one in pages:
        assert one.messages == []
        one.close()


@pytest.fixture
def opened(open_page: Callable[..., PageInBrowser]) -> PageInBrowser:
    return open_page()


def press(opened: PageInBrowser, *keys: str) -> None:
    for key in keys:
        opened.page.keyboard.press(key)


def saved(opened: PageInBrowser, target: Path) -> Path:
    with opened.page.expect_download() as download:
        press(opened, "s")
    assert download.value.suggested_filename == "review.csv"
    download.value.save_as(target)
    return target


def rows_of(path: Path) -> list[dict[str, str]]:
    text = path.read_text(encoding="utf-8")
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    assert tuple(reader.fieldnames or ()) == COLUMNS
    return list(reader)


def event(opened: PageInBrowser, key: str) -> Any:
    return opened.page.evaluate(f"review.find(current).{key}")


def message(opened: PageInBrowser) -> str:
    return opened.page.inner_text("#message")


def load(opened: PageInBrowser, path: Path) -> str:
    opened.page.set_input_files("#load-file", path)
    opened.until("document.querySelector('#message').textContent !== ''")
    return message(opened)


def progress(opened: PageInBrowser) -> str:
    return opened.page.inner_text("#progress")


# ---- what the page shows


@needs_browser
def test_the_page_opens_without_a_message_or_a_request_and_says_what_it_is(
    opened: PageInBrowser, written: Path
) -> None:
    assert opened.requests == [written.as_uri()]
    assert opened.page.title() == "SIMULATED: Review of child_1_1.npy"
    assert opened.page.inner_text("#simulated").startswith("SIMULATED: the run was trained on simulated children")
    assert opened.page.evaluate("getComputedStyle(document.querySelector('#simulated')).backgroundColor") == (
        "rgb(163, 41, 10)"
    )
    assert "Not a medical device" in opened.page.inner_text("header")
    assert "6 s in grey can hold events that nothing can find" in opened.page.inner_text("#seen")
    assert opened.page.evaluate("fetch('data:text/plain,a').then(() => 'asked', () => 'refused')") == "refused"
    added = "const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.body.append(s)"
    opened.page.evaluate(added)
    assert opened.page.evaluate("window.ran") is None
    opened.messages.clear()  # of the two violations
    assert opened.page.evaluate("document.documentElement.scrollHeight") < 1000  # hardly more than a screen


@needs_browser
def test_a_run_of_real_data_shows_no_stamp(open_page: Callable[..., PageInBrowser], tmp_path: Path) -> None:
    np.save(tmp_path / "child_3_1.npy", moving(1, 900)[0])
    page = write_page(
        tmp_path / "review.html", tmp_path / "child_3_1.npy", windows_of(900, [5.0], [0.9]), simulated=False
    )
    opened = open_page(page)
    assert opened.page.locator("#simulated").count() == 0
    assert opened.page.title() == "Review of child_3_1.npy"


@needs_browser
def test_a_recording_without_an_event_is_not_called_free_of_spasms(
    open_page: Callable[..., PageInBrowser], tmp_path: Path
) -> None:
    np.save(tmp_path / "child_3_1.npy", moving(1, 900)[0])
    windows = windows_of(900, [], [], [(10.0, 20.0)])
    opened = open_page(write_page(tmp_path / "review.html", tmp_path / "child_3_1.npy", windows))
    assert opened.page.inner_text("#none").startswith("No event was detected in the time that was seen.")
    assert "10 s in grey can hold events" in opened.page.inner_text("#seen")
    opened.page.evaluate("player.seek(15)")
    assert "not seen: no probability" in opened.page.inner_text("#values")
    press(opened, "a", "1", "x", "t", "[", "p", "ArrowDown")  # no event: nothing to decide
    assert progress(opened) == "0 of 0 reviewed"
    press(opened, "n")
    assert progress(opened) == "0 of 0 reviewed, 1 added"


@needs_browser
def test_the_strips_hold_the_extremes_of_the_curves_at_every_zoom(opened: PageInBrowser, recorded: Path) -> None:
    speeds = fastest_in_steps(recorded, MINUTES * 1800, STEP_FRAMES)
    for columns in (20, 300, 100_000):
        runs = opened.page.evaluate(f"strips.curves.curve.runs(0, STEPS, {columns}, (time) => time)")
        values = np.array([point for run in runs for point in run])
        assert values[:, 2].max() == pytest.approx(PEAKS.max(), abs=0.003)
        assert values[:, 1].min() == pytest.approx(0.1, abs=0.003)
        highest_s = values[values[:, 2].argmax(), 0]
        assert abs(highest_s - ONSETS_S[PEAKS.argmax()]) < 0.8 + MINUTES * 60 / columns
        for part in range(4):
            runs = opened.page.evaluate(f"strips.curves.speeds[{part}].runs(0, STEPS, {columns}, (time) => time)")
            top = max(point[2] for run in runs for point in run)
            assert top == pytest.approx(float(np.nanmax(speeds[part])), rel=0.05)
    assert opened.page.evaluate("strips.curves.unseen") == [pytest.approx([103.0, 109.0])]


@needs_browser
def test_the_detail_zooms_from_the_whole_recording_to_a_second_by_keys_wheel_and_dragging(
    opened: PageInBrowser,
) -> None:
    view = "[strips.from, strips.to]"
    assert opened.page.evaluate(view) == [0, MINUTES * 60]
    press(opened, *["+"] * 12)
    begin, end = opened.page.evaluate(view)
    assert end - begin == pytest.approx(1)
    press(opened, *["-"] * 4)
    begin, end = opened.page.evaluate(view)
    assert end - begin == pytest.approx(16)
    box = opened.page.locator("#probability").bounding_box()
    opened.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 60)
    under = opened.page.evaluate("(strips.from + strips.to) / 2")
    opened.page.mouse.wheel(0, -100)
    opened.until("strips.to - strips.from < 15")
    assert opened.page.evaluate("(strips.from + strips.to) / 2") == pytest.approx(under, abs=0.5)  # about the pointer
    assert opened.page.evaluate("scrollY") == 0
    begin, end = opened.page.evaluate(view)
    opened.page.mouse.down()
    opened.page.mouse.move(box["x"] + box["width"] / 2 + 200, box["y"] + 60, steps=4)
    opened.page.mouse.up()
    moved, moved_end = opened.page.evaluate(view)
    assert moved < begin - 1 and moved_end - moved == pytest.approx(end - begin)
    whole = opened.page.locator("#overview canvas").bounding_box()
    opened.page.mouse.click(whole["x"] + 54 + (whole["width"] - 62) * 0.8, whole["y"] + 10)
    assert opened.page.evaluate("(strips.from + strips.to) / 2") == pytest.approx(0.8 * MINUTES * 60, abs=0.5)
    press(opened, "0")
    assert opened.page.evaluate(view) == [0, MINUTES * 60]


@needs_browser
def test_unseen_time_is_grey_and_each_decision_has_a_colour_and_a_mark(opened: PageInBrowser) -> None:
    pixel = """((time, y) => { const canvas = document.querySelector('#probability'), pen = canvas.getContext('2d');
        return [...pen.getImageData(Math.round(strips.x(time, canvas.clientWidth)), y, 1, 1).data]; })"""
    unseen, seen = (opened.page.evaluate(f"{pixel}({time_s}, 45)") for time_s in (106.0, 117.0))
    assert unseen[3] > 0 == seen[3]
    assert unseen[0] == pytest.approx(unseen[2], abs=25)  # grey
    assert "grey can hold" in opened.page.inner_text("#seen")
    press(opened, "q")
    opened.page.evaluate("choose(0, { play: false })")
    press(opened, "a", "3")  # the first two; the third is not reviewed
    opened.page.evaluate("add(9, 10)")
    opened.page.evaluate("choose(29, { play: false, zoom: false }); strips.show(0, 60)")
    middles = [ONSETS_S[0] + 0.4, ONSETS_S[1] + 0.4, ONSETS_S[2] + 0.4, 9.5]
    colours = [tuple(opened.page.evaluate(f"{pixel}({time_s}, 26)")) for time_s in middles]
    assert len(set(colours)) == 4
    assert opened.page.locator("#queue .mark").all_inner_texts()[:4] == ["✓", "+", "✕", "?"]
    key = opened.page.inner_text("#key").replace("\n", " ")
    opened.messages.clear()  # that reading pixels is slow
    for words in ("? not reviewed", "✓ accepted", "✕ rejected", "+ added", "not seen, or too little: no probability"):
        assert words in key


# ---- a review by keyboard


@needs_browser
def test_thirty_events_are_reviewed_by_keyboard_alone_in_the_order_of_their_probability(
    opened: PageInBrowser, tmp_path: Path
) -> None:
    opened.page.keyboard.press("Tab")  # to the link that skips the header, and on
    opened.page.keyboard.press("Tab")
    assert opened.page.evaluate("document.activeElement.id") == "reviewer"
    opened.page.keyboard.type("Dr. A. Meyer")
    press(opened, "Escape")
    assert progress(opened) == "0 of 30 reviewed"
    order = np.argsort(-PEAKS, kind="stable")
    for place, number in enumerate(order):
        assert opened.page.evaluate("current") == number
        if place % 3 == 0:
            press(opened, "[", "[", "}", "a")
        elif place % 3 == 1:
            press(opened, str(1 + place % 6))
        else:
            press(opened, "r", str(1 + place % 6))
        assert progress(opened).startswith(f"{place + 1} of 30 reviewed")
    assert progress(opened) == "30 of 30 reviewed: 10 accepted, 20 rejected. Now save review.csv."
    rows = rows_of(saved(opened, tmp_path / "review.csv"))
    assert [row["recording"] for row in rows] == ["child_1_1.npy"] * 30
    assert np.allclose([float(row["detected_onset_s"]) for row in rows], ONSETS_S)
    assert np.allclose([float(row["peak_probability"]) for row in rows], PEAKS, atol=1e-4)
    assert {row["reviewer"] for row in rows} == {"Dr. A. Meyer"}
    for place, number in enumerate(order):
        row = rows[number]
        accepted = place % 3 == 0
        assert row["decision"] == ("accepted" if accepted else "rejected")
        assert row["type"] == ("spasm" if accepted else KINDS[place % 6])
        assert row["origin"] == "detected"
        assert float(row["onset_s"]) == pytest.approx(ONSETS_S[number] - 0.2 * accepted)
        assert float(row["offset_s"]) == pytest.approx(ONSETS_S[number] + 0.8 + 0.1 * accepted)
    assert opened.requests[1:] == []


@needs_browser
def test_an_unreviewed_event_is_a_row_without_a_type_and_clearing_makes_one(
    opened: PageInBrowser, tmp_path: Path
) -> None:
    press(opened, "a", "ArrowUp", "c")
    rows = rows_of(saved(opened, tmp_path / "review.csv"))
    assert {(row["decision"], row["type"], row["note"]) for row in rows} == {("unreviewed", "", "")}
    assert len(rows) == 30


@needs_browser
def test_the_queue_goes_by_probability_or_by_time(opened: PageInBrowser) -> None:
    listed = "[...document.querySelectorAll('#queue .event')].map((node) => +node.dataset.id)"
    assert opened.page.evaluate(listed) == np.argsort(-PEAKS, kind="stable").tolist()
    press(opened, "q")
    assert opened.page.evaluate(listed) == list(range(COUNT))
    first = opened.page.evaluate("current")
    press(opened, "ArrowDown")
    assert opened.page.evaluate("current") == min(first + 1, COUNT - 1)
    press(opened, "a")
    assert opened.page.evaluate("current") == min(first + 2, COUNT - 1)


@needs_browser
def test_every_change_can_be_undone(opened: PageInBrowser) -> None:
    before = opened.page.evaluate("JSON.stringify(review.events)")
    chosen = opened.page.evaluate("current")
    press(opened, "[", "4", "n", "2", "x")  # an event at the playhead, rejected and deleted
    opened.page.keyboard.press("t")
    opened.page.keyboard.type("a note")
    press(opened, "Escape")
    assert opened.page.evaluate("JSON.stringify(review.events)") != before
    for _ in range(20):
        press(opened, "u")
    assert opened.page.evaluate("JSON.stringify(review.events)") == before
    assert opened.page.evaluate("current") == chosen
    assert message(opened) == "There is nothing to undo."


def notes(opened: PageInBrowser) -> dict[int, str]:
    """The notes of the events that have one, by event."""
    return {one["id"]: one["note"] for one in opened.page.evaluate("review.events") if one["note"]}


@needs_browser
@pytest.mark.parametrize("how", ["#decide .accept", "#add", "#queue li:nth-child(5) button"])
def test_a_note_stays_with_its_event_when_a_click_goes_to_another(how: str, opened: PageInBrowser) -> None:
    first = opened.page.evaluate("current")
    opened.page.click("#note")
    opened.page.keyboard.type("crying before")
    opened.page.click(how)
    second = opened.page.evaluate("current")
    assert second != first
    assert opened.page.input_value("#note") == ""
    press(opened, "2")  # a decision, and no letter of a note
    assert opened.page.evaluate(f"review.find({second}).type") == "moro"
    opened.page.evaluate(f"choose({second}, {{ play: false }})")
    opened.page.click("#note")
    opened.page.keyboard.type("hiccup")
    opened.page.click(f"#queue [data-id='{first}']")
    assert opened.page.input_value("#note") == "crying before"
    assert notes(opened) == {first: "crying before", second: "hiccup"}


@needs_browser
def test_a_field_that_is_written_in_shows_what_undo_and_loading_leave(
    open_page: Callable[..., PageInBrowser], tmp_path: Path
) -> None:
    opened = open_page()
    for field, value in (("#note", "review.find(current).note"), ("#reviewer", "review.reviewer")):
        opened.page.click(field)
        opened.page.keyboard.type("first")
        opened.page.click("#undo")
        assert (opened.page.input_value(field), opened.page.evaluate(value)) == ("", "")
        opened.page.focus(field)  # and without a click
        opened.page.keyboard.type("second")
        opened.page.evaluate("undo()")
        assert (opened.page.input_value(field), opened.page.evaluate(value)) == ("", "")
        opened.page.keyboard.type("third")
        assert (opened.page.input_value(field), opened.page.evaluate(value)) == ("third", "third")
    press(opened, "Escape")
    table = saved(opened, tmp_path / "review.csv")
    other = open_page()
    other.page.click("#reviewer")
    other.page.keyboard.type("B")
    load(other, table)
    assert (other.page.input_value("#reviewer"), other.page.input_value("#note")) == ("third", "third")


@needs_browser
def test_r_waits_for_the_kind_and_escape_leaves_it(opened: PageInBrowser) -> None:
    press(opened, "r")
    assert opened.page.locator("#decision.choosing").count() == 1
    assert opened.page.inner_text("#event-text").startswith("What is it? Press 1 to 6: 1 startle, 2 Moro reflex, ")
    assert progress(opened) == "0 of 30 reviewed"
    press(opened, "Escape")
    assert opened.page.locator("#decision.choosing").count() == 0
    press(opened, "r", "3")
    assert progress(opened).endswith("0 accepted, 1 rejected")


@needs_browser
def test_a_missed_event_is_added_at_the_playhead_and_only_added_ones_are_deleted(
    opened: PageInBrowser, tmp_path: Path
) -> None:
    press(opened, "x")
    assert "Only an added event can be deleted" in message(opened)
    press(opened, "PageDown", "ArrowRight", "ArrowRight", "ArrowRight")
    at_s = opened.page.evaluate("player.time")
    press(opened, "n", "}", "}")
    assert progress(opened) == "0 of 30 reviewed, 1 added"
    [row] = [row for row in rows_of(saved(opened, tmp_path / "review.csv")) if row["origin"] == "added"]
    assert float(row["onset_s"]) == pytest.approx(at_s, abs=0.006)
    assert float(row["offset_s"]) == pytest.approx(at_s + 1.2, abs=0.011)
    assert (row["decision"], row["type"]) == ("accepted", "spasm")
    assert (row["detected_onset_s"], row["detected_offset_s"], row["peak_probability"]) == ("", "", "")
    press(opened, "x")
    assert progress(opened) == "0 of 30 reviewed"


@needs_browser
def test_the_player_plays_each_event_once_and_steps_by_frames(opened: PageInBrowser) -> None:
    opened.page.select_option("#rate", "4")
    press(opened, "p")
    onset = event(opened, "onset")
    assert opened.page.evaluate("player.time") < onset
    opened.until("player.playing === false")
    assert opened.page.evaluate("player.time") == pytest.approx(event(opened, "offset") + 2, abs=0.1)
    frame = opened.page.evaluate("player.frame")
    press(opened, "ArrowLeft", "ArrowLeft", "ArrowRight")
    assert opened.page.evaluate("player.frame") == frame - 1
    opened.page.click("#decide .accept")
    chosen = opened.page.evaluate("current")
    press(opened, " ", " ")  # pause and play: not the button that was clicked
    assert opened.page.evaluate("player.playing")
    assert opened.page.evaluate("current") == chosen
    press(opened, " ")
    assert not opened.page.evaluate("player.playing")


def hold(opened: PageInBrowser, key: str, repeats: int = 5) -> None:
    for _ in range(1 + repeats):
        opened.page.keyboard.down(key)
    opened.page.keyboard.up(key)


@needs_browser
def test_a_held_key_decides_one_event_and_goes_on_stepping_nudging_and_zooming(opened: PageInBrowser) -> None:
    hold(opened, "a")
    assert progress(opened).startswith("1 of 30 reviewed: 1 accepted")
    hold(opened, "2")
    assert progress(opened).startswith("2 of 30 reviewed: 1 accepted, 1 rejected")
    hold(opened, "n")
    assert "1 added" in progress(opened)
    hold(opened, "u")
    assert progress(opened).startswith("2 of 30 reviewed: 1 accepted, 1 rejected")
    opened.page.focus("#decide .accept")
    hold(opened, "Enter")  # presses the button that has the focus
    assert progress(opened).startswith("3 of 30 reviewed: 2 accepted, 1 rejected")
    hold(opened, " ")
    assert progress(opened).startswith("4 of 30 reviewed: 3 accepted, 1 rejected")
    press(opened, "Escape")
    hold(opened, "t")  # goes into the note, and writes nothing there
    assert opened.page.evaluate("document.activeElement.id") == "note"
    assert notes(opened) == {}
    opened.page.keyboard.type("no")
    hold(opened, "o")
    assert list(notes(opened).values()) == ["nooooooo"]
    press(opened, "Escape")
    onset, span_s = opened.page.evaluate("[review.find(current).onset, strips.to - strips.from]")
    hold(opened, "[")
    assert event(opened, "onset") == pytest.approx(onset - 0.6)
    hold(opened, "ArrowRight")
    assert opened.page.evaluate("player.frame") == round((onset - 0.6) * 30) + 6
    hold(opened, "-", 2)
    assert opened.page.evaluate("strips.to - strips.from") == pytest.approx(min(8 * span_s, MINUTES * 60))


@needs_browser
def test_keys_decide_nothing_while_a_field_or_the_speed_has_the_focus(opened: PageInBrowser) -> None:
    before = opened.page.evaluate("review.text()")
    for field in ("#rate", "#loop", "#adding"):
        opened.page.focus(field)
        press(opened, "2", "a", "n", "u", "ArrowDown")
        assert opened.page.evaluate("[review.text(), document.activeElement.id]") == [before, field[1:]]
    opened.page.focus("#rate")
    press(opened, "Escape", "2")
    assert progress(opened).startswith("1 of 30 reviewed: 0 accepted, 1 rejected")
    # A field chosen by a click gives the focus back: the keys go on.
    for number, click in enumerate(("#loop", "label:has(#still)", "label:has(#adding)"), 2):
        opened.page.click(click)
        press(opened, "2")
        assert progress(opened).startswith(f"{number} of 30 reviewed")
    opened.page.click("#rate")
    opened.page.select_option("#rate", "0.5")
    press(opened, "2")
    assert progress(opened).startswith("5 of 30 reviewed")
    assert opened.page.is_checked("#loop") and opened.page.is_checked("#still") and opened.page.is_checked("#adding")


@needs_browser
def test_the_help_lists_every_key_and_keys_can_be_switched_off(opened: PageInBrowser) -> None:
    press(opened, "?")
    listed = opened.page.locator("#key-list dt").all_inner_texts()
    names = {"ArrowDown": "↓", "ArrowUp": "↑", "ArrowRight": "→", "ArrowLeft": "←", "PageDown": "Page↓",
             "PageUp": "Page↑", " ": "space"}  # fmt: skip
    assert listed[:-1] == [names.get(key, key) for key in opened.page.evaluate("ACTIONS.map(([key]) => key)")]
    press(opened, "a")  # not while it is open
    assert opened.page.evaluate("document.activeElement.textContent").startswith("Close")
    opened.page.uncheck("#single")
    press(opened, "Escape", "a", "3")
    assert progress(opened) == "0 of 30 reviewed"
    opened.page.click("#decide .accept")
    assert progress(opened).startswith("1 of 30 reviewed")


# ---- by pointer


@needs_browser
@pytest.mark.parametrize(("edge", "by_s"), [("onset", -0.6), ("onset", 5.0), ("offset", 0.45)])
def test_dragging_an_edge_adjusts_it_and_never_beyond_the_other(edge: str, by_s: float, opened: PageInBrowser) -> None:
    press(opened, "z")
    onset, offset = event(opened, "onset"), event(opened, "offset")
    box = opened.page.locator("#probability").bounding_box()
    per_s = (box["width"] - 62) / opened.page.evaluate("strips.to - strips.from")
    x = box["x"] + opened.page.evaluate(f"strips.x(review.find(current).{edge}, {box['width']})")
    opened.page.mouse.move(x, box["y"] + 50)
    opened.page.mouse.down()
    opened.page.mouse.move(x + by_s * per_s / 2, box["y"] + 55, steps=3)
    opened.page.mouse.move(x + by_s * per_s, box["y"] + 60, steps=3)
    opened.page.mouse.up()
    if by_s > 1:
        assert event(opened, "onset") == pytest.approx(offset - 0.1)
    else:
        assert event(opened, edge) == pytest.approx({"onset": onset, "offset": offset}[edge] + by_s, abs=2 / per_s)
    assert event(opened, "detected") == [onset, offset]
    assert "Detected: " in opened.page.inner_text("#event-text")
    press(opened, "u")  # a drag is one change
    assert (event(opened, "onset"), event(opened, "offset")) == (onset, offset)


@needs_browser
@pytest.mark.parametrize("how", ["shift", "checkbox"])
def test_dragging_adds_an_event(how: str, opened: PageInBrowser) -> None:
    press(opened, "z")
    box = opened.page.locator("#probability").bounding_box()
    begin, end = opened.page.evaluate(
        "[strips.timeAt({ clientX: 200 }, strips.probability), strips.timeAt({ clientX: 320 }, strips.probability)]"
    )
    if how == "shift":
        opened.page.keyboard.down("Shift")
    else:
        opened.page.check("#adding")
    opened.page.mouse.move(200, box["y"] + 50)
    opened.page.mouse.down()
    opened.page.mouse.move(320, box["y"] + 50, steps=4)
    opened.page.mouse.up()
    opened.page.keyboard.up("Shift")
    assert (event(opened, "origin"), event(opened, "decision")) == ("added", "accepted")
    assert event(opened, "onset") == pytest.approx(begin, abs=0.01)
    assert event(opened, "offset") == pytest.approx(end, abs=0.01)


@needs_browser
def test_a_click_in_the_detail_chooses_the_event_there_or_moves_the_playhead(opened: PageInBrowser) -> None:
    box = opened.page.locator("#probability").bounding_box()

    def click(time_s: float) -> None:
        opened.page.mouse.click(box["x"] + opened.page.evaluate(f"strips.x({time_s}, {box['width']})"), box["y"] + 60)

    other = (opened.page.evaluate("current") + 7) % COUNT
    click(ONSETS_S[other] + 0.4)
    assert opened.page.evaluate("current") == other
    click(ONSETS_S[3] + 5)
    assert opened.page.evaluate("current") == other
    assert opened.page.evaluate("player.time") == pytest.approx(ONSETS_S[3] + 5, abs=0.3)


# ---- progress


@needs_browser
def test_a_reload_keeps_the_review_and_goes_on_where_it_stopped(opened: PageInBrowser) -> None:
    opened.page.fill("#reviewer", "B")
    press(opened, "Escape", "[", "a", "2", "t")
    opened.page.keyboard.type("seen twice")
    press(opened, "Escape", "n")
    before = opened.page.evaluate("review.text()")
    opened.page.reload()
    opened.page.wait_for_selector(READY)
    assert opened.page.evaluate("review.text()") == before
    assert progress(opened).startswith("2 of 30 reviewed, 1 added")
    assert opened.page.input_value("#reviewer") == "B"
    assert event(opened, "decision") == "unreviewed"


@needs_browser
def test_another_recording_or_prediction_never_takes_over_a_review(
    open_page: Callable[..., PageInBrowser], tmp_path: Path
) -> None:
    poses = moving(3, 900)[0]
    page, onsets_s = tmp_path / "review.html", [4.0, 12.0, 20.0]

    def write(name: str, one: np.ndarray, last_peak: float) -> None:
        np.save(tmp_path / name, one)
        write_page(page, tmp_path / name, windows_of(900, onsets_s, [0.9, 0.8, last_peak]))

    def reload() -> str:
        opened.page.reload()
        opened.page.wait_for_selector(READY)
        return progress(opened)

    write("child_1_1.npy", poses, 0.7)
    opened = open_page(page)
    press(opened, "a", "a")
    write("child_1_1.npy", poses, 0.71)  # one event a little more probable: another prediction
    assert reload() == "0 of 3 reviewed"
    write("child_2_1.npy", poses, 0.7)
    assert reload() == "0 of 3 reviewed"
    write("child_1_1.npy", poses[::-1], 0.7)  # other poses under the same name
    assert reload() == "0 of 3 reviewed"
    write("child_1_1.npy", poses, 0.7)
    assert reload() == "2 of 3 reviewed: 2 accepted, 0 rejected"  # the first is still there


@needs_browser
@pytest.mark.parametrize(
    ("kept", "words"),
    [
        ("{", "JSON"),
        ('{"reviewer": "", "events": []}', "cannot be read"),
        ('{"reviewer": "", "events": [{"id": 0, "onset": "<b>"}]}', "cannot be read"),
    ],
)
def test_progress_that_cannot_be_read_is_left_and_a_message_says_so(
    kept: str, words: str, opened: PageInBrowser
) -> None:
    opened.page.evaluate(f"localStorage.setItem(review.key, {kept!r})")
    opened.page.reload()
    opened.page.wait_for_selector(READY)
    opened.until("document.querySelector('#message').textContent !== ''")
    assert "This browser keeps no progress" in message(opened)
    assert words in message(opened)
    press(opened, "a")
    assert progress(opened).startswith("1 of 30 reviewed")
    assert opened.page.evaluate("localStorage.getItem(review.key)") == kept


@needs_browser
def test_a_browser_without_storage_says_so_and_the_review_goes_on(browser: Any, written: Path, tmp_path: Path) -> None:
    context = browser.new_context(accept_downloads=True)
    context.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new Error('not allowed'); } })"
    )
    page = context.new_page()
    page.goto(written.as_uri())
    page.wait_for_selector(READY)
    assert page.inner_text("#message").startswith(
        "This browser keeps no progress (not allowed). Save review.csv before"
    )
    page.keyboard.press("a")
    with page.expect_download() as download:
        page.keyboard.press("s")
    download.value.save_as(tmp_path / "review.csv")
    assert [row["decision"] for row in rows_of(tmp_path / "review.csv")].count("accepted") == 1
    context.close()


@needs_browser
def test_progress_is_kept_again_as_soon_as_it_fits(opened: PageInBrowser) -> None:
    fill = """for (let size = 2 ** 23, number = 0; size >= 1; size /= 2) {
        try { localStorage.setItem(`fill ${number++}`, "x".repeat(size)); size *= 2; } catch { } }"""
    before = opened.page.evaluate("review.text()")
    opened.page.evaluate(f"(() => {{ {fill} }})()")
    press(opened, "3", "5")
    assert "This browser keeps no progress" in message(opened)
    assert opened.page.evaluate("localStorage.getItem(review.key)") == before
    press(opened, "u", "u")
    assert opened.page.evaluate("[localStorage.getItem(review.key), review.failure]") == [before, None]
    press(opened, "3")
    assert "This browser keeps no progress" in message(opened)
    opened.page.evaluate(
        "for (const key of Object.keys(localStorage)) if (key.startsWith('fill')) localStorage.removeItem(key)"
    )
    press(opened, "5")
    assert opened.page.evaluate("localStorage.getItem(review.key) === review.text()")
    assert message(opened) == ""


# ---- review.csv

NOTES = (
    'commas, "quotes"; semicolons', "two\nlines", "=1+1", "+49 30", "-", "@here", "'quoted", "'=already", "it's",
    "ä 字 🙂", "</script><script>window.ran = 1</script>",
)  # fmt: skip


@needs_browser
def test_what_was_saved_is_loaded_as_it_was(open_page: Callable[..., PageInBrowser], tmp_path: Path) -> None:
    opened = open_page()
    opened.page.fill("#reviewer", '=cmd|"x"')
    press(opened, "Escape")
    for note in NOTES:
        press(opened, "t")
        opened.page.fill("#note", note)
        press(opened, "Escape", "]", "5")
    press(opened, "a", "n", "3")
    table = saved(opened, tmp_path / "review.csv")
    cells = [cell for row in rows_of(table) for cell in row.values()]
    assert not [cell for cell in cells if re.match(r"[=+@\t\r]|-(?!\d)", cell)]  # nothing that a spreadsheet computes
    assert len(read_table(table, COLUMNS)) == 31  # the library reads it, too
    other = open_page()  # a browser that has kept nothing
    assert progress(other) == "0 of 30 reviewed"
    note = load(other, table)
    assert note == "review.csv: 31 rows loaded. Undo takes it back."
    assert other.page.evaluate("review.text()") == opened.page.evaluate("review.text()")
    assert {one["note"] for one in other.page.evaluate("review.events")} >= set(NOTES)
    assert saved(other, tmp_path / "again.csv").read_bytes() == table.read_bytes()
    assert other.page.evaluate("window.ran") is None
    press(other, "u")
    assert progress(other) == "0 of 30 reviewed"


@needs_browser
def test_no_two_events_get_the_same_times_so_that_the_library_reads_what_is_saved(
    opened: PageInBrowser, recorded: Path, tmp_path: Path
) -> None:
    opened.page.evaluate("choose(0, { play: false })")
    press(opened, "n")
    assert progress(opened) == "0 of 30 reviewed, 1 added"
    added = opened.page.evaluate("current")
    opened.page.evaluate(f"choose(0, {{ play: false }}); player.jump(review.find({added}).onset)")
    press(opened, "n")
    assert progress(opened) == "0 of 30 reviewed, 1 added"
    assert opened.page.evaluate("current") == added
    assert message(opened).endswith("0:00:05.00 to 0:00:06.00. It is chosen now: nothing was added.")
    opened.page.evaluate("choose(0, { play: false })")
    assert message(opened) == ""
    press(opened, "}")
    onset, offset = event(opened, "onset"), event(opened, "offset")
    opened.page.evaluate(f"add({onset - 0.1}, {offset})")
    opened.page.evaluate("choose(0, { play: false })")
    press(opened, "[")
    assert (event(opened, "onset"), event(opened, "offset")) == (onset, offset)
    assert "Give this one other times, or reject it if it is the same event" in message(opened)
    press(opened, "{", "[")
    assert event(opened, "onset") == pytest.approx(onset - 0.1)
    assert message(opened) == ""
    press(opened, "a")
    table = saved(opened, tmp_path / "review.csv")
    assert len(read_review(table)[0]) == 32
    assert len(read_true_events(table, {recorded: MINUTES * 1800}, {}).spans[recorded.name]) == 3


@needs_browser
def test_twenty_thousand_rows_are_loaded_and_only_those_in_view_are_laid_out(
    opened: PageInBrowser, tmp_path: Path
) -> None:
    rows = [f"child_1_1.npy,{k / 100:.2f},{k / 100 + 0.53:.2f},crying,rejected,added,,,,," for k in range(20_000)]
    (tmp_path / "review.csv").write_text("\n".join([HEADER, *rows]), encoding="utf-8")
    began = time.monotonic()
    assert "20000 rows loaded" in load(opened, tmp_path / "review.csv")
    assert time.monotonic() - began < 15  # generous, for a busy machine
    press(opened, "ArrowDown")
    in_view = "(node) => node.checkVisibility({ contentVisibilityAuto: true })"
    assert opened.page.locator("#queue [aria-current=true]").evaluate(in_view)
    assert not opened.page.locator("#queue li:last-child .event").evaluate(in_view)


@needs_browser
def test_a_table_that_a_spreadsheet_saved_again_is_read(
    open_page: Callable[..., PageInBrowser], tmp_path: Path
) -> None:
    opened = open_page()
    press(opened, "a", "2")
    rows = rows_of(saved(opened, tmp_path / "review.csv"))
    with open(tmp_path / "semicolons.csv", "w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, delimiter=";", lineterminator="\r\n", quoting=csv.QUOTE_ALL)
        writer.writerow(COLUMNS)
        writer.writerows(row.values() for row in rows)
    other = open_page()
    assert "30 rows loaded" in load(other, tmp_path / "semicolons.csv")
    assert other.page.evaluate("review.text()") == opened.page.evaluate("review.text()")


HEADER = ",".join(COLUMNS)
DETECTED = f"{ONSETS_S[0]:.2f},{ONSETS_S[0] + 0.8:.2f}"


WRONG = [
    (f"{HEADER}\nchild_9_1.npy,1,2,spasm,accepted,added,,,,,\n", "it is of child_9_1.npy, and this page shows"),
    (f"{HEADER}\n", "it has no row"),
    ("", "it is not a review.csv"),
    ("recording,onset_s,offset_s\nchild_1_1.npy,1,2\n", "no column type, decision"),
    (f"{HEADER}\nchild_1_1.npy,2,1,spasm,accepted,added,,,,,\n", "line 2: 2 to 1 is no event"),
    (f"{HEADER}\nchild_1_1.npy,1,9999,spasm,accepted,added,,,,,\n", "seconds from 0 to 300.00"),
    (f'{HEADER}\nchild_1_1.npy,"1,5",2,spasm,accepted,added,,,,,\n', "1,5 to 2 is no event"),
    (f"{HEADER}\nchild_1_1.npy,1,2,spasm,maybe,added,,,,,\n", "the decision maybe is unknown"),
    (f"{HEADER}\nchild_1_1.npy,1,2,moro,accepted,added,,,,,\n", "type moro does not go with accepted; write spasm"),
    (f"{HEADER}\nchild_1_1.npy,1,2,,unreviewed,added,,,,,\n", "an added event cannot be unreviewed"),
    (f"{HEADER}\nchild_1_1.npy,1,2,spasm,accepted,found,,,,,\n", "the origin found is unknown"),
    (f"{HEADER}\nchild_1_1.npy,1,2,spasm,accepted\n", "5 cells where the header has 11"),
    (f'{HEADER}\nchild_1_1.npy,1,2,spasm,accepted,added,,,,,"open\n', "a quote is not closed"),
    (f"{HEADER}\n" + f"child_1_1.npy,5,6,spasm,accepted,detected,{DETECTED},0.9,,\n" * 2, "there twice"),
    (f"{HEADER}\nchild_1_1.npy,1.001,1.004,spasm,accepted,added,,,,,\n", "1.001 to 1.004 is no event"),
    (
        f"{HEADER}\nchild_1_1.npy,1,2,spasm,accepted,added,,,,,\nchild_1_1.npy,1.0,2.001,moro,rejected,added,,,,,\n",
        "line 3: 1.00 to 2.00 are the times of line 2 too; delete one of the rows, or correct its times",
    ),
    (f"{HEADER}\nchild_1_1.npy,{DETECTED},spasm,accepted,added,,,,,\n", "are the times of a detected event too"),
    (
        f"{HEADER}\nchild_1_1.npy,1,2,spasm,accepted,detected,1.11,2.22,0.5,,\n",
        "it is a review of another prediction: none of its 1 detected events is in this page; load it into the page "
        "from which it was saved.",
    ),
    (
        f"{HEADER}\nchild_1_1.npy,1,2,spasm,accepted,detected,1.11,2.22,0.5,,\n"
        "child_1_1.npy,8,9,spasm,accepted,added,,,,,\n",
        "to load its added events alone, which begins this review again, delete its detected rows",
    ),
]


@needs_browser
def test_a_wrong_table_is_refused_with_its_line_and_nothing_is_loaded(opened: PageInBrowser, tmp_path: Path) -> None:
    press(opened, "a")
    before = opened.page.evaluate("review.text()")
    for text, words in WRONG:
        (tmp_path / "wrong.csv").write_text(text, encoding="utf-8")
        opened.page.evaluate("say('')")
        note = load(opened, tmp_path / "wrong.csv")
        assert note.startswith("wrong.csv was not loaded: ")
        assert words in note
        assert opened.page.evaluate("review.text()") == before


@needs_browser
def test_rows_of_another_prediction_are_left_out_and_counted(opened: PageInBrowser, tmp_path: Path) -> None:
    rows = [
        f"child_1_1.npy,4.9,5.8,spasm,accepted,detected,{DETECTED},0.9,A,",
        "child_1_1.npy,7,8,spasm,accepted,detected,7.00,8.00,0.9,A,",
        "child_1_1.npy,90,91,crying,rejected,added,,,,A,loud",
        "child_2_1.npy,90,91,crying,rejected,added,,,,A,",
    ]
    (tmp_path / "review.csv").write_text("\n".join([HEADER, *rows]), encoding="utf-8")
    note = load(opened, tmp_path / "review.csv")
    assert "2 rows loaded; 1 rows left out, because this prediction has no such detected event" in note
    assert "29 events of this prediction have no row and are unreviewed" in note
    assert "1 rows of other recordings left out" in note
    assert progress(opened) == "1 of 30 reviewed, 1 added: 1 accepted, 1 rejected"


@needs_browser
def test_a_hostile_name_is_shown_as_text(
    open_page: Callable[..., PageInBrowser], recorded: Path, tmp_path: Path
) -> None:
    name = "</title><script>window.ran = 1</script><img src=x onerror='window.ran = 2'>.mp4"
    windows = windows_of(MINUTES * 1800, ONSETS_S[:2], PEAKS[:2])
    opened = open_page(write_page(tmp_path / "review.html", recorded, windows, name=name))
    assert opened.page.inner_text("h1") == f"Review of {name}"
    assert opened.page.evaluate("window.ran") is None
    assert opened.page.locator("img").count() == 0
    assert len(opened.requests) == 1


# ---- poses


def shown_pose(opened: PageInBrowser, time_s: float) -> Any:
    opened.page.evaluate(f"player.jump({time_s})")
    opened.until("player.piece(player.frame) !== null || player.pieceOf(player.frame) === null")
    return opened.page.evaluate(
        """(() => { const piece = player.piece(player.frame), first = piece ? (player.frame - piece.begin) * JOINTS : 0;
        const values = (key) => [...piece[key].slice(first, first + JOINTS)];
        return piece && [player.frame, values('found'), values('x'), values('y')]; })()"""
    )


@needs_browser
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_poses_around_events_are_in_the_page_and_others_come_from_the_recording(
    dtype: str, open_page: Callable[..., PageInBrowser], tmp_path: Path
) -> None:
    poses = moving(2, 1800)[0].astype(dtype)
    poses[900:905] = np.nan
    recording = tmp_path / "child_3_1.npy"
    np.save(recording, poses)
    page = write_page(tmp_path / "review.html", recording, windows_of(1800, [10.0], [0.9]))
    opened = open_page(page)
    frame, found, x, y = shown_pose(opened, 8.0)
    assert np.array_equal(found, visible_mask(poses[frame]))
    assert np.abs(np.array([x, y]).T - poses[frame, :, :2]).max() < 0.002
    for time_s in (3.0, 17.0, 40.0):
        assert shown_pose(opened, time_s) is None
        assert "not in this page" in opened.page.inner_text("#lost")
    opened.page.set_input_files("#recording-file", recording)
    opened.until("player.file !== null")
    assert message(opened) == ""
    for time_s in (3.0, 17.0, 40.0, 59.9):
        frame, found, x, y = shown_pose(opened, time_s)
        assert frame == round(time_s * 30)
        assert np.abs(np.array([x, y]).T - poses[frame, :, :2]).max() < 1e-6
    assert sum(shown_pose(opened, 30.05)[1]) == 0
    assert opened.page.inner_text("#lost") == "No pose in this frame"
    assert len(opened.requests) == 1


@needs_browser
def test_a_file_that_is_not_the_recording_is_refused_in_words(
    open_page: Callable[..., PageInBrowser], tmp_path: Path
) -> None:
    poses = moving(2, 900)[0]
    recording = tmp_path / "child_3_1.npy"
    np.save(recording, poses)
    opened = open_page(write_page(tmp_path / "review.html", recording, windows_of(900, [10.0], [0.9])))
    changed = poses.copy()
    changed[450:] += 0.001
    others = {
        "half.npy": (poses.astype(np.float16), "of type <f2"),
        "fortran.npy": (np.asfortranarray(poses), "Fortran order"),
        "shorter.npy": (poses[:-1], "it has 899 frames, and child_3_1.npy has 900"),
        "points.npy": (poses[:, :17], "its shape is (900, 17, 5)"),
        "other.npy": (changed, "its poses are not those of child_3_1.npy"),
    }
    for name, (array, words) in others.items():
        np.save(tmp_path / name, array)
        opened.page.evaluate("say('')")
        opened.page.set_input_files("#recording-file", tmp_path / name)
        opened.until("document.querySelector('#message').textContent !== ''")
        assert message(opened).startswith(f"{name} was not opened: ")
        assert words in message(opened)
    for name, content in (("text.npy", b"no array"), ("cut.npy", recording.read_bytes()[:-4]), ("empty.npy", b"")):
        (tmp_path / name).write_bytes(content)
        opened.page.evaluate("say('')")
        opened.page.set_input_files("#recording-file", tmp_path / name)
        opened.until("document.querySelector('#message').textContent !== ''")
        assert message(opened).startswith(f"{name} was not opened: ")
    assert opened.page.evaluate("player.file") is None


def test_sampled_bytes_distinguish_recordings(tmp_path: Path) -> None:
    poses = moving(2, 3000)[0]
    for name, array in (("a", poses), ("b", poses.copy()), ("c", poses[::-1])):
        np.save(tmp_path / f"child_{name}_1.npy", array)
    a, b, c = (content_of(tmp_path / f"child_{name}_1.npy") for name in "abc")
    assert a == b != c


# ---- what is packed


@pytest.mark.parametrize("count", [1, 512, 513, 8 * 512 + 3, 70_000])
def test_every_level_holds_the_lowest_and_highest_known_value_of_the_level_before(count: int) -> None:
    rng = np.random.default_rng(count)
    steps = np.where(rng.random(count) < 0.4, 0, rng.integers(1, 256, count)).astype(np.uint8)
    steps[: count // 3] = 0
    content = np.frombuffer(pyramid(steps), np.uint8)
    assert np.array_equal(content[:count], steps)
    at, each, size = count, 1, count
    while size > FEWEST:
        each *= FACTOR
        size = -(-size // FACTOR)
        low, high = content[at : at + size], content[at + size : at + 2 * size]
        for number in range(size):
            known = steps[number * each : (number + 1) * each]
            known = known[known > 0]
            assert (low[number], high[number]) == ((known.min(), known.max()) if len(known) else (0, 0))
        at += 2 * size
    assert at == len(content)


def test_what_is_not_known_is_never_a_value() -> None:
    assert probability_bytes(np.array([np.nan, 0.0, 0.5, 1.0])).tolist() == [0, 1, 128, 255]
    assert speed_bytes(np.array([np.nan, 0.0, 20.0, 1e9])).tolist() == [0, 1, 63, 63]
    speeds = np.geomspace(0.3, 20, 50)
    back = ((speed_bytes(speeds).astype(float) - 1) / 62) ** 2 * 20
    assert np.abs(back / speeds - 1).max() < 0.15


# ---- a whole day


@needs_browser
def test_a_day_opens_in_seconds_and_is_reviewed_and_played_from_its_file(
    open_page: Callable[..., PageInBrowser], recorded: Path, tmp_path: Path
) -> None:
    """Poses lie around the events alone, so that the file is small on the disk; benchmarks/review_page.py has all."""
    whole, hours, each_h = np.load(recorded), 24, 2
    begin = int(
        np.flatnonzero(visible_mask(whole[395:]).any(axis=1))[0]
    )  # so that there is a pose 6.5 s after an onset
    frames = hours * 3600 * 30
    onsets_s = [3600 * hour + 1600.0 * k + 130 for hour in range(hours) for k in range(each_h)]
    peaks = 0.55 + 0.4 * np.random.default_rng(1).random(len(onsets_s))
    recording = tmp_path / "child_1_1.npy"
    poses = np.lib.format.open_memmap(recording, mode="w+", dtype=np.float32, shape=(frames, 33, 5))
    for onset_s in onsets_s:
        poses[round(onset_s * 30) - 200 : round(onset_s * 30) + 200] = whole[begin : begin + 400]
    del poses
    windows = windows_of(frames, onsets_s, peaks, [(80_000, 81_000)])
    noise = np.random.default_rng(2).gamma(2, 0.2, (4, len(windows.curve))).astype(np.float32)
    detected = detect_events(windows, RULE)
    packed = pack_recording(recording, windows, detected, noise, 1.0)
    page = tmp_path / "review.html"
    page.write_text(review_page(recording, recording.name, windows, packed, RULE, data_info()), encoding="utf-8")
    assert page.stat().st_size < 12e6
    began = time.monotonic()
    opened = open_page(page)
    assert time.monotonic() - began < 15  # generous, for a busy machine
    assert opened.page.evaluate("performance.memory.usedJSHeapSize") < 200e6
    assert progress(opened) == f"0 of {len(detected)} reviewed"
    began = time.monotonic()
    for _ in range(10):
        press(opened, "a")
    assert time.monotonic() - began < 10
    opened.page.set_input_files("#recording-file", recording)
    opened.until("player.file !== null")
    assert shown_pose(opened, onsets_s[-1] + 6)[0] == round((onsets_s[-1] + 6) * 30)
    assert sum(shown_pose(opened, onsets_s[-1] + 6.5)[1]) > 0
    press(opened, "0", "+", "+")


# ---- for everyone


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_everything_fits_and_works_by_touch(scheme: str, open_page: Callable[..., PageInBrowser]) -> None:
    opened = open_page(viewport={"width": 390, "height": 844}, has_touch=True, color_scheme=scheme)
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 390
    small = """[...document.querySelectorAll('body *')].filter((e) =>
        e.offsetParent && e.textContent.trim() && parseFloat(getComputedStyle(e).fontSize) < 10).length"""
    assert opened.page.evaluate(small) == 0
    opened.page.locator("#decide .accept").tap()
    assert progress(opened).startswith("1 of 30 reviewed")
    opened.page.locator("#zoom-event").tap()
    assert opened.page.evaluate("strips.to - strips.from") < 15


@needs_browser
def test_every_control_and_plot_has_a_name_and_is_reached_in_the_order_of_the_page(opened: PageInBrowser) -> None:
    nameless = """[...document.querySelectorAll('button, input, select, textarea, canvas, section, [role=toolbar]')]
        .filter((e) => !(e.getAttribute('aria-label') || e.textContent.trim() || (e.labels && e.labels.length)))
        .map((e) => e.outerHTML)"""
    assert opened.page.evaluate(nameless) == []
    tops, ids = [], []
    for _ in range(60):
        opened.page.keyboard.press("Tab")
        ids.append(opened.page.evaluate("document.activeElement.id || document.activeElement.className"))
        if ids[-1].startswith("event "):
            break
        tops.append(opened.page.evaluate("[...document.querySelectorAll('*')].indexOf(document.activeElement)"))
    assert tops == sorted(tops)
    for name in ("reviewer", "save", "load", "undo", "help", "zoom-in", "play", "rate", "note", "next", "order"):
        assert name in ids
    assert ids[-1].startswith("event ")  # one stop for the whole queue
    press(opened, "2")
    assert opened.page.inner_text("#spoken").startswith("rejected: Moro reflex. 1 of 30 reviewed. Next: ")
