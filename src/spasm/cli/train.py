"""The training command: models one after the other, the decision after each, and the report."""

import contextlib
import dataclasses
import functools
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np

from spasm.cli import app, cluster, progress
from spasm.config.data import Data, Folds
from spasm.config.ensemble import Blend
from spasm.config.fields import ADVANCED, FLAT, PER_CORE, Seed, SettingsError, Shown, flag_of, settings, to_tree, within
from spasm.config.runtime import Cache, Cluster, Hardware
from spasm.core.errors import DataError, printable
from spasm.core.processes import cpu_count
from spasm.core.text import shell_words
from spasm.data.dataset import load_by_settings, load_training
from spasm.data.folds import one_class_folds
from spasm.models.model import Model
from spasm.models.registry import DEFAULT_MODELS, models_named, split_names
from spasm.report import console, templates
from spasm.runs.artefacts import Metrics, read_run_info
from spasm.runs.decide import decide
from spasm.runs.folder import ModelFolder, Run, open_model, open_run, reopen_run
from spasm.training import tensorboard
from spasm.training.folds import train_folds
from spasm.training.on_cluster import BegunFolds, ClusterTrainer, resolved, training_on

Models = Annotated[tuple[str, ...], Shown(value="NAMES")]


@settings
class Train:
    """Flags of the training command, beside those of the models."""

    read: Annotated[Data, FLAT] = Data()
    run: Path = Path("output/main")
    """Run folder to write or to continue."""
    models: Models = DEFAULT_MODELS
    """Models to train, by spaces or commas: lgbm, rocket, stgcn_mil, sta_gunet, stam, two_stream, vsvig. The cheapest
    is trained first. `--help --models NAME` explains a model's own settings."""
    split: Annotated[Folds, FLAT] = Folds()
    fold: Annotated[int | None, within(0, 99), Shown(default="all")] = None
    """Train this fold only, counted from 0."""
    seed: Seed = 0
    """Seed of the training; each seed adds to the same run."""
    workers: Annotated[int, within(0, 256), PER_CORE] = 0
    """Folds trained side by side, one thread each; a GPU trains all folds of stgcn_mil in one process."""
    report: bool = True
    """Write report.html and model_card.md."""
    decide_only: Annotated[bool, ADVANCED] = False
    """Train nothing: blend the trained models again, with the --blend settings given here."""
    cache: Cache = Path("output/cache")
    """Folder for the checked poses and features; it may be deleted at any time."""
    hardware: Annotated[Hardware, FLAT, ADVANCED] = Hardware()
    cluster: Cluster = ""
    """Train on a cluster of Dask: local:N, an address, or FILE.json; see docs/cluster.md."""
    tensorboard: Annotated[bool, ADVANCED] = False
    """Write learning curves for tensorboard --logdir RUN; needs requirements-report.txt."""
    blend: Blend = Blend()


@functools.cache
def with_models(base: type, models: tuple[Model, ...]) -> Any:
    """The flags `base` with a group for each model, whose prefix is the model's name."""
    configs = {model.name: Annotated[model.config, Shown(brief=True)] for model in models}
    defaults = {model.name: model.config() for model in models}
    fields = {"__annotations__": configs, "__module__": base.__module__, "__doc__": base.__doc__, **defaults}
    return settings(type(base.__name__, (base,), fields))


def train(flags: Any, command: list[str]) -> int:
    """Train what the flags ask for, decide after each model, and write the report."""
    begun_s = time.monotonic()
    models = models_named(flags.models)
    blend = _blend_of(flags)
    check(flags)
    if flags.decide_only:
        return _decide_only(flags, blend)
    cluster.check(flags.cluster, flags.workers)
    read = flags.read
    data = load_by_settings(read, flags.cache, progress.reading)
    run = open_run(flags.run, data, read.data, data.poses.shape[1], flags.split)
    if flags.fold is not None and flags.fold >= run.folds:
        raise DataError(run.path, f"has {run.folds} folds, counted from 0", f"use --fold {run.folds - 1} or lower")
    print(console.data_line(data))
    app.warn([*map(str, data.warnings), *data.findings])
    if alone := one_class_folds(data.labels, run.fold_of):
        app.warn([console.one_class_line(alone, run.folds, data)])

    opened = open_models(run, models, flags, command)
    if data.targets is not None and not any("onsets_sha256" in one.environment for one in opened):
        print("warning: onsets.csv is not used: it needs a network with --NETWORK.loss squared", file=sys.stderr)

    with trainer_of(flags.cluster) as trainer:
        return _train_all(flags, run, opened, blend, trainer, begun_s)


