"""Simulated infants: their properties, and their segments with and without spasms.

A child has its own random generator, so its segments depend only on the seed and the child's number. Except for the
spasm itself, nothing sampled for a segment depends on the label.
Numbers without a source, marked or not, are assumed and rest on no measurement.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np

from spasm.data.pose import FPS, POSITIVE_S
from spasm.simulation.behaviours import CAMERA, COLUMN, LEG, Behaviour, Performer, camera_jerk, perform, pulse
from spasm.simulation.body import HIGH, JOINT_SPREAD, JOINTS, LOW, POSTURES, of_joints, pose_body, sample_bones, turn
from spasm.simulation.camera import CAMERA_SETUPS, Camera, photograph, pick, sample_camera
from spasm.simulation.pose_noise import (
    Sensor,
    apply_pose_noise,
    native_times,
    sample_missing_fraction,
    sample_sensor,
    tremble,
    wander,
)
from spasm.simulation.repertoire import NOT_BY_CHILD, ONLY_IN, REPERTOIRE
from spasm.simulation.spasms import IN_CLUSTERS, Semiology, Spasm, sample_interval_s, sample_semiology, sample_spasm

POSITIVE_FRAMES = int(FPS * POSITIVE_S)
CONTROLS = 0.4  # of the children (assumed)
VIDEOS = (1, 5)  # of each child (assumed)
FRAGMENTS = 0.05  # of patients' other segments hold less than half a second of a spasm (assumed)
CUT = 0.25  # of spasms may begin before the segment or end after it, if half a second is inside (assumed)
# States, and how often each is recorded (assumed).
STATES = {"sleep": 0.12, "rest": 0.34, "active": 0.38, "fussing": 0.16}
# Slow movement of each joint when active, in degrees: arms and neck are set by realism.SPEEDS, the others assumed.
# Other states have a fraction of it.
SLOW = of_joints({
    "trunk_flexion": 2.5, "trunk_side": 2.5, "trunk_twist": 3, "neck_flexion": 7, "neck_turn": 14, "neck_tilt": 7,
    "shrug": 1.5, "shoulder_out": 8, "shoulder_forward": 8, "arm_roll": 7, "elbow": 10, "wrist": 7,
    "hip_out": 5, "hip_forward": 8, "hip_roll": 6, "knee": 10, "ankle": 8,
})  # fmt: skip
# Spread of the logarithm of tempo between segments and of size between videos, set so that the speeds of resting
# children spread as much as real ones do: realism.SPEEDS (0.3 and 0.25 left the fastest third of real windows out).
TEMPO_SPREAD, RESTLESS_SPREAD = 0.45, 0.5
STILLED = 0.85  # of slow movement during a spasm and after it (assumed)
SLOW_S = 0.45  # width of its bumps
LEG_JOINTS = np.array([name.endswith(LEG) for name in JOINTS])
STATE_SIZE = {
    "sleep": 0.04, "rest": 0.45, "active": 1.0, "fidgety": 1.0, "writhing": 1.3, "fussing": 1.1, "poor": 0.8,
}  # fmt: skip
# Sway of a child who sits or is held: degrees and metres (assumed).
SWAY = np.array([3.0, 4.0, 3.0, 0.012, 0.008, 0.012])
# A hand-held phone sways by about half a degree of the 40 to 67 it sees, and trembles at 4 to 12 Hz (Japanese Journal
# of Ergonomics 1995, 31:399; Lakie et al. 2015, J Physiology 593:4411) by a twentieth of that (sizes are assumed).
HAND_SWAY = np.array([0.012, 0.012, 0.8, 0.012])
HAND_TREMOR = np.array([0.0006, 0.0006, 0.03, 0.0])
# Writhing movements end at six to nine weeks; here a third of the active time of children under four months looks like
# them, slow and large (assumed). Fidgety movements, from three to five months (Einspieler, Peharz and Marschik 2016,
# Jornal de Pediatria 92:S64-70): small and of moderate speed; 0.15 of the size of slow movement, four times as fast
# (assumed).
WRITHING_MONTHS, WRITHING_SHARE = 4, 0.33
FIDGETY_MONTHS = 5
FIDGETY = 0.15
REPEATS_S = 2.0  # of movement that a poor repertoire repeats, which is monotonous (same source; assumed)
# Breaths a minute at 3, 6 and 12 months, awake (Rusconi et al. 1994, Pediatrics), used in sleep too; shoulders lift by
# a degree (assumed).
BREATHS = ((3, 6, 12), (44, 41, 36))
SOFT = 10.0  # degrees before the end of a joint's range where movement slows down (assumed)


@dataclasses.dataclass(frozen=True)
class SimulationConfig:
    """Settings of a simulation."""

    frames: int = 150
    prevalence: float = 0.25  # fraction of positive segments
    mimic_fraction: float = 0.0  # fraction of negative segments with a benign movement like a spasm
    camera_setup: str = "home"  # a name in CAMERA_SETUPS
    confound: bool = False  # controls are recorded on a ward


@dataclasses.dataclass(frozen=True)
class Child:
    """One child's own style; `cohort` is the only part that the label depends on, through `spasm_fraction`."""

    cohort: str  # "patient" or "control"
    age_months: float
    bones: dict[str, float]  # metres
    rest: np.ndarray  # (28,) degrees, added to the posture's
    activity: float  # tempo and size of slow movement, 1 is usual
    vigour: float  # size of behaviours, 1 is usual
    habits: dict[str, float]  # how often, by name in REPERTOIRE, 1 is usual
    semiology: Semiology
    spasm_fraction: float  # of segments that are positive; 0 for controls


