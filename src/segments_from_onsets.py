"""Cut training windows from recordings with the EEG and clinical onsets of seizures, as VSViG is trained.

The table has the columns recording, eeg_onset_s and clinical_onset_s: seconds from the recording's start, a line for
each seizure. Recordings without a line have no seizure. The new folder has the layout that train_folds.py reads; the
loss "squared" learns a probability that rises between the two onsets.

Examples:
  python src/segments_from_onsets.py --recordings input/videos/recordings --seizures seizures.csv --out input/onsets
  python src/segments_from_onsets.py --recordings night_1.npy --seizures seizures.csv --before-s 600 --out input/short
"""

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from spasm.cli import app, progress
from spasm.config.fields import FLAT, REPEATED, SettingsError, settings, to_tree
from spasm.core import files
from spasm.core.errors import DataError
from spasm.core.text import shell_words
from spasm.data.naming import child_of, same_child_twice
from spasm.data.pictures import STEP
from spasm.data.pose import FRAMES
from spasm.data.recording_videos import TABLE, RecordingVideo, video_of
from spasm.data.recordings import check_recordings, recording_paths
from spasm.data.segment_folder import MARKER, check_replaceable, listed, write_segments
from spasm.data.seizures import (
    ICTAL,
    INTERICTAL,
    TRANSITION,
    SeizureWindow,
    SeizureWindows,
    choose_windows,
    read_seizures,
)


@settings
class SegmentsFromOnsets:
    """Flags of segments_from_onsets.py."""

    recordings: Annotated[tuple[Path, ...], REPEATED] = ()
    """Recordings, {child}_{number}.npy, or folders of them; several after one flag, or each with its own.
    Their videos, if known, are listed in segment_videos.csv."""
    seizures: Path | None = None
    """Table with the columns recording, eeg_onset_s, clinical_onset_s."""
    out: Path = Path("input/onsets")
    """Folder to write; it must be new, or made by this script."""
    windows: Annotated[SeizureWindows, FLAT] = SeizureWindows()


def main(settings: SegmentsFromOnsets) -> int:
    check_replaceable(settings.out)
    if settings.seizures is None:
        raise SettingsError("--seizures is missing; name a table of onsets: --seizures seizures.csv")
    paths = recording_paths(settings.recordings)
    checked = check_recordings(paths)
    children = sorted({child_of(path.name) for path in paths})
    if problems := same_child_twice(paths[0].parent, children):
        raise problems[0]
    seizures = read_seizures(settings.seizures, {path.name: one.frames for path, one in checked.items()})
    segments: dict[str, list[SeizureWindow]] = {}
    for path in progress.progress("choose", sorted(paths), len(paths)):
        found = choose_windows(path, checked[path].frames, seizures[path.name], settings.windows)
        segments.setdefault(child_of(path.name), []).extend(found)
    if not any(segments.values()):
        reason = f"no window of {settings.windows.frames} frames can be cut from these recordings"
        raise DataError(paths[0].parent, reason, "give longer recordings, or fewer --frames")
    about = {
        "settings": to_tree(settings.windows),
        "recordings": listed({path: files.sha256(path) for path in sorted(paths)}),
        "seizures": listed({settings.seizures: files.sha256(settings.seizures)}),
        "children": {child: child for child in children},
    }
    ids = {child: child for child in children}
    write_segments(
        settings.out, segments, settings.windows.frames, ids, None, about, {"seizures.csv": settings.seizures}
    )
    count = Counter(one.kind for of_child in segments.values() for one in of_child)
    kinds = ", ".join(f"{count[kind]:,} {kind}" for kind in (INTERICTAL, TRANSITION, ICTAL))
    print(f"windows: {count.total():,} of {len(children)} children: {kinds}")
    print(f"seizures: {sum(map(len, seizures.values()))} in {len(paths)} recordings")
    names = f"train/, train_data.csv, onsets.csv, origin.csv (where each window comes from), seizures.csv, {MARKER}"
    videos = [video_of(path) for path in paths]
    if any(videos):
        names += f", {TABLE}"
        print(f"videos:  of {sum(map(bool, videos))} of {len(paths)} recordings")
    print(f"written: {settings.out}: {names}")
    print("\n".join(next_commands(settings, videos)))
    return 0


def next_commands(settings: SegmentsFromOnsets, videos: Sequence[RecordingVideo | None]) -> list[str]:
    """The commands that train and evaluate: on pictures where the video of every recording is known, else on poses.

    videos: of the recordings.
    """
    run, frames = Path("output") / settings.out.resolve().name, settings.windows.frames
    data: list[object] = ["--data", settings.out]
    length: list[object] = ["--frames", frames] if frames != FRAMES else []
    commands = []
    model = "vsvig"
    if all(videos) and frames % STEP == 0:
        model = "vsvig_patches"
        elsewhere = any(video is not None and not Path(video.video).is_absolute() for video in videos)
        folder: list[object] = ["--videos", "FOLDER"] if elsewhere else []
        words = [*data, "--pictures", "vsvig", *folder, *length]
        commands.append(f"src/extract_pictures.py {shell_words(*words)}")
    words = [*data, "--run", run, "--models", model, f"--{model.replace('_', '-')}.loss", "squared", *length]
    commands.append(f"src/train_folds.py {shell_words(*words)}")
    commands.append(f"src/evaluate_onsets.py {shell_words('--run', run, *data)}")
    return [f"{'' if number else 'next:':9}python {one}" for number, one in enumerate(commands)]


if __name__ == "__main__":
    sys.exit(app.run(main, SegmentsFromOnsets, __doc__))
