"""How fast the page of a long recording opens, how much memory it takes, and how long a review takes by keyboard.

Two parts, both in a real browser. Opening: recordings with their windows follow each other up to --hours; the page of
this one recording is written, and opened several times. Reviewing: a scripted reviewer goes through the events of every
recording with key strokes, once at the threshold --sum-threshold, and once at the one that gives
--false-alarms-per-hour on all recordings together. The key strokes are real; the time that a human needs for them is
added up from the assumptions below, because a browser would only wait.

Example: python benchmarks/review_page.py REC/recordings/*.npy --timelines output/timeline --events REC/events.csv
"""

import contextlib
import itertools
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src"), str(ROOT / "tests")]

from helpers.browser import CHROMIUM
from spasm.cli import app
from spasm.config.events import Accumulation
from spasm.config.fields import POSITIONAL, settings, within
from spasm.core import files
from spasm.core.windows import window_starts
from spasm.data.landmarks import LANDMARKS
from spasm.data.pose import CHANNELS, FPS
from spasm.data.recordings import frames_of
from spasm.data.true_events import read_true_events
from spasm.features.recording_motion import fastest_in_steps
from spasm.inference.event_detection import STEP_FRAMES, Event, Windows, detect_events, make_windows
from spasm.report.review_data import pack_recording
from spasm.report.review_page import review_page
from spasm.runs.artefacts import DataInfo

# Assumptions on a human reviewer, in seconds. The clip is what the page plays. The others are near the keystroke-level
# model of Card, Moran and Newell (1980), where a mental preparation takes 1.35 s and a key stroke 0.2 s. No clinician
# was timed.
BEFORE_AND_AFTER_S = 4.0  # that the page plays around an event, at normal speed
DECISION_S = 1.0  # from the end of the clip to the key
ADJUSTMENT_S = 2.0  # of an onset or an offset, whatever the number of key strokes
AGAIN = 0.2  # fraction of the events that are watched twice
ADJUSTED = 0.5  # fraction of the accepted events of which the onset is adjusted
READY = "document.documentElement.dataset.ready === '1'"
PLOT_MS = "(() => { const began = performance.now(); strips.draw(); return performance.now() - began; })()"
DECIDED = 20  # events that are accepted then, to time a key stroke
FLAGS = ("--no-sandbox", "--disable-gpu", "--enable-precise-memory-info", "--js-flags=--expose-gc")
DATA = DataInfo(
    path="input/demo", simulated=True, segments=1, children=1, positives=1, without_pose=0, fingerprint="0" * 64
)


@settings
class BenchmarkReview:
    """Flags of benchmarks/review_page.py."""

    recordings: Annotated[tuple[Path, ...], POSITIONAL] = ()
    """Simulated recordings."""
    timelines: Path = Path("output/timeline")
    """Folder of timeline.py with the windows of these recordings, predicted every second."""
    events: Path | None = None
    """CSV of their true events: the scripted reviewer accepts what overlaps one, and rejects the rest."""
    hours: Annotated[float, within(0, 100)] = 24.0
    """Length of the recording that is opened; 0 leaves this part out."""
    openings: Annotated[int, within(1, 100)] = 5
    """Times that it is opened."""
    sum_threshold: Annotated[float, within(0, 1)] = Accumulation().sum_threshold
    """Threshold of the first queue."""
    false_alarms_per_hour: Annotated[float, within(0, 3600)] = 10.0
    """False alarms that the second queue may have."""


class Opened(NamedTuple):
    """One opening of a page."""

    seconds: float
    heap_mb: float
    private_mb: float
    """Memory of the page's process that no other process shares."""
    plot_ms: float = 0.0
    decision_ms: float = 0.0
    """From one key to the next one, with all that the page does in between."""


def main(settings: BenchmarkReview) -> int:
    windows = {path: read_windows(settings.timelines / path.stem, frames_of(path)) for path in settings.recordings}
    with tempfile.TemporaryDirectory() as folder, open_browser() as browser:
        if settings.hours:
            measure_opening(browser, Path(folder), windows, settings.hours, settings.openings)
        if settings.events:
            lengths = {path: one.frames for path, one in windows.items()}
            true = read_true_events(settings.events, lengths, {}).spans
            for threshold in (settings.sum_threshold, threshold_at(windows, true, settings.false_alarms_per_hour)):
                measure_reviews(browser, Path(folder), windows, true, Accumulation(1, threshold))
    return 0


