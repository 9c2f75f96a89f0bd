"""evaluation.html: an evaluation as one page that stands by itself. It is made from evaluation.json alone.

So it can show nothing that the file does not hold: no child, no name, no pose, no path.
"""

from collections.abc import Sequence
from typing import Any

from spasm.data.pose import FPS
from spasm.report import evaluation_figures as figures
from spasm.report import evaluation_text as text
from spasm.report.figures import Plot
from spasm.report.predictions import percent
from spasm.report.templates import read_asset, render
from spasm.runs.evaluations import Evaluation, RecordingResult, RunResult, SegmentResult, Value

CARDS = (("f1", "F1"), ("sensitivity", "Sensitivity"), ("specificity", "Specificity"), ("auc", "AUC"))
EVENT_CARDS = (
    ("event_sensitivity", "Sensitivity"), ("false_alarms_per_hour", "False alarms per hour"),
    ("event_precision", "Precision"), ("clusters_with_a_detected_event", "Clusters found"),
)  # fmt: skip
IN_CELLS = (
    ("f1", "F1"), ("sensitivity", "sensitivity"), ("specificity", "specificity"), ("auc", "AUC"), ("brier", "Brier"),
)  # fmt: skip
IN_EVENT_CELLS = (("event_sensitivity", "sensitivity"), ("false_alarms_per_hour", "false alarms per hour"))
FOUND_APART = 0.01  # landmarks whose fractions of frames differ by less are not shown
Tree = dict[str, Any]


def page(evaluation: Evaluation) -> str:
    """The page as HTML. Raises SettingsError where Jinja2 is not installed."""
    first = evaluation.runs[0]
    context = {
        "simulated": evaluation.simulated,
        "date": evaluation.date,
        "fewest": evaluation.fewest_children,
        "lock": text.lock_line(evaluation),
        "is_first": evaluation.lock is not None and evaluation.lock.evaluation_number == 1,
        "verdict": _verdict(first),
        "runs": [_run(number, run, evaluation) for number, run in enumerate(evaluation.runs, 1)],
        "comparisons": [_comparison(number, evaluation) for number in range(len(evaluation.comparisons))],
        "provenance": [
            ("sha256 of the data (labels and poses)", evaluation.data),
            ("sha256 of the code", evaluation.code),
            *((f"sha256 of run {number}", run.sha256) for number, run in enumerate(evaluation.runs, 1)),
        ],
        "style": read_asset("report.css"),
    }
    return render("evaluation.html", context)


def _verdict(run: RunResult) -> str:
    """The result in one sentence."""
    parts = []
    if run.segments is not None:
        metrics, count = run.segments.metrics, f"{run.segments.segments:,} segments of {run.segments.children} children"
        parts.append(f"F1 {text.interval(metrics['f1'])} on {count}")
    if run.recordings is not None:
        metrics = run.recordings.metrics
        of = f"{run.recordings.hours:.1f} hours of {run.recordings.children} children"
        found, false = (metrics[key] for key in ("event_sensitivity", "false_alarms_per_hour"))
        if found.suppressed and false.suppressed:
            parts.append(f"metrics of events suppressed in {of}")
        else:
            rates = f"{text.interval(found, 2)} with {text.interval(false, 2)}"
            parts.append(f"sensitivity for events {rates} false alarms per hour in {of}")
    line = "; ".join(parts)
    return f"{line[0].upper()}{line[1:]}."


def _run(number: int, run: RunResult, evaluation: Evaluation) -> Tree:
    simulated = ", simulated" if run.trained_on_simulated_data else ""
    return {
        "number": number,
        "title": f"Run {number}" if len(evaluation.runs) > 1 else "The run",
        "models": ", ".join(run.models),
        "about": [
            ("models", ", ".join(run.models)),
            ("trained on", f"{run.training_segments:,} segments of {run.training_children} children{simulated}"),
            ("threshold", f"{run.threshold:.4f}, the run's own; nothing was chosen on this data"),
            ("segment", f"{run.frames} frames, {run.frames / FPS:g} s; landmarks: {run.landmarks}"),
        ],
        "segments": None if run.segments is None else _segments(number, run, run.segments, evaluation.simulated),
        "recordings": None if run.recordings is None else _recordings(number, run.recordings, evaluation.simulated),
    }


