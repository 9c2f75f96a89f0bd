"""Cleaning raw poses where they enter, and counting what was noticed: the one module that every reader of poses calls.

Other tools mark a landmark that was not found by a place, such as x = y = 0; their errors are places that no body can
have. Both become NaN here, so that no feature takes them for a movement. The rules are for one frame at a time, so
that a recording that is read in blocks gives the same poses as one that is read at once. MediaPipe poses of real and
simulated children pass without any change.
"""

import dataclasses
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spasm.core.errors import DataError, first_few, printable
from spasm.data.landmark_sets import KEPT
from spasm.data.landmarks import INDEX, LANDMARKS
from spasm.data.pose import CHANNELS, FARTHEST, visible_mask

RULES = "poses 2"
"""Version of these rules; what was computed from poses that passed other rules is not used again."""
DEEPEST = 5.0  # pictures; the median |z| of the BabyJokes frames is at most 2.0
FEWEST_FAR = len(LANDMARKS)  # landmarks far from the picture that are pixels; fewer are single errors

# The landmarks of 13 points of the body; all of one point can coincide where a tool copies a keypoint, or in a tiny
# picture in whole pixels. In 64 x 48 pixels 1 in 7,000 BabyJokes frames has four points in one pixel, in 96 x 72 none.
POINTS = (
    tuple(range(11)),
    *(tuple(INDEX[f"{side}_{name}"] for name in names)
      for names in (("shoulder",), ("elbow",), ("wrist", "pinky", "index", "thumb"), ("hip",), ("knee",),
                    ("ankle", "heel", "foot_index"))
      for side in ("left", "right")),
)  # fmt: skip
OF_POINT = np.array([[landmark in point for point in POINTS] for landmark in range(len(LANDMARKS))], np.float32)
MANY_POINTS, FEW_POINTS, MANY_LANDMARKS = 4, 3, 8  # that share a place: a mark, see `_shared_places`

SKELETONS = {  # the landmarks of other systems' skeletons
    "COCO's or OpenPose's": frozenset(KEPT["coco_17"]),
    "OpenPose's BODY_25": frozenset(KEPT["body_25"]),
    "Kinect's": frozenset(LANDMARKS) - set(LANDMARKS[1:11])
    - {f"{side}_{name}" for side in ("left", "right") for name in ("pinky", "thumb", "heel")},
}  # fmt: skip

NO_POSE, STILL, NEVER, MARKS, IMPLAUSIBLE, NO_DEPTH, OUTSIDE = KINDS = (
    "no pose", "never moves", "never found", "marks", "implausible", "no depth", "visibility",
)  # fmt: skip
ACCEPTED = "accepted; look at the recording if this surprises you"
HINTS = {
    NO_POSE: ACCEPTED,
    STILL: ACCEPTED,
    NEVER: "accepted; train and predict on poses that have the same landmarks",
    MARKS: "they count as not found; write NaN there to be sure",
    IMPLAUSIBLE: "they count as not found; look at the recording there",
    NO_DEPTH: "z counts as 0; train and predict on poses that all have depth, or all have none",
    OUTSIDE: "clipped; write values in 0..1",
}
NONE = float("nan")


