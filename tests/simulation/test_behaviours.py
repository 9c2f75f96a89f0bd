"""Behaviours of simulated infants: shape, timing and size, and the ages at which they occur."""

import itertools

import numpy as np
import pytest

from spasm.data.landmarks import INDEX
from spasm.simulation import behaviours, handling, infant
from spasm.simulation.behaviours import (
    CAMERA,
    COLUMN,
    COLUMNS,
    KICKS,
    Performer,
    Stroke,
    Tremor,
    least_jerk,
    perform,
    pulse,
)
from spasm.simulation.body import HIGH, JOINTS, LOW, POSTURES, ROOT, SIDES, of_joints, pose_body, sample_bones
from spasm.simulation.repertoire import NOT_BY_CHILD, ONLY_IN, REPERTOIRE

FINE_HZ = 240
SUPINE = of_joints(POSTURES["supine"].rest)
LEG = [COLUMN[f"{side}_{joint}"] for side in SIDES for joint in ("hip_forward", "hip_out", "hip_roll", "knee", "ankle")]
EVERYTHING = {name: row[0] for name, row in REPERTOIRE.items()} | {"camera_jerk": behaviours.camera_jerk}


def mover(age_months=6.0, vigour=1.0, arms_free=1.0, legs_free=1.0):
    return Performer(age_months, vigour, arms_free, legs_free)


def draws(draw, count, age_months=6.0, at_s=0.0, seed=1, **more):
    """The same behaviour so many times, sampled from one generator."""
    rng = np.random.default_rng(seed)
    return [draw(rng, mover(age_months), at_s, **more) for _ in range(count)]


def average_bones(age_months):
    rng = np.random.default_rng(2)
    rows = [sample_bones(rng, age_months) for _ in range(200)]
    return {name: np.mean([row[name] for row in rows]) for name in rows[0]}


def body_of(behaviour, t, bones=None):
    """Landmarks (T, 33, 3) in metres of an average child on its back, without any other movement or noise."""
    degrees = np.clip(SUPINE + perform([behaviour], t)[:, : len(JOINTS)], LOW, HIGH)
    return pose_body(np.deg2rad(degrees), bones or average_bones(6))


def times(behaviour, hz=FINE_HZ):
    return np.arange(behaviour.onset_s - 0.05, behaviour.end_s + 0.05, 1 / hz)


def at(body, name):
    return body[:, INDEX[name]]


def from_start(body, name):
    """How far a landmark is from where it was at first: (T,) metres."""
    return np.linalg.norm(at(body, name) - at(body, name)[0], axis=-1)


def legs_in(kick):
    """Side and stroke of each single leg's kick, in order of time."""
    strokes = [(side, move) for move in kick.moves for side in SIDES if move.reach[COLUMN[f"{side}_knee"]]]
    return sorted(strokes, key=lambda pair: pair[1].onset_s)


def fastest_hertz(signal, hz, longest_s=40):
    """The frequency of the highest peak of the spectrum of `signal`, padded to `longest_s` seconds."""
    padded = np.zeros(int(longest_s * hz))
    padded[: signal.size] = (signal - signal.mean()) * np.hanning(signal.size)
    return np.abs(np.fft.rfft(padded)).argmax() / longest_s


# ---- the shape of a movement


def test_a_least_jerk_movement_goes_from_zero_to_one_and_never_back():
    share = np.linspace(-0.5, 1.5, 2001)
    y = least_jerk(share)
    assert (y[share <= 0] == 0).all() and (y[share >= 1] == 1).all()
    assert (np.diff(y) >= 0).all()
    assert least_jerk(np.array([0.5]))[0] == pytest.approx(0.5)
    np.testing.assert_allclose(y + y[::-1], 1, atol=1e-12)


