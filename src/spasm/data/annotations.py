"""The tables of a data folder: segment names, labels, groups and onsets. No segment is opened here.

All files are untrusted input: whatever is wrong with one becomes a `DataError`, never another exception.
"""

import enum
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spasm.core.errors import DataError, collect_errors, shorten
from spasm.core.nearby import nearest_name
from spasm.core.tables import numbered_rows
from spasm.data.missing import import_hint, no_training_data
from spasm.data.naming import NAME_HINTS, NAME_PATTERNS, _list, child_of, name_hint, same_child_twice
from spasm.data.pose import FPS
from spasm.data.pose_files.recognise import describe_poses


class LabelLevel(enum.Enum):
    """Whether a label belongs to a segment or to a child."""

    SEGMENT = "segment"
    """Each segment has its own label."""
    CHILD = "child"
    """Each child has one label, which all its segments share; the child's prediction is the largest of its segments."""


class Labels(NamedTuple):
    """The content of train_data.csv."""

    labels: dict[str, int]
    """Label 0 or 1 of each segment name."""
    problems: list[DataError]
    warnings: list[DataError]
    named: set[str]
    """Every valid segment name in the table, also one whose label is refused."""


def read_labels(path: Path, names: str, root: Path | None = None) -> Labels:
    """Read segment_name and label, and name every bad line. Raises DataError if the table itself is unreadable."""
    labels: dict[str, int] = {}
    problems: list[DataError] = []
    decimal_lines: list[int] = []
    first_line: dict[str, int] = {}
    for line, row in numbered_rows(path, ("segment_name", "label"), root):
        name, text = row["segment_name"], row["label"]
        if not NAME_PATTERNS[names].fullmatch(name):
            problems.append(
                DataError(path, f"line {line}: {shorten(name)} is not a segment's name", name_hint(name, names))
            )
            continue
        if name in first_line:
            reason = f"line {line}: {name} is already in line {first_line[name]}"
            problems.append(DataError(path, reason, "delete one of the two"))
            continue
        first_line[name] = line
        if text not in ("0", "1", "0.0", "1.0"):
            problems.append(DataError(path, f"line {line}: label {shorten(text)} of {name}", "a label is 0 or 1"))
            continue
        labels[name] = int(text[0])
        if "." in text:  # pandas writes 1.0 if the column once had a blank
            decimal_lines.append(line)
    warnings = []
    if decimal_lines:
        reason = f"line {decimal_lines[0]}: {len(decimal_lines)} labels are written as 0.0 or 1.0"
        warnings.append(DataError(path, reason, "accepted as 0 and 1"))
    return Labels(labels, problems, warnings, set(first_line))


def read_onsets(path: Path, root: Path | None = None) -> tuple[dict[str, tuple[float, float]], list[DataError]]:
    """The EEG onset and the clinical onset of each segment in onsets.csv, in s from its start, and the bad lines."""
    onsets: dict[str, tuple[float, float]] = {}
    problems: list[DataError] = []
    for line, row in numbered_rows(path, ("segment_name", "eeg_onset_s", "clinical_onset_s"), root):
        name, texts = row["segment_name"], (row["eeg_onset_s"], row["clinical_onset_s"])
        try:
            eeg, clinical = map(float, texts)
        except ValueError:
            eeg = clinical = math.nan
        if not (math.isfinite(eeg) and math.isfinite(clinical) and eeg <= clinical):
            reason = f"line {line}: onsets {shorten(', '.join(texts))} of {shorten(name)}"
            hint = "give seconds from the segment's start, that of the EEG first; they may lie outside of it"
            problems.append(DataError(path, reason, hint))
        elif name in onsets:
            problems.append(DataError(path, f"line {line}: {shorten(name)} is there twice", "delete one of the two"))
        onsets[name] = (eeg, clinical)
    return onsets, problems


class Tables(NamedTuple):
    """The names, labels, groups and onsets of a data folder."""

    train: list[Path]
    test: list[Path]
    labels: dict[str, int]
    groups: dict[str, dict[str, str]]
    onsets: dict[str, tuple[float, float]]
    problems: list[DataError]
    warnings: list[DataError]


