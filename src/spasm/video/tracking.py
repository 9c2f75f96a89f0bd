"""Track people from frame to frame, and choose the child among them. All places and sizes are in pixels.

A picture is wider than it is high, so a fraction of its width is longer than the same fraction of its height.
"""

import bisect
import dataclasses
import itertools
import math
import statistics
from collections.abc import Iterable
from typing import Any, Literal

import numpy as np

from spasm.data.landmarks import LEFT_HIP, LEFT_SHOULDER, RIGHT_HIP, RIGHT_SHOULDER
from spasm.data.pose import missing_frames

NEAR = 1.0  # sizes: the most that a person's head and shoulders move between two frames
NEAR_PER_FRAME = 0.1  # sizes: added for each frame in which the person was lost
FARTHEST = 2.0  # sizes: the most that a person moves while lost
SAME_SIZE = 1.8  # largest ratio of the sizes of one person in two frames
JOINED_SIZE = 1.5  # likewise, of the median sizes of two tracks of one person
DUPLICATE = 0.35  # sizes: two detections of one frame that are nearer are one person, found twice
AROUND = 15  # frames at the end of a track that say where it ended and how large it was
HEAD = 1.6  # a head in sizes of the box around the landmarks of the face
ON_HEAD = 1.3  # heads: a trunk with head that is shorter, on the head of another, is none
OF_BODY = 0.4  # size by the box around all landmarks
SHARED = 3  # landmarks that a pose needs, and that two poses need in common to compare them
STABLE = 0.25  # of the frames of the person seen most; a person seen in fewer is passing by
LOWER, MOST_LOWER = 1.5, 0.5  # weight of the height of the head, and the most that it counts, see `adult_score`
SELDOM = 0.4  # weight of the logarithm of how much less than another a person is seen
FACE = tuple(range(11))
SHOULDERS = (LEFT_SHOULDER, RIGHT_SHOULDER)
CORE = (*FACE, *SHOULDERS)  # seen also where legs and hips are hidden and only guessed
Pick = Literal["child", "smallest", "largest", "longest"]
Picture = tuple[int, int]
"""Width and height in pixels, or in any unit that is the same for both."""


# ---- tracking


@dataclasses.dataclass(eq=False)
class Person:
    """A person in a video: the frames in which they were seen, and in each the pose (33, 5) and what is known of it."""

    picture: Picture
    frames: list[int] = dataclasses.field(default_factory=list)
    poses: list[np.ndarray] = dataclasses.field(default_factory=list)
    sizes: list[float] = dataclasses.field(default_factory=list)
    """Pixels, see `size`."""
    middles: list[np.ndarray] = dataclasses.field(default_factory=list)
    """(2,) pixels, see `middle`."""
    boxes: list[np.ndarray] = dataclasses.field(default_factory=list)
    """(2, 2) pixels, see `body_box`."""
    heads_y: list[float] = dataclasses.field(default_factory=list)
    """Height of the face below the top of the picture in pixels; of the middle where the face is missing."""

    def seen(self, frame: int, pose: np.ndarray) -> None:
        """Add a frame."""
        face_y = in_pixels(pose, self.picture)[list(FACE), 1]
        self.middles.append(middle(pose, self.picture))
        self.frames.append(frame)
        self.poses.append(pose)
        self.sizes.append(size(pose, self.picture))
        self.boxes.append(body_box(pose, self.picture))
        self.heads_y.append(float(np.nanmean(face_y) if np.isfinite(face_y).any() else self.middles[-1][1]))

    def lists(self) -> tuple[list[Any], ...]:
        """The lists of what is known of each frame, the frames first."""
        return self.frames, self.poses, self.sizes, self.middles, self.boxes, self.heads_y

    def over(self, frames: int) -> np.ndarray:
        """Poses (F, 33, 5) float32 of all frames, NaN in frames without the person."""
        whole = missing_frames(frames)
        whole[self.frames] = self.poses
        return whole


