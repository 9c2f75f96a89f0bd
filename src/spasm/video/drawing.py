"""Draw on the pictures of a video: skeletons, blurred faces, and the contact sheet of six frames."""

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spasm.core.errors import DataError
from spasm.core.files import open_regular
from spasm.data.landmarks import MEDIAPIPE_EDGES
from spasm.video.tracking import FACE, Person, Picture, in_pixels, size

TILES, TILE_WIDTH = 6, 480  # frames of a contact sheet, and the width of each in pixels
CHILD, OTHER, TEXT = (40, 220, 40), (230, 120, 30), (255, 255, 255)  # RGB
HEAD_OF_FACE = 1.5  # radius of a head by the longer side of the box around the landmarks of the face
HEAD_OF_SIZE = 0.55  # radius of a head by the size of head and shoulders; the larger of both is taken
GROWTH_A_SECOND = 1.0  # of that radius, for each second since the head was found
MOST_GROWTH = 1.6  # of that radius
REMEMBERED_S = 0.5  # a person seen for a short time is blurred for so long before and after
LONG_S = 1.0  # seen for longer, a person is blurred in the whole video
BLOCKS = 5  # of a blurred face, in each direction


class Heads(NamedTuple):
    """Where to blur: the heads of P people in F frames."""

    times_s: np.ndarray
    """(F,) time of each frame in s."""
    circles: np.ndarray
    """(P, F, 3) float32: x, y and radius in pixels; NaN where no head is known."""

    def at(self, time_s: float) -> np.ndarray:
        """The circles (N, 3) at a time."""
        frame = int(np.abs(self.times_s - time_s).argmin())
        circles = self.circles[:, frame]
        return circles[np.isfinite(circles).all(axis=1)]


def heads_of(people: Sequence[Person], times_s: np.ndarray) -> Heads:
    """The heads of people in frames at times (F,): in frames without a person, where the nearest frame has them.

    The circle grows with the time to that frame, because the head has moved since.
    """
    circles = np.full((len(people), len(times_s), 3), np.nan, np.float32)
    for row, person in zip(circles, people, strict=True):
        known = np.array([_head(pose, person.picture) for pose in person.poses])
        seen_s = times_s[person.frames]
        nearest = np.abs(seen_s[:, None] - times_s).argmin(axis=0) if len(seen_s) < 2 else _nearest(seen_s, times_s)
        away_s = np.abs(seen_s[nearest] - times_s)
        row[:] = known[nearest]
        row[:, 2] *= np.minimum(1 + GROWTH_A_SECOND * away_s, MOST_GROWTH)
        if seen_s[-1] - seen_s[0] < LONG_S:
            row[away_s > REMEMBERED_S] = np.nan
    return Heads(times_s, circles)


