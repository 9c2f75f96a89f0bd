"""Behaviours of infants as movements of the joints: kicks, startles, cries; and jerks of the camera.

A behaviour is sampled once, as strokes (out and back) and tremors, and can then be evaluated at any times. Columns are
the joints in degrees, the whole body in degrees and metres, and the camera in picture heights, degrees and powers of e.
Numbers with a source name it. All others, marked or not, are assumed and rest on no measurement.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from spasm.simulation.body import JOINTS, ROOT, SIDES

CAMERA = ("camera_x", "camera_y", "camera_roll", "camera_zoom")
COLUMNS = (*JOINTS, *ROOT, *CAMERA)
COLUMN = {name: i for i, name in enumerate(COLUMNS)}
TRUNK = ("trunk_flexion", "trunk_side", "trunk_twist", "neck_flexion", "neck_turn", "neck_tilt")
ARM = ("shrug", "shoulder_out", "shoulder_forward", "arm_roll", "elbow", "wrist")
LEG = ("hip_out", "hip_forward", "hip_roll", "knee", "ankle")


@dataclasses.dataclass(frozen=True)
class Performer:
    """The child whose movement is sampled."""

    age_months: float
    vigour: float  # size of movements, 1 is usual
    arms_free: float  # freedom of arms and legs in the posture, 1 is full
    legs_free: float


@dataclasses.dataclass(frozen=True)
class Stroke:
    """A movement out and back, smooth at both ends; times in seconds."""

    onset_s: float
    rise_s: float
    hold_s: float
    release_s: float
    reach: np.ndarray  # (38,) in the units of COLUMNS
    late_s: np.ndarray | None = None  # (38,) delay of each joint after the first; all end together


@dataclasses.dataclass(frozen=True)
class Tremor:
    """A rhythm that grows and fades; times in seconds."""

    onset_s: float
    rise_s: float
    hold_s: float
    release_s: float
    hertz: float
    reach: np.ndarray  # (38,) amplitude
    phase: np.ndarray  # (38,) radians


@dataclasses.dataclass(frozen=True)
class Behaviour:
    """One sampled behaviour; times in seconds, `end_s` is the end of its last stroke."""

    name: str
    onset_s: float
    end_s: float
    moves: tuple[Stroke | Tremor, ...]


def perform(behaviours: list[Behaviour], t: np.ndarray) -> np.ndarray:
    """The sum of all behaviours at the ascending times `t` in seconds: (T, 38)."""
    total = np.zeros((t.size, len(COLUMNS)))
    for behaviour in behaviours:
        for move in behaviour.moves:
            end_s = move.onset_s + move.rise_s + move.hold_s + move.release_s
            first, last = np.searchsorted(t, (move.onset_s, end_s))
            if first == last:
                continue
            at = t[first:last, None]
            if isinstance(move, Tremor):
                size = pulse(at, move.onset_s, move.rise_s, move.hold_s, move.release_s)
                total[first:last] += size * move.reach * np.sin(2 * np.pi * move.hertz * at + move.phase)
            elif move.late_s is None:
                total[first:last] += pulse(at, move.onset_s, move.rise_s, move.hold_s, move.release_s) * move.reach
            else:
                late_s = np.minimum(move.late_s, 0.5 * move.release_s)
                size = pulse(at, move.onset_s + late_s, move.rise_s, move.hold_s, move.release_s - late_s)
                total[first:last] += size * move.reach
    return total


def pulse(
    t: np.ndarray, onset_s: float | np.ndarray, rise_s: float, hold_s: float, release_s: float | np.ndarray
) -> np.ndarray:
    """A movement out and back, 0 to 1 to 0, of least jerk (Flash and Hogan 1985, J Neuroscience 5:1688-1703)."""
    return least_jerk((t - onset_s) / rise_s) - least_jerk((t - onset_s - rise_s - hold_s) / release_s)


def least_jerk(fraction: np.ndarray) -> np.ndarray:
    """From 0 to 1 while `fraction` of the time passes: 10 x^3 - 15 x^4 + 6 x^5."""
    x = np.minimum(np.maximum(fraction, 0), 1)
    return x * x * x * (10 - x * (15 - 6 * x))


def columns(table: Mapping[str, float], side: str = "") -> np.ndarray:
    """A table by column as (38,); a limb's joint without its side stands for `side`, or for both."""
    row = np.zeros(len(COLUMNS))
    for name, value in table.items():
        if name in COLUMN:
            row[COLUMN[name]] = value
        else:
            for each in [side] if side else SIDES:
                row[COLUMN[f"{each}_{name}"]] = value
    return row


