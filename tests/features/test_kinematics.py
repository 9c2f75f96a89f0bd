"""The named features: what must not change them, and motions whose values are known beforehand."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest
from scipy.signal import savgol_coeffs

from helpers.poses import TRUNK, camera, moving, still
from helpers.repository import SOURCE
from spasm.data.landmarks import INDEX, MIRROR
from spasm.features import nan_math, posture
from spasm.features.body_frame import BLOCK, LONGEST_BRIDGE, MOVERS, PARTS, event_frame, fill_short_gaps
from spasm.features.kinematics import CATALOGUE, GROUPS, NAMES, column_indices, columns, compute_features
from spasm.features.nan_math import mean, quantiles

FPS = 30
NOT_SEEN = set(range(1, 11)) | {17, 18, 21, 22, 29, 30}  # what the Kinect recordings lack
LEFT_HAND = [INDEX[f"left_{name}"] for name in ("wrist", "pinky", "index", "thumb")]
RIGHT_HAND = [MIRROR[i] for i in LEFT_HAND]
LEFT_FOOT = [INDEX[f"left_{name}"] for name in ("ankle", "heel", "foot_index")]
FACE = list(range(11))


def moved(landmarks: list[int], offsets: np.ndarray, axis: int = 1) -> np.ndarray:
    """The child at rest but for some landmarks, moved by offsets (T,) in body lengths; axis 1 is down."""
    poses = still(len(offsets))
    poses[0, :, landmarks, axis] += TRUNK * offsets
    return poses


def raised_cosine(start_s: float, lasts_s: float, size: float = 1.0, frames: int = 150) -> np.ndarray:
    """An offset (frames,) that grows from 0 to `size` within `lasts_s`; its speed is half a sine wave."""
    time = np.clip((np.arange(frames) / FPS - start_s) / lasts_s, 0, 1)
    return (size * (1 - np.cos(np.pi * time)) / 2).astype(np.float32)


def named(poses: np.ndarray, row: int = 0) -> dict[str, float]:
    return dict(zip(NAMES, compute_features(poses)[row].tolist(), strict=True))


def same(one: np.ndarray, other: np.ndarray, but: tuple[str, ...] = ()) -> None:
    """All features agree but for float32's rounding, and but for the groups `but`."""
    a, b = compute_features(one), compute_features(other)
    assert np.isfinite(a).mean() > 0.9
    compared = [i for i, name in enumerate(NAMES) if CATALOGUE[name].group not in but]
    worst = np.nan_to_num(np.abs(a - b)[:, compared] / (0.01 + np.abs(a[:, compared]))).max(axis=0)
    assert np.array_equal(np.isnan(a), np.isnan(b))
    assert worst.max() < 0.02, NAMES[compared[int(worst.argmax())]]


# ---- what must not change them


@pytest.mark.parametrize(
    "view",
    [
        pytest.param({"x": 0.3, "y": -0.2}, id="shifted"),
        pytest.param({"zoom": 0.5}, id="zoomed"),
        pytest.param({"roll": 0.7}, id="rolled"),
        pytest.param({"roll": -2.9, "zoom": 1.7, "x": -0.4}, id="upside down, near and shifted"),
    ],
)
def test_where_the_camera_stands_changes_nothing(view: dict[str, float]) -> None:
    poses = moving(segments=3)
    same(poses, camera(poses, **{"roll": 0, "zoom": 1, "x": 0, "y": 0} | view), but=("gaps and visibility",))


def test_a_mirror_changes_nothing() -> None:
    poses = moving(segments=3)
    mirrored = poses[:, :, list(MIRROR)].copy()
    mirrored[..., 0] = 1 - mirrored[..., 0]
    same(poses, mirrored)


def test_the_order_of_time_matters() -> None:
    kick = moved(LEFT_FOOT, raised_cosine(2, 0.2) - raised_cosine(2.5, 2))
    forth, back = named(kick), named(kick[:, ::-1])
    assert forth["feet_up_speed_p99_bl_s"] < forth["feet_down_speed_p99_bl_s"] / 3
    assert back["feet_up_speed_p99_bl_s"] == pytest.approx(forth["feet_down_speed_p99_bl_s"], rel=0.01)


