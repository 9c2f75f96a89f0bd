"""Hold out children from training, blend and threshold, and predict them as new children.

Each part of the children (a fold, or a value of a column of groups.csv) is predicted by a run that was trained on all
other parts. Stopped at any moment, the same command continues.

Examples:
  python src/evaluate_held_out.py --data input/demo
  python src/evaluate_held_out.py --data input --models lgbm,rocket --group-column cohort
"""

import dataclasses
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from spasm.cli import app, cluster, progress, train  # isort: skip  # first: it reports packages that are missing

import numpy as np

from spasm.config.data import Data, Folds
from spasm.config.ensemble import Blend
from spasm.config.fields import ADVANCED, FLAT, PER_CORE, Seed, Shown, settings, within
from spasm.config.runtime import Cache, Cluster, Hardware
from spasm.core import files
from spasm.core.outputs import check_folder
from spasm.core.processes import cpu_count
from spasm.data.dataset import TrainingData, load_by_settings
from spasm.evaluation import held_out, metrics
from spasm.inference.trained_run import Prediction, TrainedRun
from spasm.models.model import Model
from spasm.models.registry import models_named
from spasm.report import console
from spasm.runs.artefacts import metrics_of
from spasm.runs.decide import decide
from spasm.runs.folder import open_run
from spasm.training.on_cluster import BegunFolds, ClusterTrainer

MODELS = ("lgbm", "rocket")  # by default; a network takes far longer for every part


@settings
class EvaluateHeldOut:
    """Flags of evaluate_held_out.py, beside those of the models."""

    read: Annotated[Data, FLAT] = Data()
    out: Path = Path("output/held_out")
    """Folder for the runs and the predictions; runs that are there are continued."""
    models: train.Models = MODELS
    """Models to train and blend, by spaces or commas: lgbm, rocket, stgcn_mil, sta_gunet, stam, two_stream, vsvig. Each
    is trained once for every part."""
    group_column: Annotated[str, Shown(value="NAME", default="none; folds of children are held out")] = ""
    """Column of groups.csv: each of its values is held out in turn. With "segment" the parts split children, to show
    how optimistic that mistake is."""
    outer_folds: Annotated[int, within(2, 100)] = 5
    """Folds to hold out in turn."""
    outer_fold_seed: Annotated[Seed, ADVANCED] = 0
    """Seed of these folds."""
    shuffle_labels: Annotated[bool, ADVANCED] = False
    """Train on shuffled labels to check for leaks: the AUC must be near 0.5."""
    workers: Annotated[int, within(0, 256), PER_CORE] = 0
    """Folds trained side by side, one thread each."""
    seed: Seed = 0
    """Seed of the training."""
    split: Annotated[Folds, FLAT] = Folds()
    cache: Cache = Path("output/cache")
    """Folder for the checked poses and features; it may be deleted at any time."""
    hardware: Annotated[Hardware, FLAT, ADVANCED] = Hardware()
    cluster: Cluster = ""
    """Train on a cluster of Dask: local:N, an address, or FILE.json; see docs/cluster.md."""
    blend: Blend = Blend()


def flags(words: list[str]) -> type[EvaluateHeldOut]:
    """The flags of this command with the settings of the models that it names."""
    models = models_named(app.values_of("--models", words) or MODELS)
    made: type[EvaluateHeldOut] = train.with_models(EvaluateHeldOut, models)
    return made


