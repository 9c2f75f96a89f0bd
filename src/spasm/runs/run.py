"""The run folder: what a training writes, in which order, and what must match before anything is added to it.

RUN/run.json, folds.csv       T, data and folds, made by the first command and shared by every member
RUN/<member>/manifest.json    settings, versions, and the sha256 of every file that a decision rests on
RUN/<member>/seed_S/          fold_K.pt weights (.txt of LightGBM), fold_K_oof.csv scores, and fold_K_last.pt while a
                              network can be resumed
RUN/<member>/history.csv      of a network: one row per epoch
RUN/<member>/tensorboard/     the same for TensorBoard, where it is asked for
RUN/lgbm/importance.csv       what each group of statistics contributed
RUN/<member>/oof.csv          out-of-fold logits: the mean over seeds
RUN/oof.csv, decision.json, metrics.json    from the members that are complete
"""

import contextlib
import dataclasses
import os
import platform
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from spasm.config.data import Folds
from spasm.config.fields import ADDED
from spasm.core import files
from spasm.core.errors import DataError
from spasm.core.tables import read_table
from spasm.data.dataset import TrainingData
from spasm.data.folds import make_folds, read_folds
from spasm.ensemble.calibration import logit_without_pose

PACKAGES = ("torch", "numpy", "pandas", "scikit-learn", "lightgbm", "joblib")
OOF = ("segment_name", "child", "label", "fold", "logit")


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """An open run: its folder, and the data and folds all its members share."""

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


def open_run(path: Path, data: TrainingData, data_path: Path, frames: int, split: Folds) -> Run:
    """Make a run, or open one made for the same data, T and folds. Raises DataError where they differ."""
    with files.lock(path / ".lock", "the run is being written"):
        files.check_writable(path)
        files.remove_stale(path)
        if split.folds_file is None:
            fold_of = make_folds(data.labels, data.children, split.folds, split.splitter, split.fold_seed)
            origin: dict[str, Any] = {"folds": split.folds, "kind": split.splitter, "seed": split.fold_seed}
        else:
            fold_of = read_folds(split.folds_file, data.names)
            origin = {"folds": int(fold_of.max()) + 1, "file_sha256": files.sha256(split.folds_file)}
        wanted = {
            "frames": frames,
            "data": {
                "path": str(data_path),
                "simulated": data.simulated,
                "segments": len(data.names),
                "children": len(set(data.children)),
                "positives": int(data.labels.sum()),
                "without_pose": int((~data.has_pose).sum()),
                "fingerprint": data.fingerprint,
            },
            "folds": origin,
        }
        if not (path / "run.json").exists():
            if list(path.glob("*/manifest.json")):
                hint = "restore it from a copy, or begin another --run"
                raise DataError(path / "run.json", "is missing beside trained members", hint)
            for fold in range(int(fold_of.max()) + 1):
                if len(np.unique(data.labels[(fold_of != fold) & data.has_pose])) < 2:
                    reason = f"leave one class to train on for fold {fold}"
                    raise DataError("the folds", reason, "use fewer --folds or another --fold-seed")
            rows = zip(data.names, data.children, data.labels, fold_of, strict=True)
            files.write_csv(path / "folds.csv", OOF[:4], rows)
            files.write_json(path / "run.json", {**wanted, "folds_sha256": files.sha256(path / "folds.csv")})
        made = read_run(path)
        _require(path / "run.json", "frames (T)", made["frames"], frames)
        _require(path / "run.json", "data", made["data"]["fingerprint"], data.fingerprint)
        _require(path / "run.json", "folds", made["folds"], origin)
        # From the file, and not as made above: another version of scikit-learn can deal them differently.
        return Run(path, data, read_folds(path / "folds.csv", data.names))


def reopen_run(path: Path, data: TrainingData) -> Run:
    """Open a finished run with the data it was made for. Raises DataError if that has changed."""
    files.remove_stale(path)
    _require(path / "run.json", "data", read_run(path)["data"]["fingerprint"], data.fingerprint)
    return Run(path, data, read_folds(path / "folds.csv", data.names))


