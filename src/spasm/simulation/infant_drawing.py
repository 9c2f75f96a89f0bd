"""A simulated infant in a picture: trunk and limbs with their clothes, nearer parts over farther ones.

Parts are worked out for a block of frames at once, F of them, and painted frame by frame. Sizes are fractions of the
child's length, assumed from the look of infants.
"""

import itertools
from typing import NamedTuple

import cv2
import numpy as np

from spasm.data.landmarks import INDEX
from spasm.simulation.appearance import Colour, Look
from spasm.simulation.head_drawing import Expression, Heads
from spasm.simulation.shapes import Light, disc, hulls, paint_hull, shaded, stroke

# Radii at both ends of each part.
RADII = {
    "upper_arm": (0.047, 0.040), "forearm": (0.039, 0.028), "hand": (0.029, 0.026), "thigh": (0.070, 0.053),
    "shank": (0.051, 0.034), "finger": (0.011, 0.009), "neck": (0.045, 0.05),
}  # fmt: skip
CLOTH = 1.1  # clothed parts are thicker
NAPPY: Colour = (238, 236, 232)
SHADOW = 4  # shadows are made so many times smaller
SHADE = 110  # of a shadow, 255 is none
SHADOW_BLUR = 2.2


class View(NamedTuple):
    """A child in one frame (33, ...) or in several (F, 33, ...)."""

    points: np.ndarray
    """(..., 33, 3) in pixels: right, down, and away from the camera."""
    scale: np.ndarray
    """(..., 33) pixels per length of the child."""

    def at(self, *names: str) -> np.ndarray:
        """The middle of landmarks, (..., 3)."""
        return self.points[..., [INDEX[name] for name in names], :].mean(axis=-2)

    def size(self, *names: str) -> np.ndarray:
        """Pixels per length at landmarks, (...)."""
        return self.scale[..., [INDEX[name] for name in names]].mean(axis=-1)

    def frame(self, number: int) -> "View":
        """One of several frames."""
        return View(self.points[number], self.scale[number])


class Part(NamedTuple):
    """A shape of the child in F frames, and how it is painted."""

    depth: np.ndarray  # (F,)
    centres: np.ndarray  # (F, C, 2)
    radii: np.ndarray  # (F, C)
    colour: Colour
    pattern: str = "plain"


