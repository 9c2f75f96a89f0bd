"""Write simulated infants as a data folder in the layout of the challenge."""

import contextlib
import json
import os
import shutil
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from joblib import Parallel, cpu_count, delayed
from numpy.lib import format as npy

from spasm.core import files
from spasm.core.errors import DataError, printable
from spasm.data.pose import FPS
from spasm.simulation import seizures, videos
from spasm.simulation.infant import SimulationConfig, cohort, generator, held_out_children, simulate_child
from spasm.simulation.recordings import simulate_scenes

Row = dict[str, Any]
Progress = Callable[[Iterable[Any], int], Iterable[Any]]
MARKER = "simulated.json"
TABLES = ("groups.csv", "train_data.csv", "truth.csv")
FOLDERS = ("train", "test", "recordings", "preview", videos.VIDEOS, videos.RECORDING_VIDEOS)
TRUTH_COLUMNS = (
    "segment_name", "label", "event_start_frame", "event_end_frame", "event_type", "behaviours", "posture", "camera",
    "cohort", "split", "video", "event2_start_frame", "event2_end_frame", "event2_type",
)  # fmt: skip
EVENT_COLUMNS = ("recording", "onset_s", "offset_s", "type")
SEIZURE_COLUMNS = ("recording", "eeg_onset_s", "clinical_onset_s")
SEGMENT_VIDEO_COLUMNS = ("segment_name", "video", "start_s")
CHILDREN_WORTH_A_WORKER = 20  # starting one takes about as long as simulating so many


