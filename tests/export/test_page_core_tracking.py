"""The page follows the same people through a video as the library, and takes the same one for the child."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from helpers.bodies import body_at, frames_of
from helpers.browser import needs_browser
from helpers.page import PageModules, served
from spasm.video.tracking import Person, adult_score, chosen, distinct, tracks

pytestmark = needs_browser
TRACKS = """async (load, detections, picture, places) => {
  const {adultScore, chosen, personAt, tracks} = await load('core/tracking.js');
  const people = tracks(detections, picture);
  return {
    people: people.map((person) => (
      {frames: person.frames, score: adultScore(person, people), poses: person.over(detections.length)}
    )),
    order: chosen(people).map((person) => people.indexOf(person)),
    at: places.map(([x, y]) => people.indexOf(personAt(people, x, y))),
  };
}"""


@pytest.fixture(scope="module")
def page(browser: Any) -> Iterator[PageModules]:
    with served() as address:
        yield PageModules(browser, address)


def follow(page: PageModules, scene: list[np.ndarray], picture: tuple[int, int]) -> list[Person]:
    """The people of a scene, once the page has found the same."""
    rng = np.random.default_rng(len(scene))
    places = rng.uniform(-0.1, 1.1, (12, 2)).tolist()
    found = page.run(TRACKS, [list(poses) for poses in scene], picture, places)
    people = tracks(scene, picture)
    assert [one["frames"] for one in found["people"]] == [person.frames for person in people]
    for one, person in zip(found["people"], people, strict=True):
        np.testing.assert_array_equal(one["poses"].reshape(-1, 33, 5), person.over(len(scene)))
        assert one["score"] == pytest.approx(adult_score(person, people), abs=1e-12)
    number = {id(person): who for who, person in enumerate(people)}
    assert found["order"] == [number[id(person)] for person in chosen(people, "child")]
    assert found["at"] == [number[id(chosen(people, "child", (x, y))[0])] for x, y in places] if people else [-1] * 12
    return people


def walk(rng: np.random.Generator, frames: int, height: float, begin: float, end: float) -> list[np.ndarray | None]:
    """A person who walks from one x to another, swaying, lost in some frames and in a long gap."""
    y, sway = rng.uniform(0.4, 0.7), rng.uniform(0, 0.02)
    poses: list[np.ndarray | None] = []
    for frame in range(frames):
        x = begin + (end - begin) * frame / frames + sway * np.sin(frame / 3)
        pose = body_at(x, y, height, rng.integers(2**32), noise=0.01)
        pose[:, 3] = rng.uniform(0.3, 1, 33)
        pose[rng.random(33) < 0.1] = np.nan
        poses.append(pose if rng.random() > 0.08 else None)
    gap, length = rng.integers(0, frames), rng.integers(0, frames // 3)
    return [None if gap <= frame < gap + length else pose for frame, pose in enumerate(poses)]


def scene_of(seed: int, people: int, frames: int = 70) -> list[np.ndarray]:
    """People of different sizes who cross each other, vanish and return, found twice now and then, in any order."""
    rng = np.random.default_rng(seed)
    walks = [walk(rng, frames, rng.choice([0.25, 0.3, 0.5, 0.9]), *rng.uniform(0.1, 0.9, 2)) for _ in range(people)]
    scene = []
    for at in range(frames):
        there = [pose for one in walks if (pose := one[at]) is not None]
        if there and rng.random() < 0.1:  # found twice
            again = there[0].copy()
            again[:, :2] += rng.normal(0, 0.002, (33, 2)).astype(np.float32)
            again[:, 3] = there[0][rng.permutation(33), 3]  # nearly the same sum
            there.append(again)
        if there and rng.random() < 0.1:  # a small person on a head
            face = np.nanmean(there[-1][:11, :2], axis=0)
            there.append(body_at(*face, 0.1 * rng.uniform(0.3, 1), rng.integers(2**32)))
        if rng.random() < 0.05:
            few = np.full((33, 5), np.nan, np.float32)
            few[:2] = 0.5
            there.append(few)
        order = rng.permutation(len(there))
        scene.append(np.array([there[k] for k in order], np.float32).reshape(-1, 33, 5))
    return scene


@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:All-NaN slice")
@pytest.mark.parametrize("picture", [(640, 480), (1080, 1920)])
@pytest.mark.parametrize("people", [1, 2, 3])
def test_people_who_cross_vanish_and_return_are_followed_as_in_the_library(page, people, picture):
    counts = {len(follow(page, scene_of(100 * people + seed, people), picture)) for seed in range(2)}
    assert max(counts) >= people  # so that the scenes are what they claim


def test_a_person_who_returns_elsewhere_or_in_another_size_is_the_same_one_at_the_same_limits(page):
    """People who drift and grow, are lost for up to 20 frames, and return up to two sizes away and twice as large."""
    rng, scenes = np.random.default_rng(0), []
    for _ in range(60):
        before, lost, after = rng.integers(3, 24), rng.integers(0, 21), rng.integers(3, 24)
        height, drift, growth = rng.uniform(0.2, 0.4), rng.uniform(-0.003, 0.003), rng.uniform(0.98, 1.02)
        jump, ratio = rng.uniform(0, 0.25 * 2.4) * height, rng.choice([1.0, 1.9, rng.uniform(1, 2)])
        scene = []
        for frame in range(before + lost + after):
            returned = frame >= before + lost
            x = 0.4 + drift * frame + (jump if returned else 0)
            swollen = before - 14 <= frame < before - 6  # in most of the last 15 frames, not in most of the last 12
            tall = height * growth**frame * (ratio if returned else 1.4 if swollen else 1)
            scene.append(frames_of(body_at(x, 0.5, tall, frame)) if returned or frame < before else frames_of())
        scenes.append(scene)
    run = """async (load, scenes) => {
      const {tracks} = await load('core/tracking.js');
      return scenes.map((scene) => tracks(scene, [800, 600]).map((one) => one.frames));
    }"""
    found = page.run(run, [[list(poses) for poses in scene] for scene in scenes])
    ours = [[person.frames for person in tracks(scene, (800, 600))] for scene in scenes]
    assert found == ours
    assert 10 < sum(len(people) > 1 for people in ours) < 50


def test_two_people_who_cross_stay_two(page):
    left = [body_at(0.2 + 0.6 * frame / 60, 0.5, 0.3, frame) for frame in range(60)]
    right = [body_at(0.8 - 0.6 * frame / 60, 0.5, 0.8, 99 + frame) for frame in range(60)]
    scene = [np.array([b, a] if frame % 2 else [a, b]) for frame, (a, b) in enumerate(zip(left, right, strict=True))]
    people = follow(page, scene, (640, 480))
    assert [person.frames for person in people] == [list(range(60))] * 2
    np.testing.assert_array_equal(chosen(people, "child")[0].poses, left)


def test_a_video_without_people_gives_none(page):
    assert follow(page, [np.zeros((0, 33, 5), np.float32)] * 4, (640, 480)) == []


@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:All-NaN slice")
def test_duplicates_and_people_on_a_head_are_left_out_as_in_the_library(page):
    scenes = [poses for seed in range(4) for poses in scene_of(seed, 2) if len(poses) > 1]
    kept = page.each("core/tracking.js", "distinct", [[list(poses), (640, 480)] for poses in scenes])
    ours = [distinct(poses, (640, 480)) for poses in scenes]
    assert sum(map(len, ours)) < sum(map(len, scenes))
    for one, other in zip(kept, ours, strict=True):
        np.testing.assert_array_equal(np.array(one).reshape(-1, 33, 5), other)


def test_a_place_in_a_frame_names_the_person_seen_there_then(page):
    """Two people change places: where the child was at first, the adult is at the end."""
    child = [body_at(0.25 if frame < 30 else 0.75, 0.5, 0.2, frame) for frame in range(60)]
    adult = [body_at(0.75 if frame < 30 else 0.25, 0.5, 0.6, frame) for frame in range(60)]
    scene = [[a, b] for a, b in zip(child, adult, strict=True)]
    found = page.run(
        """async (load, detections) => {
          const {chosen, joined, personAt, PersonTracker, Person} = await load('core/tracking.js');
          const people = [0, 1].map((who) => {
            const one = new PersonTracker([640, 480]);
            detections.forEach((poses, frame) => one.add(frame, [poses[who]]));
            return new Person([640, 480], one.people.flatMap((part) => part.rows));
          });
          const at = (frame) => people.indexOf(personAt(people, 0.25, 0.4, frame));
          const first = chosen(people, people[1]).map((person) => people.indexOf(person));
          return {at: [at(3), at(50), at(1000)], first};
        }""",
        scene,
    )
    assert found["at"][:2] == [0, 1]
    assert found["at"][2] in (0, 1)
    assert found["first"] == [1, 0]