def test_a_least_jerk_movement_begins_and_ends_with_neither_speed_nor_acceleration():
    step = 1e-4
    y = least_jerk(np.array([-step, 0, step, 1 - step, 1, 1 + step]))
    assert np.abs(np.diff(y[:3])).max() < 1e-7 and np.abs(np.diff(y[3:])).max() < 1e-7
    speed = np.gradient(least_jerk(np.linspace(0, 1, 10001)), 1e-4)
    assert speed.max() == pytest.approx(1.875, abs=1e-4)
    assert np.gradient(speed, 1e-4)[[1, -2]] == pytest.approx([0, 0], abs=0.02)


def test_a_pulse_rises_in_its_time_holds_and_comes_back_to_zero():
    t = np.linspace(0, 3, 30001)
    y = pulse(t, 0.5, 0.3, 0.4, 0.6)
    assert y.min() >= 0 and y.max() == 1
    assert (y[t <= 0.5] == 0).all() and (y[t >= 1.8 + 1e-9] == 0).all()
    assert (y[(t >= 0.8 + 1e-9) & (t <= 1.2)] == 1).all()
    speed = np.gradient(y, t)
    assert np.abs(speed[np.searchsorted(t, (0.5, 0.8, 1.2, 1.8))]).max() < 1e-3
    assert np.abs(np.diff(speed)).max() < 0.02  # no corners


def test_performing_is_additive_and_nothing_at_all_is_nothing():
    rng = np.random.default_rng(3)
    every = [draw(rng, mover(), rng.uniform(0, 4)) for draw in EVERYTHING.values()]
    t = np.arange(-1, 12, 1 / 30)
    np.testing.assert_allclose(perform(every, t), sum(perform([one], t) for one in every), atol=1e-9)
    np.testing.assert_allclose(perform(every[:4], t) + perform(every[4:], t), perform(every, t), atol=1e-9)
    assert (perform([], t) == 0).all() and perform([], t).shape == (t.size, len(COLUMNS))


def test_performing_does_not_depend_on_which_times_are_asked_for():
    rng = np.random.default_rng(4)
    every = [draw(rng, mover(), rng.uniform(0, 4)) for draw in EVERYTHING.values()]
    t = np.sort(rng.uniform(-1, 12, 3000))
    whole = perform(every, t)
    some = np.sort(rng.choice(t.size, 200, replace=False))
    np.testing.assert_allclose(perform(every, t[some]), whole[some], atol=1e-9)
    np.testing.assert_allclose(perform(every, t[:1]), whole[:1], atol=1e-9)
    assert perform(every, t[:0]).shape == (0, len(COLUMNS))


def test_a_joint_that_starts_later_comes_back_with_the_others():
    reach, late_s = np.zeros(len(COLUMNS)), np.zeros(len(COLUMNS))
    reach[:2], late_s[1] = 10, 0.1
    moved = perform(
        [behaviours.Behaviour("x", 0, 1.1, (Stroke(0, 0.2, 0.3, 0.6, reach, late_s),))], np.arange(0, 1.2, 1e-3)
    )
    first, late = moved[:, 0], moved[:, 1]
    assert (np.flatnonzero(late > 0)[0] - np.flatnonzero(first > 0)[0]) * 1e-3 == pytest.approx(0.1, abs=0.003)
    assert (first.max(), late.max()) == pytest.approx((10, 10))
    assert abs(np.flatnonzero(late > 1e-9)[-1] - np.flatnonzero(first > 1e-9)[-1]) <= 2


def test_a_joint_that_starts_later_than_a_short_stroke_lasts_moves_only_towards_its_reach():
    reach = np.ones(len(COLUMNS))
    for late in np.arange(0, 0.31, 0.02):
        stroke = Stroke(0, 0.12, 0.03, 0.1, reach, np.full(len(COLUMNS), late))
        moved = perform([behaviours.Behaviour("x", 0, 0.25, (stroke,))], np.arange(-0.1, 0.5, 1e-3))
        assert moved.min() > -1e-9 and moved.max() < 1 + 1e-9, f"late by {late:.2f} s"


# ---- every behaviour


