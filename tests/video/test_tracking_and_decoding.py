"""From a video's frames to one infant's poses in even time; nothing here needs MediaPipe."""

import numpy as np
import pytest

from helpers.bodies import BODY, SQUARE, body_at, frames_of
from spasm.video.resampling import OnlineResampler, resampled
from spasm.video.tracking import Person, PersonTracker, chosen, tracks


def person_with(poses):
    """A person from poses of all frames, NaN where not seen."""
    one = Person(SQUARE)
    for frame in np.flatnonzero(np.isfinite(poses[:, 0, 0])).tolist():
        one.seen(frame, poses[frame])
    return one


# ---- who is who


def test_two_people_keep_apart_whatever_order_they_come_in():
    generator = np.random.default_rng(0)
    detections = []
    for frame in range(40):
        both = [body_at(0.3 + 0.002 * frame, 0.5, 0.2), body_at(0.7 - 0.002 * frame, 0.5, 0.6, 1)]
        detections.append(frames_of(*(both if generator.random() < 0.5 else both[::-1])))
    people = tracks(detections, SQUARE)
    assert len(people) == 2
    for one in people:
        assert one.frames == list(range(40))
        assert np.ptp(one.sizes) < 1, "each is of one size throughout"


def test_who_is_lost_for_a_while_is_the_same_person_afterwards():
    detections = [frames_of(body_at(0.5, 0.5, 0.3)) if not 10 <= frame < 20 else frames_of() for frame in range(30)]
    [one] = tracks(detections, SQUARE)
    assert one.frames == [*range(10), *range(20, 30)]
    assert np.isnan(one.over(30)[15]).all()