def write_dataset(
    out: Path,
    children: int,
    segments_per_child: int,
    seed: int,
    world: SimulationConfig,
    recordings: int = 0,
    minutes: float = 10.0,
    preview: bool = False,
    workers: int = 0,
    progress: Progress = lambda items, count: items,
    with_videos: bool = False,
) -> list[Row]:
    """Simulate a data set into the folder `out`, and return the rows of its truth.csv.

    An older simulated data set at the same path is replaced as a whole, at the end. Raises DataError, and changes
    nothing, when `out` is or holds something else. `workers` of 0 means one per CPU core; no file depends on it, and
    videos change no other file but the marker. Raises TrainingError where they need OpenCV and it is not installed.
    """
    if with_videos:
        videos.check_opencv()
    out = Path(os.path.abspath(out))
    _put_back(out)
    check_replaceable(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    files.remove_stale(out.parent, below=False)  # left by a killed simulation
    building = files.temporary_in(out.parent)
    with files.with_path(out):
        building.mkdir()
    try:
        with files.with_path(out):
            rows, video_rows = _write_segments(
                building, children, segments_per_child, seed, world, workers, progress, with_videos
            )
            made = [f"{row['split']}/{row['segment_name']}" for row in rows] + list(TABLES) + video_rows
            if recordings:
                made += _write_recordings(
                    building, children, recordings, minutes, seed, world, workers, progress, with_videos
                )
            if preview:
                made += _write_previews(building, seed, world)
            marker = {
                "simulated": True, "seed": seed, "children": children, "segments_per_child": segments_per_child,
                **vars(world), "recordings": recordings, "minutes": minutes if recordings else 0,
                **({"videos": True} if with_videos else {}),
                "file_count": len(made), "files": sorted(made),
            }  # fmt: skip
            files.write_json(building / MARKER, marker)
            check_replaceable(out)  # again: a file may have been added in the meantime
            _swap(building, out)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    return rows


def check_replaceable(out: Path) -> None:
    """Raise DataError unless `out` is absent, an empty folder, or a simulated data set without other files."""
    hint = "choose another --out, or move it away yourself"
    if out.is_symlink():
        raise DataError(out, "is a symbolic link", hint)
    around = next((folder for folder in out.parents if (folder / MARKER).exists()), None)
    if around:
        raise DataError(out, f"is inside the simulated data set {printable(around)}", hint)
    if not out.exists():
        return
    if not out.is_dir():
        raise DataError(out, "is not a folder", hint)
    if not any(out.iterdir()):
        return
    try:
        marker = json.loads((out / MARKER).read_text(encoding="utf-8"))
        ours = set(marker["files"]) if marker["simulated"] is True else None
    except (OSError, ValueError, KeyError, TypeError):
        ours = None
    if ours is None:
        first = min(path.name for path in out.iterdir())
        raise DataError(out, f"holds files that the simulator did not make, {first!r} among them", hint)
    found = sorted(str(path.relative_to(out).as_posix()) for path in out.rglob("*"))
    folders = {name for name in FOLDERS if (out / name).is_dir() and not (out / name).is_symlink()}
    foreign = [name for name in found if name not in ours | {MARKER} | folders]
    if foreign:
        raise DataError(out / foreign[0], "is in a simulated data set, but the simulator did not write it", hint)


def _write_segments(
    folder: Path,
    children: int,
    segments_per_child: int,
    seed: int,
    world: SimulationConfig,
    workers: int,
    progress: Progress,
    with_videos: bool,
) -> tuple[list[Row], list[str]]:
    """The segments and their tables; returns the rows of truth.csv, and the files of the videos."""
    for split in ("train", "test", *([videos.VIDEOS] if with_videos else [])):
        (folder / split).mkdir()
    tested = held_out_children(seed, children)
    jobs = (
        delayed(_write_child)(
            folder, "test" if child in tested else "train", child, segments_per_child, seed, world, with_videos
        )
        for child in range(1, children + 1)
    )
    share = children if with_videos else (children * segments_per_child) // (10 * CHILDREN_WORTH_A_WORKER)
    written = list(progress(side_by_side(jobs, workers, share), children))
    rows = sorted((row for rows, _ in written for row in rows), key=lambda row: row["segment_name"])
    training = ((row["segment_name"], row["label"]) for row in rows if row["split"] == "train")
    files.write_csv(folder / "truth.csv", TRUTH_COLUMNS, (list(row.values()) for row in rows))
    files.write_csv(folder / "train_data.csv", TRUTH_COLUMNS[:2], training)
    cohorts = ((child, cohort(seed, child)) for child in range(1, children + 1))
    files.write_csv(folder / "groups.csv", ("child", "cohort"), cohorts)
    if not with_videos:
        return rows, []
    video_rows = sorted(row for _, rows in written for row in rows)
    files.write_csv(folder / "segment_videos.csv", SEGMENT_VIDEO_COLUMNS, video_rows)
    return rows, ["segment_videos.csv", *(video for _, video, _ in video_rows)]


def _write_child(
    folder: Path, split: str, child: int, segments: int, seed: int, world: SimulationConfig, with_videos: bool
) -> tuple[list[Row], list[tuple[str, str, float]]]:
    """One child's segment files: their rows of truth.csv, and of segment_videos.csv."""
    rows, video_rows = [], []
    for k, segment in enumerate(simulate_child(seed, child, segments, world), start=1):
        name = f"child_{child}_{k}.npy"
        (folder / split / name).write_bytes(files.npy(segment.pose))
        if with_videos:
            video = f"{videos.VIDEOS}/child_{child}_{k}.mp4"
            start_s = videos.write_segment_video(folder / video, segment, seed, child, k, world)
            video_rows.append((name, video, round(start_s, 6)))
        events = [(event.start, event.end, event.kind) for event in segment.events[:2]]
        first, second = (events + [("", "", "")] * 2)[:2]
        row = (
            name, segment.label, *first, ";".join(segment.behaviours), segment.posture, segment.camera,
            cohort(seed, child), split, segment.video, *second,
        )  # fmt: skip
        rows.append(dict(zip(TRUTH_COLUMNS, row, strict=True)))
    return rows, video_rows


def _write_recordings(
    folder: Path,
    children: int,
    recordings: int,
    minutes: float,
    seed: int,
    world: SimulationConfig,
    workers: int,
    progress: Progress,
    with_videos: bool,
) -> list[str]:
    """recordings/child_{id}_{n}.npy, of the children in turn, events.csv and seizures.csv; returns the files."""
    for name in ("recordings", *([videos.RECORDING_VIDEOS] if with_videos else [])):
        (folder / name).mkdir()
    dealt = sorted((k % children + 1, k // children + 1) for k in range(recordings))
    jobs = (
        delayed(_write_recording)(folder, child, number, minutes, seed, world, with_videos) for child, number in dealt
    )
    written = list(progress(side_by_side(jobs, workers, recordings), recordings))
    files.write_csv(folder / "events.csv", EVENT_COLUMNS, (row for events, _ in written for row in events))
    files.write_csv(folder / "seizures.csv", SEIZURE_COLUMNS, (row for _, seizures in written for row in seizures))
    made = ["events.csv", "seizures.csv", *(f"recordings/child_{child}_{number}.npy" for child, number in dealt)]
    if with_videos:
        made += [f"{videos.RECORDING_VIDEOS}/child_{child}_{number}.mp4" for child, number in dealt]
    return made


def _write_recording(
    folder: Path, child: int, number: int, minutes: float, seed: int, world: SimulationConfig, with_videos: bool
) -> tuple[list[tuple[str, float, float, str]], list[tuple[str, float, float]]]:
    """One recording, scene after scene, so that memory does not grow with its length; returns events and seizures."""
    name = f"child_{child}_{number}.npy"
    whole = round(minutes * 60 * FPS)
    events = []
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(open(folder / "recordings" / name, "xb"))
        header = {"descr": "<f4", "fortran_order": False, "shape": (whole, 33, 5)}
        npy.write_array_header_1_0(file, header)
        video = None
        if with_videos:
            path = (folder / videos.RECORDING_VIDEOS / name).with_suffix(".mp4")
            video = videos.RecordingVideo(
                stack.enter_context(videos.opened_video(path, FPS)), seed, child, number, world
            )
        for part in simulate_scenes(seed, child, number, minutes, world):
            file.write(part.scene.pose.astype("<f4").tobytes())
            for spasm in part.spasms:
                events.append((name, round(spasm.onset_s, 3), round(min(spasm.end_s, whole / FPS), 3), spasm.kind))
            if video is not None:
                video.add(part)
    rng = generator(seed, child, number, seizures.STREAM)
    spasms_s = [(onset_s, end_s) for _, onset_s, end_s, _ in events]
    return events, [(name, *onsets_s) for onsets_s in seizures.seizure_onsets(rng, spasms_s)]


def _write_previews(folder: Path, seed: int, world: SimulationConfig) -> list[str]:
    from spasm.simulation.preview import pictures  # only previews need the library for pictures

    (folder / "preview").mkdir()
    made = []
    for name, images in pictures(seed, world):
        path = folder / "preview" / name
        if len(images) == 1:
            images[0].save(path)
        else:
            images[0].save(path, save_all=True, append_images=images[1:], duration=1000 // 15, loop=0)
        made.append(f"preview/{name}")
    return made


def side_by_side(jobs: Iterable[Any], workers: int, most: int) -> Iterable[Any]:
    """Results of delayed calls in their order, by `workers` processes, at most `most`."""
    with warnings.catch_warnings():
        # Ctrl-C cancels the running tasks; joblib's warning about it is not needed.
        warnings.filterwarnings("ignore", message=".*tasks? .*cancelled", category=UserWarning)
        yield from Parallel(n_jobs=max(1, min(workers or cpu_count(), most)), return_as="generator")(jobs)


def _former(out: Path) -> Path:
    return out.parent / f".{out.name}-former"


def _put_back(out: Path) -> None:
    """Repair a killed `_swap`: restore the old set, or remove it if the new one is in its place."""
    old = _former(out)
    if (old / MARKER).is_file() and not old.is_symlink():
        if out.exists():
            check_replaceable(old)  # files added by a user must not be removed
            shutil.rmtree(old)
        else:
            os.rename(old, out)


def _swap(building: Path, out: Path) -> None:
    """Move a finished folder to its place; its content is on the disk before its name.

    No portable call exchanges two folders, so for an instant the old one exists only under its other name. After a kill
    at that instant the next simulation restores it.
    """
    for path in [*building.rglob("*"), building]:
        files.sync(path)
    if not out.exists():
        os.rename(building, out)
        files.sync(out.parent)
        return
    old = _former(out)
    os.rename(out, old)
    try:
        os.rename(building, out)
    except BaseException:
        os.rename(old, out)
        raise
    files.sync(out.parent)
    shutil.rmtree(old)