@pytest.mark.parametrize("name", EVERYTHING)
def test_a_behaviour_begins_when_asked_and_has_no_trace_before_or_after(name):
    for behaviour in draws(EVERYTHING[name], 40, at_s=2.0):
        assert behaviour.name == name or behaviour.name in KICKS
        assert 2.0 <= behaviour.onset_s <= 3.3
        assert behaviour.end_s == max(m.onset_s + m.rise_s + m.hold_s + m.release_s for m in behaviour.moves)
        moved = perform([behaviour], np.arange(0, behaviour.end_s + 1, 1 / FINE_HZ))
        assert np.isfinite(moved).all() and np.abs(moved).max() > 0
        t = np.arange(0, behaviour.end_s + 1, 1 / FINE_HZ)[: len(moved)]
        assert not moved[(t < behaviour.onset_s) | (t > behaviour.end_s)].any()


@pytest.mark.parametrize("name", EVERYTHING)
def test_no_behaviour_jumps(name):
    """No joint is faster than 1500 degrees a second, no landmark's shift faster than 1 m/s (assumed)."""
    for behaviour in draws(EVERYTHING[name], 25):
        speed = np.abs(np.diff(perform([behaviour], times(behaviour, 480)), axis=0)).max(axis=0) * 480
        assert speed[: len(JOINTS)].max() < 1500
        assert speed[[COLUMN[f"root_{axis}"] for axis in "xyz"]].max() < 1


@pytest.mark.parametrize("name", REPERTOIRE)
def test_only_a_jerk_of_the_camera_moves_the_camera(name):
    for behaviour in draws(EVERYTHING[name], 20):
        assert not any(move.reach[[COLUMN[column] for column in CAMERA]].any() for move in behaviour.moves)


def test_only_caregivers_move_the_whole_body():
    root = [COLUMN[column] for column in ROOT]
    for name, draw in EVERYTHING.items():
        moves = any(move.reach[root].any() for behaviour in draws(draw, 20) for move in behaviour.moves)
        assert moves == (name in NOT_BY_CHILD and name != "camera_jerk"), name


def test_vigour_and_posture_make_kicks_smaller_and_leave_the_camera_alone():
    whole, weak, held = (
        behaviours.kick(np.random.default_rng(5), mover(vigour=vigour, legs_free=legs_free), 0)
        for vigour, legs_free in ((1.0, 1.0), (0.5, 1.0), (1.0, 0.5))
    )
    t = times(whole)
    np.testing.assert_allclose(perform([weak], t), 0.5 * perform([whole], t), atol=1e-9)
    np.testing.assert_allclose(perform([held], t)[:, LEG], 0.5 * perform([whole], t)[:, LEG], atol=1e-9)
    rest = np.setdiff1d(np.arange(len(COLUMNS)), LEG)
    np.testing.assert_allclose(perform([held], t)[:, rest], perform([whole], t)[:, rest], atol=1e-9)
    factor = behaviours.free(mover(vigour=0.5, arms_free=0.5, legs_free=0.5))
    assert (factor[[COLUMN[column] for column in CAMERA]] == 1).all()


# ---- kicks


def test_a_kick_lasts_from_one_turn_to_the_next_a_quarter_to_a_third_of_a_second():
    for kick in draws(behaviours.kick, 200):
        for _, stroke in legs_in(kick):
            assert 0.23 <= stroke.rise_s <= 0.33 and 0.23 <= stroke.release_s <= 0.33
    bones = average_bones(6)
    once = [kick for kick in draws(behaviours.kick, 300, pattern="kick_unilateral") if len(legs_in(kick)) == 1]
    for kick in once[:20]:
        side = legs_in(kick)[0][0]
        away = from_start(body_of(kick, times(kick), bones), f"{side}_ankle")
        between = (np.argmax(away > 0.98 * away.max()) - np.argmax(away > 0.02 * away.max())) / FINE_HZ
        # A least-jerk movement is within 2 % of its ends for about a fifth of its time.
        assert 0.15 < between < 0.33