def read_run(path: Path) -> dict[str, Any]:
    """What run.json says, once folds.csv is known to be the one it speaks of."""
    made = files.read_json(path / "run.json")
    shape = {"frames": int, "data": dict, "folds": dict, "folds_sha256": str}
    if not all(type(made.get(key)) is kind for key, kind in shape.items()) or "fingerprint" not in made["data"]:
        raise DataError(path / "run.json", "is not a run of this software", "restore it, or begin another --run")
    if files.sha256(path / "folds.csv") != made.get("folds_sha256"):
        raise DataError(path / "folds.csv", "has changed since the run was made", "restore it, or begin another --run")
    return made


def read_manifest(path: Path) -> dict[str, Any]:
    """What a member's manifest.json says. Raises DataError if it is not one."""
    manifest = files.read_json(path)
    noted = manifest.get("files")
    whole = isinstance(noted, dict) and all(isinstance(digest, str) for digest in noted.values())
    if not whole or not isinstance(manifest.get("settings"), dict):
        raise DataError(path, "is not a manifest of this software", "restore it from a copy")
    return manifest


def _require(path: Path, what: str, made: object, wanted: object) -> None:
    if made != wanted:
        raise DataError(path, f"the run was made with other {what}: {made}, not {wanted}", "use another --run")


@dataclasses.dataclass(frozen=True)
class MemberFolder:
    """One member's part of a run folder."""

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
        suffix = ".txt" if self.path.name == "lgbm" else ".pt"
        return self.path / f"seed_{seed}" / f"fold_{fold}{suffix}"

    def fold_oof(self, seed: int, fold: int) -> Path:
        return self.path / f"seed_{seed}" / f"fold_{fold}_oof.csv"

    def last(self, seed: int, fold: int) -> Path:
        return self.path / f"seed_{seed}" / f"fold_{fold}_last.pt"

    def tensorboard(self, seed: int, fold: int) -> Path:
        return self.path / "tensorboard" / f"seed_{seed}_fold_{fold}"

    @contextlib.contextmanager
    def begun_fold(self, seed: int, fold: int) -> Iterator[bool]:
        """Hold a fold, so that no other process trains it; gives whether it is trained already."""
        path = self.path / f"seed_{seed}" / f".fold_{fold}.lock"
        if not self.manifest.exists():  # a worker that had written nothing yet would make the folder again
            raise DataError(self.manifest, "is not there, or no longer", "put the run back, or begin it again")
        with files.lock(path, f"fold {fold} of seed {seed} is being trained"):
            yield self.is_trained(seed, fold)

    def finish_fold(self, run: Run, seed: int, fold: int, logits: np.ndarray, *paths: Path) -> None:
        """Write a fold's out-of-fold rows and note them and `paths`, the fold's model, in the manifest.

        logits: of the fold's segments with a pose; those without one get what such segments were labelled elsewhere.
        """
        scored, data = run.fold_of == fold, run.data
        values = np.full(len(scored), logit_without_pose(data.labels[~scored], data.has_pose[~scored]))
        values[scored & data.has_pose] = logits
        rows = ((data.names[row], values[row]) for row in np.flatnonzero(scored))
        files.write_csv(self.fold_oof(seed, fold), ("segment_name", "logit"), rows)
        self.note_files(*paths, self.fold_oof(seed, fold))

    def seeds(self) -> list[int]:
        """Every seed that was begun."""
        return sorted(int(folder.name[5:]) for folder in self.path.glob("seed_*") if folder.name[5:].isdigit())

    def complete_seeds(self, folds: int) -> list[int]:
        """The seeds whose folds are all trained."""
        return [seed for seed in self.seeds() if all(self.is_trained(seed, fold) for fold in range(folds))]

    def is_trained(self, seed: int, fold: int) -> bool:
        if not self.manifest.exists():
            return False
        noted = read_manifest(self.manifest)["files"]
        paths = (self.weights(seed, fold), self.fold_oof(seed, fold))
        return all(str(path.relative_to(self.path)) in noted for path in paths)

    def note_files(self, *paths: Path) -> None:
        """Put the sha256 of finished files into the manifest."""
        with files.lock(self.lock, "the member is being written"):
            manifest = read_manifest(self.manifest)
            manifest["files"] |= {str(path.relative_to(self.path)): files.sha256(path) for path in paths}
            manifest["files"] = dict(sorted(manifest["files"].items()))
            files.write_json(self.manifest, manifest)

    def note_history(self, seed: int, fold: int, columns: tuple[str, ...], rows: list[list[float]]) -> None:
        """Put one fold's epochs into the member's history, in place of what stood there for it."""
        numbered = {str(epoch): values for epoch, values in enumerate(rows, 1)}
        self._note_rows(self.history, (seed, fold), ("epoch", *columns), numbered)

    def note_importance(self, seed: int, fold: int, shares: Mapping[str, float]) -> None:
        """Put what each group of statistics contributed to one fold into the member's table."""
        rows = {group: [share] for group, share in shares.items()}
        self._note_rows(self.importance, (seed, fold), ("group", "gain_fraction"), rows)

    def _note_rows(
        self, path: Path, place: tuple[int, int], columns: tuple[str, ...], rows: Mapping[str, list[float]]
    ) -> None:
        """Put one fold's rows into a table, in place of what stood there for it; the first column names them."""
        with files.lock(self.lock, "the member is being written"):
            table: dict[tuple[int, int], list[list[str]]] = {}
            if path.exists():
                for row in read_table(path, ("seed", "fold", *columns)):
                    try:
                        key = int(row["seed"]), int(row["fold"])
                    except ValueError as error:
                        raise DataError(path, "has a damaged row", "delete it; it only informs") from error
                    table.setdefault(key, []).append([row[column] for column in columns])
            table[place] = [[name, *map(repr, values)] for name, values in rows.items()]
            lines = ([*key, *cells] for key, group in sorted(table.items()) for cells in group)
            files.write_csv(path, ("seed", "fold", *columns), lines)


