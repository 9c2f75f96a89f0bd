"""Previews of the simulator: contact sheets and short animations of each behaviour."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from spasm.data.landmarks import INDEX, MEDIAPIPE_EDGES
from spasm.data.pose import FPS
from spasm.simulation.behaviours import Behaviour, Performer, camera_jerk, kick
from spasm.simulation.body import JOINTS, POSTURES, of_joints
from spasm.simulation.camera import photograph
from spasm.simulation.infant import (
    FIDGETY_MONTHS,
    STILLED,
    SimulationConfig,
    move,
    pose_landmarks,
    sample_child,
    sample_video,
    simulate_child,
)
from spasm.simulation.pose_noise import apply_pose_noise, native_times
from spasm.simulation.repertoire import REPERTOIRE
from spasm.simulation.spasms import GRIMACE, NOD, REACH, SHRUG, Spasm, varied

LEFT, RIGHT, MIDDLE, MISSING = (38, 92, 200), (205, 75, 40), (60, 60, 60), (235, 235, 235)
SCALE = 3  # painted larger and reduced, for smooth lines
SHOWN_S = 4.0
CELL = 132  # pixels
SHEET_VIDEOS, SHEET_FRAMES = 12, 6
# For each behaviour: the posture, the age in months, and the state.
SHOWN = {
    "kick_alternating": ("supine", 4, "active"), "kick_unilateral": ("supine", 5, "active"),
    "kick_bilateral": ("supine", 8, "active"), "arm_wave": ("bouncer", 7, "active"), "reach": ("chair", 6, "rest"),
    "head_turn": ("supine", 6, "rest"), "cry": ("supine", 5, "fussing"), "startle": ("supine", 4, "sleep"),
    "moro": ("supine", 4, "rest"), "sleep_myoclonus": ("supine", 4, "sleep"), "shudder": ("chair", 9, "rest"),
    "reflux": ("held", 5, "rest"), "lifted": ("bouncer", 6, "rest"), "touched": ("supine", 6, "rest"),
    "rocked": ("held", 5, "rest"), "patted": ("held", 5, "rest"), "limbs_moved": ("supine", 5, "rest"),
    "turned_to_side": ("supine", 5, "rest"), "pulled_to_sit": ("supine", 4, "rest"),
    "camera_jerk": ("supine", 6, "rest"),
}  # fmt: skip
SUBTLE: dict[str, Mapping[str, float]] = {
    "nod": NOD,
    "shrug": SHRUG,
    "grimace": {name: GRIMACE * by for name, by in REACH["flexor"].items()},
}
SPASM_POSTURES = {"spasm_mixed": "bouncer", "spasm_nod": "chair", "spasm_shrug": "held"}
SPASMS = {f"spasm_{kind}": reach for kind, reach in {**REACH, **SUBTLE}.items()}


def behaviour_names() -> list[str]:
    """The names that `record_behaviour` accepts."""
    return [*SHOWN, *SPASMS]


def record_behaviour(name: str, seed: int) -> tuple[np.ndarray, np.ndarray, float]:
    """One behaviour from 0.6 s on: the picture (T, 33, 3) without noise, as sensed (T, 33, 5), and the aspect."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, behaviour_names().index(name)])))
    posture, age, state = SHOWN.get(name, (SPASM_POSTURES.get(name, "supine"), 7, "rest"))
    child = dataclasses.replace(
        sample_child(rng, "patient", SimulationConfig()), age_months=age, rest=np.zeros(len(JOINTS))
    )
    video = sample_video(rng, child, "home")
    camera = dataclasses.replace(
        video.camera, aspect=1.0, hand_held=False, turn=np.deg2rad(12), tilt=np.deg2rad(-8), roll=0.0, distance_m=1.1,
        focal=1.35, place=np.array([0.0, -0.02]), target=np.array([0, 0.06, 0.05]),
    )  # fmt: skip
    sensor = dataclasses.replace(video.sensor, native_fps=FPS, missing=0.05, swapped=False)
    video = dataclasses.replace(
        video, posture=posture, camera=camera, sensor=sensor, angles=of_joints(POSTURES[posture].rest)
    )
    frames = round(SHOWN_S * FPS)
    t = native_times(rng, sensor, frames)
    still = [(0.5, SHOWN_S, STILLED)] if name in SPASMS else []
    if state == "active" and age < FIDGETY_MONTHS:
        state = "fidgety"
    moved = move(rng, child, video, state, [sample_behaviour(rng, name, age)], still, t)
    picture = photograph(camera, pose_landmarks(child, moved), moved)
    return picture, apply_pose_noise(rng, sensor, camera, picture, t, frames), camera.aspect


def sample_behaviour(rng: np.random.Generator, name: str, age_months: float, at_s: float = 0.6) -> Behaviour:
    """The behaviour of this name, of usual strength."""
    mover = Performer(age_months, 1.0, 1.0, 1.0)
    if name in SPASMS:
        reach = varied(rng, SPASMS[name])
        kind = name.removeprefix("spasm_")
        return Spasm(kind, at_s, 0.25, 0.5, 1.0, reach, np.zeros(reach.size)).behaviour()
    if name.startswith("kick"):
        return kick(rng, mover, at_s, name)
    if name == "camera_jerk":
        return camera_jerk(rng, mover, at_s)
    return REPERTOIRE[name][0](rng, mover, at_s)