def ankle_accelerations(kicks, age_months):
    """The greatest acceleration of the ankle relative to the hips in m/s2, of each movement out or back."""
    bones, greatest = average_bones(age_months), []
    for kick in kicks:
        t = times(kick)
        body = body_of(kick, t, bones)
        hips = (at(body, "left_hip") + at(body, "right_hip")) / 2
        for side in SIDES:
            ankle = at(body, f"{side}_ankle") - hips
            acceleration = np.linalg.norm(np.diff(ankle, 2, axis=0), axis=-1) * FINE_HZ**2
            for _, stroke in [pair for pair in legs_in(kick) if pair[0] == side]:
                turn_s = stroke.onset_s + stroke.rise_s + stroke.hold_s
                for start_s, length_s in ((stroke.onset_s, stroke.rise_s), (turn_s, stroke.release_s)):
                    inside = (t[1:-1] >= start_s) & (t[1:-1] <= start_s + length_s)
                    greatest.append(acceleration[inside].max())
    return np.array(greatest)


def test_most_kicks_accelerate_the_ankle_by_3_to_9_metres_per_second_squared():
    """Trujillo-Priego and Smith 2017; an average child on its back, of 3 to 12 months."""
    by_age = [ankle_accelerations(draws(behaviours.kick, 75, age, seed=age), age) for age in (3, 6, 9, 12)]
    greatest = np.concatenate(by_age)
    assert ((greatest >= 3) & (greatest <= 9)).mean() >= 0.8
    assert 4 < np.median(greatest) < 7
    medians = [np.median(rows) for rows in by_age]
    assert medians[-1] > medians[0]  # longer legs


def test_hip_and_knee_of_a_kicking_leg_move_together_and_the_ankle_the_other_way():
    for kick in draws(behaviours.kick, 100):
        for side, stroke in legs_in(kick):
            hip, knee, ankle = (stroke.reach[COLUMN[f"{side}_{j}"]] for j in ("hip_forward", "knee", "ankle"))
            assert hip * knee > 0 and hip * ankle < 0


def test_most_kicks_of_bent_legs_go_out_first():
    out = [legs_in(kick)[0][1].reach[[COLUMN["left_knee"], COLUMN["right_knee"]]].sum() < 0
           for kick in draws(behaviours.kick, 400)]  # fmt: skip
    assert 0.53 < np.mean(out) < 0.67


def test_a_unilateral_kick_moves_one_leg_only():
    for kick in draws(behaviours.kick, 100, pattern="kick_unilateral"):
        assert kick.name == "kick_unilateral"
        assert len({side for side, _ in legs_in(kick)}) == 1
        still = next(name for name in SIDES if name != legs_in(kick)[0][0])
        assert not perform([kick], times(kick, 60))[:, [i for i in LEG if COLUMNS[i].startswith(still)]].any()


def test_a_bilateral_kick_moves_both_legs_within_a_twentieth_of_a_second():
    for kick in draws(behaviours.kick, 100, pattern="kick_bilateral"):
        rows = legs_in(kick)
        assert len(rows) % 2 == 0
        by_side = [[stroke for side, stroke in rows if side == name] for name in SIDES]
        for left, right in zip(*by_side, strict=True):
            assert abs(left.onset_s - right.onset_s) <= 0.05
            assert (left.rise_s, left.release_s) == (right.rise_s, right.release_s)


def test_alternating_kicks_take_the_legs_in_turn():
    for kick in draws(behaviours.kick, 200, pattern="kick_alternating"):
        sides = [side for side, _ in legs_in(kick)]
        assert all(a != b for a, b in itertools.pairwise(sides))


def test_an_alternating_kick_moves_both_legs():
    legs = [{side for side, _ in legs_in(kick)} for kick in draws(behaviours.kick, 200, pattern="kick_alternating")]
    assert np.mean([len(both) == 2 for both in legs]) == 1


def test_bilateral_kicks_become_more_frequent_with_age():
    shares = []
    for age_months in (3, 5, 8):
        names = [kick.name for kick in draws(behaviours.kick, 500, age_months)]
        shares.append([np.mean([name == pattern for name in names]) for pattern in KICKS])
    alternating, unilateral, bilateral = np.transpose(shares)
    assert (np.diff(bilateral) > 0.05).all() and bilateral[0] < 0.2 and bilateral[-1] > 0.38
    assert (np.diff(unilateral) < 0).all() and np.argmax(shares[0]) == KICKS.index("kick_unilateral")
    np.testing.assert_allclose(alternating + unilateral + bilateral, 1)


