"""Cameras: a pinhole, mirrored like a picture of a person who faces you, in MediaPipe's coordinates."""

import dataclasses

import numpy as np
import pytest

from spasm.data.landmarks import INDEX
from spasm.simulation.behaviours import COLUMN, COLUMNS, Performer, camera_jerk, perform
from spasm.simulation.body import POSTURES, of_joints, pose_body, sample_bones
from spasm.simulation.camera import (
    CAMERA_SETUPS,
    FRAMINGS,
    TURNED_PROBABILITIES,
    VIEWS,
    Camera,
    photograph,
    sample_camera,
    trunk_size,
)

FRONTAL = Camera(
    aspect=1.0, hand_held=False, framing="whole", turn=0.0, tilt=0.0, roll=0.0, distance_m=1.2, focal=1.2,
    target=np.zeros(3), place=np.zeros(2),
)  # fmt: skip
FAR_AWAY = dataclasses.replace(FRONTAL, distance_m=1e5, focal=1e5)  # without perspective, a metre is a picture height
KIND_FRACTIONS = ("postures", "aspects", "framings", "native_fps")


@pytest.fixture(scope="module")
def body():
    """One frame of a child that lies on its back, (1, 33, 3) in metres."""
    angles = of_joints(POSTURES["supine"].rest | {"left_elbow": 30, "right_knee": 40, "neck_turn": 20})
    return pose_body(np.deg2rad(angles)[None], sample_bones(np.random.default_rng(0), 6))


def still(frames: int = 1, **camera: float) -> np.ndarray:
    moved = np.zeros((frames, len(COLUMNS)))
    for name, value in camera.items():
        moved[:, COLUMN[f"camera_{name}"]] = value
    return moved


def other(camera: Camera, **changes: object) -> Camera:
    return dataclasses.replace(camera, **changes)


def in_heights(picture: np.ndarray, aspect: float) -> np.ndarray:
    """x and y from the middle in picture heights."""
    return (picture[..., :2] - 0.5) * (aspect, 1)


def distances(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points[..., :, None, :] - points[..., None, :, :], axis=-1)


# ---- the pinhole


def test_what_is_aimed_at_lies_in_the_middle_of_the_picture(body):
    camera = other(FRONTAL, target=body[0, INDEX["nose"]], tilt=0.3, turn=-0.4, roll=0.5, aspect=9 / 16)
    np.testing.assert_allclose(photograph(camera, body, still())[0, INDEX["nose"], :2], 0.5, atol=1e-12)


def test_nearer_parts_are_larger_in_the_ratio_of_their_distances(body):
    flat = body * (1, 1, 0)
    near = photograph(FRONTAL, np.add(flat, (0, 0, 0.4)), still())
    far = photograph(FRONTAL, flat - (0, 0, 0.4), still())
    np.testing.assert_allclose(in_heights(near, 1) * 0.8, in_heights(far, 1) * 1.6, atol=1e-12)


def test_the_left_of_the_child_is_on_the_right_of_the_picture_and_the_head_above(body):
    picture = photograph(FRONTAL, body, still())[0]
    for part in ("shoulder", "hip", "eye", "wrist", "knee"):
        assert picture[INDEX[f"left_{part}"], 0] > picture[INDEX[f"right_{part}"], 0]
    assert picture[INDEX["nose"], 1] < picture[INDEX["left_shoulder"], 1] < picture[INDEX["left_hip"], 1]


def test_seen_from_behind_left_and_right_change_places(body):
    front = photograph(FAR_AWAY, body, still())
    back = photograph(other(FAR_AWAY, turn=np.pi), body, still())
    np.testing.assert_allclose(back[..., 0] - 0.5, 0.5 - front[..., 0], atol=1e-5)
    np.testing.assert_allclose(back[..., 1], front[..., 1], atol=1e-5)
    np.testing.assert_allclose(back[..., 2], -front[..., 2], atol=1e-5)


@pytest.mark.parametrize("degrees", [30, 90, -120])
def test_roll_turns_the_picture_about_its_middle(body, degrees):
    angle = np.deg2rad(degrees)
    level = in_heights(photograph(FRONTAL, body, still()), 1)
    turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    expected = (level * (1, -1)) @ turned.T * (1, -1)  # y points down
    for camera, moved in ((other(FRONTAL, roll=angle), still()), (FRONTAL, still(roll=degrees))):
        np.testing.assert_allclose(in_heights(photograph(camera, body, moved), 1), expected, atol=1e-12)


@pytest.mark.parametrize("zoom", [-0.5, 0.3])
def test_zoom_scales_the_picture_about_its_middle(body, zoom):
    plain, zoomed = (photograph(FRONTAL, body, still(zoom=size)) for size in (0.0, zoom))
    np.testing.assert_allclose(zoomed[..., :2] - 0.5, np.exp(zoom) * (plain[..., :2] - 0.5), atol=1e-12)


def test_x_is_divided_by_the_width_of_the_picture(body):
    square, wide = (photograph(other(FRONTAL, aspect=aspect), body, still()) for aspect in (1.0, 16 / 9))
    np.testing.assert_allclose(in_heights(wide, 16 / 9), in_heights(square, 1.0), atol=1e-12)
    np.testing.assert_allclose(wide[..., 2] * 16 / 9, square[..., 2], atol=1e-12)


def test_a_part_at_the_lens_stays_finite(body):
    assert np.isfinite(photograph(FRONTAL, np.add(body, (0, 0, 1.2)), still())).all()
    assert np.isfinite(photograph(FRONTAL, np.add(body, (0, 0, 5)), still())).all()


