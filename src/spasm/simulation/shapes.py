"""Shaded round shapes in a picture: what a simulated child and the arms of a caregiver are made of.

A shape is the convex hull of circles: two are a limb, five a trunk. It is painted in layers, each smaller, lighter and
nearer to the light than the one below.
"""

from typing import NamedTuple

import cv2
import numpy as np

from spasm.simulation.appearance import Colour

POINTS = 14  # of a circle
TURN = np.linspace(0, 2 * np.pi, POINTS, endpoint=False)
CIRCLE = np.stack([np.cos(TURN), np.sin(TURN)], axis=1)
LAYERS = np.array([0.0, 0.3, 0.6, 0.85])
SHRINK, MOVE = 1 - 0.85 * LAYERS, 0.38 * LAYERS
SHIFT = 4  # cv2 takes pixels in 1/16


class Light(NamedTuple):
    """Light in the picture: the direction it comes from, and the contrast of light and shade."""

    direction: np.ndarray  # (2,)
    contrast: float

    def shades(self) -> np.ndarray:
        """Factors of a colour, by layer."""
        return 1 - self.contrast * (1 - LAYERS**0.6) + 0.06 * LAYERS


def paint(image: np.ndarray, centres: np.ndarray, radii: np.ndarray, colour: Colour, light: Light) -> None:
    """Paint the hull of circles: centres (C, 2) and radii (C,) in pixels."""
    radii = np.maximum(radii, 0.8)
    size = SHRINK[:, None, None, None] * radii[None, :, None, None]
    middle = centres + (MOVE[:, None, None] * light.direction) * radii[:, None]
    points = (middle[:, :, None] + size * CIRCLE).reshape(len(LAYERS), -1, 2)
    fixed = np.rint(points * (1 << SHIFT)).astype(np.int32)
    for number, (layer, shade) in enumerate(zip(fixed, light.shades(), strict=True)):
        edge = cv2.LINE_AA if number == 0 else cv2.LINE_8
        cv2.fillConvexPoly(image, cv2.convexHull(layer), shaded(colour, shade), edge, SHIFT)


def paint_ellipse(image: np.ndarray, centre: np.ndarray, axes: np.ndarray, colour: Colour, light: Light) -> None:
    """Paint the picture of an ellipsoid: centre (2,), and its three half axes as rows (3, 2), in pixels."""
    values, vectors = np.linalg.eigh(axes.T @ axes)
    rim = (CIRCLE_FINE * np.sqrt(np.maximum(values, 0.5))) @ vectors.T
    radius = float(np.sqrt(np.maximum(values, 0.5)).mean())
    for number, shade in enumerate(light.shades()):
        points = centre + MOVE[number] * radius * light.direction + SHRINK[number] * rim
        polygon(image, points, shaded(colour, shade), cv2.LINE_AA if number == 0 else cv2.LINE_8)


def polygon(image: np.ndarray, points: np.ndarray, colour: Colour, edge: int = cv2.LINE_AA) -> None:
    """Fill the convex polygon of points (N, 2) in pixels."""
    cv2.fillConvexPoly(image, np.rint(points * (1 << SHIFT)).astype(np.int32), colour, edge, SHIFT)


def disc(image: np.ndarray, at: np.ndarray, radius: float, colour: Colour) -> None:
    """Fill a circle at (2,) in pixels."""
    where = (round(float(at[0]) * 16), round(float(at[1]) * 16))
    cv2.circle(image, where, max(8, round(radius * 16)), colour, -1, cv2.LINE_AA, SHIFT)


def stroke(image: np.ndarray, start: np.ndarray, end: np.ndarray, thick: float, colour: Colour) -> None:
    """Draw a line between two places (2,) in pixels."""
    a, b = ((round(float(p[0]) * 16), round(float(p[1]) * 16)) for p in (start, end))
    cv2.line(image, a, b, colour, max(1, round(thick)), cv2.LINE_AA, SHIFT)


def shaded(colour: Colour, by: float) -> Colour:
    """The colour, darker or lighter."""
    return min(255.0, colour[0] * by), min(255.0, colour[1] * by), min(255.0, colour[2] * by)


def mixed(one: Colour, other: Colour, share: float) -> Colour:
    """A colour between two: 0 is the first."""
    return tuple((1 - share) * a + share * b for a, b in zip(one, other, strict=True))  # type: ignore[return-value]


FINE = np.linspace(0, 2 * np.pi, 28, endpoint=False)
CIRCLE_FINE = np.stack([np.cos(FINE), np.sin(FINE)], axis=1)
