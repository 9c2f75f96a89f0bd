"""What counts as seen: movement of the trunk inside the picture, whatever landmarks a pose model finds."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spasm.config.runtime import ABSTAIN
from spasm.data.landmarks import INDEX
from spasm.data.seen import MOST_APART, count_frames, describe_too_little, is_too_little, seen_frames

T = 150
FRAME = np.arange(T)
COCO = ("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
        "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
        "right_ankle")  # fmt: skip


def whole() -> np.ndarray:
    return np.random.default_rng(0).uniform(0.2, 0.8, (T, 33, 5)).astype(np.float32)


def only(frames: np.ndarray) -> np.ndarray:
    poses = whole()
    poses[~frames] = np.nan
    return poses


def of_landmarks(*names: str) -> np.ndarray:
    poses, kept = np.full((T, 33, 5), np.nan, dtype=np.float32), [INDEX[name] for name in names]
    poses[:, kept] = whole()[:, kept]
    return poses


def moved(x: float, y: float, scale: float = 1.0) -> np.ndarray:
    poses = whole()
    poses[..., :2] = poses[..., :2] * scale + (x, y)
    return poses


HALF_SEEN = {
    "the lower half of each body is below the picture": np.where(
        (np.arange(33) >= INDEX["left_knee"])[:, None] & (np.arange(5) == 1), 1.4, whole()
    ).astype(np.float32),
    "only the legs and hips are in view": of_landmarks("left_hip", "right_hip", "left_knee", "right_knee"),
}
ENOUGH = {
    "every frame": whole(),
    "COCO-17, seen perfectly": of_landmarks(*COCO),
    "every second frame": only(FRAME % 2 == 0),
    "7.5 frames a second": only(FRAME % 4 == 0),
    "the child leaves after a second": only(FRAME < 30),
    "seen in two parts": only((FRAME < 20) | (FRAME > 130)),
    "28 % of the frames missing at once": only((FRAME < 60) | (FRAME > 101)),
    **HALF_SEEN,
}
TOO_LITTLE = {
    "no pose": only(FRAME < 0),
    "a photograph": only(FRAME == 70),
    "one frame at each end": only((FRAME == 0) | (FRAME == T - 1)),
    "1 frame a second": only(FRAME % 30 == 7),
    "3 frames a second": only(FRAME % 10 == 3),
    "5 frames a second": only(FRAME % 6 == 0),
    "half a second": only((FRAME >= 100) & (FRAME < 115)),
    "a head alone": of_landmarks("nose", "left_eye", "right_eye", "left_ear", "right_ear", "mouth_left", "mouth_right"),
    "the body beside the picture": moved(1.0, 0.0),
    "the body above the picture": moved(0.0, -1.0),
    "pixels": moved(0.0, 0.0, scale=640),
}  # fmt: skip


@pytest.mark.parametrize("poses", ENOUGH.values(), ids=ENOUGH)
def test_enough_is_seen_of(poses: np.ndarray) -> None:
    assert not is_too_little(count_frames(poses[None]), T, ABSTAIN).any()


@pytest.mark.parametrize("poses", TOO_LITTLE.values(), ids=TOO_LITTLE)
def test_too_little_is_seen_of(poses: np.ndarray) -> None:
    assert is_too_little(count_frames(poses[None]), T, ABSTAIN).all()


def test_with_0_only_a_segment_without_any_pose_is_refused_and_with_1_every_gap_counts() -> None:
    counts = count_frames(np.stack([*TOO_LITTLE.values(), *ENOUGH.values()]))
    assert is_too_little(counts, T, 0.0).tolist() == [True] + [False] * (len(counts) - 1)
    assert is_too_little(counts, T, 1.0).tolist() == [count < T for count in counts[:, 1]]


@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_a_frame_is_seen_between_two_poses_that_are_not_far_apart(found: list[bool]) -> None:
    poses = np.full((len(found), 33, 5), np.nan)
    poses[found] = 0.5
    expected = np.zeros(len(found), dtype=bool)
    places = np.flatnonzero(found)
    for before, after in itertools.pairwise(places):
        if after - before <= MOST_APART:
            expected[before : after + 1] = True
    assert seen_frames(poses).tolist() == expected.tolist()
    assert seen_frames(poses[None, None]).tolist() == [[expected.tolist()]]


def test_counts_do_not_depend_on_how_many_segments_are_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    poses = np.stack([*TOO_LITTLE.values(), *ENOUGH.values()])
    counts = count_frames(poses)
    monkeypatch.setattr("spasm.data.seen.BLOCK", 3)
    assert np.array_equal(count_frames(poses), counts)
    assert count_frames(poses[:0]).shape == (0, 2)


@pytest.mark.parametrize(
    ("posed", "seen", "text"),
    [
        (0, 0, "no pose in any frame"),
        (12, 12, "a pose in 12 of 150 frames"),
        (25, 0, "a pose in 25 of 150 frames, movement of the trunk in 0"),
    ],
)
def test_the_note_says_what_was_seen(posed: int, seen: int, text: str) -> None:
    note = describe_too_little(T, posed, seen)
    assert note.startswith(f"too little was seen: {text}")
