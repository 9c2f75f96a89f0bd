"""The lock-box notes every evaluation and refuses a second one on the same data."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from spasm.core.errors import DataError
from spasm.runs import lock_box

DATA, OTHER, RUN = "a" * 64, "b" * 64, "c" * 64
POSES = [f"{number:016x}" for number in range(6)]


def test_the_first_evaluation_is_noted_and_the_second_refused_unless_asked_for_again(tmp_path):
    path = tmp_path / "lock.jsonl"
    assert lock_box.note(path, [RUN], DATA, POSES, False) == (1, 0)
    before = path.read_bytes()
    with pytest.raises(DataError) as caught:
        lock_box.note(path, ["d" * 64], DATA, POSES, False)
    assert "evaluation 1 of " in caught.value.reason and "used this data" in caught.value.reason
    assert "--again" in caught.value.hint and "number 2" in caught.value.hint
    assert path.read_bytes() == before
    assert lock_box.note(path, [RUN], DATA, POSES, True) == (2, 1)


def test_data_that_shares_some_poses_is_refused_too_since_two_totals_give_away_the_difference(tmp_path):
    path = tmp_path / "lock.jsonl"
    lock_box.note(path, [RUN], DATA, POSES, False)
    with pytest.raises(DataError, match="used 5 of these 5 segments and recordings"):
        lock_box.check(path, OTHER, POSES[:5], False)
    assert lock_box.note(path, [RUN], OTHER, ["f" * 16], False) == (1, 1)


def test_an_entry_holds_digests_of_run_data_and_code_and_its_date(tmp_path):
    path = tmp_path / "lock.jsonl"
    lock_box.note(path, [RUN], DATA, POSES, False)
    entry = json.loads(path.read_text())
    assert (entry["number"], entry["runs"], entry["data"], entry["poses"]) == (1, [RUN], DATA, POSES)
    assert entry["code"] == lock_box.code_digest() and entry["date"].endswith(" UTC")


def test_evaluations_at_the_same_time_lose_no_entry(tmp_path):
    path = tmp_path / "lock.jsonl"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: lock_box.note(path, [RUN], f"{n:064x}", [f"{n:016x}"], False), range(12)))
    assert [json.loads(line)["number"] for line in path.read_text().splitlines()] == list(range(1, 13))


@pytest.mark.parametrize(
    "damage", [lambda text: text[20:], lambda text: "[]\n" + text, lambda text: text.split("\n")[1]]
)
def test_a_damaged_lock_box_is_refused(tmp_path, damage):
    path = tmp_path / "lock.jsonl"
    for number in (1, 2):
        lock_box.note(path, [RUN], f"{number:064x}", [f"{number:016x}"], False)
    path.write_text(damage(path.read_text()))
    with pytest.raises(DataError):
        lock_box.check(path, OTHER, [], False)


def test_a_link_to_a_shared_lock_box_stays_a_link_and_the_shared_file_has_the_entry(tmp_path):
    shared, mine = tmp_path / "shared/lock.jsonl", tmp_path / "mine.jsonl"
    lock_box.note(shared, [RUN], OTHER, ["f" * 16], False)
    mine.symlink_to(shared)
    lock_box.prepare(mine, DATA, POSES, False)
    assert lock_box.note(mine, [RUN], DATA, POSES, False) == (1, 1)
    assert mine.is_symlink()
    with pytest.raises(DataError, match="used this data"):
        lock_box.note(shared, [RUN], DATA, POSES, False)


@pytest.mark.parametrize("place", ["/proc/lock.jsonl", "/proc/folder/lock.jsonl"])
def test_a_place_that_cannot_be_written_is_named_with_its_cause_and_at_once(place):
    with pytest.raises(DataError, match="cannot be written: No such file or directory") as caught:
        lock_box.prepare(Path(place), DATA, POSES, False)
    assert "--lock" in caught.value.hint


def test_preparing_leaves_the_lock_box_as_it_is(tmp_path):
    path = tmp_path / "lock.jsonl"
    assert lock_box.prepare(path, DATA, POSES, False) == (1, 0) and not path.exists()
    lock_box.note(path, [RUN], DATA, POSES, False)
    before = path.read_bytes()
    assert lock_box.prepare(path, OTHER, ["f" * 16], False) == (1, 1)
    assert path.read_bytes() == before
    assert {one.name for one in tmp_path.iterdir()} == {"lock.jsonl", "lock.jsonl.lock"}
