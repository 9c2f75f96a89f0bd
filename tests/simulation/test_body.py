"""The simulated body: bones, proportions, joints and their ranges, and what each joint does to the landmarks."""

import dataclasses

import numpy as np
import pytest

from spasm.data.landmarks import INDEX, MEDIAPIPE_EDGES, MIRROR
from spasm.simulation import body as anatomy
from spasm.simulation import infant
from spasm.simulation.behaviours import COLUMNS
from spasm.simulation.body import HIGH, JOINTS, LOW, POSTURES, SIDES, of_joints, pose_body, sample_bones
from spasm.simulation.camera import CAMERA_SETUPS

WORLD = infant.SimulationConfig()
# Clavicles and spine bend, so these edges are no bones; every other edge is one.
BENDING = {(11, 12), (11, 23), (12, 24)}
AGES = (3, 6, 9, 12)
SUPINE = of_joints(POSTURES["supine"].rest)


def random_poses(rng, poses):
    """Joint angles (poses, 28) in degrees from all over the joints' ranges; the first two are the ranges' ends."""
    angles = rng.uniform(LOW, HIGH, (poses, len(JOINTS)))
    angles[0], angles[1] = LOW, HIGH
    return angles


def pose(degrees, bones=None):
    """Landmarks (T, 33, 3) in metres from angles (T, 28), or (33, 3) from (28,), in degrees."""
    degrees = np.asarray(degrees, dtype=float)
    body = pose_body(np.deg2rad(np.atleast_2d(degrees)), bones or some_bones())
    return body if degrees.ndim == 2 else body[0]


def some_bones(seed=0, age_months=6):
    return sample_bones(np.random.default_rng(seed), age_months)


def angles(rest=None, **changed):
    """Supine angles (28,) in degrees, or others, with some joints set."""
    row = np.array(SUPINE if rest is None else rest, dtype=float)
    for name, value in changed.items():
        row[JOINTS.index(name)] = value
    return row


def at(body, name):
    return body[..., INDEX[name], :]


def distance(body, a, b):
    return np.linalg.norm(at(body, a) - at(body, b), axis=-1)


def many_bones(age_months, children=600):
    """The bones of children of one age: name -> (children,) metres."""
    rng = np.random.default_rng(5)
    rows = [sample_bones(rng, age_months) for _ in range(children)]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


# ---- bones


def test_bones_keep_their_length_in_every_pose_within_the_joint_ranges():
    rng = np.random.default_rng(1)
    for age_months in AGES:
        body = pose(random_poses(rng, 400), some_bones(2, age_months))
        assert np.isfinite(body).all()
        for a, b in set(MEDIAPIPE_EDGES) - BENDING:
            length = np.linalg.norm(body[:, a] - body[:, b], axis=-1)
            assert length[0] > 0.003
            np.testing.assert_allclose(length, length[0], rtol=1e-9)


def test_the_limbs_of_the_body_are_as_long_as_the_sampled_bones():
    bones = some_bones(3)
    body = pose(random_poses(np.random.default_rng(4), 50), bones)
    for side in SIDES:
        for a, b, bone in (
            ("shoulder", "elbow", "upper_arm"),
            ("elbow", "wrist", "forearm"),
            ("hip", "knee", "thigh"),
            ("knee", "ankle", "shank"),
        ):
            np.testing.assert_allclose(distance(body, f"{side}_{a}", f"{side}_{b}"), bones[bone], rtol=1e-9)


def test_the_clavicles_keep_their_length_and_only_shrugging_changes_the_width_of_the_shoulders():
    bones = some_bones(5)
    degrees = random_poses(np.random.default_rng(6), 300)
    width = distance(pose(degrees, bones), "left_shoulder", "right_shoulder")
    lifted = np.deg2rad(degrees[:, [JOINTS.index("left_shrug"), JOINTS.index("right_shrug")]].mean(axis=1))
    np.testing.assert_allclose(width, 2 * bones["clavicle"] * np.cos(lifted), rtol=1e-9)
    degrees[:, [JOINTS.index(f"trunk_{way}") for way in ("flexion", "side", "twist")]] = 0
    breast = np.array([0, bones["pelvis"] + bones["chest"], 0])
    for side in SIDES:
        shoulder = at(pose(degrees, bones), f"{side}_shoulder")
        np.testing.assert_allclose(np.linalg.norm(shoulder - breast, axis=-1), bones["clavicle"], rtol=1e-9)


def test_the_head_is_rigid():
    body = pose(random_poses(np.random.default_rng(7), 300))
    face = body[:, : INDEX["mouth_right"] + 1]
    apart = np.linalg.norm(face[:, :, None] - face[:, None], axis=-1)
    np.testing.assert_allclose(apart, np.broadcast_to(apart[0], apart.shape), atol=1e-12)


