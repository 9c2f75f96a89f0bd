"""From the predictions of overlapping windows to events: their times, and when they were detectable."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np

from spasm.config.events import Accumulation, Hysteresis
from spasm.core import files
from spasm.core.windows import window_starts
from spasm.data.pose import FPS

Rule: TypeAlias = Hysteresis | Accumulation
STEP_FRAMES = 3
STEP_S = STEP_FRAMES / FPS  # between two values of a curve
NEAR_STEPS = 2  # frames within so many steps of attended frames count as attended
SHORT_GAP_STEPS = 4  # without a pose: shorter than a spasm, so that it does not divide one
TRIM = 0.8  # of an event's peak: level of its offset, and of its onset where no movement is known
ONSET_SEARCH_S = 1.0  # before the probability rises: attention is highest while the body moves, not when it begins to
ONSET_LEVEL = 0.3  # of the fastest movement above rest
REST = 20  # percentile of movement around an event that counts as rest
CLUSTER_S = 30.0  # between the events of a cluster, at most
EVENT_COLUMNS = ("recording", "onset_s", "offset_s", "peak_probability", "cluster", "detectable_at_s", "seen_s")
LEVELS = (*(step / 20 for step in range(1, 20)), 0.98)  # probabilities that are candidates


class Event(NamedTuple):
    """A detected event in a recording; seconds from its start."""

    onset_s: float
    offset_s: float
    peak: float  # highest probability
    detectable_at_s: float  # when a live run would have detected it


class Windows(NamedTuple):
    """The predictions for a recording: K windows, and B steps of STEP_S."""

    frames: int  # in the recording
    length: int  # frames in a window
    ends_s: np.ndarray  # (K,) end of each window
    probabilities: np.ndarray  # (K,) NaN where too little was seen
    pose_s: np.ndarray  # (K,) seconds of each window with a pose
    seen_s: np.ndarray  # (K,) seconds of each window that show movement, see `spasm.data.seen`
    curve: np.ndarray  # (B,) float32 probability over time, see `Curve`; NaN where nothing was seen
    movement: np.ndarray  # (B,) float32 speed of head and limbs, see `Curve`; NaN where it is unknown
    detectable_at_s: np.ndarray  # (B,) end of the first window that does not cover the step

    @property
    def duration_s(self) -> float:
        """Duration of the recording."""
        return self.frames / FPS

    @property
    def window_s(self) -> float:
        """Duration of a window; of a shorter recording the only window ends in missing frames."""
        return self.length / FPS

    @property
    def is_seen(self) -> np.ndarray:
        """(B,) bool: whether a step has a probability."""
        return np.asarray(~np.isnan(self.curve))

    @property
    def total_seen_s(self) -> float:
        """Seconds of the recording with a probability."""
        return min(float(self.is_seen.sum()) * STEP_S, self.duration_s)

    @property
    def highest(self) -> tuple[float, float]:
        """The highest probability of a window, and the middle of that window in seconds; NaN where nothing was seen."""
        if np.isnan(self.probabilities).all():
            return math.nan, math.nan
        number = int(np.nanargmax(self.probabilities))
        end_s = float(self.ends_s[number])
        return float(self.probabilities[number]), (max(0.0, end_s - self.window_s) + end_s) / 2


def make_windows(
    whole: int,
    length: int,
    stride: int,
    probabilities: np.ndarray,
    pose_s: np.ndarray,
    seen_s: np.ndarray,
    curve: np.ndarray,
) -> Windows:
    """The windows of a recording of so many frames, from values (K,) of each and the steps (2, B) of a `Curve`."""
    firsts = window_starts(whole, length, stride)
    steps = -(-whole // STEP_FRAMES)
    following = np.searchsorted(firsts // STEP_FRAMES, np.arange(steps), side="right")
    ends_s = np.minimum(firsts + length, whole) / FPS
    detectable_at_s = ends_s[np.minimum(following, len(ends_s) - 1)]
    probability, movement = curve[:, :steps]
    return Windows(whole, length, ends_s, probabilities, pose_s, seen_s, probability, movement, detectable_at_s)


class Curve:
    """Probability over time, finer than the windows: each window's probability is spread over its frames by attention.

    Beside it stands the movement, as `spasm.features.movement` measures it: the highest in each step, and the mean over
    the windows.

    A frame gets the probability times its attention relative to the highest attention; a step gets the mean over the
    windows that cover it. If no model has attention, all seen frames count equally. A step has no probability (NaN) if
    no frame in it was seen, or only in windows of which too little was seen. Windows can be added one by one: steps
    that no later window covers are returned, so that memory does not grow.
    """

    def __init__(self, length: int) -> None:
        self.steps = -(-length // STEP_FRAMES)
        self.begin = 0  # first step in memory
        self.sums = np.zeros((5, self.steps))  # of probability, windows, seen, movement, and windows with movement

    def add(
        self, start: int, probability: float, attention: np.ndarray, seen: np.ndarray, movement: np.ndarray
    ) -> np.ndarray:
        """Count the window that begins at frame `start`; returns the steps that are finished now.

        Returned: (2, S) float32, probability and movement.

        probability: NaN where too little was seen of the window, which is then not counted; attention: (T,) frame
        weights, or 1 and 0; seen: (T,) bool: the frame shows movement; movement: (T,) its speed, NaN where unknown.
        Starts must not decrease and be whole steps.
        """
        passed = start // STEP_FRAMES - self.begin
        finished = self._take(passed)
        if not math.isnan(probability):
            speed = self._of_steps(np.nan_to_num(movement))
            near = self._near(attention / (attention.max() or 1.0))
            one = np.ones(self.steps)
            self.sums += np.stack([probability * near, one, self._of_steps(seen), speed, speed > 0])
        return finished

    def _of_steps(self, weight: np.ndarray) -> np.ndarray:
        """The highest weight in each step, of weights (T,) of frames."""
        of_frames = np.zeros(self.steps * STEP_FRAMES)
        of_frames[: len(weight)] = weight
        return np.asarray(of_frames.reshape(self.steps, STEP_FRAMES).max(1))

    def _near(self, weight: np.ndarray) -> np.ndarray:
        """The highest weight within NEAR_STEPS of each step, of weights (T,) of frames."""
        padded = np.pad(self._of_steps(weight), NEAR_STEPS)
        highest: np.ndarray = np.lib.stride_tricks.sliding_window_view(padded, 2 * NEAR_STEPS + 1).max(1)
        return highest

    def finish(self) -> np.ndarray:
        """The remaining steps."""
        return self._take(self.steps)

    def _take(self, steps: int) -> np.ndarray:
        gone = np.full((2, steps), np.nan, dtype=np.float32)
        inside = min(steps, self.steps)
        probability, windows, seen, speed, known = self.sums[:, :inside]
        gone[0, :inside] = np.where(seen > 0, probability / np.maximum(windows, 1), np.nan)
        gone[1, :inside] = np.where(known > 0, speed / np.maximum(known, 1), np.nan)
        self.sums[:, : self.steps - inside] = self.sums[:, inside:]
        self.sums[:, self.steps - inside :] = 0
        self.begin += steps
        return gone


def by_hysteresis(windows: Windows, rule: Hysteresis) -> list[Event]:
    """Events between two crossings of `event_off` that reach `event_on`; the offset is at TRIM of the peak.

    The flanks of a peak reflect window length, not spasm length; they only decide whether neighbouring peaks merge.
    Unseen time ends an event, except gaps of SHORT_GAP_STEPS.
    """
    curve = _across_short_gaps(windows.curve)
    above = curve >= rule.event_off
    edges = np.flatnonzero(np.diff(np.concatenate([[False], above, [False]]).astype(np.int8)))
    events: list[Event] = []
    for begin, end in edges.reshape(-1, 2):
        part = curve[begin:end]
        if part.max() < rule.event_on:
            continue
        known = begin + int(np.argmax(part >= max(rule.event_on, TRIM * part.max())))
        high = begin + np.flatnonzero(part >= TRIM * part.max())
        offset_s = float(min((high[-1] + 1) * STEP_S, windows.duration_s))
        earliest_s = events[-1].offset_s if events else 0.0
        onset_s = _onset_of_movement(windows, float(high[0] * STEP_S), offset_s, earliest_s)
        events.append(Event(onset_s, offset_s, float(part.max()), float(windows.detectable_at_s[known])))
    return events


def by_accumulation(windows: Windows, rule: Accumulation) -> list[Event]:
    """Alarms where the sum of the last windows' probabilities is high enough, as in VSViG; then a refractory time.

    The rule gives no time within its last window. The event is around the highest value of the curve, that is, at the
    highest attention, and begins with the movement; it is the whole window if the curve does not reach that far. A
    window of which too little was seen adds nothing, and no alarm is given at its end.
    """
    seen = ~np.isnan(windows.probabilities)
    counted = np.where(windows.probabilities >= rule.sum_floor, windows.probabilities, 0.0)  # NaN counts as 0
    sums = np.cumsum(counted)
    sums[rule.sum_windows :] -= sums[: -rule.sum_windows].copy()
    events: list[Event] = []
    for number in np.flatnonzero((sums >= rule.sum_threshold) & seen).tolist():
        alarm_s = float(windows.ends_s[number])
        if events and alarm_s < events[-1].detectable_at_s + max(rule.refractory_s, windows.length / FPS):
            continue
        begin_s = max(0.0, alarm_s - windows.length / FPS, *(event.offset_s for event in events[-1:]))
        peak = float(np.nanmax(windows.probabilities[max(0, number - rule.sum_windows + 1) : number + 1]))
        events.append(Event(*_moment(windows, begin_s, alarm_s), peak, alarm_s))
    return events


def _moment(windows: Windows, begin_s: float, end_s: float) -> tuple[float, float]:
    """The interval around the curve's maximum between two times in which it is at least TRIM of that maximum."""
    first, last = math.ceil(begin_s / STEP_S - 1e-6), math.floor(end_s / STEP_S + 1e-6)
    part = _across_short_gaps(windows.curve[first:last])
    if len(part) < last - first or not len(part) or part.max() < 0:
        return begin_s, end_s
    highest = int(part.argmax())
    low = np.flatnonzero(np.concatenate([[True], part < TRIM * part[highest], [True]]))
    after = int(np.searchsorted(low, highest + 1))
    onset_s, offset_s = (first + int(low[after - 1])) * STEP_S, min(end_s, (first + int(low[after]) - 1) * STEP_S)
    return _onset_of_movement(windows, onset_s, offset_s, begin_s), offset_s