@dataclasses.dataclass(frozen=True)
class Video:
    """One video of a child: one posture, one camera."""

    posture: str
    angles: np.ndarray  # (28,) degrees at rest
    camera: Camera
    sensor: Sensor
    jerks: float  # in five seconds
    restless: float  # slow movement and sway, 1 is usual
    states: np.ndarray  # (4,) probabilities, in the order of STATES


@dataclasses.dataclass(frozen=True)
class Event:
    """A spasm inside a segment: first frame, end (exclusive), kind."""

    start: int
    end: int
    kind: str


@dataclasses.dataclass(frozen=True)
class Scene:
    """What a child did in front of one camera, and how the pose estimation saw it."""

    child: Child
    video: Video
    state: str  # a name in STATE_SIZE
    pose: np.ndarray  # (frames, 33, 5) at 30 frames per second, with the errors of the estimation
    behaviours: tuple[Behaviour, ...]
    times_s: np.ndarray  # (F,) of the camera's own frames
    body: np.ndarray  # (F, 33, 3) float32, metres
    picture: np.ndarray  # (F, 33, 3) float32 as `photograph` gives it, without errors
    camera_moved: np.ndarray  # (F, 4) float32, in the order of behaviours.CAMERA


@dataclasses.dataclass(frozen=True)
class Segment:
    """One simulated segment and its truth."""

    pose: np.ndarray  # (T, 33, 5) float64: x, y, z, visibility, presence; NaN in all of a missing frame
    events: tuple[Event, ...]  # the longest inside first
    behaviours: tuple[str, ...]
    posture: str
    camera: str
    aspect: float  # picture width / height
    video: int
    scene: Scene = dataclasses.field(compare=False, repr=False)

    @property
    def label(self) -> int:
        return int(any(event.end - event.start >= POSITIVE_FRAMES for event in self.events))


def simulate_child(seed: int, child: int, segments: int, world: SimulationConfig) -> Iterator[Segment]:
    """The segments of child number `child`, counted from 1, in random order."""
    rng, style = sample_child_and_rng(seed, child, world)
    videos = [sample_video(rng, style, camera_setup_of(style, world)) for _ in range(rng.integers(*VIDEOS))]
    for _ in range(segments):
        number = int(rng.integers(len(videos)))
        yield simulate_segment(rng, style, videos[number], number + 1, world)


