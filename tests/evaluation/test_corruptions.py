"""Each corruption follows its description, and robustness.py measures its effect on a run."""

from pathlib import Path

import numpy as np
import pytest

from helpers.poses import moving
from spasm.data.landmarks import LANDMARKS
from spasm.evaluation.corruptions import GAP_FRAMES, LIMBS, TRIED, jitter, lose_frames, remove, resample, roll

ROOT = Path(__file__).parents[2]
T = 90
EVERY = [
    pytest.param(corrupt, id=f"{kind} {amount}") for kind, tried in TRIED.items() for amount, corrupt in tried.items()
]


@pytest.fixture
def poses() -> np.ndarray:
    """Three moving children, one of whom has a gap and a hand that is never found."""
    made = moving(0, T, 3)
    made[1, 20:31] = np.nan
    made[1, :, 19] = np.nan
    return made


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def found(poses: np.ndarray) -> np.ndarray:
    return np.isfinite(poses[..., :3]).all(-1)


# ---- any corruption


@pytest.mark.parametrize("corrupt", EVERY)
def test_no_corruption_changes_its_input_shape_or_type_or_fills_gaps(corrupt, poses):
    before = poses.copy()
    worse = corrupt(poses, generator())
    assert np.array_equal(poses, before, equal_nan=True)
    assert (worse.shape, worse.dtype) == (poses.shape, poses.dtype)
    assert worse is not poses
    assert not np.isinf(worse).any()
    assert not (found(worse) & ~found(poses)).any()


@pytest.mark.parametrize("corrupt", EVERY)
def test_the_same_generator_gives_the_same_corruption(corrupt, poses):
    assert np.array_equal(corrupt(poses, generator(1)), corrupt(poses, generator(1)), equal_nan=True)


@pytest.mark.parametrize("corrupt", [jitter(0.0), roll(0.0), lose_frames(0.0), TRIED["as it is"][""]])
def test_severity_0_changes_nothing(corrupt, poses):
    assert corrupt(poses, generator()) == pytest.approx(poses, abs=1e-6, nan_ok=True)


def test_corruptions_are_tested_by_rising_severity():
    assert next(iter(TRIED)) == "as it is"
    assert list(TRIED["frames missing"]) == ["10%", "20%", "30%", "50%"]
    assert [float(amount) for amount in TRIED["jitter, picture units"]] == [0.002, 0.005, 0.01, 0.02]
    assert [float(amount) for amount in TRIED["camera roll, degrees"]] == [15, 30, 60, 90]
    assert [float(amount) for amount in TRIED["frames per second"]] == [60, 25, 15]


def test_each_corruption_has_the_severity_in_its_name(poses):
    whole = moving(0, T, 1)
    lost = [1 - found(TRIED["frames missing"][f"{n}%"](whole, generator()))[0].mean() for n in (10, 20, 30, 50)]
    assert lost == pytest.approx([0.1, 0.2, 0.3, 0.5])
    sizes = [
        (corrupt(whole, generator()) - whole)[..., :3].std() for corrupt in TRIED["jitter, picture units"].values()
    ]
    assert sizes == pytest.approx([0.002, 0.005, 0.01, 0.02], rel=0.03)
    upright = np.arctan2(*(whole[0, 0, 0, :2] - 0.5))
    for angle, corrupt in TRIED["camera roll, degrees"].items():
        turned = np.arctan2(*(corrupt(whole, generator())[0, 0, 0, :2] - 0.5))
        assert np.rad2deg((upright - turned) % (2 * np.pi)) == pytest.approx(float(angle), abs=1e-3)


# ---- frames missing


@pytest.mark.parametrize("fraction", [0.05, 0.1, 0.2, 0.3, 0.5, 1.0])
def test_exactly_that_fraction_of_frames_is_lost_in_gaps(fraction):
    whole = moving(0, T, 40)
    worse = lose_frames(fraction)(whole, generator())
    lost = ~found(worse)
    assert (lost.all(axis=2) == lost.any(axis=2)).all()
    assert (np.isnan(worse).all(axis=(2, 3)) == lost.any(axis=2)).all(), "visibility is lost with the frame"
    lost = lost.any(axis=2)
    assert lost.sum(axis=1).tolist() == [round(fraction * T)] * 40
    assert np.array_equal(worse[~lost], whole[~lost])
    starts = (lost & ~np.pad(lost, ((0, 0), (1, 0)))[:, :-1]).sum(axis=1)
    assert starts.min() >= 1
    if round(fraction * T) <= GAP_FRAMES:
        assert starts.tolist() == [1] * 40
    if fraction < 1:
        assert len({row.tobytes() for row in lost}) > 10, "each segment has gaps of its own"
        assert lost.any(axis=0).mean() > 0.7, "anywhere"


# ---- jitter


def test_jitter_has_its_size_on_each_axis_and_is_new_in_every_frame(poses):
    noise = (jitter(0.01)(poses, generator()) - poses)[found(poses)]
    assert noise[:, :3].std(axis=0) == pytest.approx([0.01] * 3, rel=0.05)
    assert noise[:, :3].mean(axis=0) == pytest.approx([0] * 3, abs=0.001)
    assert not noise[:, 3:].any(), "visibility stays"
    first, second = (jitter(0.01)(poses, generator()) - poses)[0, :2]
    assert abs(np.corrcoef(first[:, 0], second[:, 0])[0, 1]) < 0.6
    assert not np.array_equal(first, second)


