"""What the page shows: a run and its out-of-fold predictions, or its predictions for new segments."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spasm.evaluation.drift import Drift
from spasm.explain.attributions import Evidence
from spasm.report.predictions import SegmentPredictions
from spasm.runs.artefacts import Decision, Metrics
from spasm.runs.oof_table import OofTable


@dataclasses.dataclass(frozen=True, eq=False)
class RunReport:
    """All that the page shows."""

    predictions: SegmentPredictions
    playable: np.ndarray
    """(P,) rows of the predictions that can be played, as `select_players` gives them."""
    evidence: Evidence
    """About the playable segments."""
    decision: Decision
    metrics: Metrics
    oof: OofTable
    """The out-of-fold rows that `metrics` was computed from."""
    provenance: Sequence[tuple[str, str]]
    """How run and page came to be, as names and values."""
    models: Sequence[Mapping[str, Any]]
    """`name`, `command` and `settings` of each model, as `provenance.describe_models` gives them."""
    run_name: str = ""
    date: str = ""
    """The day on which the page was written."""
    losses: Mapping[str, Mapping[tuple[int, int], np.ndarray]] = dataclasses.field(default_factory=dict)
    """Of each network the training loss after every epoch, by seed and fold."""
    gains: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    """Of each group of features its fractions of LightGBM's gain, one for each seed and fold."""

    drift: Drift | None = None
    """Of the test folder beside the training data; None where there is none, or it was not computed."""

    @property
    def labelled(self) -> bool:
        """Whether the true labels are known."""
        return self.predictions.labels is not None

    @property
    def threshold(self) -> float:
        """The threshold of new segments; that for new children where there are none, or labelled ones."""
        if self.labelled or not len(self.predictions.names):
            return self.decision.threshold
        return float(self.predictions.thresholds[0])
