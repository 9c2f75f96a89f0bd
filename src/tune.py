"""Search for better settings of one member, by the log loss of children that its models never saw.

Stopped or killed at any moment, the same command continues; no finished trial is lost. A database may be restarted:
workers wait five minutes for it. The best score is optimistic, because the settings were chosen by it: --nested True
says what the search is worth on children it never looked at.
To watch: pip install -r requirements-tune.txt, then optuna-dashboard output/studies/main.journal

Example: python src/tune.py --data input --member lgbm --study main --trials 50
"""

import functools
import os
import shlex
import sys
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from joblib import Parallel, cpu_count, delayed

from spasm.cli import app, progress, train
from spasm.config.data import Data, Folds
from spasm.config.fields import Identifier, Seed, SettingsError, settings, within
from spasm.config.models import Model
from spasm.config.runtime import Hardware
from spasm.core import files
from spasm.core.errors import DataError, TrainingError
from spasm.data.dataset import TrainingData, load_training
from spasm.data.folds import make_folds, read_folds
from spasm.report import console
from spasm.tuning import nested as nested_module
from spasm.tuning import search as search_module
from spasm.tuning import spaces
from spasm.tuning.nested import nested_figures
from spasm.tuning.search import Search, open_study, result, states_of, work
from spasm.tuning.storage import retry_while_unreachable


@settings
class Tune:
    """Flags of tune.py."""

    read: Data = Data()
    member: Literal["lgbm", "rocket", Model] = "lgbm"
    """Member whose settings are searched."""
    study: Identifier = "main"
    """Name of the study; the same name continues it."""
    storage: str = ""
    """Where trials are kept: a journal file, by default output/studies/STUDY.journal, or the URL of a database, such as
    sqlite:///output/studies.db or postgresql+psycopg://user@host/name, which several machines may share."""
    trials: Annotated[int, within(1, 1_000_000)] = 50
    """Finished trials that each study shall have."""
    workers: Annotated[int, within(0, 256)] = 0
    """Trials run side by side, one thread each; 0 means one per CPU core."""
    seed: Seed = 0
    """Seed of every training and of the search."""
    split: Folds = Folds()
    outer_fold: Annotated[int | None, within(0, 99)] = None
    """Search on the people outside this fold only, scored on the other folds."""
    nested: bool = False
    """Search without each fold in turn, and judge what was chosen, and the defaults, on the people of that fold."""
    out: Path | None = None
    """Result to write; by default output/studies/STUDY.json, or STUDY_outer_F.json, or STUDY_nested.json."""
    cache: Path = Path("output/cache")
    """Folder for the checked poses, one folder per data set; may be deleted at any time."""
    hardware: Hardware = Hardware()


STUDIES = Path("output/studies")


def main(settings: Tune) -> int:
    check(settings)
    read, split = settings.read, settings.split
    data = load_training(read.data, read.frames, read.name_pattern, settings.cache, progress.reading, read.rehash)
    if split.folds_file is None:
        fold_of = make_folds(data.labels, data.children, split.folds, split.splitter, split.fold_seed)
    else:
        fold_of = read_folds(split.folds_file, data.names)
    searches = plan(settings, data, fold_of)
    print(console.data_summary(data))
    missing = 0
    for search in searches:
        files.check_writable(search.out.parent)
        files.remove_stale(search.out.parent, below=False)
        missing += search_module.missing(states_of(open_study(search)), search)
    workers = settings.workers or cpu_count()
    told = os.getpid(), train.print_row
    in_workers([delayed(work)(searches, worker, *told) for worker in range(min(missing, workers))], workers)
    best = []
    for search in searches:
        found = retry_while_unreachable(search, functools.partial(read_result, search))
        files.write_json(search.out, found)
        print(result_table(found))
        best.append(found["best"]["values"])
    if settings.nested:
        judge(settings, searches, best, workers)
    else:
        print(f"written: {searches[0].out}, {searches[0].shown_storage}")
        print(f"next:    {next_command(settings, searches[0])}")
    return 0


def check(settings: Tune) -> None:
    """Raises SettingsError for flags that contradict each other."""
    if settings.nested and settings.outer_fold is not None:
        raise SettingsError("--nested True holds out every fold in turn: leave --outer-fold away")
    if settings.split.folds_file is None and (settings.nested or settings.outer_fold is not None):
        last = settings.split.folds - 1
        if last < 2:
            raise SettingsError(f"--folds {last + 1} leaves no folds to search on; the nearest valid value is 3")
        if settings.outer_fold is not None and settings.outer_fold > last:
            raise SettingsError(f"--outer-fold {settings.outer_fold} is outside 0 to {last}; the nearest is {last}")


def plan(settings: Tune, data: TrainingData, fold_of: np.ndarray) -> list[Search]:
    """The studies to run: one, or one for each fold that is held out in turn."""
    folds = int(fold_of.max()) + 1
    outer: list[int | None] = list(range(folds)) if settings.nested else [settings.outer_fold]
    if outer != [None] and (folds < 3 or (settings.outer_fold or 0) >= folds):
        raise DataError(settings.split.folds_file or "the folds", f"has {folds} folds", "name one of at least three")
    for held_out in outer:
        for fold in set(range(folds)) - {held_out}:
            trained = (fold_of != fold) & (fold_of != held_out) & data.has_pose
            if len(np.unique(data.labels[trained])) < 2:
                reason = f"leave one class to train on without fold {fold} and the held-out fold {held_out}"
                raise DataError("the folds", reason, "use fewer --folds or another --fold-seed")
    storage = settings.storage or str(STUDIES / f"{settings.study}.journal")
    named = settings.out or STUDIES / f"{settings.study}.json"
    in_database = "://" in storage
    searches = []
    for held_out in outer:
        study = settings.study if held_out is None else f"{settings.study}_outer_{held_out}"
        beside = named.parent / study if in_database else Path(storage)
        whole = settings.out is not None and not settings.nested
        search = Search(
            data=data,
            fold_of=fold_of,
            outer_fold=held_out,
            member=settings.member,
            seed=settings.seed,
            hardware=settings.hardware,
            study=study,
            storage=storage,
            locks=beside.with_name(f"{beside.name}.locks"),
            out=named if whole or held_out is None else named.with_name(f"{named.stem}_outer_{held_out}.json"),
            trials=settings.trials,
        )
        searches.append(search)
    return searches


