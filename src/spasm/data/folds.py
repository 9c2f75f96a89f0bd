"""The fold that scores each segment. A child is never split; folds are made once per run or read from a file."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from spasm.core.errors import DataError, DataProblems, printable
from spasm.core.nearby import nearest_name
from spasm.core.tables import read_table
from spasm.data.naming import child_of


def make_folds(
    labels: np.ndarray, children: tuple[str, ...], folds: int, kind: Literal["stratified", "grouped"], seed: int
) -> np.ndarray:
    """Fold (N,) int64 of each segment; the segments of one child share a fold.

    labels: (N,) of 0 and 1. "stratified" also balances the prevalence between folds.
    Raises DataError where there are fewer children than folds.
    """
    from sklearn.model_selection import (
        GroupKFold,
        StratifiedGroupKFold,
    )  # slow import, only new runs need it

    count = len(set(children))
    if count < folds:
        hint = f"use --folds {count} or fewer" if count > 1 else "at least two children are needed"
        raise DataError("the training data", f"has {count} children for {folds} folds", hint)
    if kind == "stratified" and np.bincount(labels).max() < folds:  # scikit-learn would raise a bare ValueError
        hint = "use fewer --folds, or --splitter grouped"
        raise DataError("the training data", f"has fewer than {folds} segments of each label", hint)
    splitter_class = StratifiedGroupKFold if kind == "stratified" else GroupKFold
    splitter = splitter_class(folds, shuffle=True, random_state=seed)
    fold_of = np.full(len(labels), -1, dtype=np.int64)
    with warnings.catch_warnings():
        # scikit-learn warns of rare classes here; the caller has its own warning for folds with one class.
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        for fold, (_, scored) in enumerate(splitter.split(labels, labels, children)):
            fold_of[scored] = fold
    if len(np.unique(fold_of)) < folds:  # stratification of few unequal children can leave a fold empty
        hint = "use fewer --folds, another --fold-seed, or --splitter grouped"
        raise DataError("the training data", f"{count} children do not fill {folds} folds", hint)
    return fold_of


def read_folds(path: Path, names: tuple[str, ...]) -> np.ndarray:
    """Fold (N,) int64 of each named segment from a CSV with segment_name and fold.

    Raises DataProblems unless every segment has one row, every child one fold, and folds are numbered from 0.
    """
    problems: list[DataError] = []
    fold_of: dict[str, int] = {}
    fold_of_child: dict[str, int] = {}
    for row in read_table(path, ("segment_name", "fold")):
        name, text = row["segment_name"], row["fold"]
        if name in fold_of:
            problems.append(DataError(path, f"{name} is there twice", "delete one of the two"))
        elif not (text.isascii() and text.isdigit() and len(text) < 6):
            fold_of[name] = -1
            problems.append(DataError(path, f"{name} has the fold {text!r}", "folds are whole numbers from 0"))
        else:
            fold_of[name] = int(text)
            if fold_of_child.setdefault(child_of(name), int(text)) != int(text):
                reason = f"child {child_of(name)} is in two folds"
                problems.append(DataError(path, reason, "a child split over folds leaks: give all its rows one fold"))
    unknown, absent = sorted(set(fold_of) - set(names)), sorted(set(names) - set(fold_of))
    if unknown:
        near = nearest_name(unknown[0], absent or names)
        hint = f"{near} Names are whole, with .npy; delete rows of segments that are not there".strip()
        problems.append(DataError(path, f"{len(unknown)} segments are not in train/: {printable(unknown[0])}", hint))
    if absent:
        problems.append(DataError(path, f"{len(absent)} segments have no fold: {absent[0]}", "add a row for each"))
    used = set(fold_of.values())
    if not problems and (used != set(range(len(used))) or len(used) < 2):
        reason = f"uses the folds {', '.join(map(str, sorted(used)))}"
        problems.append(DataError(path, reason, "folds are 0, 1, ... without a missing number, at least two"))
    if problems:
        raise DataProblems(problems)
    return np.array([fold_of[name] for name in names], dtype=np.int64)


def why_untrainable(
    place: Path | str, labels: np.ndarray, children: Sequence[str], posed: np.ndarray
) -> DataError | None:
    """Why no split of these segments can be trained; None where one can.

    labels: (N,) of 0 and 1; posed: (N,) bool: the segment has a pose. place: what the error names.
    """
    if not posed.any():
        hint = "there is nothing to learn from: export the poses again"
        return DataError(place, f"cannot be trained on: it has no pose in any of its {len(labels):,} segments", hint)
    for label, kind in ((1, "positive"), (0, "negative")):
        rows = posed & (labels == label)
        owners = sorted(set(np.asarray(children)[rows]))
        if len(owners) > 1:
            continue
        if owners:
            reason = f"cannot be trained on: it has {kind} segments with a pose of child {owners[0]} only"
            why = f"while child {owners[0]} is held out, there is none to learn from, whatever the folds"
            return DataError(place, reason, f"{why}: add {kind} segments of another child")
        hint = f"there is nothing to learn from: add {kind} segments of at least two children"
        return DataError(place, f"cannot be trained on: it has no {kind} segment with a pose", hint)
    return None


def one_class_folds(labels: np.ndarray, fold_of: np.ndarray) -> list[int]:
    """Folds whose scored segments all have the same label, so that their AUC is undefined."""
    return [int(fold) for fold in np.unique(fold_of) if len(np.unique(labels[fold_of == fold])) < 2]
