"""Arrays, HDF5, Parquet and text files of other pose tools: read back as written, refused where unclear or hostile."""

import io
import os
import struct
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from helpers import pose_tables as tools
from helpers.pose_tables import DLC, FRAMES, check_landmarks, child, two_people
from helpers.segments import header, npy
from spasm.core import processes
from spasm.core.errors import DataError
from spasm.data.landmarks import LANDMARKS, OPENPOSE_18
from spasm.data.pose_files import arrays, deeplabcut, hdf5, islr, kinetics, long_csv, ultralytics, wide_csv
from spasm.data.pose_files.base import PoseFile
from spasm.data.pose_files.joints import COCO_17, to_landmarks
from spasm.data.pose_files.recognise import READERS, describe_poses, may_be_poses, readers_of, sources
from spasm.video.pose_units import landmarks_of


def saved(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


def refusal(reader: ModuleType, path: Path, joints: str | None = None) -> str:
    """The message with which a reader refuses a file; HDF5 and Parquet are read in this process."""
    with pytest.raises(DataError) as caught:
        reader.read_here(path) if hasattr(reader, "read_here") else reader.read(path, joints)
    assert caught.value.hint
    return str(caught.value)


# ---- arrays


def flat(poses: np.ndarray) -> np.ndarray:
    return poses.reshape(len(poses), -1)


def holistic(poses: np.ndarray) -> np.ndarray:
    """(T, 543, 3): face, left hand, pose, right hand; only the pose is found."""
    whole = np.zeros((len(poses), 543, 3), dtype=np.float32)
    whole[:, 489:522] = np.nan_to_num(poses[..., :3])
    return whole


@pytest.mark.parametrize(
    "layout",
    [
        lambda poses: poses,
        lambda poses: poses[..., :4],
        lambda poses: np.nan_to_num(poses[..., :4]),
        lambda poses: np.where(np.isnan(poses), -1, poses)[..., :4],
        lambda poses: flat(poses[..., :4]),
        lambda poses: flat(poses),
        lambda poses: poses[:, None, :, :4],
        lambda poses: poses[None, :, :, :4],
        lambda poses: np.asfortranarray(poses[..., :4]).astype(">f4"),
        lambda poses: np.concatenate([flat(poses[..., :4]), np.zeros((len(poses), 1530))], axis=1),
        lambda poses: np.concatenate([flat(poses[..., :4]), np.zeros((len(poses), 126))], axis=1),
    ],
)
def test_arrays_of_mediapipe_are_read_in_every_shape(tmp_path, layout):
    poses = child()
    found = arrays.read(saved(tmp_path / "poses.npy", layout(poses)), None)
    assert found.joints == LANDMARKS and found.unit == "picture" and found.fps is None
    check_landmarks(found, poses, tolerance=1e-6)
    np.testing.assert_allclose(found.poses[:, 0, :, 2], poses[..., 2], atol=1e-6)


@pytest.mark.parametrize(
    "layout",
    [
        lambda poses: poses[..., :3],
        lambda poses: flat(poses[..., :3]),
        lambda poses: poses[..., :2],
        lambda poses: flat(poses[..., :2]),
        holistic,
        lambda poses: flat(holistic(poses)),
    ],
)
def test_arrays_without_visibility_have_no_confidence(tmp_path, layout):
    poses = child()
    found = arrays.read(saved(tmp_path / "poses.npy", layout(poses)), None)
    assert np.isnan(found.poses[..., 3:]).all()
    assert np.isnan(found.poses[5:8]).all()
    np.testing.assert_allclose(found.poses[:, 0, :, :2], poses[..., :2], atol=1e-6)


def test_a_third_channel_from_0_to_1_is_visibility_and_one_of_both_signs_is_z(tmp_path):
    poses = child()
    found = arrays.read(saved(tmp_path / "poses.npy", poses[..., [0, 1, 3]]), None)
    assert any("not as z" in note for note in found.notes)
    check_landmarks(found, poses)
    assert np.isnan(found.poses[..., 2]).all()


def test_marks_of_missing_joints_do_not_decide_what_the_third_channel_is(tmp_path):
    poses = np.where(np.isnan(child()), -1, child())
    check_landmarks(arrays.read(saved(tmp_path / "a.npy", poses[..., [0, 1, 3]]), None), child())
    found = tools.joints(poses, COCO_17)[..., [0, 1, 3]]
    found[..., 2] *= np.where(found[..., 2] < 0, 1, 1.2)  # mmpose's scores may exceed 1
    assert np.nanmax(arrays.read(saved(tmp_path / "b.npy", found), "coco_17").poses[..., 3]) > 1
    assert "negative" in refusal(arrays, saved(tmp_path / "c.npy", found - [0, 0, 0.9]), "coco_17")


@pytest.mark.parametrize(("joints", "names"), [("coco_17", COCO_17), ("coco_18", OPENPOSE_18)])
@pytest.mark.parametrize("channels", [[0, 1], [0, 1, 3]])
@pytest.mark.parametrize("shape", [(FRAMES, -1), (FRAMES, 0, 0), (FRAMES, 1, 0, 0)])
def test_joints_of_unknown_order_need_the_name_of_their_layout(tmp_path, joints, names, channels, shape):
    poses = child()
    found = tools.pixels(tools.joints(poses, names))[..., channels]
    sizes = [found.shape[1] if i == len(shape) - 2 else size for i, size in enumerate(shape)]
    sizes = [len(channels) if i == len(shape) - 1 and size == 0 else size for i, size in enumerate(sizes)]
    sizes = [FRAMES, -1] if len(shape) == 2 else sizes
    path = saved(tmp_path / "poses.npy", np.nan_to_num(found).reshape(sizes))
    if len(shape) > 2:
        assert f"--joints {joints}" in refusal(arrays, path)
    read = arrays.read(path, joints)
    assert read.unit == "pixels" and read.lowest_confidence == (0.3 if len(channels) == 3 else 0)
    landmarks, _, absent = to_landmarks(read.poses, read.joints)
    there = [number for number, name in enumerate(LANDMARKS) if name not in absent]
    np.testing.assert_allclose(landmarks[:, 0, there, :2] / tools.SIZE, poses[:, there, :2], atol=1e-9)


def test_an_array_of_two_people(tmp_path):
    people = two_people()
    found = arrays.read(saved(tmp_path / "poses.npy", people.transpose(1, 0, 2, 3)), None)
    check_landmarks(found, people[0])
    check_landmarks(found, people[1], 1)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.ones((33,)), "shape (33,)"),
        (np.ones((0, 33, 3)), "holds nothing"),
        (np.ones((40, 34)), "unknown joints"),
        (np.ones((40, 17, 4)), "4 channels"),
        (np.ones((40, 33, 7)), "7 channels"),
        (np.ones((40, 33, 3, 3)), "33 people"),
        (np.full((2, 60, 33, 3), 0.5), "60 people"),
        (np.ones((40, 21, 3)), "21 joints"),
        (np.ones((4, 33, 33, 33, 33)), "shape"),
        (np.full((40, 33, 3), 5.0), "too far"),
        (np.arange(40 * 33 * 4).reshape(40, 33, 4) - 3000, "negative"),
        (np.zeros((1, 3, 300, 18, 2)), "nothing but zeros"),
        (np.ones((2, 3, 300, 18, 2)), "2 recordings"),
        (np.ones((1, 3, 300, 25, 2)), "shape"),
    ],
)
def test_arrays_that_are_no_poses_or_unclear_are_refused(tmp_path, array, reason):
    assert reason in refusal(arrays, saved(tmp_path / "poses.npy", array))


