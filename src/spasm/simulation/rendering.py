"""The pictures of a simulated scene: background, shadow, child, caregiver, light, and the noise of a cheap camera.

The child is the true one, before the errors of pose estimation, seen by the same camera as its poses. All numbers
without a source are assumed.
"""

from collections.abc import Iterator

import cv2
import numpy as np

from spasm.simulation.appearance import Look, Take
from spasm.simulation.background import Background
from spasm.simulation.camera import Camera, project
from spasm.simulation.caregiver import Caregiver
from spasm.simulation.head_drawing import Expression
from spasm.simulation.infant import Scene
from spasm.simulation.infant_drawing import Infant, View
from spasm.simulation.shapes import Light, paint, shaded

SHORT_SIDE = 320  # pixels
NOISE_MARGIN = 48
BLOCK = 64  # frames whose shapes are worked out at once
BLINK_S, BLINKS_EVERY_S = 0.2, 4.0


def picture_size(aspect: float) -> tuple[int, int]:
    """Width and height in pixels, even, as codecs need."""
    width, height = (SHORT_SIDE * aspect, SHORT_SIDE) if aspect >= 1 else (SHORT_SIDE, SHORT_SIDE / aspect)
    return 2 * round(width / 2), 2 * round(height / 2)


def render(scene: Scene, look: Look, take: Take) -> Iterator[np.ndarray]:
    """The frames (H, W, 3) uint8, (blue, green, red), of a scene, at its native times."""
    camera, posture, length_m = scene.video.camera, scene.video.posture, scene.child.bones["head"]
    width, height = picture_size(camera.aspect)
    unit = np.array([width / camera.aspect, height])
    resting = np.array([[[0, 0, 0], [0, 0.3, 0]]])  # metres: the hips and the chest of a child who lies straight
    hips, chest = project(camera, resting, np.zeros((1, 4)))[0][0] * unit
    length = float(np.linalg.norm(chest - hips))
    axis = (chest - hips) / length if length > 8 else np.array([0.0, -1.0])
    first = _view(scene, camera, unit, width, length_m, slice(0, 1))
    size = float(np.median(first.scale))
    background = Background(look, height, width, posture, hips + 0.15 * size * axis, axis, size)
    carer = Caregiver(look, take, scene.behaviours, width, height)
    light = Light(np.array(look.light), look.contrast)
    post = _Sensor(look, take, width, height)
    cover = _Cover(look, posture, scene.video.sensor.covered, hips, axis, size)
    rng = np.random.Generator(np.random.PCG64(take.noise_seed))
    blinks_s = np.cumsum(rng.exponential(BLINKS_EVERY_S, 8 + int(2 * (scene.times_s[-1] + 1) / BLINKS_EVERY_S)))
    cries = [b for b in scene.behaviours if b.name == "cry"]
    for start in range(0, len(scene.times_s), BLOCK):
        view = _view(scene, camera, unit, width, length_m, slice(start, start + BLOCK))
        infant = Infant(view, look, light)
        for number in range(len(view.points)):
            time_s, camera_moved = float(scene.times_s[start + number]), scene.camera_moved[start + number]
            moved = _camera_motion(camera_moved, camera, unit) if camera_moved.any() else None
            image = background.frame(moved, time_s, take)
            _darken(image, infant.shadow(number, height, width))
            now = view.frame(number)
            carer.draw(image, now, light, time_s, behind=True)
            shut = scene.state == "sleep" or bool((np.abs(blinks_s - time_s) < BLINK_S / 2).any())
            crying = max((0.6 + 0.4 * np.sin(5.3 * time_s) for b in cries if b.onset_s < time_s < b.end_s), default=0.0)
            infant.draw(image, number, Expression(float(shut), float(crying)))
            cover.draw(image, now, light, moved)
            carer.draw(image, now, light, time_s, behind=False)
            yield post.expose(image, time_s)


def _view(scene: Scene, camera: Camera, unit: np.ndarray, width: int, length_m: float, part: slice) -> View:
    """The child in pixels in some of a scene's frames."""
    places, scale = project(camera, scene.body[part].astype(float), scene.camera_moved[part])
    depths = scene.picture[part, :, 2] * width
    return View(np.concatenate([places * unit, depths[..., None]], axis=-1), scale * unit[1] * length_m)


def _camera_motion(moved: np.ndarray, camera: Camera, unit: np.ndarray) -> np.ndarray:
    """The affine (2, 3) in pixels by which a camera's motion moves what stands still."""
    x, y, roll, zoom = moved
    angle, grow = np.deg2rad(roll), np.exp(zoom)
    turned = grow * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    middle = np.array([0.5 * camera.aspect, 0.5]) + camera.place
    shift = middle + np.array([x, y]) - turned @ middle
    stretch = unit[:, None] / unit[None, :]
    return np.column_stack([turned * stretch, shift * unit])