@dataclasses.dataclass(frozen=True, eq=False)
class Findings:
    """What was noticed in poses, as counts that add up: blocks to a recording, segments to a folder."""

    frames: int = 0
    posed: int = 0
    """Frames with a pose after cleaning."""
    found: int = 0
    """Landmarks with x and y, over all frames, without the marks for missing."""
    far: int = 0
    """Those of them that are more than one picture outside of the picture."""
    farthest: tuple[float, float] = (0.0, 0.0)
    """The largest |x| and |y| of those."""
    marks: int = 0
    """Landmarks that hold a mark for missing, over all frames."""
    marked_frames: int = 0
    mark: tuple[float, float] = (NONE, NONE)
    """x, y of the first mark."""
    implausible: int = 0
    """Landmarks, over all frames, that no body can have there."""
    first: tuple[float, float, float, float] = (NONE, NONE, NONE, NONE)
    """Frame, landmark, channel and value of the first implausible value."""
    flat: int = 0
    """Frames with a pose that has no depth."""
    outside: int = 0
    """Values of visibility and presence outside 0..1."""
    moves: bool = False
    place: np.ndarray = dataclasses.field(default_factory=lambda: np.full((len(LANDMARKS), 3), np.nan, np.float32))
    """(33, 3) x, y, z where each landmark was first found; NaN: never found."""

    def __add__(self, later: "Findings") -> "Findings":
        """Both together; `later` is the next block, or the next segment."""
        known = np.isfinite(self.place).all(axis=1, keepdims=True)
        apart = known & np.isfinite(later.place) & (self.place != later.place)
        counts = ("frames", "posed", "found", "far", "marks", "marked_frames", "implausible", "flat", "outside")
        return Findings(
            **{name: getattr(self, name) + getattr(later, name) for name in counts},
            farthest=(max(self.farthest[0], later.farthest[0]), max(self.farthest[1], later.farthest[1])),
            mark=self.mark if self.marks else later.mark,
            first=self.first if self.implausible else later.first,
            moves=self.moves or later.moves or bool(apart.any()),
            place=np.where(known, self.place, later.place),
        )

    @property
    def never_found(self) -> tuple[str, ...]:
        """The landmarks that were found in no frame."""
        return tuple(LANDMARKS[i] for i in np.flatnonzero(np.isnan(self.place).any(axis=1)))

    def check_units(self, path: Path | str) -> None:
        """Raise DataError if most landmarks are far from the picture: then they are in pixels, not single errors."""
        if self.far < FEWEST_FAR or 2 * self.far <= self.found:
            return
        raise DataError(
            path,
            "is in pixels or another unit, not in fractions of the picture: most landmarks are over a picture outside",
            "divide x and z by the picture's width and y by its height, or convert the file: "
            "python src/import_poses.py FILE --fps 30 --width W --height H --out DIR",
            example=f"x up to {self.farthest[0]:.4g}, y up to {self.farthest[1]:.4g}",
        )

    def sentences(self) -> dict[str, str]:
        """A sentence for each kind of finding that there is."""
        found: dict[str, str] = {}
        if not self.posed:
            found[NO_POSE] = "no pose in any frame"
        elif never := self.never_found:
            found[NEVER] = _never(never)
        if self.posed > 1 and not self.moves:
            found[STILL] = "the pose never moves"
        if self.marks:
            where = _of_frames(self.marked_frames, self.frames)
            place = "x = {:g}, y = {:g}".format(*self.mark)
            found[MARKS] = f"{_count(self.marks, 'mark')} for missing in {where}, first {place}"
        if self.implausible:
            frame, landmark, channel = map(int, self.first[:3])
            example = f"{CHANNELS[channel]} of {LANDMARKS[landmark]} in frame {frame}: {self.first[3]:g}"
            found[IMPLAUSIBLE] = f"{_count(self.implausible, 'implausible value')}, first {example}"
        if self.flat:
            where = _of_frames(self.flat, self.posed)
            found[NO_DEPTH] = f"no depth in {where} with a pose: z is missing, 0, or in another unit"
        if self.outside:
            found[OUTSIDE] = f"{_count(self.outside, 'value')} of visibility or presence outside 0..1"
        return {kind: found[kind] for kind in KINDS if kind in found}


# ---- cleaning


