"""STAM's first step: OpenPose's keypoints of a video, in tables, to the channels that the network reads.

estimated_poses/INFANT.csv, or INFANT/*.csv   frame, person, joint (0 to 17, or a name), x, y in pixels
estimated_poses/videos.csv                    infant_id, width, height, fps, unless the tables have such columns
Preprocessing: Nguyen-Thai et al. 2021, https://arxiv.org/abs/2105.09783, section on pose pre-processing, with the
windows of the published code.
"""

import math
import os
import shlex
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spasm.core.errors import DataError, printable, shorten
from spasm.core.tables import numbered_rows
from spasm.data.findings import is_mark
from spasm.data.formats.base import check_id, entries
from spasm.data.landmarks import OPENPOSE_18
from spasm.data.pose import LARGEST

UPPER = np.array([name not in OPENPOSE_18[8:14] for name in OPENPOSE_18])  # all joints except hips, knees and ankles
JOINTS = {str(number): number for number in range(18)} | {
    name.lower(): number
    for number, joint in enumerate(OPENPOSE_18)
    for name in (joint, joint.replace("right_", "R").replace("left_", "L"))  # RShoulder, as OpenPose writes it
}
LAST_FRAME = 1_000_000  # nine hours; the limit keeps a wrong number in a table from filling the memory
# A pickle can run code. The user knows where it comes from, so the user converts it with this command.
UNPICKLE = {
    "estimated_poses": (
        "import sys,pandas as pd; d=pd.read_pickle(sys.argv[1]); "
        "pd.DataFrame([(r.frame,i,j,p[0],p[1]) for r in d.itertuples() for i,s in enumerate(r.limbs_subset) "
        "for j,c in enumerate(r.peaks) for p in c if p[3] in s[:-2]],"
        "columns=['frame','person','joint','x','y']).to_csv(sys.argv[2],index=False)",
        "INFANT.csv",
    ),
    "preprocessed_poses": (
        "import sys,numpy as np,pandas as pd; d=pd.read_pickle(sys.argv[1]); "
        "np.save(sys.argv[2],np.stack([d.pivot(index='frame',columns='part_idx',values=c).to_numpy() for c in "
        "'x y velocity_x velocity_y acceleration_x acceleration_y displacement'.split()]))",
        "pose_sequence.npy",
    ),
}


class Picture(NamedTuple):
    """Size and frame rate of a video."""

    width: float
    height: float
    fps: float


def preprocess(poses: np.ndarray, fps: float, width: float, height: float) -> np.ndarray:
    """Keypoints (T, 18, 2) in pixels, NaN where missing, to the channels (7, T', 18) float64 of `stam.CHANNELS`.

    Steps: divide by the picture's height; interpolate gaps; median, then mean, over 0.5 s; rotate the upper body about
    the middle of the shoulders and the lower body about the middle of the hips until these lines are level, with the
    child's right at the picture's left; divide by the trunk length; move the lower body down by one. Velocity and
    acceleration are means over the last 0.25 s, per second. Incomplete frames at both ends are cut off. A value between
    them that is not finite comes from a trunk of length 0. (The published code gives vx for vy; this does not.)
    """
    import pandas as pd  # here, because every command loads this module

    picture = (poses - np.array([width, height]) / 2) / height
    half_s, quarter_s = int(0.5 * fps), int(0.25 * fps)
    filled = pd.DataFrame(picture.reshape(len(poses), -1)).interpolate()
    smooth = filled.rolling(half_s, center=True).median().rolling(half_s, center=True).mean()
    xy = _upright(smooth.to_numpy().reshape(-1, 18, 2))

    step = np.diff(xy, axis=0, prepend=np.nan)
    velocity = _trailing_mean(step * fps, quarter_s)
    acceleration = _trailing_mean(np.diff(velocity, axis=0, prepend=np.nan) * fps, quarter_s)
    displacement = np.hypot(step[..., 0], step[..., 1])
    channels = np.concatenate([xy, velocity, acceleration, displacement[..., None]], axis=-1).transpose(2, 0, 1)
    whole = np.flatnonzero(np.isfinite(channels).all(axis=(0, 2)))
    return channels[:, whole[0] : whole[-1] + 1] if len(whole) else channels[:, :0]


def _upright(xy: np.ndarray) -> np.ndarray:
    """(T, 18, 2) in any unit to trunk lengths; each half of the body is rotated separately; x to the right, y down."""
    joint = {name: xy[:, number] for number, name in enumerate(OPENPOSE_18)}
    shoulders = (joint["right_shoulder"] + joint["left_shoulder"]) / 2
    hips = (joint["right_hip"] + joint["left_hip"]) / 2
    trunk = np.linalg.norm(shoulders - hips, axis=1)
    turned = np.empty_like(xy)
    for side, centre, half in (("shoulder", shoulders, UPPER), ("hip", hips, ~UPPER)):
        line = joint[f"right_{side}"] - joint[f"left_{side}"]
        turn = np.pi - np.arctan2(line[:, 1], line[:, 0])
        cos, sin = np.cos(turn)[:, None], np.sin(turn)[:, None]
        x, y = np.moveaxis(xy[:, half] - centre[:, None], -1, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            turned[:, half] = np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1) / trunk[:, None, None]
    turned[:, ~UPPER, 1] += 1
    return turned


