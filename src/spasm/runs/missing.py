"""The message for a run that is not where --run says, which names the runs that there are."""

import os
from pathlib import Path

from spasm.core.errors import DataError
from spasm.core.nearby import folders_with, listed, nearest, nearest_first
from spasm.core.outputs import is_data_folder
from spasm.core.text import shell_words


def check_is_run(run: Path) -> None:
    """Raises DataError where a folder holds no run."""
    if (run / "run.json").exists():
        return
    inside = next((parent for parent in run.parents if (parent / "run.json").exists()), None)
    if inside is not None:
        raise DataError(run, "is a part of a run, not the run", _add(inside))
    found = nearest_first(run, folders_with("run.json", run.parent, Path("output"), run))
    near = nearest(run, found)
    if near is not None and near.parent == run.parent and near.parent != Path():
        hint = f"did you mean {near}? {_add(near)}"
    elif found:
        hint = f"runs here: {listed(found)}; {_add(found[0])}"
    else:
        words = "" if run == Path("output/main") else f" --run {shell_words(run)}"
        hint = f"train one: python src/train_folds.py{words}, or see it work on simulated data: make demo"
    if not os.path.lexists(run):
        reason = "there is no such run"
    elif not run.is_dir():
        reason = "is a file, not a run"
    else:
        reason = "is a data folder, not a run" if is_data_folder(run) else "holds no run"
    raise DataError(run, reason, hint)


def _add(run: Path) -> str:
    return f"add --run {shell_words(run)}"