def test_pickles_and_text_in_an_array_are_refused(tmp_path):
    path = tmp_path / "poses.npy"
    np.save(path, np.array([{"pose": 1}], dtype=object), allow_pickle=True)
    assert "never loaded" in refusal(arrays, path)
    path.write_bytes(npy(header("'|S5'")))
    assert "text" in refusal(arrays, path)


def test_a_header_that_claims_terabytes_is_refused_before_anything_is_read(tmp_path):
    path = tmp_path / "poses.npy"
    path.write_bytes(npy(header("'<f8'", shape=(1 << 40, 33, 3)), b"0" * 100))
    assert "claims" in refusal(arrays, path)
    with open(path, "wb") as file:  # it is really there, as a hole
        file.write(npy(header("'<f4'", shape=(10_000_000, 33, 3))))
        file.truncate(file.tell() + 10_000_000 * 33 * 3 * 4)
    assert "too large" in refusal(arrays, path)


# ---- ST-GCN


def test_st_gcn_arrays_are_about_the_middle_and_end_with_their_frames(tmp_path):
    poses = child()
    array = tools.stgcn_array(poses, OPENPOSE_18)
    for made in (array, array[0]):
        found = arrays.read(saved(tmp_path / "poses.npy", made), None)
        assert found.unit == "centred" and found.joints == OPENPOSE_18 and len(found.poses) == FRAMES
        shifted = PoseFile("", found.joints, found.poses + np.array([0.5, 0.5, 0, 0, 0]), "picture", 0)
        check_landmarks(shifted, poses, tolerance=1e-6)
        assert np.isnan(found.poses[:, 1]).all() and np.isnan(found.poses[5:8]).all()