def test_kicks_come_once_or_in_a_row_with_unequal_pauses():
    kicks = draws(behaviours.kick, 300, pattern="kick_unilateral")
    counts = np.array([len(legs_in(kick)) for kick in kicks])
    assert counts.min() == 1 and counts.max() > 4 and 1.5 < counts.mean() < 3.5
    pauses, lengths = [], []
    for kick in kicks:
        strokes = [stroke for _, stroke in legs_in(kick)]
        lengths += [stroke.rise_s for stroke in strokes]
        ends = [s.onset_s + s.rise_s + s.hold_s + s.release_s for s in strokes]
        pauses += [b.onset_s - end for b, end in zip(strokes[1:], ends, strict=False)]
    assert np.min(pauses) > -1e-9
    assert np.std(pauses) / np.mean(pauses) > 3 * np.std(lengths) / np.mean(lengths)


# ---- arms


def test_an_arm_wave_moves_one_or_both_arms_and_no_leg():
    waves = draws(behaviours.arm_wave, 200)
    both = 0
    for wave in waves:
        reach = np.sum([np.abs(move.reach) for move in wave.moves], axis=0)
        assert not reach[LEG].any()
        both += reach[COLUMN["left_elbow"]] > 0 and reach[COLUMN["right_elbow"]] > 0
    assert 0.4 < both / len(waves) < 0.6


def test_a_reach_takes_one_wrist_away_from_its_shoulder_and_leaves_the_other_arm():
    bones = average_bones(6)
    for reach in draws(behaviours.reach, 40):
        body = body_of(reach, times(reach, 60), bones)
        stretched = {
            side: np.ptp(np.linalg.norm(at(body, f"{side}_wrist") - at(body, f"{side}_shoulder"), axis=-1))
            for side in SIDES
        }
        out, still = sorted(SIDES, key=stretched.get, reverse=True)
        assert stretched[out] > 0.02 and stretched[still] < 1e-9
        arm = np.linalg.norm(at(body, f"{out}_wrist") - at(body, f"{out}_shoulder"), axis=-1)
        assert arm.max() - arm[0] > 0.02
        assert from_start(body, f"{out}_wrist").max() > 0.06
        assert from_start(body, f"{out}_wrist")[-1] < 1e-9


def test_a_reach_takes_fewer_units_with_age_four_to_five_at_four_months_and_two_at_seven():
    units = [np.mean([len(reach.moves) for reach in draws(behaviours.reach, 300, age)]) for age in (4, 5.5, 7)]
    assert 4 < units[0] < 5 and 2 < units[2] < 2.6
    assert units[0] > units[1] + 0.5 > units[2] + 1.0


def test_reaching_begins_at_four_months_and_the_moro_reflex_ends_at_six():
    ages = {name: row[1] for name, row in REPERTOIRE.items()}
    assert ages["reach"][0] == 4 and ages["moro"][1] == 6
    rng = np.random.default_rng(6)
    young, old = set(), set()
    for _ in range(60):
        child = infant.sample_child(rng, "control", infant.SimulationConfig())
        video = infant.sample_video(rng, child, "home")
        names = {b.name for state in infant.STATES for b in infant.sample_behaviours(rng, child, video, state, 5)}
        if child.age_months < 4:
            young |= names
        elif child.age_months >= 7:
            old |= names
    assert young and {"reach", "shudder"}.isdisjoint(young)
    assert {"moro", "sleep_myoclonus"}.isdisjoint(old) and "reach" in old


def test_a_moro_reflex_lasts_2_3_to_2_6_seconds():
    for moro in draws(behaviours.moro, 200, 4):
        assert 2.3 - 1e-9 <= moro.end_s - moro.onset_s <= 2.6 + 1e-9


