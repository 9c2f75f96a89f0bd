"""A pose as a body: a head without a face, a filled trunk, tapered limbs, small hands and feet.

Every part is the outline around a few discs, as a string around coins. The tables below name them; body.js draws the
same in the page, from the same tables. Lengths are in body sizes, see `body_size`.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Polygon

from spasm.data.landmarks import INDEX, LANDMARKS, LEFT_HIP, LEFT_SHOULDER, RIGHT_HIP, RIGHT_SHOULDER

FACE = tuple(range(INDEX["left_shoulder"]))  # landmarks that only place the head: none of them is shown
# Points between or beyond landmarks, each as weights of landmarks that sum to 1.
_EARS, _EYES, _MOUTH = (7, 8), (2, 5), (9, 10)


def _mix(*groups: tuple[float, Sequence[int]]) -> dict[int, float]:
    """Weights of landmarks: each group's mean, times its weight."""
    return {landmark: weight / len(group) for weight, group in groups for landmark in group}


POINTS = {
    "neck": _mix((1, (LEFT_SHOULDER, RIGHT_SHOULDER))),
    "skull": _mix((1, _EARS), (0.6, _EYES), (-0.6, _MOUTH)),  # above the ears, away from the mouth
    "chin": _mix((0.5, _EARS), (0.5, _MOUTH)),
}
NAMES = (*LANDMARKS, *POINTS)  # what a disc may lie on

# ---- parts of the body: on which points discs lie, and their diameters in body sizes

TRUNK = {"left_shoulder": 0.26, "right_shoulder": 0.26, "right_hip": 0.34, "left_hip": 0.34}
MIDDLE_PARTS = {
    "trunk": TRUNK,
    "neck": {"neck": 0.26, "chin": 0.24},
    "head": {"skull": 0.66, "chin": 0.44},
}
# The first and the last disc of a part are the ends of its stripe.
SIDE_PARTS = {
    "upper arm": {"shoulder": 0.27, "elbow": 0.21},
    "forearm": {"elbow": 0.21, "wrist": 0.14},
    "hand": {"wrist": 0.14, "thumb": 0.1, "pinky": 0.12, "index": 0.13},
    "thigh": {"hip": 0.36, "knee": 0.27},
    "shin": {"knee": 0.27, "ankle": 0.17},
    "foot": {"ankle": 0.17, "heel": 0.13, "foot_index": 0.13},
}
SIDES = ("left", "right")


@dataclasses.dataclass(frozen=True)
class BodyPart:
    """One part of the body: the outline around discs."""

    name: str
    side: str
    """"left", "right" or "middle"."""
    points: tuple[int, ...]
    """Places in `NAMES`."""
    diameters: tuple[float, ...]
    """In body sizes."""


def _parts() -> Iterator[BodyPart]:
    for name, discs in MIDDLE_PARTS.items():
        yield BodyPart(name, "middle", tuple(NAMES.index(point) for point in discs), tuple(discs.values()))
    for side in SIDES:
        for name, discs in SIDE_PARTS.items():
            points = tuple(INDEX[f"{side}_{point}"] for point in discs)
            yield BodyPart(f"{side} {name}", side, points, tuple(discs.values()))


PARTS = tuple(_parts())
STRIPE = 0.22  # of the thinnest disc of a part: the stripe along what is the child's right
CORNERS = 24  # of the polygon that stands for a disc
FAR_TINT = 0.4  # how much of the paper's colour the farthest part gets
WITHOUT_TRUNK = 0.3  # of the body's extent
DEPTH_RANGE = 0.7  # body sizes before and behind the trunk between which a part is tinted


@dataclasses.dataclass(frozen=True)
class Palette:
    """Colours of a body; the page's are in player.css."""

    paper: str
    middle: str
    left: str
    right: str
    missing: str


LIGHT = Palette(paper="#ffffff", middle="#b9b1a7", left="#2f86c1", right="#dd7a3b", missing="#75757f")
DARK = Palette(paper="#17181c", middle="#77727a", left="#4fa6e0", right="#e08a45", missing="#a0a0ab")


# ---- geometry


def body_points(places: np.ndarray) -> np.ndarray:
    """The points that discs lie on: (..., 33, C) -> (..., 36, C), in the order of NAMES. NaN where not known."""
    extra = [sum(weight * places[..., i, :] for i, weight in weights.items()) for weights in POINTS.values()]
    return np.concatenate([places, np.stack(extra, axis=-2)], axis=-2)


def body_size(places: np.ndarray) -> float:
    """The length that stands for a body: the median over frames of trunk length or, end on, of shoulder width.

    places (..., 33, 2 or more) with equal units on both axes; NaN where missing. Without any trunk a fraction of the
    body's extent; NaN without any landmark.
    """
    places = places[..., :2].reshape(-1, len(LANDMARKS), 2)
    shoulders, hips = (
        (places[:, a] + places[:, b]) / 2 for a, b in ((LEFT_SHOULDER, RIGHT_SHOULDER), (LEFT_HIP, RIGHT_HIP))
    )
    trunk = np.linalg.norm(shoulders - hips, axis=1)
    width = np.linalg.norm(places[:, LEFT_SHOULDER] - places[:, RIGHT_SHOULDER], axis=1)
    sizes = np.maximum(trunk, 1.2 * width)
    if not np.isfinite(sizes).any():  # no frame has a trunk
        known = places[np.isfinite(places).all(axis=-1)]
        return WITHOUT_TRUNK * float(np.ptp(known, axis=0).max()) if len(known) else float("nan")
    return float(np.nanmedian(sizes))