def read_windows(folder: Path, frames: int) -> Windows:
    """What timeline.py wrote of a recording."""
    kept = files.read_json(folder / "manifest.json")
    columns = np.loadtxt(folder / "windows.csv", delimiter=",", skiprows=1, usecols=(1, 2, 3), ndmin=2)
    curve = np.loadtxt(folder / "probability_over_time.csv", np.float32, delimiter=",", skiprows=1, usecols=(1, 2)).T
    return make_windows(frames, kept["window_frames"], round(kept["stride_s"] * FPS), *columns.T, curve)


# ---- opening


def measure_opening(browser: Any, folder: Path, windows: Mapping[Path, Windows], hours: float, openings: int) -> None:
    """Print the size of a long page, how it was made, and how it opens."""
    long = folder / "child_1_1.npy"
    repeated = join_recordings(long, windows, round(hours * 3600 * FPS))
    detected = detect_events(repeated, Accumulation())
    began = time.perf_counter()
    speeds = fastest_in_steps(long, repeated.frames, STEP_FRAMES)
    moved_s = time.perf_counter() - began
    packed = pack_recording(long, repeated, detected, speeds, 1.0)
    html = review_page(long, long.name, repeated, packed, Accumulation(), DATA)
    page = folder / "review.html"
    page.write_text(html, encoding="utf-8")
    tree, real_hours = packed.tree, repeated.duration_s / 3600
    clips = sum(len(clip["data"]) for clip in tree["clips"])
    curves = len(tree["curve"]) + len(tree["windows"]["data"]) + sum(map(len, tree["speeds"]))
    print(
        f"{real_hours:.1f} h, {len(detected)} events: {len(html) / 1e6:.2f} MB, {len(html) / real_hours / 1e3:.0f} kB "
        f"an hour (curves {curves / real_hours / 1e3:.0f} kB an hour, poses {clips / max(1, len(detected)) / 1e3:.1f} "
        f"kB an event); made in {time.perf_counter() - began:.0f} s, {moved_s:.0f} s of them for the movement"
    )
    empty = open_page(browser, "about:blank", "true")
    for one in (
        open_page(browser, page.as_uri(), "document.documentElement.dataset.ready === '1'") for _ in range(openings)
    ):
        print(
            f"opened in {one.seconds:.2f} s; JavaScript heap {one.heap_mb:.0f} MB, memory of the process "
            f"{one.private_mb:.0f} MB (an empty page: {empty.private_mb:.0f} MB); a plot of all of it takes "
            f"{one.plot_ms:.0f} ms, a decision {one.decision_ms:.0f} ms"
        )


