"""The studies of one command: one study, or one for each held-out fold."""

from pathlib import Path

import numpy as np

from spasm.config.data import Folds
from spasm.config.fields import SettingsError
from spasm.config.runtime import Hardware
from spasm.config.tuning import Study
from spasm.core.errors import DataError
from spasm.core.outputs import check_replaceable
from spasm.data.dataset import TrainingData
from spasm.data.folds import why_untrainable
from spasm.models.model import Model
from spasm.tuning.search import Search

STUDIES = Path("output/studies")
RESULT = b'{\n  "model": '  # how the result of a search begins


def check(study: Study, split: Folds) -> None:
    """Raise SettingsError for settings that contradict each other."""
    if study.nested and study.outer_fold is not None:
        raise SettingsError("--nested holds out every fold in turn: leave out --outer-fold")
    if split.folds_file is None and (study.nested or study.outer_fold is not None):
        last = split.folds - 1
        if last < 2:
            raise SettingsError(f"--folds {last + 1} leaves no folds to search on; the nearest valid value is 3")
        if study.outer_fold is not None and study.outer_fold > last:
            raise SettingsError(f"--outer-fold {study.outer_fold} is outside 0 to {last}; the nearest is {last}")


def plan(
    data: TrainingData, fold_of: np.ndarray, folds_file: Path | None, model: Model, hardware: Hardware, study: Study
) -> list[Search]:
    """The searches to run. fold_of: (N,) int64. Raises DataError if too few folds are left for the search."""
    if error := why_untrainable(data.folder, data.labels, data.children, data.has_pose):
        raise error
    folds = int(fold_of.max()) + 1
    outer: list[int | None] = list(range(folds)) if study.nested else [study.outer_fold]
    if outer != [None] and (folds < 3 or (study.outer_fold or 0) >= folds):
        raise DataError(folds_file or "the folds", f"has {folds} folds", "name one of at least three")
    for held_out in outer:
        for fold in set(range(folds)) - {held_out}:
            trained = (fold_of != fold) & (fold_of != held_out) & data.has_pose
            if len(np.unique(data.labels[trained])) < 2:
                reason = f"leave one class to train on without fold {fold} and the held-out fold {held_out}"
                hint = "use another --fold-seed, name the folds with --folds-file, or add children of that class"
                raise DataError("the folds", reason, hint)
    storage = study.storage or str(STUDIES / f"{study.study}.journal")
    named = study.out or STUDIES / f"{study.study}.json"
    searches = []
    for held_out in outer:
        name = study.study if held_out is None else f"{study.study}_outer_{held_out}"
        beside = named.parent / name if "://" in storage else Path(storage)
        whole = study.out is not None and not study.nested
        search = Search(
            data=data,
            fold_of=fold_of,
            outer_fold=held_out,
            model=model,
            seed=study.seed,
            hardware=hardware,
            study=name,
            storage=storage,
            locks=beside.with_name(f"{beside.name}.locks"),
            out=named if whole or held_out is None else named.with_name(f"{named.stem}_outer_{held_out}.json"),
            trials=study.trials,
        )
        check_replaceable(search.out, RESULT, "the result of a search")
        searches.append(search)
    return searches


def nested_result(study: Study) -> Path:
    """Path of the result of a nested search. Raises DataError for a file that is none."""
    path = study.out or STUDIES / f"{study.study}_nested.json"
    check_replaceable(path, RESULT, "the result of a search")
    return path
