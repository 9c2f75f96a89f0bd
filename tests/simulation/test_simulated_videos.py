"""Videos of simulated children: what they show, where poses are in them, and that nothing else depends on them."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

from helpers.repository import ROOT
from helpers.tables import table
from spasm.core.errors import DataError, TrainingError
from spasm.simulation import dataset_writer, videos
from spasm.simulation.appearance import CLOTHES, Take, sample_child_look, sample_look, sample_take
from spasm.simulation.behaviours import Performer
from spasm.simulation.infant import Scene, SimulationConfig, cohort, generator, sample_child, simulate_child
from spasm.simulation.repertoire import NOT_BY_CHILD, REPERTOIRE

cv2 = pytest.importorskip("cv2")
pytestmark = pytest.mark.video

SMALL = {"children": 4, "segments_per_child": 2, "seed": 3, "world": SimulationConfig(frames=60), "workers": 1}
RECORDED = SMALL | {"recordings": 2, "minutes": 0.1}


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Segments and two recordings of six seconds, without videos."""
    out = tmp_path_factory.mktemp("plain") / "demo"
    dataset_writer.write_dataset(out, **RECORDED)
    return out


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """The same with videos."""
    out = tmp_path_factory.mktemp("shown") / "demo"
    dataset_writer.write_dataset(out, **RECORDED, with_videos=True)
    return out


def read(path):
    """Frames (F, H, W, 3) and frames per second."""
    video, frames = cv2.VideoCapture(str(path)), []
    while (picture := video.read())[0]:
        frames.append(picture[1])
    return np.array(frames), video.get(cv2.CAP_PROP_FPS)


def painted(scene: Scene, take: Take | None = None, **changed) -> np.ndarray:
    """Frames of a scene in plain light: red skin, a green room, a blue caregiver."""
    from spasm.simulation.rendering import render

    look = sample_look(3, 1, (1,), "home")
    clothes = dataclasses.replace(look.clothes, kind="nappy", feet=None)
    child = dataclasses.replace(look.child, skin=(0.0, 0.0, 220.0), hairline=1.0, cheeks=0.0)
    clear = {
        "child": child, "clothes": clothes, "colours": ((0.0, 120.0, 0.0),) * 8, "mover": "none", "warmth": (1, 1, 1),
        "brightness": 1.0, "fall_off": 0.0, "flicker": (0.0, 1.0), "noise": 0.0, "soft": 1.0, "ghost": 0.0,
        "adult_skin": (220.0, 0.0, 0.0), "sleeve": (220.0, 0.0, 0.0), "idle_arm": False,
    }  # fmt: skip
    take = take or sample_take(3, 1, (1, 1), 2)
    return np.array(list(render(scene, dataclasses.replace(look, **clear | changed), take)))


# ---- what depends on videos, and on what they depend


def test_poses_labels_and_truth_are_the_same_with_and_without_videos(plain, shown):
    without, with_videos = contents(plain), contents(shown)
    more = with_videos.keys() - without.keys()
    segments = [row["segment_name"].removesuffix(".npy") for row in table(shown / "truth.csv")]
    assert more == {"segment_videos.csv"} | {f"videos/{name}.mp4" for name in segments} | {
        "recording_videos/child_1_1.mp4", "recording_videos/child_2_1.mp4",
    }  # fmt: skip
    assert all(with_videos[name] == without[name] for name in without if name != "simulated.json")


def test_the_same_seed_gives_the_same_videos_with_one_worker_or_two(shown, tmp_path):
    dataset_writer.write_dataset(tmp_path / "demo", **RECORDED | {"workers": 2}, with_videos=True)
    assert contents(tmp_path / "demo") == contents(shown)


def test_the_look_of_a_video_is_the_same_whatever_the_labels(tmp_path, monkeypatch):
    looks: dict[float, list] = {}

    def note(*keys):
        seen.append((keys, sample_look(*keys)))

    monkeypatch.setattr(videos, "sample_look", note)
    for prevalence in (0.0, 0.55):
        seen = looks.setdefault(prevalence, [])
        monkeypatch.setattr("spasm.simulation.rendering.render", lambda *_: iter([np.zeros((64, 64, 3), np.uint8)]))
        world = SimulationConfig(frames=60, prevalence=prevalence)
        dataset_writer.write_dataset(tmp_path / str(prevalence), **SMALL | {"world": world}, with_videos=True)
    of_both = dict(looks[0.0]), dict(looks[0.55])
    common = of_both[0].keys() & of_both[1].keys()
    assert len(common) >= 4
    assert all(of_both[0][keys] == of_both[1][keys] for keys in common)


