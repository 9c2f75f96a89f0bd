"""CSV of other pose tools: what is written in their layouts is read back; what is unclear or damaged is refused."""

from pathlib import Path

import numpy as np
import pytest

from helpers import pose_tables as tools
from helpers.pose_tables import DLC, FRAMES, check_landmarks, child, two_people
from spasm.core.errors import DataError
from spasm.data.landmarks import INDEX, LANDMARKS
from spasm.data.pose_files import csv_tables, deeplabcut, long_csv, wide_csv
from spasm.data.pose_files.base import PoseFile
from spasm.data.pose_files.joints import COCO_17, landmark_of, to_landmarks

READERS = (deeplabcut, wide_csv, long_csv)


def read(path: Path, joints: str | None = None) -> PoseFile:
    """Read a table with the only reader that recognises it."""
    head = path.read_bytes()[: 64 * 1024]
    [reader] = [reader for reader in READERS if reader.recognised(path, head)]
    return reader.read(path, joints)


def refusal(path: Path, joints: str | None = None) -> str:
    with pytest.raises(DataError) as caught:
        read(path, joints)
    assert caught.value.hint
    return str(caught.value)


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


# ---- one row a frame


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("{joint}_{channel}", ("x", "y", "z", "visibility")),
        ("{joint}.{channel}", ("x", "y", "z", "visibility", "presence")),
        ("{channel}_{joint}", ("x", "y", "z", "v")),
        ("pose_landmarks.{joint}.{channel}", ("x", "y", "z", "visibility")),
        ("PoseLandmark.{joint}_{channel}", ("X", "Y", "Z", "Vis")),
    ],
)
def test_mediapipe_csv_is_read_in_every_spelling(tmp_path, name, channels):
    poses = child()
    path = tools.mediapipe_csv(tmp_path / "poses.csv", poses, name, channels)
    found = read(path)
    assert found.unit == "picture" and found.lowest_confidence == 0 and found.fps is None and found.ids is None
    check_landmarks(found, poses)
    landmarks, dropped, absent = to_landmarks(found.poses, found.joints)
    assert not dropped and not absent
    np.testing.assert_allclose(landmarks[:, 0, :, 2], poses[..., 2], atol=1e-9)
    assert np.isnan(landmarks[5:8]).all()


def test_names_in_capitals_brackets_and_with_numbers_before_them_are_the_same_landmarks(tmp_path):
    poses = child()
    for number, spell in enumerate(
        (str.upper, lambda name: name.replace("_inner", "_(inner)"), lambda name: name.title().replace("_", " "))
    ):
        path = tools.mediapipe_csv(tmp_path / f"{number}.csv", poses)
        lines = path.read_text().split("\n", 1)
        header = ",".join(
            f"{place // 4:02}_{spell(name.rpartition('_')[0])}_{name.rpartition('_')[2]}"
            for place, name in enumerate(lines[0].strip().split(","))
        )
        path.write_text(f"{header}\n{lines[1]}")
        check_landmarks(read(path), poses)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("name", ["{channel}{joint}", "landmark_{joint}_{channel}", "lm{joint}_{channel}"])
def test_numbered_landmarks_of_33_are_those_of_mediapipe(tmp_path, first, name):
    poses = child()
    path = tools.mediapipe_csv(tmp_path / "x.csv", poses, name, ("x", "y", "z", "v"), numbered_from=first)
    check_landmarks(read(path), poses)


def test_seventeen_numbered_joints_need_the_name_of_their_layout(tmp_path):
    poses = tools.pixels(tools.joints(child(), COCO_17))
    rows = [[f"{channel}{joint}" for joint in range(17) for channel in "xyc"]]
    rows += [tools.cells(pose[:, [0, 1, 3]].ravel()) for pose in poses]
    path = tools.write_rows(tmp_path / "x.csv", rows)
    assert "--joints coco_17" in refusal(path)
    check_landmarks(read(path, "coco_17"), child())
    assert "25" in refusal(path, "body_25")