def _onset_of_movement(windows: Windows, onset_s: float, offset_s: float, earliest_s: float) -> float:
    """When the body began to move before its fastest movement in an event; the given onset where that is unknown.

    The probability rises with the attention, a third of a second after the body begins to move. earliest_s: the end of
    the event before.
    """
    first = math.ceil(max(earliest_s, onset_s - ONSET_SEARCH_S) / STEP_S - 1e-6)
    last = math.ceil(min(offset_s, onset_s + ONSET_SEARCH_S) / STEP_S - 1e-6)  # not of a later spasm
    moving = np.nan_to_num(windows.movement[first:last])
    if not moving.any():
        return onset_s
    rest = float(np.percentile(moving, REST))
    fastest = int(moving.argmax())
    slow = np.flatnonzero(moving[:fastest] < rest + ONSET_LEVEL * (moving[fastest] - rest))
    return (first + (int(slow[-1]) + 1 if len(slow) else 0)) * STEP_S


def _across_short_gaps(curve: np.ndarray) -> np.ndarray:
    """The curve (B,) with gaps of at most SHORT_GAP_STEPS interpolated; -1 in longer ones, below every threshold."""
    known = np.flatnonzero(~np.isnan(curve))
    filled = np.full(len(curve), -1.0, dtype=curve.dtype)
    if len(known):
        steps = np.arange(len(curve))
        after = np.searchsorted(known, steps).clip(max=len(known) - 1)
        before = (np.searchsorted(known, steps, side="right") - 1).clip(min=0)
        between = (known[before] <= steps) & (steps <= known[after])
        inside = between & (known[after] - known[before] <= SHORT_GAP_STEPS + 1)
        filled[inside] = np.interp(steps[inside], known, curve[known])
    return filled


