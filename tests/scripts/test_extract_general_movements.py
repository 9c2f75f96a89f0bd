"""extract_general_movements.py: from videos by class to the pictures that the network reads."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from helpers.movements import poses, write_video, write_videos
from helpers.repository import ROOT
from helpers.video import MODEL, cv2, make_video
from spasm.data.formats import two_stream

pytestmark = pytest.mark.video
__all__ = ["cv2", "make_video"]  # fixtures


@pytest.fixture(scope="module")
def opencv():
    return pytest.importorskip("cv2", exc_type=ImportError)


@pytest.fixture(scope="module")
def videos(opencv, tmp_path_factory):
    return write_videos(opencv, tmp_path_factory.mktemp("tree"))


def extract(tree, *words):
    command = [sys.executable, "src/extract_general_movements.py", "--data", str(tree), *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def pictures_of(tree):
    return {path.relative_to(tree): path.read_bytes() for path in tree.rglob("*.png")}


@pytest.fixture(scope="module")
def extracted(videos):
    finished = extract(videos, "--mask", "pose", "--workers", 2)
    assert finished.returncode == 0, finished.stderr
    return videos, finished


def test_the_pictures_are_in_the_published_layout(extracted):
    tree, finished = extracted
    assert "of 6 infants" in finished.stdout
    assert finished.stdout.splitlines()[-1].startswith("next:    python src/train_general_movements.py --data")
    subjects = two_stream.read_tree(tree)
    assert len(subjects) == 6
    for subject in subjects:
        assert sorted(subject.frames) == list(range(40))
        assert sorted(subject.flow_x) == sorted(subject.flow_y) == [5, 10, 15, 20, 25, 30, 35]
        picture, flow = two_stream.chunk(subject, 1)
        assert picture.max() == 1
        assert flow.shape == (12, 224, 224)


def test_the_infant_is_upright_in_the_middle_before_black_and_its_movements_are_in_the_flow(extracted):
    tree, _ = extracted
    moved = {}
    for subject in two_stream.read_tree(tree):
        picture, flow = two_stream.chunk(subject, 1)
        assert (picture.max(0) == 0).mean() > 0.4, "the cluttered background is gone"
        shown = np.argwhere(picture.max(0) > 0).mean(0)
        assert np.abs(shown - 112).max() < 40
        assert picture[:, 112, 112].max() > 0
        moved[subject.subject] = np.abs(flow).mean()
    assert min(moved["FMs/sub1"], moved["FMs/sub2"]) > 2 * max(moved["PR/sub1"], moved["PR/sub2"])


def test_finished_infants_are_not_extracted_again_but_after_a_change(extracted, tmp_path):
    tree = tmp_path / "tree"
    shutil.copytree(extracted[0], tree)
    before = {path: path.stat().st_mtime_ns for path in tree.rglob("*.png")}
    assert "6 infants are extracted already" in extract(tree, "--mask", "pose").stdout
    (tree / "WMs/sub1/224x224/000007.png").unlink()
    np.save(tree / "PR/sub2/poses.npy", np.load(tree / "PR/sub2/poses.npy")[:35])
    finished = extract(tree, "--mask", "pose")
    assert "4 infants are extracted already" in finished.stdout
    assert len(list((tree / "WMs/sub1/224x224").iterdir())) == 40
    assert len(list((tree / "PR/sub2/224x224").iterdir())) == 35
    assert before[tree / "FMs/sub1/224x224/000007.png"] == (tree / "FMs/sub1/224x224/000007.png").stat().st_mtime_ns


def test_a_damaged_video_is_named_and_does_not_stop_the_others(videos, tmp_path):
    tree = tmp_path / "tree"
    shutil.copytree(videos, tree, ignore=shutil.ignore_patterns("224*", "*.json"))
    (tree / "FMs/sub1/video.mp4").write_bytes(b"no video")
    (tree / "PR/sub1/video.mp4").unlink()
    np.save(tree / "WMs/sub2/poses.npy", poses(90, "WMs", 0))
    finished = extract(tree, "--mask", "pose")
    assert finished.returncode == 1
    assert "of 3 infants" in finished.stdout
    assert "3 problems" in finished.stderr
    assert "FMs/sub1/video.mp4: is no video that OpenCV can open" in finished.stderr
    assert "PR/sub1/video.mp4: is not there" in finished.stderr
    assert "WMs/sub2/poses.npy: has 90 frames, and the video has no picture for" in finished.stderr
    assert not (tree / "WMs/sub2/224x224").exists()


def test_a_tree_below_data_and_a_video_of_another_rate_are_read_at_30_frames_per_second(opencv, tmp_path):
    place = tmp_path / "data/WMs/one"
    place.mkdir(parents=True)
    of = poses(60, "FMs", 3)
    np.save(place / "poses.npy", of[:59])
    write_video(opencv, place / "video.mp4", of[::2], fps=15)
    finished = extract(tmp_path, "--mask", "pose")
    assert finished.returncode == 0, finished.stderr
    assert len(list((place / "224x224").iterdir())) == 59


def test_a_folder_without_the_classes_and_a_missing_model_are_refused_in_words(tmp_path):
    assert "holds none of the folders WMs, FMs, PR" in extract(tmp_path).stderr
    (tmp_path / "WMs/sub1").mkdir(parents=True)
    (tmp_path / "WMs/sub1/video.mp4").write_bytes(b"video")
    refused = extract(tmp_path, "--model", tmp_path / "none.task")
    assert refused.returncode == 1
    assert "none.task: is not there" in refused.stderr


def test_poses_that_mediapipe_finds_are_its_own_and_not_given_ones(make_video, tmp_path):
    place = tmp_path / "WMs/one"
    place.mkdir(parents=True)
    shutil.copy(make_video("person.mp4", seconds=1.0), place / "video.mp4")
    finished = extract(tmp_path, "--model", MODEL)
    assert finished.returncode == 0, finished.stderr
    found = np.load(place / "poses.npy")
    assert (found.dtype, found.shape[1:]) == (np.float32, (33, 5))
    assert np.isfinite(found).any()
    assert len(list((place / "224x224").iterdir())) == len(found)
    assert json.loads((place / "general_movements.json").read_text())["poses"] == "mediapipe"
    again = extract(tmp_path, "--model", MODEL, "--max-people", 1)
    assert "of 1 infants" in again.stdout, "they depend on the flags"
    assert json.loads((place / "general_movements.json").read_text())["poses"] == "mediapipe"
    assert "1 infants are extracted already" in extract(tmp_path, "--model", MODEL, "--max-people", 1).stdout
