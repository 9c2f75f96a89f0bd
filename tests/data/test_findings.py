"""Marks for missing, impossible values and odd poses: what is read as not found, refused, and noticed."""

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.poses import moving, still
from helpers.repository import ROOT
from spasm.core.errors import DataError
from spasm.data.dataset import load_training
from spasm.data.findings import Findings, clean, fold, from_rows, to_rows
from spasm.data.landmarks import COCO_17_NECK, INDEX, LANDMARKS
from spasm.data.recordings import check_recordings, inspect_recording, windows
from spasm.data.segments import inspect_pose, read_pose

T = 60
FEET = slice(25, 33)
REAL = ROOT.parent / "shared/data"


@pytest.fixture
def pose():
    """(60, 33, 5) of a child who moves; frames 20 to 25 have no pose."""
    array = moving(3, T)[0]
    array[..., 3:] = 0.9
    array[20:26] = np.nan
    return array


def kinds(array: np.ndarray) -> list[str]:
    return list(clean(array)[1].sentences())


def same(array: np.ndarray, other: np.ndarray) -> bool:
    return np.array_equal(array, other, equal_nan=True)


# ---- marks for missing


MARKS = {
    "zeros": 0,
    "minus one": -1,
    "-999": -999,
    "9999": 9999,
    "infinite": np.inf,
    "the middle": (0.5, 0.5, 0, 0, 0),
    "a corner in pixels": (1, 1, 0, 0, 0),
    "minus one divided by the picture": (-1 / 640, -1 / 480, 0, 0, 0),
    "zeros with a depth": (0, 0, 0.3, 0.2, 0.2),
    "zeros without a depth": (0, 0, np.nan, 0, 0),
    "the smallest integer": -(2**31),
}


@pytest.mark.parametrize("mark", MARKS.values(), ids=MARKS)
def test_frames_of_another_tools_mark_are_read_as_nan(pose, mark):
    marked = pose.copy()
    marked[20:26] = mark
    cleaned, findings = clean(marked)
    assert same(cleaned, pose)
    assert list(findings.sentences()) == ["marks"]
    assert findings.sentences()["marks"].startswith("198 marks for missing in 10 % of frames, first x = ")
    findings.check_units("child_1_1.npy")


@pytest.mark.parametrize("mark", [0, -1, -999, 9999, np.inf])
@pytest.mark.parametrize("places", [INDEX["left_wrist"], slice(17, 23), FEET], ids=["wrist", "fingers", "legs"])
def test_a_mark_in_some_landmarks_alone_is_read_as_nan(pose, mark, places):
    marked, missing = pose.copy(), pose.copy()
    marked[30:45, places] = mark
    missing[30:45, places] = np.nan
    cleaned, findings = clean(marked)
    assert same(cleaned, missing)
    assert len(findings.sentences()) == 1 and (findings.marks or findings.implausible)


@pytest.mark.parametrize("dtype", ["<f2", ">f4", "<f8", ">f8"])
@pytest.mark.parametrize("mark", [0, -1, 0.5])
def test_marks_are_found_in_files_of_every_float(pose, tmp_path, dtype, mark):
    marked = pose.astype(dtype)
    missing = marked.astype(np.float32)
    marked[20:26] = mark
    np.save(tmp_path / "child_1_1.npy", marked)
    assert same(read_pose(tmp_path / "child_1_1.npy", T), missing)


def test_frames_of_zeros_at_the_end_are_missing_frames(pose):
    padded = pose.copy()
    padded[41:] = 0
    cleaned, findings = clean(padded)
    assert np.isnan(cleaned[41:]).all() and same(cleaned[:41], pose[:41])
    assert findings.sentences() == {"marks": "627 marks for missing in 32 % of frames, first x = 0, y = 0"}


def test_a_segment_of_zeros_has_no_pose():
    cleaned, findings = clean(np.zeros((T, 33, 5)))
    assert np.isnan(cleaned).all()
    assert list(findings.sentences()) == ["no pose", "marks"]


def test_a_few_found_landmarks_at_one_place_are_marks_where_they_are_most_of_the_frame(pose):
    marked = np.full_like(pose, np.nan)
    marked[:, 11:13] = pose[:, 11:13]
    marked[3, [0, 15, 16]] = 0.25
    marked[3, 11:13] = np.nan
    assert clean(marked)[1].marks == 3