def event_level(rule: Rule) -> float:
    """The probability at which a rule makes an event: of the curve, or of the mean of the windows that it sums."""
    return rule.event_on if isinstance(rule, Hysteresis) else rule.sum_threshold / rule.sum_windows


def detect_events(windows: Windows, rule: Rule) -> list[Event]:
    """The events of a recording by either rule."""
    return by_hysteresis(windows, rule) if isinstance(rule, Hysteresis) else by_accumulation(windows, rule)


def clusters(onsets_offsets_s: np.ndarray) -> np.ndarray:
    """The number (E,) of the cluster of each event (E, 2), counted from 1: the next event begins within CLUSTER_S."""
    if not len(onsets_offsets_s):
        return np.zeros(0, dtype=int)
    gaps = onsets_offsets_s[1:, 0] - np.maximum.accumulate(onsets_offsets_s[:-1, 1])
    return np.append(1, 1 + np.cumsum(gaps > CLUSTER_S))


def clusters_detected(true: np.ndarray, detected: Sequence[Event], tolerance_s: float) -> np.ndarray:
    """For each cluster (C,) of true events (E, 2), whether a detected event matches one of them."""
    onsets_s, offsets_s = spans(detected).T[:, None]
    matches = (onsets_s < true[:, 1:] + tolerance_s) & (offsets_s > true[:, :1] - tolerance_s)  # (E, detected)
    numbers = clusters(true)
    return np.array([matches[numbers == one].any() for one in np.unique(numbers)], dtype=bool)


