"""Inputs of the two published networks that read pictures: patches around joints; upright pictures and their flow.

VSViG: Xu et al. 2024, ECCV (arXiv 2311.14775). Two-stream network: Hashimoto et al. 2022, MICCAI (arXiv 2207.03344).
Needs requirements-video.txt.
"""

import contextlib
import io
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from spasm.config.fields import SettingsError
from spasm.core.errors import DataError
from spasm.data.landmarks import LEFT_HIP, LEFT_SHOULDER, RIGHT_HIP, RIGHT_SHOULDER, VSVIG_15, joint_weights
from spasm.data.pictures import MASK, MASKS, PATCH, SIDE, STEP, STILL, Arrays, Kind
from spasm.data.pose import FPS
from spasm.video import decode, landmarker
from spasm.video.pose_mask import pose_mask

NEAR_S = 0.1  # largest distance between the time of a picture and the frame taken for it
CROP = 128  # pixels around a joint, in a picture CROP_OF pixels high; a patch is a quarter of them
CROP_OF = 1080
SIGMA = 0.3 * CROP  # of the Gaussian weights around the joint
TORSO = 0.8 / 3  # of the side, from neck to hips
FLOW_PIXELS = 20.0  # largest movement between two pictures; more is clipped
MASK_SIDE = 320  # pixels of a mask model's input
SAME = 0.1  # largest mean distance, in fractions of the picture, between a pose and the person that is taken for it
MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's colours, which mask models expect
Mask = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From a picture (H, W, 3) and the child's pose (33, 5) to the mask of the child, (H, W) from 0 to 1."""


class PictureSteps:
    """Makes the steps of a video's or segment's poses (T, 33, 5) from its frames, every STEP-th, given in order.

    Without a mask a step has patches and keypoints: (15, 3, 32, 32) uint8 and (15, 3) float32, x and y in fractions of
    the picture, and visibility; 0 if a joint was not found. With a mask it has pictures and flow: (224, 224, 3) and
    (224, 224, 2) uint8, see `flow_of`; black if the child was not found. The child is upright by its mean neck and hips
    over all poses.
    """

    def __init__(self, poses: np.ndarray, mask: Mask | None) -> None:
        self.poses, self.mask, self.place = poses, mask, 0
        self.view: np.ndarray | None = None
        self.before: np.ndarray | None = None

    def add(self, picture: np.ndarray | None) -> Iterator[Arrays]:
        """Take the next frame, None if it is missing; gives the steps that are complete."""
        pose = self.poses[self.place * STEP]
        self.place += 1
        if self.mask is None:
            keypoints = np.nan_to_num(pose[JOINTS][:, [0, 1, 3]])
            yield {"patches": patches(picture, pose[JOINTS, :2]), "keypoints": keypoints}
            return
        if self.view is None and picture is not None:
            self.view = alignment(self.poses, picture.shape)
        now = np.zeros((SIDE, SIDE, 3), dtype=np.uint8)
        if picture is not None and self.view is not None and np.isfinite(pose[:, :2]).all(axis=1).any():
            now = upright(picture, self.mask(picture, pose), self.view)
        if self.before is not None:
            yield {"pictures": self.before, "flow": flow_of(self.before, now)}
        self.before = now

    def end(self) -> Iterator[Arrays]:
        """The last step, which has no flow."""
        if self.before is not None:
            yield {"pictures": self.before, "flow": np.full((SIDE, SIDE, 2), STILL, dtype=np.uint8)}


def steps(path: Path, start_s: float, poses: np.ndarray, mask: Mask | None) -> Iterator[Arrays]:
    """The steps of a video's poses (T, 33, 5), which begin at `start_s`, see `PictureSteps`."""
    made = PictureSteps(poses, mask)
    for picture in nearest_frames(path, start_s + np.arange(0, len(poses), STEP) / FPS):
        yield from made.add(picture)
    yield from made.end()


def in_segments(of_steps: Iterable[Arrays], firsts: np.ndarray, frames: int) -> Iterator[Arrays]:
    """Steps as segments that begin at frames `firsts` (K,), each of T // STEP steps; missing steps at the end are 0."""
    size = frames // STEP
    held: deque[Arrays] = deque(maxlen=size)
    begins = deque(np.rint(firsts / STEP).astype(int).tolist())
    for count, step in enumerate(of_steps, start=1):
        held.append(step)
        while begins and count == begins[0] + size:
            begins.popleft()
            yield {name: np.stack([one[name] for one in held]) for name in step}
    if begins and held:
        held.extend([{name: np.zeros_like(array) for name, array in held[-1].items()}] * (size - len(held)))
        yield {name: np.stack([one[name] for one in held]) for name in held[-1]}


