"""timeline.py --camera: what is told as it is filmed is what is told afterwards, and watching ends cleanly."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from test_extract_pose import MODEL, cv2, film, table

from spasm import events, recording_answers
from spasm.answer import Answerer, open_decision
from spasm.settings import Accumulation, Hardware, Hysteresis

__all__ = ["cv2", "film"]  # the fixtures
ROOT = Path(__file__).parents[1]
T = 60
FLAGS = ["--device", "cpu", "--precision", "float32", "--model", str(MODEL), "--people", "1"]


@pytest.fixture(scope="module")
def answerer(trained):
    with Answerer(trained, open_decision(trained), Hardware(device="cpu", precision="float32"), 1) as answering:
        yield answering


def moving(frames, seed):
    generator = np.random.default_rng(seed)
    poses = generator.normal(0, 0.02, (frames, 33, 5)).cumsum(axis=0).astype(np.float32)
    poses[frames // 3 : frames // 2] = np.nan
    return poses


@pytest.mark.parametrize("stride", [3, 30, 75])
@pytest.mark.parametrize("frames", [20, 60, 400, 421])
def test_poses_that_come_bit_by_bit_are_answered_as_the_recording_they_become(answerer, tmp_path, frames, stride):
    poses = moving(frames, frames)
    np.save(tmp_path / "child_1_1.npy", poses)
    whole = recording_answers.answer(tmp_path / "child_1_1.npy", frames, stride, answerer, lambda done: None)
    cuts = np.unique(np.random.default_rng(stride).integers(0, frames, 40))
    for rule in (Hysteresis(0.3, 0.2), Accumulation(2, 0.7, 0.0, 2.0)):
        live, alarms_s = recording_answers.Live(answerer, stride), []
        for part in np.split(poses, cuts):
            if windows := live.add(part):
                told = events.told(windows, rule)
                alarms_s += [windows.duration_s] * (len(told) - len(alarms_s))
        windows = live.finish()
        np.testing.assert_allclose(windows.probabilities, whole.probabilities, atol=1e-4)
        np.testing.assert_allclose(windows.curve, whole.curve, atol=1e-4)
        np.testing.assert_array_equal(windows.known_s, whole.known_s)
        final = events.told(windows, rule)
        assert len(final) >= len(alarms_s)
        assert all(at_s <= event.known_s + 1e-6 for at_s, event in zip(alarms_s, final, strict=False)), "never later"


def watch(camera, trained, out, **options):
    command = [sys.executable, "src/timeline.py", "--camera", str(camera), "--run", str(trained), "--out", str(out)]
    return subprocess.Popen(
        [*command, *FLAGS], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def test_a_film_is_watched_at_its_pace_and_answers_come_as_it_goes(film, trained, tmp_path):
    begin_s = time.monotonic()
    process = watch(film("film.mkv", seconds=5), trained, tmp_path)
    told, errors = process.communicate()
    assert process.returncode == 0, errors
    assert time.monotonic() - begin_s > 5
    answers = re.findall(r"^0:00:0(\d)\.0  probability 0\.\d{3}$", told, re.MULTILINE)
    assert answers == ["2", "3", "4", "5"], told
    assert re.search(r"answers came \d\.\d\d s after the last frame of their window was taken", told)
    [folder] = tmp_path.glob("live_*")
    assert {path.name for path in folder.iterdir()} >= {"events.csv", "windows.csv", "curve.csv", "timeline.png"}
    assert len(table(folder / "curve.csv")) in (49, 50)


def test_a_stream_on_standard_input_is_watched_until_ctrl_c_and_nothing_is_lost(film, trained, tmp_path):
    content = film("stream.mkv", seconds=20).read_bytes()
    process = watch("-", trained, tmp_path, stdin=subprocess.PIPE, start_new_session=True)
    process.stdin.buffer.write(content)
    process.stdin.buffer.flush()
    lines = []
    while not any("probability" in line for line in lines):
        lines.append(process.stdout.readline())
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    told, errors = process.communicate()
    assert process.returncode == 0, errors
    assert "written: " in told
    [folder] = tmp_path.glob("live_*")
    assert table(folder / "windows.csv")


def test_cameras_and_streams_that_are_none_are_named(cv2, trained, tmp_path):
    (tmp_path / "bad.mkv").write_bytes(b"this is no film")
    for camera, said in (
        ("77", "camera 77: is not there"),
        (tmp_path / "bad.mkv", "bad.mkv: is no video that OpenCV can open"),
        ("-", "standard input: is no video"),
    ):
        process = watch(camera, trained, tmp_path, stdin=subprocess.DEVNULL)
        errors = process.communicate()[1]
        assert process.returncode == 1
        assert said in errors
        assert not list(tmp_path.glob("live_*"))