def varied(rng: np.random.Generator, table: Mapping[str, float], side: str = "") -> np.ndarray:
    """The same, each column a little more or less (assumed: 0.7 to 1.3 times)."""
    return columns(table, side) * rng.uniform(0.7, 1.3, len(COLUMNS))


def free(mover: Performer) -> np.ndarray:
    """Factors (38,) of vigour and posture on a movement; the camera does not depend on the child."""
    factor = np.full(len(COLUMNS), mover.vigour)
    for name, i in COLUMN.items():
        joint = name.removeprefix("left_").removeprefix("right_")
        factor[i] *= mover.arms_free if joint in ARM else mover.legs_free if joint in LEG else 1
    factor[-len(CAMERA) :] = 1
    return factor


def sample_side(rng: np.random.Generator) -> str:
    return str(rng.choice(list(SIDES)))


def made(name: str, moves: list[Stroke | Tremor], mover: Performer | None = None) -> Behaviour:
    if mover is not None:
        factor = free(mover)
        moves = [dataclasses.replace(move, reach=move.reach * factor) for move in moves]
    end_s = max(move.onset_s + move.rise_s + move.hold_s + move.release_s for move in moves)
    return Behaviour(name, min(move.onset_s for move in moves), end_s, tuple(moves))


# ---- behaviours of healthy infants


# Fractions of kicks by age in months: one leg is usual from one to four months, both at once are prominent after five
# (Thelen, Ridley-Johnson and Fisher 1983, Developmental Psychobiology 16:29-46); the fractions themselves are assumed.
KICKS = ("kick_alternating", "kick_unilateral", "kick_bilateral")
KICK_FRACTIONS = ((3, 5, 7), ((0.35, 0.50, 0.15), (0.25, 0.40, 0.35), (0.20, 0.35, 0.45)))


def kick(rng: np.random.Generator, mover: Performer, at_s: float, pattern: str = "") -> Behaviour:
    """One or several kicks.

    A leg movement from one pause or turn to the next takes 0.23 to 0.33 s, and its greatest acceleration is 3 to 9 m/s2
    (Trujillo-Priego and Smith 2017, Journal of Rehabilitation and Assistive Technologies Engineering 4). Movements are
    of constant length, pauses are not (Thelen and Fisher 1983, Journal of Motor Behavior 15:353-377). Hip, knee and
    ankle move together. The rest is assumed.
    """
    if not pattern:
        fractions = [
            np.interp(mover.age_months, KICK_FRACTIONS[0], column) for column in zip(*KICK_FRACTIONS[1], strict=True)
        ]
        pattern = str(rng.choice(KICKS, p=np.array(fractions) / np.sum(fractions)))
    first = sample_side(rng)
    other = "right" if first == "left" else "left"
    pull = rng.choice([-1, 1], p=[0.6, 0.4])  # legs lie bent, so most kicks are out and back in
    table = {"hip_forward": 20 * pull, "knee": 26 * pull, "hip_out": rng.normal(0, 3), "ankle": -9 * pull}
    give = {"trunk_flexion": rng.normal(0, 3), "trunk_side": rng.normal(0, 3), "neck_flexion": rng.normal(0, 4)}
    size = rng.uniform(0.8, 1.3)
    arms = {"shoulder_out": rng.normal(0, 16), "shoulder_forward": rng.normal(0, 12), "elbow": rng.normal(0, 20)}
    with_arms = pattern == "kick_bilateral" and rng.random() < 0.5
    moves: list[Stroke | Tremor] = []
    start_s, again_s = at_s, rng.uniform(0.7, 1.5)
    for count in range(min(rng.geometric(0.4) + (pattern == "kick_alternating"), 8)):
        reach = size * rng.uniform(0.75, 1.2)
        out_s, back_s, pause_s = rng.uniform(0.23, 0.33), rng.uniform(0.23, 0.33), rng.exponential(0.15)
        sides = [first, other] if pattern == "kick_bilateral" else [first]
        if pattern == "kick_alternating" and count % 2:
            sides = [other]
        for side in sides:
            late_s = rng.uniform(0, 0.05) if len(sides) > 1 else 0
            moves.append(Stroke(start_s + late_s, out_s, pause_s, back_s, reach * varied(rng, table, side)))
        moves.append(Stroke(start_s, out_s, pause_s, back_s, reach * columns(give)))
        if with_arms:
            late_s = rng.uniform(0, 0.12)
            moves.append(Stroke(start_s + late_s, out_s, pause_s + 0.1, back_s + 0.2, reach * varied(rng, arms)))
        start_s += (out_s + pause_s + back_s) * (0.5 if pattern == "kick_alternating" else 1) + rng.exponential(
            0.3 * again_s
        )
    return made(pattern, moves, mover)


