"""The children of a report: how each was answered, and how well it was filmed."""

import dataclasses
import hashlib
from typing import Any

import numpy as np

from spasm.core.errors import printable
from spasm.data.pose import inside_picture, visible_mask
from spasm.report import figures
from spasm.report.figures import Plot
from spasm.report.predictions import Answers, percent

BLOCK = 40_000  # frames read at once


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
    missing_of_all: float
    """The share of all frames without any landmark."""
    twice: int
    """Segments whose values are those of an earlier one."""


QUALITY_CAPTIONS = {
    "quality-missing": "Frames in which no landmark was found, by child, the worst first.",
    "quality-outside": "Found landmarks beyond the picture's edge, by child, the worst first.",
    "quality-jitter": "Median second difference of positions, by child, the worst first. It grows with movement too.",
}


def child_quality(answers: Answers) -> Quality:
    """Reads all poses once, a block at a time."""
    count = len(answers.names)
    missing, outside, jitter = np.full((3, count), np.nan)
    seen: dict[bytes, int] = {}
    twice = 0
    step = max(1, BLOCK // answers.poses.shape[1])
    for start in range(0, count, step):
        poses = np.array(answers.poses[start : start + step])
        there = visible_mask(poses)
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
    by_child = [str(name) for name in names]
    return Quality(by_child, means[0], means[1], means[2], float(missing.mean()), twice)


def quality_figures(quality: Quality) -> dict[str, Plot]:
    """One figure for each of QUALITY_CAPTIONS."""
    measures = (
        ("Frames missing", "share of frames", quality.missing),
        ("Outside the picture", "share of landmarks", quality.outside),
        ("Jitter", "hundredths of the picture", quality.jitter),
    )
    return {
        name: figures.quality(quality.names, *measure) for name, measure in zip(QUALITY_CAPTIONS, measures, strict=True)
    }


def quality_lines(answers: Answers, quality: Quality) -> list[str]:
    """What there is to say of the recordings together."""
    return [
        f"{percent(quality.missing_of_all)} of frames have no pose, in the median child "
        f"{percent(float(np.nanmedian(quality.missing)))}; {(~answers.has_pose).sum()} of {len(answers.names)} "
        "segments have none.",
        f"{quality.twice} segments repeat the very values of another one.",
    ]


def group_columns(answers: Answers) -> list[str]:
    """Columns of groups.csv."""
    return sorted({column for row in answers.groups.values() for column in row} - {"child"})


def children_table(answers: Answers, quality: Quality) -> dict[str, Any]:
    """The table of children: columns, rows with what is shown and what is sorted by, the worst first."""
    groups, labels = group_columns(answers), answers.labels
    place = np.unique(np.asarray(answers.children, dtype=str), return_inverse=True)[1]
    columns = [("child", "the child's id; a click opens its segments")]
    if labels is not None:
        columns += [("wrong", "segments answered wrongly, and their share"), ("missed", "labelled 1, called negative"),
                    ("false alarms", "labelled 0, called positive"), ("segments", "of the child"),
                    ("spasms", "segments labelled 1"), ("Brier", "mean squared error of the probability")]  # fmt: skip
    else:
        columns += [("highest", "highest probability"), ("positive", "segments called positive"),
                    ("segments", "of the child"), ("mean", "mean probability")]  # fmt: skip
    columns += [("frames missing", "share without any landmark"), ("outside", "landmarks beyond the picture's edge"),
                ("jitter", "median second difference, hundredths of the picture")]  # fmt: skip
    columns += [(name, "from groups.csv") for name in groups]
    rows = []
    for number, name in enumerate(quality.names):
        mine = np.flatnonzero(place == number)
        probabilities, called = answers.probability[mine], answers.positive[mine]
        cells: list[tuple[Any, str]] = [(name, printable(name))]
        if labels is not None:
            truth = labels[mine] == 1
            missed, alarms = int((truth & ~called).sum()), int((~truth & called).sum())
            wrong, share, loss = (
                missed + alarms,
                (missed + alarms) / len(mine),
                float(((probabilities - truth) ** 2).mean()),
            )
            cells += [(share, f"{wrong} ({percent(share)})"), *_counted(missed, alarms, len(mine), int(truth.sum()))]
            cells.append((loss, f"{loss:.3f}"))
            order = (-share, -loss)
        else:
            highest, mean = float(probabilities.max()), float(probabilities.mean())
            cells += [(highest, f"{highest:.2f}"), *_counted(int(called.sum()), len(mine)), (mean, f"{mean:.2f}")]
            wrong, order = 0, (-highest, -mean)
        for value in (float(quality.missing[number]), float(quality.outside[number])):
            cells.append((value, percent(value)) if np.isfinite(value) else ("", "–"))
        jitter = float(quality.jitter[number])
        cells.append((jitter, f"{jitter:.2f}") if np.isfinite(jitter) else ("", "–"))
        row = answers.groups.get(name, {})
        cells += [(row.get(group, ""), printable(row.get(group, ""))) for group in groups]
        words = " ".join([printable(name), *(printable(row.get(group, "")) for group in groups)]).lower()
        shown = [{"value": value, "text": text} for value, text in cells]
        rows.append((order, {"number": number, "wrong": wrong, "words": words, "cells": shown}))
    rows.sort(key=lambda row: row[0])
    sorted_by = "The worst first: by the share of wrong answers, then by the Brier score."
    if labels is None:
        sorted_by = "The highest probability first."
    return {
        "child_columns": [{"name": name, "title": title} for name, title in columns],
        "first_sort": 1,
        "children": [row for _, row in rows],
        "children_line": f"{sorted_by} A click on a column sorts by it; a click on a child opens its segments.",
    }


def _counted(*counts: int) -> list[tuple[int, str]]:
    return [(count, str(count)) for count in counts]
