"""Give a reader of untrusted files bytes that a coverage-guided fuzzer makes up; anything but our own errors is a find.

Needs atheris. What is found lies in crash-*; tests/repository/test_readers.py gives each reader the files in
stress/corpus.

Example: python stress/readers.py segment -runs=1000000 -rss_limit_mb=1024 -timeout=10 stress/corpus/segment
"""

import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]
FRAMES = 16
NAMES = ("child_1_1.npy", "child_1_2.npy", "child_2_1.npy")


def segment(path: Path) -> None:
    from spasm.data.segments import read_pose

    read_pose(path, FRAMES, path.parent)


def labels(path: Path) -> None:
    from spasm.data.annotations import read_labels

    read_labels(path, "safe", path.parent)


def onsets(path: Path) -> None:
    from spasm.data.annotations import read_onsets

    read_onsets(path, path.parent)


def folds(path: Path) -> None:
    from spasm.data.folds import read_folds

    read_folds(path, NAMES)


def settings(path: Path) -> None:
    from spasm.cli import app
    from spasm.config.fields import from_tree
    from spasm.models.lgbm import LgbmConfig

    words = app.with_settings_file(["--settings", str(path)])
    assert all(isinstance(word, str) for word in words)
    from_tree(LgbmConfig, json.loads(path.read_bytes()))


def decision(path: Path) -> None:
    from spasm.runs.artefacts import read_decision

    shutil.copyfile(path, path.parent / "decision.json")
    assert read_decision(path.parent).parameters


def manifest(path: Path) -> None:
    from spasm.runs.artefacts import read_manifest

    read_manifest(path)


def metrics(path: Path) -> None:
    from spasm.runs.artefacts import Metrics

    Metrics.read(path, "hint")


def run_info(path: Path) -> None:
    from spasm.runs.artefacts import RunInfo

    RunInfo.read(path, "hint")


def evaluation(path: Path) -> None:
    from spasm.runs.evaluations import read_evaluation

    read_evaluation(path)


def lock_box(path: Path) -> None:
    from spasm.runs.lock_box import check

    check(path, "a" * 64, ["0" * 16], again=True)


def oof(path: Path) -> None:
    from spasm.runs.oof_table import OofTable

    OofTable.read(path, "hint")


def checkpoint(path: Path) -> None:
    from spasm.core.checkpoints import read_tensors

    read_tensors(path)


def stam(path: Path) -> None:
    from spasm.data.formats.stam import read_sequence

    read_sequence(path, path.parent)


def stam_poses(path: Path) -> None:
    from spasm.data.formats.openpose import read_estimated

    read_estimated(path, path.parent, None)


def sta_gunet(path: Path) -> None:
    from spasm.data.formats.sta_gunet import read_clip

    read_clip(path, path.parent)


def sta_gunet_labels(path: Path) -> None:
    from spasm.data.formats.sta_gunet import read_labels

    read_labels(path, path.parent)


def openpose(path: Path) -> None:
    from spasm.data.pose_files import openpose

    _pose_file(openpose, path)


def alphapose(path: Path) -> None:
    from spasm.data.pose_files import alphapose

    _pose_file(alphapose, path)


def mmpose(path: Path) -> None:
    from spasm.data.pose_files import mmpose

    _pose_file(mmpose, path)


def coco(path: Path) -> None:
    from spasm.data.pose_files import coco

    _pose_file(coco, path)


def deeplabcut(path: Path) -> None:
    from spasm.data.pose_files import deeplabcut

    _pose_file(deeplabcut, path)


def wide_csv(path: Path) -> None:
    from spasm.data.pose_files import wide_csv

    _pose_file(wide_csv, path, joints_if_numbered(path))


def long_csv(path: Path) -> None:
    from spasm.data.pose_files import long_csv

    _pose_file(long_csv, path, joints_if_numbered(path))


def joints_if_numbered(path: Path) -> str | None:
    return "coco_17" if b"16" in path.read_bytes()[:500] else None


def kinetics(path: Path) -> None:
    from spasm.data.pose_files import kinetics

    _pose_file(kinetics, path)


def pose_array(path: Path) -> None:
    from spasm.data.pose_files import arrays

    head = path.read_bytes()[:128]
    _pose_file(arrays, path, "coco_17" if b"17" in head else None)


def ultralytics(path: Path) -> None:
    from spasm.data.pose_files import ultralytics

    folder = path.parent / "labels"
    folder.mkdir(exist_ok=True)
    shutil.copyfile(path, folder / "video_2.txt")
    _pose_file(ultralytics, folder)


def sleap(path: Path) -> None:
    from spasm.data.pose_files import hdf5

    _pose_file(hdf5, path)


def islr(path: Path) -> None:
    from spasm.data.pose_files import islr

    _pose_file(islr, path)


class Apart:
    """One process that reads files with a C library, which damaged ones may crash; then another one begins."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None
        self.crashes = self.stopped = 0

    def read(self, reader: Callable[[Path], Any], path: Path) -> Any:
        from spasm.core.errors import DataError
        from spasm.core.processes import isolated_pool, stop

        self._pool = self._pool or isolated_pool(1)
        try:
            return self._pool.submit(reader, path).result(timeout=20)
        except TimeoutError as error:
            stop(self._pool)
            self._pool = None
            self.stopped += 1
            raise DataError(path, "keeps the library busy", "its process ends with a message") from error
        except BrokenProcessPool as error:
            self._pool = None
            self.crashes += 1
            raise DataError(path, "crashes the library", "its process ends with a message") from error


APART = Apart()


def _pose_file(reader: ModuleType, path: Path, joints: str | None = None) -> None:
    """Read a pose file of another tool as the import does: recognise it, read its people, follow one."""
    from spasm.data.pose_files.recognise import head_of
    from spasm.video.pose_units import followed, landmarks_of

    reader.recognised(path, head_of(path))
    here = getattr(reader, "read_here", None)
    file = reader.read(path, joints) if here is None else APART.read(here, path)
    landmarks = landmarks_of(path, file, (640.0, 480.0), None, 10)
    if len(landmarks.poses) < 1000:
        followed(landmarks.poses, landmarks.ids, (640, 480))


READERS: dict[str, Callable[[Path], None]] = {
    reader.__name__: reader
    for reader in (segment, labels, onsets, folds, settings, decision, manifest, metrics, run_info, oof,
                   evaluation, lock_box,
                   checkpoint, stam, stam_poses,
                   sta_gunet, sta_gunet_labels,
                   openpose, alphapose, mmpose, coco,
                   deeplabcut, wide_csv, long_csv, pose_array, ultralytics, sleap, islr, kinetics)
}  # fmt: skip


def give(reader: Callable[[Path], None], content: bytes, folder: Path) -> None:
    """Let a reader read such a file. Raises whatever is not an error of ours."""
    from spasm.config.fields import SettingsError
    from spasm.core.errors import DataError

    path = folder / "child_1_1.npy"
    path.write_bytes(content)
    try:
        reader(path)
    except (DataError, SettingsError) as error:
        assert str(error).isprintable() or "\n" in str(error)
    except (ValueError, RecursionError, UnicodeDecodeError):
        if reader is not settings:  # which parses once more by itself what command_line refused
            raise


def main() -> None:
    import atheris

    reader = READERS[sys.argv.pop(1)]
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        with atheris.instrument_imports(include=["spasm", "json"]):
            from spasm.cli import app  # noqa: F401

            give(reader, b"", Path(folder))  # a reader imports its modules when it is called
        atheris.Setup(sys.argv, lambda content: give(reader, content, Path(folder)))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
