"""Settings of the pose files of other tools."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator

from spasm.config.fields import SettingsError, Shown, settings, within

FROM_FILE = "that of the file, if it has one"
Layout = Literal[
    "body_25",
    "coco_18",
    "coco_17",
    "coco_17_neck",
    "coco_23",
    "coco_wholebody",
    "halpe_26",
    "halpe_136",
    "mediapipe_33",
]


@settings
class PoseFileSettings:
    """What a pose file of another tool does not say of itself."""

    fps: Annotated[float | None, within(1, 1000), Shown(default=FROM_FILE)] = None
    """Of a pose file: frames per second of the video that it was made from."""
    width: Annotated[float | None, within(1, 100_000), Shown(default=FROM_FILE)] = None
    """Of a pose file: width of that video's picture in pixels."""
    height: Annotated[float | None, within(1, 100_000), Shown(default=FROM_FILE)] = None
    """Of a pose file: height of that video's picture in pixels."""
    video: Path | None = None
    """Of a pose file: that video itself, for frame times and picture size, instead of --fps, --width and --height."""
    joints: Annotated[Layout | None, Shown(default="as the file names them", value="LAYOUT")] = None
    """Of a pose file without names of joints: their order. body_25, coco_17, coco_18 (OpenPose's), coco_17_neck,
    coco_23 (with feet), coco_wholebody, halpe_26, halpe_136 or mediapipe_33."""
    min_confidence: Annotated[
        float | None, within(0, 1), Shown(default="0 to 0.6, see docs/data.md", advanced=True)
    ] = None
    """Of a pose file: joints with less confidence are missing; without the flag the limit depends on the tool."""

    def __post_init__(self) -> None:
        if (self.width is None) != (self.height is None):
            missing = "--height" if self.height is None else "--width"
            raise SettingsError(f"{missing} is missing: give --width and --height together")
        if self.video is not None and (self.fps is not None or self.width is not None):
            raise SettingsError("--video gives frame times and size: leave out --fps, --width and --height")


def _place(text: str) -> str:
    parts = text.split(",")
    try:
        good = len(parts) == 2 and all(0 <= float(part) <= 1 for part in parts)
    except ValueError:
        good = False
    if not good:
        raise ValueError(f"{text!r} is not a place in the picture, such as 0.3,0.6: fractions of its width and height")
    return text


Place = Annotated[str, AfterValidator(_place)]  # x,y


def place_of(text: str | None) -> tuple[float, float] | None:
    """A place of --at as numbers; None without one."""
    if text is None:
        return None
    x, y = map(float, text.split(","))
    return x, y