def test_patients_and_controls_have_the_same_looks():
    children = range(1, 801)
    looks = [sample_look(3, child, (1,), "home") for child in children]
    control = np.array([cohort(3, child) == "control" for child in children])
    for number in (
        lambda look: look.brightness, lambda look: look.noise, lambda look: look.idle_arm, lambda look: look.light[0],
        lambda look: sum(look.child.skin), lambda look: sum(look.clothes.upper), lambda look: sum(look.colours[1]),
        lambda look: look.clothes.kind == "nappy", lambda look: look.mover == "none",
    ):  # fmt: skip
        values = np.array([number(look) for look in looks], dtype=float)
        error = values.std() * np.sqrt(1 / control.sum() + 1 / (~control).sum())
        assert abs(values[control].mean() - values[~control].mean()) < 3.5 * error


def test_a_child_keeps_skin_and_hair_and_wears_something_else_in_each_video():
    looks = [sample_look(3, 5, (video,), "home") for video in range(1, 30)]
    assert {look.child for look in looks} == {sample_child_look(3, 5)}
    assert len({look.clothes.upper for look in looks}) == len(looks)
    assert {look.clothes.kind for look in looks} == set(CLOTHES)
    assert len({sample_child_look(3, child).skin for child in range(1, 40)}) == 39


def test_confounded_controls_share_a_ward_and_patients_do_not(monkeypatch):
    world = SimulationConfig(frames=60, confound=True)
    seen: dict[str, set] = {"control": set(), "patient": set()}
    for child in range(1, 12):
        scene = next(simulate_child(3, child, 1, world)).scene
        look = sample_look(3, child, (1,), videos.camera_setup_of(scene.child, world))
        seen[cohort(3, child)].add((look.place, look.surface, look.colours))
    assert len(seen["control"]) == 1 and next(iter(seen["control"]))[0] == "ward"
    assert {place for place, *_ in seen["patient"]} == {"home"}
    assert len(seen["patient"]) > 4


# ---- what is shown


def test_each_segment_has_a_video_of_its_camera_that_covers_its_poses(shown):
    rows, truth = table(shown / "segment_videos.csv"), table(shown / "truth.csv")
    assert [row["segment_name"] for row in rows] == [row["segment_name"] for row in truth]
    for row, true in zip(rows, truth, strict=True):
        frames, fps = read(shown / row["video"])
        start_s = float(row["start_s"])
        assert 0 <= start_s < 1 / fps
        assert (len(frames) - 1) / fps >= start_s + 59 / 30 - 1e-6
        assert min(frames.shape[1:3]) == 320
        assert (frames.shape[2] > frames.shape[1]) == ("landscape" in true["camera"])
        assert frames.std() > 10 and np.abs(np.diff(frames.astype(int), axis=0)).mean() > 0.1


def test_a_segment_begins_at_its_second_of_a_video_slower_than_its_poses(tmp_path):
    world = SimulationConfig(frames=60, camera_setup="table")
    segment = next(s for child in range(1, 9) for s in simulate_child(3, child, 1, world) if s.scene.times_s[0] < -0.01)
    fps, times_s = segment.scene.video.sensor.native_fps, segment.scene.times_s
    assert fps < 30
    start_s = videos.write_segment_video(tmp_path / "a.mp4", segment, 3, 1, 1, world)
    frames, written_fps = read(tmp_path / "a.mp4")
    assert (len(frames), written_fps) == (len(times_s), pytest.approx(fps))
    np.testing.assert_allclose(start_s + times_s, np.arange(len(times_s)) / fps, atol=1e-9)


