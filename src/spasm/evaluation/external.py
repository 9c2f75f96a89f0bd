"""The evaluation of a run on labelled segments of others, as aggregates that name no child.

Every function gives a tree for JSON. A value that rests on too few children is suppressed, see `suppression`.
"""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spasm.evaluation import bootstrap, curves, metrics
from spasm.evaluation.shareable import FEW_DIGITS, SUPPRESSED, Scale, rounded, shareable
from spasm.evaluation.suppression import (
    COUNT,
    Support,
    children_in,
    is_too_few,
    segment_supports,
    suppressed_cells,
)

COMPARED = ("f1", "sensitivity", "specificity", "auc", "within_child_auc", "average_precision", "brier")
CURVE_POINTS = 21  # of a curve that is given out; at single thresholds it would show single probabilities
CURVE_DIGITS = 2
NOT_GIVEN = "not given"  # the cell of what no table names
POSITIVE = "predicted_positive"
# Few alarms suppress these, but they are fractions over the children of the rarer class, as the prevalence is.
OVER = {"sensitivity": "prevalence", "specificity": "prevalence"}
Tree = dict[str, Any]


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluated:
    """N labelled segments with the predictions of one run."""

    labels: np.ndarray
    """(N,) of 0 and 1."""
    probabilities: np.ndarray
    """(N,) in 0..1."""
    positive: np.ndarray
    """(N,) bool: the predicted labels, at the run's own threshold."""
    children: np.ndarray
    """(N,) text."""
    too_little_seen: np.ndarray
    """(N,) bool: segments from whose prediction the run abstains."""
    seed: int
    """Of every resample of children. It must stay inside: who knows it can compute the counts of each child."""

    def __getitem__(self, rows: np.ndarray) -> "Evaluated":
        """Those of the rows (N,) bool."""
        arrays = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "seed"}
        return dataclasses.replace(self, **{name: array[rows] for name, array in arrays.items()})

    @property
    def child(self) -> np.ndarray:
        """(N,) the number of each segment's child."""
        return bootstrap.number_children(self.children)

    @property
    def supports(self) -> dict[str, Support]:
        """The children that each metric rests on."""
        return segment_supports(self.labels, self.positive, self.child)


def evaluate(one: Evaluated, fewest: int) -> Tree:
    """Every metric, calibration, curves, and the segments of which too little was seen beside the rest."""
    supports = one.supports
    hidden = {metric for metric, support in supports.items() if is_too_few(support, fewest)}
    tree: Tree = {
        "segments": len(one.labels),
        "children": len(supports[COUNT]),
        "metrics": _metrics(one, supports, hidden),
        "calibration": _calibration(one, supports, hidden),
        "reliability": [] if "prevalence" in hidden else reliability(one, fewest),
    }
    tree |= _curves(one, hidden)
    seen = np.where(one.too_little_seen, "too little seen", "enough seen")
    tree["abstention"] = partition(one, seen, fewest) if one.too_little_seen.any() else None
    return tree


def partition(one: Evaluated, cell_of: np.ndarray, fewest: int) -> Tree:
    """The metrics within each cell of a table; cell_of: (N,) text, one cell for each segment.

    `hidden_cells` counts the cells that are suppressed as a whole; their names are not given out.
    """
    child = one.child
    names = [str(name) for name in np.unique(cell_of)]
    table: dict[str, dict[str, Support]] = {}
    for name in names:
        rows = cell_of == name
        table[name] = segment_supports(one.labels[rows], one.positive[rows], child[rows])
    hidden = suppressed_cells(table, fewest)
    cells = {}
    for name in names:
        if COUNT in hidden[name]:
            continue
        part = one[cell_of == name]
        counts = {"segments": len(part.labels), "children": len(table[name][COUNT])}
        cells[name] = {**counts, "metrics": _metrics(part, table[name], hidden[name])}
    return {"cells": cells, "hidden_cells": len(names) - len(cells)}


def by_kind(one: Evaluated, kinds: Sequence[Sequence[str]], fewest: int) -> Tree:
    """For each kind of segment the fraction predicted positive, of those with a spasm and of the others.

    kinds: N times the kinds of a segment; one of several kinds counts for each, and one without any counts as
    NOT_GIVEN: without that cell the total would give it away. A fraction rests on the children with an alarm, too.
    """
    child, tree = one.child, {}
    kinds = [of_row or (NOT_GIVEN,) for of_row in kinds]
    for name, label in (("with_a_spasm", 1), ("without_a_spasm", 0)):
        rows = one.labels == label
        found = sorted({kind for row in np.flatnonzero(rows).tolist() for kind in kinds[row]})
        masks = {kind: rows & np.array([kind in of_row for of_row in kinds]) for kind in found}
        table = {
            kind: {COUNT: children_in(mask, child), POSITIVE: _with_alarms(mask, one.positive, child)}
            for kind, mask in masks.items()
        }
        hidden = suppressed_cells(table, fewest)
        cells = {}
        for kind, mask in masks.items():
            if COUNT in hidden[kind]:
                continue
            part = one[mask]
            count, value = len(table[kind][COUNT]), dict(SUPPRESSED)
            if POSITIVE not in hidden[kind]:
                value = _fraction_positive(part)
            cells[kind] = {"segments": len(part.labels), "children": count, POSITIVE: value}
        tree[name] = {"cells": cells, "hidden_cells": len(masks) - len(cells)}
    return tree


