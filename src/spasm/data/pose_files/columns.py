"""What a column of a table of poses holds, by its name: a channel of a joint, the frame, the time, the person.

Names as scripts write them: nose_x, nose.x, x_nose, NOSE_x, noseX, "Left Eye_X", x_left_eye_(inner), 00_nose_x,
PoseLandmark.NOSE_x, landmark_0_x, x0, x1 ... x33.
"""

import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

from spasm.data.pose_files.base import Unit
from spasm.data.pose_files.joints import landmark_of

CHANNEL_WORDS = {
    "x": "x", "y": "y", "z": "z",
    "visibility": "visibility", "vis": "visibility", "v": "visibility",
    "presence": "presence", "pres": "presence",
    "confidence": "confidence", "conf": "confidence", "c": "confidence", "score": "confidence", "s": "confidence",
    "probability": "confidence", "prob": "confidence", "p": "confidence",
    "likelihood": "likelihood",
}  # fmt: skip
UNIT_WORDS: dict[str, Unit] = {
    "px": "pixels", "pixel": "pixels", "pixels": "pixels",
    "norm": "picture", "normalized": "picture", "normalised": "picture",
}  # fmt: skip
# Words that mean nothing beside the name or the number of a joint.
IDLE_WORDS = {"pose", "landmark", "landmarks", "poselandmark", "lm", "kp", "kpt", "keypoint", "keypoints", "key",
              "point", "joint", "mp", "mediapipe", "body"}  # fmt: skip
# Below it a joint is missing, by what the file calls the confidence: DeepLabCut's documentation advises 0.6; for COCO
# models 0.3 is usual. MediaPipe's visibility says whether a joint is hidden; its place is an estimate all the same.
LOWEST = {"likelihood": 0.6, "confidence": 0.3}
FACE = 68  # points of the face with known numbers
WORLD = "world"  # metres about the hips, beside places in the picture
FEWEST_NAMED, FEWEST_NUMBERED = 3, 11  # joints of a table of poses; x1, y1, x2, y2 are the corners of a box

FRAME = {"frame", "frames", "frameid", "frameidx", "frameindex", "frameno", "framenum", "framenumber", "framecount",
         "framenr", "framen"}  # fmt: skip
PICTURE = {"video", "videoname", "videopath", "videofile", "videoid", "sourcevideo", "file", "filename", "filepath",
           "path", "image", "imagename", "imagepath", "imagefile", "img", "imgname", "clip", "recording"}  # fmt: skip
PERSON = {"person", "personid", "personidx", "personindex", "pid", "id", "objectid", "instance", "instanceid",
          "individual", "subject", "poseid", "poseindex", "personnumber", "detection", "detectionid"}  # fmt: skip
TRACK = {"track", "trackid", "tracks", "trackingid", "trackidx", "trackname"}
TIME = {"time", "timestamp", "timestamps", "t", "elapsed"}
TIME_UNITS = {
    "s": "s", "sec": "s", "secs": "s", "second": "s", "seconds": "s",
    "ms": "ms", "msec": "ms", "millis": "ms", "milliseconds": "ms", "millisecond": "ms",
    "us": "us", "microseconds": "us", "ns": "ns", "nanoseconds": "ns",
}  # fmt: skip
RATE = {"fps", "videofps", "framerate"}
WIDTH = {"width", "imagewidth", "framewidth", "videowidth", "imgwidth"}
SLEAP = {"instancescore", "trackscore", "trackingscore"}  # only SLEAP has such columns
HEIGHT = {"height", "imageheight", "frameheight", "videoheight", "imgheight"}


class JointColumn(NamedTuple):
    """A channel of a joint."""

    joint: str
    """Its name in small letters, or its number."""
    channel: str
    unit: Unit | None
    """pixels or picture, if the name says so."""


def words_of(name: str) -> list[str]:
    """The words of a column's name in small letters: leftShoulder.X -> left, shoulder, x."""
    return re.findall(r"[a-z]+|[0-9]+", re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower())


def plain(name: str) -> str:
    return "".join(words_of(name))


