"""Handling by a caregiver: the child is lifted, rocked, patted, turned, pulled to sit, or its limbs are moved.

The movements are smooth, last seconds, and move limbs and body together; none depends on the label or on the child's
vigour. Numbers with a source name it. All others, marked or not, are assumed and rest on no measurement.
"""

import numpy as np

from spasm.simulation.behaviours import (
    COLUMNS,
    Behaviour,
    Performer,
    Stroke,
    Tremor,
    columns,
    made,
    sample_side,
    varied,
)

# Rocks a second: cradles of two studies moved 40 or 57 times a minute ("The effects of rocking on the state and
# respiration of normal and excessive cryers", 24 infants of six to eight weeks), up and down by 4 inches in all (ERIC
# ED046504). Bounces on a knee are faster and smaller (assumed).
ROCKS_HZ, ROCK_M = (0.6, 1.0), (0.015, 0.05)
BOUNCES_HZ, BOUNCE_M = (1.4, 2.4), (0.006, 0.025)
# How far the head lags behind when the child is pulled to sit, in degrees, by age in months (assumed).
HEAD_LAG = ((3, 4.5, 6), (-34, -14, 6))


def lifted(rng: np.random.Generator, mover: Performer, at_s: float) -> Behaviour:
    """A caregiver picks the child up or moves it: the whole body goes and turns, legs dangle (assumed)."""
    times_s = rng.uniform(0.5, 1.4), rng.uniform(1, 4), rng.uniform(0.6, 1.5)
    way = {"root_y": rng.uniform(0.03, 0.2), "root_z": rng.uniform(0, 0.15), "root_x": rng.normal(0, 0.06),
           "root_roll": rng.normal(0, 14), "root_pitch": rng.normal(0, 12), "root_turn": rng.normal(0, 16)}  # fmt: skip
    hang = {"hip_forward": rng.normal(-12, 12), "knee": rng.normal(-10, 14), "shoulder_out": rng.normal(12, 12),
            "neck_flexion": rng.normal(5, 10)}  # fmt: skip
    return made("lifted", [Stroke(at_s, *times_s, columns(way) + varied(rng, hang))])


def touched(rng: np.random.Generator, mover: Performer, at_s: float) -> Behaviour:
    """A caregiver's hand moves one part of the child, or pats it (assumed)."""
    part = [
        {"trunk_side": rng.normal(0, 6), "root_roll": rng.normal(0, 5), "root_x": rng.normal(0, 0.02)},
        {"neck_turn": rng.normal(0, 15), "neck_tilt": rng.normal(0, 8)},
        {f"{sample_side(rng)}_shoulder_forward": rng.normal(15, 15), "trunk_twist": rng.normal(0, 4)},
        {f"{sample_side(rng)}_hip_forward": rng.normal(12, 15), "trunk_side": rng.normal(0, 3)},
    ][rng.integers(4)]
    start_s, moves = at_s, []
    for _ in range(rng.integers(1, 4)):
        times_s = rng.uniform(0.15, 0.6), rng.uniform(0.05, 0.6), rng.uniform(0.2, 0.7)
        moves.append(Stroke(start_s, *times_s, columns(part) * rng.uniform(0.6, 1.2)))
        start_s += sum(times_s) * rng.uniform(0.8, 1.2)
    return made("touched", [*moves])


def rocked(rng: np.random.Generator, mover: Performer, at_s: float) -> Behaviour:
    """A caregiver rocks the child in the arms, or bounces it on a knee: head and limbs follow (assumed)."""
    bounced = rng.random() < 0.4
    hertz = rng.uniform(*(BOUNCES_HZ if bounced else ROCKS_HZ))
    size_m = rng.uniform(*(BOUNCE_M if bounced else ROCK_M))
    way = "root_y" if bounced or rng.random() < 0.4 else "root_x"
    whole = {way: size_m, "root_roll": rng.normal(0, 3), "root_pitch": rng.normal(0, 3)}
    follow = {"neck_flexion": rng.normal(0, 3.5), "neck_tilt": rng.normal(0, 2.5), "hip_forward": rng.normal(0, 4),
              "knee": rng.normal(0, 6), "shoulder_out": rng.normal(0, 3), "elbow": rng.normal(0, 4)}  # fmt: skip
    times_s = rng.uniform(0.5, 1.5), rng.uniform(2, 12), rng.uniform(0.5, 1.5)
    phase, late = np.full(len(COLUMNS), rng.uniform(0, 2 * np.pi)), rng.uniform(-1.2, 0)
    return made(
        "rocked",
        [
            Tremor(at_s, *times_s, hertz, columns(whole), phase),
            Tremor(at_s, *times_s, hertz, varied(rng, follow), phase + late),
        ],
    )