def _segments(number: int, run: RunResult, result: SegmentResult, simulated: bool) -> Tree:
    metrics = result.metrics
    plots: dict[str, Plot] = {}
    sensitivity, specificity, precision = (metrics[key].value for key in ("sensitivity", "specificity", "precision"))
    if result.roc is not None:
        point = None if sensitivity is None or specificity is None else (1 - specificity, sensitivity)
        title = f"ROC: AUC {text.interval(metrics['auc'], 2)}"
        plots["roc"] = figures.curve(result.roc, "fraction of others with an alarm", "sensitivity", title, None, point)
    if result.precision_recall is not None:
        point = None if sensitivity is None or precision is None else (sensitivity, precision)
        title = f"Average precision {text.interval(metrics['average_precision'], 2)}"
        prevalence = metrics["prevalence"].value
        plots["pr"] = figures.curve(result.precision_recall, "sensitivity", "precision", title, prevalence, point)
    if result.reliability:
        plots["reliability"] = figures.reliability(result.reliability)
    subgroups = {column: table for column, table in result.subgroups.items() if table.cells}
    rows: list[figures.Row] = [("all", *_ends(metrics["f1"]))]
    rows += [
        (f"{column}: {name}", *_ends(cell.metrics["f1"]))
        for column, table in subgroups.items()
        for name, cell in table.cells.items()
        if cell.metrics["sensitivity"].value is not None  # of controls alone F1 is 0 whatever is predicted
    ]
    if len(rows) > 1:
        plots["subgroups"] = figures.forest(rows, "F1 by subgroup", "F1, 95 % interval over children", last_of_all=1)
    return {
        "counts": f"{result.segments:,} segments of {result.children} children",
        "cards": [_card(name, metrics[key]) for key, name in CARDS],
        "sentences": text.segment_sentences(run),
        "rows": [_row(name, value) for name, value in text.segment_rows(result)],
        "figures": _figures(number, plots, simulated),
        "bands": [
            (f"{one.low:.1f} to {one.high:.1f}", percent(one.observed),
             f"{percent(one.observed_low)} to {percent(one.observed_high)}", f"{one.segments:,}", str(one.children))
            for one in result.reliability
        ],
        "abstention": None if result.abstention is None else _cells({"": result.abstention}, IN_CELLS, "segments"),
        "subgroups": _cells(result.subgroups, IN_CELLS, "segments"),
        "kinds": _kinds(result),
        "drift": _drift(result),
    }  # fmt: skip


def _recordings(number: int, result: RecordingResult, simulated: bool) -> Tree:
    metrics = result.metrics
    sensitivity, false_alarms = metrics["event_sensitivity"], metrics["false_alarms_per_hour"]
    plots: dict[str, Plot] = {}
    levels = [(one.event_sensitivity, one.false_alarms_per_hour) for one in result.trade_off]
    if any(None not in (found.value, false.value) for found, false in [(sensitivity, false_alarms), *levels]):
        plots["trade-off"] = figures.trade_off(result.trade_off, sensitivity, false_alarms)
    rows: list[figures.Row] = [("all", *_ends(sensitivity))]
    rows += [
        (f"{column}: {name}", *_ends(cell.metrics["event_sensitivity"]))
        for column, table in result.subgroups.items()
        for name, cell in table.cells.items()
        if cell.metrics["event_sensitivity"].value is not None
    ]
    if len(rows) > 1:
        title, axis = "Sensitivity for events by subgroup", "sensitivity, 95 % interval over children"
        plots["event-subgroups"] = figures.forest(rows, title, axis, last_of_all=1)
    rule = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in result.rule.items())
    return {
        "counts": f"{result.recordings} recordings of {result.children} children, {result.hours:.2f} hours, "
        f"{result.seen_hours:.2f} of them seen",
        "rule": f"{rule}; a detected event within {result.tolerance_s:g} s of a true one counts",
        "cards": [_card(name, metrics[key]) for key, name in EVENT_CARDS],
        "rows": [_row(name, value) for name, value in text.recording_rows(result)],
        "szcore": [_row(text.EVENT_NAMES[key], value) for key, value in result.szcore.items()],
        "levels": [
            (f"{one.level:g}", text.interval(one.event_sensitivity), text.interval(one.false_alarms_per_hour, 1))
            for one in result.trade_off
        ],
        "subgroups": _cells(result.subgroups, IN_EVENT_CELLS, "recordings"),
        "figures": _figures(number, plots, simulated),
    }  # fmt: skip