def test_the_pose_among_columns_of_face_and_hands_is_read_and_no_point_of_the_face_is_taken_for_a_joint(tmp_path):
    poses = child()
    parts = [("face", 468), ("left_hand", 21), ("pose", 33), ("right_hand", 21)]
    names = [f"{axis}_{part}_{number}" for axis in "xyz" for part, count in parts for number in range(count)]
    whole = np.full((FRAMES, 543, 3), 0.9)
    whole[:, 489:522] = poses[..., :3]
    rows = [["sequence_id", "frame", *names]]
    rows += [[5, frame, *tools.cells(pose.T.ravel())] for frame, pose in enumerate(whole)]
    found = read(tools.write_rows(tmp_path / "a.csv", rows))
    assert found.joints == LANDMARKS
    np.testing.assert_allclose(found.poses[:, 0, :, :3], poses[..., :3], atol=1e-9)


def test_a_holistic_table_of_501_numbered_points_is_not_guessed(tmp_path):
    rows = [["class", *(f"{channel}{n}" for n in range(1, 502) for channel in "xyzv")]]
    rows += [["a", *([0.5] * 2004)]] * 3
    assert "501 joints" in refusal(tools.write_rows(tmp_path / "x.csv", rows))


@pytest.mark.parametrize(
    ("column", "of_frame", "rate"),
    [
        ("time", lambda frame: frame / 25, 25.0),
        ("timestamp", lambda frame: round(frame * 1000 / 30), 30.0),
        ("timestamp_ms", lambda frame: 5_000_000 + frame * 40, 25.0),
        ("t_s", lambda frame: frame / 5, 5.0),
        ("Timestamp (us)", lambda frame: frame * 16_683, 59.941),
        ("time", lambda frame: frame * 33_333_333, 30.0),
        ("time", lambda frame: f"0:{frame // 25:02}.{frame % 25 * 40:03}", 25.0),
        ("Timestamp", lambda frame: f"2024-05-01 10:00:{frame / 30:09.6f}", 30.0),
    ],
)
def test_a_column_of_times_gives_the_frame_rate(tmp_path, column, of_frame, rate):
    times = [of_frame(frame) for frame in range(FRAMES)]
    poses = child()
    found = read(tools.mediapipe_csv(tmp_path / "a.csv", poses, before={column: times}))
    assert found.fps == pytest.approx(rate, rel=1e-3)
    check_landmarks(found, poses)
    numbered = read(tools.mediapipe_csv(tmp_path / "b.csv", poses, before={"frame": range(FRAMES), column: times}))
    assert numbered.fps == pytest.approx(rate, rel=1e-3)


def test_frames_without_a_row_are_missing_by_number_and_by_time(tmp_path):
    poses = child()
    kept = [frame for frame in range(FRAMES) if frame not in (3, 4, 20)]
    numbers = tools.mediapipe_csv(tmp_path / "a.csv", poses[kept], before={"Frame_Number": kept})
    times = tools.mediapipe_csv(tmp_path / "b.csv", poses[kept], before={"time": [frame / 30 for frame in kept]})
    for path in (numbers, times):
        found = read(path)
        assert len(found.poses) == FRAMES
        assert np.isnan(found.poses[[3, 4, 20]]).all()
        expected = poses.copy()
        expected[[3, 4, 20]] = np.nan
        check_landmarks(found, expected)


def test_times_of_every_third_frame_do_not_change_the_rate_of_the_numbers(tmp_path):
    kept = list(range(0, FRAMES, 3))
    before = {"frame": kept, "timestamp": [frame * 40 for frame in kept]}
    found = read(tools.mediapipe_csv(tmp_path / "a.csv", child()[kept], before=before))
    assert found.fps == 25.0
    assert len(found.poses) == kept[-1] + 1


def test_times_that_fit_no_video_give_no_rate_and_a_note(tmp_path):
    path = tools.mediapipe_csv(tmp_path / "a.csv", child(), before={"time": list(range(FRAMES))})
    found = read(path)
    assert found.fps is None
    assert any("fits no video" in note for note in found.notes)


def test_times_that_are_no_numbers_are_left_out_with_a_note(tmp_path):
    found = read(tools.mediapipe_csv(tmp_path / "a.csv", child(), before={"time": ["morning"] * FRAMES}))
    assert found.fps is None and any("fits no video" in note for note in found.notes)
    check_landmarks(found, child())


def test_the_first_frame_of_a_clip_keeps_its_number(tmp_path):
    found = read(tools.mediapipe_csv(tmp_path / "a.csv", child(), before={"frame": range(100, 100 + FRAMES)}))
    assert np.isnan(found.poses[:100]).all() and len(found.poses) == 100 + FRAMES
    assert any("first frame has the number 100" in note for note in found.notes)


