"""extract_pose.py on real videos of a photographed person: poses, even time, predictions, and what it refuses."""

import fcntl
import json
import os
import signal
import struct
import subprocess
import sys
import time

import numpy as np
import pytest

from helpers.repository import ROOT
from helpers.tables import table
from helpers.video import MODEL, cv2, extract, make_video

__all__ = ["cv2", "make_video"]  # the fixtures

T = 60


def turn_the_metadata(path):
    """Let the file say that its pictures are to be turned right by 90 degrees, as a phone held upright does."""
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 4
    matrix = at + (40 if content[at] == 0 else 52)
    one, w = 1 << 16, 1 << 30
    assert struct.unpack(">9i", content[matrix : matrix + 36]) == (one, 0, 0, 0, one, 0, 0, 0, w)
    content[matrix : matrix + 36] = struct.pack(">9i", 0, one, 0, -one, 0, 0, 480 * one, 0, w)
    path.write_bytes(content)


@pytest.fixture(scope="module")
def extracted(make_video, tmp_path_factory):
    """Videos of all kinds, extracted by the real command; gives its output folder and what it reported."""
    out = tmp_path_factory.mktemp("extracted") / "out"
    videos = [
        make_video("plain.mp4"), make_video("25.mp4", fps=25), make_video("5994.mp4", fps=60000 / 1001),
        make_video("turned.mp4", turned=True),
        make_video("empty.mp4", empty=True), make_video("bad.mp4"), make_video("cut.mp4"),
        make_video("slow.mp4", fps=5), make_video("photograph.mp4", still=True),
    ]  # fmt: skip
    turn_the_metadata(videos[3])
    videos[5].write_bytes(b"this is no video")
    videos[6].write_bytes(videos[6].read_bytes()[:-20_000])
    return out, extract(*videos, "--out", out, "--frames", T, "--max-people", 1)


def test_every_video_becomes_a_recording_and_segments_and_odd_ones_are_named(extracted):
    out, finished = extracted
    rows = {row["video"]: row for row in table(out / "videos.csv")}
    assert finished.returncode == 1, "one of them is no video"
    assert "bad.mp4: is no video" in finished.stderr
    assert "cut.mp4: " in finished.stderr
    assert "empty.mp4: no person is visible" in finished.stderr
    assert rows["empty.mp4"]["recording"] == ""
    for name in ("plain.mp4", "25.mp4", "5994.mp4", "turned.mp4"):
        poses = np.load(out / "recordings" / rows[name]["recording"])
        assert abs(len(poses) - 75) <= 2, "two and a half seconds at 30 frames a second"
        assert poses.dtype == np.float32 and poses.shape[1:] == (33, 5)
        assert np.isfinite(poses).mean() > 0.95
        assert float(rows[name]["pose_fraction"]) > 0.95
        child = rows[name]["recording"].removesuffix(".npy")
        segments = sorted((out / "test").glob(f"{child}?????.npy"))
        assert len(segments) == 2
        np.testing.assert_array_equal(np.load(segments[0]), poses[:T])
        np.testing.assert_array_equal(np.load(segments[1]), poses[-T:])
    for name, part in (("slow.mp4", "5 frames a second"), ("photograph.mp4", "as in a photograph")):
        assert part in rows[name]["note"] and f"warning: {name}: " in finished.stderr
    manifest = json.loads((out / "recordings/child_1_1.json").read_text())
    assert manifest["mode"] == "VIDEO"
    assert len(manifest["model_sha256"]) == 64


def test_each_video_reports_who_is_followed_and_has_a_contact_sheet_without_faces(extracted, cv2):
    out, finished = extracted
    rows = {row["video"]: row for row in table(out / "videos.csv")}
    row = rows["plain.mp4"]
    assert "plain.mp4: child_1_1.npy, followed: the person at x 0." in finished.stdout
    assert f"contact sheet: {out / row['preview']}" in finished.stdout
    assert 0.3 < float(row["child_x"]) < 0.6 and float(row["seen_fraction"]) > 0.95 and row["people"] == "1"
    assert "only one person was seen at a time: make sure that it is the child" in row["note"]
    sheet = cv2.imread(str(out / row["preview"]))
    assert sheet.shape[1] == 3 * 480 and 2 * 300 < sheet.shape[0] < 2 * 400
    tile = sheet[44 : 44 + 360, :480]
    nose = np.load(out / "recordings/child_1_1.npy")[0, 0, :2] * (480, 360)
    face = tile[int(nose[1]) - 30 : int(nose[1]) - 8, int(nose[0]) - 20 : int(nose[0]) + 20]
    below = tile[240:300, 150:300]
    assert cv2.Laplacian(face, cv2.CV_64F).std() < cv2.Laplacian(below, cv2.CV_64F).std() / 2, "few details are left"
    assert rows["empty.mp4"]["people"] == "0" and (out / rows["empty.mp4"]["preview"]).is_file()


