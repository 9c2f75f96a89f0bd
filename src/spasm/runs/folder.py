"""The run folder: its files, the order in which they are written, and checks before anything is added to it.

RUN/run.json, folds.csv       T, data and folds, made by the first command and shared by every model
RUN/<model>/manifest.json     settings, versions, and the sha256 of every file that a decision depends on
RUN/<model>/seed_S/           fold_K.safetensors weights (.txt of LightGBM), fold_K_oof.csv scores, and
                              fold_K_last.safetensors while a network can be resumed
RUN/<model>/history.csv       of a network: one row per epoch; no loss of held-out children, who must not be used
RUN/<model>/tensorboard/      the same for TensorBoard, with --tensorboard
RUN/<model>/importance.csv    of LightGBM: the gain of each group of features
RUN/<model>/oof.csv           out-of-fold logits: the mean over seeds
RUN/oof.csv, decision.json, metrics.json    from the complete models
RUN/segments.csv              digests of the training segments, written with the first decision
"""

import contextlib
import dataclasses
import platform
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spasm.config.data import Folds
from spasm.core import files
from spasm.core.errors import DataError, printable
from spasm.core.nearby import listed
from spasm.core.outputs import check_folder
from spasm.core.tables import read_table
from spasm.core.text import shell_words, text_of_path
from spasm.core.versions import PACKAGES, version_of
from spasm.data.dataset import TrainingData, load_training
from spasm.data.folds import make_folds, read_folds, why_untrainable
from spasm.data.segments import Progress
from spasm.ensemble.calibration import logit_without_pose
from spasm.runs.artefacts import (
    OOF_COLUMNS,
    DataInfo,
    FoldsInfo,
    Manifest,
    RunInfo,
    check_files,
    fold_file,
    read_manifest,
    read_run_info,
)


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """An open run: its folder, and the data and folds all its models share."""

    path: Path
    data: TrainingData
    fold_of: np.ndarray
    """(N,) int64: the fold that scores each segment."""

    @property
    def folds(self) -> int:
        return int(self.fold_of.max()) + 1

    @property
    def lock(self) -> Path:
        return self.path / ".lock"


def check_place(path: Path) -> None:
    """Raises DataError for a folder that a new run must not be written into."""
    found = sorted(one.parent for one in path.glob("*/run.json"))
    if found and not (path / "run.json").exists():
        hint = f"name one of them, or a new one in it: --run {shell_words(path / 'main')}"
        raise DataError(path, f"holds runs and is none itself: {listed(found)}", hint)
    if next(path.glob("*/manifest.json"), None) is None:
        check_folder(path, ("oof.csv", "decision.json", "metrics.json", "report.html"), "run.json", "--run")


def open_run(path: Path, data: TrainingData, data_path: Path, frames: int, split: Folds) -> Run:
    """Make a run, or open one made for the same data, T and folds. Raises DataError if they differ."""
    check_place(path)
    if error := why_untrainable(data_path, data.labels, data.children, data.has_pose):
        raise error
    made = (path / "run.json").exists()
    if split.folds_file is not None:
        fold_of = read_folds(split.folds_file, data.names)
        origin = FoldsInfo(folds=int(fold_of.max()) + 1, file_sha256=files.sha256(split.folds_file))
    else:
        origin = FoldsInfo(folds=split.folds, splitter=split.splitter, seed=split.fold_seed)
        if not made:  # otherwise they are read: scikit-learn takes a second to import
            fold_of = make_folds(data.labels, data.children, split.folds, split.splitter, split.fold_seed)
    with files.lock(path / ".lock", "the run is being written"):
        files.check_writable(path)
        files.remove_stale(path)
        about = _data_info(data, data_path)
        if not made and not (path / "run.json").exists():
            if list(path.glob("*/manifest.json")):
                hint = "restore it from a copy, or begin another --run"
                raise DataError(path / "run.json", "is missing beside trained models", hint)
            for fold in range(int(fold_of.max()) + 1):
                there = np.unique(data.labels[(fold_of != fold) & data.has_pose])
                if len(there) < 2:
                    lacking = "negative" if 1 in there else "positive"
                    reason = f"hold all {lacking} segments with a pose in fold {fold}, and leave none to train on"
                    hint = "use another --fold-seed, or name the folds in a table: --folds-file"
                    raise DataError("the folds", reason, hint)
            rows = zip(data.names, data.children, data.labels, fold_of, strict=True)
            files.write_csv(path / "folds.csv", OOF_COLUMNS, rows)
            digest = files.sha256(path / "folds.csv")
            info = RunInfo(frames=frames, data=about, folds=origin, folds_sha256=digest, findings=list(data.findings))
            info.write(path / "run.json")
        info = read_run_info(path)
        _require(path / "run.json", "frames (T)", info.frames, frames)
        _require_data(path / "run.json", info.data, about)
        _require(path / "run.json", "folds", _described(info.folds), _described(origin))
        # Read the file and do not use the folds made above: another version of scikit-learn can split differently.
        return Run(path, data, read_folds(path / "folds.csv", data.names))