def test_a_lost_person_is_not_revived_across_the_picture():
    detections = []
    for frame in range(300):
        people = [body_at(0.5, 0.5, 0.6)]
        if frame % 100 > 4:
            people.append(body_at(0.2 + 0.3 * (frame // 100), 0.6, 0.2, 1))
        detections.append(frames_of(*people))
    people = tracks(detections, SQUARE)
    assert sorted(len(one.frames) for one in people) == [95, 95, 95, 300]


def scene(picture):
    """An upright infant 650 pixels high and a parent who leans over, 1000 pixels wide, in a picture of any size."""
    infant, parent = BODY * 650, BODY @ np.array([[0, 1], [-1, 0]]) * 1000
    poses = np.full((2, 33, 5), 0.9, np.float32)
    poses[0, :, :2] = (infant + np.array([400, 600])) / picture
    poses[1, :, :2] = (parent + np.array([1300, 300])) / picture
    return poses


@pytest.mark.parametrize("width", [1080, 1920, 3840])
def test_a_leaning_parent_who_is_larger_in_pixels_is_larger_however_wide_the_picture(width):
    picture = (width, 1080)
    infant, parent = chosen(tracks([scene(picture)] * 20, picture), "smallest")
    assert infant.middles[0][0] == pytest.approx(400, abs=5) and parent.sizes[0] > 1.4 * infant.sizes[0]


@pytest.mark.parametrize("seed", range(10))
def test_a_wider_picture_of_the_same_scene_changes_no_track_and_no_choice(seed):
    generator = np.random.default_rng(seed)
    walk = np.cumsum(generator.normal(0, 30, (60, 3, 2)), axis=0) + generator.uniform(100, 900, (3, 2))
    body = generator.uniform(-0.5, 0.5, (3, 33, 2)) * generator.uniform(100, 600, (3, 1, 2))
    places = walk[:, :, None] + body + generator.normal(0, 5, (60, 3, 33, 2))
    seen = generator.uniform(size=(60, 3)) < 0.8
    found = generator.uniform(size=(60, 3, 33)) < 0.7
    outcomes = []
    for picture in ((1000, 1000), (2000, 1000), (500, 1000)):
        poses = np.full((60, 3, 33, 5), 0.9, np.float32)
        poses[..., :2] = places / picture
        poses[~found] = np.nan
        people = tracks([frame[there] for frame, there in zip(poses, seen, strict=True)], picture)
        middle = (400 / picture[0], 0.5)
        picks = [chosen(people, "smallest"), chosen(people, "largest"), chosen(people, "longest", middle)]
        outcomes.append([[one.frames for one in people] for people in picks])
    assert outcomes[0] == outcomes[1] == outcomes[2]


def test_people_of_seventeen_landmarks_without_hips_are_tracked():
    coco = [0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28]
    detections = []
    for frame in range(60):
        both = frames_of(body_at(0.3, 0.5, 0.2), body_at(0.7, 0.5, 0.5, 1))
        both[:, np.setdiff1d(range(33), coco)] = np.nan
        if frame % 3:
            both[:, 23:] = np.nan
        detections.append(np.concatenate([both, frames_of(np.full((33, 5), np.nan))]))
    infant, _ = chosen(tracks(detections, SQUARE), "smallest")
    assert infant.frames == list(range(60)) and infant.middles[0][0] < 500


def test_a_place_names_the_child_whatever_the_sizes():
    detections = [frames_of(body_at(0.2, 0.5, 0.2), body_at(0.7, 0.5, 0.5, 1))] * 20
    people = tracks(detections, SQUARE)
    assert chosen(people, "smallest", at=(0.75, 0.6))[0].middles[0][0] > 500
    assert chosen(people, "largest", at=(0.1, 0.4))[0].middles[0][0] < 500


def test_forgotten_people_take_no_memory_and_visible_people_are_kept():
    found = PersonTracker(SQUARE)
    for frame in range(300):
        passing = [body_at(0.1, 0.1, 0.05)] if frame < 20 else []
        found.add(frame, frames_of(body_at(0.5, 0.5, 0.3), *passing))
        found.forget(frame - 59)
    [one] = found.people
    assert one.frames == list(range(240, 300)) and len(one.poses) == len(one.sizes) == len(one.middles) == 60


def test_the_infant_is_the_smallest_of_those_who_stay():
    infant, parent, passing = (np.full((50, 33, 5), np.nan, np.float32) for _ in range(3))
    for frame in range(50):
        parent[frame] = body_at(0.5, 0.5, 0.8)
        infant[frame] = body_at(0.5, 0.6, 0.3, 1)
    passing[3:9] = body_at(0.1, 0.1, 0.05)
    infant[30:35] = np.nan
    people = [person_with(poses) for poses in (parent, passing, infant)]
    assert chosen(people, "smallest")[0] is people[2]
    assert chosen(people, "largest")[0] is people[0]
    assert chosen(people, "longest")[0] is people[0]
    assert len(chosen(people, "smallest")) == 3
    assert chosen([], "smallest") == []


# ---- even time


def moving(times_s):
    """A pose whose every value is the time."""
    return np.broadcast_to(np.asarray(times_s, np.float32)[:, None, None], (len(times_s), 33, 5)).copy()


@pytest.mark.parametrize("fps", [30, 25, 59.94, 24, 120, 15])
def test_even_movement_stays_even_at_thirty_frames_a_second(fps):
    times_s = np.arange(round(4 * fps)) / fps
    poses = resampled(times_s, moving(times_s))
    assert len(poses) == int(times_s[-1] * 30 + 1e-3) + 1
    np.testing.assert_allclose(poses[:, 5, 1], np.arange(len(poses)) / 30, atol=1e-4)


def test_at_thirty_frames_a_second_nothing_changes():
    times_s = np.round(np.arange(90) / 30, 3)  # as files round it
    poses = np.random.default_rng(0).uniform(0, 1, (90, 33, 5)).astype(np.float32)
    np.testing.assert_allclose(resampled(times_s, poses), poses, atol=0.02)


def test_frames_that_come_when_they_come_are_put_where_they_belong():
    times_s = np.sort(np.random.default_rng(0).uniform(0, 5, 200))
    poses = resampled(times_s, moving(times_s))
    filled = np.isfinite(poses[:, 0, 0])
    assert filled.mean() > 0.9
    np.testing.assert_allclose(poses[filled, 0, 0], (times_s[0] + np.arange(len(poses)) / 30)[filled], atol=0.02)


def test_what_was_not_seen_is_not_made_up():
    times_s = np.arange(100) / 25
    poses = moving(times_s)
    poses[40:60] = np.nan
    poses[:, 7] = np.nan
    even = resampled(times_s, poses)
    gap = (np.arange(len(even)) / 30 > times_s[39] + 1 / 60) & (np.arange(len(even)) / 30 < times_s[60] - 1 / 60)
    assert np.isnan(even[gap]).all()
    assert np.isnan(even[:, 7]).all()
    assert np.isfinite(even[~gap][:, 6]).all()
    apart = np.array([0.0, 1 / 30, 2.0, 2 + 1 / 30])
    assert np.isnan(resampled(apart, moving(apart))[5:55]).all(), "a camera that stood still for two seconds"


def test_a_video_of_one_frame_is_one_pose():
    poses = moving([0.0])
    np.testing.assert_array_equal(resampled(np.array([0.0]), poses), poses)


@pytest.mark.parametrize("seed", range(20))
def test_frame_by_frame_time_is_made_even_as_in_one_go(seed):
    generator = np.random.default_rng(seed)
    steps_s = [generator.uniform(0, 0.2, 200), np.full(200, 1 / 30), np.full(200, 1 / 25)][seed % 3]
    times_s = np.round(5 + np.cumsum(steps_s), generator.choice([3, 9]))
    poses = generator.uniform(0, 1, (200, 33, 5)).astype(np.float32)
    poses[generator.uniform(size=200) < 0.2] = np.nan
    even = OnlineResampler()
    one_by_one = [even.add(float(time_s), pose) for time_s, pose in zip(times_s, poses, strict=True)]
    np.testing.assert_array_equal(np.concatenate(one_by_one), resampled(times_s, poses))
