"""Augmentation: each setting has its documented effect and no other."""

import dataclasses

import numpy as np
import pytest
import torch

from helpers.settings import NO_AUGMENTATION
from spasm.config.features import Augmentation
from spasm.data.landmarks import MIRROR
from spasm.features.augmentation import NOISE, augment, mirror, noise

torch.set_num_threads(1)

T = 24
EXACT = 1e-6  # float32 rounding of coordinates near 1


def batch(count=32, gaps=False):
    """Poses (count, T, 33, 5) in 0..1; with `gaps`, a tenth of the landmarks is missing."""
    generator = torch.Generator().manual_seed(1)
    poses = torch.rand((count, T, 33, 5), generator=generator)
    if gaps:
        poses[torch.rand((count, T, 33), generator=generator) < 0.1] = torch.nan
    return poses


def changed(poses, seed=0, **settings):
    """The batch with only these settings on."""
    return augment(poses, dataclasses.replace(NO_AUGMENTATION, **settings), torch.Generator().manual_seed(seed))


def same(a, b):
    return torch.equal(a.isnan(), b.isnan()) and torch.allclose(a, b, atol=EXACT, rtol=0, equal_nan=True)


def flat(poses):
    return poses[..., :2] - poses[..., :2].mean((1, 2), keepdim=True)


# ---- all together


def test_with_everything_off_nothing_changes():
    assert same(changed(batch(gaps=True)), batch(gaps=True))


def test_the_same_seed_gives_the_same_batch_and_another_seed_another():
    poses, settings = batch(gaps=True), Augmentation()
    first, second, other = (augment(poses, settings, torch.Generator().manual_seed(seed)) for seed in (5, 5, 6))
    assert np.array_equal(first.numpy(), second.numpy(), equal_nan=True)
    assert not np.array_equal(first.numpy(), other.numpy(), equal_nan=True)


def test_random_numbers_come_from_the_generator_alone():
    torch.manual_seed(1)
    first = augment(batch(), Augmentation(), torch.Generator().manual_seed(5))
    state = torch.get_rng_state()
    augment(batch(), Augmentation(), torch.Generator().manual_seed(5))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    second = augment(batch(), Augmentation(), torch.Generator().manual_seed(5))
    assert np.array_equal(first.numpy(), second.numpy(), equal_nan=True)


def test_the_batch_that_came_in_is_not_modified():
    poses = batch(gaps=True)
    before = poses.clone()
    augment(poses, Augmentation(mirror_prob=1, gap_prob=1, drop_landmark_prob=0.5), torch.Generator().manual_seed(0))
    assert np.array_equal(poses.numpy(), before.numpy(), equal_nan=True)


def test_a_landmark_that_was_missing_stays_missing():
    poses = batch(gaps=True)
    after = changed(
        poses, rotation_deg=40, zoom=0.5, aspect_jitter=0.5, jitter=0.1, drop_landmark_prob=0.1, gap_prob=0.5
    )
    assert after.isnan()[poses.isnan()].all()


def test_a_segment_without_pose_stays_one_and_harms_no_other():
    poses = batch(4)
    poses[2] = torch.nan
    settings = Augmentation(drop_landmark_prob=0, gap_prob=0, shift_frames=0)
    after = augment(poses, settings, torch.Generator().manual_seed(0))
    assert after[2].isnan().all()
    assert after[[0, 1, 3]].isfinite().all()


def test_visibility_and_presence_of_what_is_left_are_not_changed():
    poses = batch()
    after = changed(poses, rotation_deg=40, zoom=0.5, aspect_jitter=0.5, jitter=0.1, drop_landmark_prob=0.3)
    kept = ~after[..., 3].isnan()
    assert torch.equal(after[..., 3:][kept], poses[..., 3:][kept])


# ---- mirroring


def test_mirroring_twice_is_the_identity():
    poses = batch(gaps=True)
    assert same(mirror(mirror(poses)), poses)
    assert same(changed(changed(poses, mirror_prob=1), mirror_prob=1), poses)


def test_a_mirror_turns_x_around_and_swaps_left_and_right_and_nothing_else():
    poses, after = batch(), changed(batch(), mirror_prob=1)
    for here, there in enumerate(MIRROR):
        assert torch.allclose(after[:, :, here, 0], 1 - poses[:, :, there, 0], atol=EXACT)
        assert torch.allclose(after[:, :, here, 1:], poses[:, :, there, 1:], atol=EXACT)