def _darken(image: np.ndarray, light: np.ndarray) -> None:
    """Take away what a shadow takes: the fraction (h, w) uint8 of the light that is left, 255 is all."""
    rows, columns = (np.flatnonzero((light < 255).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return
    left = cv2.resize(cv2.merge([light] * 3), (image.shape[1], image.shape[0]))
    down, right = image.shape[0] / light.shape[0], image.shape[1] / light.shape[1]
    part = (
        slice(int((rows[0] - 1) * down) if rows[0] else 0, int((rows[-1] + 2) * down)),
        slice(int((columns[0] - 1) * right) if columns[0] else 0, int((columns[-1] + 2) * right)),
    )
    image[part] = cv2.multiply(image[part], left[part], scale=1 / 255)


class _Cover:
    """A blanket over the legs of a child who lies, a tray or table before one who sits."""

    def __init__(
        self, look: Look, posture: str, covered: bool, hips: np.ndarray, axis: np.ndarray, size: float
    ) -> None:
        self.look, self.posture, self.covered, self.hips, self.axis, self.size = (
            look,
            posture,
            covered,
            hips,
            axis,
            size,
        )

    def draw(self, image: np.ndarray, view: View, light: Light, moved: np.ndarray | None) -> None:
        if not self.covered:
            return
        colour = self.look.colours[7]
        across = np.array([-self.axis[1], self.axis[0]])
        if self.posture == "chair":
            corners = [
                self.hips + self.size * (a * self.axis + b * across)
                for a, b in ((0.1, -4), (0.1, 4), (-4, 4), (-4, -4))
            ]
            points = np.array(corners)
            if moved is not None:
                points = points @ moved[:, :2].T + moved[:, 2]
            cv2.fillPoly(image, [np.rint(points).astype(np.int32)], colour, cv2.LINE_AA)
            start, end = (tuple(np.rint(point).astype(int).tolist()) for point in points[:2])
            cv2.line(
                image,
                start,
                end,
                shaded(colour, 1.25),
                max(2, round(0.03 * self.size)),
            )
            return
        names = [f"{side}_{name}" for side in ("left", "right") for name in ("hip", "knee", "ankle", "foot_index")]
        places = np.array([view.at(name)[:2] for name in names])
        paint(image, places, np.full(len(places), 0.12 * self.size), colour, light)


class _Sensor:
    """Exposure, softness and noise of the camera; holds the frame before."""

    def __init__(self, look: Look, take: Take, width: int, height: int) -> None:
        self.look, self.size = look, (width, height)
        x, y = np.linspace(-1, 1, width), np.linspace(-1, 1, height)[:, None]
        lit = 1 - look.fall_off * (0.5 - 0.5 * (x * look.light[0] + y * look.light[1]) / 1.42)
        gain = look.brightness * lit[:, :, None] * np.array(look.warmth)
        self.gain = np.clip(np.rint(128 * gain), 0, 255).astype(np.uint8)
        self.rng = np.random.Generator(np.random.PCG64(take.noise_seed))
        grain = self.rng.normal(0, look.noise, (height + NOISE_MARGIN, width + NOISE_MARGIN, 3)).astype(np.float32)
        self.lighter, self.darker = (np.maximum(sign * grain, 0).astype(np.uint8) for sign in (1, -1))
        self.before: np.ndarray | None = None

    def expose(self, image: np.ndarray, time_s: float) -> np.ndarray:
        """The picture that the camera's file has of a scene (H, W, 3)."""
        look, (width, height) = self.look, self.size
        size, hertz = look.flicker
        image = cv2.multiply(image, self.gain, scale=(1 + size * np.sin(2 * np.pi * hertz * time_s)) / 128)
        if look.soft < 1:
            small = (round(look.soft * width), round(look.soft * height))
            image = cv2.resize(cv2.GaussianBlur(image, (3, 3), 0), small)  # INTER_AREA would be six times slower
            image = cv2.resize(image, self.size)
        else:
            image = cv2.blur(image, (2, 2)) if look.noise > 4 else cv2.GaussianBlur(image, (3, 3), 0)
        if look.ghost and self.before is not None:
            image = cv2.addWeighted(image, 1 - look.ghost, self.before, look.ghost, 0)
        self.before = image
        x, y = self.rng.integers(NOISE_MARGIN, size=2)
        image = cv2.add(image, self.lighter[y : y + height, x : x + width])
        return cv2.subtract(image, self.darker[y : y + height, x : x + width])
