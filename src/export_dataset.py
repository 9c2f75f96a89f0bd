"""Write training segments in the layout of another system, to train that system on the same data.

Writes kinetics_train/, kinetics_train_label.json, and groups.csv, which names the child of each clip. Data in another
system's layout needs no conversion by hand: every script reads it where --data names its folder.

Examples:
  python src/export_dataset.py --data input/demo --format sta_gunet --out output/sta_gunet
  python src/export_dataset.py --data input --out output/converted
"""

import sys
from pathlib import Path

from spasm.cli import app, progress
from spasm.config.data import Data
from spasm.config.fields import settings
from spasm.config.runtime import Cache
from spasm.core.text import shell_words
from spasm.data.dataset import load_by_settings
from spasm.data.formats.export import ExportFormat, check_new_folder, export
from spasm.report import console


@settings
class ExportDataset:
    """Flags of export_dataset.py."""

    read: Data = Data()
    format: ExportFormat = "sta_gunet"
    """Layout to write."""
    out: Path = Path("output/converted")
    """Folder to write; it must be new or empty."""
    cache: Cache = Path("output/cache")
    """Folder for the checked poses; it may be deleted at any time."""


def main(settings: ExportDataset) -> int:
    read, out = settings.read, settings.out
    check_new_folder(out)
    data = load_by_settings(read, settings.cache, progress.reading)
    print(console.data_summary(data))
    app.warn([*map(str, data.warnings), *data.findings])
    export(data, settings.format, out)
    print(f"written: {out}")
    print(f"next:    python src/verify.py --data {shell_words(out)}")
    return 0


if __name__ == "__main__":
    sys.exit(app.run(main, ExportDataset, __doc__))
