"""The run folder: what a training writes, in which order, and what must match before anything is added to it.

RUN/run.json, folds.csv       T, data and folds, made by the first command and shared by every member
RUN/<member>/manifest.json    settings, versions, and the sha256 of every file that a decision rests on
RUN/<member>/seed_S/          fold_K.pt weights, fold_K_oof.csv scores, and fold_K_last.pt while it can be resumed
RUN/<member>/history.csv      one row per epoch
RUN/<member>/oof.csv          out-of-fold logits: the mean over seeds
RUN/oof.csv, decision.json, metrics.json    from the members that are complete
"""

import dataclasses
import os
import platform
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from spasm import decision, files, metrics
from spasm.dataset import TrainingData
from spasm.errors import DataError
from spasm.folds import make_folds, one_class_folds, read_folds
from spasm.settings import Folds
from spasm.tables import read_table

PACKAGES = ("torch", "numpy", "pandas", "scikit-learn", "lightgbm", "joblib")
OOF = ("segment_name", "child", "label", "fold", "logit")
PROTOCOL = (
    "Folds hold whole children. The threshold that judges a fold was chosen on the other folds; the networks were not "
    "trained again for that, and this small dependence remains. Intervals: 95 %, resampling children."
)


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
            fold_of = make_folds(data.labels, data.children, split.folds, split.fold_kind, split.fold_seed)
            origin: dict[str, Any] = {"folds": split.folds, "kind": split.fold_kind, "seed": split.fold_seed}
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
    def lock(self) -> Path:
        return self.path / ".lock"

    def weights(self, seed: int, fold: int) -> Path:
        return self.path / f"seed_{seed}" / f"fold_{fold}.pt"

    def fold_oof(self, seed: int, fold: int) -> Path:
        return self.path / f"seed_{seed}" / f"fold_{fold}_oof.csv"

    def last(self, seed: int, fold: int) -> Path:
        return self.path / f"seed_{seed}" / f"fold_{fold}_last.pt"

    def fold_lock(self, seed: int, fold: int) -> Path:
        return self.path / f"seed_{seed}" / f".fold_{fold}.lock"

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
        with files.lock(self.lock, "the member is being written"):
            table: dict[tuple[int, int, int], list[str]] = {}
            if self.history.exists():
                for row in read_table(self.history, ("seed", "fold", "epoch", *columns)):
                    try:
                        key = int(row["seed"]), int(row["fold"]), int(row["epoch"])
                    except ValueError as error:
                        raise DataError(
                            self.history, "has a damaged row", "delete it; it only shows progress"
                        ) from error
                    if key[:2] != (seed, fold):
                        table[key] = [row[column] for column in columns]
            for epoch, values in enumerate(rows, 1):
                table[seed, fold, epoch] = [repr(value) for value in values]
            header = ("seed", "fold", "epoch", *columns)
            files.write_csv(self.history, header, ([*key, *values] for key, values in sorted(table.items())))


def open_member(run: Run, name: str, settings: Mapping[str, Any], environment: Mapping[str, Any]) -> MemberFolder:
    """Make a member's folder, or open one begun with the same settings on the same kind of hardware.

    Raises DataError naming what differs, and where a finished file is missing or has changed.
    """
    member = MemberFolder(run.path / name)
    with files.lock(member.lock, "the member is being written"):
        if not member.manifest.exists():
            if any(member.path.glob("seed_*/*.pt")):
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
        keys = sorted(set(made) | set(wanted))
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