def _train_all(
    flags: Any,
    run: Run,
    opened: "Sequence[OpenedModel]",
    blend: Blend | None,
    trainer: ClusterTrainer | None,
    begun_s: float,
) -> int:
    """Train the opened models, on a cluster if there is a trainer for it, and decide after each."""
    data, read = run.data, flags.read
    folds = range(run.folds) if flags.fold is None else [flags.fold]
    workers = min(len(folds), flags.workers or cpu_count())
    begun: dict[str, BegunFolds] = {}
    if trainer is not None:  # all models at once, those that are decided first before the others
        for place, one in enumerate(opened):
            begun[one.model.name] = begin_folds(
                trainer, run, one, flags.hardware, flags.seed, folds, -place, flags.tensorboard
            )
    written: list[Path] = []
    result: Metrics | None = None
    reported: Metrics | None = None
    for place, one in enumerate(opened, 1):
        name = one.model.name
        train_model(run, one, flags.hardware, flags.seed, folds, workers, flags.tensorboard, begun.get(name))
        waiting = [fold for fold in range(run.folds) if not one.folder.is_trained(flags.seed, fold)]
        if waiting:
            print(f"{name}: folds {', '.join(map(str, waiting))} of seed {flags.seed} are still to be trained")
            continue
        result = decide(run, _without(blend, [after for after in opened[place:] if not _is_complete(run, after)]))
        assert result is not None  # this model is complete
        print(console.model_line(name, result), flush=True)
        segments = min(int((data.has_pose & (run.fold_of != fold)).sum()) for fold in range(run.folds))
        for line in console.constant_lines(result, {name: one.model.constant_hint(one.config, segments)}):
            if line.startswith(f"{name} "):  # those of other models were printed after their training
                print(f"warning: {line}", file=sys.stderr)
        if flags.report and reported is None:  # as early as possible
            written, reported = _write_report(run, read.data, flags, final=one is opened[-1]), result
            print(f"written: {', '.join(map(str, written))}", flush=True)
    result = result or decide(run, blend)
    if result is None:
        return 0
    if flags.report and reported is not result:
        written = _write_report(run, read.data, flags)
    _conclude(flags, run, result, written, time.monotonic() - begun_s)
    return 0


def _is_complete(run: Run, one: "OpenedModel") -> bool:
    return bool(one.folder.complete_seeds(run.folds))


def _without(blend: Blend | None, later: "Sequence[OpenedModel]") -> Blend | None:
    """The settings without the models that this command trains later, so that the first ones can be decided."""
    if blend is None:
        return None
    names = {one.model.name for one in later}
    return dataclasses.replace(blend, models=tuple(name for name in blend.models if name not in names))


class OpenedModel(NamedTuple):
    """A model that can be trained in a run."""

    model: Model
    config: Any
    folder: ModelFolder
    environment: dict[str, Any]


def open_models(run: Run, models: Sequence[Model], flags: Any, command: Sequence[str]) -> list[OpenedModel]:
    """Open the folders of models with the settings that the flags have for them, see `with_models`.

    All are opened before any is trained, so that an error of the last is raised at once. command: for the
    manifests. Raises DataError.
    """
    for model in models:
        _check_children(run, model, model.children_needed(getattr(flags, model.name)))
    opened = []
    for model in models:
        config = getattr(flags, model.name)
        environment = model.environment(config, flags.hardware, run.data)
        folder = open_model(run, model.name, to_tree(config), environment, command)
        opened.append(OpenedModel(model, config, folder, environment))
    return opened


def _check_children(run: Run, model: Model, needed: int) -> None:
    """Raises DataError where a fold has too few children with a pose to train a model on."""
    children = np.array(run.data.children)
    for fold in range(run.folds):
        count = len(set(children[run.data.has_pose & (run.fold_of != fold)]))
        if count < needed:
            some = "child" if count == 1 else "children"
            reason = f"leaves {count} {some} with a pose to train {model.name} on, which needs {needed}"
            if needed > model.fewest_children:
                hint = f"add children with poses, or use another {flag_of(model.name)}.loss"
            else:
                hint = "add children with poses, or leave it out: --models lgbm"
            raise DataError(f"fold {fold}", reason, hint)


