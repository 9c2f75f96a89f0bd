"""Segment files, tables and whole folders: what is accepted, warned about and refused."""

import contextlib
import hashlib
import io
import os
import pickle
import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.segments import (
    SHAPE,
    T,
    add_to_test,
    header,
    make_data,
    npy,
    one,
    pose,
    problems,
    refusal,
    refused_bytes,
    saved,
    warned,
    warnings,
)
from spasm.core.errors import DataError, DataProblems
from spasm.core.tables import read_table
from spasm.data.annotations import read_labels
from spasm.data.dataset import load_training
from spasm.data.naming import child_of, list_segments
from spasm.data.pose import inside_picture, visible_mask
from spasm.data.segments import inspect_pose, read_pose
from spasm.data.validation import check_folder

# ---- what converts without loss is accepted


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f2", ">f4", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_floats_of_any_size_byte_order_and_memory_order_are_accepted(tmp_path, dtype, order):
    array = np.asarray(pose().astype(np.float16), dtype=dtype, order=order)
    poses, _, findings = inspect_pose(saved(tmp_path, array), T)
    assert poses.dtype == np.float32
    assert poses.flags.c_contiguous
    assert np.array_equal(poses, array)
    assert findings.sentences() == {}


@pytest.mark.parametrize("dtype", ["i1", "u1", "<i2", ">u2", "<i4", "<u4", "<i8", ">i8", "<u8"])
def test_integers_are_accepted(tmp_path, dtype):
    array = np.zeros(SHAPE, dtype)
    array[:, 7] = 1, 0, 0, 1, 1
    poses = read_pose(saved(tmp_path, array), T)
    assert np.array_equal(poses[:, 7], array[:, 7])
    assert np.isnan(np.delete(poses, 7, axis=1)).all(), "zeros are marks for missing"


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_version_of_the_format_is_accepted(tmp_path, version):
    path = tmp_path / "child_1_1.npy"
    with open(path, "wb") as file:
        np.lib.format.write_array(file, pose(), version=version)
    assert np.array_equal(read_pose(path, T), pose())


def test_the_digest_is_that_of_the_files_bytes(tmp_path):
    path = saved(tmp_path, pose())
    assert inspect_pose(path, T).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_missing_landmarks_stay_nan(tmp_path):
    array = pose()
    array[3:6] = np.nan
    poses, _, findings = inspect_pose(saved(tmp_path, array), T)
    assert np.array_equal(np.isnan(poses), np.isnan(array))
    assert findings.sentences() == {}


@pytest.mark.parametrize(
    "missing", [slice(0, 5), slice(6, 9), slice(0, None, 2)], ids=["start", "middle", "alternating"]
)
def test_hips_or_whole_frames_missing_for_a_while_are_no_warning(tmp_path, missing):
    array = pose()
    array[missing, 23:25] = np.nan
    assert warned(tmp_path, array) == []
    array[missing] = np.nan
    assert warned(tmp_path, array) == []


def test_a_single_valid_frame_is_accepted(tmp_path):
    array = np.full(SHAPE, np.nan)
    array[7] = pose()[7]
    assert warned(tmp_path, array) == []


def test_a_landmark_is_found_where_x_y_and_z_are_finite():
    array = pose()
    array[2, 4, 1] = np.nan  # y
    array[3, 5, 3] = np.nan  # visibility
    expected = np.ones(SHAPE[:2], bool)
    expected[2, 4] = False
    assert np.array_equal(visible_mask(array), expected)


def test_a_landmark_is_inside_the_picture_where_it_is_found_and_x_and_y_lie_within():
    array = pose()
    expected = np.ones(SHAPE[:2], bool)
    for landmark, (channel, value, inside) in enumerate(
        [(0, -0.01, False), (0, 1.01, False), (1, -0.01, False), (1, 1.01, False), (0, np.nan, False),
         (2, np.nan, False), (0, 0.0, True), (1, 1.0, True), (2, -3.0, True), (3, np.nan, True)]
    ):  # fmt: skip
        array[5, landmark, channel] = value
        expected[5, landmark] = inside
    assert np.array_equal(inside_picture(array), expected)
    assert np.array_equal(inside_picture(np.stack([array, array])), np.stack([expected, expected]))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("dtype", "bits"), [("f2", 0x7D00), ("f4", 0x7FA00000), ("f8", 0x7FF4000000000000)])
