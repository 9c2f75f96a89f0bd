"""The camera of a simulated video: its position, its view, and the projection of a body.

Numbers without a source, marked or not, are assumed and rest on no measurement.
"""

import dataclasses
from typing import TypeVar

import numpy as np

from spasm.data.landmarks import LEFT_HIP, LEFT_SHOULDER, RIGHT_HIP, RIGHT_SHOULDER
from spasm.simulation.behaviours import COLUMN
from spasm.simulation.body import turn

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class CameraSetup:
    """A camera setup, as probabilities (assumed, except for "table")."""

    postures: dict[str, float]
    aspects: dict[float, float]  # picture width / height
    framings: dict[str, float]
    native_fps: dict[float, float]  # before it is resampled to 30
    hand_held: float
    jerks: float  # knocks of a hand-held camera in five seconds
    caregiver: float  # lock-on to a caregiver in five seconds
    covered: float  # legs under a blanket or a table
    off_centre: float  # spread of the target's place, in picture heights
    blurred: float  # size of estimation errors; 1 is a webcam
    restless: float  # slow movement and sway of the children, 1 is usual (set by realism.SPEEDS)


CAMERA_SETUPS = {
    "home": CameraSetup(
        postures={"supine": 0.44, "bouncer": 0.20, "chair": 0.14, "prone": 0.08, "held": 0.14},
        aspects={9 / 16: 0.50, 3 / 4: 0.06, 4 / 3: 0.06, 16 / 9: 0.38},
        framings={"whole": 0.68, "close": 0.22, "far": 0.10},
        native_fps={30.0: 0.80, 25.0: 0.08, 15.0: 0.12},
        hand_held=0.7, jerks=0.10, caregiver=0.04, covered=0.12, off_centre=0.07, blurred=0.26, restless=1.6,
    ),
    # Parents' webcams at a table: frame rates, framing, the amount of movement, and how often the trunk jumps (it does
    # when the estimate locks on to a caregiver) are those of the child windows of InfantLab/babyjokes.
    "table": CameraSetup(
        postures={"chair": 1.0},
        aspects={4 / 3: 1.0},
        framings={"upper": 0.7, "near": 0.3},
        native_fps={30.0: 0.20, 14.5: 0.33, 7.4: 0.47},  # of the frames with a pose
        hand_held=0.0, jerks=0.05, caregiver=0.15, covered=1.0, off_centre=0.05, blurred=1.0, restless=1.6,
    ),
    # One room, one tripod: the setup of controls if the cohorts are confounded.
    "ward": CameraSetup(
        postures={"supine": 0.9, "bouncer": 0.1},
        aspects={16 / 9: 1.0},
        framings={"whole": 0.7, "far": 0.3},
        native_fps={30.0: 0.3, 25.0: 0.7},
        hand_held=0.0, jerks=0.01, caregiver=0.02, covered=0.0, off_centre=0.04, blurred=0.26, restless=1.0,
    ),
}  # fmt: skip
# View of each posture, in degrees: mean and spread of the turn about the body's long axis, of the tilt
# towards the top of the picture, and of the roll of the body in it (assumed). The camera is at the
# foot end of a lying child.
VIEWS = {
    "supine": ((0, 14), (-14, 12), 14), "bouncer": ((0, 24), (-8, 12), 8), "chair": ((0, 26), (4, 10), 5),
    "prone": ((180, 20), (-24, 14), 20), "held": ((0, 35), (5, 14), 12),
}  # fmt: skip
# A lying child may have any orientation in the picture.
TURNED = {"supine": (0, 90, -90, 180), "prone": (0, 90, -90, 180)}
TURNED_PROBABILITIES = (0.52, 0.19, 0.19, 0.10)
# Length of a metre at the child in picture heights (or widths, if smaller); an infant is 0.6 to 0.75 m
# long.
FRAMINGS = {"whole": (1.05, 1.65), "close": (1.8, 2.9), "far": (0.55, 0.95), "upper": (1.0, 1.5), "near": (2.2, 3.4)}


@dataclasses.dataclass(frozen=True)
class Camera:
    """One camera in one place."""

    aspect: float  # picture width / height
    hand_held: bool
    framing: str
    turn: float  # radians, of the view about the body's long axis
    tilt: float
    roll: float
    distance_m: float
    focal: float  # picture heights
    target: np.ndarray  # (3,) the point of the body, in metres, at which the camera aims
    place: np.ndarray  # (2,) where it is in the picture, in picture heights from the middle

    @property
    def name(self) -> str:
        way = "portrait" if self.aspect < 1 else "landscape"
        return f"{'hand-held' if self.hand_held else 'fixed'} {way} {self.framing}"