def test_in_a_moro_reflex_the_arms_fly_apart_and_then_come_together():
    bones, further = average_bones(4), []
    for moro in draws(behaviours.moro, 60, 4):
        t = times(moro, 60)
        body = body_of(moro, t, bones)
        apart = np.linalg.norm(at(body, "left_wrist") - at(body, "right_wrist"), axis=-1)
        widest, narrowest = apart.argmax(), apart.argmin()
        assert apart[widest] > apart[0] + 0.01 and apart[narrowest] < apart[0] - 0.04
        further.append(apart[widest] - apart[0])
        assert 0.15 < t[widest] - moro.onset_s < 0.9
        assert t[narrowest] > t[widest] + 0.4
    assert np.median(further) > 0.05


# ---- the whole body


def test_a_startle_is_over_within_about_a_second_and_takes_the_arms_further_than_the_legs():
    reaches = []
    for startle in draws(behaviours.startle, 200):
        assert 0.3 < startle.end_s - startle.onset_s < 1.05
        reaches.append(np.abs(startle.moves[0].reach))
    mean = dict(zip(COLUMNS, np.mean(reaches, axis=0), strict=True))
    assert mean["left_shoulder_out"] > 1.5 * mean["left_hip_forward"] > 0
    assert mean["neck_turn"] > 1


def test_a_startle_rises_faster_than_it_goes():
    slower = [startle.moves[0].release_s > 1.2 * startle.moves[0].rise_s for startle in draws(behaviours.startle, 200)]
    assert np.mean(slower) > 0.95


def test_sleep_myoclonus_beats_one_to_five_times_a_second_for_seconds():
    for jerks in draws(behaviours.sleep_myoclonus, 200, 4):
        onsets_s = np.array([move.onset_s for move in jerks.moves])
        assert onsets_s.size >= 2
        hertz = (onsets_s.size - 1) / (onsets_s[-1] - onsets_s[0])
        assert 0.8 <= hertz <= 5 / 0.75
        assert np.diff(onsets_s).min() > 0.75 / 5 - 1e-9
        assert 0.5 < jerks.end_s - jerks.onset_s < 11
    rates = [
        (len(j.moves) - 1) / np.ptp([m.onset_s for m in j.moves]) for j in draws(behaviours.sleep_myoclonus, 200, 4)
    ]
    assert np.mean([1 <= rate <= 5 for rate in rates]) > 0.9


def test_sleep_myoclonus_jerks_arms_more_than_legs_and_never_the_head():
    legs = []
    for jerks in draws(behaviours.sleep_myoclonus, 200, 4):
        reach = np.max([np.abs(move.reach) for move in jerks.moves], axis=0)
        assert not reach[[COLUMN[f"neck_{way}"] for way in ("flexion", "turn", "tilt")]].any()
        assert max(move.rise_s + move.hold_s + move.release_s for move in jerks.moves) < 0.25
        legs.append(reach[LEG].max())
        assert reach[COLUMN["left_elbow"]] + reach[COLUMN["right_elbow"]] > 0
    assert 0.25 < np.mean(np.array(legs) > 0) < 0.55


def test_a_shudder_is_a_fine_tremor_of_4_to_10_hertz_for_5_to_15_seconds():
    for shudder in draws(behaviours.shudder, 60):
        assert 5 - 1e-9 <= shudder.end_s - shudder.onset_s <= 15 + 1e-9
        neck = perform([shudder], times(shudder, 60))[:, COLUMN["neck_turn"]]
        assert 3.9 <= fastest_hertz(neck, 60) <= 10.1
        assert 0.8 < np.abs(neck).max() < 4


def test_a_crying_child_breathes_about_once_a_second_and_draws_up_its_limbs():
    for cry in draws(behaviours.cry, 100):
        assert 3.5 < cry.end_s - cry.onset_s < 14
        moved = perform([cry], times(cry, 30))
        assert 0.4 <= fastest_hertz(moved[:, COLUMN["trunk_flexion"]], 30) <= 1.4
        assert moved[:, COLUMN["left_knee"]].mean() > 3 and moved[:, COLUMN["left_hip_forward"]].mean() > 3
    breaths = [next(m.hertz for m in cry.moves if isinstance(m, Tremor)) for cry in draws(behaviours.cry, 300)]
    assert min(breaths) >= 0.5 and max(breaths) <= 1.3 and 0.75 < np.mean(breaths) < 0.95


