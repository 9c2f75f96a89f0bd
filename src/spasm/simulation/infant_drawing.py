"""A simulated infant in a picture: trunk, limbs, head, face, hair and clothes, nearer parts over farther ones.

Sizes are fractions of the child's length, assumed from the look of infants.
"""

from typing import NamedTuple

import cv2
import numpy as np

from spasm.data.landmarks import INDEX
from spasm.simulation import shapes
from spasm.simulation.appearance import Colour, Look
from spasm.simulation.shapes import Light, disc, mixed, paint, polygon, shaded, stroke

# Radii at both ends of each part.
RADII = {
    "upper_arm": (0.047, 0.040), "forearm": (0.039, 0.028), "hand": (0.029, 0.026), "thigh": (0.070, 0.053),
    "shank": (0.051, 0.034), "foot": (0.027, 0.024), "finger": (0.011, 0.009), "neck": (0.045, 0.05),
}  # fmt: skip
CLOTH = 1.1  # clothed parts are thicker
HEAD = np.array([0.080, 0.112, 0.100])  # half of its breadth, height and depth
CROWN = np.array([0.0, 0.66, -0.75])  # the middle of the hair: right, up, forward
IRIS: Colour = (45, 40, 35)
NAPPY: Colour = (238, 236, 232)
FACE = {"eye": (0.40, -0.02, 0.92), "cheek": (0.55, -0.42, 0.72)}


class View(NamedTuple):
    """One frame of a child: places (33, 2) in pixels, depths (33,) in pixels, greater is farther, pixels per length."""

    places: np.ndarray
    depths: np.ndarray
    scale: np.ndarray

    def at(self, *names: str) -> np.ndarray:
        """The middle of landmarks, (3,): x, y, depth."""
        rows = [INDEX[name] for name in names]
        return np.append(self.places[rows].mean(axis=0), self.depths[rows].mean())

    def size(self, *names: str) -> float:
        """Pixels per length at landmarks."""
        return float(self.scale[[INDEX[name] for name in names]].mean())


class Expression(NamedTuple):
    """The face in one frame: fractions from 0 to 1."""

    eyes_closed: float
    mouth_open: float


class Part(NamedTuple):
    """A shape of the child, and how it is painted."""

    depth: float
    centres: np.ndarray
    radii: np.ndarray
    colour: Colour
    pattern: str = "plain"


def draw_infant(image: np.ndarray, view: View, look: Look, light: Light, face: Expression) -> None:
    """Paint a child into a picture (H, W, 3)."""
    parts = body_parts(view, look)
    head = head_axes(view)
    nearer = sorted(parts, key=lambda part: -part.depth)
    done = False
    for part in nearer:
        if not done and part.depth < head.depth:
            draw_head(image, view, head, look, light, face)
            done = True
        paint(image, part.centres, part.radii, part.colour, light)
        if part.pattern != "plain":
            _pattern(image, part, look)
    if not done:
        draw_head(image, view, head, look, light, face)


def silhouette(view: View, look: Look) -> list[tuple[np.ndarray, np.ndarray]]:
    """Centres (C, 2) and radii (C,) of all parts, the head's among them, for a shadow."""
    head = head_axes(view)
    radius = np.array([np.linalg.norm(head.axes, axis=1).mean()])
    return [(part.centres, part.radii) for part in body_parts(view, look)] + [(head.centre[None], radius)]


# ---- trunk and limbs