def _comparison(number: int, evaluation: Evaluation) -> Tree:
    one = evaluation.comparisons[number]
    rows = text.comparison_rows({**(one.segments or {}), **(one.recordings or {})})
    return {"title": f"Run {number + 2} minus run 1", "rows": [_row(name, value) for name, value in rows]}


def _cells(tables: dict[str, Any], metrics: Sequence[tuple[str, str]], counted: str) -> Tree:
    """Rows of tables of cells, and how many cells of each are suppressed."""
    rows = [
        [f"{column}: {name}" if column else name, str(getattr(cell, counted)), str(cell.children),
         *(text.interval(cell.metrics[key]) for key, _ in metrics)]
        for column, table in tables.items()
        for name, cell in table.cells.items()
    ]  # fmt: skip
    hidden = [(column, table.hidden_cells) for column, table in tables.items() if table.hidden_cells]
    return {
        "header": ["", counted, "children", *(name for _, name in metrics)],
        "rows": rows,
        "hidden": [f"{column or 'this table'}: {count} values are suppressed" for column, count in hidden],
    }


def _kinds(result: SegmentResult) -> list[Tree]:
    if result.kinds is None:
        return []
    tables = (
        ("With a spasm: fraction found", result.kinds.with_a_spasm),
        ("Without a spasm: fraction with a false alarm", result.kinds.without_a_spasm),
    )
    return [
        {
            "title": title,
            "rows": [
                [name, str(cell.segments), str(cell.children), text.interval(cell.predicted_positive)]
                for name, cell in sorted(table.cells.items(), key=lambda pair: -(pair[1].predicted_positive.value or 0))
            ],
            "hidden": table.hidden_cells,
        }
        for title, table in tables
        if table.cells or table.hidden_cells
    ]


def _drift(result: SegmentResult) -> Tree:
    drift = result.drift
    pairs = [
        ("prevalence", _number(drift.prevalence.training), _number(drift.prevalence.here)),
        ("segments without any pose", _number(drift.segments_without_pose.training),
         _number(drift.segments_without_pose.here)),
        ("frames with depth", _number(drift.depth.training), _number(drift.depth.here)),
    ]  # fmt: skip
    pairs += [
        (f"frames with {one.landmark.replace('_', ' ')}", _number(one.training), _number(one.here))
        for one in drift.landmarks
        if abs((one.training or 0) - (one.here or 0)) > FOUND_APART
    ]
    pairs += [
        (one.measure, text.interval_of_ends(one.training), text.interval_of_ends(one.here))
        for one in drift.quality or []
    ]
    return {
        "pairs": pairs,
        "features": [(one.feature, _number(one.auc)) for one in drift.differing_features or []],
    }


def _card(name: str, value: Value) -> Tree:
    between = "" if value.low is None or value.high is None else f"{value.low:.3f} to {value.high:.3f}"
    shown = "suppressed" if value.suppressed else "–" if value.value is None else f"{value.value:.3f}"
    return {"name": name, "value": shown, "range": between, "short": len(shown) < 8}


def _row(name: str, value: Value) -> tuple[str, str, str]:
    if value.suppressed:
        return name, "suppressed", ""
    between = "" if value.low is None or value.high is None else f"{value.low:.3f} to {value.high:.3f}"
    return name, "not defined" if value.value is None else f"{value.value:.3f}", between


def _ends(value: Value) -> tuple[float | None, float | None, float | None]:
    return value.value, value.low, value.high


def _number(value: float | None) -> str:
    return "suppressed or not defined" if value is None else f"{value:.3f}"


def _figures(number: int, plots: dict[str, Plot], simulated: bool) -> list[Tree]:
    shown = []
    for name, plot in plots.items():
        if simulated:
            plot.stamp()
        title = plot.axes.get_title("left")
        wide = plot.figure.get_figwidth() > 6
        shown.append({"name": name, "svg": plot.svg(f"{name}-{number}"), "title": title, "wide": wide})
    return shown
