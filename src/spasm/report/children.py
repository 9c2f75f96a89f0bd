"""The children of a report: how good the predictions and the recordings of each are."""

import dataclasses
import hashlib
from typing import Any

import numpy as np

from spasm.core.errors import printable
from spasm.data.quality import measure_quality
from spasm.report import model_figures
from spasm.report.figures import Plot
from spasm.report.predictions import SegmentPredictions, percent

BLOCK_FRAMES = 40_000  # read at once
Cell = tuple[Any, str]  # what a cell is sorted by, and its text


@dataclasses.dataclass(frozen=True, eq=False)
class Quality:
    """How good the poses of each of C children are; NaN where there is none."""

    names: list[str]
    missing: np.ndarray
    """(C,) fraction of frames without any landmark."""
    outside: np.ndarray
    """(C,) fraction of observed landmarks outside the picture."""
    jitter: np.ndarray
    """(C,) median absolute second difference of x and y, in hundredths of the picture."""
    missing_of_all: float
    """Fraction of all frames without any landmark."""
    duplicates: int
    """Segments with the same values as an earlier one."""


def child_quality(predictions: SegmentPredictions) -> Quality:
    """Reads all poses once, a block at a time."""
    count = len(predictions.names)
    missing, outside, jitter = np.full((3, count), np.nan)
    seen: dict[bytes, int] = {}
    duplicates = 0
    step = max(1, BLOCK_FRAMES // predictions.poses.shape[1])
    for start in range(0, count, step):
        poses = np.array(predictions.poses[start : start + step])
        block = slice(start, start + len(poses))
        measured = measure_quality(poses)
        missing[block], outside[block], jitter[block] = measured.missing, measured.outside, measured.jitter
        for row in range(len(poses)):
            if measured.missing[row] < 1:
                digest = hashlib.sha256(poses[row].tobytes()).digest()
                duplicates += digest in seen
                seen.setdefault(digest, start + row)
    names, place = np.unique(np.asarray(predictions.children, dtype=str), return_inverse=True)
    means, count = [], len(names)
    for values in (missing, outside, jitter):
        known = np.isfinite(values)
        with np.errstate(invalid="ignore"):
            means.append(np.bincount(place[known], values[known], count) / np.bincount(place[known], minlength=count))
    by_child = [str(name) for name in names]
    return Quality(by_child, means[0], means[1], means[2], float(missing.mean()), duplicates)


def quality_figures(quality: Quality) -> dict[str, Plot]:
    """Bar charts of each measure by child, the child with most frames missing first."""
    measures = (
        ("Frames without a pose", "% of frames", 100 * quality.missing),
        ("Landmarks outside the picture", "% of landmarks", 100 * quality.outside),
        ("Jitter", "% of the picture", quality.jitter),
    )
    return {"quality": model_figures.quality(quality.names, measures)}


def group_columns(predictions: SegmentPredictions) -> list[str]:
    """Columns of groups.csv."""
    return sorted({column for row in predictions.groups.values() for column in row} - {"child"})


def children_table(predictions: SegmentPredictions, quality: Quality) -> dict[str, Any]:
    """The table of children, the worst first: `columns`, and `rows` with what each cell shows and is sorted by."""
    groups = group_columns(predictions)
    place = np.unique(np.asarray(predictions.children, dtype=str), return_inverse=True)[1]
    rows = []
    for number, name in enumerate(quality.names):
        order, errors, cells = _prediction_cells(predictions, np.flatnonzero(place == number))
        group = [predictions.groups.get(name, {}).get(column, "") for column in groups]
        cells = [(name, printable(name)), *cells, *_quality_cells(quality, number)]
        cells += [(value, printable(value)) for value in group]
        search_text = " ".join(map(printable, (name, *group))).lower()
        shown = [{"value": value, "text": text} for value, text in cells]
        rows.append((order, {"number": number, "errors": errors, "search_text": search_text, "cells": shown}))
    rows.sort(key=lambda row: row[0])
    columns = [*_columns(predictions.labels is not None), *((name, "from groups.csv") for name in groups)]
    return {
        "columns": [{"name": name, "title": title} for name, title in columns],
        "sorted_by": 1,
        "rows": [row for _, row in rows],
    }


def _columns(labelled: bool) -> list[tuple[str, str]]:
    """Name and explanation of each column but those of groups."""
    about_predictions = [
        ("wrong", "segments with a wrong prediction, and their fraction"),
        ("missed", "spasms that are predicted negative"),
        ("false alarms", "segments without a spasm that are predicted positive"),
        ("segments", "of the child"),
        ("spasms", "segments with a spasm"),
        ("Brier", "mean squared error of the probability"),
    ]
    if not labelled:
        about_predictions = [
            ("highest", "highest probability"),
            ("positive", "segments predicted positive"),
            ("too little seen", "segments that could not be predicted: neither positive nor negative"),
            ("segments", "of the child"),
            ("mean", "mean probability of those that could be predicted"),
        ]
    return [
        ("child", "the child's id; a click opens its segments"),
        *about_predictions,
        ("frames missing", "fraction without any landmark"),
        ("outside", "landmarks outside the picture"),
        ("jitter", "median second difference of positions, % of the picture"),
    ]


def _prediction_cells(predictions: SegmentPredictions, rows: np.ndarray) -> tuple[tuple[float, float], int, list[Cell]]:
    """What a child, whose segments are in `rows`, is ordered by; how many predictions are wrong; its cells."""
    probabilities, positive = predictions.probability[rows], predictions.positive[rows]
    if predictions.labels is None:
        enough = ~predictions.too_little_seen[rows]
        counts = _count_cells(int((positive & enough).sum()), int((~enough).sum()), len(rows))
        if not enough.any():
            return (1.0, 1.0), 0, [("", "–"), *counts, ("", "–")]
        highest, mean = float(probabilities[enough].max()), float(probabilities[enough].mean())
        return (-highest, -mean), 0, [(highest, f"{highest:.2f}"), *counts, (mean, f"{mean:.2f}")]
    truth = predictions.labels[rows] == 1
    missed, false_alarms = int((truth & ~positive).sum()), int((~truth & positive).sum())
    errors = missed + false_alarms
    error_fraction, brier = errors / len(rows), float(((probabilities - truth) ** 2).mean())
    cells = [
        (error_fraction, f"{errors} ({percent(error_fraction)})"),
        *_count_cells(missed, false_alarms, len(rows), int(truth.sum())),
        (brier, f"{brier:.3f}"),
    ]
    return (-error_fraction, -brier), errors, cells


def _quality_cells(quality: Quality, number: int) -> list[Cell]:
    """Frames missing, landmarks outside and jitter of a child."""
    fractions = (float(quality.missing[number]), float(quality.outside[number]))
    jitter = float(quality.jitter[number])
    known = [(value, percent(value)) for value in fractions] + [(jitter, f"{jitter:.2f}")]
    return [(value, text) if np.isfinite(value) else ("", "–") for value, text in known]


def _count_cells(*counts: int) -> list[Cell]:
    return [(count, str(count)) for count in counts]