def join_recordings(long: Path, windows: Mapping[Path, Windows], most: int) -> Windows:
    """Write recordings one after the other, again and again up to `most` frames; their windows as those of one.

    Windows across a seam have no probability.
    """
    first = next(iter(windows.values()))
    stride = round((first.ends_s[1] - first.ends_s[0]) * FPS)
    parts = list(
        itertools.islice(itertools.cycle(windows.items()), 1 + most // min(one.frames for one in windows.values()))
    )
    ends = np.cumsum([one.frames for _, one in parts])
    parts = parts[: max(1, int((ends <= most).sum()))]
    whole = sum(one.frames for _, one in parts)
    poses = np.lib.format.open_memmap(long, mode="w+", dtype=np.float32, shape=(whole, len(LANDMARKS), len(CHANNELS)))
    columns, begin = [], 0
    for path, one in parts:
        poses[begin : begin + one.frames] = np.load(path, mmap_mode="r")
        of_windows = np.stack([one.probabilities, one.pose_s, one.seen_s])
        lacking = one.frames // stride - of_windows.shape[1]
        columns.append(np.pad(of_windows, ((0, 0), (0, lacking)), constant_values=np.nan))
        begin += one.frames
    count = len(window_starts(whole, first.length, stride))
    probabilities, pose_s, seen_s = np.concatenate(columns, axis=1)[:, :count]
    curve = np.concatenate([np.stack([one.curve, one.movement]) for _, one in parts], axis=1)
    return make_windows(whole, first.length, stride, probabilities, pose_s, seen_s, curve)


@contextlib.contextmanager
def open_browser() -> Iterator[Any]:
    """A browser, closed at the end of the block."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


def open_page(browser: Any, address: str, is_ready: str) -> Opened:
    """Open a page in a process of its own; the time until it is ready and painted, and its memory then."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    began = time.perf_counter()
    page.goto(address)
    while not page.evaluate(is_ready):
        time.sleep(0.005)
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    seconds = time.perf_counter() - began
    heap = page.evaluate("performance.memory.usedJSHeapSize")
    session = browser.new_browser_cdp_session()
    processes = [
        one["id"] for one in session.send("SystemInfo.getProcessInfo")["processInfo"] if one["type"] == "renderer"
    ]
    private = max(private_bytes(process) for process in processes)
    plot_ms = decision_ms = 0.0
    if page.evaluate("typeof strips !== 'undefined'"):
        plot_ms = page.evaluate(PLOT_MS)
        began = time.perf_counter()
        for _ in range(DECIDED):
            page.keyboard.press("a")
        page.evaluate("new Promise((done) => requestAnimationFrame(done))")
        decision_ms = 1e3 * (time.perf_counter() - began) / DECIDED
    context.close()
    return Opened(seconds, heap / 1e6, private / 1e6, plot_ms, decision_ms)


def private_bytes(process: int) -> int:
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Clean", "Private_Dirty")))


# ---- reviewing


def overlaps(event: Event, true: np.ndarray) -> bool:
    """Whether a detected event lies within a second of a true one."""
    return bool(((true[:, 0] < event.offset_s + 1) & (true[:, 1] > event.onset_s - 1)).any())


def threshold_at(windows: Mapping[Path, Windows], true: Mapping[str, np.ndarray], limit: float) -> float:
    """The lowest threshold with at most so many false alarms per hour on all recordings together."""
    hours = sum(one.duration_s for one in windows.values()) / 3600
    for threshold in np.arange(0.3, 1.0, 0.01).round(2).tolist():
        detected = {path: detect_events(one, Accumulation(1, threshold)) for path, one in windows.items()}
        false = sum(not overlaps(event, true[path.name]) for path, found in detected.items() for event in found)
        if false <= limit * hours:
            return float(threshold)
    return 1.0


def measure_reviews(
    browser: Any, folder: Path, windows: Mapping[Path, Windows], true: Mapping[str, np.ndarray], rule: Accumulation
) -> None:
    """Review every recording by key strokes; print the time of a human, and of watching the recordings through."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    events, keys, human_s, accepted_all, adjusted_all, found, spasms = 0, 0, 0.0, 0, 0, 0, 0
    for path, one in windows.items():
        detected = detect_events(one, rule)
        packed = pack_recording(path, one, detected, fastest_in_steps(path, one.frames, STEP_FRAMES), 1.0)
        target = folder / path.stem / "review.html"
        target.parent.mkdir(exist_ok=True)
        target.write_text(review_page(path, path.name, one, packed, rule, DATA), encoding="utf-8")
        page.goto(target.as_uri())
        while not page.evaluate(READY):
            time.sleep(0.005)
        queue = sorted(range(len(detected)), key=lambda number: -round(detected[number].peak, 4))
        accepted = 0
        for place, number in enumerate(queue):
            event = detected[number]
            assert page.evaluate("current") == number, "the page goes through its queue in another order"
            human_s += (BEFORE_AND_AFTER_S + event.offset_s - event.onset_s) * (1 + AGAIN) + DECISION_S
            strokes = ["p"] if place % round(1 / AGAIN) == 0 else []
            if overlaps(event, true[path.name]):
                accepted += 1
                if accepted % round(1 / ADJUSTED) == 0:
                    human_s += ADJUSTMENT_S
                    adjusted_all += 1
                    strokes += ["[", "[", "["]
                strokes.append("a")
            else:
                strokes.append("6")
            for stroke in strokes:
                page.keyboard.press(stroke)
            keys += len(strokes)
        progress = page.inner_text("#progress")
        assert progress.startswith(f"{len(detected)} of {len(detected)} reviewed"), progress
        events += len(detected)
        accepted_all += accepted
        spasms += len(true[path.name])
        found += sum(any(overlaps(event, one_true[None]) for event in detected) for one_true in true[path.name])
    context.close()
    length_s = sum(one.duration_s for one in windows.values())
    hours = length_s / 3600
    print(
        f"events from {rule.sum_threshold:.2f} on: {events} in {hours:.1f} h, with {found} of {spasms} spasms and "
        f"{(events - accepted_all) / hours:.1f} false alarms an hour; {keys} key strokes, {adjusted_all} onsets "
        f"adjusted: {human_s / 60:.1f} min, "
        f"{human_s / 60 / hours:.2f} min an hour of recording, {8 * human_s / 60 / hours:.0f} min a night of 8 h"
    )
    print(
        f"watched through: {length_s / 60:.0f} min, 4 times as fast {length_s / 240:.0f} min: the review takes "
        f"{human_s / length_s:.3f} and {4 * human_s / length_s:.3f} of that"
    )


if __name__ == "__main__":
    sys.exit(app.run(main, BenchmarkReview, __doc__))