def read_result(search: Search) -> dict[str, Any]:
    """What the search found."""
    return result(open_study(search), search)


def in_workers(jobs: list[Any], workers: int) -> list[Any]:
    """What several delayed calls return."""
    try:
        return Parallel(n_jobs=max(1, min(workers, len(jobs))))(jobs)
    except BrokenProcessPool as error:
        raise TrainingError(
            "a worker was killed, perhaps because memory ran out; the same command continues, also with fewer --workers"
        ) from error


def judge(settings: Tune, searches: list[Search], best: list[dict[str, Any]], workers: int) -> None:
    """Answer the people of each fold by the settings chosen without them, and by the defaults; print and write it."""
    default = spaces.default_values(settings.member)
    pairs = zip(searches, best, strict=True)
    judged = in_workers(
        [delayed(nested_module.judge)(search, [mine, default], os.getpid()) for search, mine in pairs], workers
    )
    data = searches[0].data
    figures = nested_figures(data, [tuned for tuned, _ in judged], [plain for _, plain in judged])
    out = settings.out or STUDIES / f"{settings.study}_nested.json"
    chosen = {f"fold_{search.outer_fold}": values for search, values in zip(searches, best, strict=True)}
    tree = {"tuned_member": settings.member, "study": settings.study, "simulated": data.simulated}
    files.write_json(out, {**tree, "trials": settings.trials, "chosen_without": chosen, **figures})
    print(nested_table(figures))
    if data.simulated:
        print(console.SIMULATED)
    print(f"written: {', '.join(str(search.out) for search in searches)}, {out}")
    flags = [*read_flags(settings), "--member", settings.member, "--study", settings.study]
    if settings.storage:
        flags += ["--storage", searches[0].shown_storage]
    command = shlex.join([*flags, "--trials", str(settings.trials)])
    print(f"next:    if it helps, search on all children: python src/tune.py {command}")


def result_table(found: dict[str, Any]) -> str:
    """Best and default of one study, and which settings differ."""
    counts = ", ".join(f"{count} {state}" for state, count in found["trials"].items())
    lines = ["", f"study {found['study']}: {counts}; {found['member']} on {found['children']} children"]
    lines.append(f"{'':22}{'log loss':>10}{'F1':>8}{'AUC':>8}")
    for name in ("best", "default"):
        trial = found[name]
        if trial is not None:
            cells = ["n/a" if trial[key] is None else f"{trial[key]:.3f}" for key in ("f1", "auc")]
            lines.append(f"{name} (trial {trial['trial']})".ljust(22) + f"{trial['log_loss']:10.4f}")
            lines[-1] += "".join(f"{cell:>8}" for cell in cells)
    default = spaces.default_values(found["member"])
    for name, value in found["best"]["values"].items():
        shown = f"{value:.4g}" if isinstance(value, float) else str(value)
        lines.append(f"  --{name.replace('_', '-'):20}{shown:>10}   default {default[name]}")
    lines.append("The best score is optimistic, for it chose the settings; --nested True judges the search honestly.")
    if found["simulated"]:
        lines.append(console.SIMULATED)
    return "\n".join(lines)


def nested_table(figures: dict[str, Any]) -> str:
    """Tuned beside default, on people whom neither the search nor the training nor the threshold ever saw."""
    lines = ["", "every fold's people answered by what was chosen without them; 95 % intervals over people"]
    lines.append(f"{'':10}{'tuned':>26}{'default':>26}{'tuned minus default':>28}")
    for key, name in (("f1", "F1"), ("auc", "AUC"), ("brier", "Brier"), ("log_loss", "log loss")):
        cells = [_interval(figures[part][key]) for part in ("tuned", "default", "tuned_minus_default")]
        lines.append(f"{name:10}{cells[0]:>26}{cells[1]:>26}{cells[2]:>28}")
    return "\n".join(lines)


def _interval(figure: dict[str, float | None]) -> str:
    if None in figure.values():
        return "n/a"
    return f"{figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})"


def next_command(settings: Tune, search: Search) -> str:
    """Train with what was found, in a run of its own."""
    flags = ["--settings", str(search.out), *read_flags(settings), "--run", f"output/{search.study}"]
    return f"python src/{shlex.join(app.MEMBER_SCRIPTS[search.member])} {shlex.join(flags)}"


def read_flags(settings: Tune) -> list[str]:
    """The flags that say which data and which folds."""
    read, split = settings.read, settings.split
    flags = ["--data", str(read.data)]
    if read.frames is not None:
        flags += ["--frames", str(read.frames)]
    if read.name_pattern != "challenge":
        flags += ["--name-pattern", read.name_pattern]
    if split.folds_file is not None:
        return [*flags, "--folds-file", str(split.folds_file)]
    for name, value, default in (
        ("--folds", split.folds, Folds.folds),
        ("--splitter", split.splitter, Folds.splitter),
        ("--fold-seed", split.fold_seed, Folds.fold_seed),
    ):
        if value != default:
            flags += [name, str(value)]
    return flags


if __name__ == "__main__":
    sys.exit(app.run(main, Tune, __doc__, stopped="finished trials are kept; the same command continues"))
