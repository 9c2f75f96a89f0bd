"""Train models on the same folds with several seeds, and compare them in one table, on one or several data sets.

Every metric is cross-fitted: weights, calibration and threshold of a fold were chosen on the other folds. With two or
more of the default models, the table has their blend too. Stopped at any moment, the same command continues.

Examples:
  python src/compare.py --data input/demo --models lgbm,rocket --seeds 2
  python src/compare.py --data input/demo --frames 150 --data input/kinder_gator --frames 100
"""

import functools
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

from spasm.cli import app, cluster, progress, train
from spasm.config.data import Data, Folds
from spasm.config.ensemble import Blend
from spasm.config.fields import ADVANCED, FLAT, PER_CORE, REPEATED, SettingsError, Shown, settings, within
from spasm.config.runtime import Cache, Cluster, Hardware
from spasm.core import files
from spasm.core.errors import printable
from spasm.core.outputs import check_folder
from spasm.core.processes import cpu_count
from spasm.core.text import shell_words
from spasm.data.dataset import load_training
from spasm.models.model import Model
from spasm.models.registry import POSE_MODELS, models_named
from spasm.report import comparison, console
from spasm.runs.artefacts import read_decision
from spasm.runs.decide import decide
from spasm.runs.folder import Run, open_run
from spasm.training.costs import model_costs, note_cost, note_training
from spasm.training.on_cluster import BegunFolds

Length = Annotated[int, within(16, 100_000)]
T_OF_FORMAT = Shown(default="150, or what the data's format gives")


@settings
class DataSets(Data):
    """What is read."""

    data: Annotated[tuple[Path, ...], REPEATED, Shown(default="input")] = ()  # type: ignore[assignment]
    """Folder with train/ and train_data.csv, perhaps test/ and groups.csv; give it again for more data sets."""
    frames: Annotated[tuple[Length, ...], REPEATED, T_OF_FORMAT] = ()  # type: ignore[assignment]
    """Frames in every segment (T), once for all data sets or once for each; other lengths are refused."""


@settings
class Compare:
    """Flags of compare.py, beside those of the models."""

    read: Annotated[DataSets, FLAT] = DataSets()
    out: Path = Path("output/compare")
    """Folder for the table and the runs, which are continued."""
    models: Annotated[tuple[str, ...], Shown(value="NAMES", default="all on poses")] = POSE_MODELS
    """Models to train, by spaces or commas. `--help --models NAME` explains a model's own settings."""
    seeds: Annotated[int, within(1, 100)] = 3
    """Seeds to train each model with, from 0."""
    workers: Annotated[int, within(0, 256), PER_CORE] = 0
    """Folds trained side by side, one thread each."""
    split: Annotated[Folds, FLAT] = Folds()
    cache: Cache = Path("output/cache")
    """Folder for the checked poses and features; it may be deleted at any time."""
    hardware: Annotated[Hardware, FLAT, ADVANCED] = Hardware()
    cluster: Cluster = ""
    """Train on a cluster of Dask: local:N, an address, or FILE.json; see docs/cluster.md."""


def flags(words: list[str]) -> type[Compare]:
    """The flags of this command with the settings of the models that it names."""
    made: type[Compare] = train.with_models(Compare, models_named(app.values_of("--models", words) or POSE_MODELS))
    return made


