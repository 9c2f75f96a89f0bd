"""Pose files of other tools become recordings at 30 frames per second of one person; what was not found is missing."""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spasm
from helpers import pose_files as write
from helpers.pose_files import HEIGHT, WIDTH
from spasm.config.pose_files import PoseFileSettings, place_of
from spasm.core.errors import DataError
from spasm.data.landmarks import INDEX
from spasm.data.pose_files.base import PoseFile
from spasm.data.pose_files.joints import LAYOUTS, to_landmarks
from spasm.data.segments import read_pose
from spasm.video.pose_import import Imported, PoseImport, import_pose_files, import_summary
from spasm.video.pose_units import landmarks_of

NOSE, LEFT_WRIST, LEFT_HIP = INDEX["nose"], INDEX["left_wrist"], INDEX["left_hip"]
SIZE = {"width": float(WIDTH), "height": float(HEIGHT)}


def person(frames: int, x: float, y: float, size: float) -> np.ndarray:
    """A person (F, 33, 5) about a place of the picture, moving slowly."""
    rng = np.random.default_rng(3)
    pose = np.full((frames, 33, 5), 0.9)
    pose[..., :2] = np.array([x, y]) + size * rng.uniform(-0.5, 0.5, (33, 2))
    pose[..., 0] += 0.02 * np.sin(np.arange(frames) / 5)[:, None]
    pose[..., 2] = 0
    return pose


def imported(path: Path, out: Path, child: int | None = None, frames: int = 60, **settings: Any) -> Imported:
    how = {name: settings.pop(name) for name in ("pick", "at", "max_people") if name in settings}
    flags = PoseFileSettings(**({"fps": 30.0} | SIZE | settings))
    return import_pose_files([path], PoseImport(out, flags, frames=frames, **how), child)


def recording(result: Imported, out: Path) -> np.ndarray:
    assert not result.problems
    return np.load(out / "recordings" / result.manifests[0]["recording"])


# ---- values


def pose_file(poses: np.ndarray, **more: Any) -> PoseFile:
    return PoseFile(**({"tool": "x", "joints": LAYOUTS["coco_17"], "poses": poses, "unit": "pixels",
                        "lowest_confidence": 0.3} | more))  # fmt: skip


def joints_at(x: float, y: float, confidence: float = 0.8) -> np.ndarray:
    poses = np.full((2, 1, 17, 5), [x, y, np.nan, confidence, confidence])
    poses[..., 0] += np.arange(17)
    return poses


def test_pixels_are_divided_by_width_and_height_and_depth_by_the_width() -> None:
    poses = joints_at(160, 120)
    found, _, notes = landmarks_of("x", pose_file(poses), (WIDTH, HEIGHT), None, 5)
    assert found[0, 0, NOSE].tolist() == [0.25, 0.25, 0, 0.8, 0.8] and "2-D: z is 0" in notes
    poses[..., 2] = 64
    found, _, notes = landmarks_of("x", pose_file(poses), (WIDTH, HEIGHT), None, 5)
    assert found[0, 0, NOSE, 2] == 0.1 and "2-D: z is 0" not in notes
    assert "16 of 33 landmarks have no joint" in notes


def test_centred_places_are_moved_and_picture_units_kept() -> None:
    centred, _, _ = landmarks_of("x", pose_file(joints_at(0, 0) * [0.01, 1, 1, 1, 1], unit="centred"), None, None, 5)
    assert centred[0, 0, NOSE, :2].tolist() == [0.5, 0.5], "the middle of the picture is a place"
    picture, _, _ = landmarks_of("x", pose_file(joints_at(0.2, 0.3) * [0.1, 1, 1, 1, 1], unit="picture"), None, None, 5)
    assert picture[0, 0, NOSE, :2] == pytest.approx([0.02, 0.3])


def test_marks_of_missing_joints_low_confidence_and_impossible_places_are_missing_in_all_channels() -> None:
    poses = joints_at(100, 100)
    poses[0, 0, 0] = [0, 0, np.nan, 0.9, 0.9]
    poses[0, 0, 5, 3:] = 0.29
    poses[0, 0, 6] = [1e308, 5, np.nan, 0.9, 0.9]
    poses[0, 0, 7, 1] = np.nan
    found, _, notes = landmarks_of("x", pose_file(poses), (WIDTH, HEIGHT), None, 5)
    lost = [INDEX[name] for name in ("nose", "left_shoulder", "right_shoulder", "left_elbow")]
    assert np.isnan(found[0, 0, lost]).all() and np.isfinite(found[1, 0, lost]).all()
    assert "1 places farther than 10 pictures are missing" in notes
    assert "joints below a confidence of 0.3 are missing" in notes
    all_kept, _, _ = landmarks_of("x", pose_file(poses), (WIDTH, HEIGHT), 0.0, 5)
    assert np.isfinite(all_kept[0, 0, INDEX["left_shoulder"]]).all()