def train_model(
    run: Run,
    opened: OpenedModel,
    hardware: Hardware,
    seed: int,
    folds: Sequence[int],
    workers: int,
    with_tensorboard: bool = False,
    begun: BegunFolds | None = None,
) -> None:
    """Train some folds of an opened model, or continue them, and show the progress; see `train_folds`.

    begun: those that are being trained on a cluster.
    """
    model, config, folder, environment = opened
    computed = (f"{key} {value}" for key, value in environment.items() if not key.endswith("sha256"))
    print(", ".join([model.name, f"seed {seed}", f"{run.folds} folds", *computed]), flush=True)
    with progress.Training(model.name) as watch:
        jobs = None if begun is None else begun.jobs
        train_folds(run, folder, model, config, hardware, seed, folds, workers, watch, with_tensorboard, jobs)


@contextlib.contextmanager
def trainer_of(where: str) -> Iterator[ClusterTrainer | None]:
    """What trains on the cluster that --cluster names; None without the flag."""
    with cluster.opened(where) as found:
        if found is None:
            yield None
            return
        with training_on(found) as trainer:
            yield trainer


def begin_folds(
    trainer: ClusterTrainer,
    run: Run,
    opened: OpenedModel,
    hardware: Hardware,
    seed: int,
    folds: Sequence[int],
    priority: int,
    with_tensorboard: bool = False,
) -> BegunFolds:
    """Begin to train some folds of an opened model on a cluster, on hardware like that of this command."""
    model, config, folder, environment = opened
    same = resolved(hardware, environment)
    return trainer.begin(run, folder, model, config, same, seed, folds, with_tensorboard, priority)


def check(flags: Any) -> None:
    """Raises SettingsError for flags that do not fit each other, before anything is read."""
    if flags.fold is not None and flags.split.folds_file is None and flags.fold >= flags.split.folds:
        last = flags.split.folds - 1
        raise SettingsError(f"--fold {flags.fold} is above {last}; the nearest valid value is {last}")
    if flags.tensorboard:
        tensorboard.check()
    if flags.report:
        templates.check()


def _blend_of(flags: Any) -> Blend | None:
    """The settings of the blend; None where none was given, so that those of an earlier decision stay."""
    if flags.blend == Blend() and not flags.decide_only:
        return None
    names = split_names(flags.blend.models)
    chosen = tuple(model.name for model in models_named(names, "--blend.models")) if names else ()
    return Blend(**(vars(flags.blend) | {"models": chosen}))


def _decide_only(flags: Any, blend: Blend | None) -> int:
    begun_s = time.monotonic()
    info = read_run_info(flags.run)
    moved = flags.read.data != Data().data  # to where the flags say
    folder = flags.read.data if moved else info.data.folder
    given = flags.read.landmarks != Data().landmarks
    landmarks = flags.read.landmarks if given else info.data.landmarks  # others than the run's are refused
    data = load_training(
        folder, info.frames, "safe", flags.cache, progress.reading, flags.read.rehash, landmarks, info.data.positive
    )
    run = reopen_run(flags.run, data)
    result = decide(run, blend)
    if result is None:
        hint = f"train one: python src/train_folds.py --run {printable(flags.run)}"
        raise DataError(run.path, "holds no model that is trained in every fold", hint)
    print(console.data_line(data))
    app.warn(data.findings)
    written = _write_report(run, folder, flags) if flags.report else []
    _conclude(flags, run, result, written, time.monotonic() - begun_s)
    return 0


def _write_report(run: Run, data: Path, flags: Any, final: bool = True) -> list[Path]:
    from spasm.report.build import write_report  # what plots takes a second to load

    return write_report(run.path, data, flags.cache, flags.hardware, final)


def _conclude(flags: Any, run: Run, result: Metrics, written: Sequence[Path], seconds: float) -> None:
    """Print the result, where it is, and what to do next."""
    print(console.models_table(result))
    print(console.metrics_table(result))
    others = [name for name in result.each_model if name not in result.models]
    if others:
        names = ",".join(others)
        command = shell_words("--run", run.path, "--decide-only", "--blend.models", names)
        print(f"{names}: evaluated, but not in the blend; to add: python src/train_folds.py {command}")
    files = [run.path / name for name in ("metrics.json", "decision.json", "oof.csv")]
    folders = [ModelFolder(run.path / name) for name in result.each_model]
    files += [path for folder in folders for path in (folder.history, folder.importance) if path.exists()]
    print("written:", ", ".join(map(str, [*files, *written])))
    print(console.closing_box(result, run.path, run.path / "report.html" if written else None, seconds))
    data = read_run_info(run.path).data.folder
    words = ["--run", str(run.path), "--test", str(data / "test")]
    if flags.read.name_pattern != "challenge":
        words += ["--name-pattern", flags.read.name_pattern]
    if (data / "test").exists():
        print(f"next:    python submission.py {shell_words(*words)}")
    elif written:
        print(f"next:    open {run.path / 'report.html'} in a browser")
