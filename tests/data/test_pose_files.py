"""JSON pose files of other tools are recognised by their content, and read joint by joint or refused with a way on."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers import pose_files as write
from helpers.pose_files import HEIGHT, WIDTH
from spasm.config.pose_files import PoseFileSettings
from spasm.core.errors import DataError
from spasm.data.landmarks import INDEX, LANDMARKS
from spasm.data.pose_files import joints, recognise
from spasm.data.pose_files.base import PoseFile
from spasm.data.pose_files.recognise import read_pose_file, sources

LEFT_WRIST, RIGHT_HIP = INDEX["left_wrist"], INDEX["right_hip"]


def people(frames: int = 4, count: int = 1) -> np.ndarray:
    """People (F, P, 33, 5) in picture units: every landmark elsewhere, all moving to the right."""
    rng = np.random.default_rng(1)
    poses = np.full((frames, count, 33, 5), 0.9)
    poses[..., :2] = rng.uniform(0.2, 0.6, (1, count, 33, 2))
    poses[..., 0] += np.arange(frames)[:, None, None] / 100
    poses[..., 2] = 0
    return poses


WRITERS = {
    "openpose_25": lambda folder, poses: write.openpose(folder / "json", poses),
    "openpose_18": lambda folder, poses: write.openpose(folder / "json", poses, "coco_18"),
    "alphapose_17": lambda folder, poses: write.alphapose(folder / "a.json", poses),
    "alphapose_26": lambda folder, poses: write.alphapose(folder / "a.json", poses, "halpe_26", ids=True),
    "alphapose_136": lambda folder, poses: write.alphapose(folder / "a.json", poses, "halpe_136"),
    "alphapose_open": lambda folder, poses: write.alphapose_by_picture(folder / "a.json", poses),
    "alphapose_cmu": lambda folder, poses: write.alphapose_by_picture(folder / "a.json", poses, "cmu"),
    "mmpose_named": lambda folder, poses: write.mmpose(folder / "m.json", poses),
    "mmpose_plain": lambda folder, poses: write.mmpose(folder / "m.json", poses, names=False, first=0),
    "mmpose_wholebody": lambda folder, poses: write.mmpose(folder / "m.json", poses, "coco_wholebody", names=False),
    "coco_results": lambda folder, poses: write.coco_results(folder / "c.json", poses),
    "coco_named": lambda folder, poses: write.coco_results(folder / "c.json", poses, picture="clip_640/img_{}.jpg"),
    "detectron2": lambda folder, poses: write.coco_results(folder / "c.json", poses, bbox=True),
    "coco_dataset": lambda folder, poses: write.coco_dataset(folder / "c.json", poses),
}  # fmt: skip
TOOLS = {
    "openpose_25": "OpenPose, BODY_25",
    "openpose_18": "OpenPose, COCO-18",
    "alphapose_17": "AlphaPose, COCO-17",
    "alphapose_26": "AlphaPose, Halpe-26",
    "alphapose_136": "AlphaPose, Halpe-136",
    "alphapose_open": "AlphaPose, COCO-18",
    "alphapose_cmu": "AlphaPose, COCO-18",
    "mmpose_named": "mmpose, COCO-17",
    "mmpose_plain": "mmpose, COCO-17",
    "mmpose_wholebody": "mmpose, COCO-WholeBody",
    "coco_results": "COCO results, COCO-17",
    "coco_named": "COCO results, COCO-17",
    "detectron2": "Detectron2's COCO results, COCO-17",
    "coco_dataset": "COCO annotations, COCO-17",
}


def landmarks(file: PoseFile) -> np.ndarray:
    """The landmarks (F, P, 33, 5) of a file in pixels, in the unit of the picture."""
    return joints.to_landmarks(file.poses, file.joints)[0] / [WIDTH, HEIGHT, 1, 1, 1]


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("count", [1, 3])
def test_each_format_is_recognised_and_its_joints_become_the_landmarks_they_are(
    name: str, count: int, tmp_path: Path
) -> None:
    poses = people(5, count)
    file = read_pose_file(WRITERS[name](tmp_path, poses), None)
    assert file.tool == TOOLS[name] and file.unit == "pixels"
    found = landmarks(file)
    there = np.isfinite(found[0, 0, :, 0])
    assert there.sum() in (17, 21, 33) and there[[INDEX["nose"], LEFT_WRIST, RIGHT_HIP]].all()
    assert found[:, :, there, :2] == pytest.approx(poses[:, :, there, :2], abs=1e-4)
    assert np.isnan(found[..., 2]).all(), "2-D files have no depth"


@pytest.mark.parametrize("name", WRITERS)
def test_a_frame_without_people_stays_without_a_pose_and_the_others_keep_their_times(name: str, tmp_path: Path) -> None:
    poses = people(6)
    poses[[2, 3]] = np.nan
    found = landmarks(read_pose_file(WRITERS[name](tmp_path, poses), None))
    assert len(found) == 6
    seen = np.isfinite(found[:, 0, LEFT_WRIST, 0])
    assert seen.tolist() == [True, True, False, False, True, True]
    assert found[4:, 0, LEFT_WRIST, :2] == pytest.approx(poses[4:, 0, LEFT_WRIST, :2], abs=1e-4)


def test_frames_that_openpose_skips_are_missing_frames(tmp_path: Path) -> None:
    folder = write.openpose(tmp_path / "json", people(6), skip=(1, 4))
    (folder / "notes.txt").write_text("not a frame")
    file = read_pose_file(folder, None)
    assert np.isfinite(landmarks(file)[:, 0, LEFT_WRIST, 0]).tolist() == [True, False, True, True, False, True]
    assert file.notes == ("2 frames have no file: they are without a pose",)


def test_two_videos_in_one_folder_of_openpose_are_two_recordings(tmp_path: Path) -> None:
    write.openpose(tmp_path / "json", people(3), name="morning_1")
    write.openpose(tmp_path / "json", people(4), name="morning_2")
    found = sources([tmp_path / "json"])
    assert [(source.name, len(source.frames)) for source in found] == [("morning_1", 3), ("morning_2", 4)]


def test_frames_of_openpose_given_one_by_one_in_any_order_are_one_recording(tmp_path: Path) -> None:
    frames = sorted(write.openpose(tmp_path / "json", people(12), name="walk").iterdir())
    (found,) = sources(frames[6:] + frames[:6] + frames[:1])
    assert list(found.frames) == frames and found.name == "walk"
    single = recognise.read_source(sources(frames[:1])[0], None)
    assert single.poses.shape == (1, 1, 25, 5)


def test_a_single_frame_of_openpose_under_any_name_is_read(tmp_path: Path) -> None:
    frame = next(write.openpose(tmp_path / "json", people(1)).iterdir()).rename(tmp_path / "pose.json")
    (found,) = sources([frame])
    assert recognise.read_source(found, None).poses.shape == (1, 1, 25, 5)


def test_frames_of_openpose_that_a_script_has_put_into_one_list_are_read(tmp_path: Path) -> None:
    frames = sorted(write.openpose(tmp_path / "json", people(4)).iterdir())
    trees = [json.loads(frame.read_text()) for frame in frames]
    trees[1]["people"] = []
    path = write_text(tmp_path, json.dumps(trees))
    (found,) = sources([path])
    assert np.isfinite(recognise.read_source(found, None).poses[:, 0, 0, 0]).tolist() == [True, False, True, True]


@pytest.mark.parametrize("name", ["{:06}.json", "img_{}.json"])
def test_a_folder_of_mmpose_with_a_file_for_each_picture_is_one_recording(name: str, tmp_path: Path) -> None:
    poses = people(12)
    frames = json.loads(write.mmpose(tmp_path / "m.json", poses, names=False).read_text())
    folder = tmp_path / "predictions"
    folder.mkdir()
    for number, frame in enumerate(frames):
        (folder / name.format(number)).write_text(json.dumps(frame["instances"] if number != 5 else []))
    (found,) = sources([folder])
    assert found.name == ("predictions" if "06" in name else "img") and len(found.frames) == 11
    file = recognise.read_source(found, None)
    assert file.tool == "mmpose, COCO-17" and file.notes == ("1 frames have no file: they are without a pose",)
    seen = landmarks(file)[:, 0, 0, 0]
    assert np.delete(seen, 5) == pytest.approx(np.delete(poses[:, 0, 0, 0], 5), abs=1e-4) and np.isnan(seen[5])


def test_a_folder_stands_for_the_pose_files_in_it(tmp_path: Path) -> None:
    write.alphapose(tmp_path / "b.json", people())
    write.mmpose(tmp_path / "a.json", people())
    write.openpose(tmp_path / "c", people())
    (tmp_path / "readme.txt").write_text("not poses")
    (tmp_path / "package.json").write_text('{"name": "x"}')
    assert [source.name for source in sources([tmp_path])] == ["a", "b", "walk"]
    shutil.rmtree(tmp_path / "c")
    for name in ("a.json", "b.json"):
        (tmp_path / name).unlink()
    with pytest.raises(DataError, match="there is no pose file of a known tool in this folder"):
        sources([tmp_path])


def test_alphapose_counts_frames_from_zero_also_if_the_first_are_without_people(tmp_path: Path) -> None:
    poses = people(8)
    poses[:3] = np.nan
    found = landmarks(read_pose_file(write.alphapose(tmp_path / "a.json", poses), None))
    assert np.isfinite(found[:, 0, 0, 0]).tolist() == [False] * 3 + [True] * 5


@pytest.mark.parametrize("pattern", ["frame_{}.jpg", "v2/frame_{}.png", "clip10 ({}).jpg", "{}.0001.jpg"])
def test_pictures_are_in_their_natural_order(pattern: str, tmp_path: Path) -> None:
    poses = people(12)
    file = read_pose_file(write.coco_results(tmp_path / "c.json", poses, picture=pattern), None)
    assert landmarks(file)[:, 0, 0, 0] == pytest.approx(poses[:, 0, 0, 0], abs=1e-4)


def test_ids_are_kept_where_the_tool_tracks_people_and_only_there(tmp_path: Path) -> None:
    tracked = read_pose_file(write.alphapose(tmp_path / "a.json", people(3, 2), ids=True), None)
    assert tracked.ids is not None and tracked.ids.tolist() == [[1, 2]] * 3
    untracked = read_pose_file(write.alphapose(tmp_path / "b.json", people(3, 2)), None)
    assert untracked.ids is None  # every one has idx [0.0]
    openpose = read_pose_file(write.openpose(tmp_path / "json", people(3, 2)), None)
    assert openpose.ids is None  # person_id [-1]


def test_annotations_give_size_and_grades_of_visibility(tmp_path: Path) -> None:
    poses = people(3)
    poses[:, :, LEFT_WRIST, 3] = 0.4  # hidden
    poses[1, :, RIGHT_HIP] = np.nan  # not labelled
    file = read_pose_file(write.coco_dataset(tmp_path / "c.json", poses), None)
    found = joints.to_landmarks(file.poses, file.joints)[0]
    assert file.size == (WIDTH, HEIGHT)
    assert found[0, 0, [0, LEFT_WRIST], 3].tolist() == [1.0, 0.5]
    assert np.isnan(found[1, 0, RIGHT_HIP]).all() and found[0, 0, RIGHT_HIP, 3] == 1


def test_names_in_the_file_decide_over_the_number_of_joints(tmp_path: Path) -> None:
    order = list(reversed(joints.LAYOUTS["coco_17"]))
    path = write.mmpose(tmp_path / "m.json", people(2))
    tree = json.loads(path.read_text())
    tree["meta_info"]["keypoint_id2name"] = dict(enumerate(order))
    for frame in tree["instance_info"]:
        for one in frame["instances"]:
            one["keypoints"].reverse()
    path.write_text(json.dumps(tree))
    found = landmarks(read_pose_file(path, None))
    there = np.isfinite(found[0, 0, :, 0])
    assert there.sum() == 17
    assert found[:, :, there, :2] == pytest.approx(people(2)[:, :, there, :2], abs=1e-4)


def test_predictions_of_pictures_one_after_the_other_are_frames(tmp_path: Path) -> None:
    frames = json.loads(write.mmpose(tmp_path / "m.json", people(4), names=False).read_text())
    nested = [[frame["instances"]] for frame in frames]
    for tree in (nested, [frame["instances"] for frame in frames], {"predictions": nested}):
        (tmp_path / "n.json").write_text(json.dumps(tree))
        assert read_pose_file(tmp_path / "n.json", None).poses.shape == (4, 1, 17, 5)
    (tmp_path / "one.json").write_text(json.dumps(frames[0]["instances"]))
    assert read_pose_file(tmp_path / "one.json", None).poses.shape == (1, 1, 17, 5)


# ---- joints


@pytest.mark.parametrize(
    ("name", "landmark"),
    [("LShoulder", "left_shoulder"), ("left shoulder", "left_shoulder"), ("l_shoulder", "left_shoulder"),
     ("leftShoulder", "left_shoulder"), ("shoulder_left", "left_shoulder"), ("Shoulder-L", "left_shoulder"),
     ("lhand", "left_wrist"), ("rfoot", "right_ankle"), ("rtoe", "right_foot_index"), ("LBigToe", "left_foot_index"),
     ("REar", "right_ear"), ("rear", "right_ear"), ("LEar", "left_ear"), ("left_eye_(inner)", "left_eye_inner"),
     ("right pinky", "right_pinky"), ("LEFT_INDEX", "left_index"), ("Nose", "nose"), ("mouth_left", "mouth_left")],
)  # fmt: skip
def test_names_of_joints_are_matched_without_regard_to_case_and_separators(name: str, landmark: str) -> None:
    assert joints.landmark_of(name) == landmark


def test_every_landmark_is_known_by_its_own_name_and_no_name_stands_for_two() -> None:
    for name in LANDMARKS:
        assert joints.landmark_of(name) == name
    for name in ("Neck", "MidHip", "LSmallToe", "head", "tail", "pelvis", "", "left", "face-30"):
        assert joints.landmark_of(name) is None
    for layout in joints.LAYOUTS.values():
        used = [joints.landmark_of(name) for name in layout]
        assert len({name for name in used if name}) == sum(name is not None for name in used)
        assert all(
            joints.landmark_of(name.replace("left", "right").replace("L", "R"))
            == (found or "").replace("left", "right").replace("L", "R")
            for name, found in zip(layout, used, strict=True)
            if found and ("left" in name or name.startswith("L"))
        )


def test_a_better_name_of_a_landmark_is_used_and_the_other_dropped() -> None:
    poses = np.arange(3.0)[None, None, :, None] * np.ones(5)
    found, dropped, lacking = joints.to_landmarks(poses, ("lhand", "lwrist", "tail"))
    assert found[0, 0, LEFT_WRIST, 0] == 1 and dropped == ["lhand", "tail"] and len(lacking) == 32


def test_the_flag_names_every_layout() -> None:
    for name in joints.LAYOUTS:
        assert PoseFileSettings(joints=name).joints == name
    assert set(joints.TITLES) == set(joints.LAYOUTS)
    with pytest.raises(DataError, match="the nearest is coco_17"):
        joints.layout("coco17")


# ---- refused


def write_text(folder: Path, text: str) -> Path:
    path = folder / "poses.json"
    path.write_text(text)
    return path


def result(values: Any, **more: Any) -> str:
    return json.dumps([{"image_id": 1, "category_id": 1, "keypoints": values, "score": 0.5} | more])


@pytest.mark.parametrize("count", [18, 20, 5])
def test_joints_of_unknown_order_are_refused_with_the_flag_that_names_it(count: int, tmp_path: Path) -> None:
    path = write_text(tmp_path, result([1.0] * 3 * count))
    with pytest.raises(DataError) as error:
        read_pose_file(path, None)
    assert f"{count} joints" in str(error.value)
    if count == 18:
        assert "--joints coco_18 or --joints coco_17_neck" in str(error.value)
        assert read_pose_file(path, "coco_17_neck").joints[17] == "neck"
    with pytest.raises(DataError, match="--joints halpe_26 has 26"):
        read_pose_file(path, "halpe_26")


def test_three_dimensional_poses_in_metres_are_refused(tmp_path: Path) -> None:
    person = {"keypoints": [[0.1, -0.2, 0.9]] * 17, "keypoint_scores": [1.0] * 17}
    path = write_text(tmp_path, json.dumps([{"frame_id": 0, "instances": [person]}]))
    with pytest.raises(DataError, match=r"3-D poses in metres.*2-D poses"):
        read_pose_file(path, None)


@pytest.mark.parametrize(
    ("content", "looks"),
    [(b"a,b\n1,2\n", "a text file"), (b'{"name": "x"}', "JSON"), (b"", "an empty file"), (b"PK\x03\x04..", "a zip"),
     (b"\x80\x04\x95", "a pickle"),
     (b"[1, 2, 3]", "JSON"), (b"hello", "a text file")],
)  # fmt: skip
def test_a_file_of_no_known_tool_is_called_what_it_looks_like_with_what_can_be_read(
    content: bytes, looks: str, tmp_path: Path
) -> None:
    path = tmp_path / "poses.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"is {looks}.*no pose file of a known tool.*OpenPose JSON, AlphaPose JSON"):
        read_pose_file(path, None)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"recording,onset_s,offset_s\nchild_3_1.npy,2,4\n",
      "a text file that begins with 'recording,onset_s,offset_s', but .* true events belongs to --events"),
     (b"segment_name,label\nchild_3_1.npy,1\n", "train_data.csv"),
     (b'{"rule": "accumulation", "sum_threshold": 0.9}', "keys 'rule', 'sum_threshold', but .* belong to --settings"),
     (b'{"a\x1b[31m": 1}', "is JSON with the keys "),
     ("name,x\nä,1\n".encode("utf-16"), "text in UTF-16 .save it as UTF-8"),
     (b"\x00\x00\x00\x18ftypmp42" + bytes(99), "no text and no pose file .* python src/extract_pose.py VIDEO")],
    ids=["events", "labels", "settings", "control characters", "utf-16", "video"],
)  # fmt: skip
def test_a_file_of_another_kind_is_named_by_what_is_in_it_with_where_it_belongs(
    content: bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "poses.dat"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        read_pose_file(path, None)
    assert "read are: OpenPose JSON" in str(error.value) and str(error.value).isprintable()


HOSTILE = {
    "deep": "[" * 100_000,
    "deep objects": '{"people": ' + '{"a":' * 50_000,
    "deep inside": '[{"image_id": 1, "keypoints": ' + "[" * 50_000,
    "twice": '[{"image_id": 1, "image_id": 2, "keypoints": []}]',
    "text": result(["1.5"] * 51),
    "true": result([True] * 51),
    "object": result([{}] * 51),
    "nested": result([[1.0] * 51]),
    "no multiple of three": result([1.0] * 50),
    "no keypoints": result([]),
    "keypoints null": result(None),
    "image a list": result([1.0] * 51, image_id=[1]),
    "image null": result([1.0] * 51, image_id=None),
    "image negative": result([1.0] * 51, image_id=-4),
    "image a float": result([1.0] * 51, image_id=1.5),
    "image far": json.dumps(json.loads(result([1.0] * 51)) + json.loads(result([1.0] * 51, image_id=10**17))),
    "cut": result([1.0] * 51)[:-20],
    "no people": '{"people": []}',
    "people null": '{"people": null}',
    "people text": '{"people": ["a", "b"]}',
    "people an object": '{"people": {"pose_keypoints_2d": []}}',
    "only a face": '{"people": [{"face_keypoints_2d": [1, 2, 3]}]}',
    "instances null": '[{"frame_id": 0, "instances": null}]',
    "frame twice": '[{"frame_id": 0, "instances": []}, {"frame_id": 0, "instances": []}]',
    "frame text": '[{"frame_id": "a", "instances": []}]',
    "no frames": '{"meta_info": {}, "instance_info": []}',
    "frames a number": '{"meta_info": {}, "instance_info": 3}',
    "points of one": '[{"frame_id": 0, "instances": [{"keypoints": [[1]], "keypoint_scores": [1]}]}]',
    "points flat": '[{"frame_id": 0, "instances": [{"keypoints": [1, 2], "keypoint_scores": [1]}]}]',
    "scores short": '[{"frame_id": 0, "instances": [{"keypoints": [[1, 2]], "keypoint_scores": []}]}]',
    "other names": '{"meta_info": {"keypoint_id2name": {"0": 1}}, "instance_info": [{"frame_id": 0, "instances": '
    '[{"keypoints": [[30, 40]], "keypoint_scores": [1]}]}]}',
    "a crowd": json.dumps([{"image_id": 0, "keypoints": [1.0] * 51} for _ in range(101)]),
    "two skeletons": json.dumps([{"image_id": n, "keypoints": [1.0] * 51 * (n + 1)} for n in range(2)]),
    "names and numbers": json.dumps([{"image_id": name, "keypoints": [1.0] * 51} for name in (1, "a1")]),
    "images missing": '{"images": [], "annotations": [{"image_id": 1, "keypoints": [1, 2, 2]}], "categories": []}',
    "image twice": '{"images": [{"id": 1, "file_name": "a"}, {"id": 1, "file_name": "b"}], "annotations": []}',
    "sizes": '{"images": [{"id": 1, "file_name": "1", "width": [], "height": {}}], "annotations": []}',
    "annotations null": '{"images": [{"id": 1, "file_name": "1"}], "annotations": null}',
    "not utf-8": "[{\"image_id\": 1, \"keypoints\": [\udcff",
    "a picture twice": '{"a1.jpg": {"bodies": []}, "a1.jpg": {"bodies": []}}',
    "a picture with text": '{"1.jpg": {"bodies": [{"joints": "abc"}]}}',
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_json_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "poses.json"
    path.write_bytes(HOSTILE[name].encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError) as error:
        read_pose_file(path, None)
    assert error.value.hint and len(str(error.value)) < 500


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "null", "9" * 400, "-" + "9" * 5000])
def test_a_number_that_is_none_is_a_joint_that_was_not_found(number: str, tmp_path: Path) -> None:
    values = ", ".join([number] * 3 + ["10.0", "20.0", "0.5"] * 16)
    path = write_text(tmp_path, f'[{{"image_id": 1, "keypoints": [{values}]}}]')
    found = read_pose_file(path, None).poses[0, 0]
    assert not np.isfinite(found[0, :2]).any() and found[1, :2].tolist() == [10, 20]


def test_a_huge_file_is_refused_before_it_is_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write.coco_results(tmp_path / "c.json", people(20))
    monkeypatch.setattr("spasm.data.pose_files.json_files.MOST_VALUES", 100)
    with pytest.raises(DataError, match="values, too many to read"):
        read_pose_file(path, None)
    monkeypatch.setattr("spasm.data.pose_files.json_files.LARGEST_FILE", 1000)
    with pytest.raises(DataError, match="GB of JSON"):
        read_pose_file(path, None)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_other_encodings_of_json_are_read(encoding: str, tmp_path: Path) -> None:
    path = write.coco_results(tmp_path / "c.json", people(2))
    path.write_bytes(path.read_text().encode(encoding))
    assert read_pose_file(path, None).poses.shape == (2, 1, 17, 5)


def test_the_outline_of_a_text_that_is_cut_anywhere_names_the_format(tmp_path: Path) -> None:
    path = write.mmpose(tmp_path / "m.json", people(3), "coco_wholebody")
    content = path.read_bytes()
    assert len(content) > 3000
    for length in range(200, len(content), 211):
        path.write_bytes(content[:length])
        assert [recognise.READERS[one] for one in recognise.readers_of(path)] == ["mmpose JSON"]
