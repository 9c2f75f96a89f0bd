"""Check a whole data folder, so that every problem is found before anything is computed."""

import dataclasses
import hashlib
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from spasm.core.errors import DataError, collect_errors, printable
from spasm.data.annotations import read_tables
from spasm.data.findings import Findings, fold
from spasm.data.folds import why_untrainable
from spasm.data.naming import child_of
from spasm.data.pose import visible_mask
from spasm.data.segments import Progress, inspect_pose

# ---- the whole folder


@dataclasses.dataclass(frozen=True)
class Report:
    """Result of `check_folder`. Numbers are for the readable training segments, unless their name contains test."""

    problems: list[DataError]
    warnings: list[DataError]
    findings: list[str]
    """What was noticed in the poses of train/ and of test/, one line for each kind."""
    checked: list[Path]
    """Every segment, also of test/."""
    segments: int
    """Files in train/."""
    children: int
    labelled: int
    """Rows of train_data.csv with a valid label, `positives` of them 1."""
    positives: int
    missing_frames: float
    """Fraction of frames without a pose; NaN if no segment is readable."""
    without_pose: int
    """Segments without a pose in any frame."""
    test_segments: int
    test_children: int
    children_with_pose: int
    untrainable: DataError | None
    """Why training will refuse these segments; None where it will not, or where there are other problems."""

    @property
    def prevalence(self) -> float:
        """Positive fraction of the labels; NaN without any."""
        return self.positives / self.labelled if self.labelled else math.nan


def check_folder(data: Path, frames: int, names: str, progress: Progress = iter) -> Report:
    """Read everything in a data folder, one segment at a time, and report all that is wrong or odd.

    `progress` wraps the list of segment paths. Raises DataError only if the folder does not exist.
    """
    tables = read_tables(data, names, frames)
    problems, warnings = list(tables.problems), list(tables.warnings)
    train = set(tables.train)
    first_with: dict[str, Path] = {}
    noticed: dict[Path, Findings] = {}
    read = without_pose = missing = 0
    posed: dict[str, bool] = {}
    for path in progress(tables.train + tables.test):
        with collect_errors(problems):
            pose, _, noticed[path] = inspect_pose(path, frames, data)
            seen = visible_mask(pose).any(axis=1)
            if path in train:
                read += 1
                posed[path.name] = bool(seen.any())
                missing += int((~seen).sum())
                without_pose += not seen.any()
            if seen.any():  # all segments without a pose are the same array; that is no leak
                first = first_with.setdefault(hashlib.sha256(pose.data).hexdigest(), path)
                if first != path:
                    warnings.append(_same_array(path, first))
    untrainable = None
    if not problems and len(set(tables.labels.values())) == 2:
        labels = np.array([tables.labels[name] for name in posed])
        untrainable = why_untrainable(data, labels, [child_of(name) for name in posed], np.array(list(posed.values())))
        with_pose = {child_of(name) for name, has_pose in posed.items() if has_pose}
        if untrainable is None and len(with_pose) == 2:
            hint = "random convolutions need three children: train with --models lgbm, or add children"
            warnings.append(DataError(data, "has poses of two children only", hint))
    return Report(
        problems=problems,
        warnings=warnings,
        findings=[*_folded(tables.train, noticed), *_folded(tables.test, noticed)],
        checked=tables.train + tables.test,
        segments=len(tables.train),
        children=len({child_of(path.name) for path in tables.train}),
        labelled=len(tables.labels),
        positives=sum(tables.labels.values()),
        missing_frames=missing / (read * frames) if read else math.nan,
        without_pose=without_pose,
        test_segments=len(tables.test),
        test_children=len({child_of(path.name) for path in tables.test}),
        children_with_pose=len({child_of(name) for name, has_pose in posed.items() if has_pose}),
        untrainable=untrainable,
    )


def _folded(paths: Sequence[Path], noticed: dict[Path, Findings]) -> list[str]:
    """A line for each kind of finding in the readable segments of one folder."""
    readable = [path for path in paths if path in noticed]
    lines = fold([path.name for path in readable], [noticed[path] for path in readable])
    return [f"{printable(readable[0].parent)}: {line}" for line in lines]


def _same_array(path: Path, first: Path) -> DataError:
    if child_of(path.name) == child_of(first.name):
        return DataError(path, f"the same array as {first.name}", "accepted; delete one unless both are wanted")
    reason = f"the same array as {first.name}, under another child"
    return DataError(
        path, reason, "a leak when one is trained on and the other scored: delete one, or use one child id"
    )