def test_mirroring_happens_as_often_as_asked():
    poses = batch(400)[:, :4]
    mirrored = (changed(poses, mirror_prob=0.25) - mirror(poses)).abs().amax((1, 2, 3)) < EXACT
    assert 0.15 < mirrored.float().mean() < 0.35


# ---- in the picture


def test_a_rotation_keeps_the_distances_in_the_picture_and_z():
    poses, after = batch(), changed(batch(), rotation_deg=90)
    before, rotated = (
        torch.cdist(value[:, 0, :, :2].double(), value[:, 0, :, :2].double()) for value in (poses, after)
    )
    assert torch.allclose(before, rotated, atol=1e-5)
    assert torch.allclose(after[..., 2], poses[..., 2], atol=EXACT)
    assert not torch.allclose(after[..., :2], poses[..., :2], atol=0.05)


def test_a_rotation_is_one_angle_per_segment_within_the_limit_about_the_segments_centre():
    poses, after = batch(400), changed(batch(400), rotation_deg=30)
    before, rotated = (torch.view_as_complex(flat(value).contiguous()) for value in (poses, after))
    assert torch.allclose(poses[..., :2].mean((1, 2)), after[..., :2].mean((1, 2)), atol=1e-5)
    turned = (rotated * before.conj()).sum((1, 2)).angle()  # (N,)
    assert torch.allclose(before * torch.polar(torch.ones_like(turned), turned)[:, None, None], rotated, atol=1e-4)
    degrees = turned.rad2deg()
    assert 28 < degrees.max() <= 30.01
    assert -30.01 <= degrees.min() < -28


def test_a_zoom_scales_x_y_and_z_by_one_factor_within_the_limit():
    poses, after = batch(400), changed(batch(400), zoom=0.3)
    before, zoomed = (value[..., :3] - value[..., :3].mean((1, 2), keepdim=True) for value in (poses, after))
    factor = zoomed.flatten(1).norm(dim=1) / before.flatten(1).norm(dim=1)
    assert torch.allclose(zoomed, before * factor[:, None, None, None], atol=1e-5)
    assert 0.28 < factor.log().max() <= 0.3001
    assert -0.3001 <= factor.log().min() < -0.28


def test_a_stretch_changes_the_aspect_ratio_within_the_limit_and_z_goes_with_x():
    poses, after = batch(400), changed(batch(400), aspect_jitter=0.4)
    before, stretched = (value[..., :3] - value[..., :3].mean((1, 2), keepdim=True) for value in (poses, after))
    factor = stretched.norm(dim=(1, 2)) / before.norm(dim=(1, 2))  # (N, 3)
    assert torch.allclose(stretched, before * factor[:, None, None], atol=1e-5)
    assert torch.allclose(factor[:, 0], factor[:, 2], rtol=1e-4)
    assert torch.allclose(factor[:, 0] * factor[:, 1], torch.ones(400), rtol=1e-4)
    ratio = (factor[:, 0] / factor[:, 1]).log()
    assert 0.38 < ratio.max() <= 0.4001
    assert -0.4001 <= ratio.min() < -0.38


def test_noise_has_the_sizes_that_were_measured_on_real_infants():
    made = noise(400, 60, torch.Generator().manual_seed(0))
    size = made.std((0, 1))
    assert size[:11, :2].mean().item() == pytest.approx(1, rel=0.05)  # the face
    assert (size[29:, :2].mean() / size[:11, :2].mean()).item() == pytest.approx(5.7, rel=0.05)  # the feet
    assert (size[:11, 2] / size[:11, 0]).mean().item() == pytest.approx(13, rel=0.05)
    assert (size[23:25, 2] / size[23:25, 0]).mean().item() == pytest.approx(1.7, rel=0.05)


def test_noise_fades_in_time_and_is_shared_by_the_landmarks_of_a_part():
    made = noise(400, 60, torch.Generator().manual_seed(0)).double() / NOISE
    steps = made.diff(dim=1)
    assert ((steps[:, 1:] * steps[:, :-1]).mean() / steps.square().mean()).item() == pytest.approx(-0.1, abs=0.02)

    def together(first, second, axis):
        return (made[..., first, axis] * made[..., second, axis]).mean().item()

    left_wrist, left_index, right_wrist = 15, 19, 16
    assert together(left_wrist, left_index, 0) == pytest.approx(0.65, abs=0.05)
    assert together(left_wrist, left_index, 2) == pytest.approx(0.92, abs=0.05)
    assert together(left_wrist, right_wrist, 0) == pytest.approx(0, abs=0.05)