def test_one_zero_is_a_place(pose):
    edge = pose.copy()
    edge[3, 15, 0], edge[4, 16, 1], edge[5, 17, 0] = 0, 0, -1
    cleaned, findings = clean(edge)
    assert same(cleaned, edge) and findings.sentences() == {}


def test_landmarks_that_a_tool_copies_within_hand_foot_and_face_are_kept(pose):
    copied = pose.copy()
    copied[:, 1:11] = copied[:, :1]
    for first, others in ((15, [17, 19, 21]), (16, [18, 20, 22]), (27, [29, 31]), (28, [30, 32])):
        copied[:, others] = copied[:, first : first + 1]
    cleaned, findings = clean(copied)
    assert same(cleaned, copied) and findings.sentences() == {}


@pytest.mark.parametrize(("width", "height"), [(96, 72), (160, 120), (640, 480)])
def test_whole_pixels_of_a_small_picture_are_kept_though_landmarks_coincide(width, height):
    pose = moving(5, T)[0]
    pose[..., 0] = np.round(pose[..., 0] * width) / width
    pose[..., 1] = np.round(pose[..., 1] * height) / height
    if width == 96:
        assert (np.diff(np.sort(pose[:, :, 0] + 9 * pose[:, :, 1], axis=1)) == 0).any(), "some coincide"
    cleaned, findings = clean(pose)
    assert same(cleaned, pose) and findings.sentences() == {}


# ---- pixels and other units


@pytest.mark.parametrize("scale", [(640, 480), (1920, 1080), (64, 48), (100, 100), (1000, 1000)])
def test_poses_in_another_unit_are_refused_with_what_was_seen_and_what_to_do(pose, tmp_path, scale):
    pose[..., :2] *= scale
    np.save(tmp_path / "child_1_1.npy", pose)
    with pytest.raises(DataError, match=r"pixels.*, x up to \d.*, y up to .*import_poses\.py FILE --fps 30 --width W"):
        read_pose(tmp_path / "child_1_1.npy", T)


@pytest.mark.parametrize("mark", [0, -1, np.nan])
def test_marks_do_not_hide_pixels(pose, tmp_path, mark):
    pose[..., :2] *= (640, 480)
    pose[np.random.default_rng(0).random((T, 33)) < 0.9] = mark
    np.save(tmp_path / "child_1_1.npy", np.nan_to_num(pose).astype(np.int32) if mark == 0 else pose)
    with pytest.raises(DataError, match="is in pixels"):
        read_pose(tmp_path / "child_1_1.npy", T)


def test_errors_of_the_estimator_are_no_pixels(pose):
    wrong = pose.copy()
    wrong[np.random.default_rng(0).random((T, 33)) < 0.4, 0] = 700
    cleaned, findings = clean(wrong)
    findings.check_units("child_1_1.npy")
    assert np.isnan(cleaned[wrong[..., 0] == 700]).all()
    few = np.full_like(pose, np.nan)
    few[7, 11:16] = 300
    few[7, 11:16, 0] += np.arange(5)
    cleaned, findings = clean(few)
    findings.check_units("child_1_1.npy")
    assert list(findings.sentences()) == ["no pose", "implausible"]


def test_many_files_in_pixels_are_one_line(pose, tmp_path):
    (tmp_path / "train").mkdir()
    rows = ["segment_name,label"]
    for child in range(5):
        np.save(tmp_path / f"train/child_{child}_1.npy", pose * (600 + child))
        rows.append(f"child_{child}_1.npy,{child % 2}")
    (tmp_path / "train_data.csv").write_text("\n".join(rows) + "\n")
    with pytest.raises(DataError) as caught:
        load_training(tmp_path, T, "challenge", tmp_path / "cache")
    _, line = str(caught.value).splitlines()
    assert "5 files, each is in pixels" in line and "x up to" in line


# ---- single implausible values, depth, visibility


@pytest.mark.parametrize("value", [8e5, -10.5, 1e30, np.inf, -np.inf])
@pytest.mark.parametrize("channel", [0, 1, 2])
def test_a_single_implausible_value_takes_its_landmark_out_of_its_frame_alone(pose, value, channel):
    wrong, missing = pose.copy(), pose.copy()
    wrong[40, 16, channel] = value
    missing[40, 16] = np.nan
    cleaned, findings = clean(wrong)
    assert same(cleaned, missing)
    name = "xyz"[channel]
    assert findings.sentences() == {
        "implausible": f"1 implausible value, first {name} of right_wrist in frame 40: {np.float32(value):g}"
    }