def test_a_head_turn_moves_the_head_alone_and_takes_most_of_a_second():
    peaks = []
    bones = average_bones(6)
    for head_turn in draws(behaviours.head_turn, 60):
        stroke = head_turn.moves[0]
        assert 0.4 <= stroke.rise_s <= 1.3 and 0.5 <= stroke.release_s <= 1.3
        body = body_of(head_turn, times(head_turn, 30), bones)
        assert from_start(body, "left_wrist").max() < 1e-9 and from_start(body, "left_shoulder").max() < 1e-9
        peaks.append(from_start(body, "nose").max())
    assert 0.02 < np.median(peaks) < 0.08


def test_heads_turn_to_either_side():
    turns = np.array([b.moves[0].reach[COLUMN["neck_turn"]] for b in draws(behaviours.head_turn, 300)])
    assert 0.42 < (turns > 0).mean() < 0.58 and 20 < np.abs(turns).mean() < 34


def test_reflux_arches_neck_and_back_slowly_and_spares_the_limbs():
    bones = average_bones(6)
    for reflux in draws(behaviours.reflux, 60):
        stroke = reflux.moves[0]
        assert stroke.reach[COLUMN["neck_flexion"]] < 0 and stroke.reach[COLUMN["trunk_flexion"]] < 0
        assert stroke.rise_s >= 0.5 and stroke.release_s >= 0.8 and reflux.end_s - reflux.onset_s > 1.8
        limbs = [COLUMN[f"{side}_{joint}"] for side in SIDES for joint in ("shrug", *behaviours.ARM, *behaviours.LEG)]
        assert not stroke.reach[limbs].any()
        t = times(reflux, 60)
        body = body_of(reflux, t, bones)
        nose = at(body, "nose")[:, 2]
        assert nose.min() < nose[0] - 0.03 and nose.max() < nose[0] + 1e-3
        speed = np.linalg.norm(np.diff(at(body, "nose"), axis=0), axis=-1) * 60
        assert speed.max() < 0.6


def test_lifting_takes_the_whole_body_away_and_legs_hang_more_or_less():
    rng = np.random.default_rng(7)
    child = infant.sample_child(rng, "control", infant.SimulationConfig())
    for lifted in draws(handling.lifted, 40):
        t = times(lifted, 60)
        moved = perform([lifted], t)
        moved[:, : len(JOINTS)] += SUPINE
        body = infant.pose_landmarks(child, moved)
        hips = (at(body, "left_hip") + at(body, "right_hip")) / 2
        np.testing.assert_allclose(hips, moved[:, [COLUMN[f"root_{axis}"] for axis in "xyz"]], atol=1e-9)
        assert np.linalg.norm(hips, axis=-1).max() > 0.03
        assert hips[:, 1].max() > 0 and hips[:, 1].min() > -1e-9


HANDLING = [name for name in NOT_BY_CHILD if name != "camera_jerk"]


@pytest.mark.parametrize("name", HANDLING)
def test_handling_is_slower_than_a_spasm_and_does_not_depend_on_vigour(name):
    """No joint turns faster than 250 degrees a second (assumed): a limb is led, not thrown."""
    for seed in range(30):
        strong, weak = (
            REPERTOIRE[name][0](np.random.default_rng(seed), mover(vigour=vigour, arms_free=vigour), 0.0)
            for vigour in (1.5, 0.5)
        )
        t = times(strong, 60)
        np.testing.assert_allclose(perform([weak], t), perform([strong], t), atol=1e-9)
        if name != "touched":
            assert strong.end_s - strong.onset_s > 1.5
            assert np.abs(np.diff(perform([strong], t)[:, : len(JOINTS)], axis=0)).max() * 60 < 250