class PersonTracker:
    """People over time from the people of each frame, which come in any order.

    A detection is assigned to the person whose landmarks were nearest when last seen, if they are near enough and of a
    similar size; nearest pairs first, so that two people who pass each other stay separate. Otherwise it is a new
    person: a track ends rather than hold two people. How far a person may move grows with the time they were lost.
    """

    def __init__(self, picture: Picture) -> None:
        self.picture = picture
        self.people: list[Person] = []

    def add(self, frame: int, poses: np.ndarray) -> None:
        """Add the people of the next frame, (P, 33, 5), without what `distinct` leaves out."""
        people = self.people
        poses = distinct(poses, self.picture)
        pairs = []
        for number, pose in enumerate(poses):
            for who, person in enumerate(people):
                distance = apart(pose, person.poses[-1], self.picture)
                lost = frame - person.frames[-1] - 1
                if distance <= _farthest(lost):
                    pairs.append((distance + NEAR_PER_FRAME * lost, number, who))
        assigned: dict[int, int] = {}
        for _, number, who in sorted(pairs):
            if number not in assigned and who not in assigned.values():
                assigned[number] = who
        for number, pose in enumerate(poses):
            if number not in assigned:
                people.append(Person(self.picture))
            people[assigned.get(number, -1)].seen(frame, pose)

    def forget(self, before: int) -> None:
        """Forget frames before this one, and people without other frames."""
        for person in self.people:
            gone = bisect.bisect_left(person.frames, before)
            for kept in person.lists():
                del kept[:gone]
        self.people = [person for person in self.people if person.frames]


def tracks(detections: Iterable[np.ndarray], picture: Picture) -> list[Person]:
    """People over time from the people of each frame (P, 33, 5): the tracks of `PersonTracker`, joined."""
    found = PersonTracker(picture)
    for frame, poses in enumerate(detections):
        found.add(frame, poses)
    return joined(found.people)


def joined(people: list[Person]) -> list[Person]:
    """Tracks of one person put together: near in place and size where they meet in time, and never in one frame."""
    people = list(people)
    while True:
        pairs = [(_join_distance(a, b), i, j) for j, b in enumerate(people) for i, a in enumerate(people[:j])]
        distance, i, j = min(pairs, default=(np.inf, 0, 0))
        if not np.isfinite(distance):
            return people
        rows = sorted(
            itertools.chain(*(zip(*person.lists(), strict=True) for person in (people[i], people[j]))),
            key=lambda row: row[0],
        )
        both = Person(people[i].picture, *map(list, zip(*rows, strict=True)))
        people[i] = both
        del people[j]


def _join_distance(a: Person, b: Person) -> float:
    """Distance in sizes of two tracks where they meet in time, and a bit for each frame between; infinite: not one."""
    if not set(a.frames).isdisjoint(b.frames):
        return np.inf
    times, others = np.array(a.frames), np.array(b.frames)
    nearest = np.abs(others[np.clip(np.searchsorted(others, times), 0, len(others) - 1)] - times)
    before = np.abs(others[np.clip(np.searchsorted(others, times) - 1, 0, len(others) - 1)] - times)
    meet = int(np.argmin(np.minimum(nearest, before)))
    lost = int(min(nearest[meet], before[meet])) - 1
    ends = [
        (one, sorted(range(len(one.frames)), key=lambda k: abs(one.frames[k] - times[meet]))[:AROUND]) for one in (a, b)
    ]
    sizes = sorted(statistics.median(one.sizes[k] for k in near) for one, near in ends)
    if sizes[1] > JOINED_SIZE * sizes[0]:
        return np.inf
    middles = [np.median([one.middles[k] for k in near], axis=0) for one, near in ends]
    distance = float(np.linalg.norm(middles[0] - middles[1])) / max(statistics.mean(sizes), 1e-6)
    return distance + NEAR_PER_FRAME * lost if distance <= _farthest(lost) else np.inf


def _farthest(lost: int) -> float:
    """Sizes that a person may have moved after this many frames without a pose."""
    return min(NEAR + NEAR_PER_FRAME * lost, FARTHEST)