def patted(rng: np.random.Generator, mover: Performer, at_s: float) -> Behaviour:
    """A hand pats chest, belly or back, one and a half to three times a second: the trunk gives a little (assumed)."""
    push = {"root_z": rng.normal(0, 0.004), "root_x": rng.normal(0, 0.004), "root_roll": rng.normal(0, 1.2),
            "trunk_flexion": rng.normal(0, 1.2), "neck_flexion": rng.normal(0, 1.5)}  # fmt: skip
    times_s = rng.uniform(0.3, 0.8), rng.uniform(1, 7), rng.uniform(0.3, 0.8)
    phase = np.full(len(COLUMNS), rng.uniform(0, 2 * np.pi))
    return made("patted", [Tremor(at_s, *times_s, rng.uniform(1.5, 3), columns(push), phase)])


def limbs_moved(rng: np.random.Generator, mover: Performer, at_s: float) -> Behaviour:
    """Adult hands lift both legs for a nappy, pedal the legs, or lead an arm into a sleeve (assumed)."""
    kind = rng.choice(["nappy", "pedal", "sleeve"], p=[0.45, 0.2, 0.35])
    moves: list[Stroke | Tremor] = []
    start_s = at_s
    if kind == "pedal":
        times_s, hertz = (rng.uniform(0.5, 1), rng.uniform(2, 8), rng.uniform(0.5, 1)), rng.uniform(0.5, 1.1)
        for side, phase in (("left", 0.0), ("right", np.pi)):
            pedal = varied(rng, {"hip_forward": rng.uniform(12, 24), "knee": rng.uniform(14, 28)}, side)
            moves.append(Tremor(at_s, *times_s, hertz, pedal, np.full(len(COLUMNS), phase)))
        return made("limbs_moved", moves)
    side = sample_side(rng)
    for _ in range(rng.integers(1, 4)):
        if kind == "nappy":
            reach = columns({"root_pitch": rng.uniform(-14, 0), "root_z": rng.uniform(0, 0.03)}) + varied(
                rng, {"hip_forward": rng.uniform(10, 40), "knee": rng.uniform(-50, 10), "hip_out": rng.normal(-8, 8)}
            )
        else:
            reach = columns({"trunk_twist": rng.normal(0, 5), "root_turn": rng.normal(0, 6)}) + varied(
                rng,
                {"shoulder_forward": rng.uniform(-10, 55), "shoulder_out": rng.uniform(-20, 50),
                 "elbow": rng.uniform(-55, 15), "arm_roll": rng.normal(0, 15)},
                side,
            )  # fmt: skip
        times_s = rng.uniform(0.5, 1.4), rng.uniform(0.3, 2.5), rng.uniform(0.5, 1.4)
        moves.append(Stroke(start_s, *times_s, reach))
        start_s += sum(times_s) * rng.uniform(0.8, 1.1)
    return made("limbs_moved", moves)


def turned_to_side(rng: np.random.Generator, mover: Performer, at_s: float) -> Behaviour:
    """A caregiver turns the child about its long axis onto one side, and later back (assumed)."""
    way = rng.choice([-1, 1])
    whole = {"root_turn": way * rng.uniform(35, 85), "root_x": -way * rng.uniform(0, 0.06),
             "trunk_twist": way * rng.normal(4, 5), "neck_turn": -way * rng.uniform(0, 25)}  # fmt: skip
    limbs = {"hip_forward": rng.normal(8, 10), "knee": rng.normal(4, 10), "shoulder_forward": rng.normal(10, 10),
             "shoulder_out": rng.normal(-10, 8)}  # fmt: skip
    times_s = rng.uniform(0.8, 2), rng.uniform(1, 5), rng.uniform(0.8, 2)
    return made("turned_to_side", [Stroke(at_s, *times_s, columns(whole) + varied(rng, limbs))])


def pulled_to_sit(rng: np.random.Generator, mover: Performer, at_s: float) -> Behaviour:
    """A caregiver pulls the child up by its hands: arms straighten, the head lags in the youngest (assumed)."""
    lag = np.interp(mover.age_months, *HEAD_LAG) + rng.normal(0, 6)
    up = {"root_pitch": rng.uniform(30, 70), "trunk_flexion": rng.uniform(4, 16)}
    arms = {"shoulder_forward": rng.uniform(30, 60), "shoulder_out": rng.uniform(-45, -15),
            "elbow": rng.uniform(-55, -15)}  # fmt: skip
    legs = {"hip_forward": rng.normal(5, 8), "knee": rng.normal(-8, 10)}
    rise_s, hold_s, release_s = rng.uniform(1, 2.2), rng.uniform(0.8, 4), rng.uniform(1, 2.5)
    return made(
        "pulled_to_sit",
        [
            Stroke(at_s, rise_s, hold_s, release_s, columns(up) + varied(rng, arms) + varied(rng, legs)),
            Stroke(at_s, 0.6 * rise_s, 0.2 * rise_s, 0.6 * rise_s, columns({"neck_flexion": lag})),
        ],
    )
