"""Extract one video: its recording, its segments, pictures, previews and, last, their manifest."""

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np

from spasm.core import files
from spasm.core.windows import window_starts
from spasm.data.naming import child_of
from spasm.data.pictures import LAYOUTS, MASKS, Kind, mask_name
from spasm.data.pose import FRAMES, missing_frames
from spasm.video import decode, drawing, following, image_inputs, resampling
from spasm.video.recording_files import manifest_path, remove, write_recording
from spasm.video.tracking import Pick

COLUMNS = ("video", "child", "recording", "seconds", "pose_fraction", *following.COLUMNS, "preview", "note")
FEWEST_FRAMES = 0.98  # of the number in the file; with fewer the video ends early
Pictures = Literal["none", "vsvig", "two_stream", "both"]


@dataclasses.dataclass(frozen=True)
class Extraction:
    """Settings of the extraction, and the folder to write."""

    out: Path
    """Folder to write: recordings/, test/, previews/ and videos.csv."""
    model: Path
    """Pose model."""
    max_people: int = 3
    """Maximum number of people in a frame."""
    pick: Pick = "child"
    """How the child is chosen among them."""
    at: tuple[float, float] | None = None
    """A place of the child in fractions of the picture's width and height, which overrides `pick`."""
    frames: int = FRAMES
    """Frames in a segment (T)."""
    pictures: Pictures = "none"
    """Pictures to write of each segment."""
    preview: bool = True
    """Whether to write a contact sheet of each video."""
    mask: str = "pose"
    """What separates the child from the background for two_stream, see `image_inputs.open_mask`."""

    @property
    def mask_model(self) -> Path | None:
        """The user's own model of the mask."""
        return None if self.mask in MASKS else Path(self.mask)


def extract(video: Path, name: str, extraction: Extraction, advance: Callable[[], None]) -> None:
    """Write a video's recording, its segments and, last, their manifest. Raises DataError.

    advance: called after each frame.
    """
    key = key_of(video, extraction)
    if extraction.mask_model:  # test the model before the long part begins
        with image_inputs.open_mask(str(extraction.mask_model), extraction.model, 1) as mask:
            mask(np.zeros((480, 640, 3), dtype=np.uint8), missing_frames(1)[0])
    content = decode.read(video, extraction.model, extraction.max_people, extraction.pick, extraction.at, advance)
    count = len(content.times_s)
    followed = following.describe(content.people, count, content.picture, extraction.at is not None)
    notes = [] if content.people else ["no person is visible in it, so there is nothing to predict"]
    notes += [*followed.notes, *following.recording_notes(content.times_s, content.is_still)]
    if count < FEWEST_FRAMES * content.promised:
        notes.append(f"it ends early: {count} of {content.promised} frames could be read")
    poses = missing_frames(0)
    if content.people:
        poses = resampling.resampled(content.times_s, content.people[0].over(count))
    remove_all(extraction.out, name)
    sheet = sheet_of(extraction.out, name)[0]
    if len(poses):
        firsts = window_starts(len(poses), extraction.frames, extraction.frames)
        for kind in kinds(extraction.pictures):
            _write_pictures(video, name, kind, extraction, content.times_s[0], poses, firsts)
    if extraction.preview:
        _write_preview(video, name, extraction.out, content, followed.sentence())
    import mediapipe

    manifest = {
        **key,
        "video": video.name,
        "child": child_of(name),
        **write_recording(extraction.out, name, poses, extraction.frames),
        **followed.columns(),
        "followed": followed.sentence(),
        "preview": f"previews/{sheet.name}" if extraction.preview else "",
        "note": "; ".join(notes),
        "width": content.picture[0],
        "height": content.picture[1],
        "video_frames": count,
        "video_start_s": float(content.times_s[0]) if count else 0.0,
        "mode": "VIDEO",
        "mediapipe": mediapipe.__version__,
    }
    files.write_json(manifest_path(extraction.out, name), manifest)


def remove_all(out: Path, name: str) -> None:
    """Remove the files of an earlier extraction of a video."""
    remove(out, name, ("test", "train", *kinds("both")))
    for old in sheet_of(out, name):
        old.unlink(missing_ok=True)


def summary(manifest: dict[str, Any], out: Path) -> str:
    """What to print of an extracted video: its recording, who is followed, and the contact sheet."""
    sheet = f"; contact sheet: {out / manifest['preview']}" if manifest["preview"] else ""
    return f"{manifest['video']}: {manifest['recording'] or 'no recording'}, {manifest['followed']}{sheet}"


def key_of(video: Path, extraction: Extraction) -> dict[str, Any]:
    """The key that a video's poses depend on."""
    return {
        "video_sha256": files.sha256(video),
        "model": extraction.model.name,
        "model_sha256": files.sha256(extraction.model),
        "max_people": extraction.max_people,
        "pick": extraction.pick,
        "at": list(extraction.at) if extraction.at else [],
        "segment_frames": extraction.frames,
        "pictures": extraction.pictures,
        "mask": mask_name(extraction.mask),
    }


def sheet_of(out: Path, name: str) -> tuple[Path, Path]:
    """The contact sheet of a recording, and its file of heads to blur."""
    return out / "previews" / f"{name}.jpg", out / "previews" / f"{name}.npz"


def kinds(pictures: Pictures) -> tuple[Kind, ...]:
    """The requested kinds of pictures."""
    return tuple(kind for kind in LAYOUTS if pictures in (kind, "both"))


def _write_pictures(
    video: Path, name: str, kind: Kind, extraction: Extraction, start_s: float, poses: np.ndarray, firsts: np.ndarray
) -> None:
    """Write the pictures of each segment for a network that reads pictures; the video is decoded again."""
    mask: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()
    name_of_mask = mask_name(extraction.mask)
    if kind == "two_stream":
        mask = image_inputs.open_mask(extraction.mask, extraction.model, extraction.max_people)
    with mask as masked:
        of_steps = image_inputs.steps(video, start_s, poses, masked)
        for number, segment in enumerate(image_inputs.in_segments(of_steps, firsts, extraction.frames), start=1):
            path = extraction.out / kind / f"{name}{number:05}.npz"
            files.write_bytes(path, image_inputs.archive(segment, kind, name_of_mask))


def _write_preview(video: Path, name: str, out: Path, content: decode.Video, followed: str) -> None:
    """Write a video's contact sheet, and where its heads are."""
    sheet, heads_path = sheet_of(out, name)
    heads = drawing.heads_of(content.people, content.times_s)
    wanted = drawing.sheet_frames(content.people[0] if content.people else None, len(content.times_s))

    def pictures() -> Iterator[tuple[int, float, np.ndarray]]:
        for number, (_, pixels, _) in enumerate(itertools.islice(decode.frames(video), wanted[-1] + 1)):
            if number in wanted:
                yield number, float(content.times_s[number]), pixels

    files.write_bytes(
        sheet, drawing.contact_sheet(pictures(), content.people, heads, f"{video.name} ({name}): {followed}")
    )
    files.write_bytes(heads_path, drawing.heads_bytes(heads))