def test_a_joint_in_the_middle_of_the_picture_is_not_missing(tmp_path):
    array = tools.stgcn_array(child(), OPENPOSE_18)
    array[0, :2, 3, 0, 0] = 0
    found = arrays.read(saved(tmp_path / "poses.npy", array), None)
    assert found.poses[3, 0, 0, :2].tolist() == [0, 0]


def test_st_gcn_arrays_that_are_not_about_the_middle_are_fractions_or_refused(tmp_path):
    array = tools.stgcn_array(child(), OPENPOSE_18)
    array[0, :2, :, :, 0] += 0.5
    found = arrays.read(saved(tmp_path / "poses.npy", array), None)
    assert found.unit == "picture"
    array[0, :2] *= 0.5
    assert "fractions of it" in refusal(arrays, saved(tmp_path / "poses.npy", array))


def test_kinetics_skeleton_json_gives_each_person(tmp_path):
    people = two_people()
    path = tools.kinetics_json(tmp_path / "clip.json", people, OPENPOSE_18)
    assert readers_of(path) == [kinetics]
    found = kinetics.read(path, None)
    assert found.unit == "picture" and found.joints == OPENPOSE_18 and len(found.poses) == FRAMES
    check_landmarks(found, people[0][:8], tolerance=1e-3)
    check_landmarks(PoseFile("", found.joints, found.poses[10:], "picture", 0), people[1][10:], 1, tolerance=1e-3)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"score": [', '"score": [0.5, ', "19"),
        ('"frame_index": 3,', '"frame_index": "3",', "frame_index"),
        ('"frame_index": 3,', '"frame_index": 300000000,', "300000000"),
        ('"skeleton": [{', '"skeleton": [[], {', "skeleton"),
        ('"pose": [', '"pose": ["a", ', "pose"),
        ('"data": [', '"data": [3, ', "data"),
    ],
)
def test_broken_kinetics_skeletons_are_refused(tmp_path, old, new, reason):
    path = tools.kinetics_json(tmp_path / "clip.json", child()[None], OPENPOSE_18)
    path.write_text(path.read_text().replace(old, new, 1))
    assert reason in refusal(kinetics, path)


# ---- .npz


def zipped(path: Path, **entries: np.ndarray) -> Path:
    np.savez_compressed(path, **entries)  # type: ignore[arg-type]
    return path


def test_the_only_array_of_an_npz_is_read(tmp_path):
    path = zipped(tmp_path / "poses.npz", keypoints=child()[..., :4])
    assert arrays.recognised(path, path.read_bytes())
    check_landmarks(arrays.read(path, None), child())


def test_several_arrays_of_an_npz_are_named(tmp_path):
    message = refusal(arrays, zipped(tmp_path / "poses.npz", poses=child(), boxes=np.ones(4)))
    assert "poses.npy, boxes.npy" in message


