"""timeline.py --camera: live detection gives the same events as a recording, and it ends cleanly."""

import os
import re
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import numpy as np
import pytest

from helpers.repository import ROOT
from helpers.tables import table
from helpers.video import MODEL, cv2, make_video
from spasm.config.events import Accumulation, Hysteresis
from spasm.data.pose import visible_mask
from spasm.inference import event_detection, sliding_window
from spasm.inference.ensemble_predictor import BatchPrediction
from spasm.video import decode

__all__ = ["cv2", "make_video"]  # the fixtures
CV2 = pytest.importorskip("cv2", exc_type=ImportError)
T = 60
FLAGS = ["--device", "cpu", "--precision", "float32", "--model", str(MODEL), "--max-people", "1"]


class Steep:
    """Predicts like a run, with probabilities that show at once which frames a window holds: by its highest nose."""

    decision = types.SimpleNamespace(frames=T)

    def predict(self, batches):
        for key, poses, *_ in batches:
            posed = visible_mask(poses).any(axis=2)
            nose = np.where(np.isfinite(poses[:, :, 0, 0]), poses[:, :, 0, 0], 0)
            attention = np.where(nose == nose.max(1, keepdims=True), nose, 0)
            logits = {"a": np.where(posed.any(axis=1), nose.max(1), 0.05)}
            yield BatchPrediction(key, posed, posed, logits, attention)

    def probability(self, logits, children, has_pose, child_context=True):
        assert not child_context, "windows overlap, and are no segments of one child"
        return logits["a"]


