"""Pictures of segments whose poses are there, and training segments of videos with labels."""

import errno
import os

import numpy as np
import pytest

from helpers.commands import code_of
from helpers.tables import table
from spasm.core.errors import DataError, DataProblems
from spasm.core.files import read_json, write_csv, write_json
from spasm.data.pictures import read_pictures
from spasm.data.pose import missing_frames
from spasm.data.recording_videos import rows_of, video_of
from spasm.video import segment_pictures
from spasm.video.pose_mask import pose_mask
from spasm.video.segment_pictures import Settings, make_pictures, read_places
from spasm.video.video_labels import read_labels, write_training_segments

CV2 = pytest.importorskip("cv2", exc_type=ImportError)
T, SIZE = 30, (320, 240)
COLUMNS = ("segment_name", "video", "start_s")


def body(x, y):
    """A pose around a point, in fractions: a small upright body, depth 0, fully visible."""
    pose = np.zeros((33, 5), np.float32)
    pose[:, 3:] = 1
    pose[:, 0] = x + np.where(np.arange(33) % 2, 0.04, -0.04)
    pose[:, 1] = y + (np.arange(33) - 16) / 100
    return pose


def write_video(path, seconds, fps=30):
    """A video with a white disc, whose red rises by 20 each second."""
    writer = CV2.VideoWriter(str(path), CV2.VideoWriter_fourcc(*"MJPG"), fps, SIZE)
    for frame in range(round(seconds * fps)):
        time_s = frame / fps
        picture = np.zeros((*SIZE[::-1], 3), np.uint8)
        picture[..., 2] = 40 + 20 * int(time_s)
        picture[..., 0] = 100
        CV2.circle(picture, (160, 120), 30, (255, 255, 255), -1)
        writer.write(picture)
    writer.release()


@pytest.fixture
def data(tmp_path):
    """A recording's windows in one video, one of them overlapping, and a segment of another video."""
    (tmp_path / "train").mkdir()
    (tmp_path / "test").mkdir()
    for name in ("train/child_1_1", "train/child_1_2", "test/child_2_1"):
        np.save(tmp_path / f"{name}.npy", np.stack([body(0.5, 0.5)] * T))
    write_video(tmp_path / "long.avi", 5)
    write_video(tmp_path / "short.avi", 2)
    rows = [("child_1_1.npy", "long.avi", 1), ("child_1_2.npy", "long.avi", 3.0), ("child_2_1.npy", "short.avi", 0.5)]
    write_csv(tmp_path / "segment_videos.csv", COLUMNS, rows)
    return tmp_path


def make(data, kinds=("vsvig", "two_stream"), frames=T):
    settings = Settings(data, kinds, "pose", data / "none.task", frames)
    return make_pictures(read_places(data, data), settings, 1, lambda count: None)


def test_each_segment_shows_its_own_second_of_the_video(data):
    made = make(data)
    assert (made.done_before, made.made, made.problems) == (0, 3, [])
    for name, second in (("child_1_1", 1), ("child_1_2", 3)):
        pictures = read_pictures(data / f"two_stream/{name}.npz", "two_stream")["pictures"]
        shown = pictures[2][pictures[2][..., 2] > 90]  # blue is 100 where the mask is 1
        assert pictures.shape == (6, 224, 224, 3)
        assert np.median(shown[:, 0][shown[:, 1] < 60]) == pytest.approx(40 + 20 * second, abs=8)
    patches = read_pictures(data / "vsvig/child_2_1.npz", "vsvig")["patches"]
    assert patches.shape == (6, 15, 3, 32, 32) and patches[0].max() > 250


def test_finished_pictures_are_made_again_only_if_pose_place_or_video_changed(data):
    make(data)
    path = data / "vsvig/child_1_2.npz"
    before = path.stat().st_mtime_ns
    assert make(data)[:2] == (3, 0) and path.stat().st_mtime_ns == before
    np.save(data / "train/child_1_2.npy", np.stack([body(0.4, 0.5)] * T))
    assert make(data)[:2] == (2, 1) and path.stat().st_mtime_ns != before
    (data / "two_stream/child_2_1.npz").unlink()
    assert make(data)[:2] == (2, 1)
    write_video(data / "short.avi", 2, fps=25)
    assert make(data)[:2] == (2, 1)


def test_what_cannot_be_made_is_named_and_does_not_stop_the_others(data):
    for number in (3, 4, 5):
        np.save(data / f"train/child_1_{number}.npy", np.stack([body(0.5, 0.5)] * T))
    np.save(data / "train/child_1_5.npy", np.zeros((T + 1, 33, 5), np.float32))
    (data / "bad.avi").write_bytes(b"no video")
    rows = [("child_1_1.npy", "none.avi", 1), ("child_1_2.npy", "bad.avi", 0), ("child_1_3.npy", "long.avi", 60),
            ("child_1_4.npy", "long.avi", 2), ("child_1_5.npy", "long.avi", 2)]  # fmt: skip
    write_csv(data / "segment_videos.csv", COLUMNS, rows)
    made = make(data)
    assert made.made == 1 and (data / "vsvig/child_1_4.npz").is_file()
    printed = "\n".join(map(str, made.problems))
    for part in ("none.avi: is no file", "bad.avi: ", "no frame at 60.0 s, where child_1_3.npy begins", "31 frames"):
        assert part in printed
    assert len(made.problems) == 4 and not (data / "vsvig/child_1_3.npz").exists()


