"""Data in the layouts of other systems: files written here, damaged ones, and the real toy set of STAM."""

import json
import math
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from helpers.repository import ROOT, SOURCE
from helpers.segments import make_data, npy, pose
from spasm.core.errors import DataError
from spasm.data.annotations import LabelLevel
from spasm.data.dataset import load_training
from spasm.data.formats import convert as convert_module
from spasm.data.formats import openpose, sta_gunet, stam, two_stream
from spasm.data.formats.base import to_landmarks
from spasm.data.formats.convert import opened
from spasm.data.landmarks import COCO_17_NECK, INDEX, OPENPOSE_18
from spasm.data.pose import visible_mask

TOY = ROOT.parent / "shared/data/stam_toy"


def script(name: str, *flags: object) -> subprocess.CompletedProcess:
    command = [sys.executable, f"src/{name}", *map(str, flags)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def error_of(call, *arguments) -> str:
    """The message of the DataError that a call raises."""
    with pytest.raises(DataError) as caught:
        call(*arguments)
    assert caught.value.hint
    return str(caught.value)


def load(data: Path, cache: Path, frames: int | None = None):
    return load_training(data, frames, "challenge", cache)


# ---- data to read


def stam_sequence(frames: int = 40, seed: int = 0, channels: int = 7) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1.5, (channels, frames, 18))


def make_stam(folder: Path, infants: int = 6, frames: int = 40) -> Path:
    folder.mkdir()
    (folder / "labels.txt").write_text(
        "infant_id,label\n" + "".join(f"infant_{i:03},{i % 2}\n" for i in range(1, infants + 1))
    )
    for i in range(1, infants + 1):
        place = folder / f"pose_sequences/infant_{i:03}"
        place.mkdir(parents=True)
        np.save(place / "raw_skel.npy", stam_sequence(frames, i))
    return folder


