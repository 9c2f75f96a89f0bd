"""The landmark table and the graph the network mixes over."""

import numpy as np
import pytest

from spasm.data.landmarks import (
    COCO_17_NECK,
    EDGES,
    LANDMARKS,
    MEDIAPIPE_EDGES,
    MIRROR,
    OPENPOSE_18,
    VSVIG_15,
    adjacency,
    joint_weights,
)


def parts(edges):
    """How many unconnected parts the 33 landmarks fall into, by walking the graph."""
    left, count = set(range(33)), 0
    while left:
        count += 1
        walk = [left.pop()]
        while walk:
            here = walk.pop()
            near = {b for a, b in edges if a == here} | {a for a, b in edges if b == here}
            walk += near & left
            left -= near
    return count


def test_there_are_33_landmarks_with_different_names():
    assert len(LANDMARKS) == len(set(LANDMARKS)) == 33
    assert LANDMARKS[0] == "nose"
    assert LANDMARKS[11:13] == ("left_shoulder", "right_shoulder")
    assert LANDMARKS[23:25] == ("left_hip", "right_hip")


def test_mirroring_twice_gives_every_landmark_its_own_place():
    assert [MIRROR[MIRROR[i]] for i in range(33)] == list(range(33))


def test_the_mirror_pairs_left_with_right_and_leaves_the_nose_alone():
    assert MIRROR[0] == 0
    for here, there in enumerate(MIRROR):
        assert LANDMARKS[here].replace("left", "right") == LANDMARKS[there].replace("left", "right")
        assert (here == there) == (here == 0)


def test_the_graph_is_the_same_in_a_mirror():
    edges = {frozenset(edge) for edge in EDGES}
    assert {frozenset((MIRROR[a], MIRROR[b])) for a, b in EDGES} == edges


def test_mediapipes_graph_falls_into_three_parts_and_ours_is_one():
    assert parts(MEDIAPIPE_EDGES) == 3
    assert parts(EDGES) == 1
    assert set(MEDIAPIPE_EDGES) < set(EDGES)


def test_no_edge_is_listed_twice_or_joins_a_landmark_to_itself():
    assert len({frozenset(edge) for edge in EDGES}) == len(EDGES)
    assert all(a != b for a, b in EDGES)


def test_a_nod_reaches_the_trunk_and_the_mouth_in_one_step():
    matrix = adjacency()
    for name in ("left_shoulder", "right_shoulder", "mouth_left", "mouth_right"):
        assert matrix[LANDMARKS.index(name), 0] > 0


def test_the_adjacency_is_symmetric_before_normalising_with_self_loops_and_rows_that_sum_to_one():
    matrix = adjacency()
    assert matrix.shape == (33, 33)
    assert matrix.dtype == np.float32
    expected = np.eye(33, dtype=bool)
    for a, b in EDGES:
        expected[a, b] = expected[b, a] = True
    assert np.array_equal(matrix > 0, expected)
    assert np.array_equal(matrix > 0, (matrix > 0).T)
    assert (np.diag(matrix) > 0).all()
    assert np.allclose(matrix.sum(axis=1), 1, atol=1e-6)
    for row in matrix:
        assert len(np.unique(row[row > 0])) == 1


# ---- the skeletons of published systems

SKELETONS = pytest.mark.parametrize("joints", [OPENPOSE_18, COCO_17_NECK, VSVIG_15], ids=["openpose", "coco", "vsvig"])


@pytest.mark.parametrize(
    ("joints", "landmarks"),
    [
        (OPENPOSE_18, [0, (11, 12), 12, 14, 16, 11, 13, 15, 24, 26, 28, 23, 25, 27, 5, 2, 8, 7]),
        (COCO_17_NECK, [0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28, (11, 12)]),
        (VSVIG_15, [0, 2, 5, 12, 14, 16, 11, 13, 15, 24, 26, 28, 23, 25, 27]),
    ],
    ids=["openpose", "coco", "vsvig"],
)
def test_the_joints_of_published_systems_are_the_landmarks_of_their_tables(joints, landmarks):
    poses = np.random.default_rng(0).normal(size=(33, 2))
    expected = [poses[list(np.atleast_1d(place))].mean(axis=0) for place in landmarks]
    assert joint_weights(joints).shape == (len(joints), 33)
    assert np.allclose(joint_weights(joints) @ poses, expected, atol=1e-6)


@SKELETONS
def test_the_weights_of_a_joint_sum_to_one(joints):
    assert np.allclose(joint_weights(joints).sum(axis=1), 1)


def mirrored_joints(joints):
    """The joint that takes the place of each in a mirror, by their names."""
    swapped = {"left": "right", "right": "left"}
    return [joints.index("_".join(swapped.get(part, part) for part in joint.split("_"))) for joint in joints]


@SKELETONS
def test_mirrored_landmarks_make_mirrored_joints(joints):
    poses = np.random.default_rng(0).normal(size=(33, 3)).astype(np.float32)
    weights = joint_weights(joints)
    assert np.allclose(weights @ poses[list(MIRROR)], (weights @ poses)[mirrored_joints(joints)], atol=1e-6)


@SKELETONS
def test_every_joint_is_made_of_landmarks_of_its_own_side(joints):
    for joint, row in zip(joints, joint_weights(joints), strict=True):
        parts = [LANDMARKS[i] for i in np.flatnonzero(row)]
        sides = {side for side in ("left", "right") for part in parts if side in part}
        assert sides == ({joint.split("_")[0]} if "_" in joint else {"left", "right"} if joint == "neck" else set())


def test_vsvigs_partitions_hold_three_joints_of_one_limb():
    limbs = [{joint.split("_")[0] for joint in VSVIG_15[i : i + 3]} for i in range(3, 15, 3)]
    assert limbs == [{"right"}, {"left"}, {"right"}, {"left"}]