# ---- a camera that moves


def test_a_knock_moves_everything_at_once_and_changes_no_distance(body):
    t = np.arange(90) / 30
    mover = Performer(6, 1.0, 1.0, 1.0)
    moved = perform([camera_jerk(np.random.default_rng(seed), mover, 0.5) for seed in range(3)], t)
    moved[:, COLUMN["camera_zoom"]] = 0
    camera = other(FRONTAL, aspect=9 / 16, place=np.array([0.1, -0.05]))
    picture = in_heights(photograph(camera, np.repeat(body, 90, axis=0), moved), 9 / 16)
    assert np.ptp(picture, axis=0).max() > 0.02
    shape = distances(picture)
    np.testing.assert_allclose(shape, np.broadcast_to(shape[:1], shape.shape), atol=1e-12)


def test_shifts_are_in_picture_heights_to_the_right_and_down(body):
    camera = other(FRONTAL, aspect=16 / 9)
    shifted = photograph(camera, body, still(x=0.2, y=0.1)) - photograph(camera, body, still())
    np.testing.assert_allclose(shifted[..., 0], 0.2 * 9 / 16)
    np.testing.assert_allclose(shifted[..., 1], 0.1)
    np.testing.assert_allclose(shifted[..., 2], 0, atol=1e-12)


# ---- depth


@pytest.mark.parametrize("aspect", [9 / 16, 1.0, 16 / 9])
@pytest.mark.parametrize("view", [(0.0, 0.0), (0.7, 0.0), (-0.4, 0.6)])
def test_depth_is_scaled_like_x_so_that_a_turned_body_keeps_its_shape(body, aspect, view):
    camera = other(FAR_AWAY, aspect=aspect, turn=view[0], tilt=view[1], roll=0.3)
    seen = photograph(camera, body, still()) * (aspect, 1, aspect)
    np.testing.assert_allclose(distances(seen), distances(body), atol=1e-4)


def test_depth_is_scaled_like_x_also_when_the_camera_zooms(body):
    seen = photograph(FAR_AWAY, body, still(zoom=0.4))
    np.testing.assert_allclose(distances(seen), np.exp(0.4) * distances(body), atol=1e-4)


def test_depth_is_zero_at_the_hips_and_negative_towards_the_camera(body):
    for camera in (FRONTAL, other(FRONTAL, turn=0.5, tilt=-0.3)):
        picture = photograph(camera, body, still())[0]
        assert picture[[INDEX["left_hip"], INDEX["right_hip"]], 2].mean() == pytest.approx(0, abs=1e-12)
    picture = photograph(FRONTAL, body, still())[0]
    assert picture[INDEX["nose"], 2] < picture[INDEX["left_ear"], 2]
    assert picture[INDEX["left_knee"], 2] < 0


# ---- the trunk as a measure


def test_the_size_of_the_trunk_does_not_depend_on_the_aspect_nor_on_the_view(body):
    size = trunk_size(photograph(FAR_AWAY, body, still()), 1.0)
    assert 0.15 < size < 0.3
    for changes in ({"aspect": 16 / 9}, {"aspect": 9 / 16, "tilt": 1.4}, {"roll": 1.0, "turn": 2.0}):
        camera = other(FAR_AWAY, **changes)
        assert trunk_size(photograph(camera, body, still()), camera.aspect) == pytest.approx(size, rel=1e-3)


def test_a_trunk_has_some_size_at_all():
    assert trunk_size(np.zeros((5, 33, 3)), 1.0) == 0.02


# ---- sampling


def test_the_probabilities_of_every_camera_setup_add_up_to_one():
    for setup in CAMERA_SETUPS.values():
        for name in KIND_FRACTIONS:
            assert sum(getattr(setup, name).values()) == pytest.approx(1)
        assert set(setup.postures) <= set(VIEWS) & set(POSTURES)
        assert set(setup.framings) <= set(FRAMINGS)
    assert sum(TURNED_PROBABILITIES) == pytest.approx(1)


@pytest.mark.parametrize("name", CAMERA_SETUPS)
def test_a_sampled_camera_shows_as_much_as_its_framing(name):
    rng = np.random.default_rng(0)
    setup = CAMERA_SETUPS[name]
    sampled = [sample_camera(rng, setup, str(rng.choice(list(setup.postures)))) for _ in range(300)]
    assert {camera.framing for camera in sampled} == set(setup.framings)
    assert {camera.aspect for camera in sampled} == set(setup.aspects)
    for camera in sampled:
        fill = camera.focal / camera.distance_m / min(1.0, camera.aspect)
        low, high = FRAMINGS[camera.framing]
        assert low <= fill <= high
    assert np.mean([camera.hand_held for camera in sampled]) == pytest.approx(setup.hand_held, abs=0.1)


def test_a_camera_is_named_after_how_it_is_held_its_format_and_its_framing():
    assert FRONTAL.name == "fixed landscape whole"
    assert other(FRONTAL, aspect=9 / 16, hand_held=True, framing="close").name == "hand-held portrait close"


def test_children_who_lie_are_seen_any_way_round_and_children_who_sit_upright():
    rng = np.random.default_rng(0)
    rolls = {
        posture: np.abs(np.rad2deg([sample_camera(rng, CAMERA_SETUPS["home"], posture).roll for _ in range(300)]))
        for posture in ("supine", "chair")
    }
    assert (rolls["supine"] > 60).mean() == pytest.approx(0.48, abs=0.1)
    assert (rolls["chair"] < 45).all()