def write_split(folder: Path, number: int, **parts: list[int]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for part, infants in parts.items():
        rows = "".join(f"infant_{i:03},{i % 2}\n" for i in infants)
        (folder / f"{part}_{number:02}.txt").write_text(f"infant_id,label\n{rows}")


def clip_frames(count: int = 20, seed: int = 0, scale: float = 1.0) -> list[dict]:
    values = np.random.default_rng(seed).uniform(0.1, 0.9, (count, 18, 3, 2)) * scale
    return [{"features": [dict(zip(sta_gunet.QUANTITIES, v.tolist(), strict=True)) for v in f]} for f in values]


def make_gunet(folder: Path, clips: int = 6, count: int = 20, scale: float = 1.0) -> Path:
    for part, numbers in (("train", range(clips - 2)), ("val", range(clips - 2, clips))):
        (folder / f"kinetics_{part}").mkdir(parents=True)
        for i in numbers:
            (folder / f"kinetics_{part}/clip{i}.json").write_text(json.dumps(clip_frames(count, i, scale)))
        labels = {f"clip{i}": {"label": "any", "label_index": i % 2} for i in numbers}
        (folder / f"kinetics_{part}_label.json").write_text(json.dumps(labels))
    return folder


def make_pictures(folder: Path, length: int = 31) -> Path:
    rng = np.random.default_rng(0)
    for name in two_stream.CLASSES:
        for part in ("224x224", "224x224_flow/X", "224x224_flow/Y"):
            place = folder / name / "sub1" / part
            place.mkdir(parents=True)
            for frame in range(0, length, 1 if part == "224x224" else 5):
                if part == "224x224":
                    Image.fromarray(rng.integers(0, 200, (224, 224, 3), dtype=np.uint8)).save(place / f"{frame:06}.png")
                elif frame:
                    Image.fromarray(np.full((224, 224), frame + ord(part[-1]), np.uint8)).convert("RGB").save(
                        place / f"{frame:06}.png"
                    )
    return folder


# ---- what is recognised


def test_a_folder_in_the_challenges_layout_is_given_back_unchanged(tmp_path):
    data = make_data(tmp_path / "data")
    assert opened(data, None, tmp_path / "cache") == (data, 150, LabelLevel.SEGMENT, False, "", ())
    assert opened(data, 16, tmp_path / "cache").frames == 16
    assert not (tmp_path / "cache").exists()


def test_what_is_not_recognised_keeps_the_messages_for_the_challenges_layout(tmp_path):
    assert f"{tmp_path}: there is no training data in it" in error_of(load, tmp_path, tmp_path / "cache")
    assert "no such folder" in error_of(load, tmp_path / "nowhere", tmp_path / "cache")


def test_the_challenges_layout_wins_over_another_in_the_same_folder(tmp_path):
    data = make_stam(tmp_path / "data")
    shutil.copytree(make_data(tmp_path / "ours") / "train", data / "train")
    assert not opened(data, None, tmp_path / "cache").converted


# ---- the conversion


def test_stams_layout_becomes_training_data_evaluated_by_each_infants_largest_block(tmp_path):
    loaded = load(make_stam(tmp_path / "data"), tmp_path / "cache")
    assert loaded.poses.shape == (6, 40, 33, 5)
    assert loaded.names == tuple(f"child_{i}_1.npy" for i in range(1, 7))
    assert loaded.labels.tolist() == [1, 0, 1, 0, 1, 0]
    assert loaded.label_level is LabelLevel.CHILD
    assert loaded.notice.startswith(
        "STAM's layout: 6 infants in 6 blocks of 40 frames; compare.py evaluates an infant by its largest"
    )
    assert loaded.folder.parent == tmp_path / "cache/formats"
    assert (loaded.folder / "groups.csv").read_text().split()[:3] == ["child,source", "1,infant_001", "2,infant_002"]
    assert loaded.groups["2"] == {"child": "2"}, "ids are no groups to report by"


def test_segments_in_the_challenges_layout_are_evaluated_one_by_one(tmp_path):
    loaded = load(make_data(tmp_path / "data"), tmp_path / "cache", 16)
    assert loaded.label_level is LabelLevel.SEGMENT
    assert loaded.folder == tmp_path / "data"
    assert load(make_gunet(tmp_path / "clips"), tmp_path / "cache").label_level is LabelLevel.SEGMENT


def test_a_conversion_is_made_once_and_again_when_the_data_or_the_cache_changes(tmp_path):
    data, cache = make_stam(tmp_path / "data"), tmp_path / "cache"
    first = load(data, cache)
    before = (first.folder / "converted.json").stat().st_ino
    again = load(data, cache)
    assert (again.folder, (again.folder / "converted.json").stat().st_ino) == (first.folder, before)
    assert again.fingerprint == first.fingerprint
    shutil.rmtree(cache)
    assert load(data, cache).fingerprint == first.fingerprint
    np.save(data / "pose_sequences/infant_001/raw_skel.npy", stam_sequence(40, 99))
    other = load(data, cache)
    assert other.folder != first.folder
    assert other.fingerprint != first.fingerprint


def test_a_second_command_reads_neither_the_foreign_files_nor_the_converted_ones(tmp_path, monkeypatch):
    data, cache = make_stam(tmp_path / "data"), tmp_path / "cache"
    opened(data, None, cache)
    for path in [*data.rglob("*.*"), *(cache / "formats").rglob("*.npy")]:
        os.utime(path, (1e9, 1e9))
    first, read, really_open = load(data, cache), [], os.open  # this one hashes what seems to have changed

    def spy(path, *arguments, **options):
        read.extend([str(path)] if str(path).endswith(".npy") and "poses.npy" not in str(path) else [])
        return really_open(path, *arguments, **options)

    monkeypatch.setattr(os, "open", spy)
    assert load(data, cache).fingerprint == first.fingerprint
    assert read == []
    load_training(data, None, "challenge", cache, rehash=True)
    assert len(read) == len(set(read)) == 12, "6 sequences and the 6 segments that they became"


def test_the_conversion_does_not_depend_on_where_the_folder_is(tmp_path):
    data, cache = make_stam(tmp_path / "data"), tmp_path / "cache"
    first = opened(data, None, cache)
    data.rename(tmp_path / "moved")
    assert opened(tmp_path / "moved", None, cache).folder == first.folder
    assert len(list((cache / "formats").glob("*_own"))) == 1


def test_naming_the_t_that_the_data_has_uses_the_same_conversion(tmp_path):
    data, cache = make_stam(tmp_path / "data"), tmp_path / "cache"
    assert opened(data, 40, cache).frames == 40
    assert opened(data, None, cache).folder.name.endswith("_own")
    shutil.rmtree(cache)
    assert opened(data, None, cache).folder == opened(data, 40, cache).folder


@pytest.mark.parametrize("torn", ["converted.json", "train_data.csv", "groups.csv", "train/child_3_1.npy"])
def test_a_conversion_that_is_not_whole_is_made_again(tmp_path, torn):
    data, cache = make_stam(tmp_path / "data"), tmp_path / "cache"
    folder = opened(data, None, cache).folder
    whole = {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    (folder / torn).unlink()
    opened(data, None, cache)
    assert {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == whole


def test_a_damaged_mark_is_made_again_in_the_cache_and_refused_in_a_users_folder(tmp_path):
    data, cache = make_stam(tmp_path / "data"), tmp_path / "cache"
    folder = opened(data, None, cache).folder
    for damage in ("", "[]", "{}", '{"format": 1}', "\0"):
        (folder / "converted.json").write_text(damage)
        assert "converted.json" in error_of(opened, folder, None, cache)
    assert opened(data, None, cache).folder == folder
    assert json.loads((folder / "converted.json").read_text())["label_level"] == "child"


def test_a_converted_folder_may_itself_be_named_as_data(tmp_path):
    folder = opened(make_stam(tmp_path / "data"), None, tmp_path / "cache").folder
    loaded = load(Path(shutil.copytree(folder, tmp_path / "copy")), tmp_path / "cache")
    assert (loaded.poses.shape[1], loaded.label_level, loaded.notice) == (40, LabelLevel.CHILD, "")


# Converts, and stops for ever when the third segment is to be written.
KILLED = """
import os, sys
from pathlib import Path
from spasm.data.formats import convert as formats
real, count = formats.to_landmarks, []
def stopping(xy, joints):
    count.append(1)
    if len(count) == 3:
        os.kill(os.getpid(), 9)
    return real(xy, joints)
formats.to_landmarks = stopping
formats.opened(Path(sys.argv[1]), None, Path(sys.argv[2]))
"""


@pytest.mark.command
def test_nothing_of_a_killed_conversion_is_used_and_what_it_left_is_removed(tmp_path):
    data, cache = make_stam(tmp_path / "data"), tmp_path / "cache"
    command = [sys.executable, "-c", KILLED, str(data), str(cache)]
    finished = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(SOURCE)}, capture_output=True)
    assert finished.returncode == -9, finished.stderr
    (left,) = (cache / "formats").glob(".tmp-*")
    assert len(list((left / "train").iterdir())) == 2
    assert len(load(data, cache).names) == 6
    assert not left.exists()


@pytest.mark.command
def test_two_conversions_at_once_both_end_with_the_same_folder(tmp_path):
    data, cache = make_stam(tmp_path / "data", infants=30), tmp_path / "cache"
    convert = "import sys; from pathlib import Path; from spasm.data.formats.convert import opened; "
    convert += "print(opened(Path(sys.argv[1]), None, Path(sys.argv[2])).folder)"
    command = [sys.executable, "-c", convert, str(data), str(cache)]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    both = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    folders = {process.communicate()[0].strip() for process in both}
    assert folders == {str(opened(data, None, cache).folder)}
    assert len(list((cache / "formats").glob("[!.]*"))) == 1


@pytest.mark.command
def test_parts_of_converted_data_that_transfer_trains_on_are_evaluated_like_the_whole(tmp_path):
    data, out = make_stam(tmp_path / "data", infants=24), tmp_path / "out"
    flags = ["--data", data, "--out", out, "--cache", tmp_path / "cache", "--outer-folds", 2, "--workers", 1]
    finished = script("evaluate_held_out.py", *flags, "--models", "lgbm")
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.startswith("STAM's layout: 24 infants")
    part = load(out / "without_0/data", tmp_path / "cache")
    assert (part.label_level, part.poses.shape[1], len(part.names)) == (LabelLevel.CHILD, 40, 12)


def test_a_conversion_that_fails_leaves_nothing(tmp_path, monkeypatch):
    data, cache = make_stam(tmp_path / "data"), tmp_path / "cache"

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(convert_module, "to_landmarks", full)
    with pytest.raises(OSError, match="No space left"):
        opened(data, None, cache)
    assert [path.name for path in (cache / "formats").iterdir()] == [".lock"]


def test_data_that_changes_while_it_is_converted_is_named(tmp_path, monkeypatch):
    data = make_stam(tmp_path / "data")
    read = stam.read

    def changing(*arguments):
        source = read(*arguments)
        np.save(data / "pose_sequences/infant_001/raw_skel.npy", stam_sequence(40, 99))
        return source

    monkeypatch.setattr(stam, "read", changing)
    assert "changed while it was read" in error_of(opened, data, None, tmp_path / "cache")


@pytest.mark.slow
@pytest.mark.parametrize("make", [make_stam, make_gunet], ids=["stam", "sta_gunet"])
def test_whatever_happens_to_a_file_the_data_is_read_or_refused_in_words(tmp_path, make):
    data, rng = make(tmp_path / "data"), np.random.default_rng(0)
    write_split(data / "split", 0, test=[1, 2], train=[3])
    (data / "groups.csv").write_text("clip,child\n" + "".join(f"clip{i},{i}\n" for i in range(6)))
    paths = sorted(path for path in data.rglob("*") if path.is_file())
    refused = 0
    for _ in range(150):
        path = paths[rng.integers(len(paths))]
        whole = path.read_bytes()
        damaged = bytearray(whole[: rng.integers(len(whole))] if rng.random() < 0.3 else whole)
        for place in rng.integers(min(len(damaged), 300), size=rng.integers(1, 4)) if damaged else []:
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            opened(data, None, tmp_path / "cache")
        except DataError as error:
            refused += 1
            assert error.hint
            assert str(error).isprintable() or "\n" in str(error)
        path.write_bytes(whole)
    assert refused > 50


# ---- STAM


def test_a_sequence_of_seven_channels_is_read_as_it_stands_in_any_float_type_and_order(tmp_path):
    values = stam_sequence()
    for dtype in (np.float16, np.float32, ">f8"):
        for order in "CF":
            np.save(tmp_path / "raw_skel.npy", np.asarray(values, dtype=dtype, order=order))
            sequence, warnings = stam.read_sequence(tmp_path / "raw_skel.npy")
            assert np.array_equal(sequence, values.astype(dtype).astype(np.float64))
            assert warnings == []


def test_of_nineteen_channels_those_that_stam_names_are_taken_with_a_warning(tmp_path):
    values = stam_sequence(channels=19)
    np.save(tmp_path / "raw_skel.npy", values)
    sequence, (warning,) = stam.read_sequence(tmp_path / "raw_skel.npy")
    assert np.array_equal(sequence, values[[0, 1, 4, 5, 10, 11, 16]])
    assert "smoothed vy is not in it" in str(warning)


def test_damaged_sequences_are_refused_in_words(tmp_path):
    path = tmp_path / "raw_skel.npy"
    good = stam_sequence()
    for shape in ((8, 40, 18), (7, 40, 17), (7, 18), (7, 0, 18), (1, 7, 40, 18)):
        np.save(path, np.zeros(shape))
        assert "not (7, T, 18)" in error_of(stam.read_sequence, path)
    for bad in (np.nan, np.inf, -1e7):
        values = good.copy()
        values[1, 3, 4] = bad
        np.save(path, values)
        assert "y of right_wrist in frame 3 is" in error_of(stam.read_sequence, path)
    np.save(path, good)
    whole = path.read_bytes()
    for content, words in ((b"", "empty"), (whole[:-1], "cut short"), (whole + b"\0", "follow"), (b"PK\3\4", "zip")):
        path.write_bytes(content)
        assert words in error_of(stam.read_sequence, path)
    path.write_bytes(
        npy("{'descr': '<f8', 'fortran_order': False, 'shape': (7, 10**12, 18), }".replace("10**12", "9" * 12))
    )
    assert "more than any pose sequence has" in error_of(stam.read_sequence, path)
    os.unlink(path)
    os.mkfifo(path)
    assert "is a device, a pipe" in error_of(stam.read_sequence, path)


class Bomb:
    """Unpickling it leaves a file behind."""

    def __init__(self, path: Path):
        self.path = str(path)

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


def test_an_array_of_python_objects_is_refused_without_loading_its_pickle(tmp_path):
    data = make_stam(tmp_path / "data")
    path = data / "pose_sequences/infant_001/raw_skel.npy"
    np.save(path, np.array([Bomb(tmp_path / "exploded")], dtype=object), allow_pickle=True)
    assert "never loaded" in error_of(load, data, tmp_path / "cache")
    assert not (tmp_path / "exploded").exists()


def test_blocks_of_unequal_sequences_are_as_long_as_the_shortest_and_frames_sets_another_length(tmp_path):
    data = make_stam(tmp_path / "data")
    np.save(data / "pose_sequences/infant_002/raw_skel.npy", stam_sequence(100))
    loaded = load(data, tmp_path / "cache")
    assert loaded.poses.shape == (8, 40, 33, 5)
    assert loaded.children.count("2") == 3
    assert load(data, tmp_path / "cache", 20).poses.shape[1] == 20
    message = error_of(load, data, tmp_path / "cache", 41)
    assert "the shortest sequence" in message
    assert "has 40 frames and makes no block of --frames 41" in message


def test_a_sequence_of_too_few_frames_is_a_problem(tmp_path):
    data = make_stam(tmp_path / "data")
    np.save(data / "pose_sequences/infant_002/raw_skel.npy", stam_sequence(15))
    assert "has 15 frames; 16 at least are needed" in error_of(load, data, tmp_path / "cache")


def test_parts_of_an_infant_count_for_the_infant(tmp_path):
    data = make_stam(tmp_path / "data")
    for part in (1, 2):
        place = data / f"pose_sequences/infant_006_sub_{part}"
        place.mkdir()
        np.save(place / "pose_sequence.npy", stam_sequence(40, 50 + part))
    shutil.rmtree(data / "pose_sequences/infant_006")
    loaded = load(data, tmp_path / "cache")
    assert loaded.names[-2:] == ("child_6_1.npy", "child_6_2.npy")


def test_trunk_lengths_become_parts_of_the_picture_on_the_landmarks_that_are_joints(tmp_path):
    data = make_stam(tmp_path / "data")
    loaded, sequence = load(data, tmp_path / "cache"), stam_sequence(40, 1)
    for column, joint in enumerate(OPENPOSE_18):
        if joint != "neck":
            expected = 0.5 + 0.2 * sequence[:2, :, column].T
            assert np.allclose(loaded.poses[0][:, INDEX[joint], :2], expected, atol=1e-6)
    joints = [INDEX[joint] for joint in OPENPOSE_18 if joint != "neck"]
    assert (visible_mask(loaded.poses[0]).sum(axis=0) == np.isin(np.arange(33), joints) * 40).all()
    assert (loaded.poses[0][:, joints, 2:] == [0, 1, 1]).all()


def test_labels_that_name_no_sequence_are_a_warning_and_sequences_without_a_label_a_problem(tmp_path):
    data = make_stam(tmp_path / "data")
    with open(data / "labels.txt", "a") as file:
        file.write("infant_099,1\n")
    (warning,) = load(data, tmp_path / "cache").warnings
    assert "1 infants have a label but no pose sequence: infant_099" in str(warning)
    (data / "labels.txt").write_text("infant_id,label\ninfant_001,1\ninfant_002,2\ninfant_001,0\n=cmd,1\n")
    message = error_of(load, data, tmp_path / "cache")
    for words in ("label '2' of infant_002", "line 4: infant_001 is there twice", "the id '=cmd'", "has no label"):
        assert words in message


@pytest.mark.command
def test_test_parts_that_hold_each_infant_once_are_offered_as_folds(tmp_path):
    data = make_stam(tmp_path / "data")
    for number in range(3):
        test = [2 * number + 1, 2 * number + 2]
        write_split(data / "folds/random_split", number, test=test, train=[i for i in range(1, 7) if i not in test])
    loaded = load(data, tmp_path / "cache")
    assert "its test parts are folds" in loaded.notice
    assert loaded.warnings == ()
    rows = (loaded.folder / "folds.csv").read_text().split()
    assert rows == ["segment_name,fold", *(f"child_{i}_1.npy,{(i - 1) // 2}" for i in range(1, 7))]
    flags = [
        "--data",
        data,
        "--cache",
        tmp_path / "cache",
        "--run",
        tmp_path / "run",
        "--models",
        "lgbm",
        "--no-report",
    ]
    flags += ["--lgbm.num-boost-round", 2, "--workers", 1, "--folds-file", loaded.folder / "folds.csv"]
    finished = script("train_folds.py", *flags)
    assert finished.returncode == 0, finished.stderr
    info = json.loads((tmp_path / "run/run.json").read_text())
    assert info["folds"]["folds"] == 3


@pytest.mark.parametrize("folder", ["folds/random_split", "split"])
def test_overlapping_test_parts_are_no_folds_and_an_infant_in_two_parts_is_a_warning(tmp_path, folder):
    data = make_stam(tmp_path / "data")
    write_split(data / folder, 0, test=[1, 2], train=[3, 4], val=[5, 6])
    write_split(data / folder, 1, test=[1, 4], train=[3, 5, 2, 1])
    loaded = load(data, tmp_path / "cache")
    assert "its 2 test parts overlap or leave infants out, so our own folds are used" in loaded.notice
    assert not (loaded.folder / "folds.csv").exists()
    (warning,) = loaded.warnings
    assert "split 1: infant_001 is in two of its parts" in str(warning)


def test_a_split_that_names_an_unknown_infant_is_a_problem(tmp_path):
    data = make_stam(tmp_path / "data")
    write_split(data / "split", 0, test=[1, 77], train=[2])
    assert "1 infants are not in labels.txt: infant_077" in error_of(load, data, tmp_path / "cache")


# ---- STAM: OpenPose's keypoints


def walking_poses(count: int = 90, width: float = 640, height: float = 480) -> np.ndarray:
    """Keypoints (T, 18, 2) in pixels of a body that wriggles, turns and drifts; y down, its right at the left."""
    rest = np.zeros((18, 2))
    places = {"nose": (0, -0.5), "neck": (0, 0), "eye": (-0.1, -0.6), "ear": (-0.2, -0.5)}
    places |= {"shoulder": (-0.4, 0), "elbow": (-0.7, 0.4), "wrist": (-0.6, 0.8)}
    places |= {"hip": (-0.25, 1), "knee": (-0.4, 1.5), "ankle": (-0.3, 2)}
    for number, joint in enumerate(OPENPOSE_18):
        side, _, part = joint.rpartition("_")
        rest[number] = np.array(places[part]) * ((-1, 1) if side == "left" else (1, 1))
    rng, time = np.random.default_rng(3), np.arange(count) / 30
    sway = 0.1 * np.sin(2 * np.pi * (time[:, None, None] * rng.uniform(0.2, 1, (18, 2)) + rng.uniform(0, 1, (18, 2))))
    angle = 0.4 + 0.2 * time
    turn = np.moveaxis(np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]), -1, 0)
    body = np.einsum("tab,tjb->tja", turn, rest + sway)
    return 80 * body + [width / 2 + 20, height / 3] + 5 * time[:, None, None]