def test_the_middle_of_the_hips_is_the_origin_in_every_pose():
    body = pose(random_poses(np.random.default_rng(8), 100))
    np.testing.assert_allclose(at(body, "left_hip") + at(body, "right_hip"), 0, atol=1e-12)


def test_the_whole_body_turns_and_shifts_without_a_bone_changing():
    rng = np.random.default_rng(9)
    child = infant.sample_child(rng, "patient", WORLD)
    moved = np.zeros((200, len(COLUMNS)))
    moved[:, : len(JOINTS)] = SUPINE
    still = infant.pose_landmarks(child, moved)
    moved[:, len(JOINTS) : len(JOINTS) + 3] = rng.uniform(-90, 90, (200, 3))
    moved[:, len(JOINTS) + 3 : len(JOINTS) + 6] = rng.uniform(-0.3, 0.3, (200, 3))
    body = infant.pose_landmarks(child, moved)
    apart, apart_still = (np.linalg.norm(b[:, :, None] - b[:, None], axis=-1) for b in (body, still))
    np.testing.assert_allclose(apart, apart_still, atol=1e-12)
    hips = (at(body, "left_hip") + at(body, "right_hip")) / 2
    np.testing.assert_allclose(hips, moved[:, len(JOINTS) + 3 : len(JOINTS) + 6], atol=1e-12)


# ---- left and right


def test_mirrored_angles_give_the_mirrored_body():
    degrees = random_poses(np.random.default_rng(10), 200)
    mirrored = np.empty_like(degrees)
    for i, name in enumerate(JOINTS):
        side, _, joint = name.partition("_")
        twin = f"{'right' if side == 'left' else 'left'}_{joint}" if side in SIDES else name
        odd = name in ("trunk_side", "trunk_twist", "neck_turn", "neck_tilt")
        mirrored[:, JOINTS.index(twin)] = degrees[:, i] * (-1 if odd else 1)
    body, other = pose(degrees), pose(mirrored)
    np.testing.assert_allclose(other[:, list(MIRROR)] * (-1, 1, 1), body, atol=1e-12)


@pytest.mark.parametrize("posture", POSTURES)
def test_a_posture_at_rest_is_its_own_mirror_image_and_within_the_joint_ranges(posture):
    rest = of_joints(POSTURES[posture].rest)
    assert ((rest >= LOW) & (rest <= HIGH)).all()
    body = pose(rest)
    np.testing.assert_allclose(body[list(MIRROR)] * (-1, 1, 1), body, atol=1e-12)
    assert (at(body, "left_shoulder") > at(body, "right_shoulder"))[0]


# ---- what joints do


def test_elbow_and_knee_fold_by_the_law_of_cosines():
    bones = some_bones(11)
    for degrees in (5, 60, 120, 140):
        body = pose(angles(left_elbow=degrees, right_knee=degrees), bones)
        for a, b, first, second in (
            ("left_shoulder", "left_wrist", "upper_arm", "forearm"),
            ("right_hip", "right_ankle", "thigh", "shank"),
        ):
            square = bones[first] ** 2 + bones[second] ** 2
            square += 2 * bones[first] * bones[second] * np.cos(np.deg2rad(degrees))
            assert distance(body, a, b) == pytest.approx(np.sqrt(square), rel=1e-9)


@pytest.mark.parametrize(
    ("joint", "landmark", "axis"),
    [
        ("trunk_flexion", "nose", 2),
        ("neck_flexion", "nose", 2),
        ("neck_turn", "nose", 0),
        ("left_shrug", "left_shoulder", 1),
        ("left_shoulder_out", "left_elbow", 0),
        ("left_shoulder_forward", "left_elbow", 2),
        ("left_hip_out", "left_knee", 0),
        ("left_hip_forward", "left_knee", 2),
    ],
)
def test_a_joint_moves_its_landmark_in_the_direction_of_its_name(joint, landmark, axis):
    """To the child's left, headward and ventral are positive, from a straight body on."""
    straight = np.zeros(len(JOINTS))
    moved = at(pose(angles(straight, **{joint: 20})), landmark) - at(pose(straight), landmark)
    assert moved[axis] > 0.005


def test_a_knee_bends_backwards_and_an_ankle_lifts_the_toes():
    straight = np.zeros(len(JOINTS))
    assert at(pose(angles(straight, left_knee=60)), "left_ankle")[2] < -0.05
    lifted, level = (pose(angles(straight, left_ankle=degrees)) for degrees in (30, 0))
    assert at(lifted, "left_foot_index")[1] > at(level, "left_foot_index")[1] + 0.02