def test_times_that_go_backwards_are_refused(tmp_path):
    times = [frame % 20 / 30 for frame in range(FRAMES)]
    assert "earlier" in refusal(tools.mediapipe_csv(tmp_path / "a.csv", child(), before={"time": times}))


def test_rate_and_size_columns_are_taken(tmp_path):
    before = {"fps": [24] * FRAMES, "image_width": [1920] * FRAMES, "image_height": [1080] * FRAMES}
    found = read(tools.mediapipe_csv(tmp_path / "a.csv", child(), before=before))
    assert found.fps == 24 and found.size == (1920, 1080)


def test_rows_of_several_videos_are_refused_and_pictures_of_one_are_frames(tmp_path):
    poses = child()
    names = ["ward.mp4"] * 20 + ["home.mp4"] * 20
    assert "2 videos" in refusal(tools.mediapipe_csv(tmp_path / "a.csv", poses, before={"video_name": names}))
    pictures = [f"frames/ward_{frame + 1}.png" for frame in range(FRAMES)]
    shuffled = [9, *range(9), *range(10, FRAMES)]
    path = tools.mediapipe_csv(
        tmp_path / "b.csv", poses[shuffled], before={"image": [pictures[frame] for frame in shuffled]}
    )
    check_landmarks(read(path), poses)


def test_comments_before_the_header_are_left_out(tmp_path):
    path = tools.mediapipe_csv(tmp_path / "a.csv", child())
    path.write_text("# made by a script\n\n# of 2024; 30 fps\n" + path.read_text())
    check_landmarks(read(path), child())


def test_semicolons_decimal_commas_a_byte_order_mark_and_crlf_are_read(tmp_path):
    poses = child()
    path = tools.mediapipe_csv(tmp_path / "a.csv", poses, separator=";")
    content = "\ufeff" + path.read_text().replace(".", ",").replace("\n", "\r\n")
    path.write_bytes(content.encode())
    check_landmarks(read(path), poses)
    check_landmarks(read(tools.mediapipe_csv(tmp_path / "b.csv", poses, separator="\t")), poses)


@pytest.mark.parametrize("empty", ["", "nan", "NA", "None", "null", "0", "0.0", "-1"])
def test_every_mark_of_a_missing_joint_is_missing(tmp_path, empty):
    poses = child()
    path = tools.mediapipe_csv(tmp_path / "a.csv", poses)
    lines = path.read_text().splitlines()
    lines[6] = ",".join([empty] * 132)  # frame 5 has no pose
    path.write_text("\n".join(lines) + "\n")
    found = read(path)
    assert np.isnan(found.poses[5]).all()
    check_landmarks(found, poses)


def test_a_row_that_ends_before_the_joints_is_a_frame_without_a_pose(tmp_path):
    path = tools.mediapipe_csv(tmp_path / "a.csv", child(), before={"frame": range(FRAMES)})
    lines = path.read_text().splitlines()
    lines[6:9] = ["5", "6", "7"]
    path.write_text("\n".join(lines) + "\n")
    check_landmarks(read(path), child())


def test_a_file_that_is_cut_short_is_refused_with_its_line(tmp_path):
    path = tools.mediapipe_csv(tmp_path / "a.csv", child())
    path.write_text(path.read_text()[:-200])
    assert f"line {FRAMES + 1}" in refusal(path)


def test_impossible_values_are_missing_and_counted(tmp_path):
    poses = child()
    path = tools.mediapipe_csv(tmp_path / "a.csv", poses)
    lines = path.read_text().splitlines()
    for line, value in ((2, "1e308"), (3, "inf"), (4, "8e7")):
        lines[line] = ",".join([value, *lines[line].split(",")[1:]])
    path.write_text("\n".join(lines))
    found = read(path)
    assert np.isnan(found.poses[1:4, 0, 0]).all()
    assert any(note.startswith("3 places") for note in found.notes)


def test_pixels_are_recognised_and_a_flat_z_beside_them_is_left_out(tmp_path):
    poses = child()
    found = read(tools.mediapipe_csv(tmp_path / "a.csv", tools.pixels(poses)))
    assert found.unit == "pixels"
    assert np.isnan(found.poses[..., 2]).all() and any("z is left out" in note for note in found.notes)
    check_landmarks(found, poses)