@pytest.mark.parametrize("child", [2, 5])
def test_the_child_is_where_its_true_landmarks_are(child):
    scene = next(simulate_child(3, child, 1, SimulationConfig(frames=60))).scene
    uncovered = dataclasses.replace(scene.video.sensor, covered=False)
    video = dataclasses.replace(scene.video, sensor=uncovered)
    frames = painted(dataclasses.replace(scene, behaviours=(), video=video))
    height, width = frames.shape[1:3]
    parts = [0, 13, 14, 25, 26, 27, 28]  # nose, elbows, knees, ankles
    at = np.rint(scene.picture[:, parts, :2] * (width, height)).astype(int)
    inside = ((at > 3) & (at < np.array([width, height]) - 4)).all(axis=2)
    assert inside.mean() > 0.3
    frame, part = inside.nonzero()
    x, y = at[frame, part].T
    blue, green, red = frames[frame, y, x].astype(int).T
    assert np.mean((red > green + 40) & (red > blue + 40)) > 0.85


def test_the_background_moves_with_a_hand_held_camera_and_stands_still_on_a_tripod():
    moving = next(
        s.scene for child in range(1, 20) for s in simulate_child(3, child, 1, SimulationConfig(frames=60))
        if s.scene.video.camera.hand_held
    )  # fmt: skip
    still = dataclasses.replace(moving, camera_moved=np.zeros_like(moving.camera_moved))
    changes = {}
    for name, scene in (("moving", moving), ("still", still)):
        frames = painted(dataclasses.replace(scene, behaviours=()), surface="checks", colours=look_colours())
        border = np.concatenate([frames[:, :12].reshape(len(frames), -1), frames[:, -12:].reshape(len(frames), -1)], 1)
        changes[name] = np.abs(np.diff(border.astype(int), axis=0)).mean()
    assert changes["moving"] > 1.0 > 0.2 > changes["still"]


def look_colours():
    return ((0.0, 60.0, 0.0), (0.0, 200.0, 0.0), (0.0, 20.0, 0.0), (0.0, 230.0, 0.0), *[(0.0, 120.0, 0.0)] * 4)


@pytest.mark.parametrize("name", [name for name in NOT_BY_CHILD if name != "camera_jerk"])
def test_an_arm_reaches_the_child_while_it_is_handled_and_not_before(name):
    scene = next(simulate_child(3, 1, 1, SimulationConfig(frames=150))).scene
    rng = generator(5)
    child = sample_child(rng, "patient", SimulationConfig())
    handled = REPERTOIRE[name][0](rng, Performer(child.age_months, 1.0, 1.0, 1.0), 2.0)
    keep = slice(0, 120, 10)
    scene = dataclasses.replace(
        scene, behaviours=(handled,), times_s=scene.times_s[keep], body=scene.body[keep], picture=scene.picture[keep],
        camera_moved=np.zeros_like(scene.camera_moved[keep]),
    )  # fmt: skip
    frames = painted(scene).astype(int)
    blue = ((frames[..., 0] > frames[..., 1] + 60) & (frames[..., 0] > frames[..., 2] + 60)).mean(axis=(1, 2))
    assert blue[scene.times_s < 1.2].max() == 0
    assert blue[scene.times_s > 2.0].max() > 0.01


def test_an_arm_rests_in_some_videos_whatever_is_done():
    resting = [sample_look(3, child, (1,), "home").idle_arm for child in range(1, 400)]
    assert 0.12 < np.mean(resting) < 0.28
    scene = next(simulate_child(3, 1, 1, SimulationConfig(frames=60))).scene
    scene = dataclasses.replace(scene, behaviours=())
    take = dataclasses.replace(sample_take(3, 1, (1, 1), 2), idle_s=(0.3, 9.0))
    for idle in (False, True):
        frames = painted(scene, take, idle_arm=idle).astype(int)
        blue = (frames[..., 0] - frames[..., 1:].max(axis=3) > 60).any(axis=(1, 2))
        assert not blue[scene.times_s < 0.3].any()
        assert blue[scene.times_s > 1.5].all() == idle


def test_a_blanket_hides_the_legs_in_the_picture_where_it_hides_them_from_the_pose_estimation():
    world = SimulationConfig(frames=60)
    scene = next(s.scene for n in range(1, 90) for s in simulate_child(3, n, 2, world)
                 if s.scene.video.posture == "supine" and s.scene.video.camera.framing == "whole")  # fmt: skip
    red = {}
    for covered in (False, True):
        video = dataclasses.replace(scene.video, sensor=dataclasses.replace(scene.video.sensor, covered=covered))
        frames = painted(dataclasses.replace(scene, behaviours=(), video=video)).astype(int)
        red[covered] = (frames[..., 2] - frames[..., :2].max(axis=3) > 40).mean()
    assert 0.2 * red[False] < red[True] < 0.8 * red[False]