def test_scores_above_one_are_clipped_and_missing_ones_taken_as_one() -> None:
    found, _, _ = landmarks_of("x", pose_file(joints_at(100, 100, 7.5)), (WIDTH, HEIGHT), None, 5)
    assert (found[0, 0, NOSE, 3:] == 1).all()
    found, _, notes = landmarks_of("x", pose_file(joints_at(100, 100, np.nan)), (WIDTH, HEIGHT), None, 5)
    assert (found[0, 0, NOSE, 3:] == 1).all() and "without confidence: taken as 1" in notes


def test_confidence_in_percent_is_divided_before_the_limit() -> None:
    poses = joints_at(100, 100, 80)
    poses[:, 0, NOSE, 3:] = 25
    found, _, notes = landmarks_of("x", pose_file(poses), (WIDTH, HEIGHT), None, 5)
    assert np.isnan(found[0, 0, NOSE]).all() and found[0, 0, LEFT_HIP, 3] == 0.8
    assert "confidence is in percent: divided by 100" in notes
    found, _, notes = landmarks_of("x", pose_file(joints_at(100, 100, 6)), (WIDTH, HEIGHT), None, 5)
    assert found[0, 0, NOSE, 3] == 1 and "percent" not in str(notes), "mmpose's scores may exceed 1"


def test_places_that_do_not_fit_the_picture_are_refused() -> None:
    with pytest.raises(DataError, match="most joints lie outside a picture of 320 x 240"):
        landmarks_of("x", pose_file(joints_at(900, 600)), (320, 240), None, 5)
    with pytest.raises(DataError, match=r"unknown size.*--width W --height H"):
        landmarks_of("x", pose_file(joints_at(900, 600)), None, None, 5)
    with pytest.raises(DataError, match="from -1 to 1"):
        landmarks_of("x", pose_file(joints_at(-0.9, -0.8) * [0.05, 1, 1, 1, 1] - [0.9, 0, 0, 0, 0]), None, None, 5)
    scaled, _, notes = landmarks_of("x", pose_file(joints_at(0.1, 0.5) * [0.05, 1, 1, 1, 1]), None, None, 5)
    assert scaled[0, 0, NOSE, 1] == 0.5 and "its places are fractions of the picture already" in notes


def test_joints_outside_the_picture_do_not_turn_fractions_into_pixels() -> None:
    poses = np.tile(joints_at(0.3, 0.5) * [0, 1, 1, 1, 1] + [0.3, 0, 0, 0, 0], (20, 1, 1, 1))
    poses[::5, 0, :2, :2] = [2.6, -0.7]
    poses[3, 0, 4, 0] = 5e5
    for size in ((WIDTH, HEIGHT), None):
        found, _, notes = landmarks_of("x", pose_file(poses), size, None, 5)
        assert (
            found[1, 0, NOSE, :2].tolist() == [0.3, 0.5] and "its places are fractions of the picture already" in notes
        )


@pytest.mark.parametrize("place", [(900.0, 200.0), (300.0, 640.0), (-400.0, 200.0)])
def test_a_second_person_outside_the_picture_shows_that_its_size_is_wrong(place: tuple[float, float]) -> None:
    inside, outside = joints_at(200, 100), joints_at(*place)
    outside[1] = np.nan
    with pytest.raises(DataError, match=r"people lie outside a picture of 640 x 480.*--width and --height"):
        landmarks_of("x", pose_file(np.concatenate([inside, outside], axis=1)), (640, 480), None, 5)


def test_a_huge_place_is_written_short() -> None:
    with pytest.raises(DataError) as error, warnings.catch_warnings():
        warnings.simplefilter("error")
        landmarks_of("x", pose_file(joints_at(1e308, 1e300)), (640, 480), None, 5)
    assert "they reach 1e+308, 1e+300" in str(error.value) and len(str(error.value)) < 250