def arm_wave(rng: np.random.Generator, mover: Performer, at_s: float) -> Behaviour:
    """One or both arms beat the air once or several times (assumed)."""
    sides = list(SIDES) if rng.random() < 0.5 else [sample_side(rng)]
    table = {
        "shoulder_out": rng.normal(0, 26), "shoulder_forward": rng.normal(0, 24), "elbow": rng.normal(0, 30),
        "arm_roll": rng.normal(0, 15), "wrist": rng.normal(0, 12), "shrug": rng.normal(0, 4),
    }  # fmt: skip
    give = {"trunk_flexion": rng.normal(0, 3), "neck_flexion": rng.normal(0, 4), "trunk_twist": rng.normal(0, 4)}
    moves: list[Stroke | Tremor] = []
    start_s, again_s = at_s, rng.uniform(0.45, 0.9)
    for _ in range(min(rng.geometric(0.4), 8)):
        out_s, hold_s, back_s = rng.uniform(0.15, 0.35), rng.uniform(0, 0.2), rng.uniform(0.2, 0.5)
        size = rng.uniform(0.6, 1.1)
        for side in sides:
            late_s = rng.uniform(0, 0.06)
            moves.append(Stroke(start_s + late_s, out_s, hold_s, back_s, size * varied(rng, table, side)))
        moves.append(Stroke(start_s, out_s, hold_s, back_s, size * columns(give)))
        start_s += again_s
    return made("arm_wave", moves, mover)


def reach(rng: np.random.Generator, mover: Performer, at_s: float) -> Behaviour:
    """An arm goes out for something, in units of about 0.2 s each, four to five at four months, two at seven.

    Units: Fetters and Todd 1987, Journal of Motor Behavior 19:147-166; their number falls with age: von Hofsten 1991,
    Journal of Motor Behavior 23:280-292. Angles, hold and return are assumed.
    """
    side = sample_side(rng)
    units = int(np.clip(round(np.interp(mover.age_months, (4, 7), (4.5, 2.3)) + rng.normal(0, 0.7)), 1, 6))
    whole = varied(rng, {"shoulder_forward": 38, "shoulder_out": rng.normal(-5, 12), "elbow": -38, "wrist": -10}, side)
    whole += columns({"trunk_flexion": rng.uniform(0, 6), "neck_flexion": rng.uniform(0, 6)})
    fractions = rng.dirichlet(np.full(units, 4.0))
    onsets_s = at_s + np.append(0, np.cumsum(rng.uniform(0.18, 0.3, units - 1)))
    stay_s, back_s = onsets_s[-1] + rng.uniform(0.3, 1.8), rng.uniform(0.5, 1.0)
    moves: list[Stroke | Tremor] = [
        Stroke(onset_s, 0.3, stay_s - onset_s, back_s, whole * fraction * rng.uniform(0.8, 1.2, whole.size))
        for onset_s, fraction in zip(onsets_s, fractions, strict=True)
    ]
    return made("reach", moves, mover)