def distinct(poses: np.ndarray, picture: Picture) -> np.ndarray:
    """The people (P, 33, 5) of one frame without poses of too few landmarks, duplicates, and people on a head.

    Pose models find one person twice, and now and then a whole small person in the head or hand of a larger one.
    """
    poses = poses[np.isfinite(poses[:, :, :2]).all(axis=2).sum(axis=1) >= SHARED]
    trust = [float(np.nan_to_num(pose[:, 3]).sum()) for pose in poses]
    kept: list[int] = []
    for number in sorted(range(len(poses)), key=lambda number: -trust[number]):
        if not any(is_duplicate(poses[number], poses[other], picture) for other in kept):
            kept.append(number)
    on_head = {a for a in kept for b in kept if a != b and _is_on_head(poses[a], poses[b], picture)}
    return poses[sorted(set(kept) - on_head)]


def is_duplicate(pose: np.ndarray, other: np.ndarray, picture: Picture) -> bool:
    """Whether two poses of one frame are of one person: they agree, or their faces are in one place."""
    if apart(pose, other, picture) <= DUPLICATE:
        return True
    if not (has_face(pose) and has_face(other)):
        return False
    faces = [np.nanmean(in_pixels(one, picture)[list(FACE)], axis=0) for one in (pose, other)]
    return float(np.linalg.norm(faces[0] - faces[1])) < DUPLICATE * min(size(pose, picture), size(other, picture))


def _is_on_head(pose: np.ndarray, larger: np.ndarray, picture: Picture) -> bool:
    """Whether a pose lies on the head of a larger person, with its whole trunk hardly longer than that head."""
    face = in_pixels(larger, picture)[list(FACE)]
    if np.isfinite(face).all(axis=1).sum() < SHARED:
        return False
    head = HEAD * _longer_side(face)
    if head > _longer_side(body_box(larger, picture)):  # no face, but places spread over a body
        return False
    box = body_box(pose, picture)
    away = np.linalg.norm(box.mean(axis=0) - np.nanmean(face, axis=0))
    return _longer_side(box) < ON_HEAD * head and float(away) < head


# ---- the choice


def chosen(people: list[Person], pick: Pick, at: tuple[float, float] | None = None) -> list[Person]:
    """The people, the child first; the others by the number of their frames.

    pick: how the child is chosen among those who are visible for long enough. at: a place of the child at any time, in
    fractions of the picture's width and height; it overrides `pick`.
    """
    if not people:
        return []
    if at is not None:
        place = np.array(at) * people[0].picture
        child = min(people, key=lambda person: _distance_from(person, place))
    else:
        stay = staying(people)
        order = {
            "child": lambda person: adult_score(person, stay),
            "smallest": lambda person: statistics.median(person.sizes),
            "largest": lambda person: -statistics.median(person.sizes),
            "longest": lambda person: -len(person.frames),
        }[pick]
        child = min(stay, key=order)
    return [child, *sorted((person for person in people if person is not child), key=lambda one: -len(one.frames))]


def staying(people: list[Person]) -> list[Person]:
    """Those who are visible for long enough, compared with the person who is visible most."""
    most = max((len(person.frames) for person in people), default=0)
    return [person for person in people if len(person.frames) >= STABLE * most]


def adult_score(person: Person, people: list[Person]) -> float:
    """Score of a person among people; the lowest is the likeliest child: small, with the head low in the picture.

    It is the logarithm of the size, less how much lower the head is than the highest one, in sizes of the largest
    person, and more for a person who is seldom seen. In 175 pairs of a child and a parent in home videos (BabyJokes, 4
    children) size alone is right in 83 %, with the head in 91 %.
    """
    largest = max(max(statistics.median(one.sizes) for one in people), 1e-6)
    highest = min(statistics.median(one.heads_y) for one in people)
    lower = LOWER * (statistics.median(person.heads_y) - highest) / largest
    seldom = SELDOM * math.log(max(len(one.frames) for one in people) / len(person.frames))
    return math.log(max(statistics.median(person.sizes), 1e-6)) - min(lower, MOST_LOWER) + seldom