def test_fractions_go_before_pixels_where_a_table_has_both(tmp_path):
    poses = child()
    rows = [[f"{name}_{end}" for name in LANDMARKS for end in ("x_px", "y_px", "x_norm", "y_norm", "visibility")]]
    rows += [
        tools.cells(np.concatenate([tools.pixels(pose)[:, :2], pose[:, :2], pose[:, 3:4]], axis=1).ravel())
        for pose in poses
    ]
    found = read(tools.write_rows(tmp_path / "a.csv", rows))
    assert found.unit == "picture"
    check_landmarks(found, poses)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda poses: poses - poses[:, [23, 24]].mean(axis=1, keepdims=True), "world landmarks"),
        (lambda poses: 2 * poses - 1, "negative"),
        (lambda poses: 7 * poses, "too far for fractions"),
    ],
)
def test_values_that_are_neither_pixels_nor_fractions_are_refused(tmp_path, change, reason):
    poses = child()
    poses[..., :3] = change(poses[..., :3])
    assert reason in refusal(tools.mediapipe_csv(tmp_path / "a.csv", poses))


def test_world_landmarks_beside_those_of_the_picture_are_left_alone(tmp_path):
    poses = child()
    rows = [[f"{name}_{end}" for name in LANDMARKS for end in ("world_x", "world_y", "x", "y", "visibility")]]
    rows += [
        tools.cells(np.concatenate([pose[:, :2] - 0.5, pose[:, :2], pose[:, 3:4]], axis=1).ravel()) for pose in poses
    ]
    check_landmarks(read(tools.write_rows(tmp_path / "a.csv", rows)), poses)


# ---- several people


def test_yolo_csv_gives_each_person_of_a_frame(tmp_path):
    people = two_people()
    found = read(tools.yolo_csv(tmp_path / "yolo.csv", people))
    assert found.poses.shape[:2] == (FRAMES, 2) and found.unit == "pixels" and found.ids is None
    assert found.lowest_confidence == pytest.approx(0.3)
    check_landmarks(found, people[0][:5], tolerance=1e-6)
    check_landmarks(PoseFile("", found.joints, found.poses[10:], found.unit, 0), people[1][10:], 1, tolerance=1e-6)
    assert np.isnan(found.poses[:10, 1]).all()


def test_sleap_csv_keeps_the_tracks(tmp_path):
    people = two_people()
    found = read(tools.sleap_csv(tmp_path / "sleap.csv", people, DLC))
    assert found.ids is not None
    assert found.ids[0].tolist() == [0, -1] and found.ids[12].tolist() == [0, 1] and found.ids[5].tolist() == [-1, -1]
    check_landmarks(found, people[0][:5])


def test_rows_with_one_frame_and_no_person_are_people_and_noted(tmp_path):
    poses = child()
    path = tools.mediapipe_csv(
        tmp_path / "a.csv", np.repeat(poses, 2, axis=0), before={"frame": np.repeat(range(FRAMES), 2)}
    )
    found = read(path)
    assert found.poses.shape[1] == 2
    assert any("each row is taken as a person" in note for note in found.notes)


def test_frames_that_begin_again_are_those_of_another_video_not_of_another_person(tmp_path):
    poses = np.concatenate([child(), child(1)])
    path = tools.mediapipe_csv(tmp_path / "a.csv", poses, before={"frame": [*range(FRAMES), *range(FRAMES)]})
    assert f"begin again in row {FRAMES + 1}" in refusal(path)
    people = tools.mediapipe_csv(
        tmp_path / "b.csv", poses, before={"frame": [*range(FRAMES), *range(FRAMES)], "person": [0] * 40 + [1] * 40}
    )
    check_landmarks(read(people), child())
    check_landmarks(read(people), child(1), 1)


# ---- one row a joint


@pytest.mark.parametrize(
    "spell",
    [
        lambda number: LANDMARKS[number],
        lambda number: f"PoseLandmark.{LANDMARKS[number].upper()}",
        lambda number: number,
        lambda number: f"{number}.0",
        lambda number: f"landmark_{number}",
    ],
)
def test_a_row_per_landmark_is_read_by_name_and_by_number(tmp_path, spell):
    poses = child()
    found = read(tools.long_csv(tmp_path / "long.csv", poses, spell))
    check_landmarks(found, poses)
    assert len(found.poses) == FRAMES


