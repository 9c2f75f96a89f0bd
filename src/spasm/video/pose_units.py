"""People of other tools' pose files as landmarks in picture units, followed over time."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from spasm.core.errors import DataError, first_few
from spasm.data.landmarks import LANDMARKS
from spasm.data.pose import FARTHEST, LARGEST
from spasm.data.pose_files.base import PoseFile
from spasm.data.pose_files.joints import to_landmarks
from spasm.video.tracking import Person, Picture, joined, tracks

NORMALISED = 2.0  # pixels: a file whose median place is below has fractions of the picture
PERCENT = 10.0  # a median confidence above is in percent; mmpose's scores exceed 1, but by less
NEGATIVE = 0.2  # of the places of such a file; more of them are places from -1 to 1
OUTSIDE = 0.5  # of the joints; with more outside the picture its size is wrong
BODIES_OUTSIDE = 0.1  # of the people of all frames, by the median of their joints; no tool finds people out there
MARGIN = 0.25  # pictures: joints that are hidden by the picture's edge may be placed so far outside
TRUNK = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")


class Landmarks(NamedTuple):
    """The people of each frame as landmarks."""

    poses: np.ndarray
    """(F, P, 33, 5) float64 in picture units; NaN: not found, or no such person."""
    ids: np.ndarray | None
    """(F, P) int64 the tool's number of each person; None if it does not track people."""
    notes: list[str]
    """What was dropped or assumed, a sentence each."""


def landmarks_of(
    path: object, file: PoseFile, size: tuple[float, float] | None, min_confidence: float | None, most: int
) -> Landmarks:
    """The people of a pose file as landmarks, at most `most` of them in a frame.

    size: width and height of the picture in pixels; not needed for files in picture units. min_confidence: joints below
    are missing; None: the limit of the format. Raises DataError if the file has no usable joint, or if its places and
    the picture's size do not fit each other.
    """
    notes = list(file.notes)
    poses, dropped, lacking = to_landmarks(_confident(file, min_confidence, notes), file.joints)
    if set(TRUNK) <= set(lacking):
        hint = "name their order with --joints, or rename them in the file: left_shoulder, right_hip, ..."
        raise DataError(str(path), f"none of its joints is a shoulder or a hip: {_names(file.joints)}", hint)
    if not np.isfinite(poses[..., 0]).any():
        hint = "check what the tool found, or lower --min-confidence"
        raise DataError(str(path), "no joint was found in any frame: nothing can be predicted", hint)
    _to_picture(path, file, poses, size, notes)
    if not np.isfinite(poses[..., 2]).any():
        notes.append("2-D: z is 0")
    poses[..., 2][np.isfinite(poses[..., 0]) & np.isnan(poses[..., 2])] = 0
    if dropped:
        notes.append(f"{len(dropped)} of {len(file.joints)} joints dropped: {_names(dropped)}")
    if lacking:
        notes.append(f"{len(lacking)} of {len(LANDMARKS)} landmarks have no joint")
    return Landmarks(*_most_confident(poses, file.ids, most), notes)


def _names(joints: Sequence[str]) -> str:
    """A few names of joints for a message; a file may hold long ones."""
    return first_few([name[:40] for name in joints], 6)


def _confident(file: PoseFile, min_confidence: float | None, notes: list[str]) -> np.ndarray:
    """The joints (F, P, J, 5) that were found: others are NaN; confidence is clipped to 0..1, percent divided."""
    poses = np.array(file.poses, dtype=np.float64)
    found = np.isfinite(poses[..., :2]).all(axis=-1)
    if file.unit != "centred":
        found &= (poses[..., :2] != 0).any(axis=-1)
    if not np.isfinite(poses[..., 3][found]).any():
        poses[..., 3:] = 1.0
        if found.any():
            notes.append("without confidence: taken as 1")
    elif PERCENT < np.nanmedian(poses[..., 3][found]) <= 100:
        poses[..., 3:] /= 100
        notes.append("confidence is in percent: divided by 100")
    limit = file.lowest_confidence if min_confidence is None else min_confidence
    found &= poses[..., 3] >= limit  # NaN is not
    poses[..., 3:] = np.clip(np.where(np.isnan(poses[..., 3:]), poses[..., 3:4], poses[..., 3:]), 0, 1)
    poses[~found] = np.nan
    if limit:
        notes.append(f"joints below a confidence of {limit:g} are missing")
    return poses