def slow_preprocess(poses, fps, width, height):
    """`openpose.preprocess` for poses without gaps, written frame by frame from its description."""
    half, quarter, count = int(0.5 * fps), int(0.25 * fps), len(poses)

    def centred(values, statistic):
        result = np.full_like(values, np.nan)
        for t in range(count):
            last = t + (half - 1) // 2
            if last - half + 1 >= 0 and last < count:
                result[t] = statistic(values[last - half + 1 : last + 1], axis=0)
        return result

    def trailing(values):
        result = np.full_like(values, np.nan)
        for t in range(quarter - 1, count):
            result[t] = np.mean(values[t - quarter + 1 : t + 1], axis=0)
        return result

    xy = centred(centred((poses - [width / 2, height / 2]) / height, np.median), np.mean)
    out = np.full_like(xy, np.nan)
    for t in range(count):
        place = dict(zip(OPENPOSE_18, xy[t], strict=True))
        middle = {part: (place[f"right_{part}"] + place[f"left_{part}"]) / 2 for part in ("shoulder", "hip")}
        trunk = math.dist(middle["shoulder"], middle["hip"])
        for number, joint in enumerate(OPENPOSE_18):
            part = "hip" if joint.endswith(("hip", "knee", "ankle")) else "shoulder"
            right_to_left = complex(*(place[f"left_{part}"] - place[f"right_{part}"]))
            turned = complex(*(place[joint] - middle[part])) * (right_to_left / abs(right_to_left)).conjugate() / trunk
            out[t, number] = turned.real, turned.imag + (part == "hip")
    step = np.full_like(out, np.nan)
    step[1:] = out[1:] - out[:-1]
    velocity = trailing(step * fps)
    change = np.full_like(out, np.nan)
    change[1:] = velocity[1:] - velocity[:-1]
    acceleration = trailing(change * fps)
    channels = [*np.moveaxis(out, -1, 0), *np.moveaxis(velocity, -1, 0), *np.moveaxis(acceleration, -1, 0)]
    channels = np.array([*channels, np.sqrt((step**2).sum(axis=-1))])
    return channels[:, ~np.isnan(channels).any(axis=(0, 2))]