def outline(centres: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """The polygon (K, 2) around discs: centres (D, 2), radii (D,)."""
    angles = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    corners = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return convex_hull((centres[:, None] + radii[:, None, None] * corners).reshape(-1, 2))


def convex_hull(points: np.ndarray) -> np.ndarray:
    """The corners of the convex hull of points (N, 2), in order (Andrew's monotone chain)."""
    ordered = [tuple(point) for point in points[np.lexsort(points.T[::-1])].tolist()]

    def chain(points: Sequence[Any]) -> list[Any]:
        kept: list[Any] = []
        for x, y in points:
            while len(kept) > 1:
                (x1, y1), (x2, y2) = kept[-2:]
                if (x2 - x1) * (y - y1) - (y2 - y1) * (x - x1) > 0:
                    break
                kept.pop()
            kept.append((x, y))
        return kept[:-1]

    return np.array(chain(ordered) + chain(ordered[::-1]))


# ---- drawing


def draw_body(
    axes: Axes,
    pose: np.ndarray,
    size: float | None = None,
    aspect: float = 1.0,
    last_known: np.ndarray | None = None,
    palette: Palette = LIGHT,
) -> None:
    """Draw one pose (33, 3 or more) on axes in units of the picture's height; y points down as in the picture.

    NaN marks missing landmarks; a part with one of them is hollow and dashed at its place in last_known (33, 2 or
    more), or absent without it. size: `body_size` of the whole segment, so that widths stay the same in all frames.
    aspect: width of the picture by its height.
    """
    places = _in_heights(pose, aspect)
    hollow = body_points(_in_heights(pose if last_known is None else last_known, aspect))
    points = body_points(places)
    length = body_size(places if np.isfinite(places).any() else hollow[: len(LANDMARKS)]) if size is None else size
    if not np.isfinite(length):
        return
    shown = points if np.isfinite(places).any() else hollow
    for part in sorted(PARTS, key=lambda part: -_order(part, shown)):
        known = np.isfinite(points[part.points, :2]).all()
        centres = (points if known else hollow)[part.points, :2]
        radii = length * np.array(part.diameters) / 2
        if not np.isfinite(centres).all():
            continue
        if not known:
            shape = Polygon(outline(centres, radii), facecolor=palette.paper, edgecolor=palette.missing)
            shape.set(linestyle=(0, (3, 3)), linewidth=0.8, zorder=2)
            axes.add_patch(shape)
            continue
        nearness = np.clip(-_depth(part, points) / (DEPTH_RANGE * length), -1, 1)
        fill = blend(getattr(palette, part.side), palette.paper, FAR_TINT * (1 - nearness) / 2)
        shape = Polygon(outline(centres, radii), facecolor=fill, edgecolor=palette.paper, linewidth=0.8)
        shape.set_zorder(2)  # all alike, so that the order of drawing decides
        axes.add_patch(shape)
        if part.side == "right":
            width = STRIPE * length * min(part.diameters)
            ends = outline(centres[[0, -1]], np.full(2, width / 2))
            axes.add_patch(Polygon(ends, facecolor=palette.paper, alpha=0.8, linewidth=0, zorder=2))


def frame_axes(axes: Axes, poses: np.ndarray, aspect: float = 1.0, palette: Palette = LIGHT) -> float:
    """Fit axes to all poses (T, 33, 3 or more) of a segment, without ticks; gives `body_size` for `draw_body`."""
    places = _in_heights(poses, aspect)
    length = body_size(places)
    low, high = np.nanmin(places[..., :2], axis=(0, 1)), np.nanmax(places[..., :2], axis=(0, 1))
    margin = 0.45 * length  # a head reaches beyond its landmarks
    axes.set_xlim(low[0] - margin, high[0] + margin)
    axes.set_ylim(high[1] + margin, low[1] - margin)
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.figure.set_facecolor(palette.paper)
    return length


def blend(colour: str, other: str, fraction: float) -> tuple[float, ...]:
    """A colour "#rrggbb" with a fraction of another one, as red, green and blue from 0 to 1."""
    first, second = (np.array([int(name[i : i + 2], 16) for i in (1, 3, 5)]) / 255 for name in (colour, other))
    return tuple(float(value) for value in (1 - fraction) * first + fraction * second)


def for_page() -> Mapping[str, Any]:
    """The tables as body.js reads them."""
    return {
        "points": [[[landmark, weight] for landmark, weight in weights.items()] for weights in POINTS.values()],
        "parts": [[part.name, part.side, part.points, part.diameters] for part in PARTS],
        "stripe": STRIPE,
        "far_tint": FAR_TINT,
        "depth_range": DEPTH_RANGE,
    }


def _in_heights(pose: np.ndarray, aspect: float) -> np.ndarray:
    """x, y and, where there is one, z in picture heights: (..., 33, 2 or 3). MediaPipe's z has the unit of x."""
    return pose[..., :3] * np.array([aspect, 1, aspect])[: pose.shape[-1]]


def _depth(part: BodyPart, points: np.ndarray) -> float:
    """How far behind the trunk a part lies; 0 without a known z."""
    if points.shape[-1] < 3:
        return 0.0
    middle = points[[LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_HIP, RIGHT_HIP], 2].mean()
    depth = float(points[part.points, 2].mean() - middle)
    return depth if np.isfinite(depth) else 0.0


def _order(part: BodyPart, points: np.ndarray) -> float:
    """Parts with a larger value come first, so the nearer hides the farther. The neck is behind all others."""
    return np.inf if part.name == "neck" else _depth(part, points)
