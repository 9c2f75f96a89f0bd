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

import command_line
from spasm import files, report_text, runs
from spasm.answer import open_decision
from spasm.dataset import TrainingData, load_training
from spasm.errors import DataError
from spasm.evidence import explaining, gather
from spasm.model_card import model_card
from spasm.report import origin
from spasm.report.answers import Answers, kept, most_films
from spasm.report.page import page
from spasm.results import read_figures
from spasm.settings import Report
from spasm.tables import read_table

COLUMNS = ("segment_name", "cross_fitted", "answer")
WITHOUT_POSE = "No pose in any frame: answered as such segments were labelled in training"
EVENTS = (
    ("event_start_frame", "event_end_frame", "event_type"),
    ("second_start_frame", "second_end_frame", "second_type"),
)


def main(settings: Report) -> int:
    decision = open_decision(settings.run)
    begun = runs.read_run(settings.run)
    data = load_training(
        settings.data or Path(begun["data"]["path"]), begun["frames"], "safe", settings.cache, command_line.reading
    )
    run = runs.reopen_run(settings.run, data)
    figures = read_figures(run.path, decision)
    answers = out_of_fold(run, decision, figures)
    rows = kept(answers, most_films(settings.films, begun["frames"]))
    poses = np.array(data.poses[rows])
    with command_line.progress("explaining", total=len(explaining(decision)) * len(rows), unit="segment") as bar:
        evidence = gather(run.path, decision, poses, run.fold_of[rows], settings.hardware, bar.update)
    card = model_card(run.path)
    made, members = origin.how_made(run.path, sys.argv), origin.members(run.path, decision)
    html, drawings = page(answers, rows, evidence, decision, figures, made, members)
    files.write_bytes(run.path / "report.html", html.encode())
    for name, drawing in drawings.items():
        files.write_bytes(run.path / "figures" / f"{name}.png", drawing.png())
    files.write_bytes(run.path / "model_card.md", card.encode())
    print(report_text.data_summary(data))
    if len(rows) < len(data.names):
        print(f"{len(rows)} of {len(data.names)} segments can be played in the page: the worst and a sample")
    print(f"written: {run.path / 'report.html'} ({len(html) / 1e6:.1f} MB), model_card.md, figures/*.png")
    print("next:    open report.html in a browser")
    return 0


def out_of_fold(run: runs.Run, decision: Mapping[str, Any], figures: Mapping[str, Any]) -> Answers:
    """Every training segment as the fold answered it that never saw its child. Raises DataError for a damaged table."""
    path, data = run.path / "oof.csv", run.data
    hint = f"python src/blend.py --run {run.path} makes it again"
    names = tuple(decision["members"])
    try:
        table = read_table(path, (*COLUMNS, *(f"{name}_logit" for name in names)))
        if [row["segment_name"] for row in table] != list(data.names):
            raise DataError(path, "does not hold the segments of the run", hint)
        chances, called = (np.array([float(row[column]) for row in table]) for column in COLUMNS[1:])
        logits = {name: np.array([float(row[f"{name}_logit"]) for row in table]) for name in names}
        thresholds = np.array(figures["cross_fitted_thresholds"], dtype=float)[run.fold_of]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise DataError(path, f"or metrics.json beside it is damaged ({error})", hint) from error
    return Answers(
        names=data.names,
        children=data.children,
        poses=data.poses,
        probability=chances,
        positive=called == 1,
        thresholds=thresholds,
        logits=logits,
        labels=data.labels,
        fold_of=run.fold_of,
        groups=data.groups,
        events=true_events(data),
        notes={name: WITHOUT_POSE for name, posed in zip(data.names, data.has_pose, strict=True) if not posed},
        warnings=[str(warning) for warning in data.warnings],
    )


def true_events(data: TrainingData) -> dict[str, list[tuple[float, float, str]]]:
    """First and last frame and kind of the true events of segments, from truth.csv, where the data has one."""
    path = data.folder / "truth.csv"
    if not path.exists():
        return {}
    events: dict[str, list[tuple[float, float, str]]] = {}
    for row in read_table(path, ("segment_name", "event_start_frame", "event_end_frame")):
        for first, last, kind in EVENTS:
            try:
                if row.get(first) and row.get(last):
                    event = (float(row[first]), float(row[last]), row.get(kind) or "")
                    events.setdefault(row["segment_name"], []).append(event)
            except ValueError as error:
                raise DataError(path, f"holds an event that is no number ({error})", "mend or delete it") from error
    return events


if __name__ == "__main__":
    sys.exit(command_line.run(main, Report, __doc__))