def test_when_in_the_segment_something_happens_changes_nothing() -> None:
    early, late = (named(moved(LEFT_HAND, raised_cosine(start, 0.6))) for start in (1.7, 2.6))
    for name in NAMES:  # a posture is another when it lasts longer
        if CATALOGUE[name].group not in ("distances", "joint angles", "amplitude"):
            assert early[name] == pytest.approx(late[name], rel=0.02, abs=0.01, nan_ok=True), name


def test_a_wrong_aspect_ratio_changes_little() -> None:
    poses = moving(segments=20)
    narrow = poses.copy()
    narrow[..., [0, 2]] *= 0.75
    a, b = compute_features(poses), compute_features(narrow)
    with np.errstate(invalid="ignore"):
        change = np.abs(a - b) / (np.abs(a) + np.abs(b))
    assert np.nanmedian(change) < 0.1
    of_trunk = [NAMES.index(name) for name in ("head_to_hips_median_bl", "head_amplitude_along_bl")]
    assert np.median(change[:, of_trunk]) < 0.01


# ---- motions whose values are known


@pytest.mark.parametrize("amplitude", [0.2, 0.6])
def test_an_amplitude_is_in_body_lengths_along_the_axis_of_the_motion(amplitude: float) -> None:
    wave = amplitude * np.sin(2 * np.pi * np.arange(150) / FPS).astype(np.float32)
    waved = named(moved(LEFT_HAND, wave))
    # Between the 5th and 95th centile a sine wave covers 2 sin(0.45 pi) of its amplitude.
    assert waved["hands_amplitude_along_bl_most"] == pytest.approx(2 * np.sin(0.45 * np.pi) * amplitude, rel=0.02)
    assert waved["hands_amplitude_outward_bl_most"] == pytest.approx(0, abs=1e-3)
    assert waved["hands_amplitude_along_bl_least"] == pytest.approx(0, abs=1e-3)
    assert waved["feet_amplitude_along_bl_most"] == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("frequency_hz", [0.5, 1.0])
def test_a_periodic_motion_gives_its_rhythm(frequency_hz: float) -> None:
    wave = 0.5 * np.sin(2 * np.pi * frequency_hz * np.arange(300) / FPS).astype(np.float32)
    waved = named(moved(LEFT_HAND + RIGHT_HAND, wave))
    # A hand is fastest twice in each period.
    assert waved["arms_speed_period_s"] == pytest.approx(0.5 / frequency_hz, abs=0.04)
    assert waved["arms_speed_autocorrelation_peak"] > 0.9
    assert waved["peaks_above_60pct_of_highest_per_s"] == pytest.approx(2 * frequency_hz, rel=0.15)
    assert 2 * frequency_hz <= waved["arms_speed_mean_frequency_hz"] < 3 * frequency_hz
    once = named(moved(LEFT_HAND + RIGHT_HAND, raised_cosine(4, 0.5, frames=300)))
    assert once["arms_speed_autocorrelation_peak"] < 0.2


def test_speed_acceleration_and_jerk_are_those_of_the_motion() -> None:
    omega = 2 * np.pi * 0.8
    waved = named(moved(LEFT_HAND, 0.5 * np.sin(omega * np.arange(150) / FPS).astype(np.float32)))
    for name, order in (("speed_p99_bl_s", 1), ("acceleration_p99_bl_s2", 2), ("jerk_p99_bl_s3", 3)):
        assert waved[f"hands_{name}_most"] == pytest.approx(0.5 * omega**order, rel=0.08), name
        assert waved[f"feet_{name}_most"] == pytest.approx(0, abs=0.02), name
    assert waved["hands_speed_p99_bl_s_least"] == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("lasts_s", [0.5, 1.0])
def test_the_event_has_its_rise_and_fall_times(lasts_s: float) -> None:
    event = named(moved(LEFT_HAND + RIGHT_HAND, raised_cosine(2, lasts_s)))
    # The speed is half a sine wave, above half of its peak for two thirds of the time.
    for name in ("rise_from", "fall_to"):
        assert event[f"event_{name}_50pct_of_peak_s"] == pytest.approx(lasts_s / 3, abs=0.03)
    assert event["event_width_at_50pct_of_peak_s"] == pytest.approx(2 * lasts_s / 3, abs=0.06)
    assert event["hands_speed_p99_bl_s_most"] == pytest.approx(np.pi / 2 / lasts_s, rel=0.08)
    assert event["hands_farthest_in_1_0s_bl_most"] == pytest.approx(1, abs=0.02)


