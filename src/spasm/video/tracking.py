"""Track people from frame to frame, and choose the child among them. All places and sizes are in pixels.

A picture is wider than it is high, so a fraction of its width is longer than the same fraction of its height.
"""

import bisect
import dataclasses
import statistics
from collections.abc import Iterable
from typing import Literal

import numpy as np

from spasm.data.landmarks import LEFT_HIP, LEFT_SHOULDER, RIGHT_HIP, RIGHT_SHOULDER
from spasm.data.pose import missing_frames

NEAR = 0.6  # sizes: the most that a person's landmarks move between two frames
NEAR_PER_FRAME = 0.05  # sizes: added for each frame in which the person was lost
FARTHEST = 1.2  # sizes: the most that a person moves while lost
SAME_SIZE = 1.6  # largest ratio of the sizes of one person in two frames
SHARED = 3  # landmarks that two poses need in common to compare them
STABLE = 0.5  # of the frames of the person seen most; a person seen in fewer is passing by
TRUNK = (LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_HIP, RIGHT_HIP)
Pick = Literal["smallest", "largest", "longest"]
Picture = tuple[int, int]
"""Width and height in pixels, or in any unit that is the same for both."""


# ---- tracking


@dataclasses.dataclass(eq=False)
class Person:
    """A person in a video: the frames in which they were seen, and in each the pose (33, 5), its size and its place."""

    picture: Picture
    frames: list[int] = dataclasses.field(default_factory=list)
    poses: list[np.ndarray] = dataclasses.field(default_factory=list)
    sizes: list[float] = dataclasses.field(default_factory=list)
    """Pixels."""
    middles: list[np.ndarray] = dataclasses.field(default_factory=list)
    """(2,) pixels."""

    def seen(self, frame: int, pose: np.ndarray) -> None:
        """Add a frame."""
        self.frames.append(frame)
        self.poses.append(pose)
        self.sizes.append(size(pose, self.picture))
        self.middles.append(middle(pose, self.picture))

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
        """Add the people of the next frame, (P, 33, 5); those without a finite landmark are left out."""
        people = self.people
        poses = poses[np.isfinite(poses[:, :, :2]).all(axis=2).any(axis=1)]
        pairs = []
        for number, pose in enumerate(poses):
            for who, person in enumerate(people):
                distance = apart(pose, person.poses[-1], self.picture)
                lost = frame - person.frames[-1] - 1
                if distance <= min(NEAR + NEAR_PER_FRAME * lost, FARTHEST):
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
            for kept in (person.frames, person.poses, person.sizes, person.middles):
                del kept[:gone]
        self.people = [person for person in self.people if person.frames]


def tracks(detections: Iterable[np.ndarray], picture: Picture) -> list[Person]:
    """People over time from the people of each frame (P, 33, 5), tracked by `PersonTracker`."""
    found = PersonTracker(picture)
    for frame, poses in enumerate(detections):
        found.add(frame, poses)
    return found.people


# ---- the choice


def chosen(people: list[Person], pick: Pick, at: tuple[float, float] | None = None) -> list[Person]:
    """The people, the child first.

    pick: how the child is chosen among those who are visible for long enough. at: a place of the child at any time, in
    fractions of the picture's width and height; it overrides `pick`.
    """
    if not people:
        return []
    if at is not None:
        place = np.array(at) * people[0].picture
        child = min(people, key=lambda person: min(np.linalg.norm(one - place) for one in person.middles))
    else:
        most = max(len(person.frames) for person in people)
        order = {
            "smallest": lambda person: statistics.median(person.sizes),
            "largest": lambda person: -statistics.median(person.sizes),
            "longest": lambda person: -len(person.frames),
        }[pick]
        child = min((person for person in people if len(person.frames) >= STABLE * most), key=order)
    return [child, *(person for person in people if person is not child)]


# ---- places and sizes of one pose


def in_pixels(pose: np.ndarray, picture: Picture) -> np.ndarray:
    """Places (33, 2) of a pose (33, 5) in pixels; NaN where a landmark was not found."""
    return pose[:, :2].astype(float) * picture


def size(pose: np.ndarray, picture: Picture) -> float:
    """Size of a person (33, 5) in pixels: the longer side of the box around the landmarks that were found."""
    return _longer_side(in_pixels(pose, picture))


def middle(pose: np.ndarray, picture: Picture) -> np.ndarray:
    """Middle (2,) of a person in pixels: of the shoulders and hips that were found, or of all found landmarks."""
    places = in_pixels(pose, picture)
    trunk = places[list(TRUNK)]
    trunk = trunk[np.isfinite(trunk).all(axis=1)]
    return trunk.mean(axis=0) if len(trunk) else np.nanmean(places, axis=0)


def apart(pose: np.ndarray, other: np.ndarray, picture: Picture) -> float:
    """Distance of two poses (33, 5) in sizes of the larger: the median over the landmarks found in both.

    It is infinite where the shared landmarks are of too different a size for one person, and the distance of the
    middles where the poses share too few landmarks.
    """
    places, others = in_pixels(pose, picture), in_pixels(other, picture)
    shared = np.isfinite(places).all(axis=1) & np.isfinite(others).all(axis=1)
    whole = max(_longer_side(places), _longer_side(others), 1e-6)
    if shared.sum() < SHARED:
        return float(np.linalg.norm(middle(pose, picture) - middle(other, picture))) / whole
    smaller, larger = sorted((_longer_side(places[shared]), _longer_side(others[shared])))
    if larger > SAME_SIZE * smaller:
        return np.inf
    return float(np.median(np.linalg.norm(places[shared] - others[shared], axis=1))) / whole


def _longer_side(places: np.ndarray) -> float:
    """The longer side of the box around the found ones of places (N, 2)."""
    return float((np.nanmax(places, axis=0) - np.nanmin(places, axis=0)).max())
