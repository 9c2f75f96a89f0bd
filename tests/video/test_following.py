"""Who is followed in a video: tracks hold one person, the child is chosen, and the choice is reported."""

import numpy as np
import pytest

from helpers.bodies import SQUARE, body_at, frames_of
from spasm.video import following, second_look
from spasm.video.tracking import chosen, distinct, tracks

FRAMES = 120


def scene(*people, frames=FRAMES, every=1):
    """Detections of frames: each of the people is a function from frame to pose, or None where they are not seen."""
    found = [[person(frame) for person in people] for frame in range(0, frames, every)]
    return [frames_of(*(pose for pose in poses if pose is not None)) for poses in found]


def child(frame):
    return body_at(0.3, 0.6, 0.25, seed=frame)


def parent(frame):
    return body_at(0.7, 0.5, 0.7, seed=frame + 1000)


def x_of(person):
    return float(np.median(person.middles, axis=0)[0])


# ---- tracks


def test_a_parent_who_comes_after_the_child_has_vanished_is_another_person():
    before = scene(child, frames=60)
    after = scene(parent, frames=60)
    for gap in (0, 1, 5, 30, 90):
        people = tracks([*before, *[frames_of()] * gap, *after], SQUARE)
        assert sorted(len(one.frames) for one in people) == [60, 60], gap


def test_a_parent_of_the_same_size_elsewhere_does_not_become_the_child():
    elsewhere = scene(lambda frame: body_at(0.9, 0.6, 0.25, seed=frame), frames=60)
    people = tracks([*scene(child, frames=60), *[frames_of()] * 40, *elsewhere], SQUARE)
    assert sorted(len(one.frames) for one in people) == [60, 60]


@pytest.mark.parametrize("every", [1, 2, 8])
def test_two_people_who_pass_each_other_keep_their_tracks(every):
    def left_to_right(frame):
        return body_at(0.2 + 0.6 * frame / FRAMES, 0.5, 0.5, seed=frame)

    def right_to_left(frame):
        return body_at(0.8 - 0.6 * frame / FRAMES, 0.62, 0.3, seed=frame)

    people = tracks(scene(left_to_right, right_to_left, every=every), SQUARE)
    whole = [one for one in people if len(one.frames) > 0.9 * FRAMES / every]
    assert len(whole) == 2
    for one in whole:
        steps = np.diff([middle[0] for middle in one.middles])
        assert (steps > -20).all() or (steps < 20).all(), "each goes on in one direction"
        assert np.ptp(one.sizes) < 0.2 * np.median(one.sizes)


def test_a_panned_camera_moves_everyone_and_keeps_the_tracks():
    def shift(frame):
        return 0.3 * np.clip((frame - 40) / 20, 0, 1)

    people = tracks(
        scene(
            lambda frame: body_at(0.2 + shift(frame), 0.6, 0.25, seed=frame),
            lambda frame: body_at(0.55 + shift(frame), 0.5, 0.6, seed=frame),
        ),
        SQUARE,
    )
    assert [len(one.frames) for one in people] == [FRAMES, FRAMES]


def test_a_child_who_is_lost_while_the_camera_moves_a_little_is_joined():
    def moved(frame):
        return None if 50 <= frame < 60 else body_at(0.3 if frame < 50 else 0.36, 0.6, 0.25, seed=frame)

    [one] = tracks(scene(moved), SQUARE)
    assert len(one.frames) == FRAMES - 10


def test_at_four_frames_a_second_a_rocking_child_is_one_person():
    def rocking(frame):
        return body_at(0.3 + 0.03 * np.sin(frame), 0.6 + 0.02 * np.cos(2 * frame), 0.3, seed=frame)

    people = tracks(scene(rocking, parent, every=8), SQUARE)
    assert [len(one.frames) for one in people] == [15, 15]


def test_one_person_found_twice_and_a_body_in_a_head_are_left_out():
    adult = body_at(0.6, 0.6, 0.8)
    twice = body_at(0.605, 0.6, 0.82, seed=1)
    in_head = body_at(0.6, 0.3, 0.12)
    baby_in_arms = body_at(0.6, 0.5, 0.3)
    found = distinct(frames_of(adult, twice, in_head, baby_in_arms), SQUARE)
    assert len(found) == 2
    assert {round(float(np.ptp(pose[:, 1])), 1) for pose in found} == {0.3, 0.8}


# ---- the choice


def test_the_child_is_small_and_has_the_head_low():
    people = tracks(scene(parent, child), SQUARE)
    assert x_of(chosen(people, "child")[0]) < 500
    near_camera = scene(lambda frame: body_at(0.3, 0.9, 0.62, seed=frame), lambda frame: body_at(0.7, 0.4, 0.6))
    assert x_of(chosen(tracks(near_camera, SQUARE), "child")[0]) < 500, "as large as the parent, and lower"
    beside = scene(lambda frame: body_at(0.3, 0.3, 0.3, seed=frame), lambda frame: body_at(0.7, 0.5, 0.7))
    assert x_of(chosen(tracks(beside, SQUARE), "child")[0]) < 500, "much smaller, and held up"