def main(settings: EvaluateHeldOut) -> int:
    models, read = models_named(settings.models), settings.read
    cluster.check(settings.cluster, settings.workers)
    check_folder(settings.out, ("predictions.csv", "metrics.json"), "without_*/data")
    data = load_by_settings(read, settings.cache, progress.reading)
    labels = data.labels
    if settings.shuffle_labels:
        labels = np.random.default_rng(settings.seed).permutation(labels)
    part_of = held_out.parts(data, settings.group_column, settings.outer_folds, settings.outer_fold_seed)
    print(console.data_summary(data))
    app.warn([*map(str, data.warnings), *data.findings])
    if settings.group_column == held_out.BY_SEGMENT:
        print("WARNING: parts split children, so that a child is predicted by what was trained on its other segments")
    probabilities, positive = np.zeros(len(labels)), np.zeros(len(labels), dtype=bool)
    children = np.array(data.children)
    with train.trainer_of(settings.cluster) as trainer:
        begun: dict[str, Part] = {}
        if trainer is not None:
            for name in np.unique(part_of):  # all at once
                begun[str(name)] = Part(settings, models, data, labels, part_of == name, str(name))
                begun[str(name)].begin(trainer)
        for name in np.unique(part_of):
            rows = part_of == name
            print(f"part {name}: {rows.sum()} segments held out, {(~rows).sum()} to train on", flush=True)
            part = begun.get(str(name)) or Part(settings, models, data, labels, rows, str(name))
            prediction = part.predict()
            probabilities[rows], positive[rows] = prediction.probability, prediction.label == 1
            shown = labels[rows], probabilities[rows], positive[rows], children[rows].tolist()
            print(console.part_line(str(name), *shown), flush=True)
    columns = (data.names, data.children, labels, part_of, probabilities, positive.astype(int))
    header = ("segment_name", "child", "label", "part", "probability", "label_predicted")
    files.write_csv(settings.out / "predictions.csv", header, zip(*columns, strict=True))
    found = metrics.evaluate(labels, probabilities, positive, data.children, part_of)
    line = metrics.calibration(labels, probabilities, data.children)
    result = {"simulated": data.simulated, "held_out": found, "calibration": line}
    files.write_json(settings.out / "metrics.json", result)
    title = "all held-out children, each part at the threshold of its own run"
    print(console.intervals_table(metrics_of(found), title))
    print(console.calibration_lines(metrics_of(line)))
    if settings.shuffle_labels:
        print("the labels were shuffled: nothing here can be better than chance")
    if data.simulated:
        print(console.SIMULATED)
    print(f"written: {settings.out}/predictions.csv, metrics.json and the runs")
    return 0


class Part:
    """Held-out segments, and the run that is trained without them."""

    def __init__(
        self,
        settings: EvaluateHeldOut,
        models: Sequence[Model],
        data: TrainingData,
        labels: np.ndarray,
        rows: np.ndarray,
        name: str,
    ) -> None:
        """rows: (N,) bool, the held-out segments. Writes the data of the others, and opens their run."""
        self.settings, self.models, self.data, self.rows, self.name = settings, models, data, rows, name
        self.folder, read, frames = settings.out / f"without_{name}", settings.read, data.poses.shape[1]
        held_out.write_training_data(data, labels, ~rows, self.folder / "data")
        known = load_by_settings(
            dataclasses.replace(read, data=self.folder / "data", frames=frames, positive=None),
            settings.cache,
            progress.reading,
        )
        self.run = open_run(self.folder / "run", known, self.folder / "data", frames, settings.split)
        command = [os.path.basename(sys.argv[0]), *sys.argv[1:]]
        self.opened = train.open_models(self.run, models, settings, command)
        self.begun: dict[str, BegunFolds] = {}

    def begin(self, trainer: ClusterTrainer) -> None:
        """Begin to train the run on a cluster."""
        hardware, seed = self.settings.hardware, self.settings.seed
        for place, one in enumerate(self.opened):
            self.begun[one.model.name] = train.begin_folds(
                trainer, self.run, one, hardware, seed, range(self.run.folds), -place
            )

    def predict(self) -> Prediction:
        """Train the run to its end, and predict the held-out segments."""
        settings, data, run = self.settings, self.data, self.run
        workers = min(run.folds, settings.workers or cpu_count())
        for one in self.opened:
            begun = self.begun.get(one.model.name)
            train.train_model(run, one, settings.hardware, settings.seed, range(run.folds), workers, begun=begun)
        blend = dataclasses.replace(settings.blend, models=tuple(model.name for model in self.models))
        decide(run, blend, with_defaults=False)  # nor what an earlier command left in the run
        names, children = np.array(data.names)[self.rows], np.array(data.children)[self.rows]
        paths = [data.folder / "train" / name for name in names]
        with progress.progress("predicting", total=len(paths), unit="segment") as bar:
            trained = TrainedRun(run.path, settings.hardware, settings.workers)
            return trained.predict_files(paths, data.folder, list(children), bar.update)


if __name__ == "__main__":
    sys.exit(app.run(main, flags, __doc__))