def test_a_signalling_nan_is_a_missing_value_like_any_other(tmp_path, dtype, bits):
    array = pose().astype(dtype)
    array.view(dtype.replace("f", "u"))[0, 0, 0] = bits
    assert np.argwhere(np.isnan(read_pose(saved(tmp_path, array), T))).tolist() == [[0, 0, 0]]


# ---- what is odd but usable is accepted with a warning


@pytest.mark.parametrize(("channel", "name"), [(3, "visibility"), (4, "presence")])
@pytest.mark.parametrize("value", [-0.1, 1.1])
def test_visibility_and_presence_outside_0_to_1_are_a_warning(tmp_path, channel, name, value):
    array = pose()
    array[1, 2, channel] = value
    one(warned(tmp_path, array), name, "outside 0..1")


def test_a_landmark_that_is_always_missing_is_a_warning_with_its_name(tmp_path):
    array = pose()
    array[:, 23] = np.nan
    one(warned(tmp_path, array), "1 of 33", "left_hip")


def test_many_missing_landmarks_are_counted_and_the_first_named(tmp_path):
    array = pose()
    array[:, 10:20] = np.nan
    messages = warned(tmp_path, array)
    one(messages, "10 of 33", "mouth_right, left_shoulder", "...")
    assert len(messages[0]) < 150


def test_a_segment_without_any_pose_is_one_warning(tmp_path):
    one(warned(tmp_path, np.full(SHAPE, np.nan)), "no pose in any frame")


def test_a_pose_that_never_moves_is_a_warning_also_with_gaps(tmp_path):
    array = np.repeat(pose()[:1], T, axis=0)
    one(warned(tmp_path, array), "never moves")
    array[4:7] = np.nan
    one(warned(tmp_path, array), "never moves")
    array[9, 0, 2] += 0.001
    assert warned(tmp_path, array) == []


# ---- everything else is refused by name


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"\x93NUM", "not a .npy file"),
        (b"hello, world", "not a .npy file"),
        (b"\x93NUMPY", "cut short inside its header"),
        (b"\x93NUMPY\x01\x00\x76", "cut short inside its header"),
        (b"\x93NUMPY\x02\x00\x76\x00", "cut short inside its header"),
        (npy(header())[:40], "cut short inside its header"),
        (npy(header(), version=(4, 0)), "version 4.0"),
        (npy(header(), version=(1, 1)), "version 1.1"),
        (npy(" " * 9000), "header claims 9000 bytes"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff", "header claims 4294967295 bytes"),
        (npy("{'descr': '<f4', "), "cannot be parsed"),
        (npy("(" * 4000), "cannot be parsed"),
        (npy("-" * 4000 + "1"), "cannot be parsed"),
        (npy("\0" * 20), "cannot be parsed"),
        (npy("{[]: 1}"), "cannot be parsed"),
        (npy("__import__('os').abort()"), "cannot be parsed"),
        (npy(b"\xff\xfe", version=(3, 0)), "cannot be parsed"),
        (npy("[]"), "not exactly"),
        (npy("{'descr': '<f4', 'fortran_order': False}"), "not exactly"),
        (npy(header().replace("}", "'more': 1}")), "not exactly"),
        (npy(header(fortran="1")), "fortran_order 1"),
        (npy(header(shape="[16, 33, 5]")), "impossible shape"),
        (npy(header(shape="(16, 33, -5)")), "impossible shape"),
        (npy(header(shape="(16, 33, True)")), "impossible shape"),
        (npy(header(shape="(16.0, 33, 5)")), "impossible shape"),
    ],
)
def test_a_malformed_file_is_refused_with_what_is_wrong(tmp_path, content, reason):
    assert reason in refused_bytes(tmp_path, content)


@pytest.mark.parametrize("shape", [(10**12, 33, 5), (T, 33, 10**15), (10**600, 10**600)])
def test_a_header_that_claims_terabytes_is_refused_before_allocating(tmp_path, shape):
    assert "more than any segment has" in refused_bytes(tmp_path, npy(header(shape=shape), b"\0" * 100))


def test_a_file_that_is_cut_short_is_refused(tmp_path):
    whole = saved(tmp_path, pose()).read_bytes()
    assert "cut short: 10559 of 10560 bytes" in refused_bytes(tmp_path, whole[:-1])


def test_bytes_after_the_array_are_refused(tmp_path):
    whole = saved(tmp_path, pose()).read_bytes()
    assert "7 bytes follow the array" in refused_bytes(tmp_path, whole + b"\0" * 7)