def _trailing_mean(values: np.ndarray, window: int) -> np.ndarray:
    """Mean over the last `window` frames of (T, 18, 2); NaN if one of them is NaN."""
    import pandas as pd

    table = pd.DataFrame(values.reshape(len(values), -1))
    return table.rolling(window).mean().to_numpy().reshape(values.shape)


# ---- files


def pose_tables(data: Path) -> dict[str, list[Path]]:
    """The tables of each infant, in the order of their ids. Raises DataError, also for a pickle without its table."""
    folder = data / "estimated_poses"
    found: dict[str, list[Path]] = {}
    for name in entries(folder, data):
        path = folder / name
        inside = [path / entry for entry in entries(path, data)] if os.path.isdir(path) else [path]
        tables = [entry for entry in inside if entry.suffix == ".csv" and entry != folder / "videos.csv"]
        pickles = [entry for entry in inside if entry.suffix in (".pkl", ".pickle")]
        for pickle in pickles:
            if not tables and not os.path.lexists(pickle.with_suffix(".csv")):
                raise refused_pickle(pickle, "estimated_poses")
        if tables:
            found.setdefault(check_id(folder, name.removesuffix(".csv")), []).extend(tables)
    return dict(sorted(found.items()))


def refused_pickle(path: Path, folder: str) -> DataError:
    """The error for a pickle in one of STAM's folders, with the command that converts it; it is never loaded."""
    command, target = UNPICKLE[folder]
    hint = f'if you trust it: python -c "{command}" {shlex.quote(printable(path.name))} {target}'
    return DataError(path, "is a pickle, which can run any program and is never loaded", hint)


def video_tables(data: Path) -> list[Path]:
    """The path of `videos.csv`, if it exists."""
    return [path for path in (data / "estimated_poses/videos.csv", data / "videos.csv") if os.path.lexists(path)][:1]


def video_sizes(data: Path) -> dict[str, Picture]:
    """Size and frame rate of each infant's videos, from `videos.csv`. Raises DataError."""
    return {
        row["infant_id"]: _picture(path, line, row)
        for path in video_tables(data)
        for line, row in numbered_rows(path, ("infant_id", *Picture._fields), data)
    }


def read_estimated(path: Path, root: Path, picture: Picture | None) -> np.ndarray:
    """One table of keypoints as the channels (7, T', 18) float64; in each frame the person with most keypoints counts.

    picture: size and frame rate of the video, if the table has no columns width, height and fps. Raises DataError.
    """
    rows = numbered_rows(path, ("frame", "person", "joint", "x", "y"), root)
    if not rows:
        raise DataError(path, "holds no keypoint", "leave it out")
    if all(name in rows[0][1] for name in Picture._fields):
        picture = _picture(path, *rows[0])
    if picture is None:
        hint = "give columns width, height, fps, or estimated_poses/videos.csv with infant_id,width,height,fps"
        raise DataError(path, "the size and speed of its video are unknown", hint)
    people: dict[int, dict[str, dict[int, tuple[float, float]]]] = {}
    for line, row in rows:
        frame, joint = row["frame"], JOINTS.get(row["joint"].lower())
        if not (frame.isascii() and frame.isdigit() and len(frame) < 10 and int(frame) <= LAST_FRAME):
            reason = f"line {line}: frame {shorten(frame)}"
            raise DataError(path, reason, f"frames are whole numbers from 0 to {LAST_FRAME}")
        if joint is None:
            raise DataError(path, f"line {line}: joint {shorten(row['joint'])}", "0 to 17, or OpenPose's names")
        place = _number(path, line, row["x"]), _number(path, line, row["y"])
        keypoints = people.setdefault(int(frame), {}).setdefault(row["person"], {})
        if joint in keypoints:
            raise DataError(path, f"line {line}: joint {row['joint']} is there twice", "delete one of the two")
        keypoints[joint] = (math.nan, math.nan) if is_mark(*place) else place
    first = min(people)
    poses = np.full((max(people) - first + 1, 18, 2), np.nan)
    for number, persons in people.items():
        for joint, place in max(persons.values(), key=_found).items():
            poses[number - first, joint] = place
    if len(never := np.flatnonzero(np.isnan(poses).all(axis=(0, 2)))):
        reason = f"{OPENPOSE_18[never[0]]} is never found"
        raise DataError(path, reason, "STAM's preprocessing needs every joint: leave this infant out")
    sequence = preprocess(poses, picture.fps, picture.width, picture.height)
    if not np.isfinite(sequence).all():
        raise DataError(path, "shoulders and hips coincide in some frame", "look at the recording")
    return sequence


def _found(keypoints: dict[int, tuple[float, float]]) -> int:
    return sum(not math.isnan(x) for x, _ in keypoints.values())


def _picture(path: Path, line: int, row: dict[str, str]) -> Picture:
    values = Picture(*(_number(path, line, row[name]) for name in Picture._fields))
    for name, value, low in zip(Picture._fields, values, (16, 16, 4), strict=True):
        if not low <= value <= 100_000:
            raise DataError(path, f"line {line}: {name} {value:g}", f"{low} to 100000 is what a video has")
    return values


def _number(path: Path, line: int, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) <= LARGEST:
        raise DataError(path, f"line {line}: {shorten(text)} is not a number", "leave rows of missing keypoints out")
    return value
