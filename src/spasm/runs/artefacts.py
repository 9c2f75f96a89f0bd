"""The files of a run folder as types; only this module reads and writes them.

RUN/run.json                  `RunInfo`: T, data and folds, made by the first command and shared by every model
RUN/<model>/manifest.json     `Manifest`: settings, versions, and the sha256 of every file that a decision depends on
RUN/decision.json             `Decision`: how the models become one probability and one label
RUN/metrics.json              `Metrics`: how good that is for held-out children
"""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from spasm.config.data import LandmarkSet, MovementClass
from spasm.config.ensemble import Blend
from spasm.config.fields import SettingsError, from_tree
from spasm.core import files
from spasm.core.errors import DataError, shorten
from spasm.core.text import path_of_text, shell_words
from spasm.data.landmarks import LANDMARKS
from spasm.data.pictures import MASK_KEY
from spasm.ensemble.blending import BlendParameters
from spasm.evaluation.metrics import ROWS
from spasm.models.model import Model
from spasm.models.registry import MODELS
from spasm.runs.missing import check_is_run

SCHEMA = 2
"""Version of all these files; a run with another schema is refused."""
OOF_COLUMNS = ("segment_name", "child", "label", "fold")


def rebuild_hint(run: Path) -> str:
    """The hint for a run whose decision or metrics are missing or wrong."""
    return f"rebuild them: python src/train_folds.py --decide-only --run {shell_words(run)}"


def _name(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9_]+", text):
        raise ValueError("is not the name of a model")
    return text


