"""Progress of a training."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Progress:
    """Progress of the folds of one model and seed."""

    folds_done: int
    folds: int
    epochs_done: int
    epochs: int
    """Epochs of all folds together; 0 for a model without epochs."""
    seconds_left: float | None
    """Estimated time left; None as long as it is unknown."""