@pytest.mark.parametrize("fps", [30, 29.97, 25])
def test_the_preprocessing_follows_its_description_frame_by_frame(fps):
    poses = walking_poses()
    channels = openpose.preprocess(poses, fps, 640, 480)
    expected = slow_preprocess(poses, fps, 640, 480)
    assert channels.shape == expected.shape
    assert np.allclose(channels, expected, atol=1e-6)


def test_preprocessed_shoulders_and_hips_are_level_a_trunk_apart_with_the_infants_right_at_the_left():
    channels = openpose.preprocess(walking_poses(), 30, 640, 480)
    place = {joint: channels[:2, :, number] for number, joint in enumerate(OPENPOSE_18)}
    for part, height in (("shoulder", 0), ("hip", 1)):
        assert np.allclose(place[f"right_{part}"] + place[f"left_{part}"], [[0], [2 * height]])
        assert np.allclose(place[f"right_{part}"][1], height)
        assert (place[f"right_{part}"][0] < 0).all()


@settings(max_examples=20, deadline=None)
@given(zoom=st.floats(0.2, 3), x=st.floats(-500, 500), y=st.floats(-500, 500), scale=st.floats(0.5, 4))
def test_the_place_size_and_resolution_of_the_infant_make_no_difference(zoom, x, y, scale):
    expected = openpose.preprocess(walking_poses(), 30, 640, 480)
    moved = openpose.preprocess((walking_poses() * zoom + [x, y]) * scale, 30, 640 * scale, 480 * scale)
    assert np.allclose(moved, expected, atol=1e-6)


