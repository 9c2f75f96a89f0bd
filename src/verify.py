"""Check a data folder before anything is trained on it, and list everything that is wrong at once.

Example: python src/verify.py --data input
"""

import dataclasses
import shlex
import sys
from pathlib import Path

from spasm.cli import app, progress
from spasm.config.data import Data
from spasm.config.fields import settings
from spasm.core.errors import printable
from spasm.data.formats.convert import opened
from spasm.data.validation import check_folder
from spasm.report import folder_text


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
    for line in folder_text.warning_lines(report.warnings):
        print(line)
    for problem in report.problems:
        print(f"problem: {problem}")
    print(folder_text.folder_summary(report))
    flags = ["--data", str(read.data)]
    for name in ("frames", "name_pattern"):  # which another command needs to read the same data
        if getattr(read, name) != getattr(Data, name):
            flags += [f"--{name.replace('_', '-')}", str(getattr(read, name))]
    if report.problems:
        print(f"Fix the problems above, then run again:\n  python src/verify.py {printable(shlex.join(flags))}")
        return 1
    print(f"No problems. Next:\n  python src/train_folds.py {printable(shlex.join(flags))}")
    return 0


if __name__ == "__main__":
    sys.exit(app.run(main, Verify, __doc__))
