"""Simulated spasms: kinds, lengths, shapes, joints, what they do to the body, and how they come in clusters."""

import itertools

import numpy as np
import pytest

from spasm.data.landmarks import INDEX
from spasm.data.pose import FPS
from spasm.simulation import infant
from spasm.simulation.behaviours import COLUMN, COLUMNS, perform
from spasm.simulation.body import HIGH, JOINTS, LOW, POSTURES, SIDES, of_joints, pose_body, sample_bones
from spasm.simulation.spasms import (
    KIND_FRACTIONS,
    LATEST_S,
    REACH,
    SUBTLE,
    Semiology,
    Spasm,
    sample_cluster,
    sample_interval_s,
    sample_semiology,
    sample_spasm,
)

SUPINE = of_joints(POSTURES["supine"].rest)
BONES = sample_bones(np.random.default_rng(0), 6)
KINDS = tuple(KIND_FRACTIONS)
FINE_HZ = 240


def only(kind, asymmetric=0.0, side="left", strength=1.0):
    """The semiology of a child with one kind of spasm."""
    return Semiology(tuple(float(name == kind) for name in KINDS), strength, asymmetric, side)


def spasms_of(semiology, count, seed=1):
    rng = np.random.default_rng(seed)
    return [sample_spasm(rng, semiology) for _ in range(count)]


@pytest.fixture(scope="module")
def spasms():
    """4000 spasms of as many children."""
    rng = np.random.default_rng(2)
    return [sample_spasm(rng, sample_semiology(rng)) for _ in range(4000)]


@pytest.fixture(scope="module")
def clusters():
    """250 clusters of as many children."""
    rng = np.random.default_rng(3)
    return [sample_cluster(rng, sample_semiology(rng), 0.0) for _ in range(250)]


def plain(kind="flexor", rise_s=0.2, hold_s=0.3, release_s=1.0, onset_s=0.0):
    """A usual spasm without lateness or chance."""
    reach = np.zeros(len(COLUMNS))
    for name, by in REACH[kind].items():
        for column in [name] if name in COLUMN else [f"{side}_{name}" for side in SIDES]:
            reach[COLUMN[column]] = by
    return Spasm(kind, onset_s, rise_s, hold_s, release_s, reach, np.zeros(len(COLUMNS)))


def shares_of_reach(spasm, t):
    """How far each moving joint is, 0 to 1 of its reach: (T, joints)."""
    moving = spasm.reach != 0
    return perform([spasm.behaviour()], t)[:, moving] / spasm.reach[moving]


def body_of(spasm, t):
    """Landmarks (T, 33, 3) in metres of a child on its back that does nothing else."""
    degrees = np.clip(SUPINE + perform([spasm.behaviour()], t)[:, : len(JOINTS)], LOW, HIGH)
    return pose_body(np.deg2rad(degrees), BONES)


def nose_forward(spasm):
    """How far ventral of its place, relative to the hips, the nose goes at most and at least, in metres."""
    body = body_of(spasm, np.arange(spasm.onset_s - 0.05, spasm.end_s, 1 / 60))
    hips = (body[:, INDEX["left_hip"]] + body[:, INDEX["right_hip"]]) / 2
    nose = (body[:, INDEX["nose"]] - hips)[:, 2]
    return nose.max() - nose[0], nose.min() - nose[0]


def moving_joints(spasm):
    return {name for name, by in zip(COLUMNS, spasm.reach, strict=True) if by}


# ---- kinds and lengths


def test_kinds_over_many_children_have_the_published_shares(spasms):
    for kind, share in KIND_FRACTIONS.items():
        assert np.mean([spasm.kind == kind for spasm in spasms]) == pytest.approx(share, abs=0.03)


def test_most_children_have_more_than_one_kind():
    rng = np.random.default_rng(4)
    children = [sample_semiology(rng) for _ in range(300)]
    kinds = [len({sample_spasm(rng, child).kind for _ in range(20)}) for child in children]
    assert np.mean(np.array(kinds) > 1) > 0.8  # 21 of 24
    assert len({child.fractions for child in children}) == 300
    assert all(sum(child.fractions) == pytest.approx(1) for child in children)


