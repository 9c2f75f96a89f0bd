"""The simulated tree of general movements: its layout, its classes, and that it is the same each time."""

import numpy as np
import pytest

from spasm.core.files import sha256
from spasm.data.formats.two_stream import CLASSES, is_simulated
from spasm.simulation.general_movements import write_tree
from spasm.simulation.infant import REPEATS_S, generator, repeated

cv2 = pytest.importorskip("cv2")
pytestmark = pytest.mark.video


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    path = tmp_path_factory.mktemp("tree") / "movements"
    write_tree(path, infants=1, seconds=5, seed=3, workers=1)
    return path


def test_each_infant_has_a_video_and_its_poses_at_thirty_frames_a_second(tree):
    assert is_simulated(tree)
    for name in CLASSES:
        poses = np.load(tree / name / "sub1/poses.npy")
        video = cv2.VideoCapture(str(tree / name / "sub1/video.mp4"))
        assert poses.shape == (150, 33, 5) and poses.dtype == np.float32
        assert video.get(cv2.CAP_PROP_FPS) == 30 and int(video.get(cv2.CAP_PROP_FRAME_COUNT)) == 150
        assert video.read()[1].std() > 5, "something is shown"


def test_the_same_seed_gives_the_same_poses_and_another_one_others(tree, tmp_path):
    for seed in (3, 4):
        write_tree(tmp_path / str(seed), infants=1, seconds=5, seed=seed, workers=2)
    same = [
        sha256(tmp_path / "3" / name / "sub1/poses.npy") == sha256(tree / name / "sub1/poses.npy") for name in CLASSES
    ]
    other = [
        sha256(tmp_path / "4" / name / "sub1/poses.npy") == sha256(tree / name / "sub1/poses.npy") for name in CLASSES
    ]
    assert all(same) and not any(other)


def test_a_poor_repertoire_repeats_the_same_movement_to_and_fro():
    clock = np.arange(0, 3 * 2 * REPEATS_S, 1 / 30)
    moved = repeated(generator(1), clock)
    period = round(2 * REPEATS_S * 30)
    np.testing.assert_allclose(moved[:period], moved[period : 2 * period], atol=1e-6)
    assert moved.std(axis=0).min() > 0.1
    assert np.abs(np.diff(moved, axis=0)).max() < 0.5, "without a jump"
