"""Simulated infants: who they are, and how they move with and without spasms.

A child is drawn from its own random generator, so its segments depend on the seed and the child's number alone.
Numbers marked "judgement" are ours and rest on no measurement.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np

from spasm.body import ANGLES, BONES, HIGH, LOW, REST, SIDES, SLOW, SPREAD, Child, pose_body
from spasm.segments import FPS
from spasm.sensor import GAP_SHARE, photograph, sense, wander

POSITIVE_FRAMES = int(FPS) // 2  # a segment is positive when at least 0.5 s of a spasm lies inside it
# How far a spasm of full strength takes each joint, in degrees (judgement), and how often each type comes:
# flexor 34 %, extensor 22.5 %, mixed 42 % of 5042 spasms (Kellaway et al. 1979, Annals of Neurology 6:214-218).
SPASMS: dict[str, dict[str, float]] = {
    "flexor": {
        "neck_flexion": 30, "trunk_flexion": 24, "shoulder_out": -20, "shoulder_forward": 40, "elbow": 20,
        "hip_forward": 35, "knee": 15,
    },
    "extensor": {
        "neck_flexion": -25, "trunk_flexion": -16, "shoulder_out": 30, "shoulder_forward": -12, "elbow": -45,
        "hip_forward": -30, "knee": -40,
    },
    "mixed": {
        "neck_flexion": 28, "trunk_flexion": 20, "shoulder_out": 25, "shoulder_forward": 20, "elbow": -35,
        "hip_forward": -22, "knee": -45,
    },
}  # fmt: skip
SPASM_SHARES = (0.34, 0.23, 0.43)
# A startle: the arms fly out (judgement).
STARTLE: dict[str, float] = {
    "shoulder_out": 40, "shoulder_forward": 10, "elbow": -45, "neck_flexion": -8, "hip_forward": 10,
}  # fmt: skip

CONTROLS_OF_FIVE = 2  # of every five children, so that both cohorts are there from four children on


@dataclasses.dataclass(frozen=True)
class Spasm:
    """One spasm; times in seconds from the segment's first frame, so that `onset_s` may be negative."""

    kind: str
    onset_s: float
    rise_s: float
    hold_s: float
    release_s: float
    strength: float

    def frames(self, frames: int) -> tuple[int, int]:
        """First frame and end (exclusive) inside a segment of `frames`; equal when nothing lies inside."""
        end_s = self.onset_s + self.rise_s + self.hold_s + self.release_s
        start, end = (min(max(round(at_s * FPS), 0), frames) for at_s in (self.onset_s, end_s))
        return start, end


@dataclasses.dataclass(frozen=True)
class Segment:
    """One simulated segment and its truth; `start` equals `end`, and `kind` is empty, where no spasm lies inside."""

    pose: np.ndarray  # (T, 33, 5) float64: x, y, z, visibility, presence; NaN in all of a missing frame
    start: int
    end: int
    kind: str

    @property
    def label(self) -> int:
        return int(self.end - self.start >= POSITIVE_FRAMES)


def simulate_child(seed: int, child: int, segments: int, frames: int) -> Iterator[Segment]:
    """The segments of child number `child`, counted from 1, in an order that tells nothing: each is drawn alike."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, child])))
    style = draw_child(rng, cohort(seed, child))
    for _ in range(segments):
        spasm = draw_spasm(rng, style, frames) if rng.random() < style.spasm_share else None
        body = pose_body(draw_movement(rng, style, spasm, frames), style.bones)
        pose = sense(rng, style, photograph(rng, style, body))
        start, end = spasm.frames(frames) if spasm else (0, 0)
        yield Segment(pose, start, end, spasm.kind if spasm and end > start else "")


def cohort(seed: int, child: int) -> str:
    """Patient or control: dealt anew to every five children, so the number of a child tells nothing."""
    block, place = divmod(child - 1, 5)
    deal = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, block, 1]))).permutation(5)
    return "control" if deal[place] < CONTROLS_OF_FIVE else "patient"


def held_out_children(seed: int, children: int) -> set[int]:
    """About a quarter of the children; from both cohorts as soon as that is two."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, children, 2])))
    order = rng.permutation(np.arange(1, children + 1)).tolist()
    controls = [child for child in order if cohort(seed, child) == "control"]
    patients = [child for child in order if cohort(seed, child) == "patient"]
    wanted = max(1, round(children / 4))
    from_controls = min(round(wanted * len(controls) / children), len(controls) - 1)
    return {*controls[:from_controls], *patients[: wanted - from_controls]}