def test_jitter_comes_in_some_segments_in_random_sizes_up_to_the_largest():
    poses = batch(300)
    size = (changed(poses, jitter=0.05) - poses)[:, :, :11, :2].std((1, 2, 3))
    shaken = size[size > 1e-6]
    assert 0.4 < len(shaken) / len(size) < 0.6
    assert shaken.max() < 0.05 * 1.6  # the deviation of a few frames differs from the true one
    assert shaken.min() < 0.05 / 5


# ---- in time


def test_a_shift_moves_whole_frames_and_what_comes_in_is_missing():
    poses = batch(400)
    poses[..., 3] = torch.arange(T)[:, None]  # where each frame came from
    after = changed(poses, shift_frames=5)
    shifts = set()
    for before, moved in zip(poses, after, strict=True):
        middle = int(moved[T // 2, 0, 3]) - T // 2
        expected = torch.full_like(before, torch.nan)
        for frame in range(T):
            if 0 <= frame + middle < T:
                expected[frame] = before[frame + middle]
        assert same(moved, expected)
        shifts.add(middle)
    assert shifts == set(range(-5, 6))


def test_a_gap_hides_whole_neighbouring_frames_for_no_longer_than_asked():
    poses, after = batch(400), changed(batch(400), gap_prob=1, gap_frames=6)
    hidden = after.isnan().all(3).all(2)
    assert torch.equal(after.isnan().any(3).any(2), hidden)
    lengths = hidden.sum(1)
    assert set(lengths.tolist()) == set(range(1, 7))
    edges = hidden.int().diff(dim=1, prepend=torch.zeros(400, 1), append=torch.zeros(400, 1))
    assert (edges.abs().sum(1) == 2).all()  # one beginning and one end
    assert torch.allclose(after[~hidden], poses[~hidden], atol=EXACT)
    starts = hidden.int().argmax(1)
    assert starts.min() == 0
    assert (starts + lengths).max() == T


def test_gaps_come_as_often_as_asked():
    after = changed(batch(400), gap_prob=0.3, gap_frames=3)
    assert 0.2 < after.isnan().any(3).any(2).any(1).float().mean() < 0.4


def test_a_gap_setting_longer_than_the_segment_hides_at_most_the_segment():
    hidden = changed(batch(200), gap_prob=1, gap_frames=10 * T).isnan().all(3).all(2)
    assert 0.5 < hidden.all(1).float().mean() < 1


def test_a_dropped_landmark_is_missing_in_the_whole_segment():
    poses, after = batch(100), changed(batch(100), drop_landmark_prob=0.2)
    missing = after.isnan().any(3)
    assert torch.equal(missing.any(1), missing.all(1))
    assert torch.equal(after.isnan().all(3), missing)
    assert 0.15 < missing.all(1).float().mean() < 0.25
    assert torch.allclose(after[~missing], poses[~missing], atol=EXACT)


def test_arms_and_legs_are_missing_one_or_both_in_the_whole_segment_as_often_as_asked():
    arms = {side: [i for i in range(13, 23) if i % 2 == side] for side in (0, 1)}
    legs = {side: [i for i in range(25, 33) if i % 2 == side] for side in (0, 1)}
    poses, after = batch(600), changed(batch(600), drop_limb_prob=0.5)
    missing = after.isnan().any(3)
    assert torch.equal(missing.any(1), missing.all(1))
    assert torch.allclose(after[~missing], poses[~missing], atol=EXACT)
    seen = [tuple(np.flatnonzero(row)) for row in missing.all(1).numpy()]
    possible = [sorted(which) for limb in (arms, legs) for which in (limb[0], limb[1], limb[0] + limb[1])]
    assert set(seen) == {(), *map(tuple, possible)}
    assert 0.44 < sum(map(bool, seen)) / 600 < 0.56
    assert min(map(seen.count, map(tuple, possible))) > 25


def test_rotation_keeps_lengths_in_a_picture_that_is_not_square():
    aspect, shape = 16 / 9, torch.tensor([16 / 9, 1.0])
    poses = batch()
    settings = dataclasses.replace(NO_AUGMENTATION, rotation_deg=90)
    turned = augment(poses, settings, torch.Generator().manual_seed(0), aspect)
    before, after = (((each[:, :, 11, :2] - each[:, :, 24, :2]) * shape).norm(dim=-1) for each in (poses, turned))
    assert torch.allclose(before, after, atol=1e-5)
    assert not torch.allclose(poses[..., :2], turned[..., :2], atol=0.01)
