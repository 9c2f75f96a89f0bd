"""The page gives the same windows, probability over time and events as the library."""

import csv
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from helpers.browser import needs_browser
from helpers.page import PageModules, served
from helpers.poses import moving
from spasm.config.events import Accumulation
from spasm.core.windows import window_starts
from spasm.data.pose import FPS
from spasm.data.seen import is_too_little, seen_frames
from spasm.inference.event_detection import (
    STEP_FRAMES,
    Curve,
    Windows,
    _across_short_gaps,
    by_accumulation,
    make_windows,
    write_events,
)

pytestmark = needs_browser
LENGTH = 60
EVENTS = """async (load, cases) => {
  const {detectEvents, highestOf} = await load('core/events.js');
  return cases.map(({rule, ...windows}) => ({events: detectEvents(windows, rule), highest: highestOf(windows)}));
}"""
CURVE = """async (load, frames, length, windows) => {
  const {Curve} = await load('core/events.js'), curve = new Curve(frames, length);
  for (const {start, probability, attention, seen} of windows) curve.add(start, probability, attention, seen);
  return curve.finish();
}"""


@pytest.fixture(scope="module")
def page(browser: Any) -> Iterator[PageModules]:
    with served() as address:
        yield PageModules(browser, address)


# ---- windows and what was seen of them


def test_windows_begin_at_the_same_frames(page):
    cases = [(whole, length, stride) for whole in (1, 29, 59, 60, 61, 90, 151, 300, 1234) for length in (60, 150)
             for stride in (3, 15, 30, 45)]  # fmt: skip
    starts = page.each("core/windows.js", "windowStarts", cases)
    assert starts == [window_starts(*case).tolist() for case in cases]


def test_the_same_frames_show_movement(page):
    """Poses every few frames, outside the picture, without a trunk, without depth, and single ones."""
    rng = np.random.default_rng(0)
    segments = []
    for rate in (0, 0.02, 0.1, 0.2, 0.3, 0.5, 0.9, 1, 1, 1):
        poses = moving(1, 90)[0].astype(np.float32)
        poses[rng.random(90) >= rate] = np.nan
        poses[rng.random((90, 33)) < 0.3, 2] = np.nan
        for axis in (0, 1):
            poses[rng.random(90) < 0.2, :, axis] += rng.choice([-1, 1])
        poses[rng.random(90) < 0.2, 11:] = np.nan
        segments.append(poses)
    every_fifth = np.full((90, 33, 5), np.nan, np.float32)
    every_fifth[::5] = moving(2, 90)[0][::5]
    segments += [every_fifth, moving(2, 90)[0].astype(np.float32)]
    ours = [seen_frames(poses) for poses in segments]
    found = page.each("core/windows.js", "seenFrames", [[poses] for poses in segments])
    assert {0, 90} <= {int(seen.sum()) for seen in ours}
    np.testing.assert_array_equal(found, ours)


def test_too_little_is_seen_of_the_same_windows(page):
    counts = np.array([(posed, seen) for posed in (0, 1, 12, 100) for seen in range(posed + 1)])
    for abstain in (0.0, 0.07, 0.2, 0.5, 1.0):  # 0.07 * 100 is a bit more than 7
        found = page.each("core/windows.js", "isTooLittle", [[*one, 100, abstain] for one in counts.tolist()])
        assert found == is_too_little(counts, 100, abstain).tolist()


# ---- probability over time


def sampled_windows(seed: int) -> tuple[int, list[dict[str, Any]]]:
    """Frames of a recording and its windows with random probability, attention and seen frames."""
    rng = np.random.default_rng(seed)
    frames = int(rng.integers(1, 400))
    windows = []
    for start in window_starts(frames, LENGTH, int(rng.choice([3, 15, 30, 60]))).tolist():
        seen = (rng.random(LENGTH) < rng.choice([0, 0.05, 0.5, 1])).astype(np.uint8)
        attention = (rng.random(LENGTH) ** 8 * (rng.random(LENGTH) < 0.7)).astype(np.float32)
        if rng.random() < 0.2:  # a network without attention: the frames that were seen
            attention = seen.astype(np.float32)
        probability = float(rng.random()) if rng.random() > 0.15 else float("nan")
        windows.append({"start": start, "probability": probability, "attention": attention, "seen": seen})
    return frames, windows