def read_tables(data: Path, names: str, frames: int) -> Tables:
    """List train/ and test/, read train_data.csv, groups.csv and onsets.csv, and compare them with each other.

    frames: T, which onsets are compared with.
    """
    if not any(os.path.lexists(data / name) for name in ("train", "train_data.csv")):
        raise no_training_data(data)
    problems: list[DataError] = []
    warnings: list[DataError] = []
    train: list[Path] = []
    test: list[Path] = []
    groups: dict[str, dict[str, str]] = {}
    onsets: dict[str, tuple[float, float]] = {}
    labels = Labels({}, [], [], set())
    train_folder, test_folder, table, group_table, onset_table = (
        data / name for name in ("train", "test", "train_data.csv", "groups.csv", "onsets.csv")
    )

    with collect_errors(problems):
        train, wrong = _list(train_folder, names, data)
        problems += wrong
        if not train and not wrong:
            poses = describe_poses(train_folder)
            reason = f"holds no segment, but poses of another tool: {poses}" if poses else "holds no segment"
            problems.append(DataError(train_folder, reason, import_hint(train_folder) if poses else NAME_HINTS[names]))
    if os.path.lexists(test_folder):
        with collect_errors(problems):
            test, wrong = _list(test_folder, names, data)
            problems += wrong
    with collect_errors(problems):
        labels = read_labels(table, names, data)
        problems += labels.problems
        warnings += labels.warnings
        # Without any file, report the one problem above, not one more for each row.
        entries = {entry.name for entry in train_folder.glob("*.npy")} if train else labels.named
        for path in train:
            if path.name not in labels.named:
                problems.append(DataError(path, "has no label", "add it to train_data.csv or delete it"))
        problems += [
            DataError(
                train_folder / name, "has a label but no file", "add the file, or delete its row in train_data.csv"
            )
            for name in sorted(labels.named - entries)
        ]
        if labels.labels and len(set(labels.labels.values())) == 1:
            reason = f"every label is {next(iter(labels.labels.values()))}"
            warnings.append(DataError(table, reason, "training refuses one class: it needs 0 and 1"))

    children, test_children = ({child_of(path.name) for path in paths} for paths in (train, test))
    for child in sorted(children & test_children):
        hint = "a child on both sides makes every result look better than it is: move it to one side"
        problems.append(DataError(test_folder, f"child {child} is in train and in test", hint))
    problems += same_child_twice(data, children | test_children)
    if os.path.lexists(group_table):
        with collect_errors(problems):
            for line, row in numbered_rows(group_table, ("child",), data):
                if row["child"] in groups:
                    reason = f"line {line}: child {shorten(row['child'])} is there twice"
                    problems.append(DataError(group_table, reason, "delete one of the two"))
                groups[row["child"]] = row
            absent = sorted(children - set(groups))
            strange = sorted(set(groups) - children - test_children)
            if absent:
                reason = f"{len(absent)} of {len(children)} children are not in it, such as {', '.join(absent[:5])}"
                if strange:  # a typing error, not a child that was left out
                    reason += f"; {len(strange)} of its children have no segment, such as {shorten(strange[0])}"
                    hint = f"{nearest_name(strange[0], absent) or 'correct the ids'} Ids are text: 007 is not 7"
                    problems.append(DataError(group_table, reason, hint))
                else:
                    warnings.append(DataError(group_table, reason, "accepted; add them to report by group"))
    if os.path.lexists(onset_table):
        with collect_errors(problems):
            onsets, wrong = read_onsets(onset_table, data)
            problems += wrong
            known = {path.name for path in (*train, *test)}
            strange = sorted(set(onsets) - known)
            if strange and train:
                reason = f"{len(strange)} of its segments have no file, such as {shorten(strange[0])}"
                hint = f"{nearest_name(strange[0], known) or 'delete their rows.'} Names are whole, with .npy"
                problems.append(DataError(onset_table, reason, hint))
            targeted = check_targets(onset_table, labels.labels, {} if wrong else onsets, frames)
            problems += targeted.problems
            warnings += targeted.warnings
    return Tables(train, test, labels.labels, groups, onsets, problems, warnings)


