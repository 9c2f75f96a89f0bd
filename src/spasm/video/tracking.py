"""Track people from frame to frame, and choose the child among them."""

import bisect
import dataclasses
import statistics
from collections.abc import Iterable
from typing import Literal

import numpy as np

from spasm.data.landmarks import LEFT_HIP, LEFT_SHOULDER, RIGHT_HIP, RIGHT_SHOULDER
from spasm.data.pose import missing_frames

SAME_PERSON = 1.0  # sizes: the most that a person's trunk moves between two frames
SAME_SIZE = 1.5  # largest ratio of sizes between a lost and a returning person
STABLE = 0.5  # of the frames of the person seen most; a person seen in fewer is passing by
TRUNK = (LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_HIP, RIGHT_HIP)
Pick = Literal["smallest", "largest", "longest"]


# ---- tracking


@dataclasses.dataclass(eq=False)
class Person:
    """A person in a video: the frames in which they were seen, and in each the pose (33, 5) and its size."""

    frames: list[int] = dataclasses.field(default_factory=list)
    poses: list[np.ndarray] = dataclasses.field(default_factory=list)
    sizes: list[float] = dataclasses.field(default_factory=list)

    def seen(self, frame: int, pose: np.ndarray) -> None:
        """Add a frame."""
        self.frames.append(frame)
        self.poses.append(pose)
        self.sizes.append(size(pose))

    def over(self, frames: int) -> np.ndarray:
        """Poses (F, 33, 5) float32 of all frames, NaN in frames without the person."""
        whole = missing_frames(frames)
        whole[self.frames] = self.poses
        return whole


class PersonTracker:
    """People over time from the people of each frame, which come in any order.

    A detection is assigned to the person whose trunk was nearest in the last frame, if it is near enough; nearest pairs
    first, so that two people who pass each other stay separate. Otherwise it is the person lost last, if the sizes
    agree, because a camera may move. Otherwise it is a new person.
    """

    def __init__(self) -> None:
        self.people: list[Person] = []

    def add(self, frame: int, poses: np.ndarray) -> None:
        """Add the people of the next frame, (P, 33, 5)."""
        people = self.people
        pairs = sorted(
            (float(np.linalg.norm(_middle(pose) - _middle(person.poses[-1]))), number, who)
            for number, pose in enumerate(poses)
            for who, person in enumerate(people)
        )
        left, free = set(range(len(poses))), set(range(len(people)))
        goes_on: dict[int, int] = {}
        for distance, number, who in pairs:
            nearby = SAME_PERSON * max(size(poses[number]), people[who].sizes[-1])
            if number in left and who in free and distance <= nearby:
                goes_on[number] = who
                left.remove(number)
                free.remove(who)
        for number in sorted(left):
            ratios = {who: size(poses[number]) / max(people[who].sizes[-1], 1e-6) for who in free}
            alike = [who for who, ratio in ratios.items() if 1 / SAME_SIZE <= ratio <= SAME_SIZE]
            if alike:
                goes_on[number] = max(alike, key=lambda who: people[who].frames[-1])
                free.remove(goes_on[number])
            else:
                goes_on[number] = len(people)
                people.append(Person())
        for number, who in goes_on.items():
            people[who].seen(frame, poses[number])

    def forget(self, before: int) -> None:
        """Forget frames before this one, and people without other frames."""
        for person in self.people:
            gone = bisect.bisect_left(person.frames, before)
            for kept in (person.frames, person.poses, person.sizes):
                del kept[:gone]
        self.people = [person for person in self.people if person.frames]


def tracks(detections: Iterable[np.ndarray]) -> list[Person]:
    """People over time from the people of each frame (P, 33, 5), tracked by `PersonTracker`."""
    found = PersonTracker()
    for frame, poses in enumerate(detections):
        found.add(frame, poses)
    return found.people


def chosen(people: list[Person], pick: Pick) -> list[Person]:
    """The people, the child first, chosen by `pick` among those who are visible for long enough."""
    if not people:
        return []
    most = max(len(person.frames) for person in people)
    order = {
        "smallest": lambda person: statistics.median(person.sizes),
        "largest": lambda person: -statistics.median(person.sizes),
        "longest": lambda person: -len(person.frames),
    }[pick]
    stay = [person for person in people if len(person.frames) >= STABLE * most]
    infant = min(stay, key=order)
    return [infant, *(person for person in people if person is not infant)]


def size(pose: np.ndarray) -> float:
    """Size of a person (33, 5) in the picture: the longer side of the box around all landmarks."""
    return float(np.ptp(pose[:, :2], axis=0).max())


def _middle(pose: np.ndarray) -> np.ndarray:
    return pose[list(TRUNK), :2].mean(axis=0)