def rebuild(run: Run) -> dict[str, Any] | None:
    """Write what the complete members say together: oof.csv, decision.json, metrics.json; None while none is complete.

    Called whenever a member completes. Returns the content of metrics.json.
    """
    with files.lock(run.lock, "the run is being written"):
        members = sorted(path.parent.name for path in run.path.glob("*/manifest.json"))
        logits = {name: _member_logits(run, MemberFolder(run.path / name)) for name in members}
        complete = {name: values for name, values in logits.items() if values is not None}
        if not complete:
            return None
        name = _deciding_member(run.path, list(complete))
        member, member_logits = MemberFolder(run.path / name), complete[name]
        labels, fold_of = run.data.labels, run.fold_of
        probability = decision.probability(member_logits)
        threshold = decision.best_threshold(labels, probability)
        positive, thresholds = decision.cross_fitted(labels, probability, fold_of)

        made = read_run(run.path)
        rows = zip(run.data.names, run.data.children, labels, fold_of, *complete.values(), probability, strict=True)
        files.write_csv(run.path / "oof.csv", (*OOF[:4], *(f"{name}_logit" for name in complete), "probability"), rows)
        digests = read_manifest(member.manifest)["files"]
        used = [f"seed_{seed}/" for seed in member.complete_seeds(run.folds)]
        chosen = {
            "members": {
                name: {"weight": 1.0, "seeds": member.complete_seeds(run.folds), "settings": _settings(member)}
            },
            "averaging": "mean over seeds of logits, then mean over folds of probabilities",
            "calibration": "none beyond the networks' own, from which class weighting is taken out again",
            "threshold": threshold,
            "threshold_chosen": "highest F1 over all out-of-fold rows",
            "prevalence": float(labels.mean()),
            "folds": run.folds,
            "frames": made["frames"],
            "data": made["data"],
            "files": {f"{name}/{path}": digest for path, digest in digests.items() if path.startswith(tuple(used))},
        }
        optimistic = metrics.evaluate(labels, probability, probability >= threshold, run.data.children)
        result = {
            "data": made["data"],
            "note": "SIMULATED DATA: says nothing about children" if run.data.simulated else "",
            "protocol": PROTOCOL,
            "members": {name: member["seeds"] for name, member in chosen["members"].items()},
            "cross_fitted": metrics.evaluate(labels, probability, positive, run.data.children),
            "cross_fitted_thresholds": thresholds,
            "plain_out_of_fold_optimistic": {"f1": optimistic["f1"], "threshold": threshold},
            "folds": [_fold_figures(run, fold, probability, positive) for fold in range(run.folds)],
            "groups": _group_figures(run, probability, positive),
            "one_class_folds": one_class_folds(labels, fold_of),
        }
        files.write_json(run.path / "metrics.json", result)
        files.write_json(run.path / "decision.json", chosen)
    return result


def _deciding_member(path: Path, complete: list[str]) -> str:
    """The member that decides: the one that did before, so that a new one never changes a decision by itself."""
    if (path / "decision.json").exists():
        before = list(files.read_json(path / "decision.json").get("members", {}))
        if len(before) == 1 and before[0] in complete:
            return str(before[0])
    return complete[0]


def _settings(member: MemberFolder) -> dict[str, Any]:
    return read_manifest(member.manifest)["settings"]


def _member_logits(run: Run, member: MemberFolder) -> np.ndarray | None:
    """Out-of-fold logits (N,), the mean over complete seeds, also written to the member's oof.csv."""
    seeds = member.complete_seeds(run.folds)
    if not seeds:
        return None
    check_files(member.path, read_manifest(member.manifest)["files"])
    logits = np.zeros((len(seeds), len(run.data.names)))
    row_of = {name: row for row, name in enumerate(run.data.names)}
    for number, seed in enumerate(seeds):
        for fold in range(run.folds):
            path = member.fold_oof(seed, fold)
            table = read_table(path, ("segment_name", "logit"))
            if sorted(row["segment_name"] for row in table) != [
                run.data.names[i] for i in np.flatnonzero(run.fold_of == fold)
            ]:
                raise DataError(
                    path, "does not hold the segments of its fold", "delete the member's folder, train again"
                )
            for row in table:
                logits[number, row_of[row["segment_name"]]] = float(row["logit"])
    mean = logits.mean(0)
    files.write_csv(
        member.oof, OOF, zip(run.data.names, run.data.children, run.data.labels, run.fold_of, mean, strict=True)
    )
    return mean


def _fold_figures(run: Run, fold: int, probability: np.ndarray, positive: np.ndarray) -> dict[str, Any]:
    rows = run.fold_of == fold
    return {"fold": fold, **_figures_of(run, rows, probability, positive)}


def _group_figures(run: Run, probability: np.ndarray, positive: np.ndarray) -> dict[str, Any]:
    """The same figures within each value of each column of groups.csv, such as each cohort."""
    columns = sorted({column for row in run.data.groups.values() for column in row} - {"child"})
    figures: dict[str, Any] = {}
    for column in columns:
        values = np.array([run.data.groups.get(child, {}).get(column, "") for child in run.data.children])
        figures[column] = {
            value: _figures_of(run, values == value, probability, positive) for value in map(str, np.unique(values))
        }
    return figures


def _figures_of(run: Run, rows: np.ndarray, probability: np.ndarray, positive: np.ndarray) -> dict[str, Any]:
    children = [child for child, row in zip(run.data.children, rows, strict=True) if row]
    values = metrics.figures(run.data.labels[rows], probability[rows], positive[rows])
    return {"segments": int(rows.sum()), "children": len(set(children)), **values}