def test_a_row_per_landmark_of_several_people(tmp_path):
    people = two_people()
    rows: list[list[object]] = [["frame_idx", "track_id", "keypoint_idx", "x", "y", "confidence"]]
    for frame in range(FRAMES):
        for person in (1, 0):
            found = tools.pixels(tools.joints(people[person, frame], COCO_17))
            rows += [
                [frame, person + 7, number, *tools.cells(joint[[0, 1, 3]])]
                for number, joint in enumerate(found)
                if np.isfinite(joint[0])
            ]
    path = tools.write_rows(tmp_path / "long.csv", rows)
    assert "--joints coco_17" in refusal(path)
    found = read(path, "coco_17")
    assert found.ids is not None and set(found.ids[20]) == {0, 1}
    adult = int(np.argmax(found.ids[20] == found.ids[0].max())) ^ 1
    check_landmarks(PoseFile("", found.joints, found.poses[10:], "pixels", 0), people[1][10:], adult)


def test_a_row_per_landmark_by_the_names_of_pictures_and_beside_numbers_of_rows(tmp_path):
    poses = child()
    rows: list[list[object]] = [["id", "image", "landmark", "x", "y", "visibility"]]
    for frame, pose in enumerate(poses):
        for name, joint in zip(LANDMARKS, pose, strict=True):
            rows.append([len(rows), f"ward/frame_{frame:03}.jpg", name, *tools.cells(joint[[0, 1, 3]])])
    found = read(tools.write_rows(tmp_path / "a.csv", rows))
    assert found.poses.shape[:2] == (FRAMES, 1)
    check_landmarks(found, poses)


def test_a_landmark_twice_in_a_frame_is_refused(tmp_path):
    path = tools.long_csv(tmp_path / "long.csv", child())
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[-1]]))
    assert "twice" in refusal(path)


@pytest.mark.parametrize(("joint", "words"), [("", "joint"), ("²", "no known joint among")])
def test_rows_without_a_known_joint_are_refused(tmp_path, joint, words):
    assert words in refusal(written(tmp_path / "long.csv", f"frame,landmark,x,y\n0,{joint},0.5,0.5\n"))


# ---- DeepLabCut


@pytest.mark.parametrize("index", ["{frame}", "{frame}.0", "labeled-data/ward7/img{frame:04}.png"])
def test_deeplabcut_csv_is_read(tmp_path, index):
    poses = child()
    found = read(tools.deeplabcut_csv(tmp_path / "DLC.csv", poses[None], DLC, index=index))
    assert found.unit == "pixels" and found.lowest_confidence == pytest.approx(0.6) and found.ids is None
    assert found.joints == DLC
    check_landmarks(found, poses)
    assert np.isnan(found.poses[5:8]).all()


def test_deeplabcut_csv_of_individuals_keeps_them(tmp_path):
    people = two_people()
    found = read(tools.deeplabcut_csv(tmp_path / "DLC.csv", people, DLC, ("infant", "parent")))
    assert found.poses.shape[:2] == (FRAMES, 2)
    assert found.ids is not None and found.ids[0].tolist() == [0, -1] and found.ids[12].tolist() == [0, 1]
    check_landmarks(found, people[0])
    check_landmarks(found, people[1], 1)