def test_a_file_without_a_shoulder_or_hip_or_without_any_joint_found_is_refused() -> None:
    names = ("nose", "tail", *(f"leg{number}" for number in range(15)))
    with pytest.raises(DataError, match="none of its joints is a shoulder or a hip"):
        landmarks_of("x", pose_file(joints_at(1, 1), joints=names), (WIDTH, HEIGHT), None, 5)
    with pytest.raises(DataError, match="no joint was found"):
        landmarks_of("x", pose_file(joints_at(100, 100, 0.1)), (WIDTH, HEIGHT), None, 5)


def test_of_too_many_people_in_a_frame_the_most_confident_are_kept_with_their_ids() -> None:
    poses = np.concatenate([joints_at(100, 100, value) for value in (0.4, 0.9, 0.7)], axis=1)
    ids = np.array([[1, 2, 3], [1, 2, 3]])
    found, kept, _ = landmarks_of("x", pose_file(poses, ids=ids), (WIDTH, HEIGHT), None, 2)
    assert found[0, :, NOSE, 3].tolist() == [0.9, 0.7] and kept is not None and kept.tolist() == [[2, 3], [2, 3]]


# ---- time


@pytest.mark.parametrize("fps", [10, 25, 29.97, 30, 50, 60, 120])
def test_any_rate_becomes_thirty_frames_per_second_at_the_same_times(fps: float, tmp_path: Path) -> None:
    frames = round(3 * fps)
    poses = person(frames, 0.5, 0.5, 0.4)
    poses[..., 0] = np.clip(0.2 + 0.1 * np.arange(frames)[:, None] / fps, 0, 1)  # 0.1 pictures a second
    out = recording(
        imported(write.mmpose(tmp_path / "m.json", poses[:, None]), tmp_path / "out", fps=fps), tmp_path / "out"
    )
    assert len(out) == pytest.approx(90, abs=1 + 30 / fps)
    assert out[:, NOSE, 0] == pytest.approx(0.2 + 0.1 * np.arange(len(out)) / 30, abs=1e-3)


def test_slow_and_short_recordings_are_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    poses = person(12, 0.5, 0.5, 0.4)[:, None]
    slow = imported(write.mmpose(tmp_path / "m.json", poses), tmp_path / "a", fps=5.0).manifests[0]
    assert "5 frames a second: too few to see a spasm" in slow["note"] and slow["seconds"] == pytest.approx(2.2, 0.1)
    short = imported(write.mmpose(tmp_path / "n.json", poses), tmp_path / "b").manifests[0]
    assert "too short to show a movement" in short["note"]
    monkeypatch.setattr("spasm.video.pose_import.LONGEST_S", 2.0)
    too_long = imported(write.mmpose(tmp_path / "c.json", poses), tmp_path / "c", fps=5.0)
    assert "hours long" in str(too_long.problems[0]) and not list((tmp_path / "c").rglob("*.npy"))


def test_without_a_rate_or_a_size_the_flag_is_asked_for(tmp_path: Path) -> None:
    path = write.mmpose(tmp_path / "m.json", person(40, 0.5, 0.5, 0.4)[:, None])
    assert "add --fps" in str(imported(path, tmp_path / "out", fps=None).problems[0])
    assert "--width W --height H" in str(imported(path, tmp_path / "out", width=None, height=None).problems[0])
    sized = write.coco_dataset(tmp_path / "d.json", person(40, 0.5, 0.5, 0.4)[:, None])
    assert not imported(sized, tmp_path / "out", width=None, height=None).problems


def test_frames_that_the_tool_skipped_are_gaps_of_the_right_length(tmp_path: Path) -> None:
    poses = person(90, 0.5, 0.5, 0.4)[:, None]
    path = write.openpose(tmp_path / "json", poses, skip=range(30, 60))
    out = recording(imported(path, tmp_path / "out"), tmp_path / "out")
    assert np.isfinite(out[:, NOSE, 0]).tolist() == [True] * 30 + [False] * 30 + [True] * 30


