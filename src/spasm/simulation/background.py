"""The background of a simulated video: what the child lies or sits on, a room with things, and what moves in it.

Pictures are (blue, green, red) uint8, as OpenCV has them. All numbers are assumed.
"""

import cv2
import numpy as np

from spasm.simulation.appearance import Colour, Look, Take

MARGIN = 0.35  # of the picture's sides, so that a camera that sways still sees background


class Background:
    """The background of one video, (height, width) pixels.

    axis: direction (2,) in the picture from the hips to the head; centre: (2,) pixels of the middle of the child;
    size: its length in pixels; posture: a name in POSTURES.
    """

    def __init__(
        self, look: Look, height: int, width: int, posture: str, centre: np.ndarray, axis: np.ndarray, size: float
    ) -> None:
        self.look, self.height, self.width, self.posture = look, height, width, posture
        self.border = np.array([round(MARGIN * width), round(MARGIN * height)])
        self.centre, self.axis, self.size = centre + self.border, axis, size
        self.rng = np.random.Generator(np.random.PCG64(look.picture_seed))
        whole = (height + 2 * self.border[1], width + 2 * self.border[0])
        lying = posture in ("supine", "prone", "bouncer")
        if look.place == "ward":
            picture = self._ward(*whole)
        elif lying:
            picture = self._floor(*whole)
        else:
            picture = self._room(*whole)
        self.seat(picture)
        self.mover_at = self.rng.uniform(0.1, 0.9, 2)
        self.mover_size = self.rng.uniform(0.06, 0.16) * min(height, width)
        self.picture = cv2.GaussianBlur(picture, (0, 0), 0.8 if lying else 1.6)

    def frame(self, to_picture: np.ndarray | None, time_s: float, take: Take) -> np.ndarray:
        """The background at a time; to_picture: affine (2, 3) of the camera's motion in pixels, None if it is still."""
        x, y = self.border
        if to_picture is None:
            image = self.picture[y : y + self.height, x : x + self.width].copy()
            matrix = np.array([[1.0, 0, 0], [0, 1, 0]])
        else:
            matrix = np.asarray(to_picture, dtype=float)
            shifted = matrix.copy()
            shifted[:, 2] -= matrix[:, :2] @ (x, y)
            image = cv2.warpAffine(self.picture, shifted, (self.width, self.height), borderMode=cv2.BORDER_REPLICATE)
        self._mover(image, matrix, time_s, take.phase)
        return image

    # ---- what moves

    def _mover(self, image: np.ndarray, matrix: np.ndarray, time_s: float, phase: float) -> None:
        look, size = self.look, self.mover_size
        if look.mover == "none":
            return
        at = self.mover_at * (self.width, self.height)
        if look.mover == "toy":  # a pet or a toy on wheels
            slow = np.array([np.sin(0.5 * time_s + phase), np.sin(0.31 * time_s + 2 * phase)])
            at = matrix[:, :2] @ (at + slow * 2.2 * size) + matrix[:, 2]
            step = 0.25 * size * np.sin(6 * time_s + phase)
            _ball(image, at, 1.1 * size, look.colours[4])
            _ball(image, at + np.array([0.9 * size, -0.6 * size + step]), 0.6 * size, look.colours[4])
            _ball(image, at + np.array([1.1 * size, -0.7 * size + step]), 0.12 * size, (20, 20, 20))
        elif look.mover == "curtain":
            right = look.arm_from > 0.5
            folds = 7
            for fold in range(folds):
                sway = 0.35 * size * np.sin(1.1 * time_s + phase + 0.7 * fold)
                x = (
                    (self.width - 0.25 * self.width * (fold + 0.5) / folds)
                    if right
                    else 0.25 * self.width * fold / folds
                )
                shade = 0.75 + 0.25 * np.cos(2.4 * fold)
                a, b = (
                    matrix[:, :2] @ (x + k * sway, y) + matrix[:, 2] for k, y in ((0, -20), (1, 0.55 * self.height))
                )
                cv2.line(image, _pixel(a), _pixel(b), _times(look.colours[5], shade), max(1, round(0.05 * self.width)))
        else:  # a screen that flickers
            level = 0.55 + 0.3 * np.sin(7 * time_s + phase) * np.sin(1.3 * time_s + 2 * phase)
            hue = 0.5 + 0.5 * np.sin(np.array([0.7, 0.9, 1.1]) * time_s + phase + np.arange(3))
            reach = np.array([1.4 * size, 0.9 * size])
            ends = [matrix[:, :2] @ p + matrix[:, 2] for p in (at - reach, at + reach)]
            cv2.rectangle(image, _pixel(ends[0] - 3), _pixel(ends[1] + 3), (25, 25, 25), -1)
            cv2.rectangle(image, _pixel(ends[0]), _pixel(ends[1]), tuple(float(v) for v in 235 * level * hue), -1)

    # ---- what does not

    def _floor(self, height: int, width: int) -> np.ndarray:
        """Seen from above: a floor or bed, on it a mat or blanket, around it things."""
        look, rng = self.look, self.rng
        picture = texture(
            rng, height, width, "planks" if rng.random() < 0.4 else "clouds", look.colours[0], look.colours[3]
        )
        for _ in range(rng.integers(0, 3)):
            self._furniture(picture)
        mat = texture(rng, height, width, look.surface, look.colours[1], look.colours[2])
        across = np.array([-self.axis[1], self.axis[0]])
        long, wide = self.size * rng.uniform(0.7, 1.3), self.size * rng.uniform(0.55, 1.1)
        corners = [
            self.centre + a * long * self.axis + b * wide * across + rng.normal(0, 0.05 * self.size, 2)
            for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))
        ]
        mask = np.zeros((height, width), np.uint8)
        cv2.fillPoly(mask, [np.array(corners, np.int32)], 255)
        shade = cv2.GaussianBlur(np.roll(mask, 4, axis=(0, 1)), (0, 0), 5)
        picture = cv2.subtract(picture, cv2.cvtColor(shade // 6, cv2.COLOR_GRAY2BGR))
        cv2.copyTo(mat, mask, picture)
        for _ in range(rng.integers(2, 9)):
            self._thing(picture)
        return picture

    def _room(self, height: int, width: int) -> np.ndarray:
        """Seen from the side: a wall, pictures, a shelf or a sofa, things."""
        look, rng = self.look, self.rng
        picture = texture(
            rng, height, width, look.surface if rng.random() < 0.4 else "clouds", look.colours[0], look.colours[3]
        )
        line = round(height * rng.uniform(0.55, 0.8))
        picture[line:] = texture(rng, height - line, width, "planks", look.colours[1], look.colours[2])
        for _ in range(rng.integers(2, 6)):
            self._furniture(picture)
        for _ in range(rng.integers(3, 10)):
            self._thing(picture)
        if self.posture == "held":
            self._adult(picture)
        return picture

    def _ward(self, height: int, width: int) -> np.ndarray:
        """A hospital bed: a white sheet with creases, rails on both sides, a monitor and its cables."""
        look, rng = self.look, self.rng
        picture = texture(rng, height, width, "plain", look.colours[2], look.colours[3])
        across = np.array([-self.axis[1], self.axis[0]])
        long, wide = 1.25 * self.size, 0.72 * self.size
        corners = [
            self.centre + a * long * self.axis + b * wide * across for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))
        ]
        sheet = texture(rng, height, width, "clouds", look.colours[0], (250, 250, 250))
        mask = np.zeros((height, width), np.uint8)
        cv2.fillPoly(mask, [np.array(corners, np.int32)], 255)
        cv2.copyTo(sheet, mask, picture)
        thick = max(2, round(0.022 * self.size))
        for side in (-1, 1):
            for out in (0.72, 0.86):
                ends = [self.centre + a * long * self.axis + side * out * self.size * across for a in (-1, 1)]
                cv2.line(picture, _pixel(ends[0]), _pixel(ends[1]), (150, 145, 140), 2 * thick, cv2.LINE_AA)
                cv2.line(picture, _pixel(ends[0]), _pixel(ends[1]), (215, 212, 208), thick, cv2.LINE_AA)
            for along in np.linspace(-1, 1, 12):
                foot = self.centre + along * long * self.axis
                bars = [foot + side * out * self.size * across for out in (0.72, 0.86)]
                cv2.line(picture, _pixel(bars[0]), _pixel(bars[1]), (200, 197, 192), thick, cv2.LINE_AA)
        at = self.centre + 1.0 * self.size * self.axis + 1.05 * self.size * across
        cv2.rectangle(picture, _pixel(at - 0.16 * self.size), _pixel(at + 0.16 * self.size), (60, 55, 50), -1)
        cv2.rectangle(picture, _pixel(at - 0.12 * self.size), _pixel(at + 0.12 * self.size), (60, 110, 40), -1)
        return picture

    def seat(self, picture: np.ndarray) -> None:
        """A bouncer's shell or a chair's back behind the child."""
        look, across = self.look, np.array([-self.axis[1], self.axis[0]])
        if self.posture not in ("bouncer", "chair"):
            return
        wide, top, bottom = (0.36, 0.78, 0.75) if self.posture == "bouncer" else (0.32, 0.55, 0.5)
        left = ((-bottom, -0.9), (0, -1.1), (0.6 * top, -1), (top, -0.55))
        corners = (*left, *((along, -side) for along, side in reversed(left)))
        outline = [self.centre + self.size * (a * self.axis + b * wide * across) for a, b in corners]
        for grow, shade in ((1.12, 0.55), (1.06, 0.8), (1.0, 1.0), (0.85, 1.08)):
            points = [self.centre + grow * (point - self.centre) for point in outline]
            cv2.fillPoly(picture, [np.array(points, np.int32)], _times(look.colours[6], shade), cv2.LINE_AA)

    def _adult(self, picture: np.ndarray) -> None:
        """The trunk and the upper arm of the person who holds the child."""
        look, rng = self.look, self.rng
        below = self.centre + self.size * np.array([rng.normal(0, 0.15), 0.6])
        lean = rng.choice([-1, 1]) * rng.uniform(0.1, 0.5)
        above = self.centre + self.size * np.array([lean, -0.25])
        for layer in range(6):
            shade = 0.6 + 0.09 * layer
            radius = self.size * (0.62 - 0.06 * layer)
            cv2.line(
                picture,
                _pixel(below),
                _pixel(above),
                _times(look.sleeve, shade),
                max(1, round(2 * radius)),
                cv2.LINE_AA,
            )
        neck = above + self.size * np.array([0.1 * lean, -0.62])
        for layer in range(4):
            _ball(picture, neck, self.size * (0.2 - 0.03 * layer), _times(look.adult_skin, 0.75 + 0.08 * layer))

    def _furniture(self, picture: np.ndarray) -> None:
        """A box with texture, a frame, or a cushion, somewhere but not over the child."""
        rng, (height, width) = self.rng, picture.shape[:2]
        colours = [self.look.colours[i] for i in rng.integers(0, 8, 2)]
        wide, high = rng.uniform(0.12, 0.5, 2) * (width, height)
        x, y = rng.uniform(-0.1, 0.9) * width, rng.uniform(-0.1, 0.9) * height
        left, top = max(0, int(x)), max(0, int(y))
        right, bottom = min(width, int(x + wide)), min(height, int(y + high))
        if right - left < 4 or bottom - top < 4:
            return
        kind = str(rng.choice(["plain", "clouds", "stripes", "planks", "checks"]))
        picture[top:bottom, left:right] = texture(rng, bottom - top, right - left, kind, *colours)
        if rng.random() < 0.6:
            cv2.rectangle(picture, (left, top), (right, bottom), _times(colours[0], 0.5), int(rng.integers(1, 6)))

    def _thing(self, picture: np.ndarray) -> None:
        """A ball, a ring, a block or a bear."""
        rng, (height, width) = self.rng, picture.shape[:2]
        at = rng.uniform(0, 1, 2) * (width, height)
        radius = rng.uniform(0.02, 0.08) * min(self.height, self.width)
        if np.linalg.norm(at - self.centre) < 0.35 * self.size:
            return
        colour, second = (self.look.colours[i] for i in rng.integers(0, 8, 2))
        kind = rng.choice(["ball", "ring", "block", "bear", "cloth"])
        cv2.circle(
            picture,
            _pixel(at + 0.15 * radius),
            round(1.15 * radius),
            _times(self.look.colours[1], 0.55),
            -1,
            cv2.LINE_AA,
        )
        if kind == "ball":
            _ball(picture, at, radius, colour)
        elif kind == "ring":
            cv2.circle(picture, _pixel(at), round(radius), colour, max(2, round(0.4 * radius)), cv2.LINE_AA)
        elif kind == "bear":
            for dx, dy, share in (
                (0, 0, 1.0),
                (0, -1.3, 0.7),
                (-0.55, -1.9, 0.28),
                (0.55, -1.9, 0.28),
                (-0.9, 0.5, 0.4),
                (0.9, 0.5, 0.4),
            ):
                _ball(picture, at + radius * np.array([dx, dy]), share * radius, colour)
        else:
            box = cv2.boxPoints(((float(at[0]), float(at[1])), (2.0 * radius, 1.6 * radius), float(rng.uniform(0, 90))))
            cv2.fillPoly(picture, [box.astype(np.int32)], colour, cv2.LINE_AA)
            cv2.polylines(picture, [box.astype(np.int32)], True, second, max(1, round(0.2 * radius)), cv2.LINE_AA)


