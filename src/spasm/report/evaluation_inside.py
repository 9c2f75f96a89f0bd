"""What an evaluation shows to those who may see the children: predictions by name, and pages with players.

It lies in a folder of its own, because it must not leave with evaluation.json and evaluation.html.
"""

from pathlib import Path

import numpy as np

from spasm.config.runtime import Hardware
from spasm.core import files
from spasm.data.dataset import SegmentFiles
from spasm.data.naming import child_of
from spasm.inference.event_detection import detect_events, write_events
from spasm.inference.event_evaluation import overlap_rule
from spasm.inference.event_rule_selection import count
from spasm.inference.external_evaluation import OneRun, RecordingRule
from spasm.inference.labelled_data import LabelledRecordings, LabelledSegments
from spasm.inference.trained_run import TrainedRun
from spasm.report import timeline_plots
from spasm.report.build import Watch, build_report
from spasm.report.page import page
from spasm.report.predictions import new_segments
from spasm.runs.artefacts import read_metrics

PREDICTIONS = ("segment_name", "child", "label", "probability", "label_predicted", "outcome", "note")
CHILDREN = ("child", "hours", "seen_hours", "true_events", "found_events", "false_alarms", "false_alarms_per_hour")
OUTCOMES = {(1, 1): "found", (1, 0): "missed", (0, 1): "false alarm", (0, 0): "no alarm"}
README = (
    "This folder names children and shows how they move. It is for those who may see them, and must not leave with\n"
    "evaluation.json and evaluation.html.\n"
)


def write_inside(
    folder: Path,
    run: OneRun,
    segments: LabelledSegments | None,
    recordings: LabelledRecordings | None,
    given: RecordingRule,
    players: int,
    hardware: Hardware,
    watch: Watch,
) -> None:
    """Write predictions.csv and report.html of segments; events.csv, children.csv and timelines of recordings."""
    files.write_text(folder / "README.txt", README)
    if segments is not None:
        _write_segments(folder, run, segments, players, hardware, watch)
    if recordings is not None:
        _write_recordings(folder, run, recordings, given)


def left_inside(folder: Path) -> dict[str, int]:
    """When each file of the folder was written, in ns, by its path in there; empty where there is no folder."""
    return {
        path.relative_to(folder).as_posix(): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()
    }


def _write_segments(
    folder: Path, run: OneRun, segments: LabelledSegments, players: int, hardware: Hardware, watch: Watch
) -> None:
    prediction = run.prediction
    assert prediction is not None
    outcomes = [OUTCOMES[pair] for pair in zip(segments.labels.tolist(), prediction.label.tolist(), strict=True)]
    columns = (
        segments.names, segments.children, segments.labels, prediction.probability, prediction.label, outcomes,
        prediction.note,
    )  # fmt: skip
    files.write_csv(folder / "predictions.csv", PREDICTIONS, zip(*columns, strict=True))
    trained = TrainedRun(run.path, hardware)
    poses = SegmentFiles(segments.paths, trained.frames, segments.folder, run.decision.data.landmarks)
    children = segments.children.tolist()
    shown = new_segments(prediction, segments.names, children, poses, trained.findings(segments.names, prediction))
    for name, label, outcome in zip(segments.names, segments.labels, outcomes, strict=True):
        truth = f"{outcome}: the true label is {label}"
        shown.notes[name] = "; ".join(filter(None, [truth, shown.notes[name]]))  # type: ignore[index]
    built = build_report(trained, read_metrics(run.path, run.decision), shown, players, watch)
    files.write_text(folder / "report.html", page(built)[0])


def _write_recordings(folder: Path, run: OneRun, recordings: LabelledRecordings, given: RecordingRule) -> None:
    windows = run.windows
    assert windows is not None
    detected = {path: detect_events(of_one, given.rule) for path, of_one in windows.items()}
    by_name = {path.name: of_one for path, of_one in windows.items()}
    write_events(folder / "detected_events.csv", {path.name: found for path, found in detected.items()}, by_name)
    names = {path: path.stem for path in windows}
    rules = dict.fromkeys(windows, given.rule)
    timeline_plots.write_timelines(folder, windows, detected, recordings.true, rules, names)
    rows = []
    for child in np.unique(recordings.children):
        of_child = [path for path in windows if child_of(path.name) == child]
        overlap = overlap_rule(given.tolerance_s)
        counts = [count(windows[path], detected[path], recordings.true[path.name], overlap) for path in of_child]
        true, found, false, hours = (
            sum(getattr(one, name) for one in counts) for name in ("true", "found", "false", "hours")
        )
        seen_hours = sum(windows[path].total_seen_s for path in of_child) / 3600
        rows.append((child, hours, seen_hours, true, found, false, false / hours))
    files.write_csv(folder / "children.csv", CHILDREN, rows, files.TABLE_DIGITS)