@pytest.mark.parametrize("depth", [np.nan, 1000, -640, np.inf], ids=["missing", "millimetres", "pixels", "infinite"])
def test_where_depth_is_missing_or_in_another_unit_z_is_0(pose, depth):
    flat, expected = pose.copy(), pose.copy()
    flat[..., 2] *= depth
    expected[..., 2] *= 0
    cleaned, findings = clean(flat)
    assert same(cleaned, expected)
    assert list(findings.sentences()) == ["no depth"]
    assert "no depth in all frames with a pose" in findings.sentences()["no depth"]


def test_one_frame_without_depth_keeps_its_x_and_y(pose):
    pose[10, :, 2] = np.nan
    cleaned, findings = clean(pose)
    assert np.array_equal(cleaned[10, :, :2], pose[10, :, :2]) and not cleaned[10, :, 2].any()
    assert "no depth in 2 % of frames" in findings.sentences()["no depth"]


def test_visibility_in_percent_is_clipped_and_a_missing_one_stays_missing(pose):
    pose[..., 3] *= 100
    pose[..., 4] = np.nan
    cleaned, findings = clean(pose)
    assert np.nanmax(cleaned[..., 3]) == np.nanmin(cleaned[..., 3]) == 1 and np.isnan(cleaned[..., 4]).all()
    assert findings.sentences() == {"visibility": "1,782 values of visibility or presence outside 0..1"}


# ---- what is noticed, and how it adds up


def test_the_landmarks_of_known_skeletons_are_recognised(pose):
    lacking = [i for i, name in enumerate(LANDMARKS) if name not in COCO_17_NECK]
    pose[:, lacking] = np.nan
    assert clean(pose)[1].sentences() == {
        "never found": "16 of 33 landmarks are never found: those that COCO's or OpenPose's skeleton lacks"
    }
    pose[:, 0] = np.nan
    assert "17 of 33 landmarks are never found: nose, left_eye_inner" in clean(pose)[1].sentences()["never found"]


@settings(max_examples=25, deadline=None)
@given(cuts=st.sets(st.integers(1, 59), max_size=6), seed=st.integers(0, 99))
def test_blocks_give_the_poses_and_the_findings_of_the_whole(cuts, seed):
    generator = np.random.default_rng(seed)
    raw = moving(seed, T)[0] if seed % 3 else still(T)[0]
    for value, channel in ((0, slice(0, 5)), (-1, slice(0, 2)), (7e7, 0), (np.nan, 2), (3, 3), (0.5, slice(0, 2))):
        raw[generator.random((T, 33)) < generator.choice([0, 0, 0.05]), channel] = value
    raw[generator.random(T) < 0.2] = generator.choice([0, np.nan, -1])
    whole, findings = clean(raw)
    parts, total = [], Findings()
    bounds = [0, *sorted(cuts), T]
    for begin, end in itertools.pairwise(bounds):
        cleaned, noticed = clean(raw[begin:end], begin)
        parts.append(cleaned)
        total += noticed
    assert same(np.concatenate(parts), whole)
    assert total.sentences() == findings.sentences()
    for field in dataclasses.fields(Findings):
        assert np.array_equal(getattr(total, field.name), getattr(findings, field.name), equal_nan=True), field.name


def test_a_pose_that_never_moves_is_noticed_across_blocks_and_a_late_movement_ends_it():
    array = still(T)[0]
    first, second = clean(array[:30])[1], clean(array[30:], 30)[1]
    assert "never moves" in (first + second).sentences()
    array[45, 20, 1] += 0.01
    assert "never moves" not in (first + clean(array[30:], 30)[1]).sentences()


def test_each_kind_is_one_line_over_many_segments(pose):
    zeros, spike, unmoved = pose.copy(), pose.copy(), still(T)[0]
    zeros[:6] = 0
    spike[40, 16, 0] = 700
    names = [f"child_1_{number}.npy" for number in range(6)]
    findings = [clean(array)[1] for array in (pose, zeros, zeros, zeros, zeros, spike)]
    assert fold(names, findings) == [
        "4 of 6 segments (child_1_1.npy, child_1_2.npy, child_1_3.npy, ...): 792 marks for missing in 10 % of frames, "
        "first x = 0, y = 0 (they count as not found; write NaN there to be sure)",
        "1 of 6 segments (child_1_5.npy): 1 implausible value, first x of right_wrist in frame 40: 700 "
        "(they count as not found; look at the recording there)",
    ]
    assert fold(names[:2], [clean(unmoved)[1]] * 2)[0].startswith("all 2 segments: the pose never moves (")
    assert fold(names[:1], [clean(unmoved)[1]])[0].startswith("child_1_0.npy: the pose never moves (")


