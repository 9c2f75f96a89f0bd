"""What it costs to give a run other landmarks than it was trained with.

For each seed, infants are simulated to train on, and others to predict. Runs trained with each set of landmarks predict
the same new infants, of whose poses only some landmarks are given. Metrics are over the new infants of all seeds, each
at the threshold of its own run. Stopped at any moment, the same command continues.

Examples:
  python benchmarks/landmarks.py --models lgbm,rocket
  python benchmarks/landmarks.py --camera-setup ward --models lgbm --seeds 5
"""

import hashlib
import itertools
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from spasm.cli import app, progress, train
from spasm.config.data import Folds, LandmarkSet
from spasm.config.ensemble import Blend
from spasm.config.fields import FLAT, PER_CORE, SettingsError, Shown, settings, within
from spasm.config.runtime import Cache, Hardware
from spasm.core import files
from spasm.core.processes import cpu_count
from spasm.data.dataset import TrainingData, load_training
from spasm.data.landmark_sets import keep_landmarks
from spasm.ensemble.blending import OofScores, fit_blend
from spasm.evaluation import bootstrap, metrics
from spasm.inference.trained_run import Prediction, TrainedRun
from spasm.models.model import Model
from spasm.models.registry import DEFAULT_MODELS, models_named
from spasm.runs.decide import complete_logits, decide
from spasm.runs.folder import Run, open_run
from spasm.simulation.dataset_writer import write_dataset
from spasm.simulation.infant import SimulationConfig


@settings
class BenchmarkLandmarks:
    """Flags of benchmarks/landmarks.py, beside those of the models."""

    out: Path = Path("output/landmarks")
    """Folder for the data, the runs and the table."""
    trained_on: Annotated[tuple[LandmarkSet, ...], Shown(value="SETS")] = ("all", "body_25", "coco_17")
    """Sets of landmarks to train on, by spaces; all is compared with."""
    models: train.Models = DEFAULT_MODELS
    """Models to train, by spaces or commas."""
    children: Annotated[int, within(8, 10_000)] = 60
    """Simulated children of each seed to train on, and as many others to predict; a quarter is not used."""
    segments_per_child: Annotated[int, within(2, 1000)] = 10
    """Segments of each child."""
    camera_setup: Literal["home", "table", "ward"] = "home"
    """Setup of the cameras, see simulate.py."""
    seeds: Annotated[int, within(1, 100)] = 3
    """Number of seeds of the simulation and of the training, counted from 0."""
    workers: Annotated[int, within(0, 256), PER_CORE] = 0
    """Folds trained side by side, one thread each."""
    split: Annotated[Folds, FLAT] = Folds()
    cache: Cache = Path("output/cache")
    """Folder for the checked poses and features; it may be deleted at any time."""
    hardware: Annotated[Hardware, FLAT] = Hardware()


# Of the landmarks that are given: those of a set, with or without z.
GIVEN: dict[str, tuple[LandmarkSet, bool]] = {
    "all": ("all", True),
    "all, z = 0": ("all", False),
    "body_25, z = 0": ("body_25", False),
    "coco_17": ("coco_17", True),
    "coco_17, z = 0": ("coco_17", False),
}
COLUMNS = ("trained_on", "given", "model", "f1", "f1_low", "f1_high", "f1_change", "change_low", "change_high", "auc")


class Scored(NamedTuple):
    """Predictions for the new children of one seed."""

    labels: np.ndarray
    children: list[str]
    probabilities: np.ndarray
    positive: np.ndarray


def flags(words: list[str]) -> type[BenchmarkLandmarks]:
    """The flags of this script with the settings of the models that it names."""
    models = models_named(app.values_of("--models", words) or DEFAULT_MODELS)
    made: type[BenchmarkLandmarks] = train.with_models(BenchmarkLandmarks, models)
    return made


def main(settings: BenchmarkLandmarks) -> int:
    models = models_named(settings.models)
    if "all" not in settings.trained_on:
        raise SettingsError("--trained-on must name all, which the others are compared with")
    scored: dict[tuple[str, str, str], list[Scored]] = {}
    for seed, trained_on in itertools.product(range(settings.seeds), settings.trained_on):
        known = simulated(settings, f"train_{seed}", seed, trained_on)
        new = simulated(settings, f"new_{seed}", 1000 + seed, "all")
        run = train_run(settings, models, known, settings.out / f"{trained_on}_{seed}", seed)
        for given, name, one in predict(settings, run, new, seed):
            scored.setdefault((trained_on, given, name), []).append(one)
    rows = table(scored)
    files.write_csv(settings.out / "table.csv", COLUMNS, rows, files.TABLE_DIGITS)
    labels = np.concatenate([one.labels for one in next(iter(scored.values()))])
    print(f"SIMULATED DATA, {settings.camera_setup}: {len(labels)} segments of new children, {settings.seeds} seeds,")
    print(f"prevalence {labels.mean():.3f}; F1 with 95 % interval over children, and the change from all on all")
    for trained_on, given, name, f1, low, high, change, change_low, change_high, auc in rows:
        what = f"trained on {trained_on:8} given {given:15} {name:10}"
        print(
            f"{what} F1 {f1:.3f} ({low:.3f} to {high:.3f}) {change:+.3f} ({change_low:+.3f} to {change_high:+.3f})",
            end="",
        )
        print(f" AUC {auc:.3f}")
    print(f"written: {settings.out / 'table.csv'}")
    return 0