@np.errstate(invalid="ignore", over="ignore")  # a signalling NaN or a huge value in a file is no reason for a warning
def clean(raw: np.ndarray, begin: int = 0) -> tuple[np.ndarray, Findings]:
    """Poses (F, 33, 5) float32 in C order of raw values (F, 33, 5) of any real type, and what was noticed.

    begin: number of the first frame, for messages. Not found, so NaN in all five channels, is a landmark that holds a
    mark for missing (x = y = 0, x = y = -1, one exact place for several points of the body) or an implausible value
    (infinite, or beyond FARTHEST). In a frame without depth z becomes 0: where z is missing or beyond DEEPEST in most
    landmarks. Visibility and presence are clipped to 0..1. Whether these are pixels, only the whole segment or
    recording can show: see `Findings.check_units`.
    """
    narrow = raw.dtype.kind == "f" and raw.dtype.itemsize <= 4
    values: Any = raw.astype(np.float32 if narrow else np.float64, order="C")  # either holds the range of its type
    x, y, z = (values[..., channel] for channel in range(3))
    marks: Any = is_mark(x, y)
    found = ~(np.isnan(x) | np.isnan(y) | marks)
    shared = _shared_places(x, y, found)
    marks, found = marks | shared, found & ~shared
    far, count = found & ((np.abs(x - 0.5) > 1.5) | (np.abs(y - 0.5) > 1.5)), int(found.sum())

    implausible = ~marks & ((np.abs(x) > FARTHEST) | (np.abs(y) > FARTHEST))
    found &= ~implausible
    shallow = np.abs(z) <= DEEPEST  # False where z is NaN
    flat: Any = (found & ~shallow).sum(axis=1) * 2 > found.sum(axis=1)  # (F,)
    z[flat] = np.where(found[flat], 0, np.nan)
    implausible |= ~marks & (np.abs(z) > FARTHEST)

    noticed: dict[str, Any] = {}
    if marks.any():
        noticed["mark"] = tuple(map(float, values[marks][0, :2]))
        values[marks] = np.nan
    if far.any():
        noticed["farthest"] = float(np.abs(x[far]).max()), float(np.abs(y[far]).max())
    if implausible.any():
        noticed["first"] = _first_implausible(values, implausible, begin)
        values[implausible] = np.nan
    certainty = values[..., 3:]
    outside = (certainty < 0) | (certainty > 1)
    if outside.any():
        np.clip(certainty, 0, 1, out=certainty)

    poses = values.astype(np.float32, copy=False)
    seen: Any = visible_mask(poses)
    posed, ever = seen.any(axis=1), seen.any(axis=0)
    place = np.where(ever[:, None], poses[seen.argmax(axis=0), np.arange(len(LANDMARKS)), :3], np.nan)
    with_depth = (seen & (poses[..., 2] != 0)).any(axis=1)
    return poses, Findings(
        frames=len(poses),
        posed=int(posed.sum()),
        found=count,
        far=int(far.sum()),
        marks=int(marks.sum()),
        marked_frames=int(marks.any(axis=1).sum()),
        implausible=int(implausible.sum()),
        flat=int((posed & ~with_depth).sum()),
        outside=int(outside.sum()),
        moves=bool((seen & (poses[..., :3] != place).any(axis=-1)).any()),
        place=place.astype(np.float32),
        **noticed,
    )


def is_mark(x: Any, y: Any) -> Any:
    """Where x and y are one of the marks for missing that many tools write: both 0, or both -1."""
    return (x == y) & ((x == 0) | (x == -1))


