"""Settings that every network has: how it is trained, and what it reads."""

import math
from typing import Annotated, Literal

from spasm.config.features import Augmentation, Features, PictureAugmentation
from spasm.config.fields import FLAT, settings, within

FEWEST_EPOCHS = 20  # where no number is given
SOFT_LOSSES = ("squared", "taught")
"""Losses that can have probabilities as targets."""


@settings
class Optimization:
    """How one fold of a network is trained."""

    epochs: Annotated[int, within(0, 10_000)] = 0
    """Passes over the training segments; 0: as many as the steps need, and at least 20."""
    steps: Annotated[int, within(1, 10_000_000)] = 500
    """Fewest steps of the optimiser, where no number of epochs is given: few segments need more passes."""
    batch: Annotated[int, within(2, 4096)] = 32
    """Segments in a step."""
    learning_rate: Annotated[float, within(1e-6, 1)] = 3e-3
    """Highest learning rate (AdamW)."""
    schedule: Literal["one-cycle", "cosine"] = "one-cycle"
    """Course of the learning rate: up and down, or down only."""
    weight_decay: Annotated[float, within(0, 1)] = 0.01
    """Weight decay (AdamW)."""
    loss: Literal["weighted", "focal", "plain", "squared", "taught"] = "weighted"
    """Cross-entropy with the rarer class weighted up, focal loss likewise, plain cross-entropy, the squared error of
    the probability, which follows onsets.csv where there is one, or cross-entropy with targets halfway between the
    labels and what random convolutions predict that were trained on other children."""
    focal_gamma: Annotated[float, within(0, 10)] = 2.0
    """How strongly the focal loss discounts easy segments."""
    ema: Annotated[float, within(0, 0.99999)] = 0.99
    """Decay per step of the running average of the weights, which is what is scored; 0 scores the last weights."""
    clip_norm: Annotated[float, within(0.001, 1_000_000)] = 1.0
    """Largest norm of a step's gradient."""
    mixup: Annotated[float, within(0, 10)] = 0.0
    """Mix pairs of training segments in random parts, Beta-distributed with this parameter; 0: do not mix."""

    def epochs_of(self, segments: int) -> int:
        """Passes over this many training segments."""
        return self.epochs or max(FEWEST_EPOCHS, math.ceil(self.steps / math.ceil(segments / self.batch)))


@settings
class PictureNetworkConfig:
    """Everything that decides what a network that reads pictures learns, beside what its own class adds."""

    optimization: Annotated[Optimization, FLAT] = Optimization()
    augmentation: Annotated[PictureAugmentation, FLAT] = PictureAugmentation()


@settings
class NetworkConfig:
    """Everything that decides what a network learns, beside what its own class adds."""

    # The groups order the manifest; on the command line their fields stand beside the network's own.
    optimization: Annotated[Optimization, FLAT] = Optimization()
    features: Annotated[Features, FLAT] = Features()
    augmentation: Annotated[Augmentation, FLAT] = Augmentation()
