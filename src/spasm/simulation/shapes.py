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
FINE = np.linspace(0, 2 * np.pi, 2 * POINTS, endpoint=False)
CIRCLE_FINE = np.stack([np.cos(FINE), np.sin(FINE)], axis=1)
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


def hulls(centres: np.ndarray, radii: np.ndarray, light: Light) -> np.ndarray:
    """Points around circles in every layer, (..., L, P, 2) int32 in 1/16 pixel; centres (..., C, 2), radii (..., C)."""
    radii = np.maximum(radii, 0.8)[..., None, :, None]
    middle = centres[..., None, :, :] + (MOVE[:, None, None] * light.direction) * radii
    points = middle[..., None, :] + (SHRINK[:, None, None] * radii)[..., None] * CIRCLE
    whole = points.reshape(*points.shape[:-3], -1, 2)
    return np.rint(whole * (1 << SHIFT)).astype(np.int32)


def paint_hull(image: np.ndarray, layers: np.ndarray, colours: list[Colour]) -> None:
    """Paint the convex hull of the points of each layer (L, P, 2), from `hulls` or `ellipses`, in its colour."""
    edge = cv2.LINE_AA
    for points, colour in zip(layers, colours, strict=True):
        cv2.fillConvexPoly(image, cv2.convexHull(points), colour, edge, SHIFT)
        edge = cv2.LINE_8


def paint(image: np.ndarray, centres: np.ndarray, radii: np.ndarray, colour: Colour, light: Light) -> None:
    """Paint the hull of circles: centres (C, 2) and radii (C,) in pixels."""
    paint_hull(image, hulls(centres, radii, light), [shaded(colour, shade) for shade in light.shades()])


def ellipses(centres: np.ndarray, axes: np.ndarray, light: Light) -> np.ndarray:
    """Outlines of ellipsoids in every layer, (F, L, P, 2) int32 in 1/16 pixel.

    centres: (F, 2); axes: (F, 3, 2), the three half axes of each as rows, in pixels.
    """
    values, vectors = np.linalg.eigh(axes.transpose(0, 2, 1) @ axes)
    half = np.sqrt(np.maximum(values, 0.5))
    rim = (CIRCLE_FINE * half[:, None]) @ vectors.transpose(0, 2, 1)
    moved = centres[:, None] + MOVE[:, None] * half.mean(axis=1)[:, None, None] * light.direction
    points = moved[:, :, None] + SHRINK[:, None, None] * rim[:, None]
    return np.rint(points * (1 << SHIFT)).astype(np.int32)


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