def _to_picture(
    path: object, file: PoseFile, poses: np.ndarray, size: tuple[float, float] | None, notes: list[str]
) -> None:
    """Turn places (F, P, 33, 5) into picture units, in place. Raises DataError."""
    places = poses[..., :2]
    if file.unit == "centred":
        places += 0.5
    elif file.unit == "pixels":
        found = places[np.isfinite(places).all(axis=-1)]
        # The median, since one joint outside the picture or one impossible place may not decide for the whole file.
        if np.median(np.minimum(np.abs(found).max(axis=-1), LARGEST)) <= NORMALISED:
            if (found < 0).any(axis=-1).mean() > NEGATIVE:
                hint = "write pixels, or places from 0 to 1: OpenPose's --keypoint_scale 0 or 3"
                raise DataError(str(path), "its places are from -1 to 1", hint)
            notes.append("its places are fractions of the picture already")
        elif size is None:
            raise DataError(
                str(path), "its places are pixels of a picture of unknown size", "add --width W --height H, or --video"
            )
        else:
            poses[..., 0] /= size[0]
            poses[..., 1] /= size[1]
            poses[..., 2] /= size[0]
            _check_inside(path, places, size)
    with np.errstate(invalid="ignore"):
        impossible = (np.abs(poses[..., :3]) > FARTHEST).any(axis=-1)
    if impossible.any():
        poses[impossible] = np.nan
        notes.append(f"{impossible.sum()} places farther than {FARTHEST:g} pictures are missing")


def _check_inside(path: object, places: np.ndarray, size: tuple[float, float]) -> None:
    """Raise DataError if places (F, P, 33, 2) in picture units lie outside: the picture has another size, in pixels."""
    hint = "correct --width and --height, or --video: the size of the video as it is shown"
    found = np.isfinite(places).all(axis=-1)
    if _outside(places[found]).mean() > OUTSIDE:
        far = ", ".join(f"{value:.4g}" for value in np.nanpercentile(places[found], 95, axis=0) * size)
        reason = f"most joints lie outside a picture of {size[0]:g} x {size[1]:g} pixels: they reach {far}"
        raise DataError(str(path), reason, hint)
    bodies = np.nanmedian(places[found.any(axis=-1)], axis=-2)
    outside = _outside(bodies)
    if outside.mean() > BODIES_OUTSIDE:
        middle = ", ".join(f"{value:.4g}" for value in np.median(bodies[outside], axis=0) * size)
        reason = f"people lie outside a picture of {size[0]:g} x {size[1]:g} pixels, such as at {middle}"
        raise DataError(str(path), reason, hint)


def _outside(places: np.ndarray) -> np.ndarray:
    """Which places (N, 2) in picture units lie farther outside the picture than a joint hidden by its edge: (N,)."""
    return np.asarray(((places < -MARGIN) | (places > 1 + MARGIN)).any(axis=-1))


def _most_confident(poses: np.ndarray, ids: np.ndarray | None, most: int) -> tuple[np.ndarray, np.ndarray | None]:
    """At most so many people in a frame, by the sum of their joints' confidence: (F, P, 33, 5) and (F, P)."""
    if poses.shape[1] <= most:
        return poses, ids
    confidence = np.nansum(poses[..., 3], axis=-1)
    kept = np.sort(np.argsort(-confidence, axis=1, kind="stable")[:, :most], axis=1)
    poses = np.take_along_axis(poses, kept[:, :, None, None], axis=1)
    return poses, None if ids is None else np.take_along_axis(ids, kept, axis=1)


# ---- over time


def followed(poses: np.ndarray, ids: np.ndarray | None, picture: Picture) -> list[Person]:
    """People over time from the people (F, P, 33, 5) of each frame, by the tool's numbers (F, P) if there are any.

    A tool that loses a person gives them another number afterwards: such tracks are joined.
    """
    present = np.isfinite(poses[..., :2]).all(axis=-1).any(axis=-1)
    if ids is None or (ids[present] < 0).any():
        return tracks((people[there].astype(np.float32) for people, there in zip(poses, present, strict=True)), picture)
    by_id: dict[int, Person] = {}
    for frame, place in np.argwhere(present):
        person = by_id.setdefault(int(ids[frame, place]), Person(picture))
        person.seen(int(frame), poses[frame, place].astype(np.float32))
    return joined(list(by_id.values()))
