"""The head of a simulated infant in a picture: an ellipsoid with hair, ears and a face.

Sizes are fractions of the child's length, assumed from the look of infants.
"""

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from spasm.simulation.appearance import Colour, Look
from spasm.simulation.shapes import Light, disc, ellipses, mixed, paint_hull, polygon, shaded, stroke

if TYPE_CHECKING:
    from spasm.simulation.infant_drawing import View

HALF_AXES = np.array([0.080, 0.112, 0.100])  # half of its breadth, height and depth
CROWN = np.array([0.0, 0.66, -0.75])  # the middle of the hair: right, up, forward
IRIS: Colour = (45, 40, 35)
EYE, CHEEK = (0.40, -0.02, 0.92), (0.55, -0.42, 0.72)
SIDES = (("left", 1.0), ("right", -1.0))
HAIR_POINTS = 500


class Expression(NamedTuple):
    """The face in one frame: fractions from 0 to 1."""

    eyes_closed: float
    mouth_open: float


class Heads:
    """The heads of a child in F frames as ellipsoids, from its landmarks."""

    def __init__(self, view: "View", look: Look, light: Light) -> None:
        self.view, self.look, self.light = view, look, light
        self.size = view.size("nose", "left_ear", "right_ear")
        left, right = view.at("left_ear"), view.at("right_ear")
        middle = (left + right) / 2
        side = _unit(left - right)
        forward = _unit(_without(view.at("nose") - middle, side))
        up = _without(view.at("left_eye", "right_eye") - view.at("mouth_left", "mouth_right"), side)
        up = _unit(_without(up, forward))
        self.axes = self.size[:, None, None] * HALF_AXES[:, None] * np.stack([side, up, forward], axis=1)
        """(F, 3, 3) half axes right, up, forward as rows, in pixels."""
        centre = middle + self.size[:, None] * (0.018 * up - 0.008 * forward)
        self.centre = centre[:, :2]
        self.depth = centre[:, 2] - 0.02 * self.size
        self.across, self.up = side[:, :2], up[:, :2]
        # How much places on the head face the camera, -1 to 1: normals of an ellipsoid are scaled by its axes.
        self.normals = self.axes / (self.axes**2).sum(axis=2, keepdims=True)
        directions = [np.array([sign, 0, 0]) for _, sign in SIDES]
        directions += [_unit(np.array([sign, 1, 1]) * place) for place in (EYE, CHEEK) for _, sign in SIDES]
        directions.append(np.array([0, 0, 1]))
        self.facing = self._facing(np.array(directions, dtype=float))
        hair = SPHERE[SPHERE @ _unit(CROWN) > look.child.hairline]
        self.hair_shown = self._facing(hair) > -0.1
        self.hair = (self.centre[:, None] + 1.04 * hair @ self.axes[:, :, :2]).astype(np.float32)
        self.outlines = ellipses(self.centre, self.axes[:, :, :2], light)
        self.colours = [shaded(look.child.skin, shade) for shade in light.shades()]
        self.cheeks = mixed(look.child.skin, (110, 100, 225), look.child.cheeks)

    def _facing(self, directions: np.ndarray) -> np.ndarray:
        """How much the surface in directions (N, 3) faces the camera, (F, N)."""
        normal = directions @ self.normals
        return -normal[..., 2] / np.linalg.norm(normal, axis=-1)

    def draw(self, image: np.ndarray, number: int, face: Expression) -> None:
        """Paint ears, head, hair and face of one frame."""
        skin, size, view = self.look.child.skin, float(self.size[number]), self.view.frame(number)
        facing = self.facing[number].tolist()
        ears = [(view.at(f"{side}_ear")[:2], facing[place]) for place, (side, _) in enumerate(SIDES)]
        for ear, shown in ears:
            if shown < 0.15:
                disc(image, ear, 0.024 * size, shaded(skin, 0.8))
        paint_hull(image, self.outlines[number], self.colours)
        self._hair(image, number)
        for ear, shown in ears:
            if shown >= 0.15:
                disc(image, ear, 0.024 * size, shaded(skin, 0.9))
                disc(image, ear, 0.013 * size, shaded(skin, 0.72))
        self._eyes(image, number, view, size, face)
        if facing[6] >= 0.1:
            self._nose_and_mouth(image, number, view, size, face)

    def _hair(self, image: np.ndarray, number: int) -> None:
        shown = self.hair_shown[number]
        if shown.sum() <= 3:
            return
        thin = 0.35 if self.look.child.hairline > 0.5 else 0.0
        colour = mixed(self.look.child.hair, self.look.child.skin, thin)
        hull = cv2.convexHull(self.hair[number, shown])[:, 0]
        polygon(image, hull, shaded(colour, 0.85))
        middle = hull.mean(axis=0)
        moved = middle + 0.15 * np.linalg.norm(self.axes[number, 0]) * self.light.direction
        polygon(image, moved + 0.7 * (hull - middle), shaded(colour, 1.1))

    def _eyes(self, image: np.ndarray, number: int, view: "View", size: float, face: Expression) -> None:
        """Cheeks, brows and eyes."""
        child, side, up = self.look.child, self.across[number], self.up[number]
        skin, facing = child.skin, self.facing[number].tolist()
        for place, (name, sign) in enumerate(SIDES):
            if facing[4 + place] > 0.3:
                cheek = 0.9 * np.array([sign, 1, 1]) * UNIT_CHEEK
                disc(image, self.centre[number] + cheek @ self.axes[number, :, :2], 0.022 * size, self.cheeks)
            if facing[2 + place] < 0.12:
                continue
            at = view.at(f"{name}_eye")[:2]
            brow, half = at + 0.024 * size * up, 0.016 * size * side
            across = 0.014 * size * side
            stroke(image, brow - across, brow + across, 0.006 * size, mixed(skin, child.hair, 0.5))
            if face.eyes_closed > 0.6:
                stroke(image, at - half, at + half, 0.007 * size, shaded(skin, 0.5))
                continue
            high = 0.011 * size * (1 - face.eyes_closed) * up
            lids = [at - half, at - 0.5 * half + high, at + 0.5 * half + high]
            lids += [at + half, at + 0.5 * half - high, at - 0.5 * half - high]
            polygon(image, np.array(lids), (235, 238, 240))
            disc(image, at, 0.0095 * size * (1 - 0.5 * face.eyes_closed), IRIS)
            disc(image, at + 0.003 * size * (side + up), 0.003 * size, (250, 250, 250))
            stroke(image, at - half + high, at + half + high, 0.004 * size, shaded(skin, 0.55))

    def _nose_and_mouth(self, image: np.ndarray, number: int, view: "View", size: float, face: Expression) -> None:
        skin, side, up = self.look.child.skin, self.across[number], self.up[number]
        nose = view.at("nose")[:2]
        disc(image, nose, 0.013 * size, shaded(skin, 0.9))
        disc(image, nose + 0.003 * size * up, 0.008 * size, shaded(skin, 1.12))
        for x in (-1, 1):
            disc(image, nose + size * (0.006 * x * side - 0.008 * up), 0.0035 * size, shaded(skin, 0.45))
        mouth = view.at("mouth_left", "mouth_right")[:2]
        half, open_by = 0.021 * size * side, (0.004 + 0.022 * face.mouth_open) * size * up
        lips = mixed(skin, (90, 80, 190), 0.5)
        polygon(image, np.array([mouth - half, mouth + 1.3 * open_by, mouth + half, mouth - 1.3 * open_by]), lips)
        inside = [mouth - 0.75 * half, mouth + 0.7 * open_by, mouth + 0.75 * half, mouth - 0.7 * open_by]
        polygon(image, np.array(inside), (40, 35, 80) if face.mouth_open > 0.2 else shaded(lips, 0.6))


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.maximum(np.linalg.norm(vector, axis=-1, keepdims=True), 1e-9)


def _without(vector: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Vectors (F, 3) less their share along directions (F, 3) of length 1."""
    return vector - (vector * direction).sum(axis=-1, keepdims=True) * direction


def _sphere(points: int) -> np.ndarray:
    """Points (N, 3) evenly on a sphere of radius 1."""
    number = np.arange(points) + 0.5
    height, turn = 1 - 2 * number / points, np.pi * (1 + 5**0.5) * number
    flat = np.sqrt(1 - height * height)
    return np.stack([flat * np.cos(turn), height, flat * np.sin(turn)], axis=1)


SPHERE = _sphere(HAIR_POINTS)
UNIT_CHEEK = _unit(np.array(CHEEK))