def open_member(run: Run, name: str, settings: Mapping[str, Any], environment: Mapping[str, Any]) -> MemberFolder:
    """Make a member's folder, or open one begun with the same settings on the same kind of hardware.

    Raises DataError naming what differs, and where a finished file is missing or has changed.
    """
    member = MemberFolder(run.path / name)
    with files.lock(member.lock, "the member is being written"):
        if not member.manifest.exists():
            if any(member.path.glob("seed_*/fold_*")):
                reason = "is missing, and with it the settings of the folds beside it"
                raise DataError(member.manifest, reason, f"restore it from a copy, or delete {member.path}")
            manifest = {
                "member": name,
                "settings": settings,
                **environment,
                "data": files.read_json(run.path / "run.json")["data"],
                "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
                "command": [os.path.basename(sys.argv[0]), *sys.argv[1:]],
                "files": {},
            }
            files.write_json(member.manifest, manifest)
        manifest = read_manifest(member.manifest)
        for key, wanted in {"settings": settings, **environment}.items():
            for flag, made in _differences(manifest.get(key), wanted, key):
                reason = f"was begun with other settings: {flag} {made}"
                hint = f"give the same, use another --run, or delete {member.path}"
                raise DataError(member.manifest, reason, hint)
        check_files(member.path, manifest["files"])
    return member


def _differences(made: Any, wanted: Any, key: str) -> list[tuple[str, Any]]:
    """The flags under which two settings trees differ, with what stands in the first."""
    if isinstance(made, dict) and isinstance(wanted, dict):
        # What an earlier version did not know of is as it was then.
        keys = sorted((set(made) | set(wanted)) - (set(ADDED) - set(made)))
        return [pair for key in keys for pair in _differences(made.get(key), wanted.get(key), key)]
    return [] if made == wanted else [(f"--{key.replace('_', '-')}", made)]


def check_files(folder: Path, digests: Mapping[str, str]) -> None:
    """Raise DataError unless every file is there with its sha256."""
    hint = "restore it from a copy, or delete the member's folder and train again"
    for name, digest in digests.items():
        if not (folder / name).exists():
            raise DataError(folder / name, "is missing", hint)
        if files.sha256(folder / name) != digest:
            raise DataError(folder / name, "has changed since it was written", hint)
