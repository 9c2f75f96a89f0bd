"""Search for better settings of one model, by the log loss of children that it was not trained on.

Stopped or killed at any moment, the same command continues; no finished trial is lost. A database may be restarted:
workers wait five minutes for it. The best score is optimistic, because the settings were chosen by it; --nested
evaluates the search on children that it did not use. optuna-dashboard, which shows trials as they come, is installed by
pip install -r requirements-tune.txt.

Examples:
  python src/tune.py --data input/demo --model lgbm --study demo --trials 10
  python src/tune.py --data input --model stgcn_mil --study network --trials 50
  optuna-dashboard output/studies/demo.journal
"""

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from spasm.cli import app, cluster, progress
from spasm.config.data import Data, Folds
from spasm.config.fields import ADVANCED, PER_CORE, Shown, settings, within
from spasm.config.runtime import Cache, Hardware
from spasm.config.runtime import Cluster as ClusterAddress
from spasm.config.tuning import Study
from spasm.core import files
from spasm.core.processes import cpu_count
from spasm.core.text import shell_words
from spasm.data.dataset import load_by_settings
from spasm.data.folds import make_folds, read_folds
from spasm.models.model import Model
from spasm.models.registry import model_named
from spasm.report import console

if TYPE_CHECKING:
    from spasm.cluster.tasks import Cluster
    from spasm.tuning.search import Search


@settings
class Tune:
    """Flags of tune.py."""

    read: Data = Data()
    model: Annotated[str, Shown(value="NAME")] = "lgbm"
    """Model whose settings are searched: lgbm, rocket, stgcn_mil, sta_gunet, stam, two_stream or vsvig."""
    study: Study = Study()
    workers: Annotated[int, within(0, 256), PER_CORE] = 0
    """Trials run side by side, one thread each."""
    split: Folds = Folds()
    cache: Cache = Path("output/cache")
    """Folder for the checked poses and features; it may be deleted at any time."""
    hardware: Annotated[Hardware, ADVANCED] = Hardware()
    cluster: ClusterAddress = ""
    """Train on a cluster of Dask: local:N, an address, or FILE.json; see docs/cluster.md."""


def main(settings: Tune) -> int:
    from spasm.report import tuning_tables  # what searches takes a second to load
    from spasm.tuning.plan import check, nested_result, plan
    from spasm.tuning.workers import run_searches, write_result

    model, read, split = model_named(settings.model, "--model"), settings.read, settings.split
    check(settings.study, split)
    cluster.check(settings.cluster, settings.workers)
    data = load_by_settings(read, settings.cache, progress.reading)
    if split.folds_file is None:
        fold_of = make_folds(data.labels, data.children, split.folds, split.splitter, split.fold_seed)
    else:
        fold_of = read_folds(split.folds_file, data.names)
    searches = plan(data, fold_of, split.folds_file, model, settings.hardware, settings.study)
    if settings.study.nested:
        nested_result(settings.study)  # fails now, not after the work
    print(console.data_summary(data))
    app.warn([*map(str, data.warnings), *data.findings])
    workers = settings.workers or cpu_count()
    best = []
    with cluster.opened(settings.cluster) as found:
        run_searches(searches, workers, progress.print_row, found)
        for search in searches:
            result = write_result(search)
            print(tuning_tables.result_table(result, model))
            best.append(result["best"]["values"])
        if settings.study.nested:
            evaluate(settings, model, searches, best, workers, found)
            return 0
    search = searches[0]
    run = ["--settings", str(search.out), "--run", f"output/{search.study}", *data_flags(settings)]
    print(f"written: {search.out}, {search.shown_storage}")
    print(f"next:    python src/train_folds.py {shell_words(*run)}")
    return 0


def evaluate(
    settings: Tune,
    model: Model,
    searches: "list[Search]",
    best: list[dict[str, Any]],
    workers: int,
    found: "Cluster | None",
) -> None:
    """Print how good the search is on children that it did not use."""
    from spasm.report import tuning_tables
    from spasm.tuning.nested import nested_metrics
    from spasm.tuning.plan import nested_result
    from spasm.tuning.workers import predict_all_held_out

    data, study, out = searches[0].data, settings.study, nested_result(settings.study)
    metrics = nested_metrics(data, *predict_all_held_out(searches, best, workers, found))
    chosen = {f"fold_{search.outer_fold}": values for search, values in zip(searches, best, strict=True)}
    about = {"model": model.name, "study": study.study, "simulated": data.simulated, "trials": study.trials}
    files.write_json(out, {**about, "chosen_without": chosen, **metrics})
    print(tuning_tables.nested_table(metrics, data.simulated))
    print(f"written: {', '.join(str(search.out) for search in searches)}, {out}")
    storage = searches[0].shown_storage if study.storage else ""
    whole = app.flags_given(dataclasses.replace(study, nested=False, out=None, storage=storage))
    command = shell_words("--model", model.name, *whole, *data_flags(settings))
    print(f"next:    python src/tune.py {command} (if the search helps: the same on all children)")


def data_flags(settings: Tune) -> list[str]:
    """The flags that name the data and the folds."""
    return [*app.flags_given(settings.read), *app.flags_given(settings.split)]


if __name__ == "__main__":
    sys.exit(app.run(main, Tune, __doc__, stopped="finished trials are kept; the same command continues"))
