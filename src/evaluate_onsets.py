"""Evaluate how early a run raises an alarm at seizures: latency to EEG and clinical onset, and false alarms per hour.

The out-of-fold probabilities of windows that segments_from_onsets.py cut are accumulated in time, as VSViG does.
Every window is predicted by models that never saw its child; the threshold of a fold is chosen on the other folds.

Examples:
  python src/evaluate_onsets.py --run output/onsets --data input/onsets
  python src/evaluate_onsets.py --run output/onsets --data input/onsets --model vsvig --threshold 4
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from spasm.cli import app  # isort: skip  # first: it reports packages that are missing

import numpy as np

from spasm.config.fields import ADVANCED, Shown, settings, to_tree, within
from spasm.config.runtime import RunData
from spasm.core import files
from spasm.core.errors import DataError
from spasm.core.tables import read_table
from spasm.data.annotations import read_onsets, targets
from spasm.data.naming import child_of
from spasm.data.pose import FPS
from spasm.data.segment_folder import MARKER, SIMULATED
from spasm.data.seizures import INTERICTAL, SEIZURE_COLUMNS
from spasm.ensemble.calibration import probability
from spasm.evaluation.onset_metrics import evaluate_traces
from spasm.evaluation.seizure_onsets import (
    Outcome,
    Rule,
    Trace,
    accumulate,
    find_alarms,
    score_alarms,
    thresholds_by_fold,
)
from spasm.report.onset_timeline import onset_table, plot_trace
from spasm.runs.artefacts import read_decision, read_run_info
from spasm.runs.chosen_models import posed_rows
from spasm.runs.folder import load_data, reopen_run
from spasm.runs.oof_table import OofTable, read_oof

DETECTED_COLUMNS = (
    "recording", "child", "eeg_onset_s", "clinical_onset_s", "alarm_s", "latency_to_eeg_onset_s",
    "latency_to_clinical_onset_s",
)  # fmt: skip


@settings
class EvaluateOnsets(RunData):
    """Flags of evaluate_onsets.py."""

    run: Path = Path("output/onsets")
    """Run folder, trained on a folder that segments_from_onsets.py wrote."""
    out: Annotated[Path | None, Shown(default="RUN/onsets")] = None
    """Folder to write."""
    model: Annotated[str, Shown(default="the blend")] = ""
    """Use the probability of this model alone."""
    over: Literal["clips", "seconds"] = "clips"
    """Accumulate over windows, as published, or over time; windows are denser near seizures."""
    span: Annotated[float, within(1, 3600)] = 10.0
    """Windows, or seconds, over which probability is accumulated. The paper does not give it."""
    floor: Annotated[float, within(0, 1)] = 0.0
    """A probability below it counts as 0."""
    refractory_s: Annotated[float, within(0, 86_400)] = 60.0
    """Seconds after an alarm in which no other one is raised."""
    threshold: Annotated[float | None, within(0, 1e6), Shown(default="chosen on the other folds")] = None
    """Accumulated probability that raises an alarm."""
    false_per_hour: Annotated[float, within(0, 3600), ADVANCED] = 0.0
    """Most false alarms per interictal hour on the other folds when the threshold is chosen; published: none."""


def main(settings: EvaluateOnsets) -> int:
    info, oof, decision = read_run_info(settings.run), read_oof(settings.run), read_decision(settings.run)
    seen = posed_rows(settings.run, decision, oof).has_pose
    if settings.model and settings.model not in oof.logits:
        raise DataError(settings.run, f"has no complete model {settings.model}", f"it has {', '.join(oof.logits)}")
    if not settings.model and decision.blend_settings.child_context:
        reason = "predicts a window by all others of its child, also by later ones, which an alarm cannot know"
        raise DataError(settings.run, reason, f"name one of its models: --model {next(iter(oof.logits))}")
    data, length_s = settings.data or info.data.folder, info.frames / FPS
    reopen_run(settings.run, load_data(settings.run, data, settings.cache))  # refuses windows that were cut again
    traces = read_traces(data, oof, chosen_of(settings, oof), seen, length_s)
    rule = Rule(settings.span, settings.over, settings.floor, settings.refractory_s, read_stride(data))
    if settings.threshold is None:
        thresholds = dict(thresholds_by_fold(traces, rule, settings.false_per_hour))
    else:
        thresholds = dict.fromkeys({one.fold for one in traces}, settings.threshold)
    curves = [accumulate(one.ends_s, one.probability, rule) for one in traces]
    outcomes = [
        score_alarms(one, find_alarms(one.ends_s, curve, thresholds[one.fold], rule.refractory_s))
        for one, curve in zip(traces, curves, strict=True)
    ]
    onsets, problems = read_onsets(data / "onsets.csv")
    if problems:
        raise problems[0]
    wanted = targets(oof.names.tolist(), np.zeros(len(oof.names)), onsets, length_s)
    simulated = (data / SIMULATED).is_file()
    found = {
        "simulated": simulated,
        "settings": {key: str(value) if isinstance(value, Path) else value for key, value in to_tree(settings).items()},
        "thresholds": {str(fold): value for fold, value in sorted(thresholds.items())},
        **evaluate_traces(traces, outcomes, chosen_of(settings, oof)[seen], wanted[seen], oof.children[seen]),
    }
    out = settings.out or settings.run / "onsets"
    files.make_folder(out)
    write(out, traces, curves, outcomes, thresholds, simulated)
    files.write_json(out / "onset_metrics.json", found)
    print(onset_table(found))
    print(f"written: {out}: onset_metrics.json, detected_seizures.csv, alarms.csv, timelines/")
    return 0


def chosen_of(settings: EvaluateOnsets, oof: OofTable) -> np.ndarray:
    """The probabilities (N,) of the model that was asked for, or of the blend."""
    return probability(oof.logits[settings.model]) if settings.model else oof.probabilities


def read_stride(data: Path) -> float:
    """Seconds between windows far from a seizure. Raises DataError for a folder that was not cut around onsets."""
    try:
        return float(files.read_json(data / MARKER)["settings"]["interictal_stride_s"])
    except (KeyError, TypeError, ValueError) as error:
        hint = "cut it by segments_from_onsets.py"
        raise DataError(data / MARKER, "is not of windows that were cut around onsets", hint) from error


def read_traces(data: Path, oof: OofTable, chosen: np.ndarray, seen: np.ndarray, length_s: float) -> list[Trace]:
    """The predictions of each recording in the order of time, without windows that show no pose. Raises DataError.

    chosen: (N,) probability and seen: (N,) bool of the rows of `oof`; length_s: of a window.
    """
    origins = {row["segment_name"]: row for row in read_table(data / "origin.csv", ("segment_name", "recording"))}
    seizures: dict[str, list[tuple[float, float]]] = {}
    try:
        starts = np.array([float(origins[name]["start_s"]) for name in oof.names.tolist()])
        kinds = np.array([origins[name]["kind"] for name in oof.names.tolist()])
        for row in read_table(data / "seizures.csv", SEIZURE_COLUMNS):
            onsets = (float(row["eeg_onset_s"]), float(row["clinical_onset_s"]))
            seizures.setdefault(row["recording"], []).append(onsets)
    except (KeyError, ValueError) as error:
        raise DataError(data, f"was not cut around onsets: {error}", f"cut it again; see {MARKER}") from error
    names = np.array([origins[name]["recording"] for name in oof.names.tolist()])
    traces = []
    for recording in sorted(set(names.tolist())):
        rows = np.flatnonzero((names == recording) & seen)
        rows = rows[np.argsort(starts[rows], kind="stable")]
        fold = int(oof.folds[names == recording][0])
        traces.append(
            Trace(recording, child_of(recording), fold, starts[rows] + length_s, chosen[rows],
                  kinds[rows] == INTERICTAL, length_s, tuple(sorted(seizures.get(recording, []))))
        )  # fmt: skip
    return traces


def write(
    out: Path,
    traces: Sequence[Trace],
    curves: Sequence[np.ndarray],
    outcomes: Sequence[Outcome],
    thresholds: Mapping[int, float],
    simulated: bool,
) -> None:
    """Write the tables of seizures and alarms, and a timeline of each recording."""
    rows = []
    for one in (one for outcome in outcomes for one in outcome.seizures):
        late = ["", "", ""]
        if one.alarm_s is not None:
            late = [f"{one.alarm_s - start:.3f}" for start in (0, one.eeg_onset_s, one.clinical_onset_s)]
        rows.append((one.recording, one.child, f"{one.eeg_onset_s:.3f}", f"{one.clinical_onset_s:.3f}", *late))
    files.write_csv(out / "detected_seizures.csv", DETECTED_COLUMNS, rows)
    alarms = [
        (trace.recording, f"{time_s:.3f}", int(is_false))
        for trace, outcome in zip(traces, outcomes, strict=True)
        for time_s, is_false in outcome.alarms
    ]
    files.write_csv(out / "alarms.csv", ("recording", "alarm_s", "false_alarm"), alarms)
    files.make_folder(out / "timelines")
    for trace, curve, outcome in zip(traces, curves, outcomes, strict=True):
        png = plot_trace(trace, curve, thresholds[trace.fold], outcome.alarms, simulated)
        files.write_bytes(out / "timelines" / f"{Path(trace.recording).stem}.png", png)


if __name__ == "__main__":
    sys.exit(app.run(main, EvaluateOnsets, __doc__))
