"""Settings of the blend."""

import dataclasses
from typing import Annotated, Literal

from spasm.config.fields import Between, Checked, Seed


@dataclasses.dataclass(frozen=True)
class Blend(Checked):
    """How members become one answer."""

    averaging: Literal["probability", "logit", "percentile"] = "logit"
    """What is averaged over members: probabilities, log-odds, or places among the out-of-fold scores."""
    fold_averaging: Literal["probability", "logit"] = "probability"
    """What is averaged over the folds that answer a new segment: probabilities or log-odds."""
    child_context: bool = False
    """Let a second stage see each segment beside the same child's other segments; needs five or more of a child."""
    # On ten sets of out-of-fold rows of Kinder-Gator the cross-fitted F1 was 0.902 on average, against 0.890.
    threshold_rule: Literal["expected", "observed"] = "expected"
    """Highest F1 expected of the calibrated probabilities, or observed on the labels."""
    prevalence: Annotated[float | None, Between(0.001, 0.999)] = None
    """Share of positives to choose the threshold for, if it is known; otherwise that of the training data."""
    blend_trials: Annotated[int, Between(1, 100_000)] = 100
    """Trials of the search for the weights."""
    blend_seed: Seed = 0
    """Seed of that search."""
