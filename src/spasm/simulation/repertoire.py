"""Which behaviours there are, at which ages, how often in which state, and in which postures."""

from collections.abc import Callable

import numpy as np

from spasm.simulation import behaviours, handling
from spasm.simulation.behaviours import Behaviour, Performer

Draw = Callable[[np.random.Generator, Performer, float], Behaviour]
# How often in five seconds a child does what, by state: sleep, rest, active, fussing; from and until which month
# (assumed, but for some ages: Moro and sleep myoclonus as above, reaching from four months: Bhat and Galloway 2007,
# Infant Behavior and Development 30:515-522). Handling is set to about a seventh of the segments: physical care takes
# 143 to 207 minutes of 24 hours (Baildam et al. 2000, Child: Care, Health and Development 26:199-215), 10 to 14 %.
REPERTOIRE: dict[str, tuple[Draw, tuple[float, float], tuple[float, float, float, float]]] = {
    "kick": (behaviours.kick, (0, 99), (0.02, 0.16, 0.45, 0.38)),
    "arm_wave": (behaviours.arm_wave, (0, 99), (0.01, 0.06, 0.17, 0.17)),
    "reach": (behaviours.reach, (4, 99), (0.00, 0.10, 0.19, 0.03)),
    "head_turn": (behaviours.head_turn, (0, 99), (0.03, 0.16, 0.17, 0.11)),
    "cry": (behaviours.cry, (0, 99), (0.00, 0.00, 0.02, 0.45)),
    "startle": (behaviours.startle, (0, 99), (0.07, 0.13, 0.13, 0.08)),
    "moro": (behaviours.moro, (0, 6), (0.03, 0.04, 0.04, 0.02)),
    "sleep_myoclonus": (behaviours.sleep_myoclonus, (0, 7), (0.10, 0.00, 0.00, 0.00)),
    "shudder": (behaviours.shudder, (4, 99), (0.00, 0.02, 0.02, 0.02)),
    "reflux": (behaviours.reflux, (0, 99), (0.00, 0.02, 0.04, 0.05)),
    "lifted": (handling.lifted, (0, 99), (0.00, 0.012, 0.012, 0.03)),
    "rocked": (handling.rocked, (0, 99), (0.01, 0.01, 0.01, 0.05)),
    "patted": (handling.patted, (0, 99), (0.01, 0.01, 0.01, 0.04)),
    "touched": (handling.touched, (0, 99), (0.01, 0.02, 0.02, 0.05)),
    "limbs_moved": (handling.limbs_moved, (0, 99), (0.005, 0.02, 0.02, 0.02)),
    "turned_to_side": (handling.turned_to_side, (0, 99), (0.005, 0.008, 0.008, 0.015)),
    "pulled_to_sit": (handling.pulled_to_sit, (0, 99), (0.00, 0.01, 0.01, 0.01)),
}
# Done by a caregiver or to the camera: they do not depend on the child, and a spasm does not stop them.
NOT_BY_CHILD = (
    "lifted",
    "rocked",
    "patted",
    "touched",
    "limbs_moved",
    "turned_to_side",
    "pulled_to_sit",
    "camera_jerk",
)
# The postures of behaviours that are not possible in every one.
ONLY_IN = {"turned_to_side": ("supine",), "pulled_to_sit": ("supine", "bouncer"), "limbs_moved": ("supine", "bouncer")}
