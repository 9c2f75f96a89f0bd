"""A tree of simulated general movements in three classes, as the two-stream network reads it, with videos.

Writhing and fidgety movements are those of the simulated infants (infant.py); a poor repertoire repeats a few seconds
of slow movement and lacks both. Infants lie on their backs before a camera on a tripod. Nothing here is clinical.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from joblib import delayed

from spasm.core import files
from spasm.data.formats.two_stream import CLASSES
from spasm.data.pose import FPS
from spasm.simulation.appearance import sample_look, sample_take
from spasm.simulation.dataset_writer import side_by_side
from spasm.simulation.infant import (
    SimulationConfig,
    generator,
    sample_child_and_rng,
    sample_video,
    simulate_scene,
)
from spasm.simulation.videos import check_opencv, opened_video, shown_frames

STATES = dict(zip(CLASSES, ("writhing", "fidgety", "poor"), strict=True))
SETUP, POSTURE = "ward", "supine"
KEY = 9  # in the keys of the random generators
MARKER = "simulated.json"


def write_tree(
    out: Path,
    infants: int,
    seconds: float,
    seed: int,
    workers: int = 0,
    progress: Callable[[Iterable[Any], int], Iterable[Any]] = lambda items, count: items,
) -> None:
    """Write CLASS/subN/video.mp4 and poses.npy for some infants of each class into a new folder.

    workers: 0 means one for each CPU core; no file depends on it. Raises TrainingError without OpenCV.
    """
    check_opencv()
    with files.new_folder(out) as building:
        places = [
            (building / name / f"sub{number}", STATES[name], place * infants + number)
            for place, name in enumerate(CLASSES)
            for number in range(1, infants + 1)
        ]
        jobs = [delayed(_write_infant)(*one, round(seconds * FPS), seed) for one in places]
        for _ in progress(side_by_side(jobs, workers, len(jobs)), len(jobs)):
            pass
        marker = {"simulated": True, "seed": seed, "infants_per_class": infants, "seconds": seconds}
        files.write_json(building / MARKER, marker)


def _write_infant(folder: Path, state: str, child: int, frames: int, seed: int) -> None:
    from spasm.simulation.rendering import render  # here, because it needs OpenCV

    folder.mkdir(parents=True)
    world = SimulationConfig(frames=frames, camera_setup=SETUP)
    _, style = sample_child_and_rng(seed, child, world)
    rng = generator(seed, child, KEY)
    video = sample_video(rng, style, SETUP)
    while video.posture != POSTURE:
        video = sample_video(rng, style, SETUP)
    scene = simulate_scene(rng, style, video, state, [], frames)
    look = sample_look(seed, child, (KEY,), SETUP)
    take = sample_take(seed, child, (KEY,), frames / FPS)
    with opened_video(folder / "video.mp4", FPS) as written:
        for image, count in zip(render(scene, look, take), shown_frames(scene), strict=True):
            for _ in range(count):
                written.add(image)
    files.write_bytes(folder / "poses.npy", files.npy(scene.pose.astype(np.float32)))