def simulate_segment(
    rng: np.random.Generator, child: Child, video: Video, number: int, world: SimulationConfig
) -> Segment:
    """One segment of a video. Its label is sampled first, everything else in the same way for both labels."""
    length_s = world.frames / FPS
    spasms: list[Spasm] = []
    if rng.random() < child.spasm_fraction:
        spasms = sample_seizure(rng, child, length_s)
    elif child.cohort == "patient" and rng.random() < FRAGMENTS:
        spasms = sample_fragment(rng, child, length_s)
    mimic_fraction = sample_seizure(rng, child, length_s) if not spasms and rng.random() < world.mimic_fraction else []
    state = sample_state(rng, child, video)
    named = "mimic" if mimic_fraction else ""
    scene = simulate_scene(rng, child, video, state, spasms or mimic_fraction, world.frames, named)
    inside = [Event(*spasm.frames(world.frames), spasm.kind) for spasm in spasms]
    events = sorted((event for event in inside if event.end > event.start), key=lambda e: (e.start - e.end, e.start))
    done = sorted((b for b in scene.behaviours if b.onset_s < length_s and b.end_s > 0), key=lambda b: b.onset_s)
    names = {b.name: None for b in done}
    camera = video.camera
    behaviours = (state, *names)
    return Segment(scene.pose, tuple(events), behaviours, video.posture, camera.name, camera.aspect, number, scene)


def simulate_scene(
    rng: np.random.Generator,
    child: Child,
    video: Video,
    state: str,
    spasms: list[Spasm],
    frames: int,
    named: str = "",
) -> Scene:
    """A child in one state in front of one camera for `frames` frames; `named` renames spasms."""
    t = native_times(rng, video.sensor, frames)
    # Sampled before a spasm hides any of it, so that only the spasm depends on the label.
    behaviours = sample_behaviours(rng, child, video, state, frames / FPS)
    still = [(s.onset_s - 0.1, s.end_s + rng.uniform(0.3, 2.5), 1.0 if s.kind == "arrest" else STILLED) for s in spasms]
    behaviours = [
        b for b in behaviours if b.name in NOT_BY_CHILD or not any(start < b.onset_s < end for start, end, _ in still)
    ]
    behaviours += [spasm.behaviour(named) for spasm in spasms]
    moved = move(rng, child, video, state, behaviours, still, t)
    body = pose_landmarks(child, moved)
    picture = photograph(video.camera, body, moved)
    sensor = dataclasses.replace(video.sensor, missing=sample_missing_fraction(rng))  # every segment is a separate take
    pose = apply_pose_noise(rng, sensor, video.camera, picture, t, frames)
    shown = (part.astype(np.float32) for part in (body, picture, moved[:, -len(CAMERA) :]))
    return Scene(child, video, state, pose, tuple(behaviours), t, *shown)


def move(
    rng: np.random.Generator,
    child: Child,
    video: Video,
    state: str,
    behaviours: list[Behaviour],
    still: list[tuple[float, float, float]],
    t: np.ndarray,
) -> np.ndarray:
    """All columns (T, 38) at the times `t`: rest, slow movement, behaviours; joints within their range."""
    posture = POSTURES[video.posture]
    activity = child.activity * rng.lognormal(0, TEMPO_SPREAD)
    # Stillness slows the clock of the slow movement, so a limb stays where it is instead of returning to rest.
    tempo = np.ones(t.size)
    if rng.random() < 0.35:
        tempo -= 0.9 * pulse(t, rng.uniform(t[0] - 1, t[-1]), 0.3, rng.uniform(0.5, 3), 0.6)
    for start_s, end_s, share in still:
        tempo *= 1 - share * pulse(t, start_s, 0.2, max(0.1, end_s - start_s - 0.2), 0.8)
    clock = np.cumsum(np.maximum(tempo, 0.02) * np.gradient(t)) * activity
    moved = perform(behaviours, t)
    size = STATE_SIZE[state] * np.sqrt(activity) * video.restless
    slow = repeated(rng, clock) if state == "poor" else wander(rng, clock, len(JOINTS), SLOW_S)
    if state == "fidgety":
        slow += FIDGETY * rng.uniform(0.5, 1.5) * wander(rng, clock, len(JOINTS), SLOW_S / 4)
    free = np.where(LEG_JOINTS, posture.legs_free, posture.arms_free)
    joints = video.angles + moved[:, : len(JOINTS)] + SLOW * free * size * slow
    breath = np.sin(2 * np.pi * (np.interp(child.age_months, *BREATHS) / 60 * t + rng.random()))
    for side in ("left", "right"):
        joints[:, COLUMN[f"{side}_shrug"]] += breath
    moved[:, : len(JOINTS)] = within_range(joints)
    moved[:, len(JOINTS) : len(JOINTS) + 6] += posture.sway * size * SWAY * wander(rng, t, 6, 0.5)
    if video.camera.hand_held:
        moved[:, -4:] += wander(rng, t, 4, 0.6) * HAND_SWAY + tremble(rng, t, 4) * HAND_TREMOR
    return moved