def moving(frames, seed):
    """Poses with a gap, and a nose that is at a place of its own in every frame and jumps up now and then."""
    generator = np.random.default_rng(seed)
    poses = generator.uniform(0.05, 0.3, (frames, 33, 5)).astype(np.float32)
    poses[::97, 0, 0] = generator.uniform(0.85, 0.95, len(poses[::97]))
    poses[frames // 3 : frames // 2] = np.nan
    return poses


@pytest.mark.parametrize("stride", [3, 30, 75])
@pytest.mark.parametrize("frames", [20, 60, 400, 421, 1500])
def test_poses_that_come_bit_by_bit_are_predicted_as_the_recording_they_become(tmp_path, frames, stride):
    poses = moving(frames, frames)
    np.save(tmp_path / "child_1_1.npy", poses)
    whole = sliding_window.predict_recording(
        tmp_path / "child_1_1.npy", frames, stride, Steep(), 0.0, lambda done: None
    )
    cuts = np.unique(np.random.default_rng(stride).integers(0, frames, 40))
    for rule in (Hysteresis(0.5, 0.4), Accumulation(1, 0.7, 0.0, 2.0)):
        live, alarms_s = sliding_window.OnlineDetector(Steep(), stride, 0.0), []
        for part in np.split(poses, cuts):
            if windows := live.add(part):
                detected = event_detection.detect_events(windows, rule)
                alarms_s += [windows.duration_s] * (len(detected) - len(alarms_s))
        windows = live.finish()
        np.testing.assert_array_equal(windows.probabilities, whole.probabilities)
        np.testing.assert_array_equal(windows.curve, whole.curve)
        np.testing.assert_array_equal(windows.detectable_at_s, whole.detectable_at_s)
        final = event_detection.detect_events(windows, rule)
        assert final and len(final) >= len(alarms_s) and (frames < 1000 or len(alarms_s) > 3)
        late_s = [at_s - event.detectable_at_s for at_s, event in zip(alarms_s, final, strict=False)]
        # Windows that become whole together are predicted together.
        assert max(late_s, default=0) <= np.diff([0, *cuts, frames]).max() / 30 + 1e-6


def test_what_was_predicted_is_there_when_no_more_can_be():
    live = sliding_window.OnlineDetector(Steep(), 30, 0.0)
    poses = moving(200, 0)
    assert live.so_far() is None
    live.add(poses[:50])
    assert live.so_far() is None
    live.add(poses[50:])
    windows = live.so_far()
    assert windows.duration_s == 6 and len(windows.probabilities) == 5 and len(windows.curve) == 60


def run_camera(camera, trained, out, **options):
    command = [sys.executable, "src/timeline.py", "--camera", str(camera), "--run", str(trained), "--out", str(out)]
    return subprocess.Popen(
        [*command, *FLAGS], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def test_a_video_is_read_at_its_frame_rate_and_predictions_come_in_time(make_video, trained, tmp_path):
    begin_s = time.monotonic()
    process = run_camera(make_video("seen.mkv", seconds=5), trained, tmp_path)
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    assert time.monotonic() - begin_s > 5
    times = re.findall(
        r"^0:00:0(\d)\.0  (?:probability 0\.\d{3}(?:, no pose now)?|no pose: no probability)$", output, re.M
    )
    assert times == ["2", "3", "4", "5"], output
    assert re.search(r"predictions came \d\.\d\d s after their last frame was taken", output)
    [folder] = tmp_path.glob("live_*")
    assert {path.name for path in folder.iterdir()} >= {
        "events.csv",
        "windows.csv",
        "probability_over_time.csv",
        "timeline.png",
    }
    assert len(table(folder / "probability_over_time.csv")) in (49, 50)


def test_a_stream_on_standard_input_is_read_until_ctrl_c_and_nothing_is_lost(make_video, trained, tmp_path):
    content = make_video("stream.mkv", seconds=20).read_bytes()
    process = run_camera("-", trained, tmp_path, stdin=subprocess.PIPE, start_new_session=True)
    process.stdin.buffer.write(content)
    process.stdin.buffer.flush()
    lines = []
    while not any("probability" in line for line in lines):
        lines.append(process.stdout.readline())
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    assert "written: " in output and "Traceback" not in errors
    [folder] = tmp_path.glob("live_*")
    assert table(folder / "windows.csv")


def test_cameras_and_streams_that_are_none_are_named(cv2, trained, tmp_path):
    (tmp_path / "bad.mkv").write_bytes(b"this is no video")
    for camera, message in (
        ("77", "camera 77: is not there"),
        (tmp_path / "bad.mkv", "bad.mkv: is no video that OpenCV can open"),
        ("-", "standard input: is no video"),
    ):
        process = run_camera(camera, trained, tmp_path, stdin=subprocess.DEVNULL)
        errors = process.communicate()[1]
        assert process.returncode == 1
        assert message in errors
        assert not list(tmp_path.glob("live_*"))


def test_if_the_pose_process_dies_the_predictions_so_far_are_kept(make_video, trained, tmp_path):
    process = run_camera(make_video("long.mkv", seconds=20), trained, tmp_path)
    lines = [process.stdout.readline()]
    while "probability" not in lines[-1]:
        lines.append(process.stdout.readline())
        assert process.poll() is None
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes()
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == process.pid and b"spawn_main" in words and "libmediapipe" in (folder / "maps").read_text():
                os.kill(int(folder.name), signal.SIGKILL)
        except OSError:
            continue
    output, errors = process.communicate()
    assert process.returncode == 1
    assert "was killed" in errors and "written: " in output
    [folder] = tmp_path.glob("live_*")
    assert table(folder / "windows.csv") and (folder / "timeline.png").exists()


class Camera:
    """Stands for OpenCV's, which claims 30 frames per second."""

    def __init__(self, *_):
        self.left = 40

    def clock_s(self):
        return 0.0

    def isOpened(self):
        return True

    def set(self, *_):
        pass

    def get(self, what):
        return {CV2.CAP_PROP_FPS: 30.0, CV2.CAP_PROP_POS_MSEC: 1000 * self.clock_s()}.get(what, 0.0)

    def read(self):
        self.left -= 1
        return self.left > 0, np.zeros((4, 4, 3), np.uint8)

    def release(self):
        pass


def test_a_camera_with_fewer_frames_than_it_claims_has_the_time_of_the_clock(monkeypatch):
    now_s = iter(np.arange(40) / 10 + 123456)
    monkeypatch.setattr(CV2, "VideoCapture", Camera)
    monkeypatch.setattr(decode.time, "monotonic", lambda: float(next(now_s)))
    times_s = [time_s for time_s, *_ in decode.frames(Path("/dev/null"))]
    np.testing.assert_allclose(times_s, np.arange(39) / 10, atol=1e-6)


def test_a_stream_whose_clock_jumps_is_believed_again_afterwards(monkeypatch, tmp_path):
    clock_s = [*(5000 + np.arange(20) / 10), *(np.arange(19) / 10 + 9000)]
    monkeypatch.setattr(Camera, "clock_s", lambda camera: clock_s[39 - camera.left])
    monkeypatch.setattr(CV2, "VideoCapture", Camera)
    (tmp_path / "seen.mkv").touch()
    times_s = np.array([time_s for time_s, *_ in decode.frames(tmp_path / "seen.mkv")])
    steps_s = np.diff(times_s)
    assert times_s[0] == 0 and steps_s[19] == pytest.approx(1 / 30)
    np.testing.assert_allclose(np.delete(steps_s, 19), 0.1, atol=1e-6)