def test_hostile_npz_are_refused_and_nothing_is_written(tmp_path):
    path = tmp_path / "poses.npz"
    content = io.BytesIO()
    np.save(content, child()[..., :4])
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("../../outside.npy", content.getvalue())
    check_landmarks(arrays.read(path, None), child())  # only its content is read
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["poses.npz"]

    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("poses.npy", npy(header("'<f8'", shape=(70_000, 33, 4))) + b"\0" * 70_000 * 33 * 4 * 8)
    assert path.stat().st_size < 100_000
    assert "once unpacked" in refusal(arrays, path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("poses.npy", npy(header("'<f8'", shape=(9_000_000, 33, 4))) + b"\0" * 1000)
    assert "claims" in refusal(arrays, path) or "too large" in refusal(arrays, path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as file:
        file.writestr("poses.npy", content.getvalue())
    assert "compressed" in refusal(arrays, path)
    np.savez(path, poses=np.array([{"pose": 1}], dtype=object))
    assert "never loaded" in refusal(arrays, path)
    whole_file = zipped(path, poses=child()).read_bytes()
    for cut in (whole_file[:-300], whole_file[:200], whole_file[:2000] + b"\xff" * 50 + whole_file[2050:]):
        path.write_bytes(cut)
        assert refusal(arrays, path)


# ---- SLEAP


@pytest.mark.parametrize("preset", [None, "matlab", "standard"])
def test_sleap_analysis_files_are_read_in_every_order_of_axes(tmp_path, preset):
    people = two_people()
    path = tools.sleap_h5(tmp_path / "a.analysis.h5", people, DLC, preset)
    assert hdf5.recognised(path, path.read_bytes()[:4096])
    found = hdf5.read_here(path)
    assert found.unit == "pixels" and found.joints == DLC and found.lowest_confidence == 0
    assert found.ids is not None and found.ids[12].tolist() == [0, 1] and found.ids[0].tolist() == [0, -1]
    check_landmarks(found, people[0][:5])
    check_landmarks(PoseFile("", found.joints, found.poses[10:], "pixels", 0), people[1][10:], 1)


def test_many_tracks_of_few_people_take_the_place_of_few_people(tmp_path):
    poses = child()
    tracks = np.full((20, *poses.shape), np.nan)
    for track in range(20):
        tracks[track, 2 * track : 2 * track + 2] = poses[2 * track : 2 * track + 2]
    found = hdf5.read_here(tools.sleap_h5(tmp_path / "a.h5", tracks, DLC))
    assert found.poses.shape[1] == 1
    check_landmarks(found, poses)
    assert found.ids is not None and found.ids[:5, 0].tolist() == [0, 0, 1, 1, 2]


def changed(path: Path, name: str, **how: object) -> Path:
    """The file with one array made again."""
    with h5py.File(path, "a") as file:
        del file[name]
        file.create_dataset(name, **how)  # type: ignore[arg-type]
    return path


@pytest.fixture
def sleap(tmp_path: Path) -> Path:
    return tools.sleap_h5(tmp_path / "a.analysis.h5", two_people(), DLC)


@pytest.mark.parametrize(
    ("name", "how", "reason"),
    [
        ("tracks", {"shape": (1 << 20, 2, 13, 1 << 20), "dtype": "f8", "chunks": (1, 2, 13, 4096)}, "too large"),
        ("tracks", {"shape": (1, 2, 13, 1 << 24), "dtype": "f8", "chunks": (1, 2, 13, 1 << 20)}, "too large"),
        ("tracks", {"shape": (4, 2, 13, 900_000), "dtype": "f8", "chunks": (4, 2, 13, 1000)}, "holds 0"),
        ("tracks", {"data": np.ones((2, 2, 14, 40))}, "no order of its axes"),
        ("tracks", {"data": np.ones((2, 2, 13, 40), dtype=np.int32)}, "int32"),
        ("tracks", {"data": np.ones(5)}, "shape"),
        ("tracks", {"data": "text"}, "shape"),
        ("point_scores", {"data": np.ones((2, 13, 39))}, "point_scores"),
        ("node_names", {"data": np.arange(13)}, "no list of names"),
        ("node_names", {"data": np.array(["x" * 5000] * 13, dtype="S")}, "no list of names"),
        ("node_names", {"data": ["x" * 5000] * 13, "dtype": h5py.string_dtype()}, "huge name"),
    ],
)
def test_sleap_files_with_impossible_arrays_are_refused(sleap, name, how, reason):
    assert reason in refusal(hdf5, changed(sleap, name, **how))


def test_hdf5_that_leaves_the_file_is_refused(sleap, tmp_path):
    other = tools.sleap_h5(tmp_path / "other.h5", two_people(), DLC)
    for link in (h5py.ExternalLink(str(other), "/tracks"), h5py.SoftLink("/elsewhere")):
        with h5py.File(sleap, "a") as file:
            del file["tracks"]
            file["tracks"] = link
        assert "link" in refusal(hdf5, sleap)
    secret = tmp_path / "secret"
    secret.write_bytes(np.full(2 * 2 * 13 * 40, 0.25).tobytes())
    with h5py.File(sleap, "a") as file:
        del file["tracks"]
        file.create_dataset("tracks", (2, 2, 13, 40), "f8", external=[(str(secret), 0, h5py.h5f.UNLIMITED)])
    assert "another file" in refusal(hdf5, sleap)
    layout = h5py.VirtualLayout((2, 2, 13, 40), "f8")
    layout[:] = h5py.VirtualSource(str(other), "tracks", (2, 2, 13, 40))
    with h5py.File(sleap, "a") as file:
        del file["tracks"]
        file.create_virtual_dataset("tracks", layout)
    assert "another file" in refusal(hdf5, sleap)


def test_no_plugin_is_loaded_for_an_unknown_compression(sleap, tmp_path, monkeypatch):
    monkeypatch.setenv("HDF5_PLUGIN_PATH", str(tmp_path))
    with h5py.File(sleap, "a") as file:
        del file["tracks"]
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_chunk((1, 2, 13, 40))
        plan.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, (3,))
        space = h5py.h5s.create_simple((2, 2, 13, 40))
        h5py.h5d.create(file.id, b"tracks", h5py.h5t.NATIVE_DOUBLE, space, plan)
    assert "filter 32015" in refusal(hdf5, sleap)


def test_attributes_are_read_only_where_they_are_text(sleap):
    for value in (np.void(b"\x80\x04K\x01."), np.arange(4), '["frame", "track", "node"]', '{"a": 1}', "[" * 900):
        with h5py.File(sleap, "a") as file:
            file["tracks"].attrs["dims"] = value
        assert refusal(hdf5, sleap)


def test_hdf5_of_other_kinds_is_refused_with_what_to_export(tmp_path):
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file.create_group("df_with_missing").create_dataset("table", data=np.arange(3))
        file["df_with_missing"].attrs["non_index_axes"] = np.bytes_(b"(lp0\n(I1\n")
    assert "save as CSV" in refusal(hdf5, path)
    with h5py.File(path, "w") as file:
        for name in ("metadata", "videos_json", "tracks_json", "frames", "instances", "points"):
            file.create_dataset(name, data=np.arange(3))
    assert "Export Analysis HDF5" in refusal(hdf5, path)
    with h5py.File(path, "w") as file:
        file["loop"] = file["/"]
        file.create_dataset("tracks", data=np.ones((2, 2, 13, 40)))
    assert "node_names" in refusal(hdf5, path)
    path.write_bytes(hdf5.SIGNATURE + b"\0" * 100)
    assert "damaged" in refusal(hdf5, path)


# ---- ISLR


def test_islr_parquet_gives_the_poses_from_its_first_frame(tmp_path):
    poses = child()
    path = tools.islr_parquet(tmp_path / "1000.parquet", poses, first=103)
    assert islr.recognised(path, path.read_bytes()[:100])
    found = islr.read_here(path)
    assert found.joints == LANDMARKS and found.unit == "picture" and np.isnan(found.poses[..., 3]).all()
    np.testing.assert_allclose(found.poses[:, 0, :, :3], poses[..., :3], atol=1e-9)
    assert any("103" in note for note in found.notes)


def rows_of(poses: int = 2, **change: object) -> dict[str, object]:
    count = 33 * poses
    columns: dict[str, object] = {
        "frame": np.repeat(np.arange(poses), 33),
        "type": ["pose"] * count,
        "landmark_index": np.tile(np.arange(33), poses),
        **{axis: np.linspace(0.2, 0.8, count) for axis in "xyz"},
    }
    return columns | change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"frame": None}, "no column frame"),
        ({"x": [["a"]] * 66}, "no column x"),
        ({"x": ["a"] * 66}, "BYTE_ARRAY"),
        ({"x": [[0.5, 0.5]] * 66}, "no column x"),
        ({"frame": np.repeat(np.array([0, 10**9]), 33)}, "frame numbers"),
        ({"frame": np.repeat(np.array([0, -4]), 33)}, "-4"),
        ({"frame": pd.to_datetime(["2024-01-01"] * 66)}, "timestamp"),
        ({"landmark_index": np.full(66, 40)}, "landmark_index 40"),
        ({"landmark_index": np.zeros(66, dtype=int)}, "twice"),
        ({"type": ["face"] * 66}, "no row of type pose"),
        ({"type": [None] * 66}, "type"),
        ({"x": np.linspace(100, 900, 66), "y": np.linspace(100, 900, 66)}, "fractions"),
    ],
)
def test_parquet_with_other_columns_or_values_is_refused(tmp_path, change, reason):
    columns = {name: values for name, values in rows_of(**change).items() if values is not None}
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table(columns), path)
    assert reason in refusal(islr, path)