def head_turn(rng: np.random.Generator, mover: Performer, at_s: float) -> Behaviour:
    """The head turns and perhaps nods, within 0.5 to 1.5 s (assumed), and comes back later."""
    table = {"neck_turn": rng.normal(0, 34), "neck_flexion": rng.normal(0, 9), "neck_tilt": rng.normal(0, 6)}
    times_s = rng.uniform(0.4, 1.3), rng.uniform(0.3, 3), rng.uniform(0.5, 1.3)
    return made("head_turn", [Stroke(at_s, *times_s, columns(table))])


def cry(rng: np.random.Generator, mover: Performer, at_s: float) -> Behaviour:
    """Crying: about one breath a second, limbs pulled up and trembling.

    A cry lasts 1.4 s (spread 0.6) in newborns (doi 10.1159/000063190); cries of pain come 57 times a minute
    (International Journal of Pediatric Otorhinolaryngology 2011, 75:1265-1270), others a little less often (assumed,
    as are the amplitudes).
    """
    length_s = rng.uniform(2, 12)
    hertz = float(np.clip(rng.normal(0.85, 0.15), 0.5, 1.3))
    breath = {"trunk_flexion": 2.2, "neck_flexion": -3.5, "shrug": 2.5, "shoulder_out": 4, "elbow": 5, "hip_forward": 6,
              "knee": 5}  # fmt: skip
    shiver = {"elbow": 1.5, "shoulder_out": 1.5, "knee": 1.0}
    pulled_up = {"hip_forward": 12, "knee": 12, "elbow": 12, "neck_flexion": -6, "ankle": 6}
    phase = rng.normal(0, 0.4, len(COLUMNS))
    moves: list[Stroke | Tremor] = [
        Tremor(at_s, 0.8, length_s, 0.8, hertz, varied(rng, breath), phase),
        Tremor(at_s, 0.8, length_s, 0.8, rng.uniform(4, 7), varied(rng, shiver), rng.uniform(0, 6.3, len(COLUMNS))),
        Stroke(at_s, 0.8, length_s, 0.8, varied(rng, pulled_up)),
    ]
    return made("cry", moves, mover)


def startle(rng: np.random.Generator, mover: Performer, at_s: float) -> Behaviour:
    """A jerk of the whole body at a noise, over within a second, arms more than legs (assumed); the head turns.

    Form: Developmental Medicine and Child Neurology 1972, 14:308-317.
    """
    table = {"shrug": 8, "shoulder_out": rng.uniform(10, 30), "shoulder_forward": rng.uniform(-5, 20),
             "elbow": rng.uniform(-25, 25), "neck_flexion": rng.uniform(-10, 14), "trunk_flexion": rng.uniform(-4, 9),
             "hip_forward": rng.uniform(0, 16), "knee": rng.uniform(-10, 16),
             "neck_turn": rng.normal(0, 10)}  # fmt: skip
    times_s = rng.uniform(0.1, 0.22), rng.uniform(0.02, 0.2), rng.uniform(0.25, 0.6)
    return made("startle", [Stroke(at_s, *times_s, varied(rng, table), rng.uniform(0, 0.05, len(COLUMNS)))], mover)


def moro(rng: np.random.Generator, mover: Performer, at_s: float) -> Behaviour:
    """The Moro reflex: arms fly out and open, then come together, in 2.3 to 2.6 s.

    Form and age (gone by six months): Futagi, Toribe and Suzuki 2012, International Journal of Pediatrics 191562. Its
    length was set for this simulator and no measurement was found; its split into phases is assumed.
    """
    whole_s = rng.uniform(2.3, 2.6)
    out_s, hold_s, in_s = rng.uniform(0.25, 0.45), rng.uniform(0.1, 0.4), rng.uniform(0.6, 0.9)
    out = {
        "shoulder_out": 48,
        "elbow": -50,
        "shrug": 5,
        "wrist": -15,
        "neck_flexion": -12,
        "hip_forward": 8,
        "knee": -12,
    }
    together = {"shoulder_forward": 34, "shoulder_out": -34, "arm_roll": -80, "elbow": 14, "neck_flexion": 5}
    moves: list[Stroke | Tremor] = [
        Stroke(at_s, out_s, hold_s, in_s, varied(rng, out)),
        Stroke(at_s + out_s + hold_s, in_s, 0.1, whole_s - out_s - hold_s - in_s - 0.1, varied(rng, together)),
    ]
    return made("moro", moves, mover)


