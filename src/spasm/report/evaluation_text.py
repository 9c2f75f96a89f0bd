"""An evaluation of runs on data of others, as text for a terminal, and as rows for its page."""

from collections.abc import Mapping, Sequence

from spasm.data.pose import FPS
from spasm.evaluation.metrics import ROWS
from spasm.inference.labelled_data import LabelledRecordings, LabelledSegments
from spasm.report import console
from spasm.runs.evaluations import Ends, Evaluation, RecordingResult, RunResult, SegmentResult, Value

NAMES = dict(ROWS) | {"slope": "calibration slope, 1 is ideal", "offset": "calibration offset, 0 is ideal"}
EVENT_NAMES = {
    "event_sensitivity": "sensitivity for events",
    "event_precision": "precision of events",
    "event_f1": "F1 of events",
    "false_alarms_per_hour": "false alarms per hour",
    "false_alarms_per_seen_hour": "false alarms per hour that was seen",
    "sensitivity_mean_over_children": "sensitivity, mean over children",
    "false_alarms_per_hour_mean_over_children": "false alarms per hour, mean over children",
    "clusters_with_a_detected_event": "fraction of clusters with a detected event",
    "events_missed_while_nothing_was_seen": "fraction of events missed while nothing was seen",
    "true_clusters_per_hour": "true clusters per hour",
    "detected_clusters_per_hour": "detected clusters per hour",
}
TIMING_NAMES = {
    "latency_s": "seconds from onset to detection, median",
    "onset_error_s": "seconds from true to detected onset, median",
    "absolute_onset_error_s": "the same, either way",
}


def data_lines(segments: LabelledSegments | None, recordings: LabelledRecordings | None) -> str:
    """What was read, for those inside."""
    lines = []
    if segments is not None:
        children = len(set(segments.children))
        lines.append(f"{len(segments.paths)} segments of {children} children, {segments.labels.mean():.1%} positive")
    if recordings is not None:
        hours = sum(one.frames for one in recordings.checked.values()) / FPS / 3600
        events = sum(map(len, recordings.true.values()))
        children = len(set(recordings.children))
        lines.append(
            f"{len(recordings.checked)} recordings of {children} children, {hours:.2f} h, {events} true events"
        )
    return "\n".join(lines)


def results(evaluation: Evaluation, names: Sequence[str]) -> str:
    """Every metric of every run; names: the runs as the user named them."""
    lines = ["", console.SIMULATED] if evaluation.simulated else []
    lines += [lock_line(evaluation)]
    for name, run in zip(names, evaluation.runs, strict=True):
        lines += ["", f"{name} ({', '.join(run.models)}), at its own threshold of {run.threshold:.4f}"]
        if run.segments is not None:
            lines += _table(segment_rows(run.segments))
            lines += [f"  {line}" for line in segment_sentences(run)]
        if run.recordings is not None:
            lines += _table(recording_rows(run.recordings))
    for number, comparison in enumerate(evaluation.comparisons, 1):
        lines += ["", f"{names[number]} minus {names[0]}, paired over the same children"]
        lines += _table(comparison_rows({**(comparison.segments or {}), **(comparison.recordings or {})}))
    if any(line.endswith("suppressed") for line in lines):
        lines.append(
            f"suppressed: it would rest on fewer than {evaluation.fewest_children} children (--fewest-children)"
        )
    return "\n".join(lines)


def lock_line(evaluation: Evaluation) -> str:
    """Whether this is the first result on the data."""
    if evaluation.lock is None:
        return "no lock-box was used (--lock): nothing shows whether this is the first evaluation on this data"
    number = evaluation.lock.evaluation_number
    if number == 1:
        return "the first evaluation on this data, by the lock-box"
    return f"EVALUATION NUMBER {number} ON THIS DATA, by the lock-box: earlier results may have led to this run"


def segment_rows(result: SegmentResult) -> list[tuple[str, Value]]:
    """Metrics and calibration of segments, by their names."""
    return _named({**result.metrics, **result.calibration})


