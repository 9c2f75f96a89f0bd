"""Look again for a child whom the pose model misses in the whole picture: in parts of it, which show the child larger.

MediaPipe shrinks a picture to 224 pixels before it searches for people, and prefers the largest. In one of three home
videos it found the parent alone in the whole picture, and the child in 10 of 22 frames in the parts.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from spasm.video import landmarker, tracking
from spasm.video.tracking import Person, Picture

Box = tuple[int, int, int, int]
"""Left, top, width and height of a part of the picture in pixels."""
ENOUGH = 0.9  # of the frames: a child who is found in so many is not searched again
SAMPLES_A_SECOND, FEWEST, MOST = 2.0, 10, 60  # frames in which the parts are searched first
SEEN_AGAIN = 0.3  # of these frames: someone who is found in fewer is a mistake of the model
SMALLEST = 0.35  # sizes of the largest person; a smaller one is a doll, a picture on the wall or a mistake
BESIDE = 0.25  # sizes around head and trunk of a person, where a second head is a mistake
MOST_OVERLAP = 0.5  # of the smaller of two people: with more, the second is the first, found in another posture
PARTS = 2  # the most parts that are searched in every frame


def parts(picture: Picture) -> list[Box]:
    """Four overlapping corners of a picture: 60 % of its longer side, 75 % of the shorter one."""
    width, height = picture
    wide, high = (0.6, 0.75) if width >= height else (0.75, 0.6)
    wide, high = round(wide * width), round(high * height)
    return [(x, y, wide, high) for x in (0, width - wide) for y in (0, height - high)]


def is_needed(people: list[Person], detections: list[np.ndarray]) -> bool:
    """Whether the child, the first of the people, may have been missed: one person at a time, or seldom seen."""
    several = sum(len(poses) > 1 for poses in detections)
    seen = len(people[0].frames) if people else 0
    return several < len(detections) / 2 or seen < ENOUGH * len(detections)


def look_again(
    frames: Callable[[], Iterator[tuple[float, np.ndarray]]],
    times_s: np.ndarray,
    detections: list[np.ndarray],
    picture: Picture,
    model: Path,
) -> list[np.ndarray]:
    """The people of each frame (P, 33, 5), with those whom only the parts of the picture show.

    frames: the time and picture of each frame again. First a sample of frames is searched in all parts. If someone is
    found there again and again, every frame is searched in the parts that show them.
    """
    boxes = parts(picture)
    duration_s = float(times_s[-1] - times_s[0])
    count = min(len(times_s), max(FEWEST, min(MOST, round(SAMPLES_A_SECOND * duration_s))))
    sampled = {int(number) for number in np.linspace(0, len(times_s) - 1, count)}
    tracker = tracking.PersonTracker(picture)
    origin: dict[bytes, int] = {}
    task, image = landmarker.open_task(model, 2, "IMAGE")
    try:
        for number, (_, pixels) in enumerate(frames()):
            if number not in sampled:
                continue
            people = [detections[number]]
            for part, box in enumerate(boxes):
                found = _mapped(landmarker.people_of(task.detect(image(_cut(pixels, box)))), box, picture)
                found = new_people(found, detections[number], picture)
                origin |= {pose.tobytes(): part for pose in found}
                people.append(found)
            tracker.add(number, np.concatenate(people))
    finally:
        task.close()
    again = [one for one in tracking.joined(tracker.people) if len(one.frames) >= SEEN_AGAIN * len(sampled)]
    useful = []
    for person in sorted(again, key=lambda person: -len(person.frames)):
        parts_of = [origin[pose.tobytes()] for pose in person.poses if pose.tobytes() in origin]
        if len(parts_of) >= SEEN_AGAIN * len(sampled):
            useful.append(int(np.bincount(parts_of).argmax()))
    useful = list(dict.fromkeys(useful))[:PARTS]
    for part in useful:
        box = boxes[part]
        with landmarker.PoseLandmarker(model, 2) as find:
            for number, (time_s, pixels) in enumerate(frames()):
                found = _mapped(find(_cut(pixels, box), round(time_s * 1000)), box, picture)
                found = new_people(found, detections[number], picture)
                detections[number] = np.concatenate([detections[number], found])
    return detections


def new_people(found: np.ndarray, known: np.ndarray, picture: Picture) -> np.ndarray:
    """Those of the found people (P, 33, 5) who are none of the known: with a face inside the picture, beside the
    head and trunk of each known person, and not too small."""
    return np.array([pose for pose in found if _is_new(pose, known, picture)], np.float32).reshape(-1, 33, 5)


def _is_new(pose: np.ndarray, known: np.ndarray, picture: Picture) -> bool:
    face = tracking.in_pixels(pose, picture)[list(tracking.FACE)].mean(axis=0)
    if not ((face > 0) & (face < picture)).all():
        return False
    own = tracking.size(pose, picture)
    for other in known:
        low, high = tracking.body_box(other, picture)
        size = tracking.size(other, picture)
        inside = (face > low - BESIDE * size) & (face < high + BESIDE * size)
        if (
            inside.all()
            or _overlap(pose, other, picture) > MOST_OVERLAP
            or own < SMALLEST * size
            or tracking.is_duplicate(pose, other, picture)
        ):
            return False
    return True


def _overlap(pose: np.ndarray, other: np.ndarray, picture: Picture) -> float:
    """The part of the smaller of two people, by the boxes around head and trunk, that the other covers."""
    boxes = np.array([tracking.body_box(pose, picture), tracking.body_box(other, picture)])
    sides = np.maximum(0, boxes[:, 1].min(axis=0) - boxes[:, 0].max(axis=0))
    areas = np.prod(boxes[:, 1] - boxes[:, 0], axis=1)
    return float(np.prod(sides) / max(areas.min(), 1e-6))


def _cut(pixels: np.ndarray, box: Box) -> np.ndarray:
    left, top, width, height = box
    return pixels[top : top + height, left : left + width]


def _mapped(poses: np.ndarray, box: Box, picture: Picture) -> np.ndarray:
    """Poses in fractions of a part as poses in fractions of the picture; z is in widths, as x is."""
    left, top, width, height = box
    poses = poses.copy()
    poses[..., 0] = (poses[..., 0] * width + left) / picture[0]
    poses[..., 1] = (poses[..., 1] * height + top) / picture[1]
    poses[..., 2] *= width / picture[0]
    return poses
