"""Making folds of whole children, and reading folds from a file."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from helpers.segments import one
from spasm.core.errors import DataError, DataProblems
from spasm.data.folds import make_folds, one_class_folds, read_folds, why_untrainable

KINDS = ("stratified", "grouped")


def challenge_like(children=60, seed=0):
    """Labels and child of each segment: children differ in size and in prevalence."""
    generator = np.random.default_rng(seed)
    child = np.repeat(np.arange(children), generator.integers(2, 30, children))
    labels = (generator.random(len(child)) < generator.beta(0.5, 1, children)[child]).astype(int)
    return labels, tuple(str(number) for number in child)


def fold_of_child(children, fold_of):
    """The fold of each child; fails where a child has two."""
    folds = {}
    for child, fold in zip(children, fold_of.tolist(), strict=True):
        assert folds.setdefault(child, fold) == fold, f"child {child} is in two folds"
    return folds


# ---- dealing


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("folds", [2, 5, 10])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_segment_is_in_one_fold_and_no_child_in_two(kind, folds, seed):
    labels, children = challenge_like(seed=seed)
    fold_of = make_folds(labels, children, folds, kind, seed)
    assert fold_of.shape == labels.shape
    assert fold_of.dtype == np.int64
    assert set(fold_of.tolist()) == set(range(folds))
    fold_of_child(children, fold_of)


@pytest.mark.filterwarnings("ignore:The least populated class")
@settings(deadline=None, max_examples=40)
@given(
    sizes=st.lists(st.tuples(st.integers(1, 6), st.integers(0, 6)), min_size=2, max_size=12),
    folds=st.integers(2, 12),
    kind=st.sampled_from(KINDS),
)
@example(sizes=[(1, 1), (1, 1), (1, 0)], folds=3, kind="stratified")  # of neither class one for each fold
def test_any_children_are_dealt_whole_into_all_folds_or_refused(sizes, folds, kind):
    children = tuple(str(child) for child, (size, _) in enumerate(sizes) for _ in range(size))
    labels = np.array([int(i < positives) for size, positives in sizes for i in range(size)])
    try:
        fold_of = make_folds(labels, children, folds, kind, 0)
    except DataError as error:
        assert error.hint
        assert folds > len(sizes) or kind == "stratified"
    else:
        fold_of_child(children, fold_of)
        assert set(fold_of.tolist()) == set(range(folds))


def test_stratified_folds_have_a_more_even_prevalence_than_grouped_ones():
    spread = {
        kind: np.mean(
            [
                np.std([labels[fold_of == fold].mean() for fold in range(5)])
                for labels, children in (challenge_like(seed=seed) for seed in range(10))
                for fold_of in [make_folds(labels, children, 5, kind, 0)]
            ]
        )
        for kind in KINDS
    }
    assert spread["stratified"] < spread["grouped"] / 3
    assert spread["stratified"] < 0.03


@pytest.mark.parametrize("kind", KINDS)
def test_the_folds_depend_on_the_fold_seed_and_on_nothing_random_besides(kind):
    labels, children = challenge_like()
    first = make_folds(labels, children, 5, kind, 3)
    np.random.seed(99)  # noqa: NPY002 - the global state must not matter
    assert np.array_equal(make_folds(labels, children, 5, kind, 3), first)
    assert not np.array_equal(make_folds(labels, children, 5, kind, 4), first)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_listing_does_not_change_the_fold_of_a_child(kind, seed):
    labels, children = challenge_like(seed=seed)
    expected = fold_of_child(children, make_folds(labels, children, 5, kind, 0))
    order = np.random.default_rng(seed).permutation(len(labels))
    shuffled = tuple(children[i] for i in order)
    assert fold_of_child(shuffled, make_folds(labels[order], shuffled, 5, kind, 0)) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_fewer_children_than_folds_are_refused_with_the_number_that_works(kind):
    labels, children = np.array([0, 1, 0, 1, 0, 1]), tuple("aabbcc")
    with pytest.raises(DataError, match=r"3 children for 5 folds \(use --folds 3 or fewer\)"):
        make_folds(labels, children, 5, kind, 0)
    with pytest.raises(DataError, match="at least two children"):
        make_folds(labels, tuple("aaaaaa"), 5, kind, 0)


@pytest.mark.parametrize("kind", ["stratified", "grouped"])
def test_as_many_children_as_folds_have_one_each(kind):
    labels, children = np.array([0, 1] * 6), [f"{row // 2}" for row in range(12)]
    fold_of = make_folds(labels, children, 6, kind, 0)
    assert sorted(fold_of[::2]) == list(range(6))
    assert (fold_of[::2] == fold_of[1::2]).all()
    assert fold_of.dtype == np.int64


def test_fewer_segments_of_each_label_than_folds_are_refused_with_what_to_do():
    labels, children = np.array([0, 1, 0, 1, 0]), ["1", "2", "3", "4", "5"]
    with pytest.raises(DataError) as caught:
        make_folds(labels, children, 4, "stratified", 0)
    reason = "the training data: has fewer than 4 segments of each label"
    assert str(caught.value) == f"{reason} (use fewer --folds, or --splitter grouped)"


def test_folds_of_one_class_are_named():
    labels, fold_of = np.array([0, 0, 1, 0, 1, 1]), np.array([0, 0, 1, 1, 2, 2])
    assert one_class_folds(labels, fold_of) == [0, 2]
    assert one_class_folds(np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1])) == []


# ---- reading

NAMES = ("child_1_1.npy", "child_1_2.npy", "child_2_1.npy", "child_3_1.npy")
GOOD = ["child_1_1.npy,0", "child_1_2.npy,0", "child_2_1.npy,1", "child_3_1.npy,2"]


def messages_of(folder, lines):
    """The problems of a table of folds, as texts."""
    path = folder / "folds.csv"
    path.write_text("\n".join(["segment_name,fold", *lines]) + "\n")
    with pytest.raises(DataProblems) as caught:
        read_folds(path, NAMES)
    assert all(problem.path == path and problem.hint for problem in caught.value.problems)
    return [str(problem) for problem in caught.value.problems]


def test_folds_are_read_by_name_in_any_order_with_other_columns_beside(tmp_path):
    path = tmp_path / "folds.csv"
    path.write_text("fold,segment_name,note\n2,child_3_1.npy,x\n0,child_1_2.npy,\n1,child_2_1.npy,\n0,child_1_1.npy,\n")
    fold_of = read_folds(path, NAMES)
    assert fold_of.tolist() == [0, 0, 1, 2]
    assert fold_of.dtype == np.int64


def test_a_child_split_over_folds_is_refused(tmp_path):
    one(messages_of(tmp_path, [GOOD[0], "child_1_2.npy,1", *GOOD[2:]]), "child 1 is in two folds", "leaks")


def test_a_segment_without_a_fold_is_refused(tmp_path):
    one(messages_of(tmp_path, GOOD[:3]), "1 segments have no fold", "child_3_1.npy")


def test_a_fold_of_an_unknown_segment_is_refused(tmp_path):
    one(messages_of(tmp_path, [*GOOD, "child_9_1.npy,1"]), "not in train/", "child_9_1.npy")


def test_a_segment_that_is_there_twice_is_refused(tmp_path):
    one(messages_of(tmp_path, [*GOOD, GOOD[3]]), "child_3_1.npy is there twice")


@pytest.mark.parametrize("text", ["x", "-1", "1.0", "", "1e1", "²", "١", "9999999"])
def test_a_fold_that_is_no_whole_number_is_refused(tmp_path, text):
    messages = messages_of(tmp_path, [*GOOD[:3], f"child_3_1.npy,{text}"])
    assert "child_3_1.npy has the fold" in messages[0]
    assert "whole numbers from 0" in messages[0]


@pytest.mark.parametrize("folds", ["0013", "1123", "0000", "0024"])
def test_folds_with_a_hole_or_only_one_fold_are_refused(tmp_path, folds):
    lines = [f"{name},{fold}" for name, fold in zip(NAMES, folds, strict=True)]
    one(messages_of(tmp_path, lines), "uses the folds", "without a missing number, at least two")


def test_everything_wrong_with_the_folds_is_reported_at_once(tmp_path):
    lines = [GOOD[0], GOOD[0], "child_1_2.npy,1", "child_2_1.npy,x", "child_9_1.npy,0"]
    messages = messages_of(tmp_path, lines)
    for word in ("there twice", "child 1 is in two folds", "the fold 'x'", "not in train/: child_9_1.npy", "no fold"):
        assert sum(word in message for message in messages) == 1, (word, messages)
    assert len(messages) == 5


# ---- data that no folds can help


def why(positive_children: str, negative_children: str, without_pose: str = "") -> str:
    """Why segments of these children (one letter each) cannot be trained on; one segment for each letter."""
    children = [*positive_children, *negative_children]
    labels = np.array([1] * len(positive_children) + [0] * len(negative_children))
    posed = np.array([child not in without_pose for child in children])
    return str(why_untrainable("input", labels, children, posed) or "")


def test_segments_of_both_classes_in_two_children_can_be_trained_on():
    assert why("ab", "ab") == why("ab", "cd") == why("aab", "cde", without_pose="e") == ""


@pytest.mark.parametrize(
    ("positive", "negative", "without_pose", "kind", "child"),
    [("aaa", "abcd", "", "positive", "a"), ("abc", "bbb", "", "negative", "b"), ("abc", "abcd", "bc", "positive", "a")],
)
def test_a_class_of_one_child_is_named_with_the_child_and_fewer_folds_are_not_the_advice(
    positive, negative, without_pose, kind, child
):
    reason = why(positive, negative, without_pose)
    assert f"{kind} segments with a pose of child {child} only" in reason
    assert f"add {kind} segments of another child" in reason
    assert "fewer" not in reason


def test_data_without_any_pose_is_described_as_such():
    assert "no pose in any of its 5 segments" in why("ab", "abc", without_pose="abc")
    assert "no positive segment with a pose" in why("ab", "cde", without_pose="ab")