def sleep_myoclonus(rng: np.random.Generator, mover: Performer, at_s: float) -> Behaviour:
    """Benign sleep myoclonus: jerks at 1 to 5 Hz for seconds, arms more than legs, never the face.

    Paro-Panjan and Neubauer 2008, European Journal of Paediatric Neurology 12:14-18; rate from textbooks. A third
    persist beyond three months: Maurer et al. 2010, Pediatrics 125:e919-24. Amplitudes are assumed.
    """
    hertz, length_s = rng.uniform(1, 5), rng.uniform(1.5, 8)
    table = {"wrist": rng.uniform(6, 18), "elbow": rng.uniform(5, 16), "shoulder_out": rng.uniform(3, 12)}
    if rng.random() < 0.4:
        table |= {"ankle": rng.uniform(3, 12), "knee": rng.uniform(2, 8), "hip_forward": rng.uniform(1, 6)}
    sides = "" if rng.random() < 0.8 else sample_side(rng)
    beats_s = at_s + np.append(0, np.cumsum(rng.uniform(0.75, 1.25, max(1, int(hertz * length_s) - 1)) / hertz))
    moves: list[Stroke | Tremor] = [
        Stroke(beat_s, 0.07, 0.0, 0.12, varied(rng, table, sides) * rng.uniform(0.4, 1.1)) for beat_s in beats_s
    ]
    return made("sleep_myoclonus", moves, mover)


def shudder(rng: np.random.Generator, mover: Performer, at_s: float) -> Behaviour:
    """A shuddering attack: 5 to 15 s (Tibussek et al. 2008, Neurology 70:e38) of fine tremor, 4 to 10 Hz.

    Its rhythm is that of essential tremor (Kanazawa 2000, Pediatric Neurology, recalled); amplitudes are assumed.
    """
    length_s = rng.uniform(5, 15)
    fine = {"neck_turn": 2.0, "neck_flexion": 1.5, "trunk_twist": 1.2, "shoulder_out": 2.2, "elbow": 2.5, "wrist": 2}
    stiff = {"neck_flexion": rng.uniform(0, 8), "elbow": rng.uniform(0, 15), "shoulder_out": rng.uniform(-8, 8)}
    moves: list[Stroke | Tremor] = [
        Tremor(at_s, 0.4, length_s - 1, 0.6, rng.uniform(4, 10), varied(rng, fine), rng.uniform(0, 2, len(COLUMNS))),
        Stroke(at_s, 0.4, length_s - 1, 0.6, varied(rng, stiff)),
    ]
    return made("shudder", moves, mover)


def reflux(rng: np.random.Generator, mover: Performer, at_s: float) -> Behaviour:
    """Reflux: neck and back arch and turn, limbs spared (StatPearls, Sandifer syndrome); times: assumed."""
    way = rng.choice([-1, 1])
    table = {"trunk_flexion": -16, "neck_flexion": -24, "trunk_twist": 12 * way, "neck_turn": 22 * way,
             "neck_tilt": 8 * way, "trunk_side": 6 * way}  # fmt: skip
    times_s = rng.uniform(0.5, 1.4), rng.uniform(0.6, 4), rng.uniform(0.8, 2)
    return made("reflux", [Stroke(at_s, *times_s, varied(rng, table), rng.uniform(0, 0.3, len(COLUMNS)))], mover)


def camera_jerk(rng: np.random.Generator, mover: Performer, at_s: float) -> Behaviour:
    """The phone is knocked, or aimed again: everything in the picture moves at once (assumed)."""
    table = {"camera_x": rng.normal(0, 0.06), "camera_y": rng.normal(0, 0.06), "camera_roll": rng.normal(0, 4),
             "camera_zoom": rng.normal(0, 0.04)}  # fmt: skip
    times_s = rng.uniform(0.08, 0.3), rng.choice([0.03, rng.uniform(0.5, 3)]), rng.uniform(0.2, 0.8)
    return made("camera_jerk", [Stroke(at_s, *times_s, columns(table))])