def sample_camera(rng: np.random.Generator, setup: CameraSetup, posture: str) -> Camera:
    """A camera for a child in this posture."""
    aspect = pick(rng, setup.aspects)
    framing = pick(rng, setup.framings)
    (turn_mean, turn_spread), (tilt_mean, tilt_spread), roll_spread = VIEWS[posture]
    roll = rng.normal(0, roll_spread) + rng.choice(TURNED.get(posture, (0, 0, 0, 0)), p=TURNED_PROBABILITIES)
    fill = rng.uniform(*FRAMINGS[framing]) * min(1.0, aspect)  # picture heights per metre
    # A phone sees 67 degrees along its longer side (26 mm equivalent); zoom, and cameras further away, see less
    # (assumed).
    longer = 1 / (2 * np.tan(np.deg2rad(rng.uniform(38, 67)) / 2))
    focal = longer * max(1.0, aspect)
    high = {"whole": 0.03, "far": 0.05, "close": 0.20, "upper": 0.22, "near": 0.24}[framing]  # metres above the hips
    middle = np.array([0.0, 0.0])
    if framing in ("upper", "near"):
        middle = np.array([rng.uniform(-0.1, 0.35) * aspect, rng.uniform(0.05, 0.28)])
    return Camera(
        aspect=aspect,
        hand_held=bool(rng.random() < setup.hand_held),
        framing=framing,
        turn=np.deg2rad(rng.normal(turn_mean, turn_spread)),
        tilt=np.deg2rad(rng.normal(tilt_mean, tilt_spread)),
        roll=np.deg2rad(roll),
        distance_m=focal / fill,
        focal=focal,
        target=np.array([0, high + rng.normal(0, 0.03), 0.03]),
        place=middle + rng.normal(0, setup.off_centre, 2),
    )


def photograph(camera: Camera, body: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """Picture coordinates (T, 33, 3), as MediaPipe gives them, without noise, of landmarks (T, 33, 3) in metres.

    moved: (T, 38), including the motion of the camera. x and y are divided by the picture's width and height, y points
    down, z points away from the camera, is 0 at the middle of the hips and scaled like x (MediaPipe Pose guide).
    """
    seen = (body - camera.target) @ view_of(camera).T
    depth = np.maximum(camera.distance_m - seen[..., 2], 0.15)
    flat = seen[..., :2] / depth[..., None] * (camera.focal * np.exp(moved[:, None, None, COLUMN["camera_zoom"]]))
    rolled = np.deg2rad(moved[:, COLUMN["camera_roll"]])[:, None]
    cos, sin = np.cos(rolled), np.sin(rolled)
    picture = np.empty_like(body)
    shift = camera.place + moved[:, [COLUMN["camera_x"], COLUMN["camera_y"]]]
    across, down = cos * flat[..., 0] - sin * flat[..., 1], -(sin * flat[..., 0] + cos * flat[..., 1])
    picture[..., 0] = 0.5 + (across + shift[:, :1]) / camera.aspect
    picture[..., 1] = 0.5 + down + shift[:, 1:]
    hips = (depth[:, LEFT_HIP] + depth[:, RIGHT_HIP]) / 2
    width = camera.focal / hips / camera.aspect * np.exp(moved[:, COLUMN["camera_zoom"]])  # of a metre, in pictures
    picture[..., 2] = (depth - hips[:, None]) * width[:, None]
    return picture


def view_of(camera: Camera) -> np.ndarray:
    """The rotation (3, 3) from the body's axes to the picture's: right, up, towards the camera."""
    angles = ((camera.tilt, 0), (camera.roll, 2), (camera.turn, 1))
    tilt, roll, about = (turn(np.array([angle]), axis)[0] for angle, axis in angles)
    return tilt @ roll @ about


def project(camera: Camera, points: np.ndarray, camera_moved: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places and scales of points (F, P, 3) in metres, as `photograph` has them: (F, P, 2) and (F, P).

    Places are picture heights from the picture's top left corner, scales picture heights per metre.
    camera_moved: (F, 4).
    """
    seen = (points - camera.target) @ view_of(camera).T
    scale = camera.focal / np.maximum(camera.distance_m - seen[..., 2], 0.15) * np.exp(camera_moved[:, None, 3])
    flat = seen[..., :2] * scale[..., None]
    rolled = np.deg2rad(camera_moved[:, 2])[:, None]
    cos, sin = np.cos(rolled), np.sin(rolled)
    middle = np.array([0.5 * camera.aspect, 0.5]) + camera.place + camera_moved[:, :2]
    across, down = cos * flat[..., 0] - sin * flat[..., 1], -(sin * flat[..., 0] + cos * flat[..., 1])
    return np.stack([across, down], axis=-1) + middle[:, None], scale


def trunk_size(picture: np.ndarray, aspect: float) -> float:
    """Length of the trunk in picture heights: the median over frames, at least 0.02."""
    shoulders = (picture[:, LEFT_SHOULDER] + picture[:, RIGHT_SHOULDER]) / 2
    hips = (picture[:, LEFT_HIP] + picture[:, RIGHT_HIP]) / 2
    # z as well, so that a child seen from the feet is not tiny.
    span = (shoulders - hips) * (aspect, 1, aspect)
    return max(0.02, float(np.median(np.linalg.norm(span, axis=-1))))


def pick(rng: np.random.Generator, probabilities: dict[T, float]) -> T:
    """One of the keys, sampled with the given probabilities."""
    names = list(probabilities)
    return names[rng.choice(len(names), p=np.array(list(probabilities.values())) / sum(probabilities.values()))]
