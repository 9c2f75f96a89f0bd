"""What may be given out of a table about few children: no cell that rests on fewer than a given number of them.

A cell can also be computed from the total and the other cells. So where one is suppressed, further ones are, until the
suppressed cells together rest on enough children (complementary suppression: Hundepool et al. 2012, Statistical
Disclosure Control, section 4.5).
"""

from collections.abc import Mapping

import numpy as np

Support = frozenset[int]
"""The numbers of the children that a value rests on."""
COUNT = "count"
"""The name under which a table has the support of a whole cell, beside those of its metrics."""


def children_in(rows: np.ndarray, child: np.ndarray) -> Support:
    """The children of the rows (N,) bool; child: (N,), the number of each row's child."""
    return frozenset(np.unique(child[rows]).tolist())


def segment_supports(labels: np.ndarray, positive: np.ndarray, child: np.ndarray) -> dict[str, Support]:
    """The children that each metric of `metrics.evaluate` rests on, those on its rarer side.

    labels: (N,) of 0 and 1; positive: (N,) bool, the predicted labels; child: (N,). A fraction such as 33/38 shows its
    denominator. So the specificity, with the number of all segments, gives away how many spasms there are: it rests on
    the children with a spasm, too, and so do precision and sensitivity on both. Sensitivity and specificity, with the
    prevalence, give away the precision: they rest on the children with an alarm, as it does. Where one class has no
    segment, as of controls, or no segment has an alarm, that is a fact about all children.
    """
    everyone = children_in(np.ones(len(labels), dtype=bool), child)
    spasms, others = children_in(labels == 1, child), children_in(labels == 0, child)
    called = children_in(positive, child)
    rarer = min(spasms, others, key=len)
    mixed = rarer or everyone
    with_alarms = min(mixed, called or everyone, key=len)
    return {
        COUNT: everyone,
        "f1": with_alarms if spasms else spasms,
        "sensitivity": with_alarms if spasms else spasms,
        "specificity": with_alarms if others else others,
        "precision": min(mixed, called, key=len),
        "auc": rarer,
        "within_child_auc": min(rarer, spasms & others, key=len),
        "average_precision": rarer,
        "brier": everyone,
        "prevalence": mixed,
        "always_positive_f1": mixed,
        "slope": rarer,
        "offset": rarer,
    }


def is_too_few(support: Support, fewest: int) -> bool:
    """Whether a value rests on some children, but on too few; one that rests on none is undefined, and may be named."""
    return 0 < len(support) < fewest


def suppressed_cells(table: Mapping[str, Mapping[str, Support]], fewest: int) -> dict[str, set[str]]:
    """The metrics to be suppressed in each cell of a table whose cells together are the total.

    table: for each cell the support of each metric and, under COUNT, of the cell. A cell with COUNT among its
    suppressed metrics is suppressed as a whole, and so is its name.
    """
    hidden: dict[str, set[str]] = {cell: set() for cell in table}
    metrics = list(dict.fromkeys(metric for supports in table.values() for metric in supports))
    for metric in [COUNT, *(metric for metric in metrics if metric != COUNT)]:
        supports = {cell: of_cell[metric] for cell, of_cell in table.items() if of_cell[metric]}
        gone = {
            cell
            for cell, support in supports.items()
            if is_too_few(support, fewest) or (metric != COUNT and COUNT in hidden[cell])
        }
        left = sorted(supports.keys() - gone, key=lambda cell: (len(supports[cell]), cell))
        while gone and left and (len(gone) < 2 or len(frozenset().union(*(supports[cell] for cell in gone))) < fewest):
            gone.add(left.pop(0))
        for cell in gone:
            hidden[cell].add(metric)
        if metric == COUNT:
            for cell in gone:
                hidden[cell] |= set(metrics)
    return hidden