def test_vy_is_vy_and_gaps_are_filled_along_a_line():
    poses = walking_poses()
    channels = openpose.preprocess(poses, 30, 640, 480)
    assert not np.allclose(channels[2], channels[3])
    assert np.allclose(channels[6, 1:], np.hypot(*np.diff(channels[:2], axis=1)))
    gap = poses.copy()
    gap[40:45, 4] = np.nan
    filled = poses.copy()
    filled[40:45, 4] = np.linspace(poses[39, 4], poses[45, 4], 7)[1:-1]
    assert np.allclose(openpose.preprocess(gap, 30, 640, 480), openpose.preprocess(filled, 30, 640, 480))


def test_the_channels_of_the_toy_set_follow_from_its_positions_as_ours_do():
    if not TOY.exists():
        pytest.skip("the toy set is not here")
    values = np.load(TOY / "pose_sequences/infant_001/raw_skel.npy")
    step = np.diff(values[:2], axis=1)
    assert np.allclose(step, values[2:4, 1:])
    assert np.allclose(np.hypot(*step), values[16, 1:])
    assert np.allclose(openpose._trailing_mean(values[4], 7)[6:], values[6, 6:])


def write_keypoints(path: Path, poses: np.ndarray, header: str = "frame,person,joint,x,y", more: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [header]
    for frame, joint in np.ndindex(*poses.shape[:2]):
        if np.isfinite(poses[frame, joint]).all():
            x, y = poses[frame, joint].tolist()
            rows.append(f"{frame},0,{joint},{x!r},{y!r}{more}")
    path.write_text("\n".join(rows) + "\n")


def make_estimated(folder: Path, infants: int = 4) -> Path:
    folder.mkdir()
    for i in range(1, infants + 1):
        write_keypoints(folder / f"estimated_poses/infant_{i:03}.csv", walking_poses(70 + i))
    labels = "".join(f"infant_{i:03},{i % 2}\n" for i in range(1, infants + 1))
    (folder / "labels.txt").write_text(f"infant_id,label\n{labels}")
    videos = "".join(f"infant_{i:03},640,480,30\n" for i in range(1, infants + 1))
    (folder / "estimated_poses/videos.csv").write_text(f"infant_id,width,height,fps\n{videos}")
    return folder


def test_tables_of_keypoints_become_training_data_by_stams_preprocessing(tmp_path):
    data = make_estimated(tmp_path / "data")
    loaded = load(data, tmp_path / "cache")
    expected = openpose.preprocess(walking_poses(71), 30, 640, 480)
    assert loaded.poses.shape[1] == expected.shape[1]
    nose = loaded.poses[0][:, 0, :2]
    assert np.allclose(nose, 0.5 + 0.2 * expected[:2, :, 0].T, atol=1e-6)


def test_the_person_with_most_keypoints_counts_and_joints_may_have_names(tmp_path):
    poses = walking_poses(60)
    path = tmp_path / "one.csv"
    write_keypoints(path, poses)
    picture = openpose.Picture(640, 480, 30)
    expected = openpose.read_estimated(path, tmp_path, picture)
    with open(path, "a") as file:
        file.writelines(f"{frame},parent,LEar,1,1\n{frame},parent,right_hip,5,5\n" for frame in range(60))
    assert np.array_equal(openpose.read_estimated(path, tmp_path, picture), expected)


@pytest.mark.parametrize("mark", [0, -1])
def test_keypoints_at_another_tools_mark_for_missing_are_read_as_rows_that_are_left_out(tmp_path, mark):
    poses, picture = walking_poses(60), openpose.Picture(640, 480, 30)
    poses[20:26, 4] = np.nan
    write_keypoints(tmp_path / "left_out.csv", poses)
    write_keypoints(tmp_path / "marked.csv", np.where(np.isnan(poses), mark, poses))
    left_out, marked = (
        openpose.read_estimated(tmp_path / name, tmp_path, picture) for name in ("left_out.csv", "marked.csv")
    )
    assert np.array_equal(left_out, marked)


def test_columns_of_the_table_may_give_the_videos_size(tmp_path):
    path = tmp_path / "one.csv"
    write_keypoints(path, walking_poses(60), "frame,person,joint,x,y,width,height,fps", ",640,480,30")
    assert openpose.read_estimated(path, tmp_path, None).shape[0] == 7


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("0,0,18,1,1", "joint '18'"),
        ("0,0,Tail,1,1", "joint 'Tail'"),
        ("-1,0,0,1,1", "frame '-1'"),
        ("9999999,0,0,1,1", "frame '9999999'"),
        ("0,0,0,nan,1", "'nan' is not a number"),
        ("0,0,0,inf,1", "'inf' is not a number"),
        ("0,0,0,,1", "'' is not a number"),
        ("0,0,0,1,1\n0,0,Nose,1,1", "joint Nose is there twice"),
        ("0,0,0,1,1", "neck is never found"),
        ("", "holds no keypoint"),
    ],
)
def test_damaged_tables_of_keypoints_are_refused_in_words(tmp_path, rows, words):
    (tmp_path / "one.csv").write_text(f"frame,person,joint,x,y\n{rows}\n")
    assert words in error_of(openpose.read_estimated, tmp_path / "one.csv", tmp_path, openpose.Picture(640, 480, 30))


