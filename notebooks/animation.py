"""A GIF of segments side by side, small enough to be stored in a notebook."""

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

from spasm.data.landmarks import EDGES, INDEX, LANDMARKS
from spasm.data.pose import FPS, visible_mask
from spasm.report.figures import BLUE, FAINT, INK, ORANGE

CELL, TOP, BOTTOM = 320, 52, 30  # pixels: a side of a skeleton's square, the title above it, the time below
SMOOTH = 2  # times as large, then reduced
EVERY = 3  # frames: 10 pictures a second
SHADE = "#d9d9de"  # where a true event lies
# White, and each colour in three strengths, for smooth edges.
PALETTE = [255] * 3 + [
    round(255 + strength * (value - 255))
    for colour in (INK, BLUE, ORANGE, FAINT, SHADE)
    for strength in (1, 0.67, 0.33)
    for value in ImageColor.getrgb(colour)
]


def animate(poses: np.ndarray, titles: Sequence[str], events: Sequence[Sequence[tuple[float, float, str]]]) -> bytes:
    """A GIF of segments, poses (N, T, 33, 5), in real time; below each the time, with its true events in grey.

    titles: lines of text above each; events: first and last frame and kind, for each segment. Every pose fills its
    square, so that sizes cannot be compared.
    """
    places = [_fit(pose) for pose in poses]
    shown = range(0, poses.shape[1], EVERY)
    pictures = [_picture(places, titles, events, frame, poses.shape[1]) for frame in shown]
    palette = Image.new("P", (1, 1))
    palette.putpalette(PALETTE)
    pictures = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    with io.BytesIO() as file:
        duration_ms = round(1000 * EVERY / FPS)
        pictures[0].save(file, "GIF", save_all=True, append_images=pictures[1:], duration=duration_ms, loop=0)
        return file.getvalue()


def to_html(gif: bytes, description: str) -> str:
    """The GIF inside an <img>, which every viewer of notebooks shows."""
    return f'<img alt="{description}" src="data:image/gif;base64,{base64.b64encode(gif).decode()}">'


def _fit(pose: np.ndarray) -> np.ndarray:
    """Where the landmarks of a pose (T, 33, 5) lie in its square, (T, 33, 2) pixels; NaN: not found."""
    points = np.where(visible_mask(pose)[..., None], pose[..., :2], np.nan)
    if not np.isfinite(points).any():
        return points
    low, high = np.nanquantile(points, (0.002, 0.998), axis=(0, 1))
    size = 0.86 * CELL / max((high - low).max(), 1e-6)
    return (points - (low + high) / 2) * size + CELL / 2


def _picture(
    places: Sequence[np.ndarray],
    titles: Sequence[str],
    events: Sequence[Sequence[tuple[float, float, str]]],
    frame: int,
    frames: int,
) -> Image.Image:
    width, height = CELL * len(places), TOP + CELL + BOTTOM
    image = Image.new("RGB", (width * SMOOTH, height * SMOOTH), "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(16 * SMOOTH)
    for number, (points, title) in enumerate(zip(places, titles, strict=True)):
        left, bar, y = number * CELL * SMOOTH, (CELL - 24) * SMOOTH, (TOP + CELL + 12) * SMOOTH
        draw.text((left + 12 * SMOOTH, 6 * SMOOTH), title, INK, font)
        _skeleton(draw, points[frame], (left, TOP * SMOOTH))
        if not np.isfinite(points[frame]).any():
            draw.text((left + CELL * SMOOTH // 2, (TOP + CELL // 2) * SMOOTH), "no pose", FAINT, font, anchor="mm")
        start = left + 12 * SMOOTH
        for first, last, _ in events[number]:
            draw.rectangle((start + bar * first / frames, y - 8 * SMOOTH, start + bar * last / frames, y + 8 * SMOOTH),
                           SHADE)  # fmt: skip
        draw.line((start, y, start + bar, y), FAINT, 2 * SMOOTH)
        x = start + bar * frame / frames
        draw.rectangle((x - 2 * SMOOTH, y - 8 * SMOOTH, x + 2 * SMOOTH, y + 8 * SMOOTH), INK)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def _skeleton(draw: ImageDraw.ImageDraw, points: np.ndarray, corner: tuple[int, int]) -> None:
    """One pose, (33, 2) pixels in its square; left thick and blue, right thin and orange."""
    places = points * SMOOTH + corner
    for a, b in EDGES:
        if np.isfinite(places[[a, b]]).all() and (a > 10 or b > 10):  # without the lines of the face
            side = {LANDMARKS[a].split("_")[0], LANDMARKS[b].split("_")[0]}
            colour, width = (BLUE, 5) if side == {"left"} else (ORANGE, 3) if side == {"right"} else (INK, 2)
            draw.line((*places[a], *places[b]), colour, width * SMOOTH)
    x, y = places[INDEX["nose"]]
    if np.isfinite(x):
        radius = 6 * SMOOTH
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), INK)