def test_the_same_scene_has_the_same_pose_at_every_frame_rate_and_when_held_upright(extracted):
    out, _ = extracted
    rows = {row["video"]: row["recording"] for row in table(out / "videos.csv")}
    plain = np.load(out / "recordings" / rows["plain.mp4"])
    nose = plain[:, 0, :2]
    assert 0.3 < nose[:, 0].mean() < 0.6 and 0.1 < nose[:, 1].mean() < 0.4
    for name, within in (("25.mp4", 0.02), ("5994.mp4", 0.02), ("turned.mp4", 0.04)):
        other = np.load(out / "recordings" / rows[name])[:, 0, :2]
        count = min(len(nose), len(other))
        assert np.abs(nose[5:count] - other[5:count]).max() < within, name


def test_what_comes_out_is_predicted_and_gets_a_timeline(extracted, trained, tmp_path):
    out, _ = extracted
    flags = ["--run", str(trained), "--device", "cpu", "--precision", "float32"]
    prediction = [
        sys.executable,
        "submission.py",
        "--test",
        str(out / "test"),
        *flags,
        "--out",
        str(tmp_path / "a.csv"),
    ]
    finished = subprocess.run(prediction, cwd=ROOT, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    notes = {row["segment_name"]: row["note"] for row in table(tmp_path / "a_probabilities.csv")}
    slow = next(row["recording"] for row in table(out / "videos.csv") if row["video"] == "slow.mp4")
    assert "slow.mp4: " in notes[f"{slow.removesuffix('.npy')}00001.npy"] and "warning: slow.mp4: " in finished.stderr
    recording = str(out / "recordings/child_1_1.npy")
    line = [sys.executable, "src/timeline.py", recording, *flags, "--out", str(tmp_path / "line")]
    finished = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    assert (tmp_path / "line/events.csv").exists()
    assert (tmp_path / "line/child_1_1/timeline.png").exists()


def test_a_timeline_takes_the_video_itself(make_video, trained, tmp_path, cv2):
    flags = ["--run", str(trained), "--device", "cpu", "--precision", "float32", "--model", str(MODEL)]
    words = [sys.executable, "src/timeline.py", str(make_video("whole.mp4")), *flags, "--out", str(tmp_path / "line")]
    words += ["--preview-video", "--max-people", "1"]
    finished = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    assert "whole.mp4: child_1_1.npy, followed: the person at x 0." in finished.stdout
    assert "warning: whole.mp4: only one person was seen at a time" in finished.stderr
    assert (tmp_path / "line/child_1_1/timeline.png").exists()
    [row] = table(tmp_path / "line/recordings.csv")
    assert row["video"] == "whole.mp4" and "only one person was seen at a time" in row["note"]
    assert "\nwhole.mp4 (child_1_1.npy): " in finished.stdout
    [preview] = (tmp_path / "line/child_1_1").glob("preview.*")
    assert f"preview video: {preview}" in finished.stdout
    capture = cv2.VideoCapture(str(preview))
    assert capture.get(cv2.CAP_PROP_FPS) == 15 and abs(capture.get(cv2.CAP_PROP_FRAME_COUNT) - 37) <= 2
    assert capture.read()[1].shape == (480 + 110, 640, 3)
    words[2] = str(make_video("no_person.mp4", empty=True))
    finished = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert finished.returncode == 1
    assert "no person is visible in it" in finished.stderr


def test_killed_it_goes_on_with_the_first_video_that_is_not_done(make_video, tmp_path):
    videos = [make_video(f"{number}.mp4", seconds=1 + number / 10) for number in range(3)]
    words = [*videos, "--out", tmp_path, "--max-people", 1, "--frames", T, "--workers", 1]
    command = [sys.executable, "src/extract_pose.py", *map(str, words), "--model", str(MODEL)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (tmp_path / "recordings/child_1_1.json").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    first = (tmp_path / "recordings/child_1_1.npy").stat().st_mtime_ns
    finished = extract(*words)
    assert finished.returncode == 0, finished.stderr
    assert "videos are extracted already" in finished.stdout
    assert (tmp_path / "recordings/child_1_1.npy").stat().st_mtime_ns == first
    assert [row["recording"] for row in table(tmp_path / "videos.csv")] == [f"child_{n}_1.npy" for n in (1, 2, 3)]


def test_a_video_given_twice_is_one_recording_and_what_is_lost_is_made_again(make_video, tmp_path):
    first = make_video("first.mp4", seconds=1)
    twin = first.with_name("twin.mp4")
    twin.write_bytes(first.read_bytes())
    words = [first, twin, first, "--out", tmp_path, "--max-people", 1, "--frames", T]
    finished = extract(*words)
    assert finished.returncode == 0
    assert f"{first} and {twin} are the same video, extracted once, as child_1_1" in finished.stderr
    assert f"{first} is given twice" in finished.stderr
    (tmp_path / "previews/child_1_1.jpg").unlink()
    assert [row["recording"] for row in table(tmp_path / "videos.csv")] == ["child_1_1.npy"]
    whole = (tmp_path / "recordings/child_1_1.npy").read_bytes()
    (tmp_path / "test/child_1_100001.npy").unlink()
    assert extract(*words).returncode == 0
    assert (tmp_path / "test/child_1_100001.npy").exists()
    assert (tmp_path / "recordings/child_1_1.npy").read_bytes() == whole
    assert (tmp_path / "previews/child_1_1.jpg").exists()
    finished = extract(twin, *words[3:], "--no-preview")
    assert "is the same video as first.mp4, extracted as child_1_1" in finished.stderr
    finished = extract(*words, "--child", 9)
    assert finished.returncode == 1
    assert "was extracted as child_1_1" in finished.stderr


def test_names_and_models_that_cannot_be_are_refused(make_video, tmp_path):
    odd = make_video("first.mp4", seconds=1).with_name("=x.mp4")
    odd.write_bytes(b"")
    finished = extract(odd, "--out", tmp_path)
    assert finished.returncode == 1
    assert "rename it" in finished.stderr
    (tmp_path / "a.task").write_bytes(b"no model")
    words = [sys.executable, "src/extract_pose.py", "a.mp4", "--model", str(tmp_path / "a.task")]
    finished = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert finished.returncode == 1
    assert "is no pose model" in finished.stderr


def test_two_at_once_do_not_write_into_one_folder(make_video, tmp_path):
    (tmp_path / ".lock").touch()
    with open(tmp_path / ".lock") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        finished = extract(make_video("first.mp4", seconds=1), "--out", tmp_path)
    assert finished.returncode == 1
    assert "in another process" in finished.stderr


def test_videos_of_one_child_are_its_recordings(make_video, tmp_path):
    videos = [make_video(f"same{number}.mp4", seconds=1 + number / 10) for number in range(2)]
    assert extract(*videos, "--out", tmp_path, "--max-people", 1, "--frames", T, "--child", 7).returncode == 0
    assert [row["recording"] for row in table(tmp_path / "videos.csv")] == ["child_7_1.npy", "child_7_2.npy"]


def test_previews_can_be_left_out_and_places_are_checked(make_video, tmp_path):
    words = [make_video("first.mp4", seconds=1), "--out", tmp_path / "a", "--max-people", 1, "--frames", T]
    finished = extract(*words, "--no-preview", "--at", "0.4,0.5")
    assert finished.returncode == 0, finished.stderr
    assert not (tmp_path / "a/previews").exists() and "contact sheet" not in finished.stdout
    assert "only one person" not in table(tmp_path / "a/videos.csv")[0]["note"], "the user named the child"
    for place in ("0.4", "200,300", "a,b"):
        finished = extract(*words, "--at", place)
        assert finished.returncode != 0 and "such as 0.3,0.6" in finished.stderr


def test_videos_csv_is_in_the_order_of_the_numbers(make_video, tmp_path):
    (tmp_path / "recordings").mkdir()
    for number in (10, 2):
        (tmp_path / f"recordings/child_{number}_1.json").write_text(json.dumps({"video_sha256": str(number)}))
    extract(make_video("first.mp4", seconds=1), "--out", tmp_path, "--max-people", 1, "--frames", T, "--child", 3)
    lines = (tmp_path / "videos.csv").read_text().splitlines()
    assert len(lines) == 4 and lines[2].startswith("first.mp4,3,")


def test_without_a_model_it_says_how_to_build_one(tmp_path):
    words = ["src/extract_pose.py", "a.mp4", "--out", str(tmp_path), "--model", str(tmp_path / "none.task")]
    finished = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True)
    assert finished.returncode == 1
    assert "make pose-model" in finished.stderr
    assert os.listdir(tmp_path) == []
