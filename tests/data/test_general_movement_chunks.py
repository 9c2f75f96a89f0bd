"""Chunks of general movements and the folds of their infants; one class against the others."""

import csv
import json
import pickle
import shutil

import numpy as np
import pytest
from PIL import Image

from helpers.data import FLOAT32
from helpers.movements import write_pictures, write_poses
from spasm.core.errors import DataError
from spasm.data.dataset import load_training
from spasm.data.formats import two_stream
from spasm.data.formats.convert import opened
from spasm.data.general_movements import load_chunks, shrink
from spasm.data.pictures import STILL, SegmentPictures, mask_of, pictures_path
from spasm.models.registry import MODELS
from spasm.models.two_stream_pictures import TwoStreamPicturesConfig


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write_poses(write_pictures(tmp_path_factory.mktemp("tree")))


@pytest.fixture
def tree(pictures, tmp_path):
    """A copy that a test may change."""
    shutil.copytree(pictures, tmp_path / "tree", copy_function=shutil.copy)
    return tmp_path / "tree"


def load(tree, cache, frames=10, every=10, side=28, tables=True, folds=3, seed=0):
    return load_chunks(tree, frames, every, side, tables, folds, seed, cache)


def error_of(call, *arguments, **options):
    with pytest.raises(DataError) as caught:
        call(*arguments, **options)
    assert caught.value.hint
    return str(caught.value)