def test_a_joint_moves_nothing_above_it_nor_on_the_other_side():
    still, moved = pose(SUPINE), pose(angles(left_elbow=20, left_knee=20))
    unmoved = np.linalg.norm(moved - still, axis=-1) < 1e-12
    below = ("wrist", "pinky", "index", "thumb", "ankle", "heel", "foot_index")
    assert {name for name, i in INDEX.items() if not unmoved[i]} == {f"left_{part}" for part in below}


# ---- proportions


def test_length_follows_the_growth_curve_of_the_who():
    for age_months, length in zip(AGES, (0.606, 0.667, 0.711, 0.749), strict=True):
        for name, metres in many_bones(age_months).items():
            if name not in ("head", "thigh", "shank"):
                assert metres.mean() / anatomy.BONES[name] == pytest.approx(length, rel=0.012)


def test_children_of_one_age_differ_by_a_few_percent_in_every_bone():
    for age_months in AGES:
        for metres in many_bones(age_months).values():
            # Length differs by 3.5 % and a segment by 5.5 % more.
            assert 0.055 < metres.std() / metres.mean() < 0.075


def test_limbs_grow_with_age_legs_more_and_the_head_less_than_the_rest():
    means = [{name: metres.mean() for name, metres in many_bones(age_months).items()} for age_months in AGES]
    for name in means[0]:
        assert (np.diff([mean[name] for mean in means]) > 0).all()
    growth = {name: means[-1][name] / means[0][name] for name in means[0]}
    assert growth["thigh"] > growth["upper_arm"] > growth["head"]
    # Head circumference at 12 months over that at 3: 45.5 / 40.0 cm (WHO 2007), while the length grows by 24 %.
    assert 1.10 < growth["head"] < 1.18


def test_a_stretched_child_is_as_long_as_a_child_of_its_age():
    """Heel to eyes is the length less the part of the head above the eyes, about half the head of 0.23 lengths."""
    straight = np.zeros(len(JOINTS))
    for age_months, length in zip(AGES, (0.606, 0.667, 0.711, 0.749), strict=True):
        rng = np.random.default_rng(12)
        bodies = [pose(straight, sample_bones(rng, age_months)) for _ in range(200)]
        spans = np.array([at(body, "left_eye")[1] - at(body, "left_heel")[1] for body in bodies]) / length
        assert 0.82 < spans.mean() < 0.92
        assert 0.03 < spans.std() < 0.06


def test_shoulders_are_wider_than_hips_and_a_wrist_hangs_at_the_height_of_the_hip():
    straight = np.zeros(len(JOINTS))
    for seed in range(50):
        body = pose(straight, some_bones(seed))
        assert distance(body, "left_shoulder", "right_shoulder") > 1.2 * distance(body, "left_hip", "right_hip")
        assert abs(at(body, "left_wrist")[1]) < 0.07


# ---- within the ranges


@pytest.mark.parametrize("posture", POSTURES)
def test_joint_angles_stay_within_their_range_for_every_state_and_many_children(posture, monkeypatch):
    monkeypatch.setitem(CAMERA_SETUPS, "posed", dataclasses.replace(CAMERA_SETUPS["home"], postures={posture: 1.0}))
    rng = np.random.default_rng(13)
    t = np.arange(0, 5, 1 / 15)
    at_the_end = []
    for _ in range(6):
        child = infant.sample_child(rng, "patient", WORLD)
        video = infant.sample_video(rng, child, "posed")
        assert video.posture == posture
        for state in infant.STATES:
            spasms = infant.sample_seizure(rng, child, 5.0)
            doing = infant.sample_behaviours(rng, child, video, state, 5.0) + [s.behaviour() for s in spasms]
            moved = infant.move(rng, child, video, state, doing, [], t)
            assert moved.shape == (t.size, len(COLUMNS))
            assert np.isfinite(moved).all()
            joints = moved[:, : len(JOINTS)]
            assert (joints >= LOW).all() and (joints <= HIGH).all()
            at_the_end.append(((joints == LOW) | (joints == HIGH)).mean())
    assert np.mean(at_the_end) < 0.15  # joints move within their range and do not lie at its ends


def test_children_lie_differently_in_one_posture():
    rng = np.random.default_rng(14)
    rows = []
    while len(rows) < 60:
        video = infant.sample_video(rng, infant.sample_child(rng, "control", WORLD), "home")
        if video.posture == "supine":
            rows.append(video.angles)
    rows = np.array(rows)
    moving = anatomy.JOINT_SPREAD > 0
    assert (rows.std(axis=0)[moving] > 0.5 * anatomy.JOINT_SPREAD[moving]).all()
    np.testing.assert_array_less(np.abs(rows.mean(axis=0) - SUPINE), 0.6 * anatomy.JOINT_SPREAD + 1)