def test_a_video_of_unknown_size_is_refused(tmp_path):
    data = make_estimated(tmp_path / "data")
    (data / "estimated_poses/videos.csv").unlink()
    assert "the size and speed of its video are unknown" in error_of(load, data, tmp_path / "cache")
    (data / "estimated_poses/videos.csv").write_text("infant_id,width,height,fps\ninfant_001,640,480,0\n")
    assert "fps 0" in error_of(load, data, tmp_path / "cache")


@pytest.mark.command
def test_the_pickles_of_stams_first_step_are_refused_with_a_command_that_converts_them(tmp_path):
    """The structure is that of the pickles STAM reads: `peaks` of 18 parts, and persons as indices of peaks."""
    poses = walking_poses(60)
    frames = []
    for frame, places in enumerate(poses):
        peaks = [[(x, y, 0.9, number)] for number, (x, y) in enumerate(places.tolist())]
        peaks[0].append((1.0, 1.0, 0.5, 18))  # a nose that belongs to no person
        frames.append({"video": "v", "frame": frame, "peaks": peaks, "limbs_subset": [[*range(18), 9.9, 18]]})
    data = make_estimated(tmp_path / "data")
    folder = data / "estimated_poses/infant_001"
    (data / "estimated_poses/infant_001.csv").unlink()
    folder.mkdir()
    pd.DataFrame(frames).to_pickle(folder / "raw.pkl")
    message = error_of(load, data, tmp_path / "cache")
    assert "is a pickle, which can run any program and is never loaded (if you trust it: python -c" in message
    code = message.split('python -c "')[1].split('"')[0]
    subprocess.run([sys.executable, "-c", code, folder / "raw.pkl", folder / "raw.csv"], check=True)
    load(data, tmp_path / "cache")
    sequence = openpose.read_estimated(folder / "raw.csv", data, openpose.Picture(640, 480, 30))
    assert np.allclose(sequence, openpose.preprocess(poses, 30, 640, 480))


@pytest.mark.command
def test_preprocessed_pickles_are_refused_with_a_command_too_and_never_loaded(tmp_path):
    data = make_stam(tmp_path / "data")
    (data / "pose_sequences").rename(data / "preprocessed_poses")
    assert len(load(data, tmp_path / "cache").names) == 6
    folder, values = data / "preprocessed_poses/infant_001", stam_sequence(40, 1)
    (folder / "raw_skel.npy").unlink()
    (folder / "bomb.pkl").write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    message = error_of(load, data, tmp_path / "cache")
    assert not (tmp_path / "exploded").exists()
    code = message.split('python -c "')[1].split('"')[0]
    columns = ["x", "y", "velocity_x", "velocity_y", "acceleration_x", "acceleration_y", "displacement"]
    rows = [
        {"frame": frame, "part_idx": joint, **dict(zip(columns, values[:, frame, joint], strict=True))}
        for joint in range(18)
        for frame in range(40)
    ]
    pd.DataFrame(rows).to_pickle(tmp_path / "coords.pkl")
    command = [sys.executable, "-c", code, tmp_path / "coords.pkl", folder / "pose_sequence.npy"]
    subprocess.run(command, check=True)
    assert np.array_equal(stam.read_sequence(folder / "pose_sequence.npy")[0], values)


# ---- STA-GUNet


def test_clips_of_both_parts_become_training_segments_each_a_child_of_its_own_with_a_warning(tmp_path):
    loaded = load(make_gunet(tmp_path / "data"), tmp_path / "cache")
    assert loaded.poses.shape == (6, 20, 33, 5)
    assert loaded.labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert len(set(loaded.children)) == 6
    (warning,) = loaded.warnings
    assert "the format names no child" in str(warning)
    expected = [clip["features"][0]["coordinate"] for clip in clip_frames(20, 0)]
    assert np.allclose(loaded.poses[0][:, 0, :2], expected, atol=1e-6)


def test_groups_csv_names_the_child_of_each_clip(tmp_path):
    data = make_gunet(tmp_path / "data")
    (data / "groups.csv").write_text("clip,child\n" + "".join(f"clip{i},{'ab'[i // 3]}\n" for i in range(6)))
    loaded = load(data, tmp_path / "cache")
    assert loaded.children == ("1", "1", "1", "2", "2", "2")
    assert loaded.warnings == ()
    (data / "groups.csv").write_text("clip,child\nclip0,a\nclip0,b\nclip1,=b\n")
    message = error_of(load, data, tmp_path / "cache")
    for words in ("clip 'clip0' is there twice", "the id '=b'", "5 clips have no child: clip1"):
        assert words in message


def test_t_is_that_of_the_longest_clip_and_205_at_most_and_shorter_clips_end_in_missing_frames(tmp_path):
    data = make_gunet(tmp_path / "data")
    (data / "kinetics_val/clip5.json").write_text(json.dumps(clip_frames(30)))
    loaded = load(data, tmp_path / "cache")
    assert loaded.poses.shape[1] == 30
    assert visible_mask(loaded.poses[0]).any(axis=1).tolist() == [True] * 20 + [False] * 10
    (data / "kinetics_val/clip5.json").write_text(json.dumps(clip_frames(210)))
    assert load(data, tmp_path / "cache").poses.shape[1] == 205
    assert load(data, tmp_path / "cache", 205).poses.shape[1] == 205
    assert "its clips have 205 frames (T), not 150" in error_of(load, data, tmp_path / "cache", 150)


def test_pixels_are_divided_by_the_largest_coordinate_of_all_clips(tmp_path):
    unscaled = load(make_gunet(tmp_path / "parts"), tmp_path / "cache")
    assert "coordinates were divided" not in unscaled.notice
    loaded = load(make_gunet(tmp_path / "pixels", scale=1000), tmp_path / "cache")
    largest = np.nanmax(unscaled.poses[..., :2])
    assert f"coordinates were divided by {1000 * largest:.4g}" in loaded.notice
    assert np.allclose(loaded.poses[..., :2], unscaled.poses[..., :2] / largest, atol=1e-6, equal_nan=True)


