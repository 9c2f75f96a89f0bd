"""The arms of a caregiver: they come where a behaviour is handling, and in some videos one rests beside the child.

Which part they reach follows from the handling alone. All numbers are assumed.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from spasm.simulation import repertoire
from spasm.simulation.appearance import Look, Take
from spasm.simulation.behaviours import COLUMN, Behaviour, least_jerk
from spasm.simulation.body import SIDES
from spasm.simulation.infant_drawing import View
from spasm.simulation.shapes import Light, hulls, paint, paint_hull, shaded

HANDLING = tuple(name for name in repertoire.NOT_BY_CHILD if name != "camera_jerk")
COMES_S = 0.7  # an arm comes so long before the child is moved, and goes so long after it
TRUNK = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
HEAD = ("left_ear", "right_ear")
# Radii and lengths as fractions of the child's length.
FINGERS = np.array([-0.75, -0.25, 0.25, 0.75])[:, None]  # their places across the hand
FOREARM, PALM, FINGER, REACH = (0.075, 0.048), 0.056, (0.017, 0.014), 0.13


class Visit(NamedTuple):
    """One arm that comes and goes."""

    start_s: float
    end_s: float
    landmarks: tuple[str, ...]
    """The hand goes to the middle of these."""
    hertz: float = 0.0
    """Pats a second."""
    behind: bool = False
    """The hand is under the child."""
    other: bool = False
    """The other arm of the person."""


def visits(behaviours: Iterable[Behaviour]) -> list[Visit]:
    """The arms that the handling among some behaviours needs."""
    coming = []
    for behaviour in behaviours:
        if behaviour.name in HANDLING:
            start_s, end_s = behaviour.onset_s - COMES_S, behaviour.end_s + COMES_S
            coming += [Visit(start_s, end_s, *hand) for hand in hands(behaviour)]
    return coming


def hands(behaviour: Behaviour) -> list[tuple[tuple[str, ...], float, bool, bool]]:
    """Where the hands of one handling are: landmarks, pats a second, behind the child, the other hand."""
    moved = np.abs([move.reach for move in behaviour.moves]).max(axis=0)
    sides = {
        part: [side for side in SIDES if moved[COLUMN[f"{side}_{part}"]] > 0]
        for part in ("shoulder_out", "shoulder_forward", "hip_forward")
    }
    if behaviour.name == "patted":
        return [(TRUNK, float(getattr(behaviour.moves[0], "hertz", 0.0)), False, False)]
    if behaviour.name == "pulled_to_sit":
        return [((f"{side}_wrist",), 0.0, False, side == "right") for side in SIDES]
    if behaviour.name in ("limbs_moved", "touched"):
        arms = sides["shoulder_forward"]
        if arms and len(arms) < 2:
            return [((f"{arms[0]}_wrist",), 0.0, False, False)]
        legs = sides["hip_forward"]
        if behaviour.name == "touched" and legs:
            return [((f"{legs[0]}_knee",), 0.0, False, False)]
        if legs and len(behaviour.moves) == 2 and hasattr(behaviour.moves[0], "hertz"):  # pedalling
            return [((f"{side}_ankle",), 0.0, False, side == "right") for side in SIDES]
        if legs:
            return [(("left_ankle", "right_ankle"), 0.0, False, False)]
        return [(HEAD if moved[COLUMN["neck_turn"]] > 0 else TRUNK, 0.0, False, False)]
    return [(("left_shoulder", "left_hip"), 0.0, True, False), (("right_shoulder", "right_hip"), 0.0, False, True)]


class Caregiver:
    """The arms in one take."""

    def __init__(self, look: Look, take: Take, behaviours: Iterable[Behaviour], width: int, height: int) -> None:
        self.look, self.take, self.width, self.height = look, take, width, height
        self.visits = visits(behaviours)

    def draw(self, image: np.ndarray, view: View, light: Light, time_s: float, behind: bool) -> None:
        """Paint the arms that are behind the child, or those before it."""
        start_s, end_s = self.take.idle_s
        rests = self.look.idle_arm and not behind and start_s < time_s < end_s
        coming = [v for v in self.visits if v.behind == behind and v.start_s < time_s < v.end_s]
        if not coming and not rests:
            return
        size = float(np.median(view.scale))
        for visit in coming:
            at = view.at(*visit.landmarks)[:2] + 0.02 * size * np.sin(2 * np.pi * visit.hertz * time_s)
            self._arm(image, at, _near(time_s, visit.start_s, visit.end_s), size, light, visit.other)
        if rests:
            place = np.array(self.take.idle_at) * (self.width, self.height)
            away = place - view.at(*TRUNK)[:2]  # beside the child, not on it
            place = place + away / max(float(np.linalg.norm(away)), 1.0) * 0.3 * size
            self._arm(image, place, _near(time_s, start_s, end_s), size, light, False)

    def _arm(self, image: np.ndarray, at: np.ndarray, near: float, size: float, light: Light, other: bool) -> None:
        entry = _border(self.look.arm_from + 0.13 * other, self.width, self.height, 0.35 * size)
        hand = entry + near * (at - entry)
        way = hand - entry if np.linalg.norm(hand - entry) > 0.2 * size else at - entry
        way = way / max(float(np.linalg.norm(way)), 1e-6)
        across = np.array([-way[1], way[0]])
        skin, sleeve = self.look.adult_skin, self.look.sleeve
        wrist = hand - 0.5 * REACH * size * way
        back = wrist - max(float(np.linalg.norm(wrist - entry)), size) * way
        paint(image, np.array([back, wrist]), size * np.array(FOREARM), skin, light)
        cuff = wrist - 0.28 * size * way
        paint(image, np.array([back, cuff]), size * np.array([0.1, 0.085]), sleeve, light)
        roots = hand + size * (0.1 * REACH * way + 0.055 * FINGERS * across)
        tips = hand + size * ((0.85 - 0.15 * abs(FINGERS)) * REACH * way + 0.065 * FINGERS * across)
        radii = np.broadcast_to(size * np.array(FINGER), (len(FINGERS), 2))
        colours = [shaded(shaded(skin, 0.95), shade) for shade in light.shades()]
        for finger in hulls(np.stack([roots, tips], axis=1), radii, light):
            paint_hull(image, finger, colours)
        paint(image, np.array([wrist, hand]), size * np.array([0.044, PALM]), skin, light)
        thumb = hand + size * (0.02 * way + (0.085 if other else -0.085) * across)
        paint(image, np.array([hand, thumb]), size * np.array([0.022, 0.016]), shaded(skin, 1.02), light)


def _near(time_s: float, start_s: float, end_s: float) -> float:
    """How far an arm has come, 0 to 1."""
    comes_s = min(COMES_S, (end_s - start_s) / 2)
    inside = np.array([(time_s - start_s) / comes_s, (end_s - time_s) / comes_s])
    return float(least_jerk(inside).min())


def _border(turn: float, width: int, height: int, out: float) -> np.ndarray:
    """A place `out` pixels outside the picture's border; `turn` from 0 to 1 goes once around it."""
    angle = 2 * np.pi * turn
    way = np.array([np.cos(angle), np.sin(angle)])
    half = np.array([width, height]) / 2
    return half + way * (min(half / np.maximum(np.abs(way), 1e-6)) + out)