def test_six_in_seven_spasms_last_0_4_to_3_seconds_and_the_others_3_to_7(spasms):
    length_s = np.array([spasm.end_s - spasm.onset_s for spasm in spasms])
    assert length_s.min() >= 0.4 - 1e-9 and length_s.max() <= 7
    assert (length_s > 3 + 1e-9).mean() == pytest.approx(0.143, abs=0.02)
    assert 1 < np.median(length_s) < 1.7


def test_a_spasm_is_the_sum_of_its_phases_and_ends_with_them(spasms):
    for spasm in spasms[:500]:
        assert min(spasm.rise_s, spasm.hold_s, spasm.release_s) > 0
        assert spasm.end_s == pytest.approx(spasm.onset_s + spasm.rise_s + spasm.hold_s + spasm.release_s)
        behaviour = spasm.behaviour()
        assert (behaviour.onset_s, behaviour.end_s) == (spasm.onset_s, spasm.end_s)
        assert all(move.onset_s + move.rise_s + move.hold_s + move.release_s <= spasm.end_s + 1e-9
                   for move in behaviour.moves)  # fmt: skip


def test_the_same_draws_give_the_same_spasm():
    first, second = (spasms_of(only("mixed", 0.5), 5, seed=7)[-1] for _ in range(2))
    assert (first.reach == second.reach).all() and (first.late_s == second.late_s).all()
    assert first.end_s == second.end_s


def test_a_spasm_elsewhere_in_time_is_the_same_spasm():
    spasm = spasms_of(only("mixed"), 1)[0]
    t = np.arange(-0.1, 8, 1 / 60)
    moved = perform([spasm.at(3.0).behaviour()], t + 3.0)
    np.testing.assert_allclose(moved, perform([spasm.behaviour()], t), atol=1e-7)


# ---- shape


def test_a_spasm_rises_in_0_1_to_0_4_seconds_and_releases_more_slowly_in_nearly_all(spasms):
    rise_s = np.array([spasm.rise_s for spasm in spasms])
    release_s = np.array([spasm.release_s for spasm in spasms])
    assert rise_s.min() >= 0.1 and rise_s.max() <= 0.4
    assert (release_s > rise_s).mean() > 0.9
    assert np.median(release_s / rise_s) > 2


def test_a_joint_reaches_its_full_extent_when_it_has_risen(spasms):
    for spasm in spasms[:400]:
        if spasm.kind == "arrest" or spasm.release_s < 0.8:  # joints of short ones may be made less late
            continue
        share = shares_of_reach(spasm, np.arange(0, spasm.end_s, 1 / FINE_HZ))
        first_full = np.argmax(share > 0.999, axis=0) / FINE_HZ
        late_s = spasm.late_s[spasm.reach != 0]
        np.testing.assert_allclose(first_full, spasm.rise_s + late_s, atol=0.06 * spasm.rise_s + 2 / FINE_HZ)


def test_every_joint_moves_only_towards_its_reach_and_never_beyond_it(spasms):
    wrong = []
    for spasm in spasms:
        if spasm.kind != "arrest" and spasm.end_s < 2:
            share = shares_of_reach(spasm, np.arange(-0.05, spasm.end_s + 0.1, 1 / 60))
            wrong += [] if share.min() > -1e-9 and share.max() < 1 + 1e-9 else [spasm]
    assert not wrong, f"{len(wrong)} of {len(spasms)} spasms do"


def test_no_joint_lets_go_at_more_than_twice_the_speed_of_the_fastest_rise(spasms):
    """A least-jerk rise of 0.1 s has 18.75 reaches a second at its fastest."""
    fastest = []
    for spasm in spasms[:2000]:
        if spasm.kind != "arrest" and spasm.end_s < 1.2:
            t = np.arange(-0.05, spasm.end_s + 0.1, 1 / FINE_HZ)
            fastest.append(np.abs(np.diff(shares_of_reach(spasm, t), axis=0)).max() * FINE_HZ)
    assert np.max(fastest) < 2 * 18.75


