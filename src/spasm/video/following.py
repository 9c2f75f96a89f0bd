"""Describe who is followed in a video: place, size, the other people, and what makes the choice doubtful.

Nothing here decodes a video, so that poses of other programs are described in the same words.
"""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from spasm.video.tracking import Person, Picture, adult_score, staying

AT_ONCE = 0.1  # of the frames with a person: in fewer, one more person counts as a mistake of the pose model
SIMILAR = 1.25  # ratio of sizes below which two people are of a similar size
CLOSE = 0.3  # difference of `adult_score` below which the choice is close
LITTLE = 0.5  # fraction of the frames below which the child is seen in little of a video
FEWEST_A_SECOND = 10.0  # frames, to see a movement of a second
MAKE_SURE = "make sure that it is the child"
HOW = "name the child with --at x,y"
COLUMNS = ("child_x", "child_y", "child_size", "seen_fraction", "people", "others")


class Followed(NamedTuple):
    """Who is followed in a video."""

    child_x: float
    """Middle of head and shoulders in fractions of the picture's width, median over the frames; NaN: no person."""
    child_y: float
    """Likewise, of the picture's height."""
    child_size: float
    """Size of head and shoulders in fractions of the picture's height."""
    seen_fraction: float
    """Fraction of the video's frames in which the child is seen."""
    people: int
    """People at the same time."""
    others: str
    """The other people, in words; empty if there are none."""
    notes: list[str]
    """What makes the choice doubtful, in words."""

    def columns(self) -> dict[str, float | int | str]:
        """The values of COLUMNS."""
        numbers = (round(value, 4) if math.isfinite(value) else "" for value in self[:4])
        return dict(zip(COLUMNS, (*numbers, self.people, self.others), strict=True))

    def sentence(self) -> str:
        """Who is followed, in a line."""
        if not self.people:
            return "no person is visible"
        where = f"x {self.child_x:.2f}, y {self.child_y:.2f}"
        size = f"head and shoulders {self.child_size:.0%} of the picture's height"
        others = f"; {self.others}" if self.others else "; no other person"
        return f"followed: the person at {where}, {size}, in {self.seen_fraction:.0%} of the frames{others}"


def describe(people: Sequence[Person], frames: int, picture: Picture, is_named: bool = False) -> Followed:
    """Who is followed among people, of whom the child is the first, in a video of so many frames.

    is_named: whether the user named the child by a place, so that the choice itself is in no doubt.
    """
    if not people:
        return Followed(math.nan, math.nan, math.nan, 0.0, 0, "", [])
    child = people[0]
    stay = [child, *(person for person in staying(list(people)) if person is not child)]
    x, y = np.median(child.middles, axis=0) / picture
    size = statistics.median(child.sizes) / picture[1]
    seen_fraction = len(child.frames) / max(frames, 1)
    at_once = people_at_once(stay)
    notes = []
    if not is_named:
        if at_once == 1:
            notes.append(f"only one person was seen at a time: {MAKE_SURE}")
        scores = sorted(adult_score(person, stay) for person in stay)
        if at_once > 1 and scores[1] - scores[0] < CLOSE:
            notes.append(f"two people are of a similar size and height: {MAKE_SURE}, or {HOW}")
    if seen_fraction < LITTLE:
        notes.append(f"the child was found in {seen_fraction:.0%} of the frames only")
    return Followed(float(x), float(y), float(size), seen_fraction, at_once, _others(stay, frames), notes)


def people_at_once(people: Sequence[Person]) -> int:
    """How many people are seen at the same time, in at least a tenth of the frames that have a person."""
    frames = np.concatenate([person.frames for person in people])
    counts = np.unique(frames, return_counts=True)[1]
    enough = math.ceil(AT_ONCE * len(counts))
    return max(k for k in range(1, counts.max() + 1) if k == 1 or (counts >= k).sum() >= enough)


def recording_notes(times_s: np.ndarray, is_still: bool) -> list[str]:
    """What makes a video unfit by its frames at times (F,) in s. is_still: whether its picture never changes."""
    if len(times_s) == 1:
        return ["it holds a single frame: a movement cannot be seen"]
    notes = ["its picture never changes, as in a photograph: a movement cannot be seen"] if is_still else []
    return notes + rate_notes((len(times_s) - 1) / max(float(times_s[-1] - times_s[0]), 1e-6))


def rate_notes(per_second: float) -> list[str]:
    """What makes a video unfit by its frames per second."""
    if per_second >= FEWEST_A_SECOND:
        return []
    rate = f"{per_second:.0f} frames" if round(per_second) > 1 else f"{per_second:.2g} frame"
    return [f"{rate} a second: too few to see a spasm; record at 30 frames a second"]


def _others(stay: list[Person], frames: int) -> str:
    """The other people in words: how many, and of each the size, the side and the fraction of the frames."""
    child, *others = stay
    if not others:
        return ""
    kinds = []
    for person in others:
        ratio = statistics.median(person.sizes) / max(statistics.median(child.sizes), 1e-6)
        size = "larger" if ratio > SIMILAR else "smaller" if ratio < 1 / SIMILAR else "of a similar size"
        x = float(np.median(person.middles, axis=0)[0]) / person.picture[0]
        side = "at the left" if x < 1 / 3 else "at the right" if x > 2 / 3 else "in the middle"
        kinds.append(f"{size}, {side}, in {len(person.frames) / max(frames, 1):.0%} of the frames")
    return f"{len(others)} other {'person' if len(others) == 1 else 'people'}: {'; '.join(kinds)}"