def _shared_places(x: np.ndarray, y: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Where landmarks (F, 33) lie at exactly the same place in a way that no body can: (F, 33) bool.

    Landmarks of at least MANY_POINTS points of the body, or of FEW_POINTS where these are MANY_LANDMARKS landmarks or
    most of the points that were found in the frame.
    """
    shared = np.zeros_like(found)
    in_order = np.sort(np.where(found, x, np.nan), axis=1)  # NaN last, and never equal
    rows = np.flatnonzero((in_order[:, 1:] == in_order[:, :-1]).sum(axis=1) >= FEW_POINTS - 1)
    if not len(rows):  # so it is in nearly every frame of real poses, which makes the rest cheap
        return shared
    x, y, found = x[rows], y[rows], found[rows]
    same = (x[:, :, None] == x[:, None]) & (y[:, :, None] == y[:, None]) & found[:, :, None] & found[:, None]
    points = (same.astype(np.float32) @ OF_POINT > 0).sum(axis=-1)  # (R, 33): of the body, at each landmark's place
    of_frame = (found.astype(np.float32) @ OF_POINT > 0).sum(axis=-1)[:, None]
    many = (same.sum(axis=-1) >= MANY_LANDMARKS) | (points * 2 > of_frame)
    shared[rows] = (points >= MANY_POINTS) | ((points >= FEW_POINTS) & many)
    return shared


def _first_implausible(values: np.ndarray, implausible: np.ndarray, begin: int) -> tuple[float, float, float, float]:
    frame, landmark = (int(i) for i in np.argwhere(implausible)[0])
    channel = int(np.flatnonzero(np.abs(values[frame, landmark, :3]) > FARTHEST)[0])
    return begin + frame, landmark, channel, float(values[frame, landmark, channel])


# ---- many segments


def fold(
    names: Sequence[str], findings: Iterable[Findings], what: str = "segments", without: Collection[str] = ()
) -> list[str]:
    """A line for each kind of finding in some segments or recordings, named `names`; not for the kinds `without`."""
    every = list(findings)
    described = [one.sentences() for one in every]
    lines = []
    for kind in KINDS:
        rows = [row for row, sentences in enumerate(described) if kind in sentences and kind not in without]
        if rows:
            lines.append(
                f"{_which(names, rows, what)}: {_together(kind, [every[row] for row in rows])} ({HINTS[kind]})"
            )
    return lines


def _which(names: Sequence[str], rows: Sequence[int], what: str) -> str:
    if len(names) == 1:
        return printable(names[0])
    if len(rows) == len(names):
        return f"all {len(rows):,} {what}"
    return f"{len(rows):,} of {len(names):,} {what} ({first_few([names[row] for row in rows], 3)})"


def _together(kind: str, alike: Sequence[Findings]) -> str:
    """The sentence about a kind for several segments, each of which has it."""
    counts = {len(one.never_found) for one in alike}
    total = Findings()
    for one in alike:
        total = total + one
    if kind == NEVER and (len(counts) > 1 or set(counts) != {len(total.never_found)}):
        most = f"{min(counts)} to {max(counts)}" if len(counts) > 1 else str(min(counts))
        return f"{most} of {len(LANDMARKS)} landmarks are never found, not the same ones in each"
    return total.sentences()[kind] if kind != STILL else alike[0].sentences()[STILL]


def _never(names: Sequence[str]) -> str:
    for skeleton, has in SKELETONS.items():
        if set(names) == set(LANDMARKS) - has:
            return f"{len(names)} of {len(LANDMARKS)} landmarks are never found: those that {skeleton} skeleton lacks"
    verb = "is" if len(names) == 1 else "are"
    return f"{len(names)} of {len(LANDMARKS)} landmarks {verb} never found: {first_few(names)}"


def _count(number: int, what: str) -> str:
    return f"1 {what}" if number == 1 else f"{number:,} {what}s"


def _of_frames(part: int, whole: int) -> str:
    if part >= whole:  # more, if the rest of the poses was dropped after cleaning
        return "all frames"
    return "less than 1 % of frames" if part < 0.01 * whole else f"{100 * part / whole:.0f} % of frames"


# ---- kept in a file

ROW = np.dtype(
    [(name, "<i8") for name in ("frames", "posed", "found", "far", "marks", "marked_frames", "implausible", "flat",
                                "outside")]
    + [("farthest", "<f8", 2), ("mark", "<f8", 2), ("first", "<f8", 4), ("moves", "?"),
       ("place", "<f4", (len(LANDMARKS), 3))]
)  # fmt: skip
"""Findings as a row of an array."""


def to_rows(findings: Sequence[Findings]) -> np.ndarray:
    """Findings (N,) as an array of ROW."""
    return np.array([tuple(getattr(one, name) for name in ROW.names or ()) for one in findings], ROW)


def from_rows(rows: np.ndarray) -> Iterator[Findings]:
    """What `to_rows` was given."""
    for row in rows:
        values: dict[str, Any] = {name: row[name] for name in ROW.names or ()}
        plain = {name: tuple(map(float, values[name])) for name in ("farthest", "mark", "first")}
        counts: dict[str, Any] = {name: int(value) for name, value in values.items() if value.ndim == 0}
        yield Findings(**{**counts, **plain, "moves": bool(values["moves"]), "place": np.array(values["place"])})