def _nearest(rising: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The index of the nearest of rising numbers (N,) to each wanted one (M,)."""
    after = np.clip(np.searchsorted(rising, wanted), 1, len(rising) - 1)
    return np.where(wanted - rising[after - 1] <= rising[after] - wanted, after - 1, after)


def _head(pose: np.ndarray, picture: Picture) -> tuple[float, float, float]:
    """Middle and radius of a person's head in pixels, generously; around all landmarks where the face is missing."""
    places = in_pixels(pose, picture)
    face = places[list(FACE)]
    face = face[np.isfinite(face).all(axis=1)]
    if not len(face):
        found = places[np.isfinite(places).all(axis=1)]
        x, y = found.mean(axis=0)
        return x, y, float(np.ptp(found, axis=0).max()) / 2
    x, y = face.mean(axis=0)
    return x, y, max(HEAD_OF_FACE * float(np.ptp(face, axis=0).max()), HEAD_OF_SIZE * size(pose, picture))


def blur(pixels: np.ndarray, circles: np.ndarray) -> np.ndarray:
    """A copy of a picture (H, W, 3) whose heads, circles (N, 3), are a few large blocks of colour."""
    import cv2

    pixels = pixels.copy()
    height, width = pixels.shape[:2]
    for x, y, radius in circles:
        left, right = (int(np.clip(x + side * radius, 0, width)) for side in (-1, 1))
        top, bottom = (int(np.clip(y + side * radius, 0, height)) for side in (-1, 1))
        if right - left > 1 and bottom - top > 1:
            part = cv2.resize(pixels[top:bottom, left:right], (BLOCKS, BLOCKS), interpolation=cv2.INTER_AREA)
            pixels[top:bottom, left:right] = cv2.resize(
                part, (right - left, bottom - top), interpolation=cv2.INTER_LINEAR
            )
    return pixels


def draw_skeleton(pixels: np.ndarray, pose: np.ndarray, colour: tuple[int, int, int]) -> None:
    """Draw a pose (33, 5) into a picture (H, W, 3)."""
    import cv2

    height, width = pixels.shape[:2]
    places = in_pixels(pose, (width, height))
    fine = np.isfinite(places).all(axis=1) & (np.abs(places) < 4 * max(width, height)).all(axis=1)
    line = max(1, round(min(width, height) / 200))
    points = np.where(fine[:, None], places, 0).round().astype(int).tolist()
    for a, b in MEDIAPIPE_EDGES:
        if fine[a] and fine[b]:
            cv2.line(pixels, points[a], points[b], colour, line, cv2.LINE_AA)


def write(pixels: np.ndarray, text: str, place: tuple[int, int], scale: float = 0.5) -> None:
    """Write white text on a dark ground into a picture; only ASCII can be shown."""
    import cv2

    text = text.encode("ascii", "replace").decode()
    (width, height), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    x, y = place
    cv2.rectangle(pixels, (x - 3, y - height - 4), (x + width + 3, y + below), (30, 30, 30), -1)
    cv2.putText(pixels, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, TEXT, 1, cv2.LINE_AA)


def sheet_frames(child: Person | None, frames: int) -> list[int]:
    """The frames of a contact sheet: evenly over the video, each moved to a near frame that shows the child."""
    even = np.linspace(0, frames - 1, min(TILES, frames)).round().astype(int).tolist()
    if child is None:
        return even
    seen = np.array(child.frames)
    near = [int(seen[np.abs(seen - frame).argmin()]) for frame in even]
    reach = frames / (2 * TILES)
    return sorted({moved if abs(moved - frame) <= reach else frame for moved, frame in zip(near, even, strict=True)})


def contact_sheet(
    pictures: Iterable[tuple[int, float, np.ndarray]], people: Sequence[Person], heads: Heads, title: str
) -> bytes:
    """JPEG of frames in rows of three: the child, the first of the people, in green, others in orange, faces blurred.

    pictures: number, time in s and picture (H, W, 3) of each frame to show.
    """
    import cv2

    tiles = []
    for number, time_s, pixels in pictures:
        tile = blur(pixels, heads.at(time_s))
        height = round(TILE_WIDTH * tile.shape[0] / tile.shape[1])
        tile = cv2.resize(tile, (TILE_WIDTH, height), interpolation=cv2.INTER_AREA)
        for rank, person in reversed(list(enumerate(people))):
            if number in person.frames:
                draw_skeleton(tile, person.poses[person.frames.index(number)], CHILD if rank == 0 else OTHER)
        write(tile, f"{time_s:.1f} s", (8, height - 10))
        tiles.append(tile)
    while len(tiles) % 3:
        tiles.append(np.zeros_like(tiles[0]))
    rows = [np.hstack(tiles[k : k + 3]) for k in range(0, len(tiles), 3)]
    head = np.full((44, rows[0].shape[1], 3), 30, np.uint8)
    write(head, title, (8, 18))
    write(
        head, "green: followed as the child; orange: others; faces are blurred as far as they were found", (8, 37), 0.45
    )
    return encode(np.vstack([head, *rows]), ".jpg")


def encode(pixels: np.ndarray, suffix: str) -> bytes:
    """A picture (H, W, 3) RGB as an image file's bytes."""
    import cv2

    return bytes(cv2.imencode(suffix, np.ascontiguousarray(pixels[:, :, ::-1]))[1])


def heads_bytes(heads: Heads) -> bytes:
    """The bytes of a file of heads, for a preview video later."""
    content = io.BytesIO()
    np.savez_compressed(content, times_s=heads.times_s, circles=heads.circles)
    return content.getvalue()


def read_heads(path: Path) -> Heads:
    """The heads in a file. Raises DataError for another file."""
    with open_regular(path) as (file, _):
        try:
            with np.load(file, allow_pickle=False) as kept:
                heads = Heads(kept["times_s"], kept["circles"])
            if heads.times_s.ndim != 1 or not len(heads.times_s) or heads.circles.shape[1:] != (len(heads.times_s), 3):
                raise ValueError(f"its shape is {heads.circles.shape}")
        except Exception as error:  # a damaged archive raises nearly anything
            hint = "delete it, and extract the video again"
            raise DataError(path, f"is no file of heads ({type(error).__name__}: {error})", hint) from error
    return heads
