"""Writing training segments in the layout of another system."""

import os
from pathlib import Path
from typing import Literal

from spasm.core import files
from spasm.core.errors import DataError
from spasm.data.dataset import TrainingData
from spasm.data.formats import sta_gunet

ExportFormat = Literal["sta_gunet"]
WRITERS = {"sta_gunet": sta_gunet.write_clips}


def check_new_folder(out: Path) -> None:
    """Raise DataError for a folder that is not empty or cannot be made in one step."""
    if out.is_dir() and os.listdir(out):
        raise DataError(out, "holds something already", "name a new folder with --out")
    if out.exists() and (not out.is_dir() or os.path.ismount(out) or out.samefile(".")):
        raise DataError(out, "cannot be made as a whole", "name a new folder with --out")


def export(data: TrainingData, layout: ExportFormat, out: Path) -> None:
    """Write training segments into a new folder, which is whole or absent."""
    with files.new_folder(out) as building:
        WRITERS[layout](building, data.names, data.poses, data.labels)