def joint_column(name: str) -> JointColumn | None:
    """The channel of a joint that a column holds, by its name; None if it holds none."""
    words = words_of(name)
    if WORLD in words or len(words) < 2:
        return None
    unit = next((UNIT_WORDS[word] for word in words if word in UNIT_WORDS), None)
    words = [word for word in words if word not in UNIT_WORDS]
    if len(words) < 2:
        return None
    if words[-1] in CHANNEL_WORDS:
        channel, rest = words[-1], words[:-1]
    elif words[0] in CHANNEL_WORDS:
        channel, rest = words[0], words[1:]
    elif words[-2] in CHANNEL_WORDS and words[-1].isdecimal():  # pose_x_0, landmark_x12
        channel, rest = words[-2], [*words[:-2], words[-1]]
    else:
        return None
    joint = joint_of(rest)
    return JointColumn(joint, CHANNEL_WORDS[channel], unit) if joint else None


def joint_of(words: Sequence[str]) -> str:
    """The joint that words name, or its number; empty if they name none."""
    rest = [word for word in words if word not in IDLE_WORDS]
    if len(rest) > 1 and rest[0].isdecimal():  # 00_nose
        rest = rest[1:]
    if len(rest) == 1 and rest[0].isdecimal():
        return str(int(rest[0])) if len(rest[0]) <= 4 else ""
    return "_".join(rest)


class Joints(NamedTuple):
    """The columns of each joint."""

    names: tuple[str, ...]
    """(J,) names, or numbers in rising order."""
    columns: tuple[dict[str, int], ...]
    """(J,) the column of each channel."""
    unit: Unit | None
    """pixels or picture, if the names say so."""

    @property
    def numbered(self) -> bool:
        return self.names[0].isdecimal()

    @property
    def channels(self) -> set[str]:
        return {channel for columns in self.columns for channel in columns}


def joints_of_columns(header: Sequence[str]) -> Joints | None:
    """The joints in a header with one row a frame; None if it is none.

    Joints with known names go before numbers, and fractions of the picture before pixels.
    """
    found: dict[str | None, dict[str, dict[str, int]]] = {}
    for place, name in enumerate(header):
        column = joint_column(name)
        if column:
            found.setdefault(column.unit, {}).setdefault(column.joint, {}).setdefault(column.channel, place)
    units: tuple[Unit | None, ...] = ("picture", None, "pixels")
    for unit in units:
        joints = {name: columns for name, columns in found.get(unit, {}).items() if {"x", "y"} <= set(columns)}
        if unit is not None:  # visibility has no unit
            joints = {name: found.get(None, {}).get(name, {}) | columns for name, columns in joints.items()}
        face = [name for name in joints if re.fullmatch(r"face_[0-9]+", name)]
        if len(face) > FACE:  # a mesh of 468 points, whose numbers mean other places
            joints = {name: columns for name, columns in joints.items() if name not in face}
        named = [name for name in joints if not name.isdecimal()]
        if sum(landmark_of(name) is not None for name in named) >= FEWEST_NAMED:
            return Joints(tuple(named), tuple(joints[name] for name in named), unit)
        numbers = sorted((name for name in joints if name.isdecimal()), key=int)
        if len(numbers) >= FEWEST_NUMBERED:
            return Joints(tuple(numbers), tuple(joints[name] for name in numbers), unit)
    return None


def time_unit(name: str) -> tuple[bool, str | None]:
    """Whether a column holds times, and their unit, if the name says it."""
    words = words_of(name)
    units = [TIME_UNITS[word] for word in words if word in TIME_UNITS]
    rest = [word for word in words if word not in TIME_UNITS and word not in {"frame", "video", "in", "pos"}]
    if rest and not set(rest) <= TIME:
        return False, None
    return bool(rest or (units and len(words) == 1 and words[0] != "s")), units[0] if units else None


def lowest_confidence(header: Sequence[str], channels: Collection[str]) -> float:
    """Below it a joint is missing, by what the columns call the confidence; SLEAP leaves such joints out itself."""
    if first_of(header, SLEAP) is not None:
        return 0.0
    return max((LOWEST[channel] for channel in channels if channel in LOWEST), default=0.0)


def first_of(header: Sequence[str], names: set[str]) -> int | None:
    """The place of the first column with one of these plain names."""
    return next((place for place, name in enumerate(header) if plain(name) in names), None)