def test_a_dictionary_of_huge_texts_takes_no_memory(tmp_path):
    texts = pa.DictionaryArray.from_arrays(
        pa.array(np.r_[np.zeros(33, int), np.ones(300_000, int)], pa.int32()), pa.array(["pose", "x" * 1_000_000])
    )
    count = 300_033
    numbers = np.r_[np.arange(33), np.zeros(count - 33, int)]
    table = pa.table(
        {"frame": np.zeros(count, int), "type": texts, "landmark_index": numbers}
        | {axis: np.full(count, 0.5) for axis in "xyz"}
    )
    path = tmp_path / "a.parquet"
    pq.write_table(table, path, compression="zstd", store_schema=False)
    assert path.stat().st_size < 100_000
    assert islr.read_here(path).poses.shape == (1, 1, 33, 5)  # 300 GB of text if it were written out


def test_damaged_parquet_is_refused(tmp_path):
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1" + b"\xff" * 100 + struct.pack("<I", 1 << 30) + b"PAR1")
    assert "damaged" in refusal(islr, path)
    path.write_bytes(b"PAR1")
    assert "damaged" in refusal(islr, path)


def test_names_of_joints_in_messages_are_printable(tmp_path):
    names = (*DLC, "\x1b[31mtail", "x" * 900)
    found = hdf5.read_here(tools.sleap_h5(tmp_path / "a.h5", child()[None], names))
    [note] = [note for note in landmarks_of("a.h5", found, tools.SIZE, None, 1).notes if "dropped" in note]
    assert note.isprintable() and "tail" in note and len(note) < 150
    renamed = PoseFile("", tuple(f"\x1b]0;{name}\x07" for name in names), found.poses, "pixels", 0)
    with pytest.raises(DataError) as caught:
        landmarks_of("a.h5", renamed, tools.SIZE, None, 1)
    assert str(caught.value).isprintable()