def test_landmarks_that_are_never_found_are_named_where_they_are_the_same_in_each(pose):
    one, other = pose.copy(), pose.copy()
    one[:, 15], other[:, 16:18] = np.nan, np.nan
    findings = [clean(array)[1] for array in (one, other)]
    assert "1 to 2 of 33 landmarks are never found, not the same ones in each" in fold(["a", "b"], findings)[0]
    assert "1 of 33 landmarks is never found: left_wrist" in fold(["a", "b"], [findings[0]] * 2)[0]


def test_findings_are_the_same_after_they_were_kept(pose):
    pose[3] = 0
    pose[40, 16, 0] = 700
    findings = [clean(array)[1] for array in (pose, np.full_like(pose, np.nan), still(T)[0])]
    kept = list(from_rows(to_rows(findings)))
    assert [one.sentences() for one in kept] == [one.sentences() for one in findings]
    assert fold("abc", kept) == fold("abc", findings)


# ---- everywhere


def test_a_recording_is_cleaned_in_its_windows_and_noticed_as_a_whole(pose, tmp_path):
    path = tmp_path / "child_1_1.npy"
    recording = np.concatenate([np.nan_to_num(pose)] * 40)  # longer than a block
    np.save(path, recording)
    checked = check_recordings([path])[path]
    assert checked.frames == len(recording)
    assert checked.findings.sentences() == {"marks": "7,920 marks for missing in 10 % of frames, first x = 0, y = 0"}
    for firsts, read in windows(path, T, 25):
        for first, window in zip(firsts, read, strict=True):
            assert same(window, clean(recording[first : first + T])[0])
    np.save(path, recording * 500)
    with pytest.raises(DataError, match="is in pixels"):
        check_recordings([path])
    mostly = recording.copy()
    mostly[:1000] *= 500
    np.save(path, mostly)
    assert "implausible" in inspect_recording(path).findings.sentences(), "a part of it is no reason to refuse it"


def test_training_keeps_what_was_noticed_beside_the_cached_poses(pose, tmp_path):
    (tmp_path / "train").mkdir()
    rows = ["segment_name,label"]
    for child in range(4):
        array = moving(child, T)[0]
        array[5:9] = 0 if child == 2 else np.nan
        np.save(tmp_path / f"train/child_{child}_1.npy", array)
        rows.append(f"child_{child}_1.npy,{child % 2}")
    (tmp_path / "train_data.csv").write_text("\n".join(rows) + "\n")
    first = load_training(tmp_path, T, "challenge", tmp_path / "cache")
    assert np.isnan(first.poses[2, 5:9]).all()
    assert len(first.findings) == 1 and "1 of 4 segments (child_2_1.npy): 132 marks for missing" in first.findings[0]

    (kept,) = (tmp_path / "cache").glob("*/findings")
    written = kept.stat().st_mtime_ns
    assert load_training(tmp_path, T, "challenge", tmp_path / "cache").findings == first.findings
    assert kept.stat().st_mtime_ns == written, "it was read from the cache"


def read_real(name: str) -> np.ndarray:
    path = REAL / name
    if not path.exists():
        pytest.skip("no real recordings here")
    return np.load(path, allow_pickle=False)["x"]


@pytest.mark.parametrize("name", ["babyjokes/segments.npz", "kinder_gator/dev.npz", "kinder_gator/dev_phone.npz"])
def test_cleaning_changes_nothing_in_real_recordings(name):
    for segment in read_real(name)[::5]:
        cleaned, findings = clean(segment)
        findings.check_units(name)
        assert cleaned.tobytes() == segment.tobytes()
        assert not set(findings.sentences()) - {"no pose", "never found"}


def test_cleaning_changes_nothing_in_simulated_segments(simulated: Path):
    for path in sorted((simulated / "train").iterdir()):
        pose, _, findings = inspect_pose(path, T)
        assert pose.tobytes() == np.load(path, allow_pickle=False).astype(np.float32).tobytes()
        assert not set(findings.sentences()) - {"no pose"}