def test_a_zip_named_npy_is_refused_as_such(tmp_path):
    archive = io.BytesIO()
    np.savez(archive, pose())
    assert "zip" in refused_bytes(tmp_path, archive.getvalue())


@pytest.mark.parametrize(
    ("dtype", "reason"),
    [
        (bool, "booleans"),
        (np.complex64, "complex"),
        (np.longdouble, "long doubles"),
        ("S4", "text"),
        ("U4", "text"),
        ("V4", "raw bytes"),
        ("M8[s]", "dates"),
        ("m8[s]", "times"),
        ([("x", "f4"), ("y", "f4")], "structured"),
    ],
)
def test_other_types_of_values_are_refused_by_name(tmp_path, dtype, reason):
    assert reason in refusal(saved(tmp_path, np.zeros(SHAPE, dtype)))


@pytest.mark.parametrize("descr", ["'<f16'", "'<i16'", "'f4'", "'<f4,<f4'", "('<f4', (2,))", "1", "None", "'<f٤'"])
def test_a_type_outside_the_list_is_refused(tmp_path, descr):
    text = header(descr).encode()
    assert refused_bytes(tmp_path, npy(text, bytes(10560), (3, 0))).startswith("holds ")


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_pickle_is_refused_and_its_payload_never_runs(tmp_path):
    ran = tmp_path / "ran"
    array = np.full(SHAPE, None)
    array[0, 0, 0] = Payload(ran)
    path = tmp_path / "child_1_1.npy"
    np.save(path, array, allow_pickle=True)
    assert "pickle" in refusal(path)
    assert "a pickle under the name .npy" in refused_bytes(tmp_path, pickle.dumps(Payload(ran)))
    assert not ran.exists()
    pickle.loads(path.read_bytes()).close()
    assert ran.exists(), "the payload of this test does not work"


@pytest.mark.parametrize("frames", [0, 1, T - 1, T + 1])
def test_another_number_of_frames_is_refused_with_the_flag_that_sets_it(tmp_path, frames):
    with pytest.raises(DataError, match=rf"has {frames} frames \(T\), not {T}.*--frames"):
        read_pose(saved(tmp_path, np.zeros((frames, 33, 5))), T)


@pytest.mark.parametrize("shape", [(T, 32, 5), (T, 33, 4), (33, T, 5), (T, 165), (1, T, 33, 5), ()])
def test_another_shape_is_refused(tmp_path, shape):
    assert f"has shape {shape}" in refusal(saved(tmp_path, np.zeros(shape)))


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("f8", np.inf),
        ("f4", -np.inf),
        ("f2", np.inf),
        ("f4", 1e30),
        ("f8", 1e300),
        ("f8", -1.1e6),
        ("i8", -(2**63)),
        ("u8", 2**64 - 1),
        ("i4", 1_000_001),
    ],
)
@pytest.mark.filterwarnings("error")
def test_an_infinite_or_huge_value_of_any_type_is_not_found_and_named(tmp_path, dtype, value):
    array = np.zeros(SHAPE, dtype)
    array[:, 23] = 1, 0, 0, 1, 1
    array[3, 23, 1] = value
    poses, _, findings = inspect_pose(saved(tmp_path, array), T)
    assert np.isnan(poses[3, 23]).all() and np.isfinite(np.delete(poses[:, 23], 3, axis=0)).all()
    assert "1 implausible value, first y of left_hip in frame 3: " in findings.sentences()["implausible"]


def test_ten_pictures_is_the_farthest_place_that_is_kept(tmp_path):
    array = pose()
    array[0, 0, :3] = 10, -10, 0
    array[0, 1, :3] = 10.01, -10, 0
    poses = read_pose(saved(tmp_path, array), T)
    assert poses[0, 0, :3].tolist() == [10, -10, 0] and np.isnan(poses[0, 1]).all()


def test_a_folder_named_like_a_segment_is_refused(tmp_path):
    (tmp_path / "child_1_1.npy").mkdir()
    assert "directory" in refusal(tmp_path / "child_1_1.npy")
    with pytest.raises(DataProblems, match="is a folder"):
        list_segments(tmp_path, "challenge")


def test_a_fifo_is_refused_without_waiting_for_a_writer(tmp_path):
    os.mkfifo(tmp_path / "child_1_1.npy")
    assert "pipe" in refusal(tmp_path / "child_1_1.npy")
    with pytest.raises(DataError, match="pipe"):
        read_table(tmp_path / "child_1_1.npy", ())