def test_a_quick_rise_and_a_slow_fall_differ_from_the_reverse() -> None:
    frames = np.arange(150)
    speed = np.interp(frames, [60, 66, 90], [0, 4, 0])
    offset = (np.cumsum(speed) / FPS).astype(np.float32)
    quick, slow = (named(moved(LEFT_HAND + RIGHT_HAND, path)) for path in (offset, offset[::-1]))
    assert quick["event_fall_to_20pct_of_peak_s"] > 2 * quick["event_rise_from_20pct_of_peak_s"]
    assert slow["event_rise_from_20pct_of_peak_s"] == pytest.approx(quick["event_fall_to_20pct_of_peak_s"], abs=0.05)


def test_a_smaller_movement_of_all_parts_is_the_event_rather_than_a_larger_one_of_the_arms() -> None:
    speed = np.zeros((3, 13, 150), np.float32)
    speed[:, PARTS["arms"], 35:46] = 4
    speed[:2, :, 95:106] = 1
    speed[1, PARTS["legs"]] = np.nan  # outside the picture
    activity = mean(speed[:, MOVERS], axis=1)
    assert activity.argmax(axis=1).tolist() == [35, 35, 35]
    assert event_frame(speed, activity) == pytest.approx([100, 100, 40], abs=2)


def test_a_step_of_the_pose_has_its_size_and_whether_it_is_kept() -> None:
    out = raised_cosine(1.5, 0.3, 0.5)
    kept = named(moved(LEFT_HAND + RIGHT_HAND, out))
    back = named(moved(LEFT_HAND + RIGHT_HAND, out - raised_cosine(2.2, 0.6, 0.5)))
    # Hands are half of the points of the arms. Averaging over 0.3 s takes a little of a step within 0.3 s.
    assert kept["arms_step_in_0_6s_bl"] == pytest.approx(0.25, rel=0.03)
    assert kept["arms_step_in_0_4s_bl"] == pytest.approx(0.25, rel=0.15)
    assert kept["legs_step_in_0_6s_bl"] == pytest.approx(0, abs=0.01)
    assert kept["arms_step_kept_after_0_8s"] == pytest.approx(1, abs=0.1)
    assert back["arms_step_kept_after_0_8s"] < 0.3
    assert kept["arms_shift_before_over_step_in_0_4s"] < 0.1


def test_a_step_near_the_end_has_a_size_but_nothing_after_it() -> None:
    late = named(moved(LEFT_HAND, raised_cosine(4.3, 0.3, 0.5)))
    assert late["arms_step_in_0_4s_bl"] > 0.1
    assert np.isnan(late["arms_step_kept_after_0_8s"])


def test_a_pose_that_is_kept_differs_from_one_that_returns() -> None:
    out = raised_cosine(2, 0.3)
    kept = named(moved(LEFT_HAND, out))["event_pose_change_kept_after_1_0s"]
    back = named(moved(LEFT_HAND, out - raised_cosine(2.4, 0.5)))["event_pose_change_kept_after_1_0s"]
    assert kept == pytest.approx(1, abs=0.05)
    assert back == pytest.approx(0, abs=0.05)


def test_stillness_is_measured_before_and_after_the_event() -> None:
    wave = 0.3 * np.sin(2 * np.pi * np.arange(150) / FPS)
    offset = raised_cosine(2.3, 0.4, 1.5) + np.where(np.arange(150) < 60, wave, 0)
    event = named(moved(LEFT_HAND + RIGHT_HAND, offset.astype(np.float32)))
    assert event["speed_before_event_over_peak"] > 0.1
    assert event["speed_after_event_over_peak"] < 0.02
    assert event["speed_after_over_before_event"] < 0.1