def simulated(settings: BenchmarkLandmarks, name: str, seed: int, landmarks: LandmarkSet) -> TrainingData:
    """The training segments of a simulated data set, which is made if it is missing."""
    folder = settings.out / name
    if not folder.exists():
        world = SimulationConfig(camera_setup=settings.camera_setup)
        write_dataset(folder, settings.children, settings.segments_per_child, seed, world, workers=settings.workers)
    return load_training(folder, None, "challenge", settings.cache, progress.reading, landmarks=landmarks)


def train_run(settings: Any, models: Sequence[Model], data: TrainingData, path: Path, seed: int) -> Run:
    """A run of these models on the data, blended."""
    run = open_run(path, data, data.folder, data.poses.shape[1], settings.split)
    workers = min(run.folds, settings.workers or cpu_count())
    for opened in train.open_models(run, models, settings, [os.path.basename(sys.argv[0])]):
        train.train_model(run, opened, settings.hardware, seed, range(run.folds), workers)
    decide(run, Blend(models=tuple(model.name for model in models)), with_defaults=False)
    return run


def predict(settings: BenchmarkLandmarks, run: Run, new: TrainingData, seed: int) -> list[tuple[str, str, Scored]]:
    """Predictions by each model alone and by the blend, for all that can be given: given, model, predictions."""
    trained, of_run = TrainedRun(run.path, settings.hardware, settings.workers), complete_logits(run)
    children = [f"{seed}_{child}" for child in new.children]
    predicted: dict[bytes, Prediction] = {}  # by what the run reads of the poses, which may be equal
    results = []
    for given, (landmarks, has_depth) in GIVEN.items():
        poses = keep_landmarks(np.array(new.poses), landmarks)
        poses[..., 2] = np.where(np.isfinite(poses[..., 0]), np.array(new.poses[..., 2]) if has_depth else 0, np.nan)
        key = hashlib.sha256(keep_landmarks(poses, run.data.landmarks).tobytes()).digest()
        if key not in predicted:
            predicted[key] = trained.predict(poses, children)
        prediction = predicted[key]
        results.append((given, "blend", Scored(new.labels, children, prediction.probability, prediction.label == 1)))
        if len(prediction.logits) > 1:
            for name, alone, threshold in each_model(run, of_run, prediction, children):
                results.append((given, name, Scored(new.labels, children, alone, alone >= threshold)))
    return results


def each_model(
    run: Run, of_run: Mapping[str, np.ndarray], prediction: Prediction, children: Sequence[str]
) -> Iterator[tuple[str, np.ndarray, float]]:
    """Name, probabilities (N,) and threshold of each model of a prediction alone.

    of_run: the out-of-fold logits of each model, on which its calibration and threshold are fitted.
    """
    for name, logits in prediction.logits.items():
        oof = OofScores({name: of_run[name]}, np.array(run.data.children), run.data.has_pose)
        parameters = fit_blend(oof, run.data.labels, Blend(), run.folds).of_fold_averages()
        rows = OofScores({name: logits}, np.array(children), prediction.has_pose)
        yield name, parameters.probability(rows), parameters.threshold


def table(scored: dict[tuple[str, str, str], list[Scored]]) -> list[tuple[Any, ...]]:
    """Rows of COLUMNS: metrics over the children of all seeds, and how far F1 is from all landmarks on all."""
    found = {key: metrics.cluster_bootstrap(*pooled(of_seeds)) for key, of_seeds in scored.items()}
    rows = []
    for (trained_on, given, name), (point, replicates) in found.items():
        usual, usual_replicates = found["all", "all", name]
        children = len(set(pooled(scored[trained_on, given, name])[3]))
        f1 = bootstrap.interval(point["f1"], replicates["f1"], children)
        change = bootstrap.interval(point["f1"] - usual["f1"], replicates["f1"] - usual_replicates["f1"], children)
        row = (*f1.values(), *change.values(), point["auc"])
        rows.append((trained_on, given, name, *row))
    return sorted(rows, key=lambda row: row[2])


def pooled(of_seeds: list[Scored]) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str], np.ndarray]:
    """Labels, probabilities, predicted labels, children and seed's number of all seeds, each of which has its run."""
    labels, probabilities, positive = (
        np.concatenate([getattr(one, name) for one in of_seeds]) for name in ("labels", "probabilities", "positive")
    )
    children = [child for one in of_seeds for child in one.children]
    return (
        labels,
        probabilities,
        positive,
        children,
        np.repeat(range(len(of_seeds)), [len(one.labels) for one in of_seeds]),
    )


if __name__ == "__main__":
    sys.exit(app.run(main, flags, __doc__))