def test_rocking_moves_the_body_at_the_rate_of_a_cradle_or_of_a_knee():
    rates = []
    for rocked in draws(handling.rocked, 60):
        t = times(rocked, 60)
        way = perform([rocked], t)[:, [COLUMN["root_x"], COLUMN["root_y"]]].sum(axis=1)
        middle = way[(t > rocked.onset_s + 1.5) & (t < rocked.end_s - 1.5)]
        rates.append((np.diff(np.sign(middle)) != 0).sum() / 2 / (len(middle) / 60))
    slow, fast = np.array(rates) < 1.2, np.array(rates) >= 1.2
    assert 0.4 < np.median(np.array(rates)[slow]) < 1.1 and 1.3 < np.median(np.array(rates)[fast]) < 2.5
    assert 0.2 < fast.mean() < 0.65


def test_pulled_to_sit_the_shoulders_rise_and_the_head_of_the_youngest_lags():
    falls = {}
    for age_months in (3.0, 8.0):
        pulls = draws(handling.pulled_to_sit, 40, age_months)
        falls[age_months] = np.mean([perform([p], times(p, 60))[:, COLUMN["neck_flexion"]].min() for p in pulls])
        assert all(perform([p], times(p, 60))[:, COLUMN["root_pitch"]].max() > 25 for p in pulls)
    assert falls[3.0] < -20 < falls[8.0] - 10


def test_only_a_lying_child_is_pulled_up_or_turned_to_its_side():
    rng = np.random.default_rng(9)
    found = set()
    for _ in range(400):
        child = infant.sample_child(rng, "control", infant.SimulationConfig())
        video = infant.sample_video(rng, child, "home")
        found |= {(b.name, video.posture) for b in infant.sample_behaviours(rng, child, video, "rest", 20)}
    assert all(posture in ONLY_IN.get(name, POSTURES) for name, posture in found)
    assert {name for name, _ in found} >= set(HANDLING)


def test_a_jerk_of_the_camera_leaves_the_body_unmoved():
    body, bones = [COLUMN[column] for column in COLUMNS if column not in CAMERA], average_bones(6)
    for jerk in draws(behaviours.camera_jerk, 60):
        moved = perform([jerk], times(jerk, 60))
        assert not moved[:, body].any()
        assert moved[:, [COLUMN[column] for column in CAMERA]].any()
        assert np.ptp(body_of(jerk, times(jerk, 20), bones), axis=0).max() == 0


# ---- frequencies


def test_active_children_move_more_than_quiet_ones_and_crying_ones_cry_most():
    for name, (_, _, rates) in REPERTOIRE.items():
        assert len(rates) == len(infant.STATES) and min(rates) >= 0, name
    sleep, quiet, active, crying = (sum(row[2][i] for row in REPERTOIRE.values()) for i in range(4))
    assert sleep < quiet < active and crying > quiet
    assert np.argmax(REPERTOIRE["cry"][2]) == 3
    assert REPERTOIRE["sleep_myoclonus"][2][1:] == (0, 0, 0)


def test_behaviours_are_as_frequent_as_in_the_table():
    rng = np.random.default_rng(8)
    world = infant.SimulationConfig()
    counts, expected = [], []
    for _ in range(60):
        child = infant.sample_child(rng, "control", world)
        video = infant.sample_video(rng, child, "home")
        for column, state in enumerate(infant.STATES):
            sampled = infant.sample_behaviours(rng, child, video, state, 6.0)
            counts.append(len([b for b in sampled if b.name != "camera_jerk"]))
            expected.append(
                sum(
                    rates[column] * child.habits[name] * 10 / 5
                    for name, (_, (young, old), rates) in REPERTOIRE.items()
                    if young <= child.age_months < old and video.posture in ONLY_IN.get(name, POSTURES)
                )
            )
            assert all(b.onset_s > -4 - 1e-9 and b.onset_s < 6 + 1.5 for b in sampled)
    assert np.sum(counts) == pytest.approx(np.sum(expected), abs=4 * np.sqrt(np.sum(expected)))