# ---- recognition


def test_each_file_is_recognised_by_its_own_reader_alone(tmp_path):
    people, poses = two_people(), child()
    made = {
        deeplabcut: [tools.deeplabcut_csv(tmp_path / "a", people, DLC, ("infant", "parent"))],
        wide_csv: [
            tools.mediapipe_csv(tmp_path / "b", poses),
            tools.yolo_csv(tmp_path / "c", people),
            tools.sleap_csv(tmp_path / "d", people, DLC),
        ],
        long_csv: [tools.long_csv(tmp_path / "e", poses)],
        hdf5: [tools.sleap_h5(tmp_path / "f", people, DLC)],
        islr: [tools.islr_parquet(tmp_path / "g", poses)],
        kinetics: [tools.kinetics_json(tmp_path / "h", people, OPENPOSE_18)],
        arrays: [saved(tmp_path / "i.npy", poses[..., :4]), zipped(tmp_path / "j.npz", poses=poses)],
        ultralytics: [tools.ultralytics_txt(tmp_path / "k", people), tmp_path / "k/ward_7_1.txt"],
    }
    for reader, paths in made.items():
        for path in paths:
            assert readers_of(path) == [reader], path
    assert set(made) < set(READERS)


def test_recordings_are_no_poses_of_another_tool_but_can_be_imported(tmp_path):
    path = saved(tmp_path / "child_1_1.npy", child().astype(np.float32))
    assert describe_poses(tmp_path) == ""
    assert not may_be_poses(path)
    assert [source.path for source in sources([tmp_path])] == [path]
    saved(tmp_path / "walk.npy", child()[..., :4])
    assert "walk.npy" in describe_poses(tmp_path)


# ---- in a process of its own


def crash(path: Path) -> None:
    os.kill(os.getpid(), 11)


def fill(path: Path) -> int:
    return len(bytearray(1 << 34))


def write_a_file(path: Path) -> None:
    path.write_bytes(b"1234")


@pytest.mark.command
def test_a_reader_that_crashes_or_fills_the_memory_ends_with_a_message(tmp_path):
    with pytest.raises(DataError, match="crashed"):
        processes.run_apart(tmp_path, crash, tmp_path)
    if sys.platform == "linux":
        with pytest.raises(DataError, match="memory"):
            processes.run_apart(tmp_path, fill, tmp_path)
        with pytest.raises((DataError, OSError)):
            processes.run_apart(tmp_path, write_a_file, tmp_path / "written")


