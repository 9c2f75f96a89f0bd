"""import_poses.py, and pose files of other tools given to timeline.py, submission.py, verify.py and train_folds.py."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import import_poses
import timeline
import train_folds
import verify
from helpers import pose_files as write
from helpers.commands import CPU, code_of
from helpers.tables import table
from import_poses import ImportPoses
from spasm.cli import app
from spasm.data.segments import read_pose
from timeline import Timeline
from verify import Verify

SIZE = ["--width", write.WIDTH, "--height", write.HEIGHT]


@pytest.fixture
def pose(simulated: Path) -> np.ndarray:
    """A simulated segment as people (F, 1, 33, 5) of frames."""
    path = max((simulated / "test").glob("*.npy"), key=lambda path: np.isfinite(read_pose(path, 60)[..., 0]).sum())
    return read_pose(path, 60)[:, None].astype(float)


def call(module: Any, flags: Any, *words: object) -> int:
    try:
        return app.run(module.main, flags, module.__doc__, list(map(str, words)))
    except SystemExit as stop:  # tyro ends the process itself
        return int(stop.code or 0)


def test_the_command_says_what_was_read_followed_and_dropped_and_what_to_run_next(
    pose: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, folder = tmp_path / "my poses", write.openpose(tmp_path / "json", pose)
    words = [folder, "--fps", "25", *SIZE, "--frames", "60", "--out", out]
    assert call(import_poses, ImportPoses, *words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("walk: OpenPose, BODY_25, 2.4 s at 25 fps, 1 person; child_1_1.npy has a pose in ")
    assert "  2-D: z is 0" in lines and "  12 of 33 landmarks have no joint" in lines
    assert "  4 of 25 joints dropped: Neck, MidHip, LSmallToe, RSmallToe" in lines
    assert lines[-2] == f"next:    python submission.py --test '{out / 'test'}'"
    assert lines[-1] == f"or:      python src/timeline.py '{out / 'recordings/child_1_1.npy'}'"
    assert read_pose(out / "test/child_1_100001.npy", 60).shape == (60, 33, 5)
    assert call(import_poses, ImportPoses, *words) == 0
    assert "imported already: 1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [([], 2, "name a pose file"),
     (["a.json", "--fps", "0"], 2, "--fps 0"),
     (["a.json", "--width", "640"], 2, "--height is missing"),
     (["a.json", "--video", "a.mp4", "--fps", "25"], 2, "leave out --fps"),
     (["a.json", "--joints", "coco_16"], 2, "coco_17"),
     (["a.json", "--at", "300,200"], 2, "is not a place in the picture, such as 0.3,0.6"),
     (["a.json", "--at", "middle"], 2, "is not a place in the picture"),
     (["no such.json", "--fps", "25"], 1, "no such.json: there is no such file")],
)  # fmt: skip
def test_wrong_usage_is_a_message(
    words: list[str], code: int, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(import_poses, ImportPoses, *words, "--out", tmp_path / "out") == code
    assert message in "".join(capsys.readouterr())
    assert not (tmp_path / "out").exists()


def test_timeline_takes_pose_files_beside_recordings(
    trained: Path, pose: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "child_8_1.npy", np.concatenate([pose[:, 0]] * 2).astype(np.float32))
    paths = [write.mmpose(tmp_path / "walk.json", pose), tmp_path / "child_8_1.npy"]
    flags = ["--run", trained, "--out", tmp_path / "out", *CPU]
    assert call(timeline, Timeline, *paths, *flags, "--fps", "30", *SIZE) == 0
    assert "walk.json: mmpose, COCO-17, 2.0 s at 30 fps, 1 person" in capsys.readouterr().out
    assert len(table(tmp_path / "out/child_1_1/probability_over_time.csv")) == 20
    assert (tmp_path / "out/child_8_1/probability_over_time.csv").is_file()
    assert call(timeline, Timeline, *paths, *flags) == 1
    assert "frames per second are unknown (add --fps" in capsys.readouterr().err
    assert call(timeline, Timeline, paths[1], *flags, "--fps", "25") == 2
    assert "--fps is for pose files of other tools" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [("a.csv", b"time,heart rate\n0,120\n", "text file that begins with 'time,heart rate', but no pose file"),
     ("a.json", b'{"a": 1}', "JSON with the keys 'a', but no pose file of a known tool (read are: OpenPose"),
     ("a.h5", b"\x89HDF\r\n\x1a\n" + bytes(90), "HDF5"),
     ("video.mp4", b'[{"a": 1}]', "JSON, but no pose file of a known tool")],
    ids=["csv", "json", "hdf5", "json named as a video"],
)  # fmt: skip
def test_a_table_or_json_is_never_called_a_video(
    name: str, content: bytes, words: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_bytes(content)
    assert call(timeline, Timeline, tmp_path / name, "--run", trained, "--out", tmp_path / "out", *CPU) == 1
    message = capsys.readouterr().err
    assert "ffmpeg" not in message and "video" not in message.replace(name, "")
    assert words in message
    assert code_of("submission", "--test", tmp_path / name, "--run", trained, "--out", tmp_path / "s.csv", *CPU) == 1
    assert words in capsys.readouterr().err and not (tmp_path / "s.csv").exists()


def test_submission_takes_a_pose_file_or_a_folder_of_them(
    trained: Path, pose: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "poses"
    folder.mkdir()
    single = write.mmpose(folder / "b.json", pose)
    write.alphapose(folder / "a.json", pose[::-1])
    shared = ["--run", trained, "--out", tmp_path / "s.csv", *CPU, "--fps", "30", *SIZE]
    assert code_of("submission", "--test", single, *shared) == 0, capsys.readouterr().err
    assert "b.json: mmpose" in capsys.readouterr().out
    assert [row["segment_name"] for row in table(tmp_path / "s.csv")] == ["child_1_100001.npy"]
    assert code_of("submission", "--test", folder, *shared, "--at", "0.5,0.5") == 0
    assert [row["segment_name"] for row in table(tmp_path / "s.csv")] == ["child_1_100001.npy", "child_2_100001.npy"]
    assert code_of("submission", "--test", folder / "a.json", *shared) == 0
    assert [row["segment_name"] for row in table(tmp_path / "s.csv")] == ["child_2_100001.npy"], "not those before"
    (tmp_path / "a.mp4").write_bytes(bytes(2000))
    assert code_of("submission", "--test", tmp_path / "a.mp4", *shared) == 1
    assert "python src/extract_pose.py" in capsys.readouterr().err


def test_timeline_takes_a_folder_of_recordings_and_the_pose_files_beside_them(
    trained: Path, pose: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "recordings"
    folder.mkdir()
    for name in ("child_7_1.npy", "child_8_1.npy"):
        np.save(folder / name, pose[:, 0].astype(np.float32))
    flags = ["--run", trained, "--out", tmp_path / "out", *CPU]
    assert call(timeline, Timeline, folder, *flags) == 0, "recordings have 30 fps"
    assert {row["recording"] for row in table(tmp_path / "out/recordings.csv")} == {"child_7_1.npy", "child_8_1.npy"}
    assert call(timeline, Timeline, folder, *flags, "--fps", "25") == 2
    assert "recordings and segments (.npy) have 30 fps: leave it out" in capsys.readouterr().err
    write.mmpose(folder / "walk.json", pose)
    assert call(timeline, Timeline, folder, *flags, "--fps", "30", *SIZE) == 0
    assert len(table(tmp_path / "out/recordings.csv")) == 3


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "empty file"), (b"\x80\x04]\x94.", "a pickle under the name .npy"), (b"hello", "not a .npy file")],
    ids=["empty", "pickle", "text"],
)  # fmt: skip
def test_a_damaged_array_is_called_what_it_is_not_by_its_name(
    content: bytes, words: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "poses.npy"
    path.write_bytes(content)
    assert call(timeline, Timeline, path, "--run", trained, "--out", tmp_path / "out", *CPU) == 1
    message = capsys.readouterr().err
    assert words in message and "recording's name" not in message
    assert code_of("submission", "--test", path, "--run", trained, "--out", tmp_path / "s.csv", *CPU) == 1
    message = capsys.readouterr().err
    assert words in message and "extract" not in message


def test_submission_sends_a_single_array_of_landmarks_to_its_folder_or_to_timeline(
    trained: Path, pose: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "child_7_1.npy", pose[:, 0].astype(np.float32))
    words = ["--test", tmp_path / "child_7_1.npy", "--run", trained, "--out", tmp_path / "s.csv", *CPU]
    assert code_of("submission", *words) == 1
    message = capsys.readouterr().err
    assert "one array of landmarks, of 60 frames" in message and "python src/timeline.py" in message


def test_flags_of_pose_files_are_refused_for_segments(
    trained: Path, simulated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--test", simulated / "test", "--run", trained, "--out", tmp_path / "s.csv", *CPU, "--joints", "coco_17"]
    assert code_of("submission", *words) == 2
    assert "--joints is for pose files of other tools" in capsys.readouterr().err
    assert code_of("submission", *words[:-2], "--at", "0.2,0.3") == 2
    assert "--at is for pose files of other tools" in capsys.readouterr().err


@pytest.mark.parametrize("below", ["", "train"])
def test_a_folder_of_foreign_poses_is_sent_to_import_poses(
    below: str, pose: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data" / below
    folder.mkdir(parents=True)
    write.alphapose(folder / "a.json", pose)
    write.openpose(folder / "walk", pose)
    if below:
        (tmp_path / "data/train_data.csv").write_text("segment_name,label\nchild_1_1.npy,1\n")
    assert call(verify, Verify, "--data", tmp_path / "data") == 1
    shown = "".join(capsys.readouterr())
    assert "poses of another tool" in shown and "AlphaPose JSON, OpenPose JSON (a.json and 1 more)" in shown
    assert f"python src/import_poses.py {folder}" in shown and "cannot be listed" not in shown
    monkeypatch.setattr(sys, "argv", ["src/train_folds.py"])
    run = ["--data", tmp_path / "data", "--run", tmp_path / "run", "--cache", tmp_path / "cache"]
    assert call(train_folds, train_folds.flags, *run) == 1
    assert "python src/import_poses.py" in "".join(capsys.readouterr())
