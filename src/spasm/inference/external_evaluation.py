"""A finished run, evaluated on labelled data of others, as the content of evaluation.json."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from spasm.core.errors import printable
from spasm.evaluation import external
from spasm.evaluation.external import Evaluated
from spasm.inference import external_recordings
from spasm.inference.event_detection import Rule, Windows
from spasm.inference.external_recordings import EvaluatedRecordings
from spasm.inference.labelled_data import (
    LabelledRecordings,
    LabelledSegments,
    cell_of,
    columns_of,
    resampling_seed,
)
from spasm.inference.trained_run import Prediction
from spasm.inference.training_drift import drift
from spasm.runs import lock_box
from spasm.runs.artefacts import Decision

Tree = dict[str, Any]


class RecordingRule(NamedTuple):
    """How windows become events, as given and never chosen on the recordings that are evaluated."""

    rule: Rule
    name: str
    stride_s: float
    abstain: float
    tolerance_s: float

    def as_tree(self) -> dict[str, Any]:
        """The settings, for evaluation.json."""
        given = {"rule": self.name, "stride_s": self.stride_s, "abstain": self.abstain}
        return given | dataclasses.asdict(self.rule)


class OneRun(NamedTuple):
    """A run with what it predicted."""

    path: Path
    decision: Decision
    prediction: Prediction | None
    windows: dict[Path, Windows] | None

    def segments(self, data: LabelledSegments, seed: int) -> Evaluated:
        """The labelled segments with its predictions."""
        assert self.prediction is not None
        return Evaluated(
            labels=data.labels,
            probabilities=self.prediction.probability,
            positive=self.prediction.label == 1,
            children=data.children,
            too_little_seen=self.prediction.too_little_seen,
            seed=seed,
        )

    def recordings(self, data: LabelledRecordings, given: RecordingRule, seed: int) -> EvaluatedRecordings:
        """The recordings with what it detected."""
        assert self.windows is not None
        return external_recordings.evaluated(self.windows, given.rule, data.true, given.tolerance_s, seed)


def evaluate_runs(
    runs: Sequence[OneRun],
    segments: LabelledSegments | None,
    recordings: LabelledRecordings | None,
    given: RecordingRule,
    fewest: int,
    cache: Path,
) -> Tree:
    """The results of every run, and of each minus the first."""
    seed = resampling_seed(segments, recordings)
    of_segments = [run.segments(segments, seed) if segments is not None else None for run in runs]
    of_recordings = [run.recordings(recordings, given, seed) if recordings is not None else None for run in runs]
    digests = [lock_box.run_digest(run.path) for run in runs]
    results, comparisons = [], []
    for number, run in enumerate(runs):
        decision, one, other = run.decision, of_segments[number], of_recordings[number]
        results.append(
            {
                "sha256": digests[number],
                "models": sorted(decision.models),
                "threshold": decision.threshold,
                "frames": decision.frames,
                "landmarks": decision.data.landmarks,
                "training_segments": decision.data.segments,
                "training_children": decision.data.children,
                "trained_on_simulated_data": decision.data.simulated,
                "segments": None
                if one is None or segments is None
                else _segments(decision, one, segments, fewest, cache),
                "recordings": None
                if other is None or recordings is None
                else _recordings(other, recordings, given, fewest),
            }
        )
        if number:
            first, first_recordings = of_segments[0], of_recordings[0]
            comparisons.append(
                {
                    "run": digests[number],
                    "minus": digests[0],
                    "segments": external.compare(one, first, fewest) if one and first else None,
                    "recordings": external_recordings.compare(other, first_recordings, fewest)
                    if other and first_recordings
                    else None,
                }
            )
    return {"runs": results, "comparisons": comparisons}


def _segments(decision: Decision, one: Evaluated, data: LabelledSegments, fewest: int, cache: Path) -> Tree:
    tree = external.evaluate(one, fewest)
    subgroups = {
        printable(column): external.partition(one, cell_of(data.groups, one.children, column), fewest)
        for column in columns_of(data.groups)
    }
    here = tree["metrics"]["prevalence"]["value"]
    # The numbers of segments of each kind add up to that of the spasms, which may be suppressed.
    kinds = None if data.kinds is None or here is None else external.by_kind(one, data.kinds, fewest)
    return {
        **tree,
        "subgroups": subgroups,
        "kinds": kinds,
        "drift": drift(decision, data, here, fewest, cache, one.seed),
    }


def _recordings(one: EvaluatedRecordings, data: LabelledRecordings, given: RecordingRule, fewest: int) -> Tree:
    subgroups = {
        printable(column): external_recordings.partition(one, cell_of(data.groups, one.children, column), fewest)
        for column in columns_of(data.groups)
    }
    rule = {"rule": given.as_tree(), "tolerance_s": given.tolerance_s}
    return {**external_recordings.evaluate(one, fewest), **rule, "subgroups": subgroups}