def draw_child(rng: np.random.Generator, cohort: str) -> Child:
    """A child's style (all judgement unless SENSOR's comment says otherwise)."""
    return Child(
        cohort=cohort,
        bones={name: length * rng.normal(1, 0.06) for name, length in BONES.items()},
        rest=REST + SPREAD * rng.normal(0, 0.8, REST.size),
        activity=rng.lognormal(0, 0.4),
        kicks=rng.gamma(1.5, 0.5),
        vigour=rng.lognormal(0, 0.3),
        startles=rng.gamma(1, 0.15),
        roll=rng.uniform(0, 2 * np.pi),
        zoom=rng.uniform(0.85, 1.45),
        aspect=rng.choice([9 / 16, 3 / 4, 4 / 3, 16 / 9]),
        hand_held=rng.random() < 0.4,
        gap_share=rng.beta(*GAP_SHARE),
        spasm_strength=rng.lognormal(0.2, 0.25),
        spasm_share=rng.uniform(0.25, 0.7) * (cohort == "patient"),
    )


def draw_spasm(rng: np.random.Generator, child: Child, frames: int) -> Spasm:
    """A spasm that touches the segment, three in ten cut by its border (rise 0.1-0.4 s, release 0.5-1.5 s)."""
    kind = str(rng.choice(list(SPASMS), p=SPASM_SHARES))
    rise_s, hold_s, release_s = rng.uniform(0.1, 0.4), rng.uniform(0.1, 0.8), rng.uniform(0.5, 1.5)
    length_s, segment_s = rise_s + hold_s + release_s, frames / FPS
    if rng.random() < 0.3:
        onset_s = rng.choice([rng.uniform(-length_s, 0), rng.uniform(segment_s - length_s, segment_s)])
    else:
        onset_s = rng.uniform(0, max(segment_s - length_s, 0))
    strength = child.spasm_strength * rng.lognormal(0, 0.45)
    return Spasm(kind, onset_s, rise_s, hold_s, release_s, min(strength, 1.8))


def draw_movement(rng: np.random.Generator, child: Child, spasm: Spasm | None, frames: int) -> np.ndarray:
    """Joint angles (T, 19) in radians: slow movement, bouts of kicks and waves, startles, head turns, and the spasm."""
    t = np.arange(frames) / FPS
    fives = frames / FPS / 5
    activity = child.activity * rng.lognormal(0, 0.35)

    # Stillness slows the clock of the slow movement, so a limb stays where it is instead of returning to rest.
    tempo = np.ones(frames)
    if rng.random() < 0.35:
        tempo -= 0.9 * pulse(t, rng.uniform(-1, t[-1]), 0.3, rng.uniform(0.5, 3), 0.6)
    quiet_from_s = quiet_until_s = np.inf
    if spasm:
        still_s = rng.uniform(0.5, 3)
        active_s = spasm.rise_s + spasm.hold_s + spasm.release_s
        tempo *= 1 - 0.8 * pulse(t, spasm.onset_s, 0.2, active_s + still_s, 1.0)
        quiet_from_s, quiet_until_s = spasm.onset_s - 0.2, spasm.onset_s + active_s + still_s
    clock = np.cumsum(tempo) / FPS * activity
    posture = child.rest + 0.4 * SPREAD * rng.normal(size=REST.size)
    angles = posture + SLOW * np.sqrt(activity) * wander(rng, clock, REST.size, 0.08, 0.9)

    for _ in range(rng.poisson(child.kicks * np.sqrt(activity) * fives)):
        angles += bout(rng, child, t, quiet_from_s, quiet_until_s)
    for _ in range(rng.poisson(child.startles * fives)):
        onset_s, vigour = rng.uniform(-0.5, t[-1]), child.vigour * rng.lognormal(0, 0.3)
        shape = pulse(t, onset_s, rng.uniform(0.12, 0.25), rng.uniform(0.05, 0.2), rng.uniform(0.3, 0.7))
        angles += shape[:, None] * synchronous(rng, STARTLE) * vigour
    for _ in range(rng.poisson(0.6 * fives)):
        shape = pulse(t, rng.uniform(-2, t[-1]), rng.uniform(0.3, 0.8), rng.uniform(0.4, 3), rng.uniform(0.4, 1))
        angles += shape[:, None] * only({"neck_turn": rng.normal(0, 40), "neck_flexion": rng.normal(0, 10)})
    if spasm:
        reach = synchronous(rng, SPASMS[spasm.kind]) * spasm.strength
        late_s = rng.uniform(0, 0.04, REST.size)  # joints start within a frame or so of each other (judgement)
        shape = pulse(t[:, None], spasm.onset_s + late_s, spasm.rise_s, spasm.hold_s, spasm.release_s - late_s)
        angles += shape * reach
    return np.deg2rad(np.clip(angles, LOW, HIGH))


