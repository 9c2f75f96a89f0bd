"""One infant's video as the pictures of the two-stream network for general movements: upright, masked, with flow.

After Hashimoto et al. 2022 (arXiv 2207.03344). Written into the infant's folder, see `data/formats/two_stream.py`:
poses.npy, 224x224/, 224x224_flow/ and, last, general_movements.json. Needs requirements-video.txt.
"""

import dataclasses
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from spasm.core import files
from spasm.core.errors import DataError
from spasm.data.formats.two_stream import EXTRACTION, FLOW_STEP, PARTS, Place
from spasm.data.pictures import MASKS, mask_name
from spasm.data.pose import FPS
from spasm.data.recordings import frames_of, inspect_recording, read_spans
from spasm.video import decode, image_inputs, resampling
from spasm.video.tracking import Pick

VIDEO, POSES = "video.mp4", "poses.npy"
PICTURES, FLOW = "224x224", "224x224_flow"
SCHEMA = 1  # of the manifest; pictures of another one are made again
PNG_LEVEL = 3  # of compression: twice as fast as the highest, 5 % larger
MOST_ABSENT = 0.02  # fraction of the frames of given poses for which the video may have no picture
Source = Literal["given", "mediapipe"]


@dataclasses.dataclass(frozen=True)
class MovementExtraction:
    """Settings of the extraction."""

    model: Path
    """Pose model."""
    max_people: int = 3
    """Maximum number of people in a frame."""
    pick: Pick = "child"
    """How the child is chosen among them."""
    mask: str = "mediapipe"
    """What removes the background: "pose", "mediapipe", or the path of an ONNX file."""

    @property
    def mask_model(self) -> Path | None:
        """The ONNX file of the mask."""
        return None if self.mask in MASKS else Path(self.mask)


class PosesInUse(NamedTuple):
    """Where an infant's poses come from."""

    source: Source
    start_s: float
    """Second of the video at which they begin."""
    poses: np.ndarray
    """(T, 33, 5) float32 at FPS."""


def extract(place: Place, extraction: MovementExtraction, advance: Callable[[], None]) -> None:
    """Write an infant's poses, where none are given, its pictures and, last, their manifest. Raises DataError.

    advance: called after each frame of the video that is read, twice where the poses are found, too.
    """
    video = place.folder / VIDEO
    files.remove_stale(place.folder, below=False)
    key = key_of(place, extraction)
    if extraction.mask_model:  # test the model before the long part begins
        with image_inputs.open_mask(str(extraction.mask_model), extraction.model, 1) as mask:
            mask(np.zeros((480, 640, 3), dtype=np.uint8), np.full((33, 5), np.nan, dtype=np.float32))
    used = _given(place, video) if key["poses"] == "given" else _found(place, video, extraction, key, advance)
    for part in (PICTURES, FLOW):
        shutil.rmtree(place.folder / part, ignore_errors=True)
    frames, flows, absent = _write_pictures(place, video, used, extraction, advance)
    if absent > MOST_ABSENT * len(used.poses):
        for part in (PICTURES, FLOW):
            shutil.rmtree(place.folder / part)
        reason = f"has {len(used.poses)} frames, and the video has no picture for {absent} of them"
        raise DataError(place.folder / POSES, reason, "give the poses of this video at 30 frames per second")
    about = {"complete": True, "frames": frames, "flows": flows, "poses_sha256": files.sha256(place.folder / POSES)}
    files.write_json(place.folder / EXTRACTION, key | about)


def key_of(place: Place, extraction: MovementExtraction) -> dict[str, Any]:
    """What an infant's pictures depend on. Raises DataError."""
    video, given = place.folder / VIDEO, has_given_poses(place)
    if not video.is_file():
        raise DataError(video, "is not there", "an infant's video is CLASS/SUBJECT/video.mp4")
    key: dict[str, Any] = {
        "schema": SCHEMA,
        "video_sha256": files.sha256(video),
        "poses": "given" if given else "mediapipe",
        "mask": mask_name(extraction.mask),
    }
    if given:
        key["given_sha256"] = files.sha256(place.folder / POSES)
    if not given or extraction.mask == "mediapipe":
        key["model_sha256"] = files.sha256(extraction.model)
    if not given:
        key |= {"max_people": extraction.max_people, "pick": extraction.pick}
    return key


def is_whole(place: Place, extraction: MovementExtraction) -> bool:
    """Whether an infant's pictures are all there and depend on the same key. Raises DataError without a video."""
    kept, key = _manifest(place), key_of(place, extraction)
    if not kept.get("complete") or {field: kept.get(field) for field in key} != key:
        return False
    poses = place.folder / POSES
    if not poses.is_file() or kept.get("poses_sha256") != files.sha256(poses):
        return False
    counts = [sum(1 for _ in (place.folder / part).glob("*.png")) for part in PARTS]
    return counts == [kept.get("frames"), kept.get("flows"), kept.get("flows")]