def test_frame_times_and_size_come_from_the_video(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    video = str(tmp_path / "walk.avi")
    writer = cv2.VideoWriter(video, cv2.VideoWriter_fourcc(*"MJPG"), 15, (320, 240))
    for _ in range(30):
        writer.write(np.zeros((240, 320, 3), dtype=np.uint8))
    writer.release()
    path = write.mmpose(tmp_path / "m.json", person(30, 0.5, 0.5, 0.4)[:, None] * [320 / WIDTH, 0.5, 1, 1, 1])
    flags = {"fps": None, "width": None, "height": None, "video": Path(video)}
    result = imported(path, tmp_path / "out", **flags)
    out = recording(result, tmp_path / "out")
    assert len(out) == 59 and result.manifests[0]["file_fps"] == pytest.approx(15)
    assert np.nanmedian(out[:, LEFT_HIP, :2], axis=0) == pytest.approx(
        person(30, 0.5, 0.5, 0.4)[0, LEFT_HIP, :2], abs=0.03
    )
    longer = write.mmpose(tmp_path / "l.json", person(40, 0.5, 0.5, 0.4)[:, None] * 0.5)
    assert "has 40 frames, the video only 30" in str(imported(longer, tmp_path / "out", **flags).problems[0])
    (tmp_path / "no.mp4").write_bytes(b"no video")
    with pytest.raises(DataError, match="no video that OpenCV can open"):
        imported(path, tmp_path / "out", **(flags | {"video": tmp_path / "no.mp4"}))


# ---- people


def two_people(frames: int = 90) -> np.ndarray:
    child, parent = person(frames, 0.25, 0.7, 0.2), person(frames, 0.7, 0.4, 0.6)
    people = np.stack([child, parent], axis=1)
    people[10:50] = people[10:50, ::-1]  # the order in a frame means nothing
    return people


@pytest.mark.parametrize(
    ("choice", "x"),
    [({}, 0.25), ({"pick": "largest"}, 0.7), ({"at": (0.75, 0.35)}, 0.7), ({"at": place_of("0.2,0.7")}, 0.25)],
)
def test_one_of_two_people_is_followed_and_the_note_says_who(choice: dict[str, Any], x: float, tmp_path: Path) -> None:
    result = imported(write.alphapose(tmp_path / "a.json", two_people()), tmp_path / "out", **choice)
    out = recording(result, tmp_path / "out")
    assert np.nanmean(out[..., 0]) == pytest.approx(x, abs=0.05) and np.isfinite(out[:, NOSE, 0]).all()
    one = result.manifests[0]
    assert one["people"] == 2 and "followed: the person at x 0." in one["followed"]
    assert "AlphaPose, COCO-17, 3.0 s at 30 fps, 2 people at once" in import_summary(one)


def test_people_in_fractions_of_a_picture_of_unknown_size_are_noted(tmp_path: Path) -> None:
    path = write.mmpose(tmp_path / "m.json", two_people() / [WIDTH, HEIGHT, 1, 1, 1])
    words = "the size of the picture is unknown and taken as square"
    assert words in imported(path, tmp_path / "a", width=None, height=None).manifests[0]["note"]
    assert words not in imported(path, tmp_path / "b").manifests[0]["note"]


def test_a_tracked_person_who_was_lost_and_got_another_number_is_followed_on(tmp_path: Path) -> None:
    people = two_people()
    people[10:50] = people[10:50, ::-1]
    people[40:45, 0] = np.nan
    path = write.alphapose(tmp_path / "a.json", people, ids=True)
    entries = json.loads(path.read_text())
    for one in entries:
        frame, is_child = int(one["image_id"].partition(".")[0]), one["keypoints"][0] < WIDTH / 2
        one["idx"] = (7 if frame >= 45 else 1) if is_child else 2
    path.write_text(json.dumps(entries))
    result = imported(path, tmp_path / "out")
    seen = np.isfinite(recording(result, tmp_path / "out")[:, NOSE, 0])
    assert seen.tolist() == [True] * 40 + [False] * 5 + [True] * 45


# ---- files


def test_what_is_imported_is_not_imported_again_unless_something_changes(tmp_path: Path) -> None:
    path, out = write.alphapose(tmp_path / "walk.json", two_people()), tmp_path / "out"
    first = imported(path, out)
    made = sorted(path.name for path in out.rglob("*") if path.suffix in (".npy", ".csv"))
    assert made == ["child_1_1.npy", "child_1_100001.npy", "child_1_100002.npy", "poses.csv"]
    assert len(first.made) == 1 and imported(path, out).made == [] and imported(path, out).done_before == 1
    assert len(imported(path, out, pick="largest").made) == 1
    (out / "test/child_1_100002.npy").unlink()
    assert len(imported(path, out, pick="largest").made) == 1
    assert imported(path, out, pick="largest").manifests[0]["recording"] == "child_1_1.npy"
    table = (out / "poses.csv").read_text().splitlines()
    assert (
        table[0]
        == "file,tool,child,recording,seconds,pose_fraction,child_x,child_y,child_size,seen_fraction,people,others,note"
    )
    assert len(table) == 2
    assert table[1].startswith('walk.json,"AlphaPose, COCO-17",1,child_1_1.npy,3.0,1.0,')


def test_names_of_children_in_file_names_are_kept(tmp_path: Path) -> None:
    for name in ("child_7_2", "child_7_10", "other"):
        write.mmpose(tmp_path / f"{name}.json", person(40, 0.5, 0.5, 0.01 * len(name) + 0.3)[:, None])
    how = PoseImport(tmp_path / "out", PoseFileSettings(fps=30.0, **SIZE), frames=60)
    result = import_pose_files([tmp_path], how, None)
    assert [one["recording"] for one in result.manifests] == ["child_7_10.npy", "child_7_2.npy", "child_1_1.npy"]
    rows = [line.split(",")[0] for line in (tmp_path / "out/poses.csv").read_text().splitlines()]
    assert rows == ["file", "other.json", "child_7_2.json", "child_7_10.json"]
    refused = import_pose_files([tmp_path / "child_7_2.json"], how, 3)
    assert "is named as another child than --child 3" in str(refused.problems[0])
    more = import_pose_files([write.mmpose(tmp_path / "m.json", person(50, 0.4, 0.5, 0.3)[:, None])], how, 3)
    assert more.manifests[0]["recording"] == "child_3_1.npy"


def test_a_file_that_cannot_be_used_does_not_stop_the_others(tmp_path: Path) -> None:
    good = write.mmpose(tmp_path / "m.json", person(40, 0.5, 0.5, 0.4)[:, None])
    bad = tmp_path / "b.json"
    bad.write_text('[{"image_id": 1, "keypoints": [1, 2]}]')
    how = PoseImport(tmp_path / "out", PoseFileSettings(fps=30.0, **SIZE), frames=60)
    result = import_pose_files([bad, good], how, None)
    assert len(result.made) == 1 and [problem.path for problem in result.problems] == [bad]


# ---- the round trip


def test_a_recording_written_in_each_format_and_imported_is_predicted_as_the_same_joints_were(
    blended: Path, simulated: Path, tmp_path: Path
) -> None:
    written = {
        "body_25": lambda folder, poses: write.openpose(folder / "json", poses),
        "coco_18": lambda folder, poses: write.alphapose_by_picture(folder / "a.json", poses),
        "coco_17": lambda folder, poses: write.mmpose(folder / "m.json", poses, score=1.0),
        "coco_wholebody": lambda folder, poses: write.mmpose(folder / "m.json", poses, "coco_wholebody", score=1.0),
    }
    written |= {"coco_17 results": lambda folder, poses: write.coco_results(folder / "c.json", poses),
                "halpe_26": lambda folder, poses: write.alphapose(folder / "a.json", poses, "halpe_26")}  # fmt: skip
    path = max((simulated / "test").glob("*.npy"), key=lambda path: np.isfinite(read_pose(path, 60)[..., 0]).sum())
    original = read_pose(path, 60)
    expected, found = [], []
    for name, writer in written.items():
        (tmp_path / name).mkdir()
        out = tmp_path / name / "out"
        result = imported(writer(tmp_path / name, original[:, None].astype(float)), out)
        found.append(np.load(out / "test" / f"{Path(result.manifests[0]['recording']).stem}00001.npy"))
        layout = LAYOUTS[name.split()[0]]
        has_joint = np.isfinite(to_landmarks(np.zeros((1, 1, len(layout), 5)), layout)[0][0, 0, :, 0])
        reduced = original.copy()
        reduced[..., 2], reduced[..., 4] = 0 * reduced[..., 2], reduced[..., 3]
        limit = 0.0 if name == "body_25" else 0.3
        reduced[~has_joint[None] | (reduced[..., 3] < limit)] = np.nan
        expected.append(reduced)
    assert np.nanmax(np.abs(np.stack(found)[..., :2] - np.stack(expected)[..., :2])) < 1e-4
    assert (np.isfinite(np.stack(found)) == np.isfinite(np.stack(expected))).all()
    probability = spasm.load(blended).predict(np.stack([*expected, *found])).probability
    assert np.abs(probability[: len(expected)] - probability[len(expected) :]).max() < 0.02