def load_data(run: Path, data: Path | None, cache: Path, reading: Progress = iter) -> TrainingData:
    """The data that a run was trained on, from the folder that it names or, if that has moved, from `data`."""
    info = read_run_info(run)
    folder, landmarks = data or info.data.folder, info.data.landmarks
    return load_training(folder, info.frames, "safe", cache, reading, landmarks=landmarks, positive=info.data.positive)


def reopen_run(path: Path, data: TrainingData) -> Run:
    """Open a finished run with the data it was made for. Raises DataError if that has changed."""
    files.remove_stale(path)
    _require_data(path / "run.json", read_run_info(path).data, _data_info(data, data.folder))
    return Run(path, data, read_folds(path / "folds.csv", data.names))


def _data_info(data: TrainingData, folder: Path) -> DataInfo:
    return DataInfo(
        path=text_of_path(folder),
        simulated=data.simulated,
        segments=len(data.names),
        children=len(set(data.children)),
        positives=int(data.labels.sum()),
        without_pose=int((~data.has_pose).sum()),
        fingerprint=data.fingerprint,
        landmarks=data.landmarks,
        positive=data.positive,
    )


def _described(origin: FoldsInfo) -> str:
    """The flags that gave the folds."""
    if origin.file_sha256:
        return f"{origin.folds} folds from a --folds-file with the sha256 {origin.file_sha256[:12]}..."
    return f"--folds {origin.folds} --splitter {origin.splitter} --fold-seed {origin.seed}"


def _require(path: Path, what: str, made: object, wanted: object) -> None:
    if made != wanted:
        reason = f"the run was made with other {what}: {made}, not {wanted}"
        raise DataError(path, reason, "give the same as before, or use another --run")


def _require_data(path: Path, made: DataInfo, wanted: DataInfo) -> None:
    if made.landmarks != wanted.landmarks:
        reason = f"the run was made with --landmarks {made.landmarks}, not {wanted.landmarks}"
        raise DataError(path, reason, f"give --landmarks {made.landmarks}, or use another --run")
    if made.fingerprint == wanted.fingerprint:
        return
    then, now = (
        f"{info.segments} segments, {info.positives} of them positive, in {printable(info.path)}"
        for info in (made, wanted)
    )
    difference = f"then {then}; now {now}" if then != now else f"some labels or poses in {printable(made.path)} differ"
    hint = "put the data back as it was, or use another --run"
    raise DataError(path, f"the run was made with other data: {difference}", hint)