def test_probability_over_time_is_the_same_to_the_bit(page):
    for seed in range(40):
        frames, windows = sampled_windows(seed)
        curve, no_movement = Curve(LENGTH), np.full(LENGTH, np.nan)
        parts = []
        for one in windows:
            frames_of = one["attention"].astype(float), one["seen"] > 0, no_movement
            parts.append(curve.add(one["start"], one["probability"], *frames_of))
        ours = np.concatenate([*parts, curve.finish()], axis=1)[0, : -(-frames // STEP_FRAMES)]
        np.testing.assert_array_equal(page.run(CURVE, frames, LENGTH, windows), ours)


# ---- events


def sampled_recording(rng: np.random.Generator) -> Windows:
    """A recording's windows with a random curve of peaks and gaps, and no known movement."""
    frames = int(rng.integers(1, 2400))
    starts = window_starts(frames, LENGTH, 30)
    count, steps = len(starts), -(-frames // STEP_FRAMES)
    probabilities = rng.random(count) ** rng.choice([0.2, 1, 4])
    probabilities[rng.random(count) < rng.choice([0, 0.1, 0.5])] = np.nan
    curve = np.convolve(rng.random(steps + 8) ** 6, np.ones(9) / 9, "valid")[:steps].astype(np.float32)
    curve[rng.random(steps) < rng.choice([0, 0.02, 0.1])] = 0
    for begin in range(0, steps - 20, 20):  # beside a peak the level at which an event ends, or the next lower number
        peak = begin + int(curve[begin : begin + 20].argmax())
        level = np.float32(0.8) * curve[peak]
        curve[peak + 1] = level if rng.random() < 0.5 else np.nextafter(level, np.float32(0))
    for _ in range(rng.integers(0, 8)):
        begin = rng.integers(0, steps)
        curve[begin : begin + rng.choice([1, 2, 4, 5, 6, 40])] = np.nan
    seen_s = rng.integers(0, LENGTH + 1, count) / FPS
    both = np.stack([curve, np.full(steps, np.nan, np.float32)])
    return make_windows(frames, LENGTH, 30, probabilities, seen_s, seen_s, both)


def as_page(windows: Windows, rule: Accumulation) -> dict[str, Any]:
    names = ("sum_windows", "sum_threshold", "sum_floor", "refractory_s")
    return {"length": LENGTH, "endsS": windows.ends_s, "probability": windows.probabilities, "seenS": windows.seen_s,
            "curve": windows.curve, "rule": {name: getattr(rule, name) for name in names}}  # fmt: skip


def test_events_have_the_same_times_to_the_bit_and_the_same_seconds_that_were_seen(page, tmp_path):
    rng = np.random.default_rng(0)
    cases = []
    for _ in range(250):
        windows = sampled_recording(rng)
        count = int(rng.choice([1, 1, 2, 5]))
        rest = float(rng.choice([0, 0.3])), float(rng.choice([0, 5, 12]))
        rule = Accumulation(count, float(rng.uniform(0.05, 0.99) * count), *rest)
        cases.append((windows, rule))
    found = page.run(EVENTS, [as_page(*case) for case in cases])
    events = [by_accumulation(*case) for case in cases]
    for (windows, _), ours, one in zip(cases, events, found, strict=True):
        times = [(event["onsetS"], event["offsetS"], event["peak"], event["detectableAtS"]) for event in one["events"]]
        assert times == [tuple(event) for event in ours]
        np.testing.assert_array_equal([one["highest"]["probability"], one["highest"]["timeS"]], windows.highest)
    assert sum(map(len, events)) > 300
    by_name = dict(zip(map(str, range(len(cases))), zip(events, cases, strict=True), strict=True))
    path = tmp_path / "events.csv"
    write_events(path, {n: one for n, (one, _) in by_name.items()}, {n: case[0] for n, (_, case) in by_name.items()})
    rows = csv.DictReader(io.StringIO(path.read_text()))
    assert [f"{event['seenS']:.2f}" for one in found for event in one["events"]] == [row["seen_s"] for row in rows]


def test_short_gaps_are_bridged_as_in_the_library(page):
    rng = np.random.default_rng(1)
    curves = [
        np.where(rng.random(50) < rate, np.nan, rng.random(50)).astype(np.float32) for rate in np.linspace(0, 1, 21)
    ]
    found = page.each("core/events.js", "acrossShortGaps", [[curve] for curve in curves])
    np.testing.assert_array_equal(found, [_across_short_gaps(curve) for curve in curves])


# ---- saving


def test_saved_events_are_a_table_that_no_spreadsheet_computes(page):
    event = {"onsetS": 1.0, "offsetS": 2.5, "peak": 0.98765, "seenS": 4.999}
    names = ["=cmd|' /C calc'!A0", '-1+1 "quoted"', "a, b\nc", "child_1_1"]
    tables = page.run(
        """async (load, names, events) => {
          const {eventsCsv} = await load('core/saving.js');
          return names.map((name, number) => eventsCsv(name, {events}, number % 2 === 0));
        }""",
        names, [event, event],
    )  # fmt: skip
    for number, (name, table) in enumerate(zip(names, tables, strict=True)):
        rows = list(csv.DictReader(io.StringIO(table)))
        assert len(rows) == 2
        guarded = f"'{name}" if name[0] in "=-" else name
        values = dict(onset_s="1.00", offset_s="2.50", peak_probability="0.9877", seen_s="5.00")
        assert rows[0] == {"recording": guarded, **values, "simulated": "no" if number % 2 else "yes"}


def test_saved_names_hold_letters_digits_and_hyphens_alone(page):
    names = ["My baby (2).mp4", "child_1_1.npy", "../../etc/passwd", "é è.mov", "???.mp4", "=a;b|c.webm", "x" * 300]
    found = page.each("core/saving.js", "savedName", [[name, "events.csv"] for name in names])
    assert found[:2] == ["My_baby_2_events.csv", "child_1_1_events.csv"]
    for name in found:
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") and len(name) < 120
        assert name.endswith("_events.csv") and not name.startswith((".", "_"))