class Infant:
    """A child in F frames, ready to be painted."""

    def __init__(self, view: View, look: Look, light: Light) -> None:
        self.look, self.light = look, light
        self.parts = body_parts(view, look)
        self.heads = Heads(view, look, light)
        self.hulls = [hulls(part.centres, part.radii, light) for part in self.parts]
        self.colours = [[shaded(part.colour, shade) for shade in light.shades()] for part in self.parts]
        depths = np.stack([*(part.depth for part in self.parts), self.heads.depth], axis=1)
        self.order = np.argsort(-depths, axis=1, kind="stable").tolist()
        away = -0.045 * np.median(view.scale, axis=1)[:, None, None] * light.direction
        self.shadows = [
            (
                np.rint((part.centres + away) / SHADOW).astype(int).tolist(),
                np.maximum(1, np.rint(2.1 / SHADOW * part.radii.mean(axis=1))).astype(int).tolist(),
            )
            for part in self.parts
        ]

    def draw(self, image: np.ndarray, number: int, face: Expression) -> None:
        """Paint the child of one frame into a picture (H, W, 3)."""
        for place in self.order[number]:
            if place == len(self.parts):
                self.heads.draw(image, number, face)
                continue
            paint_hull(image, self.hulls[place][number], self.colours[place])
            if self.parts[place].pattern != "plain":
                _pattern(image, self.parts[place], number, self.look)

    def shadow(self, number: int, height: int, width: int) -> np.ndarray:
        """The light that reaches the ground of a picture (height, width), 255 is all, SHADOW times smaller."""
        mask = np.full((height // SHADOW, width // SHADOW), 255, np.uint8)
        for ends, thick in self.shadows:
            for start, end in itertools.pairwise(ends[number]):
                cv2.line(mask, start, end, SHADE, thick[number])
        return cv2.GaussianBlur(mask, (0, 0), SHADOW_BLUR)


def body_parts(view: View, look: Look) -> list[Part]:
    """The parts below the head, with their clothes."""
    clothes, skin = look.clothes, look.child.skin
    dressed = clothes.kind != "nappy"
    long_legs = clothes.kind in ("romper", "shirt_and_trousers")
    sleeves = dressed and (clothes.kind == "romper" or clothes.long_sleeves)
    upper, lower = (clothes.upper, clothes.lower) if dressed else (skin, skin)
    cloth = CLOTH if dressed else 1.0
    pattern = clothes.pattern if dressed else "plain"
    parts = []

    def add(
        depth: np.ndarray,
        size: np.ndarray,
        points: list[np.ndarray],
        radii: tuple[float, ...],
        colour: Colour,
        worn: str = "plain",
    ) -> None:
        centres = np.stack([point[:, :2] for point in points], axis=1)
        parts.append(Part(depth, centres, size[:, None] * np.array(radii), colour, worn))

    shoulders, hips = view.at("left_shoulder", "right_shoulder"), view.at("left_hip", "right_hip")
    size = view.size("left_shoulder", "right_shoulder", "left_hip", "right_hip")
    depth = (shoulders[:, 2] + hips[:, 2]) / 2
    belly = 0.45 * shoulders + 0.55 * hips
    inner = [0.78 * view.at(f"{side}_shoulder") + 0.22 * shoulders for side in ("left", "right")]
    seat = [1.05 * view.at(f"{side}_hip") - 0.05 * hips for side in ("left", "right")]
    radii = tuple(cloth * radius for radius in (0.055, 0.055, 0.118, 0.066, 0.066))
    add(depth, size, [*inner, belly, *seat], radii, upper, pattern)
    head = view.at("left_ear", "right_ear")
    behind = np.maximum(depth, head[:, 2]) - 0.5
    add(behind, size, [shoulders, 0.5 * (shoulders + head)], RADII["neck"], shaded(skin, 0.92))
    if clothes.kind != "romper":
        waist = [point + 0.18 * (shoulders - hips) for point in seat]
        crotch = hips + 0.22 * (hips - shoulders)
        cover = NAPPY if clothes.kind == "nappy" else lower
        add(depth - 1, size, [*waist, *seat, crotch], (0.066, 0.066, 0.076, 0.076, 0.05), cover)
    for side in ("left", "right"):
        joint = {name: view.at(f"{side}_{name}") for name in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")}
        for name, start, end, worn, colour in (
            ("upper_arm", "shoulder", "elbow", sleeves, upper), ("forearm", "elbow", "wrist", sleeves, upper),
            ("thigh", "hip", "knee", long_legs, lower), ("shank", "knee", "ankle", long_legs, lower),
        ):  # fmt: skip
            size = view.size(f"{side}_{start}", f"{side}_{end}")
            depth = (joint[start][:, 2] + joint[end][:, 2]) / 2 - 0.02 * size
            radii = tuple((CLOTH if worn else 1.0) * radius for radius in RADII[name])
            trousers = clothes.kind == "shirt_and_trousers" and name in ("thigh", "shank")
            look_of = pattern if worn and not trousers else "plain"
            add(depth, size, [joint[start], joint[end]], radii, colour if worn else skin, look_of)
            if name == "upper_arm" and dressed and not sleeves:
                half = 0.45 * joint[start] + 0.55 * joint[end]
                add(depth - 0.1, size, [joint[start], half], (0.054, 0.05), upper)
        wrist, size = joint["wrist"], view.size(f"{side}_wrist")
        palm = view.at(f"{side}_index", f"{side}_pinky")
        depth = np.minimum(wrist[:, 2], palm[:, 2]) - 0.012 * size
        add(depth, size, [wrist, 0.35 * wrist + 0.65 * palm], RADII["hand"], skin)
        for name in ("index", "pinky", "thumb"):
            tip = view.at(f"{side}_{name}")
            root = 0.55 * wrist + 0.45 * tip
            add(depth - 0.01 * size, size, [root, tip], RADII["finger"], shaded(skin, 0.97))
        add(depth - 0.011 * size, size, [0.5 * (wrist + palm), 1.04 * palm - 0.04 * wrist], RADII["finger"], skin)
        size = view.size(f"{side}_ankle")
        heel, toes = view.at(f"{side}_heel"), view.at(f"{side}_foot_index")
        sock = clothes.feet or (clothes.lower if clothes.kind == "romper" and clothes.long_sleeves else None)
        depth = np.minimum(joint["ankle"][:, 2], toes[:, 2]) - 0.01 * size
        add(depth, size, [joint["ankle"], heel, toes], (0.030, 0.026, 0.024), sock or skin)
        if sock is None:
            add(depth - 0.1, size, [toes, 0.9 * toes + 0.1 * heel], (0.016, 0.018), shaded(skin, 1.04))
    return parts


def _pattern(image: np.ndarray, part: Part, number: int, look: Look) -> None:
    """Stripes across or dots on a clothed part."""
    colour = shaded(look.clothes.second, 0.88)
    centres, radii = part.centres[number], part.radii[number]
    limb = len(centres) == 2
    start, end = centres if limb else ((centres[0] + centres[1]) / 2, (centres[3] + centres[4]) / 2)
    first, last = (radii[0], radii[1]) if limb else (radii[0], radii[3])
    along = end - start
    length = float(np.hypot(*along))
    if length < 4:
        return
    across = np.array([-along[1], along[0]]) / length
    share = np.arange(0.1, 1.0, max(0.12, 5 / length))[:, None]
    radius = (1 - share) * first + share * last
    if limb:
        ones, others = (start + share * along + sign * 0.93 * radius * across for sign in (-1, 1))
    else:
        ones, others = ((1 - share) * centres[edge] + share * centres[edge + 3] for edge in (0, 1))
        outward = np.sign((ones - others) @ across)[:, None]
        outward = np.where(outward == 0, 1.0, outward) * 0.85 * radius * across
        ones, others = ones + outward, others - outward
    for one, other, wide in zip(ones, others, radius[:, 0], strict=True):
        if part.pattern == "stripes":
            stroke(image, one, other, (0.05 if limb else 0.035) * length, colour)
        else:
            for at in (0.35, 0.65) if limb else (0.2, 0.5, 0.8):
                disc(image, (1 - at) * one + at * other, max(1.0, 0.1 * wide), colour)
