"""Settings of the blend."""

from typing import Annotated, Literal

from spasm.config.fields import Shown, settings, within


@settings
class Blend:
    """How models become one prediction."""

    models: Annotated[tuple[str, ...], Shown(value="NAMES")] = ()
    """More models to blend, beside the default ones."""
    averaging: Literal["probability", "logit", "percentile"] = "logit"
    """What is averaged over models: probabilities, log-odds, or percentile ranks of the out-of-fold scores."""
    child_context: bool = False
    """Use the same child's other segments in a second stage; needs five or more segments of a child."""
    # On ten sets of out-of-fold rows of Kinder-Gator the cross-fitted F1 was 0.902 on average, against 0.890.
    threshold_rule: Literal["expected", "observed"] = "expected"
    """The highest F1 expected from the calibrated probabilities, or observed on the labels."""
    prevalence: Annotated[float | None, within(0.001, 0.999), Shown(default="as in the training data")] = None
    """Fraction of positives to choose the threshold for, if it is known."""
