"""The page cleans and resamples poses as the library does, in a real browser."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from helpers.browser import needs_browser
from helpers.page import PageModules, Problem, served
from spasm.core.errors import DataError
from spasm.data.findings import Findings, clean
from spasm.data.landmarks import LANDMARKS
from spasm.data.pose import CHANNELS
from spasm.simulation.infant import SimulationConfig, simulate_child
from spasm.video.resampling import resampled

pytestmark = needs_browser


@pytest.fixture(scope="module")
def page(browser: Any) -> Iterator[PageModules]:
    with served() as address:
        yield PageModules(browser, address)


def equal_bits(ours: np.ndarray, page: np.ndarray) -> None:
    """NaN may have other bits; everything else, also -0, is the same."""
    assert page.dtype == np.float32 and page.size == ours.size
    ours, page = np.asarray(ours, np.float32).ravel(), page.ravel()
    np.testing.assert_array_equal(np.where(np.isnan(ours), 0, ours.view(np.uint32)),
                                  np.where(np.isnan(page), 0, page.view(np.uint32)))  # fmt: skip
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(page))


def damaged(seed: int, frames: int = 60) -> np.ndarray:
    """Poses of a simulated child with everything that the rules of cleaning are about, (T, 33, 5) float32."""
    rng = np.random.default_rng(seed)
    poses = next(iter(simulate_child(seed, 1, 1, SimulationConfig(frames=frames)))).pose.astype(np.float32)
    at = lambda fraction: rng.random((frames, 33)) < fraction  # noqa: E731
    poses[at(0.02), :2] = 0
    poses[at(0.01), :2] = -1
    poses[at(0.01), 0] = np.float32(-0.0)
    for channel, value in ((0, np.inf), (1, -np.inf), (2, np.inf), (0, 11), (2, -10.5), (0, 10), (1, 2.5), (2, 7)):
        poses[at(0.004), channel] = value
    for channel in range(5):
        poses[at(0.01), channel] = np.nan
    poses[at(0.02), 3] = rng.choice(np.array([-0.5, 1.5, -0.0, np.inf, np.nan], np.float32))
    for frame in rng.choice(frames, frames // 4, replace=False):  # shared places, of a few landmarks or many
        together = rng.choice(33, rng.integers(2, 12), replace=False)
        poses[frame, together, :2] = poses[frame, together[0], :2]
    flat = rng.choice(frames, frames // 6, replace=False)
    poses[flat, :, 2] = rng.choice(np.array([np.nan, 0, 300, 6], np.float32), (len(flat), 1))
    poses[rng.choice(frames, 3, replace=False)] = np.nan
    return poses


def kinds(found: Findings) -> list[dict[str, Any]]:
    """The findings as the page lists them."""
    parts: dict[str, dict[str, Any]] = {
        "no pose": {"kind": "noPose"},
        "never moves": {"kind": "still"},
        "never found": {"kind": "neverFound", "landmarks": list(found.never_found)},
        "marks": {"kind": "marks", "count": found.marks, "frames": found.marked_frames, "of": found.frames,
                  "x": found.mark[0], "y": found.mark[1]},
        "no depth": {"kind": "noDepth", "frames": found.flat, "of": found.posed},
        "visibility": {"kind": "outside", "count": found.outside},
    }  # fmt: skip
    if found.implausible:
        frame, landmark, channel = map(int, found.first[:3])
        where = {"frame": frame, "landmark": LANDMARKS[landmark], "channel": CHANNELS[channel]}
        parts["implausible"] = {"kind": "implausible", "count": found.implausible, **where, "value": found.first[3]}
    return [parts[kind] for kind in found.sentences()]


def check_cleaning(page: PageModules, raw: np.ndarray) -> None:
    poses, found = clean(raw)
    ours = page.call("core/cleaning.js", "clean", raw, len(raw))
    equal_bits(poses, ours["poses"])
    assert ours["findings"] == kinds(found)
    counts = ours["counts"]
    assert (counts["found"], counts["far"], tuple(counts["farthest"])) == (found.found, found.far, found.farthest)


# ---- cleaning


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cleaning_gives_the_same_poses_and_findings_as_the_library(page, dtype):
    for seed in range(4):
        raw = damaged(seed).astype(dtype)
        if dtype is np.float64:  # so near zero that 32 bits would make a mark of it
            raw[5, 3, :2] = 1e-60
            raw[6, :4, :2] = 0.5 + 1e-12 * np.arange(4)[:, None]
            raw[7, :, 3] = 0.1
        check_cleaning(page, raw)


def test_the_same_shared_places_are_marks_in_frames_with_few_or_many_landmarks(page):
    """Clusters of 2 to 12 landmarks at one place, in frames in which 3 to 33 landmarks were found."""
    rng = np.random.default_rng(0)
    poses = rng.uniform(0.1, 0.9, (3000, 33, 5)).astype(np.float32)
    for pose in poses:
        pose[rng.permutation(33)[rng.integers(3, 34) :]] = np.nan
        for _ in range(rng.integers(1, 3)):
            together = rng.choice(33, rng.integers(2, 13), replace=False)
            pose[together, :2] = np.where(np.isnan(pose[together, :2]), np.nan, rng.uniform(0.1, 0.9, 2))
    assert clean(poses)[1].marks > 1000
    check_cleaning(page, poses)


def test_clean_poses_pass_unchanged(page):
    for segment in simulate_child(3, 1, 3, SimulationConfig(frames=60)):
        raw = segment.pose.astype(np.float32)
        equal_bits(raw, page.call("core/cleaning.js", "clean", raw, len(raw))["poses"])


def test_poses_without_movement_without_landmarks_and_without_anything_are_noticed(page):
    whole = next(iter(simulate_child(1, 1, 1, SimulationConfig(frames=60)))).pose.astype(np.float32)
    still, without = np.repeat(whole[30:31], 20, axis=0), whole.copy()
    without[:, [3, 7]] = np.nan
    for raw in (still, without, np.full((10, 33, 5), np.nan, np.float32), whole[:1]):
        check_cleaning(page, raw)


def test_poses_in_pixels_are_refused_as_the_library_refuses_them(page):
    fractions = next(iter(simulate_child(2, 1, 1, SimulationConfig(frames=60)))).pose.astype(np.float32)
    pixels = fractions * np.array([640, 480, 640, 1, 1], np.float32)
    check = """async (load, raw, frames) => {
      const {clean, checkUnits} = await load('core/cleaning.js');
      checkUnits(clean(raw, frames).counts);
    }"""
    with pytest.raises(DataError, match="is in pixels"):
        clean(pixels)[1].check_units("poses")
    with pytest.raises(Problem) as problem:
        page.run(check, pixels, len(pixels))
    assert problem.value.code == "posesInPixels" and problem.value.values["x"] > 100
    errors = fractions.copy()
    errors[4, :20, 0] = 700  # a frame of errors is not another unit
    for raw in (fractions, errors):
        page.run(check, raw, len(raw))


# ---- resampling


@pytest.mark.parametrize("rate", [7.5, 10, 24, 25, 29.97, 30, 50, 60])
def test_resampling_gives_the_same_poses_at_even_rates(page, rate):
    poses = clean(damaged(1))[0]
    times = np.arange(len(poses)) / rate
    equal_bits(resampled(times, poses), page.call("core/resampling.js", "resampled", times, poses))


def test_resampling_gives_the_same_poses_at_uneven_times_with_gaps(page):
    for seed in range(6):
        rng, poses = np.random.default_rng(seed), clean(damaged(seed))[0]
        steps = rng.choice([1 / 30, 1 / 25, 0.001, 0.1, 0.15, 0.1501, 0.6], len(poses)) * rng.uniform(
            0.8, 1.2, len(poses)
        )
        times = np.round(rng.uniform(0, 3) + np.cumsum(steps), seed % 5 + 2)
        times += 1e-6 * np.arange(len(times))
        equal_bits(resampled(times, poses), page.call("core/resampling.js", "resampled", times, poses))


@pytest.mark.parametrize("digits", [3, 4, 5])
def test_resampling_gives_the_same_poses_at_rounded_times(page, digits):
    poses = clean(damaged(4))[0]
    for frames in (50, 51, 52):
        times = np.round(np.arange(frames) / 30, digits)
        ours = resampled(times, poses[:frames])
        equal_bits(ours, page.call("core/resampling.js", "resampled", times, poses[:frames]))


def test_halfway_between_two_frames_the_same_one_stands_for_a_landmark_that_the_other_lacks(page):
    times = np.array([0.0, 1 / 30 - 2**-7, 1 / 30 + 2**-7, 0.2])
    for missing in (1, 2):
        poses = clean(damaged(6)[30:34])[0]
        poses[missing, ::2] = np.nan
        equal_bits(resampled(times, poses), page.call("core/resampling.js", "resampled", times, poses))


def test_a_single_frame_is_resampled_to_itself(page):
    poses = clean(damaged(2))[0][:1]
    equal_bits(resampled(np.array([1.5]), poses), page.call("core/resampling.js", "resampled", np.array([1.5]), poses))