def has_given_poses(place: Place) -> bool:
    """Whether an infant has poses that `extract` did not write."""
    path, kept = place.folder / POSES, _manifest(place)
    if not path.is_file():
        return False
    return kept.get("poses") != "mediapipe" or kept.get("poses_sha256") != files.sha256(path)


def _manifest(place: Place) -> dict[str, Any]:
    """The manifest of an earlier extraction; empty without one."""
    path = place.folder / EXTRACTION
    return files.read_json(path) if path.is_file() else {}


def _given(place: Place, video: Path) -> PosesInUse:
    """Poses that are there. Raises DataError if they are no recording of poses."""
    path = place.folder / POSES
    inspect_recording(path)
    poses = next(iter(read_spans(path, [(0, frames_of(path))])))
    first = next(iter(decode.frames(video)), None)
    if first is None:
        raise DataError(video, "holds no frame that can be decoded", "convert it: ffmpeg -i FILE -c:v libx264 NEW.mp4")
    return PosesInUse("given", first[0], poses)


def _found(
    place: Place, video: Path, extraction: MovementExtraction, key: dict[str, Any], advance: Callable[[], None]
) -> PosesInUse:
    """The poses that MediaPipe finds, written beside the video; those of an earlier call that was stopped are read."""
    path, kept = place.folder / POSES, _manifest(place)
    on_poses = ("schema", "video_sha256", "poses", "model_sha256", "max_people", "pick")
    if path.is_file() and all(kept.get(field) == key[field] for field in on_poses):
        return _given(place, video)._replace(source="mediapipe")
    content = decode.read(video, extraction.model, extraction.max_people, extraction.pick, None, advance)
    if not content.people:
        raise DataError(video, "shows no person that the pose model finds", "give poses.npy, or leave this infant out")
    poses = resampling.resampled(content.times_s, content.people[0].over(len(content.times_s)))
    written = files.npy(poses)
    temporary = files.temporary_in(place.folder)
    try:
        temporary.write_bytes(written)
        digest = files.sha256(temporary)
    finally:
        temporary.unlink(missing_ok=True)
    # First the note that they are ours, so that a stopped command does not take them for given ones.
    files.write_json(place.folder / EXTRACTION, key | {"complete": False, "poses_sha256": digest})
    files.write_bytes(path, written)
    return PosesInUse("mediapipe", float(content.times_s[0]), poses)


def _write_pictures(
    place: Place, video: Path, used: PosesInUse, extraction: MovementExtraction, advance: Callable[[], None]
) -> tuple[int, int, int]:
    """Write all pictures; returns the number of frames, of flows, and of frames that the video does not have."""
    frames = flows = absent = 0
    before: np.ndarray | None = None
    with (
        files.new_folder(place.folder / PICTURES) as pictures,
        files.new_folder(place.folder / FLOW) as flow,
        image_inputs.open_mask(extraction.mask, extraction.model, extraction.max_people) as mask,
    ):
        for axis in "XY":
            (flow / axis).mkdir()
        for frames, (picture, is_there) in enumerate(_upright(video, used, extraction, mask), start=1):
            number = frames - 1
            _write_png(pictures / f"{number:06}.png", picture[..., ::-1])
            absent += not is_there
            if number % FLOW_STEP == 0:
                if before is not None:
                    moved = image_inputs.flow_of(before, picture)
                    for place_of_axis, axis in enumerate("XY"):
                        _write_png(flow / axis / f"{number:06}.png", moved[..., place_of_axis])
                    flows += 1
                before = picture
            advance()
    return frames, flows, absent


def _upright(
    video: Path, used: PosesInUse, extraction: MovementExtraction, mask: image_inputs.Mask
) -> Iterator[tuple[np.ndarray, bool]]:
    """The child of each frame, (224, 224, 3) uint8, upright and without background, and whether the video has it.

    Black where the child was not found; a mask that needs no pose is applied all the same, as published. Raises
    DataError if the child was found in no frame.
    """
    wanted_s = used.start_s + np.arange(len(used.poses)) / FPS
    view = None
    for pose, picture in zip(used.poses, image_inputs.nearest_frames(video, wanted_s), strict=True):
        made = np.zeros((image_inputs.SIDE, image_inputs.SIDE, 3), dtype=np.uint8)
        if picture is not None:
            if view is None:
                view = image_inputs.alignment(used.poses, picture.shape)
            if view is None:
                hint = "the child is put upright by them: give other poses.npy, or leave this infant out"
                raise DataError(video, "has no frame with both shoulders and both hips", hint)
            if extraction.mask_model or np.isfinite(pose[:, :2]).all(axis=1).any():
                made = image_inputs.upright(picture, mask(picture, pose), view)
        yield made, picture is not None


def _write_png(path: Path, picture: np.ndarray) -> None:
    """Write a picture in blue, green, red, or in grey; its folder becomes visible when it is whole."""
    import cv2

    path.write_bytes(cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, PNG_LEVEL])[1].tobytes())