def main(settings: Compare) -> int:
    models, read = models_named(settings.models), settings.read
    folders = folders_by_name(read.data or (Path("input"),))
    frames = read.frames * len(folders) if len(read.frames) == 1 else read.frames or (None,) * len(folders)
    if len(frames) != len(folders):
        raise SettingsError(
            f"--frames is given {len(frames)} times for {len(folders)} data sets: give it once for all of them, or "
            "once for each --data in their order"
        )
    cluster.check(settings.cluster, settings.workers)
    check_folder(settings.out, ("table.csv", "table.md", "table.png"), "*/run/run.json")
    runs = {}
    for (name, folder), length in zip(folders.items(), frames, strict=True):  # all, so that no error comes after hours
        data = load_training(
            folder, length, read.name_pattern, settings.cache, progress.reading, read.rehash, read.landmarks,
            read.positive,
        )  # fmt: skip
        print(f"{printable(folder)}: {console.data_summary(data)}")
        app.warn([*map(str, data.warnings), *data.findings])
        runs[name] = open_run(settings.out / name / "run", data, folder, data.poses.shape[1], settings.split)
    command = [os.path.basename(sys.argv[0]), *sys.argv[1:]]
    opened = {name: train.open_models(run, models, settings, command) for name, run in runs.items()}
    train_all(settings, runs, opened)
    compared = [evaluate(settings, name, run, models) for name, run in runs.items()]
    text = comparison.markdown(compared, settings.seeds)
    rows = [{"data": one.name, **row} for one in compared for row in one.rows]
    cells = [list(row.values()) for row in rows]
    files.write_csv(settings.out / "table.csv", list(rows[0]), cells, files.TABLE_DIGITS)
    files.write_text(settings.out / "table.md", text)
    files.write_bytes(
        settings.out / "table.png",
        comparison.plot([comparison.Panel(one.name, one.rows, one.run.data.simulated) for one in compared]),
    )
    print(text)
    folders_of_runs = ", ".join(str(run.path) for run in runs.values())
    print(f"written: {settings.out}/table.md, table.csv, table.png and {folders_of_runs}")
    for name, run in runs.items():
        if (folders[name] / "test").exists():
            used = ", ".join(read_decision(run.path).models)
            print(f"{run.path} predicts by {used}; train_folds.py --decide-only --blend.models adds others")
            words = ["--run", str(run.path), "--test", str(folders[name] / "test")]
            print(f"next:    python submission.py {shell_words(*words)}")
    return 0


def folders_by_name(folders: Sequence[Path]) -> dict[str, Path]:
    """Data folders by the names of their runs: their last part, or their last two where that is not enough."""
    whole = [folder.resolve() for folder in folders]
    names = [folder.name for folder in whole]
    if len(set(names)) < len(names):
        names = [f"{folder.parent.name}_{folder.name}" for folder in whole]
    for name in names:
        if names.count(name) > 1:
            raise SettingsError(f"--data names {name} twice: name each data set once, in folders of different names")
    return dict(zip(names, folders, strict=True))


def train_all(settings: Compare, runs: Mapping[str, Run], opened: Mapping[str, Sequence[train.OpenedModel]]) -> None:
    """Train every model of every run with every seed; on a cluster all at once, the cheapest models first."""
    with train.trainer_of(settings.cluster) as trainer:
        seeds = range(settings.seeds)
        plan = [(run, place, seed) for seed in seeds for run in runs for place in range(len(opened[run]))]
        begun: list[BegunFolds | None] = [None] * len(plan)
        if trainer is not None:
            begin = functools.partial(train.begin_folds, trainer, hardware=settings.hardware)
            begun = [
                begin(runs[name], opened[name][place], seed=seed, folds=range(runs[name].folds), priority=-place)
                for name, place, seed in plan
            ]
        for (name, place, seed), of_cluster in zip(plan, begun, strict=True):
            train_seed(settings, runs[name], opened[name][place], seed, of_cluster)


def train_seed(settings: Compare, run: Run, one: train.OpenedModel, seed: int, begun: BegunFolds | None = None) -> None:
    """Train a model of a run with one seed, and note what it costs. begun: its folds, if a cluster trains them."""
    workers = min(run.folds, settings.workers or cpu_count())
    begin = functools.partial(
        train.train_model, run, one, settings.hardware, seed, range(run.folds), workers, begun=begun
    )
    costs = run.path.parent / "costs"
    if begun is None:
        cost = note_training(costs, one.folder, seed, begin)
    else:
        begin()
        if (cost := begun.cost()) is not None:
            note_cost(costs, one.folder, seed, cost)
    if cost is not None:
        seconds, of_processor = cost["seconds"], cost["processor_seconds"]
        print(f"{one.model.name} seed {seed}: {seconds:.0f} s, {of_processor:.0f} s of processor time")


def evaluate(settings: Compare, name: str, run: Run, models: Sequence[Model]) -> comparison.DataSet:
    """Decide over a run's models, and evaluate them on all seeds."""
    decide(run, Blend())
    names = [model.name for model in models]
    scores = comparison.evaluate_models(run, names, settings.seeds)
    costs = {each: model_costs(run.path.parent / "costs", run, each, settings.seeds) for each in names}
    return comparison.DataSet(name, run, comparison.table_rows(scores, costs))


if __name__ == "__main__":
    sys.exit(app.run(main, flags, __doc__))