def test_a_frame_with_another_number_of_joints_and_a_joint_at_0_0_are_missing(tmp_path):
    frames = clip_frames(20)
    frames[3]["features"].pop()
    frames[4] = {}
    frames[5]["features"][2]["coordinate"] = [0, 0]
    frames[5]["features"][4]["coordinate"] = [-1, -1]
    frames[6]["features"][2]["coordinate"] = [math.nan, 1]
    for joint in frames[7]["features"]:
        del joint["acceleration"]
    (tmp_path / "clip.json").write_text(json.dumps(frames))
    clip = sta_gunet.read_clip(tmp_path / "clip.json")
    assert clip.shape == (20, 18, 6)
    assert np.isnan(clip[3:5]).all()
    assert np.isnan(clip[5, [2, 4]]).all()
    assert np.isnan(clip[6, 2, 0])
    assert np.isfinite(clip[7]).all()
    assert (clip[7, :, 4:] == 0).all()
    assert clip[8, 1, 2:4].tolist() == frames[8]["features"][1]["speed"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is not readable JSON"),
        ("[" * 100_000, "is not readable JSON"),
        ("\xff", "is not readable JSON"),
        ("{}", "does not hold a list of frames"),
        ("[]", "does not hold a list of frames"),
        ("[1]", "frame 0 is not an object with features"),
        ('[{"features": 3}]', "frame 0 is not an object with features"),
        (json.dumps([{"features": [None] * 18}]), "frame 0 has a joint whose coordinate is None"),
        (json.dumps([{"features": [{"coordinate": [1, 2]}] * 18}]), "speed is None"),
        (json.dumps([{"features": [{"coordinate": [1, "2"], "speed": [0, 0]}] * 18}]), "coordinate is [1, '2']"),
        (json.dumps([{"features": [{"coordinate": [1, True], "speed": [0, 0]}] * 18}]), "coordinate is [1, True]"),
        (json.dumps([{"features": [{"coordinate": [1, 1e300], "speed": [0, 0]}] * 18}]), "coordinate is [1, 1e+300]"),
        (json.dumps([{"features": [{"coordinate": [1, 10**400], "speed": [0, 0]}] * 18}]), "coordinate is [1, 1000"),
        (json.dumps([{"features": [{"coordinate": [1, 2, 3], "speed": [0, 0]}] * 18}]), "coordinate is [1, 2, 3]"),
    ],
)
def test_damaged_clips_are_refused_in_words(tmp_path, content, words):
    (tmp_path / "clip.json").write_bytes(content.encode("latin-1"))
    assert words in error_of(sta_gunet.read_clip, tmp_path / "clip.json")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["features", *sta_gunet.QUANTITIES]), inner),
    max_leaves=20,
)  # fmt: skip


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(tree=JSON, repeat=st.booleans())
def test_whatever_a_json_holds_is_read_or_refused_in_words(tmp_path_factory, tree, repeat):
    path = tmp_path_factory.mktemp("json") / "clip.json"
    path.write_text(json.dumps([{"features": [tree] * 18}] if repeat else tree))
    for read in (sta_gunet.read_clip, sta_gunet.read_labels):
        try:
            read(path)
        except DataError as error:
            assert error.hint


def test_a_clip_without_a_label_is_an_error_and_not_a_label_of_0(tmp_path):
    data = make_gunet(tmp_path / "data")
    path = data / "kinetics_train_label.json"
    path.write_text(json.dumps({"clip0": {"label_index": 0}, "gone": {"label_index": 1}}))
    message = error_of(load, data, tmp_path / "cache")
    assert message.count("no label is not a label of 0") == 3
    path.write_text(json.dumps({"clip0": {"label_index": 2}}))
    assert "label_index 2 of 'clip0'" in error_of(load, data, tmp_path / "cache")
    path.unlink()
    assert "kinetics_train_label.json: cannot be read" in error_of(load, data, tmp_path / "cache")


def test_a_label_without_a_clip_is_a_warning_and_a_clip_in_both_parts_a_problem(tmp_path):
    data = make_gunet(tmp_path / "data")
    labels = json.loads((data / "kinetics_val_label.json").read_text())
    (data / "kinetics_val_label.json").write_text(json.dumps(labels | {"clip0": {"label_index": 0}}))
    assert any("1 clips have a label but no file: clip0" in str(w) for w in load(data, tmp_path / "cache").warnings)
    shutil.copy(data / "kinetics_train/clip0.json", data / "kinetics_val/clip0.json")
    assert "a clip of this id is in kinetics_train too" in error_of(load, data, tmp_path / "cache")


def test_a_link_out_of_the_data_folder_is_refused(tmp_path):
    data = make_gunet(tmp_path / "data")
    (tmp_path / "other.json").write_text(json.dumps(clip_frames()))
    (data / "kinetics_val/clip5.json").unlink()
    (data / "kinetics_val/clip5.json").symlink_to(tmp_path / "other.json")
    assert "is a link that leaves the folder" in error_of(load, data, tmp_path / "cache")


def test_segments_written_in_sta_gunets_layout_come_back_with_the_same_coordinates(tmp_path):
    segments = np.stack([pose(i) for i in range(4)])
    segments[1, 3:6] = np.nan
    segments[2, :, INDEX["left_ear"]] = np.nan
    names = ["child_7_1.npy", "child_7_2.npy", "child_8_1.npy", "child_9_1.npy"]
    sta_gunet.write_clips(tmp_path / "out", names, segments, [0, 1, 0, 1])
    loaded = load(tmp_path / "out", tmp_path / "cache")
    joints = [INDEX[joint] for joint in COCO_17_NECK if joint != "neck"]
    assert np.array_equal(loaded.poses[:, :, joints, :2], segments[:, :, joints, :2], equal_nan=True)
    assert loaded.labels.tolist() == [0, 1, 0, 1]
    assert loaded.children == ("1", "1", "2", "3")
    clip = sta_gunet.read_clip(tmp_path / "out/kinetics_train/child_7_1.json")
    assert np.allclose(clip[1:, :, 2:4], np.diff(clip[..., :2], axis=0))
    assert np.allclose(clip[:, 17, :2], (clip[:, 5, :2] + clip[:, 6, :2]) / 2)
    assert "holds 205" in error_of(sta_gunet.write_clips, tmp_path / "long", names, np.zeros((4, 206, 33, 5)), [0] * 4)


@pytest.mark.command
def test_convert_reports_at_once_that_no_folder_can_be_made(tmp_path):
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", ROOT):
        finished = script("export_dataset.py", "--data", tmp_path / "nothing", "--out", out)
        assert finished.returncode == 1
        assert "name a new folder with --out" in finished.stderr


@pytest.mark.command
def test_convert_writes_clips_that_every_script_reads_and_refuses_a_folder_that_holds_something(tmp_path):
    data, out, cache = make_data(tmp_path / "data"), tmp_path / "out", tmp_path / "cache"
    finished = script("export_dataset.py", "--data", data, "--frames", 16, "--out", out, "--cache", cache)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.splitlines()[-1] == f"next:    python src/verify.py --data {out}"
    assert load(out, cache).children == ("1", "1", "2", "2", "3", "3", "4", "4")
    again = script("export_dataset.py", "--data", data, "--frames", 16, "--out", out, "--cache", cache)
    assert again.returncode == 1
    assert "holds something already" in again.stderr


# ---- two-stream