def test_labels_without_likelihood_in_three_index_columns(tmp_path):
    poses = child()
    path = tools.deeplabcut_csv(tmp_path / "CollectedData.csv", poses[None], DLC, likelihood=False)
    lines = path.read_text().splitlines()
    header = [line.replace(",", ",,,", 1) for line in lines[:3]]
    rows = [f"labeled-data,ward7,img{line.replace(',', '.png,', 1)}" for line in lines[3:]]
    path.write_text("\n".join([*header, *rows]))
    found = read(path)
    assert found.lowest_confidence == 0 and np.isnan(found.poses[..., 3]).all()
    there = [INDEX[str(landmark_of(name))] for name in DLC]
    np.testing.assert_allclose(found.poses[:, 0, :, :2] / tools.SIZE, poses[:, there, :2], atol=1e-9)
    path.write_text("\n".join([*header, *rows, rows[-1].replace("ward7", "home")]))
    assert "2 videos" in refusal(path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: text.replace("likelihood", "z"), "3-D"),
        (lambda text: text.replace("likelihood", "area"), "coords"),
        (lambda text: text.replace("rknee", "lknee"), "twice"),
        (lambda text: text + text.splitlines()[-1], "twice"),
        (lambda text: text.replace("\n39,", "\n39000000,"), "39000000"),
        (lambda text: text.replace("\n39,", "\n-3,"), "-3"),
        (lambda text: text.replace("\n39,", "\nlast,"), "line 43"),
        (lambda text: "\n".join(text.splitlines()[:3]), "no frame"),
        (lambda text: text.replace(",lfoot", "", 1), "different lengths"),
    ],
)
def test_a_broken_deeplabcut_table_is_refused(tmp_path, change, reason):
    path = tools.deeplabcut_csv(tmp_path / "DLC.csv", child()[None], DLC)
    path.write_text(change(path.read_text()))
    assert reason in refusal(path)


# ---- hostile files

HEADER = ",".join(f"{name}_{channel}" for name in LANDMARKS for channel in "xy")
ROW = ",".join(["0.5"] * 66)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"{HEADER}\n=1+1{ROW[3:]}\n", "'=1+1' in column 'nose_x' is not a number"),
        (f"{HEADER}\n{ROW}\n\x00{ROW}\n", "line 3: a NUL byte"),
        (f'{HEADER}\n{ROW}\n"{ROW}\n' + f"{ROW}\n" * 200, "quote"),
        (f'{HEADER}\n"{"0" * 200_000}"\n', "field larger"),
        (f"{HEADER}\n{'0,' * 600_000}\n", "longer than"),
        (f"{HEADER}\n{ROW},1\n", "67 cells"),
        (f"{HEADER}\n", "no row"),
        (f"frame,{HEADER}\n0,{ROW}\n999999999,{ROW}\n", "999999999"),
        (f"frame,{HEADER}\n0.5,{ROW}\n", "0.5"),
        (f"frame,{HEADER}\n1e300,{ROW}\n", "1e+300"),
        (f"frame,{HEADER}\n,{ROW}\n", "frame"),
        (f"time,{HEADER}\n0,{ROW}\n0.1,{ROW}\n0.2,{ROW}\n1e9,{ROW}\n", "spans"),
        (f"frame,{HEADER}\n" + f"0,{ROW}\n" * 101, "101 people"),
    ],
)
def test_hostile_tables_are_refused_with_what_is_wrong(tmp_path, text, reason):
    assert reason in refusal(written(tmp_path / "a.csv", text))


def test_other_encodings_are_refused_with_what_to_do(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(f"{HEADER},Müller\n{ROW},1\n".encode("latin-1"))
    assert "line 1: not UTF-8" in refusal(path)
    path.write_bytes(f"{HEADER}\n{ROW}\n".encode("utf-16"))
    assert not any(reader.recognised(path, path.read_bytes()) for reader in READERS)
    with pytest.raises(DataError, match="UTF-16"):
        wide_csv.read(path, None)


def test_a_million_columns_take_no_memory(tmp_path):
    path = written(tmp_path / "a.csv", HEADER + "," + ",".join(f"x{n}" for n in range(1_000_000)) + "\n")
    assert "longer than" in refusal(path)


@pytest.mark.parametrize(
    "text",
    [
        "segment_name,label\nchild_1_1.npy,1\n",
        "recording,onset_s,offset_s,type\nchild_1_1.npy,1,2,spasm\n",
        "frame,x1,y1,x2,y2,score\n0,1,2,3,4,0.5\n",
        "x,y\n1,2\n",
        "time,acc_x,acc_y,acc_z,gyro_x,gyro_y,mag_x,mag_y\n0,1,2,3,4,5,6,7\n",
        "",
        "\n\n\n",
        "\x00\x00",
    ],
)
def test_tables_without_poses_are_not_recognised(text):
    assert not any(reader.recognised(Path("a.csv"), text.encode()) for reader in READERS)


def test_every_line_is_counted_once(tmp_path):
    path = written(tmp_path / "a.csv", 'a,b\n\n"1\n2",3\n4,5\n')
    assert list(csv_tables.rows(path)) == [(1, ["a", "b"]), (4, ["1\n2", "3"]), (5, ["4", "5"])]