def _with_alarms(rows: np.ndarray, positive: np.ndarray, child: np.ndarray) -> Support:
    """The children with a positive prediction among the rows (N,) bool; all of the rows where there is none."""
    return children_in(rows & positive, child) or children_in(rows, child)


def _fraction_positive(one: Evaluated) -> Tree:
    """The fraction predicted positive, with its interval."""
    child = one.child
    count, called = int(child.max()) + 1, one.positive.astype(float)
    resampled = bootstrap.sample_children(count, np.random.default_rng(one.seed))
    replicates = bootstrap.mean_replicates(called, child, resampled)
    return shareable(float(called.mean()), replicates, count, "logit", count)


def compare(one: Evaluated, other: Evaluated, fewest: int) -> Tree:
    """The metrics of `one` minus those of `other` for the same segments, paired: in the same resamples of children."""
    count, found = len(one.supports[COUNT]), {}
    (point, replicates), (point_of_other, replicates_of_other) = (
        metrics.cluster_bootstrap(part.labels, part.probabilities, part.positive, list(part.children), seed=one.seed)
        for part in (one, other)
    )
    for metric in COMPARED:
        supports = [part.supports[metric] for part in (one, other)]
        if any(is_too_few(support, fewest) for support in supports):
            found[metric] = dict(SUPPRESSED)
            continue
        difference = replicates[metric] - replicates_of_other[metric]
        value = point[metric] - point_of_other[metric]
        found[metric] = shareable(value, difference, count, "identity", min(map(len, supports)))
    return found


def reliability(one: Evaluated, fewest: int) -> list[Tree]:
    """Bands of probability with the fraction of spasms in each; neighbours are merged until each has enough children.

    It has as many with the rarer label, or none with it. The limits are fixed: quantiles would be single probabilities.
    """
    child, edges = one.child, [*curves.BANDS]
    while len(edges) > 2:
        bands = [_between(one.probabilities, low, high) for low, high in itertools.pairwise(edges)]
        supports = [
            [children_in(rows & kept, child) for kept in (one.labels >= 0, one.labels == 1, one.labels == 0)]
            for rows in bands
        ]
        small = next((number for number, of in enumerate(supports) if any(is_too_few(s, fewest) for s in of)), None)
        if small is None:
            break
        del edges[small + 1 if small + 1 < len(edges) - 1 else small]
    bins = curves.reliability(one.labels, one.probabilities, list(one.children), np.array(edges), one.seed)
    shown = []
    for band in bins:
        values = {name: rounded(value) for name, value in dataclasses.asdict(band).items()}
        values |= {name: rounded(values[name], FEW_DIGITS) for name in ("observed_low", "observed_high")}
        shown.append({**values, "segments": band.segments, "children": band.children})
    return shown


def _between(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.asarray((values >= low) & ((values <= high) if high >= 1 else (values < high)))


def _metrics(one: Evaluated, supports: Mapping[str, Support], hidden: set[str]) -> Tree:
    count = len(supports[COUNT])
    point, replicates = metrics.cluster_bootstrap(
        one.labels, one.probabilities, one.positive, list(one.children), seed=one.seed
    )
    return {
        name: dict(SUPPRESSED)
        if name in hidden
        else shareable(point[name], replicates[name], count, "logit", len(supports[OVER.get(name, name)]))
        for name, _ in metrics.ROWS
    }


def _calibration(one: Evaluated, supports: Mapping[str, Support], hidden: set[str]) -> Tree:
    scale: Scale = "identity"
    count = len(supports[COUNT])
    point, replicates = metrics.calibration_replicates(one.labels, one.probabilities, list(one.children), one.seed)
    return {
        name: dict(SUPPRESSED)
        if name in hidden
        else shareable(point[name], replicates[name], count, scale, len(supports[name]))
        for name in ("slope", "offset")
    }


def _curves(one: Evaluated, hidden: set[str]) -> Tree:
    """ROC and precision-recall curves with bands, at a few places and rounded."""
    if hidden & {"auc", "average_precision"} or len(np.unique(one.labels)) < 2:
        return {"roc": None, "precision_recall": None}
    counts = curves.count(one.labels, one.probabilities, list(one.children), one.seed)
    step = (len(curves.FRACTIONS) - 1) // (CURVE_POINTS - 1)
    tree: Tree = {}
    for name, curve in (("roc", curves.roc(counts)), ("precision_recall", curves.precision_recall(counts))):
        lines = {"x": curve.x, "y": curve.y, "low": curve.low, "high": curve.high}
        tree[name] = {key: [round(float(value), CURVE_DIGITS) for value in line[::step]] for key, line in lines.items()}
    return tree
