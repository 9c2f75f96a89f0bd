"""The plots of long recordings: unseen time is a gap in the line, the rule stands in words, ticks are round times."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from helpers.tables import table
from spasm.config.events import Accumulation, Hysteresis
from spasm.inference import recording_summary
from spasm.inference.event_detection import Event, make_windows
from spasm.inference.event_evaluation import count_missed
from spasm.report import timeline_plots, timeline_text
from spasm.video.live_detection import LiveUpdate

T, STRIDE = 150, 30


def windows_of(curve, probabilities=None, pose_s=None):
    """A recording whose probability over time is given."""
    whole = 3 * len(curve)
    ends = len(range(0, max(whole - T, 0), STRIDE)) + 1
    probabilities = np.full(ends, 0.2) if probabilities is None else np.asarray(probabilities)
    seen_s = np.where(np.isnan(probabilities), 0.0, 5.0)
    pose_s = seen_s if pose_s is None else np.full(ends, pose_s)
    return make_windows(whole, T, STRIDE, probabilities, pose_s, seen_s, np.stack([curve, np.zeros(len(curve))]))


@pytest.fixture
def plotted(monkeypatch):
    """The figures that were made into PNG."""
    figures = []
    monkeypatch.setattr(timeline_plots.plots, "to_png", lambda figure, **_: figures.append(figure) or b"")
    return figures


def texts(figure):
    """All that is written on a figure."""
    [legend] = figure.legends
    return " | ".join([text.get_text() for text in [*legend.get_texts(), *figure.texts]])


def test_unseen_time_is_a_gap_in_the_line_and_a_grey_band_never_a_zero(plotted):
    curve = np.full(300, 0.3)
    curve[60:147] = np.nan
    timeline_plots.timeline("child_1_1.npy", windows_of(curve), [], None, Hysteresis(), simulated=True)
    [axes] = plotted[0].axes
    line = axes.lines[0].get_ydata()
    assert np.isnan(line[60:147]).all() and (np.delete(line, range(60, 147)) > 0).all()
    [band] = axes.patches
    assert band.get_x() == pytest.approx(6.0) and band.get_width() == pytest.approx(8.7)
    assert "not seen, or too little for a prediction: 8.7 s" in texts(plotted[0])
    assert axes.get_title() == "child_1_1.npy: 21 of 30 s seen. Not a medical device"
    assert plotted[0].get_suptitle() == "SIMULATED DATA"


def test_a_recording_of_real_children_has_no_mark_of_simulation(plotted):
    timeline_plots.timeline("child_1_1.npy", windows_of(np.full(300, 0.3)), [], None, Hysteresis())
    assert plotted[0].get_suptitle() == ""
    assert "not seen" not in texts(plotted[0])
    assert plotted[0].axes[0].get_title() == "child_1_1.npy: 30 s seen. Not a medical device"


@pytest.mark.parametrize(("pose_s", "reason"), [(0.0, "no person was seen"), (0.2, "too little was seen")])
def test_a_recording_that_was_not_seen_has_no_line_and_says_so_in_the_figure(plotted, pose_s, reason):
    windows = windows_of(np.full(300, np.nan), np.full(26, np.nan), pose_s)
    timeline_plots.timeline("child_1_1.npy", windows, [], None, Accumulation())
    [axes] = plotted[0].axes
    assert f"{reason}: nothing can be predicted" in [text.get_text() for text in axes.texts]
    assert "probability over time" not in texts(plotted[0])
    assert axes.get_title().startswith("child_1_1.npy: 0 of 30 s seen")
    assert sum(band.get_width() for band in axes.patches) == pytest.approx(30)


def test_a_recording_that_is_shorter_than_a_window_says_so_in_the_figure(plotted):
    timeline_plots.timeline("child_1_1.npy", windows_of(np.full(42, 0.3)), [], None, Accumulation())
    assert "4.2 s seen, shorter than the 5 s window" in plotted[0].axes[0].get_title()


@pytest.mark.parametrize(
    ("rule", "at", "words"),
    [
        (Hysteresis(0.8, 0.3), 0.8, "event: the line reaches 0.8, and ends below 0.3; an event lasts 0.1 s or longer"),
        (Accumulation(1, 0.9, 0.0, 8.0), 0.9, "event: a window reaches 0.9, at most once in 8 s"),
        (Accumulation(3, 1.8, 0.0, 2.0), 0.6, "event: 3 windows in a row sum to 1.8, at most once in 5 s"),
    ],
)
def test_the_level_of_the_rule_is_plotted_and_explained(plotted, rule, at, words):
    event = Event(10.0, 11.0, 0.95, 16.0)
    timeline_plots.timeline("child_1_1.npy", windows_of(np.full(300, 0.3)), [event], np.array([[10.0, 11.0]]), rule)
    [dashed] = [line for line in plotted[0].axes[0].lines if line.get_linestyle() == "--"]
    assert list(dashed.get_ydata()) == pytest.approx([at, at])
    assert words in texts(plotted[0])
    assert "detected events: 1" in texts(plotted[0]) and "true events: 1" in texts(plotted[0])


@pytest.mark.parametrize(
    ("begin_s", "end_s", "labels"),
    [
        (0, 1 / 30, ["0", "0.01", "0.02", "0.03"]),
        (0, 0.5, ["0", "0.05", "0.1", "0.15"]),
        (0, 4.2, ["0", "0.5", "1", "1.5", "2"]),
        (0, 8, ["0", "1", "2", "3", "4", "5", "6", "7", "8"]),
        (0, 90, ["0", "10", "20", "30", "40", "50", "60", "70", "80", "90"]),
        (0, 180, ["0:00", "0:15", "0:30", "0:45", "1:00"]),
        (3600, 7200, ["60:00", "65:00", "70:00"]),
        (0, 36000, ["0:00", "1:00", "2:00"]),
    ],
)
def test_ticks_stand_at_round_times(begin_s, end_s, labels):
    axes = Figure().subplots()
    timeline_plots.set_time_ticks(axes, begin_s, end_s)
    shown = [label.get_text() for label in axes.get_xticklabels()]
    assert shown[: len(labels)] == labels
    assert len(shown) <= timeline_plots.MOST_TICKS + 1


@pytest.mark.parametrize(("hours", "warns"), [(0.1, True), (0.99, True), (1.0, False), (30.0, False)])
def test_a_trade_off_of_less_than_an_hour_warns_and_joins_no_points(plotted, hours, warns):
    rows = [(0.1, 0.0, 0.3), (1.0, 2.0, 0.5)]
    timeline_plots.trade_off(rows, "accumulation", hours, simulated=True)
    [axes] = plotted[0].axes
    assert ("minutes of recordings: these rates are mostly luck" in axes.get_title()) is warns
    assert (axes.lines[0].get_linestyle() == "None") is warns
    assert plotted[0].get_suptitle() == "SIMULATED DATA"


# ---- the sentence on a recording


def text_of(windows, events=(), rule=Accumulation()):  # noqa: B008
    summary = recording_summary.summarize("child_1_1.npy", windows, events, rule, 0.2)
    return timeline_text.recording_text(summary, events, rule)


def test_no_event_is_reported_with_the_seen_time_the_highest_probability_its_place_and_the_threshold():
    curve = np.full(730, 0.3)
    curve[130:] = np.nan
    probabilities = np.full(69, np.nan)
    probabilities[:10] = 0.2
    probabilities[4] = 0.84  # 4 to 9 s
    assert text_of(windows_of(curve, probabilities)) == (
        "child_1_1.npy: no event detected in the 13 of 73 s with a pose; highest probability 0.84 at 0:06, "
        "events begin at 0.98"
    )
    three = text_of(windows_of(curve, probabilities), rule=Accumulation(3, 1.8))
    assert three.endswith("events begin where 3 windows in a row sum to 1.80")
    assert text_of(windows_of(curve, probabilities), rule=Hysteresis(0.7, 0.2)).endswith("events begin at 0.70")


@pytest.mark.parametrize(
    ("steps", "seen", "words"),
    [
        (1800, 1800, "in the 3.0 min with a pose"),
        (1800, 522, "in the 0.9 of 3.0 min with a pose"),
        (72000, 9000, "in the 0.2 of 2.0 h with a pose"),
        (119 * 10, 6, "in the 0.6 of 119 s with a pose"),
    ],
)
def test_seen_time_and_length_have_one_unit(steps, seen, words):
    assert words in text_of(windows_of(np.where(np.arange(steps) < seen, 0.3, np.nan)))


@pytest.mark.parametrize(
    ("steps", "pose_s", "words"),
    [
        (600, 0.0, "no person was seen in 60 s: nothing can be predicted"),
        (1200, 0.0, "no person was seen in 2.0 min: nothing can be predicted"),
        (300, 0.2, "too little was seen in 30 s: nothing can be predicted (a window of 5 s must show 1 s of movement"),
        (42, 0.0, "shorter than the 5 s window of the run"),
    ],
)
def test_a_recording_that_was_not_seen_is_not_called_free_of_events(steps, pose_s, words):
    windows = windows_of(np.full(steps, np.nan), np.full(max(1, (steps - 50) // 10 + 1), np.nan), pose_s)
    text = text_of(windows)
    assert words in text
    assert "no event" not in text and "highest" not in text


def test_a_short_recording_gets_a_probability_and_a_note():
    windows = windows_of(np.full(42, 0.3), [0.4])
    assert text_of(windows).endswith(
        "events begin at 0.98 (shorter than the 5 s window of the run: the rest counts as missing)"
    )
    event = Event(1.0, 2.0, 0.95, 4.2)
    assert "one event like a spasm in the 4.2 s with a pose, at 0:01 (probability 0.95)" in text_of(windows, [event])


def test_the_table_of_recordings_holds_the_same_and_leaves_empty_what_is_not_known(tmp_path):
    curve = np.full(730, 0.3)
    curve[130:] = np.nan
    nothing = windows_of(np.full(600, np.nan), np.full(56, np.nan))
    rows = [
        recording_summary.summarize(name, windows, [], Accumulation(2, 1.5), 0.2)
        for name, windows in (("child_1_1.npy", windows_of(curve)), ("child_2_1.npy", nothing))
    ]
    recording_summary.write_summaries(tmp_path / "recordings.csv", rows)
    seen, unseen = table(tmp_path / "recordings.csv")
    assert tuple(seen) == recording_summary.COLUMNS
    assert (seen["seconds"], seen["seen_s"], seen["threshold"], seen["note"]) == ("73.00", "13.00", "0.75", "")
    assert (seen["highest_probability"], seen["highest_at_s"]) == ("0.2000", "2.50")
    assert (unseen["seen_s"], unseen["highest_probability"], unseen["highest_at_s"]) == ("0.00", "", "")
    assert unseen["note"].startswith("no person was seen in 60 s")


# ---- thresholds, live lines, and true events in unseen time


def test_the_two_thresholds_are_named_with_what_each_is_for():
    assert timeline_text.about_thresholds(Accumulation(), 0.34) == (
        "events begin at 0.98, for about one false alarm an hour of simulated recordings; submission.py gives the "
        "label 1 from 0.34 on, for the highest F1: it can label segments 1 where no event is detected"
    )
    assert "false alarm" not in timeline_text.about_thresholds(Accumulation(1, 0.5), 0.34)
    assert "see recordings.csv" in timeline_text.about_thresholds(None, 0.34)


def test_a_live_line_without_a_pose_has_no_probability():
    update = LiveUpdate(np.array([5.0, 6.0, 7.0]), np.array([np.nan, np.nan, 0.25]), np.array([0.0, 0.5, 3.0]),
                        False, 7.0, [], 0.1, False)  # fmt: skip
    assert timeline_text.live_update(update).splitlines() == [
        "0:00:05.0  no pose: no probability",
        "0:00:06.0  too little seen: no probability",
        "0:00:07.0  probability 0.250, no pose now",
    ]


def test_missed_events_in_unseen_time_are_counted_apart():
    curve = np.full(600, 0.3)
    curve[100:200] = np.nan
    true = np.array([[1.0, 2.0], [11.0, 12.0], [19.5, 20.5], [40.0, 41.0]])
    detected = [Event(1.5, 2.0, 0.9, 5.0)]
    assert count_missed(windows_of(curve), detected, true, 1.0) == (3, 1)
    assert count_missed(windows_of(curve), [], true, 1.0) == (4, 1)
    assert count_missed(windows_of(np.full(600, np.nan)), [], true, 1.0) == (4, 4)
    assert count_missed(windows_of(curve), detected, true[:0], 1.0) == (0, 0)
