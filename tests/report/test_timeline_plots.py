"""The plots of long recordings: unseen time is a gap in the line, the rule stands in words, ticks are round times."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from spasm.config.events import Accumulation, Hysteresis
from spasm.inference.event_detection import Event, make_windows
from spasm.report import timeline_plots, timeline_text

T, STRIDE = 150, 30


def windows_of(curve, probabilities=None):
    """A recording whose probability over time is given."""
    whole = 3 * len(curve)
    ends = len(range(0, max(whole - T, 0), STRIDE)) + 1
    probabilities = np.full(ends, 0.2) if probabilities is None else np.asarray(probabilities)
    return make_windows(whole, T, STRIDE, probabilities, np.asarray(curve, np.float32))


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
    assert "no pose: 29 % of the time could not be seen" in texts(plotted[0])
    assert plotted[0].get_suptitle() == "SIMULATED DATA"


def test_a_recording_of_real_children_has_no_mark_of_simulation(plotted):
    timeline_plots.timeline("child_1_1.npy", windows_of(np.full(300, 0.3)), [], None, Hysteresis())
    assert plotted[0].get_suptitle() == ""
    assert "no pose" not in texts(plotted[0])


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


def test_no_event_is_reported_with_the_seen_time_and_the_highest_probability():
    curve = np.full(1800, 0.3)
    curve[:522] = np.nan
    probabilities = np.full(176, 0.2)
    probabilities[3], probabilities[100] = 0.9, 0.53  # the first has no pose
    sentence = timeline_text.recording_summary("child_1_1.npy", windows_of(curve, probabilities), [])
    assert sentence == (
        "child_1_1.npy: no event detected in the 2.1 minutes with a pose, of 3.0 minutes; the highest probability was "
        "0.53. 29 % of the time could not be seen."
    )


def test_a_recording_without_any_pose_is_not_called_free_of_events():
    sentence = timeline_text.recording_summary("child_1_1.npy", windows_of(np.full(50, np.nan)), [])
    assert sentence == "child_1_1.npy: no pose in 5 seconds; nothing is known about them."


def test_a_window_has_a_pose_where_one_of_its_steps_has():
    curve = np.full(150, np.nan)
    curve[70] = 0.4
    windows = windows_of(curve)
    starts_s = windows.ends_s - 5
    assert windows.has_pose.tolist() == [start <= 7.0 < start + 5 for start in starts_s]
