"""Check a data folder before training, and list everything that is wrong with it at once.

Examples:
  python src/verify.py --data input/demo
  python src/verify.py --data input --frames 100
"""

import dataclasses
import sys
from pathlib import Path

from spasm.cli import app, progress
from spasm.config.data import Data, Folds
from spasm.config.fields import settings
from spasm.config.runtime import Cache
from spasm.core.errors import group_alike
from spasm.core.text import shell_words
from spasm.data.formats.convert import opened
from spasm.data.validation import check_folder
from spasm.report import folder_text


@settings
class Verify:
    """Flags of verify.py."""

    read: Data = Data()
    cache: Cache = Path("output/cache")
    """Folder for data converted from other layouts; it may be deleted at any time."""


def main(settings: Verify) -> int:
    read = settings.read
    source = opened(read.data, read.frames, settings.cache, read.rehash, read.positive)
    if source.notice:
        print(source.notice)
    report = check_folder(source.folder, source.frames, read.name_pattern, progress.reading)
    problems = report.problems if report.untrainable is None else [report.untrainable]
    report = dataclasses.replace(report, warnings=[*source.warnings, *report.warnings], problems=problems)
    for line in [*group_alike(report.warnings, report.checked), *report.findings]:
        print(f"warning: {line}")
    for line in group_alike(report.problems, report.checked):
        print(f"problem: {line}")
    print(folder_text.folder_summary(report))
    flags = ["--data", str(read.data)]
    for name in (
        "frames",
        "name_pattern",
        "landmarks",
        "positive",
    ):  # which another command needs to read the same data
        if getattr(read, name) != getattr(Data, name):
            flags += [f"--{name.replace('_', '-')}", str(getattr(read, name))]
    if report.problems:
        print(f"next:    fix the problems above, then run again: python src/verify.py {shell_words(*flags)}")
        return 1
    if report.positives in (0, report.labelled):
        print("next:    add labels of both classes: training needs segments with 0 and with 1")
        return 0
    if report.children_with_pose < 3:
        flags += ["--models", "lgbm"]  # random convolutions need three children
    if report.children < Folds.folds:
        flags += ["--folds", str(report.children)]
    print(f"next:    python src/train_folds.py {shell_words(*flags)}")
    return 0


if __name__ == "__main__":
    sys.exit(app.run(main, Verify, __doc__))
