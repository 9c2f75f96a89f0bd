"""The message for a run that is not where --run says, which names the runs that there are."""

from pathlib import Path

from spasm.core.errors import DataError
from spasm.core.nearby import folders_with, listed, nearest
from spasm.core.text import shell_words


def check_is_run(run: Path) -> None:
    """Raises DataError where a folder holds no run."""
    if (run / "run.json").exists():
        return
    found = folders_with("run.json", run.parent, Path("output"), run)
    near = nearest(run, found)
    if near is not None and near.parent == run.parent and near.parent != Path():
        hint = f"did you mean {near}? {_add(near)}"
    elif found:
        hint = f"runs here: {listed(found)}; {_add(found[0])}"
    else:
        words = "" if run == Path("output/main") else f" --run {shell_words(run)}"
        hint = f"train one: python src/train_folds.py{words}, or see it work on simulated data: make demo"
    raise DataError(run, "there is no such run" if not run.is_dir() else "holds no run", hint)


def _add(run: Path) -> str:
    return f"add --run {shell_words(run)}"