def recording_rows(result: RecordingResult) -> list[tuple[str, Value]]:
    """Event metrics and timing, by their names."""
    return _named({**result.metrics, **result.timing})


def comparison_rows(values: Mapping[str, Value]) -> list[tuple[str, Value]]:
    """Differences, by the names of their metrics."""
    return _named(values)


def _named(values: Mapping[str, Value]) -> list[tuple[str, Value]]:
    """Values by their names; a file of another site could have others."""
    names = NAMES | EVENT_NAMES | TIMING_NAMES
    return [(names[key], value) for key, value in values.items() if key in names]


def segment_sentences(run: RunResult) -> list[str]:
    """What the numbers of a run on segments mean, in sentences."""
    result = run.segments
    assert result is not None
    lines = []
    specificity = result.metrics["specificity"].value
    if specificity is not None:
        window_s = run.frames / FPS
        per_hour = (1 - specificity) * 3600 / window_s
        lines.append(
            f"a specificity of {specificity:.3f} per {window_s:.3g} s is {per_hour:.1f} false alarms per hour of "
            "such segments without a spasm"
        )
    before, here = result.drift.prevalence.training, result.drift.prevalence.here
    if before is not None and here is not None:
        lines.append(f"prevalence {here:.3f} here, {before:.3f} in training: F1 and precision depend on it")
    classifier = result.drift.classifier
    if classifier is not None and classifier.value is not None:
        lines.append(
            f"a classifier separates this data from the training data with AUC {interval_of_ends(classifier)}: 0.5 is "
            "chance level, 1 means that every segment shows where it comes from"
        )
    if result.drift.not_compared:
        lines.append(f"not compared with the training data: {result.drift.not_compared}")
    hidden = sum(value.suppressed for value in result.metrics.values())
    if hidden:
        lines.append(f"{hidden} metrics are suppressed: they rest on too few children")
    return lines


def changes(now: Evaluation, before: Evaluation) -> str:
    """What differs from an earlier evaluation: runs, data, code, and the metrics of the first run."""
    lines = ["", f"compared with the evaluation of {before.date}"]
    for what, one, other in (
        ("run", now.runs[0].sha256, before.runs[0].sha256),
        ("data", now.data, before.data),
        ("code", now.code, before.code),
    ):
        lines.append(f"  {what}: {'the same' if one == other else f'another ({other[:12]}, now {one[:12]})'}")
    pairs: list[tuple[str, Value, Value]] = []
    first, second = now.runs[0], before.runs[0]
    if first.segments is not None and second.segments is not None:
        old = dict(segment_rows(second.segments))
        pairs += [(name, value, old[name]) for name, value in segment_rows(first.segments) if name in old]
    if first.recordings is not None and second.recordings is not None:
        old = dict(recording_rows(second.recordings))
        pairs += [(name, value, old[name]) for name, value in recording_rows(first.recordings) if name in old]
    differing = [
        f"  {name}: {interval(earlier)} before, {interval(value)} now"
        for name, value, earlier in pairs
        if interval(value) != interval(earlier)
    ]
    return "\n".join([*lines, *(differing or ["  no metric of the first run differs"])])


def interval(value: Value, digits: int = 3) -> str:
    """A metric with its interval, as text."""
    if value.suppressed:
        return "suppressed"
    return interval_of_ends(value, digits)


def interval_of_ends(value: Value | Ends, digits: int = 3) -> str:
    """The same of a value that is not suppressed."""
    if value.value is None:
        return "not defined"
    if value.low is None or value.high is None:
        return f"{value.value:.{digits}f}"
    return f"{value.value:.{digits}f} ({value.low:.{digits}f} to {value.high:.{digits}f})"


def _table(rows: Sequence[tuple[str, Value]]) -> list[str]:
    width = max(len(name) for name, _ in rows)
    lines = [f"{'':{width}} {'value':>7}   95 % interval over children"]
    for name, value in rows:
        ends = "suppressed" if value.suppressed else f"{console.number(value.low)} to {console.number(value.high)}"
        lines.append(f"{name:{width}} {console.number(value.value)}   {ends}")
    return lines
