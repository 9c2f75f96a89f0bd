"""Windows of a recording, probability over time, and the rules that make events of it."""

import itertools
import types

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.poses import still
from helpers.segments import header, npy
from helpers.tables import table
from spasm.config.events import Accumulation, Hysteresis
from spasm.core.errors import DataError
from spasm.core.windows import window_starts
from spasm.data.pose import visible_mask
from spasm.data.recordings import BATCH, frames_of, inspect_recording, windows
from spasm.data.seen import seen_frames
from spasm.features.movement import movement
from spasm.inference import sliding_window
from spasm.inference.ensemble_predictor import BatchPrediction
from spasm.inference.event_detection import (
    SHORT_GAP_STEPS,
    STEP_FRAMES,
    STEP_S,
    TRIM,
    Curve,
    Event,
    best,
    by_accumulation,
    by_hysteresis,
    candidates,
    clusters,
    clusters_detected,
    detect_events,
    make_windows,
    write_events,
)

T, STRIDE = 60, 15
RULES = [Hysteresis(), Accumulation()]


def some_poses(frames):
    return np.random.default_rng(0).uniform(0, 1, (frames, 33, 5)).astype(np.float32)


def with_movement(curve, speed=0.0):
    """Probability over time with the movement beside it."""
    return np.stack([curve, np.broadcast_to(speed, len(curve))]).astype(np.float32)


def windows_of(probabilities, curve=None):
    """The windows of a recording that is just as long as they are."""
    whole = T + STRIDE * (len(probabilities) - 1)
    curve = np.zeros(-(-whole // STEP_FRAMES)) if curve is None else curve
    probabilities = np.asarray(probabilities, float)
    seen_s = np.where(np.isnan(probabilities), 0.0, T / 30)
    return make_windows(whole, T, STRIDE, probabilities, seen_s, seen_s, with_movement(curve))


def of_curve(curve, speed=0.0):
    """A recording whose probability and movement over time are given."""
    whole = len(curve) * STEP_FRAMES
    count = len(window_starts(whole, T, STRIDE))
    return make_windows(whole, T, STRIDE, *np.zeros((3, count)), with_movement(curve, speed))


# ---- windows


@pytest.mark.parametrize("whole", [1, 59, 60, 61, 75, 1000, T + STRIDE * (2 * BATCH + 3) + 7])
@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<f2"])
@pytest.mark.parametrize("stride", [STRIDE, 2 * T])
def test_windows_begin_every_stride_and_the_last_ends_with_the_recording(tmp_path, whole, dtype, stride):
    whole = whole * stride // STRIDE
    poses = some_poses(whole)
    np.save(tmp_path / "a.npy", poses.astype(dtype))
    assert frames_of(tmp_path / "a.npy") == whole
    firsts, read = zip(*windows(tmp_path / "a.npy", T, stride), strict=True)
    firsts, read = np.concatenate(firsts), np.concatenate(read)
    padded = np.concatenate([poses.astype(dtype), np.full((T, 33, 5), np.nan)]).astype(np.float32)
    np.testing.assert_array_equal(read, np.stack([padded[first : first + T] for first in firsts]))
    assert firsts[0] == 0
    assert firsts[-1] == max(0, whole - T)
    assert set(np.diff(firsts[:-1])) <= {stride}


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (npy(header(shape=(9, 33, 4)), bytes(9 * 33 * 4 * 4)), "(frames, 33, 5)"),
        (npy(header(shape=(9, 33, 5)), bytes(100)), "cut short"),
        (npy(header(shape=(0, 33, 5))), "no frame"),
        (npy(header(fortran="True", shape=(9, 33, 5)), bytes(9 * 33 * 5 * 4)), "Fortran"),
        (npy(header("'|O'", shape=(9, 33, 5)), bytes(9 * 33 * 5 * 8)), "pickle"),
        (b"hello", "not a .npy file"),
        (b"", "empty"),
    ],
)
def test_a_file_that_is_no_recording_is_refused_before_it_is_read(tmp_path, content, word):
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(DataError, match=word.replace("(", r"\(").replace(")", r"\)")):
        frames_of(tmp_path / "a.npy")