@dataclasses.dataclass(frozen=True)
class ModelFolder:
    """One model's part of a run folder."""

    path: Path

    @property
    def manifest(self) -> Path:
        return self.path / "manifest.json"

    @property
    def oof(self) -> Path:
        return self.path / "oof.csv"

    @property
    def history(self) -> Path:
        return self.path / "history.csv"

    @property
    def importance(self) -> Path:
        return self.path / "importance.csv"

    @property
    def lock(self) -> Path:
        return self.path / ".lock"

    def weights(self, seed: int, fold: int) -> Path:
        return self.path / fold_file(self.path.name, seed, fold)

    def fold_oof(self, seed: int, fold: int) -> Path:
        return self.path / f"seed_{seed}" / f"fold_{fold}_oof.csv"

    def last(self, seed: int, fold: int) -> Path:
        return self.path / f"seed_{seed}" / f"fold_{fold}_last.safetensors"

    def tensorboard(self, seed: int, fold: int) -> Path:
        return self.path / "tensorboard" / f"seed_{seed}_fold_{fold}"

    @contextlib.contextmanager
    def begun_fold(self, seed: int, fold: int) -> Iterator[bool]:
        """Lock a fold, so that no other process trains it; yields whether it is trained already."""
        path = self.path / f"seed_{seed}" / f".fold_{fold}.lock"
        if not self.manifest.exists():  # else a worker that had written nothing yet would make the folder again
            raise DataError(self.manifest, "is missing", "put the run back, or begin it again")
        with files.lock(path, f"fold {fold} of seed {seed} is being trained"):
            yield self.is_trained(seed, fold)

    def finish_fold(self, run: Run, seed: int, fold: int, logits: np.ndarray, *paths: Path) -> None:
        """Write a fold's out-of-fold rows and note them and `paths`, the fold's model, in the manifest.

        logits: of the fold's segments with a pose; the others get the log-odds of such segments in the other folds.
        """
        scored, data = run.fold_of == fold, run.data
        values = np.full(len(scored), logit_without_pose(data.labels[~scored], data.has_pose[~scored]))
        values[scored & data.has_pose] = logits
        rows = ((data.names[row], values[row]) for row in np.flatnonzero(scored))
        files.write_csv(self.fold_oof(seed, fold), ("segment_name", "logit"), rows)
        self.note_files(*paths, self.fold_oof(seed, fold))

    def seeds(self) -> list[int]:
        """Every seed whose training has begun."""
        return sorted(int(folder.name[5:]) for folder in self.path.glob("seed_*") if folder.name[5:].isdigit())

    def complete_seeds(self, folds: int) -> list[int]:
        """The seeds whose folds are all trained."""
        return [seed for seed in self.seeds() if all(self.is_trained(seed, fold) for fold in range(folds))]

    def is_trained(self, seed: int, fold: int) -> bool:
        if not self.manifest.exists():
            return False
        noted = read_manifest(self.manifest).files
        paths = (self.weights(seed, fold), self.fold_oof(seed, fold))
        return all(str(path.relative_to(self.path)) in noted for path in paths)

    def note_files(self, *paths: Path) -> None:
        """Add the sha256 of finished files to the manifest."""
        with files.lock(self.lock, "the model is being written"):
            manifest = read_manifest(self.manifest)
            noted = manifest.files | {str(path.relative_to(self.path)): files.sha256(path) for path in paths}
            manifest.model_copy(update={"files": dict(sorted(noted.items()))}).write(self.manifest)

    def note_history(self, seed: int, fold: int, rows: Sequence[Mapping[str, float]]) -> None:
        """Write one fold's epochs into the model's history, replacing its older rows."""
        numbered = {str(epoch): list(row.values()) for epoch, row in enumerate(rows, 1)}
        self._note_rows(self.history, (seed, fold), ("epoch", *rows[0]), numbered)

    def epochs_noted(self, seed: int) -> dict[int, int]:
        """How many epochs of each fold of a seed are in the history."""
        if not self.history.exists():
            return {}
        rows = read_table(self.history, ("seed", "fold"))
        return dict(Counter(int(row["fold"]) for row in rows if row["seed"] == str(seed)))

    def note_importance(self, seed: int, fold: int, fractions: Mapping[str, float]) -> None:
        """Write the gain of each group of features in one fold into the model's table."""
        rows = {group: [float(f"{fraction:.{files.TABLE_DIGITS}g}")] for group, fraction in fractions.items()}
        self._note_rows(self.importance, (seed, fold), ("group", "gain_fraction"), rows)

    def _note_rows(
        self, path: Path, place: tuple[int, int], columns: tuple[str, ...], rows: Mapping[str, list[float]]
    ) -> None:
        """Write one fold's rows into a table, replacing its older rows; the first column identifies them."""
        with files.lock(self.lock, "the model is being written"):
            table: dict[tuple[int, int], list[list[str]]] = {}
            if path.exists():
                for row in read_table(path, ("seed", "fold", *columns)):
                    try:
                        key = int(row["seed"]), int(row["fold"])
                    except ValueError as error:
                        raise DataError(path, "has a damaged row", "delete it; no result depends on it") from error
                    table.setdefault(key, []).append([row[column] for column in columns])
            table[place] = [[name, *map(repr, values)] for name, values in rows.items()]
            lines = ([*key, *cells] for key, group in sorted(table.items()) for cells in group)
            files.write_csv(path, ("seed", "fold", *columns), lines)