def test_limbs_that_set_off_together_differ_from_limbs_that_follow_each_other() -> None:
    def limbs(delay_s: float) -> dict[str, float]:
        poses = moved(LEFT_HAND, raised_cosine(2, 0.4))
        for i, landmarks in enumerate((RIGHT_HAND, LEFT_FOOT, FACE), start=1):
            poses[0, :, landmarks, 1] += TRUNK * raised_cosine(2 + i * delay_s, 0.4)
        return named(poses)

    together, one_by_one = limbs(0), limbs(0.15)
    assert together["range_of_times_at_50pct_of_path_s"] < 0.1
    assert one_by_one["range_of_times_at_50pct_of_path_s"] == pytest.approx(0.45, abs=0.1)
    assert one_by_one["spread_of_times_at_50pct_of_path_s"] > together["spread_of_times_at_50pct_of_path_s"] + 0.1
    assert one_by_one["head_after_arms_at_50pct_of_path_s"] > together["head_after_arms_at_50pct_of_path_s"] + 0.15
    assert together["speed_correlation_of_arms"] > one_by_one["speed_correlation_of_arms"] + 0.1


def test_symmetric_mirrored_and_one_sided_motions_differ() -> None:
    wave = 0.5 * np.sin(2 * np.pi * np.arange(150) / FPS).astype(np.float32)
    embrace, wipe, one_sided = moved(LEFT_HAND, wave, 0), moved(LEFT_HAND, wave, 0), moved(LEFT_HAND, wave, 0)
    embrace[0, :, RIGHT_HAND, 0] -= TRUNK * wave
    wipe[0, :, RIGHT_HAND, 0] += TRUNK * wave
    assert named(embrace)["hands_mirrored_correlation_segment"] == pytest.approx(1, abs=0.01)
    assert named(embrace)["hands_parallel_correlation_segment"] == pytest.approx(-1, abs=0.01)
    assert named(wipe)["hands_parallel_correlation_segment"] == pytest.approx(1, abs=0.01)
    assert named(embrace)["hands_difference_over_sum_segment"] == pytest.approx(0, abs=0.01)
    assert named(one_sided)["hands_difference_over_sum_segment"] > 0.5


def test_a_nod_bends_the_neck_by_its_angle() -> None:
    poses = still()
    angle = np.radians(40) * raised_cosine(2, 0.5)
    neck = poses[0, :, 11:13, :2].mean(axis=1, keepdims=True)
    x, y = np.moveaxis(poses[0][:, FACE, :2] - neck, -1, 0)
    poses[0][:, FACE, :2] = neck + np.stack(
        [
            np.cos(angle)[:, None] * x - np.sin(angle)[:, None] * y,
            np.sin(angle)[:, None] * x + np.cos(angle)[:, None] * y,
        ],
        -1,
    )
    nod = named(poses)
    assert nod["neck_flexion_p5_deg"] == pytest.approx(0, abs=0.5)
    assert nod["neck_flexion_range_deg"] == pytest.approx(40, abs=1)
    assert nod["neck_flexion_event_change_deg"] == pytest.approx(40, abs=3)
    assert nod["trunk_tilt_range_deg"] == pytest.approx(0, abs=0.5)
    assert nod["head_over_all_speed_best_1s"] > 2


def test_distances_are_in_body_lengths() -> None:
    standing = named(still())
    assert standing["trunk_length_median_bl"] == pytest.approx(1, abs=1e-3)
    assert standing["hand_to_hand_median_bl"] == pytest.approx(0.3 / TRUNK, rel=0.01)
    assert standing["knee_median_deg"] == pytest.approx(standing["knee_p5_deg"], abs=0.01)


def test_outward_is_away_from_the_midline_however_the_child_faces() -> None:
    for poses in (still(), still()[:, :, list(MIRROR)]):  # the second shows its back
        outwards = np.sign(poses[0, 0, LEFT_HAND[0], 0] - 0.5)
        poses[0, :, LEFT_HAND, 0] += outwards * TRUNK * raised_cosine(2, 0.3)
        reach = named(poses)
        assert reach["hands_outward_speed_p99_bl_s"] > 3
        assert abs(reach["hands_inward_speed_p99_bl_s"]) < 0.1


# ---- the camera, gaps and missing landmarks


def test_a_shaking_camera_is_rigid_motion_and_no_articulated_one() -> None:
    time = np.arange(150) / FPS
    shaken = named(
        camera(still(), 0.2 * np.sin(5 * time), 1 + 0.1 * np.sin(4 * time), 0.1 * np.sin(7 * time), 0 * time)
    )
    assert shaken["rigid_translation_p90_bl_s"] == pytest.approx(0.7 / TRUNK, rel=0.25)
    assert shaken["rigid_rotation_p99_rad_s"] == pytest.approx(1, rel=0.05)
    assert shaken["rigid_zoom_p90_per_s"] > 0.2
    for name in NAMES:
        if "articulated_speed" in name:
            assert shaken[name] == pytest.approx(0, abs=0.02), name
    assert shaken["articulated_over_all_motion"] < 0.02
    assert shaken["share_of_time_below_0_1_bl_s"] == 1