@pytest.mark.command
def test_hdf5_and_parquet_are_read_in_a_process_of_their_own(tmp_path, sleap):
    poses = child()
    check_landmarks(hdf5.read(sleap, None), poses[:5])
    found = islr.read(tools.islr_parquet(tmp_path / "a.parquet", poses), None)
    np.testing.assert_allclose(found.poses[:, 0, :, :3], poses[..., :3], atol=1e-9)
    sleap.write_bytes(sleap.read_bytes()[:3000])
    with pytest.raises(DataError, match="damaged"):
        hdf5.read(sleap, None)


@pytest.mark.parametrize(("reader", "package"), [(hdf5, "h5py"), (islr, "pyarrow")])
def test_a_missing_package_is_named_with_how_to_install_it(tmp_path, monkeypatch, reader, package):
    monkeypatch.setitem(sys.modules, package, None)
    assert "requirements-poses.txt" in refusal(reader, tmp_path / "a")


# ---- Ultralytics


@pytest.mark.parametrize("confidence", [True, False])
@pytest.mark.parametrize("extra", ["", "conf", "id", "conf id"])
def test_ultralytics_text_is_read_with_boxes_and_tracks(tmp_path, confidence, extra):
    people = two_people()
    folder = tools.ultralytics_txt(tmp_path / "labels", people, extra, confidence)
    for given in (folder, tmp_path):
        assert ultralytics.recognised(given, b"")
        found = ultralytics.read(given, None)
        assert found.unit == "picture" and found.joints == COCO_17 and len(found.poses) == FRAMES
        expected = people[0].copy()
        if not confidence:
            expected[..., 3] = np.nan
        check_landmarks(found, expected[:8], tolerance=1e-5)
        assert (found.ids is not None) == ("id" in extra)
        if found.ids is not None:
            assert found.ids[12].tolist() == [1, 2]
    assert np.isnan(found.poses[5:8, 0]).all()  # frames without a file


def test_ultralytics_files_are_in_the_order_of_their_numbers(tmp_path):
    poses = child()[:12]
    found = ultralytics.read(tools.ultralytics_txt(tmp_path / "labels", poses[None], first=995), None)
    check_landmarks(PoseFile("", found.joints, found.poses[995:], "picture", 0), poses[:5], tolerance=1e-5)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda folder: (folder / "ward_8_3.txt").write_text((folder / "ward_7_1.txt").read_text()), "2 videos"),
        (lambda folder: (folder / "ward_7_2.txt").write_text("0 0.5 0.5 0.2 0.2\n"), "5 numbers"),
        (lambda folder: (folder / "ward_7_2.txt").write_text("0 0.5 0.5 0.2 " + "0.5 " * 40), "44 numbers"),
        (lambda folder: (folder / "ward_7_2.txt").write_text("x " * 56), "line 1"),
        (lambda folder: (folder / "ward_7_2.txt").write_bytes(b"\xff\x00" * 500_001), "bytes"),
        (lambda folder: (folder / "ward_7_01.txt").write_text(""), "same number"),
        (lambda folder: (folder / "ward_7_1.txt").rename(folder / "ward.txt"), "no numbers"),
        (lambda folder: (folder / "ward_7_1.txt").rename(folder / "ward_7_999999999.txt"), "999999999"),
    ],
)
def test_a_broken_folder_of_ultralytics_text_is_refused(tmp_path, change, reason):
    folder = tools.ultralytics_txt(tmp_path / "labels", child()[None])
    change(folder)
    assert reason in refusal(ultralytics, folder)


def test_one_file_of_ultralytics_text_names_its_folder(tmp_path):
    folder = tools.ultralytics_txt(tmp_path / "labels", child()[None])
    path = folder / "ward_7_1.txt"
    assert ultralytics.recognised(path, path.read_bytes())
    assert str(folder) in refusal(ultralytics, path)
    assert not ultralytics.recognised(path, b"12 3\n")


def test_other_folders_are_not_recognised(tmp_path):
    (tmp_path / "readme.txt").write_text("hello\n")
    assert not ultralytics.recognised(tmp_path, b"")
    assert not ultralytics.recognised(tmp_path / "nothing", b"")