def test_the_phasic_part_falls_to_about_half_before_the_slow_release(spasms):
    left, slow = [], []
    for spasm in spasms:
        # A short spasm has no time for a tonic part of its own.
        if spasm.kind == "arrest" or spasm.release_s < 3 * spasm.rise_s or len(left) > 600:
            continue
        _, phasic = spasm.behaviour().moves
        ended_s = phasic.onset_s + phasic.rise_s + phasic.hold_s + phasic.release_s
        assert ended_s <= spasm.end_s + 1e-9
        left.append(shares_of_reach(spasm, np.array([ended_s])).mean())
        slow.append(spasm.end_s - ended_s)
    assert 0.45 < np.median(left) < 0.6
    assert np.mean([0.3 < share < 0.6 for share in left]) > 0.9
    assert np.median(slow) > 0.3


def test_limbs_are_not_thrown_with_ten_times_the_force_of_a_kick():
    t = np.arange(0, 8, 1 / 120)
    greatest = []
    for child in range(1, 41):
        rng, style = infant.sample_child_and_rng(3, child, infant.SimulationConfig())
        video = infant.sample_video(rng, style, "home")
        for spasm in (sample_spasm(rng, style.semiology, 0.5) for _ in range(4)):
            moved = perform([spasm.behaviour()], t)
            moved[:, : len(JOINTS)] = infant.within_range(video.angles + moved[:, : len(JOINTS)])
            body = infant.pose_landmarks(style, moved)
            ends = [INDEX[f"{side}_{name}"] for side in SIDES for name in ("wrist", "ankle")]
            bend = np.diff(body[:, [*ends, INDEX["nose"]]], n=2, axis=0) * 120**2
            greatest.append(np.linalg.norm(bend, axis=-1).max())
    assert 5 < np.median(greatest) < 40  # m/s2; kicks have 3 to 9
    assert np.quantile(greatest, 0.95) < 120


def test_a_flexor_spasm_brings_the_hands_together_before_the_chest():
    rest = pose_body(np.deg2rad(SUPINE)[None], BONES)[0]
    moved = perform([plain().behaviour()], np.array([0.25]))[:, : len(JOINTS)]
    body = pose_body(np.deg2rad(infant.within_range(SUPINE + moved)), BONES)[0]
    wrists = [INDEX["left_wrist"], INDEX["right_wrist"]]
    assert np.ptp(body[wrists, 0]) < 0.5 * np.ptp(rest[wrists, 0])
    assert (body[wrists, 1] < body[INDEX["nose"], 1] + 0.03).all()


def test_a_plain_spasm_is_half_gone_soon_after_its_height_and_then_lets_go_slowly():
    t = np.arange(0, 2.6, 1e-3)
    share = shares_of_reach(plain(rise_s=0.2, hold_s=0.4, release_s=2.0), t)[:, 0]
    height_s, half_s = t[share.argmax()], t[np.flatnonzero(share > 0.56)[-1]]
    assert height_s == pytest.approx(0.2, abs=0.02)
    assert 0.3 < half_s - height_s < 0.6  # 40 % of the hold and 0.35 s
    assert share[np.searchsorted(t, 1.6)] > 0.2 and share[-1] < 0.01
    speed = np.abs(np.diff(share)) * 1000
    assert speed[t[1:] < 0.2].max() > 2 * speed[t[1:] > 0.2].max()


def test_joints_start_within_a_tenth_or_two_of_a_second_of_each_other_in_no_fixed_order(spasms):
    spread, first = [], []
    for spasm in spasms:
        moving = spasm.reach != 0
        if moving.sum() > 4:
            late_s = np.where(moving, spasm.late_s, np.inf)
            assert late_s.min() >= 0 and late_s[moving].max() <= LATEST_S + 0.08
            first.append(COLUMNS[late_s.argmin()])
            spread.append(np.ptp(late_s[moving]))
    assert np.mean(np.array(spread) <= LATEST_S) > 0.9
    assert 0.02 < np.median(spread) < LATEST_S
    _, counts = np.unique(first, return_counts=True)
    assert counts.size > 10 and counts.max() < 0.25 * len(first)


