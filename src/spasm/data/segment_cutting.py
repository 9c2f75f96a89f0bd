"""Training segments from long recordings with known or reviewed events: which windows are cut.

A child has its own random generator, so that its segments do not depend on the other children.
"""

import hashlib
import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np

from spasm.config.fields import ADVANCED, Count, Seed, settings, within
from spasm.data import recordings
from spasm.data.pose import FPS, POSITIVE_S, visible_mask
from spasm.data.seen import is_too_little, seen_of_trunk, trunk_visible
from spasm.data.true_events import TrueEvents

GRID_FRAMES = 15  # between the starts that a negative segment can have
EVENT, REJECTED, ELSEWHERE = "event", "rejected", "elsewhere"  # kinds of segments


@settings
class Cutting:
    """How many segments are cut, and where."""

    frames: Annotated[int, within(16, 100_000)] = 150
    """Frames in every segment (T), at 30 frames per second."""
    per_event: Count = 2
    """Most segments of one event, accepted or rejected; the event's place in them varies."""
    negatives_per_positive: Annotated[float, within(0, 1000)] = 2.0
    """Segments without any event for each segment with one, of each child."""
    fewest_negatives: Annotated[int, within(0, 1_000_000)] = 10
    """Segments without any event of a child that has few events or none."""
    hard_negatives: Annotated[int, within(0, 1_000_000)] = 60
    """Most segments with a rejected event of each child, labelled 0."""
    cluster_s: Annotated[float, within(0, 3600), ADVANCED] = 30.0
    """Seconds between a segment without any event and an event that is accepted or unreviewed. Spasms come in
    clusters, so that one that was missed is most likely near others; it would be labelled 0."""
    margin_s: Annotated[float, within(0, 60), ADVANCED] = 2.0
    """Seconds between a segment without any event and a rejected one, and between a segment with a rejected event and
    one that is accepted or unreviewed."""
    seed: Seed = 0
    """Seed; a child's segments depend on it and on that child's recordings alone."""


class Recording(NamedTuple):
    """What decides where a recording is cut."""

    path: Path
    has_trunk: np.ndarray  # (F,) bool, see `trunk_visible`
    has_pose: np.ndarray  # (F,) bool
    accepted: np.ndarray  # (E, 2) onset and offset in s
    unreviewed: np.ndarray  # (E, 2)
    rejected: list[tuple[float, float, str]]  # onset and offset in s, and what it is


class Segment(NamedTuple):
    """A window to cut."""

    recording: Path
    start: int  # its first frame
    kind: str  # EVENT, REJECTED or ELSEWHERE
    event_s: tuple[float, float] | None  # onset and offset in the recording; None where no event is inside
    type: str  # of the event

    @property
    def label(self) -> int:
        """1 where a spasm is inside."""
        return int(self.kind == EVENT)

    @property
    def onsets_s(self) -> tuple[float, float] | None:
        """EEG and clinical onset in the recording: both that of the spasm, since an EEG is not known."""
        return None if self.kind != EVENT or self.event_s is None else (self.event_s[0],) * 2


def inspect(path: Path, events: TrueEvents) -> Recording:
    """Read a recording once, in blocks. Raises DataError."""
    frames = recordings.frames_of(path)
    blocks = [(begin, min(begin + recordings.BLOCK, frames)) for begin in range(0, frames, recordings.BLOCK)]
    read = recordings.read_spans(path, blocks)
    seen = [(trunk_visible(block), visible_mask(block).any(axis=1)) for block in read]
    has_trunk, has_pose = (np.concatenate(of_blocks) for of_blocks in zip(*seen, strict=True))
    name = path.name
    return Recording(path, has_trunk, has_pose, events.spans[name], events.unreviewed[name], events.rejected[name])


def generator(seed: int, child: str) -> np.random.Generator:
    """The random generator of a child, whose id is any text."""
    number = int.from_bytes(hashlib.sha256(child.encode()).digest()[:8])
    return np.random.default_rng(np.random.SeedSequence([seed, number]))


def choose_segments(child: str, of_child: Sequence[Recording], cutting: Cutting, abstain: float) -> list[Segment]:
    """The segments of a child: with an event, with a rejected event, and elsewhere; by recording and time.

    abstain: windows are left out in which a smaller fraction of the frames shows movement, see `seen`.
    """
    rng = generator(cutting.seed, child)
    chosen: list[Segment] = []
    for one in of_child:
        for onset_s, offset_s in one.accepted.tolist():
            starts = _starts_around(rng, one, (onset_s, offset_s), np.empty((0, 2)), cutting, abstain)
            chosen += [Segment(one.path, start, EVENT, (onset_s, offset_s), "spasm") for start in starts]
    positives = len(chosen)
    hard: list[Segment] = []
    rejected = [(one, *event) for one in of_child for event in one.rejected]
    for number in rng.permutation(len(rejected)):
        one, onset_s, offset_s, kind = rejected[number]
        avoid = np.concatenate([one.accepted, one.unreviewed])
        starts = _starts_around(rng, one, (onset_s, offset_s), avoid, cutting, abstain)
        hard += [Segment(one.path, start, REJECTED, (onset_s, offset_s), kind) for start in starts]
        if len(hard) >= cutting.hard_negatives:
            break
    count = max(cutting.fewest_negatives, round(cutting.negatives_per_positive * positives))
    chosen += [*hard[: cutting.hard_negatives], *_elsewhere(rng, of_child, count, cutting, abstain)]
    return sorted(chosen, key=lambda segment: (segment.recording.name, segment.start, segment.kind))