def _sha256(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise ValueError("is not a sha256")
    return text


def _file(text: str) -> str:
    # Refuses paths out of the run, and hidden files.
    if not re.fullmatch(r"([a-z0-9_]+/)?seed_[0-9]+/[a-z0-9_]+\.[a-z]+", text):
        raise ValueError("is not a file of a trained fold")
    return text


Number = Annotated[float, Field(allow_inf_nan=False)]
ModelName = Annotated[str, AfterValidator(_name)]
Sha256 = Annotated[str, AfterValidator(_sha256)]
FoldFile = Annotated[str, AfterValidator(_file)]
Calibration = tuple[Number, Number]
"""Slope and offset of log-odds."""


class Artefact(BaseModel):
    """JSON with a fixed set of keys; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, protected_namespaces=())


class Stored(Artefact):
    """An artefact in a file of its own."""

    what: ClassVar[str]
    """The kind of file, for messages."""
    schema_number: Literal[2] = Field(default=2, alias="schema")

    @classmethod
    def read(cls, path: Path, hint: str) -> Self:
        """Read and check a file. Raises DataError; `hint`: what to do."""
        tree = files.read_json(path)
        if tree.get("schema") != SCHEMA:
            found = shorten(tree.get("schema", 1))
            reason = f"is of another version of this software (schema {found}; this one reads {SCHEMA})"
            raise DataError(path, reason, "train into another --run")
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            reason = f"is not {cls.what} of this software: {where or 'it'}: {first['msg'].lower()}"
            raise DataError(path, reason, hint) from error

    def write(self, path: Path) -> None:
        """Write the file; it is whole or absent."""
        files.write_json(path, self.model_dump(mode="json", by_alias=True))


class DataInfo(Artefact):
    """The data that a run was trained on."""

    path: str
    simulated: bool
    segments: int
    children: int
    positives: int
    without_pose: int
    fingerprint: str
    landmarks: LandmarkSet = "all"
    """The set of landmarks that the run reads, of every pose."""
    positive: MovementClass | None = None
    """The class with label 1, where the data is a tree of general movements."""

    @property
    def folder(self) -> Path:
        """The data folder."""
        return path_of_text(self.path)


class FoldsInfo(Artefact):
    """Origin of the folds."""

    folds: Annotated[int, Field(ge=2, le=100_000)]
    splitter: str | None = None
    seed: int | None = None
    file_sha256: Sha256 | None = None


class RunInfo(Stored):
    """run.json."""

    what = "a run"
    frames: Annotated[int, Field(ge=1, le=100_000)]
    data: DataInfo
    folds: FoldsInfo
    folds_sha256: Sha256
    findings: list[str] = []
    """What was noticed in the poses of the training segments, one line for each kind."""


class Manifest(Stored):
    """A model's manifest.json."""

    what = "a manifest"
    model: ModelName
    settings: dict[str, Any]
    environment: dict[str, str | int]
    """The hardware that computed it, and other facts that must not change between folds."""
    data: DataInfo
    versions: dict[str, str]
    command: list[str]
    files: dict[FoldFile, Sha256]

    @property
    def mask(self) -> str | None:
        """What cut out the child in the pictures that it was trained on, see `data.pictures.MASK`."""
        mask = self.environment.get(MASK_KEY)
        return None if mask is None else str(mask)


class DecidedModel(Artefact):
    """One model in a decision."""

    weight: Annotated[float, Field(gt=0, le=1)]
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
    settings: dict[str, Any]
    mask: str | None = None
    """What cut out the child in the pictures that it was trained on, see `data.pictures.MASK`."""
    calibration: Calibration
    quantiles: list[Number]
    """Of its out-of-fold logits; empty unless percentiles are averaged."""


class Decision(Stored):
    """decision.json."""

    what = "a decision"
    models: Annotated[dict[ModelName, DecidedModel], Field(min_length=1)]
    averaging: Literal["probability", "logit", "percentile"]
    calibration: Calibration
    """Of the average over models, where one fold predicts each segment."""
    fold_average_calibration: Calibration
    """Of the same where the logits are means over all folds, as for new segments."""
    child_context: tuple[Number, Number, Number, Number] | None
    threshold: Annotated[float, Field(ge=0, le=1)]
    no_pose_logit: Number
    provenance: dict[str, str]
    """How each of these was chosen."""
    prevalence: Annotated[float, Field(gt=0, lt=1)]
    landmark_fractions: dict[str, Annotated[float, Field(ge=0, le=1)]]
    """In which fraction of the training frames with a pose each landmark was found, by its name."""
    depth_fraction: Annotated[float, Field(ge=0, le=1)]
    """In which fraction of them some z was not 0."""
    considered_models: list[ModelName]
    blend: dict[str, Any]
    """The `Blend` settings."""
    folds: Annotated[int, Field(ge=1)]
    frames: Annotated[int, Field(ge=1, le=100_000)]
    data: DataInfo
    files: dict[FoldFile, Sha256]

    @model_validator(mode="after")
    def _check(self) -> Self:
        try:
            from_tree(Blend, self.blend)
        except SettingsError as error:
            raise ValueError(f"blend: {error}") from error
        if list(self.landmark_fractions) != list(LANDMARKS):
            raise ValueError("it does not name each landmark once, in their order")
        # A huge count would make a very long list of files.
        if self.folds > len(self.files) or any(len(model.seeds) > len(self.files) for model in self.models.values()):
            raise ValueError("it names more folds or seeds than files")
        if not math.isclose(sum(model.weight for model in self.models.values()), 1, abs_tol=1e-6):
            raise ValueError("the weights do not sum to 1")
        for name, model in self.models.items():
            if len(set(model.seeds)) < len(model.seeds):
                raise ValueError(f"a seed of {name} is there twice")
            if len(model.quantiles) < 2 if self.averaging == "percentile" else model.quantiles:
                raise ValueError(f"the quantiles of {name} do not fit the averaging")
        return self

    @property
    def blend_settings(self) -> Blend:
        """The `Blend` settings of this decision."""
        return from_tree(Blend, self.blend)

    @property
    def parameters(self) -> BlendParameters:
        """The parameters that turn the models' logits into probabilities."""
        return BlendParameters(
            averaging=self.averaging,
            weights={name: model.weight for name, model in self.models.items()},
            calibrations={name: model.calibration for name, model in self.models.items()},
            quantiles={name: model.quantiles for name, model in self.models.items() if model.quantiles},
            calibration=self.calibration,
            fold_average_calibration=self.fold_average_calibration,
            context=self.child_context,
            threshold=self.threshold,
        )


class Metric(Artefact):
    """A metric and its 95 % interval; None if undefined."""

    value: Number | None
    low: Number | None
    high: Number | None


Row = dict[str, Number | int | None]
"""Metrics of some segments, such as a fold or a cohort, without intervals; and how many segments and children."""


class Confusion(Artefact):
    """How many segments have each label, true and predicted."""

    true_positives: Annotated[int, Field(ge=0)]
    false_positives: Annotated[int, Field(ge=0)]
    false_negatives: Annotated[int, Field(ge=0)]
    true_negatives: Annotated[int, Field(ge=0)]


class PooledThreshold(Artefact):
    """The best threshold on all out-of-fold rows at once, and its F1: optimistic."""

    f1: Number | None
    threshold: Number


class ChildContext(Artefact):
    """The metrics with and without each child's other segments."""

    with_context: dict[str, Metric]
    without_context: dict[str, Metric]


class TooLittleSeen(Artefact):
    """The segments of which too little was seen for a prediction, at the default of --abstain."""

    segments: Annotated[int, Field(ge=0)]
    positives: Annotated[int, Field(ge=0)]
    f1_of_the_others: Number | None
    """Cross-fitted; None where there is no other segment."""


class Metrics(Stored):
    """metrics.json."""

    what = "metrics"
    data: DataInfo
    note: str
    protocol: str
    models: dict[ModelName, list[int]]
    """The seeds of each model in the decision."""
    cross_fitted: dict[str, Metric]
    confusion: Confusion
    """Of the cross-fitted labels."""
    cross_fitted_thresholds: Annotated[list[Number], Field(min_length=1)]
    cross_fitted_weights: list[dict[ModelName, Number]]
    threshold: Number
    pooled_threshold: PooledThreshold
    each_model: dict[ModelName, dict[str, Metric]]
    child_context: ChildContext
    too_little_seen: TooLittleSeen
    folds: list[Row]
    groups: dict[str, dict[str, Row]]
    one_class_folds: list[int]
    constant_folds: dict[ModelName, list[int]]
    """For each model that predicts the same, or almost, for all segments of a fold: these folds."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.cross_fitted_thresholds) != len(self.folds):
            raise ValueError("it does not have one threshold for each fold")
        if sum(self.confusion.model_dump().values()) != self.data.segments:
            raise ValueError("the confusion matrix does not count every segment once")
        names = {key for key, _ in ROWS}
        tables = [self.cross_fitted, self.child_context.with_context, self.child_context.without_context]
        if any(set(table) < names for table in (*tables, *self.each_model.values())):
            raise ValueError("a metric is missing")
        rows = [*self.folds, *(row for values in self.groups.values() for row in values.values())]
        if any(not names | {"segments", "children"} <= set(row) for row in rows):
            raise ValueError("a metric of a fold or group is missing")
        return self


def read_run_info(run: Path) -> RunInfo:
    """run.json, once folds.csv is known to be the one it speaks of. Raises DataError."""
    check_is_run(run)
    info = RunInfo.read(run / "run.json", "restore it, or begin another --run")
    if files.sha256(run / "folds.csv") != info.folds_sha256:
        raise DataError(run / "folds.csv", "has changed since the run was made", "restore it, or begin another --run")
    return info


def read_manifest(path: Path) -> Manifest:
    """A model's manifest. Raises DataError."""
    return Manifest.read(path, "restore it from a copy")


def read_decision(run: Path) -> Decision:
    """Read a run's decision, and check that every file it depends on is present and unchanged. Raises DataError."""
    path = run / "decision.json"
    if not path.exists():
        check_is_run(run)
        hint = f"train all folds of a model first: python src/train_folds.py --run {shell_words(run)}"
        raise DataError(path, "is not there: the run has no threshold yet", hint)
    decision = Decision.read(path, rebuild_hint(run))
    needed = {
        f"{name}/{fold_file(name, seed, fold)}"
        for name, model in decision.models.items()
        for seed in model.seeds
        for fold in range(decision.folds)
    }
    if not needed <= set(decision.files):
        raise DataError(path, "names no file for some fold", rebuild_hint(run))
    check_files(run, decision.files)
    return decision


def fold_file(model: str, seed: int, fold: int) -> str:
    """The file of a trained fold, in its model's folder."""
    suffix = MODELS[model].suffix if model in MODELS else Model.suffix
    return f"seed_{seed}/fold_{fold}{suffix}"


def check_files(folder: Path, digests: Mapping[str, str]) -> None:
    """Raise DataError unless every file is there with its sha256."""
    hint = "restore it from a copy, or delete the model's folder and train again"
    for name, digest in digests.items():
        if not (folder / name).exists():
            raise DataError(folder / name, "is missing", hint)
        if files.sha256(folder / name) != digest:
            raise DataError(folder / name, "has changed since it was written", hint)


def read_metrics(run: Path, decision: Decision) -> Metrics:
    """A run's metrics. Raises DataError if they belong to another decision."""
    path = run / "metrics.json"
    if not path.exists():
        raise DataError(path, "is not there: the run has no metrics", rebuild_hint(run))
    result = Metrics.read(path, rebuild_hint(run))
    if (result.data, result.threshold) != (decision.data, decision.threshold):
        raise DataError(path, "belongs to another decision than decision.json", rebuild_hint(run))
    return result


def metrics_of(values: Mapping[str, Any]) -> dict[str, Metric]:
    """Metrics with intervals, as `metrics.evaluate` gives them, as artefacts."""
    return {name: Metric.model_validate(dict(value)) for name, value in values.items()}
