"""A pose becomes a body without a face, from tables that stand in one place."""

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from spasm.data.landmarks import INDEX, MIRROR
from spasm.report.body_drawing import (
    DARK,
    FACE,
    LIGHT,
    NAMES,
    PARTS,
    POINTS,
    body_points,
    body_size,
    convex_hull,
    draw_body,
    for_page,
    frame_axes,
    outline,
)  # fmt: skip

GENERATOR = np.random.default_rng(0)


def standing() -> np.ndarray:
    """A pose (33, 5) that faces the camera: the child's left is on the right of the picture."""
    pose = np.full((33, 5), 0.9)
    places = {
        "nose": (0.5, 0.22), "left_ear": (0.55, 0.2), "left_eye": (0.52, 0.2), "mouth_left": (0.51, 0.25),
        "left_shoulder": (0.58, 0.32), "left_elbow": (0.64, 0.42), "left_wrist": (0.66, 0.5), "left_hip": (0.55, 0.56),
        "left_knee": (0.57, 0.7), "left_ankle": (0.58, 0.82), "left_heel": (0.58, 0.84),
        "left_foot_index": (0.61, 0.86), "left_thumb": (0.65, 0.53), "left_pinky": (0.68, 0.53),
        "left_index": (0.67, 0.55), "left_eye_inner": (0.51, 0.2), "left_eye_outer": (0.53, 0.2),
    }  # fmt: skip
    for name, (x, y) in places.items():
        pose[INDEX[name], :2] = x, y
        pose[MIRROR[INDEX[name]], :2] = 1 - x if name != "nose" else x, y
    pose[:, 2] = 0
    return pose


def shapes_of(pose: np.ndarray, **options: object) -> list[Polygon]:
    axes = Figure().subplots()
    draw_body(axes, pose, **options)
    return list(axes.patches)


def test_no_landmark_of_the_face_is_shown():
    assert tuple(range(11)) == FACE
    assert not {point for part in PARTS for point in part.points} & set(FACE)


def test_limbs_become_thinner_from_the_trunk_outwards_and_sides_are_alike():
    widths = {part.name: part.diameters for part in PARTS}
    for side in ("left", "right"):
        for upper, lower in (("upper arm", "forearm"), ("thigh", "shin")):
            assert widths[f"{side} {upper}"][0] > widths[f"{side} {upper}"][1] == widths[f"{side} {lower}"][0]
            assert widths[f"{side} {lower}"][0] > widths[f"{side} {lower}"][1]
    for left, right in zip(PARTS[3:9], PARTS[9:], strict=True):
        assert left.diameters == right.diameters
        assert [MIRROR[point] for point in left.points] == list(right.points)


def test_every_point_is_a_weighted_mean_of_landmarks():
    assert all(sum(weights.values()) == pytest.approx(1) for weights in POINTS.values())
    points = body_points(standing())
    assert points.shape == (36, 5)
    assert points[NAMES.index("neck"), :2] == pytest.approx([0.5, 0.32])
    assert points[NAMES.index("skull"), 1] < points[NAMES.index("chin"), 1] < points[NAMES.index("neck"), 1]


def test_an_outline_holds_its_discs_and_turns_one_way():
    centres, radii = GENERATOR.uniform(0, 1, (4, 2)), np.array([0.1, 0.2, 0.15, 0.05])
    corners = outline(centres, radii)
    edges = np.roll(corners, -1, axis=0) - corners
    for centre, radius in zip(centres, radii, strict=True):
        towards = centre - corners
        distance = (edges[:, 0] * towards[:, 1] - edges[:, 1] * towards[:, 0]) / np.hypot(*edges.T)
        assert (distance > 0.97 * radius).all()  # inside of every edge, a corner's width off at most
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0.5, 0.5], [0.5, 0]])
    assert sorted(map(tuple, convex_hull(square))) == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_the_size_of_a_body_is_that_of_its_trunk_or_else_from_its_extent():
    pose = standing()
    assert body_size(pose) == pytest.approx(0.24)
    pose[INDEX["left_hip"], 0] = np.nan
    assert 0.1 < body_size(pose) < 0.4  # from the extent of what is left
    assert np.isnan(body_size(np.full((33, 2), np.nan)))
    assert shapes_of(np.full((33, 5), np.nan)) == []


def test_nearer_parts_come_later_and_stronger_than_farther_ones():
    pose = standing()
    pose[INDEX["left_elbow"], 2], pose[INDEX["left_wrist"], 2] = -0.2, -0.2
    pose[INDEX["right_elbow"], 2], pose[INDEX["right_wrist"], 2] = 0.2, 0.2
    colours = [to_hex(shape.get_facecolor()) for shape in shapes_of(pose)]
    strongest = max(colours, key=lambda colour: int(colour[5:], 16) - int(colour[1:3], 16))
    assert colours.index(strongest) > len(colours) / 2
    flat = [to_hex(shape.get_facecolor()) for shape in shapes_of(standing())]
    assert len(set(flat)) < len(set(colours))


def test_a_missing_part_is_hollow_at_its_last_known_place():
    pose = standing()
    last = pose.copy()
    pose[INDEX["left_wrist"]] = np.nan
    assert len(shapes_of(pose)) == len(shapes_of(last)) - 2  # forearm and hand
    shapes = shapes_of(pose, last_known=last)
    dashed = [shape for shape in shapes if shape.get_linestyle() != "solid" and shape.get_linestyle()[1]]
    assert len(dashed) == 2
    assert len(shapes_of(np.full((33, 5), np.nan), last_known=last)) == len(PARTS)


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_left_and_right_differ_in_colour_and_by_a_stripe(palette):
    shapes = shapes_of(standing(), palette=palette)
    assert len(shapes) == len(PARTS) + sum(part.side == "right" for part in PARTS)
    assert len({palette.left, palette.right, palette.middle, palette.paper}) == 4


def test_axes_are_fitted_to_a_whole_segment():
    axes = Figure().subplots()
    poses = np.stack([standing(), standing() + 0.1])
    assert frame_axes(axes, poses, aspect=2) == pytest.approx(body_size(poses[..., :2] * [2, 1]))
    assert axes.get_ylim()[0] > 0.96 > 0.2 > axes.get_ylim()[1]  # y points down


def test_the_page_gets_the_same_tables():
    tables = for_page()
    assert [part[:2] for part in tables["parts"]] == [[part.name, part.side] for part in PARTS]
    assert len(tables["points"]) == len(NAMES) - 33