def group_values(groups: Mapping[str, Mapping[str, str]], children: Sequence[str], column: str) -> np.ndarray:
    """The value (N,) text in a column of groups.csv of each segment's child.

    groups: the row of each child. Raises DataError for an unknown column, and for a child without a value.
    """
    if not groups:
        raise DataError("groups.csv", "is not in the data folder", f"write it with the columns child,{column}")
    columns = sorted({name for row in groups.values() for name in row} - {"child"})
    if column not in columns:
        hint = f"{nearest_name(column, columns)} Its columns are {', '.join(columns) or 'none'}".strip()
        raise DataError("groups.csv", f"has no column {shorten(column)}", hint)
    values = np.array([groups.get(child, {}).get(column, "") for child in children])
    if "" in values:
        missing = min(set(np.asarray(children)[values == ""]))
        raise DataError("groups.csv", f"child {missing} has no {column}", "name a column that all children have")
    return values


STEEPNESS = 5.0  # VSViG does not publish it; a re-implementation uses this value


def ramp(time_s: float, eeg_onset_s: float, clinical_onset_s: float) -> float:
    """VSViG's target probability for a clip that ends at `time_s`.

    0 before the onset in the EEG, 1 from the clinical onset on, between them (exp(k u) - 1) / (exp(k) - 1), where u
    runs from 0 to 1 and k is STEEPNESS (Xu et al. 2024, arXiv 2311.14775).
    """
    if time_s >= clinical_onset_s:
        return 1.0
    if time_s <= eeg_onset_s:
        return 0.0
    passed = (time_s - eeg_onset_s) / (clinical_onset_s - eeg_onset_s)
    return math.expm1(STEEPNESS * passed) / math.expm1(STEEPNESS)


MISSED = 0.01  # a target below this teaches a positive segment to be negative


class TargetProblems(NamedTuple):
    """What is wrong with the targets that onsets give."""

    problems: list[DataError]
    warnings: list[DataError]


def check_targets(
    table: Path, labels: Mapping[str, int], onsets: Mapping[str, tuple[float, float]], frames: int
) -> TargetProblems:
    """Compare the targets from onsets.csv with the labels; frames: T.

    Targets near 0 of most positives are a problem: onsets in another unit, or from another start. Others are warnings.
    """
    length_s = frames / FPS
    of_label = ({name: span for name, span in onsets.items() if labels.get(name) == label} for label in (0, 1))
    negatives, positives = of_label
    missed = [name for name, span in positives.items() if ramp(length_s, *span) < MISSED]
    taught = [name for name, span in negatives.items() if ramp(length_s, *span) >= 0.5]
    found = TargetProblems([], [])
    if missed:
        reason = (
            f"{len(missed):,} of its {len(positives):,} positive segments get a target near 0, such as {missed[0]}: "
            f"their onsets are at or after the end of the segment, {length_s:.2f} s"
        )
        last = max(clinical for _, clinical in (positives[name] for name in missed))
        hint = "give seconds from the start of the segment, not of the recording, or delete onsets.csv"
        if last <= frames:
            hint = f"these look like frames: divide by {FPS:g}; {hint}"
        elif last <= 1000 * length_s:
            hint = f"these look like milliseconds: divide by 1000; {hint}"
        most = 2 * len(missed) > len(positives)
        (found.problems if most else found.warnings).append(DataError(table, reason, hint))
    if taught:
        reason = f"{len(taught):,} segments with the label 0 get a target of 0.5 or more, such as {taught[0]}"
        found.warnings.append(DataError(table, reason, "correct the label, or the onset inside the segment"))
    return found


def targets(
    names: Sequence[str], labels: np.ndarray, onsets: Mapping[str, tuple[float, float]], length_s: float
) -> np.ndarray:
    """(N,) float32: the ramp at the end of segments whose onsets are known, else labels; onsets in s from the start."""
    values = labels.astype(np.float32)
    for row, name in enumerate(names):
        if name in onsets:
            values[row] = ramp(length_s, *onsets[name])
    return values
