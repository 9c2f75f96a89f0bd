"""The children of a report: how each was answered, and how well it was filmed."""

import dataclasses
import hashlib
from typing import Any

import numpy as np

from spasm.errors import printable
from spasm.report import figures
from spasm.report.answers import Answers
from spasm.report.figures import Drawing
from spasm.segments import found, inside_picture

BLOCK = 256  # poses read at once


@dataclasses.dataclass(frozen=True, eq=False)
class Quality:
    """How well each of C children was filmed; NaN where it was never found."""

    names: list[str]
    missing: np.ndarray
    """Share of frames without any landmark."""
    outside: np.ndarray
    """Share of found landmarks outside the picture."""
    jitter: np.ndarray
    """Median absolute second difference of x and y, in hundredths of the picture."""
    twice: int
    """Segments whose values are those of another one."""
    without_pose: int
    """Segments in which nothing was found."""


QUALITY_CAPTION = (
    "Children by each measure, the worst first. Frames missing: no landmark found. Outside: found landmarks beyond the "
    "picture's edge. Jitter: median second difference of positions; it grows with movement too."
)


def child_quality(answers: Answers) -> Quality:
    """Reads all poses once, a block at a time."""
    count = len(answers.names)
    missing, outside, jitter = np.full((3, count), np.nan)
    seen: dict[bytes, int] = {}
    twice = 0
    for start in range(0, count, BLOCK):
        poses = np.array(answers.poses[start : start + BLOCK])
        there = found(poses)
        block = slice(start, start + len(poses))
        missing[block] = 1 - there.any(axis=2).mean(axis=1)
        total = there.sum(axis=(1, 2))
        with np.errstate(invalid="ignore"):
            outside[block] = (there & ~inside_picture(poses)).sum(axis=(1, 2)) / total
        bends = np.abs(np.diff(np.where(there[..., None], poses[..., :2], np.nan), n=2, axis=1))
        for row, bend in enumerate(bends):
            if np.isfinite(bend).any():
                jitter[start + row] = 100 * np.nanmedian(bend)
            if total[row]:
                digest = hashlib.sha256(poses[row].tobytes()).digest()
                twice += digest in seen
                seen.setdefault(digest, start + row)
    names, place = np.unique(np.asarray(answers.children, dtype=str), return_inverse=True)
    means, count = [], len(names)
    for values in (missing, outside, jitter):
        known = np.isfinite(values)
        with np.errstate(invalid="ignore"):
            means.append(np.bincount(place[known], values[known], count) / np.bincount(place[known], minlength=count))
    return Quality([str(name) for name in names], *means, twice, int((missing == 1).sum()))


def quality_figure(quality: Quality) -> Drawing:
    return figures.quality(
        quality.names,
        {
            "Frames missing": ("share of frames", quality.missing),
            "Outside the picture": ("share of landmarks", quality.outside),
            "Jitter": ("hundredths of the picture", quality.jitter),
        },
    )


def quality_lines(answers: Answers, quality: Quality) -> list[str]:
    lines = [
        f"{np.nanmean(quality.missing):.1%} of frames have no pose, in the median child "
        f"{np.nanmedian(quality.missing):.1%}; {quality.without_pose} of {len(answers.names)} segments have none.",
        f"{quality.twice} segments hold exactly the same values as another one.",
    ]
    if answers.labels is not None:
        lines.append("Whether errors go with bad recordings: sort the table of children by these columns.")
    return lines


def group_columns(answers: Answers) -> list[str]:
    """Columns of groups.csv."""
    return sorted({column for row in answers.groups.values() for column in row} - {"child"})


def children_table(answers: Answers, quality: Quality) -> dict[str, Any]:
    """The table of children: columns, rows with what is shown and what is sorted by, the worst first."""
    groups, labels = group_columns(answers), answers.labels
    place = np.unique(np.asarray(answers.children, dtype=str), return_inverse=True)[1]
    columns = [
        ("child", "the child's id"),
        *((name, "from groups.csv") for name in groups),
        ("segments", "of the child"),
    ]
    columns += (
        [("spasms", "segments labelled 1"), ("wrong", "share of segments answered wrongly"),
         ("missed", "labelled 1, called negative"), ("false alarms", "labelled 0, called positive"),
         ("Brier", "mean squared error of the probability")]
        if labels is not None else
        [("positive", "segments called positive"), ("highest", "highest probability"), ("mean", "mean probability")]
    )  # fmt: skip
    columns += [("frames missing", "share without any landmark"), ("outside", "landmarks beyond the picture's edge"),
                ("jitter", "median second difference, hundredths of the picture")]  # fmt: skip
    rows = []
    for number, name in enumerate(quality.names):
        mine = np.flatnonzero(place == number)
        chances, called = answers.probability[mine], answers.positive[mine]
        cells: list[tuple[Any, str]] = [(name, printable(name))]
        cells += [
            (value, printable(value)) for value in (answers.groups.get(name, {}).get(group, "") for group in groups)
        ]
        cells.append((len(mine), str(len(mine))))
        if labels is not None:
            truth = labels[mine] == 1
            missed, alarms = int((truth & ~called).sum()), int((~truth & called).sum())
            share, loss = (missed + alarms) / len(mine), float(((chances - truth) ** 2).mean())
            cells += [(int(truth.sum()), str(int(truth.sum()))), (share, f"{missed + alarms} ({share:.0%})"),
                      (missed, str(missed)), (alarms, str(alarms)), (loss, f"{loss:.3f}")]  # fmt: skip
            wrong, order = missed + alarms, (-share, -loss)
        else:
            cells += [(int(called.sum()), str(int(called.sum()))), (float(chances.max()), f"{chances.max():.2f}"),
                      (float(chances.mean()), f"{chances.mean():.2f}")]  # fmt: skip
            wrong, order = 0, (-float(chances.max()), 0.0)
        for values, shown in ((quality.missing, "{:.0%}"), (quality.outside, "{:.0%}"), (quality.jitter, "{:.2f}")):
            value = float(values[number])
            cells.append((value, shown.format(value)) if np.isfinite(value) else ("", "–"))
        shown_cells = [{"value": value, "text": text} for value, text in cells]
        rows.append((order, {"number": number, "wrong": wrong, "cells": shown_cells}))
    rows.sort(key=lambda row: row[0])
    order = "The worst first: by the share of wrong answers, then by the Brier score."
    if labels is None:
        order = "The highest probability first."
    return {
        "child_columns": [{"name": name, "title": title} for name, title in columns],
        "first_sort": len(groups) + 3,  # the column of wrong answers, or of the highest probability
        "children": [row for _, row in rows],
        "children_line": f"{order} A click on a column sorts by it; a click on a child opens its segments.",
    }
