"""evaluation.json: what leaves a hospital. Its keys are fixed, so that nothing else can be in it."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, model_validator

from spasm.core import files
from spasm.core.errors import DataError, printable, shorten
from spasm.runs.artefacts import Artefact, Number, Sha256

SCHEMA = 1
Count = Annotated[int, Field(ge=0)]
Moderate = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]


def _printable(name: str) -> str:
    if not name.isprintable():
        raise ValueError("a name has control characters")
    return name


Name = Annotated[str, AfterValidator(_printable)]
"""Of a group, a kind, a model: without characters that change a terminal or the direction of a page's text."""


class Value(Artefact):
    """A metric, its 95 % interval over children, and the same on a scale on which it can be pooled."""

    value: Number | None
    low: Number | None
    high: Number | None
    scale: Literal["logit", "log", "identity"] | None
    transformed: Moderate | None
    se: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] | None
    suppressed: bool

    @model_validator(mode="after")
    def _check(self) -> "Value":
        if self.suppressed and (self.value, self.low, self.high, self.transformed, self.se) != (None,) * 5:
            raise ValueError("a suppressed value is there")
        return self


class Ends(Artefact):
    """A mean and its interval; None if it is undefined or suppressed."""

    value: Number | None
    low: Number | None
    high: Number | None


class SegmentCell(Artefact):
    """The metrics of some segments."""

    segments: Count
    children: Count
    metrics: dict[str, Value]


class SegmentTable(Artefact):
    """Cells that together are all segments; `hidden_cells` were suppressed as a whole."""

    cells: dict[Name, SegmentCell]
    hidden_cells: Count


class KindCell(Artefact):
    """How often one kind of segment is predicted positive."""

    segments: Count
    children: Count
    predicted_positive: Value


class KindTable(Artefact):
    """Kinds of segments with one label."""

    cells: dict[Name, KindCell]
    hidden_cells: Count


class Kinds(Artefact):
    """Errors by kind of segment."""

    with_a_spasm: KindTable
    without_a_spasm: KindTable


class Band(Artefact):
    """Segments of similar probability."""

    low: Number
    high: Number
    mean: Number
    observed: Number
    observed_low: Number
    observed_high: Number
    segments: Count
    children: Count


class CurveOf(Artefact):
    """A curve with its band, at a few places."""

    x: list[Number]
    y: list[Number]
    low: list[Number]
    high: list[Number]


class Pair(Artefact):
    """The training data and the data of the evaluation."""

    training: Number | None
    here: Number | None


class Landmark(Pair):
    """How often a landmark is found."""

    landmark: Name


class Measure(Artefact):
    """A measure of the poses on both sides."""

    measure: Name
    training: Ends
    here: Ends


class Feature(Artefact):
    """How often a random segment has a higher value here than in training."""

    feature: Name
    auc: Number | None


class DriftOf(Artefact):
    """How the data differs from the training data."""

    prevalence: Pair
    segments_without_pose: Pair
    landmarks: list[Landmark]
    depth: Pair
    quality: list[Measure] | None
    classifier: Ends | None
    differing_features: list[Feature] | None
    not_compared: Name


class SegmentResult(Artefact):
    """One run on labelled segments."""

    segments: Count
    children: Count
    metrics: dict[str, Value]
    calibration: dict[str, Value]
    reliability: list[Band]
    roc: CurveOf | None
    precision_recall: CurveOf | None
    abstention: SegmentTable | None
    subgroups: dict[Name, SegmentTable]
    kinds: Kinds | None
    drift: DriftOf


class RecordingCell(Artefact):
    """The event metrics of some recordings."""

    recordings: Count
    children: Count
    hours: Number
    metrics: dict[str, Value]


class RecordingTable(Artefact):
    """Cells that together are all recordings."""

    cells: dict[Name, RecordingCell]
    hidden_cells: Count


class Level(Artefact):
    """The event metrics with events beginning at another probability."""

    level: Number
    event_sensitivity: Value
    event_precision: Value
    event_f1: Value
    false_alarms_per_hour: Value


class RecordingResult(Artefact):
    """One run on recordings with true events."""

    recordings: Count
    children: Count
    hours: Number
    seen_hours: Number
    rule: dict[Name, Name | int | float]
    tolerance_s: Number
    metrics: dict[str, Value]
    szcore: dict[str, Value]
    timing: dict[str, Value]
    trade_off: list[Level]
    subgroups: dict[Name, RecordingTable]


class RunResult(Artefact):
    """One run, named by the digest of its decision, never by its folder."""

    sha256: Sha256
    models: list[Name]
    threshold: Number
    frames: Count
    landmarks: Name
    training_segments: Count
    training_children: Count
    trained_on_simulated_data: bool
    segments: SegmentResult | None
    recordings: RecordingResult | None


class Comparison(Artefact):
    """One run minus the first, paired over the same children."""

    run: Sha256
    minus: Sha256
    segments: dict[str, Value] | None
    recordings: dict[str, Value] | None


class LockBox(Artefact):
    """What the lock-box says of this evaluation."""

    evaluation_number: Annotated[int, Field(ge=1)]
    """1: the first on this data."""
    earlier_evaluations: Count
    """Of any data, in the same lock-box."""


class Evaluation(Artefact):
    """evaluation.json."""

    kind: Literal["evaluation"]
    schema_number: Literal[1] = Field(default=1, alias="schema")
    date: Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
    code: Sha256
    data: Sha256
    simulated: bool
    fewest_children: Annotated[int, Field(ge=1)]
    lock: LockBox | None
    runs: Annotated[list[RunResult], Field(min_length=1)]
    comparisons: list[Comparison]

    def as_tree(self) -> dict[str, Any]:
        """The content of the file."""
        return self.model_dump(mode="json", by_alias=True)


def read_evaluation(path: Path) -> Evaluation:
    """Read and check a file that another site may have sent. Raises DataError."""
    hint = "name an evaluation.json that src/evaluate.py wrote"
    tree = files.read_json(path)
    if tree.get("kind") != "evaluation":
        raise DataError(path, "is not an evaluation of this software", hint)
    if tree.get("schema") != SCHEMA:
        found = shorten(tree.get("schema"))
        reason = f"is of another version of this software (schema {found}; this one reads {SCHEMA})"
        raise DataError(path, reason, "evaluate again with the same version at every site")
    try:
        return Evaluation.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = printable(".".join(map(str, first["loc"])))
        raise DataError(path, f"is damaged: {where or 'it'}: {first['msg'].lower()}", hint) from error