def spans(events: Sequence[Event]) -> np.ndarray:
    """Onsets and offsets (E, 2) of events."""
    return np.array([event[:2] for event in events]).reshape(-1, 2)


def write_events(path: Path, detected: Mapping[str, Sequence[Event]], windows: Mapping[str, Windows]) -> None:
    """Write the events of each recording, by its name, as a table of EVENT_COLUMNS."""
    files.write_csv(path, EVENT_COLUMNS, _event_rows(detected, windows))


def _event_rows(
    detected: Mapping[str, Sequence[Event]], windows: Mapping[str, Windows]
) -> Iterator[tuple[object, ...]]:
    for name, events in detected.items():
        for event, cluster in zip(events, clusters(spans(events)), strict=True):
            times_s = (event.onset_s, event.offset_s, event.detectable_at_s, _seen_around(event, windows[name]))
            onset_s, offset_s, detectable_at_s, seen_s = (f"{value:.2f}" for value in times_s)
            yield name, onset_s, offset_s, f"{event.peak:.4f}", cluster, detectable_at_s, seen_s


def _seen_around(event: Event, windows: Windows) -> float:
    """Seconds that were seen of the most probable window around an event."""
    middle_s = (event.onset_s + event.offset_s) / 2
    around = (windows.ends_s >= middle_s - 1e-6) & (windows.ends_s - windows.window_s <= middle_s + 1e-6)
    probabilities = np.where(around, np.nan_to_num(windows.probabilities, nan=-1.0), -2.0)
    return float(windows.seen_s[np.lexsort((windows.seen_s, probabilities))[-1]])


# ---- choice of settings


def candidates(rule: Rule) -> list[Rule]:
    """The candidate settings of a rule."""
    if isinstance(rule, Hysteresis):
        return [Hysteresis(round(on, 3), round(on * off, 3)) for on in LEVELS for off in (0.3, 0.6, 0.9)]
    return [
        Accumulation(count, round(level * count, 3), floor, refractory_s)
        for count in (1, 2, 3, 5)
        for level in LEVELS
        for floor in (0.0, 0.3)
        for refractory_s in (5.0, 8.0, 12.0)
    ]


def best(counts: np.ndarray, max_false_alarms_per_hour: float | None) -> int:
    """The index of the best of S settings by their counts (S, 5) of `EventCounts`, summed over recordings.

    Best is the highest F1, or the highest sensitivity with at most this many false alarms per hour; of equal ones, the
    one with the fewest false alarms.
    """
    true, found, _, false, hours = counts.T
    if max_false_alarms_per_hour is None:
        score = 2 * found / np.maximum(found + false + true, 1)
    else:
        few = false <= max_false_alarms_per_hour * hours
        score = np.where(few, found, -1) if few.any() else -false
    return int(np.lexsort([false, -score])[0])