def test_a_device_is_refused(tmp_path):
    (tmp_path / "child_1_1.npy").symlink_to("/dev/zero")
    assert "device" in refusal(tmp_path / "child_1_1.npy")


def test_a_link_that_leaves_the_data_folder_is_refused(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "child_1_1.npy").symlink_to(saved(tmp_path, pose()))
    assert "link that leaves" in refusal(data / "child_1_1.npy", root=data)


def test_a_link_that_stays_in_the_data_folder_is_accepted(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "train").mkdir()
    target = saved(tmp_path / "store", pose())
    (tmp_path / "train/child_1_1.npy").symlink_to(target)
    (tmp_path / "train/child_1_2.npy").symlink_to("child_1_1.npy")
    assert np.array_equal(read_pose(tmp_path / "train/child_1_2.npy", T, root=tmp_path), pose())


def test_a_data_folder_that_is_itself_reached_by_a_link_is_accepted(tmp_path):
    make_data(tmp_path / "real")
    (tmp_path / "data").symlink_to("real")
    assert problems(tmp_path / "data") == []


def test_broken_and_circular_links_are_refused(tmp_path):
    (tmp_path / "child_1_1.npy").symlink_to("child_1_9.npy")
    assert "cannot be read" in refusal(tmp_path / "child_1_1.npy", root=tmp_path)
    (tmp_path / "child_1_2.npy").symlink_to("child_1_2.npy")
    assert "cannot be read" in refusal(tmp_path / "child_1_2.npy", root=tmp_path)