def nearest_frames(path: Path, wanted_s: np.ndarray) -> Iterator[np.ndarray | None]:
    """The frame of a video nearest to each of some rising times; None if none is near."""
    frames = itertools.chain(decode.frames(path), [(np.inf, None, 0)])
    before_s, before, _ = next(frames)
    after_s, after, _ = next(frames) if np.isfinite(before_s) else (np.inf, None, 0)
    for time_s in wanted_s:
        while after_s <= time_s:
            before_s, before = after_s, after
            after_s, after, _ = next(frames)
        near_s, near = min((abs(before_s - time_s), 0), (abs(after_s - time_s), 1))
        yield (before, after)[near] if near_s <= NEAR_S else None


# ---- VSViG


def joints() -> np.ndarray:
    """Landmark (15,) of each of VSViG's joints."""
    return joint_weights(VSVIG_15).argmax(axis=1)


JOINTS = joints()


def patches(picture: np.ndarray | None, places: np.ndarray) -> np.ndarray:
    """Patches around joints, (15, 3, 32, 32) uint8 RGB, from a picture (H, W, 3) and positions (15, 2) in fractions.

    A square of 128 pixels of a picture 1080 high (scaled for other heights), black beyond the picture, is weighted by a
    Gaussian around the joint, stretched to the range from 0 to 255, and shrunk. Black if a joint was not found.
    """
    import cv2

    made = np.zeros((len(places), 3, PATCH, PATCH), dtype=np.uint8)
    if picture is None:
        return made
    height, width = picture.shape[:2]
    scale = CROP_OF / min(height, width)
    for number, (x, y) in enumerate(places * (width, height)):
        if not (np.isfinite(x) and -width < x < 2 * width and -height < y < 2 * height):
            continue
        view = np.array([[scale, 0, CROP / 2 - scale * x], [0, scale, CROP / 2 - scale * y]])
        crop = cv2.warpAffine(picture, view, (CROP, CROP)).astype(np.float32) * WEIGHTS
        low, high = crop.min(), crop.max()
        if high > low:
            crop = (crop - low) * (255 / (high - low))
            made[number] = cv2.resize(crop, (PATCH, PATCH), interpolation=cv2.INTER_LINEAR).transpose(2, 0, 1)
    return made


def weights() -> np.ndarray:
    """(128, 128, 1) float32 from 0 in the corners to 1 in the middle."""
    from_middle = np.arange(CROP) - (CROP - 1) / 2
    bell = np.exp(-(from_middle**2) / (2 * SIGMA**2))
    square = np.outer(bell, bell)
    return ((square - square.min()) / (square.max() - square.min()))[..., None].astype(np.float32)


WEIGHTS = weights()


# ---- the two-stream network