def test_pictures_by_class_are_refused_as_data_with_the_command_and_the_flag(tmp_path):
    make_pictures(tmp_path / "data", 1)
    for data in (tmp_path, tmp_path / "data"):
        message = error_of(load, data, tmp_path / "cache")
        assert "is a tree of general movements by class, without labels of 0 and 1" in message
        assert "python src/train_general_movements.py --data" in message
        assert "--positive PR" in message


def test_a_tree_is_read_as_subjects_with_their_class_and_pictures(tmp_path):
    for folder in (make_pictures(tmp_path / "data"), tmp_path):
        subjects = two_stream.read_tree(folder)
        assert [(subject.class_name, subject.name, subject.label) for subject in subjects] == [
            ("WMs", "sub1", 0), ("FMs", "sub1", 1), ("PR", "sub1", 2)]  # fmt: skip
        assert sorted(subjects[0].frames) == list(range(31))
        assert sorted(subjects[0].flow_x) == sorted(subjects[0].flow_y) == [5, 10, 15, 20, 25, 30]


def test_a_tree_without_a_class_or_without_flow_is_refused_in_words(tmp_path):
    data = make_pictures(tmp_path / "data", 6)
    shutil.rmtree(data / "PR")
    assert "PR: cannot be listed" in error_of(two_stream.read_tree, data)
    (data / "PR").mkdir()
    assert "PR: holds no subject" in error_of(two_stream.read_tree, data)
    shutil.rmtree(data / "WMs/sub1/224x224_flow/Y")
    assert "224x224_flow/Y: cannot be listed" in error_of(two_stream.read_tree, data)


def test_a_chunk_is_the_middle_picture_in_blue_green_red_and_flow_in_turn(tmp_path):
    subject = two_stream.read_tree(make_pictures(tmp_path / "data"))[1]
    picture, flow = two_stream.chunk(subject, 1)
    assert (picture.shape, picture.dtype) == ((3, 224, 224), np.float32)
    assert (flow.shape, flow.dtype) == ((12, 224, 224), np.float32)
    middle = np.asarray(Image.open(subject.frames[16]))
    assert np.allclose(picture[0], middle[..., 2] / middle.max())
    assert np.allclose(picture[2], middle[..., 0] / middle.max())
    expected = [frame + ord(part) for frame in (5, 10, 15, 20, 25, 30) for part in "XY"]
    assert np.allclose(flow[:, 0, 0], np.array(expected) / 127.5 - 1 + 1 / 255, atol=1e-6)
    assert abs(127 / 127.5 - 1 + 1 / 255) < 1e-12, "no movement is 0"


def test_a_chunk_without_flow_is_refused_with_the_frames_where_chunks_may_start(tmp_path):
    subject = two_stream.read_tree(make_pictures(tmp_path / "data"))[0]
    message = error_of(two_stream.chunk, subject, 2)
    assert "WMs/sub1/224x224_flow/X/000006.png: is not there" in message
    assert "1, 6, 11" in message
    assert "224x224/000031.png: is not there" in error_of(two_stream.chunk, subject, 16)


def test_damaged_pictures_are_refused_in_words(tmp_path):
    subject = two_stream.read_tree(make_pictures(tmp_path / "data"))[0]
    path = subject.frames[16]
    whole = path.read_bytes()
    for content in (b"", whole[: len(whole) // 2], whole[:40], b"\x89PNG" + whole[100:], b"GIF89a" + whole):
        path.write_bytes(content)
        assert "is not a readable PNG" in error_of(two_stream.chunk, subject, 1)
    for image in (Image.new("RGB", (223, 224)), Image.new("I;16", (224, 224))):
        image.save(path)
        assert "224 x 224 pixels of 8 bits are read" in error_of(two_stream.chunk, subject, 1)


def test_a_black_picture_is_0_and_not_a_division_by_0(tmp_path):
    subject = two_stream.read_tree(make_pictures(tmp_path / "data"))[0]
    Image.new("RGB", (224, 224)).save(subject.frames[16])
    assert (two_stream.chunk(subject, 1)[0] == 0).all()


def test_folds_name_chunks_of_the_tree_and_everything_wrong_with_them_is_reported(tmp_path):
    subjects = two_stream.read_tree(make_pictures(tmp_path / "data", 6))
    path = tmp_path / "fold1.csv"
    path.write_text("label,sub_path,start_frame\n0,data/WMs/sub1,1\n2,./data/PR/sub1,31\n")
    assert two_stream.read_folds(path, subjects) == [("WMs", "sub1", 1), ("PR", "sub1", 31)]
    path.write_text("label,sub_path,start_frame\n1,data/WMs/sub1,1\n0,data/WMs/sub9,1\n0,data/WMs/sub1,-1\n0,x,1\n")
    message = error_of(two_stream.read_folds, path, subjects)
    for words in ("label '1' of WMs/sub1", "'data/WMs/sub9' is not in the tree", "start_frame '-1'", "'x' is not in"):
        assert words in message


# ---- joints


def test_joints_that_were_not_found_are_nan_in_every_channel():
    xy = np.full((3, 18, 2), 0.5)
    xy[1, 0] = np.nan
    poses = to_landmarks(xy, COCO_17_NECK)
    assert np.isnan(poses[1, 0]).all()
    assert poses[0, 0].tolist() == [0.5, 0.5, 0, 1, 1]
    assert np.isnan(poses[:, INDEX["mouth_left"]]).all()


# ---- the scripts on real data


@pytest.mark.skipif(not TOY.exists(), reason="the toy set is not here")
@pytest.mark.command
def test_verify_and_training_read_the_toy_set_of_stam(tmp_path):
    flags = ["--data", TOY, "--cache", tmp_path / "cache"]
    finished = script("verify.py", *flags)
    assert finished.returncode == 0, finished.stderr
    assert "STAM's layout: 30 infants in 30 blocks of 200 frames" in finished.stdout
    assert finished.stdout.count("has 19 channels") == 1
    assert "(so do 29 other files)" in finished.stdout
    assert "train: 30 segments of 30 children, 5 of 30 labels positive (16.7%)" in finished.stdout
    assert finished.stdout.splitlines()[-1] == f"next:    python src/train_folds.py --data {TOY}"
    run = ["--run", tmp_path / "run"]
    small = ["--models", "lgbm", "--lgbm.num-boost-round", 5, "--workers", 1, "--no-report"]
    finished = script("train_folds.py", *flags, *run, *small)
    assert finished.returncode == 0, finished.stderr
    made = json.loads((tmp_path / "run/run.json").read_text())
    assert (made["frames"], made["data"]["path"]) == (200, str(TOY))