def test_a_child_without_asymmetric_spasms_starts_every_joint_within_latest_s():
    for kind in ("flexor", "extensor", "mixed"):
        for spasm in spasms_of(only(kind), 100):
            assert spasm.late_s.min() >= 0 and spasm.late_s.max() <= LATEST_S
            assert spasm.reach[COLUMN["neck_turn"]] == 0


def test_a_late_joint_moves_with_its_sampled_delay():
    spasm = plain(rise_s=0.2, hold_s=0.3, release_s=1.2)
    spasm.late_s[COLUMN["left_knee"]] = 0.1
    moved = perform([spasm.behaviour()], np.arange(0, 1.8, 1e-3))
    begun = {name: np.argmax(np.abs(moved[:, COLUMN[name]]) > 1e-6) for name in ("left_knee", "right_knee")}
    assert begun["left_knee"] - begun["right_knee"] == pytest.approx(100, abs=2)


# ---- subtle and asymmetric spasms


def test_two_spasms_in_five_are_subtle():
    """A spasm of a child with usual strength is subtle when few joints move, or all of them move little."""
    subtle, few = [], []
    for kind in ("flexor", "extensor", "mixed"):
        usual = plain(kind).reach
        for spasm in spasms_of(only(kind), 700):
            hips_and_knees = [COLUMN[f"{side}_{joint}"] for side in SIDES for joint in ("hip_forward", "knee")]
            few.append(not spasm.reach[hips_and_knees].any())
            little = np.median(np.abs(spasm.reach[usual != 0] / usual[usual != 0])) < 0.6
            subtle.append(few[-1] or little)
    # The strength of spasms differs by 30 %, so a few plain ones are as small as a subtle one.
    assert np.mean(subtle) == pytest.approx(SUBTLE, abs=0.06)
    assert np.mean(few) == pytest.approx(SUBTLE * 0.65, abs=0.04)


def test_a_subtle_spasm_is_a_nod_a_shrug_or_a_small_spasm():
    shapes = [frozenset(name.removeprefix("left_").removeprefix("right_") for name in moving_joints(spasm))
              for spasm in spasms_of(only("mixed"), 600)]  # fmt: skip
    nod, shrug = {"neck_flexion", "trunk_flexion"}, {"shrug", "shoulder_out", "neck_flexion", "elbow"}
    assert set(shapes) == {frozenset(nod), frozenset(shrug), frozenset(REACH["mixed"])}
    assert np.mean([shape == nod for shape in shapes]) == pytest.approx(SUBTLE * 0.4, abs=0.05)
    assert np.mean([shape == shrug for shape in shapes]) == pytest.approx(SUBTLE * 0.25, abs=0.04)


@pytest.mark.parametrize("side", SIDES)
def test_an_asymmetric_spasm_is_weaker_and_later_on_the_other_side_and_turns_the_head(side):
    other = next(name for name in SIDES if name != side)
    weaker, later = [], []
    for spasm in spasms_of(only("mixed", asymmetric=1.0, side=side), 300):
        turned = spasm.reach[COLUMN["neck_turn"]]
        assert (turned > 0) == (side == "left") and turned != 0
        led = {name for name in REACH["mixed"] if spasm.reach[COLUMN.get(f"{side}_{name}", 0)]}
        rows = [(COLUMN[f"{side}_{name}"], COLUMN[f"{other}_{name}"]) for name in led if f"{side}_{name}" in COLUMN]
        if rows:
            ahead, behind = np.transpose(rows)
            weaker.append(np.abs(spasm.reach[behind]).sum() < np.abs(spasm.reach[ahead]).sum())
            later.append(np.mean(spasm.late_s[behind]) - np.mean(spasm.late_s[ahead]))
    assert np.mean(weaker) > 0.93
    assert np.mean(later) == pytest.approx(0.04, abs=0.015)