def is_cut_off(event_s: tuple[float, float], whole: int) -> bool:
    """Whether the end of a recording of so many frames leaves too little of an event for any segment.

    Half a frame may be lacking, since times are rounded.
    """
    needed = min(POSITIVE_S, event_s[1] - event_s[0]) * FPS
    return whole - event_s[0] * FPS < needed - 0.5


def count_cut_off(one: Recording) -> int:
    """Events, accepted or rejected, of which the recording's end leaves too little."""
    events = [*one.accepted.tolist(), *(event[:2] for event in one.rejected)]
    return sum(is_cut_off((onset_s, offset_s), len(one.has_pose)) for onset_s, offset_s in events)


def starts_with(event_s: tuple[float, float], whole: int, length: int) -> tuple[int, int]:
    """The first and the last start of the windows that hold enough of an event; the first is higher if none does.

    That is POSITIVE_S of it, or all of a shorter one. whole: frames of the recording, length: of a window.
    """
    if is_cut_off(event_s, whole):
        return 1, 0
    onset, offset = event_s[0] * FPS, min(event_s[1] * FPS, whole)
    inside = min(POSITIVE_S * FPS, offset - onset)
    return max(0, math.ceil(onset + inside - length - 1e-6)), min(whole - length, math.floor(offset - inside + 1e-6))


def is_clear(start: int, length: int, spans_s: np.ndarray, margin_s: float) -> bool:
    """Whether a window is so far from all events (E, 2)."""
    first_s, last_s = start / FPS - margin_s, (start + length) / FPS + margin_s
    return not ((spans_s[:, 0] < last_s) & (spans_s[:, 1] > first_s)).any()


def is_seen_enough(one: Recording, start: int, length: int, abstain: float) -> bool:
    """Whether enough of a window shows movement, by the rule for predictions."""
    window = slice(start, start + length)
    counts = np.array([[one.has_pose[window].sum(), seen_of_trunk(one.has_trunk[window]).sum()]])
    return not is_too_little(counts, length, abstain)[0]


def _starts_around(
    rng: np.random.Generator,
    one: Recording,
    event_s: tuple[float, float],
    avoid: np.ndarray,
    cutting: Cutting,
    abstain: float,
) -> list[int]:
    """Starts of windows with an event: a random one in each of equal parts of those possible, where there is one.

    avoid: (E, 2) events that must not be near.
    """
    low, high = starts_with(event_s, len(one.has_pose), cutting.frames)
    starts = []
    if low > high:
        return []
    edges = np.linspace(low, high + 1, cutting.per_event + 1)
    for begin, end in itertools.pairwise(np.ceil(edges - 1e-6).astype(int).tolist()):
        for start in (begin + rng.permutation(end - begin)).tolist():
            clear = is_clear(start, cutting.frames, avoid, cutting.margin_s)
            if clear and is_seen_enough(one, start, cutting.frames, abstain):
                starts.append(start)
                break
    return starts


def _elsewhere(
    rng: np.random.Generator, of_child: Sequence[Recording], count: int, cutting: Cutting, abstain: float
) -> list[Segment]:
    """Up to `count` windows without any event, none of which overlaps another."""
    places: list[tuple[int, int]] = []  # number of the recording, and start
    for number, one in enumerate(of_child):
        last = len(one.has_pose) - cutting.frames
        starts = np.arange(rng.integers(GRID_FRAMES), last + 1, GRID_FRAMES)
        places += [(number, start) for start in starts.tolist()]
    rejected = [np.array([event[:2] for event in one.rejected]).reshape(-1, 2) for one in of_child]
    others = [np.concatenate([one.accepted, one.unreviewed]) for one in of_child]
    taken: list[list[int]] = [[] for _ in of_child]
    chosen: list[Segment] = []
    for place in rng.permutation(len(places)).tolist():
        if len(chosen) >= count:
            break
        number, start = places[place]
        one = of_child[number]
        if any(abs(start - other) < cutting.frames for other in taken[number]):
            continue
        clear = is_clear(start, cutting.frames, others[number], cutting.cluster_s)
        clear = clear and is_clear(start, cutting.frames, rejected[number], cutting.margin_s)
        if clear and is_seen_enough(one, start, cutting.frames, abstain):
            taken[number].append(start)
            chosen.append(Segment(one.path, start, ELSEWHERE, None, ""))
    return chosen
