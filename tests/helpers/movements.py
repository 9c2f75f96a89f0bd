"""Small trees of general movements: as pictures, and as videos with the poses of a painted infant."""

from pathlib import Path

import numpy as np
from PIL import Image

from spasm.data.formats.two_stream import CLASSES

TURNS = {"WMs": 0.5, "FMs": 3.0, "PR": 0.0}  # of the limbs in a second
LINES = ((11, 13), (13, 15), (12, 14), (14, 16), (11, 12), (23, 24), (11, 23), (12, 24), (23, 25), (25, 27), (24, 26))
SIZE = (160, 120)  # pixels


def write_pictures(tree: Path, infants: int = 3, frames: int = 31, seed: int = 0) -> Path:
    """A tree of pictures; each class has a flow of its own, and each infant a colour."""
    generator = np.random.default_rng(seed)
    for number, class_name in enumerate(CLASSES):
        for infant in range(1, infants + 1):
            place = tree / class_name / f"sub{infant}"
            colour = generator.integers(60, 250, 3)
            for part in ("224x224", "224x224_flow/X", "224x224_flow/Y"):
                (place / part).mkdir(parents=True)
            for frame in range(frames):
                picture = np.zeros((224, 224, 3), np.uint8)
                picture[40:180, 80:140] = colour
                picture[40 + frame : 60 + frame, 60:160] = colour // 2
                Image.fromarray(picture).save(place / f"224x224/{frame:06}.png", compress_level=1)
                if frame % 5 == 0 and frame:
                    for axis, sign in (("X", 1), ("Y", -1)):
                        flow = np.full((224, 224), 127, np.uint8)
                        flow[60:120, 60:160] = 127 + sign * 40 * (number - 1) + generator.integers(-5, 5)
                        Image.fromarray(flow).save(place / f"224x224_flow/{axis}/{frame:06}.png", compress_level=1)
    return tree


def write_poses(tree: Path, frames: int = 31) -> Path:
    """poses.npy in each infant's folder of a tree; limbs turn as often as is usual in its class."""
    for number, place in enumerate(sorted(path.parent for path in tree.glob("*/*/224x224"))):
        np.save(place / "poses.npy", poses(frames, place.parent.name, number))
    return tree


def poses(frames: int, class_name: str, seed: int) -> np.ndarray:
    """Poses (T, 33, 5) float32 of an infant who lies with the head up."""
    generator = np.random.default_rng(seed)
    places = np.full((33, 2), 0.5)
    places[:11] = np.array([0.5, 0.2]) + generator.uniform(-0.02, 0.02, (11, 2))
    places[[11, 12, 23, 24]] = (0.58, 0.35), (0.42, 0.35), (0.55, 0.65), (0.45, 0.65)
    places[13:23] = generator.uniform((0.3, 0.4), (0.7, 0.6), (10, 2))
    places[25:] = generator.uniform((0.35, 0.7), (0.65, 0.9), (8, 2))
    made = np.ones((frames, 33, 5), np.float32)
    made[..., :2], made[..., 2] = places, 0
    turn = 2 * np.pi * TURNS[class_name] * np.arange(frames)[:, None] / 30 + generator.uniform(0, 6, 33)
    made[:, 13:, 0] += np.where(np.isin(np.arange(13, 33), (23, 24)), 0, 0.04 * np.sin(turn[:, 13:]))
    return made


def write_video(cv2, path: Path, of: np.ndarray, fps: float = 30.0, size=SIZE, seed: int = 0) -> None:
    """A video of these poses before a cluttered background."""
    generator = np.random.default_rng(seed)
    background = generator.integers(0, 120, (size[1], size[0], 3), dtype=np.uint8)
    colour = generator.integers(130, 255, 3).tolist()
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), fps, size)
    for pose in of:
        picture = background.copy()
        xy = np.rint(pose[:, :2] * size).astype(int).tolist()
        for a, b in LINES:
            cv2.line(picture, xy[a], xy[b], colour, 9)
        cv2.circle(picture, xy[0], 11, colour, -1)
        writer.write(picture)
    writer.release()


def write_videos(cv2, tree: Path, infants: int = 2, frames: int = 40) -> Path:
    """A tree of videos with the poses that are in them."""
    for number, class_name in enumerate(CLASSES):
        for infant in range(1, infants + 1):
            place = tree / class_name / f"sub{infant}"
            place.mkdir(parents=True)
            of = poses(frames, class_name, 10 * number + infant)
            np.save(place / "poses.npy", of)
            write_video(cv2, place / "video.mp4", of, seed=infant)
    return tree