def test_a_symmetric_spasm_is_as_strong_on_both_sides():
    sides = {side: [COLUMN[f"{side}_{name}"] for name in REACH["mixed"] if f"{side}_{name}" in COLUMN]
             for side in SIDES}  # fmt: skip
    left, right = (
        np.array([np.abs(spasm.reach[sides[side]]).sum() for spasm in spasms_of(only("mixed"), 400)]) for side in SIDES
    )
    assert np.mean(left) == pytest.approx(np.mean(right), rel=0.02)
    assert np.mean(left > right) == pytest.approx(0.5, abs=0.35)
    moving = left > 0
    assert np.abs(left[moving] / right[moving] - 1).max() < 0.9


def test_about_one_spasm_in_ten_is_asymmetric_and_children_differ():
    rng = np.random.default_rng(5)
    shares = np.array([sample_semiology(rng).asymmetric for _ in range(3000)])
    assert shares.mean() == pytest.approx(0.1, abs=0.015)
    assert (shares < 0.02).mean() > 0.3 and (shares > 0.3).mean() > 0.05


# ---- what they do to the body


def test_a_flexor_spasm_brings_the_head_forward():
    for spasm in spasms_of(only("flexor"), 120):
        furthest, back = nose_forward(spasm)
        assert furthest > 0.002 and back > -1e-3
    furthest, back = nose_forward(plain("flexor"))
    assert furthest > 0.05 and back > -1e-3


def test_a_usual_extensor_spasm_takes_the_head_back():
    furthest, back = nose_forward(plain("extensor"))
    assert back < -0.05 and furthest < 1e-3


def test_every_extensor_spasm_takes_the_head_back_even_a_subtle_one():
    wrong = [spasm for spasm in spasms_of(only("extensor"), 200) if sum(nose_forward(spasm)) > 0]
    assert not wrong, f"{len(wrong)} of 200 bring it forward"


def test_an_extensor_spasm_stretches_the_limbs_and_a_flexor_spasm_draws_them_up():
    t = np.array([0.0, 0.2])  # rest, and the height of a usual spasm
    span = {}
    for kind in ("flexor", "extensor", "mixed"):
        body = body_of(plain(kind, rise_s=0.2, hold_s=0.3), t)
        span[kind] = {
            (a, b): np.diff(np.linalg.norm(body[:, INDEX[a]] - body[:, INDEX[b]], axis=-1))[0]
            for a, b in (("left_hip", "left_ankle"), ("left_shoulder", "left_wrist"), ("nose", "left_ankle"))
        }
    assert all(change > 0.02 for change in span["extensor"].values())
    assert all(change < -0.01 for change in span["flexor"].values())
    assert span["mixed"]["left_shoulder", "left_wrist"] > 0.02 and span["mixed"]["left_hip", "left_ankle"] > 0.02


def test_both_sides_of_a_usual_spasm_move_alike_at_one_time():
    for kind in ("flexor", "extensor", "mixed"):
        body = body_of(plain(kind), np.arange(0, 1.5, 1 / 30))
        np.testing.assert_allclose(body[:, INDEX["left_wrist"]] * (-1, 1, 1), body[:, INDEX["right_wrist"]], atol=1e-12)


def test_a_usual_spasm_moves_wrists_and_feet_by_centimetres_and_arrest_moves_nothing():
    for kind in ("flexor", "extensor", "mixed"):
        body = body_of(plain(kind), np.arange(0, 1.5, 1 / 60))
        moved = np.linalg.norm(body - body[0], axis=-1).max(axis=0)
        assert moved[INDEX["left_wrist"]] > 0.05 and moved[INDEX["left_ankle"]] > 0.03 and moved[INDEX["nose"]] > 0.03
        assert moved.max() < 0.6
    for arrest in spasms_of(only("arrest", asymmetric=0.5), 30):
        t = np.arange(0, arrest.end_s, 1 / 30)
        assert not arrest.reach.any() and not perform([arrest.behaviour()], t).any()
        assert np.ptp(body_of(arrest, t), axis=0).max() == 0