def test_the_frame_of_an_impossible_value_is_named(tmp_path):
    poses = some_poses(T * 100)
    poses[4321, 3, 1] = np.inf
    np.save(tmp_path / "a.npy", poses)
    (noticed,) = inspect_recording(tmp_path / "a.npy").findings.sentences().values()
    assert noticed == "1 implausible value, first y of left_eye_outer in frame 4321: inf"
    firsts, read = (np.concatenate(parts) for parts in zip(*windows(tmp_path / "a.npy", T, STRIDE), strict=True))
    for first, window in zip(firsts, read, strict=True):
        missing = np.argwhere(np.isnan(window).all(axis=-1)).tolist()
        assert missing == ([[4321 - first, 3]] if 0 <= 4321 - first < T else [])


# ---- probability over time


def curve_of(probabilities, attention, firsts, whole):
    return steps_of(probabilities, attention, np.zeros_like(attention), firsts, whole)[0]


def steps_of(probabilities, attention, speed, firsts, whole):
    """Probability and movement over time (2, B) of windows."""
    curve, rows = Curve(T), zip(firsts, probabilities, attention, speed, strict=True)
    parts = [curve.add(int(first), one, at, at > 0, moving) for first, one, at, moving in rows]
    return np.concatenate([*parts, curve.finish()], axis=1)[:, : -(-whole // STEP_FRAMES)]


def test_without_attention_a_moment_has_the_mean_of_the_windows_that_cover_it():
    probabilities = np.random.default_rng(0).uniform(0, 1, 20)
    firsts = np.arange(20) * STRIDE
    whole = int(firsts[-1]) + T
    curve = curve_of(probabilities, np.ones((20, T)), firsts, whole)
    for step, value in enumerate(curve):
        covering = (firsts // STEP_FRAMES <= step) & (step < firsts // STEP_FRAMES + T // STEP_FRAMES)
        assert value == pytest.approx(probabilities[covering].mean(), abs=1e-6)


def test_the_probability_stands_where_the_attention_of_the_windows_is():
    firsts = np.arange(20) * STRIDE
    whole, moment = int(firsts[-1]) + T, 150
    contain = (firsts <= moment) & (moment < firsts + T)
    attention = np.full((20, T), 1e-4)
    attention[contain, moment - firsts[contain]] = 0.5
    curve = curve_of(np.where(contain, 0.9, 0.05), attention, firsts, whole)
    assert curve[moment // STEP_FRAMES] == pytest.approx(0.9)
    assert np.ptp(np.flatnonzero(curve > 0.5)) <= 4
    [event] = by_hysteresis(of_curve(curve), Hysteresis(0.85))
    assert abs(event.onset_s - moment / 30) <= 3 * STEP_S


def test_where_nothing_is_seen_there_is_no_probability_and_never_a_zero():
    assert np.isnan(curve_of([0.9], np.zeros((1, T)), [0], T)).all()
    seen = np.ones((1, T))
    seen[0, 30:54] = 0
    curve = curve_of([0.9], seen, [0], T)
    assert np.flatnonzero(np.isnan(curve)).tolist() == list(range(10, 18))
    assert curve[~np.isnan(curve)] == pytest.approx(0.9)


def test_a_window_of_which_too_little_was_seen_adds_nothing_to_what_the_others_say():
    firsts = np.arange(6) * STRIDE
    whole = int(firsts[-1]) + T
    probabilities = np.array([0.8, np.nan, 0.6, np.nan, 0.6, 0.8])
    known = ~np.isnan(probabilities)
    curve = curve_of(probabilities, np.ones((6, T)), firsts, whole)
    assert np.array_equal(curve, curve_of(probabilities[known], np.ones((4, T)), firsts[known], whole))
    assert np.isnan(curve_of(np.full(6, np.nan), np.ones((6, T)), firsts, whole)).all()


def test_what_no_window_covers_has_no_probability():
    curve = curve_of([0.9, 0.8], np.ones((2, T)), [0, 2 * T], 3 * T)
    assert np.flatnonzero(np.isnan(curve)).tolist() == list(range(T // STEP_FRAMES, 2 * T // STEP_FRAMES))


# ---- movement


def test_the_movement_over_time_is_that_of_the_frames_whatever_the_windows():
    firsts = np.arange(20) * STRIDE
    whole = int(firsts[-1]) + T
    speed = np.random.default_rng(1).uniform(0.1, 2, whole)
    windows_ = np.stack([speed[first : first + T] for first in firsts])
    windows_[:, [0, -1]] = np.nan  # as at the ends of a window, where there is no speed
    _, moving = steps_of(np.full(20, 0.5), np.ones((20, T)), windows_, firsts, whole)
    inside = moving[1:-1]
    highest = speed.reshape(-1, STEP_FRAMES).max(1)[1:-1]
    assert (inside <= highest + 1e-6).all(), "the frames at the ends of some windows are missing"
    assert np.median(inside / highest) == pytest.approx(1)
    *_, unknown = steps_of([0.5], np.ones((1, T)), np.full((1, T), np.nan), [0], T)
    assert np.isnan(unknown).all()


def spasm(frames=300, begins=150, direction=1.0):
    """A child at rest who moves arms and legs fast within 0.4 s from a frame on, and stays so: (frames, 33, 5)."""
    poses = np.repeat(still(1)[0], frames, axis=0)
    progress = np.clip((np.arange(frames) - begins) / 12, 0, 1)
    limbs = [13, 14, 15, 16, 25, 26, 27, 28]
    poses[:, limbs, 1] += direction * 0.1 * progress[:, None]
    return poses


def test_movement_begins_when_the_body_does_and_not_when_the_camera_does():
    shifted = spasm()
    shifted[..., 0] += np.linspace(0, 0.4, len(shifted))[:, None]
    for poses in (spasm(), spasm(direction=-1), shifted):
        speed = movement(poses[None])[0]
        moving = np.flatnonzero(np.nan_to_num(speed) > 0.05)
        assert abs(moving[0] - 150) <= 3 and abs(moving[-1] - 162) <= 3
        assert np.nanmax(speed[:140]) < 1e-3
    lost = spasm()
    lost[50:90] = np.nan
    assert np.isnan(movement(lost[None])[0, 55:85]).all()


@pytest.mark.parametrize("begins", [60, 66, 69])
@pytest.mark.parametrize("rule", [Hysteresis(0.85), Accumulation(1, 0.85)])
def test_an_event_begins_when_the_body_begins_to_move(begins, rule):
    curve, speed = np.full(160, 0.05), np.full(160, 0.1)
    curve[68:78] = 0.9
    speed[begins : begins + 8] = [0.5, 1, 2, 2, 1, 0.5, 0.4, 0.3]
    speed[20:25] = 3  # an earlier movement that is none of this event
    windows_ = of_curve(curve, speed)
    probabilities = np.where(windows_.ends_s == 8, 0.9, 0.05)
    [event] = detect_events(windows_._replace(probabilities=probabilities), rule)
    assert event.onset_s == pytest.approx((begins + 1) * STEP_S), "0.5 is below 0.3 of the fastest, 1 is not"
    assert event.offset_s == pytest.approx(7.8)
    [without] = detect_events(windows_._replace(probabilities=probabilities, movement=np.full(160, np.nan)), rule)
    assert without.onset_s == pytest.approx(6.8)


def test_an_event_does_not_begin_before_the_event_before_it_ends():
    curve, speed = np.full(200, 0.05), np.full(200, 0.1)
    curve[60:70] = curve[74:84] = 0.9
    speed[66:80] = 2
    first, second = by_hysteresis(of_curve(curve, speed), Hysteresis(0.85))
    assert first.offset_s <= second.onset_s < second.offset_s


@pytest.mark.parametrize("rule", [Hysteresis(0.0, 0.0), Hysteresis(), Accumulation(1, 0.0), Accumulation(4, 0.1)])
def test_what_was_not_seen_is_no_event_under_any_rule(rule):
    nothing = np.full(200, np.nan)
    windows_ = windows_of(np.full(40, np.nan), np.resize(nothing, -(-(T + STRIDE * 39) // STEP_FRAMES)))
    assert detect_events(windows_, rule) == []
    assert windows_.total_seen_s == 0 and np.isnan(windows_.highest).all()


def test_unseen_windows_between_likely_ones_do_not_add_up_to_an_alarm():
    rule = Accumulation(4, 1.5)
    for between in ([np.nan] * 3, [np.nan] * 2, [0.0] * 3):
        windows_ = windows_of([0.7, *between, 0.7, *between, 0.7, *between])
        assert by_accumulation(windows_, rule) == [], between
    alarms = by_accumulation(windows_of([0.1, 0.8, np.nan, 0.8, np.nan, np.nan, 0.1]), rule)
    assert [event.detectable_at_s for event in alarms] == [T / 30 + 3 * STRIDE / 30], "at a window that was seen"
    assert [event.peak for event in alarms] == [0.8]


@pytest.mark.parametrize(("steps", "events"), [(1, 1), (SHORT_GAP_STEPS, 1), (SHORT_GAP_STEPS + 1, 2), (30, 2)])
def test_only_a_gap_that_is_shorter_than_a_spasm_does_not_end_an_event(steps, events):
    curve = np.zeros(400)
    curve[100:160] = 0.9
    curve[120 : 120 + steps] = np.nan
    found = by_hysteresis(of_curve(curve), Hysteresis(0.5, 0.3))
    assert len(found) == events
    assert found[-1].offset_s == pytest.approx(16.0)


def test_the_highest_probability_and_the_seen_time_are_those_of_what_was_seen():
    curve = np.full(200, 0.2)
    curve[50:] = np.nan
    windows_ = windows_of([0.2, np.nan, 0.7, 0.3], curve[: -(-(T + 3 * STRIDE) // STEP_FRAMES)])
    assert windows_.highest == (0.7, pytest.approx(2.0))  # the window of 1 to 3 s
    assert windows_.total_seen_s == pytest.approx(3.5), "which is all of these 3.5 s"
    windows_ = windows_._replace(curve=np.where(np.arange(35) < 20, 0.2, np.nan))
    assert windows_.total_seen_s == pytest.approx(2.0)


# ---- rules


@given(st.lists(st.integers(0, 20), min_size=30, max_size=200), st.integers(1, 20), st.integers(0, 20))
def test_hysteresis_is_what_a_machine_that_goes_step_by_step_detects(values, on, off):
    rule = Hysteresis(on / 20, min(on, off) / 20)
    curve = np.float32(values) / np.float32(20)
    wanted, run = [], []
    for step, value in enumerate([*curve, -1.0]):
        if value >= rule.event_off:
            run.append((step, value))
        else:
            peak = max((one for _, one in run), default=-1)
            if peak >= rule.event_on:
                high = [at for at, one in run if one >= TRIM * peak]
                wanted.append((high[0] * STEP_S, (high[-1] + 1) * STEP_S, peak))
            run = []
    events = by_hysteresis(of_curve(curve), rule)
    assert [event[:3] for event in events] == [pytest.approx(event) for event in wanted]
    for event in events:
        assert event.detectable_at_s >= event.onset_s


def test_an_event_is_known_when_the_first_window_after_it_has_ended():
    curve = np.zeros(400)
    curve[100:105] = 0.9
    [event] = by_hysteresis(of_curve(curve), Hysteresis(0.85))
    assert (event.onset_s, event.offset_s) == (pytest.approx(10), pytest.approx(10.5))
    assert 10 + T / 30 <= event.detectable_at_s <= 10 + T / 30 + STRIDE / 30


@given(
    st.lists(st.integers(0, 10), min_size=3, max_size=80),
    st.integers(1, 6),
    st.integers(0, 40),
    st.integers(0, 10),
    st.integers(0, 8),
)
def test_accumulation_is_what_a_machine_that_goes_window_by_window_detects(values, count, threshold, floor, refractory):
    rule = Accumulation(count, threshold / 10 + 0.05, floor / 10, refractory / 2)
    windows_ = windows_of(np.array(values) / 10)
    alarms = []
    for number in range(len(values)):
        last = [p for p in windows_.probabilities[max(0, number - count + 1) : number + 1] if p >= rule.sum_floor]
        now = windows_.ends_s[number]
        if sum(last) >= rule.sum_threshold and (not alarms or now >= alarms[-1] + max(rule.refractory_s, T / 30)):
            alarms.append(now)
    events = by_accumulation(windows_, rule)
    assert [event.detectable_at_s for event in events] == alarms
    assert all(event.onset_s < event.offset_s <= event.detectable_at_s for event in events)
    assert all(following.onset_s >= event.offset_s for event, following in itertools.pairwise(events))


def test_an_alarm_lies_where_the_attention_is_and_is_the_whole_window_before_that_is_known():
    rule = Accumulation(1, 0.8, 0.0, 10.0)
    whole = windows_of(np.where(np.arange(19) == 8, 0.9, 0.1))
    curve = np.zeros(len(whole.curve))
    end_s = whole.ends_s[8]
    at = round((end_s - 1) * 10)
    curve[at : at + 4] = 0.85
    curve[at + 8] = 0.5
    [event] = by_accumulation(whole._replace(curve=curve), rule)
    assert (event.onset_s, event.offset_s) == (pytest.approx(end_s - 1), pytest.approx(end_s - 0.6))
    [early] = by_accumulation(whole._replace(curve=curve[:at]), rule)
    assert (early.onset_s, early.offset_s) == (pytest.approx(end_s - T / 30), pytest.approx(end_s))
    assert event.detectable_at_s == early.detectable_at_s == end_s and event.peak == early.peak == 0.9


def test_events_within_thirty_seconds_are_a_cluster():
    spans = np.array([[0, 1], [31, 32], [62.1, 63], [70, 71]], float)
    assert clusters(spans).tolist() == [1, 1, 2, 2]
    assert clusters(np.empty((0, 2))).tolist() == []


def test_a_cluster_is_met_by_an_event_that_meets_one_of_its_spasms():
    true = np.array([[10, 11], [20, 21], [100, 101], [200, 201]], float)
    detected = [Event(22.5, 23, 0.9, 25.0), Event(102.9, 104, 0.9, 105.0)]
    assert clusters_detected(true, detected, 2.0).tolist() == [True, True, False]
    assert clusters_detected(true, detected, 1.0).tolist() == [False, False, False]
    assert clusters_detected(true, [], 2.0).tolist() == [False] * 3
    assert clusters_detected(np.empty((0, 2)), detected, 2.0).tolist() == []


# ---- which settings


@pytest.mark.parametrize("rule", RULES)
def test_stricter_settings_are_candidates_and_detect_less(rule):
    tried = candidates(rule)
    assert len(set(tried)) == len(tried) > 50
    generator = np.random.default_rng(0)
    windows_ = windows_of(generator.uniform(0, 1, 200), generator.uniform(0, 1, -(-(T + STRIDE * 199) // STEP_FRAMES)))
    numbers = [len(detect_events(windows_, one)) for one in tried]
    assert min(numbers) < max(numbers) / 4


def test_the_best_settings_have_the_highest_f1_or_the_most_hits_under_a_limit():
    counts = np.array([[10, 9, 0, 20, 1], [10, 7, 0, 2, 1], [10, 3, 0, 1, 1], [10, 3, 0, 0, 1]], float)
    assert best(counts, None) == 1
    assert best(counts, 100) == 0
    assert best(counts, 2) == 1
    assert best(counts, 1) == 3, "of two that find as much, the one with fewer false alarms"
    assert best(counts[:2], 1) == 1, "none keeps the limit: the one that comes nearest"


# ---- what a recording's windows are worth


class Sure:
    """Stands for a run that calls every window a spasm, whatever is in it."""

    def __init__(self):
        self.decision = types.SimpleNamespace(frames=T)

    def predict(self, batches):
        for key, poses, *_ in batches:
            posed = np.asarray(visible_mask(poses).any(axis=2))
            logits = {"sure": np.full(len(poses), 0.99)}
            yield BatchPrediction(key, posed, seen_frames(poses), logits, np.zeros(posed.shape))

    def probability(self, logits, children, has_pose, child_context=True):
        return logits["sure"]


def windows_of_poses(folder, poses, abstain=0.2):
    np.save(folder / "child_1_1.npy", poses)
    predict = sliding_window.predict_recording
    windows_ = predict(folder / "child_1_1.npy", len(poses), 30, Sure(), abstain, lambda done: None)
    sliding_window.write(folder / "kept", {"abstain": abstain}, windows_)
    kept = sliding_window.read(folder / "kept", 30, {"abstain": abstain})
    for one, other in zip(windows_, kept, strict=True):
        np.testing.assert_allclose(one, other, atol=0.01)  # the table has hundredths of a second
    assert sliding_window.read(folder / "kept", 30, {"abstain": abstain + 0.1}) is None
    return windows_


@pytest.mark.parametrize("rule", [Hysteresis(), Accumulation()])
@pytest.mark.parametrize("every", [900, 450, 30, 10, 6])
def test_even_a_sure_run_detects_nothing_in_single_frames_far_apart(tmp_path, every, rule):
    poses = some_poses(900)
    poses[np.arange(900) % every != 0] = np.nan
    windows_ = windows_of_poses(tmp_path, poses)
    assert np.isnan(windows_.probabilities).all() and np.isnan(windows_.curve).all()
    assert detect_events(windows_, rule) == [] and windows_.total_seen_s == 0
    assert windows_.pose_s.sum() > 0 and not windows_.seen_s.any()
    with_every_pose = windows_of_poses(tmp_path, poses, abstain=0.0)
    assert with_every_pose.total_seen_s == pytest.approx(900 / every * STEP_S)


def test_events_lie_in_the_time_that_was_seen_and_nowhere_else(tmp_path):
    poses = some_poses(1800)
    poses[300:1200] = np.nan  # from 10 to 40 s
    windows_ = windows_of_poses(tmp_path, poses)
    events = detect_events(windows_, Accumulation())
    assert events and all(event.offset_s <= 10 or event.onset_s >= 40 for event in events)
    assert windows_.total_seen_s == pytest.approx(30)
    write_events(tmp_path / "events.csv", {"a": events}, {"a": windows_})
    assert {row["seen_s"] for row in table(tmp_path / "events.csv")} == {"2.00"}


@pytest.mark.parametrize(("frames", "is_predicted"), [(1, False), (11, False), (12, True), (59, True), (60, True)])
def test_a_recording_that_is_shorter_than_a_window_is_predicted_from_a_fifth_of_it_on(tmp_path, frames, is_predicted):
    windows_ = windows_of_poses(tmp_path, some_poses(frames))
    assert windows_.ends_s.tolist() == [pytest.approx(frames / 30)]
    assert np.isfinite(windows_.probabilities).tolist() == [is_predicted]