def behaviour_sheet(seed: int) -> Image.Image:
    """One row a behaviour, a picture every 0.3 s, without noise."""
    rows = []
    for name in behaviour_names():
        picture, _, aspect = record_behaviour(name, seed)
        rows.append((name, [(picture[i], aspect, f"{i / FPS:.1f} s") for i in range(9, len(picture), 9)]))
    return _sheet(rows)


def segment_sheet(seed: int, world: SimulationConfig) -> Image.Image:
    """Segments as they are written, one row each, a picture every twelfth of it; some of them hold a spasm."""
    rows = []
    for child in range(1, 25):
        segment = next(simulate_child(seed, child, 1, world))
        event = "".join(f", {e.kind} {e.start / FPS:.1f}-{e.end / FPS:.1f} s" for e in segment.events)
        name = f"{segment.posture}, {segment.camera}{event}"
        ratio = segment.aspect
        step = max(1, world.frames // 12)
        rows.append((name, [(segment.pose[i], ratio, f"{i / FPS:.1f} s") for i in range(0, world.frames, step)]))
    return _sheet(rows)


def animate(name: str, seed: int) -> list[Image.Image]:
    """An animation with 15 pictures per second: on the left the child, on the right the estimated pose."""
    picture, sensed, aspect = record_behaviour(name, seed)
    images = []
    for clean, seen in list(zip(picture, sensed, strict=True))[::2]:
        image = Image.new("RGB", (2 * CELL, CELL), "white")
        image.paste(paint_pose(clean, aspect), (0, 0))
        image.paste(paint_pose(seen, aspect), (CELL, 0))
        images.append(image.quantize(32, Image.Quantize.FASTOCTREE))
    return images


def paint_pose(landmarks: np.ndarray, aspect: float, size: int = CELL) -> Image.Image:
    """One frame, (33, 3 or more): left blue, right red, the picture's border grey; all grey when missing."""
    if not np.isfinite(landmarks[:, :2]).all():
        return Image.new("RGB", (size, size), MISSING)
    whole = size * SCALE
    image = Image.new("RGB", (whole, whole), "white")
    draw = ImageDraw.Draw(image)
    unit = 0.8 * whole / max(aspect, 1.0)  # of a picture height; with a margin of a tenth of the cell
    corner = np.array([(whole - unit * aspect) / 2, (whole - unit) / 2])
    at = corner + np.clip(landmarks[:, :2], -5, 5) * (unit * aspect, unit)
    draw.rectangle([*corner, corner[0] + unit * aspect, corner[1] + unit], outline=(205, 205, 215), width=SCALE)
    ears = at[[INDEX["left_ear"], INDEX["right_ear"]]]
    middle, radius = ears.mean(axis=0), max(0.6 * float(np.linalg.norm(ears[0] - ears[1])), 0.02 * whole)
    draw.ellipse([*(middle - radius), *(middle + radius)], outline=(190, 190, 190), width=SCALE)
    for a, b in MEDIAPIPE_EDGES:
        colour = MIDDLE if a < 11 or (a, b) in ((11, 12), (23, 24)) else LEFT if a % 2 else RIGHT
        draw.line([tuple(at[a]), tuple(at[b])], fill=colour, width=2 * SCALE if a >= 11 else SCALE)
    return image.reduce(SCALE)


def _sheet(rows: list[tuple[str, list[tuple[np.ndarray, float, str]]]]) -> Image.Image:
    font, text = ImageFont.load_default(13), 18
    across = max(len(cells) for _, cells in rows)
    image = Image.new("RGB", (across * CELL, len(rows) * (CELL + text)), "white")
    draw = ImageDraw.Draw(image)
    for y, (name, cells) in enumerate(rows):
        top = y * (CELL + text)
        draw.text((4, top + 1), name, fill="black", font=font)
        for x, (landmarks, aspect, when) in enumerate(cells):
            image.paste(paint_pose(landmarks, aspect), (x * CELL, top + text))
            draw.text((x * CELL + 3, top + text), when, fill=(150, 150, 150), font=ImageFont.load_default(9))
    return image


def video_sheet(paths: Sequence[Path]) -> Image.Image:
    """One row a video, its frames at SHEET_FRAMES evenly spaced times."""
    import cv2

    image = Image.new("RGB", (SHEET_FRAMES * 2 * CELL, len(paths) * 2 * CELL), "white")
    for row, path in enumerate(paths):
        video = cv2.VideoCapture(str(path))
        count = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        wanted = {int((place + 0.5) * count / SHEET_FRAMES): place for place in range(SHEET_FRAMES)}
        for number in range(count):
            found, frame = video.read()
            if found and number in wanted:
                cell = Image.fromarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
                cell.thumbnail((2 * CELL, 2 * CELL))
                image.paste(cell, (wanted[number] * 2 * CELL, row * 2 * CELL))
        video.release()
    return image


def pictures(seed: int, world: SimulationConfig) -> Iterator[tuple[str, list[Image.Image]]]:
    """File names and the pictures in each; more than one are an animation."""
    yield "behaviours.png", [behaviour_sheet(seed)]
    yield "segments.png", [segment_sheet(seed, world)]
    for name in behaviour_names():
        yield f"{name}.gif", animate(name, seed)