def write_table(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("label,sub_path,start_frame\n" + "".join(f"{row}\n" for row in rows))


def rows_of(infants, starts=(1, 11)):
    """Rows of a published table, of infants such as WMs/sub1."""
    label = {"WMs": 0, "FMs": 1, "PR": 2}
    return [f"{label[one.split('/')[0]]},data/{one},{start}" for one in infants for start in starts]


def infants(*numbers):
    return [f"{name}/sub{number}" for name in ("WMs", "FMs", "PR") for number in numbers]


# ---- chunks


def test_chunks_start_at_frame_1_and_have_the_published_pictures_at_the_networks_size(pictures, tmp_path):
    data, _, _ = load(pictures, tmp_path)
    assert [chunk.frame for chunk in data.chunks[:3]] == [1, 11, 21]
    assert data.labels.tolist() == [0] * 9 + [1] * 9 + [2] * 9
    kept = data.pictures()
    assert (kept.shape, kept.dtype) == ((27, 3 + 4, 28, 28), np.uint8)
    assert isinstance(kept, np.memmap)
    subject = two_stream.read_tree(pictures)[0]
    whole = two_stream.raw_chunk(subject, 11, 10)
    assert (kept[1] == shrink(whole, 28)).all()
    picture, flow = two_stream.chunk(subject, 11, 10)
    assert np.allclose(picture, whole[:3] / whole[:3].max())
    assert np.allclose(flow, whole[3:] / 127.5 - 1 + 1 / 255)


def test_a_pixel_of_a_smaller_picture_is_the_mean_of_a_square():
    picture = np.arange(224 * 224, dtype=np.uint32).reshape(1, 224, 224).astype(np.uint8)
    small = shrink(picture, 112)
    assert small.shape == (1, 112, 112)
    assert small[0, 3, 7] == round(picture[0, 6:8, 14:16].astype(float).mean())
    assert shrink(picture, 224) is picture


def test_an_infant_too_short_for_a_chunk_is_named_with_what_to_do(pictures, tmp_path):
    message = error_of(load, pictures, tmp_path, frames=35)
    assert "WMs/sub1: is too short for a chunk of 35 frames: it has 31 pictures" in message
    assert "--chunk-frames" in message


def test_pictures_are_read_once_and_again_after_a_change(tree, tmp_path):
    first = load(tree, tmp_path / "cache")[0]
    before = first.path.stat().st_mtime_ns
    again = load(tree, tmp_path / "cache")[0]
    assert (again.path, again.fingerprint) == (first.path, first.fingerprint)
    assert again.path.stat().st_mtime_ns == before
    Image.new("RGB", (224, 224), (9, 9, 9)).save(tree / "FMs/sub2/224x224/000006.png")
    changed = load(tree, tmp_path / "cache")[0]
    assert changed.fingerprint != first.fingerprint
    row = changed.names.index("FMs/sub2 from frame 1")
    assert (changed.pictures()[row, :3] == 9).all()


def test_damaged_pictures_are_all_named_and_nothing_is_kept(tree, tmp_path):
    for name in ("WMs/sub1", "PR/sub3"):
        (tree / name / "224x224/000016.png").write_bytes(b"no picture")
    message = error_of(load, tree, tmp_path / "cache")
    assert "2 problems" in message
    assert "PR/sub3/224x224/000016.png: is not a readable PNG" in message
    assert not list((tmp_path / "cache").rglob("*.npy"))


def test_chunks_travel_to_another_process_without_their_pictures(pictures, tmp_path):
    data, _, _ = load(pictures, tmp_path)
    content = pickle.dumps(data)
    assert len(content) < 20_000
    assert (pickle.loads(content).pictures() == data.pictures()).all()


def test_a_tree_of_simulated_infants_is_known_by_its_mark(tree, tmp_path):
    assert not load(tree, tmp_path)[0].simulated
    (tree / "simulated.json").write_text("{}")
    assert load(tree, tmp_path)[0].simulated


# ---- folds


def test_own_folds_hold_whole_infants_of_every_class_and_follow_their_seed(pictures, tmp_path):
    data, folds, origin = load(pictures, tmp_path)
    assert origin == "3 stratified folds of whole infants, seed 0"
    assert sorted(np.concatenate([fold.test for fold in folds]).tolist()) == list(range(27))
    for fold in folds:
        train, test = ({data.subjects[row] for row in part} for part in fold)
        assert not train & test
        assert sorted(one.split("/")[0] for one in test) == ["FMs", "PR", "WMs"]
    other = load(pictures, tmp_path, seed=5)[1]
    assert any(a.test.tolist() != b.test.tolist() for a, b in zip(folds, other, strict=True))


def test_more_folds_than_infants_of_a_class_are_refused_with_the_number_that_works(pictures, tmp_path):
    assert "use --folds 3" in error_of(load, pictures, tmp_path, folds=4)


def test_the_published_tables_give_the_folds_and_the_chunks(tree, tmp_path):
    write_table(tree / "fold/train/fold1.csv", rows_of(infants(2, 3)))
    write_table(tree / "fold/test/fold1.csv", rows_of(infants(1)))
    write_table(tree / "fold/train/fold2.csv", rows_of(infants(1, 3), [11]))
    write_table(tree / "fold/test/fold2.csv", rows_of(infants(2), [1, 11, 1651]))
    data, folds, origin = load(tree, tmp_path / "cache")
    assert origin == f"2 folds from {tree / 'fold'}; 3 chunks beyond the end of their videos are left out"
    assert [chunk.frame for chunk in data.chunks] == [1, 11] * 9
    assert {data.names[row] for row in folds[1].train} == {f"{one} from frame 11" for one in infants(1, 3)}
    assert {data.subjects[row] for row in folds[1].test} == set(infants(2))
    assert load(tree, tmp_path / "cache", tables=False)[2].startswith("3 stratified folds")


def test_an_infant_on_both_sides_of_a_table_is_refused_and_so_is_one_tested_twice(tree, tmp_path):
    for fold in (1, 2):
        write_table(tree / f"fold/train/fold{fold}.csv", rows_of(infants(2, 3)))
        write_table(tree / f"fold/test/fold{fold}.csv", rows_of(infants(1)))
    assert "tests an infant that" in error_of(load, tree, tmp_path)
    write_table(tree / "fold/test/fold2.csv", rows_of([*infants(1), "PR/sub2"]))
    message = error_of(load, tree, tmp_path)
    assert "fold2.csv: tests infants that" in message
    assert "PR/sub2" in message
    (tree / "fold/test/fold2.csv").unlink()
    assert "test/fold2.csv: is not there" in error_of(load, tree, tmp_path)


# ---- one class against the others


def test_a_tree_without_a_chosen_class_is_refused_with_both_ways(pictures, tmp_path):
    message = error_of(opened, pictures, None, tmp_path)
    assert "train_general_movements.py" in message
    assert "--positive PR" in message


def test_one_class_becomes_segments_back_to_back_with_their_pictures(tree, tmp_path):
    (tree / "simulated.json").write_text("{}")
    data = load_training(tree, 15, "challenge", tmp_path, positive="FMs")
    assert (len(data.names), len(set(data.children)), data.labels.sum()) == (18, 9, 6)
    assert data.simulated
    assert {row["class"] for row in data.groups.values()} == {"WMs", "FMs", "PR"}
    whole = np.load(tree / "FMs/sub2/poses.npy")
    rows = [row for row, child in enumerate(data.children) if child == "5"]  # after three of WMs and one of FMs
    assert data.labels[rows].tolist() == [1, 1]
    assert (data.poses[rows[1]] == whole[15:30]).all()
    arrays = SegmentPictures(data.pictures.paths).read("two_stream", rows[1], 15)
    place = tree / "FMs/sub2"
    assert (arrays["pictures"][1] == np.asarray(Image.open(place / "224x224/000020.png"))).all()
    assert (arrays["flow"][1, :, :, 1] == np.asarray(Image.open(place / "224x224_flow/Y/000025.png"))).all()
    with (data.folder / "groups.csv").open(newline="") as file:
        assert next(csv.reader(file)) == ["child", "source", "class"]


@pytest.mark.parametrize(
    ("noted", "mask"),
    [({"mask": "pose", "complete": True}, "pose"), ({"mask": "pose", "complete": False}, "unknown"), (None, "unknown")],
)
def test_one_class_keeps_the_mask_that_the_extraction_noted(tree, tmp_path, noted, mask):
    before = load_training(tree, 15, "challenge", tmp_path, positive="FMs").fingerprint
    for infant in tree.glob("*/sub*") if noted else ():
        (infant / two_stream.EXTRACTION).write_text(json.dumps(noted))
    data = load_training(tree, 15, "challenge", tmp_path, positive="FMs")
    assert {mask_of(pictures_path(path, "two_stream")) for path in data.pictures.paths} == {mask}
    assert data.fingerprint == before  # poses and labels are the same
    environment = MODELS["two_stream_pictures"].environment(TwoStreamPicturesConfig(), FLOAT32, data)
    assert environment["pictures_mask"] == mask


def test_a_tree_of_several_masks_is_refused(tree, tmp_path):
    (tree / "FMs/sub2" / two_stream.EXTRACTION).write_text(json.dumps({"mask": "pose", "complete": True}))
    message = error_of(load, tree, tmp_path)
    assert "different masks: 'unknown' (8, such as PR/sub3), 'pose' (1, such as FMs/sub2)" in message
    data = load_training(tree, 15, "challenge", tmp_path, positive="FMs")  # for models of poses
    with pytest.raises(DataError, match="different masks: 'unknown'"):
        MODELS["two_stream_pictures"].environment(TwoStreamPicturesConfig(), FLOAT32, data)


def test_the_last_step_of_a_video_is_still(tree, tmp_path):
    for path in tree.rglob("000030.png"):
        path.unlink()
    for path in tree.rglob("poses.npy"):
        np.save(path, np.load(path)[:30])
    flow = load_training(tree, 30, "challenge", tmp_path, positive="PR").pictures.read("two_stream", 0, 30)["flow"]
    assert (flow[-1] == STILL).all()
    assert (flow[-2] != STILL).any()


def test_another_class_gives_other_labels_and_is_another_data_set(pictures, tmp_path):
    one, other = (load_training(pictures, 15, "challenge", tmp_path, positive=name) for name in ("PR", "WMs"))
    assert one.labels.tolist() == [0] * 12 + [1] * 6
    assert other.labels.tolist() == [1] * 6 + [0] * 12
    assert (one.positive, other.positive) == ("PR", "WMs")
    assert other.fingerprint != one.fingerprint
    assert other.folder != one.folder


def test_a_tree_without_poses_is_sent_to_the_command_that_makes_them(tree, tmp_path):
    (tree / "PR/sub1/poses.npy").unlink()
    message = error_of(opened, tree, None, tmp_path, positive="PR")
    assert "PR/sub1/poses.npy: is not there" in message
    assert "extract_general_movements.py" in message


def test_poses_and_pictures_of_different_lengths_are_refused(tree, tmp_path):
    np.save(tree / "WMs/sub3/poses.npy", np.load(tree / "WMs/sub3/poses.npy")[:28])
    message = error_of(opened, tree, 15, tmp_path, positive="PR")
    assert "WMs/sub3/poses.npy: has 28 frames, and 224x224/ has 31 pictures" in message


def test_a_chosen_class_is_refused_where_there_is_no_tree(tmp_path):
    (tmp_path / "train").mkdir()
    assert "is no tree of general movements" in error_of(opened, tmp_path, None, tmp_path, positive="PR")
