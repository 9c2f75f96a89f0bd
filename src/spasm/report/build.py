"""From a run to its report: the page, its figures as PNG and SVG, and the model card."""

import dataclasses
import datetime
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Protocol

from spasm.config.runtime import Hardware
from spasm.core import files
from spasm.core.errors import DataError
from spasm.data.dataset import TrainingData
from spasm.explain.attributions import explaining, gather
from spasm.inference.trained_run import TrainedRun
from spasm.report import provenance
from spasm.report.model_card import model_card
from spasm.report.page import page
from spasm.report.predictions import (
    SegmentPredictions,
    max_players,
    read_out_of_fold_predictions,
    select_players,
)
from spasm.report.run_report import RunReport
from spasm.report.train_and_test import drift_of
from spasm.report.training_records import feature_gains, training_losses
from spasm.runs.artefacts import Metrics, read_metrics
from spasm.runs.folder import load_data, reopen_run
from spasm.runs.oof_table import read_oof

PLAYERS = 1500
"""Segments of 5 s that can be played in a page, unless another number is asked for."""


class Progress(Protocol):
    """Shows how far long work is, such as a bar of tqdm."""

    def update(self, more: int) -> Any:
        """So many more are done."""


class NoProgress:
    """Shows nothing."""

    def update(self, more: int) -> None:
        """Nothing happens."""


Watch = Callable[[int], AbstractContextManager[Progress]]
"""Given how many explanations there will be: a context in which their progress is shown."""


def unwatched(total: int) -> AbstractContextManager[Progress]:
    """Shows no progress."""
    return nullcontext(NoProgress())


def write_report(run: Path, data: Path | None, cache: Path, hardware: Hardware, final: bool = True) -> list[Path]:
    """Write the report of a run into its folder; gives what was written.

    data: the training data, if it has moved. final: no other report follows soon, so that training and test segments
    are compared, too, which takes seconds. Raises DataError for a run that is not whole, or other data.
    """
    report_run(TrainedRun(run, hardware), load_data(run, data, cache), with_drift=final)
    return [run / "report.html", run / "model_card.md"]


def report_run(
    run: TrainedRun, data: TrainingData, players: int = PLAYERS, watch: Watch = unwatched, with_drift: bool = True
) -> RunReport:
    """Write report.html, figures/ and model_card.md of a run, on its out-of-fold predictions."""
    opened = reopen_run(run.path, data)
    metrics = read_metrics(run.path, run.decision)
    predictions = read_out_of_fold_predictions(opened, run.decision, metrics)
    # What can be wrong is checked now, not after minutes of work.
    _check_writable(run.path)
    card = model_card(run.path)
    report = build_report(run, metrics, predictions, players, watch)
    if with_drift:
        report = dataclasses.replace(report, drift=drift_of(data))
    html, plots = page(report)
    files.write_text(run.path / "report.html", html)
    for name, plot in plots.items():
        files.write_bytes(run.path / "figures" / f"{name}.png", plot.png())
        files.write_bytes(run.path / "figures" / f"{name}.svg", plot.vector(name))
    files.write_text(run.path / "model_card.md", card)
    return report


def build_report(
    run: TrainedRun,
    metrics: Metrics,
    predictions: SegmentPredictions,
    players: int = PLAYERS,
    watch: Watch = unwatched,
) -> RunReport:
    """Explain predictions of a run for its own training data, or for new segments. players: of 150 frames."""
    oof = read_oof(run.path, metrics)
    described, models = provenance.describe_run(run.path, sys.argv), provenance.describe_models(run.path, run.decision)
    rows = select_players(predictions, max_players(players, run.frames))
    fold_of = None if predictions.fold_of is None else predictions.fold_of[rows]
    with watch(len(explaining(run.path, run.decision)) * int(predictions.has_pose[rows].sum())) as progress:
        poses, pictures = predictions.poses[rows], predictions.pictures and predictions.pictures.of(rows)
        evidence = gather(run.path, run.decision, poses, fold_of, run.hardware, progress.update, pictures)
    return RunReport(
        predictions,
        rows,
        evidence,
        run.decision,
        metrics,
        oof,
        described,
        models,
        run_name=run.path.resolve().name,
        date=f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}",
        losses=training_losses(run.path, metrics.each_model),
        gains=feature_gains(run.path, metrics.each_model),
    )


def _check_writable(run: Path) -> None:
    files.check_writable(run)
    files.remove_stale(run)
    for name in ("report.html", "model_card.md"):
        if (run / name).is_dir():
            raise DataError(run / name, "is a folder, not a file to write", "move it away")