def test_a_child_seen_in_a_third_of_the_frames_is_followed_and_a_moment_is_not():
    people = tracks(scene(parent, lambda frame: child(frame) if frame % 3 == 0 else None), SQUARE)
    assert x_of(chosen(people, "child")[0]) < 500
    people = tracks(scene(parent, lambda frame: child(frame) if frame < 5 else None), SQUARE)
    assert x_of(chosen(people, "child")[0]) > 500


def test_a_place_names_a_child_who_moves_even_if_seldom_seen():
    def crawling(frame):
        return body_at(0.1 + 0.5 * frame / FRAMES, 0.8, 0.25, seed=frame) if frame % 5 == 0 else None

    people = tracks(scene(parent, crawling), SQUARE)
    for place in ((0.12, 0.8), (0.35, 0.75)):
        assert len(chosen(people, "largest", place)[0].frames) == FRAMES // 5
    assert len(chosen(people, "child", (0.72, 0.45))[0].frames) == FRAMES


# ---- the report


def test_the_report_names_the_place_the_size_and_the_others():
    people = chosen(tracks(scene(parent, child), SQUARE), "child")
    seen = following.describe(people, FRAMES, SQUARE)
    assert seen.people == 2 and seen.notes == []
    assert seen.child_x == pytest.approx(0.3, abs=0.02) and seen.child_y == pytest.approx(0.5, abs=0.05)
    assert seen.others == "1 other person: larger, at the right, in 100% of the frames"
    assert "followed: the person at x 0.30" in seen.sentence()
    assert list(seen.columns()) == list(following.COLUMNS)


def test_fragments_of_one_person_are_not_counted_as_people():
    def parted(frame):
        return None if frame % 40 > 30 else body_at(0.1 + 0.4 * (frame // 40), 0.5, 0.6, seed=frame)

    people = tracks(scene(parted), SQUARE)
    assert len(people) > 1
    seen = following.describe(chosen(people, "child"), FRAMES, SQUARE)
    assert seen.people == 1
    assert any("only one person was seen at a time" in note for note in seen.notes)


def test_doubtful_choices_have_a_note():
    alone = chosen(tracks(scene(child), SQUARE), "child")
    assert "only one person was seen at a time" in following.describe(alone, FRAMES, SQUARE).notes[0]
    assert following.describe(alone, FRAMES, SQUARE, is_named=True).notes == []
    seldom = following.describe(alone, 3 * FRAMES, SQUARE)
    assert "the child was found in 33% of the frames only" in seldom.notes
    alike = scene(lambda frame: body_at(0.3, 0.5, 0.5, seed=frame), lambda frame: body_at(0.7, 0.5, 0.5, seed=frame))
    close = following.describe(chosen(tracks(alike, SQUARE), "child"), FRAMES, SQUARE)
    assert any("--at x,y" in note for note in close.notes)
    none = following.describe([], FRAMES, SQUARE)
    assert none.people == 0 and none.sentence() == "no person is visible" and none.columns()["child_x"] == ""


@pytest.mark.parametrize(
    ("times_s", "is_still", "part"),
    [
        (np.array([0.0]), True, "a single frame"),
        (np.arange(300) / 30, True, "as in a photograph"),
        (np.arange(10.0), False, "1 frame a second: too few"),
        (np.arange(50) / 5, False, "5 frames a second: too few"),
        (np.arange(20) * 4.0, False, "0.25 frame a second: too few"),
    ],
)
def test_a_video_that_shows_no_movement_has_a_note(times_s, is_still, part):
    [note] = following.recording_notes(times_s, is_still)
    assert part in note


def test_ordinary_frame_rates_have_no_note():
    for fps in (10, 12.5, 15, 25, 30, 60):
        assert following.recording_notes(np.arange(100) / fps, False) == []


# ---- the second look


def test_only_people_beside_those_known_are_new():
    known = frames_of(parent(0))
    beside = body_at(0.3, 0.6, 0.35)
    inside, tiny, outside = body_at(0.7, 0.6, 0.3), body_at(0.2, 0.5, 0.2), body_at(1.2, 0.5, 0.3)
    found = second_look.new_people(frames_of(beside, inside, tiny, outside, parent(1)), known, SQUARE)
    assert len(found) == 1
    np.testing.assert_array_equal(found[0], beside)


@pytest.mark.parametrize("picture", [(640, 480), (1080, 1920), (100, 100)])
def test_the_parts_cover_the_picture(picture):
    covered = np.zeros(picture[::-1], bool)
    for left, top, width, height in second_look.parts(picture):
        assert left + width <= picture[0] and top + height <= picture[1]
        covered[top : top + height, left : left + width] = True
    assert covered.all()
