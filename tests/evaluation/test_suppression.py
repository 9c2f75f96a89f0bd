"""What rests on few children is suppressed, also where it could be computed from the total and the rest."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spasm.evaluation.suppression import COUNT, segment_supports, suppressed_cells


def cells(**counts: int) -> dict[str, dict[str, frozenset[int]]]:
    """A table of cells with so many children each, none in two of them."""
    number = itertools.count()
    return {name: {COUNT: frozenset(itertools.islice(number, count))} for name, count in counts.items()}


def hidden(table, fewest=5):
    return {name for name, metrics in suppressed_cells(table, fewest).items() if COUNT in metrics}


def test_a_cell_with_enough_children_is_given_out():
    assert hidden(cells(boys=5, girls=9)) == set()


def test_of_two_cells_the_small_one_takes_the_other_with_it_because_the_total_is_known():
    assert hidden(cells(boys=4, girls=90)) == {"boys", "girls"}


def test_of_several_cells_the_next_smallest_is_suppressed_too():
    assert hidden(cells(a=3, b=20, c=7, d=30)) == {"a", "c"}


def test_two_small_cells_that_together_have_enough_children_are_enough():
    assert hidden(cells(a=3, b=2, c=7)) == {"a", "b"}
    assert hidden(cells(a=1, b=2, c=7, d=8)) == {"a", "b", "c"}


def test_a_metric_is_suppressed_by_the_children_that_it_rests_on():
    table = cells(a=20, b=20, c=30)
    for name, positives in (("a", 2), ("b", 9), ("c", 6)):
        table[name]["sensitivity"] = frozenset(list(table[name][COUNT])[:positives])
    found = suppressed_cells(table, 5)
    assert found == {"a": {"sensitivity"}, "b": set(), "c": {"sensitivity"}}


def test_a_metric_that_rests_on_no_child_is_undefined_and_needs_no_partner():
    table = cells(controls=20, patients=20)
    table["controls"]["sensitivity"], table["patients"]["sensitivity"] = frozenset(), table["patients"][COUNT]
    assert suppressed_cells(table, 5) == {"controls": set(), "patients": set()}


def test_a_suppressed_cell_has_no_metric_left():
    table = cells(a=2, b=4, c=30)
    for of_cell in table.values():
        of_cell["brier"] = of_cell[COUNT]
    assert suppressed_cells(table, 5) == {"a": {COUNT, "brier"}, "b": {COUNT, "brier"}, "c": set()}


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=6), st.integers(2, 8))
def test_what_remains_never_gives_away_a_group_of_fewer_children(counts, fewest):
    table = cells(**{f"c{number}": count for number, count in enumerate(counts)})
    gone = hidden(table, fewest)
    left_out = sum(len(table[name][COUNT]) for name in gone)
    assert all(len(of_cell[COUNT]) in (0, *range(fewest, 13)) for name, of_cell in table.items() if name not in gone)
    everyone = sum(counts)
    if gone and everyone >= fewest:  # the total minus what is given out
        assert (left_out >= fewest and len(gone) > 1) or left_out == everyone


def test_metrics_rest_on_the_rarer_side():
    child = np.repeat(np.arange(10), 4)
    labels, positive = np.zeros(40, dtype=int), np.zeros(40, dtype=bool)
    labels[[0, 4, 8]] = 1
    positive[:20] = True
    found = {name: len(support) for name, support in segment_supports(labels, positive, child).items()}
    assert found[COUNT] == found["brier"] == 10
    assert {count for name, count in found.items() if name not in (COUNT, "brier")} == {3}
    controls = segment_supports(np.zeros(40, dtype=int), positive, child)
    assert len(controls["prevalence"]) == 10 and len(controls["specificity"]) == 5 and not controls["sensitivity"]
    assert len(controls["precision"]) == 5


@pytest.mark.parametrize("count", [1, 4])
def test_one_cell_alone_is_suppressed_when_small(count):
    assert hidden(cells(only=count)) == {"only"}


def test_sensitivity_and_specificity_rest_on_the_children_with_an_alarm_since_they_give_away_the_precision():
    child = np.repeat(np.arange(10), 4)
    labels, positive = np.tile([1, 0, 0, 0], 10), np.zeros(40, dtype=bool)
    positive[:12] = True
    found = {name: len(support) for name, support in segment_supports(labels, positive, child).items()}
    of_alarms = {"precision", "f1", "sensitivity", "specificity"}
    assert {name for name, count in found.items() if count == 3} == of_alarms
    assert {count for name, count in found.items() if name not in of_alarms} == {10}
    only = {name: len(support) for name, support in segment_supports(np.ones(40), positive, child).items()}
    assert only["f1"] == only["sensitivity"] == 3, "of spasms alone, F1 gives away the sensitivity"
    silent = segment_supports(labels, np.zeros(40, dtype=bool), child)
    assert len(silent["sensitivity"]) == len(silent["specificity"]) == 10, "that none has an alarm is about all"