def test_a_full_disk_ends_the_command_and_is_no_damaged_video(data, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(segment_pictures.files, "write_bytes", full)
    settings = Settings(data, ("vsvig",), "pose", data / "none.task", T)
    with pytest.raises(OSError, match="No space left"):
        segment_pictures._of_video(read_places(data, data)[:1], settings, pose_mask, [], [])


def test_a_length_that_no_network_on_pictures_reads_is_refused_before_any_video(capsys):
    assert code_of("extract_pose", "nowhere.mp4", "--pictures", "vsvig", "--frames", 64) == 1
    assert "cut segments of 60 frames" in capsys.readouterr().err


def test_all_problems_of_the_table_are_reported_with_their_lines(data):
    rows = [("child_9_1.npy", "long.avi", 1), ("child_1_1.npy", "long.avi", "soon"), ("child_2_1.npy", "long.avi", 1),
            ("child_2_1.npy", "long.avi", 2)]  # fmt: skip
    write_csv(data / "segment_videos.csv", COLUMNS, rows)
    with pytest.raises(DataProblems) as raised:
        read_places(data, data)
    printed = "\n".join(map(str, raised.value.problems))
    for part in (
        "line 2: 'child_9_1.npy' is in neither",
        "line 3: start_s 'soon'",
        "line 5: 'child_2_1.npy' has a row",
    ):
        assert part.replace("'", "") in printed.replace("'", "").replace('"', "")


def test_a_mask_is_painted_around_the_body_alone():
    pose = body(0.5, 0.5)
    mask = pose_mask(np.zeros((240, 320, 3), np.uint8), pose)
    assert mask.shape == (240, 320) and mask.min() >= 0 and mask.max() <= 1
    assert mask[120, 160] > 0.95 and not mask[:, :60].any() and not mask[:, -60:].any()
    assert not pose_mask(np.zeros((240, 320, 3), np.uint8), missing_frames(1)[0]).any()


# ---- labels of videos


def test_labels_of_videos_are_checked_all_at_once(tmp_path):
    rows = [("a.mp4", "1", "1"), ("b.mp4", "2", "1"), ("a.mp4", "0", "1"), ("c.mp4", "0", "x"), ("e.mp4", "0", "")]
    write_csv(tmp_path / "labels.csv", ("video", "label", "child"), rows)
    videos = [tmp_path / name for name in ("a.mp4", "d.mp4", "other/a.mp4", "e.mp4")]
    with pytest.raises(DataProblems) as raised:
        read_labels(tmp_path / "labels.csv", videos)
    printed = "\n".join(map(str, raised.value.problems))
    for part in ("line 3: label", "line 4: ", "line 5: child", "has no row for", "the name of two videos", "no child"):
        assert part in printed
    write_csv(tmp_path / "labels.csv", ("video", "label"), [("a.mp4", 1), ("unused.mp4", 0)])
    assert read_labels(tmp_path / "labels.csv", videos[:1]) == {videos[0]: (1, None)}


def test_training_segments_keep_their_rows_change_their_labels_and_leave_out_short_videos(tmp_path):
    for folder in ("test", "recordings"):
        (tmp_path / folder).mkdir()
    for name, seconds in (("child_1_1", 4.0), ("child_2_1", 1.0), ("child_3_1", 2.0)):
        manifest = {"video": f"{name}.mp4", "seconds": seconds, "segment_frames": 90}
        write_json(tmp_path / f"recordings/{name}.json", manifest)
        (tmp_path / f"test/{name}00001.npy").write_bytes(b"pose")
    [note] = write_training_segments(tmp_path, {"child_1_1": 1, "child_2_1": 1})
    assert note.startswith("child_2_1.mp4 is shorter than half a segment")
    assert sorted(os.listdir(tmp_path / "train")) == ["child_1_100001.npy"]
    assert write_training_segments(tmp_path, {"child_3_1": 0}) == []
    assert write_training_segments(tmp_path, {"child_1_1": 0}) == []
    labels = {row["segment_name"]: row["label"] for row in table(tmp_path / "train_data.csv")}
    assert labels == {"child_1_100001.npy": "0", "child_3_100001.npy": "0"}
    (tmp_path / "train/child_3_100001.npy").unlink()
    assert os.listdir(tmp_path / "test") == ["child_2_100001.npy"]
    (tmp_path / "test/child_2_100001.npy").unlink()
    write_training_segments(tmp_path, {})
    assert not (tmp_path / "test").exists(), "an empty folder would be offered for prediction"
    assert [row["segment_name"] for row in table(tmp_path / "train_data.csv")] == ["child_1_100001.npy"]


# ---- the video of a recording


def test_the_video_of_a_recording_is_found_beside_it_or_by_its_manifest(tmp_path):
    for folder in ("recordings", "recording_videos"):
        (tmp_path / folder).mkdir()
    first, second, third = (tmp_path / f"recordings/child_{number}_1.npy" for number in (1, 2, 3))
    write_json(first.with_suffix(".json"), {"video": "night.mp4", "video_start_s": 0.25})
    (tmp_path / "recording_videos/child_2_1.mp4").write_bytes(b"")
    third.with_suffix(".json").write_text("[1]")
    assert video_of(first) == ("night.mp4", 0.25)
    assert video_of(second) == (str((tmp_path / "recording_videos/child_2_1.mp4").resolve()), 0.0)
    assert video_of(third) is None
    assert rows_of([("a.npy", first, 2.0), ("b.npy", third, 1.0)]) == [("a.npy", "night.mp4", "2.250")]


def test_the_manifest_of_pictures_is_no_pickle_and_names_each_segment(data):
    make(data, ("vsvig",))
    assert sorted(read_json(data / "segment_pictures.json")["vsvig"]) == [
        "child_1_1.npy", "child_1_2.npy", "child_2_1.npy",
    ]  # fmt: skip
    with pytest.raises(DataError, match="every 5th frame"):
        make(data, ("vsvig",), 32)