def has_face(pose: np.ndarray) -> bool:
    """Whether a landmark of the face was found."""
    return bool(np.isfinite(pose[list(FACE), :2]).all(axis=1).any())


def _distance_from(person: Person, place: np.ndarray) -> tuple[float, float]:
    """How far a place (2,) is from a person: from the box around head and trunk, then from its middle.

    It is the distance that a quarter of the frames of the person are within, so that a parent who passes in front of
    the child for a moment is not nearest.
    """
    low, high = np.array(person.boxes).transpose(1, 0, 2)
    boxes = np.linalg.norm(np.maximum(0, np.maximum(low - place, place - high)), axis=1)
    middles = np.linalg.norm(np.array(person.middles) - place, axis=1)
    return float(np.quantile(boxes, 0.25)), float(np.quantile(middles, 0.25)) / max(
        statistics.median(person.sizes), 1e-6
    )


# ---- places and sizes of one pose


def in_pixels(pose: np.ndarray, picture: Picture) -> np.ndarray:
    """Places (33, 2) of a pose (33, 5) in pixels; NaN where a landmark was not found."""
    return pose[:, :2].astype(float) * picture


def size(pose: np.ndarray, picture: Picture) -> float:
    """Size of a person (33, 5) in pixels: the longer side of the box around head and shoulders.

    Where these were not found, it is estimated from all landmarks that were.
    """
    places = in_pixels(pose, picture)
    found = np.isfinite(places).all(axis=1)
    if found[list(FACE)].any() and found[list(SHOULDERS)].any():
        return _longer_side(places[list(CORE)])
    return OF_BODY * _longer_side(places)


def middle(pose: np.ndarray, picture: Picture) -> np.ndarray:
    """Middle (2,) of a person in pixels: of the head and shoulders that were found, or of all found landmarks."""
    places = in_pixels(pose, picture)
    core = places[list(CORE)]
    return np.nanmean(core if np.isfinite(core).all(axis=1).any() else places, axis=0)


def body_box(pose: np.ndarray, picture: Picture) -> np.ndarray:
    """The lowest and highest x and y (2, 2) in pixels of head and trunk, or of all landmarks where none is found."""
    places = in_pixels(pose, picture)
    body = places[[*CORE, LEFT_HIP, RIGHT_HIP]]
    body = body if np.isfinite(body).all(axis=1).any() else places
    return np.array([np.nanmin(body, axis=0), np.nanmax(body, axis=0)])


def apart(pose: np.ndarray, other: np.ndarray, picture: Picture) -> float:
    """Distance of two poses (33, 5) in their mean size: the median over the landmarks of head and shoulders in both.

    It is infinite where these are of too different a size for one person. All landmarks serve where too few of head
    and shoulders are shared, and the middles where too few of any are.
    """
    places, others = in_pixels(pose, picture), in_pixels(other, picture)
    shared = np.isfinite(places).all(axis=1) & np.isfinite(others).all(axis=1)
    mean_size = max((size(pose, picture) + size(other, picture)) / 2, 1e-6)
    if shared[list(CORE)].sum() >= SHARED:
        shared[[n for n in range(len(shared)) if n not in CORE]] = False
    if shared.sum() < SHARED:
        return float(np.linalg.norm(middle(pose, picture) - middle(other, picture))) / mean_size
    smaller, larger = sorted((_longer_side(places[shared]), _longer_side(others[shared])))
    if larger > SAME_SIZE * smaller:
        return np.inf
    return float(np.median(np.linalg.norm(places[shared] - others[shared], axis=1))) / mean_size


def _longer_side(places: np.ndarray) -> float:
    """The longer side of the box around the found ones of places (N, 2)."""
    return float((np.nanmax(places, axis=0) - np.nanmin(places, axis=0)).max())