def body_parts(view: View, look: Look) -> list[Part]:
    """The parts below the head, with their clothes."""
    clothes, skin = look.clothes, look.child.skin
    dressed = clothes.kind != "nappy"
    long_legs = clothes.kind in ("romper", "shirt_and_trousers")
    sleeves = dressed and (clothes.kind == "romper" or clothes.long_sleeves)
    upper, lower = (clothes.upper, clothes.lower) if dressed else (skin, skin)
    cloth = CLOTH if dressed else 1.0
    pattern = clothes.pattern if dressed else "plain"
    shoulders, hips = view.at("left_shoulder", "right_shoulder"), view.at("left_hip", "right_hip")
    size = view.size("left_shoulder", "right_shoulder", "left_hip", "right_hip")
    parts = []

    def add(depth: float, points: list[np.ndarray], radii: list[float], colour: Colour, worn: str = "plain") -> None:
        parts.append(Part(depth, np.array([point[:2] for point in points]), size * np.array(radii), colour, worn))

    trunk_depth = (shoulders[2] + hips[2]) / 2
    belly = 0.45 * shoulders + 0.55 * hips
    inner = [0.78 * view.at(f"{side}_shoulder") + 0.22 * shoulders for side in ("left", "right")]
    seat = [1.05 * view.at(f"{side}_hip") - 0.05 * hips for side in ("left", "right")]
    add(
        trunk_depth, [*inner, belly, *seat], [0.055 * cloth] * 2 + [0.118 * cloth] + [0.066 * cloth] * 2, upper, pattern
    )
    head = view.at("left_ear", "right_ear")
    add(max(trunk_depth, head[2]) - 0.5, [shoulders, 0.5 * (shoulders + head)], list(RADII["neck"]), shaded(skin, 0.92))
    crotch = hips + 0.22 * (hips - shoulders)
    if clothes.kind != "romper":
        nappy = NAPPY if clothes.kind == "nappy" else lower
        waist = [point + 0.18 * (shoulders - hips) for point in seat]
        add(trunk_depth - 1, [*waist, *seat, crotch], [0.066, 0.066, 0.076, 0.076, 0.05], nappy)
    for side in ("left", "right"):
        joint = {name: view.at(f"{side}_{name}") for name in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")}
        for name, start, end, worn, colour in (
            ("upper_arm", "shoulder", "elbow", sleeves, upper), ("forearm", "elbow", "wrist", sleeves, upper),
            ("thigh", "hip", "knee", long_legs, lower), ("shank", "knee", "ankle", long_legs, lower),
        ):  # fmt: skip
            size = view.size(f"{side}_{start}", f"{side}_{end}")
            depth = (joint[start][2] + joint[end][2]) / 2 - 0.02 * size
            radii = [(CLOTH if worn else 1.0) * radius for radius in RADII[name]]
            legs_plain = clothes.kind == "shirt_and_trousers" and name in ("thigh", "shank")
            add(
                depth,
                [joint[start], joint[end]],
                radii,
                colour if worn else skin,
                pattern if worn and not legs_plain else "plain",
            )
            if name == "upper_arm" and dressed and not sleeves:
                half = 0.45 * joint[start] + 0.55 * joint[end]
                add(depth - 0.1, [joint[start], half], [0.054, 0.05], upper)
        size = view.size(f"{side}_wrist")
        palm = view.at(f"{side}_index", f"{side}_pinky")
        tips = {name: view.at(f"{side}_{name}") for name in ("index", "pinky", "thumb")}
        depth = min(joint["wrist"][2], palm[2]) - 0.012 * size
        add(depth, [joint["wrist"], 0.35 * joint["wrist"] + 0.65 * palm], list(RADII["hand"]), skin)
        for name in ("index", "pinky", "thumb"):
            root = 0.55 * joint["wrist"] + 0.45 * tips[name]
            add(depth - 0.01 * size, [root, tips[name]], list(RADII["finger"]), shaded(skin, 0.97))
        middle = 0.5 * (tips["index"] + tips["pinky"])
        add(
            depth - 0.011 * size,
            [0.5 * (joint["wrist"] + middle), 1.04 * middle - 0.04 * joint["wrist"]],
            list(RADII["finger"]),
            skin,
        )
        size = view.size(f"{side}_ankle")
        heel, toes = view.at(f"{side}_heel"), view.at(f"{side}_foot_index")
        sock = clothes.feet or (clothes.lower if clothes.kind == "romper" and clothes.long_sleeves else None)
        depth = min(joint["ankle"][2], toes[2]) - 0.01 * size
        add(depth, [joint["ankle"], heel, toes], [0.030, 0.026, 0.024], sock or skin)
        if sock is None:
            add(depth - 0.1, [toes, 0.9 * toes + 0.1 * heel], [0.016, 0.018], shaded(skin, 1.04))
    return parts


def _pattern(image: np.ndarray, part: Part, look: Look) -> None:
    """Stripes across or dots on a clothed part."""
    colour = shaded(look.clothes.second, 0.88)
    if len(part.centres) == 2:
        (start, end), (first, last) = part.centres, part.radii
        left = right = None
    else:
        start, end = part.centres[:2].mean(axis=0), part.centres[3:].mean(axis=0)
        left, right = part.centres[[0, 3]], part.centres[[1, 4]]
        first, last = part.radii[0], part.radii[3]
    along = end - start
    length = float(np.linalg.norm(along))
    if length < 4:
        return
    across = np.array([-along[1], along[0]]) / length
    for at in np.arange(0.1, 1.0, max(0.12, 5 / length)):
        middle, radius = start + at * along, (1 - at) * first + at * last
        if left is None or right is None:
            ends = middle - 0.93 * radius * across, middle + 0.93 * radius * across
        else:
            sides = [(1 - at) * edge[0] + at * edge[1] for edge in (left, right)]
            outward = np.sign((sides[0] - sides[1]) @ across or 1.0) * 0.85 * radius * across
            ends = sides[0] + outward, sides[1] - outward
        if part.pattern == "stripes":
            stroke(image, *ends, 0.035 * length if left is not None else 0.05 * length, colour)
        else:
            for share in (0.2, 0.5, 0.8) if left is not None else (0.35, 0.65):
                disc(image, (1 - share) * ends[0] + share * ends[1], max(1.0, 0.1 * radius), colour)


# ---- the head


class Head(NamedTuple):
    """The head as an ellipsoid: centre (2,), half axes as rows (3, 3) right, up, forward in pixels, and its depth."""

    centre: np.ndarray
    axes: np.ndarray
    depth: float

    def point(self, direction: np.ndarray) -> np.ndarray:
        """Where the surface in these directions (N, 3) of unit length is in the picture, (N, 2)."""
        return self.centre + direction @ self.axes[:, :2]

    def facing(self, direction: np.ndarray) -> np.ndarray:
        """How much the surface in these directions (N, 3) faces the camera, -1 to 1."""
        normal = direction @ (self.axes / (self.axes**2).sum(axis=1, keepdims=True))
        return -normal[..., 2] / np.linalg.norm(normal, axis=-1)


def head_axes(view: View) -> Head:
    """The head from its landmarks."""
    size = view.size("left_ear", "right_ear", "nose")
    left, right = view.at("left_ear"), view.at("right_ear")
    middle = (left + right) / 2
    side = _unit(left - right)
    forward = view.at("nose") - middle
    forward = _unit(forward - (forward @ side) * side)
    up = view.at("left_eye", "right_eye") - view.at("mouth_left", "mouth_right")
    up = up - (up @ side) * side
    up = _unit(up - (up @ forward) * forward)
    axes = size * HEAD[:, None] * np.stack([side, up, forward])
    centre = middle + size * (0.018 * up - 0.008 * forward)
    return Head(centre[:2], axes, float(centre[2] - 0.02 * size))


def draw_head(image: np.ndarray, view: View, head: Head, look: Look, light: Light, face: Expression) -> None:
    """Paint ears, head, hair and face."""
    skin, size = look.child.skin, view.size("nose", "left_ear", "right_ear")
    ears = [
        (view.at(f"{side}_ear"), head.facing(np.array([x, 0, 0.0]))) for side, x in (("left", 1.0), ("right", -1.0))
    ]
    for ear, facing in ears:
        if facing < 0.15:
            disc(image, ear[:2], 0.024 * size, shaded(skin, 0.8))
    shapes.paint_ellipse(image, head.centre, head.axes[:, :2], skin, light)
    grown = SPHERE @ _unit(CROWN) > look.child.hairline
    shown = grown & (head.facing(SPHERE) > -0.1)
    if shown.sum() > 3:
        thin = 0.35 if look.child.hairline > 0.5 else 0.0
        colour = mixed(look.child.hair, skin, thin)
        hull = cv2.convexHull(head.point(1.04 * SPHERE[shown]).astype(np.float32))[:, 0]
        polygon(image, hull, shaded(colour, 0.85))
        middle = hull.mean(axis=0) + 0.15 * np.linalg.norm(head.axes[0]) * light.direction
        polygon(image, middle + 0.7 * (hull - hull.mean(axis=0)), shaded(colour, 1.1))
    for ear, facing in ears:
        if facing >= 0.15:
            disc(image, ear[:2], 0.024 * size, shaded(skin, 0.9))
            disc(image, ear[:2], 0.013 * size, shaded(skin, 0.72))
    _face(image, view, head, look, size, face)


def _face(image: np.ndarray, view: View, head: Head, look: Look, size: float, face: Expression) -> None:
    skin = look.child.skin
    side, up = head.axes[0, :2] / np.linalg.norm(head.axes[0]), head.axes[1, :2] / np.linalg.norm(head.axes[1])
    blush = mixed(skin, (110, 100, 225), look.child.cheeks)
    for name, x in (("left", 1.0), ("right", -1.0)):
        cheek = _unit(np.array([x, 1, 1]) * FACE["cheek"])
        if head.facing(cheek) > 0.3:
            disc(image, head.point(0.9 * cheek), 0.022 * size, blush)
        eye = _unit(np.array([x, 1, 1]) * FACE["eye"])
        if head.facing(eye) < 0.12:
            continue
        at = view.at(f"{name}_eye")[:2]
        brow = at + 0.024 * size * up
        stroke(
            image,
            brow - 0.014 * size * side,
            brow + 0.014 * size * side,
            0.006 * size,
            mixed(skin, look.child.hair, 0.5),
        )
        half = 0.016 * size * side
        if face.eyes_closed > 0.6:
            stroke(image, at - half, at + half, 0.007 * size, shaded(skin, 0.5))
            continue
        high = 0.011 * size * (1 - face.eyes_closed) * up
        polygon(
            image,
            np.array(
                [
                    at - half,
                    at - 0.5 * half + high,
                    at + 0.5 * half + high,
                    at + half,
                    at + 0.5 * half - high,
                    at - 0.5 * half - high,
                ]
            ),
            (235, 238, 240),
        )
        disc(image, at, 0.0095 * size * (1 - 0.5 * face.eyes_closed), IRIS)
        disc(image, at + 0.003 * size * (side + up), 0.003 * size, (250, 250, 250))
        stroke(image, at - half + high, at + half + high, 0.004 * size, shaded(skin, 0.55))
    if head.facing(np.array([0, 0, 1.0])) < 0.1:
        return
    nose = view.at("nose")[:2]
    disc(image, nose, 0.013 * size, shaded(skin, 0.9))
    disc(image, nose + 0.003 * size * up, 0.008 * size, shaded(skin, 1.12))
    for x in (-1, 1):
        disc(image, nose + size * (0.006 * x * side - 0.008 * up), 0.0035 * size, shaded(skin, 0.45))
    mouth = view.at("mouth_left", "mouth_right")[:2]
    half, open_by = 0.021 * size * side, (0.004 + 0.022 * face.mouth_open) * size * up
    lips = mixed(skin, (90, 80, 190), 0.5)
    polygon(image, np.array([mouth - half, mouth + 1.3 * open_by, mouth + half, mouth - 1.3 * open_by]), lips)
    inside = np.array([mouth - 0.75 * half, mouth + 0.7 * open_by, mouth + 0.75 * half, mouth - 0.7 * open_by])
    polygon(image, inside, (40, 35, 80) if face.mouth_open > 0.2 else shaded(lips, 0.6))


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / max(float(np.linalg.norm(vector)), 1e-9)


def _sphere(points: int) -> np.ndarray:
    """Points (N, 3) evenly on a sphere of radius 1."""
    number = np.arange(points) + 0.5
    height, turn = 1 - 2 * number / points, np.pi * (1 + 5**0.5) * number
    flat = np.sqrt(1 - height * height)
    return np.stack([flat * np.cos(turn), height, flat * np.sin(turn)], axis=1)


SPHERE = _sphere(500)