def test_a_child_that_is_lifted_differs_from_one_that_is_put_down() -> None:
    down = np.linspace(0, 2, 150, dtype=np.float32)
    lowered, lifted = (named(moved(list(range(33)), offset)) for offset in (down, -down))
    speed = 2 / (149 / FPS)
    assert lowered["trunk_down_speed_p99_bl_s"] == pytest.approx(speed, rel=0.02)
    assert lowered["trunk_up_speed_p99_bl_s"] == pytest.approx(-speed, rel=0.02)
    assert lifted["trunk_up_speed_p99_bl_s"] == pytest.approx(speed, rel=0.02)
    assert lifted["rigid_translation_p50_bl_s"] == pytest.approx(speed, rel=0.02)


def test_a_hand_that_moves_is_articulated_motion() -> None:
    waved = named(moved(LEFT_HAND, raised_cosine(2, 0.5)))
    assert waved["hands_articulated_speed_p99_bl_s_most"] > 2
    assert waved["trunk_translation_p99_bl_s"] < 0.02
    assert waved["articulated_over_all_motion"] > 0.8


@pytest.mark.parametrize("gap", [2, LONGEST_BRIDGE, LONGEST_BRIDGE + 1, 40])
def test_gaps_do_not_invent_speed(gap: int) -> None:
    poses = moved(FACE + LEFT_HAND + RIGHT_HAND, np.linspace(0, 0.5, 150, dtype=np.float32))
    whole = named(poses)
    poses[:, 60 : 60 + gap] = np.nan
    broken = named(poses)
    for name in NAMES:
        if CATALOGUE[name].group in ("speed", "acceleration and jerk", "camera"):
            assert broken[name] == pytest.approx(whole[name], rel=0.02, abs=0.05), name


def test_a_jump_over_a_long_gap_is_not_speed() -> None:
    poses = moved(LEFT_HAND, np.where(np.arange(150) < 80, 0, 2).astype(np.float32))
    assert named(poses)["hands_speed_p99_bl_s_most"] > 5
    poses[:, 70:90] = np.nan
    hidden = named(poses)
    assert hidden["hands_speed_p99_bl_s_most"] == pytest.approx(0, abs=0.02)
    assert hidden["hands_acceleration_p99_bl_s2_most"] == pytest.approx(0, abs=0.2)
    assert hidden["hands_amplitude_along_bl_most"] == pytest.approx(2, abs=0.05)


def test_a_short_gap_is_a_straight_line_and_a_long_one_stays_open() -> None:
    values = np.arange(40, dtype=np.float32) * np.ones((1, 3, 1), dtype=np.float32)
    visible = np.ones((1, 40), dtype=bool)
    visible[0, 5 : 5 + LONGEST_BRIDGE] = visible[0, 20 : 21 + LONGEST_BRIDGE] = visible[0, :2] = False
    holed = np.where(visible[:, None], values, np.nan)
    filled = fill_short_gaps(holed.copy(), visible)[0, 0]
    assert np.array_equal(filled[2:20], values[0, 0, 2:20])
    assert np.isnan(filled[:2]).all()
    assert np.isnan(filled[20 : 21 + LONGEST_BRIDGE]).all()


@pytest.mark.parametrize(("frames", "bridged"), [(1, True), (6, True), (7, False), (8, False)])
def test_a_gap_of_a_fifth_of_a_second_is_bridged_and_of_one_frame_more_is_not(frames: int, bridged: bool) -> None:
    visible = np.ones((1, 40), dtype=bool)
    visible[0, 10 : 10 + frames] = False
    holed = np.where(visible[:, None], np.ones((1, 3, 40), dtype=np.float32), np.nan)
    assert np.isfinite(fill_short_gaps(holed, visible)).all() == bridged