def texture(rng: np.random.Generator, height: int, width: int, kind: str, colour: Colour, second: Colour) -> np.ndarray:
    """A surface (height, width, 3) uint8: a name in SURFACES, or planks."""
    picture = np.empty((height, width, 3), np.uint8)
    picture[:] = colour
    step = int(rng.integers(10, 40))
    x, y = np.arange(width, dtype=np.int32)[None, :], np.arange(height, dtype=np.int32)[:, None]
    if rng.random() < 0.5:
        tilt = rng.uniform(-0.8, 0.8)
        x, y = (x + tilt * y).astype(np.int32), (y - tilt * x).astype(np.int32)
    if kind == "checks":
        _fill(picture, ((x // step) % 2) ^ ((y // step) % 2) == 1, second)
    elif kind == "stripes":
        _fill(picture, (x // step) % 2 == 1, second)
    elif kind == "dots":
        _fill(picture, ((x % step) - step / 2) ** 2 + ((y % step) - step / 2) ** 2 < (0.25 * step) ** 2, second)
    elif kind == "planks":
        _fill(picture, y % (2 * step) < 2, _times(colour, 0.6))
    strength = {"clouds": 34, "planks": 16}.get(kind, 12)
    for grain in (9, 40):
        coarse = rng.normal(0, strength, (height // grain + 3, width // grain + 3)).astype(np.float32)
        cloud = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        cv2.add(picture, cv2.merge([np.maximum(cloud, 0).astype(np.uint8)] * 3), dst=picture)
        cv2.subtract(picture, cv2.merge([np.maximum(-cloud, 0).astype(np.uint8)] * 3), dst=picture)
    return picture


def _fill(picture: np.ndarray, where: np.ndarray, colour: Colour) -> None:
    """Paint where `where` is true, which broadcasts to (height, width)."""
    paint = np.empty_like(picture)
    paint[:] = colour
    cv2.copyTo(paint, np.ascontiguousarray(np.broadcast_to(where, picture.shape[:2])).view(np.uint8), picture)


def _ball(picture: np.ndarray, at: np.ndarray, radius: float, colour: Colour) -> None:
    for grow, shade in ((1.0, 0.7), (0.8, 0.9), (0.5, 1.05)):
        where = at - 0.2 * (1 - grow) * radius
        cv2.circle(picture, _pixel(where), max(1, round(grow * radius)), _times(colour, shade), -1, cv2.LINE_AA)


def _pixel(at: np.ndarray) -> tuple[int, int]:
    return round(float(at[0])), round(float(at[1]))


def _times(colour: Colour, by: float) -> Colour:
    return min(255.0, colour[0] * by), min(255.0, colour[1] * by), min(255.0, colour[2] * by)