# ---- recordings


def test_a_recording_has_a_video_with_a_frame_for_each_pose(shown):
    for path in (shown / "recording_videos").iterdir():
        frames, fps = read(path)
        assert fps == 30
        assert len(frames) == len(np.load(shown / "recordings" / f"{path.stem}.npy"))
        assert frames.std() > 10


@pytest.mark.parametrize("fps", [30.0, 25.0, 7.4])
def test_every_frame_of_a_recording_shows_the_last_picture_before_it(fps):
    scene = next(simulate_child(3, 1, 1, SimulationConfig(frames=60))).scene
    start_s = 0.0 if fps == 30 else -0.6 / fps
    times_s = start_s + np.arange(int(2 * fps) + 2) / fps
    counts = videos.shown_frames(dataclasses.replace(scene, times_s=times_s))
    shown = np.repeat(times_s, counts)
    assert len(shown) == 60
    late_s = np.arange(60) / 30 - shown
    assert late_s.min() > -1e-6 and late_s.max() < 1 / fps


def test_a_scene_of_another_aspect_is_stretched_to_the_pictures_of_the_first(tmp_path):
    with videos.opened_video(tmp_path / "a.mp4", 30) as video:
        for height, width in ((320, 568), (568, 320), (320, 568)):
            video.add(np.full((height, width, 3), 100, np.uint8))
    assert read(tmp_path / "a.mp4")[0].shape == (3, 320, 568, 3)


# ---- what goes wrong


def test_without_opencv_nothing_is_written_and_the_message_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(TrainingError, match=r"--videos needs.*requirements-video\.txt"):
        dataset_writer.write_dataset(tmp_path / "demo", **SMALL, with_videos=True)
    assert not list(tmp_path.iterdir())


def test_a_video_of_which_frames_are_lost_is_an_error_and_leaves_no_file(tmp_path):
    with (
        pytest.raises(DataError, match=r"5 of 6 frames were written.*is the disk full"),
        videos.opened_video(tmp_path / "a.mp4", 30) as video,
    ):
        for _ in range(5):
            video.add(np.zeros((64, 64, 3), np.uint8))
        video.frames += 1
    assert not list(tmp_path.iterdir())


def test_a_set_with_videos_is_replaced_as_a_whole_unless_it_holds_another_file(tmp_path, monkeypatch):
    monkeypatch.setattr("spasm.simulation.rendering.render", lambda *_: iter([np.zeros((64, 64, 3), np.uint8)]))
    out = tmp_path / "demo"
    dataset_writer.write_dataset(out, **SMALL, with_videos=True)
    dataset_writer.write_dataset(out, **SMALL)
    assert not (out / "videos").exists()
    dataset_writer.write_dataset(out, **SMALL, with_videos=True)
    (out / "videos" / "mine.mp4").write_bytes(b"1")
    with pytest.raises(DataError, match=r"mine\.mp4"):
        dataset_writer.write_dataset(out, **SMALL)


@pytest.mark.command
def test_the_script_writes_videos_with_its_flag_and_lists_them(tmp_path):
    flags = f"--out {tmp_path / 'demo'} --children 4 --segments-per-child 1 --frames 60 --videos".split()
    finished = subprocess.run([sys.executable, "src/simulate.py", *flags], cwd=ROOT, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    assert "videos/, segment_videos.csv" in finished.stdout and "recording_videos" not in finished.stdout
    assert len(list((tmp_path / "demo/videos").glob("child_*_1.mp4"))) == 4


def test_a_preview_shows_frames_of_the_videos_too(tmp_path, monkeypatch):
    monkeypatch.setattr("spasm.simulation.preview.pictures", lambda *_: iter(()))
    dataset_writer.write_dataset(tmp_path / "demo", **SMALL, preview=True, with_videos=True)
    sheet = cv2.imread(str(tmp_path / "demo/preview/videos.jpg"))
    cells = sheet.reshape(8, sheet.shape[0] // 8, 6, sheet.shape[1] // 6, 3)
    assert (cells.std(axis=(1, 3, 4)) > 10).all()
    assert "preview/videos.jpg" in json.loads((tmp_path / "demo/simulated.json").read_text())["files"]