def open_model(
    run: Run, name: str, settings: Mapping[str, Any], environment: Mapping[str, str | int], command: Sequence[str] = ()
) -> ModelFolder:
    """Make a model's folder, or open one begun with the same settings on the same kind of hardware.

    command: the command line, for the manifest. Raises DataError naming the difference, and if a finished file is
    missing or has changed.
    """
    model = ModelFolder(run.path / name)
    with files.lock(model.lock, "the model is being written"):
        if not model.manifest.exists():
            if any(model.path.glob("seed_*/fold_*")):
                reason = "is missing, and with it the settings of the folds beside it"
                raise DataError(model.manifest, reason, f"restore it from a copy, or delete {model.path}")
            Manifest(
                model=name,
                settings=dict(settings),
                environment=dict(environment),
                data=read_run_info(run.path).data,
                versions={"python": platform.python_version()} | {name: version_of(name) for name in PACKAGES},
                command=list(map(text_of_path, command)),
                files={},
            ).write(model.manifest)
        manifest = read_manifest(model.manifest)
        _require_same(model, manifest.settings, settings)
        _require_onsets(model, manifest.environment, environment)
        _require_same(model, manifest.environment, environment)
        check_files(model.path, manifest.files)
    return model


def _require_same(model: ModelFolder, made: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    for flag, value in _differences(dict(made), dict(wanted), model.path.name):
        hint = f"give the same, use another --run, or delete {printable(model.path)}"
        raise DataError(model.manifest, f"was begun with other settings: {flag} {value}", hint)


def _require_onsets(model: ModelFolder, made: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raises DataError where the onsets.csv of the folds that are trained has changed, gone, or come since."""
    before, now = (environment.get("onsets_sha256") for environment in (made, wanted))
    if before == now:
        return
    change = "was added to the data" if before is None else "has gone from the data" if now is None else "has changed"
    remedy = "take it away" if before is None else "put it back as it was"
    hint = f"{remedy}, use another --run, or delete {printable(model.path)}"
    raise DataError(model.manifest, f"onsets.csv {change} since these folds were begun with --loss squared", hint)


def _differences(made: Any, wanted: Any, key: str) -> list[tuple[str, Any]]:
    """The flags under which two settings trees differ, with the values of the first."""
    if isinstance(made, dict) and isinstance(wanted, dict):
        keys = sorted(set(made) | set(wanted))
        return [pair for key in keys for pair in _differences(made.get(key), wanted.get(key), key)]
    return [] if made == wanted else [(f"--{key.replace('_', '-')}", made)]
