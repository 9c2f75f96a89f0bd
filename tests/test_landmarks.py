"""The landmark table and the graph the network mixes over."""

import numpy as np

from spasm.landmarks import EDGES, LANDMARKS, MEDIAPIPE_EDGES, MIRROR, adjacency


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