def test_one_landmark_that_comes_and_goes_does_not_make_its_point_jump() -> None:
    poses = still()
    poses[0, 50:60, INDEX["left_thumb"], :] = np.nan
    poses[0, 3:140, INDEX["left_pinky"], :] = np.nan
    features = named(poses)
    assert features["hands_speed_p99_bl_s_most"] == pytest.approx(0, abs=0.02)
    assert np.isfinite(features["hands_speed_p99_bl_s_least"])


def test_landmarks_that_are_never_found_leave_their_parts_features() -> None:
    poses = moving(segments=2)
    poses[:, :, list(NOT_SEEN), :3] = np.nan
    assert np.isfinite(compute_features(poses)).mean() > 0.95
    poses[:, :, [*RIGHT_HAND], :3] = np.nan
    one_hand = named(poses)
    assert np.isfinite(one_hand["hands_speed_p99_bl_s_most"])
    assert np.isnan(one_hand["hands_speed_p99_bl_s_least"])
    poses[:, :, [INDEX["left_hip"]], :3] = np.nan
    assert np.isnan(named(poses)["hands_speed_p99_bl_s_most"])  # no trunk, no body length


def test_a_segment_without_any_pose_has_only_gaps() -> None:
    nothing = named(np.full((1, 150, 33, 5), np.nan, dtype=np.float32))
    assert {name for name, value in nothing.items() if not np.isnan(value)} <= set(GROUPS["gaps and visibility"])
    assert nothing["frames_missing_share"] == 1
    assert nothing["longest_gap_s"] == 5
    assert nothing["gaps_per_s"] == pytest.approx(0.2)


def test_gaps_and_visibility_are_measured() -> None:
    poses = still()
    poses[:, 30:60], poses[:, 100:115] = np.nan, np.nan
    poses[..., LEFT_FOOT + [MIRROR[i] for i in LEFT_FOOT] + [25, 26], 3] *= 0.5
    measured = named(poses)
    assert measured["frames_missing_share"] == pytest.approx(0.3)
    assert measured["gaps_per_s"] == pytest.approx(0.4)
    assert measured["longest_gap_s"] == pytest.approx(1)
    assert measured["legs_visibility_mean"] == pytest.approx(0.5)
    assert measured["face_visibility_mean"] == pytest.approx(1)
    assert measured["landmarks_outside_picture_share"] == pytest.approx(0)
    assert named(camera(poses, 0, 1, 0, 5))["landmarks_outside_picture_share"] == pytest.approx(1)


def test_gaps_and_visibility_touch_no_other_group() -> None:
    poses = moving()
    unsure = poses.copy()
    unsure[..., 3:5] = 0.2
    a, b = named(poses), named(unsure)
    assert {name for name in NAMES if a[name] != b[name] and a[name] == a[name]} == {
        name for name in GROUPS["gaps and visibility"] if "visibility" in name or "presence" in name
    }


# ---- what there is at all


def test_a_child_that_does_not_move_has_no_speed_and_no_event() -> None:
    rest = named(still())
    for name, value in rest.items():
        if CATALOGUE[name].group in ("amplitude", "speed", "acceleration and jerk", "camera") and not np.isnan(value):
            assert value == pytest.approx(0, abs=0.02), name
    assert np.isnan(rest["event_peak_over_median_speed"])  # the ratio of two jitters is meaningless
    assert rest["share_of_time_below_0_1_bl_s"] == 1


def test_a_single_frame_has_a_posture_at_most() -> None:
    poses = np.full((1, 150, 33, 5), np.nan, dtype=np.float32)
    poses[:, 70] = moving()[:, 70]
    row = compute_features(poses)
    assert not np.isinf(row).any()
    assert np.isnan(row[0, NAMES.index("hands_speed_p99_bl_s_most")])


@pytest.mark.parametrize("frames", [16, 17, 30, 600])
def test_segments_may_be_short_and_long(frames: int) -> None:
    row = named(moving(frames=frames))
    assert not any(np.isinf(value) for value in row.values())
    for name in ("hands_speed_p99_bl_s_most", "hands_jerk_p99_bl_s3_most", "event_peak_speed_bl_s"):
        assert np.isfinite(row[name])