@contextlib.contextmanager
def ordinary_user():
    """Root reads files of any mode, so the test drops to an ordinary user for a moment."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_an_unreadable_file_is_refused():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        readable = saved(folder, pose(), "child_1_1.npy")
        unreadable = saved(folder, pose(), "child_1_2.npy")
        readable.chmod(0o644)
        unreadable.chmod(0)
        with ordinary_user():
            read_pose(readable, T)
            assert "Permission denied" in refusal(unreadable)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=300), prefix=st.sampled_from([b"", b"\x93NUMPY\x01\x00", b"\x93NUMPY\x03\x00"]))
def test_random_bytes_are_refused_and_nothing_else_happens(tmp_path, content, prefix):
    refused_bytes(tmp_path, prefix + content)


VALUES = pose().tobytes()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(6, 90), cut=st.integers(0, 4), new=st.binary(max_size=4))
def test_a_mutated_header_is_refused_or_still_means_the_same(tmp_path, place, cut, new):
    whole = npy(header(), VALUES)
    path = tmp_path / "child_1_1.npy"
    path.write_bytes(whole[:place] + new + whole[place + cut :])
    try:
        poses = read_pose(path, T)
    except DataError:
        return
    assert poses.shape == SHAPE


# ---- errors


def test_an_error_shows_path_reason_and_hint():
    assert str(DataError(Path("a/b.npy"), "is broken", "fix it")) == "a/b.npy: is broken (fix it)"


def test_several_problems_are_reported_at_once_under_a_count():
    error = DataProblems([DataError("a", "one", "x"), DataError("b", "two", "y")])
    assert str(error).splitlines() == ["2 problems in the data:", "  a: one (x)", "  b: two (y)"]


def test_errors_survive_the_way_between_processes():
    first = DataError(Path("a"), "one", "x")
    for error in (first, DataProblems([first, DataError("b", "two", "y")])):
        copy = pickle.loads(pickle.dumps(error))
        assert type(copy) is type(error)
        assert str(copy) == str(error)
        assert (copy.path, copy.reason, copy.hint) == (error.path, error.reason, error.hint)


@pytest.mark.parametrize("name", ["a\x1b[2J.npy", "a\nb.npy", "a\udcff.npy", "a\u202eb.npy"])
def test_odd_file_names_reach_the_terminal_escaped(name):
    text = str(DataError(Path(name), "is broken", "fix it"))
    assert text.isprintable()
    text.encode()


# ---- names and folders


def test_segments_are_listed_by_name_as_text_whatever_the_order_on_disk(tmp_path):
    for name in ("child_10_1.npy", "child_2_1.npy", "child_007_1.npy", "child_2_10.npy"):
        saved(tmp_path, pose(), name)
    names = [path.name for path in list_segments(tmp_path, "challenge")]
    assert names == ["child_007_1.npy", "child_10_1.npy", "child_2_1.npy", "child_2_10.npy"]


def test_hidden_entries_and_other_endings_are_ignored(tmp_path):
    for name in ("._child_1_1.npy", ".tmp-1-child_1_1.npy", "notes.txt", "child_1_1.npz"):
        (tmp_path / name).touch()
    assert list_segments(tmp_path, "challenge") == []


@pytest.mark.parametrize(
    "name",
    ["x.npy", "child_1.npy", "child_a_1.npy", "child_1_1_1.npy", "child_1_1.NPY", "child_١_1.npy", "Child_1_1.npy",
     "child_1_1.npy.npy", "child_1_1.npy\n.npy", "child_-1_1.npy"],
)  # fmt: skip
def test_a_name_outside_the_challenges_pattern_is_refused(tmp_path, name):
    saved(tmp_path, pose())
    (tmp_path / name).touch()
    with pytest.raises(DataProblems) as caught:
        list_segments(tmp_path, "challenge")
    assert [problem.path for problem in caught.value.problems] == [tmp_path / name]


@pytest.mark.parametrize("name", ["child_NA_3.npy", "child_None_x.npy", "site-2_ann_4.npy", "A_1.npy", "7_1.npy"])
def test_the_safe_pattern_allows_plain_names(tmp_path, name):
    saved(tmp_path, pose(), name)
    assert [path.name for path in list_segments(tmp_path, "safe")] == [name]


@pytest.mark.parametrize(
    "name", ["=a_1.npy", "+a_1.npy", "-a_1.npy", "@a_1.npy", "a b_1.npy", "a\t_1.npy", "a.._1.npy", "a_.npy", "é_1.npy"]
)
def test_the_safe_pattern_refuses_formulas_spaces_and_control_characters(tmp_path, name):
    (tmp_path / name).touch()
    with pytest.raises(DataProblems, match="is not a segment's name"):
        list_segments(tmp_path, "safe")


def test_all_offending_names_are_listed_at_once(tmp_path):
    for name in ("b.npy", "a.npy", "c.npy"):
        (tmp_path / name).touch()
    with pytest.raises(DataProblems) as caught:
        list_segments(tmp_path, "challenge")
    assert [Path(problem.path).name for problem in caught.value.problems] == ["a.npy", "b.npy", "c.npy"]


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(DataError, match=r"nowhere: cannot be listed: No such file.*check the path"):
        list_segments(tmp_path / "nowhere", "challenge")


@pytest.mark.parametrize(
    ("name", "child"),
    [
        ("child_007_1.npy", "007"),
        ("child_7_1.npy", "7"),
        ("child_NA_3.npy", "NA"),
        ("child_None_3.npy", "None"),
        ("site-2_ann_4.npy", "site-2_ann"),
    ],
)
def test_the_id_of_a_child_stays_unchanged_text(name, child):
    assert child_of(name) == child


# ---- tables


def table(folder: Path, content: bytes | str) -> Path:
    path = folder / "table.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


ROWS = [{"child": "007", "cohort": "NA"}, {"child": "None", "cohort": "b c"}]


@pytest.mark.parametrize(
    "content",
    [
        "child,cohort\n007,NA\nNone,b c\n",
        "\ufeffchild,cohort\n007,NA\nNone,b c\n",
        "child,cohort\r\n007,NA\r\nNone,b c\r\n",
        "child;cohort\n007;NA\nNone;b c",
        "\ufeffchild;cohort\r\n007;NA\r\nNone;b c\r\n",
        "\n child , cohort \n\n007, NA\n  \n None,b c \n,\n",
        '"child", "cohort"\n"007", "NA"\n"None","b c"\n',
    ],
    ids=["plain", "bom", "crlf", "semicolons", "excel", "spaces-and-blank-lines", "quotes"],
)
def test_every_common_dialect_gives_the_same_text(tmp_path, content):
    assert read_table(table(tmp_path, content), ("child",)) == ROWS


def test_a_cell_may_hold_the_other_delimiter(tmp_path):
    assert read_table(table(tmp_path, "child;note\n1;a,b\n"), ("child",)) == [{"child": "1", "note": "a,b"}]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "line 1: no header"),
        (b"\n \n", "line 1: no header"),
        (b"child,a,a\n1,2,3\n", "line 1: two columns are named 'a'"),
        (b"\nkid,a\n1,2\n", "line 2: no column child among 'kid, a'"),
        (b"child,a\n1,2\n3\n", "line 3: 1 cells where the header has 2"),
        (b"child,a\n1,2,3\n", "line 2: 3 cells where the header has 2"),
        (b"child,a\n1,\0\n", "line 2: a NUL byte"),
        (b"child,a\n1,2\n1,\xff\n", "line 3: not UTF-8"),
        (b"child,a\n1," + b"x" * 200_000 + b"\n", "line 2: field larger than field limit"),
        (b'child,a\n1,"x\n', "line 2: unexpected end of data"),
    ],
)
def test_a_malformed_table_is_refused_with_the_line(tmp_path, content, reason):
    with pytest.raises(DataError, match=re.escape(reason)):
        read_table(table(tmp_path, content), ("child",))


def test_all_ragged_lines_are_named_at_once(tmp_path):
    with pytest.raises(DataProblems, match=r"(?s)line 2: .*line 4: "):
        read_table(table(tmp_path, "child,a\n1\n1,2\n1,2,3\n"), ("child",))


def test_a_table_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.csv: cannot be read: No such file"):
        read_table(tmp_path / "none.csv", ())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.one_of(st.binary(max_size=80), st.text('child,;"\r\n\0 é1', max_size=60).map(str.encode)))
def test_a_random_table_is_read_or_refused_and_nothing_else_happens(tmp_path, content):
    try:
        rows = read_table(table(tmp_path, content), ("child",))
    except DataError:
        return
    assert all("child" in row for row in rows)


def labels_of(folder: Path, *rows: str, names: str = "challenge"):
    return read_labels(table(folder, "\n".join(["segment_name,label", *rows]) + "\n"), names)


def test_labels_are_read_by_name(tmp_path):
    read = labels_of(tmp_path, "child_007_1.npy,1", "child_7_1.npy,0")
    assert read.labels == {"child_007_1.npy": 1, "child_7_1.npy": 0}
    assert (read.problems, read.warnings) == ([], [])


def test_labels_of_a_table_with_more_columns_in_any_order_are_read(tmp_path):
    path = table(tmp_path, "site;label;segment_name\nx;1;child_1_1.npy\n")
    assert read_labels(path, "challenge").labels == {"child_1_1.npy": 1}


def test_labels_written_as_decimals_are_accepted_with_one_warning(tmp_path):
    read = labels_of(tmp_path, "child_1_1.npy,1", "child_1_2.npy,1.0", "child_1_3.npy,0.0")
    assert read.labels == {"child_1_1.npy": 1, "child_1_2.npy": 1, "child_1_3.npy": 0}
    assert read.problems == []
    one([str(warning) for warning in read.warnings], "line 3", "2 labels")


@pytest.mark.parametrize("label", ["2", "", "yes", "-1", "0.5", "nan", "01", "True", "1e0", "１"])
def test_another_label_is_refused_by_name_and_line(tmp_path, label):
    read = labels_of(tmp_path, "child_1_1.npy,1", f"child_1_2.npy,{label}")
    assert read.labels == {"child_1_1.npy": 1}
    one([str(problem) for problem in read.problems], "line 3", "child_1_2.npy", "0 or 1")


@pytest.mark.parametrize("label", ["1", "0"])
def test_a_segment_in_two_rows_is_refused_with_both_lines(tmp_path, label):
    read = labels_of(tmp_path, "child_1_1.npy,1", "child_1_2.npy,0", f"child_1_1.npy,{label}")
    one([str(problem) for problem in read.problems], "line 4", "child_1_1.npy", "in line 2", "delete one")


def test_a_segment_name_without_its_ending_is_refused_with_a_hint(tmp_path):
    read = labels_of(tmp_path, "child_1_1,1")
    one([str(problem) for problem in read.problems], "line 2", "child_1_1", "with .npy")


@pytest.mark.parametrize("name", ["../child_1_1.npy", "/etc/passwd", "=1+1", "child_1_1.npy\x1b[2J", ""])
@pytest.mark.parametrize("names", ["challenge", "safe"])
def test_a_segment_name_that_is_no_plain_name_is_refused(tmp_path, name, names):
    read = labels_of(tmp_path, f"{name},1", names=names)
    assert read.labels == {}
    one([str(problem) for problem in read.problems], "line 2", "is not a segment's name")
    assert str(read.problems[0]).isprintable()


# ---- the whole folder


def test_a_good_folder_has_no_problems_and_right_numbers(tmp_path):
    data = make_data(tmp_path, children=3, per_child=2)
    half = pose(50)
    half[: T // 2] = np.nan
    saved(data / "train", half, "child_2_1.npy")
    saved(data / "train", np.full(SHAPE, np.nan), "child_2_0.npy")
    add_to_test(data, pose(99), "child_70_1.npy")
    report = check_folder(data, T, "challenge")
    assert report.problems == []
    assert (report.segments, report.children, report.labelled, report.positives) == (6, 3, 6, 2)
    assert report.prevalence == pytest.approx(1 / 3)
    assert report.missing_frames == pytest.approx(1.5 / 6)
    assert (report.without_pose, report.test_segments, report.test_children) == (1, 1, 1)


def test_the_progress_wrapper_sees_every_file_once(tmp_path):
    data = make_data(tmp_path, children=2, per_child=1)
    add_to_test(data, pose(99), "child_70_1.npy")
    seen: list[str] = []

    def progress(paths):
        for path in paths:
            seen.append(path.name)
            yield path

    check_folder(data, T, "challenge", progress)
    assert seen == ["child_0_0.npy", "child_1_0.npy", "child_70_1.npy"]


def test_a_file_without_label_is_a_problem(tmp_path):
    data = make_data(tmp_path)
    saved(data / "train", pose(50), "child_9_9.npy")
    one(problems(data), "train/child_9_9.npy", "has no label")


def test_a_label_without_file_is_a_problem(tmp_path):
    data = make_data(tmp_path)
    (data / "train/child_1_1.npy").unlink()
    one(problems(data), "child_1_1.npy: has a label but no file")


def test_a_file_whose_label_is_refused_is_not_reported_as_unlabelled_too(tmp_path):
    data = make_data(tmp_path)
    path = data / "train_data.csv"
    path.write_text(path.read_text().replace("child_1_1.npy,1", "child_1_1.npy,2"))
    one(problems(data), "label '2' of child_1_1.npy")


def test_a_child_in_train_and_in_test_is_a_problem(tmp_path):
    data = make_data(tmp_path)
    add_to_test(data, pose(99), "child_1_77.npy")
    one(problems(data), "child 1 is in train and in test")
    with pytest.raises(DataProblems, match="child 1 is in train and in test"):
        load_training(data, T, "challenge", tmp_path / "cache")


@pytest.mark.parametrize(("added", "other"), [("child_001_1.npy", "001 and 1"), ("child_03_9.npy", "03 and 3")])
def test_ids_that_differ_in_zeros_alone_may_be_one_child_and_are_refused(tmp_path, added, other):
    data = make_data(tmp_path)
    add_to_test(data, pose(99), added)
    one(problems(data), f"children {other} differ in zeros", "rename the files of one child")


@pytest.mark.parametrize("added", ["child_10_1.npy", "child_100_1.npy", "child_21_1.npy"])
def test_ids_that_hold_the_same_digits_are_other_children(tmp_path, added):
    data = make_data(tmp_path)
    add_to_test(data, pose(99), added)
    assert problems(data) == []


def test_ids_that_differ_in_upper_case_alone_may_be_one_child_and_are_refused(tmp_path):
    data = make_data(tmp_path)
    for name in ("Ann_1.npy", "ann_2.npy", "ANNA_1.npy"):
        add_to_test(data, pose(len(name)), name)
    one(problems(data, "safe"), "children Ann and ann differ")


def test_the_same_array_under_two_children_is_a_warning_whatever_its_type(tmp_path):
    data = make_data(tmp_path)
    saved(data / "train", pose(0).astype(np.float64), "child_1_0.npy")  # pose(0) is that of child_0_0
    one(warnings(data), "child_1_0.npy", "the same array as child_0_0.npy", "another child", "leak")


def test_the_same_array_in_train_and_test_is_a_warning(tmp_path):
    data = make_data(tmp_path)
    add_to_test(data, pose(0), "child_70_1.npy")
    one(warnings(data), "test/child_70_1.npy", "the same array as child_0_0.npy", "leak")


def test_the_same_array_twice_within_a_child_is_a_warning_but_no_leak(tmp_path):
    data = make_data(tmp_path)
    saved(data / "train", pose(0), "child_0_1.npy")
    messages = warnings(data)
    one(messages, "child_0_1.npy", "the same array as child_0_0.npy")
    assert "leak" not in messages[0]


def test_segments_without_any_pose_are_not_copies_of_each_other(tmp_path):
    data = make_data(tmp_path)
    for name in ("child_0_0.npy", "child_1_0.npy"):
        saved(data / "train", np.full(SHAPE, np.nan), name)
    one(warnings(data), "2 of 8 segments (child_0_0.npy, child_1_0.npy): no pose in any frame")


def one_class(data: Path) -> Path:
    path = data / "train_data.csv"
    path.write_text(path.read_text().replace(",1\n", ",0\n"))
    return data


def test_one_class_is_a_warning_in_the_check_and_refused_in_training(tmp_path):
    data = one_class(make_data(tmp_path))
    assert problems(data) == []
    one(warnings(data), "every label is 0", "training refuses")
    with pytest.raises(DataError, match="every label is 0"):
        load_training(data, T, "challenge", tmp_path / "cache")


def test_groups_are_read_as_text_by_child(tmp_path):
    data = make_data(tmp_path, children=2)
    (data / "groups.csv").write_text("child,cohort\n0,NA\n1,007\n9,x\n")
    assert (problems(data), warnings(data)) == ([], [])
    groups = load_training(data, T, "challenge", tmp_path / "cache").groups
    assert groups["0"] == {"child": "0", "cohort": "NA"}
    assert groups["1"]["cohort"] == "007"


def test_a_child_twice_in_groups_is_a_problem(tmp_path):
    data = make_data(tmp_path, children=2)
    (data / "groups.csv").write_text("child\n0\n1\n0\n")
    one(problems(data), "groups.csv", "line 4", "'0' is there twice")


def test_a_training_child_absent_from_groups_is_a_warning(tmp_path):
    data = make_data(tmp_path, children=3)
    (data / "groups.csv").write_text("child,cohort\n0,a\n2,b\n")
    assert problems(data) == []
    one(warnings(data), "1 of 3 children", "such as 1")


def test_everything_that_is_wrong_is_reported_at_once(tmp_path):
    data = make_data(tmp_path)
    (data / "train/child_0_0.npy").write_bytes(b"")
    (data / "train/x.npy").mkdir()
    (data / "train/bad.npy").touch()
    saved(data / "train", pose() * 640, "child_1_0.npy")
    add_to_test(data, np.zeros((5, 33, 5)), "child_70_1.npy")
    (data / "groups.csv").write_text("kid\n1\n")
    with open(data / "train_data.csv", "a") as file:
        file.write("child_50_1.npy,1\nchild_3_1.npy,0\n")
    found = problems(data)
    for word in ("x.npy: is a folder", "bad.npy: is not a segment's name", "child_50_1.npy: has a label but no file",
                 "child_3_1.npy is already in line", "groups.csv: line 1: no column child", "child_0_0.npy: empty file",
                 "child_1_0.npy: is in pixels", "child_70_1.npy: has 5 frames"):  # fmt: skip
        assert sum(word in problem for problem in found) == 1, (word, found)
    assert len(found) == 8


def test_an_unreadable_label_table_is_one_problem_and_the_files_are_still_checked(tmp_path):
    data = make_data(tmp_path)
    (data / "train_data.csv").unlink()
    (data / "train/child_0_0.npy").write_bytes(b"")
    found = problems(data)
    assert len(found) == 2
    assert "train_data.csv: cannot be read" in found[0]
    assert "child_0_0.npy: empty" in found[1]


def test_an_empty_or_missing_train_folder_is_one_problem(tmp_path):
    data = make_data(tmp_path, children=2, per_child=1)
    for path in (data / "train").iterdir():
        path.unlink()
    one(problems(data), "train", "holds no segment")
    (data / "train").rmdir()
    one(problems(data), "train", "cannot be listed")


def test_links_out_of_the_data_folder_are_refused_for_folders_and_tables_too(tmp_path):
    make_data(tmp_path / "real")
    data = tmp_path / "data"
    data.mkdir()
    (data / "train").symlink_to(tmp_path / "real/train")
    (data / "train_data.csv").symlink_to(tmp_path / "real/train_data.csv")
    found = problems(data)
    assert len(found) == 2
    assert all("is a link that leaves" in problem for problem in found)


def test_a_data_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match="nowhere: no such folder"):
        check_folder(tmp_path / "nowhere", T, "challenge")
