"""Pictures for the two networks that read them: patches, rotation and flow, from a video to their outputs."""

import struct
import zipfile

import numpy as np
import pytest

from helpers.video import MODEL, cv2, extract, make_video
from spasm.core.errors import DataError
from spasm.core.files import npy
from spasm.data.landmarks import LEFT_HIP, LEFT_SHOULDER, RIGHT_HIP, RIGHT_SHOULDER
from spasm.data.pictures import STILL, read_pictures
from spasm.data.pose import missing_frames
from spasm.video import image_inputs

__all__ = ["cv2", "make_video"]  # the fixtures
CV2 = pytest.importorskip("cv2", exc_type=ImportError)


def texture(height, width, seed=0):
    small = np.random.default_rng(seed).uniform(0, 255, (height // 8 + 1, width // 8 + 1, 3)).astype(np.float32)
    return CV2.resize(small, (width, height), interpolation=CV2.INTER_CUBIC).clip(0, 255).astype(np.uint8)


def person_at(neck, hips, shape, frames=20):
    """Poses whose shoulders and hips lie around two points, in pixels of a picture."""
    poses = missing_frames(frames)
    across = np.array([[3.0, 0.0]])
    for sides, place in (((LEFT_SHOULDER, RIGHT_SHOULDER), neck), ((LEFT_HIP, RIGHT_HIP), hips)):
        for landmark, side in zip(sides, (-across, across), strict=True):
            poses[:, landmark, :2] = (place + side) / (shape[1], shape[0])
    return poses


# ---- patches


def patch_by_hand(picture, x, y):
    """As the paper's users cut it: pad, crop 128 x 128, weigh, stretch to 0 to 255, shrink to a quarter."""
    padded = np.pad(picture, ((128, 128), (128, 128), (0, 0))).astype(float)
    crop = padded[y + 64 : y + 192, x + 64 : x + 192]
    ys, xs = np.mgrid[:128, :128] - 63.5
    bell = np.exp(-(xs**2 + ys**2) / (2 * (0.3 * 128) ** 2))
    bell = (bell - bell.min()) / (bell.max() - bell.min())
    crop = crop * bell[..., None]
    crop = (crop - crop.min()) / (crop.max() - crop.min()) * 255
    middle = crop[1::4] + crop[2::4]  # bilinear at a quarter reads the two middle ones of four
    return ((middle[:, 1::4] + middle[:, 2::4]) / 4).transpose(2, 0, 1)


@pytest.mark.parametrize(("x", "y"), [(960, 540), (5, 1000), (1919, 0)])
def test_a_patch_is_the_published_crop_of_a_picture_1080_high(x, y):
    picture = texture(1080, 1920)
    places = np.full((15, 2), np.nan)
    places[4] = x / 1920, y / 1080
    made = image_inputs.patches(picture, places)
    assert made.shape == (15, 3, 32, 32) and made.dtype == np.uint8
    assert np.abs(made[4].astype(float) - patch_by_hand(picture, x, y)).max() < 2
    assert not made[[k for k in range(15) if k != 4]].any(), "joints that were not found are black"


def test_a_patch_of_a_smaller_picture_shows_the_same():
    picture = texture(1080, 1440)
    small = CV2.resize(picture, (720, 540), interpolation=CV2.INTER_AREA)
    places = np.full((15, 2), 0.4)
    large, same = (image_inputs.patches(one, places)[0].astype(float) for one in (picture, small))
    assert np.abs(large - same).mean() < 4
    assert not image_inputs.patches(None, places).any()
    assert not image_inputs.patches(picture, np.full((15, 2), 50.0))[0].any(), "far outside"


# ---- upright pictures and flow


@pytest.mark.parametrize("angle", [0, 30, 90, 180, 250])
def test_a_person_at_any_angle_becomes_upright_in_the_middle(angle):
    shape, middle = (480, 640, 3), np.array([300.0, 260.0])
    down = 90 * np.array([np.sin(np.radians(angle)), np.cos(np.radians(angle))])
    poses = person_at(middle - down / 2, middle + down / 2, shape)
    poses[3] = person_at(middle - 3 * down, middle + 3 * down, shape)[0]  # an odd frame is not among the middle half
    poses[4] = np.nan
    view = image_inputs.alignment(poses, shape)
    for point, wanted in ((middle - down / 2, 112 - 224 * 0.4 / 3), (middle + down / 2, 112 + 224 * 0.4 / 3)):
        assert view @ [*point, 1] == pytest.approx([112, wanted], abs=0.01)
    picture = np.zeros(shape, dtype=np.uint8)
    CV2.circle(picture, tuple(np.rint(middle + down / 2).astype(int).tolist()), 8, (255, 0, 0), -1)
    made = image_inputs.upright(picture, np.ones(shape[:2], np.float32), view)
    y, x = np.argwhere(made[..., 0] > 128).mean(0)
    assert (x, y) == pytest.approx((112, 112 + 224 * 0.4 / 3), abs=1)
    assert not image_inputs.upright(picture, np.zeros(shape[:2], np.float32), view).any()
    assert image_inputs.alignment(missing_frames(5), shape) is None


def test_flow_is_how_far_things_move_and_nothing_where_nothing_moves():
    picture = texture(300, 300)
    before, after = picture[20:244, 20:244], picture[22:246, 15:239]  # what is seen moves by 5 and -2
    still = image_inputs.flow_of(before, before)
    assert (still == STILL).mean() > 0.95, "but for its border, where Farneback's method errs"
    moved = (image_inputs.flow_of(before, after).astype(float) - 127.5) * 40 / 255
    assert np.median(moved[..., 0]) == pytest.approx(5, abs=0.3)
    assert np.median(moved[..., 1]) == pytest.approx(-2, abs=0.3)


@pytest.mark.parametrize("whole", [20, 60, 61, 64, 150, 183])
def test_segments_of_pictures_begin_where_segments_of_poses_do(whole):
    firsts = np.arange(0, max(0, whole - 60) + 1, 60)
    firsts = firsts if firsts[-1] == max(0, whole - 60) else np.append(firsts, whole - 60)
    steps = ({"place": np.array(5 * number + 1)} for number in range(-(-whole // 5)))
    made = list(image_inputs.in_segments(steps, firsts, 60))
    assert len(made) == len(firsts)
    for first, segment in zip(firsts, made, strict=True):
        assert segment["place"].shape == (12,)
        assert abs(segment["place"][0] - 1 - first) <= 2
        there = segment["place"][segment["place"] > 0]
        assert (np.diff(there) == 5).all() and len(there) == min(12, -(-whole // 5))


# ---- from a make_video


def field(number, value):
    """A field of a protocol buffer: an integer, text, or another message."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def varint(value):
    head = b""
    while value > 127:
        head, value = head + bytes([value & 127 | 128]), value >> 7
    return head + bytes([value])


def onnx_of_brightness():
    """An ONNX model that reads (1, 3, 320, 320) and gives the mean over colours, (1, 1, 320, 320)."""
    axes = field(1, "axes") + field(8, 1) + field(20, 7)
    node = field(1, "x") + field(2, "y") + field(4, "ReduceMean") + field(5, axes)

    def tensor(name, channels):
        shape = b"".join(field(1, field(1, size)) for size in (1, channels, 320, 320))
        return field(1, name) + field(2, field(1, field(1, 1) + field(2, shape)))

    graph = field(1, node) + field(2, "g") + field(11, tensor("x", 3)) + field(12, tensor("y", 1))
    return field(1, 7) + field(7, graph) + field(8, field(1, "") + field(2, 13))


@pytest.fixture(scope="module")
def written(make_video, tmp_path_factory):
    """A video of four seconds with both kinds of pictures: the folder and the output."""
    out = tmp_path_factory.mktemp("pictures")
    return out, extract(
        make_video("seen.mp4", seconds=4), "--out", out, "--frames", 60, "--pictures", "both", "--max-people", 1
    )


def test_a_video_becomes_the_input_of_the_two_networks(written):
    out, finished = written
    assert finished.returncode == 0, finished.stderr
    names = [path.stem for path in sorted((out / "test").iterdir())]
    assert names == ["child_1_100001", "child_1_100002"]
    for kind in ("vsvig", "two_stream"):
        assert [path.stem for path in sorted((out / kind).iterdir())] == names
    patches, keypoints = read_pictures(out / "vsvig/child_1_100001.npz", "vsvig").values()
    assert patches.shape == (12, 15, 3, 32, 32) and keypoints.shape == (12, 15, 3)
    poses = np.load(out / "test/child_1_100001.npy")
    np.testing.assert_allclose(keypoints[1, 0], poses[5, 0, [0, 1, 3]])
    assert patches[:, :3].max() > 250, "nose and eyes are there"
    pictures, flow = read_pictures(out / "two_stream/child_1_100001.npz", "two_stream").values()
    assert pictures.shape == (12, 224, 224, 3) and flow.shape == (12, 224, 224, 2)
    assert 0.03 < (pictures[6].max(2) > 25).mean() < 0.6, "a person, and black around"
    assert pictures[6][100:124, 100:124].mean() > 25, "in the middle"


def test_only_landmarks_are_written_by_default_and_missing_files_are_added(written, make_video, tmp_path):
    out, _ = written
    words = (make_video("again.mp4", seconds=2), "--out", tmp_path, "--frames", 60, "--max-people", 1)
    assert extract(*words).returncode == 0
    assert {path.name for path in tmp_path.iterdir()} <= {"recordings", "test", "previews", "videos.csv", ".lock"}
    (out / "vsvig/child_1_100002.npz").unlink()
    words = (make_video("seen.mp4", seconds=4), "--out", out, "--frames", 60, "--pictures", "both", "--max-people", 1)
    assert extract(*words).returncode == 0
    assert (out / "vsvig/child_1_100002.npz").exists()


def test_a_users_mask_model_is_used_and_another_file_is_refused(make_video, tmp_path):
    model = tmp_path / "brightness.onnx"
    model.write_bytes(onnx_of_brightness())
    words = (make_video("masked.mp4", seconds=2), "--frames", 60, "--pictures", "two_stream", "--max-people", 1)
    finished = extract(*words, "--out", tmp_path / "own", "--mask", model)
    assert finished.returncode == 0, finished.stderr
    mask = image_inputs.open_mask(str(model), MODEL, 1).mask(
        np.stack([texture(200, 300)[..., 0]] * 3, 2), missing_frames(1)[0]
    )
    assert mask.shape == (200, 300) and mask.min() == pytest.approx(0, abs=0.05) and mask.max() > 0.9
    model.write_bytes(b"none" + struct.pack("<d", 1.0))
    finished = extract(*words, "--out", tmp_path / "none", "--mask", model)
    assert finished.returncode == 1
    assert not list((tmp_path / "none").glob("recordings/*")), "refused before the long part"
    assert "brightness.onnx: is no model that OpenCV reads" in finished.stderr


def test_a_child_whom_the_pose_model_does_not_find_in_a_picture_is_not_black(cv2):
    pose = missing_frames(1)[0]
    pose[:, :2] = np.random.default_rng(3).uniform(0.4, 0.6, (33, 2))
    with image_inputs.open_mask("mediapipe", MODEL, 1) as mask:
        found = mask(np.full((200, 300, 3), 90, np.uint8), pose)
        assert found.shape == (200, 300) and found[80:120, 120:180].mean() > 0.5 and not found[:40].any()
        assert not mask(np.full((200, 300, 3), 90, np.uint8), missing_frames(1)[0]).any()


def test_archives_that_unpack_to_gigabytes_or_are_damaged_are_refused_by_name(tmp_path):
    bomb = tmp_path / "bomb.npz"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("patches.npy", "w") as file:
        file.write(npy(np.zeros((1, 1), np.uint8))[:128].replace(b"(1, 1)", b"(1,99)"))
        for _ in range(300):
            file.write(bytes(1 << 20))
    assert bomb.stat().st_size < 1 << 20
    with pytest.raises(DataError, match=r"bomb\.npz: is no file of pictures .*unpack to 314572928 bytes"):
        read_pictures(bomb, "vsvig")
    np.savez_compressed(tmp_path / "other.npz", patches=np.zeros(3))
    whole = (tmp_path / "other.npz").read_bytes()
    for content in (b"", whole[: len(whole) // 2], whole, b"PK" + bytes(50)):
        (tmp_path / "damaged.npz").write_bytes(content)
        with pytest.raises(DataError, match=r"damaged\.npz: is no file of pictures"):
            read_pictures(tmp_path / "damaged.npz", "vsvig")