def test_one_segment_has_the_same_bytes_alone_and_among_others() -> None:
    poses = moving(segments=BLOCK + 3)
    poses[2, 20:50] = np.nan
    poses[5] = np.nan
    together = compute_features(poses)
    assert together.dtype == np.float32
    for i in range(len(poses)):
        assert together[i].tobytes() == compute_features(poses[i : i + 1])[0].tobytes(), i
    assert compute_features(poses[:0]).shape == (0, len(NAMES))


def test_the_poses_given_stay_as_they_are() -> None:
    poses = moving(segments=2)
    poses[:, 20:24] = np.nan
    before = poses.tobytes()
    compute_features(poses)
    assert poses.tobytes() == before


@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_ever_infinite(seed: int) -> None:
    generator = np.random.default_rng(seed)
    poses = moving(seed, frames=40, segments=8)
    poses[0] *= 1e6
    poses[1, :, 11:13] = poses[1, :, 23:25]  # a trunk without length
    poses[2] = 0.5
    poses[3, :, 23:25, :3] += generator.normal(size=(40, 2, 3)) * 1e5
    poses[4, :, :, :3] = np.where(generator.random((40, 33, 1)) < 0.7, np.nan, poses[4, :, :, :3])
    poses[5, generator.random(40) < 0.6] = np.nan
    poses[6, ..., 3:] = np.inf
    poses[7, :, ::3, :2] = -1e6
    with np.errstate(all="raise", under="ignore"):
        assert not np.isinf(compute_features(poses)).any()


def test_every_feature_of_the_catalogue_is_computed_once_and_in_its_order() -> None:
    assert [spec for spec, _ in columns(still())] == list(CATALOGUE.values())
    assert compute_features(still()).shape == (1, len(NAMES))


def test_names_and_their_order_stay_because_lightgbms_models_depend_on_them() -> None:
    """Who adds or removes features on purpose changes the digest; models fitted before then no longer fit."""
    digest = hashlib.sha256("\n".join(NAMES).encode()).hexdigest()
    assert digest == "9c5910a0405d71b2ac1249ca9b99df7a76f22ad53d3fa1c22a7988041e66eec0"


def test_names_are_words_and_each_is_in_one_group() -> None:
    assert all(name.replace("_", "a").isalnum() and name == name.lower() for name in NAMES)
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(NAMES)
    assert all(name in GROUPS[CATALOGUE[name].group] for name in NAMES)


def test_models_may_leave_out_gaps_and_visibility() -> None:
    assert column_indices(gap_features=True).tolist() == list(range(len(NAMES)))
    without = {NAMES[column] for column in column_indices(gap_features=False)}
    assert without == set(NAMES) - set(GROUPS["gaps and visibility"])


def test_angles_and_distances_have_as_many_sides_as_their_words_say() -> None:
    body = posture.Body.of(np.zeros((2, 13, 3, 20), np.float32))
    for signal in posture.SIGNALS:
        assert signal.measure(body).shape == (2, signal.sides, 20), signal.name


def test_quantiles_and_means_are_those_of_what_is_known() -> None:
    values = np.random.default_rng(0).normal(size=(5, 7, 40)).astype(np.float32)
    values[values > 1] = np.nan
    values[2, 3] = np.nan
    expected = np.nanquantile(values[3:], 0.9, axis=-1)
    assert quantiles(values, 0.9)[0][3:] == pytest.approx(expected, abs=1e-5)
    assert mean(values)[3:] == pytest.approx(np.nanmean(values[3:], axis=-1), abs=1e-5)
    assert np.isnan(quantiles(values, 0.1, 0.5)[:, 2, 3]).all()
    assert np.isnan(mean(values)[2, 3])


@pytest.mark.command
def test_it_needs_no_torch() -> None:
    check = "import spasm.features.kinematics, sys; sys.exit('torch' in sys.modules or 'lightgbm' in sys.modules)"
    subprocess.run([sys.executable, "-c", check], cwd=SOURCE, check=True)


@pytest.mark.parametrize(("derivative", "frames", "order"), [(0, 5, 2), (1, 5, 2), (2, 9, 2), (3, 13, 3)])
def test_fits_are_those_of_savitzky_and_golay_as_scipy_gives_them(derivative, frames, order):
    scipys = savgol_coeffs(frames, order, deriv=derivative, delta=1 / FPS, use="dot")
    np.testing.assert_allclose(nan_math.FITS[derivative], scipys, rtol=1e-6, atol=1e-9)
