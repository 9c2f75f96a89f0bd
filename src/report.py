"""Show a run: one page with figures, children, a player of every segment and why it was answered so; a model card.

The page RUN/report.html needs no server and no network. RUN/figures holds its figures for papers, RUN/model_card.md
says what the run is for and how good it is.

Example: python src/report.py --run output/main
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spasm.cli import app, progress
from spasm.config.fields import settings
from spasm.config.runtime import Hardware, MaxPlayers, RunData
from spasm.core import files
from spasm.core.errors import DataError
from spasm.core.tables import read_table
from spasm.data.dataset import TrainingData, load_training
from spasm.explain.attributions import explaining, gather
from spasm.report import console, provenance
from spasm.report.model_card import model_card
from spasm.report.page import page
from spasm.report.predictions import Answers, kept, max_players
from spasm.runs.decision_json import open_decision
from spasm.runs.metrics_json import read_figures, read_out_of_fold
from spasm.runs.run import Run, read_run, reopen_run


@settings
class Report(RunData):
    """Flags of report.py."""

    run: Path = Path("output/main")
    """Run folder, with at least one member whose folds are all trained; the report goes into it."""
    max_players: MaxPlayers = 1500
    """Segments of 5 s that can be played in the page; of more, the worst, the least certain and a sample are."""
    hardware: Hardware = Hardware()


COLUMNS = ("segment_name", "cross_fitted", "answer")
WITHOUT_POSE = "No pose in any frame: answered as such segments were labelled in training"
EVENTS = (
    ("event_start_frame", "event_end_frame", "event_type"),
    ("event2_start_frame", "event2_end_frame", "event2_type"),
)


def main(settings: Report) -> int:
    decision = open_decision(settings.run)
    begun = read_run(settings.run)
    data = load_training(
        settings.data or Path(begun["data"]["path"]), begun["frames"], "safe", settings.cache, progress.reading
    )
    run = reopen_run(settings.run, data)
    figures = read_figures(run.path, decision)
    answers = out_of_fold(run, decision, figures)
    # Whatever can be wrong is said now, not after minutes of work.
    files.check_writable(run.path)
    files.remove_stale(run.path)
    for name in ("report.html", "model_card.md"):
        if (run.path / name).is_dir():
            raise DataError(run.path / name, "is a folder, not a file to write", "move it away")
    held_out, card = read_out_of_fold(run.path, figures), model_card(run.path)
    made, members = provenance.how_made(run.path, sys.argv), provenance.members(run.path, decision)
    rows = kept(answers, max_players(settings.max_players, begun["frames"]))
    total = len(explaining(decision)) * int(data.has_pose[rows].sum())
    with progress.progress("explaining", total=total, unit="answer") as bar:
        evidence = gather(run.path, decision, data.poses[rows], run.fold_of[rows], settings.hardware, bar.update)
    html, drawings = page(answers, rows, evidence, decision, figures, held_out, made, members)
    files.write_bytes(run.path / "report.html", html.encode())
    for name, drawing in drawings.items():
        files.write_bytes(run.path / "figures" / f"{name}.png", drawing.png())
    files.write_bytes(run.path / "model_card.md", card.encode())
    print(console.data_summary(data))
    if len(rows) < len(data.names):
        print(f"{len(rows)} of {len(data.names)} segments can be played in the page: the worst and a sample")
    print(f"written: {run.path / 'report.html'} ({len(html) / 1e6:.1f} MB), model_card.md, figures/*.png")
    print("next:    open report.html in a browser")
    return 0


def out_of_fold(run: Run, decision: Mapping[str, Any], figures: Mapping[str, Any]) -> Answers:
    """Every training segment as the fold answered it that never saw its child. Raises DataError for a damaged table."""
    path, data = run.path / "oof.csv", run.data
    hint = f"python src/blend.py --run {run.path} makes it again"
    names = tuple(decision["members"])
    try:
        table = read_table(path, (*COLUMNS, *(f"{name}_logit" for name in names)))
        if [row["segment_name"] for row in table] != list(data.names):
            raise DataError(path, "does not hold the segments of the run", hint)
        probabilities, called = (np.array([float(row[column]) for row in table]) for column in COLUMNS[1:])
        logits = {name: np.array([float(row[f"{name}_logit"]) for row in table]) for name in names}
        thresholds = np.array(figures["cross_fitted_thresholds"], dtype=float)[run.fold_of]
        if not all(np.isfinite(values).all() for values in (probabilities, called, *logits.values())):
            raise ValueError("a cell is no finite number")
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise DataError(path, f"or metrics.json beside it is damaged ({error})", hint) from error
    return Answers(
        names=data.names,
        children=data.children,
        poses=data.poses,
        probability=probabilities,
        positive=called == 1,
        thresholds=thresholds,
        logits=logits,
        labels=data.labels,
        fold_of=run.fold_of,
        groups=data.groups,
        events=true_events(data),
        label_level=data.label_level,
        has_pose=data.has_pose,
        notes={name: WITHOUT_POSE for name, posed in zip(data.names, data.has_pose, strict=True) if not posed},
        warnings=[str(warning) for warning in data.warnings],
    )


def true_events(data: TrainingData) -> dict[str, list[tuple[float, float, str]]]:
    """First and last frame and kind of the true events of segments, from truth.csv, where the data has one."""
    path = data.folder / "truth.csv"
    if not (path.exists() and data.simulated):  # another program's file of that name says nothing to us
        return {}
    events: dict[str, list[tuple[float, float, str]]] = {}
    for row in read_table(path, ("segment_name", "event_start_frame", "event_end_frame")):
        for first, last, kind in EVENTS:
            try:
                if row.get(first) and row.get(last):
                    event = (int(row[first]), int(row[last]), row.get(kind) or "")
                    events.setdefault(row["segment_name"], []).append(event)
            except ValueError as error:
                raise DataError(path, f"holds an event whose frames are no numbers ({error})", "mend it") from error
    return events


if __name__ == "__main__":
    sys.exit(app.run(main, Report, __doc__, stopped="the old report is as it was"))
