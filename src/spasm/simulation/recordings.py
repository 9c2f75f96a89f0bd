"""Long recordings of simulated infants: scenes one after another, and spasms in clusters.

Numbers without a source, marked or not, are assumed and rest on no measurement.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from spasm.data.pose import FPS
from spasm.simulation.infant import (
    Child,
    Scene,
    SimulationConfig,
    camera_setup_of,
    generator,
    sample_child_and_rng,
    sample_state,
    sample_video,
    simulate_scene,
)
from spasm.simulation.spasms import IN_CLUSTERS, Spasm, sample_cluster, sample_spasm

# Assumed: frames of a scene and of the gap before it; how often posture and camera change, and a state stays; a
# patient's clusters in ten minutes, and the fraction of these that follow a waking, if there is one (spasms are mostly
# seen awake, often on arousal: Ramgopal et al. 2012, Epilepsia, PMID 22578060). A cluster has 17 spasms on average.
SCENE, SCENE_GAP = (1800, 3600), (5, 60)
MOVES_ON, STAYS = 0.2, 0.6
CLUSTERS, AFTER_WAKING, SPASMS_OF_CLUSTER = 1.0, 0.5, 17
BEFORE_S = 300


class RecordedScene(NamedTuple):
    """A part of a recording: one to three minutes in one posture and one state."""

    scene: Scene
    """Its pose is lost for a moment at the beginning."""
    spasms: list[Spasm]
    """The spasms that begin in it; their times are seconds from the start of the recording."""
    camera: int
    """How often the camera has moved since the start of the recording."""


def simulate_recording(
    seed: int, child: int, number: int, minutes: float, world: SimulationConfig
) -> Iterator[tuple[np.ndarray, list[Spasm]]]:
    """Poses (T, 33, 5) of a recording scene after scene, and with each the spasms that begin in it."""
    for part in simulate_scenes(seed, child, number, minutes, world):
        yield part.scene.pose, part.spasms


def simulate_scenes(
    seed: int, child: int, number: int, minutes: float, world: SimulationConfig
) -> Iterator[RecordedScene]:
    """Recording `number` of a child, scene after scene. Most spasms come in clusters, often after waking."""
    _, style = sample_child_and_rng(seed, child, world)
    rng = generator(seed, child, number, 3)
    whole = round(minutes * 60 * FPS)
    lengths = _scene_lengths(rng, whole)
    starts_s = np.concatenate([[0], np.cumsum(lengths)[:-1]]) / FPS
    videos = [sample_video(rng, style, camera_setup_of(style, world))]
    states: list[str] = []
    for _ in lengths:
        videos.append(
            sample_video(rng, style, camera_setup_of(style, world)) if rng.random() < MOVES_ON else videos[-1]
        )
        states.append(states[-1] if states and rng.random() < STAYS else sample_state(rng, style, videos[-1]))
    spasms = _schedule(rng, style, starts_s, states, whole / FPS) if style.cohort == "patient" else []
    camera = 0
    for start_s, length, before, video, state in zip(starts_s, lengths, videos[:-1], videos[1:], states, strict=True):
        camera += video is not before
        end_s = start_s + length / FPS
        here = [
            spasm.at(spasm.onset_s - start_s) for spasm in spasms if spasm.onset_s < end_s and spasm.end_s > start_s
        ]
        if state == "sleep" and len(here) > 2:  # a cluster wakes a sleeping child
            state = "rest"
        scene = simulate_scene(rng, style, video, state, here, length)
        scene.pose[: rng.integers(*SCENE_GAP)] = np.nan
        begun = [spasm for spasm in spasms if start_s <= spasm.onset_s < end_s]
        yield RecordedScene(scene, begun, camera)


def _scene_lengths(rng: np.random.Generator, whole: int) -> list[int]:
    lengths: list[int] = []
    while (left := whole - sum(lengths)) > 0:
        length = int(rng.integers(*SCENE))
        lengths.append(left if left < length + SCENE[0] else length)
    return lengths


def _schedule(
    rng: np.random.Generator, child: Child, starts_s: np.ndarray, states: list[str], whole_s: float
) -> list[Spasm]:
    """The spasms of a recording in order, without overlap."""
    wakings_s = [start_s for start_s, a, b in zip(starts_s[1:], states, states[1:], strict=False) if a == "sleep" != b]
    sampled: list[Spasm] = []
    for _ in range(rng.poisson(CLUSTERS * (whole_s + BEFORE_S) / 600)):
        onset_s = rng.uniform(-BEFORE_S, whole_s)  # some clusters have begun already
        if wakings_s and rng.random() < AFTER_WAKING:
            onset_s = rng.choice(wakings_s) + rng.uniform(0, 90)
        sampled += sample_cluster(rng, child.semiology, onset_s)
    single = CLUSTERS * SPASMS_OF_CLUSTER * (1 - IN_CLUSTERS) / IN_CLUSTERS * whole_s / 600
    sampled += [sample_spasm(rng, child.semiology, rng.uniform(0, whole_s)) for _ in range(rng.poisson(single))]
    spasms: list[Spasm] = []
    for spasm in sorted(sampled, key=lambda spasm: spasm.onset_s):
        if 0 <= spasm.onset_s < whole_s - 0.4 and not (spasms and spasm.onset_s < spasms[-1].end_s + 0.2):
            spasms.append(spasm)
    return spasms