def test_spasms_do_not_move_the_camera_nor_the_place_of_the_body(spasms):
    outside = np.arange(len(JOINTS), len(COLUMNS))
    assert not any(spasm.reach[outside].any() for spasm in spasms)


def test_a_stronger_child_has_stronger_spasms_up_to_a_limit():
    small, usual, huge = (
        np.median([np.abs(spasm.reach).max() for spasm in spasms_of(only("flexor", strength=strength), 300)])
        for strength in (0.5, 1.0, 50.0)
    )
    assert usual == pytest.approx(2 * small, rel=0.2)
    assert usual < huge < 1.8 * 1.3 * max(REACH["flexor"].values()) * 1.01


# ---- inside a segment


def test_the_frames_of_a_spasm_are_those_inside_the_segment():
    spasm = plain(rise_s=0.2, hold_s=0.3, release_s=0.5)
    assert spasm.at(1.0).frames(150) == (FPS, 2 * FPS)
    assert spasm.at(-0.5).frames(150) == (0, FPS // 2)
    assert spasm.at(4.5).frames(150) == (150 - FPS // 2, 150)
    for outside_s in (-3.0, 9.0):
        start, end = spasm.at(outside_s).frames(150)
        assert start == end


def test_a_sampled_seizure_has_half_a_second_of_its_spasm_inside_and_its_neighbours_apart():
    rng = np.random.default_rng(6)
    child = infant.sample_child(rng, "patient", infant.SimulationConfig())
    clustered = 0
    for _ in range(400):
        seizure = infant.sample_seizure(rng, child, 5.0)
        start, end = seizure[0].frames(150)
        shortest = round(min(0.5, seizure[0].end_s - seizure[0].onset_s) * FPS)
        assert end - start >= shortest - 1
        in_time = sorted(seizure, key=lambda spasm: spasm.onset_s)
        assert all(a.end_s + 0.2 < b.onset_s for a, b in itertools.pairwise(in_time))
        clustered += len(seizure) == 3
    assert clustered / 400 == pytest.approx(0.783, abs=0.06)


# ---- clusters


def test_intervals_within_a_cluster_are_mostly_5_to_30_seconds(clusters):
    intervals_s = np.concatenate([np.diff([spasm.onset_s for spasm in cluster]) for cluster in clusters])
    assert ((intervals_s >= 5) & (intervals_s <= 30)).mean() >= 0.85
    assert intervals_s.min() > 0.9 and 9 < np.median(intervals_s) < 13
    rng = np.random.default_rng(8)
    assert min(sample_interval_s(rng) for _ in range(1000)) >= 3


def test_no_spasm_of_a_cluster_begins_before_the_last_has_ended(clusters):
    for cluster in clusters:
        assert all(a.end_s < b.onset_s for a, b in itertools.pairwise(cluster))


def test_a_cluster_has_three_to_many_spasms_most_often_10_to_20(clusters):
    counts = np.array([len(cluster) for cluster in clusters])
    assert counts.min() >= 3 and counts.max() <= 120
    assert 12 <= np.median(counts) <= 17
    assert clusters[0][0].onset_s == 0.0


def test_strength_rises_and_then_falls_over_a_cluster():
    rng = np.random.default_rng(9)
    usual = plain("flexor").reach
    places, strengths = [], []
    for _ in range(300):
        cluster = sample_cluster(rng, only("flexor"), 0.0)
        for n, spasm in enumerate(cluster):
            places.append(n / (len(cluster) - 1))
            strengths.append(np.abs(spasm.reach[usual != 0]).sum() / np.abs(usual).sum())
    places, strengths = np.array(places), np.array(strengths)
    first, middle, last = (strengths[(places >= a) & (places <= b)].mean() for a, b in ((0, 0.1), (0.3, 0.6), (0.9, 1)))
    assert middle > 1.15 * first and middle > 1.4 * last
    assert last > 0.3 * middle


def test_a_cluster_begins_where_it_is_asked_to():
    for onset_s in (-5.0, 12.5):
        assert sample_cluster(np.random.default_rng(10), only("mixed"), onset_s)[0].onset_s == onset_s
