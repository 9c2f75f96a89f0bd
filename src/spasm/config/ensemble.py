"""Settings of the blend."""

from typing import Annotated, Literal

from spasm.config.fields import Seed, settings, within


@settings
class Blend:
    """How models become one prediction."""

    models: tuple[str, ...] = ()
    """Models that the decision uses beside the default ones."""
    averaging: Literal["probability", "logit", "percentile"] = "logit"
    """What is averaged over models: probabilities, log-odds, or percentile ranks of the out-of-fold scores."""
    fold_averaging: Literal["probability", "logit"] = "probability"
    """What is averaged over the folds that predict a new segment: probabilities or log-odds."""
    child_context: bool = False
    """Let a second stage see each segment beside the same child's other segments; needs five or more of a child."""
    # On ten sets of out-of-fold rows of Kinder-Gator the cross-fitted F1 was 0.902 on average, against 0.890.
    threshold_rule: Literal["expected", "observed"] = "expected"
    """Highest F1 expected of the calibrated probabilities, or observed on the labels."""
    prevalence: Annotated[float | None, within(0.001, 0.999)] = None
    """Fraction of positives to choose the threshold for, if it is known; otherwise that of the training data."""
    trials: Annotated[int, within(1, 100_000)] = 100
    """Trials of the search for the weights."""
    seed: Seed = 0
    """Seed of that search."""
