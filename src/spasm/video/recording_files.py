"""Files of a recording: recordings/NAME.npy, its segments in test/, and last its manifest, recordings/NAME.json."""

import itertools
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from spasm.core import files
from spasm.core.errors import DataError
from spasm.core.text import natural
from spasm.core.windows import window_starts
from spasm.data.pose import FPS, missing_frames


def manifest_path(out: Path, name: str) -> Path:
    """The manifest of a recording."""
    return out / "recordings" / f"{name}.json"


def manifests(out: Path, key: str) -> dict[str, dict[str, Any]]:
    """The manifests in a folder that have a field `key`, by the names of their recordings, child_2 before child_10."""
    paths = sorted((out / "recordings").glob("*.json"), key=lambda path: natural(path.stem))
    found = {path.stem: files.read_json(path) for path in paths}
    return {name: one for name, one in found.items() if key in one}


def free_name(out: Path, child: int | None, taken: set[str]) -> str:
    """The name of a child's next recording; without a child, of the next child's first."""
    taken = taken | {path.stem for path in (out / "recordings").glob("*.json")}
    names = (f"child_{child}_{n}" if child else f"child_{n}_1" for n in itertools.count(1))
    return next(name for name in names if name not in taken)


def segments_of(out: Path, name: str, kind: str = "test") -> list[Path]:
    """The files of a recording's segments: child_3_200007.npy of child_3_2, because names end in one number.

    kind: "test" or "train" for poses, or a kind of pictures.
    """
    return sorted((out / kind).glob(f"{name}{5 * '[0-9]'}.np[yz]"))


def remove(out: Path, name: str, kinds: Iterable[str] = ("test",)) -> None:
    """Remove the files of a recording, its manifest first: after a kill, what remains is not taken for complete."""
    recording = manifest_path(out, name)
    old_segments = [path for kind in kinds for path in segments_of(out, name, kind)]
    for old in (recording, recording.with_suffix(".npy"), *old_segments):
        old.unlink(missing_ok=True)


def write_recording(out: Path, name: str, poses: np.ndarray, frames: int) -> dict[str, Any]:
    """Write poses (F, 33, 5) at FPS and their segments of T frames; gives the manifest's fields on them.

    The last segment may end without a pose. Without a frame nothing is written.
    """
    recording = manifest_path(out, name).with_suffix(".npy")
    if len(poses):
        files.write_bytes(recording, files.npy(poses))
        for number, first in enumerate(window_starts(len(poses), frames, frames), start=1):
            segment = missing_frames(frames)
            part = poses[first : first + frames]
            segment[: len(part)] = part
            files.write_bytes(out / "test" / f"{name}{number:05}.npy", files.npy(segment))
    return {
        "recording": recording.name if len(poses) else "",
        "recording_sha256": files.sha256(recording) if len(poses) else "",
        "segments": len(segments_of(out, name)),
        "seconds": round(len(poses) / FPS, 3),
        "pose_fraction": round(float(np.isfinite(poses[:, :, 0]).any(axis=1).mean()), 4) if len(poses) else 0.0,
    }


def notes_of_segments(test: Path, names: Iterable[str]) -> list[str]:
    """The note on the video or pose file of each segment, with its name; empty where there is none.

    test: the folder of the segments. Beside it lie the manifests, if the segments were extracted or imported.
    """
    notes: dict[str, str] = {}
    found = []
    for name in names:
        recording = re.sub(r"[0-9]{5}\.npy$", "", name)
        if recording not in notes:
            notes[recording] = _note(manifest_path(test.parent, recording))
        found.append(notes[recording])
    return found


def _note(manifest: Path) -> str:
    if not manifest.is_file():
        return ""
    try:
        tree = files.read_json(manifest)
    except DataError:
        return ""  # it is of another program, and nothing depends on it
    source, note = tree.get("video", tree.get("file")), tree.get("note")
    return f"{source}: {note}" if source and note and isinstance(note, str) else ""