def repeated(rng: np.random.Generator, clock: np.ndarray) -> np.ndarray:
    """Slow movement (T, 28) of a poor repertoire: the same few seconds, to and fro (Einspieler et al. 2016; assumed).

    clock: (T,) rising.
    """
    once = np.arange(0, REPEATS_S, 1 / FPS)
    there = wander(rng, once, len(JOINTS), SLOW_S)
    at = REPEATS_S * np.abs((clock / REPEATS_S) % 2 - 1)
    return np.stack([np.interp(at, once, column) for column in there.T], axis=1)


def within_range(joints: np.ndarray) -> np.ndarray:
    """Angles (T, 28) in degrees, slowed down within SOFT degrees of the end of a joint's range, and never beyond it."""
    joints = np.minimum(joints, HIGH - SOFT + SOFT * np.tanh(np.maximum(joints - HIGH + SOFT, 0) / SOFT))
    return np.maximum(joints, LOW + SOFT - SOFT * np.tanh(np.maximum(LOW + SOFT - joints, 0) / SOFT))


def pose_landmarks(child: Child, moved: np.ndarray) -> np.ndarray:
    """Landmarks (T, 33, 3) in metres from all columns (T, 38)."""
    body = pose_body(np.deg2rad(moved[:, : len(JOINTS)]), child.bones)
    root = moved[:, len(JOINTS) : len(JOINTS) + 6]
    if not root.any():
        return body
    angles = np.deg2rad(root[:, :3])
    turned = turn(angles[:, 2], 2) @ turn(angles[:, 1], 1) @ turn(angles[:, 0], 0)
    return body @ turned.transpose(0, 2, 1) + root[:, None, 3:]


def sample_behaviours(
    rng: np.random.Generator, child: Child, video: Video, state: str, length_s: float
) -> list[Behaviour]:
    """Behaviours of a child in this state within some seconds, including those that began before."""
    posture = POSTURES[video.posture]
    mover = Performer(child.age_months, child.vigour * rng.lognormal(0, 0.15), posture.arms_free, posture.legs_free)
    column = list(STATES).index(state if state in STATES else "active")
    lead_s = 4.0
    sampled = []
    for name, (draw, (youngest, oldest), rates) in REPERTOIRE.items():
        if youngest <= child.age_months < oldest and video.posture in ONLY_IN.get(name, POSTURES):
            count = rng.poisson(rates[column] * child.habits[name] * (length_s + lead_s) / 5)
            sampled += [draw(rng, mover, at_s) for at_s in rng.uniform(-lead_s, length_s, count)]
    jerks = rng.poisson(video.jerks * length_s / 5)
    return sampled + [camera_jerk(rng, mover, at_s) for at_s in rng.uniform(0, length_s, jerks)]


def sample_seizure(rng: np.random.Generator, child: Child, length_s: float) -> list[Spasm]:
    """A spasm with at least half a second inside the segment, and its neighbours in the cluster if there are any."""
    clustered = rng.random() < IN_CLUSTERS
    strength = rng.uniform(0.55, 1.15) if clustered else 1.0  # any position in the cluster
    inside_s = POSITIVE_S + 0.02  # rounding to frames must not make it shorter
    while (whole_s := (spasm := sample_spasm(rng, child.semiology, 0.0, strength)).end_s) < inside_s:
        pass
    if rng.random() < CUT:
        spasm = spasm.at(rng.uniform(inside_s - whole_s, length_s - inside_s))
    else:
        spasm = spasm.at(rng.uniform(0, max(length_s - whole_s, 0.5)))
    spasms = [spasm]
    if clustered:
        before = sample_spasm(rng, child.semiology, 0.0, strength)
        spasms.append(before.at(min(spasm.onset_s - sample_interval_s(rng), spasm.onset_s - before.end_s - 0.3)))
        after_s = max(spasm.end_s + 0.3, spasm.onset_s + sample_interval_s(rng))
        spasms.append(sample_spasm(rng, child.semiology, after_s, strength))
    return spasms