def bout(
    rng: np.random.Generator, child: Child, t: np.ndarray, quiet_from_s: float, quiet_until_s: float
) -> np.ndarray:
    """Kicks, arm waves or both, once or repeated: degrees (T, 19) to add; nothing starts in the quiet time.

    Often several limbs move at once: these are what a spasm is easily mistaken for.
    """
    legs, arms = [(True, False), (False, True), (True, True)][rng.choice(3, p=[0.45, 0.25, 0.30])]
    sides = list(SIDES) if rng.random() < 0.55 else [str(rng.choice(list(SIDES)))]
    pull = rng.choice([-1, 1])
    kick = {"hip_forward": pull * rng.uniform(15, 40), "knee": pull * rng.uniform(15, 50), "hip_out": rng.normal(0, 6)}
    wave = {
        "shoulder_out": rng.normal(0, 28), "shoulder_forward": rng.normal(0, 22), "elbow": rng.normal(0, 32),
        "arm_roll": rng.normal(0, 15),
    }  # fmt: skip
    moved = (kick if legs else {}) | (wave if arms else {})
    # The trunk and the head give way to the limbs.
    reach = {"trunk_flexion": rng.normal(0, 7), "trunk_side": rng.normal(0, 4), "neck_flexion": rng.normal(0, 8)}
    reach |= {f"{side}_{name}": by * rng.uniform(0.7, 1.2) for side in sides for name, by in moved.items()}
    vigour = child.vigour * rng.lognormal(0, 0.35)
    onset_s, period_s = rng.uniform(-0.5, t[-1]), rng.uniform(0.45, 0.9)
    rise_s, hold_s, release_s = rng.uniform(0.1, 0.35), rng.uniform(0, 0.3), rng.uniform(0.25, 0.8)
    shape = np.zeros(t.size)
    for repeat in range(rng.geometric(0.5)):
        start_s = onset_s + repeat * period_s
        size = rng.uniform(0.6, 1.1)
        if not quiet_from_s < start_s < quiet_until_s:
            shape += size * pulse(t, start_s, rise_s, hold_s, release_s)
    return shape[:, None] * only(reach) * vigour


def only(reach: dict[str, float]) -> np.ndarray:
    """Degrees per joint (19,) from a table that names some of them."""
    return np.array([reach.get(name, 0.0) for name in ANGLES])


def synchronous(rng: np.random.Generator, reach: dict[str, float]) -> np.ndarray:
    """The same on both sides, each joint a little more or less: degrees (19,)."""
    both = reach | {f"{side}_{name}": by for side in SIDES for name, by in reach.items()}
    return only(both) * rng.uniform(0.6, 1.3, REST.size)


def pulse(
    t: np.ndarray, onset_s: float | np.ndarray, rise_s: float, hold_s: float, release_s: float | np.ndarray
) -> np.ndarray:
    """A movement out and back, 0 to 1 to 0, with smooth borders (3 x^2 - 2 x^3)."""
    out = np.clip((t - onset_s) / rise_s, 0, 1)
    back = np.clip((t - onset_s - rise_s - hold_s) / release_s, 0, 1)
    return out * out * (3 - 2 * out) - back * back * (3 - 2 * back)
