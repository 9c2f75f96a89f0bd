"""Sets of landmarks: what a run reads of a pose, and what stays in the cache."""

import numpy as np
import pytest

from helpers.data import children, write
from helpers.poses import moving
from spasm.data.dataset import SegmentFiles, load_training
from spasm.data.landmark_sets import KEPT, keep_landmarks, landmark_fractions, landmark_indices
from spasm.data.landmarks import INDEX, LANDMARKS, MIRROR
from spasm.data.pose import missing_frames, visible_mask

SIZES = {"all": 33, "body_25": 21, "coco_17": 17}


@pytest.mark.parametrize("landmarks", SIZES)
def test_a_set_holds_landmarks_of_both_sides(landmarks):
    kept = landmark_indices(landmarks)
    assert len(kept) == len(set(kept)) == SIZES[landmarks] == len(KEPT[landmarks])
    assert {MIRROR[index] for index in kept} == set(kept)


def test_body_25_adds_heels_and_toes_to_coco_17():
    added = {"left_heel", "right_heel", "left_foot_index", "right_foot_index"}
    assert set(KEPT["body_25"]) - set(KEPT["coco_17"]) == added
    assert set(KEPT["coco_17"]) < set(KEPT["body_25"]) < set(KEPT["all"])


def test_all_landmarks_leave_the_poses_as_they_are():
    poses = moving(0, 20, 2)
    assert keep_landmarks(poses, "all") is poses


@pytest.mark.parametrize("landmarks", ["body_25", "coco_17"])
def test_other_landmarks_become_missing_and_z_becomes_0_where_a_landmark_was_found(landmarks):
    poses = moving(1, 20, 2)
    poses[0, 3:6] = np.nan
    poses[1, 7, INDEX["left_knee"]] = np.nan
    before = poses.copy()
    kept, indices = keep_landmarks(poses, landmarks), landmark_indices(landmarks)
    assert np.array_equal(poses, before, equal_nan=True), "the poses that were given stay as they are"
    others = [index for index in range(33) if index not in indices]
    assert np.isnan(kept[..., others, :]).all()
    assert np.array_equal(kept[..., indices, :][..., [0, 1, 3, 4]], poses[..., indices, :][..., [0, 1, 3, 4]], True)
    assert np.array_equal(visible_mask(kept)[..., indices], visible_mask(poses)[..., indices])
    assert (kept[visible_mask(kept)][:, 2] == 0).all()
    assert np.array_equal(keep_landmarks(kept, landmarks), kept, equal_nan=True), "twice is the same as once"


def test_poses_without_depth_are_the_same_as_those_with_it():
    poses = moving(2, 20, 2)
    flat = poses.copy()
    flat[..., 2] = np.nan
    assert np.array_equal(keep_landmarks(flat, "coco_17"), keep_landmarks(poses, "coco_17"), equal_nan=True)


def test_the_fraction_of_a_landmark_counts_frames_with_a_pose():
    poses = moving(3, 40, 100)
    poses[:50, :20] = np.nan  # of no landmark
    poses[:, :, INDEX["left_heel"]] = np.nan
    poses[:, 20:30, INDEX["right_ankle"]] = np.nan
    fractions = dict(zip(LANDMARKS, landmark_fractions(poses), strict=True))
    assert fractions["nose"] == 1
    assert fractions["left_heel"] == 0
    assert fractions["right_ankle"] == pytest.approx(1 - 1000 / 3000)
    assert not landmark_fractions(missing_frames(20)[None]).any()


def test_training_poses_are_cached_for_each_set_apart(tmp_path):
    poses, labels = children(4, 4, 24)
    poses[0, :, landmark_indices("coco_17")] = np.nan  # a segment with fingers and feet alone
    data = write(tmp_path / "data", poses, labels, each=4)

    def load(landmarks):
        return load_training(data, 24, "challenge", tmp_path / "cache", landmarks=landmarks)

    every, coco = load("all"), load("coco_17")
    assert np.array_equal(coco.poses, keep_landmarks(np.array(every.poses), "coco_17"), equal_nan=True)
    assert every.has_pose.all() and not coco.has_pose[0] and coco.has_pose[1:].all()
    assert every.fingerprint != coco.fingerprint and every.cache != coco.cache
    assert (every.landmarks, coco.landmarks) == ("all", "coco_17")
    assert np.array_equal(load("all").poses, every.poses, equal_nan=True)
    paths = [data / "train" / name for name in every.names]
    files = SegmentFiles(paths, 24, data, "coco_17")
    assert np.array_equal(files[:], coco.poses, equal_nan=True)