def sample_fragment(rng: np.random.Generator, child: Child, length_s: float) -> list[Spasm]:
    """A spasm with less than half a second inside: its segment is negative."""
    spasm = sample_spasm(rng, child.semiology)
    inside_s = rng.uniform(0.1, POSITIVE_S - 0.05)
    return [spasm.at(inside_s - spasm.end_s if rng.random() < 0.5 else length_s - inside_s)]


def sample_child(rng: np.random.Generator, cohort: str, world: SimulationConfig) -> Child:
    """A child's style (assumed unless a source is named)."""
    age_months = rng.uniform(3, 12)
    mean = min(world.prevalence / (1 - CONTROLS), 0.95)
    return Child(
        cohort=cohort,
        age_months=age_months,
        bones=sample_bones(rng, age_months),
        rest=0.4 * JOINT_SPREAD * rng.normal(size=len(JOINTS)),
        activity=rng.lognormal(0, 0.3),
        vigour=rng.lognormal(0, 0.2),
        habits={name: rng.gamma(2, 0.5) for name in REPERTOIRE},
        semiology=sample_semiology(rng),
        spasm_fraction=rng.beta(6 * mean, 6 * (1 - mean)) if mean and cohort == "patient" else 0.0,
    )


def sample_state(rng: np.random.Generator, child: Child, video: Video) -> str:
    """A name in STATE_SIZE; in the youngest, "active" is fidgety or writhing."""
    state = str(rng.choice(list(STATES), p=video.states))
    writhing = rng.random() < WRITHING_SHARE and child.age_months < WRITHING_MONTHS
    if state == "active" and child.age_months < FIDGETY_MONTHS:
        return "writhing" if writhing else "fidgety"
    return state


def camera_setup_of(child: Child, world: SimulationConfig) -> str:
    """The name in CAMERA_SETUPS of this child's setup."""
    return "ward" if world.confound and child.cohort == "control" else world.camera_setup


def sample_child_and_rng(seed: int, number: int, world: SimulationConfig) -> tuple[np.random.Generator, Child]:
    """Child number `number`, and the generator of its segments."""
    rng = generator(seed, number)
    return rng, sample_child(rng, cohort(seed, number), world)


def generator(*keys: int) -> np.random.Generator:
    """A random generator seeded with these numbers."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(keys)))


def sample_video(rng: np.random.Generator, child: Child, setup_name: str) -> Video:
    """A video of a child: posture and camera."""
    setup = CAMERA_SETUPS[setup_name]
    posture = pick(rng, setup.postures)
    spread = POSTURES[posture].spread * JOINT_SPREAD * rng.normal(0, 0.8, len(JOINTS))
    if posture == "prone":  # the head is up and looks ahead, or lies on one side
        spread[JOINTS.index("neck_turn")] += rng.choice([-60, 0, 60], p=[0.2, 0.6, 0.2])
    camera = sample_camera(rng, setup, posture)
    return Video(
        posture=posture,
        angles=of_joints(POSTURES[posture].rest) + child.rest + spread,
        camera=camera,
        sensor=sample_sensor(rng, setup, posture),
        jerks=setup.jerks * (1.0 if camera.hand_held or setup_name == "table" else 0.1),
        restless=setup.restless * rng.lognormal(0, RESTLESS_SPREAD),
        states=rng.dirichlet(5 * np.array(list(STATES.values()))),
    )


def cohort(seed: int, child: int) -> str:
    """Patient or control, sampled for each child alone, so that it does not depend on its number or on other children.

    Two of the first five are controls, so that four children are enough for both cohorts.
    """
    of_five = generator(seed, 0, 1).permutation(5) / 5
    sampled = of_five[child - 1] if child <= 5 else generator(seed, child, 1).random()
    return "control" if sampled < CONTROLS else "patient"


def held_out_children(seed: int, children: int) -> set[int]:
    """About a quarter of the children; from both cohorts as soon as that is two."""
    rng = generator(seed, children, 2)
    order = rng.permutation(np.arange(1, children + 1)).tolist()
    controls = [child for child in order if cohort(seed, child) == "control"]
    patients = [child for child in order if cohort(seed, child) == "patient"]
    wanted = max(1, round(children / 4))
    from_controls = min(max(round(wanted * len(controls) / children), int(wanted > 1)), len(controls) - 1)
    return {*controls[:from_controls], *patients[: wanted - from_controls]}
