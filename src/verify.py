"""Check a data folder before anything is trained on it, and tell everything that is wrong at once.

Example: python src/verify.py --data input
"""

import dataclasses
import shlex
import sys
from collections import defaultdict
from pathlib import Path

from spasm.cli import app, progress
from spasm.config.data import Data
from spasm.config.fields import settings
from spasm.core.errors import DataError, printable
from spasm.data.formats.convert import opened
from spasm.data.validation import Report, check_folder


@settings
class Verify:
    """Flags of verify.py."""

    read: Data = Data()
    cache: Path = Path("output/cache")
    """Folder for data in other systems' layouts, once converted; may be deleted at any time."""


def main(settings: Verify) -> int:
    read = settings.read
    source = opened(read.data, read.frames, settings.cache, read.rehash)
    if source.notice:
        print(source.notice)
    report = check_folder(source.folder, source.frames, read.name_pattern, progress.reading)
    report = dataclasses.replace(report, warnings=[*source.warnings, *report.warnings])
    print_warnings(report.warnings)
    for problem in report.problems:
        print(f"problem: {problem}")
    print_summary(report)
    flags = shown_flags(read)
    if report.problems:
        print(f"Mend the problems above, then run again:\n  python src/verify.py{flags}")
        return 1
    print(f"No problems. Next:\n  python src/train_folds.py{flags}")
    return 0


def print_warnings(warnings: list[DataError]) -> None:
    """One line for each, but files that share a warning stand behind the first of them: there can be hundreds."""
    alike = defaultdict(list)
    for warning in warnings:
        alike[warning.reason, warning.hint].append(warning)
    for first, *others in alike.values():
        print(f"warning: {first}")
        if others:
            names = ", ".join(printable(Path(other.path).name) for other in others[:10])
            print(f"  the same in {len(others)} more: {names}{', ...' if len(others) > 10 else ''}")


def share(value: float) -> str:
    return f"{value:.1%}" if value == value else "none"  # NaN where there is nothing to divide by


def print_summary(report: Report) -> None:
    print(
        f"train: {report.segments} segments of {report.children} children, "
        f"{report.positives} of {report.labelled} labels positive ({share(report.prevalence)})\n"
        f"       {share(report.missing_frames)} of frames without a pose, "
        f"{report.without_pose} segments without any\n"
        f"test:  {report.test_segments} segments of {report.test_children} children\n"
        f"{len(report.warnings)} warnings, {len(report.problems)} problems"
    )


def shown_flags(read: Data) -> str:
    """The flags that another command needs to read the same data."""
    flags = f" --data {printable(shlex.quote(str(read.data)))}"
    for name in ("frames", "name_pattern"):
        if getattr(read, name) != getattr(Data, name):
            flags += f" --{name.replace('_', '-')} {getattr(read, name)}"
    return flags


if __name__ == "__main__":
    sys.exit(app.run(main, Verify, __doc__))