def alignment(poses: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
    """The affine map (2, 3) that puts a person upright in the middle of SIDE x SIDE pixels; None if never found.

    poses (T, 33, 5) in a picture of this shape. It uses the mean position, length and angle of the line from neck to
    hips over the middle half of the frames, sorted by its length.
    """
    trunk = poses[:, [LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_HIP, RIGHT_HIP], :2] * (shape[1], shape[0])
    trunk = trunk[np.isfinite(trunk).all((1, 2))]
    neck, hips = trunk[:, :2].mean(1), trunk[:, 2:].mean(1)
    down = hips - neck
    length = np.linalg.norm(down, axis=1)
    order = np.argsort(length, kind="stable")
    middle = order[len(order) // 4 : len(order) - len(order) // 4]
    middle = middle[length[middle] > 1]  # pixel
    if not len(middle):
        return None
    x, y = ((neck + hips) / 2)[middle].mean(0)
    sine, cosine = (down / np.maximum(length, 1)[:, None])[middle].mean(0)
    scale = SIDE * TORSO / length[middle].mean() / np.hypot(sine, cosine)
    turn = scale * np.array([[cosine, -sine], [sine, cosine]])
    return np.hstack([turn, (SIDE / 2 - turn @ (x, y))[:, None]])


def upright(picture: np.ndarray, mask: np.ndarray, view: np.ndarray) -> np.ndarray:
    """The masked person of a picture (H, W, 3) uint8, mapped by `view` to (224, 224, 3) uint8; black elsewhere."""
    import cv2

    person = (picture * mask[..., None]).astype(np.uint8)
    return cv2.warpAffine(person, view, (SIDE, SIDE))


def flow_of(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Farneback's optical flow between two pictures (224, 224, 3): (224, 224, 2) uint8, 255 steps from -20 to 20."""
    import cv2

    first, second = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (before, after))
    room = np.zeros((*first.shape, 2), dtype=np.float32)
    flow = cv2.calcOpticalFlowFarneback(
        first, second, room, pyr_scale=0.5, levels=3, winsize=5, iterations=3, poly_n=7, poly_sigma=1.5, flags=0
    )
    return ((np.clip(flow, -FLOW_PIXELS, FLOW_PIXELS) + FLOW_PIXELS) * (255 / (2 * FLOW_PIXELS))).astype(np.uint8)


class MediapipeMask:
    """The mask of the child by the pose model; a context manager.

    Single pictures are searched. Where no person is found at the child's pose, the mask is painted from the pose:
    otherwise the child would be black just where it lies or moves fast, and a network could learn that.
    """

    def __init__(self, model: Path, max_people: int) -> None:
        self.task, self.image = landmarker.open_task(model, max_people, "IMAGE", output_segmentation_masks=True)

    def __enter__(self) -> Mask:
        return self.mask

    def __exit__(self, *_: object) -> None:
        self.task.close()

    def mask(self, picture: np.ndarray, pose: np.ndarray) -> np.ndarray:
        result = self.task.detect(self.image(picture))
        people = landmarker.people_of(result)
        seen = np.isfinite(pose[:, :2]).all(axis=1)
        if not len(people) or not seen.any():
            return pose_mask(picture, pose)
        apart = np.linalg.norm(people[:, seen, :2] - pose[seen, :2], axis=2).mean(1)
        if not apart.min() <= SAME:
            return pose_mask(picture, pose)
        return result.segmentation_masks[int(apart.argmin())].numpy_view()[..., 0].copy()


class OnnxMask:
    """The mask by a user's saliency model, such as U2-Net: an ONNX file that reads 320 x 320 pixels.

    Its first output is stretched to the range from 0 to 1. A context manager. Raises DataError for another file.
    """

    def __init__(self, path: Path) -> None:
        import cv2

        try:
            self.network = cv2.dnn.readNetFromONNX(str(path))
        except cv2.error as error:
            raise DataError(path, "is no model that OpenCV reads", "export it as ONNX, for 320 x 320 pixels") from error
        self.path = path

    def __enter__(self) -> Mask:
        return self.mask

    def __exit__(self, *_: object) -> None:
        pass

    def mask(self, picture: np.ndarray, pose: np.ndarray) -> np.ndarray:
        import cv2

        small = cv2.resize(picture, (MASK_SIDE, MASK_SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
        normal = (small / max(float(small.max()), 1.0) - MEAN) / SPREAD
        self.network.setInput(normal.transpose(2, 0, 1)[None].astype(np.float32))
        try:
            found = self.network.forward(self.network.getUnconnectedOutLayersNames()[0])
        except cv2.error as error:
            raise DataError(self.path, "does not read (1, 3, 320, 320)", "export it for 320 x 320 pixels") from error
        found = found.reshape(found.shape[-2:])
        spread = float(np.ptp(found))
        found = (found - found.min()) / spread if spread > 0 else np.zeros_like(found)
        return cv2.resize(found, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)


def check_mask(mask: str) -> None:
    """Raise SettingsError for a flag --mask that names no mask."""
    if mask not in MASKS and not Path(mask).is_file():
        raise SettingsError(f"--mask {mask} is no file, and neither pose nor mediapipe")


def open_mask(mask: str, model: Path, max_people: int) -> Any:
    """The requested mask, as a context manager: "pose", "mediapipe", or the path of an ONNX model."""
    if mask == "pose":
        return contextlib.nullcontext(pose_mask)
    return MediapipeMask(model, max_people) if mask == "mediapipe" else OnnxMask(Path(mask))


def archive(arrays: Arrays, kind: Kind, mask: str) -> bytes:
    """The content of a segment's file of pictures. mask: see `data.pictures.MASK`."""
    named = {MASK: np.array(mask)} if kind == "two_stream" else {}
    save: Callable[..., None] = np.savez_compressed  # its annotation mistakes names for `allow_pickle`
    with io.BytesIO() as content:
        save(content, **arrays, **named)
        return content.getvalue()