# ---- roll


@pytest.mark.parametrize("angle", [15, 30, 60, 90])
def test_a_roll_turns_the_picture_about_its_middle_and_back(angle, poses):
    there = roll(angle)(poses, generator())
    assert np.abs(there - poses)[found(poses)].max() > 0.05
    assert roll(-angle)(there, generator()) == pytest.approx(poses, abs=1e-5, nan_ok=True)
    assert np.array_equal(there[..., 2:], poses[..., 2:], equal_nan=True)
    away = [np.hypot(*np.moveaxis(seen[..., :2] - 0.5, -1, 0)) for seen in (poses, there)]
    assert away[0] == pytest.approx(away[1], abs=1e-5, nan_ok=True)


def test_a_quarter_turn_sends_right_to_down():
    poses = np.full((1, 1, 33, 5), 0.5, dtype=np.float32)
    poses[..., 0] = 0.9
    turned = roll(90)(poses, generator())
    assert turned[0, 0, 0, :2] == pytest.approx([0.5, 0.9], abs=1e-6)


# ---- other frame rates


@pytest.mark.parametrize("fps", [60, 50, 25, 20, 15, 10])
def test_another_frame_rate_keeps_the_time_of_everything(fps):
    """A straight motion stays the same, except at the ends, which are not recorded; a peak stays in its place."""
    poses = np.ones((1, T, 33, 5), dtype=np.float32)
    poses[..., :3] = np.linspace(0, 1, T)[:, None, None]
    worse = resample(fps)(poses, generator())
    edge = int(np.ceil(30 / fps)) + 1
    assert worse[0, 1:-edge] == pytest.approx(poses[0, 1:-edge], abs=1e-5)
    assert worse[0, :1] == pytest.approx(poses[0, :1], abs=0.5 / T)
    assert np.abs(worse[0, -edge:] - poses[0, -edge:]).max() <= 30 / fps / (T - 1) + 1e-5

    for middle in (30, 40.5, 61):
        bump = np.exp(-(((np.arange(T) - middle) / 5) ** 2))
        poses[..., :3] = bump[:, None, None]
        seen = resample(fps)(poses, generator())[0, :, 0, 0]
        assert (seen * np.arange(T)).sum() / seen.sum() == pytest.approx(middle, abs=0.15)


@pytest.mark.parametrize("fps", [60, 25, 15])
def test_a_still_pose_stays_as_it_is_at_any_frame_rate(fps):
    poses = moving(0, T, 2)[:, :1].repeat(T, axis=1)
    assert resample(fps)(poses, generator()) == pytest.approx(poses, abs=1e-6)


def test_fewer_frames_lose_what_is_fast_and_more_of_them_do_not():
    poses = np.ones((1, T, 33, 5), dtype=np.float32)
    poses[..., :3] = 0.1 * (-1.0) ** np.arange(T)[:, None, None]  # 15 Hz
    left = [resample(fps)(poses, generator())[0, 5:-5, 0, 0].std() / 0.1 for fps in (60, 25, 15)]
    assert left[0] > 0.4
    assert left[2] < 0.55
    poses[..., :3] = 0.1 * np.sin(np.arange(T) / 10)[:, None, None]  # 0.5 Hz
    for fps in (60, 25, 15):
        assert resample(fps)(poses, generator())[0, 5:-5] == pytest.approx(poses[0, 5:-5], abs=0.002)


@pytest.mark.parametrize("fps", [60, 25, 15])
def test_frames_near_a_gap_are_lost_with_it_and_no_others(fps, poses):
    lost = ~found(resample(fps)(poses, generator()))[1, :, 0]
    assert lost[20:31].all()
    reach = int(np.ceil(30 / fps)) + 1
    assert not lost[: 20 - reach].any()
    assert not lost[31 + reach :].any()
    assert found(resample(fps)(poses, generator()))[[0, 2]].all()


# ---- limbs never found


@pytest.mark.parametrize("limb", LIMBS)
def test_a_removed_limb_is_never_found_and_all_else_stays(limb, poses):
    gone = {
        "left arm": [name for name in LANDMARKS if name.startswith("left") and is_arm(name)],
        "both arms": [name for name in LANDMARKS if is_arm(name)],
        "both legs": [name for name in LANDMARKS if name.endswith(("knee", "ankle", "heel", "foot_index"))],
    }[limb]
    assert len(gone) == {"left arm": 5, "both arms": 10, "both legs": 8}[limb]
    worse = remove(limb)(poses, generator())
    rows = np.isin(LANDMARKS, gone)
    assert np.isnan(worse[:, :, rows, :3]).all()
    assert not worse[:, :, rows, 3:].any()
    assert np.array_equal(worse[:, :, ~rows], poses[:, :, ~rows], equal_nan=True)


def is_arm(name: str) -> bool:
    return name.endswith(("elbow", "wrist", "pinky", "_index", "thumb")) and "foot" not in name
